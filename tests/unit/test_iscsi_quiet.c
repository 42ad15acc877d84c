/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that nothing comes on for a while: they are pinged ever more rarely, and what comes
 * then is carried out only when the initiator has shown that it stands by it. One that has given
 * the connection up, and sent everything again by another path, does not.
 */
#include <string.h>
#include <unistd.h>

#include "tests/unit/iscsi_harness.h"
#include "yoke/util.h"

#define FAST	"InitialR2T=No\nImmediateData=Yes"
#define SEVERAL "MaxConnections=3\nInitialR2T=Yes\nImmediateData=Yes"

/* Of the harness, in seconds. */
#define INTERVAL 5u
#define TIMEOUT	 5u
#define QUIET	 (INTERVAL + TIMEOUT)

static struct pdu pdu;

static struct iscsi_conn *newest_conn(unsigned reactor)
{
	return qb_list_entry(harness.iscsi->reactors[reactor].conns.prev, struct iscsi_conn, link);
}

/* So much time goes by for the connection; its timer fires when it is due. */
static void pass(struct iscsi_conn *conn, uint64_t ms)
{
	struct reactor *r = conn->home->reactor;

	while (iscsi_conn_is_open(conn)) {
		uint64_t now_ms = reactor_now_ms(r), left_ms = UINT64_MAX, step_ms;

		if (reactor_timer_is_set(&conn->timer)) {
			left_ms = conn->timer.at_ms > now_ms ? conn->timer.at_ms - now_ms : 0;
		}
		step_ms = left_ms < ms ? left_ms : ms;
		conn->rx.last_ms -= step_ms;
		conn->tx.last_ms -= step_ms;
		conn->ping_ms -= step_ms;
		ms -= step_ms;
		if (left_ms > step_ms) {
			if (left_ms != UINT64_MAX) {
				reactor_timer_set(r, &conn->timer, left_ms - step_ms);
			}
			return;
		}
		reactor_timer_cancel(r, &conn->timer);
		conn->timer.fired(&conn->timer);
	}
}

static void pass_s(struct iscsi_conn *conn, unsigned seconds)
{
	pass(conn, seconds * 1000ull);
}

/* A NOP-Out that answers with the tag. */
static void answer(struct client *c, uint32_t ttt)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	iscsi_bhs_init(bhs, ISCSI_OP_NOP_OUT, F, ISCSI_TAG_NONE);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be32_put(bhs + ISCSI_BHS_TTT, ttt);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn);
	client_pdu(c, bhs, NULL, 0);
}

static uint32_t expect_ping(struct client *c)
{
	client_expect(c, &pdu, ISCSI_OP_NOP_IN);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), ISCSI_TAG_NONE);
	assert_int_not_equal(iscsi_bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
	return iscsi_bhs_ttt(pdu.bhs);
}

/* Quiet, and its first ping answered. */
static struct iscsi_conn *quiet(struct client *c, unsigned reactor)
{
	struct iscsi_conn *conn = newest_conn(reactor);

	pass_s(conn, QUIET);
	answer(c, expect_ping(c));
	harness_settle();
	assert_true(conn->quiet);
	assert_false(conn->pinging);
	client_expect_silence(c);
	return conn;
}

static uint32_t send_write(struct client *c, uint32_t lba, uint8_t fill)
{
	uint8_t bhs[ISCSI_BHS_BYTES], data[FAKE_BLOCK];

	memset(data, fill, sizeof(data));
	client_command(c, bhs, F | W, 0x2a, lba, 1, sizeof(data));
	client_pdu(c, bhs, data, sizeof(data));
	harness_settle();
	return c->itt;
}

static uint32_t send_tur(struct client *c)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	client_command(c, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	client_pdu(c, bhs, NULL, 0);
	harness_settle();
	return c->itt;
}

