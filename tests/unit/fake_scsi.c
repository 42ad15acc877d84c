/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/fake_scsi.h"

#include <stdlib.h>
#include <string.h>

#include "yoke/crc32c.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

enum {
	FAKE_STARTED,
	FAKE_HELD,
	FAKE_ENDED
};

struct scsi_nexus {
	struct qb_list_head tasks;
	struct qb_list_head link; /* while its end is held */
	void (*closed)(void *arg);
	void *arg;
	bool closing;
};

struct fake fake;
static struct qb_list_head fake_held_tmfs, fake_held_nexuses, fake_held, fake_placed;

void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
	qb_list_init(&fake_held_tmfs);
	qb_list_init(&fake_held_nexuses);
	qb_list_init(&fake_held);
	qb_list_init(&fake_placed);
}

void fake_reset_counts(void)
{
	fake.nexuses_made = fake.nexuses;
	fake.lost = 0;
}

struct scsi_nexus *scsi_nexus_new(
	struct scsi *scsi, struct reactor *r, const struct scsi_identity *who)
{
	struct scsi_nexus *nexus = calloc(1, sizeof(*nexus));

	(void)scsi;
	(void)r;
	if (fake.fail_nexus) {
		free(nexus);
		return NULL;
	}
	qb_list_init(&nexus->tasks);
	qb_list_init(&nexus->link);
	fake.who = *who;
	fake.nexuses++;
	fake.nexuses_made++;
	return nexus;
}

void scsi_nexus_on_reset(struct scsi_nexus *nexus, void (*end)(void *arg), void *arg)
{
	fake.end = end;
	fake.end_arg = arg;
}

static void fake_nexus_check(struct scsi_nexus *nexus)
{
	if (!nexus->closing || !qb_list_empty(&nexus->tasks) || fake.hold_close) {
		return;
	}
	fake.nexuses--;
	qb_list_del(&nexus->link);
	nexus->closed(nexus->arg);
	free(nexus);
}

static void fake_task_finish(struct scsi_task *task, bool aborted)
{
	struct scsi_nexus *nexus = task->nexus;

	qb_list_del(&task->nexus_link);
	qb_list_del(&task->wait_link);
	task->state = FAKE_ENDED;
	task->aborted = aborted;
	fake.aborted += aborted;
	task->done(task);
	fake_nexus_check(nexus);
}

static bool fake_abort(struct scsi_nexus *nexus, bool by_tag, uint64_t tag)
{
	struct qb_list_head *pos, *next;
	bool found = false;

	qb_list_for_each_safe (pos, next, &nexus->tasks) {
		struct scsi_task *task = qb_list_entry(pos, struct scsi_task, nexus_link);

		if (task->state == FAKE_HELD && (!by_tag || task->tag == tag)) {
			found = true;
			task->abort_wanted = true;
			if (fake.linger) {
				continue;
			}
			fake_task_finish(task, true);
		}
	}
	return found;
}

static bool fake_find(struct scsi_nexus *nexus, uint64_t tag)
{
	const struct scsi_task *task;

	qb_list_for_each_entry (task, &nexus->tasks, nexus_link) {
		if (task->tag == tag) {
			return true;
		}
	}
	return false;
}

void scsi_nexus_close(struct scsi_nexus *nexus, void (*closed)(void *arg), void *arg)
{
	fake_abort(nexus, false, 0);
	nexus->closed = closed;
	nexus->arg = arg;
	nexus->closing = true;
	if (fake.hold_close) {
		qb_list_add_tail(&nexus->link, &fake_held_nexuses);
	}
	fake_nexus_check(nexus);
}

static void fake_sense(struct scsi_task *task, uint8_t key, uint8_t asc, uint8_t ascq)
{
	memset(task->sense, 0, 18);
	task->status = SCSI_CHECK_CONDITION;
	task->sense[0] = 0x70;
	task->sense[2] = key;
	task->sense[7] = 10;
	task->sense[12] = asc;
	task->sense[13] = ascq;
	task->sense_length = 18;
}

