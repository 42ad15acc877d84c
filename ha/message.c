/* SPDX-License-Identifier: BSD-3-Clause */
#include "message.h"

#include <errno.h>
#include <string.h>

#include "machine.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

static bool controller_is_valid(uint8_t controller)
{
	return controller >= 1 && controller <= YOKE_CONTROLLERS;
}

/* ----- payloads ------------------------------------------------------------------------------ */

static void state_put(struct cursor *c, const struct message *msg)
{
	const struct message_state *s = msg->state;

	cursor_put_bytes(c, s->digest, sizeof(s->digest));
	cursor_put_u8(c, s->in_sync);
	cursor_put_u8(c, s->link);
	for (unsigned i = 1; i <= YOKE_CONTROLLERS; i++) {
		cursor_put_u32(c, s->pids[i]);
	}
	cursor_put_u32(c, s->sessions);
	cursor_put_u16(c, s->group_count);
	for (unsigned i = 0; i < s->group_count; i++) {
		const struct message_group *g = &s->groups[i];

		cursor_put_u64(c, g->epoch);
		cursor_put_u64(c, g->top);
		cursor_put_u8(c, g->owner);
		cursor_put_u8(c, g->preferred);
		cursor_put_u8(c, g->phase);
		cursor_put_u8(c, g->target);
		cursor_put_u8(c, g->waiting);
		cursor_put_u8(c, g->flags);
		cursor_put_u32(c, g->table);
	}
}

static bool group_get(struct cursor *c, struct message_group *g)
{
	g->epoch = cursor_get_u64(c);
	g->top = cursor_get_u64(c);
	g->owner = cursor_get_u8(c);
	g->preferred = cursor_get_u8(c);
	g->phase = cursor_get_u8(c);
	g->target = cursor_get_u8(c);
	g->waiting = cursor_get_u8(c);
	g->flags = cursor_get_u8(c);
	g->table = cursor_get_u32(c);
	return g->owner <= YOKE_CONTROLLERS && g->preferred <= YOKE_CONTROLLERS &&
	       g->target <= YOKE_CONTROLLERS && g->phase < PHASE_COUNT && g->epoch <= g->top &&
	       g->waiting <= HA_ALL_CONTROLLERS;
}

static bool state_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	bool good = true;

	cursor_get_bytes(c, room->digest, sizeof(room->digest));
	room->in_sync = cursor_get_u8(c) != 0;
	room->link = cursor_get_u8(c) != 0;
	for (unsigned i = 1; i <= YOKE_CONTROLLERS; i++) {
		room->pids[i] = cursor_get_u32(c);
	}
	room->sessions = cursor_get_u32(c);
	room->group_count = cursor_get_u16(c);
	if (room->group_count > MESSAGE_GROUPS_MAX) {
		return false;
	}
	for (unsigned i = 0; i < room->group_count && good; i++) {
		good = group_get(c, &room->groups[i]);
	}
	msg->state = room;
	return good;
}

static void status_put(struct cursor *c, const struct message *msg)
{
	const struct message_state *s = msg->state;

	cursor_put_u8(c, s->link);
	cursor_put_u32(c, s->sessions);
	cursor_put_u16(c, s->group_count);
	for (unsigned i = 0; i < s->group_count; i++) {
		cursor_put_u8(c, s->groups[i].flags);
	}
}

static bool status_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	room->link = cursor_get_u8(c) != 0;
	room->sessions = cursor_get_u32(c);
	room->group_count = cursor_get_u16(c);
	if (room->group_count > MESSAGE_GROUPS_MAX) {
		return false;
	}
	for (unsigned i = 0; i < room->group_count; i++) {
		room->groups[i] = (struct message_group){.flags = cursor_get_u8(c)};
	}
	msg->state = room;
	return true;
}

static void controller_put(struct cursor *c, const struct message *msg)
{
	cursor_put_u8(c, msg->controller);
}

static bool controller_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	msg->controller = cursor_get_u8(c);
	return controller_is_valid(msg->controller);
}

static void drill_put(struct cursor *c, const struct message *msg)
{
	cursor_put_u8(c, msg->controller);
	cursor_put_u16(c, msg->seconds);
}

static bool drill_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	msg->controller = cursor_get_u8(c);
	msg->seconds = cursor_get_u16(c);
	return controller_is_valid(msg->controller) && msg->seconds <= MESSAGE_DRILL_S_MAX;
}

static void reason_put(struct cursor *c, const struct message *msg)
{
	cursor_put_u8(c, (uint8_t)msg->reason);
}

static bool reason_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	uint8_t reason = cursor_get_u8(c);

	msg->reason = reason < MESSAGE_REASONS ? (enum message_reason)reason : REASON_TIMEOUT;
	return reason < MESSAGE_REASONS;
}

