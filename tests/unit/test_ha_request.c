/* SPDX-License-Identifier: BSD-3-Clause */
/* The actions of the agent and the administrator, scores, failback, quorum, joining. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ha_sim.h"

static enum ha_role role(struct sim *sim, uint8_t id)
{
	return machine_group_role(sim->node[id].m, sim_group(sim, id, 0));
}

static void test_idempotent(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result[3];

	sim_promote(sim, 1, 0, &result[0]);
	assert_int_equal(result[0], HA_OK); /* at once */
	sim_promote(sim, 2, 0, &result[1]);
	sim_promote(sim, 2, 0, &result[2]);
	sim_run(sim);
	assert_int_equal(result[1], HA_OK);
	assert_int_equal(result[2], HA_OK);
	assert_int_equal(sim_group(sim, 2, 0)->epoch, 2); /* one move, not two */
	sim_demote(sim, 1, 0);
	sim_demote(sim, 1, 0);
	sim_stop(sim, 1, 0, &result[0]);
	sim_stop(sim, 1, 0, &result[1]);
	sim_run(sim);
	assert_int_equal(result[0], HA_OK);
	assert_int_equal(result[1], HA_OK);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_LOCAL);
	sim_free(sim);
}

static void test_roles(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result;

	assert_int_equal(role(sim, 1), HA_ROLE_PROMOTED);
	assert_int_equal(role(sim, 2), HA_ROLE_UNPROMOTED);
	sim_demote(sim, 1, 0);
	assert_int_equal(role(sim, 1), HA_ROLE_UNPROMOTED);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	sim_stop(sim, 1, 0, &result);
	sim_run(sim);
	assert_int_equal(role(sim, 1), HA_ROLE_STOPPED);
	machine_dead(sim->node[2].m, "test");
	assert_int_equal(role(sim, 2), HA_ROLE_FAILED);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_HELD);
	assert_true(sim->node[2].fatal);
	sim_free(sim);
}

/* A stop with a peer in sync hands over; the later promote there finds it done. */
static void test_stop_offers(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result;

	sim_stop(sim, 1, 0, &result);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_LOCAL);
	assert_int_equal(role(sim, 2), HA_ROLE_UNPROMOTED); /* Pacemaker has not asked */
	sim_promote(sim, 2, 0, &result);
	assert_int_equal(result, HA_OK);
	assert_int_equal(role(sim, 2), HA_ROLE_PROMOTED);
	assert_int_equal(sim_group(sim, 2, 0)->epoch, 2);
	sim_free(sim);
}

/* Nobody to take it: not started there, not healthy there, not there at all, not answering. */
static void test_stop_alone(void **state)
{
	for (int why = 0; why < 4; why++) {
		struct sim *sim = sim_pair(1, 1);
		int result, other;

		if (why == 0) {
			sim_stop(sim, 2, 0, &other);
		} else if (why == 1) {
			sim->node[2].unhealthy = true;
			machine_tick(sim->node[2].m);
		} else if (why == 2) {
			sim_kill(sim, 2, LEFT_PROCESS);
		} else {
			machine_quorum(sim->node[2].m, false);
		}
		sim_run(sim);
		sim_stop(sim, 1, 0, &result);
		sim_pass(sim, 10000);
		assert_int_equal(result, HA_OK);
		assert_int_equal(sim_group(sim, 1, 0)->phase, PHASE_IDLE);
		assert_int_equal(sim_group(sim, 1, 0)->owner, 0);
		assert_false(sim->node[1].claimed[0]);
		assert_int_equal(sim->node[1].disk[0].owner, 0);
		assert_int_equal(sim_access(sim, 1, 0), GROUP_HELD);
		sim_free(sim);
	}
}

