/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/gate.h"
#include "daemon/scsi/guard.h"
#include "daemon/scsi/hold.h"
#include "daemon/scsi/group.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/place.h"
#include "daemon/scsi/sanitize.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/snapshot.h"
#include "daemon/scsi/tasks.h"
#include "daemon/scsi/token.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define CONTROL_NACA	  0x04
#define ADDITIONAL_LENGTH 7 /* ADDITIONAL CDB LENGTH of a variable length CDB */

static const char *const state_names[SCSI_TASK_STATE_COUNT] = {
	[SCSI_TASK_STARTED] = "started",
	[SCSI_TASK_BLOCKED] = "blocked",
	[SCSI_TASK_HELD] = "held",
	[SCSI_TASK_STARVED] = "starved",
	[SCSI_TASK_FENCED] = "fenced",
	[SCSI_TASK_SANITIZING] = "sanitizing",
	[SCSI_TASK_DOOMED] = "doomed",
	[SCSI_TASK_RUNNING] = "running",
	[SCSI_TASK_SHIPPED] = "shipped",
	[SCSI_TASK_ENDED] = "ended",
};

const char *scsi_task_state_name(enum scsi_task_state state)
{
	return (unsigned)state < SCSI_TASK_STATE_COUNT ? state_names[state] : "unknown";
}

void scsi_task_init(struct scsi_task *task)
{
	task->lu = NULL;
	task->row = NULL;
	task->itl = NULL;
	task->work = NULL;
	task->out_bytes = 0;
	task->in_bytes = 0;
	task->in_length = 0;
	task->in_place = NULL;
	task->in_lost = false;
	task->buf_bytes = 0;
	task->status = SCSI_GOOD;
	task->sense_length = 0;
	task->aborted = false;
	task->again = false;
	task->abort_wanted = false;
	task->tell_abort = false;
	task->in_ledger = false;
	task->settled = false;
	task->unsure = false;
	task->in_store = false;
	task->in_order = false;
	task->lba = 0;
	task->blocks = 0;
	task->guard = NULL;
	task->turn = 0;
	task->since_ms = 0;
	task->step = 0;
	task->state = SCSI_TASK_STARTED;
	qb_list_init(&task->nexus_link);
	qb_list_init(&task->lu_link);
	qb_list_init(&task->wait_link);
}

void scsi_task_link(struct scsi_task *task)
{
	qb_list_add_tail(&task->nexus_link, &task->nexus->tasks);
	if (task->itl) {
		task->itl->users++;
	}
	if (task->lu) {
		qb_list_add_tail(&task->lu_link, &task->nexus->core->lus[task->lu->index].tasks);
	}
}

static void task_unlink(struct scsi_task *task)
{
	qb_list_del(&task->nexus_link);
	qb_list_del(&task->lu_link);
	qb_list_del(&task->wait_link);
	task->state = SCSI_TASK_ENDED;
}

/* Bits that the row does not know; false with a field pointer to the highest one. */
static bool usage_check(struct scsi_task *task)
{
	const struct scsi_row *row = task->row;

	if (row->opcode == SCSI_VARIABLE_CDB &&
		task->cdb[ADDITIONAL_LENGTH] != row->usage[ADDITIONAL_LENGTH]) {
		scsi_set_cdb_field(task, ADDITIONAL_LENGTH, -1);
		return false;
	}
	for (unsigned i = 1; i < row->cdb_length; i++) {
		uint8_t allowed = row->usage[i];
		uint8_t bad;

		if (i == scsi_row_control_byte(row)) {
			allowed &= (uint8_t)~CONTROL_NACA; /* known, and not supported */
		} else if (i == 1 && row->has_action) {
			allowed |= 0x1f;
		}
		bad = task->cdb[i] & (uint8_t)~allowed;
		if (bad) {
			scsi_set_cdb_field(task, i, 31 - __builtin_clz(bad));
			return false;
		}
	}
	return true;
}

