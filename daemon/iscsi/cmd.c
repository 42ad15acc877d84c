/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/cmd.h"

#include <stdlib.h>
#include <string.h>

#include "yoke/log.h"

#define ISCSI_CDB_BYTES 16u /* in the BHS */

/* With a data digest, smaller ones are copied when they are read: cheaper by a little. */
#define ISCSI_CMD_DIGEST_BYTES (64u << 10)

const char *iscsi_cmd_state_name(enum iscsi_cmd_state state)
{
	switch (state) {
	case ISCSI_CMD_RECEIVING:
		return "receiving";
	case ISCSI_CMD_ORDERING:
		return "ordering";
	case ISCSI_CMD_WAITING:
		return "waiting";
	case ISCSI_CMD_DATA:
		return "data";
	case ISCSI_CMD_RUNNING:
		return "running";
	case ISCSI_CMD_ANSWERING:
		return "answering";
	}
	return "?";
}

/* --- the end --- */

static void iscsi_cmd_leave_window(struct iscsi_cmd *cmd)
{
	if (cmd->in_window) {
		iscsi_window_give(&cmd->session->window);
		cmd->in_window = false;
	}
	if (cmd->immediate) {
		cmd->conn->immediate--;
		cmd->immediate = false;
	}
}

static void iscsi_cmd_stop_waiting(struct iscsi_cmd *cmd)
{
	if (cmd->state == ISCSI_CMD_WAITING) {
		cmd->conn->waiting_cmds--;
		iscsi_starved_remove(&cmd->starved);
	}
}

static void iscsi_cmd_early_free(struct iscsi_cmd *cmd)
{
	cmd->conn->home->early_bytes -= cmd->early_bytes;
	free(cmd->early);
	cmd->early = NULL;
	cmd->early_bytes = 0;
}

void iscsi_cmd_free(struct iscsi_cmd *cmd)
{
	struct iscsi_conn *conn = cmd->conn;
	struct iscsi_reactor *home = conn->home;

	iscsi_cmd_leave_window(cmd);
	iscsi_session_remove(cmd->session, cmd);
	qb_list_del(&cmd->link);
	qb_list_del(&cmd->tx_item.link);
	conn->data_bytes -= cmd->charged;
	iscsi_cmd_early_free(cmd);
	if (!cmd->refused) {
		scsi_task_end(&cmd->task);
	}
	iscsi_pool_put(&home->cmds, cmd);
	iscsi_starved_wake(home);
	iscsi_conn_task_gone(conn);
}

void iscsi_cmd_drop(struct iscsi_cmd *cmd)
{
	if (cmd->unsolicited || cmd->bursts_open) {
		iscsi_session_note_aborted(cmd->session, cmd->itt);
	}
	if (cmd->conn->rx.cmd == cmd) {
		iscsi_rx_forget(cmd->conn);
	}
	iscsi_cmd_stop_waiting(cmd);
	qb_list_del(&cmd->ordered.link);
	if (cmd->start != SCSI_START_DONE) {
		scsi_task_drop(&cmd->task);
	}
	iscsi_cmd_free(cmd);
}

/* --- from data to answer --- */

static void iscsi_cmd_answer(struct iscsi_cmd *cmd)
{
	struct scsi_task *task = &cmd->task;

	if ((cmd->failed || cmd->full) && cmd->start != SCSI_START_DONE) {
		/* It will not run: what it answers is ours to say. */
		scsi_task_drop(task);
		cmd->start = SCSI_START_DONE;
	}
	if (cmd->failed) {
		scsi_task_set_transport_sense(task, cmd->sense);
		task->in_length = 0;
	} else if (cmd->full) {
		task->status = SCSI_TASK_SET_FULL;
		task->sense_length = 0;
		task->in_length = 0;
	}
	iscsi_cmd_leave_window(cmd);
	cmd->state = ISCSI_CMD_ANSWERING;
	cmd->in_total = task->in_length < task->expected_in_bytes ? task->in_length
								  : task->expected_in_bytes;
	if (task->in_place && cmd->conn->tx.blocked) {
		scsi_tasks_settle(task->reactor); /* it waits for the socket */
	}
	iscsi_tx_queue_cmd(cmd->conn, cmd);
}

