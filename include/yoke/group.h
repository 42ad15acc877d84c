/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the device server (scsi) and the cluster layer (ha) meet: the view of a group that ha
 * publishes, and the two vtables, one for each direction. Neither includes the other.
 */
#ifndef YOKE_GROUP_H
#define YOKE_GROUP_H

#include "yoke/task.h"

/* What this controller does with a command that needs the owner. */
enum group_access {
	GROUP_HELD, /* keep it: no owner yet, a move is under way, or no quorum */
	GROUP_LOCAL, /* this controller is the owner: run it */
	GROUP_REMOTE, /* ship it to `owner` */
};
const char *group_access_name(enum group_access access);

/* SPC-4 6.37 (REPORT TARGET PORT GROUPS) asymmetric access state */
enum alua_state {
	ALUA_OPTIMIZED = 0x0,
	ALUA_NON_OPTIMIZED = 0x1,
	ALUA_STANDBY = 0x2,
	ALUA_UNAVAILABLE = 0x3,
	ALUA_OFFLINE = 0xe,
	ALUA_TRANSITIONING = 0xf,
};
const char *alua_state_name(enum alua_state state);

/*
 * Immutable once published. Each reactor keeps its own copy, so that a command reads it without a
 * lock. `table` is a number that grows by one for each change of the ALUA table (tpg, preferred):
 * a nexus that has seen an older one owes its initiator exactly one UA 2A/06 (invariant I8).
 * A publication that changes only `access` keeps `table`.
 */
struct group_view {
	uint16_t group; /* index in the configuration */
	uint8_t owner; /* controller 1 or 2; 0 = none */
	uint8_t preferred; /* target port group with PREF set: the owner's, or 0 */
	uint64_t epoch; /* grows with every change of owner (invariant I2) */
	uint32_t table;
	enum group_access access;
	uint8_t tpg[YOKE_CONTROLLERS + 1]; /* enum alua_state by controller; [0] unused */
	uint8_t hold_limit_s; /* what RTPG says as implicit transition time */
	/* The other controller is out of reach, and may be alive: it has not been fenced yet. */
	bool unproven;
};

/* ----- ha calls scsi ----------------------------------------------------------------------- */

enum ship_outcome {
	SHIP_DONE, /* status, sense and data are the owner's */
	SHIP_AGAIN, /* never ran, or its answer is lost for ever: the gate decides anew */
};

struct group_serve {
	void *ctx;

	/*
	 * Publishes a view to every reactor; applied(arg) runs on the control thread when all have
	 * taken it. Held tasks whose view lets them run are run. Control thread.
	 */
	void (*publish)(
		void *ctx, const struct group_view *view, void (*applied)(void *arg), void *arg);

	/*
	 * Calls drained(arg) on the control thread as soon as no task of the group is in the store
	 * of this controller. The group must be GROUP_HELD here. Control thread.
	 */
	void (*drain)(void *ctx, uint16_t group, void (*drained)(void *arg), void *arg);

	/*
	 * Before a claim, as long as there is still to be waited for others: takes those of the
	 * extents' locks that are free, which gives no right to write. Then claim() has less to
	 * do while hosts wait; or unlock() gives them back. Control thread.
	 */
	void (*lock)(void *ctx, uint16_t group);
	void (*unlock)(void *ctx, uint16_t group);

	/*
	 * Makes the group's extents ready to be written here under `epoch` (extent_claim() with
	 * retries up to timeout_ms, health check); done(arg, 0 or negative errno). Control thread.
	 */
	void (*claim)(void *ctx, uint16_t group, uint64_t epoch, unsigned timeout_ms,
		void (*done)(void *arg, int err), void *arg);

	/*
	 * Flushes the extents of a drained group; then nothing of this controller can change them
	 * any more, and done() is called. The locks are let go right behind it, unless done() has
	 * claimed the group again: whoever takes it next waits for each of them. Control thread.
	 */
	void (*release)(void *ctx, uint16_t group, void (*done)(void *arg, int err), void *arg);

	/* Are all extents of the group there and healthy? Control thread. */
	bool (*healthy)(void *ctx, uint16_t group);

