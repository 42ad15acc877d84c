/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_conn.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "ha/ship_private.h"
#include "yoke/log.h"
#include "yoke/util.h"

/* Frames encrypted in one pass before other connections get their turn. */
#define SHIP_PASS_BYTES (1u << 20)

const char *ship_state_name(enum ship_state state)
{
	switch (state) {
	case SHIP_CLOSED:
		return "closed";
	case SHIP_CONNECTING:
		return "connecting";
	case SHIP_TLS:
		return "TLS handshake";
	case SHIP_GREETING:
		return "greeting";
	case SHIP_BARRIER:
		return "waiting for old tasks";
	case SHIP_OPEN:
		return "open";
	case SHIP_STATES:
		break;
	}
	return "?";
}

#define ON(side, state) (1u << ((side)*SHIP_STATES + (state)))
#define ON_OUT(state)	ON(SHIP_SIDE_OUT, state)
#define ON_IN(state)	ON(SHIP_SIDE_IN, state)

/*
 * Which frames may come in, by side and state. An empty row refuses. PING and PONG go both ways as
 * soon as HELLO is through, so that a long wait for old tasks does not look like a dead peer.
 */
static const uint32_t ship_allowed[SHIP_TYPES] = {
	[SHIP_HELLO] = ON_IN(SHIP_GREETING),
	[SHIP_HELLO_ACK] = ON_OUT(SHIP_GREETING),
	[SHIP_NEXUS] = ON_IN(SHIP_OPEN),
	[SHIP_NEXUS_GONE] = ON_IN(SHIP_OPEN),
	[SHIP_COMMAND] = ON_IN(SHIP_OPEN),
	[SHIP_DATA_OUT] = ON_IN(SHIP_OPEN),
	[SHIP_DATA_IN] = ON_OUT(SHIP_OPEN),
	[SHIP_RESULT] = ON_OUT(SHIP_OPEN),
	[SHIP_ABORT] = ON_IN(SHIP_OPEN),
	[SHIP_TMF] = ON_IN(SHIP_OPEN),
	[SHIP_TMF_DONE] = ON_OUT(SHIP_OPEN),
	[SHIP_PING] =
		ON_IN(SHIP_BARRIER) | ON_IN(SHIP_OPEN) | ON_OUT(SHIP_GREETING) | ON_OUT(SHIP_OPEN),
	[SHIP_PONG] =
		ON_IN(SHIP_BARRIER) | ON_IN(SHIP_OPEN) | ON_OUT(SHIP_GREETING) | ON_OUT(SHIP_OPEN),
};

static bool ship_frame_is_allowed(const struct ship_conn *conn, unsigned type)
{
	return ship_allowed[type] & ON(conn->ops->side, conn->state);
}

static bool ship_conn_is_greeted(const struct ship_conn *conn)
{
	return conn->state >= SHIP_BARRIER ||
	       (conn->state == SHIP_GREETING && conn->ops->side == SHIP_SIDE_OUT);
}

/* Every piece of work on a connection stands between enter and leave. */
static void ship_conn_enter(struct ship_conn *conn)
{
	conn->busy++;
}

static void ship_conn_leave(struct ship_conn *conn)
{
	if (--conn->busy == 0 && (conn->state == SHIP_CLOSED || conn->paused)) {
		conn->ops->idle(conn);
	}
}

/* ----- closing ---------------------------------------------------------------------------------
 */

void ship_conn_close(struct ship_conn *conn, const char *why)
{
	struct reactor *r = conn->port->reactor;

	if (conn->state == SHIP_CLOSED) {
		return;
	}
	ship_conn_enter(conn);
	conn->state = SHIP_CLOSED;
	conn->paused = false;
	reactor_fd_del(r, &conn->rfd);
	close(conn->rfd.fd);
	conn->rfd.fd = -1;
	reactor_timer_cancel(r, &conn->timer);
	reactor_defer_cancel(r, &conn->flush);
	while (!qb_list_empty(&conn->queue)) {
		ship_conn_unsend(qb_list_first_entry(&conn->queue, struct ship_tx, link));
	}
	conn->data_to = NULL;
	conn->data_left = 0;
	conn->tx_data_left = 0;
	conn->ops->closed(conn, why);
	ship_conn_leave(conn);
}