static uint32_t send_tmf(struct client *c, uint8_t function, uint32_t ref_itt, uint32_t ref_cmdsn)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	iscsi_bhs_init(bhs, ISCSI_OP_TMF_REQUEST, (uint8_t)(F | function), ++c->itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be32_put(bhs + ISCSI_TMF_REFERENCED_TAG, ref_itt);
	be32_put(bhs + ISCSI_TMF_REFCMDSN, ref_cmdsn);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn);
	client_pdu(c, bhs, NULL, 0);
	harness_settle();
	return c->itt;
}

static void expect_good(struct client *c, uint32_t itt)
{
	client_expect(c, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), itt);
	assert_int_equal(pdu.bhs[ISCSI_RESPONSE_STATUS], SCSI_GOOD);
}

static void expect_tmf(struct client *c, uint32_t itt, uint8_t response)
{
	client_expect(c, &pdu, ISCSI_OP_TMF_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), itt);
	assert_int_equal(pdu.bhs[ISCSI_TMF_RESPONSE], response);
}

/* --- how often it is asked --- */

static void quiet_connections_are_asked_ever_more_rarely(void **state)
{
	static const unsigned expected[] = {QUIET, 10, 20, 40, 60, 60, 60};
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = newest_conn(0);
	unsigned seconds = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expected);) {
		pass_s(conn, 1);
		seconds++;
		if (client_pending(&c)) {
			answer(&c, expect_ping(&c));
			assert_int_equal(seconds, expected[i++]);
			seconds = 0;
		}
		assert_true(seconds <= 60);
	}
	/* After a command it begins anew. */
	send_tur(&c);
	answer(&c, expect_ping(&c));
	expect_good(&c, c.itt);
	pass_s(conn, QUIET - 1);
	client_expect_silence(&c);
	pass_s(conn, 1);
	answer(&c, expect_ping(&c));
	pass_s(conn, 2 * INTERVAL);
	answer(&c, expect_ping(&c));
	client_close(&c);
}

/* A host that has gone is found out in time, however rarely it is asked. */
static void dead_hosts_are_found_out(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = newest_conn(0);
	uint32_t statsn = conn->statsn;

	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		pass_s(conn, 1);
		if (client_pending(&c)) {
			answer(&c, expect_ping(&c));
			assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_STATSN), statsn);
			assert_int_equal(conn->statsn, statsn); /* not used up */
		}
	}
	for (unsigned seconds = 0; !client_pending(&c); seconds++) {
		assert_true(seconds < 60);
		pass_s(conn, 1);
	}
	expect_ping(&c);
	pass_s(conn, TIMEOUT - 1);
	client_expect_silence(&c);
	pass_s(conn, 1);
	client_expect_closed(&c);
	assert_int_equal(fake.nexuses, 0);
	client_close(&c);
}

/* An interval beyond a minute stays what it is. */
static void long_intervals(void **state)
{
	struct client c;
	struct iscsi_conn *conn;

	(void)state;
	harness.conf.iscsi.nop_interval_s = 100;
	c = client_login(0, FAST);
	conn = newest_conn(0);
	for (unsigned i = 0; i < 3; i++) {
		pass_s(conn, i ? 99 : 104);
		client_expect_silence(&c);
		pass_s(conn, 1);
		answer(&c, expect_ping(&c));
	}
	client_close(&c);
}

