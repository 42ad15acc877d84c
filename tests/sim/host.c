/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hosts: each with a path to each controller, and commands that go on until somebody answers, as
 * Linux with multipath does it. Every operation and its answer goes into the history; what a host
 * may never be told (invariants I7, I8) is looked for here.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/host.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

static const char *const what_names[WHATS] = {"READ", "WRITE", "SWAP", "SYNC", "KEY", "KEYS",
	"LOCK", "UNLOCK", "USE", "PREEMPT", "MODE", "SENSE", "RESET", "ABORT", "CLEAR"};

static void command_next(void *arg);
static void command_send(void *arg);

/* ----- sessions ------------------------------------------------------------------------------- */

static void login(void *arg);
static void session_reset(void *arg);

static void login_later(struct session *session)
{
	struct sim *sim = session->host->sim;

	sim_at(sim, NULL, (20 + sim_below(sim, 200)) * MS, login, session);
}

static void login_pass(void *arg)
{
	struct session *session = arg;
	struct node *node = session->node;
	struct scsi_identity who = {.rtpi = (uint16_t)(node->id * 256 + 1), .controller = node->id};

	memcpy(who.initiator, "iqn.1993-08.org.debian:01:host0", 32);
	who.initiator[30] = (char)('0' + session->host->index);
	memcpy(who.isid, "\x80\x12\x34\x56\x78\x9a", 6);
	memcpy(who.target, "iqn.2026-01.org.example:sim", 28);
	session->nexus = scsi_nexus_new(node->scsi, session->reactor, &who);
	session->up = session->nexus != NULL;
	if (session->up) {
		scsi_nexus_on_reset(session->nexus, session_reset, session);
	}
}

static void login(void *arg)
{
	struct session *session = arg;
	struct node *node = session->node;
	struct hosts *hosts = hosts_of(node->sim);

	if (session->up) {
		return;
	}
	if (!node->alive || !node->ready || node->frozen) {
		login_later(session);
		return;
	}
	session->life = node->life;
	session->number = ++hosts->numbers;
	session->reactor = node->reactors[sim_below(node->sim, SIM_REACTORS)];
	for (unsigned g = 0; g < SIM_GROUPS; g++) {
		session->told_least[g] = node->applied_table[g];
		session->told_most[g] = node->view[g].table;
	}
	sim_reactor_do(session->reactor, login_pass, session);
	if (!session->up) {
		login_later(session);
	}
}

struct closing {
	struct scsi_nexus *nexus;
	struct reactor *reactor;
};

static void closing_pass(void *arg)
{
	struct closing *closing = arg;

	scsi_nexus_close(closing->nexus, NULL, NULL);
}

static void closing_event(void *arg)
{
	sim_reactor_do(((struct closing *)arg)->reactor, closing_pass, arg);
}

/*
 * While fencing has lied about a controller, that one may think that it owns what it does not. The
 * keys of the disk keep it from writing; what it says of reservations is old.
 */
static bool answers_are_old(struct sim *sim)
{
	return sim->node[1].lied_about || sim->node[2].lied_about;
}

static void record(struct command *command, enum history_outcome outcome)
{
	struct host *host = command->host;
	bool old = command->what == USE && command->old;

	if (command->what != SYNC && command->what != KEYS && command->what != SENSE &&
		!is_management(command) && !old) {
		command->op.outcome = (uint8_t)outcome;
		command->op.returned_ns = ++hosts_of(host->sim)->clock;
		history_add(&host->sim->history, &command->op);
	}
	command->busy = false;
	command->session = NULL;
	command->attempt = NULL;
}

static void think(struct command *command)
{
	struct sim *sim = command->host->sim;
	bool hurry = sim->now_ns < hosts_of(sim)->hurry_until_ns;

	sim_at(sim, NULL, hurry ? sim_delay(sim, 100 * US, 10 * MS) : (5 + sim_below(sim, 90)) * MS,
		command_next, command);
}

