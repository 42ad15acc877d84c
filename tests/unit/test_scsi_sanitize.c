/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SANITIZE at both controllers (scsi_pair.h): what it writes, what it lets through, what it
 * survives. LU 0 has 1 MiB: one piece a pass.
 */
#include <errno.h>

#include "scsi_pair.h"
#include "daemon/scsi/ledger.h"

static struct pair *pair;
static struct rig_task t, first;

enum {
	IMMED = 0x80,
	AUSE = 0x20,
	OVERWRITE = 1,
	ERASE = 2,
	EXIT = 0x1f
};
#define SANITIZING 0x02041b
#define FAILED	   0x033103
#define UNTOUCHED  0x5a

static int setup(void **state)
{
	pair = pair_new();
	memset(rig_store.data, UNTOUCHED, sizeof(rig_store.data));
	return 0;
}

static int teardown(void **state)
{
	rig_store.error = 0;
	rig_store.wait = false;
	rig_store_run();
	pair_free(pair);
	return 0;
}

#define CDB(flags, length)                                                       \
	RIG_CDB(0x48, (uint8_t)(flags), 0, 0, 0, 0, 0, (uint8_t)((length) >> 8), \
		(uint8_t)(length), 0)

/* OVERWRITE with a pattern of four bytes. */
static const uint8_t once[] = {1, 0, 0, 4, 1, 2, 3, 4};

static uint32_t overwrite(unsigned host, uint8_t flags, uint8_t options)
{
	uint8_t list[8];

	memcpy(list, once, 8);
	list[0] = options;
	return pair_do(pair, &t, host, 0, CDB(flags | OVERWRITE, 8), list, 8);
}

static uint32_t erase(unsigned host, uint8_t flags)
{
	return pair_do(pair, &t, host, 0, CDB(flags | ERASE, 0), NULL, 0);
}

static uint32_t leave(unsigned host)
{
	return pair_do(pair, &t, host, 0, CDB(EXIT, 0), NULL, 0);
}

static uint32_t ready(unsigned host)
{
	return pair_do(pair, &t, host, 0, RIG_CDB(0, 0, 0, 0, 0, 0), NULL, 0);
}

static bool all_are(uint8_t byte)
{
	return rig_store.data[0][0] == byte &&
	       memcmp(rig_store.data[0], rig_store.data[0] + 1, RIG_BYTES - 1) == 0;
}

/* The store keeps I/Os back until it is called. */
static void store_runs(void)
{
	for (int i = 0; i < 8; i++) {
		rig_store_run();
		pair_run(pair);
	}
}

static const struct scsi_sanitize *sanitize(void)
{
	return pair_state(pair)->sanitize;
}

static void every_block_gets_the_pattern(void **state)
{
	assert_int_equal(overwrite(A, 0, 1), SCSI_GOOD);
	for (unsigned at = 0; at < RIG_BYTES; at++) {
		assert_int_equal(rig_store.data[0][at], 1 + at % 4);
	}
	assert_int_equal(rig_store.writes, 1);
	assert_int_equal(rig_store.fuas, 1);
	assert_int_equal(rig_store.flushes, 1);
	assert_null(sanitize());
	assert_int_equal(ready(B), SCSI_GOOD);
}

static void a_pattern_begins_anew_in_each_block(void **state)
{
	const uint8_t list[] = {1, 0, 0, 3, 7, 8, 9};

	assert_int_equal(pair_do(pair, &t, B, 0, CDB(OVERWRITE, 7), list, sizeof(list)), SCSI_GOOD);
	assert_int_equal(rig_store.data[0][511], 7 + 511 % 3);
	assert_int_equal(rig_store.data[0][512], 7);
	assert_int_equal(rig_store.data[0][RIG_BYTES - 512], 7);
}

/* With INVERT the last pass writes the pattern itself, so an even count begins inverted. */
static void passes_are_inverted_in_turn(void **state)
{
	static const struct {
		uint8_t options;
		uint8_t bytes[3]; /* the first byte after each pass */
	} rows[] = {
		{0x83, {1, 0xfe, 1}},
		{0x82, {0xfe, 1}},
		{0x03, {1, 1, 1}},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned passes = rows[i].options & 0x1f;

		memset(rig_store.data[0], UNTOUCHED, RIG_BYTES);
		rig_store.wait = true;
		rig_store.writes = 0;
		assert_int_equal(overwrite(A, IMMED, rows[i].options), SCSI_GOOD);
		for (unsigned pass = 0; pass < passes; pass++) {
			assert_int_equal(rig_store_run(), 1);
			assert_int_equal(rig_store.data[0][0], rows[i].bytes[pass]);
			pair_run(pair);
		}
		assert_int_equal(rig_store.writes, passes);
		store_runs();
		assert_null(sanitize());
	}
}

