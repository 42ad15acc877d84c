/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Thresholds of thin provisioning at both controllers (scsi_pair.h): what the pages say, when one
 * is reached, who is told how often, and when it is armed again.
 */
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/threshold.h"
#include "daemon/scsi/watch.h"
#include "scsi_pair.h"

#define SET (1u << 20) /* a threshold set of LUN 0: 2048 blocks of 512 bytes */

static struct pair *pair;
static struct rig_task t;

/* A configuration for each controller that differs from the rig's in LUN 0's thresholds. */
static struct next {
	struct conf conf;
	struct conf_extent extents[RIG_EXTENTS];
} nexts[2][2];

static void nothing(void *arg)
{
}

static void claimed(void *arg, int err)
{
	assert_int_equal(err, 0);
}

/* Puts thresholds in place at both; `turn`: the former configuration must outlive the change. */
static void thresholds(unsigned turn, struct conf_amount used, struct conf_amount available)
{
	char error[256];

	for (unsigned i = 0; i < 2; i++) {
		struct next *next = &nexts[turn][i];
		struct scsi_change *change;

		next->conf = pair->rigs[i]->conf;
		memcpy(next->extents, pair->rigs[i]->extents, sizeof(next->extents));
		next->conf.extents = next->extents;
		next->extents[0].threshold_used = used;
		next->extents[0].threshold_available = available;
		change = scsi_change_new(pair->rigs[i]->scsi, &next->conf, error, sizeof(error));
		assert_non_null(change);
		scsi_change_apply(change, nothing, NULL);
	}
	pair_run(pair);
}

static const struct conf_amount none, four_sets = {.bytes = 4 * SET}, ten_percent = {.percent = 10};

static int setup(void **state)
{
	pair = pair_new();
	rig_store.free_bytes = 1000 * SET;
	rig_store.total_bytes = 1000 * SET;
	pair->rigs[0]->serve->claim(pair->rigs[0]->serve->ctx, 0, 1, 1000, claimed, NULL);
	return 0;
}

static int teardown(void **state)
{
	pair_free(pair);
	return 0;
}

/* Every controller looks at the space. */
static void look(void)
{
	for (unsigned i = 0; i < 2; i++) {
		scsi_watch_pass(pair->rigs[i]->scsi->watch);
	}
	pair_run(pair);
}

/* What each host is told, once. */
static void told(uint32_t ua)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(pair_ua(pair, host), ua);
		assert_int_equal(pair_ua(pair, host), 0);
	}
}

static void uses(uint64_t bytes)
{
	rig_store.used_bytes = bytes;
	look();
}

/* ----- pages ---------------------------------------------------------------------------------- */

#define DO(...)	    pair_do(pair, &t, B, 0, RIG_CDB(__VA_ARGS__), NULL, 0)
#define ANSWER(hex) rig_assert_hex(t.in, t.in_length, hex)
#define NO_BYTES    "00 00 00 00 00 00 00 00 00 00 00 00 "
#define OFF	    NO_BYTES "00 01 00 00 00 00 00 00 01 02 00 00 00 00 00 00 08 03 00 00 00 00 00 00"
#define SOME	    NO_BYTES "00 01 00 00 00 00 00 00 81 02 00 00 00 00 00 04 88 03 00 00 00 00 00 0a"

