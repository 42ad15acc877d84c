/* SPDX-License-Identifier: BSD-3-Clause */
/* Windows, buffers, lost connections and the barrier behind them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/unit/ship_pair.h"
#include "yoke/util.h"

static struct pair *linked_pair(bool proxied)
{
	struct pair *pair = pair_new(proxied);

	pair_meet(pair);
	assert_true(pair_drive(pair, pair_linked, pair));
	return pair;
}

/* Both commands in flight at side 0 are back. */
struct wait {
	struct pair_task **t;
	unsigned count;
};

static bool wait_is_over(void *arg)
{
	const struct wait *wait = arg;

	for (unsigned i = 0; i < wait->count; i++) {
		if (wait->t[i]->back == 0) {
			return false;
		}
	}
	return true;
}

/* The first connection of reactor 0 breaks as if the wire had. */
static void cut(struct pair_side *side)
{
	shutdown(side->ship->ports[0].out.conn.rfd.fd, SHUT_RDWR);
}

static bool one_held(void *arg)
{
	return ((struct pair_side *)arg)->held_count > 0;
}

static bool one_aborted(void *arg)
{
	return ((struct pair_side *)arg)->aborts > 0;
}

/* The connection is cut after every so many bytes of a conversation: nothing is lost or doubled. */
static void test_cut_everywhere(void **state)
{
	struct pair *pair = linked_pair(true);
	struct ship_stats stats;
	uint64_t length;

	(void)state;
	pair->proxy.passed = 0;
	for (uint64_t at = 0, step = 0;; at += step) {
		struct pair_task *t[6];
		struct wait wait = {t, 6};

		pair->proxy.passed = 0;
		pair->proxy.cut_after = at;
		for (unsigned i = 0; i < 6; i++) {
			bool write = i < 4;

			if (!write) {
				pair_pattern(
					pair->side[1].disk + (8u << 20) + i * 65536, 40000, at + i);
			}
			t[i] = pair_task_new(&pair->side[0], 0, write,
				(write ? 0 : 8u << 20) + i * 65536, i % 2 ? 512 : 40000, at + i);
			pair_task_ship(t[i]);
		}
		assert_true(pair_drive(pair, wait_is_over, &wait));
		length = pair->proxy.passed;
		for (unsigned i = 0; i < 6; i++) {
			const uint8_t *bytes =
				i < 4 ? pair->side[1].disk + i * 65536 : t[i]->task.buf->data;

			assert_int_equal(t[i]->outcome, SHIP_DONE);
			assert_int_equal(t[i]->back, 1);
			assert_true(pair_pattern_is(bytes, i % 2 ? 512 : 40000, at + i));
			pair_task_free(t[i]);
		}
		if (at == 0) {
			step = length / 60 + 1; /* the undisturbed conversation */
			continue;
		}
		if (pair->proxy.cut_after > 0) {
			break; /* it was over before the cut */
		}
	}
	pair->proxy.cut_after = 0;
	assert_true(pair->proxy.cuts > 40);
	assert_true(pair->side[1].reruns > 0); /* said so when it came again */
	assert_int_equal(
		pair->side[1].done_twice, 0); /* a write that was done is only answered again */
	ship_stats(pair->side[0].ship, &stats);
	assert_true(stats.reconnects > 40);
	pair_check_buffers(pair);
	pair_free(pair);
}

/*
 * A write hangs in the owner's store when the connection is lost. The ingress may not run it anew,
 * nor anything else of that reactor, until the old one has ended.
 */
static void test_barrier(void **state)
{
	struct pair *pair = linked_pair(false);
	struct pair_task *t = pair_task_new(&pair->side[0], 0, true, 0, 4096, 7);
	struct pair_task *other = pair_task_new(&pair->side[0], 1, true, 65536, 4096, 8);

	(void)state;
	pair->side[1].mode = PAIR_STORE;
	pair_task_ship(t);
	assert_true(pair_drive(pair, one_held, &pair->side[1]));
	cut(&pair->side[0]);
	assert_true(pair_drive(pair, one_aborted, &pair->side[1]));
	/* Longer than the silence that kills a connection: PING and PONG keep the waiting one. */
	pair_linger(pair, 1500);
	assert_int_equal(t->again, 0);
	assert_int_equal(t->back, 0);
	assert_int_equal(pair->side[1].held_count, 1);
	assert_int_equal(pair->side[0].link, false);
	/* The other reactor is not concerned. */
	pair->side[1].mode = PAIR_RUN;
	pair_task_ship(other);
	assert_true(pair_drive(pair, pair_task_is_back, other));
	assert_int_equal(t->back, 0);

	pair_release(&pair->side[1]);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->again, 1);
	assert_int_equal(t->outcome, SHIP_DONE);
	assert_true(pair_pattern_is(pair->side[1].disk, 4096, 7));
	assert_int_equal(pair->side[1].double_runs, 0);
	assert_true(pair_drive(pair, pair_linked, pair));
	pair_task_free(t);
	pair_task_free(other);
	pair_check_buffers(pair);
	pair_free(pair);
}

