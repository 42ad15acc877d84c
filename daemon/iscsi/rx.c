/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/rx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "daemon/iscsi/dispatch.h"
#include "daemon/iscsi/tmf.h"
#include "yoke/crc32c.h"

#define ISCSI_RX_ROUNDS	       8u /* receives for one readiness: be fair to others */
#define ISCSI_RX_DIRECT_BYTES  (4u << 10) /* from here on a segment is received in place */
#define ISCSI_RX_LARGE_BYTES   (32u << 10) /* segments of this size are expected in a row */
#define ISCSI_RX_HEADERS_BYTES (16u << 10) /* then receive no more than this beside them */
#define ISCSI_RX_AHEAD	       64u /* commands of a receive that are looked at in advance */
#define ISCSI_RX_ANSWERS       16u /* that so many wait is enough to send them, while commands */
#define ISCSI_RX_ANSWERS_NEXT  4u /* are carried out, and before more is received */

static struct iscsi_conn *iscsi_rx_conn(struct iscsi_rx *rx)
{
	return container_of(rx, struct iscsi_conn, rx);
}

/* A buffer may be free again for the PDU at hand. */
static bool iscsi_rx_retry(struct iscsi_starved *starved)
{
	struct iscsi_rx *rx = container_of(starved, struct iscsi_rx, starved);

	/* begin() asks again, and waits again if it has to. */
	iscsi_rx_resume(iscsi_rx_conn(rx), ISCSI_RX_PAUSE_BUFFERS);
	return true;
}

static void iscsi_rx_reset(struct iscsi_rx *rx)
{
	free(rx->own);
	rx->own = NULL;
	rx->cmd = NULL;
	rx->burst = NULL;
	rx->state = ISCSI_RX_HEADER;
	rx->header_have = 0;
	rx->header_need = ISCSI_BHS_BYTES;
}

void iscsi_rx_init(struct iscsi_conn *conn)
{
	conn->rx.starved.retry = iscsi_rx_retry;
	qb_list_init(&conn->rx.starved.link);
	iscsi_rx_reset(&conn->rx);
}

void iscsi_rx_clear(struct iscsi_conn *conn)
{
	iscsi_rx_reset(&conn->rx);
	iscsi_starved_remove(&conn->rx.starved);
	free(conn->rx.held);
	conn->rx.held = NULL;
	conn->rx.held_bytes = 0;
}

static uint32_t iscsi_rx_data_limit(const struct iscsi_conn *conn)
{
	return conn->state == ISCSI_CONN_LOGIN ? ISCSI_DATA_SEGMENT_DEFAULT
					       : conn->params.recv_max_bytes;
}

/* Digests are in force from full feature phase on. */
static bool iscsi_rx_header_digest(const struct iscsi_conn *conn)
{
	return conn->state == ISCSI_CONN_FULL && conn->params.header_digest;
}

/* The first 48 bytes are there: how long is the rest? Nothing else is believed before the digest.
 */
static bool iscsi_rx_sized(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;
	uint32_t ahs = iscsi_bhs_ahs_bytes(rx->header);

	if (ahs > ISCSI_RX_AHS_MAX) {
		iscsi_conn_violation(conn,
			"additional header segments of %u bytes; %u are the limit", ahs,
			ISCSI_RX_AHS_MAX);
		return false;
	}
	rx->header_need =
		ISCSI_BHS_BYTES + ahs + (iscsi_rx_header_digest(conn) ? ISCSI_DIGEST_BYTES : 0);
	return true;
}

static bool iscsi_rx_header_good(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;
	uint32_t bytes = rx->header_need - ISCSI_DIGEST_BYTES;

	if (iscsi_rx_header_digest(conn) &&
		crc32c(rx->header, bytes) != crc32c_get(rx->header + bytes)) {
		iscsi_conn_drop(conn, "header digest error");
		return false;
	}
	rx->data_bytes = iscsi_bhs_data_bytes(rx->header);
	if (rx->data_bytes > iscsi_rx_data_limit(conn)) {
		iscsi_conn_violation(conn, "a data segment of %u bytes; %u were declared",
			rx->data_bytes, iscsi_rx_data_limit(conn));
		return false;
	}
	return true;
}

static void iscsi_rx_pdu_end(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;
	bool digest_bad = rx->digest_have && crc32c_end(rx->crc) != crc32c_get(rx->digest);

	if (!rx->discard) {
		rx->op->end(conn, rx->header, digest_bad);
	}
	if (iscsi_conn_is_open(conn)) {
		iscsi_rx_reset(rx);
	}
}

