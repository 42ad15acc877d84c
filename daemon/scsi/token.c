/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/scsi/copy_list.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/tasks.h"
#include "daemon/scsi/token.h"
#include "yoke/cursor.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define TOKEN_LENGTH 0x01f8
#define SECRET_AT    448u /* behind what REPORT ALL ROD TOKENS shows */
#define UNMAP_HEADER 8u
#define UNMAP_RANGE  16u

/* A reactor's part in the making of a token. */
struct token_part {
	struct mailbox_msg msg;
	struct reactor_timer timer;
	struct scsi_core *core;
	struct scsi_token *token;
};

struct scsi_token {
	struct qb_list_head link; /* tokens->list, the oldest first */
	struct scsi_tokens *tokens;
	uint8_t bytes[ODX_TOKEN_BYTES];
	struct scsi_lu *lu;
	uint64_t epoch;
	atomic_uint state; /* enum scsi_token_state; changed under the mutex */
	unsigned users; /* with one it neither expires nor goes */
	uint64_t used_ms;
	uint32_t timeout_s;
	unsigned range_count;
	struct odx_range ranges[ODX_RANGES_MAX];
	uint64_t size_bytes;
	/* while it is made, on the task's reactor */
	struct scsi_task *task;
	void (*done)(struct scsi_task *task, struct scsi_token *token);
	unsigned left;
	struct token_part parts[];
};

struct scsi_tokens {
	pthread_mutex_t lock;
	struct qb_list_head list;
	unsigned count;
};

static const char *const state_names[SCSI_TOKEN_STATE_COUNT] = {
	[SCSI_TOKEN_MAKING] = "being made",
	[SCSI_TOKEN_LIVE] = "live",
	[SCSI_TOKEN_REVOKED] = "revoked",
	[SCSI_TOKEN_EXPIRED] = "expired",
	[SCSI_TOKEN_DELETED] = "deleted",
};

const char *scsi_token_state_name(enum scsi_token_state state)
{
	return (unsigned)state < SCSI_TOKEN_STATE_COUNT ? state_names[state] : "unknown";
}

static enum scsi_token_state state_of(const struct scsi_token *token)
{
	return (enum scsi_token_state)atomic_load_explicit(&token->state, memory_order_acquire);
}

static void state_set(struct scsi_token *token, enum scsi_token_state state)
{
	atomic_store_explicit(&token->state, state, memory_order_release);
}

static bool is_alive(const struct scsi_token *token)
{
	return state_of(token) == SCSI_TOKEN_LIVE || state_of(token) == SCSI_TOKEN_MAKING;
}

struct scsi_tokens *scsi_tokens_new(void)
{
	struct scsi_tokens *tokens = calloc(1, sizeof(*tokens));

	if (tokens) {
		pthread_mutex_init(&tokens->lock, NULL);
		qb_list_init(&tokens->list);
	}
	return tokens;
}

static void token_delete(struct scsi_token *token)
{
	qb_list_del(&token->link);
	token->tokens->count--;
	free(token);
}

void scsi_tokens_free(struct scsi_tokens *tokens)
{
	if (!tokens) {
		return;
	}
	while (!qb_list_empty(&tokens->list)) {
		token_delete(qb_list_first_entry(&tokens->list, struct scsi_token, link));
	}
	pthread_mutex_destroy(&tokens->lock);
	free(tokens);
}

/* ----- writes --------------------------------------------------------------------------------- */

/* Does [lba, lba + blocks) touch the token's ranges? */
static bool touches(const struct scsi_token *token, uint64_t lba, uint64_t blocks)
{
	for (unsigned i = 0; i < token->range_count; i++) {
		const struct odx_range *range = &token->ranges[i];

		if (lba < range->lba + range->blocks && range->lba < lba + blocks) {
			return true;
		}
	}
	return false;
}

/* An UNMAP's list is not checked yet: at worst more is revoked than it will unmap. */
static bool unmap_touches(const struct scsi_token *token, const struct scsi_task *task)
{
	struct cursor c =
		cursor_reader(task->out_length ? task->buf->data : NULL, task->out_length);

	cursor_take(&c, UNMAP_HEADER);
	while (cursor_left(&c) >= UNMAP_RANGE) {
		uint64_t lba = cursor_get_u64(&c);
		uint32_t blocks = cursor_get_u32(&c);

		cursor_get_u32(&c);
		if (touches(token, lba, blocks)) {
			return true;
		}
	}
	return false;
}

