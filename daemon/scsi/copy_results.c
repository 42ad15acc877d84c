/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RECEIVE COPY RESULTS and its relatives (SPC-4 6.19 to 6.24): what became of an operation, and
 * what the copy manager can do. An outcome is kept until somebody has asked, the same identifier is
 * used again, the nexus ends or room is needed.
 */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/copy.h"
#include "daemon/scsi/copy_list.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "daemon/scsi/token.h"

#define LIST_ID_FIELD	  2
#define LID1_STATUS_MOST  12
#define FAILURE_HEADER	  60
#define LID4_HEADER	  32
#define PARAMETERS_MOST	  64
#define SNLID		  0x01 /* commands without a list identifier are welcome */
#define UNITS_BYTES	  0x00
#define UNITS_MIB	  0x02
#define UNITS_BLOCKS	  0xf1
#define TOKEN_DESCRIPTOR  (4 + 2 + ODX_TOKEN_BYTES)
#define ALL_TOKENS_HEADER 8
#define NO_ESTIMATE	  0xffffffffu
#define LID1_IN_PROGRESS  0x00
#define LID1_COMPLETED	  0x01
#define LID1_FAILED	  0x02
#define LID4_COMPLETED	  0x01
#define LID4_FAILED	  0x02
#define LID4_IN_PROGRESS  0x11 /* in the foreground */
#define LID4_ABORTED	  0x60

static uint32_t allocation(const struct scsi_task *task)
{
	return be32_get(task->cdb + 10);
}

/* The record that the CDB asks for; NULL with the task refused and finished. */
static struct scsi_copy_record *record_asked(struct scsi_task *task, uint32_t id)
{
	struct scsi_copy_record *record = scsi_copy_record_find(task, id);

	if (!record) {
		scsi_set_cdb_field(task, LIST_ID_FIELD, -1);
		scsi_task_finish(task);
	}
	return record;
}

/* Ends the answer; an outcome that has been told in full is not told again. */
static void answer_end(struct scsi_task *task, struct cursor *c, struct scsi_copy_record *record)
{
	if (cursor_ok(c)) {
		be32_put(c->base, (uint32_t)(c->pos - 4));
		if (!record->running && c->pos <= task->in_bytes) {
			scsi_copy_record_drop(record, task->nexus->core);
		}
	}
	scsi_parameter_end(task, c);
}

/* ----- COPY STATUS with one byte -------------------------------------------------------------- */

bool scsi_copy_status_lid1_decode(struct scsi_task *task)
{
	return scsi_parameter_decode(task, allocation(task), LID1_STATUS_MOST);
}

void scsi_copy_status_lid1_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);
	struct scsi_copy_record *record = record_asked(task, task->cdb[LIST_ID_FIELD]);
	bool small;

	if (!record) {
		return;
	}
	small = record->bytes <= UINT32_MAX;
	cursor_put_u32(&c, 0);
	cursor_put_u8(&c, record->running		? LID1_IN_PROGRESS
			  : record->status == SCSI_GOOD ? LID1_COMPLETED
							: LID1_FAILED);
	cursor_put_u16(&c, record->segments);
	cursor_put_u8(&c, small ? UNITS_BYTES : UNITS_MIB);
	cursor_put_u32(&c, (uint32_t)(small ? record->bytes : record->bytes >> 20));
	answer_end(task, &c, record);
}

/* ----- FAILED SEGMENT DETAILS ------------------------------------------------------------------
 */

bool scsi_copy_failure_decode(struct scsi_task *task)
{
	return scsi_parameter_decode(task, allocation(task), FAILURE_HEADER + SCSI_SENSE_MAX);
}

void scsi_copy_failure_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);
	struct scsi_copy_record *record = record_asked(task, task->cdb[LIST_ID_FIELD]);

	if (!record) {
		return;
	}
	cursor_put_u32(&c, 0);
	if (record->running || record->status == SCSI_GOOD) {
		scsi_parameter_end(task, &c); /* no details, and the outcome stays */
		return;
	}
	cursor_put_zeros(&c, 52);
	cursor_put_u8(&c, record->status);
	cursor_put_u8(&c, 0);
	cursor_put_u16(&c, record->sense_length);
	cursor_put_bytes(&c, record->sense, record->sense_length);
	answer_end(task, &c, record);
}

/* ----- COPY STATUS with four bytes -------------------------------------------------------------
 */

static uint8_t lid4_status(const struct scsi_copy_record *record)
{
	if (record->running) {
		return LID4_IN_PROGRESS;
	}
	if (record->aborted) {
		return LID4_ABORTED;
	}
	return record->status == SCSI_GOOD ? LID4_COMPLETED : LID4_FAILED;
}

bool scsi_copy_status_lid4_decode(struct scsi_task *task)
{
	return scsi_parameter_decode(task, allocation(task), LID4_HEADER + SCSI_SENSE_MAX);
}

