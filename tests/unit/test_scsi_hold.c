/* SPDX-License-Identifier: BSD-3-Clause */
/* A group's views: hold, publish, drain, ship, again, claim, release, and the hold limit. */
#include <errno.h>
#include <time.h>

#include "scsi_rig.h"

static struct rig *rig;
static struct rig_task t[8];

static int setup(void **state)
{
	rig = rig_new(1, 16 << 20);
	rig_serve(rig);
	memset(t, 0, sizeof(t));
	return 0;
}

static int teardown(void **state)
{
	rig_free(rig);
	return 0;
}

#define WRITE1(lba) RIG_CDB(0x2a, 0, 0, 0, 0, lba, 0, 0, 1, 0)
#define READ1(lba)  RIG_CDB(0x28, 0, 0, 0, 0, lba, 0, 0, 1, 0)

static uint8_t block[512];

static void write_go(struct rig_task *task, unsigned reactor, uint8_t lba, uint8_t fill)
{
	memset(block, fill, sizeof(block));
	rig_task_set(task, rig->nexus[reactor], 0, WRITE1(lba));
	assert_int_equal(rig_task_go(task, block, sizeof(block)), SCSI_START_OUT);
	rig_run(rig);
}

static void count(void *arg)
{
	++*(unsigned *)arg;
}

static void nothing_runs_before_a_view(void **state)
{
	struct rig *fresh;
	struct scsi_nexus *nexus;

	fresh = rig_new(1, 16 << 20);
	nexus = rig_nexus(fresh, 0, "host1", 0x101);
	rig_do(fresh, &t[1], nexus, 0, RIG_CDB(0x03, 0, 0, 0, 18, 0), NULL, 0); /* takes the UA */
	rig_task_set(&t[0], nexus, 0, READ1(0));
	rig_task_go(&t[0], NULL, 0);
	rig_run(fresh);
	assert_int_equal(t[0].dones, 0);
	assert_int_equal(t[0].task.state, SCSI_TASK_HELD);
	rig_publish(fresh, 0, GROUP_LOCAL, 1, 1, 1);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	scsi_nexus_close(nexus, NULL, NULL);
	rig_free(fresh);
	/* The extents' bytes are global to the test: nothing of `rig` was touched. */
}

static void held_tasks_run_in_order_when_the_group_is_local_again(void **state)
{
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	for (unsigned i = 0; i < 4; i++) {
		write_go(&t[i], 0, 5, (uint8_t)(i + 1)); /* all to the same block */
		assert_int_equal(t[i].dones, 0);
	}
	write_go(&t[4], 1, 6, 0x44);
	assert_int_equal(rig_store.writes, 0);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(t[i].dones, 1);
		assert_int_equal(t[i].status, SCSI_GOOD);
	}
	assert_int_equal(rig_store.data[0][5 * 512], 4);
	assert_int_equal(rig_store.data[0][6 * 512], 0x44);
}

/* Invariant I9: the control thread has not said for too long that this controller may serve. */
/* It ends now; a reactor knows when it looks at its clock, which it does once in each pass. */
static void lease_expire(void)
{
	rig->serve->renew(rig->serve->ctx, 0);
	rig_run(rig);
}

static void nothing_runs_on_an_expired_lease(void **state)
{
	lease_expire();
	write_go(&t[0], 0, 1, 0x11);
	assert_int_equal(t[0].dones, 0);
	assert_int_equal(t[0].task.state, SCSI_TASK_HELD);
	assert_int_equal(rig_store.writes, 0);
	rig->serve->renew(rig->serve->ctx, 60000);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	assert_int_equal(rig_store.writes, 1);
}

static void an_expired_lease_acknowledges_nothing(void **state)
{
	rig_store.wait = true;
	write_go(&t[0], 0, 1, 0x11);
	write_go(&t[1], 0, 2, 0x22);
	assert_int_equal(rig_store.writes, 2);
	lease_expire();
	rig_store_run();
	rig_run(rig);
	assert_int_equal(t[0].dones + t[1].dones, 0);
	/* Still the owner: acknowledged, and not run a second time. */
	rig->serve->renew(rig->serve->ctx, 60000);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	assert_int_equal(t[1].dones, 1);
	assert_int_equal(rig_store.writes, 2);
	rig_store.wait = false;
}

