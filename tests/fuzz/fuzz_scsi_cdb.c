/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: any command with any parameter list, through the whole device server on RAM. The
 * input is a row of commands: 4 bytes (LUN; reactor, task attribute, length of the CDB; length of
 * the data-out, big-endian), 16 bytes of CDB, the data. All are started before any of them has
 * ended. Whatever comes in, every command ends once, with a status that there is, and gives its
 * buffers back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/core.h"
#include "daemon/scsi/opcodes.h"
#include "tests/fuzz/drive.h"
#include "yoke/cursor.h"
#include "yoke/scsi.h"
#include "yoke/util.h"

#define REACTORS     2
#define EXTENTS	     4
#define EXTENT_BYTES (1u << 20)
#define COMMANDS_MAX 32
#define PASSES_MAX   20000 /* of all reactors until everything must have ended */
#define TARGET	     "iqn.2026-01.org.example:fuzz"

struct command {
	struct scsi_task task;
	unsigned dones;
	bool used;
};

/* One device server for all inputs: what the LUs keep is kept. */
static struct world {
	struct conf conf;
	struct conf_controller controllers[2];
	struct conf_address portals[2];
	struct conf_group groups[1];
	struct conf_extent extents[EXTENTS];
	struct conf_lun luns[EXTENTS];
	struct conf_target targets[1];
	struct mailbox control;
	struct reactor *reactors[REACTORS];
	struct scsi *scsi;
	struct ledger ledger;
	uint64_t ledger_index;
	struct command commands[COMMANDS_MAX];
	unsigned published;
} world;

static void check(bool good)
{
	if (!good) {
		abort();
	}
}

/* ----- the world -------------------------------------------------------------------------------
 */

static void pass(void)
{
	for (unsigned i = 0; i < REACTORS; i++) {
		reactor_run_once(world.reactors[i], 0);
	}
	mailbox_run(&world.control);
}

struct entry {
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result);
	void *arg;
	uint32_t result;
	bool applied;
	bool returned;
};

static void entry_end(struct entry *entry)
{
	if (entry->applied && entry->returned) {
		entry->done(entry->arg, LEDGER_DONE, entry->result);
		free(entry);
	}
}

static void entry_applied(void *arg)
{
	struct entry *entry = arg;

	entry->applied = true;
	entry_end(entry);
}

/* A ledger of one member that is always in order. */
static void ledger_submit(void *ctx, const struct ledger_entry *what,
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg)
{
	const struct ledger_serve *serve = scsi_ledger_serve(world.scsi);
	struct entry *entry = calloc(1, sizeof(*entry));

	check(entry != NULL);
	entry->done = done;
	entry->arg = arg;
	entry->result = serve->apply(serve->ctx, what, ++world.ledger_index, entry_applied, entry);
	entry->returned = true;
	entry_end(entry);
}

static void conf_make(void)
{
	static const char *const names[EXTENTS] = {"thin", "large", "read-only", "plain"};

	for (unsigned i = 0; i < EXTENTS; i++) {
		world.extents[i] = (struct conf_extent){.name = names[i],
			.type = EXTENT_RAM,
			.size_bytes = EXTENT_BYTES,
			.block_size = i == 1 ? 4096 : 512,
			.physical_block_size = 4096,
			.read_only = i == 2,
			.serial = names[i],
			.thin = i == 0};
		world.extents[i].uuid[0] = (uint8_t)(i + 1);
		world.extents[i].uuid[15] = (uint8_t)(i + 1);
		world.luns[i] = (struct conf_lun){.lun = (uint16_t)i, .extent = (uint16_t)i};
	}
	for (unsigned i = 0; i < 2; i++) {
		world.controllers[i] = (struct conf_controller){.name = i ? "b" : "a",
			.id = (uint8_t)(i + 1),
			.portals = &world.portals[i],
			.portal_count = 1};
	}
	world.groups[0] = (struct conf_group){.name = "g", .home = 1};
	world.targets[0] =
		(struct conf_target){.name = TARGET, .luns = world.luns, .lun_count = EXTENTS};
	world.conf = (struct conf){.cluster = NULL,
		.long_cdbs = true,
		.hold_limit_ms = 1500,
		.hold_answer = CONF_HOLD_BUSY,
		.buffer_bytes = 64 << 20,
		.vendor = "YOKE",
		.product = "fuzz",
		.controllers = world.controllers,
		.controller_count = 2,
		.groups = world.groups,
		.group_count = 1,
		.extents = world.extents,
		.extent_count = EXTENTS,
		.targets = world.targets,
		.target_count = 1};
}

