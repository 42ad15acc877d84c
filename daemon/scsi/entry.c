/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/entry.h"
#include "yoke/util.h"

#define ENTRY_VERSION	1
#define ENTRY_FLAGS_ALL 0x7f

static const char *const kind_names[] = {
	[SCSI_ENTRY_PR_OUT] = "PERSISTENT RESERVE OUT",
	[SCSI_ENTRY_RESERVE] = "RESERVE",
	[SCSI_ENTRY_RELEASE] = "RELEASE",
	[SCSI_ENTRY_UNRESERVE] = "end of a reservation",
	[SCSI_ENTRY_MODE] = "MODE SELECT",
	[SCSI_ENTRY_IDENTIFY] = "SET IDENTIFYING INFORMATION",
	[SCSI_ENTRY_LOG] = "LOG SELECT",
	[SCSI_ENTRY_THRESHOLDS] = "thresholds reached",
	[SCSI_ENTRY_SANITIZE] = "SANITIZE",
	[SCSI_ENTRY_WIPED] = "progress of a sanitize operation",
	[SCSI_ENTRY_INTENT] = "atomic write",
	[SCSI_ENTRY_INTENT_END] = "end of an atomic write",
};

const char *scsi_entry_kind_name(enum scsi_entry_kind kind)
{
	return (unsigned)kind < ARRAY_SIZE(kind_names) && kind_names[kind] ? kind_names[kind]
									   : "unknown";
}

void scsi_entry_other_put(struct cursor *c, const struct scsi_identity *who)
{
	cursor_put_bytes(c, who->isid, sizeof(who->isid));
	cursor_put_string(c, who->initiator);
}

bool scsi_entry_other_get(struct cursor *c, struct scsi_identity *who)
{
	cursor_get_bytes(c, who->isid, sizeof(who->isid));
	cursor_get_string(c, who->initiator, sizeof(who->initiator));
	c->bad |= !who->initiator[0];
	return cursor_ok(c);
}

static void pr_out_put(struct cursor *c, const struct scsi_entry *entry)
{
	cursor_put_u8(c, entry->action);
	cursor_put_u8(c, entry->type);
	cursor_put_u64(c, entry->key);
	cursor_put_u64(c, entry->new_key);
	cursor_put_u16(c, entry->port_count);
	cursor_put_bytes(c, entry->ports.base, 2u * entry->port_count);
	cursor_put_u16(c, entry->other_count);
	cursor_put_bytes(c, entry->others.base, entry->other_count ? entry->others.size : 0);
	if (entry->action == SCSI_PR_REGISTER_AND_MOVE) {
		scsi_identity_put(c, &entry->destination);
	}
}

#define SANITIZE_UNRESTRICTED 0x01
#define SANITIZE_INVERT	      0x02

static void sanitize_put(struct cursor *c, const struct scsi_sanitize *sanitize)
{
	cursor_put_u8(c, sanitize->method);
	cursor_put_u8(c, (uint8_t)((sanitize->unrestricted ? SANITIZE_UNRESTRICTED : 0) |
				   (sanitize->invert ? SANITIZE_INVERT : 0)));
	cursor_put_u8(c, sanitize->passes);
	cursor_put_u16(c, sanitize->pattern_length);
	cursor_put_bytes(c, sanitize->pattern, sanitize->pattern_length);
}

static void sanitize_get(struct cursor *c, struct scsi_sanitize *sanitize)
{
	uint8_t options;

	sanitize->method = cursor_get_u8(c);
	options = cursor_get_u8(c);
	sanitize->unrestricted = options & SANITIZE_UNRESTRICTED;
	sanitize->invert = options & SANITIZE_INVERT;
	sanitize->passes = cursor_get_u8(c);
	sanitize->pattern_length = cursor_get_u16(c);
	c->bad |= options & ~(SANITIZE_UNRESTRICTED | SANITIZE_INVERT) ||
		  sanitize->pattern_length > SCSI_SANITIZE_PATTERN_MAX;
	switch (sanitize->method) {
	case SCSI_SANITIZE_OVERWRITE:
		c->bad |= !sanitize->pattern_length;
		/* fall through */
	case SCSI_SANITIZE_BLOCK_ERASE:
		c->bad |= !sanitize->passes || sanitize->passes > SCSI_SANITIZE_PASSES_MAX;
		break;
	case SCSI_SANITIZE_EXIT:
		break;
	default: /* a byte from outside */
		c->bad = true;
	}
	cursor_get_bytes(c, sanitize->pattern, cursor_ok(c) ? sanitize->pattern_length : 0);
}