/* The header is complete: where does the data go? */
static void iscsi_rx_begin(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;
	enum iscsi_rx_verdict verdict;

	rx->dest = NULL;
	rx->dest_left = 0;
	verdict = rx->op->begin(conn, rx->header);
	if (verdict == ISCSI_RX_CLOSE || !iscsi_conn_is_open(conn)) {
		return;
	}
	if (verdict == ISCSI_RX_WAIT) {
		rx->state = ISCSI_RX_BEGIN;
		iscsi_rx_pause(conn, ISCSI_RX_PAUSE_BUFFERS);
		iscsi_starved_add(conn->home, &rx->starved);
		return;
	}
	rx->state = ISCSI_RX_DATA;
	rx->discard = verdict == ISCSI_RX_DISCARD;
	rx->data_left = iscsi_padded_bytes(rx->data_bytes);
	rx->large = rx->data_bytes >= ISCSI_RX_LARGE_BYTES;
	rx->crc = CRC32C_INIT;
	rx->digest_have = 0;
	rx->digest_left =
		conn->state == ISCSI_CONN_FULL && conn->params.data_digest && rx->data_left
			? ISCSI_DIGEST_BYTES
			: 0;
	if (rx->data_left == 0) {
		iscsi_rx_pdu_end(conn);
	}
}

