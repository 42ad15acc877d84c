/* SPDX-License-Identifier: BSD-3-Clause */
/* What commands share: parameter data, ranges of blocks, I/O to the extent. */
#include <errno.h>
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/hold.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define KEY_MEDIUM_ERROR 0x3

bool scsi_decode_nothing(struct scsi_task *task)
{
	return true;
}

bool scsi_parameter_decode(struct scsi_task *task, uint32_t allocation, uint32_t most)
{
	task->buf_bytes = most;
	task->in_bytes = allocation < most ? allocation : most;
	return true;
}

struct cursor scsi_parameter_begin(struct scsi_task *task)
{
	return cursor_over(task->buf->data, task->buf->size);
}

void scsi_parameter_end(struct scsi_task *task, const struct cursor *c)
{
	if (!cursor_ok(c)) {
		log_err("LU %s: the answer to %s does not fit into its buffer of %u bytes",
			task->lu ? task->lu->conf->name : "(none)", task->row->name,
			task->buf_bytes);
		scsi_set_sense(task, SENSE_TARGET_FAILURE);
	} else {
		task->in_length = c->pos < task->in_bytes ? (uint32_t)c->pos : task->in_bytes;
	}
	scsi_task_finish(task);
}

void scsi_range_get(const uint8_t *cdb, unsigned length, uint64_t *lba, uint64_t *blocks)
{
	switch (length) {
	case 6:
		*lba = be24_get(cdb + 1) & 0x1fffff;
		*blocks = cdb[4] ? cdb[4] : 256;
		break;
	case 10:
		*lba = be32_get(cdb + 2);
		*blocks = be16_get(cdb + 7);
		break;
	case 12:
		*lba = be32_get(cdb + 2);
		*blocks = be32_get(cdb + 6);
		break;
	case 16:
		*lba = be64_get(cdb + 2);
		*blocks = be32_get(cdb + 10);
		break;
	}
}

void scsi_range_decode(struct scsi_task *task)
{
	scsi_range_get(task->cdb, task->row->cdb_length, &task->lba, &task->blocks);
}

bool scsi_range_check(struct scsi_task *task)
{
	uint64_t limit = task->lu->blocks;

	if (task->lba > limit || task->blocks > limit - task->lba) {
		scsi_set_sense(task, SENSE_LBA_OUT_OF_RANGE);
		return false;
	}
	return true;
}

bool scsi_transfer_check(struct scsi_task *task)
{
	/* Where the transfer length stands in the CDB. */
	unsigned byte = task->row->cdb_length == 6    ? 4
			: task->row->cdb_length == 10 ? 7
			: task->row->cdb_length == 12 ? 6
						      : 10;

	if (task->blocks > BUF_MAX_BYTES >> task->lu->block_shift) {
		scsi_set_cdb_field(task, byte, -1);
		return false;
	}
	return scsi_range_check(task);
}

/* The buffer that the data of an I/O lies in, if that is the task's own. */
static struct buf *buffer_of(const struct scsi_task *task, const uint8_t *data, uint64_t bytes)
{
	struct buf *buf = task->buf;

	return buf && data >= buf->data && data + bytes <= buf->data + buf->size ? buf : NULL;
}

void scsi_io_submit(struct scsi_task *task, enum extent_op op, uint8_t *data, uint64_t offset_bytes,
	uint64_t length_bytes, void (*done)(struct extent_io *io, int res))
{
	task->iov = (struct iovec){.iov_base = data, .iov_len = data ? length_bytes : 0};
	task->io.op = op;
	task->io.offset_bytes = offset_bytes;
	task->io.length_bytes = length_bytes;
	task->io.iov = &task->iov;
	task->io.iov_count = data ? 1 : 0;
	task->io.buf = data ? buffer_of(task, data, length_bytes) : NULL;
	task->io.done = done;
	extent_submit(task->lu->extent, task->reactor, &task->io);
}

/* For LOG SENSE: errors of the medium, not a full store or a lack of memory. */
static void error_count(struct scsi_task *task, bool writes)
{
	struct scsi_counters *count = &task->nexus->core->lus[task->lu->index].count;

	if (task->status == SCSI_CHECK_CONDITION && scsi_sense_key(task) == KEY_MEDIUM_ERROR) {
		scsi_count(writes ? &count->write_errors : &count->read_errors, 1);
	}
}

bool scsi_io_stands(struct scsi_task *task, int res)
{
	struct scsi_core *core = task->nexus->core;
	struct scsi_core_group *group = &core->groups[task->lu->group];
	const struct group_view *view = &group->view;

	if (task->abort_wanted) {
		scsi_task_finish(task);
		return false;
	}
	if (view->epoch == task->epoch && !scsi_lease_holds(core)) {
		/*
		 * As if the I/O took longer. It keeps its guard: if nothing has happened it goes on
		 * where it is, and nobody may have written its blocks meanwhile.
		 */
		task->unsure = true;
		task->unsure_res = res;
		scsi_hold(task);
		return false;
	}
	/*
	 * The group moved on while this ran: what came of it must not be acknowledged (invariant
	 * I1). An error while the group moves is the move's, not the medium's (I7).
	 */
	if (view->epoch != task->epoch || view->access == GROUP_REMOTE ||
		(res < 0 && view->access == GROUP_HELD)) {
		scsi_task_requeue(task);
		return false;
	}
	if (res == -EBADE) {
		/* Not the owner any more, the disk says (I7: no error for the host). */
		group->lost_epoch = view->epoch;
		scsi_task_requeue(task);
		return false;
	}
	return true;
}

bool scsi_io_check(struct scsi_task *task, int res, bool writes)
{
	if (!scsi_io_stands(task, res)) {
		return false;
	}
	if (res < 0) {
		/* The store has logged the error; this names the command. */
		log_debug("LU %s: %s of %llu blocks at LBA %llu failed: %s", task->lu->conf->name,
			task->row->name, (unsigned long long)task->blocks,
			(unsigned long long)task->lba, strerror(-res));
		scsi_set_errno(task, res, writes);
		error_count(task, writes);
		scsi_task_finish(task);
		return false;
	}
	return true;
}

bool scsi_write_check(struct scsi_task *task, int res)
{
	struct scsi_counters *count;

	if (!scsi_io_check(task, res, true)) {
		return false;
	}
	count = &task->nexus->core->lus[task->lu->index].count;
	scsi_count(&count->writes, 1);
	scsi_count(&count->written_bytes, task->io.length_bytes);
	return true;
}

void scsi_write_done(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (scsi_write_check(task, res)) {
		scsi_task_finish(task);
	}
}
