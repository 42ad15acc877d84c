/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * REPORT SUPPORTED OPERATION CODES (SPC-4 6.35): the opcode table, as initiators see it. REPORT
 * SUPPORTED TASK MANAGEMENT FUNCTIONS (6.36): the table of tmf.c.
 */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define RCTD	       0x80
#define OPTIONS_MASK   0x07
#define ALL_CTDP       0x02
#define ALL_SERVACTV   0x01
#define ONE_CTDP       0x80
#define SUPPORT_NO     0x01
#define SUPPORT_YES    0x03
#define TIMEOUT_BYTES  12
#define ROW_BYTES_MOST (8 + TIMEOUT_BYTES) /* of ALL; a CDB of 32 bytes fits into the rest */
#define ROWS_MOST      256 /* more than the table has; the cursor would tell */

enum {
	OPTION_ALL = 0,
	OPTION_OPCODE = 1,
	OPTION_ACTION = 2,
	OPTION_EITHER = 3
};

bool scsi_rsoc_decode(struct scsi_task *task)
{
	const uint8_t *cdb = task->cdb;
	unsigned option = cdb[2] & OPTIONS_MASK;
	bool has_actions = scsi_rows[cdb[3]].actions != NULL;

	if (option > OPTION_EITHER) {
		scsi_set_cdb_field(task, 2, 2);
		return false;
	}
	if ((option == OPTION_OPCODE && has_actions) ||
		(option == OPTION_ACTION && !has_actions && scsi_rows[cdb[3]].name)) {
		scsi_set_cdb_field(task, 2, 2);
		return false;
	}
	return scsi_parameter_decode(task, be32_get(cdb + 6), 4 + ROWS_MOST * ROW_BYTES_MOST);
}

/* Command timeouts descriptor (SPC-4 6.35.4). */
static void timeout_put(struct cursor *c, const struct scsi_row *row)
{
	cursor_put_u16(c, TIMEOUT_BYTES - 2);
	cursor_put_u16(c, 0);
	cursor_put_u32(c, row->nominal_s);
	cursor_put_u32(c, row->recommended_s);
}

static void all_row_put(const struct scsi_task *task, struct cursor *c, const struct scsi_row *row)
{
	bool timeouts = task->cdb[2] & RCTD;

	if (!row || !scsi_row_is_available(row, task->lu)) {
		return;
	}
	cursor_put_u8(c, row->opcode);
	cursor_put_u8(c, 0);
	cursor_put_u16(c, row->action);
	cursor_put_u8(c, 0);
	cursor_put_u8(
		c, (uint8_t)((timeouts ? ALL_CTDP : 0) | (row->has_action ? ALL_SERVACTV : 0)));
	cursor_put_u16(c, row->cdb_length);
	if (timeouts) {
		timeout_put(c, row);
	}
}

static void all_put(const struct scsi_task *task, struct cursor *c)
{
	cursor_put_u32(c, 0);
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		unsigned actions = scsi_rows[opcode].actions ? SCSI_ACTIONS : 1;

		for (unsigned action = 0; action < actions; action++) {
			all_row_put(task, c, scsi_row_get((uint8_t)opcode, (uint16_t)action));
		}
	}
	if (cursor_ok(c)) {
		be32_put(c->base, (uint32_t)(c->pos - 4));
	}
}

static void one_put(const struct scsi_task *task, struct cursor *c)
{
	const uint8_t *cdb = task->cdb;
	uint16_t action = (cdb[2] & OPTIONS_MASK) == OPTION_OPCODE ? 0 : be16_get(cdb + 4);
	const struct scsi_row *row = scsi_row_get(cdb[3], action);
	bool timeouts = cdb[2] & RCTD;

	if (!row || !scsi_row_is_available(row, task->lu)) {
		cursor_put_u8(c, 0);
		cursor_put_u8(c, SUPPORT_NO);
		cursor_put_u16(c, 0);
		return;
	}
	cursor_put_u8(c, 0);
	cursor_put_u8(c, (uint8_t)(SUPPORT_YES | (timeouts ? ONE_CTDP : 0)));
	cursor_put_u16(c, row->cdb_length);
	cursor_put_bytes(c, row->usage, row->cdb_length);
	if (timeouts) {
		timeout_put(c, row);
	}
}

void scsi_rsoc_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);

	if ((task->cdb[2] & OPTIONS_MASK) == OPTION_ALL) {
		all_put(task, &c);
	} else {
		one_put(task, &c);
	}
	scsi_parameter_end(task, &c);
}

/* ----- task management functions ---------------------------------------------------------------
 */

#define REPD	       0x80
#define RSTMF_BYTES    4
#define RSTMF_EXTENDED 16

static const struct {
	uint8_t function; /* enum scsi_tmf_function */
	uint8_t byte;
	uint8_t bit;
} tmf_bits[] = {
	{SCSI_TMF_ABORT_TASK, 0, 0x80},
	{SCSI_TMF_ABORT_TASK_SET, 0, 0x40},
	{SCSI_TMF_CLEAR_ACA, 0, 0x20},
	{SCSI_TMF_CLEAR_TASK_SET, 0, 0x10},
	{SCSI_TMF_LU_RESET, 0, 0x08},
	{SCSI_TMF_QUERY_TASK, 0, 0x04},
	{SCSI_TMF_TARGET_WARM_RESET, 0, 0x02},
	{SCSI_TMF_QUERY_ASYNC_EVENT, 1, 0x04},
	{SCSI_TMF_QUERY_TASK_SET, 1, 0x02},
	{SCSI_TMF_I_T_NEXUS_RESET, 1, 0x01},
};

bool scsi_rstmf_decode(struct scsi_task *task)
{
	uint32_t allocation = be32_get(task->cdb + 6);

	if (allocation < RSTMF_BYTES) {
		scsi_set_cdb_field(task, 6, -1);
		return false;
	}
	return scsi_parameter_decode(task, allocation, RSTMF_EXTENDED);
}

void scsi_rstmf_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);
	uint8_t bits[2] = {0, 0};
	bool extended = task->cdb[2] & REPD;

	for (size_t i = 0; i < ARRAY_SIZE(tmf_bits); i++) {
		if (scsi_tmf_is_supported((enum scsi_tmf_function)tmf_bits[i].function)) {
			bits[tmf_bits[i].byte] |= tmf_bits[i].bit;
		}
	}
	cursor_put_bytes(&c, bits, 2);
	cursor_put_u8(&c, 0);
	cursor_put_u8(&c, extended ? RSTMF_EXTENDED - RSTMF_BYTES : 0);
	if (extended) {
		/* No time-outs are told: their flags and values stay 0. */
		cursor_put_zeros(&c, RSTMF_EXTENDED - RSTMF_BYTES);
	}
	scsi_parameter_end(task, &c);
}
