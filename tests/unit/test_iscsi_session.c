/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections and sessions: the byte stream, logins, reinstatement, task management, the end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/iscsi_harness.h"

#define FAST "InitialR2T=No\nImmediateData=Yes"

static struct pdu pdu;

static void tmf(
	struct client *c, uint8_t function, uint32_t ref_itt, uint32_t ref_cmdsn, bool immediate)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	iscsi_bhs_init(bhs, ISCSI_OP_TMF_REQUEST, F | function, ++c->itt);
	bhs[0] |= immediate ? ISCSI_OPCODE_IMMEDIATE : 0;
	be32_put(bhs + ISCSI_TMF_REFERENCED_TAG, ref_itt);
	be32_put(bhs + ISCSI_TMF_REFCMDSN, ref_cmdsn);
	be32_put(bhs + ISCSI_BHS_CMDSN, immediate ? c->cmdsn : c->cmdsn++);
	client_pdu(c, bhs, NULL, 0);
}

static void expect_tmf(struct client *c, uint8_t response)
{
	client_expect(c, &pdu, ISCSI_OP_TMF_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), c->itt);
	assert_int_equal(pdu.bhs[ISCSI_TMF_RESPONSE], response);
}

static void held(struct client *c, uint8_t *bhs)
{
	client_command(c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
	client_pdu(c, bhs, NULL, 0);
	harness_settle();
}

static void logout(struct client *c, uint8_t reason, uint16_t cid)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	iscsi_bhs_init(bhs, ISCSI_OP_LOGOUT_REQUEST, F | reason, ++c->itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be16_put(bhs + ISCSI_LOGOUT_CID, cid);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn);
	client_pdu(c, bhs, NULL, 0);
}

static void expect_logout(struct client *c, uint8_t response)
{
	client_expect(c, &pdu, ISCSI_OP_LOGOUT_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), c->itt);
	assert_int_equal(pdu.bhs[ISCSI_LOGOUT_RESPONSE], response);
	/* also when the session is closed, the numbers do not fall back to those of the login */
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN), c->cmdsn);
	assert_false(iscsi_sn_before(be32_get(pdu.bhs + ISCSI_BHS_MAXCMDSN), c->cmdsn - 1));
}

/* --- the byte stream --- */

/* Everything a session does, as one string of bytes. */
static size_t script(struct client *c, uint8_t *out)
{
	uint8_t bhs[ISCSI_BHS_BYTES], data[1500];
	size_t n = 0;

	memset(data, 0x5a, sizeof(data));
	client_command(c, bhs, F | W, 0x2a, 1, 1, 512);
	n += client_build(c, out + n, bhs, data, 512);
	iscsi_bhs_init(bhs, ISCSI_OP_NOP_OUT, F, ++c->itt);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn++);
	n += client_build(c, out + n, bhs, data, 77);
	client_command(c, bhs, W, 0x2a, 2, 2, 1024);
	n += client_build(c, out + n, bhs, data, 511);
	client_data_out(bhs, c->itt, ISCSI_TAG_NONE, 0, 511, true);
	n += client_build(c, out + n, bhs, data, 513);
	client_command(c, bhs, F | R, 0x28, 1, 1, 512);
	n += client_build(c, out + n, bhs, NULL, 0);
	return n;
}

/* The answer to a NOP-Out may come before that to an earlier command. */
static void expect_script(struct client *c)
{
	unsigned nops = 0, responses = 0;

	for (int i = 0; i < 3; i++) {
		client_expect_any(c, &pdu);
		nops += pdu.bhs[0] == ISCSI_OP_NOP_IN && pdu.data_bytes == 77;
		responses += pdu.bhs[0] == ISCSI_OP_SCSI_RESPONSE &&
			     pdu.bhs[ISCSI_RESPONSE_STATUS] == SCSI_GOOD;
	}
	assert_int_equal(nops, 1);
	assert_int_equal(responses, 2);
	client_expect(c, &pdu, ISCSI_OP_DATA_IN);
	assert_int_equal(pdu.data[511], 0x5a);
	assert_int_equal(fake.disk[2047], 0x5a);
	assert_int_equal(fake.disk[2048], 0);
	client_expect_silence(c);
}

/* Two pieces, cut at every place, with and without digests: the same answers. */
static void test_stream_cut_everywhere(void **state)
{
	static const char *const keys[] = {FAST, "HeaderDigest=CRC32C\nDataDigest=CRC32C\n" FAST};
	static uint8_t bytes[8192];

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		struct client c = client_login(0, keys[k]);
		size_t n = script(&c, bytes);

		client_send(&c, bytes, n);
		expect_script(&c);
		for (size_t cut = 1; cut < n; cut += cut < 200 ? 1 : 13) {
			memset(fake.disk, 0, 4096);
			n = script(&c, bytes);
			client_send(&c, bytes, cut);
			client_send(&c, bytes + cut, n - cut);
			expect_script(&c);
		}
		client_close(&c);
	}
}

