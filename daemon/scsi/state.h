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

#define SCSI_REGISTRANTS_MAX	  256u
#define SCSI_DONE_MAX		  64u /* commands whose results are remembered */
#define SCSI_IDENTIFYING_MAX	  64u /* bytes of identifying information */
#define SCSI_NO_REGISTRANT	  UINT16_MAX
#define SCSI_SANITIZE_PATTERN_MAX 4096u /* bytes: the largest logical block */
#define SCSI_SANITIZE_PASSES_MAX  31u
#define SCSI_INTENT_BYTES_MAX	  (128u << 10) /* of one atomic write */

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

/* A sanitize operation (SBC-4 4.11), from SANITIZE until it has ended well. */
enum scsi_sanitize_phase {
	SCSI_SANITIZE_RUNNING = 1,
	SCSI_SANITIZE_FAILED = 2, /* until EXIT FAILURE MODE, or another one */
};
enum scsi_sanitize_method { /* the service actions of SANITIZE */
	SCSI_SANITIZE_OVERWRITE = 0x01,
	SCSI_SANITIZE_BLOCK_ERASE = 0x02,
	SCSI_SANITIZE_EXIT = 0x1f,
};

struct scsi_sanitize {
	uint64_t id; /* serial of the command, which names the operation */
	uint8_t phase; /* enum scsi_sanitize_phase */
	uint8_t method;
	bool unrestricted; /* AUSE: EXIT FAILURE MODE ends a failure */
	bool invert; /* the pattern, from pass to pass */
	uint8_t passes; /* from 1 */
	uint8_t pass; /* that is under way, from 0 */
	uint64_t bytes; /* of that pass that are done for certain */
	uint16_t pattern_length; /* 0: zeros */
	uint8_t pattern[SCSI_SANITIZE_PATTERN_MAX];
};

/*
 * An atomic write that may be under way: what it writes, kept by every controller and on its disk
 * before the first byte goes to the extent. It counts when all of it is there.
 */
struct scsi_intent {
	uint64_t id; /* serial of the command */
	uint64_t at_bytes; /* in the extent */
	uint32_t total; /* bytes, at most SCSI_INTENT_BYTES_MAX */
	uint32_t have;
	uint8_t data[]; /* room for all */
};

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
	struct scsi_sanitize *sanitize; /* NULL = none */
	struct scsi_intent *intent; /* NULL = none; not in copies for reactors */
	struct scsi_identity reserver;
	struct scsi_done done[SCSI_DONE_MAX]; /* oldest first */
	struct scsi_registrant *registrants; /* in the order in which they came */
};

/* As if no entry had touched it; frees what it had. */
void scsi_state_clear(struct scsi_state *state);
bool scsi_state_is_clear(const struct scsi_state *state);
/* A sanitize operation for the state to own, all zero; without memory the daemon ends. */
struct scsi_sanitize *scsi_sanitize_new(void);
/* The same with room for `total` bytes, none of which is there yet. */
struct scsi_intent *scsi_intent_new(uint64_t id, uint64_t at_bytes, uint32_t total);

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
