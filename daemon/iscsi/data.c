/* SPDX-License-Identifier: BSD-3-Clause */
/* Data-out: R2Ts and the Data-Out PDUs that answer them, or come unasked (RFC 7143 11.7, 11.8). */
#include "daemon/iscsi/cmd.h"

static struct iscsi_burst *iscsi_cmd_burst(struct iscsi_cmd *cmd, uint32_t ttt)
{
	for (unsigned i = 0; i < ISCSI_CMD_BURSTS; i++) {
		if (cmd->bursts[i].open && cmd->bursts[i].ttt == ttt) {
			return &cmd->bursts[i];
		}
	}
	return NULL;
}

static struct iscsi_burst *iscsi_cmd_burst_free(struct iscsi_cmd *cmd)
{
	unsigned most = cmd->conn->params.max_outstanding_r2t;

	if (cmd->bursts_open >= most) {
		return NULL;
	}
	for (unsigned i = 0; i < ISCSI_CMD_BURSTS; i++) {
		if (!cmd->bursts[i].open) {
			return &cmd->bursts[i];
		}
	}
	return NULL;
}

static bool iscsi_cmd_send_r2t(struct iscsi_cmd *cmd, const struct iscsi_burst *burst)
{
	struct iscsi_conn *conn = cmd->conn;
	struct iscsi_tx *tx = iscsi_tx_new(conn, ISCSI_OP_R2T, ISCSI_FLAG_FINAL, cmd->itt);

	if (!tx) {
		return false;
	}
	memcpy(tx->header + ISCSI_BHS_LUN, cmd->task.lun, sizeof(cmd->task.lun));
	be32_put(tx->header + ISCSI_BHS_TTT, burst->ttt);
	be32_put(tx->header + ISCSI_R2T_R2TSN, cmd->r2tsn++);
	be32_put(tx->header + ISCSI_R2T_OFFSET, burst->offset);
	be32_put(tx->header + ISCSI_R2T_LENGTH, burst->length);
	iscsi_tx_queue(conn, tx, ISCSI_TX_STATSN_PEEK);
	return true;
}

/* In order and without gaps, as DataSequenceInOrder=Yes wants it; nothing else is needed for No. */
void iscsi_cmd_solicit(struct iscsi_cmd *cmd)
{
	struct iscsi_burst *burst;

	while (cmd->asked < cmd->need && (burst = iscsi_cmd_burst_free(cmd))) {
		uint32_t left = cmd->need - cmd->asked;
		uint32_t most = cmd->conn->params.max_burst_bytes;

		*burst = (struct iscsi_burst){
			.open = true,
			.ttt = iscsi_session_ttt(cmd->session),
			.offset = cmd->asked,
			.length = left < most ? left : most,
		};
		cmd->asked += burst->length;
		cmd->bursts_open++;
		if (!iscsi_cmd_send_r2t(cmd, burst)) {
			return;
		}
	}
}

static void iscsi_data_fail(struct iscsi_cmd *cmd, enum scsi_transport_sense sense)
{
	if (!cmd->failed) {
		cmd->failed = true;
		cmd->sense = sense;
	}
}

/* What the header must say to be the next piece of its burst. */
struct iscsi_expected {
	uint32_t offset;
	uint32_t datasn;
	uint32_t most; /* bytes left in the burst */
};

static struct iscsi_expected iscsi_data_expected(
	const struct iscsi_cmd *cmd, const struct iscsi_burst *burst)
{
	if (!burst) {
		return (struct iscsi_expected){
			.offset = cmd->received,
			.datasn = cmd->unsolicited_datasn,
			.most = cmd->unsolicited_limit - cmd->received,
		};
	}
	return (struct iscsi_expected){
		.offset = burst->offset + burst->received,
		.datasn = burst->datasn,
		.most = burst->length - burst->received,
	};
}

/* A piece that does not fit ends the command, once all its bursts are over; it is thrown away. */
static void iscsi_data_check(
	struct iscsi_cmd *cmd, const struct iscsi_burst *burst, const uint8_t *bhs, uint32_t bytes)
{
	struct iscsi_expected expected;

	if (cmd->failed) {
		return;
	}
	expected = iscsi_data_expected(cmd, burst);
	if (be32_get(bhs + ISCSI_DATA_DATASN) != expected.datasn) {
		/* A PDU in between was lost (RFC 7143 7.9): at level 0 there is no second try. */
		iscsi_data_fail(cmd, SCSI_SENSE_PROTOCOL_CRC_ERROR);
	} else if (be32_get(bhs + ISCSI_DATA_OFFSET) != expected.offset || bytes > expected.most) {
		iscsi_data_fail(cmd, SCSI_SENSE_INCORRECT_AMOUNT_OF_DATA);
	}
}

