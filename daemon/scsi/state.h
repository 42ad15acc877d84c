/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an LU remembers beyond its blocks: registrations and the persistent reservation (SPC-4
 * 5.13), the SPC-2 reservation, mode parameters, identifying information, and which commands of
 * late have been carried out. Every controller keeps it for every LU and changes it by the ledger's
 * entries only (apply.h), so all of it is data: nexuses by their identity, no pointer, no clock. No
 * function here looks at anything but its arguments.
 */
#ifndef YOKE_SCSI_STATE_H
#define YOKE_SCSI_STATE_H

#include <stddef.h>

#include "yoke/cursor.h"
#include "yoke/task.h"

#define SCSI_REGISTRANTS_MAX 256u
#define SCSI_DONE_MAX	     64u /* commands whose results are remembered */
#define SCSI_IDENTIFYING_MAX 64u /* bytes of identifying information */
#define SCSI_NO_REGISTRANT   UINT16_MAX

/* Types of persistent reservations (SPC-4 table 68). */
enum scsi_pr_type {
	SCSI_PR_NONE = 0,
	SCSI_PR_WRITE_EXCLUSIVE = 1,
	SCSI_PR_EXCLUSIVE_ACCESS = 3,
	SCSI_PR_WRITE_EXCLUSIVE_REGISTRANTS = 5,
	SCSI_PR_EXCLUSIVE_ACCESS_REGISTRANTS = 6,
	SCSI_PR_WRITE_EXCLUSIVE_ALL = 7,
	SCSI_PR_EXCLUSIVE_ACCESS_ALL = 8,
	SCSI_PR_TYPE_COUNT,
};
/* "write exclusive, registrants only" and the like; NULL for a number that is no type. */
const char *scsi_pr_type_name(unsigned type);
/* What a type means; an all-registrants type is held by every registrant. */
bool scsi_pr_type_exists(unsigned type); /* and is not SCSI_PR_NONE */
bool scsi_pr_type_is_all(unsigned type);
bool scsi_pr_type_is_shared(unsigned type); /* registrants only, or all registrants */
bool scsi_pr_type_is_exclusive(unsigned type); /* conflicts with reads too */

/* Mode parameters that can be changed (mode.c). */
enum {
	SCSI_MODE_D_SENSE = 1 << 0, /* sense data in descriptor format */
	SCSI_MODE_SWP = 1 << 1, /* software write protect */
	SCSI_MODE_TAS = 1 << 2, /* TASK ABORTED to other nexuses */
	SCSI_MODE_ALL = SCSI_MODE_D_SENSE | SCSI_MODE_SWP | SCSI_MODE_TAS,
};

#define SCSI_REACHED_ALL 0x07 /* every threshold of logical block provisioning */

struct scsi_registrant {
	uint64_t key; /* never 0 */
	struct scsi_identity who;
};

struct scsi_done {
	uint64_t serial;
	uint32_t result;
};

struct scsi_state {
	uint32_t generation; /* PRGENERATION */
	uint16_t count; /* of registrants */
	uint16_t room; /* allocated for them */
	uint16_t holder; /* index; SCSI_NO_REGISTRANT without one or with an "all" type */
	uint8_t type; /* enum scsi_pr_type */
	bool aptpl; /* registrations outlive the loss of power */
	bool reserved; /* SPC-2, by `reserver` */
	uint8_t mode; /* SCSI_MODE_*, current */
	uint8_t saved_mode;
	uint8_t reached; /* bits 1 << enum scsi_threshold */
	uint8_t done_count;
	uint8_t info_length;
	uint8_t info[SCSI_IDENTIFYING_MAX]; /* SET IDENTIFYING INFORMATION */
	struct scsi_identity reserver;
	struct scsi_done done[SCSI_DONE_MAX]; /* oldest first */
	struct scsi_registrant *registrants; /* in the order in which they came */
};

/* As if no entry had touched it; frees what it had. */
void scsi_state_clear(struct scsi_state *state);
bool scsi_state_is_clear(const struct scsi_state *state);

/* Index of the registration of that nexus; SCSI_NO_REGISTRANT. */
uint16_t scsi_state_find(const struct scsi_state *state, const struct scsi_identity *who);
/* Adds one; the caller has checked that there is room (SCSI_REGISTRANTS_MAX) and no such yet. */
void scsi_state_add(struct scsi_state *state, uint64_t key, const struct scsi_identity *who);
/* Takes one out and keeps `holder` right; a reservation that it held alone is not ended here. */
void scsi_state_remove(struct scsi_state *state, uint16_t at);
/* Is that registration the holder, or one of them? */
bool scsi_state_holds(const struct scsi_state *state, uint16_t at);

/* The result of a command that is among the last ones; false when it is not. */
bool scsi_state_done_get(const struct scsi_state *state, uint64_t serial, uint32_t *result);
void scsi_state_done_put(struct scsi_state *state, uint64_t serial, uint32_t result);

/* Power has been lost everywhere: what does not outlive that goes. */
void scsi_state_cool(struct scsi_state *state);

bool scsi_identity_equal(const struct scsi_identity *a, const struct scsi_identity *b);

/* An identity as bytes, also within entries. */
void scsi_identity_put(struct cursor *c, const struct scsi_identity *who);
/* False, with the cursor's sticky error set, when it is not one of a nexus of ours. */
bool scsi_identity_get(struct cursor *c, struct scsi_identity *who);

/*
 * The state as bytes, version 1: the same state gives the same bytes. Length, 0 for a clear state,
 * -EMSGSIZE.
 */
int scsi_state_put(const struct scsi_state *state, uint8_t *bytes, size_t size);
/* 0, or -EBADMSG, and then `state` is clear. */
int scsi_state_get(struct scsi_state *state, const uint8_t *bytes, size_t length);

#endif
