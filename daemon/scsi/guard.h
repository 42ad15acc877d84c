/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranges of blocks that one command has for itself. A command whose row says SCSI_GUARDED
 * (COMPARE AND WRITE and its kind) runs only when no other command of any reactor touches its
 * blocks, and those that come meanwhile wait. Shipped-in commands are commands of a reactor too.
 *
 * A guard is taken at one reactor after the other, always in the same order, so that two of them
 * cannot wait for each other; at each it waits for what runs there and for what came before it.
 * Other commands look at a list of their own reactor, which is empty but for that time: no atomic,
 * no lock. Only a task that runs holds a guard, or one whose I/O is over and waits for the lease,
 * which counts as running: it asks the gate again when it has it, and whatever keeps the gate from
 * letting it run gives the guard back. So neither a drain nor an abort can come to wait for one.
 */
#ifndef YOKE_SCSI_GUARD_H
#define YOKE_SCSI_GUARD_H

#include "daemon/scsi/opcodes.h"

void scsi_guard_init(struct scsi_core_lu *lu);

/* The part of scsi_guard_enter() that plain commands hardly ever come to. */
bool scsi_guard_wait(struct scsi_task *task);

/*
 * May the task run now? False: it waits (SCSI_TASK_FENCED), or has ended with BUSY for want of
 * memory; when its turn comes it goes through scsi_task_admit() again. On the task's reactor.
 */
static inline bool scsi_guard_enter(struct scsi_task *task)
{
	const struct scsi_core *core = scsi_core_of(task->reactor);

	if (qb_list_empty(&core->lus[task->lu->index].guards) &&
		!(task->row->flags & SCSI_GUARDED)) {
		return true;
	}
	return scsi_guard_wait(task);
}

/* The task does not run, or not any more: gives its guard back, if it has one or waits for one. */
void scsi_guard_leave(struct scsi_task *task);

/* A task of the LU has left the store or the queue: whoever waited for it may go on. */
void scsi_guard_check(struct scsi_core *core, struct scsi_lu *lu);

#endif
