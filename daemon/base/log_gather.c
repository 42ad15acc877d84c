/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/base/log_gather.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "yoke/util.h"

static const int gather_signals[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};

static struct {
	pthread_mutex_t lock;
	atomic_size_t filled; /* changed with the lock; a signal reads it without */
	char text[LOG_GATHER_BYTES];
	struct sigaction before[ARRAY_SIZE(gather_signals)];
	bool at_exit;
} gather = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Safe in a signal. What standard error does not take is given up, as by stdio. */
static void gather_out(const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(STDERR_FILENO, text, bytes);

		if (n < 0 && errno != EINTR) {
			return;
		}
		if (n > 0) {
			text += n;
			bytes -= (size_t)n;
		}
	}
}

static void gather_empty(void)
{
	gather_out(gather.text, atomic_load_explicit(&gather.filled, memory_order_relaxed));
	atomic_store_explicit(&gather.filled, 0, memory_order_relaxed);
}

/*
 * A fault happens again, now with what was there before; a signal that was sent is sent again. The
 * lock is of no use here: at worst lines come twice.
 */
static void gather_fatal(int number, siginfo_t *info, void *context)
{
	(void)context;
	for (size_t i = 0; i < ARRAY_SIZE(gather_signals); i++) {
		sigaction(gather_signals[i], &gather.before[i], NULL);
	}
	gather_out(gather.text, atomic_load_explicit(&gather.filled, memory_order_acquire));
	if (info->si_code <= 0) {
		raise(number);
	}
}

void log_gather_open(void)
{
	struct sigaction action = {
		.sa_sigaction = gather_fatal, .sa_flags = SA_SIGINFO | SA_NODEFER};

	for (size_t i = 0; i < ARRAY_SIZE(gather_signals); i++) {
		sigaction(gather_signals[i], &action, &gather.before[i]);
	}
	if (!gather.at_exit) {
		gather.at_exit = atexit(log_gather_write) == 0;
	}
}

void log_gather_push(const char *line, bool keep)
{
	size_t length = strlen(line), filled;

	length = length < LOG_GATHER_BYTES - 1 ? length : LOG_GATHER_BYTES - 1;
	pthread_mutex_lock(&gather.lock);
	if (atomic_load_explicit(&gather.filled, memory_order_relaxed) + length + 1 >
		LOG_GATHER_BYTES) {
		gather_empty();
	}
	filled = atomic_load_explicit(&gather.filled, memory_order_relaxed);
	memcpy(gather.text + filled, line, length);
	gather.text[filled + length] = '\n';
	atomic_store_explicit(&gather.filled, filled + length + 1, memory_order_release);
	if (!keep) {
		gather_empty();
	}
	pthread_mutex_unlock(&gather.lock);
}

void log_gather_write(void)
{
	if (atomic_load_explicit(&gather.filled, memory_order_relaxed) == 0) {
		return;
	}
	pthread_mutex_lock(&gather.lock);
	gather_empty();
	pthread_mutex_unlock(&gather.lock);
}

void log_gather_close(void)
{
	log_gather_write();
	for (size_t i = 0; i < ARRAY_SIZE(gather_signals); i++) {
		sigaction(gather_signals[i], &gather.before[i], NULL);
	}
}
