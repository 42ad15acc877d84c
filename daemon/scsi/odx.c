/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POPULATE TOKEN and WRITE USING TOKEN (SBC-3 5.8, 5.47), what Windows calls offloaded data
 * transfer. Both run in the foreground; what became of them is asked with RECEIVE ROD TOKEN
 * INFORMATION. The token is the right to read what it stands for (token.h says for how long); the
 * reads themselves carry the identity of the nexus that writes.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/copy.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/odx_list.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "daemon/scsi/token.h"
#include "yoke/util.h"

#define LIST_ID_AT   6
#define LENGTH_AT    10
#define WRITE_OFFSET 8 /* fields of the list of WRITE USING TOKEN */
#define WRITE_RANGES 534

/* ----- POPULATE TOKEN ------------------------------------------------------------------------- */

static bool odx_decode(struct scsi_task *task, uint32_t most)
{
	uint32_t length = be32_get(task->cdb + LENGTH_AT);

	if (length > most) {
		scsi_set_cdb_field(task, LENGTH_AT, -1);
		return false;
	}
	task->out_bytes = length;
	return true;
}

bool scsi_populate_token_decode(struct scsi_task *task)
{
	return odx_decode(task, ODX_POPULATE_LIST_MAX);
}

static bool list_is_there(struct scsi_task *task)
{
	if (task->out_length < task->out_bytes) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	return true;
}

/* The record that the command has made, while it runs. */
static struct scsi_copy_record *record_of(struct scsi_task *task)
{
	return scsi_copy_record_find(task, be32_get(task->cdb + LIST_ID_AT));
}

static void populated(struct scsi_task *task, struct scsi_token *token)
{
	struct scsi_copy_record *record = record_of(task);
	bool keep = !task->abort_wanted && scsi_token_state(token) == SCSI_TOKEN_LIVE;

	if (record) {
		record->bytes = scsi_token_size(token);
		if (keep) {
			memcpy(record->token, scsi_token_bytes(token), ODX_TOKEN_BYTES);
			record->has_token = true;
		}
	}
	if (!keep) {
		scsi_set_sense(task, SENSE_TOKEN_REVOKED); /* written in the meantime */
	}
	scsi_token_made(token, keep);
	if (record) {
		scsi_copy_record_end(record, task);
	}
	scsi_task_finish(task);
}

/* False with the outcome set. */
static bool populate_start(struct scsi_task *task)
{
	const struct scsi_lu *lu = task->lu;
	struct scsi_copy_record *record;
	struct odx_populate list;
	struct copy_error error;

	if (!list_is_there(task)) {
		return false;
	}
	if (!odx_populate_parse(task->buf->data, task->out_length, lu->blocks, lu->block_shift,
		    &list, &error)) {
		scsi_set_sense_field(task, error.sense, error.byte, error.bit);
		return false;
	}
	record = scsi_copy_record_make(task, be32_get(task->cdb + LIST_ID_AT));
	if (!record) {
		return false;
	}
	if (!scsi_token_make(task, &list, populated)) {
		scsi_copy_record_end(record, task);
		return false;
	}
	return true;
}

void scsi_populate_token_run(struct scsi_task *task)
{
	if (task->out_bytes == 0 || !populate_start(task)) {
		scsi_task_finish(task);
	}
}

/* ----- WRITE USING TOKEN ---------------------------------------------------------------------- */

struct odx_copy {
	struct scsi_copy copy;
	struct odx_write list;
	struct scsi_token *token; /* NULL: zeros */
	uint64_t done_bytes; /* handed to the copy manager so far */
};

static struct odx_copy *odx_of(struct scsi_copy *copy)
{
	return container_of(copy, struct odx_copy, copy);
}

static void odx_free(struct scsi_copy *copy)
{
	struct odx_copy *odx = odx_of(copy);

	if (odx->token) {
		scsi_token_put(odx->copy.core, odx->token, odx->list.delete_token);
	}
	free(odx);
}

/*
 * Where byte `at` of the ranges, one after another, lies on the LU; *left is how many bytes the
 * range has from there on. 0 left: behind the last.
 */
static uint64_t ranges_find(
	const struct odx_range *ranges, unsigned count, unsigned shift, uint64_t at, uint64_t *left)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t bytes = (uint64_t)ranges[i].blocks << shift;

		if (at < bytes) {
			*left = bytes - at;
			return (ranges[i].lba << shift) + at;
		}
		at -= bytes;
	}
	*left = 0;
	return 0;
}

