/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The numbers of RFC 7143 11 (and 7144): opcodes, flags, reasons, statuses and the byte offsets of
 * the Basic Header Segment, with accessors for the fields that every PDU has. No function here
 * checks anything: a BHS is always 48 bytes. Any thread.
 */
#ifndef YOKE_ISCSI_PDU_H
#define YOKE_ISCSI_PDU_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "yoke/cursor.h"

#define ISCSI_BHS_BYTES		   48u
#define ISCSI_DIGEST_BYTES	   4u
#define ISCSI_AHS_MAX_BYTES	   (255u * 4u)
#define ISCSI_DATA_SEGMENT_MAX	   0xffffffu /* RFC 7143 13.12: 2^24 - 1 */
#define ISCSI_DATA_SEGMENT_MIN	   512u
#define ISCSI_DATA_SEGMENT_DEFAULT 8192u /* also the rule during login */
#define ISCSI_TAG_NONE		   0xffffffffu /* reserved ITT or TTT */
#define ISCSI_PORT_DEFAULT	   3260u
#define ISCSI_VERSION		   0x00 /* Version-min, -max and -active of RFC 7143 */

/* RFC 7143 11.2.1.2 */
enum iscsi_opcode {
	ISCSI_OP_NOP_OUT = 0x00,
	ISCSI_OP_SCSI_COMMAND = 0x01,
	ISCSI_OP_TMF_REQUEST = 0x02,
	ISCSI_OP_LOGIN_REQUEST = 0x03,
	ISCSI_OP_TEXT_REQUEST = 0x04,
	ISCSI_OP_DATA_OUT = 0x05,
	ISCSI_OP_LOGOUT_REQUEST = 0x06,
	ISCSI_OP_SNACK_REQUEST = 0x10,
	ISCSI_OP_NOP_IN = 0x20,
	ISCSI_OP_SCSI_RESPONSE = 0x21,
	ISCSI_OP_TMF_RESPONSE = 0x22,
	ISCSI_OP_LOGIN_RESPONSE = 0x23,
	ISCSI_OP_TEXT_RESPONSE = 0x24,
	ISCSI_OP_DATA_IN = 0x25,
	ISCSI_OP_LOGOUT_RESPONSE = 0x26,
	ISCSI_OP_R2T = 0x31,
	ISCSI_OP_ASYNC = 0x32,
	ISCSI_OP_REJECT = 0x3f,
};

enum {
	ISCSI_OPCODE_MASK = 0x3f,
	ISCSI_OPCODE_IMMEDIATE = 0x40, /* I bit */
};

/* Byte offsets in the BHS; the comment says the width. Offsets may mean two things by opcode. */
enum iscsi_bhs {
	ISCSI_BHS_OPCODE = 0, /* 1 */
	ISCSI_BHS_FLAGS = 1, /* 1 */
	ISCSI_BHS_AHS_LENGTH = 4, /* 1, in 4-byte words */
	ISCSI_BHS_DATA_LENGTH = 5, /* 3, without padding */
	ISCSI_BHS_LUN = 8, /* 8 */
	ISCSI_BHS_ITT = 16, /* 4 */
	ISCSI_BHS_TTT = 20, /* 4 */
	ISCSI_BHS_CMDSN = 24, /* 4, requests */
	ISCSI_BHS_EXPSTATSN = 28, /* 4, requests */
	ISCSI_BHS_STATSN = 24, /* 4, responses */
	ISCSI_BHS_EXPCMDSN = 28, /* 4, responses */
	ISCSI_BHS_MAXCMDSN = 32, /* 4, responses */

	ISCSI_COMMAND_EDTL = 20, /* 4, 11.3 */
	ISCSI_COMMAND_CDB = 32, /* 16 */

	ISCSI_RESPONSE_RESPONSE = 2, /* 1, 11.4 */
	ISCSI_RESPONSE_STATUS = 3, /* 1 */
	ISCSI_RESPONSE_SNACK_TAG = 20, /* 4 */
	ISCSI_RESPONSE_EXPDATASN = 36, /* 4 */
	ISCSI_RESPONSE_BIDI_RESIDUAL = 40, /* 4 */
	ISCSI_RESPONSE_RESIDUAL = 44, /* 4 */

