/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/copy_list.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

#define CSCD_BYTES	  32u
#define SEGMENT_HEADER	  4u
#define LID4_FORMAT	  0x01
#define LID4_HEADER_CSCD  0x0020
#define LID4_HEADER_TYPE  0xff
#define LID4_IMMED	  0x01
#define ID_USAGE_SHIFT	  3
#define ID_USAGE_RESERVED 1
#define SEGMENT_DC	  0x02
#define SEGMENT_TUR	  0x01
#define CSCD_BLOCK_DEVICE 0x00
#define CSCD_TYPE_MASK	  0x1f
#define FIELD_LID1_USAGE  1
#define FIELD_LID4_LENGTH 2
#define FIELD_LID4_IMMED  15
#define FIELD_LID4_TYPE	  16
#define FIELD_CSCD_DEVICE 1
#define FIELD_CSCD_LENGTH 7
#define FIELD_SEG_LENGTH  2
#define FIELD_SEG_COUNT	  8
#define FIELD_LID1_CSCDS  2
#define FIELD_LID4_CSCDS  42
#define FIELD_LID1_SEGS	  8
#define FIELD_LID4_SEGS	  44
#define FIELD_LID1_INLINE 12
#define FIELD_LID4_INLINE 46
#define INLINE_BYTES_MAX  0u

/* The lengths that both headers say, and where they say it. */
struct lengths {
	uint32_t cscds, segments, inlined;
	int cscds_field, segments_field, inline_field;
};

static bool refuse(struct copy_error *error, enum scsi_sense sense, int byte, int bit)
{
	*error = (struct copy_error){.sense = sense, .byte = byte, .bit = bit};
	return false;
}

static bool refuse_field(struct copy_error *error, size_t byte, int bit)
{
	return refuse(error, SENSE_INVALID_FIELD_IN_LIST, (int)byte, bit);
}

static bool refuse_length(struct copy_error *error)
{
	return refuse(error, SENSE_PARAMETER_LIST_LENGTH, -1, -1);
}

/* LIST ID USAGE, STR and PRIORITY: segments run in their order whatever STR says. */
static bool usage_take(struct copy_list *list, uint8_t flags, uint32_t id, struct copy_error *error)
{
	list->id_usage = flags >> ID_USAGE_SHIFT & 3;
	list->id = id;
	if (list->id_usage == ID_USAGE_RESERVED) {
		return refuse_field(error, FIELD_LID1_USAGE, 4);
	}
	return true;
}

static bool header_lid1(
	struct cursor *c, struct copy_list *list, struct lengths *lengths, struct copy_error *error)
{
	uint8_t id = cursor_get_u8(c);
	uint8_t flags = cursor_get_u8(c);

	*lengths = (struct lengths){.cscds_field = FIELD_LID1_CSCDS,
		.segments_field = FIELD_LID1_SEGS,
		.inline_field = FIELD_LID1_INLINE};
	lengths->cscds = cursor_get_u16(c);
	cursor_get_u32(c);
	lengths->segments = cursor_get_u32(c);
	lengths->inlined = cursor_get_u32(c);
	if (!cursor_ok(c)) {
		return refuse_length(error);
	}
	if (!usage_take(list, flags, id, error)) {
		return false;
	}
	if (list->id_usage == COPY_ID_NONE && id) {
		return refuse_field(error, 0, -1);
	}
	return true;
}

static bool header_lid4(
	struct cursor *c, struct copy_list *list, struct lengths *lengths, struct copy_error *error)
{
	uint8_t format = cursor_get_u8(c);
	uint8_t flags = cursor_get_u8(c);
	uint16_t header_cscd = cursor_get_u16(c);
	uint8_t type, more;
	uint32_t id;

	*lengths = (struct lengths){.cscds_field = FIELD_LID4_CSCDS,
		.segments_field = FIELD_LID4_SEGS,
		.inline_field = FIELD_LID4_INLINE};
	cursor_take(c, 11);
	more = cursor_get_u8(c);
	type = cursor_get_u8(c);
	cursor_take(c, 3);
	id = cursor_get_u32(c);
	cursor_take(c, 18);
	lengths->cscds = cursor_get_u16(c);
	lengths->segments = cursor_get_u16(c);
	lengths->inlined = cursor_get_u16(c);
	if (!cursor_ok(c)) {
		return refuse_length(error);
	}
	if (format != LID4_FORMAT) {
		return refuse_field(error, 0, -1);
	}
	if (header_cscd != LID4_HEADER_CSCD) {
		return refuse_field(error, FIELD_LID4_LENGTH, -1);
	}
	if (type != LID4_HEADER_TYPE) {
		return refuse_field(error, FIELD_LID4_TYPE, -1);
	}
	if (more & LID4_IMMED) {
		return refuse_field(
			error, FIELD_LID4_IMMED, 0); /* nothing runs in the background */
	}
	return usage_take(list, flags, id, error);
}

