/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A word to every reactor and back: made by the control thread, one message for each reactor, and
 * one to the control thread from the reactor that is the last to be done with it. Messages of
 * several rounds arrive at each reactor in the order in which the rounds were started.
 */
#ifndef YOKE_SCSI_ROUND_H
#define YOKE_SCSI_ROUND_H

#include "daemon/scsi/tasks.h"

struct scsi_round;

struct scsi_round_part {
	struct mailbox_msg msg;
	struct scsi_round *round;
	struct scsi_core *core;
	struct qb_list_head link; /* core_group->drains */
	struct scsi_sweep sweep; /* of a publication */
};

struct scsi_round {
	struct qb_list_head link; /* scsi->rounds */
	struct scsi *scsi;
	struct group_view view; /* a view */
	uint16_t group; /* a drain */
	bool drain;
	bool spoilt; /* control thread: its answers count for nothing, it is asked again */
	void *what; /* anything else, by fn */
	void (*done)(void *arg);
	void *arg;
	atomic_uint left;
	struct mailbox_msg msg;
	struct scsi_round_part parts[];
};

/*
 * fn(part->msg) will run on each reactor and end in scsi_round_part_done(), there and then or
 * later; done(arg) on the control thread when all have. Without memory the daemon ends.
 */
struct scsi_round *scsi_round_new(
	struct scsi *scsi, void (*fn)(struct mailbox_msg *msg), void (*done)(void *arg), void *arg);
void scsi_round_start(struct scsi_round *round);
/* On the part's reactor; the part may be gone afterwards. */
void scsi_round_part_done(struct scsi_round_part *part);

/* Forgets rounds that will never end. After the reactors have stopped. */
void scsi_rounds_free(struct scsi *scsi);

#endif
