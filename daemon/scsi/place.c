/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/place.h"

#include <string.h>

#include "daemon/scsi/lu.h"
#include "daemon/scsi/nexus.h"
#include "yoke/log.h"
#include "yoke/scsi.h"

/* Reads among writes are settled again and again, which is dearer than to copy them at once. */
#define PLACE_REST 64u

void scsi_task_in_copy(struct scsi_task *task, uint32_t bytes, uint32_t *crc)
{
	const struct scsi_lu *lu = task->lu;
	int err = extent_peek_copy(lu->extent, (task->lba << lu->block_shift) + task->in_copied,
		bytes, task->buf->data + task->in_copied, crc);

	task->in_copied += bytes;
	if (err || task->in_copied == task->in_bytes) {
		scsi_place_leave(task);
	}
	if (err) {
		task->in_lost = true;
		log_err("LU %s: %llu blocks at LBA %llu cannot be read any more while they are "
			"being sent: %s; the connection is ended, the next READ answers with what "
			"is wrong; check the file and the storage below it",
			lu->conf->name, (unsigned long long)task->blocks,
			(unsigned long long)task->lba, strerror(-err));
	}
}

bool scsi_place_take(struct scsi_task *task)
{
	struct scsi_core *core = task->nexus->core;
	const struct scsi_lu *lu = task->lu;

	if (!task->in_place_ok || (core->place_rest && core->place_rest--)) {
		return false;
	}
	task->in_place = extent_peek(
		lu->extent, task->lba << lu->block_shift, task->blocks << lu->block_shift);
	if (task->in_place) {
		task->in_copied = 0;
		qb_list_add_tail(&task->place_link, &core->placed);
	}
	return task->in_place != NULL;
}

void scsi_place_leave(struct scsi_task *task)
{
	if (task->in_place) {
		qb_list_del(&task->place_link);
		task->in_place = NULL;
	}
}

unsigned scsi_tasks_settle(struct reactor *r)
{
	struct scsi_core *core = scsi_core_of(r);
	unsigned count = 0;

	while (!qb_list_empty(&core->placed)) {
		struct scsi_task *task =
			qb_list_first_entry(&core->placed, struct scsi_task, place_link);

		scsi_task_in_copy(task, task->in_bytes - task->in_copied, NULL);
		count++;
	}
	return count;
}

void scsi_place_settle(struct scsi_core *core)
{
	if (!qb_list_empty(&core->placed)) {
		scsi_tasks_settle(core->reactor);
		core->place_rest = PLACE_REST;
	}
}