static void what_a_frozen_owner_did_counts_for_nothing_after_a_takeover(void **state)
{
	rig_store.wait = true;
	write_go(&t[0], 0, 1, 0x11);
	lease_expire();
	rig_store_run();
	rig_run(rig);
	assert_int_equal(t[0].dones, 0);
	rig->serve->renew(rig->serve->ctx, 60000);
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	assert_int_equal(t[0].dones, 0);
	assert_int_equal(rig->ship.tasks, 1); /* the new owner runs it */
	rig_store.wait = false;
	rig->serve->task_shipped(rig->serve->ctx, &t[0].task, SHIP_DONE);
	rig_run(rig);
	assert_int_equal(t[0].dones, 1);
}

/* A drain waits for what has come back and is not acknowledged, and is not stuck with it. */
static void a_drain_sees_what_waits_for_the_lease(void **state)
{
	unsigned drained = 0;

	rig_store.wait = true;
	write_go(&t[0], 0, 1, 0x11);
	lease_expire();
	rig_store_run();
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig->serve->drain(rig->serve->ctx, 0, count, &drained);
	rig_run(rig);
	assert_int_equal(drained, 0);
	rig->serve->renew(rig->serve->ctx, 60000);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	assert_int_equal(drained, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	rig_store.wait = false;
}

static void the_other_group_goes_on(void **state)
{
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	assert_int_equal(rig_do(rig, &t[0], rig->nexus[0], 2, READ1(0), NULL, 0), SCSI_GOOD);
}

static void what_runs_here_answers_while_held(void **state)
{
	static const uint8_t cdbs[][16] = {
		{0x12, 0, 0, 0, 96},
		{0x12, 1, 0x83, 0, 96},
		{0x25},
		{0x9e, 0x10, [13] = 32},
		{0x1a, 0, 0x3f, 0, 96},
		{0xa3, 0x0a, [9] = 96},
		{0xa3, 0x2a, [9] = 96},
		{0xa3, 0x0c, [9] = 96},
		{0xa0, [9] = 96},
		{0x03, 0, 0, 0, 18},
	};

	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(cdbs); i++) {
		assert_int_equal(
			rig_do(rig, &t[0], rig->nexus[0], 0, cdbs[i], 16, NULL, 0), SCSI_GOOD);
	}
	/* but nobody says "ready" */
	rig_task_set(&t[1], rig->nexus[0], 0, RIG_CDB(0, 0, 0, 0, 0, 0));
	rig_task_go(&t[1], NULL, 0);
	rig_run(rig);
	assert_int_equal(t[1].dones, 0);
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	assert_int_equal(t[1].dones, 1);
	assert_int_equal(t[1].status, SCSI_GOOD);
	assert_int_equal(rig->ship.tasks, 0);
}

static void drain_waits_for_the_store_at_every_reactor(void **state)
{
	unsigned drained = 0;

	rig_store.wait = true;
	write_go(&t[0], 0, 1, 1);
	write_go(&t[1], 1, 2, 2);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig->serve->drain(rig->serve->ctx, 0, count, &drained);
	rig_run(rig);
	assert_int_equal(drained, 0);
	write_go(&t[2], 0, 3, 3);
	assert_int_equal(rig_store_run(), 2);
	assert_int_equal(t[0].status, SCSI_GOOD); /* admitted before, so it is finished */
	assert_int_equal(t[0].dones + t[1].dones, 2);
	assert_int_equal(drained, 0); /* on the control thread, not here */
	rig_run(rig);
	assert_int_equal(drained, 1);
	assert_int_equal(t[2].dones, 0);
	rig_store.wait = false;
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	assert_int_equal(t[2].dones, 1);
}

/*
 * Reactor 0 has answered, reactor 1 has not, and the move is rolled back. What reactor 0 begins
 * before the next move holds the group again is waited for all the same.
 */
static void a_drain_begins_anew_when_the_group_was_served_between(void **state)
{
	unsigned drained = 0;

	rig_store.wait = true;
	write_go(&t[1], 1, 2, 2);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig->serve->drain(rig->serve->ctx, 0, count, &drained);
	rig_run(rig);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	assert_int_equal(rig_store_run(), 1);
	rig_run(rig);
	assert_int_equal(drained, 0);
	write_go(&t[0], 0, 1, 1);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	assert_int_equal(drained, 0);
	assert_int_equal(rig_store_run(), 1);
	rig_run(rig);
	assert_int_equal(drained, 1);
	assert_int_equal(t[0].dones + t[1].dones, 2);
	rig_store.wait = false;
}

