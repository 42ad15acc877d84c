/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What SendTargets lists (RFC 7143 appendix C): every target that the initiator may log in to, each
 * with all portals of all controllers. The list is made from the configuration piece by piece, so
 * that 10,000 targets cost no memory. Pure; any thread.
 */
#ifndef YOKE_ISCSI_DISCOVERY_H
#define YOKE_ISCSI_DISCOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/conf.h"
#include "yoke/cursor.h"

/* Where a list is. */
struct iscsi_discovery {
	const struct conf_target *only; /* NULL: every target */
	bool active; /* something is left to list */
	bool named; /* TargetName of the current target is out */
	unsigned target; /* index in the configuration */
	unsigned controller; /* index */
	unsigned portal; /* index */
};

/* The target of that name (any case), or NULL. */
const struct conf_target *iscsi_target_find(const struct conf *conf, const char *name);

/* An initiator as access control sees it. */
struct iscsi_visitor {
	const char *initiator; /* normalized name */
	const struct sockaddr_storage *address; /* where it comes from; NULL: in no network */
};

/*
 * May that initiator log in to, and see, the target? *group, if given, is the group that lets it in
 * and says how it authenticates: the first of the target's that it is a member of. NULL: the target
 * is open to everybody.
 */
bool iscsi_target_allows(const struct conf *conf, const struct conf_target *target,
	const struct iscsi_visitor *visitor, const struct conf_initiator_group **group);

/* Starts a list of every target, or of `only`. */
void iscsi_discovery_start(
	struct iscsi_discovery *list, const struct conf *conf, const struct conf_target *only);

/*
 * Writes as many whole key=value pairs as fit in `out` (512 bytes hold at least one); list->active
 * turns false with the last.
 */
void iscsi_discovery_next(struct iscsi_discovery *list, const struct conf *conf,
	const struct iscsi_visitor *visitor, struct cursor *out);

#endif
