/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MODE SELECT 6 and 10 at both controllers (scsi_pair.h), and what its fields do: D_SENSE, SWP and
 * TAS.
 */
#include <stdio.h>

#include "scsi_pair.h"

static struct pair *pair;
static struct rig_task t, u[2];

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

#define CONTROL_PAGE 0x0a, 0x0a, 0x20, 0x10

enum {
	D_SENSE = 0x04, /* bits where they stand in the page */
	SWP = 0x08,
	TAS = 0x40
};

static uint32_t select6(unsigned host, uint8_t flags, const void *list, uint32_t length)
{
	return pair_do(
		pair, &t, host, 0, RIG_CDB(0x15, flags, 0, 0, (uint8_t)length, 0), list, length);
}

static uint32_t control(unsigned host, uint8_t d_sense, uint8_t swp, uint8_t tas, uint8_t sp)
{
	const uint8_t list[16] = {
		0, 0, 0, 0, 0x0a, 0x0a, (uint8_t)(0x20 | d_sense), 0x10, swp, tas};

	return select6(host, (uint8_t)(0x10 | sp), list, 16);
}

/* Bytes 2, 4 and 5 of the control page. */
static void assert_control(
	unsigned host, uint8_t page_control, uint8_t byte2, uint8_t byte4, uint8_t byte5)
{
	assert_int_equal(
		pair_do(pair, &t, host, 0,
			RIG_CDB(0x1a, 8, (uint8_t)(page_control << 6 | 0x0a), 0, 255, 0), NULL, 0),
		SCSI_GOOD);
	assert_int_equal(t.in_length, 16);
	assert_int_equal(t.in[4], 0x8a);
	assert_int_equal(t.in[6], byte2);
	assert_int_equal(t.in[8], byte4);
	assert_int_equal(t.in[9], byte5);
}

static void what_is_selected_is_sensed_at_both_controllers(void **state)
{
	assert_int_equal(control(B, 0, 0, TAS, 0), SCSI_GOOD);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(pair_ua(pair, host), host == B ? 0 : 0x062a01);
		assert_int_equal(pair_ua(pair, host), 0);
		assert_control(host, 0, 0x20, 0, TAS);
		assert_control(host, 1, D_SENSE, SWP, TAS);
		assert_control(host, 2, 0x20, 0, 0);
		assert_control(host, 3, 0x20, 0, 0);
	}
	/* nothing changes: nobody is told; saved */
	assert_int_equal(control(A, 0, 0, TAS, 1), SCSI_GOOD);
	assert_int_equal(pair_ua(pair, B), 0);
	assert_control(C, 3, 0x20, 0, TAS);
}

static void the_ten_byte_form_with_block_descriptors(void **state)
{
	uint8_t list[8 + 16 + 12] = {0, 0, 0, 0, 1, 0, 0, 16};

	be32_put(list + 8 + 12, 512);
	memcpy(list + 24, (const uint8_t[]){CONTROL_PAGE, SWP}, 5);
	assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 36, 0), list,
				 sizeof(list)),
		SCSI_GOOD);
	assert_control(A, 0, 0x20, SWP, 0);
	be64_put(list + 8, RIG_BYTES / 512);
	list[24 + 4] = 0;
	assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 36, 0), list,
				 sizeof(list)),
		SCSI_GOOD);
	assert_control(A, 0, 0x20, 0, 0);
	/* another size */
	be64_put(list + 8, 5);
	assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 36, 0), list,
				 sizeof(list)),
		0x052600);
	assert_int_equal(be16_get(t.sense + 16), 8);
	be64_put(list + 8, 0);
	be32_put(list + 8 + 12, 4096);
	assert_int_equal(pair_do(pair, &t, A, 0, RIG_CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 36, 0), list,
				 sizeof(list)),
		0x052600);
	assert_int_equal(be16_get(t.sense + 16), 20);
}

