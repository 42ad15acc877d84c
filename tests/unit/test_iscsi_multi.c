/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several connections in a session: joining it, whichever reactor they are accepted on; one command
 * window, StatSN and data of each connection's own; reinstatement, logout and loss of one of them.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/iscsi_harness.h"
#include "yoke/util.h"

#define SEVERAL "MaxConnections=3\nInitialR2T=Yes\nImmediateData=Yes"

static struct pdu pdu;

static unsigned status(void)
{
	return be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS);
}

/* A further connection; its login has been sent. */
static struct client further(const struct client *first, unsigned reactor, uint16_t cid)
{
	struct client c = client_connect(reactor);

	c.tsih = first->tsih;
	c.cid = cid;
	c.cmdsn = first->cmdsn;
	c.itt = 0x1000u * cid;
	client_send_login(&c, false);
	return c;
}

static struct client joined(const struct client *first, unsigned reactor, uint16_t cid)
{
	struct client c = further(first, reactor, cid);

	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(status(), ISCSI_LOGIN_SUCCESS);
	assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_TSIH), first->tsih);
	return c;
}

static void count(const struct iscsi_session_info *info, void *arg)
{
	*(unsigned *)arg = info->connections;
}

static unsigned connections(void)
{
	unsigned n = 0;

	harness_settle();
	iscsi_sessions(harness.iscsi, count, &n);
	return n;
}

/* A command that runs until fake_release(). */
static uint32_t hold(struct client *c)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	client_command(c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
	client_pdu(c, bhs, NULL, 0);
	harness_settle();
	return c->itt;
}

static void logout(struct client *c, uint8_t reason, uint16_t cid)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	iscsi_bhs_init(bhs, ISCSI_OP_LOGOUT_REQUEST, (uint8_t)(F | reason), ++c->itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be16_put(bhs + ISCSI_LOGOUT_CID, cid);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn);
	client_pdu(c, bhs, NULL, 0);
}

static void expect_logout(struct client *c, enum iscsi_logout_response response)
{
	client_expect(c, &pdu, ISCSI_OP_LOGOUT_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), c->itt);
	assert_int_equal(pdu.bhs[ISCSI_LOGOUT_RESPONSE], response);
}

/* Whichever reactor accepts it, it ends up on the session's, and both work. */
static void test_join(void **state)
{
	(void)state;
	for (unsigned reactor = 0; reactor < HARNESS_REACTORS; reactor++) {
		struct client a = client_login(0, SEVERAL), b = joined(&a, reactor, 2);

		assert_int_equal(atomic_load(&harness.iscsi->reactors[0].connections), 2);
		assert_int_equal(atomic_load(&harness.iscsi->reactors[1].connections), 0);
		assert_int_equal(fake.nexuses, 1);
		assert_int_equal(iscsi_session_count(harness.iscsi), 1);
		assert_int_equal(connections(), 2);
		client_read(&a, 0, 1, &pdu);
		b.cmdsn = a.cmdsn;
		client_read(&b, 8, 2, &pdu);
		a.cmdsn = b.cmdsn;
		client_expect_alive(&a);
		client_expect_alive(&b);
		client_close(&b);
		client_expect_alive(&a);
		assert_int_equal(connections(), 1);
		client_close(&a);
		assert_int_equal(iscsi_session_count(harness.iscsi), 0);
	}
}

/* CmdSN is the session's: a command waits for an earlier one on another connection. */
static void test_one_order(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2);
	uint8_t first[ISCSI_BHS_BYTES], second[ISCSI_BHS_BYTES];

	(void)state;
	client_command(&a, first, F, FAKE_OP_TUR, 0, 0, 0);
	b.cmdsn = a.cmdsn;
	client_command(&b, second, F, FAKE_OP_TUR, 0, 0, 0);
	client_pdu(&b, second, NULL, 0);
	client_expect_silence(&b);
	assert_int_equal(fake.ran, 0);
	client_pdu(&a, first, NULL, 0);
	client_expect(&a, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), a.itt);
	client_expect(&b, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), b.itt);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN), b.cmdsn);
	/* The same number again, over the other connection: not taken twice. */
	client_pdu(&b, first, NULL, 0);
	client_expect_silence(&b);
	client_close(&a);
	client_close(&b);
}

