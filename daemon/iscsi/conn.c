/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/conn.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/iscsi/cmd.h"
#include "yoke/log.h"

#define ISCSI_FLUSH_TIMEOUT_MS	2000u /* for the last PDU of a connection */
#define ISCSI_ENDING_TIMEOUT_MS 30000u /* for commands that run while the initiator logs out */

const char *iscsi_conn_state_name(enum iscsi_conn_state state)
{
	switch (state) {
	case ISCSI_CONN_LOGIN:
		return "login";
	case ISCSI_CONN_JOINING:
		return "joining";
	case ISCSI_CONN_FULL:
		return "full-feature";
	case ISCSI_CONN_ENDING:
		return "ending";
	case ISCSI_CONN_FLUSHING:
		return "flushing";
	case ISCSI_CONN_CLOSED:
		return "closed";
	}
	return "?";
}

const char *iscsi_conn_event_name(enum iscsi_conn_event event)
{
	switch (event) {
	case ISCSI_CONN_AGREED:
		return "agreed";
	case ISCSI_CONN_JOINED:
		return "joined";
	case ISCSI_CONN_LAST:
		return "last";
	case ISCSI_CONN_LOGOUT:
		return "logout";
	case ISCSI_CONN_FLUSHED:
		return "flushed";
	case ISCSI_CONN_DROP:
		return "drop";
	}
	return "?";
}

static void iscsi_conn_reap(struct reactor_defer *defer);

static void iscsi_conn_login_over(struct iscsi_conn *conn)
{
	if (!qb_list_empty(&conn->login_link)) {
		qb_list_del(&conn->login_link);
		qb_list_init(&conn->login_link);
	}
}

static void iscsi_conn_enter_joining(struct iscsi_conn *conn)
{
	iscsi_rx_pause(conn, ISCSI_RX_PAUSE_STATE);
	iscsi_conn_join(conn);
}

static void iscsi_conn_enter_full(struct iscsi_conn *conn)
{
	iscsi_conn_login_over(conn);
	iscsi_rx_resume(conn, ISCSI_RX_PAUSE_STATE);
	iscsi_conn_nop_start(conn);
}

/* The session goes on without the connection, or ends with it. */
static void iscsi_conn_leave_session(struct iscsi_conn *conn)
{
	struct iscsi_session *session = conn->session;

	if (!session) {
		return;
	}
	if (!conn->logout_session && iscsi_session_lives_without(session, conn)) {
		iscsi_session_cut(session, conn);
	} else {
		iscsi_session_end(session, "the session ends");
	}
}

static void iscsi_conn_enter_ending(struct iscsi_conn *conn)
{
	iscsi_rx_pause(conn, ISCSI_RX_PAUSE_STATE);
	reactor_timer_set(conn->home->reactor, &conn->timer, ISCSI_ENDING_TIMEOUT_MS);
	conn->tasks++; /* so that its end comes once, and from here if it comes at once */
	iscsi_conn_leave_session(conn);
	iscsi_conn_task_gone(conn);
}

static void iscsi_conn_enter_flushing(struct iscsi_conn *conn)
{
	iscsi_conn_login_over(conn);
	iscsi_rx_pause(conn, ISCSI_RX_PAUSE_STATE);
	reactor_timer_set(conn->home->reactor, &conn->timer, ISCSI_FLUSH_TIMEOUT_MS);
	iscsi_tx_flush_later(conn);
}

/* The socket goes at once; the rest when its commands and messages have come back. */
static void iscsi_conn_enter_closed(struct iscsi_conn *conn)
{
	struct reactor *r = conn->home->reactor;

	iscsi_conn_login_over(conn);
	reactor_timer_cancel(r, &conn->timer);
	reactor_defer_cancel(r, &conn->flush_defer);
	reactor_defer_cancel(r, &conn->resume_defer);
	reactor_defer_cancel(r, &conn->move_defer);
	reactor_fd_del(r, &conn->rfd);
	close(conn->rfd.fd);
	conn->rfd.fd = -1;
	iscsi_rx_clear(conn);
	iscsi_tx_clear(conn);
	if (conn->session) {
		struct iscsi_conn *other;

		qb_list_for_each_entry (other, &conn->session->conns, session_link) {
			if (other->logout_by == conn) {
				other->logout_by = NULL;
			}
		}
	}
	iscsi_conn_leave_session(conn);
	reactor_defer(r, &conn->reap_defer);
}

