/* SPDX-License-Identifier: BSD-3-Clause */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "yoke/child.h"
#include "yoke/log.h"

struct spawn {
	qb_loop_t *loop;
	spawn_done_fn *done;
	void *arg;
	pid_t pid;
	int pid_fd, out_fd;
	bool pid_polled, out_polled, timer_armed, timed_out;
	qb_loop_timer_handle timer;
	char *output;
	size_t length, size;
};

static void spawn_free(struct spawn *s)
{
	if (s->pid_polled) {
		qb_loop_poll_del(s->loop, s->pid_fd);
	}
	if (s->out_polled) {
		qb_loop_poll_del(s->loop, s->out_fd);
	}
	if (s->timer_armed) {
		qb_loop_timer_del(s->loop, s->timer);
	}
	if (s->pid_fd >= 0) {
		close(s->pid_fd);
	}
	if (s->out_fd >= 0) {
		close(s->out_fd);
	}
	free(s->output);
	free(s);
}

/* True at the end of the output, or when nothing of it can be kept any more. */
static bool output_read(struct spawn *s)
{
	char chunk[4096];

	for (;;) {
		ssize_t n = read(s->out_fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return errno != EAGAIN;
		}
		if (n == 0) {
			return true;
		}
		if (s->length + (size_t)n >= s->size && s->size < SPAWN_OUTPUT_MAX) {
			size_t size = s->size ? s->size * 4 : 8192;
			char *more = realloc(s->output, size);

			if (more) {
				s->output = more;
				s->size = size;
			}
		}
		if (s->length + (size_t)n < s->size) {
			memcpy(s->output + s->length, chunk, (size_t)n);
			s->length += (size_t)n;
		} /* else read on, so that the program can end */
	}
}

static int on_output(int32_t fd, int32_t revents, void *arg)
{
	struct spawn *s = arg;

	if (output_read(s)) {
		s->out_polled = false;
		qb_loop_poll_del(s->loop, s->out_fd);
	}
	return 0;
}

static int on_ended(int32_t fd, int32_t revents, void *arg)
{
	struct spawn *s = arg;
	siginfo_t info = {0};
	int status = -ECHILD;

	if (waitid(P_PIDFD, (id_t)s->pid_fd, &info, WEXITED) == 0) {
		status = info.si_code == CLD_EXITED ? info.si_status : -EINTR;
	}
	if (s->timed_out) {
		status = -ETIME;
	}
	output_read(s);
	if (s->output) {
		s->output[s->length] = '\0';
	}
	s->done(s->arg, status, s->output ? s->output : "", s->length);
	spawn_free(s);
	return 0;
}

static void on_timeout(void *arg)
{
	struct spawn *s = arg;

	s->timer_armed = false;
	s->timed_out = true;
	pidfd_send_signal(s->pid_fd, SIGKILL, NULL, 0);
}

struct spawn *spawn_run(qb_loop_t *loop, const char *const *argv, unsigned timeout_ms,
	spawn_done_fn *done, void *arg)
{
	struct spawn *s = calloc(1, sizeof(*s));
	int out[2] = {-1, -1}, err;

	if (!s || pipe2(out, O_CLOEXEC) != 0) {
		free(s);
		return NULL;
	}
	s->loop = loop;
	s->done = done;
	s->arg = arg;
	s->pid_fd = -1;
	s->out_fd = out[0];
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	err = child_start(argv[0], argv, -1, out[1], &s->pid);
	close(out[1]);
	if (err) {
		log_warning(
			"%s cannot be run: %s; is Pacemaker installed?", argv[0], strerror(-err));
		spawn_free(s);
		return NULL;
	}
	s->pid_fd = pidfd_open(s->pid, 0);
	s->pid_polled = s->pid_fd >= 0 &&
			qb_loop_poll_add(loop, QB_LOOP_MED, s->pid_fd, POLLIN, s, on_ended) == 0;
	s->out_polled = qb_loop_poll_add(loop, QB_LOOP_MED, s->out_fd, POLLIN, s, on_output) == 0;
	s->timer_armed = qb_loop_timer_add(loop, QB_LOOP_MED, timeout_ms * QB_TIME_NS_IN_MSEC, s,
				 on_timeout, &s->timer) == 0;
	if (!s->pid_polled) {
		log_warning("%s cannot be watched: out of descriptors", argv[0]);
		spawn_cancel(s);
		return NULL;
	}
	return s;
}

void spawn_cancel(struct spawn *s)
{
	int status;

	kill(s->pid, SIGKILL);
	waitpid(s->pid, &status, 0);
	spawn_free(s);
}
