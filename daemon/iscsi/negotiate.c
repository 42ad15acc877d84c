/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/negotiate.h"

#include <stdarg.h>
#include <stdio.h>

#include "daemon/iscsi/discovery.h"
#include "daemon/iscsi/names.h"

#define KEY_BIT(key) (UINT64_C(1) << (key))

void iscsi_login_reason(struct iscsi_login *login, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(login->reason, sizeof(login->reason), format, ap);
	va_end(ap);
	for (char *c = login->reason; *c; c++) {
		if (*c < ' ' || *c > '~') {
			*c = '?';
		}
	}
}

void iscsi_negotiate_defaults(struct iscsi_params *params)
{
	*params = (struct iscsi_params){
		.initial_r2t = iscsi_key_row(ISCSI_KEY_INITIAL_R2T)->initial,
		.immediate_data = iscsi_key_row(ISCSI_KEY_IMMEDIATE_DATA)->initial,
		.data_pdu_in_order = iscsi_key_row(ISCSI_KEY_DATA_PDU_IN_ORDER)->initial,
		.data_sequence_in_order = iscsi_key_row(ISCSI_KEY_DATA_SEQUENCE_IN_ORDER)->initial,
		.send_max_bytes = ISCSI_DATA_SEGMENT_DEFAULT,
		.recv_max_bytes = ISCSI_DATA_SEGMENT_DEFAULT,
		.max_burst_bytes = iscsi_key_row(ISCSI_KEY_MAX_BURST_LENGTH)->initial,
		.first_burst_bytes = iscsi_key_row(ISCSI_KEY_FIRST_BURST_LENGTH)->initial,
		.max_outstanding_r2t =
			(uint16_t)iscsi_key_row(ISCSI_KEY_MAX_OUTSTANDING_R2T)->initial,
		.max_connections = (uint16_t)iscsi_key_row(ISCSI_KEY_MAX_CONNECTIONS)->initial,
		.time2wait_s = (uint16_t)iscsi_key_row(ISCSI_KEY_DEFAULT_TIME2WAIT)->initial,
		.time2retain_s = (uint16_t)iscsi_key_row(ISCSI_KEY_DEFAULT_TIME2RETAIN)->initial,
		.error_recovery_level =
			(uint8_t)iscsi_key_row(ISCSI_KEY_ERROR_RECOVERY_LEVEL)->initial,
		.protocol_level = (uint8_t)iscsi_key_row(ISCSI_KEY_PROTOCOL_LEVEL)->initial,
	};
}

/*
 * CRC32C is taken whenever the configuration offers it. Otherwise None is preferred, but an
 * initiator that insists on CRC32C gets it: RFC 7143 13.1 makes both mandatory.
 */
static uint32_t digest_choices(
	bool offer, const struct iscsi_key_row *row, const struct iscsi_pair *pair)
{
	uint32_t none = 1u << ISCSI_DIGEST_NONE, both = none | 1u << ISCSI_DIGEST_CRC32C;
	uint32_t ignored;

	return !offer && iscsi_key_negotiate(row, pair, none, &ignored) ? none : both;
}

