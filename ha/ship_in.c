/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_in.h"

#include <errno.h>

#include "ha/ship_job.h"
#include "ha/ship_private.h"
#include "yoke/log.h"
#include "yoke/util.h"

static const struct ship_conn_ops ship_in_ops;

static struct ship_in *ship_in_of(struct ship_conn *conn)
{
	return container_of(conn, struct ship_in, conn);
}

/* ----- the end ---------------------------------------------------------------------------------
 */

static void ship_in_free(struct ship_in *in)
{
	struct ship *ship = in->conn.ship;

	for (uint32_t id = 0; in->nexuses && id < SHIP_NEXUSES; id++) {
		if (in->nexuses[id]) {
			ship->serve->nexus_put(ship->serve->ctx, in->nexuses[id]);
		}
	}
	ship_conn_release(&in->conn);
	buf_pool_free(in->pool);
	free(in->jobs);
	free(in->tmfs);
	free(in->nexuses);
	free(in);
}

/* Nothing of it can land any more; see the barrier. */
static bool ship_in_is_over(const struct ship_in *in)
{
	return in->conn.state == SHIP_CLOSED && in->conn.busy == 0 &&
	       in->jobs_running == in->jobs_recording;
}

static bool ship_in_has_former(const struct ship_in *in, const struct ship_port *port)
{
	const struct ship_in *other;

	qb_list_for_each_entry (other, &port->ins, link) {
		if (other != in && other->hello.reactor == in->hello.reactor &&
			!ship_in_is_over(other)) {
			return true;
		}
	}
	return false;
}

/* Greets the peer back: from here on its commands come in. */
static void ship_in_welcome(struct ship_in *in)
{
	struct ship_port *port = in->conn.port;
	struct cursor c = ship_frame_begin(&in->conn);
	struct ship_hello hello;

	ship_hello_fill(port->ship, &hello);
	hello.reactor = in->hello.reactor;
	hello.expected = in->hello.incarnation;
	ship_hello_put(&c, &hello);
	ship_frame_end(&in->conn, &c, SHIP_HELLO_ACK, 0, 0);
	ship_conn_state_set(&in->conn, SHIP_OPEN);
	log_info("interconnect: reactor %u: serving reactor %u of controller %u at %s", port->index,
		in->hello.reactor, port->ship->peer, in->address);
}

/* The barrier: a connection that waits for former ones may go on when the last of them has ended.
 */
static void ship_in_barrier_check(struct ship_port *port)
{
	struct ship_in *in;

	qb_list_for_each_entry (in, &port->ins, link) {
		if (in->conn.state == SHIP_BARRIER && !ship_in_has_former(in, port)) {
			ship_in_welcome(in);
		}
	}
}

void ship_in_check_end(struct ship_in *in)
{
	struct ship_port *port = in->conn.port;

	if (!ship_in_is_over(in)) {
		return;
	}
	if (in->jobs_running > 0 || in->tmfs_running > 0) {
		ship_in_barrier_check(port);
		return;
	}
	if (in->target) { /* was in the list of its reactor */
		qb_list_del(&in->link);
	}
	ship_in_free(in);
	ship_in_barrier_check(port);
}

static void ship_in_closed(struct ship_conn *conn, const char *why)
{
	struct ship_in *in = ship_in_of(conn);

	if (!in->target) {
		ship_listener_complain(conn->ship, in->address, why);
		qb_list_del(&in->link);
		ship_listener_greeted(conn->ship);
		return;
	}
	log_info("interconnect: reactor %u: connection of reactor %u of controller %u closed: %s",
		conn->port->index, in->hello.reactor, conn->ship->peer, why);
	ship_jobs_abort(in);
}

/* ----- greeting --------------------------------------------------------------------------------
 */

static void ship_in_greet(struct ship_conn *conn)
{
	(void)conn; /* the dialler speaks first */
}

