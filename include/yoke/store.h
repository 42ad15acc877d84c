/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extents: the backing store of an LU, behind an asynchronous vtable. One struct extent for each
 * LU and daemon, opened by the control thread, used by every reactor at once without a lock.
 */
#ifndef YOKE_STORE_H
#define YOKE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "yoke/reactor.h"

enum extent_type {
	EXTENT_FILE,
	EXTENT_BLOCK,
	EXTENT_RAM
};
const char *extent_type_name(enum extent_type type);

enum extent_op {
	EXTENT_READ,
	EXTENT_WRITE,
	EXTENT_FLUSH,
	EXTENT_UNMAP,
	EXTENT_WRITE_ZEROES,
	EXTENT_MAP, /* has the range storage of its own? Answers about its first part */
	EXTENT_SPACE, /* how much storage is used, and how much is left */
};
const char *extent_op_name(enum extent_op op);

/* The reservation on the disk itself that keeps others from writing; with a cluster only. */
enum extent_write_key_mode {
	EXTENT_WRITE_KEY_AUTO, /* where the store has persistent reservations */
	EXTENT_WRITE_KEY_OFF,
	EXTENT_WRITE_KEY_REQUIRED, /* without it the extent is not claimed */
};

enum extent_write_key {
	EXTENT_WRITE_KEY_UNUSED, /* off, or no cluster */
	EXTENT_WRITE_KEY_UNKNOWN, /* the store has not answered yet */
	EXTENT_WRITE_KEY_NONE, /* the store has no reservations: fencing alone protects it */
	EXTENT_WRITE_KEY_FREE, /* it could be taken here */
	EXTENT_WRITE_KEY_HELD, /* held here */
	EXTENT_WRITE_KEY_LOST, /* was held here, and another has taken it */
};
const char *extent_write_key_name(enum extent_write_key state);

/* What the store found out when it opened the extent; immutable while open (resize comes later). */
struct extent_info {
	uint64_t size_bytes; /* usable, a multiple of the LU's block size */
	bool direct; /* O_DIRECT: no page cache of this controller in between */
	bool volatile_cache; /* a write is safe only after a flush or with FUA: WCE=1 */
	bool unmap; /* EXTENT_UNMAP works and unmapped blocks read as zeros */
	uint32_t unmap_granularity_bytes; /* power of two; 0 when unmap is false */
	uint32_t atomic_bytes; /* a write up to this is never cut, not even by a loss of power; 0 =
				  no such promise */
	uint32_t io_align_bytes; /* alignment of offset, length and memory for direct I/O; 1 = none
				  */
};

struct extent_config {
	const char *name;
	enum extent_type type;
	const char *path; /* file, block */
	uint64_t size_bytes; /* file: created or extended to this; 0 = as it is. ram: required */
	uint32_t block_size; /* 512 or 4096 */
	bool read_only;
	bool direct; /* past the page cache even when it is not shared */
	bool clustered; /* shared with another controller: O_DIRECT (else O_DSYNC) is a must */
	enum extent_write_key_mode write_key;
	uint32_t cluster_id; /* 24 bits, the same at both controllers: marks this cluster's keys */
};

#define EXTENT_UNKNOWN UINT64_MAX

/*
 * One I/O. The caller fills the first part and keeps it, the iovecs and the memory alive until
 * done() is called, on the same reactor, exactly once, possibly before extent_submit() returns.
 * res: 0 or a negative errno (-EIO, -ENOSPC, -EOPNOTSUPP...); a short transfer is retried inside.
 * -EBADE: the write key was lost, this controller is not the owner any more.
 * Offset and length are multiples of the LU's block size and inside the extent (checked by scsi).
 */
struct extent_io {
	enum extent_op op;
	bool fua; /* EXTENT_WRITE: durable before done() */
	uint64_t offset_bytes;
	uint64_t length_bytes; /* EXTENT_FLUSH, EXTENT_SPACE: ignored, it is about everything */
	struct iovec *iov; /* EXTENT_READ, EXTENT_WRITE; may be changed by the store */
	int iov_count;
	struct buf *buf; /* all of iov's memory lies in it; or NULL */
	void (*done)(struct extent_io *io, int res);
	/* answers */
	bool mapped; /* EXTENT_MAP: it has, */
	uint64_t run_bytes; /* from the offset so far (may go beyond the range, may be cut) */
	uint64_t used_bytes; /* EXTENT_SPACE; EXTENT_UNKNOWN where the store cannot tell */
	uint64_t free_bytes;
	uint64_t total_bytes; /* what could be used and left at all */
	/* private to the store */
	struct reactor *reactor;
	struct reactor_io ring;
	struct extent *extent;
	uint64_t moved_bytes;
	int step;
	int ask_fd;
	int ask_res;
	int ask_file;
	struct extent_io *ask_next;
};

