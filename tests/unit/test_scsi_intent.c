/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WRITE ATOMIC(16) where the extent can cut a write (LU 1, blocks of 4096 bytes): what is in the
 * ledger when, and what a new owner makes of it. rig_store is the disk that both share.
 */
#include <errno.h>

#include "scsi_pair.h"
#include "daemon/scsi/ledger.h"

#define LU	   1
#define BLOCK	   4096u
#define BLOCKS	   20u /* three parts in the ledger */
#define BYTES	   (BLOCKS * BLOCK)
#define BLOCKS_MAX 32u

static struct pair *pair;
static struct rig_task t, first, second;
static uint8_t data[(BLOCKS_MAX + 1) * BLOCK];

static int setup(void **state)
{
	pair = pair_new();
	for (unsigned i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i / 7);
	}
	return 0;
}

static int teardown(void **state)
{
	pair_free(pair);
	return 0;
}

static void go(struct rig_task *task, unsigned host, uint8_t lba, uint16_t blocks)
{
	uint8_t cdb[16] = {0x9c, 0, 0, 0, 0, 0, 0, 0, 0, lba};

	be16_put(cdb + 12, blocks);
	pair_start(pair, task, host, LU, cdb, 16, data, blocks * BLOCK);
}

static const struct scsi_intent *intent(unsigned controller)
{
	struct scsi *scsi = pair->rigs[controller]->scsi;

	return scsi_ledger_state(scsi, LU)->intent;
}

static bool disk_has(uint8_t lba, uint16_t blocks)
{
	return memcmp(rig_store.data[LU] + lba * BLOCK, data, blocks * BLOCK) == 0;
}

static bool disk_is_empty(void)
{
	return rig_store.data[LU][0] == 0 &&
	       memcmp(rig_store.data[LU], rig_store.data[LU] + 1, RIG_BYTES - 1) == 0;
}

static struct rig_ledger *ledger(void)
{
	return &pair->rigs[0]->ledger;
}

/* In the ledger, in place, out of the ledger, GOOD: each waits for the one before. */
static void the_order_of_things(void **state)
{
	ledger()->wait = true;
	rig_store.wait = true;
	go(&first, B, 3, BLOCKS);
	pair_run(pair);
	assert_int_equal(rig_store.writes, 0);
	assert_int_equal(rig_ledger_run(pair->rigs[0]), 3);
	pair_run(pair);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(intent(i)->have, BYTES);
		assert_memory_equal(intent(i)->data, data, BYTES);
	}
	assert_int_equal(rig_store.writes, 1);
	assert_int_equal(rig_store.fuas, 1);
	assert_true(disk_is_empty());
	rig_store_run();
	pair_run(pair);
	assert_true(disk_has(3, BLOCKS));
	assert_int_equal(first.dones, 0); /* a new owner would still write it again */
	assert_int_equal(rig_ledger_run(pair->rigs[0]), 1);
	pair_run(pair);
	assert_null(intent(0));
	assert_null(intent(1));
	assert_int_equal(first.dones, 1);
	assert_int_equal(rig_outcome(&first), SCSI_GOOD);
	ledger()->wait = false;
	rig_store.wait = false;
}

static void claimed(void *arg, int err)
{
	*(int *)arg = err;
}

/* The owner is gone; the other one claims the extents before it serves. What claim() came to. */
static int takeover(void)
{
	struct rig *other = pair->rigs[1];
	int err = 1;

	pair->cut = true;
	rig_publish(pair->rigs[0], 0, GROUP_HELD, 1, 1, 1);
	rig_publish(other, 0, GROUP_HELD, 1, 1, 1);
	other->serve->claim(other->serve->ctx, 0, 2, 1000, claimed, &err);
	rig_run(other);
	if (!err) {
		rig_publish(other, 0, GROUP_LOCAL, 2, 2, 2);
	}
	return err;
}

/* The old owner comes back, under a later epoch. */
static void give_up(void)
{
	rig_publish(pair->rigs[0], 0, GROUP_REMOTE, 2, 2, 2);
	ledger()->wait = false;
	rig_store.wait = false;
	rig_store_run();
	rig_ledger_run(pair->rigs[0]);
}

/* Half of it may be on the disk: the new owner writes all of it. */
static void a_new_owner_completes_it(void **state)
{
	rig_store.wait = true;
	go(&first, A, 3, BLOCKS);
	pair_run(pair);
	assert_int_equal(rig_store.writes, 1);
	memcpy(rig_store.data[LU] + 3 * BLOCK, data, BLOCK + 100); /* torn */
	rig_store.wait = false;
	assert_int_equal(takeover(), 0);
	assert_true(disk_has(3, BLOCKS));
	assert_null(intent(1));
	give_up();
	rig_run(pair->rigs[0]);
}

static void count_applied(void *arg)
{
	++*(unsigned *)arg;
}

