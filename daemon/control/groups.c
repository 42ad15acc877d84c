/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups: what is known of them, the administrator's move, and the actions of ocf:yoke:group. */
#include <string.h>

#include "control_private.h"
#include "yoke/log.h"

/* Without timeout_ms; the daemon's own limit up to COMMIT is `handover_timeout`. */
#define CONTROL_MOVE_TIMEOUT_MS 10000

/* ----- what is known ------------------------------------------------------------------------- */

bool control_group_info(const struct control *control, unsigned index, struct ha_group_info *info)
{
	const struct conf *conf = control->setup.conf;

	if (index >= conf->group_count) {
		return false;
	}
	if (control->setup.ha) {
		return ha_group_info(control->setup.ha, index, info);
	}
	*info = (struct ha_group_info){
		.conf = &conf->groups[index],
		.role = HA_ROLE_PROMOTED,
		.owner = control->setup.controller,
		.preferred = control->setup.controller,
		.phase = "standalone",
		.access = GROUP_LOCAL,
		.score = -1,
		.failback_in_s = -1,
	};
	info->tpg[control->setup.controller] = ALUA_OPTIMIZED;
	return true;
}

static bool control_group_find(const struct control *control, const char *name,
	struct ha_group_info *info, unsigned *index)
{
	for (unsigned i = 0; control_group_info(control, i, info); i++) {
		if (strcmp(info->conf->name, name) == 0) {
			*index = i;
			return true;
		}
	}
	return false;
}

static unsigned control_group_lus(const struct conf *conf, unsigned index)
{
	unsigned count = 0;

	for (unsigned i = 0; i < conf->extent_count; i++) {
		count += conf->extents[i].group == index;
	}
	return count;
}

static json_t *control_group_alua(const struct control *control, const struct ha_group_info *info)
{
	const struct conf *conf = control->setup.conf;
	json_t *list = json_array();

	for (unsigned i = 0; i < conf->controller_count; i++) {
		uint8_t id = conf->controllers[i].id;

		json_array_append_new(
			list, json_pack("{s:o, s:i, s:s}", "controller",
				      control_json_controller(control, id), "tpg", (int)id, "state",
				      alua_state_name((enum alua_state)info->tpg[id])));
	}
	return list;
}

static json_t *control_group_last_move(const struct ha_group_info *info)
{
	if (!info->last_move_kind) {
		return json_null();
	}
	return json_pack("{s:s, s:I, s:I}", "kind", info->last_move_kind, "unix_s",
		(json_int_t)info->last_move_unix_s, "held_ms", (json_int_t)info->last_move_held_ms);
}

static const char *control_failback_name(enum conf_failback failback)
{
	switch (failback) {
	case CONF_FAILBACK_MANUAL:
		return "manual";
	case CONF_FAILBACK_AUTO:
		return "auto";
	case CONF_FAILBACK_IMMEDIATE:
		return "immediate";
	}
	return "unknown";
}

static json_t *control_group_json(
	const struct control *control, const struct ha_group_info *info, unsigned index)
{
	const struct group_serve *serve = scsi_serve(control->setup.scsi);
	const struct conf_group *group = info->conf;

	json_t *json = json_pack(
		"{s:o, s:s, s:o, s:o, s:o, s:I, s:s, s:s, s:o, s:s, s:I, s:o, s:I, s:o, s:i, s:b}",
		"name", control_json_text(group->name), "role", ha_role_name(info->role), "owner",
		control_json_controller(control, info->owner), "preferred",
		control_json_controller(control, info->preferred), "home",
		control_json_controller(control, group->home), "epoch", (json_int_t)info->epoch,
		"phase", info->phase ? info->phase : "unknown", "access",
		group_access_name(info->access), "score",
		info->score < 0 ? json_null() : json_integer(info->score), "failback",
		control_failback_name(group->failback), "failback_delay_s",
		(json_int_t)group->failback_delay_s, "alua", control_group_alua(control, info),
		"table", (json_int_t)info->table, "last_move", control_group_last_move(info), "lus",
		(int)control_group_lus(control->setup.conf, index), "healthy",
		(int)serve->healthy(serve->ctx, (uint16_t)index));

	if (json) {
		json_object_set_new(json, "moves_last_hour", json_integer((json_int_t)info->moves));
		json_object_set_new(json, "failback_in_s",
			info->failback_in_s < 0 ? json_null() : json_integer(info->failback_in_s));
	}
	return json;
}

