/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that no other may see half done: COMPARE AND WRITE (SBC-3 5.2), ORWRITE(16) (5.7) and
 * WRITE ATOMIC(16) (SBC-4 5.38). Their rows are SCSI_GUARDED: nothing else touches the blocks from
 * the read to the end of the write.
 */
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/intent.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define CDB_FUA 0x08 /* byte 1 */

/*
 * Half of a change would be worse than none, and who sends more than the CDB says means something
 * else (256 blocks, say, in one byte).
 */
static bool has_all_data(struct scsi_task *task)
{
	if (task->expected_out_bytes && task->expected_out_bytes != task->out_bytes) {
		scsi_set_sense(task, SENSE_INVALID_FIELD_IN_CDB);
		return false;
	}
	return true;
}

/* Ends a run() that cannot begin; true when it can. */
static bool begin(struct scsi_task *task, bool work)
{
	if (task->blocks == 0) {
		scsi_task_finish(task);
		return false;
	}
	if (task->out_length < task->out_bytes) {
		scsi_set_sense(task, SENSE_AMOUNT_OF_DATA);
		scsi_task_finish(task);
		return false;
	}
	if (work) {
		task->work = buf_get(
			reactor_buffers(task->reactor), task->blocks << task->lu->block_shift);
		if (!task->work && task->rerun) {
			scsi_task_requeue_later(task); /* BUSY would say that it was not done */
			return false;
		}
		if (!task->work) {
			task->status = SCSI_BUSY;
			scsi_task_finish(task);
			return false;
		}
	}
	return true;
}

/* The whole range, at once. */
static void submit(struct scsi_task *task, enum extent_op op, uint8_t *data,
	void (*done)(struct extent_io *io, int res))
{
	task->io.fua = op == EXTENT_WRITE && task->cdb[1] & CDB_FUA;
	scsi_io_submit(task, op, data, task->lba << task->lu->block_shift,
		task->blocks << task->lu->block_shift, done);
}

/* ----- COMPARE AND WRITE -----------------------------------------------------------------------
 */

bool scsi_compare_write_decode(struct scsi_task *task)
{
	task->lba = be64_get(task->cdb + 2);
	task->blocks = task->cdb[13];
	if (task->blocks > SCSI_COMPARE_BLOCKS_MAX) {
		scsi_set_cdb_field(task, 13, -1);
		return false;
	}
	if (!scsi_range_check(task)) {
		return false;
	}
	task->out_bytes = (uint32_t)(2 * task->blocks << task->lu->block_shift);
	return has_all_data(task);
}

static void compare_read(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);
	uint64_t bytes = task->blocks << task->lu->block_shift;
	const uint8_t *medium, *expected;
	uint64_t at = 0;

	if (!scsi_io_check(task, res, false)) {
		return;
	}
	medium = task->work->data;
	expected = task->buf->data;
	if (memcmp(medium, expected, bytes) == 0) {
		/* From here on it may have been done although nobody was told: see below. */
		task->rerun = true;
		submit(task, EXTENT_WRITE, task->buf->data + bytes, scsi_write_done);
		return;
	}
	/*
	 * A command that runs again because its owner was lost may have done its work there, and
	 * then it must not trip over it: a host would take the lock that it has won for lost.
	 */
	if (task->rerun && memcmp(medium, expected + bytes, bytes) == 0) {
		submit(task, EXTENT_WRITE, task->buf->data + bytes, scsi_write_done);
		return;
	}
	while (medium[at] == expected[at]) {
		at++;
	}
	scsi_set_sense_information(task, SENSE_MISCOMPARE, at);
	scsi_task_finish(task);
}

void scsi_compare_write_run(struct scsi_task *task)
{
	if (begin(task, true)) {
		submit(task, EXTENT_READ, task->work->data, compare_read);
	}
}

/* ----- ORWRITE ---------------------------------------------------------------------------------
 */

bool scsi_orwrite_decode(struct scsi_task *task)
{
	scsi_range_decode(task);
	if (!scsi_transfer_check(task)) {
		return false;
	}
	task->out_bytes = (uint32_t)(task->blocks << task->lu->block_shift);
	return has_all_data(task);
}

static void orwrite_read(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (!scsi_io_check(task, res, false)) {
		return;
	}
	for (uint32_t i = 0; i < task->out_bytes; i++) {
		task->work->data[i] |= task->buf->data[i];
	}
	submit(task, EXTENT_WRITE, task->work->data, scsi_write_done);
}

void scsi_orwrite_run(struct scsi_task *task)
{
	if (begin(task, true)) {
		submit(task, EXTENT_READ, task->work->data, orwrite_read);
	}
}

/* ----- WRITE ATOMIC ----------------------------------------------------------------------------
 */

/* Where the store does not promise that a write is never cut in half, the ledger does it. */
static bool store_is_atomic(const struct scsi_lu *lu)
{
	return lu->info.atomic_bytes >= lu->block_size;
}

uint32_t scsi_atomic_bytes(const struct scsi_lu *lu)
{
	if (store_is_atomic(lu)) {
		return lu->info.atomic_bytes;
	}
	return lu->scsi->ledger ? SCSI_INTENT_BYTES_MAX : 0;
}

bool scsi_write_atomic_available(const struct scsi_lu *lu)
{
	return scsi_atomic_bytes(lu) > 0;
}

/*
 * With an ATOMIC BOUNDARY each piece between two boundaries must be atomic by itself; all of it in
 * one is more than that. The boundary is checked against what VPD page B0 says.
 */
bool scsi_write_atomic_decode(struct scsi_task *task)
{
	uint64_t most = scsi_atomic_bytes(task->lu) >> task->lu->block_shift;

	task->lba = be64_get(task->cdb + 2);
	task->blocks = be16_get(task->cdb + 12);
	if (!scsi_range_check(task)) {
		return false;
	}
	if (task->blocks > most) {
		scsi_set_cdb_field(task, 12, -1);
		return false;
	}
	if (be16_get(task->cdb + 10) > most) {
		scsi_set_cdb_field(task, 10, -1);
		return false;
	}
	task->out_bytes = (uint32_t)(task->blocks << task->lu->block_shift);
	return has_all_data(task);
}

void scsi_write_atomic_run(struct scsi_task *task)
{
	if (!begin(task, false)) {
		return;
	}
	if (store_is_atomic(task->lu)) {
		submit(task, EXTENT_WRITE, task->buf->data, scsi_write_done);
	} else {
		scsi_intent_write(task);
	}
}
