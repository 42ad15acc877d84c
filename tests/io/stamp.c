/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/io/stamp.h"

#include <string.h>

#include "yoke/crc32c.h"
#include "yoke/cursor.h"

#define STAMP_MAGIC	   0x594f4b455354414dull
#define STAMP_HEADER_BYTES 56u
#define STAMP_CRC_OFFSET   (STAMP_SECTOR_BYTES - 4u)

/* splitmix64: every stamp has a filler of its own, so that a mixture of two shows. */
static uint64_t stamp_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void stamp_write(const struct stamp *stamp, uint8_t sector[STAMP_SECTOR_BYTES])
{
	struct cursor c = cursor_over(sector, STAMP_SECTOR_BYTES);
	uint64_t filler = stamp_mix(stamp->sector ^ stamp->sequence << 32 ^ stamp->run);

	cursor_put_u64(&c, STAMP_MAGIC);
	cursor_put_u64(&c, stamp->run);
	cursor_put_u32(&c, stamp->writer);
	cursor_put_u32(&c, stamp->lun);
	cursor_put_u64(&c, stamp->sector);
	cursor_put_u64(&c, stamp->sequence);
	cursor_put_u64(&c, stamp->operation);
	cursor_put_u64(&c, stamp->time_ns);
	while (c.pos + 8 <= STAMP_CRC_OFFSET) {
		memcpy(sector + c.pos, &filler, 8);
		c.pos += 8;
	}
	cursor_put_zeros(&c, STAMP_CRC_OFFSET - c.pos);
	crc32c_put(sector + STAMP_CRC_OFFSET, crc32c(sector, STAMP_CRC_OFFSET));
}

enum stamp_read stamp_read(const uint8_t sector[STAMP_SECTOR_BYTES], struct stamp *stamp)
{
	struct cursor c = cursor_reader(sector, STAMP_HEADER_BYTES);

	memset(stamp, 0, sizeof(*stamp));
	if (cursor_get_u64(&c) != STAMP_MAGIC) {
		return STAMP_NONE;
	}
	stamp->run = cursor_get_u64(&c);
	stamp->writer = cursor_get_u32(&c);
	stamp->lun = cursor_get_u32(&c);
	stamp->sector = cursor_get_u64(&c);
	stamp->sequence = cursor_get_u64(&c);
	stamp->operation = cursor_get_u64(&c);
	stamp->time_ns = cursor_get_u64(&c);
	if (crc32c_get(sector + STAMP_CRC_OFFSET) != crc32c(sector, STAMP_CRC_OFFSET)) {
		return STAMP_TORN;
	}
	return STAMP_GOOD;
}

const char *model_verdict_name(enum model_verdict verdict)
{
	switch (verdict) {
	case MODEL_RIGHT:
		return "right";
	case MODEL_UNKNOWN:
		return "unknown";
	case MODEL_STALE:
		return "stale";
	case MODEL_FUTURE:
		return "never issued";
	case MODEL_FOREIGN:
		return "foreign";
	case MODEL_TORN:
		return "torn";
	case MODEL_LOST:
		return "lost";
	}
	return "?";
}

uint64_t model_write_begin(struct model_block *block)
{
	block->writing = true;
	return ++block->issued;
}

void model_write_acknowledged(struct model_block *block)
{
	block->writing = false;
	block->known = block->issued;
}

void model_write_ambiguous(struct model_block *block)
{
	block->writing = false;
}

enum model_verdict model_sector_check(const struct model_block *block, uint64_t known,
	const struct stamp *want, const uint8_t sector[STAMP_SECTOR_BYTES], uint64_t *sequence)
{
	struct stamp found;
	enum stamp_read read = stamp_read(sector, &found);

	*sequence = 0;
	if (read == STAMP_GOOD && found.run != want->run) {
		read = STAMP_NONE; /* left over from before this run */
	}
	switch (read) {
	case STAMP_TORN:
		return found.run == want->run || known > 0 ? MODEL_TORN : MODEL_UNKNOWN;
	case STAMP_NONE:
		return known > 0 ? MODEL_LOST : MODEL_UNKNOWN;
	case STAMP_GOOD:
		break;
	}
	if (found.writer != want->writer || found.lun != want->lun ||
		found.sector != want->sector) {
		return MODEL_FOREIGN;
	}
	*sequence = found.sequence;
	if (found.sequence < known) {
		return MODEL_STALE;
	}
	return found.sequence > block->issued ? MODEL_FUTURE : MODEL_RIGHT;
}

void model_read_done(struct model_block *block, uint64_t smallest)
{
	if (smallest > block->known) {
		block->known = smallest;
	}
}
