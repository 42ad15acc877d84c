/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "state.h"
#include "yoke/util.h"

struct state_writer {
	const char *dir;
	struct mailbox *control;
	void (*saved)(void *arg, uint64_t seq, int err);
	void *arg;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool ending;
	/* Under the lock: what to write next, and what has come of the earlier ones. */
	uint8_t *next, *spare;
	int next_length; /* 0 = nothing pending, negative = could not be encoded */
	uint64_t next_seq;
	uint64_t saved_seq, failed_seq;
	int failed_err;
	bool posted;
	struct mailbox_msg msg;
	/* The control thread's. */
	uint64_t told_saved, told_failed;
};

static void writer_report(struct mailbox_msg *msg)
{
	struct state_writer *w = container_of(msg, struct state_writer, msg);
	uint64_t saved, failed;
	int err;

	pthread_mutex_lock(&w->lock);
	w->posted = false;
	saved = w->saved_seq;
	failed = w->failed_seq;
	err = w->failed_err;
	pthread_mutex_unlock(&w->lock);
	if (saved > w->told_saved) {
		w->told_saved = saved;
		w->saved(w->arg, saved, 0);
	}
	if (failed > w->told_failed) {
		w->told_failed = failed;
		w->saved(w->arg, failed, err);
	}
}

/* With the lock held. */
static void writer_done(struct state_writer *w, uint64_t seq, int err)
{
	if (err) {
		w->failed_seq = seq;
		w->failed_err = err;
	} else {
		w->saved_seq = seq;
	}
	if (!w->posted && !w->ending) {
		w->posted = true;
		mailbox_post(w->control, &w->msg);
	}
}

static void *writer_run(void *arg)
{
	struct state_writer *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		uint8_t *taken = w->next;
		uint64_t seq = w->next_seq;
		int length = w->next_length, err = length < 0 ? length : 0;

		if (!length) {
			if (w->ending) {
				break;
			}
			pthread_cond_wait(&w->wake, &w->lock);
			continue;
		}
		w->next_length = 0;
		w->next = w->spare; /* the control thread fills the other one meanwhile */
		w->spare = taken;
		if (!err) {
			pthread_mutex_unlock(&w->lock);
			err = state_store(w->dir, taken, (size_t)length);
			pthread_mutex_lock(&w->lock);
		}
		writer_done(w, seq, err);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct state_writer *state_writer_new(const char *dir, struct mailbox *control,
	void (*saved)(void *arg, uint64_t seq, int err), void *arg)
{
	struct state_writer *w = calloc(1, sizeof(*w));

	if (!w) {
		return NULL;
	}
	w->dir = dir;
	w->control = control;
	w->saved = saved;
	w->arg = arg;
	w->msg.fn = writer_report;
	w->next = malloc(STATE_BYTES_MAX);
	w->spare = malloc(STATE_BYTES_MAX);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	if (!w->next || !w->spare || pthread_create(&w->thread, NULL, writer_run, w) != 0) {
		free(w->next);
		free(w->spare);
		free(w);
		return NULL;
	}
	return w;
}

void state_writer_put(struct state_writer *w, const struct state *state, uint64_t seq)
{
	pthread_mutex_lock(&w->lock);
	w->next_length = state_encode(state, w->next, STATE_BYTES_MAX);
	w->next_seq = seq;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void state_writer_free(struct state_writer *w)
{
	if (!w) {
		return;
	}
	pthread_mutex_lock(&w->lock);
	w->ending = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	w->told_saved = w->told_failed = UINT64_MAX; /* nobody is told any more */
	while (w->posted) {
		mailbox_run(w->control);
	}
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w->next);
	free(w->spare);
	free(w);
}
