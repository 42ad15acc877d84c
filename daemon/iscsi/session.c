/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/iscsi/cmd.h"
#include "daemon/iscsi/conn.h"
#include "daemon/iscsi/tmf.h"
#include "yoke/log.h"

static struct iscsi_registry *iscsi_session_registry(struct iscsi_session *session)
{
	return &session->home->iscsi->registry;
}

/* Another login of the same initiator port takes over. On the session's reactor. */
static void iscsi_session_close_fn(struct mailbox_msg *msg)
{
	struct iscsi_session *session = container_of(msg, struct iscsi_session, close_msg);
	struct iscsi_conn *conn;

	iscsi_registry_close_ran(iscsi_session_registry(session), session);
	iscsi_session_end(session, "the initiator has logged in again");
	/* It may have waited for this message only. */
	qb_list_for_each_entry (conn, &session->conns, session_link) {
		reactor_defer(session->home->reactor, &conn->reap_defer);
	}
}

struct iscsi_session *iscsi_session_new(struct iscsi_conn *conn, uint32_t exp_cmdsn)
{
	const struct iscsi_login *login = conn->login;
	struct iscsi_session *session = calloc(1, sizeof(*session));

	if (!session) {
		return NULL;
	}
	if (iscsi_window_init(&session->window, exp_cmdsn, conn->home->conf->iscsi.command_window) <
		0) {
		free(session);
		return NULL;
	}
	memcpy(session->initiator, login->initiator, sizeof(session->initiator));
	memcpy(session->alias, login->initiator_alias, sizeof(session->alias));
	memcpy(session->target, login->target, sizeof(session->target));
	memcpy(session->isid, login->isid, sizeof(session->isid));
	memcpy(session->initiator_address, conn->peer, sizeof(session->initiator_address));
	snprintf(session->portal, sizeof(session->portal), "%s", conn->listener->portal->text);
	session->controller = conn->listener->controller;
	session->rtpi = conn->listener->rtpi;
	session->peer_address = conn->peer_address;
	snprintf(session->user, sizeof(session->user), "%s", login->chap.user_name);
	session->discovery = login->params.discovery;
	session->since_unix_s = (uint64_t)time(NULL);
	session->home = conn->home;
	session->params = login->params;
	session->close_msg.fn = iscsi_session_close_fn;
	session->nexus_closed = true;
	qb_list_init(&session->conns);
	qb_list_add_tail(&conn->session_link, &session->conns);
	atomic_store(&session->connections, 1);
	qb_list_init(&session->joins);
	qb_list_init(&session->cmds);
	qb_list_init(&session->tmf_list);
	qb_list_init(&session->ordered);
	qb_list_init(&session->urgent);
	return session;
}

static void iscsi_session_cold_reset(void *arg)
{
	iscsi_session_end(arg, "the target has been reset");
}

int iscsi_session_open(struct iscsi_session *session, const struct iscsi_listener *listener)
{
	struct scsi_identity who = {
		.rtpi = session->rtpi,
		.controller = session->controller,
	};

	if (session->discovery) {
		return 0;
	}
	memcpy(who.initiator, session->initiator, sizeof(who.initiator));
	memcpy(who.target, session->target, sizeof(who.target));
	memcpy(who.isid, session->isid, sizeof(who.isid));
	session->nexus =
		scsi_nexus_new(session->home->iscsi->setup.scsi, session->home->reactor, &who);
	session->nexus_closed = !session->nexus;
	if (session->nexus) {
		scsi_nexus_on_reset(session->nexus, iscsi_session_cold_reset, session);
	}
	return session->nexus ? 0 : -ENOMEM;
}

static void iscsi_session_nexus_closed(void *arg)
{
	struct iscsi_session *session = arg;

	session->nexus_closed = true;
	iscsi_session_check_ended(session);
}

void iscsi_session_check_ended(struct iscsi_session *session)
{
	struct iscsi_conn *conn;

	if (!session->ending || session->ended || !session->nexus_closed || session->tmfs) {
		return;
	}
	session->ended = true;
	iscsi_registry_leave(iscsi_session_registry(session), session);
	if (session->tsih) {
		log_info("iscsi: session %u of %s at %s from %s has ended", session->tsih,
			session->initiator, session->discovery ? "discovery" : session->target,
			session->initiator_address);
	}
	qb_list_for_each_entry (conn, &session->conns, session_link) {
		iscsi_conn_session_ended(conn);
	}
}

