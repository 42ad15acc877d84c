/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_frame.h"

#include "yoke/util.h"

#define SHIP_HELLO_MIN_BYTES	62u /* everything but the name */
#define SHIP_IDENTITY_MIN_BYTES 15u /* two names of one byte */
#define SHIP_IDENTITY_MAX_BYTES (13u + 2 * (SCSI_NAME_MAX - 1))
#define SHIP_COMMAND_MIN_BYTES	42u /* everything but the CDB */
#define SHIP_COMMAND_TAIL_BYTES 9u /* since version 2: serial and flags */
#define SHIP_RESULT_MIN_BYTES	8u
#define SHIP_TMF_FIXED_BYTES	20u

#define SHIP_COMMAND_RERUN	0x01u
#define SHIP_RESULT_AGAIN	0x01u
#define SHIP_RESULT_ABORTED	0x02u

static const struct ship_type_row ship_types[SHIP_TYPES] = {
	[SHIP_HELLO] = {"HELLO", SHIP_HELLO_MIN_BYTES + 1,
		SHIP_HELLO_MIN_BYTES + SHIP_CLUSTER_MAX - 1},
	[SHIP_HELLO_ACK] = {"HELLO_ACK", SHIP_HELLO_MIN_BYTES + 1,
		SHIP_HELLO_MIN_BYTES + SHIP_CLUSTER_MAX - 1},
	[SHIP_NEXUS] = {"NEXUS", SHIP_IDENTITY_MIN_BYTES, SHIP_IDENTITY_MAX_BYTES},
	[SHIP_NEXUS_GONE] = {"NEXUS_GONE", 0, 0},
	[SHIP_COMMAND] = {"COMMAND", SHIP_COMMAND_MIN_BYTES + 6,
		SHIP_COMMAND_MIN_BYTES + SCSI_CDB_MAX + SHIP_COMMAND_TAIL_BYTES},
	[SHIP_DATA_OUT] = {"DATA_OUT", SHIP_DATA_BODY_BYTES + 1,
		SHIP_DATA_BODY_BYTES + SHIP_CHUNK_BYTES},
	[SHIP_DATA_IN] = {"DATA_IN", SHIP_DATA_BODY_BYTES + 1,
		SHIP_DATA_BODY_BYTES + SHIP_CHUNK_BYTES},
	[SHIP_RESULT] = {"RESULT", SHIP_RESULT_MIN_BYTES, SHIP_RESULT_MIN_BYTES + SCSI_SENSE_MAX},
	[SHIP_ABORT] = {"ABORT", 0, 0},
	[SHIP_TMF] = {"TMF", SHIP_TMF_FIXED_BYTES + SHIP_IDENTITY_MIN_BYTES,
		SHIP_TMF_FIXED_BYTES + SHIP_IDENTITY_MAX_BYTES},
	[SHIP_TMF_DONE] = {"TMF_DONE", 0, 0},
	[SHIP_PING] = {"PING", 0, 0},
	[SHIP_PONG] = {"PONG", 0, 0},
};

const struct ship_type_row *ship_type_row(unsigned type)
{
	return type < SHIP_TYPES && ship_types[type].name ? &ship_types[type] : NULL;
}

const char *ship_type_name(unsigned type)
{
	const struct ship_type_row *row = ship_type_row(type);

	return row ? row->name : "?";
}

const char *ship_frame_error_name(enum ship_frame_error error)
{
	switch (error) {
	case SHIP_FRAME_OK:
		return "none";
	case SHIP_FRAME_SHORT:
		return "frame cut short";
	case SHIP_FRAME_MAGIC:
		return "not a frame of the interconnect";
	case SHIP_FRAME_NEWER:
		return "frame of a newer version that this one must not read";
	case SHIP_FRAME_HEADER:
		return "malformed frame header";
	case SHIP_FRAME_TYPE:
		return "unknown frame type";
	case SHIP_FRAME_LENGTH:
		return "payload length that the frame type does not allow";
	}
	return "?";
}

enum ship_frame_error ship_frame_get(struct cursor *c, struct ship_frame *frame)
{
	const struct ship_type_row *row;
	uint32_t magic = cursor_get_u32(c);
	uint16_t reserved;

