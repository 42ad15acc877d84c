/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frames of the interconnect as bytes. Big-endian; every frame starts with this header, whose
 * first 32 bytes never change:
 *
 *   0  magic "YSHP"          8  header length, 32 in version 1 (a later one may be longer;
 *   4  sender's version         what we do not know of it is skipped)
 *   5  lowest version        10 zero
 *      that may read it      12 payload length, without the header
 *   6  type                  16 epoch the frame was sent under
 *   7  flags                 24 tag
 *
 * Pure functions: any thread, no allocation, no log. Bytes of the peer go through the bounded
 * cursor only.
 */
#ifndef YOKE_HA_SHIP_FRAME_H
#define YOKE_HA_SHIP_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/buf.h"
#include "yoke/cursor.h"
#include "yoke/task.h"

#define SHIP_MAGIC	      0x59534850u
#define SHIP_VERSION	      2
#define SHIP_HEADER_BYTES     32u
#define SHIP_HEADER_MAX_BYTES 256u /* of a later version */
#define SHIP_CHUNK_BYTES      (64u << 10) /* most data in one frame */
#define SHIP_DATA_BODY_BYTES  4u /* the offset in front of the data */
#define SHIP_CLUSTER_MAX      256

enum ship_type {
	SHIP_HELLO = 1, /* dialler: who I am, whom I mean */
	SHIP_HELLO_ACK, /* acceptor: the same, or why not; all older tasks have ended */
	SHIP_NEXUS, /* tag = nexus id: identity; before its first use on a connection */
	SHIP_NEXUS_GONE, /* tag = nexus id, free again */
	SHIP_COMMAND,
	SHIP_DATA_OUT,
	SHIP_DATA_IN,
	SHIP_RESULT, /* ends the tag and gives its share of the windows back */
	SHIP_ABORT, /* the tag still ends by RESULT; no DATA_OUT of the tag follows */
	SHIP_TMF,
	SHIP_TMF_DONE,
	SHIP_PING,
	SHIP_PONG,
	SHIP_TYPES, /* one more than the last */
};

/* What a type is called and how long its payload may be; name NULL: no such type. */
struct ship_type_row {
	const char *name;
	uint32_t min_bytes;
	uint32_t max_bytes;
};

/* The row of a type, NULL for one that version 1 does not have. */
const struct ship_type_row *ship_type_row(unsigned type);
const char *ship_type_name(unsigned type); /* "?" when there is none */

struct ship_frame {
	uint8_t version;
	uint8_t lowest;
	uint8_t type;
	uint8_t flags;
	uint16_t header_bytes;
	uint32_t payload_bytes;
	uint64_t epoch;
	uint64_t tag;
};

enum ship_frame_error {
	SHIP_FRAME_OK,
	SHIP_FRAME_SHORT, /* more bytes are needed */
	SHIP_FRAME_MAGIC, /* not ours at all */
	SHIP_FRAME_NEWER, /* the sender forbids our version to read it, or a type we do not know */
	SHIP_FRAME_HEADER, /* header length or reserved field wrong */
	SHIP_FRAME_TYPE, /* no such type in the version it claims */
	SHIP_FRAME_LENGTH, /* payload shorter or longer than the type allows */
};
const char *ship_frame_error_name(enum ship_frame_error error);

/*
 * Reads the fixed header and checks it against the table. SHIP_FRAME_OK leaves the cursor behind
 * the 32 bytes; header_bytes - 32 more are to be skipped before the payload.
 */
enum ship_frame_error ship_frame_get(struct cursor *c, struct ship_frame *frame);

/* Writes a header of our version. */
void ship_frame_put(struct cursor *c, enum ship_type type, uint32_t payload_bytes, uint64_t epoch,
	uint64_t tag);

/* Why an acceptor does not want the connection; SHIP_WELCOME when it does. On the wire. */
enum ship_refusal {
	SHIP_WELCOME = 0,
	SHIP_REFUSE_CLUSTER = 1,
	SHIP_REFUSE_CONTROLLER = 2,
	SHIP_REFUSE_INCARNATION = 3, /* not the one that joined the cluster */
	SHIP_REFUSE_NO_MEMBER = 4, /* its joining has not been seen here (yet) */
	SHIP_REFUSE_CONFIG = 5,
	SHIP_REFUSE_RESOURCES = 6,
};
const char *ship_refusal_name(unsigned refusal);

/* Payload of HELLO and HELLO_ACK. */
struct ship_hello {
	uint8_t refusal; /* enum ship_refusal; 0 in HELLO */
	uint8_t controller; /* sender */
	uint16_t reactor; /* the dialler's, in both */
	uint16_t reactors; /* sender's */
	uint16_t window_commands; /* commands in flight that the sender takes; their slot numbers */
	uint32_t window_bytes; /* data-out of commands in flight that it takes */
	uint64_t incarnation; /* sender's */
	uint64_t expected; /* receiver's, as the sender knows it */
	uint8_t digest[32]; /* of the sender's configuration */
	char cluster[SHIP_CLUSTER_MAX];
};
void ship_hello_put(struct cursor *c, const struct ship_hello *hello);
bool ship_hello_get(struct cursor *c, struct ship_hello *hello);

/* Payload of NEXUS, tail of TMF. An identity with an empty name or a foreign RTPI is refused. */
void ship_identity_put(struct cursor *c, const struct scsi_identity *who);
bool ship_identity_get(struct cursor *c, struct scsi_identity *who);

/*
 * Payload of COMMAND; `out_bytes` of data follow in DATA_OUT frames, in order. Version 1 ends with
 * the CDB: no serial, which is what 0 means.
 */
struct ship_command {
	uint8_t lu[16];
	uint32_t nexus;
	uint8_t attribute; /* enum scsi_attribute */
	uint8_t cdb_length;
	uint32_t expected_out_bytes;
	uint32_t expected_in_bytes;
	uint32_t out_bytes;
	uint64_t task_tag; /* the initiator's */
	uint8_t cdb[SCSI_CDB_MAX];
	uint64_t serial; /* struct scsi_task */
	bool rerun;
};
/* As the version of the receiver wants it. */
void ship_command_put(struct cursor *c, const struct ship_command *command, uint8_t version);
bool ship_command_get(struct cursor *c, struct ship_command *command);

/* Payload of RESULT. The data-in has gone before it. */
struct ship_result {
	bool again; /* never ran */
	bool aborted; /* ended without an outcome */
	uint8_t status; /* enum scsi_status */
	uint8_t sense_length;
	uint32_t in_length; /* what the device server presents, which may be more than was sent */
	uint8_t sense[SCSI_SENSE_MAX];
};
void ship_result_put(struct cursor *c, const struct ship_result *result);
bool ship_result_get(struct cursor *c, struct ship_result *result);

/* Payload of TMF. */
struct ship_tmf {
	uint8_t function; /* enum scsi_tmf_function */
	uint8_t lu[16];
	struct scsi_identity who;
};
void ship_tmf_put(struct cursor *c, const struct ship_tmf *tmf);
bool ship_tmf_get(struct cursor *c, struct ship_tmf *tmf);

#endif