/* It was not whole at every controller, so nothing of it was written in place. */
static void a_new_owner_drops_half_of_it(void **state)
{
	struct scsi_entry entry = {.kind = SCSI_ENTRY_INTENT,
		.who = rig_identity("x", 0x101),
		.intent = {.id = 77,
			.at_bytes = 0,
			.total = BYTES,
			.data = cursor_reader(data, 1000)}};
	uint8_t bytes[2048];
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	scsi_entry_put(&c, &entry);
	for (unsigned i = 0; i < 2; i++) {
		struct ledger_entry part = {.bytes = bytes, .length = c.pos, .epoch = 1};
		const struct ledger_serve *serve = scsi_ledger_serve(pair->rigs[i]->scsi);
		unsigned applied = 0;

		memcpy(part.lu, pair->rigs[i]->scsi->lus[LU].conf->uuid, 16);
		assert_int_equal(serve->apply(serve->ctx, &part, 1, count_applied, &applied),
			SCSI_RESULT_GOOD);
	}
	assert_int_equal(takeover(), 0);
	assert_true(disk_is_empty());
	assert_null(intent(1));
	give_up();
}

/* The disk fails: nobody serves blocks that may be half written. */
static void what_cannot_be_completed_is_not_served(void **state)
{
	rig_store.wait = true;
	go(&first, A, 3, BLOCKS);
	pair_run(pair);
	rig_store.wait = false;
	rig_store.error = -EIO;
	assert_int_equal(takeover(), -EIO);
	assert_non_null(intent(1));
	rig_store.error = 0;
	assert_int_equal(takeover(), 0);
	assert_true(disk_has(3, BLOCKS));
	give_up();
}

static void a_write_that_fails_is_forgotten_too(void **state)
{
	rig_store.error = -EIO;
	go(&first, A, 0, 1);
	pair_run(pair);
	assert_int_equal(rig_outcome(&first), 0x030c00);
	assert_null(intent(0));
	rig_store.error = 0;
}

/* Its end cannot be recorded: it does not end, and its blocks stay its own. */
static void the_end_is_recorded_sooner_or_later(void **state)
{
	static const uint8_t block[BLOCK] = {9};

	rig_store.wait = true;
	go(&first, A, 0, 2);
	pair_run(pair);
	ledger()->outcome = LEDGER_FAILED;
	rig_store.wait = false;
	rig_store_run();
	pair_run(pair);
	assert_int_equal(first.dones, 0);
	pair_start(pair, &second, C, LU, RIG_CDB(0x2a, 0, 0, 0, 0, 1, 0, 0, 1, 0), block, BLOCK);
	pair_run(pair);
	assert_int_equal(second.dones, 0);
	ledger()->outcome = LEDGER_DONE;
	for (int i = 0; i < 100000 && !second.dones; i++) {
		pair_run(pair);
	}
	assert_int_equal(rig_outcome(&first), SCSI_GOOD);
	assert_int_equal(rig_outcome(&second), SCSI_GOOD);
	assert_null(intent(0));
	assert_int_equal(rig_store.data[LU][BLOCK], 9);
}

/* The lease runs out behind the last step: nothing is done again, and the answer comes with it. */
static void the_answer_waits_for_the_lease(void **state)
{
	struct rig *owner = pair->rigs[0];

	ledger()->wait = true;
	go(&first, A, 3, BLOCKS);
	pair_run(pair);
	assert_int_equal(rig_ledger_run(owner), 3);
	pair_run(pair);
	assert_int_equal(rig_store.writes, 1);
	owner->serve->renew(owner->serve->ctx, 0);
	rig_run(owner);
	assert_int_equal(rig_ledger_run(owner), 1);
	pair_run(pair);
	assert_int_equal(first.dones, 0);
	owner->serve->renew(owner->serve->ctx, 1000000);
	rig_publish(owner, 0, GROUP_LOCAL, 1, 1, 1);
	pair_run(pair);
	assert_int_equal(first.dones, 1);
	assert_int_equal(rig_outcome(&first), SCSI_GOOD);
	assert_int_equal(rig_store.writes, 1);
	assert_null(intent(0));
	ledger()->wait = false;
}

/* Refused before anything was begun. */
static void a_ledger_that_fails_or_has_moved(void **state)
{
	ledger()->outcome = LEDGER_FAILED;
	go(&first, A, 0, 2);
	pair_run(pair);
	assert_int_equal(first.dones, 1);
	assert_int_equal(rig_outcome(&first), SCSI_BUSY);
	assert_int_equal(rig_store.writes, 0);
	ledger()->outcome = LEDGER_AGAIN;
	go(&first, A, 0, 2);
	pair_run(pair);
	assert_int_equal(first.dones, 0);
	assert_int_equal(rig_store.writes, 0);
	ledger()->outcome = LEDGER_DONE;
	for (int i = 0; i < 100000 && !first.dones; i++) {
		pair_run(pair);
	}
	assert_int_equal(rig_outcome(&first), SCSI_GOOD);
	assert_true(disk_has(0, 2));
}