static void iscsi_conn_stay(struct iscsi_conn *conn)
{
	(void)conn;
}

struct iscsi_conn_row {
	bool known;
	enum iscsi_conn_state next;
	void (*enter)(struct iscsi_conn *conn);
};

/* clang-format off */
static const struct iscsi_conn_row iscsi_conn_table[ISCSI_CONN_STATES][ISCSI_CONN_EVENTS] = {
	[ISCSI_CONN_LOGIN] = {
		[ISCSI_CONN_AGREED] = {true, ISCSI_CONN_JOINING, iscsi_conn_enter_joining},
		[ISCSI_CONN_LAST] = {true, ISCSI_CONN_FLUSHING, iscsi_conn_enter_flushing},
		[ISCSI_CONN_FLUSHED] = {true, ISCSI_CONN_LOGIN, iscsi_conn_stay},
		[ISCSI_CONN_DROP] = {true, ISCSI_CONN_CLOSED, iscsi_conn_enter_closed},
	},
	[ISCSI_CONN_JOINING] = {
		[ISCSI_CONN_JOINED] = {true, ISCSI_CONN_FULL, iscsi_conn_enter_full},		/* T5 */
		[ISCSI_CONN_LAST] = {true, ISCSI_CONN_FLUSHING, iscsi_conn_enter_flushing},
		[ISCSI_CONN_FLUSHED] = {true, ISCSI_CONN_JOINING, iscsi_conn_stay},
		[ISCSI_CONN_DROP] = {true, ISCSI_CONN_CLOSED, iscsi_conn_enter_closed},		/* T7 */
	},
	[ISCSI_CONN_FULL] = {
		[ISCSI_CONN_LAST] = {true, ISCSI_CONN_FLUSHING, iscsi_conn_enter_flushing},
		[ISCSI_CONN_LOGOUT] = {true, ISCSI_CONN_ENDING, iscsi_conn_enter_ending},	/* T9 */
		[ISCSI_CONN_FLUSHED] = {true, ISCSI_CONN_FULL, iscsi_conn_stay},
		[ISCSI_CONN_DROP] = {true, ISCSI_CONN_CLOSED, iscsi_conn_enter_closed},		/* T8 */
	},
	[ISCSI_CONN_ENDING] = {
		[ISCSI_CONN_LAST] = {true, ISCSI_CONN_FLUSHING, iscsi_conn_enter_flushing},
		[ISCSI_CONN_FLUSHED] = {true, ISCSI_CONN_ENDING, iscsi_conn_stay},
		[ISCSI_CONN_DROP] = {true, ISCSI_CONN_CLOSED, iscsi_conn_enter_closed},
	},
	[ISCSI_CONN_FLUSHING] = {
		[ISCSI_CONN_LAST] = {true, ISCSI_CONN_FLUSHING, iscsi_conn_stay},
		[ISCSI_CONN_FLUSHED] = {true, ISCSI_CONN_CLOSED, iscsi_conn_enter_closed},	/* T13 */
		[ISCSI_CONN_DROP] = {true, ISCSI_CONN_CLOSED, iscsi_conn_enter_closed},
	},
	[ISCSI_CONN_CLOSED] = {
		[ISCSI_CONN_DROP] = {true, ISCSI_CONN_CLOSED, iscsi_conn_stay},
	},
};
/* clang-format on */

void iscsi_conn_event(struct iscsi_conn *conn, enum iscsi_conn_event event)
{
	const struct iscsi_conn_row *row = &iscsi_conn_table[conn->state][event];

	if (!row->known) {
		log_err("iscsi: connection %s: event %s in state %s is not foreseen; dropping it",
			conn->peer, iscsi_conn_event_name(event),
			iscsi_conn_state_name(conn->state));
		row = &iscsi_conn_table[conn->state][ISCSI_CONN_DROP];
	}
	conn->state = row->next;
	row->enter(conn);
}

