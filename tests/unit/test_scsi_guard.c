/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * COMPARE AND WRITE, ORWRITE, WRITE ATOMIC, WRITE AND VERIFY: what each does, and that no command
 * of any reactor sees one of them half done.
 */
#include <errno.h>
#include <stdlib.h>

#include "scsi_pair.h"

#define INVALID_FIELD 0x052400
#define OUT_OF_RANGE  0x052100
#define MISCOMPARE    0x0e1d00
#define OTHER	      1 /* reactor and nexus */

static struct rig *rig;
static struct rig_task t;

static int setup(void **state)
{
	rig = rig_new(1, 16 << 20);
	rig_serve(rig);
	return 0;
}

static int teardown(void **state)
{
	rig_free(rig);
	return 0;
}

#define DO(lun, out, n, ...) rig_do(rig, &t, rig->nexus[0], lun, RIG_CDB(__VA_ARGS__), out, n)
#define CAW(lba, blocks)     0x89, 0, 0, 0, 0, 0, 0, 0, 0, lba, 0, 0, 0, blocks, 0, 0

/* A task that is started on reactor `r` with one block, or two, of these bytes. */
struct sent {
	struct rig_task t;
	uint8_t out[1024];
};

static void command(struct sent *s, unsigned r, const uint8_t *cdb, unsigned length, uint8_t first,
	uint8_t second)
{
	memset(s->out, first, 512);
	memset(s->out + 512, second, 512);
	rig_task_set(&s->t, rig->nexus[r], 0, cdb, length);
	rig_task_go(&s->t, s->out, sizeof(s->out));
}

#define SEND_CAW(s, r, lba, from, to) command(s, r, RIG_CDB(CAW(lba, 1)), from, to)
#define SEND_WRITE(s, r, lba, blocks, v) \
	command(s, r, RIG_CDB(0x2a, 0, 0, 0, 0, lba, 0, 0, blocks, 0), v, v)
#define SEND_READ(s, r, lba) command(s, r, RIG_CDB(0x28, 0, 0, 0, 0, lba, 0, 0, 1, 0), 0, 0)

/* ----- what they do ----------------------------------------------------------------------------
 */

static void compare_and_write(void **state)
{
	static uint8_t out[2 * 128 * 512];

	memset(rig_store.data[0], 0x11, 4096);
	memset(out, 0x11, 1024);
	memset(out + 1024, 0x22, 1024);
	assert_int_equal(DO(0, out, 2048, CAW(1, 2)), SCSI_GOOD);
	assert_int_equal(rig_store.data[0][511], 0x11);
	assert_int_equal(rig_store.data[0][512], 0x22);
	assert_int_equal(rig_store.data[0][1535], 0x22);
	assert_int_equal(rig_store.data[0][1536], 0x11);
	/* again: differs from the first byte on, and nothing is written */
	assert_int_equal(DO(0, out, 2048, CAW(1, 2)), MISCOMPARE);
	assert_int_equal(t.sense[0], 0xf0); /* VALID */
	assert_int_equal(be32_get(t.sense + 3), 0);
	rig_store.data[0][512 + 700] = 0x33;
	memset(out, 0x22, 1024);
	assert_int_equal(DO(0, out, 2048, CAW(1, 2)), MISCOMPARE);
	assert_int_equal(be32_get(t.sense + 3), 700);
	assert_int_equal(rig_store.writes, 1);
	/* no block, too many, past the end */
	assert_int_equal(DO(0, NULL, 0, CAW(1, 0)), SCSI_GOOD);
	assert_int_equal(DO(0, out, sizeof(out), CAW(1, 128)), MISCOMPARE);
	assert_int_equal(DO(0, NULL, 0, CAW(1, 129)), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 13);
	assert_int_equal(
		DO(0, NULL, 0, 0x89, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0, 0), OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x89, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,
				 0, 0, 2, 0, 0),
		OUT_OF_RANGE);
	/* more data than the CDB says (256 blocks do not go into its byte), or less */
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(CAW(1, 0)));
	t.task.expected_out_bytes = 2 * 256 * 512;
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_DONE);
	assert_int_equal(rig_outcome(&t), INVALID_FIELD);
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(CAW(1, 3)));
	t.task.expected_out_bytes = 2048;
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_DONE);
	assert_int_equal(rig_outcome(&t), INVALID_FIELD);
	/* half of the data is none */
	assert_int_equal(DO(0, out, 1024, CAW(1, 2)), 0x0b0c0d);
	assert_int_equal(rig_store.writes, 1);
	/* WRPROTECT */
	assert_int_equal(DO(0, NULL, 0, 0x89, 0x20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0),
		INVALID_FIELD);
	assert_int_equal(DO(2, NULL, 0, CAW(1, 1)), 0x072700);
}

