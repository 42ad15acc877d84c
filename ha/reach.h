/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What Corosync says of the other controller's node, by two services that do not tell of a change
 * at the same time: CPG (membership of the daemons) and quorum (membership of the nodes). Pure.
 */
#ifndef YOKE_HA_REACH_H
#define YOKE_HA_REACH_H

#include <stdbool.h>
#include <stdint.h>

/* A node that has been in reach for so long without a daemon in the group has none. */
#define REACH_SETTLED_MS 500

struct reach {
	uint64_t since_ms; /* in reach since, as quorum says; 0 = it is not */
	bool lost; /* CPG has said so since: what quorum said before is old */
};

/* Quorum's list of nodes has come, with the other's node in it or not. */
void reach_quorum(struct reach *reach, bool in_reach, uint64_t now_ms);
/* CPG: the other's daemon is a member, or its node is lost. */
void reach_joined(struct reach *reach);
void reach_lost(struct reach *reach);
/* Out of reach for certain? */
bool reach_is_out(const struct reach *reach);
/* In reach for certain, and for long enough that its daemon would have joined if there was one? */
bool reach_is_settled(const struct reach *reach, uint64_t now_ms);

#endif