	frame->version = cursor_get_u8(c);
	frame->lowest = cursor_get_u8(c);
	frame->type = cursor_get_u8(c);
	frame->flags = cursor_get_u8(c);
	frame->header_bytes = cursor_get_u16(c);
	reserved = cursor_get_u16(c);
	frame->payload_bytes = cursor_get_u32(c);
	frame->epoch = cursor_get_u64(c);
	frame->tag = cursor_get_u64(c);
	if (!cursor_ok(c)) {
		return SHIP_FRAME_SHORT;
	}
	if (magic != SHIP_MAGIC) {
		return SHIP_FRAME_MAGIC;
	}
	if (frame->version == 0 || frame->lowest == 0 || frame->lowest > frame->version) {
		return SHIP_FRAME_HEADER;
	}
	if (frame->lowest > SHIP_VERSION) {
		return SHIP_FRAME_NEWER;
	}
	if (frame->header_bytes < SHIP_HEADER_BYTES ||
		frame->header_bytes > SHIP_HEADER_MAX_BYTES ||
		(frame->version <= SHIP_VERSION &&
			(frame->header_bytes != SHIP_HEADER_BYTES || reserved || frame->flags))) {
		return SHIP_FRAME_HEADER;
	}
	row = ship_type_row(frame->type);
	if (!row) {
		return frame->version > SHIP_VERSION ? SHIP_FRAME_NEWER : SHIP_FRAME_TYPE;
	}
	if (frame->payload_bytes < row->min_bytes || frame->payload_bytes > row->max_bytes) {
		return SHIP_FRAME_LENGTH;
	}
	return SHIP_FRAME_OK;
}

void ship_frame_put(
	struct cursor *c, enum ship_type type, uint32_t payload_bytes, uint64_t epoch, uint64_t tag)
{
	cursor_put_u32(c, SHIP_MAGIC);
	cursor_put_u8(c, SHIP_VERSION);
	cursor_put_u8(c, 1);
	cursor_put_u8(c, (uint8_t)type);
	cursor_put_u8(c, 0);
	cursor_put_u16(c, SHIP_HEADER_BYTES);
	cursor_put_u16(c, 0);
	cursor_put_u32(c, payload_bytes);
	cursor_put_u64(c, epoch);
	cursor_put_u64(c, tag);
}

const char *ship_refusal_name(unsigned refusal)
{
	static const char *const names[] = {
		[SHIP_WELCOME] = "welcome",
		[SHIP_REFUSE_CLUSTER] = "another cluster name",
		[SHIP_REFUSE_CONTROLLER] = "not the other controller of this pair",
		[SHIP_REFUSE_INCARNATION] = "not the incarnation that is a member of the cluster",
		[SHIP_REFUSE_NO_MEMBER] = "not a member of the cluster yet",
		[SHIP_REFUSE_CONFIG] = "the configuration differs",
		[SHIP_REFUSE_RESOURCES] = "out of memory or connections",
	};

	return refusal < ARRAY_SIZE(names) ? names[refusal] : "?";
}

void ship_hello_put(struct cursor *c, const struct ship_hello *hello)
{
	cursor_put_u8(c, hello->refusal);
	cursor_put_u8(c, hello->controller);
	cursor_put_u16(c, hello->reactor);
	cursor_put_u16(c, hello->reactors);
	cursor_put_u16(c, hello->window_commands);
	cursor_put_u32(c, hello->window_bytes);
	cursor_put_u64(c, hello->incarnation);
	cursor_put_u64(c, hello->expected);
	cursor_put_bytes(c, hello->digest, sizeof(hello->digest));
	cursor_put_string(c, hello->cluster);
}

/* A payload of our version has no byte too many. */
static bool ship_body_ends(const struct cursor *c)
{
	return cursor_ok(c) && cursor_left(c) == 0;
}

bool ship_hello_get(struct cursor *c, struct ship_hello *hello)
{
	hello->refusal = cursor_get_u8(c);
	hello->controller = cursor_get_u8(c);
	hello->reactor = cursor_get_u16(c);
	hello->reactors = cursor_get_u16(c);
	hello->window_commands = cursor_get_u16(c);
	hello->window_bytes = cursor_get_u32(c);
	hello->incarnation = cursor_get_u64(c);
	hello->expected = cursor_get_u64(c);
	cursor_get_bytes(c, hello->digest, sizeof(hello->digest));
	cursor_get_string(c, hello->cluster, sizeof(hello->cluster));
	return ship_body_ends(c);
}

void ship_identity_put(struct cursor *c, const struct scsi_identity *who)
{
	cursor_put_u16(c, who->rtpi);
	cursor_put_u8(c, who->controller);
	cursor_put_bytes(c, who->isid, sizeof(who->isid));
	cursor_put_string(c, who->initiator);
	cursor_put_string(c, who->target);
}

