/* SPDX-License-Identifier: BSD-3-Clause */
/* Unit attentions: told once, one at a time, to each I_T_L nexus (invariant I8). */
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

#define TUR  RIG_CDB(0, 0, 0, 0, 0, 0)
#define RTPG RIG_CDB(0xa3, 0x2a, 0, 0, 0, 0, 0, 0, 0, 96, 0, 0)

static uint32_t tur(struct scsi_nexus *nexus, unsigned lun)
{
	return rig_do(rig, &t, nexus, lun, TUR, NULL, 0);
}

static void a_new_nexus_is_told_once_for_each_unit(void **state)
{
	struct scsi_nexus *nexus = rig_nexus(rig, 0, "new", 0x101);

	assert_int_equal(tur(nexus, 0), 0x062900);
	assert_int_equal(tur(nexus, 0), SCSI_GOOD);
	assert_int_equal(tur(nexus, 2), 0x062900);
	assert_int_equal(tur(nexus, 2), SCSI_GOOD);
	assert_int_equal(tur(nexus, 0), SCSI_GOOD);
	scsi_nexus_close(nexus, NULL, NULL);
}

static void a_changed_table_is_told_exactly_once(void **state)
{
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		assert_int_equal(tur(rig->nexus[i], 0), 0x062a06);
		assert_int_equal(tur(rig->nexus[i], 0), SCSI_GOOD);
		assert_int_equal(tur(rig->nexus[i], 1), 0x062a06); /* the group's other unit */
		assert_int_equal(tur(rig->nexus[i], 1), SCSI_GOOD);
		assert_int_equal(
			tur(rig->nexus[i], 300), 0x062a06); /* the same unit, another LUN */
		assert_int_equal(tur(rig->nexus[i], 300), SCSI_GOOD);
		assert_int_equal(tur(rig->nexus[i], 2), SCSI_GOOD); /* another group */
	}
	/* only the access changed, or nothing: nobody is told */
	rig_publish(rig, 0, GROUP_REMOTE, 1, 3, 2);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 4, 2);
	assert_int_equal(tur(rig->nexus[0], 0), SCSI_GOOD);
	/* the next change, of the other group, leaves this one alone */
	rig_publish(rig, 1, GROUP_LOCAL, 1, 2, 2);
	assert_int_equal(tur(rig->nexus[0], 0), SCSI_GOOD);
	assert_int_equal(tur(rig->nexus[0], 2), 0x062a06);
	assert_int_equal(tur(rig->nexus[0], 2), SCSI_GOOD);
}

static void two_changes_unseen_are_one_attention(void **state)
{
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 3, 3);
	assert_int_equal(tur(rig->nexus[0], 0), 0x062a06);
	assert_int_equal(tur(rig->nexus[0], 0), SCSI_GOOD);
}

static void a_new_nexus_knows_the_table(void **state)
{
	struct scsi_nexus *nexus;

	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	nexus = rig_nexus(rig, 0, "new", 0x101);
	assert_int_equal(tur(nexus, 0), 0x062900);
	assert_int_equal(tur(nexus, 0), SCSI_GOOD);
	/* but what changes after the login is told, also by a unit that was not used before */
	rig_publish(rig, 1, GROUP_LOCAL, 1, 2, 2);
	assert_int_equal(tur(nexus, 2), 0x062900); /* which covers the changed table */
	assert_int_equal(tur(nexus, 2), SCSI_GOOD);
	scsi_nexus_close(nexus, NULL, NULL);
}

static void what_passes_leaves_it_pending(void **state)
{
	static const uint8_t pass[][16] = {{0x12, [4] = 96}, {0xa0, [9] = 96}};

	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	for (size_t i = 0; i < ARRAY_SIZE(pass); i++) {
		assert_int_equal(
			rig_do(rig, &t, rig->nexus[0], 0, pass[i], 16, NULL, 0), SCSI_GOOD);
	}
	assert_int_equal(tur(rig->nexus[0], 0), 0x062a06);
}

static void request_sense_tells_it_instead(void **state)
{
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RIG_CDB(0x03, 0, 0, 0, 18, 0), NULL, 0),
		SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "70 00 06 00 00 00 00 0a 00 00 00 00 2a 06 00 00 00 00");
	assert_int_equal(tur(rig->nexus[0], 0), SCSI_GOOD);
}

static void rtpg_eats_one_at_most(void **state)
{
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RTPG, NULL, 0), 0x062a06);
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RTPG, NULL, 0), SCSI_GOOD);
}

static void a_reset_and_a_changed_table_are_told_together(void **state)
{
	struct scsi_itl *itl = scsi_itl_get(rig->nexus[0], 0);

	scsi_ua_raise(rig->nexus[0]->core, itl->lu, SCSI_UA_LU_RESET, NULL);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RTPG, NULL, 0), 0x062900);
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RTPG, NULL, 0), SCSI_GOOD);
	assert_false(scsi_ua_is_pending(rig->nexus[0], itl));
}

static void none_can_pile_up(void **state)
{
	struct scsi_itl *itl = scsi_itl_get(rig->nexus[0], 0);

	for (int i = 0; i < 1000; i++) {
		scsi_ua_raise(rig->nexus[0]->core, itl->lu, SCSI_UA_LU_RESET, NULL);
		scsi_ua_raise(rig->nexus[0]->core, itl->lu, SCSI_UA_COMMANDS_CLEARED, NULL);
	}
	assert_int_equal(tur(rig->nexus[0], 0), 0x062903); /* the reset cleared the commands */
	assert_int_equal(tur(rig->nexus[0], 0), SCSI_GOOD);
	scsi_ua_raise(rig->nexus[0]->core, itl->lu, SCSI_UA_COMMANDS_CLEARED, NULL);
	assert_int_equal(tur(rig->nexus[0], 0), 0x062f00);
	assert_int_equal(tur(rig->nexus[0], 0), SCSI_GOOD);
}

static void held_tasks_are_told_once_between_them(void **state)
{
	struct rig_task held[3];
	unsigned told = 0;

	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	for (unsigned i = 0; i < 3; i++) {
		rig_task_set(&held[i], rig->nexus[0], 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0));
		rig_task_go(&held[i], NULL, 0);
	}
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(held[i].dones, 1);
		told += rig_outcome(&held[i]) == 0x062a06;
	}
	assert_int_equal(told, 1);
	assert_int_equal(rig_outcome(&held[2]), SCSI_GOOD);
}

static void a_write_is_told_before_its_data_comes(void **state)
{
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0));
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_DONE);
	assert_int_equal(rig_outcome(&t), 0x062a06);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_new_nexus_is_told_once_for_each_unit),
		TEST(a_changed_table_is_told_exactly_once),
		TEST(two_changes_unseen_are_one_attention),
		TEST(a_new_nexus_knows_the_table),
		TEST(what_passes_leaves_it_pending),
		TEST(request_sense_tells_it_instead),
		TEST(rtpg_eats_one_at_most),
		TEST(a_reset_and_a_changed_table_are_told_together),
		TEST(none_can_pile_up),
		TEST(held_tasks_are_told_once_between_them),
		TEST(a_write_is_told_before_its_data_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
