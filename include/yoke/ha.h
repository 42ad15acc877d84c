/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cluster layer: membership and group roles over Corosync CPG, epochs, handover and takeover,
 * and the interconnect that ships commands to the owner. Control thread only, except for the
 * group_ship vtable, which reactors call.
 */
#ifndef YOKE_HA_H
#define YOKE_HA_H

#include <qb/qbloop.h>

#include "yoke/conf.h"
#include "yoke/group.h"
#include "yoke/ledger.h"
#include "yoke/mailbox.h"

struct ha;
struct ship;

/* ----- the interconnect (ha/ship_*.c), made before scsi so that scsi gets the vtable --------- */

struct ship_setup {
	const struct conf *conf;
	uint8_t controller;
	struct mailbox *control;
	struct reactor **reactors;
	unsigned reactor_count;
	/* Control thread: the link to the peer became usable (every reactor connected) or unusable.
	 */
	void (*link)(void *arg, bool up);
	void *arg;
};

/* NULL with a message (key file missing or readable by others, address in use...). */
struct ship *ship_new(const struct ship_setup *setup, char *error, size_t error_size);
void ship_free(struct ship *ship); /* after the reactors have stopped */
const struct group_ship *ship_ops(struct ship *ship);
/* Before the reactors start: how shipped commands are run here. */
void ship_serve_set(struct ship *ship, const struct group_serve *serve);
/* Who gets link(); replaces setup->link. Control thread, before ship_peer_up(). */
void ship_link_set(struct ship *ship, void (*link)(void *arg, bool up), void *arg);
/* Opens the listener on this controller's interconnect address. */
int ship_listen(struct ship *ship, char *error, size_t error_size);
/*
 * The peer is a member of the CPG group in incarnation `incarnation` (a number it chose at its
 * start): connect to it, accept it, refuse any other incarnation.
 */
void ship_peer_up(struct ship *ship, uint64_t incarnation);
/*
 * The peer has left: connections are closed, its frames refused. Its shipped-in tasks are aborted.
 * Shipped-out tasks without an answer go back to the gate (SHIP_AGAIN), to be held there.
 */
void ship_peer_down(struct ship *ship);
/*
 * After ship_peer_down(): its tasks have ended, for it has died or been fenced. TMFs that it was to
 * carry out count as carried out; until then they wait for it to be back.
 */
void ship_peer_gone(struct ship *ship);
/* Does a TMF wait for that? Control thread. */
bool ship_awaits_peer(struct ship *ship);
bool ship_link_is_up(const struct ship *ship);
/* This daemon's incarnation. */
uint64_t ship_incarnation(const struct ship *ship);
struct ship_stats {
	uint64_t commands_out, commands_in, bytes_out, bytes_in, reconnects, refused_frames,
		stale_frames;
};
/* Another configuration counts; control thread. */
void ship_conf_set(struct ship *ship, const struct conf *conf);
void ship_stats(struct ship *ship, struct ship_stats *stats); /* control thread, approximate */

/* ----- the group roles ----------------------------------------------------------------------- */

/*
 * How a change of the configuration is carried out here: the daemon's part. All on the control
 * thread, `arg` is ha_setup.conf_arg.
 */
struct ha_conf_ops {
	/*
	 * Prepares the file here, with `edit` carried out on it (see daemon/reload.c; "" = none),
	 * if it has that digest then; false with the reason. `edit` comes from outside.
	 */
	bool (*prepare)(
		void *arg, const uint8_t digest[32], const char *edit, char *why, size_t size);
	/* Puts what was prepared in place, now; then, or later, ha_conf_done(). */
	void (*activate)(void *arg);
	/* Forgets it. */
	void (*drop)(void *arg);
	/* The other controller runs the one with that digest, and one of the two is kept out: goes
	 * over to it if it can, later. */
	void (*wanted)(void *arg, const uint8_t digest[32]);
};

struct ha_setup {
	const struct conf *conf;
	uint8_t controller;
	struct mailbox *control;
	qb_loop_t *loop;
	const struct group_serve *serve;
	const struct ledger_serve *ledger;
	struct ship *ship;
	/* The state is known (joined and in sync): portals may open. Called once. */
	void (*ready)(void *arg);
	/* Contact with Corosync is lost for good: the daemon holds everything and should end. */
	void (*lost)(void *arg, const char *reason);
	/*
	 * With conf->portal_adoption: take the other controller's portals (0 or a negative errno,
	 * logged), and give them back (ha_given_back() when that is done).
	 */
	int (*adopt)(void *arg);
	void (*give_back)(void *arg);
	/* What the other controller sent by ha_hosts_send(); bytes from outside. */
	void (*peer_hosts)(void *arg, const void *bytes, size_t size);
	/* How many normal sessions are logged in here (hosts present). */
	unsigned (*sessions)(void *arg);
	void *arg;
	const struct ha_conf_ops *conf_ops;
	void *conf_arg;
};

