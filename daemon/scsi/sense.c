/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "daemon/scsi/sense.h"
#include "daemon/scsi/snapshot.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

enum {
	KEY_NO_SENSE = 0x0,
	KEY_NOT_READY = 0x2,
	KEY_MEDIUM_ERROR = 0x3,
	KEY_HARDWARE_ERROR = 0x4,
	KEY_ILLEGAL_REQUEST = 0x5,
	KEY_UNIT_ATTENTION = 0x6,
	KEY_DATA_PROTECT = 0x7,
	KEY_COPY_ABORTED = 0xa,
	KEY_ABORTED_COMMAND = 0xb,
	KEY_MISCOMPARE = 0xe,
};

#define SENSE_CURRENT_FIXED	 0x70
#define SENSE_CURRENT_DESCRIPTOR 0x72
#define SENSE_VALID		 0x80 /* byte 0: INFORMATION holds something */
#define SENSE_HEADER_BYTES	 8 /* of descriptor format */
#define DESCRIPTOR_INFORMATION	 0x00
#define DESCRIPTOR_COMMAND	 0x01
#define DESCRIPTOR_KEY_SPECIFIC	 0x02
#define DESCRIPTOR_FORWARDED	 0x0c
#define SENSE_SKSV		 0x80 /* byte 15: the field pointer is valid */
#define SENSE_IN_CDB		 0x40
#define SENSE_BIT_VALID		 0x08
#define SENSE_IN_SEGMENT	 0x20 /* the pointer is into the segment, not the list */