/* The part that COPY STATUS and ROD TOKEN INFORMATION share; AVAILABLE DATA is filled in later. */
static void lid4_put(
	struct cursor *c, const struct scsi_copy_record *record, uint8_t units, uint64_t count)
{
	cursor_put_u32(c, 0);
	cursor_put_u8(c, record->action);
	cursor_put_u8(c, lid4_status(record));
	cursor_put_u16(c, (uint16_t)record->pieces); /* operation counter: wraps */
	cursor_put_u32(c, NO_ESTIMATE);
	cursor_put_u8(c, record->running ? 0 : record->status);
	cursor_put_u8(c, record->sense_length);
	cursor_put_u8(c, record->sense_length);
	cursor_put_u8(c, units);
	cursor_put_u64(c, count);
	cursor_put_u16(c, record->segments);
	cursor_put_zeros(c, 6);
	cursor_put_bytes(c, record->sense, record->sense_length);
}

void scsi_copy_status_lid4_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);
	struct scsi_copy_record *record = record_asked(task, be32_get(task->cdb + LIST_ID_FIELD));

	if (record) {
		lid4_put(&c, record, UNITS_BYTES, record->bytes);
		answer_end(task, &c, record);
	}
}

/* ----- ROD TOKEN INFORMATION -------------------------------------------------------------------
 */

bool scsi_token_information_decode(struct scsi_task *task)
{
	return scsi_parameter_decode(
		task, allocation(task), LID4_HEADER + SCSI_SENSE_MAX + TOKEN_DESCRIPTOR);
}

void scsi_token_information_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);
	struct scsi_copy_record *record = record_asked(task, be32_get(task->cdb + LIST_ID_FIELD));

	if (!record) {
		return;
	}
	lid4_put(&c, record, UNITS_BLOCKS, record->bytes >> task->lu->block_shift);
	if (record->has_token) {
		cursor_put_u32(&c, 2 + ODX_TOKEN_BYTES);
		cursor_put_u16(&c, 0);
		cursor_put_bytes(&c, record->token, ODX_TOKEN_BYTES);
	} else {
		cursor_put_u32(&c, 0);
	}
	answer_end(task, &c, record);
}

/* ----- ALL ROD TOKENS ---------------------------------------------------------------------------
 */

bool scsi_all_tokens_decode(struct scsi_task *task)
{
	return scsi_parameter_decode(task, allocation(task),
		ALL_TOKENS_HEADER + SCSI_TOKENS_MAX * SCSI_TOKEN_SHOWN_BYTES);
}

static void token_show(void *arg, const struct scsi_token *token)
{
	cursor_put_bytes(arg, scsi_token_bytes(token), SCSI_TOKEN_SHOWN_BYTES);
}

void scsi_all_tokens_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u32(&c, 0);
	cursor_put_u32(&c, 0);
	scsi_tokens_each(task->nexus, token_show, &c);
	if (cursor_ok(&c)) {
		be32_put(c.base, (uint32_t)(c.pos - 4));
	}
	scsi_parameter_end(task, &c);
}

/* ----- OPERATING PARAMETERS --------------------------------------------------------------------
 */

bool scsi_copy_parameters_decode(struct scsi_task *task)
{
	return scsi_parameter_decode(task, allocation(task), PARAMETERS_MOST);
}

void scsi_copy_parameters_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u32(&c, 0);
	cursor_put_u8(&c, SNLID);
	cursor_put_zeros(&c, 3);
	cursor_put_u16(&c, COPY_CSCDS_MAX);
	cursor_put_u16(&c, COPY_SEGMENTS_MAX);
	cursor_put_u32(&c, COPY_DESCRIPTORS_MAX);
	cursor_put_u32(&c, COPY_SEGMENT_BYTES_MAX);
	cursor_put_u32(&c, 0); /* no inline data */
	cursor_put_u32(&c, 0); /* nothing is held */
	cursor_put_u32(&c, 0); /* no stream devices */
	cursor_put_u16(&c, 0);
	cursor_put_u16(&c, SCSI_COPIES_MAX); /* all together, at least */
	cursor_put_u8(&c, SCSI_COPIES_MAX);
	cursor_put_u8(&c, task->lu->block_shift); /* what segments are multiples of */
	cursor_put_u8(&c, 0);
	cursor_put_u8(&c, 0);
	cursor_put_zeros(&c, 3);
	cursor_put_u8(&c, 4);
	cursor_put_u8(&c, COPY_BLOCK_TO_BLOCK);
	cursor_put_u8(&c, COPY_VERIFY_CSCD);
	cursor_put_u8(&c, COPY_BLOCK_TO_BLOCK_OFFSET);
	cursor_put_u8(&c, COPY_CSCD_IDENTIFICATION);
	if (cursor_ok(&c)) {
		be32_put(c.base, (uint32_t)(c.pos - 4));
	}
	scsi_parameter_end(task, &c);
}
