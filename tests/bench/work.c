/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load.h"
#include "tests/io/clock.h"

#define VERSION_BUSY 0x80000000u
#define SENSE_KEY_UA 0x06

static uint64_t random_next(struct load_thread *t)
{
	t->seed ^= t->seed << 13;
	t->seed ^= t->seed >> 7;
	t->seed ^= t->seed << 17;
	return t->seed * 0x2545f4914f6cdd1dull;
}

static uint64_t blocks_all(const struct load_options *o)
{
	return o->span_bytes / o->block_bytes * o->luns;
}

bool load_work_init(struct load_session *s)
{
	const struct load_options *o = s->thread->options;
	uint64_t all = blocks_all(o), slice = all / o->sessions;

	s->slice_first = slice * s->number;
	s->slice_count = slice;
	s->slots = calloc(o->depth, sizeof(*s->slots));
	s->free_slots = calloc(o->depth, sizeof(*s->free_slots));
	s->room = calloc(LOAD_IOVS, sizeof(*s->room));
	s->versions = o->verify ? calloc(slice, sizeof(*s->versions)) : NULL;
	if (!s->slots || !s->free_slots || !s->room || (o->verify && !s->versions)) {
		return load_fail(s->thread, "out of memory");
	}
	for (unsigned i = 0; i < o->depth; i++) {
		s->slots[i].data = aligned_alloc(4096, (o->block_bytes + 4095u) & ~4095u);
		if (!s->slots[i].data) {
			return load_fail(s->thread, "out of memory");
		}
		memset(s->slots[i].data, (int)(i + 1), o->block_bytes);
		s->free_slots[s->free_count++] = o->depth - 1 - i;
	}
	return true;
}

void load_work_free(struct load_session *s)
{
	for (unsigned i = 0; s->slots && i < s->thread->options->depth; i++) {
		free(s->slots[i].data);
	}
	free(s->slots);
	free(s->free_slots);
	free(s->room);
	free(s->versions);
}

/* ----- verified blocks ------------------------------------------------------------------------ */

static uint64_t pattern(uint64_t block, uint32_t version, unsigned word)
{
	uint64_t x = (block << 24 ^ version) + (uint64_t)word * 0x9e3779b97f4a7c15ull;

	x ^= x >> 31;
	return x * 0xbf58476d1ce4e5b9ull;
}

static void pattern_fill(const struct load_session *s, struct load_slot *slot)
{
	for (unsigned i = 0; i < s->thread->options->block_bytes / 8; i++) {
		uint64_t word = pattern(slot->block, slot->version, i);

		memcpy(slot->data + i * 8, &word, 8);
	}
}

static bool pattern_check(const struct load_session *s, const struct load_slot *slot)
{
	for (unsigned i = 0; i < s->thread->options->block_bytes / 8; i++) {
		uint64_t want = pattern(slot->block, slot->version, i), is;

		memcpy(&is, slot->data + i * 8, 8);
		if (is != want) {
			return false;
		}
	}
	return true;
}

bool load_work_filled(const struct load_session *s)
{
	return !s->versions || s->filled == s->slice_count;
}

/* ----- issuing -------------------------------------------------------------------------------- */

static bool writes_now(struct load_thread *t)
{
	switch (t->options->kind) {
	case LOAD_RANDWRITE:
	case LOAD_WRITE:
		return true;
	case LOAD_RANDRW:
		return random_next(t) % 10 >= 7;
	case LOAD_RANDREAD:
	case LOAD_READ:
	case LOAD_LOGIN:
	case LOAD_IDLE:
	case LOAD_KINDS:
		break;
	}
	return false;
}