static void drain_of_an_idle_group_and_of_one_that_is_served(void **state)
{
	unsigned drained = 0;

	rig->serve->drain(rig->serve->ctx, 0, count, &drained);
	rig_run(rig);
	assert_int_equal(drained, 0); /* still served: not before it is held */
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	assert_int_equal(drained, 1);
	rig->serve->drain(rig->serve->ctx, 0, count, &drained);
	rig_run(rig);
	assert_int_equal(drained, 2);
}

static void a_handover_ships_what_was_held(void **state)
{
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	write_go(&t[0], 0, 7, 7);
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	assert_int_equal(rig->ship.tasks, 1);
	assert_ptr_equal(rig->ship.last, &t[0].task);
	assert_int_equal(rig->ship.last_epoch, 2);
	assert_memory_equal(rig->ship.last_lu, rig->extents[0].uuid, 16);
	assert_int_equal(t[0].dones, 0);
	t[0].task.status = SCSI_GOOD;
	rig->serve->task_shipped(rig->serve->ctx, &t[0].task, SHIP_DONE);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	assert_int_equal(rig_store.writes, 0);
}

static void shipped_data_and_sense_come_back(void **state)
{
	struct scsi_task *task = &t[0].task;

	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	rig_task_set(&t[0], rig->nexus[0], 0, READ1(0));
	assert_int_equal(rig_task_go(&t[0], NULL, 0), SCSI_START_READY);
	assert_null(task->buf);
	task->buf = buf_get(reactor_buffers(rig->reactors[0]), 512);
	memset(task->buf->data, 0xee, 512);
	task->in_length = 512;
	rig->serve->task_shipped(rig->serve->ctx, task, SHIP_DONE);
	assert_int_equal(t[0].in_length, 512);
	assert_int_equal(t[0].in[511], 0xee);

	rig_task_set(&t[1], rig->nexus[0], 0, READ1(0));
	rig_task_go(&t[1], NULL, 0);
	scsi_set_sense(&t[1].task, SENSE_READ_ERROR);
	rig->serve->task_shipped(rig->serve->ctx, &t[1].task, SHIP_DONE);
	assert_int_equal(rig_outcome(&t[1]), 0x031100);
}

static void again_is_gated_anew(void **state)
{
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	write_go(&t[0], 0, 9, 9);
	assert_int_equal(rig->ship.tasks, 1);
	/* The view has moved on in the meantime: it runs here. */
	rig_publish(rig, 0, GROUP_LOCAL, 1, 3, 1);
	assert_int_equal(t[0].dones, 0);
	rig->serve->task_shipped(rig->serve->ctx, &t[0].task, SHIP_AGAIN);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	assert_int_equal(rig_store.data[0][9 * 512], 9);
}

static void again_under_the_same_view_pauses_before_it_ships(void **state)
{
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	write_go(&t[0], 0, 9, 9);
	rig->serve->task_shipped(rig->serve->ctx, &t[0].task, SHIP_AGAIN);
	assert_int_equal(rig->ship.tasks, 1);
	assert_int_equal(t[0].task.state, SCSI_TASK_HELD);
	/* bounded: the pause is 5 ms, each pass waits for a timer at most 20 */
	for (int pass = 0; pass < 50 && rig->ship.tasks == 1; pass++) {
		reactor_run_once(rig->reactors[0], 20);
	}
	assert_int_equal(rig->ship.tasks, 2);
	rig->serve->task_shipped(rig->serve->ctx, &t[0].task, SHIP_DONE);
	assert_int_equal(t[0].dones, 1);
}

/* The interconnect broke in the middle of an answer: its buffer is too small for the next try. */
static void a_part_of_an_answer_is_dropped(void **state)
{
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	rig_task_set(&t[0], rig->nexus[0], 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 16, 0));
	rig_task_go(&t[0], NULL, 0);
	t[0].task.buf = buf_get(reactor_buffers(rig->reactors[0]), 512);
	t[0].task.in_length = 512;
	rig_publish(rig, 0, GROUP_LOCAL, 1, 3, 1);
	rig->serve->task_shipped(rig->serve->ctx, &t[0].task, SHIP_AGAIN);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].in_length, 8192);
}

static void what_ran_under_an_old_epoch_is_not_acknowledged(void **state)
{
	rig_store.wait = true;
	write_go(&t[0], 0, 3, 3);
	rig_task_set(&t[1], rig->nexus[0], 0, READ1(3));
	rig_task_go(&t[1], NULL, 0);
	/* Frozen, and taken over meanwhile. */
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 2);
	rig_store_run();
	rig_run(rig);
	/* The first is told of the new table (UA), the second goes to the new owner. Neither is
	 * GOOD. */
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(rig_outcome(&t[0]), 0x062a06);
	assert_int_equal(t[1].dones, 0);
	assert_ptr_equal(rig->ship.last, &t[1].task);
	rig->serve->task_shipped(rig->serve->ctx, &t[1].task, SHIP_DONE);
}

