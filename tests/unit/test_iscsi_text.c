/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking key=value text apart, and Text Requests in full feature phase. */
#include "daemon/iscsi/pairs.h"
#include "daemon/iscsi/text.h"
#include "tests/unit/iscsi_fixture.h"

enum {
	FINAL = 0x80,
	MORE = 0x40
};

struct session {
	struct fixture f;
	struct iscsi_text text;
	enum iscsi_reject_reason reason;
	uint32_t ttt;
};

static void session_init(struct session *s, bool discovery)
{
	fixture_init(&s->f);
	iscsi_text_init(&s->text);
	assert_int_equal(discovery ? SEND(&s->f, OPERATIONAL_TO_FULL, DISCOVERY)
				   : SEND(&s->f, OPERATIONAL_TO_FULL, NAMES),
		ISCSI_LOGIN_FINAL);
	iscsi_login_accept(&s->f.login, 1, &s->f.reply);
	s->ttt = ISCSI_TAG_NONE;
}

static enum iscsi_text_step text_send(
	struct session *s, uint8_t flags, uint32_t ttt, const char *text, size_t length)
{
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint8_t *copy = malloc(length ? length : 1);
	enum iscsi_text_step step;

	assert_non_null(copy);
	memcpy(copy, text, length);
	iscsi_bhs_init(bhs, ISCSI_OP_TEXT_REQUEST, flags, s->f.itt);
	be32_put(bhs + ISCSI_BHS_TTT, ttt);
	iscsi_bhs_set_data_bytes(bhs, (uint32_t)length);
	s->reason = (enum iscsi_reject_reason)0;
	step = iscsi_text_input(
		&s->text, &s->f.login, bhs, copy, (uint32_t)length, &s->f.reply, &s->reason);
	free(copy);
	if (step == ISCSI_TEXT_REPLY) {
		s->ttt = iscsi_bhs_ttt(s->f.reply.bhs);
		assert_int_equal(s->f.reply.bhs[0], ISCSI_OP_TEXT_RESPONSE);
		/* RFC 7143 11.11.1: F=1 goes with the reserved tag, F=0 with a real one */
		assert_int_equal(iscsi_bhs_final(s->f.reply.bhs), s->ttt == ISCSI_TAG_NONE);
		assert_int_equal(iscsi_bhs_data_bytes(s->f.reply.bhs), s->f.reply.data_length);
	}
	return step;
}

#define TEXT(s, flags, literal) text_send(s, flags, ISCSI_TAG_NONE, literal, sizeof(literal))
#define TEXT_EMPTY(s, flags)	text_send(s, flags, (s)->ttt, "", 0)
#define CHECK_TEXT(s, literal)	check_reply(&(s)->f, FINAL, literal, sizeof(literal) - 1)

static void check_rejected(struct session *s, enum iscsi_text_step step, unsigned reason)
{
	assert_int_equal(step, ISCSI_TEXT_REJECT);
	assert_int_equal(s->reason, reason);
	assert_true(s->f.login.reason[0]);
	/* the connection goes on, with a new negotiation */
	assert_int_equal(TEXT(s, FINAL, "X-after=1"), ISCSI_TEXT_REPLY);
	CHECK_TEXT(s, "X-after=NotUnderstood\0");
}

static void pairs(void **state)
{
	struct cursor text = cursor_reader("A=1\0\0Bc=\0D=x=y\0E=cut", 20);
	struct iscsi_pair pair;
	const char *why = NULL;

	assert_int_equal(iscsi_pair_next(&text, &pair, &why), ISCSI_PAIR_FOUND);
	assert_true(pair.key_length == 1 && iscsi_pair_value_is(&pair, "1"));
	assert_int_equal(iscsi_pair_next(&text, &pair, &why), ISCSI_PAIR_FOUND);
	assert_true(pair.key_length == 2 && iscsi_pair_value_is(&pair, ""));
	assert_int_equal(iscsi_pair_next(&text, &pair, &why), ISCSI_PAIR_FOUND);
	assert_true(iscsi_pair_value_is(&pair, "x=y"));
	assert_null(why);
	assert_int_equal(iscsi_pair_next(&text, &pair, &why), ISCSI_PAIR_BAD);
	assert_non_null(why);
	text = cursor_reader("\0\0\0", 3);
	assert_int_equal(iscsi_pair_next(&text, &pair, &why), ISCSI_PAIR_END);
	text = cursor_reader("", 0);
	assert_int_equal(iscsi_pair_next(&text, &pair, &why), ISCSI_PAIR_END);
}

