/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/crc32c.h"

#include <isa-l/crc.h>
#include <string.h>

#include "yoke/util.h"

/* ISA-L takes an int length: a longer run goes in pieces. */
#define CRC32C_PIECE_BYTES (1u << 30)

#define CRC32C_COPY_BYTES  (2u << 10) /* stays in the first-level cache between copy and CRC */

uint32_t crc32c_add(uint32_t running, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	while (n > 0) {
		size_t piece = n < CRC32C_PIECE_BYTES ? n : CRC32C_PIECE_BYTES;

		/* The prototype lacks const; the function only reads. */
		running = crc32_iscsi((unsigned char *)(uintptr_t)p, (int)piece, running);
		p += piece;
		n -= piece;
	}
	return running;
}

uint32_t crc32c_copy(uint32_t running, void *to, const void *from, size_t n)
{
	const unsigned char *source = from;
	unsigned char *p = to;

	while (n > 0) {
		size_t piece = n < CRC32C_COPY_BYTES ? n : CRC32C_COPY_BYTES;
		size_t next = n - piece < CRC32C_COPY_BYTES ? n - piece : CRC32C_COPY_BYTES;

		for (size_t at = 0; at < next; at += YOKE_CACHE_LINE) {
			__builtin_prefetch(source + piece + at);
		}
		memcpy(p, source, piece);
		running = crc32_iscsi(p, (int)piece, running);
		p += piece;
		source += piece;
		n -= piece;
	}
	return running;
}