static void erased_blocks_are_zeroed_and_given_back(void **state)
{
	memset(rig_store.data[0] + RIG_BYTES / 2, 0, RIG_BYTES / 2); /* no storage there */
	assert_int_equal(erase(B, 0), SCSI_GOOD);
	assert_true(all_are(0));
	assert_int_equal(rig_store.writes, 1); /* only where there is something */
	assert_int_equal(rig_store.unmaps, 1);
	/* an LU without UNMAP does not have it */
	assert_int_equal(pair_do(pair, &t, A, 1, CDB(ERASE, 0), NULL, 0), 0x052000);
}

static void status_comes_at_the_end_or_at_once(void **state)
{
	rig_store.wait = true;
	pair_start(pair, &first, B, 0, CDB(OVERWRITE, 8), once, 8);
	pair_run(pair);
	assert_int_equal(first.dones, 0);
	assert_int_equal(ready(A), SANITIZING);
	store_runs();
	assert_int_equal(first.dones, 1);
	assert_int_equal(rig_outcome(&first), SCSI_GOOD);
	assert_int_equal(overwrite(C, IMMED, 1), SCSI_GOOD);
	assert_int_equal(ready(A), SANITIZING);
	store_runs();
	assert_int_equal(ready(A), SCSI_GOOD);
}

/*
 * The host that has its GOOD may ask the other controller next: it comes only when that one has
 * recorded the end, too, however long it takes.
 */
static void good_waits_for_both_controllers(void **state)
{
	struct rig_ledger *ledger = &pair->rigs[0]->ledger;

	for (unsigned host = A; host <= B; host++) {
		rig_store.wait = true;
		pair_start(pair, &first, host, 0, CDB(OVERWRITE, 8), once, 8);
		pair_run(pair);
		ledger->lags = true;
		store_runs();
		assert_int_equal(ready(A), SCSI_GOOD); /* there it has ended */
		assert_int_equal(ready(B), SANITIZING); /* here not yet */
		assert_int_equal(first.dones, 0);
		ledger->lags = false;
		assert_true(rig_ledger_catch_up(pair->rigs[0]) > 0);
		pair_run(pair);
		assert_int_equal(first.dones, 1);
		assert_int_equal(rig_outcome(&first), SCSI_GOOD);
		assert_int_equal(ready(B), SCSI_GOOD);
		assert_null(sanitize());
	}
}

/* What SBC-4 4.11.2 lists goes on, at both controllers; everything else is refused. */
static void other_commands_are_refused(void **state)
{
	static const struct {
		uint8_t cdb[16];
		uint8_t length;
		uint32_t outcome;
	} rows[] = {
		{{0x00}, 6, SANITIZING},
		{{0x12, 0, 0, 0, 96}, 6, SCSI_GOOD},
		{{0x03, 0, 0, 0, 18}, 6, SCSI_GOOD},
		{{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64}, 12, SCSI_GOOD},
		{{0x1b, 0, 0, 0, 1}, 6, SANITIZING},
		{{0x1b, 1, 0, 0, 0x12}, 6, SANITIZING}, /* a field that is wrong besides */
		{{0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 10, SANITIZING},
		{{0x25}, 10, SCSI_GOOD},
		{{0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32}, 16, SCSI_GOOD},
		{{0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32}, 16, SANITIZING},
		{{0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0, 64}, 12, SCSI_GOOD},
		{{0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16}, 12, SCSI_GOOD},
		{{0x1a, 0, 0x08, 0, 255}, 6, SCSI_GOOD},
		{{0x1a, 0, 0x0a, 0, 255}, 6, SCSI_GOOD},
		{{0x5a, 0, 0x1c, 0, 0, 0, 0, 0, 255}, 10, SCSI_GOOD},
		{{0x5a, 0, 0x1c, 2, 0, 0, 0, 0, 255}, 10, SANITIZING},
		{{0x5a, 0, 0x0a, 0xff, 0, 0, 0, 0, 255}, 10, SANITIZING},
		{{0x1a, 0, 0x3f, 0, 255}, 6, SANITIZING},
		{{0x1a, 0, 0x01, 0, 255}, 6, SANITIZING},
		{{0x4d, 0, 0x40, 0, 0, 0, 0, 0, 64}, 10, SANITIZING},
		{{0x16}, 6, SANITIZING}, /* by way of the ledger */
		{{0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 64}, 12, SANITIZING},
		{{0x5e, 0, 0, 0, 0, 0, 0, 0, 64}, 10, SANITIZING},
		{{0x48, 0x9f}, 10, SANITIZING},
		{{0x48, 0x82}, 10, SANITIZING},
	};

	rig_store.wait = true;
	assert_int_equal(overwrite(A, IMMED, 2), SCSI_GOOD);
	rig_store_run();
	pair_run(pair);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned host = 0; host < HOSTS; host++) {
			uint32_t outcome =
				pair_do(pair, &t, host, 0, rows[i].cdb, rows[i].length, NULL, 0);

			if (outcome != rows[i].outcome) {
				fail_msg("row %u, host %u: %06x", i, host, outcome);
			}
		}
	}
	store_runs();
	assert_int_equal(pair_do(pair, &t, B, 0, RIG_CDB(0x16, 0, 0, 0, 0, 0), NULL, 0), SCSI_GOOD);
}

