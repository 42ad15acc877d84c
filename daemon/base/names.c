/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of the enums that several components share. */
#include "yoke/group.h"
#include "yoke/ledger.h"
#include "yoke/task.h"

const char *group_access_name(enum group_access access)
{
	switch (access) {
	case GROUP_HELD:
		return "held";
	case GROUP_LOCAL:
		return "local";
	case GROUP_REMOTE:
		return "remote";
	}
	return "?";
}

const char *alua_state_name(enum alua_state state)
{
	switch (state) {
	case ALUA_OPTIMIZED:
		return "active/optimized";
	case ALUA_NON_OPTIMIZED:
		return "active/non-optimized";
	case ALUA_STANDBY:
		return "standby";
	case ALUA_UNAVAILABLE:
		return "unavailable";
	case ALUA_OFFLINE:
		return "offline";
	case ALUA_TRANSITIONING:
		return "transitioning";
	}
	return "?";
}

const char *scsi_tmf_function_name(enum scsi_tmf_function function)
{
	switch (function) {
	case SCSI_TMF_ABORT_TASK:
		return "ABORT TASK";
	case SCSI_TMF_ABORT_TASK_SET:
		return "ABORT TASK SET";
	case SCSI_TMF_CLEAR_ACA:
		return "CLEAR ACA";
	case SCSI_TMF_CLEAR_TASK_SET:
		return "CLEAR TASK SET";
	case SCSI_TMF_LU_RESET:
		return "LOGICAL UNIT RESET";
	case SCSI_TMF_TARGET_WARM_RESET:
		return "TARGET WARM RESET";
	case SCSI_TMF_TARGET_COLD_RESET:
		return "TARGET COLD RESET";
	case SCSI_TMF_TASK_REASSIGN:
		return "TASK REASSIGN";
	case SCSI_TMF_QUERY_TASK:
		return "QUERY TASK";
	case SCSI_TMF_QUERY_TASK_SET:
		return "QUERY TASK SET";
	case SCSI_TMF_I_T_NEXUS_RESET:
		return "I_T NEXUS RESET";
	case SCSI_TMF_QUERY_ASYNC_EVENT:
		return "QUERY ASYNCHRONOUS EVENT";
	}
	return "?";
}

const char *ledger_outcome_name(enum ledger_outcome outcome)
{
	switch (outcome) {
	case LEDGER_DONE:
		return "done";
	case LEDGER_AGAIN:
		return "again";
	case LEDGER_FAILED:
		return "failed";
	}
	return "?";
}
