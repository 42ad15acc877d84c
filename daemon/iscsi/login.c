/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/login.h"

#include <stddef.h>

#include "daemon/iscsi/negotiate.h"

/* What the stage fields of a Login Request ask for (RFC 7143 11.12.1 to 11.12.3). */
enum login_event {
	LOGIN_EVENT_SECURITY, /* CSG 0, T=0 */
	LOGIN_EVENT_SECURITY_TO_OPERATIONAL, /* CSG 0, T=1, NSG 1 */
	LOGIN_EVENT_SECURITY_TO_FULL, /* CSG 0, T=1, NSG 3 */
	LOGIN_EVENT_OPERATIONAL, /* CSG 1, T=0 */
	LOGIN_EVENT_OPERATIONAL_TO_FULL, /* CSG 1, T=1, NSG 3 */
	LOGIN_EVENT_ILLEGAL, /* a reserved code, or backwards */
};

/*
 * RFC 7143 6.3: a login begins in one of two stages, goes forward only, and may leave either out.
 * `now` is the stage that the request's text belongs to, `goal` where a granted T=1 leads. A pair
 * that has no row is an initiator error.
 */
static const struct login_transition {
	enum iscsi_login_state state;
	enum login_event event;
	enum iscsi_login_state now;
	enum iscsi_login_state goal;
} transitions[] = {
#define START	    ISCSI_LOGIN_STATE_START
#define SECURITY    ISCSI_LOGIN_STATE_SECURITY
#define OPERATIONAL ISCSI_LOGIN_STATE_OPERATIONAL
#define DECISION    ISCSI_LOGIN_STATE_DECISION
	{START, LOGIN_EVENT_SECURITY, SECURITY, SECURITY},
	{START, LOGIN_EVENT_SECURITY_TO_OPERATIONAL, SECURITY, OPERATIONAL},
	{START, LOGIN_EVENT_SECURITY_TO_FULL, SECURITY, DECISION},
	{START, LOGIN_EVENT_OPERATIONAL, OPERATIONAL, OPERATIONAL},
	{START, LOGIN_EVENT_OPERATIONAL_TO_FULL, OPERATIONAL, DECISION},
	{SECURITY, LOGIN_EVENT_SECURITY, SECURITY, SECURITY},
	{SECURITY, LOGIN_EVENT_SECURITY_TO_OPERATIONAL, SECURITY, OPERATIONAL},
	{SECURITY, LOGIN_EVENT_SECURITY_TO_FULL, SECURITY, DECISION},
	{OPERATIONAL, LOGIN_EVENT_OPERATIONAL, OPERATIONAL, OPERATIONAL},
	{OPERATIONAL, LOGIN_EVENT_OPERATIONAL_TO_FULL, OPERATIONAL, DECISION},
#undef START
#undef SECURITY
#undef OPERATIONAL
#undef DECISION
};

const char *iscsi_login_step_name(enum iscsi_login_step step)
{
	switch (step) {
	case ISCSI_LOGIN_REPLY:
		return "reply";
	case ISCSI_LOGIN_FINAL:
		return "final";
	case ISCSI_LOGIN_FAILED:
		return "failed";
	case ISCSI_LOGIN_DROP:
		return "drop";
	}
	return "unknown step";
}

const char *iscsi_login_state_name(enum iscsi_login_state state)
{
	switch (state) {
	case ISCSI_LOGIN_STATE_START:
		return "start";
	case ISCSI_LOGIN_STATE_SECURITY:
		return "security";
	case ISCSI_LOGIN_STATE_OPERATIONAL:
		return "operational";
	case ISCSI_LOGIN_STATE_DECISION:
		return "decision";
	case ISCSI_LOGIN_STATE_FULL_FEATURE:
		return "full feature";
	case ISCSI_LOGIN_STATE_FAILED:
		return "failed";
	}
	return "unknown state";
}

static const char *event_name(enum login_event event)
{
	switch (event) {
	case LOGIN_EVENT_SECURITY:
		return "security stage";
	case LOGIN_EVENT_SECURITY_TO_OPERATIONAL:
		return "security to operational stage";
	case LOGIN_EVENT_SECURITY_TO_FULL:
		return "security stage to full feature phase";
	case LOGIN_EVENT_OPERATIONAL:
		return "operational stage";
	case LOGIN_EVENT_OPERATIONAL_TO_FULL:
		return "operational stage to full feature phase";
	case LOGIN_EVENT_ILLEGAL:
		return "illegal stages";
	}
	return "unknown event";
}

