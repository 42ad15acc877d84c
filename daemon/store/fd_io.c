// SPDX-License-Identifier: BSD-3-Clause
/*
 * I/O to files and block devices. With the page cache in use a transfer is tried inline first,
 * without waiting; what would wait, and everything direct, goes through the ring.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "extent.h"

#define FD_INLINE_MAX  (1u << 20) /* longer copies are left to the kernel's threads */
#define FD_RETRIES_MAX 64 /* of EINTR and EAGAIN, in one I/O */
#define FD_ZERO_BYTES  (64u << 10)
#define FD_ZERO_IOVS   16

/* Zeros to write where there is no better way. */
static const unsigned char fd_zeros[FD_ZERO_BYTES] __attribute__((aligned(4096)));

#define ZERO_IOV                                                                  \
	{                                                                         \
		.iov_base = (void *)(uintptr_t)fd_zeros, .iov_len = FD_ZERO_BYTES \
	}
static const struct iovec fd_zero_iovs[FD_ZERO_IOVS] = {ZERO_IOV, ZERO_IOV, ZERO_IOV, ZERO_IOV,
	ZERO_IOV, ZERO_IOV, ZERO_IOV, ZERO_IOV, ZERO_IOV, ZERO_IOV, ZERO_IOV, ZERO_IOV, ZERO_IOV,
	ZERO_IOV, ZERO_IOV, ZERO_IOV};

static void fd_done(struct reactor_io *ring, int res);

static void fd_ring_submit(struct extent_io *io, struct io_uring_sqe *sqe)
{
	io->ring.done = fd_done;
	reactor_io_submit(io->reactor, sqe, &io->ring);
}

static int fd_rw_flags(const struct extent_io *io)
{
	return io->fua && io->extent->info.volatile_cache ? RWF_DSYNC : 0;
}

/* Direct I/O from and to memory that the ring has pinned already: false when it has not. */
static bool fd_pinned_prepare(struct extent_io *io, struct io_uring_sqe *sqe, uint64_t at)
{
	int number =
		io->extent->info.direct && io->buf && io->iov_count == 1 ? buf_pin(io->buf) : -1;

	if (number < 0) {
		return false;
	}
	if (io->op == EXTENT_READ) {
		io_uring_prep_read_fixed(sqe, io->extent->fd, io->iov->iov_base,
			(unsigned)io->iov->iov_len, at, number);
	} else {
		io_uring_prep_write_fixed(sqe, io->extent->fd, io->iov->iov_base,
			(unsigned)io->iov->iov_len, at, number);
		sqe->rw_flags = fd_rw_flags(io);
	}
	return true;
}

static void fd_transfer_submit(struct extent_io *io)
{
	struct io_uring_sqe *sqe = reactor_io_sqe(io->reactor);
	uint64_t at = io->offset_bytes + io->moved_bytes;

	if (!sqe) {
		extent_io_end(io, -EIO);
		return;
	}
	if (fd_pinned_prepare(io, sqe, at)) {
		fd_ring_submit(io, sqe);
		return;
	}
	if (io->op == EXTENT_READ) {
		io_uring_prep_readv2(sqe, io->extent->fd, io->iov, (unsigned)io->iov_count, at, 0);
	} else {
		io_uring_prep_writev2(
			sqe, io->extent->fd, io->iov, (unsigned)io->iov_count, at, fd_rw_flags(io));
	}
	fd_ring_submit(io, sqe);
}

static void fd_zeros_submit(struct extent_io *io)
{
	struct io_uring_sqe *sqe = reactor_io_sqe(io->reactor);
	uint64_t left = io->length_bytes - io->moved_bytes, at = io->offset_bytes + io->moved_bytes;

	if (!sqe) {
		extent_io_end(io, -EIO);
		return;
	}
	if (left >= FD_ZERO_BYTES) {
		uint64_t iovs = left / FD_ZERO_BYTES;

		iovs = iovs < FD_ZERO_IOVS ? iovs : FD_ZERO_IOVS;
		io_uring_prep_writev2(
			sqe, io->extent->fd, fd_zero_iovs, (unsigned)iovs, at, fd_rw_flags(io));
	} else {
		io_uring_prep_write(sqe, io->extent->fd, fd_zeros, (unsigned)left, at);
		sqe->rw_flags = fd_rw_flags(io);
	}
	fd_ring_submit(io, sqe);
}

