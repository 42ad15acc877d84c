/* SPDX-License-Identifier: BSD-3-Clause */
/* UNMAP (SBC-3 5.28). */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define UNMAP_HEADER 8u
#define UNMAP_RANGE  16u

bool scsi_unmap_available(const struct scsi_lu *lu)
{
	return lu->conf->thin && lu->info.unmap;
}

bool scsi_unmap_decode(struct scsi_task *task)
{
	uint16_t length = be16_get(task->cdb + 7);

	if (length > SCSI_UNMAP_LIST_MAX) {
		scsi_set_cdb_field(task, 7, -1);
		return false;
	}
	task->out_bytes = length;
	task->blocks = task->lu->blocks; /* which ones is in a list that has not come yet */
	return true;
}

/* Range `index` of a list that was checked. */
static void range_get(const struct scsi_task *task, uint32_t index, uint64_t *lba, uint32_t *blocks)
{
	const uint8_t *range = task->buf->data + UNMAP_HEADER + index * UNMAP_RANGE;

	*lba = be64_get(range);
	*blocks = be32_get(range + 8);
}

/* How many ranges there are; of a list that was checked. */
static uint32_t range_count(const struct scsi_task *task)
{
	return task->out_bytes ? be16_get(task->buf->data + 2) / UNMAP_RANGE : 0;
}

/* The parameter list: all ranges are checked before one is unmapped. False with the outcome set. */
static bool list_check(struct scsi_task *task)
{
	struct cursor c =
		cursor_reader(task->out_length ? task->buf->data : NULL, task->out_length);
	uint16_t data_length = cursor_get_u16(&c);
	uint16_t ranges_length = cursor_get_u16(&c);
	uint64_t total = 0;
	uint32_t count;

	cursor_get_u32(&c);
	if (!cursor_ok(&c) || data_length + 2u > task->out_length ||
		ranges_length > cursor_left(&c) ||
		ranges_length + UNMAP_HEADER > data_length + 2u) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	count = ranges_length / UNMAP_RANGE;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t lba = cursor_get_u64(&c);
		uint32_t blocks = cursor_get_u32(&c);

		cursor_get_u32(&c);
		if (lba > task->lu->blocks || blocks > task->lu->blocks - lba) {
			scsi_set_sense(task, SENSE_LBA_OUT_OF_RANGE);
			return false;
		}
		total += blocks;
		if (total > SCSI_UNMAP_BYTES_MAX >> task->lu->block_shift) {
			scsi_set_list_field(task, UNMAP_HEADER + i * UNMAP_RANGE + 8, -1);
			return false;
		}
	}
	return true;
}

static void unmap_next(struct scsi_task *task);

static void unmap_done(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (scsi_io_check(task, res, true)) {
		unmap_next(task);
	}
}

static void unmap_next(struct scsi_task *task)
{
	while (task->step < range_count(task)) {
		uint64_t lba;
		uint32_t blocks;

		range_get(task, task->step, &lba, &blocks);
		task->step++;
		if (blocks) {
			scsi_io_submit(task, EXTENT_UNMAP, NULL, lba << task->lu->block_shift,
				(uint64_t)blocks << task->lu->block_shift, unmap_done);
			return;
		}
	}
	scsi_task_finish(task);
}

void scsi_unmap_run(struct scsi_task *task)
{
	/* A list of length 0 is no error; one cut short by the transport is. */
	if (task->out_bytes && !list_check(task)) {
		scsi_task_finish(task);
		return;
	}
	unmap_next(task);
}
