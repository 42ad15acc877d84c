/* SPDX-License-Identifier: BSD-3-Clause */
/* The pid file. Its lock, not its existence, says whether a daemon runs. */
#ifndef YOKE_PIDFILE_H
#define YOKE_PIDFILE_H

/*
 * Opens the file (and makes its directory), locks it for the life of the process and writes the
 * pid into it. The descriptor, or a negative errno; -EWOULDBLOCK: another daemon holds the lock.
 */
int pidfile_open(const char *path);

/*
 * Empties the file and lets the lock go. The file stays: were it removed, a successor that has
 * opened it already would hold the lock of a file that nobody sees.
 */
void pidfile_close(int fd);

#endif
