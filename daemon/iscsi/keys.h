/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every key of RFC 7143 (and the security keys of its clause 12) as one const table, and the
 * arithmetic of a negotiation: what both sides say, what comes out. Pure; any thread.
 */
#ifndef YOKE_ISCSI_KEYS_H
#define YOKE_ISCSI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/iscsi/pairs.h"

enum iscsi_key {
	ISCSI_KEY_AUTH_METHOD,
	ISCSI_KEY_HEADER_DIGEST,
	ISCSI_KEY_DATA_DIGEST,
	ISCSI_KEY_MAX_CONNECTIONS,
	ISCSI_KEY_SEND_TARGETS,
	ISCSI_KEY_TARGET_NAME,
	ISCSI_KEY_INITIATOR_NAME,
	ISCSI_KEY_TARGET_ALIAS,
	ISCSI_KEY_INITIATOR_ALIAS,
	ISCSI_KEY_TARGET_ADDRESS,
	ISCSI_KEY_TARGET_PORTAL_GROUP_TAG,
	ISCSI_KEY_INITIAL_R2T,
	ISCSI_KEY_IMMEDIATE_DATA,
	ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH,
	ISCSI_KEY_MAX_BURST_LENGTH,
	ISCSI_KEY_FIRST_BURST_LENGTH,
	ISCSI_KEY_DEFAULT_TIME2WAIT,
	ISCSI_KEY_DEFAULT_TIME2RETAIN,
	ISCSI_KEY_MAX_OUTSTANDING_R2T,
	ISCSI_KEY_DATA_PDU_IN_ORDER,
	ISCSI_KEY_DATA_SEQUENCE_IN_ORDER,
	ISCSI_KEY_ERROR_RECOVERY_LEVEL,
	ISCSI_KEY_SESSION_TYPE,
	ISCSI_KEY_TASK_REPORTING,
	ISCSI_KEY_PROTOCOL_LEVEL,
	ISCSI_KEY_NODE_ARCHITECTURE,
	ISCSI_KEY_IF_MARKER,
	ISCSI_KEY_OF_MARKER,
	ISCSI_KEY_IF_MARK_INT,
	ISCSI_KEY_OF_MARK_INT,
	ISCSI_KEY_CHAP_A,
	ISCSI_KEY_CHAP_I,
	ISCSI_KEY_CHAP_C,
	ISCSI_KEY_CHAP_N,
	ISCSI_KEY_CHAP_R,
	ISCSI_KEYS,
};

/* How the answer comes about. */
enum iscsi_key_rule {
	ISCSI_RULE_NONE, /* an empty row: refused */
	ISCSI_RULE_AND, /* booleans, RFC 7143 6.2.2 */
	ISCSI_RULE_OR,
	ISCSI_RULE_MIN, /* numbers */
	ISCSI_RULE_MAX,
	ISCSI_RULE_LIST, /* the first of the proposer's that the other side takes, 6.2.1 */
	ISCSI_RULE_DECLARE, /* no answer */
	ISCSI_RULE_REQUEST, /* SendTargets: answered by a list */
	ISCSI_RULE_REJECT, /* obsolete, 13.25: always Reject */
	ISCSI_RULE_AUTH, /* belongs to the authentication method that was chosen */
};
const char *iscsi_key_rule_name(enum iscsi_key_rule rule);

/* When a key may be used (RFC 7143 13). */
enum iscsi_key_use {
	ISCSI_USE_LO, /* login of the leading connection only */
	ISCSI_USE_IO, /* any login */
	ISCSI_USE_FFPO, /* full feature phase only */
	ISCSI_USE_ALL,
};

enum iscsi_key_flag {
	ISCSI_KEYF_SECURITY = 0x01, /* also in the security stage */
	ISCSI_KEYF_SECURITY_ONLY = 0x02, /* only there */
	ISCSI_KEYF_IRRELEVANT = 0x04, /* answered Irrelevant in a discovery session */
	ISCSI_KEYF_FIRST = 0x08, /* only in the first text of a login */
	ISCSI_KEYF_TARGET = 0x10, /* the target's to say: never comes in */
	ISCSI_KEYF_BINARY = 0x20, /* its value may have ISCSI_BINARY_TEXT_MAX bytes */
};

#define ISCSI_CHOICES_MAX 4

struct iscsi_key_row {
	const char *name;
	enum iscsi_key_rule rule;
	enum iscsi_key_use use;
	uint8_t flags; /* enum iscsi_key_flag */
	bool number; /* a declared value is a number */
	uint32_t low, high; /* numbers: what is legal */
	uint32_t initial; /* default: the number, boolean, or index in choices */
	const char *choices[ISCSI_CHOICES_MAX]; /* ISCSI_RULE_LIST: every value of the standard's
						   that we know; an index names it */
};

/* Indexes in choices[]. */
enum {
	ISCSI_AUTH_NONE,
	ISCSI_AUTH_CHAP
};
enum {
	ISCSI_DIGEST_NONE,
	ISCSI_DIGEST_CRC32C
};
enum {
	ISCSI_REPORTING_RFC3720,
	ISCSI_REPORTING_RESPONSE_FENCE,
	ISCSI_REPORTING_FAST_ABORT
};
enum {
	ISCSI_SESSION_NORMAL,
	ISCSI_SESSION_DISCOVERY
};

/* The row of a key; key < ISCSI_KEYS. */
const struct iscsi_key_row *iscsi_key_row(enum iscsi_key key);

/* The key of that name (case matters), or ISCSI_KEYS when nobody knows it. */
enum iscsi_key iscsi_key_find(const char *name, size_t length);

/* Reject, Irrelevant, NotUnderstood, which nobody may propose (RFC 7143 6.2). */
bool iscsi_key_value_reserved(const struct iscsi_pair *pair);

/*
 * What comes out of the proposal in `pair` and `ours`: a number, a boolean (0, 1), or for a list a
 * bit mask of the choices that we take. AND, OR, MIN, MAX, LIST rows. True with *result (for a list
 * an index); false when the answer is Reject: out of range, or nothing in common.
 */
bool iscsi_key_negotiate(const struct iscsi_key_row *row, const struct iscsi_pair *pair,
	uint32_t ours, uint32_t *result);

/* A declared number in the row's range. */
bool iscsi_key_declared_number(
	const struct iscsi_key_row *row, const struct iscsi_pair *pair, uint32_t *number);

/* A declared value that is one of the row's choices. */
bool iscsi_key_declared_choice(
	const struct iscsi_key_row *row, const struct iscsi_pair *pair, uint32_t *index);

/* Writes "key=result", or nothing: false when it does not fit. */
bool iscsi_key_put(struct cursor *out, const struct iscsi_key_row *row, uint32_t result);

#endif