/* RFC 7143 appendix C: each form on each kind of session. */
static void send_targets_forms(void **state)
{
	struct session s;

	session_init(&s, false);
	assert_int_equal(TEXT(&s, FINAL, "SendTargets="), ISCSI_TEXT_REPLY);
	CHECK_TEXT(&s, ARRAY1_LIST);
	assert_int_equal(TEXT(&s, FINAL, "SendTargets=" ARRAY1), ISCSI_TEXT_REPLY);
	CHECK_TEXT(&s, ARRAY1_LIST);
	assert_int_equal(TEXT(&s, FINAL, "SendTargets=" OPEN1), ISCSI_TEXT_REPLY);
	CHECK_TEXT(&s, "");
	assert_int_equal(TEXT(&s, FINAL, "SendTargets=All"), ISCSI_TEXT_REPLY);
	CHECK_TEXT(&s, "SendTargets=Reject\0");

	session_init(&s, true);
	assert_int_equal(TEXT(&s, FINAL, "SendTargets="), ISCSI_TEXT_REPLY);
	CHECK_TEXT(&s, "SendTargets=Reject\0");
	assert_int_equal(TEXT(&s, FINAL, "SendTargets=" ARRAY1), ISCSI_TEXT_REPLY);
	CHECK_TEXT(&s, ARRAY1_LIST);
	assert_int_equal(TEXT(&s, FINAL, "SendTargets=" OTHER1), ISCSI_TEXT_REPLY);
	CHECK_TEXT(&s, ""); /* as one that does not exist */
	assert_int_equal(
		TEXT(&s, FINAL, "SendTargets=iqn.2026-01.org.example:no"), ISCSI_TEXT_REPLY);
	CHECK_TEXT(&s, "");
	assert_int_equal(TEXT(&s, FINAL, "SendTargets=garbage"), ISCSI_TEXT_REPLY);
	CHECK_TEXT(&s, "SendTargets=Reject\0");
	assert_int_equal(TEXT(&s, FINAL, "SendTargets=All"), ISCSI_TEXT_REPLY);
	assert_int_equal(s.f.reply.data_length,
		3 * (sizeof(ARRAY1_LIST) - 1) - 2 * strlen(ARRAY1) + strlen(OPEN1) + strlen(ANY1));
}

/* faults.md: 10,000 targets and MaxRecvDataSegmentLength=512. */
static void long_list(void **state)
{
	enum {
		TARGETS = 10000
	};
	static char names[TARGETS][48];
	struct conf_target *targets = calloc(TARGETS, sizeof(*targets));
	unsigned found = 0, addresses = 0, exchanges = 1;
	enum iscsi_text_step step;
	struct session s;

	assert_non_null(targets);
	session_init(&s, true);
	for (unsigned i = 0; i < TARGETS; i++) {
		snprintf(names[i], sizeof(names[i]), "iqn.2026-01.org.example:t%u", i);
		targets[i].name = names[i];
	}
	s.f.conf.targets = targets;
	s.f.conf.target_count = TARGETS;
	s.f.login.params.send_max_bytes = 512;
	step = TEXT(&s, FINAL, "SendTargets=All");
	for (;;) {
		assert_int_equal(step, ISCSI_TEXT_REPLY);
		assert_true(s.f.reply.data_length <= 512);
		for (uint32_t i = 0; i < s.f.reply.data_length;) {
			const char *pair = (const char *)s.f.reply.data + i;

			if (strncmp(pair, "TargetName=", 11) == 0) {
				assert_string_equal(pair + 11, names[found]);
				assert_int_equal(addresses, found * 3);
				found++;
			} else {
				assert_int_equal(strncmp(pair, "TargetAddress=", 14), 0);
				addresses++;
			}
			i += (uint32_t)strlen(pair) + 1;
		}
		if (iscsi_bhs_final(s.f.reply.bhs)) {
			break;
		}
		assert_int_equal(s.f.reply.bhs[1], MORE);
		exchanges++;
		step = TEXT_EMPTY(&s, FINAL);
	}
	assert_int_equal(found, TARGETS);
	assert_int_equal(addresses, 3 * TARGETS);
	assert_true(exchanges > 1000);
	free(targets);
}

