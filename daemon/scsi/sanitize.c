/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/sanitize.h"

#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/snapshot.h"
#include "daemon/scsi/token.h"
#include "yoke/util.h"

#define SANITIZE_IMMED 0x80 /* byte 1 of the CDB */
#define SANITIZE_AUSE  0x20
#define LENGTH_AT      7

#define LIST_HEADER    4u
#define LIST_INVERT    0x80 /* byte 0 */
#define LIST_TEST      0x60
#define LIST_COUNT     0x1f
#define ERASE_PASSES   2 /* zeros where there is storage; then it is given back */
#define ENTRY_BYTES    (SCSI_SANITIZE_PATTERN_MAX + 1024)

static const struct scsi_sanitize *sanitize_of(const struct scsi_task *task)
{
	const struct scsi_snapshot *snapshot = scsi_snapshot_of(task);

	return snapshot ? snapshot->state.sanitize : NULL;
}

const char *scsi_sanitize_method_name(enum scsi_sanitize_method method)
{
	switch (method) {
	case SCSI_SANITIZE_OVERWRITE:
		return "overwrite";
	case SCSI_SANITIZE_BLOCK_ERASE:
		return "block erase";
	case SCSI_SANITIZE_EXIT:
		break;
	}
	return "unknown";
}

uint16_t scsi_sanitize_progress(const struct scsi_sanitize *sanitize, const struct scsi_lu *lu)
{
	double size = (double)(lu->blocks << lu->block_shift);
	double done = (sanitize->pass + (double)sanitize->bytes / size) / sanitize->passes;

	return done < 1 ? (uint16_t)(done * 65536) : UINT16_MAX;
}

bool scsi_sanitize_passes(const struct scsi_task *task)
{
	const struct scsi_row *row = task->row;

	return row->flags & SCSI_PASSES_SANITIZE &&
	       (!row->beside_sanitize || row->beside_sanitize(task));
}

void scsi_sanitize_refuse(struct scsi_task *task, const struct scsi_sanitize *sanitize)
{
	if (!sanitize) {
		sanitize = sanitize_of(task);
	}
	if (sanitize && sanitize->phase == SCSI_SANITIZE_FAILED) {
		scsi_set_sense(task, SENSE_SANITIZE_FAILED);
	} else {
		scsi_set_sense_progress(task, SENSE_NOT_READY_SANITIZING,
			sanitize ? scsi_sanitize_progress(sanitize, task->lu) : UINT16_MAX);
	}
}

void scsi_sanitize_override(struct scsi_task *task)
{
	const struct scsi_sanitize *sanitize = sanitize_of(task);

	if (sanitize && task->row && !scsi_sanitize_passes(task)) {
		scsi_sanitize_refuse(task, sanitize);
	}
}

size_t scsi_sanitize_sense(
	const struct scsi_task *task, uint8_t sense[SCSI_SENSE_FIXED_BYTES], bool descriptor)
{
	const struct scsi_sanitize *sanitize = sanitize_of(task);
	size_t length;

	if (!sanitize) {
		return scsi_sense_build(sense, SENSE_NONE, descriptor);
	}
	if (sanitize->phase == SCSI_SANITIZE_FAILED) {
		return scsi_sense_build(sense, SENSE_SANITIZE_FAILED, descriptor);
	}
	length = scsi_sense_build(sense, SENSE_NOT_READY_SANITIZING, descriptor);
	return scsi_sense_add_progress(sense, length, scsi_sanitize_progress(sanitize, task->lu));
}

/* ----- the command ---------------------------------------------------------------------------- */

bool scsi_sanitize_erase_decode(struct scsi_task *task)
{
	return true; /* a list that is not empty fails by the usage mask */
}

bool scsi_sanitize_overwrite_decode(struct scsi_task *task)
{
	uint16_t length = be16_get(task->cdb + LENGTH_AT);

	if (length <= LIST_HEADER || length > LIST_HEADER + task->lu->block_size) {
		scsi_set_cdb_field(task, LENGTH_AT, -1);
		return false;
	}
	task->out_bytes = length;
	return true;
}

