/* SPDX-License-Identifier: BSD-3-Clause */
/* A changed configuration: the same at both controllers, or at none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ha_sim.h"

static const uint8_t digest[32] = {1, 2, 3};

static void propose(struct sim *sim, uint8_t id, int *result)
{
	*result = -1;
	machine_conf_propose(sim->node[id].m, digest, "resize disk1 4096", sim_done, result);
}

static void assert_counts(
	struct sim *sim, uint8_t id, unsigned prepares, unsigned activates, unsigned drops)
{
	assert_int_equal(sim->node[id].conf_prepares, prepares);
	assert_int_equal(sim->node[id].conf_activates, activates);
	assert_int_equal(sim->node[id].conf_drops, drops);
	assert_false(sim->node[id].conf_prepared);
}

static void test_both(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result;

	propose(sim, 2, &result);
	assert_int_equal(result, -1);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_counts(sim, 1, 1, 1, 0);
	assert_counts(sim, 2, 1, 1, 0);
	for (unsigned id = 1; id <= 2; id++) {
		assert_string_equal(sim->node[id].conf_edit, "resize disk1 4096");
	}
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL); /* and the groups did not notice */
	sim_free(sim);
}

static void test_refused_by_the_other(void **state)
{
	struct sim *sim = sim_pair(2, 1);
	int result;

	sim->node[2].conf_refuses = true;
	propose(sim, 1, &result);
	sim_run(sim);
	assert_int_equal(result, HA_FAILED);
	assert_counts(sim, 1, 1, 0, 1);
	assert_counts(sim, 2, 1, 0, 0);
	/* And the next attempt is a new one. */
	sim->node[2].conf_refuses = false;
	propose(sim, 1, &result);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_counts(sim, 1, 2, 1, 1);
	assert_counts(sim, 2, 2, 1, 0);
	sim_free(sim);
}

static void test_refused_here(void **state)
{
	struct sim *sim = sim_pair(3, 1);
	int result;

	sim->node[1].conf_refuses = true;
	propose(sim, 1, &result);
	sim_run(sim);
	assert_int_equal(result, HA_FAILED);
	assert_counts(sim, 2, 1, 0, 1);
	sim_free(sim);
}

static void test_alone(void **state)
{
	struct sim *sim = sim_pair(4, 1);
	int result;

	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	propose(sim, 1, &result);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_counts(sim, 1, 1, 1, 0);
	sim_free(sim);
}

/* Nobody is told that both use it before both do; a login that does not end is not waited for. */
static void test_told_when_both_use_it(void **state)
{
	for (uint8_t asked = 1; asked <= 2; asked++) {
		struct sim *sim = sim_pair(50 + asked, 1);
		int result;

		sim->node[2].conf_slow = true;
		propose(sim, asked, &result);
		sim_run(sim);
		assert_counts(sim, 1, 1, 1, 0);
		assert_counts(sim, 2, 1, 1, 0);
		assert_int_equal(result, -1);
		machine_conf_done(sim->node[2].m);
		sim_run(sim);
		assert_int_equal(result, HA_OK);
		/* What comes too late, or twice, is nothing to anybody. */
		machine_conf_done(sim->node[2].m);
		sim_run(sim);
		propose(sim, asked, &result);
		sim_run(sim);
		assert_int_equal(result, -1);
		sim->now_ms = sim->node[asked].m->config.answer_ms;
		machine_tick(sim->node[asked].m);
		assert_int_equal(result, HA_OK);
		sim_free(sim);
	}
}

/* The other one is lost when it is decided: that is told at once. */
static void test_lost_before_it_says_done(void **state)
{
	struct sim *sim = sim_pair(53, 1);
	int result;

	sim->node[2].conf_slow = true;
	propose(sim, 1, &result);
	sim_run(sim);
	assert_int_equal(result, -1);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_counts(sim, 1, 1, 1, 0);
	sim_free(sim);
}

/* Two at once: one is first in the order, the other has to try again. */
static void test_two_at_once(void **state)
{
	struct sim *sim = sim_pair(5, 1);
	int first, second, again;

	propose(sim, 1, &first);
	propose(sim, 1, &again);
	assert_int_equal(again, HA_BUSY);
	propose(sim, 2, &second);
	sim_run(sim);
	assert_true((first == HA_OK) != (second == HA_OK));
	assert_true((first == HA_BUSY) != (second == HA_BUSY));
	assert_counts(sim, 1, 1, 1, 0);
	assert_counts(sim, 2, 1, 1, 0);
	sim_free(sim);
}

/*
 * The other one is killed after every possible number of steps: here it is in place or off, never
 * left prepared, and the one who asked is told.
 */
