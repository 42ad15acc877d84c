/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Histories made on purpose: valid ones, from registers and locks that really are atomic, and ways
 * to make one wrong. The checker is judged by them.
 */
#ifndef YOKE_TEST_MUTATE_H
#define YOKE_TEST_MUTATE_H

#include "tests/checker/history.h"

struct generate_options {
	uint64_t seed;
	unsigned ops, clients, sectors;
	unsigned maybe_percent; /* operations without an answer */
	unsigned again_percent; /* operations that were sent twice */
};

/* A valid history. Clients have one operation open at a time, unless it was never answered. */
void generate(struct history *history, const struct generate_options *options);

struct mutator {
	const char *name;
	const char *what; /* the bug of an array that would cause it */
	/* Makes the history wrong, by `random`; false when it finds no place to. */
	bool (*run)(struct history *history, uint64_t *random);
};
extern const struct mutator mutators[];
extern const unsigned mutator_count;

/* splitmix64 */
uint64_t mutate_random(uint64_t *state);

#endif
