/* SPDX-License-Identifier: BSD-3-Clause */
/* INQUIRY and its VPD pages, REPORT LUNS, REQUEST SENSE: golden bytes, at both controllers. */
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

#define DO(lun, ...) rig_do(rig, &t, rig->nexus[0], lun, RIG_CDB(__VA_ARGS__), NULL, 0)

static void standard_inquiry(void **state)
{
	assert_int_equal(DO(0, 0x12, 0, 0, 1, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 96);
	rig_assert_hex(t.in, 32,
		"00 00 06 12 5b 18 10 02 59 4f 4b 45 20 20 20 20 "
		"61 72 72 61 79 20 20 20 20 20 20 20 20 20 20 20");
	/* the revision is the version's first four characters */
	assert_true(t.in[32] >= '0' && t.in[32] <= '9');
	assert_int_equal(t.in[33], '.');
	rig_assert_hex(t.in + 36, 60,
		"00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 a0 04 60 04 "
		"c0 "
		"09 62 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
		"00 "
		"00 00 00 00");
	/* allocation length cuts, and is no error */
	assert_int_equal(DO(0, 0x12, 0, 0, 0, 5, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 00 06 12 5b");
	assert_int_equal(DO(0, 0x12, 0, 0, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 0);
}

static void a_lun_without_a_unit(void **state)
{
	assert_int_equal(DO(7, 0x12, 0, 0, 0, 96, 0), SCSI_GOOD);
	assert_int_equal(t.in[0], 0x7f);
	assert_int_equal(t.in_length, 96);
	assert_int_equal(DO(7, 0x12, 1, 0x83, 0, 96, 0), 0x052400);
	assert_int_equal(DO(7, 0, 0, 0, 0, 0, 0), 0x052500);
	assert_int_equal(DO(7, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0x052500);
	assert_int_equal(DO(7, 0xff, 0), 0x052500);
	assert_int_equal(DO(7, 0x03, 0, 0, 0, 18, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "70 00 05 00 00 00 00 0a 00 00 00 00 25 00 00 00 00 00");
	assert_int_equal(DO(7, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 40);
}

static void vpd_list_serial_and_refusals(void **state)
{
	assert_int_equal(DO(0, 0x12, 1, 0, 0, 96, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 00 00 0d 00 80 83 84 85 86 87 88 8f b0 b1 b2 b7");
	assert_int_equal(DO(0, 0x12, 1, 0x80, 0, 96, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 80 00 07 73 65 72 69 61 6c 30");
	for (unsigned page = 1; page < 256; page++) {
		bool listed = page == 0x80 || (page >= 0x83 && page <= 0x88) || page == 0x8f ||
			      page == 0xb7 || (page >= 0xb0 && page <= 0xb2);

		assert_int_equal(
			DO(0, 0x12, 1, (uint8_t)page, 0, 96, 0), listed ? SCSI_GOOD : 0x052400);
	}
	/* a page code without EVPD */
	assert_int_equal(DO(0, 0x12, 0, 0x83, 0, 96, 0), 0x052400);
	assert_int_equal(be16_get(t.sense + 16), 2);
}

#define LU_DESIGNATORS                                                 \
	"01 03 00 10 60 25 94 bd ef ed a3 a5 82 93 a4 b5 c6 d7 e8 00 " \
	"02 01 00 0f 59 4f 4b 45 20 20 20 20 73 65 72 69 61 6c 30 "
#define TARGET_HEX                                                                                \
	"69 71 6e 2e 32 30 32 36 2d 30 31 2e 6f 72 67 2e 65 78 61 6d 70 6c 65 3a 61 72 72 61 79 " \
	"31"

static void vpd_83_at_controller_1(void **state)
{
	assert_int_equal(DO(0, 0x12, 1, 0x83, 4, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"00 83 00 87 " LU_DESIGNATORS "51 94 00 04 00 00 01 01 "
		"51 95 00 04 00 00 00 01 "
		"53 98 00 28 " TARGET_HEX " 2c 74 2c 30 78 30 30 30 31 00 "
		"53 a8 00 20 " TARGET_HEX " 00 00");
}

static void vpd_83_at_controller_2_differs_in_the_port_only(void **state)
{
	struct rig *other = rig_new(2, 16 << 20);

	rig_serve(other);
	assert_int_equal(
		rig_do(other, &t, other->nexus[0], 0, RIG_CDB(0x12, 1, 0x83, 4, 0, 0), NULL, 0),
		SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"00 83 00 87 " LU_DESIGNATORS "51 94 00 04 00 00 02 01 "
		"51 95 00 04 00 00 00 02 "
		"53 98 00 28 " TARGET_HEX " 2c 74 2c 30 78 30 30 30 32 00 "
		"53 a8 00 20 " TARGET_HEX " 00 00");
	rig_free(other);
}

/* Everything else is the same byte for byte at both (invariant I6). */
static void both_controllers_say_the_same(void **state)
{
	static const uint8_t cdbs[][16] = {
		{0x12, 0, 0, 0, 96},
		{0x12, 1, 0, 0, 96},
		{0x12, 1, 0x80, 0, 96},
		{0x12, 1, 0x84, 0, 96},
		{0x12, 1, 0x85, 0, 96},
		{0x12, 1, 0x86, 0, 96},
		{0x12, 1, 0x87, 0, 96},
		{0x12, 1, 0x88, 0xff, 0xff},
		{0x12, 1, 0xb0, 0, 96},
		{0x12, 1, 0xb1, 0, 96},
		{0x12, 1, 0xb2, 0, 96},
		{0x12, 1, 0xb7, 0, 96},
		{0xa3, 0x0d, 0x80, [9] = 16},
		{0x3c, 0x0b, [8] = 4},
		{0x1a, 0, 0x3f, 0xff, 0xff},
		{0xa0, [9] = 0xff},
		{0xa3, 0x0c, [8] = 0x20},
	};
	struct rig *other = rig_new(2, 16 << 20);
	struct rig_task u;

	rig_serve(other);
	for (unsigned lun = 0; lun < RIG_EXTENTS; lun++) {
		for (size_t i = 0; i < ARRAY_SIZE(cdbs); i++) {
			rig_do(rig, &t, rig->nexus[0], lun, cdbs[i], 16, NULL, 0);
			rig_do(other, &u, other->nexus[0], lun, cdbs[i], 16, NULL, 0);
			assert_int_equal(t.status, SCSI_GOOD);
			assert_int_equal(t.in_length, u.in_length);
			assert_memory_equal(t.in, u.in, t.in_length);
		}
	}
	rig_free(other);
}

static void vpd_86_and_block_pages(void **state)
{
	assert_int_equal(DO(0, 0x12, 1, 0x86, 0, 96, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 64);
	rig_assert_hex(t.in, 16, "00 86 00 3c 00 07 00 01 00 00 00 00 00 40 00 00");
	assert_int_equal(DO(1, 0x12, 1, 0x86, 0, 96, 0), SCSI_GOOD);
	assert_int_equal(t.in[6], 0x01); /* volatile cache */
	assert_int_equal(DO(0, 0x12, 1, 0xb0, 0, 96, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"00 b0 00 3c 01 80 00 08 00 00 40 00 00 00 08 00 00 00 00 00 00 10 00 00 00 00 01 "
		"00 "
		"00 00 00 80 80 00 00 00 00 00 00 00 00 00 80 00 00 00 00 80 00 00 00 00 00 00 00 "
		"00 "
		"00 00 00 80 00 00 00 80");
	assert_int_equal(DO(1, 0x12, 1, 0xb0, 0, 96, 0), SCSI_GOOD); /* 4096 bytes, not thin */
	rig_assert_hex(t.in, 36,
		"00 b0 00 3c 01 80 00 01 00 00 08 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 00 "
		"00 "
		"00 00 00 00 00 00 00 00");
	assert_int_equal(DO(0, 0x12, 1, 0xb1, 0, 96, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 64);
	rig_assert_hex(t.in, 8, "00 b1 00 3c 00 01 00 40");
	assert_int_equal(DO(0, 0x12, 1, 0xb2, 0, 96, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 b2 00 04 0b e4 02 0a");
	assert_int_equal(DO(1, 0x12, 1, 0xb2, 0, 96, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 b2 00 04 00 00 00 00");
}

static void vpd_84_to_88_and_b7(void **state)
{
	assert_int_equal(DO(0, 0x12, 1, 0x84, 0, 96, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 84 00 00");
	assert_int_equal(DO(0, 0x12, 1, 0x85, 0, 96, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 85 00 00");
	assert_int_equal(DO(0, 0x12, 1, 0x87, 0, 96, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 87 00 04 3f ff 00 00");
	/* two ports of controller 1, one of controller 2 */
#define PORT(rtpi, tag)                                                  \
	"00 00 " rtpi " 00 00 00 00 00 00 00 2c 53 98 00 28 " TARGET_HEX \
	" 2c 74 2c 30 78 30 30 30 " tag " 00"
	assert_int_equal(DO(0, 0x12, 1, 0x88, 1, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"00 88 00 a8 " PORT("01 01", "31") " " PORT("01 02", "31") " " PORT("02 01", "32"));
	assert_int_equal(DO(0, 0x12, 1, 0xb7, 0, 96, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 64);
	rig_assert_hex(t.in, 8, "00 b7 00 3c 00 00 00 00");
}

/* 255 portals at each of two controllers do not fit into a page: it ends with a whole port. */
static void vpd_88_is_cut_between_ports(void **state)
{
	rig->controllers[0].portal_count = 255;
	rig->controllers[1].portal_count = 255;
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0x12, 1, 0x88, 0xff, 0xff, 0));
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_READY);
	rig_run(rig);
	rig->controllers[0].portal_count = 2;
	rig->controllers[1].portal_count = 1;
	assert_int_equal(t.status, SCSI_GOOD);
	assert_int_equal(be16_get(t.in + 2), t.in_length - 4);
	assert_int_equal((t.in_length - 4) % 56, 0);
}

static void report_luns(void **state)
{
	assert_int_equal(DO(0, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"00 00 00 20 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 "
		"00 02 00 00 00 00 00 00 41 2c 00 00 00 00 00 00");
	assert_int_equal(DO(0, 0xa0, 0, 2, 0, 0, 0, 0, 0, 0, 16, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 00 00 20 00 00 00 00 00 00 00 00 00 00 00 00");
	assert_int_equal(DO(0, 0xa0, 0, 1, 0, 0, 0, 0, 0, 0, 16, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 00 00 00 00 00 00 00");
	assert_int_equal(DO(0, 0xa0, 0, 3, 0, 0, 0, 0, 0, 0, 16, 0, 0), 0x052400);
	assert_int_equal(DO(0, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0), 0x052400);
	/* the unit behind the flat LUN is the first one again */
	assert_int_equal(DO(300, 0x12, 1, 0x80, 0, 96, 0), SCSI_GOOD);
	assert_int_equal(t.in[10], '0');
}

static void lun_forms(void **state)
{
	static const struct {
		uint8_t lun[8];
		uint32_t expected; /* of READ CAPACITY */
	} rows[] = {
		{{0, 1}, SCSI_GOOD},
		{{0x40, 1}, SCSI_GOOD}, /* flat, below 256: accepted too */
		{{0x41, 0x2c}, SCSI_GOOD},
		{{0, 3}, 0x052500},
		{{0x01, 0x2c}, SCSI_GOOD}, /* as libiscsi and LIO write 300 */
		{{1, 0}, 0x052500}, /* 256 */
		{{0x80, 0}, 0x052500}, /* logical unit addressing */
		{{0xc1, 1}, 0x052500}, /* well known */
		{{0, 0, 0, 1}, 0x052500}, /* a second level */
		{{0x7f, 0xff}, 0x052500},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0x25));
		memcpy(t.task.lun, rows[i].lun, 8);
		rig_task_go(&t, NULL, 0);
		assert_int_equal(rig_outcome(&t), rows[i].expected);
	}
}

static void request_sense(void **state)
{
	assert_int_equal(DO(0, 0x03, 0, 0, 0, 252, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "70 00 00 00 00 00 00 0a 00 00 00 00 00 00 00 00 00 00");
	assert_int_equal(DO(0, 0x03, 1, 0, 0, 252, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "72 00 00 00 00 00 00 00");
	assert_int_equal(DO(0, 0x03, 0, 0, 0, 4, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "70 00 00 00");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(standard_inquiry),
		TEST(a_lun_without_a_unit),
		TEST(vpd_list_serial_and_refusals),
		TEST(vpd_83_at_controller_1),
		TEST(vpd_83_at_controller_2_differs_in_the_port_only),
		TEST(both_controllers_say_the_same),
		TEST(vpd_86_and_block_pages),
		TEST(vpd_84_to_88_and_b7),
		TEST(vpd_88_is_cut_between_ports),
		TEST(report_luns),
		TEST(lun_forms),
		TEST(request_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