static void test_stream_byte_by_byte(void **state)
{
	static uint8_t bytes[8192];
	struct client c = client_login(0, "HeaderDigest=CRC32C\nDataDigest=CRC32C\n" FAST);
	size_t n = script(&c, bytes);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		client_send(&c, bytes + i, 1);
	}
	expect_script(&c);
	client_close(&c);
}

/* Commands right behind the Login Request, in the same segment, are full feature phase's. */
static void test_commands_behind_the_login(void **state)
{
	static uint8_t bytes[8192];
	struct client c = client_connect(0);
	uint8_t bhs[ISCSI_BHS_BYTES];
	const char text[] = "InitiatorName=" HARNESS_NAME "\0TargetName=" HARNESS_TARGET;
	size_t n;

	(void)state;
	iscsi_bhs_init(bhs, ISCSI_OP_LOGIN_REQUEST, ISCSI_LOGIN_TRANSIT | 1 << 2 | 3, 1);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	bhs[ISCSI_LOGIN_ISID] = 0x80;
	be32_put(bhs + ISCSI_BHS_CMDSN, c.cmdsn);
	n = client_build(&c, bytes, bhs, text, sizeof(text));
	client_command(&c, bhs, F | R, 0x28, 1, 1, 512);
	n += client_build(&c, bytes + n, bhs, NULL, 0);
	client_send(&c, bytes, n);
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	client_expect(&c, &pdu, ISCSI_OP_DATA_IN);
	client_close(&c);
}

static void test_garbage_instead_of_a_login(void **state)
{
	uint8_t bytes[512];

	(void)state;
	for (int fill = 0; fill < 256; fill += 17) {
		struct client c = client_connect(0);

		memset(bytes, fill, sizeof(bytes));
		client_send(&c, bytes, sizeof(bytes));
		client_close(&c);
	}
	assert_int_equal(fake.nexuses_made, 0);
	assert_int_equal(atomic_load(&harness.iscsi->connections), 0);
}

/* --- logins --- */

static void test_silent_connections_make_room(void **state)
{
	struct client silent[16], good;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++) {
		silent[i] = client_connect(0);
	}
	good = client_login(0, FAST);
	client_expect_closed(&silent[0]);
	client_expect_silence(&silent[1]);
	client_expect_alive(&good);
	assert_int_equal(atomic_load(&harness.iscsi->connections), 16);
	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++) {
		client_close(&silent[i]);
	}
	client_close(&good);
}

static struct iscsi_conn *newest_conn(unsigned reactor)
{
	return qb_list_entry(harness.iscsi->reactors[reactor].conns.prev, struct iscsi_conn, link);
}

/*
 * 10,000 connections that say nothing: those that are silent longest make room at the limit, each
 * costs little, and a login is answered at once.
 */
static void test_ten_thousand_silent_connections(void **state)
{
	enum {
		SILENT = 10000,
		LIMIT = 4096
	};
	struct rlimit limit;
	struct client *silent = calloc(SILENT, sizeof(*silent)), good;
	struct iscsi_reactor *home = &harness.iscsi->reactors[0];
	struct iscsi_conn *conn;
	unsigned n = 0;

	(void)state;
	assert_non_null(silent);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < SILENT + LIMIT + 100) {
		free(silent);
		skip(); /* the hard limit of descriptors is too low */
	}
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	harness.conf.iscsi.connections_max = LIMIT;
	for (unsigned i = 0; i < SILENT; i++) {
		silent[i] = client_connect(0);
	}
	good = client_login(0, FAST);
	client_expect_alive(&good);
	harness_settle();
	assert_int_equal(atomic_load(&harness.iscsi->connections), LIMIT);
	qb_list_for_each_entry (conn, &home->logins, login_link) {
		assert_null(conn->login);
		assert_null(conn->rx.held);
		assert_null(conn->rx.own);
		assert_true(reactor_timer_is_set(&conn->timer));
		n++;
	}
	assert_int_equal(n, LIMIT - 1);
	assert_true(sizeof(*conn) <= 2048);
	for (unsigned i = 0; i < SILENT; i++) {
		close(silent[i].fd);
	}
	client_close(&good);
	for (unsigned i = 0; i < 1000 && atomic_load(&harness.iscsi->connections); i++) {
		harness_pass();
	}
	assert_int_equal(atomic_load(&harness.iscsi->connections), 0);
	free(silent);
}

