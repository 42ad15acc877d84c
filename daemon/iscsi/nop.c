/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NOP-Out, NOP-In pings that find dead initiators, and logout (RFC 7143 11.14, 11.18, 11.19).
 *
 * An initiator that has lost a connection sends its commands again by another path, and when the
 * network is back TCP delivers the first ones. Two rules keep those from being carried out, both
 * after a silence of nop_interval and nop_timeout together, less than after which initiators give
 * up:
 *
 * - With something under way on the connection it is dropped, what comes is not read. A live
 *   initiator has answered a ping meanwhile: each nop_interval of silence brings one.
 * - With nothing under way there is nothing to ask for, and the connection is quiet from then on,
 *   whatever else comes. What wants to be carried out waits (session.c) for the answer to a ping.
 *   The answer stands behind it in the stream: an initiator that has given the connection up does
 *   not give one, so all before it is meant. Then the connection is not quiet any more.
 *
 * Pings to a quiet connection only find out that its initiator is gone. They get rarer and rarer.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/iscsi/cmd.h"
#include "yoke/log.h"

/* So often a quiet connection is asked all the same, unless nop_interval is longer. */
#define ISCSI_NOP_WAIT_MOST_MS 60000u

/*
 * Anything that has come since counts as life. While we refuse to read, so does what the initiator
 * takes; one that takes nothing holds buffers that others may wait for.
 */
static uint64_t iscsi_nop_silent_ms(const struct iscsi_conn *conn)
{
	uint64_t alive_ms = conn->rx.last_ms;

	if (conn->rx.paused && !conn->tx.blocked) {
		return 0;
	}
	if (conn->rx.paused && conn->tx.last_ms > alive_ms) {
		alive_ms = conn->tx.last_ms;
	}
	return reactor_now_ms(conn->home->reactor) - alive_ms;
}

static uint64_t iscsi_nop_pinged_ms(const struct iscsi_conn *conn)
{
	return reactor_now_ms(conn->home->reactor) - conn->ping_ms;
}

/* So long the initiator could have answered the ping, and has said nothing else either. */
static uint64_t iscsi_nop_unanswered_ms(const struct iscsi_conn *conn)
{
	uint64_t pinged_ms = iscsi_nop_pinged_ms(conn);
	uint64_t silent_ms = iscsi_nop_silent_ms(conn);

	return silent_ms < pinged_ms ? silent_ms : pinged_ms;
}

static uint64_t iscsi_nop_interval_ms(const struct iscsi_conn *conn)
{
	return conn->home->conf->iscsi.nop_interval_s * 1000ull;
}

static uint64_t iscsi_nop_timeout_ms(const struct iscsi_conn *conn)
{
	return conn->home->conf->iscsi.nop_timeout_s * 1000ull;
}

/* Does something wait for the answer to the ping? */
static bool iscsi_nop_is_proving(const struct iscsi_conn *conn)
{
	return conn->pinging && conn->quiet && conn->tasks;
}

/* No pings: a target should not ping a discovery session (RFC 7143 4.3). */
static bool iscsi_nop_is_off(const struct iscsi_conn *conn)
{
	return conn->state != ISCSI_CONN_FULL || conn->session->discovery ||
	       (iscsi_nop_interval_ms(conn) == 0 && !iscsi_nop_is_proving(conn));
}

static uint64_t iscsi_nop_left_ms(uint64_t limit_ms, uint64_t gone_ms)
{
	return limit_ms > gone_ms ? limit_ms - gone_ms : 1;
}

/* When to look again; 0: never. */
static uint64_t iscsi_nop_next_ms(const struct iscsi_conn *conn)
{
	uint64_t interval_ms = iscsi_nop_interval_ms(conn);
	uint64_t timeout_ms = iscsi_nop_timeout_ms(conn);
	uint64_t silent_ms = iscsi_nop_silent_ms(conn);
	uint64_t quiet_ms;

	if (iscsi_nop_is_off(conn)) {
		return 0;
	}
	if (conn->pinging) {
		return iscsi_nop_left_ms(timeout_ms, iscsi_nop_unanswered_ms(conn));
	}
	if (conn->quiet) {
		return iscsi_nop_left_ms(conn->ping_wait_ms, silent_ms);
	}
	if (silent_ms < interval_ms) {
		return interval_ms - silent_ms;
	}
	/* A command may come in between: not later than its first ping would be due. */
	quiet_ms = iscsi_nop_left_ms(interval_ms + timeout_ms, silent_ms);
	return quiet_ms < interval_ms ? quiet_ms : interval_ms;
}

