// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the page cache has of a file, where it has it. The file is mapped, and nobody here ever
 * touches the mapping: the kernel reads from it when it is given to sendmsg(), which costs one copy
 * where read and send cost two, and no look into the page cache where the page is mapped already.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "extent.h"

#define PEEK_PAGES_MAX (BUF_MAX_BYTES / 4096u + 1u)

void extent_fd_map(struct extent *extent)
{
	uint64_t bytes = extent->info.size_bytes;
	void *map;

	if (extent->config.type != EXTENT_FILE || extent->config.clustered || extent->info.direct ||
		bytes > SIZE_MAX / 2) {
		return;
	}
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, extent->fd, 0);
	if (map == MAP_FAILED) {
		return; /* a file system without, or no room for so large a file */
	}
	/* No business of a core file's, nor of the programs that are started. */
	madvise(map, bytes, MADV_DONTDUMP);
	madvise(map, bytes, MADV_DONTFORK);
	extent->map = map;
	extent->map_bytes = bytes;
}

void extent_fd_unmap(struct extent *extent)
{
	if (extent->map) {
		munmap((void *)(uintptr_t)extent->map, extent->map_bytes);
		extent->map = NULL;
	}
}

/* A page that is in the page cache and not mapped yet costs a minor fault, once for 16 pages. */
const uint8_t *extent_fd_peek(struct extent *extent, uint64_t offset, uint64_t length)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t first = offset & ~(page - 1), bytes = offset + length - first;
	unsigned char there[PEEK_PAGES_MAX];

	if (!extent->map || atomic_load_explicit(&extent->map_bad, memory_order_relaxed) ||
		offset + length > extent->map_bytes || bytes > (uint64_t)PEEK_PAGES_MAX * 4096 ||
		mincore((void *)(uintptr_t)(extent->map + first), bytes, there)) {
		return NULL;
	}
	for (uint64_t i = 0; i * page < bytes; i++) {
		if (!(there[i] & 1)) {
			return NULL;
		}
	}
	return extent->map + offset;
}

int extent_fd_peek_copy(struct extent *extent, uint64_t offset, uint64_t length, uint8_t *to)
{
	while (length) {
		ssize_t n = pread(extent->fd, to, length, (off_t)offset);

		if (n == 0 || (n < 0 && errno != EINTR)) {
			atomic_store_explicit(&extent->map_bad, true, memory_order_relaxed);
			return n ? -errno : -EIO; /* the end of the file: it has been cut */
		}
		if (n > 0) {
			to += n;
			offset += (uint64_t)n;
			length -= (uint64_t)n;
		}
	}
	return 0;
}
