/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/tx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "daemon/iscsi/cmd.h"
#include "yoke/crc32c.h"
#include "yoke/log.h"

#define ISCSI_TX_IOVECS		1024 /* IOV_MAX */
#define ISCSI_TX_ROUNDS		16u /* sends for one flush: be fair to others */
#define ISCSI_TX_REJECTS_LOGGED 8u /* of one connection: a bad peer cannot fill the log */

void iscsi_tx_init(struct iscsi_conn *conn)
{
	qb_list_init(&conn->tx.items);
}

/* It has been sent, or never will be. */
static void iscsi_tx_free(struct iscsi_conn *conn, struct iscsi_tx *tx)
{
	struct iscsi_cmd *cmd = tx->cmd;

	if (tx->own) {
		conn->tx.own_bytes -= tx->data_bytes;
		free(tx->own);
	}
	iscsi_pool_put(&conn->home->txs, tx);
	if (cmd) {
		iscsi_cmd_free(cmd);
	}
}

void iscsi_tx_clear(struct iscsi_conn *conn)
{
	struct iscsi_tx_queue *queue = &conn->tx;
	struct qb_list_head *pos, *next;

	while (queue->first) {
		struct iscsi_tx *tx = queue->first;

		queue->first = tx->next;
		queue->count--;
		iscsi_tx_free(conn, tx);
	}
	queue->last = NULL;
	queue->first_sent = 0;
	queue->item_count = 0;
	qb_list_for_each_safe (pos, next, &queue->items) {
		struct iscsi_tx_item *item = qb_list_entry(pos, struct iscsi_tx_item, link);

		if (item->is_pdu) {
			qb_list_del(&item->link);
			iscsi_tx_free(conn, container_of(item, struct iscsi_tx, item));
		} else {
			iscsi_cmd_free(container_of(item, struct iscsi_cmd, tx_item));
		}
	}
}

struct iscsi_tx *iscsi_tx_new(
	struct iscsi_conn *conn, enum iscsi_opcode opcode, uint8_t flags, uint32_t itt)
{
	struct iscsi_tx *tx = iscsi_pool_get(&conn->home->txs);

	if (!tx) {
		/* Dropped at the end of the pass: whoever asks may be in the middle of something.
		 */
		conn->tx.broken = true;
		reactor_defer(conn->home->reactor, &conn->flush_defer);
		return NULL;
	}
	tx->next = NULL;
	tx->data = NULL;
	tx->task = NULL;
	tx->data_bytes = 0;
	tx->tail_bytes = 0;
	tx->cmd = NULL;
	tx->own = NULL;
	iscsi_bhs_init(tx->header, opcode, flags, itt);
	return tx;
}

/* ExpCmdSN and MaxCmdSN as they are now; in login they only repeat what the initiator said. */
static void iscsi_tx_number(
	struct iscsi_conn *conn, struct iscsi_tx *tx, enum iscsi_tx_statsn statsn)
{
	uint32_t exp_cmdsn = conn->login_cmdsn;
	uint32_t max_cmdsn = exp_cmdsn + conn->home->conf->iscsi.command_window - 1;

	/* A session has its TSIH to the end, so that the Logout Response is numbered as well. */
	if (conn->session && conn->session->tsih) {
		exp_cmdsn = conn->session->window.exp_cmdsn;
		max_cmdsn = iscsi_window_max(&conn->session->window);
		conn->session->max_cmdsn_told = max_cmdsn;
	}
	if (statsn != ISCSI_TX_STATSN_NONE) {
		be32_put(tx->header + ISCSI_BHS_STATSN, conn->statsn);
		conn->statsn += statsn == ISCSI_TX_STATSN_USE;
	}
	be32_put(tx->header + ISCSI_BHS_EXPCMDSN, exp_cmdsn);
	be32_put(tx->header + ISCSI_BHS_MAXCMDSN, max_cmdsn);
}

/*
 * What a digest is of is what is sent: data in the store, which others may change at any time, is
 * copied, and the digest is that of the copy.
 */
