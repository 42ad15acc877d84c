/* SPDX-License-Identifier: BSD-3-Clause */
#include "cpg.h"

#include <corosync/cpg.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "yoke/log.h"
#include "yoke/util.h"

#define RETRY_NS	(2 * QB_TIME_NS_IN_MSEC) /* flow control, or a membership being formed */
#define QUEUE_BYTES_MAX (8u << 20)

struct queued {
	struct queued *next;
	size_t size;
	uint8_t bytes[];
};

struct transport {
	struct transport_setup setup;
	struct cpg_name group;
	cpg_handle_t handle;
	int fd;
	bool polled, joined, lost;
	qb_loop_timer_handle timer;
	bool timer_armed;
	struct queued *head, **tail;
	size_t queued_bytes;
};

static const char *cs_name(cs_error_t err)
{
	switch (err) {
	case CS_ERR_LIBRARY:
		return "Corosync does not answer";
	case CS_ERR_TRY_AGAIN:
		return "Corosync is busy";
	case CS_ERR_ACCESS:
	case CS_ERR_SECURITY:
		return "Corosync refuses this user";
	case CS_ERR_BAD_HANDLE:
		return "the connection to Corosync is closed";
	case CS_ERR_TOO_MANY_GROUPS:
	case CS_ERR_NO_RESOURCES:
	case CS_ERR_NO_MEMORY:
		return "Corosync is out of resources";
	default:
		return "Corosync reports an error";
	}
}

static void transport_lose(struct transport *t, cs_error_t err)
{
	if (!t->lost) {
		t->lost = true;
		log_err("CPG group %s: %s (cs_error %d)", t->group.value, cs_name(err), (int)err);
		t->setup.lost(t->setup.arg, cs_name(err));
	}
}

/* ----- sending ------------------------------------------------------------------------------- */

static void transport_retry(void *arg);

static void timer_arm(struct transport *t)
{
	if (!t->timer_armed && !t->lost) {
		t->timer_armed = qb_loop_timer_add(t->setup.loop, QB_LOOP_HIGH, RETRY_NS, t,
					 transport_retry, &t->timer) == 0;
	}
}

/* Sends what is queued as far as flow control lets it. */
static void transport_flush(struct transport *t)
{
	while (t->joined && t->head && !t->lost) {
		struct queued *q = t->head;
		struct iovec iov = {.iov_base = q->bytes, .iov_len = q->size};
		cs_error_t err = cpg_mcast_joined(t->handle, CPG_TYPE_AGREED, &iov, 1);

		if (err == CS_ERR_TRY_AGAIN) {
			timer_arm(t);
			return;
		}
		if (err != CS_OK) {
			transport_lose(t, err);
			return;
		}
		t->head = q->next;
		if (!t->head) {
			t->tail = &t->head;
		}
		t->queued_bytes -= q->size;
		free(q);
	}
}

static void transport_join(struct transport *t)
{
	cs_error_t err = cpg_join(t->handle, &t->group);

	if (err == CS_ERR_TRY_AGAIN) {
		timer_arm(t);
	} else if (err != CS_OK) {
		transport_lose(t, err);
	} else {
		t->joined = true;
		transport_flush(t);
	}
}

static void transport_retry(void *arg)
{
	struct transport *t = arg;

	t->timer_armed = false;
	if (!t->joined) {
		transport_join(t);
	} else {
		transport_flush(t);
	}
}

void transport_send(struct transport *t, const void *bytes, size_t size)
{
	struct queued *q;

	if (t->lost) {
		return;
	}
	q = malloc(sizeof(*q) + size);
	if (!q || t->queued_bytes + size > QUEUE_BYTES_MAX) {
		free(q);
		transport_lose(t, CS_ERR_NO_MEMORY); /* a message left out would be a lie */
		return;
	}
	q->next = NULL;
	q->size = size;
	memcpy(q->bytes, bytes, size);
	*t->tail = q;
	t->tail = &q->next;
	t->queued_bytes += size;
	transport_flush(t);
}

/* ----- receiving ----------------------------------------------------------------------------- */

static struct transport *transport_of(cpg_handle_t handle)
{
	void *context = NULL;

	return cpg_context_get(handle, &context) == CS_OK ? context : NULL;
}

static void on_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node,
	uint32_t pid, void *bytes, size_t size)
{
	struct transport *t = transport_of(handle);

	if (t) {
		t->setup.deliver(t->setup.arg, node, pid, bytes, size);
	}
}

