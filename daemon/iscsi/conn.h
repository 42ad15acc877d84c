/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection: a socket on one reactor, from accept to close. The states are those that matter to
 * a target (RFC 7143 8.1 in short); conn.c has the table. All functions: on its reactor.
 */
#ifndef YOKE_ISCSI_CONN_H
#define YOKE_ISCSI_CONN_H

#include "daemon/iscsi/login.h"
#include "daemon/iscsi/rx.h"
#include "daemon/iscsi/server.h"
#include "daemon/iscsi/session.h"
#include "daemon/iscsi/text.h"
#include "daemon/iscsi/tx.h"
#include "yoke/util.h"

enum iscsi_conn_state {
	ISCSI_CONN_LOGIN, /* login PDUs come and go */
	ISCSI_CONN_JOINING, /* agreed; on its way to its session, or waits for what it replaces */
	ISCSI_CONN_FULL, /* full feature phase */
	ISCSI_CONN_ENDING, /* logout came; its tasks end, then the response goes out */
	ISCSI_CONN_FLUSHING, /* the last PDU is on its way */
	ISCSI_CONN_CLOSED, /* no socket any more; freed when nothing refers to it */
};
#define ISCSI_CONN_STATES (ISCSI_CONN_CLOSED + 1)
const char *iscsi_conn_state_name(enum iscsi_conn_state state);

enum iscsi_conn_event {
	ISCSI_CONN_AGREED, /* the login phase came to its end */
	ISCSI_CONN_JOINED, /* the session is registered, the last Login Response queued */
	ISCSI_CONN_LAST, /* a PDU is queued after which the connection closes */
	ISCSI_CONN_LOGOUT, /* a Logout Request that ends the connection, or the session */
	ISCSI_CONN_FLUSHED, /* nothing is left to send */
	ISCSI_CONN_DROP, /* the peer is gone, broke the rules, or has to go */
};
#define ISCSI_CONN_EVENTS (ISCSI_CONN_DROP + 1)
const char *iscsi_conn_event_name(enum iscsi_conn_event event);

struct iscsi_conn {
	struct iscsi_reactor *home;
	struct reactor_fd rfd;
	struct qb_list_head link; /* home->conns */
	struct qb_list_head login_link; /* home->logins */
	struct mailbox_msg adopt_msg;
	const struct iscsi_listener *listener;
	char peer[ISCSI_ADDRESS_MAX];
	struct sockaddr_storage peer_address;
	enum iscsi_conn_state state;
	struct reactor_timer timer; /* login deadline, NOP-In, time to flush: by state */
	struct reactor_defer flush_defer;
	struct reactor_defer resume_defer;
	struct reactor_defer reap_defer;
	struct reactor_defer move_defer;
	struct iscsi_reactor *move_to;
	uint64_t login_until_ms;

	struct iscsi_login *login; /* whole during login and text negotiation */
	uint8_t *login_head; /* what a session keeps of it: all but the text buffers */
	struct iscsi_text *text; /* NULL until the first Text Request */
	uint32_t login_cmdsn;
	struct iscsi_join join;

	struct iscsi_session *session;
	struct qb_list_head session_link; /* session->conns */
	struct iscsi_params params; /* in force */
	unsigned tasks; /* commands and task management functions that refer to it */
	unsigned tmfs; /* of those */
	unsigned immediate; /* of those: immediate commands */
	uint64_t logout_until_ms; /* it was asked to log out until then; 0 = it was not */
	bool logout_session; /* the logout under way ends the session */
	struct iscsi_conn *logout_by; /* another connection has logged this one out: its answer */
	uint16_t cid;
	uint32_t statsn; /* the next one */
	uint32_t acked; /* ExpStatSN of the last PDU: what the initiator expects next */
	uint32_t fence_statsn; /* to be acknowledged before functions of other connections answer */
	uint32_t logout_itt;
	uint32_t ping_ttt; /* of the NOP-In that waits for its answer */
	bool pinging;
	bool quiet; /* nothing was under way for a while: nop.c */
	uint64_t ping_ms; /* when that NOP-In was made */
	uint64_t ping_wait_ms; /* while quiet: the silence after which the next one is due */
	unsigned rejects; /* Rejects sent */
	size_t data_bytes; /* data buffers its commands hold */
	unsigned waiting_cmds; /* commands that wait for buffers */

	struct iscsi_rx rx;
	struct iscsi_tx_queue tx;
};

/* A socket that was just accepted; takes fd. Any thread: hands it to its reactor. */
void iscsi_conn_new(struct iscsi_reactor *home, const struct iscsi_listener *listener, int fd,
	const struct sockaddr_storage *peer, socklen_t peer_length);

