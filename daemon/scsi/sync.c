/* SPDX-License-Identifier: BSD-3-Clause */
/* SYNCHRONIZE CACHE 10 and 16 (SBC-3 5.22, 5.23) and START STOP UNIT (SBC-3 5.20). */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define START_STOP_START 0x01

/* 0 blocks means up to the last one. IMMED is honoured by not making use of it. */
bool scsi_sync_decode(struct scsi_task *task)
{
	scsi_range_decode(task);
	return scsi_range_check(task);
}

static void sync_done(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (scsi_io_check(task, res, true)) {
		scsi_task_finish(task);
	}
}

void scsi_sync_run(struct scsi_task *task)
{
	if (!task->lu->info.volatile_cache || task->lu->conf->read_only) {
		scsi_task_finish(task); /* nothing is ever kept back */
		return;
	}
	scsi_io_submit(task, EXTENT_FLUSH, NULL, 0, 0, sync_done);
}

/* The medium is always started. Stopping it would take it away from every other host: refused. */
bool scsi_start_stop_decode(struct scsi_task *task)
{
	if (!(task->cdb[4] & START_STOP_START)) {
		scsi_set_cdb_field(task, 4, 0);
		return false;
	}
	return true;
}

void scsi_start_stop_run(struct scsi_task *task)
{
	scsi_task_finish(task);
}
