/* SPDX-License-Identifier: BSD-3-Clause */
/* A configuration and an initiator's side of a login, for the tests of daemon/iscsi. */
#ifndef YOKE_TEST_ISCSI_FIXTURE_H
#define YOKE_TEST_ISCSI_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/iscsi/login.h"
#include "yoke/util.h"

#define HOST1  "iqn.1993-08.org.debian:01:host1"
#define ARRAY1 "iqn.2026-01.org.example:array1"
#define OPEN1  "iqn.2026-01.org.example:open1"
#define OTHER1 "iqn.2026-01.org.example:other1"
#define ANY1   "eui.02004567a425678d"

#define ARRAY1_LIST                                                        \
	"TargetName=" ARRAY1 "\0"                                          \
	"TargetAddress=10.77.1.1:3260,1\0TargetAddress=[fd00::1]:3260,1\0" \
	"TargetAddress=10.77.1.2:3260,2\0"

/* Flags of a Login Request: CSG, and T with NSG. */
enum {
	SECURITY = 0x00,
	SECURITY_TO_OPERATIONAL = 0x81,
	SECURITY_TO_FULL = 0x83,
	OPERATIONAL = 0x04,
	OPERATIONAL_TO_FULL = 0x87,
	CONTINUE = 0x40,
};

struct fixture {
	struct conf conf;
	struct conf_controller controllers[2];
	struct conf_address portals[3];
	struct conf_target targets[4];
	struct conf_initiator_group groups[3];
	struct iscsi_login_setup setup;
	struct iscsi_login login;
	struct iscsi_login_reply reply;
	uint16_t tsih;
	uint32_t itt;
};

static const char *hosts_members[] = {HOST1, "iqn.1991-05.com.microsoft:win-host"};
static const char *other_members[] = {"iqn.1993-08.org.debian:01:other"};
static uint16_t group_hosts[] = {0}, group_other[] = {1}, group_all[] = {1, 2};

static inline void fixture_conf(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->portals[0].text, sizeof(f->portals[0].text), "10.77.1.1:3260");
	snprintf(f->portals[1].text, sizeof(f->portals[1].text), "[fd00::1]:3260");
	snprintf(f->portals[2].text, sizeof(f->portals[2].text), "10.77.1.2:3260");
	f->controllers[0] = (struct conf_controller){
		.name = "a", .id = 1, .portals = &f->portals[0], .portal_count = 2};
	f->controllers[1] = (struct conf_controller){
		.name = "b", .id = 2, .portals = &f->portals[2], .portal_count = 1};
	f->groups[0] = (struct conf_initiator_group){
		.name = "hosts", .initiators = hosts_members, .initiator_count = 2};
	f->groups[1] = (struct conf_initiator_group){
		.name = "other", .initiators = other_members, .initiator_count = 1};
	f->groups[2] = (struct conf_initiator_group){.name = "all"};
	f->targets[0] = (struct conf_target){.name = ARRAY1,
		.alias = "array1",
		.initiator_groups = group_hosts,
		.initiator_group_count = 1};
	f->targets[1] = (struct conf_target){.name = OPEN1};
	f->targets[2] = (struct conf_target){
		.name = OTHER1, .initiator_groups = group_other, .initiator_group_count = 1};
	f->targets[3] = (struct conf_target){
		.name = ANY1, .initiator_groups = group_all, .initiator_group_count = 2};
	f->conf = (struct conf){
		.iscsi = {.max_recv_data_segment_bytes = 1048576,
			.max_burst_bytes = 1048576,
			.first_burst_bytes = 262144,
			.max_outstanding_r2t = 8,
			.command_window = 128,
			.max_connections = 1,
			.immediate_data = true},
		.controllers = f->controllers,
		.controller_count = 2,
		.targets = f->targets,
		.target_count = 4,
		.initiator_groups = f->groups,
		.initiator_group_count = 3,
	};
	f->setup = (struct iscsi_login_setup){
		.conf = &f->conf, .controller = 1, .portal = &f->portals[0]};
	f->itt = 0x11223344;
}