static void test_refusals(void **state)
{
	struct sim *sim = sim_new(1);
	int result;

	sim_boot(sim, 1); /* no quorum without having seen the other: not in sync */
	sim_run(sim);
	assert_int_equal(sim->node[1].readies, 0);
	sim_promote(sim, 1, 0, &result);
	assert_int_equal(result, HA_NOT_IN_SYNC);
	sim_move(sim, 1, 0, 1, 1000, &result);
	assert_int_equal(result, HA_NOT_IN_SYNC);
	sim_stop(sim, 1, 0, &result);
	assert_int_equal(result, HA_OK);
	sim_free(sim);

	sim = sim_pair(1, 1);
	sim->node[2].unhealthy = true;
	sim_promote(sim, 2, 0, &result);
	assert_int_equal(result, HA_FAILED); /* preflight */
	sim->node[2].unhealthy = false;
	sim->node[2].claim_err = -5;
	sim_promote(sim, 2, 0, &result);
	sim_run(sim);
	assert_int_equal(result, HA_FAILED);
	assert_int_equal(sim_group(sim, 1, 0)->phase, PHASE_IDLE); /* after COMMIT: not back */
	assert_int_equal(role(sim, 2), HA_ROLE_UNPROMOTED);
	sim_promote(sim, 1, 0, &result);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	/* A move that the scores would not follow is refused, and leaves no preference behind. */
	sim_link(sim, false);
	sim_run(sim);
	sim_move(sim, 1, 0, 2, 1000, &result);
	assert_int_equal(result, HA_NO_PEER);
	sim_move(sim, 1, 0, 1, 1000, &result);
	assert_int_equal(result, HA_OK);
	sim_link(sim, true);
	sim->node[2].unhealthy = true;
	machine_tick(sim->node[2].m);
	sim_run(sim);
	sim_move(sim, 1, 0, 2, 1000, &result);
	assert_int_equal(result, HA_NO_PEER);
	assert_int_equal(sim_group(sim, 1, 0)->preferred, 1);
	sim->node[2].unhealthy = false;
	machine_tick(sim->node[2].m);
	sim_run(sim);
	machine_quorum(sim->node[2].m, false);
	sim_promote(sim, 2, 0, &result);
	assert_int_equal(result, HA_NO_QUORUM);
	sim_move(sim, 2, 0, 1, 1000, &result);
	assert_int_equal(result, HA_NO_QUORUM);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	sim_move(sim, 1, 0, 2, 1000, &result);
	assert_int_equal(result, HA_NO_PEER);
	sim_free(sim);
}

/* The list of waiting actions is bounded. */
static void test_too_many(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result[HA_REQUESTS_MAX + 1];

	for (int i = 0; i <= HA_REQUESTS_MAX; i++) {
		sim_move(sim, 1, 0, 2, 1000, &result[i]);
	}
	assert_int_equal(result[HA_REQUESTS_MAX], HA_BUSY);
	assert_int_equal(result[0], -1);
	sim_pass(sim, 2000);
	assert_int_equal(result[0], HA_TIMEOUT);
	assert_int_equal(result[HA_REQUESTS_MAX - 1], HA_TIMEOUT);
	sim_free(sim);
}

static void test_move_by_scores(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result, promoted;

	assert_int_equal(sim->node[1].score[0], 1000);
	assert_int_equal(sim->node[2].score[0], 500);
	sim_move(sim, 1, 0, 2, 10000, &result);
	sim_run(sim);
	assert_int_equal(sim->node[1].score[0], 500);
	assert_int_equal(sim->node[2].score[0], 1000);
	assert_int_equal(result, -1);
	assert_int_equal(sim->node[1].disk[0].preferred, 2); /* durable at both */
	assert_int_equal(sim->node[2].disk[0].preferred, 2);
	sim_demote(sim, 1, 0); /* Pacemaker follows */
	sim_promote(sim, 2, 0, &promoted);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	sim_free(sim);
}

/*
 * The target is lost while its move waits: whoever asked is told at once and not after the
 * time-out, and the group does not go there when it is back. The same when MOVE is delivered after
 * the loss.
 */
