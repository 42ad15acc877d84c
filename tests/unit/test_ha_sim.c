/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two machines against each other: every move with a loss at every step of it, under many orders of
 * everything that is asynchronous. The invariants (one applier, epochs, one table change for one
 * change) are asserted by the simulator at every publication; here it is the outcome.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ha_sim.h"

#define SEEDS 40

static bool steps(struct sim *sim, unsigned n)
{
	while (n--) {
		if (!sim_step(sim)) {
			return false;
		}
	}
	return true;
}

/*
 * Pacemaker keeps asking until the group is there; a loss without proof is fenced first. A daemon
 * that begins without the other waits half a minute for it.
 */
static void settle_at(struct sim *sim, uint8_t id)
{
	int result = -1;

	for (int i = 0; i < 7 && (i == 0 || sim_access(sim, id, 0) != GROUP_LOCAL); i++) {
		sim_pass(sim, 500);
		sim_start(sim, id, 0); /* refused as long as it waits */
		sim_promote(sim, id, 0, &result);
		sim_pass(sim, 5000);
		assert_int_not_equal(result, -1);
	}
	sim_promote(sim, id, 0, &result); /* it may have taken over by itself */
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_int_equal(sim_access(sim, id, 0), GROUP_LOCAL);
	assert_int_equal(
		machine_group_role(sim->node[id].m, sim_group(sim, id, 0)), HA_ROLE_PROMOTED);
}

/* The lost one comes back, does not serve, and ships. */
static void come_back(struct sim *sim, uint8_t id, uint8_t owner)
{
	struct sim_node *peer = &sim->node[owner];
	unsigned tables;

	sim_boot(sim, id);
	sim_run(sim);
	assert_int_equal(sim_access(sim, id, 0), GROUP_HELD);
	assert_int_equal(sim_access(sim, owner, 0), GROUP_LOCAL);
	tables = peer->view[0].table;
	sim_link(sim, true);
	sim_run(sim);
	assert_int_equal(sim_access(sim, id, 0), GROUP_REMOTE);
	assert_int_equal(peer->view[0].table, tables + 1);
	assert_memory_equal(peer->view[0].tpg, sim->node[id].view[0].tpg, 3);
	assert_int_equal(sim_group(sim, id, 0)->epoch, sim_group(sim, owner, 0)->epoch);
	sim_start(sim, id, 0);
	sim_run(sim);
	assert_int_equal(sim->node[id].score[0], 500);
	assert_int_equal(peer->score[0], 1000);
}

static void test_handover(void **state)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct sim *sim = sim_pair(seed, 1);
		uint32_t tables[3] = {0, sim->node[1].view[0].table, sim->node[2].view[0].table};
		uint64_t epoch = sim_group(sim, 1, 0)->epoch;
		int result;

		assert_int_equal(sim_access(sim, 2, 0), GROUP_REMOTE);
		sim_demote(sim, 1, 0);
		assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL); /* offered, not stopped */
		sim_promote(sim, 2, 0, &result);
		sim_run(sim);
		assert_int_equal(result, HA_OK);
		assert_int_equal(sim_access(sim, 2, 0), GROUP_LOCAL);
		assert_int_equal(sim_access(sim, 1, 0), GROUP_REMOTE);
		for (uint8_t i = 1; i <= 2; i++) {
			const struct group_view *v = &sim->node[i].view[0];

			assert_int_equal(v->table, tables[i] + 1); /* I8 */
			assert_int_equal(v->tpg[2], ALUA_OPTIMIZED);
			assert_int_equal(v->tpg[1], ALUA_NON_OPTIMIZED);
			assert_int_equal(v->preferred, 2);
			assert_int_equal(v->epoch, epoch + 1);
			assert_int_equal(sim->node[i].disk[0].epoch, epoch + 1);
			assert_int_equal(sim->node[i].disk[0].owner, 2);
			assert_string_equal(sim_group(sim, i, 0)->last_move_kind, "handover");
		}
		sim_free(sim);
	}
}

