/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device server: LUs, I_T nexuses, the opcode table, the gate, ALUA. See task.h for a task's
 * fields and group.h for how the cluster layer drives it.
 */
#ifndef YOKE_SCSI_H
#define YOKE_SCSI_H

#include "yoke/conf.h"
#include "yoke/group.h"
#include "yoke/ledger.h"
#include "yoke/mailbox.h"
#include "yoke/task.h"

struct scsi;

/* What became of a move that a host has asked for. */
enum scsi_move_result {
	SCSI_MOVED,
	SCSI_MOVE_BUSY, /* not now: may be tried again */
	SCSI_MOVE_FAILED,
};

struct scsi_setup {
	const struct conf *conf; /* outlives the device server or the next change */
	uint8_t controller; /* which one this daemon is: 1 or 2 */
	struct mailbox *control; /* the control thread's */
	struct reactor **reactors; /* not started yet */
	unsigned reactor_count;
	const struct group_ship *ship; /* NULL without a cluster */
	const struct ledger *ledger; /* outlives the device server */
	/*
	 * Makes a controller the owner of a group, as the administrator does; done() once, later or
	 * inside the call. Control thread. NULL: hosts cannot ask for it.
	 */
	void (*move)(void *arg, uint16_t group, uint8_t controller,
		void (*done)(void *done_arg, enum scsi_move_result result), void *done_arg);
	void *move_arg;
};

/*
 * Opens every extent of the configuration and makes the LUs; all groups start GROUP_HELD. NULL
 * with a message in error. Control thread, before the reactors start.
 */
struct scsi *scsi_new(const struct scsi_setup *setup, char *error, size_t error_size);
/* After the reactors have stopped. */
void scsi_free(struct scsi *scsi);

/* What ha, or main without a cluster, drives the device server by. Valid as long as `scsi`. */
const struct group_serve *scsi_serve(struct scsi *scsi);
/* What the ledger drives it by. Valid as long as `scsi`. Control thread. */
const struct ledger_serve *scsi_ledger_serve(struct scsi *scsi);

/*
 * A change of the configuration while commands run. Preparing opens the extents that are new and
 * extends the files that grow; nothing that hosts see changes. NULL with a message that names what
 * stands in the way. Keys that may not change while the daemon runs (conf_diff()) are not looked
 * at. Then either it is dropped, or it is put in place: at once for whoever looks something up,
 * done(arg) when no reactor uses the former configuration any more. Commands for LUs that stay go
 * on; those that wait for a removed LU end with "logical unit not supported". `conf` outlives the
 * next change. Control thread; one at a time.
 */
struct scsi_change *scsi_change_new(
	struct scsi *scsi, const struct conf *conf, char *error, size_t error_size);
/*
 * Adds to a prepared change that an LU grows whose size the configuration does not give: its store
 * is made so large (a device has to be already). False with the reason. Control thread.
 */
bool scsi_change_grow(struct scsi_change *change, const char *extent, uint64_t bytes, char *error,
	size_t error_size);
void scsi_change_drop(struct scsi_change *change);
void scsi_change_apply(struct scsi_change *change, void (*done)(void *arg), void *arg);

/*
 * A nexus for a session, on the reactor that owns the session. `who` is copied. NULL when out of
 * memory. The target (who->target) must exist in the configuration.
 */
struct scsi_nexus *scsi_nexus_new(
	struct scsi *scsi, struct reactor *r, const struct scsi_identity *who);
/*
 * end(arg) is called when a TARGET COLD RESET of another nexus ends this one's session. For the one
 * that asked the transport ends it itself, behind the answer. On its reactor.
 */
void scsi_nexus_on_reset(struct scsi_nexus *nexus, void (*end)(void *arg), void *arg);
/*
 * Ends the nexus: tasks still running end with done() and `aborted`, then closed(arg) runs once,
 * possibly inside the call. Reservations stay. On its reactor.
 */
void scsi_nexus_close(struct scsi_nexus *nexus, void (*closed)(void *arg), void *arg);

enum scsi_start {
	SCSI_START_OUT, /* provide task->buf (buf_get of out_bytes) and out_length bytes, then
			   scsi_task_run() */
	SCSI_START_READY, /* no data-out: scsi_task_run() */
	SCSI_START_DONE, /* already has its outcome (refused): send it, then scsi_task_end(); done()
			    does not run */
};

/*
 * A command for that LUN will be started soon, behind others that came with it; the first 16 bytes
 * of its CDB. What it will look at may begin to come into the processor's cache meanwhile. A hint
 * that waits for nothing and changes nothing; no byte is believed. On its reactor.
 */
void scsi_expect(const struct scsi_nexus *nexus, const uint8_t lun[8], const uint8_t cdb[16]);

/*
 * Decodes the CDB, finds LU and row, refuses what can be refused before any data has moved. The
 * transport accepts at most min(out_bytes, expected_out_bytes) bytes of data. On its reactor.
 */
enum scsi_start scsi_task_start(struct scsi_task *task);

