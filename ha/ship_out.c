/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_out.h"

#include "ha/ship_cmd.h"
#include "ha/ship_private.h"
#include "yoke/log.h"
#include "yoke/util.h"

/* Below it a failed attempt is nothing to warn about: the peer may be a moment behind. */
#define SHIP_WARN_BACKOFF_MS 400u
#define SHIP_BUFFER_RETRY_MS 2u

static const struct ship_conn_ops ship_out_ops;

static struct ship_out *ship_out_of(struct ship_conn *conn)
{
	return container_of(conn, struct ship_out, conn);
}

static bool ship_out_is_open(const struct ship_out *out)
{
	return out->conn.state == SHIP_OPEN;
}

static struct reactor *ship_out_reactor(struct ship_out *out)
{
	return container_of(out, struct ship_port, out)->reactor;
}

static void ship_out_park_soon(struct ship_out *out, uint32_t delay_ms)
{
	if (!reactor_timer_is_set(&out->park)) {
		reactor_timer_set(ship_out_reactor(out), &out->park, delay_ms);
	}
}

/* ----- commands --------------------------------------------------------------------------------
 */

/* What an active command holds of the windows. */
static void ship_cmd_deactivate(struct ship_out *out, struct ship_cmd *cmd)
{
	uint16_t slot = (uint16_t)cmd->tag;

	out->slots[slot] = NULL;
	out->free_slots[out->free_count++] = slot;
	out->active_bytes -= cmd->charge_bytes;
	out->in_bytes -= cmd->in_room;
	ship_conn_unsend(&cmd->tx);
}

/* The outcome is certain: the gate hears of it at the end of the pass. */
static void ship_cmd_end(struct ship_out *out, struct ship_cmd *cmd, enum ship_outcome outcome)
{
	if (cmd->state == SHIP_CMD_ACTIVE) {
		ship_cmd_deactivate(out, cmd);
	}
	if (outcome == SHIP_AGAIN) {
		ship_cmd_drop_buffer(cmd);
	}
	ship_nexus_put(cmd->nexus, &out->conn);
	cmd->state = SHIP_CMD_ENDED;
	cmd->outcome = outcome;
	qb_list_del(&cmd->link);
	qb_list_add_tail(&cmd->link, &out->ended);
	reactor_defer(ship_out_reactor(out), &out->back);
}

static void ship_cmd_park(struct ship_out *out, struct ship_cmd *cmd)
{
	if (cmd->state == SHIP_CMD_ACTIVE) {
		ship_cmd_deactivate(out, cmd);
		ship_cmd_drop_buffer(cmd);
	}
	cmd->state = SHIP_CMD_PARKED;
	qb_list_del(&cmd->link);
	qb_list_add_tail(&cmd->link, &out->parked);
}

/* One frame of an active command. */
static bool ship_cmd_fill(struct ship_conn *conn, struct ship_tx *tx)
{
	struct ship_cmd *cmd = container_of(tx, struct ship_cmd, tx);
	struct scsi_task *task = cmd->task;
	struct cursor c;

	switch (cmd->step) {
	case SHIP_STEP_COMMAND:
		ship_nexus_tell(cmd->nexus, conn);
		c = ship_frame_begin(conn);
		ship_cmd_put(&c, cmd, ship_out_of(conn)->peer_version);
		ship_frame_end(conn, &c, SHIP_COMMAND, cmd->epoch, cmd->tag);
		cmd->was_sent = true;
		cmd->step = task->out_length > 0 ? SHIP_STEP_DATA : SHIP_STEP_WAIT;
		break;
	case SHIP_STEP_DATA:
		cmd->out_sent += ship_frame_data(conn, SHIP_DATA_OUT, cmd->epoch, cmd->tag,
			task->buf->data, cmd->out_sent, task->out_length);
		if (cmd->out_sent == task->out_length) {
			cmd->step = SHIP_STEP_WAIT;
		}
		break;
	case SHIP_STEP_ABORT:
		c = ship_frame_begin(conn);
		ship_frame_end(conn, &c, SHIP_ABORT, cmd->epoch, cmd->tag);
		cmd->abort_sent = true;
		cmd->step = SHIP_STEP_WAIT;
		break;
	case SHIP_STEP_WAIT:
		break;
	}
	return cmd->step != SHIP_STEP_WAIT;
}