/* Our side of a negotiation, in the form iscsi_key_negotiate() takes. */
static uint32_t ours(
	const struct iscsi_login *login, enum iscsi_key key, const struct iscsi_pair *pair)
{
	const struct conf_iscsi *conf = &login->setup.conf->iscsi;
	const struct iscsi_key_row *row = iscsi_key_row(key);
	uint32_t burst;

	switch (key) {
	case ISCSI_KEY_AUTH_METHOD:
		return login->auth_methods;
	case ISCSI_KEY_HEADER_DIGEST:
		return digest_choices(conf->header_digest, row, pair);
	case ISCSI_KEY_DATA_DIGEST:
		return digest_choices(conf->data_digest, row, pair);
	case ISCSI_KEY_MAX_CONNECTIONS:
		return conf->max_connections;
	case ISCSI_KEY_DATA_PDU_IN_ORDER:
	case ISCSI_KEY_DATA_SEQUENCE_IN_ORDER:
		return 1;
	case ISCSI_KEY_INITIAL_R2T:
		return conf->initial_r2t;
	case ISCSI_KEY_IMMEDIATE_DATA:
		return conf->immediate_data;
	case ISCSI_KEY_MAX_BURST_LENGTH:
		return conf->max_burst_bytes;
	case ISCSI_KEY_FIRST_BURST_LENGTH:
		burst = login->burst_offer_bytes ? login->burst_offer_bytes
						 : login->params.max_burst_bytes;
		return conf->first_burst_bytes < burst ? conf->first_burst_bytes : burst;
	case ISCSI_KEY_DEFAULT_TIME2WAIT:
		return ISCSI_TIME2WAIT_S;
	case ISCSI_KEY_DEFAULT_TIME2RETAIN:
		return ISCSI_TIME2RETAIN_S;
	case ISCSI_KEY_MAX_OUTSTANDING_R2T:
		return conf->max_outstanding_r2t;
	case ISCSI_KEY_PROTOCOL_LEVEL:
		return ISCSI_PROTOCOL_LEVEL;
	case ISCSI_KEY_TASK_REPORTING:
		/* tmf.c has the fence; FastAbort would need asynchronous message 5. */
		return 1u << ISCSI_REPORTING_RFC3720 | 1u << ISCSI_REPORTING_RESPONSE_FENCE;
	case ISCSI_KEY_ERROR_RECOVERY_LEVEL:
	case ISCSI_KEY_SEND_TARGETS:
	case ISCSI_KEY_TARGET_NAME:
	case ISCSI_KEY_INITIATOR_NAME:
	case ISCSI_KEY_TARGET_ALIAS:
	case ISCSI_KEY_INITIATOR_ALIAS:
	case ISCSI_KEY_TARGET_ADDRESS:
	case ISCSI_KEY_TARGET_PORTAL_GROUP_TAG:
	case ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH:
	case ISCSI_KEY_SESSION_TYPE:
	case ISCSI_KEY_NODE_ARCHITECTURE:
	case ISCSI_KEY_IF_MARKER:
	case ISCSI_KEY_OF_MARKER:
	case ISCSI_KEY_IF_MARK_INT:
	case ISCSI_KEY_OF_MARK_INT:
	case ISCSI_KEY_CHAP_A:
	case ISCSI_KEY_CHAP_I:
	case ISCSI_KEY_CHAP_C:
	case ISCSI_KEY_CHAP_N:
	case ISCSI_KEY_CHAP_R:
	case ISCSI_KEYS:
		break;
	}
	return 0;
}

/* A result of iscsi_key_negotiate() comes into force. */
static void apply(struct iscsi_login *login, enum iscsi_key key, uint32_t result)
{
	struct iscsi_params *params = &login->params;

	switch (key) {
	case ISCSI_KEY_AUTH_METHOD:
		login->auth_done = result == ISCSI_AUTH_NONE;
		if (result == ISCSI_AUTH_CHAP) {
			iscsi_chap_start(&login->chap, &login->chap_policy);
		}
		break;
	case ISCSI_KEY_HEADER_DIGEST:
		params->header_digest = result == ISCSI_DIGEST_CRC32C;
		break;
	case ISCSI_KEY_DATA_DIGEST:
		params->data_digest = result == ISCSI_DIGEST_CRC32C;
		break;
	case ISCSI_KEY_MAX_CONNECTIONS:
		params->max_connections = (uint16_t)result;
		break;
	case ISCSI_KEY_INITIAL_R2T:
		params->initial_r2t = result;
		break;
	case ISCSI_KEY_IMMEDIATE_DATA:
		params->immediate_data = result;
		break;
	case ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH:
		params->send_max_bytes = result;
		break;
	case ISCSI_KEY_MAX_BURST_LENGTH:
		params->max_burst_bytes = result;
		break;
	case ISCSI_KEY_FIRST_BURST_LENGTH:
		params->first_burst_bytes = result;
		break;
	case ISCSI_KEY_DEFAULT_TIME2WAIT:
		params->time2wait_s = (uint16_t)result;
		break;
	case ISCSI_KEY_DEFAULT_TIME2RETAIN:
		params->time2retain_s = (uint16_t)result;
		break;
	case ISCSI_KEY_MAX_OUTSTANDING_R2T:
		params->max_outstanding_r2t = (uint16_t)result;
		break;
	case ISCSI_KEY_DATA_PDU_IN_ORDER:
		params->data_pdu_in_order = result;
		break;
	case ISCSI_KEY_DATA_SEQUENCE_IN_ORDER:
		params->data_sequence_in_order = result;
		break;
	case ISCSI_KEY_ERROR_RECOVERY_LEVEL:
		params->error_recovery_level = (uint8_t)result;
		break;
	case ISCSI_KEY_SESSION_TYPE:
		params->discovery = result == ISCSI_SESSION_DISCOVERY;
		break;
	case ISCSI_KEY_TASK_REPORTING:
		params->fast_abort = result == ISCSI_REPORTING_FAST_ABORT;
		break;
	case ISCSI_KEY_PROTOCOL_LEVEL:
		params->protocol_level = (uint8_t)result;
		break;
	case ISCSI_KEY_SEND_TARGETS:
	case ISCSI_KEY_TARGET_NAME:
	case ISCSI_KEY_INITIATOR_NAME:
	case ISCSI_KEY_TARGET_ALIAS:
	case ISCSI_KEY_INITIATOR_ALIAS:
	case ISCSI_KEY_TARGET_ADDRESS:
	case ISCSI_KEY_TARGET_PORTAL_GROUP_TAG:
	case ISCSI_KEY_NODE_ARCHITECTURE:
	case ISCSI_KEY_IF_MARKER:
	case ISCSI_KEY_OF_MARKER:
	case ISCSI_KEY_IF_MARK_INT:
	case ISCSI_KEY_OF_MARK_INT:
	case ISCSI_KEY_CHAP_A:
	case ISCSI_KEY_CHAP_I:
	case ISCSI_KEY_CHAP_C:
	case ISCSI_KEY_CHAP_N:
	case ISCSI_KEY_CHAP_R:
	case ISCSI_KEYS:
		break;
	}
}

