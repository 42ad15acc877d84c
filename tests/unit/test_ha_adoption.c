/* SPDX-License-Identifier: BSD-3-Clause */
/* The portals of a lost controller: who takes them, when, and how they come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ha_sim.h"

/* Both groups at `owner`, with adoption. */
static struct sim *pair(uint64_t seed, uint8_t owner)
{
	struct sim *sim = sim_pair(seed, owner);
	int result;

	sim_adoption(sim, true);
	sim_start(sim, 1, 1);
	sim_start(sim, 2, 1);
	sim_promote(sim, owner, 1, &result);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_true(sim->node[1].open && sim->node[2].open);
	return sim;
}

static void take_all(struct sim *sim, uint8_t id)
{
	for (int i = 0; i < 4; i++) {
		for (uint16_t g = 0; g < SIM_GROUPS; g++) {
			int result;

			sim_promote(sim, id, g, &result);
			sim_pass(sim, 500);
		}
	}
}

/* The simulator asserts that every group is served here and said so before the portals are taken.
 */
static void test_owner_loses_power(void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct sim *sim = pair(seed, 2);
		struct sim_node *heir = &sim->node[1];

		sim_kill(sim, 2, LEFT_NODE);
		if (seed % 2) {
			take_all(sim, 1);
		}
		sim_pass(sim, 3000); /* Pacemaker's promote is not waited for */
		assert_true(heir->adopted);
		assert_int_equal(heir->view[0].tpg[2], ALUA_OPTIMIZED);
		assert_int_equal(heir->view[0].preferred, 1);
		sim_free(sim);
	}
}

/* Also when it owned nothing: the hosts' paths to it are as dead. */
static void test_other_loses_power(void **state)
{
	struct sim *sim = pair(1, 1);
	uint32_t table = sim->node[1].view[0].table;

	sim_kill(sim, 2, LEFT_NODE);
	sim_pass(sim, 5000);
	assert_true(sim->node[1].adopted);
	assert_int_equal(sim->node[1].view[0].tpg[2], ALUA_OPTIMIZED);
	assert_true(sim->node[1].view[0].table <= table + 2);
	sim_free(sim);
}

/* The one that returns opens its portals when the other has let go, and not before. */
static void test_return(void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct sim *sim = pair(seed, 1);

		sim_kill(sim, 2, LEFT_NODE);
		sim_pass(sim, 5000);
		assert_true(sim->node[1].adopted);
		sim_boot(sim, 2);
		while (!sim->node[2].open && sim_step(sim)) {
			assert_true(!sim->node[2].open || !sim->node[1].adopted);
		}
		sim_run(sim);
		assert_true(sim->node[2].open);
		assert_false(sim->node[1].adopted);
		sim_link(sim, true);
		sim_run(sim);
		assert_int_equal(sim->node[1].view[0].tpg[2], ALUA_NON_OPTIMIZED);
		sim_free(sim);
	}
}

/* However long the other takes for the way back. */
static void test_return_waits(void **state)
{
	struct sim *sim = pair(1, 1);

	sim_kill(sim, 2, LEFT_NODE);
	sim_pass(sim, 5000);
	sim_boot(sim, 2);
	sim_run_without(sim, WORK_GIVE_BACK);
	assert_true(sim->node[1].adopted);
	assert_true(machine_in_sync(sim->node[2].m));
	assert_false(sim->node[2].open);
	sim_run(sim);
	assert_true(sim->node[2].open);
	sim_free(sim);
}

/* It is lost again while the portals are on their way back: taken again, nobody waits for ever. */
static void test_lost_while_giving(void **state)
{
	for (unsigned k = 0; k < 60; k++) {
		struct sim *sim = pair(k + 1, 1);

		sim_kill(sim, 2, LEFT_NODE);
		sim_pass(sim, 5000);
		sim_boot(sim, 2);
		for (unsigned i = 0; i < k && sim_step(sim); i++) {
		}
		sim_kill(sim, 2, LEFT_NODE);
		sim_pass(sim, 10000);
		assert_true(sim->node[1].adopted);
		sim_boot(sim, 2);
		sim_pass(sim, 10000);
		assert_true(sim->node[2].open);
		assert_false(sim->node[1].adopted);
		sim_free(sim);
	}
}

/* A dead daemon on a live node keeps its addresses, and its node resets the hosts' connections. */
static void test_daemon_death_is_none(void **state)
{
	struct sim *sim = pair(1, 1);

	sim_kill(sim, 2, LEFT_PROCESS);
	sim_pass(sim, 10000);
	assert_false(sim->node[1].adopted);
	assert_int_equal(sim->node[1].view[0].tpg[2], ALUA_UNAVAILABLE);
	sim_free(sim);
}

/* Links cut: the other may live and answer at its portals until it is fenced. */
static void test_split(void **state)
{
	struct sim *sim = pair(1, 1);

	sim_split(sim);
	sim_pass(sim, 10000);
	assert_false(sim->node[1].adopted);
	assert_false(sim->node[2].adopted);
	sim_kill(sim, 2, LEFT_NODE); /* fenced */
	sim_pass(sim, 10000);
	assert_true(sim->node[1].adopted);
	sim_free(sim);
}

/* An interface that is missing: tried again, and the groups are served all the same. */
static void test_failure(void **state)
{
	struct sim *sim = pair(1, 1);

	sim->node[1].adopt_err = -19;
	sim_kill(sim, 2, LEFT_NODE);
	sim_pass(sim, 4000);
	assert_false(sim->node[1].adopted);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	sim->node[1].adopt_err = 0;
	sim_pass(sim, 10000);
	assert_true(sim->node[1].adopted);
	sim_free(sim);
}

static void test_off(void **state)
{
	struct sim *sim = pair(1, 1);

	sim_adoption(sim, false);
	sim_kill(sim, 2, LEFT_NODE);
	sim_pass(sim, 10000);
	assert_false(sim->node[1].adopted);
	assert_int_equal(sim->node[1].view[0].tpg[2], ALUA_UNAVAILABLE);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner_loses_power),
		cmocka_unit_test(test_other_loses_power),
		cmocka_unit_test(test_return),
		cmocka_unit_test(test_return_waits),
		cmocka_unit_test(test_lost_while_giving),
		cmocka_unit_test(test_daemon_death_is_none),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