static const struct scsi_sense_code codes[SENSE_COUNT] = {
	[SENSE_NONE] = {"no sense", KEY_NO_SENSE, 0x00, 0x00},
	[SENSE_NOT_READY_TRANSITIONING] = {"ALUA state transition", KEY_NOT_READY, 0x04, 0x0a},
	[SENSE_NOT_READY_STANDBY] = {"port in standby state", KEY_NOT_READY, 0x04, 0x0b},
	[SENSE_NOT_READY_UNAVAILABLE] = {"port in unavailable state", KEY_NOT_READY, 0x04, 0x0c},
	[SENSE_NOT_READY_OFFLINE] = {"offline", KEY_NOT_READY, 0x04, 0x12},
	[SENSE_NOT_READY_SANITIZING] = {"sanitize in progress", KEY_NOT_READY, 0x04, 0x1b},
	[SENSE_SANITIZE_FAILED] = {"sanitize command failed", KEY_MEDIUM_ERROR, 0x31, 0x03},
	[SENSE_WRITE_ERROR] = {"write error", KEY_MEDIUM_ERROR, 0x0c, 0x00},
	[SENSE_READ_ERROR] = {"unrecovered read error", KEY_MEDIUM_ERROR, 0x11, 0x00},
	[SENSE_TARGET_FAILURE] = {"internal target failure", KEY_HARDWARE_ERROR, 0x44, 0x00},
	[SENSE_SELF_TEST_FAILED] = {"logical unit failed self-test", KEY_HARDWARE_ERROR, 0x3e,
		0x03},
	[SENSE_STPG_FAILED] = {"set target port groups command failed", KEY_HARDWARE_ERROR, 0x67,
		0x0a},
	[SENSE_COMMAND_SEQUENCE] = {"command sequence error", KEY_ILLEGAL_REQUEST, 0x2c, 0x00},
	[SENSE_PARAMETER_LIST_LENGTH] = {"parameter list length error", KEY_ILLEGAL_REQUEST, 0x1a,
		0x00},
	[SENSE_INVALID_OPCODE] = {"invalid operation code", KEY_ILLEGAL_REQUEST, 0x20, 0x00},
	[SENSE_LBA_OUT_OF_RANGE] = {"LBA out of range", KEY_ILLEGAL_REQUEST, 0x21, 0x00},
	[SENSE_INVALID_FIELD_IN_CDB] = {"invalid field in CDB", KEY_ILLEGAL_REQUEST, 0x24, 0x00},
	[SENSE_NO_SUCH_LU] = {"logical unit not supported", KEY_ILLEGAL_REQUEST, 0x25, 0x00},
	[SENSE_INVALID_FIELD_IN_LIST] = {"invalid field in parameter list", KEY_ILLEGAL_REQUEST,
		0x26, 0x00},
	[SENSE_INVALID_RELEASE] = {"invalid release of persistent reservation", KEY_ILLEGAL_REQUEST,
		0x26, 0x04},
	[SENSE_REGISTRATION_RESOURCES] = {"insufficient registration resources",
		KEY_ILLEGAL_REQUEST, 0x55, 0x04},
	[SENSE_SAVING_NOT_SUPPORTED] = {"saving parameters not supported", KEY_ILLEGAL_REQUEST,
		0x39, 0x00},
	[SENSE_UA_POWER_ON_OR_RESET] = {"power on or reset occurred", KEY_UNIT_ATTENTION, 0x29,
		0x00},
	[SENSE_UA_LU_RESET] = {"bus device reset function occurred", KEY_UNIT_ATTENTION, 0x29,
		0x03},
	[SENSE_UA_MODE_CHANGED] = {"mode parameters changed", KEY_UNIT_ATTENTION, 0x2a, 0x01},
	[SENSE_UA_LOG_CHANGED] = {"log parameters changed", KEY_UNIT_ATTENTION, 0x2a, 0x02},
	[SENSE_UA_RESERVATIONS_PREEMPTED] = {"reservations preempted", KEY_UNIT_ATTENTION, 0x2a,
		0x03},
	[SENSE_UA_RESERVATIONS_RELEASED] = {"reservations released", KEY_UNIT_ATTENTION, 0x2a,
		0x04},
	[SENSE_UA_REGISTRATIONS_PREEMPTED] = {"registrations preempted", KEY_UNIT_ATTENTION, 0x2a,
		0x05},
	[SENSE_UA_IDENTIFIER_CHANGED] = {"device identifier changed", KEY_UNIT_ATTENTION, 0x3f,
		0x05},
	[SENSE_UA_ALUA_CHANGED] = {"ALUA state changed", KEY_UNIT_ATTENTION, 0x2a, 0x06},
	[SENSE_UA_CAPACITY_CHANGED] = {"capacity changed", KEY_UNIT_ATTENTION, 0x2a, 0x09},
	[SENSE_UA_THRESHOLD_REACHED] = {"thin provisioning soft threshold reached",
		KEY_UNIT_ATTENTION, 0x38, 0x07},
	[SENSE_UA_LUNS_CHANGED] = {"reported LUNs changed", KEY_UNIT_ATTENTION, 0x3f, 0x0e},
	[SENSE_UA_COMMANDS_CLEARED] = {"commands cleared by another initiator", KEY_UNIT_ATTENTION,
		0x2f, 0x00},
	[SENSE_UA_COMMANDS_LOST] = {"some commands cleared by iSCSI protocol event",
		KEY_UNIT_ATTENTION, 0x47, 0x7f},
	[SENSE_WRITE_PROTECTED] = {"write protected", KEY_DATA_PROTECT, 0x27, 0x00},
	[SENSE_SPACE_FAILED] = {"space allocation failed write protect", KEY_DATA_PROTECT, 0x27,
		0x07},
	[SENSE_UNSOLICITED_DATA] = {"unexpected unsolicited data", KEY_ABORTED_COMMAND, 0x0c, 0x0c},
	[SENSE_AMOUNT_OF_DATA] = {"not enough unsolicited data", KEY_ABORTED_COMMAND, 0x0c, 0x0d},
	[SENSE_PROTOCOL_CRC] = {"protocol service CRC error", KEY_ABORTED_COMMAND, 0x47, 0x05},
	[SENSE_OPERATION_IN_PROGRESS] = {"operation in progress", KEY_ILLEGAL_REQUEST, 0x00, 0x16},
	[SENSE_TOO_MANY_CSCDS] = {"too many target descriptors", KEY_ILLEGAL_REQUEST, 0x26, 0x06},
	[SENSE_CSCD_TYPE] = {"unsupported target descriptor type code", KEY_ILLEGAL_REQUEST, 0x26,
		0x07},
	[SENSE_TOO_MANY_SEGMENTS] = {"too many segment descriptors", KEY_ILLEGAL_REQUEST, 0x26,
		0x08},
	[SENSE_SEGMENT_TYPE] = {"unsupported segment descriptor type code", KEY_ILLEGAL_REQUEST,
		0x26, 0x09},
	[SENSE_INLINE_TOO_LONG] = {"inline data length exceeded", KEY_ILLEGAL_REQUEST, 0x26, 0x0b},
	[SENSE_COPY_ABORTED] = {"copy aborted", KEY_COPY_ABORTED, 0x00, 0x00},
	[SENSE_COPY_NO_SUCH_CSCD] = {"unreachable copy target", KEY_COPY_ABORTED, 0x08, 0x04},
	[SENSE_COPY_THIRD_PARTY_FAILED] = {"third party device failure", KEY_COPY_ABORTED, 0x0d,
		0x01},
	[SENSE_COPY_NOT_REACHABLE] = {"copy target device not reachable", KEY_COPY_ABORTED, 0x0d,
		0x02},
	[SENSE_COPY_INEXACT_SEGMENT] = {"unexpected inexact segment", KEY_COPY_ABORTED, 0x26, 0x0a},
	[SENSE_TOKEN_INVALID] = {"invalid token operation", KEY_ILLEGAL_REQUEST, 0x23, 0x00},
	[SENSE_TOKEN_TYPE] = {"unsupported token type", KEY_ILLEGAL_REQUEST, 0x23, 0x01},
	[SENSE_TOKEN_UNKNOWN] = {"token unknown", KEY_ILLEGAL_REQUEST, 0x23, 0x04},
	[SENSE_TOKEN_REVOKED] = {"token revoked", KEY_ILLEGAL_REQUEST, 0x23, 0x06},
	[SENSE_TOKEN_EXPIRED] = {"token expired", KEY_ILLEGAL_REQUEST, 0x23, 0x07},
	[SENSE_TOKEN_DELETED] = {"token deleted", KEY_ILLEGAL_REQUEST, 0x23, 0x09},
	[SENSE_TOKEN_LENGTH] = {"invalid token length", KEY_ILLEGAL_REQUEST, 0x23, 0x0a},
	[SENSE_TOKEN_RESOURCES] = {"insufficient resources to create ROD token",
		KEY_ILLEGAL_REQUEST, 0x55, 0x0d},
	[SENSE_MISCOMPARE] = {"miscompare during verify", KEY_MISCOMPARE, 0x1d, 0x00},
};

