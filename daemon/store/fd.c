// SPDX-License-Identifier: BSD-3-Clause
/* Extents behind a file descriptor: opening, claiming and checking files and block devices. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/sysmacros.h>

#include "extent.h"
#include "write_key.h"
#include "yoke/log.h"

static bool fd_is_block(const struct extent *extent)
{
	return extent->config.type == EXTENT_BLOCK;
}

/* ----- opening ------------------------------------------------------------------------------- */

static int fd_path_check(struct extent *extent, bool create, char *error, size_t error_size)
{
	struct stat st;

	if (stat(extent->config.path, &st) < 0) {
		int err = errno;

		if (err == ENOENT && create) {
			return 0;
		}
		return extent_refuse(extent, -err, error, error_size, "cannot be opened: %s; %s",
			strerror(err),
			err == ENOENT && !fd_is_block(extent)
				? "create it, or give a size to have it created"
				: "check the path and its permissions");
	}
	if (fd_is_block(extent) && !S_ISBLK(st.st_mode)) {
		return extent_refuse(extent, -ENOTBLK, error, error_size,
			"is no block device; correct the path, or use type: file");
	}
	if (!fd_is_block(extent) && !S_ISREG(st.st_mode)) {
		return extent_refuse(extent, -EINVAL, error, error_size,
			"is no regular file; correct the path%s",
			S_ISBLK(st.st_mode) ? ", or use type: block" : "");
	}
	return 0;
}

static int fd_open_flags(struct extent *extent, int extra)
{
	int flags = O_CLOEXEC | O_NOCTTY | extra;

	flags |= extent->config.read_only ? O_RDONLY : O_RDWR;
	if (!fd_is_block(extent) && extent->config.size_bytes && !extent->config.read_only) {
		flags |= O_CREAT;
	}
	/* Nobody else may have mounted it. With a cluster the other controller has it open, too. */
	if (fd_is_block(extent) && !extent->config.clustered && !extent->config.read_only) {
		flags |= O_EXCL;
	}
	return open(extent->config.path, flags, 0600);
}

/*
 * With a cluster what got GOOD must survive the loss of this controller (invariant I3), so no page
 * cache of ours stands in between: O_DIRECT. A file has metadata in memory as well (a block that
 * was just allocated), which only O_DSYNC brings to the disk with the data.
 */
static int fd_open_clustered(struct extent *extent)
{
	int sync = fd_is_block(extent) ? 0 : O_DSYNC;

	extent->fd = fd_open_flags(extent, O_DIRECT | sync);
	if (extent->fd >= 0) {
		extent->info.direct = true;
		return 0;
	}
	if (errno != EINVAL && errno != EOPNOTSUPP) {
		return -errno;
	}
	extent->fd = fd_open_flags(extent, O_DSYNC);
	if (extent->fd < 0) {
		return -errno;
	}
	log_warning("extent %s: %s: no direct I/O here, using O_DSYNC: writes are safe, but this "
		    "controller's page cache is in use; put it on a file system with O_DIRECT",
		extent->config.name, extent->config.path);
	return 0;
}

static int fd_open_plain(struct extent *extent)
{
	extent->info.direct = extent->config.direct;
	extent->fd = fd_open_flags(extent, extent->config.direct ? O_DIRECT : 0);
	return extent->fd < 0 ? -errno : 0;
}

/* ----- what the thing below can do ------------------------------------------------------------ */

/* The unit of direct I/O; 0 when the file has none. */
static uint32_t fd_direct_align(const struct extent *extent)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (!statx(extent->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
		(stx.stx_mask & STATX_DIOALIGN)) {
		return stx.stx_dio_offset_align > stx.stx_dio_mem_align ? stx.stx_dio_offset_align
									: stx.stx_dio_mem_align;
	}
#endif
	if (fd_is_block(extent)) {
		int logical;

		return ioctl(extent->fd, BLKSSZGET, &logical) ? 512 : (uint32_t)logical;
	}
	return 512; /* not told: network and user-space file systems have no unit of their own */
}

static int fd_direct_check(struct extent *extent, char *error, size_t error_size)
{
	uint32_t align = extent->info.direct ? fd_direct_align(extent) : 1;

	if (!align) {
		return extent_refuse(extent, -EOPNOTSUPP, error, error_size,
			"opens for direct I/O but cannot do it; use another file system, or turn "
			"off "
			"compression and encryption for this file");
	}
	if (align > extent->config.block_size || align > BUF_ALIGN) {
		return extent_refuse(extent, 0, error, error_size,
			"direct I/O needs units of %u bytes; %s", align,
			align <= BUF_ALIGN ? "set block_size to 4096 (on a new extent)"
					   : "this is not supported, use another device");
	}
	extent->info.io_align_bytes = align;
	return 0;
}

