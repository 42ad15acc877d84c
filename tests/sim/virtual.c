/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads and time. A thread is a queue of events; a pass of a reactor takes mail, does what the
 * event is about, timers, and what was deferred, as the real one does. Clocks, randomness and the
 * timers of the control thread are put in place of the C library's and libqb's by the linker.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "daemon/base/timer.h"
#include "tests/sim/sim.h"
#include "tests/sim/wire.h"
#include "yoke/util.h"

struct sim *the_sim;

struct event {
	uint64_t at_ns, order, life;
	struct node *node;
	sim_fn *fn;
	void *arg;
};

struct parked {
	sim_fn *fn;
	void *arg;
};

/* ----- chance --------------------------------------------------------------------------------- */

uint64_t sim_random(struct sim *sim)
{
	uint64_t x = sim->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint32_t sim_below(struct sim *sim, uint32_t limit)
{
	return (uint32_t)(sim_random(sim) >> 32) % limit;
}

bool sim_once_in(struct sim *sim, uint32_t n)
{
	return sim_below(sim, n) == 0;
}

uint64_t sim_delay(struct sim *sim, uint64_t low_ns, uint64_t high_ns)
{
	uint64_t x = sim_random(sim);
	uint64_t span = high_ns - low_ns;

	/* One in eight anywhere, the others in the first sixteenth. */
	span = (x & 7) == 0 ? span : span / 16;
	return low_ns + (x >> 3) % (span + 1);
}

void sim_wrong(struct sim *sim, const char *format, ...)
{
	va_list args;

	if (sim->wrong[0]) {
		return;
	}
	va_start(args, format);
	vsnprintf(sim->wrong, sizeof(sim->wrong), format, args);
	va_end(args);
	sim_trace(sim, "WRONG: %s", sim->wrong);
}

void sim_trace(struct sim *sim, const char *format, ...)
{
	va_list args;

	if (!sim->trace) {
		return;
	}
	fprintf(stderr, "%10.3f ms  ", (double)sim->now_ns / 1e6);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* ----- memory --------------------------------------------------------------------------------- */

#define CHUNK_BYTES (256u << 10)

struct chunk {
	struct chunk *next;
	size_t used;
	_Alignas(16) uint8_t bytes[CHUNK_BYTES];
};

void *sim_memory(struct sim *sim, size_t size)
{
	struct chunk *chunk = sim->memory;

	size = (size + 15) & ~(size_t)15;
	if (!chunk || chunk->used + size > CHUNK_BYTES) {
		chunk = malloc(sizeof(*chunk));
		if (!chunk || size > CHUNK_BYTES) {
			abort();
		}
		chunk->next = sim->memory;
		chunk->used = 0;
		sim->memory = chunk;
	}
	chunk->used += size;
	return memset(chunk->bytes + chunk->used - size, 0, size);
}

void sim_memory_free(struct sim *sim)
{
	while (sim->memory) {
		struct chunk *chunk = sim->memory;

		sim->memory = chunk->next;
		free(chunk);
	}
}

/* ----- events --------------------------------------------------------------------------------- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void sim_at(struct sim *sim, struct node *node, uint64_t delay_ns, sim_fn *fn, void *arg)
{
	struct event event = {.at_ns = sim->now_ns + delay_ns,
		.order = ++sim->order,
		.life = node ? node->life : 0,
		.node = node,
		.fn = fn,
		.arg = arg};
	unsigned at = sim->event_count++;

	if (sim->event_count > sim->event_room) {
		sim->event_room = sim->event_room ? sim->event_room * 2 : 256;
		sim->events = realloc(sim->events, sim->event_room * sizeof(event));
		if (!sim->events) {
			abort();
		}
	}
	while (at > 0 && before(&event, &sim->events[(at - 1) / 2])) {
		sim->events[at] = sim->events[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	sim->events[at] = event;
}

static struct event event_take(struct sim *sim)
{
	struct event first = sim->events[0], last = sim->events[--sim->event_count];
	unsigned at = 0, child;

	while ((child = 2 * at + 1) < sim->event_count) {
		if (child + 1 < sim->event_count &&
			before(&sim->events[child + 1], &sim->events[child])) {
			child++;
		}
		if (!before(&sim->events[child], &last)) {
			break;
		}
		sim->events[at] = sim->events[child];
		at = child;
	}
	sim->events[at] = last;
	return first;
}

static void park(struct node *node, const struct event *event)
{
	if (node->parked_count == node->parked_room) {
		node->parked_room = node->parked_room ? node->parked_room * 2 : 32;
		node->parked = realloc(node->parked, node->parked_room * sizeof(*node->parked));
		if (!node->parked) {
			abort();
		}
	}
	node->parked[node->parked_count++] = (struct parked){event->fn, event->arg};
}

/* All at once: which of its threads is first is chance, what one of them has waiting is not. */
void sim_parked_release(struct node *node)
{
	uint64_t delay_ns = 0;

	for (unsigned i = 0; i < node->parked_count; i++) {
		delay_ns += sim_below(node->sim, 20) * US;
		sim_at(node->sim, node, delay_ns, node->parked[i].fn, node->parked[i].arg);
	}
	node->parked_count = 0;
}

bool sim_step(struct sim *sim)
{
	struct event event;

	if (!sim->event_count) {
		return false;
	}
	event = event_take(sim);
	sim->now_ns = event.at_ns;
	sim->steps++;
	if (event.node && (event.life != event.node->life || !event.node->alive)) {
		return true;
	}
	if (event.node && event.node->frozen) {
		park(event.node, &event);
		return true;
	}
	sim->running = event.node;
	event.fn(event.arg);
	sim->running = NULL;
	return true;
}

void sim_run(struct sim *sim, uint64_t for_ns)
{
	uint64_t until_ns = sim->now_ns + for_ns;

	while (!sim->wrong[0] && sim->event_count && sim->events[0].at_ns <= until_ns) {
		sim_step(sim);
	}
	if (!sim->wrong[0]) {
		sim->now_ns = until_ns;
	}
}

/* ----- mail ----------------------------------------------------------------------------------- */

struct reactor {
	struct node *node;
	unsigned index;
	void *slots[REACTOR_SLOTS];
	struct mailbox mailbox;
	struct timer_heap timers;
	bool timers_running;
	uint64_t tick_ns; /* of the next event for timers; 0 = none */
	struct qb_list_head deferred;
	struct buf_pool *buffers;
	uint64_t now_ns;
};

static struct reactor *running;

int mailbox_open(struct mailbox *mb)
{
	atomic_init(&mb->head, NULL);
	atomic_init(&mb->asleep, true); /* no event for its mail is due */
	mb->fd = -1;
	return 0;
}

void mailbox_close(struct mailbox *mb)
{
	(void)mb;
}

static void reactor_mail(void *arg);
static void control_mail(void *arg);

/* Whose it is: the receiver's thread gets an event for it. */
void mailbox_post(struct mailbox *mb, struct mailbox_msg *msg)
{
	struct sim *sim = the_sim;

	msg->next = atomic_load(&mb->head);
	atomic_store(&mb->head, msg);
	if (!atomic_load(&mb->asleep)) {
		return;
	}
	atomic_store(&mb->asleep, false);
	for (uint8_t i = 1; i <= 2; i++) {
		struct node *node = &sim->node[i];

		if (mb == &node->control) {
			sim_at(sim, node, sim_delay(sim, 1 * US, 400 * US), control_mail, node);
		}
		for (unsigned r = 0; r < SIM_REACTORS; r++) {
			if (node->reactors[r] && mb == &node->reactors[r]->mailbox) {
				sim_at(sim, node, sim_delay(sim, 1 * US, 400 * US), reactor_mail,
					node->reactors[r]);
			}
		}
	}
}

bool mailbox_run(struct mailbox *mb)
{
	struct mailbox_msg *list = atomic_load(&mb->head), *reversed = NULL;
	bool any = list != NULL;

	atomic_store(&mb->head, NULL);
	while (list) {
		struct mailbox_msg *next = list->next;

		list->next = reversed;
		reversed = list;
		list = next;
	}
	while (reversed) {
		struct mailbox_msg *next = reversed->next;

		reversed->fn(reversed);
		reversed = next;
	}
	return any;
}

static void control_mail(void *arg)
{
	struct node *node = arg;

	atomic_store(&node->control.asleep, true);
	mailbox_run(&node->control);
}

void sim_control_do(struct node *node, sim_fn *fn, void *arg)
{
	if (sim_once_in(node->sim, 2)) {
		mailbox_run(&node->control);
	}
	fn(arg);
}

/* ----- reactors ------------------------------------------------------------------------------- */

static void reactor_tick(void *arg);

/* An event for the first timer, unless an earlier one is under way. */
static void timers_arm(struct reactor *r)
{
	struct sim *sim = r->node->sim;
	int wait_ms = timer_heap_wait_ms(&r->timers, sim->now_ns / MS);
	uint64_t at_ns;

	if (wait_ms < 0) {
		return;
	}
	at_ns = (sim->now_ns / MS + (uint64_t)wait_ms) * MS;
	at_ns = at_ns <= sim->now_ns ? sim->now_ns + 1 * US : at_ns;
	if (!r->tick_ns || at_ns < r->tick_ns) {
		r->tick_ns = at_ns;
		sim_at(sim, r->node, at_ns - sim->now_ns, reactor_tick, r);
	}
}

static void deferred_run(struct reactor *r)
{
	while (!qb_list_empty(&r->deferred)) {
		struct reactor_defer *defer =
			qb_list_first_entry(&r->deferred, struct reactor_defer, link);

		qb_list_del(&defer->link);
		defer->queued = false;
		defer->fn(defer);
	}
}

static void pass(struct reactor *r, bool mail, sim_fn *fn, void *arg)
{
	struct reactor_timer *timer;
	struct reactor *outer = running;

	running = r;
	r->now_ns = r->node->sim->now_ns;
	if (mail) {
		mailbox_run(&r->mailbox);
	}
	if (fn) {
		fn(arg);
	}
	r->timers_running = true;
	while ((timer = timer_heap_due(&r->timers, r->now_ns / MS))) {
		timer->fired(timer);
	}
	r->timers_running = false;
	deferred_run(r);
	running = outer;
	timers_arm(r);
}

static void reactor_mail(void *arg)
{
	struct reactor *r = arg;

	atomic_store(&r->mailbox.asleep, true);
	pass(r, true, NULL, NULL);
}

static void reactor_tick(void *arg)
{
	struct reactor *r = arg;

	r->tick_ns = 0;
	pass(r, sim_once_in(r->node->sim, 2), NULL, NULL);
}

void sim_reactor_do(struct reactor *r, sim_fn *fn, void *arg)
{
	pass(r, sim_once_in(r->node->sim, 2), fn, arg);
}

void sim_reactors_new(struct node *node)
{
	mailbox_open(&node->control);
	for (unsigned i = 0; i < SIM_REACTORS; i++) {
		struct reactor *r = calloc(1, sizeof(*r));

		r->node = node;
		r->index = i;
		r->now_ns = node->sim->now_ns;
		mailbox_open(&r->mailbox);
		qb_list_init(&r->deferred);
		r->buffers = buf_pool_new(16u << 20);
		node->reactors[i] = r;
	}
}

void sim_reactors_free(struct node *node)
{
	for (unsigned i = 0; i < SIM_REACTORS; i++) {
		timer_heap_free(&node->reactors[i]->timers);
		buf_pool_free(node->reactors[i]->buffers);
		free(node->reactors[i]);
		node->reactors[i] = NULL;
	}
}

unsigned reactor_index(const struct reactor *r)
{
	return r->index;
}

void *reactor_slot(const struct reactor *r, enum reactor_slot slot)
{
	return r->slots[slot];
}

void reactor_slot_set(struct reactor *r, enum reactor_slot slot, void *value)
{
	r->slots[slot] = value;
}

struct buf_pool *reactor_buffers_new(struct reactor *r, size_t limit_bytes)
{
	(void)r; /* there is no ring to pin memory in */
	return buf_pool_new(limit_bytes);
}

struct buf_pool *reactor_buffers(struct reactor *r)
{
	return r->buffers;
}

struct reactor *reactor_self(void)
{
	return running;
}

void reactor_post(struct reactor *r, struct mailbox_msg *msg)
{
	mailbox_post(&r->mailbox, msg);
}

uint64_t reactor_clock_ns(void)
{
	return the_sim->now_ns;
}

uint64_t reactor_now_ms(const struct reactor *r)
{
	return r->now_ns / MS;
}

uint64_t reactor_now_ns(const struct reactor *r)
{
	return r->now_ns;
}

int reactor_timer_set(struct reactor *r, struct reactor_timer *timer, uint64_t delay_ms)
{
	int err;

	if (r->timers_running && delay_ms == 0) {
		delay_ms = 1;
	}
	err = timer_heap_set(&r->timers, timer, r->now_ns / MS + delay_ms);
	if (running != r) {
		timers_arm(r);
	}
	return err;
}

void reactor_timer_cancel(struct reactor *r, struct reactor_timer *timer)
{
	timer_heap_cancel(&r->timers, timer);
}

void reactor_defer(struct reactor *r, struct reactor_defer *defer)
{
	if (!defer->queued) {
		defer->queued = true;
		qb_list_add_tail(&defer->link, &r->deferred);
	}
}

void reactor_defer_cancel(struct reactor *r, struct reactor_defer *defer)
{
	(void)r;
	if (defer->queued) {
		defer->queued = false;
		qb_list_del(&defer->link);
	}
}

int reactor_fd_add(struct reactor *r, struct reactor_fd *rfd, uint32_t events)
{
	return wire_watch(r, rfd, events);
}

int reactor_fd_mod(struct reactor *r, struct reactor_fd *rfd, uint32_t events)
{
	return rfd->events == events ? 0 : wire_watch(r, rfd, events);
}

void reactor_fd_del(struct reactor *r, struct reactor_fd *rfd)
{
	(void)r;
	wire_unwatch(rfd);
}

/* ----- in place of libqb's and the C library's -------------------------------------------------
 */

struct loop_timer {
	void (*fn)(void *data);
	void *data;
	bool off;
};

int32_t __wrap_qb_loop_timer_add(qb_loop_t *loop, enum qb_loop_priority priority,
	uint64_t nsec_duration, void *data, qb_loop_timer_dispatch_fn fn,
	qb_loop_timer_handle *handle);
int32_t __wrap_qb_loop_timer_del(qb_loop_t *loop, qb_loop_timer_handle handle);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
time_t __wrap_time(time_t *to);
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags);

static void loop_timer_call(void *arg)
{
	struct loop_timer *timer = arg;

	timer->fn(timer->data);
}

static void loop_timer_fired(void *arg)
{
	struct loop_timer *timer = arg;

	if (!timer->off) {
		sim_control_do(the_sim->running, loop_timer_call, timer);
	}
}

int32_t __wrap_qb_loop_timer_add(qb_loop_t *loop, enum qb_loop_priority priority,
	uint64_t nsec_duration, void *data, qb_loop_timer_dispatch_fn fn,
	qb_loop_timer_handle *handle)
{
	struct loop_timer *timer = sim_memory(the_sim, sizeof(*timer));

	(void)priority;
	timer->fn = fn;
	timer->data = data;
	*handle = (qb_loop_timer_handle)(uintptr_t)timer;
	sim_at(the_sim, (struct node *)(void *)loop, nsec_duration + sim_delay(the_sim, 0, 2 * MS),
		loop_timer_fired, timer);
	return 0;
}

int32_t __wrap_qb_loop_timer_del(qb_loop_t *loop, qb_loop_timer_handle handle)
{
	(void)loop;
	((struct loop_timer *)(uintptr_t)handle)->off = true;
	return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	now->tv_sec = (time_t)(the_sim->now_ns / 1000000000u);
	now->tv_nsec = (long)(the_sim->now_ns % 1000000000u);
	return 0;
}

time_t __wrap_time(time_t *to)
{
	time_t now = (time_t)(the_sim->now_ns / 1000000000u);

	if (to) {
		*to = now;
	}
	return now;
}

ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags)
{
	(void)flags;
	for (size_t i = 0; i < size; i++) {
		((uint8_t *)to)[i] = (uint8_t)sim_random(the_sim);
	}
	return (ssize_t)size;
}
