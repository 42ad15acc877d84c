/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/guard.h"

#include <stdlib.h>

#include "daemon/scsi/place.h"
#include "daemon/scsi/tasks.h"
#include "yoke/log.h"
#include "yoke/util.h"

/* A guard at one reactor; in core_lu->guards from its arrival there until it is given up. */
struct guard_part {
	struct qb_list_head link;
	struct mailbox_msg msg;
	struct scsi_guard *guard;
	struct scsi_core *core;
	uint64_t turn;
	bool granted;
};

struct scsi_guard {
	struct scsi_core *home; /* the task's */
	struct scsi_lu *lu;
	uint64_t lba;
	uint64_t blocks;
	unsigned next; /* part that is to be taken; belongs to the reactor that has the message */
	struct mailbox_msg msg;
	atomic_uint left; /* parts that are not given up yet */
	/* on home's reactor */
	struct scsi_task *task; /* NULL: nobody wants it any more */
	bool entering; /* inside scsi_guard_wait() */
	bool granted;
	struct guard_part parts[];
};

static struct scsi_core_lu *core_lu(struct scsi_core *core, const struct scsi_lu *lu)
{
	return &core->lus[lu->index];
}

void scsi_guard_init(struct scsi_core_lu *lu)
{
	qb_list_init(&lu->guards);
	qb_list_init(&lu->fenced);
}

static bool overlaps(const struct scsi_guard *guard, const struct scsi_task *task)
{
	return task->lba < guard->lba + guard->blocks && guard->lba < task->lba + task->blocks;
}

/* ----- a part: at one reactor ------------------------------------------------------------------
 */

/* Nothing at this reactor runs on the range, and nothing that came before is still to run on it. */
static bool part_is_free(const struct guard_part *part)
{
	const struct scsi_guard *guard = part->guard;
	struct scsi_core_lu *lu = core_lu(part->core, guard->lu);
	const struct guard_part *other;
	const struct scsi_task *task;

	qb_list_for_each_entry (other, &lu->guards, link) {
		if (other == part) {
			break;
		}
		if (guard->lba < other->guard->lba + other->guard->blocks &&
			other->guard->lba < guard->lba + guard->blocks) {
			return false;
		}
	}
	qb_list_for_each_entry (task, &lu->fenced, wait_link) {
		if (task->turn < part->turn && overlaps(guard, task)) {
			return false;
		}
	}
	qb_list_for_each_entry (task, &lu->tasks, lu_link) {
		if (task->in_store && !task->guard && overlaps(guard, task)) {
			return false;
		}
	}
	return true;
}

static void guard_advance(struct scsi_guard *guard, struct scsi_core *here);

static bool part_try(struct guard_part *part)
{
	if (part->granted || !part_is_free(part)) {
		return false;
	}
	part->granted = true;
	part->guard->next++;
	guard_advance(part->guard, part->core);
	return true;
}

/* The first fenced task that no earlier guard stands before any more; NULL: none. */
static struct scsi_task *fenced_first(struct scsi_core_lu *lu)
{
	struct scsi_task *task;

	qb_list_for_each_entry (task, &lu->fenced, wait_link) {
		const struct guard_part *part;
		bool blocked = false;

		qb_list_for_each_entry (part, &lu->guards, link) {
			blocked |= part->turn < task->turn && overlaps(part->guard, task);
		}
		if (!blocked) {
			return task;
		}
	}
	return NULL;
}

static bool guards_try(struct scsi_core_lu *lu)
{
	struct guard_part *part;

	qb_list_for_each_entry (part, &lu->guards, link) {
		if (part_try(part)) {
			return true; /* the list may have changed */
		}
	}
	return false;
}

/*
 * Something has gone away: lets go on whoever may, one after the other, from the start each time.
 * Those that end inside come back here: the outer call goes on, so the stack does not grow.
 */
static void range_freed(struct scsi_core_lu *lu)
{
	struct scsi_task *task;

	if (lu->freeing) {
		return;
	}
	lu->freeing = true;
	while ((task = fenced_first(lu)) || guards_try(lu)) {
		if (task) {
			qb_list_del(&task->wait_link);
			qb_list_init(&task->wait_link);
			scsi_task_admit(task); /* its turn says that it has waited */
		}
	}
	lu->freeing = false;
}

static void part_arrived(struct scsi_guard *guard, struct scsi_core *core)
{
	struct guard_part *part = &guard->parts[guard->next];
	struct scsi_core_lu *lu = core_lu(core, guard->lu);

	scsi_place_settle(core);
	part->turn = ++lu->turn;
	qb_list_add_tail(&part->link, &lu->guards);
	part_try(part);
}

