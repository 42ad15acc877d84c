/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Applying an entry to the state of an LU: a pure function of the two, the same at every
 * controller. What it means for nexuses comes out as data (effects), for whoever carries it out.
 */
#ifndef YOKE_SCSI_APPLY_H
#define YOKE_SCSI_APPLY_H

#include "daemon/scsi/entry.h"
#include "daemon/scsi/opcodes.h"

/* What becomes of the command. The numbers are in states and entries on disk: never change one. */
enum scsi_result {
	SCSI_RESULT_GOOD = 0,
	SCSI_RESULT_CONFLICT = 1, /* status RESERVATION CONFLICT */
	SCSI_RESULT_NO_ROOM = 2, /* 5/55/04 */
	SCSI_RESULT_RELEASE_TYPE = 3, /* 5/26/04 */
	SCSI_RESULT_SPEC_I_PT = 4, /* 5/26/00: for a new registration only */
	SCSI_RESULT_KEY_ZERO = 5, /* 5/26/00 */
	SCSI_RESULT_MOVE_TO_SELF = 6, /* 5/26/00 */
	SCSI_RESULT_NOTHING_TO_MOVE = 7, /* 5/24/00: no reservation */
	SCSI_RESULT_MALFORMED = 8, /* bytes that this controller cannot read */
	SCSI_RESULT_WRITE_PROTECTED = 9, /* 7/27/00 */
	SCSI_RESULT_SANITIZING = 10, /* 2/04/1B */
	SCSI_RESULT_SANITIZE_FAILED = 11, /* 3/31/03 */
	SCSI_RESULT_RESTRICTED = 12, /* 5/24/00: the failed sanitize operation was restricted */
	SCSI_RESULT_BUSY = 13, /* status BUSY: another atomic write is not finished */
	SCSI_RESULT_COUNT,
};
const char *scsi_result_name(enum scsi_result result);

/* What one nexus is told or loses. */
struct scsi_effect {
	struct scsi_identity who;
	uint32_t uas; /* bits of enum scsi_ua */
	bool abort; /* its tasks end */
};

struct scsi_effects {
	bool changed; /* reactors need a new copy of the state */
	uint32_t others_uas; /* for every nexus but `by` */
	uint64_t serial; /* of the command, which itself is not ended */
	struct scsi_identity by;
	unsigned count;
	unsigned room;
	struct scsi_effect *list; /* each nexus once */
};
void scsi_effects_clear(struct scsi_effects *effects); /* frees the list */
/* Adds to what the nexus is told. */
void scsi_effects_add(
	struct scsi_effects *effects, const struct scsi_identity *who, uint32_t uas, bool aborts);

/* `effects` is clear before; its owner clears it. The result is remembered by entry's serial. */
enum scsi_result scsi_apply(struct scsi_state *state, const uint8_t *bytes, size_t length,
	struct scsi_effects *effects);

/* What an operation under way, or one that has failed, makes of other commands. */
enum scsi_result scsi_sanitize_result(const struct scsi_sanitize *sanitize);
/* sanitize_apply.c: SANITIZE, and what comes of it. */
enum scsi_result scsi_sanitize_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects);
enum scsi_result scsi_wiped_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects);

/* intent_apply.c: atomic writes. */
enum scsi_result scsi_intent_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects);
enum scsi_result scsi_intent_end_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects);

/* pr_apply.c: PERSISTENT RESERVE OUT. */
enum scsi_result scsi_pr_apply(
	struct scsi_state *state, const struct scsi_entry *entry, struct scsi_effects *effects);

/* ----- what a nexus may do -------------------------------------------------------------------- */

enum {
	SCSI_IS_REGISTERED = 1 << 0,
	SCSI_IS_HOLDER = 1 << 1, /* of the persistent reservation */
	SCSI_IS_RESERVER = 1 << 2, /* holds the SPC-2 reservation */
};
/* How the nexus stands: the costly part, to be remembered. */
uint8_t scsi_state_standing(const struct scsi_state *state, const struct scsi_identity *who);

/*
 * May a nexus of that standing run a command of that row? (SPC-4 table 65 and SPC-2 5.5.1.) A
 * command that goes to the ledger is judged when it is applied.
 */
bool scsi_state_permits(
	const struct scsi_state *state, uint8_t standing, uint8_t reserved, bool passes_reserve);

#endif
