/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/crc32c.h"

#include <isa-l/crc.h>

/* ISA-L takes an int length: a longer run goes in pieces. */
#define CRC32C_PIECE_BYTES (1u << 30)

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
