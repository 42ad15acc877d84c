/* SPDX-License-Identifier: BSD-3-Clause */
/* The interconnect's frames as bytes: golden, and what the decoder refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ha/ship_frame.h"
#include "yoke/util.h"

#define HEADER(type, length)                                                                      \
	0x59, 0x53, 0x48, 0x50, 2, 1, type, 0, 0, 32, 0, 0, 0, 0, 0, length, 0, 0, 0, 0, 0, 0, 0, \
		0x2a, 0, 0, 0, 0, 0, 0, 0x12, 0x34

static const struct ship_hello hello = {
	.refusal = 5,
	.controller = 2,
	.reactor = 1,
	.reactors = 4,
	.window_commands = 0x200,
	.window_bytes = 0x1000000,
	.incarnation = 0x0102030405060708,
	.expected = 0x1112131415161718,
	.digest = {0xd1, 0xd2},
	.cluster = "lab",
};

static const struct scsi_identity who = {
	.initiator = "iqn.h",
	.isid = {0x80, 1, 2, 3, 4, 5},
	.target = "iqn.t",
	.rtpi = 0x0201,
	.controller = 2,
};

static const struct ship_command command = {
	.lu = {0xa0, 0xa1},
	.nexus = 7,
	.attribute = SCSI_ATTR_ORDERED,
	.cdb_length = 6,
	.expected_out_bytes = 0x200,
	.expected_in_bytes = 0x300,
	.out_bytes = 0x200,
	.task_tag = 0x99,
	.cdb = {0x12, 1, 0x83, 0, 0xff, 0},
	.serial = 0x5152535455565758,
	.rerun = true,
};

static const struct ship_result result = {
	.aborted = true,
	.status = SCSI_CHECK_CONDITION,
	.sense_length = 3,
	.in_length = 0x1000,
	.sense = {0x70, 0, 6},
};

static const struct ship_tmf tmf = {.function = SCSI_TMF_LU_RESET, .lu = {0xa0, 0xa1}};

static void put_hello(struct cursor *c)
{
	ship_hello_put(c, &hello);
}

static void put_identity(struct cursor *c)
{
	ship_identity_put(c, &who);
}

static void put_command(struct cursor *c)
{
	ship_command_put(c, &command, SHIP_VERSION);
}

static void put_data(struct cursor *c)
{
	cursor_put_u32(c, 0x10000);
	cursor_put_bytes(c, "data", 4);
}

static void put_result(struct cursor *c)
{
	ship_result_put(c, &result);
}

static void put_tmf(struct cursor *c)
{
	struct ship_tmf with = tmf;

	with.who = who;
	ship_tmf_put(c, &with);
}

static void put_nothing(struct cursor *c)
{
	(void)c;
}

#define HELLO_BYTES                                                                               \
	5, 2, 0, 1, 0, 4, 2, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, \
		0x16, 0x17, 0x18, 0xd1, 0xd2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  \
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 'l', 'a', 'b'
#define IDENTITY_BYTES \
	2, 1, 2, 0x80, 1, 2, 3, 4, 5, 0, 5, 'i', 'q', 'n', '.', 'h', 0, 5, 'i', 'q', 'n', '.', 't'
#define LU_BYTES 0xa0, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define COMMAND_BYTES                                                                              \
	LU_BYTES, 0, 0, 0, 7, 1, 6, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x99, \
		0x12, 1, 0x83, 0, 0xff, 0, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 1
#define DATA_BYTES   0, 1, 0, 0, 'd', 'a', 't', 'a'
#define RESULT_BYTES 2, 2, 3, 0, 0, 0, 0x10, 0, 0x70, 0, 6
#define TMF_BYTES    5, 0, 0, 0, LU_BYTES, IDENTITY_BYTES

#define GOLDEN(t, put_fn, n, ...) \
	[t] = {put_fn, (const uint8_t[]){HEADER(t, n) __VA_OPT__(, ) __VA_ARGS__}, n}

static const struct {
	void (*put)(struct cursor *c);
	const uint8_t *bytes;
	uint32_t payload;
} golden[SHIP_TYPES] = {
	GOLDEN(SHIP_HELLO, put_hello, 65, HELLO_BYTES),
	GOLDEN(SHIP_HELLO_ACK, put_hello, 65, HELLO_BYTES),
	GOLDEN(SHIP_NEXUS, put_identity, 23, IDENTITY_BYTES),
	GOLDEN(SHIP_NEXUS_GONE, put_nothing, 0),
	GOLDEN(SHIP_COMMAND, put_command, 57, COMMAND_BYTES),
	GOLDEN(SHIP_DATA_OUT, put_data, 8, DATA_BYTES),
	GOLDEN(SHIP_DATA_IN, put_data, 8, DATA_BYTES),
	GOLDEN(SHIP_RESULT, put_result, 11, RESULT_BYTES),
	GOLDEN(SHIP_ABORT, put_nothing, 0),
	GOLDEN(SHIP_TMF, put_tmf, 43, TMF_BYTES),
	GOLDEN(SHIP_TMF_DONE, put_nothing, 0),
	GOLDEN(SHIP_PING, put_nothing, 0),
	GOLDEN(SHIP_PONG, put_nothing, 0),
};

static void test_golden(void **state)
{
	(void)state;
	for (unsigned type = 0; type < SHIP_TYPES; type++) {
		uint8_t bytes[256] = {0};
		struct cursor c = cursor_over(bytes, sizeof(bytes));
		struct ship_frame frame;

		if (!ship_type_row(type)) {
			assert_null(golden[type].put);
			continue;
		}
		assert_non_null(golden[type].put);
		ship_frame_put(&c, (enum ship_type)type, golden[type].payload, 0x2a, 0x1234);
		golden[type].put(&c);
		assert_true(cursor_ok(&c));
		assert_int_equal(c.pos, SHIP_HEADER_BYTES + golden[type].payload);
		assert_memory_equal(bytes, golden[type].bytes, c.pos);
		c = cursor_reader(golden[type].bytes, SHIP_HEADER_BYTES + golden[type].payload);
		assert_int_equal(ship_frame_get(&c, &frame), SHIP_FRAME_OK);
		assert_int_equal(frame.type, type);
		assert_int_equal(frame.payload_bytes, golden[type].payload);
		assert_int_equal(frame.epoch, 0x2a);
		assert_int_equal(frame.tag, 0x1234);
	}
}

static bool get_body(unsigned type, struct cursor *c)
{
	struct ship_hello h;
	struct scsi_identity w;
	struct ship_command m;
	struct ship_result r;
	struct ship_tmf t;

	memset(&w, 0, sizeof(w));
	memset(&t, 0, sizeof(t));
	switch (type) {
	case SHIP_HELLO:
	case SHIP_HELLO_ACK:
		return ship_hello_get(c, &h) && h.window_bytes == hello.window_bytes &&
		       strcmp(h.cluster, "lab") == 0 && h.expected == hello.expected;
	case SHIP_NEXUS:
		return ship_identity_get(c, &w) && memcmp(&w, &who, sizeof(w)) == 0;
	case SHIP_COMMAND:
		return ship_command_get(c, &m) && m.cdb[4] == 0xff && m.task_tag == 0x99 &&
		       m.serial == command.serial && m.rerun;
	case SHIP_RESULT:
		return ship_result_get(c, &r) && r.aborted && !r.again && r.sense[2] == 6;
	case SHIP_TMF:
		return ship_tmf_get(c, &t) && strcmp(t.who.target, "iqn.t") == 0;
	}
	return true;
}

/* Every payload decodes to what was put in, and not when one byte is missing or one too many. */
static void test_bodies(void **state)
{
	(void)state;
	for (unsigned type = 1; type < SHIP_TYPES; type++) {
		const uint8_t *body = golden[type].bytes + SHIP_HEADER_BYTES;
		uint32_t n = golden[type].payload;
		uint8_t longer[257];
		struct cursor c = cursor_reader(body, n);

		assert_true(get_body(type, &c));
		if (n == 0 || type == SHIP_DATA_OUT || type == SHIP_DATA_IN) {
			continue;
		}
		for (uint32_t cut = 0; cut < n; cut++) {
			c = cursor_reader(body, cut);
			assert_false(get_body(type, &c));
		}
		memcpy(longer, body, n);
		longer[n] = 0;
		c = cursor_reader(longer, n + 1);
		assert_false(get_body(type, &c));
	}
}

