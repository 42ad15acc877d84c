/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several connections in a session (RFC 7143 6.3.1, 6.3.4): a login with a TSIH goes to the reactor
 * that the session lives on, and takes a place in it, a new one or that of the connection with its
 * CID.
 */
#include <string.h>
#include <unistd.h>

#include "daemon/iscsi/conn.h"
#include "yoke/log.h"

/* The other connection of the session that has the CID and is not closed; NULL. */
static struct iscsi_conn *iscsi_conn_of_cid(
	const struct iscsi_session *session, const struct iscsi_conn *but, uint16_t cid)
{
	struct iscsi_conn *conn;

	qb_list_for_each_entry (conn, &session->conns, session_link) {
		if (conn != but && conn->cid == cid && iscsi_conn_is_open(conn)) {
			return conn;
		}
	}
	return NULL;
}

/* Is anything left of an earlier connection with its CID? Its tasks may still be running. */
static bool iscsi_conn_cid_is_busy(const struct iscsi_conn *conn)
{
	const struct iscsi_conn *other;

	qb_list_for_each_entry (other, &conn->session->conns, session_link) {
		if (other != conn && other->cid == conn->cid) {
			return true;
		}
	}
	return false;
}

void iscsi_conn_place_free(struct iscsi_session *session)
{
	struct iscsi_conn *conn;

	qb_list_for_each_entry (conn, &session->conns, session_link) {
		if (conn->state == ISCSI_CONN_JOINING && session->registered &&
			!iscsi_conn_cid_is_busy(conn)) {
			iscsi_conn_accept(conn);
			return; /* it frees no other place */
		}
	}
}

static unsigned iscsi_conns_open(const struct iscsi_session *session)
{
	const struct iscsi_conn *conn;
	unsigned n = 0;

	qb_list_for_each_entry (conn, &session->conns, session_link) {
		n += iscsi_conn_is_open(conn);
	}
	return n;
}

/* What the leading login agreed on for the session; the rest is the connection's own. */
static void iscsi_conn_share_params(struct iscsi_params *own, const struct iscsi_params *session)
{
	struct iscsi_params params = *session;

	params.header_digest = own->header_digest;
	params.data_digest = own->data_digest;
	params.send_max_bytes = own->send_max_bytes;
	params.recv_max_bytes = own->recv_max_bytes;
	*own = params;
}

/* On the session's reactor. */
static void iscsi_conn_take_place(struct iscsi_conn *conn, struct iscsi_session *session)
{
	struct iscsi_conn *old = iscsi_conn_of_cid(session, conn, conn->login->cid);

	if (session->ending) {
		iscsi_conn_refuse(conn, ISCSI_LOGIN_NO_SESSION);
		return;
	}
	/* One connection in a discovery session; and nobody joins what another has proved. */
	if (session->discovery || strcmp(session->user, conn->login->chap.user_name) != 0) {
		iscsi_conn_refuse(conn, ISCSI_LOGIN_CANNOT_INCLUDE);
		return;
	}
	if (!old && iscsi_conns_open(session) >= session->params.max_connections) {
		iscsi_conn_refuse(conn, ISCSI_LOGIN_TOO_MANY_CONNECTIONS);
		return;
	}
	iscsi_conn_share_params(&conn->login->params, &session->params);
	conn->cid = conn->login->cid;
	conn->session = session;
	atomic_fetch_add(&session->connections, 1);
	qb_list_add_tail(&conn->session_link, &session->conns);
	/* Reinstatement is an implicit logout (6.3.4); the session lives on by the new one. */
	if (old) {
		iscsi_conn_drop(old, "the initiator has logged the connection in again");
	}
	if (!iscsi_conn_cid_is_busy(conn)) {
		iscsi_conn_accept(conn);
	}
}

/* On the reactor that it has moved to. */
static void iscsi_conn_moved(struct mailbox_msg *msg)
{
	struct iscsi_conn *conn = container_of(msg, struct iscsi_conn, adopt_msg);

	if (conn->home->stopping || !iscsi_conn_settle(conn, 0)) {
		struct iscsi_reactor *home = conn->home;

		close(conn->rfd.fd);
		iscsi_rx_clear(conn);
		free(conn->login);
		free(conn);
		iscsi_reactor_conn_gone(home);
		return;
	}
	iscsi_conn_join_further(conn);
}

/* At the end of the pass: nothing of this reactor looks at it any more. */
void iscsi_conn_move_deferred(struct reactor_defer *defer)
{
	struct iscsi_conn *conn = container_of(defer, struct iscsi_conn, move_defer);
	struct iscsi_reactor *from = conn->home, *to = conn->move_to;

	iscsi_tx_flush(conn);
	if (conn->state != ISCSI_CONN_JOINING) {
		return;
	}
	/* Responses to earlier Login Requests belong to this reactor's pool. */
	if (conn->tx.first) {
		iscsi_conn_drop(conn, "the initiator does not take the responses to its login");
		return;
	}
	iscsi_conn_unsettle(conn);
	conn->home = to;
	conn->join.reactor = to->reactor;
	conn->adopt_msg.fn = iscsi_conn_moved;
	atomic_fetch_add(&to->connections, 1);
	iscsi_reactor_conn_left(from);
	reactor_post(to->reactor, &conn->adopt_msg);
}

void iscsi_conn_join_further(struct iscsi_conn *conn)
{
	struct iscsi_session *session = NULL;
	struct iscsi_reactor *home =
		iscsi_registry_find(&conn->home->iscsi->registry, conn->login, &session);

	if (!home) {
		iscsi_conn_refuse(conn, ISCSI_LOGIN_NO_SESSION);
	} else if (home == conn->home) {
		iscsi_conn_take_place(conn, session);
	} else if (conn->move_to) {
		/* It has moved once; meanwhile the session was replaced, on another reactor. */
		iscsi_conn_refuse(conn, ISCSI_LOGIN_NO_SESSION);
	} else {
		conn->move_to = home;
		reactor_defer(conn->home->reactor, &conn->move_defer);
	}
}
