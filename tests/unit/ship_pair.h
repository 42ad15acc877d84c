/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two interconnects in one process, each with two reactors that the test drives, and a device
 * server made of a RAM disk on either side. Nothing sleeps: pair_drive() runs passes until a
 * condition holds or too many have gone by.
 */
#ifndef YOKE_TESTS_SHIP_PAIR_H
#define YOKE_TESTS_SHIP_PAIR_H

#include "ha/ship_private.h"

#define PAIR_REACTORS	2
#define PAIR_DISK_BYTES (32u << 20)
#define PAIR_PROXIES	8
#define PAIR_SERIAL	0x100000000 /* a task's serial less its tag */

/* A task as the ingress's device server would own it. */
struct pair_task {
	struct scsi_task task;
	struct scsi_identity who;
	unsigned back; /* how often task_shipped() ran */
	unsigned again; /* how often with SHIP_AGAIN: it was shipped anew if `resend` */
	enum ship_outcome outcome;
	bool resend;
	uint64_t epoch;
	struct pair_side *side;
};

/* How the fake device server treats what comes in. */
enum pair_mode {
	PAIR_RUN, /* at once */
	PAIR_HOLD, /* until pair_release(); an abort ends it at once */
	PAIR_STORE, /* as if in the store: an abort waits for pair_release() */
};

struct pair_side {
	struct pair *pair;
	uint8_t id;
	struct conf conf;
	struct conf_controller controllers[2];
	char key_path[128];
	struct mailbox control;
	struct reactor *reactors[PAIR_REACTORS];
	struct ship *ship;
	struct group_serve serve;
	uint8_t *disk;
	enum pair_mode mode;
	uint64_t epoch; /* below it: SHIP_AGAIN */
	bool answer_again; /* held tasks end with `again` */
	struct qb_list_head held;
	struct qb_list_head nexus_list;
	unsigned held_count;
	unsigned runs, reruns, aborts, nexuses, double_runs;
	uint8_t done[1 << 18]; /* how often the write of this tag was done */
	unsigned done_twice;
	bool recording; /* tasks that are aborted wait for the ledger */
	unsigned tmfs;
	bool tmf_hold;
	void (*tmf_done)(void *arg);
	void *tmf_arg;
	struct ship_tmf tmf;
	bool link;
	unsigned link_changes;
};

/* A relay in front of a listener that cuts the connection after so many bytes. */
struct pair_proxy {
	int listener;
	uint16_t to_port;
	int fds[PAIR_PROXIES][2];
	unsigned count;
	uint64_t cut_after; /* bytes of either direction, 0 = never; once */
	uint64_t passed;
	unsigned cuts;
};

struct pair {
	struct pair_side side[2];
	char dir[64];
	bool proxied; /* side 0 dials side 1 through the proxy */
	struct pair_proxy proxy;
};

/* Key files, configurations, reactors and interconnects; listening, not connected. */
struct pair *pair_new(bool proxied);
/* The same with room for a change of configurations or key files before the interconnects exist. */
struct pair *pair_prepare(bool proxied);
void pair_create(struct pair *pair);
void pair_free(struct pair *pair);

/* Both know each other: up. */
void pair_meet(struct pair *pair);
bool pair_linked(void *arg); /* condition: both links up */

/* Passes until the condition holds; false when it does not in time. */
bool pair_drive(struct pair *pair, bool (*condition)(void *arg), void *arg);
/* So many passes whatever happens. */
void pair_pass(struct pair *pair, unsigned passes);
/* Passes for about so long, for what must NOT happen. */
void pair_linger(struct pair *pair, unsigned ms);

/* A read or write of the fake disk, as a task of reactor `reactor` of `side`. */
struct pair_task *pair_task_new(struct pair_side *side, unsigned reactor, bool write,
	uint32_t offset, uint32_t bytes, uint64_t tag);
void pair_task_free(struct pair_task *t);
void pair_task_ship(struct pair_task *t);
bool pair_task_is_back(void *arg); /* condition */
/* Fills or checks the pattern that belongs to a tag. */
void pair_pattern(uint8_t *to, uint32_t bytes, uint64_t tag);
bool pair_pattern_is(const uint8_t *from, uint32_t bytes, uint64_t tag);

/* Ends what the fake device server holds. */
void pair_release(struct pair_side *side);

/* Every buffer of every reactor is back. */
void pair_check_buffers(struct pair *pair);

#endif
