/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables: resources, their arguments, and errors. docs/management.md says the same in words. */
#include <limits.h>
#include <string.h>

#include "control_private.h"

/* ----- errors -------------------------------------------------------------------------------- */

static const struct {
	unsigned status;
	const char *code;
} control_errors[CONTROL_ERRORS] = {
	[CONTROL_BAD_REQUEST] = {400, "bad-request"},
	[CONTROL_DENIED] = {403, "denied"},
	[CONTROL_NO_SUCH_RESOURCE] = {404, "no-such-resource"},
	[CONTROL_NO_SUCH_GROUP] = {404, "no-such-group"},
	[CONTROL_NO_SUCH_CONTROLLER] = {404, "no-such-controller"},
	[CONTROL_WRONG_METHOD] = {405, "wrong-method"},
	[CONTROL_BODY_TOO_BIG] = {413, "body-too-big"},
	[CONTROL_NO_CLUSTER] = {409, "no-cluster"},
	[CONTROL_NOT_IN_SYNC] = {503, "not-in-sync"},
	[CONTROL_NO_QUORUM] = {503, "no-quorum"},
	[CONTROL_NO_PEER] = {409, "no-peer"},
	[CONTROL_BUSY] = {409, "busy"},
	[CONTROL_TIMEOUT] = {504, "timeout"},
	[CONTROL_FAILED] = {500, "failed"},
	[CONTROL_STOPPING] = {503, "stopping"},
};

unsigned control_error_status(enum control_error error)
{
	return control_errors[error].status;
}

const char *control_error_code(enum control_error error)
{
	return control_errors[error].code;
}

enum control_error control_error_of_result(enum ha_result result)
{
	switch (result) {
	case HA_OK:
	case HA_FAILED:
		return CONTROL_FAILED;
	case HA_NOT_IN_SYNC:
		return CONTROL_NOT_IN_SYNC;
	case HA_NO_QUORUM:
		return CONTROL_NO_QUORUM;
	case HA_TIMEOUT:
		return CONTROL_TIMEOUT;
	case HA_NO_PEER:
		return CONTROL_NO_PEER;
	case HA_BUSY:
		return CONTROL_BUSY;
	case HA_UNKNOWN:
		return CONTROL_NO_SUCH_GROUP;
	}
	return CONTROL_FAILED;
}

/* ----- resources ----------------------------------------------------------------------------- */

static const struct control_field move_fields[] = {
	{.name = "to",
		.type = JSON_STRING,
		.required = true,
		.min = 1,
		.max = CONTROL_NAME_MAX - 1},
	{.name = "timeout_ms", .type = JSON_INTEGER, .min = 1, .max = 3600000},
	{.name = NULL},
};

static const struct control_field start_fields[] = {
	{.name = "resource",
		.type = JSON_STRING,
		.required = true,
		.min = 1,
		.max = CONTROL_NAME_MAX - 1},
	{.name = NULL},
};

static const struct control_field logout_fields[] = {
	{.name = "within_s", .type = JSON_INTEGER, .required = true, .min = 1, .max = 3600},
	{.name = NULL},
};

static const struct control_field resize_fields[] = {
	{.name = "size", .type = JSON_STRING, .required = true, .min = 1, .max = 32},
	{.name = NULL},
};

static const struct control_field drill_fields[] = {
	{.name = "fault", .type = JSON_STRING, .required = true, .min = 1, .max = 16},
	{.name = "seconds", .type = JSON_INTEGER, .min = 1, .max = 60},
	{.name = NULL},
};

static const struct control_field log_fields[] = {
	{.name = "level", .type = JSON_STRING, .required = true, .min = 1, .max = 16},
	{.name = NULL},
};

static const struct control_field blackbox_fields[] = {
	{.name = "path", .type = JSON_STRING, .required = true, .min = 2, .max = PATH_MAX - 1},
	{.name = NULL},
};

