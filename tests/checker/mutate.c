// SPDX-License-Identifier: BSD-3-Clause
/* Each mutator looks for a place where its change cannot be explained by any order, and makes it.
 */
#include "tests/checker/mutate.h"

#include "yoke/util.h"

#define MUTATE_TRIES 2000u

typedef bool place_fn(struct history *h, struct history_op *op, uint64_t *random);

/* Tries operations by lot until `place` has changed the history. */
static bool somewhere(struct history *h, uint64_t *random, place_fn *place)
{
	for (unsigned i = 0; h->count && i < MUTATE_TRIES; i++) {
		if (place(h, &h->ops[mutate_random(random) % h->count], random)) {
			return true;
		}
	}
	return false;
}

static bool same_object(const struct history_op *a, const struct history_op *b)
{
	return a->unit == b->unit && a->sector == b->sector;
}

static bool is_answered(const struct history_op *op)
{
	return op->outcome != HISTORY_MAYBE;
}

static bool before(const struct history_op *a, const struct history_op *b)
{
	return is_answered(a) && a->returned_ns < b->invoked_ns;
}

/* Does a write of any kind, open or answered, overlap with [from, to]? */
static bool disturbed(
	const struct history *h, const struct history_op *object, uint64_t from, uint64_t to)
{
	for (size_t i = 0; i < h->count; i++) {
		const struct history_op *op = &h->ops[i];

		if (op != object && same_object(op, object) && op->kind != HISTORY_READ &&
			op->kind != HISTORY_USE && op->invoked_ns <= to &&
			(!is_answered(op) || op->returned_ns >= from)) {
			return true;
		}
	}
	return false;
}

/* The operation on the object that was answered last before `op` began; NULL: none. */
static struct history_op *previous(
	struct history *h, const struct history_op *op, uint8_t kind, const struct history_op *than)
{
	struct history_op *found = NULL;

	for (size_t i = 0; i < h->count; i++) {
		struct history_op *p = &h->ops[i];

		if (same_object(p, op) && p->kind == kind && p->outcome == HISTORY_OK &&
			before(p, op) && (!than || before(p, than)) &&
			(!found || p->returned_ns > found->returned_ns)) {
			found = p;
		}
	}
	return found;
}

static bool is_read(const struct history_op *op)
{
	return op->kind == HISTORY_READ && op->outcome == HISTORY_OK;
}

/* ----- registers ------------------------------------------------------------------------------ */

/* A read brings what was overwritten before it began. */
static bool stale_read(struct history *h, struct history_op *op, uint64_t *random)
{
	struct history_op *last = is_read(op) ? previous(h, op, HISTORY_WRITE, NULL) : NULL;
	struct history_op *old = last ? previous(h, op, HISTORY_WRITE, last) : NULL;

	if (!old) {
		return false;
	}
	op->value = old->value;
	return true;
}

/* A write was acknowledged and is nowhere: everybody goes on to see what was there before. */
static bool lost_write(struct history *h, struct history_op *op, uint64_t *random)
{
	struct history_op *old = NULL;
	bool seen = false;

	if (op->kind != HISTORY_WRITE || op->outcome != HISTORY_OK) {
		return false;
	}
	old = previous(h, op, HISTORY_WRITE, NULL);
	for (size_t i = 0; old && i < h->count; i++) {
		const struct history_op *r = &h->ops[i];

		if (same_object(r, op) && is_read(r) && r->value == op->value && before(op, r)) {
			seen = true;
		}
	}
	for (size_t i = 0; seen && i < h->count; i++) {
		struct history_op *r = &h->ops[i];

		if (same_object(r, op) && is_read(r) && r->value == op->value) {
			r->value = old->value;
		}
	}
	return seen;
}

/* Formatted or never written: the bytes from before the first write come back. */
static bool back_to_zero(struct history *h, struct history_op *op, uint64_t *random)
{
	if (!is_read(op) || op->value == 0 || !previous(h, op, HISTORY_WRITE, NULL)) {
		return false;
	}
	op->value = 0;
	return true;
}