/* A declaration is in force after the F=1 that ends its negotiation, not before. */
static void declared_size(void **state)
{
	struct session s;

	session_init(&s, false);
	assert_int_equal(TEXT(&s, 0, "MaxRecvDataSegmentLength=4096"), ISCSI_TEXT_REPLY);
	assert_int_equal(s.f.reply.bhs[1], 0);
	assert_int_equal(s.f.login.params.send_max_bytes, 8192);
	assert_int_equal(TEXT_EMPTY(&s, FINAL), ISCSI_TEXT_REPLY);
	CHECK_TEXT(&s, "");
	assert_int_equal(s.f.login.params.send_max_bytes, 4096);
	/* given up by a new negotiation: never in force */
	assert_int_equal(TEXT(&s, 0, "MaxRecvDataSegmentLength=512"), ISCSI_TEXT_REPLY);
	assert_int_equal(TEXT(&s, FINAL, "InitiatorAlias=new"), ISCSI_TEXT_REPLY);
	assert_int_equal(s.f.login.params.send_max_bytes, 4096);
	assert_string_equal(s.f.login.initiator_alias, "new");
	/* rejected: neither */
	check_rejected(
		&s, TEXT(&s, FINAL, "MaxRecvDataSegmentLength=512\0Bad"), ISCSI_REJECT_PROTOCOL);
	assert_int_equal(s.f.login.params.send_max_bytes, 4096);
}

static void rejected_keys(void **state)
{
	static const char *const rows[] = {"InitialR2T=No", "HeaderDigest=None",
		"SessionType=Normal", "AuthMethod=None", "InitiatorName=" HOST1,
		"TargetName=" ARRAY1, "TargetAlias=x", "TargetAddress=x", "TargetPortalGroupTag=1",
		"CHAP_A=5", "IFMarker=No", "X-a=Reject", "SendTargets=Irrelevant",
		"MaxRecvDataSegmentLength=511", "MaxRecvDataSegmentLength=16777216", "NoEquals",
		"=x"};
	struct session s;

	session_init(&s, false);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i]);
		check_rejected(&s,
			text_send(&s, FINAL, ISCSI_TAG_NONE, rows[i], strlen(rows[i]) + 1),
			ISCSI_REJECT_PROTOCOL);
	}
	check_rejected(
		&s, TEXT(&s, FINAL, "InitiatorAlias=a\0InitiatorAlias=b"), ISCSI_REJECT_PROTOCOL);
	check_rejected(
		&s, TEXT(&s, FINAL, "SendTargets=\0InitiatorAlias=b"), ISCSI_REJECT_PROTOCOL);
	check_rejected(
		&s, TEXT(&s, FINAL, "InitiatorAlias=b\0SendTargets="), ISCSI_REJECT_PROTOCOL);
	check_rejected(&s, text_send(&s, FINAL, ISCSI_TAG_NONE, "X-a=1", 5), ISCSI_REJECT_PROTOCOL);
	/* a key again in a later request of the same negotiation */
	assert_int_equal(TEXT(&s, 0, "InitiatorAlias=a"), ISCSI_TEXT_REPLY);
	check_rejected(
		&s, text_send(&s, FINAL, s.ttt, "InitiatorAlias=a", 17), ISCSI_REJECT_PROTOCOL);
}

static void tags(void **state)
{
	struct session s;

	session_init(&s, false);
	/* nothing is under way */
	check_rejected(&s, text_send(&s, FINAL, 1, "", 0), ISCSI_REJECT_FIELD);
	/* not the last tag */
	assert_int_equal(TEXT(&s, 0, "X-a=1"), ISCSI_TEXT_REPLY);
	check_rejected(&s, text_send(&s, FINAL, s.ttt + 1, "", 0), ISCSI_REJECT_FIELD);
	/* another task */
	assert_int_equal(TEXT(&s, 0, "X-a=1"), ISCSI_TEXT_REPLY);
	s.f.itt++;
	check_rejected(&s, TEXT_EMPTY(&s, FINAL), ISCSI_REJECT_FIELD);
	/* every F=0 has a new tag, and never the reserved one */
	s.text.next_ttt = ISCSI_TAG_NONE - 1;
	assert_int_equal(TEXT(&s, 0, "X-a=1"), ISCSI_TEXT_REPLY);
	assert_int_equal(s.ttt, ISCSI_TAG_NONE - 1);
	assert_int_equal(TEXT_EMPTY(&s, 0), ISCSI_TEXT_REPLY);
	assert_int_equal(s.ttt, 1);
	assert_int_equal(TEXT_EMPTY(&s, FINAL), ISCSI_TEXT_REPLY);
}

