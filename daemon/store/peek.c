// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the page cache has of a file, where it has it. The file is mapped. The kernel reads from the
 * mapping when it is given to sendmsg(), which costs one copy where read and send cost two, and no
 * look into the page cache where the page is mapped already. What has to be copied, for a
 * digest, is copied from there too, for half of what pread() costs; where it is much, together with
 * the digest.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "extent.h"
#include "yoke/crc32c.h"
#include "yoke/pages.h"

#define PEEK_PAGE 4096u
#define PEEK_AHEAD \
	(16u * YOKE_CACHE_LINE) /* from there on the processor sees by itself that it goes on */
#define PEEK_PAGES_MAX (BUF_MAX_BYTES / PEEK_PAGE + 1u)

/*
 * `seen` of a large file is in pages of its own, few of which may ever be touched. That of a small
 * one is less than a page, which many LUs had better not have each.
 */
static size_t peek_seen_bytes(uint64_t map_bytes)
{
	return (map_bytes / PEEK_PAGE + 1) * sizeof(uint16_t);
}

static void *peek_seen_new(uint64_t map_bytes)
{
	size_t bytes = peek_seen_bytes(map_bytes);

	return bytes < PEEK_PAGE ? calloc(1, bytes) : pages_new(bytes);
}

static void peek_seen_free(void *seen, uint64_t map_bytes)
{
	size_t bytes = peek_seen_bytes(map_bytes);

	if (bytes < PEEK_PAGE) {
		free(seen);
	} else {
		pages_free(seen, bytes);
	}
}

/* ----- touching the mapping: what is not there any more is a SIGBUS ----------------------------
 */

static __thread sigjmp_buf *volatile peek_escape;
static struct sigaction peek_before; /* what SIGBUS did */

static void peek_fault(int number)
{
	if (peek_escape) {
		siglongjmp(*peek_escape, 1);
	}
	/* Not from here: the access is made again and has its end. */
	sigaction(number, &peek_before, NULL);
}

static void peek_fault_expect(void)
{
	struct sigaction action = {.sa_handler = peek_fault, .sa_flags = SA_NODEFER}, before;

	sigaction(SIGBUS, &action, &before);
	if (before.sa_handler != peek_fault) {
		peek_before = before;
	}
}

/*
 * `crc`: continued over the copy; NULL = none. False: one of the two was not there any more, and
 * some of it may have been copied.
 */
static bool peek_copy(const uint8_t *from, size_t length, uint8_t *to, uint32_t *crc)
{
	sigjmp_buf here;

	if (sigsetjmp(here, 0)) {
		peek_escape = NULL;
		return false;
	}
	peek_escape = &here;
	atomic_signal_fence(memory_order_seq_cst);
	if (crc) {
		*crc = crc32c_copy(*crc, to, from, length);
	} else {
		memcpy(to, from, length);
	}
	atomic_signal_fence(memory_order_seq_cst);
	peek_escape = NULL;
	return true;
}

/* ----- the mapping -----------------------------------------------------------------------------
 */

void extent_fd_map(struct extent *extent)
{
	uint64_t bytes = extent->info.size_bytes;
	int protection = PROT_READ;
	void *map, *seen;

	if (extent->config.type != EXTENT_FILE || extent->config.clustered || extent->info.direct ||
		bytes > SIZE_MAX / 2 || sysconf(_SC_PAGESIZE) != PEEK_PAGE) {
		return;
	}
	if (extent->in_memory && !extent->config.read_only) {
		protection |= PROT_WRITE;
	}
	map = mmap(NULL, bytes, protection, MAP_SHARED | MAP_NORESERVE, extent->fd, 0);
	if (map == MAP_FAILED) {
		return; /* a file system without, or no room for so large a file */
	}
	seen = peek_seen_new(bytes);
	if (!seen) {
		munmap(map, bytes);
		return;
	}
	peek_fault_expect();
	/* No business of a core file's, nor of the programs that are started. */
	madvise(map, bytes, MADV_DONTDUMP);
	madvise(map, bytes, MADV_DONTFORK);
	extent->map = map;
	extent->map_bytes = bytes;
	extent->seen = seen;
}

void extent_fd_unmap(struct extent *extent)
{
	if (extent->map) {
		munmap((void *)(uintptr_t)extent->map, extent->map_bytes);
		peek_seen_free((void *)extent->seen, extent->map_bytes);
		extent->map = NULL;
	}
}

/*
 * mincore() is a quarter of the cost of a read of 4 KiB, so the time at which a page was there is
 * remembered, in seconds and never 0. A page that was there in this second or the last is taken to
 * be there: the kernel lets go of what has just been read last of all, and should it have done so,
 * a read waits for a disk once. On tmpfs a page goes only when its storage is given back.
 */
static uint16_t peek_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint16_t)((uint64_t)ts.tv_sec % UINT16_MAX + 1);
}

static bool peek_is_known(const struct extent *extent, uint64_t first, uint64_t end, uint16_t now)
{
	uint16_t before = now > 1 ? now - 1 : UINT16_MAX;

	for (uint64_t i = first; i < end; i++) {
		uint16_t seen = atomic_load_explicit(&extent->seen[i], memory_order_relaxed);

		if (extent->in_memory ? !seen : seen != now && seen != before) {
			return false;
		}
	}
	return true;
}

static void peek_mark(struct extent *extent, uint64_t first, uint64_t end, uint16_t now)
{
	for (uint64_t i = first; i < end; i++) {
		atomic_store_explicit(&extent->seen[i], now, memory_order_relaxed);
	}
}

