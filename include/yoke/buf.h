/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data buffers: page-aligned (O_DIRECT), in size classes, from a pool that belongs to one reactor
 * and is bounded. Not thread-safe: a buffer goes back to the pool it came from, on that reactor.
 */
#ifndef YOKE_BUF_H
#define YOKE_BUF_H

#include <stddef.h>
#include <stdint.h>

#define BUF_MAX_BYTES (8u << 20) /* largest single buffer */
#define BUF_ALIGN     4096u

struct buf {
	uint8_t *data; /* BUF_ALIGN-aligned */
	uint32_t size; /* capacity in bytes, at least what was asked for */
	uint8_t size_class;
	unsigned pin; /* number of its memory in the I/O ring, and one; 0 = none */
	struct buf_pool *pool;
	struct buf *next; /* free list; free for the owner's use while taken */
};

struct buf_pool;

/* Memory that the I/O ring knows: the kernel pins it once, and not for every direct I/O. */
struct buf_pins {
	int (*add)(void *arg, void *data, size_t bytes); /* its number, from 0; negative: none */
	void (*remove)(void *arg, int number);
	void *arg;
};

/* A pool that hands out at most `limit_bytes` at a time; NULL when out of memory. */
struct buf_pool *buf_pool_new(size_t limit_bytes);

/* Every buffer must have come back. */
void buf_pool_free(struct buf_pool *pool);

/*
 * A buffer of at least `bytes` (1 to BUF_MAX_BYTES), contents undefined; NULL when the limit is
 * reached or memory is out: the caller waits for buffers to come back or answers BUSY.
 */
struct buf *buf_get(struct buf_pool *pool, size_t bytes);

/* Gives a buffer back; NULL is allowed. */
void buf_put(struct buf_pool *pool, struct buf *buf);

/* The ring that I/O of the pool's buffers goes to; it stays as long as the pool. */
void buf_pool_pins_set(struct buf_pool *pool, const struct buf_pins *pins);

/* The number of a buffer's memory in that ring, from the first call on; -1: it has none. */
int buf_pin(struct buf *buf);

/* Bytes handed out at the moment, and the limit. */
size_t buf_pool_used(const struct buf_pool *pool);
size_t buf_pool_limit(const struct buf_pool *pool);

#endif