/* Why a known key may not stand where it does; NULL when it may. */
static const char *misplaced(
	const struct iscsi_login *login, enum iscsi_key key, const struct iscsi_pair *pair)
{
	const struct iscsi_key_row *row = iscsi_key_row(key);
	bool security = login->state == ISCSI_LOGIN_STATE_SECURITY;

	if (row->flags & ISCSI_KEYF_TARGET) {
		return "only a target declares it";
	}
	if (row->use == ISCSI_USE_FFPO) {
		return "it belongs to the full feature phase";
	}
	if (security && !(row->flags & ISCSI_KEYF_SECURITY)) {
		return "it does not belong to the security stage";
	}
	if (!security && row->flags & ISCSI_KEYF_SECURITY_ONLY) {
		return "it belongs to the security stage";
	}
	if (row->rule == ISCSI_RULE_AUTH && !iscsi_chap_is_due(&login->chap)) {
		return "its authentication method has not been agreed on";
	}
	if (row->use == ISCSI_USE_LO && login->tsih != 0) {
		return "it belongs to the first connection of a session";
	}
	if (login->seen & KEY_BIT(key)) {
		return "it came twice in one login";
	}
	if (row->flags & ISCSI_KEYF_FIRST && login->first_text_done) {
		return "it belongs to the first request";
	}
	if (pair->value_length >
		(row->flags & ISCSI_KEYF_BINARY ? ISCSI_BINARY_TEXT_MAX : ISCSI_VALUE_MAX)) {
		return "its value is too long";
	}
	return NULL;
}

void iscsi_negotiate_alias(struct iscsi_login *login, const struct iscsi_pair *pair)
{
	/* Decoration only: one that is no text is left out, not held against the initiator. */
	login->initiator_alias[0] = '\0';
	if (pair->value_length < sizeof(login->initiator_alias) &&
		iscsi_utf8_valid(pair->value, pair->value_length)) {
		memcpy(login->initiator_alias, pair->value, pair->value_length + 1);
	}
}

static enum iscsi_login_status initiator_name_take(
	struct iscsi_login *login, const struct iscsi_pair *pair)
{
	const char *why;

	if (!iscsi_name_normalize(pair->value, pair->value_length, login->initiator, &why)) {
		iscsi_login_reason(login, "InitiatorName is not valid: %s", why);
		return ISCSI_LOGIN_INITIATOR_ERROR;
	}
	return ISCSI_LOGIN_SUCCESS;
}

static enum iscsi_login_status target_name_take(
	struct iscsi_login *login, const struct iscsi_pair *pair)
{
	char name[ISCSI_NAME_MAX];
	const char *why;