struct extent;

/*
 * Opens an extent; NULL with a message in error[error_size] that names extent, path, cause and
 * remedy. Control thread. Opening does no I/O to the data and needs no ownership.
 */
struct extent *extent_open(const struct extent_config *config, char *error, size_t error_size);

/* No I/O may be under way. */
void extent_close(struct extent *extent);

const struct extent_info *extent_info(const struct extent *extent); /* any thread */

/*
 * Growing while I/O goes on, in two steps: extent_extend() makes the store at least `bytes` large
 * (a file that is smaller is extended; a device has to be so large already), and nothing else
 * changes; from extent_extended() on I/O may reach so far. 0, or a negative errno with a message as
 * extent_open() has. Memory cannot grow. Control thread.
 */
int extent_extend(struct extent *extent, uint64_t bytes, char *error, size_t error_size);
void extent_extended(struct extent *extent, uint64_t bytes);

/* How large the store is now, in whole blocks; 0 when it does not tell. Control thread. */
uint64_t extent_measure(struct extent *extent);

/* Submits on the calling reactor. */
void extent_submit(struct extent *extent, struct reactor *r, struct extent_io *io);

/*
 * extent_submit() of EXTENT_SPACE for each of `count` extents, with ios[i] for extents[i]. Those of
 * one file system that follow each other are asked about together, at little more than the cost of
 * one; what one of them waits for these others wait for, too. Each io is answered for itself.
 */
void extent_ask(struct extent *const extents[], struct extent_io *const ios[], unsigned count,
	struct reactor *r);

/*
 * The bytes of a range where the store has them in memory anyway: the page cache of a file that is
 * neither direct nor clustered, or a RAM extent's own memory. NULL: they are not all there, or this
 * extent has no such place; then EXTENT_READ is the way. Does not wait. What is there changes with
 * every write, and is valid until the extent is closed. A file may be cut at any time, so it is
 * only for the kernel to read (sendmsg() answers EFAULT then): touched by the process itself it may
 * end the process. Any reactor.
 */
const uint8_t *extent_peek(struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes);

/*
 * The range will be read soon: what is of it in memory may begin to come into the processor's cache
 * meanwhile. A hint that costs next to nothing, waits for nothing and fails silently. Any reactor.
 */
void extent_expect(const struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes);

/*
 * A copy of what extent_peek() has shown; `crc`, unless NULL, is continued over the copy
 * (crc32c.h), on a thread that does not block SIGBUS. Waits only for what has left memory
 * meanwhile. 0, or a negative errno: then nothing of this extent is shown any more, EXTENT_READ
 * finds out what is wrong. Any reactor.
 */
int extent_peek_copy(struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes,
	uint8_t *to, uint32_t *crc);

/*
 * Takes the right to write for this controller under `epoch`: an exclusive flock() on the file or
 * device, which a dead daemon's I/O that is still in the kernel holds on to, and the write key on
 * the disk. Does not block: 0, -EAGAIN (held by another, or under way: ask again), or another
 * negative errno (-EBUSY, -ESTALE: the write key is another's). RAM extents always succeed.
 * Control thread.
 */
int extent_claim(struct extent *extent, uint32_t controller, uint64_t epoch);

/*
 * The part of extent_claim() that needs no epoch: the flock(), if it is free. 0, -EAGAIN or another
 * negative errno. Alone it gives no right to write. Control thread.
 */
int extent_lock(struct extent *extent);

/* Gives the right up, or what has been begun to take it; idempotent. Control thread. */
void extent_release(struct extent *extent);

enum extent_write_key extent_write_key(struct extent *extent); /* control thread */

/*
 * Is the extent there and does it answer? Cheap, non-blocking check (fstat, device still present,
 * size unchanged or grown): 0 or a negative errno; -EBADE: the write key was lost. Control
 * thread.
 */
int extent_check(struct extent *extent);

#endif
