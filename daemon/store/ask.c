// SPDX-License-Identifier: BSD-3-Clause
/*
 * Questions to a file system that io_uring does not know: which bytes of a file have storage, and
 * how much there is of it. They may wait for a disk, so each goes to a short-lived thread; the
 * answer comes back through the reactor's ring, by way of an eventfd.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "extent.h"

#define ASKS_MAX   4 /* threads of one extent at a time; further questions are answered BUSY */
#define ASK_STACK  (64u << 10)
#define STAT_BLOCK 512u /* unit of st_blocks */

/* What is at the offset, and how far it goes on, up to the length asked about. */
static int map_ask(struct extent_io *io)
{
	int fd = io->extent->fd;
	off_t at = (off_t)io->offset_bytes, data = lseek(fd, at, SEEK_DATA), end;

	if (data < 0) {
		/* ENXIO: no data from here to the end of the file. */
		io->mapped = errno != ENXIO;
		io->run_bytes = io->length_bytes;
		return errno == ENXIO || errno == EINVAL ? 0 : -errno;
	}
	io->mapped = data == at;
	end = io->mapped ? lseek(fd, at, SEEK_HOLE) : data;
	if (end < 0) {
		return -errno;
	}
	io->run_bytes = (uint64_t)(end - at);
	return 0;
}

static int space_ask(struct extent_io *io)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(io->extent->fd, &st) < 0 || fstatvfs(io->extent->fd, &fs) < 0) {
		return -errno;
	}
	io->used_bytes = (uint64_t)st.st_blocks * STAT_BLOCK;
	io->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	/* As df counts: without what is kept back for root. */
	io->total_bytes = (uint64_t)(fs.f_blocks - fs.f_bfree + fs.f_bavail) * fs.f_frsize;
	return 0;
}

static void *ask_run(void *arg)
{
	struct extent_io *io = arg;
	uint64_t one = 1;
	int fd = io->ask_fd; /* once it is written to, `io` may be gone */

	io->ask_res = io->op == EXTENT_MAP ? map_ask(io) : space_ask(io);
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR) {
	}
	return NULL;
}

static void ask_done(struct reactor_io *ring, int res)
{
	struct extent_io *io = container_of(ring, struct extent_io, ring);
	uint64_t count;

	/* The thread still has `io` until it has written: wait for that, whatever poll says. */
	while (read(io->ask_fd, &count, sizeof(count)) < 0 && errno == EINTR) {
	}
	close(io->ask_fd);
	atomic_fetch_sub(&io->extent->asks, 1);
	extent_io_end(io, io->ask_res);
}

static int ask_thread(struct extent_io *io)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (pthread_attr_init(&attr)) {
		return -ENOMEM;
	}
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, ASK_STACK);
	err = pthread_create(&thread, &attr, ask_run, io);
	pthread_attr_destroy(&attr);
	return -err;
}

void extent_fd_ask(struct extent *extent, struct extent_io *io)
{
	struct io_uring_sqe *sqe;
	int err = -EAGAIN;

	io->ask_fd = -1;
	if (atomic_fetch_add(&extent->asks, 1) >= ASKS_MAX) {
		goto fail;
	}
	io->ask_fd = eventfd(0, EFD_CLOEXEC);
	sqe = io->ask_fd < 0 ? NULL : reactor_io_sqe(io->reactor);
	if (!sqe) {
		goto fail;
	}
	io_uring_prep_poll_add(sqe, io->ask_fd, POLLIN);
	io->ring.done = ask_done;
	err = ask_thread(io);
	if (err) {
		uint64_t one = 1;

		/* The entry is taken: the answer comes by the same way. */
		io->ask_res = err;
		if (write(io->ask_fd, &one, sizeof(one)) < 0) {
			io->ask_res = -EIO;
		}
	}
	reactor_io_submit(io->reactor, sqe, &io->ring);
	return;
fail:
	if (io->ask_fd >= 0) {
		close(io->ask_fd);
	}
	atomic_fetch_sub(&extent->asks, 1);
	io->done(io, err); /* too much at a time is no failure of the extent */
}