static void ledger_put(struct cursor *c, const struct message *msg)
{
	cursor_put_u64(c, msg->ledger.index);
	cursor_put_u64(c, msg->ledger.applied);
	cursor_put_u32(c, msg->ledger.digest);
}

static bool ledger_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	msg->ledger.index = cursor_get_u64(c);
	msg->ledger.applied = cursor_get_u64(c);
	msg->ledger.digest = cursor_get_u32(c);
	return true;
}

/* The rest of the payload. */
static bool rest_get(struct cursor *c, struct message *msg)
{
	msg->ledger.length = cursor_left(c);
	msg->ledger.bytes = cursor_take(c, msg->ledger.length);
	return msg->ledger.length <= LEDGER_ENTRY_BYTES_MAX;
}

static void entry_put(struct cursor *c, const struct message *msg)
{
	cursor_put_bytes(c, msg->ledger.lu, sizeof(msg->ledger.lu));
	cursor_put_bytes(c, msg->ledger.bytes, msg->ledger.length);
}

static bool entry_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	cursor_get_bytes(c, msg->ledger.lu, sizeof(msg->ledger.lu));
	return rest_get(c, msg);
}

static void ack_put(struct cursor *c, const struct message *msg)
{
	cursor_put_u64(c, msg->ledger.index);
	cursor_put_u64(c, msg->ledger.applied);
	cursor_put_u32(c, msg->ledger.digest);
	cursor_put_u8(c, msg->ledger.flags);
}

static bool ack_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	msg->ledger.index = cursor_get_u64(c);
	msg->ledger.applied = cursor_get_u64(c);
	msg->ledger.digest = cursor_get_u32(c);
	msg->ledger.flags = cursor_get_u8(c);
	return msg->ledger.flags <= MESSAGE_KEPT;
}

static void snapshot_put(struct cursor *c, const struct message *msg)
{
	cursor_put_u64(c, msg->ledger.index);
	cursor_put_u32(c, msg->ledger.digest);
	cursor_put_u32(c, msg->ledger.part);
	cursor_put_u8(c, msg->ledger.flags);
	cursor_put_bytes(c, msg->ledger.bytes, msg->ledger.length);
}

static bool snapshot_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	msg->ledger.index = cursor_get_u64(c);
	msg->ledger.digest = cursor_get_u32(c);
	msg->ledger.part = cursor_get_u32(c);
	msg->ledger.flags = cursor_get_u8(c);
	return msg->ledger.flags <= MESSAGE_LAST && rest_get(c, msg);
}

static void blob_put(struct cursor *c, const struct message *msg)
{
	cursor_put_bytes(c, msg->blob, msg->blob_length);
}

static bool blob_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	msg->blob_length = cursor_left(c);
	msg->blob = cursor_take(c, msg->blob_length);
	return msg->blob_length <= MESSAGE_BLOB_MAX;
}

static void conf_put(struct cursor *c, const struct message *msg)
{
	size_t length = strnlen(msg->text, sizeof(msg->text) - 1);

	cursor_put_u8(c, msg->controller);
	cursor_put_bytes(c, msg->digest, sizeof(msg->digest));
	cursor_put_u16(c, (uint16_t)length);
	cursor_put_bytes(c, msg->text, length);
}

/* The text goes to logs and terminals: what is not printable there becomes '?'. */
static bool conf_get(struct cursor *c, struct message *msg, struct message_state *room)
{
	uint16_t length;

	msg->controller = cursor_get_u8(c);
	cursor_get_bytes(c, msg->digest, sizeof(msg->digest));
	length = cursor_get_u16(c);
	if (length >= sizeof(msg->text)) {
		return false;
	}
	cursor_get_bytes(c, msg->text, length);
	for (unsigned i = 0; i < length; i++) {
		if ((msg->text[i] < 0x20 && msg->text[i] != '\n') || msg->text[i] == 0x7f) {
			msg->text[i] = '?';
		}
	}
	msg->text[length] = '\0';
	return controller_is_valid(msg->controller);
}