/* With a command under way it is asked at every interval, and dropped if it says nothing. */
static void busy_connections_are_asked_all_the_time(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = quiet(&c, 0);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	client_command(&c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
	client_pdu(&c, bhs, NULL, 0);
	answer(&c, expect_ping(&c));
	for (unsigned i = 0; i < 100; i++) {
		pass_s(conn, INTERVAL - 1);
		client_expect_silence(&c);
		pass_s(conn, 1);
		answer(&c, expect_ping(&c));
		assert_false(conn->quiet);
	}
	pass_s(conn, INTERVAL + TIMEOUT - 1);
	expect_ping(&c);
	client_expect_silence(&c);
	pass_s(conn, 1);
	client_expect_closed(&c);
	client_close(&c);
}

/* A timer that comes late has not asked: it asks, and drops only who was asked. */
static void a_late_timer_asks_first(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = newest_conn(0);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	client_command(&c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
	client_pdu(&c, bhs, NULL, 0);
	harness_settle();
	conn->rx.last_ms -= 1000 * 2 * QUIET;
	conn->timer.fired(&conn->timer);
	expect_ping(&c);
	client_expect_silence(&c);
	pass_s(conn, TIMEOUT);
	client_expect_closed(&c);
	client_close(&c);
}

/* A command that comes at any moment before a connection is quiet is asked about in time. */
static void the_first_ping_is_never_late(void **state)
{
	(void)state;
	for (unsigned at = 0; at < QUIET; at++) {
		struct client c = client_login(0, FAST);
		struct iscsi_conn *conn = newest_conn(0);
		uint8_t bhs[ISCSI_BHS_BYTES];

		pass_s(conn, at);
		client_expect_silence(&c);
		client_command(&c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
		client_pdu(&c, bhs, NULL, 0);
		harness_settle();
		assert_int_equal(fake.ran, at + 1); /* at once */
		pass_s(conn, INTERVAL - 1);
		client_expect_silence(&c);
		pass_s(conn, 1);
		expect_ping(&c);
		client_close(&c);
		fake_release();
		harness_settle();
	}
}

/* Discovery sessions are not asked (RFC 7143 4.3), and connections without nop_interval are not. */
static void those_that_are_not_asked(void **state)
{
	struct client d = client_connect(0), c;
	struct iscsi_conn *conn = newest_conn(0);

	(void)state;
	client_send_login(&d, true);
	client_expect(&d, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	pass_s(conn, 1000);
	client_expect_silence(&d);
	assert_false(conn->quiet);
	harness.conf.iscsi.nop_interval_s = 0;
	c = client_login(0, FAST);
	conn = newest_conn(0);
	pass_s(conn, 1000);
	client_read(&c, 0, 1, &pdu);
	assert_false(conn->quiet);
	client_close(&c);
	client_close(&d);
}

/* --- what comes first --- */

static void the_first_command_waits_for_an_answer(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = quiet(&c, 0);
	uint32_t write, tur, ttt;

	(void)state;
	write = send_write(&c, 7, 0x77);
	ttt = expect_ping(&c);
	tur = send_tur(&c);
	client_expect_silence(&c); /* one ping for all of them */
	assert_int_equal(fake.ran, 0);
	assert_int_equal(fake.disk[7 * FAKE_BLOCK], 0);
	answer(&c, ttt);
	expect_good(&c, write);
	expect_good(&c, tur);
	assert_int_equal(fake.ran, 2);
	assert_int_equal(fake.disk[7 * FAKE_BLOCK], 0x77);
	/* From now on it is like any other. */
	assert_false(conn->quiet);
	client_read(&c, 7, 1, &pdu);
	pass_s(conn, QUIET - 1);
	client_read(&c, 7, 1, &pdu);
	client_close(&c);
}

/*
 * The network was cut, the host has sent its writes by another path, the network is back: the host
 * resets what is asked on a connection that it has closed, or it is gone and says nothing.
 */
static void stale_writes_are_never_carried_out(void **state)
{
	(void)state;
	for (unsigned row = 0; row < 3; row++) {
		struct client c = client_login(0, FAST);
		struct iscsi_conn *conn = newest_conn(0);

		if (row < 2) {
			quiet(&c, 0);
		} else {
			/* The bytes come before the timer: a daemon that was stopped meanwhile. */
			conn->rx.last_ms -= 1000 * QUIET;
		}
		send_write(&c, 7, 0x77);
		send_write(&c, 8, 0x77);
		send_tmf(&c, SCSI_TMF_LU_RESET, 0, 0);
		expect_ping(&c);
		if (row == 0) {
			client_close(&c);
		} else {
			pass_s(conn, TIMEOUT - 1);
			client_expect_silence(&c);
			pass_s(conn, 1);
			client_expect_closed(&c);
			client_close(&c);
		}
		assert_int_equal(fake.nexuses, 0);
		assert_int_equal(fake.ran, 0);
		assert_int_equal(fake.tmfs, 0);
		assert_int_equal(fake.disk[7 * FAKE_BLOCK], 0);
	}
}

/* With something under way an initiator was asked, so silence is its end: nothing is read. */
static void data_for_a_command_under_way(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = newest_conn(0);
	uint8_t bhs[ISCSI_BHS_BYTES], data[FAKE_BLOCK] = {0x77};

	(void)state;
	client_command(&c, bhs, F | W, 0x2a, 7, 1, sizeof(data));
	client_pdu(&c, bhs, NULL, 0);
	client_expect(&c, &pdu, ISCSI_OP_R2T);
	conn->rx.last_ms -= 1000 * QUIET;
	client_data_out(bhs, c.itt, iscsi_bhs_ttt(pdu.bhs), 0, 0, true);
	client_pdu(&c, bhs, data, sizeof(data));
	harness_settle();
	assert_int_equal(fake.nexuses, 0);
	assert_int_equal(fake.ran, 0);
	client_close(&c);
}

/* Only the answer to the ping is proof: not other bytes, nor the answer to another ping. */
static void what_is_no_answer(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = newest_conn(0);
	uint32_t write, ttt, earlier;

	(void)state;
	pass_s(conn, QUIET);
	earlier = expect_ping(&c);
	pass_s(conn, 1);
	client_expect_alive(&c); /* a sign of life, but not the answer */
	pass_s(conn, TIMEOUT);
	client_expect_alive(&c); /* and a silence that is short, on a connection that is quiet */
	write = send_write(&c, 7, 0x77);
	ttt = expect_ping(&c);
	assert_int_not_equal(ttt, earlier);
	answer(&c, earlier);
	client_expect_alive(&c);
	answer(&c, ttt + 1);
	answer(&c, ISCSI_TAG_NONE);
	client_expect_silence(&c);
	assert_int_equal(fake.ran, 0);
	answer(&c, ttt);
	expect_good(&c, write);
	client_close(&c);
}

/* A command that comes while a ping is under way waits for that one's answer. */
static void a_ping_that_is_under_way_will_do(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = newest_conn(0);
	uint32_t write, ttt;

	(void)state;
	pass_s(conn, QUIET);
	ttt = expect_ping(&c);
	pass_s(conn, TIMEOUT - 1);
	write = send_write(&c, 7, 0x77);
	client_expect_silence(&c);
	assert_int_equal(fake.ran, 0);
	pass_s(conn, 1); /* its bytes are a sign of life, but the ping is not forgotten */
	client_expect_silence(&c);
	assert_int_equal(fake.ran, 0);
	answer(&c, ttt);
	expect_good(&c, write);
	client_close(&c);
}

/* Data that comes unasked is taken meanwhile; other data is asked for only after the answer. */
static void data_while_it_waits(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES], data[2 * FAKE_BLOCK];
	uint32_t unasked, asked, ttt;

	(void)state;
	memset(data, 0x55, sizeof(data));
	quiet(&c, 0);
	client_command(&c, bhs, W, 0x2a, 7, 2, 2 * FAKE_BLOCK);
	unasked = c.itt;
	client_pdu(&c, bhs, data, FAKE_BLOCK);
	ttt = expect_ping(&c);
	client_data_out(bhs, unasked, ISCSI_TAG_NONE, 0, FAKE_BLOCK, true);
	client_pdu(&c, bhs, data, FAKE_BLOCK);
	client_command(&c, bhs, F | W, 0x2a, 20, 1, FAKE_BLOCK);
	asked = c.itt;
	client_pdu(&c, bhs, NULL, 0);
	client_expect_silence(&c);
	answer(&c, ttt);
	client_expect(&c, &pdu, ISCSI_OP_R2T);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), asked);
	client_data_out(bhs, asked, iscsi_bhs_ttt(pdu.bhs), 0, 0, true);
	expect_good(&c, unasked);
	client_pdu(&c, bhs, data, FAKE_BLOCK);
	expect_good(&c, asked);
	assert_memory_equal(fake.disk + 7 * FAKE_BLOCK, data, sizeof(data));
	assert_memory_equal(fake.disk + 20 * FAKE_BLOCK, data, FAKE_BLOCK);
	client_close(&c);
}

/* The answer before the last of the unsolicited data: the rest comes to a command like any other.
 */
static void an_answer_between_data(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES], data[2 * FAKE_BLOCK];

	(void)state;
	memset(data, 0x55, sizeof(data));
	quiet(&c, 0);
	client_command(&c, bhs, W, 0x2a, 7, 2, 2 * FAKE_BLOCK);
	client_pdu(&c, bhs, data, FAKE_BLOCK);
	answer(&c, expect_ping(&c));
	client_expect_silence(&c);
	client_data_out(bhs, c.itt, ISCSI_TAG_NONE, 0, FAKE_BLOCK, true);
	client_pdu(&c, bhs, data, FAKE_BLOCK);
	expect_good(&c, c.itt);
	assert_memory_equal(fake.disk + 7 * FAKE_BLOCK, data, sizeof(data));
	client_close(&c);
}

