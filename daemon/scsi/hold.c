/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/hold.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/log.h"
#include "yoke/util.h"

static struct scsi_task *first_waiting(struct qb_list_head *list)
{
	struct scsi_task *task = qb_list_first_entry(list, struct scsi_task, wait_link);

	qb_list_del(&task->wait_link);
	qb_list_init(&task->wait_link);
	return task;
}

/* ----- held ---------------------------------------------------------------------------------- */

#define NO_LIMIT UINT64_MAX

/*
 * BUSY and "not ready" say that the command has not been done. Of one that changes something and
 * may have been done that must not be said: its host would send it again, find its own COMPARE AND
 * WRITE in the way, or write over what others have written since.
 */
static bool may_be_done(const struct scsi_task *task)
{
	return task->row->flags & (SCSI_WRITES | SCSI_USES_LEDGER) && (task->unsure || task->rerun);
}

/* How long this task may stay where it is; 0 = no longer. */
static uint64_t held_left_ms(const struct scsi_core *core, const struct scsi_task *task)
{
	uint64_t age = reactor_now_ms(core->reactor) - task->since_ms;
	uint64_t limit = core->scsi->conf->hold_limit_ms;

	if (may_be_done(task)) {
		return NO_LIMIT;
	}
	return age >= limit ? 0 : limit - age;
}

static void timer_lower(struct scsi_core *core, uint64_t delay_ms)
{
	uint64_t at = reactor_now_ms(core->reactor) + delay_ms;

	if (!reactor_timer_is_set(&core->hold_timer) || at < core->hold_timer.at_ms) {
		/* Without memory for the timer the next task that is held sets it. */
		(void)reactor_timer_set(core->reactor, &core->hold_timer, delay_ms);
	}
}

void scsi_hold(struct scsi_task *task)
{
	struct scsi_core *core = task->nexus->core;
	struct scsi_core_group *group = &core->groups[task->lu->group];
	uint64_t left;

	if (!task->since_ms) {
		task->since_ms = reactor_now_ms(core->reactor);
	}
	task->state = SCSI_TASK_HELD;
	qb_list_add_tail(&task->wait_link, &group->held);
	left = held_left_ms(core, task);
	if ((group->view.access != GROUP_HELD || task->unsure) && left > SCSI_AGAIN_PAUSE_MS) {
		left = SCSI_AGAIN_PAUSE_MS;
	}
	if (left != NO_LIMIT) {
		timer_lower(core, left);
	}
}

static void overdue(struct scsi_task *task)
{
	const struct scsi *scsi = task->nexus->core->scsi;

	log_debug("LU %s: %s from %s held past %u ms", task->lu->conf->name, task->row->name,
		task->nexus->who.initiator, scsi->conf->hold_limit_ms);
	switch (scsi->conf->hold_answer) {
	case CONF_HOLD_BUSY:
		task->status = SCSI_BUSY;
		break;
	case CONF_HOLD_TRANSITIONING:
		scsi_set_sense(task, SENSE_NOT_READY_TRANSITIONING);
		break;
	}
	scsi_task_finish(task);
}

/* Looks again: from the gate, or at the I/O that it came back from when the lease had expired. */
static void held_resume(struct scsi_task *task)
{
	if (task->abort_wanted) { /* only one that was adrift is still here */
		if (scsi_task_is_adrift(task)) {
			scsi_hold(task);
		} else {
			scsi_task_finish(task);
		}
		return;
	}
	if (!task->unsure) {
		scsi_task_admit(task);
		return;
	}
	task->unsure = false;
	task->state = SCSI_TASK_RUNNING;
	task->io.done(&task->io, task->unsure_res);
}

void scsi_hold_release(struct scsi_core *core, struct scsi_core_group *group)
{
	struct qb_list_head tasks;

	/* Those that must wait on come back to group->held, in the same order. */
	qb_list_init(&tasks);
	qb_list_splice_tail(&group->held, &tasks);
	qb_list_init(&group->held);
	while (!qb_list_empty(&tasks)) {
		held_resume(first_waiting(&tasks));
	}
}

static void hold_group_tick(struct scsi_core *core, struct scsi_core_group *group)
{
	struct qb_list_head tasks;

	qb_list_init(&tasks);
	qb_list_splice_tail(&group->held, &tasks);
	qb_list_init(&group->held);
	while (!qb_list_empty(&tasks)) {
		struct scsi_task *task = first_waiting(&tasks);

		if (held_left_ms(core, task) == 0) {
			overdue(task);
		} else if (group->view.access == GROUP_HELD && !task->unsure) {
			scsi_hold(task);
		} else {
			held_resume(task);
		}
	}
}

static void hold_timer_fired(struct reactor_timer *timer)
{
	struct scsi_core *core = container_of(timer, struct scsi_core, hold_timer);

	for (unsigned i = 0; i < core->scsi->group_count; i++) {
		if (!qb_list_empty(&core->groups[i].held)) {
			hold_group_tick(core, &core->groups[i]);
		}
	}
}

/* ----- starved ------------------------------------------------------------------------------- */

void scsi_starve(struct scsi_task *task)
{
	struct scsi_core *core = task->nexus->core;
	struct buf_pool *pool = reactor_buffers(core->reactor);

	if (task->buf_bytes > buf_pool_limit(pool) || buf_pool_used(pool) == 0) {
		task->status = SCSI_BUSY; /* no buffer will come back that could help */
		scsi_task_finish(task);
		return;
	}
	task->state = SCSI_TASK_STARVED;
	qb_list_add_tail(&task->wait_link, &core->starved);
	if (!reactor_timer_is_set(&core->feed_timer)) {
		(void)reactor_timer_set(core->reactor, &core->feed_timer, SCSI_BUFFER_POLL_MS);
	}
}

void scsi_feed(struct scsi_core *core)
{
	if (!qb_list_empty(&core->starved)) {
		reactor_defer(core->reactor, &core->feed);
	}
}

static void feed_run(struct reactor_defer *defer)
{
	struct scsi_core *core = container_of(defer, struct scsi_core, feed);
	struct buf_pool *pool = reactor_buffers(core->reactor);

	while (!qb_list_empty(&core->starved)) {
		struct scsi_task *task =
			qb_list_first_entry(&core->starved, struct scsi_task, wait_link);

		task->buf = buf_get(pool, task->buf_bytes);
		if (!task->buf && buf_pool_used(pool)) {
			if (!reactor_timer_is_set(&core->feed_timer)) {
				(void)reactor_timer_set(
					core->reactor, &core->feed_timer, SCSI_BUFFER_POLL_MS);
			}
			return;
		}
		scsi_task_admit(first_waiting(&core->starved));
	}
}

static void feed_timer_fired(struct reactor_timer *timer)
{
	scsi_feed(container_of(timer, struct scsi_core, feed_timer));
}

void scsi_hold_init(struct scsi_core *core)
{
	qb_list_init(&core->starved);
	qb_list_init(&core->feed.link);
	core->feed.fn = feed_run;
	core->feed_timer.fired = feed_timer_fired;
	core->hold_timer.fired = hold_timer_fired;
}

void scsi_hold_stop(struct scsi_core *core)
{
	reactor_timer_cancel(core->reactor, &core->hold_timer);
	reactor_timer_cancel(core->reactor, &core->feed_timer);
	reactor_defer_cancel(core->reactor, &core->feed);
}
