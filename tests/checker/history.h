/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Histories: what clients asked of registers (sectors) and locks (reservations), when, and what
 * they were told. One operation a line:
 *
 *	KIND ID CLIENT UNIT SECTOR COUNT VALUE EXPECTED INVOKED RETURNED OUTCOME ATTEMPTS
 *
 * all numbers decimal but KIND, one letter (history_kinds), and OUTCOME (ok, no, maybe). COUNT
 * sectors from SECTOR were treated alike. Times are nanoseconds of one clock; RETURNED of an
 * operation without an answer counts for nothing. Values are unique for each write; 0 is what was
 * there before. A line that begins with # says nothing.
 */
#ifndef YOKE_TEST_HISTORY_H
#define YOKE_TEST_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_LOCK UINT64_MAX /* the sector of a unit's lock */

enum history_kind {
	HISTORY_READ, /* R: value is what was read */
	HISTORY_WRITE, /* W: value */
	HISTORY_SWAP, /* C: COMPARE AND WRITE of value where `expected` is; no = it was not */
	/*
	 * A unit's lock is its persistent reservation of type Write Exclusive: clients are
	 * registered with it or not, and one of those may hold it.
	 */
	HISTORY_ACQUIRE, /* L: no = another holds it, or not registered */
	HISTORY_RELEASE, /* F: if it is ours; no = not registered */
	HISTORY_PREEMPT, /* P: of client `expected`, whose registration and lock end; the lock
			    becomes ours if he had it; no = one of the two is not registered */
	HISTORY_USE, /* U: of what the lock protects; no = another holds it */
	HISTORY_REGISTER, /* G: with a key of our own, whatever there was before */
};
#define HISTORY_KINDS	    8
#define HISTORY_CLIENTS_MAX 48 /* of a lock */
extern const char history_kinds[HISTORY_KINDS];

enum history_outcome {
	HISTORY_OK,
	HISTORY_NO,
	HISTORY_MAYBE, /* no answer: it may take effect at any time after its call, or never */
};
const char *history_outcome_name(enum history_outcome outcome);

struct history_op {
	uint64_t id, unit, sector;
	uint64_t value, expected;
	uint64_t invoked_ns, returned_ns;
	uint32_t client;
	uint16_t attempts; /* 2 and more: it was sent again, and may take effect as often */
	uint8_t kind, outcome;
};

struct history {
	struct history_op *ops;
	size_t count, room;
};

/* Adds an operation; false = out of memory. */
bool history_add(struct history *history, const struct history_op *op);
void history_free(struct history *history);

/* Writes one operation on `count` sectors. */
void history_print(FILE *to, const struct history_op *op, uint64_t count);

/* Reads a file to its end: 0, or the number of the first line that is none. */
unsigned long history_read(struct history *history, FILE *from);

#endif