/* StatSN counts on each connection by itself, from what its login said. */
static void test_statsn_of_each(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 0, 2);
	uint32_t of_b = be32_get(pdu.bhs + ISCSI_BHS_STATSN), of_a;
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	client_command(&a, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	client_pdu(&a, bhs, NULL, 0);
	client_expect(&a, &pdu, ISCSI_OP_SCSI_RESPONSE);
	of_a = be32_get(pdu.bhs + ISCSI_BHS_STATSN);
	for (uint32_t i = 1; i < 4; i++) {
		b.cmdsn = a.cmdsn;
		client_command(&b, bhs, F, FAKE_OP_TUR, 0, 0, 0);
		client_pdu(&b, bhs, NULL, 0);
		client_expect(&b, &pdu, ISCSI_OP_SCSI_RESPONSE);
		assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_STATSN), of_b + i);
		a.cmdsn = b.cmdsn;
	}
	client_command(&a, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	client_pdu(&a, bhs, NULL, 0);
	client_expect(&a, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_STATSN), of_a + 1);
	client_close(&a);
	client_close(&b);
}

/* Data goes over the connection of its command; R2T and response come over it. */
static void test_allegiance(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2);
	uint8_t bhs[ISCSI_BHS_BYTES], data[FAKE_BLOCK];
	uint32_t ttt;

	(void)state;
	memset(data, 0x5a, sizeof(data));
	client_command(&a, bhs, F | W, 0x2a, 3, 1, FAKE_BLOCK);
	client_pdu(&a, bhs, NULL, 0);
	client_expect(&a, &pdu, ISCSI_OP_R2T);
	ttt = iscsi_bhs_ttt(pdu.bhs);
	client_data_out(bhs, a.itt, ttt, 0, 0, true);
	client_pdu(&b, bhs, data, sizeof(data));
	client_expect(&b, &pdu, ISCSI_OP_REJECT);
	assert_int_equal(pdu.bhs[ISCSI_REJECT_REASON], ISCSI_REJECT_FIELD);
	client_expect_silence(&a);
	/* An ITT is the session's: it is in use on the other connection, too. */
	b.cmdsn = a.cmdsn;
	client_command(&b, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	be32_put(bhs + ISCSI_BHS_ITT, a.itt);
	client_pdu(&b, bhs, NULL, 0);
	client_expect(&b, &pdu, ISCSI_OP_REJECT);
	assert_int_equal(pdu.bhs[ISCSI_REJECT_REASON], ISCSI_REJECT_TASK_IN_PROGRESS);
	client_data_out(bhs, a.itt, ttt, 0, 0, true);
	client_pdu(&a, bhs, data, sizeof(data));
	client_expect(&a, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(pdu.bhs[ISCSI_RESPONSE_STATUS], SCSI_GOOD);
	assert_memory_equal(fake.disk + 3 * FAKE_BLOCK, data, sizeof(data));
	client_close(&a);
	client_close(&b);
}

static void test_too_many(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2), c = joined(&a, 0, 3), d;

	(void)state;
	d = further(&a, 1, 4);
	client_expect(&d, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(status(), ISCSI_LOGIN_TOO_MANY_CONNECTIONS);
	client_expect_closed(&d);
	client_close(&d);
	client_expect_alive(&a);
	client_expect_alive(&b);
	client_expect_alive(&c);
	/* One has gone: there is a place again. */
	client_close(&b);
	d = joined(&a, 1, 4);
	client_expect_alive(&d);
	assert_int_equal(connections(), 3);
	client_close(&a);
	client_close(&c);
	client_close(&d);
}

static void test_not_in_discovery(void **state)
{
	struct client a = client_connect(0), b;

	(void)state;
	client_send_login(&a, true);
	client_expect(&a, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	b = client_connect(1);
	b.tsih = be16_get(pdu.bhs + ISCSI_LOGIN_TSIH);
	b.cid = 2;
	client_send_login(&b, true);
	client_expect(&b, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(status(), ISCSI_LOGIN_CANNOT_INCLUDE);
	client_close(&a);
	client_close(&b);
}

/*
 * RFC 7143 6.3.4: the same TSIH and CID take the connection's place when its tasks are over. The
 * nexus stays; it is told once of the tasks that were lost.
 */
static void test_reinstated(void **state)
{
	(void)state;
	for (unsigned others = 0; others < 2; others++) {
		struct client a = client_login(0, SEVERAL), other, new;

		fake_reset_counts();
		if (others) {
			other = joined(&a, 1, 9);
		}
		hold(&a);
		fake.linger = true;
		new = further(&a, 1, 1);
		client_expect_closed(&a);
		client_expect_silence(&new);
		assert_int_equal(fake.lost, 1);
		fake_release();
		client_expect(&new, &pdu, ISCSI_OP_LOGIN_RESPONSE);
		assert_int_equal(status(), ISCSI_LOGIN_SUCCESS);
		assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_TSIH), a.tsih);
		assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN), new.cmdsn);
		assert_int_equal(fake.nexuses_made, 1);
		assert_int_equal(connections(), 1 + others);
		client_read(&new, 0, 1, &pdu);
		client_close(&a);
		client_expect_alive(&new);
		if (others) {
			client_expect_alive(&other);
			client_close(&other);
		}
		client_close(&new);
		assert_int_equal(iscsi_session_count(harness.iscsi), 0);
	}
}