/* The window bounds what waits; a command beyond it, or a second time, is ignored as ever. */
static void a_window_full_of_them(void **state)
{
	struct client c = client_login(0, FAST);
	uint32_t ttt, first;

	(void)state;
	quiet(&c, 0);
	first = send_write(&c, 0, 1);
	ttt = expect_ping(&c);
	c.cmdsn--; /* the same once more */
	send_write(&c, 0, 0xee);
	for (unsigned i = 1; i < HARNESS_WINDOW; i++) {
		send_write(&c, i, (uint8_t)(i + 1));
	}
	send_write(&c, 99, 0xee); /* beyond */
	client_expect_silence(&c);
	answer(&c, ttt);
	expect_good(&c, first);
	for (unsigned i = 1; i < HARNESS_WINDOW; i++) {
		expect_good(&c, first + 1 + i);
	}
	client_expect_silence(&c);
	assert_int_equal(fake.ran, HARNESS_WINDOW);
	for (unsigned i = 0; i < HARNESS_WINDOW; i++) {
		assert_int_equal(fake.disk[i * FAKE_BLOCK], i + 1);
	}
	assert_int_equal(fake.disk[99 * FAKE_BLOCK], 0);
	client_close(&c);
}

/* More data than the connection may have buffers for: the answer behind it is read all the same. */
static void more_data_than_buffers(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = quiet(&c, 0);
	uint8_t bhs[ISCSI_BHS_BYTES], data[8 * FAKE_BLOCK];
	uint32_t ttt = 0;

	(void)state;
	memset(data, 0x55, sizeof(data));
	conn->home->share_bytes = sizeof(data);
	for (unsigned i = 0; i < 4; i++) {
		client_command(&c, bhs, F | W, 0x2a, i * 8, 8, sizeof(data));
		client_pdu(&c, bhs, data, sizeof(data));
		ttt = i ? ttt : expect_ping(&c);
	}
	assert_int_equal(fake.ran, 0);
	answer(&c, ttt);
	for (unsigned i = 0; i < 4; i++) {
		expect_good(&c, c.itt - 3 + i);
		assert_memory_equal(fake.disk + i * sizeof(data), data, sizeof(data));
	}
	client_close(&c);
}

