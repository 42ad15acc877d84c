/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes of the CPG messages: golden, round trip, and everything that must be refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ha/machine.h"
#include "yoke/cursor.h"

static struct message_state said, room;
static uint8_t bytes[MESSAGE_BYTES_MAX];

static struct message_ledger sample_ledger(enum message_type type)
{
	struct message_ledger ledger = {0};

	if (type == MESSAGE_LEDGER || type == MESSAGE_ACK || type == MESSAGE_SNAPSHOT) {
		ledger.index = 0x1112131415161718;
		ledger.digest = 0x21222324;
	}
	if (type == MESSAGE_ACK || type == MESSAGE_LEDGER) {
		ledger.applied = 0x3132333435363738;
	}
	if (type == MESSAGE_ACK) {
		ledger.flags = MESSAGE_KEPT;
	} else if (type == MESSAGE_SNAPSHOT) {
		ledger.part = 0x41424344;
		ledger.flags = MESSAGE_LAST;
	}
	if (type == MESSAGE_ENTRY || type == MESSAGE_SNAPSHOT) {
		ledger.bytes = (const uint8_t *)"bytes";
		ledger.length = 5;
	}
	if (type == MESSAGE_ENTRY) {
		memset(ledger.lu, 0xa5, sizeof(ledger.lu));
	}
	return ledger;
}

static struct message sample(enum message_type type)
{
	said = (struct message_state){.in_sync = true,
		.pids = {0, 4711, 4712},
		.link = true,
		.sessions = 3,
		.group_count = 2};
	memset(said.digest, 0xd5, sizeof(said.digest));
	said.groups[0] = (struct message_group){.epoch = 7,
		.top = 9,
		.owner = 1,
		.preferred = 2,
		.phase = PHASE_PREPARING,
		.target = 2,
		.waiting = HA_BIT(1),
		.flags = MESSAGE_STARTED | MESSAGE_HEALTHY,
		.table = 5};
	said.groups[1] = (struct message_group){.phase = PHASE_IDLE, .flags = MESSAGE_HEALTHY};
	return (struct message){.type = type,
		.sender = 2,
		.incarnation = 0x1122334455667788,
		.group = 3,
		.epoch = 0x0102030405060708,
		.op = 42,
		.controller = type == MESSAGE_OFFER || type == MESSAGE_MOVE ||
			      type == MESSAGE_RESYNC || type == MESSAGE_PORTALS ||
			      type >= MESSAGE_CONF_PROPOSE,
		.seconds = type == MESSAGE_DRILL ? 5 : 0,
		.digest = {type >= MESSAGE_CONF_PROPOSE && type <= MESSAGE_CONF_CANCEL ? 0xd1 : 0},
		.text = {type == MESSAGE_CONF_REFUSE ? 'w' : 0},
		.reason = type == MESSAGE_ROLLBACK ? REASON_STATE : REASON_TIMEOUT,
		.state = type == MESSAGE_STATE || type == MESSAGE_STATUS ? &said : NULL,
		.blob = type == MESSAGE_HOSTS ? (const uint8_t *)"hosts" : NULL,
		.blob_length = type == MESSAGE_HOSTS ? 5 : 0,
		.ledger = sample_ledger(type)};
}

static void test_golden(void **state)
{
	static const uint8_t golden[] = {
		/* clang-format off */
		0x59, 0x6f, 0x6b, 0x65,  0x00, 0x02, 0x00, 0x01,  0x00, 0x08, 0x02, 0x00,
		0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,  0x00, 0x03, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x01,  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x2a,  0x01,
		/* clang-format on */
	};
	static const uint8_t payload[] = {
		/* clang-format off */
		0x01, 0x01,  0x00, 0x00, 0x12, 0x67,  0x00, 0x00, 0x12, 0x68,
		0x00, 0x00, 0x00, 0x03,  0x00, 0x02,
		0, 0, 0, 0, 0, 0, 0, 7,  0, 0, 0, 0, 0, 0, 0, 9,
		1, 2, 4, 2, 2, 3,  0, 0, 0, 5,
		0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 1, 0, 0, 2,  0, 0, 0, 0,
		/* clang-format on */
	};
	struct message msg = sample(MESSAGE_ROLLBACK);

	assert_int_equal(message_encode(&msg, bytes, sizeof(bytes)), sizeof(golden));
	assert_memory_equal(bytes, golden, sizeof(golden));
	msg = sample(MESSAGE_STATE);
	assert_int_equal(message_encode(&msg, bytes, sizeof(bytes)),
		MESSAGE_HEADER_BYTES + 32 + sizeof(payload));
	assert_memory_equal(bytes + MESSAGE_HEADER_BYTES + 32, payload, sizeof(payload));
}