const struct scsi_sense_code *scsi_sense_code(enum scsi_sense sense)
{
	if ((unsigned)sense >= SENSE_COUNT || !codes[sense].name) {
		sense = SENSE_TARGET_FAILURE;
	}
	return &codes[sense];
}

size_t scsi_sense_build(uint8_t to[SCSI_SENSE_FIXED_BYTES], enum scsi_sense sense, bool descriptor)
{
	const struct scsi_sense_code *code = scsi_sense_code(sense);

	memset(to, 0, SCSI_SENSE_FIXED_BYTES);
	if (descriptor) {
		to[0] = SENSE_CURRENT_DESCRIPTOR;
		to[1] = code->key;
		to[2] = code->asc;
		to[3] = code->ascq;
		return 8;
	}
	to[0] = SENSE_CURRENT_FIXED;
	to[2] = code->key;
	to[7] = SCSI_SENSE_FIXED_BYTES - 8; /* additional sense length */
	to[12] = code->asc;
	to[13] = code->ascq;
	return SCSI_SENSE_FIXED_BYTES;
}

bool scsi_sense_is_fixed(enum scsi_sense sense)
{
	return sense == SENSE_UA_POWER_ON_OR_RESET || sense == SENSE_UA_LU_RESET ||
	       sense == SENSE_UA_MODE_CHANGED;
}

void scsi_set_sense(struct scsi_task *task, enum scsi_sense sense)
{
	bool descriptor = scsi_mode_of(task) & SCSI_MODE_D_SENSE && !scsi_sense_is_fixed(sense);

	task->status = SCSI_CHECK_CONDITION;
	task->in_length = 0;
	task->sense_length = (uint8_t)scsi_sense_build(task->sense, sense, descriptor);
}

/* Appends a descriptor of that type and length behind its two first bytes; where they begin. */
static uint8_t *descriptor_add(struct scsi_task *task, uint8_t type, uint8_t bytes)
{
	uint8_t *to = task->sense + task->sense_length;

	memset(to, 0, 2u + bytes);
	to[0] = type;
	to[1] = bytes;
	task->sense_length = (uint8_t)(task->sense_length + 2 + bytes);
	task->sense[7] = (uint8_t)(task->sense_length - SENSE_HEADER_BYTES);
	return to + 2;
}

static void field_pointer_set(struct scsi_task *task, uint8_t flags, unsigned byte, int bit)
{
	uint8_t *to = task->sense[0] == SENSE_CURRENT_DESCRIPTOR
			      ? descriptor_add(task, DESCRIPTOR_KEY_SPECIFIC, 6) + 2
			      : task->sense + 15;

	to[0] = SENSE_SKSV | flags;
	if (bit >= 0) {
		to[0] |= (uint8_t)(SENSE_BIT_VALID | (bit & 7));
	}
	be16_put(to + 1, (uint16_t)byte);
}

void scsi_set_cdb_field(struct scsi_task *task, unsigned byte, int bit)
{
	scsi_set_sense(task, SENSE_INVALID_FIELD_IN_CDB);
	field_pointer_set(task, SENSE_IN_CDB, byte, bit);
}

void scsi_set_list_field(struct scsi_task *task, unsigned byte, int bit)
{
	scsi_set_sense(task, SENSE_INVALID_FIELD_IN_LIST);
	field_pointer_set(task, 0, byte, bit);
}

