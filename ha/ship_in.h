/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The owner's side: a connection that the peer dialled, and the tasks that came in on it.
 *
 * Buffers for data-out come from a pool of the connection, as large as the window it advertises:
 * a command that was sent finds its buffer, whatever the reactor's own pool looks like, and so two
 * controllers that ship to each other cannot wait for each other's buffers.
 *
 * The barrier: a connection of the peer's reactor i is greeted back (HELLO_ACK) only when every
 * task of every former connection of that reactor has ended. A write whose answer was lost can
 * therefore not land after its re-run. Not waited for is what is in the ledger, where a command
 * is known by its serial: it may have to wait for a controller whose tasks wait for the connection.
 * TMFs are not waited for either, for the same reason: they act when they arrive.
 */
#ifndef YOKE_HA_SHIP_IN_H
#define YOKE_HA_SHIP_IN_H

#include "ha/ship_conn.h"
#include "ha/ship_nexus.h"
#include "ha/ship_out.h"

#define SHIP_WINDOW_COMMANDS 512u
#define SHIP_WINDOW_BYTES    (16u << 20)

struct ship_job;
struct ship_tmf_in;

struct ship_in {
	struct ship_conn conn;
	struct qb_list_head link; /* the listener's half-open ones, then ship_port.ins to its end */
	struct mailbox_msg msg; /* the move */
	struct ship_port *target; /* of the move; NULL as long as it is half-open */
	struct ship_hello hello; /* the peer's */
	unsigned jobs_running; /* given to the device server */
	unsigned jobs_recording; /* of them, of a closed connection: not waited for */
	unsigned tmfs_running;
	struct ship_job *jobs; /* SHIP_WINDOW_COMMANDS, by slot; NULL until it is welcome */
	struct ship_tmf_in *tmfs; /* SHIP_TMFS */
	struct scsi_nexus **nexuses; /* SHIP_NEXUSES, by id */
	uint32_t active_bytes; /* of the byte window */
	struct buf_pool *pool;
	char address[64]; /* the peer's, for the log */
};

/*
 * Takes an accepted connection into the list of half-open ones; `fd` is closed when it fails. 0 or
 * a negative errno. On reactor 0.
 */
int ship_in_accept(struct ship *ship, int fd, const char *address, struct qb_list_head *half_open);

/* The peer has left: its connections are closed, its tasks aborted. On the reactor. */
void ship_in_peer_down(struct ship_port *port);

/* All of a list, after the reactors have stopped. */
void ship_in_free_all(struct qb_list_head *ins);

#endif