static void digest_errors_while_it_waits(void **state)
{
	(void)state;
	for (unsigned row = 0; row < 2; row++) {
		struct client c = client_login(0, FAST "\nHeaderDigest=CRC32C\nDataDigest=CRC32C");
		uint8_t bhs[ISCSI_BHS_BYTES], data[FAKE_BLOCK] = {0x77}, out[1024];
		uint32_t ttt, write, ran = fake.ran;
		size_t n;

		quiet(&c, 0);
		write = send_write(&c, 7, 0x11);
		ttt = expect_ping(&c);
		client_command(&c, bhs, F | W, 0x2a, 8, 1, sizeof(data));
		n = client_build(&c, out, bhs, data, sizeof(data));
		out[row == 0 ? 2 : n - 1] ^= 1;
		client_send(&c, out, n);
		if (row == 0) {
			client_expect_closed(&c);
			assert_int_equal(fake.ran, ran);
		} else {
			client_expect(&c, &pdu, ISCSI_OP_REJECT);
			client_pdu(&c, bhs, data, sizeof(data)); /* again, with its CmdSN */
			assert_int_equal(fake.ran, ran);
			answer(&c, ttt);
			expect_good(&c, write);
			expect_good(&c, c.itt);
		}
		client_close(&c);
	}
}

