/* SPDX-License-Identifier: BSD-3-Clause */
/* LOG SELECT at both controllers (scsi_pair.h): counters set back or set, lists, who is told. */
#include "scsi_pair.h"

static struct pair *pair;
static struct rig_task t;

static int setup(void **state)
{
	uint8_t block[512] = {1};

	pair = pair_new();
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0),
					 block, 512),
			SCSI_GOOD);
	}
	assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0),
		SCSI_GOOD);
	rig_store.error = -5;
	assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0),
		0x031100);
	rig_store.error = 0;
	return 0;
}

static int teardown(void **state)
{
	pair_free(pair);
	return 0;
}

/* Without a list. */
static uint32_t reset(unsigned host, uint8_t byte1, uint8_t byte2, uint8_t subpage)
{
	return pair_do(
		pair, &t, host, 0, RIG_CDB(0x4c, byte1, byte2, subpage, 0, 0, 0, 0, 0, 0), NULL, 0);
}

static uint32_t list(unsigned host, const void *bytes, uint8_t length)
{
	return pair_do(
		pair, &t, host, 0, RIG_CDB(0x4c, 0, 0x40, 0, 0, 0, 0, 0, length, 0), bytes, length);
}

/* Bytes and errors of a page, asked through the controller that is not the owner. */
static void counts(uint8_t page, uint64_t bytes, uint64_t errors)
{
	struct rig_task sense;

	assert_int_equal(
		pair_do(pair, &sense, B, 0,
			RIG_CDB(0x4d, 0, (uint8_t)(0x40 | page), 0, 0, 0, 0, 1, 0, 0), NULL, 0),
		SCSI_GOOD);
	assert_int_equal(sense.in_length, 28);
	assert_int_equal(be64_get(sense.in + 8), bytes);
	assert_int_equal(be64_get(sense.in + 20), errors);
}

/* Every host but `by` is told once. */
static void told(unsigned by)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(pair_ua(pair, host), host == by ? 0 : 0x062a02);
		assert_int_equal(pair_ua(pair, host), 0);
	}
}

static void nobody_is_told(void)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(pair_ua(pair, host), 0);
	}
}

static void all_pages_or_one(void **state)
{
	counts(2, 1536, 0);
	counts(3, 512, 1);
	assert_int_equal(reset(B, 2, 0x43, 0), SCSI_GOOD);
	told(B);
	counts(2, 1536, 0);
	counts(3, 0, 0);
	assert_int_equal(reset(C, 2, 0, 0), SCSI_GOOD); /* PCR: whatever PC says */
	told(C);
	counts(2, 0, 0);
	/* they count on, and what the administrator sees has never stopped */
	assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0),
		SCSI_GOOD);
	counts(3, 512, 0);
	{
		struct scsi_lu_info info;

		assert_true(scsi_lu_info(pair->rigs[0]->scsi, 0, &info));
		assert_int_equal(info.written_bytes, 1536);
		assert_int_equal(info.read_errors, 1);
	}
}

static void by_page_control(void **state)
{
	/* cumulative values as they are, thresholds to their defaults: there is nothing to do */
	for (uint8_t control = 0; control < 3; control++) {
		assert_int_equal(reset(A, 0, (uint8_t)(control << 6), 0), SCSI_GOOD);
	}
	/* pages without a counter */
	assert_int_equal(reset(A, 2, 0x4c, 0), SCSI_GOOD);
	assert_int_equal(reset(A, 2, 0x6f, 0), SCSI_GOOD);
	nobody_is_told();
	counts(2, 1536, 0);
	assert_int_equal(reset(A, 0, 0xc0, 0xff), SCSI_GOOD); /* cumulative values to theirs */
	told(A);
	counts(2, 0, 0);
	counts(3, 0, 0);
}

