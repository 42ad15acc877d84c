/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is let in: members, keys, incarnations, configurations; and what a bad peer can do. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "ha/ship_key.h"
#include "tests/unit/ship_pair.h"
#include "yoke/util.h"

static bool one_held(void *arg)
{
	return ((struct pair_side *)arg)->held_count > 0;
}

static bool link_is_down(void *arg)
{
	return !((struct pair_side *)arg)->link;
}

static bool none_left(void *arg)
{
	return ((struct pair_side *)arg)->nexuses == 0;
}

static bool two_held(void *arg)
{
	return ((struct pair_side *)arg)->held_count > 1;
}

static uint64_t refused(struct pair_side *side)
{
	struct ship_stats stats;

	ship_stats(side->ship, &stats);
	return stats.refused_frames;
}

static bool has_refused(void *arg)
{
	return refused(arg) > 0;
}

/* The peer leaves with tasks in flight both ways, and comes back. */
static void test_down_and_up(void **state)
{
	struct pair *pair = pair_new(false);
	struct pair_task *out = pair_task_new(&pair->side[0], 0, true, 0, 4096, 1);
	struct pair_task *in = pair_task_new(&pair->side[1], 1, true, 0, 4096, 2);
	struct pair_task *late;

	(void)state;
	pair_meet(pair);
	assert_true(pair_drive(pair, pair_linked, pair));
	pair->side[0].mode = pair->side[1].mode = PAIR_STORE;
	out->resend = in->resend = false;
	pair_task_ship(out);
	pair_task_ship(in);
	assert_true(pair_drive(pair, one_held, &pair->side[0]));
	assert_true(pair_drive(pair, one_held, &pair->side[1]));

	ship_peer_down(pair->side[0].ship);
	assert_true(pair_drive(pair, link_is_down, &pair->side[0]));
	/* Shipped out: back to the gate. Shipped in: aborted, and waited for. */
	assert_true(pair_drive(pair, pair_task_is_back, out));
	assert_int_equal(out->outcome, SHIP_AGAIN);
	assert_true(out->task.rerun); /* it may have run there */
	assert_true(out->task.adrift); /* and may still */
	assert_int_equal(pair->side[0].aborts, 1);
	assert_int_equal(pair->side[0].nexuses, 1);
	pair_release(&pair->side[0]);
	assert_true(pair_drive(pair, none_left, &pair->side[0]));
	/* Without a peer a command is looked at again and again, never answered, never lost. */
	late = pair_task_new(&pair->side[0], 0, true, 8192, 512, 3);
	pair_task_ship(late);
	pair_linger(pair, 60);
	assert_true(late->again >= 2);
	assert_int_equal(late->back, 0);
	assert_false(late->task.rerun || late->task.adrift); /* it never left */
	/* Side 1 has not seen side 0 leave; its task waits for a new connection. */
	assert_int_equal(in->back, 0);
	ship_peer_down(pair->side[1].ship);
	assert_true(pair_drive(pair, pair_task_is_back, in));
	assert_int_equal(in->outcome, SHIP_AGAIN);
	pair_release(&pair->side[1]);

	pair->side[0].mode = pair->side[1].mode = PAIR_RUN;
	pair_meet(pair);
	assert_true(pair_drive(pair, pair_linked, pair));
	assert_true(pair_drive(pair, pair_task_is_back, late));
	assert_int_equal(late->outcome, SHIP_DONE);
	assert_true(pair_pattern_is(pair->side[1].disk + 8192, 512, 3));
	pair_task_free(out);
	pair_task_free(in);
	pair_task_free(late);
	pair_check_buffers(pair);
	pair_free(pair);
}

