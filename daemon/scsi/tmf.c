/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Task management (SAM-5 7). A function that acts on a nexus's own tasks stays on its reactor; one
 * that acts on whole LUs goes to every reactor and to the other controller. Either waits until the
 * tasks that it aborted are out of the store and away from the owner, also from one that is lost.
 */
#include <string.h>

#include "daemon/scsi/ledger.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/tasks.h"
#include "yoke/log.h"
#include "yoke/util.h"

/* ----- sweeps: the part of a TMF on one reactor ------------------------------------------------
 */

void scsi_sweep_start(struct scsi_sweep *sweep)
{
	scsi_tasks_abort(sweep->core, &sweep->match);
	scsi_sweep_wait(sweep);
}

void scsi_sweep_wait(struct scsi_sweep *sweep)
{
	if (scsi_tasks_linger(sweep->core, &sweep->match)) {
		qb_list_add_tail(&sweep->link, &sweep->core->sweeps);
	} else {
		sweep->done(sweep);
	}
}

void scsi_sweeps_check(struct scsi_core *core)
{
	struct qb_list_head *at = core->sweeps.next;

	while (at != &core->sweeps) {
		struct scsi_sweep *sweep = qb_list_entry(at, struct scsi_sweep, link);

		at = at->next;
		if (!scsi_tasks_linger(core, &sweep->match)) {
			qb_list_del(&sweep->link);
			sweep->done(sweep);
			at = core->sweeps.next; /* done() may have changed the list */
		}
	}
}

/* ----- a reset: one LU, or the sessions of a target; every reactor, and the other controller if
 * `ship` ----- */

struct reset_part {
	struct scsi_sweep sweep;
	struct mailbox_msg msg;
	struct reset *reset;
};

struct reset {
	struct scsi_core *home; /* where done() runs */
	struct scsi_lu *lu; /* NULL: the sessions of who.target, but for that of `who` */
	struct scsi_identity who;
	void (*done)(void *arg);
	void *arg;
	bool last_round; /* of sweeps */
	unsigned left; /* counted on home's reactor */
	struct reset_part parts[];
};

static void stragglers_arrived(struct mailbox_msg *msg);

static void reset_left_lower(struct reset *reset)
{
	if (--reset->left > 0) {
		return;
	}
	if (reset->last_round) {
		reset->done(reset->arg);
		free(reset);
		return;
	}
	reset->last_round = true;
	reset->left = reset->home->scsi->core_count;
	for (unsigned i = 0; i < reset->home->scsi->core_count; i++) {
		reset->parts[i].msg.fn = stragglers_arrived;
		reactor_post(reset->home->scsi->cores[i].reactor, &reset->parts[i].msg);
	}
}

/* On home's reactor. */
static void reset_part_back(struct mailbox_msg *msg)
{
	reset_left_lower(container_of(msg, struct reset_part, msg)->reset);
}

static void reset_peer_done(void *arg)
{
	reset_left_lower(arg);
}

static void reset_swept(struct scsi_sweep *sweep)
{
	struct reset_part *part = container_of(sweep, struct reset_part, sweep);

	part->msg.fn = reset_part_back;
	reactor_post(part->reset->home->reactor, &part->msg);
}

/* The core's sessions of a target that is reset like at power on. */
static void sessions_end(struct scsi_core *core, const struct scsi_identity *who)
{
	struct qb_list_head *pos, *next;

	qb_list_for_each_safe (pos, next, &core->nexuses) {
		struct scsi_nexus *nexus = qb_list_entry(pos, struct scsi_nexus, link);

		if (nexus->end && !nexus->closing && strcmp(nexus->who.target, who->target) == 0 &&
			!scsi_identity_equal(&nexus->who, who)) {
			nexus->pins++;
			nexus->end(nexus->end_arg);
			nexus->pins--;
			scsi_nexus_task_gone(nexus);
		}
	}
}

