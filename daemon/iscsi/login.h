/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The login phase (RFC 7143 6.3) as a pure state machine: PDU in, reply out. No socket, no thread,
 * no allocation, no clock: the caller bounds the time. One struct belongs to one connection and to
 * the reactor that runs it; nothing in it is shared.
 *
 *	iscsi_login_init(&login, &setup);
 *	for each Login Request:		step = iscsi_login_input(...)
 *	ISCSI_LOGIN_FINAL:		make or find the session, then accept or refuse
 *
 * A struct iscsi_login is about 25 KiB, most of it two text buffers that init does not touch.
 */
#ifndef YOKE_ISCSI_LOGIN_H
#define YOKE_ISCSI_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/conf.h"
#include "yoke/iscsi.h"
#include "yoke/task.h"
#include "daemon/iscsi/chap.h"
#include "daemon/iscsi/pdu.h"

#define ISCSI_NAME_MAX	SCSI_NAME_MAX /* with its NUL */
#define ISCSI_ALIAS_MAX 256 /* with its NUL */
#define ISCSI_TEXT_IN_MAX                                                      \
	16384u /* most text of one side in one C=1 sequence; 8192 is the least \
		*/
#define ISCSI_TEXT_OUT_MAX   8192u /* most text in one reply of ours */
#define ISCSI_LOGIN_PDUS_MAX 128u /* requests in one login; 6 exchanges is the least */
#define ISCSI_TIME2WAIT_S    0u /* ours; the larger of both sides rules */
#define ISCSI_TIME2RETAIN_S  0u /* ours; no session state outlives its connection */

/* The outcome of a negotiation (RFC 7143 13); iscsi_login_init() sets the defaults. */
struct iscsi_params {
	bool header_digest; /* CRC32C, from full feature phase on */
	bool data_digest;
	bool initial_r2t;
	bool immediate_data;
	bool data_pdu_in_order;
	bool data_sequence_in_order;
	bool discovery; /* SessionType */
	bool fast_abort; /* TaskReporting: FastAbort; never so far */
	uint32_t
		send_max_bytes; /* the initiator's MaxRecvDataSegmentLength: most we send at once */
	uint32_t recv_max_bytes; /* ours, once declared: most it may send at once after the login */
	uint32_t max_burst_bytes;
	uint32_t first_burst_bytes; /* never more than max_burst_bytes */
	uint16_t max_outstanding_r2t;
	uint16_t max_connections;
	uint16_t time2wait_s;
	uint16_t time2retain_s;
	uint8_t error_recovery_level;
	uint8_t protocol_level;
};

struct iscsi_login_setup {
	const struct conf *conf; /* outlives the login and the session */
	uint8_t controller; /* ours: the portal group tag */
	const struct conf_address *portal; /* the one the connection came in on */
	const struct sockaddr_storage *peer; /* where it came from; outlives both, too */
	const struct conf_secrets *secrets; /* NULL where nobody has to authenticate */
	bool (*random)(void *bytes, size_t size); /* for challenges; as iscsi_chap_policy has it */
};

enum iscsi_login_step {
	ISCSI_LOGIN_REPLY, /* send the reply; the login goes on */
	ISCSI_LOGIN_FINAL, /* all is agreed, reply NOT filled yet: make or join the session, perhaps
			      asynchronously, then iscsi_login_accept() or iscsi_login_refuse(),
			      and send that reply */
	ISCSI_LOGIN_FAILED, /* send the reply (status class != 0), then close */
	ISCSI_LOGIN_DROP, /* close without a word */
};
const char *iscsi_login_step_name(enum iscsi_login_step step);

/* A Login or Text Response. StatSN, ExpCmdSN and MaxCmdSN in bhs are the caller's to fill. */
struct iscsi_login_reply {
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint8_t data[ISCSI_TEXT_OUT_MAX];
	uint32_t data_length; /* without padding; also in bhs */
};

