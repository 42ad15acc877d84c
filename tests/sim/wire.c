/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interconnect's sockets, in place of ha/ship_listen.c and ha/ship_tls.c: streams of bytes that
 * come late, in pieces, or not at all. What runs on them is ha/ship_conn.c and all above it.
 */
#include "tests/sim/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "ha/ship_private.h"
#include "tests/sim/sim.h"
#include "yoke/util.h"

#define FD_FIRST   (1 << 20)
#define FD_MAX	   64
#define PIPE_BYTES (512u << 10)

/* One end of a connection. */
struct end {
	bool used;
	bool closed; /* by its own side, or its side is gone */
	bool connected, refused;
	bool eof; /* the other end has closed, and all it had sent is here */
	bool dead; /* nobody will ever hear of it: the other machine has no power */
	struct node *node;
	uint64_t life;
	struct end *other;
	struct reactor *reactor;
	struct reactor_fd *rfd; /* NULL: not watched */
	bool armed; /* an event for it is due */
	bool greeting; /* just accepted: a look at it starts the handshake */
	uint8_t *in; /* what has arrived */
	uint32_t in_length;
	uint64_t last_ns; /* when the last piece arrives */
	uint64_t number; /* of its use, so that late events know */
};

/* A piece on its way; bytes NULL: the end of the stream. */
struct piece {
	struct end *to;
	uint64_t number;
	uint32_t length;
	uint8_t *bytes;
	bool reset;
};

struct wires {
	struct end ends[FD_MAX];
	uint64_t number;
	bool cut;
	struct piece **stuck; /* while it is cut */
	unsigned stuck_count, stuck_room;
};

struct ship_listener {
	struct ship *ship;
	struct qb_list_head half_open;
};

struct ship_tls {
	int nothing;
};

static struct end *end_of(int fd)
{
	return &the_sim->wires->ends[fd - FD_FIRST];
}

static int fd_of(const struct end *end)
{
	return FD_FIRST + (int)(end - the_sim->wires->ends);
}

struct wires *wires_new(struct sim *sim)
{
	struct wires *wires = calloc(1, sizeof(*wires));

	(void)sim;
	return wires;
}

void wires_free(struct wires *wires)
{
	for (unsigned i = 0; i < FD_MAX; i++) {
		free(wires->ends[i].in);
	}
	free(wires->stuck);
	free(wires);
}

static struct end *end_new(struct node *node)
{
	struct wires *wires = node->sim->wires;

	for (unsigned i = 0; i < FD_MAX; i++) {
		struct end *end = &wires->ends[i];

		if (!end->used) {
			uint8_t *in = end->in ? end->in : malloc(PIPE_BYTES);

			*end = (struct end){.used = true,
				.node = node,
				.life = node->life,
				.in = in,
				.number = ++wires->number};
			return end;
		}
	}
	abort(); /* more connections than there can be */
}

/* ----- readiness ------------------------------------------------------------------------------ */

static uint32_t ready_for(const struct end *end)
{
	uint32_t events = 0;

	if (end->in_length || end->eof || end->greeting) {
		events |= EPOLLIN;
	}
	if (end->connected || end->refused) {
		events |= EPOLLOUT;
	}
	return end->rfd ? events & (end->rfd->events | EPOLLERR) : 0;
}

static void ready_arm(struct end *end);

static void ready_pass(void *arg)
{
	struct end *end = arg;
	uint32_t events = ready_for(end);

	end->greeting = false;
	if (events && end->rfd) {
		end->rfd->ready(end->rfd, events);
	}
}

struct ready {
	struct end *end;
	uint64_t number;
};

static void ready_event(void *arg)
{
	const struct ready *ready = arg;
	struct end *end = ready->end;

	if (!end->used || end->number != ready->number) {
		return;
	}
	end->armed = false;
	if (!end->rfd) {
		return;
	}
	sim_reactor_do(end->reactor, ready_pass, end);
	if (end->used && end->number == ready->number) {
		ready_arm(end); /* level-triggered */
	}
}

static void ready_arm(struct end *end)
{
	struct sim *sim = end->node->sim;
	struct ready *ready;

	if (end->armed || !end->rfd || !ready_for(end)) {
		return;
	}
	end->armed = true;
	ready = sim_memory(sim, sizeof(*ready));
	*ready = (struct ready){end, end->number};
	sim_at(sim, end->node, sim_delay(sim, 1 * US, 50 * US), ready_event, ready);
}

int wire_watch(struct reactor *r, struct reactor_fd *rfd, uint32_t events)
{
	struct end *end = end_of(rfd->fd);

	end->reactor = r;
	end->rfd = rfd;
	rfd->events = events;
	ready_arm(end);
	return 0;
}

void wire_unwatch(struct reactor_fd *rfd)
{
	end_of(rfd->fd)->rfd = NULL;
}

/* ----- what is on its way --------------------------------------------------------------------- */