static void reset_part_arrived(struct mailbox_msg *msg)
{
	struct reset_part *part = container_of(msg, struct reset_part, msg);

	if (!part->reset->lu) {
		sessions_end(part->sweep.core, &part->reset->who);
		reset_swept(&part->sweep);
		return;
	}
	/* For every I_T nexus, the one that asked too (SAM-5 6.3.3 d). */
	scsi_ua_raise(part->sweep.core, part->reset->lu, SCSI_UA_LU_RESET, NULL);
	scsi_sweep_start(&part->sweep);
}

/*
 * What the other controller had shipped before it was asked may have come in since, and when it has
 * been lost nobody else ends that.
 */
static void stragglers_arrived(struct mailbox_msg *msg)
{
	struct reset_part *part = container_of(msg, struct reset_part, msg);

	part->sweep.match.remote = true;
	scsi_sweep_start(&part->sweep);
}

/* Resets one LU, or (NULL) ends sessions; false when out of memory. done() runs on core's reactor,
 * never inside the call. */
static bool reset_start(struct scsi_core *core, struct scsi_lu *lu, const struct scsi_identity *who,
	const struct group_ship *ship, void (*done)(void *arg), void *arg)
{
	static const uint8_t no_lu[16];
	struct scsi *scsi = core->scsi;
	struct reset *reset =
		calloc(1, sizeof(*reset) + scsi->core_count * sizeof(reset->parts[0]));

	if (!reset) {
		return false;
	}
	reset->home = core;
	reset->lu = lu;
	reset->who = *who;
	reset->done = done;
	reset->arg = arg;
	reset->left = scsi->core_count + (ship ? 1 : 0);
	reset->last_round = !lu || !ship;
	for (unsigned i = 0; i < scsi->core_count; i++) {
		struct reset_part *part = &reset->parts[i];

		part->reset = reset;
		part->sweep.core = &scsi->cores[i];
		part->sweep.match.lu = lu;
		part->sweep.match.by = &reset->who;
		part->sweep.done = reset_swept;
		part->msg.fn = reset_part_arrived;
		reactor_post(scsi->cores[i].reactor, &part->msg);
	}
	if (ship) {
		/* Even if this ends at once, the parts above have not come back yet. */
		ship->tmf(ship->ctx, core->reactor,
			lu ? SCSI_TMF_LU_RESET : SCSI_TMF_TARGET_COLD_RESET,
			lu ? lu->conf->uuid : no_lu, &reset->who, reset_peer_done, reset);
	}
	return true;
}

/* ----- the other controller's part ------------------------------------------------------------
 */

struct peer_sweep {
	struct scsi_sweep sweep;
	struct scsi_identity who;
	void (*done)(void *arg);
	void *arg;
};

static void peer_swept(struct scsi_sweep *sweep)
{
	struct peer_sweep *peer = container_of(sweep, struct peer_sweep, sweep);

	peer->done(peer->arg);
	free(peer);
}

/*
 * What the function names has been aborted one by one where it came from. What came by a connection
 * that is lost has ended, or waits for the ledger only, before this could come by the next one.
 */
static bool peer_wait(struct scsi_core *core, struct scsi_lu *lu, const struct scsi_identity *who,
	void (*done)(void *arg), void *arg)
{
	struct peer_sweep *peer = calloc(1, sizeof(*peer));

	if (!peer) {
		return false;
	}
	peer->who = *who;
	peer->done = done;
	peer->arg = arg;
	peer->sweep.core = core;
	peer->sweep.match = (struct scsi_match){.lu = lu, .who = &peer->who};
	peer->sweep.done = peer_swept;
	scsi_sweep_wait(&peer->sweep);
	return true;
}

static bool acts_on_own_tasks(enum scsi_tmf_function function)
{
	return function == SCSI_TMF_ABORT_TASK || function == SCSI_TMF_ABORT_TASK_SET ||
	       function == SCSI_TMF_CLEAR_TASK_SET;
}

