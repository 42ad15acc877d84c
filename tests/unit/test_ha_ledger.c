/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The replicated ledger, two machines against each other: what was acknowledged is at both and on
 * both disks, whatever is lost at whatever step. The simulator checks every LEDGER_DONE when it
 * comes (submitted_done() in ha_sim.c) and, at rest, that everybody has all of these and nothing
 * that was refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ha_sim.h"

#define SEEDS 12

static bool steps(struct sim *sim, unsigned n)
{
	while (n--) {
		if (!sim_step(sim)) {
			return false;
		}
	}
	return true;
}

static void submit_some(struct sim *sim, uint8_t id, unsigned n)
{
	while (n--) {
		sim_submit(sim, id, 0);
	}
}

static void expect_all(struct sim *sim, int outcome)
{
	for (unsigned i = 0; i < sim->entry_count; i++) {
		assert_int_equal(sim->entries[i].outcome, outcome);
	}
}

/* The group is made to serve at `id`, after the fencing of the other if need be. */
static void serve_at(struct sim *sim, uint8_t id)
{
	int result = -1;

	for (int i = 0; i < 6 && (i == 0 || sim_access(sim, id, 0) != GROUP_LOCAL); i++) {
		sim_pass(sim, 500);
		sim_promote(sim, id, 0, &result);
		sim_pass(sim, 5000);
	}
	assert_int_equal(sim_access(sim, id, 0), GROUP_LOCAL);
}

static void come_back(struct sim *sim, uint8_t id)
{
	sim_boot(sim, id);
	sim_pass(sim, 3000);
	sim_link(sim, true);
	sim_start(sim, id, 0);
	sim_pass(sim, 1000);
	sim_check_entries(sim);
	assert_int_equal(sim->node[id].score[0], 500);
}

/* ----- one entry ---------------------------------------------------------------------------------
 */

/* I4: not done before it is published and on the disk at both; then once, with the result. */
static void test_done(void **state)
{
	for (uint8_t late = 1; late <= 4; late++) {
		struct sim *sim = sim_pair(late, 1);
		struct sim_submitted *a = sim_submit(sim, 1, 0), *b = sim_submit(sim, 1, 0);

		sim_run_late(sim, late);
		assert_int_equal(a->outcome, -1);
		assert_int_equal(b->outcome, -1);
		sim_run(sim);
		assert_int_equal(a->outcome, LEDGER_DONE);
		assert_int_equal(a->result, 1);
		assert_int_equal(b->outcome, LEDGER_DONE);
		assert_int_equal(b->result, 2);
		sim_check_entries(sim);
		sim_free(sim);
	}
}

/* Many at a time, from both: each waits its turn, nothing is lost, the order is one. */
static void test_many(void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct sim *sim = sim_pair(seed, 1);

		for (unsigned i = 0; i < SIM_ENTRIES; i++) {
			assert_non_null(sim_submit(sim, (uint8_t)(1 + i % 2), i % 2));
			steps(sim, sim_random(sim, 6));
		}
		assert_true(sim->node[1].m->ledger->flight <= HA_LEDGER_FLIGHT_MAX);
		sim_run(sim);
		expect_all(sim, LEDGER_DONE);
		assert_int_equal(sim->node[1].scsi.lus[0].count, SIM_ENTRIES / 2);
		sim_check_entries(sim);
		sim_free(sim);
	}
}

/* Bytes under way are bounded: the rest waits here and not in Corosync. */
static void big_done(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	*(unsigned *)arg += outcome == LEDGER_DONE;
}

