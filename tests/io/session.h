/* SPDX-License-Identifier: BSD-3-Clause */
/* One iSCSI session of one host with one portal, over libiscsi; reconnects by itself. One thread.
 */
#ifndef YOKE_TEST_SESSION_H
#define YOKE_TEST_SESSION_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session_options {
	const char *target;
	uint64_t nop_interval_ns;
	uint64_t nop_timeout_ns;
	uint64_t connect_timeout_ns; /* TCP and login together */
	uint64_t reconnect_ns; /* wait after a loss: DefaultTime2Wait */
	bool plain_close; /* of a lost connection: TCP may still deliver what was sent */
};

enum session_state {
	SESSION_DOWN,
	SESSION_CONNECTING,
	SESSION_UP
};

struct iscsi_context;

struct session {
	const struct session_options *options;
	const char *portal;
	char initiator[224];
	unsigned host;
	unsigned path; /* index of the portal */
	enum session_state state;
	struct iscsi_context *iscsi;
	bool lost; /* to be torn down at the next turn, never inside a callback */
	bool ever_up;
	uint64_t deadline_ns; /* of the login */
	uint64_t next_ns; /* next attempt */
	uint64_t nop_due_ns;
	uint64_t nop_sent_ns; /* 0 = none outstanding */
	const char *why; /* of the last loss */
	void (*changed)(struct session *session); /* became up or down */
	void *arg;
};

#define SESSION_STATUS_LOST (-1) /* the session ended before the command did */

struct session_result {
	int status; /* SCSI status or SESSION_STATUS_LOST */
	uint8_t key, asc, ascq;
	uint32_t in_length;
};

enum session_direction {
	SESSION_NONE,
	SESSION_READ,
	SESSION_WRITE
};

/*
 * Sends a command; `data` stays the caller's and must live until done(). -1 (done() is not called)
 * when the session is not up.
 */
int session_command(struct session *session, unsigned lun, const uint8_t *cdb, unsigned cdb_length,
	enum session_direction direction, void *data, uint32_t length,
	void (*done)(void *arg, const struct session_result *result), void *arg);

/* Opens, times out, pings, tears down: call once a turn with the current time. */
void session_turn(struct session *session, uint64_t now_ns);

/* What to poll for; false when there is nothing. */
bool session_poll(const struct session *session, struct pollfd *pfd);
void session_ready(struct session *session, short revents);

void session_close(struct session *session);

#endif
