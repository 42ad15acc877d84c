/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a program without waiting for it and collects what it prints. Control thread. */
#ifndef YOKE_HA_SPAWN_H
#define YOKE_HA_SPAWN_H

#include <qb/qbloop.h>
#include <stddef.h>

#define SPAWN_OUTPUT_MAX (256u << 10)

struct spawn;

/*
 * Ends in done() exactly once, from the loop: `status` is the exit status, or a negative errno
 * (-ETIME after timeout_ms, the program has been killed). `output` is NUL-terminated, standard
 * output only, cut at SPAWN_OUTPUT_MAX, valid during the call.
 */
typedef void spawn_done_fn(void *arg, int status, const char *output, size_t length);

/* argv ends with NULL and is searched for in PATH. NULL: could not be started, done() not called.
 */
struct spawn *spawn_run(qb_loop_t *loop, const char *const *argv, unsigned timeout_ms,
	spawn_done_fn *done, void *arg);
/* Kills the program and forgets done(). */
void spawn_cancel(struct spawn *s);

#endif