static void test_flow(void **state)
{
	static uint8_t big[LEDGER_ENTRY_BYTES_MAX + 1];
	struct sim *sim = sim_pair(3, 1);
	struct ledger_entry entry = {.bytes = big, .length = LEDGER_ENTRY_BYTES_MAX};
	unsigned done = 0;

	entry.epoch = sim_group(sim, 1, 0)->epoch;
	for (unsigned i = 0; i < 20; i++) {
		machine_submit(sim->node[1].m, &entry, big_done, &done);
	}
	assert_int_equal(sim->node[1].outbox_count, HA_LEDGER_FLIGHT_BYTES / sizeof(big) + 1);
	sim_run(sim);
	assert_int_equal(done, 20);
	entry.length++;
	machine_submit(sim->node[1].m, &entry, big_done, &done);
	sim_run(sim);
	assert_int_equal(done, 20); /* refused */
	sim_free(sim);
}

/* ----- epochs
 * ------------------------------------------------------------------------------------- */

/* A handover at every step of an entry's way: applied before COMMIT or refused, the same at both.
 */
static void test_epochs(void **state)
{
	unsigned done = 0, again = 0;
	bool more = true;

	for (unsigned k = 0; more; k++) {
		more = false;
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 1);
			uint64_t epoch = sim_group(sim, 1, 0)->epoch;
			struct sim_submitted *e;
			int result;

			sim_demote(sim, 1, 0);
			sim_promote(sim, 2, 0, &result);
			more = steps(sim, k) || more;
			/* As admitted under the old epoch. */
			if (sim_group(sim, 1, 0)->epoch == epoch) {
				e = sim_submit(sim, 1, 0);
				sim_run(sim);
				done += e->outcome == LEDGER_DONE;
				again += e->outcome == LEDGER_AGAIN;
				assert_int_not_equal(e->outcome, -1);
			}
			sim_run(sim);
			assert_int_equal(result, HA_OK);
			sim_check_entries(sim);
			sim_free(sim);
		}
	}
	assert_true(done > 100 && again > 20);
}

/* Not in sync: refused at once. */
static void test_not_in_sync(void **state)
{
	struct sim *sim = sim_new(1);
	struct sim_submitted *e;

	sim_boot(sim, 1);
	e = sim_submit(sim, 1, 0);
	assert_int_equal(e->outcome, LEDGER_AGAIN);
	sim_free(sim);
}

/* ----- losses
 * ------------------------------------------------------------------------------------- */

/* Either controller is lost, either way, after every step of three entries, and comes back. */
static void loss(uint8_t victim, enum machine_left how)
{
	uint8_t survivor = victim == 1 ? 2 : 1;
	bool more = true;

	for (unsigned k = 0; more; k++) {
		more = false;
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 1);

			submit_some(sim, 1, 3);
			more = steps(sim, k) || more;
			sim_kill(sim, victim, how);
			sim_run(sim);
			serve_at(sim, survivor);
			if (victim == 2) {
				expect_all(sim, LEDGER_DONE);
			}
			submit_some(sim, survivor, 2);
			sim_run(sim);
			for (unsigned i = 3; i < 5; i++) {
				assert_int_equal(sim->entries[i].outcome, LEDGER_DONE);
			}
			come_back(sim, victim);
			submit_some(sim, survivor, 1);
			sim_run(sim);
			assert_int_equal(sim->entries[5].outcome, LEDGER_DONE);
			sim_check_entries(sim);
			sim_free(sim);
		}
	}
}

static void test_owner_dies(void **state)
{
	loss(1, LEFT_PROCESS);
}

static void test_owner_node_lost(void **state)
{
	loss(1, LEFT_NODE);
}

static void test_other_dies(void **state)
{
	loss(2, LEFT_PROCESS);
}

static void test_other_node_lost(void **state)
{
	loss(2, LEFT_NODE);
}

/*
 * The links are cut after every step. While nobody knows whether the other lives nothing is
 * acknowledged; then one is fenced and comes back.
 */
