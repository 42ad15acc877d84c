/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERIFY 10, 12 and 16 (SBC-3 5.29 to 5.31), WRITE AND VERIFY 10, 12 and 16 (5.42 to 5.44) and
 * PRE-FETCH 10 and 16 (5.8, 5.9): all read blocks, in pieces, and bring none to the initiator.
 * BYTCHK 00b only reads, 01b compares with the data-out, 11b compares every block with the one
 * block of data-out (VERIFY alone).
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
#define BYTCHK_ONE   0x06

static bool compares_one(const struct scsi_task *task)
{
	return (task->cdb[1] & BYTCHK_MASK) == BYTCHK_ONE;
}

static bool limit_check(struct scsi_task *task)
{
	if (task->blocks > SCSI_SAME_BYTES_MAX >> task->lu->block_shift) {
		scsi_set_sense(task, SENSE_INVALID_FIELD_IN_CDB);
		return false;
	}
	return scsi_range_check(task);
}

bool scsi_verify_decode(struct scsi_task *task)
{
	scsi_range_decode(task);
	switch (task->cdb[1] & BYTCHK_MASK) {
	case BYTCHK_NONE:
		return limit_check(task);
	case BYTCHK_ONE:
		task->out_bytes = task->blocks ? task->lu->block_size : 0;
		return limit_check(task);
	case BYTCHK_EQUAL:
		task->out_bytes = (uint32_t)(task->blocks << task->lu->block_shift);
		return scsi_transfer_check(task);
	}
	scsi_set_cdb_field(task, 1, 2);
	return false;
}

/* How many bytes are read; of data-out that came short only the whole blocks. */
static uint64_t total_bytes(const struct scsi_task *task)
{
	if (!task->out_bytes || compares_one(task)) {
		return task->blocks << task->lu->block_shift;
	}
	return task->out_length & ~(uint64_t)(task->lu->block_size - 1);
}

/* The bytes still to do, in pieces that fit into the work buffer; task->step counts pieces. */
static uint64_t piece_bytes(const struct scsi_task *task)
{
	uint64_t total = total_bytes(task);
	uint64_t begin = (uint64_t)task->step * SCSI_SAME_CHUNK;

	if (begin >= total) {
		return 0;
	}
	return total - begin < SCSI_SAME_CHUNK ? total - begin : SCSI_SAME_CHUNK;
}

/* Compares a piece with `expected`; false with MISCOMPARE, `begin` bytes into the range. */
static bool equal_check(struct scsi_task *task, const uint8_t *expected, uint64_t begin,
	const uint8_t *data, uint64_t bytes)
{
	uint64_t at = 0;

	if (memcmp(data, expected, bytes) == 0) {
		return true;
	}
	while (data[at] == expected[at]) {
		at++;
	}
	scsi_set_sense_information(task, SENSE_MISCOMPARE, begin + at);
	return false;
}

static bool piece_check(struct scsi_task *task, uint64_t bytes)
{
	uint64_t begin = (uint64_t)task->step * SCSI_SAME_CHUNK;
	uint32_t block = task->lu->block_size;

	switch (task->cdb[1] & BYTCHK_MASK) {
	case BYTCHK_EQUAL:
		return equal_check(task, task->buf->data + begin, begin, task->work->data, bytes);
	case BYTCHK_ONE:
		for (uint64_t at = 0; at < bytes; at += block) {
			if (!equal_check(task, task->buf->data, begin + at, task->work->data + at,
				    block)) {
				return false;
			}
		}
		break;
	}
	return true;
}

static void verify_next(struct scsi_task *task, void (*done)(struct extent_io *io, int res))
{
	uint64_t bytes = piece_bytes(task);

	if (bytes == 0) {
		scsi_task_finish(task);
		return;
	}
	scsi_io_submit(task, EXTENT_READ, task->work->data,
		(task->lba << task->lu->block_shift) + (uint64_t)task->step * SCSI_SAME_CHUNK,
		bytes, done);
}

static void verify_done(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (!scsi_io_check(task, res, false)) {
		return;
	}
	if (!piece_check(task, piece_bytes(task))) {
		scsi_task_finish(task);
		return;
	}
	task->step++;
	verify_next(task, verify_done);
}

/* Ends a run() that has nothing to do or no memory; true when it can begin. */
static bool begin(struct scsi_task *task)
{
	uint64_t bytes = piece_bytes(task);

	if (bytes == 0) {
		scsi_task_finish(task);
		return false;
	}
	if (compares_one(task) && task->out_length < task->out_bytes) {
		scsi_set_sense(task, SENSE_AMOUNT_OF_DATA);
		scsi_task_finish(task);
		return false;
	}
	task->work = buf_get(reactor_buffers(task->reactor), bytes);
	if (!task->work) {
		task->status = SCSI_BUSY;
		scsi_task_finish(task);
		return false;
	}
	return true;
}

void scsi_verify_run(struct scsi_task *task)
{
	if (begin(task)) {
		verify_next(task, verify_done);
	}
}

/* ----- WRITE AND VERIFY ------------------------------------------------------------------------
 */

bool scsi_write_verify_decode(struct scsi_task *task)
{
	scsi_range_decode(task);
	if (task->cdb[1] & BYTCHK_MASK & ~BYTCHK_EQUAL) {
		scsi_set_cdb_field(task, 1, 2);
		return false;
	}
	if (!scsi_transfer_check(task)) {
		return false;
	}
	task->out_bytes = (uint32_t)(task->blocks << task->lu->block_shift);
	return true;
}

static void written(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (scsi_write_check(task, res)) {
		verify_next(task, verify_done);
	}
}

/* On the medium first: what a cache would give back verifies nothing. */
void scsi_write_verify_run(struct scsi_task *task)
{
	if (!begin(task)) {
		return;
	}
	task->io.fua = true;
	scsi_io_submit(task, EXTENT_WRITE, task->buf->data, task->lba << task->lu->block_shift,
		total_bytes(task), written);
}

/* ----- PRE-FETCH -------------------------------------------------------------------------------
 */

/* IMMED is honoured by not making use of it; 0 blocks means up to the last one. */
bool scsi_prefetch_decode(struct scsi_task *task)
{
	scsi_range_decode(task);
	if (!scsi_range_check(task)) {
		return false;
	}
	if (task->blocks == 0) {
		task->blocks = task->lu->blocks - task->lba;
	}
	return true;
}

static void prefetch_done(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (!scsi_io_check(task, res, false)) {
		return;
	}
	task->step++;
	if (piece_bytes(task) == 0) {
		task->status = SCSI_CONDITION_MET;
	}
	verify_next(task, prefetch_done);
}

/* CONDITION MET when all of it is in a cache now. Direct I/O has none, and a cache has an end. */
void scsi_prefetch_run(struct scsi_task *task)
{
	if (task->lu->info.direct ||
		task->blocks > SCSI_PREFETCH_BYTES_MAX >> task->lu->block_shift) {
		scsi_task_finish(task);
	} else if (begin(task)) {
		verify_next(task, prefetch_done);
	}
}