/* Lost and got back while it ran: another owner may have written in between, so it runs again. */
static void what_ran_under_an_old_epoch_of_our_own_runs_again(void **state)
{
	rig_store.wait = true;
	write_go(&t[0], 0, 3, 3);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 3, 1);
	assert_int_equal(rig_store_run(), 1);
	assert_int_equal(t[0].dones, 0);
	assert_int_equal(rig_store.writes, 2);
	assert_int_equal(rig_store_run(), 1);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
}

static void errors_during_a_move_are_held_back(void **state)
{
	rig_store.wait = true;
	write_go(&t[0], 0, 3, 3);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig_store.error = -EIO;
	rig_store_run();
	rig_run(rig);
	assert_int_equal(t[0].dones, 0); /* invariant I7 */
	rig_store.error = 0;
	rig_store.wait = false;
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	assert_int_equal(rig_store.data[0][3 * 512], 3);
}

static void past_the_limit(enum conf_hold_answer answer, uint32_t expected)
{
	rig->conf.hold_limit_ms = 10;
	rig->conf.hold_answer = answer;
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	write_go(&t[0], 0, 1, 1);
	rig_task_set(&t[1], rig->nexus[0], 0, RIG_CDB(0, 0, 0, 0, 0, 0));
	rig_task_go(&t[1], NULL, 0);
	for (int pass = 0; pass < 50 && !(t[0].dones && t[1].dones); pass++) {
		reactor_run_once(rig->reactors[0], 20);
	}
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(rig_outcome(&t[0]), expected);
	assert_int_equal(rig_outcome(&t[1]), expected);
	assert_int_equal(rig_store.writes, 0);
}

static void held_past_the_limit_is_busy(void **state)
{
	past_the_limit(CONF_HOLD_BUSY, SCSI_BUSY);
}

static void held_past_the_limit_is_transitioning(void **state)
{
	past_the_limit(CONF_HOLD_TRANSITIONING, 0x02040a);
}

/* ----- what may have been done is not answered as if it had not ------------------------------- */

/* Waits until the limit has passed for one that was held after all others. */
static void past_the_limit_of(struct rig_task *last)
{
	for (int pass = 0; pass < 100 && !last->dones; pass++) {
		reactor_run_once(rig->reactors[0], 20);
		reactor_run_once(rig->reactors[1], 0);
	}
	assert_int_equal(last->dones, 1);
	assert_int_equal(last->status, SCSI_BUSY);
	rig_run(rig);
}

/*
 * Written, and the lease ran out before it could be said. (It was answered BUSY past the limit; the
 * host's second try came down on what others had written meanwhile.)
 */
static void a_write_that_is_done_outlasts_the_limit(void **state)
{
	rig->conf.hold_limit_ms = 10;
	rig_store.wait = true;
	write_go(&t[0], 0, 1, 0x11);
	rig_task_set(&t[1], rig->nexus[0], 0, READ1(1));
	rig_task_go(&t[1], NULL, 0);
	lease_expire();
	rig_store_run();
	rig_run(rig);
	assert_int_equal(t[0].dones + t[1].dones, 0);
	write_go(&t[2], 0, 1, 0x22); /* it has not run: its host may know, and try again */
	past_the_limit_of(&t[2]);
	assert_int_equal(t[0].dones, 0);
	assert_int_equal(t[1].status, SCSI_BUSY); /* a READ changes nothing */
	rig->serve->renew(rig->serve->ctx, 60000);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	assert_int_equal(rig_store.writes, 1);
	rig_store.wait = false;
}

#define COMPARE_WRITE1(lba) RIG_CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, lba, 0, 0, 0, 1, 0, 0)

static void compare_write_go(struct rig_task *task, uint8_t lba, uint8_t from, uint8_t to)
{
	uint8_t out[1024];

	memset(out, from, 512);
	memset(out + 512, to, 512);
	rig_task_set(task, rig->nexus[0], 0, COMPARE_WRITE1(lba));
	rig_task_go(task, out, sizeof(out));
	rig_run(rig);
}