static void split(uint8_t fenced)
{
	uint8_t survivor = fenced == 1 ? 2 : 1;
	bool more = true;

	for (unsigned k = 0; more; k++) {
		more = false;
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 1);
			struct sim_submitted *e;

			submit_some(sim, 1, 2);
			more = steps(sim, k) || more;
			sim_split(sim);
			sim_run(sim);
			e = sim_submit(sim, 1, 0);
			sim_submit(sim, 2, 1);
			sim_pass(sim, 3000);
			assert_int_equal(e->outcome, -1);
			assert_int_equal(sim->entries[3].outcome, -1);
			sim_kill(sim, fenced, LEFT_NODE);
			serve_at(sim, survivor);
			if (survivor == 1) {
				assert_int_equal(e->outcome, LEDGER_DONE);
			}
			sim_heal(sim);
			come_back(sim, fenced);
			sim_free(sim);
		}
	}
}

static void test_split_owner_fenced(void **state)
{
	split(1);
}

static void test_split_other_fenced(void **state)
{
	split(2);
}

/* The links come back and nobody was fenced: one history counts, the other's entries run again. */
static void test_split_healed(void **state)
{
	unsigned done = 0, again = 0;

	for (unsigned k = 0; k < 40; k++) {
		for (uint64_t seed = 1; seed <= 20; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 1);

			submit_some(sim, 1, 2);
			steps(sim, k);
			sim_split(sim);
			steps(sim, sim_random(sim, 40));
			submit_some(sim, 1, sim_random(sim, 3));
			submit_some(sim, 2, sim_random(sim, 4));
			steps(sim, sim_random(sim, 60));
			sim_heal(sim);
			steps(sim, sim_random(sim, 40));
			submit_some(sim, 1, 1);
			sim_pass(sim, 3000);
			for (unsigned i = 0; i < sim->entry_count; i++) {
				done += sim->entries[i].outcome == LEDGER_DONE;
				again += sim->entries[i].outcome == LEDGER_AGAIN;
				assert_int_not_equal(sim->entries[i].outcome, -1);
			}
			sim_check_entries(sim);
			sim_free(sim);
		}
	}
	assert_true(done > 1000 && again > 300);
}

/*
 * A controller that is fenced while its journal holds entries nobody acknowledged, more of them
 * than the survivor has: its journal never counts again, not even when both start anew.
 */
static void test_unacknowledged_never_wins(void **state)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct sim *sim = sim_pair(seed, 1);
		struct sim_submitted *kept;

		sim_split(sim);
		sim_run(sim);
		submit_some(sim, 2, 5); /* under an epoch that is good there */
		kept = sim_submit(sim, 1, 0);
		sim_run(sim);
		assert_int_equal(sim->node[2].journal.lus[0].count, 5);
		sim_kill(sim, 2, LEFT_NODE);
		sim_pass(sim, 3000);
		assert_int_equal(kept->outcome, LEDGER_DONE);
		sim_kill(sim, 1, LEFT_NODE);
		sim_heal(sim);
		sim_boot(sim, 2);
		sim_boot(sim, 1);
		sim_pass(sim, 3000);
		sim_check_entries(sim);
		assert_int_equal(sim->node[2].scsi.lus[0].count, 1);
		sim_free(sim);
	}
}

/* ----- joining
 * ------------------------------------------------------------------------------------- */

/* Entries go on while a joiner gets the snapshot; the owner is lost after every step of that. */
static void join(bool lost, enum machine_left how)
{
	bool more = true;

	for (unsigned k = 0; more; k++) {
		more = false;
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 1);

			sim_submit(sim, 1, 0);
			sim_submit(sim, 1, 1);
			submit_some(sim, 1, 1);
			sim_run(sim);
			sim_kill(sim, 2, LEFT_PROCESS);
			submit_some(sim, 1, 3);
			sim_run(sim);
			sim_boot(sim, 2);
			for (unsigned i = 0; i < k; i++) {
				if (i % 5 == 0) {
					sim_submit(sim, 1, 0);
				}
				more = sim_step(sim) || more;
			}
			assert_int_equal(sim->node[2].readies, machine_in_sync(sim->node[2].m));
			if (lost) {
				sim_kill(sim, 1, how);
				sim_pass(sim, 3000);
				sim_boot(sim, 1);
			}
			sim_pass(sim, 4000);
			if (!lost) {
				expect_all(sim, LEDGER_DONE);
			}
			sim_check_entries(sim);
			sim_free(sim);
		}
		more = more && k < 120;
	}
}