static void mode_page(void **state)
{
	assert_int_equal(DO(0x1a, 8, 0x1c, 2, 255, 0), SCSI_GOOD);
	ANSWER("2b 00 10 00 5c 02 00 24 " OFF);
	assert_int_equal(DO(0x1a, 8, 0x01, 0, 255, 0), SCSI_GOOD);
	ANSWER("0f 00 10 00 01 0a c0 00 00 00 00 00 00 00 00 00");
	thresholds(0, four_sets, ten_percent);
	told(0x062a01);
	assert_int_equal(DO(0x1a, 8, 0x1c, 2, 255, 0), SCSI_GOOD);
	ANSWER("2b 00 10 00 5c 02 00 24 " SOME);
	assert_int_equal(DO(0x1a, 8, 0x1c, 0xff, 255, 0), SCSI_GOOD);
	ANSWER("37 00 10 00 1c 0a 08 00 00 00 00 00 00 00 00 00 5c 02 00 24 " SOME);
	assert_int_equal(DO(0x1a, 8, 0x01, 0, 255, 0), SCSI_GOOD);
	ANSWER("0f 00 10 00 01 0a c0 00 00 00 00 80 00 00 00 00");
	/* nothing of it can be changed by a host */
	assert_int_equal(DO(0x1a, 8, 0x5c, 2, 255, 0), SCSI_GOOD);
	ANSWER("2b 00 10 00 5c 02 00 24 " NO_BYTES
	       "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
	/* subpages that are not there, also of an LU that is not thin */
	assert_int_equal(DO(0x1a, 8, 0x1c, 1, 255, 0), 0x052400);
	assert_int_equal(be16_get(t.sense + 16), 3);
	assert_int_equal(DO(0x1a, 8, 0x3f, 2, 255, 0), 0x052400);
	assert_int_equal(
		pair_do(pair, &t, B, 1, RIG_CDB(0x1a, 8, 0x1c, 2, 255, 0), NULL, 0), 0x052400);
}

static uint32_t select_page(uint8_t count)
{
	uint8_t list[] = {0, 0, 0, 0, 0x5c, 2, 0, 0x24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
		0, 0, 0, 0, 0, 0x81, 2, 0, 0, 0, 0, 0, count, 0x88, 3, 0, 0, 0, 0, 0, 10};

	return pair_do(
		pair, &t, B, 0, RIG_CDB(0x15, 0x10, 0, 0, sizeof(list), 0), list, sizeof(list));
}

static void mode_select_of_the_page(void **state)
{
	thresholds(0, four_sets, ten_percent);
	told(0x062a01);
	assert_int_equal(select_page(4), SCSI_GOOD);
	assert_int_equal(select_page(5), 0x052600);
	assert_int_equal(t.sense[15], 0x88);
	assert_int_equal(be16_get(t.sense + 16), 35);
}

static void vpd_and_log_pages(void **state)
{
	assert_int_equal(DO(0x12, 1, 0xb2, 0, 96, 0), SCSI_GOOD);
	ANSWER("00 b2 00 04 0b e4 02 0a");
	rig_store.used_bytes = 3 * SET + 4096;
	rig_store.free_bytes = 129 * SET;
	assert_int_equal(DO(0x4d, 0, 0x4c, 0, 0, 0, 0, 1, 0, 0), SCSI_GOOD);
	ANSWER("8c 00 00 24 00 01 03 08 00 00 00 81 02 00 00 00 00 02 03 08 00 00 00 03 01 00 00 "
	       "00 "
	       "00 03 03 08 00 0c 00 00 02 00 00 00");
	assert_int_equal(DO(0x4d, 0, 0x4c, 0, 0, 0, 3, 1, 0, 0), SCSI_GOOD);
	ANSWER("8c 00 00 0c 00 03 03 08 00 0c 00 00 02 00 00 00");
	assert_int_equal(DO(0x4d, 0, 0x4c, 0, 0, 0, 4, 1, 0, 0), 0x052400);
}

/* The count is of at most 32 bits, however large the LU is. */
static void large_units_have_large_sets(void **state)
{
	struct scsi_lu lu = {.block_size = 512, .block_shift = 9};

	lu.blocks = 1ull << 42;
	assert_int_equal(scsi_threshold_exponent(&lu), 11);
	lu.blocks = 1ull << 43;
	assert_int_equal(scsi_threshold_exponent(&lu), 12);
	lu.blocks = 1ull << 44;
	assert_int_equal(scsi_threshold_exponent(&lu), 13);
}

/* ----- reached -------------------------------------------------------------------------------- */

static void reached_is_told_once_to_everybody(void **state)
{
	thresholds(0, four_sets, none);
	told(0x062a01);
	uses(4 * SET); /* inside the range: as it was */
	told(0);
	uses(4 * SET + SET / 2 - 1);
	told(0);
	uses(4 * SET + SET / 2);
	told(0x063807);
	assert_int_equal(pair_state(pair)->reached, 1u << SCSI_THRESHOLD_USED);
	uses(9 * SET);
	told(0);
	/* armed again only at the other end of the range */
	uses(3 * SET + SET / 2 + 1);
	assert_int_equal(pair_state(pair)->reached, 1u << SCSI_THRESHOLD_USED);
	uses(5 * SET);
	told(0);
	uses(3 * SET + SET / 2);
	told(0);
	assert_int_equal(pair_state(pair)->reached, 0);
	uses(5 * SET);
	told(0x063807);
}

static void what_is_left(void **state)
{
	thresholds(0, none, ten_percent);
	told(0x062a01);
	rig_store.free_bytes = 96 * SET;
	look();
	told(0);
	rig_store.free_bytes = 95 * SET;
	look();
	told(0x063807);
	rig_store.free_bytes = 104 * SET;
	look();
	rig_store.free_bytes = 90 * SET;
	look();
	told(0);
	rig_store.free_bytes = 105 * SET;
	look();
	assert_int_equal(pair_state(pair)->reached, 0);
	/* the same in bytes; one that is not set any more is not reached any more */
	rig_store.free_bytes = 90 * SET;
	look();
	told(0x063807);
	thresholds(1, none, four_sets);
	told(0x062a01);
	look();
	assert_int_equal(pair_state(pair)->reached, 0);
	rig_store.free_bytes = 3 * SET + SET / 2;
	look();
	told(0x063807);
	assert_int_equal(pair_state(pair)->reached, 1u << SCSI_THRESHOLD_AVAILABLE);
	/* a store that does not tell changes nothing */
	rig_store.free_bytes = EXTENT_UNKNOWN;
	look();
	assert_int_equal(pair_state(pair)->reached, 1u << SCSI_THRESHOLD_AVAILABLE);
}

static void a_new_one_is_told_while_another_is_reached(void **state)
{
	thresholds(0, four_sets, ten_percent);
	told(0x062a01);
	uses(5 * SET);
	told(0x063807);
	rig_store.free_bytes = 0;
	look();
	told(0x063807);
	uses(0);
	told(0);
	assert_int_equal(pair_state(pair)->reached, 1u << SCSI_THRESHOLD_PERCENT);
}

static void a_percentage_is_of_the_size(void **state)
{
	struct scsi_lu lu = pair->rigs[0]->scsi->lus[0];
	struct conf_extent conf = *lu.conf;

	conf.threshold_used = (struct conf_amount){.percent = 80};
	lu.blocks = 1000 * 2048;
	assert_true(scsi_thresholds_set(&lu, &conf));
	assert_int_equal(lu.thresholds[SCSI_THRESHOLD_USED], 800);
	assert_false(scsi_thresholds_set(&lu, &conf));
	lu.blocks *= 2;
	assert_true(scsi_thresholds_set(&lu, &conf));
	assert_int_equal(lu.thresholds[SCSI_THRESHOLD_USED], 1600);
}

/* ----- who finds it --------------------------------------------------------------------------- */

static void only_the_owner_says_so(void **state)
{
	thresholds(0, four_sets, none);
	told(0x062a01);
	rig_store.used_bytes = 5 * SET;
	scsi_watch_pass(pair->rigs[1]->scsi->watch);
	pair_run(pair);
	assert_int_equal(pair->rigs[0]->ledger.submitted, 0);
	told(0);
	/* what it has heard is shown, though */
	assert_int_equal(pair->rigs[1]->scsi->lus[0].space.used_bytes, 5 * SET);
}

static void what_could_not_be_told_is_told_later(void **state)
{
	thresholds(0, four_sets, none);
	told(0x062a01);
	pair->rigs[0]->ledger.outcome = LEDGER_AGAIN;
	uses(5 * SET);
	told(0);
	pair->rigs[0]->ledger.outcome = LEDGER_FAILED;
	look();
	told(0);
	pair->rigs[0]->ledger.outcome = LEDGER_DONE;
	look();
	told(0x063807);
	look();
	told(0);
	/* one entry at a time */
	pair->rigs[0]->ledger.wait = true;
	uses(0);
	look();
	assert_int_equal(rig_ledger_run(pair->rigs[0]), 1);
	pair->rigs[0]->ledger.wait = false;
	pair_run(pair);
	assert_int_equal(pair_state(pair)->reached, 0);
}

static void a_store_that_fails_or_hangs(void **state)
{
	unsigned asks;

	thresholds(0, four_sets, none);
	told(0x062a01);
	rig_store.error = -EIO;
	uses(5 * SET);
	rig_store.error = 0;
	told(0);
	rig_store.wait = true;
	look();
	asks = rig_store.asks;
	look(); /* not asked again before it has answered */
	assert_int_equal(rig_store.asks, asks);
	rig_store.wait = false;
	rig_store_run();
	pair_run(pair);
	told(0x063807);
}

/* Removed while its store is asked: closed only with the answer. */
static void an_lu_that_goes(void **state)
{
	struct next *next = &nexts[0][0];
	struct rig *rig = pair->rigs[0];
	struct conf_target target = rig->targets[0];
	struct conf_lun lun = {.lun = 1, .extent = 0};
	struct scsi_change *change;
	unsigned closes = rig_store.closes;
	char error[256];

	rig_store.wait = true;
	scsi_watch_pass(rig->scsi->watch);
	pair_run(pair);
	next->conf = rig->conf;
	next->extents[0] = rig->extents[1];
	next->conf.extents = next->extents;
	next->conf.extent_count = 1;
	target.luns = &lun;
	target.lun_count = 1;
	next->conf.targets = &target;
	change = scsi_change_new(rig->scsi, &next->conf, error, sizeof(error));
	assert_non_null(change);
	scsi_change_apply(change, nothing, NULL);
	pair_run(pair);
	assert_int_equal(rig_store.closes, closes + 1); /* the third extent's */
	rig_store.wait = false;
	rig_store_run();
	pair_run(pair);
	assert_int_equal(rig_store.closes, closes + 2);
}

/* ----- what lasts ----------------------------------------------------------------------------- */

static void the_state_is_kept_and_armed_by_a_loss_of_power(void **state)
{
	const struct ledger_serve *serve = scsi_ledger_serve(pair->rigs[1]->scsi);
	uint8_t bytes[256];
	int length;

	thresholds(0, four_sets, none);
	told(0x062a01);
	uses(5 * SET);
	told(0x063807);
	length = serve->save(serve->ctx, pair->rigs[1]->extents[0].uuid, bytes, sizeof(bytes));
	assert_true(length > 0);
	assert_int_equal(serve->load(serve->ctx, pair->rigs[1]->extents[0].uuid, bytes,
				 (size_t)length, false),
		0);
	pair_run(pair);
	assert_int_equal(pair_state(pair)->reached, 1u << SCSI_THRESHOLD_USED);
	for (unsigned i = 0; i < 2; i++) {
		serve = scsi_ledger_serve(pair->rigs[i]->scsi);
		assert_int_equal(serve->load(serve->ctx, pair->rigs[1]->extents[0].uuid, bytes,
					 (size_t)length, true),
			0);
	}
	pair_run(pair);
	assert_int_equal(pair_state(pair)->reached, 0);
	look();
	told(0x063807);
}

static void an_entry_of_other_thresholds_is_none(void **state)
{
	const struct ledger_serve *serve = scsi_ledger_serve(pair->rigs[0]->scsi);
	struct scsi_entry entry = {.kind = SCSI_ENTRY_THRESHOLDS,
		.values = SCSI_REACHED_ALL + 1,
		.who = pair->nexus[A]->who};
	uint8_t bytes[1024];
	struct cursor c = cursor_over(bytes, sizeof(bytes));
	struct ledger_entry ledger = {.bytes = bytes, .epoch = 1};

	memcpy(ledger.lu, pair->rigs[0]->extents[0].uuid, 16);
	scsi_entry_put(&c, &entry);
	ledger.length = c.pos;
	assert_int_equal(
		serve->apply(serve->ctx, &ledger, 1, nothing, NULL), SCSI_RESULT_MALFORMED);
	assert_int_equal(pair_state(pair)->reached, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mode_page),
		TEST(mode_select_of_the_page),
		TEST(vpd_and_log_pages),
		TEST(large_units_have_large_sets),
		TEST(reached_is_told_once_to_everybody),
		TEST(what_is_left),
		TEST(a_new_one_is_told_while_another_is_reached),
		TEST(a_percentage_is_of_the_size),
		TEST(only_the_owner_says_so),
		TEST(what_could_not_be_told_is_told_later),
		TEST(a_store_that_fails_or_hangs),
		TEST(an_lu_that_goes),
		TEST(the_state_is_kept_and_armed_by_a_loss_of_power),
		TEST(an_entry_of_other_thresholds_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