static bool task_touches(const struct scsi_task *task, const struct scsi_token *token)
{
	if (task->cdb[0] == 0x42) {
		return unmap_touches(token, task);
	}
	/* Without a range of its own it may be the whole LU. */
	return task->blocks == 0 || touches(token, task->lba, task->blocks);
}

static bool is_write(const struct scsi_task *task)
{
	return task->row->flags & SCSI_WRITES && !(task->row->flags & SCSI_BY_OTHERS);
}

/* With the mutex. */
static void expire(struct scsi_tokens *tokens, uint64_t now_ms)
{
	struct scsi_token *token;

	qb_list_for_each_entry (token, &tokens->list, link) {
		if (state_of(token) == SCSI_TOKEN_LIVE && token->users == 0 &&
			now_ms - token->used_ms > token->timeout_s * 1000ull) {
			state_set(token, SCSI_TOKEN_EXPIRED);
		}
	}
}

void scsi_tokens_expire(struct scsi_tokens *tokens, uint64_t now_ms)
{
	pthread_mutex_lock(&tokens->lock);
	expire(tokens, now_ms);
	pthread_mutex_unlock(&tokens->lock);
}

void scsi_tokens_written(struct scsi_task *task)
{
	struct scsi_core *core = task->nexus->core;
	struct scsi_tokens *tokens = core->scsi->tokens;
	struct scsi_token *token;
	bool any = false;

	if (!is_write(task)) {
		return;
	}
	pthread_mutex_lock(&tokens->lock);
	expire(tokens, reactor_now_ms(core->reactor));
	qb_list_for_each_entry (token, &tokens->list, link) {
		if (token->lu != task->lu || !is_alive(token)) {
			continue;
		}
		if (task_touches(task, token)) {
			state_set(token, SCSI_TOKEN_REVOKED);
		} else {
			any = true;
		}
	}
	core->lus[task->lu->index].tokens = any;
	pthread_mutex_unlock(&tokens->lock);
}

/* ----- making --------------------------------------------------------------------------------- */

static void part_look(struct token_part *part);

static void part_timer_fired(struct reactor_timer *timer)
{
	part_look(container_of(timer, struct token_part, timer));
}

/* On the task's reactor. */
static void part_back(struct mailbox_msg *msg)
{
	struct scsi_token *token = container_of(msg, struct token_part, msg)->token;

	if (--token->left > 0) {
		return;
	}
	pthread_mutex_lock(&token->tokens->lock);
	if (state_of(token) == SCSI_TOKEN_MAKING) {
		state_set(token, SCSI_TOKEN_LIVE);
	}
	pthread_mutex_unlock(&token->tokens->lock);
	token->done(token->task, token);
}

/* Is a write to the token's ranges in the store that began before the flag was set? */
static bool older_write(const struct token_part *part)
{
	struct scsi_task *task;

	qb_list_for_each_entry (task, &part->core->lus[part->token->lu->index].tasks, lu_link) {
		if (task->in_store && task->state == SCSI_TASK_RUNNING && is_write(task) &&
			task_touches(task, part->token)) {
			return true;
		}
	}
	return false;
}

static void part_look(struct token_part *part)
{
	struct scsi_token *token = part->token;

	/* A younger one has revoked the token before it went to the store. */
	if (state_of(token) == SCSI_TOKEN_MAKING && older_write(part) &&
		reactor_timer_set(part->core->reactor, &part->timer, SCSI_TOKEN_PAUSE_MS) == 0) {
		return;
	}
	part->msg.fn = part_back;
	reactor_post(token->task->reactor, &part->msg);
}

static void part_arrived(struct mailbox_msg *msg)
{
	struct token_part *part = container_of(msg, struct token_part, msg);

	part->core->lus[part->token->lu->index].tokens = true;
	part_look(part);
}

/* The CSCD descriptor of the LU that the token was made at. */
static void creator_put(struct cursor *c, const struct scsi_lu *lu)
{
	cursor_put_u8(c, COPY_CSCD_IDENTIFICATION);
	cursor_put_zeros(c, 3);
	cursor_put_u8(c, 1); /* binary */
	cursor_put_u8(c, 3); /* NAA of the LU */
	cursor_put_u8(c, 0);
	cursor_put_u8(c, sizeof(lu->naa));
	cursor_put_bytes(c, lu->naa, sizeof(lu->naa));
	cursor_put_zeros(c, COPY_DESIGNATOR_MAX - sizeof(lu->naa) + 1);
	cursor_put_u24(c, lu->block_size);
}

