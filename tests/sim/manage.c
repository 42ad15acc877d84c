/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that change what others may do: PREEMPT (AND ABORT), MODE SELECT and LOGICAL UNIT RESET.
 * What must be true after their answer is looked for here, and at the disk.
 */
#include <string.h>

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
		for (unsigned n = 0; n < NEXUSES; n++) {
			ended(attempt, command->lu, n);
		}
	} else if (command->what == PREEMPT && PREEMPT_ABORTS(command)) {
		ended(attempt, 0, (unsigned)command->op.expected);
	}
}

void hosts_write_check(struct sim *sim, unsigned lu, unsigned nexus, uint64_t number)
{
	if (number < hosts_of(sim)->ended[lu][nexus]) {
		sim_wrong(sim,
			"a write of host %u at %u to LU %u is applied although its task has been "
			"ended",
			nexus / 2, nexus % 2 + 1, lu);
	}
}

static void reset_done(struct scsi_tmf *tmf)
{
	struct attempt *attempt = container_of(tmf, struct attempt, tmf);

	attempt->status = tmf->response == SCSI_TMF_COMPLETE ? SCSI_GOOD : SCSI_BUSY;
	reset_outcome(attempt);
}

void reset_run(struct attempt *attempt)
{
	struct scsi_tmf *tmf = &attempt->tmf;

	tmf->nexus = attempt->session->nexus;
	tmf->reactor = attempt->session->reactor;
	tmf->function = SCSI_TMF_LU_RESET;
	tmf->lun[1] = attempt->task.lun[1];
	tmf->done = reset_done;
	scsi_tmf_run(tmf);
}