static void part_drop(struct guard_part *part)
{
	struct scsi_guard *guard = part->guard;
	struct scsi_core_lu *lu = core_lu(part->core, guard->lu);

	qb_list_del(&part->link);
	if (atomic_fetch_sub_explicit(&guard->left, 1, memory_order_acq_rel) == 1) {
		free(guard);
	}
	range_freed(lu);
}

static void part_drop_arrived(struct mailbox_msg *msg)
{
	part_drop(container_of(msg, struct guard_part, msg));
}

/* ----- the guard: from reactor to reactor, and home --------------------------------------------
 */

static void guard_release(struct scsi_guard *guard)
{
	struct guard_part *own = NULL;
	unsigned count = guard->home->scsi->core_count;

	for (unsigned i = 0; i < count; i++) {
		struct guard_part *part = &guard->parts[i];

		if (part->core == guard->home) {
			own = part;
		} else {
			part->msg.fn = part_drop_arrived;
			reactor_post(part->core->reactor, &part->msg);
		}
	}
	part_drop(own); /* last: `guard` may be gone */
}

static void guard_granted(struct scsi_guard *guard)
{
	guard->granted = true;
	if (!guard->task) {
		guard_release(guard);
	} else if (!guard->entering && guard->task->state == SCSI_TASK_FENCED) {
		scsi_task_admit(guard->task);
	} /* else an abort is about to end it, and then gives the guard back */
}

static void guard_msg_arrived(struct mailbox_msg *msg)
{
	struct scsi_guard *guard = container_of(msg, struct scsi_guard, msg);
	struct scsi *scsi = guard->home->scsi;

	if (guard->next < scsi->core_count) {
		part_arrived(guard, &scsi->cores[guard->next]);
	} else {
		guard_granted(guard);
	}
}

static void guard_advance(struct scsi_guard *guard, struct scsi_core *here)
{
	struct scsi *scsi = here->scsi;
	struct scsi_core *to =
		guard->next < scsi->core_count ? &scsi->cores[guard->next] : guard->home;

	guard->msg.fn = guard_msg_arrived;
	if (to == here) {
		guard_msg_arrived(&guard->msg);
	} else {
		reactor_post(to->reactor, &guard->msg);
	}
}

static struct scsi_guard *guard_new(struct scsi_task *task)
{
	struct scsi_core *home = scsi_core_of(task->reactor);
	unsigned count = home->scsi->core_count;
	struct scsi_guard *guard = calloc(1, sizeof(*guard) + count * sizeof(guard->parts[0]));

	if (!guard) {
		return NULL;
	}
	guard->home = home;
	guard->lu = task->lu;
	guard->lba = task->lba;
	guard->blocks = task->blocks;
	guard->task = task;
	atomic_init(&guard->left, count);
	for (unsigned i = 0; i < count; i++) {
		guard->parts[i].guard = guard;
		guard->parts[i].core = &home->scsi->cores[i];
	}
	return guard;
}

/* ----- tasks ---------------------------------------------------------------------------------- */

/* True when the guard is there at once. */
static bool guard_begin(struct scsi_task *task)
{
	struct scsi_guard *guard = guard_new(task);

	if (!guard) {
		log_warning("LU %s: out of memory for %s; it is answered BUSY",
			task->lu->conf->name, task->row->name);
		task->status = SCSI_BUSY;
		scsi_task_finish(task);
		return false;
	}
	task->guard = guard;
	task->state = SCSI_TASK_FENCED;
	guard->entering = true;
	guard_advance(guard, guard->home);
	guard->entering = false;
	return guard->granted;
}

static bool fence(struct scsi_task *task, struct scsi_core_lu *lu)
{
	const struct guard_part *part;

	if (task->turn) {
		task->turn = 0; /* it has waited */
		return false;
	}
	qb_list_for_each_entry (part, &lu->guards, link) {
		if (overlaps(part->guard, task)) {
			task->turn = ++lu->turn;
			task->state = SCSI_TASK_FENCED;
			qb_list_add_tail(&task->wait_link, &lu->fenced);
			return true;
		}
	}
	return false;
}

bool scsi_guard_wait(struct scsi_task *task)
{
	if (task->guard || task->blocks == 0) {
		return true;
	}
	if (task->row->flags & SCSI_GUARDED) {
		return guard_begin(task);
	}
	return !fence(task, core_lu(scsi_core_of(task->reactor), task->lu));
}

void scsi_guard_leave(struct scsi_task *task)
{
	struct scsi_guard *guard = task->guard;

	task->turn = 0;
	if (!guard) {
		return;
	}
	task->guard = NULL;
	guard->task = NULL;
	if (guard->granted) {
		guard_release(guard);
	}
}

void scsi_guard_check(struct scsi_core *core, struct scsi_lu *lu)
{
	struct scsi_core_lu *at = core_lu(core, lu);

	if (!qb_list_empty(&at->guards)) {
		range_freed(at);
	}
}