static void fd_allocate_submit(struct extent_io *io)
{
	struct io_uring_sqe *sqe = reactor_io_sqe(io->reactor);
	int mode = io->op == EXTENT_UNMAP ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

	if (!sqe) {
		extent_io_end(io, -EIO);
		return;
	}
	io_uring_prep_fallocate(sqe, io->extent->fd, mode | FALLOC_FL_KEEP_SIZE,
		(off_t)io->offset_bytes, (off_t)io->length_bytes);
	fd_ring_submit(io, sqe);
}

static void fd_sync_submit(struct extent_io *io)
{
	struct io_uring_sqe *sqe = reactor_io_sqe(io->reactor);

	if (!sqe) {
		extent_io_end(io, -EIO);
		return;
	}
	io_uring_prep_fsync(sqe, io->extent->fd, IORING_FSYNC_DATASYNC);
	fd_ring_submit(io, sqe);
}

/* What an I/O is doing in the ring; the low bits of io->step, the rest counts retries. */
enum fd_step {
	FD_TRANSFER,
	FD_ALLOCATE,
	FD_ZEROS,
	FD_SYNC,
	FD_STEPS
};

#define FD_STEP_BITS 3

static void fd_allocated(struct extent_io *io, int res);
static void fd_moved(struct extent_io *io, int res);

static const struct fd_step_row {
	void (*submit)(struct extent_io *io);
	void (*ended)(struct extent_io *io, int res); /* res >= 0, or a failure that is final */
} fd_steps[FD_STEPS] = {
	[FD_TRANSFER] = {fd_transfer_submit, fd_moved},
	[FD_ALLOCATE] = {fd_allocate_submit, fd_allocated},
	[FD_ZEROS] = {fd_zeros_submit, fd_moved},
	[FD_SYNC] = {fd_sync_submit, extent_io_end},
};

static enum fd_step fd_step(const struct extent_io *io)
{
	return (enum fd_step)(io->step & ((1 << FD_STEP_BITS) - 1));
}

static void fd_step_begin(struct extent_io *io, enum fd_step step)
{
	io->step = (int)step;
	fd_steps[step].submit(io);
}

/* A transfer (of the caller's memory, or of zeros) has moved some bytes or failed. */
static void fd_moved(struct extent_io *io, int res)
{
	if (res == 0) {
		res = -EIO; /* the end of the file: it has been cut */
	}
	if (res < 0) {
		extent_io_end(io, res);
		return;
	}
	io->moved_bytes += (unsigned)res;
	if (io->moved_bytes >= io->length_bytes) {
		extent_io_end(io, 0);
		return;
	}
	if (fd_step(io) == FD_TRANSFER) {
		extent_io_advance(io, (size_t)res);
	}
	fd_step_begin(io, fd_step(io));
}

static void fd_allocated(struct extent_io *io, int res)
{
	extent_fd_forget(io->extent, io->offset_bytes, io->length_bytes);
	if (res == -EOPNOTSUPP && io->op == EXTENT_WRITE_ZEROES) {
		atomic_store_explicit(&io->extent->no_zero_range, true, memory_order_relaxed);
		fd_step_begin(io, FD_ZEROS);
	} else if (res == 0 && (io->extent->sync_unmap || io->fua)) {
		fd_step_begin(io, FD_SYNC);
	} else {
		extent_io_end(io, res);
	}
}

static void fd_done(struct reactor_io *ring, int res)
{
	struct extent_io *io = container_of(ring, struct extent_io, ring);

	if ((res == -EINTR || res == -EAGAIN) && io->step >> FD_STEP_BITS < FD_RETRIES_MAX) {
		io->step += 1 << FD_STEP_BITS;
		fd_steps[fd_step(io)].submit(io);
		return;
	}
	fd_steps[fd_step(io)].ended(io, res);
}

/* ----- inline, through the page cache -------------------------------------------------------- */

static bool fd_inline_ok(const struct extent_io *io)
{
	const struct extent *extent = io->extent;

	return !extent->config.clustered && !extent->info.direct &&
	       io->length_bytes <= FD_INLINE_MAX && !(io->op == EXTENT_WRITE && io->fua);
}

/* One piece, which is the rule, costs the kernel 0.1 us less without a vector. */
static ssize_t fd_read_now(const struct extent_io *io)
{
	const struct iovec *iov = io->iov;
	off_t at = (off_t)io->offset_bytes;

	return io->iov_count == 1 ? pread(io->extent->fd, iov->iov_base, iov->iov_len, at)
				  : preadv(io->extent->fd, iov, io->iov_count, at);
}