/* Its owner was lost with it, and done it was. */
static void lose_its_owner(struct rig_task *task)
{
	assert_int_equal(task->task.state, SCSI_TASK_SHIPPED);
	task->task.rerun = true;
	rig->serve->task_shipped(rig->serve->ctx, &task->task, SHIP_AGAIN);
	rig_run(rig);
	assert_int_equal(task->task.state, SCSI_TASK_HELD);
}

/*
 * The owner was lost, and fencing it takes longer than the limit. (Answered BUSY, the host sent its
 * COMPARE AND WRITE again and was told a miscompare: it had the lock, and took it for lost.)
 */
static void what_may_have_run_at_a_lost_owner_outlasts_the_limit(void **state)
{
	memset(rig_store.data[0] + 7 * 512, 0, 512);
	rig->conf.hold_limit_ms = 10;
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	compare_write_go(&t[0], 7, 0, 0x88);
	write_go(&t[1], 0, 8, 0x11);
	rig_task_set(&t[2], rig->nexus[0], 0, READ1(8));
	rig_task_go(&t[2], NULL, 0);
	rig_run(rig);
	memset(rig_store.data[0] + 7 * 512, 0x88, 512); /* what the owner did */
	rig_publish(rig, 0, GROUP_HELD, 2, 2, 1);
	for (unsigned i = 0; i < 3; i++) {
		lose_its_owner(&t[i]);
	}
	write_go(&t[3], 0, 8, 0x22);
	past_the_limit_of(&t[3]);
	assert_int_equal(t[0].dones + t[1].dones, 0);
	assert_int_equal(t[2].status, SCSI_BUSY);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 3, 1);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	assert_int_equal(t[1].status, SCSI_GOOD);
	assert_int_equal(rig_store.data[0][8 * 512], 0x11);
}

/* Its host need not wait: what it gives up ends at once. */
static void what_may_have_run_ends_with_its_abort(void **state)
{
	struct scsi_match match = {.nexus = rig->nexus[0]};

	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	compare_write_go(&t[0], 7, 0, 0x88);
	rig_publish(rig, 0, GROUP_HELD, 2, 2, 1);
	lose_its_owner(&t[0]);
	assert_int_equal(scsi_tasks_abort(rig->nexus[0]->core, &match), 1);
	assert_int_equal(t[0].dones, 1);
	assert_true(t[0].aborted);
}

/* ----- commands from the other controller ------------------------------------------------------
 */

static struct scsi_nexus *peer;

static enum ship_outcome shipped_go(
	struct rig_task *task, const uint8_t *cdb, unsigned length, uint64_t epoch, uint8_t fill)
{
	struct scsi_identity who = rig_identity("host9", 0x201);

	if (!peer) {
		peer = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[1], &who);
	}
	rig_task_set(task, peer, 0, cdb, length);
	task->task.shipped_in = true;
	if (fill) {
		task->task.buf = buf_get(reactor_buffers(rig->reactors[1]), 512);
		memset(task->task.buf->data, fill, 512);
		task->task.out_length = 512;
	}
	return rig->serve->task_run(rig->serve->ctx, &task->task, rig->extents[0].uuid, epoch);
}

static void peer_put(void)
{
	rig->serve->nexus_put(rig->serve->ctx, peer);
	peer = NULL;
}

static void shipped_commands_run_under_our_epoch(void **state)
{
	assert_int_equal(shipped_go(&t[0], WRITE1(4), 1, 0x99), SHIP_DONE);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	assert_int_equal(rig_store.data[0][4 * 512], 0x99);
	assert_int_equal(shipped_go(&t[1], READ1(4), 1, 0), SHIP_DONE);
	assert_int_equal(t[1].in[0], 0x99);
	/* a CDB that is wrong is answered, not given back */
	assert_int_equal(
		shipped_go(&t[2], RIG_CDB(0x28, 0, 0xff, 0, 0, 0, 0, 0, 1, 0), 1, 0), SHIP_DONE);
	assert_int_equal(rig_outcome(&t[2]), 0x052100);
	peer_put();
}

static void shipped_commands_with_an_old_epoch_or_for_another_owner_go_back(void **state)
{
	rig_publish(rig, 0, GROUP_LOCAL, 1, 5, 1);
	assert_int_equal(shipped_go(&t[0], WRITE1(4), 4, 0x99), SHIP_AGAIN);
	scsi_task_end(&t[0].task);
	rig_publish(rig, 0, GROUP_REMOTE, 2, 6, 1);
	assert_int_equal(shipped_go(&t[1], WRITE1(4), 6, 0x99), SHIP_AGAIN);
	scsi_task_end(&t[1].task);
	assert_int_equal(t[0].dones + t[1].dones, 0);
	assert_int_equal(rig_store.writes, 0);
	peer_put();
}

