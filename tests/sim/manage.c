/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that change what others may do: PREEMPT (AND ABORT), MODE SELECT; and task management:
 * LOGICAL UNIT RESET, ABORT TASK, ABORT TASK SET, CLEAR TASK SET. What must be true after their
 * answer is looked for here, and at the disk.
 */
#include <string.h>

#include "daemon/scsi/entry.h"
#include "tests/sim/host.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

#define CONTROL_PAGE 0x0a
#define PAGE_D_SENSE 0x04 /* of its third byte */
#define PAGE_TAS     0x40 /* of its sixth */
#define PAGE_AT	     8 /* behind the header of MODE SELECT (10) */

/* ----- PREEMPT ---------------------------------------------------------------------------------
 */

bool preempt_draw(struct command *command, struct session *session)
{
	struct hosts *hosts = hosts_of(command->host->sim);
	unsigned victim = sim_below(command->host->sim, NEXUSES);

	if (!session->key || session->key_unsure || victim == session->index ||
		!hosts->keys[victim]) {
		return false;
	}
	command->what = PREEMPT;
	command->lu = 0;
	command->op.sector = HISTORY_LOCK;
	command->op.kind = HISTORY_PREEMPT;
	command->op.expected = victim;
	command->op.value = hosts->keys[victim];
	hosts->threatened[victim] = hosts->keys[victim];
	hosts->preempted[victim] = true;
	return true;
}

/* To its registration it is a swap of the key for none. */
void preempt_over(struct command *command, enum history_outcome outcome)
{
	struct hosts *hosts = hosts_of(command->host->sim);
	uint64_t key = command->op.value;
	unsigned victim = (unsigned)command->op.expected;
	struct history_op op = command->op;

	op.id = ++hosts->ids;
	op.kind = HISTORY_SWAP;
	op.sector = KEY_SECTOR + victim;
	op.expected = key;
	op.value = 0;
	op.outcome = (uint8_t)outcome;
	op.returned_ns = ++hosts->clock;
	history_add(&command->host->sim->history, &op);
	if (outcome == HISTORY_OK && hosts->keys[victim] == key) {
		hosts->former_keys[victim] = key;
		hosts->keys[victim] = 0;
	}
}

/* Who has been preempted registers anew: also to the judge of the lock. */
void registered_over(struct command *command, enum history_outcome outcome)
{
	struct hosts *hosts = hosts_of(command->host->sim);
	struct history_op op = command->op;

	if (!hosts->preempted[command->session->index]) {
		return;
	}
	op.id = ++hosts->ids;
	op.kind = HISTORY_REGISTER;
	op.sector = HISTORY_LOCK;
	op.outcome = (uint8_t)outcome;
	op.returned_ns = ++hosts->clock;
	history_add(&command->host->sim->history, &op);
}

/* ----- mode pages ------------------------------------------------------------------------------
 */

void mode_draw(struct command *command, bool select)
{
	command->what = select ? MODE : SENSE;
	command->op.client = command->host->index;
	command->op.sector = MODE_SECTOR;
	command->op.kind = select ? HISTORY_WRITE : HISTORY_READ;
	command->op.value = select ? sim_below(command->host->sim, 4) : 0;
}

void mode_fill(struct attempt *attempt, const struct command *command)
{
	uint8_t *cdb = attempt->task.cdb, *page = attempt->data + PAGE_AT;
	bool saved = command->host->sim->bug != BUG_MODE_UNSAVED;

	if (command->what == SENSE) {
		cdb[0] = 0x5a;
		cdb[1] = 0x08; /* DBD */
		cdb[2] = CONTROL_PAGE;
		cdb[8] = 64;
		attempt->in_bytes = 64;
		return;
	}
	cdb[0] = 0x55;
	cdb[1] = saved ? 0x11 : 0x10; /* PF, SP */
	cdb[8] = PAGE_AT + 12;
	attempt->out_bytes = PAGE_AT + 12;
	page[0] = page[1] = CONTROL_PAGE;
	page[2] = (uint8_t)(0x20 | (command->op.value & 1 ? PAGE_D_SENSE : 0));
	page[3] = 0x10;
	page[5] = command->op.value & 2 ? PAGE_TAS : 0;
}

/* What a change that is not acknowledged has done may come to nothing: then this tells nothing. */
void sense_answer(struct command *command, const struct attempt *attempt)
{
	struct sim *sim = command->host->sim;
	const uint8_t *page = attempt->data + PAGE_AT;

	for (unsigned i = 0; i < SIM_HOSTS * DEPTH; i++) {
		const struct command *c = &hosts_of(sim)->all[i / DEPTH].commands[i % DEPTH];

		if (c->busy && c->what == MODE && c->lu == command->lu) {
			return;
		}
	}
	if (attempt->old) {
		return;
	}
	command->op.value = (page[2] & PAGE_D_SENSE ? 1 : 0) | (page[5] & PAGE_TAS ? 2 : 0);
	command->op.outcome = HISTORY_OK;
	command->op.returned_ns = ++hosts_of(sim)->clock;
	history_add(&sim->history, &command->op);
}

