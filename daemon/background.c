/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "yoke/util.h"

/* Exits with what the child says; a child that dies without a word has failed. */
static void background_parent(int fd)
{
	uint8_t status = 1;
	ssize_t n;

	do {
		n = read(fd, &status, 1);
	} while (n < 0 && errno == EINTR);
	_exit(n == 1 ? status : 1);
}

int background_start(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	pid = fork();
	if (pid < 0) {
		int err = -errno;

		close(fds[0]);
		close(fds[1]);
		return err;
	}
	if (pid > 0) {
		close(fds[1]);
		background_parent(fds[0]);
	}
	close(fds[0]);
	setsid();
	if (chdir("/") < 0) {
		return -errno;
	}
	return fds[1];
}

void background_done(int fd, int status)
{
	uint8_t byte = (uint8_t)status;
	int null;
	ssize_t n;

	if (fd < 0) {
		return;
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO) {
			close(null);
		}
	}
	n = write(fd, &byte, 1);
	(void)n; /* the parent is gone: nobody to tell */
	close(fd);
}