/* Two more want the place while its tasks linger: the last one gets it. */
static void test_reinstated_twice(void **state)
{
	struct client a = client_login(0, SEVERAL), b, c;

	(void)state;
	hold(&a);
	fake.linger = true;
	b = further(&a, 1, 1);
	c = further(&a, 0, 1);
	client_expect_closed(&a);
	client_expect_closed(&b);
	client_expect_silence(&c);
	fake_release();
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(status(), ISCSI_LOGIN_SUCCESS);
	client_expect_alive(&c);
	client_close(&a);
	client_close(&b);
	client_close(&c);
}

/* The one that waits for the place goes: so does the session. */
static void test_reinstating_gives_up(void **state)
{
	struct client a = client_login(0, SEVERAL), b;

	(void)state;
	hold(&a);
	fake.linger = true;
	b = further(&a, 1, 1);
	client_expect_closed(&a);
	client_close(&b);
	fake_release();
	harness_settle();
	assert_int_equal(iscsi_session_count(harness.iscsi), 0);
	client_close(&a);
}

/* The loss of one ends its tasks only; the window they held opens for the other. */
static void test_lost(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2);
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint32_t held;

	(void)state;
	held = hold(&a);
	b.cmdsn = a.cmdsn;
	hold(&b);
	/* A write of b that waits for its data, and one that waits for an earlier CmdSN. */
	client_command(&b, bhs, F | W, 0x2a, 3, 1, FAKE_BLOCK);
	client_pdu(&b, bhs, NULL, 0);
	client_expect(&b, &pdu, ISCSI_OP_R2T);
	b.cmdsn++;
	client_command(&b, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	client_pdu(&b, bhs, NULL, 0);
	assert_int_equal(fake.alive, 4);
	client_close(&b);
	assert_int_equal(fake.lost, 3);
	assert_int_equal(fake.alive, 1);
	client_expect(&a, &pdu, ISCSI_OP_NOP_IN);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_MAXCMDSN),
		be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN) + HARNESS_WINDOW - 2);
	fake_release();
	client_expect(&a, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), held);
	/* The hole that b left is filled over a; b's own command behind it is gone. */
	a.cmdsn = b.cmdsn - 2;
	client_command(&a, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	client_pdu(&a, bhs, NULL, 0);
	client_expect(&a, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN), b.cmdsn);
	client_close(&a);
}

static void test_logout_of_one(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2);

	(void)state;
	b.cmdsn = a.cmdsn;
	hold(&b);
	fake.linger = true;
	logout(&b, ISCSI_LOGOUT_CONNECTION, 2);
	client_expect_silence(&b); /* until its task is over */
	assert_int_equal(fake.lost, 1);
	fake_release();
	expect_logout(&b, ISCSI_LOGOUT_CLOSED);
	client_expect_closed(&b);
	client_close(&b);
	a.cmdsn = b.cmdsn;
	client_read(&a, 0, 1, &pdu);
	/* The last one takes the session with it. */
	logout(&a, ISCSI_LOGOUT_CONNECTION, 1);
	expect_logout(&a, ISCSI_LOGOUT_CLOSED);
	client_expect_closed(&a);
	assert_int_equal(iscsi_session_count(harness.iscsi), 0);
	client_close(&a);
}

