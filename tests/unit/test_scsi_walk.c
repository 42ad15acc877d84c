/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every opcode with every service action, at LUs that can be written and one that cannot, at the
 * owner and at the other controller: refused as what it is or run, and the same at both. And every
 * answer is made of bytes that somebody wrote.
 */
#include <stdio.h>
#include <stdlib.h>

#include "scsi_pair.h"

#define ACTIONS	 SCSI_ACTIONS
#define LUNS	 4 /* of the rig: thin, 4096-byte blocks, read-only; the last has no unit */
#define LUN_NONE 77
#define LUN_RO	 2

static const unsigned luns[LUNS] = {0, 1, LUN_RO, LUN_NONE};

/* ----- the walk --------------------------------------------------------------------------------
 */

struct outcomes {
	uint32_t outcome[ACTIONS];
	uint32_t in_length[ACTIONS];
};

/* All service actions of an opcode by one host in a world of its own. */
static void walk_opcode(unsigned host, unsigned opcode, unsigned lun, struct outcomes *got)
{
	struct pair *pair = pair_new();

	for (unsigned action = 0; action < ACTIONS; action++) {
		uint8_t cdb[RIG_CDB_BYTES];
		struct rig_task t;

		rig_cdb_make(cdb, opcode, action);
		got->outcome[action] = pair_do(pair, &t, host, lun, cdb, sizeof(cdb), NULL, 0);
		got->in_length[action] = t.in_length;
	}
	pair_free(pair);
}

static bool has_row(unsigned opcode)
{
	for (unsigned action = 0; action < ACTIONS; action++) {
		if (scsi_row_get((uint8_t)opcode, (uint16_t)action)) {
			return true;
		}
	}
	return false;
}

/* What must come of a command with nothing but opcode and service action in its CDB. */
static void outcome_check(unsigned opcode, unsigned action, unsigned lun, uint32_t outcome)
{
	const struct scsi_row *row = scsi_row_get((uint8_t)opcode, (uint16_t)action);
	bool right;

	if (!scsi_rows[opcode].actions) {
		row = scsi_row_get((uint8_t)opcode, 0); /* byte 1 is none of its name */
	}
	if (lun == LUN_NONE && !(row && row->flags & SCSI_WITHOUT_LU)) {
		right = outcome == 0x052500;
	} else if (!row) {
		right = outcome == 0x052000 || outcome == 0x052400;
	} else if (outcome == 0x052000) {
		right = row->available; /* some LUs have the command, this one has not */
	} else if (!row->has_action && action & ~row->usage[1]) {
		right = outcome == 0x052400;
	} else if (row->flags & SCSI_WRITES && lun == LUN_RO) {
		right = outcome == 0x072700;
	} else {
		right = true;
	}
	if (!right) {
		fail_msg("%02x/%02x at LUN %u: %06x", opcode, action, lun, outcome);
	}
}

static void every_opcode_at_both_controllers(void **state)
{
	static struct outcomes at_owner, elsewhere;

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		for (unsigned i = 0; i < LUNS; i++) {
			if (!has_row(opcode) && luns[i] == 1) {
				continue; /* a hole is one at any size of blocks */
			}
			walk_opcode(A, opcode, luns[i], &at_owner);
			walk_opcode(B, opcode, luns[i], &elsewhere);
			for (unsigned action = 0; action < ACTIONS; action++) {
				uint32_t outcome = at_owner.outcome[action];

				if (outcome != elsewhere.outcome[action]) {
					fail_msg("%02x/%02x at LUN %u: owner %06x, other %06x",
						opcode, action, luns[i], outcome,
						elsewhere.outcome[action]);
				}
				assert_int_equal(
					at_owner.in_length[action], elsewhere.in_length[action]);
				outcome_check(opcode, action, luns[i], outcome);
			}
		}
	}
}

/* ----- nothing uninitialised -------------------------------------------------------------------
 */

#define PATTERNS 3
static const uint8_t patterns[PATTERNS] = {0x00, 0xff, 0xa5};

/* Free buffers are full of `pattern`, and so is the stack that the next calls will use. */
static void __attribute__((noinline)) poison(struct pair *pair, uint8_t pattern)
{
	volatile uint8_t stack[32768];

	for (size_t i = 0; i < sizeof(stack); i++) {
		stack[i] = pattern;
	}
	for (unsigned r = 0; r < 2 * RIG_REACTORS; r++) {
		struct buf_pool *pool =
			reactor_buffers(pair->rigs[r / 2]->reactors[r % RIG_REACTORS]);

		for (uint32_t bytes = 4096; bytes <= 256 << 10; bytes *= 4) {
			struct buf *taken[2];

			for (unsigned i = 0; i < 2; i++) {
				taken[i] = buf_get(pool, bytes);
				assert_non_null(taken[i]);
				memset(taken[i]->data, pattern, taken[i]->size);
			}
			buf_put(pool, taken[0]);
			buf_put(pool, taken[1]);
		}
	}
}

/* A byte that is the poison, whatever the poison is, was never written. */
static void bytes_check(
	const uint8_t *cdb, const char *what, uint32_t length, const uint8_t *got[PATTERNS])
{
	for (uint32_t i = 0; i < length; i++) {
		bool left = true;

		for (unsigned p = 0; p < PATTERNS; p++) {
			left = left && got[p][i] == patterns[p];
		}
		if (left) {
			fail_msg("%02x/%02x %02x %02x: byte %u of the %s is left over", cdb[0],
				cdb[1], cdb[2], cdb[3], i, what);
		}
	}
}