/* A buffer for the data-in, within this side's share of the pool. */
static bool ship_cmd_take_buffer(struct ship_out *out, struct ship_cmd *cmd, uint32_t bytes)
{
	struct buf_pool *pool = reactor_buffers(cmd->task->reactor);

	/*
	 * At most half of the pool waits for the peer: the peer's reads find buffers here even when
	 * all of ours wait for buffers there.
	 */
	if (out->in_bytes > 0 && out->in_bytes + bytes > buf_pool_limit(pool) / 2) {
		return false;
	}
	cmd->task->buf = buf_get(pool, bytes);
	if (!cmd->task->buf) {
		ship_out_park_soon(out, SHIP_BUFFER_RETRY_MS);
		return false;
	}
	cmd->took_buffer = true;
	return true;
}

/* Makes a pending command active; false when it has to wait. */
static bool ship_cmd_activate(struct ship_out *out, struct ship_cmd *cmd)
{
	uint32_t charge = ship_charge_bytes(cmd->task->out_length);
	uint32_t room = ship_cmd_in_bytes(cmd->task);
	uint16_t slot;

	if (out->free_count == 0 || out->active_bytes + charge > out->window_bytes) {
		return false;
	}
	if (room > 0 && !ship_cmd_take_buffer(out, cmd, room)) {
		return false;
	}
	slot = out->free_slots[--out->free_count];
	out->slots[slot] = cmd;
	out->active_bytes += charge;
	out->in_bytes += room;
	cmd->tag = ++out->serial << 16 | slot;
	cmd->charge_bytes = charge;
	cmd->in_room = room;
	cmd->state = SHIP_CMD_ACTIVE;
	cmd->step = SHIP_STEP_COMMAND;
	cmd->tx.fill = ship_cmd_fill;
	qb_list_del(&cmd->link);
	qb_list_add_tail(&cmd->link, &out->active);
	ship_conn_send(&out->conn, &cmd->tx);
	SHIP_COUNT(out->conn.port, commands_out, 1);
	return true;
}

/* Sends what the windows allow. Reads and the rest do not wait for each other. */
static void ship_out_pump(struct ship_out *out)
{
	struct qb_list_head *lists[] = {&out->pending_out, &out->pending_in};

	for (size_t i = 0; i < ARRAY_SIZE(lists) && ship_out_is_open(out); i++) {
		while (!qb_list_empty(lists[i]) &&
			ship_cmd_activate(
				out, qb_list_first_entry(lists[i], struct ship_cmd, link))) {
		}
	}
	ship_tmf_pump(out);
}

void ship_out_task(struct ship_port *port, struct scsi_task *task, uint64_t epoch,
	const uint8_t lu[16], const struct scsi_identity *who)
{
	struct ship_out *out = &port->out;
	struct ship_cmd *cmd = ship_cmd_new(out);
	struct ship_nexus *nexus =
		cmd ? ship_nexus_get(&out->nexuses, &out->conn, task->nexus, who) : NULL;

	task->ship_conn = NULL;
	if (!nexus) {
		/* No memory or no number for it at the moment: the gate tries again soon. */
		if (cmd) {
			ship_cmd_free(out, cmd);
		}
		qb_list_add_tail(&task->ship_link, &out->starved);
		ship_out_park_soon(out, port->ship->timing.park_ms);
		return;
	}
	cmd->task = task;
	cmd->nexus = nexus;
	cmd->epoch = epoch;
	memcpy(cmd->lu, lu, sizeof(cmd->lu));
	task->ship_conn = cmd;
	if (ship_out_is_open(out)) {
		cmd->state = SHIP_CMD_PENDING;
		qb_list_add_tail(&cmd->link,
			ship_cmd_in_bytes(task) > 0 ? &out->pending_in : &out->pending_out);
		ship_out_pump(out);
	} else {
		cmd->state = SHIP_CMD_PARKED;
		qb_list_add_tail(&cmd->link, &out->parked);
		ship_out_park_soon(out, port->ship->timing.park_ms);
	}
}

void ship_out_abort(struct ship_port *port, struct scsi_task *task)
{
	struct ship_out *out = &port->out;
	struct ship_cmd *cmd = task->ship_conn;

	if (!cmd || cmd->aborted || cmd->state == SHIP_CMD_ENDED) {
		return;
	}
	cmd->aborted = true;
	if (!cmd->was_sent) {
		ship_cmd_end(out, cmd, SHIP_AGAIN);
	} else if (cmd->state == SHIP_CMD_ACTIVE) {
		cmd->step = SHIP_STEP_ABORT; /* the rest of its data does not go out */
		ship_conn_send(&out->conn, &cmd->tx);
	}
}

/* ----- back to the gate ------------------------------------------------------------------------
 */