/* Fresh configuration and login. */
static inline void fixture_init(struct fixture *f)
{
	fixture_conf(f);
	iscsi_login_init(&f->login, &f->setup);
}

static inline void request_bhs(
	const struct fixture *f, uint8_t flags, uint32_t length, uint8_t *bhs)
{
	static const uint8_t isid[6] = {0x00, 0x02, 0x3d, 0x01, 0x00, 0x00};

	iscsi_bhs_init(bhs, ISCSI_OP_LOGIN_REQUEST, flags, f->itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	memcpy(bhs + ISCSI_LOGIN_ISID, isid, sizeof(isid));
	be16_put(bhs + ISCSI_LOGIN_TSIH, f->tsih);
	be16_put(bhs + ISCSI_LOGIN_CID, 7);
	iscsi_bhs_set_data_bytes(bhs, length);
}

/* Sends `length` bytes of text from an exact heap copy, so that a sanitizer sees a read past it. */
static inline enum iscsi_login_step send_text(
	struct fixture *f, uint8_t flags, const char *text, size_t length)
{
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint8_t *copy = malloc(length ? length : 1);
	enum iscsi_login_step step;

	assert_non_null(copy);
	memcpy(copy, text, length);
	request_bhs(f, flags, (uint32_t)length, bhs);
	memset(&f->reply, 0xa5, sizeof(f->reply));
	step = iscsi_login_input(&f->login, bhs, copy, (uint32_t)length, &f->reply);
	free(copy);
	return step;
}

/* Pairs in a string literal: each ends with \0, the last one's NUL is the literal's own. */
#define SEND(f, flags, literal) send_text(f, flags, literal, sizeof(literal))
#define SEND_EMPTY(f, flags)	send_text(f, flags, "", 0)

static inline unsigned reply_status(const struct fixture *f)
{
	return be16_get(f->reply.bhs + ISCSI_LOGIN_STATUS_CLASS);
}

static inline const char *reply_value(const struct fixture *f, const char *key)
{
	size_t n = strlen(key);

	for (uint32_t i = 0; i < f->reply.data_length;) {
		const char *pair = (const char *)f->reply.data + i;

		if (strncmp(pair, key, n) == 0 && pair[n] == '=') {
			return pair + n + 1;
		}
		i += (uint32_t)strlen(pair) + 1;
	}
	return NULL;
}

static inline void check_reply(
	const struct fixture *f, uint8_t flags, const char *text, size_t length)
{
	assert_int_equal(f->reply.bhs[ISCSI_BHS_FLAGS], flags);
	assert_int_equal(f->reply.data_length, length);
	assert_int_equal(iscsi_bhs_data_bytes(f->reply.bhs), length);
	assert_memory_equal(f->reply.data, text, length);
	assert_int_equal(iscsi_bhs_itt(f->reply.bhs), f->itt);
}

#define CHECK_REPLY(f, flags, literal) check_reply(f, flags, literal, sizeof(literal))

/* The request must be refused with that status, and nothing come after it. */
static inline void check_refused(struct fixture *f, enum iscsi_login_step step, unsigned status)
{
	assert_int_equal(step, ISCSI_LOGIN_FAILED);
	assert_int_equal(f->reply.bhs[0], ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(reply_status(f), status);
	assert_int_equal(f->reply.bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_TRANSIT, 0);
	assert_int_equal(f->reply.data_length, 0);
	assert_int_equal(f->login.state, ISCSI_LOGIN_STATE_FAILED);
	assert_true(f->login.reason[0]);
	assert_int_equal(SEND_EMPTY(f, SECURITY), ISCSI_LOGIN_DROP);
}

/* A login of HOST1 in one request, as far as full feature phase. */
#define NAMES	  "InitiatorName=" HOST1 "\0TargetName=" ARRAY1 "\0"
#define DISCOVERY "InitiatorName=" HOST1 "\0SessionType=Discovery\0"

#endif