static void test_move_target_lost(void **state)
{
	static const enum machine_left how[] = {LEFT_NODE, LEFT_PROCESS};

	for (int i = 0; i < 4; i++) {
		struct sim *sim = sim_pair(1, 1);
		int result;

		sim_move(sim, 1, 0, 2, 8000, &result);
		if (i / 2) {
			sim_run(sim);
			assert_int_equal(sim_group(sim, 1, 0)->preferred, 2);
		}
		assert_int_equal(result, -1);
		sim_kill(sim, 2, how[i % 2]);
		sim_run(sim);
		assert_int_equal(result, HA_NO_PEER);
		assert_int_equal(sim_group(sim, 1, 0)->owner, 1);
		assert_int_equal(sim_group(sim, 1, 0)->preferred, 1);
		assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
		sim_boot(sim, 2);
		sim_run(sim);
		assert_int_equal(sim_group(sim, 2, 0)->preferred, 1);
		assert_int_equal(sim->node[1].score[0], 1000);
		/* The next one is a new one. */
		sim_link(sim, true);
		sim_start(sim, 2, 0);
		sim_run(sim);
		sim_move(sim, 1, 0, 2, 8000, &result);
		sim_run(sim);
		assert_int_equal(sim_group(sim, 1, 0)->preferred, 2);
		sim_promote(sim, 2, 0, NULL);
		sim_run(sim);
		assert_int_equal(result, HA_OK);
		sim_free(sim);
	}
}

/* The owner is lost while the move to this controller waits: it goes on as a takeover. */
static void test_move_owner_lost(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result;

	sim_move(sim, 2, 0, 2, 8000, &result);
	sim_run(sim);
	sim_kill(sim, 1, LEFT_PROCESS);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_int_equal(sim_group(sim, 2, 0)->owner, 2);
	sim_free(sim);
}

static void test_scores(void **state)
{
	struct sim *sim = sim_pair(1, 1);

	sim_link(sim, false);
	sim_run(sim);
	assert_int_equal(sim->node[1].score[0], 1000); /* the owner needs no link */
	assert_int_equal(sim->node[2].score[0], 500); /* not at once */
	sim_pass(sim, 1500);
	assert_int_equal(sim->node[2].score[0], 100);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_HELD);
	assert_int_equal(sim->node[1].view[0].tpg[2], ALUA_UNAVAILABLE);
	sim_link(sim, true);
	sim_run(sim);
	assert_int_equal(sim->node[2].score[0], 500);
	sim->node[1].unhealthy = true;
	sim_pass(sim, 100);
	assert_int_equal(sim->node[1].score[0], 100);
	sim_stop(sim, 2, 0, NULL);
	sim_run(sim);
	assert_int_equal(sim->node[2].score[0], -1);
	sim_free(sim);
}

/* The owner's daemon dies and is back before anybody has promoted: the survivor keeps the first
 * claim. */
static void test_dead_owner_comes_back(void **state)
{
	struct sim *sim = sim_pair(1, 1);

	sim_kill(sim, 1, LEFT_PROCESS);
	sim_run(sim);
	assert_int_equal(sim->node[2].score[0], 1000);
	sim_boot(sim, 1);
	sim_run(sim);
	assert_int_equal(sim_group(sim, 1, 0)->preferred, 2);
	sim_start(sim, 1, 0);
	sim_run(sim);
	assert_int_equal(sim->node[1].score[0], 500);
	assert_int_equal(sim->node[2].score[0], 1000);
	sim_free(sim);
}

/* Group 1 comes home by itself, after the dwell time, and only when hosts are there. */
static void test_failback(void **state)
{
	struct sim *sim = sim_pair(1, 0);
	int result;

	sim_promote(sim, 2, 1, &result);
	sim_run(sim);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	sim_promote(sim, 1, 1, &result);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	sim_boot(sim, 2);
	sim_run(sim);
	sim_link(sim, true);
	sim_start(sim, 2, 1);
	sim_pass(sim, 70000);
	assert_int_equal(sim_group(sim, 1, 1)->preferred, 1); /* nobody is logged in there */
	sim->node[2].sessions = 2;
	sim_pass(sim, 58000);
	assert_int_equal(sim_group(sim, 1, 1)->preferred, 1);
	sim_pass(sim, 3000);
	assert_int_equal(sim_group(sim, 1, 1)->preferred, 2);
	assert_int_equal(sim->node[2].score[1], 1000);
	assert_int_equal(sim->node[1].score[1], 500);
	sim_free(sim);
}