/* Block and direction of the next command; false when there is none that does not collide. */
static bool choose(struct load_session *s, struct load_slot *slot)
{
	const struct load_options *o = s->thread->options;
	bool sequential = o->kind == LOAD_READ || o->kind == LOAD_WRITE;
	uint64_t at;

	if (!s->versions) {
		uint64_t all = blocks_all(o);

		slot->writes = writes_now(s->thread);
		slot->block = sequential ? (s->slice_first + s->next++) % all
					 : random_next(s->thread) % all;
		return true;
	}
	if (s->fill_next < s->slice_count) {
		at = s->fill_next++;
		slot->writes = true;
	} else if (s->filled < s->slice_count) {
		return false;
	} else {
		at = (sequential ? s->next++ : random_next(s->thread)) % s->slice_count;
		slot->writes = writes_now(s->thread);
	}
	if (s->versions[at] & VERSION_BUSY) {
		return false;
	}
	slot->block = s->slice_first + at;
	slot->version = slot->writes ? (s->versions[at] + 1) & ~VERSION_BUSY : s->versions[at];
	s->versions[at] |= VERSION_BUSY;
	if (slot->writes) {
		pattern_fill(s, slot);
	}
	return true;
}

static void command_put(struct load_session *s, unsigned tag)
{
	const struct load_options *o = s->thread->options;
	struct load_slot *slot = &s->slots[tag];
	uint64_t per_lu = o->span_bytes / o->block_bytes;
	uint32_t lba = (uint32_t)(slot->block % per_lu * (o->block_bytes / o->lba_bytes));
	unsigned lun = o->lun + (unsigned)(slot->block / per_lu);
	uint8_t *header = load_session_room(s), *cdb = header + ISCSI_COMMAND_CDB;
	uint32_t now = 0;

	if (slot->writes && s->immediate_data) {
		now = o->block_bytes;
		now = now < s->first_burst_bytes ? now : s->first_burst_bytes;
		now = now < s->segment_bytes ? now : s->segment_bytes;
	}
	header[0] = ISCSI_OP_SCSI_COMMAND;
	header[1] = slot->writes ? 0xa1 : 0xc1; /* F, W or R, SIMPLE */
	header[ISCSI_BHS_LUN] = (uint8_t)((lun > 255 ? 0x40 : 0) | lun >> 8);
	header[ISCSI_BHS_LUN + 1] = (uint8_t)lun;
	be32_put(header + ISCSI_BHS_ITT, tag);
	be32_put(header + ISCSI_COMMAND_EDTL, o->block_bytes);
	be32_put(header + ISCSI_BHS_CMDSN, s->cmdsn++);
	be32_put(header + ISCSI_BHS_EXPSTATSN, s->expstatsn);
	cdb[0] = slot->writes ? 0x2a : 0x28;
	be32_put(cdb + 2, lba);
	be16_put(cdb + 7, (uint16_t)(o->block_bytes / o->lba_bytes));
	slot->moved_bytes = 0;
	load_session_put(s, header, slot->data, now);
}

/* Data-Outs of R2Ts, as far as there is room. */
static void r2ts_put(struct load_session *s)
{
	for (unsigned i = 0; s->r2ts && i < s->thread->options->depth; i++) {
		struct load_slot *slot = &s->slots[i];

		while (slot->out_at < slot->out_end && load_session_has_room(s, 1)) {
			uint32_t left = slot->out_end - slot->out_at;
			uint32_t part = left < s->segment_bytes ? left : s->segment_bytes;
			uint8_t *header = load_session_room(s);

			header[0] = ISCSI_OP_DATA_OUT;
			header[1] = part == left ? 0x80 : 0;
			be32_put(header + ISCSI_BHS_ITT, i);
			be32_put(header + ISCSI_BHS_TTT, slot->ttt);
			be32_put(header + ISCSI_BHS_EXPSTATSN, s->expstatsn);
			be32_put(header + 36, slot->moved_bytes++); /* DataSN */
			be32_put(header + 40, slot->out_at);
			load_session_put(s, header, slot->data + slot->out_at, part);
			slot->out_at += part;
			s->r2ts -= slot->out_at == slot->out_end;
		}
	}
}

void load_work_issue(struct load_session *s)
{
	unsigned fails = 0;

	if (s->r2ts) {
		r2ts_put(s);
	}
	while (s->free_count && load_session_has_room(s, 1) &&
		(int32_t)(s->maxcmdsn - s->cmdsn) >= 0) {
		unsigned tag = s->free_slots[s->free_count - 1];
		struct load_slot *slot = &s->slots[tag];

		if (!choose(s, slot)) {
			if (++fails > 8) {
				return; /* everything that could be asked for is under way */
			}
			continue;
		}
		s->free_count--;
		slot->busy = true;
		slot->tries = 0;
		slot->out_at = slot->out_end = 0;
		slot->started_ns = clock_ns();
		command_put(s, tag);
	}
}