/* The device server is done with it. */
static void iscsi_cmd_done(struct scsi_task *task)
{
	struct iscsi_cmd *cmd = container_of(task, struct iscsi_cmd, task);
	struct iscsi_conn *conn = cmd->conn;

	if (task->aborted || cmd->session->ending || !iscsi_conn_is_open(conn)) {
		iscsi_cmd_free(cmd);
		iscsi_tx_flush_later(conn); /* the window may have opened */
		return;
	}
	iscsi_cmd_answer(cmd);
}

/* Memory for its data, before any of it moves. False: not now. */
static bool iscsi_cmd_reserve(struct iscsi_cmd *cmd)
{
	struct scsi_task *task = &cmd->task;
	struct iscsi_conn *conn = cmd->conn;

	if (cmd->charged || task->buf) {
		return true;
	}
	if (cmd->start == SCSI_START_OUT) {
		task->buf = iscsi_conn_buf_get(conn, task->out_bytes);
		if (!task->buf) {
			return false;
		}
		cmd->charged = task->buf->size;
		if (cmd->early) {
			memcpy(task->buf->data, cmd->early, cmd->early_bytes);
			iscsi_cmd_early_free(cmd);
		}
	} else if (task->in_bytes) {
		/* The device server gets the buffer, but not beyond the connection's share. */
		if (!iscsi_conn_buf_room(conn, task->in_bytes)) {
			return false;
		}
		cmd->charged = task->in_bytes;
	}
	conn->data_bytes += cmd->charged;
	return true;
}

/* Those that need memory, or a place in the order, do not overtake those that wait for it. */
static bool iscsi_cmd_must_queue(const struct iscsi_cmd *cmd)
{
	const struct scsi_task *task = &cmd->task;

	return cmd->conn->waiting_cmds && !cmd->charged &&
	       (task->out_bytes || task->in_bytes || task->attribute == SCSI_ATTR_ORDERED);
}

static void iscsi_cmd_wait(struct iscsi_cmd *cmd)
{
	cmd->state = ISCSI_CMD_WAITING;
	cmd->conn->waiting_cmds++;
	iscsi_starved_add(cmd->conn->home, &cmd->starved);
}

static bool iscsi_cmd_retry(struct iscsi_starved *starved)
{
	struct iscsi_cmd *cmd = container_of(starved, struct iscsi_cmd, starved);

	/* While a PDU of it is coming in, its data stays where it goes. */
	if (cmd->conn->rx.cmd == cmd || !iscsi_cmd_reserve(cmd)) {
		return false;
	}
	cmd->conn->waiting_cmds--;
	cmd->state = ISCSI_CMD_DATA;
	iscsi_cmd_advance(cmd);
	return true;
}

static bool iscsi_cmd_is_doomed(const struct iscsi_cmd *cmd)
{
	return cmd->failed || cmd->full || cmd->refused || cmd->start == SCSI_START_DONE;
}

void iscsi_cmd_advance(struct iscsi_cmd *cmd)
{
	if (!iscsi_cmd_is_doomed(cmd)) {
		if (cmd->state != ISCSI_CMD_DATA &&
			(iscsi_cmd_must_queue(cmd) || !iscsi_cmd_reserve(cmd))) {
			iscsi_cmd_wait(cmd);
			return;
		}
		cmd->state = ISCSI_CMD_DATA;
		if (!cmd->unsolicited && cmd->asked < cmd->need) {
			iscsi_cmd_solicit(cmd);
		}
	}
	/* RFC 7143 11.4.2: whatever the outcome, first all data that was announced. */
	if (cmd->unsolicited || cmd->bursts_open) {
		cmd->state = ISCSI_CMD_DATA;
		return;
	}
	if (iscsi_cmd_is_doomed(cmd)) {
		iscsi_cmd_answer(cmd);
		return;
	}
	cmd->state = ISCSI_CMD_RUNNING;
	cmd->task.out_length = cmd->need;
	/* What cannot be sent at once is copied anyway. */
	cmd->task.in_place_ok =
		!cmd->conn->tx.blocked &&
		(!cmd->conn->params.data_digest || cmd->task.in_bytes >= ISCSI_CMD_DIGEST_BYTES);
	scsi_task_run(&cmd->task);
}