static void was_recorded(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	assert_int_equal(outcome, LEDGER_DONE);
	assert_int_equal(result, SCSI_RESULT_GOOD);
}

static void sense_data_tell_the_progress(void **state)
{
	struct scsi_entry entry = {
		.kind = SCSI_ENTRY_WIPED, .who = rig_identity("x", 0x101), .sanitize = {.pass = 2}};
	uint8_t bytes[1024];
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	rig_store.wait = true;
	assert_int_equal(overwrite(A, IMMED, 4), SCSI_GOOD);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(ready(host), SANITIZING);
		rig_assert_hex(t.sense + 15, 3, "80 00 00");
	}
	/* the work is at half of it, and has said so */
	entry.sanitize.id = sanitize()->id;
	scsi_entry_put(&c, &entry);
	scsi_ledger_submit(&pair->rigs[0]->scsi->lus[0], 1, bytes, c.pos, was_recorded, NULL);
	pair_run(pair);
	assert_int_equal(ready(B), SANITIZING);
	rig_assert_hex(t.sense + 15, 3, "80 80 00");
	assert_int_equal(
		pair_do(pair, &t, B, 0, RIG_CDB(0x03, 0, 0, 0, 252, 0), NULL, 0), SCSI_GOOD);
	rig_assert_hex(t.in, 18, "70 00 02 00 00 00 00 0a 00 00 00 00 04 1b 00 80 80 00");
	assert_int_equal(
		pair_do(pair, &t, B, 0, RIG_CDB(0x03, 1, 0, 0, 252, 0), NULL, 0), SCSI_GOOD);
	rig_assert_hex(t.in, 16, "72 02 04 1b 00 00 00 08 02 06 00 00 80 80 00 00");
	store_runs();
}

static void lists_and_fields_that_are_wrong(void **state)
{
	static const struct {
		uint8_t flags;
		uint8_t length;
		uint8_t list[8];
		uint32_t outcome;
	} rows[] = {
		{OVERWRITE, 0, {0}, 0x052400},
		{OVERWRITE, 4, {1, 0, 0, 0}, 0x052400},
		{OVERWRITE, 8, {0, 0, 0, 4, 1}, 0x052400}, /* no pass */
		{OVERWRITE, 8, {1, 0, 0, 0, 1}, 0x052600}, /* no pattern */
		{OVERWRITE, 8, {1, 0, 0, 5, 1}, 0x052600}, /* longer than what came */
		{OVERWRITE, 8, {0x21, 0, 0, 4, 1}, 0x052600}, /* TEST */
		{OVERWRITE, 8, {1, 1, 0, 4, 1}, 0x052600},
		{OVERWRITE | 0x40, 8, {1, 0, 0, 4, 1}, 0x052400}, /* ZNR: no zones */
		{ERASE, 8, {0}, 0x052400},
		{EXIT, 8, {0}, 0x052400},
		{3, 0, {0}, 0x052400}, /* CRYPTOGRAPHIC ERASE */
		{0, 0, {0}, 0x052400},
		{0x1e, 0, {0}, 0x052400},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t outcome = pair_do(pair, &t, i % HOSTS, 0,
			CDB(rows[i].flags, rows[i].length), rows[i].list, rows[i].length);

		if (outcome != rows[i].outcome) {
			fail_msg("row %u: %06x", i, outcome);
		}
	}
	/* a pattern may be one block long, no longer */
	assert_int_equal(
		pair_do(pair, &t, A, 0, CDB(OVERWRITE, 517), rig_store.data[1], 517), 0x052400);
	assert_true(all_are(UNTOUCHED));
}

