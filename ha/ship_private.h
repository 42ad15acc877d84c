/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the interconnect share. Not for other components. */
#ifndef YOKE_HA_SHIP_PRIVATE_H
#define YOKE_HA_SHIP_PRIVATE_H

#include <stdatomic.h>

#include "ha/ship_conn.h"
#include "ha/ship_in.h"
#include "ha/ship_kept.h"
#include "ha/ship_out.h"
#include "yoke/ha.h"

#define SHIP_REACTORS_MAX 256u
#define SHIP_HALF_OPEN	  16u /* accepted, but not greeted */

/* Times of the interconnect; a test may set shorter ones before the peer is up. */
struct ship_timing {
	uint32_t ping_ms; /* idle that long: PING */
	uint32_t silence_ms; /* nothing heard: the connection is dead */
	uint32_t greeting_ms; /* for TCP, TLS and HELLO together */
	uint32_t backoff_min_ms; /* before dialling again, doubled each time */
	uint32_t backoff_max_ms;
	uint32_t park_ms; /* how long a command that was never sent waits before the gate looks
			     again */
};

/* Counters of one reactor, read by the control thread. */
struct ship_counters {
	atomic_uint_fast64_t commands_out, commands_in, bytes_out, bytes_in;
	atomic_uint_fast64_t reconnects, refused_frames, stale_frames;
};

#define SHIP_COUNT(port, counter, n) \
	atomic_fetch_add_explicit(&(port)->counters.counter, (n), memory_order_relaxed)

/* What one reactor knows. */
struct ship_port {
	struct ship *ship;
	struct reactor *reactor;
	unsigned index;
	bool peer_up;
	bool peer_unsure; /* it has left, and may live */
	uint64_t peer_incarnation;
	struct ship_out out;
	struct qb_list_head
		ins; /* of struct ship_in: connections, and those whose tasks still run */
	struct ship_kept kept; /* answers to the peer's reactor of the same number */
	struct ship_counters counters;
};

struct ship_listener;
struct ship_peer_event;

struct ship {
	const struct conf *_Atomic conf; /* the one that counts, for every thread */
	uint8_t controller;
	uint8_t peer;
	const struct conf_address *own_address;
	const struct conf_address *peer_address;
	uint64_t incarnation;
	struct mailbox *control;
	const struct group_serve *serve;
	struct group_ship ops;
	struct ship_tls *tls;
	struct ship_timing timing;
	struct ship_port *ports;
	unsigned port_count;
	struct ship_listener *listener;
	/* Ready for the peer to leave, and to be gone; NULL while that cannot be. */
	struct ship_peer_event **down, **gone;
	/* Control thread. */
	void (*link)(void *arg, bool up);
	void *link_arg;
	bool link_up;
	/* Any thread. */
	atomic_uint open_count; /* outgoing connections that are open */
	atomic_uint tmfs_waiting; /* for a peer that has left */
	atomic_bool link_posted;
	struct mailbox_msg link_msg;
};

/* An outgoing connection has opened or closed: tells the control thread. Any reactor. */
void ship_link_changed(struct ship *ship, bool open);

/* HELLO or HELLO_ACK of this daemon. */
void ship_hello_fill(const struct ship *ship, struct ship_hello *hello);

/* What is wrong with the peer's HELLO or HELLO_ACK; SHIP_WELCOME when nothing is. */
enum ship_refusal ship_hello_check(const struct ship_port *port, const struct ship_hello *hello);

/* A socket that connects to the peer, from this controller's interconnect address; or -errno. */
int ship_socket_dial(const struct ship *ship);
/* What both ends of a connection want of their socket. */
int ship_socket_prepare(const struct ship *ship, int fd);
const char *ship_peer_address(const struct ship *ship);

/* The listener lives on reactor 0 (ship_listen.c). */
int ship_listener_open(struct ship *ship, char *error, size_t error_size);
void ship_listener_close(struct ship *ship); /* after the reactors have stopped */
/* A connection of it has been greeted, or has ended before: its place is free again. Reactor 0. */
void ship_listener_greeted(struct ship *ship);
/* A connection ended before its greeting: a warning now and then, however many there are. */
void ship_listener_complain(struct ship *ship, const char *address, const char *why);

#endif