static void ship_out_back(struct reactor_defer *defer)
{
	struct ship_out *out = container_of(defer, struct ship_out, back);
	const struct group_serve *serve = out->conn.ship->serve;

	while (!qb_list_empty(&out->ended)) {
		struct ship_cmd *cmd = qb_list_first_entry(&out->ended, struct ship_cmd, link);
		struct scsi_task *task = cmd->task;
		enum ship_outcome outcome = cmd->outcome;

		qb_list_del(&cmd->link);
		ship_cmd_free(out, cmd);
		task->ship_conn = NULL;
		serve->task_shipped(serve->ctx, task, outcome);
	}
	ship_tmf_back(out);
	ship_out_pump(out);
}

/* Everything parked goes back; `all` = also what had been sent, for it runs nowhere any more. */
static void ship_out_unpark(struct ship_out *out, bool all)
{
	struct ship_cmd *cmd, *next;

	qb_list_for_each_entry_safe (cmd, next, &out->parked, link) {
		if (all || !cmd->was_sent) {
			cmd->task->rerun = cmd->task->rerun || cmd->was_sent;
			if (cmd->was_sent) {
				cmd->task->adrift = out->conn.port->peer_unsure;
			}
			ship_cmd_end(out, cmd, SHIP_AGAIN);
		}
	}
}

static void ship_out_park_fired(struct reactor_timer *timer)
{
	struct ship_out *out = container_of(timer, struct ship_out, park);
	const struct group_serve *serve = out->conn.ship->serve;
	struct qb_list_head starved;

	qb_list_init(&starved);
	qb_list_splice(&out->starved, &starved);
	qb_list_init(&out->starved);
	while (!qb_list_empty(&starved)) {
		struct scsi_task *task = qb_list_first_entry(&starved, struct scsi_task, ship_link);

		qb_list_del(&task->ship_link);
		serve->task_shipped(serve->ctx, task, SHIP_AGAIN);
	}
	if (ship_out_is_open(out)) {
		ship_out_pump(out);
	} else {
		ship_out_unpark(out, !out->conn.port->peer_up);
	}
}

/* ----- frames of the peer ----------------------------------------------------------------------
 */

/* Slots for the peer's window of commands; the sizes were checked. */
static bool ship_out_slots(struct ship_out *out, const struct ship_hello *hello)
{
	free(out->slots);
	free(out->free_slots);
	out->slots = calloc(hello->window_commands, sizeof(struct ship_cmd *));
	out->free_slots = calloc(hello->window_commands, sizeof(*out->free_slots));
	if (!out->slots || !out->free_slots) {
		out->window_commands = 0;
		return false;
	}
	out->window_commands = hello->window_commands;
	out->window_bytes = hello->window_bytes;
	out->free_count = 0;
	for (unsigned slot = hello->window_commands; slot > 0; slot--) {
		out->free_slots[out->free_count++] = (uint16_t)(slot - 1);
	}
	return true;
}

static const char *ship_out_hello_ack(struct ship_out *out, struct cursor *body)
{
	struct ship_port *port = out->conn.port;
	enum ship_refusal refusal;
	struct ship_hello hello;

	if (!ship_hello_get(body, &hello)) {
		return "malformed HELLO_ACK";
	}
	if (hello.refusal != SHIP_WELCOME) {
		snprintf(out->refused, sizeof(out->refused), "refused by the peer: %s",
			ship_refusal_name(hello.refusal));
		ship_conn_close(&out->conn, out->refused);
		return NULL;
	}
	refusal = ship_hello_check(port, &hello);
	if (refusal != SHIP_WELCOME || hello.reactor != port->index) {
		return refusal != SHIP_WELCOME ? ship_refusal_name(refusal) : "another reactor's";
	}
	if (hello.window_commands < 1 || hello.window_bytes < BUF_MAX_BYTES) {
		return "a window too small for one command";
	}
	if (!ship_out_slots(out, &hello)) {
		ship_conn_close(&out->conn, "out of memory");
		return NULL;
	}
	ship_conn_state_set(&out->conn, SHIP_OPEN);
	log_info("interconnect: reactor %u: connected to controller %u (%u commands, %u bytes in "
		 "flight)",
		port->index, port->ship->peer, out->window_commands, out->window_bytes);
	if (out->was_open) {
		SHIP_COUNT(port, reconnects, 1);
	}
	out->was_open = true;
	out->is_open = true;
	out->backoff_ms = 0;
	out->why[0] = '\0';
	ship_link_changed(port->ship, true);
	/* The acceptor has waited for the end of everything that the former connection ran. */
	ship_out_unpark(out, true);
	ship_tmf_pump(out);
	return NULL;
}

