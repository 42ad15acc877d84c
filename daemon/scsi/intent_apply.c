/* SPDX-License-Identifier: BSD-3-Clause */
/* What atomic writes change in an LU's state. */
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/apply.h"

static bool is_whole(const struct scsi_intent *intent)
{
	return intent->have == intent->total;
}

/* Parts come in order; one that does not follow belongs to a write that was given up. */
enum scsi_result scsi_intent_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	struct scsi_intent *intent = state->intent;
	size_t bytes = entry->intent.data.size;

	(void)effects;
	if (intent && is_whole(intent) && intent->id != entry->intent.id) {
		return SCSI_RESULT_BUSY; /* never lost: it may be half written */
	}
	if (entry->intent.begin == 0) {
		free(intent);
		intent = scsi_intent_new(
			entry->intent.id, entry->intent.at_bytes, entry->intent.total);
		state->intent = intent;
	} else if (!intent || intent->id != entry->intent.id ||
		   intent->have != entry->intent.begin || intent->total != entry->intent.total) {
		return SCSI_RESULT_BUSY;
	}
	memcpy(intent->data + intent->have, entry->intent.data.base, bytes);
	intent->have += (uint32_t)bytes;
	return SCSI_RESULT_GOOD;
}

enum scsi_result scsi_intent_end_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	(void)effects;
	if (state->intent && state->intent->id == entry->intent.id) {
		free(state->intent);
		state->intent = NULL;
	}
	return SCSI_RESULT_GOOD;
}
