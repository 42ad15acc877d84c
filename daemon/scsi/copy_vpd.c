/* SPDX-License-Identifier: BSD-3-Clause */
/* VPD page 8F, third-party copy (SPC-4 7.8.17). */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/copy.h"
#include "daemon/scsi/copy_list.h"
#include "daemon/scsi/odx_list.h"
#include "daemon/scsi/opcodes.h"
#include "yoke/util.h"

enum {
	TOKEN_LIMITS = 0x0000,
	SUPPORTED_COMMANDS = 0x0001,
	PARAMETER_DATA = 0x0004,
	SUPPORTED_DESCRIPTORS = 0x0008,
	SUPPORTED_CSCD_IDS = 0x000c,
	TOKEN_FEATURES = 0x0106,
	TOKEN_TYPES = 0x0108,
	GENERAL_COPY = 0x8001,
};

#define TOKEN_OUT 0x01 /* we make such tokens */
#define TOKEN_IN  0x02 /* and take them */

static size_t descriptor_begin(struct cursor *c, uint16_t type)
{
	cursor_put_u16(c, type);
	cursor_put_u16(c, 0);
	return c->pos;
}

/* Pads to a multiple of 4 and fills the length in. */
static void descriptor_end(struct cursor *c, size_t begin)
{
	cursor_put_zeros(c, (4 - (c->pos - begin) % 4) % 4);
	if (cursor_ok(c)) {
		be16_put(c->base + begin - 2, (uint16_t)(c->pos - begin));
	}
}

/* An opcode and its service actions, as the table has them. */
static void actions_put(struct cursor *c, uint8_t opcode)
{
	size_t count_at;

	cursor_put_u8(c, opcode);
	count_at = c->pos;
	cursor_put_u8(c, 0);
	for (uint16_t action = 0; action < 32; action++) {
		if (scsi_row_get(opcode, action)) {
			cursor_put_u8(c, (uint8_t)action);
		}
	}
	if (cursor_ok(c)) {
		c->base[count_at] = (uint8_t)(c->pos - count_at - 1);
	}
}

static void commands_put(struct cursor *c)
{
	size_t begin = descriptor_begin(c, SUPPORTED_COMMANDS);

	cursor_put_u8(c, 0);
	actions_put(c, 0x83);
	actions_put(c, 0x84);
	if (cursor_ok(c)) {
		c->base[begin] = (uint8_t)(c->pos - begin - 1);
	}
	descriptor_end(c, begin);
}

static void parameter_data_put(struct cursor *c)
{
	size_t begin = descriptor_begin(c, PARAMETER_DATA);

	cursor_put_u32(c, 0);
	cursor_put_u16(c, COPY_CSCDS_MAX);
	cursor_put_u16(c, COPY_SEGMENTS_MAX);
	cursor_put_u32(c, COPY_DESCRIPTORS_MAX);
	cursor_put_u32(c, 0); /* no inline data */
	cursor_put_zeros(c, 12);
	descriptor_end(c, begin);
}

static void descriptors_put(struct cursor *c)
{
	static const uint8_t codes[] = {COPY_BLOCK_TO_BLOCK, COPY_VERIFY_CSCD,
		COPY_BLOCK_TO_BLOCK_OFFSET, COPY_CSCD_IDENTIFICATION};
	size_t begin = descriptor_begin(c, SUPPORTED_DESCRIPTORS);

	cursor_put_u8(c, sizeof(codes));
	cursor_put_bytes(c, codes, sizeof(codes));
	descriptor_end(c, begin);
}

static void cscd_ids_put(struct cursor *c)
{
	size_t begin = descriptor_begin(c, SUPPORTED_CSCD_IDS);

	cursor_put_u16(c, 2);
	cursor_put_u16(c, COPY_CSCD_THIS_LU);
	descriptor_end(c, begin);
}

/* Block device ROD token limits: where Windows looks. */
static void token_limits_put(const struct scsi_task *task, struct cursor *c)
{
	size_t begin = descriptor_begin(c, TOKEN_LIMITS);
	unsigned shift = task->lu->block_shift;

	cursor_put_zeros(c, 6);
	cursor_put_u16(c, ODX_RANGES_MAX);
	cursor_put_u32(c, ODX_TIMEOUT_MAX_S);
	cursor_put_u32(c, ODX_TIMEOUT_DEFAULT_S);
	cursor_put_u64(c, ODX_TRANSFER_BYTES_MAX >> shift);
	cursor_put_u64(c, ODX_TRANSFER_OPTIMAL >> shift);
	descriptor_end(c, begin);
}

static void token_features_put(struct cursor *c)
{
	size_t begin = descriptor_begin(c, TOKEN_FEATURES);

	cursor_put_u8(c, 0); /* no tokens of other copy managers */
	cursor_put_zeros(c, 11);
	cursor_put_u32(c, 0); /* a write can end a token's life at once */
	cursor_put_u32(c, UINT32_MAX);
	cursor_put_u32(c, ODX_TIMEOUT_MAX_S);
	cursor_put_zeros(c, 18);
	cursor_put_u16(c, 48);
	cursor_put_u16(c, 0); /* for block devices */
	cursor_put_u16(c, 44);
	cursor_put_u16(c, 0);
	cursor_put_u16(c, 0); /* no granularity but the block */
	cursor_put_u64(c, ODX_TRANSFER_BYTES_MAX);
	cursor_put_u64(c, ODX_TRANSFER_OPTIMAL);
	cursor_put_u64(c, ODX_TRANSFER_OPTIMAL);
	cursor_put_u64(c, ODX_TRANSFER_OPTIMAL);
	cursor_put_zeros(c, 8);
	descriptor_end(c, begin);
}

static void token_type_put(struct cursor *c, uint32_t type, uint8_t flags)
{
	cursor_put_u32(c, type);
	cursor_put_u8(c, flags);
	cursor_put_u8(c, 0);
	cursor_put_u16(c, 0);
	cursor_put_zeros(c, 56);
}

static void token_types_put(struct cursor *c)
{
	size_t begin = descriptor_begin(c, TOKEN_TYPES);

	cursor_put_u16(c, 0);
	cursor_put_u16(c, 2 * 64);
	token_type_put(c, ODX_TYPE_POINT_IN_TIME, TOKEN_OUT | TOKEN_IN);
	token_type_put(c, ODX_TYPE_ZERO, TOKEN_IN);
	descriptor_end(c, begin);
}

static void general_put(const struct scsi_task *task, struct cursor *c)
{
	size_t begin = descriptor_begin(c, GENERAL_COPY);

	cursor_put_u32(c, SCSI_COPIES_MAX);
	cursor_put_u32(c, SCSI_COPIES_MAX);
	cursor_put_u32(c, COPY_SEGMENT_BYTES_MAX);
	cursor_put_u8(c, task->lu->block_shift);
	cursor_put_u8(c, 0);
	cursor_put_zeros(c, 18);
	descriptor_end(c, begin);
}

void scsi_copy_vpd_put(const struct scsi_task *task, struct cursor *c)
{
	token_limits_put(task, c);
	commands_put(c);
	parameter_data_put(c);
	descriptors_put(c);
	cscd_ids_put(c);
	token_features_put(c);
	token_types_put(c);
	general_put(task, c);
}