static void test_login_deadline_and_memory(void **state)
{
	struct client c = client_connect(1);
	struct iscsi_conn *conn = newest_conn(1);

	(void)state;
	assert_true(reactor_timer_is_set(&conn->timer));
	assert_null(conn->login); /* a connection that says nothing costs its struct only */
	assert_true(sizeof(*conn) < 2048);
	conn->timer.fired(&conn->timer);
	client_expect_closed(&c);
	client_close(&c);
}

static void test_login_numbers(void **state)
{
	struct client c = client_connect(0);

	(void)state;
	client_send_login(&c, false);
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN), c.cmdsn);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_MAXCMDSN), c.cmdsn + HARNESS_WINDOW - 1);
	assert_string_equal(fake.who.initiator, HARNESS_NAME);
	assert_string_equal(fake.who.target, HARNESS_TARGET);
	assert_int_equal(fake.who.rtpi, 257);
	assert_int_equal(fake.who.isid[5], 1);
	client_close(&c);
}

static void test_no_nexus_no_login(void **state)
{
	struct client c = client_connect(0);

	(void)state;
	fake.fail_nexus = true;
	client_send_login(&c, false);
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(
		be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS), ISCSI_LOGIN_OUT_OF_RESOURCES);
	client_expect_closed(&c);
	client_close(&c);
	assert_int_equal(iscsi_session_count(harness.iscsi), 0);
}

/* RFC 7143 6.3.1: the same initiator port logs in again, on the other reactor. */
static void test_reinstatement_across_reactors(void **state)
{
	struct client old = client_login(0, FAST), new;
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	held(&old, bhs);
	fake.hold_close = true;
	new = client_connect(1);
	client_send_login(&new, false);
	client_expect_closed(&old);
	client_expect_silence(&new); /* until the old nexus is gone */
	assert_int_equal(fake.aborted, 1);
	assert_int_equal(fake.nexuses, 1);
	fake_release();
	client_expect(&new, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS), 0);
	assert_int_not_equal(be16_get(pdu.bhs + ISCSI_LOGIN_TSIH), old.tsih);
	assert_int_equal(fake.nexuses, 1);
	assert_int_equal(iscsi_session_count(harness.iscsi), 1);
	client_expect_alive(&new);
	client_close(&old);
	client_close(&new);
}

/* Two wait for the same session; the last one keeps it. One of the waiting gives up. */
static void test_reinstatement_race(void **state)
{
	struct client old = client_login(0, FAST), second, third, fourth;

	(void)state;
	fake.hold_close = true;
	second = client_connect(1);
	client_send_login(&second, false);
	third = client_connect(0);
	client_send_login(&third, false);
	fourth = client_connect(1);
	client_send_login(&fourth, false);
	harness_settle();
	client_close(&third);
	fake_release();
	client_expect(&fourth, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	client_expect_alive(&fourth);
	client_expect(&second, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	client_expect_closed(&second);
	assert_int_equal(iscsi_session_count(harness.iscsi), 1);
	client_close(&old);
	client_close(&second);
	client_close(&fourth);
}

/* The table of ISID, TSIH and CID. */
static void test_isid_tsih_cid(void **state)
{
	static const struct {
		uint8_t isid;
		bool tsih, tsih_wrong, other_cid;
		uint16_t status;
		unsigned sessions;
	} rows[] = {
		{2, false, false, false, 0, 2}, /* new session */
		{1, false, false, true, 0, 1}, /* reinstatement */
		{1, true, false, false, 0, 1}, /* of the connection */
		{1, true, false, true, ISCSI_LOGIN_TOO_MANY_CONNECTIONS, 1}, /* a second one */
		{1, true, true, false, ISCSI_LOGIN_NO_SESSION, 1}, /* unknown TSIH */
		{2, true, false, false, ISCSI_LOGIN_NO_SESSION, 1}, /* another's TSIH */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client a = client_login(0, FAST), b = client_connect(1);

		b.isid = rows[i].isid;
		b.cid = rows[i].other_cid ? 2 : 1;
		b.tsih = rows[i].tsih ? (uint16_t)(a.tsih + rows[i].tsih_wrong) : 0;
		client_send_login(&b, false);
		client_expect(&b, &pdu, ISCSI_OP_LOGIN_RESPONSE);
		assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS), rows[i].status);
		assert_int_equal(iscsi_session_count(harness.iscsi), rows[i].sessions);
		if (rows[i].status == 0 && rows[i].tsih) {
			assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_TSIH), a.tsih);
		}
		if (rows[i].status) {
			client_expect_closed(&b);
			client_expect_alive(&a);
		}
		client_close(&a);
		client_close(&b);
	}
}

