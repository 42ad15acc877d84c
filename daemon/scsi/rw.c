/* SPDX-License-Identifier: BSD-3-Clause */
/* READ and WRITE, 6 to 16 (SBC-3 5.9 to 5.13, 5.34 to 5.38), and the flag bits they share. */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/place.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define CDB_FUA 0x08 /* byte 1 of 10 and more bytes */

static bool has_fua(const struct scsi_task *task)
{
	return task->row->cdb_length > 6 && task->cdb[1] & CDB_FUA;
}

bool scsi_read_decode(struct scsi_task *task)
{
	scsi_range_decode(task);
	if (!scsi_transfer_check(task)) {
		return false;
	}
	task->in_bytes = (uint32_t)(task->blocks << task->lu->block_shift);
	task->buf_bytes = task->in_bytes;
	extent_expect(task->lu->extent, task->lba << task->lu->block_shift, task->in_bytes);
	return true;
}

static void read_done(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);
	struct scsi_counters *count;

	if (!scsi_io_check(task, res, false)) {
		return;
	}
	count = &task->nexus->core->lus[task->lu->index].count;
	scsi_count(&count->reads, 1);
	scsi_count(&count->read_bytes, task->in_bytes);
	task->in_length = task->in_bytes;
	scsi_task_finish(task);
}

static void read_submit(struct scsi_task *task)
{
	if (scsi_place_take(task)) {
		read_done(&task->io, 0);
		return;
	}
	scsi_io_submit(task, EXTENT_READ, task->buf->data, task->lba << task->lu->block_shift,
		task->in_bytes, read_done);
}

static void read_flushed(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (scsi_io_check(task, res, true)) {
		read_submit(task);
	}
}

void scsi_read_run(struct scsi_task *task)
{
	if (task->blocks == 0) {
		scsi_task_finish(task);
	} else if (has_fua(task) && task->lu->info.volatile_cache && !task->lu->conf->read_only) {
		/* What a FUA read returns is on the medium. */
		scsi_io_submit(task, EXTENT_FLUSH, NULL, 0, 0, read_flushed);
	} else {
		read_submit(task);
	}
}

bool scsi_write_decode(struct scsi_task *task)
{
	scsi_range_decode(task);
	if (!scsi_transfer_check(task)) {
		return false;
	}
	task->out_bytes = (uint32_t)(task->blocks << task->lu->block_shift);
	return true;
}

void scsi_write_run(struct scsi_task *task)
{
	/* When the initiator sent less than the CDB says, the whole blocks that came are written.
	 */
	uint64_t bytes = task->out_length & ~(uint64_t)(task->lu->block_size - 1);

	if (bytes > task->out_bytes) {
		bytes = task->out_bytes;
	}
	if (bytes == 0) {
		scsi_task_finish(task);
		return;
	}
	task->io.fua = has_fua(task);
	scsi_io_submit(task, EXTENT_WRITE, task->buf->data, task->lba << task->lu->block_shift,
		bytes, scsi_write_done);
}
