/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/keys.h"

#include "daemon/iscsi/pdu.h"

#define BURST_RANGE .low = ISCSI_DATA_SEGMENT_MIN, .high = ISCSI_DATA_SEGMENT_MAX
#define BOOLEAN	    .high = 1

/* RFC 7143 13 in its order; default, range, result function, use, scope. */
static const struct iscsi_key_row rows[ISCSI_KEYS] = {
	/* 12 */
	[ISCSI_KEY_AUTH_METHOD] = {.name = "AuthMethod",
		.rule = ISCSI_RULE_LIST,
		.use = ISCSI_USE_IO,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_SECURITY_ONLY,
		.initial = ISCSI_AUTH_NONE,
		.choices = {[ISCSI_AUTH_NONE] = "None", [ISCSI_AUTH_CHAP] = "CHAP"}},
	/* 13.1 */
	[ISCSI_KEY_HEADER_DIGEST] = {.name = "HeaderDigest",
		.rule = ISCSI_RULE_LIST,
		.use = ISCSI_USE_IO,
		.initial = ISCSI_DIGEST_NONE,
		.choices = {[ISCSI_DIGEST_NONE] = "None", [ISCSI_DIGEST_CRC32C] = "CRC32C"}},
	[ISCSI_KEY_DATA_DIGEST] = {.name = "DataDigest",
		.rule = ISCSI_RULE_LIST,
		.use = ISCSI_USE_IO,
		.initial = ISCSI_DIGEST_NONE,
		.choices = {[ISCSI_DIGEST_NONE] = "None", [ISCSI_DIGEST_CRC32C] = "CRC32C"}},
	/* 13.2 */
	[ISCSI_KEY_MAX_CONNECTIONS] = {.name = "MaxConnections",
		.rule = ISCSI_RULE_MIN,
		.use = ISCSI_USE_LO,
		.flags = ISCSI_KEYF_IRRELEVANT,
		.low = 1,
		.high = 65535,
		.initial = 1},
	/* 13.3 */
	[ISCSI_KEY_SEND_TARGETS] = {.name = "SendTargets",
		.rule = ISCSI_RULE_REQUEST,
		.use = ISCSI_USE_FFPO},
	/* 13.4 */
	[ISCSI_KEY_TARGET_NAME] = {.name = "TargetName",
		.rule = ISCSI_RULE_DECLARE,
		.use = ISCSI_USE_IO,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_FIRST},
	/* 13.5 */
	[ISCSI_KEY_INITIATOR_NAME] = {.name = "InitiatorName",
		.rule = ISCSI_RULE_DECLARE,
		.use = ISCSI_USE_IO,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_FIRST},
	/* 13.6 */
	[ISCSI_KEY_TARGET_ALIAS] = {.name = "TargetAlias",
		.rule = ISCSI_RULE_DECLARE,
		.use = ISCSI_USE_ALL,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_TARGET},
	/* 13.7 */
	[ISCSI_KEY_INITIATOR_ALIAS] = {.name = "InitiatorAlias",
		.rule = ISCSI_RULE_DECLARE,
		.use = ISCSI_USE_ALL,
		.flags = ISCSI_KEYF_SECURITY},
	/* 13.8 */
	[ISCSI_KEY_TARGET_ADDRESS] = {.name = "TargetAddress",
		.rule = ISCSI_RULE_DECLARE,
		.use = ISCSI_USE_ALL,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_TARGET},
	/* 13.9 */
	[ISCSI_KEY_TARGET_PORTAL_GROUP_TAG] = {.name = "TargetPortalGroupTag",
		.rule = ISCSI_RULE_DECLARE,
		.use = ISCSI_USE_IO,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_TARGET,
		.number = true,
		.high = 65535},
	/* 13.10 */
	[ISCSI_KEY_INITIAL_R2T] = {.name = "InitialR2T",
		.rule = ISCSI_RULE_OR,
		.use = ISCSI_USE_LO,
		.flags = ISCSI_KEYF_IRRELEVANT,
		BOOLEAN,
		.initial = 1},
	/* 13.11 */
	[ISCSI_KEY_IMMEDIATE_DATA] = {.name = "ImmediateData",
		.rule = ISCSI_RULE_AND,
		.use = ISCSI_USE_LO,
		.flags = ISCSI_KEYF_IRRELEVANT,
		BOOLEAN,
		.initial = 1},
	/* 13.12 */
	[ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH] = {.name = "MaxRecvDataSegmentLength",
		.rule = ISCSI_RULE_DECLARE,
		.use = ISCSI_USE_ALL,
		.number = true,
		BURST_RANGE,
		.initial = ISCSI_DATA_SEGMENT_DEFAULT},
	/* 13.13 */
	[ISCSI_KEY_MAX_BURST_LENGTH] = {.name = "MaxBurstLength",
		.rule = ISCSI_RULE_MIN,
		.use = ISCSI_USE_LO,
		.flags = ISCSI_KEYF_IRRELEVANT,
		BURST_RANGE,
		.initial = 262144},
	/* 13.14 */
	[ISCSI_KEY_FIRST_BURST_LENGTH] = {.name = "FirstBurstLength",
		.rule = ISCSI_RULE_MIN,
		.use = ISCSI_USE_LO,
		.flags = ISCSI_KEYF_IRRELEVANT,
		BURST_RANGE,
		.initial = 65536},
	/* 13.15 */
	[ISCSI_KEY_DEFAULT_TIME2WAIT] = {.name = "DefaultTime2Wait",
		.rule = ISCSI_RULE_MAX,
		.use = ISCSI_USE_LO,
		.high = 3600,
		.initial = 2},
	/* 13.16 */
	[ISCSI_KEY_DEFAULT_TIME2RETAIN] = {.name = "DefaultTime2Retain",
		.rule = ISCSI_RULE_MIN,
		.use = ISCSI_USE_LO,
		.high = 3600,
		.initial = 20},
	/* 13.17 */
	[ISCSI_KEY_MAX_OUTSTANDING_R2T] = {.name = "MaxOutstandingR2T",
		.rule = ISCSI_RULE_MIN,
		.use = ISCSI_USE_LO,
		.flags = ISCSI_KEYF_IRRELEVANT,
		.low = 1,
		.high = 65535,
		.initial = 1},
	/* 13.18 */
	[ISCSI_KEY_DATA_PDU_IN_ORDER] = {.name = "DataPDUInOrder",
		.rule = ISCSI_RULE_OR,
		.use = ISCSI_USE_LO,
		.flags = ISCSI_KEYF_IRRELEVANT,
		BOOLEAN,
		.initial = 1},
	/* 13.19 */
	[ISCSI_KEY_DATA_SEQUENCE_IN_ORDER] = {.name = "DataSequenceInOrder",
		.rule = ISCSI_RULE_OR,
		.use = ISCSI_USE_LO,
		.flags = ISCSI_KEYF_IRRELEVANT,
		BOOLEAN,
		.initial = 1},
	/* 13.20 */
	[ISCSI_KEY_ERROR_RECOVERY_LEVEL] = {.name = "ErrorRecoveryLevel",
		.rule = ISCSI_RULE_MIN,
		.use = ISCSI_USE_LO,
		.high = 2},
	/* 13.21 says LO; initiators repeat it in further connections, which does no harm */
	[ISCSI_KEY_SESSION_TYPE] = {.name = "SessionType",
		.rule = ISCSI_RULE_DECLARE,
		.use = ISCSI_USE_IO,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_FIRST,
		.initial = ISCSI_SESSION_NORMAL,
		.choices = {[ISCSI_SESSION_NORMAL] = "Normal",
			[ISCSI_SESSION_DISCOVERY] = "Discovery"}},
	/* 13.23 */
	[ISCSI_KEY_TASK_REPORTING] = {.name = "TaskReporting",
		.rule = ISCSI_RULE_LIST,
		.use = ISCSI_USE_LO,
		.flags = ISCSI_KEYF_IRRELEVANT,
		.initial = ISCSI_REPORTING_RFC3720,
		.choices = {[ISCSI_REPORTING_RFC3720] = "RFC3720",
			[ISCSI_REPORTING_RESPONSE_FENCE] = "ResponseFence",
			[ISCSI_REPORTING_FAST_ABORT] = "FastAbort"}},
	/* 13.24, RFC 7144 7 */
	[ISCSI_KEY_PROTOCOL_LEVEL] = {.name = "iSCSIProtocolLevel",
		.rule = ISCSI_RULE_MIN,
		.use = ISCSI_USE_LO,
		.flags = ISCSI_KEYF_IRRELEVANT,
		.high = 31,
		.initial = 1},
	/* 13.26 */
	[ISCSI_KEY_NODE_ARCHITECTURE] = {.name = "X#NodeArchitecture",
		.rule = ISCSI_RULE_DECLARE,
		.use = ISCSI_USE_LO},
	/* 13.25 */
	[ISCSI_KEY_IF_MARKER] = {.name = "IFMarker",
		.rule = ISCSI_RULE_REJECT,
		.use = ISCSI_USE_IO},
	[ISCSI_KEY_OF_MARKER] = {.name = "OFMarker",
		.rule = ISCSI_RULE_REJECT,
		.use = ISCSI_USE_IO},
	[ISCSI_KEY_IF_MARK_INT] = {.name = "IFMarkInt",
		.rule = ISCSI_RULE_REJECT,
		.use = ISCSI_USE_IO},
	[ISCSI_KEY_OF_MARK_INT] = {.name = "OFMarkInt",
		.rule = ISCSI_RULE_REJECT,
		.use = ISCSI_USE_IO},
	/* 12.1.3 */
	[ISCSI_KEY_CHAP_A] = {.name = "CHAP_A",
		.rule = ISCSI_RULE_AUTH,
		.use = ISCSI_USE_IO,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_SECURITY_ONLY},
	[ISCSI_KEY_CHAP_I] = {.name = "CHAP_I",
		.rule = ISCSI_RULE_AUTH,
		.use = ISCSI_USE_IO,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_SECURITY_ONLY},
	[ISCSI_KEY_CHAP_C] = {.name = "CHAP_C",
		.rule = ISCSI_RULE_AUTH,
		.use = ISCSI_USE_IO,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_SECURITY_ONLY | ISCSI_KEYF_BINARY},
	[ISCSI_KEY_CHAP_N] = {.name = "CHAP_N",
		.rule = ISCSI_RULE_AUTH,
		.use = ISCSI_USE_IO,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_SECURITY_ONLY},
	[ISCSI_KEY_CHAP_R] = {.name = "CHAP_R",
		.rule = ISCSI_RULE_AUTH,
		.use = ISCSI_USE_IO,
		.flags = ISCSI_KEYF_SECURITY | ISCSI_KEYF_SECURITY_ONLY | ISCSI_KEYF_BINARY},
};

