/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "daemon/scsi/state.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define STATE_VERSION  1
#define STATE_APTPL    0x01
#define STATE_RESERVED 0x02
#define STATE_INFO     0x04
#define STATE_REACHED  0x08 /* a threshold is reached */
#define STATE_SANITIZE 0x10
#define STATE_INTENT   0x20
#define STATE_ALL      0x3f

enum {
	TYPE_EXISTS = 1 << 0,
	TYPE_SHARED = 1 << 1, /* every registrant may do what the holder may */
	TYPE_ALL = 1 << 2, /* and is a holder */
	TYPE_EXCLUSIVE = 1 << 3, /* reads conflict too */
};

static const struct {
	const char *name;
	uint8_t is;
} types[SCSI_PR_TYPE_COUNT] = {
	[SCSI_PR_NONE] = {"none", 0},
	[SCSI_PR_WRITE_EXCLUSIVE] = {"write exclusive", TYPE_EXISTS},
	[SCSI_PR_EXCLUSIVE_ACCESS] = {"exclusive access", TYPE_EXISTS | TYPE_EXCLUSIVE},
	[SCSI_PR_WRITE_EXCLUSIVE_REGISTRANTS] = {"write exclusive, registrants only",
		TYPE_EXISTS | TYPE_SHARED},
	[SCSI_PR_EXCLUSIVE_ACCESS_REGISTRANTS] = {"exclusive access, registrants only",
		TYPE_EXISTS | TYPE_SHARED | TYPE_EXCLUSIVE},
	[SCSI_PR_WRITE_EXCLUSIVE_ALL] = {"write exclusive, all registrants",
		TYPE_EXISTS | TYPE_SHARED | TYPE_ALL},
	[SCSI_PR_EXCLUSIVE_ACCESS_ALL] = {"exclusive access, all registrants",
		TYPE_EXISTS | TYPE_SHARED | TYPE_ALL | TYPE_EXCLUSIVE},
};

static bool type_is(unsigned type, uint8_t what)
{
	return type < SCSI_PR_TYPE_COUNT && types[type].is & what;
}

const char *scsi_pr_type_name(unsigned type)
{
	return type < SCSI_PR_TYPE_COUNT ? types[type].name : NULL;
}

bool scsi_pr_type_exists(unsigned type)
{
	return type_is(type, TYPE_EXISTS);
}

bool scsi_pr_type_is_all(unsigned type)
{
	return type_is(type, TYPE_ALL);
}

bool scsi_pr_type_is_shared(unsigned type)
{
	return type_is(type, TYPE_SHARED);
}

bool scsi_pr_type_is_exclusive(unsigned type)
{
	return type_is(type, TYPE_EXCLUSIVE);
}

void scsi_state_clear(struct scsi_state *state)
{
	free(state->registrants);
	free(state->sanitize);
	free(state->intent);
	*state = (struct scsi_state){.holder = SCSI_NO_REGISTRANT};
}

bool scsi_state_is_clear(const struct scsi_state *state)
{
	return !state->generation && !state->count && !state->aptpl && !state->reserved &&
	       !state->mode && !state->saved_mode && !state->done_count && !state->info_length &&
	       !state->reached && !state->sanitize && !state->intent;
}

struct scsi_sanitize *scsi_sanitize_new(void)
{
	struct scsi_sanitize *sanitize = calloc(1, sizeof(*sanitize));

	if (!sanitize) {
		/* The other controllers apply this entry: this one must not differ. */
		log_err("out of memory for a sanitize operation; the daemon ends so that the other "
			"controller can take over");
		abort();
	}
	return sanitize;
}

bool scsi_identity_equal(const struct scsi_identity *a, const struct scsi_identity *b)
{
	return a->rtpi == b->rtpi && a->controller == b->controller &&
	       memcmp(a->isid, b->isid, 6) == 0 && strcmp(a->initiator, b->initiator) == 0 &&
	       strcmp(a->target, b->target) == 0;
}

struct scsi_intent *scsi_intent_new(uint64_t id, uint64_t at_bytes, uint32_t total)
{
	struct scsi_intent *intent = calloc(1, sizeof(*intent) + total);

	if (!intent) {
		/* The other controllers apply this entry: this one must not differ. */
		log_err("out of memory for an atomic write; the daemon ends so that the other "
			"controller can take over");
		abort();
	}
	intent->id = id;
	intent->at_bytes = at_bytes;
	intent->total = total;
	return intent;
}