struct seen {
	unsigned n;
	struct iscsi_session_info info;
};

static void see(const struct iscsi_session_info *info, void *arg)
{
	struct seen *seen = arg;

	seen->n++;
	seen->info = *info;
}

static void test_session_list(void **state)
{
	struct client c = client_login(1, "InitiatorAlias=host one\n" FAST);
	struct client d = client_connect(0);
	struct seen seen = {0};

	(void)state;
	iscsi_sessions(harness.iscsi, see, &seen);
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.info.initiator, HARNESS_NAME);
	assert_string_equal(seen.info.alias, "host one");
	assert_string_equal(seen.info.target, HARNESS_TARGET);
	assert_string_equal(seen.info.portal, "192.0.2.1:3260");
	assert_int_equal(seen.info.tsih, c.tsih);
	assert_int_equal(seen.info.isid[0], 0x80);
	assert_int_equal(seen.info.reactor, 1);
	assert_true(seen.info.since_unix_s > 0);
	client_send_login(&d, true);
	client_expect(&d, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	seen.n = 0;
	iscsi_sessions(harness.iscsi, see, &seen);
	assert_int_equal(seen.n, 2);
	assert_int_equal(iscsi_session_count(harness.iscsi), 1);
	client_close(&c);
	client_close(&d);
}

/* --- discovery, text, opcodes --- */

static void test_discovery_session(void **state)
{
	struct client c = client_connect(0);
	uint8_t bhs[ISCSI_BHS_BYTES];
	const char all[] = "SendTargets=All";

	(void)state;
	client_send_login(&c, true);
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(fake.nexuses_made, 0);
	iscsi_bhs_init(bhs, ISCSI_OP_TEXT_REQUEST, F, ++c.itt);
	be32_put(bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
	be32_put(bhs + ISCSI_BHS_CMDSN, c.cmdsn++);
	client_pdu(&c, bhs, all, sizeof(all));
	client_expect(&c, &pdu, ISCSI_OP_TEXT_RESPONSE);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN), c.cmdsn);
	assert_string_equal((char *)pdu.data, "TargetName=" HARNESS_TARGET);
	/* The text buffers are there only while they are needed. */
	assert_null(newest_conn(0)->login);
	client_command(&c, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	client_pdu(&c, bhs, NULL, 0);
	client_expect(&c, &pdu, ISCSI_OP_REJECT);
	assert_int_equal(pdu.bhs[ISCSI_REJECT_REASON], ISCSI_REJECT_NOT_SUPPORTED);
	c.cmdsn--; /* rejected, so its number is a hole (RFC 7143 7.3) */
	logout(&c, ISCSI_LOGOUT_SESSION, 0);
	expect_logout(&c, ISCSI_LOGOUT_CLOSED);
	client_expect_closed(&c);
	client_close(&c);
}

static void test_segment_size_declared_again(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];
	const char text[] = "MaxRecvDataSegmentLength=512";

	(void)state;
	iscsi_bhs_init(bhs, ISCSI_OP_TEXT_REQUEST, F, ++c.itt);
	be32_put(bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
	be32_put(bhs + ISCSI_BHS_CMDSN, c.cmdsn++);
	client_pdu(&c, bhs, text, sizeof(text));
	client_expect(&c, &pdu, ISCSI_OP_TEXT_RESPONSE);
	client_command(&c, bhs, F | R, 0x28, 0, 2, 1024);
	client_pdu(&c, bhs, NULL, 0);
	client_expect(&c, &pdu, ISCSI_OP_DATA_IN);
	assert_int_equal(pdu.data_bytes, 512);
	client_expect(&c, &pdu, ISCSI_OP_DATA_IN);
	client_close(&c);
}

/* Every opcode: those without a row, and those a target sends, are rejected; nothing dies. */
static void test_every_opcode(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	for (uint8_t opcode = 0; opcode <= ISCSI_OPCODE_MASK; opcode++) {
		const struct iscsi_op *op = iscsi_op_row(opcode);

		if (op && opcode != ISCSI_OP_SNACK_REQUEST && opcode != ISCSI_OP_LOGIN_REQUEST) {
			assert_non_null(op->begin);
			assert_non_null(op->end);
			continue;
		}
		iscsi_bhs_init(bhs, (enum iscsi_opcode)opcode, F, ++c.itt);
		bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
		client_pdu(&c, bhs, "abcdef", 6);
		client_expect(&c, &pdu, ISCSI_OP_REJECT);
		assert_int_equal(pdu.bhs[ISCSI_REJECT_REASON],
			opcode == ISCSI_OP_SNACK_REQUEST   ? ISCSI_REJECT_SNACK
			: opcode == ISCSI_OP_LOGIN_REQUEST ? ISCSI_REJECT_PROTOCOL
							   : ISCSI_REJECT_NOT_SUPPORTED);
		assert_int_equal(pdu.data_bytes, ISCSI_BHS_BYTES);
		assert_memory_equal(pdu.data + 8, bhs + 8, ISCSI_BHS_BYTES - 8);
	}
	client_expect_alive(&c);
	client_close(&c);
}