static uint32_t iscsi_tx_data_crc(struct iscsi_tx *tx)
{
	struct scsi_task *task = tx->task;
	uint32_t crc = CRC32C_INIT;

	if (!task) {
		return crc32c_add(crc, tx->data, tx->data_bytes);
	}
	if (task->in_place) {
		scsi_task_in_copy(task, tx->data_bytes, &crc);
	}
	if (!task->in_lost) {
		tx->data = task->buf->data + tx->offset;
		tx->task = NULL;
	}
	return crc;
}

static void iscsi_tx_digest(struct iscsi_conn *conn, struct iscsi_tx *tx)
{
	bool full = conn->state != ISCSI_CONN_LOGIN && conn->state != ISCSI_CONN_JOINING;
	uint32_t pad = iscsi_padded_bytes(tx->data_bytes) - tx->data_bytes;

	tx->header_bytes = ISCSI_BHS_BYTES;
	if (full && conn->params.header_digest) {
		crc32c_put(tx->header + ISCSI_BHS_BYTES, crc32c(tx->header, ISCSI_BHS_BYTES));
		tx->header_bytes += ISCSI_DIGEST_BYTES;
	}
	memset(tx->tail, 0, sizeof(tx->tail));
	tx->tail_bytes = pad;
	if (full && conn->params.data_digest && tx->data_bytes) {
		uint32_t crc = iscsi_tx_data_crc(tx);

		crc = crc32c_end(crc32c_add(crc, tx->tail, pad));
		crc32c_put(tx->tail + pad, crc);
		tx->tail_bytes += ISCSI_DIGEST_BYTES;
	}
}

/* A peer that asks and does not take the answers is not listened to any more. */
static void iscsi_tx_restrain(struct iscsi_conn *conn)
{
	const struct iscsi_tx_queue *queue = &conn->tx;

	if (queue->count > ISCSI_TX_HIGH || queue->item_count > ISCSI_TX_HIGH ||
		queue->own_bytes > ISCSI_TX_HIGH_BYTES) {
		iscsi_rx_pause(conn, ISCSI_RX_PAUSE_TX);
	}
}

static void iscsi_tx_add_item(struct iscsi_conn *conn, struct iscsi_tx_item *item, bool is_pdu)
{
	item->is_pdu = is_pdu;
	qb_list_add_tail(&item->link, &conn->tx.items);
	conn->tx.item_count++;
	iscsi_tx_restrain(conn);
	iscsi_tx_flush_later(conn);
}

void iscsi_tx_queue(struct iscsi_conn *conn, struct iscsi_tx *tx, enum iscsi_tx_statsn statsn)
{
	struct iscsi_tx_queue *queue = &conn->tx;

	iscsi_bhs_set_data_bytes(tx->header, tx->data_bytes);
	iscsi_tx_number(conn, tx, statsn);
	iscsi_tx_digest(conn, tx);
	if (queue->last) {
		queue->last->next = tx;
	} else {
		queue->first = tx;
	}
	queue->last = tx;
	queue->count++;
	if (tx->own) {
		queue->own_bytes += tx->data_bytes;
	}
	iscsi_tx_restrain(conn);
	iscsi_tx_flush_later(conn);
}

void iscsi_tx_flush_later(struct iscsi_conn *conn)
{
	if (iscsi_conn_is_open(conn) && !conn->tx.blocked) {
		reactor_defer(conn->home->reactor, &conn->flush_defer);
	}
}

void iscsi_tx_queue_behind(struct iscsi_conn *conn, struct iscsi_tx *tx)
{
	if (qb_list_empty(&conn->tx.items)) {
		iscsi_tx_queue(conn, tx, ISCSI_TX_STATSN_USE);
		return;
	}
	iscsi_tx_add_item(conn, &tx->item, true);
}

void iscsi_tx_queue_cmd(struct iscsi_conn *conn, struct iscsi_cmd *cmd)
{
	iscsi_tx_add_item(conn, &cmd->tx_item, false);
}

