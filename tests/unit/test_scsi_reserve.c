/* SPDX-License-Identifier: BSD-3-Clause */
/* RESERVE and RELEASE, 6 and 10, at both controllers (scsi_pair.h), and what ends a reservation. */
#include "scsi_pair.h"

static struct pair *pair;
static struct rig_task t;

static int setup(void **state)
{
	pair = pair_new();
	return 0;
}

static int teardown(void **state)
{
	pair_free(pair);
	return 0;
}

#define CONFLICT SCSI_RESERVATION_CONFLICT

static uint32_t command(unsigned host, uint8_t opcode)
{
	return pair_do(pair, &t, host, 0, RIG_CDB(opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0), NULL, 0);
}

static uint32_t reserve(unsigned host)
{
	return command(host, 0x16);
}

static uint32_t release(unsigned host)
{
	return command(host, 0x17);
}

static uint32_t read1(unsigned host)
{
	return pair_do(pair, &t, host, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
}

static void the_holder_alone_gets_through(void **state)
{
	static const struct {
		uint8_t cdb[16];
		bool passes;
	} rows[] = {
		{{0x00}, false},
		{{0x03, 0, 0, 0, 18}, true},
		{{0x12, 0, 0, 0, 255}, true},
		{{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 255}, true},
		{{0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 255}, true},
		{{0x1a, 0, 0x3f, 0, 255}, false},
		{{0x28, 0, 0, 0, 0, 0, 0, 0, 1}, false},
		{{0x35}, false},
		{{0x5e, 0, 0, 0, 0, 0, 0, 0, 255}, false},
	};

	assert_int_equal(reserve(B), SCSI_GOOD);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bool conflicts = !rows[i].passes;

		assert_int_equal(pair_do(pair, &t, B, 0, rows[i].cdb, sizeof(rows[i].cdb), NULL, 0),
			SCSI_GOOD);
		assert_int_equal(pair_do(pair, &t, A, 0, rows[i].cdb, sizeof(rows[i].cdb), NULL, 0),
			conflicts ? CONFLICT : SCSI_GOOD);
	}
	assert_int_equal(pair_pr(pair, A, 0, 0, 0, 1, 0), CONFLICT);
	assert_int_equal(pair_pr(pair, B, 0, 0, 0, 1, 0), CONFLICT);
	assert_int_equal(reserve(A), CONFLICT);
	assert_int_equal(command(A, 0x56), CONFLICT);
	assert_int_equal(command(B, 0x56), SCSI_GOOD); /* 10 and 6 are the same reservation */
	assert_int_equal(release(A), SCSI_GOOD); /* not its own: nothing happens */
	assert_int_equal(read1(A), CONFLICT);
	assert_int_equal(command(B, 0x57), SCSI_GOOD);
	assert_int_equal(read1(A), SCSI_GOOD);
	/* nobody is told */
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(pair_ua(pair, host), 0);
	}
	/* third parties and extents are not for us */
	assert_int_equal(
		pair_do(pair, &t, A, 0, RIG_CDB(0x16, 0x10, 0, 0, 0, 0), NULL, 0), 0x052400);
	assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0x56, 2, 0, 0, 0, 0, 0, 0, 8, 0), NULL, 0),
		0x052400);
}

static void beside_registrations_it_depends_on_the_type(void **state)
{
	assert_int_equal(pair_pr(pair, A, 0, 0, 0, 0xa1, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, B, 0, 0, 0, 0xb1, 0), SCSI_GOOD);
	assert_int_equal(reserve(A), CONFLICT);
	assert_int_equal(pair_pr(pair, A, 1, 1, 0xa1, 0, 0), SCSI_GOOD);
	assert_int_equal(reserve(A), SCSI_GOOD);
	assert_int_equal(release(A), SCSI_GOOD);
	assert_int_equal(reserve(B), CONFLICT);
	assert_int_equal(reserve(C), CONFLICT);
	assert_int_equal(pair_pr(pair, A, 2, 1, 0xa1, 0, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, A, 1, 5, 0xa1, 0, 0), SCSI_GOOD);
	assert_int_equal(reserve(B), SCSI_GOOD);
	assert_int_equal(release(C), CONFLICT);
	assert_false(pair_state(pair)->reserved);
}