/* --- NOP --- */

static void test_nop_out(void **state)
{
	struct client c = client_login(0, "MaxRecvDataSegmentLength=600\n" FAST);
	uint8_t bhs[ISCSI_BHS_BYTES], data[1000];

	(void)state;
	memset(data, 0x11, sizeof(data));
	iscsi_bhs_init(bhs, ISCSI_OP_NOP_OUT, F, ++c.itt);
	be32_put(bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
	be32_put(bhs + ISCSI_BHS_CMDSN, c.cmdsn++);
	client_pdu(&c, bhs, data, sizeof(data));
	client_expect(&c, &pdu, ISCSI_OP_NOP_IN);
	assert_int_equal(pdu.data_bytes, 600); /* as much as the initiator takes */
	assert_memory_equal(pdu.data, data, 600);
	assert_int_equal(iscsi_bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
	client_pdu(&c, bhs, data, 4); /* the same CmdSN: ignored */
	client_expect_silence(&c);
	iscsi_bhs_init(bhs, ISCSI_OP_NOP_OUT, F, ISCSI_TAG_NONE);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be32_put(bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
	client_pdu(&c, bhs, NULL, 0); /* wants no answer */
	client_expect_silence(&c);
	client_expect_alive(&c);
	client_close(&c);
}

/*
 * A network is back after the initiator has gone elsewhere: what TCP delivers late is not done.
 * With a command under way; without one see test_iscsi_quiet.
 */
static void test_late_bytes_are_not_read(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = newest_conn(0);
	unsigned started = fake.started;
	uint8_t bhs[ISCSI_BHS_BYTES], data[512] = {0};

	(void)state;
	held(&c, bhs);
	started++;
	conn->rx.last_ms -= 9000; /* nop_interval and nop_timeout are 10 s in all */
	client_expect_alive(&c);
	conn->rx.last_ms -= 11000;
	client_command(&c, bhs, F | W, 0x2a, 0, 1, 512);
	client_pdu(&c, bhs, data, sizeof(data));
	harness_settle();
	assert_int_equal(fake.nexuses, 0); /* reset, with the bytes unread */
	assert_int_equal(fake.started, started);
	client_close(&c);
}

/* An initiator that has closed its end has given up what it left in the socket. */
static void test_bytes_before_a_close_are_not_read(void **state)
{
	struct client c = client_login(0, FAST);
	unsigned started = fake.started;
	uint8_t bhs[ISCSI_BHS_BYTES], data[512] = {0}, out[ISCSI_BHS_BYTES + sizeof(data)];
	size_t n;

	(void)state;
	harness_settle();
	client_command(&c, bhs, F | W, 0x2a, 0, 1, 512);
	n = client_build(&c, out, bhs, data, sizeof(data));
	assert_int_equal(send(c.fd, out, n, MSG_NOSIGNAL), n);
	close(c.fd);
	c.fd = -1;
	harness_settle();
	assert_int_equal(fake.nexuses, 0);
	assert_int_equal(fake.started, started);
}

/* Making the PDUs of an answer must not cost another pass of the reactor. */
static void test_answer_takes_one_pass(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = newest_conn(0);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	harness_settle();
	client_command(&c, bhs, F | R, 0x28, 0, 1, 512);
	client_pdu(&c, bhs, NULL, 0); /* one pass */
	assert_false(conn->flush_defer.queued);
	assert_int_equal(recv(c.fd, pdu.data, ISCSI_BHS_BYTES + 512, 0), ISCSI_BHS_BYTES + 512);
	client_close(&c);
}

/*
 * A stopped host that takes no answers while reading waits for a buffer: it holds buffers itself,
 * and has to go. One that only waits for a buffer stays.
 */
static void test_ping_finds_stopped_initiators(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_conn *conn = newest_conn(0);

	(void)state;
	iscsi_rx_pause(conn, ISCSI_RX_PAUSE_BUFFERS);
	conn->rx.last_ms -= 60000;
	conn->tx.last_ms = conn->rx.last_ms;
	conn->timer.fired(&conn->timer);
	conn->timer.fired(&conn->timer);
	client_expect_silence(&c);
	conn->tx.blocked = true;
	conn->tx.last_ms = reactor_now_ms(harness.reactors[0]); /* it takes answers, slowly */
	conn->timer.fired(&conn->timer);
	conn->timer.fired(&conn->timer);
	client_expect_silence(&c);
	conn->tx.last_ms -= 60000;
	conn->timer.fired(&conn->timer);
	assert_true(conn->pinging);
	conn->ping_ms -= 6000;
	conn->timer.fired(&conn->timer);
	assert_int_equal(conn->state, ISCSI_CONN_CLOSED);
	harness_settle();
	assert_int_equal(fake.nexuses, 0);
	client_close(&c);
}

/* --- task management --- */

/* The window bounds functions that take a CmdSN: none is refused, that would leave a hole. */
static void test_many_ordered_functions(void **state)
{
	struct client c;
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	harness.conf.iscsi.command_window = 2 * ISCSI_TMFS_MAX;
	c = client_login(0, FAST);
	for (unsigned i = 0; i < ISCSI_TMFS_MAX + 2; i++) {
		iscsi_bhs_init(bhs, ISCSI_OP_TMF_REQUEST, F | FAKE_OP_HELD_TMF, ++c.itt);
		be32_put(bhs + ISCSI_BHS_CMDSN, c.cmdsn++);
		client_pdu(&c, bhs, NULL, 0);
	}
	client_read(&c, 0, 1, &pdu);
	fake_release();
	for (unsigned i = 0; i < ISCSI_TMFS_MAX + 2; i++) {
		client_expect(&c, &pdu, ISCSI_OP_TMF_RESPONSE);
	}
	client_close(&c);
}

static void test_abort_task(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint32_t tag;

	(void)state;
	/* Running. */
	held(&c, bhs);
	tag = c.itt;
	tmf(&c, SCSI_TMF_ABORT_TASK, tag, iscsi_bhs_cmdsn(bhs), true);
	expect_tmf(&c, SCSI_TMF_COMPLETE);
	assert_int_equal(fake.aborted, 1);
	/* Again: over. */
	tmf(&c, SCSI_TMF_ABORT_TASK, tag, iscsi_bhs_cmdsn(bhs), true);
	expect_tmf(&c, SCSI_TMF_NO_TASK);
	/* Waiting for data; what still comes of it is dropped in silence. */
	client_command(&c, bhs, F | W, 0x2a, 0, 1, 512);
	client_pdu(&c, bhs, NULL, 0);
	client_expect(&c, &pdu, ISCSI_OP_R2T);
	tag = c.itt;
	tmf(&c, SCSI_TMF_ABORT_TASK, tag, iscsi_bhs_cmdsn(bhs), false);
	client_expect(&c, &pdu, ISCSI_OP_TMF_RESPONSE);
	assert_int_equal(pdu.bhs[ISCSI_TMF_RESPONSE], SCSI_TMF_COMPLETE);
	client_data_out(bhs, tag, 1, 0, 0, true);
	client_pdu(&c, bhs, bhs, 48);
	client_expect_silence(&c);
	assert_int_equal(fake.dropped, 1);
	client_expect_alive(&c);
	client_close(&c);
}

/* RFC 7143 11.5.1: a command that never came counts as received, and cannot come later. */
static void test_abort_task_that_never_came(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t lost[ISCSI_BHS_BYTES], bhs[ISCSI_BHS_BYTES];
	uint32_t after;

	(void)state;
	client_command(&c, lost, F, FAKE_OP_TUR, 0, 0, 0);
	client_command(&c, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	after = c.itt;
	client_pdu(&c, bhs, NULL, 0); /* waits for the lost one */
	client_expect_silence(&c);
	tmf(&c, SCSI_TMF_ABORT_TASK, iscsi_bhs_itt(lost), iscsi_bhs_cmdsn(lost), true);
	client_expect(&c, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), after);
	expect_tmf(&c, SCSI_TMF_COMPLETE);
	client_pdu(&c, lost, NULL, 0);
	client_expect_silence(&c);
	/* Not before the function's own number: no such task. */
	tmf(&c, SCSI_TMF_ABORT_TASK, 0x1234, c.cmdsn + 1, true);
	expect_tmf(&c, SCSI_TMF_NO_TASK);
	client_close(&c);
}

static void test_resets(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	held(&c, bhs);
	client_command(&c, bhs, F | W, 0x2a, 0, 1, 512);
	client_pdu(&c, bhs, NULL, 0);
	client_expect(&c, &pdu, ISCSI_OP_R2T);
	tmf(&c, SCSI_TMF_LU_RESET, 0, 0, true);
	expect_tmf(&c, SCSI_TMF_COMPLETE);
	assert_int_equal(fake.aborted, 1);
	assert_int_equal(fake.dropped, 1);
	assert_int_equal(fake.last_tmf, SCSI_TMF_LU_RESET);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_MAXCMDSN),
		be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN) + HARNESS_WINDOW - 1);
	tmf(&c, SCSI_TMF_TASK_REASSIGN, 1, 0, true);
	expect_tmf(&c, SCSI_TMF_NO_REASSIGN);
	tmf(&c, 99, 0, 0, true);
	expect_tmf(&c, SCSI_TMF_NOT_SUPPORTED);
	/* In its turn. */
	c.cmdsn++;
	tmf(&c, SCSI_TMF_ABORT_TASK_SET, 0, 0, false);
	client_expect_silence(&c);
	iscsi_bhs_init(bhs, ISCSI_OP_NOP_OUT, F, 0x999);
	be32_put(bhs + ISCSI_BHS_CMDSN, c.cmdsn - 2);
	client_pdu(&c, bhs, NULL, 0);
	client_expect(&c, &pdu, ISCSI_OP_TMF_RESPONSE);
	client_expect(&c, &pdu, ISCSI_OP_NOP_IN);
	client_close(&c);
}