/* The command and burst that the PDU belongs to; false with the verdict about its data. */
static bool iscsi_data_find(
	struct iscsi_conn *conn, const uint8_t *bhs, enum iscsi_rx_verdict *verdict)
{
	uint32_t itt = iscsi_bhs_itt(bhs), ttt = iscsi_bhs_ttt(bhs);
	struct iscsi_cmd *cmd = iscsi_session_find(conn->session, itt);

	*verdict = ISCSI_RX_DISCARD;
	/* Its data goes over the connection that the command came on (RFC 7143 4.2.2.1). */
	if (!cmd || cmd->conn != conn) {
		if (cmd || !iscsi_session_was_aborted(conn->session, itt)) {
			iscsi_tx_reject(conn, ISCSI_REJECT_FIELD);
		}
		return false;
	}
	conn->rx.cmd = cmd;
	conn->rx.burst = ttt == ISCSI_TAG_NONE ? NULL : iscsi_cmd_burst(cmd, ttt);
	if (ttt == ISCSI_TAG_NONE ? !cmd->unsolicited : !conn->rx.burst) {
		/* RFC 7143 7.3: the task goes on all the same. */
		iscsi_tx_reject(conn, ISCSI_REJECT_FIELD);
		return false;
	}
	return true;
}

enum iscsi_rx_verdict iscsi_data_out_begin(struct iscsi_conn *conn, const uint8_t *bhs)
{
	struct iscsi_rx *rx = &conn->rx;
	enum iscsi_rx_verdict verdict;
	uint32_t offset, end;
	struct iscsi_cmd *cmd;
	uint8_t *base;

	if (!iscsi_data_find(conn, bhs, &verdict)) {
		return verdict;
	}
	cmd = rx->cmd;
	iscsi_data_check(cmd, rx->burst, bhs, rx->data_bytes);
	offset = be32_get(bhs + ISCSI_DATA_OFFSET);
	base = cmd->task.buf ? cmd->task.buf->data : cmd->early;
	end = cmd->task.buf ? cmd->need : cmd->early_bytes;
	if (!cmd->failed && base && offset < end) {
		uint32_t room = end - offset;

		rx->dest = base + offset;
		rx->dest_left = rx->data_bytes < room ? rx->data_bytes : room;
	}
	return ISCSI_RX_TAKE;
}

/* F: the burst is over. It has to have brought everything by now (RFC 7143 11.3.4, 11.7.1). */
static void iscsi_data_burst_end(struct iscsi_cmd *cmd, struct iscsi_burst *burst)
{
	if (!burst) {
		cmd->unsolicited = false;
		cmd->asked = cmd->received;
		if (cmd->received < cmd->unsolicited_limit) {
			iscsi_data_fail(cmd, SCSI_SENSE_INCORRECT_AMOUNT_OF_DATA);
		}
		return;
	}
	burst->open = false;
	cmd->bursts_open--;
	if (burst->received < burst->length) {
		iscsi_data_fail(cmd, SCSI_SENSE_INCORRECT_AMOUNT_OF_DATA);
	}
}

void iscsi_data_out_end(struct iscsi_conn *conn, const uint8_t *bhs, bool digest_bad)
{
	struct iscsi_cmd *cmd = conn->rx.cmd;
	struct iscsi_burst *burst = conn->rx.burst;

	if (digest_bad) {
		iscsi_tx_reject(conn, ISCSI_REJECT_DATA_DIGEST);
		if (!iscsi_conn_is_open(conn)) {
			return;
		}
		iscsi_data_fail(cmd, SCSI_SENSE_PROTOCOL_CRC_ERROR);
	} else if (!cmd->failed && burst) {
		burst->received += conn->rx.data_bytes;
		burst->datasn++;
	} else if (!cmd->failed) {
		cmd->received += conn->rx.data_bytes;
		cmd->unsolicited_datasn++;
	}
	if (!iscsi_bhs_final(bhs)) {
		return;
	}
	iscsi_data_burst_end(cmd, burst);
	if (cmd->state == ISCSI_CMD_DATA) {
		iscsi_cmd_advance(cmd);
	}
}
