/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A changed configuration, and the secrets that came with it. Every reactor has its own pointers to
 * those that count; a message moves them on, and with them the connections in full feature phase:
 * those whose target is gone, or does not admit their initiator any more, are closed. A login under
 * way ends under the configuration and the secrets that it began with (it is bounded by
 * login_timeout) and is looked at then, so a reactor is done with the old ones when the last such
 * login is. A login that has proved its user and moves to its session's reactor keeps nothing of
 * the secrets but a copy of the name.
 *
 * None of it takes memory: by now the device server has gone over, and there is no way back.
 */
#include "daemon/iscsi/conn.h"
#include "daemon/iscsi/discovery.h"
#include "yoke/log.h"
#include "yoke/util.h"

/* Text negotiation begins anew: its place in the list of targets means nothing any more. */
static void reload_login(
	struct iscsi_conn *conn, struct iscsi_login *login, const struct conf *conf)
{
	login->setup.conf = conf;
	login->setup.secrets = conn->home->secrets;
	login->conf_target = conn->session->discovery && !conn->session->target[0]
				     ? NULL
				     : iscsi_target_find(conf, conn->session->target);
}

/* Is the session still one that would be let in? */
static bool reload_admits(const struct iscsi_conn *conn, const struct conf *conf)
{
	const struct iscsi_session *session = conn->session;
	const struct iscsi_visitor visitor = {session->initiator, &conn->peer_address};
	const struct conf_target *target;

	if (!session->target[0]) {
		return true;
	}
	target = iscsi_target_find(conf, session->target);
	return target && iscsi_target_allows(conf, target, &visitor, NULL);
}

void iscsi_conn_conf_follow(struct iscsi_conn *conn)
{
	const struct conf *conf = conn->home->conf, *old;
	struct iscsi_login *head = (struct iscsi_login *)(void *)conn->login_head;

	if (!head || !iscsi_conn_is_open(conn) || head->setup.conf == conf) {
		return;
	}
	old = head->setup.conf;
	reload_login(conn, head, conf);
	if (conn->login) {
		reload_login(conn, conn->login, conf);
	}
	if (conn->text) {
		iscsi_text_init(conn->text);
	}
	if (!reload_admits(conn, conf)) {
		iscsi_conn_drop(conn, "target %s has been removed, or does not admit %s any more",
			conn->session->target, conn->session->initiator);
	} else if (conn->state == ISCSI_CONN_FULL &&
		   (old->iscsi.nop_interval_s != conf->iscsi.nop_interval_s ||
			   old->iscsi.nop_timeout_s != conf->iscsi.nop_timeout_s)) {
		iscsi_conn_nop_start(conn);
	}
}

void iscsi_conn_conf_arrive(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;

	if (login) {
		login->setup.conf = conn->home->conf;
		login->setup.secrets = conn->home->secrets;
		login->conf_target = iscsi_target_find(conn->home->conf, login->target);
	}
}

/* On the control thread. */
static void reload_ended(struct mailbox_msg *msg)
{
	struct iscsi *iscsi = container_of(msg, struct iscsi, reload.msg);

	iscsi->setup.conf = iscsi->reload.conf;
	iscsi->setup.secrets = iscsi->reload.secrets;
	iscsi->reload.done(iscsi->reload.arg);
}

void iscsi_reload_check(struct iscsi_reactor *home)
{
	struct iscsi_reload *reload = &home->iscsi->reload;
	struct iscsi_conn *conn;

	if (!home->reloading) {
		return;
	}
	qb_list_for_each_entry (conn, &home->conns, link) {
		if (conn->login && !conn->login_head && conn->login->setup.conf != home->conf) {
			return;
		}
	}
	home->reloading = false;
	if (atomic_fetch_sub(&reload->left, 1) == 1) {
		mailbox_post(home->iscsi->setup.control, &reload->msg);
	}
}

static void reload_arrived(struct mailbox_msg *msg)
{
	struct iscsi_reactor *home = container_of(msg, struct iscsi_reactor, reload_msg);
	struct qb_list_head *pos, *next;

	home->conf = home->iscsi->reload.conf;
	home->secrets = home->iscsi->reload.secrets;
	qb_list_for_each_safe (pos, next, &home->conns) {
		iscsi_conn_conf_follow(qb_list_entry(pos, struct iscsi_conn, link));
	}
	home->reloading = true;
	iscsi_reload_check(home);
}

void iscsi_conf_set(struct iscsi *iscsi, const struct conf *conf,
	const struct conf_secrets *secrets, void (*done)(void *arg), void *arg)
{
	struct iscsi_reload *reload = &iscsi->reload;

	reload->conf = conf;
	reload->secrets = secrets;
	reload->done = done;
	reload->arg = arg;
	reload->msg.fn = reload_ended;
	atomic_store(&reload->left, iscsi->setup.reactor_count);
	for (unsigned i = 0; i < iscsi->setup.reactor_count; i++) {
		struct iscsi_reactor *home = &iscsi->reactors[i];

		home->reload_msg.fn = reload_arrived;
		reactor_post(home->reactor, &home->reload_msg);
	}
}
