/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz entry of the CPG messages: what decodes must encode to the same again, and whatever it says
 * must neither break a machine in sync nor turn an epoch back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_ledger.h"
#include "ha/machine.h"
#include "tests/fuzz/drive.h"
#include "yoke/util.h"

#define GROUPS 2

static void require(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_ha_message: %s\n", what);
		abort();
	}
}

/* ----- a machine whose wishes all come true at once ---------------------------------------------
 */

static struct machine *machine;
static unsigned sent;

static uint64_t op_now(void *ctx)
{
	return 1000;
}

static void op_send(void *ctx, const struct message *msg)
{
	sent++; /* goes nowhere: only the input speaks */
}

static void op_publish(void *ctx, const struct group_view *view, uint64_t seq)
{
	machine_applied(machine, view->group, seq);
}

static void op_drain(void *ctx, uint16_t group)
{
	machine_drained(machine, group);
}

static void op_claim(void *ctx, uint16_t group, uint64_t epoch)
{
	machine_claimed(machine, group, 0);
}

static void op_release(void *ctx, uint16_t group)
{
	machine_released(machine, group, 0);
}

static void op_save(void *ctx, uint64_t seq)
{
	machine_saved(machine, seq, 0);
}

static void op_score(void *ctx, uint16_t group, int score)
{
}

static bool op_healthy(void *ctx, uint16_t group)
{
	return true;
}

static unsigned op_sessions(void *ctx)
{
	return 1;
}

static void op_peer_up(void *ctx, uint64_t incarnation)
{
}

static struct fake_ledger scsi;

static void op_journal_append(void *ctx, uint64_t index, const struct ledger_entry *entry)
{
}

static void op_journal_replace(void *ctx, uint64_t index, uint64_t number)
{
	machine_journaled(machine, index, number, 0);
}

static void op_journal_mark(void *ctx, uint64_t index, bool alone, uint64_t number)
{
	machine_journaled(machine, index, number, 0);
}

static void op_nothing(void *ctx)
{
}

static void op_notice(void *ctx, uint16_t group)
{
}

static void op_fatal(void *ctx, const char *reason)
{
}

static const struct machine_ops ops = {
	.now_ms = op_now,
	.unix_s = op_now,
	.send = op_send,
	.publish = op_publish,
	.drain = op_drain,
	.claim = op_claim,
	.release = op_release,
	.save = op_save,
	.journal_append = op_journal_append,
	.journal_replace = op_journal_replace,
	.journal_mark = op_journal_mark,
	.score = op_score,
	.healthy = op_healthy,
	.sessions = op_sessions,
	.peer_up = op_peer_up,
	.peer_down = op_nothing,
	.notice = op_notice,
	.prove = op_nothing,
	.ready = op_nothing,
	.fatal = op_fatal,
};

static struct conf_group groups[GROUPS] = {{.name = "g1", .home = 1}, {.name = "g2", .home = 2}};
static struct conf conf = {.groups = groups,
	.group_count = GROUPS,
	.handover_timeout_ms = 1000,
	.state_dir = "(none)",
	.path = "(none)"};
static struct message_state room;

static void said(uint8_t controller, bool in_sync)
{
	struct message msg = {.type = MESSAGE_STATE,
		.sender = controller,
		.incarnation = controller,
		.state = &room};

	memset(&room, 0, sizeof(room));
	room.in_sync = in_sync;
	room.pids[1] = 1;
	room.pids[2] = 2;
	room.group_count = GROUPS;
	for (unsigned i = 0; i < GROUPS; i++) {
		room.groups[i].epoch = room.groups[i].top = 3;
		room.groups[i].owner = 2;
		room.groups[i].phase = PHASE_SERVING;
	}
	msg.op = 100u + controller;
	if (controller == 1) {
		msg.op = machine->state_op;
	}
	machine_deliver(machine, &msg);
	msg.type = MESSAGE_CURRENT;
	msg.state = NULL;
	machine_deliver(machine, &msg);
}

static void ledger_said(uint8_t controller, uint64_t op, uint64_t index)
{
	struct message msg = {.type = MESSAGE_LEDGER,
		.sender = controller,
		.incarnation = controller,
		.op = op,
		.ledger = {.index = index}};

	machine_deliver(machine, &msg);
}

/*
 * In sync with controller 2, which serves both groups; or (joining) about to get the states of the
 * LUs from it.
 */
static void machine_make(bool joining)
{
	static const struct machine_member members[] = {{1, 1}, {2, 2}};

	machine = machine_new(&conf, 1, 1, &ops, NULL);
	require(machine, "out of memory");
	fake_ledger_init(&scsi);
	machine_ledger_set(machine, &scsi.serve, 0, true, 0);
	machine_start(machine);
	machine_quorum(machine, true);
	machine_confchg(machine, members, 2, false, LEFT_NODE);
	ledger_said(1, machine->state_op, 0);
	ledger_said(2, 102, joining ? 5 : 0);
	said(1, false);
	said(2, true);
	require(machine_has_peer(machine) == !joining, "the machine's sync is wrong");
}

static void deliver(struct message *msg, bool joining)
{
	struct message_state *kept = malloc(sizeof(*kept));
	uint64_t epochs[GROUPS];

	require(kept, "out of memory");
	*kept = room;
	machine_make(joining);
	room = *kept;
	free(kept);
	for (unsigned i = 0; i < GROUPS; i++) {
		epochs[i] = machine->groups[i].epoch;
	}
	msg->sender = 2;
	msg->incarnation = machine->incarnations[2];
	machine_deliver(machine, msg);
	for (unsigned i = 0; i < GROUPS; i++) {
		const struct ha_group *g = &machine->groups[i];

		require(g->epoch >= epochs[i] || msg->type == MESSAGE_STATE, "an epoch went back");
		require(g->epoch <= g->top && g->owner <= 2, "the group is out of bounds");
	}
	machine_free(machine);
	machine = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[MESSAGE_BYTES_MAX], third[MESSAGE_BYTES_MAX];
	struct message msg;
	int length;

	if (message_decode(data, size, &msg, &room) != 0) {
		return 0;
	}
	length = message_encode(&msg, again, sizeof(again));
	require(length == (int)size, "what was decoded encodes to another length");
	require(message_decode(again, (size_t)length, &msg, &room) == 0 &&
			message_encode(&msg, third, sizeof(third)) == length &&
			memcmp(again, third, (size_t)length) == 0,
		"encoded, decoded and encoded again it is not the same");
	for (unsigned joining = 0; joining < 2; joining++) {
		deliver(&msg, joining);
	}
	return 0;
}

const struct fuzz_target fuzz_target = {.corpus = "ha", .mutations = 500};