/* A type without put and get has no payload; one without a name does not exist. */
static const struct message_row {
	const char *name;
	void (*put)(struct cursor *c, const struct message *msg);
	bool (*get)(struct cursor *c, struct message *msg, struct message_state *room);
} rows[MESSAGE_TYPES] = {
	[MESSAGE_STATE] = {"STATE", state_put, state_get},
	[MESSAGE_STATUS] = {"STATUS", status_put, status_get},
	[MESSAGE_PREPARE] = {"PREPARE", NULL, NULL},
	[MESSAGE_DRAINED] = {"DRAINED", NULL, NULL},
	[MESSAGE_COMMIT] = {"COMMIT", NULL, NULL},
	[MESSAGE_SAVED] = {"SAVED", NULL, NULL},
	[MESSAGE_READY] = {"READY", NULL, NULL},
	[MESSAGE_ROLLBACK] = {"ROLLBACK", reason_put, reason_get},
	[MESSAGE_RELEASED] = {"RELEASED", NULL, NULL},
	[MESSAGE_OFFER] = {"OFFER", controller_put, controller_get},
	[MESSAGE_MOVE] = {"MOVE", controller_put, controller_get},
	[MESSAGE_ALIVE] = {"ALIVE", NULL, NULL},
	[MESSAGE_CURRENT] = {"CURRENT", NULL, NULL},
	[MESSAGE_LEDGER] = {"LEDGER", ledger_put, ledger_get},
	[MESSAGE_ENTRY] = {"ENTRY", entry_put, entry_get},
	[MESSAGE_ACK] = {"ACK", ack_put, ack_get},
	[MESSAGE_SNAPSHOT] = {"SNAPSHOT", snapshot_put, snapshot_get},
	[MESSAGE_LOADED] = {"LOADED", NULL, NULL},
	[MESSAGE_RESYNC] = {"RESYNC", controller_put, controller_get},
	[MESSAGE_PORTALS] = {"PORTALS", controller_put, controller_get},
	[MESSAGE_HOSTS] = {"HOSTS", blob_put, blob_get},
	[MESSAGE_CONF_PROPOSE] = {"CONF-PROPOSE", conf_put, conf_get},
	[MESSAGE_CONF_READY] = {"CONF-READY", conf_put, conf_get},
	[MESSAGE_CONF_REFUSE] = {"CONF-REFUSE", conf_put, conf_get},
	[MESSAGE_CONF_CANCEL] = {"CONF-CANCEL", conf_put, conf_get},
	[MESSAGE_DRILL] = {"DRILL", drill_put, drill_get},
	[MESSAGE_CONF_DONE] = {"CONF-DONE", controller_put, controller_get},
};

/* ----- the header ---------------------------------------------------------------------------- */

int message_encode(const struct message *msg, void *bytes, size_t size)
{
	struct cursor c = cursor_over(bytes, size);
	size_t end;

	cursor_put_u32(&c, MESSAGE_MAGIC);
	cursor_put_u16(&c, MESSAGE_VERSION);
	cursor_put_u16(&c, MESSAGE_LOWEST);
	cursor_put_u16(&c, (uint16_t)msg->type);
	cursor_put_u8(&c, msg->sender);
	cursor_put_u8(&c, 0);
	cursor_put_u64(&c, msg->incarnation);
	cursor_put_u16(&c, msg->group);
	cursor_put_u16(&c, 0);
	cursor_put_u32(&c, 0);
	cursor_put_u64(&c, msg->epoch);
	cursor_put_u64(&c, msg->op);
	if (rows[msg->type].put) {
		rows[msg->type].put(&c, msg);
	}
	if (!cursor_ok(&c)) {
		return -EMSGSIZE;
	}
	end = c.pos;
	be32_put((uint8_t *)bytes + 24, (uint32_t)(end - MESSAGE_HEADER_BYTES));
	return (int)end;
}

int message_decode(const void *bytes, size_t size, struct message *msg, struct message_state *room)
{
	struct cursor c = cursor_reader(bytes, size);
	uint16_t lowest, type;
	uint32_t length;

	*msg = (struct message){0};
	if (cursor_get_u32(&c) != MESSAGE_MAGIC) {
		return -EBADMSG;
	}
	msg->version = cursor_get_u16(&c);
	lowest = cursor_get_u16(&c);
	type = cursor_get_u16(&c);
	msg->sender = cursor_get_u8(&c);
	cursor_get_u8(&c);
	msg->incarnation = cursor_get_u64(&c);
	msg->group = cursor_get_u16(&c);
	cursor_get_u16(&c);
	length = cursor_get_u32(&c);
	msg->epoch = cursor_get_u64(&c);
	msg->op = cursor_get_u64(&c);
	if (!cursor_ok(&c) || length != cursor_left(&c) || !controller_is_valid(msg->sender)) {
		return -EBADMSG;
	}
	if (lowest > MESSAGE_VERSION || type >= MESSAGE_TYPES || !rows[type].name) {
		return -ENOTSUP;
	}
	msg->type = (enum message_type)type;
	if (rows[type].get && !rows[type].get(&c, msg, room)) {
		return -EBADMSG;
	}
	return cursor_ok(&c) && cursor_left(&c) == 0 ? 0 : -EBADMSG;
}

const char *message_type_name(enum message_type type)
{
	return (unsigned)type < MESSAGE_TYPES && rows[type].name ? rows[type].name : "(none)";
}

const char *message_reason_name(enum message_reason reason)
{
	static const char *const names[MESSAGE_REASONS] = {
		[REASON_TIMEOUT] = "time-out",
		[REASON_STATE] = "state directory cannot be written",
		[REASON_RELEASE] = "the old owner could not flush",
		[REASON_STOP] = "the taker was stopped",
	};

	return (unsigned)reason < MESSAGE_REASONS ? names[reason] : "(none)";
}