	if (!iscsi_name_normalize(pair->value, pair->value_length, name, &why)) {
		iscsi_login_reason(login, "TargetName is not valid: %s", why);
		return ISCSI_LOGIN_NOT_FOUND;
	}
	login->conf_target = iscsi_target_find(login->setup.conf, name);
	if (!login->conf_target) {
		iscsi_login_reason(login, "there is no target of the name asked for: %.150s", name);
		return ISCSI_LOGIN_NOT_FOUND;
	}
	snprintf(login->target, sizeof(login->target), "%s", login->conf_target->name);
	return ISCSI_LOGIN_SUCCESS;
}

/* A declaration other than a name: a number or one of the row's choices. */
static enum iscsi_login_status value_take(
	struct iscsi_login *login, enum iscsi_key key, const struct iscsi_pair *pair)
{
	const struct iscsi_key_row *row = iscsi_key_row(key);
	uint32_t value;

	if (row->number ? !iscsi_key_declared_number(row, pair, &value)
			: !iscsi_key_declared_choice(row, pair, &value)) {
		iscsi_login_reason(login, "%s=%.60s is not legal", row->name, pair->value);
		return key == ISCSI_KEY_SESSION_TYPE ? ISCSI_LOGIN_SESSION_TYPE
						     : ISCSI_LOGIN_INITIATOR_ERROR;
	}
	apply(login, key, value);
	return ISCSI_LOGIN_SUCCESS;
}

static enum iscsi_login_status declaration_take(
	struct iscsi_login *login, enum iscsi_key key, const struct iscsi_pair *pair)
{
	const struct iscsi_key_row *row = iscsi_key_row(key);

	if (key == ISCSI_KEY_INITIATOR_NAME) {
		return initiator_name_take(login, pair);
	}
	if (key == ISCSI_KEY_TARGET_NAME) {
		return target_name_take(login, pair);
	}
	if (key == ISCSI_KEY_INITIATOR_ALIAS) {
		iscsi_negotiate_alias(login, pair);
	} else if (row->number || row->choices[0]) {
		return value_take(login, key, pair);
	}
	return ISCSI_LOGIN_SUCCESS;
}

static enum iscsi_login_status pair_scan(struct iscsi_login *login, const struct iscsi_pair *pair)
{
	enum iscsi_key key = iscsi_key_find(pair->key, pair->key_length);
	const char *why = NULL;
	uint32_t burst;

	if (iscsi_key_value_reserved(pair)) {
		why = "its value is an answer, and nothing was asked";
	} else if (key < ISCSI_KEYS) {
		why = misplaced(login, key, pair);
	}
	if (why) {
		iscsi_login_reason(
			login, "key %.*s refused: %s", (int)pair->key_length, pair->key, why);
		return ISCSI_LOGIN_INITIATOR_ERROR;
	}
	if (key == ISCSI_KEYS) {
		return ISCSI_LOGIN_SUCCESS;
	}
	login->seen |= KEY_BIT(key);
	if (key == ISCSI_KEY_MAX_BURST_LENGTH &&
		iscsi_key_negotiate(iscsi_key_row(key), pair, ours(login, key, pair), &burst)) {
		login->burst_offer_bytes = burst;
	}
	return iscsi_key_row(key)->rule == ISCSI_RULE_DECLARE ? declaration_take(login, key, pair)
							      : ISCSI_LOGIN_SUCCESS;
}

enum iscsi_login_status iscsi_negotiate_scan(struct iscsi_login *login)
{
	struct cursor text = cursor_reader(login->in, login->in_length);
	enum iscsi_login_status status = ISCSI_LOGIN_SUCCESS;
	enum iscsi_pair_result found = ISCSI_PAIR_FOUND;
	struct iscsi_pair pair;
	const char *why;

	login->chap_due =
		iscsi_chap_is_due(&login->chap) && login->state == ISCSI_LOGIN_STATE_SECURITY;
	while (status == ISCSI_LOGIN_SUCCESS && found == ISCSI_PAIR_FOUND) {
		found = iscsi_pair_next(&text, &pair, &why);
		if (found == ISCSI_PAIR_FOUND) {
			status = pair_scan(login, &pair);
		} else if (found == ISCSI_PAIR_BAD) {
			iscsi_login_reason(login, "malformed text: %s", why);
			status = ISCSI_LOGIN_INITIATOR_ERROR;
		}
	}
	return status;
}

