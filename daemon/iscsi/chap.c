/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/chap.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

/* By their numbers on the wire. A challenge is as long as the digest. */
static const struct iscsi_chap_algorithm {
	uint8_t number;
	uint8_t bytes;
	const char *name;
	const EVP_MD *(*digest)(void);
} algorithms[] = {
	{CONF_CHAP_MD5, 16, "MD5", EVP_md5},
	{CONF_CHAP_SHA1, 20, "SHA1", EVP_sha1},
	{CONF_CHAP_SHA256, 32, "SHA-256", EVP_sha256},
	{CONF_CHAP_SHA3_256, 32, "SHA3-256", EVP_sha3_256},
};

const char *iscsi_chap_state_name(enum iscsi_chap_state state)
{
	switch (state) {
	case ISCSI_CHAP_OFF:
		return "off";
	case ISCSI_CHAP_CHOOSING:
		return "choosing";
	case ISCSI_CHAP_CHALLENGED:
		return "challenged";
	case ISCSI_CHAP_PROVED:
		return "proved";
	case ISCSI_CHAP_BROKEN:
		return "broken";
	}
	return "unknown state";
}

const char *iscsi_chap_outcome_name(enum iscsi_chap_outcome outcome)
{
	switch (outcome) {
	case ISCSI_CHAP_GO_ON:
		return "go on";
	case ISCSI_CHAP_REFUSED:
		return "refused";
	case ISCSI_CHAP_DISORDER:
		return "disorder";
	case ISCSI_CHAP_REFLECTED:
		return "reflected";
	case ISCSI_CHAP_FAULT:
		return "fault";
	}
	return "unknown outcome";
}

const char *iscsi_chap_algorithm_name(const struct iscsi_chap *chap)
{
	return chap->algorithm ? chap->algorithm->name : "";
}

void iscsi_chap_start(struct iscsi_chap *chap, const struct iscsi_chap_policy *policy)
{
	*chap = (struct iscsi_chap){.state = ISCSI_CHAP_CHOOSING, .policy = *policy};
}

static enum iscsi_chap_outcome chap_end(
	struct iscsi_chap *chap, enum iscsi_chap_outcome outcome, const char *reason)
{
	chap->reason = reason;
	return outcome;
}

/* RFC 1994 4.1: the digest of identifier, secret and challenge, one after another. */
static bool chap_digest(const struct iscsi_chap_algorithm *algorithm, uint8_t identifier,
	const char *secret, const uint8_t *challenge, size_t challenge_bytes, uint8_t *digest)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, algorithm->digest(), NULL) &&
		  EVP_DigestUpdate(ctx, &identifier, 1) &&
		  EVP_DigestUpdate(ctx, secret, strlen(secret)) &&
		  EVP_DigestUpdate(ctx, challenge, challenge_bytes) &&
		  EVP_DigestFinal_ex(ctx, digest, NULL);

	EVP_MD_CTX_free(ctx); /* wipes what it held of the secret */
	return ok;
}

/* --- CHAP_A: the first of the initiator's that we take --- */

static bool algorithm_is_allowed(
	const struct iscsi_chap_policy *policy, const struct iscsi_chap_algorithm *algorithm)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	bool allowed = policy->algorithm_count == 0;

	for (unsigned i = 0; i < policy->algorithm_count; i++) {
		allowed = allowed || policy->algorithms[i] == algorithm->number;
	}
	/* A system may have forbidden it (FIPS). */
	return allowed && EVP_Digest("", 0, digest, NULL, algorithm->digest(), NULL);
}

static const struct iscsi_chap_algorithm *algorithm_find(
	const struct iscsi_chap_policy *policy, uint32_t number)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		if (algorithms[i].number == number &&
			algorithm_is_allowed(policy, &algorithms[i])) {
			return &algorithms[i];
		}
	}
	return NULL;
}

/* A list of numbers; unknown ones are passed over, what is no number is not. */
static enum iscsi_chap_outcome algorithm_choose(
	struct iscsi_chap *chap, const struct iscsi_pair *list)
{
	const char *item = list->value, *end = list->value + list->value_length;

	while (item <= end) {
		const char *comma = memchr(item, ',', (size_t)(end - item));
		const char *stop = comma ? comma : end;
		uint32_t number;

		if (!iscsi_number_parse(item, (size_t)(stop - item), &number)) {
			return chap_end(chap, ISCSI_CHAP_REFUSED, "CHAP_A is no list of numbers");
		}
		if (!chap->algorithm) {
			chap->algorithm = algorithm_find(&chap->policy, number);
		}
		item = stop + 1;
	}
	return chap->algorithm ? ISCSI_CHAP_GO_ON
			       : chap_end(chap, ISCSI_CHAP_REFUSED,
					 "none of the initiator's CHAP algorithms is accepted; see "
					 "chap_algorithms");
}

static enum iscsi_chap_outcome chap_challenge(
	struct iscsi_chap *chap, const struct iscsi_chap_keys *keys, struct cursor *out)
{
	enum iscsi_chap_outcome outcome = algorithm_choose(chap, &keys->pairs[0]);

