/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/io/retry.h"
#include "yoke/util.h"

static void test_decide(void **state)
{
	static const struct {
		uint8_t status, key, asc, ascq;
		enum retry_action action;
	} rows[] = {
		{0x00, 0, 0, 0, RETRY_DONE},
		{0x08, 0, 0, 0, RETRY_LATER},
		{0x28, 0, 0, 0, RETRY_LATER},
		{0x18, 0, 0, 0, RETRY_FAIL},
		{0x40, 0, 0, 0, RETRY_COUNTED},
		{0x02, 6, 0x2a, 0x06, RETRY_REREAD},
		{0x02, 6, 0x29, 0x07, RETRY_NOW},
		{0x02, 2, 0x04, 0x0a, RETRY_LATER},
		{0x02, 2, 0x04, 0x0b, RETRY_PATH},
		{0x02, 2, 0x04, 0x0c, RETRY_PATH},
		{0x02, 2, 0x3a, 0x00, RETRY_FAIL},
		{0x02, 3, 0x11, 0x00, RETRY_FAIL},
		{0x02, 3, 0x0c, 0x00, RETRY_COUNTED},
		{0x02, 4, 0x44, 0x00, RETRY_FAIL},
		{0x02, 5, 0x25, 0x00, RETRY_FAIL},
		{0x02, 7, 0x27, 0x07, RETRY_FAIL},
		{0x02, 0xb, 0x00, 0x00, RETRY_COUNTED},
		{0x02, 0xb, 0x10, 0x01, RETRY_FAIL},
		{0x30, 0, 0, 0, RETRY_FAIL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(
			retry_decide(rows[i].status, rows[i].key, rows[i].asc, rows[i].ascq),
			rows[i].action);
	}
}

static void test_priority(void **state)
{
	struct mpath_path path = {.state = 1, .preferred = true};

	(void)state;
	assert_int_equal(mpath_priority(&path), 90); /* the PREF trap */
	path.state = 0;
	assert_int_equal(mpath_priority(&path), 50);
	path = (struct mpath_path){.state = 1};
	assert_int_equal(mpath_priority(&path), 10);
	path.state = 0xf;
	assert_int_equal(mpath_priority(&path), 0);
	path.state = -1;
	assert_int_equal(mpath_priority(&path), 1);
}

static void test_pick(void **state)
{
	struct mpath mpath = {
		.count = 3,
		.path = {{.up = true, .state = 1, .group = 1}, {.up = true, .state = 0, .group = 2},
			{.up = true, .state = 0, .group = 2}},
	};
	int first = mpath_pick(&mpath), second = mpath_pick(&mpath);

	(void)state;
	assert_true(first != second && first > 0 && second > 0); /* round robin in the best group */
	mpath.everywhere = true;
	assert_int_equal(mpath_pick(&mpath) + mpath_pick(&mpath) + mpath_pick(&mpath), 0 + 1 + 2);
	mpath.everywhere = false;
	mpath.path[1].up = false;
	mpath.path[2].barred = true;
	assert_int_equal(mpath_pick(&mpath), 0);
	mpath.path[0].state = 3; /* all that is left is unavailable: it is tried */
	assert_int_equal(mpath_pick(&mpath), 0);
	mpath.path[0].up = false;
	assert_int_equal(mpath_pick(&mpath), -1);
}

static void test_rtpg(void **state)
{
	static const uint8_t extended[] = {0, 0, 0, 28, 0x10, 3, 0, 0, 0x80, 0xc3, 0, 1, 0, 2, 0, 1,
		0, 0, 1, 1, 0x01, 0xc3, 0, 2, 0, 2, 0, 1, 0, 0, 2, 1};
	struct mpath mpath = {.count = 2,
		.path = {{.group = 1, .state = -1, .barred = true}, {.group = 2, .state = -1}}};
	uint8_t cut[sizeof(extended)];

	(void)state;
	assert_true(mpath_rtpg_apply(&mpath, extended, sizeof(extended), true));
	assert_int_equal(mpath.path[0].state, 0);
	assert_true(mpath.path[0].preferred && !mpath.path[0].barred);
	assert_int_equal(mpath.path[1].state, 1);
	assert_false(mpath.path[1].preferred);
	for (uint32_t n = 0; n < sizeof(extended); n++) {
		assert_false(mpath_rtpg_apply(&mpath, extended, n, true));
	}
	memcpy(cut, extended, sizeof(cut));
	cut[15] = 200; /* more ports than there are bytes */
	assert_false(mpath_rtpg_apply(&mpath, cut, sizeof(cut), true));
}

static void test_vpd83(void **state)
{
	static const uint8_t page[] = {
		0, 0x83, 0, 16, 0x01, 0x03, 0, 4, 1, 2, 3, 4, 0x51, 0x95, 0, 4, 0, 0, 1, 2};

	(void)state;
	assert_int_equal(mpath_vpd83_group(page, sizeof(page)), 0x102);
	assert_int_equal(mpath_vpd83_group(page, sizeof(page) - 1), -1);
	assert_int_equal(mpath_vpd83_group(page, 4), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decide),
		cmocka_unit_test(test_priority),
		cmocka_unit_test(test_pick),
		cmocka_unit_test(test_rtpg),
		cmocka_unit_test(test_vpd83),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