/* Without hosts and dwell time; but each move of a restless group makes it wait longer. */
static void test_failback_restless(void **state)
{
	struct sim *sim = sim_pair(1, 0);
	uint64_t waited[5];

	sim->conf.groups[1].failback = CONF_FAILBACK_IMMEDIATE;
	sim_promote(sim, 2, 1, NULL);
	sim_run(sim);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t begun;

		sim_kill(sim, 2, LEFT_PROCESS);
		sim_pass(sim, 1000);
		assert_int_equal(sim_group(sim, 1, 1)->owner, 1);
		assert_int_equal(group_moves(sim->node[1].m, sim_group(sim, 1, 1)), i + 1);
		sim_boot(sim, 2);
		sim_run(sim);
		sim_link(sim, true);
		sim_start(sim, 2, 1);
		begun = sim->now_ms;
		while (sim_group(sim, 1, 1)->preferred != 2) {
			assert_true(sim->now_ms - begun < 400000);
			sim_pass(sim, 1000);
		}
		waited[i] = sim->now_ms - begun;
		sim_promote(sim, 2, 1, NULL); /* as Pacemaker does by the scores */
		sim_run(sim);
		assert_int_equal(sim_group(sim, 1, 1)->owner, 2);
	}
	assert_true(waited[0] <= 1000);
	for (unsigned i = 1; i < 5; i++) {
		assert_true(waited[i] >= 10000u << i && waited[i] <= (10000u << i) + 2000);
	}
	/* An hour later that is forgotten. */
	sim_pass(sim, HA_MOVES_WINDOW_MS);
	assert_int_equal(group_moves(sim->node[1].m, sim_group(sim, 1, 1)), 0);
	assert_int_equal(group_failback_wait_ms(sim->node[1].m, sim_group(sim, 1, 1)), 0);
	sim_free(sim);
}

/* A disk that comes and goes counts as well later each time the group has moved for it. */
static void test_health_restless(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	struct sim_node *n = &sim->node[2];

	n->unhealthy = true;
	sim_pass(sim, 1000);
	assert_int_equal(n->score[0], 100);
	n->unhealthy = false;
	sim_pass(sim, 1000);
	assert_int_equal(n->score[0], 500);
	for (uint8_t to = 2; to >= 1; to--) { /* there and back, as nobody has asked for */
		sim_promote(sim, to, 0, NULL);
		sim_run(sim);
	}
	assert_int_equal(group_moves(n->m, sim_group(sim, 2, 0)), 2);
	n->unhealthy = true;
	sim_pass(sim, 1000);
	n->unhealthy = false;
	sim_pass(sim, 15000);
	assert_int_equal(n->score[0], 100);
	sim_pass(sim, 6000);
	assert_int_equal(n->score[0], 500);
	sim_free(sim);
}

/* Held while quorum is away; the same epoch and table when it is back. */
static void test_quorum(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	uint32_t table = sim->node[1].view[0].table;

	machine_quorum(sim->node[1].m, false);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_HELD);
	machine_quorum(sim->node[1].m, true);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	assert_int_equal(sim->node[1].view[0].epoch, 1);
	assert_int_equal(sim->node[1].view[0].table, table);
	sim_free(sim);
}

static void test_slept(void **state)
{
	struct sim *sim = sim_pair(1, 1);

	machine_slept(sim->node[1].m, 2000);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_HELD);
	sim_run(sim);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	/* Meanwhile it was given up for dead: that comes before its ALIVE. */
	sim_split(sim);
	machine_slept(sim->node[1].m, 2000);
	sim_run(sim);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_HELD);
	sim_free(sim);
}

