/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EXTENDED COPY with a list identifier of one byte and of four (SPC-4 6.4, 6.5), and COPY OPERATION
 * ABORT (6.3). CSCDs are LUs of the target that the nexus is logged in to; anything else is told
 * "not reachable", whether it exists or not.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/copy.h"
#include "daemon/scsi/copy_list.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define LIST_BYTES_MAX	 65536u
#define VENDOR_BYTES	 8u
#define KIND_LU_T10	 0x01 /* association LU, designator type */
#define KIND_LU_NAA	 0x03
#define CODE_BINARY	 1
#define CODE_ASCII	 2
#define SEGMENT_SOURCE	 4 /* fields of a segment descriptor, for the segment pointer */
#define SEGMENT_DEST	 6
#define SEGMENT_COUNT	 8
#define SEGMENT_FROM_LBA 12
#define SEGMENT_TO_LBA	 20

struct extended_copy {
	struct scsi_copy copy;
	struct copy_list list;
	struct scsi_lu *units[COPY_CSCDS_MAX]; /* NULL: not reachable */
	uint16_t next; /* segment; the one before it is under way */
};

static struct extended_copy *extended_of(struct scsi_copy *copy)
{
	return container_of(copy, struct extended_copy, copy);
}

static void extended_free(struct scsi_copy *copy)
{
	free(extended_of(copy));
}

/* ----- CSCDs --------------------------------------------------------------------------------- */

static bool is_naa_of(const struct copy_cscd *cscd, const struct scsi_lu *lu)
{
	return cscd->kind == KIND_LU_NAA && cscd->code_set == CODE_BINARY &&
	       cscd->length == lu->naa_length &&
	       memcmp(cscd->designator, lu->naa, lu->naa_length) == 0;
}

/* The T10 designator as VPD page 83 shows it, when it fits into a CSCD descriptor. */
static bool is_t10_of(const struct copy_cscd *cscd, const struct scsi_lu *lu)
{
	const char *vendor = lu->scsi->conf->vendor, *serial = lu->conf->serial;
	uint8_t text[COPY_DESIGNATOR_MAX];
	size_t length = strnlen(serial, sizeof(text));

	if (cscd->kind != KIND_LU_T10 || cscd->code_set != CODE_ASCII ||
		length > sizeof(text) - VENDOR_BYTES || cscd->length != VENDOR_BYTES + length) {
		return false;
	}
	memset(text, ' ', VENDOR_BYTES);
	memcpy(text, vendor, strnlen(vendor, VENDOR_BYTES));
	memcpy(text + VENDOR_BYTES, serial, length);
	return memcmp(cscd->designator, text, cscd->length) == 0;
}

static struct scsi_lu *unit_find(const struct scsi_nexus *nexus, const struct copy_cscd *cscd)
{
	const struct scsi_target *target = nexus->target;

	for (unsigned i = 0; target && i < target->unit_count; i++) {
		struct scsi_lu *lu = &nexus->core->scsi->lus[target->units[i].lu];

		if (is_naa_of(cscd, lu) || is_t10_of(cscd, lu)) {
			return lu;
		}
	}
	return NULL;
}

/* False with the outcome set: a client that is wrong about the size of blocks copies rubbish. */
static bool units_find(struct extended_copy *extended, struct scsi_task *task)
{
	const struct copy_list *list = &extended->list;

	for (unsigned i = 0; i < list->cscd_count; i++) {
		const struct copy_cscd *cscd = &list->cscds[i];
		struct scsi_lu *lu = unit_find(task->nexus, cscd);

		extended->units[i] = lu;
		if (lu && cscd->block_bytes && cscd->block_bytes != lu->block_size) {
			scsi_set_list_field(task, list->cscds_at + i * 32 + 29, -1);
			return false;
		}
	}
	return true;
}

/* ----- segments ------------------------------------------------------------------------------ */

static bool segment_refuse(struct extended_copy *extended, enum scsi_sense sense, int byte)
{
	scsi_set_copy_aborted(
		extended->copy.task, sense, (uint16_t)(extended->next - 1), byte, NULL, false);
	return false;
}

/* The LU of a CSCD index; NULL with the outcome set. */
static struct scsi_lu *segment_unit(struct extended_copy *extended, uint16_t index, int byte)
{
	if (index == COPY_CSCD_THIS_LU) {
		return extended->copy.task->lu;
	}
	if (index >= extended->list.cscd_count) {
		segment_refuse(extended, SENSE_COPY_NO_SUCH_CSCD, byte);
		return NULL;
	}
	if (!extended->units[index]) {
		segment_refuse(extended, SENSE_COPY_NOT_REACHABLE, byte);
	}
	return extended->units[index];
}

