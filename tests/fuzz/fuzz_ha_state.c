/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: the durable file of the groups. The checksum is made good first, so that the
 * contents are reached; what is accepted encodes to the same bytes again.
 */
#include <stdlib.h>
#include <string.h>

#include "ha/state.h"
#include "tests/fuzz/drive.h"
#include "yoke/crc32c.h"
#include "yoke/util.h"

static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void decode(const uint8_t *bytes, size_t size)
{
	static struct state state;
	static uint8_t again[STATE_BYTES_MAX];
	char error[256] = "";

	if (state_decode(bytes, size, &state, error, sizeof(error)) < 0) {
		expect(error[0] != '\0');
		return;
	}
	expect(state.group_count <= MESSAGE_GROUPS_MAX);
	for (unsigned i = 0; i < state.group_count; i++) {
		expect(state.groups[i].epoch <= state.groups[i].top);
	}
	expect(state_encode(&state, again, sizeof(again)) == (int)size);
	/* Between the versions and the checksum: a file may be of a newer version. */
	expect(memcmp(again + 8, bytes + 8, size - 12) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);

	expect(copy != NULL);
	decode(data, size);
	memcpy(copy, data, size);
	if (size >= 4) {
		crc32c_put(copy + size - 4, crc32c(copy, size - 4));
	}
	decode(copy, size);
	free(copy);
	return 0;
}

const struct fuzz_target fuzz_target = {
	.corpus = "ha_state", .every_cut = true, .every_bit = true, .mutations = 4000};