static void command_over(struct command *command, enum history_outcome outcome)
{
	record(command, outcome);
	think(command);
}

static void release_maybe(struct session *session, unsigned lu, uint64_t invoked_ns)
{
	struct hosts *hosts = hosts_of(session->host->sim);
	struct history_op op = {.id = ++hosts->ids,
		.unit = lu,
		.sector = HISTORY_LOCK,
		.client = session->index,
		.kind = HISTORY_RELEASE,
		.outcome = HISTORY_MAYBE,
		.attempts = 1,
		.invoked_ns = invoked_ns};

	/* One for each lock is enough: it may take effect whenever. */
	if (!session->let_go[lu]) {
		session->let_go[lu] = true;
		history_add(&session->host->sim->history, &op);
	}
}

/* The nexus is gone, or taken for gone: what it has reserved by RESERVE may end. */
static void lock_may_end(struct session *session)
{
	struct host *host = session->host;
	bool maybe = session->locked[1];

	for (unsigned i = 0; i < DEPTH; i++) {
		const struct command *command = &host->commands[i];

		maybe |= command->busy && command->what == LOCK && command->lu == 1 &&
			 command->session == session;
	}
	if (maybe) {
		release_maybe(session, 1, ++hosts_of(host->sim)->clock);
	}
}

/*
 * The other controller takes the node for lost, and ends what its nexuses have reserved by RESERVE;
 * they are told so by a unit attention when it was only cut off.
 */
void hosts_node_unseen(struct node *node)
{
	for (unsigned h = 0; node->sim->hosts && h < SIM_HOSTS; h++) {
		lock_may_end(&hosts_of(node->sim)->all[h].sessions[node->id]);
	}
}

/*
 * A change of a reservation counts at its owner as soon as it is ordered. When the owner is lost
 * before it is acknowledged, what others have seen of it may come to nothing.
 */
static void change_may_end(struct command *command, struct session *session)
{
	struct hosts *hosts = hosts_of(session->host->sim);
	struct history_op op = {.id = ++hosts->ids,
		.unit = command->lu,
		.sector = HISTORY_LOCK,
		.client = session->index,
		.kind = HISTORY_ACQUIRE,
		.outcome = HISTORY_MAYBE,
		.attempts = 1,
		.invoked_ns = command->op.invoked_ns};

	if (command->what == LOCK) {
		release_maybe(session, command->lu, command->op.invoked_ns);
	} else if (command->what == UNLOCK) {
		/*
		 * Let go for those who saw it, held again for those behind them, and let go; by
		 * RESERVE until the new owner ends what the lost nexus held.
		 */
		history_add(&session->host->sim->history, &op);
		op.id = ++hosts->ids;
		op.kind = HISTORY_RELEASE;
		history_add(&session->host->sim->history, &op);
	}
}

/* What it came to nobody will say. */
static void fixed_lost(struct command *command, struct session *session)
{
	session->key_unsure |= command->what == KEY;
	if (command->what == KEY) {
		registered_over(command, HISTORY_MAYBE);
	} else if (command->what == PREEMPT) {
		session->locked[0] = true; /* maybe, too */
		preempt_over(command, HISTORY_MAYBE);
	}
	if (command->what == LOCK && command->lu == 0) {
		session->locked[0] = true; /* maybe: to be let go */
	}
	change_may_end(command, session);
	command_over(command, HISTORY_MAYBE);
}

struct given_up {
	struct session *session;
	uint64_t number;
};

/* Whatever came by it runs no more: its commands go by another way. */
static void session_given_up(void *arg)
{
	const struct given_up *given_up = arg;
	struct session *session = given_up->session;
	struct host *host = session->host;

	for (unsigned i = 0; i < SLOTS; i++) {
		struct command *command = &host->commands[i];
		struct attempt *attempt = command->attempt;

		if (!command->busy || !attempt || attempt->session != session ||
			attempt->number != given_up->number) {
			continue;
		}
		attempt->command = NULL;
		command->attempt = NULL;
		command->op.attempts++;
		if (command->fixed) {
			fixed_lost(command, session);
		} else {
			sim_at(host->sim, NULL, sim_delay(host->sim, 1 * MS, 50 * MS), command_send,
				command);
		}
	}
}

