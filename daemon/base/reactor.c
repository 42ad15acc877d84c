/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/reactor.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/timer.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define REACTOR_EVENTS	     128
#define REACTOR_RING_ENTRIES 512
#define REACTOR_BATCH	     8u /* requests that the kernel gets at once */
#define REACTOR_BEGIN	     3u /* so many are enough for a disk that has none */
#define REACTOR_FIRST	     8u /* of many that end at once: seen to before the rest is looked at */
#define REACTOR_PINS	     2048u /* buffers that the ring knows; more are pinned for each I/O */

struct reactor {
	struct reactor_config config;
	int epoll_fd;
	struct mailbox mailbox;
	struct reactor_fd mailbox_rfd;
	struct io_uring ring;
	struct reactor_fd ring_rfd;
	unsigned io_inflight;
	bool io_unsubmitted;
	struct timer_heap timers;
	bool timers_running;
	struct qb_list_head deferred;
	struct buf_pool *buffers;
	uint16_t pins_free[REACTOR_PINS];
	unsigned pins_free_count; /* 0 also where the kernel has no such table */
	bool pins_refused;
	void *slots[REACTOR_SLOTS];
	uint64_t now_ns;
	uint64_t busy_ns; /* when there was work last: spinning counts from here */
	pthread_t thread;
	bool started;
	atomic_bool stopping;
	/* The batch that the pass is working through, for reactor_fd_del(). */
	struct epoll_event events[REACTOR_EVENTS];
	int event_index;
	int event_count;
};

static __thread struct reactor *reactor_running;

struct reactor *reactor_self(void)
{
	return reactor_running;
}

unsigned reactor_ready(const struct reactor *r)
{
	return (unsigned)r->event_count;
}

uint64_t reactor_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Only wakes the reactor up: the pass looks at completions by itself. */
static void reactor_woken(struct reactor_fd *rfd, uint32_t events)
{
	(void)rfd;
	(void)events;
}

/* So does the bell, but it has to be silenced. Most passes are not rung and save that call. */
static void reactor_rung(struct reactor_fd *rfd, uint32_t events)
{
	(void)events;
	mailbox_silence(&container_of(rfd, struct reactor, mailbox_rfd)->mailbox);
}

static int reactor_ring_open(struct reactor *r)
{
	struct io_uring_params params = {.flags = IORING_SETUP_CLAMP};
	int err = io_uring_queue_init_params(REACTOR_RING_ENTRIES, &r->ring, &params);

	if (err < 0) {
		log_err("reactor %u: the kernel refuses io_uring: %s; allow it (sysctl "
			"kernel.io_uring_disabled=0, memlock limit)",
			r->config.index, strerror(-err));
		return err;
	}
	r->ring_rfd = (struct reactor_fd){.fd = r->ring.ring_fd, .ready = reactor_woken};
	return 0;
}

/* ----- memory that the ring knows --------------------------------------------------------------
 */

static bool reactor_pin_set(struct reactor *r, unsigned number, void *data, size_t bytes)
{
	struct iovec iov = {.iov_base = data, .iov_len = bytes};
	__u64 tag = 0;

	return io_uring_register_buffers_update_tag(&r->ring, number, &iov, &tag, 1) == 1;
}

static int reactor_pin_add(void *arg, void *data, size_t bytes)
{
	struct reactor *r = arg;
	unsigned number;

	if (r->pins_free_count == 0) {
		return -1;
	}
	number = r->pins_free[r->pins_free_count - 1];
	if (!reactor_pin_set(r, number, data, bytes)) {
		/* The limit of locked memory: everything works without, so ask no more until some
		 * is free. */
		if (!r->pins_refused) {
			log_info("reactor %u: no more memory can be pinned for direct I/O; "
				 "LimitMEMLOCK=infinity makes it a little faster",
				r->config.index);
		}
		r->pins_refused = true;
		r->pins_free_count = 0;
		return -1;
	}
	r->pins_free_count--;
	return (int)number;
}

