/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's own commands for `yokectl drill`: they wait as a host's would. */
#include <errno.h>

#include "tests/unit/scsi_rig.h"

static struct rig *rig;
static int result;

static int setup(void **state)
{
	rig = rig_new(1, 16 << 20);
	rig_serve(rig);
	result = -1;
	return 0;
}

static int teardown(void **state)
{
	rig_free(rig);
	return 0;
}

static void done(void *arg, int what)
{
	assert_int_equal(result, -1);
	result = what;
}

static void probe(unsigned extent)
{
	result = -1;
	scsi_probe(rig->scsi, rig->conf.extents[extent].uuid, done, NULL);
	rig_run(rig);
}

static void it_reads_where_the_group_is_served(void **state)
{
	unsigned reads = rig_store.reads;

	for (unsigned i = 0; i < RIG_EXTENTS; i++) {
		probe(i);
		assert_int_equal(result, SCSI_GOOD);
	}
	assert_int_equal(rig_store.reads, reads + RIG_EXTENTS);
}

static void it_waits_while_the_group_is_held(void **state)
{
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	probe(0);
	assert_int_equal(result, -1);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 1);
	assert_int_equal(result, SCSI_GOOD);
}

static void it_is_shipped_to_the_owner_and_runs_again_without_it(void **state)
{
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 2);
	probe(0);
	assert_int_equal(rig->ship.tasks, 1);
	assert_int_equal(result, -1);
	rig_publish(rig, 0, GROUP_HELD, 2, 2, 2);
	rig->serve->task_shipped(rig->serve->ctx, rig->ship.last, SHIP_AGAIN);
	rig_run(rig);
	assert_int_equal(result, -1);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 3, 3);
	assert_int_equal(result, SCSI_GOOD);
}

static void an_unknown_lu_is_told(void **state)
{
	static const uint8_t none[16] = {0xee};

	scsi_probe(rig->scsi, none, done, NULL);
	rig_run(rig);
	assert_int_equal(result, -ENOENT);
}

static void one_under_way_ends_with_the_daemon(void **state)
{
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	probe(0);
	assert_int_equal(result, -1);
	rig_free(rig);
	assert_int_equal(result, -ECANCELED);
	setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			it_reads_where_the_group_is_served, setup, teardown),
		cmocka_unit_test_setup_teardown(it_waits_while_the_group_is_held, setup, teardown),
		cmocka_unit_test_setup_teardown(
			it_is_shipped_to_the_owner_and_runs_again_without_it, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unknown_lu_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_under_way_ends_with_the_daemon, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