/* The host has seen that the connection is no more. `quiet_ns`: until it acts on it. */
static void session_down(struct session *session, uint64_t quiet_ns)
{
	struct sim *sim = session->host->sim;
	struct given_up *given_up = sim_memory(sim, sizeof(*given_up));

	if (!session->up) {
		return;
	}
	quiet_ns += disk_is_slow(sim) ? SLOW_NS : 0;
	session->up = false;
	lock_may_end(session);
	session->locked[1] = false;
	if (session->nexus && session->life == session->node->life) {
		struct closing *closing = sim_memory(sim, sizeof(*closing));

		*closing = (struct closing){session->nexus, session->reactor};
		sim_at(sim, session->node, sim_delay(sim, 50 * US, 20 * MS), closing_event,
			closing);
	}
	session->nexus = NULL;
	*given_up = (struct given_up){session, session->number};
	sim_at(sim, NULL, quiet_ns + sim_below(sim, 500) * MS, session_given_up, given_up);
	sim_at(sim, NULL, quiet_ns + (500 + sim_below(sim, 300)) * MS, login, session);
}

/* By a TARGET COLD RESET: the target ends its sessions. */
static void session_reset(void *arg)
{
	session_down(arg, NOTICE_NS);
}

void hosts_node_dead(struct node *node)
{
	if (!node->sim->hosts) {
		return;
	}
	for (unsigned h = 0; h < SIM_HOSTS; h++) {
		struct session *session = &hosts_of(node->sim)->all[h].sessions[node->id];

		session->nexus = NULL;
		session_down(session, node->up ? NOTICE_NS : SILENCE_NS);
	}
}

/* A host that hears nothing for long gives the path up, whatever is the matter with it. */
void hosts_node_silent(struct node *node)
{
	for (unsigned h = 0; h < SIM_HOSTS; h++) {
		session_down(&hosts_of(node->sim)->all[h].sessions[node->id], 0);
	}
}

void hosts_connection_lost(struct sim *sim)
{
	struct host *host = &hosts_of(sim)->all[sim_below(sim, SIM_HOSTS)];

	session_down(&host->sessions[1 + sim_below(sim, 2)], SILENCE_NS);
}

/* ----- answers -------------------------------------------------------------------------------- */

static void retry(struct command *command, uint64_t low_ns, uint64_t high_ns)
{
	struct sim *sim = command->host->sim;

	command->attempt = NULL;
	sim->totals->retries++;
	sim_at(sim, NULL, sim_delay(sim, low_ns, high_ns), command_send, command);
}

static uint64_t block_value(struct command *command, const uint8_t *data)
{
	uint64_t value;

	memcpy(&value, data, sizeof(value));
	for (unsigned i = 8; i < SIM_BLOCK; i += 8) {
		if (memcmp(data, data + i, 8) != 0) {
			sim_wrong(command->host->sim, "a block was torn");
		}
	}
	return value;
}

static void keys_answer(struct command *command, const struct attempt *attempt)
{
	struct host *host = command->host;
	struct hosts *hosts = hosts_of(host->sim);
	uint64_t keys[NEXUSES] = {0};
	uint64_t returned_ns = ++hosts->clock;

	for (uint32_t at = 8; at + 8 <= attempt->task.in_length && at + 8 <= sizeof(attempt->data);
		at += 8) {
		uint64_t key = be64_get(attempt->data + at);

		if (key >> 32 >= 1 && key >> 32 <= NEXUSES) {
			keys[(key >> 32) - 1] = key;
		}
	}
	for (unsigned n = 0; n < NEXUSES && !attempt->old; n++) {
		struct history_op op = command->op;

		op.id = ++hosts->ids;
		op.kind = HISTORY_READ;
		op.sector = KEY_SECTOR + n;
		op.value = keys[n];
		op.outcome = HISTORY_OK;
		op.returned_ns = returned_ns;
		if (keys[n] ? keys[n] == hosts->keys[n] || keys[n] == hosts->former_keys[n]
			    : hosts->keys[n] == 0 || hosts->threatened[n] != hosts->keys[n]) {
			history_add(&host->sim->history, &op);
		} /* else it is not acknowledged yet, and may still come to nothing */
	}
}

