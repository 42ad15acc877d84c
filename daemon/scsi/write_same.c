/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WRITE SAME 10 and 16 (SBC-3 5.39, 5.40): with UNMAP on a thin LU the blocks are unmapped, which
 * reads as zeros; a block of zeros (or NDOB) is written by the extent's own means; anything else by
 * writing copies of the block.
 */
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define SAME_UNMAP 0x08
#define SAME_NDOB  0x01 /* 16 only */

bool scsi_write_same_decode(struct scsi_task *task)
{
	const struct scsi_lu *lu = task->lu;
	bool ten = task->row->cdb_length == 10;

	scsi_range_decode(task);
	if (task->cdb[1] & SAME_UNMAP && !scsi_unmap_available(lu)) {
		scsi_set_cdb_field(task, 1, 3);
		return false;
	}
	/* WSNZ: a 0 that got there by mistake must not fill all the rest of the LU. */
	if (task->blocks == 0 || task->blocks > SCSI_SAME_BYTES_MAX >> lu->block_shift) {
		scsi_set_cdb_field(task, ten ? 7 : 10, -1);
		return false;
	}
	if (!scsi_range_check(task)) {
		return false;
	}
	task->out_bytes = !ten && task->cdb[1] & SAME_NDOB ? 0 : lu->block_size;
	/* One block, no more and no less: a wrong size must not fill a range with something else.
	 */
	if (task->out_bytes && task->expected_out_bytes &&
		task->expected_out_bytes != task->out_bytes) {
		scsi_set_sense(task, SENSE_INVALID_FIELD_IN_CDB);
		return false;
	}
	return true;
}

static void same_done(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);
	struct scsi_counters *count;

	if (!scsi_io_check(task, res, true)) {
		return;
	}
	count = &task->nexus->core->lus[task->lu->index].count;
	scsi_count(&count->writes, 1);
	scsi_task_finish(task);
}

static void copies_next(struct scsi_task *task);

static void copies_done(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (scsi_io_check(task, res, true)) {
		task->step++;
		copies_next(task);
	}
}

static void copies_next(struct scsi_task *task)
{
	uint64_t total = task->blocks << task->lu->block_shift;
	uint64_t begin = (uint64_t)task->step * SCSI_SAME_CHUNK;
	uint64_t bytes;

	if (begin >= total) {
		same_done(&task->io, 0);
		return;
	}
	bytes = total - begin < SCSI_SAME_CHUNK ? total - begin : SCSI_SAME_CHUNK;
	scsi_io_submit(task, EXTENT_WRITE, task->work->data,
		(task->lba << task->lu->block_shift) + begin, bytes, copies_done);
}

static void copies_start(struct scsi_task *task)
{
	uint32_t size = task->lu->block_size;

	task->work = buf_get(reactor_buffers(task->reactor), SCSI_SAME_CHUNK);
	if (!task->work) {
		task->status = SCSI_BUSY;
		scsi_task_finish(task);
		return;
	}
	for (uint32_t at = 0; at < SCSI_SAME_CHUNK; at += size) {
		memcpy(task->work->data + at, task->buf->data, size);
	}
	task->io.fua = false;
	copies_next(task);
}

static bool is_zero(const uint8_t *data, size_t n)
{
	return data[0] == 0 && memcmp(data, data + 1, n - 1) == 0;
}

void scsi_write_same_run(struct scsi_task *task)
{
	const struct scsi_lu *lu = task->lu;
	uint64_t offset = task->lba << lu->block_shift;
	uint64_t bytes = task->blocks << lu->block_shift;

	if (task->out_length < task->out_bytes) {
		scsi_set_sense(task, SENSE_AMOUNT_OF_DATA); /* not even one block came */
		scsi_task_finish(task);
	} else if (task->out_bytes && !is_zero(task->buf->data, lu->block_size)) {
		copies_start(task);
	} else if (task->cdb[1] & SAME_UNMAP) {
		scsi_io_submit(task, EXTENT_UNMAP, NULL, offset, bytes, same_done);
	} else {
		scsi_io_submit(task, EXTENT_WRITE_ZEROES, NULL, offset, bytes, same_done);
	}
}
