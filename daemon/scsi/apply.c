/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "daemon/scsi/apply.h"
#include "daemon/scsi/nexus.h"
#include "yoke/log.h"
#include "yoke/util.h"

static const char *const result_names[SCSI_RESULT_COUNT] = {
	[SCSI_RESULT_GOOD] = "good",
	[SCSI_RESULT_CONFLICT] = "reservation conflict",
	[SCSI_RESULT_NO_ROOM] = "no room for registrations",
	[SCSI_RESULT_RELEASE_TYPE] = "release of another type",
	[SCSI_RESULT_SPEC_I_PT] = "initiator ports named by a registered nexus",
	[SCSI_RESULT_KEY_ZERO] = "key is zero",
	[SCSI_RESULT_MOVE_TO_SELF] = "move to itself",
	[SCSI_RESULT_NOTHING_TO_MOVE] = "no reservation to move",
	[SCSI_RESULT_MALFORMED] = "malformed entry",
	[SCSI_RESULT_WRITE_PROTECTED] = "write protected",
	[SCSI_RESULT_SANITIZING] = "sanitize in progress",
	[SCSI_RESULT_SANITIZE_FAILED] = "sanitize command failed",
	[SCSI_RESULT_RESTRICTED] = "a restricted sanitize operation has failed",
	[SCSI_RESULT_BUSY] = "another atomic write is not finished",
};

const char *scsi_result_name(enum scsi_result result)
{
	return (unsigned)result < SCSI_RESULT_COUNT ? result_names[result] : "unknown";
}

/* ----- effects -------------------------------------------------------------------------------- */

void scsi_effects_clear(struct scsi_effects *effects)
{
	free(effects->list);
	*effects = (struct scsi_effects){0};
}

void scsi_effects_add(
	struct scsi_effects *effects, const struct scsi_identity *who, uint32_t uas, bool aborts)
{
	for (unsigned i = 0; i < effects->count; i++) {
		if (scsi_identity_equal(&effects->list[i].who, who)) {
			effects->list[i].uas |= uas;
			effects->list[i].abort |= aborts;
			return;
		}
	}
	if (effects->count == effects->room) {
		unsigned room = effects->room ? 2 * effects->room : 8;
		struct scsi_effect *more = realloc(effects->list, room * sizeof(*more));

		if (!more) {
			/* A host that is not told that it lost its reservation writes on. */
			log_err("out of memory for the effects of a reservation; the daemon ends "
				"so that the other controller can take over");
			abort();
		}
		effects->list = more;
		effects->room = room;
	}
	effects->list[effects->count++] =
		(struct scsi_effect){.who = *who, .uas = uas, .abort = aborts};
}

/* ----- standing ------------------------------------------------------------------------------- */

uint8_t scsi_state_standing(const struct scsi_state *state, const struct scsi_identity *who)
{
	uint16_t at = scsi_state_find(state, who);
	uint8_t standing = 0;

	if (at != SCSI_NO_REGISTRANT) {
		standing |= SCSI_IS_REGISTERED;
	}
	if (scsi_state_holds(state, at)) {
		standing |= SCSI_IS_HOLDER;
	}
	if (state->reserved && scsi_identity_equal(&state->reserver, who)) {
		standing |= SCSI_IS_RESERVER;
	}
	return standing;
}

bool scsi_state_permits(
	const struct scsi_state *state, uint8_t standing, uint8_t reserved, bool passes_reserve)
{
	if (state->reserved) {
		return passes_reserve || standing & SCSI_IS_RESERVER;
	}
	if (!state->type || standing & SCSI_IS_HOLDER ||
		(standing & SCSI_IS_REGISTERED && scsi_pr_type_is_shared(state->type))) {
		return true;
	}
	switch ((enum scsi_reserved)reserved) {
	case SCSI_RESERVED_ALLOWED:
		return true;
	case SCSI_RESERVED_READS:
		return !scsi_pr_type_is_exclusive(state->type);
	case SCSI_RESERVED_CONFLICT:
		break;
	}
	return false;
}

/* ----- SPC-2 reservations and mode parameters ------------------------------------------------- */

/*
 * Where registrations exist, RESERVE and RELEASE of a nexus that the persistent reservation lets
 * write are GOOD and do nothing (SPC-4 5.13.3, CRH); any other conflicts (SPC-2 5.5.3).
 */
static enum scsi_result compatible(const struct scsi_state *state, uint8_t standing)
{
	return state->type && scsi_state_permits(state, standing, SCSI_RESERVED_CONFLICT, false)
		       ? SCSI_RESULT_GOOD
		       : SCSI_RESULT_CONFLICT;
}

static void unreserve(struct scsi_state *state, struct scsi_effects *effects)
{
	state->reserved = false;
	memset(&state->reserver, 0, sizeof(state->reserver));
	effects->changed = true;
}

static enum scsi_result reserve_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	uint8_t standing = scsi_state_standing(state, &entry->who);

	if (state->count) {
		return compatible(state, standing);
	}
	if (state->reserved) {
		return standing & SCSI_IS_RESERVER ? SCSI_RESULT_GOOD : SCSI_RESULT_CONFLICT;
	}
	state->reserved = true;
	state->reserver = entry->who;
	effects->changed = true;
	return SCSI_RESULT_GOOD;
}

