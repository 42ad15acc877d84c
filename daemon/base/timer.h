/* SPDX-License-Identifier: BSD-3-Clause */
/* The timers of one reactor: a binary heap by due time. Not thread-safe. */
#ifndef YOKE_BASE_TIMER_H
#define YOKE_BASE_TIMER_H

#include "yoke/reactor.h"

struct timer_heap {
	struct reactor_timer **slots; /* slots[1..count]; slots[0] is unused */
	uint32_t count;
	uint32_t capacity;
};

/* Adds or moves the timer to at_ms; 0 or -ENOMEM (then it is not set). */
int timer_heap_set(struct timer_heap *heap, struct reactor_timer *timer, uint64_t at_ms);
void timer_heap_cancel(struct timer_heap *heap, struct reactor_timer *timer);

/* Removes and returns a timer that is due at now_ms; NULL when there is none. */
struct reactor_timer *timer_heap_due(struct timer_heap *heap, uint64_t now_ms);

/* Milliseconds until the next timer, -1 without one. */
int timer_heap_wait_ms(const struct timer_heap *heap, uint64_t now_ms);

void timer_heap_free(struct timer_heap *heap);

#endif