static void test_logout_of_another(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2);

	(void)state;
	b.cmdsn = a.cmdsn;
	hold(&b);
	fake.linger = true;
	logout(&a, ISCSI_LOGOUT_CONNECTION, 2);
	client_expect_closed(&b);
	client_expect_silence(&a);
	fake_release();
	expect_logout(&a, ISCSI_LOGOUT_CLOSED);
	client_close(&b);
	logout(&a, ISCSI_LOGOUT_CONNECTION, 2);
	expect_logout(&a, ISCSI_LOGOUT_NO_CID);
	logout(&a, ISCSI_LOGOUT_RECOVERY, 2);
	expect_logout(&a, ISCSI_LOGOUT_NO_RECOVERY);
	client_expect_alive(&a);
	client_close(&a);
}

/* Who asked for the logout of another is gone before it is done. */
static void test_asker_goes(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2), c = joined(&a, 1, 3);

	(void)state;
	b.cmdsn = a.cmdsn;
	hold(&b);
	fake.linger = true;
	logout(&a, ISCSI_LOGOUT_CONNECTION, 2);
	client_close(&a);
	fake_release();
	client_expect_alive(&c);
	assert_int_equal(connections(), 1);
	client_close(&b);
	client_close(&c);
}

/* Logout of the session, over any connection, closes all. */
static void test_logout_of_session(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2), c = joined(&a, 0, 3);

	(void)state;
	b.cmdsn = a.cmdsn;
	hold(&b);
	logout(&c, ISCSI_LOGOUT_SESSION, 0);
	expect_logout(&c, ISCSI_LOGOUT_CLOSED);
	client_expect_closed(&a);
	client_expect_closed(&b);
	client_expect_closed(&c);
	assert_int_equal(fake.nexuses, 0);
	assert_int_equal(fake.lost, 0); /* the nexus is lost as a whole */
	client_close(&a);
	client_close(&b);
	client_close(&c);
}

/* Both log out at the same time. */
static void test_logout_of_both(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2);

	(void)state;
	b.cmdsn = a.cmdsn;
	hold(&b);
	a.cmdsn = b.cmdsn;
	hold(&a);
	fake.linger = true;
	logout(&a, ISCSI_LOGOUT_CONNECTION, 1);
	logout(&b, ISCSI_LOGOUT_CONNECTION, 2);
	fake_release();
	expect_logout(&a, ISCSI_LOGOUT_CLOSED);
	expect_logout(&b, ISCSI_LOGOUT_CLOSED);
	client_expect_closed(&a);
	client_expect_closed(&b);
	assert_int_equal(iscsi_session_count(harness.iscsi), 0);
	client_close(&a);
	client_close(&b);
}

static void test_session_reinstated(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2), new;

	(void)state;
	new = client_login(1, SEVERAL);
	client_expect_closed(&a);
	client_expect_closed(&b);
	assert_int_equal(fake.nexuses_made, 2);
	/* Its TSIH is not the old one: nobody joins by that. */
	b = further(&a, 0, 2);
	client_expect(&b, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(status(), ISCSI_LOGIN_NO_SESSION);
	client_expect_alive(&new);
	client_close(&a);
	client_close(&b);
	client_close(&new);
}

/* A write whose data is in the middle of coming in is aborted over the other connection. */
static void test_abort_amid_data(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2);
	uint8_t bhs[ISCSI_BHS_BYTES], out[ISCSI_BHS_BYTES + FAKE_BLOCK], data[FAKE_BLOCK];
	size_t n;

	(void)state;
	memset(data, 0x77, sizeof(data));
	client_command(&a, bhs, F | W, 0x2a, 3, 1, FAKE_BLOCK);
	client_pdu(&a, bhs, NULL, 0);
	client_expect(&a, &pdu, ISCSI_OP_R2T);
	client_data_out(bhs, a.itt, iscsi_bhs_ttt(pdu.bhs), 0, 0, true);
	n = client_build(&a, out, bhs, data, sizeof(data));
	client_send(&a, out, 200);
	iscsi_bhs_init(bhs, ISCSI_OP_TMF_REQUEST, F | SCSI_TMF_ABORT_TASK, ++b.itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be32_put(bhs + ISCSI_TMF_REFERENCED_TAG, a.itt);
	be32_put(bhs + ISCSI_TMF_REFCMDSN, a.cmdsn - 1);
	be32_put(bhs + ISCSI_BHS_CMDSN, a.cmdsn);
	client_pdu(&b, bhs, NULL, 0);
	client_expect(&b, &pdu, ISCSI_OP_TMF_RESPONSE);
	assert_int_equal(pdu.bhs[ISCSI_TMF_RESPONSE], SCSI_TMF_COMPLETE);
	client_send(&a, out + 200, n - 200);
	client_expect_alive(&a);
	client_expect_alive(&b);
	assert_int_equal(fake.ran, 0);
	client_close(&a);
	client_close(&b);
}

