/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/tmf.h"

#include <string.h>

#include "daemon/iscsi/cmd.h"
#include "yoke/log.h"

void iscsi_tmf_free(struct iscsi_tmf *tmf)
{
	struct iscsi_session *session = tmf->session;
	struct iscsi_conn *conn = tmf->conn;

	if (tmf->in_window) {
		iscsi_window_give(&session->window);
	}
	session->fenced -= tmf->fenced;
	qb_list_del(&tmf->ordered.link);
	qb_list_del(&tmf->link);
	iscsi_pool_put(&session->home->tmfs, tmf);
	session->tmfs--;
	conn->tmfs--;
	iscsi_session_check_ended(session);
	iscsi_conn_task_gone(conn);
}

static void iscsi_tmf_answer(struct iscsi_tmf *tmf, uint8_t response)
{
	struct iscsi_conn *conn = tmf->conn;
	struct iscsi_tx *tx;

	log_debug("iscsi: session %u of %s: %s: response %u", tmf->session->tsih,
		tmf->session->initiator,
		scsi_tmf_function_name((enum scsi_tmf_function)tmf->tmf.function), response);
	if (!tmf->session->ending && iscsi_conn_is_open(conn)) {
		tx = iscsi_tx_new(
			conn, ISCSI_OP_TMF_RESPONSE, ISCSI_FLAG_FINAL, iscsi_bhs_itt(tmf->bhs));
		if (tx) {
			if (tmf->in_window) {
				iscsi_window_give(&tmf->session->window);
				tmf->in_window = false;
			}
			tx->header[ISCSI_TMF_RESPONSE] = response;
			memcpy(tx->header + ISCSI_TMF_INFO, tmf->tmf.info, sizeof(tmf->tmf.info));
			iscsi_tx_queue_behind(conn, tx);
		}
	}
	iscsi_tmf_free(tmf);
}

/*
 * RFC 7143 4.2.3.3: the answer to a function that ends many tasks must not overtake responses that
 * went out over other connections: those are acknowledged first. On its own connection the order of
 * the PDUs is enough.
 */
static bool iscsi_tmf_is_fenced(uint8_t function)
{
	return function == SCSI_TMF_ABORT_TASK_SET || function == SCSI_TMF_CLEAR_TASK_SET ||
	       function == SCSI_TMF_LU_RESET || function == SCSI_TMF_TARGET_WARM_RESET;
}

static bool iscsi_tmf_conn_owes(const struct iscsi_conn *conn)
{
	return conn->state == ISCSI_CONN_FULL && iscsi_sn_before(conn->acked, conn->fence_statsn);
}

/* True when a connection has to acknowledge something first. */
static bool iscsi_tmf_raise_fence(struct iscsi_tmf *tmf)
{
	struct iscsi_conn *conn;
	bool owes = false;

	qb_list_for_each_entry (conn, &tmf->session->conns, session_link) {
		if (conn == tmf->conn || conn->state != ISCSI_CONN_FULL) {
			continue;
		}
		/* Responses that are queued get the numbers behind. */
		conn->fence_statsn = conn->statsn + conn->tx.item_count;
		if (iscsi_tmf_conn_owes(conn)) {
			iscsi_conn_ping(conn);
			owes = true;
		}
	}
	return owes;
}

void iscsi_tmf_fence_check(struct iscsi_session *session)
{
	struct qb_list_head *pos, *next;
	struct iscsi_conn *conn;

	qb_list_for_each_entry (conn, &session->conns, session_link) {
		if (iscsi_tmf_conn_owes(conn)) {
			return;
		}
	}
	qb_list_for_each_safe (pos, next, &session->tmf_list) {
		struct iscsi_tmf *tmf = qb_list_entry(pos, struct iscsi_tmf, link);

		if (tmf->fenced) {
			iscsi_tmf_answer(tmf, tmf->tmf.response);
		}
	}
}

void iscsi_tmf_fence_drop(struct iscsi_session *session, const struct iscsi_conn *conn)
{
	struct qb_list_head *pos, *next;

	qb_list_for_each_safe (pos, next, &session->tmf_list) {
		struct iscsi_tmf *tmf = qb_list_entry(pos, struct iscsi_tmf, link);

		if (tmf->fenced && (!conn || tmf->conn == conn)) {
			iscsi_tmf_free(tmf);
		}
	}
}

/* The answer, then every connection goes; nothing of the session is kept. */
static void iscsi_tmf_answer_last(struct iscsi_tmf *tmf, const char *why)
{
	struct iscsi_session *session = tmf->session;
	struct iscsi_conn *conn = tmf->conn;

	if (session->ending || !iscsi_conn_is_open(conn)) {
		iscsi_tmf_answer(tmf, SCSI_TMF_COMPLETE);
		return;
	}
	iscsi_tmf_answer(tmf, SCSI_TMF_COMPLETE);
	if (conn->state == ISCSI_CONN_FULL) {
		iscsi_conn_event(conn, ISCSI_CONN_LAST);
	}
	iscsi_session_end(session, why);
}

