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
		cmocka_unit_test(a_drain_without_end_is_forgotten_with_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