	if (outcome != ISCSI_CHAP_GO_ON) {
		return outcome;
	}
	if (!chap->policy.random(&chap->identifier, sizeof(chap->identifier)) ||
		!chap->policy.random(chap->challenge, chap->algorithm->bytes)) {
		return chap_end(chap, ISCSI_CHAP_FAULT, "no random bytes for a challenge");
	}
	chap->state = ISCSI_CHAP_CHALLENGED;
	return iscsi_pair_putf(out, "CHAP_A", "%u", chap->algorithm->number) &&
			       iscsi_pair_putf(out, "CHAP_I", "%u", chap->identifier) &&
			       iscsi_pair_put_binary(
				       out, "CHAP_C", chap->challenge, chap->algorithm->bytes)
		       ? ISCSI_CHAP_GO_ON
		       : chap_end(chap, ISCSI_CHAP_FAULT, "no room for a challenge");
}

/* --- CHAP_N and CHAP_R: the proof; CHAP_I and CHAP_C: ours is wanted, too --- */

static bool name_is(const struct iscsi_pair *name, const char *user)
{
	return iscsi_pair_value_is(name, user);
}

/* The user of that name who may log in here; NULL. Looks at all of them whoever it is. */
static const struct conf_user *user_find(
	const struct iscsi_chap_policy *policy, const struct iscsi_pair *name)
{
	const struct conf_user *found = NULL;
	bool listed = false;

	for (unsigned i = 0; i < policy->user_count; i++) {
		listed |= name_is(name, policy->users[i]);
	}
	for (unsigned i = 0; policy->secrets && i < policy->secrets->user_count; i++) {
		if (name_is(name, policy->secrets->users[i].name)) {
			found = &policy->secrets->users[i];
		}
	}
	return listed ? found : NULL;
}

/*
 * Is it the response to our challenge? An unknown user costs the same digest and comparison as one
 * whose secret is wrong. That the secrets of both directions differ, the configuration has checked:
 * so a response that we have made for somebody can never be the right one here (9.2.1).
 */
static enum iscsi_chap_outcome response_check(
	struct iscsi_chap *chap, const struct iscsi_pair *name, const struct iscsi_pair *response)
{
	const struct conf_user *user = user_find(&chap->policy, name);
	const struct iscsi_chap_algorithm *algorithm = chap->algorithm;
	uint8_t expected[ISCSI_CHAP_DIGEST_MAX], got[ISCSI_CHAP_DIGEST_MAX] = {0};
	size_t bytes;
	bool formed = iscsi_binary_parse(
			      response->value, response->value_length, got, sizeof(got), &bytes) &&
		      bytes == algorithm->bytes;
	bool right;

	if (!chap_digest(algorithm, chap->identifier, user ? user->secret : "no such user 0",
		    chap->challenge, algorithm->bytes, expected)) {
		return chap_end(chap, ISCSI_CHAP_FAULT, "OpenSSL refuses the CHAP digest");
	}
	right = CRYPTO_memcmp(expected, got, algorithm->bytes) == 0;
	OPENSSL_cleanse(expected, sizeof(expected));
	if (!user) {
		return chap_end(chap, ISCSI_CHAP_REFUSED,
			"CHAP: the name that the initiator gave is not one that may log in here");
	}
	if (!formed || !right) {
		return chap_end(chap, ISCSI_CHAP_REFUSED,
			formed ? "CHAP: the initiator's secret is wrong"
			       : "CHAP: the response has not the form of a digest");
	}
	chap->user = user;
	snprintf(chap->user_name, sizeof(chap->user_name), "%s", user->name);
	return ISCSI_CHAP_GO_ON;
}

/* The initiator's challenge to us. */
struct iscsi_chap_counter {
	uint32_t identifier;
	uint8_t challenge[ISCSI_BINARY_MAX];
	size_t bytes;
};

static enum iscsi_chap_outcome counter_take(struct iscsi_chap *chap,
	const struct iscsi_chap_keys *keys, struct iscsi_chap_counter *counter)
{
	const struct iscsi_pair *i = &keys->pairs[ISCSI_KEY_CHAP_I - ISCSI_KEY_CHAP_A];
	const struct iscsi_pair *c = &keys->pairs[ISCSI_KEY_CHAP_C - ISCSI_KEY_CHAP_A];

	if (!iscsi_number_parse(i->value, i->value_length, &counter->identifier) ||
		counter->identifier > 255) {
		return chap_end(chap, ISCSI_CHAP_REFUSED, "CHAP_I is not a number up to 255");
	}
	if (!iscsi_binary_parse(c->value, c->value_length, counter->challenge,
		    sizeof(counter->challenge), &counter->bytes)) {
		return chap_end(chap, ISCSI_CHAP_REFUSED, "CHAP_C is no binary of 1 to 1024 bytes");
	}
	if (counter->bytes == chap->algorithm->bytes &&
		memcmp(counter->challenge, chap->challenge, counter->bytes) == 0) {
		return chap_end(chap, ISCSI_CHAP_REFLECTED,
			"CHAP: the initiator sent the target's own challenge back");
	}
	return ISCSI_CHAP_GO_ON;
}

