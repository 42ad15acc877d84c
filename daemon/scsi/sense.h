/* SPDX-License-Identifier: BSD-3-Clause */
/* Sense data by name (SPC-4 4.5), in the format that the LU's D_SENSE asks for. */
#ifndef YOKE_SCSI_SENSE_H
#define YOKE_SCSI_SENSE_H

#include <stddef.h>

#include "yoke/task.h"

#define SCSI_SENSE_FIXED_BYTES 18

enum scsi_sense {
	SENSE_NONE,
	SENSE_NOT_READY_TRANSITIONING,
	SENSE_NOT_READY_STANDBY,
	SENSE_NOT_READY_UNAVAILABLE,
	SENSE_NOT_READY_OFFLINE,
	SENSE_NOT_READY_SANITIZING,
	SENSE_SANITIZE_FAILED,
	SENSE_WRITE_ERROR,
	SENSE_READ_ERROR,
	SENSE_TARGET_FAILURE,
	SENSE_SELF_TEST_FAILED,
	SENSE_STPG_FAILED,
	SENSE_PARAMETER_LIST_LENGTH,
	SENSE_INVALID_OPCODE,
	SENSE_COMMAND_SEQUENCE,
	SENSE_LBA_OUT_OF_RANGE,
	SENSE_INVALID_FIELD_IN_CDB,
	SENSE_NO_SUCH_LU,
	SENSE_INVALID_FIELD_IN_LIST,
	SENSE_INVALID_RELEASE,
	SENSE_SAVING_NOT_SUPPORTED,
	SENSE_REGISTRATION_RESOURCES,
	SENSE_UA_POWER_ON_OR_RESET,
	SENSE_UA_LU_RESET,
	SENSE_UA_MODE_CHANGED,
	SENSE_UA_LOG_CHANGED,
	SENSE_UA_IDENTIFIER_CHANGED,
	SENSE_UA_RESERVATIONS_PREEMPTED,
	SENSE_UA_RESERVATIONS_RELEASED,
	SENSE_UA_REGISTRATIONS_PREEMPTED,
	SENSE_UA_ALUA_CHANGED,
	SENSE_UA_CAPACITY_CHANGED,
	SENSE_UA_THRESHOLD_REACHED,
	SENSE_UA_LUNS_CHANGED,
	SENSE_UA_COMMANDS_CLEARED,
	SENSE_UA_COMMANDS_LOST,
	SENSE_WRITE_PROTECTED,
	SENSE_SPACE_FAILED,
	SENSE_UNSOLICITED_DATA,
	SENSE_AMOUNT_OF_DATA,
	SENSE_PROTOCOL_CRC,
	SENSE_MISCOMPARE,
	SENSE_OPERATION_IN_PROGRESS,
	SENSE_TOO_MANY_CSCDS,
	SENSE_CSCD_TYPE,
	SENSE_TOO_MANY_SEGMENTS,
	SENSE_SEGMENT_TYPE,
	SENSE_INLINE_TOO_LONG,
	SENSE_COPY_ABORTED,
	SENSE_COPY_NO_SUCH_CSCD,
	SENSE_COPY_THIRD_PARTY_FAILED,
	SENSE_COPY_NOT_REACHABLE,
	SENSE_COPY_INEXACT_SEGMENT,
	SENSE_TOKEN_INVALID,
	SENSE_TOKEN_TYPE,
	SENSE_TOKEN_UNKNOWN,
	SENSE_TOKEN_REVOKED,
	SENSE_TOKEN_EXPIRED,
	SENSE_TOKEN_DELETED,
	SENSE_TOKEN_LENGTH,
	SENSE_TOKEN_RESOURCES,
	SENSE_COUNT,
};

struct scsi_sense_code {
	const char *name;
	uint8_t key;
	uint8_t asc;
	uint8_t ascq;
};

/* The row of a sense; an unknown one is the row of SENSE_TARGET_FAILURE. */
const struct scsi_sense_code *scsi_sense_code(enum scsi_sense sense);

/* Ends the task with CHECK CONDITION and this sense (the caller still finishes it). */
void scsi_set_sense(struct scsi_task *task, enum scsi_sense sense);
/* The same with a field pointer: byte of the CDB and its highest bad bit, -1 = the whole field. */
void scsi_set_cdb_field(struct scsi_task *task, unsigned byte, int bit);
/* 5/26/00 with a field pointer into the parameter list. */
void scsi_set_list_field(struct scsi_task *task, unsigned byte, int bit);
/* Any sense with a field pointer into the parameter list; byte -1 = without one. */
void scsi_set_sense_field(struct scsi_task *task, enum scsi_sense sense, int byte, int bit);
/*
 * COPY ABORTED while a segment was processed (SPC-4 6.4.4): its number, the bad field in it (-1 =
 * none), and what the source or the destination answered to the copy manager (NULL = nothing).
 */
void scsi_set_copy_aborted(struct scsi_task *task, enum scsi_sense sense, uint16_t segment,
	int byte, const struct scsi_task *failed, bool destination);
/* The same with INFORMATION, which fixed format leaves out when it needs more than 32 bits. */
void scsi_set_sense_information(
	struct scsi_task *task, enum scsi_sense sense, uint64_t information);

/* Adds a PROGRESS INDICATION (SPC-4 4.5.2.4.4) to sense bytes of scsi_sense_build(); their length.
 */
size_t scsi_sense_add_progress(
	uint8_t sense[SCSI_SENSE_FIXED_BYTES], size_t length, uint16_t progress);
/* Ends the task with CHECK CONDITION and that sense, with a progress indication. */
void scsi_set_sense_progress(struct scsi_task *task, enum scsi_sense sense, uint16_t progress);

/* An I/O ended with a negative errno: the sense that says so; `writes` is the direction. */
void scsi_set_errno(struct scsi_task *task, int err, bool writes);

/* Hosts look for these in fixed format only, whatever D_SENSE says: UA 29/xx and 2A/01. */
bool scsi_sense_is_fixed(enum scsi_sense sense);

/* The sense key of a task that has ended with CHECK CONDITION. */
uint8_t scsi_sense_key(const struct scsi_task *task);

/* Sense bytes in fixed or descriptor format into to[18]; the length (18 or 8). */
size_t scsi_sense_build(uint8_t to[SCSI_SENSE_FIXED_BYTES], enum scsi_sense sense, bool descriptor);

#endif
