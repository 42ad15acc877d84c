/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CHAP by itself: digests against values computed with another implementation, the order of keys
 * walked whole, every way for a response to be wrong, reflection, mutual authentication.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/iscsi/chap.h"

static struct conf_user people[] = {
	{.name = "host1",
		.secret = "host1secret-x",
		.peer_name = "array1",
		.peer_secret = "array1secret-y"},
	{.name = "host2", .secret = "host2secret-x"},
	{.name = "stranger", .secret = "stranger-secret"},
	{.name = "odd", .secret = "secret-odd-025-aa"},
};
static const struct conf_secrets secrets = {.users = people, .user_count = ARRAY_SIZE(people)};
static const char *users[] = {"host1", "host2", "odd"};

/* The challenge of every test: identifier 5a, then a0, a1, ... */
static bool random_known(void *bytes, size_t size)
{
	uint8_t *p = bytes;

	for (size_t i = 0; i < size; i++) {
		p[i] = (uint8_t)(size == 1 ? 0x5a : 0xa0 + i);
	}
	return true;
}

static bool random_none(void *bytes, size_t size)
{
	(void)bytes;
	(void)size;
	return false;
}

/*
 * H(5a, "host1secret-x", challenge) and H(07, "array1secret-y", 01 to 10), by Python's hashlib:
 * hashlib.md5(bytes([0x5a]) + b"host1secret-x" + bytes(range(0xa0, 0xb0))).hexdigest() and so on.
 */
static const struct golden {
	unsigned number;
	unsigned bytes;
	const char *name, *response, *peer;
} goldens[] = {
	{5, 16, "MD5", "5f97d96f816346e685d91222261c216d", "ce8e1066c00e2f6614ffe38a0b51ee19"},
	{6, 20, "SHA1", "7050d07128c746cdb38ebc98be640a11e83e58d4",
		"92c3793b1ff4da03b1cc56c6ba83736269069b93"},
	{7, 32, "SHA-256", "077084010951efb9492c44d3d438f02a602949e96108f4f160640d1a3cda4c6a",
		"4e26822fa40c165d81562f4f9c532eae80688bda0e092f26258095eb22b075b7"},
	{8, 32, "SHA3-256", "d791c86ed47b56f0eaa6363e4dd635cac2a0fe277b5183d34d8c631773b96c48",
		"3ab0adc4e429b4f9d75a4db965ca94e1c46380ea665ec5269ac753274b454a9b"},
};
#define CHALLENGE_HEX "0xa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define COUNTER	      "0x0102030405060708090a0b0c0d0e0f10"

struct rig {
	struct iscsi_chap_policy policy;
	struct iscsi_chap chap;
	struct iscsi_chap_keys keys;
	char text[8192]; /* of the keys */
	size_t text_used;
	uint8_t out[ISCSI_CHAP_ANSWER_MAX];
	size_t out_length;
};

static void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->policy = (struct iscsi_chap_policy){.secrets = &secrets,
		.users = users,
		.user_count = ARRAY_SIZE(users),
		.random = random_known};
	iscsi_chap_start(&r->chap, &r->policy);
}

static void put(struct rig *r, enum iscsi_key key, const char *value)
{
	struct iscsi_pair *pair = &r->keys.pairs[key - ISCSI_KEY_CHAP_A];
	char *at = r->text + r->text_used;

	assert_true(r->text_used + strlen(value) + 8 < sizeof(r->text));
	r->text_used +=
		(size_t)snprintf(at, sizeof(r->text) - r->text_used, "CHAP_X=%s", value) + 1;
	*pair = (struct iscsi_pair){
		.key = at, .key_length = 6, .value = at + 7, .value_length = strlen(value)};
}

static enum iscsi_chap_outcome step(struct rig *r)
{
	struct cursor out = cursor_over(r->out, sizeof(r->out));
	enum iscsi_chap_outcome outcome = iscsi_chap_input(&r->chap, &r->keys, &out);

	r->out_length = out.pos;
	memset(&r->keys, 0, sizeof(r->keys));
	r->text_used = 0;
	return outcome;
}

