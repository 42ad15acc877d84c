/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands through the interconnect: transfers of every size, outcomes, aborts, TMFs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/unit/ship_pair.h"
#include "yoke/util.h"

static int setup(void **state)
{
	struct pair *pair = pair_new(false);

	pair_meet(pair);
	assert_true(pair_drive(pair, pair_linked, pair));
	*state = pair;
	return 0;
}

static int teardown(void **state)
{
	pair_check_buffers(*state);
	pair_free(*state);
	return 0;
}

static void round_trip(struct pair *pair, unsigned from, unsigned reactor, uint32_t bytes)
{
	struct pair_side *here = &pair->side[from];
	struct pair_side *there = &pair->side[1 - from];
	struct pair_task *t = pair_task_new(here, reactor, true, 512, bytes, bytes + reactor);

	pair_task_ship(t);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->outcome, SHIP_DONE);
	assert_int_equal(t->task.status, SCSI_GOOD);
	assert_true(pair_pattern_is(there->disk + 512, bytes, bytes + reactor));
	pair_task_free(t);

	t = pair_task_new(here, reactor, false, 512, bytes, 1);
	pair_task_ship(t);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->outcome, SHIP_DONE);
	assert_int_equal(t->task.in_length, bytes);
	assert_true(pair_pattern_is(t->task.buf->data, bytes, bytes + reactor));
	pair_task_free(t);
}

static void test_sizes(void **state)
{
	static const uint32_t sizes[] = {512, 4096, 65536, 65536 + 512, 1u << 20, BUF_MAX_BYTES};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned reactor = 0; reactor < PAIR_REACTORS; reactor++) {
			round_trip(*state, 0, reactor, sizes[i]);
			round_trip(*state, 1, reactor, sizes[i]);
		}
	}
}

#define MANY 1000u

static bool all_back(void *arg)
{
	struct pair_task **t = arg;

	for (unsigned i = 0; i < MANY; i++) {
		if (t[i]->back == 0) {
			return false;
		}
	}
	return true;
}

/* More commands than there are slots, large among small, both ways at once. */
static void test_pipeline(void **state)
{
	struct pair *pair = *state;
	struct pair_task *t[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		uint32_t bytes = i % 100 == 0 ? 1u << 20 : 4096;

		t[i] = pair_task_new(&pair->side[i % 2], i / 2 % 2, true,
			i % 100 == 0 ? (20u << 20) + i / 100 * (1u << 20) : i * 4096, bytes, i);
	}
	for (unsigned i = 0; i < MANY; i++) {
		pair_task_ship(t[i]);
	}
	assert_true(pair_drive(pair, all_back, t));
	for (unsigned i = 0; i < MANY; i++) {
		const uint8_t *disk = pair->side[1 - i % 2].disk;

		assert_int_equal(t[i]->back, 1);
		assert_int_equal(t[i]->outcome, SHIP_DONE);
		assert_true(pair_pattern_is(
			disk + be32_get(t[i]->task.cdb + 2), t[i]->task.out_length, i));
		pair_task_free(t[i]);
	}
	assert_int_equal(pair->side[0].runs + pair->side[1].runs, MANY);
}

/* A small command does not wait until a large one is through. */
static void test_interleave(void **state)
{
	struct pair *pair = *state;
	struct pair_task *large = pair_task_new(&pair->side[0], 0, true, 0, BUF_MAX_BYTES, 1);
	struct pair_task *small = pair_task_new(&pair->side[0], 0, true, 16u << 20, 512, 2);

	pair_task_ship(large);
	pair_task_ship(small);
	assert_true(pair_drive(pair, pair_task_is_back, small));
	assert_int_equal(large->back, 0);
	assert_true(pair_drive(pair, pair_task_is_back, large));
	pair_task_free(large);
	pair_task_free(small);
}

static void test_sense(void **state)
{
	struct pair *pair = *state;
	struct pair_task *t = pair_task_new(&pair->side[0], 0, false, 0, 512, 1);

	t->task.cdb[0] = 0xff; /* the fake device server knows no such command */
	pair_task_ship(t);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->outcome, SHIP_DONE);
	assert_int_equal(t->task.status, SCSI_CHECK_CONDITION);
	assert_int_equal(t->task.sense_length, 18);
	assert_int_equal(t->task.sense[17], 0x5a);
	assert_int_equal(t->task.in_length, 0);
	pair_task_free(t);
}