static void lists_that_are_wrong_change_nothing(void **state)
{
	static const struct {
		uint8_t list[32];
		uint8_t length;
		uint32_t outcome;
		int pointer; /* -1: none */
		int bit;
	} rows[] = {
		{{0}, 3, 0x051a00, -1, 0}, /* half a header */
		{{0, 0, 0, 0, 0x0a}, 5, 0x051a00, -1, 0}, /* half a page */
		{{0, 0, 0, 0, CONTROL_PAGE, SWP}, 15, 0x051a00, -1, 0},
		{{0, 5, 0, 0, CONTROL_PAGE, SWP}, 16, 0x052600, 1, -1}, /* medium type */
		{{0, 0, 0, 4, 0, 0, 0, 0}, 8, 0x052600, 3, -1}, /* half a descriptor */
		{{0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 16, 0}, 12, 0x052600, 9, -1}, /* 4096 bytes */
		{{0, 0, 0, 8, 0, 0}, 6, 0x051a00, -1, 0},
		{{0, 0, 0, 0, 0x0b, 0x0a}, 16, 0x052600, 4, 5}, /* no such page */
		{{0, 0, 0, 0, 0x4a, 0x0a}, 16, 0x052600, 4, 6}, /* nor a subpage */
		{{0, 0, 0, 0, 0x0a, 0x0b, 0x20, 0x10}, 17, 0x052600, 5, -1}, /* page length */
		{{0, 0, 0, 0, 0x0a, 0x0a, 0x40, 0x10}, 16, 0x052600, 6, 6}, /* TST */
		{{0, 0, 0, 0, 0x0a, 0x0a, 0x20, 0x00}, 16, 0x052600, 7, 4}, /* reordering */
		{{0, 0, 0, 0, CONTROL_PAGE, 0x18}, 16, 0x052600, 8, 4}, /* UA_INTLCK */
		{{0, 0, 0, 0, 0x08, 0x12, 0x04}, 24, 0x052600, 6,
			2}, /* WCE, where there is no cache */
		/* one good page does not help when the next one is bad */
		{{0, 0, 0, 0, CONTROL_PAGE, SWP, 0, 0, 0, 0, 0, 0, 0, 0x1c, 0x0a}, 28, 0x052600, 18,
			3},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(
			select6(i % HOSTS, 0x10, rows[i].list, rows[i].length), rows[i].outcome);
		if (rows[i].pointer >= 0) {
			assert_int_equal(be16_get(t.sense + 16), rows[i].pointer);
			assert_int_equal(t.sense[15], rows[i].bit < 0 ? 0x80 : 0x88 | rows[i].bit);
		}
	}
	assert_int_equal(select6(A, 0, rows[14].list, 16), 0x052400); /* PF */
	assert_int_equal(t.sense[15], 0xcc);
	assert_int_equal(
		pair_do(pair, &t, A, 0, RIG_CDB(0x55, 0x10, 0, 0, 0, 0, 0, 9, 0, 0), NULL, 0),
		0x051a00);
	assert_true(scsi_state_is_clear(pair_state(pair)));
	/* nothing to select is no error */
	assert_int_equal(select6(A, 0x10, NULL, 0), SCSI_GOOD);
	assert_int_equal(select6(A, 0, NULL, 0), SCSI_GOOD);
	assert_int_equal(select6(A, 0x10, (const uint8_t[4]){0}, 4), SCSI_GOOD);
	assert_int_equal(pair->rigs[0]->ledger.submitted, 0);
}

static void a_page_as_it_was_sensed_can_be_selected(void **state)
{
	static const uint8_t pages[] = {0x01, 0x08, 0x0a, 0x1c, 0x3f};
	uint8_t list[128];

	for (unsigned i = 0; i < sizeof(pages); i++) {
		assert_int_equal(
			pair_do(pair, &t, B, 0, RIG_CDB(0x1a, 0, pages[i], 0, 255, 0), NULL, 0),
			SCSI_GOOD);
		assert_true(t.in_length <= sizeof(list));
		memcpy(list, t.in, t.in_length);
		assert_int_equal(select6(B, 0x11, list, t.in_length), SCSI_GOOD);
	}
	assert_int_equal(pair_ua(pair, A), 0);
}

