// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "extent.h"
#include "write_key.h"
#include "yoke/log.h"

static const struct extent_kind {
	const char *name;
	const struct extent_ops *ops;
	bool has_path;
} extent_kinds[] = {
	[EXTENT_FILE] = {"file", &extent_fd_ops, true},
	[EXTENT_BLOCK] = {"block", &extent_fd_ops, true},
	[EXTENT_RAM] = {"ram", &extent_ram_ops, false},
};

static const struct extent_op_row {
	const char *name;
	bool changes; /* refused by a read-only extent */
	bool whole; /* is about the whole extent: no range */
} extent_op_rows[] = {
	[EXTENT_READ] = {"read", false, false},
	[EXTENT_WRITE] = {"write", true, false},
	[EXTENT_FLUSH] = {"flush", false, true},
	[EXTENT_UNMAP] = {"unmap", true, false},
	[EXTENT_WRITE_ZEROES] = {"write-zeroes", true, false},
	[EXTENT_MAP] = {"map", false, false},
	[EXTENT_SPACE] = {"space", false, true},
};

const char *extent_type_name(enum extent_type type)
{
	return type < ARRAY_SIZE(extent_kinds) ? extent_kinds[type].name : "unknown";
}

static const char *const extent_write_key_names[] = {
	[EXTENT_WRITE_KEY_UNUSED] = "unused",
	[EXTENT_WRITE_KEY_UNKNOWN] = "unknown",
	[EXTENT_WRITE_KEY_NONE] = "none",
	[EXTENT_WRITE_KEY_FREE] = "free",
	[EXTENT_WRITE_KEY_HELD] = "held",
	[EXTENT_WRITE_KEY_LOST] = "lost",
};

const char *extent_write_key_name(enum extent_write_key state)
{
	return (unsigned)state < ARRAY_SIZE(extent_write_key_names) ? extent_write_key_names[state]
								    : "unknown";
}

const char *extent_op_name(enum extent_op op)
{
	return op < ARRAY_SIZE(extent_op_rows) ? extent_op_rows[op].name : "unknown";
}

int extent_refuse(
	const struct extent *extent, int err, char *error, size_t error_size, const char *fmt, ...)
{
	const char *path = extent->config.path;
	char what[384];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	snprintf(error, error_size, "extent %s: %s%s%s", extent->config.name, path ? path : "",
		path ? ": " : "", what);
	return err ? err : -EINVAL;
}

static int extent_config_check(const struct extent *extent, char *error, size_t error_size)
{
	const struct extent_config *config = &extent->config;

	if (config->block_size != 512 && config->block_size != 4096) {
		return extent_refuse(extent, 0, error, error_size,
			"block size %u is not supported; use 512 or 4096", config->block_size);
	}
	if (extent_kinds[config->type].has_path && !config->path) {
		return extent_refuse(extent, 0, error, error_size, "a %s extent needs a path",
			extent_type_name(config->type));
	}
	if (config->size_bytes % config->block_size) {
		return extent_refuse(extent, 0, error, error_size,
			"size %llu is not a multiple of the block size %u; correct the size",
			(unsigned long long)config->size_bytes, config->block_size);
	}
	return 0;
}

static void extent_free(struct extent *extent)
{
	free((char *)(uintptr_t)extent->config.name);
	free((char *)(uintptr_t)extent->config.path);
	free(extent);
}

struct extent *extent_open(const struct extent_config *config, char *error, size_t error_size)
{
	struct extent *extent = aligned_alloc(YOKE_CACHE_LINE, sizeof(*extent));

	if (!extent) {
		snprintf(error, error_size, "extent %s: out of memory", config->name);
		return NULL;
	}
	memset((void *)extent, 0, sizeof(*extent));
	extent->config = *config;
	extent->config.name = strdup(config->name);
	extent->config.path = config->path ? strdup(config->path) : NULL;
	extent->ops = extent_kinds[config->type].ops;
	extent->fd = -1;
	if (!extent->config.name || (config->path && !extent->config.path)) {
		snprintf(error, error_size, "extent %s: out of memory", config->name);
		goto fail;
	}
	if (extent_config_check(extent, error, error_size) ||
		extent->ops->open(extent, error, error_size)) {
		goto fail;
	}
	atomic_init(&extent->limit_bytes, extent->info.size_bytes);
	return extent;
fail:
	extent_free(extent);
	return NULL;
}

void extent_close(struct extent *extent)
{
	if (extent) {
		extent->ops->close(extent);
		extent_free(extent);
	}
}

int extent_extend(struct extent *extent, uint64_t bytes, char *error, size_t error_size)
{
	if (!extent->ops->extend) {
		return extent_refuse(extent, -EOPNOTSUPP, error, error_size,
			"a %s extent cannot grow while it is served; restart yoked for that",
			extent_type_name(extent->config.type));
	}
	return extent->ops->extend(extent, bytes, error, error_size);
}

void extent_extended(struct extent *extent, uint64_t bytes)
{
	extent->info.size_bytes = bytes;
	atomic_store_explicit(&extent->limit_bytes, bytes, memory_order_relaxed);
}