static void published(void *arg)
{
	world.published++;
}

static void world_make(void)
{
	struct group_view view = {
		.owner = 1, .preferred = 1, .epoch = 1, .table = 1, .access = GROUP_LOCAL};
	char error[256];

	conf_make();
	check(mailbox_open(&world.control) == 0);
	for (unsigned i = 0; i < REACTORS; i++) {
		struct reactor_config config = {.index = i, .buffer_bytes = 64 << 20};

		world.reactors[i] = reactor_new(&config);
		check(world.reactors[i] != NULL);
	}
	world.ledger = (struct ledger){.submit = ledger_submit};
	world.scsi = scsi_new(&(struct scsi_setup){.conf = &world.conf,
				      .controller = 1,
				      .control = &world.control,
				      .reactors = world.reactors,
				      .reactor_count = REACTORS,
				      .ledger = &world.ledger},
		error, sizeof(error));
	check(world.scsi != NULL);
	scsi_serve(world.scsi)->publish(world.scsi, &view, published, NULL);
	for (unsigned i = 0; i < PASSES_MAX && !world.published; i++) {
		pass();
	}
	check(world.published);
}

static struct scsi_nexus *nexus_make(unsigned i)
{
	struct scsi_identity who = {.controller = 1, .rtpi = 0x101};
	struct scsi_nexus *nexus;

	snprintf(who.initiator, sizeof(who.initiator), "iqn.2026-01.org.example:host%u", i);
	memcpy(who.target, TARGET, sizeof(TARGET));
	nexus = scsi_nexus_new(world.scsi, world.reactors[i], &who);
	check(nexus != NULL);
	return nexus;
}

/* ----- commands --------------------------------------------------------------------------------
 */

static void outcome_check(const struct scsi_task *task)
{
	switch ((enum scsi_status)task->status) {
	case SCSI_CHECK_CONDITION:
		check(task->sense_length >= 8 && task->sense_length <= SCSI_SENSE_MAX);
		check((task->sense[0] & 0x7f) == 0x70 || (task->sense[0] & 0x7f) == 0x72);
		break;
	case SCSI_GOOD:
	case SCSI_CONDITION_MET:
	case SCSI_BUSY:
	case SCSI_RESERVATION_CONFLICT:
	case SCSI_TASK_ABORTED:
		check(task->sense_length == 0);
		break;
	case SCSI_TASK_SET_FULL:
	case SCSI_ACA_ACTIVE:
		abort();
	default:
		abort();
	}
	check(task->in_length <= task->in_bytes || task->in_bytes == 0);
	check(!task->in_length || (task->buf && task->in_length <= task->buf->size));
}

static void command_done(struct scsi_task *task)
{
	struct command *command = container_of(task, struct command, task);

	check(++command->dones == 1);
	outcome_check(task);
	scsi_task_end(task);
}

static void command_run(struct command *command, const uint8_t *data, uint32_t length)
{
	struct scsi_task *task = &command->task;

	switch (scsi_task_start(task)) {
	case SCSI_START_DONE:
		command->dones++;
		outcome_check(task);
		scsi_task_end(task);
		return;
	case SCSI_START_OUT:
		check(task->out_bytes > 0 && task->out_bytes <= BUF_MAX_BYTES);
		task->buf = buf_get(reactor_buffers(task->reactor), task->out_bytes);
		if (!task->buf) {
			command->dones++;
			scsi_task_drop(task);
			return;
		}
		/* The list comes as it is; the rest, if it is to be more, are bytes of it again. */
		task->out_length = task->out_bytes;
		for (uint32_t at = 0; at < task->out_bytes; at++) {
			task->buf->data[at] = length ? data[at % length] : 0;
		}
		if (length && length < task->out_bytes && task->out_bytes < 4096) {
			task->out_length = length;
		}
		break;
	case SCSI_START_READY:
		break;
	}
	scsi_task_run(task);
}

