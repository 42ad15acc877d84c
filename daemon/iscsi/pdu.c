/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of the numbers in pdu.h, for the log. */
#include "daemon/iscsi/pdu.h"

const char *iscsi_opcode_name(enum iscsi_opcode opcode)
{
	switch (opcode) {
	case ISCSI_OP_NOP_OUT:
		return "NOP-Out";
	case ISCSI_OP_SCSI_COMMAND:
		return "SCSI Command";
	case ISCSI_OP_TMF_REQUEST:
		return "Task Management Function Request";
	case ISCSI_OP_LOGIN_REQUEST:
		return "Login Request";
	case ISCSI_OP_TEXT_REQUEST:
		return "Text Request";
	case ISCSI_OP_DATA_OUT:
		return "SCSI Data-Out";
	case ISCSI_OP_LOGOUT_REQUEST:
		return "Logout Request";
	case ISCSI_OP_SNACK_REQUEST:
		return "SNACK Request";
	case ISCSI_OP_NOP_IN:
		return "NOP-In";
	case ISCSI_OP_SCSI_RESPONSE:
		return "SCSI Response";
	case ISCSI_OP_TMF_RESPONSE:
		return "Task Management Function Response";
	case ISCSI_OP_LOGIN_RESPONSE:
		return "Login Response";
	case ISCSI_OP_TEXT_RESPONSE:
		return "Text Response";
	case ISCSI_OP_DATA_IN:
		return "SCSI Data-In";
	case ISCSI_OP_LOGOUT_RESPONSE:
		return "Logout Response";
	case ISCSI_OP_R2T:
		return "Ready To Transfer";
	case ISCSI_OP_ASYNC:
		return "Asynchronous Message";
	case ISCSI_OP_REJECT:
		return "Reject";
	}
	return "unknown opcode";
}

const char *iscsi_stage_name(enum iscsi_stage stage)
{
	switch (stage) {
	case ISCSI_STAGE_SECURITY:
		return "SecurityNegotiation";
	case ISCSI_STAGE_OPERATIONAL:
		return "LoginOperationalNegotiation";
	case ISCSI_STAGE_RESERVED:
		return "reserved stage 2";
	case ISCSI_STAGE_FULL_FEATURE:
		return "FullFeaturePhase";
	}
	return "unknown stage";
}

const char *iscsi_login_status_name(enum iscsi_login_status status)
{
	switch (status) {
	case ISCSI_LOGIN_SUCCESS:
		return "success";
	case ISCSI_LOGIN_MOVED_TEMPORARILY:
		return "target moved temporarily";
	case ISCSI_LOGIN_MOVED_PERMANENTLY:
		return "target moved permanently";
	case ISCSI_LOGIN_INITIATOR_ERROR:
		return "initiator error";
	case ISCSI_LOGIN_AUTHENTICATION_FAILED:
		return "authentication failure";
	case ISCSI_LOGIN_FORBIDDEN:
		return "authorization failure";
	case ISCSI_LOGIN_NOT_FOUND:
		return "target not found";
	case ISCSI_LOGIN_REMOVED:
		return "target removed";
	case ISCSI_LOGIN_UNSUPPORTED_VERSION:
		return "unsupported version";
	case ISCSI_LOGIN_TOO_MANY_CONNECTIONS:
		return "too many connections";
	case ISCSI_LOGIN_MISSING_PARAMETER:
		return "missing parameter";
	case ISCSI_LOGIN_CANNOT_INCLUDE:
		return "cannot include in session";
	case ISCSI_LOGIN_SESSION_TYPE:
		return "session type not supported";
	case ISCSI_LOGIN_NO_SESSION:
		return "session does not exist";
	case ISCSI_LOGIN_INVALID_REQUEST:
		return "invalid request during login";
	case ISCSI_LOGIN_TARGET_ERROR:
		return "target error";
	case ISCSI_LOGIN_UNAVAILABLE:
		return "service unavailable";
	case ISCSI_LOGIN_OUT_OF_RESOURCES:
		return "out of resources";
	}
	return "unknown status";
}

const char *iscsi_reject_reason_name(enum iscsi_reject_reason reason)
{
	switch (reason) {
	case ISCSI_REJECT_DATA_DIGEST:
		return "data digest error";
	case ISCSI_REJECT_SNACK:
		return "SNACK reject";
	case ISCSI_REJECT_PROTOCOL:
		return "protocol error";
	case ISCSI_REJECT_NOT_SUPPORTED:
		return "command not supported";
	case ISCSI_REJECT_IMMEDIATE:
		return "too many immediate commands";
	case ISCSI_REJECT_TASK_IN_PROGRESS:
		return "task in progress";
	case ISCSI_REJECT_DATA_ACK:
		return "invalid data ACK";
	case ISCSI_REJECT_FIELD:
		return "invalid PDU field";
	case ISCSI_REJECT_LONG_OPERATION:
		return "out of resources";
	case ISCSI_REJECT_WAITING_LOGOUT:
		return "waiting for logout";
	}
	return "unknown reason";
}