_Static_assert(ISCSI_KEYS <= 64, "the set of keys seen is one 64-bit word");

const char *iscsi_key_rule_name(enum iscsi_key_rule rule)
{
	switch (rule) {
	case ISCSI_RULE_NONE:
		return "none";
	case ISCSI_RULE_AND:
		return "AND";
	case ISCSI_RULE_OR:
		return "OR";
	case ISCSI_RULE_MIN:
		return "minimum";
	case ISCSI_RULE_MAX:
		return "maximum";
	case ISCSI_RULE_LIST:
		return "list";
	case ISCSI_RULE_DECLARE:
		return "declaration";
	case ISCSI_RULE_REQUEST:
		return "request";
	case ISCSI_RULE_REJECT:
		return "obsolete";
	case ISCSI_RULE_AUTH:
		return "authentication";
	}
	return "unknown rule";
}

const struct iscsi_key_row *iscsi_key_row(enum iscsi_key key)
{
	return &rows[key];
}

static bool equal(const char *name, const char *text, size_t length)
{
	return name && strlen(name) == length && memcmp(name, text, length) == 0;
}

enum iscsi_key iscsi_key_find(const char *name, size_t length)
{
	unsigned key = 0;

	while (key < ISCSI_KEYS && !equal(rows[key].name, name, length)) {
		key++;
	}
	return (enum iscsi_key)key;
}

