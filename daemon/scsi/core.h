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

#include "yoke/scsi.h"

#define SCSI_PEER_BUCKETS 64
#define SCSI_AGAIN_PAUSE_MS \
	5 /* before a task that came back is shipped under the same view again */
#define SCSI_BUFFER_POLL_MS	5 /* buffers that came back by a way we do not see */
#define SCSI_CLAIM_PAUSE_MS	5 /* between two attempts to claim an extent */
#define SCSI_UNMAP_RANGES_MAX	256u
#define SCSI_UNMAP_LIST_MAX	(8u + 16u * SCSI_UNMAP_RANGES_MAX)
#define SCSI_UNMAP_BYTES_MAX	(512ull << 20) /* of one command: at most 1 Mi blocks of 512 */
#define SCSI_SAME_BYTES_MAX	(256ull << 20) /* of one WRITE SAME or VERIFY */
#define SCSI_COMPARE_BLOCKS_MAX 128u /* of COMPARE AND WRITE */
#define SCSI_PREFETCH_BYTES_MAX (64ull << 20)
#define SCSI_SAME_CHUNK		(1u << 20) /* their pieces */

/* A logical unit: one for each extent. Immutable after scsi_new(). */
struct scsi_lu {
	struct scsi *scsi;
	const struct conf_extent *conf;
	struct extent *extent;
	struct extent_info info;
	uint64_t blocks;
	uint32_t block_size;
	uint8_t block_shift;
	uint16_t index; /* in scsi->lus, which is the extent's in the configuration */
	uint16_t group;
	uint8_t naa[16];
	char naa_text[33];
};

/* A target and its LUNs; immutable. */
struct scsi_target {
	const struct conf_target *conf;
	uint16_t *unit_of_lun; /* [lun]: position in conf->luns plus 1, 0 = no unit */
	unsigned lun_limit; /* entries in unit_of_lun */
};

/* Relaxed counters: written by one reactor, read by the control thread. */
struct scsi_counters {
	_Atomic uint64_t reads;
	_Atomic uint64_t writes;
	_Atomic uint64_t read_bytes;
	_Atomic uint64_t written_bytes;
};

struct scsi_core_lu {
	struct qb_list_head tasks; /* every task of this reactor that names the LU */
	struct qb_list_head guards; /* parts of guards, in the order in which they came */
	struct qb_list_head fenced; /* tasks that wait for a guard to go */
	uint64_t turn; /* of the last of either */
	bool freeing; /* inside range_freed() of guard.c */
	bool tokens; /* a ROD token stands for some of its blocks: writes look at token.h */
	struct scsi_counters count;
};

struct scsi_core_group {
	struct group_view view;
	bool published; /* a view has come */
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
	struct scsi_core_lu *lus;
	struct qb_list_head nexuses; /* of sessions here */
	struct qb_list_head
		peers[SCSI_PEER_BUCKETS]; /* nexuses that stand for the other controller's */
	struct qb_list_head sweeps; /* TMF parts that wait for tasks */
	struct qb_list_head starved; /* tasks that wait for a buffer */
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
};

struct scsi {
	const struct conf *conf;
	uint8_t controller;
	struct mailbox *control;
	const struct group_ship *ship;
	const struct ledger *ledger;
	struct scsi_lu *lus;
	unsigned lu_count;
	struct scsi_tokens *tokens; /* ROD tokens */
	uint16_t *uuid_map; /* open hash of UUIDs: index of the LU plus 1 */
	unsigned uuid_mask;
	struct scsi_target *targets;
	unsigned target_count;
	struct scsi_group *groups;
	unsigned group_count;
	struct scsi_core *cores;
	unsigned core_count;
	struct qb_list_head rounds; /* under way, control thread; see group.c */
	/* Reactor time until when commands may run here; UINT64_MAX = for ever. See group.c. */
	_Atomic uint64_t lease_ms;
	struct group_serve serve;
	struct ledger_serve ledger_serve;
};

static inline struct scsi_core *scsi_core_of(const struct reactor *r)
{
	return reactor_slot(r, REACTOR_SLOT_SCSI);
}

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
