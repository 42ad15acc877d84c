/* SPDX-License-Identifier: BSD-3-Clause */
/* The opcode table, row by row and hole by hole. */
#include <stdio.h>
#include <stdlib.h>

#include "scsi_rig.h"

/*
 * scsi_rows.golden is the table as text, one line for each row: opcode, service action, CDB length,
 * usage mask, where it runs, data direction, what a reservation does to it, order, ALUA states,
 * flags, time-outs, name. The list is checked by hand against SPC-4 and SBC-3; a row that is not
 * in it, or not in the table, or different, fails. Its lines are also what the tests below walk.
 */
struct golden {
	uint8_t opcode;
	uint8_t action;
	bool has_action;
	char line[256];
};

static struct golden expected[256];
static size_t expected_count;

static const struct scsi_row *row_at(unsigned opcode, unsigned action)
{
	return scsi_row_get((uint8_t)opcode, (uint16_t)action);
}

static const char *flag(const struct scsi_row *row, unsigned bit, const char *name)
{
	return row->flags & bit ? name : "";
}

static void row_print(const struct scsi_row *row, char *line, size_t size)
{
	static const char *const wheres[] = {"here", "served", "owner"};
	static const char *const directions[] = {"none", "in", "out"};
	static const char *const reserved[] = {"allowed", "reads", "conflict"};
	static const char *const orders[] = {"free", "queued"};
	char usage[2 * SCSI_ROW_CDB_MAX + 1];
	char action[3] = "--";

	for (unsigned i = 0; i < row->cdb_length && i < SCSI_ROW_CDB_MAX; i++) {
		snprintf(usage + 2 * i, 3, "%02x", row->usage[i]);
	}
	if (row->has_action) {
		snprintf(action, sizeof(action), "%02x", row->action);
	}
	snprintf(line, size,
		"%02x %s %2u %-32s %-6s %-4s %-8s %-6s %c%c%c%c %s%s%s%s%s%s%s%s%s/%u/%u %s",
		row->opcode, action, row->cdb_length, usage, wheres[row->where],
		directions[row->direction], reserved[row->reserved], orders[row->order],
		row->states & SCSI_IN_STANDBY ? 'S' : '-',
		row->states & SCSI_IN_UNAVAILABLE ? 'U' : '-',
		row->states & SCSI_IN_TRANSITIONING ? 'T' : '-',
		row->states & SCSI_IN_OFFLINE ? 'O' : '-', flag(row, SCSI_PASSES_UA, "ua,"),
		flag(row, SCSI_WITHOUT_LU, "no-lu,"), flag(row, SCSI_WRITES, "writes,"),
		flag(row, SCSI_BY_OTHERS, "by-others,"), flag(row, SCSI_GUARDED, "guarded,"),
		flag(row, SCSI_PASSES_RESERVE, "reserve,"), flag(row, SCSI_USES_LEDGER, "ledger,"),
		flag(row, SCSI_PASSES_SANITIZE,
			row->beside_sanitize ? "sanitize-some," : "sanitize,"),
		row->available ? "some-lus," : "", row->nominal_s, row->recommended_s, row->name);
}

static int golden_read(void **state)
{
	const char *top = getenv("top_srcdir");
	char path[512], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/unit/scsi_rows.golden", top ? top : ".");
	file = fopen(path, "r");
	if (!file) {
		return -1;
	}
	while (fgets(line, sizeof(line), file) && expected_count < ARRAY_SIZE(expected)) {
		struct golden *golden = &expected[expected_count];

		if (line[0] == '#') {
			continue;
		}
		line[strcspn(line, "\n")] = '\0';
		memcpy(golden->line, line, sizeof(line));
		golden->opcode = (uint8_t)strtoul(line, NULL, 16);
		golden->has_action = line[3] != '-';
		golden->action = golden->has_action ? (uint8_t)strtoul(line + 3, NULL, 16) : 0;
		expected_count++;
	}
	fclose(file);
	return 0;
}

static void table_is_the_golden_list(void **state)
{
	size_t at = 0;

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		for (unsigned action = 0; action < 40; action++) {
			const struct scsi_row *row = row_at(opcode, action);
			char line[256];

			if (row) {
				row_print(row, line, sizeof(line));
				assert_true(at < expected_count);
				assert_string_equal(line, expected[at].line);
				at++;
			}
		}
	}
	assert_int_equal(at, expected_count);
}

/* Reservations and mode parameters are for a port in standby too (SPC-4 5.16.2.7). */
static bool states_describe(const struct scsi_row *row)
{
	return row->opcode == 0x15 || row->opcode == 0x55 || row->opcode == 0x5e ||
	       row->opcode == 0x5f;
}