static void reactor_pin_remove(void *arg, int number)
{
	struct reactor *r = arg;

	reactor_pin_set(r, (unsigned)number, NULL, 0);
	r->pins_free[r->pins_free_count++] = (uint16_t)number;
}

static void reactor_pins_open(struct reactor *r)
{
	if (io_uring_register_buffers_sparse(&r->ring, REACTOR_PINS) < 0) {
		return; /* Linux before 5.19 */
	}
	while (r->pins_free_count < REACTOR_PINS) {
		unsigned number = REACTOR_PINS - 1 - r->pins_free_count;

		r->pins_free[r->pins_free_count++] = (uint16_t)number;
	}
}

struct buf_pool *reactor_buffers_new(struct reactor *r, size_t limit_bytes)
{
	const struct buf_pins pins = {
		.add = reactor_pin_add, .remove = reactor_pin_remove, .arg = r};
	struct buf_pool *pool = buf_pool_new(limit_bytes);

	if (pool) {
		buf_pool_pins_set(pool, &pins);
	}
	return pool;
}

struct reactor *reactor_new(const struct reactor_config *config)
{
	struct reactor *r = calloc(1, sizeof(*r));

	if (!r) {
		return NULL;
	}
	r->config = *config;
	r->mailbox.fd = -1;
	qb_list_init(&r->deferred);
	r->now_ns = reactor_clock_ns();
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll_fd < 0) {
		log_err("reactor %u: no epoll descriptor: %s", config->index, strerror(errno));
		goto fail;
	}
	if (mailbox_open(&r->mailbox) < 0) {
		log_err("reactor %u: no eventfd: %s", config->index, strerror(errno));
		goto fail_epoll;
	}
	if (reactor_ring_open(r) < 0) {
		goto fail_mailbox;
	}
	reactor_pins_open(r);
	r->buffers = reactor_buffers_new(r, config->buffer_bytes);
	if (!r->buffers) {
		goto fail_ring;
	}
	r->mailbox_rfd = (struct reactor_fd){.fd = r->mailbox.fd, .ready = reactor_rung};
	if (reactor_fd_add(r, &r->mailbox_rfd, EPOLLIN) < 0 ||
		reactor_fd_add(r, &r->ring_rfd, EPOLLIN) < 0) {
		goto fail_buffers;
	}
	return r;

fail_buffers:
	buf_pool_free(r->buffers);
fail_ring:
	io_uring_queue_exit(&r->ring);
fail_mailbox:
	mailbox_close(&r->mailbox);
fail_epoll:
	close(r->epoll_fd);
fail:
	free(r);
	return NULL;
}

void reactor_free(struct reactor *r)
{
	if (!r) {
		return;
	}
	buf_pool_free(r->buffers);
	io_uring_queue_exit(&r->ring);
	mailbox_close(&r->mailbox);
	close(r->epoll_fd);
	timer_heap_free(&r->timers);
	free(r);
}

unsigned reactor_index(const struct reactor *r)
{
	return r->config.index;
}

void *reactor_slot(const struct reactor *r, enum reactor_slot slot)
{
	return r->slots[slot];
}

void reactor_slot_set(struct reactor *r, enum reactor_slot slot, void *value)
{
	r->slots[slot] = value;
}

struct buf_pool *reactor_buffers(struct reactor *r)
{
	return r->buffers;
}

void reactor_post(struct reactor *r, struct mailbox_msg *msg)
{
	mailbox_post(&r->mailbox, msg);
}

uint64_t reactor_now_ns(const struct reactor *r)
{
	return r->now_ns;
}

uint64_t reactor_now_ms(const struct reactor *r)
{
	return r->now_ns / 1000000u;
}

int reactor_fd_add(struct reactor *r, struct reactor_fd *rfd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = rfd};

	rfd->events = events;
	return epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, rfd->fd, &event) < 0 ? -errno : 0;
}

int reactor_fd_mod(struct reactor *r, struct reactor_fd *rfd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = rfd};

	if (rfd->events == events) {
		return 0;
	}
	rfd->events = events;
	return epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, rfd->fd, &event) < 0 ? -errno : 0;
}