	/*
	 * Does a disk of the group refuse this controller's writes, because another has taken the
	 * write key? Then it is not the owner any more, whatever it knows. Control thread.
	 */
	bool (*key_lost)(void *ctx, uint16_t group);

	/*
	 * The lease (invariant I9): for so many milliseconds from now this controller may run
	 * commands of the groups that are GROUP_LOCAL here, and acknowledge what they did. Past
	 * it they are held, until the lease is renewed or a view says otherwise. Before the first
	 * call there is no limit. Control thread.
	 */
	void (*renew)(void *ctx, unsigned ms);

	/*
	 * At the owner, on a reactor: the nexus that stands for a session at the other controller.
	 * nexus_get returns the same object for the same identity while it is held; NULL = out of
	 * memory.
	 */
	struct scsi_nexus *(*nexus_get)(
		void *ctx, struct reactor *r, const struct scsi_identity *who);
	void (*nexus_put)(void *ctx, struct scsi_nexus *nexus);

	/*
	 * Runs a task that the other controller shipped. The caller has set nexus, reactor, tag,
	 * cdb, attribute, expected lengths, done, shipped_in and, for writes, buf and out_length.
	 * `lu` is the LU's UUID, `epoch` what the ingress stamped. Returns SHIP_AGAIN without
	 * running it when this controller is not the owner or the epoch is old (a newer epoch is
	 * held). Done tasks are given back with task_end().
	 */
	enum ship_outcome (*task_run)(
		void *ctx, struct scsi_task *task, const uint8_t lu[16], uint64_t epoch);
	/* The maker of a shipped task is done with it: buffers go back. */
	void (*task_end)(void *ctx, struct scsi_task *task);
	/*
	 * Ends a running or held task without a response (abort, lost interconnect); done() still
	 * runs. True: it waits for the ledger only, which knows it when it comes again; so that
	 * may come before this one has ended.
	 */
	bool (*task_abort)(void *ctx, struct scsi_task *task);

	/* At the ingress: a task given to ship->task() is back. */
	void (*task_shipped)(void *ctx, struct scsi_task *task, enum ship_outcome outcome);

	/*
	 * At the other controller of a TMF that acts on a whole LU (LU RESET): ends the tasks here,
	 * raises the UAs here; or (TARGET COLD RESET) ends the sessions of who->target here; or
	 * (ABORT TASK, ABORT TASK SET, CLEAR TASK SET) waits until nothing that `who` has aborted
	 * runs here any more, since its tasks are aborted one by one. Then done(arg). On the
	 * reactor r.
	 */
	void (*tmf_peer)(void *ctx, struct reactor *r, enum scsi_tmf_function function,
		const uint8_t lu[16], const struct scsi_identity *who, void (*done)(void *arg),
		void *arg);
};

/* ----- scsi calls ha ----------------------------------------------------------------------- */

struct group_ship {
	void *ctx;

	/*
	 * Ships a task to view->owner under view->epoch, `lu` = the LU's UUID, `who` = its nexus.
	 * Returns at once; ends in serve->task_shipped() on the task's reactor, possibly after
	 * a reconnection. Data-in of the answer is in task->buf (from the reactor's pool).
	 */
	void (*task)(void *ctx, struct scsi_task *task, const struct group_view *view,
		const uint8_t lu[16], const struct scsi_identity *who);

	/*
	 * The outcome of a shipped task is not wanted any more: the owner is told. The task still
	 * ends in serve->task_shipped() once it is certain that it will not run any more.
	 */
	void (*abort)(void *ctx, struct scsi_task *task);

	/*
	 * Carries a TMF of serve->tmf_peer to the other controller; done(arg) on the same
	 * reactor when the other has done its part, or is known to have ended (its nexuses are
	 * gone). Whatever was shipped before by this reactor, and has been aborted, is over then.
	 */
	void (*tmf)(void *ctx, struct reactor *r, enum scsi_tmf_function function,
		const uint8_t lu[16], const struct scsi_identity *who, void (*done)(void *arg),
		void *arg);

	/*
	 * The nexus `who` of this reactor is gone and ships nothing more: the owner may forget it.
	 * Optional for the caller in that numbers of idle nexuses are reused when they run out.
	 */
	void (*nexus_gone)(void *ctx, struct reactor *r, const struct scsi_identity *who);
};

#endif
