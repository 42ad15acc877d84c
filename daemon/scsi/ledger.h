/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that change what an LU remembers, on their way through the ledger: from the reactor of
 * the task to the control thread, into the order, applied there (by every controller), published to
 * the reactors, and back.
 */
#ifndef YOKE_SCSI_LEDGER_H
#define YOKE_SCSI_LEDGER_H

#include "daemon/scsi/tasks.h"

/* The states of all LUs and the functions behind struct ledger_serve. 0 or -ENOMEM. */
int scsi_ledger_init(struct scsi *scsi);
/* After the reactors have stopped. */
void scsi_ledger_end(struct scsi *scsi);

/*
 * The task's entry: room for `bytes` in task->work, to be written by the cursor; a cursor of size 0
 * when there is no memory (then the task has got its outcome). On the task's reactor.
 */
struct cursor scsi_ledger_begin(struct scsi_task *task, size_t bytes);
/* Sends what the cursor wrote; the task ends with the result. It is not looked at again here. */
void scsi_ledger_send(struct scsi_task *task, const struct cursor *entry);
/*
 * Both, for an entry that is complete and takes `most_bytes` at most; without memory the task ends
 * BUSY. On the task's reactor.
 */
void scsi_ledger_record(struct scsi_task *task, const struct scsi_entry *entry, size_t most_bytes);
/* What an entry of the task has in common with every other. */
struct scsi_entry scsi_ledger_entry(const struct scsi_task *task, uint8_t kind);

/* An entry for the LU under that epoch, as struct ledger's submit(). Control thread. */
void scsi_ledger_submit(const struct scsi_lu *lu, uint64_t epoch, const uint8_t *bytes,
	size_t length, void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result),
	void *arg);
/* Is a state of the LU still on its way to a reactor? Control thread. */
bool scsi_ledger_is_publishing(const struct scsi *scsi, const struct scsi_lu *lu);

/*
 * A reset of the LU by `who`, or the end of the nexus `who`: an SPC-2 reservation goes, and with a
 * reset unsaved mode parameters. done(arg) on core's reactor, never inside the call; done may be
 * NULL. False when out of memory. Any reactor.
 */
bool scsi_unreserve(struct scsi_core *core, const struct scsi_lu *lu,
	const struct scsi_identity *who, bool reset, void (*done)(void *arg), void *arg);
/* A nexus of ours ends: what it has reserved. On its reactor. */
void scsi_nexus_unreserve(struct scsi_nexus *nexus);

/*
 * The owner's word on which thresholds of the LU are reached: its state, and a unit attention for
 * every nexus when there is a new one. done() once, possibly inside the call. Control thread.
 */
void scsi_ledger_thresholds(const struct scsi_lu *lu, uint8_t reached,
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg);

/* A view has been published: what waited for one is tried again; nexuses of a lost controller
 * lose their SPC-2 reservations. Control thread. */
void scsi_ledger_view(struct scsi *scsi, const struct group_view *view);

/* The LU leaves the configuration, and no reactor knows it any more. Control thread. */
void scsi_ledger_forget(struct scsi_lu *lu);

/* The state of an LU. Control thread. */
const struct scsi_state *scsi_ledger_state(const struct scsi *scsi, unsigned lu);

#endif
