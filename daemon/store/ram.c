// SPDX-License-Identifier: BSD-3-Clause
/* Extents in memory: nothing waits, everything is lost at the end. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "extent.h"

/* A loss of power takes all of it; so long a write is one copy, which nothing interrupts. */
#define RAM_ATOMIC_BYTES (1u << 20)

static int ram_open(struct extent *extent, char *error, size_t error_size)
{
	uint64_t size = extent->config.size_bytes;
	void *memory;

	if (!size) {
		return extent_refuse(
			extent, 0, error, error_size, "a ram extent needs a size; give one");
	}
	memory = size > SIZE_MAX / 2 ? MAP_FAILED
				     : mmap(NULL, size, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		return extent_refuse(extent, -ENOMEM, error, error_size,
			"%llu bytes of memory are not to be had; give a smaller size",
			(unsigned long long)size);
	}
	extent->memory = memory;
	extent->info = (struct extent_info){
		.size_bytes = size,
		.unmap = true,
		.unmap_granularity_bytes = BUF_ALIGN,
		.atomic_bytes = RAM_ATOMIC_BYTES,
		.io_align_bytes = 1,
	};
	return 0;
}

static void ram_close(struct extent *extent)
{
	munmap(extent->memory, extent->info.size_bytes);
}

static void ram_copy(struct extent_io *io, unsigned char *at)
{
	uint64_t left = io->length_bytes;

	for (int i = 0; i < io->iov_count && left; i++) {
		size_t n = io->iov[i].iov_len < left ? io->iov[i].iov_len : (size_t)left;

		if (io->op == EXTENT_READ) {
			memcpy(io->iov[i].iov_base, at, n);
		} else {
			memcpy(at, io->iov[i].iov_base, n);
		}
		at += n;
		left -= n;
	}
}

/* Zeroes a range; whole pages go back to the system. */
static void ram_zero(struct extent *extent, uint64_t offset, uint64_t length)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = offset + length;
	uint64_t first = (offset + page - 1) / page * page, last = end / page * page;

	if (first >= last || madvise(extent->memory + first, last - first, MADV_DONTNEED)) {
		memset(extent->memory + offset, 0, length);
		return;
	}
	memset(extent->memory + offset, 0, first - offset);
	memset(extent->memory + last, 0, end - last);
}

static void ram_submit(struct extent *extent, struct extent_io *io)
{
	switch (io->op) {
	case EXTENT_READ:
	case EXTENT_WRITE:
		ram_copy(io, extent->memory + io->offset_bytes);
		break;
	case EXTENT_UNMAP:
	case EXTENT_WRITE_ZEROES:
		ram_zero(extent, io->offset_bytes, io->length_bytes);
		break;
	case EXTENT_FLUSH:
		break;
	}
	extent_io_end(io, 0);
}

const struct extent_ops extent_ram_ops = {
	.open = ram_open,
	.close = ram_close,
	.submit = ram_submit,
};