static void piece_arrives(void *arg)
{
	struct piece *piece = arg;
	struct end *to = piece->to;

	if (!to->used || to->number != piece->number || to->closed) {
		return;
	}
	if (piece->reset || !piece->bytes) {
		to->eof = true;
	} else if (to->in_length + piece->length > PIPE_BYTES) {
		abort(); /* windows keep it far below */
	} else {
		memcpy(to->in + to->in_length, piece->bytes, piece->length);
		to->in_length += piece->length;
	}
	ready_arm(to);
}

/* In order. While the wire is cut nothing moves; it is sent again after that. */
static void piece_send(struct end *to, uint64_t low_ns, uint64_t high_ns, struct piece *piece)
{
	struct sim *sim = to->node->sim;
	struct wires *wires = sim->wires;
	uint64_t at_ns = sim->now_ns + sim_delay(sim, low_ns, high_ns);

	if (wires->cut) {
		if (wires->stuck_count == wires->stuck_room) {
			wires->stuck_room = wires->stuck_room ? wires->stuck_room * 2 : 32;
			wires->stuck =
				realloc(wires->stuck, wires->stuck_room * sizeof(struct piece *));
		}
		wires->stuck[wires->stuck_count++] = piece;
		return;
	}
	at_ns = at_ns > to->last_ns ? at_ns : to->last_ns;
	to->last_ns = at_ns;
	sim_at(sim, NULL, at_ns - sim->now_ns, piece_arrives, piece);
}

static void bytes_send(struct end *to, const uint8_t *bytes, uint32_t length)
{
	struct sim *sim = to->node->sim;

	while (length) {
		struct piece *piece = sim_memory(sim, sizeof(*piece));
		uint32_t n = sim_once_in(sim, 16) ? 1 + sim_below(sim, length) : length;

		n = n > 65536 ? 65536 : n;
		*piece = (struct piece){.to = to, .number = to->number, .length = n};
		piece->bytes = sim_memory(sim, n);
		memcpy(piece->bytes, bytes, n);
		piece_send(to, 10 * US, 3 * MS, piece);
		bytes += n;
		length -= n;
	}
}

static void end_eof(struct end *to, bool reset)
{
	struct piece *piece;

	if (!to || !to->used || to->closed) {
		return;
	}
	piece = sim_memory(to->node->sim, sizeof(*piece));
	*piece = (struct piece){.to = to, .number = to->number, .reset = reset};
	piece_send(to, 10 * US, 3 * MS, piece);
}

static void end_free(struct end *end)
{
	if (end->other) {
		end->other->other = NULL;
	}
	end->used = false;
	end->rfd = NULL;
}

void wires_cut(struct sim *sim, bool cut)
{
	struct wires *wires = sim->wires;
	unsigned count = wires->stuck_count;

	if (cut == wires->cut) {
		return;
	}
	wires->cut = cut;
	wires->stuck_count = 0;
	for (unsigned i = 0; !cut && i < count; i++) {
		struct end *to = wires->stuck[i]->to;

		if (to->used && to->number == wires->stuck[i]->number) {
			piece_send(to, 10 * US, 200 * MS, wires->stuck[i]);
		}
	}
}

/* A firewall forgets them all: each side learns by itself. */
void wires_reset(struct sim *sim)
{
	for (unsigned i = 0; i < FD_MAX; i++) {
		if (sim->wires->ends[i].used && !sim_once_in(sim, 4)) {
			end_eof(&sim->wires->ends[i], true);
		}
	}
}

void wires_node_lost(struct node *node, bool power)
{
	for (unsigned i = 0; i < FD_MAX; i++) {
		struct end *end = &node->sim->wires->ends[i];

		if (end->used && end->node == node) {
			if (!power) {
				end_eof(end->other, false);
			}
			end_free(end);
		}
	}
}

/* ----- connecting ----------------------------------------------------------------------------- */

struct dial {
	struct end *from;
	uint64_t number;
	struct end *accepted;
};

static void dial_ends(void *arg)
{
	const struct dial *dial = arg;

	if (dial->from->used && dial->from->number == dial->number) {
		dial->from->connected = dial->accepted != NULL;
		dial->from->refused = !dial->accepted;
		ready_arm(dial->from);
	}
}

static void dial_accept_pass(void *arg)
{
	struct dial *dial = arg;
	struct node *node = dial->accepted->node;

	if (ship_in_accept(node->ship, fd_of(dial->accepted), "the other controller",
		    &node->listener->half_open) < 0) {
		end_free(dial->accepted);
	}
}

/* At the other side. */
static void dial_accept(void *arg)
{
	struct dial *dial = arg;
	struct end *end = dial->accepted, *from = end->other;

	if (!end->used || !from) {
		if (end->used) {
			end_free(end);
		}
		return;
	}
	end->connected = true;
	end->greeting = true;
	if (end->node->sim->bug == BUG_NO_BARRIER) {
		node_barrier_drop(end->node);
	}
	sim_reactor_do(end->node->reactors[0], dial_accept_pass, dial);
}