/* The peer did what it must not do. */
static void ship_conn_refuse(
	struct ship_conn *conn, const struct ship_frame *frame, const char *why)
{
	char text[192];

	SHIP_COUNT(conn->port, refused_frames, 1);
	snprintf(text, sizeof(text), "frame %s (type %u, version %u) refused in state %s: %s",
		ship_type_name(frame->type), frame->type, frame->version,
		ship_state_name(conn->state), why);
	ship_conn_close(conn, text);
}

static void ship_conn_broken(struct ship_conn *conn, enum ship_wire_result result)
{
	char why[160];

	if (result == SHIP_WIRE_CLOSED) {
		ship_conn_close(conn, "closed by the peer");
	} else {
		ship_wire_why(&conn->wire, why, sizeof(why));
		ship_conn_close(conn, why);
	}
}

void ship_conn_release(struct ship_conn *conn)
{
	if (conn->rfd.fd >= 0) {
		close(conn->rfd.fd); /* the reactor has stopped before it was closed */
		conn->rfd.fd = -1;
	}
	ship_wire_close(&conn->wire);
	free(conn->rx);
	free(conn->tx);
	conn->rx = NULL;
	conn->tx = NULL;
	conn->state = SHIP_CLOSED;
}

/* ----- frames in -------------------------------------------------------------------------------
 */

/* Takes what is buffered of the data frame under way. */
static void ship_rx_data(struct ship_conn *conn)
{
	uint32_t n = conn->rx_end - conn->rx_start;

	n = n < conn->data_left ? n : conn->data_left;
	if (conn->data_to) {
		memcpy(conn->data_to, conn->rx + conn->rx_start, n);
		conn->data_to += n;
	}
	conn->rx_start += n;
	conn->data_left -= n;
}

/* A data frame's header and offset are here: where does the rest go? */
static const char *ship_rx_data_begin(
	struct ship_conn *conn, const struct ship_frame *frame, struct cursor *c)
{
	uint32_t offset = cursor_get_u32(c);

	conn->data_frame = *frame;
	conn->data_to = NULL;
	conn->data_left = frame->payload_bytes - SHIP_DATA_BODY_BYTES;
	return conn->ops->data(conn, frame, offset, conn->data_left, &conn->data_to);
}

/* One step on the buffered bytes; false when more are needed or nothing is to be done any more. */
static bool ship_rx_step(struct ship_conn *conn)
{
	struct cursor c = cursor_reader(conn->rx + conn->rx_start, conn->rx_end - conn->rx_start);
	struct ship_frame frame;
	enum ship_frame_error error;
	const char *why = NULL;
	bool is_data;
	uint32_t body;

	error = ship_frame_get(&c, &frame);
	if (error == SHIP_FRAME_SHORT) {
		return false;
	}
	if (error != SHIP_FRAME_OK) {
		ship_conn_refuse(conn, &frame, ship_frame_error_name(error));
		return false;
	}
	if (!ship_frame_is_allowed(conn, frame.type)) {
		ship_conn_refuse(conn, &frame, "not allowed here");
		return false;
	}
	is_data = frame.type == SHIP_DATA_OUT || frame.type == SHIP_DATA_IN;
	body = is_data ? SHIP_DATA_BODY_BYTES : frame.payload_bytes;
	cursor_take(&c, frame.header_bytes - SHIP_HEADER_BYTES);
	if (!cursor_ok(&c) || cursor_left(&c) < body) {
		return false;
	}
	conn->rx_start += frame.header_bytes + body;
	if (is_data) {
		why = ship_rx_data_begin(conn, &frame, &c);
	} else if (frame.type == SHIP_PING) {
		conn->pong = true;
		reactor_defer(conn->port->reactor, &conn->flush);
	} else if (frame.type != SHIP_PONG) {
		struct cursor payload = cursor_reader(c.base + c.pos, body);

		why = conn->ops->frame(conn, &frame, &payload);
	}
	if (why) {
		ship_conn_refuse(conn, &frame, why);
	}
	return true;
}

