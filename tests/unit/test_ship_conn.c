/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands through the interconnect: transfers of every size, outcomes, aborts, TMFs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/ship_pair.h"
#include "yoke/util.h"

static int setup(void **state)
{
	struct pair *pair = pair_new(false);

	pair_meet(pair);
	assert_true(pair_drive(pair, pair_linked, pair));
	*state = pair;
	return 0;
}

static int teardown(void **state)
{
	pair_check_buffers(*state);
	pair_free(*state);
	return 0;
}

static void round_trip(struct pair *pair, unsigned from, unsigned reactor, uint32_t bytes)
{
	struct pair_side *here = &pair->side[from];
	struct pair_side *there = &pair->side[1 - from];
	struct pair_task *t = pair_task_new(here, reactor, true, 512, bytes, bytes + reactor);

	pair_task_ship(t);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->outcome, SHIP_DONE);
	assert_int_equal(t->task.status, SCSI_GOOD);
	assert_true(pair_pattern_is(there->disk + 512, bytes, bytes + reactor));
	pair_task_free(t);

	t = pair_task_new(here, reactor, false, 512, bytes, 1);
	pair_task_ship(t);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->outcome, SHIP_DONE);
	assert_int_equal(t->task.in_length, bytes);
	assert_true(pair_pattern_is(t->task.buf->data, bytes, bytes + reactor));
	pair_task_free(t);
}

static void test_sizes(void **state)
{
	static const uint32_t sizes[] = {512, 4096, 65536, 65536 + 512, 1u << 20, BUF_MAX_BYTES};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned reactor = 0; reactor < PAIR_REACTORS; reactor++) {
			round_trip(*state, 0, reactor, sizes[i]);
			round_trip(*state, 1, reactor, sizes[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
