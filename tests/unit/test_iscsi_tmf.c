/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Functions of RFC 7144, what a task management function may aim at, asynchronous messages that ask
 * for a logout, and targets that have moved.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/iscsi_harness.h"
#include "yoke/util.h"

#define LEVEL2 "iSCSIProtocolLevel=2\nMaxConnections=2"

static struct pdu pdu;

static void tmf(struct client *c, uint8_t function, uint32_t ref_itt)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	iscsi_bhs_init(bhs, ISCSI_OP_TMF_REQUEST, (uint8_t)(F | function), ++c->itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be32_put(bhs + ISCSI_TMF_REFERENCED_TAG, ref_itt);
	be32_put(bhs + ISCSI_TMF_REFCMDSN, c->cmdsn);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn);
	client_pdu(c, bhs, NULL, 0);
}

static void expect_tmf(struct client *c, enum scsi_tmf_response response)
{
	client_expect(c, &pdu, ISCSI_OP_TMF_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), c->itt);
	assert_int_equal(pdu.bhs[ISCSI_TMF_RESPONSE], response);
}

static struct iscsi_conn *newest_conn(void)
{
	return qb_list_entry(harness.iscsi->reactors[0].conns.prev, struct iscsi_conn, link);
}

/* Every function code at level 1: what RFC 7144 brings is not supported, nothing is rejected. */
static void test_level_1(void **state)
{
	struct client c = client_login(0, "iSCSIProtocolLevel=1");

	(void)state;
	for (uint8_t function = 9; function < 13; function++) {
		tmf(&c, function, c.itt);
		expect_tmf(&c, SCSI_TMF_NOT_SUPPORTED);
	}
	assert_int_equal(fake.tmfs, 0);
	client_expect_alive(&c);
	client_close(&c);
}

/* All 128 codes: each is answered, by the device server where it is one of a task set's. */
static void test_every_code(void **state)
{
	struct client c = client_login(0, LEVEL2);

	(void)state;
	for (unsigned function = 0; function < 128; function++) {
		if (function == SCSI_TMF_I_T_NEXUS_RESET || function == FAKE_OP_HELD_TMF ||
			function == SCSI_TMF_TARGET_COLD_RESET) {
			continue;
		}
		tmf(&c, (uint8_t)function, 0x12345678);
		client_expect(&c, &pdu, ISCSI_OP_TMF_RESPONSE);
		assert_int_equal(pdu.bhs[ISCSI_TMF_RESPONSE],
			function == SCSI_TMF_ABORT_TASK	      ? SCSI_TMF_NO_TASK
			: function == SCSI_TMF_ABORT_TASK_SET ? SCSI_TMF_COMPLETE
			: function == SCSI_TMF_LU_RESET	      ? SCSI_TMF_COMPLETE
			: function == SCSI_TMF_TASK_REASSIGN  ? SCSI_TMF_NO_REASSIGN
			: function == SCSI_TMF_QUERY_TASK     ? SCSI_TMF_COMPLETE
							      : SCSI_TMF_NOT_SUPPORTED);
	}
	client_close(&c);
}

