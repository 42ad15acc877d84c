// SPDX-License-Identifier: BSD-3-Clause
/*
 * Just-in-time linearization (Lowe 2017). The events of an object are walked in order of time with
 * the set of all states that explain what was seen so far. A state is the object's value and which
 * of the open operations have taken effect. A call opens an operation; nothing else happens. At an
 * answer every state must have that operation in effect with this answer: those that have not are
 * extended by all orders of open operations that end with it; those that cannot be are dropped.
 * No state left: nothing explains this answer.
 *
 * An operation without an answer stays open to the end, and nobody waits for it: of two states that
 * differ only in such operations, the one with fewer of them in effect can become all that the
 * other can. Only that one is kept; otherwise each unanswered operation would double their number.
 */
#include "tests/checker/check.h"

#include <stdlib.h>
#include <string.h>

#define CHECK_OPEN_MAX	 64
#define CHECK_STATES_MAX (1u << 20)

struct state {
	uint64_t value;
	uint64_t done; /* bits by place in open[] */
	uint32_t next; /* of the same key, index + 1 */
};

/* By key: the value and which operations are in effect of those that have an answer. */
struct states {
	struct state *all;
	unsigned count, room;
	uint32_t *slots; /* open hash: index of the last state of a key + 1 */
	unsigned mask;
	uint64_t unanswered; /* bits of places in open[] that are no part of a key */
};

struct walk {
	const struct history_op *open[CHECK_OPEN_MAX];
	uint64_t used; /* bits of places in open[] */
	uint64_t lookers; /* ... of those who change nothing */
	uint64_t unanswered; /* ... of those whose outcome is MAYBE */
	struct states now, next, search;
	bool gave_up;
	unsigned most;
};

struct event {
	uint64_t at_ns;
	uint32_t op; /* index */
	bool answer;
};

/* ----- sets of states ------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static void states_clear(struct states *s, uint64_t unanswered)
{
	if (s->count) {
		memset(s->slots, 0, (s->mask + 1u) * sizeof(*s->slots));
	}
	s->count = 0;
	s->unanswered = unanswered;
}

static void states_free(struct states *s)
{
	free(s->all);
	free(s->slots);
}

static uint32_t *slot_of(const struct states *s, const struct state *state)
{
	uint64_t done = state->done & ~s->unanswered;
	unsigned at = (unsigned)mix(state->value * 31 + mix(done)) & s->mask;

	while (s->slots[at]) {
		const struct state *other = &s->all[s->slots[at] - 1];

		if (other->value == state->value && (other->done & ~s->unanswered) == done) {
			break;
		}
		at = (at + 1) & s->mask;
	}
	return &s->slots[at];
}

static void states_put(struct states *s, unsigned index)
{
	uint32_t *slot = slot_of(s, &s->all[index]);

	s->all[index].next = *slot;
	*slot = index + 1;
}

static void states_grow(struct states *s)
{
	s->room = s->room ? s->room * 2 : 32;
	s->mask = s->room * 2 - 1;
	s->all = realloc(s->all, s->room * sizeof(*s->all));
	free(s->slots);
	s->slots = calloc(s->mask + 1u, sizeof(*s->slots));
	if (!s->all || !s->slots) {
		abort(); /* a test program: out of memory is the end */
	}
	for (unsigned i = 0; i < s->count; i++) {
		states_put(s, i);
	}
}

/* Unless one is there that can become all that this one can. */
static void states_add(struct states *s, struct state state)
{
	if (s->count == s->room) {
		states_grow(s);
	}
	for (uint32_t at = *slot_of(s, &state); at; at = s->all[at - 1].next) {
		if (!(s->all[at - 1].done & ~state.done)) {
			return;
		}
	}
	s->all[s->count++] = state;
	states_put(s, s->count - 1);
}

/* ----- what operations do --------------------------------------------------------------------- */

/* A lock's value: its holder plus 1 in the low bits, above them a bit for each registered client.
 */
#define LOCK_HOLDER 0xffffull

static uint64_t lock_bit(uint64_t client)
{
	return (LOCK_HOLDER + 1) << client;
}

static bool lock_is_open_to(uint64_t lock, const struct history_op *op)
{
	return !(lock & LOCK_HOLDER) || (lock & LOCK_HOLDER) == (uint64_t)op->client + 1;
}

