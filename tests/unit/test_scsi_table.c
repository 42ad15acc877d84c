/* SPDX-License-Identifier: BSD-3-Clause */
/* The opcode table, row by row and hole by hole. */
#include "scsi_rig.h"

/* Every opcode of the table, and no other. */
static const struct {
	uint8_t opcode;
	int action; /* -1: none */
	uint8_t length;
} expected[] = {
	{0x00, -1, 6},
	{0x03, -1, 6},
	{0x08, -1, 6},
	{0x0a, -1, 6},
	{0x12, -1, 6},
	{0x1a, -1, 6},
	{0x1b, -1, 6},
	{0x25, -1, 10},
	{0x28, -1, 10},
	{0x2a, -1, 10},
	{0x2f, -1, 10},
	{0x35, -1, 10},
	{0x41, -1, 10},
	{0x42, -1, 10},
	{0x5a, -1, 10},
	{0x83, 0x00, 16},
	{0x83, 0x01, 16},
	{0x83, 0x1c, 16},
	{0x84, 0x00, 16},
	{0x84, 0x03, 16},
	{0x84, 0x04, 16},
	{0x84, 0x05, 16},
	{0x88, -1, 16},
	{0x8a, -1, 16},
	{0x8f, -1, 16},
	{0x91, -1, 16},
	{0x93, -1, 16},
	{0x9e, 0x10, 16},
	{0xa0, -1, 12},
	{0xa3, 0x0a, 12},
	{0xa3, 0x0c, 12},
	{0xa8, -1, 12},
	{0xaa, -1, 12},
	{0xaf, -1, 12},
};

static const struct scsi_row *row_at(unsigned opcode, unsigned action)
{
	return scsi_row_get((uint8_t)opcode, (uint16_t)action);
}

static void table_has_exactly_these_rows(void **state)
{
	unsigned seen = 0;

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		for (unsigned action = 0; action < 40; action++) {
			seen += row_at(opcode, action) != NULL;
		}
	}
	assert_int_equal(seen, ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		unsigned action = expected[i].action < 0 ? 0 : (unsigned)expected[i].action;
		const struct scsi_row *row = row_at(expected[i].opcode, action);

		assert_non_null(row);
		assert_int_equal(row->cdb_length, expected[i].length);
		assert_int_equal(row->has_action, expected[i].action >= 0);
	}
}

static void row_check(const struct scsi_row *row, unsigned opcode, unsigned action)
{
	assert_non_null(row->name);
	assert_non_null(row->decode);
	assert_non_null(row->run);
	assert_int_equal(row->opcode, opcode);
	assert_int_equal(row->action, action);
	assert_int_equal(row->usage[0], opcode);
	assert_true(row->cdb_length >= 6 && row->cdb_length <= 16);
	assert_int_equal(row->usage[row->cdb_length - 1], 0x04); /* NACA is looked at */
	for (unsigned i = row->cdb_length; i < 16; i++) {
		assert_int_equal(row->usage[i], 0);
	}
	if (row->has_action) {
		assert_int_equal(row->usage[1] & 0x1f, action);
	}
	/* What changes the medium is never let through by a reservation, and waits its turn. */
	if (row->flags & SCSI_WRITES) {
		assert_int_equal(row->where, SCSI_RUNS_OWNER);
		assert_int_equal(row->reserved, SCSI_RESERVED_CONFLICT);
		assert_int_equal(row->direction, SCSI_DATA_OUT);
	}
	/* What touches the medium runs at the owner, and only there. */
	if (row->order == SCSI_ORDER_QUEUED) {
		assert_int_equal(row->where, SCSI_RUNS_OWNER);
	} else if (!(row->flags & SCSI_BY_OTHERS)) {
		assert_int_not_equal(row->where, SCSI_RUNS_OWNER);
	}
	if (row->where == SCSI_RUNS_OWNER) {
		assert_int_equal(row->states, 0);
		assert_int_equal(row->flags & (SCSI_PASSES_UA | SCSI_WITHOUT_LU), 0);
	}
	assert_true(row->recommended_s >= row->nominal_s && row->nominal_s > 0);
}

static void rows_are_consistent(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		unsigned action = expected[i].action < 0 ? 0 : (unsigned)expected[i].action;

		row_check(row_at(expected[i].opcode, action), expected[i].opcode, action);
	}
}

static void holes_are_refused(void **state)
{
	struct rig *rig = rig_new(1, 16 << 20);

	rig_serve(rig);
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		for (unsigned action = 0; action < 32; action++) {
			uint8_t cdb[16] = {(uint8_t)opcode, (uint8_t)action};
			struct rig_task t;

			if (!scsi_row_find(cdb)) {
				assert_int_equal(
					rig_do(rig, &t, rig->nexus[0], 0, cdb, 16, NULL, 0),
					0x052000);
			}
		}
	}
	rig_free(rig);
}

/* Each bit that the usage mask does not know is refused, with a pointer to it. */
static void reserved_bits_are_refused(void **state)
{
	struct rig *rig = rig_new(1, 16 << 20);

	rig_serve(rig);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		unsigned action = expected[i].action < 0 ? 0 : (unsigned)expected[i].action;
		const struct scsi_row *row = row_at(expected[i].opcode, action);

		for (unsigned bit = 8; bit < row->cdb_length * 8u; bit++) {
			uint8_t cdb[16] = {row->opcode, (uint8_t)action};
			uint8_t mask = (uint8_t)(1 << bit % 8);
			bool is_action = row->has_action && bit / 8 == 1 && bit % 8 < 5;
			bool is_naca = bit / 8 == row->cdb_length - 1u && mask == 0x04;
			struct rig_task t;

			if (is_action || (row->usage[bit / 8] & mask && !is_naca)) {
				continue;
			}
			cdb[bit / 8] |= mask;
			assert_int_equal(
				rig_do(rig, &t, rig->nexus[0], 0, cdb, 16, NULL, 0), 0x052400);
			assert_int_equal(t.sense[15], 0xc8 | bit % 8);
			assert_int_equal(be16_get(t.sense + 16), bit / 8);
		}
	}
	rig_free(rig);
}

static void short_cdb_and_aca_are_refused(void **state)
{
	struct rig *rig = rig_new(1, 16 << 20);
	struct rig_task t;

	rig_serve(rig);
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0x28, 0, 0, 0, 0, 0));
	t.task.cdb_length = 6;
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_DONE);
	assert_int_equal(rig_outcome(&t), 0x052400);
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0x28, 0, 0, 0, 0, 0));
	t.task.attribute = SCSI_ATTR_ACA;
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_DONE);
	assert_int_equal(rig_outcome(&t), 0x052400);
	rig_free(rig);
}

static void names_are_complete(void **state)
{
	for (unsigned i = 0; i < SCSI_TASK_STATE_COUNT; i++) {
		assert_non_null(scsi_task_state_name((enum scsi_task_state)i));
	}
	for (unsigned i = 0; i < SCSI_UA_COUNT; i++) {
		assert_string_not_equal(scsi_ua_name((enum scsi_ua)i), "unknown");
	}
	assert_string_equal(scsi_ua_name(SCSI_UA_COUNT), "unknown");
	assert_string_equal(scsi_where_name(SCSI_RUNS_OWNER), "owner");
	assert_string_equal(scsi_where_name((enum scsi_where)9), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_has_exactly_these_rows),
		cmocka_unit_test(rows_are_consistent),
		cmocka_unit_test(holes_are_refused),
		cmocka_unit_test(reserved_bits_are_refused),
		cmocka_unit_test(short_cdb_and_aca_are_refused),
		cmocka_unit_test(names_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
