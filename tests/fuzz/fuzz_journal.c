/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz entry of the journal's bytes: whatever they are, the reader gets entries of legal size in
 * growing order, and never looks behind the end. The checksums are made good first, so that the
 * contents are reached.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/drive.h"
#include "yoke/crc32c.h"
#include "yoke/cursor.h"
#include "yoke/journal.h"

static void expect(bool ok)
{
	if (!ok) {
		abort();
	}
}

struct seen {
	uint64_t index;
	unsigned sum; /* every byte that it is given is looked at */
};

static int on_base(void *ctx, uint64_t index, const uint8_t *states, size_t size)
{
	struct seen *seen = ctx;

	seen->index = index;
	for (size_t i = 0; i < size; i++) {
		seen->sum += states[i];
	}
	return 0;
}

static int on_entry(void *ctx, const struct ledger_entry *entry, uint64_t index)
{
	struct seen *seen = ctx;

	expect(index > seen->index && entry->length <= LEDGER_ENTRY_BYTES_MAX);
	seen->index = index;
	for (size_t i = 0; i < entry->length; i++) {
		seen->sum += entry->bytes[i];
	}
	return 0;
}

static void on_jump(void *ctx, uint64_t index)
{
	struct seen *seen = ctx;

	expect(index > seen->index);
	seen->index = index;
}

static void decode(const uint8_t *bytes, size_t size)
{
	struct seen seen = {0};
	const struct journal_reader reader = {&seen, on_base, on_entry, on_jump};
	struct journal_end end;
	char error[256] = "";

	if (journal_decode(bytes, size, "lab/1", &reader, &end, error, sizeof(error)) == 0) {
		expect(end.number > 0 && end.good <= size && end.index >= seen.index);
	} else {
		expect(error[0] != '\0');
	}
}

/* Makes the checksum of the header and of every frame whose length fits what it should be. */
static void mend(uint8_t *bytes, size_t size)
{
	size_t at = size >= 14 ? 14 + (size_t)be16_get(bytes + 12) : size;

	if (at + 4 > size) {
		return;
	}
	be32_put(bytes + at, crc32c(bytes, at));
	for (at += 4; size - at >= JOURNAL_FRAME_BYTES;) {
		uint32_t length = be32_get(bytes + at + 4);

		if (length > size - at - JOURNAL_FRAME_BYTES) {
			return;
		}
		journal_frame_put(bytes + at, be32_get(bytes + 8), be64_get(bytes + at + 8),
			bytes + at + JOURNAL_FRAME_BYTES, length);
		at += JOURNAL_FRAME_BYTES + length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size + 1);

	expect(copy != NULL);
	decode(bytes, size);
	memcpy(copy, bytes, size);
	mend(copy, size);
	decode(copy, size);
	free(copy);
	return 0;
}

const struct fuzz_target fuzz_target = {.corpus = "journal", .every_cut = true, .every_bit = true};