/* PDUs of commands that are being answered, as many as are useful now. */
static void iscsi_tx_make(struct iscsi_conn *conn)
{
	struct iscsi_tx_queue *queue = &conn->tx;

	while (queue->count < ISCSI_TX_READY && !qb_list_empty(&queue->items) && !queue->broken) {
		struct iscsi_tx_item *item =
			qb_list_first_entry(&queue->items, struct iscsi_tx_item, link);

		if (item->is_pdu) {
			qb_list_del(&item->link);
			queue->item_count--;
			iscsi_tx_queue(conn, container_of(item, struct iscsi_tx, item),
				ISCSI_TX_STATSN_USE);
		} else if (iscsi_cmd_next_pdu(container_of(item, struct iscsi_cmd, tx_item))) {
			qb_list_del(&item->link);
			qb_list_init(&item->link);
			queue->item_count--;
		}
	}
}

static int iscsi_tx_piece(struct iovec *iov, const void *base, uint32_t bytes, uint32_t *skip)
{
	if (bytes <= *skip) {
		*skip -= bytes;
		return 0;
	}
	iov->iov_base = (uint8_t *)(uintptr_t)base + *skip;
	iov->iov_len = bytes - *skip;
	*skip = 0;
	return 1;
}

/* Negative: data that has to be sent is gone. */
static int iscsi_tx_gather(struct iscsi_conn *conn, struct iovec *iov, size_t *bytes)
{
	uint32_t skip = conn->tx.first_sent;
	int n = 0;

	*bytes = 0;
	for (struct iscsi_tx *tx = conn->tx.first; tx && n + 3 <= ISCSI_TX_IOVECS; tx = tx->next) {
		const uint8_t *data = tx->task ? scsi_task_in(tx->task) + tx->offset : tx->data;

		if (tx->task && tx->task->in_lost) {
			return -1;
		}
		n += iscsi_tx_piece(&iov[n], tx->header, tx->header_bytes, &skip);
		n += iscsi_tx_piece(&iov[n], data, tx->data_bytes, &skip);
		n += iscsi_tx_piece(&iov[n], tx->tail, tx->tail_bytes, &skip);
	}
	for (int i = 0; i < n; i++) {
		*bytes += iov[i].iov_len;
	}
	return n;
}

static void iscsi_tx_sent(struct iscsi_conn *conn, size_t bytes)
{
	struct iscsi_tx_queue *queue = &conn->tx;

	bytes += queue->first_sent;
	while (queue->first) {
		struct iscsi_tx *tx = queue->first;
		size_t whole = (size_t)tx->header_bytes + tx->data_bytes + tx->tail_bytes;

		if (bytes < whole) {
			break;
		}
		bytes -= whole;
		queue->first = tx->next;
		queue->last = tx->next ? queue->last : NULL;
		queue->count--;
		iscsi_tx_free(conn, tx);
	}
	queue->first_sent = (uint32_t)bytes;
}

/* One sendmsg. False: the socket is full, or gone. */
static bool iscsi_tx_send(struct iscsi_conn *conn)
{
	struct iovec iov[ISCSI_TX_IOVECS];
	struct msghdr msg = {.msg_iov = iov};
	size_t bytes;
	ssize_t n;
	int pieces = iscsi_tx_gather(conn, iov, &bytes);

	if (pieces < 0) {
		iscsi_conn_drop(conn, "data that is being sent to it is gone");
		return false;
	}
	msg.msg_iovlen = (size_t)pieces;
	n = sendmsg(conn->rfd.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		if (errno == EFAULT && scsi_tasks_settle(conn->home->reactor)) {
			return true; /* a file was cut: what it still has is copied, or known to be
					gone */
		}
		if (errno == EAGAIN || errno == EINTR) {
			conn->tx.blocked = true;
		} else {
			iscsi_conn_drop(conn, "%s", strerror(errno));
		}
		return false;
	}
	conn->tx.last_ms = reactor_now_ms(conn->home->reactor);
	iscsi_tx_sent(conn, (size_t)n);
	conn->tx.blocked = (size_t)n < bytes;
	return !conn->tx.blocked;
}

