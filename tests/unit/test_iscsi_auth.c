/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Authentication as part of a login: who has to, when, and that nobody gets round it. The digests
 * are those of test_iscsi_chap.c.
 */
#include "tests/unit/iscsi_fixture.h"

#include <arpa/inet.h>

#define RIGHT	  "CHAP_N=host1\0CHAP_R=0x5f97d96f816346e685d91222261c216d\0"
#define WRONG	  "CHAP_N=host1\0CHAP_R=0x5f97d96f816346e685d91222261c216e\0"
#define NOBODY	  "CHAP_N=nobody\0CHAP_R=0x5f97d96f816346e685d91222261c216d\0"
#define ASK	  "CHAP_I=7\0CHAP_C=0x0102030405060708090a0b0c0d0e0f10\0"
#define CHALLENGE "CHAP_A=5\0CHAP_I=90\0CHAP_C=0xa0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
#define PROOF	  "CHAP_N=array1\0CHAP_R=0xce8e1066c00e2f6614ffe38a0b51ee19"

static struct conf_user people[] = {
	{.name = "host1",
		.secret = "host1secret-x",
		.peer_name = "array1",
		.peer_secret = "array1secret-y"},
	{.name = "host2", .secret = "host2secret-x"},
};
static const struct conf_secrets secrets = {.users = people, .user_count = ARRAY_SIZE(people)};
static const char *host1_only[] = {"host1"};
static const char *host2_only[] = {"host2"};

static bool random_known(void *bytes, size_t size)
{
	uint8_t *p = bytes;

	for (size_t i = 0; i < size; i++) {
		p[i] = (uint8_t)(size == 1 ? 0x5a : 0xa0 + i);
	}
	return true;
}

/* Target ARRAY1 asks its hosts for CHAP; the others are open, and so is discovery. */
static void auth_init(struct fixture *f, enum conf_auth auth)
{
	fixture_conf(f);
	f->groups[0].auth = auth;
	f->groups[0].users = host1_only;
	f->groups[0].user_count = 1;
	f->setup.secrets = &secrets;
	f->setup.random = random_known;
	iscsi_login_init(&f->login, &f->setup);
}

static void begin(struct fixture *f, enum conf_auth auth)
{
	auth_init(f, auth);
	assert_int_equal(
		SEND(f, SECURITY_TO_OPERATIONAL, NAMES "AuthMethod=CHAP,None"), ISCSI_LOGIN_REPLY);
	CHECK_REPLY(f, SECURITY, "TargetPortalGroupTag=1\0TargetAlias=array1\0AuthMethod=CHAP");
	assert_int_equal(SEND(f, SECURITY, "CHAP_A=5"), ISCSI_LOGIN_REPLY);
	CHECK_REPLY(f, SECURITY, CHALLENGE);
}

static void one_way(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&f, SECURITY_TO_OPERATIONAL, RIGHT), ISCSI_LOGIN_REPLY);
	check_reply(&f, SECURITY_TO_OPERATIONAL, "", 0);
	assert_string_equal(f.login.chap.user->name, "host1");
	assert_int_equal(SEND_EMPTY(&f, OPERATIONAL_TO_FULL), ISCSI_LOGIN_FINAL);
}

static void straight_to_full_feature(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&f, SECURITY_TO_FULL, RIGHT), ISCSI_LOGIN_FINAL);
}

static void mutual(void **state)
{
	struct fixture f;

	(void)state;
	for (enum conf_auth auth = CONF_AUTH_CHAP; auth <= CONF_AUTH_MUTUAL; auth++) {
		begin(&f, auth);
		assert_int_equal(SEND(&f, SECURITY_TO_OPERATIONAL, RIGHT ASK), ISCSI_LOGIN_REPLY);
		CHECK_REPLY(&f, SECURITY_TO_OPERATIONAL, PROOF);
	}
	/* The target has to prove itself, and nobody asks it to. */
	begin(&f, CONF_AUTH_MUTUAL);
	check_refused(&f, SEND(&f, SECURITY_TO_OPERATIONAL, RIGHT), 0x0201);
}

