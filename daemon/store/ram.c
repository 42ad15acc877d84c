// SPDX-License-Identifier: BSD-3-Clause
/* Extents in memory: nothing waits, everything is lost at the end. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "extent.h"
#include "yoke/crc32c.h"

/* A loss of power takes all of it; so long a write is one copy, which nothing interrupts. */
#define RAM_ATOMIC_BYTES  (1u << 20)
#define RAM_MAP_UNITS_MAX (1u << 20)

static int ram_open(struct extent *extent, char *error, size_t error_size)
{
	uint64_t size = extent->config.size_bytes;
	void *memory, *touched;

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
	touched = mmap(NULL, size / BUF_ALIGN + 1, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (touched == MAP_FAILED) {
		munmap(memory, size);
		return extent_refuse(extent, -ENOMEM, error, error_size, "out of memory");
	}
	extent->memory = memory;
	extent->touched = touched;
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
	munmap((void *)extent->touched, extent->info.size_bytes / BUF_ALIGN + 1);
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

/* Notes which units of the range hold something. Those that a range covers only partly count when
 * something is put there, and stay as they are when it is taken away. */
static void ram_touch(struct extent *extent, uint64_t offset, uint64_t length, bool there)
{
	uint64_t first = there ? offset / BUF_ALIGN : (offset + BUF_ALIGN - 1) / BUF_ALIGN;
	uint64_t end = there ? (offset + length + BUF_ALIGN - 1) / BUF_ALIGN
			     : (offset + length) / BUF_ALIGN;

	for (uint64_t i = first; i < end; i++) {
		if (atomic_load_explicit(&extent->touched[i], memory_order_relaxed) != there &&
			atomic_exchange_explicit(
				&extent->touched[i], there, memory_order_relaxed) != there) {
			atomic_fetch_add_explicit(&extent->touched_count, there ? 1 : UINT64_MAX,
				memory_order_relaxed);
		}
	}
}

/* Looks at so many units at most: this runs on a reactor. */
static void ram_map(const struct extent *extent, struct extent_io *io)
{
	uint64_t first = io->offset_bytes / BUF_ALIGN, at = first + 1;
	uint64_t end = (io->offset_bytes + io->length_bytes + BUF_ALIGN - 1) / BUF_ALIGN;

	end = end - first < RAM_MAP_UNITS_MAX ? end : first + RAM_MAP_UNITS_MAX;
	io->mapped = atomic_load_explicit(&extent->touched[first], memory_order_relaxed);
	while (at < end &&
		atomic_load_explicit(&extent->touched[at], memory_order_relaxed) == io->mapped) {
		at++;
	}
	io->run_bytes = at * BUF_ALIGN - io->offset_bytes;
}

static void ram_submit(struct extent *extent, struct extent_io *io)
{
	switch (io->op) {
	case EXTENT_WRITE:
		ram_touch(extent, io->offset_bytes, io->length_bytes, true);
		ram_copy(io, extent->memory + io->offset_bytes);
		break;
	case EXTENT_READ:
		ram_copy(io, extent->memory + io->offset_bytes);
		break;
	case EXTENT_UNMAP:
	case EXTENT_WRITE_ZEROES:
		ram_zero(extent, io->offset_bytes, io->length_bytes);
		ram_touch(
			extent, io->offset_bytes, io->length_bytes, io->op == EXTENT_WRITE_ZEROES);
		break;
	case EXTENT_FLUSH:
		break;
	case EXTENT_MAP:
		ram_map(extent, io);
		break;
	case EXTENT_SPACE:
		io->used_bytes =
			atomic_load_explicit(&extent->touched_count, memory_order_relaxed) *
			BUF_ALIGN;
		io->free_bytes = io->total_bytes = EXTENT_UNKNOWN;
		break;
	}
	extent_io_end(io, 0);
}

static const uint8_t *ram_peek(struct extent *extent, uint64_t offset, uint64_t length)
{
	(void)length;
	return extent->memory + offset;
}

static int ram_peek_copy(
	struct extent *extent, uint64_t offset, uint64_t length, uint8_t *to, uint32_t *crc)
{
	if (crc) {
		*crc = crc32c_copy(*crc, to, extent->memory + offset, length);
	} else {
		memcpy(to, extent->memory + offset, length);
	}
	return 0;
}

const struct extent_ops extent_ram_ops = {
	.open = ram_open,
	.close = ram_close,
	.submit = ram_submit,
	.peek = ram_peek,
	.peek_copy = ram_peek_copy,
};