/* ----- answers -------------------------------------------------------------------------------- */

static struct load_slot *slot_of(struct load_session *s)
{
	uint32_t tag = be32_get(s->header + ISCSI_BHS_ITT);

	return tag < s->thread->options->depth && s->slots[tag].busy ? &s->slots[tag] : NULL;
}

void load_work_data(struct load_session *s, const uint8_t *bytes, uint32_t count)
{
	struct load_slot *slot = slot_of(s);

	if (!slot || slot->moved_bytes + count > s->thread->options->block_bytes) {
		load_fail(s->thread, "session %u: data that nobody asked for", s->number);
		return;
	}
	if (s->versions) {
		memcpy(slot->data + slot->moved_bytes, bytes, count);
	}
	slot->moved_bytes += count;
}

static bool finished(struct load_session *s, struct load_slot *slot)
{
	struct load_thread *t = s->thread;

	if (!slot->writes && slot->moved_bytes != t->options->block_bytes) {
		return load_fail(
			t, "session %u: a read brought %u bytes", s->number, slot->moved_bytes);
	}
	if (s->versions) {
		uint64_t at = slot->block - s->slice_first;

		if (slot->writes) {
			s->filled += s->filled < s->slice_count;
			s->versions[at] = slot->version;
		} else {
			t->result.mismatches += !pattern_check(s, slot);
			t->result.verified++;
			s->versions[at] &= ~VERSION_BUSY;
		}
	}
	if (t->counting) {
		t->result.commands++;
		t->result.bytes += t->options->block_bytes;
		histogram_add(&t->result.latency, clock_ns() - slot->started_ns);
	}
	slot->busy = false;
	s->free_slots[s->free_count++] = (uint32_t)(slot - s->slots);
	return true;
}

static bool status_taken(struct load_session *s, struct load_slot *slot, uint8_t status)
{
	uint8_t key = s->small_have > 4 ? s->small[4] & 0x0f : 0;
	bool again = status == 0x08 || status == 0x28 || (status == 0x02 && key == SENSE_KEY_UA);

	s->expstatsn = be32_get(s->header + ISCSI_BHS_STATSN) + 1;
	if (status == 0) {
		return finished(s, slot);
	}
	if (!again || ++slot->tries > LOAD_TRIES || !load_session_has_room(s, 1)) {
		s->thread->result.errors++;
		return load_fail(s->thread, "session %u: status %02x, sense key %x, asc %02x%02x",
			s->number, status, key, s->small_have > 15 ? s->small[14] : 0,
			s->small_have > 15 ? s->small[15] : 0);
	}
	s->thread->result.unit_attentions++;
	command_put(s, (unsigned)(slot - s->slots));
	return true;
}

bool load_work_pdu(struct load_session *s)
{
	uint8_t opcode = s->header[0] & ISCSI_OPCODE_MASK;
	struct load_slot *slot = slot_of(s);

	if (!slot) {
		return load_fail(s->thread, "session %u: an answer to no command (PDU %02x)",
			s->number, opcode);
	}
	if (opcode == ISCSI_OP_R2T) {
		slot->ttt = be32_get(s->header + ISCSI_BHS_TTT);
		slot->out_at = be32_get(s->header + 40);
		slot->out_end = slot->out_at + be32_get(s->header + 44);
		if (!slot->writes || slot->out_end > s->thread->options->block_bytes ||
			slot->out_at >= slot->out_end) {
			return load_fail(s->thread, "session %u: a wrong R2T", s->number);
		}
		slot->moved_bytes = 0;
		s->r2ts++;
		return true;
	}
	if (opcode == ISCSI_OP_DATA_IN && !(s->header[1] & 0x01)) {
		return true; /* no status in it */
	}
	return status_taken(s, slot, s->header[3]);
}