uint64_t extent_measure(struct extent *extent)
{
	uint64_t bytes =
		extent->ops->measure ? extent->ops->measure(extent) : extent->info.size_bytes;

	return bytes - bytes % extent->config.block_size;
}

const struct extent_info *extent_info(const struct extent *extent)
{
	return &extent->info;
}

const uint8_t *extent_peek(struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t limit = atomic_load_explicit(&extent->limit_bytes, memory_order_relaxed);

	if (!extent->ops->peek || !length_bytes || offset_bytes > limit ||
		length_bytes > limit - offset_bytes) {
		return NULL;
	}
	return extent->ops->peek(extent, offset_bytes, length_bytes);
}

void extent_expect(const struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes)
{
	if (extent->map) {
		extent_fd_expect(extent, offset_bytes, length_bytes);
	}
}

int extent_peek_copy(struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes,
	uint8_t *to, uint32_t *crc)
{
	return extent->ops->peek_copy(extent, offset_bytes, length_bytes, to, crc);
}

static void extent_io_begin(struct extent *extent, struct reactor *r, struct extent_io *io)
{
	io->reactor = r;
	io->extent = extent;
	io->moved_bytes = 0;
	io->step = 0;
	io->ask_next = NULL;
}

void extent_submit(struct extent *extent, struct reactor *r, struct extent_io *io)
{
	uint64_t limit = atomic_load_explicit(&extent->limit_bytes, memory_order_relaxed);

	extent_io_begin(extent, r, io);
	if (extent->config.read_only && extent_op_rows[io->op].changes) {
		io->done(io, -EROFS);
		return;
	}
	if (!extent_op_rows[io->op].whole && !io->length_bytes) {
		io->done(io, 0);
		return;
	}
	/* scsi has checked it: this is the second lock on the door. */
	if (!extent_op_rows[io->op].whole &&
		(io->offset_bytes > limit || io->length_bytes > limit - io->offset_bytes)) {
		extent_io_end(io, -EINVAL);
		return;
	}
	extent->ops->submit(extent, io);
}

static bool extent_asks_together(const struct extent *a, const struct extent *b)
{
	return a->ops == &extent_fd_ops && b->ops == &extent_fd_ops &&
	       a->config.type == EXTENT_FILE && b->config.type == EXTENT_FILE &&
	       a->device == b->device;
}

void extent_ask(struct extent *const extents[], struct extent_io *const ios[], unsigned count,
	struct reactor *r)
{
	unsigned first = 0;

	for (unsigned i = 0; i < count; i++) {
		extent_io_begin(extents[i], r, ios[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		if (i + 1 < count && extent_asks_together(extents[i], extents[i + 1])) {
			ios[i]->ask_next = ios[i + 1];
		} else {
			extents[first]->ops->submit(extents[first], ios[first]);
			first = i + 1;
		}
	}
}

/* The disk refuses a write for the sake of somebody's reservation. */
static int extent_key_lost(struct extent *extent)
{
	bool first = false;

	if (!extent->key || !write_key_lose(extent->key, &first)) {
		return -EIO;
	}
	if (first) {
		log_err("extent %s: its write key was taken: another controller is the owner now, "
			"this one stops writing",
			extent->config.name);
	}
	return -EBADE;
}

void extent_io_end(struct extent_io *io, int res)
{
	struct extent *extent = io->extent;

	if (res == -EBADE) {
		res = extent_key_lost(extent);
	} else if (res < 0 && res != -EOPNOTSUPP) {
		unsigned count = atomic_fetch_add(&extent->errors, 1) + 1;

		/* A dead disk fails every command: 1, 2, 4, 8... of them are logged. */
		if (!(count & (count - 1))) {
			log_err("extent %s: %s of %llu bytes at %llu failed: %s (failure %u); "
				"check the "
				"storage below it",
				extent->config.name, extent_op_name(io->op),
				(unsigned long long)io->length_bytes,
				(unsigned long long)io->offset_bytes, strerror(-res), count);
		}
	}
	io->done(io, res);
}

void extent_io_advance(struct extent_io *io, size_t bytes)
{
	while (bytes && io->iov_count) {
		size_t step = bytes < io->iov->iov_len ? bytes : io->iov->iov_len;

		io->iov->iov_base = (char *)io->iov->iov_base + step;
		io->iov->iov_len -= step;
		bytes -= step;
		if (!io->iov->iov_len) {
			io->iov++;
			io->iov_count--;
		}
	}
}

int extent_claim(struct extent *extent, uint32_t controller, uint64_t epoch)
{
	return extent->ops->claim ? extent->ops->claim(extent, (uint8_t)controller, epoch) : 0;
}

int extent_lock(struct extent *extent)
{
	return extent->ops->lock ? extent->ops->lock(extent) : 0;
}

void extent_release(struct extent *extent)
{
	if (extent->ops->release) {
		extent->ops->release(extent);
	}
}

enum extent_write_key extent_write_key(struct extent *extent)
{
	return extent->key ? write_key_state(extent->key) : EXTENT_WRITE_KEY_UNUSED;
}

int extent_check(struct extent *extent)
{
	if (extent->key && write_key_is_lost(extent->key)) {
		return -EBADE;
	}
	return extent->ops->check ? extent->ops->check(extent) : 0;
}
