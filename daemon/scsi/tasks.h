/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a task inside the device server. Everything here is for the task's reactor. */
#ifndef YOKE_SCSI_TASKS_H
#define YOKE_SCSI_TASKS_H

#include "daemon/scsi/core.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/apply.h"
#include "daemon/scsi/opcodes.h"

enum scsi_task_state {
	SCSI_TASK_STARTED, /* its maker collects the data-out */
	SCSI_TASK_BLOCKED, /* waits for its turn (ORDERED) */
	SCSI_TASK_HELD, /* waits for its group */
	SCSI_TASK_STARVED, /* waits for a buffer */
	SCSI_TASK_FENCED, /* waits for a range of blocks (guard.h) */
	SCSI_TASK_SANITIZING, /* waits for the end of the sanitize operation that it began */
	SCSI_TASK_DOOMED, /* about to be ended by an abort */
	SCSI_TASK_RUNNING,
	SCSI_TASK_SHIPPED,
	SCSI_TASK_ENDED,
	SCSI_TASK_STATE_COUNT,
};
const char *scsi_task_state_name(enum scsi_task_state state);

/* Finds the row, checks the CDB; false with the outcome set. task->lu is known (or NULL). */
bool scsi_task_decode(struct scsi_task *task);

/* Clears what belongs to scsi and puts a task of a known LU on its lists. */
void scsi_task_init(struct scsi_task *task);
void scsi_task_link(struct scsi_task *task);

/* Asks the gate and does what it says; after every wait. */
void scsi_task_admit(struct scsi_task *task);

/*
 * Runs a command of our own on an LU with the identity of task->nexus: no unit attention is told,
 * no LUN is looked up, and only a reset of the LU aborts it. The caller has set nexus, reactor,
 * tag, CDB, attribute, expected lengths, done, and for a write buf and out_length. Ends in done(),
 * possibly inside the call; scsi_task_end() gives the buffer back.
 */
void scsi_task_run_own(struct scsi_task *task, struct scsi_lu *lu);

/* Ends the task with the outcome that it has: done(). */
void scsi_task_finish(struct scsi_task *task);

/* Its group has moved on while it ran: from the gate again, as if it had not run. */
void scsi_task_requeue(struct scsi_task *task);
/* The same after a moment's pause. */
void scsi_task_requeue_later(struct scsi_task *task);

/* order.c: true when the task may go on now; otherwise it waits and is admitted later. */
bool scsi_order_enter(struct scsi_task *task);
/* The task has ended: takes it out. Then scsi_order_pump() lets those run that waited for it. */
void scsi_order_leave(struct scsi_task *task);
void scsi_order_pump(struct scsi_itl *itl);

/* Which tasks an abort means: every field that is set must fit; `lu` or `nexus` is. */
struct scsi_match {
	const struct scsi_lu *lu;
	struct scsi_nexus *nexus;
	const struct scsi_itl *itl;
	bool by_tag;
	uint64_t tag;
	/* With `lu`: those whose nexus is one of these, which are preempted. */
	const struct scsi_effects *preempted;
	bool remote; /* only what the other controller has shipped */
	const struct scsi_identity *who; /* with `lu`: those of this nexus */
	/* Whose doing it is: with TAS the tasks of other nexuses end with TASK ABORTED. */
	const struct scsi_identity *by;
};
/*
 * May a command that changes something still run at an owner that is out of reach? Until a view has
 * come under which it is served again: the owner has been fenced, has died, or is back and has said
 * that nothing of it runs any more. The task's reactor.
 */
bool scsi_task_is_adrift(const struct scsi_task *task);
bool scsi_task_matches(const struct scsi_task *task, const struct scsi_match *match);
/*
 * Ends the matching tasks without a response: those that wait at once, those in the store or at
 * the owner as soon as that is certain, those whose data is still coming when they are run or
 * dropped. Returns how many there were.
 */
unsigned scsi_tasks_abort(struct scsi_core *core, const struct scsi_match *match);
/*
 * The LU of the matching tasks has been removed: those that wait end with "logical unit not
 * supported"; the others end as they do, or are refused by the gate.
 */
void scsi_tasks_refuse(struct scsi_core *core, const struct scsi_match *match);
/* Nobody is there to be told: what has ended but for that ends now. */
void scsi_tasks_untold(struct scsi_nexus *nexus);
/* Is any aborted one of them still in the store, or at the owner, or may it be? */
bool scsi_tasks_linger(struct scsi_core *core, const struct scsi_match *match);

/* tmf.c: an abort that waits until the tasks have ended, on one reactor. */
struct scsi_sweep {
	struct qb_list_head link; /* core->sweeps while it waits */
	struct scsi_core *core;
	struct scsi_match match;
	void (*done)(struct scsi_sweep *sweep);
};
/* Aborts the matching tasks, then done(), possibly inside the call. */
void scsi_sweep_start(struct scsi_sweep *sweep);
/* Waits as well, and aborts nothing. */
void scsi_sweep_wait(struct scsi_sweep *sweep);
/* An aborted task has ended; ends the sweeps that waited for it. */
void scsi_sweeps_check(struct scsi_core *core);
/* Is the function carried out? For REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS. */
bool scsi_tmf_is_supported(enum scsi_tmf_function function);
/* group_serve */
void scsi_tmf_peer(void *ctx, struct reactor *r, enum scsi_tmf_function function,
	const uint8_t lu[16], const struct scsi_identity *who, void (*done)(void *arg), void *arg);

#endif