/* The timer of full feature phase, at the latest when the time for a logout is over. */
static void iscsi_nop_timer_set(struct iscsi_conn *conn, uint64_t ms)
{
	struct reactor *r = conn->home->reactor;
	uint64_t now_ms = reactor_now_ms(r);

	if (conn->logout_until_ms) {
		uint64_t left_ms =
			conn->logout_until_ms > now_ms ? conn->logout_until_ms - now_ms : 1;

		ms = ms == 0 || left_ms < ms ? left_ms : ms;
	}
	if (ms) {
		reactor_timer_set(r, &conn->timer, ms);
	} else {
		reactor_timer_cancel(r, &conn->timer);
	}
}

/* Asks for a sign of life. Its LUN field may name any LUN: 0 (RFC 7143 11.19). */
void iscsi_conn_ping(struct iscsi_conn *conn)
{
	struct iscsi_tx *tx = iscsi_tx_new(conn, ISCSI_OP_NOP_IN, ISCSI_FLAG_FINAL, ISCSI_TAG_NONE);

	if (!tx) {
		return;
	}
	conn->ping_ttt = iscsi_session_ttt(conn->session);
	be32_put(tx->header + ISCSI_BHS_TTT, conn->ping_ttt);
	iscsi_tx_queue(conn, tx, ISCSI_TX_STATSN_PEEK);
	/* The answer has to be that to the last one; its time runs from the first on. */
	if (!conn->pinging) {
		conn->pinging = true;
		conn->ping_ms = reactor_now_ms(conn->home->reactor);
		iscsi_nop_timer_set(conn, iscsi_nop_next_ms(conn));
	}
}

void iscsi_conn_prove(struct iscsi_conn *conn)
{
	if (!conn->pinging) {
		iscsi_conn_ping(conn);
	} else {
		iscsi_nop_timer_set(conn, iscsi_nop_next_ms(conn));
	}
}

/* It stands by what it has sent: that is carried out, and the connection is like any other. */
static void iscsi_nop_proved(struct iscsi_conn *conn)
{
	conn->quiet = false;
	iscsi_nop_timer_set(conn, iscsi_nop_next_ms(conn));
	iscsi_session_release(conn->session, conn);
}

/* Drops it if a ping was not answered in time. */
static bool iscsi_nop_give_up(struct iscsi_conn *conn)
{
	if (!conn->pinging || iscsi_nop_is_off(conn) ||
		iscsi_nop_unanswered_ms(conn) < iscsi_nop_timeout_ms(conn)) {
		return false;
	}
	iscsi_conn_drop(conn, "no sign of life for %u s, and no answer to a NOP-In",
		(unsigned)(iscsi_nop_silent_ms(conn) / 1000));
	return true;
}

static void iscsi_nop_quiet(struct iscsi_conn *conn)
{
	conn->quiet = true;
	conn->ping_wait_ms = iscsi_nop_interval_ms(conn);
}

/* Is the silence longer than initiators bear? */
static bool iscsi_nop_is_long(const struct iscsi_conn *conn)
{
	return iscsi_nop_silent_ms(conn) >=
	       iscsi_nop_interval_ms(conn) + iscsi_nop_timeout_ms(conn);
}

bool iscsi_conn_nop_overdue(struct iscsi_conn *conn)
{
	if (conn->quiet) {
		return iscsi_nop_give_up(conn);
	}
	if (!iscsi_nop_is_long(conn) || iscsi_nop_is_off(conn)) {
		return false;
	}
	if (conn->tasks == 0) {
		iscsi_nop_quiet(conn);
		return false;
	}
	iscsi_conn_drop(conn, "no sign of life for %u s; what comes now may have been given up",
		(unsigned)(iscsi_nop_silent_ms(conn) / 1000));
	return true;
}

/* Asks for a sign of life where it is time for that. */
static void iscsi_nop_ask(struct iscsi_conn *conn)
{
	uint64_t silent_ms = iscsi_nop_silent_ms(conn);
	uint64_t interval_ms = iscsi_nop_interval_ms(conn);
	uint64_t most_ms =
		interval_ms > ISCSI_NOP_WAIT_MOST_MS ? interval_ms : ISCSI_NOP_WAIT_MOST_MS;

	/* It has said something else since. */
	if (conn->pinging && !iscsi_nop_is_proving(conn) && silent_ms < iscsi_nop_pinged_ms(conn)) {
		conn->pinging = false;
	}
	if (conn->pinging || iscsi_nop_is_off(conn)) {
		return;
	}
	if (!conn->quiet && conn->tasks == 0 && iscsi_nop_is_long(conn)) {
		iscsi_nop_quiet(conn);
	}
	if (!conn->quiet) {
		if (conn->tasks && silent_ms >= interval_ms) {
			iscsi_conn_ping(conn);
		}
	} else if (silent_ms >= conn->ping_wait_ms) {
		iscsi_conn_ping(conn);
		conn->ping_wait_ms *= 2;
		conn->ping_wait_ms = conn->ping_wait_ms < most_ms ? conn->ping_wait_ms : most_ms;
	}
}

