// SPDX-License-Identifier: BSD-3-Clause
/* What a block device can do: its size, its write cache, and discarding. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "extent.h"
#include "yoke/log.h"

/* A line of a file in the device's queue directory; a partition has its disk's. */
static bool queue_read(const char *dir, const char *name, char *line, size_t size)
{
	static const char *const places[] = {"queue", "../queue"};
	char path[256];

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		cleanup_close int fd = -1;
		ssize_t n;

		snprintf(path, sizeof(path), "%s/%s/%s", dir, places[i], name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, line, size - 1);
		if (n > 0) {
			line[n] = '\0';
			line[strcspn(line, "\n")] = '\0';
			return true;
		}
	}
	return false;
}

static uint64_t queue_number(const char *dir, const char *name)
{
	char line[32];

	return queue_read(dir, name, line, sizeof(line)) ? strtoull(line, NULL, 10) : 0;
}

/* Without a word from the kernel a cache must be assumed. */
static bool block_has_cache(const char *dir)
{
	char line[32];

	return !queue_read(dir, "write_cache", line, sizeof(line)) ||
	       strcmp(line, "write through") != 0;
}

/*
 * The kernel punches a hole in a device only if the device can write zeros by itself; what has
 * been unmapped then reads as zeros, as info.unmap promises.
 */
static bool block_can_unmap(
	const struct extent *extent, const char *dir, uint32_t logical, uint64_t unit)
{
	return !extent->config.read_only && logical <= extent->config.block_size && unit &&
	       unit <= UINT32_MAX && !(unit & (unit - 1)) &&
	       queue_number(dir, "discard_max_bytes") &&
	       queue_number(dir, "write_zeroes_max_bytes");
}

void extent_block_queue_probe(struct extent *extent, const char *dir, uint32_t logical)
{
	uint64_t unit = queue_number(dir, "discard_granularity");

	extent->info.volatile_cache =
		!extent->config.read_only && (!extent->config.clustered || block_has_cache(dir));
	extent->info.unmap = block_can_unmap(extent, dir, logical, unit);
	extent->info.unmap_granularity_bytes = extent->info.unmap ? (uint32_t)unit : 0;
}

int extent_block_probe(struct extent *extent, const char *dir, char *error, size_t error_size)
{
	uint64_t size = 0;
	int logical = 512;

	if (ioctl(extent->fd, BLKGETSIZE64, &size) < 0 ||
		ioctl(extent->fd, BLKSSZGET, &logical) < 0) {
		int err = errno;

		return extent_refuse(extent, -err, error, error_size,
			"does not tell its size: %s; check the device", strerror(err));
	}
	size -= size % extent->config.block_size;
	if (!size) {
		return extent_refuse(
			extent, 0, error, error_size, "has no medium or no size; check the device");
	}
	extent->info.size_bytes = size;
	extent_block_queue_probe(extent, dir, (uint32_t)logical);
	return 0;
}
