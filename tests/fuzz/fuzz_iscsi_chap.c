/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: CHAP by itself. The first byte is the policy, then come exchanges of key=value
 * pairs, each exchange ended by one NUL more. The challenge is always the same, so that an input
 * can hold the response to it. Whatever comes, nobody is let in without the response, and nothing
 * after a refusal is accepted.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/iscsi/chap.h"
#include "tests/fuzz/drive.h"

#define POLICY_MUTUAL 1
#define POLICY_STRONG 2 /* SHA-256 and SHA3-256 only */

static struct conf_user people[] = {
	{.name = "host1",
		.secret = "host1secret-x",
		.peer_name = "array1",
		.peer_secret = "array1secret-y"},
	{.name = "host2", .secret = "host2secret-x"},
	{.name = "stranger", .secret = "stranger-secret"},
};
static const struct conf_secrets secrets = {.users = people, .user_count = 3};
static const char *users[] = {"host1", "host2"};
static const uint8_t strong[] = {CONF_CHAP_SHA256, CONF_CHAP_SHA3_256};

static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static bool random_known(void *bytes, size_t size)
{
	uint8_t *p = bytes;

	for (size_t i = 0; i < size; i++) {
		p[i] = (uint8_t)(size == 1 ? 0x5a : 0xa0 + i);
	}
	return true;
}

/* The CHAP keys of the next exchange, of any order and number; a repeated one takes the last. */
static void keys_next(struct cursor *in, struct iscsi_chap_keys *keys)
{
	struct iscsi_pair pair;
	const char *why;

	memset(keys, 0, sizeof(*keys));
	while (cursor_left(in)) {
		if (in->base[in->pos] == '\0') {
			cursor_get_u8(in);
			return;
		}
		if (iscsi_pair_next(in, &pair, &why) != ISCSI_PAIR_FOUND) {
			in->pos = in->size;
			return;
		}
		if (pair.key_length == 6 && memcmp(pair.key, "CHAP_", 5) == 0) {
			enum iscsi_key key = iscsi_key_find(pair.key, pair.key_length);

			if (key >= ISCSI_KEY_CHAP_A && key <= ISCSI_KEY_CHAP_R) {
				keys->pairs[key - ISCSI_KEY_CHAP_A] = pair;
			}
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = cursor_reader(data, size);
	uint8_t policy_bits = cursor_get_u8(&in);
	struct iscsi_chap_policy policy = {.secrets = &secrets,
		.users = users,
		.user_count = 2,
		.mutual = policy_bits & POLICY_MUTUAL,
		.algorithms = strong,
		.algorithm_count = policy_bits & POLICY_STRONG ? 2 : 0,
		.random = random_known};
	enum iscsi_chap_outcome outcome = ISCSI_CHAP_GO_ON;
	struct iscsi_chap chap;

	iscsi_chap_start(&chap, &policy);
	for (unsigned i = 0; i < 4 && cursor_left(&in); i++) {
		uint8_t answer[ISCSI_CHAP_ANSWER_MAX];
		struct cursor out = cursor_over(answer, sizeof(answer));
		struct iscsi_chap_keys keys;
		bool over = outcome != ISCSI_CHAP_GO_ON;

		keys_next(&in, &keys);
		outcome = iscsi_chap_input(&chap, &keys, &out);
		expect(cursor_ok(&out));
		expect(!over || outcome != ISCSI_CHAP_GO_ON);
		expect(outcome != ISCSI_CHAP_FAULT);
		expect(outcome == ISCSI_CHAP_GO_ON || (out.pos == 0 && chap.reason));
		expect((chap.state == ISCSI_CHAP_PROVED) == (chap.user != NULL));
		expect(!chap.user || chap.user == &people[0] ||
			(chap.user == &people[1] && !policy.mutual));
	}
	return 0;
}

static const char *const words[] = {"CHAP_A=5", "CHAP_N=host1", "CHAP_R=0x", "CHAP_I=", "CHAP_C=0b",
	"CHAP_A=5,6,7,8", "0x", "0b", "==", ",", NULL};

const struct fuzz_target fuzz_target = {
	.corpus = "iscsi_chap", .every_cut = true, .mutations = 4000, .words = words};