void scsi_tmf_peer(void *ctx, struct reactor *r, enum scsi_tmf_function function,
	const uint8_t lu[16], const struct scsi_identity *who, void (*done)(void *arg), void *arg)
{
	struct scsi *scsi = ctx;
	bool cold = function == SCSI_TMF_TARGET_COLD_RESET;
	struct scsi_lu *unit = cold ? NULL : scsi_lu_by_uuid(scsi, lu);
	bool started;

	if (cold) {
		log_notice("target %s: TARGET COLD RESET from %s at the other controller: its "
			   "sessions end",
			who->target, who->initiator);
	} else if (!unit || (function != SCSI_TMF_LU_RESET && !acts_on_own_tasks(function))) {
		log_warning("%s from %s at the other controller: not carried out here, unknown %s",
			scsi_tmf_function_name(function), who->initiator, unit ? "function" : "LU");
		done(arg);
		return;
	}
	started = acts_on_own_tasks(function)
			  ? peer_wait(scsi_core_of(r), unit, who, done, arg)
			  : reset_start(scsi_core_of(r), unit, who, NULL, done, arg);
	if (!started) {
		log_err("target %s: out of memory for %s from the other controller", who->target,
			scsi_tmf_function_name(function));
		done(arg);
	}
}

/* ----- functions of the transport ------------------------------------------------------------- */

struct own_sweep {
	struct scsi_sweep sweep;
	struct scsi_tmf *tmf;
	bool away; /* the other controller is asked, too */
};

static void tmf_end(struct scsi_tmf *tmf, enum scsi_tmf_response response)
{
	tmf->response = (uint8_t)response;
	tmf->done(tmf);
}

static void own_end(void *arg)
{
	struct own_sweep *own = arg;
	struct scsi_tmf *tmf = own->tmf;

	free(own);
	tmf_end(tmf, SCSI_TMF_COMPLETE);
}

static void own_swept(struct scsi_sweep *sweep)
{
	struct own_sweep *own = container_of(sweep, struct own_sweep, sweep);
	const struct scsi_tmf *tmf = own->tmf;
	const struct group_ship *ship = sweep->core->scsi->ship;

	if (!own->away) {
		own_end(own);
		return;
	}
	/* By the connection that they were sent by, or the next one. */
	ship->tmf(ship->ctx, tmf->reactor, (enum scsi_tmf_function)tmf->function,
		tmf->lu->conf->uuid, &tmf->nexus->who, own_end, own);
}

/*
 * May one of them run at the other controller? Also one that came back because that one is lost, or
 * its connection is: until this controller owns the group it may be there still.
 */
static bool own_is_away(const struct scsi_core *core, const struct scsi_match *match)
{
	const struct scsi_task *task;

	qb_list_for_each_entry (task, &match->nexus->tasks, nexus_link) {
		if (scsi_task_matches(task, match) &&
			(task->state == SCSI_TASK_SHIPPED ||
				(task->rerun && core->groups[task->lu->group].view.access !=
							GROUP_LOCAL))) {
			return true;
		}
	}
	return false;
}

static void own_start(struct scsi_tmf *tmf, bool by_tag)
{
	struct scsi_nexus *nexus = tmf->nexus;
	struct own_sweep *own = calloc(1, sizeof(*own));

	if (!own) {
		tmf_end(tmf, SCSI_TMF_REJECTED);
		return;
	}
	own->tmf = tmf;
	own->sweep.core = nexus->core;
	own->sweep.match = (struct scsi_match){
		.lu = tmf->lu, .nexus = nexus, .by_tag = by_tag, .tag = tmf->ref_tag};
	own->sweep.done = own_swept;
	own->away = own_is_away(nexus->core, &own->sweep.match);
	scsi_sweep_start(&own->sweep);
}