YOKE_PRINTF(2, 0)
static void iscsi_conn_vdrop(struct iscsi_conn *conn, const char *fmt, va_list args)
{
	char why[256];

	if (!iscsi_conn_is_open(conn)) {
		return;
	}
	vsnprintf(why, sizeof(why), fmt, args);
	if (conn->session && conn->session->registered) {
		log_info("iscsi: session %u of %s at %s: connection from %s dropped: %s",
			conn->session->tsih, conn->session->initiator,
			conn->session->discovery ? "discovery" : conn->session->target, conn->peer,
			why);
	} else {
		log_info("iscsi: connection from %s dropped before its login was complete: %s",
			conn->peer, why);
	}
	iscsi_conn_event(conn, ISCSI_CONN_DROP);
}

void iscsi_conn_drop(struct iscsi_conn *conn, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	iscsi_conn_vdrop(conn, fmt, args);
	va_end(args);
}

void iscsi_conn_violation(struct iscsi_conn *conn, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	iscsi_conn_vdrop(conn, fmt, args);
	va_end(args);
	if (conn->session) {
		iscsi_session_end(
			conn->session, "another connection of the session broke the protocol");
	}
}

static void iscsi_conn_timer_fired(struct reactor_timer *timer)
{
	struct iscsi_conn *conn = container_of(timer, struct iscsi_conn, timer);

	switch (conn->state) {
	case ISCSI_CONN_LOGIN:
	case ISCSI_CONN_JOINING:
		iscsi_conn_login_expired(conn);
		break;
	case ISCSI_CONN_FULL:
		iscsi_conn_nop_timer(conn);
		break;
	case ISCSI_CONN_ENDING:
	case ISCSI_CONN_FLUSHING:
		iscsi_conn_drop(conn, "the last PDU could not be sent in time");
		break;
	case ISCSI_CONN_CLOSED:
		break;
	}
}

static void iscsi_conn_ready(struct reactor_fd *rfd, uint32_t events)
{
	struct iscsi_conn *conn = container_of(rfd, struct iscsi_conn, rfd);

	/*
	 * What an initiator has left behind in the socket is not read: it has given those commands
	 * up and sent them elsewhere, and a write among them would land on top of newer data.
	 */
	if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
		iscsi_conn_drop(conn, events & EPOLLERR ? "the initiator has reset it"
							: "the initiator has closed it");
		return;
	}
	if (events & EPOLLOUT) {
		iscsi_tx_flush(conn);
	}
	if (!iscsi_conn_is_open(conn)) {
		return;
	}
	/* Bytes that are held come first: see iscsi_rx_resume_deferred(). */
	if (events & EPOLLIN && !conn->rx.paused && !conn->resume_defer.queued) {
		iscsi_rx_ready(conn);
	} else {
		iscsi_conn_update_events(conn);
	}
}

void iscsi_conn_update_events(struct iscsi_conn *conn)
{
	uint32_t events =
		EPOLLRDHUP | (conn->rx.paused ? 0 : EPOLLIN) | (conn->tx.blocked ? EPOLLOUT : 0);
	int err;

	if (!iscsi_conn_is_open(conn)) {
		return;
	}
	err = reactor_fd_mod(conn->home->reactor, &conn->rfd, events);
	if (err < 0) {
		iscsi_conn_drop(conn, "epoll refuses it: %s", strerror(-err));
	}
}

/* Room for one more: a connection that has said nothing for longest makes it, if there is one. */
static bool iscsi_conn_admit(struct iscsi_conn *conn)
{
	struct iscsi_reactor *home = conn->home;
	unsigned max = home->conf->iscsi.connections_max;

	if (home->stopping) {
		return false;
	}
	if (atomic_load(&home->iscsi->connections) <= max) {
		return true;
	}
	if (qb_list_empty(&home->logins)) {
		log_warning(
			"iscsi: connection from %s refused: %u connections are the limit; raise "
			"connections_max if that is too few",
			conn->peer, max);
		return false;
	}
	iscsi_conn_drop(qb_list_first_entry(&home->logins, struct iscsi_conn, login_link),
		"not logged in yet, and %u connections are the limit", max);
	return true;
}