static void reservations_and_write_protection_hold(void **state)
{
	static const uint8_t swp[16] = {0, 0, 0, 0, 0x0a, 0x0a, 0x20, 0x10, 0x08};

	assert_int_equal(pair_do(pair, &t, B, 0, RIG_CDB(0x16, 0, 0, 0, 0, 0), NULL, 0), SCSI_GOOD);
	assert_int_equal(overwrite(A, 0, 1), SCSI_RESERVATION_CONFLICT);
	assert_int_equal(overwrite(C, 0, 0), SCSI_RESERVATION_CONFLICT); /* before the list */
	assert_int_equal(leave(A), SCSI_RESERVATION_CONFLICT);
	assert_int_equal(pair_do(pair, &t, B, 0, RIG_CDB(0x17, 0, 0, 0, 0, 0), NULL, 0), SCSI_GOOD);
	assert_int_equal(
		pair_do(pair, &t, B, 0, RIG_CDB(0x15, 0x10, 0, 0, 16, 0), swp, 16), SCSI_GOOD);
	pair_calm(pair);
	assert_int_equal(overwrite(A, 0, 1), 0x072700);
	assert_int_equal(erase(B, 0), 0x072700);
	assert_int_equal(leave(C), SCSI_GOOD);
	/* an LU that is read-only at all */
	assert_int_equal(pair_do(pair, &t, A, 2, CDB(OVERWRITE, 8), once, 8), 0x072700);
	assert_true(all_are(UNTOUCHED));
}

/* A failure stays until it is left, which the command must have allowed, or mended. */
static void a_failure_stays(void **state)
{
	rig_store.error = -EIO;
	assert_int_equal(overwrite(B, 0, 1), FAILED);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(ready(host), FAILED);
	}
	assert_int_equal(
		pair_do(pair, &t, A, 0, RIG_CDB(0x03, 0, 0, 0, 18, 0), NULL, 0), SCSI_GOOD);
	assert_int_equal(t.in[2], 3);
	assert_int_equal(t.in[12], 0x31);
	assert_int_equal(leave(A), 0x052400);
	assert_int_equal(overwrite(A, AUSE, 1), 0x052400); /* it may not get out that way */
	assert_int_equal(overwrite(A, 0, 1), FAILED);
	rig_store.error = 0;
	assert_int_equal(overwrite(A, 0, 1), SCSI_GOOD);
	assert_int_equal(ready(B), SCSI_GOOD);
	rig_store.error = -EIO;
	assert_int_equal(overwrite(A, AUSE, 1), FAILED);
	assert_int_equal(leave(B), SCSI_GOOD);
	assert_int_equal(ready(C), SCSI_GOOD);
	assert_int_equal(leave(B), SCSI_GOOD); /* nothing to leave */
}

static void count_tmf(struct scsi_tmf *tmf)
{
	assert_int_equal(tmf->response, SCSI_TMF_COMPLETE);
}

static void it_goes_on_through_resets_and_lost_sessions(void **state)
{
	static const uint8_t functions[] = {SCSI_TMF_ABORT_TASK, SCSI_TMF_ABORT_TASK_SET,
		SCSI_TMF_LU_RESET, SCSI_TMF_TARGET_WARM_RESET};
	struct scsi_tmf tmf = {
		.nexus = pair->nexus[A], .reactor = pair->rigs[0]->reactors[0], .done = count_tmf};

	rig_store.wait = true;
	pair_start(pair, &first, A, 0, CDB(OVERWRITE, 8), once, 8);
	pair_run(pair);
	for (unsigned i = 0; i < ARRAY_SIZE(functions); i++) {
		tmf.function = functions[i];
		tmf.ref_tag = first.task.tag;
		scsi_tmf_run(&tmf);
		pair_run(pair);
		assert_int_equal(first.dones, 1);
		assert_true(first.aborted);
	}
	scsi_nexus_close(pair->nexus[A], NULL, NULL);
	pair->nexus[A] = NULL;
	pair_run(pair);
	assert_non_null(sanitize());
	while (pair_ua(pair, C) >> 16 == 6) {
	}
	assert_int_equal(ready(C), SANITIZING);
	store_runs();
	assert_int_equal(rig_store.data[0][RIG_BYTES - 1], 4);
	assert_int_equal(ready(C), SCSI_GOOD);
}