/* Discovery sessions have a policy of their own; else the group decides that lets it in. */
static void auth_require(struct iscsi_login *login, const struct conf_initiator_group *group)
{
	const struct conf_iscsi *iscsi = &login->setup.conf->iscsi;
	enum conf_auth auth = login->params.discovery ? iscsi->discovery_auth
			      : group		      ? group->auth
						      : CONF_AUTH_NONE;

	login->auth_methods = 1u << (auth == CONF_AUTH_NONE ? ISCSI_AUTH_NONE : ISCSI_AUTH_CHAP);
	login->chap_policy = (struct iscsi_chap_policy){
		.secrets = login->setup.secrets,
		.algorithms = iscsi->chap_algorithms,
		.algorithm_count = iscsi->chap_algorithm_count,
		.mutual = auth == CONF_AUTH_MUTUAL,
		.random = login->setup.random,
	};
	if (login->params.discovery) {
		login->chap_policy.users = iscsi->discovery_users;
		login->chap_policy.user_count = iscsi->discovery_user_count;
	} else if (group) {
		login->chap_policy.users = group->users;
		login->chap_policy.user_count = group->user_count;
	}
}

enum iscsi_login_status iscsi_negotiate_admit(struct iscsi_login *login)
{
	const struct iscsi_visitor visitor = {login->initiator, login->setup.peer};
	const struct conf_initiator_group *group = NULL;

	if (!login->initiator[0]) {
		iscsi_login_reason(login, "the first request has no InitiatorName");
		return ISCSI_LOGIN_MISSING_PARAMETER;
	}
	if (!login->conf_target && !login->params.discovery) {
		iscsi_login_reason(
			login, "the first request of a normal session has no TargetName");
		return ISCSI_LOGIN_MISSING_PARAMETER;
	}
	if (login->conf_target &&
		!iscsi_target_allows(login->setup.conf, login->conf_target, &visitor, &group)) {
		iscsi_login_reason(login,
			"the initiator is in none of the target's initiator groups; add its name "
			"and network to one of them");
		return ISCSI_LOGIN_FORBIDDEN;
	}
	/* Before authentication: the target at the other address asks for it. */
	if (login->conf_target && login->conf_target->redirect.length && !login->params.discovery) {
		iscsi_login_reason(
			login, "the target has moved to %s", login->conf_target->redirect.text);
		return login->conf_target->redirect_permanent ? ISCSI_LOGIN_MOVED_PERMANENTLY
							      : ISCSI_LOGIN_MOVED_TEMPORARILY;
	}
	auth_require(login, group);
	return ISCSI_LOGIN_SUCCESS;
}

static bool irrelevant(const struct iscsi_login *login, enum iscsi_key key)
{
	const uint64_t both = KEY_BIT(ISCSI_KEY_INITIAL_R2T) | KEY_BIT(ISCSI_KEY_IMMEDIATE_DATA);

	if (login->params.discovery) {
		return iscsi_key_row(key)->flags & ISCSI_KEYF_IRRELEVANT;
	}
	/* RFC 7143 13.14; until both are agreed on nobody can say so */
	return key == ISCSI_KEY_FIRST_BURST_LENGTH && (login->seen & both) == both &&
	       login->params.initial_r2t && !login->params.immediate_data;
}

/* Answers one proposal; false when the answer does not fit in `out`. */
static bool pair_answer(
	struct iscsi_login *login, const struct iscsi_pair *pair, struct cursor *out)
{
	enum iscsi_key key = iscsi_key_find(pair->key, pair->key_length);
	const struct iscsi_key_row *row;
	uint32_t result;

	if (key == ISCSI_KEYS) {
		return iscsi_pair_put(out, pair->key, pair->key_length, "NotUnderstood");
	}
	row = iscsi_key_row(key);
	if (row->rule == ISCSI_RULE_DECLARE || row->rule == ISCSI_RULE_AUTH) {
		return true;
	}
	if (irrelevant(login, key)) {
		return iscsi_pair_put(out, row->name, pair->key_length, "Irrelevant");
	}
	if (!iscsi_key_negotiate(row, pair, ours(login, key, pair), &result)) {
		return iscsi_pair_put(out, row->name, pair->key_length, "Reject");
	}
	if (!iscsi_key_put(out, row, result)) {
		return false;
	}
	apply(login, key, result);
	return true;
}

