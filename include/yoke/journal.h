/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journal of the ledger: STATE_DIR/ledger.journal, a snapshot of the states of all LUs and the
 * entries since. A thread of its own writes it; the control thread never waits for the disk.
 *
 * Big-endian. The header: magic "YKLJ", version and lowest version (16 bits each), mark (32 bits,
 * random for each file), owner (16-bit length and text), CRC32C. Then frames, each written and
 * synced as a whole: mark, payload length (32 bits), number from 0 (64 bits), CRC32C of all that,
 * payload. A payload is records of type (8 bits), length (32 bits) and body:
 *
 *   BASE   index, alone (8 bits)                 first record of frame 0, nowhere else
 *   STATES UUID, length (32 bits), state of LUs  second and last of frame 0: as of BASE
 *   ENTRY  index, group, epoch, UUID, bytes
 *   JUMP   index                                 the next entry's is above it
 *   MARK   index, alone                          from here on this controller was alone, or not
 *
 * What ends in the middle of a frame is a write that a power loss has torn: it was never
 * acknowledged and is cut off. A bad frame with a good one behind it is damage, and refused.
 */
#ifndef YOKE_JOURNAL_H
#define YOKE_JOURNAL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/ledger.h"
#include "yoke/mailbox.h"

#define JOURNAL_FILE	"ledger.journal"
#define JOURNAL_VERSION 1
/* It is replaced by a snapshot when its entries take so much, and more than the snapshot. */
#define JOURNAL_ENTRIES_BYTES (4u << 20)
/* Free space that it holds for entries under way: without it, none is accepted. */
#define JOURNAL_RESERVE_BYTES (1u << 20)
/* A disk that has not come back from one operation for so long hangs; that is no disk's own error.
 */
#define JOURNAL_HANGS_MS 5000
#define JOURNAL_HANGS	 (-EINPROGRESS)

/* ----- bytes that grow ------------------------------------------------------------------------ */

struct journal_bytes {
	uint8_t *base;
	size_t length;
	size_t room;
};

/* `n` more bytes to write to; NULL = out of memory, nothing changed. */
uint8_t *journal_bytes_add(struct journal_bytes *b, size_t n);
void journal_bytes_free(struct journal_bytes *b);

/* ----- the states of all LUs ------------------------------------------------------------------ */

/*
 * Appends UUID, length (32 bits) and state of every LU whose state is not empty: what a journal
 * begins with and what a joiner gets. 0, -ENOMEM or what save() says. Control thread.
 */
int ledger_states_save(const struct ledger_serve *serve, struct journal_bytes *to);
/*
 * The reverse: every LU gets its state from `bytes`, or the empty one. 0, or -EBADMSG: malformed
 * (nothing changed), or refused by load() for the LU that is put into `lu`. Control thread.
 */
int ledger_states_load(const struct ledger_serve *serve, const uint8_t *bytes, size_t size,
	bool cold, uint8_t lu[16]);
/* Drops what does not outlive the loss of all controllers. 0 or a negative errno. */
int ledger_states_cold(const struct ledger_serve *serve);
/* CRC32C of UUID and state of one LU; 0 for the empty state. All LUs: XOR of these. */
uint32_t ledger_state_digest(const struct ledger_serve *serve, const uint8_t lu[16]);
uint32_t ledger_states_digest(const struct ledger_serve *serve);

/* ----- the bytes of a journal ------------------------------------------------------------------
 */

struct journal_reader {
	void *ctx;
	/* 0, or a negative errno that ends the reading. */
	int (*base)(void *ctx, uint64_t index, const uint8_t *states, size_t size);
	int (*entry)(void *ctx, const struct ledger_entry *entry, uint64_t index);
	void (*jump)(void *ctx, uint64_t index);
};

/* Was this controller the only one that can know newer entries? In BASE and MARK. */
#define JOURNAL_ALONE 0x01

/* Appends header and frame 0; `states` as ledger_states_save() makes them. 0 or -ENOMEM. */
int journal_begin_put(struct journal_bytes *to, const char *owner, uint32_t mark, uint64_t index,
	bool alone, const uint8_t *states, size_t size);
/* Appends a MARK. 0 or -ENOMEM. */
int journal_mark_put(struct journal_bytes *to, uint64_t index, bool alone);
/* Appends a record; `entry` NULL: JUMP. 0 or -ENOMEM. */
int journal_record_put(struct journal_bytes *to, uint64_t index, const struct ledger_entry *entry);
#define JOURNAL_FRAME_BYTES 20
/* The header of a frame around a payload. */
void journal_frame_put(uint8_t to[JOURNAL_FRAME_BYTES], uint32_t mark, uint64_t number,
	const uint8_t *payload, size_t size);

struct journal_end {
	uint32_t mark;
	uint64_t number; /* of the next frame */
	size_t good; /* bytes up to the end of the last good frame */
	uint64_t index; /* of the last record */
	bool alone; /* as marked last */
};

/*
 * Reads a whole journal. 0; -EBADMSG with what is wrong where in `error`; what the reader's
 * functions return.
 */
int journal_decode(const uint8_t *bytes, size_t size, const char *owner,
	const struct journal_reader *reader, struct journal_end *end, char *error,
	size_t error_size);

/* ----- the file and its thread ------------------------------------------------------------------
 */

struct journal;

struct journal_setup {
	const char *dir; /* kept */
	const char *owner; /* cluster and controller: a copied journal is refused; copied */
	struct mailbox *control;
	const struct ledger_serve *serve; /* kept */
	/* Control thread: what journal_status() says has changed. */
	void (*changed)(void *arg);
	void *arg;
};

struct journal_status {
	uint64_t durable; /* everything up to this index is on the disk */
	uint64_t replaced; /* the highest `number` of a replacement or a mark that is on the disk */
	uint64_t bytes; /* of the file */
	int err; /* 0, or why nothing can be made durable at present: a negative errno, or
		    JOURNAL_HANGS */
	bool alone; /* as journal_mark() said last, also in a former life */
};

/*
 * Reads the journal into serve->load() and serve->apply(); no file: everything is as new. `index`
 * is the last one in it. NULL with object, cause and remedy in `error`. Blocks; at the start only.
 */
struct journal *journal_open(
	const struct journal_setup *setup, uint64_t *index, char *error, size_t error_size);
/* Writes what is pending; changed() is not called any more. */
void journal_free(struct journal *j);

/*
 * Control thread; copied, never blocks. `entry` NULL: a jump to `index`. Where the journal has got
 * long the states of all LUs, as they are at the call, take its place.
 */
void journal_append(struct journal *j, uint64_t index, const struct ledger_entry *entry);
/*
 * Marks that this controller goes on alone from `index` on, or not any more. `number` as below.
 * Control thread.
 */
void journal_mark(struct journal *j, uint64_t index, bool alone, uint64_t number);
/*
 * The states of all LUs as they are now, under `index`, take the place of all that it holds. It
 * also is the way back after a write has failed. `number` comes back in the status; 0 = none.
 */
void journal_replace(struct journal *j, uint64_t index, uint64_t number);
void journal_status(struct journal *j, struct journal_status *status);
/*
 * A disk that hangs gives no error. Called every now and then with a clock that only grows: when
 * the thread has not come back from an operation for JOURNAL_HANGS_MS the status says
 * JOURNAL_HANGS, until it does. What it has been given may be written all the same then; what comes
 * meanwhile waits in memory, no more of it than since the last journal_replace(). changed()
 * tells of it. Control thread.
 */
void journal_watch(struct journal *j, uint64_t now_ms);
/* journal_status.err in words. */
const char *journal_error_text(int err);

#endif
