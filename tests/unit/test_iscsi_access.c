/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who gets in, over connections: CHAP with the daemon's own random challenges, and what an
 * initiator that has proved nothing can and cannot do to the sessions of others; and secrets that
 * are replaced while there are sessions and logins.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/iscsi_harness.h"
#include "yoke/util.h"

static struct pdu pdu;

static struct conf_user people[] = {{.name = "host1", .secret = "host1secret-x"}};
static const struct conf_secrets secrets = {.users = people, .user_count = 1};
static const char *users[] = {"host1"};
static struct conf_initiator_group group = {
	.name = "hosts", .auth = CONF_AUTH_CHAP, .users = users, .user_count = 1};
static uint16_t groups[] = {0};

static int setup(void **state)
{
	int ret = harness_setup(state);

	harness.target.initiator_groups = groups;
	harness.target.initiator_group_count = 1;
	harness.conf.initiator_groups = &group;
	harness.conf.initiator_group_count = 1;
	harness.iscsi->setup.secrets = &secrets;
	for (unsigned i = 0; i < HARNESS_REACTORS; i++) {
		harness.iscsi->reactors[i].secrets = &secrets;
	}
	return ret;
}

#define SECURITY  0x00
#define TO_FULL	  (ISCSI_LOGIN_TRANSIT | 3)
#define LOGIN_TAG 7u

/* A Login Request in the security stage; '\n' between pairs. */
static void send_login(struct client *c, uint8_t flags, const char *pairs)
{
	uint8_t bhs[ISCSI_BHS_BYTES];
	char text[1024];

	iscsi_bhs_init(bhs, ISCSI_OP_LOGIN_REQUEST, flags, LOGIN_TAG);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	bhs[ISCSI_LOGIN_ISID] = 0x80;
	bhs[ISCSI_LOGIN_ISID + 5] = c->isid;
	be16_put(bhs + ISCSI_LOGIN_TSIH, c->tsih);
	be16_put(bhs + ISCSI_LOGIN_CID, c->cid);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn);
	snprintf(text, sizeof(text), "%s", pairs);
	for (char *p = text; *p; p++) {
		*p = *p == '\n' ? '\0' : *p;
	}
	client_pdu(c, bhs, text, (uint32_t)strlen(pairs) + 1);
}

static const char *reply_value(const char *key)
{
	size_t n = strlen(key);

	for (uint32_t i = 0; i < pdu.data_bytes;) {
		const char *pair = (const char *)pdu.data + i;

		if (strncmp(pair, key, n) == 0 && pair[n] == '=') {
			return pair + n + 1;
		}
		i += (uint32_t)strlen(pair) + 1;
	}
	return NULL;
}

/* The response to the SHA-256 challenge in `pdu`, as "CHAP_R=0x...". */
static void respond(const char *secret, char *out, size_t size)
{
	unsigned identifier = 0, byte;
	uint8_t text[1 + 255 + 32], digest[32];
	size_t n = 1, used;

	assert_string_equal(reply_value("CHAP_A"), "7");
	assert_int_equal(sscanf(reply_value("CHAP_I"), "%u", &identifier), 1);
	text[0] = (uint8_t)identifier;
	memcpy(text + n, secret, strlen(secret));
	n += strlen(secret);
	assert_int_equal(strlen(reply_value("CHAP_C")), 2 + 64);
	for (unsigned i = 0; i < 32; i++) {
		assert_int_equal(sscanf(reply_value("CHAP_C") + 2 + 2 * i, "%2x", &byte), 1);
		text[n++] = (uint8_t)byte;
	}
	assert_int_equal(EVP_Digest(text, n, digest, NULL, EVP_sha256(), NULL), 1);
	used = (size_t)snprintf(out, size, "CHAP_N=host1\nCHAP_R=0x");
	for (unsigned i = 0; i < 32; i++) {
		used += (size_t)snprintf(out + used, size - used, "%02x", digest[i]);
	}
}