static void on_confchg(cpg_handle_t handle, const struct cpg_name *group,
	const struct cpg_address *members, size_t count, const struct cpg_address *left,
	size_t left_count, const struct cpg_address *joined, size_t joined_count)
{
	struct transport_member now[CPG_MEMBERS_MAX], gone[CPG_MEMBERS_MAX];
	struct transport *t = transport_of(handle);
	bool node_down = false;

	if (!t || count > CPG_MEMBERS_MAX || left_count > CPG_MEMBERS_MAX) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		now[i] = (struct transport_member){members[i].nodeid, members[i].pid};
	}
	for (size_t i = 0; i < left_count; i++) {
		gone[i] = (struct transport_member){left[i].nodeid, left[i].pid};
		/* Anything but the word of the node itself that its process has ended. */
		node_down = node_down || (left[i].reason != CPG_REASON_LEAVE &&
						 left[i].reason != CPG_REASON_PROCDOWN);
	}
	t->setup.members(t->setup.arg, now, count, gone, left_count, node_down);
}

static int on_readable(int32_t fd, int32_t revents, void *arg)
{
	struct transport *t = arg;
	cs_error_t err;

	t->setup.before(t->setup.arg);
	err = cpg_dispatch(t->handle, CS_DISPATCH_ALL);
	if (err != CS_OK && err != CS_ERR_TRY_AGAIN) {
		transport_lose(t, err);
	} else if (revents & (POLLERR | POLLNVAL)) {
		transport_lose(t, CS_ERR_LIBRARY);
	} else {
		transport_flush(t);
	}
	t->setup.after(t->setup.arg);
	if (t->lost) {
		t->polled = false;
		qb_loop_poll_del(t->setup.loop, t->fd);
	}
	return 0;
}

/* ----- the ends ------------------------------------------------------------------------------ */

static bool transport_open(struct transport *t, char *error, size_t error_size)
{
	cpg_model_v1_data_t model = {
		.model = CPG_MODEL_V1,
		.cpg_deliver_fn = on_deliver,
		.cpg_confchg_fn = on_confchg,
	};
	unsigned node = 0;
	cs_error_t err = cpg_model_initialize(
		&t->handle, CPG_MODEL_V1, (cpg_model_data_t *)(void *)&model, t);

	if (err != CS_OK) {
		snprintf(error, error_size,
			"CPG of cluster %s cannot be opened: %s (cs_error %d); start it with "
			"\"systemctl start corosync\" and run yoked as root",
			t->setup.cluster, cs_name(err), (int)err);
		t->handle = 0;
		return false;
	}
	err = cpg_local_get(t->handle, &node);
	if (err == CS_OK && node != t->setup.node) {
		snprintf(error, error_size,
			"Corosync's node id here is %u, the configuration says controller %u; make "
			"nodeid in corosync.conf and id in the configuration the same",
			node, t->setup.node);
		return false;
	}
	if (err == CS_OK) {
		err = cpg_fd_get(t->handle, &t->fd);
	}
	if (err != CS_OK || qb_loop_poll_add(t->setup.loop, QB_LOOP_HIGH, t->fd, POLLIN | POLLERR,
				    t, on_readable) != 0) {
		snprintf(error, error_size, "CPG of cluster %s cannot be used: %s",
			t->setup.cluster, cs_name(err));
		return false;
	}
	t->polled = true;
	return true;
}

struct transport *transport_new(const struct transport_setup *setup, char *error, size_t error_size)
{
	struct transport *t = calloc(1, sizeof(*t));
	int length;

	if (!t) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	t->setup = *setup;
	t->tail = &t->head;
	length = snprintf(t->group.value, sizeof(t->group.value), "yoke:%s", setup->cluster);
	if (length < 0 || (size_t)length >= sizeof(t->group.value)) {
		snprintf(error, error_size,
			"the cluster name %s is too long; use at most 120 characters",
			setup->cluster);
		free(t);
		return NULL;
	}
	t->group.length = (uint32_t)length;
	if (!transport_open(t, error, error_size)) {
		transport_free(t);
		return NULL;
	}
	transport_join(t);
	return t;
}

void transport_free(struct transport *t)
{
	if (!t) {
		return;
	}
	t->lost = true; /* nobody is told any more */
	if (t->polled) {
		qb_loop_poll_del(t->setup.loop, t->fd);
	}
	if (t->timer_armed) {
		qb_loop_timer_del(t->setup.loop, t->timer);
	}
	if (t->joined) {
		cpg_leave(t->handle, &t->group);
	}
	if (t->handle) {
		cpg_finalize(t->handle);
	}
	while (t->head) {
		struct queued *q = t->head;

		t->head = q->next;
		free(q);
	}
	free(t);
}
