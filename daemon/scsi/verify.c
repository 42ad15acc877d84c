/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERIFY 10, 12 and 16 (SBC-3 5.29 to 5.31). BYTCHK 00b reads the blocks, BYTCHK 01b compares them
 * with the data-out.
 */
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define BYTCHK_MASK  0x06
#define BYTCHK_NONE  0x00
#define BYTCHK_EQUAL 0x02

bool scsi_verify_decode(struct scsi_task *task)
{
	uint8_t check = task->cdb[1] & BYTCHK_MASK;

	scsi_range_decode(task);
	if (check != BYTCHK_NONE && check != BYTCHK_EQUAL) {
		scsi_set_cdb_field(task, 1, 2);
		return false;
	}
	if (check == BYTCHK_NONE) {
		if (task->blocks > SCSI_SAME_BYTES_MAX >> task->lu->block_shift) {
			scsi_set_sense(task, SENSE_INVALID_FIELD_IN_CDB);
			return false;
		}
		return scsi_range_check(task);
	}
	if (!scsi_transfer_check(task)) {
		return false;
	}
	task->out_bytes = (uint32_t)(task->blocks << task->lu->block_shift);
	return true;
}

/* The blocks still to do, in pieces that fit into the work buffer; task->step counts pieces. */
static uint64_t piece_bytes(const struct scsi_task *task)
{
	uint64_t total = task->out_bytes ? task->out_length & ~(uint64_t)(task->lu->block_size - 1)
					 : task->blocks << task->lu->block_shift;
	uint64_t begin = (uint64_t)task->step * SCSI_SAME_CHUNK;

	if (begin >= total) {
		return 0;
	}
	return total - begin < SCSI_SAME_CHUNK ? total - begin : SCSI_SAME_CHUNK;
}

static void verify_next(struct scsi_task *task);

static void verify_done(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);
	uint64_t begin = (uint64_t)task->step * SCSI_SAME_CHUNK;
	uint64_t bytes;

	if (!scsi_io_check(task, res, false)) {
		return;
	}
	bytes = piece_bytes(task);
	if (task->out_bytes && memcmp(task->work->data, task->buf->data + begin, bytes) != 0) {
		uint64_t at = 0;

		while (task->work->data[at] == task->buf->data[begin + at]) {
			at++;
		}
		scsi_set_sense_information(task, SENSE_MISCOMPARE, begin + at);
		scsi_task_finish(task);
		return;
	}
	task->step++;
	verify_next(task);
}

static void verify_next(struct scsi_task *task)
{
	uint64_t bytes = piece_bytes(task);

	if (bytes == 0) {
		scsi_task_finish(task);
		return;
	}
	scsi_io_submit(task, EXTENT_READ, task->work->data,
		(task->lba << task->lu->block_shift) + (uint64_t)task->step * SCSI_SAME_CHUNK,
		bytes, verify_done);
}

void scsi_verify_run(struct scsi_task *task)
{
	if (piece_bytes(task) == 0) {
		scsi_task_finish(task);
		return;
	}
	task->work = buf_get(reactor_buffers(task->reactor), SCSI_SAME_CHUNK);
	if (!task->work) {
		task->status = SCSI_BUSY;
		scsi_task_finish(task);
		return;
	}
	verify_next(task);
}