static void good(struct command *command, struct attempt *attempt)
{
	struct session *session = attempt->session;

	switch (command->what) {
	case READ:
		command->op.value = block_value(command, attempt->data);
		break;
	case KEY:
		session->key = command->op.value;
		session->key_unsure = false;
		hosts_of(session->host->sim)->former_keys[session->index] =
			hosts_of(session->host->sim)->keys[session->index];
		hosts_of(session->host->sim)->keys[session->index] = session->key;
		registered_over(command, HISTORY_OK);
		break;
	case KEYS:
		keys_answer(command, attempt);
		break;
	case LOCK:
		session->locked[command->lu] = true;
		break;
	case UNLOCK:
		session->locked[command->lu] = false;
		break;
	case PREEMPT:
		session->locked[0] = true; /* if the other had it */
		preempt_over(command, HISTORY_OK);
		break;
	case SENSE:
		sense_answer(command, attempt);
		break;
	case ABORT:
	case CLEAR:
		aborts_answered(attempt);
		break;
	case WRITE:
	case SWAP:
	case SYNC:
	case USE:
	case MODE:
	case RESET:
	case WHATS:
		break;
	}
	command_over(command, HISTORY_OK);
	if (command->what == RESET && attempt->tmf.function == SCSI_TMF_TARGET_COLD_RESET) {
		session_reset(session); /* behind the answer */
	}
}

/* Not done, and nothing to tell the judge. */
static void command_dropped(struct command *command)
{
	command->busy = false;
	command->attempt = NULL;
	think(command);
}

static void conflict(struct command *command, struct attempt *attempt)
{
	switch (command->what) {
	case KEY:
		attempt->session->key_unsure = true;
		command_over(command, HISTORY_NO);
		return;
	case LOCK:
	case USE:
		command_over(command, HISTORY_NO);
		return;
	case UNLOCK: /* preempted meanwhile */
		if (command->lu == 0) {
			attempt->session->locked[0] = false;
			attempt->session->key_unsure = true;
			command_over(command, HISTORY_NO);
			return;
		}
		break;
	case PREEMPT: /* one of the two is not registered with that key any more */
		attempt->session->key_unsure = true;
		if (command->op.attempts > 1 || attempt->task.rerun) {
			preempt_over(command, HISTORY_MAYBE); /* by what was sent first */
			command_over(command, HISTORY_MAYBE);
		} else {
			command_dropped(command);
		}
		return;
	case READ:
	case WRITE:
	case SWAP:
	case SYNC:
	case MODE:
	case SENSE:
		/* Not done; unless it was sent before, when nobody knows. */
		if (command->op.attempts > 1) {
			command_over(command, HISTORY_MAYBE);
		} else {
			command_dropped(command);
		}
		return;
	case KEYS:
	case RESET:
	case ABORT:
	case CLEAR:
	case WHATS:
		break;
	}
	sim_wrong(command->host->sim, "RESERVATION CONFLICT for a command that never has one");
}

static void checked(struct command *command, struct attempt *attempt)
{
	struct sim *sim = command->host->sim;

	if (attempt->sense >> 16 == 6) {
		retry(command, 20 * US, 1 * MS);
	} else if (attempt->sense == 0x02040a || attempt->sense == 0x02040c ||
		   attempt->sense == 0x02040b) {
		retry(command, 5 * MS, 100 * MS);
	} else if (attempt->sense == 0x052500 && attempt->task.lun[1] == SIM_LUNS - 1) {
		command->op.attempts += attempt->task.rerun; /* else it has not been done */
		retry(command, 1 * MS, 50 * MS); /* by the other LUN, sooner or later */
	} else if (attempt->sense == 0x0e1d00 && command->what == SWAP) {
		command_over(command, HISTORY_NO);
	} else {
		sim_wrong(sim, "I7: host %u is told %06x", command->host->index, attempt->sense);
	}
}

