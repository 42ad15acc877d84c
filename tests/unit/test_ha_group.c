/* SPDX-License-Identifier: BSD-3-Clause */
/* Every phase x message pair: what has an effect, and that everything else has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ha_sim.h"

#define N MESSAGE_NONE

/* The phase after a message of controller 2 (N: its loss) at controller 1; 0 = stays. */
struct expect {
	enum ha_phase phase;
	enum message_type type;
	enum ha_phase after;
};

/* Group of owner 2 (phases with an owner) with controller 2 as target, epoch 4, top 5. */
static const struct expect effects[] = {
	{PHASE_IDLE, MESSAGE_PREPARE, PHASE_PREPARING},
	{PHASE_SERVING, MESSAGE_PREPARE, PHASE_PREPARING},
	{PHASE_SERVING, MESSAGE_RELEASED, PHASE_IDLE},
	{PHASE_SERVING, N, PHASE_LOST},
	{PHASE_LOST, MESSAGE_PREPARE, PHASE_PREPARING},
	{PHASE_PREPARING, MESSAGE_COMMIT, PHASE_COMMITTING},
	{PHASE_PREPARING, MESSAGE_ROLLBACK, PHASE_SERVING},
	{PHASE_PREPARING, N, PHASE_LOST},
	{PHASE_COMMITTING, MESSAGE_SAVED, PHASE_TAKING},
	{PHASE_COMMITTING, MESSAGE_READY, PHASE_SERVING},
	{PHASE_COMMITTING, MESSAGE_RELEASED, PHASE_IDLE},
	{PHASE_COMMITTING, N, PHASE_LOST},
	{PHASE_TAKING, MESSAGE_READY, PHASE_SERVING},
	{PHASE_TAKING, MESSAGE_RELEASED, PHASE_IDLE},
	{PHASE_TAKING, N, PHASE_LOST},
};

/* The epoch that makes a message current in the phase that it is meant for. */
static uint64_t current(enum message_type type, const struct ha_group *g)
{
	switch (type) {
	case MESSAGE_PREPARE:
		return g->top + 1;
	case MESSAGE_DRAINED:
	case MESSAGE_COMMIT:
	case MESSAGE_ROLLBACK:
		return g->top;
	case MESSAGE_NONE:
	case MESSAGE_STATE:
	case MESSAGE_STATUS:
	case MESSAGE_SAVED:
	case MESSAGE_READY:
	case MESSAGE_RELEASED:
	case MESSAGE_OFFER:
	case MESSAGE_MOVE:
	case MESSAGE_ALIVE:
	case MESSAGE_CURRENT:
	case MESSAGE_LEDGER:
	case MESSAGE_ENTRY:
	case MESSAGE_ACK:
	case MESSAGE_SNAPSHOT:
	case MESSAGE_LOADED:
	case MESSAGE_RESYNC:
	case MESSAGE_PORTALS:
	case MESSAGE_HOSTS:
	case MESSAGE_CONF_PROPOSE:
	case MESSAGE_CONF_READY:
	case MESSAGE_CONF_REFUSE:
	case MESSAGE_CONF_CANCEL:
	case MESSAGE_DRILL:
	case MESSAGE_CONF_DONE:
		break;
	}
	return g->epoch;
}

static void arrange(struct sim *sim, struct ha_group *g, enum ha_phase phase)
{
	sim->node[1].m->sync = HA_ALL_CONTROLLERS;
	g->phase = phase;
	g->epoch = 4;
	g->top = 5;
	if (phase == PHASE_COMMITTING || phase == PHASE_TAKING) {
		g->epoch = 5;
	}
	g->owner = phase == PHASE_IDLE ? 0 : 2;
	g->target = 2;
	g->waiting = phase == PHASE_COMMITTING ? HA_BIT(2) : 0;
	g->preferred = 2;
}

static enum ha_phase expected(enum ha_phase phase, enum message_type type)
{
	for (size_t i = 0; i < sizeof(effects) / sizeof(effects[0]); i++) {
		if (effects[i].phase == phase && effects[i].type == type) {
			return effects[i].after;
		}
	}
	return phase;
}