static void row_check(const struct scsi_row *row, unsigned opcode, unsigned action)
{
	assert_non_null(row->name);
	assert_non_null(row->decode);
	assert_non_null(row->run);
	assert_int_equal(row->opcode, opcode);
	assert_int_equal(row->action, action);
	assert_int_equal(row->usage[0], opcode);
	assert_true(row->cdb_length >= 6 && row->cdb_length <= SCSI_ROW_CDB_MAX);
	assert_int_equal(row->usage[scsi_row_control_byte(row)], 0x04); /* NACA is looked at */
	for (unsigned i = row->cdb_length; i < SCSI_ROW_CDB_MAX; i++) {
		assert_int_equal(row->usage[i], 0);
	}
	if (opcode == SCSI_VARIABLE_CDB) {
		assert_int_equal(row->usage[7], row->cdb_length - 8);
		assert_int_equal(be16_get(row->usage + 8), action);
	} else if (row->has_action) {
		assert_int_equal(row->usage[1] & 0x1f, action);
	}
	/* What changes the medium is never let through by a reservation, and waits its turn; but
	 * SANITIZE is at the head of the queue (SBC-4 5.34). */
	assert_true(!(row->flags & SCSI_GUARDED) || row->flags & SCSI_WRITES);
	if (row->flags & SCSI_WRITES) {
		bool sanitizes = row->flags & SCSI_PASSES_SANITIZE;

		assert_int_equal(row->order, sanitizes ? SCSI_ORDER_FREE : SCSI_ORDER_QUEUED);
		assert_int_equal(row->where, SCSI_RUNS_OWNER);
		assert_int_equal(row->reserved, SCSI_RESERVED_CONFLICT);
		assert_true(sanitizes || row->direction == SCSI_DATA_OUT);
	}
	/* What touches the medium runs at the owner, and only there. */
	if (row->order == SCSI_ORDER_QUEUED) {
		assert_int_equal(row->where, SCSI_RUNS_OWNER);
		assert_int_equal(row->states, states_describe(row) ? SCSI_IN_STANDBY : 0);
	}
	if (row->where == SCSI_RUNS_OWNER) {
		assert_int_equal(row->flags & (SCSI_PASSES_UA | SCSI_WITHOUT_LU), 0);
	}
	assert_true(row->recommended_s >= row->nominal_s && row->nominal_s > 0);
}

static void rows_are_consistent(void **state)
{
	for (size_t i = 0; i < expected_count; i++) {
		unsigned action = expected[i].action;

		row_check(row_at(expected[i].opcode, action), expected[i].opcode, action);
	}
}

static void holes_are_refused(void **state)
{
	struct rig *rig = rig_new(1, 16 << 20);

	rig_serve(rig);
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		for (unsigned action = 0; action < 32; action++) {
			uint8_t cdb[RIG_CDB_BYTES];
			struct rig_task t;

			rig_cdb_make(cdb, opcode, action);
			if (!scsi_row_find(cdb)) {
				assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, cdb, sizeof(cdb),
							 NULL, 0),
					scsi_rows[opcode].flags & SCSI_ACTION_IS_FIELD ? 0x052400
										       : 0x052000);
			}
		}
	}
	rig_free(rig);
}

/* Does the bit belong to the service action, and so to the choice of the row? */
static bool names_action(const struct scsi_row *row, unsigned bit)
{
	if (row->opcode == SCSI_VARIABLE_CDB) {
		return bit / 8 == 8 || bit / 8 == 9;
	}
	return row->has_action && bit / 8 == 1 && bit % 8 < 5;
}

/* Each bit that the usage mask does not know is refused, with a pointer to it. */
static void reserved_bits_are_refused(void **state)
{
	struct rig *rig = rig_new(1, 16 << 20);

	rig->conf.explicit_alua = true;
	rig->conf.long_cdbs = true;
	rig_serve(rig);
	for (size_t i = 0; i < expected_count; i++) {
		unsigned action = expected[i].action;
		const struct scsi_row *row = row_at(expected[i].opcode, action);

		for (unsigned bit = 8; bit < row->cdb_length * 8u; bit++) {
			uint8_t cdb[RIG_CDB_BYTES];
			uint8_t mask = (uint8_t)(1 << bit % 8);
			bool is_naca = bit / 8 == scsi_row_control_byte(row) && mask == 0x04;
			/* The length of a longer CDB is no set of bits: all of it is wrong. */
			bool is_length = row->opcode == SCSI_VARIABLE_CDB && bit / 8 == 7;
			struct rig_task t;

			if (names_action(row, bit) || (row->usage[bit / 8] & mask && !is_naca)) {
				continue;
			}
			rig_cdb_make(cdb, row->opcode, action);
			cdb[bit / 8] |= mask;
			assert_int_equal(
				rig_do(rig, &t, rig->nexus[0], 0, cdb, sizeof(cdb), NULL, 0),
				0x052400);
			assert_int_equal(t.sense[15], is_length ? 0xc0 : 0xc8 | bit % 8);
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
	/* one of 32 bytes where they are not offered, without its extended part, and one that says
	 * it is longer than it is */
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0x7f, 0, 0, 0, 0, 0, 0, 0x18, 0, 0x12));
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_DONE);
	assert_int_equal(rig_outcome(&t), 0x052000);
	rig->conf.long_cdbs = true;
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0x7f, 0, 0, 0, 0, 0, 0, 0x18, 0, 0x12));
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_DONE);
	assert_int_equal(rig_outcome(&t), 0x052400);
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0x7f, 0, 0, 0, 0, 0, 0, 0x38, 0, 0x12));
	t.task.cdb_length = 32;
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_DONE);
	assert_int_equal(rig_outcome(&t), 0x052400);
	assert_int_equal(be16_get(t.sense + 16), 7);
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
		cmocka_unit_test(table_is_the_golden_list),
		cmocka_unit_test(rows_are_consistent),
		cmocka_unit_test(holes_are_refused),
		cmocka_unit_test(reserved_bits_are_refused),
		cmocka_unit_test(short_cdb_and_aca_are_refused),
		cmocka_unit_test(names_are_complete),
	};

	return cmocka_run_group_tests(tests, golden_read, NULL);
}