/* What an operation does to a lock; false = it is refused. */
static bool lock_effect(const struct history_op *op, uint64_t *lock)
{
	bool registered = *lock & lock_bit(op->client);
	uint64_t me = (uint64_t)op->client + 1, holder = *lock & LOCK_HOLDER;

	switch ((enum history_kind)op->kind) {
	case HISTORY_REGISTER:
		*lock |= lock_bit(op->client);
		return true;
	case HISTORY_ACQUIRE:
		if (!registered || !lock_is_open_to(*lock, op)) {
			return false;
		}
		*lock = (*lock & ~LOCK_HOLDER) | me;
		return true;
	case HISTORY_RELEASE:
		*lock = holder == me ? *lock & ~LOCK_HOLDER : *lock;
		return registered;
	case HISTORY_PREEMPT:
		if (!registered || !(*lock & lock_bit(op->expected))) {
			return false;
		}
		*lock &= ~lock_bit(op->expected);
		*lock = holder == op->expected + 1 ? (*lock & ~LOCK_HOLDER) | me : *lock;
		return true;
	case HISTORY_USE:
		return lock_is_open_to(*lock, op);
	case HISTORY_READ:
	case HISTORY_WRITE:
	case HISTORY_SWAP:
		break;
	}
	return false;
}

/* Sent twice, an operation may have won the first time and been refused for that the second. */
static bool answer_fits(const struct history_op *op, bool good)
{
	switch ((enum history_outcome)op->outcome) {
	case HISTORY_OK:
		return good;
	case HISTORY_NO:
		return !good || op->attempts > 1;
	case HISTORY_MAYBE:
		return true;
	}
	return false;
}

/*
 * Lets an operation take effect on a value. False when it could not have had its answer then.
 */
static bool take_effect(const struct history_op *op, uint64_t *value)
{
	bool good;

	switch ((enum history_kind)op->kind) {
	case HISTORY_READ:
		return op->outcome == HISTORY_MAYBE || *value == op->value;
	case HISTORY_WRITE:
		*value = op->value;
		return op->outcome != HISTORY_NO;
	case HISTORY_SWAP:
		good = *value == op->expected;
		if (!answer_fits(op, good)) {
			return false;
		}
		*value = good ? op->value : *value;
		return true;
	case HISTORY_ACQUIRE:
	case HISTORY_RELEASE:
	case HISTORY_PREEMPT:
	case HISTORY_REGISTER:
		return answer_fits(op, lock_effect(op, value));
	case HISTORY_USE: /* sent twice, it is the last answer that counts */
		return op->outcome == HISTORY_MAYBE ||
		       lock_effect(op, value) == (op->outcome == HISTORY_OK);
	}
	return false;
}

/* Who only looks, and is told that it was in vain included. */
static bool changes(const struct history_op *op)
{
	bool vain = op->outcome == HISTORY_NO && op->attempts < 2;

	return op->kind != HISTORY_READ && op->kind != HISTORY_USE && !vain;
}

/* ----- the walk ------------------------------------------------------------------------------- */

/*
 * Those who only look are in effect as soon as they can be: that changes nothing for the others,
 * and to wait longer would be no better.
 */
static struct state settled(const struct walk *w, struct state state)
{
	for (uint64_t left = w->lookers & ~state.done; left; left &= left - 1) {
		unsigned p = (unsigned)__builtin_ctzll(left);
		uint64_t value = state.value;

		if (take_effect(w->open[p], &value)) {
			state.done |= 1ull << p;
		}
	}
	return state;
}

/* Adds to `all` what follows from `from` by one more operation in effect. */
static void extend(struct walk *w, struct state from, struct states *all)
{
	for (uint64_t left = w->used & ~w->lookers; left; left &= left - 1) {
		unsigned p = (unsigned)__builtin_ctzll(left);
		const struct history_op *op = w->open[p];
		struct state to = from;

		if ((from.done & 1ull << p && op->attempts < 2) || !take_effect(op, &to.value)) {
			continue;
		}
		if (op->outcome == HISTORY_MAYBE && to.value == from.value) {
			continue; /* nobody waits for its answer: to keep it for later is no worse
				   */
		}
		to.done |= 1ull << p;
		states_add(all, settled(w, to));
	}
}

/* All states that follow from those of `now` and have the operation at `place` in effect. */
static void answer(struct walk *w, unsigned place)
{
	uint64_t bit = 1ull << place;
	struct states *all = &w->search, *good = &w->next, swap;

	states_clear(all, w->unanswered);
	states_clear(good, w->unanswered);
	for (unsigned i = 0; i < w->now.count; i++) {
		states_add(all, settled(w, w->now.all[i]));
	}
	/* It grows while it is walked: a search in breadth. */
	for (unsigned i = 0; i < all->count && !w->gave_up; i++) {
		struct state from = all->all[i];

		if (from.done & bit) {
			states_add(good, (struct state){from.value, from.done & ~bit, 0});
			if (w->open[place]->attempts < 2) {
				continue; /* what else is open can wait for its own answer */
			}
		}
		extend(w, from, all);
		w->gave_up = all->count > CHECK_STATES_MAX;
	}
	if (all->count > w->most) {
		w->most = all->count;
	}
	w->used &= ~bit;
	w->lookers &= ~bit;
	swap = w->now;
	w->now = w->next;
	w->next = swap;
}

