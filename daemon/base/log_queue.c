/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/base/log_queue.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

#define CLOSE_WAIT_S 1

struct log_line {
	int priority;
	char text[LOG_QUEUE_TEXT];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t filled; /* the thread waits for it */
	pthread_t thread;
	uint64_t first, end; /* of those that wait, modulo LOG_QUEUE_LINES */
	uint64_t lost; /* and not told yet; they would have come before the line numbered `lost_at`
			*/
	uint64_t lost_at;
	bool sleeping, closing;
	atomic_bool kept; /* changed with the lock: there are lines that nobody was woken for */
	struct log_line lines[LOG_QUEUE_LINES];
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

void log_queue_push(int priority, const char *text, bool keep)
{
	pthread_mutex_lock(&queue.lock);
	if (queue.end - queue.first == LOG_QUEUE_LINES) {
		queue.lost_at = queue.lost++ ? queue.lost_at : queue.end;
	} else {
		struct log_line *line = &queue.lines[queue.end++ % LOG_QUEUE_LINES];

		line->priority = priority;
		snprintf(line->text, sizeof(line->text), "%s", text);
		if (keep) {
			atomic_store_explicit(&queue.kept, true, memory_order_relaxed);
		} else if (queue.sleeping) {
			pthread_cond_signal(&queue.filled);
		}
	}
	pthread_mutex_unlock(&queue.lock);
}

void log_queue_wake(void)
{
	/* Set by this thread, or by one that comes here itself. */
	if (!atomic_load_explicit(&queue.kept, memory_order_relaxed)) {
		return;
	}
	pthread_mutex_lock(&queue.lock);
	atomic_store_explicit(&queue.kept, false, memory_order_relaxed);
	if (queue.sleeping) {
		pthread_cond_signal(&queue.filled);
	}
	pthread_mutex_unlock(&queue.lock);
}

/* With the lock, which it gives up while it writes: the line's place is taken until then. */
static void queue_write(void)
{
	const struct log_line *line = &queue.lines[queue.first % LOG_QUEUE_LINES];
	uint64_t lost = 0;

	pthread_mutex_unlock(&queue.lock);
	syslog(line->priority, "%s", line->text);
	pthread_mutex_lock(&queue.lock);
	queue.first++;
	if (queue.first == queue.lost_at) {
		lost = queue.lost;
		queue.lost = 0;
	}
	if (lost) {
		pthread_mutex_unlock(&queue.lock);
		syslog(LOG_WARNING,
			"[warning] %llu lines of the log are lost: syslog did not take them; see "
			"what holds it up, and the disk that it writes to",
			(unsigned long long)lost);
		pthread_mutex_lock(&queue.lock);
	}
}

static void *queue_run(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&queue.lock);
	while (queue.end != queue.first || !queue.closing) {
		if (queue.end != queue.first) {
			queue_write();
			continue;
		}
		queue.sleeping = true;
		pthread_cond_wait(&queue.filled, &queue.lock);
		queue.sleeping = false;
	}
	pthread_mutex_unlock(&queue.lock);
	return NULL;
}

int log_queue_open(const char *name)
{
	sigset_t all, old;
	int err;

	queue.closing = false;
	openlog(name, LOG_PID, LOG_DAEMON);
	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&queue.thread, NULL, queue_run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err) {
		pthread_setname_np(queue.thread, "log");
	}
	return -err;
}

void log_queue_close(void)
{
	struct timespec until;

	pthread_mutex_lock(&queue.lock);
	queue.closing = true;
	pthread_cond_signal(&queue.filled);
	pthread_mutex_unlock(&queue.lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_WAIT_S;
	if (pthread_timedjoin_np(queue.thread, NULL, &until)) {
		pthread_detach(queue.thread); /* it ends with the process */
	}
}