bool iscsi_key_value_reserved(const struct iscsi_pair *pair)
{
	return iscsi_pair_value_is(pair, "Reject") || iscsi_pair_value_is(pair, "Irrelevant") ||
	       iscsi_pair_value_is(pair, "NotUnderstood");
}

static bool boolean_parse(const struct iscsi_pair *pair, uint32_t *value)
{
	*value = iscsi_pair_value_is(pair, "Yes");
	return *value || iscsi_pair_value_is(pair, "No");
}

/* Which choice the `length` bytes at `text` name; ISCSI_CHOICES_MAX for none. */
static unsigned choice_find(const struct iscsi_key_row *row, const char *text, size_t length)
{
	unsigned i = 0;

	while (i < ISCSI_CHOICES_MAX && !equal(row->choices[i], text, length)) {
		i++;
	}
	return i;
}

/* RFC 7143 6.2.1: values are tried in the proposer's order. */
static bool list_choose(const struct iscsi_key_row *row, const struct iscsi_pair *pair,
	uint32_t ours, uint32_t *result)
{
	const char *item = pair->value, *end = pair->value + pair->value_length;

	while (item <= end) {
		const char *comma = memchr(item, ',', (size_t)(end - item));
		const char *stop = comma ? comma : end;
		unsigned choice = choice_find(row, item, (size_t)(stop - item));

		if (choice < ISCSI_CHOICES_MAX && ours & 1u << choice) {
			*result = choice;
			return true;
		}
		item = stop + 1;
	}
	return false;
}

