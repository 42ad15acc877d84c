/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * REPORT and SET IDENTIFYING INFORMATION (SPC-4 6.32, 6.45): a few bytes that an administrator
 * writes on the LU and that every host reads back, at both controllers and after a loss of power.
 */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/snapshot.h"

#define HEADER_BYTES	4u
#define TYPE_SHIFT	1
#define TYPE_PERIPHERAL 0x00 /* peripheral device identifying information */
#define TYPE_SUPPORTED	0x7f /* which types there are */
#define ENTRY_BYTES	1024

static unsigned type_of(const struct scsi_task *task)
{
	return task->cdb[10] >> TYPE_SHIFT;
}

bool scsi_report_identifying_decode(struct scsi_task *task)
{
	if (type_of(task) != TYPE_PERIPHERAL && type_of(task) != TYPE_SUPPORTED) {
		scsi_set_cdb_field(task, 10, 7);
		return false;
	}
	return scsi_parameter_decode(
		task, be32_get(task->cdb + 6), HEADER_BYTES + SCSI_IDENTIFYING_MAX);
}

void scsi_report_identifying_run(struct scsi_task *task)
{
	const struct scsi_snapshot *snapshot = scsi_snapshot_of(task);
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u32(&c, 0);
	if (type_of(task) == TYPE_SUPPORTED) {
		cursor_put_u16(&c, TYPE_PERIPHERAL << TYPE_SHIFT << 8);
		cursor_put_u16(&c, SCSI_IDENTIFYING_MAX);
	} else if (snapshot) {
		cursor_put_bytes(&c, snapshot->state.info, snapshot->state.info_length);
	}
	if (cursor_ok(&c)) {
		be16_put(c.base + 2, (uint16_t)(c.pos - HEADER_BYTES));
	}
	scsi_parameter_end(task, &c);
}

bool scsi_set_identifying_decode(struct scsi_task *task)
{
	uint32_t length = be32_get(task->cdb + 6);

	if (type_of(task) != TYPE_PERIPHERAL) {
		scsi_set_cdb_field(task, 10, 7);
		return false;
	}
	if (length > SCSI_IDENTIFYING_MAX) {
		scsi_set_cdb_field(task, 6, -1);
		return false;
	}
	task->out_bytes = length;
	return true;
}

/* A length of 0 takes the information away. */
void scsi_set_identifying_run(struct scsi_task *task)
{
	struct scsi_entry entry = scsi_ledger_entry(task, SCSI_ENTRY_IDENTIFY);

	if (task->out_length < task->out_bytes) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		scsi_task_finish(task);
		return;
	}
	entry.info_length = (uint8_t)task->out_bytes;
	if (task->out_bytes) {
		memcpy(entry.info, task->buf->data, task->out_bytes);
	}
	scsi_ledger_record(task, &entry, ENTRY_BYTES);
}