/* ----- registrants ---------------------------------------------------------------------------- */

uint16_t scsi_state_find(const struct scsi_state *state, const struct scsi_identity *who)
{
	for (uint16_t i = 0; i < state->count; i++) {
		if (scsi_identity_equal(&state->registrants[i].who, who)) {
			return i;
		}
	}
	return SCSI_NO_REGISTRANT;
}

void scsi_state_add(struct scsi_state *state, uint64_t key, const struct scsi_identity *who)
{
	if (state->count == state->room) {
		uint16_t room = state->room ? (uint16_t)(2 * state->room) : 4;
		struct scsi_registrant *more = realloc(state->registrants, room * sizeof(*more));

		if (!more) {
			/* The other controllers apply this entry: this one must not differ. */
			log_err("out of memory for a registration; the daemon ends so that the "
				"other controller can take over");
			abort();
		}
		state->registrants = more;
		state->room = room;
	}
	state->registrants[state->count++] = (struct scsi_registrant){.key = key, .who = *who};
}

void scsi_state_remove(struct scsi_state *state, uint16_t at)
{
	state->count--;
	memmove(state->registrants + at, state->registrants + at + 1,
		(size_t)(state->count - at) * sizeof(*state->registrants));
	if (state->holder == SCSI_NO_REGISTRANT) {
		return;
	}
	if (state->holder == at) {
		state->holder = SCSI_NO_REGISTRANT;
	} else if (state->holder > at) {
		state->holder--;
	}
}

bool scsi_state_holds(const struct scsi_state *state, uint16_t at)
{
	return at != SCSI_NO_REGISTRANT && state->type &&
	       (scsi_pr_type_is_all(state->type) || state->holder == at);
}

/* ----- what has been done --------------------------------------------------------------------- */

bool scsi_state_done_get(const struct scsi_state *state, uint64_t serial, uint32_t *result)
{
	for (unsigned i = 0; serial && i < state->done_count; i++) {
		if (state->done[i].serial == serial) {
			*result = state->done[i].result;
			return true;
		}
	}
	return false;
}

void scsi_state_done_put(struct scsi_state *state, uint64_t serial, uint32_t result)
{
	if (!serial) {
		return;
	}
	if (state->done_count == SCSI_DONE_MAX) {
		state->done_count--;
		memmove(state->done, state->done + 1, state->done_count * sizeof(state->done[0]));
	}
	state->done[state->done_count++] = (struct scsi_done){.serial = serial, .result = result};
}

void scsi_state_cool(struct scsi_state *state)
{
	state->generation = 0;
	state->reserved = false;
	memset(&state->reserver, 0, sizeof(state->reserver));
	state->mode = state->saved_mode;
	state->done_count = 0;
	state->reached = 0; /* armed anew: whoever powers on is told again */
	if (!state->aptpl) {
		state->count = 0;
		state->type = SCSI_PR_NONE;
		state->holder = SCSI_NO_REGISTRANT;
	}
}

/* ----- bytes ---------------------------------------------------------------------------------- */

void scsi_identity_put(struct cursor *c, const struct scsi_identity *who)
{
	cursor_put_u16(c, who->rtpi);
	cursor_put_bytes(c, who->isid, sizeof(who->isid));
	cursor_put_string(c, who->initiator);
	cursor_put_string(c, who->target);
}

bool scsi_identity_get(struct cursor *c, struct scsi_identity *who)
{
	memset(who, 0, sizeof(*who));
	who->rtpi = cursor_get_u16(c);
	who->controller = (uint8_t)(who->rtpi >> 8);
	cursor_get_bytes(c, who->isid, sizeof(who->isid));
	cursor_get_string(c, who->initiator, sizeof(who->initiator));
	cursor_get_string(c, who->target, sizeof(who->target));
	if (!who->initiator[0] || !who->target[0] || who->controller < 1 ||
		who->controller > YOKE_CONTROLLERS) {
		c->bad = true;
	}
	return cursor_ok(c);
}

#define SANITIZE_UNRESTRICTED 0x01
#define SANITIZE_INVERT	      0x02

