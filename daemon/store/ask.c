// SPDX-License-Identifier: BSD-3-Clause
/*
 * Questions to a file system that io_uring does not know: which bytes of a file have storage, and
 * how much there is of it. They may wait for a disk, so each, or a chain of them, goes to a
 * short-lived thread; the answers come back through the reactor's ring, by way of an eventfd.
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
	int fd = io->ask_file;
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

	if (fstat(io->ask_file, &st) < 0 || fstatvfs(io->ask_file, &fs) < 0) {
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
	struct extent_io *first = arg;
	uint64_t one = 1;
	int fd = first->ask_fd; /* once it is written to, the chain may be gone */

	for (struct extent_io *io = first; io; io = io->ask_next) {
		io->ask_res = io->op == EXTENT_MAP ? map_ask(io) : space_ask(io);
	}
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR) {
	}
	return NULL;
}

static void ask_done(struct reactor_io *ring, int res)
{
	struct extent_io *io = container_of(ring, struct extent_io, ring);
	uint64_t count;

	/* The thread still has them until it has written: wait for that, whatever poll says. */
	while (read(io->ask_fd, &count, sizeof(count)) < 0 && errno == EINTR) {
	}
	close(io->ask_fd);
	while (io) {
		struct extent_io *next = io->ask_next;

		atomic_fetch_sub(&io->extent->asks, 1);
		extent_io_end(io, io->ask_res);
		io = next;
	}
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

/* Those of the chain whose extents are not asked too much at a time; the others are answered. */
static struct extent_io *ask_admit(struct extent_io *io)
{
	struct extent_io *first = NULL, **end = &first;

	while (io) {
		struct extent_io *next = io->ask_next;

		io->ask_next = NULL;
		/* For the thread: when one hangs until the daemon has ended, the extents are gone.
		 */
		io->ask_file = io->extent->fd;
		if (atomic_fetch_add(&io->extent->asks, 1) < ASKS_MAX) {
			*end = io;
			end = &io->ask_next;
		} else {
			atomic_fetch_sub(&io->extent->asks, 1);
			io->done(io, -EAGAIN); /* that is no failure of the extent */
		}
		io = next;
	}
	return first;
}

/* No answer comes from a thread: neither is that a failure of the extents. */
static void ask_refuse(struct extent_io *io)
{
	while (io) {
		struct extent_io *next = io->ask_next;

		atomic_fetch_sub(&io->extent->asks, 1);
		io->done(io, -EAGAIN);
		io = next;
	}
}

void extent_fd_ask(struct extent_io *first)
{
	struct io_uring_sqe *sqe;
	int err;

	first = ask_admit(first);
	if (!first) {
		return;
	}
	first->ask_fd = eventfd(0, EFD_CLOEXEC);
	sqe = first->ask_fd < 0 ? NULL : reactor_io_sqe(first->reactor);
	if (!sqe) {
		if (first->ask_fd >= 0) {
			close(first->ask_fd);
		}
		ask_refuse(first);
		return;
	}
	io_uring_prep_poll_add(sqe, first->ask_fd, POLLIN);
	first->ring.done = ask_done;
	err = ask_thread(first);
	if (err) {
		uint64_t one = 1;

		/* The entry is taken: the answer comes by the same way. */
		for (struct extent_io *io = first; io; io = io->ask_next) {
			io->ask_res = err;
		}
		if (write(first->ask_fd, &one, sizeof(one)) < 0) {
			first->ask_res = -EIO;
		}
	}
	reactor_io_submit(first->reactor, sqe, &first->ring);
}
