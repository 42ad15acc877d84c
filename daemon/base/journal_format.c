/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes of a journal, see yoke/journal.h. Pure. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "yoke/crc32c.h"
#include "yoke/cursor.h"
#include "yoke/journal.h"

#define JOURNAL_MAGIC	     0x594b4c4au /* "YKLJ" */
#define JOURNAL_HEADER_BYTES 18 /* with an empty owner */
#define RECORD_HEAD_BYTES    5
#define ENTRY_FIXED_BYTES    34
#define MARK_BYTES	     9 /* of BASE, too */

enum record_type {
	RECORD_BASE = 1,
	RECORD_STATES = 2,
	RECORD_ENTRY = 3,
	RECORD_JUMP = 4,
	RECORD_MARK = 5,
};

const char *journal_error_text(int err)
{
	return err == JOURNAL_HANGS ? "the disk does not answer" : strerror(-err);
}

/* ----- writing -------------------------------------------------------------------------------- */

static uint32_t frame_crc(const uint8_t *head, const uint8_t *payload, size_t size)
{
	return crc32c_end(crc32c_add(crc32c_add(CRC32C_INIT, head, 16), payload, size));
}

void journal_frame_put(uint8_t to[JOURNAL_FRAME_BYTES], uint32_t mark, uint64_t number,
	const uint8_t *payload, size_t size)
{
	be32_put(to, mark);
	be32_put(to + 4, (uint32_t)size);
	be64_put(to + 8, number);
	be32_put(to + 16, frame_crc(to, payload, size));
}

int journal_record_put(struct journal_bytes *to, uint64_t index, const struct ledger_entry *entry)
{
	size_t length = entry ? ENTRY_FIXED_BYTES + entry->length : 8;
	uint8_t *at = journal_bytes_add(to, RECORD_HEAD_BYTES + length);
	struct cursor c;

	if (!at) {
		return -ENOMEM;
	}
	c = cursor_over(at, RECORD_HEAD_BYTES + length);
	cursor_put_u8(&c, entry ? RECORD_ENTRY : RECORD_JUMP);
	cursor_put_u32(&c, (uint32_t)length);
	cursor_put_u64(&c, index);
	if (entry) {
		cursor_put_u16(&c, entry->group);
		cursor_put_u64(&c, entry->epoch);
		cursor_put_bytes(&c, entry->lu, sizeof(entry->lu));
		cursor_put_bytes(&c, entry->bytes, entry->length);
	}
	return 0;
}

int journal_mark_put(struct journal_bytes *to, uint64_t index, bool alone)
{
	uint8_t *at = journal_bytes_add(to, RECORD_HEAD_BYTES + MARK_BYTES);
	struct cursor c;

	if (!at) {
		return -ENOMEM;
	}
	c = cursor_over(at, RECORD_HEAD_BYTES + MARK_BYTES);
	cursor_put_u8(&c, RECORD_MARK);
	cursor_put_u32(&c, MARK_BYTES);
	cursor_put_u64(&c, index);
	cursor_put_u8(&c, alone ? JOURNAL_ALONE : 0);
	return 0;
}

int journal_begin_put(struct journal_bytes *to, const char *owner, uint32_t mark, uint64_t index,
	bool alone, const uint8_t *states, size_t size)
{
	size_t head = JOURNAL_HEADER_BYTES + strlen(owner);
	size_t payload = 2 * RECORD_HEAD_BYTES + MARK_BYTES + size;
	uint8_t *at = journal_bytes_add(to, head + JOURNAL_FRAME_BYTES + payload);
	struct cursor c;

	if (!at) {
		return -ENOMEM;
	}
	c = cursor_over(at, head + JOURNAL_FRAME_BYTES + payload);
	cursor_put_u32(&c, JOURNAL_MAGIC);
	cursor_put_u16(&c, JOURNAL_VERSION);
	cursor_put_u16(&c, JOURNAL_VERSION);
	cursor_put_u32(&c, mark);
	cursor_put_string(&c, owner);
	cursor_put_u32(&c, crc32c(at, head - 4));
	cursor_take(&c, JOURNAL_FRAME_BYTES);
	cursor_put_u8(&c, RECORD_BASE);
	cursor_put_u32(&c, MARK_BYTES);
	cursor_put_u64(&c, index);
	cursor_put_u8(&c, alone ? JOURNAL_ALONE : 0);
	cursor_put_u8(&c, RECORD_STATES);
	cursor_put_u32(&c, (uint32_t)size);
	cursor_put_bytes(&c, states, size);
	journal_frame_put(at + head, mark, 0, at + head + JOURNAL_FRAME_BYTES, payload);
	return 0;
}

/* ----- reading -------------------------------------------------------------------------------- */

/* Where a journal is read, and what has been found. */
struct decoder {
	const uint8_t *bytes;
	size_t size;
	const struct journal_reader *reader;
	struct journal_end *end;
	char *error;
	size_t error_size;
};

static int refuse(struct decoder *d, size_t offset, const char *what)
{
	snprintf(d->error, d->error_size, "at offset %zu: %s", offset, what);
	return -EBADMSG;
}

static int header_get(struct decoder *d, const char *owner)
{
	struct cursor c = cursor_reader(d->bytes, d->size);
	uint16_t version, lowest;
	char name[512];

	if (cursor_get_u32(&c) != JOURNAL_MAGIC) {
		return refuse(d, 0, "it is not a journal of yoked");
	}
	version = cursor_get_u16(&c);
	lowest = cursor_get_u16(&c);
	if (cursor_ok(&c) && lowest > JOURNAL_VERSION) {
		snprintf(d->error, d->error_size,
			"it was written by a newer yoked (format %u, at least %u)", version,
			lowest);
		return -EBADMSG;
	}
	d->end->mark = cursor_get_u32(&c);
	cursor_get_string(&c, name, sizeof(name));
	d->end->good = c.pos;
	if (cursor_get_u32(&c) != crc32c(d->bytes, d->end->good) || !cursor_ok(&c)) {
		return refuse(d, 0, "the header is damaged");
	}
	d->end->good = c.pos;
	if (strcmp(name, owner) != 0) {
		snprintf(d->error, d->error_size,
			"it belongs to %.200s, this is %.200s; each controller needs a state_dir "
			"of its own",
			name, owner);
		return -EBADMSG;
	}
	return 0;
}

