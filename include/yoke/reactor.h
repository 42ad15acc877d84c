/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reactor: one thread with an epoll set, an io_uring, timers, a mailbox and a buffer pool. It
 * owns connections and never blocks. Unless a comment says "any thread", a function is called on
 * the reactor's own thread (or before reactor_start()).
 *
 * One pass: mail, descriptors that are ready, finished I/O (of many the first eight, and the
 * deferred calls that follow from them, before the rest), timers, deferred calls (connections flush
 * what they queued), one io_uring_enter for everything that was prepared, then wait.
 */
#ifndef YOKE_REACTOR_H
#define YOKE_REACTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <liburing.h>
#include <qb/qblist.h>

#include "yoke/buf.h"
#include "yoke/mailbox.h"

struct reactor;

struct reactor_config {
	unsigned index; /* 0.. */
	size_t buffer_bytes; /* limit of the buffer pool */
	unsigned spin_us; /* stay awake that long after the last work before waiting; 0 = off */
};

/* Components keep their per-reactor state here. */
enum reactor_slot {
	REACTOR_SLOT_SCSI,
	REACTOR_SLOT_ISCSI,
	REACTOR_SLOT_SHIP,
	REACTOR_SLOT_STORE,
	REACTOR_SLOTS
};

/* NULL (logged) when the kernel refuses epoll or io_uring. */
struct reactor *reactor_new(const struct reactor_config *config);
int reactor_start(struct reactor *r); /* starts the thread; 0 or a negative errno */
void reactor_stop(struct reactor *r); /* any thread: stops and joins */
void reactor_free(struct reactor *r); /* after reactor_stop() */

/* For tests and the simulator: one pass on the calling thread, waiting at most wait_ms (-1: for
 * ever). */
void reactor_run_once(struct reactor *r, int wait_ms);

unsigned reactor_index(const struct reactor *r); /* any thread */
void *reactor_slot(const struct reactor *r, enum reactor_slot slot);
void reactor_slot_set(struct reactor *r, enum reactor_slot slot, void *value);
struct buf_pool *reactor_buffers(struct reactor *r);
/* A pool beside it whose buffers' I/O goes to this reactor's ring, too; freed before the reactor.
 */
struct buf_pool *reactor_buffers_new(struct reactor *r, size_t limit_bytes);

/* The reactor whose thread is running; NULL on any other thread. */
struct reactor *reactor_self(void);

/* From a descriptor's ready(): how many were ready when this pass began; later in it 0. */
unsigned reactor_ready(const struct reactor *r);

/* Any thread: runs msg->fn on the reactor. */
void reactor_post(struct reactor *r, struct mailbox_msg *msg);

/* The clock of the two below, read now. Any thread. It runs while the machine sleeps, too. */
uint64_t reactor_clock_ns(void);
/* Monotonic milliseconds (nanoseconds), read once a pass: cheap. */
uint64_t reactor_now_ms(const struct reactor *r);
uint64_t reactor_now_ns(const struct reactor *r);

/* A descriptor in the epoll set, level-triggered; embedded in its owner. */
struct reactor_fd {
	int fd;
	uint32_t events;
	void (*ready)(struct reactor_fd *rfd, uint32_t events); /* EPOLLIN... */
};

int reactor_fd_add(struct reactor *r, struct reactor_fd *rfd, uint32_t events);
int reactor_fd_mod(struct reactor *r, struct reactor_fd *rfd, uint32_t events);
/* After this ready() is not called again, not even for an event that has been fetched already. */
void reactor_fd_del(struct reactor *r, struct reactor_fd *rfd);

/* A one-shot timer; zero-initialise. Resolution 1 ms. fired() may set it again. */
struct reactor_timer {
	uint64_t at_ms;
	uint32_t heap_index; /* 0 = not set */
	void (*fired)(struct reactor_timer *timer);
};

/* Sets (or moves) the timer; -ENOMEM leaves it unset. */
int reactor_timer_set(struct reactor *r, struct reactor_timer *timer, uint64_t delay_ms);
void reactor_timer_cancel(struct reactor *r, struct reactor_timer *timer);

static inline bool reactor_timer_is_set(const struct reactor_timer *timer)
{
	return timer->heap_index != 0;
}

/* A call at the end of the pass, at most once however often it is asked for; zero-initialise. */
struct reactor_defer {
	struct qb_list_head link;
	bool queued;
	void (*fn)(struct reactor_defer *defer);
};

void reactor_defer(struct reactor *r, struct reactor_defer *defer);
void reactor_defer_cancel(struct reactor *r, struct reactor_defer *defer);

/* An I/O in the ring. done() gets the result as io_uring gives it: bytes or a negative errno. */
struct reactor_io {
	void (*done)(struct reactor_io *io, int res);
};

/*
 * A free submission entry, never NULL on a working ring: prepare it (io_uring_prep_*), then call
 * reactor_io_submit(). It goes to the kernel at the end of the pass, or as soon as several wait (a
 * few, when the kernel has none). NULL: the ring is broken.
 */
struct io_uring_sqe *reactor_io_sqe(struct reactor *r);
void reactor_io_submit(struct reactor *r, struct io_uring_sqe *sqe, struct reactor_io *io);
/* I/Os in the kernel or waiting for the end of the pass. */
unsigned reactor_io_inflight(const struct reactor *r);

#endif
