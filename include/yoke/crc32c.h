/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC32C (Castagnoli) as RFC 7143 13.1 uses it, computed by ISA-L. Any thread. */
#ifndef YOKE_CRC32C_H
#define YOKE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start value for crc32c_add(). */
#define CRC32C_INIT 0xffffffffu

/* Continues a running value over `n` bytes. */
uint32_t crc32c_add(uint32_t running, const void *bytes, size_t n);

/*
 * Copies `n` bytes and continues a running value over the copy, whatever becomes of `from`
 * meanwhile; in one pass through memory.
 */
uint32_t crc32c_copy(uint32_t running, void *to, const void *from, size_t n);

/* Ends a running value. An iSCSI digest goes out least significant byte first: crc32c_put(). */
static inline uint32_t crc32c_end(uint32_t running)
{
	return ~running;
}

/* The CRC of `n` bytes in one call. */
static inline uint32_t crc32c(const void *bytes, size_t n)
{
	return crc32c_end(crc32c_add(CRC32C_INIT, bytes, n));
}

static inline void crc32c_put(uint8_t to[4], uint32_t crc)
{
	to[0] = (uint8_t)crc;
	to[1] = (uint8_t)(crc >> 8);
	to[2] = (uint8_t)(crc >> 16);
	to[3] = (uint8_t)(crc >> 24);
}

static inline uint32_t crc32c_get(const uint8_t from[4])
{
	return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

#endif
