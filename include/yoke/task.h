/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A SCSI task as every layer sees it: the transport (iscsi) makes and frees it, the device server
 * (scsi) runs it, the interconnect (ha) carries it to the owner and makes one there. A task lives
 * on one reactor from beginning to end; no field needs a lock.
 */
#ifndef YOKE_TASK_H
#define YOKE_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <qb/qblist.h>

#include "yoke/buf.h"
#include "yoke/mailbox.h"
#include "yoke/reactor.h"
#include "yoke/store.h"

#define SCSI_CDB_MAX	 64
#define SCSI_SENSE_MAX	 64
#define SCSI_NAME_MAX	 224 /* iSCSI name and its NUL (RFC 7143 4.2.7.1: at most 223 bytes) */
#define YOKE_CONTROLLERS 2
#define YOKE_GROUPS_MAX	 256

/* SAM-5 5.3.1 */
enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_CONDITION_MET = 0x04,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
	SCSI_TASK_SET_FULL = 0x28,
	SCSI_ACA_ACTIVE = 0x30,
	SCSI_TASK_ABORTED = 0x40,
};

/* SAM-5 8.6 */
enum scsi_attribute {
	SCSI_ATTR_SIMPLE,
	SCSI_ATTR_ORDERED,
	SCSI_ATTR_HEAD,
	SCSI_ATTR_ACA
};

/*
 * Who a command comes from, by identity and never by pointer: what persistent reservations, the
 * interconnect and the log use. The initiator port name is "name,i,0xISID" (SPC-4 7.6.4.6).
 */
struct scsi_identity {
	char initiator[SCSI_NAME_MAX]; /* iSCSI initiator name */
	uint8_t isid[6];
	char target[SCSI_NAME_MAX]; /* iSCSI target name */
	uint16_t rtpi; /* relative target port: controller * 256 + portal, portal from 1 */
	uint8_t controller; /* where it is logged in: target port group, 1 or 2 */
};

struct scsi_nexus; /* an I_T nexus, private to scsi */
struct scsi_itl; /* an I_T_L nexus, private to scsi */
struct scsi_lu; /* private to scsi */
struct scsi_row; /* a row of the opcode table, private to scsi */
struct scsi_guard; /* a range of blocks that a task has for itself, private to scsi */

struct scsi_task {
	/* --- set by whoever makes the task, before scsi_task_start() --- */
	struct scsi_nexus *nexus;
	struct reactor *reactor;
	uint8_t lun[8]; /* as on the wire; unused in a shipped task (lu is set) */
	uint64_t tag; /* unique among the nexus's tasks in flight (iSCSI: ITT) */
	uint8_t cdb[SCSI_CDB_MAX];
	uint8_t cdb_length;
	uint8_t attribute; /* enum scsi_attribute */
	bool shipped_in; /* made by the interconnect at the owner */
	/*
	 * Names the command itself for as long as the array lives: set by its ingress, carried with
	 * it to the owner. With `rerun`, set when it came back from an owner that is lost and may
	 * have run there, what is in the ledger already is not done a second time. 0 = not set.
	 */
	uint64_t serial;
	bool rerun;
	bool adrift; /* it came back because the owner is out of reach, and may run there still */
	uint32_t expected_out_bytes; /* expected data transfer length, write direction */
	uint32_t expected_in_bytes; /* and read direction */
	/*
	 * The maker only gives data-in to the kernel, asks scsi_task_in() for it each time, and
	 * calls scsi_tasks_settle() when not all of it went: then it need not be copied. Or it
	 * takes all of it by scsi_task_in_copy().
	 */
	bool in_place_ok;
	/* Runs once, on the reactor, possibly inside scsi_task_run(). See `aborted`. */
	void (*done)(struct scsi_task *task);

	/* --- set by scsi_task_start() --- */
	struct scsi_lu *lu;
	const struct scsi_row *row;
	uint32_t out_bytes; /* data-out that the CDB asks for; 0 = none */
	uint32_t in_bytes; /* most data-in that the CDB can bring; 0 = none */

	/* --- data: one buffer, either direction; owned by the task until scsi_task_end() --- */
	struct buf *buf; /* data-out: got and filled by the maker; data-in: by scsi */
	uint32_t out_length; /* bytes of data-out in buf, at most out_bytes */
	uint32_t in_length; /* bytes of data-in in buf that the device server presents */
	const uint8_t
		*in_place; /* data-in that lies in the store and not in buf yet; NULL = in buf */
	uint32_t
		in_copied; /* with in_place: so many bytes, from the start on, are in buf already */
	bool in_lost; /* it was there, is not any more, and may have been sent in part: the nexus's
			 connection has to go */

	/* --- outcome, valid in done() --- */
	uint8_t status; /* enum scsi_status */
	uint8_t sense_length; /* 0 or the bytes in sense */
	bool aborted; /* ended by a TMF or nexus loss: no response goes out */
	bool again; /* shipped in, and this controller turned out not to be the owner: answer
		       SHIP_AGAIN */
	uint8_t sense[SCSI_SENSE_MAX];