static void test_join(void **state)
{
	join(false, LEFT_PROCESS);
}

static void test_join_owner_dies(void **state)
{
	join(true, LEFT_PROCESS);
}

static void test_join_owner_node_lost(void **state)
{
	join(true, LEFT_NODE);
}

/* Whoever has not got the states is not ready, has no score, and does not begin with old ones. */
static void test_behind(void **state)
{
	struct sim *sim = sim_pair(9, 1);
	struct sim_submitted *e;

	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	e = sim_submit(sim, 1, 0);
	sim_run(sim);
	assert_int_equal(e->outcome, LEDGER_DONE);
	sim->node[2].score[0] = -1;
	sim_boot(sim, 2);
	while (!sim->node[1].m->ledger->sending) {
		assert_true(sim_step(sim));
	}
	sim_kill(sim, 1, LEFT_PROCESS);
	sim_pass(sim, 5000);
	sim_start(sim, 2, 0);
	sim_pass(sim, 5000);
	assert_false(machine_in_sync(sim->node[2].m));
	assert_int_equal(sim->node[2].readies, 0);
	assert_int_equal(sim->node[2].score[0], -1);
	sim_boot(sim, 1);
	sim_pass(sim, 2000);
	sim_check_entries(sim);
	assert_int_equal(sim->node[2].scsi.lus[0].count, 1);
	sim_free(sim);
}

/* Nothing has changed meanwhile: no snapshot is needed. */
static void test_same(void **state)
{
	struct sim *sim = sim_pair(9, 1);
	unsigned loads;

	submit_some(sim, 1, 2);
	sim_run(sim);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	sim_boot(sim, 2);
	loads = sim->node[2].scsi.loads;
	sim_run(sim);
	sim_check_entries(sim);
	assert_int_equal(sim->node[2].scsi.loads, loads);
	sim_free(sim);
}

/* ----- the array starts
 * ----------------------------------------------------------------------------- */

/* Both have lost power at every step of some entries: the longer journal counts, volatile goes. */
static void test_array_start(void **state)
{
	bool more = true;

	for (unsigned k = 0; more; k++) {
		more = false;
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_pair(seed * 1000 + k, 1);
			uint8_t first = (uint8_t)(1 + seed % 2);

			submit_some(sim, 1, 4);
			more = steps(sim, k) || more;
			sim->node[1].journal.lus[1].volatile_count = 3;
			sim_kill(sim, 1, LEFT_NODE);
			sim_kill(sim, 2, LEFT_NODE);
			sim_boot(sim, first);
			sim_run(sim);
			sim_boot(sim, first == 1 ? 2 : 1);
			sim_pass(sim, 3000);
			sim_check_entries(sim);
			assert_int_equal(sim->node[1].scsi.lus[1].volatile_count, 0);
			assert_int_equal(sim->node[2].scsi.lus[1].volatile_count, 0);
			assert_true(sim->node[1].scsi.colds + sim->node[2].scsi.colds > 0);
			serve_at(sim, 1);
			submit_some(sim, 1, 1);
			sim_run(sim);
			assert_int_equal(sim->entries[4].outcome, LEDGER_DONE);
			sim_check_entries(sim);
			sim_free(sim);
		}
	}
}

/*
 * One has acknowledged alone, then both lose power, and the daemon of the other starts first: it
 * does not begin with what it knows while the one that knows more can still come.
 */
static void test_stale_starts_first(void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct sim *sim = sim_pair(seed, 1);

		submit_some(sim, 1, 2);
		sim_run(sim);
		sim_kill(sim, 2, LEFT_NODE);
		sim_pass(sim, 2000);
		submit_some(sim, 1, 2);
		sim_run(sim);
		expect_all(sim, LEDGER_DONE);
		sim_kill(sim, 1, LEFT_NODE);
		sim_boot(sim, 2);
		/* Corosync is up at both, so there is quorum. */
		sim->node[2].seen = true;
		machine_quorum(sim->node[2].m, true);
		sim_pass(sim, 10000);
		assert_int_equal(sim->node[2].readies, 0);
		sim_boot(sim, 1);
		sim_pass(sim, 3000);
		sim_check_entries(sim);
		assert_int_equal(sim->node[2].scsi.lus[0].count, 4);
		sim_free(sim);
	}
}