/* The daemon died, its node lives: Pacemaker is told, once; a lost node is its own business. */
static void test_notice(void **state)
{
	struct sim *sim = sim_pair(1, 1);

	sim_kill(sim, 1, LEFT_PROCESS);
	sim_run(sim);
	assert_int_equal(sim->node[2].notices, 1);
	assert_int_equal(sim->node[2].peer_downs, 1);
	sim_free(sim);
	sim = sim_pair(1, 1);
	sim_kill(sim, 1, LEFT_NODE);
	sim_run(sim);
	assert_int_equal(sim->node[2].notices, 0);
	assert_int_equal(sim->node[2].peer_downs, 1);
	sim_free(sim);
}

/* A daemon that owned nothing: Pacemaker is told to start it again, unless it ended on purpose. */
static void test_died(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result;

	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	assert_int_equal(sim->node[1].deaths, 1);
	assert_int_equal(sim->node[1].notices, 0);
	sim_free(sim);
	sim = sim_pair(1, 1);
	sim_kill(sim, 2, LEFT_NODE);
	sim_run(sim);
	assert_int_equal(sim->node[1].deaths, 0);
	sim_free(sim);
	sim = sim_pair(1, 1);
	for (uint16_t i = 0; i < SIM_GROUPS; i++) {
		sim_stop(sim, 2, i, &result);
	}
	sim_run(sim);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	assert_int_equal(sim->node[1].deaths, 0);
	sim_free(sim);
	sim = sim_pair(1, 2); /* an owner: by its groups */
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	assert_int_equal(sim->node[1].deaths, 0);
	sim_free(sim);
}

/* What waits for the other one to be gone has Pacemaker asked, also when nothing is to be taken. */
static void test_proof_for_others(void **state)
{
	struct sim *sim = sim_pair(1, 1);

	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	assert_int_equal(sim->node[1].peer_gones, 1);
	sim_boot(sim, 2);
	sim_run(sim);
	assert_false(sim->node[1].view[0].unproven);
	sim_split(sim);
	sim_pass(sim, 1000);
	assert_int_equal(sim->node[1].peer_gones, 1);
	assert_true(sim->node[1].view[0].unproven);
	sim->node[1].awaits = true;
	sim_pass(sim, 1000);
	assert_int_equal(sim->node[1].peer_gones, 1); /* not fenced yet */
	sim_kill(sim, 2, LEFT_NODE);
	sim_pass(sim, 1000);
	assert_int_equal(sim->node[1].peer_gones, 2);
	assert_false(sim->node[1].view[0].unproven); /* told, though nothing else has changed */
	sim_free(sim);
}

/* No proof: promote ends (Pacemaker fences only then), nothing is taken until the fencing. */
static void test_no_proof_no_takeover(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result;

	sim_split(sim);
	sim_run(sim);
	sim_promote(sim, 2, 0, &result);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_int_equal(role(sim, 2), HA_ROLE_PROMOTED);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_HELD);
	sim_pass(sim, 60000);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_HELD);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	sim_kill(sim, 1, LEFT_NODE);
	sim_pass(sim, 300);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_LOCAL);
	assert_int_equal(sim_group(sim, 2, 0)->epoch, 2);
	sim_free(sim);
}

/* The owner is gone for certain: its group is taken at once, and a promote finds it done. */
static void takes_over(enum machine_left how)
{
	struct sim *sim = sim_pair(1, 1);
	int result;

	sim_kill(sim, 1, how);
	sim_run(sim);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_LOCAL);
	assert_int_equal(sim_group(sim, 2, 0)->epoch, 2);
	assert_int_equal(sim_group(sim, 2, 0)->preferred, 2);
	assert_int_equal(role(sim, 2), HA_ROLE_UNPROMOTED); /* as Pacemaker thinks */
	sim_promote(sim, 2, 0, &result);
	assert_int_equal(result, HA_OK);
	assert_int_equal(role(sim, 2), HA_ROLE_PROMOTED);
	assert_int_equal(sim_group(sim, 2, 0)->epoch, 2);
	sim_free(sim);
}