/* The loss of either controller, in either way, after every step of a handover. */
static void handover_with_loss(uint8_t victim, enum machine_left how)
{
	bool more = true;

	for (unsigned k = 0; more; k++) {
		more = false;
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 1);
			uint8_t survivor = victim == 1 ? 2 : 1;
			int result;

			sim_demote(sim, 1, 0);
			sim_promote(sim, 2, 0, &result);
			more = steps(sim, k) || more;
			sim_kill(sim, victim, how);
			sim_run(sim);
			if (survivor == 2) {
				sim_pass(sim, 3000);
				assert_int_not_equal(result, -1); /* never left hanging */
			}
			settle_at(sim, survivor);
			come_back(sim, victim, survivor);
			sim_free(sim);
		}
	}
}

static void test_handover_owner_dies(void **state)
{
	handover_with_loss(1, LEFT_PROCESS);
}

static void test_handover_owner_node_lost(void **state)
{
	handover_with_loss(1, LEFT_NODE);
}

static void test_handover_taker_dies(void **state)
{
	handover_with_loss(2, LEFT_PROCESS);
}

static void test_handover_taker_node_lost(void **state)
{
	handover_with_loss(2, LEFT_NODE);
}

/* The cluster links are cut after every step; one is fenced later, not the other. */
static void handover_with_split(uint8_t fenced)
{
	bool more = true;

	for (unsigned k = 0; more; k++) {
		more = false;
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 1);
			uint8_t survivor = fenced == 1 ? 2 : 1;
			int result, late[3];

			sim_demote(sim, 1, 0);
			sim_promote(sim, 2, 0, &result);
			more = steps(sim, k) || more;
			sim_split(sim);
			steps(sim, 30);
			/* A promote that was on its way must not outrun the fencing: the simulator
			 * asserts that nobody takes what a living controller holds. */
			sim_promote(sim, 1, 0, &late[1]);
			sim_promote(sim, 2, 0, &late[2]);
			sim_pass(sim, 3000);
			sim_kill(sim, fenced, LEFT_NODE);
			sim_pass(sim, 1000);
			settle_at(sim, survivor);
			sim_heal(sim);
			come_back(sim, fenced, survivor);
			sim_free(sim);
		}
	}
}

static void test_handover_split_owner_fenced(void **state)
{
	handover_with_split(1);
}

static void test_handover_split_taker_fenced(void **state)
{
	handover_with_split(2);
}

/* The time-out strikes after every step: it ends at one of the two, and the answer says where. */
static void test_handover_timeout(void **state)
{
	bool more = true;
	unsigned rolled_back = 0, done = 0;

	for (unsigned k = 0; more; k++) {
		more = false;
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 1);
			uint8_t owner;
			int result;

			sim_demote(sim, 1, 0);
			sim_promote(sim, 2, 0, &result);
			more = steps(sim, k) || more;
			sim->now_ms += 5000;
			machine_tick(sim->node[1].m);
			machine_tick(sim->node[2].m);
			sim_run(sim);
			assert_true(result == HA_OK || result == HA_TIMEOUT);
			owner = result == HA_OK ? 2 : 1;
			rolled_back += owner == 1;
			done += owner == 2;
			assert_int_equal(sim_access(sim, owner, 0), GROUP_LOCAL);
			assert_int_equal(sim_access(sim, owner == 1 ? 2 : 1, 0), GROUP_REMOTE);
			assert_int_equal(sim_group(sim, 1, 0)->epoch, sim_group(sim, 2, 0)->epoch);
			sim_free(sim);
		}
	}
	assert_true(rolled_back > 100 && done > 100);
}

