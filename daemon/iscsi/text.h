/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text Requests in full feature phase (RFC 7143 11.10, 11.11, 13.3): SendTargets, declaration of
 * MaxRecvDataSegmentLength, everything else refused by the book. Pure, as login.h is.
 */
#ifndef YOKE_ISCSI_TEXT_H
#define YOKE_ISCSI_TEXT_H

#include "daemon/iscsi/discovery.h"
#include "daemon/iscsi/login.h"

/* One connection's text negotiation; one at a time (RFC 7143 11.10). Zero bytes = none under way.
 */
struct iscsi_text {
	bool active; /* F=0 went out last: the initiator owes a request with our TTT */
	bool partial; /* the initiator's text goes on (C=1) */
	uint32_t itt;
	uint32_t ttt; /* of our last F=0 response */
	uint32_t next_ttt;
	uint64_t seen;
	uint32_t send_max_bytes; /* declared in this negotiation; in force with its F=1; 0 = not */
	struct iscsi_discovery list;
};

enum iscsi_text_step {
	ISCSI_TEXT_REPLY,
	ISCSI_TEXT_REJECT, /* send a Reject with *reject_reason; the negotiation is forgotten */
	ISCSI_TEXT_DROP, /* close the connection: header contents make no sense (RFC 7143 7.7) */
};
const char *iscsi_text_step_name(enum iscsi_text_step step);

void iscsi_text_init(struct iscsi_text *text);

/*
 * One Text Request. `login` is the connection's, in full feature phase: its names and parameters
 * rule, its text buffers are used, and its params.send_max_bytes changes when the initiator
 * declares another. login->reason says why after REJECT and DROP. `reply` is bounded by
 * params.send_max_bytes.
 */
enum iscsi_text_step iscsi_text_input(struct iscsi_text *text, struct iscsi_login *login,
	const uint8_t bhs[ISCSI_BHS_BYTES], const uint8_t *data, uint32_t length,
	struct iscsi_login_reply *reply, enum iscsi_reject_reason *reject_reason);

#endif
