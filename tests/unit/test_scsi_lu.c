/* SPDX-License-Identifier: BSD-3-Clause */
/* Units: LUN forms, identity, the map of UUIDs, and what makes the start fail. */
#include "daemon/scsi/lu.h"
#include "scsi_rig.h"

static void lun_encoding(void **state)
{
	uint8_t lun[8];

	for (unsigned i = 0; i < 16384; i++) {
		scsi_lun_encode((uint16_t)i, lun);
		assert_int_equal(lun[0] >> 6, i > 255 ? 1 : 0);
		assert_int_equal(scsi_lun_decode(lun), i);
	}
}

static void naa_differs_with_every_bit_of_the_uuid(void **state)
{
	uint8_t uuid[16] = {0}, zero[16], naa[16];

	scsi_naa_make(uuid, zero);
	rig_assert_hex(zero, 16, "60 25 94 b0 00 00 00 00 00 00 00 00 00 00 00 00");
	for (unsigned bit = 0; bit < 128; bit++) {
		memset(uuid, 0, sizeof(uuid));
		uuid[bit / 8] = (uint8_t)(1 << bit % 8);
		scsi_naa_make(uuid, naa);
		assert_memory_not_equal(naa, zero, 16);
		assert_int_equal(naa[0], 0x60);
		assert_int_equal(naa[1], 0x25);
		assert_int_equal(naa[2], 0x94);
		assert_int_equal(naa[3] >> 4, 0xb);
	}
}

static void uuids_are_found(void **state)
{
	struct rig *rig = rig_new(1, 1 << 20);
	uint8_t nobody[16] = {0};

	for (unsigned i = 0; i < RIG_EXTENTS; i++) {
		assert_ptr_equal(
			scsi_lu_by_uuid(rig->scsi, rig->extents[i].uuid), &rig->scsi->lus[i]);
	}
	assert_null(scsi_lu_by_uuid(rig->scsi, nobody));
	rig_free(rig);
}

/* Makes a second device server from a spoilt configuration: its message must contain `what`. */
static void start_fails(struct rig *rig, const char *what, const char *name)
{
	struct reactor_config config = {.buffer_bytes = 1 << 20};
	struct reactor *r = reactor_new(&config);
	struct scsi_setup setup = {.conf = &rig->conf,
		.controller = 1,
		.control = &rig->control,
		.reactors = &r,
		.reactor_count = 1};
	char error[256] = "";

	assert_null(scsi_new(&setup, error, sizeof(error)));
	assert_non_null(strstr(error, what));
	assert_non_null(strstr(error, name));
	reactor_free(r);
}

static void a_start_that_fails_says_why(void **state)
{
	struct rig *rig = rig_new(1, 1 << 20);

	rig->extents[1].size_bytes = 1; /* the rig's extents refuse that */
	start_fails(rig, "cannot be opened", "disk1");
	rig->extents[1].size_bytes = 0;
	rig->extents[2].uuid[15] = 1;
	start_fails(rig, "same identity", "disk2");
	rig_free(rig);
}

static struct rig_task task;

/* A device server of its own over a configuration that the test has changed. */
static struct rig *rig_again(void (*change)(struct rig *rig))
{
	struct rig *rig = rig_new(1, 1 << 20);

	change(rig);
	rig_restart(rig);
	rig_serve(rig);
	return rig;
}

static void extent_options(struct rig *rig)
{
	rig->extents[0].naa = (struct conf_naa){16, "\x60\x01\x40\x51\x23\x45\x67\x89\x0a\xbc"};
	rig->extents[0].physical_block_size = 8192;
	rig->extents[0].lowest_aligned_lba = 7;
	rig->extents[0].rotation_rpm = 7200;
	rig->extents[1].naa = (struct conf_naa){8, "\x50\x00\xc5\x00\xa1\xb2\xc3\xd4"};
	rig->extents[1].rotational_known = false;
	rig->extents[1].physical_block_size = 4096;
}

#define DO(rig, lun, ...) rig_do(rig, &task, (rig)->nexus[0], lun, RIG_CDB(__VA_ARGS__), NULL, 0)

/* What an administrator sets is what hosts are told, byte by byte. */
static void extent_options_on_the_wire(void **state)
{
	struct rig *rig = rig_again(extent_options);

	assert_int_equal(DO(rig, 0, 0x12, 1, 0x83, 4, 0, 0), SCSI_GOOD);
	rig_assert_hex(
		task.in + 4, 20, "01 03 00 10 60 01 40 51 23 45 67 89 0a bc 00 00 00 00 00 00");
	assert_int_equal(DO(rig, 1, 0x12, 1, 0x83, 4, 0, 0), SCSI_GOOD);
	rig_assert_hex(task.in + 4, 14, "01 03 00 08 50 00 c5 00 a1 b2 c3 d4 02 01");
	/* 16 blocks in a physical one (exponent 4), aligned at 7, thin */
	assert_int_equal(
		DO(rig, 0, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), SCSI_GOOD);
	rig_assert_hex(task.in, 16, "00 00 00 00 00 00 07 ff 00 00 02 00 00 04 c0 07");
	assert_int_equal(
		DO(rig, 1, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), SCSI_GOOD);
	rig_assert_hex(task.in, 16, "00 00 00 00 00 00 00 ff 00 00 10 00 00 00 00 00");
	assert_int_equal(DO(rig, 0, 0x12, 1, 0xb1, 0, 96, 0), SCSI_GOOD);
	rig_assert_hex(task.in, 6, "00 b1 00 3c 1c 20");
	assert_int_equal(DO(rig, 1, 0x12, 1, 0xb1, 0, 96, 0), SCSI_GOOD);
	rig_assert_hex(task.in, 6, "00 b1 00 3c 00 00");
	/* WP in the mode parameter header, and no write */
	assert_int_equal(DO(rig, 2, 0x1a, 0, 0x0a, 0, 64, 0), SCSI_GOOD);
	assert_int_equal(task.in[2] & 0x80, 0x80);
	assert_int_equal(DO(rig, 2, 0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0x072700);
	assert_int_equal(DO(rig, 0, 0x1a, 0, 0x0a, 0, 64, 0), SCSI_GOOD);
	assert_int_equal(task.in[2] & 0x80, 0);
	rig_free(rig);
}

/* An NAA that is given counts as well as one that is made of a UUID. */
static void naas_that_collide(void **state)
{
	struct rig *rig = rig_new(1, 1 << 20);

	rig->extents[1].naa = (struct conf_naa){8, "\x50\x00\xc5\x00\xa1\xb2\xc3\xd4"};
	rig->extents[2].naa = rig->extents[1].naa;
	start_fails(rig, "same identity (NAA 5000c500a1b2c3d4)", "disk2");
	rig_free(rig);
}

static void never(void *arg)
{
	fail_msg("a drain ended while its group was served");
}

static void a_drain_without_end_is_forgotten_with_the_server(void **state)
{
	struct rig *rig = rig_new(1, 1 << 20);

	rig_serve(rig);
	rig->serve->drain(rig->serve->ctx, 0, never, NULL);
	rig_free(rig); /* the leak checker looks on */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lun_encoding),
		cmocka_unit_test(naa_differs_with_every_bit_of_the_uuid),
		cmocka_unit_test(uuids_are_found),
		cmocka_unit_test(a_start_that_fails_says_why),
		cmocka_unit_test(extent_options_on_the_wire),
		cmocka_unit_test(naas_that_collide),
		cmocka_unit_test(a_drain_without_end_is_forgotten_with_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