static void shipped_commands_ahead_of_our_view_wait_for_it(void **state)
{
	assert_int_equal(shipped_go(&t[0], WRITE1(4), 2, 0x99), SHIP_DONE);
	assert_int_equal(t[0].dones, 0);
	assert_int_equal(rig_store.writes, 0);
	rig_publish(rig, 0, GROUP_HELD, 1, 2, 1);
	assert_int_equal(t[0].dones, 0);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD); /* and no UA: that is the ingress's */
	assert_int_equal(rig_store.data[0][4 * 512], 0x99);
	peer_put();
}

static void shipped_commands_held_here_go_back_when_another_owns(void **state)
{
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	assert_int_equal(shipped_go(&t[0], WRITE1(4), 1, 0x99), SHIP_DONE);
	assert_int_equal(shipped_go(&t[1], WRITE1(5), 2, 0x99), SHIP_DONE);
	assert_int_equal(t[0].dones, 0);
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 2);
	assert_int_equal(t[0].dones, 1);
	assert_true(t[0].again);
	assert_true(t[1].again);
	assert_int_equal(rig_store.writes, 0);
	peer_put();
}

/* The same at the owner, for one that comes again. */
static void shipped_commands_that_may_have_run_outlast_the_limit(void **state)
{
	rig->conf.hold_limit_ms = 10;
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	assert_int_equal(shipped_go(&t[0], WRITE1(3), 1, 0x33), SHIP_DONE);
	t[0].task.rerun = true;
	write_go(&t[1], 0, 4, 0x44);
	past_the_limit_of(&t[1]);
	assert_int_equal(t[0].dones, 0);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	assert_int_equal(t[0].dones, 1);
	assert_int_equal(t[0].status, SCSI_GOOD);
	assert_int_equal(rig_store.data[0][3 * 512], 0x33);
	scsi_task_end(&t[0].task);
	peer_put();
}

static void shipped_command_for_an_unknown_unit_goes_back(void **state)
{
	static const uint8_t nobody[16] = {1};
	struct scsi_identity who = rig_identity("host9", 0x201);

	peer = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[0], &who);
	rig_task_set(&t[0], peer, 0, READ1(0));
	t[0].task.shipped_in = true;
	assert_int_equal(rig->serve->task_run(rig->serve->ctx, &t[0].task, nobody, 1), SHIP_AGAIN);
	peer_put();
}

static void peers_are_shared_while_held(void **state)
{
	struct scsi_identity who = rig_identity("host9", 0x201);
	struct scsi_nexus *one = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[0], &who);
	struct scsi_nexus *two = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[0], &who);
	struct scsi_nexus *other;

	assert_ptr_equal(one, two);
	who.isid[5]++;
	other = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[0], &who);
	assert_ptr_not_equal(one, other);
	rig->serve->nexus_put(rig->serve->ctx, one);
	rig->serve->nexus_put(rig->serve->ctx, two);
	rig->serve->nexus_put(rig->serve->ctx, other);
}

/* ----- claim, release, health ---------------------------------------------------------------- */

struct result {
	unsigned dones;
	int err;
};

static void note(void *arg, int err)
{
	struct result *result = arg;

	result->dones++;
	result->err = err;
}

/* The disk says that another has the write key: no error for the host, nothing more is tried. */
static void a_lost_write_key_holds_the_group(void **state)
{
	rig_store.wait = true;
	write_go(&t[0], 0, 5, 0x11);
	rig_store.error = -EBADE;
	rig_store_run();
	rig_store.error = 0;
	rig_run(rig);
	assert_int_equal(t[0].dones, 0);
	assert_int_equal(t[0].task.state, SCSI_TASK_HELD);
	assert_int_equal(rig_store.writes, 1);
	write_go(&t[1], 0, 6, 0x22); /* a new one is held, too */
	assert_int_equal(rig_store.writes, 1);
	/* Another owns it: what was held is shipped. */
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	assert_int_equal(rig->ship.tasks, 2);
	rig->serve->task_shipped(rig->serve->ctx, &t[0].task, SHIP_DONE);
	rig->serve->task_shipped(rig->serve->ctx, &t[1].task, SHIP_DONE);
	assert_int_equal(t[0].status, SCSI_GOOD);
	/* And when it is ours again, under a later epoch, it runs here. */
	rig_publish(rig, 0, GROUP_LOCAL, 1, 3, 1);
	rig_store.wait = false;
	write_go(&t[2], 0, 7, 0x33);
	assert_int_equal(t[2].dones, 1);
	assert_int_equal(t[2].status, SCSI_GOOD);
}