/* Its turn has come (CmdSN), or it is immediate. */
static void iscsi_cmd_deliver(struct iscsi_ordered *ordered)
{
	struct iscsi_cmd *cmd = container_of(ordered, struct iscsi_cmd, ordered);

	if (!cmd->immediate) {
		cmd->in_window = true;
		iscsi_window_take(&cmd->session->window);
	}
	iscsi_cmd_advance(cmd);
}

/* --- from the PDU to delivery --- */

/* RFC 7143 11.2.2: an extended CDB; false: the header makes no sense. */
static bool iscsi_cmd_parse_ahs(struct iscsi_cmd *cmd, const uint8_t *bhs)
{
	struct scsi_task *task = &cmd->task;
	struct cursor c = cursor_reader(bhs + ISCSI_BHS_BYTES, iscsi_bhs_ahs_bytes(bhs));

	while (cursor_left(&c) > 0) {
		uint32_t length = cursor_get_u16(&c);
		uint8_t type = cursor_get_u8(&c);
		const uint8_t *specific = cursor_take(&c, iscsi_padded_bytes(length + 3) - 3);

		if (!specific || length == 0) {
			return false;
		}
		if (type == ISCSI_AHS_EXTENDED_CDB &&
			ISCSI_CDB_BYTES + length - 1 <= sizeof(task->cdb)) {
			memcpy(task->cdb + ISCSI_CDB_BYTES, specific + 1, length - 1);
			task->cdb_length = (uint8_t)(ISCSI_CDB_BYTES + length - 1);
		} else {
			cmd->refused = true; /* too long, or bidirectional */
		}
	}
	return true;
}

static uint8_t iscsi_cmd_attribute(uint8_t flags)
{
	switch (flags & ISCSI_COMMAND_ATTR_MASK) {
	case ISCSI_ATTR_ORDERED:
		return SCSI_ATTR_ORDERED;
	case ISCSI_ATTR_HEAD:
		return SCSI_ATTR_HEAD;
	case ISCSI_ATTR_ACA:
		return SCSI_ATTR_ACA;
	default:
		return SCSI_ATTR_SIMPLE;
	}
}

/* Header contents that contradict each other (RFC 7143 11.3.1); NULL when there are none. */
static const char *iscsi_cmd_nonsense(const struct iscsi_conn *conn, const uint8_t *bhs)
{
	uint8_t flags = bhs[ISCSI_BHS_FLAGS];

	if (iscsi_bhs_itt(bhs) == ISCSI_TAG_NONE) {
		return "a command with the reserved task tag";
	}
	if (!(flags & (ISCSI_FLAG_FINAL | ISCSI_COMMAND_WRITE))) {
		return "a command that neither writes nor is final";
	}
	if (!(flags & ISCSI_COMMAND_WRITE) && conn->rx.data_bytes) {
		return "a command with data that does not write";
	}
	if ((flags & ISCSI_COMMAND_ATTR_MASK) > ISCSI_ATTR_ACA) {
		return "a command with a reserved task attribute";
	}
	return NULL;
}

/* May the command come now? TAKE: yes. */
static enum iscsi_rx_verdict iscsi_cmd_check(struct iscsi_conn *conn, const uint8_t *bhs)
{
	struct iscsi_session *session = conn->session;
	const char *nonsense = iscsi_cmd_nonsense(conn, bhs);

	if (nonsense) {
		iscsi_conn_violation(conn, "%s", nonsense);
		return ISCSI_RX_CLOSE;
	}
	if (bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_IMMEDIATE) {
		if (conn->immediate >= ISCSI_IMMEDIATE_MAX) {
			iscsi_tx_reject(conn, ISCSI_REJECT_IMMEDIATE);
			return ISCSI_RX_DISCARD;
		}
	} else if (iscsi_window_check(&session->window, iscsi_bhs_cmdsn(bhs)) ==
		   ISCSI_WINDOW_DROP) {
		return ISCSI_RX_DISCARD;
	}
	if (iscsi_session_find(session, iscsi_bhs_itt(bhs))) {
		iscsi_tx_reject(conn, ISCSI_REJECT_TASK_IN_PROGRESS);
		return ISCSI_RX_DISCARD;
	}
	return ISCSI_RX_TAKE;
}

