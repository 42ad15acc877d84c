/* SPDX-License-Identifier: BSD-3-Clause */
/* A multipath device: its paths, how they are brought up and watched. Part of the engine. */
#ifndef YOKE_TEST_DEVICE_H
#define YOKE_TEST_DEVICE_H

#include "tests/io/engine.h"

#define DEVICE_ANSWER_BYTES 1024

enum path_step {
	PATH_DOWN,
	PATH_IDENTIFY,
	PATH_CAPACITY,
	PATH_TABLE,
	PATH_CHECK,
	PATH_IDLE
};
const char *path_step_name(enum path_step step);

struct device;

struct path {
	struct device *device;
	struct session *session;
	unsigned index;
	enum path_step step; /* PATH_IDLE: up and nothing of ours in flight */
	bool busy; /* a command of ours is in flight */
	bool seen_up; /* this session's life: identified */
	uint64_t check_due_ns;
	uint64_t again_ns; /* a step to be repeated */
	uint64_t uas; /* 2A/06 in this interval */
	bool whole_interval; /* up since the interval began */
	uint8_t answer[DEVICE_ANSWER_BYTES];
};

enum slot_state {
	SLOT_IDLE,
	SLOT_QUEUED,
	SLOT_FLYING
};

struct slot {
	struct device *device;
	enum slot_state state;
	bool write;
	bool swap; /* COMPARE AND WRITE of what was read: `write` is set, too */
	uint32_t block;
	uint64_t sequence;
	uint64_t known; /* of the block when a read was (last) issued */
	uint64_t first_ns;
	uint64_t not_before_ns;
	unsigned counted; /* retries that count */
	unsigned flights; /* how often it was sent */
	uint64_t id; /* in the history */
	uint64_t expected; /* swap: the value to compare with */
	unsigned path;
	uint8_t cdb[16];
	uint8_t *data; /* two blocks: what was read, or is to be compared with; what is written */
};

struct device {
	struct engine *engine;
	unsigned host, lun;
	struct mpath mpath;
	struct path paths[MPATH_PATHS_MAX];
	bool reread; /* RTPG wanted now */
	uint64_t reread_due_ns;
	uint32_t lu_block_bytes; /* 0 = not known yet */
	uint64_t lu_bytes;
	struct model_block *blocks;
	uint32_t block_count;
	uint64_t first_byte; /* of this host's region */
	uint32_t scan; /* next block of the running scan */
	bool scanning;
	struct slot *slots;
	uint64_t last_done_ns;
	uint64_t next_issue_ns;
};

/* A session of this device's host and path came up or went down. */
void device_path_changed(struct device *device, unsigned path);

/* Brings paths up, re-reads the table, runs the checker. Once a turn. */
void device_turn(struct device *device, uint64_t now_ns);

/* A command of this path got UA 2A/06. */
void device_table_changed(struct device *device, unsigned path);

/* The engine's part: tells what happened, as a JSON line. */
void engine_event(struct engine *engine, const char *what, const struct device *device,
	unsigned path, const char *detail);
const struct engine_options *engine_options_get(const struct engine *engine);
void engine_sense_add(struct engine *engine, const struct session_result *result);
struct engine_counts *engine_counts_get(struct engine *engine);
/* The device's size is known: makes the model. False when the LU is too small. */
bool engine_device_sized(struct device *device);

#endif