static enum scsi_result release_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	uint8_t standing = scsi_state_standing(state, &entry->who);

	if (state->count) {
		return compatible(state, standing);
	}
	if (standing & SCSI_IS_RESERVER) {
		unreserve(state, effects);
	}
	return SCSI_RESULT_GOOD; /* of somebody else's reservation: nothing (SPC-2 7.18) */
}

static enum scsi_result unreserve_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	if (entry->flags & SCSI_ENTRY_ANYONE && state->mode != state->saved_mode) {
		state->mode = state->saved_mode; /* told with the reset */
		effects->changed = true;
	}
	if (state->reserved && (entry->flags & SCSI_ENTRY_ANYONE ||
				       scsi_identity_equal(&state->reserver, &entry->who))) {
		if (entry->flags & SCSI_ENTRY_TELL) {
			scsi_effects_add(effects, &state->reserver,
				1u << SCSI_UA_RESERVATIONS_PREEMPTED, false);
		}
		unreserve(state, effects);
	}
	return SCSI_RESULT_GOOD;
}

static enum scsi_result mode_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	uint8_t mode = (uint8_t)((state->mode & ~entry->mask) | entry->values);

	if (!scsi_state_permits(state, scsi_state_standing(state, &entry->who),
		    SCSI_RESERVED_CONFLICT, false)) {
		return SCSI_RESULT_CONFLICT;
	}
	if (entry->flags & SCSI_ENTRY_SAVE) {
		uint8_t saved = (uint8_t)((state->saved_mode & ~entry->mask) | entry->values);

		effects->changed |= saved != state->saved_mode;
		state->saved_mode = saved;
	}
	if (mode != state->mode) {
		state->mode = mode;
		effects->changed = true;
		effects->others_uas |= 1u << SCSI_UA_MODE_CHANGED;
	}
	return SCSI_RESULT_GOOD;
}

static enum scsi_result identify_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	if (!scsi_state_permits(state, scsi_state_standing(state, &entry->who),
		    SCSI_RESERVED_CONFLICT, false)) {
		return SCSI_RESULT_CONFLICT;
	}
	if (entry->info_length != state->info_length ||
		memcmp(entry->info, state->info, entry->info_length) != 0) {
		state->info_length = entry->info_length;
		memset(state->info, 0, sizeof(state->info));
		memcpy(state->info, entry->info, entry->info_length);
		effects->changed = true;
		effects->others_uas |= 1u << SCSI_UA_IDENTIFIER_CHANGED;
	}
	return SCSI_RESULT_GOOD;
}

static enum scsi_result log_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	effects->changed = true; /* not the state, but reactors have something to tell */
	effects->others_uas |= 1u << SCSI_UA_LOG_CHANGED;
	return SCSI_RESULT_GOOD;
}

/* The owner has found that thresholds are reached, or not any more. */
static enum scsi_result thresholds_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	if (entry->values & ~state->reached) {
		effects->others_uas |= 1u << SCSI_UA_THRESHOLD_REACHED; /* SITUA is 0: everybody */
	}
	effects->changed |= entry->values != state->reached;
	state->reached = entry->values;
	return SCSI_RESULT_GOOD;
}

static enum scsi_result pr_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	return state->reserved ? SCSI_RESULT_CONFLICT : scsi_pr_apply(state, entry, effects);
}

/* `sanitizing`: also while a sanitize operation goes on or has failed. */
static const struct {
	enum scsi_result (*apply)(struct scsi_state *state, const struct scsi_entry *entry,
		struct scsi_effects *effects);
	bool sanitizing;
} kinds[] = {
	[SCSI_ENTRY_PR_OUT] = {pr_apply, false},
	[SCSI_ENTRY_RESERVE] = {reserve_apply, false},
	[SCSI_ENTRY_RELEASE] = {release_apply, false},
	[SCSI_ENTRY_UNRESERVE] = {unreserve_apply, true}, /* no command */
	[SCSI_ENTRY_MODE] = {mode_apply, false},
	[SCSI_ENTRY_IDENTIFY] = {identify_apply, false},
	[SCSI_ENTRY_THRESHOLDS] = {thresholds_apply, true}, /* no command */
	[SCSI_ENTRY_LOG] = {log_apply, false},
	[SCSI_ENTRY_SANITIZE] = {scsi_sanitize_apply, true},
	[SCSI_ENTRY_WIPED] = {scsi_wiped_apply, true},
	[SCSI_ENTRY_INTENT] = {scsi_intent_apply, true}, /* of a command that was there before */
	[SCSI_ENTRY_INTENT_END] = {scsi_intent_end_apply, true},
};

enum scsi_result scsi_apply(
	struct scsi_state *state, const uint8_t *bytes, size_t length, struct scsi_effects *effects)
{
	struct scsi_entry entry;
	uint32_t result;

	if (!scsi_entry_get(bytes, length, &entry) || !kinds[entry.kind].apply) {
		return SCSI_RESULT_MALFORMED;
	}
	if (scsi_state_done_get(state, entry.serial, &result)) {
		return (enum scsi_result)result; /* shipped a second time, its owner was lost */
	}
	if (state->sanitize && !kinds[entry.kind].sanitizing) {
		return scsi_sanitize_result(state->sanitize);
	}
	effects->by = entry.who;
	effects->serial = entry.serial;
	result = kinds[entry.kind].apply(state, &entry, effects);
	scsi_state_done_put(state, entry.serial, result);
	return (enum scsi_result)result;
}
