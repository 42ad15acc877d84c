/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bounded cursor over bytes from outside or for the wire, big-endian, with a sticky error:
 * read or write every field, test cursor_ok() once at the end. A read past the end returns zeros,
 * a write past the end does nothing; both set the error. No function blocks, allocates or logs.
 */
#ifndef YOKE_CURSOR_H
#define YOKE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	uint8_t *base;
	size_t size; /* bytes in base */
	size_t pos; /* bytes read or written */
	bool bad; /* sticky */
};

/* A reader or writer over `size` bytes at `base`, which the caller keeps alive. */
static inline struct cursor cursor_over(void *base, size_t size)
{
	return (struct cursor){.base = base, .size = size};
}

/* A reader over constant bytes; the write functions must not be used on it. */
static inline struct cursor cursor_reader(const void *base, size_t size)
{
	return (struct cursor){.base = (uint8_t *)(uintptr_t)base, .size = size};
}

static inline bool cursor_ok(const struct cursor *c)
{
	return !c->bad;
}

static inline size_t cursor_left(const struct cursor *c)
{
	return c->bad ? 0 : c->size - c->pos;
}

/* Takes `n` bytes; NULL (and the sticky error) when fewer are left. */
static inline uint8_t *cursor_take(struct cursor *c, size_t n)
{
	if (c->bad || n > c->size - c->pos) {
		c->bad = true;
		return NULL;
	}
	c->pos += n;
	return c->base + c->pos - n;
}

static inline uint64_t cursor_get_n(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_take(c, n);
	uint64_t v = 0;

	for (size_t i = 0; p && i < n; i++) {
		v = v << 8 | p[i];
	}
	return v;
}

static inline uint8_t cursor_get_u8(struct cursor *c)
{
	return (uint8_t)cursor_get_n(c, 1);
}

static inline uint16_t cursor_get_u16(struct cursor *c)
{
	return (uint16_t)cursor_get_n(c, 2);
}

static inline uint32_t cursor_get_u24(struct cursor *c)
{
	return (uint32_t)cursor_get_n(c, 3);
}

static inline uint32_t cursor_get_u32(struct cursor *c)
{
	return (uint32_t)cursor_get_n(c, 4);
}

static inline uint64_t cursor_get_u64(struct cursor *c)
{
	return cursor_get_n(c, 8);
}

/* Copies `n` bytes out; zeros when fewer are left. */
static inline void cursor_get_bytes(struct cursor *c, void *to, size_t n)
{
	const uint8_t *p = cursor_take(c, n);

	if (p) {
		memcpy(to, p, n);
	} else {
		memset(to, 0, n);
	}
}

/*
 * Reads a string with a 16-bit length in front into to[size], NUL-terminated. A string that does
 * not fit or contains a NUL sets the sticky error and leaves "".
 */
void cursor_get_string(struct cursor *c, char *to, size_t size);

static inline void cursor_put_n(struct cursor *c, uint64_t v, size_t n)
{
	uint8_t *p = cursor_take(c, n);

	for (size_t i = n; p && i > 0; i--) {
		p[i - 1] = (uint8_t)v;
		v >>= 8;
	}
}

static inline void cursor_put_u8(struct cursor *c, uint8_t v)
{
	cursor_put_n(c, v, 1);
}

static inline void cursor_put_u16(struct cursor *c, uint16_t v)
{
	cursor_put_n(c, v, 2);
}

static inline void cursor_put_u24(struct cursor *c, uint32_t v)
{
	cursor_put_n(c, v, 3);
}

static inline void cursor_put_u32(struct cursor *c, uint32_t v)
{
	cursor_put_n(c, v, 4);
}

static inline void cursor_put_u64(struct cursor *c, uint64_t v)
{
	cursor_put_n(c, v, 8);
}

static inline void cursor_put_bytes(struct cursor *c, const void *from, size_t n)
{
	uint8_t *p = cursor_take(c, n);

	if (p && n) {
		memcpy(p, from, n);
	}
}

static inline void cursor_put_zeros(struct cursor *c, size_t n)
{
	uint8_t *p = cursor_take(c, n);

	if (p && n) {
		memset(p, 0, n);
	}
}

/* Writes a string with a 16-bit length in front; over 65,535 bytes sets the sticky error. */
void cursor_put_string(struct cursor *c, const char *s);

/* Big-endian fields at fixed places of a buffer whose size was checked before (a 48-byte BHS, a
 * CDB). */
static inline uint16_t be16_get(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be24_get(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t be32_get(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static inline uint64_t be64_get(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

static inline void be16_put(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void be24_put(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 16);
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)v;
}

static inline void be32_put(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

static inline void be64_put(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
}

#endif
