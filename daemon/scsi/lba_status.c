/* SPDX-License-Identifier: BSD-3-Clause */
/* GET LBA STATUS(16) (SBC-3 5.4): which blocks have storage, as the extent really is. */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define HEADER_BYTES	8u
#define DESCRIPTOR	16u
#define DESCRIPTORS_MAX 64u /* of one answer; the rest is for the next command */
#define MAPPED		0x00
#define DEALLOCATED	0x01
#define REPORT_ALL	0x00

bool scsi_lba_status_decode(struct scsi_task *task)
{
	task->lba = be64_get(task->cdb + 2);
	task->blocks = 0;
	if (task->lba >= task->lu->blocks) {
		scsi_set_sense(task, SENSE_LBA_OUT_OF_RANGE);
		return false;
	}
	if (task->cdb[14] != REPORT_ALL) {
		scsi_set_cdb_field(task, 14, -1);
		return false;
	}
	return scsi_parameter_decode(
		task, be32_get(task->cdb + 10), HEADER_BYTES + DESCRIPTOR * DESCRIPTORS_MAX);
}

/* How many descriptors the initiator has room for; one at least is worked out. */
static uint32_t descriptors_wanted(const struct scsi_task *task)
{
	uint32_t room = task->in_bytes < HEADER_BYTES + DESCRIPTOR
				? 1
				: (task->in_bytes - HEADER_BYTES) / DESCRIPTOR;

	return room < DESCRIPTORS_MAX ? room : DESCRIPTORS_MAX;
}

static uint8_t *descriptor_at(struct scsi_task *task, uint32_t index)
{
	return task->buf->data + HEADER_BYTES + index * DESCRIPTOR;
}

/* Adds a run of blocks; false: it says the same as the last one, which only grows. */
static bool run_add(struct scsi_task *task, uint64_t lba, uint64_t blocks, uint8_t status)
{
	uint8_t *last = task->step ? descriptor_at(task, task->step - 1) : NULL;

	if (last && last[12] == status && be32_get(last + 8) + blocks <= UINT32_MAX) {
		be32_put(last + 8, (uint32_t)(be32_get(last + 8) + blocks));
		return false;
	}
	last = descriptor_at(task, task->step++);
	be64_put(last, lba);
	be32_put(last + 8, (uint32_t)blocks);
	be32_put(last + 12, (uint32_t)status << 24);
	return true;
}

static void answer(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u32(&c, 4 + DESCRIPTOR * task->step);
	cursor_put_u32(&c, 0);
	cursor_take(&c, (size_t)DESCRIPTOR * task->step);
	scsi_parameter_end(task, &c);
}

static void ask(struct scsi_task *task, uint64_t lba);

static void told(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);
	uint32_t shift = task->lu->block_shift;
	uint64_t lba = io->offset_bytes >> shift;
	uint64_t most = io->length_bytes >> shift;
	uint64_t blocks;

	if (!scsi_io_check(task, res, false)) {
		return;
	}
	/* A block that is partly there is mapped: it ends a hole, and belongs to what follows. */
	blocks = (io->run_bytes + (io->mapped ? task->lu->block_size - 1 : 0)) >> shift;
	if (blocks == 0) {
		io->mapped = true;
		blocks = 1;
	}
	blocks = blocks < most ? blocks : most;
	/* The store cuts what would take it long; the initiator asks on from there. */
	if (run_add(task, lba, blocks, io->mapped ? MAPPED : DEALLOCATED) &&
		task->step < descriptors_wanted(task) && lba + blocks < task->lu->blocks) {
		ask(task, lba + blocks);
	} else {
		answer(task);
	}
}

static void ask(struct scsi_task *task, uint64_t lba)
{
	uint64_t left = task->lu->blocks - lba;
	uint32_t shift = task->lu->block_shift;

	left = left < UINT32_MAX ? left : UINT32_MAX;
	scsi_io_submit(task, EXTENT_MAP, NULL, lba << shift, left << shift, told);
}

void scsi_lba_status_run(struct scsi_task *task)
{
	task->step = 0;
	ask(task, task->lba);
}