void control_get_groups(struct control_request *req)
{
	json_t *list = json_array();
	struct ha_group_info info;

	for (unsigned i = 0; control_group_info(req->control, i, &info); i++) {
		json_array_append_new(list, control_group_json(req->control, &info, i));
	}
	control_answer(req, json_pack("{s:o}", "groups", list));
}

static bool control_group_require(
	struct control_request *req, struct ha_group_info *info, unsigned *index)
{
	if (control_group_find(req->control, req->name, info, index)) {
		return true;
	}
	control_refuse(req, CONTROL_NO_SUCH_GROUP,
		"there is no group %s in the configuration; GET /v1/groups lists them", req->name);
	return false;
}

void control_get_group(struct control_request *req)
{
	struct ha_group_info info;
	unsigned index;

	if (control_group_require(req, &info, &index)) {
		control_answer(req, control_group_json(req->control, &info, index));
	}
}

/* ----- move ---------------------------------------------------------------------------------- */

static void control_result_refuse(
	struct control_request *req, enum ha_result result, const char *message)
{
	control_refuse(req, control_error_of_result(result), "group %s: %s", req->name,
		message && message[0] != '\0' ? message : ha_result_name(result));
	if (req->answer) {
		json_object_set_new(req->answer, "result", json_string(ha_result_name(result)));
	}
}

static void control_move_finish(
	struct control_request *req, enum ha_result result, const char *message)
{
	if (result != HA_OK) {
		control_result_refuse(req, result, message);
		return;
	}
	control_get_group(req);
}

void control_move_group(struct control_request *req)
{
	const struct control *control = req->control;
	const char *to = control_arg_string(req, "to");
	json_int_t timeout_ms = control_arg_integer(req, "timeout_ms", CONTROL_MOVE_TIMEOUT_MS);
	struct control_action *action;
	struct ha_group_info info;
	unsigned index;

	if (!control_group_require(req, &info, &index)) {
		return;
	}
	if (!conf_controller_by_name(control->setup.conf, to)) {
		control_refuse(req, CONTROL_NO_SUCH_CONTROLLER,
			"there is no controller %s in the configuration; GET /v1/status names them",
			to);
		return;
	}
	action = control_action_new(req, control_move_finish);
	if (action) {
		log_notice("group %s: move to controller %s asked for", req->name, to);
		ha_group_move(control->setup.ha, req->name, to, (unsigned)timeout_ms,
			control_action_done, action);
	}
}

/* ----- ocf:yoke:group ------------------------------------------------------------------------ */

static void control_agent_finish(
	struct control_request *req, enum ha_result result, const char *message)
{
	if (result != HA_OK) {
		control_result_refuse(req, result, message);
		return;
	}
	control_answer(req, json_pack("{s:s}", "result", ha_result_name(result)));
}

/* The checks that all four actions share; NULL when the request has been answered. */
static struct control_action *control_agent_begin(struct control_request *req)
{
	struct ha_group_info info;
	unsigned index;

	if (!control_group_require(req, &info, &index)) {
		return NULL;
	}
	return control_action_new(req, control_agent_finish);
}

void control_agent_start(struct control_request *req)
{
	struct control_action *action = control_agent_begin(req);

	if (action) {
		ha_group_start(req->control->setup.ha, req->name,
			control_arg_string(req, "resource"), control_action_done, action);
	}
}

void control_agent_stop(struct control_request *req)
{
	struct control_action *action = control_agent_begin(req);

	if (action) {
		ha_group_stop(req->control->setup.ha, req->name, control_action_done, action);
	}
}

void control_agent_promote(struct control_request *req)
{
	struct control_action *action = control_agent_begin(req);

	if (action) {
		ha_group_promote(req->control->setup.ha, req->name, control_action_done, action);
	}
}

void control_agent_demote(struct control_request *req)
{
	struct control_action *action = control_agent_begin(req);

	if (action) {
		ha_group_demote(req->control->setup.ha, req->name, control_action_done, action);
	}
}

void control_agent_monitor(struct control_request *req)
{
	struct ha_group_info info;
	struct ha_status status;
	unsigned index;

	if (!control_group_require(req, &info, &index)) {
		return;
	}
	ha_status(req->control->setup.ha, &status);
	control_answer(
		req, json_pack("{s:s, s:s, s:b, s:b, s:o, s:I, s:s}", "group", info.conf->name,
			     "role", ha_role_name(info.role), "in_sync", (int)status.in_sync,
			     "quorate", (int)status.quorate, "owner",
			     control_json_controller(req->control, info.owner), "epoch",
			     (json_int_t)info.epoch, "phase", info.phase ? info.phase : "unknown"));
}
