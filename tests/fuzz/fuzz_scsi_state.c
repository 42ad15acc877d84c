/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: what the ledger keeps about an LU, and TransportIDs of parameter lists. The first
 * byte says which: 0 a state, 1 an entry, 2 TransportIDs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/scsi/apply.h"
#include "daemon/scsi/transport_id.h"
#include "tests/fuzz/drive.h"
#include "yoke/ledger.h"

static uint8_t saved[LEDGER_STATE_BYTES_MAX], again[LEDGER_STATE_BYTES_MAX];

/* What was accepted must be sound, or the decoder has a hole. */
static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void expect_sound(const struct scsi_state *state)
{
	expect(state->count <= SCSI_REGISTRANTS_MAX && state->done_count <= SCSI_DONE_MAX);
	if (state->type == SCSI_PR_NONE || scsi_pr_type_is_all(state->type)) {
		expect(state->holder == SCSI_NO_REGISTRANT);
		expect(state->type == SCSI_PR_NONE || state->count);
	} else {
		expect(scsi_pr_type_exists(state->type) && state->holder < state->count);
	}
	for (unsigned i = 0; i < state->count; i++) {
		expect(state->registrants[i].key != 0);
		expect(scsi_state_find(state, &state->registrants[i].who) == i);
	}
	expect(scsi_state_put(state, saved, sizeof(saved)) >= 0);
}

static void fuzz_state(const uint8_t *bytes, size_t size)
{
	struct scsi_state state = {.holder = SCSI_NO_REGISTRANT};
	int length;

	if (scsi_state_get(&state, bytes, size) < 0) {
		expect(scsi_state_is_clear(&state));
		return;
	}
	expect_sound(&state);
	/* What it is as bytes is read as the same state. */
	length = scsi_state_put(&state, saved, sizeof(saved));
	expect(scsi_state_get(&state, saved, (size_t)length) == 0);
	expect(scsi_state_put(&state, again, sizeof(again)) == length);
	expect(memcmp(saved, again, (size_t)length) == 0);
	scsi_state_cool(&state);
	expect_sound(&state);
	scsi_state_clear(&state);
}

static void fuzz_entry(const uint8_t *bytes, size_t size)
{
	struct scsi_state state = {.holder = SCSI_NO_REGISTRANT};
	struct scsi_entry entry;

	if (!scsi_entry_get(bytes, size, &entry)) {
		return;
	}
	/* To a clear state, then to what it made, then to one with a reservation of its sender. */
	for (unsigned i = 0; i < 4; i++) {
		struct scsi_effects effects = {0};

		if (i == 2 && scsi_state_find(&state, &entry.who) == SCSI_NO_REGISTRANT) {
			scsi_state_add(&state, entry.key ? entry.key : 1, &entry.who);
		}
		if (i == 2 && state.type == SCSI_PR_NONE) {
			state.type = SCSI_PR_WRITE_EXCLUSIVE;
			state.holder = scsi_state_find(&state, &entry.who);
			state.reserved = false;
		}
		state.done_count = 0;
		scsi_apply(&state, bytes, size, &effects);
		expect_sound(&state);
		scsi_effects_clear(&effects);
	}
	scsi_state_clear(&state);
}

static void fuzz_transport_ids(const uint8_t *bytes, size_t size)
{
	struct cursor c = cursor_reader(bytes, size);
	struct scsi_identity who = {.rtpi = 0x101, .controller = 1};

	while (cursor_left(&c) && scsi_transport_id_get(&c, &who)) {
		uint8_t copy[SCSI_TRANSPORT_ID_MOST];
		struct cursor to = cursor_over(copy, sizeof(copy));
		struct scsi_identity read = who;

		expect(who.initiator[0] && memchr(who.initiator, 0, SCSI_NAME_MAX));
		scsi_transport_id_put(&to, &who);
		expect(cursor_ok(&to));
		to = cursor_reader(copy, to.pos);
		expect(scsi_transport_id_get(&to, &read));
		expect(memcmp(&read, &who, sizeof(who)) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size == 0) {
		return 0;
	}
	switch (bytes[0] & 3) {
	case 0:
		fuzz_state(bytes + 1, size - 1);
		break;
	case 1:
		fuzz_entry(bytes + 1, size - 1);
		break;
	default:
		fuzz_transport_ids(bytes + 1, size - 1);
		break;
	}
	return 0;
}

const struct fuzz_target fuzz_target = {
	.corpus = "scsi_state", .every_cut = true, .every_bit = true};