/* The CHAP keys of the whole text, to the machine; its answer behind the others. */
static enum iscsi_login_status chap_answer(struct iscsi_login *login, struct cursor *out)
{
	/* by enum iscsi_chap_outcome */
	static const enum iscsi_login_status statuses[] = {
		[ISCSI_CHAP_GO_ON] = ISCSI_LOGIN_SUCCESS,
		[ISCSI_CHAP_REFUSED] = ISCSI_LOGIN_AUTHENTICATION_FAILED,
		[ISCSI_CHAP_DISORDER] = ISCSI_LOGIN_INITIATOR_ERROR,
		[ISCSI_CHAP_REFLECTED] = ISCSI_LOGIN_AUTHENTICATION_FAILED,
		[ISCSI_CHAP_FAULT] = ISCSI_LOGIN_TARGET_ERROR,
	};
	struct cursor text = cursor_reader(login->in, login->in_length);
	struct iscsi_chap_keys keys = {0};
	enum iscsi_chap_outcome outcome;
	struct iscsi_pair pair;
	const char *why;

	while (iscsi_pair_next(&text, &pair, &why) == ISCSI_PAIR_FOUND) {
		enum iscsi_key key = iscsi_key_find(pair.key, pair.key_length);

		if (key < ISCSI_KEYS && iscsi_key_row(key)->rule == ISCSI_RULE_AUTH) {
			keys.pairs[key - ISCSI_KEY_CHAP_A] = pair;
		}
	}
	login->chap_due = false;
	outcome = iscsi_chap_input(&login->chap, &keys, out);
	if (outcome != ISCSI_CHAP_GO_ON) {
		iscsi_login_reason(login, "%s", login->chap.reason);
	}
	login->drop = outcome == ISCSI_CHAP_REFLECTED;
	login->auth_done = login->chap.state == ISCSI_CHAP_PROVED;
	return statuses[outcome];
}

enum iscsi_login_status iscsi_negotiate_answer(
	struct iscsi_login *login, struct cursor *out, bool *done)
{
	enum iscsi_login_status status = ISCSI_LOGIN_SUCCESS;
	struct cursor text = cursor_reader(login->in, login->in_length);
	struct iscsi_pair pair;
	const char *why;
	uint32_t ignored;

	text.pos = login->in_pos;
	*done = false;
	while (iscsi_pair_next(&text, &pair, &why) == ISCSI_PAIR_FOUND) {
		if (iscsi_key_find(pair.key, pair.key_length) == ISCSI_KEY_AUTH_METHOD &&
			!iscsi_key_negotiate(iscsi_key_row(ISCSI_KEY_AUTH_METHOD), &pair,
				login->auth_methods, &ignored)) {
			iscsi_login_reason(login,
				"the target takes none of AuthMethod=%.60s; the initiator has to "
				"offer %s",
				pair.value,
				login->auth_methods & 1u << ISCSI_AUTH_NONE ? "None" : "CHAP");
			return ISCSI_LOGIN_AUTHENTICATION_FAILED;
		}
		if (!pair_answer(login, &pair, out)) {
			return ISCSI_LOGIN_SUCCESS;
		}
		login->in_pos = (uint32_t)text.pos;
	}
	if (login->chap_due) {
		if (cursor_left(out) < ISCSI_CHAP_ANSWER_MAX) {
			return ISCSI_LOGIN_SUCCESS;
		}
		status = chap_answer(login, out);
	}
	*done = true;
	return status;
}

void iscsi_negotiate_declare(struct iscsi_login *login, struct cursor *out)
{
	const struct conf_target *target = login->conf_target;

	/* RFC 7143 13.9: in the first response after the first complete request */
	if (!login->target_declared && target) {
		iscsi_key_put(out, iscsi_key_row(ISCSI_KEY_TARGET_PORTAL_GROUP_TAG),
			login->setup.controller);
		if (target->alias && target->alias[0]) {
			iscsi_pair_putf(out, "TargetAlias", "%s", target->alias);
		}
	}
	login->target_declared = true;
	if (login->state == ISCSI_LOGIN_STATE_OPERATIONAL && !login->recv_max_declared) {
		login->params.recv_max_bytes = login->setup.conf->iscsi.max_recv_data_segment_bytes;
		iscsi_key_put(out, iscsi_key_row(ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH),
			login->params.recv_max_bytes);
		login->recv_max_declared = true;
	}
}

void iscsi_negotiate_finish(struct iscsi_login *login)
{
	struct iscsi_params *params = &login->params;

	/* RFC 7143 13.14: MaxBurstLength bounds it, agreed on or left at its default */
	if (params->first_burst_bytes > params->max_burst_bytes) {
		params->first_burst_bytes = params->max_burst_bytes;
	}
}