/* Freed with everything in flight: no leak, no crash. */
static void test_free_busy(void **state)
{
	struct pair *pair = pair_new(false);
	struct pair_task *t[3];

	(void)state;
	pair_meet(pair);
	assert_true(pair_drive(pair, pair_linked, pair));
	pair->side[1].mode = PAIR_STORE;
	for (unsigned i = 0; i < 3; i++) {
		t[i] = pair_task_new(&pair->side[0], 0, i < 2, i * 65536, 65536, i);
		pair_task_ship(t[i]);
	}
	assert_true(pair_drive(pair, two_held, &pair->side[1]));
	for (unsigned i = 0; i < 2; i++) {
		buf_put(reactor_buffers(t[i]->task.reactor), t[i]->task.buf);
		t[i]->task.buf = NULL;
	}
	pair_free(pair);
	for (unsigned i = 0; i < 3; i++) {
		free(t[i]);
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

static void test_tmf_and_down(void **state)
{
	struct pair *pair = pair_new(false);
	struct scsi_identity who = {.initiator = "h", .target = "t", .rtpi = 257, .controller = 1};
	const struct group_ship *ops = ship_ops(pair->side[0].ship);
	uint8_t lu[16] = {0};
	unsigned done = 0;

	(void)state;
	ops->tmf(ops->ctx, pair->side[0].reactors[0], SCSI_TMF_LU_RESET, lu, &who, tmf_done, &done);
	assert_int_equal(done, 0); /* not inside the call */
	assert_true(pair_drive(pair, is_nonzero, &done));
	pair_meet(pair);
	assert_true(pair_drive(pair, pair_linked, pair));
	done = 0;
	pair->side[1].tmf_hold = true;
	ops->tmf(ops->ctx, pair->side[0].reactors[0], SCSI_TMF_LU_RESET, lu, &who, tmf_done, &done);
	assert_true(pair_drive(pair, is_nonzero, &pair->side[1].tmfs));
	assert_int_equal(done, 0);
	ship_peer_down(pair->side[0].ship);
	pair_linger(pair, 20);
	/* It may live, and have commands of the LU: that is not over, nor is another one. */
	ops->tmf(ops->ctx, pair->side[0].reactors[0], SCSI_TMF_LU_RESET, lu, &who, tmf_done, &done);
	pair_linger(pair, 20);
	assert_int_equal(done, 0);
	assert_true(ship_awaits_peer(pair->side[0].ship));
	/* The owner's part ends after its connection has gone. */
	pair->side[1].tmf_done(pair->side[1].tmf_arg);
	/* The same daemon is back: it is asked. */
	pair->side[1].tmf_hold = false;
	ship_peer_up(pair->side[0].ship, ship_incarnation(pair->side[1].ship));
	assert_true(pair_drive(pair, is_nonzero, &done));
	pair_linger(pair, 20);
	assert_int_equal(done, 2);
	assert_int_equal(pair->side[1].tmfs, 3);
	assert_false(ship_awaits_peer(pair->side[0].ship));
	/* It is lost, and fenced; then back in another life. */
	for (unsigned i = 0; i < 2; i++) {
		ship_peer_down(pair->side[0].ship);
		pair_linger(pair, 20);
		done = 0;
		ops->tmf(ops->ctx, pair->side[0].reactors[0], SCSI_TMF_LU_RESET, lu, &who, tmf_done,
			&done);
		pair_linger(pair, 20);
		assert_int_equal(done, 0);
		if (i == 0) {
			ship_peer_gone(pair->side[0].ship);
			assert_true(pair_drive(pair, is_nonzero, &done));
			ship_peer_up(pair->side[0].ship, ship_incarnation(pair->side[1].ship));
			assert_true(pair_drive(pair, pair_linked, pair));
		} else {
			ship_peer_up(pair->side[0].ship, ship_incarnation(pair->side[1].ship) + 1);
			assert_true(pair_drive(pair, is_nonzero, &done));
		}
	}
	assert_int_equal(pair->side[1].tmfs, 3);
	pair_free(pair);
}

#define CONTROL_WAIT_S 60 /* only a hang takes that long */

/* The control thread's part, while the reactors run on threads of their own. */
static bool control_waits(struct pair *pair, bool up)
{
	time_t limit = time(NULL) + CONTROL_WAIT_S;

	/* By the clock: a sender that is preempted while it rings makes poll() return at once many
	 * times. */
	while (time(NULL) < limit) {
		struct pollfd fds[2];

		if (pair->side[0].link == up && pair->side[1].link == up) {
			return true;
		}
		for (unsigned n = 0; n < 2; n++) {
			fds[n] = (struct pollfd){.fd = pair->side[n].control.fd, .events = POLLIN};
		}
		if (mailbox_sleep(&pair->side[0].control) &&
			mailbox_sleep(&pair->side[1].control)) {
			poll(fds, 2, 1000);
		}
		for (unsigned n = 0; n < 2; n++) {
			mailbox_awake(&pair->side[n].control);
			mailbox_run(&pair->side[n].control);
		}
	}
	return false;
}

/* Real threads: the link comes and goes; connections move from reactor to reactor. */
static void test_threads(void **state)
{
	struct pair *pair = pair_new(false);

	(void)state;
	for (unsigned i = 0; i < 2 * PAIR_REACTORS; i++) {
		assert_int_equal(reactor_start(pair->side[i % 2].reactors[i / 2]), 0);
	}
	for (unsigned i = 0; i < 5; i++) {
		pair_meet(pair);
		assert_true(control_waits(pair, true));
		ship_peer_down(pair->side[0].ship);
		ship_peer_down(pair->side[1].ship);
		assert_true(control_waits(pair, false));
	}
	for (unsigned i = 0; i < 2 * PAIR_REACTORS; i++) {
		reactor_stop(pair->side[i % 2].reactors[i / 2]);
	}
	pair_free(pair);
}

static void expect_no_link(struct pair *pair)
{
	pair_meet(pair);
	assert_true(pair_drive(pair, has_refused, &pair->side[0]) ||
		    pair_drive(pair, has_refused, &pair->side[1]));
	pair_linger(pair, 50);
	assert_false(pair->side[0].link);
	assert_false(pair->side[1].link);
	assert_int_equal(pair->side[0].runs + pair->side[1].runs, 0);
	pair_free(pair);
}

static void key_write(struct pair_side *side, const char *text, mode_t mode)
{
	FILE *file = fopen(side->key_path, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(side->key_path, mode), 0);
}

#define HEX32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void test_wrong_key(void **state)
{
	struct pair *pair = pair_prepare(false);

	(void)state;
	key_write(&pair->side[1], HEX32 "\n", 0600);
	pair_create(pair);
	expect_no_link(pair);
}

static void test_wrong_cluster(void **state)
{
	struct pair *pair = pair_prepare(false);

	(void)state;
	pair->side[1].conf.cluster = "other";
	pair_create(pair);
	expect_no_link(pair);
}

static void test_wrong_digest(void **state)
{
	struct pair *pair = pair_prepare(false);

	(void)state;
	pair->side[1].conf.digest[31] ^= 1;
	pair_create(pair);
	expect_no_link(pair);
}

static void test_wrong_incarnation(void **state)
{
	struct pair *pair = pair_new(false);
	struct ship_stats stats;

	(void)state;
	/* Side 1 was restarted and side 0 has not heard: neither direction may work. */
	ship_peer_up(pair->side[1].ship, ship_incarnation(pair->side[0].ship));
	ship_peer_up(pair->side[0].ship, ship_incarnation(pair->side[1].ship) + 1);
	assert_true(pair_drive(pair, has_refused, &pair->side[0]));
	assert_true(pair_drive(pair, has_refused, &pair->side[1]));
	pair_linger(pair, 50);
	assert_false(pair->side[0].link);
	assert_false(pair->side[1].link);
	ship_stats(pair->side[0].ship, &stats);
	assert_true(stats.stale_frames > 0);
	/* It hears now. */
	ship_peer_up(pair->side[0].ship, ship_incarnation(pair->side[1].ship));
	assert_true(pair_drive(pair, pair_linked, pair));
	pair_free(pair);
}

static void test_not_a_member(void **state)
{
	struct pair *pair = pair_new(false);

	(void)state;
	ship_peer_up(pair->side[0].ship, ship_incarnation(pair->side[1].ship));
	assert_true(pair_drive(pair, has_refused, &pair->side[1]));
	pair_linger(pair, 30);
	assert_false(pair->side[0].link);
	ship_peer_up(pair->side[1].ship, ship_incarnation(pair->side[0].ship));
	assert_true(pair_drive(pair, pair_linked, pair));
	pair_free(pair);
}

static int dial(struct pair_side *side)
{
	const struct conf_address *to = &side->conf.controllers[side->id - 1].interconnect;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&to->addr, to->length), 0);
	return fd;
}