/* ----- the end of others' tasks ----------------------------------------------------------------
 */

static void ended(const struct attempt *attempt, unsigned lu, unsigned nexus)
{
	struct sim *sim = attempt->session->host->sim;
	uint64_t *last = &hosts_of(sim)->ended[lu][nexus], number = attempt->task.tag;
	unsigned at = 1 + nexus % 2;

	/* Believed to be fenced, so nobody asks it; it is, or fencing lies. */
	if (!sim->node[at].lied_about && !attempt->lied[at] && number > *last) {
		*last = number;
	}
}

/* From now on nothing of these runs that came before it. */
void tasks_ended(const struct attempt *attempt, const struct command *command)
{
	if (command->what == RESET) {
		for (unsigned i = 0; i < SIM_LUS * NEXUSES; i++) {
			if (i % SIM_LUS == command->lu ||
				reset_function(command) != SCSI_TMF_LU_RESET) {
				ended(attempt, i % SIM_LUS, i / SIM_LUS);
			}
		}
	} else if (command->what == PREEMPT && PREEMPT_ABORTS(command)) {
		ended(attempt, 0, (unsigned)command->op.expected);
	}
}

void hosts_write_check(struct sim *sim, unsigned lu, unsigned nexus, uint64_t number)
{
	bool ended = number < hosts_of(sim)->ended[lu][nexus];

	for (const struct attempt *a = hosts_of(sim)->aborted[nexus]; a && !ended; a = a->former) {
		ended = a->task.tag == number;
	}
	if (ended) {
		sim_wrong(sim,
			"a write of host %u at %u to LU %u is applied although its task has been "
			"ended",
			nexus / 2, nexus % 2 + 1, lu);
	}
}

struct recorded {
	struct recorded *next;
	uint64_t serial;
};

static bool is_recorded(const struct hosts *hosts, uint64_t serial)
{
	for (const struct recorded *r = hosts->recorded; r; r = r->next) {
		if (r->serial == serial) {
			return true;
		}
	}
	return false;
}

/* What one controller has applied the other may apply later, and each again when it starts. */
void hosts_entry_check(struct sim *sim, const uint8_t *bytes, size_t length)
{
	struct hosts *hosts = hosts_of(sim);
	struct recorded *recorded;
	struct scsi_entry entry;

	if (!hosts || !scsi_entry_get(bytes, length, &entry) || !entry.serial ||
		is_recorded(hosts, entry.serial)) {
		return;
	}
	for (unsigned n = 0; n < NEXUSES; n++) {
		for (const struct attempt *a = hosts->aborted[n]; a; a = a->former) {
			if (a->task.serial == entry.serial) {
				sim_wrong(sim,
					"a change by host %u at %u takes effect although its task "
					"has been ended",
					n / 2, n % 2 + 1);
			}
		}
	}
	recorded = sim_memory(sim, sizeof(*recorded));
	*recorded = (struct recorded){hosts->recorded, entry.serial};
	hosts->recorded = recorded;
}

/* ----- the end of a nexus's own tasks ----------------------------------------------------------
 */

bool is_management(const struct command *command)
{
	return command->what == RESET || command->what == ABORT || command->what == CLEAR;
}

/* One of the host's commands that is under way, as if it took too long. */
bool abort_draw(struct command *command)
{
	struct host *host = command->host;
	const struct command *other = &host->commands[sim_below(host->sim, DEPTH)];
	struct attempt *victim = other->attempt;

	if (!other->busy || !victim || is_management(other) || !victim->session->up ||
		!sim_once_in(host->sim, other->fixed ? 60 : 12)) {
		return false;
	}
	command->what = sim_once_in(host->sim, 3) ? CLEAR : ABORT;
	command->session = victim->session;
	command->fixed = true;
	command->lu = other->lu;
	command->victim = victim;
	return true;
}

/* Which tasks the function means that has come: those that are with the device server. */
static void victims_find(struct attempt *attempt)
{
	const struct command *command = attempt->command;
	unsigned count = 0;

	for (unsigned i = 0; i < DEPTH; i++) {
		struct command *other = &command->host->commands[i];
		struct attempt *victim = other->attempt;

		if (other->busy && victim && !is_management(other) && other->lu == command->lu &&
			victim->session == attempt->session && victim->number == attempt->number &&
			victim->task.tag && !victim->done &&
			(command->what == CLEAR || victim == command->victim)) {
			attempt->victims[count++] = victim;
			victim->aborts++;
		}
	}
}

