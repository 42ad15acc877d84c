/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/copy.h"
#include "daemon/scsi/copy_list.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/tasks.h"
#include "yoke/cursor.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define PIECE_TAG	(1ull << 63) /* no initiator's: theirs have 32 bits */
#define PIECE_SHARE	16 /* of the reactor's buffers, a piece takes at most one in so many */
#define PIECE_BYTES_MIN 4096u

enum copy_step {
	COPY_IDLE, /* the next piece, or the next range */
	COPY_TESTING,
	COPY_READING,
	COPY_WRITING,
};

/* ----- records ------------------------------------------------------------------------------- */

struct scsi_copy_record *scsi_copy_record_find(const struct scsi_task *asking, uint32_t id)
{
	struct scsi_copy_record *record;

	qb_list_for_each_entry (record, &asking->nexus->core->copy_records, link) {
		if (record->nexus == asking->nexus && record->lu == asking->lu &&
			record->id == id) {
			return record;
		}
	}
	return NULL;
}

void scsi_copy_record_drop(struct scsi_copy_record *record, struct scsi_core *core)
{
	qb_list_del(&record->link);
	core->copy_record_count--;
	free(record);
}

/* Makes room: the oldest outcome that nobody asked for goes. */
static void record_evict(struct scsi_core *core)
{
	struct scsi_copy_record *record;

	qb_list_for_each_entry (record, &core->copy_records, link) {
		if (!record->running) {
			scsi_copy_record_drop(record, core);
			return;
		}
	}
}

struct scsi_copy_record *scsi_copy_record_make(struct scsi_task *task, uint32_t id)
{
	struct scsi_core *core = task->nexus->core;
	struct scsi_copy_record *record = scsi_copy_record_find(task, id);

	if (record && record->running) {
		scsi_set_sense(task, SENSE_OPERATION_IN_PROGRESS);
		return NULL;
	}
	if (record) {
		scsi_copy_record_drop(record, core);
	}
	if (core->copy_record_count >= SCSI_COPY_RECORDS_MAX) {
		record_evict(core);
	}
	record = calloc(1, sizeof(*record));
	if (!record) {
		task->status = SCSI_BUSY;
		return NULL;
	}
	record->nexus = task->nexus;
	record->lu = task->lu;
	record->id = id;
	record->action = task->row->action;
	record->running = true;
	qb_list_add_tail(&record->link, &core->copy_records);
	core->copy_record_count++;
	return record;
}

void scsi_copy_record_end(struct scsi_copy_record *record, const struct scsi_task *task)
{
	record->running = false;
	record->aborted = task->abort_wanted || task->status == SCSI_TASK_ABORTED;
	record->status = record->aborted ? SCSI_TASK_ABORTED : task->status;
	record->sense_length = task->sense_length;
	memcpy(record->sense, task->sense, sizeof(record->sense));
}

void scsi_copy_nexus_gone(struct scsi_core *core, const struct scsi_nexus *nexus)
{
	struct qb_list_head *at = core->copy_records.next;

	while (at != &core->copy_records) {
		struct scsi_copy_record *record = qb_list_entry(at, struct scsi_copy_record, link);

		at = at->next;
		if (record->nexus == nexus) {
			scsi_copy_record_drop(record, core);
		}
	}
}

/* ----- the end ------------------------------------------------------------------------------- */

static void copy_free(struct scsi_copy *copy)
{
	reactor_timer_cancel(copy->core->reactor, &copy->timer);
	reactor_defer_cancel(copy->core->reactor, &copy->defer);
	scsi_task_end(&copy->piece);
	qb_list_del(&copy->link);
	copy->core->copy_count--;
	copy->free(copy);
}

/* Ends the command with the outcome that it has. */
static void copy_end(struct scsi_copy *copy)
{
	struct scsi_task *task = copy->task;

	if (copy->record) {
		scsi_copy_record_end(copy->record, task);
	}
	log_debug("LU %s: %s from %s ended with status %02x", task->lu->conf->name, task->row->name,
		task->nexus->who.initiator, task->status);
	copy_free(copy);
	scsi_task_finish(task);
}

/* ----- pieces -------------------------------------------------------------------------------- */

static uint64_t left(const struct scsi_copy *copy)
{
	return copy->range.bytes - copy->moved;
}

/* How far from the range's begin the current piece lies. */
static uint64_t piece_offset(const struct scsi_copy *copy)
{
	return copy->backwards ? left(copy) - copy->piece_bytes : copy->moved;
}

static void piece_done(struct scsi_task *piece)
{
	struct scsi_copy *copy = container_of(piece, struct scsi_copy, piece);

	/* At the end of the pass: others get their turn, and no copy calls itself. */
	copy->waits = false;
	reactor_defer(copy->core->reactor, &copy->defer);
}

/* Runs copy->piece on an LU; everything of it but the CDB, data and lengths is set here. */
static void piece_run(struct scsi_copy *copy, struct scsi_lu *lu, enum copy_step step)
{
	struct scsi_task *piece = &copy->piece;

	copy->step = (uint8_t)step;
	copy->waits = true;
	piece->tag = PIECE_TAG | ++copy->core->copy_tag;
	piece->attribute = SCSI_ATTR_SIMPLE;
	piece->cdb_length = 16;
	piece->done = piece_done;
	scsi_task_run_own(piece, lu);
}

