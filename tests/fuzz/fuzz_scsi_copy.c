/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: parameter lists of third-party copy, as the parsers see them. The first byte says
 * which list it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/odx_list.h"
#include "tests/fuzz/drive.h"

/* What was accepted must be within its limits, or the parser has a hole. */
static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void fuzz_copy(const uint8_t *bytes, size_t size, bool lid4)
{
	static struct copy_list list;
	struct copy_error error = {.sense = SENSE_NONE};

	memset(&list, 0xa5, sizeof(list));
	if (!copy_list_parse(bytes, size, lid4, &list, &error)) {
		expect(error.sense != SENSE_NONE && error.byte < (int)size);
		return;
	}
	expect(list.cscd_count <= COPY_CSCDS_MAX && list.segment_count <= COPY_SEGMENTS_MAX);
	for (unsigned i = 0; i < list.cscd_count; i++) {
		expect(list.cscds[i].length <= COPY_DESIGNATOR_MAX);
	}
	for (unsigned i = 0; i < list.segment_count; i++) {
		const struct copy_segment *segment = &list.segments[i];

		expect(segment->type == COPY_VERIFY_CSCD || segment->type == COPY_BLOCK_TO_BLOCK ||
			segment->type == COPY_BLOCK_TO_BLOCK_OFFSET);
		expect(segment->count <= COPY_SEGMENT_BYTES_MAX);
	}
}

#define FUZZ_BLOCKS 2048u
#define FUZZ_SHIFT  9u

static void fuzz_ranges(const struct odx_range *ranges, unsigned count, uint64_t blocks)
{
	uint64_t sum = 0;

	expect(count > 0 && count <= ODX_RANGES_MAX);
	for (unsigned i = 0; i < count; i++) {
		expect(ranges[i].lba <= FUZZ_BLOCKS &&
			ranges[i].blocks <= FUZZ_BLOCKS - ranges[i].lba);
		sum += ranges[i].blocks;
	}
	expect(sum == blocks && blocks <= FUZZ_BLOCKS);
}

static void fuzz_populate(const uint8_t *bytes, size_t size)
{
	static struct odx_populate list;
	struct copy_error error = {.sense = SENSE_NONE};

	memset(&list, 0xa5, sizeof(list));
	if (!odx_populate_parse(bytes, size, FUZZ_BLOCKS, FUZZ_SHIFT, &list, &error)) {
		expect(error.sense != SENSE_NONE && error.byte < (int)size);
		return;
	}
	expect(list.timeout_s > 0 && list.timeout_s <= ODX_TIMEOUT_MAX_S);
	fuzz_ranges(list.ranges, list.range_count, list.blocks);
}

static void fuzz_write(const uint8_t *bytes, size_t size)
{
	static struct odx_write list;
	struct copy_error error = {.sense = SENSE_NONE};

	memset(&list, 0xa5, sizeof(list));
	if (!odx_write_parse(bytes, size, FUZZ_BLOCKS, FUZZ_SHIFT, &list, &error)) {
		expect(error.sense != SENSE_NONE && error.byte < (int)size);
		return;
	}
	expect(list.type == ODX_TYPE_POINT_IN_TIME || list.type == ODX_TYPE_ZERO);
	fuzz_ranges(list.ranges, list.range_count, list.blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size == 0) {
		return 0;
	}
	switch (bytes[0] & 3) {
	case 2:
		fuzz_populate(bytes + 1, size - 1);
		break;
	case 3:
		fuzz_write(bytes + 1, size - 1);
		break;
	default:
		fuzz_copy(bytes + 1, size - 1, bytes[0] & 1);
		break;
	}
	return 0;
}

const struct fuzz_target fuzz_target = {
	.corpus = "scsi_copy", .every_cut = true, .every_bit = true};
