// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated array: every operation takes effect at one moment between its call and its answer,
 * drawn by lot; the events are sorted by that moment and played on real registers and locks.
 */
#include <stdlib.h>

#include "tests/checker/mutate.h"

#define GENERATE_UNITS	  2u
#define GENERATE_LASTS_NS 1000u /* at most, from call to answer */

uint64_t mutate_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static unsigned below(uint64_t *state, unsigned limit)
{
	return (unsigned)(mutate_random(state) % limit);
}

struct effect {
	uint64_t at_ns;
	size_t op;
	bool never;
};

static int effect_compare(const void *a, const void *b)
{
	const struct effect *x = a, *y = b;

	if (x->at_ns != y->at_ns) {
		return x->at_ns < y->at_ns ? -1 : 1;
	}
	return x->op < y->op ? -1 : x->op > y->op;
}

static const uint8_t register_kinds[] = {
	HISTORY_READ, HISTORY_READ, HISTORY_READ, HISTORY_WRITE, HISTORY_WRITE, HISTORY_SWAP};
static const uint8_t lock_kinds[] = {HISTORY_REGISTER, HISTORY_REGISTER, HISTORY_ACQUIRE,
	HISTORY_ACQUIRE, HISTORY_ACQUIRE, HISTORY_USE, HISTORY_USE, HISTORY_RELEASE,
	HISTORY_RELEASE, HISTORY_PREEMPT};

static void op_draw(const struct generate_options *o, uint64_t *random, struct history_op *op)
{
	bool lock = below(random, 5) == 0;

	op->unit = below(random, GENERATE_UNITS);
	op->sector = lock ? HISTORY_LOCK : below(random, o->sectors);
	op->kind = lock ? lock_kinds[below(random, sizeof(lock_kinds))]
			: register_kinds[below(random, sizeof(register_kinds))];
	op->value = op->kind == HISTORY_WRITE || op->kind == HISTORY_SWAP ? op->id : 0;
	if (op->kind == HISTORY_PREEMPT) {
		op->expected = (op->client + 1 + below(random, o->clients - 1)) % o->clients;
	}
	op->attempts = below(random, 100) < o->again_percent ? 2 : 1;
	op->outcome = below(random, 100) < o->maybe_percent ? HISTORY_MAYBE : HISTORY_OK;
}

/* A persistent reservation: who holds it (number plus 1), and who is registered. */
struct lock {
	uint32_t holder;
	bool registered[HISTORY_CLIENTS_MAX];
};

/* Plays an operation on a lock; false = it is refused. */
static bool lock_play(const struct history_op *op, struct lock *lock)
{
	bool mine = lock->holder == op->client + 1;
	bool *victim = &lock->registered[op->expected];

	if (op->kind == HISTORY_USE) {
		return mine || !lock->holder;
	}
	if (op->kind == HISTORY_REGISTER) {
		lock->registered[op->client] = true;
		return true;
	}
	if (!lock->registered[op->client]) {
		return false;
	}
	if (op->kind == HISTORY_RELEASE) {
		lock->holder = mine ? 0 : lock->holder;
		return true;
	}
	if (op->kind == HISTORY_PREEMPT) {
		if (!*victim) {
			return false;
		}
		*victim = false;
		lock->holder = lock->holder == op->expected + 1 ? op->client + 1 : lock->holder;
		return true;
	}
	if (lock->holder && !mine) {
		return false;
	}
	lock->holder = op->client + 1;
	return true;
}

/* Plays an operation; a COMPARE AND WRITE expects what is there, three times out of four. */
static void op_play(
	struct history_op *op, uint64_t *value, struct lock *lock, uint64_t *random, bool first)
{
	bool good = true;

	switch ((enum history_kind)op->kind) {
	case HISTORY_READ:
		op->value = *value;
		break;
	case HISTORY_WRITE:
		*value = op->value;
		break;
	case HISTORY_SWAP:
		if (first) {
			op->expected = below(random, 4) ? *value : *value + 1;
		}
		good = op->expected == *value;
		*value = good ? op->value : *value;
		break;
	case HISTORY_ACQUIRE:
	case HISTORY_RELEASE:
	case HISTORY_PREEMPT:
	case HISTORY_USE:
	case HISTORY_REGISTER:
		good = lock_play(op, lock);
		break;
	}
	if (!good && op->outcome == HISTORY_OK) {
		op->outcome = HISTORY_NO;
	}
}

void generate(struct history *history, const struct generate_options *o)
{
	struct effect *effects = calloc((size_t)o->ops * 2, sizeof(*effects));
	uint64_t *free_ns = calloc(o->clients, sizeof(*free_ns));
	uint64_t *values = calloc(GENERATE_UNITS * (o->sectors + 1u), sizeof(*values));
	struct lock locks[GENERATE_UNITS] = {0};
	uint64_t random = o->seed;
	size_t count = 0;

	if (!effects || !free_ns || !values) {
		abort();
	}
	for (unsigned i = 0; i < o->ops; i++) {
		struct history_op op = {.id = i + 1, .client = below(&random, o->clients)};
		uint64_t lasts = 2 + below(&random, GENERATE_LASTS_NS);

		op.invoked_ns = free_ns[op.client] + 1 + below(&random, GENERATE_LASTS_NS);
		op.returned_ns = op.invoked_ns + lasts;
		free_ns[op.client] = op.returned_ns;
		op_draw(o, &random, &op);
		effects[count++] = (struct effect){
			.at_ns = op.invoked_ns + 1 + mutate_random(&random) % (lasts - 1),
			.op = i,
			.never = op.outcome == HISTORY_MAYBE && below(&random, 2)};
		/* Sent again: a write may take effect a second time. */
		if (op.attempts > 1 && op.kind == HISTORY_WRITE) {
			effects[count++] = (struct effect){
				.at_ns = op.invoked_ns + 1 + mutate_random(&random) % (lasts - 1),
				.op = i};
		}
		if (!history_add(history, &op)) {
			abort();
		}
	}
	qsort(effects, count, sizeof(*effects), effect_compare);
	for (size_t i = 0; i < count; i++) {
		struct history_op *op = &history->ops[effects[i].op];
		uint64_t sector = op->sector == HISTORY_LOCK ? o->sectors : op->sector;

		if (!effects[i].never) {
			op_play(op, &values[op->unit * (o->sectors + 1u) + sector],
				&locks[op->unit], &random, true);
		}
	}
	free(effects);
	free(free_ns);
	free(values);
}
