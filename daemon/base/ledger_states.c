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

/* Where each LU's state is among the bytes: an open hash of offsets plus 1. */
struct places {
	uint32_t *slots;
	uint32_t mask;
};

static uint32_t *place_slot(const struct places *p, const uint8_t *bytes, const uint8_t lu[16])
{
	uint64_t hash = (be64_get(lu) ^ be64_get(lu + 8)) * 0x9e3779b97f4a7c15ull;
	uint32_t i = (uint32_t)(hash >> 32) & p->mask;

	while (p->slots[i] && memcmp(bytes + p->slots[i] - 1, lu, 16) != 0) {
		i = (i + 1) & p->mask;
	}
	return &p->slots[i];
}

/* Notes the places; how many there are, or -EBADMSG. Without slots: only counts and checks. */
static int places_find(const uint8_t *bytes, size_t size, struct places *p)
{
	struct cursor c = cursor_reader(bytes, size);
	int count = 0;

	while (cursor_left(&c) > 0) {
		uint32_t at = (uint32_t)c.pos;
		const uint8_t *lu = cursor_take(&c, 16);
		uint32_t length = cursor_get_u32(&c);

		if (length == 0 || length > LEDGER_STATE_BYTES_MAX || !cursor_take(&c, length)) {
			return -EBADMSG;
		}
		if (p->slots) {
			*place_slot(p, bytes, lu) = at + 1;
		}
		count++;
	}
	return count;
}

static int states_load(const struct ledger_serve *serve, const uint8_t *bytes,
	const struct places *p, bool cold, uint8_t lu[16])
{
	for (unsigned i = 0; serve->lu(serve->ctx, i, lu); i++) {
		uint32_t at = *place_slot(p, bytes, lu);
		const uint8_t *state = at ? bytes + at - 1 + STATE_HEAD_BYTES : NULL;
		int err = serve->load(serve->ctx, lu, state, at ? be32_get(state - 4) : 0, cold);

		if (err) {
			return err;
		}
	}
	return 0;
}

int ledger_states_load(const struct ledger_serve *serve, const uint8_t *bytes, size_t size,
	bool cold, uint8_t lu[16])
{
	struct places p = {.mask = 1};
	int count, err;

	memset(lu, 0, 16);
	count = size < UINT32_MAX ? places_find(bytes, size, &p) : -EBADMSG;
	if (count < 0) {
		return count;
	}
	while (p.mask < 2 * (uint32_t)count) {
		p.mask = p.mask * 2 + 1;
	}
	p.slots = calloc(p.mask + 1, sizeof(*p.slots));
	if (!p.slots) {
		return -ENOMEM;
	}
	places_find(bytes, size, &p);
	err = states_load(serve, bytes, &p, cold, lu);
	free(p.slots);
	return err;
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

static uint32_t digest_of(const struct ledger_serve *serve, const uint8_t lu[16], uint8_t *room)
{
	int length = serve->save(serve->ctx, lu, room, LEDGER_STATE_BYTES_MAX);
	uint32_t crc = crc32c_add(CRC32C_INIT, lu, 16);

	return length > 0 ? crc32c_end(crc32c_add(crc, room, (size_t)length)) : 0;
}

uint32_t ledger_state_digest(const struct ledger_serve *serve, const uint8_t lu[16])
{
	cleanup_free uint8_t *room = malloc(LEDGER_STATE_BYTES_MAX);

	return room ? digest_of(serve, lu, room) : 0;
}

uint32_t ledger_states_digest(const struct ledger_serve *serve)
{
	cleanup_free uint8_t *room = malloc(LEDGER_STATE_BYTES_MAX);
	uint32_t digest = 0;
	uint8_t lu[16];

	for (unsigned i = 0; room && serve->lu(serve->ctx, i, lu); i++) {
		digest ^= digest_of(serve, lu, room);
	}
	return digest;
}