/* The parameter list of OVERWRITE; false with the outcome set. */
static bool list_get(struct scsi_task *task, struct scsi_sanitize *asked)
{
	struct cursor c = cursor_reader(task->buf->data, task->out_length);
	uint8_t options = cursor_get_u8(&c);
	uint8_t reserved = cursor_get_u8(&c);

	asked->pattern_length = cursor_get_u16(&c);
	asked->passes = options & LIST_COUNT;
	asked->invert = options & LIST_INVERT;
	if (task->out_length < task->out_bytes) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	if (!asked->passes) {
		/* Reserved; which sense that gets is left open, and libiscsi's suite expects this.
		 */
		scsi_set_sense(task, SENSE_INVALID_FIELD_IN_CDB);
		return false;
	}
	if (options & LIST_TEST) {
		scsi_set_list_field(task, 0, 6);
		return false;
	}
	if (reserved) {
		scsi_set_list_field(task, 1, -1);
		return false;
	}
	if (!asked->pattern_length || asked->pattern_length > cursor_left(&c)) {
		scsi_set_list_field(task, 2, -1);
		return false;
	}
	cursor_get_bytes(&c, asked->pattern, asked->pattern_length);
	return true;
}

static bool request_get(struct scsi_task *task, struct scsi_sanitize *asked)
{
	asked->method = task->row->action;
	asked->unrestricted = task->cdb[1] & SANITIZE_AUSE;
	switch ((enum scsi_sanitize_method)task->row->action) {
	case SCSI_SANITIZE_OVERWRITE:
		return list_get(task, asked);
	case SCSI_SANITIZE_BLOCK_ERASE:
		asked->passes = ERASE_PASSES;
		return true;
	case SCSI_SANITIZE_EXIT:
		return true;
	}
	return false;
}

/*
 * The operation has ended here, and its host may ask elsewhere next: GOOD when every controller has
 * gone past that end, too. An entry about an operation that is over changes nothing.
 */
static void settle(struct scsi_task *task)
{
	struct scsi_entry entry = scsi_ledger_entry(task, SCSI_ENTRY_WIPED);
	struct cursor c = scsi_ledger_begin(task, ENTRY_BYTES);

	entry.serial = 0; /* it is not the command's own entry, which is there already */
	entry.action = SCSI_WIPED_SO_FAR;
	entry.sanitize.id = task->serial;
	task->settled = true;
	if (c.size == 0) {
		task->status = SCSI_GOOD; /* no memory to ask; done it is */
		scsi_task_finish(task);
		return;
	}
	scsi_entry_put(&c, &entry);
	scsi_ledger_send(task, &c);
}

void scsi_sanitize_run(struct scsi_task *task)
{
	const struct scsi_snapshot *snapshot = scsi_snapshot_of(task);
	struct scsi_entry entry = scsi_ledger_entry(task, SCSI_ENTRY_SANITIZE);

	/* It is not counted in its group, so a drain does not wait for its end. */
	task->epoch = task->nexus->core->groups[task->lu->group].view.epoch;
	if (task->settled) {
		settle(task);
		return;
	}
	/* A conflict goes before what is wrong with the list; not so for what may have been done.
	 */
	if (!task->rerun && snapshot && scsi_snapshot_conflicts(task, snapshot)) {
		scsi_task_finish(task);
		return;
	}
	if (!request_get(task, &entry.sanitize)) {
		scsi_task_finish(task);
		return;
	}
	scsi_ledger_record(task, &entry, ENTRY_BYTES);
}

/* ----- its end -------------------------------------------------------------------------------- */

/* Ends the command if the operation that it began has ended; otherwise it waits. */
static void await(struct scsi_task *task)
{
	const struct scsi_sanitize *sanitize = sanitize_of(task);

	if (!sanitize || sanitize->id != task->serial) {
		settle(task); /* it ended well */
	} else if (sanitize->phase == SCSI_SANITIZE_FAILED) {
		scsi_set_sense(task, SENSE_SANITIZE_FAILED);
		scsi_task_finish(task);
	} else {
		task->state = SCSI_TASK_SANITIZING;
		qb_list_add_tail(&task->wait_link, &task->nexus->core->sanitizing);
	}
}

