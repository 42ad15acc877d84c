/* SPDX-License-Identifier: BSD-3-Clause */
/* SET and REPORT IDENTIFYING INFORMATION at two controllers (scsi_pair.h), and as bytes. */
#include <errno.h>

#include "scsi_pair.h"

#include "daemon/scsi/apply.h"

#define INVALID_FIELD 0x052400
#define CHANGED	      0x063f05

static struct pair *pair;
static struct rig_task t;

static int setup(void **state)
{
	pair = pair_new();
	pair_calm(pair);
	return 0;
}

static int teardown(void **state)
{
	pair_free(pair);
	return 0;
}

static uint32_t set(unsigned host, const char *text, uint8_t length)
{
	return pair_do(pair, &t, host, 0, RIG_CDB(0xa4, 0x06, 0, 0, 0, 0, 0, 0, 0, length, 0, 0),
		text, length);
}

static void assert_info(unsigned host, const char *expected)
{
	size_t length = strlen(expected);

	assert_int_equal(pair_do(pair, &t, host, 0,
				 RIG_CDB(0xa3, 0x05, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0), NULL, 0),
		SCSI_GOOD);
	assert_int_equal(t.in_length, 4 + length);
	assert_int_equal(be32_get(t.in), length);
	assert_memory_equal(t.in + 4, expected, length);
}

static void what_is_set_is_reported_everywhere(void **state)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_info(host, "");
	}
	assert_int_equal(set(B, "rack 4, shelf 2", 15), SCSI_GOOD);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(pair_ua(pair, host), host == B ? 0 : CHANGED);
		assert_int_equal(pair_ua(pair, host), 0);
		assert_info(host, "rack 4, shelf 2");
	}
	/* the same again: nobody is told; shorter; none */
	assert_int_equal(set(A, "rack 4, shelf 2", 15), SCSI_GOOD);
	assert_int_equal(pair_ua(pair, B), 0);
	assert_int_equal(set(A, "rack", 4), SCSI_GOOD);
	pair_calm(pair);
	assert_info(C, "rack");
	assert_int_equal(set(C, "", 0), SCSI_GOOD);
	pair_calm(pair);
	assert_info(B, "");
}

static void types_and_lengths(void **state)
{
	static const char text[64] = "64 bytes are all there is room for";

	assert_int_equal(set(A, text, 64), SCSI_GOOD);
	assert_int_equal(set(A, text, 65), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 6);
	/* which types there are; others are refused; cut at the allocation length */
	assert_int_equal(pair_do(pair, &t, A, 0,
				 RIG_CDB(0xa3, 0x05, 0, 0, 0, 0, 0, 0, 0, 64, 0xfe, 0), NULL, 0),
		SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 00 00 04 00 00 00 40");
	assert_int_equal(pair_do(pair, &t, A, 0,
				 RIG_CDB(0xa3, 0x05, 0, 0, 0, 0, 0, 0, 0, 64, 0x04, 0), NULL, 0),
		INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 10);
	assert_int_equal(pair_do(pair, &t, A, 0,
				 RIG_CDB(0xa4, 0x06, 0, 0, 0, 0, 0, 0, 0, 4, 0x04, 0), "text", 4),
		INVALID_FIELD);
	assert_int_equal(
		pair_do(pair, &t, A, 0, RIG_CDB(0xa3, 0x05, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0), NULL, 0),
		SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 00 00 40 36 34");
	assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0xa4, 0x06, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0),
				 "short", 5),
		0x051a00);
}

static void a_reservation_keeps_others_from_setting_it(void **state)
{
	assert_int_equal(pair_pr(pair, A, 0, 0, 0, 0xa1, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, A, 1, 1, 0xa1, 0, 0), SCSI_GOOD);
	assert_int_equal(set(B, "mine", 4), SCSI_RESERVATION_CONFLICT);
	assert_int_equal(set(A, "yours", 5), SCSI_GOOD);
	pair_calm(pair);
	assert_info(B, "yours"); /* reading is allowed */
}

static void it_outlives_the_power_and_is_checked_as_bytes(void **unused)
{
	struct scsi_state one = {.holder = SCSI_NO_REGISTRANT};
	struct scsi_state two = {.holder = SCSI_NO_REGISTRANT};
	uint8_t bytes[128];
	int length;

	one.info_length = 3;
	memcpy(one.info, "abc", 3);
	assert_false(scsi_state_is_clear(&one));
	scsi_state_cool(&one);
	length = scsi_state_put(&one, bytes, sizeof(bytes));
	rig_assert_hex(
		bytes, (size_t)length, "01 01 00 00 00 00 04 00 00 00 ff ff 00 00 03 61 62 63 00");
	assert_int_equal(scsi_state_get(&two, bytes, (size_t)length), 0);
	assert_int_equal(two.info_length, 3);
	assert_memory_equal(two.info, "abc", 3);
	for (int cut = 1; cut < length; cut++) {
		assert_int_equal(scsi_state_get(&two, bytes, (size_t)cut), -EBADMSG);
	}
	bytes[14] = 0; /* the flag without information, or with more than there may be */
	assert_int_equal(scsi_state_get(&two, bytes, (size_t)length), -EBADMSG);
	bytes[14] = 65;
	assert_int_equal(scsi_state_get(&two, bytes, sizeof(bytes)), -EBADMSG);
	scsi_state_clear(&one);
	scsi_state_clear(&two);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_set_is_reported_everywhere),
		TEST(types_and_lengths),
		TEST(a_reservation_keeps_others_from_setting_it),
		cmocka_unit_test(it_outlives_the_power_and_is_checked_as_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