/* The payloads of the ledger, byte by byte. */
static void test_golden_ledger(void **state)
{
#define INDEX  0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18
#define DIGEST 0x21, 0x22, 0x23, 0x24
#define LU     0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5
	static const struct {
		enum message_type type;
		size_t size;
		uint8_t bytes[32];
	} golden[] = {
		/* clang-format off */
		{MESSAGE_LEDGER, 20, {INDEX, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, DIGEST}},
		{MESSAGE_ENTRY, 21, {LU, LU, 'b', 'y', 't', 'e', 's'}},
		{MESSAGE_ACK, 21, {INDEX, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, DIGEST, 1}},
		{MESSAGE_SNAPSHOT, 22, {INDEX, DIGEST, 0x41, 0x42, 0x43, 0x44, 1, 'b', 'y', 't', 'e', 's'}},
		{MESSAGE_RESYNC, 1, {1}},
		{MESSAGE_DRILL, 3, {1, 0, 5}},
		/* clang-format on */
	};
	struct message msg = sample(MESSAGE_LOADED), got;

	assert_int_equal(message_encode(&msg, bytes, sizeof(bytes)), MESSAGE_HEADER_BYTES);
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		size_t size = MESSAGE_HEADER_BYTES + golden[i].size;

		msg = sample(golden[i].type);
		assert_int_equal(message_encode(&msg, bytes, sizeof(bytes)), size);
		assert_memory_equal(bytes + MESSAGE_HEADER_BYTES, golden[i].bytes, golden[i].size);
	}
	/* Flags of no version, an entry that is too long. */
	msg = sample(MESSAGE_ACK);
	msg.ledger.flags = 2;
	assert_int_equal(message_decode(bytes, (size_t)message_encode(&msg, bytes, sizeof(bytes)),
				 &got, &room),
		-EBADMSG);
	/* The longest entry fits, a longer one is refused. */
	msg = sample(MESSAGE_ENTRY);
	msg.ledger.bytes = calloc(1, LEDGER_ENTRY_BYTES_MAX + 1);
	msg.ledger.length = LEDGER_ENTRY_BYTES_MAX;
	assert_int_equal(message_decode(bytes, (size_t)message_encode(&msg, bytes, sizeof(bytes)),
				 &got, &room),
		0);
	msg.ledger.length++;
	assert_int_equal(message_decode(bytes, (size_t)message_encode(&msg, bytes, sizeof(bytes)),
				 &got, &room),
		-EBADMSG);
	free((void *)(uintptr_t)msg.ledger.bytes);
}

static void same(const struct message *a, const struct message *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->sender, b->sender);
	assert_int_equal(a->incarnation, b->incarnation);
	assert_int_equal(a->group, b->group);
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(a->op, b->op);
	assert_int_equal(a->controller, b->controller);
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(!a->state, !b->state);
	assert_int_equal(a->ledger.index, b->ledger.index);
	assert_int_equal(a->ledger.applied, b->ledger.applied);
	assert_int_equal(a->ledger.digest, b->ledger.digest);
	assert_int_equal(a->ledger.part, b->ledger.part);
	assert_int_equal(a->ledger.flags, b->ledger.flags);
	assert_memory_equal(a->ledger.lu, b->ledger.lu, 16);
	assert_int_equal(a->blob_length, b->blob_length);
	assert_memory_equal(a->blob ? a->blob : (const uint8_t *)"",
		b->blob ? b->blob : (const uint8_t *)"", a->blob_length);
	assert_int_equal(a->ledger.length, b->ledger.length);
	assert_memory_equal(a->ledger.bytes ? a->ledger.bytes : (const uint8_t *)"",
		b->ledger.bytes ? b->ledger.bytes : (const uint8_t *)"", a->ledger.length);
	assert_memory_equal(a->digest, b->digest, sizeof(a->digest));
	assert_string_equal(a->text, b->text);
}

static void test_every_type(void **state)
{
	for (int type = 1; type < MESSAGE_TYPES; type++) {
		struct message msg = sample((enum message_type)type), got;
		int length = message_encode(&msg, bytes, sizeof(bytes));
		assert_true(length >= MESSAGE_HEADER_BYTES);
		assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), 0);
		same(&msg, &got);
		/* No room, one byte short, one byte long: each is refused at every length. */
		for (int n = 0; n < length; n++) {
			assert_int_equal(message_encode(&msg, bytes, (size_t)n), -EMSGSIZE);
		}
		message_encode(&msg, bytes, sizeof(bytes));
		for (int n = 0; n < length; n++) {
			assert_int_equal(message_decode(bytes, (size_t)n, &got, &room), -EBADMSG);
		}
		bytes[length] = 0;
		assert_int_equal(message_decode(bytes, (size_t)length + 1, &got, &room), -EBADMSG);
		/* A length field that lies; where it decides about the length it is the truth. */
		be32_put(bytes + 24, (uint32_t)(length - MESSAGE_HEADER_BYTES + 1));
		assert_int_equal(message_decode(bytes, (size_t)length + 1, &got, &room),
			type == MESSAGE_ENTRY || type == MESSAGE_SNAPSHOT || type == MESSAGE_HOSTS
				? 0
				: -EBADMSG);
		be32_put(bytes + 24, 0xffffffff);
		assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), -EBADMSG);
	}
}

