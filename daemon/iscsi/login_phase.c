/* SPDX-License-Identifier: BSD-3-Clause */
/* Carries Login PDUs between the socket and login.h, and makes the session in the end. */
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/iscsi/cmd.h"
#include "daemon/iscsi/conn.h"
#include "yoke/log.h"

/* Up to the text buffers: all that text negotiation needs later. */
#define ISCSI_LOGIN_HEAD_BYTES offsetof(struct iscsi_login, in)

/* Queues a Login or Text Response. False: the connection is gone. */
static bool iscsi_login_send(struct iscsi_conn *conn, const struct iscsi_login_reply *reply)
{
	struct iscsi_tx *tx = iscsi_tx_new(conn, ISCSI_OP_LOGIN_RESPONSE, 0, 0);

	if (!tx) {
		return false;
	}
	memcpy(tx->header, reply->bhs, ISCSI_BHS_BYTES);
	if (reply->data_length) {
		tx->own = malloc(reply->data_length);
		if (!tx->own) {
			iscsi_pool_put(&conn->home->txs, tx);
			iscsi_conn_drop(conn, "out of memory for a response");
			return false;
		}
		memcpy(tx->own, reply->data, reply->data_length);
		tx->data = tx->own;
		tx->data_bytes = reply->data_length;
	}
	iscsi_tx_queue(conn, tx, ISCSI_TX_STATSN_USE);
	return iscsi_conn_is_open(conn);
}

static void iscsi_login_send_last(struct iscsi_conn *conn, const struct iscsi_login_reply *reply)
{
	const struct iscsi_login *login = conn->login;

	if (login->status >> 8 == 1) {
		log_info("iscsi: %s from %s was sent on: %s", login->initiator, conn->peer,
			login->reason);
	} else {
		log_warning("iscsi: login of %s from %s refused: %s: %s",
			login->initiator[0] ? login->initiator : "an unnamed initiator", conn->peer,
			iscsi_login_status_name(login->status), login->reason);
	}
	if (iscsi_login_send(conn, reply)) {
		iscsi_conn_event(conn, ISCSI_CONN_LAST);
	}
}

static bool iscsi_login_random(void *bytes, size_t size)
{
	return RAND_bytes(bytes, (int)size) == 1;
}

/* Memory for the login is taken with its first PDU: a connection that says nothing costs little. */
static bool iscsi_login_begin(struct iscsi_conn *conn, const uint8_t *bhs)
{
	struct iscsi_login_setup setup = {
		.conf = conn->home->conf,
		.controller = conn->listener->controller,
		.portal = conn->listener->portal,
		.peer = &conn->peer_address,
		.secrets = conn->home->secrets,
		.random = iscsi_login_random,
	};

	if (conn->login) {
		return true;
	}
	conn->login = malloc(sizeof(*conn->login));
	if (!conn->login) {
		iscsi_conn_drop(conn, "out of memory for a login");
		return false;
	}
	iscsi_login_init(conn->login, &setup);
	/* The initiator says what it expects on a new connection; any value would do. */
	conn->statsn = iscsi_bhs_expstatsn(bhs);
	return true;
}

void iscsi_conn_login_pdu(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length)
{
	struct iscsi_login_reply *reply = conn->home->reply;

	if (!iscsi_login_begin(conn, bhs)) {
		return;
	}
	conn->login_cmdsn = iscsi_bhs_cmdsn(bhs);
	switch (iscsi_login_input(conn->login, bhs, data, length, reply)) {
	case ISCSI_LOGIN_REPLY:
		iscsi_login_send(conn, reply);
		break;
	case ISCSI_LOGIN_FINAL:
		iscsi_conn_event(conn, ISCSI_CONN_AGREED);
		break;
	case ISCSI_LOGIN_FAILED:
		iscsi_login_send_last(conn, reply);
		break;
	case ISCSI_LOGIN_DROP:
		iscsi_conn_drop(conn, "%s", conn->login->reason);
		break;
	}
}

void iscsi_conn_refuse(struct iscsi_conn *conn, enum iscsi_login_status status)
{
	iscsi_login_refuse(conn->login, status, conn->home->reply);
	iscsi_login_send_last(conn, conn->home->reply);
}