static void test_killed_at_every_step(void **state)
{
	bool seen_off = false, seen_on = false;

	for (unsigned steps = 0; steps < 40; steps++) {
		for (uint8_t killed = 1; killed <= 2; killed++) {
			struct sim *sim = sim_pair(100 + steps, 1);
			uint8_t left = killed == 1 ? 2 : 1;
			int result;

			propose(sim, 1, &result);
			for (unsigned i = 0; i < steps && sim_step(sim); i++) {
			}
			sim_kill(sim, killed, LEFT_PROCESS);
			sim_run(sim);
			assert_false(sim->node[left].conf_prepared);
			assert_false(sim->node[left].m->config.active);
			assert_int_equal(sim->node[left].conf_prepares,
				sim->node[left].conf_activates + sim->node[left].conf_drops);
			if (left == 1) {
				assert_int_equal(
					result, sim->node[1].conf_activates ? HA_OK : HA_FAILED);
			}
			seen_on = seen_on || sim->node[left].conf_activates;
			seen_off = seen_off || !sim->node[left].conf_activates;
			sim_free(sim);
		}
	}
	assert_true(seen_on);
	assert_true(seen_off);
}

/* Nobody answers: the proposer gives it up, and at both it is off. */
static void test_time_is_up(void **state)
{
	struct sim *sim = sim_pair(6, 1);
	int result;

	propose(sim, 1, &result);
	sim->node[1].m->config.deadline_ms = sim->now_ms; /* before any READY */
	machine_tick(sim->node[1].m);
	sim_run(sim);
	assert_true(result == HA_OK || result == HA_FAILED);
	assert_int_equal(sim->node[1].conf_activates, sim->node[2].conf_activates);
	assert_false(sim->node[1].conf_prepared);
	assert_false(sim->node[2].conf_prepared);
	sim_free(sim);
}

static void test_not_in_sync(void **state)
{
	struct sim *sim = sim_new(7);
	int result;

	sim_boot(sim, 1);
	propose(sim, 1, &result);
	assert_int_equal(result, HA_NOT_IN_SYNC);
	sim_free(sim);
}

/*
 * A daemon that comes back with another configuration is kept out; when the other one goes over to
 * that, both are in sync without a restart.
 */
static void test_catching_up(void **state)
{
	struct sim *sim = sim_pair(8, 1);
	struct conf other = sim->conf;

	memset(other.digest, 9, sizeof(other.digest));
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	sim_boot(sim, 2);
	sim->node[2].m->conf = &other;
	sim_run(sim);
	assert_true(sim->node[1].m->differs);
	assert_false(machine_in_sync(sim->node[2].m));
	assert_int_equal(sim->node[1].conf_wanted, 1);
	machine_conf_changed(sim->node[1].m, &other);
	sim_run(sim);
	assert_false(sim->node[1].m->differs);
	assert_false(sim->node[2].m->differs);
	assert_true(machine_in_sync(sim->node[2].m));
	assert_true(machine_has_peer(sim->node[1].m));
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	sim_free(sim);
}

/* The same with two that begin, when one has gone over before the other may end the first round. */
static void test_catching_up_at_the_start(void **state)
{
	struct sim *sim = sim_new(9);
	struct conf other = sim->conf;

	memset(other.digest, 9, sizeof(other.digest));
	sim_boot(sim, 2);
	sim_run(sim);
	sim->node[2].seen = true; /* quorum comes later than the membership */
	sim_boot(sim, 1);
	sim->node[1].m->conf = &other;
	machine_quorum(sim->node[1].m, false);
	sim_run(sim);
	machine_quorum(sim->node[2].m, true);
	sim_run(sim);
	assert_int_equal(sim->node[2].conf_wanted, 1);
	assert_int_equal(sim->node[1].conf_wanted, 0);
	machine_conf_changed(sim->node[2].m, &other);
	sim_run(sim);
	machine_quorum(sim->node[1].m, true);
	sim_run(sim);
	assert_false(sim->node[2].m->differs);
	assert_true(machine_has_peer(sim->node[1].m));
	assert_true(machine_has_peer(sim->node[2].m));
	sim_free(sim);
}

/*
 * With two files, and nobody in sync, the one begins that has what was acknowledged last, under an
 * epoch that the other has not used either.
 */