/* The T bit grants nothing before the proof; without it the stage goes on after the proof. */
static void t_bit(void **state)
{
	struct fixture f;

	(void)state;
	auth_init(&f, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&f, SECURITY_TO_FULL, NAMES "AuthMethod=CHAP"), ISCSI_LOGIN_REPLY);
	assert_int_equal(f.reply.bhs[ISCSI_BHS_FLAGS], SECURITY);
	assert_int_equal(SEND(&f, SECURITY_TO_FULL, "CHAP_A=5"), ISCSI_LOGIN_REPLY);
	CHECK_REPLY(&f, SECURITY, CHALLENGE);
	assert_int_equal(SEND(&f, SECURITY, RIGHT), ISCSI_LOGIN_REPLY);
	check_reply(&f, SECURITY, "", 0);
	assert_int_equal(SEND_EMPTY(&f, SECURITY_TO_FULL), ISCSI_LOGIN_FINAL);
}

/* Keys cut by C=1 anywhere. */
static void split_keys(void **state)
{
	static const char text[] = RIGHT ASK;

	(void)state;
	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		struct fixture f;

		begin(&f, CONF_AUTH_CHAP);
		assert_int_equal(send_text(&f, SECURITY | CONTINUE, text, cut), ISCSI_LOGIN_REPLY);
		check_reply(&f, SECURITY, "", 0);
		assert_int_equal(
			send_text(&f, SECURITY_TO_OPERATIONAL, text + cut, sizeof(text) - 1 - cut),
			ISCSI_LOGIN_REPLY);
		CHECK_REPLY(&f, SECURITY_TO_OPERATIONAL, PROOF);
	}
}

/* Answers that leave no room for the challenge: it comes with the next response. */
static void no_room(void **state)
{
	char text[8192];
	size_t n = 0;
	struct fixture f;

	(void)state;
	auth_init(&f, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&f, SECURITY, NAMES "AuthMethod=CHAP"), ISCSI_LOGIN_REPLY);
	while (n < 4600) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, "X-%04u=1", (unsigned)n) + 1;
	}
	memcpy(text + n, "CHAP_A=5", 9);
	assert_int_equal(send_text(&f, SECURITY, text, n + 9), ISCSI_LOGIN_REPLY);
	if (f.reply.bhs[ISCSI_BHS_FLAGS] & CONTINUE) {
		assert_null(reply_value(&f, "CHAP_C"));
		assert_int_equal(SEND_EMPTY(&f, SECURITY), ISCSI_LOGIN_REPLY);
	}
	assert_non_null(reply_value(&f, "CHAP_C"));
	assert_int_equal(SEND(&f, SECURITY_TO_FULL, RIGHT), ISCSI_LOGIN_FINAL);
}

static void no_way_round(void **state)
{
	struct fixture f;

	(void)state;
	/* The operational stage first. */
	auth_init(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, OPERATIONAL, NAMES), 0x0201);
	auth_init(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, OPERATIONAL_TO_FULL, NAMES), 0x0201);
	/* No method, or None. */
	auth_init(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY_TO_OPERATIONAL, NAMES), 0x0201);
	auth_init(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY, NAMES "AuthMethod=None"), 0x0201);
	auth_init(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY, NAMES "AuthMethod=KRB5,SRP"), 0x0201);
	/* None first in the list does not help. */
	auth_init(&f, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&f, SECURITY, NAMES "AuthMethod=None,CHAP"), ISCSI_LOGIN_REPLY);
	assert_string_equal(reply_value(&f, "AuthMethod"), "CHAP");
	/* Out of the security stage before the proof. */
	check_refused(&f, SEND_EMPTY(&f, OPERATIONAL), 0x0200);
	/* The method a second time. */
	begin(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY_TO_FULL, "AuthMethod=None"), 0x0200);
	/* Nothing where the proof is due, also with T. */
	begin(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND_EMPTY(&f, SECURITY_TO_FULL), 0x0200);
	/* SendTargets, before and as the proof. */
	begin(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY, "SendTargets=All"), 0x0200);
	/* Another target or name once the first has asked for nothing. */
	auth_init(&f, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&f, SECURITY, "InitiatorName=" HOST1 "\0TargetName=" OPEN1),
		ISCSI_LOGIN_REPLY);
	check_refused(&f, SEND(&f, SECURITY_TO_FULL, "TargetName=" ARRAY1), 0x0200);
}