void scsi_sanitize_recorded(struct scsi_task *task)
{
	if (task->row->action == SCSI_SANITIZE_EXIT || task->settled) {
		scsi_task_finish(task);
		return;
	}
	if (task->nexus->core->lus[task->lu->index].tokens) {
		task->lba = 0;
		task->blocks = task->lu->blocks;
		scsi_tokens_written(task); /* what they stand for is going */
	}
	if (task->cdb[1] & SANITIZE_IMMED) {
		scsi_task_finish(task);
		return;
	}
	buf_put(reactor_buffers(task->reactor), task->work);
	task->work = NULL;
	await(task);
}

void scsi_sanitize_check(struct scsi_core *core)
{
	struct qb_list_head tasks;

	if (qb_list_empty(&core->sanitizing)) {
		return;
	}
	qb_list_init(&tasks);
	qb_list_splice_tail(&core->sanitizing, &tasks);
	qb_list_init(&core->sanitizing);
	while (!qb_list_empty(&tasks)) {
		struct scsi_task *task = qb_list_first_entry(&tasks, struct scsi_task, wait_link);

		qb_list_del(&task->wait_link);
		qb_list_init(&task->wait_link);
		task->state = SCSI_TASK_RUNNING;
		if (core->groups[task->lu->group].view.access == GROUP_REMOTE) {
			scsi_task_requeue(
				task); /* waits at the new owner: it is known by its serial */
		} else {
			await(task);
		}
	}
}

/* ----- rows ----------------------------------------------------------------------------------- */

/* PARAMETER LIST LENGTH is looked at with OVERWRITE only: elsewhere there is no list. */
#define SANITIZE_ROW                                                                    \
	.opcode = 0x48, .has_action = true, .cdb_length = 10, .where = SCSI_RUNS_OWNER, \
	.reserved = SCSI_RESERVED_CONFLICT, .order = SCSI_ORDER_FREE, .nominal_s = 1,   \
	.recommended_s = UINT16_MAX, .run = scsi_sanitize_run, .recorded = scsi_sanitize_recorded

const struct scsi_row scsi_sanitize_rows[SCSI_ACTIONS] = {
	[SCSI_SANITIZE_OVERWRITE] = {SANITIZE_ROW, .name = "SANITIZE, OVERWRITE",
		.action = SCSI_SANITIZE_OVERWRITE,
		.usage = {0x48, 0xa1, 0, 0, 0, 0, 0, 0xff, 0xff, 0x04}, .direction = SCSI_DATA_OUT,
		.flags = SCSI_WRITES | SCSI_USES_LEDGER | SCSI_BY_OTHERS | SCSI_PASSES_SANITIZE,
		.decode = scsi_sanitize_overwrite_decode},
	[SCSI_SANITIZE_BLOCK_ERASE] = {SANITIZE_ROW, .name = "SANITIZE, BLOCK ERASE",
		.action = SCSI_SANITIZE_BLOCK_ERASE,
		.usage = {0x48, 0xa2, 0, 0, 0, 0, 0, 0, 0, 0x04}, .direction = SCSI_NO_DATA,
		.flags = SCSI_WRITES | SCSI_USES_LEDGER | SCSI_BY_OTHERS | SCSI_PASSES_SANITIZE,
		.available = scsi_unmap_available, .decode = scsi_sanitize_erase_decode},
	[SCSI_SANITIZE_EXIT] = {SANITIZE_ROW, .name = "SANITIZE, EXIT FAILURE MODE",
		.action = SCSI_SANITIZE_EXIT, .usage = {0x48, 0xbf, 0, 0, 0, 0, 0, 0, 0, 0x04},
		.direction = SCSI_NO_DATA,
		.flags = SCSI_USES_LEDGER | SCSI_BY_OTHERS | SCSI_PASSES_SANITIZE,
		.decode = scsi_sanitize_erase_decode},
};