static void test_tmfs_are_bounded(void **state)
{
	struct client c = client_login(0, FAST);

	(void)state;
	for (unsigned i = 0; i <= ISCSI_TMFS_MAX; i++) {
		tmf(&c, FAKE_OP_HELD_TMF, 0, 0, true);
	}
	client_expect(&c, &pdu, ISCSI_OP_REJECT);
	assert_int_equal(pdu.bhs[ISCSI_REJECT_REASON], ISCSI_REJECT_IMMEDIATE);
	assert_int_equal(fake.tmfs, ISCSI_TMFS_MAX);
	/* The session stays until they have ended. */
	client_close(&c);
	assert_int_equal(iscsi_session_count(harness.iscsi), 1);
	fake_release();
	harness_settle();
	assert_int_equal(iscsi_session_count(harness.iscsi), 0);
}

/* Answers of commands that ended before a reset go out before the answer to it. */
static void test_answers_before_the_reset(void **state)
{
	static uint8_t bytes[512];
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];
	size_t n;

	(void)state;
	client_command(&c, bhs, F | R, 0x28, 1, 1, 512);
	n = client_build(&c, bytes, bhs, NULL, 0);
	client_command(&c, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	n += client_build(&c, bytes + n, bhs, NULL, 0);
	iscsi_bhs_init(bhs, ISCSI_OP_TMF_REQUEST, F | SCSI_TMF_LU_RESET, ++c.itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	n += client_build(&c, bytes + n, bhs, NULL, 0);
	client_send(&c, bytes, n);
	client_expect(&c, &pdu, ISCSI_OP_DATA_IN);
	client_expect(&c, &pdu, ISCSI_OP_SCSI_RESPONSE);
	expect_tmf(&c, SCSI_TMF_COMPLETE);
	/* The same for a logout. */
	client_command(&c, bhs, F | R, 0x28, 1, 1, 512);
	n = client_build(&c, bytes, bhs, NULL, 0);
	iscsi_bhs_init(bhs, ISCSI_OP_LOGOUT_REQUEST, F, ++c.itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	n += client_build(&c, bytes + n, bhs, NULL, 0);
	client_send(&c, bytes, n);
	client_expect(&c, &pdu, ISCSI_OP_DATA_IN);
	expect_logout(&c, ISCSI_LOGOUT_CLOSED);
	client_expect_closed(&c);
	client_close(&c);
}

/* RFC 7143 11.4.11: the window opens although no answer goes out. */
static void test_aborts_of_others_open_the_window(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];
	struct iscsi_cmd *cmd;

	(void)state;
	held(&c, bhs);
	/* Somebody else's reset, as the device server would carry it out. */
	cmd = iscsi_session_find(newest_conn(0)->session, c.itt);
	assert_non_null(cmd);
	qb_list_del(&cmd->task.nexus_link);
	qb_list_del(&cmd->task.wait_link);
	cmd->task.aborted = true;
	cmd->task.done(&cmd->task);
	client_expect(&c, &pdu, ISCSI_OP_NOP_IN);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), ISCSI_TAG_NONE);
	assert_int_equal(iscsi_bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_MAXCMDSN),
		be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN) + HARNESS_WINDOW - 1);
	client_expect_silence(&c);
	client_close(&c);
}