static bool cscd_take(struct cursor *c, struct copy_cscd *cscd, struct copy_error *error)
{
	size_t at = c->pos;
	uint8_t type = cursor_get_u8(c);
	uint8_t device = cursor_get_u8(c);

	if (type != COPY_CSCD_IDENTIFICATION) {
		return refuse(error, SENSE_CSCD_TYPE, (int)at, -1);
	}
	if ((device & CSCD_TYPE_MASK) != CSCD_BLOCK_DEVICE) {
		return refuse_field(error, at + FIELD_CSCD_DEVICE, 4);
	}
	cursor_get_u16(c); /* relative initiator port: there is none here */
	cscd->code_set = cursor_get_u8(c) & 0x0f;
	cscd->kind = cursor_get_u8(c) & 0x3f;
	cursor_get_u8(c);
	cscd->length = cursor_get_u8(c);
	cursor_get_bytes(c, cscd->designator, COPY_DESIGNATOR_MAX);
	cursor_get_u8(c); /* PAD matters for segments that are not exact; those are refused */
	cscd->block_bytes = cursor_get_u24(c);
	if (cscd->length > COPY_DESIGNATOR_MAX) {
		return refuse_field(error, at + FIELD_CSCD_LENGTH, -1);
	}
	return true;
}

/* What follows the header of each type of segment; 0 = there is no such type. */
static uint16_t segment_bytes(uint8_t type)
{
	switch (type) {
	case COPY_BLOCK_TO_BLOCK:
		return 0x18;
	case COPY_VERIFY_CSCD:
		return 0x08;
	case COPY_BLOCK_TO_BLOCK_OFFSET:
		return 0x1c;
	}
	return 0;
}

static void segment_body_take(struct cursor *c, struct copy_segment *segment)
{
	segment->source = cursor_get_u16(c);
	segment->destination = cursor_get_u16(c);
	switch (segment->type) {
	case COPY_VERIFY_CSCD:
		segment->test = cursor_get_u8(c) & SEGMENT_TUR;
		cursor_take(c, 3);
		return;
	case COPY_BLOCK_TO_BLOCK:
		cursor_get_u16(c);
		segment->count = cursor_get_u16(c);
		segment->source_lba = cursor_get_u64(c);
		segment->destination_lba = cursor_get_u64(c);
		return;
	case COPY_BLOCK_TO_BLOCK_OFFSET:
		segment->count = cursor_get_u32(c);
		segment->source_lba = cursor_get_u64(c);
		segment->destination_lba = cursor_get_u64(c);
		segment->source_offset = cursor_get_u16(c);
		segment->destination_offset = cursor_get_u16(c);
		return;
	}
}

/* `at`: where `c` began in the list. */
static bool segment_take(
	struct cursor *c, size_t at, struct copy_segment *segment, struct copy_error *error)
{
	size_t begin = at + c->pos;
	uint8_t type = cursor_get_u8(c);
	uint8_t flags = cursor_get_u8(c);
	uint16_t length = cursor_get_u16(c);

	if (!cursor_ok(c)) {
		return refuse_length(error);
	}
	if (segment_bytes(type) == 0) {
		return refuse(error, SENSE_SEGMENT_TYPE, (int)begin, -1);
	}
	if (length != segment_bytes(type)) {
		return refuse_field(error, begin + FIELD_SEG_LENGTH, -1);
	}
	if (length > cursor_left(c)) {
		return refuse_length(error);
	}
	*segment = (struct copy_segment){.type = type, .by_destination = flags & SEGMENT_DC};
	segment_body_take(c, segment);
	if (type == COPY_BLOCK_TO_BLOCK_OFFSET && segment->count > COPY_SEGMENT_BYTES_MAX) {
		return refuse_field(error, begin + FIELD_SEG_COUNT, -1);
	}
	return true;
}

static bool lengths_check(
	const struct cursor *c, const struct lengths *lengths, struct copy_error *error)
{
	uint64_t descriptors = (uint64_t)lengths->cscds + lengths->segments;

	if (descriptors > COPY_DESCRIPTORS_MAX || descriptors + lengths->inlined > cursor_left(c)) {
		return refuse_length(error);
	}
	if (lengths->inlined > INLINE_BYTES_MAX) {
		return refuse(error, SENSE_INLINE_TOO_LONG, lengths->inline_field, -1);
	}
	if (lengths->cscds % CSCD_BYTES) {
		return refuse_field(error, (size_t)lengths->cscds_field, -1);
	}
	if (lengths->cscds > COPY_CSCDS_MAX * CSCD_BYTES) {
		return refuse(error, SENSE_TOO_MANY_CSCDS, lengths->cscds_field, -1);
	}
	return true;
}

bool copy_list_parse(const uint8_t *bytes, size_t size, bool lid4, struct copy_list *list,
	struct copy_error *error)
{
	struct cursor c = cursor_reader(bytes, size);
	struct lengths lengths;
	struct cursor segments;
	size_t segments_at;

	list->cscd_count = 0;
	list->segment_count = 0;
	if (!(lid4 ? header_lid4(&c, list, &lengths, error)
		   : header_lid1(&c, list, &lengths, error)) ||
		!lengths_check(&c, &lengths, error)) {
		return false;
	}
	list->cscds_at = (uint32_t)c.pos;
	while (list->cscd_count < lengths.cscds / CSCD_BYTES) {
		if (!cscd_take(&c, &list->cscds[list->cscd_count], error)) {
			return false;
		}
		list->cscd_count++;
	}
	segments_at = c.pos;
	segments = cursor_reader(bytes + segments_at, lengths.segments);
	while (cursor_left(&segments) > 0) {
		if (list->segment_count == COPY_SEGMENTS_MAX) {
			return refuse(error, SENSE_TOO_MANY_SEGMENTS, lengths.segments_field, -1);
		}
		if (!segment_take(
			    &segments, segments_at, &list->segments[list->segment_count], error)) {
			return false;
		}
		list->segment_count++;
	}
	return true;
}
