/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The copy manager: moves ranges of blocks between LUs for one command, by commands of its own that
 * take the way of every other command: the gate, the store or the interconnect. They carry the
 * identity of the nexus that asked, so reservations, write protection, held groups and owners at
 * the other controller apply to them by themselves. Everything here is for the command's reactor.
 *
 * The command itself is not counted in its group: when the group moves while it runs, its pieces
 * are held and go on, here or at the new owner.
 */
#ifndef YOKE_SCSI_COPY_H
#define YOKE_SCSI_COPY_H

#include "daemon/scsi/core.h"
#include "daemon/scsi/odx_list.h"
#include "daemon/scsi/sense.h"

#define SCSI_COPIES_MAX	      8u /* of one reactor at a time; more are told BUSY */
#define SCSI_COPY_PIECE_BYTES (1u << 20) /* at most; less with a small pool of buffers */
#define SCSI_COPY_ZERO_BYTES  ((uint32_t)SCSI_SAME_BYTES_MAX) /* of zeros: no buffer */
#define SCSI_COPY_PAUSE_MS    20 /* before a piece that was told BUSY is tried again */
#define SCSI_COPY_PATIENCE_MS 30000 /* for how long */
#define SCSI_COPY_RECORDS_MAX 128u /* outcomes of one reactor that are kept for asking */

/* What became of an operation: for RECEIVE COPY RESULTS. Kept by nexus, LU and list identifier. */
struct scsi_copy_record {
	struct qb_list_head link; /* core->copy_records, the oldest first */
	const struct scsi_nexus *nexus;
	const struct scsi_lu *lu;
	uint32_t id;
	uint8_t action; /* service action of the command */
	bool running;
	bool aborted;
	uint16_t segments; /* done */
	uint64_t bytes; /* moved */
	uint64_t pieces; /* commands of the copy manager that ended well */
	uint8_t status; /* of the command, once it has ended */
	uint8_t sense_length;
	uint8_t sense[SCSI_SENSE_MAX];
	bool has_token; /* POPULATE TOKEN */
	uint8_t token[ODX_TOKEN_BYTES];
};

/* The next thing to do. */
struct scsi_copy_range {
	struct scsi_lu *from; /* NULL: zeros */
	struct scsi_lu *to; /* NULL: only ask `from` whether it is ready */
	uint64_t from_byte, to_byte;
	uint64_t bytes; /* a multiple of both block sizes; both ranges lie on their LUs */
};

struct scsi_copy {
	struct qb_list_head link; /* core->copies */
	struct scsi_core *core;
	struct scsi_task *task; /* the command */
	struct scsi_copy_record *record; /* NULL: nobody can ask */
	/*
	 * Sets the next range; false when there is none: the command ends with the outcome that it
	 * has.
	 */
	bool (*next)(struct scsi_copy *copy, struct scsi_copy_range *range);
	/* A command of ours failed: sets the outcome from copy->piece. `wrote`: the destination's.
	 */
	void (*failed)(struct scsi_copy *copy, bool wrote);
	/* The source was read: may that data be written? False with the outcome set. May be NULL.
	 */
	bool (*fresh)(struct scsi_copy *copy);
	bool in_order; /* never from a range's end: how much was done is a length */
	/* Frees what is around the object. */
	void (*free)(struct scsi_copy *copy);

	/* private to copy.c */
	struct scsi_task piece;
	uint8_t step;
	bool waits; /* a command of ours is under way */
	bool cancelled;
	bool backwards;
	struct scsi_copy_range range;
	uint64_t moved; /* bytes of the range */
	uint32_t piece_bytes;
	uint64_t busy_since_ms;
	struct reactor_defer defer;
	struct reactor_timer timer;
};

/*
 * Begins a copy for `task`, whose row's run() this is in. The caller has filled next, failed and
 * free. The record, if there is to be one, is made here: usage is a LIST ID USAGE. When the copy
 * cannot begin the outcome is set, the task finished and the copy freed.
 */
void scsi_copy_start(struct scsi_copy *copy, struct scsi_task *task, uint32_t id, uint8_t usage);

/* Cancels the running operation of that list identifier; false when there is none. */
bool scsi_copy_cancel(struct scsi_task *asking, uint32_t id);

/* The record of an operation; NULL when there is none. */
struct scsi_copy_record *scsi_copy_record_find(const struct scsi_task *asking, uint32_t id);
/* Makes one in place of an older one of that id; NULL with the outcome set. */
struct scsi_copy_record *scsi_copy_record_make(struct scsi_task *task, uint32_t id);
/* Writes down how the command ended; before scsi_task_finish(). */
void scsi_copy_record_end(struct scsi_copy_record *record, const struct scsi_task *task);
void scsi_copy_record_drop(struct scsi_copy_record *record, struct scsi_core *core);

/* The nexus ends: nobody can ask any more. */
void scsi_copy_nexus_gone(struct scsi_core *core, const struct scsi_nexus *nexus);
void scsi_copies_init(struct scsi_core *core);
/* When the reactor has stopped. */
void scsi_copies_free(struct scsi_core *core);

#endif
