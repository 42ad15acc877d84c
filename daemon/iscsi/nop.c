/* SPDX-License-Identifier: BSD-3-Clause */
/* NOP-Out, NOP-In pings that find dead initiators, and logout (RFC 7143 11.14, 11.18, 11.19). */
#include <stdlib.h>
#include <string.h>

#include "daemon/iscsi/cmd.h"
#include "yoke/log.h"

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
	conn->pinging = true;
	be32_put(tx->header + ISCSI_BHS_TTT, conn->ping_ttt);
	iscsi_tx_queue(conn, tx, ISCSI_TX_STATSN_PEEK);
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

void iscsi_conn_nop_start(struct iscsi_conn *conn)
{
	uint32_t interval_s = conn->home->conf->iscsi.nop_interval_s;

	conn->rx.last_ms = reactor_now_ms(conn->home->reactor);
	/* A target should not ping a discovery session (RFC 7143 4.3). */
	iscsi_nop_timer_set(conn, conn->session->discovery ? 0 : interval_s * 1000ull);
}

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

bool iscsi_conn_nop_overdue(struct iscsi_conn *conn)
{
	const struct conf_iscsi *conf = &conn->home->conf->iscsi;
	uint64_t silent_ms;

	if (conn->state != ISCSI_CONN_FULL || conn->session->discovery ||
		conf->nop_interval_s == 0) {
		return false;
	}
	silent_ms = iscsi_nop_silent_ms(conn);
	if (silent_ms < (conf->nop_interval_s + conf->nop_timeout_s) * 1000ull) {
		return false;
	}
	iscsi_conn_drop(conn, "no sign of life for %u s; what comes now may have been given up",
		(unsigned)(silent_ms / 1000));
	return true;
}

void iscsi_conn_nop_timer(struct iscsi_conn *conn)
{
	const struct conf_iscsi *conf = &conn->home->conf->iscsi;
	uint64_t silent_ms = iscsi_nop_silent_ms(conn);
	uint64_t interval_ms = conf->nop_interval_s * 1000ull;
	uint64_t timeout_ms = conf->nop_timeout_s * 1000ull;

	if (conn->logout_until_ms && reactor_now_ms(conn->home->reactor) >= conn->logout_until_ms) {
		log_info("iscsi: session %u of %s: has not logged out in time", conn->session->tsih,
			conn->session->initiator);
		iscsi_conn_async_drop(conn);
		return;
	}
	if (interval_ms == 0) {
		iscsi_nop_timer_set(conn, 0);
		return;
	}
	if (conn->pinging && silent_ms >= timeout_ms) {
		iscsi_conn_drop(conn, "no sign of life for %u s, and no answer to a NOP-In",
			(unsigned)(silent_ms / 1000));
		return;
	}
	if (silent_ms < interval_ms || conn->pinging) {
		conn->pinging = conn->pinging && silent_ms >= interval_ms;
		interval_ms = silent_ms < interval_ms ? interval_ms - silent_ms : timeout_ms;
	} else {
		iscsi_conn_ping(conn);
		interval_ms = timeout_ms;
	}
	if (conn->state == ISCSI_CONN_FULL) {
		iscsi_nop_timer_set(conn, interval_ms ? interval_ms : 1);
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
