/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Atomic writes to extents that may cut a write in half. What is to be written goes into the ledger
 * first: when every controller has it on its disk, the write in place begins; when that is durable
 * the ledger forgets it, and only then the command ends. Its blocks are its own from beginning to
 * end (guard.h). Whoever takes the group over meanwhile finds it in the LU's state, writes it once
 * more before it serves, and so no half of it is ever seen. What was not whole in the ledger was
 * never begun in place.
 *
 * One at a time for each LU; others wait for their turn.
 */
#ifndef YOKE_SCSI_INTENT_H
#define YOKE_SCSI_INTENT_H

#include "daemon/scsi/tasks.h"

/* Carries out a guarded write of task->buf to the task's blocks, and ends it. On its reactor. */
void scsi_intent_write(struct scsi_task *task);

/*
 * The group's extents are claimed under that epoch: writes what may be half written, makes the
 * ledger forget it, done(arg, 0 or a negative errno), inside the call when there is nothing to do.
 * Control thread.
 */
void scsi_intents_settle(struct scsi *scsi, uint16_t group, uint64_t epoch,
	void (*done)(void *arg, int err), void *arg);

/* After the reactors have stopped. */
void scsi_intents_free(struct scsi *scsi);

#endif
