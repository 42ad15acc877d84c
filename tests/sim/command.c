/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of hosts: which, by chance, and as bytes. */
#include <string.h>

#include "tests/sim/host.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

/* ----- bytes ---------------------------------------------------------------------------------- */

static void block_fill(uint8_t *to, uint64_t value)
{
	for (unsigned i = 0; i < SIM_BLOCK; i += 8) {
		memcpy(to + i, &value, 8);
	}
}

static void pr_fill(
	struct attempt *attempt, uint8_t action, uint8_t type, uint64_t key, uint64_t new_key)
{
	uint8_t *cdb = attempt->task.cdb;

	cdb[0] = 0x5f;
	cdb[1] = action;
	cdb[2] = type;
	cdb[8] = 24;
	attempt->out_bytes = 24;
	be64_put(attempt->data, key);
	be64_put(attempt->data + 8, new_key);
	attempt->data[20] = 1; /* APTPL */
}

static void lock_fill(struct attempt *attempt, const struct command *command)
{
	bool lock = command->what == LOCK;

	if (command->lu == 1) {
		attempt->task.cdb[0] = lock ? 0x16 : 0x17;
	} else {
		pr_fill(attempt, lock ? 1 : 2, 1, attempt->session->key, 0);
		attempt->data[20] = 0;
	}
}

static void transfer_fill(struct attempt *attempt, const struct command *command)
{
	uint8_t *cdb = attempt->task.cdb;
	bool fua = command->op.id % 4 == 0;

	cdb[0] = command->what == WRITE ? 0x2a : 0x28;
	cdb[1] = command->what == WRITE && fua ? 0x08 : 0;
	cdb[5] = command->what == USE ? 0 : (uint8_t)command->op.sector;
	cdb[8] = 1;
	if (command->what == WRITE) {
		attempt->out_bytes = SIM_BLOCK;
		block_fill(attempt->data, command->op.value);
	} else {
		attempt->in_bytes = SIM_BLOCK;
	}
}

/* Of LU 0 there may be two. */
static uint8_t lun_draw(const struct command *command)
{
	struct sim *sim = command->host->sim;
	bool plain = command->what == READ || command->what == WRITE || command->what == SWAP;
	bool other = plain && command->lu == 0 && !hosts_of(sim)->draining && sim_once_in(sim, 4);

	if (other && (change_has_lun(command->session->node) || sim_once_in(sim, 8))) {
		return SIM_LUNS - 1;
	}
	return (uint8_t)command->lu;
}

void attempt_fill(struct attempt *attempt, const struct command *command)
{
	uint8_t *cdb = attempt->task.cdb;
	bool aborts = PREEMPT_ABORTS(command) && command->host->sim->bug != BUG_NO_ABORT;

	switch (command->what) {
	case READ:
	case WRITE:
		transfer_fill(attempt, command);
		break;
	case USE: /* under a PR of type Write Exclusive everybody may read: write nothing */
		cdb[0] = command->lu == 1 ? 0x28 : 0x2a;
		break;
	case SWAP:
		cdb[0] = 0x89;
		cdb[9] = (uint8_t)command->op.sector;
		cdb[13] = 1;
		attempt->out_bytes = 2 * SIM_BLOCK;
		block_fill(attempt->data, command->op.expected);
		block_fill(attempt->data + SIM_BLOCK, command->op.value);
		break;
	case SYNC:
		cdb[0] = 0x35;
		break;
	case KEY:
		pr_fill(attempt, command->op.kind == HISTORY_SWAP ? 0 : 6, 0,
			command->op.kind == HISTORY_SWAP ? command->op.expected : 0,
			command->op.value);
		break;
	case KEYS:
		cdb[0] = 0x5e;
		cdb[7] = (uint8_t)(sizeof(attempt->data) >> 8);
		attempt->in_bytes = sizeof(attempt->data);
		break;
	case LOCK:
	case UNLOCK:
		lock_fill(attempt, command);
		break;
	case PREEMPT:
		pr_fill(attempt, aborts ? 5 : 4, 1, attempt->session->key, command->op.value);
		attempt->data[20] = 0;
		break;
	case MODE:
	case SENSE:
		mode_fill(attempt, command);
		break;
	case RESET:
	case ABORT:
	case CLEAR:
	case WHATS:
		break;
	}
	attempt->task.cdb_length = 16;
	attempt->task.lun[1] = lun_draw(command);
	attempt->task.expected_out_bytes = attempt->out_bytes;
	attempt->task.expected_in_bytes = attempt->in_bytes;
}

/* ----- what to do next ------------------------------------------------------------------------ */

static bool lock_draw(struct command *command, struct session *session, uint32_t dice)
{
	unsigned lu = command->lu;

	if (lu == 0 && (!session->key || session->key_unsure)) {
		return false;
	}
	command->op.sector = HISTORY_LOCK;
	if (session->locked[lu]) {
		command->what = dice & 3 ? UNLOCK : USE;
	} else {
		command->what = (dice & 7) < (lu ? 4 : 2) ? LOCK : USE;
	}
	command->op.kind = command->what == LOCK     ? HISTORY_ACQUIRE
			   : command->what == UNLOCK ? HISTORY_RELEASE
						     : HISTORY_USE;
	return true;
}