/* The range lies on the LU, and begins and ends with a block. */
static bool range_check(struct extended_copy *extended, const struct scsi_lu *lu, uint64_t lba,
	uint16_t offset, uint64_t bytes, int byte)
{
	uint64_t size = lu->blocks << lu->block_shift;
	uint64_t begin;

	if (offset % lu->block_size || bytes % lu->block_size) {
		return segment_refuse(extended, SENSE_COPY_INEXACT_SEGMENT, byte);
	}
	if (lba > lu->blocks) {
		return segment_refuse(extended, SENSE_COPY_ABORTED, byte);
	}
	begin = (lba << lu->block_shift) + offset;
	if (begin > size || bytes > size - begin) {
		return segment_refuse(extended, SENSE_COPY_ABORTED, byte);
	}
	return true;
}

static bool segment_range(struct extended_copy *extended, const struct copy_segment *segment,
	struct scsi_copy_range *range)
{
	struct scsi_lu *from = segment_unit(extended, segment->source, SEGMENT_SOURCE);
	struct scsi_lu *to =
		from ? segment_unit(extended, segment->destination, SEGMENT_DEST) : NULL;
	uint64_t bytes = segment->count;

	if (!to) {
		return false;
	}
	if (segment->type == COPY_BLOCK_TO_BLOCK) {
		bytes <<= segment->by_destination ? to->block_shift : from->block_shift;
	}
	if (!range_check(extended, from, segment->source_lba, segment->source_offset, bytes,
		    SEGMENT_FROM_LBA) ||
		!range_check(extended, to, segment->destination_lba, segment->destination_offset,
			bytes, SEGMENT_TO_LBA)) {
		return false;
	}
	*range = (struct scsi_copy_range){.from = from,
		.to = to,
		.from_byte = (segment->source_lba << from->block_shift) + segment->source_offset,
		.to_byte =
			(segment->destination_lba << to->block_shift) + segment->destination_offset,
		.bytes = bytes};
	return true;
}

static bool extended_next(struct scsi_copy *copy, struct scsi_copy_range *range)
{
	struct extended_copy *extended = extended_of(copy);
	const struct copy_segment *segment = &extended->list.segments[extended->next];

	if (copy->record) {
		copy->record->segments = extended->next;
	}
	if (extended->next == extended->list.segment_count) {
		return false;
	}
	extended->next++;
	if (segment->type != COPY_VERIFY_CSCD) {
		return segment_range(extended, segment, range);
	}
	range->from = segment_unit(extended, segment->source, SEGMENT_SOURCE);
	if (!range->from) {
		return false;
	}
	if (!segment->test) {
		range->from = NULL; /* it is there: that was all */
	}
	return true;
}

static void extended_failed(struct scsi_copy *copy, bool wrote)
{
	const struct extended_copy *extended = extended_of(copy);
	bool whole = extended->next == 1 && copy->moved == 0;

	if (copy->piece.status == SCSI_BUSY && whole) {
		copy->task->status = SCSI_BUSY; /* nothing has been done: try it again */
		return;
	}
	scsi_set_copy_aborted(copy->task, SENSE_COPY_THIRD_PARTY_FAILED,
		(uint16_t)(extended->next - 1), -1, &copy->piece, wrote);
}

/* ----- commands ------------------------------------------------------------------------------ */

bool scsi_extended_copy_decode(struct scsi_task *task)
{
	uint32_t length = be32_get(task->cdb + 10);

	if (length > LIST_BYTES_MAX) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	task->out_bytes = length;
	return true;
}

/* Reads list and LUs; false with the outcome set. */
static bool extended_prepare(struct extended_copy *extended, struct scsi_task *task)
{
	struct copy_error error;

	if (task->out_length < task->out_bytes) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	if (!copy_list_parse(task->buf->data, task->out_length, task->row->action == 1,
		    &extended->list, &error)) {
		scsi_set_sense_field(task, error.sense, error.byte, error.bit);
		return false;
	}
	return units_find(extended, task);
}

void scsi_extended_copy_run(struct scsi_task *task)
{
	struct extended_copy *extended;

	if (task->out_bytes == 0) { /* no list, no error */
		scsi_task_finish(task);
		return;
	}
	extended = calloc(1, sizeof(*extended));
	if (!extended) {
		task->status = SCSI_BUSY;
		scsi_task_finish(task);
		return;
	}
	if (!extended_prepare(extended, task)) {
		free(extended);
		scsi_task_finish(task);
		return;
	}
	extended->copy.next = extended_next;
	extended->copy.failed = extended_failed;
	extended->copy.free = extended_free;
	scsi_copy_start(&extended->copy, task, extended->list.id, extended->list.id_usage);
}

void scsi_copy_abort_run(struct scsi_task *task)
{
	if (!scsi_copy_cancel(task, be32_get(task->cdb + 2))) {
		scsi_set_cdb_field(task, 2, -1);
	}
	scsi_task_finish(task);
}