/* SPC-4 5.16.6.5; false when there is no randomness. */
static bool bytes_make(struct scsi_token *token)
{
	struct cursor c = cursor_over(token->bytes, sizeof(token->bytes));
	size_t secret = sizeof(token->bytes) - SECRET_AT;
	uint64_t id;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id) ||
		getrandom(token->bytes + SECRET_AT, secret, 0) != (ssize_t)secret) {
		return false;
	}
	cursor_put_u32(&c, ODX_TYPE_POINT_IN_TIME);
	cursor_put_u16(&c, 0);
	cursor_put_u16(&c, TOKEN_LENGTH);
	cursor_put_u64(&c, id);
	creator_put(&c, token->lu);
	cursor_put_u64(&c, 0);
	cursor_put_u64(&c, token->size_bytes);
	return cursor_ok(&c);
}

/* With the mutex: the oldest that is over makes room. */
static bool room_make(struct scsi_tokens *tokens)
{
	struct scsi_token *token;

	if (tokens->count < SCSI_TOKENS_MAX) {
		return true;
	}
	qb_list_for_each_entry (token, &tokens->list, link) {
		if (!is_alive(token) && token->users == 0) {
			token_delete(token);
			return true;
		}
	}
	return false;
}

static bool token_add(struct scsi_token *token, uint64_t now_ms)
{
	struct scsi_tokens *tokens = token->tokens;
	bool room;

	pthread_mutex_lock(&tokens->lock);
	expire(tokens, now_ms);
	room = room_make(tokens);
	if (room) {
		qb_list_add_tail(&token->link, &tokens->list);
		tokens->count++;
	}
	pthread_mutex_unlock(&tokens->lock);
	return room;
}

struct scsi_token *scsi_token_make(struct scsi_task *task, const struct odx_populate *list,
	void (*done)(struct scsi_task *task, struct scsi_token *token))
{
	struct scsi_core *core = task->nexus->core;
	struct scsi *scsi = core->scsi;
	struct scsi_token *token =
		calloc(1, sizeof(*token) + scsi->core_count * sizeof(token->parts[0]));

	if (!token) {
		task->status = SCSI_BUSY;
		return NULL;
	}
	token->tokens = scsi->tokens;
	token->lu = task->lu;
	token->epoch = core->groups[task->lu->group].view.epoch;
	token->users = 1;
	token->used_ms = reactor_now_ms(core->reactor);
	token->timeout_s = list->timeout_s;
	token->range_count = list->range_count;
	memcpy(token->ranges, list->ranges, sizeof(token->ranges));
	token->size_bytes = list->blocks << task->lu->block_shift;
	token->task = task;
	token->done = done;
	token->left = scsi->core_count;
	state_set(token, SCSI_TOKEN_MAKING);
	if (!bytes_make(token) || !token_add(token, token->used_ms)) {
		free(token);
		scsi_set_sense(task, SENSE_TOKEN_RESOURCES);
		return NULL;
	}
	for (unsigned i = 0; i < scsi->core_count; i++) {
		struct token_part *part = &token->parts[i];

		part->core = &scsi->cores[i];
		part->token = token;
		part->timer.fired = part_timer_fired;
		part->msg.fn = part_arrived;
		reactor_post(part->core->reactor, &part->msg);
	}
	return token;
}

void scsi_token_made(struct scsi_token *token, bool keep)
{
	struct scsi_tokens *tokens = token->tokens;

	pthread_mutex_lock(&tokens->lock);
	token->users--;
	token->task = NULL;
	if (!keep) {
		token_delete(token);
	}
	pthread_mutex_unlock(&tokens->lock);
}

/* ----- use ------------------------------------------------------------------------------------ */

enum scsi_token_state scsi_token_state(const struct scsi_token *token)
{
	return state_of(token);
}

const uint8_t *scsi_token_bytes(const struct scsi_token *token)
{
	return token->bytes;
}

struct scsi_lu *scsi_token_lu(const struct scsi_token *token)
{
	return token->lu;
}

