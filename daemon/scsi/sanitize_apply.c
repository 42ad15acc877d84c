/* SPDX-License-Identifier: BSD-3-Clause */
/* What SANITIZE, and the work that it starts, change in an LU's state (SBC-4 4.11). */
#include <stdlib.h>

#include "daemon/scsi/apply.h"

enum scsi_result scsi_sanitize_result(const struct scsi_sanitize *sanitize)
{
	return sanitize->phase == SCSI_SANITIZE_FAILED ? SCSI_RESULT_SANITIZE_FAILED
						       : SCSI_RESULT_SANITIZING;
}

static void sanitize_clear(struct scsi_state *state, struct scsi_effects *effects)
{
	free(state->sanitize);
	state->sanitize = NULL;
	effects->changed = true;
}

/* Only what was asked for without restrictions can be left without another try. */
static enum scsi_result exit_apply(struct scsi_state *state, struct scsi_effects *effects)
{
	if (!state->sanitize) {
		return SCSI_RESULT_GOOD; /* nothing has failed */
	}
	if (!state->sanitize->unrestricted) {
		return SCSI_RESULT_RESTRICTED;
	}
	sanitize_clear(state, effects);
	return SCSI_RESULT_GOOD;
}

enum scsi_result scsi_sanitize_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	const struct scsi_sanitize *asked = &entry->sanitize, *old = state->sanitize;

	if (old && old->id == entry->serial) {
		return SCSI_RESULT_GOOD; /* asked a second time, its owner was lost */
	}
	if (!scsi_state_permits(state, scsi_state_standing(state, &entry->who),
		    SCSI_RESERVED_CONFLICT, false)) {
		return SCSI_RESULT_CONFLICT;
	}
	if (old && old->phase == SCSI_SANITIZE_RUNNING) {
		return SCSI_RESULT_SANITIZING;
	}
	if (asked->method == SCSI_SANITIZE_EXIT) {
		return exit_apply(state, effects);
	}
	if (state->mode & SCSI_MODE_SWP) {
		return SCSI_RESULT_WRITE_PROTECTED;
	}
	if (old && !old->unrestricted && asked->unrestricted) {
		return SCSI_RESULT_RESTRICTED;
	}
	sanitize_clear(state, effects);
	state->sanitize = scsi_sanitize_new();
	*state->sanitize = *asked;
	state->sanitize->id = entry->serial;
	state->sanitize->phase = SCSI_SANITIZE_RUNNING;
	return SCSI_RESULT_GOOD;
}

enum scsi_result scsi_wiped_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	struct scsi_sanitize *sanitize = state->sanitize;
	const struct scsi_sanitize *said = &entry->sanitize;

	if (!sanitize || sanitize->id != said->id || sanitize->phase != SCSI_SANITIZE_RUNNING ||
		said->pass >= sanitize->passes) {
		return SCSI_RESULT_GOOD; /* about another operation, which is over */
	}
	switch ((enum scsi_wiped)entry->action) {
	case SCSI_WIPED_SO_FAR:
		sanitize->pass = said->pass;
		sanitize->bytes = said->bytes;
		effects->changed = true;
		break;
	case SCSI_WIPED_FAILED:
		sanitize->phase = SCSI_SANITIZE_FAILED;
		effects->changed = true;
		break;
	case SCSI_WIPED_ALL:
		sanitize_clear(state, effects);
		break;
	case SCSI_WIPED_COUNT:
		break;
	}
	return SCSI_RESULT_GOOD;
}