/* None runs any more, none is answered: so it is now, and at the disk from now on. */
static void victim_check(const struct attempt *attempt, struct attempt *victim)
{
	struct sim *sim = attempt->session->host->sim;
	struct attempt **last = &hosts_of(sim)->aborted[attempt->session->index];
	bool lied = attempt->lied[1] || attempt->lied[2] || sim->node[1].lied_about ||
		    sim->node[2].lied_about;

	sim->totals->aborts++;
	if (!victim->done) {
		sim_wrong(sim, "a task of host %u runs on although it has been aborted",
			attempt->session->host->index);
	} else if (!victim->task.aborted && victim->status != SCSI_TASK_ABORTED) {
		sim_wrong(sim, "a task of host %u is answered although it has been aborted",
			attempt->session->host->index);
	} else if (!lied) {
		victim->former = *last;
		*last = victim;
	}
}

static void abort_done(struct scsi_tmf *tmf)
{
	struct attempt *attempt = container_of(tmf, struct attempt, tmf);
	struct sim *sim = attempt->session->host->sim;
	bool none = tmf->function == SCSI_TMF_ABORT_TASK && !attempt->victims[0];

	sim_trace(sim, "host %u: %s at LU %u at %u: response %u", attempt->session->host->index,
		scsi_tmf_function_name((enum scsi_tmf_function)tmf->function), attempt->task.lun[1],
		attempt->session->node->id, tmf->response);
	if (tmf->response != (none ? SCSI_TMF_NO_TASK : SCSI_TMF_COMPLETE)) {
		sim_wrong(sim, "host %u is told %u of %s", attempt->session->host->index,
			tmf->response,
			scsi_tmf_function_name((enum scsi_tmf_function)tmf->function));
	}
	for (unsigned i = 0; i < DEPTH && attempt->victims[i]; i++) {
		victim_check(attempt, attempt->victims[i]);
	}
	abort_outcome(attempt);
}

void aborts_answered(const struct attempt *attempt)
{
	for (unsigned i = 0; i < DEPTH && attempt->victims[i]; i++) {
		attempt->victims[i]->aborts--;
		victim_over(attempt->victims[i]);
	}
}

/* ----- the functions ---------------------------------------------------------------------------
 */

/* That of the whole target is rarer: everybody has to log in again after the cold one. */
enum scsi_tmf_function reset_function(const struct command *command)
{
	switch (command->op.id % 8) {
	case 0:
		return SCSI_TMF_TARGET_COLD_RESET;
	case 1:
	case 2:
		return SCSI_TMF_TARGET_WARM_RESET;
	}
	return SCSI_TMF_LU_RESET;
}

/* Those of others that there were when it came, at both controllers. */
static void sessions_check(const struct attempt *attempt)
{
	struct sim *sim = attempt->session->host->sim;

	for (unsigned n = 0; n < NEXUSES; n++) {
		unsigned at = 1 + n % 2;
		const struct session *session = &hosts_of(sim)->all[n / 2].sessions[at];

		if (session != attempt->session && session->up &&
			session->number < attempt->task.tag && !sim->node[at].lied_about &&
			!attempt->lied[at]) {
			sim_wrong(sim, "a session of host %u at %u outlives a TARGET COLD RESET",
				n / 2, at);
		}
	}
}

static void reset_done(struct scsi_tmf *tmf)
{
	struct attempt *attempt = container_of(tmf, struct attempt, tmf);

	if (tmf->function == SCSI_TMF_TARGET_COLD_RESET && tmf->response == SCSI_TMF_COMPLETE) {
		sessions_check(attempt);
	}
	attempt->status = tmf->response == SCSI_TMF_COMPLETE ? SCSI_GOOD : SCSI_BUSY;
	reset_outcome(attempt);
}

void management_run(struct attempt *attempt)
{
	const struct command *command = attempt->command;
	struct scsi_tmf *tmf = &attempt->tmf;

	tmf->nexus = attempt->session->nexus;
	tmf->reactor = attempt->session->reactor;
	tmf->lun[1] = attempt->task.lun[1];
	if (command->what == RESET) {
		tmf->function = (uint8_t)reset_function(command);
		tmf->done = reset_done;
		locks_reset(attempt);
	} else {
		victims_find(attempt);
		tmf->function = command->what == ABORT ? SCSI_TMF_ABORT_TASK
				: command->op.id % 2   ? SCSI_TMF_ABORT_TASK_SET
						       : SCSI_TMF_CLEAR_TASK_SET;
		tmf->ref_tag = command->victim->task.tag;
		tmf->done = abort_done;
	}
	scsi_tmf_run(tmf);
}