static void tmf_abort_task(struct scsi_tmf *tmf)
{
	struct scsi_task *task;

	qb_list_for_each_entry (task, &tmf->nexus->tasks, nexus_link) {
		if (task->tag == tmf->ref_tag && task->lu == tmf->lu) {
			own_start(tmf, true);
			return;
		}
	}
	tmf_end(tmf, SCSI_TMF_NO_TASK);
}

/* TST=001b: the task set is the nexus's own, so CLEAR TASK SET is ABORT TASK SET (SAM-5 7.5). */
static void tmf_abort_task_set(struct scsi_tmf *tmf)
{
	own_start(tmf, false);
}

static void tmf_left_lower(void *arg)
{
	struct scsi_tmf *tmf = arg;
	bool cold = tmf->function == SCSI_TMF_TARGET_COLD_RESET;
	struct scsi_nexus *nexus = tmf->nexus; /* with `cold` it is pinned; else it may be gone */

	if (--tmf->pending > 0) {
		return;
	}
	if (cold && !tmf->ended) {
		tmf->ended = true;
		tmf->pending = 1;
		if (reset_start(nexus->core, NULL, &nexus->who, nexus->core->scsi->ship,
			    tmf_left_lower, tmf)) {
			return;
		}
		tmf->response = SCSI_TMF_REJECTED;
	}
	tmf_end(tmf, (enum scsi_tmf_response)tmf->response);
	if (cold) {
		nexus->pins--;
		scsi_nexus_task_gone(nexus);
	}
}

static void tmf_reset_lu(struct scsi_tmf *tmf, struct scsi_lu *lu)
{
	struct scsi_nexus *nexus = tmf->nexus;

	tmf->pending++;
	if (!reset_start(
		    nexus->core, lu, &nexus->who, nexus->core->scsi->ship, tmf_left_lower, tmf)) {
		tmf->response = SCSI_TMF_REJECTED;
		tmf->pending--;
	}
	tmf->pending++;
	if (!scsi_unreserve(nexus->core, lu, &nexus->who, true, tmf_left_lower, tmf)) {
		tmf->response = SCSI_TMF_REJECTED;
		tmf->pending--;
	}
}

static void tmf_lu_reset(struct scsi_tmf *tmf)
{
	log_notice("LU %s: LU RESET from %s", tmf->lu->conf->name, tmf->nexus->who.initiator);
	tmf->pending = 1;
	tmf_reset_lu(tmf, tmf->lu);
	tmf_left_lower(tmf);
}

static void tmf_target_reset(struct scsi_tmf *tmf)
{
	struct scsi_nexus *nexus = tmf->nexus;
	struct scsi *scsi = nexus->core->scsi;

	log_notice("target %s: %s from %s", nexus->who.target,
		scsi_tmf_function_name((enum scsi_tmf_function)tmf->function),
		nexus->who.initiator);
	tmf->pending = 1;
	tmf->ended = false;
	nexus->pins += tmf->function == SCSI_TMF_TARGET_COLD_RESET;
	for (unsigned i = 0; i < nexus->target->unit_count; i++) {
		tmf_reset_lu(tmf, &scsi->lus[nexus->target->units[i].lu]);
	}
	tmf_left_lower(tmf);
}

void scsi_task_lost(struct scsi_task *task)
{
	if (task->itl) {
		task->itl->pending |= 1u << SCSI_UA_COMMANDS_LOST;
	}
	scsi_tasks_abort(task->nexus->core,
		&(struct scsi_match){.nexus = task->nexus, .by_tag = true, .tag = task->tag});
}

/* RFC 7144 6: "function succeeded" says yes, "function complete" no. */
static void tmf_say(struct scsi_tmf *tmf, bool yes)
{
	tmf_end(tmf, yes ? SCSI_TMF_SUCCEEDED : SCSI_TMF_COMPLETE);
}