static void test_takes_over(void **state)
{
	struct sim *sim;
	int result;

	takes_over(LEFT_PROCESS);
	takes_over(LEFT_NODE);

	sim = sim_pair(1, 1); /* not started here: Pacemaker may not want it here */
	sim_stop(sim, 2, 0, &result);
	sim_run(sim);
	sim_kill(sim, 1, LEFT_PROCESS);
	sim_pass(sim, 5000);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_HELD);
	assert_int_equal(sim_group(sim, 2, 0)->epoch, 1);
	sim_free(sim);

	sim = sim_pair(1, 1); /* its disk is not well here: the other may be back soon */
	sim->node[2].unhealthy = true;
	sim_kill(sim, 1, LEFT_PROCESS);
	sim_pass(sim, 5000);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_HELD);
	sim_promote(sim, 2, 0, &result);
	sim_run(sim);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_LOCAL);
	sim_free(sim);

	sim = sim_pair(1, 1); /* out of reach, perhaps alive */
	sim_split(sim);
	sim_pass(sim, 60000);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_HELD);
	sim_heal(sim);
	sim_pass(sim, 60000);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	assert_int_equal(sim_group(sim, 2, 0)->epoch, 1);
	sim_free(sim);
}

/* Two configurations: the one that serves goes on, the newcomer stays out until they agree. */
static void test_digest(void **state)
{
	struct sim *sim = sim_pair(1, 1);

	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	sim->conf.digest[0] = 1;
	sim_boot(sim, 2);
	sim_run(sim);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	assert_int_equal(sim->node[2].readies, 0);
	assert_false(machine_in_sync(sim->node[2].m));
	assert_false(machine_has_peer(sim->node[1].m));
	assert_int_equal(sim->node[2].peer_ups, 1); /* only in its first life */
	assert_int_equal(sim->node[1].peer_ups, 1);
	sim_kill(sim, 2, LEFT_PROCESS); /* corrected and started again */
	sim->conf.digest[0] = 0;
	sim_boot(sim, 2);
	sim_run(sim);
	assert_true(machine_has_peer(sim->node[1].m) && machine_has_peer(sim->node[2].m));
	sim_free(sim);
}

/* No space for the state: the taker backs out before COMMIT, the owner serves on. */
static void test_state_full(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result;

	sim->node[1].save_err = -28;
	sim_promote(sim, 2, 0, &result);
	sim_run(sim);
	assert_int_equal(result, HA_FAILED);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_REMOTE);
	sim->node[1].save_err = 0;
	sim->node[2].save_err = -28;
	sim_promote(sim, 2, 0, &result);
	sim_run(sim);
	assert_int_equal(result, HA_FAILED);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_HELD);
	sim_promote(sim, 1, 0, &result);
	sim_run(sim);
	assert_int_not_equal(result, HA_OK); /* 2 cannot promise durably */
	sim->node[2].save_err = 0;
	sim_pass(sim, 2000);
	sim_promote(sim, 1, 0, &result);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idempotent),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_stop_offers),
		cmocka_unit_test(test_stop_alone),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_move_by_scores),
		cmocka_unit_test(test_move_target_lost),
		cmocka_unit_test(test_move_owner_lost),
		cmocka_unit_test(test_scores),
		cmocka_unit_test(test_dead_owner_comes_back),
		cmocka_unit_test(test_failback),
		cmocka_unit_test(test_failback_restless),
		cmocka_unit_test(test_health_restless),
		cmocka_unit_test(test_quorum),
		cmocka_unit_test(test_slept),
		cmocka_unit_test(test_notice),
		cmocka_unit_test(test_died),
		cmocka_unit_test(test_no_proof_no_takeover),
		cmocka_unit_test(test_proof_for_others),
		cmocka_unit_test(test_takes_over),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_state_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
