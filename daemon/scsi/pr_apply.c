/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PERSISTENT RESERVE OUT as a change of state (SPC-4 5.13). Registrations are per I_T nexus. One
 * with ALL_TG_PT is made for every port of the target, as if each port had got the request; it
 * happens for all of them or for none.
 */
#include "daemon/scsi/apply.h"
#include "daemon/scsi/nexus.h"
#include "yoke/util.h"

#define UA(ua) (1u << (ua))

/* ----- the nexuses that a REGISTER means ------------------------------------------------------ */

struct walk {
	struct cursor ports, others;
	const struct scsi_entry *entry;
	struct scsi_identity at;
	unsigned ports_left, others_left;
};

static void walk_ports_restart(struct walk *walk)
{
	walk->ports = walk->entry->ports;
	walk->ports_left = walk->entry->port_count ? walk->entry->port_count : 1;
}

static struct walk walk_begin(const struct scsi_entry *entry)
{
	struct walk walk = {.others = entry->others,
		.entry = entry,
		.at = entry->who,
		.others_left = entry->other_count};

	walk_ports_restart(&walk);
	return walk;
}

/* The next nexus: the sender's initiator port and those of SPEC_I_PT, at each port. */
static bool walk_next(struct walk *walk)
{
	if (walk->ports_left == 0) {
		if (walk->others_left == 0) {
			return false;
		}
		walk->others_left--;
		scsi_entry_other_get(&walk->others, &walk->at);
		walk_ports_restart(walk);
	}
	walk->ports_left--;
	walk->at.rtpi =
		walk->entry->port_count ? cursor_get_u16(&walk->ports) : walk->entry->who.rtpi;
	walk->at.controller = (uint8_t)(walk->at.rtpi >> 8);
	return true;
}

/* ----- parts of several actions --------------------------------------------------------------- */

/* A unit attention for every registered nexus but the sender's. */
static void tell_others(const struct scsi_state *state, const struct scsi_entry *entry,
	uint32_t uas, struct scsi_effects *effects)
{
	for (unsigned i = 0; i < state->count; i++) {
		if (!scsi_identity_equal(&state->registrants[i].who, &entry->who)) {
			scsi_effects_add(effects, &state->registrants[i].who, uas, false);
		}
	}
}

/* The reservation ends by its holder's will; registrants that shared it are told. */
static void reservation_end(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	if (scsi_pr_type_is_shared(state->type)) {
		tell_others(state, entry, UA(SCSI_UA_RESERVATIONS_RELEASED), effects);
	}
	state->type = SCSI_PR_NONE;
	state->holder = SCSI_NO_REGISTRANT;
}

static void reservation_set(struct scsi_state *state, uint16_t at, uint8_t type)
{
	state->type = type;
	state->holder = scsi_pr_type_is_all(type) ? SCSI_NO_REGISTRANT : at;
}

/* A registrant goes: if it was the (last) holder, so does the reservation. */
static void unregister(struct scsi_state *state, uint16_t at, const struct scsi_entry *entry,
	struct scsi_effects *effects)
{
	bool held = scsi_state_holds(state, at);

	scsi_state_remove(state, at);
	if (held && (!scsi_pr_type_is_all(state->type) || state->count == 0)) {
		reservation_end(state, entry, effects);
	}
}

/* ----- REGISTER, REGISTER AND IGNORE EXISTING KEY --------------------------------------------- */

/* May all of them be registered, or changed, or removed? */
static enum scsi_result register_check(
	const struct scsi_state *state, const struct scsi_entry *entry, uint16_t mine)
{
	bool ignore = entry->action == SCSI_PR_REGISTER_AND_IGNORE;
	struct walk walk = walk_begin(entry);
	unsigned added = 0;

	while (walk_next(&walk)) {
		uint16_t at = scsi_state_find(state, &walk.at);

		if (at == SCSI_NO_REGISTRANT) {
			added++;
		} else if (!ignore && (mine == SCSI_NO_REGISTRANT ||
					      state->registrants[at].key != entry->key)) {
			return SCSI_RESULT_CONFLICT;
		}
	}
	return entry->new_key && added > SCSI_REGISTRANTS_MAX - state->count ? SCSI_RESULT_NO_ROOM
									     : SCSI_RESULT_GOOD;
}