/* The device server has ended every task it names. */
static void iscsi_tmf_done(struct scsi_tmf *scsi_tmf)
{
	struct iscsi_tmf *tmf = container_of(scsi_tmf, struct iscsi_tmf, tmf);

	if (scsi_tmf->function == SCSI_TMF_TARGET_COLD_RESET &&
		scsi_tmf->response == SCSI_TMF_COMPLETE) {
		iscsi_tmf_answer_last(tmf, "the initiator has reset the target");
		return;
	}
	if (!tmf->session->ending && iscsi_tmf_is_fenced(scsi_tmf->function) &&
		iscsi_conn_is_open(tmf->conn) && iscsi_tmf_raise_fence(tmf)) {
		tmf->fenced = true;
		tmf->session->fenced++;
		return;
	}
	iscsi_tmf_answer(tmf, scsi_tmf->response);
}

static void iscsi_tmf_pass(struct iscsi_tmf *tmf)
{
	tmf->tmf.done = iscsi_tmf_done;
	tmf->tmf.ref_tag = be32_get(tmf->bhs + ISCSI_TMF_REFERENCED_TAG);
	scsi_tmf_run(&tmf->tmf);
}

/*
 * The task is unknown: was it never received, or is it over (RFC 7143 11.5.1)? In the first case
 * its CmdSN counts as received, so that it cannot come any more.
 */
static uint8_t iscsi_tmf_abort_unknown(struct iscsi_tmf *tmf)
{
	struct iscsi_session *session = tmf->session;
	uint32_t ref = be32_get(tmf->bhs + ISCSI_TMF_REFCMDSN);
	uint32_t own = iscsi_bhs_cmdsn(tmf->bhs);

	if (iscsi_sn_before(ref, own) &&
		iscsi_window_check(&session->window, ref) != ISCSI_WINDOW_DROP) {
		iscsi_session_skip(session, ref);
		return SCSI_TMF_COMPLETE;
	}
	return SCSI_TMF_NO_TASK;
}

/* Does the referenced tag name a task management function in flight? */
static bool iscsi_tmf_is_referenced(const struct iscsi_tmf *tmf)
{
	uint32_t itt = be32_get(tmf->bhs + ISCSI_TMF_REFERENCED_TAG);
	const struct iscsi_tmf *other;

	qb_list_for_each_entry (other, &tmf->session->tmf_list, link) {
		if (iscsi_bhs_itt(other->bhs) == itt) {
			return true;
		}
	}
	return false;
}

static void iscsi_tmf_abort_task(struct iscsi_tmf *tmf)
{
	struct iscsi_cmd *cmd =
		iscsi_session_find(tmf->session, be32_get(tmf->bhs + ISCSI_TMF_REFERENCED_TAG));

	if (!cmd) {
		/* RFC 7143 11.5.1: one does not abort another, or itself. */
		iscsi_tmf_answer(tmf, iscsi_tmf_is_referenced(tmf) ? SCSI_TMF_REJECTED
								   : iscsi_tmf_abort_unknown(tmf));
		return;
	}
	if (memcmp(cmd->task.lun, tmf->tmf.lun, sizeof(cmd->task.lun)) != 0 ||
		cmd->state == ISCSI_CMD_ANSWERING) {
		iscsi_tmf_answer(tmf, SCSI_TMF_NO_TASK);
		return;
	}
	if (iscsi_cmd_is_unrun(cmd)) {
		iscsi_cmd_drop(cmd);
		iscsi_tmf_answer(tmf, SCSI_TMF_COMPLETE);
		return;
	}
	iscsi_tmf_pass(tmf);
}

/* Is the command one that the function is about: of its LU, or of any, and older than it? */
static bool iscsi_tmf_names(const struct iscsi_tmf *tmf, const struct iscsi_cmd *cmd)
{
	bool any_lu = tmf->tmf.function == SCSI_TMF_TARGET_WARM_RESET ||
		      tmf->tmf.function == SCSI_TMF_TARGET_COLD_RESET;

	/* What is still coming in, on another connection, is younger or immediate. */
	return cmd->state != ISCSI_CMD_RECEIVING &&
	       (any_lu || memcmp(cmd->task.lun, tmf->tmf.lun, sizeof(cmd->task.lun)) == 0) &&
	       (cmd->state != ISCSI_CMD_ORDERING ||
		       iscsi_sn_before(cmd->ordered.cmdsn, iscsi_bhs_cmdsn(tmf->bhs)));
}

/* Tasks that the device server has not got yet are dropped here, the others there. */
static void iscsi_tmf_abort_many(struct iscsi_tmf *tmf)
{
	struct qb_list_head *pos, *next;

	qb_list_for_each_safe (pos, next, &tmf->session->cmds) {
		struct iscsi_cmd *cmd = qb_list_entry(pos, struct iscsi_cmd, link);

		if (iscsi_cmd_is_unrun(cmd) && iscsi_tmf_names(tmf, cmd)) {
			iscsi_cmd_drop(cmd);
		}
	}
	iscsi_tmf_pass(tmf);
}

