/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/iscsi/cmd.h"
#include "yoke/log.h"

/* Data of a NOP-Out that is kept to be echoed, and of a Text Request that is looked at. */
#define ISCSI_NOP_KEEP_BYTES  (256u << 10)
#define ISCSI_TEXT_KEEP_BYTES (64u << 10)

static void iscsi_login_again(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length)
{
	(void)bhs;
	(void)data;
	(void)length;
	/* RFC 7143 11.12: only before full feature phase. */
	iscsi_tx_reject(conn, ISCSI_REJECT_PROTOCOL);
}

static void iscsi_unknown(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length)
{
	(void)data;
	(void)length;
	log_debug("iscsi: session %u of %s: opcode 0x%02x (%s) is not supported%s",
		conn->session->tsih, conn->session->initiator,
		bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_MASK,
		iscsi_opcode_name(bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_MASK),
		conn->session->discovery ? " in a discovery session" : "");
	iscsi_tx_reject(conn, ISCSI_REJECT_NOT_SUPPORTED);
}

/* Before full feature phase every PDU is the login phase's to judge. */
static const struct iscsi_op iscsi_op_login = {
	.name = "login",
	.begin = iscsi_op_begin,
	.end = iscsi_op_end,
	.handle = iscsi_conn_login_pdu,
	.keep = ISCSI_DATA_SEGMENT_DEFAULT,
};

static const struct iscsi_op iscsi_op_unknown = {
	.name = "unknown",
	.begin = iscsi_op_begin,
	.end = iscsi_op_end,
	.handle = iscsi_unknown,
};

static const struct iscsi_op iscsi_ops[ISCSI_OPCODE_MASK + 1] = {
	[ISCSI_OP_NOP_OUT] =
		{
			.name = "NOP-Out",
			.begin = iscsi_op_begin,
			.end = iscsi_op_end,
			.handle = iscsi_nop_out,
			.keep = ISCSI_NOP_KEEP_BYTES,
		},
	[ISCSI_OP_SCSI_COMMAND] =
		{
			.name = "SCSI Command",
			.begin = iscsi_cmd_begin,
			.end = iscsi_cmd_end,
		},
	[ISCSI_OP_TMF_REQUEST] =
		{
			.name = "Task Management Function Request",
			.begin = iscsi_op_begin,
			.end = iscsi_op_end,
			.handle = iscsi_tmf_request,
		},
	[ISCSI_OP_LOGIN_REQUEST] =
		{
			.name = "Login Request",
			.discovery = true,
			.begin = iscsi_op_begin,
			.end = iscsi_op_end,
			.handle = iscsi_login_again,
		},
	[ISCSI_OP_TEXT_REQUEST] =
		{
			.name = "Text Request",
			.discovery = true,
			.begin = iscsi_op_begin,
			.end = iscsi_op_end,
			.handle = iscsi_text_request,
			.keep = ISCSI_TEXT_KEEP_BYTES,
		},
	[ISCSI_OP_DATA_OUT] =
		{
			.name = "SCSI Data-Out",
			.begin = iscsi_data_out_begin,
			.end = iscsi_data_out_end,
		},
	[ISCSI_OP_LOGOUT_REQUEST] =
		{
			.name = "Logout Request",
			.discovery = true,
			.begin = iscsi_op_begin,
			.end = iscsi_op_end,
			.handle = iscsi_logout_request,
		},
	[ISCSI_OP_SNACK_REQUEST] =
		{
			.name = "SNACK Request",
			.begin = iscsi_op_begin,
			.end = iscsi_op_end,
			.handle = iscsi_snack_request,
		},
};

const struct iscsi_op *iscsi_op_row(uint8_t opcode)
{
	const struct iscsi_op *op = &iscsi_ops[opcode & ISCSI_OPCODE_MASK];

	return op->name ? op : NULL;
}

const struct iscsi_op *iscsi_op_find(const struct iscsi_conn *conn, uint8_t opcode)
{
	const struct iscsi_op *op = iscsi_op_row(opcode);

	if (conn->state == ISCSI_CONN_LOGIN) {
		return &iscsi_op_login;
	}
	if (!op || (conn->session->discovery && !op->discovery)) {
		return &iscsi_op_unknown;
	}
	return op;
}

enum iscsi_rx_verdict iscsi_op_begin(struct iscsi_conn *conn, const uint8_t *bhs)
{
	struct iscsi_rx *rx = &conn->rx;
	uint32_t keep = rx->data_bytes < rx->op->keep ? rx->data_bytes : rx->op->keep;

	(void)bhs;
	if (keep) {
		rx->own = malloc(keep);
		if (!rx->own) {
			iscsi_conn_drop(conn, "out of memory for a %s", rx->op->name);
			return ISCSI_RX_CLOSE;
		}
	}
	rx->dest = rx->own;
	rx->dest_left = keep;
	return ISCSI_RX_TAKE;
}

/* Takes the PDU's CmdSN, if it has one. False: not its turn, or a duplicate: ignore the PDU. */
static bool iscsi_op_number(struct iscsi_conn *conn, const uint8_t *bhs)
{
	uint8_t opcode = bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_MASK;
	uint32_t cmdsn = iscsi_bhs_cmdsn(bhs);

	if (conn->state != ISCSI_CONN_FULL || bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_IMMEDIATE) {
		return true;
	}
	switch (opcode) {
	case ISCSI_OP_NOP_OUT:
	case ISCSI_OP_TEXT_REQUEST:
	case ISCSI_OP_LOGOUT_REQUEST:
		if (iscsi_window_check(&conn->session->window, cmdsn) == ISCSI_WINDOW_DROP) {
			return false;
		}
		iscsi_session_skip(conn->session, cmdsn);
		return iscsi_conn_is_open(conn);
	default: /* no CmdSN, or in order by itself (task management) */
		return true;
	}
}

void iscsi_op_end(struct iscsi_conn *conn, const uint8_t *bhs, bool digest_bad)
{
	struct iscsi_rx *rx = &conn->rx;
	uint32_t kept = rx->data_bytes < rx->op->keep ? rx->data_bytes : rx->op->keep;

	if (digest_bad) {
		/* RFC 7143 7.8: discarded; its CmdSN stays open for the retry. */
		iscsi_tx_reject(conn, ISCSI_REJECT_DATA_DIGEST);
		return;
	}
	if (iscsi_op_number(conn, bhs)) {
		rx->op->handle(conn, bhs, rx->own, kept);
	}
}

void iscsi_snack_request(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length)
{
	(void)bhs;
	(void)data;
	(void)length;
	/* Error recovery level 0: nothing is kept to be sent again (RFC 7143 11.16). */
	iscsi_tx_reject(conn, ISCSI_REJECT_SNACK);
}