/* The initiator takes less than there is: only that much travels, the rest is told. */
static void test_short_read(void **state)
{
	struct pair *pair = *state;
	struct pair_task *t = pair_task_new(&pair->side[0], 0, false, 0, 4096, 1);

	pair_pattern(pair->side[1].disk, 4096, 9);
	t->task.expected_in_bytes = 100;
	pair_task_ship(t);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->task.in_length, 4096);
	assert_true(pair_pattern_is(t->task.buf->data, 100, 9));
	pair_task_free(t);
}

/* Stale epoch, and `again` found out late: the gate gets the task back, the write did not happen.
 */
static void test_again(void **state)
{
	struct pair *pair = *state;
	struct pair_task *t = pair_task_new(&pair->side[0], 0, true, 0, 512, 1);
	struct ship_stats stats;

	t->resend = false;
	pair->side[1].epoch = 2;
	pair_task_ship(t);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->outcome, SHIP_AGAIN);
	assert_int_equal(pair->side[1].runs, 0);
	pair_task_free(t);

	t = pair_task_new(&pair->side[0], 0, true, 0, 512, 1);
	t->resend = false;
	t->epoch = 2;
	pair->side[1].answer_again = true;
	pair_task_ship(t);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->outcome, SHIP_AGAIN);
	assert_false(pair_pattern_is(pair->side[1].disk, 512, 1));
	pair_task_free(t);
	ship_stats(pair->side[1].ship, &stats);
	assert_int_equal(stats.stale_frames, 2);
	assert_int_equal(stats.commands_in, 2);
}

static bool one_held(void *arg)
{
	return ((struct pair_side *)arg)->held_count > 0;
}

static bool one_aborted(void *arg)
{
	return ((struct pair_side *)arg)->aborts > 0;
}

static void abort_task(struct pair_task *t)
{
	const struct group_ship *ops = ship_ops(t->side->ship);

	ops->abort(ops->ctx, &t->task);
}

/* Held at the owner: ends at once. In the store: ends when the store is through, not before. */
static void test_abort(void **state)
{
	struct pair *pair = *state;
	struct pair_task *t = pair_task_new(&pair->side[0], 1, true, 0, 512, 1);

	pair->side[1].mode = PAIR_HOLD;
	pair_task_ship(t);
	assert_true(pair_drive(pair, one_held, &pair->side[1]));
	abort_task(t);
	abort_task(t);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_true(t->task.aborted);
	assert_int_equal(t->task.status, SCSI_TASK_ABORTED);
	assert_int_equal(t->outcome, SHIP_DONE);
	assert_int_equal(pair->side[1].aborts, 1);
	pair_task_free(t);

	pair->side[1].aborts = 0;
	pair->side[1].mode = PAIR_STORE;
	t = pair_task_new(&pair->side[0], 1, true, 0, 512, 1);
	pair_task_ship(t);
	assert_true(pair_drive(pair, one_held, &pair->side[1]));
	abort_task(t);
	assert_true(pair_drive(pair, one_aborted, &pair->side[1]));
	pair_pass(pair, 50);
	assert_int_equal(t->back, 0);
	pair_release(&pair->side[1]);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_true(t->task.aborted);
	pair_task_free(t);
}

/* Before anything was sent, and at every pass of a large write. */
static void test_abort_anywhere(void **state)
{
	struct pair *pair = *state;

	for (unsigned passes = 0; passes < 40; passes++) {
		struct pair_task *t = pair_task_new(&pair->side[0], 0, true, 0, 4u << 20, passes);

		t->resend = false;
		pair_task_ship(t);
		pair_pass(pair, passes);
		abort_task(t);
		assert_true(pair_drive(pair, pair_task_is_back, t));
		assert_true(t->outcome == SHIP_AGAIN || t->task.aborted ||
			    pair_pattern_is(pair->side[1].disk, 4u << 20, passes));
		assert_int_equal(t->back, 1);
		pair_task_free(t);
	}
	/* And the connection has not noticed. */
	round_trip(pair, 0, 0, 4096);
	assert_int_equal(pair->side[0].link_changes, 1);
}

/* The other end of side 0's first connection. */
static struct ship_conn *other_end(struct pair *pair)
{
	struct qb_list_head *ins = &pair->side[1].ship->ports[0].ins;

	return &qb_list_first_entry(ins, struct ship_in, link)->conn;
}

struct blocked {
	struct pair *pair;
	struct pair_task *t;
	unsigned waits;
};

/* Between passes a connection refers to nobody's data: its owner may take the memory back. */
static bool blocked_is_back(void *arg)
{
	struct blocked *b = arg;
	struct ship_conn *out = &b->pair->side[0].ship->ports[0].out.conn;
	struct ship_conn *in = other_end(b->pair);

	assert_null(out->tx_data);
	assert_null(in->tx_data);
	b->waits += out->tx_start < out->tx_end || in->tx_start < in->tx_end;
	return b->t->back > 0;
}