static enum iscsi_chap_outcome counter_answer(
	struct iscsi_chap *chap, const struct iscsi_chap_counter *counter, struct cursor *out)
{
	uint8_t digest[ISCSI_CHAP_DIGEST_MAX];

	if (!chap->user->peer_secret) {
		return chap_end(chap, ISCSI_CHAP_REFUSED,
			"CHAP: the initiator wants the target to prove itself, and the user has no "
			"peer_secret");
	}
	if (!chap_digest(chap->algorithm, (uint8_t)counter->identifier, chap->user->peer_secret,
		    counter->challenge, counter->bytes, digest)) {
		return chap_end(chap, ISCSI_CHAP_FAULT, "OpenSSL refuses the CHAP digest");
	}
	return iscsi_pair_putf(out, "CHAP_N", "%s", chap->user->peer_name) &&
			       iscsi_pair_put_binary(out, "CHAP_R", digest, chap->algorithm->bytes)
		       ? ISCSI_CHAP_GO_ON
		       : chap_end(chap, ISCSI_CHAP_FAULT, "no room for a response");
}

static enum iscsi_chap_outcome chap_prove(
	struct iscsi_chap *chap, const struct iscsi_chap_keys *keys, struct cursor *out)
{
	bool counter_came = keys->pairs[ISCSI_KEY_CHAP_C - ISCSI_KEY_CHAP_A].key;
	enum iscsi_chap_outcome outcome = ISCSI_CHAP_GO_ON;
	struct iscsi_chap_counter counter;

	if (counter_came) {
		outcome = counter_take(chap, keys, &counter);
	}
	if (outcome == ISCSI_CHAP_GO_ON) {
		outcome = response_check(chap, &keys->pairs[ISCSI_KEY_CHAP_N - ISCSI_KEY_CHAP_A],
			&keys->pairs[ISCSI_KEY_CHAP_R - ISCSI_KEY_CHAP_A]);
	}
	if (outcome == ISCSI_CHAP_GO_ON && !counter_came && chap->policy.mutual) {
		outcome = chap_end(chap, ISCSI_CHAP_REFUSED,
			"CHAP: the target has to prove itself, and the initiator does not ask it "
			"to; configure mutual CHAP there");
	}
	if (outcome == ISCSI_CHAP_GO_ON && counter_came) {
		outcome = counter_answer(chap, &counter, out);
	}
	if (outcome == ISCSI_CHAP_GO_ON) {
		chap->state = ISCSI_CHAP_PROVED;
	}
	return outcome;
}

/* --- the machine --- */

enum {
	CHAP_A = 1u << (ISCSI_KEY_CHAP_A - ISCSI_KEY_CHAP_A),
	CHAP_I = 1u << (ISCSI_KEY_CHAP_I - ISCSI_KEY_CHAP_A),
	CHAP_C = 1u << (ISCSI_KEY_CHAP_C - ISCSI_KEY_CHAP_A),
	CHAP_N = 1u << (ISCSI_KEY_CHAP_N - ISCSI_KEY_CHAP_A),
	CHAP_R = 1u << (ISCSI_KEY_CHAP_R - ISCSI_KEY_CHAP_A),
};

/* What may come in a state, exactly these keys; RFC 7143 12.1.3. */
static const struct chap_exchange {
	enum iscsi_chap_state state;
	unsigned keys;
	enum iscsi_chap_outcome (*step)(
		struct iscsi_chap *chap, const struct iscsi_chap_keys *keys, struct cursor *out);
} exchanges[] = {
	{ISCSI_CHAP_CHOOSING, CHAP_A, chap_challenge},
	{ISCSI_CHAP_CHALLENGED, CHAP_N | CHAP_R, chap_prove},
	{ISCSI_CHAP_CHALLENGED, CHAP_N | CHAP_R | CHAP_I | CHAP_C, chap_prove},
};

enum iscsi_chap_outcome iscsi_chap_input(
	struct iscsi_chap *chap, const struct iscsi_chap_keys *keys, struct cursor *out)
{
	enum iscsi_chap_outcome outcome = ISCSI_CHAP_DISORDER;
	unsigned came = 0;

	for (unsigned i = 0; i < ISCSI_CHAP_KEYS; i++) {
		came |= keys->pairs[i].key ? 1u << i : 0;
	}
	chap->reason = "CHAP: keys that are not due, or some that are missing";
	for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
		if (exchanges[i].state == chap->state && exchanges[i].keys == came) {
			outcome = exchanges[i].step(chap, keys, out);
			break;
		}
	}
	if (outcome != ISCSI_CHAP_GO_ON) {
		chap->state = ISCSI_CHAP_BROKEN;
		chap->user = NULL;
		chap->user_name[0] = '\0';
	}
	return outcome;
}