/* --- task management, immediate commands --- */

static void abort_of_one_that_waits(void **state)
{
	struct client c = client_login(0, FAST);
	uint32_t write, tmf, ttt;

	(void)state;
	quiet(&c, 0);
	write = send_write(&c, 7, 0x77);
	ttt = expect_ping(&c);
	tmf = send_tmf(&c, SCSI_TMF_ABORT_TASK, write, c.cmdsn - 1);
	client_expect_silence(&c);
	answer(&c, ttt);
	expect_tmf(&c, tmf, SCSI_TMF_COMPLETE);
	client_expect(&c, &pdu, ISCSI_OP_NOP_IN); /* its CmdSN leaves no hole */
	assert_int_equal(iscsi_bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN), c.cmdsn);
	client_read(&c, 7, 1, &pdu);
	assert_int_equal(fake.ran, 1);
	assert_int_equal(fake.disk[7 * FAKE_BLOCK], 0);
	client_close(&c);
}

/* A reset ends what is older, and not what came after it. */
static void reset_while_they_wait(void **state)
{
	struct client c = client_login(0, FAST);
	uint32_t tmf, after, ttt;

	(void)state;
	quiet(&c, 0);
	tmf = send_tmf(&c, SCSI_TMF_LU_RESET, 0, 0);
	ttt = expect_ping(&c);
	send_write(&c, 9, 0x99);
	answer(&c, ttt);
	expect_tmf(&c, tmf, SCSI_TMF_COMPLETE);
	expect_good(&c, c.itt);
	assert_int_equal(fake.disk[9 * FAKE_BLOCK], 0x99);
	quiet(&c, 0);
	send_write(&c, 7, 0x77);
	ttt = expect_ping(&c);
	tmf = send_tmf(&c, SCSI_TMF_LU_RESET, 0, 0);
	after = send_write(&c, 8, 0x88);
	assert_int_equal(fake.tmfs, 1);
	answer(&c, ttt);
	expect_tmf(&c, tmf, SCSI_TMF_COMPLETE);
	expect_good(&c, after);
	client_expect_silence(&c);
	assert_int_equal(fake.tmfs, 2);
	assert_int_equal(fake.disk[7 * FAKE_BLOCK], 0);
	assert_int_equal(fake.disk[8 * FAKE_BLOCK], 0x88);
	client_close(&c);
}

/* The session ends by a function that waited, with more behind it. */
static void cold_reset_while_they_wait(void **state)
{
	struct client c = client_login(0, FAST);
	uint32_t tmf, ttt;

	(void)state;
	quiet(&c, 0);
	tmf = send_tmf(&c, SCSI_TMF_TARGET_COLD_RESET, 0, 0);
	ttt = expect_ping(&c);
	send_tmf(&c, SCSI_TMF_LU_RESET, 0, 0);
	send_write(&c, 7, 0x77);
	answer(&c, ttt);
	expect_tmf(&c, tmf, SCSI_TMF_COMPLETE);
	client_expect_closed(&c);
	assert_int_equal(fake.ran, 0);
	client_close(&c);
}

