/* SPDX-License-Identifier: BSD-3-Clause */
/* Data-In and SCSI Response (RFC 7143 11.4, 11.7), made one by one as the socket takes them. */
#include "daemon/iscsi/cmd.h"

uint8_t iscsi_cmd_residual(const struct iscsi_cmd *cmd, uint32_t *count)
{
	const struct scsi_task *task = &cmd->task;
	/* What the device server wanted to move in the direction that the initiator has named. */
	uint32_t presented = cmd->flags & ISCSI_COMMAND_READ	? task->in_length
			     : cmd->flags & ISCSI_COMMAND_WRITE ? task->out_bytes
			     : task->out_bytes			? task->out_bytes
								: task->in_length;
	uint32_t expected = cmd->flags & (ISCSI_COMMAND_READ | ISCSI_COMMAND_WRITE) ? cmd->edtl : 0;

	*count = 0;
	if (cmd->refused || presented == expected) {
		return 0;
	}
	if (presented < expected) {
		*count = expected - presented;
		return ISCSI_RESPONSE_UNDERFLOW;
	}
	*count = presented - expected;
	return ISCSI_RESPONSE_OVERFLOW;
}

/* May the status go with the last Data-In (RFC 7143 11.7.3)? */
static bool iscsi_cmd_collapses(const struct iscsi_cmd *cmd)
{
	const struct scsi_task *task = &cmd->task;

	return (task->status == SCSI_GOOD || task->status == SCSI_CONDITION_MET) &&
	       task->sense_length == 0 && !cmd->refused;
}

/* True when nothing follows it. */
static bool iscsi_cmd_data_in(struct iscsi_cmd *cmd)
{
	struct iscsi_conn *conn = cmd->conn;
	struct iscsi_tx *tx = iscsi_tx_new(conn, ISCSI_OP_DATA_IN, 0, cmd->itt);
	uint32_t bytes = cmd->in_total - cmd->in_sent;
	uint32_t burst_left = conn->params.max_burst_bytes - cmd->in_burst;
	uint32_t residual;
	bool last;

	if (!tx) {
		return false;
	}
	bytes = bytes < conn->params.send_max_bytes ? bytes : conn->params.send_max_bytes;
	bytes = bytes < burst_left ? bytes : burst_left;
	last = cmd->in_sent + bytes == cmd->in_total;
	if (cmd->task.in_place || cmd->task.in_lost) {
		tx->task = &cmd->task;
		tx->offset = cmd->in_sent;
	} else {
		tx->data = cmd->task.buf->data + cmd->in_sent;
	}
	tx->data_bytes = bytes;
	be32_put(tx->header + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
	be32_put(tx->header + ISCSI_DATA_DATASN, cmd->datasn++);
	be32_put(tx->header + ISCSI_DATA_OFFSET, cmd->in_sent);
	if (last || bytes == burst_left) {
		tx->header[ISCSI_BHS_FLAGS] = ISCSI_FLAG_FINAL;
	}
	cmd->in_sent += bytes;
	cmd->in_burst = bytes == burst_left ? 0 : cmd->in_burst + bytes;
	if (!last || !iscsi_cmd_collapses(cmd)) {
		iscsi_tx_queue(conn, tx, ISCSI_TX_STATSN_NONE);
		return false;
	}
	tx->cmd = cmd;
	tx->header[ISCSI_DATA_STATUS] = cmd->task.status;
	tx->header[ISCSI_BHS_FLAGS] |= ISCSI_DATA_IN_STATUS | iscsi_cmd_residual(cmd, &residual);
	be32_put(tx->header + ISCSI_DATA_RESIDUAL, residual);
	iscsi_tx_queue(conn, tx, ISCSI_TX_STATSN_USE);
	return true;
}

static bool iscsi_cmd_response(struct iscsi_cmd *cmd)
{
	const struct scsi_task *task = &cmd->task;
	struct iscsi_tx *tx =
		iscsi_tx_new(cmd->conn, ISCSI_OP_SCSI_RESPONSE, ISCSI_FLAG_FINAL, cmd->itt);
	uint32_t residual;

	if (!tx) {
		return false;
	}
	tx->cmd = cmd;
	if (cmd->refused) {
		tx->header[ISCSI_RESPONSE_RESPONSE] = ISCSI_RESPONSE_TARGET_FAILURE;
		iscsi_tx_queue(cmd->conn, tx, ISCSI_TX_STATSN_USE);
		return true;
	}
	tx->header[ISCSI_RESPONSE_RESPONSE] = ISCSI_RESPONSE_COMPLETED;
	tx->header[ISCSI_RESPONSE_STATUS] = task->status;
	tx->header[ISCSI_BHS_FLAGS] |= iscsi_cmd_residual(cmd, &residual);
	be32_put(tx->header + ISCSI_RESPONSE_EXPDATASN, cmd->datasn);
	be32_put(tx->header + ISCSI_RESPONSE_RESIDUAL, residual);
	if (task->sense_length && task->sense_length <= SCSI_SENSE_MAX) {
		/* RFC 7143 11.4.7: a 2-byte length goes before the sense data. */
		be16_put(tx->small, task->sense_length);
		memcpy(tx->small + 2, task->sense, task->sense_length);
		tx->data = tx->small;
		tx->data_bytes = task->sense_length + 2u;
	}
	iscsi_tx_queue(cmd->conn, tx, ISCSI_TX_STATSN_USE);
	return true;
}

bool iscsi_cmd_next_pdu(struct iscsi_cmd *cmd)
{
	if (cmd->in_sent < cmd->in_total) {
		return iscsi_cmd_data_in(cmd);
	}
	return iscsi_cmd_response(cmd);
}