/* Seen by a read before anybody has asked for it. */
static bool future_read(struct history *h, struct history_op *op, uint64_t *random)
{
	for (size_t i = 0; is_read(op) && i < h->count; i++) {
		const struct history_op *w = &h->ops[i];

		if (same_object(w, op) && w->kind == HISTORY_WRITE &&
			w->invoked_ns > op->returned_ns) {
			op->value = w->value;
			return true;
		}
	}
	return false;
}

static bool never_written(struct history *h, struct history_op *op, uint64_t *random)
{
	if (!is_read(op)) {
		return false;
	}
	op->value = mutate_random(random) | 1ull << 63;
	return true;
}

/* The write of another sector landed here. */
static bool misdirected(struct history *h, struct history_op *op, uint64_t *random)
{
	for (size_t i = 0; is_read(op) && i < h->count; i++) {
		const struct history_op *w = &h->ops[i];

		if (w->sector != HISTORY_LOCK && !same_object(w, op) && w->kind == HISTORY_WRITE &&
			before(w, op)) {
			op->value = w->value;
			return true;
		}
	}
	return false;
}

/* Applied, overwritten, and applied again after its answer: the late write of an old owner. */
static bool resurrected(struct history *h, struct history_op *op, uint64_t *random)
{
	struct history_op *newer = is_read(op) ? previous(h, op, HISTORY_READ, NULL) : NULL;

	/* Two reads in a row; the first of them saw a write that began after another had ended. */
	for (size_t i = 0; newer && newer->value && i < h->count; i++) {
		struct history_op *w = &h->ops[i];

		if (same_object(w, op) && w->kind == HISTORY_WRITE && w->value == newer->value) {
			struct history_op *old = previous(h, w, HISTORY_WRITE, NULL);

			if (old) {
				op->value = old->value;
			}
			return old != NULL;
		}
	}
	return false;
}

/* Seen, not seen any more, seen again: an answer that never came does not excuse that. */
static bool flickers(struct history *h, struct history_op *op, uint64_t *random)
{
	struct history_op *middle = is_read(op) ? previous(h, op, HISTORY_READ, NULL) : NULL;
	struct history_op *first = middle ? previous(h, middle, HISTORY_READ, NULL) : NULL;

	if (!first || first->value == middle->value || op->value == first->value ||
		first->value == 0) {
		return false;
	}
	for (size_t i = 0; i < h->count; i++) {
		if (same_object(&h->ops[i], op) && h->ops[i].value == first->value &&
			h->ops[i].kind != HISTORY_READ &&
			(h->ops[i].attempts > 1 || h->ops[i].kind != HISTORY_WRITE)) {
			return false; /* sent twice: it may flicker while it is open */
		}
	}
	op->value = first->value;
	return true;
}

/* Was the value's write sent once? Then it takes effect once. */
static bool written_once(const struct history *h, uint64_t value)
{
	for (size_t i = 0; i < h->count; i++) {
		if (h->ops[i].value == value && h->ops[i].kind != HISTORY_READ &&
			h->ops[i].attempts > 1) {
			return false;
		}
	}
	return true;
}

/* Two hosts compare with the same and both win. */
static bool both_won(struct history *h, struct history_op *op, uint64_t *random)
{
	if (op->kind != HISTORY_SWAP || op->outcome != HISTORY_NO) {
		return false;
	}
	for (size_t i = 0; i < h->count; i++) {
		const struct history_op *won = &h->ops[i];

		if (same_object(won, op) && won->kind == HISTORY_SWAP &&
			won->outcome == HISTORY_OK && won->attempts == 1 && won->expected &&
			before(won, op) && written_once(h, won->expected)) {
			op->expected = won->expected;
			op->outcome = HISTORY_OK;
			return true;
		}
	}
	return false;
}

