/* SPDX-License-Identifier: BSD-3-Clause */
/* The history that a run leaves behind, for tests/checker. */
#ifndef YOKE_TEST_RECORD_H
#define YOKE_TEST_RECORD_H

#include "tests/io/device.h"

/* What a sector says was written to it last; 0 = nothing by this run. Unique for each write. */
uint64_t record_value(uint32_t writer, uint64_t sequence);
/* The value of a sector that was read. */
uint64_t record_sector_value(uint64_t run, const uint8_t sector[STAMP_SECTOR_BYTES]);

enum record_outcome {
	RECORD_OK,
	RECORD_NO, /* miscompare */
	RECORD_MAYBE, /* given up, or still open at the end */
};

/* A line (or, for a read of sectors that differ, some) about what the slot has done. */
void record_slot(FILE *history, uint64_t run, uint64_t sector, const struct slot *slot,
	enum record_outcome outcome, uint64_t now_ns);

#endif
