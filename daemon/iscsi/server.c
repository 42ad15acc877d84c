/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/server.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/iscsi/adopt.h"
#include "daemon/iscsi/cmd.h"
#include "daemon/iscsi/listener.h"
#include "daemon/iscsi/tmf.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define ISCSI_STARVED_RETRY_MS 5u

/* --- those that wait for buffers --- */

void iscsi_starved_add(struct iscsi_reactor *home, struct iscsi_starved *starved)
{
	if (starved->waiting) {
		return;
	}
	starved->waiting = true;
	qb_list_add_tail(&starved->link, &home->starved);
	if (!reactor_timer_is_set(&home->starved_timer)) {
		reactor_timer_set(home->reactor, &home->starved_timer, ISCSI_STARVED_RETRY_MS);
	}
}

void iscsi_starved_remove(struct iscsi_starved *starved)
{
	if (starved->waiting) {
		starved->waiting = false;
		qb_list_del(&starved->link);
	}
}

void iscsi_starved_wake(struct iscsi_reactor *home)
{
	if (!qb_list_empty(&home->starved)) {
		reactor_defer(home->reactor, &home->starved_defer);
	}
}

/* Each tries once, in order; those that fail keep their places. A retry may add or end others. */
static void iscsi_starved_run(struct iscsi_reactor *home)
{
	struct qb_list_head again;

	qb_list_init(&again);
	qb_list_splice(&home->starved, &again);
	qb_list_init(&home->starved);
	while (!qb_list_empty(&again)) {
		struct iscsi_starved *starved =
			qb_list_first_entry(&again, struct iscsi_starved, link);

		iscsi_starved_remove(starved);
		if (!starved->retry(starved)) {
			starved->waiting = true;
			qb_list_add_tail(&starved->link, &home->starved);
		}
	}
	if (!qb_list_empty(&home->starved) && !reactor_timer_is_set(&home->starved_timer)) {
		reactor_timer_set(home->reactor, &home->starved_timer, ISCSI_STARVED_RETRY_MS);
	}
}

static void iscsi_starved_deferred(struct reactor_defer *defer)
{
	iscsi_starved_run(container_of(defer, struct iscsi_reactor, starved_defer));
}

static void iscsi_starved_timer(struct reactor_timer *timer)
{
	iscsi_starved_run(container_of(timer, struct iscsi_reactor, starved_timer));
}

/* --- reactors --- */

struct iscsi_reactor *iscsi_reactor_pick(struct iscsi *iscsi)
{
	struct iscsi_reactor *best = &iscsi->reactors[0];
	unsigned least = UINT_MAX;

	for (unsigned i = 0; i < iscsi->setup.reactor_count; i++) {
		unsigned n = atomic_load(&iscsi->reactors[i].connections);

		if (n < least) {
			least = n;
			best = &iscsi->reactors[i];
		}
	}
	return best;
}

/* On the control thread: one reactor has no connection any more. */
static void iscsi_reactor_stopped(struct mailbox_msg *msg)
{
	struct iscsi_reactor *home = container_of(msg, struct iscsi_reactor, stopped_msg);
	struct iscsi *iscsi = home->iscsi;

	if (--iscsi->reactors_left == 0) {
		log_notice("iscsi: every connection is closed");
		iscsi->stopped(iscsi->stopped_arg);
	}
}

/* Once; a connection that was on its way here from another reactor may come and go later. */
static void iscsi_reactor_tell_stopped(struct iscsi_reactor *home)
{
	if (!home->stopped) {
		home->stopped = true;
		mailbox_post(home->iscsi->setup.control, &home->stopped_msg);
	}
}

void iscsi_reactor_conn_left(struct iscsi_reactor *home)
{
	iscsi_reload_check(home);
	if (atomic_fetch_sub(&home->connections, 1) == 1 && home->stopping) {
		iscsi_reactor_tell_stopped(home);
	}
}

void iscsi_reactor_conn_gone(struct iscsi_reactor *home)
{
	atomic_fetch_sub(&home->iscsi->connections, 1);
	iscsi_reactor_conn_left(home);
}

/* No connection can come any more: reactor 0 has closed the portals before it sent this. */
static void iscsi_reactor_stop(struct mailbox_msg *msg)
{
	struct iscsi_reactor *home = container_of(msg, struct iscsi_reactor, stop_msg);
	struct qb_list_head *pos, *next;

	home->stopping = true;
	if (atomic_load(&home->connections) == 0) {
		iscsi_reactor_tell_stopped(home);
		return;
	}
	qb_list_for_each_safe (pos, next, &home->conns) {
		iscsi_conn_stop(qb_list_entry(pos, struct iscsi_conn, link));
	}
}