static void immediate_commands_wait(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint32_t ttt;

	(void)state;
	quiet(&c, 0);
	client_command(&c, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be32_put(bhs + ISCSI_BHS_CMDSN, --c.cmdsn);
	client_pdu(&c, bhs, NULL, 0);
	ttt = expect_ping(&c);
	client_expect_silence(&c);
	assert_int_equal(fake.ran, 0);
	answer(&c, ttt);
	expect_good(&c, c.itt);
	client_read(&c, 0, 1, &pdu);
	client_close(&c);
}

/* --- the end --- */

/* Logout, a stop, another login of the same initiator port: what waits is not carried out. */
static void ends_while_they_wait(void **state)
{
	(void)state;
	for (unsigned row = 0; row < 3; row++) {
		struct client c = client_login(0, FAST), again;
		uint8_t bhs[ISCSI_BHS_BYTES];
		bool stopped = false;

		quiet(&c, 0);
		send_write(&c, 7, 0x77);
		send_tmf(&c, SCSI_TMF_LU_RESET, 0, 0);
		expect_ping(&c);
		switch (row) {
		case 0:
			iscsi_bhs_init(
				bhs, ISCSI_OP_LOGOUT_REQUEST, F | ISCSI_LOGOUT_SESSION, ++c.itt);
			be32_put(bhs + ISCSI_BHS_CMDSN, c.cmdsn++);
			client_pdu(&c, bhs, NULL, 0);
			client_expect(&c, &pdu, ISCSI_OP_LOGOUT_RESPONSE);
			break;
		case 1:
			again = client_login(1, FAST);
			client_read(&again, 0, 1, &pdu);
			fake.ran--;
			client_close(&again);
			break;
		default:
			iscsi_stop(harness.iscsi, harness_stopped, &stopped);
			client_expect(&c, &pdu, ISCSI_OP_ASYNC);
			harness_settle();
			assert_true(stopped);
			break;
		}
		client_expect_closed(&c);
		client_close(&c);
		assert_int_equal(fake.ran, 0);
		assert_int_equal(fake.tmfs, 0);
	}
}

/* Other times, or none, while a command waits: the answer counts, and is waited for in time. */
static void reload_while_it_waits(void **state)
{
	static struct conf next;

	(void)state;
	for (unsigned row = 0; row < 4; row++) {
		struct client c = client_login(0, FAST);
		struct iscsi_conn *conn = newest_conn(0);
		unsigned ran = fake.ran;
		bool done = false;
		uint32_t ttt = 0;

		quiet(&c, 0);
		if (row < 3) {
			send_write(&c, 7, 0x77);
			ttt = expect_ping(&c);
		}
		next = harness.conf;
		next.iscsi.nop_interval_s = row == 0 ? 7 : 0;
		iscsi_conf_set(harness.iscsi, &next, NULL, harness_stopped, &done);
		harness_settle();
		assert_true(done);
		if (row == 3) { /* it has not begun to wait */
			send_write(&c, 7, 0x77);
			ttt = expect_ping(&c);
		}
		client_expect_silence(&c);
		assert_int_equal(fake.ran, ran);
		if (row == 1) {
			pass_s(conn, TIMEOUT);
			client_expect_closed(&c);
			assert_int_equal(fake.ran, ran);
		} else {
			answer(&c, ttt);
			expect_good(&c, c.itt);
			assert_int_equal(reactor_timer_is_set(&conn->timer), row == 0);
		}
		client_close(&c);
		iscsi_conf_set(harness.iscsi, &harness.conf, NULL, harness_stopped, &done);
		harness_settle();
	}
}

/* Times that a reload has brought hold for the sessions that are there. */
static void reload_of_an_idle_session(void **state)
{
	static struct conf next;
	struct client c;
	struct iscsi_conn *conn;
	bool done = false;

	(void)state;
	next = harness.conf;
	harness.conf.iscsi.nop_interval_s = 0;
	c = client_login(0, FAST);
	conn = newest_conn(0);
	pass_s(conn, 100);
	iscsi_conf_set(harness.iscsi, &next, NULL, harness_stopped, &done);
	harness_settle();
	assert_true(done);
	client_read(&c, 0, 1, &pdu); /* it was not asked so far: it has not failed to answer */
	pass_s(conn, QUIET);
	expect_ping(&c);
	client_close(&c);
	iscsi_conf_set(harness.iscsi, &harness.conf, NULL, harness_stopped, &done);
	harness_settle();
}

/* --- several connections --- */

static struct client joined(const struct client *first, uint16_t cid)
{
	struct client c = client_connect(0);

	c.tsih = first->tsih;
	c.cid = cid;
	c.cmdsn = first->cmdsn;
	c.itt = 0x1000u * cid;
	client_send_login(&c, false);
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS), 0);
	return c;
}