	ISCSI_TMF_REFERENCED_TAG = 20, /* 4, 11.5 */
	ISCSI_TMF_REFCMDSN = 32, /* 4 */
	ISCSI_TMF_EXPDATASN = 36, /* 4 */
	ISCSI_TMF_RESPONSE = 2, /* 1, 11.6 */
	ISCSI_TMF_INFO = 8, /* 3, RFC 7144: additional response information */

	ISCSI_DATA_STATUS = 3, /* 1, Data-In, 11.7 */
	ISCSI_DATA_DATASN = 36, /* 4, Data-In and Data-Out */
	ISCSI_DATA_OFFSET = 40, /* 4 */
	ISCSI_DATA_RESIDUAL = 44, /* 4, Data-In */

	ISCSI_R2T_R2TSN = 36, /* 4, 11.8 */
	ISCSI_R2T_OFFSET = 40, /* 4 */
	ISCSI_R2T_LENGTH = 44, /* 4 */

	ISCSI_ASYNC_EVENT = 36, /* 1, 11.9 */
	ISCSI_ASYNC_VCODE = 37, /* 1 */
	ISCSI_ASYNC_PARAMETER1 = 38, /* 2 */
	ISCSI_ASYNC_PARAMETER2 = 40, /* 2 */
	ISCSI_ASYNC_PARAMETER3 = 42, /* 2 */

	ISCSI_LOGIN_VERSION_MAX = 2, /* 1, 11.12, 11.13 */
	ISCSI_LOGIN_VERSION_MIN = 3, /* 1, request */
	ISCSI_LOGIN_VERSION_ACTIVE = 3, /* 1, response */
	ISCSI_LOGIN_ISID = 8, /* 6 */
	ISCSI_LOGIN_TSIH = 14, /* 2 */
	ISCSI_LOGIN_CID = 20, /* 2, request */
	ISCSI_LOGIN_STATUS_CLASS = 36, /* 1, response */
	ISCSI_LOGIN_STATUS_DETAIL = 37, /* 1, response */

	ISCSI_LOGOUT_CID = 20, /* 2, 11.14 */
	ISCSI_LOGOUT_RESPONSE = 2, /* 1, 11.15 */
	ISCSI_LOGOUT_TIME2WAIT = 40, /* 2 */
	ISCSI_LOGOUT_TIME2RETAIN = 42, /* 2 */

	ISCSI_SNACK_BEGRUN = 40, /* 4, 11.16 */
	ISCSI_SNACK_RUNLENGTH = 44, /* 4 */

	ISCSI_REJECT_REASON = 2, /* 1, 11.17 */
	ISCSI_REJECT_DATASN = 36, /* 4, DataSN/R2TSN */
};

/* Byte 1. F is bit 7 in every PDU that has it, T in a login. */
enum iscsi_flag {
	ISCSI_FLAG_FINAL = 0x80,

	ISCSI_COMMAND_READ = 0x40, /* 11.3.1 */
	ISCSI_COMMAND_WRITE = 0x20,
	ISCSI_COMMAND_ATTR_MASK = 0x07,

	ISCSI_RESPONSE_BIDI_OVERFLOW = 0x10, /* 11.4.1, also Data-In */
	ISCSI_RESPONSE_BIDI_UNDERFLOW = 0x08,
	ISCSI_RESPONSE_OVERFLOW = 0x04,
	ISCSI_RESPONSE_UNDERFLOW = 0x02,

	ISCSI_DATA_IN_ACK = 0x40, /* 11.7.2, A bit */
	ISCSI_DATA_IN_STATUS = 0x01, /* 11.7.3, S bit */

	ISCSI_TMF_FUNCTION_MASK = 0x7f,

	ISCSI_TEXT_CONTINUE = 0x40, /* 11.10.2 */

	ISCSI_LOGIN_TRANSIT = 0x80, /* 11.12.1 */
	ISCSI_LOGIN_CONTINUE = 0x40, /* 11.12.2 */
	ISCSI_LOGIN_CSG_MASK = 0x0c,
	ISCSI_LOGIN_CSG_SHIFT = 2,
	ISCSI_LOGIN_NSG_MASK = 0x03,