static enum scsi_result register_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	uint16_t mine = scsi_state_find(state, &entry->who);
	uint64_t expected = mine == SCSI_NO_REGISTRANT ? 0 : state->registrants[mine].key;
	struct walk walk = walk_begin(entry);
	enum scsi_result result;

	if (entry->action == SCSI_PR_REGISTER && entry->key != expected) {
		return SCSI_RESULT_CONFLICT;
	}
	if (mine != SCSI_NO_REGISTRANT && entry->flags & SCSI_ENTRY_SPEC_I_PT) {
		return SCSI_RESULT_SPEC_I_PT;
	}
	if (mine == SCSI_NO_REGISTRANT && !entry->new_key) {
		return SCSI_RESULT_GOOD; /* nothing to do (SPC-4 table 53) */
	}
	result = register_check(state, entry, mine);
	if (result != SCSI_RESULT_GOOD) {
		return result;
	}
	while (walk_next(&walk)) {
		uint16_t at = scsi_state_find(state, &walk.at);

		if (at == SCSI_NO_REGISTRANT && entry->new_key) {
			scsi_state_add(state, entry->new_key, &walk.at);
		} else if (at != SCSI_NO_REGISTRANT && entry->new_key) {
			state->registrants[at].key = entry->new_key;
		} else if (at != SCSI_NO_REGISTRANT) {
			unregister(state, at, entry, effects);
		}
	}
	state->aptpl = entry->flags & SCSI_ENTRY_APTPL;
	state->generation++;
	effects->changed = true;
	return SCSI_RESULT_GOOD;
}

/* ----- the other actions: the sender is registered with the key that it says ------------------ */

static enum scsi_result reserve_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	uint16_t mine = scsi_state_find(state, &entry->who);

	if (state->type) {
		/* Once more by its holder is fine; a change is not (SPC-4 5.13.9). */
		return scsi_state_holds(state, mine) && state->type == entry->type
			       ? SCSI_RESULT_GOOD
			       : SCSI_RESULT_CONFLICT;
	}
	reservation_set(state, mine, entry->type);
	effects->changed = true;
	return SCSI_RESULT_GOOD;
}

static enum scsi_result release_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	if (!scsi_state_holds(state, scsi_state_find(state, &entry->who))) {
		return SCSI_RESULT_GOOD; /* not its own: nothing happens */
	}
	if (state->type != entry->type) {
		return SCSI_RESULT_RELEASE_TYPE;
	}
	reservation_end(state, entry, effects);
	effects->changed = true;
	return SCSI_RESULT_GOOD;
}

static enum scsi_result clear_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	tell_others(state, entry, UA(SCSI_UA_RESERVATIONS_PREEMPTED), effects);
	state->count = 0;
	state->type = SCSI_PR_NONE;
	state->holder = SCSI_NO_REGISTRANT;
	state->generation++;
	effects->changed = true;
	return SCSI_RESULT_GOOD;
}

/* Takes out a registrant that is preempted. The sender's own loses its tasks, but is not told. */
static void preempt_one(struct scsi_state *state, uint16_t at, const struct scsi_entry *entry,
	struct scsi_effects *effects)
{
	const struct scsi_identity who = state->registrants[at].who;
	bool own = scsi_identity_equal(&who, &entry->who);

	scsi_effects_add(effects, &who, own ? 0 : UA(SCSI_UA_REGISTRATIONS_PREEMPTED),
		entry->action == SCSI_PR_PREEMPT_AND_ABORT);
	scsi_state_remove(state, at);
}

/* SPC-4 5.13.11.2.4: registrations go, the reservation stays (unless nobody is left to hold it). */
static enum scsi_result preempt_registrations(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	unsigned before = state->count;

	for (uint16_t i = 0; i < state->count;) {
		if (state->registrants[i].key == entry->new_key) {
			preempt_one(state, i, entry, effects);
		} else {
			i++;
		}
	}
	if (state->count == before) {
		return SCSI_RESULT_CONFLICT; /* an unknown key */
	}
	if (state->count == 0) {
		state->type = SCSI_PR_NONE; /* it was of an "all registrants" type, if any */
	}
	return SCSI_RESULT_GOOD;
}

