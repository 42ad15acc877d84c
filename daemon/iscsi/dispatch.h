/* SPDX-License-Identifier: BSD-3-Clause */
/* What a connection does with each opcode in full feature phase: one row for each. */
#ifndef YOKE_ISCSI_DISPATCH_H
#define YOKE_ISCSI_DISPATCH_H

#include "daemon/iscsi/conn.h"

struct iscsi_op {
	const char *name;
	bool discovery; /* allowed in a discovery session (RFC 7143 4.3) */
	/* PDUs whose data belongs to a command. */
	enum iscsi_rx_verdict (*begin)(struct iscsi_conn *conn, const uint8_t *bhs);
	void (*end)(struct iscsi_conn *conn, const uint8_t *bhs, bool digest_bad);
	/* All others: the whole PDU, at most `keep` bytes of its data. */
	void (*handle)(
		struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length);
	uint32_t keep;
};

/* The row of an opcode in the connection's state; NULL: not for us. */
const struct iscsi_op *iscsi_op_find(const struct iscsi_conn *conn, uint8_t opcode);

/* For tests: the row by opcode in full feature phase, empty ones NULL. */
const struct iscsi_op *iscsi_op_row(uint8_t opcode);

/* begin() and end() that serve rows with handle(). */
enum iscsi_rx_verdict iscsi_op_begin(struct iscsi_conn *conn, const uint8_t *bhs);
void iscsi_op_end(struct iscsi_conn *conn, const uint8_t *bhs, bool digest_bad);

/* Handlers, in the file of their name. */
void iscsi_nop_out(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length);
void iscsi_tmf_request(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length);
void iscsi_text_request(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length);
void iscsi_logout_request(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length);
void iscsi_snack_request(
	struct iscsi_conn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t length);

#endif