	ISCSI_LOGOUT_REASON_MASK = 0x7f,
	ISCSI_SNACK_TYPE_MASK = 0x0f,
};

/* RFC 7143 11.3.1 */
enum iscsi_task_attribute {
	ISCSI_ATTR_UNTAGGED = 0,
	ISCSI_ATTR_SIMPLE = 1,
	ISCSI_ATTR_ORDERED = 2,
	ISCSI_ATTR_HEAD = 3,
	ISCSI_ATTR_ACA = 4,
};

/* RFC 7143 11.2.2.1: AHSType */
enum iscsi_ahs_type {
	ISCSI_AHS_EXTENDED_CDB = 1,
	ISCSI_AHS_BIDI_READ_LENGTH = 2,
};

/* RFC 7143 11.4.3 */
enum iscsi_response {
	ISCSI_RESPONSE_COMPLETED = 0x00,
	ISCSI_RESPONSE_TARGET_FAILURE = 0x01,
};

/* RFC 7143 11.9.1 */
enum iscsi_async_event {
	ISCSI_ASYNC_SCSI = 0,
	ISCSI_ASYNC_LOGOUT_REQUEST = 1,
	ISCSI_ASYNC_CONNECTION_DROP = 2,
	ISCSI_ASYNC_SESSION_DROP = 3,
	ISCSI_ASYNC_NEGOTIATE = 4,
	ISCSI_ASYNC_TASK_TERMINATION = 5,
};

/* RFC 7143 11.12.3 */
enum iscsi_stage {
	ISCSI_STAGE_SECURITY = 0,
	ISCSI_STAGE_OPERATIONAL = 1,
	ISCSI_STAGE_RESERVED = 2,
	ISCSI_STAGE_FULL_FEATURE = 3,
};

/* RFC 7143 11.13.5: class in the high byte, detail in the low one */
enum iscsi_login_status {
	ISCSI_LOGIN_SUCCESS = 0x0000,
	ISCSI_LOGIN_MOVED_TEMPORARILY = 0x0101,
	ISCSI_LOGIN_MOVED_PERMANENTLY = 0x0102,
	ISCSI_LOGIN_INITIATOR_ERROR = 0x0200,
	ISCSI_LOGIN_AUTHENTICATION_FAILED = 0x0201,
	ISCSI_LOGIN_FORBIDDEN = 0x0202,
	ISCSI_LOGIN_NOT_FOUND = 0x0203,
	ISCSI_LOGIN_REMOVED = 0x0204,
	ISCSI_LOGIN_UNSUPPORTED_VERSION = 0x0205,
	ISCSI_LOGIN_TOO_MANY_CONNECTIONS = 0x0206,
	ISCSI_LOGIN_MISSING_PARAMETER = 0x0207,
	ISCSI_LOGIN_CANNOT_INCLUDE = 0x0208,
	ISCSI_LOGIN_SESSION_TYPE = 0x0209,
	ISCSI_LOGIN_NO_SESSION = 0x020a,
	ISCSI_LOGIN_INVALID_REQUEST = 0x020b,
	ISCSI_LOGIN_TARGET_ERROR = 0x0300,
	ISCSI_LOGIN_UNAVAILABLE = 0x0301,
	ISCSI_LOGIN_OUT_OF_RESOURCES = 0x0302,
};

/* RFC 7143 11.14.1 */
enum iscsi_logout_reason {
	ISCSI_LOGOUT_SESSION = 0,
	ISCSI_LOGOUT_CONNECTION = 1,
	ISCSI_LOGOUT_RECOVERY = 2,
};

/* RFC 7143 11.15.1 */
enum iscsi_logout_response {
	ISCSI_LOGOUT_CLOSED = 0,
	ISCSI_LOGOUT_NO_CID = 1,
	ISCSI_LOGOUT_NO_RECOVERY = 2,
	ISCSI_LOGOUT_FAILED = 3,
};

/* RFC 7143 11.16.1 */
enum iscsi_snack_type {
	ISCSI_SNACK_DATA = 0, /* or R2T */
	ISCSI_SNACK_STATUS = 1,
	ISCSI_SNACK_DATA_ACK = 2,
	ISCSI_SNACK_R_DATA = 3,
};

