/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger: one ordered, acknowledged log of what changes the state of LUs beyond their blocks
 * (registrations, reservations, mode pages). Every controller applies the same entries in the same
 * order with the same result. An entry is done when every member has applied it, published it to
 * its reactors and has it on its disk (invariant I4). ha keeps it in a cluster, the local ledger
 * without one; scsi knows what the bytes mean. Neither includes the other.
 *
 * All functions run on the control thread.
 */
#ifndef YOKE_LEDGER_H
#define YOKE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/task.h"

#define LEDGER_ENTRY_BYTES_MAX (64u << 10)
#define LEDGER_STATE_BYTES_MAX (256u << 10)

struct ledger_entry {
	uint8_t lu[16]; /* UUID of the LU */
	uint16_t group; /* index in the configuration */
	uint64_t epoch; /* of the group, as the submitter was admitted under */
	const uint8_t *bytes; /* what scsi made; versioned by scsi; valid during the call */
	size_t length; /* at most LEDGER_ENTRY_BYTES_MAX */
};

enum ledger_outcome {
	LEDGER_DONE, /* applied, published and durable at every member */
	LEDGER_AGAIN, /* was not applied and never will be: its epoch has passed, or this controller
			 is not in sync; the gate decides anew */
	LEDGER_FAILED, /* refused: it cannot be made durable here (state directory) */
};
const char *ledger_outcome_name(enum ledger_outcome outcome);

/* ----- the ledger calls scsi ------------------------------------------------------------------ */

struct ledger_serve {
	void *ctx;

	/*
	 * Applies an entry. `index` is its place in the order: it grows, and is the same at every
	 * controller. The result is a pure function of the LU's state and the entry, the same at
	 * every controller, and goes to done() of the submitter. applied(arg) runs once, later or
	 * inside the call, when every reactor here works by the new state and the unit attentions
	 * that it owes to nexuses of this controller are pending. An LU that this configuration
	 * does not have: result 0, applied at once.
	 */
	uint32_t (*apply)(void *ctx, const struct ledger_entry *entry, uint64_t index,
		void (*applied)(void *arg), void *arg);

	/*
	 * The state of the LU as of the last apply() or load(), as bytes, for the journal, a joiner
	 * and the digest: the same bytes for the same state at every controller. The length, 0 for
	 * the state of an LU that no entry has touched (or that is as if none had), -EMSGSIZE.
	 */
	int (*save)(void *ctx, const uint8_t lu[16], uint8_t *bytes, size_t size);

	/*
	 * Replaces the state of the LU; length 0 = as if no entry had touched it. `cold`: nobody
	 * has kept it alive since it was saved (all controllers lost power): what does not outlive
	 * that (registrations without APTPL, SCSI-2 reservations, unsaved mode pages) is left out.
	 * Before sessions exist, or on a controller that was out of sync. 0, or -EBADMSG: nothing
	 * changed.
	 */
	int (*load)(
		void *ctx, const uint8_t lu[16], const uint8_t *bytes, size_t length, bool cold);

	/* LUs to ask save() about: the UUID of LU number i, false past the last. */
	bool (*lu)(void *ctx, unsigned i, uint8_t uuid[16]);

	/*
	 * Is there an entry to come as soon as the other controller, which is out of reach, is
	 * known to be fenced? By the views as they are published. NULL = never.
	 */
	bool (*awaits_peer)(void *ctx);
};

/* ----- scsi calls the ledger ------------------------------------------------------------------ */

struct ledger {
	void *ctx;

	/*
	 * Orders an entry (its bytes are copied). done(arg, outcome, result) runs once, later or
	 * inside the call; `result` is apply()'s when the outcome is LEDGER_DONE. While the
	 * acknowledgement of a lost controller is owed (it may be alive until it is fenced) done()
	 * waits.
	 */
	void (*submit)(void *ctx, const struct ledger_entry *entry,
		void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg);
};

/* ----- for the administrator --------------------------------------------------------------------
 */

struct ledger_status {
	uint64_t index; /* of the last entry applied here */
	uint64_t acknowledged[YOKE_CONTROLLERS + 1]; /* published and durable, by controller */
	unsigned pending; /* submitted here and not done */
	uint64_t journal_bytes;
	int journal_error; /* 0, or why nothing can be made durable here: a negative errno */
	bool waits_for_fence; /* entries wait until it is certain that the lost controller is dead
			       */
	bool keeps_out; /* the other controller cannot join until the disk of the journal answers */
};

#endif