/*
 * Whoever was alone begins at once; who was not, after a while, when nobody comes. An empty journal
 * makes no difference: the other may have gone on (a controller with one began at once, and what
 * the other had acknowledged was lost).
 */
static void test_begins_alone(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct sim *sim = sim_pair(4, 1);
		unsigned alone = i & 1, entries = i & 2;

		submit_some(sim, 1, entries);
		sim_run(sim);
		sim_kill(sim, 2, LEFT_PROCESS);
		if (alone) {
			sim_run(sim);
		}
		sim_kill(sim, 1, LEFT_PROCESS);
		sim_boot(sim, 1);
		sim_pass(sim, 1000);
		assert_int_equal(sim->node[1].readies, alone);
		assert_int_equal(machine_waits_for_peer(sim->node[1].m), !alone);
		sim_pass(sim, HA_LEDGER_WAIT_MS);
		assert_false(machine_waits_for_peer(sim->node[1].m));
		assert_int_equal(sim->node[1].readies, 1);
		assert_int_equal(sim->node[1].scsi.lus[0].count, entries);
		sim_free(sim);
	}
}

/* ----- differences
 * -------------------------------------------------------------------------------------- */

/* Entries that lead to other states: noticed at the first one, and who owns less begins anew. */
static void test_digest(void **state)
{
	for (uint8_t wrong = 1; wrong <= 2; wrong++) {
		struct sim *sim = sim_pair(7, 1);

		sim->node[wrong].scsi.wrong = true;
		sim_submit(sim, 1, 0);
		sim_run(sim);
		assert_true(sim->node[2].fatal);
		assert_false(sim->node[1].fatal);
		sim->node[1].scsi.wrong = false;
		sim_kill(sim, 2, LEFT_PROCESS);
		sim_run(sim);
		come_back(sim, 2);
		sim_free(sim);
	}
}

/* A snapshot whose bytes are not what was sent is not taken. */
static void test_snapshot_damaged(void **state)
{
	struct sim *sim = sim_pair(7, 1);
	struct sim_node *n = &sim->node[2];

	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	submit_some(sim, 1, 1);
	sim_run(sim);
	sim_boot(sim, 2);
	while (!sim->node[1].m->ledger->sending) {
		sim_step(sim);
	}
	while (sim->node[1].outbox_count) {
		sim_order(&sim->node[1]);
	}
	n->inbox[n->inbox_count - 1].bytes[n->inbox[n->inbox_count - 1].length - 1] ^= 1;
	sim_run(sim);
	assert_true(n->fatal);
	assert_int_equal(n->readies, 0);
	sim_free(sim);
}

/* A peer that has no ledger yet: the groups go on, entries are refused. */
static void test_old_peer(void **state)
{
	struct sim *sim = sim_new(3);
	int result;

	sim->node[2].old = true;
	sim_boot(sim, 1);
	sim_boot(sim, 2);
	sim_run(sim);
	sim_link(sim, true);
	sim_start(sim, 1, 0);
	sim_start(sim, 2, 0);
	sim_promote(sim, 1, 0, &result);
	sim_run(sim);
	assert_int_equal(result, HA_OK);
	assert_int_equal(sim_access(sim, 2, 0), GROUP_REMOTE);
	assert_int_equal(sim_submit(sim, 1, 0)->outcome, LEDGER_FAILED);
	/* It is updated. */
	sim_kill(sim, 2, LEFT_PROCESS);
	sim->node[2].old = false;
	sim_run(sim);
	come_back(sim, 2);
	sim_submit(sim, 1, 0);
	sim_run(sim);
	assert_int_equal(sim->entries[1].outcome, LEDGER_DONE);
	sim_check_entries(sim);
	sim_free(sim);
}