bool scsi_task_decode(struct scsi_task *task)
{
	const struct scsi_row *row = scsi_row_find(task->cdb);

	task->row = row;
	if (!task->lu && !(row && row->flags & SCSI_WITHOUT_LU)) {
		scsi_set_sense(task, SENSE_NO_SUCH_LU);
		return false;
	}
	if (!row && scsi_rows[task->cdb[0]].flags & SCSI_ACTION_IS_FIELD) {
		scsi_set_cdb_field(task, 1, 4);
		return false;
	}
	if (!row || !scsi_row_is_available(row, task->lu)) {
		scsi_set_sense(task, SENSE_INVALID_OPCODE);
		return false;
	}
	if (task->cdb_length < row->cdb_length || task->attribute >= SCSI_ATTR_ACA) {
		scsi_set_sense(task, SENSE_INVALID_FIELD_IN_CDB); /* there is never an ACA */
		return false;
	}
	if (!usage_check(task)) {
		return false;
	}
	/* Before the fields: what may be set in them depends on what the LU can do. */
	if (row->flags & SCSI_WRITES && task->lu->conf->read_only) {
		scsi_set_sense(task, SENSE_WRITE_PROTECTED);
		return false;
	}
	return row->decode(task);
}

enum scsi_start scsi_task_start(struct scsi_task *task)
{
	struct scsi_nexus *nexus = task->nexus;
	int unit = scsi_target_unit(nexus->target, scsi_lun_decode(task->lun));
	bool sound;

	scsi_task_init(task);
	task->serial = ++nexus->core->serial;
	task->rerun = false;
	task->adrift = false;
	task->adrift_views = 0;
	task->epoch = 0;
	if (unit >= 0 && !scsi_lu_is_gone(&nexus->core->scsi->lus[nexus->target->units[unit].lu])) {
		task->itl = scsi_itl_get(nexus, (unsigned)unit);
		if (!task->itl) {
			task->status = SCSI_BUSY;
			return SCSI_START_DONE;
		}
		task->lu = task->itl->lu;
	}
	sound = scsi_task_decode(task);
	if (!sound) {
		scsi_sanitize_override(task);
	}
	if (!sound || scsi_gate_early(task) == SCSI_VERDICT_REFUSED) {
		task->out_bytes = 0;
		task->in_bytes = 0;
		task->state = SCSI_TASK_ENDED;
		return SCSI_START_DONE;
	}
	scsi_task_link(task);
	return task->out_bytes ? SCSI_START_OUT : SCSI_START_READY;
}

void scsi_task_run(struct scsi_task *task)
{
	if (task->abort_wanted) {
		scsi_task_finish(task);
		return;
	}
	if (scsi_order_enter(task)) {
		scsi_task_admit(task);
	}
}

void scsi_task_run_own(struct scsi_task *task, struct scsi_lu *lu)
{
	scsi_task_init(task);
	task->lu = lu;
	task->epoch = 0;
	if (!scsi_task_decode(task) || scsi_gate_early(task) == SCSI_VERDICT_REFUSED) {
		task->state = SCSI_TASK_ENDED;
		task->done(task);
		return;
	}
	qb_list_add_tail(&task->lu_link, &task->nexus->core->lus[lu->index].tasks);
	scsi_task_admit(task);
}

void scsi_task_drop(struct scsi_task *task)
{
	struct scsi_nexus *nexus = task->nexus;

	task_unlink(task);
	if (task->itl) {
		scsi_itl_put(task->itl);
	}
	if (task->lu) {
		scsi_lu_leave_check(nexus->core, task->lu);
	}
	scsi_nexus_task_gone(nexus);
}

static void task_execute(struct scsi_task *task, struct scsi_core *core)
{
	bool stores = task->row->where == SCSI_RUNS_OWNER && !(task->row->flags & SCSI_BY_OTHERS);

	if (task->buf_bytes && !task->buf) {
		task->buf = buf_get(reactor_buffers(core->reactor), task->buf_bytes);
		if (!task->buf) {
			scsi_starve(task);
			return;
		}
	}
	if (task->row->run != scsi_read_run) {
		scsi_place_settle(core);
	}
	if (stores && !scsi_guard_enter(task)) {
		return;
	}
	task->state = SCSI_TASK_RUNNING;
	if (stores) {
		struct scsi_core_group *group = &core->groups[task->lu->group];

		task->epoch = group->view.epoch;
		task->in_store = true;
		group->in_store++;
		if (core->lus[task->lu->index].tokens) {
			scsi_tokens_written(task);
		}
		scsi_count(&core->lus[task->lu->index].entered, 1);
	}
	task->row->run(task);
}