static void wrong_order(void **state)
{
	struct fixture f;

	(void)state;
	/* CHAP keys before, and together with, the method. */
	auth_init(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY, NAMES "CHAP_A=5"), 0x0200);
	auth_init(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY, NAMES "AuthMethod=CHAP\0CHAP_A=5"), 0x0200);
	/* The proof before the challenge. */
	auth_init(&f, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&f, SECURITY, NAMES "AuthMethod=CHAP"), ISCSI_LOGIN_REPLY);
	check_refused(&f, SEND(&f, SECURITY, RIGHT), 0x0200);
	/* CHAP_A again. */
	begin(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY, "CHAP_A=5\0" RIGHT), 0x0200);
	/* A name without a response; a challenge without an identifier. */
	begin(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY, "CHAP_N=host1"), 0x0200);
	begin(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY, RIGHT "CHAP_C=0x0102030405060708"), 0x0200);
	/* CHAP_R twice. */
	begin(&f, CONF_AUTH_CHAP);
	check_refused(&f, SEND(&f, SECURITY, RIGHT "CHAP_R=0x00"), 0x0200);
	/* After the proof. */
	begin(&f, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&f, SECURITY, RIGHT), ISCSI_LOGIN_REPLY);
	check_refused(&f, SEND(&f, SECURITY, ASK), 0x0200);
	/* Where nobody asked for it. */
	auth_init(&f, CONF_AUTH_NONE);
	check_refused(&f, SEND(&f, SECURITY, NAMES "AuthMethod=CHAP"), 0x0201);
}

/* A wrong secret and an unknown name cannot be told apart. */
static void alike(void **state)
{
	struct fixture wrong, nobody;

	(void)state;
	begin(&wrong, CONF_AUTH_CHAP);
	begin(&nobody, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&wrong, SECURITY_TO_FULL, WRONG), ISCSI_LOGIN_FAILED);
	assert_int_equal(SEND(&nobody, SECURITY_TO_FULL, NOBODY), ISCSI_LOGIN_FAILED);
	assert_int_equal(reply_status(&wrong), 0x0201);
	assert_memory_equal(wrong.reply.bhs, nobody.reply.bhs, ISCSI_BHS_BYTES);
	assert_int_equal(wrong.reply.data_length, 0);
	assert_int_equal(nobody.reply.data_length, 0);
	/* The log knows the difference, and no secret. */
	assert_string_not_equal(wrong.login.reason, nobody.login.reason);
	assert_null(strstr(wrong.login.reason, "secret-x"));
}

static void reflected(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&f, SECURITY_TO_FULL,
				 RIGHT "CHAP_I=90\0CHAP_C=0xa0a1a2a3a4a5a6a7a8a9aaabacadaeaf"),
		ISCSI_LOGIN_DROP);
	assert_int_equal(f.login.state, ISCSI_LOGIN_STATE_FAILED);
	assert_int_equal(SEND_EMPTY(&f, SECURITY), ISCSI_LOGIN_DROP);
}