static int event_compare(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->at_ns != y->at_ns) {
		return x->at_ns < y->at_ns ? -1 : 1;
	}
	if (x->answer != y->answer) {
		return x->answer ? 1 : -1; /* at the same moment: they overlap */
	}
	return x->op < y->op ? -1 : x->op > y->op;
}

/* What became of an operation without an answer does not matter if nobody can have seen it. */
static bool is_seen(const struct history_op *ops, size_t count, const struct history_op *op)
{
	if (op->outcome != HISTORY_MAYBE || op->sector == HISTORY_LOCK) {
		return true;
	}
	for (size_t i = 0; i < count; i++) {
		const struct history_op *by = &ops[i];

		if (by->kind == HISTORY_SWAP && by != op &&
			(by->outcome == HISTORY_NO || by->expected == op->value)) {
			return true;
		}
		if (by->kind == HISTORY_READ && by->outcome == HISTORY_OK &&
			by->value == op->value) {
			return true;
		}
	}
	return false;
}

static void complain(struct check_result *result, const struct walk *w, const struct history_op *op,
	const struct states *before)
{
	result->linearizable = w->gave_up;
	result->gave_up = w->gave_up;
	result->op = *op;
	result->could_be_count = 0;
	for (unsigned i = 0; i < before->count && result->could_be_count < 4; i++) {
		result->could_be[result->could_be_count++] = before->all[i].value;
	}
}

static void open_add(struct walk *w, const struct history_op *op)
{
	unsigned place = (unsigned)__builtin_ctzll(~w->used);

	w->open[place] = op;
	w->used |= 1ull << place;
	if (!changes(op)) {
		w->lookers |= 1ull << place;
	}
	if (op->outcome == HISTORY_MAYBE) {
		w->unanswered |= 1ull << place;
	}
}

/* One object, its operations in ops[count]; false with the reason in *result. */
static bool object_check(struct walk *w, const struct history_op *ops, size_t count,
	struct event *events, struct check_result *result)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (ops[i].kind == HISTORY_READ && ops[i].outcome == HISTORY_MAYBE) {
			continue;
		}
		if (!is_seen(ops, count, &ops[i])) {
			continue;
		}
		events[n++] = (struct event){ops[i].invoked_ns, (uint32_t)i, false};
		if (ops[i].outcome != HISTORY_MAYBE) {
			events[n++] = (struct event){ops[i].returned_ns, (uint32_t)i, true};
		}
	}
	qsort(events, n, sizeof(*events), event_compare);
	w->used = 0;
	w->lookers = 0;
	w->unanswered = 0;
	states_clear(&w->now, 0);
	states_add(&w->now, (struct state){0, 0, 0});
	for (size_t i = 0; i < n; i++) {
		const struct history_op *op = &ops[events[i].op];

		if (!events[i].answer) {
			if (!~w->used) {
				w->gave_up = true;
				complain(result, w, op, &w->now);
				return false;
			}
			open_add(w, op);
			continue;
		}
		for (unsigned p = 0; p < CHECK_OPEN_MAX; p++) {
			if (w->used & 1ull << p && w->open[p] == op) {
				answer(w, p);
				break;
			}
		}
		if (w->gave_up || !w->now.count) {
			complain(result, w, op, &w->next);
			return false;
		}
	}
	return true;
}

static int object_compare(const void *a, const void *b)
{
	const struct history_op *x = a, *y = b;

	if (x->unit != y->unit) {
		return x->unit < y->unit ? -1 : 1;
	}
	if (x->sector != y->sector) {
		return x->sector < y->sector ? -1 : 1;
	}
	if (x->invoked_ns != y->invoked_ns) {
		return x->invoked_ns < y->invoked_ns ? -1 : 1;
	}
	return x->id < y->id ? -1 : x->id > y->id;
}

struct check_result check_history(struct history *history)
{
	struct check_result result = {.linearizable = true, .ops = history->count};
	struct event *events = malloc((history->count * 2 + 1) * sizeof(*events));
	struct walk walk = {0};
	size_t from = 0;

	if (!events) {
		abort();
	}
	if (history->count) {
		qsort(history->ops, history->count, sizeof(*history->ops), object_compare);
	}
	while (from < history->count) {
		const struct history_op *first = &history->ops[from];
		size_t to = from;

		while (to < history->count && history->ops[to].unit == first->unit &&
			history->ops[to].sector == first->sector) {
			to++;
		}
		result.objects++;
		if (!object_check(&walk, first, to - from, events, &result)) {
			break;
		}
		from = to;
	}
	result.most_states = walk.most;
	states_free(&walk.now);
	states_free(&walk.next);
	states_free(&walk.search);
	free(events);
	return result;
}