static void who_is_kept_out(uint8_t newer, uint64_t used)
{
	struct sim *sim = sim_pair(60 + newer, newer);
	uint8_t older = (uint8_t)(3 - newer);
	struct conf other = sim->conf;
	struct sim_submitted *entry;
	int result;

	memset(other.digest, 9, sizeof(other.digest));
	sim_kill(sim, older, LEFT_PROCESS);
	sim_run(sim);
	entry = sim_submit(sim, newer, 0);
	sim_run(sim);
	assert_int_equal(entry->outcome, LEDGER_DONE);
	sim_kill(sim, newer, LEFT_PROCESS);
	sim_run(sim);
	if (used) {
		sim->node[older].disk[0].epoch = sim->node[older].disk[0].top = used;
		sim->node[older].disk[0].owner = older;
	}
	sim_boot(sim, older);
	sim->node[older].m->conf = &other;
	sim_run(sim);
	assert_false(machine_in_sync(sim->node[older].m));
	sim_boot(sim, newer);
	sim_run(sim);
	assert_true(machine_in_sync(sim->node[newer].m));
	assert_false(machine_in_sync(sim->node[older].m));
	sim_promote(sim, newer, 0, &result);
	sim_run(sim);
	assert_int_equal(sim_group(sim, newer, 0)->owner, newer);
	assert_true(sim_group(sim, newer, 0)->epoch > used);
	machine_conf_changed(sim->node[older].m, &sim->conf);
	sim_run(sim);
	assert_true(machine_has_peer(sim->node[older].m));
	sim_check_entries(sim);
	sim_free(sim);
}

static void test_who_is_kept_out(void **state)
{
	for (uint8_t newer = 1; newer <= 2; newer++) {
		who_is_kept_out(newer, 0);
		who_is_kept_out(newer, 1000000);
	}
}

/* A yoked without a ledger goes by the number, so the other one does, too. */
static void test_kept_out_by_an_old_yoked(void **state)
{
	struct sim *sim = sim_pair(65, 2);
	struct conf other = sim->conf;

	memset(other.digest, 9, sizeof(other.digest));
	sim_kill(sim, 1, LEFT_PROCESS);
	sim_run(sim);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	sim->node[2].disk[0].epoch = ++sim->node[2].disk[0].top;
	sim->node[1].old = true;
	sim_boot(sim, 1);
	sim->node[1].m->conf = &other;
	sim_run(sim);
	sim_boot(sim, 2);
	sim_run(sim);
	assert_false(machine_in_sync(sim->node[2].m));
	sim_free(sim);
}

/*
 * A controller that was alone, and is kept out when the other goes on: that one's end is no reason
 * to begin at once, for it has acknowledged what is not here.
 */
static void test_kept_out_and_alone(void **state)
{
	struct sim *sim = sim_pair(63, 2);
	struct conf other = sim->conf;

	memset(other.digest, 9, sizeof(other.digest));
	sim_kill(sim, 1, LEFT_PROCESS);
	sim_run(sim);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	sim_boot(sim, 1);
	sim_run(sim);
	sim_pass(sim, 31000);
	assert_true(machine_in_sync(sim->node[1].m));
	sim_boot(sim, 2);
	sim->node[2].m->conf = &other;
	sim_run(sim);
	assert_false(machine_in_sync(sim->node[2].m));
	sim_kill(sim, 1, LEFT_PROCESS);
	sim_run(sim);
	assert_false(machine_in_sync(sim->node[2].m));
	assert_true(machine_waits_for_peer(sim->node[2].m));
	sim_free(sim);
}

/* The same before the round has ended in which it would be kept out. */
static void test_lost_before_it_is_kept_out(void **state)
{
	struct sim *sim = sim_pair(64, 2);
	struct conf other = sim->conf;
	struct sim_submitted *entry;
	int result;

	memset(other.digest, 9, sizeof(other.digest));
	sim_kill(sim, 1, LEFT_PROCESS);
	sim_run(sim);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	sim_boot(sim, 1);
	sim_run(sim);
	sim_pass(sim, 31000);
	sim_promote(sim, 1, 0, &result);
	sim_run(sim);
	entry = sim_submit(sim, 1, 0);
	sim_run(sim);
	assert_int_equal(entry->outcome, LEDGER_DONE);
	sim_boot(sim, 2);
	sim->node[2].m->conf = &other;
	sim_run_late(sim, 2); /* what it says does not count before its journal says so */
	assert_false(sim->node[2].m->differs);
	sim_kill(sim, 1, LEFT_PROCESS);
	sim_run(sim);
	assert_false(machine_in_sync(sim->node[2].m));
	sim_boot(sim, 1);
	sim_run(sim);
	assert_true(machine_in_sync(sim->node[1].m));
	machine_conf_changed(sim->node[2].m, &sim->conf);
	sim_run(sim);
	assert_true(machine_has_peer(sim->node[2].m));
	sim_check_entries(sim);
	sim_free(sim);
}

/*
 * An owner that slept is back, not fenced, after its group has been taken and the configuration has
 * changed: the one that knows the owner goes on. The other's nexuses are told of the table once.
 */
