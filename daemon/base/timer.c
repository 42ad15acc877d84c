/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/base/timer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static void timer_heap_place(struct timer_heap *heap, struct reactor_timer *timer, uint32_t index)
{
	heap->slots[index] = timer;
	timer->heap_index = index;
}

static void timer_heap_up(struct timer_heap *heap, uint32_t index)
{
	struct reactor_timer *timer = heap->slots[index];

	while (index > 1 && heap->slots[index / 2]->at_ms > timer->at_ms) {
		timer_heap_place(heap, heap->slots[index / 2], index);
		index /= 2;
	}
	timer_heap_place(heap, timer, index);
}

static void timer_heap_down(struct timer_heap *heap, uint32_t index)
{
	struct reactor_timer *timer = heap->slots[index];

	for (;;) {
		uint32_t child = index * 2;

		if (child > heap->count) {
			break;
		}
		if (child < heap->count &&
			heap->slots[child + 1]->at_ms < heap->slots[child]->at_ms) {
			child++;
		}
		if (heap->slots[child]->at_ms >= timer->at_ms) {
			break;
		}
		timer_heap_place(heap, heap->slots[child], index);
		index = child;
	}
	timer_heap_place(heap, timer, index);
}

static int timer_heap_grow(struct timer_heap *heap)
{
	uint32_t capacity = heap->capacity ? heap->capacity * 2 : 64;
	struct reactor_timer **slots = reallocarray(heap->slots, capacity, sizeof(*slots));

	if (!slots) {
		return -ENOMEM;
	}
	heap->slots = slots;
	heap->capacity = capacity;
	return 0;
}

int timer_heap_set(struct timer_heap *heap, struct reactor_timer *timer, uint64_t at_ms)
{
	if (timer->heap_index == 0) {
		if (heap->count + 1 >= heap->capacity && timer_heap_grow(heap) < 0) {
			return -ENOMEM;
		}
		timer_heap_place(heap, timer, ++heap->count);
	}
	timer->at_ms = at_ms;
	timer_heap_up(heap, timer->heap_index);
	timer_heap_down(heap, timer->heap_index);
	return 0;
}

void timer_heap_cancel(struct timer_heap *heap, struct reactor_timer *timer)
{
	uint32_t index = timer->heap_index;
	struct reactor_timer *last;

	if (index == 0) {
		return;
	}
	timer->heap_index = 0;
	last = heap->slots[heap->count--];
	if (last != timer) {
		timer_heap_place(heap, last, index);
		timer_heap_up(heap, index);
		timer_heap_down(heap, last->heap_index);
	}
}

struct reactor_timer *timer_heap_due(struct timer_heap *heap, uint64_t now_ms)
{
	struct reactor_timer *timer;

	if (heap->count == 0 || heap->slots[1]->at_ms > now_ms) {
		return NULL;
	}
	timer = heap->slots[1];
	timer_heap_cancel(heap, timer);
	return timer;
}

int timer_heap_wait_ms(const struct timer_heap *heap, uint64_t now_ms)
{
	uint64_t at_ms;

	if (heap->count == 0) {
		return -1;
	}
	at_ms = heap->slots[1]->at_ms;
	if (at_ms <= now_ms) {
		return 0;
	}
	return at_ms - now_ms > INT_MAX ? INT_MAX : (int)(at_ms - now_ms);
}

void timer_heap_free(struct timer_heap *heap)
{
	for (uint32_t i = 1; i <= heap->count; i++) {
		heap->slots[i]->heap_index = 0;
	}
	free(heap->slots);
	*heap = (struct timer_heap){0};
}