/* --- the end --- */

static void test_logout_reasons(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	logout(&c, ISCSI_LOGOUT_CONNECTION, 77);
	expect_logout(&c, ISCSI_LOGOUT_NO_CID);
	logout(&c, ISCSI_LOGOUT_RECOVERY, 1);
	expect_logout(&c, ISCSI_LOGOUT_NO_RECOVERY);
	logout(&c, 55, 1);
	client_expect(&c, &pdu, ISCSI_OP_REJECT);
	client_expect_alive(&c);
	held(&c, bhs);
	fake.hold_close = true;
	logout(&c, ISCSI_LOGOUT_CONNECTION, 1);
	client_expect_silence(&c); /* until every task has ended */
	assert_int_equal(fake.aborted, 1);
	fake_release();
	expect_logout(&c, ISCSI_LOGOUT_CLOSED);
	client_expect_closed(&c);
	client_close(&c);
	assert_int_equal(iscsi_session_count(harness.iscsi), 0);
}

static void mark(void *arg)
{
	(*(unsigned *)arg)++;
}

static void test_stop_tells_initiators(void **state)
{
	struct client a = client_login(0, FAST), b = client_connect(1);
	uint8_t bhs[ISCSI_BHS_BYTES];
	unsigned stopped = 0;

	(void)state;
	held(&a, bhs);
	iscsi_stop(harness.iscsi, mark, &stopped);
	client_expect(&a, &pdu, ISCSI_OP_ASYNC);
	assert_int_equal(pdu.bhs[ISCSI_ASYNC_EVENT], ISCSI_ASYNC_SESSION_DROP);
	client_expect_closed(&a);
	client_expect_closed(&b);
	harness_settle();
	assert_int_equal(stopped, 1);
	client_close(&a);
	client_close(&b);
}