/* One command of the input; false at its end. */
static bool command_next(
	struct cursor *in, struct command *command, struct scsi_nexus *const nexuses[REACTORS])
{
	static uint64_t tag;
	uint8_t lun = cursor_get_u8(in), how = cursor_get_u8(in);
	uint32_t length = cursor_get_u16(in);
	const uint8_t *cdb = cursor_take(in, 16), *data;

	if (!cdb) {
		return false;
	}
	length = length < cursor_left(in) ? length : (uint32_t)cursor_left(in);
	data = cursor_take(in, length);
	*command = (struct command){.used = true};
	command->task.nexus = nexuses[how & 1];
	command->task.reactor = world.reactors[how & 1];
	command->task.attribute = how >> 1 & 3;
	command->task.cdb_length = how & 0x80 ? (how >> 3 & 0xf) + 1 : 16;
	command->task.lun[1] = lun;
	command->task.tag = ++tag;
	command->task.done = command_done;
	memcpy(command->task.cdb, cdb, 16);
	if (cdb[0] == SCSI_VARIABLE_CDB && length >= 16) { /* the rest of its CDB */
		memcpy(command->task.cdb + 16, data, 16);
		command->task.cdb_length = 32;
	}
	command_run(command, data, length);
	return true;
}

static bool all_done(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (world.commands[i].dones == 0) {
			return false;
		}
	}
	return true;
}

static void closed(void *arg)
{
	++*(unsigned *)arg;
}

/* The first command of every nexus is told a unit attention: that is taken here. */
static void nexus_calm(struct scsi_nexus *nexus, unsigned r)
{
	for (uint8_t lun = 0; lun < EXTENTS; lun++) {
		struct command calm = {.used = true};

		calm.task.nexus = nexus;
		calm.task.reactor = world.reactors[r];
		calm.task.lun[1] = lun;
		calm.task.cdb_length = 6;
		calm.task.done = command_done;
		command_run(&calm, NULL, 0);
		check(calm.dones == 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = cursor_reader(data, size);
	struct scsi_nexus *nexuses[REACTORS];
	unsigned count = 0, gone = 0;

	if (!world.scsi) {
		world_make();
	}
	for (unsigned i = 0; i < REACTORS; i++) {
		nexuses[i] = nexus_make(i);
		nexus_calm(nexuses[i], i);
	}
	while (count < COMMANDS_MAX && command_next(&in, &world.commands[count], nexuses)) {
		count++;
	}
	for (unsigned i = 0; i < PASSES_MAX && !all_done(count); i++) {
		pass();
	}
	check(all_done(count));
	for (unsigned i = 0; i < REACTORS; i++) {
		scsi_nexus_close(nexuses[i], closed, &gone);
	}
	for (unsigned i = 0; i < PASSES_MAX && gone < REACTORS; i++) {
		pass();
	}
	check(gone == REACTORS);
	pass();
	for (unsigned i = 0; i < REACTORS; i++) {
		check(buf_pool_used(reactor_buffers(world.reactors[i])) == 0);
	}
	return 0;
}

/* Every opcode and service action, with every byte of the CDB 00 and FF. */
static void fuzz_opcodes(void)
{
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		for (unsigned action = 0; action < 32; action++) {
			uint8_t bytes[20 + 32] = {0, 0, 0, 32, (uint8_t)opcode, (uint8_t)action};

			LLVMFuzzerTestOneInput(bytes, sizeof(bytes));
			memset(bytes + 6, 0xff, sizeof(bytes) - 6);
			LLVMFuzzerTestOneInput(bytes, sizeof(bytes));
		}
	}
}

static void world_free(void)
{
	if (!world.scsi) {
		return;
	}
	scsi_free(world.scsi);
	for (unsigned i = 0; i < REACTORS; i++) {
		reactor_free(world.reactors[i]);
	}
	mailbox_close(&world.control);
}

const struct fuzz_target fuzz_target = {.corpus = "scsi_cdb",
	.every_cut = true,
	.every_bit = true,
	.more = fuzz_opcodes,
	.end = world_free};