static bool iscsi_reactor_init(
	struct iscsi_reactor *home, struct iscsi *iscsi, struct reactor *reactor)
{
	home->iscsi = iscsi;
	home->conf = iscsi->setup.conf;
	home->secrets = iscsi->setup.secrets;
	home->reactor = reactor;
	qb_list_init(&home->conns);
	qb_list_init(&home->logins);
	qb_list_init(&home->starved);
	iscsi_pool_init(&home->cmds, sizeof(struct iscsi_cmd));
	iscsi_pool_init(&home->tmfs, sizeof(struct iscsi_tmf));
	iscsi_pool_init(&home->txs, sizeof(struct iscsi_tx));
	home->scratch = malloc(ISCSI_SCRATCH_BYTES);
	home->reply = malloc(sizeof(*home->reply));
	home->starved_defer.fn = iscsi_starved_deferred;
	home->starved_timer.fired = iscsi_starved_timer;
	home->share_bytes = buf_pool_limit(reactor_buffers(reactor)) / 2;
	home->early_limit = buf_pool_limit(reactor_buffers(reactor)) / 4;
	home->stop_msg.fn = iscsi_reactor_stop;
	home->stopped_msg.fn = iscsi_reactor_stopped;
	reactor_slot_set(reactor, REACTOR_SLOT_ISCSI, home);
	return home->scratch && home->reply;
}

static void iscsi_reactor_clear(struct iscsi_reactor *home)
{
	if (!home->reactor) {
		return;
	}
	reactor_timer_cancel(home->reactor, &home->starved_timer);
	reactor_slot_set(home->reactor, REACTOR_SLOT_ISCSI, NULL);
	iscsi_pool_clear(&home->cmds);
	iscsi_pool_clear(&home->tmfs);
	iscsi_pool_clear(&home->txs);
	free(home->scratch);
	free(home->reply);
}

/* --- the server --- */

/* On reactor 0. */
static void iscsi_listen_fn(struct mailbox_msg *msg)
{
	struct iscsi *iscsi = container_of(msg, struct iscsi, listen_msg);

	for (unsigned i = 0; i < iscsi->listener_count; i++) {
		if (iscsi->listeners[i].controller == iscsi->setup.controller) {
			iscsi_listener_start(&iscsi->listeners[i]);
		}
	}
}

/* On reactor 0. What it posted before, new connections, arrives before these. */
static void iscsi_shut_fn(struct mailbox_msg *msg)
{
	struct iscsi *iscsi = container_of(msg, struct iscsi, shut_msg);

	for (unsigned i = 0; i < iscsi->listener_count; i++) {
		iscsi_listener_close(&iscsi->listeners[i]);
	}
	for (unsigned i = 0; i < iscsi->setup.reactor_count; i++) {
		reactor_post(iscsi->reactors[i].reactor, &iscsi->reactors[i].stop_msg);
	}
}

/* One for each portal: of this controller, and of the other when they may be adopted. */
static bool iscsi_listeners_init(struct iscsi *iscsi)
{
	const struct conf *conf = iscsi->setup.conf;
	unsigned count = 0;

	for (unsigned c = 0; c < conf->controller_count; c++) {
		count += conf->controllers[c].portal_count;
	}
	iscsi->listeners = calloc(count, sizeof(*iscsi->listeners));
	if (!iscsi->listeners) {
		return false;
	}
	for (unsigned c = 0; c < conf->controller_count; c++) {
		const struct conf_controller *controller = &conf->controllers[c];

		if (controller != iscsi->controller && !conf->portal_adoption) {
			continue;
		}
		for (unsigned i = 0; i < controller->portal_count; i++) {
			struct iscsi_listener *listener =
				&iscsi->listeners[iscsi->listener_count++];

			listener->iscsi = iscsi;
			listener->rfd.fd = -1;
			listener->portal = &controller->portals[i];
			listener->controller = controller->id;
			listener->rtpi = (uint16_t)(controller->id * 256 + i + 1);
		}
	}
	return true;
}

struct iscsi *iscsi_new(const struct iscsi_setup *setup, char *error, size_t error_size)
{
	struct iscsi *iscsi = calloc(1, sizeof(*iscsi));
	bool ok;

