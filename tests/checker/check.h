/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is a history linearizable? Each sector is a register of its own and each unit's lock an object of
 * its own, which may be judged one by one (linearizability is local). Is there an order of the
 * operations, each at one moment between its call and its answer, that explains every answer?
 */
#ifndef YOKE_TEST_CHECK_H
#define YOKE_TEST_CHECK_H

#include "tests/checker/history.h"

struct check_result {
	bool linearizable;
	bool gave_up; /* too many operations without an answer at once to tell */
	struct history_op op; /* the first answer that nothing explains */
	uint64_t could_be[4]; /* some of the values that would have been right there */
	unsigned could_be_count;
	size_t objects, ops;
	unsigned most_states; /* for the curious: how hard it was */
};

/* Sorts the operations. Stops at the first object that is not linearizable. */
struct check_result check_history(struct history *history);

#endif