static void iscsi_cmd_fill_task(struct iscsi_cmd *cmd, const uint8_t *bhs)
{
	struct scsi_task *task = &cmd->task;

	task->nexus = cmd->session->nexus;
	task->reactor = cmd->conn->home->reactor;
	memcpy(task->lun, bhs + ISCSI_BHS_LUN, sizeof(task->lun));
	task->tag = cmd->itt;
	memcpy(task->cdb, bhs + ISCSI_COMMAND_CDB, ISCSI_CDB_BYTES);
	task->cdb_length = ISCSI_CDB_BYTES;
	task->attribute = iscsi_cmd_attribute(cmd->flags);
	task->expected_out_bytes = cmd->flags & ISCSI_COMMAND_WRITE ? cmd->edtl : 0;
	task->expected_in_bytes = cmd->flags & ISCSI_COMMAND_READ ? cmd->edtl : 0;
	task->done = iscsi_cmd_done;
	if (cmd->flags & ISCSI_COMMAND_WRITE && cmd->flags & ISCSI_COMMAND_READ) {
		cmd->refused = true;
	}
}

static void iscsi_cmd_fail(struct iscsi_cmd *cmd, enum scsi_transport_sense sense)
{
	if (!cmd->failed) {
		cmd->failed = true;
		cmd->sense = sense;
	}
}

/* Immediate data and the announcement of more, against what was negotiated (RFC 7143 4.2.5.2). */
static void iscsi_cmd_check_unsolicited(struct iscsi_cmd *cmd)
{
	const struct iscsi_params *params = &cmd->conn->params;
	uint32_t data_bytes = cmd->conn->rx.data_bytes;

	cmd->unsolicited = !(cmd->flags & ISCSI_FLAG_FINAL);
	cmd->unsolicited_limit =
		cmd->edtl < params->first_burst_bytes ? cmd->edtl : params->first_burst_bytes;
	if ((data_bytes && !params->immediate_data) || (cmd->unsolicited && params->initial_r2t)) {
		iscsi_cmd_fail(cmd, SCSI_SENSE_UNEXPECTED_UNSOLICITED_DATA);
	} else if (data_bytes > cmd->unsolicited_limit) {
		iscsi_cmd_fail(cmd, SCSI_SENSE_INCORRECT_AMOUNT_OF_DATA);
	}
}

/* NULL: the connection was dropped, or there is no memory. */
static struct iscsi_cmd *iscsi_cmd_new(struct iscsi_conn *conn, const uint8_t *bhs)
{
	struct iscsi_cmd *cmd = iscsi_pool_get(&conn->home->cmds);

	if (!cmd) {
		iscsi_conn_drop(conn, "out of memory for a command");
		return NULL;
	}
	memset(cmd, 0, sizeof(*cmd));
	cmd->conn = conn;
	cmd->session = conn->session;
	cmd->itt = iscsi_bhs_itt(bhs);
	cmd->edtl = be32_get(bhs + ISCSI_COMMAND_EDTL);
	cmd->flags = bhs[ISCSI_BHS_FLAGS];
	cmd->start = SCSI_START_DONE;
	cmd->ordered.cmdsn = iscsi_bhs_cmdsn(bhs);
	cmd->ordered.conn = conn;
	cmd->ordered.deliver = iscsi_cmd_deliver;
	cmd->starved.retry = iscsi_cmd_retry;
	qb_list_init(&cmd->ordered.link);
	qb_list_init(&cmd->tx_item.link);
	qb_list_add_tail(&cmd->link, &conn->session->cmds);
	conn->tasks++;
	iscsi_cmd_fill_task(cmd, bhs);
	if (!iscsi_cmd_parse_ahs(cmd, bhs)) {
		cmd->refused = true;
		iscsi_conn_violation(conn, "additional header segments that make no sense");
		return NULL; /* gone with its session */
	}
	if (bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_IMMEDIATE) {
		cmd->immediate = true;
		conn->immediate++;
	}
	iscsi_cmd_check_unsolicited(cmd);
	if (!cmd->refused) {
		cmd->start = scsi_task_start(&cmd->task);
	}
	if (cmd->start == SCSI_START_OUT) {
		cmd->need = cmd->task.out_bytes < cmd->task.expected_out_bytes
				    ? cmd->task.out_bytes
				    : cmd->task.expected_out_bytes;
	}
	return cmd;
}