static void dial_arrives(void *arg)
{
	struct dial *dial = arg;
	struct end *from = dial->from;
	struct sim *sim = the_sim;
	struct node *to;

	if (!from->used || from->number != dial->number) {
		return;
	}
	to = sim_other(from->node);
	if (sim->wires->cut || to->stopped) {
		sim_at(sim, NULL, 1000 * MS, dial_arrives, dial); /* SYN again */
		return;
	}
	if (to->alive && to->listener) {
		dial->accepted = end_new(to);
		dial->accepted->other = from;
		from->other = dial->accepted;
		sim_at(sim, to, sim_delay(sim, 10 * US, 1 * MS), dial_accept, dial);
	} else if (!to->up) {
		sim_at(sim, NULL, 1000 * MS, dial_arrives, dial);
		return;
	}
	sim_at(sim, from->node, sim_delay(sim, 20 * US, 2 * MS), dial_ends, dial);
}

int ship_socket_dial(const struct ship *ship)
{
	struct node *node = &the_sim->node[ship->controller];
	struct dial *dial = sim_memory(node->sim, sizeof(*dial));

	dial->from = end_new(node);
	dial->number = dial->from->number;
	sim_at(node->sim, NULL, sim_delay(node->sim, 10 * US, 2 * MS), dial_arrives, dial);
	return fd_of(dial->from);
}

int ship_socket_prepare(const struct ship *ship, int fd)
{
	(void)ship;
	(void)fd;
	return 0;
}

const char *ship_peer_address(const struct ship *ship)
{
	(void)ship;
	return "the other controller";
}

int ship_listener_open(struct ship *ship, char *error, size_t error_size)
{
	struct node *node = &the_sim->node[ship->controller];

	(void)error;
	(void)error_size;
	ship->listener = calloc(1, sizeof(*ship->listener));
	ship->listener->ship = ship;
	qb_list_init(&ship->listener->half_open);
	node->listener = ship->listener;
	return 0;
}

void ship_listener_close(struct ship *ship)
{
	if (ship->listener) {
		ship_in_free_all(&ship->listener->half_open);
		the_sim->node[ship->controller].listener = NULL;
		free(ship->listener);
		ship->listener = NULL;
	}
}

void ship_listener_greeted(struct ship *ship)
{
	(void)ship;
}

void ship_listener_complain(struct ship *ship, const char *address, const char *why)
{
	(void)ship;
	(void)address;
	(void)why;
}

/* ----- the bytes ------------------------------------------------------------------------------ */

struct ship_tls *ship_tls_new(
	const struct conf *conf, uint8_t controller, char *error, size_t error_size)
{
	(void)conf;
	(void)controller;
	(void)error;
	(void)error_size;
	return calloc(1, sizeof(struct ship_tls));
}

void ship_tls_free(struct ship_tls *tls)
{
	free(tls);
}

int ship_wire_open(struct ship_wire *wire, struct ship_tls *tls, int fd, bool dialler)
{
	(void)tls;
	(void)dialler;
	*wire = (struct ship_wire){.fd = fd};
	return 0;
}

void ship_wire_close(struct ship_wire *wire)
{
	wire->fd = -1;
}

void ship_wire_pass(struct ship_wire *wire)
{
	(void)wire;
}

enum ship_wire_result ship_wire_handshake(struct ship_wire *wire)
{
	struct end *end = end_of(wire->fd);

	if (end->eof) {
		return SHIP_WIRE_CLOSED;
	}
	return end->connected ? SHIP_WIRE_OK : SHIP_WIRE_WAIT;
}

enum ship_wire_result ship_wire_read(struct ship_wire *wire, void *to, size_t size, size_t *got)
{
	struct end *end = end_of(wire->fd);

	if (end->in_length) {
		*got = size < end->in_length ? size : end->in_length;
		memcpy(to, end->in, *got);
		end->in_length -= (uint32_t)*got;
		memmove(end->in, end->in + *got, end->in_length);
		return SHIP_WIRE_OK;
	}
	return end->eof ? SHIP_WIRE_CLOSED : SHIP_WIRE_WAIT;
}

enum ship_wire_result ship_wire_write(
	struct ship_wire *wire, const void *from, size_t size, size_t *put)
{
	struct end *end = end_of(wire->fd);

	/* To a machine without power it just disappears. */
	if (end->other && end->other->used) {
		bytes_send(end->other, from, (uint32_t)size);
	}
	*put = size;
	return SHIP_WIRE_OK;
}

enum ship_wire_result ship_wire_send(struct ship_wire *wire)
{
	(void)wire;
	return SHIP_WIRE_OK;
}

bool ship_wire_pending(const struct ship_wire *wire)
{
	(void)wire;
	return false;
}

void ship_wire_why(struct ship_wire *wire, char *why, size_t size)
{
	(void)wire;
	snprintf(why, size, "broken");
}

int __wrap_close(int fd);
int __real_close(int fd);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);

int __wrap_close(int fd)
{
	struct end *end;

	if (fd < FD_FIRST) {
		return __real_close(fd);
	}
	end = end_of(fd);
	if (end->used) {
		end_eof(end->other, false);
		end_free(end);
	}
	return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	(void)level;
	(void)name;
	(void)size;
	*(int *)value = end_of(fd)->refused ? ECONNREFUSED : 0;
	return 0;
}