static void challenge(struct rig *r, const char *list)
{
	rig_init(r);
	put(r, ISCSI_KEY_CHAP_A, list);
	assert_int_equal(step(r), ISCSI_CHAP_GO_ON);
	assert_int_equal(r->chap.state, ISCSI_CHAP_CHALLENGED);
}

/* The answer, pair by pair. */
static void expect(struct rig *r, const char *text, size_t length)
{
	assert_int_equal(r->out_length, length);
	assert_memory_equal(r->out, text, length);
}

static void test_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		const struct golden *g = &goldens[i];
		char text[256], list[8];
		struct rig r;
		int n;

		snprintf(list, sizeof(list), "%u", g->number);
		challenge(&r, list);
		n = snprintf(text, sizeof(text), "CHAP_A=%u%cCHAP_I=90%cCHAP_C=%.*s", g->number, 0,
			0, (int)(2 + 2 * g->bytes), CHALLENGE_HEX);
		expect(&r, text, (size_t)n + 1);
		assert_string_equal(iscsi_chap_algorithm_name(&r.chap), g->name);

		snprintf(text, sizeof(text), "0x%s", g->response);
		put(&r, ISCSI_KEY_CHAP_N, "host1");
		put(&r, ISCSI_KEY_CHAP_R, text);
		put(&r, ISCSI_KEY_CHAP_I, "7");
		put(&r, ISCSI_KEY_CHAP_C, COUNTER);
		assert_int_equal(step(&r), ISCSI_CHAP_GO_ON);
		assert_int_equal(r.chap.state, ISCSI_CHAP_PROVED);
		assert_ptr_equal(r.chap.user, &people[0]);
		n = snprintf(text, sizeof(text), "CHAP_N=array1%cCHAP_R=0x%s", 0, g->peer);
		expect(&r, text, (size_t)n + 1);
		assert_false(iscsi_chap_is_due(&r.chap));
	}
}

static void test_one_way_says_nothing(void **state)
{
	struct rig r;

	(void)state;
	challenge(&r, "5");
	put(&r, ISCSI_KEY_CHAP_N, "host1");
	put(&r, ISCSI_KEY_CHAP_R, "0x5F97D96F816346E685D91222261C216D");
	assert_int_equal(step(&r), ISCSI_CHAP_GO_ON);
	assert_int_equal(r.chap.state, ISCSI_CHAP_PROVED);
	assert_int_equal(r.out_length, 0);
}

