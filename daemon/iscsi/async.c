/* SPDX-License-Identifier: BSD-3-Clause */
/* Asynchronous messages (RFC 7143 11.9): asking initiators to log out, saying goodbye. */
#include <stdlib.h>

#include "daemon/iscsi/conn.h"
#include "yoke/log.h"

#define ISCSI_ASYNC_WAIT_S 0u /* tell initiators to look for another path at once */

static struct iscsi_tx *iscsi_async_new(struct iscsi_conn *conn, enum iscsi_async_event event)
{
	struct iscsi_tx *tx = iscsi_tx_new(conn, ISCSI_OP_ASYNC, ISCSI_FLAG_FINAL, ISCSI_TAG_NONE);

	if (tx) {
		tx->header[ISCSI_ASYNC_EVENT] = (uint8_t)event;
	}
	return tx;
}

void iscsi_conn_async_drop(struct iscsi_conn *conn)
{
	struct iscsi_tx *tx = iscsi_async_new(conn, ISCSI_ASYNC_SESSION_DROP);

	if (!tx) {
		return;
	}
	be16_put(tx->header + ISCSI_ASYNC_PARAMETER2, ISCSI_ASYNC_WAIT_S);
	be16_put(tx->header + ISCSI_ASYNC_PARAMETER3, conn->params.time2retain_s);
	iscsi_tx_queue_behind(conn, tx);
	iscsi_conn_event(conn, ISCSI_CONN_LAST);
}

/* Each connection is asked by itself, over itself (event 1). */
static void iscsi_conn_async_logout(struct iscsi_conn *conn, uint16_t within_s)
{
	struct iscsi_tx *tx = iscsi_async_new(conn, ISCSI_ASYNC_LOGOUT_REQUEST);

	if (!tx) {
		return;
	}
	be16_put(tx->header + ISCSI_ASYNC_PARAMETER3, within_s);
	iscsi_tx_queue_behind(conn, tx);
	conn->logout_until_ms = reactor_now_ms(conn->home->reactor) + within_s * 1000ull;
	iscsi_conn_nop_timer(conn);
}

/* From the control thread to a reactor. */
struct iscsi_logout_call {
	struct mailbox_msg msg;
	struct iscsi_reactor *home;
	uint16_t tsih; /* 0: all */
	uint16_t within_s;
};

static void iscsi_logout_call_fn(struct mailbox_msg *msg)
{
	struct iscsi_logout_call *call = container_of(msg, struct iscsi_logout_call, msg);
	struct qb_list_head *pos, *next;

	qb_list_for_each_safe (pos, next, &call->home->conns) {
		struct iscsi_conn *conn = qb_list_entry(pos, struct iscsi_conn, link);

		if (conn->state == ISCSI_CONN_FULL && !conn->session->discovery &&
			(!call->tsih || conn->session->tsih == call->tsih)) {
			iscsi_conn_async_logout(conn, call->within_s);
		}
	}
	free(call);
}

struct iscsi_logout_count {
	uint16_t tsih;
	unsigned found;
};

static void iscsi_logout_count(const struct iscsi_session *session, void *arg)
{
	struct iscsi_logout_count *count = arg;

	count->found += !session->discovery && (!count->tsih || count->tsih == session->tsih);
}

unsigned iscsi_session_logout(struct iscsi *iscsi, uint16_t tsih, uint16_t within_s)
{
	struct iscsi_logout_count count = {.tsih = tsih};

	iscsi_registry_each(&iscsi->registry, iscsi_logout_count, &count);
	for (unsigned i = 0; count.found && i < iscsi->setup.reactor_count; i++) {
		struct iscsi_logout_call *call = calloc(1, sizeof(*call));

		if (!call) {
			log_err("iscsi: out of memory for a request to log out");
			break;
		}
		call->msg.fn = iscsi_logout_call_fn;
		call->home = &iscsi->reactors[i];
		call->tsih = tsih;
		call->within_s = within_s;
		reactor_post(call->home->reactor, &call->msg);
	}
	return count.found;
}