/* Runs the task: gate, then here or at the owner. Ends in task->done(). On its reactor. */
void scsi_task_run(struct scsi_task *task);

/* Before scsi_task_run() only: forgets a started task whose data will not come. done() does not
 * run. */
void scsi_task_drop(struct scsi_task *task);

/* After done() or SCSI_START_DONE: gives buffers back. The task itself belongs to its maker. */
void scsi_task_end(struct scsi_task *task);

/*
 * Copies what tasks of this reactor have as data-in in the store (task->in_place) into their
 * buffers; how many there were. On its reactor.
 */
unsigned scsi_tasks_settle(struct reactor *r);

/*
 * Copies the next `bytes` of data-in that still lies in the store (task->in_place) into buf, where
 * nothing changes them any more: from the start on, task->in_copied tells how far it is, and with
 * the last of it in_place ends. `crc`, unless NULL, is continued over the copy (crc32c.h). What
 * cannot be read any more sets in_lost. On its reactor.
 */
void scsi_task_in_copy(struct scsi_task *task, uint32_t bytes, uint32_t *crc);

/* For the transport: an outcome that it finds itself, RFC 7143 11.4.7.2 (before scsi_task_end()).
 */
enum scsi_transport_sense {
	SCSI_SENSE_UNEXPECTED_UNSOLICITED_DATA, /* B/0C/0C */
	SCSI_SENSE_INCORRECT_AMOUNT_OF_DATA, /* B/0C/0D */
	SCSI_SENSE_PROTOCOL_CRC_ERROR, /* B/47/05 */
};
void scsi_task_set_transport_sense(struct scsi_task *task, enum scsi_transport_sense sense);

/*
 * Runs a TMF whose nexus and LUN are known; ends in tmf->done() when every task it names has
 * ended. The transport has already dropped the tasks that it had not run yet. On its reactor.
 */
void scsi_tmf_run(struct scsi_tmf *tmf);

/*
 * The connection of a task of a live nexus is gone (RFC 7143 11.14.5): the nexus is told so once by
 * 6/47/7F of the LU. A task that was run ends with done() and `aborted`, as soon as that is
 * certain, possibly inside the call; one that was started only is the caller's to drop. On its
 * reactor.
 */
void scsi_task_lost(struct scsi_task *task);

/* For `yokectl lu list`: facts and counters of one LU, index 0..; false past the end. Control
 * thread. */
struct scsi_lu_info {
	const struct conf_extent *extent;
	struct extent_info store;
	enum extent_write_key write_key;
	const char *naa; /* 32 hex digits */
	/* Storage, as of some seconds ago; EXTENT_UNKNOWN when the store does not tell. */
	uint64_t used_bytes; /* by this extent */
	uint64_t free_bytes; /* left in the file system below it */
	bool threshold_reached; /* one of the extent's thresholds is */
	uint64_t reads, writes, read_bytes, written_bytes; /* approximate sums over reactors */
	uint64_t read_errors, write_errors; /* commands that the medium failed */
	/* What hosts have reserved; valid until the loop goes on. */
	unsigned registrations;
	uint32_t pr_generation;
	bool aptpl; /* registrations outlive the loss of power of all controllers */
	const char *pr_type; /* of the persistent reservation; NULL = none */
	const struct scsi_identity *reserver; /* holds an SPC-2 reservation; NULL = none */
	bool write_protected; /* by a host, with MODE SELECT (SWP) */
	/* A sanitize operation that goes on or has failed. */
	struct {
		const char *method; /* "overwrite", "block erase"; NULL: there is none */
		bool failed; /* and what ends that is another one, or EXIT FAILURE MODE */
		unsigned pass, passes; /* under way, from 1, of how many */
		double percent; /* of all, as it was last said */
	} sanitize;
};

/* How large an LU is, and how large its store is now (0: it does not tell). False when there is no
 * such extent. Control thread. */
bool scsi_lu_measure(
	struct scsi *scsi, const char *extent, uint64_t *lu_bytes, uint64_t *store_bytes);

/*
 * Reads the first block of the LU with that UUID as a command that came in here would: through the
 * gate, held, shipped or run. done(arg, SCSI status or negative errno) on the control thread;
 * -ENOENT: no such LU, or no target. RESERVATION CONFLICT is an answer of the owner like any other.
 * Control thread.
 */
void scsi_probe(
	struct scsi *scsi, const uint8_t lu[16], void (*done)(void *arg, int result), void *arg);

struct scsi_lu_registrant {
	uint64_t key;
	const struct scsi_identity *who; /* valid until the loop goes on */
	bool holds; /* the persistent reservation, alone or with the others */
};
/* Registration number n of the LU number `index`; false past the last. Control thread. */
bool scsi_lu_registrant(
	struct scsi *scsi, unsigned index, unsigned n, struct scsi_lu_registrant *registrant);
bool scsi_lu_info(struct scsi *scsi, unsigned index, struct scsi_lu_info *info);

#endif
