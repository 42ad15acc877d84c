/* SPDX-License-Identifier: BSD-3-Clause */
/* What the management interface talks to, under a test's thumb. */
#ifndef YOKE_FAKE_CONTROL_H
#define YOKE_FAKE_CONTROL_H

#include "yoke/control.h"

#define FAKE_GROUPS 2

struct fake {
	/* what the parts answer */
	struct ha_group_info groups[FAKE_GROUPS];
	struct ha_status status;
	struct ledger_status ledger;
	bool healthy;
	unsigned sessions;
	int probe_result; /* scsi_probe() */
	unsigned probes, drills, drill_seconds;
	uint16_t logout_tsih, logout_within_s; /* of the last request to log out */
	unsigned lus;
	bool sanitize_failed; /* of the second LU */
	int blackbox_err;
	/* an action: ends inside the call with `result`, or is kept until fake_action_end() */
	bool hold_actions;
	enum ha_result result;
	const char *message;
	ha_done_fn *held_done;
	void *held_arg;
	/* what was asked */
	unsigned actions;
	const char *action; /* "move", "start", ... */
	char group[128], argument[128];
	unsigned timeout_ms;
	int log_level;
	char blackbox[512];
};

extern struct fake fake;

/* The configuration that the fakes go by: cluster "lab", controllers a and b, groups g1 and g2. */
const struct conf *fake_conf(const char *socket_path, bool clustered);

/* Groups owned by a and b, in sync, everything well. */
void fake_reset(void);

/* Ends the action that was kept. */
void fake_action_end(enum ha_result result, const char *message);

#endif
