/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending: PDUs are queued with references to the tasks' buffers and go out once a pass, as many as
 * fit in one sendmsg. The PDUs of long reads are made as the socket takes them. On the connection's
 * reactor.
 */
#ifndef YOKE_ISCSI_TX_H
#define YOKE_ISCSI_TX_H

#include <stdbool.h>
#include <stdint.h>
#include <qb/qblist.h>

#include "daemon/iscsi/pdu.h"
#include "yoke/reactor.h"

#define ISCSI_TX_SMALL_BYTES 72u
#define ISCSI_TX_READY	     192u /* PDUs made ahead of the socket */
#define ISCSI_TX_HIGH	     1024u /* PDUs queued: no more requests are read */
#define ISCSI_TX_HIGH_BYTES  (4u << 20) /* and bytes of data that no command owns */

struct iscsi_cmd;
struct iscsi_conn;
struct scsi_task;

/*
 * What waits for its turn to be answered: a command whose PDUs are made one by one, or a PDU that
 * must not overtake those.
 */
struct iscsi_tx_item {
	struct qb_list_head link;
	bool is_pdu; /* struct iscsi_tx, else struct iscsi_cmd */
};

struct iscsi_tx {
	struct iscsi_tx *next;
	struct iscsi_tx_item item;
	const uint8_t *data;
	struct scsi_task *task; /* its data-in from `offset` on is the data; NULL: `data` is */
	uint32_t offset;
	uint32_t data_bytes;
	uint32_t header_bytes; /* 48, or 52 with its digest */
	uint32_t tail_bytes; /* padding and data digest */
	struct iscsi_cmd *cmd; /* ends with this PDU; NULL */
	uint8_t *own; /* freed with it; NULL */
	uint8_t header[ISCSI_BHS_BYTES + ISCSI_DIGEST_BYTES];
	uint8_t tail[3 + ISCSI_DIGEST_BYTES + 1];
	uint8_t small[ISCSI_TX_SMALL_BYTES];
};

struct iscsi_tx_queue {
	struct iscsi_tx *first, *last;
	unsigned count;
	uint32_t first_sent; /* bytes of the first one that are out */
	size_t own_bytes;
	unsigned item_count; /* in items */
	uint64_t last_ms; /* when the socket last took something */
	bool blocked; /* the socket is full */
	bool broken; /* out of memory: the connection goes */
	struct qb_list_head items; /* struct iscsi_tx_item: not made yet, in order */
};

void iscsi_tx_init(struct iscsi_conn *conn);
/* Gives back everything queued; commands that were being answered end. */
void iscsi_tx_clear(struct iscsi_conn *conn);

/* A PDU to fill (header zeroed but for opcode, flags and ITT), not queued. NULL: the
 * connection will be dropped at the end of the pass. */
struct iscsi_tx *iscsi_tx_new(
	struct iscsi_conn *conn, enum iscsi_opcode opcode, uint8_t flags, uint32_t itt);

enum iscsi_tx_statsn {
	ISCSI_TX_STATSN_NONE, /* the field stays as it is */
	ISCSI_TX_STATSN_PEEK, /* the next one, not used up */
	ISCSI_TX_STATSN_USE,
};

/* Sets lengths and numbers, computes digests and queues it; `data` stays valid until it is sent. */
void iscsi_tx_queue(struct iscsi_conn *conn, struct iscsi_tx *tx, enum iscsi_tx_statsn statsn);

/*
 * The same, behind the answers to every command that has ended already: what a task management
 * function, a logout or a message about the session's end says must be true when it is read.
 */
void iscsi_tx_queue_behind(struct iscsi_conn *conn, struct iscsi_tx *tx);

/* A command has its outcome: its PDUs are made as the socket takes them. */
void iscsi_tx_queue_cmd(struct iscsi_conn *conn, struct iscsi_cmd *cmd);

/* Asks for a flush at the end of the pass. */
void iscsi_tx_flush_later(struct iscsi_conn *conn);
void iscsi_tx_flush(struct iscsi_conn *conn);
void iscsi_tx_flush_deferred(struct reactor_defer *defer);

/* A Reject of the PDU at hand (RFC 7143 11.17): its header goes back as data. */
void iscsi_tx_reject(struct iscsi_conn *conn, enum iscsi_reject_reason reason);

#endif