/* Takeover after a power loss; the taker dies at every step of it and comes back alone. */
static void test_takeover(void **state)
{
	unsigned waited = 0, runs = 0;
	bool more = true;

	for (unsigned k = 0; more; k++) {
		more = false;
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 1);
			uint64_t epoch = sim_group(sim, 1, 0)->epoch;
			int result;

			sim_kill(sim, 1, LEFT_NODE);
			if (seed % 2) { /* else it does not wait for that */
				sim_promote(sim, 2, 0, &result);
			}
			more = steps(sim, k) || more;
			sim_kill(sim, 2, LEFT_PROCESS);
			sim_boot(sim, 2);
			sim_run(sim);
			/* It may have died before it knew that it was alone. */
			waited += machine_waits_for_peer(sim->node[2].m);
			sim_pass(sim,
				machine_waits_for_peer(sim->node[2].m) ? HA_LEDGER_WAIT_MS : 0);
			sim_start(sim, 2, 0);
			settle_at(sim, 2);
			assert_true(sim_group(sim, 2, 0)->epoch > epoch);
			assert_int_equal(sim->node[2].view[0].tpg[1], ALUA_UNAVAILABLE);
			come_back(sim, 1, 2);
			sim_free(sim);
			runs++;
		}
	}
	assert_true(waited > 0 && waited < runs);
}

/* Both agree on who owns, and that one serves. */
static void expect_agreed(struct sim *sim)
{
	const struct ha_group *a = sim_group(sim, 1, 0), *b = sim_group(sim, 2, 0);

	assert_int_equal(a->phase, PHASE_SERVING);
	assert_int_equal(b->phase, PHASE_SERVING);
	assert_int_equal(a->owner, b->owner);
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(sim_access(sim, a->owner, 0), GROUP_LOCAL);
}

/*
 * Fencing lies, and the owner is back at any step of the takeover: who has committed goes on. It
 * went back to the owner's older epoch when its COMMIT came while the two told each other (I2).
 */
static void test_back_at_takeover(void **state)
{
	unsigned rolled_back = 0, gone_on = 0;

	for (unsigned k = 0; k < 40; k++) {
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 2);
			uint64_t epoch = sim_group(sim, 2, 0)->epoch;

			sim->frozen[2] = true;
			sim->lied = true;
			sim_split(sim);
			steps(sim, k);
			sim_heal(sim);
			steps(sim, sim_random(sim, 10));
			sim->frozen[2] = false;
			sim_run(sim);
			sim_link(sim, true);
			sim_run(sim);
			expect_agreed(sim);
			rolled_back += sim_group(sim, 1, 0)->epoch == epoch;
			gone_on += sim_group(sim, 1, 0)->owner == 1;
			sim_free(sim);
		}
	}
	assert_true(rolled_back > 0 && gone_on > 0);
}

/*
 * Both went on alone in turn: who joins has a newer epoch on record than the one that serves. The
 * owner takes a newer one than both, and without an owner the record counts.
 */
static void test_record_ahead(void **state)
{
	for (unsigned served = 0; served < 2; served++) {
		struct sim *sim = sim_pair(7, served ? 1 : 0);
		uint64_t ahead = sim_group(sim, 1, 0)->top + 1000000;

		sim_kill(sim, 2, LEFT_PROCESS);
		sim_run(sim);
		sim->node[2].disk[0].epoch = sim->node[2].disk[0].top = ahead;
		sim->node[2].disk[0].owner = 2;
		sim_boot(sim, 2);
		sim_run(sim);
		sim_link(sim, true);
		sim_run(sim);
		for (uint8_t i = 1; i <= 2; i++) {
			assert_int_equal(sim_group(sim, i, 0)->owner, served);
			assert_int_equal(sim_group(sim, i, 0)->epoch, ahead + served);
			assert_int_equal(sim->node[i].disk[0].epoch, ahead + served);
			assert_int_equal(sim->node[i].disk[0].top, ahead + served);
		}
		if (served) {
			expect_agreed(sim);
		}
		sim_free(sim);
	}
}

