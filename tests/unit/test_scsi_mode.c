/* SPDX-License-Identifier: BSD-3-Clause */
/* MODE SENSE 6 and 10, REPORT SUPPORTED OPERATION CODES, and the sense table. */
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

#define RECOVERY     "01 0a c0 00 00 00 00 00 00 00 00 00"
#define CACHING	     "08 12 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
#define CACHING_WCE  "08 12 04 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
#define CONTROL	     "8a 0a 20 10 00 00 00 00 00 00 00 00"
#define EXCEPTIONS   "1c 0a 08 00 00 00 00 00 00 00 00 00"

static void mode_sense_6(void **state)
{
	assert_int_equal(DO(0, 0x1a, 0, 0x3f, 0, 255, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"43 00 10 08 00 00 08 00 00 00 02 00 " RECOVERY " " CACHING " " CONTROL
		" " EXCEPTIONS);
	assert_int_equal(DO(1, 0x1a, 8, 0x08, 0, 255, 0), SCSI_GOOD); /* DBD; volatile */
	rig_assert_hex(t.in, t.in_length, "17 00 10 00 " CACHING_WCE);
	assert_int_equal(DO(2, 0x1a, 8, 0x0a, 0, 255, 0), SCSI_GOOD); /* write protected */
	rig_assert_hex(t.in, t.in_length, "0f 00 90 00 " CONTROL);
	assert_int_equal(DO(0, 0x1a, 0, 0x3f, 0, 3, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "43 00 10");
}

static void mode_sense_10(void **state)
{
	assert_int_equal(DO(0, 0x5a, 0, 0x1c, 0, 0, 0, 0, 0, 255, 0), SCSI_GOOD);
	rig_assert_hex(
		t.in, t.in_length, "00 1a 00 10 00 00 00 08 00 00 08 00 00 00 02 00 " EXCEPTIONS);
	assert_int_equal(DO(1, 0x5a, 0x10, 0x0a, 0xff, 0, 0, 0, 0, 255, 0), SCSI_GOOD); /* LLBAA */
	rig_assert_hex(t.in, t.in_length,
		"00 22 00 10 01 00 00 10 00 00 00 00 00 00 01 00 00 00 00 00 00 00 10 00 " CONTROL);
}

static void page_control(void **state)
{
	assert_int_equal(DO(1, 0x1a, 8, 0x48, 0, 255, 0), SCSI_GOOD); /* changeable: nothing */
	rig_assert_hex(t.in, t.in_length, "17 00 10 00 " CACHING);
	assert_int_equal(DO(1, 0x1a, 8, 0x88, 0, 255, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "17 00 10 00 " CACHING_WCE);
	assert_int_equal(DO(1, 0x1a, 8, 0xc8, 0, 255, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "17 00 10 00 " CACHING_WCE);
	/* D_SENSE, SWP, TAS */
	assert_int_equal(DO(1, 0x1a, 8, 0x4a, 0, 255, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "0f 00 10 00 8a 0a 04 00 08 40 00 00 00 00 00 00");
	assert_int_equal(DO(1, 0x1a, 8, 0x8a, 0, 255, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "0f 00 10 00 " CONTROL);
	assert_int_equal(DO(1, 0x1a, 8, 0xca, 0, 255, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "0f 00 10 00 " CONTROL);
}

static void pages_that_are_not_there(void **state)
{
	for (uint8_t page = 0; page < 0x3f; page++) {
		bool known = page == 0x01 || page == 0x08 || page == 0x0a || page == 0x1c;

		assert_int_equal(DO(0, 0x1a, 8, page, 0, 255, 0), known ? SCSI_GOOD : 0x052400);
	}
	assert_int_equal(DO(0, 0x1a, 8, 0x0a, 1, 255, 0), 0x052400);
	assert_int_equal(DO(0, 0x1a, 8, 0x3f, 0xff, 255, 0), SCSI_GOOD);
}

/* ----- REPORT SUPPORTED OPERATION CODES ------------------------------------------------------- */

/* How many commands an LU has. */
static unsigned rows_of(unsigned lu)
{
	unsigned count = 0;

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		for (unsigned action = 0; action < 32; action++) {
			const struct scsi_row *row =
				scsi_row_get((uint8_t)opcode, (uint16_t)action);

			count += row && scsi_row_is_available(row, &rig->scsi->lus[lu]);
		}
	}
	return count;
}

static void all_commands(void **state)
{
	uint32_t length;
	unsigned found = 0;

	assert_int_equal(DO(0, 0xa3, 0x0c, 0x80, 0, 0, 0, 0, 0, 0x20, 0, 0, 0), SCSI_GOOD);
	length = be32_get(t.in);
	assert_int_equal(length % 20, 0);
	assert_int_equal(t.in_length, length + 4);
	for (uint32_t at = 4; at < length + 4; at += 20) {
		const struct scsi_row *row = scsi_row_get(t.in[at], be16_get(t.in + at + 2));

		assert_non_null(row);
		assert_int_equal(t.in[at + 5], 0x02 | (row->has_action ? 1 : 0));
		assert_int_equal(be16_get(t.in + at + 6), row->cdb_length);
		assert_int_equal(be16_get(t.in + at + 8), 10);
		assert_int_equal(be32_get(t.in + at + 12), row->nominal_s);
		found++;
	}
	assert_int_equal(found, rows_of(0));
	/* a unit that is not thin does not list UNMAP; no timeouts asked for */
	assert_int_equal(DO(1, 0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(be32_get(t.in), rows_of(1) * 8);
	for (uint32_t at = 4; at < t.in_length; at += 8) {
		assert_int_not_equal(t.in[at], 0x42);
	}
}

static void one_command(void **state)
{
	assert_int_equal(DO(0, 0xa3, 0x0c, 1, 0x28, 0, 0, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 03 00 0a 28 18 ff ff ff ff 1f ff ff 04");
	assert_int_equal(DO(0, 0xa3, 0x0c, 0x82, 0x9e, 0, 0x10, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"00 83 00 10 9e 10 00 00 00 00 00 00 00 00 ff ff ff ff 00 04 "
		"00 0a 00 00 00 00 00 01 00 00 00 1e");
	assert_int_equal(DO(0, 0xa3, 0x0c, 3, 0xa3, 0, 0x0a, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 03 00 0c a3 ea 00 00 00 00 ff ff ff ff 00 04");
	assert_int_equal(DO(0, 0xa3, 0x0c, 3, 0x2a, 0, 0, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in[1], 3);
	/* unknown */
	assert_int_equal(DO(0, 0xa3, 0x0c, 1, 0xc0, 0, 0, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 01 00 00");
	assert_int_equal(DO(0, 0xa3, 0x0c, 2, 0x9e, 0, 0x11, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in[1], 1);
	assert_int_equal(DO(0, 0xa3, 0x0c, 2, 0x9e, 0xff, 0xff, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in[1], 1);
	assert_int_equal(DO(1, 0xa3, 0x0c, 1, 0x42, 0, 0, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in[1], 1);
	/* with a service action where there is none, without where there is one */
	assert_int_equal(DO(0, 0xa3, 0x0c, 1, 0x9e, 0, 0, 0, 0, 0, 64, 0, 0), 0x052400);
	assert_int_equal(DO(0, 0xa3, 0x0c, 2, 0x28, 0, 0, 0, 0, 0, 64, 0, 0), 0x052400);
	assert_int_equal(DO(0, 0xa3, 0x0c, 4, 0x28, 0, 0, 0, 0, 0, 64, 0, 0), 0x052400);
}

/* Every index, every form: an answer or a refusal, and the same bytes again (none uninitialised).
 */
static void every_index(void **state)
{
	for (unsigned option = 0; option < 8; option++) {
		for (unsigned opcode = 0; opcode < 256; opcode++) {
			uint8_t cdb[12] = {0xa3, 0x0c, (uint8_t)(0x80 | option), (uint8_t)opcode, 0,
				0x10, 0, 0, 0x20, 0};
			struct rig_task u;
			uint32_t outcome = rig_do(rig, &t, rig->nexus[0], 0, cdb, 12, NULL, 0);

			assert_true(outcome == SCSI_GOOD || outcome == 0x052400);
			rig_do(rig, &u, rig->nexus[0], 0, cdb, 12, NULL, 0);
			assert_int_equal(t.in_length, u.in_length);
			assert_memory_equal(t.in, u.in, t.in_length);
		}
	}
}

/* ----- sense ---------------------------------------------------------------------------------- */

static void sense_table_is_complete(void **state)
{
	uint8_t sense[SCSI_SENSE_FIXED_BYTES];

	for (unsigned i = 0; i < SENSE_COUNT; i++) {
		const struct scsi_sense_code *code = scsi_sense_code((enum scsi_sense)i);

		assert_non_null(code->name);
		assert_true(
			i == SENSE_TARGET_FAILURE || code != scsi_sense_code(SENSE_TARGET_FAILURE));
		assert_int_equal(scsi_sense_build(sense, (enum scsi_sense)i, false), 18);
		assert_int_equal(sense[2], code->key);
		assert_int_equal(sense[7], 10);
		assert_int_equal(scsi_sense_build(sense, (enum scsi_sense)i, true), 8);
		assert_int_equal(sense[0], 0x72);
		assert_int_equal(sense[1], code->key);
	}
	assert_ptr_equal(
		scsi_sense_code((enum scsi_sense)99), scsi_sense_code(SENSE_TARGET_FAILURE));
}

static void information_and_field_pointers(void **state)
{
	struct scsi_task task = {0};

	scsi_set_sense_information(&task, SENSE_MISCOMPARE, 0x12345678);
	rig_assert_hex(task.sense, task.sense_length,
		"f0 00 0e 12 34 56 78 0a 00 00 00 00 1d 00 00 00 00 00");
	scsi_set_sense_information(&task, SENSE_MISCOMPARE, 1ull << 32);
	assert_int_equal(task.sense[0], 0x70);
	scsi_set_cdb_field(&task, 7, -1);
	rig_assert_hex(task.sense, task.sense_length,
		"70 00 05 00 00 00 00 0a 00 00 00 00 24 00 00 c0 00 07");
	scsi_set_list_field(&task, 0x102, 3);
	rig_assert_hex(task.sense, task.sense_length,
		"70 00 05 00 00 00 00 0a 00 00 00 00 26 00 00 8b 01 02");
	scsi_task_set_transport_sense(&task, SCSI_SENSE_PROTOCOL_CRC_ERROR);
	assert_int_equal(task.sense[2], 0x0b);
	assert_int_equal(be16_get(task.sense + 12), 0x4705);
	scsi_task_set_transport_sense(&task, SCSI_SENSE_UNEXPECTED_UNSOLICITED_DATA);
	assert_int_equal(be16_get(task.sense + 12), 0x0c0c);
	scsi_task_set_transport_sense(&task, SCSI_SENSE_INCORRECT_AMOUNT_OF_DATA);
	assert_int_equal(be16_get(task.sense + 12), 0x0c0d);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(mode_sense_6),
		TEST(mode_sense_10),
		TEST(page_control),
		TEST(pages_that_are_not_there),
		TEST(all_commands),
		TEST(one_command),
		TEST(every_index),
		cmocka_unit_test(sense_table_is_complete),
		cmocka_unit_test(information_and_field_pointers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
