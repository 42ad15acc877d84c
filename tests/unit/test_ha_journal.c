/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two machines whose journals cannot be written, or hang: what is refused, what is done all the
 * same, what waits, and how it ends. The simulator checks every LEDGER_DONE when it comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ha_sim.h"

static bool keeps_out(const struct sim *sim, uint8_t id)
{
	struct ledger_status status;

	machine_ledger_status(sim->node[id].m, &status);
	return status.keeps_out;
}

/* ----- that fail ------------------------------------------------------------------------------ */

/* The owner's: known, so that nothing more is taken; what was under way is done when it heals. */
static void test_journal_fails_here(void **state)
{
	struct sim *sim = sim_pair(5, 1);
	struct sim_submitted *first, *second;

	sim->node[1].journal_err = -28;
	first = sim_submit(sim, 1, 0);
	sim_run(sim);
	assert_int_equal(sim->node[1].m->ledger->err, -28);
	/* It is applied at both and on the other's disk. */
	assert_int_equal(first->outcome, LEDGER_DONE);
	assert_int_equal(sim->node[2].journal.lus[0].count, 1);
	second = sim_submit(sim, 1, 0);
	assert_int_equal(second->outcome, LEDGER_FAILED);
	sim_pass(sim, 3000);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL); /* I/O goes on */
	sim->node[1].journal_err = 0;
	sim_pass(sim, 3000);
	assert_int_equal(sim->node[1].m->ledger->err, 0);
	second = sim_submit(sim, 1, 0);
	sim_run(sim);
	assert_int_equal(second->outcome, LEDGER_DONE);
	sim_check_entries(sim);
	sim_free(sim);
}

/* The other's: it says so and is not waited for; it has no good score until it heals. */
static void test_journal_fails_there(void **state)
{
	struct sim *sim = sim_pair(5, 1);
	struct sim_submitted *e;

	sim->node[2].journal_err = -28;
	e = sim_submit(sim, 1, 0);
	sim_run(sim);
	assert_int_equal(e->outcome, LEDGER_DONE);
	assert_int_equal(sim->node[2].scsi.lus[0].count, 1);
	assert_int_equal(sim->node[2].journal.lus[0].count, 0);
	assert_int_equal(sim->node[2].score[0], 100);
	assert_int_equal(sim_submit(sim, 2, 1)->outcome, LEDGER_FAILED);
	sim->node[2].journal_err = 0;
	sim_pass(sim, 3000);
	assert_int_equal(sim->node[2].score[0], 500);
	sim_check_entries(sim);
	sim_free(sim);
}

/* Both, or the last one's: nobody has it on a disk, so nobody says that it is done. */
static void test_journal_fails_everywhere(void **state)
{
	struct sim *sim = sim_pair(5, 1);
	struct sim_submitted *e;

	sim->node[1].journal_err = sim->node[2].journal_err = -30;
	e = sim_submit(sim, 1, 0);
	sim_pass(sim, 5000);
	assert_int_equal(e->outcome, -1);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_pass(sim, 5000);
	assert_int_equal(e->outcome, -1);
	sim->node[1].journal_err = 0;
	sim_pass(sim, 3000);
	assert_int_equal(e->outcome, LEDGER_DONE);
	sim_free(sim);
}

/* A disk that fails is no better at the next start: the other is not kept waiting. */
static void test_journal_fails_at_a_join(void **state)
{
	struct sim *sim = sim_pair(5, 1);

	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	sim->node[1].journal_err = -5;
	sim_boot(sim, 2);
	sim_run(sim);
	assert_int_equal(sim->node[2].readies, 1);
	assert_true(machine_has_peer(sim->node[1].m));
	assert_false(keeps_out(sim, 1));
	sim_free(sim);
}

/*
 * The states as a whole cannot be written, then single entries can again: the states come once
 * more, nothing waits for ever.
 */
static void test_replacement_fails(void **state)
{
	struct sim *sim = sim_pair(9, 1);
	const struct ha_ledger *l;

	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	sim_submit(sim, 1, 0);
	sim_submit(sim, 1, 0);
	sim_run(sim);
	sim->node[2].journal_err = -28;
	sim_boot(sim, 2);
	sim_run(sim);
	l = sim->node[2].m->ledger;
	assert_int_equal(l->err, -28);
	assert_int_not_equal(l->replaced, l->replacing);
	sim->node[2].journal_err = 0;
	sim_submit(sim, 1, 0);
	sim_run(sim);
	assert_int_equal(l->err, 0);
	sim_pass(sim, 2000);
	assert_int_equal(l->replaced, l->replacing);
	for (unsigned i = 0; i < sim->entry_count; i++) {
		assert_int_equal(sim->entries[i].outcome, LEDGER_DONE);
	}
	sim_check_entries(sim);
	sim_free(sim);
}

