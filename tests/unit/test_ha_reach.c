/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ha/reach.h"

static void test_settles(void **state)
{
	struct reach reach = {0};

	assert_true(reach_is_out(&reach));
	assert_false(reach_is_settled(&reach, 100000));
	reach_quorum(&reach, true, 1000);
	assert_false(reach_is_out(&reach));
	assert_false(reach_is_settled(&reach, 1000 + REACH_SETTLED_MS - 1));
	assert_true(reach_is_settled(&reach, 1000 + REACH_SETTLED_MS));
	reach_quorum(&reach, true, 5000); /* quorum changed otherwise */
	assert_true(reach_is_settled(&reach, 5000));
	reach_quorum(&reach, false, 6000);
	assert_true(reach_is_out(&reach));
	assert_false(reach_is_settled(&reach, 60000));
	reach_quorum(&reach, true, 7000);
	assert_false(reach_is_settled(&reach, 7000));
}

/*
 * The bug: CPG told of the lost node first, and what quorum had said a long time ago counted as
 * proof that a node without power was there without a daemon. Its groups were taken unfenced.
 */
static void test_cpg_comes_first(void **state)
{
	struct reach reach = {0};

	reach_quorum(&reach, true, 1000);
	reach_lost(&reach);
	assert_false(reach_is_settled(&reach, 90000));
	assert_false(reach_is_out(&reach)); /* nor is it known to be gone */
	reach_quorum(&reach, false, 90001);
	assert_true(reach_is_out(&reach));
	reach_quorum(&reach, true, 91000); /* back, without a daemon */
	assert_true(reach_is_settled(&reach, 91000 + REACH_SETTLED_MS));
}

static void test_quorum_comes_first(void **state)
{
	struct reach reach = {0};

	reach_quorum(&reach, true, 1000);
	reach_quorum(&reach, false, 2000);
	reach_lost(&reach);
	assert_true(reach_is_out(&reach));
	/* Both changes of quorum before CPG's first: nothing is certain until it joins. */
	reach_quorum(&reach, true, 3000);
	reach_lost(&reach);
	assert_false(reach_is_settled(&reach, 90000));
	reach_joined(&reach);
	assert_true(reach_is_settled(&reach, 90000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settles),
		cmocka_unit_test(test_cpg_comes_first),
		cmocka_unit_test(test_quorum_comes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
