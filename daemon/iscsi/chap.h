/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CHAP and mutual CHAP (RFC 7143 12.1.3, 9.2.1; RFC 1994) as a pure state machine: the CHAP keys of
 * one exchange in, the answer's keys out. No socket, no clock, no allocation; randomness comes from
 * the caller. One struct belongs to one login.
 */
#ifndef YOKE_ISCSI_CHAP_H
#define YOKE_ISCSI_CHAP_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/iscsi/keys.h"
#include "yoke/conf.h"

#define ISCSI_CHAP_DIGEST_MAX 32u
#define ISCSI_CHAP_NAME_MAX   256u /* of a user, with its NUL */
#define ISCSI_CHAP_ANSWER_MAX 512u /* room that any answer of ours fits in */

/* What the initiator has to prove, and with what. Everything outlives the exchanges. */
struct iscsi_chap_policy {
	const struct conf_secrets *secrets;
	const char *const *users; /* who may, by CHAP_N */
	unsigned user_count;
	const uint8_t *algorithms; /* enum conf_chap_algorithm; none = every one we know */
	unsigned algorithm_count;
	bool mutual; /* the target must be asked to prove itself, too */
	bool (*random)(void *bytes, size_t size); /* unpredictable bytes; false: there are none */
};

enum iscsi_chap_state {
	ISCSI_CHAP_OFF, /* not chosen */
	ISCSI_CHAP_CHOOSING, /* CHAP_A is due */
	ISCSI_CHAP_CHALLENGED, /* CHAP_N and CHAP_R are due */
	ISCSI_CHAP_PROVED,
	ISCSI_CHAP_BROKEN,
};
#define ISCSI_CHAP_STATES (ISCSI_CHAP_BROKEN + 1)
const char *iscsi_chap_state_name(enum iscsi_chap_state state);

enum iscsi_chap_outcome {
	ISCSI_CHAP_GO_ON, /* send the answer; proved if the state says so */
	ISCSI_CHAP_REFUSED, /* authentication failure: login status 0201 */
	ISCSI_CHAP_DISORDER, /* keys that are not due, or missing: 0200 */
	ISCSI_CHAP_REFLECTED, /* our own challenge came back: close without a word */
	ISCSI_CHAP_FAULT, /* no randomness, OpenSSL refuses: 0300 */
};
const char *iscsi_chap_outcome_name(enum iscsi_chap_outcome outcome);

struct iscsi_chap_algorithm;

struct iscsi_chap {
	enum iscsi_chap_state state;
	struct iscsi_chap_policy policy;
	const struct iscsi_chap_algorithm *algorithm;
	const struct conf_user *user; /* proved; NULL */
	char user_name[ISCSI_CHAP_NAME_MAX]; /* its name, for whoever comes later; "" = none */
	const char *reason; /* constant text, for the log: why not */
	uint8_t identifier;
	uint8_t challenge[ISCSI_CHAP_DIGEST_MAX];
};

/* AuthMethod=CHAP was agreed on. */
void iscsi_chap_start(struct iscsi_chap *chap, const struct iscsi_chap_policy *policy);

/* Is another exchange due? */
static inline bool iscsi_chap_is_due(const struct iscsi_chap *chap)
{
	return chap->state == ISCSI_CHAP_CHOOSING || chap->state == ISCSI_CHAP_CHALLENGED;
}

/* The name of the algorithm in use, or "". */
const char *iscsi_chap_algorithm_name(const struct iscsi_chap *chap);

/* The CHAP keys of one exchange; an absent one has no key. By ISCSI_KEY_CHAP_A + index. */
#define ISCSI_CHAP_KEYS (ISCSI_KEY_CHAP_R - ISCSI_KEY_CHAP_A + 1)
struct iscsi_chap_keys {
	struct iscsi_pair pairs[ISCSI_CHAP_KEYS];
};

/* One exchange. `out` has room for ISCSI_CHAP_ANSWER_MAX bytes. */
enum iscsi_chap_outcome iscsi_chap_input(
	struct iscsi_chap *chap, const struct iscsi_chap_keys *keys, struct cursor *out);

#endif