void iscsi_conn_nop_timer(struct iscsi_conn *conn)
{
	if (conn->logout_until_ms && reactor_now_ms(conn->home->reactor) >= conn->logout_until_ms) {
		log_info("iscsi: session %u of %s: has not logged out in time", conn->session->tsih,
			conn->session->initiator);
		iscsi_conn_async_drop(conn);
		return;
	}
	if (!iscsi_nop_give_up(conn)) {
		iscsi_nop_ask(conn);
		iscsi_nop_timer_set(conn, iscsi_nop_next_ms(conn));
	}
}

void iscsi_conn_nop_start(struct iscsi_conn *conn)
{
	conn->rx.last_ms = reactor_now_ms(conn->home->reactor);
	iscsi_nop_timer_set(conn, iscsi_nop_next_ms(conn));
}

/* Answers a ping with its own data; what does not fit into one segment is left out. */
static void iscsi_nop_echo(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length)
{
	struct iscsi_tx *tx =
		iscsi_tx_new(conn, ISCSI_OP_NOP_IN, ISCSI_FLAG_FINAL, iscsi_bhs_itt(bhs));

	if (!tx) {
		return;
	}
	if (length > conn->params.send_max_bytes) {
		length = conn->params.send_max_bytes;
	}
	be32_put(tx->header + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
	if (length && length <= sizeof(tx->small)) {
		memcpy(tx->small, data, length);
		tx->data = tx->small;
		tx->data_bytes = length;
	} else if (length) {
		/* The data was received into memory of its own: send it from there, and keep no
		 * more than counts. */
		uint8_t *fit = realloc(conn->rx.own, length);

		tx->own = fit ? fit : conn->rx.own;
		conn->rx.own = NULL;
		tx->data = tx->own;
		tx->data_bytes = length;
	}
	iscsi_tx_queue(conn, tx, ISCSI_TX_STATSN_USE);
}

void iscsi_nop_out(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length)
{
	if (iscsi_bhs_itt(bhs) != ISCSI_TAG_NONE) {
		iscsi_nop_echo(conn, bhs, data, length);
	} else if (conn->pinging && iscsi_bhs_ttt(bhs) == conn->ping_ttt) {
		conn->pinging = false;
		if (conn->quiet && conn->tasks) {
			iscsi_nop_proved(conn);
		}
	}
}

/* Another connection of the session goes; the answer comes when all of it is over. */
static void iscsi_logout_other(struct iscsi_conn *conn, uint32_t itt, uint16_t cid)
{
	struct iscsi_conn *other;

	qb_list_for_each_entry (other, &conn->session->conns, session_link) {
		if (other != conn && other->cid == cid && other->state == ISCSI_CONN_FULL) {
			other->logout_by = conn;
			other->logout_itt = itt;
			iscsi_conn_drop(other, "logged out over another connection");
			return;
		}
	}
	iscsi_conn_logout_answer(conn, itt, ISCSI_LOGOUT_NO_CID);
}

/* RFC 7143 11.14. The last connection takes the session with it. */
void iscsi_logout_request(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length)
{
	uint8_t reason = bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGOUT_REASON_MASK;
	uint16_t cid = be16_get(bhs + ISCSI_LOGOUT_CID);

	(void)data;
	(void)length;
	switch (reason) {
	case ISCSI_LOGOUT_CONNECTION:
		if (cid != conn->cid) {
			iscsi_logout_other(conn, iscsi_bhs_itt(bhs), cid);
			return;
		}
		break;
	case ISCSI_LOGOUT_SESSION:
		conn->logout_session = true;
		break;
	case ISCSI_LOGOUT_RECOVERY:
		iscsi_conn_logout_answer(conn, iscsi_bhs_itt(bhs), ISCSI_LOGOUT_NO_RECOVERY);
		return;
	default:
		iscsi_tx_reject(conn, ISCSI_REJECT_PROTOCOL);
		return;
	}
	conn->logout_itt = iscsi_bhs_itt(bhs);
	iscsi_conn_event(conn, ISCSI_CONN_LOGOUT);
}
