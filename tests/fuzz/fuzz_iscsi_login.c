/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Login and Text Requests from a hostile initiator. The input is a row of PDUs: 8 bytes (opcode,
 * flags, tag, ISID, TSIH, transfer tag, length of the text, big-endian), then the text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/iscsi/login.h"
#include "daemon/iscsi/text.h"
#include "tests/fuzz/drive.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

static struct conf_address portals[2] = {{.text = "10.77.1.1:3260"}, {.text = "[fd00::1]:3260"}};
static struct conf_controller controllers[2] = {
	{.name = "a", .id = 1, .portals = &portals[0], .portal_count = 1},
	{.name = "b", .id = 2, .portals = &portals[1], .portal_count = 1}};
static const char *members[] = {"iqn.2026-01.org.example:host"};
static const char *users[] = {"u"};
static struct conf_initiator_group groups[] = {
	{.name = "hosts", .initiators = members, .initiator_count = 1},
	{.name = "proved", .auth = CONF_AUTH_MUTUAL, .users = users, .user_count = 1}};
static uint16_t group_list[] = {0}, group_proved[] = {1};
static struct conf_user people[] = {
	{.name = "u", .secret = "s", .peer_name = "p", .peer_secret = "t"}};
static const struct conf_secrets secrets = {.users = people, .user_count = 1};
static struct conf_target targets[] = {
	{.name = "iqn.2026-01.org.example:a", .alias = "a"},
	{.name = "iqn.2026-01.org.example:b",
		.initiator_groups = group_list,
		.initiator_group_count = 1},
	{.name = "iqn.2026-01.org.example:c",
		.initiator_groups = group_proved,
		.initiator_group_count = 1},
};
static const struct conf conf = {
	.iscsi = {.max_recv_data_segment_bytes = 262144,
		.max_burst_bytes = 1048576,
		.first_burst_bytes = 65536,
		.max_outstanding_r2t = 4,
		.max_connections = 3,
		.immediate_data = true,
		.header_digest = true},
	.controllers = controllers,
	.controller_count = 2,
	.targets = targets,
	.target_count = 3,
	.initiator_groups = groups,
	.initiator_group_count = 2,
};

/* Always the same challenge, so that an input can hold the response to it. */
static bool random_known(void *bytes, size_t size)
{
	memset(bytes, 'r', size);
	return true;
}

/* What must hold whatever came in. */
static void check(bool good)
{
	if (!good) {
		abort();
	}
}

static void check_params(const struct iscsi_params *params)
{
	check(params->send_max_bytes >= 512 && params->send_max_bytes <= 16777215);
	check(params->max_burst_bytes >= 512 && params->max_burst_bytes <= 1048576);
	check(params->first_burst_bytes >= 512);
	check(params->first_burst_bytes <= params->max_burst_bytes);
	check(params->max_outstanding_r2t >= 1 && params->max_outstanding_r2t <= 4);
	check(params->max_connections >= 1 && params->max_connections <= 3 &&
		params->error_recovery_level == 0);
}

/* One PDU of the input; false when there is none left. */
static bool pdu_next(struct cursor *in, uint8_t *bhs, uint8_t **text, uint32_t *length)
{
	uint8_t opcode = cursor_get_u8(in), flags = cursor_get_u8(in);
	uint8_t tag = cursor_get_u8(in), isid = cursor_get_u8(in), tsih = cursor_get_u8(in);
	uint8_t ttt = cursor_get_u8(in);
	uint16_t want = cursor_get_u16(in);
	const uint8_t *from;

	if (!cursor_ok(in)) {
		return false;
	}
	*length = want < cursor_left(in) ? want : (uint32_t)cursor_left(in);
	from = cursor_take(in, *length);
	*text = malloc(*length + 1u);
	if (!*text) {
		return false;
	}
	memcpy(*text, from, *length);
	iscsi_bhs_init(bhs, (enum iscsi_opcode)opcode, flags, tag);
	bhs[ISCSI_LOGIN_ISID] = isid;
	bhs[ISCSI_LOGIN_TSIH + 1] = tsih;
	if ((opcode & ISCSI_OPCODE_MASK) == ISCSI_OP_TEXT_REQUEST) {
		be32_put(bhs + ISCSI_BHS_TTT, ttt ? ttt : ISCSI_TAG_NONE);
	}
	iscsi_bhs_set_data_bytes(bhs, *length);
	return true;
}

static bool pdu_login(struct iscsi_login *login, struct iscsi_login_reply *reply,
	const uint8_t *bhs, const uint8_t *text, uint32_t length)
{
	switch (iscsi_login_input(login, bhs, text, length, reply)) {
	case ISCSI_LOGIN_FINAL:
		check_params(&login->params);
		check(login->initiator[0] && (login->params.discovery || login->target[0]));
		check(login->params.discovery || login->conf_target != &targets[2] ||
			login->chap.user == &people[0]);
		iscsi_login_accept(login, 1, reply);
		break;
	case ISCSI_LOGIN_REPLY:
		check(login->status == ISCSI_LOGIN_SUCCESS);
		break;
	case ISCSI_LOGIN_FAILED:
		check(login->status >= 0x0100 && login->reason[0] && reply->data_length == 0);
		return false;
	case ISCSI_LOGIN_DROP:
		check(login->reason[0]);
		return false;
	}
	check(reply->data_length <= sizeof(reply->data));
	check(reply->data_length == 0 || reply->data[reply->data_length - 1] == 0);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct iscsi_login login;
	static struct iscsi_login_reply reply;
	const struct iscsi_login_setup setup = {.conf = &conf,
		.controller = 1,
		.portal = &portals[0],
		.secrets = &secrets,
		.random = random_known};
	struct cursor in = cursor_reader(data, size);
	struct iscsi_text negotiation;
	enum iscsi_reject_reason reason;
	uint8_t bhs[ISCSI_BHS_BYTES], *text;
	uint32_t length;
	bool on = true;

	iscsi_login_init(&login, &setup);
	iscsi_text_init(&negotiation);
	while (on && pdu_next(&in, bhs, &text, &length)) {
		if (login.state == ISCSI_LOGIN_STATE_FULL_FEATURE) {
			on = iscsi_text_input(&negotiation, &login, bhs, text, length, &reply,
				     &reason) != ISCSI_TEXT_DROP;
			check_params(&login.params);
			check(reply.data_length <= sizeof(reply.data));
		} else {
			on = pdu_login(&login, &reply, bhs, text, length);
		}
		free(text);
	}
	iscsi_login_clear(&login);
	return 0;
}

const struct fuzz_target fuzz_target = {
	.corpus = "iscsi_login", .every_cut = true, .mutations = 200};