static void wiped_put(struct cursor *c, const struct scsi_entry *entry)
{
	cursor_put_u8(c, entry->action);
	cursor_put_u64(c, entry->sanitize.id);
	cursor_put_u8(c, entry->sanitize.pass);
	cursor_put_u64(c, entry->sanitize.bytes);
}

static void wiped_get(struct cursor *c, struct scsi_entry *entry)
{
	entry->action = cursor_get_u8(c);
	entry->sanitize.id = cursor_get_u64(c);
	entry->sanitize.pass = cursor_get_u8(c);
	entry->sanitize.bytes = cursor_get_u64(c);
	c->bad |= entry->action >= SCSI_WIPED_COUNT;
}

static void intent_put(struct cursor *c, const struct scsi_entry *entry)
{
	cursor_put_u64(c, entry->intent.id);
	cursor_put_u64(c, entry->intent.at_bytes);
	cursor_put_u32(c, entry->intent.total);
	cursor_put_u32(c, entry->intent.begin);
	cursor_put_u32(c, (uint32_t)entry->intent.data.size);
	cursor_put_bytes(c, entry->intent.data.base, entry->intent.data.size);
}

static void intent_get(struct cursor *c, struct scsi_entry *entry)
{
	uint32_t bytes;
	const uint8_t *data;

	entry->intent.id = cursor_get_u64(c);
	entry->intent.at_bytes = cursor_get_u64(c);
	entry->intent.total = cursor_get_u32(c);
	entry->intent.begin = cursor_get_u32(c);
	bytes = cursor_get_u32(c);
	c->bad |= entry->intent.total > SCSI_INTENT_BYTES_MAX ||
		  entry->intent.begin > entry->intent.total || bytes == 0 ||
		  bytes > entry->intent.total - entry->intent.begin;
	data = cursor_ok(c) ? cursor_take(c, bytes) : NULL;
	entry->intent.data = data ? cursor_reader(data, bytes) : cursor_over(NULL, 0);
}

void scsi_entry_put(struct cursor *c, const struct scsi_entry *entry)
{
	cursor_put_u8(c, ENTRY_VERSION);
	cursor_put_u8(c, ENTRY_VERSION); /* the oldest reader that understands this */
	cursor_put_u8(c, entry->kind);
	cursor_put_u8(c, entry->flags);
	cursor_put_u64(c, entry->serial);
	scsi_identity_put(c, &entry->who);
	switch ((enum scsi_entry_kind)entry->kind) {
	case SCSI_ENTRY_PR_OUT:
		pr_out_put(c, entry);
		break;
	case SCSI_ENTRY_MODE:
		cursor_put_u8(c, entry->mask);
		cursor_put_u8(c, entry->values);
		break;
	case SCSI_ENTRY_IDENTIFY:
		cursor_put_u8(c, entry->info_length);
		cursor_put_bytes(c, entry->info, entry->info_length);
		break;
	case SCSI_ENTRY_THRESHOLDS:
		cursor_put_u8(c, entry->values);
		break;
	case SCSI_ENTRY_SANITIZE:
		sanitize_put(c, &entry->sanitize);
		break;
	case SCSI_ENTRY_WIPED:
		wiped_put(c, entry);
		break;
	case SCSI_ENTRY_INTENT:
		intent_put(c, entry);
		break;
	case SCSI_ENTRY_INTENT_END:
		cursor_put_u64(c, entry->intent.id);
		break;
	case SCSI_ENTRY_RESERVE:
	case SCSI_ENTRY_RELEASE:
	case SCSI_ENTRY_UNRESERVE:
	case SCSI_ENTRY_LOG:
		break;
	}
}

/* The part of `c` from `begin` to where it stands, as a cursor of its own. */
static struct cursor part_since(const struct cursor *c, size_t begin)
{
	return cursor_ok(c) ? cursor_reader(c->base + begin, c->pos - begin) : cursor_over(NULL, 0);
}

