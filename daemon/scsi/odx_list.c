/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/odx_list.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

#define RANGE_BYTES    16u
#define FLAG_IMMED     0x01
#define FLAG_RTV       0x02 /* POPULATE TOKEN: ROD TYPE is valid */
#define FLAG_DEL_TKN   0x02 /* WRITE USING TOKEN */
#define TYPE_POINT_ANY 0x0080ffffu /* any kind of point in time */
#define TOKEN_LENGTH   0x01f8
#define FIELD_FLAGS    2
#define FIELD_TIMEOUT  4
#define FIELD_TYPE     8
#define WRITE_TOKEN    16

struct medium {
	uint64_t blocks;
	unsigned shift;
};

static bool refuse(struct copy_error *error, enum scsi_sense sense, int byte, int bit)
{
	*error = (struct copy_error){.sense = sense, .byte = byte, .bit = bit};
	return false;
}

static bool overlaps(const struct odx_range *a, const struct odx_range *b)
{
	return a->blocks && b->blocks && a->lba < b->lba + b->blocks && b->lba < a->lba + a->blocks;
}

/* Range `count` of the list, against those before it. */
static bool range_check(const struct odx_range *ranges, unsigned count, const struct medium *medium,
	size_t at, struct copy_error *error)
{
	const struct odx_range *range = &ranges[count];

	if (range->lba > medium->blocks || range->blocks > medium->blocks - range->lba) {
		return refuse(error, SENSE_LBA_OUT_OF_RANGE, -1, -1);
	}
	for (unsigned i = 0; i < count; i++) {
		if (overlaps(&ranges[i], range)) {
			return refuse(error, SENSE_INVALID_FIELD_IN_LIST, (int)at, -1);
		}
	}
	return true;
}

/*
 * The ranges at the end of a list: `c` stands at their length, `data_length` is what the list says
 * of itself.
 */
static bool ranges_take(struct cursor *c, uint32_t data_length, const struct medium *medium,
	struct odx_range ranges[ODX_RANGES_MAX], uint16_t *count, uint64_t *blocks,
	struct copy_error *error)
{
	int field = (int)c->pos;
	uint16_t bytes = cursor_get_u16(c);

	*count = 0;
	*blocks = 0;
	if (!cursor_ok(c) || bytes > cursor_left(c) || c->pos + bytes > data_length + 2u) {
		return refuse(error, SENSE_PARAMETER_LIST_LENGTH, -1, -1);
	}
	if (bytes < RANGE_BYTES || bytes % RANGE_BYTES) {
		return refuse(error, SENSE_INVALID_FIELD_IN_LIST, field, -1);
	}
	if (bytes > ODX_RANGES_MAX * RANGE_BYTES) {
		return refuse(error, SENSE_TOO_MANY_SEGMENTS, field, -1);
	}
	while (*count < bytes / RANGE_BYTES) {
		size_t at = c->pos;

		ranges[*count].lba = cursor_get_u64(c);
		ranges[*count].blocks = cursor_get_u32(c);
		cursor_get_u32(c);
		if (!range_check(ranges, *count, medium, at, error)) {
			return false;
		}
		*blocks += ranges[(*count)++].blocks;
	}
	if (*blocks > ODX_TRANSFER_BYTES_MAX >> medium->shift) {
		return refuse(error, SENSE_INVALID_FIELD_IN_LIST, field, -1);
	}
	return true;
}

bool odx_populate_parse(const uint8_t *bytes, size_t size, uint64_t blocks, unsigned shift,
	struct odx_populate *list, struct copy_error *error)
{
	struct cursor c = cursor_reader(bytes, size);
	struct medium medium = {.blocks = blocks, .shift = shift};
	uint16_t data_length = cursor_get_u16(&c);
	uint8_t flags = cursor_get_u8(&c);
	uint32_t type;

	cursor_get_u8(&c);
	list->timeout_s = cursor_get_u32(&c);
	type = cursor_get_u32(&c);
	cursor_get_u16(&c);
	if (!cursor_ok(&c)) {
		return refuse(error, SENSE_PARAMETER_LIST_LENGTH, -1, -1);
	}
	if (flags & FLAG_IMMED) {
		return refuse(error, SENSE_INVALID_FIELD_IN_LIST, FIELD_FLAGS, 0);
	}
	if (list->timeout_s > ODX_TIMEOUT_MAX_S) {
		return refuse(error, SENSE_INVALID_FIELD_IN_LIST, FIELD_TIMEOUT, -1);
	}
	if (flags & FLAG_RTV && type != ODX_TYPE_POINT_IN_TIME && type != TYPE_POINT_ANY) {
		return refuse(error, SENSE_INVALID_FIELD_IN_LIST, FIELD_TYPE, -1);
	}
	if (list->timeout_s == 0) {
		list->timeout_s = ODX_TIMEOUT_DEFAULT_S;
	}
	return ranges_take(
		&c, data_length, &medium, list->ranges, &list->range_count, &list->blocks, error);
}

bool odx_write_parse(const uint8_t *bytes, size_t size, uint64_t blocks, unsigned shift,
	struct odx_write *list, struct copy_error *error)
{
	struct cursor c = cursor_reader(bytes, size);
	struct medium medium = {.blocks = blocks, .shift = shift};
	uint16_t data_length = cursor_get_u16(&c);
	uint8_t flags = cursor_get_u8(&c);

	cursor_take(&c, 5);
	list->offset = cursor_get_u64(&c);
	cursor_get_bytes(&c, list->token, ODX_TOKEN_BYTES);
	cursor_take(&c, 6);
	if (!cursor_ok(&c)) {
		return refuse(error, SENSE_PARAMETER_LIST_LENGTH, -1, -1);
	}
	if (flags & FLAG_IMMED) {
		return refuse(error, SENSE_INVALID_FIELD_IN_LIST, FIELD_FLAGS, 0);
	}
	list->delete_token = flags & FLAG_DEL_TKN;
	list->type = be32_get(list->token);
	if (list->type != ODX_TYPE_POINT_IN_TIME && list->type != ODX_TYPE_ZERO) {
		return refuse(error, SENSE_TOKEN_TYPE, WRITE_TOKEN, -1);
	}
	if (be16_get(list->token + 6) != TOKEN_LENGTH) {
		return refuse(error, SENSE_TOKEN_LENGTH, WRITE_TOKEN + 6, -1);
	}
	return ranges_take(
		&c, data_length, &medium, list->ranges, &list->range_count, &list->blocks, error);
}