/* Works through the buffered bytes. */
static void ship_rx_run(struct ship_conn *conn)
{
	while (conn->state >= SHIP_GREETING && !conn->paused) {
		if (conn->data_left > 0) {
			ship_rx_data(conn);
			if (conn->data_left > 0) {
				break;
			}
			conn->ops->data_end(conn, &conn->data_frame);
		} else if (!ship_rx_step(conn)) {
			break;
		}
	}
	if (conn->rx_start == conn->rx_end) {
		conn->rx_start = conn->rx_end = 0;
	}
}

/* Reads until nothing is left or the pass has had its share. */
static void ship_rx_ready(struct ship_conn *conn)
{
	ship_wire_pass(&conn->wire);
	while (conn->state >= SHIP_GREETING && !conn->paused) {
		/* Data goes straight to its place when nothing stands before it. */
		bool direct =
			conn->data_left > 0 && conn->data_to && conn->rx_start == conn->rx_end;
		enum ship_wire_result result;
		size_t got = 0;

		if (direct) {
			result = ship_wire_read(&conn->wire, conn->data_to, conn->data_left, &got);
		} else {
			memmove(conn->rx, conn->rx + conn->rx_start, conn->rx_end - conn->rx_start);
			conn->rx_end -= conn->rx_start;
			conn->rx_start = 0;
			result = ship_wire_read(&conn->wire, conn->rx + conn->rx_end,
				SHIP_RX_BYTES - conn->rx_end, &got);
		}
		if (result == SHIP_WIRE_WAIT) {
			break;
		}
		if (result != SHIP_WIRE_OK) {
			ship_conn_broken(conn, result);
			break;
		}
		conn->heard_ms = reactor_now_ms(conn->port->reactor);
		if (direct) {
			conn->data_to += got;
			conn->data_left -= (uint32_t)got;
			if (conn->data_left == 0) {
				conn->ops->data_end(conn, &conn->data_frame);
			}
		} else {
			conn->rx_end += (uint32_t)got;
		}
		ship_rx_run(conn);
	}
}

/* ----- frames out ------------------------------------------------------------------------------
 */

uint32_t ship_conn_room(const struct ship_conn *conn)
{
	return SHIP_TX_BYTES - conn->tx_end;
}

struct cursor ship_frame_begin(struct ship_conn *conn)
{
	struct cursor c = cursor_over(conn->tx + conn->tx_end, ship_conn_room(conn));

	cursor_take(&c, SHIP_HEADER_BYTES);
	return c;
}

void ship_frame_end(
	struct ship_conn *conn, struct cursor *c, enum ship_type type, uint64_t epoch, uint64_t tag)
{
	struct cursor header = cursor_over(c->base, SHIP_HEADER_BYTES);

	if (!cursor_ok(c)) {
		/* A bug of ours (fill() counts on SHIP_TX_ROOM): better no connection than half a
		 * frame. */
		log_err("interconnect: frame %s does not fit into %u bytes", ship_type_name(type),
			ship_conn_room(conn));
		ship_conn_close(conn, "internal error");
		return;
	}
	ship_frame_put(&header, type, (uint32_t)(c->pos - SHIP_HEADER_BYTES), epoch, tag);
	conn->tx_end += (uint32_t)c->pos;
}

/* What is left of the direct data goes behind the frames; there is room for all of it. */
static void ship_tx_data_gather(struct ship_conn *conn)
{
	if (conn->tx_data_left > 0) {
		memcpy(conn->tx + conn->tx_end, conn->tx_data, conn->tx_data_left);
		conn->tx_end += conn->tx_data_left;
	}
	conn->tx_data = NULL;
	conn->tx_data_left = 0;
}