const struct odx_range *scsi_token_ranges(const struct scsi_token *token, unsigned *count)
{
	*count = token->range_count;
	return token->ranges;
}

uint64_t scsi_token_size(const struct scsi_token *token)
{
	return token->size_bytes;
}

/* Is this controller still the one that sees every write to the LU? */
static bool is_ours(const struct scsi_token *token, const struct scsi_core *core)
{
	const struct group_view *view = &core->groups[token->lu->group].view;

	return view->epoch == token->epoch && view->access != GROUP_REMOTE;
}

bool scsi_token_is_fresh(const struct scsi_token *token, struct scsi_core *core, uint64_t epoch)
{
	bool fresh;

	/* With the mutex: a write that landed before the read has revoked before it. */
	pthread_mutex_lock(&token->tokens->lock);
	fresh = epoch == token->epoch && state_of(token) == SCSI_TOKEN_LIVE && is_ours(token, core);
	pthread_mutex_unlock(&token->tokens->lock);
	return fresh;
}

/* How long it takes tells nothing about how much of a guess was right. */
static bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint8_t differs = 0;

	for (size_t i = 0; i < n; i++) {
		differs |= a[i] ^ b[i];
	}
	return differs == 0;
}

static const enum scsi_sense refusals[SCSI_TOKEN_STATE_COUNT] = {
	[SCSI_TOKEN_MAKING] = SENSE_TOKEN_UNKNOWN,
	[SCSI_TOKEN_LIVE] = SENSE_NONE,
	[SCSI_TOKEN_REVOKED] = SENSE_TOKEN_REVOKED,
	[SCSI_TOKEN_EXPIRED] = SENSE_TOKEN_EXPIRED,
	[SCSI_TOKEN_DELETED] = SENSE_TOKEN_DELETED,
};

struct scsi_token *scsi_token_get(
	struct scsi_core *core, const uint8_t bytes[ODX_TOKEN_BYTES], enum scsi_sense *why)
{
	struct scsi_tokens *tokens = core->scsi->tokens;
	struct scsi_token *token, *found = NULL;

	*why = SENSE_TOKEN_UNKNOWN;
	pthread_mutex_lock(&tokens->lock);
	expire(tokens, reactor_now_ms(core->reactor));
	qb_list_for_each_entry (token, &tokens->list, link) {
		if (!bytes_equal(token->bytes, bytes, ODX_TOKEN_BYTES)) {
			continue;
		}
		if (state_of(token) == SCSI_TOKEN_LIVE && !is_ours(token, core)) {
			state_set(token, SCSI_TOKEN_REVOKED);
		}
		*why = refusals[state_of(token)];
		if (*why == SENSE_NONE) {
			token->users++;
			found = token;
		}
		break;
	}
	pthread_mutex_unlock(&tokens->lock);
	return found;
}

void scsi_token_put(struct scsi_core *core, struct scsi_token *token, bool delete_it)
{
	pthread_mutex_lock(&token->tokens->lock);
	token->users--;
	token->used_ms = reactor_now_ms(core->reactor);
	if (delete_it && state_of(token) == SCSI_TOKEN_LIVE) {
		state_set(token, SCSI_TOKEN_DELETED);
	}
	pthread_mutex_unlock(&token->tokens->lock);
}

static bool target_has(const struct scsi_nexus *nexus, const struct scsi_lu *lu)
{
	const struct scsi_target *target = nexus->target;

	for (unsigned i = 0; target && i < target->unit_count; i++) {
		if (target->units[i].lu == lu->index) {
			return true;
		}
	}
	return false;
}

void scsi_tokens_each(const struct scsi_nexus *nexus,
	void (*fn)(void *arg, const struct scsi_token *token), void *arg)
{
	struct scsi_tokens *tokens = nexus->core->scsi->tokens;
	struct scsi_token *token;

	pthread_mutex_lock(&tokens->lock);
	expire(tokens, reactor_now_ms(nexus->core->reactor));
	qb_list_for_each_entry (token, &tokens->list, link) {
		if (state_of(token) == SCSI_TOKEN_LIVE && is_ours(token, nexus->core) &&
			target_has(nexus, token->lu)) {
			fn(arg, token);
		}
	}
	pthread_mutex_unlock(&tokens->lock);
}
