/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session: an I_T nexus (unless for discovery), its command window and its commands. It lives on
 * one reactor with all its connections. It ends with the last of them, and is freed with the last
 * of their structs.
 */
#ifndef YOKE_ISCSI_SESSION_H
#define YOKE_ISCSI_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <qb/qblist.h>

#include "daemon/iscsi/login.h"
#include "daemon/iscsi/registry.h"
#include "daemon/iscsi/window.h"
#include "yoke/scsi.h"

#define ISCSI_ADDRESS_MAX     64
#define ISCSI_SESSION_BUCKETS 128u /* of the ITT table */
#define ISCSI_ABORTED_TAGS    64u /* remembered, so that their late data is dropped in silence */
#define ISCSI_IMMEDIATE_MAX                                                   \
	16u /* immediate commands in flight on a connection; RFC 7143 4.2.2.1 \
	     */
#define ISCSI_TMFS_MAX 32u /* task management functions there: no more immediate ones */

struct iscsi_cmd;
struct iscsi_conn;
struct iscsi_listener;
struct iscsi_reactor;

/* What waits for its turn, by CmdSN or by its connection: a command or a task management function.
 */
struct iscsi_ordered {
	struct qb_list_head link;
	uint32_t cmdsn;
	bool is_tmf;
	struct iscsi_conn *conn; /* the one it came on */
	void (*deliver)(struct iscsi_ordered *ordered);
};

struct iscsi_session {
	/* Fixed from registration on; any thread under the registry's lock. */
	char initiator[ISCSI_NAME_MAX];
	char alias[ISCSI_ALIAS_MAX];
	char target[ISCSI_NAME_MAX]; /* "" for unnamed discovery */
	char user[ISCSI_VALUE_MAX + 1]; /* CHAP name that was proved; "" for none */
	uint8_t isid[6];
	uint16_t tsih;
	bool discovery;
	char initiator_address[ISCSI_ADDRESS_MAX];
	char portal[ISCSI_ADDRESS_MAX];
	struct sockaddr_storage peer_address; /* of its first connection */
	uint16_t rtpi;
	uint8_t controller; /* whose portal: target port group and portal group tag */
	uint64_t since_unix_s;
	struct iscsi_reactor *home;
	atomic_uint connections; /* any thread */

	/* The registry's, under its lock. */
	struct iscsi_session *next;
	bool registered;
	bool close_posted;
	bool close_ran;
	struct qb_list_head joins; /* logins that wait for this session to end */
	struct mailbox_msg close_msg; /* "you have been reinstated" */

	/* Its reactor's. */
	struct qb_list_head conns; /* struct iscsi_conn, the leading one first */
	struct iscsi_params params; /* of the leading login: what holds for all connections */
	struct scsi_nexus *nexus;
	bool ending; /* no command runs any more */
	bool ended; /* the nexus is gone, nothing runs */
	bool nexus_closed;
	uint32_t max_cmdsn_told;
	struct iscsi_window window;
	struct qb_list_head cmds; /* struct iscsi_cmd */
	struct qb_list_head ordered; /* struct iscsi_ordered, by CmdSN: an earlier one is missing,
					or the connection of the first is quiet */
	struct qb_list_head urgent; /* the same: immediate ones of quiet connections, as they came
				     */
	struct iscsi_cmd *tags[ISCSI_SESSION_BUCKETS];
	struct qb_list_head tmf_list; /* struct iscsi_tmf */
	unsigned fenced; /* of those: wait for responses of other connections to be acknowledged */
	unsigned tmfs; /* task management functions in flight */
	uint32_t next_ttt;
	uint32_t aborted[ISCSI_ABORTED_TAGS];
	unsigned aborted_next;
	unsigned aborted_count;
};

/*
 * From a finished login, whose connection becomes its first; NULL when out of memory. Not
 * registered yet.
 */
struct iscsi_session *iscsi_session_new(struct iscsi_conn *conn, uint32_t exp_cmdsn);

/* Makes the I_T nexus of a normal session; 0 or -ENOMEM. */
int iscsi_session_open(struct iscsi_session *session, const struct iscsi_listener *listener);

/*
 * Ends it: connections are dropped, but for those that have a last PDU to send; commands that wait
 * are dropped, running ones end without a response. When all is over
 * iscsi_conn_session_ended() is called for each connection, possibly inside this call. Calling it
 * again does nothing.
 */
void iscsi_session_end(struct iscsi_session *session, const char *why);

/* Is there a connection besides `conn` that the session lives on by? */
bool iscsi_session_lives_without(
	const struct iscsi_session *session, const struct iscsi_conn *conn);

/*
 * A connection goes and the session stays: its tasks end without a response, and the nexus is told
 * (RFC 7143 11.14.5). The connection is told by iscsi_conn_task_gone() as they do.
 */
void iscsi_session_cut(struct iscsi_session *session, struct iscsi_conn *conn);

/* A command or task management function is gone: the session may have ended by that. */
void iscsi_session_check_ended(struct iscsi_session *session);

/* Has it ended, and is no message of the registry to it under way? Then it may be freed. */
bool iscsi_session_may_free(struct iscsi_session *session);
void iscsi_session_free(struct iscsi_session *session);

/* Tags in flight. */
struct iscsi_cmd *iscsi_session_find(const struct iscsi_session *session, uint32_t itt);
void iscsi_session_add(struct iscsi_session *session, struct iscsi_cmd *cmd);
void iscsi_session_remove(struct iscsi_session *session, struct iscsi_cmd *cmd);

/* Tags of commands that ended while data was still to come for them. */
void iscsi_session_note_aborted(struct iscsi_session *session, uint32_t itt);
bool iscsi_session_was_aborted(const struct iscsi_session *session, uint32_t itt);
void iscsi_session_reuse_tag(struct iscsi_session *session, uint32_t itt);

/* A target transfer tag that is not the reserved one. */
uint32_t iscsi_session_ttt(struct iscsi_session *session);

/* Puts what came in its place and delivers everything that is due. CmdSN was checked. */
void iscsi_session_receive(struct iscsi_session *session, struct iscsi_ordered *ordered);

/* The same for a PDU that needs no turn, or for a CmdSN whose command will not come. */
void iscsi_session_skip(struct iscsi_session *session, uint32_t cmdsn);

/* Delivers an immediate one: now, unless its connection is quiet. */
void iscsi_session_receive_urgent(struct iscsi_session *session, struct iscsi_ordered *ordered);

/* The connection is not quiet any more: delivers what has waited for that. */
void iscsi_session_release(struct iscsi_session *session, const struct iscsi_conn *conn);

#endif
