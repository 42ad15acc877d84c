/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device server's objects. struct scsi belongs to the control thread and is read-only on the
 * I/O path; every reactor has a struct scsi_core of its own that no other thread touches, except
 * for the counters, which the control thread may read.
 *
 * The path of a command: scsi_task_start() (task.c) finds LU and row, the row's decode() checks the
 * CDB; scsi_task_run() asks the gate (gate.c), which runs it (row->run()), holds it (hold.c) or
 * ships it; scsi_task_finish() ends it.
 */
#ifndef YOKE_SCSI_CORE_H
#define YOKE_SCSI_CORE_H

#include <stddef.h>

#include "yoke/scsi.h"
#include "yoke/util.h"

#define SCSI_PEER_BUCKETS 64
#define SCSI_AGAIN_PAUSE_MS \
	5 /* before a task that came back is shipped under the same view again */
#define SCSI_BUFFER_POLL_MS	5 /* buffers that came back by a way we do not see */
#define SCSI_CLAIM_PAUSE_MS	5 /* between two attempts to claim an extent; the first of them */
#define SCSI_CLAIM_QUICK	5 /* ... have 1 ms */
#define SCSI_HANGS_MS		5000 /* a store that completes nothing for so long hangs */
#define SCSI_LOOKS		256u /* LUs of a group whose health is looked at in one call */
#define SCSI_CLAIM_ADDED_MS	10000 /* for an extent that was added */
#define SCSI_UNMAP_RANGES_MAX	256u
#define SCSI_UNMAP_LIST_MAX	(8u + 16u * SCSI_UNMAP_RANGES_MAX)
#define SCSI_UNMAP_BYTES_MAX	(512ull << 20) /* of one command: at most 1 Mi blocks of 512 */
#define SCSI_SAME_BYTES_MAX	(16ull << 20) /* of one WRITE SAME or VERIFY */
#define SCSI_COMPARE_BLOCKS_MAX 128u /* of COMPARE AND WRITE */
#define SCSI_PREFETCH_BYTES_MAX (64ull << 20)
#define SCSI_BUFFER_BYTES	4096u /* of READ BUFFER and WRITE BUFFER */
#define SCSI_THRESHOLD_EXPONENT 11 /* a threshold set has at least 2048 blocks */
#define SCSI_SAME_CHUNK		(1u << 20) /* their pieces */

/* Control thread: does an LU's store get on with its work? */
struct scsi_progress {
	uint64_t left;
	uint64_t since_ms;
	bool hangs;
};

/* Counters of log pages, by page and parameter; see log_page.h. */
enum scsi_log_counter {
	SCSI_LOG_BYTES_WRITTEN,
	SCSI_LOG_WRITE_ERRORS,
	SCSI_LOG_BYTES_READ,
	SCSI_LOG_READ_ERRORS,
	SCSI_LOG_COUNTERS,
};

/* Thresholds of logical block provisioning, in the order of mode page 1Ch/02h. */
enum scsi_threshold {
	SCSI_THRESHOLD_AVAILABLE, /* threshold sets that are left */
	SCSI_THRESHOLD_USED, /* threshold sets that are used */
	SCSI_THRESHOLD_PERCENT, /* percent that are left */
	SCSI_THRESHOLDS,
};

/* Control thread: what the store said last (watch.h); EXTENT_UNKNOWN where it does not tell. */
struct scsi_space {
	uint64_t used_bytes, free_bytes, total_bytes;
	bool asked; /* a question is under way */
};

/*
 * A logical unit: one for each extent, in a slot of scsi->lus that it keeps while it lives. All but
 * `blocks` is immutable from the message on that tells the reactors about it until every one of
 * them has let go (see change.c).
 */
struct scsi_lu {
	/* What every command looks at stands first, in one line of the processor's cache. */
	struct extent *extent;
	struct conf_extent *conf; /* its own copy; NULL: the slot is free */
	_Atomic uint64_t blocks; /* grows when the extent has grown */
	uint32_t block_size;
	uint16_t index; /* in scsi->lus */
	uint16_t group;
	uint8_t block_shift;
	atomic_bool gone; /* removed by the administrator: nothing runs on it any more */