static void what_the_cdb_may_not_say(void **state)
{
	assert_int_equal(reset(A, 1, 0, 0), 0x052400); /* SP */
	assert_int_equal(t.sense[15], 0xc8);
	assert_int_equal(be16_get(t.sense + 16), 1);
	assert_int_equal(reset(A, 2, 0x44, 0), 0x052400);
	assert_int_equal(be16_get(t.sense + 16), 2);
	assert_int_equal(reset(A, 2, 0x42, 1), 0x052400);
	assert_int_equal(be16_get(t.sense + 16), 3);
	/* with a list */
	assert_int_equal(
		pair_do(pair, &t, A, 0, RIG_CDB(0x4c, 0, 0x42, 0, 0, 0, 0, 0, 4, 0), "\2\0\0\0", 4),
		0x052400);
	assert_int_equal(be16_get(t.sense + 16), 2);
	assert_int_equal(
		pair_do(pair, &t, A, 0, RIG_CDB(0x4c, 0, 0x40, 1, 0, 0, 0, 0, 4, 0), "\2\0\0\0", 4),
		0x052400);
	assert_int_equal(be16_get(t.sense + 16), 3);
	assert_int_equal(
		pair_do(pair, &t, A, 0, RIG_CDB(0x4c, 2, 0x40, 0, 0, 0, 0, 0, 4, 0), "\2\0\0\0", 4),
		0x052400);
	assert_int_equal(be16_get(t.sense + 16), 1);
	for (uint8_t control = 0; control < 4; control++) {
		assert_int_equal(
			pair_do(pair, &t, A, 0,
				RIG_CDB(0x4c, 0, (uint8_t)(control << 6), 0, 0, 0, 0, 0, 4, 0),
				"\2\0\0\0", 4),
			control == 1 ? SCSI_GOOD : 0x052400);
	}
	assert_int_equal(
		pair_do(pair, &t, A, 0, RIG_CDB(0x4c, 0, 0x40, 0, 0, 0, 0, 2, 1, 0), "", 1),
		0x051a00);
	nobody_is_told();
}

#define COUNTER(code, value) 0, code, 2, 8, 0, 0, 0, 0, 0, 0, 0, value

static void counters_are_set(void **state)
{
	static const uint8_t both[] = {
		0x82, 0, 0, 24, COUNTER(5, 7), COUNTER(6, 9), 0x03, 0, 0, 12, COUNTER(6, 200)};

	assert_int_equal(list(B, both, sizeof(both)), SCSI_GOOD);
	told(B);
	counts(2, 7, 9);
	counts(3, 512, 200);
}

static void lists_that_are_wrong(void **state)
{
	static const struct {
		uint8_t bytes[40];
		uint8_t length;
		uint32_t outcome;
		uint8_t at;
	} rows[] = {
		{{0x02}, 1, 0x051a00, 0},
		{{0x02, 0, 0}, 3, 0x051a00, 0},
		{{0x02, 0, 0, 12, 0, 5}, 6, 0x051a00, 0}, /* the page goes on past the list */
		{{0x02, 0, 0, 3, 0, 5, 2}, 7, 0x052600, 4}, /* a parameter past its page */
		{{0x02, 0, 0, 11, COUNTER(5, 1)}, 15, 0x052600, 4},
		{{0x04, 0, 0, 0}, 4, 0x052600, 0},
		{{0x42, 0, 0, 0}, 4, 0x052600, 0},
		{{0x02, 1, 0, 0}, 4, 0x052600, 1},
		{{0x02, 0, 0, 12, COUNTER(4, 1)}, 16, 0x052600, 4},
		{{0x0c, 0, 0, 12, COUNTER(1, 1)}, 16, 0x052600, 4}, /* never changed */
		{{0x02, 0, 0, 12, 0, 5, 3, 8}, 16, 0x052600, 6},
		{{0x02, 0, 0, 12, 0, 5, 2, 4}, 16, 0x052600, 7},
		{{0x02, 0, 0, 24, COUNTER(6, 1), COUNTER(5, 1)}, 28, 0x052600, 16},
		{{0x02, 0, 0, 24, COUNTER(5, 1), COUNTER(5, 1)}, 28, 0x052600, 16},
		{{0x02, 0, 0, 12, COUNTER(5, 1), 0x04, 0, 0, 0}, 20, 0x052600, 16},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(list(A, rows[i].bytes, rows[i].length), rows[i].outcome);
		if (rows[i].outcome == 0x052600) {
			assert_int_equal(be16_get(t.sense + 16), rows[i].at);
		}
	}
	/* fewer bytes than the CDB says */
	assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0x4c, 0, 0x40, 0, 0, 0, 0, 0, 16, 0),
				 rows[0].bytes, 8),
		0x051a00);
	nobody_is_told();
	counts(2, 1536, 0);
}

static void a_reservation_forbids_it(void **state)
{
	assert_int_equal(pair_pr(pair, A, 0, 0, 0, 0xa1, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, A, 1, 1, 0xa1, 0, 0), SCSI_GOOD);
	assert_int_equal(reset(B, 2, 0, 0), SCSI_RESERVATION_CONFLICT);
	counts(2, 1536, 0);
	assert_int_equal(reset(A, 2, 0, 0), SCSI_GOOD);
	told(A);
	counts(2, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_pages_or_one),
		TEST(by_page_control),
		TEST(what_the_cdb_may_not_say),
		TEST(counters_are_set),
		TEST(lists_that_are_wrong),
		TEST(a_reservation_forbids_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