void scsi_expect(const struct scsi_nexus *nexus, const uint8_t lun[8], const uint8_t cdb[16])
{
	(void)nexus;
	(void)lun;
	if (fake.expected < ARRAY_SIZE(fake.expected_lba)) {
		fake.expected_lba[fake.expected] = be32_get(cdb + 2);
	}
	fake.expected++;
	fake.expected_started = fake.started;
}

enum scsi_start scsi_task_start(struct scsi_task *task)
{
	uint32_t bytes = be16_get(task->cdb + 7) * FAKE_BLOCK;

	fake.started++;
	fake.alive++;
	task->out_bytes = 0;
	task->in_bytes = 0;
	task->in_length = 0;
	task->in_place = NULL;
	task->in_lost = false;
	task->sense_length = 0;
	task->status = SCSI_GOOD;
	task->aborted = false;
	task->abort_wanted = false;
	task->state = FAKE_STARTED;
	qb_list_init(&task->wait_link);
	if (task->cdb[0] == FAKE_OP_BAD) {
		fake_sense(task, 5, 0x20, 0);
		return SCSI_START_DONE;
	}
	qb_list_add_tail(&task->nexus_link, &task->nexus->tasks);
	if (task->cdb[0] == 0x2a) {
		task->out_bytes = bytes;
	} else if (task->cdb[0] == 0x28) {
		task->in_bytes = bytes;
	} else if (task->cdb[0] == FAKE_OP_READ_ERROR) {
		task->in_bytes = FAKE_BLOCK;
	}
	return task->out_bytes ? SCSI_START_OUT : SCSI_START_READY;
}

static void fake_execute(struct scsi_task *task)
{
	uint8_t *at = fake.disk + be32_get(task->cdb + 2) * FAKE_BLOCK;

	if (task->in_bytes) {
		task->buf = buf_get(reactor_buffers(task->reactor), task->in_bytes);
		if (!task->buf) {
			task->status = SCSI_BUSY;
		} else if (fake.in_memory && task->in_place_ok) {
			fake.placed++;
			task->in_place = fake.bad_memory ? fake.bad_memory : at;
			task->in_length = task->in_bytes;
			task->in_copied = 0;
			qb_list_add_tail(&task->place_link, &fake_placed);
		} else {
			memcpy(task->buf->data, at, task->in_bytes);
			task->in_length = task->in_bytes;
		}
	} else if (task->out_bytes) {
		memcpy(at, task->buf->data, task->out_length / FAKE_BLOCK * FAKE_BLOCK);
	}
	if (task->cdb[0] == FAKE_OP_READ_ERROR) {
		fake_sense(task, 3, 0x11, 0);
	}
}

void scsi_task_run(struct scsi_task *task)
{
	fake.ran++;
	if (task->cdb[0] == FAKE_OP_HELD || fake.hold_all) {
		task->state = FAKE_HELD;
		qb_list_add_tail(&task->wait_link, &fake_held);
		return;
	}
	fake_execute(task);
	fake_task_finish(task, false);
}

void fake_release(void)
{
	while (!qb_list_empty(&fake_held)) {
		struct scsi_task *task =
			qb_list_first_entry(&fake_held, struct scsi_task, wait_link);

		if (!task->abort_wanted) {
			fake_execute(task);
		}
		fake_task_finish(task, task->abort_wanted);
	}
	fake.linger = false;
	fake.hold_tmfs = false;
	while (!qb_list_empty(&fake_held_tmfs)) {
		struct scsi_tmf *tmf = qb_list_first_entry(&fake_held_tmfs, struct scsi_tmf, link);

		qb_list_del(&tmf->link);
		tmf->response = SCSI_TMF_COMPLETE;
		tmf->done(tmf);
	}
	fake.hold_close = false;
	while (!qb_list_empty(&fake_held_nexuses)) {
		fake_nexus_check(qb_list_first_entry(&fake_held_nexuses, struct scsi_nexus, link));
	}
}

