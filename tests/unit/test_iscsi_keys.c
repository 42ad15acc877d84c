/* SPDX-License-Identifier: BSD-3-Clause */
/* The key table, row by row, and the arithmetic of a negotiation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/iscsi/keys.h"

static struct iscsi_pair pair_of(const char *value)
{
	return (struct iscsi_pair){
		.key = "K", .key_length = 1, .value = value, .value_length = strlen(value)};
}

/* RFC 7143 13, typed in again from the checklist: name, rule, use, flags, default, range. */
static const struct expected {
	const char *name;
	enum iscsi_key_rule rule;
	enum iscsi_key_use use;
	bool security, irrelevant;
	uint32_t initial, low, high;
} expected[] = {
	{"AuthMethod", ISCSI_RULE_LIST, ISCSI_USE_IO, true, false, 0, 0, 0},
	{"HeaderDigest", ISCSI_RULE_LIST, ISCSI_USE_IO, false, false, 0, 0, 0},
	{"DataDigest", ISCSI_RULE_LIST, ISCSI_USE_IO, false, false, 0, 0, 0},
	{"MaxConnections", ISCSI_RULE_MIN, ISCSI_USE_LO, false, true, 1, 1, 65535},
	{"SendTargets", ISCSI_RULE_REQUEST, ISCSI_USE_FFPO, false, false, 0, 0, 0},
	{"TargetName", ISCSI_RULE_DECLARE, ISCSI_USE_IO, true, false, 0, 0, 0},
	{"InitiatorName", ISCSI_RULE_DECLARE, ISCSI_USE_IO, true, false, 0, 0, 0},
	{"TargetAlias", ISCSI_RULE_DECLARE, ISCSI_USE_ALL, true, false, 0, 0, 0},
	{"InitiatorAlias", ISCSI_RULE_DECLARE, ISCSI_USE_ALL, true, false, 0, 0, 0},
	{"TargetAddress", ISCSI_RULE_DECLARE, ISCSI_USE_ALL, true, false, 0, 0, 0},
	{"TargetPortalGroupTag", ISCSI_RULE_DECLARE, ISCSI_USE_IO, true, false, 0, 0, 65535},
	{"InitialR2T", ISCSI_RULE_OR, ISCSI_USE_LO, false, true, 1, 0, 1},
	{"ImmediateData", ISCSI_RULE_AND, ISCSI_USE_LO, false, true, 1, 0, 1},
	{"MaxRecvDataSegmentLength", ISCSI_RULE_DECLARE, ISCSI_USE_ALL, false, false, 8192, 512,
		16777215},
	{"MaxBurstLength", ISCSI_RULE_MIN, ISCSI_USE_LO, false, true, 262144, 512, 16777215},
	{"FirstBurstLength", ISCSI_RULE_MIN, ISCSI_USE_LO, false, true, 65536, 512, 16777215},
	{"DefaultTime2Wait", ISCSI_RULE_MAX, ISCSI_USE_LO, false, false, 2, 0, 3600},
	{"DefaultTime2Retain", ISCSI_RULE_MIN, ISCSI_USE_LO, false, false, 20, 0, 3600},
	{"MaxOutstandingR2T", ISCSI_RULE_MIN, ISCSI_USE_LO, false, true, 1, 1, 65535},
	{"DataPDUInOrder", ISCSI_RULE_OR, ISCSI_USE_LO, false, true, 1, 0, 1},
	{"DataSequenceInOrder", ISCSI_RULE_OR, ISCSI_USE_LO, false, true, 1, 0, 1},
	{"ErrorRecoveryLevel", ISCSI_RULE_MIN, ISCSI_USE_LO, false, false, 0, 0, 2},
	{"SessionType", ISCSI_RULE_DECLARE, ISCSI_USE_IO, true, false, 0, 0, 0},
	{"TaskReporting", ISCSI_RULE_LIST, ISCSI_USE_LO, false, true, 0, 0, 0},
	{"iSCSIProtocolLevel", ISCSI_RULE_MIN, ISCSI_USE_LO, false, true, 1, 0, 31},
	{"X#NodeArchitecture", ISCSI_RULE_DECLARE, ISCSI_USE_LO, false, false, 0, 0, 0},
	{"IFMarker", ISCSI_RULE_REJECT, ISCSI_USE_IO, false, false, 0, 0, 0},
	{"OFMarker", ISCSI_RULE_REJECT, ISCSI_USE_IO, false, false, 0, 0, 0},
	{"IFMarkInt", ISCSI_RULE_REJECT, ISCSI_USE_IO, false, false, 0, 0, 0},
	{"OFMarkInt", ISCSI_RULE_REJECT, ISCSI_USE_IO, false, false, 0, 0, 0},
	{"CHAP_A", ISCSI_RULE_AUTH, ISCSI_USE_IO, true, false, 0, 0, 0},
	{"CHAP_I", ISCSI_RULE_AUTH, ISCSI_USE_IO, true, false, 0, 0, 0},
	{"CHAP_C", ISCSI_RULE_AUTH, ISCSI_USE_IO, true, false, 0, 0, 0},
	{"CHAP_N", ISCSI_RULE_AUTH, ISCSI_USE_IO, true, false, 0, 0, 0},
	{"CHAP_R", ISCSI_RULE_AUTH, ISCSI_USE_IO, true, false, 0, 0, 0},
};

