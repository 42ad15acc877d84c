/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I_T nexuses, and what each keeps for an LU (an I_T_L nexus): unit attentions and the order of
 * its tasks. The task set is the I_T nexus's own (TST=001b), so all of it lives on one reactor.
 */
#ifndef YOKE_SCSI_NEXUS_H
#define YOKE_SCSI_NEXUS_H

#include "daemon/scsi/core.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/state.h"

/*
 * Pending unit attentions, one bit each, so that none can pile up; the lowest is told first. "ALUA
 * changed" is never set here: it is pending when the group's table changed after itl->seen.
 */
enum scsi_ua {
	SCSI_UA_POWER_ON, /* 29/00: a new nexus; makes hosts read the ALUA table again */
	SCSI_UA_LU_RESET, /* 29/03 */
	SCSI_UA_COMMANDS_CLEARED, /* 2F/00 */
	SCSI_UA_COMMANDS_LOST, /* 47/7F: with one connection of several */
	SCSI_UA_RESERVATIONS_PREEMPTED, /* 2A/03 */
	SCSI_UA_RESERVATIONS_RELEASED, /* 2A/04 */
	SCSI_UA_REGISTRATIONS_PREEMPTED, /* 2A/05 */
	SCSI_UA_MODE_CHANGED, /* 2A/01 */
	SCSI_UA_LOG_CHANGED, /* 2A/02 */
	SCSI_UA_IDENTIFIER_CHANGED, /* 3F/05 */
	SCSI_UA_ALUA_CHANGED, /* 2A/06 */
	SCSI_UA_CAPACITY_CHANGED, /* 2A/09 */
	SCSI_UA_THRESHOLD_REACHED, /* 38/07: thin provisioning */
	SCSI_UA_LUNS_CHANGED, /* 3F/0E: the nexus's, not the I_T_L nexus's; told once */
	SCSI_UA_COUNT,
};
const char *scsi_ua_name(enum scsi_ua ua);

/* How a nexus stands with the reservations of an LU, for one version of its state. */
#define SCSI_STANDINGS 16u
struct scsi_standing {
	uint64_t version; /* 0 = empty; no two LUs have the same */
	uint8_t is; /* SCSI_IS_* */
};

struct scsi_itl {
	struct scsi_lu *lu;
	uint64_t seen; /* core->changes when the nexus was last told of the ALUA table */
	uint32_t pending; /* bits of enum scsi_ua */
	uint32_t users; /* tasks that name it */
	uint32_t active; /* tasks that run or wait, but for those in `blocked` */
	uint16_t lun;
	bool gone; /* its LUN was removed: freed with its last task */
	bool pumping;
	bool ordered_active; /* one of them is ORDERED */
	struct qb_list_head blocked; /* tasks that wait for their turn */
	struct qb_list_head link; /* core's LU: itls */
	struct scsi_nexus *nexus;
};

#define SCSI_ITL_CHUNK	64u
#define SCSI_ITL_CHUNKS (16384u / SCSI_ITL_CHUNK)

struct scsi_itl_chunk {
	struct scsi_itl *itls[SCSI_ITL_CHUNK];
};

/* What WRITE BUFFER has left here; made at the first one. */
struct scsi_buffers {
	uint8_t data[SCSI_BUFFER_BYTES];
	uint8_t echo[SCSI_BUFFER_BYTES];
	uint32_t echo_length;
	const struct scsi_lu *echo_lu; /* the LU that it was sent to; NULL: none yet */
};

struct scsi_nexus {
	struct qb_list_head link; /* core->nexuses or a bucket of core->peers */
	struct scsi_core *core;
	const struct scsi_target *target; /* may be NULL for one at the other controller */
	/*
	 * By LUN, in chunks; both made at the first command, so that an idle nexus costs no more
	 * with 16,384 LUNs than with one. NULL for a nexus that stands for the other controller's.
	 */
	struct scsi_itl_chunk **itls;
	struct qb_list_head tasks;
	struct scsi_buffers *buffers; /* or NULL */
	struct scsi_standing standings[SCSI_STANDINGS]; /* a cache, by LU; see snapshot.c */
	uint64_t born; /* core->changes when it was made */
	uint32_t refs; /* of a peer's nexus */
	uint32_t pins; /* calls that still need it */
	bool luns_changed; /* owes "reported LUNs data has changed" */
	bool remote; /* stands for a session at the other controller */
	bool closing;
	void (*closed)(void *arg);
	void *closed_arg;
	void (*end)(void *arg); /* ends its session; NULL: has none here */
	void *end_arg;
	struct scsi_identity who;
};

/* A task that names it has left. */
void scsi_itl_put(struct scsi_itl *itl);

/* Moves the nexus to the map that counts now; `luns` says that its LUNs are others. */
void scsi_nexus_retarget(struct scsi_nexus *nexus, const struct scsi_map *map);

/* The I_T_L nexus of a unit of the nexus's target; NULL when out of memory. */
struct scsi_itl *scsi_itl_get(struct scsi_nexus *nexus, unsigned unit);
/* The same if it has been made; NULL when not. */
struct scsi_itl *scsi_itl_find(const struct scsi_nexus *nexus, unsigned lun);

/*
 * Takes the unit attention that is to be told now, as sense; SENSE_NONE when there is none. One at
 * most is pending afterwards only if it says something that this one did not.
 */
enum scsi_sense scsi_ua_take(struct scsi_nexus *nexus, struct scsi_itl *itl);
/* How many would be told, one after another; *sense is the first, if there is one. */
unsigned scsi_ua_peek(struct scsi_nexus *nexus, const struct scsi_itl *itl, enum scsi_sense *sense);
bool scsi_ua_is_pending(const struct scsi_nexus *nexus, const struct scsi_itl *itl);

/* Sets `ua` for the LU on every nexus of the core but the one of identity `but` (may be NULL). */
void scsi_ua_raise(struct scsi_core *core, const struct scsi_lu *lu, enum scsi_ua ua,
	const struct scsi_identity *but);

/* Sets UAs (bits of enum scsi_ua) for the LU on the one nexus of that identity, if it is the
 * core's. */
void scsi_ua_raise_one(struct scsi_core *core, const struct scsi_lu *lu, uint32_t bits,
	const struct scsi_identity *who);

/* A task of the nexus has left; ends a closing nexus. */
void scsi_nexus_task_gone(struct scsi_nexus *nexus);

/* group_serve: nexuses of the other controller's sessions. */
struct scsi_nexus *scsi_nexus_get(void *ctx, struct reactor *r, const struct scsi_identity *who);
void scsi_nexus_put(void *ctx, struct scsi_nexus *nexus);
void scsi_nexus_destroy(struct scsi_nexus *nexus);

#endif
