/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of checks:
 *
 *  0 the LU: one that was removed while the command waited does not exist any more.
 *  1 unit attention: told once, the command does not run (SAM-5 5.14). Only where the nexus lives:
 *    a shipped command had it at its ingress.
 *  2 ALUA state of the port that the command came in by (SPC-4 5.16.2). Ingress too.
 *    Neither 1 nor 2 is for a command that may have run already, at an owner that is lost: its host
 *    would take it for not done, send it again, and find its own COMPARE AND WRITE in the way.
 *  3 the group: a command for the owner runs here, waits, or is shipped, by the view. A shipped one
 *    must carry the epoch of this view: a lower one goes back, a higher one waits for its view.
 *    Nothing runs on a lease that has expired: this process did not run for a while, and the group
 *    may be another's (invariant I9). Nor once the disk has refused a write because the write key
 *    is another's: the machine lets the group go, and the next epoch decides.
 *  4 where it runs, reservations (SPC-4 5.13), a sanitize operation (SBC-4 4.11) and software write
 *    protection, by this reactor's copy of the LU's state, which is at least as new as every change
 * that has been acknowledged. A command that itself changes the state is judged when its entry is
 * applied.
 *
 * A command that waited, for whatever reason, comes through here again before it runs.
 */
#include "daemon/scsi/gate.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/snapshot.h"

static const char *const verdict_names[] = {
	[SCSI_VERDICT_RUN] = "run",
	[SCSI_VERDICT_HOLD] = "hold",
	[SCSI_VERDICT_SHIP] = "ship",
	[SCSI_VERDICT_REFUSED] = "refused",
	[SCSI_VERDICT_AGAIN] = "again",
};

const char *scsi_verdict_name(enum scsi_verdict verdict)
{
	return (unsigned)verdict <= SCSI_VERDICT_AGAIN ? verdict_names[verdict] : "unknown";
}

/* What an ALUA state that is not active lets through, and what it answers to the rest. */
static const struct {
	uint8_t allows; /* bit in row->states; 0 = everything */
	enum scsi_sense sense;
} states[16] = {
	[ALUA_OPTIMIZED] = {0, SENSE_NONE},
	[ALUA_NON_OPTIMIZED] = {0, SENSE_NONE},
	[ALUA_STANDBY] = {SCSI_IN_STANDBY, SENSE_NOT_READY_STANDBY},
	[ALUA_UNAVAILABLE] = {SCSI_IN_UNAVAILABLE, SENSE_NOT_READY_UNAVAILABLE},
	[ALUA_OFFLINE] = {SCSI_IN_OFFLINE, SENSE_NOT_READY_OFFLINE},
	[ALUA_TRANSITIONING] = {SCSI_IN_TRANSITIONING, SENSE_NOT_READY_TRANSITIONING},
};

static bool unit_attention(struct scsi_task *task)
{
	enum scsi_sense sense;

	if (!task->itl || task->row->flags & SCSI_PASSES_UA) {
		return false;
	}
	sense = scsi_ua_take(task->nexus, task->itl);
	if (sense == SENSE_NONE) {
		return false;
	}
	scsi_set_sense(task, sense);
	return true;
}

static bool state_refuses(struct scsi_task *task, const struct scsi_core_group *group)
{
	uint8_t controller = task->nexus->who.controller;
	uint8_t state = controller <= YOKE_CONTROLLERS ? group->view.tpg[controller] & 0xf : 0;

	if (!states[state].allows || task->row->states & states[state].allows) {
		return false;
	}
	if (state == ALUA_TRANSITIONING &&
		task->nexus->core->scsi->conf->hold_answer == CONF_HOLD_BUSY) {
		task->status = SCSI_BUSY; /* hosts of the older kind fail the path on 04/0A */
		return true;
	}
	scsi_set_sense(task, states[state].sense);
	return true;
}

enum scsi_verdict scsi_gate_early(struct scsi_task *task)
{
	const struct scsi_core_group *group;

	if (!task->lu) {
		return SCSI_VERDICT_RUN;
	}
	if (scsi_lu_is_gone(task->lu) || (task->itl && task->itl->gone)) {
		scsi_set_sense(task, SENSE_NO_SUCH_LU);
		return SCSI_VERDICT_REFUSED;
	}
	if (task->shipped_in || task->rerun) {
		return SCSI_VERDICT_RUN;
	}
	if (unit_attention(task)) {
		return SCSI_VERDICT_REFUSED;
	}
	group = &task->nexus->core->groups[task->lu->group];
	if (group->published && state_refuses(task, group)) {
		return SCSI_VERDICT_REFUSED;
	}
	return SCSI_VERDICT_RUN;
}

static enum scsi_verdict gate_local(
	const struct scsi_core *core, const struct scsi_core_group *group)
{
	bool lost = group->lost_epoch && group->lost_epoch == group->view.epoch;

	return scsi_lease_holds(core) && !lost ? SCSI_VERDICT_RUN : SCSI_VERDICT_HOLD;
}

static enum scsi_verdict gate_shipped(
	const struct scsi_task *task, const struct scsi_core_group *group)
{
	const struct group_view *view = &group->view;

	if (task->epoch < view->epoch) {
		return SCSI_VERDICT_AGAIN;
	}
	if (task->epoch > view->epoch) {
		return SCSI_VERDICT_HOLD;
	}
	switch (view->access) {
	case GROUP_HELD:
		return SCSI_VERDICT_HOLD;
	case GROUP_LOCAL:
		return gate_local(task->nexus->core, group);
	case GROUP_REMOTE:
		return SCSI_VERDICT_AGAIN;
	}
	return SCSI_VERDICT_HOLD;
}

/* Check 3. */
static enum scsi_verdict gate_group(const struct scsi_task *task)
{
	const struct scsi_core *core = task->nexus->core;
	const struct scsi_core_group *group;

	if (!task->lu || (task->row->where == SCSI_RUNS_HERE && !task->shipped_in)) {
		return SCSI_VERDICT_RUN;
	}
	group = &core->groups[task->lu->group];
	if (task->shipped_in) {
		return gate_shipped(task, group);
	}
	switch (group->view.access) {
	case GROUP_HELD:
		return SCSI_VERDICT_HOLD;
	case GROUP_LOCAL:
		return gate_local(core, group);
	case GROUP_REMOTE:
		if (task->row->where == SCSI_RUNS_SERVED) {
			return SCSI_VERDICT_RUN;
		}
		return core->scsi->ship ? SCSI_VERDICT_SHIP : SCSI_VERDICT_HOLD;
	}
	return SCSI_VERDICT_HOLD;
}

enum scsi_verdict scsi_gate(struct scsi_task *task)
{
	enum scsi_verdict verdict;

	if (scsi_gate_early(task) == SCSI_VERDICT_REFUSED) {
		return SCSI_VERDICT_REFUSED;
	}
	verdict = gate_group(task);
	if (verdict == SCSI_VERDICT_RUN && scsi_state_refuses(task)) {
		return SCSI_VERDICT_REFUSED;
	}
	return verdict;
}