/* Actions with a type have one that exists; the others have none. */
static bool type_fits(const struct scsi_entry *entry)
{
	static const bool typed[SCSI_PR_ACTION_COUNT] = {
		[SCSI_PR_RESERVE] = true,
		[SCSI_PR_RELEASE] = true,
		[SCSI_PR_PREEMPT] = true,
		[SCSI_PR_PREEMPT_AND_ABORT] = true,
	};

	return typed[entry->action] ? scsi_pr_type_exists(entry->type) : entry->type == 0;
}

static void pr_out_get(struct cursor *c, struct scsi_entry *entry)
{
	size_t begin;

	entry->action = cursor_get_u8(c);
	entry->type = cursor_get_u8(c);
	entry->key = cursor_get_u64(c);
	entry->new_key = cursor_get_u64(c);
	entry->port_count = cursor_get_u16(c);
	begin = c->pos;
	for (unsigned i = 0; cursor_ok(c) && i < entry->port_count; i++) {
		unsigned controller = cursor_get_u16(c) >> 8;

		c->bad |= controller < 1 || controller > YOKE_CONTROLLERS;
	}
	entry->ports = part_since(c, begin);
	entry->other_count = cursor_get_u16(c);
	begin = c->pos;
	for (unsigned i = 0; cursor_ok(c) && i < entry->other_count; i++) {
		struct scsi_identity other;

		scsi_entry_other_get(c, &other);
	}
	entry->others = part_since(c, begin);
	if (entry->action == SCSI_PR_REGISTER_AND_MOVE) {
		scsi_identity_get(c, &entry->destination);
	}
	c->bad |= entry->action >= SCSI_PR_ACTION_COUNT || !type_fits(entry);
}

bool scsi_entry_get(const uint8_t *bytes, size_t length, struct scsi_entry *entry)
{
	struct cursor c = cursor_reader(bytes, length);

	*entry = (struct scsi_entry){0};
	cursor_get_u8(&c); /* who wrote it; what matters is who can read it */
	c.bad |= cursor_get_u8(&c) != ENTRY_VERSION;
	entry->kind = cursor_get_u8(&c);
	entry->flags = cursor_get_u8(&c);
	entry->serial = cursor_get_u64(&c);
	scsi_identity_get(&c, &entry->who);
	switch ((enum scsi_entry_kind)entry->kind) {
	case SCSI_ENTRY_PR_OUT:
		pr_out_get(&c, entry);
		break;
	case SCSI_ENTRY_MODE:
		entry->mask = cursor_get_u8(&c);
		entry->values = cursor_get_u8(&c);
		c.bad |= entry->mask & ~SCSI_MODE_ALL || entry->values & ~entry->mask;
		break;
	case SCSI_ENTRY_IDENTIFY:
		entry->info_length = cursor_get_u8(&c);
		c.bad |= entry->info_length > SCSI_IDENTIFYING_MAX;
		cursor_get_bytes(&c, entry->info, cursor_ok(&c) ? entry->info_length : 0);
		break;
	case SCSI_ENTRY_THRESHOLDS:
		entry->values = cursor_get_u8(&c);
		c.bad |= entry->values & ~SCSI_REACHED_ALL;
		break;
	case SCSI_ENTRY_SANITIZE:
		sanitize_get(&c, &entry->sanitize);
		break;
	case SCSI_ENTRY_WIPED:
		wiped_get(&c, entry);
		break;
	case SCSI_ENTRY_INTENT:
		intent_get(&c, entry);
		break;
	case SCSI_ENTRY_INTENT_END:
		entry->intent.id = cursor_get_u64(&c);
		break;
	case SCSI_ENTRY_RESERVE:
	case SCSI_ENTRY_RELEASE:
	case SCSI_ENTRY_UNRESERVE:
	case SCSI_ENTRY_LOG:
		break;
	default: /* a byte from outside, not only our enum */
		c.bad = true;
	}
	c.bad |= entry->flags & ~ENTRY_FLAGS_ALL;
	return cursor_ok(&c) && cursor_left(&c) == 0;
}