static void sanitize_put(struct cursor *c, const struct scsi_sanitize *sanitize)
{
	cursor_put_u64(c, sanitize->id);
	cursor_put_u8(c, sanitize->phase);
	cursor_put_u8(c, sanitize->method);
	cursor_put_u8(c, (uint8_t)((sanitize->unrestricted ? SANITIZE_UNRESTRICTED : 0) |
				   (sanitize->invert ? SANITIZE_INVERT : 0)));
	cursor_put_u8(c, sanitize->passes);
	cursor_put_u8(c, sanitize->pass);
	cursor_put_u64(c, sanitize->bytes);
	cursor_put_u16(c, sanitize->pattern_length);
	cursor_put_bytes(c, sanitize->pattern, sanitize->pattern_length);
}

int scsi_state_put(const struct scsi_state *state, uint8_t *bytes, size_t size)
{
	struct cursor c = cursor_over(bytes, size);

	if (scsi_state_is_clear(state)) {
		return 0;
	}
	cursor_put_u8(&c, STATE_VERSION);
	cursor_put_u8(&c, STATE_VERSION); /* the oldest reader that understands this */
	cursor_put_u32(&c, state->generation);
	cursor_put_u8(&c, (uint8_t)((state->aptpl ? STATE_APTPL : 0) |
				    (state->reserved ? STATE_RESERVED : 0) |
				    (state->info_length ? STATE_INFO : 0) |
				    (state->reached ? STATE_REACHED : 0) |
				    (state->sanitize ? STATE_SANITIZE : 0) |
				    (state->intent ? STATE_INTENT : 0)));
	cursor_put_u8(&c, state->mode);
	cursor_put_u8(&c, state->saved_mode);
	cursor_put_u8(&c, state->type);
	cursor_put_u16(&c, state->holder);
	cursor_put_u16(&c, state->count);
	for (unsigned i = 0; i < state->count; i++) {
		cursor_put_u64(&c, state->registrants[i].key);
		scsi_identity_put(&c, &state->registrants[i].who);
	}
	if (state->reserved) {
		scsi_identity_put(&c, &state->reserver);
	}
	if (state->info_length) {
		cursor_put_u8(&c, state->info_length);
		cursor_put_bytes(&c, state->info, state->info_length);
	}
	if (state->reached) {
		cursor_put_u8(&c, state->reached);
	}
	if (state->sanitize) {
		sanitize_put(&c, state->sanitize);
	}
	if (state->intent) {
		cursor_put_u64(&c, state->intent->id);
		cursor_put_u64(&c, state->intent->at_bytes);
		cursor_put_u32(&c, state->intent->total);
		cursor_put_u32(&c, state->intent->have);
		cursor_put_bytes(&c, state->intent->data, state->intent->have);
	}
	cursor_put_u8(&c, state->done_count);
	for (unsigned i = 0; i < state->done_count; i++) {
		cursor_put_u64(&c, state->done[i].serial);
		cursor_put_u32(&c, state->done[i].result);
	}
	return cursor_ok(&c) ? (int)c.pos : -EMSGSIZE;
}

static void registrants_get(struct scsi_state *state, struct cursor *c)
{
	unsigned count = cursor_get_u16(c);

	if (count > SCSI_REGISTRANTS_MAX) {
		c->bad = true;
	}
	for (unsigned i = 0; cursor_ok(c) && i < count; i++) {
		struct scsi_identity who;
		uint64_t key = cursor_get_u64(c);

		if (!scsi_identity_get(c, &who) || !key ||
			scsi_state_find(state, &who) != SCSI_NO_REGISTRANT) {
			c->bad = true;
			return;
		}
		scsi_state_add(state, key, &who);
	}
}

static bool reservation_is_sound(const struct scsi_state *state)
{
	if (state->type == SCSI_PR_NONE || scsi_pr_type_is_all(state->type)) {
		return state->holder == SCSI_NO_REGISTRANT &&
		       (state->count || state->type == SCSI_PR_NONE);
	}
	return scsi_pr_type_exists(state->type) && state->holder < state->count;
}

static void done_get(struct scsi_state *state, struct cursor *c)
{
	unsigned count = cursor_get_u8(c);

	if (count > SCSI_DONE_MAX) {
		c->bad = true;
	}
	for (unsigned i = 0; cursor_ok(c) && i < count; i++) {
		uint64_t serial = cursor_get_u64(c);

		c->bad |= !serial;
		scsi_state_done_put(state, serial, cursor_get_u32(c));
	}
}