static void discovery_policy(void **state)
{
	struct fixture f;

	(void)state;
	/* Open discovery, though the target is not. */
	auth_init(&f, CONF_AUTH_CHAP);
	assert_int_equal(SEND(&f, OPERATIONAL_TO_FULL, DISCOVERY), ISCSI_LOGIN_FINAL);
	auth_init(&f, CONF_AUTH_CHAP);
	assert_int_equal(
		SEND(&f, OPERATIONAL_TO_FULL, DISCOVERY "TargetName=" ARRAY1), ISCSI_LOGIN_FINAL);
	/* Discovery with users of its own. */
	auth_init(&f, CONF_AUTH_NONE);
	f.conf.iscsi.discovery_auth = CONF_AUTH_CHAP;
	f.conf.iscsi.discovery_users = host2_only;
	f.conf.iscsi.discovery_user_count = 1;
	check_refused(&f, SEND(&f, OPERATIONAL_TO_FULL, DISCOVERY), 0x0201);
	iscsi_login_init(&f.login, &f.setup);
	assert_int_equal(SEND(&f, SECURITY, DISCOVERY "AuthMethod=CHAP"), ISCSI_LOGIN_REPLY);
	CHECK_REPLY(&f, SECURITY, "AuthMethod=CHAP");
	assert_int_equal(SEND(&f, SECURITY, "CHAP_A=5"), ISCSI_LOGIN_REPLY);
	check_refused(&f, SEND(&f, SECURITY, RIGHT), 0x0201); /* host1 is none of them */
	f.conf.iscsi.discovery_users = host1_only;
	iscsi_login_init(&f.login, &f.setup);
	assert_int_equal(SEND(&f, SECURITY, DISCOVERY "AuthMethod=CHAP"), ISCSI_LOGIN_REPLY);
	assert_int_equal(SEND(&f, SECURITY, "CHAP_A=5"), ISCSI_LOGIN_REPLY);
	assert_int_equal(SEND(&f, SECURITY_TO_FULL, RIGHT), ISCSI_LOGIN_FINAL);
	/* A normal session of an open target does not care. */
	iscsi_login_init(&f.login, &f.setup);
	assert_int_equal(SEND(&f, OPERATIONAL_TO_FULL, NAMES), ISCSI_LOGIN_FINAL);
}

/* The first group of the target that lets the initiator in decides. */
static void group_decides(void **state)
{
	static const struct {
		const char *from;
		bool proof;
	} rows[] = {{"10.1.2.3", true}, {"10.2.0.1", false}};
	static uint16_t list[] = {0, 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf_network network = {
			.address = {[10] = 0xff, [11] = 0xff, 10, 1}, .prefix = 96 + 16};
		struct sockaddr_storage peer = {.ss_family = AF_INET};
		struct fixture f;

		auth_init(&f, CONF_AUTH_CHAP);
		f.groups[0].networks = &network;
		f.groups[0].network_count = 1;
		f.groups[1].initiators = NULL;
		f.groups[1].initiator_count = 0;
		f.targets[0].initiator_groups = list;
		f.targets[0].initiator_group_count = 2;
		assert_int_equal(inet_pton(AF_INET, rows[i].from,
					 &((struct sockaddr_in *)(void *)&peer)->sin_addr),
			1);
		f.setup.peer = &peer;
		iscsi_login_init(&f.login, &f.setup);
		if (rows[i].proof) {
			check_refused(&f, SEND(&f, OPERATIONAL_TO_FULL, NAMES), 0x0201);
		} else {
			assert_int_equal(SEND(&f, OPERATIONAL_TO_FULL, NAMES), ISCSI_LOGIN_FINAL);
		}
	}
}

/* The largest values that RFC 7143 12.1.3 allows pass the text parser; one byte more does not. */
static void value_limits(void **state)
{
	static char text[8192];
	struct fixture f;
	size_t n;

	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		begin(&f, CONF_AUTH_CHAP);
		n = (size_t)snprintf(text, sizeof(text), "CHAP_N=host1%cCHAP_R=0x", 0);
		memset(text + n, 'a', 2048 + extra);
		n += 2048 + extra;
		text[n++] = '\0';
		check_refused(&f, send_text(&f, SECURITY, text, n), extra ? 0x0200 : 0x0201);
	}
	begin(&f, CONF_AUTH_CHAP);
	n = (size_t)snprintf(text, sizeof(text), "CHAP_R=0x00%cCHAP_N=", 0);
	memset(text + n, 'a', 256);
	n += 256;
	text[n++] = '\0';
	check_refused(&f, send_text(&f, SECURITY, text, n), 0x0200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_way),
		cmocka_unit_test(straight_to_full_feature),
		cmocka_unit_test(mutual),
		cmocka_unit_test(t_bit),
		cmocka_unit_test(split_keys),
		cmocka_unit_test(no_room),
		cmocka_unit_test(no_way_round),
		cmocka_unit_test(wrong_order),
		cmocka_unit_test(alike),
		cmocka_unit_test(reflected),
		cmocka_unit_test(discovery_policy),
		cmocka_unit_test(group_decides),
		cmocka_unit_test(value_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
