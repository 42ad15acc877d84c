/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands between the controllers: those that came from the other one, and ours that come back. */
#include "daemon/scsi/gate.h"
#include "daemon/scsi/group.h"
#include "daemon/scsi/hold.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/snapshot.h"
#include "daemon/scsi/tasks.h"
#include "yoke/log.h"

enum ship_outcome scsi_shipped_run(
	void *ctx, struct scsi_task *task, const uint8_t lu[16], uint64_t epoch)
{
	struct scsi *scsi = ctx;
	struct scsi_lu *unit = scsi_lu_by_uuid(scsi, lu);

	scsi_task_init(task);
	if (!unit) {
		/* The configurations differ, or the LU is gone: the ingress holds the command. */
		return SHIP_AGAIN;
	}
	task->lu = unit;
	task->epoch = epoch;
	if (!scsi_task_decode(task)) {
		task->state = SCSI_TASK_ENDED;
		task->done(task);
		return SHIP_DONE;
	}
	if (scsi_gate(task) == SCSI_VERDICT_AGAIN) {
		return SHIP_AGAIN;
	}
	scsi_task_link(task);
	scsi_task_admit(task);
	return SHIP_DONE;
}

void scsi_shipped_end(void *ctx, struct scsi_task *task)
{
	scsi_task_end(task);
}

bool scsi_shipped_abort(void *ctx, struct scsi_task *task)
{
	/* In the ledger it only marks the task; else the task may be gone after the call. */
	bool recording = task->state == SCSI_TASK_RUNNING && task->in_ledger &&
			 scsi_row_uses_ledger(task->row) && !task->row->recorded;

	scsi_tasks_abort(task->nexus->core,
		&(struct scsi_match){.nexus = task->nexus, .by_tag = true, .tag = task->tag});
	return recording;
}

void scsi_task_shipped(void *ctx, struct scsi_task *task, enum ship_outcome outcome)
{
	const struct group_view *view = &task->nexus->core->groups[task->lu->group].view;

	if (outcome == SHIP_DONE) {
		if (task->status == SCSI_TASK_ABORTED && !task->abort_wanted) {
			/* Another nexus's TMF got it at the owner. */
			task->abort_wanted = true;
			task->tell_abort = scsi_mode_of(task) & SCSI_MODE_TAS;
			if (!task->tell_abort && task->itl) {
				task->itl->pending |= 1u << SCSI_UA_COMMANDS_CLEARED;
			}
		}
		scsi_task_finish(task);
		return;
	}
	if (!task->adrift) {
		task->adrift_views = 0;
	} else if (!task->adrift_views) {
		task->adrift_views = task->nexus->core->groups[task->lu->group].views;
	}
	task->status = SCSI_GOOD;
	task->sense_length = 0;
	task->in_length = 0;
	if (task->buf_bytes) {
		/* A part of an answer, in a buffer that the interconnect chose. */
		scsi_task_end(task);
	}
	if (task->abort_wanted && !(task->tell_abort && scsi_task_is_adrift(task))) {
		scsi_task_finish(task);
	} else if (task->abort_wanted) {
		scsi_hold(task);
	} else if (view->access == GROUP_REMOTE && view->epoch == task->epoch) {
		scsi_hold(task); /* the owner is ahead of us or not there yet: a moment's pause */
	} else {
		scsi_task_admit(task);
	}
}

void scsi_serve_init(struct scsi *scsi)
{
	scsi->serve = (struct group_serve){
		.ctx = scsi,
		.publish = scsi_publish,
		.drain = scsi_drain,
		.lock = scsi_lock,
		.unlock = scsi_unlock,
		.claim = scsi_claim,
		.release = scsi_release,
		.healthy = scsi_healthy,
		.key_lost = scsi_key_lost,
		.renew = scsi_renew,
		.nexus_get = scsi_nexus_get,
		.nexus_put = scsi_nexus_put,
		.task_run = scsi_shipped_run,
		.task_end = scsi_shipped_end,
		.task_abort = scsi_shipped_abort,
		.task_shipped = scsi_task_shipped,
		.tmf_peer = scsi_tmf_peer,
	};
}