static void ship_in_refuse(struct ship_in *in, enum ship_refusal refusal)
{
	struct ship_port *port = in->conn.port;
	struct cursor c = ship_frame_begin(&in->conn);
	struct ship_hello hello;

	SHIP_COUNT(port, refused_frames, 1);
	if (refusal == SHIP_REFUSE_INCARNATION) {
		SHIP_COUNT(port, stale_frames, 1);
	}
	if (refusal == SHIP_REFUSE_NO_MEMBER) {
		log_debug("interconnect: HELLO of controller %u from %s refused: %s",
			in->hello.controller, in->address, ship_refusal_name(refusal));
	} else {
		log_warning("interconnect: HELLO of controller %u from %s refused: %s",
			in->hello.controller, in->address, ship_refusal_name(refusal));
	}
	ship_hello_fill(port->ship, &hello);
	hello.refusal = (uint8_t)refusal;
	hello.reactor = in->hello.reactor;
	hello.expected = in->hello.incarnation;
	ship_hello_put(&c, &hello);
	ship_frame_end(&in->conn, &c, SHIP_HELLO_ACK, 0, 0);
	ship_conn_close_flushed(&in->conn, "refused");
}

static bool ship_in_allocate(struct ship_in *in)
{
	in->jobs = ship_jobs_new(in);
	in->tmfs = ship_tmfs_new(in);
	in->nexuses = calloc(SHIP_NEXUSES, sizeof(struct scsi_nexus *));
	/* Classes of buffers are up to four times what is asked for. */
	in->pool = reactor_buffers_new(in->conn.port->reactor, (size_t)SHIP_WINDOW_BYTES * 4);
	return in->jobs && in->tmfs && in->nexuses && in->pool;
}

/* On its reactor: is the peer who the cluster says it is? Then it takes the place of former ones.
 */
static void ship_in_moved(struct ship_conn *conn)
{
	struct ship_in *in = ship_in_of(conn);
	struct ship_port *port = conn->port;
	enum ship_refusal refusal = ship_hello_check(port, &in->hello);
	struct ship_in *other, *next;

	if (refusal == SHIP_WELCOME && !ship_in_allocate(in)) {
		refusal = SHIP_REFUSE_RESOURCES;
	}
	if (refusal != SHIP_WELCOME) {
		ship_in_refuse(in, refusal);
		return;
	}
	ship_conn_state_set(conn, SHIP_BARRIER);
	qb_list_for_each_entry_safe (other, next, &port->ins, link) {
		if (other != in && other->hello.reactor == in->hello.reactor) {
			ship_conn_close(&other->conn, "the peer has connected anew");
		}
	}
	if (conn->state == SHIP_BARRIER && !ship_in_has_former(in, port)) {
		ship_in_welcome(in);
	}
}

static void ship_in_arrive(struct mailbox_msg *msg)
{
	struct ship_in *in = container_of(msg, struct ship_in, msg);

	qb_list_add_tail(&in->link, &in->target->ins);
	ship_conn_attach(&in->conn, in->target);
}

/* Nobody works on it: it moves to its reactor after HELLO, or ends. */
static void ship_in_idle(struct ship_conn *conn)
{
	struct ship_in *in = ship_in_of(conn);

	if (conn->state == SHIP_CLOSED) {
		ship_in_check_end(in);
		return;
	}
	ship_conn_detach(conn);
	qb_list_del(&in->link);
	ship_listener_greeted(conn->ship);
	in->target = &conn->ship->ports[in->hello.reactor % conn->ship->port_count];
	in->msg.fn = ship_in_arrive;
	if (in->target == conn->port) {
		ship_in_arrive(&in->msg);
	} else {
		reactor_post(in->target->reactor, &in->msg);
	}
}

static const char *ship_in_hello(struct ship_in *in, struct cursor *body)
{
	if (!ship_hello_get(body, &in->hello)) {
		return "malformed HELLO";
	}
	if (in->hello.reactors > SHIP_REACTORS_MAX || in->hello.reactor >= in->hello.reactors) {
		return "no such reactor";
	}
	in->conn.paused = true; /* moves when this pass is through with it */
	return NULL;
}

