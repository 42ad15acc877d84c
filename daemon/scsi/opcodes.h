/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The opcode table. All that is particular to a command stands in its row: the gate, the task code
 * and REPORT SUPPORTED OPERATION CODES read it. An opcode without a row is refused.
 */
#ifndef YOKE_SCSI_OPCODES_H
#define YOKE_SCSI_OPCODES_H

#include "daemon/scsi/core.h"

/* Where a command runs. */
enum scsi_where {
	SCSI_RUNS_HERE, /* at any controller, also while its group is held */
	SCSI_RUNS_SERVED, /* at any controller, but only when the group has an owner that serves */
	SCSI_RUNS_OWNER, /* at the owner: held, run or shipped */
};
const char *scsi_where_name(enum scsi_where where);

enum scsi_direction {
	SCSI_NO_DATA,
	SCSI_DATA_IN,
	SCSI_DATA_OUT
};

/* What a reservation of another nexus does to it (SPC-4 5.13.1, table 65 and SBC-3 4.17). */
enum scsi_reserved {
	SCSI_RESERVED_ALLOWED, /* never conflicts */
	SCSI_RESERVED_READS, /* conflicts with Exclusive Access types only */
	SCSI_RESERVED_CONFLICT, /* conflicts with every type */
};

/* Task attributes: does an ORDERED task wait for it, and it for an ORDERED task? */
enum scsi_order {
	SCSI_ORDER_FREE, /* touches no medium: passes */
	SCSI_ORDER_QUEUED, /* keeps to its task attribute (SAM-5 8.6) */
};

/* ALUA states, besides the two active ones, in which a command is let through. */
enum {
	SCSI_IN_STANDBY = 1 << 0,
	SCSI_IN_UNAVAILABLE = 1 << 1,
	SCSI_IN_TRANSITIONING = 1 << 2,
	SCSI_IN_OFFLINE = 1 << 3,
};

enum {
	SCSI_PASSES_UA = 1 << 0, /* runs while a UA is pending, and leaves it (SAM-5 5.14.1) */
	SCSI_WITHOUT_LU = 1 << 1, /* has an answer for a LUN without a unit */
	SCSI_WRITES = 1 << 2, /* changes the medium: refused by a read-only LU */
	SCSI_BY_OTHERS = 1 << 3, /* does no I/O but by commands of its own: a drain of its group
				    does not wait for it */
	SCSI_GUARDED = 1 << 4, /* needs its blocks for itself while it runs (guard.h) */
	SCSI_PASSES_RESERVE = 1 << 5, /* runs beside an SPC-2 reservation (SPC-2 5.5.1) */
	SCSI_USES_LEDGER = 1 << 6, /* a reservation is looked at when its entry is applied */
	SCSI_ACTION_IS_FIELD = 1 << 7, /* with `actions`: an unknown one is a bad field */
	SCSI_PASSES_SANITIZE = 1 << 8, /* runs beside a sanitize operation (SBC-4 4.11.2), */
	/* if there is no beside_sanitize(), or it says so */
};

#define SCSI_ACTIONS	  32u /* service actions below an opcode that the table can hold */
#define SCSI_ROW_CDB_MAX  32u /* bytes of the longest CDB of a row */
#define SCSI_VARIABLE_CDB 0x7f /* the opcode whose service action stands in bytes 8 and 9 */

struct scsi_row {
	const char *name;
	/* Checks the CDB, sets out_bytes or in_bytes and buf_bytes; false with the outcome set. */
	bool (*decode)(struct scsi_task *task);
	/* Runs it; ends in scsi_task_finish(). */
	void (*run)(struct scsi_task *task);
	/* Its entry of the ledger is done, with a good result: how it goes on. NULL: it ends. */
	void (*recorded)(struct scsi_task *task);
	/* Does this LU have the command? NULL: every LU has. */
	bool (*available)(const struct scsi_lu *lu);
	/* With SCSI_PASSES_SANITIZE: does this CDB? NULL: every one. */
	bool (*beside_sanitize)(const struct scsi_task *task);
	/* For an opcode with service actions: SCSI_ACTIONS rows; then only this and `name` are set.
	 */
	const struct scsi_row *actions;
	uint8_t opcode;
	uint8_t action;
	uint8_t cdb_length;
	/* Bits that are looked at, byte by byte; any other bit set is refused. [0] and the service
	 * action hold the codes themselves, as REPORT SUPPORTED OPERATION CODES wants them; so does
	 * the ADDITIONAL CDB LENGTH of a variable length CDB. */
	uint8_t usage[SCSI_ROW_CDB_MAX];
	uint8_t where; /* enum scsi_where */
	uint8_t direction; /* enum scsi_direction */
	uint8_t reserved; /* enum scsi_reserved */
	uint8_t order; /* enum scsi_order */
	uint8_t states; /* SCSI_IN_* */
	uint16_t flags; /* SCSI_PASSES_UA... */
	uint8_t has_action;
	uint16_t nominal_s; /* command timeouts descriptor; 0 = not said */
	uint16_t recommended_s;
};

extern const struct scsi_row scsi_rows[256];
/* Below 83 and 84 (copy_rows.c). */
extern const struct scsi_row scsi_pr_in_rows[SCSI_ACTIONS];
extern const struct scsi_row scsi_pr_out_rows[SCSI_ACTIONS];
extern const struct scsi_row scsi_copy_out_rows[SCSI_ACTIONS];
extern const struct scsi_row scsi_copy_in_rows[SCSI_ACTIONS];
extern const struct scsi_row scsi_sanitize_rows[SCSI_ACTIONS]; /* below 48 (sanitize.c) */

/* The row of a CDB, of which 10 bytes are there; NULL when there is none. */
const struct scsi_row *scsi_row_find(const uint8_t *cdb);
/* Row `opcode`, and `action` below it if it has any; NULL for a hole. */
const struct scsi_row *scsi_row_get(uint8_t opcode, uint16_t action);

/* Which byte of its CDB is CONTROL: the last one, but of a variable length CDB (SPC-4 4.2.3). */
static inline unsigned scsi_row_control_byte(const struct scsi_row *row)
{
	return row->opcode == SCSI_VARIABLE_CDB ? 1 : row->cdb_length - 1u;
}

static inline bool scsi_row_uses_ledger(const struct scsi_row *row)
{
	return row->flags & SCSI_USES_LEDGER;
}

static inline bool scsi_row_is_available(const struct scsi_row *row, const struct scsi_lu *lu)
{
	return !row->available || (lu && row->available(lu));
}

#endif