uint32_t ship_frame_data(struct ship_conn *conn, enum ship_type type, uint64_t epoch, uint64_t tag,
	const uint8_t *data, uint32_t offset, uint32_t end)
{
	uint32_t n = ship_conn_room(conn) - SHIP_HEADER_BYTES - SHIP_DATA_BODY_BYTES;
	uint8_t header[SHIP_HEADER_BYTES + SHIP_DATA_BODY_BYTES];
	struct cursor c = cursor_over(header, sizeof(header));

	n = n < SHIP_CHUNK_BYTES ? n : SHIP_CHUNK_BYTES;
	n = n < end - offset ? n : end - offset;
	ship_frame_put(&c, type, SHIP_DATA_BODY_BYTES + n, epoch, tag);
	cursor_put_u32(&c, offset);
	memcpy(conn->tx + conn->tx_end, header, sizeof(header));
	conn->tx_end += (uint32_t)sizeof(header);
	conn->tx_data = data + offset;
	conn->tx_data_left = n;
	if (!conn->flushing || n < SHIP_DIRECT_BYTES) {
		ship_tx_data_gather(conn);
	}
	SHIP_COUNT(conn->port, bytes_out, n);
	return n;
}

void ship_conn_send(struct ship_conn *conn, struct ship_tx *tx)
{
	if (conn->state == SHIP_CLOSED || tx->queued) {
		return;
	}
	tx->queued = true;
	qb_list_add_tail(&tx->link, &conn->queue);
	reactor_defer(conn->port->reactor, &conn->flush);
}

void ship_conn_unsend(struct ship_tx *tx)
{
	if (tx->queued) {
		tx->queued = false;
		qb_list_del(&tx->link);
	}
}

static void ship_tx_empty_frame(struct ship_conn *conn, enum ship_type type)
{
	struct cursor c = ship_frame_begin(conn);

	ship_frame_end(conn, &c, type, 0, 0);
}

/* Gathers frames until the buffer is full; transfers take turns, a chunk each. */
static void ship_tx_gather(struct ship_conn *conn)
{
	if (conn->tx_start > 0) {
		memmove(conn->tx, conn->tx + conn->tx_start, conn->tx_end - conn->tx_start);
		conn->tx_end -= conn->tx_start;
		conn->tx_start = 0;
	}
	if (ship_conn_is_greeted(conn) && ship_conn_room(conn) >= 2 * SHIP_HEADER_BYTES) {
		if (conn->pong) {
			conn->pong = false;
			ship_tx_empty_frame(conn, SHIP_PONG);
		}
		if (conn->ping) {
			conn->ping = false;
			ship_tx_empty_frame(conn, SHIP_PING);
		}
	}
	while (conn->state == SHIP_OPEN && !qb_list_empty(&conn->queue) &&
		conn->tx_data_left == 0 && ship_conn_room(conn) >= SHIP_TX_ROOM) {
		struct ship_tx *tx = qb_list_first_entry(&conn->queue, struct ship_tx, link);

		ship_conn_unsend(tx);
		if (tx->fill(conn, tx) && conn->state == SHIP_OPEN) {
			tx->queued = true;
			qb_list_add_tail(&tx->link, &conn->queue);
		}
	}
}

static bool ship_tx_remains(const struct ship_conn *conn)
{
	return conn->tx_start < conn->tx_end || ship_wire_pending(&conn->wire) ||
	       (conn->state == SHIP_OPEN && !qb_list_empty(&conn->queue));
}