static void test_every_pair(void **state)
{
	struct sim *sim = sim_pair(1, 0);
	struct machine *m = sim->node[1].m;
	struct ha_group *g = &m->groups[0];

	for (int phase = 0; phase < PHASE_COUNT; phase++) {
		assert_string_not_equal(ha_phase_name((enum ha_phase)phase), "(none)");
		for (int type = 0; type < MESSAGE_TYPES; type++) {
			struct message msg = {
				.type = (enum message_type)type, .sender = 2, .controller = 2};

			arrange(sim, g, (enum ha_phase)phase);
			msg.epoch = current(msg.type, g);
			if (type == N) {
				m->sync = HA_BIT(1);
			}
			group_deliver(m, g, &msg);
			assert_int_equal(
				g->phase, expected((enum ha_phase)phase, (enum message_type)type));
			assert_true(g->epoch >= 4 && g->top >= 5); /* I2 */
		}
	}
	m->sync = HA_ALL_CONTROLLERS;
	sim_free(sim);
}

/*
 * A taker loses the other one before COMMIT, while nobody serves the group: without proof the other
 * could take it as well, under the same epoch (I2).
 */
static void test_taker_alone_before_commit(void **state)
{
	static const struct {
		enum ha_peer peer;
		uint8_t owner;
		enum ha_phase after;
	} rows[] = {
		{PEER_UNPROVEN, 0, PHASE_IDLE},
		{PEER_UNSEEN, 0, PHASE_IDLE},
		{PEER_DEAD, 0, PHASE_PREPARING},
		{PEER_UNPROVEN, 2, PHASE_LOST},
		{PEER_UNSEEN, 2, PHASE_LOST},
		{PEER_DEAD, 2, PHASE_PREPARING},
	};
	struct sim *sim = sim_pair(1, 0);
	struct machine *m = sim->node[1].m;
	struct ha_group *g = &m->groups[0];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message lost = {.type = MESSAGE_NONE, .sender = 2};

		arrange(sim, g, PHASE_PREPARING);
		g->owner = rows[i].owner;
		g->was_lost = rows[i].owner != 0; /* it was lost, came back, and is lost again */
		g->target = 1;
		g->waiting = HA_BIT(2);
		m->sync = HA_BIT(1);
		m->peer = rows[i].peer;
		group_deliver(m, g, &lost);
		assert_int_equal(g->phase, rows[i].after);
		assert_int_equal(g->waiting, 0);
		assert_int_equal(g->top, 5); /* the next PREPARE has another epoch */
	}
	m->sync = HA_ALL_CONTROLLERS;
	sim_free(sim);
}

/* The same, stale: with an epoch too low nothing has an effect in any phase. */
static void test_stale(void **state)
{
	struct sim *sim = sim_pair(1, 0);
	struct machine *m = sim->node[1].m;
	struct ha_group *g = &m->groups[0];

	for (int phase = 0; phase < PHASE_COUNT; phase++) {
		for (int type = MESSAGE_PREPARE; type < MESSAGE_MOVE; type++) {
			struct message msg = {.type = (enum message_type)type,
				.sender = 2,
				.controller = 1,
				.epoch = 3};
			struct ha_group before;

			arrange(sim, g, (enum ha_phase)phase);
			g->waiting = HA_BIT(2);
			before = *g;
			group_deliver(m, g, &msg);
			assert_memory_equal(&before, g, sizeof(before));
		}
	}
	sim_free(sim);
}

/* Only the one whose move it is. */
static void test_wrong_sender(void **state)
{
	static const struct {
		enum ha_phase phase;
		enum message_type type;
	} rows[] = {
		{PHASE_SERVING, MESSAGE_RELEASED},
		{PHASE_PREPARING, MESSAGE_COMMIT},
		{PHASE_COMMITTING, MESSAGE_READY},
		{PHASE_TAKING, MESSAGE_READY},
		{PHASE_TAKING, MESSAGE_RELEASED},
	};
	struct sim *sim = sim_pair(1, 0);
	struct machine *m = sim->node[1].m;
	struct ha_group *g = &m->groups[0];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message msg = {.type = rows[i].type, .sender = 1};

		arrange(sim, g, rows[i].phase);
		msg.epoch = current(msg.type, g);
		group_deliver(m, g, &msg);
		assert_int_equal(g->phase, rows[i].phase);
	}
	/* COMMIT before everyone has let go. */
	arrange(sim, g, PHASE_PREPARING);
	g->waiting = HA_BIT(1);
	group_deliver(m, g, &(struct message){.type = MESSAGE_COMMIT, .sender = 2, .epoch = 5});
	assert_int_equal(g->phase, PHASE_PREPARING);
	sim_free(sim);
}