/* ----- anything, at any time
 * ------------------------------------------------------------------------------ */

static void chaos_step(struct sim *sim)
{
	uint8_t id = (uint8_t)(1 + sim_random(sim, 2));
	struct sim_node *n = &sim->node[id];
	uint16_t group = (uint16_t)sim_random(sim, SIM_GROUPS);

	switch (sim_random(sim, 12)) {
	case 0:
	case 1:
	case 2:
	case 3:
		/* Only the owner submits; what it takes itself for counts. */
		if (n->alive && !n->fatal && sim_access(sim, id, group) == GROUP_LOCAL) {
			sim_submit(sim, id, group);
		}
		break;
	case 4:
		if (n->alive) {
			sim_promote(sim, id, group, NULL);
		}
		break;
	case 5:
		if (n->alive) {
			sim_demote(sim, id, group);
		}
		break;
	case 6:
		/* The last one in sync stays: see "Beginning alone" in docs/ha.md. */
		if (sim->node[1].alive && sim->node[2].alive && !sim->split &&
			machine_has_peer(sim->node[1].m) && machine_has_peer(sim->node[2].m)) {
			sim_kill(sim, id, sim_random(sim, 2) ? LEFT_NODE : LEFT_PROCESS);
		}
		break;
	case 7:
	case 8:
		if (!n->alive && !sim->split) {
			sim_boot(sim, id);
		}
		break;
	case 9:
		if (sim->split || sim_random(sim, 3)) {
			sim_heal(sim);
		} else if (sim->node[1].alive && sim->node[2].alive) {
			sim_split(sim);
		}
		break;
	case 10:
		sim->now_ms += 700;
		for (uint8_t i = 1; i <= 2; i++) {
			if (sim->node[i].alive) {
				machine_tick(sim->node[i].m);
			}
		}
		break;
	case 11:
		n->journal_err = sim_random(sim, 4) ? 0 : -28;
		break;
	}
}

static void test_chaos(void **state)
{
	unsigned done = 0, repeated = 0;

	for (uint64_t seed = 1; seed <= 1500; seed++) {
		struct sim *sim = sim_pair(seed, (uint8_t)(1 + seed % 2));

		sim->may_repeat = true;
		for (int i = 0; i < 60; i++) {
			chaos_step(sim);
			steps(sim, sim_random(sim, 14));
		}
		sim_heal(sim);
		for (uint8_t i = 1; i <= 2; i++) {
			sim->node[i].journal_err = 0;
			if (!sim->node[i].alive) {
				sim_boot(sim, i);
			}
		}
		sim_pass(sim, 6000);
		sim_check_entries(sim);
		for (unsigned i = 0; i < sim->entry_count; i++) {
			done += sim->entries[i].outcome == LEDGER_DONE;
		}
		repeated += sim->repeated;
		sim_free(sim);
	}
	assert_true(done > 2000);
	assert_true(repeated < 5);
}

/* The disk of controller 1 is slow. */
static bool not_on_disk_1(struct sim_node *n, const struct sim_job *job)
{
	return n != &n->sim->node[1] || job->work != WORK_JOURNAL;
}

/*
 * One is alone, the other comes back, and the first loses power within moments. What the other
 * acknowledges then is not lost when both have lost power and the first starts first.
 */