static struct ship_cmd *ship_out_find(struct ship_out *out, uint64_t tag)
{
	uint16_t slot = (uint16_t)tag;
	struct ship_cmd *cmd = slot < out->window_commands ? out->slots[slot] : NULL;

	return cmd && cmd->tag == tag && cmd->was_sent ? cmd : NULL;
}

static const char *ship_out_result(
	struct ship_out *out, const struct ship_frame *frame, struct cursor *body)
{
	struct ship_cmd *cmd = ship_out_find(out, frame->tag);
	struct ship_result result;
	struct scsi_task *task;

	if (!cmd || !ship_result_get(body, &result)) {
		return cmd ? "malformed RESULT" : "no command has this tag";
	}
	task = cmd->task;
	if (cmd->out_sent < task->out_length && !cmd->abort_sent) {
		return "the command's data has not been sent yet";
	}
	if (result.again) {
		ship_cmd_end(out, cmd, SHIP_AGAIN);
		return NULL;
	}
	if (!result.aborted &&
		cmd->in_received !=
			(result.in_length < cmd->in_room ? result.in_length : cmd->in_room)) {
		return "data-in is missing";
	}
	task->status = result.status;
	task->sense_length = result.sense_length;
	memcpy(task->sense, result.sense, sizeof(task->sense));
	task->in_length = result.in_length;
	if (result.aborted) {
		task->aborted = true;
		task->in_length = 0;
	}
	ship_cmd_end(out, cmd, SHIP_DONE);
	return NULL;
}

static const char *ship_out_frame(
	struct ship_conn *conn, const struct ship_frame *frame, struct cursor *body)
{
	struct ship_out *out = ship_out_of(conn);

	switch (frame->type) {
	case SHIP_HELLO_ACK:
		out->peer_version = frame->version;
		return ship_out_hello_ack(out, body);
	case SHIP_RESULT:
		return ship_out_result(out, frame, body);
	case SHIP_TMF_DONE:
		return ship_tmf_done(out, frame->tag);
	}
	return "not for this side";
}

static const char *ship_out_data(struct ship_conn *conn, const struct ship_frame *frame,
	uint32_t offset, uint32_t bytes, uint8_t **to)
{
	struct ship_out *out = ship_out_of(conn);
	struct ship_cmd *cmd = ship_out_find(out, frame->tag);

	if (!cmd) {
		return "no command has this tag";
	}
	if (offset != cmd->in_received || bytes > cmd->in_room - cmd->in_received) {
		return "data-in that was not asked for";
	}
	*to = cmd->task->buf->data + offset;
	cmd->in_received += bytes;
	SHIP_COUNT(conn->port, bytes_in, bytes);
	return NULL;
}

static void ship_out_data_end(struct ship_conn *conn, const struct ship_frame *frame)
{
	(void)conn;
	(void)frame; /* RESULT follows */
}

/* ----- the connection --------------------------------------------------------------------------
 */

static void ship_out_greet(struct ship_conn *conn)
{
	struct ship_hello hello;
	struct cursor c = ship_frame_begin(conn);

	ship_hello_fill(conn->ship, &hello);
	hello.reactor = (uint16_t)conn->port->index;
	hello.expected = conn->port->peer_incarnation;
	ship_hello_put(&c, &hello);
	ship_frame_end(conn, &c, SHIP_HELLO, 0, 0);
	/* From here on PING keeps it alive: old tasks may run long at the peer. */
	reactor_timer_set(conn->port->reactor, &conn->timer, conn->ship->timing.ping_ms);
}

static void ship_out_redial(struct ship_out *out)
{
	const struct ship_timing *timing = &out->conn.ship->timing;

	out->backoff_ms = out->backoff_ms == 0 ? timing->backoff_min_ms : out->backoff_ms * 2;
	if (out->backoff_ms > timing->backoff_max_ms) {
		out->backoff_ms = timing->backoff_max_ms;
	}
	reactor_timer_set(ship_out_reactor(out), &out->redial, out->backoff_ms);
}

static void ship_out_failed(struct ship_out *out, const char *why)
{
	struct ship_port *port = container_of(out, struct ship_port, out);

	if (out->is_open) {
		log_warning("interconnect: reactor %u: connection to controller %u at %s lost: %s; "
			    "commands wait until it is back",
			port->index, port->ship->peer, ship_peer_address(port->ship), why);
	} else if (out->backoff_ms >= SHIP_WARN_BACKOFF_MS && strcmp(out->why, why) != 0) {
		snprintf(out->why, sizeof(out->why), "%s", why);
		log_warning("interconnect: reactor %u: no connection to controller %u at %s: %s; "
			    "still trying",
			port->index, port->ship->peer, ship_peer_address(port->ship), why);
	} else {
		log_debug("interconnect: reactor %u: no connection to controller %u: %s",
			port->index, port->ship->peer, why);
	}
}