/* A CHAP login up to the challenge, which is in `pdu`. */
static void chap_begin(struct client *c)
{
	send_login(c, SECURITY,
		"InitiatorName=" HARNESS_NAME "\nTargetName=" HARNESS_TARGET "\nAuthMethod=CHAP");
	client_expect(c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_string_equal(reply_value("AuthMethod"), "CHAP");
	send_login(c, SECURITY, "CHAP_A=7,5");
	client_expect(c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
}

/* The last request, `answer` from respond(); its response is in `pdu`. */
static void chap_end(struct client *c, const char *answer)
{
	send_login(c, TO_FULL, answer);
	client_expect(c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
}

static void chap_login(struct client *c, const char *secret)
{
	char answer[256];

	chap_begin(c);
	respond(secret, answer, sizeof(answer));
	chap_end(c, answer);
}

static unsigned status(void)
{
	return be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS);
}

static void session_user(const struct iscsi_session_info *info, void *arg)
{
	snprintf(arg, 64, "%s", info->user);
}

static void test_login(void **state)
{
	struct client c = client_connect(0);
	char user[64] = "";

	(void)state;
	chap_login(&c, "host1secret-x");
	assert_int_equal(status(), ISCSI_LOGIN_SUCCESS);
	client_expect_alive(&c);
	iscsi_sessions(harness.iscsi, session_user, user);
	assert_string_equal(user, "host1");
	client_close(&c);
}

/* No two challenges are alike. */
static void test_challenges_differ(void **state)
{
	static char seen[32][80];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(seen); i++) {
		struct client c = client_connect(i % HARNESS_REACTORS);

		send_login(&c, SECURITY,
			"InitiatorName=" HARNESS_NAME "\nTargetName=" HARNESS_TARGET
			"\nAuthMethod=CHAP");
		client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
		send_login(&c, SECURITY, "CHAP_A=8");
		client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
		snprintf(seen[i], sizeof(seen[i]), "%s", reply_value("CHAP_C"));
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(seen[i], seen[j]);
		}
		client_close(&c);
	}
}

/* A second login of the same name and ISID ends the first session only once it has proved itself.
 */