/* Its task has been ended: nothing of it runs any more, and nobody says what it has done. */
static void aborted(void *arg)
{
	struct attempt *attempt = arg;
	struct command *command = attempt->command;

	if (!command || !attempt->session->up || attempt->number != attempt->session->number) {
		return; /* given up with its session */
	}
	attempt->command = NULL;
	command->op.attempts++;
	if (command->fixed) {
		fixed_lost(command, attempt->session);
	} else {
		retry(command, 1 * MS, 50 * MS);
	}
}

/*
 * Time is up for the answer of a task that has been ended. Where its host has asked for that itself
 * it sends nothing again before it knows that the task is over: victim_over() does it then.
 */
static void missed(void *arg)
{
	struct attempt *attempt = arg;

	if (!attempt->aborts) {
		aborted(attempt);
	}
}

/* As Linux: the command is sent again, or its sender told that it has failed. */
void victim_over(struct attempt *attempt)
{
	struct command *command = attempt->command;

	if (!command || command->fixed || !sim_once_in(command->host->sim, 4)) {
		aborted(attempt);
		return;
	}
	attempt->command = NULL;
	command_over(command, HISTORY_MAYBE);
}

static void answered(void *arg)
{
	struct attempt *attempt = arg;
	struct command *command = attempt->command;

	if (!command || !attempt->session->up || attempt->number != attempt->session->number) {
		return; /* the host does not listen any more */
	}
	attempt->command = NULL;
	command->old = attempt->old;
	if (attempt->status == SCSI_GOOD) {
		good(command, attempt);
	} else if (attempt->status == SCSI_RESERVATION_CONFLICT) {
		conflict(command, attempt);
	} else if (attempt->status == SCSI_BUSY || attempt->status == SCSI_TASK_SET_FULL) {
		retry(command, 5 * MS, 100 * MS); /* it says that nothing has been done */
	} else if (attempt->status == SCSI_CHECK_CONDITION) {
		checked(command, attempt);
	} else if (attempt->status == SCSI_TASK_ABORTED) {
		attempt->command = command;
		aborted(attempt);
	} else {
		sim_wrong(command->host->sim, "I7: host %u gets status %02x", command->host->index,
			attempt->status);
	}
}

/* I8: what this nexus is told of the ALUA table, and when it should have been. */
static void told_check(struct attempt *attempt)
{
	struct session *session = attempt->session;
	const struct node *node = session->node;
	unsigned g = attempt->command ? attempt->command->lu : 0;

	if (attempt->number != session->number || !attempt->command ||
		attempt->task.lun[1] >= SIM_LUS) {
		return;
	}
	if (attempt->sense == 0x062a06) {
		if (node->view[g].table == session->told_least[g]) {
			sim_wrong(node->sim, "I8: host %u is told of a table of group %u twice",
				session->host->index, g);
		}
		node->sim->totals->uas++;
	}
	if (attempt->sense == 0x062a06 || attempt->sense >> 8 == 0x0629) {
		session->told_least[g] = node->applied_table[g];
		session->told_most[g] = node->view[g].table;
	} else if (attempt->status == SCSI_GOOD && attempt->command->what != KEYS &&
		   session->told_most[g] < attempt->start_table[g]) {
		sim_wrong(node->sim, "I8: host %u is not told of a new table of group %u",
			session->host->index, g);
	}
}

/*
 * A plain write that was under way when its group moved, or its interconnect broke, may have been
 * done before it was done again; until its answer no order is promised.
 */
