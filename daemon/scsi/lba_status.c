/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET LBA STATUS 16 and 32 (SBC-4 5.7, 5.8): which blocks have storage, as the extent really is.
 * The answer says why it ends; what a host still wants to know it asks for from there on.
 */
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
#define RTP		0x01 /* the answer keeps to REPORT TYPE */

/* COMPLETION CONDITION, in its place. */
#define ENDS_SOMEWHERE	   (0 << 1)
#define ENDS_AT_ALLOCATION (1 << 1)
#define ENDS_AT_SCAN	   (2 << 1)
#define ENDS_AT_CAPACITY   (3 << 1)

/* REPORT TYPE: the provisioning statuses that are reported, a bit for each. */
static const uint8_t reported[] = {
	[REPORT_ALL] = 1 << MAPPED | 1 << DEALLOCATED,
	[0x01] = 1 << DEALLOCATED, /* any but mapped */
	[0x02] = 1 << MAPPED,
	[0x03] = 1 << DEALLOCATED,
	[0x04] = 0, /* anchored: no block ever is */
};

bool scsi_lba_status_32_available(const struct scsi_lu *lu)
{
	return lu->scsi->conf->long_cdbs;
}

/* The two CDBs have the same fields at other places. */
static uint8_t type_byte(const struct scsi_task *task)
{
	return task->row->cdb_length == 32 ? 10 : 14;
}

bool scsi_lba_status_decode(struct scsi_task *task)
{
	bool longer = task->row->cdb_length == 32;
	uint32_t scan = longer ? be32_get(task->cdb + 20) : 0;
	uint64_t left;

	task->lba = be64_get(task->cdb + (longer ? 12 : 2));
	if (task->lba >= task->lu->blocks) {
		scsi_set_sense(task, SENSE_LBA_OUT_OF_RANGE);
		return false;
	}
	if (task->cdb[type_byte(task)] >= ARRAY_SIZE(reported)) {
		scsi_set_cdb_field(task, type_byte(task), -1);
		return false;
	}
	left = task->lu->blocks - task->lba;
	task->blocks = scan && scan < left ? scan : left;
	return scsi_parameter_decode(task, be32_get(task->cdb + (longer ? 28 : 10)),
		HEADER_BYTES + DESCRIPTOR * DESCRIPTORS_MAX);
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

/* Adds a run of blocks; false: it goes on where the last one ends, and that only grows. */
static bool run_add(struct scsi_task *task, uint64_t lba, uint64_t blocks, uint8_t status)
{
	uint8_t *last = task->step ? descriptor_at(task, task->step - 1) : NULL;

	if (last && last[12] == status && be64_get(last) + be32_get(last + 8) == lba &&
		be32_get(last + 8) + blocks <= UINT32_MAX) {
		be32_put(last + 8, (uint32_t)(be32_get(last + 8) + blocks));
		return false;
	}
	last = descriptor_at(task, task->step++);
	be64_put(last, lba);
	be32_put(last + 8, (uint32_t)blocks);
	be32_put(last + 12, (uint32_t)status << 24);
	return true;
}

static void answer(struct scsi_task *task, uint8_t condition)
{
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u32(&c, 4 + DESCRIPTOR * task->step);
	cursor_put_u32(&c, condition | RTP);
	cursor_take(&c, (size_t)DESCRIPTOR * task->step);
	scsi_parameter_end(task, &c);
}

/* A run is known: takes it into the answer if it is of the type wanted. True: it goes on behind. */
static bool run_told(struct scsi_task *task, uint64_t lba, uint64_t blocks, uint8_t status)
{
	uint8_t type = task->cdb[type_byte(task)];
	bool wanted = reported[type] & 1 << status;
	bool grown = wanted && !run_add(task, lba, blocks, status);
	uint64_t next = lba + blocks;

	if (next >= task->lu->blocks) {
		answer(task, ENDS_AT_CAPACITY);
	} else if (next >= task->lba + task->blocks) {
		answer(task, ENDS_AT_SCAN);
	} else if (task->step == descriptors_wanted(task)) {
		answer(task, ENDS_AT_ALLOCATION);
	} else if (grown && type == REPORT_ALL) {
		answer(task, ENDS_SOMEWHERE); /* the store has cut what would take it long */
	} else {
		return true;
	}
	return false;
}

/* The store has answered for what is at *lba. True: ask on, at the new *lba. */
static bool judge(struct scsi_task *task, int res, uint64_t *lba)
{
	const struct extent_io *io = &task->io;
	uint32_t shift = task->lu->block_shift;
	uint64_t most = io->length_bytes >> shift, blocks;
	bool mapped = io->mapped;

	*lba = io->offset_bytes >> shift;
	if (!scsi_io_check(task, res, false)) {
		return false;
	}
	/* A block that is partly there is mapped: it ends a hole, and belongs to what follows. */
	blocks = (io->run_bytes + (mapped ? task->lu->block_size - 1 : 0)) >> shift;
	if (blocks == 0) {
		mapped = true;
		blocks = 1;
	}
	blocks = blocks < most ? blocks : most;
	if (!run_told(task, *lba, blocks, mapped ? MAPPED : DEALLOCATED)) {
		return false;
	}
	*lba += blocks;
	return true;
}

static void told(struct extent_io *io, int res);

/* Asks from lba on. A store that answers at once is asked in a loop: there may be many runs. */
static void ask(struct scsi_task *task, uint64_t lba)
{
	uint32_t shift = task->lu->block_shift;

	do {
		uint64_t left = task->lba + task->blocks - lba;

		left = left < UINT32_MAX ? left : UINT32_MAX;
		task->submitting = true;
		scsi_io_submit(task, EXTENT_MAP, NULL, lba << shift, left << shift, told);
		if (task->submitting) {
			task->submitting = false; /* told() is yet to come */
			return;
		}
	} while (judge(task, task->unsure_res, &lba));
}

static void told(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);
	uint64_t lba;

	if (task->submitting) {
		task->submitting = false;
		task->unsure_res = res; /* ask() goes on */
	} else if (judge(task, res, &lba)) {
		ask(task, lba);
	}
}

void scsi_lba_status_run(struct scsi_task *task)
{
	task->step = 0;
	ask(task, task->lba);
}
