/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving: one system call for many PDUs into the reactor's scratch buffer, headers gathered,
 * digests checked, data segments copied, or received, to where they belong. On the connection's
 * reactor.
 */
#ifndef YOKE_ISCSI_RX_H
#define YOKE_ISCSI_RX_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/iscsi/pdu.h"
#include "daemon/iscsi/server.h"

/* An extended CDB of 260 bytes in 16 + 244 (RFC 7143 11.2.2.3) and a bidirectional length. */
#define ISCSI_RX_AHS_MAX 272u

/* Why nothing is read from a connection at the moment. */
enum iscsi_rx_pause {
	ISCSI_RX_PAUSE_BUFFERS = 1, /* no data buffer for the PDU at hand */
	ISCSI_RX_PAUSE_TX = 2, /* the peer does not take our answers */
	ISCSI_RX_PAUSE_STATE = 4, /* the state takes no PDUs: joining, ending, flushing */
};

enum iscsi_rx_state {
	ISCSI_RX_HEADER,
	ISCSI_RX_BEGIN, /* the header is complete, its data cannot be taken yet */
	ISCSI_RX_DATA,
};

/* What begin() of an opcode says about the PDU's data segment. */
enum iscsi_rx_verdict {
	ISCSI_RX_TAKE, /* to rx->dest, rx->dest_left bytes of it; then end() */
	ISCSI_RX_DISCARD, /* nowhere, and no end() */
	ISCSI_RX_WAIT, /* no buffer: begin() again later */
	ISCSI_RX_CLOSE, /* the connection was dropped */
};

struct iscsi_cmd;
struct iscsi_conn;
struct iscsi_op;

struct iscsi_rx {
	enum iscsi_rx_state state;
	unsigned paused; /* enum iscsi_rx_pause */
	uint32_t header_have;
	uint32_t header_need;
	const struct iscsi_op *op;
	bool discard;
	bool large; /* big data segments: receive headers apart from them */
	uint8_t *dest; /* where the next data byte goes */
	uint32_t dest_left; /* so many; the rest of the segment is thrown away */
	uint32_t data_bytes; /* of this PDU's segment, without padding */
	uint32_t data_left; /* with padding */
	uint32_t crc; /* running */
	uint32_t digest_left;
	uint32_t digest_have;
	uint8_t *own; /* a data segment that belongs to no command */
	struct iscsi_cmd *cmd; /* the command that this PDU makes, or brings data for */
	void *burst; /* which of its bursts; NULL: unsolicited */
	uint8_t *held; /* received, not parsed yet: reading was paused */
	uint32_t held_bytes;
	uint64_t last_ms; /* when the last byte came */
	struct iscsi_starved starved;
	uint8_t digest[ISCSI_DIGEST_BYTES];
	uint8_t header[ISCSI_BHS_BYTES + ISCSI_RX_AHS_MAX + ISCSI_DIGEST_BYTES];
};

void iscsi_rx_init(struct iscsi_conn *conn);
void iscsi_rx_clear(struct iscsi_conn *conn);

/* The socket is readable. */
void iscsi_rx_ready(struct iscsi_conn *conn);

/* Bytes as they come from a socket; keeps what it cannot take at once. */
void iscsi_rx_input(struct iscsi_conn *conn, const uint8_t *bytes, uint32_t n);

/* The command of the PDU at hand is gone: the rest of its data is thrown away. */
void iscsi_rx_forget(struct iscsi_conn *conn);

void iscsi_rx_pause(struct iscsi_conn *conn, enum iscsi_rx_pause why);
/* Goes on at the end of the pass when no other reason is left. */
void iscsi_rx_resume(struct iscsi_conn *conn, enum iscsi_rx_pause why);
void iscsi_rx_resume_deferred(struct reactor_defer *defer);

#endif
