/* SPDX-License-Identifier: BSD-3-Clause */
/* REPORT LUNS (SPC-4 6.33). */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/sense.h"

enum {
	SELECT_ADDRESSED = 0, /* without well known LUNs */
	SELECT_WELL_KNOWN = 1, /* there is none */
	SELECT_ALL = 2,
};

bool scsi_report_luns_decode(struct scsi_task *task)
{
	uint32_t allocation = be32_get(task->cdb + 6);

	if (task->cdb[2] > SELECT_ALL) {
		scsi_set_cdb_field(task, 2, -1);
		return false;
	}
	if (allocation < 16) {
		scsi_set_cdb_field(task, 6, -1);
		return false;
	}
	return scsi_parameter_decode(task, allocation, 8 + 8 * task->nexus->target->unit_count);
}

void scsi_report_luns_run(struct scsi_task *task)
{
	const struct scsi_target *target = task->nexus->target;
	unsigned count = task->cdb[2] == SELECT_WELL_KNOWN ? 0 : target->unit_count;
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u32(&c, 8 * count);
	cursor_put_u32(&c, 0);
	for (unsigned i = 0; i < count; i++) {
		uint8_t lun[8];

		scsi_lun_encode(target->units[i].lun, lun);
		cursor_put_bytes(&c, lun, sizeof(lun));
	}
	scsi_parameter_end(task, &c);
}