void scsi_set_sense_field(struct scsi_task *task, enum scsi_sense sense, int byte, int bit)
{
	scsi_set_sense(task, sense);
	if (byte >= 0) {
		field_pointer_set(task, 0, (unsigned)byte, bit);
	}
}

/* The same in descriptor format (SPC-4 4.5.2.3, 4.5.2.10). */
static void copy_descriptors_add(struct scsi_task *task, uint16_t segment, int byte,
	const struct scsi_task *failed, bool destination)
{
	uint8_t *to = descriptor_add(task, DESCRIPTOR_COMMAND, 10);

	be16_put(to + 8, segment);
	if (byte >= 0) {
		field_pointer_set(task, SENSE_IN_SEGMENT, (unsigned)byte, -1);
	}
	if (failed && failed->sense_length + task->sense_length + 4 <= SCSI_SENSE_MAX) {
		to = descriptor_add(
			task, DESCRIPTOR_FORWARDED, (uint8_t)(2 + failed->sense_length));
		to[0] = destination ? 2 : 1;
		to[1] = failed->status;
		memcpy(to + 2, failed->sense, failed->sense_length);
	}
}

void scsi_set_copy_aborted(struct scsi_task *task, enum scsi_sense sense, uint16_t segment,
	int byte, const struct scsi_task *failed, bool destination)
{
	uint8_t at = SCSI_SENSE_FIXED_BYTES;

	scsi_set_sense(task, sense);
	if (task->sense[0] == SENSE_CURRENT_DESCRIPTOR) {
		copy_descriptors_add(task, segment, byte, failed, destination);
		return;
	}
	/* COMMAND-SPECIFIC INFORMATION: where the two answers begin, then the segment's number. */
	be16_put(task->sense + 10, segment);
	if (byte >= 0) {
		field_pointer_set(task, SENSE_IN_SEGMENT, (unsigned)byte, -1);
	}
	if (!failed || failed->sense_length > SCSI_SENSE_MAX - at - 1) {
		return;
	}
	task->sense[destination ? 9 : 8] = at;
	task->sense[at] = failed->status;
	memcpy(task->sense + at + 1, failed->sense, failed->sense_length);
	task->sense_length = (uint8_t)(at + 1 + failed->sense_length);
	task->sense[7] = (uint8_t)(task->sense_length - 8);
}

void scsi_set_sense_information(struct scsi_task *task, enum scsi_sense sense, uint64_t information)
{
	scsi_set_sense(task, sense);
	if (task->sense[0] == SENSE_CURRENT_DESCRIPTOR) {
		uint8_t *to = descriptor_add(task, DESCRIPTOR_INFORMATION, 10);

		to[0] = SENSE_VALID;
		be64_put(to + 2, information);
	} else if (information <= UINT32_MAX) {
		task->sense[0] |= SENSE_VALID;
		be32_put(task->sense + 3, (uint32_t)information);
	}
}

size_t scsi_sense_add_progress(
	uint8_t sense[SCSI_SENSE_FIXED_BYTES], size_t length, uint16_t progress)
{
	uint8_t *to = sense + 15;

	if (sense[0] == SENSE_CURRENT_DESCRIPTOR) {
		sense[7] = 8;
		sense[8] = DESCRIPTOR_KEY_SPECIFIC;
		sense[9] = 6;
		to = sense + 12;
		length = SENSE_HEADER_BYTES + 8;
	}
	to[0] = SENSE_SKSV;
	be16_put(to + 1, progress);
	return length;
}

void scsi_set_sense_progress(struct scsi_task *task, enum scsi_sense sense, uint16_t progress)
{
	scsi_set_sense(task, sense);
	memset(task->sense + task->sense_length, 0, SCSI_SENSE_MAX - task->sense_length);
	task->sense_length =
		(uint8_t)scsi_sense_add_progress(task->sense, task->sense_length, progress);
}

uint8_t scsi_sense_key(const struct scsi_task *task)
{
	return task->sense[task->sense[0] == SENSE_CURRENT_DESCRIPTOR ? 1 : 2] & 0xf;
}

void scsi_set_errno(struct scsi_task *task, int err, bool writes)
{
	switch (-err) {
	case ENOSPC:
	case EDQUOT:
		scsi_set_sense(task, SENSE_SPACE_FAILED);
		return;
	case EROFS:
		scsi_set_sense(task, SENSE_WRITE_PROTECTED);
		return;
	case ENOMEM:
	case EAGAIN:
		task->status = SCSI_BUSY;
		task->in_length = 0;
		return;
	case EOPNOTSUPP:
		scsi_set_sense(task, SENSE_TARGET_FAILURE);
		return;
	}
	scsi_set_sense(task, writes ? SENSE_WRITE_ERROR : SENSE_READ_ERROR);
}
