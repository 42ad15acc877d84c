/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/intent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/group.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/tasks.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define PART_BYTES  (32u << 10) /* of what is written, in one entry */
#define ENTRY_BYTES (PART_BYTES + 1024)
#define PAUSE_MS    5 /* until the lease is looked at again */
#define AGAIN_MS    100 /* until the end of a write is recorded again */

struct scsi_intent_write {
	struct qb_list_head link; /* core->intents */
	struct qb_list_head queue; /* scsi->intents; control thread */
	struct scsi *scsi;
	struct scsi_core *core;
	struct scsi_lu *lu;
	struct scsi_task *task; /* runs, and has its guard */
	uint64_t epoch;
	struct mailbox_msg msg; /* between reactor and control thread */
	struct reactor_timer timer;
	struct extent_io io;
	struct iovec iov;
	unsigned parts_left; /* entries that are not done; control thread */
	uint8_t outcome; /* enum ledger_outcome */
	bool clears; /* what the timer is for */
	int res; /* of the write in place */
};

static struct scsi_entry entry_of(const struct scsi_intent_write *write, uint8_t kind)
{
	return (struct scsi_entry){
		.kind = kind, .who = write->task->nexus->who, .intent.id = write->task->serial};
}

static void to_reactor(struct scsi_intent_write *write, void (*fn)(struct mailbox_msg *msg))
{
	write->msg.fn = fn;
	reactor_post(write->core->reactor, &write->msg);
}

static void to_control(struct scsi_intent_write *write, void (*fn)(struct mailbox_msg *msg))
{
	write->msg.fn = fn;
	mailbox_post(write->scsi->control, &write->msg);
}

/* ----- control thread ------------------------------------------------------------------------- */

static void recorded(struct mailbox_msg *msg);
static void cleared(struct mailbox_msg *msg);

static void part_done(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	struct scsi_intent_write *write = arg;

	if (outcome == LEDGER_FAILED || (outcome == LEDGER_DONE && result != SCSI_RESULT_GOOD)) {
		write->outcome = LEDGER_FAILED;
	} else if (outcome == LEDGER_AGAIN && write->outcome == LEDGER_DONE) {
		write->outcome = LEDGER_AGAIN;
	}
	if (--write->parts_left == 0) {
		to_reactor(write, recorded);
	}
}

/* All parts at once: they gather in few frames of the journal. */
static void record(struct scsi_intent_write *write)
{
	const struct scsi_task *task = write->task;
	struct scsi_entry entry = entry_of(write, SCSI_ENTRY_INTENT);
	uint8_t bytes[ENTRY_BYTES];
	uint32_t begin = 0;

	entry.intent.total = task->out_bytes;
	entry.intent.at_bytes = task->lba << task->lu->block_shift;
	write->outcome = LEDGER_DONE;
	write->parts_left = (task->out_bytes + PART_BYTES - 1) / PART_BYTES;
	while (begin < entry.intent.total) {
		struct cursor c = cursor_over(bytes, sizeof(bytes));
		uint32_t left = entry.intent.total - begin;
		uint32_t size = left < PART_BYTES ? left : PART_BYTES;

		entry.intent.begin = begin;
		entry.intent.data = cursor_reader(task->buf->data + begin, size);
		scsi_entry_put(&c, &entry);
		begin += size;
		scsi_ledger_submit(write->lu, write->epoch, bytes, c.pos, part_done, write);
	}
}

static struct scsi_intent_write *first_of(const struct scsi *scsi, const struct scsi_lu *lu)
{
	struct scsi_intent_write *write;

	qb_list_for_each_entry (write, &scsi->intents, queue) {
		if (write->lu == lu) {
			return write;
		}
	}
	return NULL;
}

static void arrived(struct mailbox_msg *msg)
{
	struct scsi_intent_write *write = container_of(msg, struct scsi_intent_write, msg);
	bool first = !first_of(write->scsi, write->lu);

	qb_list_add_tail(&write->queue, &write->scsi->intents);
	if (first) {
		record(write);
	}
}

static void left(struct mailbox_msg *msg)
{
	struct scsi_intent_write *write = container_of(msg, struct scsi_intent_write, msg);
	struct scsi_intent_write *next;

	qb_list_del(&write->queue);
	next = first_of(write->scsi, write->lu);
	free(write);
	if (next) {
		record(next);
	}
}

static void clear_done(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	struct scsi_intent_write *write = arg;

	write->outcome = (uint8_t)outcome;
	to_reactor(write, cleared);
}

static void clear_arrived(struct mailbox_msg *msg)
{
	struct scsi_intent_write *write = container_of(msg, struct scsi_intent_write, msg);
	struct scsi_entry entry = entry_of(write, SCSI_ENTRY_INTENT_END);
	uint8_t bytes[1024];
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	scsi_entry_put(&c, &entry);
	scsi_ledger_submit(write->lu, write->epoch, bytes, c.pos, clear_done, write);
}

/* ----- reactor -------------------------------------------------------------------------------- */

static struct scsi_core_group *group_of(const struct scsi_intent_write *write)
{
	return &write->core->groups[write->lu->group];
}

/* The next one of the LU may begin; the task is its reactor's again. */
static struct scsi_task *leave(struct scsi_intent_write *write)
{
	struct scsi_task *task = write->task;

	qb_list_del(&write->link);
	write->task = NULL;
	task->in_ledger = false;
	to_control(write, left);
	return task;
}