	struct extent_info info;
	struct scsi *scsi;
	/* By enum scsi_threshold, 0 = none; a change of the configuration may change them. */
	_Atomic uint32_t thresholds[SCSI_THRESHOLDS];
	_Atomic uint64_t log_base[SCSI_LOG_COUNTERS]; /* what they had counted when they were set */
	unsigned pins; /* flushes and questions that are under way; control thread */
	bool close_wanted; /* with the last of them */
	uint8_t naa[16];
	uint8_t naa_length; /* 8 or 16 */
	char naa_text[33];
	struct scsi_progress progress; /* control thread */
	struct scsi_space space;
	bool sick; /* when it was last looked at; control thread */
} YOKE_LINE_ALIGNED;

struct scsi_unit {
	uint16_t lun;
	uint16_t lu; /* index in scsi->lus */
};

/* A target and its LUNs; immutable. */
struct scsi_target {
	char *name;
	struct scsi_unit *units; /* sorted by lun */
	unsigned unit_count;
	uint16_t *unit_of_lun; /* [lun]: position in units plus 1, 0 = no unit */
	unsigned lun_limit; /* entries in unit_of_lun */
};

/*
 * What commands look LUs up by; immutable. A change makes a new one; the old one lives until every
 * reactor has passed a message that was posted after the change. See map.c.
 */
struct scsi_map {
	uint16_t *uuids; /* open hash of UUIDs: index of the LU plus 1 */
	unsigned uuid_mask;
	struct scsi_target *targets;
	unsigned target_count;
	uint16_t *order; /* indexes of the LUs in the order of the configuration */
	unsigned lu_count;
};

/* Relaxed counters: written by one reactor, read by the control thread. */
struct scsi_counters {
	_Atomic uint64_t reads;
	_Atomic uint64_t writes;
	_Atomic uint64_t read_bytes;
	_Atomic uint64_t written_bytes;
	_Atomic uint64_t read_errors; /* commands that the medium failed */
	_Atomic uint64_t write_errors;
};

struct scsi_snapshot; /* snapshot.h */

/* Sums of them over all reactors; approximate, as each is read at another moment. */
struct scsi_totals {
	uint64_t reads, writes;
	uint64_t read_bytes, written_bytes;
	uint64_t read_errors, write_errors;
};
/* Since the daemon started. Any thread. */
void scsi_totals_get(const struct scsi_lu *lu, struct scsi_totals *totals);

struct scsi_core_lu {
	/* What every command looks at, or a READ at least, stands in the first two lines. */
	struct qb_list_head tasks; /* every task of this reactor that names the LU */
	struct qb_list_head guards; /* parts of guards, in the order in which they came */
	const struct scsi_snapshot *snapshot; /* NULL: as if no entry had touched it */
	struct scsi_round_part *leaving; /* the LU is gone: waits for its last task */
	/* Tasks that went into the store and came out again. */
	_Atomic uint64_t entered, left;
	struct scsi_counters count;
	bool tokens; /* a ROD token stands for some of its blocks: writes look at token.h */
	bool freeing; /* inside range_freed() of guard.c */
	uint64_t turn; /* of the last part of a guard, or task that waits for one */

	struct qb_list_head fenced; /* tasks that wait for a guard to go */
	struct qb_list_head itls; /* every I_T_L nexus of this reactor with it */
} YOKE_LINE_ALIGNED;
#define SCSI_CORE_LU_HOT offsetof(struct scsi_core_lu, fenced)

struct scsi_core_group {
	struct group_view view;
	bool published; /* a view has come */
	uint32_t views; /* so many have come */
	uint64_t changed; /* core->changes when the ALUA table last changed */
	struct qb_list_head held; /* tasks, in the order in which they came */
	uint32_t in_store; /* tasks admitted here and not ended */
	uint64_t lost_epoch; /* the disk refuses this controller's writes under it; 0 = none */
	struct qb_list_head drains; /* struct scsi_drain_part */
};

/* What one reactor knows. */
struct scsi_core {
	struct scsi *scsi;
	struct reactor *reactor;
	struct scsi_core_group *groups;
	struct scsi_core_lu *lus; /* by index; room for all there may ever be */
	struct qb_list_head nexuses; /* of sessions here */
	struct qb_list_head sanitizing; /* tasks that wait for a sanitize operation to end */
	struct qb_list_head intents; /* atomic writes of tasks here */
	unsigned reserved; /* LUs with an SPC-2 reservation */
	struct qb_list_head
		peers[SCSI_PEER_BUCKETS]; /* nexuses that stand for the other controller's */
	struct qb_list_head sweeps; /* TMF parts that wait for tasks */
	struct qb_list_head starved; /* tasks that wait for a buffer */
	struct qb_list_head placed; /* READs whose data is in the store until it is sent: place.h */
	unsigned place_rest; /* so many READs from now on are copied at once */
	struct reactor_defer feed;
	struct reactor_timer feed_timer;
	struct reactor_timer hold_timer;
	uint64_t serial; /* of the last command that came in here; from a random start */
	uint64_t changes; /* grows with each change of any group's ALUA table */
	struct qb_list_head copies; /* struct scsi_copy, under way */
	struct qb_list_head copy_records; /* struct scsi_copy_record */
	unsigned copy_count, copy_record_count;
	uint64_t copy_tag; /* of the last command of the copy manager */
};