static void table_rows(void **state)
{
	assert_int_equal(ARRAY_SIZE(expected), ISCSI_KEYS);
	for (unsigned i = 0; i < ISCSI_KEYS; i++) {
		const struct expected *e = &expected[i];
		enum iscsi_key key = iscsi_key_find(e->name, strlen(e->name));
		const struct iscsi_key_row *row;

		print_message("%s\n", e->name);
		assert_int_not_equal(key, ISCSI_KEYS);
		row = iscsi_key_row(key);
		assert_string_equal(row->name, e->name);
		assert_int_equal(row->rule, e->rule);
		assert_int_equal(row->use, e->use);
		assert_int_equal((row->flags & ISCSI_KEYF_SECURITY) != 0, e->security);
		assert_int_equal((row->flags & ISCSI_KEYF_IRRELEVANT) != 0, e->irrelevant);
		assert_int_equal(row->initial, e->initial);
		assert_int_equal(row->low, e->low);
		assert_int_equal(row->high, e->high);
		assert_int_equal(row->rule == ISCSI_RULE_LIST,
			e->rule == ISCSI_RULE_LIST && row->choices[0]);
	}
}

/* No hole in the table, no key twice, and every rule has a name. */
static void table_holes(void **state)
{
	for (unsigned i = 0; i < ISCSI_KEYS; i++) {
		const struct iscsi_key_row *row = iscsi_key_row((enum iscsi_key)i);

		assert_non_null(row->name);
		assert_int_not_equal(row->rule, ISCSI_RULE_NONE);
		assert_string_not_equal(iscsi_key_rule_name(row->rule), "unknown rule");
		assert_int_equal(iscsi_key_find(row->name, strlen(row->name)), i);
		assert_int_equal(iscsi_key_find(row->name, strlen(row->name) - 1), ISCSI_KEYS);
		assert_true(row->low <= row->high);
	}
	assert_int_equal(iscsi_key_find("headerdigest", 12), ISCSI_KEYS);
	assert_int_equal(iscsi_key_find("X-com.example.test", 18), ISCSI_KEYS);
	assert_int_equal(iscsi_key_find("", 0), ISCSI_KEYS);
}