/* A 16-byte CDB of a range of the LU. */
static void piece_cdb(struct scsi_copy *copy, uint8_t opcode, uint8_t flags,
	const struct scsi_lu *lu, uint64_t byte)
{
	uint8_t *cdb = copy->piece.cdb;

	memset(cdb, 0, SCSI_CDB_MAX);
	cdb[0] = opcode;
	cdb[1] = flags;
	be64_put(cdb + 2, byte >> lu->block_shift);
	be32_put(cdb + 10, copy->piece_bytes >> lu->block_shift);
}

static void piece_test(struct scsi_copy *copy)
{
	memset(copy->piece.cdb, 0, SCSI_CDB_MAX); /* TEST UNIT READY */
	copy->piece.expected_in_bytes = 0;
	copy->piece.expected_out_bytes = 0;
	piece_run(copy, copy->range.from, COPY_TESTING);
}

static void piece_read(struct scsi_copy *copy)
{
	struct scsi_lu *lu = copy->range.from;

	piece_cdb(copy, 0x88, 0, lu, copy->range.from_byte + piece_offset(copy));
	copy->piece.expected_in_bytes = copy->piece_bytes;
	copy->piece.expected_out_bytes = 0;
	copy->piece.out_length = 0;
	piece_run(copy, lu, COPY_READING);
}

static void piece_write(struct scsi_copy *copy)
{
	struct scsi_lu *lu = copy->range.to;
	uint64_t byte = copy->range.to_byte + piece_offset(copy);

	if (copy->range.from) {
		piece_cdb(copy, 0x8a, 0, lu, byte); /* WRITE(16) of what was read */
		copy->piece.out_length = copy->piece_bytes;
	} else {
		piece_cdb(copy, 0x93, 0x01, lu, byte); /* WRITE SAME(16), NDOB */
		copy->piece.out_length = 0;
	}
	copy->piece.expected_in_bytes = 0;
	copy->piece.expected_out_bytes = copy->piece.out_length;
	piece_run(copy, lu, COPY_WRITING);
}

/* ----- ranges -------------------------------------------------------------------------------- */

static uint32_t piece_limit(const struct scsi_copy *copy)
{
	uint64_t share = buf_pool_limit(reactor_buffers(copy->core->reactor)) / PIECE_SHARE;

	if (!copy->range.from) {
		return SCSI_COPY_ZERO_BYTES;
	}
	if (share >= SCSI_COPY_PIECE_BYTES) {
		return SCSI_COPY_PIECE_BYTES;
	}
	return share < PIECE_BYTES_MIN ? PIECE_BYTES_MIN : (uint32_t)share & ~(PIECE_BYTES_MIN - 1);
}

/* From the end when it would write over what it has not read yet. */
static bool must_go_backwards(const struct scsi_copy_range *range)
{
	return range->from == range->to && range->to_byte > range->from_byte &&
	       range->to_byte - range->from_byte < range->bytes;
}

static void copy_next(struct scsi_copy *copy)
{
	uint32_t limit;

	if (left(copy) == 0) {
		copy->moved = 0;
		memset(&copy->range, 0, sizeof(copy->range));
		if (!copy->next(copy, &copy->range)) {
			copy_end(copy);
			return;
		}
		copy->backwards = !copy->in_order && must_go_backwards(&copy->range);
		if (!copy->range.to && copy->range.from) {
			piece_test(copy);
			return;
		}
		if (copy->range.bytes == 0) {
			reactor_defer(copy->core->reactor, &copy->defer);
			return;
		}
	}
	limit = piece_limit(copy);
	copy->piece_bytes = left(copy) < limit ? (uint32_t)left(copy) : limit;
	if (copy->range.from) {
		piece_read(copy);
	} else {
		piece_write(copy);
	}
}

/* Its group is held for long, or buffers are short: that passes. */
static bool is_passing(const struct scsi_task *piece)
{
	return piece->status == SCSI_BUSY || piece->status == SCSI_TASK_SET_FULL ||
	       (piece->status == SCSI_CHECK_CONDITION && piece->sense_length >= 14 &&
		       (piece->sense[2] & 0x0f) == 0x02 && piece->sense[12] == 0x04 &&
		       piece->sense[13] == 0x0a);
}

/* True when the piece was put off. */
static bool piece_put_off(struct scsi_copy *copy)
{
	uint64_t now = reactor_now_ms(copy->core->reactor);

	if (copy->piece.aborted || !is_passing(&copy->piece)) {
		return false;
	}
	if (copy->busy_since_ms == 0) {
		copy->busy_since_ms = now;
	}
	return now - copy->busy_since_ms < SCSI_COPY_PATIENCE_MS &&
	       reactor_timer_set(copy->core->reactor, &copy->timer, SCSI_COPY_PAUSE_MS) == 0;
}

