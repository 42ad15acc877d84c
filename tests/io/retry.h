/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a Linux host with dm-multipath and scsi_dh_alua does with the end of a command, and which
 * path it takes. Pure.
 */
#ifndef YOKE_TEST_RETRY_H
#define YOKE_TEST_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum retry_action {
	RETRY_DONE, /* success */
	RETRY_NOW, /* again on the same device, free of charge */
	RETRY_REREAD, /* the ALUA table changed: RTPG, then again, free of charge */
	RETRY_LATER, /* again after a short pause, within the budget of time */
	RETRY_COUNTED, /* again, at most five times */
	RETRY_PATH, /* this path is of no use now: another one */
	RETRY_FAIL, /* the host gives the command up: an I/O error */
};
const char *retry_action_name(enum retry_action action);

/* SCSI status and sense (key, ASC, ASCQ; only for CHECK CONDITION) to action. */
enum retry_action retry_decide(uint8_t status, uint8_t key, uint8_t asc, uint8_t ascq);

#define MPATH_PATHS_MAX 16

struct mpath_path {
	bool up;
	bool barred; /* RETRY_PATH said so; until the next RTPG or checker success */
	int group; /* target port group, -1 = unknown */
	int state; /* ALUA state of the group, -1 = unknown */
	bool preferred; /* PREF */
};

struct mpath {
	struct mpath_path path[MPATH_PATHS_MAX];
	unsigned count;
	unsigned turn; /* round robin inside the best priority group */
	bool everywhere; /* one group of all usable paths, as path_grouping_policy multibus */
};

/* multipath-tools' alua prioritizer: 50, 10, 1, 0; +80 with PREF unless active/optimized. */
int mpath_priority(const struct mpath_path *path);

/* The path for the next command; -1 when none is usable. */
int mpath_pick(struct mpath *mpath);

/*
 * Applies a REPORT TARGET PORT GROUPS answer (format 0 or 1, `length` bytes) to the paths. False
 * when it is malformed. Lifts `barred`.
 */
bool mpath_rtpg_apply(struct mpath *mpath, const uint8_t *data, uint32_t length, bool extended);

/* The target port group of a path from its VPD page 83h; -1 when there is none. */
int mpath_vpd83_group(const uint8_t *data, uint32_t length);

#endif