/* Gathers the header; takes at most what it lacks. */
static uint32_t iscsi_rx_header(struct iscsi_conn *conn, const uint8_t *bytes, uint32_t n)
{
	struct iscsi_rx *rx = &conn->rx;
	uint32_t take = rx->header_need - rx->header_have;

	take = take < n ? take : n;
	memcpy(rx->header + rx->header_have, bytes, take);
	rx->header_have += take;
	if (rx->header_have < rx->header_need) {
		return take;
	}
	if (rx->header_need == ISCSI_BHS_BYTES) {
		if (!iscsi_rx_sized(conn) || rx->header_have < rx->header_need) {
			return take;
		}
	}
	if (!iscsi_rx_header_good(conn)) {
		return take;
	}
	conn->acked = iscsi_bhs_expstatsn(rx->header);
	if (conn->session && conn->session->fenced) {
		iscsi_tmf_fence_check(conn->session);
	}
	rx->op = iscsi_op_find(conn, rx->header[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_MASK);
	iscsi_rx_begin(conn);
	return take;
}

/* `n` bytes of the data segment stand where they belong (or nowhere). */
static void iscsi_rx_data_came(struct iscsi_rx *rx, const uint8_t *bytes, uint32_t n)
{
	if (rx->digest_left) {
		rx->crc = crc32c_add(rx->crc, bytes, n);
	}
	rx->data_left -= n;
}

static uint32_t iscsi_rx_data(struct iscsi_conn *conn, const uint8_t *bytes, uint32_t n)
{
	struct iscsi_rx *rx = &conn->rx;
	uint32_t used = rx->data_left < n ? rx->data_left : n;
	uint32_t copy = rx->dest_left < used ? rx->dest_left : used;

	if (copy) {
		memcpy(rx->dest, bytes, copy);
		rx->dest += copy;
		rx->dest_left -= copy;
	}
	iscsi_rx_data_came(rx, bytes, used);
	if (rx->data_left == 0 && rx->digest_left) {
		uint32_t take = rx->digest_left < n - used ? rx->digest_left : n - used;

		memcpy(rx->digest + rx->digest_have, bytes + used, take);
		rx->digest_have += take;
		rx->digest_left -= take;
		used += take;
	}
	if (rx->data_left == 0 && rx->digest_left == 0) {
		iscsi_rx_pdu_end(conn);
	}
	return used;
}

/* Keeps bytes that came but cannot be looked at yet. */
static void iscsi_rx_hold(struct iscsi_conn *conn, const uint8_t *bytes, uint32_t n)
{
	uint8_t *held = malloc(n);

	if (!held) {
		iscsi_conn_drop(conn, "out of memory for what it sent ahead");
		return;
	}
	memcpy(held, bytes, n);
	free(conn->rx.held);
	conn->rx.held = held;
	conn->rx.held_bytes = n;
}

/*
 * Answers wait for the end of the pass, and one send takes all of them. An initiator that is the
 * only one to have sent something has nothing to do until then, and this reactor has nothing to do
 * after that: so some are sent early, and both work at the same time. False: the connection is
 * gone.
 */
static bool iscsi_rx_answer(struct iscsi_conn *conn, unsigned least)
{
	if (conn->tx.item_count >= least && !conn->tx.blocked &&
		reactor_ready(conn->home->reactor) == 1) {
		iscsi_tx_flush(conn);
	}
	return iscsi_conn_is_open(conn);
}

/*
 * Tells the device server of the commands of a receive before the first of them is carried out. The
 * bytes are only looked at: whether they make sense is found out when it is their turn.
 */
static void iscsi_rx_expect(const struct iscsi_conn *conn, const uint8_t *bytes, uint32_t n)
{
	uint32_t at = 0;

	if (conn->state != ISCSI_CONN_FULL || !conn->session->nexus ||
		conn->rx.state != ISCSI_RX_HEADER || conn->rx.header_have) {
		return;
	}
	for (unsigned i = 0; i < ISCSI_RX_AHEAD && n - at >= ISCSI_BHS_BYTES; i++) {
		const uint8_t *bhs = bytes + at;
		uint32_t data = iscsi_padded_bytes(iscsi_bhs_data_bytes(bhs));
		uint32_t pdu = ISCSI_BHS_BYTES + iscsi_bhs_ahs_bytes(bhs) + data;

		if (iscsi_bhs_opcode(bhs) == ISCSI_OP_SCSI_COMMAND) {
			scsi_expect(
				conn->session->nexus, bhs + ISCSI_BHS_LUN, bhs + ISCSI_COMMAND_CDB);
		}
		pdu += conn->params.header_digest ? ISCSI_DIGEST_BYTES : 0;
		pdu += data && conn->params.data_digest ? ISCSI_DIGEST_BYTES : 0;
		at += pdu < n - at ? pdu : n - at;
	}
}

void iscsi_rx_input(struct iscsi_conn *conn, const uint8_t *bytes, uint32_t n)
{
	struct iscsi_rx *rx = &conn->rx;

	iscsi_rx_expect(conn, bytes, n);
	while (n && !rx->paused) {
		uint32_t used = rx->state == ISCSI_RX_DATA ? iscsi_rx_data(conn, bytes, n)
							   : iscsi_rx_header(conn, bytes, n);

		if (!iscsi_conn_is_open(conn) || !iscsi_rx_answer(conn, ISCSI_RX_ANSWERS)) {
			return;
		}
		bytes += used;
		n -= used;
	}
	if (n) {
		iscsi_rx_hold(conn, bytes, n);
	}
}

/* One receive: the rest of a large segment in place, what follows into the scratch buffer. */
static bool iscsi_rx_once(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;
	bool direct = rx->state == ISCSI_RX_DATA && rx->dest_left >= ISCSI_RX_DIRECT_BYTES;
	uint32_t direct_bytes = direct ? rx->dest_left : 0;
	struct iovec iov[2] = {
		{.iov_base = rx->dest, .iov_len = direct_bytes},
		{.iov_base = conn->home->scratch,
			.iov_len = rx->large ? ISCSI_RX_HEADERS_BYTES : ISCSI_SCRATCH_BYTES},
	};
	struct msghdr msg = {.msg_iov = direct ? iov : iov + 1, .msg_iovlen = direct ? 2 : 1};
	ssize_t got = recvmsg(conn->rfd.fd, &msg, MSG_DONTWAIT);
	uint32_t n, in_place;

	if (got <= 0) {
		if (got == 0) {
			iscsi_conn_drop(conn, "the initiator has closed it");
		} else if (errno != EAGAIN && errno != EINTR) {
			iscsi_conn_drop(conn, "%s", strerror(errno));
		}
		return false;
	}
	rx->last_ms = reactor_now_ms(conn->home->reactor);
	n = (uint32_t)got;
	in_place = n < direct_bytes ? n : direct_bytes;
	if (in_place) {
		const uint8_t *at = rx->dest;

		rx->dest += in_place;
		rx->dest_left -= in_place;
		iscsi_rx_data_came(rx, at, in_place);
		if (rx->data_left == 0 && rx->digest_left == 0) {
			iscsi_rx_pdu_end(conn);
		}
	}
	if (iscsi_conn_is_open(conn) && n > in_place) {
		iscsi_rx_input(conn, conn->home->scratch, n - in_place);
	}
	return n == direct_bytes + iov[1].iov_len;
}

void iscsi_rx_ready(struct iscsi_conn *conn)
{
	if (iscsi_conn_nop_overdue(conn)) {
		return;
	}
	for (unsigned i = 0; i < ISCSI_RX_ROUNDS; i++) {
		if (!iscsi_rx_once(conn) || !iscsi_conn_is_open(conn) || conn->rx.paused ||
			!iscsi_rx_answer(conn, ISCSI_RX_ANSWERS_NEXT)) {
			return;
		}
	}
}

void iscsi_rx_forget(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;

	rx->cmd = NULL;
	rx->burst = NULL;
	rx->dest = NULL;
	rx->dest_left = 0;
	rx->discard = true;
}

void iscsi_rx_pause(struct iscsi_conn *conn, enum iscsi_rx_pause why)
{
	/* The socket stays in the epoll set for now: most pauses are over before it is ready again.
	 */
	conn->rx.paused |= why;
}

void iscsi_rx_resume(struct iscsi_conn *conn, enum iscsi_rx_pause why)
{
	if (!(conn->rx.paused & why) || !iscsi_conn_is_open(conn)) {
		return;
	}
	conn->rx.paused &= ~(unsigned)why;
	if (!conn->rx.paused) {
		reactor_defer(conn->home->reactor, &conn->resume_defer);
	}
}

/* Looks at what is held before anything new is read. */
void iscsi_rx_resume_deferred(struct reactor_defer *defer)
{
	struct iscsi_conn *conn = container_of(defer, struct iscsi_conn, resume_defer);
	struct iscsi_rx *rx = &conn->rx;
	uint8_t *held;

	if (rx->paused) {
		return;
	}
	rx->last_ms = reactor_now_ms(conn->home->reactor);
	if (rx->state == ISCSI_RX_BEGIN) {
		iscsi_rx_begin(conn);
	}
	if (iscsi_conn_is_open(conn) && !rx->paused && rx->held) {
		held = rx->held;
		rx->held = NULL;
		iscsi_rx_input(conn, held, rx->held_bytes);
		free(held);
	}
	iscsi_conn_update_events(conn);
}