/* Strangers that say nothing, or rubbish, are bounded and thrown out; the peer still gets in. */
static void test_strangers(void **state)
{
	struct pair *pair = pair_new(false);
	char rubbish[4096];
	int fds[3 * SHIP_HALF_OPEN];

	(void)state;
	memset(rubbish, 0x16, sizeof(rubbish));
	pair->side[1].ship->timing.greeting_ms = 200;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(&pair->side[1]);
		if (i % 2) {
			assert_int_equal(write(fds[i], rubbish, sizeof(rubbish)), sizeof(rubbish));
		}
		pair_pass(pair, 2);
	}
	pair_meet(pair);
	assert_true(pair_drive(pair, pair_linked, pair));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		close(fds[i]);
	}
	assert_true(refused(&pair->side[1]) >= SHIP_HALF_OPEN);
	pair_free(pair);
}

/* A peer with the key that sends what no peer may send loses its connection, and nothing else. */
struct bad_frame {
	const char *name;
	struct ship_tx tx;
	unsigned which;
};

static bool bad_fill(struct ship_conn *conn, struct ship_tx *tx)
{
	const struct bad_frame *bad = container_of(tx, struct bad_frame, tx);
	struct cursor c = ship_frame_begin(conn);
	struct ship_command command = {.cdb_length = 10, .nexus = 77};
	struct ship_result result = {.status = 0};
	uint8_t *at = conn->tx + conn->tx_end;

	switch (bad->which) {
	case 0: /* rubbish */
		cursor_put_zeros(&c, 64);
		ship_frame_end(conn, &c, SHIP_ABORT, 0, 0);
		memset(at, 0xee, 96);
		return false;
	case 1: /* huge length */
		ship_frame_end(conn, &c, SHIP_ABORT, 0, 0);
		be32_put(at + 12, 0xffffffff);
		return false;
	case 2: /* a type of a later version */
		ship_frame_end(conn, &c, SHIP_ABORT, 0, 0);
		at[4] = 9;
		at[6] = 200;
		return false;
	case 3: /* a nexus nobody has heard of */
		ship_command_put(&c, &command, SHIP_VERSION);
		ship_frame_end(conn, &c, SHIP_COMMAND, 1, 0);
		return false;
	case 4: /* a slot beyond the window */
		ship_command_put(&c, &command, SHIP_VERSION);
		ship_frame_end(conn, &c, SHIP_COMMAND, 1, SHIP_WINDOW_COMMANDS);
		return false;
	case 5: /* data nobody waits for */
		cursor_put_u32(&c, 0);
		cursor_put_zeros(&c, 8);
		ship_frame_end(conn, &c, SHIP_DATA_OUT, 1, 3);
		return false;
	case 6: /* the other side's frame */
		ship_result_put(&c, &result);
		ship_frame_end(conn, &c, SHIP_RESULT, 1, 3);
		return false;
	case 7: /* a second HELLO */
		cursor_put_zeros(&c, 70);
		ship_frame_end(conn, &c, SHIP_HELLO, 0, 0);
		return false;
	case 8: /* an identity of no controller */ {
		struct scsi_identity who = {
			.initiator = "h", .target = "t", .rtpi = 769, .controller = 3};

		ship_identity_put(&c, &who);
		ship_frame_end(conn, &c, SHIP_NEXUS, 0, 0);
		return false;
	}
	case 9: /* a nexus id beyond the table */ {
		struct scsi_identity who = {
			.initiator = "h", .target = "t", .rtpi = 257, .controller = 1};

		ship_identity_put(&c, &who);
		ship_frame_end(conn, &c, SHIP_NEXUS, 0, SHIP_NEXUSES);
		return false;
	}
	case 10: /* gone before it came */
		ship_frame_end(conn, &c, SHIP_NEXUS_GONE, 0, 5);
		return false;
	}
	return false;
}