static void written_twice(struct attempt *attempt)
{
	struct command *command = attempt->command;
	const struct node *node = attempt->session->node;

	/*
	 * A COMPARE AND WRITE that ran at an owner that is lost knows its own data when it finds
	 * them; when others have changed or reserved them since, nobody knows. A WRITE that was not
	 * answered either, and runs again before it, may have brought back what it compares with.
	 */
	if (command->what == SWAP && attempt->task.rerun &&
		(attempt->sense == 0x0e1d00 || attempt->status == SCSI_RESERVATION_CONFLICT ||
			attempt->status == SCSI_GOOD)) {
		command->op.attempts++;
	}
	if (attempt->task.rerun) {
		change_may_end(command, attempt->session);
	}
	if (command->what == WRITE &&
		(attempt->task.rerun ||
			node->view[command->lu].epoch != attempt->start_epoch[command->lu])) {
		command->op.attempts = command->op.attempts < 2 ? 2 : command->op.attempts;
	}
}

/* I9: who slept past its lease acknowledges nothing before it has looked around. */
static void lease_check(const struct attempt *attempt)
{
	const struct command *command = attempt->command;
	const struct node *node = attempt->session->node;
	enum what what = command->what;

	/* What goes through the ledger is acknowledged by both; a copy of mode pages is at both. */
	if (what != KEY && what != LOCK && what != UNLOCK && what != PREEMPT && what != MODE &&
		what != SENSE && attempt->status == SCSI_GOOD &&
		node->view[command->lu].access == GROUP_LOCAL &&
		node->sim->now_ns > node->lease_until_ns) {
		sim_wrong(node->sim, "I9: controller %u serves host %u past its lease", node->id,
			command->host->index);
	}
}

static void task_outcome(struct attempt *attempt)
{
	struct scsi_task *task = &attempt->task;
	struct sim *sim = attempt->session->host->sim;

	if (attempt->done) {
		sim_wrong(sim, "a task is answered twice");
		return;
	}
	attempt->done = true;
	attempt->old = answers_are_old(sim);
	attempt->status = task->status;
	if (task->status == SCSI_CHECK_CONDITION) {
		const uint8_t *sense = task->sense;
		bool fixed = (sense[0] & 0x7f) < 0x72; /* D_SENSE is off */

		attempt->sense = fixed ? (uint32_t)(sense[2] & 0xf) << 16 |
						 (uint32_t)sense[12] << 8 | sense[13]
				       : (uint32_t)(sense[1] & 0xf) << 16 |
						 (uint32_t)sense[2] << 8 | sense[3];
	}
	if (task->in_length && task->buf) {
		memcpy(attempt->data, task->buf->data,
			task->in_length < sizeof(attempt->data) ? task->in_length
								: sizeof(attempt->data));
	}
	if (attempt->command) {
		const struct command *command = attempt->command;

		sim_trace(sim, "host %u: %s %llu of LU %u at %u: status %02x sense %06x%s%s",
			command->host->index, what_names[command->what],
			(unsigned long long)command->op.id, command->lu, attempt->session->node->id,
			attempt->status, attempt->sense, task->rerun ? ", run again" : "",
			task->aborted ? ", aborted" : "");
		written_twice(attempt);
		lease_check(attempt);
		if (attempt->status == SCSI_GOOD && !task->aborted) {
			tasks_ended(attempt, command);
		}
	}
	if (!task->aborted) {
		told_check(attempt);
		sim_at(sim, NULL, sim_delay(sim, 20 * US, 2 * MS), answered, attempt);
	} else {
		/* Its host misses the answer after a while (with TAS it is told). */
		sim_at(sim, NULL, (100 + sim_below(sim, 400)) * MS, missed, attempt);
	}
}

void locks_reset(struct attempt *attempt)
{
	struct sim *sim = attempt->session->host->sim;

	bool reserved = attempt->task.lun[1] == 1 || attempt->tmf.function != SCSI_TMF_LU_RESET;

	for (unsigned i = 0; i < NEXUSES && reserved; i++) {
		lock_may_end(&hosts_of(sim)->all[i / 2].sessions[1 + i % 2]);
	}
}