void scsi_task_drop(struct scsi_task *task)
{
	struct scsi_nexus *nexus = task->nexus;

	fake.dropped++;
	qb_list_del(&task->nexus_link);
	fake_nexus_check(nexus);
}

void scsi_task_lost(struct scsi_task *task)
{
	fake.lost++;
	if (task->state == FAKE_HELD && fake.linger) {
		task->abort_wanted = true;
	} else if (task->state == FAKE_HELD) {
		fake_task_finish(task, true);
	}
}

static void fake_leave(struct scsi_task *task)
{
	if (task->in_place) {
		qb_list_del(&task->place_link);
		task->in_place = NULL;
	}
}

void scsi_task_in_copy(struct scsi_task *task, uint32_t bytes, uint32_t *crc)
{
	uint8_t *to = task->buf->data + task->in_copied;
	uint8_t *at = fake.disk + be32_get(task->cdb + 2) * FAKE_BLOCK + task->in_copied;

	memcpy(to, at, bytes);
	if (crc) {
		*crc = crc32c_add(*crc, to, bytes);
		fake.copied++;
	}
	if (fake.overwrite) {
		memset(at - task->in_copied, 0xee, task->in_copied + bytes);
	}
	task->in_copied += bytes;
	task->in_lost = fake.cut;
	if (fake.cut || task->in_copied == task->in_bytes) {
		fake_leave(task);
	}
}

unsigned scsi_tasks_settle(struct reactor *r)
{
	unsigned count = 0;

	(void)r;
	while (!qb_list_empty(&fake_placed)) {
		struct scsi_task *task =
			qb_list_first_entry(&fake_placed, struct scsi_task, place_link);

		scsi_task_in_copy(task, task->in_bytes - task->in_copied, NULL);
		fake.settled++;
		count++;
	}
	return count;
}

void scsi_task_end(struct scsi_task *task)
{
	fake_leave(task);
	fake.alive--;
	buf_put(reactor_buffers(task->reactor), task->buf);
	task->buf = NULL;
}

void scsi_task_set_transport_sense(struct scsi_task *task, enum scsi_transport_sense sense)
{
	static const uint8_t codes[][2] = {
		[SCSI_SENSE_UNEXPECTED_UNSOLICITED_DATA] = {0x0c, 0x0c},
		[SCSI_SENSE_INCORRECT_AMOUNT_OF_DATA] = {0x0c, 0x0d},
		[SCSI_SENSE_PROTOCOL_CRC_ERROR] = {0x47, 0x05},
	};

	fake_sense(task, 0xb, codes[sense][0], codes[sense][1]);
}

void scsi_tmf_run(struct scsi_tmf *tmf)
{
	fake.tmfs++;
	fake.last_tmf = tmf->function;
	tmf->response = SCSI_TMF_COMPLETE;
	memset(tmf->info, 0, sizeof(tmf->info));
	if (fake.hold_tmfs) {
		qb_list_add_tail(&tmf->link, &fake_held_tmfs);
		return;
	}
	switch (tmf->function) {
	case SCSI_TMF_QUERY_TASK:
		if (fake_find(tmf->nexus, tmf->ref_tag)) {
			tmf->response = SCSI_TMF_SUCCEEDED;
			memcpy(tmf->info, "\x16\x29\x01", sizeof(tmf->info));
		}
		break;
	case SCSI_TMF_ABORT_TASK:
		if (!fake_abort(tmf->nexus, true, tmf->ref_tag)) {
			tmf->response = SCSI_TMF_NO_TASK;
		}
		break;
	case SCSI_TMF_ABORT_TASK_SET:
	case SCSI_TMF_LU_RESET:
	case SCSI_TMF_TARGET_COLD_RESET:
		fake_abort(tmf->nexus, false, 0);
		break;
	case FAKE_OP_HELD_TMF:
		qb_list_add_tail(&tmf->link, &fake_held_tmfs);
		return;
	default:
		tmf->response = SCSI_TMF_NOT_SUPPORTED;
		break;
	}
	tmf->done(tmf);
}
