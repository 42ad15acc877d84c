/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "daemon/iscsi/window.h"

static void test_in_order_across_the_wrap(void **state)
{
	struct iscsi_window w;
	uint32_t cmdsn;

	(void)state;
	assert_int_equal(iscsi_window_init(&w, 0xfffffff0u, 8), 0);
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t sn = 0xfffffff0u + i;

		assert_int_equal(iscsi_window_max(&w), sn + 7);
		assert_int_equal(iscsi_window_check(&w, sn), ISCSI_WINDOW_NEXT);
		iscsi_window_receive(&w, sn);
		assert_int_equal(iscsi_window_check(&w, sn), ISCSI_WINDOW_DROP);
		assert_true(iscsi_window_next(&w, &cmdsn));
		assert_int_equal(cmdsn, sn);
		assert_int_equal(iscsi_window_check(&w, sn), ISCSI_WINDOW_DROP);
		assert_false(iscsi_window_next(&w, &cmdsn));
	}
	iscsi_window_clear(&w);
}

static void test_a_hole_is_waited_for(void **state)
{
	struct iscsi_window w;
	uint32_t cmdsn;

	(void)state;
	assert_int_equal(iscsi_window_init(&w, 100, 4), 0);
	iscsi_window_max(&w);
	assert_int_equal(iscsi_window_check(&w, 102), ISCSI_WINDOW_AHEAD);
	iscsi_window_receive(&w, 102);
	assert_int_equal(iscsi_window_check(&w, 102), ISCSI_WINDOW_DROP);
	assert_false(iscsi_window_next(&w, &cmdsn));
	iscsi_window_receive(&w, 100);
	assert_true(iscsi_window_next(&w, &cmdsn));
	assert_false(iscsi_window_next(&w, &cmdsn));
	assert_int_equal(iscsi_window_check(&w, 101), ISCSI_WINDOW_NEXT);
	iscsi_window_receive(&w, 101);
	assert_true(iscsi_window_next(&w, &cmdsn));
	assert_true(iscsi_window_next(&w, &cmdsn));
	assert_int_equal(cmdsn, 102);
	iscsi_window_clear(&w);
}

static void test_edges(void **state)
{
	struct iscsi_window w;

	(void)state;
	assert_int_equal(iscsi_window_init(&w, 0, 4), 0);
	/* What was never told cannot be used. */
	assert_int_equal(iscsi_window_check(&w, 0), ISCSI_WINDOW_DROP);
	assert_int_equal(iscsi_window_max(&w), 3);
	assert_int_equal(iscsi_window_check(&w, 3), ISCSI_WINDOW_AHEAD);
	assert_int_equal(iscsi_window_check(&w, 4), ISCSI_WINDOW_DROP);
	assert_int_equal(iscsi_window_check(&w, 0xffffffffu), ISCSI_WINDOW_DROP);
	assert_int_equal(iscsi_window_check(&w, 0x80000000u), ISCSI_WINDOW_DROP);
	iscsi_window_clear(&w);
}

static void test_closes_and_opens_and_never_goes_back(void **state)
{
	struct iscsi_window w;
	uint32_t cmdsn;

	(void)state;
	assert_int_equal(iscsi_window_init(&w, 10, 2), 0);
	assert_int_equal(iscsi_window_max(&w), 11);
	for (uint32_t sn = 10; sn < 12; sn++) {
		iscsi_window_receive(&w, sn);
		assert_true(iscsi_window_next(&w, &cmdsn));
		iscsi_window_take(&w);
		assert_int_equal(iscsi_window_max(&w), 11);
	}
	assert_int_equal(w.exp_cmdsn, 12); /* MaxCmdSN = ExpCmdSN - 1: closed */
	assert_int_equal(iscsi_window_check(&w, 12), ISCSI_WINDOW_DROP);
	iscsi_window_give(&w);
	assert_int_equal(iscsi_window_max(&w), 12);
	assert_int_equal(iscsi_window_check(&w, 12), ISCSI_WINDOW_NEXT);
	iscsi_window_take(&w);
	assert_int_equal(iscsi_window_max(&w), 12);
	iscsi_window_clear(&w);
}

static void test_window_of_65535(void **state)
{
	struct iscsi_window w;
	uint32_t cmdsn, taken = 0;

	(void)state;
	assert_int_equal(iscsi_window_init(&w, 0xffff8000u, 65535), 0);
	iscsi_window_max(&w);
	for (uint32_t i = 65534; i > 0; i--) {
		assert_int_equal(iscsi_window_check(&w, 0xffff8000u + i), ISCSI_WINDOW_AHEAD);
		iscsi_window_receive(&w, 0xffff8000u + i);
	}
	iscsi_window_receive(&w, 0xffff8000u);
	while (iscsi_window_next(&w, &cmdsn)) {
		taken++;
	}
	assert_int_equal(taken, 65535);
	iscsi_window_clear(&w);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(iscsi_window_verdict_name(ISCSI_WINDOW_NEXT), "next");
	assert_string_equal(iscsi_window_verdict_name(ISCSI_WINDOW_AHEAD), "ahead");
	assert_string_equal(iscsi_window_verdict_name(ISCSI_WINDOW_DROP), "drop");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order_across_the_wrap),
		cmocka_unit_test(test_a_hole_is_waited_for),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_closes_and_opens_and_never_goes_back),
		cmocka_unit_test(test_window_of_65535),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
