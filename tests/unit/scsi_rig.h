/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device server's tests stand on: a configuration in memory, two reactors that run when
 * the test says so, extents of RAM whose I/O the test can hold back or fail, and an interconnect
 * that only writes down what it is given.
 */
#ifndef TEST_SCSI_RIG_H
#define TEST_SCSI_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/scsi/core.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/cursor.h"
#include "yoke/scsi.h"
#include "yoke/util.h"

#define RIG_REACTORS 2
#define RIG_EXTENTS \
	3 /* 0: group 0, thin; 1: group 0, 4096-byte blocks, volatile; 2: group 1, read-only */
#define RIG_BYTES  (1u << 20)
#define RIG_TARGET "iqn.2026-01.org.example:array1"

struct rig_ship {
	unsigned tasks; /* shipped so far */
	unsigned aborts; /* aborts asked for */
	unsigned tmfs;
	struct scsi_task *last;
	uint64_t last_epoch;
	uint8_t last_lu[16];
	struct scsi_task *aborted;
	bool tmf_waits; /* keep done() back */
	void (*tmf_done)(void *arg);
	void *tmf_arg;
};

/*
 * A ledger of one or two controllers: an entry is done when both have applied it. The test can keep
 * entries back, from the second controller alone too, or have them refused.
 */
struct rig_ledger {
	struct ledger ops;
	struct rig *members[2];
	unsigned member_count;
	enum ledger_outcome outcome; /* what becomes of entries */
	bool wait; /* keep them until rig_ledger_run() */
	bool lags; /* the second controller gets them only with rig_ledger_catch_up() */
	unsigned submitted;
	uint64_t index;
	uint64_t last_epoch;
	struct qb_list_head kept;
	struct qb_list_head ordered; /* not done yet */
	struct qb_list_head behind; /* what the second controller lacks */
};

/* Moves that hosts have asked for. */
struct rig_move {
	unsigned asked;
	uint16_t group;
	uint8_t to;
	void (*done)(void *arg, enum scsi_move_result result);
	void *arg;
};

/* A task with what its done() saw. */
struct rig_task {
	struct scsi_task task;
	unsigned dones;
	uint8_t status;
	bool aborted;
	bool again;
	uint8_t sense[SCSI_SENSE_MAX];
	uint8_t sense_length;
	uint32_t in_length;
	uint8_t in[8192];
};

struct rig {
	uint8_t controller;
	struct conf conf;
	struct mailbox control;
	struct reactor *reactors[RIG_REACTORS];
	struct scsi *scsi;
	const struct group_serve *serve;
	struct rig_ship ship;
	struct group_ship ship_ops;
	struct rig_ledger ledger;
	struct rig_move move;
	struct scsi_nexus *nexus[RIG_REACTORS]; /* host1 on each reactor's port, UAs consumed */
	struct conf_controller controllers[2];
	struct conf_address portals[3];
	struct conf_group groups[2];
	struct conf_extent extents[RIG_EXTENTS];
	struct conf_target targets[1];
	struct conf_lun luns[RIG_EXTENTS + 1];
};

/* Extents: how the next I/Os behave. */
struct rig_store {
	bool wait; /* keep I/Os until rig_store_run() */
	int error; /* answer this to every I/O */
	unsigned bad_byte; /* of each write, comes out wrong; 0 = none */
	int claim_error; /* extent_claim() */
	unsigned claim_failures; /* as many times, then it works */
	int check_error;
	bool in_memory; /* extent_peek() shows it */
	int peek_error; /* and then it cannot be copied */
	unsigned peek_copies;
	unsigned expects; /* extent_expect() so often, last with */
	unsigned expect_extent;
	uint64_t expect_offset, expect_length;
	unsigned reads, writes, flushes, unmaps, zeroes, fuas, asks;
	uint64_t used_bytes, free_bytes, total_bytes; /* EXTENT_SPACE */
	unsigned locks, claims, releases, opens, closes;
	uint64_t claim_epoch;
	uint8_t data[RIG_EXTENTS + 1][RIG_BYTES]; /* and one that is not configured at first */
};
extern struct rig_store rig_store;
/* Completes the I/Os that were kept back; how many. */
unsigned rig_store_run(void);

/* `controller` is this daemon's id. Views are not published yet: rig_serve() does. */
struct rig *rig_new(uint8_t controller, uint64_t buffer_bytes);
/* Makes the device server anew, after the test has changed rig->conf; nothing is served yet. */
void rig_restart(struct rig *rig);
/* Closes the nexuses of rig_serve() too; every buffer must have come back. */
void rig_free(struct rig *rig);
/* Runs reactors and control thread until nothing moves (bounded). */
void rig_run(struct rig *rig);

/* Entries of `other` go into the ledger of `rig`, which both apply then. Free `other` first. */
void rig_ledger_join(struct rig *rig, struct rig *other);
/* Orders the entries that were kept back; how many. */
unsigned rig_ledger_run(struct rig *rig);
/* The second controller gets what it has not got yet; how many entries. */
unsigned rig_ledger_catch_up(struct rig *rig);

/* Publishes a view of a group to all and runs the rig. */
void rig_publish(struct rig *rig, uint16_t group, enum group_access access, uint8_t owner,
	uint64_t epoch, uint32_t table);
/* Both groups served here (LOCAL) under epoch 1, table 1; nexuses made, their first UA consumed. */
void rig_serve(struct rig *rig);

struct scsi_identity rig_identity(const char *host, uint16_t rtpi);
struct scsi_nexus *rig_nexus(struct rig *rig, unsigned reactor, const char *host, uint16_t rtpi);
/* Sends TEST UNIT READY to every LUN of the nexus until no UA is left. */
void rig_calm(struct rig *rig, struct scsi_nexus *nexus);

/* Sets a task up: CDB of 16 bytes at most, no data-out. */
void rig_task_set(struct rig_task *t, struct scsi_nexus *nexus, unsigned lun, const uint8_t *cdb,
	unsigned length);
/* Starts and runs; `out` of `out_length` bytes goes with it. What start said. */
enum scsi_start rig_task_go(struct rig_task *t, const void *out, uint32_t out_length);
/* All at once, and the rig is run: the status. CHECK CONDITION answers its key << 16 | asc << 8 |
 * ascq. */
uint32_t rig_do(struct rig *rig, struct rig_task *t, struct scsi_nexus *nexus, unsigned lun,
	const uint8_t *cdb, unsigned length, const void *out, uint32_t out_length);
/* key << 16 | asc << 8 | ascq of a task that ended with CHECK CONDITION, else its status. */
uint32_t rig_outcome(const struct rig_task *t);
/* A CDB of nothing but an opcode and its service action, wherever that stands. */
#define RIG_CDB_BYTES SCSI_ROW_CDB_MAX
void rig_cdb_make(uint8_t cdb[RIG_CDB_BYTES], unsigned opcode, unsigned action);
#define RIG_CDB(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* "00 12 ab" against bytes, with a readable complaint. */
void rig_assert_hex(const uint8_t *got, size_t length, const char *expected);

#endif