static const char *ship_in_nexus(struct ship_in *in, uint64_t id, struct cursor *body)
{
	const struct group_serve *serve = in->conn.ship->serve;
	struct scsi_identity who;

	if (id >= SHIP_NEXUSES || in->nexuses[id]) {
		return "nexus id out of range or in use";
	}
	memset(&who, 0, sizeof(who));
	/* One of our own: the peer runs a copy for it, and this is the side of the copy that is
	 * here. */
	if (!ship_identity_get(body, &who) || who.controller < 1 ||
		who.controller > YOKE_CONTROLLERS) {
		return "malformed identity";
	}
	in->nexuses[id] = serve->nexus_get(serve->ctx, in->conn.port->reactor, &who);
	return in->nexuses[id] ? NULL : "out of memory for a nexus";
}

static const char *ship_in_nexus_gone(struct ship_in *in, uint64_t id)
{
	const struct group_serve *serve = in->conn.ship->serve;

	if (id >= SHIP_NEXUSES || !in->nexuses[id]) {
		return "no such nexus";
	}
	if (ship_jobs_use_nexus(in, in->nexuses[id])) {
		return "a command of the nexus is under way";
	}
	serve->nexus_put(serve->ctx, in->nexuses[id]);
	in->nexuses[id] = NULL;
	return NULL;
}

static const char *ship_in_frame(
	struct ship_conn *conn, const struct ship_frame *frame, struct cursor *body)
{
	struct ship_in *in = ship_in_of(conn);

	switch (frame->type) {
	case SHIP_HELLO:
		return ship_in_hello(in, body);
	case SHIP_NEXUS:
		return ship_in_nexus(in, frame->tag, body);
	case SHIP_NEXUS_GONE:
		return ship_in_nexus_gone(in, frame->tag);
	case SHIP_COMMAND:
		return ship_job_command(in, frame, body);
	case SHIP_ABORT:
		return ship_job_abort(in, frame->tag);
	case SHIP_TMF:
		return ship_tmf_in(in, frame->tag, body);
	}
	return "not for this side";
}

static const char *ship_in_data(struct ship_conn *conn, const struct ship_frame *frame,
	uint32_t offset, uint32_t bytes, uint8_t **to)
{
	SHIP_COUNT(conn->port, bytes_in, bytes);
	return ship_job_data(ship_in_of(conn), frame->tag, offset, bytes, to);
}

static void ship_in_data_end(struct ship_conn *conn, const struct ship_frame *frame)
{
	ship_job_data_end(ship_in_of(conn), frame->tag);
}

static const struct ship_conn_ops ship_in_ops = {
	.side = SHIP_SIDE_IN,
	.greet = ship_in_greet,
	.frame = ship_in_frame,
	.data = ship_in_data,
	.data_end = ship_in_data_end,
	.closed = ship_in_closed,
	.moved = ship_in_moved,
	.idle = ship_in_idle,
};

/* ----- life ------------------------------------------------------------------------------------
 */

int ship_in_accept(struct ship *ship, int fd, const char *address, struct qb_list_head *half_open)
{
	struct ship_in *in = calloc(1, sizeof(*in));
	int err;

	if (!in) {
		close(fd);
		return -ENOMEM;
	}
	err = ship_conn_open(&in->conn, &ship->ports[0], &ship_in_ops, fd);
	if (err < 0) {
		free(in);
		return err;
	}
	snprintf(in->address, sizeof(in->address), "%s", address);
	qb_list_add_tail(&in->link, half_open);
	return 0;
}

void ship_in_peer_down(struct ship_port *port)
{
	struct ship_in *in, *next;

	qb_list_for_each_entry_safe (in, next, &port->ins, link) {
		ship_conn_close(&in->conn, "the peer has left the cluster");
	}
}

void ship_in_free_all(struct qb_list_head *ins)
{
	while (!qb_list_empty(ins)) {
		struct ship_in *in = qb_list_first_entry(ins, struct ship_in, link);
		struct reactor *r = in->conn.port->reactor;

		qb_list_del(&in->link);
		reactor_timer_cancel(r, &in->conn.timer);
		reactor_defer_cancel(r, &in->conn.flush);
		if (in->conn.state != SHIP_CLOSED) {
			reactor_fd_del(r, &in->conn.rfd);
		}
		ship_jobs_drop(in);
		/* The device server has gone before: its nexuses with it. */
		free(in->nexuses);
		in->nexuses = NULL;
		ship_in_free(in);
	}
}