static int fd_file_size(
	struct extent *extent, const struct stat *st, char *error, size_t error_size)
{
	uint64_t wanted = extent->config.size_bytes, size = (uint64_t)st->st_size;

	if (wanted > size) {
		if (extent->config.read_only) {
			return extent_refuse(extent, 0, error, error_size,
				"is smaller (%llu bytes) than its size in the configuration and "
				"read-only; correct the size",
				(unsigned long long)size);
		}
		if (ftruncate(extent->fd, (off_t)wanted) < 0) {
			int err = errno;

			return extent_refuse(extent, -err, error, error_size,
				"cannot be extended to %llu bytes: %s; free space or correct the "
				"size",
				(unsigned long long)wanted, strerror(err));
		}
	}
	size = wanted ? wanted : size;
	if (!size) {
		return extent_refuse(
			extent, 0, error, error_size, "is empty; give a size to have it extended");
	}
	if (size % extent->config.block_size) {
		return extent_refuse(extent, 0, error, error_size,
			"has %llu bytes, which is not a multiple of the block size %u; extend it "
			"or "
			"give a size",
			(unsigned long long)size, extent->config.block_size);
	}
	extent->info.size_bytes = size;
	return 0;
}

/* Punching a hole behind the end of the file changes nothing but tells whether it can be done. */
static bool file_can_punch(const struct extent *extent, uint64_t end, uint32_t unit)
{
	uint64_t at = (end + unit - 1) / unit * unit;

	return !fallocate(
		extent->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)unit);
}