static void compare_and_write_passes_fua_on_and_errors(void **state)
{
	static uint8_t out[2 * 4096];

	assert_int_equal(
		DO(1, out, sizeof(out), 0x89, 0x08, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0),
		SCSI_GOOD);
	assert_int_equal(rig_store.fuas, 1);
	assert_int_equal(DO(1, out, sizeof(out), CAW(1, 1)), SCSI_GOOD);
	assert_int_equal(rig_store.fuas, 1);
	rig_store.error = -EIO;
	assert_int_equal(DO(1, out, sizeof(out), CAW(1, 1)), 0x031100);
	rig_store.error = 0;
	/* the guard went with the error */
	assert_int_equal(DO(1, out, sizeof(out), CAW(1, 1)), SCSI_GOOD);
}

static void orwrite(void **state)
{
	uint8_t out[1024];

	memset(rig_store.data[0], 0x0f, 2048);
	memset(out, 0x31, sizeof(out));
	assert_int_equal(
		DO(0, out, 1024, 0x8b, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0), SCSI_GOOD);
	assert_int_equal(rig_store.data[0][511], 0x0f);
	assert_int_equal(rig_store.data[0][512], 0x3f);
	assert_int_equal(rig_store.data[0][1535], 0x3f);
	assert_int_equal(rig_store.data[0][1536], 0x0f);
	assert_int_equal(
		DO(0, out, 512, 0x8b, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0), 0x0b0c0d);
	assert_int_equal(
		DO(0, NULL, 0, 0x8b, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(rig_store.writes, 1);
}

static void write_atomic(void **state)
{
	static uint8_t out[65536];

	memset(out, 0x44, sizeof(out));
	/* 128 blocks at most, and so large a boundary */
	assert_int_equal(
		DO(0, out, sizeof(out), 0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 128, 0, 0),
		SCSI_GOOD);
	assert_int_equal(rig_store.writes, 1);
	assert_int_equal(rig_store.data[0][512], 0x44);
	assert_int_equal(rig_store.data[0][512 + 65535], 0x44);
	assert_int_equal(
		DO(0, NULL, 0, 0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 129, 0, 0), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 12);
	assert_int_equal(
		DO(0, out, 1024, 0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 128, 0, 2, 0, 0), SCSI_GOOD);
	assert_int_equal(
		DO(0, NULL, 0, 0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 129, 0, 2, 0, 0), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 10);
	/* without such a promise of the store: test_scsi_intent */
}

static void write_and_verify(void **state)
{
	static uint8_t out[4096];

	memset(out, 0x66, sizeof(out));
	assert_int_equal(DO(0, out, 512, 0x2e, 0, 0, 0, 0, 3, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(DO(0, out, 512, 0xae, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0), SCSI_GOOD);
	assert_int_equal(
		DO(0, out, 512, 0x8e, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0), SCSI_GOOD);
	assert_int_equal(rig_store.writes, 3);
	assert_int_equal(rig_store.reads, 3);
	assert_int_equal(rig_store.fuas, 3); /* verified on the medium, not in a cache */
	assert_int_equal(rig_store.data[0][3 * 512], 0x66);
	assert_int_equal(rig_store.data[0][6 * 512 - 1], 0x66);
	assert_int_equal(rig_store.data[0][6 * 512], 0);
	assert_int_equal(DO(0, NULL, 0, 0x2e, 4, 0, 0, 0, 3, 0, 0, 1, 0), INVALID_FIELD);
	assert_int_equal(DO(0, NULL, 0, 0x2e, 6, 0, 0, 0, 3, 0, 0, 1, 0), INVALID_FIELD);
	/* a medium that does not keep what is written */
	rig_store.bad_byte = 100;
	assert_int_equal(DO(0, out, 512, 0x2e, 2, 0, 0, 0, 3, 0, 0, 1, 0), MISCOMPARE);
	assert_int_equal(be32_get(t.sense + 3), 100);
	assert_int_equal(DO(0, out, 512, 0x2e, 0, 0, 0, 0, 3, 0, 0, 1, 0), SCSI_GOOD);
}

/* ----- alone -----------------------------------------------------------------------------------
 */

/* Runs until nothing moves; I/Os that the store keeps are completed in order, one at a time. */
static void settle(void)
{
	do {
		rig_run(rig);
	} while (rig_store_run());
}

static void commands_on_the_range_wait_at_every_reactor(void **state)
{
	static struct sent caw, read[2], write, beside;

	rig_store.wait = true;
	SEND_CAW(&caw, 0, 8, 0, 0x22);
	rig_run(rig); /* it has its range and reads */
	assert_int_equal(rig_store.reads, 1);
	SEND_READ(&read[0], 0, 8);
	SEND_READ(&read[1], OTHER, 8);
	SEND_WRITE(&write, OTHER, 7, 2, 0x55); /* overlaps at its end */
	SEND_READ(&beside, OTHER, 9);
	rig_run(rig);
	assert_int_equal(rig_store.reads, 2); /* beside it, and no other */
	assert_int_equal(rig_store.writes, 0);
	rig_store_run(); /* the compare; the write is on its way */
	rig_run(rig);
	assert_int_equal(rig_store.writes, 1);
	assert_int_equal(rig_store.reads, 2);
	settle();
	assert_int_equal(caw.t.status, SCSI_GOOD);
	assert_int_equal(read[0].t.in[0], 0x22);
	assert_int_equal(read[1].t.in[0], 0x22);
	assert_int_equal(write.t.dones, 1);
	assert_int_equal(rig_store.data[0][8 * 512], 0x55);
	assert_int_equal(beside.t.dones, 1);
}

static void it_waits_for_what_runs(void **state)
{
	static struct sent write, caw;

	rig_store.wait = true;
	SEND_WRITE(&write, OTHER, 8, 1, 0x77);
	SEND_CAW(&caw, 0, 8, 0x77, 0x88);
	rig_run(rig);
	assert_int_equal(rig_store.reads, 0);
	rig_store_run();
	rig_run(rig);
	assert_int_equal(rig_store.reads, 1);
	settle();
	assert_int_equal(caw.t.status, SCSI_GOOD);
	assert_int_equal(rig_store.data[0][8 * 512], 0x88);
}

/* Each host counts up by compare and write; no step may be lost, whatever the order. */
static void two_hosts_count(void **state)
{
	static struct sent tries[2];
	unsigned won[2] = {0, 0};
	uint8_t value = 0;

	rig_store.wait = true;
	for (unsigned round = 0; round < 50; round++) {
		SEND_CAW(&tries[round % 2], round % 2, 20, value, value + 1);
		SEND_CAW(&tries[!(round % 2)], !(round % 2), 20, value, value + 1);
		settle();
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(tries[i].t.dones, 1);
			won[i] += tries[i].t.status == SCSI_GOOD;
		}
		assert_int_equal(won[0] + won[1], round + 1); /* exactly one of the two */
		value++;
		assert_int_equal(rig_store.data[0][20 * 512], value);
	}
}

/* A plain command that waits is not overtaken for ever by guarded ones that came later. */
static void first_come_first_served(void **state)
{
	static struct sent caw[3], write;

	rig_store.wait = true;
	SEND_CAW(&caw[0], 0, 8, 0, 1);
	rig_run(rig);
	SEND_WRITE(&write, 0, 8, 1, 9);
	SEND_CAW(&caw[1], 0, 8, 9, 2);
	SEND_CAW(&caw[2], OTHER, 8, 2, 3);
	settle();
	assert_int_equal(caw[0].t.status, SCSI_GOOD);
	assert_int_equal(write.t.dones, 1);
	assert_int_equal(caw[1].t.status, SCSI_GOOD);
	assert_int_equal(caw[2].t.status, SCSI_GOOD);
	assert_int_equal(rig_store.data[0][8 * 512], 3);
}

static void a_long_queue_does_not_need_a_long_stack(void **state)
{
	static struct sent caw[1000];

	rig_store.wait = true;
	for (unsigned i = 0; i < ARRAY_SIZE(caw); i++) {
		SEND_CAW(&caw[i], i % 2, 8, (uint8_t)i, (uint8_t)(i + 1));
		if (i == 0) {
			rig_run(rig);
		}
	}
	rig_store.wait = false;
	rig_store_run();
	for (unsigned i = 0; i < ARRAY_SIZE(caw) && !caw[ARRAY_SIZE(caw) - 1].t.dones; i++) {
		rig_run(rig);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(caw); i++) {
		assert_int_equal(caw[i].t.dones, 1);
	}
}

/* ----- what must not hang on it ----------------------------------------------------------------
 */

static void abort_set(unsigned r)
{
	struct scsi_match match = {.nexus = rig->nexus[r]};

	scsi_tasks_abort(rig->nexus[r]->core, &match);
}

static void an_abort_of_one_that_waits(void **state)
{
	static struct sent caw[2], write, plain;

	rig_store.wait = true;
	SEND_WRITE(&write, OTHER, 8, 1, 0x77);
	SEND_CAW(&caw[0], 0, 8, 0x77, 0x88); /* waits for the write */
	SEND_READ(&plain, 0, 8); /* waits for it */
	rig_run(rig);
	abort_set(0);
	assert_int_equal(caw[0].t.dones, 1);
	assert_true(caw[0].t.aborted);
	assert_true(plain.t.aborted);
	settle();
	assert_int_equal(write.t.dones, 1);
	/* nothing of it is left */
	rig_store.wait = false;
	SEND_CAW(&caw[1], OTHER, 8, 0x77, 0x99);
	settle();
	assert_int_equal(caw[1].t.status, SCSI_GOOD);
}

/*
 * One abort ends both: a write that waits for a guard, and a COMPARE AND WRITE that waits for that
 * write. The end of the write gives the other its guard, and it must not begin: it ends next.
 */
static void an_abort_of_two_that_wait_for_each_other(void **state)
{
	static struct sent first, write, caw, after;

	rig_store.wait = true;
	SEND_CAW(&first, 0, 8, 0, 0x11);
	rig_run(rig);
	SEND_WRITE(&write, OTHER, 8, 2, 0x77);
	SEND_CAW(&caw, OTHER, 9, 0, 0x22);
	rig_run(rig);
	assert_int_equal(caw.t.task.state, SCSI_TASK_FENCED);
	assert_int_equal(rig_store.reads, 1);
	abort_set(OTHER);
	assert_int_equal(write.t.dones, 1);
	assert_int_equal(caw.t.dones, 1);
	assert_true(write.t.aborted && caw.t.aborted);
	settle();
	assert_int_equal(rig_store.reads, 1);
	assert_int_equal(caw.t.dones, 1);
	assert_int_equal(first.t.status, SCSI_GOOD);
	/* its guard is gone with it */
	SEND_CAW(&after, 0, 9, 0, 0x33);
	settle();
	assert_int_equal(after.t.status, SCSI_GOOD);
}

static void an_abort_of_one_that_runs(void **state)
{
	static struct sent caw, read;

	rig_store.wait = true;
	SEND_CAW(&caw, 0, 8, 0, 0x88);
	rig_run(rig);
	SEND_READ(&read, OTHER, 8);
	rig_run(rig);
	abort_set(0);
	assert_int_equal(caw.t.dones, 0); /* the store has it */
	settle();
	assert_true(caw.t.aborted);
	assert_int_equal(read.t.dones, 1);
	assert_int_equal(rig_store.writes, 0);
}

static void count(void *arg)
{
	++*(unsigned *)arg;
}

/* A handover: those that wait are held without a guard, the drain ends, and then they run. */
static void a_drain_does_not_wait_for_it(void **state)
{
	static struct sent write, caw, read;
	unsigned drained = 0;

	rig_store.wait = true;
	SEND_WRITE(&write, OTHER, 8, 1, 0x77);
	SEND_CAW(&caw, 0, 8, 0x77, 0x88);
	SEND_READ(&read, 0, 8);
	rig_run(rig);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig->serve->drain(rig->serve->ctx, 0, count, &drained);
	rig_run(rig);
	assert_int_equal(drained, 0);
	settle(); /* the write ends; the others find the group held */
	assert_int_equal(drained, 1);
	assert_int_equal(write.t.dones, 1);
	assert_int_equal(caw.t.dones + read.t.dones, 0);
	assert_int_equal(caw.t.task.state, SCSI_TASK_HELD);
	assert_null(caw.t.task.guard);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	settle();
	assert_int_equal(caw.t.status, SCSI_CHECK_CONDITION); /* the UA of the change */
	assert_int_equal(caw.t.sense[12] << 8 | caw.t.sense[13], 0x2a06);
	assert_int_equal(read.t.status, SCSI_GOOD);
}

/*
 * The lease ran out under it, when it had read or when it had written: it keeps its range, goes on
 * where it was when the lease is back, and whoever came meanwhile is behind it. (It began anew:
 * what it had written was seen and written over, and it told a miscompare.)
 */
static void a_lost_lease(void **state)
{
	for (unsigned written = 0; written < 2; written++) {
		static struct sent caw, next, read;

		memset(rig_store.data[0] + 8 * 512, 0, 512);
		rig_store.reads = rig_store.writes = 0;
		rig_store.wait = true;
		SEND_CAW(&caw, 0, 8, 0, 0x88);
		rig_run(rig);
		if (written) {
			rig_store_run(); /* compared */
			rig_run(rig);
			assert_int_equal(rig_store.writes, 1);
		}
		rig->serve->renew(rig->serve->ctx, 0);
		rig_run(rig); /* a reactor looks at its clock once in each pass */
		SEND_CAW(&next, OTHER, 8, 0x88, 0x99);
		SEND_READ(&read, 0, 8);
		settle();
		assert_int_equal(caw.t.dones, 0);
		assert_int_equal(caw.t.task.state, SCSI_TASK_HELD);
		assert_non_null(caw.t.task.guard);
		rig->serve->renew(rig->serve->ctx, 1000000);
		rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
		settle();
		assert_int_equal(caw.t.status, SCSI_GOOD);
		assert_int_equal(next.t.status, SCSI_GOOD);
		assert_int_equal(read.t.status, SCSI_GOOD);
		assert_int_equal(rig_store.writes, 2);
		assert_int_equal(rig_store.data[0][8 * 512], 0x99);
	}
}

/* What ran out was more than the lease: under another epoch it begins anew, without its guard. */
static void a_lost_lease_and_an_epoch(void **state)
{
	static struct sent caw;

	rig_store.wait = true;
	SEND_CAW(&caw, 0, 8, 0, 0x88);
	rig_run(rig);
	rig->serve->renew(rig->serve->ctx, 0);
	rig_run(rig);
	settle();
	assert_int_equal(caw.t.task.state, SCSI_TASK_HELD);
	memset(rig_store.data[0] + 8 * 512, 0x12, 512); /* another owner's */
	rig->serve->renew(rig->serve->ctx, 1000000);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 3, 1);
	settle();
	assert_int_equal(rig_outcome(&caw.t), MISCOMPARE);
	assert_int_equal(rig_store.writes, 0);
}

/* It wrote, and the group moved before it could say so: run again, it finds its own work. */
static void run_again_it_does_not_trip_over_itself(void **state)
{
	static struct sent caw, other;

	rig_store.wait = true;
	SEND_CAW(&caw, 0, 8, 0, 0x88);
	rig_run(rig);
	rig_store_run(); /* compared */
	rig_run(rig);
	assert_int_equal(rig_store.writes, 1);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 1); /* the same owner under another epoch */
	settle();
	assert_int_equal(caw.t.status, SCSI_GOOD);
	assert_int_equal(rig_store.data[0][8 * 512], 0x88);
	/* the same bytes from one that never ran are a miscompare */
	SEND_CAW(&other, OTHER, 8, 0, 0x88);
	settle();
	assert_int_equal(rig_outcome(&other.t), MISCOMPARE);
}

/*
 * The same when the move is one that hosts are told of: a unit attention says that the command has
 * not run, and the host would send it again and find its own data in the way. It is told later.
 */
static void run_again_it_is_not_told_that_it_did_not_run(void **state)
{
	static struct sent caw, read;

	rig_store.wait = true;
	SEND_CAW(&caw, 0, 8, 0, 0x88);
	rig_run(rig);
	rig_store_run(); /* compared */
	rig_run(rig);
	assert_int_equal(rig_store.writes, 1);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	settle();
	assert_int_equal(caw.t.status, SCSI_GOOD);
	SEND_READ(&read, 0, 8);
	settle();
	assert_int_equal(rig_outcome(&read.t), 0x62a06);
}

/*
 * It may have run, and there is no memory for its second run: BUSY would say that it has not run.
 */
static void run_again_it_waits_for_memory(void **state)
{
	struct buf_pool *pool = reactor_buffers(rig->reactors[0]);
	static struct sent caw, other;
	struct buf *taken[64];
	unsigned count = 0;

	memset(rig_store.data[0] + 8 * 512, 0x88, 512);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	SEND_CAW(&caw, 0, 8, 0, 0x88);
	SEND_CAW(&other, 0, 9, 0, 0x88);
	caw.t.task.rerun = true;
	for (uint32_t bytes = 1 << 20; bytes >= 512; bytes /= 2) {
		while (count < ARRAY_SIZE(taken) && (taken[count] = buf_get(pool, bytes))) {
			count++;
		}
	}
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	settle();
	assert_int_equal(other.t.status, SCSI_BUSY); /* it has not run */
	assert_int_equal(caw.t.dones, 0);
	while (count > 0) {
		buf_put(pool, taken[--count]);
	}
	for (int pass = 0; pass < 100 && !caw.t.dones; pass++) {
		reactor_run_once(rig->reactors[0], 20);
		settle();
	}
	assert_int_equal(caw.t.dones, 1);
	assert_int_equal(caw.t.status, SCSI_GOOD);
}

/* Hosts A and C at the owner, on two of its reactors, host B at the other controller. */
static void hosts_at_both_controllers_count(void **unused)
{
	static struct rig_task tries[HOSTS];
	struct pair *pair = pair_new();
	uint8_t value = 0;

	pair_calm(pair);
	rig_store.wait = true;
	for (unsigned round = 0; round < 30; round++) {
		uint8_t out[1024];
		unsigned won = 0;

		memset(out, value, 512);
		memset(out + 512, value + 1, 512);
		for (unsigned i = 0; i < HOSTS; i++) {
			unsigned host = (round + i) % HOSTS;

			pair_start(
				pair, &tries[host], host, 0, RIG_CDB(CAW(20, 1)), out, sizeof(out));
		}
		do {
			pair_run(pair);
		} while (rig_store_run());
		for (unsigned i = 0; i < HOSTS; i++) {
			assert_int_equal(tries[i].dones, 1);
			won += tries[i].status == SCSI_GOOD;
			assert_true(tries[i].status == SCSI_GOOD ||
				    rig_outcome(&tries[i]) == MISCOMPARE);
		}
		assert_int_equal(won, 1);
		value++;
		assert_int_equal(rig_store.data[0][20 * 512], value);
	}
	rig_store.wait = false;
	pair_free(pair);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(compare_and_write),
		TEST(compare_and_write_passes_fua_on_and_errors),
		TEST(orwrite),
		TEST(write_atomic),
		TEST(write_and_verify),
		TEST(commands_on_the_range_wait_at_every_reactor),
		TEST(it_waits_for_what_runs),
		TEST(two_hosts_count),
		cmocka_unit_test(hosts_at_both_controllers_count),
		TEST(first_come_first_served),
		TEST(a_long_queue_does_not_need_a_long_stack),
		TEST(an_abort_of_one_that_waits),
		TEST(an_abort_of_two_that_wait_for_each_other),
		TEST(an_abort_of_one_that_runs),
		TEST(a_drain_does_not_wait_for_it),
		TEST(a_lost_lease),
		TEST(a_lost_lease_and_an_epoch),
		TEST(run_again_it_does_not_trip_over_itself),
		TEST(run_again_it_is_not_told_that_it_did_not_run),
		TEST(run_again_it_waits_for_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