static bool odx_next(struct scsi_copy *copy, struct scsi_copy_range *range)
{
	struct odx_copy *odx = odx_of(copy);
	struct scsi_lu *to = copy->task->lu;
	uint64_t left, source_left;

	range->to = to;
	range->to_byte = ranges_find(
		odx->list.ranges, odx->list.range_count, to->block_shift, odx->done_bytes, &left);
	range->bytes = left;
	if (odx->token && left) {
		const struct odx_range *ranges;
		unsigned count;

		range->from = scsi_token_lu(odx->token);
		ranges = scsi_token_ranges(odx->token, &count);
		range->from_byte = ranges_find(ranges, count, range->from->block_shift,
			(odx->list.offset << to->block_shift) + odx->done_bytes, &source_left);
		if (source_left < range->bytes) {
			range->bytes = source_left;
		}
	}
	odx->done_bytes += range->bytes;
	return range->bytes > 0;
}

/* The data was read: only what the token stands for may be written. */
static bool odx_fresh(struct scsi_copy *copy)
{
	struct odx_copy *odx = odx_of(copy);

	if (!odx->token || scsi_token_is_fresh(odx->token, copy->core, copy->piece.epoch)) {
		return true;
	}
	scsi_set_sense(copy->task, SENSE_TOKEN_REVOKED);
	return false;
}

/* The initiator gets what our command got. */
static void odx_failed(struct scsi_copy *copy, bool wrote)
{
	struct scsi_task *task = copy->task;

	task->status = copy->piece.status;
	task->sense_length = copy->piece.sense_length;
	memcpy(task->sense, copy->piece.sense, sizeof(task->sense));
}

bool scsi_write_using_token_decode(struct scsi_task *task)
{
	return odx_decode(task, ODX_WRITE_LIST_MAX);
}

/* Do all ranges begin and end with a block of 1 << shift bytes of the other LU? */
static bool ranges_fit(
	const struct odx_range *ranges, unsigned count, unsigned own_shift, unsigned shift)
{
	uint64_t mask = (1ull << shift) - 1;

	for (unsigned i = 0; i < count; i++) {
		if ((uint64_t)ranges[i].blocks << own_shift & mask) {
			return false;
		}
	}
	return true;
}

/* Takes the token, and checks what is asked of it; false with the outcome set. */
static bool token_take(struct odx_copy *odx, struct scsi_task *task)
{
	const struct odx_write *list = &odx->list;
	unsigned shift = task->lu->block_shift;
	const struct odx_range *ranges;
	const struct scsi_lu *from;
	enum scsi_sense why;
	uint64_t blocks;
	unsigned count;

	odx->token = scsi_token_get(task->nexus->core, list->token, &why);
	if (!odx->token) {
		scsi_set_sense(task, why);
		return false;
	}
	from = scsi_token_lu(odx->token);
	ranges = scsi_token_ranges(odx->token, &count);
	if (!ranges_fit(ranges, count, from->block_shift, shift) ||
		!ranges_fit(list->ranges, list->range_count, shift, from->block_shift) ||
		list->offset << shift & (from->block_size - 1u)) {
		scsi_set_sense(task, SENSE_TOKEN_INVALID);
		return false;
	}
	blocks = scsi_token_size(odx->token) >> shift;
	if (list->offset > blocks) {
		scsi_set_list_field(task, WRITE_OFFSET, -1);
		return false;
	}
	if (list->blocks > blocks - list->offset) {
		scsi_set_list_field(task, WRITE_RANGES, -1);
		return false;
	}
	return true;
}

static bool odx_prepare(struct odx_copy *odx, struct scsi_task *task)
{
	const struct scsi_lu *lu = task->lu;
	struct copy_error error;

	if (!list_is_there(task)) {
		return false;
	}
	if (!odx_write_parse(task->buf->data, task->out_length, lu->blocks, lu->block_shift,
		    &odx->list, &error)) {
		scsi_set_sense_field(task, error.sense, error.byte, error.bit);
		return false;
	}
	return odx->list.type == ODX_TYPE_ZERO || token_take(odx, task);
}

void scsi_write_using_token_run(struct scsi_task *task)
{
	struct odx_copy *odx;

	if (task->out_bytes == 0) {
		scsi_task_finish(task);
		return;
	}
	odx = calloc(1, sizeof(*odx));
	if (!odx) {
		task->status = SCSI_BUSY;
		scsi_task_finish(task);
		return;
	}
	odx->copy.core = task->nexus->core;
	odx->copy.in_order = true; /* a token does not outlive a write to what it stands for */
	odx->copy.next = odx_next;
	odx->copy.failed = odx_failed;
	odx->copy.fresh = odx_fresh;
	odx->copy.free = odx_free;
	if (!odx_prepare(odx, task)) {
		odx->list.delete_token = false;
		odx_free(&odx->copy);
		scsi_task_finish(task);
		return;
	}
	scsi_copy_start(&odx->copy, task, be32_get(task->cdb + LIST_ID_AT), COPY_ID_HOLD);
}