/* Commands that were there before end first; what comes later does not come in between. */
static void older_commands_end_first(void **state)
{
	static const uint8_t block[512] = {9};

	rig_store.wait = true;
	pair_start(pair, &first, C, 0, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), block, 512);
	pair_run(pair);
	assert_int_equal(overwrite(A, IMMED, 1), SCSI_GOOD);
	assert_int_equal(rig_store.writes, 1); /* the older one */
	assert_int_equal(rig_store_run(), 1);
	pair_run(pair);
	assert_int_equal(first.dones, 1);
	for (int i = 0; i < 1000 && rig_store.writes < 2; i++) {
		pair_run(pair);
	}
	assert_int_equal(rig_store.writes, 2);
	store_runs();
	assert_int_equal(rig_store.data[0][0], 1);
}

/* The group moves in the middle: the new owner goes on with what is recorded. */
static void a_new_owner_goes_on(void **state)
{
	struct rig *other = pair->rigs[1];

	rig_store.wait = true;
	pair_start(pair, &first, B, 0, CDB(OVERWRITE, 8), once, 8);
	pair_run(pair);
	rig_publish(other, 0, GROUP_HELD, 1, 1, 1);
	pair_run(pair);
	assert_int_equal(first.dones, 0);
	rig_publish(pair->rigs[0], 0, GROUP_HELD, 1, 1, 1);
	rig_store_run(); /* its last piece; it counts for nothing */
	pair_run(pair);
	rig_publish(pair->rigs[0], 0, GROUP_REMOTE, 2, 2, 2);
	memset(rig_store.data[0], UNTOUCHED, RIG_BYTES);
	rig_publish(other, 0, GROUP_LOCAL, 2, 2, 2);
	pair_run(pair);
	assert_int_equal(first.dones, 1);
	assert_int_equal(rig_outcome(&first), 0x062a06); /* as any command that comes back */
	assert_int_equal(ready(B), SANITIZING);
	store_runs();
	assert_int_equal(rig_store.data[0][0], 1);
	assert_int_equal(ready(B), SCSI_GOOD);
	assert_null(scsi_ledger_state(other->scsi, 0)->sanitize);
}

/* A whole array that lost its power goes on as well; a failure is remembered. */
static void it_outlives_a_restart(void **state)
{
	static uint8_t bytes[LEDGER_STATE_BYTES_MAX];
	struct rig *rig = pair->rigs[0];
	const struct ledger_serve *serve = scsi_ledger_serve(rig->scsi);
	int length;

	rig_store.wait = true;
	assert_int_equal(overwrite(A, IMMED, 1), SCSI_GOOD);
	length = serve->save(serve->ctx, rig->scsi->lus[0].conf->uuid, bytes, sizeof(bytes));
	assert_true(length > 0);
	store_runs();
	memset(rig_store.data[0], UNTOUCHED, RIG_BYTES);
	assert_int_equal(
		serve->load(serve->ctx, rig->scsi->lus[0].conf->uuid, bytes, (size_t)length, true),
		0);
	pair_run(pair);
	assert_int_equal(ready(A), SANITIZING);
	store_runs();
	assert_int_equal(rig_store.data[0][0], 1);
	assert_int_equal(ready(A), SCSI_GOOD);
	/* the other one did not lose what it knows, and knows the end of it */
	assert_int_equal(ready(B), SCSI_GOOD);
}

static void vpd_b1_says_how_erased_blocks_read(void **state)
{
	for (unsigned lun = 0; lun < 2; lun++) {
		assert_int_equal(
			pair_do(pair, &t, B, lun, RIG_CDB(0x12, 1, 0xb1, 0, 64, 0), NULL, 0),
			SCSI_GOOD);
		assert_int_equal(t.in_length, 64);
		assert_int_equal(t.in[7], lun == 0 ? 0x40 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_block_gets_the_pattern, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_pattern_begins_anew_in_each_block, setup, teardown),
		cmocka_unit_test_setup_teardown(passes_are_inverted_in_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(
			erased_blocks_are_zeroed_and_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(
			status_comes_at_the_end_or_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(good_waits_for_both_controllers, setup, teardown),
		cmocka_unit_test_setup_teardown(other_commands_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(sense_data_tell_the_progress, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_and_fields_that_are_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(
			reservations_and_write_protection_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failure_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(
			it_goes_on_through_resets_and_lost_sessions, setup, teardown),
		cmocka_unit_test_setup_teardown(older_commands_end_first, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_owner_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(it_outlives_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(
			vpd_b1_says_how_erased_blocks_read, setup, teardown),
	};

	return cmocka_run_group_tests_name("scsi sanitize", tests, NULL, NULL);
}
