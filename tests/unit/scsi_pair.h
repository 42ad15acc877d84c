/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two controllers with one ledger. The first owns every LU; commands that come in at the second
 * are carried to it, as the interconnect would.
 *
 *      host A              host B              host C
 *        |                   |                   |
 *   0101, reactor 0     0201, reactor 0     0102, reactor 1
 *   [ controller 1 ]    [ controller 2 ]    [ controller 1 ]
 *          owner  <--- shipped ---
 */
#ifndef TEST_SCSI_PAIR_H
#define TEST_SCSI_PAIR_H

#include "scsi_rig.h"

enum {
	A,
	B,
	C,
	HOSTS
};

#define PAIR_CARRIED 16

/* A command of controller 2 on its way. */
struct pair_carried {
	struct scsi_task *origin; /* NULL = free */
	struct rig_task at_owner;
	struct scsi_nexus *stand_in;
	bool keep; /* its answer is lost for now */
};

struct pair {
	struct rig *rigs[2];
	struct scsi_nexus *nexus[HOSTS];
	struct pair_carried carried[PAIR_CARRIED];
	bool cut; /* nothing is carried */
};

struct pair *pair_new(void);
void pair_free(struct pair *pair);
/* Runs both controllers and what is between them until nothing moves (bounded). */
void pair_run(struct pair *pair);
struct rig *pair_rig(struct pair *pair, unsigned host);

/* Starts a command of a host on LUN `lun`. */
void pair_start(struct pair *pair, struct rig_task *t, unsigned host, unsigned lun,
	const uint8_t *cdb, unsigned length, const void *out, uint32_t out_length);
/* Starts it and runs the pair; it must have ended: its outcome as rig_outcome(). */
uint32_t pair_do(struct pair *pair, struct rig_task *t, unsigned host, unsigned lun,
	const uint8_t *cdb, unsigned length, const void *out, uint32_t out_length);

/* The unit attention that TEST UNIT READY brings, as rig_outcome(); 0 = none. */
uint32_t pair_ua(struct pair *pair, unsigned host);
/* Consumes what is pending. */
void pair_calm(struct pair *pair);

/* PERSISTENT RESERVE OUT on LUN 0 with a basic list. */
uint32_t pair_pr(struct pair *pair, unsigned host, uint8_t action, uint8_t type, uint64_t key,
	uint64_t new_key, uint8_t flags);
/* The state of LU 0, the same at both controllers. */
const struct scsi_state *pair_state(struct pair *pair);

#endif