static void a_reservation_forbids_it(void **state)
{
	assert_int_equal(pair_pr(pair, A, 0, 0, 0, 0xa1, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, A, 1, 1, 0xa1, 0, 0), SCSI_GOOD);
	assert_int_equal(control(B, 0, SWP, 0, 0), SCSI_RESERVATION_CONFLICT);
	/* also with a list that is wrong */
	assert_int_equal(select6(B, 0x10, (const uint8_t[4]){0, 9}, 4), SCSI_RESERVATION_CONFLICT);
	assert_int_equal(control(A, 0, SWP, 0, 0), SCSI_GOOD);
}

/* ----- what the fields do --------------------------------------------------------------------- */

/* Runs a command whose sense data need not be in fixed format. */
static void told(
	unsigned host, const uint8_t *cdb, unsigned length, const void *out, uint32_t out_length)
{
	pair_start(pair, &t, host, 0, cdb, length, out, out_length);
	pair_run(pair);
	assert_int_equal(t.dones, 1);
	assert_int_equal(t.status, SCSI_CHECK_CONDITION);
}

static void d_sense_makes_descriptors(void **state)
{
	assert_int_equal(control(A, D_SENSE, 0, 0, 0), SCSI_GOOD);
	for (unsigned host = 0; host < HOSTS; host++) {
		/* UA 2A/01 itself is in fixed format, always */
		assert_int_equal(pair_ua(pair, host), host == A ? 0 : 0x062a01);
		/* a field pointer; refused at the ingress */
		told(host, RIG_CDB(0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
		rig_assert_hex(
			t.sense, t.sense_length, "72 05 24 00 00 00 00 08 02 06 00 00 cd 00 01 00");
		/* without one */
		told(host, RIG_CDB(0x28, 0, 0xff, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
		rig_assert_hex(t.sense, t.sense_length, "72 05 21 00 00 00 00 00");
		/* at the owner, with INFORMATION: a miscompare at byte 3 */
		{
			uint8_t block[512] = {0};

			block[3] = 1;
			told(host, RIG_CDB(0x2f, 2, 0, 0, 0, 0, 0, 0, 1, 0), block, 512);
		}
		rig_assert_hex(t.sense, t.sense_length,
			"72 0e 1d 00 00 00 00 0c 00 0a 80 00 00 00 00 00 00 00 00 03");
	}
	/* another LU is as it was */
	pair_do(pair, &t, A, 1, RIG_CDB(0x28, 0, 0xff, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
	assert_int_equal(t.sense[0], 0x70);
	/* a new nexus gets its 29/00 in fixed format */
	scsi_nexus_close(pair->nexus[C], NULL, NULL);
	pair->nexus[C] = rig_nexus(pair->rigs[0], 1, "c", 0x102);
	assert_int_equal(pair_ua(pair, C), 0x062900);
	assert_int_equal(t.sense[0], 0x70);
	assert_int_equal(control(B, 0, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(
		pair_do(pair, &t, B, 0, RIG_CDB(0x28, 0, 0xff, 0, 0, 0, 0, 0, 1, 0), NULL, 0),
		0x052100);
}

static void swp_protects_the_medium(void **state)
{
	static const uint8_t block[512];

	assert_int_equal(control(B, 0, SWP, 0, 0), SCSI_GOOD);
	pair_calm(pair);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(pair_do(pair, &t, host, 0,
					 RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), block, 512),
			0x072700);
		assert_int_equal(pair_do(pair, &t, host, 0,
					 RIG_CDB(0x93, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0),
					 NULL, 0),
			0x072700);
		assert_int_equal(pair_do(pair, &t, host, 0,
					 RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0),
			SCSI_GOOD);
		assert_int_equal(
			pair_do(pair, &t, host, 0, RIG_CDB(0x1a, 8, 0x3f, 0, 255, 0), NULL, 0),
			SCSI_GOOD);
		assert_int_equal(t.in[2], 0x90); /* WP */
	}
	assert_int_equal(rig_store.writes, 0);
	assert_int_equal(control(C, 0, 0, 0, 0), SCSI_GOOD);
	pair_calm(pair);
	assert_int_equal(
		pair_do(pair, &t, A, 0, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), block, 512),
		SCSI_GOOD);
}

static void tmf_done(struct scsi_tmf *tmf)
{
	tmf->ref_tag++;
}

/* LU RESET by A while B and C have a read in the store. */
static void reset_with_tasks(bool tas)
{
	struct scsi_tmf tmf = {.nexus = pair->nexus[A],
		.reactor = pair->nexus[A]->core->reactor,
		.function = SCSI_TMF_LU_RESET,
		.done = tmf_done};

	assert_int_equal(control(A, 0, 0, tas ? TAS : 0, 1), SCSI_GOOD);
	pair_calm(pair);
	rig_store.wait = true;
	pair_start(pair, &t, A, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
	pair_start(pair, &u[0], B, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
	pair_start(pair, &u[1], C, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
	pair_run(pair);
	scsi_tmf_run(&tmf);
	pair_run(pair);
	rig_store_run();
	pair_run(pair);
	rig_store.wait = false;
	assert_int_equal(tmf.ref_tag, 1);
	assert_true(t.aborted); /* its own: never told */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(u[i].dones, 1);
		assert_int_equal(u[i].aborted, !tas);
		assert_int_equal(u[i].status, SCSI_TASK_ABORTED);
	}
	pair_calm(pair);
}

static void tas_tells_other_nexuses_of_aborted_tasks(void **state)
{
	reset_with_tasks(false);
	reset_with_tasks(true);
}

static void count(void *arg)
{
	++*(unsigned *)arg;
}

/* B's write is on its way to the owner, which TAS counts at, and nothing is carried any more. */
static struct rig *write_to_a_lost_owner(void)
{
	static const uint8_t block[512];

	assert_int_equal(control(A, 0, 0, TAS, 0), SCSI_GOOD);
	pair_calm(pair);
	pair->cut = true;
	pair_start(pair, &u[0], B, 0, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), block, 512);
	rig_run(pair->rigs[1]);
	return pair->rigs[1];
}

static void comes_back_adrift(struct rig *rig)
{
	u[0].task.rerun = u[0].task.adrift = true;
	rig->serve->task_shipped(rig->serve->ctx, &u[0].task, SHIP_AGAIN);
	rig_run(rig);
	assert_int_equal(u[0].dones, 0);
}

static void a_resets_the_lu(struct rig *rig, unsigned *done)
{
	rig->serve->tmf_peer(rig->serve->ctx, rig->reactors[0], SCSI_TMF_LU_RESET,
		rig->extents[0].uuid, &pair->nexus[A]->who, count, done);
	rig_run(rig);
	assert_int_equal(u[0].dones, 0);
}

/* Whoever had it has been fenced: B is told now, and the reset is over. */
static void told_when_served(struct rig *rig, uint64_t epoch, uint32_t table, unsigned *done)
{
	rig_publish(rig, 0, GROUP_HELD, 1, epoch, table);
	rig_run(rig);
	assert_int_equal(u[0].dones, 0);
	assert_int_equal(*done, 0);
	rig_publish(rig, 0, GROUP_LOCAL, 2, epoch + 1, table + 1);
	rig_run(rig);
	assert_int_equal(u[0].dones, 1);
	assert_int_equal(u[0].status, SCSI_TASK_ABORTED);
	assert_false(u[0].aborted);
	assert_int_equal(*done, 1);
	assert_int_equal(rig_store.writes, 0);
}

/*
 * B's write came back from an owner that is out of reach when A resets the LU. It may still run
 * there: B, told that it is over, would send it again by another path.
 */
static void tas_waits_for_a_lost_owner(void **state)
{
	struct rig *rig = write_to_a_lost_owner();
	unsigned done = 0;

	comes_back_adrift(rig);
	a_resets_the_lu(rig, &done);
	told_when_served(rig, 1, 2, &done);
}

static void tas_waits_for_an_owner_that_is_lost_later(void **state)
{
	struct rig *rig = write_to_a_lost_owner();
	unsigned done = 0;

	a_resets_the_lu(rig, &done);
	comes_back_adrift(rig);
	told_when_served(rig, 1, 2, &done);
}

/* The owner was back, had it once more, and is lost again: the view of before does not count. */
static void tas_waits_for_an_owner_that_is_lost_twice(void **state)
{
	struct rig *rig = write_to_a_lost_owner();
	unsigned done = 0;

	comes_back_adrift(rig);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 2);
	rig_publish(rig, 0, GROUP_REMOTE, 1, 1, 3);
	rig_run(rig);
	assert_int_equal(u[0].task.state, SCSI_TASK_SHIPPED);
	comes_back_adrift(rig);
	a_resets_the_lu(rig, &done);
	told_when_served(rig, 1, 4, &done);
}

/* The session has ended: nobody waits to be told. */
static void tas_of_a_session_that_ends(void **state)
{
	struct rig *rig = write_to_a_lost_owner();
	unsigned done = 0;

	comes_back_adrift(rig);
	a_resets_the_lu(rig, &done);
	scsi_nexus_close(pair->nexus[B], count, &done);
	pair->nexus[B] = NULL;
	rig_run(rig);
	assert_int_equal(u[0].dones, 1);
	assert_true(u[0].aborted);
	assert_int_equal(done, 2);
}

static void tas_and_preempt_and_abort(void **state)
{
	uint8_t list[24] = {0};

	assert_int_equal(control(A, 0, 0, TAS, 0), SCSI_GOOD);
	pair_calm(pair);
	for (unsigned i = 0; i < HOSTS; i++) {
		assert_int_equal(pair_pr(pair, i, 0, 0, 0, i == A ? 1 : 2, 0), SCSI_GOOD);
	}
	rig_store.wait = true;
	pair_start(pair, &u[0], B, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
	pair_start(pair, &u[1], C, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
	pair_run(pair);
	be64_put(list, 1);
	be64_put(list + 8, 2);
	pair_start(pair, &t, A, 0, RIG_CDB(0x5f, 5, 1, 0, 0, 0, 0, 0, 24, 0), list, 24);
	pair_run(pair);
	rig_store_run();
	pair_run(pair);
	rig_store.wait = false;
	assert_int_equal(t.status, SCSI_GOOD);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(u[i].dones, 1);
		assert_false(u[i].aborted);
		assert_int_equal(u[i].status, SCSI_TASK_ABORTED);
	}
	/* told by status: no 2F/00 */
	assert_int_equal(pair_ua(pair, B), 0x062a05);
	assert_int_equal(pair_ua(pair, C), 0x062a05);
	assert_int_equal(pair_ua(pair, B), 0);
}

static void a_reset_brings_the_saved_values_back(void **state)
{
	struct scsi_tmf tmf = {.nexus = pair->nexus[A],
		.reactor = pair->nexus[A]->core->reactor,
		.function = SCSI_TMF_LU_RESET,
		.done = tmf_done};

	assert_int_equal(control(A, 0, 0, TAS, 1), SCSI_GOOD);
	assert_int_equal(control(A, D_SENSE, SWP, 0, 0), SCSI_GOOD);
	scsi_tmf_run(&tmf);
	pair_run(pair);
	assert_int_equal(tmf.ref_tag, 1);
	pair_calm(pair);
	assert_control(B, 0, 0x20, 0, TAS);
	assert_control(A, 0, 0x20, 0, TAS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_selected_is_sensed_at_both_controllers),
		TEST(the_ten_byte_form_with_block_descriptors),
		TEST(lists_that_are_wrong_change_nothing),
		TEST(a_page_as_it_was_sensed_can_be_selected),
		TEST(a_reservation_forbids_it),
		TEST(d_sense_makes_descriptors),
		TEST(swp_protects_the_medium),
		TEST(tas_tells_other_nexuses_of_aborted_tasks),
		TEST(tas_waits_for_a_lost_owner),
		TEST(tas_waits_for_an_owner_that_is_lost_later),
		TEST(tas_waits_for_an_owner_that_is_lost_twice),
		TEST(tas_of_a_session_that_ends),
		TEST(tas_and_preempt_and_abort),
		TEST(a_reset_brings_the_saved_values_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
