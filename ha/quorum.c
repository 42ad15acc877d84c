/* SPDX-License-Identifier: BSD-3-Clause */
#include "quorum.h"

#include <corosync/corotypes.h>
#include <corosync/quorum.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "yoke/log.h"
#include "yoke/util.h"

#define RETRY_NS (50 * QB_TIME_NS_IN_MSEC)

struct quorum {
	struct quorum_setup setup;
	quorum_handle_t handle;
	bool open, polled, tracked, lost;
	int fd;
	qb_loop_timer_handle timer;
	bool timer_armed;
};

static void quorum_lose(struct quorum *q, const char *reason)
{
	if (!q->lost) {
		q->lost = true;
		q->setup.lost(q->setup.arg, reason);
	}
}

static void on_quorum(
	quorum_handle_t handle, uint32_t quorate, uint64_t ring, uint32_t count, uint32_t *list)
{
	const void *context = NULL;
	struct quorum *q;
	uint32_t nodes = 0;

	if (quorum_context_get(handle, &context) != CS_OK || !context) {
		return;
	}
	q = (struct quorum *)(uintptr_t)context;
	for (uint32_t i = 0; i < count; i++) {
		nodes |= list[i] < 32 ? 1u << list[i] : 0;
	}
	q->setup.changed(q->setup.arg, quorate != 0, nodes);
}

static void quorum_track(void *arg)
{
	struct quorum *q = arg;
	cs_error_t err = quorum_trackstart(q->handle, CS_TRACK_CURRENT | CS_TRACK_CHANGES);

	q->timer_armed = false;
	if (err == CS_ERR_TRY_AGAIN) {
		q->timer_armed = qb_loop_timer_add(q->setup.loop, QB_LOOP_HIGH, RETRY_NS, q,
					 quorum_track, &q->timer) == 0;
	} else if (err != CS_OK) {
		quorum_lose(q, "Corosync's quorum cannot be tracked");
	} else {
		q->tracked = true;
	}
}

static int on_readable(int32_t fd, int32_t revents, void *arg)
{
	struct quorum *q = arg;
	cs_error_t err;

	q->setup.before(q->setup.arg);
	err = quorum_dispatch(q->handle, CS_DISPATCH_ALL);
	if ((err != CS_OK && err != CS_ERR_TRY_AGAIN) || revents & (POLLERR | POLLNVAL)) {
		quorum_lose(q, "Corosync's quorum service does not answer");
	}
	q->setup.after(q->setup.arg);
	if (q->lost) {
		q->polled = false;
		qb_loop_poll_del(q->setup.loop, q->fd);
	}
	return 0;
}

static bool quorum_open(struct quorum *q, char *error, size_t error_size)
{
	quorum_model_v0_data_t model = {.model = QUORUM_MODEL_V0, .quorum_notify_fn = on_quorum};
	uint32_t type = QUORUM_FREE;
	cs_error_t err = quorum_model_initialize(
		&q->handle, QUORUM_MODEL_V0, (quorum_model_data_t *)(void *)&model, &type, q);

	if (err != CS_OK) {
		snprintf(error, error_size,
			"Corosync's quorum service cannot be opened (cs_error %d); is corosync "
			"running?",
			(int)err);
		return false;
	}
	q->open = true;
	if (type != QUORUM_SET) {
		snprintf(error, error_size,
			"Corosync has no quorum provider; set \"provider: corosync_votequorum\", "
			"\"two_node: 1\" in the quorum section of corosync.conf");
		return false;
	}
	if (quorum_fd_get(q->handle, &q->fd) != CS_OK ||
		qb_loop_poll_add(q->setup.loop, QB_LOOP_HIGH, q->fd, POLLIN | POLLERR, q,
			on_readable) != 0) {
		snprintf(error, error_size, "Corosync's quorum service cannot be watched");
		return false;
	}
	q->polled = true;
	return true;
}

struct quorum *quorum_new(const struct quorum_setup *setup, char *error, size_t error_size)
{
	struct quorum *q = calloc(1, sizeof(*q));

	if (!q) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	q->setup = *setup;
	if (!quorum_open(q, error, error_size)) {
		quorum_free(q);
		return NULL;
	}
	quorum_track(q);
	return q;
}

void quorum_free(struct quorum *q)
{
	if (!q) {
		return;
	}
	q->lost = true;
	if (q->polled) {
		qb_loop_poll_del(q->setup.loop, q->fd);
	}
	if (q->timer_armed) {
		qb_loop_timer_del(q->setup.loop, q->timer);
	}
	if (q->open) {
		quorum_finalize(q->handle);
	}
	free(q);
}
