/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stamped sectors and the model of what a block may hold. Pure: no I/O, no clock.
 *
 * A block has one writer and at most one write in flight. Writes are numbered 1, 2, 3... for each
 * block. A read may see any number from the last one known to be on the disk when the read was
 * issued up to the last one issued before the read returned; nothing else, ever.
 */
#ifndef YOKE_TEST_STAMP_H
#define YOKE_TEST_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAMP_SECTOR_BYTES 512u

/* What a sector says about itself. */
struct stamp {
	uint64_t run; /* the run that wrote it */
	uint32_t writer; /* host */
	uint32_t lun;
	uint64_t sector; /* address in 512-byte units */
	uint64_t sequence; /* of the block's writes */
	uint64_t operation;
	uint64_t time_ns;
};

/* Fills a 512-byte sector: the stamp, a filler made from it, a CRC32C over both. */
void stamp_write(const struct stamp *stamp, uint8_t sector[STAMP_SECTOR_BYTES]);

enum stamp_read {
	STAMP_GOOD,
	STAMP_NONE /* no stamp at all */,
	STAMP_TORN /* a stamp with a wrong CRC or filler */
};
enum stamp_read stamp_read(const uint8_t sector[STAMP_SECTOR_BYTES], struct stamp *stamp);

/* One block of the model. */
struct model_block {
	uint64_t known; /* the disk holds at least this number: acknowledged, or seen by a read */
	uint64_t issued; /* last number given to a write */
	bool writing;
};

enum model_verdict {
	MODEL_RIGHT,
	MODEL_UNKNOWN, /* never written by this run and not stamped by it: nothing to say */
	MODEL_STALE, /* older than what was known when the read was issued */
	MODEL_FUTURE, /* a number that was never issued */
	MODEL_FOREIGN, /* another writer, LU, address or run */
	MODEL_TORN,
	MODEL_LOST, /* acknowledged, but there is no stamp */
};
const char *model_verdict_name(enum model_verdict verdict);

/* Starts a write: its number. The block must not be writing. */
uint64_t model_write_begin(struct model_block *block);
void model_write_acknowledged(struct model_block *block);
/* The write failed for good: it may or may not be on the disk. */
void model_write_ambiguous(struct model_block *block);

/*
 * Judges one sector that a read brought. `known` is block->known when the read was issued; `want`
 * says run, writer, lun and sector. Sets *sequence to what was found (0 = nothing).
 */
enum model_verdict model_sector_check(const struct model_block *block, uint64_t known,
	const struct stamp *want, const uint8_t sector[STAMP_SECTOR_BYTES], uint64_t *sequence);

/* After all sectors of a block were right: the smallest number seen is on the disk. */
void model_read_done(struct model_block *block, uint64_t smallest);

#endif
