/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The transport: one Corosync closed process group "yoke:CLUSTER". Messages and membership changes
 * arrive in one total order, the same at every member. Control thread.
 */
#ifndef YOKE_HA_CPG_H
#define YOKE_HA_CPG_H

#include <qb/qbloop.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transport;

struct transport_member {
	uint32_t node;
	uint32_t pid;
};

struct transport_setup {
	qb_loop_t *loop;
	const char *cluster;
	uint32_t node; /* what Corosync must say about this node */
	/* A message; `bytes` is valid during the call. */
	void (*deliver)(void *arg, uint32_t node, uint32_t pid, const void *bytes, size_t size);
	/*
	 * The members from here on. `left` of them went, left[i].node_down says whether because
	 * their node is out of reach (or else their process ended or left).
	 */
	void (*members)(void *arg, const struct transport_member *members, size_t count,
		const struct transport_member *left, size_t left_count, bool node_down);
	/* Corosync is gone or has put us out; nothing works any more. */
	void (*lost)(void *arg, const char *reason);
	/* Before each batch of the above. */
	void (*before)(void *arg);
	void (*after)(void *arg);
	void *arg;
};

/* Connects and joins. NULL with object, cause and remedy in `error`. */
struct transport *transport_new(
	const struct transport_setup *setup, char *error, size_t error_size);
/* Leaves the group in good order. */
void transport_free(struct transport *t);

/* Queues `size` bytes for all members, this one included; copied. Never blocks. */
void transport_send(struct transport *t, const void *bytes, size_t size);

#endif
