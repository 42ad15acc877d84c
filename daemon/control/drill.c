/* SPDX-License-Identifier: BSD-3-Clause */
/* What `yokectl drill` is made of: commands of the daemon's own, and faults at the other's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control_private.h"
#include "yoke/log.h"

static void control_probe_finish(
	struct control_request *req, enum ha_result result, const char *message)
{
	switch (result) {
	case HA_OK:
		control_answer(req, json_pack("{s:s}", "result", message));
		return;
	case HA_UNKNOWN:
		control_refuse(req, CONTROL_NO_SUCH_RESOURCE, "extent %s: %s", req->name, message);
		return;
	default:
		control_refuse(req, CONTROL_BUSY, "extent %s: %s", req->name, message);
		return;
	}
}

static void control_probe_done(void *arg, int result)
{
	switch (result) {
	case SCSI_GOOD:
		control_action_done(arg, HA_OK, "good");
		break;
	case SCSI_RESERVATION_CONFLICT:
		control_action_done(arg, HA_OK, "reservation-conflict");
		break;
	case -ENOENT:
		control_action_done(arg, HA_UNKNOWN, "no such LU, or no target");
		break;
	default:
		control_action_done(arg, HA_BUSY, "not served now: try again");
		break;
	}
}

void control_probe_lu(struct control_request *req)
{
	const struct conf *conf = req->control->setup.conf;
	struct control_action *action;

	for (unsigned i = 0; i < conf->extent_count; i++) {
		if (strcmp(conf->extents[i].name, req->name) != 0) {
			continue;
		}
		action = control_action_new(req, control_probe_finish);
		if (action) {
			scsi_probe(req->control->setup.scsi, conf->extents[i].uuid,
				control_probe_done, action);
		}
		return;
	}
	control_refuse(req, CONTROL_NO_SUCH_RESOURCE,
		"there is no extent %s in the configuration; GET /v1/lus lists them", req->name);
}

static const char *control_drill_obstacle(const struct ha_status *status)
{
	if (!status->quorate || !status->in_sync) {
		return "this controller does not know the cluster's state";
	}
	if (!status->peer_member || !status->link_up) {
		return "the other controller is no member, or the interconnect is down";
	}
	return NULL;
}

void control_drill(struct control_request *req)
{
	const char *fault = control_arg_string(req, "fault");
	json_int_t seconds = control_arg_integer(req, "seconds", 5);
	struct ha_status status;

	ha_status(req->control->setup.ha, &status);
	if (strcmp(fault, "kill") != 0 && strcmp(fault, "freeze") != 0) {
		control_refuse(
			req, CONTROL_BAD_REQUEST, "`fault` is kill or freeze, not %s", fault);
		return;
	}
	if (control_drill_obstacle(&status)) {
		control_refuse(
			req, CONTROL_NO_PEER, "no drill: %s", control_drill_obstacle(&status));
		return;
	}
	log_warning("drill asked for: %s of the other controller's daemon", fault);
	ha_drill(req->control->setup.ha, strcmp(fault, "kill") == 0 ? 0 : (unsigned)seconds);
	control_answer(req, json_pack("{s:s}", "result", "asked"));
}