static enum login_event event_of(const uint8_t *bhs)
{
	/* by CSG, then T=0 and T=1 with NSG 0 to 3 */
	static const enum login_event events[4][5] = {
		[ISCSI_STAGE_SECURITY] = {LOGIN_EVENT_SECURITY, LOGIN_EVENT_ILLEGAL,
			LOGIN_EVENT_SECURITY_TO_OPERATIONAL, LOGIN_EVENT_ILLEGAL,
			LOGIN_EVENT_SECURITY_TO_FULL},
		[ISCSI_STAGE_OPERATIONAL] = {LOGIN_EVENT_OPERATIONAL, LOGIN_EVENT_ILLEGAL,
			LOGIN_EVENT_ILLEGAL, LOGIN_EVENT_ILLEGAL, LOGIN_EVENT_OPERATIONAL_TO_FULL},
		[ISCSI_STAGE_RESERVED] = {LOGIN_EVENT_ILLEGAL, LOGIN_EVENT_ILLEGAL,
			LOGIN_EVENT_ILLEGAL, LOGIN_EVENT_ILLEGAL, LOGIN_EVENT_ILLEGAL},
		[ISCSI_STAGE_FULL_FEATURE] = {LOGIN_EVENT_ILLEGAL, LOGIN_EVENT_ILLEGAL,
			LOGIN_EVENT_ILLEGAL, LOGIN_EVENT_ILLEGAL, LOGIN_EVENT_ILLEGAL},
	};
	uint8_t flags = bhs[ISCSI_BHS_FLAGS];
	unsigned csg = (flags & ISCSI_LOGIN_CSG_MASK) >> ISCSI_LOGIN_CSG_SHIFT;
	unsigned nsg = flags & ISCSI_LOGIN_NSG_MASK;

	return events[csg][flags & ISCSI_LOGIN_TRANSIT ? 1 + nsg : 0];
}

static const struct login_transition *transition_find(
	enum iscsi_login_state state, enum login_event event)
{
	for (size_t i = 0; i < ARRAY_SIZE(transitions); i++) {
		if (transitions[i].state == state && transitions[i].event == event) {
			return &transitions[i];
		}
	}
	return NULL;
}

void iscsi_login_init(struct iscsi_login *login, const struct iscsi_login_setup *setup)
{
	memset(login, 0, offsetof(struct iscsi_login, in));
	login->setup = *setup;
	iscsi_negotiate_defaults(&login->params);
}

void iscsi_login_clear(struct iscsi_login *login)
{
	explicit_bzero(login, sizeof(*login));
}

/* Fills the reply from login->flags, status and out. */
static void reply_make(struct iscsi_login *login, struct iscsi_login_reply *reply)
{
	uint8_t *bhs = reply->bhs;

	iscsi_bhs_init(bhs, ISCSI_OP_LOGIN_RESPONSE, login->flags, login->itt);
	bhs[ISCSI_LOGIN_VERSION_MAX] = ISCSI_VERSION;
	bhs[ISCSI_LOGIN_VERSION_ACTIVE] = ISCSI_VERSION;
	memcpy(bhs + ISCSI_LOGIN_ISID, login->isid, sizeof(login->isid));
	be16_put(bhs + ISCSI_LOGIN_TSIH, login->tsih);
	bhs[ISCSI_LOGIN_STATUS_CLASS] = (uint8_t)(login->status >> 8);
	bhs[ISCSI_LOGIN_STATUS_DETAIL] = (uint8_t)login->status;
	memcpy(reply->data, login->out, login->out_length);
	reply->data_length = login->out_length;
	iscsi_bhs_set_data_bytes(bhs, login->out_length);
}

void iscsi_login_refuse(
	struct iscsi_login *login, enum iscsi_login_status status, struct iscsi_login_reply *reply)
{
	login->state = ISCSI_LOGIN_STATE_FAILED;
	login->status = status;
	login->flags &= ISCSI_LOGIN_CSG_MASK;
	login->out_length = 0;
	if (!login->reason[0]) {
		iscsi_login_reason(login, "%s", iscsi_login_status_name(status));
	}
	if (status == ISCSI_LOGIN_MOVED_TEMPORARILY || status == ISCSI_LOGIN_MOVED_PERMANENTLY) {
		/* RFC 7143 13.8: without a portal group tag */
		struct cursor out = cursor_over(login->out, sizeof(login->out));

		iscsi_pair_putf(&out, "TargetAddress", "%s", login->conf_target->redirect.text);
		login->out_length = (uint32_t)out.pos;
	}
	reply_make(login, reply);
}

void iscsi_login_accept(struct iscsi_login *login, uint16_t tsih, struct iscsi_login_reply *reply)
{
	login->state = ISCSI_LOGIN_STATE_FULL_FEATURE;
	login->status = ISCSI_LOGIN_SUCCESS;
	login->tsih = tsih;
	reply_make(login, reply);
	/* The buffers serve Text Requests from here on. */
	login->in_length = login->in_pos = login->out_length = 0;
}