/* Those that send their last PDU go by themselves. */
static void iscsi_session_drop_conns(struct iscsi_session *session, const char *why)
{
	struct iscsi_conn *conn;

	qb_list_for_each_entry (conn, &session->conns, session_link) {
		if (conn->state == ISCSI_CONN_FULL || conn->state == ISCSI_CONN_JOINING) {
			iscsi_conn_drop(conn, "%s", why);
		}
	}
}

/* Forgets the task management functions of a list: all, or those of a connection. */
static void iscsi_session_free_tmfs(struct qb_list_head *list, const struct iscsi_conn *conn)
{
	struct qb_list_head *pos, *next;

	qb_list_for_each_safe (pos, next, list) {
		struct iscsi_ordered *ordered = qb_list_entry(pos, struct iscsi_ordered, link);

		if (ordered->is_tmf && (!conn || ordered->conn == conn)) {
			iscsi_tmf_free(container_of(ordered, struct iscsi_tmf, ordered));
		}
	}
}

void iscsi_session_end(struct iscsi_session *session, const char *why)
{
	struct qb_list_head *pos, *next;

	if (session->ending) {
		return;
	}
	session->ending = true;
	iscsi_session_drop_conns(session, why);
	qb_list_for_each_safe (pos, next, &session->cmds) {
		struct iscsi_cmd *cmd = qb_list_entry(pos, struct iscsi_cmd, link);

		if (iscsi_cmd_is_unrun(cmd)) {
			iscsi_cmd_drop(cmd);
		}
	}
	iscsi_session_free_tmfs(&session->ordered, NULL);
	iscsi_session_free_tmfs(&session->urgent, NULL);
	iscsi_tmf_fence_drop(session, NULL);
	if (session->nexus) {
		scsi_nexus_close(session->nexus, iscsi_session_nexus_closed, session);
	} else {
		iscsi_session_check_ended(session);
	}
}

bool iscsi_session_lives_without(const struct iscsi_session *session, const struct iscsi_conn *conn)
{
	const struct iscsi_conn *other;

	qb_list_for_each_entry (other, &session->conns, session_link) {
		if (other != conn &&
			(other->state == ISCSI_CONN_FULL || other->state == ISCSI_CONN_JOINING)) {
			return !session->ending;
		}
	}
	return false;
}

/* A command of the connection that has not been cut yet; NULL. */
static struct iscsi_cmd *iscsi_session_next_uncut(
	const struct iscsi_session *session, const struct iscsi_conn *conn)
{
	struct iscsi_cmd *cmd;

	qb_list_for_each_entry (cmd, &session->cmds, link) {
		if (cmd->conn == conn && !cmd->cut && cmd->state != ISCSI_CMD_ANSWERING) {
			return cmd;
		}
	}
	return NULL;
}

/* Everything that is due now, in order. A delivery may end the session. */
static void iscsi_session_deliver(struct iscsi_session *session)
{
	while (!session->ending) {
		struct iscsi_ordered *due = NULL;
		uint32_t cmdsn;

		if (!qb_list_empty(&session->ordered)) {
			due = qb_list_first_entry(&session->ordered, struct iscsi_ordered, link);
			due = due->cmdsn == session->window.exp_cmdsn ? due : NULL;
		}
		if (due && due->conn->quiet) {
			iscsi_conn_prove(due->conn);
			return;
		}
		if (!iscsi_window_next(&session->window, &cmdsn)) {
			return;
		}
		if (due) {
			qb_list_del(&due->link);
			qb_list_init(&due->link);
			due->deliver(due);
		}
	}
}

void iscsi_session_cut(struct iscsi_session *session, struct iscsi_conn *conn)
{
	struct iscsi_cmd *cmd;

	iscsi_session_free_tmfs(&session->ordered, conn);
	iscsi_session_free_tmfs(&session->urgent, conn);
	iscsi_tmf_fence_drop(session, conn);
	/* From the start each time: the end of one may start and end others. */
	while ((cmd = iscsi_session_next_uncut(session, conn))) {
		bool unrun = iscsi_cmd_is_unrun(cmd);

		cmd->cut = true;
		if (cmd->start != SCSI_START_DONE) {
			scsi_task_lost(&cmd->task);
		}
		if (unrun) {
			iscsi_cmd_drop(cmd);
		}
	}
	if (session->fenced) {
		iscsi_tmf_fence_check(session);
	}
	/* What came on other connections may have waited behind its commands. */
	iscsi_session_deliver(session);
}

bool iscsi_session_may_free(struct iscsi_session *session)
{
	return session->ended &&
	       !iscsi_registry_close_pending(iscsi_session_registry(session), session);
}