/* Miscompare, although nothing else was there and nobody else at work. */
static bool refused_for_nothing(struct history *h, struct history_op *op, uint64_t *random)
{
	struct history_op *read = NULL;

	if (op->kind != HISTORY_SWAP || op->outcome != HISTORY_NO || op->attempts > 1) {
		return false;
	}
	read = previous(h, op, HISTORY_READ, NULL);
	if (!read || disturbed(h, op, read->invoked_ns, op->returned_ns)) {
		return false;
	}
	op->expected = read->value;
	return true;
}

/* It said no and wrote all the same. */
static bool wrote_on_miscompare(struct history *h, struct history_op *op, uint64_t *random)
{
	if (op->kind != HISTORY_SWAP || op->outcome != HISTORY_NO || op->attempts > 1) {
		return false;
	}
	for (size_t i = 0; i < h->count; i++) {
		if (same_object(&h->ops[i], op) && is_read(&h->ops[i]) && before(op, &h->ops[i])) {
			h->ops[i].value = op->value;
			return true;
		}
	}
	return false;
}

/* ----- locks ------------------------------------------------------------------------------------
 */

/* Is the lock held by another for sure at `op`: by an answered acquire, undisturbed? */
static bool held_by_another(struct history *h, const struct history_op *op)
{
	for (size_t i = 0; i < h->count; i++) {
		const struct history_op *p = &h->ops[i];

		if (same_object(p, op) && p->client != op->client && p->outcome == HISTORY_OK &&
			p->kind == HISTORY_ACQUIRE && before(p, op) && op->sector == HISTORY_LOCK) {
			bool alone = true;

			for (size_t k = 0; k < h->count; k++) {
				const struct history_op *q = &h->ops[k];

				/* Others' vain attempts do not matter, what may change it does. */
				if (q != p && q != op && same_object(q, op) &&
					q->kind != HISTORY_USE && q->kind != HISTORY_REGISTER &&
					!(q->kind == HISTORY_ACQUIRE && q->outcome == HISTORY_NO) &&
					!(q->kind == HISTORY_RELEASE && q->client != p->client) &&
					q->invoked_ns <= op->returned_ns &&
					(!is_answered(q) || q->returned_ns >= p->invoked_ns)) {
					alone = false;
				}
			}
			if (alone) {
				return true;
			}
		}
	}
	return false;
}

/* Two hosts hold the same reservation. */
static bool two_holders(struct history *h, struct history_op *op, uint64_t *random)
{
	if (op->kind != HISTORY_ACQUIRE || op->outcome != HISTORY_NO || !held_by_another(h, op)) {
		return false;
	}
	op->outcome = HISTORY_OK;
	return true;
}

/* A write of somebody whose key was revoked before. */
static bool used_after_revoke(struct history *h, struct history_op *op, uint64_t *random)
{
	if (op->kind != HISTORY_USE || op->outcome != HISTORY_NO || !held_by_another(h, op)) {
		return false;
	}
	op->outcome = HISTORY_OK;
	return true;
}

/* Refused although it holds the lock itself. */
static bool holder_refused(struct history *h, struct history_op *op, uint64_t *random)
{
	if (op->kind != HISTORY_USE || op->outcome != HISTORY_OK) {
		return false;
	}
	for (size_t i = 0; i < h->count; i++) {
		const struct history_op *p = &h->ops[i];

		if (same_object(p, op) && p->client == op->client && p->outcome == HISTORY_OK &&
			p->kind == HISTORY_ACQUIRE && before(p, op) &&
			!disturbed(h, p, p->invoked_ns, op->returned_ns)) {
			op->outcome = HISTORY_NO;
			return true;
		}
	}
	return false;
}