/* ----- that hang ------------------------------------------------------------------------------ */

/* What journal_watch() finds: node `id`'s disk has not come back, what it was given is under way.
 */
static void disk_hangs(struct sim *sim, uint8_t id)
{
	struct sim_node *n = &sim->node[id];

	machine_journaled(n->m, n->journal.index, n->journal.replaced, JOURNAL_HANGS);
	sim_run_late(sim, id);
}

/*
 * The disk of the one that serves hangs, and the other joins: it has to wait, as its own entries
 * could be missed at the next start of this one, whose disk says that it was alone (a daemon of
 * each is killed: the simulator lost registrations). That is said, and what is served goes on.
 */
static void test_journal_hangs_at_a_join(void **state)
{
	struct sim *sim = sim_pair(5, 1);
	struct sim_submitted *e;

	sim_submit(sim, 1, 0);
	sim_submit(sim, 1, 0);
	sim_run(sim);
	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	assert_false(sim->node[1].journal.paired);
	sim_boot(sim, 2);
	sim_run_late(sim, 1);
	assert_false(keeps_out(sim, 1)); /* it is only slow */
	disk_hangs(sim, 1);
	assert_true(keeps_out(sim, 1));
	assert_int_equal(sim->node[2].readies, 0);
	assert_false(machine_has_peer(sim->node[1].m));
	assert_int_equal(sim_submit(sim, 1, 0)->outcome, LEDGER_FAILED);
	assert_int_equal(sim_access(sim, 1, 0), GROUP_LOCAL); /* I/O goes on */
	/* It comes back: what it was given then is there. */
	sim_run(sim);
	assert_int_equal(sim->node[1].m->ledger->err, 0);
	assert_true(sim->node[1].journal.paired);
	assert_int_equal(sim->node[2].readies, 1);
	assert_false(keeps_out(sim, 1));
	e = sim_submit(sim, 1, 0);
	sim_run(sim);
	assert_int_equal(e->outcome, LEDGER_DONE);
	sim_check_entries(sim);
	sim_free(sim);
}

/* An entry is under way when the other's disk hangs: done here alone, as with one that fails. */
static void test_journal_hangs_there(void **state)
{
	struct sim *sim = sim_pair(5, 1);
	struct sim_submitted *e = sim_submit(sim, 1, 0);

	sim_run_late(sim, 2);
	assert_int_equal(e->outcome, -1);
	assert_int_equal(sim->node[1].journal.lus[0].count, 1);
	assert_int_equal(sim->node[2].journal.lus[0].count, 0);
	disk_hangs(sim, 2);
	assert_int_equal(e->outcome, LEDGER_DONE);
	assert_int_equal(sim->node[2].score[0], 100);
	sim_run(sim);
	assert_int_equal(sim->node[2].journal.lus[0].count, 1);
	sim_pass(sim, 3000);
	assert_int_equal(sim->node[2].score[0], 500);
	sim_check_entries(sim);
	sim_free(sim);
}

/* The only one: nobody has it on a disk, so nobody says that it is done. */
static void test_journal_hangs_alone(void **state)
{
	struct sim *sim = sim_pair(5, 1);
	struct sim_submitted *e;

	sim_kill(sim, 2, LEFT_PROCESS);
	sim_run(sim);
	e = sim_submit(sim, 1, 0);
	sim_run_late(sim, 1);
	disk_hangs(sim, 1);
	assert_int_equal(sim->node[1].scsi.lus[0].count, 1);
	assert_int_equal(e->outcome, -1);
	sim_run(sim);
	assert_int_equal(e->outcome, LEDGER_DONE);
	sim_boot(sim, 2);
	sim_run(sim);
	sim_check_entries(sim);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_journal_fails_here),
		cmocka_unit_test(test_journal_fails_there),
		cmocka_unit_test(test_journal_fails_everywhere),
		cmocka_unit_test(test_journal_fails_at_a_join),
		cmocka_unit_test(test_replacement_fails),
		cmocka_unit_test(test_journal_hangs_at_a_join),
		cmocka_unit_test(test_journal_hangs_there),
		cmocka_unit_test(test_journal_hangs_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