/* The payload of the good frame at an offset, NULL when there is none. */
static const uint8_t *frame_get(const struct decoder *d, size_t at, uint64_t *number, size_t *size)
{
	const uint8_t *head = d->bytes + at;

	if (d->size - at < JOURNAL_FRAME_BYTES || be32_get(head) != d->end->mark) {
		return NULL;
	}
	*size = be32_get(head + 4);
	*number = be64_get(head + 8);
	if (*size > d->size - at - JOURNAL_FRAME_BYTES ||
		be32_get(head + 16) != frame_crc(head, head + JOURNAL_FRAME_BYTES, *size)) {
		return NULL;
	}
	return head + JOURNAL_FRAME_BYTES;
}

static int entry_read(struct decoder *d, struct cursor *body, uint64_t index)
{
	struct ledger_entry entry = {.group = cursor_get_u16(body)};

	entry.epoch = cursor_get_u64(body);
	cursor_get_bytes(body, entry.lu, sizeof(entry.lu));
	entry.length = cursor_left(body);
	entry.bytes = cursor_take(body, entry.length);
	if (!cursor_ok(body) || entry.length > LEDGER_ENTRY_BYTES_MAX) {
		return -EBADMSG;
	}
	return d->reader->entry(d->reader->ctx, &entry, index);
}

static bool alone_get(struct decoder *d, struct cursor *c)
{
	uint8_t flags = cursor_get_u8(c);

	d->end->alone = flags & JOURNAL_ALONE;
	return cursor_ok(c) && flags <= JOURNAL_ALONE;
}

/* A record behind frame 0. */
static int record_read(struct decoder *d, uint8_t type, struct cursor *body)
{
	uint64_t index = cursor_get_u64(body);
	int err = 0;

	if (type == RECORD_MARK) {
		return index == d->end->index && alone_get(d, body) && cursor_left(body) == 0
			       ? 0
			       : -EBADMSG;
	}
	if (!cursor_ok(body) || index <= d->end->index) {
		return -EBADMSG;
	}
	if (type == RECORD_ENTRY) {
		err = entry_read(d, body, index);
	} else if (type == RECORD_JUMP && cursor_left(body) == 0) {
		d->reader->jump(d->reader->ctx, index);
	} else {
		return -EBADMSG;
	}
	d->end->index = index;
	return err;
}

static int base_read(struct decoder *d, struct cursor *c)
{
	const uint8_t *states;
	uint32_t size;

	if (cursor_get_u8(c) != RECORD_BASE || cursor_get_u32(c) != MARK_BYTES) {
		return -EBADMSG;
	}
	d->end->index = cursor_get_u64(c);
	if (!alone_get(d, c) || cursor_get_u8(c) != RECORD_STATES) {
		return -EBADMSG;
	}
	size = cursor_get_u32(c);
	states = cursor_take(c, size);
	if (!cursor_ok(c) || cursor_left(c) > 0) {
		return -EBADMSG;
	}
	return d->reader->base(d->reader->ctx, d->end->index, states, size);
}

static int frame_read(struct decoder *d, uint64_t number, const uint8_t *payload, size_t size)
{
	struct cursor c = cursor_reader(payload, size);

	if (number == 0) {
		return base_read(d, &c);
	}
	while (cursor_left(&c) > 0) {
		uint8_t type = cursor_get_u8(&c);
		uint32_t length = cursor_get_u32(&c);
		const uint8_t *at = cursor_take(&c, length);
		struct cursor body = cursor_reader(at, length);
		int err = at ? record_read(d, type, &body) : -EBADMSG;

		if (err) {
			return err;
		}
	}
	return cursor_ok(&c) ? 0 : -EBADMSG;
}

/* Is there a later frame behind a bad one? Then that is damage, not the end of a torn write. */
static bool goes_on(const struct decoder *d, size_t from)
{
	uint64_t number;
	size_t size;

	for (size_t at = from + 1; d->size - at >= JOURNAL_FRAME_BYTES; at++) {
		if (frame_get(d, at, &number, &size) && number > d->end->number) {
			return true;
		}
	}
	return false;
}

int journal_decode(const uint8_t *bytes, size_t size, const char *owner,
	const struct journal_reader *reader, struct journal_end *end, char *error,
	size_t error_size)
{
	struct decoder d = {bytes, size, reader, end, error, error_size};
	int err;

	*end = (struct journal_end){0};
	err = header_get(&d, owner);
	while (!err && end->good < size) {
		const uint8_t *payload;
		uint64_t number;
		size_t length;

		payload = frame_get(&d, end->good, &number, &length);
		if (!payload || number != end->number) {
			break;
		}
		err = frame_read(&d, number, payload, length);
		if (err) {
			refuse(&d, end->good, "a frame whose checksum is good has bad contents");
			break;
		}
		end->good += JOURNAL_FRAME_BYTES + length;
		end->number++;
	}
	if (err) {
		return err;
	}
	if (end->number == 0) {
		return refuse(&d, end->good, "the snapshot is damaged");
	}
	return end->good < size && goes_on(&d, end->good)
		       ? refuse(&d, end->good, "a frame is damaged, and later ones follow")
		       : 0;
}
