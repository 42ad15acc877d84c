/* SPDX-License-Identifier: BSD-3-Clause */
/* An entry of the ledger about an LU: who asks for which change of its state, as bytes. */
#ifndef YOKE_SCSI_ENTRY_H
#define YOKE_SCSI_ENTRY_H

#include "daemon/scsi/state.h"

enum scsi_entry_kind {
	SCSI_ENTRY_PR_OUT = 1,
	SCSI_ENTRY_RESERVE = 2, /* SPC-2 RESERVE */
	SCSI_ENTRY_RELEASE = 3,
	SCSI_ENTRY_UNRESERVE = 4, /* a reset, or the nexus is lost: ends the SPC-2 reservation */
	SCSI_ENTRY_MODE = 5, /* MODE SELECT */
	SCSI_ENTRY_IDENTIFY = 6, /* SET IDENTIFYING INFORMATION */
	SCSI_ENTRY_THRESHOLDS = 7, /* `values` are the thresholds that are reached, of all */
	SCSI_ENTRY_LOG = 8, /* LOG SELECT has been done: the state stays, others are told */
	SCSI_ENTRY_SANITIZE = 16, /* SANITIZE */
	SCSI_ENTRY_WIPED = 17, /* how far a sanitize operation is, or how it ended */
	SCSI_ENTRY_INTENT = 18, /* a part of what an atomic write is about to write */
	SCSI_ENTRY_INTENT_END = 19, /* it has been written */
};
const char *scsi_entry_kind_name(enum scsi_entry_kind kind);

/* Service actions of PERSISTENT RESERVE OUT (SPC-4 table 208). */
enum scsi_pr_action {
	SCSI_PR_REGISTER = 0,
	SCSI_PR_RESERVE = 1,
	SCSI_PR_RELEASE = 2,
	SCSI_PR_CLEAR = 3,
	SCSI_PR_PREEMPT = 4,
	SCSI_PR_PREEMPT_AND_ABORT = 5,
	SCSI_PR_REGISTER_AND_IGNORE = 6,
	SCSI_PR_REGISTER_AND_MOVE = 7,
	SCSI_PR_ACTION_COUNT,
};

/* What SCSI_ENTRY_WIPED says. */
enum scsi_wiped {
	SCSI_WIPED_SO_FAR = 0,
	SCSI_WIPED_ALL = 1,
	SCSI_WIPED_FAILED = 2,
	SCSI_WIPED_COUNT,
};

enum {
	SCSI_ENTRY_APTPL = 1 << 0,
	SCSI_ENTRY_ALL_TG_PT = 1 << 1, /* `ports` holds every port */
	SCSI_ENTRY_SPEC_I_PT = 1 << 2, /* `others` holds initiator ports */
	SCSI_ENTRY_UNREG = 1 << 3,
	SCSI_ENTRY_SAVE = 1 << 4, /* mode: the saved values too */
	SCSI_ENTRY_ANYONE = 1 << 5, /* unreserve: whoever holds it */
	SCSI_ENTRY_TELL = 1 << 6, /* unreserve: its session may live, cut off: it is told */
};

struct scsi_entry {
	uint8_t kind; /* enum scsi_entry_kind */
	uint8_t flags; /* SCSI_ENTRY_* */
	uint64_t serial; /* of the command; 0 = none */
	struct scsi_identity who;
	/* PR OUT */
	uint8_t action; /* enum scsi_pr_action, enum scsi_wiped */
	uint8_t type;
	uint64_t key;
	uint64_t new_key;
	uint16_t port_count;
	uint16_t other_count;
	struct cursor ports; /* RTPIs, two bytes each */
	struct cursor others; /* see scsi_entry_other_put() */
	struct scsi_identity destination; /* REGISTER AND MOVE */
	/* mode, thresholds (without mask) */
	uint8_t mask; /* SCSI_MODE_* that are set to `values` */
	uint8_t values;
	/* SANITIZE (`method` is the service action) and wiped (id, pass, bytes) */
	struct scsi_sanitize sanitize;
	/* atomic writes; their end has the id only */
	struct {
		uint64_t id;
		uint64_t at_bytes;
		uint32_t total;
		uint32_t begin; /* of this part, in what is written */
		struct cursor data; /* of this part, from the beginning; points into the bytes */
	} intent;
	/* identify */
	uint8_t info_length;
	uint8_t info[SCSI_IDENTIFYING_MAX];
};

/* An initiator port among `others`: ISID and name; the rest of `who` is left alone by get. */
void scsi_entry_other_put(struct cursor *c, const struct scsi_identity *who);
bool scsi_entry_other_get(struct cursor *c, struct scsi_identity *who);

/* Version 1. Bytes of the cursors `ports` and `others` from their beginning are copied. */
void scsi_entry_put(struct cursor *c, const struct scsi_entry *entry);
/*
 * The cursors point into the bytes, at their beginning, and have been read once: what they hold is
 * sound. False for bytes that are no entry.
 */
bool scsi_entry_get(const uint8_t *bytes, size_t length, struct scsi_entry *entry);

#endif
