/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "yoke/util.h"

/* A monitor may hold a shared lock for a moment, to see whether we live: try for one second. */
#define PIDFILE_TRIES	200
#define PIDFILE_STEP_NS 5000000L

/* The directory, one level: /run is empty after a boot. */
static void pidfile_dir_make(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	mkdir(dirname(copy), 0755); /* if it cannot be made, open() says why */
}

int pidfile_open(const char *path)
{
	const struct timespec step = {.tv_nsec = PIDFILE_STEP_NS};
	cleanup_close int fd = -1;
	int ret;

	pidfile_dir_make(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		return -errno;
	}
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK || i == PIDFILE_TRIES) {
			return -errno;
		}
		nanosleep(&step, NULL);
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
		return -errno;
	}
	ret = fd;
	fd = -1;
	return ret;
}

void pidfile_close(int fd)
{
	if (ftruncate(fd, 0) < 0) {
		/* Then the old number stays: nobody trusts it without the lock. */
	}
	close(fd);
}