static void task_ship(struct scsi_task *task, struct scsi_core *core)
{
	const struct group_ship *ship = core->scsi->ship;
	const struct group_view *view = &core->groups[task->lu->group].view;

	if (task->buf_bytes) {
		/* The interconnect brings the answer in a buffer of its own. */
		buf_put(reactor_buffers(core->reactor), task->buf);
		task->buf = NULL;
	}
	task->epoch = view->epoch;
	task->state = SCSI_TASK_SHIPPED;
	ship->task(ship->ctx, task, view, task->lu->conf->uuid, &task->nexus->who);
}

/* Served again: should the next owner be lost as well, that is another time adrift. */
static void adrift_end(struct scsi_task *task)
{
	if (task->adrift && !scsi_task_is_adrift(task)) {
		task->adrift = false;
		task->adrift_views = 0;
	}
}

void scsi_task_admit(struct scsi_task *task)
{
	struct scsi_core *core = task->nexus->core;

	enum scsi_verdict verdict = scsi_gate(task);

	if (verdict != SCSI_VERDICT_RUN && verdict != SCSI_VERDICT_HOLD) {
		scsi_guard_leave(task);
	}
	switch (verdict) {
	case SCSI_VERDICT_RUN:
		adrift_end(task);
		task_execute(task, core);
		break;
	case SCSI_VERDICT_HOLD:
		scsi_hold(task);
		scsi_guard_leave(task); /* who waited for it is held behind it */
		break;
	case SCSI_VERDICT_SHIP:
		adrift_end(task);
		task_ship(task, core);
		break;
	case SCSI_VERDICT_REFUSED:
		scsi_task_finish(task);
		break;
	case SCSI_VERDICT_AGAIN:
		task->again = true;
		scsi_task_finish(task);
		break;
	}
}

static void task_leave_store(struct scsi_task *task)
{
	struct scsi_core *core = task->nexus->core;

	if (task->in_store) {
		struct scsi_core_group *group = &core->groups[task->lu->group];

		task->in_store = false;
		group->in_store--;
		scsi_count(&core->lus[task->lu->index].left, 1);
		scsi_drains_check(group);
	}
}

static void work_put(struct scsi_task *task)
{
	if (task->work) {
		buf_put(reactor_buffers(task->reactor), task->work);
		task->work = NULL;
		scsi_feed(task->nexus->core);
	}
}

static void task_reset(struct scsi_task *task)
{
	work_put(task);
	scsi_place_leave(task);
	scsi_guard_leave(task);
	task->step = 0;
	task->status = SCSI_GOOD;
	task->sense_length = 0;
	task->in_length = 0;
	task_leave_store(task);
	scsi_guard_check(task->nexus->core, task->lu);
}

void scsi_task_requeue(struct scsi_task *task)
{
	task_reset(task);
	scsi_task_admit(task);
}

void scsi_task_requeue_later(struct scsi_task *task)
{
	task_reset(task);
	scsi_hold(task);
}

void scsi_task_finish(struct scsi_task *task)
{
	struct scsi_nexus *nexus = task->nexus;
	struct scsi_itl *itl = task->itl; /* lives until scsi_itl_put() */
	struct scsi_lu *lu = task->lu;
	bool swept = task->abort_wanted;

	task_leave_store(task);
	scsi_order_leave(task);
	task_unlink(task);
	work_put(task);
	if (task->abort_wanted) {
		task->aborted = !task->tell_abort;
		task->again = false;
		/* Should anybody look at an untold one all the same, it is not GOOD. */
		task->status = SCSI_TASK_ABORTED;
		task->sense_length = 0;
		task->in_length = 0;
	}
	nexus->pins++;
	scsi_guard_leave(task);
	task->done(task);
	if (lu) {
		scsi_guard_check(nexus->core, lu);
	}
	if (swept) {
		scsi_sweeps_check(nexus->core);
	}
	if (itl) {
		scsi_order_pump(itl);
		scsi_itl_put(itl);
	}
	if (lu) {
		scsi_lu_leave_check(nexus->core, lu);
	}
	nexus->pins--;
	scsi_nexus_task_gone(nexus);
}

void scsi_task_end(struct scsi_task *task)
{
	struct buf_pool *pool = reactor_buffers(task->reactor);

	scsi_place_leave(task);
	if (task->buf) {
		buf_put(pool, task->buf);
		task->buf = NULL;
		scsi_feed(scsi_core_of(task->reactor));
	}
}