/* Encrypts what was gathered; false when the socket takes no more or the connection broke. */
static bool ship_tx_encrypt(struct ship_conn *conn, uint32_t *bytes)
{
	while (conn->tx_start < conn->tx_end || conn->tx_data_left > 0) {
		bool direct = conn->tx_start == conn->tx_end;
		size_t put = 0;
		enum ship_wire_result result =
			direct ? ship_wire_write(
					 &conn->wire, conn->tx_data, conn->tx_data_left, &put)
			       : ship_wire_write(&conn->wire, conn->tx + conn->tx_start,
					 conn->tx_end - conn->tx_start, &put);

		if (result == SHIP_WIRE_WAIT) {
			return false;
		}
		if (result != SHIP_WIRE_OK) {
			ship_conn_broken(conn, result);
			return false;
		}
		if (direct) {
			conn->tx_data += put;
			conn->tx_data_left -= (uint32_t)put;
		} else {
			conn->tx_start += (uint32_t)put;
		}
		*bytes += (uint32_t)put;
	}
	conn->tx_start = conn->tx_end = 0;
	return true;
}

static void ship_conn_flush(struct ship_conn *conn)
{
	struct reactor *r = conn->port->reactor;
	uint32_t bytes = 0;
	bool more = true;

	while (more && conn->state >= SHIP_GREETING && bytes < SHIP_PASS_BYTES) {
		conn->flushing = true;
		ship_tx_gather(conn);
		conn->flushing = false;
		if (conn->tx_start == conn->tx_end) {
			break;
		}
		more = ship_tx_encrypt(conn, &bytes);
		/* Whoever owns the memory may take it back once we have returned. */
		ship_tx_data_gather(conn);
	}
	if (conn->state < SHIP_GREETING || conn->paused) {
		return;
	}
	if (ship_wire_send(&conn->wire) == SHIP_WIRE_FAILED) {
		ship_conn_broken(conn, SHIP_WIRE_FAILED);
		return;
	}
	if (bytes > 0) {
		conn->sent_ms = reactor_now_ms(r);
	}
	reactor_fd_mod(r, &conn->rfd, EPOLLIN | (ship_tx_remains(conn) ? EPOLLOUT : 0u));
}

static void ship_conn_flush_fn(struct reactor_defer *defer)
{
	struct ship_conn *conn = container_of(defer, struct ship_conn, flush);

	ship_conn_enter(conn);
	ship_conn_flush(conn);
	ship_conn_leave(conn);
}

void ship_conn_close_flushed(struct ship_conn *conn, const char *why)
{
	ship_conn_enter(conn);
	ship_conn_flush(conn);
	ship_conn_close(conn, why);
	ship_conn_leave(conn);
}

/* ----- events ----------------------------------------------------------------------------------
 */