static void info_get(struct scsi_state *state, struct cursor *c)
{
	state->info_length = cursor_get_u8(c);
	if (state->info_length == 0 || state->info_length > SCSI_IDENTIFYING_MAX) {
		state->info_length = 0;
		c->bad = true;
	}
	cursor_get_bytes(c, state->info, state->info_length);
}

static void sanitize_get(struct scsi_state *state, struct cursor *c)
{
	struct scsi_sanitize *sanitize = scsi_sanitize_new();
	uint8_t options;

	state->sanitize = sanitize;
	sanitize->id = cursor_get_u64(c);
	sanitize->phase = cursor_get_u8(c);
	sanitize->method = cursor_get_u8(c);
	options = cursor_get_u8(c);
	sanitize->unrestricted = options & SANITIZE_UNRESTRICTED;
	sanitize->invert = options & SANITIZE_INVERT;
	sanitize->passes = cursor_get_u8(c);
	sanitize->pass = cursor_get_u8(c);
	sanitize->bytes = cursor_get_u64(c);
	sanitize->pattern_length = cursor_get_u16(c);
	if ((sanitize->phase != SCSI_SANITIZE_RUNNING && sanitize->phase != SCSI_SANITIZE_FAILED) ||
		(sanitize->method != SCSI_SANITIZE_OVERWRITE &&
			sanitize->method != SCSI_SANITIZE_BLOCK_ERASE) ||
		options & ~(SANITIZE_UNRESTRICTED | SANITIZE_INVERT) ||
		sanitize->passes > SCSI_SANITIZE_PASSES_MAX || sanitize->pass >= sanitize->passes ||
		sanitize->pattern_length > SCSI_SANITIZE_PATTERN_MAX) {
		sanitize->pattern_length = 0;
		c->bad = true;
	}
	cursor_get_bytes(c, sanitize->pattern, sanitize->pattern_length);
}

static void intent_get(struct scsi_state *state, struct cursor *c)
{
	uint64_t id = cursor_get_u64(c);
	uint64_t at_bytes = cursor_get_u64(c);
	uint32_t total = cursor_get_u32(c);
	uint32_t have = cursor_get_u32(c);

	if (total > SCSI_INTENT_BYTES_MAX || have > total || !cursor_ok(c)) {
		c->bad = true;
		return;
	}
	state->intent = scsi_intent_new(id, at_bytes, total);
	state->intent->have = have;
	cursor_get_bytes(c, state->intent->data, have);
}

int scsi_state_get(struct scsi_state *state, const uint8_t *bytes, size_t length)
{
	struct cursor c = cursor_reader(bytes, length);
	uint8_t flags;

	scsi_state_clear(state);
	if (length == 0) {
		return 0;
	}
	cursor_get_u8(&c); /* who wrote it; what matters is who can read it */
	if (cursor_get_u8(&c) != STATE_VERSION) {
		return -EBADMSG;
	}
	state->generation = cursor_get_u32(&c);
	flags = cursor_get_u8(&c);
	state->aptpl = flags & STATE_APTPL;
	state->reserved = flags & STATE_RESERVED;
	state->mode = cursor_get_u8(&c);
	state->saved_mode = cursor_get_u8(&c);
	state->type = cursor_get_u8(&c);
	state->holder = cursor_get_u16(&c);
	registrants_get(state, &c);
	if (state->reserved) {
		scsi_identity_get(&c, &state->reserver);
	}
	if (flags & STATE_INFO) {
		info_get(state, &c);
	}
	if (flags & STATE_REACHED) {
		state->reached = cursor_get_u8(&c);
		c.bad |= !state->reached || state->reached & ~SCSI_REACHED_ALL;
	}
	if (flags & STATE_SANITIZE) {
		sanitize_get(state, &c);
	}
	if (flags & STATE_INTENT) {
		intent_get(state, &c);
	}
	done_get(state, &c);
	if (!cursor_ok(&c) || cursor_left(&c) || flags & ~STATE_ALL ||
		state->mode & ~SCSI_MODE_ALL || state->saved_mode & ~SCSI_MODE_ALL ||
		!reservation_is_sound(state)) {
		scsi_state_clear(state);
		return -EBADMSG;
	}
	return 0;
}
