/* SPDX-License-Identifier: BSD-3-Clause */
/* One running target: every part, made and joined in order, and ended in order. */
#ifndef YOKE_DAEMON_INSTANCE_H
#define YOKE_DAEMON_INSTANCE_H

#include <stddef.h>
#include <stdint.h>
#include <qb/qbloop.h>

#include "yoke/conf.h"

struct instance;

/*
 * Makes reactors, interconnect, device server, iSCSI server, cluster layer and management
 * interface for `controller` and starts the reactors. Nothing is served before the loop runs.
 * NULL with a message in error. Main thread, which becomes the control thread.
 */
struct instance *instance_new(const struct conf *conf, uint8_t controller, qb_loop_t *loop,
	char *error, size_t error_size);

/*
 * Ends in good order: groups are handed over or let go, hosts are told, connections closed; then
 * the loop is stopped. Returns at once; may be called again. Bounded in time.
 */
void instance_stop(struct instance *instance);

/* The exit code: not 0 when the daemon ends because it lost the cluster or its portals. */
int instance_exit_code(const struct instance *instance);

/* After the loop has ended. */
void instance_free(struct instance *instance);

#endif