static void iscsi_tmf_no_reassign(struct iscsi_tmf *tmf)
{
	iscsi_tmf_answer(tmf, SCSI_TMF_NO_REASSIGN); /* error recovery level 0 */
}

/* RFC 7144 6 */
static void iscsi_tmf_nexus_reset(struct iscsi_tmf *tmf)
{
	log_notice("iscsi: session %u of %s: I_T NEXUS RESET", tmf->session->tsih,
		tmf->session->initiator);
	iscsi_tmf_answer_last(tmf, "the initiator has reset the nexus");
}

/* A function without a row is the device server's to carry out or refuse. */
static const struct {
	void (*run)(struct iscsi_tmf *tmf);
	uint8_t level; /* iSCSIProtocolLevel that brings it */
} iscsi_tmf_functions[] = {
	[SCSI_TMF_ABORT_TASK] = {iscsi_tmf_abort_task, 0},
	[SCSI_TMF_ABORT_TASK_SET] = {iscsi_tmf_abort_many, 0},
	[SCSI_TMF_CLEAR_TASK_SET] = {iscsi_tmf_abort_many, 0},
	[SCSI_TMF_LU_RESET] = {iscsi_tmf_abort_many, 0},
	[SCSI_TMF_TARGET_WARM_RESET] = {iscsi_tmf_abort_many, 0},
	[SCSI_TMF_TARGET_COLD_RESET] = {iscsi_tmf_abort_many, 0},
	[SCSI_TMF_TASK_REASSIGN] = {iscsi_tmf_no_reassign, 0},
	[SCSI_TMF_QUERY_TASK] = {iscsi_tmf_pass, 2},
	[SCSI_TMF_QUERY_TASK_SET] = {iscsi_tmf_pass, 2},
	[SCSI_TMF_I_T_NEXUS_RESET] = {iscsi_tmf_nexus_reset, 2},
	[SCSI_TMF_QUERY_ASYNC_EVENT] = {iscsi_tmf_pass, 2},
};

static void iscsi_tmf_deliver(struct iscsi_ordered *ordered)
{
	struct iscsi_tmf *tmf = container_of(ordered, struct iscsi_tmf, ordered);
	uint8_t function = tmf->tmf.function;

	if (!(tmf->bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_IMMEDIATE)) {
		tmf->in_window = true;
		iscsi_window_take(&tmf->session->window);
	}
	if (function >= ARRAY_SIZE(iscsi_tmf_functions) || !iscsi_tmf_functions[function].run) {
		iscsi_tmf_pass(tmf);
	} else if (iscsi_tmf_functions[function].level > tmf->session->params.protocol_level) {
		iscsi_tmf_answer(tmf, SCSI_TMF_NOT_SUPPORTED);
	} else {
		iscsi_tmf_functions[function].run(tmf);
	}
}

void iscsi_tmf_request(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length)
{
	struct iscsi_session *session = conn->session;
	bool immediate = bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_IMMEDIATE;
	struct iscsi_tmf *tmf;

	(void)data;
	(void)length;
	if (!immediate &&
		iscsi_window_check(&session->window, iscsi_bhs_cmdsn(bhs)) == ISCSI_WINDOW_DROP) {
		return;
	}
	/* The others keep within the window; their CmdSN would be missing for ever. */
	if (immediate && conn->tmfs >= ISCSI_TMFS_MAX) {
		iscsi_tx_reject(conn, ISCSI_REJECT_IMMEDIATE);
		return;
	}
	tmf = iscsi_pool_get(&conn->home->tmfs);
	if (!tmf) {
		iscsi_conn_drop(conn, "out of memory for task management");
		return;
	}
	memset(tmf, 0, sizeof(*tmf));
	memcpy(tmf->bhs, bhs, sizeof(tmf->bhs));
	tmf->session = session;
	tmf->conn = conn;
	qb_list_add_tail(&tmf->link, &session->tmf_list);
	session->tmfs++;
	conn->tmfs++;
	conn->tasks++;
	tmf->ordered.is_tmf = true;
	tmf->ordered.conn = conn;
	tmf->ordered.cmdsn = iscsi_bhs_cmdsn(bhs);
	tmf->ordered.deliver = iscsi_tmf_deliver;
	qb_list_init(&tmf->ordered.link);
	tmf->tmf.nexus = session->nexus;
	tmf->tmf.reactor = conn->home->reactor;
	tmf->tmf.function = bhs[ISCSI_BHS_FLAGS] & ISCSI_TMF_FUNCTION_MASK;
	memcpy(tmf->tmf.lun, bhs + ISCSI_BHS_LUN, sizeof(tmf->tmf.lun));
	if (immediate) {
		iscsi_session_receive_urgent(session, &tmf->ordered);
	} else {
		iscsi_session_receive(session, &tmf->ordered);
	}
}
