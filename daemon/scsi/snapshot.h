/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A copy of an LU's state, as reactors see it: never changed once it is published, replaced as a
 * whole by a round (ledger.c). An LU that no entry has touched has none, which is one test of a
 * pointer for every command.
 */
#ifndef YOKE_SCSI_SNAPSHOT_H
#define YOKE_SCSI_SNAPSHOT_H

#include "daemon/scsi/apply.h"
#include "daemon/scsi/core.h"
#include "daemon/scsi/nexus.h"

struct scsi_snapshot {
	uint64_t version; /* from 1; no two of one process have the same */
	bool restricts; /* a reservation, a write protection, a sanitize operation */
	struct scsi_state state; /* without what has been done; owns its registrants */
};

/* A copy; NULL for a state that reactors need not know. Without memory the daemon ends. */
struct scsi_snapshot *scsi_snapshot_new(const struct scsi_state *state, uint64_t version);
void scsi_snapshot_free(struct scsi_snapshot *snapshot);

/* By a reservation, a sanitize operation or write protection; true with the outcome set. The slow
 * part. */
bool scsi_snapshot_refuses(struct scsi_task *task, const struct scsi_snapshot *snapshot);

/* By a reservation alone. */
bool scsi_snapshot_conflicts(struct scsi_task *task, const struct scsi_snapshot *snapshot);

/* This reactor's copy for the task's LU; NULL when there is none. */
static inline const struct scsi_snapshot *scsi_snapshot_of(const struct scsi_task *task)
{
	return task->lu ? task->nexus->core->lus[task->lu->index].snapshot : NULL;
}

/* Current mode parameters (SCSI_MODE_*) of the task's LU, 0 without an LU. */
static inline uint8_t scsi_mode_of(const struct scsi_task *task)
{
	const struct scsi_snapshot *snapshot = scsi_snapshot_of(task);

	return snapshot ? snapshot->state.mode : 0;
}

/* Check 4 of the gate. */
static inline bool scsi_state_refuses(struct scsi_task *task)
{
	const struct scsi_snapshot *snapshot = scsi_snapshot_of(task);

	return snapshot && snapshot->restricts && !scsi_row_uses_ledger(task->row) &&
	       scsi_snapshot_refuses(task, snapshot);
}

#endif