static void the_end_of_its_session_ends_it(void **state)
{
	assert_int_equal(reserve(B), SCSI_GOOD);
	scsi_nexus_close(pair->nexus[A], NULL, NULL); /* another's does not */
	pair->nexus[A] = NULL;
	pair_run(pair);
	assert_int_equal(read1(C), CONFLICT);
	scsi_nexus_close(pair->nexus[B], NULL, NULL);
	pair->nexus[B] = NULL;
	pair_run(pair);
	assert_int_equal(read1(C), SCSI_GOOD);
	assert_false(pair_state(pair)->reserved);
}

/* The entry is refused while the group moves: tried again with the next view. */
static void the_end_of_a_session_is_not_forgotten_when_the_group_moves(void **state)
{
	assert_int_equal(reserve(C), SCSI_GOOD);
	pair->rigs[0]->ledger.outcome = LEDGER_AGAIN;
	scsi_nexus_close(pair->nexus[C], NULL, NULL);
	pair->nexus[C] = NULL;
	pair_run(pair);
	assert_true(pair_state(pair)->reserved);
	pair->rigs[0]->ledger.outcome = LEDGER_DONE;
	rig_publish(pair->rigs[0], 0, GROUP_LOCAL, 1, 2, 1);
	pair_run(pair);
	assert_false(pair_state(pair)->reserved);
	assert_int_equal(pair->rigs[0]->ledger.last_epoch, 2);
}

static void sessions_of_a_controller_that_is_gone_have_ended(void **state)
{
	struct group_view view = {.owner = 1,
		.preferred = 1,
		.epoch = 2,
		.table = 2,
		.access = GROUP_LOCAL,
		.tpg = {0, ALUA_OPTIMIZED, ALUA_UNAVAILABLE}};
	struct rig *rig = pair->rigs[0];
	const struct ledger_serve *serve = scsi_ledger_serve(rig->scsi);

	assert_int_equal(reserve(B), SCSI_GOOD);
	/* a move does not end it */
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	pair_run(pair);
	assert_true(pair_state(pair)->reserved);
	assert_false(serve->awaits_peer(serve->ctx));
	/* out of reach, it may be the one that goes on */
	view.unproven = true;
	rig->serve->publish(rig->serve->ctx, &view, NULL, NULL);
	pair_run(pair);
	assert_true(pair_state(pair)->reserved);
	assert_int_equal(pair_ua(pair, A), 0x062a06);
	assert_int_equal(read1(A), CONFLICT);
	assert_true(serve->awaits_peer(serve->ctx));
	view.unproven = false;
	rig->serve->publish(rig->serve->ctx, &view, NULL, NULL);
	pair_run(pair);
	assert_false(pair_state(pair)->reserved);
	assert_false(serve->awaits_peer(serve->ctx));
	/* should the session live on behind a cut link: it does not believe that it still holds it
	 */
	assert_int_equal(pair_ua(pair, B), 0x062a03);
	pair_calm(pair);
	assert_int_equal(read1(A), SCSI_GOOD);
}

/* Controller 2's daemon starts again, with the states of its journal, or of the other one. */
static void restart_with_states(bool replay)
{
	struct rig *ours = pair->rigs[1];
	const struct ledger_serve *from = scsi_ledger_serve(pair->rigs[0]->scsi), *to;
	uint8_t bytes[4096];
	int length = from->save(from->ctx, ours->extents[0].uuid, bytes, sizeof(bytes));

	assert_true(length > 0);
	pair->nexus[B] = NULL;
	rig_restart(ours);
	to = scsi_ledger_serve(ours->scsi);
	assert_int_equal(to->load(to->ctx, ours->extents[0].uuid, bytes, (size_t)length, false), 0);
	if (replay) {
		/* whatever comes after it, before anybody can log in */
		assert_int_equal(pair_pr(pair, A, 0, 0, 0, 0, 0), CONFLICT);
	}
	pair_run(pair);
	assert_true(pair_state(pair)->reserved);
	for (uint16_t group = 0; group < 2; group++) {
		rig_publish(ours, group, GROUP_HELD, 1, 1, 1);
	}
	assert_true(pair_state(pair)->reserved); /* it may not change anything yet */
	rig_publish(ours, 0, GROUP_REMOTE, 1, 1, 1);
	rig_publish(ours, 1, GROUP_REMOTE, 1, 1, 1);
	pair_run(pair);
	assert_false(pair_state(pair)->reserved);
	pair->nexus[B] = rig_nexus(ours, 0, "b", 0x201);
	pair_calm(pair);
}