static void answer_check(struct pair *pair, unsigned host, unsigned lun, const uint8_t *cdb)
{
	static struct rig_task t[PATTERNS];
	const uint8_t *in[PATTERNS], *sense[PATTERNS];
	uint32_t in_length = UINT32_MAX, sense_length = UINT32_MAX;

	for (unsigned p = 0; p < PATTERNS; p++) {
		rig_task_set(&t[p], pair->nexus[host], lun, cdb, RIG_CDB_BYTES);
		poison(pair, patterns[p]);
		rig_task_go(&t[p], NULL, 0);
		pair_run(pair);
		assert_int_equal(t[p].dones, 1);
		in_length = t[p].in_length < in_length ? t[p].in_length : in_length;
		sense_length = t[p].sense_length < sense_length ? t[p].sense_length : sense_length;
		in[p] = t[p].in;
		sense[p] = t[p].sense;
	}
	in_length = in_length < sizeof(t[0].in) ? in_length : sizeof(t[0].in);
	bytes_check(cdb, "data", in_length, in);
	bytes_check(cdb, "sense", sense_length, sense);
}

/* The allocation length, wherever the row has one, is large; so are transfer lengths of reads. */
static void lengths_set(const struct scsi_row *row, uint8_t *cdb)
{
	static const struct {
		uint8_t opcode, byte;
	} places[] = {{0x03, 4}, {0x08, 4}, {0x12, 4}, {0x1a, 4}, {0x1c, 4}, {0x28, 8}, {0x37, 8},
		{0x3c, 7}, {0x4d, 7}, {0x5a, 7}, {0x5e, 7}, {0x7f, 30}, {0x84, 12}, {0x88, 13},
		{0x9e, 12}, {0xa0, 8}, {0xa3, 8}, {0xa8, 9}, {0xb7, 8}};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (places[i].opcode == row->opcode) {
			cdb[places[i].byte] = row->cdb_length == 6 ? 0xff : 0x04;
			return;
		}
	}
	if (row->opcode != 0x25) { /* READ CAPACITY(10) has none */
		fail_msg("where is the allocation length of %s?", row->name);
	}
}

/* Every row that sends data, with every value of the byte that chooses what (page, index, form). */
static void no_byte_of_an_answer_is_left_over(void **state)
{
	struct pair *pair = pair_new();

	assert_int_equal(pair_pr(pair, C, 0, 0, 0, 0x1234, 0), SCSI_GOOD);
	pair_calm(pair);
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		for (unsigned action = 0; action < ACTIONS; action++) {
			const struct scsi_row *row =
				scsi_row_get((uint8_t)opcode, (uint16_t)action);

			for (unsigned choice = 0; choice < 256 && row; choice++) {
				uint8_t cdb[RIG_CDB_BYTES];

				rig_cdb_make(cdb, opcode, action);
				if (row->direction != SCSI_DATA_IN) {
					break;
				}
				lengths_set(row, cdb);
				if (!row->has_action) {
					cdb[1] = opcode == 0x12 && choice ? 1 : 0;
				}
				cdb[2] = (uint8_t)choice & row->usage[2];
				answer_check(pair, A, choice % 3, cdb);
				answer_check(pair, B, choice % 3, cdb);
				if (!row->usage[2]) {
					break;
				}
			}
		}
	}
	pair_free(pair);
}

/* REPORT SUPPORTED OPERATION CODES of each opcode and service action, in each form. */
static void every_index_of_rsoc(void **state)
{
	struct pair *pair = pair_new();

	for (unsigned form = 0; form < 4; form++) {
		for (unsigned opcode = 0; opcode < 256; opcode++) {
			unsigned actions = form >= 2 && has_row(opcode) ? ACTIONS : 1;

			for (unsigned action = 0; action < actions; action++) {
				uint8_t cdb[RIG_CDB_BYTES] = {0xa3, 0x0c, (uint8_t)(0x80 | form),
					(uint8_t)opcode, 0, (uint8_t)action, 0, 0, 0x10, 0};

				answer_check(pair, A, opcode % 3, cdb);
			}
		}
	}
	pair_free(pair);
}

/* Sense data of refusals, in both formats, and a shipped one. */
static void no_byte_of_sense_is_left_over(void **state)
{
	struct pair *pair = pair_new();

	for (unsigned form = 0; form < 2; form++) {
		for (unsigned opcode = 0; opcode < 256; opcode++) {
			uint8_t cdb[RIG_CDB_BYTES] = {(uint8_t)opcode, 0x1f, 0xff, 0xff, 0xff, 0xff,
				0xff, 0xff, 0xff, 0xff};

			answer_check(pair, A, 0, cdb);
			answer_check(pair, B, 0, cdb);
		}
		if (form == 0) {
			struct rig_task t;
			uint8_t list[16] = {0};

			assert_int_equal(pair_do(pair, &t, A, 0,
						 RIG_CDB(0x1a, 0x08, 0x0a, 0, 16, 0), NULL, 0),
				SCSI_GOOD);
			memcpy(list + 4, t.in + 4, 12);
			list[4] &= 0x3f;
			list[6] |= 0x04; /* D_SENSE */
			assert_int_equal(
				pair_do(pair, &t, A, 0, RIG_CDB(0x15, 0x10, 0, 0, 16, 0), list, 16),
				SCSI_GOOD);
			pair_calm(pair);
		}
	}
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_opcode_at_both_controllers),
		cmocka_unit_test(no_byte_of_an_answer_is_left_over),
		cmocka_unit_test(every_index_of_rsoc),
		cmocka_unit_test(no_byte_of_sense_is_left_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