static void test_reinstatement_needs_proof(void **state)
{
	struct client first = client_connect(0), thief = client_connect(1), owner;

	(void)state;
	chap_login(&first, "host1secret-x");
	assert_int_equal(status(), ISCSI_LOGIN_SUCCESS);
	/* Without authentication, in mid-authentication, with the wrong secret. */
	client_send_login(&thief, false);
	client_expect(&thief, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(status(), ISCSI_LOGIN_AUTHENTICATION_FAILED);
	client_expect_closed(&thief);
	client_expect_alive(&first);
	client_close(&thief);
	thief = client_connect(1);
	send_login(&thief, SECURITY,
		"InitiatorName=" HARNESS_NAME "\nTargetName=" HARNESS_TARGET "\nAuthMethod=CHAP");
	client_expect(&thief, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	client_expect_alive(&first);
	client_close(&thief);
	client_expect_alive(&first);
	thief = client_connect(1);
	chap_login(&thief, "wrong-secret-x");
	assert_int_equal(status(), ISCSI_LOGIN_AUTHENTICATION_FAILED);
	client_expect_closed(&thief);
	client_expect_alive(&first);
	client_close(&thief);
	/* With the right one it is the initiator itself. */
	owner = client_connect(1);
	chap_login(&owner, "host1secret-x");
	assert_int_equal(status(), ISCSI_LOGIN_SUCCESS);
	client_expect_closed(&first);
	client_expect_alive(&owner);
	client_close(&first);
	client_close(&owner);
}

/* A reflected challenge: the connection goes without a response. */
static void test_reflection_closes(void **state)
{
	struct client c = client_connect(0);
	char text[256];

	(void)state;
	send_login(&c, SECURITY,
		"InitiatorName=" HARNESS_NAME "\nTargetName=" HARNESS_TARGET "\nAuthMethod=CHAP");
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	send_login(&c, SECURITY, "CHAP_A=7");
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	snprintf(text, sizeof(text), "CHAP_N=host1\nCHAP_R=0x00\nCHAP_I=%s\nCHAP_C=%s",
		reply_value("CHAP_I"), reply_value("CHAP_C"));
	send_login(&c, TO_FULL, text);
	client_expect_closed(&c);
	client_close(&c);
}

/* Text and SCSI PDUs while the proof is due: 020B, nothing is answered. */
static void test_nothing_before_the_proof(void **state)
{
	static const uint8_t opcodes[] = {ISCSI_OP_TEXT_REQUEST, ISCSI_OP_SCSI_COMMAND,
		ISCSI_OP_NOP_OUT, ISCSI_OP_LOGOUT_REQUEST, ISCSI_OP_TMF_REQUEST};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		struct client c = client_connect(0);
		uint8_t bhs[ISCSI_BHS_BYTES];

		send_login(&c, SECURITY,
			"InitiatorName=" HARNESS_NAME "\nTargetName=" HARNESS_TARGET
			"\nAuthMethod=CHAP");
		client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
		iscsi_bhs_init(bhs, (enum iscsi_opcode)opcodes[i], F, 9);
		be32_put(bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
		client_pdu(&c, bhs, "SendTargets=All", 16);
		client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
		assert_int_equal(status(), ISCSI_LOGIN_INVALID_REQUEST);
		assert_int_equal(pdu.data_bytes, 0);
		client_expect_closed(&c);
		client_close(&c);
	}
}

/* ----- secrets that are replaced -------------------------------------------------------------- */

static unsigned dones;

static void count_done(void *arg)
{
	dones++;
}

/* host1 with that secret, in memory of its own: who uses it after its end is found out. */
static struct conf_secrets *secrets_make(const char *secret)
{
	struct conf_secrets *made = calloc(1, sizeof(*made));
	struct conf_user *user = calloc(1, sizeof(*user));

	assert_true(made && user);
	*user = (struct conf_user){.name = strdup("host1"), .secret = strdup(secret)};
	*made = (struct conf_secrets){.users = user, .user_count = 1};
	return made;
}

static void secrets_drop(struct conf_secrets *made)
{
	free((char *)(uintptr_t)made->users[0].name);
	free((char *)(uintptr_t)made->users[0].secret);
	free(made->users);
	free(made);
}

static void replace(const struct conf *conf, const struct conf_secrets *with)
{
	dones = 0;
	iscsi_conf_set(harness.iscsi, conf, with, count_done, NULL);
	harness_settle();
}

/* Logins with `secret` at every reactor end so. */
static void logins_end(const char *secret, enum iscsi_login_status wanted)
{
	for (unsigned i = 0; i < HARNESS_REACTORS; i++) {
		struct client c = client_connect(i);

		c.isid = (uint8_t)(10 + i);
		chap_login(&c, secret);
		assert_int_equal(status(), wanted);
		if (wanted == ISCSI_LOGIN_SUCCESS) {
			client_expect_alive(&c);
		}
		client_close(&c);
	}
	harness_settle();
}

/* From now on the new ones count, at every reactor; sessions go on. */
static void test_secrets_are_replaced(void **state)
{
	struct conf_secrets *second = secrets_make("second-secret");
	struct conf next = harness.conf;
	struct client a = client_connect(0), b = client_connect(1);

	(void)state;
	b.isid = 2;
	chap_login(&a, "host1secret-x");
	chap_login(&b, "host1secret-x");
	replace(&next, second);
	assert_int_equal(dones, 1);
	logins_end("host1secret-x", ISCSI_LOGIN_AUTHENTICATION_FAILED);
	logins_end("second-secret", ISCSI_LOGIN_SUCCESS);
	client_expect_alive(&a);
	client_expect_alive(&b);
	replace(&harness.conf, &secrets);
	assert_int_equal(dones, 1);
	secrets_drop(second); /* nobody looks at them any more */
	logins_end("second-secret", ISCSI_LOGIN_AUTHENTICATION_FAILED);
	logins_end("host1secret-x", ISCSI_LOGIN_SUCCESS);
	client_expect_alive(&a);
	client_close(&a);
	client_close(&b);
}

/* A login that has its challenge ends by the secrets that it began with: they stay until then. */
static void test_a_login_keeps_its_secrets(void **state)
{
	struct conf_secrets *first = secrets_make("first-secret-x");
	struct conf middle = harness.conf;
	struct client c = client_connect(1);
	char answer[256], user[64] = "";

	(void)state;
	replace(&middle, first);
	assert_int_equal(dones, 1);
	c.isid = 3;
	chap_begin(&c);
	respond("first-secret-x", answer, sizeof(answer));
	replace(&harness.conf, &secrets);
	assert_int_equal(dones, 0);
	logins_end("first-secret-x", ISCSI_LOGIN_AUTHENTICATION_FAILED);
	logins_end("host1secret-x", ISCSI_LOGIN_SUCCESS);
	assert_int_equal(dones, 0);
	chap_end(&c, answer);
	assert_int_equal(status(), ISCSI_LOGIN_SUCCESS);
	harness_settle();
	assert_int_equal(dones, 1);
	secrets_drop(first);
	client_expect_alive(&c);
	iscsi_sessions(harness.iscsi, session_user, user);
	assert_string_equal(user, "host1");
	client_close(&c);
}

/* Nobody has secrets any more: who has to prove himself cannot. */
static void test_secrets_are_taken_away(void **state)
{
	struct conf next = harness.conf;

	(void)state;
	replace(&next, NULL);
	assert_int_equal(dones, 1);
	logins_end("host1secret-x", ISCSI_LOGIN_AUTHENTICATION_FAILED);
	replace(&harness.conf, &secrets);
	logins_end("host1secret-x", ISCSI_LOGIN_SUCCESS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_login),
		TEST(test_challenges_differ),
		TEST(test_reinstatement_needs_proof),
		TEST(test_reflection_closes),
		TEST(test_nothing_before_the_proof),
		TEST(test_secrets_are_replaced),
		TEST(test_a_login_keeps_its_secrets),
		TEST(test_secrets_are_taken_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