/*
 * Its controller was gone and is back before the owner has said so: nobody has seen the session
 * end but the daemon that starts anew.
 */
static void the_sessions_of_a_former_life_have_ended(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(reserve(B), SCSI_GOOD);
		assert_int_equal(read1(A), CONFLICT);
		restart_with_states(i);
		assert_int_equal(read1(A), SCSI_GOOD);
	}
	/* what is reserved in this life stays, whatever is published */
	assert_int_equal(reserve(B), SCSI_GOOD);
	rig_publish(pair->rigs[1], 0, GROUP_REMOTE, 1, 1, 1);
	assert_true(pair_state(pair)->reserved);
	assert_int_equal(read1(B), SCSI_GOOD);
}

static void tmf_done(struct scsi_tmf *tmf)
{
	tmf->ref_tag++;
}

static void reset_go(unsigned host, enum scsi_tmf_function function)
{
	struct scsi_tmf tmf = {.nexus = pair->nexus[host],
		.reactor = pair->nexus[host]->core->reactor,
		.function = (uint8_t)function,
		.done = tmf_done};

	scsi_tmf_run(&tmf);
	pair_run(pair);
	assert_int_equal(tmf.ref_tag, 1);
	assert_int_equal(tmf.response, SCSI_TMF_COMPLETE);
}

static void resets_end_it_and_nothing_of_persistent_ones(void **state)
{
	static const enum scsi_tmf_function resets[] = {
		SCSI_TMF_LU_RESET, SCSI_TMF_TARGET_WARM_RESET};
	static const enum scsi_tmf_function others[] = {
		SCSI_TMF_ABORT_TASK_SET, SCSI_TMF_CLEAR_TASK_SET};

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(reserve(B), SCSI_GOOD);
		reset_go(A, others[i]);
		assert_true(pair_state(pair)->reserved);
		reset_go(A, resets[i]);
		assert_false(pair_state(pair)->reserved);
		pair_calm(pair);
		assert_int_equal(read1(C), SCSI_GOOD);
	}
	assert_int_equal(pair_pr(pair, B, 0, 0, 0, 0xb1, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, B, 1, 3, 0xb1, 0, 0), SCSI_GOOD);
	for (unsigned i = 0; i < 2; i++) {
		reset_go(A, others[i]);
		reset_go(A, resets[i]);
	}
	pair_calm(pair);
	assert_int_equal(pair_state(pair)->type, 3);
	assert_int_equal(read1(A), CONFLICT);
	assert_int_equal(read1(B), SCSI_GOOD);
}

/* A reset does not fail because its entry cannot be made durable; it is done and says so. */
static void a_reset_without_the_ledger_still_ends(void **state)
{
	assert_int_equal(reserve(B), SCSI_GOOD);
	pair->rigs[0]->ledger.outcome = LEDGER_FAILED;
	reset_go(A, SCSI_TMF_LU_RESET);
	assert_true(pair_state(pair)->reserved);
	pair->rigs[0]->ledger.outcome = LEDGER_DONE;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_holder_alone_gets_through),
		TEST(beside_registrations_it_depends_on_the_type),
		TEST(the_end_of_its_session_ends_it),
		TEST(the_end_of_a_session_is_not_forgotten_when_the_group_moves),
		TEST(sessions_of_a_controller_that_is_gone_have_ended),
		TEST(the_sessions_of_a_former_life_have_ended),
		TEST(resets_end_it_and_nothing_of_persistent_ones),
		TEST(a_reset_without_the_ledger_still_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