bool ship_identity_get(struct cursor *c, struct scsi_identity *who)
{
	who->rtpi = cursor_get_u16(c);
	who->controller = cursor_get_u8(c);
	cursor_get_bytes(c, who->isid, sizeof(who->isid));
	cursor_get_string(c, who->initiator, sizeof(who->initiator));
	cursor_get_string(c, who->target, sizeof(who->target));
	return ship_body_ends(c) && who->initiator[0] && who->target[0] && who->controller >= 1 &&
	       who->controller <= YOKE_CONTROLLERS && who->rtpi >> 8 == who->controller;
}

void ship_command_put(struct cursor *c, const struct ship_command *command, uint8_t version)
{
	cursor_put_bytes(c, command->lu, sizeof(command->lu));
	cursor_put_u32(c, command->nexus);
	cursor_put_u8(c, command->attribute);
	cursor_put_u8(c, command->cdb_length);
	cursor_put_u32(c, command->expected_out_bytes);
	cursor_put_u32(c, command->expected_in_bytes);
	cursor_put_u32(c, command->out_bytes);
	cursor_put_u64(c, command->task_tag);
	cursor_put_bytes(c, command->cdb, command->cdb_length);
	if (version >= 2) {
		cursor_put_u64(c, command->serial);
		cursor_put_u8(c, command->rerun ? SHIP_COMMAND_RERUN : 0);
	}
}

bool ship_command_get(struct cursor *c, struct ship_command *command)
{
	cursor_get_bytes(c, command->lu, sizeof(command->lu));
	command->nexus = cursor_get_u32(c);
	command->attribute = cursor_get_u8(c);
	command->cdb_length = cursor_get_u8(c);
	command->expected_out_bytes = cursor_get_u32(c);
	command->expected_in_bytes = cursor_get_u32(c);
	command->out_bytes = cursor_get_u32(c);
	command->task_tag = cursor_get_u64(c);
	if (!cursor_ok(c) || command->cdb_length > SCSI_CDB_MAX ||
		command->attribute > SCSI_ATTR_ACA || command->out_bytes > BUF_MAX_BYTES) {
		return false;
	}
	memset(command->cdb, 0, sizeof(command->cdb));
	cursor_get_bytes(c, command->cdb, command->cdb_length);
	command->serial = 0;
	command->rerun = false;
	if (cursor_left(c) > 0) {
		uint8_t flags;

		command->serial = cursor_get_u64(c);
		flags = cursor_get_u8(c);
		command->rerun = flags & SHIP_COMMAND_RERUN;
		if (flags & ~SHIP_COMMAND_RERUN) {
			return false;
		}
	}
	return ship_body_ends(c);
}

void ship_result_put(struct cursor *c, const struct ship_result *result)
{
	cursor_put_u8(c, (uint8_t)((result->again ? SHIP_RESULT_AGAIN : 0) |
				   (result->aborted ? SHIP_RESULT_ABORTED : 0)));
	cursor_put_u8(c, result->status);
	cursor_put_u8(c, result->sense_length);
	cursor_put_u8(c, 0);
	cursor_put_u32(c, result->in_length);
	cursor_put_bytes(c, result->sense, result->sense_length);
}

bool ship_result_get(struct cursor *c, struct ship_result *result)
{
	uint8_t flags = cursor_get_u8(c);

	result->again = flags & SHIP_RESULT_AGAIN;
	result->aborted = flags & SHIP_RESULT_ABORTED;
	result->status = cursor_get_u8(c);
	result->sense_length = cursor_get_u8(c);
	cursor_get_u8(c);
	result->in_length = cursor_get_u32(c);
	if (!cursor_ok(c) || result->sense_length > SCSI_SENSE_MAX ||
		flags & ~(SHIP_RESULT_AGAIN | SHIP_RESULT_ABORTED)) {
		return false;
	}
	memset(result->sense, 0, sizeof(result->sense));
	cursor_get_bytes(c, result->sense, result->sense_length);
	return ship_body_ends(c);
}

void ship_tmf_put(struct cursor *c, const struct ship_tmf *tmf)
{
	cursor_put_u8(c, tmf->function);
	cursor_put_zeros(c, 3);
	cursor_put_bytes(c, tmf->lu, sizeof(tmf->lu));
	ship_identity_put(c, &tmf->who);
}

bool ship_tmf_get(struct cursor *c, struct ship_tmf *tmf)
{
	tmf->function = cursor_get_u8(c);
	cursor_take(c, 3);
	cursor_get_bytes(c, tmf->lu, sizeof(tmf->lu));
	return ship_identity_get(c, &tmf->who);
}