/* Do buffers of this connection wait for data that comes behind the PDU at hand? */
static bool iscsi_cmd_others_collect(const struct iscsi_conn *conn)
{
	struct iscsi_cmd *cmd;

	qb_list_for_each_entry (cmd, &conn->session->cmds, link) {
		if (cmd->conn == conn && cmd->charged && (cmd->unsolicited || cmd->bursts_open)) {
			return true;
		}
	}
	return false;
}

/*
 * No buffer for unsolicited data. To stop reading until there is one is right, unless the buffers
 * come back only by reading on; so does the sign of life that a quiet connection waits for. Then
 * the data is taken in beside the pool, so far as that is allowed to grow, and after that it is
 * thrown away.
 */
static enum iscsi_rx_verdict iscsi_cmd_begin_early(struct iscsi_conn *conn, struct iscsi_cmd *cmd)
{
	struct iscsi_reactor *home = conn->home;
	uint32_t bytes = cmd->unsolicited ? cmd->unsolicited_limit : conn->rx.data_bytes;

	bytes = bytes < cmd->need ? bytes : cmd->need;
	if (!conn->quiet && !iscsi_cmd_others_collect(conn)) {
		return ISCSI_RX_WAIT;
	}
	if (bytes && home->early_bytes + bytes <= home->early_limit) {
		cmd->early = malloc(bytes);
	}
	if (!cmd->early) {
		cmd->full = true;
		return ISCSI_RX_TAKE;
	}
	cmd->early_bytes = bytes;
	home->early_bytes += bytes;
	conn->rx.dest = cmd->early;
	conn->rx.dest_left = conn->rx.data_bytes < bytes ? conn->rx.data_bytes : bytes;
	return ISCSI_RX_TAKE;
}

enum iscsi_rx_verdict iscsi_cmd_begin(struct iscsi_conn *conn, const uint8_t *bhs)
{
	struct iscsi_rx *rx = &conn->rx;
	struct iscsi_cmd *cmd = rx->cmd;

	if (!cmd) {
		enum iscsi_rx_verdict verdict = iscsi_cmd_check(conn, bhs);

		if (verdict != ISCSI_RX_TAKE) {
			return verdict;
		}
		cmd = rx->cmd = iscsi_cmd_new(conn, bhs);
		if (!cmd) {
			return ISCSI_RX_CLOSE;
		}
	}
	if (cmd->start == SCSI_START_OUT && !cmd->failed && (rx->data_bytes || cmd->unsolicited)) {
		if (iscsi_cmd_must_queue(cmd) || !iscsi_cmd_reserve(cmd)) {
			return iscsi_cmd_begin_early(conn, cmd);
		}
		rx->dest = cmd->task.buf->data;
		rx->dest_left = rx->data_bytes < cmd->need ? rx->data_bytes : cmd->need;
	}
	return ISCSI_RX_TAKE;
}

void iscsi_cmd_end(struct iscsi_conn *conn, const uint8_t *bhs, bool digest_bad)
{
	struct iscsi_cmd *cmd = conn->rx.cmd;

	if (digest_bad) {
		/* RFC 7143 7.8: as if it had not come; the initiator sends its CmdSN again. */
		iscsi_tx_reject(conn, ISCSI_REJECT_DATA_DIGEST);
		if (iscsi_conn_is_open(conn)) {
			iscsi_cmd_drop(cmd);
		}
		return;
	}
	cmd->received = conn->rx.data_bytes;
	cmd->asked = cmd->received;
	cmd->state = ISCSI_CMD_ORDERING;
	iscsi_session_reuse_tag(conn->session, cmd->itt);
	iscsi_session_add(conn->session, cmd);
	if (bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_IMMEDIATE) {
		iscsi_session_receive_urgent(conn->session, &cmd->ordered);
	} else {
		iscsi_session_receive(conn->session, &cmd->ordered);
	}
}