void reset_outcome(struct attempt *attempt)
{
	struct sim *sim = attempt->session->host->sim;

	sim_trace(sim, "host %u: %s at LU %u at %u: %02x", attempt->session->host->index,
		scsi_tmf_function_name((enum scsi_tmf_function)attempt->tmf.function),
		attempt->task.lun[1], attempt->session->node->id, attempt->status);
	locks_reset(attempt);
	if (attempt->command && attempt->status == SCSI_GOOD) {
		tasks_ended(attempt, attempt->command);
	}
	sim_at(sim, NULL, sim_delay(sim, 20 * US, 2 * MS), answered, attempt);
}

void abort_outcome(struct attempt *attempt)
{
	struct sim *sim = attempt->session->host->sim;

	sim_at(sim, NULL, sim_delay(sim, 20 * US, 2 * MS), answered, attempt);
}

static void task_done(struct scsi_task *task)
{
	struct attempt *attempt = container_of(task, struct attempt, task);

	task_outcome(attempt);
	scsi_task_end(task);
}

/* ----- commands ------------------------------------------------------------------------------- */

static void start_pass(void *arg)
{
	struct attempt *attempt = arg;
	struct session *session = attempt->session;
	struct scsi_task *task = &attempt->task;

	if (!session->nexus || session->number != attempt->number) {
		return;
	}
	task->tag = ++hosts_of(session->host->sim)->numbers; /* in order of arrival */
	for (unsigned i = 1; i <= 2; i++) {
		attempt->lied[i] = session->host->sim->node[i].lied_about;
	}
	if (attempt->command && is_management(attempt->command)) {
		management_run(attempt);
		return;
	}
	task->nexus = session->nexus;
	task->reactor = session->reactor;
	session->host->sim->totals->commands++;
	memcpy(attempt->start_table, session->node->applied_table, sizeof(attempt->start_table));
	for (unsigned g = 0; g < SIM_GROUPS; g++) {
		attempt->start_epoch[g] = session->node->view[g].epoch;
	}
	switch (scsi_task_start(task)) {
	case SCSI_START_DONE:
		task_outcome(attempt);
		scsi_task_end(task);
		return;
	case SCSI_START_OUT:
		task->buf = buf_get(reactor_buffers(task->reactor), task->out_bytes);
		task->out_length =
			attempt->out_bytes < task->out_bytes ? attempt->out_bytes : task->out_bytes;
		memcpy(task->buf->data, attempt->data, task->out_length);
		break;
	case SCSI_START_READY:
		break;
	}
	scsi_task_run(task);
}

static void start_event(void *arg)
{
	struct attempt *attempt = arg;

	sim_reactor_do(attempt->session->reactor, start_pass, attempt);
}

/* The optimized path if there is one, mostly; else any that is up. */
static struct session *path_choose(struct command *command)
{
	struct host *host = command->host;
	unsigned first = 1 + sim_below(host->sim, 2);

	for (unsigned i = 0; i < 2; i++) {
		struct session *session = &host->sessions[first];

		if (session->up && session->life == session->node->life) {
			return session;
		}
		first = 3 - first;
	}
	return NULL;
}

static void command_send(void *arg)
{
	struct command *command = arg;
	struct sim *sim = command->host->sim;
	struct attempt *attempt;

	if (!command->busy || command->attempt) {
		return;
	}
	if (!command->fixed) {
		command->session = path_choose(command);
	}
	if (!command->session || !command->session->up) {
		if (command->fixed) {
			fixed_lost(command, command->session);
		} else {
			sim_at(sim, NULL, (20 + sim_below(sim, 100)) * MS, command_send, command);
		}
		return;
	}
	attempt = sim_memory(sim, sizeof(*attempt));
	attempt->command = command;
	attempt->session = command->session;
	attempt->number = command->session->number;
	attempt->task.done = task_done;
	attempt_fill(attempt, command);
	command->attempt = attempt;
	attempt->session->let_go[command->lu] &= command->what != LOCK;
	sim_at(sim, attempt->session->node, sim_delay(sim, 20 * US, 2 * MS), start_event, attempt);
}

