/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ingress side of one reactor: the connection it dials, and the commands that go out on it.
 *
 * A command is PENDING until the peer's window, a slot and (for a read) a buffer are there, ACTIVE
 * from then until its RESULT. When the connection is lost everything is PARKED. What had been sent
 * stays parked until the peer has said in HELLO_ACK that nothing of the former connection runs any
 * more, or has left the cluster: only then does the gate get it back (SHIP_AGAIN). What had not
 * been sent goes back to the gate every park_ms, for the owner may have changed.
 */
#ifndef YOKE_HA_SHIP_OUT_H
#define YOKE_HA_SHIP_OUT_H

#include "ha/ship_conn.h"
#include "ha/ship_nexus.h"
#include "yoke/group.h"

#define SHIP_TMFS 16u /* TMFs under way on one connection */

struct ship_cmd;
struct ship_cmd_slab;

struct ship_out {
	struct ship_conn conn;
	struct reactor_timer redial;
	struct reactor_timer park; /* back to the gate with what was never sent; and for buffers */
	struct reactor_defer back;
	uint32_t backoff_ms;
	bool is_open;
	bool was_open; /* since the peer came up: the next time counts as a reconnection */
	char refused[128]; /* by the peer's HELLO_ACK */
	char why[160]; /* it failed last time: logged once, not at every attempt */
	uint8_t peer_version; /* of the frames it speaks */
	uint64_t serial; /* upper part of the next tag */
	/* The peer's windows, and what is in use. */
	uint32_t window_commands;
	uint32_t window_bytes;
	uint32_t active_bytes;
	struct ship_cmd **slots; /* by slot number */
	uint16_t *free_slots;
	uint32_t free_count;
	size_t in_bytes; /* of buffers taken for active reads */
	struct qb_list_head pending_out; /* of struct ship_cmd: no data-in */
	struct qb_list_head pending_in; /* reads */
	struct qb_list_head active;
	struct qb_list_head parked;
	struct qb_list_head ended; /* their outcome is known: to the gate at the end of the pass */
	struct qb_list_head starved; /* of struct scsi_task: no memory for a struct ship_cmd */
	struct qb_list_head free;
	struct ship_cmd_slab *slabs;
	struct qb_list_head tmfs; /* of struct ship_tmf_out: not sent yet, then sent */
	struct qb_list_head tmfs_ended;
	unsigned tmfs_sent;
	struct ship_nexuses nexuses;
};

void ship_out_init(struct ship_out *out);
/* After the reactor has stopped. */
void ship_out_free(struct ship_out *out);

/* The peer is a member (port->peer_up and incarnation are set): dials. On the reactor. */
void ship_out_peer_up(struct ship_port *port);
/* The peer has left: everything goes back to the gate, but for TMFs. */
void ship_out_peer_down(struct ship_port *port);
/* It has ended, too: TMFs are done. */
void ship_out_peer_gone(struct ship_port *port);

/* See struct group_ship. */
void ship_out_task(struct ship_port *port, struct scsi_task *task, uint64_t epoch,
	const uint8_t lu[16], const struct scsi_identity *who);
void ship_out_abort(struct ship_port *port, struct scsi_task *task);
void ship_out_tmf(struct ship_port *port, enum scsi_tmf_function function, const uint8_t lu[16],
	const struct scsi_identity *who, void (*done)(void *arg), void *arg);
void ship_out_nexus_gone(struct ship_port *port, const struct scsi_identity *who);

#endif