	/* --- private to scsi --- */
	struct qb_list_head nexus_link; /* nexus's tasks, from start to done */
	struct qb_list_head wait_link; /* held, blocked by order, waiting for a buffer, or doomed */
	struct qb_list_head lu_link; /* the LU's tasks on this reactor */
	struct qb_list_head place_link; /* the core's tasks with `in_place` */
	struct scsi_itl *itl; /* I_T_L nexus; NULL without a unit and for a shipped task */
	bool settled; /* SANITIZE that has ended: asks whether every controller knows */
	struct extent_io io;
	struct iovec iov;
	struct buf *work; /* second buffer of commands that need one */
	uint64_t lba;
	uint64_t blocks; /* from lba on: what it touches, and no block outside */
	struct scsi_guard *guard; /* has it, or waits for it */
	uint64_t turn; /* fenced, or was until now: its place in the queue of its LU; else 0 */
	uint64_t epoch; /* epoch it was admitted under */
	uint64_t since_ms; /* reactor time it was first held; 0 = never */
	uint32_t adrift_views; /* of its group that had come when it came back adrift */
	uint32_t buf_bytes; /* data-in buffer to get before it runs; 0 = none */
	uint32_t step; /* of a command that takes several I/Os */
	bool submitting; /* of such a one: inside the call that begins an I/O */
	uint8_t state; /* enum scsi_task_state */
	bool in_store; /* counted in its group: a drain waits for it */
	bool in_order; /* counted in its I_T_L nexus: ORDERED tasks wait for it */
	bool abort_wanted;
	bool tell_abort; /* its end is told with TASK ABORTED */
	bool in_ledger; /* waits for its entry, and for nothing else */
	uint8_t ledger_outcome; /* enum ledger_outcome */
	uint32_t ledger_bytes; /* of the entry, in `work` */
	uint32_t ledger_result; /* enum scsi_result */
	struct mailbox_msg msg; /* to the control thread and back */
	bool unsure; /* held with an I/O that is done, until it may be acknowledged */
	int unsure_res; /* what that I/O came to, or one that was over inside its own call */

	/* --- private to the interconnect at the ingress --- */
	struct qb_list_head ship_link;
	uint64_t ship_tag;
	void *ship_conn;
};

/* Where data-in is now. Asked again each time: scsi_tasks_settle() moves it. */
static inline const uint8_t *scsi_task_in(const struct scsi_task *task)
{
	return task->in_place ? task->in_place : task->buf->data;
}

/* RFC 7143 11.5.1, RFC 7144 6 */
enum scsi_tmf_function {
	SCSI_TMF_ABORT_TASK = 1,
	SCSI_TMF_ABORT_TASK_SET = 2,
	SCSI_TMF_CLEAR_ACA = 3,
	SCSI_TMF_CLEAR_TASK_SET = 4,
	SCSI_TMF_LU_RESET = 5,
	SCSI_TMF_TARGET_WARM_RESET = 6,
	SCSI_TMF_TARGET_COLD_RESET = 7,
	SCSI_TMF_TASK_REASSIGN = 8,
	SCSI_TMF_QUERY_TASK = 9,
	SCSI_TMF_QUERY_TASK_SET = 10,
	SCSI_TMF_I_T_NEXUS_RESET = 11,
	SCSI_TMF_QUERY_ASYNC_EVENT = 12,
};
const char *scsi_tmf_function_name(enum scsi_tmf_function function);

/* RFC 7143 11.6.1 */
enum scsi_tmf_response {
	SCSI_TMF_COMPLETE = 0,
	SCSI_TMF_NO_TASK = 1,
	SCSI_TMF_NO_LUN = 2,
	SCSI_TMF_STILL_ALLEGIANT = 3,
	SCSI_TMF_NO_REASSIGN = 4,
	SCSI_TMF_NOT_SUPPORTED = 5,
	SCSI_TMF_NOT_AUTHORIZED = 6,
	SCSI_TMF_SUCCEEDED = 7,
	SCSI_TMF_REJECTED = 255,
};

struct scsi_tmf {
	/* set by the maker */
	struct scsi_nexus *nexus;
	struct reactor *reactor;
	uint8_t function; /* enum scsi_tmf_function */
	uint8_t lun[8];
	uint64_t ref_tag; /* ABORT TASK, QUERY TASK: tag of the task */
	void (*done)(
		struct scsi_tmf *tmf); /* once, on the reactor: every affected task has ended */
	/* outcome */
	uint8_t response; /* enum scsi_tmf_response */
	uint8_t info[3]; /* additional response information, SAM-5 7.2; RFC 7144 */
	/* private to scsi */
	struct qb_list_head link;
	struct scsi_lu *lu;
	uint32_t pending;
	bool ended; /* the target's sessions, by a cold reset */
	struct mailbox_msg msg;
};

#endif