/* SPC-4 5.13.11.2.3: the sender takes the reservation over. */
static void preempt_reservation(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	uint8_t type = state->type;
	bool all = scsi_pr_type_is_all(type);

	for (uint16_t i = 0; i < state->count;) {
		const struct scsi_registrant *registrant = &state->registrants[i];

		if (scsi_identity_equal(&registrant->who, &entry->who)) {
			if (registrant->key == entry->new_key &&
				entry->action == SCSI_PR_PREEMPT_AND_ABORT) {
				scsi_effects_add(effects, &registrant->who, 0, true);
			}
			i++;
		} else if (all || registrant->key == entry->new_key) {
			preempt_one(state, i, entry, effects);
		} else {
			i++;
		}
	}
	reservation_set(state, scsi_state_find(state, &entry->who), entry->type);
	if (type != entry->type) {
		tell_others(state, entry, UA(SCSI_UA_RESERVATIONS_RELEASED), effects);
	}
}

static enum scsi_result preempt_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	bool all = scsi_pr_type_is_all(state->type);
	bool holders =
		state->type && !all && state->registrants[state->holder].key == entry->new_key;
	enum scsi_result result = SCSI_RESULT_GOOD;

	if (!entry->new_key && !all) {
		return SCSI_RESULT_KEY_ZERO;
	}
	if (holders || !entry->new_key) {
		preempt_reservation(state, entry, effects);
	} else {
		result = preempt_registrations(state, entry, effects);
	}
	if (result == SCSI_RESULT_GOOD) {
		state->generation++;
		effects->changed = true;
	}
	return result;
}

static enum scsi_result move_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	uint16_t mine = scsi_state_find(state, &entry->who);
	uint16_t to = scsi_state_find(state, &entry->destination);

	if (!state->type) {
		return SCSI_RESULT_NOTHING_TO_MOVE;
	}
	if (scsi_pr_type_is_all(state->type) || !scsi_state_holds(state, mine)) {
		return SCSI_RESULT_CONFLICT;
	}
	if (!entry->new_key) {
		return SCSI_RESULT_KEY_ZERO;
	}
	if (to == mine) {
		return SCSI_RESULT_MOVE_TO_SELF;
	}
	if (to == SCSI_NO_REGISTRANT) {
		if (state->count == SCSI_REGISTRANTS_MAX) {
			return SCSI_RESULT_NO_ROOM;
		}
		to = state->count;
		scsi_state_add(state, entry->new_key, &entry->destination);
	} else {
		state->registrants[to].key = entry->new_key;
	}
	state->holder = to;
	if (entry->flags & SCSI_ENTRY_UNREG) {
		scsi_state_remove(state, mine);
	}
	state->aptpl = entry->flags & SCSI_ENTRY_APTPL;
	state->generation++;
	effects->changed = true;
	return SCSI_RESULT_GOOD;
}

static const struct {
	enum scsi_result (*apply)(struct scsi_state *state, const struct scsi_entry *entry,
		struct scsi_effects *effects);
	bool registers; /* needs no registration, checks the key itself */
} actions[SCSI_PR_ACTION_COUNT] = {
	[SCSI_PR_REGISTER] = {register_apply, true},
	[SCSI_PR_RESERVE] = {reserve_apply, false},
	[SCSI_PR_RELEASE] = {release_apply, false},
	[SCSI_PR_CLEAR] = {clear_apply, false},
	[SCSI_PR_PREEMPT] = {preempt_apply, false},
	[SCSI_PR_PREEMPT_AND_ABORT] = {preempt_apply, false},
	[SCSI_PR_REGISTER_AND_IGNORE] = {register_apply, true},
	[SCSI_PR_REGISTER_AND_MOVE] = {move_apply, false},
};

enum scsi_result scsi_pr_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects)
{
	if (!actions[entry->action].registers) {
		uint16_t mine = scsi_state_find(state, &entry->who);

		if (mine == SCSI_NO_REGISTRANT || state->registrants[mine].key != entry->key) {
			return SCSI_RESULT_CONFLICT;
		}
	}
	return actions[entry->action].apply(state, entry, effects);
}