void iscsi_session_free(struct iscsi_session *session)
{
	iscsi_window_clear(&session->window);
	free(session);
}

static struct iscsi_cmd **iscsi_session_bucket(const struct iscsi_session *session, uint32_t itt)
{
	return (struct iscsi_cmd **)&session
		->tags[(itt ^ itt >> 16 ^ itt >> 24) % ISCSI_SESSION_BUCKETS];
}

struct iscsi_cmd *iscsi_session_find(const struct iscsi_session *session, uint32_t itt)
{
	struct iscsi_cmd *cmd = *iscsi_session_bucket(session, itt);

	while (cmd && cmd->itt != itt) {
		cmd = cmd->next;
	}
	return cmd;
}

void iscsi_session_add(struct iscsi_session *session, struct iscsi_cmd *cmd)
{
	struct iscsi_cmd **bucket = iscsi_session_bucket(session, cmd->itt);

	cmd->next = *bucket;
	*bucket = cmd;
	cmd->tagged = true;
}

void iscsi_session_remove(struct iscsi_session *session, struct iscsi_cmd *cmd)
{
	struct iscsi_cmd **p = iscsi_session_bucket(session, cmd->itt);

	if (!cmd->tagged) {
		return;
	}
	while (*p != cmd) {
		p = &(*p)->next;
	}
	*p = cmd->next;
	cmd->tagged = false;
}

void iscsi_session_note_aborted(struct iscsi_session *session, uint32_t itt)
{
	session->aborted[session->aborted_next++ % ISCSI_ABORTED_TAGS] = itt;
	if (session->aborted_count < ISCSI_ABORTED_TAGS) {
		session->aborted_count++;
	}
}

bool iscsi_session_was_aborted(const struct iscsi_session *session, uint32_t itt)
{
	for (unsigned i = 0; i < session->aborted_count; i++) {
		if (session->aborted[i] == itt) {
			return true;
		}
	}
	return false;
}

void iscsi_session_reuse_tag(struct iscsi_session *session, uint32_t itt)
{
	for (unsigned i = 0; i < session->aborted_count; i++) {
		if (session->aborted[i] == itt) {
			session->aborted[i] = ISCSI_TAG_NONE;
		}
	}
}

uint32_t iscsi_session_ttt(struct iscsi_session *session)
{
	if (session->next_ttt == ISCSI_TAG_NONE) {
		session->next_ttt = 0;
	}
	return session->next_ttt++;
}

void iscsi_session_receive(struct iscsi_session *session, struct iscsi_ordered *ordered)
{
	struct qb_list_head *pos = session->ordered.prev;

	while (pos != &session->ordered &&
		iscsi_sn_before(
			ordered->cmdsn, qb_list_entry(pos, struct iscsi_ordered, link)->cmdsn)) {
		pos = pos->prev;
	}
	/* Behind `pos`. */
	qb_list_add(&ordered->link, pos);
	iscsi_window_receive(&session->window, ordered->cmdsn);
	iscsi_session_deliver(session);
}

void iscsi_session_skip(struct iscsi_session *session, uint32_t cmdsn)
{
	iscsi_window_receive(&session->window, cmdsn);
	iscsi_session_deliver(session);
}

void iscsi_session_receive_urgent(struct iscsi_session *session, struct iscsi_ordered *ordered)
{
	if (ordered->conn->quiet) {
		qb_list_add_tail(&ordered->link, &session->urgent);
		iscsi_conn_prove(ordered->conn);
		return;
	}
	ordered->deliver(ordered);
	/* A function may have taken back what others waited behind. */
	iscsi_session_deliver(session);
}

static struct iscsi_ordered *iscsi_session_urgent_of(
	const struct iscsi_session *session, const struct iscsi_conn *conn)
{
	struct iscsi_ordered *ordered;

	qb_list_for_each_entry (ordered, &session->urgent, link) {
		if (ordered->conn == conn) {
			return ordered;
		}
	}
	return NULL;
}

/*
 * Immediate ones first: a function then finds what has waited beside it still unrun, and tells by
 * CmdSN what is older than itself.
 */
void iscsi_session_release(struct iscsi_session *session, const struct iscsi_conn *conn)
{
	struct iscsi_ordered *ordered;

	while (!session->ending && (ordered = iscsi_session_urgent_of(session, conn))) {
		qb_list_del(&ordered->link);
		qb_list_init(&ordered->link);
		ordered->deliver(ordered);
	}
	iscsi_session_deliver(session);
}