static void test_state_content(void **state)
{
	struct message msg = sample(MESSAGE_STATE), got;
	int length = message_encode(&msg, bytes, sizeof(bytes));

	assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), 0);
	assert_true(room.in_sync && room.link);
	assert_int_equal(room.sessions, 3);
	assert_int_equal(room.pids[1], 4711);
	assert_memory_equal(room.digest, said.digest, 32);
	assert_int_equal(room.groups[0].top, 9);
	assert_int_equal(room.groups[0].phase, PHASE_PREPARING);
	assert_int_equal(room.groups[0].table, 5);
	assert_int_equal(room.groups[1].flags, MESSAGE_HEALTHY);
}

static void test_versions(void **state)
{
	struct message msg = sample(MESSAGE_COMMIT), got;
	int length = message_encode(&msg, bytes, sizeof(bytes));

	be16_put(bytes + 4, 9); /* a newer sender that can still speak ours */
	assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), 0);
	be16_put(bytes + 6, 3); /* ... that cannot */
	assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), -ENOTSUP);
	be16_put(bytes + 6, 1);
	for (unsigned type = 0; type < 0x10000; type++) {
		be16_put(bytes + 8, (uint16_t)type);
		if (type == 0 || type >= MESSAGE_TYPES) {
			assert_int_equal(
				message_decode(bytes, (size_t)length, &got, &room), -ENOTSUP);
		}
	}
}

/* One byte of a good STATE set to a bad value. */
static void test_out_of_range(void **state)
{
	const size_t group = MESSAGE_HEADER_BYTES + 32 + 16;
	const struct {
		size_t at;
		uint8_t value;
	} bad[] = {
		{0, 'X'}, {10, 0}, {10, 3}, {group + 16, 3}, {group + 17, 3},
		{group + 18, PHASE_COUNT}, {group + 19, 3}, {group + 20, 0xff},
		{group, 1}, /* epoch above top */
		{MESSAGE_HEADER_BYTES + 32 + 14, 0xff}, /* 65,282 groups */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct message msg = sample(MESSAGE_STATE), got;
		int length = message_encode(&msg, bytes, sizeof(bytes));

		bytes[bad[i].at] = bad[i].value;
		assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), -EBADMSG);
	}
	for (int type = MESSAGE_ROLLBACK; type <= MESSAGE_MOVE; type++) {
		struct message msg = sample((enum message_type)type), got;
		int length = message_encode(&msg, bytes, sizeof(bytes));

		if (length > MESSAGE_HEADER_BYTES) {
			bytes[MESSAGE_HEADER_BYTES] = 77;
			assert_int_equal(
				message_decode(bytes, (size_t)length, &got, &room), -EBADMSG);
		}
	}
}

/* What the other one says goes to logs and terminals. */
static void test_texts(void **state)
{
	struct message msg = sample(MESSAGE_CONF_REFUSE), got;
	int length;

	snprintf(msg.text, sizeof(msg.text), "a\x1b[2Jb\nc\x7f");
	length = message_encode(&msg, bytes, sizeof(bytes));
	assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), 0);
	assert_string_equal(got.text, "a?[2Jb\nc?");
	memset(msg.text, 'x', sizeof(msg.text));
	length = message_encode(&msg, bytes, sizeof(bytes));
	assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), 0);
	assert_int_equal(strlen(got.text), MESSAGE_TEXT_BYTES - 1);
	be16_put(bytes + MESSAGE_HEADER_BYTES + 33, MESSAGE_TEXT_BYTES);
	assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), -EBADMSG);
	bytes[MESSAGE_HEADER_BYTES] = 3; /* no such controller */
	assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), -EBADMSG);
}

static void test_full(void **state)
{
	struct message msg = sample(MESSAGE_STATE), got;
	int length;

	said.group_count = MESSAGE_GROUPS_MAX;
	length = message_encode(&msg, bytes, sizeof(bytes));
	assert_true(length > 0);
	assert_int_equal(message_decode(bytes, (size_t)length, &got, &room), 0);
	assert_int_equal(room.group_count, MESSAGE_GROUPS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_golden_ledger),
		cmocka_unit_test(test_every_type),
		cmocka_unit_test(test_state_content),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_out_of_range),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
