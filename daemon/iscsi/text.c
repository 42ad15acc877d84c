/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/text.h"

#include "daemon/iscsi/names.h"
#include "daemon/iscsi/negotiate.h"

#define KEY_BIT(key) (UINT64_C(1) << (key))

const char *iscsi_text_step_name(enum iscsi_text_step step)
{
	switch (step) {
	case ISCSI_TEXT_REPLY:
		return "reply";
	case ISCSI_TEXT_REJECT:
		return "reject";
	case ISCSI_TEXT_DROP:
		return "drop";
	}
	return "unknown step";
}

void iscsi_text_init(struct iscsi_text *text)
{
	*text = (struct iscsi_text){.next_ttt = 1};
}

/* Forgets the negotiation under way, and what it has not brought into force. */
static void text_reset(struct iscsi_text *text, struct iscsi_login *login)
{
	*text = (struct iscsi_text){.next_ttt = text->next_ttt};
	login->in_length = login->in_pos = 0;
	login->out_partial = false;
}

/* Why a key may not stand in a Text Request; NULL when it may. */
static const char *misplaced(
	const struct iscsi_text *text, enum iscsi_key key, const struct iscsi_pair *pair)
{
	const struct iscsi_key_row *row = iscsi_key_row(key);

	if (row->flags & ISCSI_KEYF_TARGET) {
		return "only a target declares it";
	}
	if (row->use != ISCSI_USE_ALL && row->use != ISCSI_USE_FFPO) {
		return "it belongs to the login";
	}
	if (text->seen & KEY_BIT(key)) {
		return "it came twice in one negotiation";
	}
	if (text->seen & KEY_BIT(ISCSI_KEY_SEND_TARGETS) ||
		(key == ISCSI_KEY_SEND_TARGETS && text->seen)) {
		return "SendTargets stands alone";
	}
	if (pair->value_length > ISCSI_VALUE_MAX) {
		return "its value is longer than 255 bytes";
	}
	return NULL;
}

/* RFC 7143 appendix C. False when this kind of session does not answer that form. */
static bool list_start(
	struct iscsi_text *text, const struct iscsi_login *login, const struct iscsi_pair *pair)
{
	const struct conf *conf = login->setup.conf;
	const struct conf_target *target = login->conf_target;
	char name[ISCSI_NAME_MAX];

	if (iscsi_pair_value_is(pair, "All")) {
		if (!login->params.discovery) {
			return false;
		}
		iscsi_discovery_start(&text->list, conf, NULL);
		return true;
	}
	if (pair->value_length == 0) {
		if (!target) {
			return false;
		}
		iscsi_discovery_start(&text->list, conf, target);
		return true;
	}
	if (!iscsi_name_normalize(pair->value, pair->value_length, name, NULL)) {
		return false;
	}
	target = iscsi_target_find(conf, name);
	/* One that is not there, not visible, or not this normal session's own: an empty list. */
	if (target && (login->params.discovery || target == login->conf_target)) {
		iscsi_discovery_start(&text->list, conf, target);
	}
	return true;
}

/* Reads all of the initiator's text once; false with login->reason when it is refused. */
static bool text_scan(struct iscsi_text *text, struct iscsi_login *login)
{
	struct cursor in = cursor_reader(login->in, login->in_length);
	enum iscsi_pair_result found;
	struct iscsi_pair pair;
	const char *why = NULL;

	while ((found = iscsi_pair_next(&in, &pair, &why)) == ISCSI_PAIR_FOUND) {
		enum iscsi_key key = iscsi_key_find(pair.key, pair.key_length);

		if (iscsi_key_value_reserved(&pair)) {
			why = "its value is an answer, and nothing was asked";
		} else if (key < ISCSI_KEYS) {
			why = misplaced(text, key, &pair);
			text->seen |= KEY_BIT(key);
		}
		if (!why && key == ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH &&
			!iscsi_key_declared_number(
				iscsi_key_row(key), &pair, &text->send_max_bytes)) {
			why = "its value is not a number from 512 to 16777215";
		}
		if (why) {
			iscsi_login_reason(login, "key %.*s refused in a Text Request: %s",
				(int)pair.key_length, pair.key, why);
			return false;
		}
		if (key == ISCSI_KEY_INITIATOR_ALIAS) {
			iscsi_negotiate_alias(login, &pair);
		}
	}
	if (found == ISCSI_PAIR_BAD) {
		iscsi_login_reason(login, "malformed text: %s", why);
	}
	return found == ISCSI_PAIR_END;
}

/* Answers one pair; false when the answer does not fit. */
static bool pair_answer(struct iscsi_text *text, struct iscsi_login *login,
	const struct iscsi_pair *pair, struct cursor *out)
{
	enum iscsi_key key = iscsi_key_find(pair->key, pair->key_length);

	if (key == ISCSI_KEYS) {
		return iscsi_pair_put(out, pair->key, pair->key_length, "NotUnderstood");
	}
	if (key == ISCSI_KEY_SEND_TARGETS && !list_start(text, login, pair)) {
		return iscsi_pair_put(out, pair->key, pair->key_length, "Reject");
	}
	return true;
}