void scsi_task_set_transport_sense(struct scsi_task *task, enum scsi_transport_sense sense)
{
	static const enum scsi_sense senses[] = {
		[SCSI_SENSE_UNEXPECTED_UNSOLICITED_DATA] = SENSE_UNSOLICITED_DATA,
		[SCSI_SENSE_INCORRECT_AMOUNT_OF_DATA] = SENSE_AMOUNT_OF_DATA,
		[SCSI_SENSE_PROTOCOL_CRC_ERROR] = SENSE_PROTOCOL_CRC,
	};

	scsi_set_sense(task, senses[sense]);
}

/* ----- aborts -------------------------------------------------------------------------------- */

static bool is_atomic(const struct scsi_task *task)
{
	return task->row->run == scsi_write_atomic_run;
}

/*
 * The task of the command that preempts is not ended by it. What was shipped in is ended where it
 * came from, and here: that controller may be lost.
 */
static bool is_preempted(const struct scsi_task *task, const struct scsi_effects *effects)
{
	if (task->serial && task->serial == effects->serial) {
		return false;
	}
	for (unsigned i = 0; i < effects->count; i++) {
		if (effects->list[i].abort &&
			scsi_identity_equal(&effects->list[i].who, &task->nexus->who)) {
			return true;
		}
	}
	return false;
}

bool scsi_task_matches(const struct scsi_task *task, const struct scsi_match *match)
{
	return (!match->lu || task->lu == match->lu) &&
	       (!match->nexus || task->nexus == match->nexus) &&
	       (!match->itl || task->itl == match->itl) &&
	       (!match->by_tag || task->tag == match->tag) &&
	       (!match->remote || task->nexus->remote) &&
	       (!match->who || scsi_identity_equal(match->who, &task->nexus->who)) &&
	       (!match->preempted || is_preempted(task, match->preempted));
}

/* What its initiator is told of it (SPC-4 7.5.8, TAS), when another nexus is the cause. */
static void task_tell(struct scsi_task *task, const struct scsi_match *match)
{
	if (!match->by || scsi_identity_equal(match->by, &task->nexus->who)) {
		return;
	}
	task->tell_abort = scsi_mode_of(task) & SCSI_MODE_TAS;
	if (!task->tell_abort && match->preempted && task->itl) {
		task->itl->pending |= 1u << SCSI_UA_COMMANDS_CLEARED;
	}
}

bool scsi_task_is_adrift(const struct scsi_task *task)
{
	const struct scsi_core_group *group = &task->nexus->core->groups[task->lu->group];

	return task->adrift && task->row->flags & (SCSI_WRITES | SCSI_USES_LEDGER) &&
	       (group->views == task->adrift_views || group->view.access == GROUP_HELD);
}

/*
 * A task that waits is taken out of its queue; false when it does not wait, or stays there: told
 * that it is aborted, its host could send it again by another path, and what may still run of it at
 * an owner out of reach would land on top of that.
 */
static bool task_take(struct scsi_task *task, struct qb_list_head *to)
{
	if (task->state == SCSI_TASK_HELD && task->tell_abort && scsi_task_is_adrift(task)) {
		return false;
	}
	switch ((enum scsi_task_state)task->state) {
	case SCSI_TASK_BLOCKED:
	case SCSI_TASK_HELD:
	case SCSI_TASK_STARVED:
	case SCSI_TASK_FENCED:
	case SCSI_TASK_SANITIZING:
		qb_list_del(&task->wait_link);
		qb_list_add_tail(&task->wait_link, to);
		task->state = SCSI_TASK_DOOMED;
		return true;
	case SCSI_TASK_SHIPPED:
	case SCSI_TASK_STARTED: /* when it is run or dropped */
	case SCSI_TASK_RUNNING: /* when the store is done with it */
	case SCSI_TASK_DOOMED:
	case SCSI_TASK_ENDED:
	case SCSI_TASK_STATE_COUNT:
		break;
	}
	return false;
}

static void task_doom(
	struct scsi_task *task, struct qb_list_head *doomed, struct qb_list_head *away)
{
	task->abort_wanted = true;
	if (!task_take(task, doomed) && task->state == SCSI_TASK_SHIPPED) {
		qb_list_del(&task->wait_link);
		qb_list_add_tail(&task->wait_link, away);
	}
}