void reactor_fd_del(struct reactor *r, struct reactor_fd *rfd)
{
	epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, rfd->fd, NULL);
	for (int i = r->event_index; i < r->event_count; i++) {
		if (r->events[i].data.ptr == rfd) {
			r->events[i].data.ptr = NULL;
		}
	}
}

int reactor_timer_set(struct reactor *r, struct reactor_timer *timer, uint64_t delay_ms)
{
	/* A timer that sets itself to now would be due again in the same pass, for ever. */
	if (r->timers_running && delay_ms == 0) {
		delay_ms = 1;
	}
	return timer_heap_set(&r->timers, timer, reactor_now_ms(r) + delay_ms);
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

/* What is deferred by a deferred call waits for the next pass: none of them can keep us here. */
static void reactor_deferred_run(struct reactor *r)
{
	struct qb_list_head now;

	qb_list_init(&now);
	qb_list_splice(&r->deferred, &now);
	qb_list_init(&r->deferred);
	while (!qb_list_empty(&now)) {
		struct reactor_defer *defer = qb_list_first_entry(&now, struct reactor_defer, link);

		qb_list_del(&defer->link);
		defer->queued = false;
		defer->fn(defer);
	}
}

/* Hands everything prepared to the kernel; it may push back until completions are reaped. */
static void reactor_io_flush(struct reactor *r)
{
	int n;

	if (!r->io_unsubmitted) {
		return;
	}
	do {
		n = io_uring_submit(&r->ring);
	} while (n == -EINTR);
	if (n < 0 && n != -EAGAIN && n != -EBUSY) {
		log_err("reactor %u: io_uring refuses submissions: %s", r->config.index,
			strerror(-n));
	}
	r->io_unsubmitted = io_uring_sq_ready(&r->ring) > 0;
}

struct io_uring_sqe *reactor_io_sqe(struct reactor *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	if (!sqe) {
		reactor_io_flush(r);
		sqe = io_uring_get_sqe(&r->ring);
	}
	return sqe;
}

void reactor_io_submit(struct reactor *r, struct io_uring_sqe *sqe, struct reactor_io *io)
{
	unsigned ready;

	io_uring_sqe_set_data(sqe, io);
	r->io_inflight++;
	r->io_unsubmitted = true;
	ready = io_uring_sq_ready(&r->ring);
	/*
	 * A disk that waits for the last of a long row of requests has nothing to do until then.
	 * One alone would be done, with an interrupt of its own, before the next ones are ready.
	 */
	if (ready >= REACTOR_BATCH || (ready >= REACTOR_BEGIN && ready == r->io_inflight)) {
		reactor_io_flush(r);
	}
}

unsigned reactor_io_inflight(const struct reactor *r)
{
	return r->io_inflight;
}

static unsigned reactor_io_reap_some(struct reactor *r, unsigned limit)
{
	struct io_uring_cqe *cqe;
	unsigned count = 0;

	while (count < limit && io_uring_peek_cqe(&r->ring, &cqe) == 0) {
		struct reactor_io *io = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&r->ring, cqe);
		r->io_inflight--;
		count++;
		io->done(io, res);
	}
	return count;
}

/*
 * A disk that says only once that all it had is done has nothing to do until a host has got an
 * answer and its next command is here. So the first answers leave before the others are made: the
 * host works on them meanwhile.
 */
static bool reactor_io_reap(struct reactor *r)
{
	bool any = false;

	if (io_uring_cq_ready(&r->ring) > 2 * REACTOR_FIRST) {
		any = reactor_io_reap_some(r, REACTOR_FIRST) > 0;
		reactor_deferred_run(r);
	}
	return reactor_io_reap_some(r, UINT_MAX) > 0 || any;
}

static bool reactor_timers_run(struct reactor *r)
{
	uint64_t now_ms = reactor_now_ms(r);
	struct reactor_timer *timer;
	bool any = false;

	r->timers_running = true;
	while ((timer = timer_heap_due(&r->timers, now_ms))) {
		any = true;
		timer->fired(timer);
	}
	r->timers_running = false;
	return any;
}