#define BAD_FRAMES 11u

static bool refused_more(void *arg)
{
	struct pair_side *side = arg;

	return refused(side) > side->epoch; /* the test keeps the former count there */
}

static void test_bad_frames(void **state)
{
	struct pair *pair = pair_new(false);

	(void)state;
	pair_meet(pair);
	assert_true(pair_drive(pair, pair_linked, pair));
	for (unsigned i = 0; i < BAD_FRAMES; i++) {
		struct bad_frame bad = {.tx = {.fill = bad_fill}, .which = i};
		struct pair_task *t = pair_task_new(&pair->side[0], 0, true, 0, 512, i);
		unsigned changes = pair->side[0].link_changes;

		pair->side[1].epoch = refused(&pair->side[1]);
		reactor_run_once(pair->side[0].reactors[0], 0);
		ship_conn_send(&pair->side[0].ship->ports[0].out.conn, &bad.tx);
		assert_true(pair_drive(pair, refused_more, &pair->side[1]));
		assert_true(pair_drive(pair, link_is_down, &pair->side[0]) ||
			    pair->side[0].link_changes > changes);
		pair->side[1].epoch = 0;
		pair_task_ship(t);
		assert_true(pair_drive(pair, pair_task_is_back, t));
		assert_true(pair_drive(pair, pair_linked, pair));
		pair_task_free(t);
	}
	pair_check_buffers(pair);
	pair_free(pair);
}

