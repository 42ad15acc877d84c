/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A management interface on a real unix socket in a temporary directory, its loop, and clients
 * that live in the same loop: everything runs on one thread and nothing waits for a clock.
 */
#ifndef YOKE_CONTROL_RIG_H
#define YOKE_CONTROL_RIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "fake_control.h"

struct rig {
	char dir[64], socket[96];
	qb_loop_t *loop;
	struct control *control;
	char resized[64]; /* what the last resize was asked for */
	unsigned reloads; /* how often it was asked to read its file again */
	enum ha_result reload_result;
	unsigned stops; /* how often the daemon was asked to end */
	bool expired;
};

/* One connection; what it sends is sent as fast as the server takes it. */
struct rig_client {
	struct rig *rig;
	int fd;
	const char *out;
	size_t out_left;
	char in[256 * 1024];
	size_t in_bytes;
	bool closed; /* by the server */
	bool polled;
};

struct rig_answer {
	int status; /* 0: none came */
	json_t *json;
};

void rig_open(struct rig *rig, bool clustered);
void rig_close(struct rig *rig);

/* Runs the loop until done(arg) or for 10 s, which fails the test. */
void rig_run(struct rig *rig, bool (*done)(void *arg), void *arg);

/* Connects and starts to send `bytes`, which the caller keeps. */
void rig_client_open(struct rig *rig, struct rig_client *client, const char *bytes, size_t length);
void rig_client_close(struct rig_client *client);
/* Runs until the server has closed the connection, then decodes what came. */
void rig_client_finish(struct rig_client *client, struct rig_answer *answer);

/* One whole request; body NULL: none. Release the answer with json_decref(answer.json). */
struct rig_answer rig_ask(struct rig *rig, const char *method, const char *path, const char *body);

/* The same, and checks that it was refused with this status and code. */
void rig_refused(struct rig *rig, const char *method, const char *path, const char *body,
	int status, const char *code);

#endif