/* An initiator that takes nothing is not read from for ever. */
static void test_peer_that_reads_nothing(void **state)
{
	static uint8_t data[16384];
	struct client c = client_login(0, "MaxRecvDataSegmentLength=65536\n" FAST);
	struct iscsi_conn *conn = newest_conn(0);
	uint8_t bhs[ISCSI_BHS_BYTES], out[sizeof(data) + 64];
	size_t n;

	(void)state;
	iscsi_bhs_init(bhs, ISCSI_OP_NOP_OUT, F, 1);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	n = client_build(&c, out, bhs, data, sizeof(data));
	for (int i = 0; i < 2000; i++) {
		ssize_t sent = send(c.fd, out, n, MSG_NOSIGNAL);

		if (sent < 0 || (size_t)sent < n) {
			break;
		}
		harness_pass();
	}
	assert_true(conn->rx.paused & ISCSI_RX_PAUSE_TX);
	assert_true(conn->tx.own_bytes <= ISCSI_TX_HIGH_BYTES + sizeof(data));
	client_close(&c);
}

static void test_names(void **state)
{
	(void)state;
	for (int s = 0; s < ISCSI_CONN_STATES; s++) {
		assert_string_not_equal(iscsi_conn_state_name((enum iscsi_conn_state)s), "?");
	}
	for (int e = 0; e < ISCSI_CONN_EVENTS; e++) {
		assert_string_not_equal(iscsi_conn_event_name((enum iscsi_conn_event)e), "?");
	}
	for (int s = 0; s <= ISCSI_CMD_ANSWERING; s++) {
		assert_string_not_equal(iscsi_cmd_state_name((enum iscsi_cmd_state)s), "?");
	}
	for (int r = 0; r <= ISCSI_JOIN_FULL; r++) {
		assert_string_not_equal(iscsi_join_result_name((enum iscsi_join_result)r), "?");
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_stream_cut_everywhere),
		TEST(test_stream_byte_by_byte),
		TEST(test_commands_behind_the_login),
		TEST(test_garbage_instead_of_a_login),
		TEST(test_silent_connections_make_room),
		TEST(test_ten_thousand_silent_connections),
		TEST(test_login_deadline_and_memory),
		TEST(test_login_numbers),
		TEST(test_no_nexus_no_login),
		TEST(test_reinstatement_across_reactors),
		TEST(test_reinstatement_race),
		TEST(test_isid_tsih_cid),
		TEST(test_session_list),
		TEST(test_discovery_session),
		TEST(test_segment_size_declared_again),
		TEST(test_every_opcode),
		TEST(test_nop_out),
		TEST(test_late_bytes_are_not_read),
		TEST(test_bytes_before_a_close_are_not_read),
		TEST(test_ping_finds_stopped_initiators),
		TEST(test_answer_takes_one_pass),
		TEST(test_many_ordered_functions),
		TEST(test_abort_task),
		TEST(test_abort_task_that_never_came),
		TEST(test_resets),
		TEST(test_answers_before_the_reset),
		TEST(test_tmfs_are_bounded),
		TEST(test_aborts_of_others_open_the_window),
		TEST(test_logout_reasons),
		TEST(test_stop_tells_initiators),
		TEST(test_peer_that_reads_nothing),
		TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