static void key_draw(struct command *command, struct session *session)
{
	command->what = KEY;
	command->lu = 0;
	command->op.sector = KEY_SECTOR + session->index;
	command->op.value = (uint64_t)(session->index + 1) << 32 | command->op.id;
	command->op.kind = session->key_unsure ? HISTORY_WRITE : HISTORY_SWAP;
	command->op.expected = session->key;
}

/* One command at a time that changes or uses what a nexus has. */
static bool session_is_free(const struct command *command, const struct session *session)
{
	for (unsigned i = 0; i < DEPTH; i++) {
		const struct command *other = &command->host->commands[i];

		if (other != command && other->busy && other->fixed && other->session == session) {
			return false;
		}
	}
	return true;
}

static void own_draw(struct command *command, struct session *session, uint32_t dice)
{
	if (dice % 4 == 1 || !lock_draw(command, session, dice >> 2)) {
		key_draw(command, session);
	}
}

static void reservation_draw(struct command *command, struct session *session, uint32_t dice)
{
	bool mine = session_is_free(command, session);

	command->session = session;
	command->fixed = true;
	command->op.client = session->index;
	if (dice % 4 == 0 || !mine) {
		command->what = KEYS;
		command->lu = 0;
		command->fixed = false;
	} else if (dice >> 8 & 7 || !preempt_draw(command, session)) {
		own_draw(command, session, dice);
	}
}

static void transfer_draw(struct command *command, uint32_t dice)
{
	static const enum what whats[] = {READ, READ, WRITE, WRITE, SWAP, SWAP, READ, SYNC};
	static const uint8_t kinds[] = {HISTORY_READ, HISTORY_WRITE, HISTORY_SWAP, HISTORY_READ};
	struct sim *sim = command->host->sim;

	command->what = whats[dice % ARRAY_SIZE(whats)];
	command->op.client = command->host->index;
	command->op.kind = kinds[command->what];
	command->op.sector = (dice >> 4) % SIM_SECTORS;
	if (command->what == WRITE || command->what == SWAP) {
		command->op.value = command->op.id;
	}
	if (command->what == SWAP) {
		/* A guess that is often right: what is there now. */
		command->op.expected = disk_value(sim, command->lu, (unsigned)command->op.sector);
	}
}

/* A lock that is kept would keep others waiting. */
static bool unlock_draw(struct command *command)
{
	struct host *host = command->host;

	for (unsigned i = 0; i < 2 * SIM_LUS; i++) {
		struct session *session = &host->sessions[1 + i % 2];

		if (session->locked[i / 2] && session->up && session_is_free(command, session)) {
			command->session = session;
			command->fixed = true;
			command->op.client = session->index;
			if (i / 2 == 0 && (!session->key || session->key_unsure)) {
				key_draw(command, session); /* a release needs the key */
				return true;
			}
			command->op.sector = HISTORY_LOCK;
			command->op.unit = command->lu = i / 2;
			command->op.kind = HISTORY_RELEASE;
			command->what = UNLOCK;
			return true;
		}
	}
	return false;
}

/* The last look: every block, several times. */
static bool scan_draw(struct command *command)
{
	struct host *host = command->host;
	unsigned n = host->scan++;

	if (n >= SCANS) {
		return false;
	}
	command->op.client = host->index;
	command->op.kind = HISTORY_READ;
	command->op.unit = command->lu = n % 2;
	command->op.sector = n / 2 % SIM_SECTORS;
	command->what = READ;
	if (n == SCANS - 1) {
		command->what = KEYS;
		command->op.unit = command->lu = 0;
	}
	return true;
}

/* Rare, and at any moment. */
static bool management_draw(struct command *command, struct session *session)
{
	uint32_t dice = sim_below(command->host->sim, 512);

	if (dice == 0 && session->up) {
		command->what = RESET;
		command->session = session;
		command->fixed = true;
	} else if (dice < 16) {
		mode_draw(command, dice < 7);
	} else {
		return false;
	}
	return true;
}

bool command_draw(struct command *command)
{
	struct hosts *hosts = hosts_of(command->host->sim);
	uint32_t dice = (uint32_t)sim_random(command->host->sim);
	struct session *session = &command->host->sessions[1 + (dice & 1)];

	if (command == &command->host->commands[ABORTER]) {
		return !hosts->draining && abort_draw(command);
	}
	if (hosts->final) {
		return scan_draw(command);
	}
	if ((hosts->draining || dice >> 30) && unlock_draw(command)) {
		return true;
	}
	if (hosts->draining) {
		return false;
	}
	command->op.unit = command->lu = dice >> 1 & 1;
	if (management_draw(command, session)) {
		return true;
	}
	if ((dice >> 2) % 4 == 0 && session->up) {
		reservation_draw(command, session, dice >> 5);
		command->op.unit = command->lu;
	} else {
		transfer_draw(command, dice >> 5);
	}
	return true;
}