static void booleans(void **state)
{
	static const char *text[] = {"No", "Yes"};
	static const char *illegal[] = {
		"", "yes", "YES", "no", "True", "1", "Yes,No", "Maybe", "Yes "};
	const struct iscsi_key_row *and = iscsi_key_row(ISCSI_KEY_IMMEDIATE_DATA);
	const struct iscsi_key_row * or = iscsi_key_row(ISCSI_KEY_INITIAL_R2T);
	uint32_t result;

	for (unsigned theirs = 0; theirs < 2; theirs++) {
		for (unsigned ours = 0; ours < 2; ours++) {
			struct iscsi_pair pair = pair_of(text[theirs]);

			assert_true(iscsi_key_negotiate(and, &pair, ours, &result));
			assert_int_equal(result, theirs && ours);
			assert_true(iscsi_key_negotiate(or, &pair, ours, &result));
			assert_int_equal(result, theirs || ours);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(illegal); i++) {
		struct iscsi_pair pair = pair_of(illegal[i]);

		assert_false(iscsi_key_negotiate(and, &pair, 1, &result));
		assert_false(iscsi_key_negotiate(or, &pair, 1, &result));
	}
}

/* Every number key: both ends of its range, one past each, and either side being the smaller. */
static void numbers(void **state)
{
	for (unsigned i = 0; i < ISCSI_KEYS; i++) {
		const struct iscsi_key_row *row = iscsi_key_row((enum iscsi_key)i);
		const int64_t tries[] = {(int64_t)row->low - 1, row->low, row->initial, row->high,
			(int64_t)row->high + 1, INT64_C(1) << 32, INT64_C(1) << 40};

		if (row->rule != ISCSI_RULE_MIN && row->rule != ISCSI_RULE_MAX) {
			continue;
		}
		print_message("%s\n", row->name);
		for (size_t t = 0; t < ARRAY_SIZE(tries); t++) {
			bool legal = tries[t] >= row->low && tries[t] <= row->high;
			uint32_t ours = row->initial, result = 77, wanted;
			char value[32];
			struct iscsi_pair pair;

			snprintf(value, sizeof(value), "%lld", (long long)tries[t]);
			pair = pair_of(value);
			assert_int_equal(iscsi_key_negotiate(row, &pair, ours, &result), legal);
			if (legal) {
				bool less = tries[t] < ours;

				wanted = less == (row->rule == ISCSI_RULE_MIN) ? (uint32_t)tries[t]
									       : ours;
				assert_int_equal(result, wanted);
			}
		}
	}
}

static void number_syntax(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint32_t value;
	} rows[] = {
		{"0", true, 0},
		{"7", true, 7},
		{"4294967295", true, 4294967295u},
		{"0x0", true, 0},
		{"0x1fF", true, 0x1ff},
		{"0XABCDEF01", true, 0xabcdef01},
		{"0x0000000000000001", true, 1},
		{"", false, 0},
		{"00", false, 0},
		{"012", false, 0},
		{"4294967296", false, 0},
		{"99999999999999999999999999", false, 0},
		{"0x100000000", false, 0},
		{"0x", false, 0},
		{"x1", false, 0},
		{"-1", false, 0},
		{"+1", false, 0},
		{" 1", false, 0},
		{"1 ", false, 0},
		{"1a", false, 0},
		{"0x1g", false, 0},
		{"1~5", false, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t value = 0;

		assert_int_equal(iscsi_number_parse(rows[i].text, strlen(rows[i].text), &value),
			rows[i].good);
		if (rows[i].good) {
			assert_int_equal(value, rows[i].value);
		}
	}
}

static void lists(void **state)
{
	enum {
		NONE = 1u << ISCSI_DIGEST_NONE,
		CRC = 1u << ISCSI_DIGEST_CRC32C
	};
	static const struct {
		const char *offer;
		uint32_t ours;
		int result; /* -1: Reject */
	} rows[] = {
		{"None", NONE | CRC, ISCSI_DIGEST_NONE},
		{"CRC32C", NONE | CRC, ISCSI_DIGEST_CRC32C},
		{"None,CRC32C", NONE | CRC, ISCSI_DIGEST_NONE},
		{"CRC32C,None", NONE | CRC, ISCSI_DIGEST_CRC32C},
		{"CRC32C,None", NONE, ISCSI_DIGEST_NONE},
		{"X-crc,CRC32C", NONE | CRC, ISCSI_DIGEST_CRC32C},
		{"CRC32C", NONE, -1},
		{"crc32c", NONE | CRC, -1},
		{"", NONE | CRC, -1},
		{",", NONE | CRC, -1},
		{",,None", NONE | CRC, ISCSI_DIGEST_NONE},
		{"None ", NONE | CRC, -1},
		{"Non", NONE | CRC, -1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct iscsi_pair pair = pair_of(rows[i].offer);
		uint32_t result = 99;
		bool agreed = iscsi_key_negotiate(
			iscsi_key_row(ISCSI_KEY_HEADER_DIGEST), &pair, rows[i].ours, &result);

		assert_int_equal(agreed, rows[i].result >= 0);
		if (agreed) {
			assert_int_equal(result, rows[i].result);
		}
	}
}

/* Rules that have no arithmetic never agree. */
static void no_negotiation(void **state)
{
	struct iscsi_pair pair = pair_of("1");
	uint32_t result;

	for (unsigned i = 0; i < ISCSI_KEYS; i++) {
		const struct iscsi_key_row *row = iscsi_key_row((enum iscsi_key)i);

		if (row->rule == ISCSI_RULE_DECLARE || row->rule == ISCSI_RULE_REJECT ||
			row->rule == ISCSI_RULE_REQUEST || row->rule == ISCSI_RULE_AUTH) {
			assert_false(iscsi_key_negotiate(row, &pair, 1, &result));
		}
	}
	assert_false(
		iscsi_key_negotiate(&(struct iscsi_key_row){.name = "empty"}, &pair, 1, &result));
}

static void reserved_values(void **state)
{
	struct iscsi_pair reject = pair_of("Reject"), irrelevant = pair_of("Irrelevant"),
			  unknown = pair_of("NotUnderstood"), plain = pair_of("None"),
			  longer = pair_of("Rejected");

	assert_true(iscsi_key_value_reserved(&reject));
	assert_true(iscsi_key_value_reserved(&irrelevant));
	assert_true(iscsi_key_value_reserved(&unknown));
	assert_false(iscsi_key_value_reserved(&plain));
	assert_false(iscsi_key_value_reserved(&longer));
}

static void put(void **state)
{
	char text[40];
	struct cursor out = cursor_over(text, sizeof(text));

	assert_true(iscsi_key_put(&out, iscsi_key_row(ISCSI_KEY_INITIAL_R2T), 1));
	assert_true(iscsi_key_put(&out, iscsi_key_row(ISCSI_KEY_DATA_DIGEST), ISCSI_DIGEST_CRC32C));
	assert_memory_equal(text, "InitialR2T=Yes\0DataDigest=CRC32C\0", 33);
	/* does not fit: nothing is written, and the cursor stays good */
	assert_false(iscsi_key_put(&out, iscsi_key_row(ISCSI_KEY_MAX_CONNECTIONS), 1));
	assert_int_equal(out.pos, 33);
	assert_true(cursor_ok(&out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_rows),
		cmocka_unit_test(table_holes),
		cmocka_unit_test(booleans),
		cmocka_unit_test(numbers),
		cmocka_unit_test(number_syntax),
		cmocka_unit_test(lists),
		cmocka_unit_test(no_negotiation),
		cmocka_unit_test(reserved_values),
		cmocka_unit_test(put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
