/* SPDX-License-Identifier: BSD-3-Clause */
/* Makers of EXTENDED COPY parameter lists, for tests. */
#ifndef TEST_COPY_LISTS_H
#define TEST_COPY_LISTS_H

#include "yoke/cursor.h"

/* A list under construction; both forms are made from the same parts. */
struct copy_bytes {
	uint8_t cscds[2048], segments[4096];
	size_t cscd_bytes, segment_bytes;
	uint8_t all[8192];
	size_t size;
};

static inline void cscd_add(
	struct copy_bytes *list, const uint8_t naa[16], uint32_t block_bytes, uint8_t type)
{
	struct cursor c = cursor_over(list->cscds + list->cscd_bytes, 32);

	cursor_put_u8(&c, type);
	cursor_put_u8(&c, 0);
	cursor_put_u16(&c, 0);
	cursor_put_u8(&c, 1);
	cursor_put_u8(&c, 3);
	cursor_put_u8(&c, 0);
	cursor_put_u8(&c, 16);
	cursor_put_bytes(&c, naa, 16);
	cursor_put_zeros(&c, 4);
	cursor_put_u8(&c, 0);
	cursor_put_u24(&c, block_bytes);
	list->cscd_bytes += c.pos;
}

static inline void segment_add(struct copy_bytes *list, uint8_t flags, uint16_t from, uint16_t to,
	uint16_t blocks, uint64_t from_lba, uint64_t to_lba)
{
	struct cursor c = cursor_over(list->segments + list->segment_bytes, 28);

	cursor_put_u8(&c, 0x02);
	cursor_put_u8(&c, flags);
	cursor_put_u16(&c, 0x18);
	cursor_put_u16(&c, from);
	cursor_put_u16(&c, to);
	cursor_put_u16(&c, 0);
	cursor_put_u16(&c, blocks);
	cursor_put_u64(&c, from_lba);
	cursor_put_u64(&c, to_lba);
	list->segment_bytes += c.pos;
}

/* Block to block with offsets: the length is in bytes. */
static inline void offset_segment_add(struct copy_bytes *list, uint16_t from, uint16_t to,
	uint32_t bytes, uint64_t from_lba, uint64_t to_lba, uint16_t from_byte, uint16_t to_byte)
{
	struct cursor c = cursor_over(list->segments + list->segment_bytes, 32);

	cursor_put_u8(&c, 0x0a);
	cursor_put_u8(&c, 0);
	cursor_put_u16(&c, 0x1c);
	cursor_put_u16(&c, from);
	cursor_put_u16(&c, to);
	cursor_put_u32(&c, bytes);
	cursor_put_u64(&c, from_lba);
	cursor_put_u64(&c, to_lba);
	cursor_put_u16(&c, from_byte);
	cursor_put_u16(&c, to_byte);
	list->segment_bytes += c.pos;
}

static inline void verify_segment_add(struct copy_bytes *list, uint16_t which, uint8_t tur)
{
	struct cursor c = cursor_over(list->segments + list->segment_bytes, 12);

	cursor_put_u8(&c, 0x07);
	cursor_put_u8(&c, 0);
	cursor_put_u16(&c, 0x08);
	cursor_put_u16(&c, which);
	cursor_put_u16(&c, 0);
	cursor_put_u8(&c, tur);
	cursor_put_zeros(&c, 3);
	list->segment_bytes += c.pos;
}

static inline void parts_put(struct cursor *c, struct copy_bytes *list)
{
	cursor_put_bytes(c, list->cscds, list->cscd_bytes);
	cursor_put_bytes(c, list->segments, list->segment_bytes);
	list->size = c->pos;
}

static inline void lid1_make(struct copy_bytes *list, uint8_t id, uint8_t usage)
{
	struct cursor c = cursor_over(list->all, sizeof(list->all));

	cursor_put_u8(&c, id);
	cursor_put_u8(&c, (uint8_t)(usage << 3));
	cursor_put_u16(&c, (uint16_t)list->cscd_bytes);
	cursor_put_u32(&c, 0);
	cursor_put_u32(&c, (uint32_t)list->segment_bytes);
	cursor_put_u32(&c, 0);
	parts_put(&c, list);
}

static inline void lid4_make(struct copy_bytes *list, uint32_t id, uint8_t usage)
{
	struct cursor c = cursor_over(list->all, sizeof(list->all));

	cursor_put_u8(&c, 1);
	cursor_put_u8(&c, (uint8_t)(usage << 3));
	cursor_put_u16(&c, 0x20);
	cursor_put_zeros(&c, 12);
	cursor_put_u8(&c, 0xff);
	cursor_put_zeros(&c, 3);
	cursor_put_u32(&c, id);
	cursor_put_zeros(&c, 18);
	cursor_put_u16(&c, (uint16_t)list->cscd_bytes);
	cursor_put_u16(&c, (uint16_t)list->segment_bytes);
	cursor_put_u16(&c, 0);
	parts_put(&c, list);
}

#endif