static void test_algorithm_lists(void **state)
{
	static const uint8_t md5_only[] = {5}, no_md5[] = {8, 7, 6};
	static const struct {
		const char *list;
		const uint8_t *allowed;
		unsigned allowed_count;
		unsigned chosen; /* 0: refused */
	} rows[] = {
		{"5", NULL, 0, 5},
		{"8,7,6,5", NULL, 0, 8},
		{"6,8", NULL, 0, 6},
		{"0x7,5", NULL, 0, 7},
		{"99,4,5", NULL, 0, 5},
		{"7,5", md5_only, 1, 5},
		{"5,6", no_md5, 3, 6},
		{"5", no_md5, 3, 0},
		{"7", md5_only, 1, 0},
		{"99", NULL, 0, 0},
		{"", NULL, 0, 0},
		{"MD5", NULL, 0, 0},
		{"5,", NULL, 0, 0},
		{",5", NULL, 0, 0},
		{"5,x", NULL, 0, 0},
		{"5 ", NULL, 0, 0},
		{"-5", NULL, 0, 0},
		{"4294967301", NULL, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig r;

		rig_init(&r);
		r.chap.policy.algorithms = rows[i].allowed;
		r.chap.policy.algorithm_count = rows[i].allowed_count;
		put(&r, ISCSI_KEY_CHAP_A, rows[i].list);
		assert_int_equal(step(&r), rows[i].chosen ? ISCSI_CHAP_GO_ON : ISCSI_CHAP_REFUSED);
		if (rows[i].chosen) {
			char text[16];
			int n = snprintf(text, sizeof(text), "CHAP_A=%u", rows[i].chosen);

			assert_memory_equal(r.out, text, (size_t)n + 1);
		} else {
			assert_int_equal(r.chap.state, ISCSI_CHAP_BROKEN);
			assert_int_equal(r.out_length, 0);
			assert_non_null(r.chap.reason);
		}
	}
}

/* Every set of keys in every state: only those of RFC 7143 12.1.3 go on. */
static void test_every_order(void **state)
{
	static const char *values[ISCSI_CHAP_KEYS] = {
		"5", "7", COUNTER, "host1", "0x5f97d96f816346e685d91222261c216d"};

	(void)state;
	for (unsigned s = 0; s < ISCSI_CHAP_STATES; s++) {
		for (unsigned mask = 0; mask < 1u << ISCSI_CHAP_KEYS; mask++) {
			bool right = (s == ISCSI_CHAP_CHOOSING && mask == 0x01) ||
				     (s == ISCSI_CHAP_CHALLENGED && (mask == 0x18 || mask == 0x1e));
			struct rig r;

			challenge(&r, "5");
			if (s == ISCSI_CHAP_CHOOSING) {
				rig_init(&r);
			}
			r.chap.state = (enum iscsi_chap_state)s;
			for (unsigned k = 0; k < ISCSI_CHAP_KEYS; k++) {
				if (mask & 1u << k) {
					put(&r, (enum iscsi_key)(ISCSI_KEY_CHAP_A + k), values[k]);
				}
			}
			assert_int_equal(step(&r), right ? ISCSI_CHAP_GO_ON : ISCSI_CHAP_DISORDER);
			if (!right) {
				assert_int_equal(r.chap.state, ISCSI_CHAP_BROKEN);
				assert_int_equal(r.out_length, 0);
			}
		}
	}
}

/* Whatever is wrong with name or response: the same outcome, and not a byte in the answer. */
static void test_wrong_responses(void **state)
{
	static const struct {
		const char *name, *response;
		bool right;
	} rows[] = {
		{"host1", "0x5f97d96f816346e685d91222261c216d", true},
		{"host1", "0X5F97d96f816346e685d91222261c216d", true},
		{"host1", "0bX5fZb4FjRuaF2RIiJhwhbQ==", true},
		{"host1", "0BX5fZb4FjRuaF2RIiJhwhbQ==", true},
		{"odd", "0xe51556653e769a9274b96a3ed68c6f2", true}, /* 31 digits: 0e51... */
		{"odd", "0x0e51556653e769a9274b96a3ed68c6f2", true},
		{"host1", "0x5f97d96f816346e685d91222261c216e", false},
		{"host2", "0x5f97d96f816346e685d91222261c216d", false},
		{"stranger", "0x5f97d96f816346e685d91222261c216d", false},
		{"nobody", "0x5f97d96f816346e685d91222261c216d", false},
		{"HOST1", "0x5f97d96f816346e685d91222261c216d", false},
		{"host1 ", "0x5f97d96f816346e685d91222261c216d", false},
		{"", "0x5f97d96f816346e685d91222261c216d", false},
		{"host1", "", false},
		{"host1", "0x", false},
		{"host1", "0b", false},
		{"host1", "5f97d96f816346e685d91222261c216d", false},
		{"host1", "0x5f97d96f816346e685d91222261c216", false}, /* too short by a digit */
		{"host1", "0x5f97d96f816346e685d91222261c21", false},
		{"host1", "0x5f97d96f816346e685d91222261c216d00", false},
		{"host1", "0x005f97d96f816346e685d91222261c216d", false},
		{"host1", "0x5f97d96f816346e685d91222261c216g", false},
		{"host1", "0x5f97d96f816346e685d91222261c216 ", false},
		{"host1", "0bX5fZb4FjRuaF2RIiJhwhbQ", false}, /* no padding */
		{"host1", "0bX5fZb4FjRuaF2RIiJhwhbR==", false}, /* bits that should be zero */
		{"host1", "0bX5fZb4FjRuaF2RIiJhwhb===", false},
		{"host1", "0bX5fZb4FjRuaF2RI=JhwhbQ==", false},
		{"host1", "0bX5fZb4FjRuaF2RIiJhwhbQ==AAAA", false},
		{"host1", "0b====", false},
		{"host1", "0b=", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig r;

		challenge(&r, "5");
		put(&r, ISCSI_KEY_CHAP_N, rows[i].name);
		put(&r, ISCSI_KEY_CHAP_R, rows[i].response);
		assert_int_equal(step(&r), rows[i].right ? ISCSI_CHAP_GO_ON : ISCSI_CHAP_REFUSED);
		assert_int_equal(
			r.chap.state, rows[i].right ? ISCSI_CHAP_PROVED : ISCSI_CHAP_BROKEN);
		assert_int_equal(r.out_length, 0);
		assert_true(rows[i].right == !!r.chap.user);
	}
}

/* A response of the largest size that a key may have. */
static void test_huge_response(void **state)
{
	char text[ISCSI_BINARY_TEXT_MAX + 1];
	struct rig r;

	(void)state;
	memset(text, '5', sizeof(text));
	memcpy(text, "0x", 2);
	text[sizeof(text) - 1] = '\0';
	challenge(&r, "5");
	put(&r, ISCSI_KEY_CHAP_N, "host1");
	put(&r, ISCSI_KEY_CHAP_R, text);
	assert_int_equal(step(&r), ISCSI_CHAP_REFUSED);
}

static enum iscsi_chap_outcome counter(
	struct rig *r, const char *list, const char *identifier, const char *bytes)
{
	unsigned n = list[0] - '5';
	char text[80];

	challenge(r, list);
	snprintf(text, sizeof(text), "0x%s", goldens[n].response);
	put(r, ISCSI_KEY_CHAP_N, "host1");
	put(r, ISCSI_KEY_CHAP_R, text);
	put(r, ISCSI_KEY_CHAP_I, identifier);
	put(r, ISCSI_KEY_CHAP_C, bytes);
	return step(r);
}

static void test_reflection(void **state)
{
	char text[80];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		const char list[] = {(char)('5' + i), '\0'};

		snprintf(
			text, sizeof(text), "%.*s", (int)(2 + 2 * goldens[i].bytes), CHALLENGE_HEX);
		assert_int_equal(counter(&r, list, "90", text), ISCSI_CHAP_REFLECTED);
		assert_int_equal(r.out_length, 0);
		/* Whatever its identifier, and also with a wrong response. */
		assert_int_equal(counter(&r, list, "1", text), ISCSI_CHAP_REFLECTED);
		challenge(&r, list);
		put(&r, ISCSI_KEY_CHAP_N, "host1");
		put(&r, ISCSI_KEY_CHAP_R, "0x00");
		put(&r, ISCSI_KEY_CHAP_I, "90");
		put(&r, ISCSI_KEY_CHAP_C, text);
		assert_int_equal(step(&r), ISCSI_CHAP_REFLECTED);
		/* One bit or one byte of difference is another challenge. */
		text[strlen(text) - 1] = '0';
		assert_int_equal(counter(&r, list, "90", text), ISCSI_CHAP_GO_ON);
		text[strlen(text) - 2] = '\0';
		assert_int_equal(counter(&r, list, "90", text), ISCSI_CHAP_GO_ON);
	}
	/* In the other encoding. */
	assert_int_equal(
		counter(&r, "5", "90", "0boKGio6SlpqeoqaqrrK2urw=="), ISCSI_CHAP_REFLECTED);
}

static void test_counter_challenges(void **state)
{
	char text[4096] = "0x";
	struct rig r;

	(void)state;
	assert_int_equal(counter(&r, "5", "0", "0x0"), ISCSI_CHAP_GO_ON);
	assert_int_equal(counter(&r, "5", "0xff", "0bAA=="), ISCSI_CHAP_GO_ON);
	assert_int_equal(counter(&r, "5", "256", COUNTER), ISCSI_CHAP_REFUSED);
	assert_int_equal(counter(&r, "5", "x", COUNTER), ISCSI_CHAP_REFUSED);
	assert_int_equal(counter(&r, "5", "", COUNTER), ISCSI_CHAP_REFUSED);
	assert_int_equal(counter(&r, "5", "1", ""), ISCSI_CHAP_REFUSED);
	assert_int_equal(counter(&r, "5", "1", "0x"), ISCSI_CHAP_REFUSED);
	assert_int_equal(counter(&r, "5", "1", "0102"), ISCSI_CHAP_REFUSED);
	memset(text + 2, 'a', 2048);
	assert_int_equal(counter(&r, "5", "1", text), ISCSI_CHAP_GO_ON);
	text[2050] = 'a'; /* 1,025 bytes */
	assert_int_equal(counter(&r, "5", "1", text), ISCSI_CHAP_REFUSED);
}

static void test_mutual_policy(void **state)
{
	struct rig r;

	(void)state;
	/* The target has to be asked. */
	challenge(&r, "5");
	r.chap.policy.mutual = true;
	put(&r, ISCSI_KEY_CHAP_N, "host1");
	put(&r, ISCSI_KEY_CHAP_R, "0x5f97d96f816346e685d91222261c216d");
	assert_int_equal(step(&r), ISCSI_CHAP_REFUSED);
	assert_null(r.chap.user);

	/* It is asked, and has no secret for that user. */
	challenge(&r, "5");
	put(&r, ISCSI_KEY_CHAP_N, "odd");
	put(&r, ISCSI_KEY_CHAP_R, "0x0e51556653e769a9274b96a3ed68c6f2");
	put(&r, ISCSI_KEY_CHAP_I, "7");
	put(&r, ISCSI_KEY_CHAP_C, COUNTER);
	assert_int_equal(step(&r), ISCSI_CHAP_REFUSED);
	assert_int_equal(r.out_length, 0);

	/* No answer of ours for one who has not proved itself. */
	challenge(&r, "5");
	put(&r, ISCSI_KEY_CHAP_N, "host1");
	put(&r, ISCSI_KEY_CHAP_R, "0x5f97d96f816346e685d91222261c2160");
	put(&r, ISCSI_KEY_CHAP_I, "7");
	put(&r, ISCSI_KEY_CHAP_C, COUNTER);
	assert_int_equal(step(&r), ISCSI_CHAP_REFUSED);
	assert_int_equal(r.out_length, 0);
}

static void test_no_randomness(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.chap.policy.random = random_none;
	put(&r, ISCSI_KEY_CHAP_A, "5");
	assert_int_equal(step(&r), ISCSI_CHAP_FAULT);
	assert_int_equal(r.out_length, 0);
}

static void test_no_secrets(void **state)
{
	struct rig r;

	(void)state;
	challenge(&r, "5");
	r.chap.policy.secrets = NULL;
	put(&r, ISCSI_KEY_CHAP_N, "host1");
	put(&r, ISCSI_KEY_CHAP_R, "0x5f97d96f816346e685d91222261c216d");
	assert_int_equal(step(&r), ISCSI_CHAP_REFUSED);
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ISCSI_CHAP_STATES; i++) {
		assert_string_not_equal(
			iscsi_chap_state_name((enum iscsi_chap_state)i), "unknown state");
	}
	for (unsigned i = 0; i <= ISCSI_CHAP_FAULT; i++) {
		assert_string_not_equal(
			iscsi_chap_outcome_name((enum iscsi_chap_outcome)i), "unknown outcome");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_one_way_says_nothing),
		cmocka_unit_test(test_algorithm_lists),
		cmocka_unit_test(test_every_order),
		cmocka_unit_test(test_wrong_responses),
		cmocka_unit_test(test_huge_response),
		cmocka_unit_test(test_reflection),
		cmocka_unit_test(test_counter_challenges),
		cmocka_unit_test(test_mutual_policy),
		cmocka_unit_test(test_no_randomness),
		cmocka_unit_test(test_no_secrets),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