/* tmpfs has no RWF_NOWAIT, and needs none: what is not swapped out is a copy away. */
static bool file_in_memory(const struct extent *extent)
{
	struct statfs fs;

	return !fstatfs(extent->fd, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int fd_file_probe(
	struct extent *extent, const struct stat *st, char *error, size_t error_size)
{
	uint32_t unit = (uint32_t)st->st_blksize;
	int err = fd_file_size(extent, st, error, error_size);

	if (err) {
		return err;
	}
	if (unit < 4096 || unit > (1u << 20) || (unit & (unit - 1))) {
		unit = 4096;
	}
	extent->in_memory = file_in_memory(extent);
	extent->info.volatile_cache = !extent->config.clustered && !extent->config.read_only;
	extent->sync_unmap = extent->config.clustered;
	if (!extent->config.read_only) {
		uint64_t end = (uint64_t)st->st_size;

		end = end > extent->info.size_bytes ? end : extent->info.size_bytes;
		extent->info.unmap = file_can_punch(extent, end, unit);
	}
	extent->info.unmap_granularity_bytes = extent->info.unmap ? unit : 0;
	return 0;
}

static int fd_probe(struct extent *extent, char *error, size_t error_size)
{
	struct stat st;
	char dir[64];

	if (fstat(extent->fd, &st) < 0) {
		int err = errno;

		return extent_refuse(
			extent, -err, error, error_size, "cannot be examined: %s", strerror(err));
	}
	/* It may have been replaced since fd_path_check(). */
	if (fd_is_block(extent) ? !S_ISBLK(st.st_mode) : !S_ISREG(st.st_mode)) {
		return extent_refuse(
			extent, 0, error, error_size, "has become something else; try again");
	}
	if (!fd_is_block(extent)) {
		extent->device = st.st_dev;
		return fd_file_probe(extent, &st, error, error_size);
	}
	extent->device = st.st_rdev;
	snprintf(dir, sizeof(dir), "/sys/dev/block/%u:%u", major(st.st_rdev), minor(st.st_rdev));
	return extent_block_probe(extent, dir, error, error_size);
}

static int fd_key_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}

static int fd_open(struct extent *extent, char *error, size_t error_size)
{
	bool create =
		!fd_is_block(extent) && extent->config.size_bytes && !extent->config.read_only;
	int err = fd_path_check(extent, create, error, error_size);

	if (err) {
		return err;
	}
	extent->info.io_align_bytes = 1;
	err = extent->config.clustered ? fd_open_clustered(extent) : fd_open_plain(extent);
	if (err) {
		return extent_refuse(extent, err, error, error_size, "cannot be opened: %s; %s",
			strerror(-err),
			err == -EBUSY ? "it is mounted or used by another program"
				      : "check the path and its permissions");
	}
	err = fd_direct_check(extent, error, error_size);
	if (!err) {
		err = fd_probe(extent, error, error_size);
	}
	if (!err && extent->config.clustered && !extent->config.read_only &&
		extent->config.write_key != EXTENT_WRITE_KEY_OFF) {
		extent->key = write_key_new(extent->config.name, extent->fd,
			extent->config.cluster_id, extent->config.write_key, fd_key_ioctl);
		if (!extent->key) {
			err = extent_refuse(extent, -ENOMEM, error, error_size,
				"no memory or no thread for its write key");
		}
	}
	if (err) {
		close(extent->fd);
		extent->fd = -1;
		return err;
	}
	extent_fd_map(extent);
	return 0;
}

static void fd_close(struct extent *extent)
{
	extent_fd_unmap(extent);
	extent_release(extent);
	write_key_free(extent->key);
	close(extent->fd);
}

/* ----- the right to write --------------------------------------------------------------------- */

/*
 * The lock belongs to the open file description that I/O uses. A request that is still in the
 * kernel keeps a reference to it: after the death of the daemon the lock is free only when the
 * last write has ended.
 */
static int fd_lock(struct extent *extent)
{
	if (extent->locked || extent->config.read_only) {
		return 0;
	}
	while (flock(extent->fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK) {
			return -EAGAIN;
		}
		if (errno != EINTR) {
			int err = errno;

			log_err("extent %s: %s: cannot be locked: %s; it needs a file system with "
				"flock()",
				extent->config.name, extent->config.path, strerror(err));
			return -err;
		}
	}
	/* What this controller had cached before another one wrote is worth nothing now. */
	if (extent->config.clustered && !extent->info.direct) {
		posix_fadvise(extent->fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	extent->locked = true;
	return 0;
}

static int fd_claim(struct extent *extent, uint8_t controller, uint64_t epoch)
{
	int err = fd_lock(extent);

	if (err || !extent->key) {
		return err;
	}
	err = write_key_take(extent->key, controller, epoch);
	if (err == -EOPNOTSUPP) {
		log_err("extent %s: %s: has no persistent reservations, and write_key is "
			"required; use a disk that has them, or write_key: auto",
			extent->config.name, extent->config.path);
	}
	return err;
}

static void fd_release(struct extent *extent)
{
	if (extent->key) {
		write_key_give(extent->key);
	}
	if (extent->locked) {
		flock(extent->fd, LOCK_UN);
		extent->locked = false;
	}
}

/* ----- health --------------------------------------------------------------------------------- */

static int fd_check(struct extent *extent)
{
	struct statx stx;
	uint64_t size;

	/* Cached attributes will do: a question to a hung server would hang us. */
	if (statx(extent->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE | STATX_NLINK,
		    &stx) < 0) {
		return -errno;
	}
	if (fd_is_block(extent)) {
		if (ioctl(extent->fd, BLKGETSIZE64, &size) < 0) {
			return -errno;
		}
		if (!size) {
			return -ENODEV; /* unplugged */
		}
	} else {
		if (!stx.stx_nlink) {
			return -ENOENT; /* deleted: its data go with the last descriptor */
		}
		size = stx.stx_size;
	}
	return size < extent->info.size_bytes ? -ENOSPC : 0;
}

/* ----- growing -------------------------------------------------------------------------------- */

static uint64_t fd_measure(struct extent *extent)
{
	struct stat st;
	uint64_t size = 0;

	if (fd_is_block(extent)) {
		return ioctl(extent->fd, BLKGETSIZE64, &size) < 0 ? 0 : size;
	}
	return fstat(extent->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static int fd_extend(struct extent *extent, uint64_t bytes, char *error, size_t error_size)
{
	uint64_t size = fd_measure(extent);

	if (bytes <= size) {
		return 0;
	}
	if (fd_is_block(extent)) {
		return extent_refuse(extent, -ENOSPC, error, error_size,
			"has %llu bytes; make the device larger first", (unsigned long long)size);
	}
	if (extent->config.read_only) {
		return extent_refuse(extent, -EROFS, error, error_size,
			"is smaller (%llu bytes) and read-only; make the file larger first",
			(unsigned long long)size);
	}
	if (ftruncate(extent->fd, (off_t)bytes) < 0) {
		int err = errno;

		return extent_refuse(extent, -err, error, error_size,
			"cannot be extended to %llu bytes: %s; free space or correct the size",
			(unsigned long long)bytes, strerror(err));
	}
	return 0;
}

const struct extent_ops extent_fd_ops = {
	.open = fd_open,
	.close = fd_close,
	.submit = extent_fd_submit,
	.lock = fd_lock,
	.claim = fd_claim,
	.release = fd_release,
	.check = fd_check,
	.extend = fd_extend,
	.measure = fd_measure,
	.peek = extent_fd_peek,
	.peek_copy = extent_fd_peek_copy,
};