static bool has_tmf(void *arg)
{
	return ((struct pair_side *)arg)->tmfs > 0;
}

static void tmf_over(void *arg)
{
	++*(unsigned *)arg;
}

/*
 * The barrier does not wait for what is in the ledger, and for no TMF: both may have to wait for
 * tasks of the side that connects, which end only when it is connected. (The interconnect of two
 * controllers stayed down for ever after PREEMPT AND ABORT.)
 */
static void test_barrier_and_ledger(void **state)
{
	struct pair *pair = linked_pair(false);
	const struct group_ship *ops = ship_ops(pair->side[0].ship);
	struct scsi_identity who = {
		.initiator = "iqn.x:h", .target = "iqn.x:t", .rtpi = 257, .controller = 1};
	struct pair_task *t = pair_task_new(&pair->side[0], 0, true, 0, 4096, 7);
	uint8_t lu[16] = {0};
	unsigned done = 0;

	(void)state;
	pair->side[1].mode = PAIR_STORE;
	pair->side[1].recording = pair->side[1].tmf_hold = true;
	pair_task_ship(t);
	ops->tmf(ops->ctx, pair->side[0].reactors[0], SCSI_TMF_LU_RESET, lu, &who, tmf_over, &done);
	assert_true(pair_drive(pair, one_held, &pair->side[1]));
	assert_true(pair_drive(pair, has_tmf, &pair->side[1]));
	cut(&pair->side[0]);
	assert_true(pair_drive(pair, one_aborted, &pair->side[1]));
	pair->side[1].tmf_hold = false; /* it comes again, by the new connection */
	assert_true(pair_drive(pair, pair_linked, pair));
	pair_linger(pair, 50);
	assert_int_equal(done, 1);
	/* The former life of the command ends behind the new one, which it has not kept waiting. */
	assert_int_equal(pair->side[1].runs, 2);
	pair->side[1].tmf_done(pair->side[1].tmf_arg);
	pair_release(&pair->side[1]);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->again, 1);
	assert_int_equal(t->outcome, SHIP_DONE);
	pair_task_free(t);
	pair_check_buffers(pair);
	pair_free(pair);
}

/* An abort while the connection is lost does not end what may still run. */
static void test_abort_while_lost(void **state)
{
	struct pair *pair = linked_pair(false);
	const struct group_ship *ops = ship_ops(pair->side[0].ship);
	struct pair_task *sent = pair_task_new(&pair->side[0], 0, true, 0, 4096, 7);
	struct pair_task *fresh = pair_task_new(&pair->side[0], 0, true, 8192, 4096, 8);

	(void)state;
	sent->resend = fresh->resend = false;
	pair->side[1].mode = PAIR_STORE;
	pair_task_ship(sent);
	assert_true(pair_drive(pair, one_held, &pair->side[1]));
	cut(&pair->side[0]);
	assert_true(pair_drive(pair, one_aborted, &pair->side[1]));
	ops->abort(ops->ctx, &sent->task);
	pair_linger(pair, 50);
	assert_int_equal(sent->back, 0);
	/* What was never sent goes back to the gate, which may know more. */
	pair_task_ship(fresh);
	assert_true(pair_drive(pair, pair_task_is_back, fresh));
	assert_int_equal(fresh->outcome, SHIP_AGAIN);
	assert_int_equal(sent->back, 0);
	pair_release(&pair->side[1]);
	assert_true(pair_drive(pair, pair_task_is_back, sent));
	assert_int_equal(sent->outcome, SHIP_AGAIN);
	pair_task_free(sent);
	pair_task_free(fresh);
	pair_free(pair);
}

static bool four_held(void *arg)
{
	return ((struct pair_side *)arg)->held_count == 4;
}