bool iscsi_key_declared_number(
	const struct iscsi_key_row *row, const struct iscsi_pair *pair, uint32_t *number)
{
	return iscsi_number_parse(pair->value, pair->value_length, number) && *number >= row->low &&
	       *number <= row->high;
}

bool iscsi_key_declared_choice(
	const struct iscsi_key_row *row, const struct iscsi_pair *pair, uint32_t *index)
{
	*index = choice_find(row, pair->value, pair->value_length);
	return *index < ISCSI_CHOICES_MAX;
}

bool iscsi_key_negotiate(const struct iscsi_key_row *row, const struct iscsi_pair *pair,
	uint32_t ours, uint32_t *result)
{
	uint32_t theirs;

	switch (row->rule) {
	case ISCSI_RULE_AND:
	case ISCSI_RULE_OR:
		if (!boolean_parse(pair, &theirs)) {
			return false;
		}
		*result = row->rule == ISCSI_RULE_AND ? (theirs & ours) : (theirs | ours);
		return true;
	case ISCSI_RULE_MIN:
	case ISCSI_RULE_MAX:
		if (!iscsi_key_declared_number(row, pair, &theirs)) {
			return false;
		}
		*result = (row->rule == ISCSI_RULE_MIN) == (theirs < ours) ? theirs : ours;
		return true;
	case ISCSI_RULE_LIST:
		return list_choose(row, pair, ours, result);
	case ISCSI_RULE_NONE:
	case ISCSI_RULE_DECLARE:
	case ISCSI_RULE_REQUEST:
	case ISCSI_RULE_REJECT:
	case ISCSI_RULE_AUTH:
		break;
	}
	return false;
}

bool iscsi_key_put(struct cursor *out, const struct iscsi_key_row *row, uint32_t result)
{
	switch (row->rule) {
	case ISCSI_RULE_AND:
	case ISCSI_RULE_OR:
		return iscsi_pair_putf(out, row->name, "%s", result ? "Yes" : "No");
	case ISCSI_RULE_LIST:
		return iscsi_pair_putf(out, row->name, "%s", row->choices[result]);
	case ISCSI_RULE_MIN:
	case ISCSI_RULE_MAX:
	case ISCSI_RULE_DECLARE:
		return iscsi_pair_putf(out, row->name, "%u", (unsigned)result);
	case ISCSI_RULE_NONE:
	case ISCSI_RULE_REQUEST:
	case ISCSI_RULE_REJECT:
	case ISCSI_RULE_AUTH:
		break;
	}
	return false;
}