static void ship_out_closed(struct ship_conn *conn, const char *why)
{
	struct ship_out *out = ship_out_of(conn);
	struct qb_list_head *lists[] = {&out->active, &out->pending_out, &out->pending_in};

	ship_out_failed(out, why);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		while (!qb_list_empty(lists[i])) {
			ship_cmd_park(out, qb_list_first_entry(lists[i], struct ship_cmd, link));
		}
	}
	ship_tmf_unsend(out);
	ship_nexuses_forget(&out->nexuses);
	if (!qb_list_empty(&out->parked)) {
		ship_out_park_soon(out, conn->ship->timing.park_ms);
	}
	if (out->is_open) {
		out->is_open = false;
		ship_link_changed(conn->ship, false);
	}
	if (conn->port->peer_up) {
		ship_out_redial(out);
	}
}

static void ship_out_idle(struct ship_conn *conn)
{
	ship_conn_release(conn);
}

static void ship_out_moved(struct ship_conn *conn)
{
	(void)conn; /* stays where it was made */
}

static const struct ship_conn_ops ship_out_ops = {
	.side = SHIP_SIDE_OUT,
	.greet = ship_out_greet,
	.frame = ship_out_frame,
	.data = ship_out_data,
	.data_end = ship_out_data_end,
	.closed = ship_out_closed,
	.moved = ship_out_moved,
	.idle = ship_out_idle,
};

static void ship_out_dial(struct ship_out *out)
{
	struct ship_port *port = container_of(out, struct ship_port, out);
	int fd, err;

	if (!port->peer_up || out->conn.state != SHIP_CLOSED) {
		return;
	}
	fd = ship_socket_dial(port->ship);
	err = fd < 0 ? fd : ship_conn_open(&out->conn, port, &ship_out_ops, fd);
	if (err < 0) {
		ship_out_failed(out, strerror(-err));
		ship_out_redial(out);
	}
}

static void ship_out_redial_fired(struct reactor_timer *timer)
{
	ship_out_dial(container_of(timer, struct ship_out, redial));
}

void ship_out_peer_up(struct ship_port *port)
{
	port->out.backoff_ms = 0;
	port->out.was_open = false;
	port->out.why[0] = '\0';
	ship_out_dial(&port->out);
}

void ship_out_peer_down(struct ship_port *port)
{
	struct ship_out *out = &port->out;

	reactor_timer_cancel(port->reactor, &out->redial);
	ship_conn_close(&out->conn, "the peer has left the cluster");
	ship_out_unpark(out, true);
	ship_tmf_all_wait(out);
}

void ship_out_peer_gone(struct ship_port *port)
{
	ship_tmf_all_end(&port->out);
}

void ship_out_nexus_gone(struct ship_port *port, const struct scsi_identity *who)
{
	ship_nexus_drop(&port->out.nexuses, &port->out.conn, who);
}

void ship_out_init(struct ship_out *out)
{
	struct ship_port *port = container_of(out, struct ship_port, out);

	out->conn.ship = port->ship;
	out->conn.port = port;
	out->conn.rfd.fd = -1;
	out->conn.wire.fd = -1;
	out->redial.fired = ship_out_redial_fired;
	out->park.fired = ship_out_park_fired;
	out->back.fn = ship_out_back;
	qb_list_init(&out->pending_out);
	qb_list_init(&out->pending_in);
	qb_list_init(&out->active);
	qb_list_init(&out->parked);
	qb_list_init(&out->ended);
	qb_list_init(&out->starved);
	qb_list_init(&out->free);
	qb_list_init(&out->tmfs);
	qb_list_init(&out->tmfs_ended);
	ship_nexuses_init(&out->nexuses);
}

void ship_out_free(struct ship_out *out)
{
	struct reactor *r = ship_out_reactor(out);

	reactor_timer_cancel(r, &out->redial);
	reactor_timer_cancel(r, &out->park);
	reactor_timer_cancel(r, &out->conn.timer);
	reactor_defer_cancel(r, &out->back);
	reactor_defer_cancel(r, &out->conn.flush);
	if (out->conn.state != SHIP_CLOSED) {
		reactor_fd_del(r, &out->conn.rfd);
	}
	ship_conn_release(&out->conn);
	ship_cmds_free(out);
	ship_tmfs_free(out);
	ship_nexuses_free(&out->nexuses);
	free(out->slots);
	free(out->free_slots);
}