/* Anything, at any time. */
static void chaos_step(struct sim *sim)
{
	uint8_t id = (uint8_t)(1 + sim_random(sim, 2));
	struct sim_node *n = &sim->node[id];
	uint16_t group = (uint16_t)sim_random(sim, SIM_GROUPS);

	switch (sim_random(sim, 14)) {
	case 0:
	case 1:
	case 2:
		if (n->alive) {
			sim_promote(sim, id, group, NULL);
		}
		break;
	case 3:
		if (n->alive) {
			sim_demote(sim, id, group);
		}
		break;
	case 4:
		if (n->alive) {
			sim_stop(sim, id, group, NULL);
			sim_start(sim, id, group);
		}
		break;
	case 5:
		/* The last one stays: what its death leaves open is in docs/ha.md, "Beginning
		 * alone". */
		if (sim->node[1].alive && sim->node[2].alive && !sim_random(sim, 3)) {
			sim_kill(sim, id, sim_random(sim, 2) ? LEFT_NODE : LEFT_PROCESS);
		}
		break;
	case 6:
	case 7:
		if (!n->alive) {
			sim_boot(sim, id);
		}
		break;
	case 8:
		if (sim->split || sim_random(sim, 3)) {
			sim_heal(sim);
		} else {
			sim_split(sim);
		}
		break;
	case 9:
		if (n->alive) {
			machine_quorum(n->m, n->seen && !n->m->quorate);
		}
		break;
	case 10:
		sim_link(sim, sim_random(sim, 4) > 0);
		break;
	case 11:
		sim->now_ms += 700;
		for (uint8_t i = 1; i <= 2; i++) {
			if (sim->node[i].alive) {
				machine_tick(sim->node[i].m);
			}
		}
		break;
	case 12:
		if (n->alive) {
			machine_slept(n->m, 2000);
		}
		break;
	case 13:
		n->claim_err = sim_random(sim, 4) ? 0 : -5;
		n->save_err = sim_random(sim, 6) ? 0 : -28;
		n->release_err = sim_random(sim, 6) ? 0 : -5;
		break;
	}
}

static void test_chaos(void **state)
{
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		struct sim *sim = sim_pair(seed, (uint8_t)(seed % 3));
		int result = -1;

		sim_adoption(sim, seed % 2);
		for (int i = 0; i < 60; i++) {
			chaos_step(sim);
			steps(sim, sim_random(sim, 12));
		}
		/* Everything is put right; the group must come to life where it is asked. */
		sim_heal(sim);
		for (uint8_t i = 1; i <= 2; i++) {
			struct sim_node *n = &sim->node[i];

			n->claim_err = n->save_err = n->release_err = 0;
			if (!n->alive) {
				sim_boot(sim, i);
			}
			machine_quorum(n->m, true);
		}
		sim_pass(sim, 5000);
		sim_link(sim, true);
		sim_start(sim, 1, 0);
		sim_start(sim, 2, 0);
		sim_pass(sim, 5000);
		settle_at(sim, 1);
		for (uint8_t i = 1; i <= 2; i++) {
			assert_true(sim->node[i].open);
			assert_false(sim->node[i].adopted);
		}
		assert_int_equal(sim_access(sim, 2, 0), GROUP_REMOTE);
		sim_demote(sim, 1, 0);
		sim_promote(sim, 2, 0, &result);
		sim_run(sim);
		assert_int_equal(result, HA_OK);
		assert_int_equal(sim_access(sim, 1, 0), GROUP_REMOTE);
		sim_free(sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handover),
		cmocka_unit_test(test_handover_owner_dies),
		cmocka_unit_test(test_handover_owner_node_lost),
		cmocka_unit_test(test_handover_taker_dies),
		cmocka_unit_test(test_handover_taker_node_lost),
		cmocka_unit_test(test_handover_split_owner_fenced),
		cmocka_unit_test(test_handover_split_taker_fenced),
		cmocka_unit_test(test_handover_timeout),
		cmocka_unit_test(test_takeover),
		cmocka_unit_test(test_back_at_takeover),
		cmocka_unit_test(test_record_ahead),
		cmocka_unit_test(test_chaos),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
