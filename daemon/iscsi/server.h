/* SPDX-License-Identifier: BSD-3-Clause */
/* The server behind yoke/iscsi.h: portals, what each reactor keeps, and the way down. */
#ifndef YOKE_ISCSI_SERVER_H
#define YOKE_ISCSI_SERVER_H

#include <stdatomic.h>
#include <qb/qblist.h>

#include "daemon/iscsi/login.h"
#include "daemon/iscsi/pool.h"
#include "daemon/iscsi/registry.h"
#include "yoke/iscsi.h"
#include "yoke/reactor.h"

/* What one receive takes in at most, besides what goes straight to a task's buffer. */
#define ISCSI_SCRATCH_BYTES (256u << 10)

struct iscsi_listener {
	struct iscsi *iscsi;
	struct reactor_fd rfd; /* on reactor 0; fd -1 = closed */
	struct reactor_timer retry; /* accepting pauses when descriptors run out */
	bool held; /* it does, and that is logged */
	const struct conf_address *portal;
	uint16_t rtpi;
	uint8_t controller; /* whose portal it is: the other's, when it is adopted */
};

/* The iSCSI state of one reactor; only that reactor touches it, but for the atomic. */
struct iscsi_reactor {
	struct iscsi *iscsi;
	struct reactor *reactor;
	atomic_uint connections; /* here or on their way here; any thread */
	struct qb_list_head conns; /* all of them */
	struct qb_list_head logins; /* those not logged in, oldest first */
	struct iscsi_pool cmds; /* struct iscsi_cmd */
	struct iscsi_pool tmfs; /* struct iscsi_tmf */
	struct iscsi_pool txs; /* struct iscsi_tx */
	uint8_t *scratch; /* ISCSI_SCRATCH_BYTES */
	struct iscsi_login_reply *reply; /* for the login or text PDU at hand */
	struct qb_list_head starved; /* struct iscsi_starved, in order */
	struct reactor_defer starved_defer;
	struct reactor_timer starved_timer; /* others give buffers back without telling */
	size_t share_bytes; /* of the buffer pool, for one connection */
	size_t early_bytes; /* memory that holds unsolicited data beside the buffer pool */
	size_t early_limit; /* and the most of it */
	const struct conf *conf; /* the one that counts here: reload.c */
	const struct conf_secrets *secrets; /* and theirs */
	struct mailbox_msg reload_msg;
	bool reloading; /* waits for logins under the former one */
	bool stopping;
	bool stopped; /* and the control thread was told */
	struct mailbox_msg stop_msg;
	struct mailbox_msg stopped_msg;
};

/* A changed configuration on its way: one at a time. The reactors only read it, but for `left`. */
struct iscsi_reload {
	const struct conf *conf;
	const struct conf_secrets *secrets;
	void (*done)(void *arg);
	void *arg;
	atomic_uint left; /* reactors that still use the former one */
	struct mailbox_msg msg;
};

struct iscsi {
	struct iscsi_setup setup; /* conf, secrets: as the control thread sees them */
	struct iscsi_reload reload;
	const struct conf_controller *controller;
	struct iscsi_registry registry;
	struct iscsi_reactor *reactors; /* setup.reactor_count of them */
	struct iscsi_listener *listeners;
	unsigned listener_count;
	atomic_uint connections;
	bool listening; /* control thread */
	bool stopping; /* control thread */
	struct mailbox_msg listen_msg;
	struct mailbox_msg shut_msg;
	struct iscsi_adoption *adoption; /* giving back, under way; adopt.c, control thread */
	unsigned reactors_left; /* control thread: not stopped yet */
	void (*stopped)(void *arg);
	void *stopped_arg;
};

/* Something that waits for a data buffer. retry() returns false to go on waiting. */
struct iscsi_starved {
	struct qb_list_head link;
	bool (*retry)(struct iscsi_starved *starved);
	bool waiting;
};

void iscsi_starved_add(struct iscsi_reactor *home, struct iscsi_starved *starved);
void iscsi_starved_remove(struct iscsi_starved *starved);

/* Buffers have come back: those that wait try again at the end of the pass. */
void iscsi_starved_wake(struct iscsi_reactor *home);

/* A login has ended: the former configuration may be unused here now. */
void iscsi_reload_check(struct iscsi_reactor *home);

/* A connection is gone from its reactor: for good, or to another. */
void iscsi_reactor_conn_gone(struct iscsi_reactor *home);
void iscsi_reactor_conn_left(struct iscsi_reactor *home);

/* Which reactor gets the next connection: the one with the fewest. Any thread. */
struct iscsi_reactor *iscsi_reactor_pick(struct iscsi *iscsi);

#endif
