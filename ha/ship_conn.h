/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One TLS connection of the interconnect on one reactor: handshake, frames in, frames out, the
 * peer's silence. What the frames mean is the business of ship_out.c (the side that dials and
 * ships) and ship_in.c (the side that accepts and runs).
 */
#ifndef YOKE_HA_SHIP_CONN_H
#define YOKE_HA_SHIP_CONN_H

#include "ha/ship_frame.h"
#include "ha/ship_tls.h"
#include "yoke/reactor.h"

struct ship;
struct ship_port;
struct ship_conn;

enum ship_side {
	SHIP_SIDE_OUT, /* dialled: sends commands */
	SHIP_SIDE_IN, /* accepted: runs them */
};

enum ship_state {
	SHIP_CLOSED,
	SHIP_CONNECTING, /* dialler: TCP */
	SHIP_TLS, /* handshake */
	SHIP_GREETING, /* dialler: HELLO sent. acceptor: waiting for HELLO */
	SHIP_BARRIER, /* acceptor: HELLO is good, tasks of the former connection still run */
	SHIP_OPEN,
	SHIP_STATES,
};
const char *ship_state_name(enum ship_state state);

/* Something that has frames to send; embedded in its owner. */
struct ship_tx {
	struct qb_list_head link;
	bool queued;
	/* Writes one frame (with what must go before it); true when more of it remains. */
	bool (*fill)(struct ship_conn *conn, struct ship_tx *tx);
};

#define SHIP_TX_BYTES (192u << 10) /* frames gathered before they are encrypted */
#define SHIP_TX_ROOM  4096u /* what fill() may count on */
#define SHIP_RX_BYTES (64u << 10)
/* From here on the bytes of a data frame are encrypted from where they are, not gathered first. */
#define SHIP_DIRECT_BYTES (16u << 10)

/* What the two sides do with a connection. */
struct ship_conn_ops {
	enum ship_side side;
	/* The handshake is done. */
	void (*greet)(struct ship_conn *conn);
	/* A whole frame other than data. NULL, or why the peer must not send it (a literal). */
	const char *(*frame)(
		struct ship_conn *conn, const struct ship_frame *frame, struct cursor *body);
	/*
	 * A data frame begins: *to = where its `bytes` bytes go (kept until data_end() or
	 * closed()), or NULL to drop them. NULL, or why the peer must not send it.
	 */
	const char *(*data)(struct ship_conn *conn, const struct ship_frame *frame, uint32_t offset,
		uint32_t bytes, uint8_t **to);
	void (*data_end)(struct ship_conn *conn, const struct ship_frame *frame);
	/* The connection is gone, once; `why` is for people. May not free it: see ship_conn_idle().
	 */
	void (*closed)(struct ship_conn *conn, const char *why);
	/* It has come to its new reactor (ship_conn_attach()). */
	void (*moved)(struct ship_conn *conn);
	/* Nobody works on the connection any more after one of the above: it may be moved or freed.
	 */
	void (*idle)(struct ship_conn *conn);
};

struct ship_conn {
	const struct ship_conn_ops *ops;
	struct ship *ship;
	struct ship_port *port; /* of the reactor it is on */
	enum ship_state state;
	unsigned busy; /* depth of calls that work on it */
	struct reactor_fd rfd;
	struct ship_wire wire;
	struct reactor_timer timer;
	struct reactor_defer flush;
	uint64_t heard_ms;
	uint64_t sent_ms;
	/* in */
	uint8_t *rx;
	uint32_t rx_start, rx_end;
	struct ship_frame data_frame;
	uint8_t *data_to;
	uint32_t data_left;
	/* out */
	uint8_t *tx;
	uint32_t tx_start, tx_end;
	/* A large data frame's bytes, behind tx: they stay where they are. Inside a flush only. */
	const uint8_t *tx_data;
	uint32_t tx_data_left;
	bool flushing;
	struct qb_list_head queue; /* of struct ship_tx */
	bool ping, pong;
	bool paused; /* for a move to another reactor: no more frames here */
};

/*
 * Takes `fd` (connected, or connecting for a dialler) into the reactor of `port`; 0, or a negative
 * errno, and then `fd` is closed.
 */
int ship_conn_open(
	struct ship_conn *conn, struct ship_port *port, const struct ship_conn_ops *ops, int fd);

/* Closes it; ops->closed() runs inside. Nothing happens when it is closed already. */
void ship_conn_close(struct ship_conn *conn, const char *why);

/* Sends what has been written as far as the socket takes it, and closes. */
void ship_conn_close_flushed(struct ship_conn *conn, const char *why);

/* Memory of a closed connection, when the reactor has stopped or ops->idle() says so. */
void ship_conn_release(struct ship_conn *conn);

/* The greeting is over: commands may flow (SHIP_OPEN), or not yet (SHIP_BARRIER). */
void ship_conn_state_set(struct ship_conn *conn, enum ship_state state);

/* Takes it off its reactor, so that it can be posted to another one... */
void ship_conn_detach(struct ship_conn *conn);
/* ...and puts it on that one. Frames that had come in already are worked on before it returns. */
void ship_conn_attach(struct ship_conn *conn, struct ship_port *port);

/* Queues frames for the end of the pass. */
void ship_conn_send(struct ship_conn *conn, struct ship_tx *tx);
void ship_conn_unsend(struct ship_tx *tx);

/*
 * Writes one frame into the buffer of the pass: put() the payload between begin and end. From
 * fill() and greet() only. ship_conn_room() bytes are free, header included.
 */
uint32_t ship_conn_room(const struct ship_conn *conn);
struct cursor ship_frame_begin(struct ship_conn *conn);
void ship_frame_end(struct ship_conn *conn, struct cursor *c, enum ship_type type, uint64_t epoch,
	uint64_t tag);
/* The next data frame of a transfer as large as room allows; the bytes it carries. */
uint32_t ship_frame_data(struct ship_conn *conn, enum ship_type type, uint64_t epoch, uint64_t tag,
	const uint8_t *data, uint32_t offset, uint32_t end);

#endif