/* What came on another connection keeps its place behind what waits, whatever becomes of that. */
static void order_across_connections(void **state)
{
	(void)state;
	for (unsigned row = 0; row < 3; row++) {
		struct client a = client_login(0, SEVERAL), b;
		struct iscsi_conn *conn = quiet(&a, 0);
		unsigned ran = fake.ran;
		uint32_t write, tur, ttt, tmf;

		b = joined(&a, 2);
		write = send_write(&a, 7, 0x77);
		ttt = expect_ping(&a);
		b.cmdsn = a.cmdsn;
		tur = send_tur(&b);
		client_expect_silence(&b);
		assert_int_equal(fake.ran, ran);
		switch (row) {
		case 0:
			answer(&a, ttt);
			expect_good(&a, write);
			break;
		case 1:
			tmf = send_tmf(&a, SCSI_TMF_LU_RESET, 0, 0);
			pass_s(conn, TIMEOUT);
			client_expect_closed(&a);
			assert_int_equal(fake.tmfs, 0);
			break;
		default: /* aborted over the one that is not quiet */
			tmf = send_tmf(&b, SCSI_TMF_ABORT_TASK, write, a.cmdsn - 1);
			expect_tmf(&b, tmf, SCSI_TMF_COMPLETE);
			break;
		}
		expect_good(&b, tur);
		client_close(&a);
		client_close(&b);
	}
}

/* The fence of a reset asks a connection at once, however rarely it is asked otherwise. */
static void fence_and_a_quiet_connection(void **state)
{
	struct client a = client_login(0, SEVERAL), b;
	struct iscsi_conn *conn;
	uint32_t tmf;

	(void)state;
	b = joined(&a, 2);
	conn = newest_conn(0);
	send_tur(&b);
	expect_good(&b, b.itt);
	a.cmdsn = b.cmdsn;
	for (unsigned i = 0; i < 200; i++) {
		pass_s(conn, 1);
		if (client_pending(&b)) {
			answer(&b, expect_ping(&b)); /* and acknowledges nothing */
		}
	}
	tmf = send_tmf(&a, SCSI_TMF_LU_RESET, 0, 0);
	client_expect_silence(&a);
	expect_ping(&b);
	pass_s(conn, TIMEOUT);
	client_expect_closed(&b);
	expect_tmf(&a, tmf, SCSI_TMF_COMPLETE);
	client_close(&a);
	client_close(&b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = {
		TEST(quiet_connections_are_asked_ever_more_rarely),
		TEST(dead_hosts_are_found_out),
		TEST(long_intervals),
		TEST(busy_connections_are_asked_all_the_time),
		TEST(a_late_timer_asks_first),
		TEST(the_first_ping_is_never_late),
		TEST(those_that_are_not_asked),
		TEST(the_first_command_waits_for_an_answer),
		TEST(stale_writes_are_never_carried_out),
		TEST(data_for_a_command_under_way),
		TEST(what_is_no_answer),
		TEST(a_ping_that_is_under_way_will_do),
		TEST(data_while_it_waits),
		TEST(an_answer_between_data),
		TEST(a_window_full_of_them),
		TEST(more_data_than_buffers),
		TEST(digest_errors_while_it_waits),
		TEST(abort_of_one_that_waits),
		TEST(reset_while_they_wait),
		TEST(cold_reset_while_they_wait),
		TEST(immediate_commands_wait),
		TEST(ends_while_they_wait),
		TEST(reload_while_it_waits),
		TEST(reload_of_an_idle_session),
		TEST(order_across_connections),
		TEST(fence_and_a_quiet_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