/* Header fields that are given once and have to stay (RFC 7143 11.12). */
static enum iscsi_login_status header_take(struct iscsi_login *login, const uint8_t *bhs)
{
	bool first = login->state == ISCSI_LOGIN_STATE_START;
	uint16_t tsih = be16_get(bhs + ISCSI_LOGIN_TSIH);
	uint16_t cid = be16_get(bhs + ISCSI_LOGIN_CID);
	bool same = memcmp(login->isid, bhs + ISCSI_LOGIN_ISID, 6) == 0 && login->tsih == tsih &&
		    login->cid == cid && login->itt == iscsi_bhs_itt(bhs);

	login->flags = bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_CSG_MASK;
	if (first) {
		memcpy(login->isid, bhs + ISCSI_LOGIN_ISID, sizeof(login->isid));
		login->tsih = tsih;
		login->cid = cid;
		login->itt = iscsi_bhs_itt(bhs);
	}
	if (bhs[ISCSI_LOGIN_VERSION_MIN] > ISCSI_VERSION) {
		iscsi_login_reason(login, "the initiator speaks iSCSI version %u or later, not 0",
			(unsigned)bhs[ISCSI_LOGIN_VERSION_MIN]);
		return ISCSI_LOGIN_UNSUPPORTED_VERSION;
	}
	if (!first && !same) {
		iscsi_login_reason(login, "ISID, TSIH, CID or ITT changed during the login");
		return ISCSI_LOGIN_INITIATOR_ERROR;
	}
	if ((login->isid[0] & 0xc0) == 0xc0) {
		iscsi_login_reason(login, "the ISID is of the reserved type 3");
		return ISCSI_LOGIN_INITIATOR_ERROR;
	}
	if (login->itt == ISCSI_TAG_NONE) {
		iscsi_login_reason(login, "the initiator task tag is the reserved one");
		return ISCSI_LOGIN_INITIATOR_ERROR;
	}
	if (bhs[ISCSI_BHS_AHS_LENGTH] != 0) {
		iscsi_login_reason(login, "a Login Request has no additional header segment");
		return ISCSI_LOGIN_INITIATOR_ERROR;
	}
	return ISCSI_LOGIN_SUCCESS;
}

/* Finds the transition that the request asks for. */
static enum iscsi_login_status stages_take(
	struct iscsi_login *login, const uint8_t *bhs, const struct login_transition **transition)
{
	enum login_event event = event_of(bhs);
	uint8_t flags = bhs[ISCSI_BHS_FLAGS];

	*transition = transition_find(login->state, event);
	if (!*transition) {
		iscsi_login_reason(login, "stage change refused: %s in state %s", event_name(event),
			iscsi_login_state_name(login->state));
		return ISCSI_LOGIN_INITIATOR_ERROR;
	}
	if (flags & ISCSI_LOGIN_CONTINUE && flags & ISCSI_LOGIN_TRANSIT) {
		iscsi_login_reason(login, "C and T are both set");
		return ISCSI_LOGIN_INITIATOR_ERROR;
	}
	login->state = (*transition)->now;
	return ISCSI_LOGIN_SUCCESS;
}

/* Adds a data segment to the initiator's text. */
static enum iscsi_login_status text_take(
	struct iscsi_login *login, const uint8_t *data, uint32_t length)
{
	if (length > ISCSI_DATA_SEGMENT_DEFAULT) {
		iscsi_login_reason(
			login, "%u bytes in one Login Request, 8192 are allowed", (unsigned)length);
		return ISCSI_LOGIN_INITIATOR_ERROR;
	}
	if (login->out_partial && length > 0) {
		iscsi_login_reason(login, "text in answer to a response with C=1");
		return ISCSI_LOGIN_INITIATOR_ERROR;
	}
	if (length > ISCSI_TEXT_IN_MAX - login->in_length) {
		iscsi_login_reason(login, "the text is longer than %u bytes", ISCSI_TEXT_IN_MAX);
		return ISCSI_LOGIN_OUT_OF_RESOURCES;
	}
	if (length > 0) {
		memcpy(login->in + login->in_length, data, length);
		login->in_length += length;
	}
	return ISCSI_LOGIN_SUCCESS;
}

/* The initiator's text is complete: takes it in and answers as much as fits in one response. */
static enum iscsi_login_status text_answer(struct iscsi_login *login, bool *done)
{
	struct cursor out = cursor_over(login->out, sizeof(login->out));
	enum iscsi_login_status status = ISCSI_LOGIN_SUCCESS;