const struct control_route control_routes[] = {
	{
		.method = "GET",
		.path = "/v1",
		.handler = control_get_index,
		.help = "what can be asked",
	},
	{
		.method = "GET",
		.path = "/v1/status",
		.handler = control_get_status,
		.help = "the daemon, its peer, its health",
	},
	{
		.method = "GET",
		.path = "/v1/groups",
		.handler = control_get_groups,
		.help = "every group: owner, role here, epoch, phase, ALUA table",
	},
	{
		.method = "GET",
		.path = "/v1/groups/{name}",
		.handler = control_get_group,
		.help = "one group",
	},
	{
		.method = "POST",
		.path = "/v1/groups/{name}/move",
		.handler = control_move_group,
		.fields = move_fields,
		.needs_cluster = true,
		.help = "makes controller `to` the owner; ends when it is, or after timeout_ms",
	},
	{
		.method = "GET",
		.path = "/v1/sessions",
		.handler = control_get_sessions,
		.help = "iSCSI sessions at this controller",
	},
	{
		.method = "POST",
		.path = "/v1/sessions/{name}/logout",
		.handler = control_logout_session,
		.fields = logout_fields,
		.help = "asks the initiator of session TSIH, or of `all`, to log out within "
			"`within_s`",
	},
	{
		.method = "GET",
		.path = "/v1/lus",
		.handler = control_get_lus,
		.help = "logical units with their counters at this controller",
	},
	{
		.method = "POST",
		.path = "/v1/lus/{name}/resize",
		.handler = control_resize_lu,
		.fields = resize_fields,
		.help = "makes the LU of an extent `size` large (\"20GiB\"), or as large as its "
			"\"store\" "
			"is, at both controllers",
	},
	{
		.method = "POST",
		.path = "/v1/lus/{name}/probe",
		.handler = control_probe_lu,
		.help = "reads the first block of an extent's LU as a command that comes in here; "
			"ends when it is answered",
	},
	{
		.method = "POST",
		.path = "/v1/drill",
		.handler = control_drill,
		.fields = drill_fields,
		.needs_cluster = true,
		.help = "the other controller's daemon dies (`fault` kill) or stops for `seconds` "
			"(freeze)",
	},
	{
		.method = "GET",
		.path = "/v1/config",
		.handler = control_get_config,
		.help = "the running configuration with defaults filled in",
	},
	{
		.method = "POST",
		.path = "/v1/config/reload",
		.handler = control_reload_config,
		.help = "reads the configuration file again and puts it in place, at both "
			"controllers",
	},
	{
		.method = "POST",
		.path = "/v1/log",
		.handler = control_set_log,
		.fields = log_fields,
		.help = "sets the log level: err, warning, notice, info, debug",
	},
	{
		.method = "POST",
		.path = "/v1/blackbox",
		.handler = control_write_blackbox,
		.fields = blackbox_fields,
		.help = "saves the flight recorder to the absolute `path`",
	},
	{
		.method = "POST",
		.path = "/v1/stop",
		.handler = control_stop,
		.help = "the daemon ends in good order",
	},
	{
		.method = "GET",
		.path = "/v1/agent/groups/{name}",
		.handler = control_agent_monitor,
		.needs_cluster = true,
		.help = "ocf:yoke:group monitor: the role here",
	},
	{
		.method = "POST",
		.path = "/v1/agent/groups/{name}/start",
		.handler = control_agent_start,
		.fields = start_fields,
		.needs_cluster = true,
		.help = "ocf:yoke:group start; promotion scores are set for `resource`",
	},
	{
		.method = "POST",
		.path = "/v1/agent/groups/{name}/stop",
		.handler = control_agent_stop,
		.needs_cluster = true,
		.help = "ocf:yoke:group stop: hands over to a peer in sync, or lets go",
	},
	{
		.method = "POST",
		.path = "/v1/agent/groups/{name}/promote",
		.handler = control_agent_promote,
		.needs_cluster = true,
		.help = "ocf:yoke:group promote: this controller becomes the owner",
	},
	{
		.method = "POST",
		.path = "/v1/agent/groups/{name}/demote",
		.handler = control_agent_demote,
		.needs_cluster = true,
		.help = "ocf:yoke:group demote: offers the group, goes on serving until it is "
			"taken",
	},
	{.method = NULL},
};

/* Compares part by part; "{name}" takes one part that is not empty. */
static bool control_path_matches(const char *pattern, const char *path, char *name)
{
	static const char wildcard[] = "{name}";

	name[0] = '\0';
	while (*pattern != '\0') {
		if (strncmp(pattern, wildcard, sizeof(wildcard) - 1) == 0) {
			size_t n = strcspn(path, "/");

			if (n == 0 || n >= CONTROL_NAME_MAX) {
				return false;
			}
			memcpy(name, path, n);
			name[n] = '\0';
			path += n;
			pattern += sizeof(wildcard) - 1;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}

const struct control_route *control_route_find(
	const char *method, const char *path, char *name, bool *path_known)
{
	*path_known = false;
	for (const struct control_route *route = control_routes; route->method; route++) {
		if (!control_path_matches(route->path, path, name)) {
			continue;
		}
		*path_known = true;
		if (strcmp(route->method, method) == 0) {
			return route;
		}
	}
	name[0] = '\0';
	return NULL;
}

void control_get_index(struct control_request *req)
{
	json_t *list = json_array();

	for (const struct control_route *route = control_routes; route->method; route++) {
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:b, s:s}", "method", route->method, "path",
				      route->path, "needs_cluster", (int)route->needs_cluster,
				      "help", route->help));
	}
	control_answer(req, json_pack("{s:o}", "resources", list));
}