static void test_alone_no_more(void **state)
{
	const struct sim_hooks slow = {.may = not_on_disk_1};
	bool seen_acknowledged = false;

	for (unsigned steps = 0; steps < 160; steps++) {
		struct sim *sim = sim_pair(1000 + steps, 1);
		struct sim_submitted *more;

		sim_kill(sim, 2, LEFT_NODE);
		sim_pass(sim, 2000);
		submit_some(sim, 1, 2);
		sim_run(sim);
		expect_all(sim, LEDGER_DONE);
		assert_false(sim->node[1].journal.paired);
		sim->hooks = steps & 1 ? &slow : NULL;
		sim_boot(sim, 2);
		for (unsigned i = 0; i < steps / 2 && sim_step(sim); i++) {
		}
		sim_kill(sim, 1, LEFT_NODE);
		sim->hooks = NULL;
		sim_pass(sim, 2000);
		more = machine_in_sync(sim->node[2].m) ? sim_submit(sim, 2, 0) : NULL;
		sim_pass(sim, 2000);
		seen_acknowledged = seen_acknowledged || (more && more->outcome == LEDGER_DONE);
		sim_kill(sim, 2, LEFT_NODE);
		sim_boot(sim, 1);
		sim->node[1].seen = true;
		machine_quorum(sim->node[1].m, true);
		sim_pass(sim, 10000);
		assert_true(!more || more->outcome != LEDGER_DONE || !sim->node[1].readies);
		sim_boot(sim, 2);
		sim_pass(sim, 3000);
		sim_check_entries(sim);
		sim_free(sim);
	}
	assert_true(seen_acknowledged);
}

/*
 * The daemon that knows more dies at any moment while the other joins: that one begins with all
 * that was acknowledged, or not before the first is back.
 */
static void test_donor_dies(void **state)
{
	bool seen_waiting = false, seen_ready = false;

	for (unsigned steps = 0; steps < 300; steps++) {
		struct sim *sim = sim_pair(2000 + steps, 1);

		sim_kill(sim, 2, LEFT_PROCESS);
		sim_run(sim);
		submit_some(sim, 1, 2);
		sim_run(sim);
		expect_all(sim, LEDGER_DONE);
		sim_boot(sim, 2);
		for (unsigned i = 0; i < steps / 10 && sim_step(sim); i++) {
		}
		sim_kill(sim, 1, LEFT_PROCESS);
		sim_pass(sim, 1000);
		assert_true(!sim->node[2].readies || sim->node[2].scsi.lus[0].count == 2);
		seen_ready = seen_ready || sim->node[2].readies;
		seen_waiting = seen_waiting || !sim->node[2].readies;
		sim_boot(sim, 1);
		sim_pass(sim, 3000);
		sim_check_entries(sim);
		sim_free(sim);
	}
	assert_true(seen_waiting && seen_ready);
}

/* The other one joins and is gone again before anything that was said about that has come back. */
static void test_gone_before_it_was_heard(void **state)
{
	for (unsigned steps = 0; steps < 12; steps++) {
		struct sim *sim = sim_pair(70 + steps, 1);

		sim_kill(sim, 2, LEFT_PROCESS);
		sim_run(sim);
		sim_boot(sim, 2);
		for (unsigned i = 0; i < steps && sim_step(sim); i++) {
		}
		sim_kill(sim, 2, LEFT_PROCESS);
		sim_run(sim);
		assert_false(sim->node[1].m->syncing);
		assert_true(machine_in_sync(sim->node[1].m));
		sim_free(sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_flow),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_not_in_sync),
		cmocka_unit_test(test_owner_dies),
		cmocka_unit_test(test_owner_node_lost),
		cmocka_unit_test(test_other_dies),
		cmocka_unit_test(test_other_node_lost),
		cmocka_unit_test(test_split_owner_fenced),
		cmocka_unit_test(test_split_other_fenced),
		cmocka_unit_test(test_split_healed),
		cmocka_unit_test(test_unacknowledged_never_wins),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_join_owner_dies),
		cmocka_unit_test(test_join_owner_node_lost),
		cmocka_unit_test(test_behind),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_array_start),
		cmocka_unit_test(test_stale_starts_first),
		cmocka_unit_test(test_begins_alone),
		cmocka_unit_test(test_alone_no_more),
		cmocka_unit_test(test_donor_dies),
		cmocka_unit_test(test_gone_before_it_was_heard),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_snapshot_damaged),
		cmocka_unit_test(test_old_peer),
		cmocka_unit_test(test_chaos),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
