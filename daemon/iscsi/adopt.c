/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/adopt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/iscsi/conn.h"
#include "daemon/iscsi/listener.h"
#include "daemon/iscsi/server.h"
#include "daemon/iscsi/session.h"
#include "yoke/log.h"
#include "yoke/util.h"

/* A word to reactor 0 (open, or close), then to every reactor (drop), then back. */
struct iscsi_adoption_part {
	struct mailbox_msg msg;
	struct iscsi_adoption *adoption;
	struct iscsi_reactor *home;
};

struct iscsi_adoption {
	struct iscsi *iscsi;
	struct mailbox_msg msg;
	atomic_uint left;
	void (*done)(void *arg);
	void *arg;
	struct iscsi_adoption_part parts[];
};

static bool is_adopted(const struct iscsi_listener *listener)
{
	return listener->controller != listener->iscsi->setup.controller;
}

static struct iscsi_adoption *adoption_new(struct iscsi *iscsi)
{
	unsigned count = iscsi->setup.reactor_count;
	struct iscsi_adoption *a = calloc(1, sizeof(*a) + count * sizeof(a->parts[0]));

	if (a) {
		a->iscsi = iscsi;
		atomic_init(&a->left, count);
	}
	return a;
}

void iscsi_adoption_free(struct iscsi *iscsi)
{
	free(iscsi->adoption);
	iscsi->adoption = NULL;
}

static void give_back_start(struct iscsi_adoption *a);

/* ----- open ----------------------------------------------------------------------------------- */

static void opened(struct mailbox_msg *msg)
{
	struct iscsi_adoption *a = container_of(msg, struct iscsi_adoption, msg);

	if (a->done) { /* they are wanted back already */
		give_back_start(a);
	} else {
		iscsi_adoption_free(a->iscsi);
	}
}

/* On reactor 0. */
static void open_fn(struct mailbox_msg *msg)
{
	struct iscsi_adoption *a = container_of(msg, struct iscsi_adoption, msg);
	struct iscsi *iscsi = a->iscsi;

	for (unsigned i = 0; i < iscsi->listener_count; i++) {
		if (is_adopted(&iscsi->listeners[i])) {
			iscsi_listener_start(&iscsi->listeners[i]);
		}
	}
	a->msg.fn = opened;
	mailbox_post(iscsi->setup.control, &a->msg);
}

int iscsi_adopt(struct iscsi *iscsi, char *error, size_t error_size)
{
	if (iscsi->adoption || iscsi->stopping) {
		snprintf(error, error_size,
			"portals: another change of the adopted portals is under way");
		return -EBUSY;
	}
	iscsi->adoption = adoption_new(iscsi);
	if (!iscsi->adoption) {
		snprintf(error, error_size, "portals: out of memory");
		return -ENOMEM;
	}
	for (unsigned i = 0; i < iscsi->listener_count; i++) {
		struct iscsi_listener *listener = &iscsi->listeners[i];
		int err =
			is_adopted(listener) ? iscsi_listener_open(listener, error, error_size) : 0;

		if (err < 0) {
			while (i-- > 0) {
				if (is_adopted(&iscsi->listeners[i])) {
					iscsi_listener_close(&iscsi->listeners[i]);
				}
			}
			iscsi_adoption_free(iscsi);
			return err;
		}
	}
	iscsi->adoption->msg.fn = open_fn;
	reactor_post(iscsi->reactors[0].reactor, &iscsi->adoption->msg);
	return 0;
}

/* ----- give back ------------------------------------------------------------------------------ */

static void given_back(struct mailbox_msg *msg)
{
	struct iscsi_adoption *a = container_of(msg, struct iscsi_adoption, msg);
	void (*done)(void *arg) = a->done;
	void *arg = a->arg;

	iscsi_adoption_free(a->iscsi);
	done(arg);
}

static void drop_fn(struct mailbox_msg *msg)
{
	struct iscsi_adoption_part *part = container_of(msg, struct iscsi_adoption_part, msg);
	struct iscsi_adoption *a = part->adoption;
	struct qb_list_head *pos, *next;

	qb_list_for_each_safe (pos, next, &part->home->conns) {
		struct iscsi_conn *conn = qb_list_entry(pos, struct iscsi_conn, link);

		if (is_adopted(conn->listener)) {
			iscsi_conn_drop(conn, "its portal goes back to its controller");
		}
	}
	if (atomic_fetch_sub(&a->left, 1) == 1) {
		a->msg.fn = given_back;
		mailbox_post(a->iscsi->setup.control, &a->msg);
	}
}

/* On reactor 0: what it has accepted before arrives at the others before the parts. */
static void close_fn(struct mailbox_msg *msg)
{
	struct iscsi_adoption *a = container_of(msg, struct iscsi_adoption, msg);
	struct iscsi *iscsi = a->iscsi;
	unsigned count = iscsi->setup.reactor_count;

	for (unsigned i = 0; i < iscsi->listener_count; i++) {
		if (is_adopted(&iscsi->listeners[i])) {
			iscsi_listener_close(&iscsi->listeners[i]);
		}
	}
	for (unsigned i = 0; i < count; i++) { /* the last may free it */
		reactor_post(iscsi->reactors[i].reactor, &a->parts[i].msg);
	}
}

static void give_back_start(struct iscsi_adoption *a)
{
	for (unsigned i = 0; i < a->iscsi->setup.reactor_count; i++) {
		a->parts[i] = (struct iscsi_adoption_part){
			.adoption = a, .home = &a->iscsi->reactors[i], .msg.fn = drop_fn};
	}
	a->msg.fn = close_fn;
	reactor_post(a->iscsi->reactors[0].reactor, &a->msg);
}

void iscsi_give_back(struct iscsi *iscsi, void (*done)(void *arg), void *arg)
{
	bool opening = iscsi->adoption;

	if (!opening) {
		iscsi->adoption = adoption_new(iscsi);
	}
	if (!iscsi->adoption) {
		/* A daemon that cannot give them back must not keep them from their controller. */
		log_err("portals: out of memory: the adopted portals cannot be given back; ending, "
			"so that "
			"their controller can have them");
		abort();
	}
	iscsi->adoption->done = done;
	iscsi->adoption->arg = arg;
	if (!opening) {
		give_back_start(iscsi->adoption);
	}
}

/* ----- hosts ---------------------------------------------------------------------------------- */

struct hosts_call {
	struct iscsi *iscsi;
	void (*each)(void *arg, uint16_t rtpi, const struct sockaddr_storage *peer);
	void *arg;
};

static void hosts_one(const struct iscsi_session *session, void *arg)
{
	const struct hosts_call *call = arg;

	if (session->controller == call->iscsi->setup.controller) {
		call->each(call->arg, session->rtpi, &session->peer_address);
	}
}

void iscsi_hosts(struct iscsi *iscsi,
	void (*each)(void *arg, uint16_t rtpi, const struct sockaddr_storage *peer), void *arg)
{
	struct hosts_call call = {.iscsi = iscsi, .each = each, .arg = arg};

	iscsi_registry_each(&iscsi->registry, hosts_one, &call);
}
