/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kinds of extent share: one row of functions each, and the object. */
#ifndef STORE_EXTENT_H
#define STORE_EXTENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

#include "yoke/store.h"
#include "yoke/util.h"

struct extent {
	/* What every I/O looks at stands first, in one line of the processor's cache. */
	const struct extent_ops *ops;
	_Atomic uint64_t limit_bytes; /* I/O ends here: info.size_bytes, for every thread */
	const uint8_t *map; /* of the page cache, as far as map_bytes; NULL: none (peek.c) */
	uint64_t map_bytes;
	_Atomic uint16_t *seen; /* for each page of the map: when it was in memory; 0 = unknown */
	atomic_bool map_bad; /* the file was cut, or failed */
	/* file, block */
	bool in_memory; /* the file system keeps its files in memory: a read never waits */
	atomic_bool no_nowait_read; /* RWF_NOWAIT is not supported here */
	atomic_bool no_nowait_write;
	atomic_bool no_zero_range; /* zeros have to be written */
	bool sync_unmap; /* fallocate() is made durable by fdatasync() before done() */
	int fd;

	struct extent_config config; /* name and path are copies */
	struct extent_info info;
	atomic_uint errors; /* failed I/Os, for the log */
	atomic_uint asks; /* threads of ask.c */
	/* file, block */
	dev_t device; /* block: the device itself; file: the one that it lies on */
	bool locked; /* flock() is held */
	bool claimed;
	struct write_key *key; /* NULL: not used */
	/* ram */
	unsigned char *memory;
	_Atomic unsigned char *touched; /* for each BUF_ALIGN bytes: 1 = has been written */
	_Atomic uint64_t touched_count;
} YOKE_LINE_ALIGNED;

/*
 * A kind of extent. All but open and submit have the meaning of the public function; open fills
 * in extent->info (and its own part of the object) and cleans up after itself when it fails.
 * lock, claim, release and check may be NULL: nothing to do.
 */
struct extent_ops {
	int (*open)(struct extent *extent, char *error, size_t error_size);
	void (*close)(struct extent *extent);
	void (*submit)(struct extent *extent, struct extent_io *io);
	int (*lock)(struct extent *extent);
	int (*claim)(struct extent *extent, uint8_t controller, uint64_t epoch);
	void (*release)(struct extent *extent);
	int (*check)(struct extent *extent);
	/* NULL: it cannot grow. */
	int (*extend)(struct extent *extent, uint64_t bytes, char *error, size_t error_size);
	uint64_t (*measure)(struct extent *extent);
	/* NULL: there is no such place. The range lies inside the extent. */
	const uint8_t *(*peek)(struct extent *extent, uint64_t offset, uint64_t length);
	int (*peek_copy)(struct extent *extent, uint64_t offset, uint64_t length, uint8_t *to,
		uint32_t *crc);
};

extern const struct extent_ops extent_fd_ops; /* file and block: fd.c; their I/O: fd_io.c */
extern const struct extent_ops extent_ram_ops;

/* "extent NAME: PATH: ..." into error[error_size]; gives -EINVAL (or err when it is not 0). */
int extent_refuse(const struct extent *extent, int err, char *error, size_t error_size,
	const char *fmt, ...) YOKE_PRINTF(5, 6);

/* Ends an I/O: logs a failure, calls done(). On its reactor. */
void extent_io_end(struct extent_io *io, int res);

/* Moves the iovec of an I/O forward by what has been transferred. */
void extent_io_advance(struct extent_io *io, size_t bytes);

/* fd_io.c */
void extent_fd_submit(struct extent *extent, struct extent_io *io);

/* peek.c: the page cache of a file; without a map it is read the ordinary way. */
void extent_fd_map(struct extent *extent);
void extent_fd_unmap(struct extent *extent);
/* Only with a map. */
void extent_fd_expect(const struct extent *extent, uint64_t offset, uint64_t length);
const uint8_t *extent_fd_peek(struct extent *extent, uint64_t offset, uint64_t length);
/*
 * Copies what is shown of the range; false: it is not all there, and `to` may have been written to.
 * A file that is cut meanwhile does no harm, on a thread that does not block SIGBUS.
 */
bool extent_fd_peek_read(struct extent *extent, uint64_t offset, uint64_t length, uint8_t *to);
/*
 * Copies `count` pieces into the range where all of it has storage in memory already; false: it has
 * not, and the range is to be written by other means (some of it may have been). Threads as above.
 */
bool extent_fd_peek_write(
	struct extent *extent, uint64_t offset, const struct iovec *iov, int count);
/*
 * All of the range has just been read from, or written to, the page cache; a read tells nothing of
 * holes of a tmpfs file.
 */
void extent_fd_seen(struct extent *extent, uint64_t offset, uint64_t length);
/* The storage of the range is given back: what was known of it is not true any more. */
void extent_fd_forget(struct extent *extent, uint64_t offset, uint64_t length);
int extent_fd_peek_copy(
	struct extent *extent, uint64_t offset, uint64_t length, uint8_t *to, uint32_t *crc);

/* ask.c: EXTENT_MAP and EXTENT_SPACE of a file, and of what is chained to it (ask_next). */
void extent_fd_ask(struct extent_io *io);

/*
 * block.c: facts about a block device, from the device itself and from `dir`, where sysfs
 * describes it (/sys/dev/block/MAJOR:MINOR). Fills in info but for direct and io_align_bytes.
 */
int extent_block_probe(struct extent *extent, const char *dir, char *error, size_t error_size);

/* The part of it that comes from sysfs: write cache and unmap; logical: its block size in bytes. */
void extent_block_queue_probe(struct extent *extent, const char *dir, uint32_t logical);

#endif