/* More data than the byte window: it is never exceeded, and everything gets through. */
static void test_byte_window(void **state)
{
	struct pair *pair = linked_pair(false);
	struct ship_out *out = &pair->side[0].ship->ports[0].out;
	struct pair_task *t[7];
	struct wait wait = {t, 7};

	(void)state;
	pair->side[1].mode = PAIR_HOLD;
	for (unsigned i = 0; i < 7; i++) {
		t[i] = pair_task_new(&pair->side[0], 0, true, i * (4u << 20), 4u << 20, i);
		pair_task_ship(t[i]);
		assert_true(out->active_bytes <= SHIP_WINDOW_BYTES);
	}
	assert_true(pair_drive(pair, four_held, &pair->side[1]));
	pair_linger(pair, 50);
	assert_int_equal(pair->side[1].held_count, 4); /* of 4 MiB, in 16 MiB */
	pair->side[1].mode = PAIR_RUN;
	pair_release(&pair->side[1]);
	assert_true(pair_drive(pair, wait_is_over, &wait));
	for (unsigned i = 0; i < 7; i++) {
		assert_true(pair_pattern_is(pair->side[1].disk + i * (4u << 20), 4u << 20, i));
		pair_task_free(t[i]);
	}
	assert_int_equal(out->active_bytes, 0);
	pair_check_buffers(pair);
	pair_free(pair);
}

/* Shipped reads take at most half of the pool, so that writes and the peer's reads go on. */
static void test_read_share(void **state)
{
	struct pair *pair = linked_pair(false);
	struct buf_pool *pool = reactor_buffers(pair->side[0].reactors[0]);
	struct pair_task *t[12];
	struct wait wait = {t, 12};

	(void)state;
	pair->side[1].mode = PAIR_HOLD;
	for (unsigned i = 0; i < 12; i++) {
		t[i] = pair_task_new(&pair->side[0], 0, false, 0, 4u << 20, i);
		pair_task_ship(t[i]);
	}
	pair_linger(pair, 100);
	assert_true(buf_pool_used(pool) <= buf_pool_limit(pool) / 2);
	assert_int_equal(pair->side[1].held_count, 8);
	/* A write passes the waiting reads. */
	pair->side[1].mode = PAIR_RUN;
	struct pair_task *w = pair_task_new(&pair->side[0], 0, true, 0, 512, 99);
	pair_task_ship(w);
	assert_true(pair_drive(pair, pair_task_is_back, w));
	pair_task_free(w);
	/* The answers come in as buffers get free at the owner as well. */
	while (!qb_list_empty(&pair->side[1].held)) {
		struct scsi_task *task =
			qb_list_first_entry(&pair->side[1].held, struct scsi_task, wait_link);

		pair->side[1].mode = PAIR_HOLD;
		pair->side[1].serve.task_abort(&pair->side[1], task);
	}
	pair->side[1].mode = PAIR_RUN;
	assert_true(pair_drive(pair, wait_is_over, &wait));
	for (unsigned i = 0; i < 12; i++) {
		pair_task_free(t[i]);
	}
	pair_check_buffers(pair);
	pair_free(pair);
}

/* All buffers of the reactor are taken: a shipped read waits, and goes on when one comes back. */
static void test_no_buffer(void **state)
{
	struct pair *pair = linked_pair(false);
	struct buf_pool *pool = reactor_buffers(pair->side[0].reactors[0]);
	struct buf *taken[8];
	struct pair_task *t = pair_task_new(&pair->side[0], 0, false, 0, 4096, 1);

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		taken[i] = buf_get(pool, BUF_MAX_BYTES);
		assert_non_null(taken[i]);
	}
	pair_task_ship(t);
	pair_linger(pair, 30);
	assert_int_equal(t->back, 0);
	assert_int_equal(pair->side[1].runs, 0);
	buf_put(pool, taken[0]);
	assert_true(pair_drive(pair, pair_task_is_back, t));
	assert_int_equal(t->again, 0);
	for (unsigned i = 1; i < 8; i++) {
		buf_put(pool, taken[i]);
	}
	pair_task_free(t);
	pair_free(pair);
}

/* A peer that says nothing any more is found out. */
static void test_silence(void **state)
{
	struct pair *pair = linked_pair(false);
	unsigned changes = pair->side[0].link_changes;
	uint64_t limit = 0;

	(void)state;
	pair->side[0].ship->timing.silence_ms = 1000;
	/* Idle, but alive: PING and PONG keep it. */
	pair_linger(pair, 2500);
	assert_int_equal(pair->side[0].link_changes, changes);
	/* Side 1 stands still. */
	while (pair->side[0].link && limit++ < 100000) {
		reactor_run_once(pair->side[0].reactors[0], 1);
		reactor_run_once(pair->side[0].reactors[1], 1);
		mailbox_run(&pair->side[0].control);
	}
	assert_false(pair->side[0].link);
	assert_true(pair_drive(pair, pair_linked, pair));
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_barrier),
		cmocka_unit_test(test_barrier_and_ledger),
		cmocka_unit_test(test_abort_while_lost),
		cmocka_unit_test(test_byte_window),
		cmocka_unit_test(test_read_share),
		cmocka_unit_test(test_no_buffer),
		cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