static void command_next(void *arg)
{
	struct command *command = arg;
	struct sim *sim = command->host->sim;
	struct hosts *hosts = hosts_of(sim);

	if (command->busy) {
		return;
	}
	command->op = (struct history_op){
		.id = ++hosts->ids, .invoked_ns = ++hosts->clock, .attempts = 1};
	command->session = NULL;
	command->fixed = command->old = false;
	command->busy = command_draw(command);
	if (!command->busy) {
		think(command);
		return;
	}
	command_send(command);
}

/* ----- life ----------------------------------------------------------------------------------- */

struct hosts *hosts_new(struct sim *sim)
{
	struct hosts *hosts = calloc(1, sizeof(*hosts));

	for (unsigned h = 0; h < SIM_HOSTS; h++) {
		struct host *host = &hosts->all[h];

		host->sim = sim;
		host->index = h;
		for (uint8_t i = 1; i <= 2; i++) {
			host->sessions[i].host = host;
			host->sessions[i].node = &sim->node[i];
			host->sessions[i].index = h * 2 + i - 1;
		}
		for (unsigned c = 0; c < SLOTS; c++) {
			host->commands[c].host = host;
		}
	}
	return hosts;
}

void hosts_free(struct hosts *hosts)
{
	free(hosts);
}

/*
 * Nexuses ask for the lock of LU 0 only once they have a key, and keep one for ever; RESERVE on LU
 * 1 needs none. To the judge all are registered from the beginning.
 */
static void nexuses_register(struct sim *sim)
{
	struct hosts *hosts = hosts_of(sim);

	for (unsigned i = 0; i < SIM_LUS * NEXUSES; i++) {
		struct history_op op = {.id = ++hosts->ids,
			.unit = i % SIM_LUS,
			.sector = HISTORY_LOCK,
			.client = i / SIM_LUS,
			.kind = HISTORY_REGISTER,
			.outcome = HISTORY_OK,
			.attempts = 1,
			.invoked_ns = ++hosts->clock};

		op.returned_ns = ++hosts->clock;
		history_add(&sim->history, &op);
	}
}

void hosts_begin(struct sim *sim)
{
	struct hosts *hosts = hosts_of(sim);

	nexuses_register(sim);

	for (unsigned h = 0; h < SIM_HOSTS; h++) {
		login_later(&hosts->all[h].sessions[1]);
		login_later(&hosts->all[h].sessions[2]);
		for (unsigned c = 0; c < SLOTS; c++) {
			think(&hosts->all[h].commands[c]);
		}
	}
}

void hosts_busy(struct sim *sim)
{
	hosts_of(sim)->hurry_until_ns = sim->now_ns + 150 * MS;
}

void hosts_drain(struct sim *sim)
{
	hosts_of(sim)->draining = true;
}

/* Locks that are still held would keep writes waiting for ever: their holders let go first. */
bool hosts_idle(struct sim *sim)
{
	bool idle = true;

	for (unsigned h = 0; h < SIM_HOSTS; h++) {
		struct host *host = &hosts_of(sim)->all[h];

		for (unsigned c = 0; c < SLOTS; c++) {
			idle = idle && !host->commands[c].busy;
		}
		for (unsigned i = 0; i < 2 * SIM_LUS; i++) {
			idle = idle && !host->sessions[1 + i % 2].locked[i / 2];
		}
	}
	return idle;
}

void hosts_final(struct sim *sim)
{
	hosts_of(sim)->final = true;
}

bool hosts_final_done(struct sim *sim)
{
	for (unsigned h = 0; h < SIM_HOSTS; h++) {
		if (hosts_of(sim)->all[h].scan < SCANS) {
			return false;
		}
	}
	return hosts_idle(sim);
}