bool iscsi_conn_settle(struct iscsi_conn *conn, uint32_t events)
{
	struct iscsi_reactor *home = conn->home;
	uint64_t now_ms = reactor_now_ms(home->reactor);
	int err = reactor_fd_add(home->reactor, &conn->rfd, events);

	if (err < 0) {
		log_err("iscsi: connection from %s refused: epoll: %s", conn->peer, strerror(-err));
		return false;
	}
	qb_list_add_tail(&conn->link, &home->conns);
	iscsi_conn_conf_arrive(conn);
	qb_list_add_tail(&conn->login_link, &home->logins);
	reactor_timer_set(home->reactor, &conn->timer,
		conn->login_until_ms > now_ms ? conn->login_until_ms - now_ms : 1);
	return true;
}

void iscsi_conn_unsettle(struct iscsi_conn *conn)
{
	struct reactor *r = conn->home->reactor;

	reactor_timer_cancel(r, &conn->timer);
	reactor_defer_cancel(r, &conn->flush_defer);
	reactor_defer_cancel(r, &conn->resume_defer);
	reactor_fd_del(r, &conn->rfd);
	iscsi_conn_login_over(conn);
	qb_list_del(&conn->link);
}

static void iscsi_conn_adopt(struct mailbox_msg *msg)
{
	struct iscsi_conn *conn = container_of(msg, struct iscsi_conn, adopt_msg);
	struct iscsi_reactor *home = conn->home;

	conn->login_until_ms =
		reactor_now_ms(home->reactor) + home->conf->iscsi.login_timeout_s * 1000ull;
	if (!iscsi_conn_admit(conn) || !iscsi_conn_settle(conn, EPOLLIN | EPOLLRDHUP)) {
		close(conn->rfd.fd);
		iscsi_reactor_conn_gone(home);
		free(conn);
	}
}

static void iscsi_conn_name_peer(
	struct iscsi_conn *conn, const struct sockaddr_storage *peer, socklen_t length)
{
	char host[46], port[6];

	if (getnameinfo((const struct sockaddr *)peer, length, host, sizeof(host), port,
		    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		snprintf(conn->peer, sizeof(conn->peer), "?");
		return;
	}
	snprintf(conn->peer, sizeof(conn->peer), peer->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
		host, port);
}

void iscsi_conn_new(struct iscsi_reactor *home, const struct iscsi_listener *listener, int fd,
	const struct sockaddr_storage *peer, socklen_t peer_length)
{
	struct iscsi_conn *conn = calloc(1, sizeof(*conn));

	if (!conn) {
		log_warning("iscsi: connection refused: out of memory");
		close(fd);
		return;
	}
	conn->home = home;
	conn->listener = listener;
	conn->rfd = (struct reactor_fd){.fd = fd, .ready = iscsi_conn_ready};
	conn->timer.fired = iscsi_conn_timer_fired;
	conn->flush_defer.fn = iscsi_tx_flush_deferred;
	conn->resume_defer.fn = iscsi_rx_resume_deferred;
	conn->reap_defer.fn = iscsi_conn_reap;
	conn->move_defer.fn = iscsi_conn_move_deferred;
	conn->adopt_msg.fn = iscsi_conn_adopt;
	conn->join.reactor = home->reactor;
	conn->join.msg.fn = iscsi_conn_joined_msg;
	qb_list_init(&conn->login_link);
	qb_list_init(&conn->session_link);
	memcpy(&conn->peer_address, peer, peer_length);
	iscsi_conn_name_peer(conn, peer, peer_length);
	iscsi_rx_init(conn);
	iscsi_tx_init(conn);
	atomic_fetch_add(&home->iscsi->connections, 1);
	atomic_fetch_add(&home->connections, 1);
	reactor_post(home->reactor, &conn->adopt_msg);
}

/* Takes a closed connection out of its session; false: it is still needed there. */
static bool iscsi_conn_part(struct iscsi_conn *conn)
{
	struct iscsi_session *session = conn->session;
	bool last = session && conn->session_link.next == conn->session_link.prev;

	if (!session) {
		return true;
	}
	/* The last one keeps the session until it is over. */
	if (last && !iscsi_session_may_free(session)) {
		return false;
	}
	qb_list_del(&conn->session_link);
	conn->session = NULL;
	if (last) {
		iscsi_session_free(session);
		return true;
	}
	if (conn->logout_by) {
		iscsi_conn_logout_answer(conn->logout_by, conn->logout_itt, ISCSI_LOGOUT_CLOSED);
	}
	atomic_fetch_sub(&session->connections, 1);
	iscsi_conn_place_free(session);
	return true;
}

/* A closed connection goes when nothing refers to it any more. */
static void iscsi_conn_reap(struct reactor_defer *defer)
{
	struct iscsi_conn *conn = container_of(defer, struct iscsi_conn, reap_defer);
	struct iscsi_reactor *home = conn->home;

	if (iscsi_conn_is_open(conn) || conn->tasks ||
		!iscsi_registry_join_cancel(&home->iscsi->registry, &conn->join) ||
		!iscsi_conn_part(conn)) {
		return;
	}
	qb_list_del(&conn->link);
	free(conn->login);
	free(conn->login_head);
	free(conn->text);
	free(conn);
	iscsi_reactor_conn_gone(home);
}

void iscsi_conn_logout_answer(
	struct iscsi_conn *conn, uint32_t itt, enum iscsi_logout_response response)
{
	struct iscsi_tx *tx = iscsi_tx_new(conn, ISCSI_OP_LOGOUT_RESPONSE, ISCSI_FLAG_FINAL, itt);