static void tmf_query_task(struct scsi_tmf *tmf)
{
	const struct scsi_task *task;

	qb_list_for_each_entry (task, &tmf->nexus->tasks, nexus_link) {
		if (task->tag == tmf->ref_tag && task->lu == tmf->lu && !task->abort_wanted) {
			tmf_say(tmf, true);
			return;
		}
	}
	tmf_say(tmf, false);
}

static void tmf_query_task_set(struct scsi_tmf *tmf)
{
	const struct scsi_task *task;

	qb_list_for_each_entry (task, &tmf->nexus->tasks, nexus_link) {
		if (task->lu == tmf->lu && !task->abort_wanted) {
			tmf_say(tmf, true);
			return;
		}
	}
	tmf_say(tmf, false);
}

/* Is a unit attention pending? Its codes, and whether there is one or more (SAM-5 7.11). */
static void tmf_query_async_event(struct scsi_tmf *tmf)
{
	const struct scsi_nexus *nexus = tmf->nexus;
	int unit = scsi_target_unit(nexus->target, scsi_lun_decode(tmf->lun));
	const struct scsi_itl *itl = scsi_itl_get(tmf->nexus, (unsigned)unit);
	const struct scsi_sense_code *code;
	enum scsi_sense sense = SENSE_NONE;
	unsigned n;

	if (!itl) {
		tmf_end(tmf, SCSI_TMF_REJECTED);
		return;
	}
	n = scsi_ua_peek(tmf->nexus, itl, &sense);
	if (n > 0) {
		code = scsi_sense_code(sense);
		tmf->info[0] = (uint8_t)((n > 1 ? 2 : 1) << 4 | code->key);
		tmf->info[1] = code->asc;
		tmf->info[2] = code->ascq;
	}
	tmf_say(tmf, n > 0);
}

/* A function without a row is not supported. */
static const struct {
	void (*run)(struct scsi_tmf *tmf);
	bool names_lu;
} functions[] = {
	[SCSI_TMF_ABORT_TASK] = {tmf_abort_task, true},
	[SCSI_TMF_ABORT_TASK_SET] = {tmf_abort_task_set, true},
	[SCSI_TMF_CLEAR_TASK_SET] = {tmf_abort_task_set, true},
	[SCSI_TMF_LU_RESET] = {tmf_lu_reset, true},
	[SCSI_TMF_TARGET_WARM_RESET] = {tmf_target_reset, false},
	/* Then every session of the target ends, as if power had been lost (RFC 7143 11.5.1). */
	[SCSI_TMF_TARGET_COLD_RESET] = {tmf_target_reset, false},
	[SCSI_TMF_QUERY_TASK] = {tmf_query_task, true},
	[SCSI_TMF_QUERY_TASK_SET] = {tmf_query_task_set, true},
	[SCSI_TMF_QUERY_ASYNC_EVENT] = {tmf_query_async_event, true},
};

bool scsi_tmf_is_supported(enum scsi_tmf_function function)
{
	/* The transport itself ends the nexus. */
	return function == SCSI_TMF_I_T_NEXUS_RESET ||
	       ((unsigned)function < ARRAY_SIZE(functions) && functions[function].run);
}

void scsi_tmf_run(struct scsi_tmf *tmf)
{
	struct scsi_nexus *nexus = tmf->nexus;
	int unit = scsi_target_unit(nexus->target, scsi_lun_decode(tmf->lun));

	tmf->response = SCSI_TMF_COMPLETE;
	memset(tmf->info, 0, sizeof(tmf->info));
	tmf->lu = unit < 0 ? NULL : &nexus->core->scsi->lus[nexus->target->units[unit].lu];
	if (tmf->function >= ARRAY_SIZE(functions) || !functions[tmf->function].run) {
		tmf_end(tmf, SCSI_TMF_NOT_SUPPORTED);
	} else if (functions[tmf->function].names_lu && !tmf->lu) {
		tmf_end(tmf, SCSI_TMF_NO_LUN);
	} else {
		functions[tmf->function].run(tmf);
	}
}