/* Refused as a stranger, although it has registered and nobody has thrown it out. */
static bool registration_lost(struct history *h, struct history_op *op, uint64_t *random)
{
	const struct history_op *r = NULL;

	if (op->kind != HISTORY_RELEASE || op->outcome != HISTORY_OK || op->attempts > 1) {
		return false;
	}
	for (size_t i = 0; i < h->count; i++) {
		const struct history_op *q = &h->ops[i];

		if (same_object(q, op) && q->kind == HISTORY_REGISTER && q->client == op->client &&
			q->outcome == HISTORY_OK && before(q, op) &&
			(!r || q->invoked_ns > r->invoked_ns)) {
			r = q;
		}
	}
	for (size_t i = 0; r && i < h->count; i++) {
		const struct history_op *q = &h->ops[i];

		if (same_object(q, op) && q->kind == HISTORY_PREEMPT && q->expected == op->client &&
			q->invoked_ns <= op->returned_ns &&
			(!is_answered(q) || q->returned_ns >= r->invoked_ns)) {
			return false;
		}
	}
	op->outcome = r ? HISTORY_NO : op->outcome;
	return r != NULL;
}

/* A reservation for somebody who has never registered. */
static bool stranger_acquires(struct history *h, struct history_op *op, uint64_t *random)
{
	if (op->kind != HISTORY_ACQUIRE || op->outcome != HISTORY_NO) {
		return false;
	}
	for (size_t i = 0; i < h->count; i++) {
		const struct history_op *q = &h->ops[i];

		if (same_object(q, op) && q->kind == HISTORY_REGISTER && q->client == op->client &&
			q->invoked_ns <= op->returned_ns) {
			return false;
		}
	}
	op->outcome = HISTORY_OK;
	return true;
}

/* ----- the table --------------------------------------------------------------------------------
 */

#define MUTATOR(fn)                                               \
	static bool fn##_run(struct history *h, uint64_t *random) \
	{                                                         \
		return somewhere(h, random, fn);                  \
	}
MUTATOR(stale_read)
MUTATOR(lost_write)
MUTATOR(back_to_zero)
MUTATOR(future_read)
MUTATOR(never_written)
MUTATOR(misdirected)
MUTATOR(resurrected)
MUTATOR(flickers)
MUTATOR(both_won)
MUTATOR(refused_for_nothing)
MUTATOR(wrote_on_miscompare)
MUTATOR(two_holders)
MUTATOR(used_after_revoke)
MUTATOR(holder_refused)
MUTATOR(registration_lost)
MUTATOR(stranger_acquires)

const struct mutator mutators[] = {
	{"stale-read", "a read from a cache that the other controller has overtaken",
		stale_read_run},
	{"lost-write", "GOOD before the write was durable, then a power loss", lost_write_run},
	{"back-to-zero", "an UNMAP or a new allocation that was never asked for", back_to_zero_run},
	{"future-read", "answers mixed up between commands", future_read_run},
	{"never-written", "a torn or corrupted sector", never_written_run},
	{"misdirected", "the right bytes at the wrong address", misdirected_run},
	{"resurrected", "a late write of an old owner lands after the takeover", resurrected_run},
	{"flickers", "two controllers serve reads of one LU", flickers_run},
	{"both-won", "COMPARE AND WRITE is not atomic", both_won_run},
	{"refused-for-nothing", "COMPARE AND WRITE compares with old data",
		refused_for_nothing_run},
	{"wrote-on-miscompare", "COMPARE AND WRITE writes in spite of a miscompare",
		wrote_on_miscompare_run},
	{"two-holders", "a reservation that only one controller knows", two_holders_run},
	{"used-after-revoke", "the check of reservations at the wrong place",
		used_after_revoke_run},
	{"holder-refused", "a reservation lost in a takeover", holder_refused_run},
	{"registration-lost", "a registration lost in a takeover", registration_lost_run},
	{"stranger-acquires", "a controller that knows no registrations", stranger_acquires_run},
};
const unsigned mutator_count = ARRAY_SIZE(mutators);
