/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/buf.h"

#include <stdlib.h>

#include "yoke/util.h"

/* Capacity of each class, ascending; the last is BUF_MAX_BYTES. */
static const uint32_t buf_class_bytes[] = {
	4u << 10,
	16u << 10,
	64u << 10,
	256u << 10,
	1u << 20,
	2u << 20,
	4u << 20,
	BUF_MAX_BYTES,
};
#define BUF_CLASSES ARRAY_SIZE(buf_class_bytes)

/* Free memory that a pool keeps for reuse; what comes back beyond it goes to the system. */
#define BUF_KEEP_BYTES (32u << 20)

/* Larger ones come and go, and pinning is little of their cost. */
#define BUF_PIN_BYTES (1u << 20)

struct buf_pool {
	size_t limit_bytes;
	size_t used_bytes;
	size_t kept_bytes;
	struct buf_pins pins;
	struct buf *free[BUF_CLASSES];
};

struct buf_pool *buf_pool_new(size_t limit_bytes)
{
	struct buf_pool *pool = calloc(1, sizeof(*pool));

	if (pool) {
		pool->limit_bytes = limit_bytes;
	}
	return pool;
}

void buf_pool_pins_set(struct buf_pool *pool, const struct buf_pins *pins)
{
	pool->pins = *pins;
}

int buf_pin(struct buf *buf)
{
	const struct buf_pins *pins = &buf->pool->pins;

	if (!buf->pin && pins->add && buf->size <= BUF_PIN_BYTES) {
		int number = pins->add(pins->arg, buf->data, buf->size);

		buf->pin = number < 0 ? 0 : (unsigned)number + 1;
	}
	return (int)buf->pin - 1;
}

static void buf_free(struct buf *buf)
{
	const struct buf_pins *pins = &buf->pool->pins;

	if (buf->pin) {
		pins->remove(pins->arg, (int)buf->pin - 1);
	}
	free(buf->data);
	free(buf);
}

void buf_pool_free(struct buf_pool *pool)
{
	if (!pool) {
		return;
	}
	for (size_t i = 0; i < BUF_CLASSES; i++) {
		while (pool->free[i]) {
			struct buf *buf = pool->free[i];

			pool->free[i] = buf->next;
			buf_free(buf);
		}
	}
	free(pool);
}

static struct buf *buf_new(struct buf_pool *pool, size_t size_class)
{
	struct buf *buf = calloc(1, sizeof(*buf));

	if (!buf) {
		return NULL;
	}
	buf->pool = pool;
	buf->size = buf_class_bytes[size_class];
	buf->size_class = (uint8_t)size_class;
	buf->data = aligned_alloc(BUF_ALIGN, buf->size);
	if (!buf->data) {
		free(buf);
		return NULL;
	}
	return buf;
}

struct buf *buf_get(struct buf_pool *pool, size_t bytes)
{
	size_t size_class = 0;
	struct buf *buf;

	if (bytes > BUF_MAX_BYTES) {
		return NULL;
	}
	while (buf_class_bytes[size_class] < bytes) {
		size_class++;
	}
	if (pool->used_bytes + buf_class_bytes[size_class] > pool->limit_bytes) {
		return NULL;
	}
	buf = pool->free[size_class];
	if (buf) {
		pool->free[size_class] = buf->next;
		pool->kept_bytes -= buf->size;
	} else {
		buf = buf_new(pool, size_class);
		if (!buf) {
			return NULL;
		}
	}
	buf->next = NULL;
	pool->used_bytes += buf->size;
	return buf;
}

void buf_put(struct buf_pool *pool, struct buf *buf)
{
	if (!buf) {
		return;
	}
	pool->used_bytes -= buf->size;
	if (pool->kept_bytes + buf->size > BUF_KEEP_BYTES) {
		buf_free(buf);
		return;
	}
	pool->kept_bytes += buf->size;
	buf->next = pool->free[buf->size_class];
	pool->free[buf->size_class] = buf;
}

size_t buf_pool_used(const struct buf_pool *pool)
{
	return pool->used_bytes;
}

size_t buf_pool_limit(const struct buf_pool *pool)
{
	return pool->limit_bytes;
}