	if (!iscsi) {
		snprintf(error, error_size, "iSCSI server: out of memory");
		return NULL;
	}
	iscsi->setup = *setup;
	iscsi->listen_msg.fn = iscsi_listen_fn;
	iscsi->shut_msg.fn = iscsi_shut_fn;
	iscsi->controller = conf_controller_by_id(setup->conf, setup->controller);
	if (!iscsi->controller) {
		snprintf(error, error_size,
			"iSCSI server: controller %u is not in %s; add it under controllers",
			setup->controller,
			setup->conf->path ? setup->conf->path : "the configuration");
		free(iscsi);
		return NULL;
	}
	iscsi->reactors = calloc(setup->reactor_count, sizeof(*iscsi->reactors));
	ok = iscsi->reactors && iscsi_registry_init(&iscsi->registry) == 0 &&
	     iscsi_listeners_init(iscsi);
	for (unsigned i = 0; ok && i < setup->reactor_count; i++) {
		ok = iscsi_reactor_init(&iscsi->reactors[i], iscsi, setup->reactors[i]);
	}
	if (!ok) {
		snprintf(error, error_size, "iSCSI server: out of memory for %u reactors",
			setup->reactor_count);
		iscsi_free(iscsi);
		return NULL;
	}
	return iscsi;
}

void iscsi_free(struct iscsi *iscsi)
{
	if (!iscsi) {
		return;
	}
	for (unsigned i = 0; i < iscsi->listener_count; i++) {
		iscsi_listener_close(&iscsi->listeners[i]);
	}
	for (unsigned i = 0; iscsi->reactors && i < iscsi->setup.reactor_count; i++) {
		iscsi_reactor_clear(&iscsi->reactors[i]);
	}
	iscsi_registry_clear(&iscsi->registry);
	iscsi_adoption_free(iscsi);
	free(iscsi->listeners);
	free(iscsi->reactors);
	free(iscsi);
}

int iscsi_listen(struct iscsi *iscsi, char *error, size_t error_size)
{
	if (iscsi->listening) {
		return 0;
	}
	for (unsigned i = 0; i < iscsi->listener_count; i++) {
		struct iscsi_listener *listener = &iscsi->listeners[i];
		int err = listener->controller == iscsi->setup.controller
				  ? iscsi_listener_open(listener, error, error_size)
				  : 0;

		if (err < 0) {
			while (i-- > 0) {
				iscsi_listener_close(&iscsi->listeners[i]);
			}
			return err;
		}
	}
	iscsi->listening = true;
	reactor_post(iscsi->reactors[0].reactor, &iscsi->listen_msg);
	return 0;
}

void iscsi_stop(struct iscsi *iscsi, void (*stopped)(void *arg), void *arg)
{
	if (iscsi->stopping) {
		return;
	}
	iscsi->stopping = true;
	iscsi->stopped = stopped;
	iscsi->stopped_arg = arg;
	iscsi->reactors_left = iscsi->setup.reactor_count;
	reactor_post(iscsi->reactors[0].reactor, &iscsi->shut_msg);
}

struct iscsi_sessions_call {
	void (*each)(const struct iscsi_session_info *info, void *arg);
	void *arg;
};

static void iscsi_sessions_one(const struct iscsi_session *session, void *arg)
{
	const struct iscsi_sessions_call *call = arg;
	struct iscsi_session_info info = {
		.tsih = session->tsih,
		.initiator = session->initiator,
		.alias = session->alias,
		.target = session->discovery ? NULL : session->target,
		.initiator_address = session->initiator_address,
		.user = session->user,
		.connections = atomic_load(&session->connections),
		.portal = session->portal,
		.reactor = reactor_index(session->home->reactor),
		.since_unix_s = session->since_unix_s,
	};

	memcpy(info.isid, session->isid, sizeof(info.isid));
	call->each(&info, call->arg);
}

void iscsi_sessions(struct iscsi *iscsi,
	void (*each)(const struct iscsi_session_info *info, void *arg), void *arg)
{
	struct iscsi_sessions_call call = {.each = each, .arg = arg};

	iscsi_registry_each(&iscsi->registry, iscsi_sessions_one, &call);
}

unsigned iscsi_session_count(struct iscsi *iscsi)
{
	return iscsi_registry_normal(&iscsi->registry);
}