static void claim_takes_every_extent_of_the_group(void **state)
{
	struct result result = {0};

	rig->serve->claim(rig->serve->ctx, 0, 7, 1000, note, &result);
	assert_int_equal(result.dones, 1);
	assert_int_equal(result.err, 0);
	assert_int_equal(rig_store.claims, 2);
	assert_int_equal(rig_store.claim_epoch, 7);
}

static void claim_tries_again_and_gives_up(void **state)
{
	struct result result = {0};

	rig_store.claim_error = -EAGAIN;
	rig_store.claim_failures = 3;
	rig->serve->claim(rig->serve->ctx, 0, 7, 60000, note, &result);
	for (int pass = 0; pass < 200 && !result.dones; pass++) {
		reactor_run_once(rig->reactors[0], 20);
		mailbox_run(&rig->control);
	}
	assert_int_equal(result.err, 0);
	assert_int_equal(rig_store.claims, 2);

	result.dones = 0;
	rig_store.claim_failures = 1000000;
	rig->serve->claim(rig->serve->ctx, 0, 7, 30, note, &result);
	for (int pass = 0; pass < 200 && !result.dones; pass++) {
		reactor_run_once(rig->reactors[0], 20);
		mailbox_run(&rig->control);
	}
	assert_int_equal(result.err, -ETIMEDOUT);
}

static void claim_that_fails_gives_back_what_it_took(void **state)
{
	struct result result = {0};

	rig_store.check_error = -ENODEV;
	assert_false(rig->serve->healthy(rig->serve->ctx, 0));
	rig->serve->claim(rig->serve->ctx, 0, 7, 1000, note, &result);
	assert_int_equal(result.err, -ENODEV);
	assert_true(rig_store.releases >= rig_store.claims); /* releasing twice does no harm */
	rig_store.check_error = 0;
	assert_true(rig->serve->healthy(rig->serve->ctx, 0));
}

static void release_flushes_first(void **state)
{
	struct result result = {0};

	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig_store.wait = true;
	rig->serve->release(rig->serve->ctx, 0, note, &result);
	rig_run(rig);
	assert_int_equal(rig_store.flushes, 1); /* disk1 is the volatile one */
	assert_int_equal(rig_store.releases, 0);
	rig_store_run();
	rig_run(rig);
	assert_int_equal(result.dones, 1);
	assert_int_equal(result.err, 0);
	assert_int_equal(rig_store.releases, 2);
	rig_store.wait = false;
	rig_store.error = -EIO;
	rig->serve->release(rig->serve->ctx, 0, note, &result);
	rig_run(rig);
	assert_int_equal(result.dones, 2);
	assert_int_equal(result.err, -EIO);
	assert_int_equal(rig_store.releases, 4);
}

/* Who waits for the release hears of it first: the locks of thousands are let go meanwhile. */
static void note_releases(void *arg, int err)
{
	struct result *result = arg;

	assert_int_equal(err, 0);
	result->dones++;
	result->err = (int)rig_store.releases;
}

static void release_tells_before_it_unlocks(void **state)
{
	struct result result = {0};

	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig->serve->release(rig->serve->ctx, 0, note_releases, &result);
	rig_run(rig);
	assert_int_equal(result.dones, 1);
	assert_int_equal(result.err, 0);
	assert_int_equal(rig_store.releases, 2);
}

/* The move was rolled back at that very moment: what is claimed again is not let go. */
static void note_claim(void *arg, int err)
{
	assert_int_equal(err, 0);
	rig->serve->claim(rig->serve->ctx, 0, 1, 1000, note, arg);
}

static void claim_inside_release_keeps_the_locks(void **state)
{
	struct result result = {0};

	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig->serve->release(rig->serve->ctx, 0, note_claim, &result);
	rig_run(rig);
	assert_int_equal(result.dones, 1);
	assert_int_equal(result.err, 0);
	assert_int_equal(rig_store.claims, 2);
	assert_int_equal(rig_store.releases, 0);
}