struct ha *ha_new(const struct ha_setup *setup, char *error, size_t error_size);
void ha_free(struct ha *ha);
/* What scsi submits entries to; valid as long as `ha`. Control thread. */
const struct ledger *ha_ledger(struct ha *ha);

/* The Pacemaker actions of ocf:yoke:group. Every one is idempotent and ends in done() exactly once.
 */
enum ha_result {
	HA_OK,
	HA_FAILED, /* see the message; may be tried again */
	HA_NOT_IN_SYNC, /* this controller has not got the cluster's state yet */
	HA_NO_QUORUM,
	HA_TIMEOUT,
	HA_NO_PEER, /* nobody to hand over to */
	HA_BUSY, /* another move of the group is under way */
	HA_UNKNOWN, /* no such group or controller */
};
const char *ha_result_name(enum ha_result result);

/* Ends an action; `message` is for people, valid during the call. */
typedef void ha_done_fn(void *arg, enum ha_result result, const char *message);

/*
 * Puts the configuration file that has that digest, after `edit` ("" = none) has been carried out
 * on it, in place at every controller that is a member, at one place of the order. done() when it
 * is in use at all of them, or with the reason why nothing has changed.
 */
void ha_conf_change(
	struct ha *ha, const uint8_t digest[32], const char *edit, ha_done_fn *done, void *arg);
/* What ha_conf_ops.activate() has put in place is in use, the one before it is used no more. */
void ha_conf_done(struct ha *ha);
/* Another configuration counts here: same groups and controllers, outlives the next change. */
void ha_conf_set(struct ha *ha, const struct conf *conf);

/* `resource` is the Pacemaker resource id that promotion scores are set for ("g1"). */
void ha_group_start(
	struct ha *ha, const char *group, const char *resource, ha_done_fn *done, void *arg);
/* Hands over to a peer in sync if this controller owns the group; without one drains and lets go.
 */
void ha_group_stop(struct ha *ha, const char *group, ha_done_fn *done, void *arg);
/* Becomes owner: handover when the owner is a member, takeover when it is not. */
void ha_group_promote(struct ha *ha, const char *group, ha_done_fn *done, void *arg);
/* Offers the group; it keeps serving until its successor's PREPARE. */
void ha_group_demote(struct ha *ha, const char *group, ha_done_fn *done, void *arg);
/* The administrator's move: changes the preference at both; done when `controller` owns it, or on
 * time-out. */
void ha_group_move(struct ha *ha, const char *group, const char *controller, unsigned timeout_ms,
	ha_done_fn *done, void *arg);

/*
 * For `yokectl drill`: the other controller's daemon dies at once (0), or does not run for so many
 * seconds, at most 60. Whether that is wise has been checked.
 */
void ha_drill(struct ha *ha, unsigned seconds);

/* What monitor says: */
enum ha_role {
	HA_ROLE_STOPPED,
	HA_ROLE_UNPROMOTED,
	HA_ROLE_PROMOTED,
	HA_ROLE_FAILED
};
const char *ha_role_name(enum ha_role role);

struct ha_group_info {
	const struct conf_group *conf;
	enum ha_role role; /* of this controller */
	uint8_t owner; /* 0 = none, or not known: this controller is not in sync yet */
	uint8_t preferred; /* controller that should own it */
	uint64_t epoch;
	const char *phase; /* "serving", "preparing", ... */
	enum group_access access;
	int score; /* promotion score of this controller, -1 = none */
	uint8_t tpg[YOKE_CONTROLLERS + 1];
	uint32_t table;
	uint64_t last_move_unix_s;
	uint32_t last_move_held_ms; /* how long commands were held here in the last move */
	const char *last_move_kind; /* "handover", "takeover", or NULL */
	unsigned moves; /* within the last hour, that nobody had asked for */
	int failback_in_s; /* -1 = not under way */
};
bool ha_group_info(struct ha *ha, unsigned index, struct ha_group_info *info);

/* The adopted portals are not served here any more. */
void ha_given_back(struct ha *ha);
/* Tells the other controller about this one's hosts: at most 60 KiB, copied. */
void ha_hosts_send(struct ha *ha, const void *bytes, size_t size);

struct ha_status {
	bool quorate;
	bool in_sync;
	bool waits_for_peer; /* not in sync because the other's daemon may know more: given time */
	bool peer_member;
	bool link_up;
	bool adopted; /* the other controller's portals are served here */
	bool config_differs; /* the other controller's; one of the two is kept out */
	uint64_t incarnation;
};
void ha_status(struct ha *ha, struct ha_status *status);
void ha_ledger_status(struct ha *ha, struct ledger_status *status);

#endif