/* ----- the key file ----------------------------------------------------------------------------
 */

static void test_key_decode(void **state)
{
	static const struct {
		const char *text;
		int bytes;
	} rows[] = {
		{"00ff", 2},
		{" 00 FF\n", 2},
		{"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 32},
		{"AAECAwQF", 6},
		{"AAE=", 2},
		{"AB==", -1}, /* bits left over */
		{"0g!", -1},
		{"123", -1}, /* half a byte; as base64 not padded and bits left over */
		{"", 0},
	};
	uint8_t key[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(
			ship_key_decode(rows[i].text, strlen(rows[i].text), key, sizeof(key)),
			rows[i].bytes);
	}
	assert_int_equal(ship_key_decode(HEX32 HEX32 "00", 130, key, sizeof(key)), -1);
	assert_int_equal(
		ship_key_decode("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 44, key, 64), 32);
	assert_int_equal(key[31], 31);
}

static void test_key_file(void **state)
{
	struct pair *pair = pair_prepare(false);
	struct pair_side *side = &pair->side[0];
	uint8_t a[SHIP_PSK_BYTES], b[SHIP_PSK_BYTES];
	char error[512] = "";

	(void)state;
	key_write(side, HEX32 "\n", 0600);
	assert_int_equal(ship_key_load(side->key_path, "x", a, error, sizeof(error)), 0);
	assert_int_equal(ship_key_load(side->key_path, "y", b, error, sizeof(error)), 0);
	assert_memory_not_equal(a, b, sizeof(a)); /* another cluster, another key */
	key_write(side, HEX32, 0640);
	assert_true(ship_key_load(side->key_path, "x", a, error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "chmod 600"));
	key_write(side, HEX32, 0604);
	assert_true(ship_key_load(side->key_path, "x", a, error, sizeof(error)) < 0);
	key_write(side, "0011223344", 0600);
	assert_true(ship_key_load(side->key_path, "x", a, error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "fewer than 32"));
	assert_null(strstr(error, "0011223344")); /* never the key */
	key_write(side, "not a key, is it?", 0600);
	assert_true(ship_key_load(side->key_path, "x", a, error, sizeof(error)) < 0);
	assert_true(ship_key_load(pair->dir, "x", a, error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "regular"));
	unlink(side->key_path);
	assert_true(ship_key_load(side->key_path, "x", a, error, sizeof(error)) < 0);
	assert_non_null(strstr(error, side->key_path));
	assert_true(ship_key_load(NULL, "x", a, error, sizeof(error)) < 0);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_down_and_up),
		cmocka_unit_test(test_free_busy),
		cmocka_unit_test(test_tmf_and_down),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_wrong_cluster),
		cmocka_unit_test(test_wrong_digest),
		cmocka_unit_test(test_wrong_incarnation),
		cmocka_unit_test(test_not_a_member),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_key_decode),
		cmocka_unit_test(test_key_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
