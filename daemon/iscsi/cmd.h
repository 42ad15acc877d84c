/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A SCSI command from its PDU to its last response: CmdSN order, data-out, running, data-in
 * (RFC 7143 4.2, 11.3 to 11.8). Lives in its reactor's pool.
 */
#ifndef YOKE_ISCSI_CMD_H
#define YOKE_ISCSI_CMD_H

#include "daemon/iscsi/conn.h"
#include "daemon/iscsi/dispatch.h"

/* Bursts that may be asked for at the same time, whatever was negotiated. */
#define ISCSI_CMD_BURSTS 8u

enum iscsi_cmd_state {
	ISCSI_CMD_RECEIVING, /* its PDU's data segment is still coming */
	ISCSI_CMD_ORDERING, /* an earlier CmdSN is missing, or a sign of life */
	ISCSI_CMD_WAITING, /* for a buffer */
	ISCSI_CMD_DATA, /* for data-out, or for the end of data that is thrown away */
	ISCSI_CMD_RUNNING, /* the device server has it */
	ISCSI_CMD_ANSWERING, /* data-in and status are going out */
};
const char *iscsi_cmd_state_name(enum iscsi_cmd_state state);

/* Data-out under way: what an R2T asked for. */
struct iscsi_burst {
	bool open;
	uint32_t ttt;
	uint32_t offset;
	uint32_t length;
	uint32_t received;
	uint32_t datasn;
};

struct iscsi_cmd {
	struct scsi_task task;
	struct iscsi_conn *conn;
	struct iscsi_session *session;
	struct qb_list_head link; /* session->cmds */
	struct iscsi_tx_item tx_item; /* conn->tx.items */
	struct iscsi_ordered ordered;
	struct iscsi_starved starved;
	struct iscsi_cmd *next; /* ITT table */
	enum iscsi_cmd_state state;
	enum scsi_start start;
	uint32_t itt;
	uint32_t edtl; /* expected data transfer length */
	uint8_t flags; /* of the BHS */
	bool immediate;
	bool in_window; /* counted in the session's window */
	bool tagged; /* in the ITT table */
	bool cut; /* its connection is gone, the device server knows */
	bool refused; /* iSCSI response "target failure", no status */
	bool failed; /* data-out went wrong: `sense` tells it */
	bool full; /* no memory for its unsolicited data: TASK SET FULL */
	enum scsi_transport_sense sense;

	/* data-out */
	bool unsolicited; /* unsolicited Data-Out until F */
	uint32_t unsolicited_limit;
	uint32_t unsolicited_datasn;
	uint32_t received; /* unsolicited bytes, immediate data included */
	uint32_t need; /* bytes that the task wants and the initiator has */
	uint32_t asked; /* solicited or received up to here */
	uint32_t r2tsn;
	unsigned bursts_open;
	struct iscsi_burst bursts[ISCSI_CMD_BURSTS];
	size_t charged; /* in conn->data_bytes */
	uint8_t *early; /* unsolicited data until its buffer comes; NULL */
	uint32_t early_bytes; /* room there; in home->early_bytes */

	/* data-in */
	uint32_t in_total; /* bytes that go to the initiator */
	uint32_t in_sent;
	uint32_t in_burst; /* sent of the current sequence */
	uint32_t datasn;
};

/* SCSI Command and Data-Out PDUs: rows of the dispatch table. */
enum iscsi_rx_verdict iscsi_cmd_begin(struct iscsi_conn *conn, const uint8_t *bhs);
void iscsi_cmd_end(struct iscsi_conn *conn, const uint8_t *bhs, bool digest_bad);
enum iscsi_rx_verdict iscsi_data_out_begin(struct iscsi_conn *conn, const uint8_t *bhs);
void iscsi_data_out_end(struct iscsi_conn *conn, const uint8_t *bhs, bool digest_bad);

/* The command's next step: data, buffer, run or answer. */
void iscsi_cmd_advance(struct iscsi_cmd *cmd);

/* Takes the unrun command back: it leaves no trace but its tag, for data that may still come. */
void iscsi_cmd_drop(struct iscsi_cmd *cmd);

/* Everything about it is over. */
void iscsi_cmd_free(struct iscsi_cmd *cmd);

/* Has the device server not got it yet? */
static inline bool iscsi_cmd_is_unrun(const struct iscsi_cmd *cmd)
{
	return cmd->state < ISCSI_CMD_RUNNING;
}

/* Asks for the next bursts of a write: data.c. */
void iscsi_cmd_solicit(struct iscsi_cmd *cmd);

/* Makes the next PDU of a command that is being answered; true when it was the last: response.c. */
bool iscsi_cmd_next_pdu(struct iscsi_cmd *cmd);

/* Residual flags (ISCSI_RESPONSE_*) and count, RFC 7143 11.4.5. */
uint8_t iscsi_cmd_residual(const struct iscsi_cmd *cmd, uint32_t *count);

#endif