static void one_after_the_other(void **state)
{
	go(&first, A, 0, BLOCKS);
	go(&second, C, 100, BLOCKS);
	go(&t, B, 50, 1);
	pair_run(pair);
	assert_int_equal(rig_outcome(&first), SCSI_GOOD);
	assert_int_equal(rig_outcome(&second), SCSI_GOOD);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	assert_true(disk_has(0, BLOCKS) && disk_has(100, BLOCKS) && disk_has(50, 1));
	assert_int_equal(rig_store.writes, 3);
}

static void tmf_done(struct scsi_tmf *tmf)
{
	assert_int_equal(tmf->response, SCSI_TMF_COMPLETE);
}

static void a_reset_leaves_nothing_behind(void **state)
{
	struct scsi_tmf tmf = {.nexus = pair->nexus[C],
		.reactor = pair->rigs[0]->reactors[1],
		.function = SCSI_TMF_LU_RESET,
		.lun = {0, LU},
		.done = tmf_done};

	ledger()->wait = true;
	go(&first, A, 0, 2);
	pair_run(pair);
	scsi_tmf_run(&tmf);
	pair_run(pair);
	ledger()->wait = false;
	rig_ledger_run(pair->rigs[0]);
	pair_run(pair);
	assert_int_equal(first.dones, 1);
	assert_true(first.aborted);
	assert_null(intent(0));
	assert_null(intent(1));
	assert_int_equal(rig_store.writes, 0);
}

#define REGISTER	  0
#define PREEMPT_AND_ABORT 5

static void pr_start(struct rig_task *task, unsigned host, uint8_t action, uint8_t key, uint8_t to)
{
	uint8_t list[24] = {[7] = key, [15] = to};

	pair_start(pair, task, host, LU, RIG_CDB(0x5f, action, 1, 0, 0, 0, 0, 0, 24, 0), list, 24);
	pair_run(pair);
}

/*
 * Its nexus is preempted while its entries stand behind the one that preempts: neither waits for
 * the other (they did, and every change of reservations after them), and nothing is written.
 */
static void preempted_it_is_not_waited_for(void **state)
{
	for (unsigned host = B; host <= C; host++) {
		pr_start(&t, A, REGISTER, 0, 1);
		pr_start(&t, host, REGISTER, 0, 2);
		ledger()->wait = true;
		pr_start(&second, A, PREEMPT_AND_ABORT, 1, 2);
		go(&first, host, 0, BLOCKS);
		pair_run(pair);
		ledger()->wait = false;
		rig_ledger_run(pair->rigs[0]);
		pair_run(pair);
		assert_int_equal(second.dones, 1);
		assert_int_equal(rig_outcome(&second), SCSI_GOOD);
		assert_int_equal(first.dones, 1);
		assert_true(first.aborted);
		assert_null(intent(0));
		assert_null(intent(1));
		assert_int_equal(rig_store.writes, 0);
		pr_start(&t, A, REGISTER, 1, 0);
	}
}

/* Its write in place is under way: that is waited for. */
static void preempted_its_write_is_waited_for(void **state)
{
	for (unsigned host = B; host <= C; host++) {
		pr_start(&t, A, REGISTER, 0, 1);
		pr_start(&t, host, REGISTER, 0, 2);
		rig_store.wait = true;
		rig_store.writes = 0;
		go(&first, host, 0, BLOCKS);
		pair_run(pair);
		assert_int_equal(rig_store.writes, 1);
		pr_start(&second, A, PREEMPT_AND_ABORT, 1, 2);
		assert_int_equal(second.dones, 0);
		rig_store_run();
		rig_store.wait = false;
		pair_run(pair);
		assert_int_equal(second.dones, 1);
		assert_int_equal(rig_outcome(&second), SCSI_GOOD);
		assert_int_equal(first.dones, 1);
		assert_true(first.aborted);
		assert_null(intent(0));
		pr_start(&t, A, REGISTER, 1, 0);
	}
}

static void limits(void **state)
{
	assert_int_equal(
		pair_do(pair, &t, B, LU, RIG_CDB(0x12, 1, 0xb0, 0, 64, 0), NULL, 0), SCSI_GOOD);
	assert_int_equal(be32_get(t.in + 44), BLOCKS_MAX);
	go(&t, A, 0, BLOCKS_MAX);
	pair_run(pair);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	go(&t, A, 0, BLOCKS_MAX + 1);
	pair_run(pair);
	assert_int_equal(rig_outcome(&t), 0x052400);
	go(&t, A, 0, 0);
	pair_run(pair);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	/* read-only */
	assert_int_equal(
		pair_do(pair, &t, A, 2, RIG_CDB(0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0),
			data, 512),
		0x072700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_order_of_things, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_owner_completes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_owner_drops_half_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_completed_is_not_served, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_write_that_fails_is_forgotten_too, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_end_is_recorded_sooner_or_later, setup, teardown),
		cmocka_unit_test_setup_teardown(a_ledger_that_fails_or_has_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(the_answer_waits_for_the_lease, setup, teardown),
		cmocka_unit_test_setup_teardown(one_after_the_other, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reset_leaves_nothing_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(preempted_it_is_not_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(preempted_its_write_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
	};

	return cmocka_run_group_tests_name("scsi intent", tests, NULL, NULL);
}
