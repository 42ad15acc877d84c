/* SPDX-License-Identifier: BSD-3-Clause */
/* READ CAPACITY 10 and 16 (SBC-3 5.15, 5.16), READ DEFECT DATA 10 and 12 (5.17, 5.18). */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/opcodes.h"

/* Bytes 14 and 15, with the lowest aligned LBA in the other 14 bits */
#define LBPME 0x8000 /* unmapping is supported */
#define LBPRZ 0x4000 /* and unmapped blocks read as zeros */

bool scsi_capacity10_decode(struct scsi_task *task)
{
	return scsi_parameter_decode(task, 8, 8);
}

void scsi_capacity10_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);
	uint64_t last = task->lu->blocks - 1;

	cursor_put_u32(&c, last > UINT32_MAX ? UINT32_MAX : (uint32_t)last);
	cursor_put_u32(&c, task->lu->block_size);
	scsi_parameter_end(task, &c);
}

bool scsi_capacity16_decode(struct scsi_task *task)
{
	return scsi_parameter_decode(task, be32_get(task->cdb + 10), 32);
}

void scsi_capacity16_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);
	const struct scsi_lu *lu = task->lu;
	uint32_t physical = lu->conf->physical_block_size;

	cursor_put_u64(&c, lu->blocks - 1);
	cursor_put_u32(&c, lu->block_size);
	cursor_put_u8(&c, 0); /* no protection information */
	cursor_put_u8(&c, physical > lu->block_size
				  ? (uint8_t)(__builtin_ctz(physical) - lu->block_shift)
				  : 0);
	cursor_put_u16(&c, (uint16_t)((scsi_unmap_available(lu) ? LBPME | LBPRZ : 0) |
				      lu->conf->lowest_aligned_lba));
	cursor_put_zeros(&c, 16);
	scsi_parameter_end(task, &c);
}

/* ----- defects ---------------------------------------------------------------------------------
 */

#define DEFECT_LISTS  0x18 /* primary and grown */
#define DEFECT_FORMAT 0x07

/* Where the lists and the format that are asked for stand. */
static unsigned defect_byte(const struct scsi_task *task)
{
	return task->row->cdb_length == 10 ? 2 : 1;
}

bool scsi_defects_decode(struct scsi_task *task)
{
	bool ten = task->row->cdb_length == 10;

	return scsi_parameter_decode(
		task, ten ? be16_get(task->cdb + 7) : be32_get(task->cdb + 6), ten ? 4 : 8);
}

/* What lies below an extent replaces its defects by itself: both lists are there, and empty. */
void scsi_defects_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u8(&c, 0);
	cursor_put_u8(&c, task->cdb[defect_byte(task)] & (DEFECT_LISTS | DEFECT_FORMAT));
	if (task->row->cdb_length == 10) {
		cursor_put_u16(&c, 0);
	} else {
		cursor_put_u16(&c, 0); /* generation code: not supported */
		cursor_put_u32(&c, 0);
	}
	scsi_parameter_end(task, &c);
}