void iscsi_conn_accept(struct iscsi_conn *conn)
{
	struct iscsi_session *session = conn->session;

	iscsi_login_accept(conn->login, session->tsih, conn->home->reply);
	if (!iscsi_login_send(conn, conn->home->reply)) {
		return;
	}
	conn->params = conn->login->params; /* digests from the next PDU on */
	conn->login_head = malloc(ISCSI_LOGIN_HEAD_BYTES);
	if (!conn->login_head) {
		iscsi_conn_drop(conn, "out of memory for a session");
		return;
	}
	memcpy(conn->login_head, conn->login, ISCSI_LOGIN_HEAD_BYTES);
	free(conn->login);
	conn->login = NULL;
	log_info("iscsi: session %u: %s from %s logged in to %s at %s%s%.255s%s", session->tsih,
		session->initiator, conn->peer, session->discovery ? "discovery" : session->target,
		session->portal, session->user[0] ? " as " : "", session->user,
		session->user[0] ? " (CHAP)" : "");
	iscsi_conn_event(conn, ISCSI_CONN_JOINED);
	iscsi_conn_conf_follow(conn);
	iscsi_reload_check(conn->home);
}

void iscsi_conn_join(struct iscsi_conn *conn)
{
	if (conn->login->tsih != 0) {
		iscsi_conn_join_further(conn);
		return;
	}
	conn->cid = conn->login->cid;
	if (!conn->session) {
		conn->session = iscsi_session_new(conn, conn->login_cmdsn);
	}
	if (!conn->session) {
		iscsi_conn_refuse(conn, ISCSI_LOGIN_OUT_OF_RESOURCES);
		return;
	}
	switch (iscsi_registry_join(&conn->home->iscsi->registry, conn->session, &conn->join)) {
	case ISCSI_JOIN_DONE:
		if (iscsi_session_open(conn->session, conn->listener) < 0) {
			iscsi_conn_refuse(conn, ISCSI_LOGIN_OUT_OF_RESOURCES);
		} else {
			iscsi_conn_accept(conn);
		}
		break;
	case ISCSI_JOIN_WAIT:
		break;
	case ISCSI_JOIN_FULL:
		iscsi_conn_refuse(conn, ISCSI_LOGIN_OUT_OF_RESOURCES);
		break;
	}
}

/* The session that this login replaces has ended. */
void iscsi_conn_joined_msg(struct mailbox_msg *msg)
{
	struct iscsi_conn *conn = container_of(msg, struct iscsi_conn, join.msg);

	iscsi_registry_join_ran(&conn->home->iscsi->registry, &conn->join);
	if (conn->state == ISCSI_CONN_JOINING) {
		iscsi_conn_join(conn);
	} else if (!iscsi_conn_is_open(conn)) {
		reactor_defer(conn->home->reactor, &conn->reap_defer);
	}
}

void iscsi_conn_login_expired(struct iscsi_conn *conn)
{
	iscsi_conn_drop(conn, "no complete login in %u s", conn->home->conf->iscsi.login_timeout_s);
}

/* The whole struct is needed only while a negotiation is under way. */
static bool iscsi_text_begin(struct iscsi_conn *conn)
{
	if (!conn->text) {
		conn->text = malloc(sizeof(*conn->text));
		if (conn->text) {
			iscsi_text_init(conn->text);
		}
	}
	if (conn->text && !conn->login) {
		conn->login = malloc(sizeof(*conn->login));
		if (conn->login) {
			memcpy(conn->login, conn->login_head, ISCSI_LOGIN_HEAD_BYTES);
		}
	}
	if (!conn->text || !conn->login) {
		iscsi_conn_drop(conn, "out of memory for a text negotiation");
		return false;
	}
	return true;
}

static void iscsi_text_end(struct iscsi_conn *conn)
{
	conn->params.send_max_bytes = conn->login->params.send_max_bytes;
	if (!conn->text->active && !conn->text->partial) {
		memcpy(conn->login_head, conn->login, ISCSI_LOGIN_HEAD_BYTES);
		free(conn->login);
		conn->login = NULL;
	}
}

void iscsi_text_request(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length)
{
	enum iscsi_reject_reason reason = ISCSI_REJECT_PROTOCOL;

	if (!iscsi_text_begin(conn)) {
		return;
	}
	switch (iscsi_text_input(
		conn->text, conn->login, bhs, data, length, conn->home->reply, &reason)) {
	case ISCSI_TEXT_REPLY:
		if (!iscsi_login_send(conn, conn->home->reply)) {
			return;
		}
		break;
	case ISCSI_TEXT_REJECT:
		log_info("iscsi: session %u of %s: text request rejected: %s", conn->session->tsih,
			conn->session->initiator, conn->login->reason);
		iscsi_tx_reject(conn, reason);
		break;
	case ISCSI_TEXT_DROP:
		iscsi_conn_violation(conn, "%s", conn->login->reason);
		return;
	}
	if (iscsi_conn_is_open(conn)) {
		iscsi_text_end(conn);
	}
}