static void piece_failed(struct scsi_copy *copy)
{
	bool wrote = copy->step == COPY_WRITING;

	if (copy->piece.aborted) {
		/* A reset of that LU got it. */
		copy->piece.status = SCSI_TASK_ABORTED;
		copy->piece.sense_length = 0;
	}
	copy->failed(copy, wrote);
	copy_end(copy);
}

/* What was written counts, also when the command is over by now. */
static void piece_count(struct scsi_copy *copy)
{
	if (copy->step == COPY_IDLE || copy->piece.aborted || copy->piece.status != SCSI_GOOD) {
		return;
	}
	copy->busy_since_ms = 0;
	if (copy->record) {
		copy->record->pieces++;
	}
	if (copy->step == COPY_WRITING) {
		scsi_task_end(&copy->piece);
		copy->moved += copy->piece_bytes;
		if (copy->record) {
			copy->record->bytes += copy->piece_bytes;
		}
	}
	if (copy->step != COPY_READING) {
		copy->step = COPY_IDLE;
	}
}

/* The source was read. */
static void piece_was_read(struct scsi_copy *copy)
{
	if (copy->piece.in_length != copy->piece_bytes) {
		scsi_set_sense(&copy->piece, SENSE_READ_ERROR);
		piece_failed(copy);
	} else if (copy->fresh && !copy->fresh(copy)) {
		copy_end(copy);
	} else {
		piece_write(copy);
	}
}

/* Tries the piece once more, from where it stands. */
static void piece_again(struct scsi_copy *copy)
{
	switch ((enum copy_step)copy->step) {
	case COPY_TESTING:
		piece_test(copy);
		return;
	case COPY_READING:
		scsi_task_end(&copy->piece);
		piece_read(copy);
		return;
	case COPY_WRITING:
		piece_write(copy);
		return;
	case COPY_IDLE:
		copy_next(copy);
		return;
	}
}

/* Every step begins here. False: the command is over. */
static bool copy_goes_on(struct scsi_copy *copy)
{
	if (copy->task->abort_wanted) {
		copy_end(copy);
		return false;
	}
	if (copy->cancelled) {
		copy->task->status = SCSI_TASK_ABORTED;
		copy->task->sense_length = 0;
		copy_end(copy);
		return false;
	}
	return true;
}

static void copy_step(struct reactor_defer *defer)
{
	struct scsi_copy *copy = container_of(defer, struct scsi_copy, defer);

	if (copy->waits) {
		return;
	}
	piece_count(copy);
	if (!copy_goes_on(copy)) {
		return;
	}
	if (copy->step == COPY_IDLE) {
		copy_next(copy);
	} else if (!copy->piece.aborted && copy->piece.status == SCSI_GOOD) {
		piece_was_read(copy);
	} else if (!piece_put_off(copy)) {
		piece_failed(copy);
	}
}

static void copy_timer_fired(struct reactor_timer *timer)
{
	struct scsi_copy *copy = container_of(timer, struct scsi_copy, timer);

	if (!copy->waits && copy_goes_on(copy)) {
		piece_again(copy);
	}
}

/* ----- public -------------------------------------------------------------------------------- */

void scsi_copy_start(struct scsi_copy *copy, struct scsi_task *task, uint32_t id, uint8_t usage)
{
	struct scsi_core *core = task->nexus->core;

	if (core->copy_count >= SCSI_COPIES_MAX) {
		task->status = SCSI_BUSY;
		copy->free(copy);
		scsi_task_finish(task);
		return;
	}
	if (usage != COPY_ID_NONE) {
		copy->record = scsi_copy_record_make(task, id);
		if (!copy->record) {
			copy->free(copy);
			scsi_task_finish(task);
			return;
		}
	}
	copy->core = core;
	copy->task = task;
	copy->piece.nexus = task->nexus;
	copy->piece.reactor = task->reactor;
	copy->step = COPY_IDLE;
	copy->defer.fn = copy_step;
	copy->timer.fired = copy_timer_fired;
	core->copy_count++;
	qb_list_add_tail(&copy->link, &core->copies);
	reactor_defer(core->reactor, &copy->defer);
}

bool scsi_copy_cancel(struct scsi_task *asking, uint32_t id)
{
	struct scsi_copy_record *record = scsi_copy_record_find(asking, id);
	struct scsi_copy *copy;

	qb_list_for_each_entry (copy, &asking->nexus->core->copies, link) {
		if (record && copy->record == record) {
			copy->cancelled = true;
			if (!copy->waits) {
				reactor_defer(copy->core->reactor, &copy->defer);
			}
			return true;
		}
	}
	return false;
}

void scsi_copies_init(struct scsi_core *core)
{
	qb_list_init(&core->copies);
	qb_list_init(&core->copy_records);
}

void scsi_copies_free(struct scsi_core *core)
{
	while (!qb_list_empty(&core->copies)) {
		copy_free(qb_list_first_entry(&core->copies, struct scsi_copy, link));
	}
	while (!qb_list_empty(&core->copy_records)) {
		scsi_copy_record_drop(
			qb_list_first_entry(&core->copy_records, struct scsi_copy_record, link),
			core);
	}
}