/* A task management function whose connection goes: the session does not wait for ever. */
static void test_tmf_of_lost(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	iscsi_bhs_init(bhs, ISCSI_OP_TMF_REQUEST, F | FAKE_OP_HELD_TMF, ++b.itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	client_pdu(&b, bhs, NULL, 0);
	/* And one that waits for its turn. */
	iscsi_bhs_init(bhs, ISCSI_OP_TMF_REQUEST, F | SCSI_TMF_LU_RESET, ++b.itt);
	be32_put(bhs + ISCSI_BHS_CMDSN, a.cmdsn + 1);
	client_pdu(&b, bhs, NULL, 0);
	client_close(&b);
	client_expect_alive(&a);
	fake_release();
	client_expect_alive(&a);
	assert_int_equal(connections(), 1);
	client_close(&a);
}

static void reset(struct client *c, uint8_t function)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	iscsi_bhs_init(bhs, ISCSI_OP_TMF_REQUEST, (uint8_t)(F | function), ++c->itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn);
	client_pdu(c, bhs, NULL, 0);
}

/* A NOP-Out that answers the ping in `pdu` and acknowledges up to `exp_statsn`. */
static void pong(struct client *c, uint32_t exp_statsn)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	iscsi_bhs_init(bhs, ISCSI_OP_NOP_OUT, F, ISCSI_TAG_NONE);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be32_put(bhs + ISCSI_BHS_TTT, iscsi_bhs_ttt(pdu.bhs));
	be32_put(bhs + ISCSI_BHS_EXPSTATSN, exp_statsn);
	client_pdu(c, bhs, NULL, 0);
}

/*
 * RFC 7143 4.2.3.3: the answer to a reset waits until responses that went out over the other
 * connection are acknowledged, and asks for that.
 */
static void test_response_fence(void **state)
{
	static const uint8_t functions[] = {SCSI_TMF_ABORT_TASK_SET, SCSI_TMF_LU_RESET};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2);
		uint8_t bhs[ISCSI_BHS_BYTES];
		uint32_t statsn;

		client_command(&b, bhs, F, FAKE_OP_TUR, 0, 0, 0);
		client_pdu(&b, bhs, NULL, 0);
		client_expect(&b, &pdu, ISCSI_OP_SCSI_RESPONSE);
		statsn = be32_get(pdu.bhs + ISCSI_BHS_STATSN);
		a.cmdsn = b.cmdsn;
		reset(&a, functions[i]);
		client_expect_silence(&a);
		client_expect(&b, &pdu, ISCSI_OP_NOP_IN);
		assert_int_not_equal(iscsi_bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
		pong(&b, statsn); /* the response itself is not acknowledged yet */
		client_expect_silence(&a);
		pong(&b, statsn + 1);
		client_expect(&a, &pdu, ISCSI_OP_TMF_RESPONSE);
		assert_int_equal(iscsi_bhs_itt(pdu.bhs), a.itt);
		/* Nothing is owed any more: at once. */
		reset(&a, functions[i]);
		client_expect(&a, &pdu, ISCSI_OP_TMF_RESPONSE);
		client_close(&a);
		client_close(&b);
	}
}

/* Behind the fence: the other connection goes, the asking one goes, the session ends. */
static void test_fence_and_ends(void **state)
{
	(void)state;
	for (unsigned row = 0; row < 3; row++) {
		struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2);

		reset(&a, SCSI_TMF_LU_RESET);
		client_expect_silence(&a);
		client_expect(&b, &pdu, ISCSI_OP_NOP_IN);
		switch (row) {
		case 0:
			client_close(&b);
			client_expect(&a, &pdu, ISCSI_OP_TMF_RESPONSE);
			break;
		case 1:
			client_close(&a);
			client_expect_alive(&b);
			assert_int_equal(connections(), 1);
			break;
		default:
			logout(&b, ISCSI_LOGOUT_SESSION, 0);
			expect_logout(&b, ISCSI_LOGOUT_CLOSED);
			client_expect_closed(&a);
			break;
		}
		client_close(&a);
		client_close(&b);
		assert_int_equal(iscsi_session_count(harness.iscsi), 0);
	}
}