/* A peer of version 1 gets and sends commands without serial; nothing else tells them apart. */
static void test_version_1(void **state)
{
	uint8_t bytes[128];
	struct cursor c = cursor_over(bytes, sizeof(bytes));
	struct ship_command m;

	(void)state;
	ship_command_put(&c, &command, 1);
	assert_int_equal(c.pos, golden[SHIP_COMMAND].payload - 9);
	assert_memory_equal(bytes, golden[SHIP_COMMAND].bytes + SHIP_HEADER_BYTES, c.pos);
	c = cursor_reader(bytes, c.pos);
	assert_true(ship_command_get(&c, &m));
	assert_int_equal(m.serial, 0);
	assert_false(m.rerun);
	assert_int_equal(m.task_tag, command.task_tag);
	/* Flags of no version. */
	memcpy(bytes, golden[SHIP_COMMAND].bytes + SHIP_HEADER_BYTES, golden[SHIP_COMMAND].payload);
	bytes[golden[SHIP_COMMAND].payload - 1] = 2;
	c = cursor_reader(bytes, golden[SHIP_COMMAND].payload);
	assert_false(ship_command_get(&c, &m));
}

static enum ship_frame_error decode(size_t at, uint8_t value, size_t size)
{
	uint8_t bytes[SHIP_HEADER_BYTES];
	struct ship_frame frame;
	struct cursor c = cursor_reader(bytes, size);

	memcpy(bytes, golden[SHIP_PING].bytes, sizeof(bytes));
	bytes[at] = value;
	return ship_frame_get(&c, &frame);
}

