/* SPDX-License-Identifier: BSD-3-Clause */
/* The states of all LUs as one string of bytes, and their digest. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/crc32c.h"
#include "yoke/cursor.h"
#include "yoke/journal.h"
#include "yoke/util.h"

#define STATE_HEAD_BYTES 20

uint8_t *journal_bytes_add(struct journal_bytes *b, size_t n)
{
	if (n > b->room - b->length) {
		size_t room = (b->length + n) * 2;
		uint8_t *base = realloc(b->base, room);

		if (!base) {
			return NULL;
		}
		b->base = base;
		b->room = room;
	}
	b->length += n;
	return b->base + b->length - n;
}

void journal_bytes_free(struct journal_bytes *b)
{
	free(b->base);
	*b = (struct journal_bytes){0};
}

int ledger_states_save(const struct ledger_serve *serve, struct journal_bytes *to)
{
	uint8_t lu[16];

	for (unsigned i = 0; serve->lu(serve->ctx, i, lu); i++) {
		size_t was = to->length;
		uint8_t *at = journal_bytes_add(to, STATE_HEAD_BYTES + LEDGER_STATE_BYTES_MAX);
		int length;

		if (!at) {
			return -ENOMEM;
		}
		length = serve->save(serve->ctx, lu, at + STATE_HEAD_BYTES, LEDGER_STATE_BYTES_MAX);
		if (length < 0) {
			to->length = was;
			return length;
		}
		memcpy(at, lu, 16);
		be32_put(at + 16, (uint32_t)length);
		to->length = was + (length ? STATE_HEAD_BYTES + (size_t)length : 0);
	}
	return 0;
}

/* The state of an LU among the bytes; false when they are malformed. */
static bool state_find(const uint8_t *bytes, size_t size, const uint8_t lu[16],
	const uint8_t **state, size_t *length)
{
	struct cursor c = cursor_reader(bytes, size);

	*state = NULL;
	*length = 0;
	while (cursor_left(&c) > 0) {
		const uint8_t *uuid = cursor_take(&c, 16);
		uint32_t n = cursor_get_u32(&c);
		const uint8_t *at = n <= LEDGER_STATE_BYTES_MAX ? cursor_take(&c, n) : NULL;

		if (!uuid || !at || n == 0) {
			return false;
		}
		if (lu && memcmp(uuid, lu, 16) == 0) {
			*state = at;
			*length = n;
			return true;
		}
	}
	return cursor_ok(&c);
}

int ledger_states_load(const struct ledger_serve *serve, const uint8_t *bytes, size_t size,
	bool cold, uint8_t lu[16])
{
	const uint8_t *state;
	size_t length;

	memset(lu, 0, 16);
	if (!state_find(bytes, size, NULL, &state, &length)) {
		return -EBADMSG;
	}
	for (unsigned i = 0; serve->lu(serve->ctx, i, lu); i++) {
		int err;

		state_find(bytes, size, lu, &state, &length);
		err = serve->load(serve->ctx, lu, state, length, cold);
		if (err) {
			return err;
		}
	}
	return 0;
}

int ledger_states_cold(const struct ledger_serve *serve)
{
	struct journal_bytes states = {0};
	uint8_t lu[16];
	int err = ledger_states_save(serve, &states);

	if (!err) {
		err = ledger_states_load(serve, states.base, states.length, true, lu);
	}
	journal_bytes_free(&states);
	return err;
}

uint32_t ledger_state_digest(const struct ledger_serve *serve, const uint8_t lu[16])
{
	cleanup_free uint8_t *state = malloc(LEDGER_STATE_BYTES_MAX);
	int length = state ? serve->save(serve->ctx, lu, state, LEDGER_STATE_BYTES_MAX) : 0;
	uint32_t crc = crc32c_add(CRC32C_INIT, lu, 16);

	return length > 0 ? crc32c_end(crc32c_add(crc, state, (size_t)length)) : 0;
}

uint32_t ledger_states_digest(const struct ledger_serve *serve)
{
	uint32_t digest = 0;
	uint8_t lu[16];

	for (unsigned i = 0; serve->lu(serve->ctx, i, lu); i++) {
		digest ^= ledger_state_digest(serve, lu);
	}
	return digest;
}
