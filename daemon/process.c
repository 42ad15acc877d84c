/* SPDX-License-Identifier: BSD-3-Clause */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "yoke/util.h"

/* A monitor may hold a shared lock for a moment to see whether we live. */
#define PROCESS_LOCK_TRIES   200
#define PROCESS_LOCK_STEP_NS 5000000L

/* The parent's part: waits for the word, or for the end of the child. */
static void __attribute__((noreturn)) process_parent(pid_t child, int fd)
{
	ssize_t n;
	char word;
	int status;

	do {
		n = read(fd, &word, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1) {
		_exit(EXIT_SUCCESS);
	}
	if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
		_exit(WEXITSTATUS(status));
	}
	_exit(EXIT_FAILURE);
}

int process_background(void)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	child = fork();
	if (child < 0) {
		int err = -errno;

		close(fds[0]);
		close(fds[1]);
		return err;
	}
	if (child > 0) {
		close(fds[1]);
		process_parent(child, fds[0]);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

void process_ready(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ssize_t n;

	if (chdir("/") < 0) {
		fprintf(stderr, "yoked: cannot change to /: %s\n", strerror(errno));
	}
	fflush(NULL);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO) {
			close(null);
		}
	}
	do {
		n = write(fd, "", 1);
	} while (n < 0 && errno == EINTR);
	close(fd);
}

/* The directory, one level: /run is empty after a boot. */
static void process_dir_make(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	mkdir(dirname(copy), 0755); /* if it cannot be made, open() says why */
}

int process_pidfile_open(const char *path)
{
	const struct timespec step = {.tv_nsec = PROCESS_LOCK_STEP_NS};
	cleanup_close int fd = -1;
	int ret;

	process_dir_make(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		return -errno;
	}
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK || i == PROCESS_LOCK_TRIES) {
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

void process_pidfile_close(int fd)
{
	if (ftruncate(fd, 0) == 0) {
		fsync(fd);
	}
	close(fd);
}

void process_limits_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