static ssize_t fd_write_now(const struct extent_io *io)
{
	const struct iovec *iov = io->iov;
	off_t at = (off_t)io->offset_bytes;

	return io->iov_count == 1 ? pwrite(io->extent->fd, iov->iov_base, iov->iov_len, at)
				  : pwritev(io->extent->fd, iov, io->iov_count, at);
}

/*
 * A file system that cannot promise not to wait when it writes (most cannot) copies into the page
 * cache all the same; only a part of a page may first have to be read, and goes through the ring.
 */
static ssize_t fd_inline_write(struct extent_io *io)
{
	struct extent *extent = io->extent;

	if (extent->in_memory) {
		ssize_t n;

		if (extent_fd_peek_write(extent, io->offset_bytes, io->iov, io->iov_count)) {
			return (ssize_t)io->length_bytes;
		}
		n = fd_write_now(io);
		if (n > 0) {
			extent_fd_seen(extent, io->offset_bytes, (uint64_t)n);
		}
		return n;
	}
	if (!atomic_load_explicit(&extent->no_nowait_write, memory_order_relaxed)) {
		ssize_t n = pwritev2(
			extent->fd, io->iov, io->iov_count, (off_t)io->offset_bytes, RWF_NOWAIT);

		if (n >= 0 || errno != EOPNOTSUPP) {
			return n;
		}
		atomic_store_explicit(&extent->no_nowait_write, true, memory_order_relaxed);
	}
	if ((io->offset_bytes | io->length_bytes) & (BUF_ALIGN - 1)) {
		errno = EAGAIN;
		return -1;
	}
	return fd_write_now(io);
}

static ssize_t fd_inline_read(struct extent_io *io)
{
	struct extent *extent = io->extent;
	ssize_t n;

	if (io->iov_count == 1 && extent_fd_peek_read(extent, io->offset_bytes, io->iov->iov_len,
					  io->iov->iov_base)) {
		return (ssize_t)io->iov->iov_len;
	}
	if (extent->in_memory) {
		return fd_read_now(io);
	}
	if (atomic_load_explicit(&extent->no_nowait_read, memory_order_relaxed)) {
		errno = EAGAIN;
		return -1;
	}
	n = preadv2(extent->fd, io->iov, io->iov_count, (off_t)io->offset_bytes, RWF_NOWAIT);
	if (n < 0 && errno == EOPNOTSUPP) {
		atomic_store_explicit(&extent->no_nowait_read, true, memory_order_relaxed);
		errno = EAGAIN;
	}
	if (n == (ssize_t)io->length_bytes) {
		extent_fd_seen(extent, io->offset_bytes, io->length_bytes);
	}
	return n;
}

static void fd_transfer_begin(struct extent_io *io)
{
	ssize_t n = -1;

	io->step = FD_TRANSFER;
	errno = EAGAIN;
	if (fd_inline_ok(io)) {
		n = io->op == EXTENT_READ ? fd_inline_read(io) : fd_inline_write(io);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		fd_transfer_submit(io);
	} else {
		fd_moved(io, n < 0 ? -errno : (int)n);
	}
}

/* A device has all the storage it says it has, as far as anybody can tell from here. */
static void fd_ask(struct extent_io *io)
{
	if (io->extent->config.type == EXTENT_FILE) {
		extent_fd_ask(io);
		return;
	}
	io->mapped = true;
	io->run_bytes = io->length_bytes;
	io->used_bytes = io->free_bytes = io->total_bytes = EXTENT_UNKNOWN;
	extent_io_end(io, 0);
}

void extent_fd_submit(struct extent *extent, struct extent_io *io)
{
	switch (io->op) {
	case EXTENT_READ:
	case EXTENT_WRITE:
		fd_transfer_begin(io);
		break;
	case EXTENT_FLUSH:
		if (extent->config.read_only) {
			extent_io_end(io, 0);
		} else {
			fd_step_begin(io, FD_SYNC);
		}
		break;
	case EXTENT_UNMAP:
		if (extent->info.unmap) {
			fd_step_begin(io, FD_ALLOCATE);
		} else {
			extent_io_end(io, -EOPNOTSUPP);
		}
		break;
	case EXTENT_MAP:
	case EXTENT_SPACE:
		fd_ask(io);
		break;
	case EXTENT_WRITE_ZEROES:
		if (atomic_load_explicit(&extent->no_zero_range, memory_order_relaxed)) {
			fd_step_begin(io, FD_ZEROS);
		} else {
			fd_step_begin(io, FD_ALLOCATE);
		}
		break;
	}
}