static void test_woken_with_the_former_file(void **state)
{
	for (uint8_t woken = 1; woken <= 2; woken++) {
		struct sim *sim = sim_pair(70 + woken, woken);
		uint8_t taker = (uint8_t)(3 - woken);
		struct conf other = sim->conf;
		uint32_t table;

		memset(other.digest, 9, sizeof(other.digest));
		sim->frozen[woken] = sim->lied = true;
		sim_split(sim);
		sim_run(sim);
		assert_int_equal(sim_group(sim, taker, 0)->owner, taker);
		machine_conf_changed(sim->node[taker].m, &other);
		sim_group(sim, taker, 0)->view.table++; /* as if it had changed once more */
		sim->node[taker].view[0].table++;
		table = sim->node[woken].view[0].table;
		sim_heal(sim);
		sim->frozen[woken] = false;
		sim_run(sim);
		assert_true(machine_in_sync(sim->node[taker].m));
		assert_true(sim->node[woken].fatal);
		sim_kill(sim, woken, LEFT_PROCESS);
		sim_run(sim);
		sim->conf = other;
		sim_boot(sim, woken);
		sim_run(sim);
		sim_link(sim, true);
		sim_run(sim);
		assert_true(machine_has_peer(sim->node[woken].m));
		assert_int_equal(sim_group(sim, woken, 0)->owner, taker);
		assert_true(sim->node[woken].view[0].table > table);
		sim_free(sim);
	}
}

/*
 * The links were cut, and one has gone over to another file, when they are mended before anybody is
 * fenced: both served. One of them ends. Before it has, nothing is taken from it, and nothing
 * acknowledged that it does not know (invariants I1 and I4).
 */
static void test_two_that_served(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct sim *sim = sim_pair(90 + i, (uint8_t)(1 + i % 2));
		struct conf other = sim->conf;
		struct sim_submitted *entry;
		uint8_t out, stays;
		unsigned told;

		memset(other.digest, 9, sizeof(other.digest));
		sim_promote(sim, (uint8_t)(2 - i % 2), 1, NULL);
		sim_run(sim);
		sim_split(sim);
		sim_run(sim);
		machine_conf_changed(sim->node[1 + i / 2].m, &other);
		sim_heal(sim);
		sim_run(sim);
		out = sim->node[1].fatal ? 1 : 2;
		stays = (uint8_t)(3 - out);
		assert_true(sim->node[out].fatal);
		assert_false(sim->node[stays].fatal);
		for (unsigned g = 0; g < SIM_GROUPS; g++) {
			bool its = sim_group(sim, stays, g)->owner == stays;

			assert_int_equal(sim_access(sim, out, g), GROUP_HELD);
			assert_int_equal(sim_access(sim, stays, g), its ? GROUP_LOCAL : GROUP_HELD);
		}
		entry = sim_submit(sim, stays, sim_group(sim, stays, 0)->owner == stays ? 0 : 1);
		sim_promote(sim, stays, 0, NULL);
		sim_promote(sim, stays, 1, NULL);
		sim_run(sim);
		assert_int_equal(entry->outcome, -1);
		assert_int_equal(
			sim_group(sim, stays, 0)->owner + sim_group(sim, stays, 1)->owner, 3);
		told = sim->node[stays].notices;
		sim_kill(sim, out, LEFT_PROCESS);
		sim_run(sim);
		assert_int_equal(
			sim->node[stays].notices, told + 1); /* Pacemaker starts it again */
		assert_int_equal(entry->outcome, LEDGER_DONE);
		assert_int_equal(sim_access(sim, stays, 0), GROUP_LOCAL);
		assert_int_equal(sim_access(sim, stays, 1), GROUP_LOCAL);
		sim_free(sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both),
		cmocka_unit_test(test_refused_by_the_other),
		cmocka_unit_test(test_refused_here),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_told_when_both_use_it),
		cmocka_unit_test(test_lost_before_it_says_done),
		cmocka_unit_test(test_two_at_once),
		cmocka_unit_test(test_killed_at_every_step),
		cmocka_unit_test(test_time_is_up),
		cmocka_unit_test(test_not_in_sync),
		cmocka_unit_test(test_catching_up),
		cmocka_unit_test(test_catching_up_at_the_start),
		cmocka_unit_test(test_who_is_kept_out),
		cmocka_unit_test(test_kept_out_by_an_old_yoked),
		cmocka_unit_test(test_kept_out_and_alone),
		cmocka_unit_test(test_lost_before_it_is_kept_out),
		cmocka_unit_test(test_woken_with_the_former_file),
		cmocka_unit_test(test_two_that_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
