/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/cursor.h"

static const uint8_t uuids[FAKE_LEDGER_LUS][16] = {{0xa0, 1}, {0xa1, 2}, {0xa2, 3}};

const uint8_t *fake_ledger_lu(unsigned i)
{
	return uuids[i];
}

static struct fake_ledger_lu *lu_of(struct fake_ledger *f, const uint8_t lu[16])
{
	for (unsigned i = 0; i < FAKE_LEDGER_LUS; i++) {
		if (memcmp(uuids[i], lu, 16) == 0) {
			return &f->lus[i];
		}
	}
	return NULL;
}

static uint32_t fake_apply(void *ctx, const struct ledger_entry *entry, uint64_t index,
	void (*applied)(void *arg), void *arg)
{
	struct fake_ledger *f = ctx;
	struct fake_ledger_lu *lu = lu_of(f, entry->lu);

	if (index <= f->index) {
		abort(); /* the order is broken */
	}
	f->index = index;
	if (lu && entry->length && entry->bytes[0] == 'v') {
		lu->volatile_count++;
	} else if (lu) {
		lu->count++;
		lu->seen |= entry->length > 1 ? 1ull << (entry->bytes[1] & 63) : 0;
		lu->last = entry->length ? entry->bytes[0] : 0;
		for (size_t i = 0; i < entry->length; i++) {
			lu->hash = lu->hash * 16777619u + entry->bytes[i] + f->wrong;
		}
	}
	if (f->hold) {
		if (f->held_count == sizeof(f->held) / sizeof(f->held[0])) {
			abort();
		}
		f->held[f->held_count].applied = applied;
		f->held[f->held_count++].arg = arg;
	} else {
		applied(arg);
	}
	return lu ? lu->count : 0;
}

static int fake_save(void *ctx, const uint8_t lu[16], uint8_t *bytes, size_t size)
{
	struct fake_ledger *f = ctx;
	const struct fake_ledger_lu *u = lu_of(f, lu);
	struct cursor c = cursor_over(bytes, size);

	if (!u || (!u->count && !u->volatile_count)) {
		return 0;
	}
	cursor_put_u8(&c, 1);
	cursor_put_u32(&c, u->count);
	cursor_put_u32(&c, u->hash);
	cursor_put_u64(&c, u->seen);
	cursor_put_u32(&c, u->volatile_count);
	cursor_put_u8(&c, u->last);
	cursor_put_u32(&c, f->pad);
	cursor_put_zeros(&c, f->pad);
	return cursor_ok(&c) ? (int)c.pos : -EMSGSIZE;
}

static int fake_load(
	void *ctx, const uint8_t lu[16], const uint8_t *bytes, size_t length, bool cold)
{
	struct cursor c = cursor_reader(bytes, length);
	struct fake_ledger *f = ctx;
	struct fake_ledger_lu *u = lu_of(f, lu), loaded = {0};

	if (length) {
		if (cursor_get_u8(&c) != 1) {
			return -EBADMSG;
		}
		loaded.count = cursor_get_u32(&c);
		loaded.hash = cursor_get_u32(&c);
		loaded.seen = cursor_get_u64(&c);
		loaded.volatile_count = cursor_get_u32(&c);
		loaded.last = cursor_get_u8(&c);
		cursor_take(&c, cursor_get_u32(&c));
		if (!cursor_ok(&c) || cursor_left(&c)) {
			return -EBADMSG;
		}
	}
	if (cold) {
		loaded.volatile_count = 0;
	}
	f->loads++;
	f->colds += cold;
	*u = loaded;
	f->index = 0; /* the snapshot's counts from here */
	return 0;
}

static bool fake_lu(void *ctx, unsigned i, uint8_t uuid[16])
{
	(void)ctx;
	if (i < FAKE_LEDGER_LUS) {
		memcpy(uuid, uuids[i], 16);
	}
	return i < FAKE_LEDGER_LUS;
}

void fake_ledger_init(struct fake_ledger *f)
{
	memset(f, 0, sizeof(*f));
	f->serve = (struct ledger_serve){
		.ctx = f, .apply = fake_apply, .save = fake_save, .load = fake_load, .lu = fake_lu};
}

bool fake_ledger_publish(struct fake_ledger *f)
{
	void (*applied)(void *arg);
	void *arg;

	if (f->held_count == 0) {
		return false;
	}
	applied = f->held[0].applied;
	arg = f->held[0].arg;
	memmove(f->held, f->held + 1, --f->held_count * sizeof(f->held[0]));
	applied(arg);
	return true;
}

bool fake_ledger_same(const struct fake_ledger *a, const struct fake_ledger *b)
{
	return memcmp(a->lus, b->lus, sizeof(a->lus)) == 0;
}
