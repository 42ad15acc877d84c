/* SPDX-License-Identifier: BSD-3-Clause */
/* REPORT TARGET PORT GROUPS, and what each access state lets through. */
#include "scsi_rig.h"

static struct rig *rig;
static struct rig_task t;

static int setup(void **state)
{
	rig = rig_new(1, 16 << 20);
	rig_serve(rig);
	return 0;
}

static int teardown(void **state)
{
	rig_free(rig);
	return 0;
}

#define RTPG(format, length) RIG_CDB(0xa3, 0x0a | (format) << 5, 0, 0, 0, 0, 0, 0, 0, length, 0, 0)

static void both_formats_list_both_controllers(void **state)
{
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RTPG(0, 255), NULL, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"00 00 00 1c 80 8b 00 01 00 02 00 02 00 00 01 01 00 00 01 02 "
		"01 8b 00 02 00 02 00 01 00 00 02 01");
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RTPG(1, 255), NULL, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"00 00 00 20 10 02 00 00 80 8b 00 01 00 02 00 02 00 00 01 01 00 00 01 02 "
		"01 8b 00 02 00 02 00 01 00 00 02 01");
	/* cut short, the length still says it all */
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RTPG(1, 8), NULL, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 00 00 20 10 02 00 00");
	for (uint8_t format = 2; format < 8; format++) {
		assert_int_equal(
			rig_do(rig, &t, rig->nexus[0], 0, RTPG(format, 255), NULL, 0), 0x052400);
	}
}

static void the_other_controller_says_the_same(void **state)
{
	struct rig *other = rig_new(2, 16 << 20);
	struct rig_task u;

	rig_serve(other);
	rig_publish(other, 0, GROUP_REMOTE, 1, 1, 1);
	rig_do(other, &u, other->nexus[0], 0, RTPG(1, 255), NULL, 0);
	rig_do(rig, &t, rig->nexus[0], 0, RTPG(1, 255), NULL, 0);
	assert_int_equal(t.in_length, u.in_length);
	assert_memory_equal(t.in, u.in, t.in_length);
	rig_free(other);
}

static void pref_follows_the_owner(void **state)
{
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	rig_do(rig, &t, rig->nexus[0], 0, RTPG(0, 255), NULL, 0);
	assert_int_equal(t.in[4], 0x01);
	assert_int_equal(t.in[16 + 4], 0x80);
	/* the other group has its own */
	rig_do(rig, &t, rig->nexus[0], 2, RTPG(0, 255), NULL, 0);
	assert_int_equal(t.in[4], 0x80);
}

static void publish_state(enum alua_state state, enum group_access access)
{
	struct group_view view = {.group = 0,
		.epoch = 1,
		.table = 1,
		.access = access,
		.owner = 2,
		.hold_limit_s = 2};

	view.tpg[1] = (uint8_t)state;
	view.tpg[2] = ALUA_OPTIMIZED;
	rig->serve->publish(rig->serve->ctx, &view, NULL, NULL);
	rig_run(rig);
}

enum {
	S = 1 << 1,
	U = 1 << 2,
	T = 1 << 3,
	O = 1 << 4
};

static const struct {
	uint8_t cdb[16];
	unsigned passes; /* S standby, U unavailable, T transitioning, O offline */
} commands[] = {
	{{0x00}, 0},
	{{0x03, [4] = 18}, S | U | T | O},
	{{0x12, [4] = 96}, S | U | T | O},
	{{0x1a, 0, 0x3f, 0, 96}, S},
	{{0x5a, 0, 0x3f, [8] = 96}, S},
	{{0x1b, [4] = 1}, 0},
	{{0x25}, S | U | T},
	{{0x9e, 0x10, [13] = 32}, S | U | T},
	{{0xa0, [9] = 96}, S | U | T | O},
	{{0xa3, 0x0a, [9] = 96}, S | U | T | O},
	{{0xa3, 0x0c, [9] = 96}, 0},
	{{0x28, [8] = 1}, 0},
	{{0x35}, 0},
	{{0x2f, [8] = 1}, 0},
};

static void state_check(enum alua_state alua, unsigned bit, uint32_t refusal)
{
	publish_state(alua, GROUP_REMOTE);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		uint32_t expected = commands[i].passes & bit ? SCSI_GOOD : refusal;

		assert_int_equal(
			rig_do(rig, &t, rig->nexus[0], 0, commands[i].cdb, 16, NULL, 0), expected);
	}
	assert_int_equal(rig->ship.tasks, 0);
}

static void standby(void **state)
{
	state_check(ALUA_STANDBY, S, 0x02040b);
}

static void unavailable(void **state)
{
	state_check(ALUA_UNAVAILABLE, U, 0x02040c);
}

static void offline(void **state)
{
	state_check(ALUA_OFFLINE, O, 0x020412);
}

static void transitioning(void **state)
{
	rig->conf.hold_answer = CONF_HOLD_TRANSITIONING;
	state_check(ALUA_TRANSITIONING, T, 0x02040a);
	rig->conf.hold_answer = CONF_HOLD_BUSY;
	state_check(ALUA_TRANSITIONING, T, SCSI_BUSY);
}

static void writes_are_refused_before_their_data_comes(void **state)
{
	publish_state(ALUA_STANDBY, GROUP_HELD);
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0));
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_DONE);
	assert_int_equal(rig_outcome(&t), 0x02040b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(both_formats_list_both_controllers),
		TEST(the_other_controller_says_the_same),
		TEST(pref_follows_the_owner),
		TEST(standby),
		TEST(unavailable),
		TEST(offline),
		TEST(transitioning),
		TEST(writes_are_refused_before_their_data_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