/* Messages of strangers and of former lives do not even get that far. */
static void test_dropped(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	struct machine *m = sim->node[1].m;
	struct message msg = {.type = MESSAGE_PREPARE, .sender = 2, .epoch = 99};

	msg.incarnation = m->incarnations[2] + 1;
	machine_deliver(m, &msg);
	assert_int_equal(m->dropped, 1);
	msg.incarnation = m->incarnations[2];
	msg.group = SIM_GROUPS;
	machine_deliver(m, &msg);
	assert_int_equal(m->dropped, 2);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	msg.group = 0;
	machine_deliver(m, &msg);
	assert_int_equal(m->dropped, 3);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL);
	sim_free(sim);
}

/* The disk has given our write key to another: held at once, drained, let go, and said so. */
static void test_key_lost(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	uint64_t epoch = sim_group(sim, 1, 0)->epoch;
	int result;

	machine_key_lost(sim->node[1].m, 0);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_HELD);
	sim_run(sim);
	assert_false(sim->node[1].claimed[0]);
	assert_int_equal(sim_group(sim, 1, 0)->phase, PHASE_IDLE);
	assert_int_equal(sim_group(sim, 2, 0)->owner, 0);
	machine_key_lost(sim->node[1].m, 0); /* owns nothing: nothing to lose */
	assert_int_equal(sim_group(sim, 1, 0)->phase, PHASE_IDLE);
	sim_promote(sim, 2, 0, &result);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_LOCAL);
	assert_true(sim_group(sim, 2, 0)->epoch > epoch);
	sim_free(sim);
}

/* Invariant I2: the owner says DRAINED only when the epoch that it made way for is on its disk. */
static void test_drained_waits_for_the_disk(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	struct ha_group *g = sim_group(sim, 1, 0);
	int result;

	sim_promote(sim, 2, 0, &result);
	sim_run_without(sim, WORK_SAVE);
	assert_int_equal(g->phase, PHASE_PREPARING);
	assert_false(sim->node[1].claimed[0]);
	assert_true(g->sent_drained < g->top);
	assert_true(sim->node[1].disk[0].top < g->top);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_true(sim->node[1].disk[0].epoch == g->epoch);
	sim_free(sim);
}

/* Invariant I1: what runs in the store of the old owner ends before it lets go of the extents. */
static void test_release_waits_for_the_store(void **state)
{
	struct sim *sim = sim_pair(1, 1);
	int result;

	sim_promote(sim, 2, 0, &result);
	sim_run_without(sim, WORK_DRAIN);
	assert_int_equal(sim_group(sim, 1, 0)->phase, PHASE_PREPARING);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_HELD);
	assert_true(sim->node[1].claimed[0]);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_LOCAL);
	sim_free(sim);
}

/* COMMIT is there and the disks take their time: the locks are taken, the extents are not. */
static void test_locks_before_the_claim(void **state)
{
	for (int fails = 0; fails < 2; fails++) {
		struct sim *sim = sim_pair(1, 1);
		struct sim_node *taker = &sim->node[2];
		int result;

		sim_promote(sim, 2, 0, &result);
		sim_run_without(sim, WORK_SAVE);
		assert_false(taker->locked[0]);
		assert_int_equal(sim->node[1].jobs[0].work, WORK_SAVE);
		sim_job_do(&sim->node[1], 0);
		sim_run_without(sim, WORK_SAVE);
		assert_int_equal(sim_group(sim, 2, 0)->phase, PHASE_COMMITTING);
		assert_true(taker->locked[0]);
		assert_false(taker->claimed[0]);
		assert_false(sim->node[1].locked[0]);
		taker->save_err = fails ? -5 : 0;
		sim_run(sim);
		assert_false(taker->locked[0]);
		assert_int_equal(taker->claimed[0], !fails);
		assert_int_equal(result, fails ? HA_FAILED : HA_OK);
		sim_free(sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair),
		cmocka_unit_test(test_taker_alone_before_commit),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_wrong_sender),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_key_lost),
		cmocka_unit_test(test_drained_waits_for_the_disk),
		cmocka_unit_test(test_release_waits_for_the_store),
		cmocka_unit_test(test_locks_before_the_claim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