void scsi_tasks_refuse(struct scsi_core *core, const struct scsi_match *match)
{
	struct qb_list_head refused;
	struct scsi_task *task;

	/* done() may change every list: they are taken aside first. */
	qb_list_init(&refused);
	if (match->nexus) {
		qb_list_for_each_entry (task, &match->nexus->tasks, nexus_link) {
			if (scsi_task_matches(task, match)) {
				task_take(task, &refused);
			}
		}
	} else {
		qb_list_for_each_entry (task, &core->lus[match->lu->index].tasks, lu_link) {
			task_take(task, &refused);
		}
	}
	while (!qb_list_empty(&refused)) {
		task = qb_list_first_entry(&refused, struct scsi_task, wait_link);
		if (!task->abort_wanted) {
			scsi_set_sense(task, SENSE_NO_SUCH_LU);
		}
		scsi_task_finish(task);
	}
}

unsigned scsi_tasks_abort(struct scsi_core *core, const struct scsi_match *match)
{
	const struct group_ship *ship = core->scsi->ship;
	struct qb_list_head doomed, away;
	struct scsi_task *task;
	unsigned found = 0;

	/* First all are marked and taken aside: done() may change every list. */
	qb_list_init(&doomed);
	qb_list_init(&away);
	if (match->nexus) {
		qb_list_for_each_entry (task, &match->nexus->tasks, nexus_link) {
			if (scsi_task_matches(task, match)) {
				found++;
				if (!task->abort_wanted) {
					task_tell(task, match);
					task_doom(task, &doomed, &away);
				}
			}
		}
	} else {
		qb_list_for_each_entry (task, &core->lus[match->lu->index].tasks, lu_link) {
			if (scsi_task_matches(task, match)) {
				found++;
				if (!task->abort_wanted) {
					task_tell(task, match);
					task_doom(task, &doomed, &away);
				}
			}
		}
	}
	while (!qb_list_empty(&doomed)) {
		scsi_task_finish(qb_list_first_entry(&doomed, struct scsi_task, wait_link));
	}
	while (!qb_list_empty(&away)) {
		task = qb_list_first_entry(&away, struct scsi_task, wait_link);
		qb_list_del(&task->wait_link);
		qb_list_init(&task->wait_link);
		ship->abort(ship->ctx, task);
	}
	return found;
}

/*
 * A preempted task whose entry is in the ledger is not waited for: that entry may be behind the one
 * that preempts, and it touches no medium. Of an atomic write only the owner knows where it is.
 */
static bool waits_for_ledger(const struct scsi_task *task)
{
	return scsi_row_uses_ledger(task->row) ||
	       (is_atomic(task) && (task->in_ledger || task->state == SCSI_TASK_SHIPPED));
}

void scsi_tasks_untold(struct scsi_nexus *nexus)
{
	struct qb_list_head *at = nexus->tasks.next;

	while (at != &nexus->tasks) {
		struct scsi_task *task = qb_list_entry(at, struct scsi_task, nexus_link);

		at = at->next;
		if (task->abort_wanted && task->state == SCSI_TASK_HELD) {
			task->tell_abort = false;
			qb_list_del(&task->wait_link);
			qb_list_init(&task->wait_link);
			scsi_task_finish(task);
			at = nexus->tasks.next; /* done() may have changed the list */
		}
	}
}

/* Also one that waits with its end until its host may be told: see task_take(). */
static bool lingers(const struct scsi_task *task, const struct scsi_match *match)
{
	return task->abort_wanted && !(match->preempted && waits_for_ledger(task)) &&
	       (task->state == SCSI_TASK_RUNNING || task->state == SCSI_TASK_SHIPPED ||
		       task->state == SCSI_TASK_HELD);
}

bool scsi_tasks_linger(struct scsi_core *core, const struct scsi_match *match)
{
	struct scsi_task *task;

	if (match->nexus) {
		qb_list_for_each_entry (task, &match->nexus->tasks, nexus_link) {
			if (scsi_task_matches(task, match) && lingers(task, match)) {
				return true;
			}
		}
		return false;
	}
	qb_list_for_each_entry (task, &core->lus[match->lu->index].tasks, lu_link) {
		if (scsi_task_matches(task, match) && lingers(task, match)) {
			return true;
		}
	}
	return false;
}