/* How long the pass may wait: not at all while there is something to do or spinning pays. */
static int reactor_wait_ms(struct reactor *r, int limit_ms)
{
	int wait_ms;

	if (!qb_list_empty(&r->deferred) || r->io_unsubmitted) {
		return 0;
	}
	if (r->config.spin_us && r->now_ns - r->busy_ns < r->config.spin_us * 1000ull) {
		return 0;
	}
	wait_ms = timer_heap_wait_ms(&r->timers, reactor_now_ms(r));
	if (limit_ms >= 0 && (wait_ms < 0 || wait_ms > limit_ms)) {
		wait_ms = limit_ms;
	}
	return wait_ms;
}

static bool reactor_events_run(struct reactor *r)
{
	bool any = false;

	for (r->event_index = 0; r->event_index < r->event_count; r->event_index++) {
		struct reactor_fd *rfd = r->events[r->event_index].data.ptr;

		if (rfd) {
			any = any || (rfd != &r->mailbox_rfd && rfd != &r->ring_rfd);
			rfd->ready(rfd, r->events[r->event_index].events);
		}
	}
	r->event_count = 0;
	r->event_index = 0;
	return any;
}

void reactor_run_once(struct reactor *r, int wait_ms)
{
	struct reactor *outer = reactor_running;
	bool any, gathered;
	int n;

	reactor_running = r;
	wait_ms = reactor_wait_ms(r, wait_ms);
	if (wait_ms != 0 && !mailbox_sleep(&r->mailbox)) {
		wait_ms = 0;
	}
	do {
		n = epoll_wait(r->epoll_fd, r->events, REACTOR_EVENTS, wait_ms);
	} while (n < 0 && errno == EINTR && wait_ms < 0 && !atomic_load(&r->stopping));
	if (wait_ms != 0) {
		mailbox_stir(&r->mailbox);
	}
	r->now_ns = reactor_clock_ns();
	r->event_count = n > 0 ? n : 0;
	gathered = yoke_log_gather(true);
	any = mailbox_run(&r->mailbox);
	any |= reactor_events_run(r);
	any |= reactor_io_reap(r);
	any |= reactor_timers_run(r);
	reactor_deferred_run(r);
	reactor_io_flush(r);
	/* Cached reads complete inside the submission: answer them in this pass, not in the next.
	 */
	if (reactor_io_reap(r)) {
		any = true;
		reactor_deferred_run(r);
		reactor_io_flush(r);
	}
	if (any) {
		r->busy_ns = r->now_ns;
	}
	yoke_log_gather(gathered);
	reactor_running = outer;
}

static void *reactor_thread(void *arg)
{
	struct reactor *r = arg;

	while (!atomic_load(&r->stopping)) {
		reactor_run_once(r, -1);
	}
	return NULL;
}

int reactor_start(struct reactor *r)
{
	char name[16];
	sigset_t all, old;
	int err;

	/* Signals are the control thread's, but for what an access of this one's own brings about.
	 */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&r->thread, NULL, reactor_thread, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		log_err("reactor %u: no thread: %s", r->config.index, strerror(err));
		return -err;
	}
	snprintf(name, sizeof(name), "reactor/%u", r->config.index % 1000);
	pthread_setname_np(r->thread, name);
	r->started = true;
	return 0;
}

static void reactor_stop_fn(struct mailbox_msg *msg)
{
	(void)msg; /* being woken up is enough */
}

void reactor_stop(struct reactor *r)
{
	struct mailbox_msg wake = {.fn = reactor_stop_fn};

	if (!r->started) {
		return;
	}
	atomic_store(&r->stopping, true);
	mailbox_post(&r->mailbox, &wake);
	pthread_join(r->thread, NULL);
	r->started = false;
	/* `wake` lives on this stack: take it out if the thread did not see it. */
	mailbox_run(&r->mailbox);
}