/* Where a login is. */
enum iscsi_login_state {
	ISCSI_LOGIN_STATE_START, /* no request yet */
	ISCSI_LOGIN_STATE_SECURITY,
	ISCSI_LOGIN_STATE_OPERATIONAL,
	ISCSI_LOGIN_STATE_DECISION, /* FINAL was returned: waiting for accept or refuse */
	ISCSI_LOGIN_STATE_FULL_FEATURE,
	ISCSI_LOGIN_STATE_FAILED,
};
#define ISCSI_LOGIN_STATES (ISCSI_LOGIN_STATE_FAILED + 1)
const char *iscsi_login_state_name(enum iscsi_login_state state);

struct iscsi_login {
	/* For the caller, read only. Strings are "" until known. */
	struct iscsi_params params;
	char initiator[ISCSI_NAME_MAX]; /* normalized: RFC 7143 4.2.7, lower case */
	char initiator_alias[ISCSI_ALIAS_MAX]; /* valid UTF-8; may hold control characters: escape
						  it */
	char target[ISCSI_NAME_MAX]; /* as configured; "" in an unnamed discovery */
	uint8_t isid[6];
	uint16_t tsih; /* as asked for; the session's own after accept */
	uint16_t cid;
	uint32_t itt;
	enum iscsi_login_state state;
	enum iscsi_login_status status; /* of the last reply */
	char reason[192]; /* why it was refused or dropped, printable ASCII, for the log */

	/* Private to the login phase and text negotiation. */
	struct iscsi_login_setup setup;
	const struct conf_target *conf_target; /* NULL in an unnamed discovery */
	uint64_t seen; /* keys that came, one bit for each: none may come twice */
	uint32_t pdus;
	uint32_t auth_methods; /* what the target takes: bits 1 << ISCSI_AUTH_* */
	struct iscsi_chap_policy chap_policy; /* by the names that came first */
	struct iscsi_chap chap;
	uint32_t burst_offer_bytes; /* MaxBurstLength in the text at hand, bounded; 0 = none */
	uint32_t in_length; /* bytes of the initiator's text */
	uint32_t in_pos; /* answered up to here */
	uint32_t out_length;
	uint8_t flags; /* of the last reply */
	bool in_partial; /* C=1 came last: more text follows */
	bool out_partial; /* C=1 went out last: an empty request is due */
	bool first_text_done; /* names and session type are known and checked */
	bool auth_done; /* nothing is left to prove */
	bool chap_due; /* the text at hand is to hold an exchange of it */
	bool drop; /* no response: close */
	bool target_declared; /* TargetPortalGroupTag and TargetAlias went out, or are not due */
	bool recv_max_declared;
	uint8_t in[ISCSI_TEXT_IN_MAX];
	uint8_t out[ISCSI_TEXT_OUT_MAX];
};

/* Starts over. `setup` is copied; what it points to must outlive the login. */
void iscsi_login_init(struct iscsi_login *login, const struct iscsi_login_setup *setup);

/* Forgets everything, text included. The struct may be freed without it: it owns nothing. */
void iscsi_login_clear(struct iscsi_login *login);

/*
 * One PDU that came before full feature phase, of any opcode, AHS left out: `data` are the
 * `length` bytes of its data segment without padding and digest. Nothing of `data` is kept.
 */
enum iscsi_login_step iscsi_login_input(struct iscsi_login *login,
	const uint8_t bhs[ISCSI_BHS_BYTES], const uint8_t *data, uint32_t length,
	struct iscsi_login_reply *reply);

/* After FINAL: the last Login Response, with the session's TSIH (not 0). */
void iscsi_login_accept(struct iscsi_login *login, uint16_t tsih, struct iscsi_login_reply *reply);

/*
 * After FINAL, or at any other time (the time is up, no memory): a Login Response that ends the
 * login with a status class other than 0.
 */
void iscsi_login_refuse(
	struct iscsi_login *login, enum iscsi_login_status status, struct iscsi_login_reply *reply);

#endif
