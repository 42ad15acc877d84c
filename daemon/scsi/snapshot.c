/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "daemon/scsi/sanitize.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/snapshot.h"
#include "yoke/log.h"
#include "yoke/util.h"

struct scsi_snapshot *scsi_snapshot_new(const struct scsi_state *state, uint64_t version)
{
	struct scsi_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	size_t bytes = state->count * sizeof(state->registrants[0]);
	struct scsi_registrant *registrants = malloc(bytes ? bytes : 1);

	if (!snapshot || !registrants) {
		log_err("out of memory: cannot tell the reactors about a reservation; the daemon "
			"ends so that the other controller can take over");
		abort();
	}
	if (bytes) {
		memcpy(registrants, state->registrants, bytes);
	}
	snapshot->version = version;
	snapshot->state = *state;
	snapshot->state.registrants = registrants;
	snapshot->state.intent = NULL;
	if (state->sanitize) {
		snapshot->state.sanitize = scsi_sanitize_new();
		*snapshot->state.sanitize = *state->sanitize;
	}
	snapshot->state.room = state->count;
	snapshot->state.done_count = 0;
	snapshot->restricts =
		state->type || state->reserved || state->mode & SCSI_MODE_SWP || state->sanitize;
	if (scsi_state_is_clear(&snapshot->state)) {
		scsi_snapshot_free(snapshot);
		return NULL;
	}
	return snapshot;
}

void scsi_snapshot_free(struct scsi_snapshot *snapshot)
{
	if (snapshot) {
		scsi_state_clear(&snapshot->state);
		free(snapshot);
	}
}

static uint8_t standing_get(
	struct scsi_nexus *nexus, const struct scsi_lu *lu, const struct scsi_snapshot *snapshot)
{
	struct scsi_standing *standing = &nexus->standings[lu->index % SCSI_STANDINGS];

	if (standing->version != snapshot->version) {
		standing->is = scsi_state_standing(&snapshot->state, &nexus->who);
		standing->version = snapshot->version;
	}
	return standing->is;
}

bool scsi_snapshot_conflicts(struct scsi_task *task, const struct scsi_snapshot *snapshot)
{
	const struct scsi_state *state = &snapshot->state;
	const struct scsi_row *row = task->row;

	if ((state->type || state->reserved) &&
		!scsi_state_permits(state, standing_get(task->nexus, task->lu, snapshot),
			row->reserved, row->flags & SCSI_PASSES_RESERVE)) {
		task->status = SCSI_RESERVATION_CONFLICT;
		task->in_length = 0;
		return true;
	}
	return false;
}

bool scsi_snapshot_refuses(struct scsi_task *task, const struct scsi_snapshot *snapshot)
{
	const struct scsi_state *state = &snapshot->state;
	const struct scsi_row *row = task->row;

	if (scsi_snapshot_conflicts(task, snapshot)) {
		return true;
	}
	if (state->sanitize && !scsi_sanitize_passes(task)) {
		scsi_sanitize_refuse(task, state->sanitize);
		return true;
	}
	if (row->flags & SCSI_WRITES && state->mode & SCSI_MODE_SWP) {
		scsi_set_sense(task, SENSE_WRITE_PROTECTED);
		return true;
	}
	return false;
}