/* RFC 7143 11.4.11: a MaxCmdSN that has grown is told, with a NOP-In if there is nothing else. */
static void iscsi_tx_announce(struct iscsi_conn *conn)
{
	struct iscsi_session *session = conn->session;
	struct iscsi_tx *tx;

	if (conn->state != ISCSI_CONN_FULL || conn->tx.first ||
		iscsi_window_max(&session->window) == session->max_cmdsn_told) {
		return;
	}
	tx = iscsi_tx_new(conn, ISCSI_OP_NOP_IN, ISCSI_FLAG_FINAL, ISCSI_TAG_NONE);
	if (tx) {
		be32_put(tx->header + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
		iscsi_tx_queue(conn, tx, ISCSI_TX_STATSN_PEEK);
	}
}

void iscsi_tx_flush(struct iscsi_conn *conn)
{
	struct iscsi_tx_queue *queue = &conn->tx;
	unsigned rounds = 0;

	do {
		iscsi_tx_make(conn);
		iscsi_tx_announce(conn);
		if (queue->broken) {
			iscsi_conn_drop(conn, "out of memory for an answer");
			return;
		}
		conn->tx.blocked = false;
		if (!queue->first) {
			break;
		}
		/* After so many rounds the next readiness goes on: it comes at once. */
		if (++rounds > ISCSI_TX_ROUNDS) {
			conn->tx.blocked = true;
			break;
		}
	} while (iscsi_tx_send(conn));
	if (!iscsi_conn_is_open(conn)) {
		return;
	}
	if (queue->first || !qb_list_empty(&queue->items)) {
		scsi_tasks_settle(conn->home->reactor);
	}
	/* What was queued while flushing has been seen to: no pass only for that. */
	reactor_defer_cancel(conn->home->reactor, &conn->flush_defer);
	if (queue->count <= ISCSI_TX_HIGH / 2 && queue->item_count <= ISCSI_TX_HIGH / 2 &&
		queue->own_bytes <= ISCSI_TX_HIGH_BYTES / 2) {
		iscsi_rx_resume(conn, ISCSI_RX_PAUSE_TX);
	}
	if (!queue->first && qb_list_empty(&queue->items)) {
		iscsi_conn_event(conn, ISCSI_CONN_FLUSHED);
	}
	iscsi_conn_update_events(conn); /* unless that was the end of it */
}

void iscsi_tx_flush_deferred(struct reactor_defer *defer)
{
	iscsi_tx_flush(container_of(defer, struct iscsi_conn, flush_defer));
}

void iscsi_tx_reject(struct iscsi_conn *conn, enum iscsi_reject_reason reason)
{
	uint32_t bytes = ISCSI_BHS_BYTES + iscsi_bhs_ahs_bytes(conn->rx.header);
	struct iscsi_tx *tx = iscsi_tx_new(conn, ISCSI_OP_REJECT, ISCSI_FLAG_FINAL, ISCSI_TAG_NONE);

	if (!tx) {
		return;
	}
	if (conn->rejects++ < ISCSI_TX_REJECTS_LOGGED) {
		log_warning("iscsi: session %u of %s: %s rejected: %s", conn->session->tsih,
			conn->session->initiator, conn->rx.op->name,
			iscsi_reject_reason_name(reason));
	}
	tx->header[ISCSI_REJECT_REASON] = (uint8_t)reason;
	tx->data = tx->small;
	tx->data_bytes = bytes;
	if (bytes > sizeof(tx->small)) {
		tx->own = malloc(bytes);
		tx->data = tx->own ? tx->own : tx->small;
		tx->data_bytes = tx->own ? bytes : ISCSI_BHS_BYTES;
	}
	memcpy(tx->own ? tx->own : tx->small, conn->rx.header, tx->data_bytes);
	iscsi_tx_queue(conn, tx, ISCSI_TX_STATSN_USE);
}