static void locks_ahead_of_a_claim(void **state)
{
	struct result result = {0};

	rig->serve->lock(rig->serve->ctx, 0);
	assert_int_equal(rig_store.locks, 2);
	assert_int_equal(rig_store.claims, 0);
	rig->serve->unlock(rig->serve->ctx, 0);
	assert_int_equal(rig_store.releases, 2);
	rig->serve->lock(rig->serve->ctx, 0);
	rig->serve->claim(rig->serve->ctx, 0, 7, 1000, note, &result);
	assert_int_equal(result.dones, 1);
	rig->serve->unlock(rig->serve->ctx, 0); /* they belong to the claim now */
	assert_int_equal(rig_store.releases, 2);
}

/* ----- buffers ------------------------------------------------------------------------------- */

static void reads_wait_for_buffers_in_order(void **state)
{
	struct rig *small = rig_new(1, 1 << 20);
	struct scsi_nexus *nexus;

	rig_serve(small);
	nexus = small->nexus[0];
	rig_store.wait = true;
	for (unsigned i = 0; i < 4; i++) {
		rig_task_set(
			&t[i], nexus, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 4, 0, 0)); /* 512 KiB */
		rig_task_go(&t[i], NULL, 0);
	}
	assert_int_equal(t[0].task.state, SCSI_TASK_RUNNING);
	assert_int_equal(t[3].task.state, SCSI_TASK_STARVED);
	for (int pass = 0; pass < 4; pass++) {
		rig_store_run();
		rig_run(small);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(t[i].dones, 1);
		assert_int_equal(t[i].status, SCSI_GOOD);
		assert_int_equal(t[i].in_length, 512 << 10);
	}
	rig_store.wait = false;
	rig_free(small);
}

/* What no buffer can ever hold is refused at once instead of waiting for ever. */
static void reads_larger_than_the_pool_are_busy(void **state)
{
	struct rig *small = rig_new(1, 256 << 10);

	rig_serve(small);
	assert_int_equal(rig_do(small, &t[5], small->nexus[0], 0,
				 RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 4, 0, 0), NULL, 0),
		SCSI_BUSY);
	rig_free(small);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_runs_before_a_view),
		TEST(held_tasks_run_in_order_when_the_group_is_local_again),
		TEST(nothing_runs_on_an_expired_lease),
		TEST(an_expired_lease_acknowledges_nothing),
		TEST(what_a_frozen_owner_did_counts_for_nothing_after_a_takeover),
		TEST(a_drain_sees_what_waits_for_the_lease),
		TEST(the_other_group_goes_on),
		TEST(what_runs_here_answers_while_held),
		TEST(drain_waits_for_the_store_at_every_reactor),
		TEST(a_drain_begins_anew_when_the_group_was_served_between),
		TEST(drain_of_an_idle_group_and_of_one_that_is_served),
		TEST(a_handover_ships_what_was_held),
		TEST(shipped_data_and_sense_come_back),
		TEST(again_is_gated_anew),
		TEST(again_under_the_same_view_pauses_before_it_ships),
		TEST(a_part_of_an_answer_is_dropped),
		TEST(what_ran_under_an_old_epoch_is_not_acknowledged),
		TEST(what_ran_under_an_old_epoch_of_our_own_runs_again),
		TEST(errors_during_a_move_are_held_back),
		TEST(held_past_the_limit_is_busy),
		TEST(held_past_the_limit_is_transitioning),
		TEST(a_write_that_is_done_outlasts_the_limit),
		TEST(what_may_have_run_at_a_lost_owner_outlasts_the_limit),
		TEST(what_may_have_run_ends_with_its_abort),
		TEST(shipped_commands_run_under_our_epoch),
		TEST(shipped_commands_with_an_old_epoch_or_for_another_owner_go_back),
		TEST(shipped_commands_ahead_of_our_view_wait_for_it),
		TEST(shipped_commands_held_here_go_back_when_another_owns),
		TEST(shipped_commands_that_may_have_run_outlast_the_limit),
		TEST(shipped_command_for_an_unknown_unit_goes_back),
		TEST(peers_are_shared_while_held),
		TEST(a_lost_write_key_holds_the_group),
		TEST(claim_takes_every_extent_of_the_group),
		TEST(claim_tries_again_and_gives_up),
		TEST(claim_that_fails_gives_back_what_it_took),
		TEST(release_flushes_first),
		TEST(release_tells_before_it_unlocks),
		TEST(claim_inside_release_keeps_the_locks),
		TEST(locks_ahead_of_a_claim),
		cmocka_unit_test(reads_wait_for_buffers_in_order),
		cmocka_unit_test(reads_larger_than_the_pool_are_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
