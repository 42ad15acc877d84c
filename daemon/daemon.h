/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon: every component made, wired, run and taken down in order. Control thread. */
#ifndef YOKE_DAEMON_H
#define YOKE_DAEMON_H

#include "yoke/conf.h"

struct daemon;

/* NULL with a message for people in error. Starts the reactors; opens portals when it may. */
struct daemon *daemon_new(const struct conf *conf, const struct conf_controller *controller,
	char *error, size_t error_size);

/*
 * Runs until a signal, a stop request or the loss of the cluster. The exit status: 0 after a stop
 * in good order, 1 when the daemon had to give up.
 */
int daemon_run(struct daemon *daemon);

void daemon_free(struct daemon *daemon);

#endif