static void split_everywhere(void **state)
{
	static const char text[] = "X-one=1\0InitiatorAlias=me\0MaxRecvDataSegmentLength=4096";
	struct session s;

	for (size_t cut = 0; cut <= sizeof(text); cut++) {
		session_init(&s, false);
		assert_int_equal(text_send(&s, MORE, ISCSI_TAG_NONE, text, cut), ISCSI_TEXT_REPLY);
		assert_int_equal(s.f.reply.bhs[1], 0);
		assert_int_equal(s.f.reply.data_length, 0);
		assert_int_equal(text_send(&s, FINAL, s.ttt, text + cut, sizeof(text) - cut),
			ISCSI_TEXT_REPLY);
		CHECK_TEXT(&s, "X-one=NotUnderstood\0");
		assert_int_equal(s.f.login.params.send_max_bytes, 4096);
	}
}

static void bounded(void **state)
{
	static char text[8192];
	struct session s;
	unsigned n;

	memset(text, 'v', sizeof(text));
	memcpy(text, "X-long=", 7);
	session_init(&s, false);
	for (n = 0; n < ISCSI_TEXT_IN_MAX / sizeof(text); n++) {
		assert_int_equal(text_send(&s, MORE, s.ttt, text, sizeof(text)), ISCSI_TEXT_REPLY);
	}
	check_rejected(&s, text_send(&s, MORE, s.ttt, text, 1), ISCSI_REJECT_LONG_OPERATION);
	/* one PDU that is too long by itself */
	{
		static char huge[ISCSI_TEXT_IN_MAX + 1];

		check_rejected(&s, text_send(&s, FINAL, ISCSI_TAG_NONE, huge, sizeof(huge)),
			ISCSI_REJECT_LONG_OPERATION);
	}
}

/* An answer longer than one response: C=1, and only an empty request may follow. */
static void long_answer(void **state)
{
	static char text[8192];
	struct session s;
	unsigned keys = 0;

	for (size_t n = 0; n < sizeof(text); n += 4) {
		memcpy(text + n, "Xa=", 4);
	}
	session_init(&s, false);
	assert_int_equal(
		text_send(&s, FINAL, ISCSI_TAG_NONE, text, sizeof(text)), ISCSI_TEXT_REPLY);
	for (;;) {
		for (uint32_t i = 0; i < s.f.reply.data_length; i++) {
			keys += s.f.reply.data[i] == 0;
		}
		if (iscsi_bhs_final(s.f.reply.bhs)) {
			break;
		}
		assert_int_equal(s.f.reply.bhs[1], MORE);
		assert_int_equal(TEXT_EMPTY(&s, FINAL), ISCSI_TEXT_REPLY);
	}
	assert_int_equal(keys, sizeof(text) / 4);
	assert_int_equal(
		text_send(&s, FINAL, ISCSI_TAG_NONE, text, sizeof(text)), ISCSI_TEXT_REPLY);
	check_rejected(&s, text_send(&s, FINAL, s.ttt, "Xb=1", 5), ISCSI_REJECT_PROTOCOL);
}

static void dropped(void **state)
{
	uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_NOP_OUT};
	struct session s;

	session_init(&s, false);
	assert_int_equal(TEXT(&s, FINAL | MORE, "X-a=1"), ISCSI_TEXT_DROP);
	assert_int_equal(iscsi_text_input(&s.text, &s.f.login, bhs, NULL, 0, &s.f.reply, &s.reason),
		ISCSI_TEXT_DROP);
	/* before the login is complete */
	fixture_init(&s.f);
	assert_int_equal(TEXT(&s, FINAL, "SendTargets=All"), ISCSI_TEXT_DROP);
	for (unsigned i = 0; i <= ISCSI_TEXT_DROP; i++) {
		assert_string_not_equal(
			iscsi_text_step_name((enum iscsi_text_step)i), "unknown step");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs),
		cmocka_unit_test(send_targets_forms),
		cmocka_unit_test(long_list),
		cmocka_unit_test(declared_size),
		cmocka_unit_test(rejected_keys),
		cmocka_unit_test(tags),
		cmocka_unit_test(split_everywhere),
		cmocka_unit_test(bounded),
		cmocka_unit_test(long_answer),
		cmocka_unit_test(dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