/* A socket that takes little at a time: large data that was to be sent from its place waits. */
static void test_blocked(void **state)
{
	struct pair *pair = *state;
	int bytes = 8192;

	setsockopt(pair->side[0].ship->ports[0].out.conn.rfd.fd, SOL_SOCKET, SO_SNDBUF, &bytes,
		sizeof(bytes));
	setsockopt(other_end(pair)->rfd.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	for (unsigned i = 0; i < 4; i++) {
		struct pair_task *t = pair_task_new(&pair->side[0], 0, i % 2 == 0, 0, 2u << 20, i);
		struct blocked b = {.pair = pair, .t = t};

		pair_task_ship(t);
		assert_true(pair_drive(pair, blocked_is_back, &b));
		assert_int_equal(t->outcome, SHIP_DONE);
		assert_true(b.waits > 10); /* it did wait */
		assert_true(pair_pattern_is(
			i % 2 == 0 ? pair->side[1].disk : t->task.buf->data, 2u << 20, i & ~1u));
		pair_task_free(t);
	}
}

static void tmf_done(void *arg)
{
	++*(unsigned *)arg;
}

static bool is_nonzero(void *arg)
{
	return *(unsigned *)arg > 0;
}

static void test_tmf(void **state)
{
	struct pair *pair = *state;
	const struct group_ship *ops = ship_ops(pair->side[0].ship);
	struct scsi_identity who = {
		.initiator = "iqn.x:h", .target = "iqn.x:t", .rtpi = 257, .controller = 1};
	uint8_t lu[16] = {1, 2, 3};
	unsigned done = 0;

	pair->side[1].tmf_hold = true;
	ops->tmf(ops->ctx, pair->side[0].reactors[1], SCSI_TMF_LU_RESET, lu, &who, tmf_done, &done);
	assert_true(pair_drive(pair, is_nonzero, &pair->side[1].tmfs));
	assert_int_equal(pair->side[1].tmf.function, SCSI_TMF_LU_RESET);
	assert_memory_equal(pair->side[1].tmf.lu, lu, 16);
	assert_string_equal(pair->side[1].tmf.who.initiator, "iqn.x:h");
	pair_pass(pair, 20);
	assert_int_equal(done, 0);
	pair->side[1].tmf_done(pair->side[1].tmf_arg);
	assert_true(pair_drive(pair, is_nonzero, &done));

	/* A session at a port of the receiver's that the sender has adopted. */
	pair->side[1].tmf_hold = false;
	who.controller = 2;
	who.rtpi = 513;
	done = 0;
	ops->tmf(ops->ctx, pair->side[0].reactors[1], SCSI_TMF_LU_RESET, lu, &who, tmf_done, &done);
	assert_true(pair_drive(pair, is_nonzero, &done));
	assert_int_equal(pair->side[1].tmf.who.controller, 2);

	/* More than go at once: all end. */
	done = 0;
	for (unsigned i = 0; i < 3 * SHIP_TMFS; i++) {
		ops->tmf(ops->ctx, pair->side[0].reactors[1], SCSI_TMF_LU_RESET, lu, &who, tmf_done,
			&done);
	}
	pair_linger(pair, 100);
	assert_int_equal(done, 3 * SHIP_TMFS);
}

/* One object for a nexus as long as it lives; gone when it is. */
static void test_nexus(void **state)
{
	struct pair *pair = *state;
	const struct group_ship *ops = ship_ops(pair->side[0].ship);
	struct scsi_identity who;

	for (unsigned i = 0; i < 3; i++) {
		struct pair_task *t = pair_task_new(&pair->side[0], 0, true, 0, 512, i);

		who = t->who;
		pair_task_ship(t);
		assert_true(pair_drive(pair, pair_task_is_back, t));
		pair_task_free(t);
		assert_int_equal(pair->side[1].nexuses, 1);
	}
	ops->nexus_gone(ops->ctx, pair->side[0].reactors[0], &who);
	pair_linger(pair, 50);
	assert_int_equal(pair->side[1].nexuses, 0);
	round_trip(pair, 0, 0, 512);
	assert_int_equal(pair->side[1].nexuses, 1);
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAIR_TEST(test_sizes),
		PAIR_TEST(test_pipeline),
		PAIR_TEST(test_interleave),
		PAIR_TEST(test_sense),
		PAIR_TEST(test_short_read),
		PAIR_TEST(test_again),
		PAIR_TEST(test_abort),
		PAIR_TEST(test_abort_anywhere),
		PAIR_TEST(test_blocked),
		PAIR_TEST(test_tmf),
		PAIR_TEST(test_nexus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
