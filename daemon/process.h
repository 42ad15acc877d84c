/* SPDX-License-Identifier: BSD-3-Clause */
/* yoked as a process: going to the background, the pid file, the word to whoever waits. */
#ifndef YOKE_DAEMON_PROCESS_H
#define YOKE_DAEMON_PROCESS_H

#include <stdbool.h>

/*
 * Forks; only the child returns, with the descriptor for process_ready(). The parent ends with 0
 * when the child is ready, otherwise with the child's exit code; until then standard error is
 * shared, so messages of the start reach whoever asked for it. Before any thread exists.
 * A negative errno when there is no child.
 */
int process_background(void);

/* Tells the waiting parent and lets go of the terminal. `fd` from process_background(). */
void process_ready(int fd);

/*
 * Opens the pid file, locks it for the life of the process and writes the pid. The lock, not the
 * file, says whether a daemon runs. The descriptor, or a negative errno (-EWOULDBLOCK: another
 * daemon holds it).
 */
int process_pidfile_open(const char *path);

/*
 * Empties the pid file and lets the lock go. The file stays: were it removed, a successor that has
 * opened it already would hold the lock of a file that nobody sees.
 */
void process_pidfile_close(int fd);

/* As many open descriptors as the hard limit allows. */
void process_limits_raise(void);

#endif