	if (!login->out_partial) {
		status = iscsi_negotiate_scan(login);
	}
	if (status == ISCSI_LOGIN_SUCCESS && !login->first_text_done) {
		status = iscsi_negotiate_admit(login);
		login->first_text_done = true;
		login->auth_done = login->auth_methods & 1u << ISCSI_AUTH_NONE;
	}
	if (status != ISCSI_LOGIN_SUCCESS) {
		return status;
	}
	iscsi_negotiate_declare(login, &out);
	status = iscsi_negotiate_answer(login, &out, done);
	login->out_length = (uint32_t)out.pos;
	login->out_partial = !*done;
	if (*done) {
		login->in_length = login->in_pos = 0;
	}
	return status;
}

/* Nobody leaves the security stage, or leaves it out, without having proved what the target asks.
 */
static enum iscsi_login_status auth_check(
	struct iscsi_login *login, const struct login_transition *transition, bool *granted)
{
	bool method_chosen = login->seen & UINT64_C(1) << ISCSI_KEY_AUTH_METHOD;

	if (login->auth_done || transition->goal == ISCSI_LOGIN_STATE_SECURITY) {
		return ISCSI_LOGIN_SUCCESS;
	}
	*granted = false;
	if (transition->now == ISCSI_LOGIN_STATE_SECURITY && method_chosen) {
		return ISCSI_LOGIN_SUCCESS;
	}
	iscsi_login_reason(login,
		"the target requires authentication, and the initiator offers none; "
		"configure CHAP at the initiator");
	return ISCSI_LOGIN_AUTHENTICATION_FAILED;
}

static enum iscsi_login_status request_take(
	struct iscsi_login *login, const uint8_t *bhs, const uint8_t *data, uint32_t length)
{
	const struct login_transition *transition;
	enum iscsi_login_status status = header_take(login, bhs);
	bool done = false, granted;

	if (status == ISCSI_LOGIN_SUCCESS) {
		status = stages_take(login, bhs, &transition);
	}
	if (status == ISCSI_LOGIN_SUCCESS) {
		status = text_take(login, data, length);
	}
	if (status != ISCSI_LOGIN_SUCCESS) {
		return status;
	}
	login->in_partial = bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_CONTINUE;
	login->out_length = 0;
	if (login->in_partial) {
		return ISCSI_LOGIN_SUCCESS;
	}
	status = text_answer(login, &done);
	granted = done && transition->goal != transition->now;
	if (status == ISCSI_LOGIN_SUCCESS) {
		status = auth_check(login, transition, &granted);
	}
	if (status != ISCSI_LOGIN_SUCCESS) {
		return status;
	}
	if (!done) {
		login->flags |= ISCSI_LOGIN_CONTINUE;
	}
	if (granted) {
		login->flags |= ISCSI_LOGIN_TRANSIT | (bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_NSG_MASK);
		login->state = transition->goal;
	}
	return ISCSI_LOGIN_SUCCESS;
}

enum iscsi_login_step iscsi_login_input(struct iscsi_login *login,
	const uint8_t bhs[ISCSI_BHS_BYTES], const uint8_t *data, uint32_t length,
	struct iscsi_login_reply *reply)
{
	enum iscsi_opcode opcode = iscsi_bhs_opcode(bhs);
	enum iscsi_login_status status;

	if (login->state >= ISCSI_LOGIN_STATE_DECISION) {
		iscsi_login_reason(login, "a PDU came in login state %s",
			iscsi_login_state_name(login->state));
		return ISCSI_LOGIN_DROP;
	}
	/* RFC 7143 6.3: before the first Login Request not a word, after it status 020B */
	if (opcode != ISCSI_OP_LOGIN_REQUEST) {
		iscsi_login_reason(login, "%s (opcode 0x%02x) before the login was complete",
			iscsi_opcode_name(opcode), (unsigned)opcode);
		if (login->state == ISCSI_LOGIN_STATE_START) {
			return ISCSI_LOGIN_DROP;
		}
		iscsi_login_refuse(login, ISCSI_LOGIN_INVALID_REQUEST, reply);
		return ISCSI_LOGIN_FAILED;
	}
	if (++login->pdus > ISCSI_LOGIN_PDUS_MAX) {
		iscsi_login_reason(login, "no end after %u Login Requests", ISCSI_LOGIN_PDUS_MAX);
		iscsi_login_refuse(login, ISCSI_LOGIN_OUT_OF_RESOURCES, reply);
		return ISCSI_LOGIN_FAILED;
	}
	status = request_take(login, bhs, data, length);
	if (login->drop) {
		login->state = ISCSI_LOGIN_STATE_FAILED;
		return ISCSI_LOGIN_DROP;
	}
	if (status != ISCSI_LOGIN_SUCCESS) {
		iscsi_login_refuse(login, status, reply);
		return ISCSI_LOGIN_FAILED;
	}
	if (login->state == ISCSI_LOGIN_STATE_DECISION) {
		iscsi_negotiate_finish(login);
		return ISCSI_LOGIN_FINAL;
	}
	reply_make(login, reply);
	return ISCSI_LOGIN_REPLY;
}