static void test_header(void **state)
{
	uint8_t bytes[SHIP_HEADER_BYTES];
	struct ship_frame frame;
	struct cursor c;

	(void)state;
	assert_int_equal(decode(31, 0, 32), SHIP_FRAME_OK);
	for (size_t size = 0; size < SHIP_HEADER_BYTES; size++) {
		assert_int_equal(decode(31, 0, size), SHIP_FRAME_SHORT);
	}
	assert_int_equal(decode(0, 'y', 32), SHIP_FRAME_MAGIC);
	assert_int_equal(decode(4, 0, 32), SHIP_FRAME_HEADER); /* version 0 */
	assert_int_equal(decode(5, 0, 32), SHIP_FRAME_HEADER); /* lowest 0 */
	assert_int_equal(decode(5, 3, 32), SHIP_FRAME_HEADER); /* lowest above version */
	assert_int_equal(decode(6, 0, 32), SHIP_FRAME_TYPE);
	assert_int_equal(decode(6, SHIP_TYPES, 32), SHIP_FRAME_TYPE);
	assert_int_equal(decode(6, 255, 32), SHIP_FRAME_TYPE);
	assert_int_equal(decode(7, 1, 32), SHIP_FRAME_HEADER); /* flags of no version */
	assert_int_equal(decode(9, 31, 32), SHIP_FRAME_HEADER);
	assert_int_equal(decode(9, 40, 32), SHIP_FRAME_HEADER); /* version 2 has 32 */
	assert_int_equal(decode(11, 1, 32), SHIP_FRAME_HEADER);
	assert_int_equal(decode(12, 0xff, 32), SHIP_FRAME_LENGTH);
	assert_int_equal(decode(15, 1, 32), SHIP_FRAME_LENGTH);

	/* A later version: readable if it says so, with a longer header; not with an unknown type.
	 */
	memcpy(bytes, golden[SHIP_PING].bytes, sizeof(bytes));
	bytes[4] = 3;
	bytes[9] = 64;
	bytes[7] = 0x80;
	c = cursor_reader(bytes, sizeof(bytes));
	assert_int_equal(ship_frame_get(&c, &frame), SHIP_FRAME_OK);
	assert_int_equal(frame.header_bytes, 64);
	bytes[6] = 99;
	c = cursor_reader(bytes, sizeof(bytes));
	assert_int_equal(ship_frame_get(&c, &frame), SHIP_FRAME_NEWER);
	bytes[6] = SHIP_PING;
	bytes[5] = 3;
	c = cursor_reader(bytes, sizeof(bytes));
	assert_int_equal(ship_frame_get(&c, &frame), SHIP_FRAME_NEWER);
	bytes[5] = 1;
	bytes[8] = 0xff;
	c = cursor_reader(bytes, sizeof(bytes));
	assert_int_equal(ship_frame_get(&c, &frame), SHIP_FRAME_HEADER);
}

/* Lengths and values in bodies that must not be believed. */
static void test_lies(void **state)
{
	struct {
		unsigned type;
		size_t at;
		uint8_t value;
	} lies[] = {
		{SHIP_HELLO, 60, 0xff}, /* name beyond the payload */
		{SHIP_NEXUS, 2, 3}, /* no such controller */
		{SHIP_NEXUS, 0, 1}, /* RTPI of the other one */
		{SHIP_NEXUS, 9, 1}, /* name longer than there is */
		{SHIP_NEXUS, 12, 0}, /* NUL in a name */
		{SHIP_COMMAND, 20, 9}, /* attribute */
		{SHIP_COMMAND, 21, 65}, /* CDB longer than the longest */
		{SHIP_COMMAND, 21, 5}, /* and one that leaves a byte */
		{SHIP_COMMAND, 30, 0xff}, /* more data-out than any buffer holds */
		{SHIP_RESULT, 0, 0x80}, /* flag of no version */
		{SHIP_RESULT, 2, 200}, /* sense longer than the longest */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		uint8_t body[256];
		struct cursor c = cursor_reader(body, golden[lies[i].type].payload);

		memcpy(body, golden[lies[i].type].bytes + SHIP_HEADER_BYTES,
			golden[lies[i].type].payload);
		body[lies[i].at] = lies[i].value;
		assert_false(get_body(lies[i].type, &c));
	}
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned type = 1; type < SHIP_TYPES; type++) {
		assert_string_not_equal(ship_type_name(type), "?");
	}
	assert_string_equal(ship_type_name(0), "?");
	assert_string_equal(ship_type_name(SHIP_TYPES), "?");
	for (unsigned e = SHIP_FRAME_OK; e <= SHIP_FRAME_LENGTH; e++) {
		assert_string_not_equal(ship_frame_error_name((enum ship_frame_error)e), "?");
	}
	for (unsigned r = 0; r <= SHIP_REFUSE_RESOURCES; r++) {
		assert_string_not_equal(ship_refusal_name(r), "?");
	}
	assert_string_equal(ship_refusal_name(200), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