/* A page that is in the page cache and not mapped yet costs a minor fault, once for 16 pages. */
static bool peek_look(struct extent *extent, uint64_t first, uint64_t end, uint16_t now)
{
	unsigned char there[PEEK_PAGES_MAX];

	if (mincore((void *)(uintptr_t)(extent->map + first * PEEK_PAGE), (end - first) * PEEK_PAGE,
		    there)) {
		return false;
	}
	for (uint64_t i = 0; i < end - first; i++) {
		if (!(there[i] & 1)) {
			return false;
		}
	}
	peek_mark(extent, first, end, now);
	return true;
}

/*
 * Between the header of a command and the send of its data the other commands of the same receive
 * are looked at: time to fetch from memory, and to find the page in the page tables, what sendmsg()
 * would else wait for. A prefetch of what is not mapped does nothing.
 */
void extent_fd_expect(const struct extent *extent, uint64_t offset, uint64_t length)
{
	uint64_t end = length < PEEK_AHEAD ? length : PEEK_AHEAD;

	if (offset > extent->map_bytes || length > extent->map_bytes - offset) {
		return;
	}
	__builtin_prefetch((const void *)&extent->seen[offset / PEEK_PAGE]);
	for (uint64_t at = 0; at < end; at += YOKE_CACHE_LINE) {
		__builtin_prefetch(extent->map + offset + at);
	}
}

/* `look`: ask mincore() about what is not known. */
static const uint8_t *peek_at(struct extent *extent, uint64_t offset, uint64_t length, bool look)
{
	uint64_t first = offset / PEEK_PAGE, end = (offset + length + PEEK_PAGE - 1) / PEEK_PAGE;
	uint16_t now = peek_now();

	if (!extent->map || atomic_load_explicit(&extent->map_bad, memory_order_relaxed) ||
		offset + length > extent->map_bytes || end - first > PEEK_PAGES_MAX) {
		return NULL;
	}
	return peek_is_known(extent, first, end, now) ||
			       (look && peek_look(extent, first, end, now))
		       ? extent->map + offset
		       : NULL;
}

const uint8_t *extent_fd_peek(struct extent *extent, uint64_t offset, uint64_t length)
{
	return peek_at(extent, offset, length, true);
}

void extent_fd_seen(struct extent *extent, uint64_t offset, uint64_t length)
{
	uint64_t first = offset / PEEK_PAGE, end = (offset + length + PEEK_PAGE - 1) / PEEK_PAGE;
	uint16_t now = peek_now();

	if (!extent->map || offset + length > extent->map_bytes) {
		return;
	}
	peek_mark(extent, first, end, now);
}

bool extent_fd_peek_read(struct extent *extent, uint64_t offset, uint64_t length, uint8_t *to)
{
	/*
	 * Who reads has asked mincore() already, but for digests; a read that does not wait tells
	 * as much. On tmpfs it does not: it also reads holes, which an access here would fill.
	 */
	const uint8_t *from = peek_at(extent, offset, length, extent->in_memory);

	if (!from) {
		return false;
	}
	if (!peek_copy(from, length, to, NULL)) {
		atomic_store_explicit(&extent->map_bad, true, memory_order_relaxed);
		return false;
	}
	return true;
}

/*
 * Only where nothing has to know which pages have been changed: on a file system with a disk below
 * it the first access after each write-back is a fault that costs more than pwrite(). And only
 * pages that are there: a hole may find no storage.
 */
bool extent_fd_peek_write(
	struct extent *extent, uint64_t offset, const struct iovec *iov, int count)
{
	uint64_t length = 0;
	uint8_t *to;

	for (int i = 0; i < count; i++) {
		length += iov[i].iov_len;
	}
	to = extent->in_memory ? (uint8_t *)(uintptr_t)peek_at(extent, offset, length, false)
			       : NULL;
	if (!to) {
		return false;
	}
	for (int i = 0; i < count; i++) {
		if (!peek_copy(iov[i].iov_base, iov[i].iov_len, to, NULL)) {
			atomic_store_explicit(&extent->map_bad, true, memory_order_relaxed);
			return false;
		}
		to += iov[i].iov_len;
	}
	return true;
}

void extent_fd_forget(struct extent *extent, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length < extent->map_bytes ? offset + length : extent->map_bytes;
	uint64_t first = offset / PEEK_PAGE, last = (end + PEEK_PAGE - 1) / PEEK_PAGE;
	uint64_t per = PEEK_PAGE / sizeof(extent->seen[0]); /* in a page of `seen` */

	if (!extent->map || offset >= end) {
		return;
	}
	while (first < last) {
		uint64_t whole = first % per ? 0 : (last - first) / per * per;

		if (whole && !madvise((void *)&extent->seen[first], whole * sizeof(extent->seen[0]),
				     MADV_DONTNEED)) {
			first += whole;
		} else {
			atomic_store_explicit(&extent->seen[first++], 0, memory_order_relaxed);
		}
	}
}

static int peek_read_all(struct extent *extent, uint64_t offset, uint64_t length, uint8_t *to)
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

int extent_fd_peek_copy(
	struct extent *extent, uint64_t offset, uint64_t length, uint8_t *to, uint32_t *crc)
{
	int err;

	if (crc && !atomic_load_explicit(&extent->map_bad, memory_order_relaxed)) {
		uint32_t running = *crc;

		if (peek_copy(extent->map + offset, length, to, &running)) {
			*crc = running;
			return 0;
		}
	}
	err = peek_read_all(extent, offset, length, to);
	if (!err && crc) {
		*crc = crc32c_add(*crc, to, length);
	}
	return err;
}