/* RFC 7143 11.17.1 */
enum iscsi_reject_reason {
	ISCSI_REJECT_DATA_DIGEST = 0x02,
	ISCSI_REJECT_SNACK = 0x03,
	ISCSI_REJECT_PROTOCOL = 0x04,
	ISCSI_REJECT_NOT_SUPPORTED = 0x05,
	ISCSI_REJECT_IMMEDIATE = 0x06, /* too many immediate commands */
	ISCSI_REJECT_TASK_IN_PROGRESS = 0x07,
	ISCSI_REJECT_DATA_ACK = 0x08,
	ISCSI_REJECT_FIELD = 0x09, /* invalid PDU field */
	ISCSI_REJECT_LONG_OPERATION = 0x0a,
	ISCSI_REJECT_WAITING_LOGOUT = 0x0c,
};

static inline enum iscsi_opcode iscsi_bhs_opcode(const uint8_t *bhs)
{
	return (enum iscsi_opcode)(bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_MASK);
}

static inline bool iscsi_bhs_immediate(const uint8_t *bhs)
{
	return bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_IMMEDIATE;
}

static inline bool iscsi_bhs_final(const uint8_t *bhs)
{
	return bhs[ISCSI_BHS_FLAGS] & ISCSI_FLAG_FINAL;
}

static inline uint32_t iscsi_bhs_ahs_bytes(const uint8_t *bhs)
{
	return bhs[ISCSI_BHS_AHS_LENGTH] * 4u;
}

static inline uint32_t iscsi_bhs_data_bytes(const uint8_t *bhs)
{
	return be24_get(bhs + ISCSI_BHS_DATA_LENGTH);
}

/* A data segment is padded with zeros to a multiple of four bytes (RFC 7143 11.1). */
static inline uint32_t iscsi_padded_bytes(uint32_t bytes)
{
	return (bytes + 3u) & ~3u;
}

static inline uint32_t iscsi_bhs_itt(const uint8_t *bhs)
{
	return be32_get(bhs + ISCSI_BHS_ITT);
}

static inline uint32_t iscsi_bhs_ttt(const uint8_t *bhs)
{
	return be32_get(bhs + ISCSI_BHS_TTT);
}

static inline uint32_t iscsi_bhs_cmdsn(const uint8_t *bhs)
{
	return be32_get(bhs + ISCSI_BHS_CMDSN);
}

static inline uint32_t iscsi_bhs_expstatsn(const uint8_t *bhs)
{
	return be32_get(bhs + ISCSI_BHS_EXPSTATSN);
}

/* Starts a header: zeros, then opcode, flags and ITT. */
static inline void iscsi_bhs_init(
	uint8_t *bhs, enum iscsi_opcode opcode, uint8_t flags, uint32_t itt)
{
	memset(bhs, 0, ISCSI_BHS_BYTES);
	bhs[ISCSI_BHS_OPCODE] = (uint8_t)opcode;
	bhs[ISCSI_BHS_FLAGS] = flags;
	be32_put(bhs + ISCSI_BHS_ITT, itt);
}

static inline void iscsi_bhs_set_data_bytes(uint8_t *bhs, uint32_t bytes)
{
	be24_put(bhs + ISCSI_BHS_DATA_LENGTH, bytes);
}

/* Sequence numbers of a response. */
static inline void iscsi_bhs_set_sn(
	uint8_t *bhs, uint32_t statsn, uint32_t expcmdsn, uint32_t maxcmdsn)
{
	be32_put(bhs + ISCSI_BHS_STATSN, statsn);
	be32_put(bhs + ISCSI_BHS_EXPCMDSN, expcmdsn);
	be32_put(bhs + ISCSI_BHS_MAXCMDSN, maxcmdsn);
}

/* a < b and a <= b in the serial arithmetic of RFC 1982 (RFC 7143 4.2.2.1). */
static inline bool iscsi_sn_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool iscsi_sn_not_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

const char *iscsi_opcode_name(enum iscsi_opcode opcode);
const char *iscsi_stage_name(enum iscsi_stage stage);
const char *iscsi_login_status_name(enum iscsi_login_status status);
const char *iscsi_reject_reason_name(enum iscsi_reject_reason reason);

#endif