static void test_query_task(void **state)
{
	struct client c = client_login(0, LEVEL2);
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint32_t itt;

	(void)state;
	client_command(&c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
	client_pdu(&c, bhs, NULL, 0);
	itt = c.itt;
	tmf(&c, SCSI_TMF_QUERY_TASK, itt);
	expect_tmf(&c, SCSI_TMF_SUCCEEDED);
	/* What the device server says besides goes out. */
	assert_memory_equal(pdu.bhs + ISCSI_TMF_INFO, "\x16\x29\x01", 3);
	fake_release();
	client_expect(&c, &pdu, ISCSI_OP_SCSI_RESPONSE);
	tmf(&c, SCSI_TMF_QUERY_TASK, itt);
	expect_tmf(&c, SCSI_TMF_COMPLETE);
	assert_memory_equal(pdu.bhs + ISCSI_TMF_INFO, "\0\0", 3);
	client_close(&c);
}

/* RFC 7144 6: the answer, then every connection of the session goes, and the nexus. */
static void test_nexus_reset(void **state)
{
	struct client a = client_login(0, LEVEL2), b = client_connect(1);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	b.tsih = a.tsih;
	b.cid = 2;
	client_send_login(&b, false);
	client_expect(&b, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	client_command(&a, bhs, F, FAKE_OP_HELD, 0, 0, 0);
	client_pdu(&a, bhs, NULL, 0);
	tmf(&a, SCSI_TMF_I_T_NEXUS_RESET, ISCSI_TAG_NONE);
	expect_tmf(&a, SCSI_TMF_COMPLETE);
	client_expect_closed(&a);
	client_expect_closed(&b);
	assert_int_equal(fake.nexuses, 0);
	assert_int_equal(fake.aborted, 1);
	assert_int_equal(iscsi_session_count(harness.iscsi), 0);
	client_close(&a);
	client_close(&b);
}

/* RFC 7143 11.5.1: as after power on. The answer comes first; others have none to wait for. */
static void test_cold_reset(void **state)
{
	struct client a = client_login(0, LEVEL2), b = client_connect(1);

	(void)state;
	b.isid = 2;
	client_send_login(&b, false);
	client_expect(&b, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(fake.nexuses, 2);
	tmf(&a, SCSI_TMF_TARGET_COLD_RESET, ISCSI_TAG_NONE);
	expect_tmf(&a, SCSI_TMF_COMPLETE);
	client_expect_closed(&a);
	assert_int_equal(iscsi_session_count(harness.iscsi), 1);
	client_expect_alive(&b);
	fake.end(fake.end_arg); /* what the device server does with the others */
	client_expect_closed(&b);
	assert_int_equal(fake.nexuses, 0);
	assert_int_equal(iscsi_session_count(harness.iscsi), 0);
	client_close(&a);
	client_close(&b);
}

/* RFC 7143 11.5.1: a task management function is no task to abort. */
static void test_aiming_at_a_tmf(void **state)
{
	struct client c = client_login(0, LEVEL2);
	uint32_t held;

	(void)state;
	/* Itself, and one that runs. */
	tmf(&c, SCSI_TMF_ABORT_TASK, c.itt + 1);
	expect_tmf(&c, SCSI_TMF_REJECTED);
	fake.hold_tmfs = true;
	tmf(&c, SCSI_TMF_LU_RESET, 0);
	held = c.itt;
	client_expect_silence(&c);
	tmf(&c, SCSI_TMF_ABORT_TASK, held);
	expect_tmf(&c, SCSI_TMF_REJECTED);
	fake_release();
	client_expect(&c, &pdu, ISCSI_OP_TMF_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), held);
	client_close(&c);
}

/* --- asked to log out --- */

static void test_logout_asked(void **state)
{
	struct client a = client_login(0, LEVEL2), b = client_connect(0);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	b.isid = 2;
	client_send_login(&b, false);
	client_expect(&b, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(iscsi_session_logout(harness.iscsi, (uint16_t)(a.tsih + 7), 5), 0);
	assert_int_equal(iscsi_session_logout(harness.iscsi, a.tsih, 5), 1);
	client_expect(&a, &pdu, ISCSI_OP_ASYNC);
	assert_int_equal(pdu.bhs[1], F);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), ISCSI_TAG_NONE);
	assert_int_equal(pdu.bhs[ISCSI_ASYNC_EVENT], ISCSI_ASYNC_LOGOUT_REQUEST);
	assert_int_equal(be16_get(pdu.bhs + ISCSI_ASYNC_PARAMETER3), 5);
	assert_int_equal(pdu.data_bytes, 0);
	client_expect_silence(&b);
	/* It is served until it logs out. */
	client_read(&a, 0, 1, &pdu);
	iscsi_bhs_init(bhs, ISCSI_OP_LOGOUT_REQUEST, F | ISCSI_LOGOUT_SESSION, ++a.itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	client_pdu(&a, bhs, NULL, 0);
	client_expect(&a, &pdu, ISCSI_OP_LOGOUT_RESPONSE);
	client_expect_closed(&a);
	client_expect_alive(&b);
	client_close(&a);
	client_close(&b);
}

/* All sessions, on every reactor; whoever stays is told and dropped. */
static void test_logout_not_heeded(void **state)
{
	struct client a = client_login(0, LEVEL2), b = client_connect(1), d = client_connect(1);
	struct iscsi_conn *conn = newest_conn();

	(void)state;
	b.isid = 2;
	client_send_login(&b, false);
	client_expect(&b, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	client_send_login(&d, true);
	client_expect(&d, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(iscsi_session_logout(harness.iscsi, 0, 3), 2);
	client_expect(&a, &pdu, ISCSI_OP_ASYNC);
	client_expect(&b, &pdu, ISCSI_OP_ASYNC);
	client_expect_silence(&d); /* not in a discovery session: RFC 7143 4.3 */
	/* A NOP-In in between does not put it off. */
	conn->rx.last_ms -= 11000;
	conn->timer.fired(&conn->timer);
	client_expect(&a, &pdu, ISCSI_OP_NOP_IN);
	assert_true(reactor_timer_is_set(&conn->timer));
	conn->logout_until_ms -= 3000;
	conn->timer.fired(&conn->timer);
	client_expect(&a, &pdu, ISCSI_OP_ASYNC);
	assert_int_equal(pdu.bhs[ISCSI_ASYNC_EVENT], ISCSI_ASYNC_SESSION_DROP);
	client_expect_closed(&a);
	client_expect_alive(&b);
	client_close(&a);
	client_close(&b);
	client_close(&d);
}

/* Without NOP-Ins there is a deadline all the same. */
static void test_logout_without_nops(void **state)
{
	struct client a;
	struct iscsi_conn *conn;

	(void)state;
	harness.conf.iscsi.nop_interval_s = 0;
	a = client_login(0, LEVEL2);
	conn = newest_conn();
	assert_false(reactor_timer_is_set(&conn->timer));
	assert_int_equal(iscsi_session_logout(harness.iscsi, a.tsih, 3600), 1);
	client_expect(&a, &pdu, ISCSI_OP_ASYNC);
	assert_true(reactor_timer_is_set(&conn->timer));
	conn->logout_until_ms -= 3600000;
	conn->timer.fired(&conn->timer);
	client_expect(&a, &pdu, ISCSI_OP_ASYNC);
	client_expect_closed(&a);
	client_close(&a);
}

/* --- targets that have moved --- */

static void test_redirect(void **state)
{
	static const char text[] = "TargetAddress=[fd00::9]:3260";

	(void)state;
	snprintf(harness.target.redirect.text, sizeof(harness.target.redirect.text),
		"[fd00::9]:3260");
	harness.target.redirect.length = sizeof(struct sockaddr_in6);
	for (unsigned permanent = 0; permanent < 2; permanent++) {
		struct client c = client_connect(0), d = client_connect(0);

		harness.target.redirect_permanent = permanent;
		client_send_login(&c, false);
		client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
		assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS),
			permanent ? ISCSI_LOGIN_MOVED_PERMANENTLY : ISCSI_LOGIN_MOVED_TEMPORARILY);
		assert_int_equal(pdu.data_bytes, sizeof(text));
		assert_memory_equal(pdu.data, text, sizeof(text)); /* no portal group tag */
		assert_int_equal(pdu.bhs[1] & ISCSI_LOGIN_TRANSIT, 0);
		client_expect_closed(&c);
		/* Discovery goes on here. */
		client_send_login(&d, true);
		client_expect(&d, &pdu, ISCSI_OP_LOGIN_RESPONSE);
		assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS), 0);
		client_close(&c);
		client_close(&d);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_level_1),
		TEST(test_every_code),
		TEST(test_query_task),
		TEST(test_nexus_reset),
		TEST(test_cold_reset),
		TEST(test_aiming_at_a_tmf),
		TEST(test_logout_asked),
		TEST(test_logout_not_heeded),
		TEST(test_logout_without_nops),
		TEST(test_redirect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