/* Control thread's part of a group. */
struct scsi_group {
	uint16_t *lus; /* indexes */
	unsigned lu_count;
	unsigned sick; /* LUs that were when they were last looked at */
	unsigned next_look; /* in lus */
	uint64_t epoch; /* of the last view that was published */
	bool claimed; /* the right to write is here, or being taken */
	uint64_t claim_epoch;
	bool local; /* by the last view this controller is the owner */
	bool awaits_peer; /* a reservation ends when the lost controller has been fenced */
	struct qb_list_head moves; /* requests of hosts (stpg.c) that wait for the move to */
	uint8_t moving_to; /* this controller; 0 = none is under way */
};

struct scsi {
	const struct conf *_Atomic conf; /* the running one; see change.c for how long it lives */
	uint8_t controller;
	struct mailbox *control;
	const struct group_ship *ship;
	const struct ledger *ledger;
	void (*move)(void *arg, uint16_t group, uint8_t controller,
		void (*done)(void *done_arg, enum scsi_move_result result), void *done_arg);
	void *move_arg;
	struct scsi_lu *lus; /* CONF_EXTENTS_MAX slots; those without `extent` are free */
	unsigned next_slot; /* where a free one is looked for: slots are used again late */
	struct scsi_map *_Atomic map;
	struct scsi_change *change; /* being put in place */
	struct scsi_tokens *tokens; /* ROD tokens */
	struct scsi_watch *watch; /* watch.h */
	struct scsi_group *groups;
	unsigned group_count;
	uint16_t *group_lus; /* what groups[].lus point into */
	struct scsi_core *cores;
	unsigned core_count;
	struct qb_list_head rounds; /* under way, control thread; see round.h */
	struct scsi_book **books; /* by LU, made when first touched; control thread; ledger.c */
	struct qb_list_head touched; /* all of them */
	struct qb_list_head publications; /* under way, control thread; see ledger.c */
	struct qb_list_head unreserves; /* likewise */
	struct qb_list_head probes; /* under way, control thread; see probe.c */
	uint64_t snapshots; /* made so far: their versions; control thread */
	atomic_bool had_nexus; /* a session has been here since the daemon started */
	bool ledger_failing; /* the last entry could not be made durable; control thread */
	struct qb_list_head wipes; /* under way, control thread; see wipe.c */
	struct qb_list_head intents; /* atomic writes under way or waiting; likewise, intent.c */
	/* Reactor time until when commands may run here; UINT64_MAX = for ever. See group.c. */
	_Atomic uint64_t lease_ms;
	struct group_serve serve;
	struct ledger_serve ledger_serve;
};

static inline struct scsi_core *scsi_core_of(const struct reactor *r)
{
	return reactor_slot(r, REACTOR_SLOT_SCSI);
}

/* How many commands have gone into an LU's store and come out; any thread. */
void scsi_store_count(const struct scsi_lu *lu, uint64_t *entered, uint64_t *left);

/* Removed by the administrator? */
static inline bool scsi_lu_is_gone(const struct scsi_lu *lu)
{
	return atomic_load_explicit(&lu->gone, memory_order_relaxed);
}

/* The last task of a removed LU may have left this reactor. */
void scsi_lu_leave_check(struct scsi_core *core, const struct scsi_lu *lu);

/* Makes the reactor's part of a new LU. */
void scsi_core_lu_init(struct scsi_core *core, uint16_t index);

/* May the owner run and acknowledge commands? One relaxed load for each. */
static inline bool scsi_lease_holds(const struct scsi_core *core)
{
	return reactor_now_ms(core->reactor) <
	       atomic_load_explicit(&core->scsi->lease_ms, memory_order_relaxed);
}

/* One writer: no locked instruction is needed. */
static inline void scsi_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

#endif