/* A header that makes no sense costs all connections of the session (RFC 7143 7.7). */
static void test_violation(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2), c;
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	client_command(&b, bhs, 0, FAKE_OP_TUR, 0, 0, 0); /* neither F nor W */
	client_pdu(&b, bhs, NULL, 0);
	client_expect_closed(&b);
	client_expect_closed(&a);
	assert_int_equal(fake.nexuses, 0);
	c = client_login(0, SEVERAL);
	client_expect_alive(&c);
	client_close(&a);
	client_close(&b);
	client_close(&c);
}

/* Parameters: digests and segment sizes are each connection's, bursts the session's. */
static void test_params(void **state)
{
	struct client a = client_login(0, "MaxBurstLength=1024\n" SEVERAL), b = client_connect(1);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	b.keys = "DataDigest=CRC32C\nHeaderDigest=CRC32C\nMaxRecvDataSegmentLength=512";
	b.tsih = a.tsih;
	b.cid = 2;
	client_send_login(&b, false);
	client_expect(&b, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(status(), ISCSI_LOGIN_SUCCESS);
	b.header_digest = b.data_digest = true;
	b.cmdsn = a.cmdsn;
	client_command(&b, bhs, F | R, 0x28, 0, 2, 2 * FAKE_BLOCK);
	client_pdu(&b, bhs, NULL, 0);
	client_expect(&b, &pdu, ISCSI_OP_DATA_IN);
	assert_int_equal(pdu.data_bytes, 512);
	client_expect(&b, &pdu, ISCSI_OP_DATA_IN);
	client_command(&b, bhs, F | W, 0x2a, 0, 4, 4 * FAKE_BLOCK);
	client_pdu(&b, bhs, NULL, 0);
	client_expect(&b, &pdu, ISCSI_OP_R2T);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_R2T_LENGTH), 1024);
	a.cmdsn = b.cmdsn;
	client_read(&a, 0, 2, &pdu);
	client_close(&a);
	client_close(&b);
}

/* What the initiator does not offer stays 1; a key of the leading login in a further one is an
 * error. */
static void test_negotiation(void **state)
{
	struct client a = client_login(0, "InitialR2T=Yes"), b = further(&a, 0, 2);

	(void)state;
	client_expect(&b, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(status(), ISCSI_LOGIN_TOO_MANY_CONNECTIONS);
	client_close(&b);
	client_close(&a);
	a = client_login(0, SEVERAL);
	b = client_connect(1);
	b.tsih = a.tsih;
	b.cid = 2;
	b.keys = "MaxConnections=2";
	client_send_login(&b, false);
	client_expect(&b, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(status(), ISCSI_LOGIN_INITIATOR_ERROR);
	client_expect_alive(&a);
	client_close(&a);
	client_close(&b);
}

/* The server stops with connections in every state. */
static void test_stop(void **state)
{
	struct client a = client_login(0, SEVERAL), b = joined(&a, 1, 2), c;
	bool stopped = false;

	(void)state;
	hold(&a);
	fake.linger = true;
	c = further(&a, 1, 1);
	client_expect_closed(&a);
	iscsi_stop(harness.iscsi, harness_stopped, &stopped);
	harness_settle();
	client_expect(&b, &pdu, ISCSI_OP_ASYNC);
	client_expect_closed(&b);
	client_expect_closed(&c);
	client_close(&a);
	client_close(&b);
	client_close(&c);
	fake_release();
	harness_settle();
	assert_true(stopped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_join),
		TEST(test_one_order),
		TEST(test_statsn_of_each),
		TEST(test_allegiance),
		TEST(test_too_many),
		TEST(test_not_in_discovery),
		TEST(test_reinstated),
		TEST(test_reinstated_twice),
		TEST(test_reinstating_gives_up),
		TEST(test_lost),
		TEST(test_logout_of_one),
		TEST(test_logout_of_another),
		TEST(test_asker_goes),
		TEST(test_logout_of_session),
		TEST(test_logout_of_both),
		TEST(test_session_reinstated),
		TEST(test_abort_amid_data),
		TEST(test_tmf_of_lost),
		TEST(test_response_fence),
		TEST(test_fence_and_ends),
		TEST(test_violation),
		TEST(test_params),
		TEST(test_negotiation),
		TEST(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