/* Answers as much as fits; true when nothing is left to say. */
static bool text_answer(struct iscsi_text *text, struct iscsi_login *login, struct cursor *out)
{
	const struct iscsi_visitor visitor = {login->initiator, login->setup.peer};
	struct cursor in = cursor_reader(login->in, login->in_length);
	struct iscsi_pair pair;
	const char *why;

	in.pos = login->in_pos;
	while (iscsi_pair_next(&in, &pair, &why) == ISCSI_PAIR_FOUND) {
		if (!pair_answer(text, login, &pair, out)) {
			return false;
		}
		login->in_pos = (uint32_t)in.pos;
	}
	iscsi_discovery_next(&text->list, login->setup.conf, &visitor, out);
	return !text->list.active;
}

static void reply_make(struct iscsi_text *text, const uint8_t *bhs, uint8_t flags, uint32_t length,
	struct iscsi_login_reply *reply)
{
	bool final = flags & ISCSI_FLAG_FINAL;

	text->active = !final;
	text->itt = iscsi_bhs_itt(bhs);
	text->ttt = final ? ISCSI_TAG_NONE : text->next_ttt;
	if (!final && ++text->next_ttt == ISCSI_TAG_NONE) {
		text->next_ttt = 1;
	}
	iscsi_bhs_init(reply->bhs, ISCSI_OP_TEXT_RESPONSE, flags, text->itt);
	memcpy(reply->bhs + ISCSI_BHS_LUN, bhs + ISCSI_BHS_LUN, 8);
	be32_put(reply->bhs + ISCSI_BHS_TTT, text->ttt);
	iscsi_bhs_set_data_bytes(reply->bhs, length);
	reply->data_length = length;
}

/* Does the request go on with the negotiation under way, or start one? 0, or a Reject reason. */
static uint8_t request_check(
	struct iscsi_text *text, struct iscsi_login *login, const uint8_t *bhs, uint32_t length)
{
	uint32_t ttt = iscsi_bhs_ttt(bhs);

	if (ttt == ISCSI_TAG_NONE) {
		text_reset(text, login); /* RFC 7143 11.10.4 */
	} else if (!text->active || ttt != text->ttt || iscsi_bhs_itt(bhs) != text->itt) {
		iscsi_login_reason(login, "Text Request with a transfer tag that is not the last");
		return ISCSI_REJECT_FIELD;
	}
	if (login->out_partial && length > 0) {
		iscsi_login_reason(login, "text in answer to a Text Response with C=1");
		return ISCSI_REJECT_PROTOCOL;
	}
	if (length > ISCSI_TEXT_IN_MAX - login->in_length) {
		iscsi_login_reason(login, "the text is longer than %u bytes", ISCSI_TEXT_IN_MAX);
		return ISCSI_REJECT_LONG_OPERATION;
	}
	return 0;
}

static uint8_t request_take(struct iscsi_text *text, struct iscsi_login *login, const uint8_t *bhs,
	const uint8_t *data, uint32_t length, struct iscsi_login_reply *reply)
{
	uint32_t room = login->params.send_max_bytes < sizeof(reply->data)
				? login->params.send_max_bytes
				: (uint32_t)sizeof(reply->data);
	struct cursor out = cursor_over(reply->data, room);
	uint8_t flags = 0, reason = request_check(text, login, bhs, length);

	if (reason) {
		return reason;
	}
	if (length > 0) {
		memcpy(login->in + login->in_length, data, length);
		login->in_length += length;
	}
	if (bhs[ISCSI_BHS_FLAGS] & ISCSI_TEXT_CONTINUE) {
		reply_make(text, bhs, 0, 0, reply);
		return 0;
	}
	if (!login->out_partial && !text_scan(text, login)) {
		return ISCSI_REJECT_PROTOCOL;
	}
	login->out_partial = !text_answer(text, login, &out);
	if (login->out_partial) {
		flags = ISCSI_TEXT_CONTINUE;
	} else {
		flags = bhs[ISCSI_BHS_FLAGS] & ISCSI_FLAG_FINAL;
		login->in_length = login->in_pos = 0;
	}
	reply_make(text, bhs, flags, (uint32_t)out.pos, reply);
	if (flags & ISCSI_FLAG_FINAL) {
		if (text->send_max_bytes) {
			login->params.send_max_bytes = text->send_max_bytes;
		}
		text_reset(text, login);
	}
	return 0;
}

enum iscsi_text_step iscsi_text_input(struct iscsi_text *text, struct iscsi_login *login,
	const uint8_t bhs[ISCSI_BHS_BYTES], const uint8_t *data, uint32_t length,
	struct iscsi_login_reply *reply, enum iscsi_reject_reason *reject_reason)
{
	uint8_t reason;

	if (login->state != ISCSI_LOGIN_STATE_FULL_FEATURE ||
		iscsi_bhs_opcode(bhs) != ISCSI_OP_TEXT_REQUEST) {
		iscsi_login_reason(login, "%s in login state %s where a Text Request was due",
			iscsi_opcode_name(iscsi_bhs_opcode(bhs)),
			iscsi_login_state_name(login->state));
		return ISCSI_TEXT_DROP;
	}
	if (bhs[ISCSI_BHS_FLAGS] & ISCSI_TEXT_CONTINUE && iscsi_bhs_final(bhs)) {
		iscsi_login_reason(login, "a Text Request has both C and F set");
		return ISCSI_TEXT_DROP;
	}
	reason = request_take(text, login, bhs, data, length, reply);
	if (reason) {
		text_reset(text, login);
		*reject_reason = (enum iscsi_reject_reason)reason;
		return ISCSI_TEXT_REJECT;
	}
	return ISCSI_TEXT_REPLY;
}
