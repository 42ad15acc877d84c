/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting other programs from a process that has threads. */
#ifndef YOKE_CHILD_H
#define YOKE_CHILD_H

#include <sys/types.h>

/*
 * Starts `program` (looked for in PATH unless it has a slash; argv ends with NULL) with no signal
 * blocked or ignored, `in` as its standard input (-1: /dev/null), `out` as its standard output, and
 * nothing as its standard error. Both stay the caller's. Unlike fork() this is allowed beside
 * threads; descriptors are kept from the program by O_CLOEXEC alone. 0 and the process in *pid, or
 * a negative errno. Any thread.
 */
int child_start(const char *program, const char *const *argv, int in, int out, pid_t *pid);

#endif
