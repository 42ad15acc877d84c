/* SPDX-License-Identifier: BSD-3-Clause */
/* What changes the daemon itself: log level, flight recorder, stop. */
#include <string.h>
#include <syslog.h>

#include "control_private.h"
#include "yoke/log.h"

static const struct {
	const char *name;
	int level;
} control_levels[] = {
	{"err", LOG_ERR},
	{"warning", LOG_WARNING},
	{"notice", LOG_NOTICE},
	{"info", LOG_INFO},
	{"debug", LOG_DEBUG},
};

void control_set_log(struct control_request *req)
{
	const char *name = control_arg_string(req, "level");

	for (size_t i = 0; i < ARRAY_SIZE(control_levels); i++) {
		if (strcmp(control_levels[i].name, name) == 0) {
			yoke_log_level_set(control_levels[i].level);
			log_notice("log level set to %s", name);
			control_answer(req, json_pack("{s:s}", "level", control_levels[i].name));
			return;
		}
	}
	control_refuse(req, CONTROL_BAD_REQUEST,
		"%s is no log level; there are err, warning, notice, info and debug", name);
}

void control_write_blackbox(struct control_request *req)
{
	const char *path = control_arg_string(req, "path");
	int err;

	if (path[0] != '/') {
		control_refuse(req, CONTROL_BAD_REQUEST, "`path` must be absolute: %s", path);
		return;
	}
	err = yoke_log_blackbox_write(path);
	if (err < 0) {
		control_refuse(req, CONTROL_FAILED, "cannot save the flight recorder to %s: %s",
			path, strerror(-err));
		return;
	}
	log_notice("flight recorder saved to %s", path);
	control_answer(req, json_pack("{s:o}", "path", control_json_text(path)));
}

static void control_reload_finish(
	struct control_request *req, enum ha_result result, const char *message)
{
	if (result != HA_OK) {
		control_refuse(req, control_error_of_result(result), "%s", message);
		return;
	}
	control_answer(req, json_pack("{s:s, s:o}", "result", ha_result_name(result), "message",
				    control_json_text(message)));
}

void control_reload_config(struct control_request *req)
{
	struct control_setup *setup = &req->control->setup;
	struct control_action *action = control_action_new(req, control_reload_finish);

	if (action) {
		log_notice("configuration: reload asked for");
		setup->reload(setup->arg, control_action_done, action);
	}
}

void control_resize_lu(struct control_request *req)
{
	struct control_setup *setup = &req->control->setup;
	const char *size = control_arg_string(req, "size");
	bool store = strcmp(size, "store") == 0;
	struct control_action *action = control_action_new(req, control_reload_finish);

	if (action) {
		log_notice("extent %s: to be made %s", req->name,
			store ? "as large as its store is" : size);
		setup->resize(
			setup->arg, req->name, store ? NULL : size, control_action_done, action);
	}
}

void control_stop(struct control_request *req)
{
	log_notice("stop asked for through the management interface");
	/* The answer goes out first: see control_http_completed(). */
	req->stop_after = true;
	control_answer(req, json_pack("{s:s}", "result", "stopping"));
}
