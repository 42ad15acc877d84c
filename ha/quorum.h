/* SPDX-License-Identifier: BSD-3-Clause */
/* Corosync's quorum: whether this node may act, and which nodes it can reach. Control thread. */
#ifndef YOKE_HA_QUORUM_H
#define YOKE_HA_QUORUM_H

#include <qb/qbloop.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quorum;

struct quorum_setup {
	qb_loop_t *loop;
	/* Now, and after every change; `nodes` has a bit for each reachable node id below 32. */
	void (*changed)(void *arg, bool quorate, uint32_t nodes);
	void (*lost)(void *arg, const char *reason);
	void (*before)(void *arg);
	void (*after)(void *arg);
	void *arg;
};

/* NULL with object, cause and remedy in `error`. */
struct quorum *quorum_new(const struct quorum_setup *setup, char *error, size_t error_size);
void quorum_free(struct quorum *q);

#endif