	if (!tx) {
		return;
	}
	tx->header[ISCSI_LOGOUT_RESPONSE] = (uint8_t)response;
	if (response == ISCSI_LOGOUT_CLOSED) {
		be16_put(tx->header + ISCSI_LOGOUT_TIME2WAIT, conn->params.time2wait_s);
		be16_put(tx->header + ISCSI_LOGOUT_TIME2RETAIN, conn->params.time2retain_s);
	}
	iscsi_tx_queue_behind(conn, tx);
}

static void iscsi_conn_logged_out(struct iscsi_conn *conn)
{
	iscsi_conn_logout_answer(conn, conn->logout_itt, ISCSI_LOGOUT_CLOSED);
	iscsi_conn_event(conn, ISCSI_CONN_LAST);
}

void iscsi_conn_session_ended(struct iscsi_conn *conn)
{
	if (conn->state == ISCSI_CONN_ENDING) {
		iscsi_conn_logged_out(conn);
	} else {
		reactor_defer(conn->home->reactor, &conn->reap_defer);
	}
}

/* No task refers to it any more. Where the session ends, its end is what counts. */
void iscsi_conn_idle(struct iscsi_conn *conn)
{
	struct iscsi_conn *other;

	if (conn->state == ISCSI_CONN_CLOSED) {
		reactor_defer(conn->home->reactor, &conn->reap_defer);
	} else if (conn->state == ISCSI_CONN_ENDING && !conn->session->ending) {
		iscsi_conn_logged_out(conn);
	}
	if (conn->session) {
		/* The command window may have opened. */
		qb_list_for_each_entry (other, &conn->session->conns, session_link) {
			iscsi_tx_flush_later(other);
		}
	}
}

void iscsi_conn_stop(struct iscsi_conn *conn)
{
	switch (conn->state) {
	case ISCSI_CONN_FULL:
		if (conn->session->discovery) {
			iscsi_conn_drop(conn, "the server stops");
		} else {
			iscsi_conn_async_drop(conn);
		}
		break;
	case ISCSI_CONN_LOGIN:
	case ISCSI_CONN_JOINING:
		iscsi_conn_drop(conn, "the server stops");
		break;
	case ISCSI_CONN_ENDING:
	case ISCSI_CONN_FLUSHING:
	case ISCSI_CONN_CLOSED:
		break;
	}
}

bool iscsi_conn_buf_room(const struct iscsi_conn *conn, uint32_t bytes)
{
	return conn->data_bytes == 0 || conn->data_bytes + bytes <= conn->home->share_bytes;
}

struct buf *iscsi_conn_buf_get(struct iscsi_conn *conn, uint32_t bytes)
{
	if (!iscsi_conn_buf_room(conn, bytes)) {
		return NULL;
	}
	return buf_get(reactor_buffers(conn->home->reactor), bytes ? bytes : 1);
}
