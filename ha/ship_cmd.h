/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records of the ingress side (ship_out.c): commands on their way, and TMFs. Private to it. A
 * struct ship_cmd comes from slabs that are kept: in steady state no command allocates.
 */
#ifndef YOKE_HA_SHIP_CMD_H
#define YOKE_HA_SHIP_CMD_H

#include "ha/ship_out.h"

/* Who holds a command, see ship_out.h. */
enum ship_cmd_state {
	SHIP_CMD_PENDING,
	SHIP_CMD_ACTIVE,
	SHIP_CMD_PARKED,
	SHIP_CMD_ENDED
};

/* What an active command sends next. */
enum ship_cmd_step {
	SHIP_STEP_COMMAND,
	SHIP_STEP_DATA,
	SHIP_STEP_ABORT,
	SHIP_STEP_WAIT
};

struct ship_cmd {
	struct qb_list_head link;
	struct ship_tx tx;
	struct scsi_task *task;
	struct ship_nexus *nexus;
	uint8_t lu[16];
	uint64_t epoch;
	uint64_t tag; /* serial << 16 | slot */
	enum ship_cmd_state state;
	enum ship_cmd_step step;
	enum ship_outcome outcome;
	bool was_sent; /* COMMAND has been written, on this connection or a former one */
	bool aborted;
	bool abort_sent;
	bool took_buffer; /* task->buf is for the data-in and was taken here */
	uint32_t out_sent;
	uint32_t in_received;
	uint32_t in_room; /* most data-in that is taken */
	uint32_t charge_bytes; /* of the peer's byte window */
};

struct ship_cmd *ship_cmd_new(struct ship_out *out); /* NULL: out of memory */
void ship_cmd_free(struct ship_out *out, struct ship_cmd *cmd);
void ship_cmds_free(struct ship_out *out);

/* The payload of its COMMAND, for a peer that speaks `version`. */
void ship_cmd_put(struct cursor *c, const struct ship_cmd *cmd, uint8_t version);

/* Data-in that the initiator can take, in bytes. */
uint32_t ship_cmd_in_bytes(const struct scsi_task *task);

/* Gives back the buffer taken for data-in. */
void ship_cmd_drop_buffer(struct ship_cmd *cmd);

/* What data-out of that size costs of the byte window: both sides count in whole pages. */
static inline uint32_t ship_charge_bytes(uint32_t bytes)
{
	return (bytes + (BUF_ALIGN - 1)) & ~(BUF_ALIGN - 1);
}

/* TMFs: sends what may go, at most SHIP_TMFS at a time. */
void ship_tmf_pump(struct ship_out *out);
/* The peer has left: they wait until it is back, or known to have ended. */
void ship_tmf_all_wait(struct ship_out *out);
/* TMF_DONE; NULL, or why the peer must not send it. */
const char *ship_tmf_done(struct ship_out *out, uint64_t tag);
/* The connection is lost: all are to be sent again. */
void ship_tmf_unsend(struct ship_out *out);
/* The peer is gone, and its nexuses with it: all are done. */
void ship_tmf_all_end(struct ship_out *out);
/* Calls done() of those that have ended. */
void ship_tmf_back(struct ship_out *out);
void ship_tmfs_free(struct ship_out *out);

#endif