static void ship_conn_connected(struct ship_conn *conn)
{
	socklen_t size = sizeof(int);
	int err = 0;

	if (getsockopt(conn->rfd.fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0) {
		err = errno;
	}
	if (err) {
		ship_conn_close(conn, strerror(err));
		return;
	}
	conn->state = SHIP_TLS;
}

static void ship_conn_handshake(struct ship_conn *conn)
{
	struct reactor *r = conn->port->reactor;
	enum ship_wire_result result = ship_wire_handshake(&conn->wire);

	if (result == SHIP_WIRE_OK) {
		conn->state = SHIP_GREETING;
		conn->heard_ms = reactor_now_ms(r);
		conn->sent_ms = conn->heard_ms;
		conn->ops->greet(conn);
		reactor_defer(r, &conn->flush);
	} else if (result != SHIP_WIRE_WAIT) {
		ship_conn_broken(conn, result);
		return;
	}
	reactor_fd_mod(r, &conn->rfd, EPOLLIN | (ship_tx_remains(conn) ? EPOLLOUT : 0u));
}

static void ship_conn_ready(struct reactor_fd *rfd, uint32_t events)
{
	struct ship_conn *conn = container_of(rfd, struct ship_conn, rfd);

	ship_conn_enter(conn);
	if (conn->state == SHIP_CONNECTING) {
		ship_conn_connected(conn);
	}
	if (conn->state == SHIP_TLS) {
		ship_conn_handshake(conn);
	}
	if (conn->state >= SHIP_GREETING && (events & (EPOLLIN | EPOLLERR | EPOLLHUP))) {
		ship_rx_ready(conn);
	}
	if (conn->state >= SHIP_GREETING && (events & EPOLLOUT)) {
		reactor_defer(conn->port->reactor, &conn->flush);
	}
	ship_conn_leave(conn);
}

static void ship_conn_tick(struct reactor_timer *timer)
{
	struct ship_conn *conn = container_of(timer, struct ship_conn, timer);
	const struct ship_timing *timing = &conn->ship->timing;
	struct reactor *r = conn->port->reactor;
	uint64_t now_ms = reactor_now_ms(r);

	if (!ship_conn_is_greeted(conn)) {
		ship_conn_close(conn, "no greeting in time");
		return;
	}
	if (now_ms - conn->heard_ms >= timing->silence_ms) {
		ship_conn_close(conn, "the peer is silent");
		return;
	}
	if (now_ms - conn->sent_ms >= timing->ping_ms ||
		now_ms - conn->heard_ms >= timing->ping_ms) {
		conn->ping = true;
		reactor_defer(r, &conn->flush);
	}
	reactor_timer_set(r, timer, timing->ping_ms);
}

/* ----- life ------------------------------------------------------------------------------------
 */

static int ship_conn_allocate(struct ship_conn *conn, int fd)
{
	int err =
		ship_wire_open(&conn->wire, conn->ship->tls, fd, conn->ops->side == SHIP_SIDE_OUT);

	conn->rx = malloc(SHIP_RX_BYTES);
	conn->tx = malloc(SHIP_TX_BYTES);
	return err < 0 || !conn->rx || !conn->tx ? -ENOMEM : 0;
}

int ship_conn_open(
	struct ship_conn *conn, struct ship_port *port, const struct ship_conn_ops *ops, int fd)
{
	int err;

	*conn = (struct ship_conn){
		.ops = ops,
		.ship = port->ship,
		.port = port,
		.state = ops->side == SHIP_SIDE_OUT ? SHIP_CONNECTING : SHIP_TLS,
		.rfd = {.fd = fd, .ready = ship_conn_ready},
		.timer = {.fired = ship_conn_tick},
		.flush = {.fn = ship_conn_flush_fn},
		.wire = {.fd = -1},
	};
	qb_list_init(&conn->queue);
	err = ship_conn_allocate(conn, fd);
	if (!err) {
		err = reactor_fd_add(
			port->reactor, &conn->rfd, ops->side == SHIP_SIDE_OUT ? EPOLLOUT : EPOLLIN);
	}
	if (!err) {
		err = reactor_timer_set(
			port->reactor, &conn->timer, port->ship->timing.greeting_ms);
		if (err) {
			reactor_fd_del(port->reactor, &conn->rfd);
		}
	}
	if (err) {
		ship_conn_release(conn);
	}
	return err;
}

void ship_conn_state_set(struct ship_conn *conn, enum ship_state state)
{
	conn->state = state;
	conn->heard_ms = reactor_now_ms(conn->port->reactor);
	reactor_timer_set(conn->port->reactor, &conn->timer, conn->ship->timing.ping_ms);
	reactor_defer(conn->port->reactor, &conn->flush);
}

void ship_conn_detach(struct ship_conn *conn)
{
	reactor_fd_del(conn->port->reactor, &conn->rfd);
	reactor_timer_cancel(conn->port->reactor, &conn->timer);
	reactor_defer_cancel(conn->port->reactor, &conn->flush);
}

void ship_conn_attach(struct ship_conn *conn, struct ship_port *port)
{
	int err;

	ship_conn_enter(conn);
	conn->port = port;
	conn->paused = false;
	err = reactor_fd_add(port->reactor, &conn->rfd, EPOLLIN | EPOLLOUT);
	if (!err) {
		err = reactor_timer_set(
			port->reactor, &conn->timer, conn->ship->timing.greeting_ms);
	}
	if (err) {
		ship_conn_close(conn, strerror(-err));
	} else {
		conn->ops->moved(conn);
		ship_rx_run(conn);
		ship_rx_ready(conn); /* TLS may hold bytes that the socket has no more */
	}
	ship_conn_leave(conn);
}
