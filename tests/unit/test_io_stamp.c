/* SPDX-License-Identifier: BSD-3-Clause */
/* The checker is tested itself: every kind of wrong content must be caught. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/io/stamp.h"

static const struct stamp stamp_want = {.run = 77, .writer = 2, .lun = 5, .sector = 1000};

static enum model_verdict judge(const struct model_block *block, uint64_t known,
	struct stamp written, size_t flip, uint64_t *sequence)
{
	uint8_t sector[STAMP_SECTOR_BYTES];

	stamp_write(&written, sector);
	if (flip) {
		sector[flip] ^= 1;
	}
	return model_sector_check(block, known, &stamp_want, sector, sequence);
}

static void test_round_trip(void **state)
{
	struct stamp in = {.run = 1,
		.writer = 2,
		.lun = 3,
		.sector = 4,
		.sequence = 5,
		.operation = 6,
		.time_ns = 7};
	struct stamp out;
	uint8_t sector[STAMP_SECTOR_BYTES];

	(void)state;
	stamp_write(&in, sector);
	assert_int_equal(stamp_read(sector, &out), STAMP_GOOD);
	assert_memory_equal(&in, &out, sizeof(in));
	memset(sector, 0, sizeof(sector));
	assert_int_equal(stamp_read(sector, &out), STAMP_NONE);
}

static void test_every_byte_counts(void **state)
{
	struct stamp in = stamp_want, out;
	uint8_t sector[STAMP_SECTOR_BYTES];

	(void)state;
	for (size_t i = 0; i < STAMP_SECTOR_BYTES; i++) {
		stamp_write(&in, sector);
		sector[i] ^= 0x10;
		assert_int_not_equal(stamp_read(sector, &out), STAMP_GOOD);
	}
}

static void test_range_of_sequences(void **state)
{
	struct model_block block = {.known = 3, .issued = 5};
	struct stamp written = stamp_want;
	uint64_t sequence;

	(void)state;
	for (uint64_t n = 0; n < 8; n++) {
		enum model_verdict want = n < 3 ? MODEL_STALE : n > 5 ? MODEL_FUTURE : MODEL_RIGHT;

		written.sequence = n;
		assert_int_equal(judge(&block, 3, written, 0, &sequence), want);
		assert_int_equal(sequence, n);
	}
}

static void test_misdirected(void **state)
{
	struct model_block block = {.known = 1, .issued = 1};
	struct stamp written = stamp_want;
	uint64_t sequence;

	(void)state;
	written.sequence = 1;
	written.sector++;
	assert_int_equal(judge(&block, 1, written, 0, &sequence), MODEL_FOREIGN);
	written = stamp_want;
	written.sequence = 1;
	written.lun++;
	assert_int_equal(judge(&block, 1, written, 0, &sequence), MODEL_FOREIGN);
	written = stamp_want;
	written.sequence = 1;
	written.writer++;
	assert_int_equal(judge(&block, 1, written, 0, &sequence), MODEL_FOREIGN);
}

static void test_lost_and_torn(void **state)
{
	struct model_block block = {.known = 1, .issued = 1};
	struct model_block fresh = {0};
	struct stamp written = stamp_want;
	uint8_t zeros[STAMP_SECTOR_BYTES] = {0};
	uint64_t sequence;

	(void)state;
	written.sequence = 1;
	assert_int_equal(judge(&block, 1, written, 300, &sequence), MODEL_TORN);
	assert_int_equal(model_sector_check(&block, 1, &stamp_want, zeros, &sequence), MODEL_LOST);
	assert_int_equal(
		model_sector_check(&fresh, 0, &stamp_want, zeros, &sequence), MODEL_UNKNOWN);
	/* Another run's stamp on an unwritten block says nothing, on a written one it is a loss. */
	written.run++;
	assert_int_equal(judge(&fresh, 0, written, 0, &sequence), MODEL_UNKNOWN);
	assert_int_equal(judge(&block, 1, written, 0, &sequence), MODEL_LOST);
}

static void test_history(void **state)
{
	struct model_block block = {0};

	(void)state;
	assert_int_equal(model_write_begin(&block), 1);
	model_read_done(&block, 1); /* seen before it was acknowledged: must not go back */
	assert_int_equal(block.known, 1);
	model_write_acknowledged(&block);
	assert_int_equal(model_write_begin(&block), 2);
	model_write_ambiguous(&block);
	assert_int_equal(block.known, 1);
	assert_int_equal(model_write_begin(&block), 3);
	model_write_acknowledged(&block);
	assert_int_equal(block.known, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_range_of_sequences),
		cmocka_unit_test(test_misdirected),
		cmocka_unit_test(test_lost_and_torn),
		cmocka_unit_test(test_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