/* Whoever claims the extents next settles what is in the ledger; the gate decides anew. */
static void run_again(struct scsi_task *task)
{
	if (task->abort_wanted) {
		scsi_task_finish(task);
	} else {
		scsi_task_requeue(task);
	}
}

/* The epoch has passed? Then the write is given up here. */
static bool has_moved(struct scsi_intent_write *write)
{
	const struct group_view *view = &group_of(write)->view;

	if (view->epoch == write->epoch && view->access != GROUP_REMOTE) {
		return false;
	}
	run_again(leave(write));
	return true;
}

static void clear(struct scsi_intent_write *write)
{
	if (!has_moved(write)) {
		write->task->in_ledger = true; /* again: nothing more reaches the medium */
		to_control(write, clear_arrived);
		scsi_sweeps_check(write->core);
	}
}

static void written(struct extent_io *io, int res)
{
	struct scsi_intent_write *write = container_of(io, struct scsi_intent_write, io);
	struct scsi_core_group *group = group_of(write);

	if (res == -EBADE && group->view.epoch == write->epoch) {
		group->lost_epoch = write->epoch; /* not the owner any more, the disk says */
		run_again(leave(write));
		return;
	}
	write->res = res;
	clear(write);
}

/* The write in place, if this controller still may: nobody has waited for it as for a command. */
static void write_begin(struct scsi_intent_write *write)
{
	struct scsi_task *task = write->task;

	if (has_moved(write)) {
		return;
	}
	if (task->abort_wanted) {
		clear(write);
		return;
	}
	if (!scsi_lease_holds(write->core)) {
		write->clears = false;
		if (reactor_timer_set(write->core->reactor, &write->timer, PAUSE_MS)) {
			to_reactor(write, recorded);
		}
		return;
	}
	write->iov = (struct iovec){.iov_base = task->buf->data, .iov_len = task->out_bytes};
	write->io.op = EXTENT_WRITE;
	write->io.fua = true;
	write->io.offset_bytes = task->lba << task->lu->block_shift;
	write->io.length_bytes = task->out_bytes;
	write->io.iov = &write->iov;
	write->io.iov_count = 1;
	write->io.done = written;
	task->in_ledger = false;
	extent_submit(write->lu->extent, write->core->reactor, &write->io);
}

static void recorded(struct mailbox_msg *msg)
{
	struct scsi_intent_write *write = container_of(msg, struct scsi_intent_write, msg);

	switch ((enum ledger_outcome)write->outcome) {
	case LEDGER_DONE:
		write_begin(write);
		return;
	case LEDGER_AGAIN: /* not all of it is there: nothing was begun */
		if (write->task->abort_wanted) {
			scsi_task_finish(leave(write));
		} else {
			scsi_task_requeue_later(leave(write));
		}
		return;
	case LEDGER_FAILED:
		write->task->status = SCSI_BUSY;
		scsi_task_finish(leave(write));
		return;
	}
}

/*
 * As long as it is in the ledger the command has not ended and nobody else gets its blocks: a new
 * owner would write it over what came later.
 */
static void cleared(struct mailbox_msg *msg)
{
	struct scsi_intent_write *write = container_of(msg, struct scsi_intent_write, msg);
	struct scsi_task *task;
	int res = write->res;

	if (write->outcome != LEDGER_DONE) {
		write->clears = true;
		if (!has_moved(write) &&
			reactor_timer_set(write->core->reactor, &write->timer, AGAIN_MS)) {
			clear(write);
		}
		return;
	}
	task = leave(write);
	task->io.length_bytes = task->out_bytes;
	task->io.done = scsi_write_done; /* once more, should it have to wait for the lease */
	scsi_write_done(&task->io, res);
}

static void timer_fired(struct reactor_timer *timer)
{
	struct scsi_intent_write *write = container_of(timer, struct scsi_intent_write, timer);

	if (write->clears) {
		clear(write);
	} else {
		write_begin(write);
	}
}

void scsi_intent_write(struct scsi_task *task)
{
	struct scsi_core *core = task->nexus->core;
	struct scsi_intent_write *write = calloc(1, sizeof(*write));

	if (!write) {
		task->status = SCSI_BUSY;
		scsi_task_finish(task);
		return;
	}
	write->scsi = core->scsi;
	write->core = core;
	write->lu = task->lu;
	write->task = task;
	write->epoch = task->epoch;
	write->timer.fired = timer_fired;
	qb_list_init(&write->queue);
	qb_list_add_tail(&write->link, &core->intents);
	task->in_ledger = true;
	to_control(write, arrived);
}

void scsi_intents_free(struct scsi *scsi)
{
	for (unsigned i = 0; i < scsi->core_count; i++) {
		struct qb_list_head *list = &scsi->cores[i].intents;

		while (!qb_list_empty(list)) {
			struct scsi_intent_write *write =
				qb_list_first_entry(list, struct scsi_intent_write, link);

			qb_list_del(&write->link);
			qb_list_del(&write->queue);
			reactor_timer_cancel(write->core->reactor, &write->timer);
			free(write);
		}
	}
	while (!qb_list_empty(&scsi->intents)) {
		struct scsi_intent_write *write =
			qb_list_first_entry(&scsi->intents, struct scsi_intent_write, queue);

		qb_list_del(&write->queue);
		free(write);
	}
}