/* Feeds the state machine; a pair that is not in the table is logged by name and drops. */
void iscsi_conn_event(struct iscsi_conn *conn, enum iscsi_conn_event event);

/* Logs why, then ISCSI_CONN_DROP. */
void iscsi_conn_drop(struct iscsi_conn *conn, const char *fmt, ...) YOKE_PRINTF(2, 3);

/* The same for a header that makes no sense: every connection of its session goes (RFC 7143 7.7).
 */
void iscsi_conn_violation(struct iscsi_conn *conn, const char *fmt, ...) YOKE_PRINTF(2, 3);

static inline bool iscsi_conn_is_open(const struct iscsi_conn *conn)
{
	return conn->state != ISCSI_CONN_CLOSED;
}

/* Its session has ended for good. */
void iscsi_conn_session_ended(struct iscsi_conn *conn);

/* A task that refers to it is gone. */
void iscsi_conn_idle(struct iscsi_conn *conn);
static inline void iscsi_conn_task_gone(struct iscsi_conn *conn)
{
	if (--conn->tasks == 0 && conn->state != ISCSI_CONN_FULL) {
		iscsi_conn_idle(conn);
	}
}

/* Answers a logout: of itself, or of a connection of CID that is gone now. */
void iscsi_conn_logout_answer(
	struct iscsi_conn *conn, uint32_t itt, enum iscsi_logout_response response);

/* --- several connections in a session: further.c --- */

/*
 * A login with a TSIH: finds the session, moves to its reactor, takes a place in it. Ends in
 * iscsi_conn_accept(), iscsi_conn_refuse() or a drop.
 */
void iscsi_conn_join_further(struct iscsi_conn *conn);

/* A connection has left its session: those that waited for its place take it. */
void iscsi_conn_place_free(struct iscsi_session *session);
void iscsi_conn_move_deferred(struct reactor_defer *defer);

/* Takes a place in a reactor's lists and its loop, reading paused or not; false when it cannot. */
bool iscsi_conn_settle(struct iscsi_conn *conn, uint32_t events);
/* And out of them. Its socket stays open. */
void iscsi_conn_unsettle(struct iscsi_conn *conn);

/* A login that has moved here from another reactor: the same for it. */
void iscsi_conn_conf_arrive(struct iscsi_conn *conn);
/* In full feature phase: goes over to the configuration that counts on its reactor. */
void iscsi_conn_conf_follow(struct iscsi_conn *conn);

/* The server stops: tells the initiator and closes. */
void iscsi_conn_stop(struct iscsi_conn *conn);

/* Which socket events it wants now. */
void iscsi_conn_update_events(struct iscsi_conn *conn);

/* login phase: login_phase.c */
void iscsi_conn_login_pdu(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length);
void iscsi_conn_join(struct iscsi_conn *conn);
void iscsi_conn_accept(struct iscsi_conn *conn);
void iscsi_conn_refuse(struct iscsi_conn *conn, enum iscsi_login_status status);
void iscsi_conn_joined_msg(struct mailbox_msg *msg);
void iscsi_conn_login_expired(struct iscsi_conn *conn);

/* RFC 7143 11.9.1: tells that all connections of the session are dropped, then closes: async.c */
void iscsi_conn_async_drop(struct iscsi_conn *conn);

/* NOP-In pings, and the end of the time that was given for a logout: nop.c */
void iscsi_conn_nop_timer(struct iscsi_conn *conn);
/*
 * Before bytes are read: drops a connection whose time for a sign of life is over, and tells so.
 * Its initiator has given its commands up by now and sent them by another path; TCP may still
 * deliver them when a network is back. One that nobody expected anything from becomes quiet.
 */
bool iscsi_conn_nop_overdue(struct iscsi_conn *conn);
/* Full feature phase begins, or other times count from now on. */
void iscsi_conn_nop_start(struct iscsi_conn *conn);

/* A NOP-In that has to be answered: nop.c */
void iscsi_conn_ping(struct iscsi_conn *conn);
/*
 * Something waits on a quiet connection: asks its initiator whether it still stands by it. The
 * answer comes behind it in the stream, and then iscsi_session_release() lets it go: nop.c
 */
void iscsi_conn_prove(struct iscsi_conn *conn);

/* A data buffer for its commands: NULL when the pool, or its share of it, is used up. */
struct buf *iscsi_conn_buf_get(struct iscsi_conn *conn, uint32_t bytes);
bool iscsi_conn_buf_room(const struct iscsi_conn *conn, uint32_t bytes);

#endif
