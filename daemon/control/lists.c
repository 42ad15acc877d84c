/* SPDX-License-Identifier: BSD-3-Clause */
/* The lists: sessions and logical units. */
#include <stdio.h>

#include "control_private.h"

static void control_session_add(const struct iscsi_session_info *info, void *arg)
{
	json_t *list = arg;
	char isid[13];

	snprintf(isid, sizeof(isid), "%02x%02x%02x%02x%02x%02x", info->isid[0], info->isid[1],
		info->isid[2], info->isid[3], info->isid[4], info->isid[5]);
	json_array_append_new(
		list, json_pack("{s:i, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:i, s:I}", "tsih",
			      (int)info->tsih, "initiator", control_json_text(info->initiator),
			      "alias", control_json_text(info->alias), "isid", isid, "user",
			      control_json_text(info->user[0] ? info->user : NULL), "target",
			      control_json_text(info->target), "initiator_address",
			      control_json_text(info->initiator_address), "portal",
			      control_json_text(info->portal), "reactor", (int)info->reactor,
			      "since_unix_s", (json_int_t)info->since_unix_s));
}

void control_get_sessions(struct control_request *req)
{
	json_t *list = json_array();

	iscsi_sessions(req->control->setup.iscsi, control_session_add, list);
	control_answer(req, json_pack("{s:o}", "sessions", list));
}

/* Under which targets and numbers hosts see the extent. */
static json_t *control_lu_luns(const struct conf *conf, const struct conf_extent *extent)
{
	json_t *list = json_array();

	for (unsigned t = 0; t < conf->target_count; t++) {
		const struct conf_target *target = &conf->targets[t];

		for (unsigned i = 0; i < target->lun_count; i++) {
			if (&conf->extents[target->luns[i].extent] == extent) {
				json_array_append_new(
					list, json_pack("{s:o, s:i}", "target",
						      control_json_text(target->name), "lun",
						      (int)target->luns[i].lun));
			}
		}
	}
	return list;
}

static json_t *control_lu_json(const struct control *control, const struct scsi_lu_info *lu)
{
	const struct conf *conf = control->setup.conf;
	const struct conf_extent *extent = lu->extent;
	struct ha_group_info group;
	bool known = control_group_info(control, extent->group, &group);

	return json_pack(
		"{s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:b, s:b, s:b, s:b, s:s, s:o,"
		" s:I, s:I, s:I, s:I, s:s}",
		"extent", control_json_text(extent->name), "luns", control_lu_luns(conf, extent),
		"type", extent_type_name(extent->type), "path", control_json_text(extent->path),
		"group", control_json_text(conf->groups[extent->group].name), "owner",
		control_json_controller(control, known ? group.owner : 0), "size_bytes",
		(json_int_t)lu->store.size_bytes, "block_size_bytes",
		(json_int_t)extent->block_size, "physical_block_size_bytes",
		(json_int_t)extent->physical_block_size, "read_only", (int)extent->read_only,
		"direct", (int)lu->store.direct, "volatile_cache", (int)lu->store.volatile_cache,
		"unmap", (int)(lu->store.unmap && extent->thin), "naa", lu->naa, "serial",
		control_json_text(extent->serial), "reads", (json_int_t)lu->reads, "writes",
		(json_int_t)lu->writes, "read_bytes", (json_int_t)lu->read_bytes, "written_bytes",
		(json_int_t)lu->written_bytes, "write_key", extent_write_key_name(lu->write_key));
}

void control_get_lus(struct control_request *req)
{
	json_t *list = json_array();
	struct scsi_lu_info lu;

	for (unsigned i = 0; scsi_lu_info(req->control->setup.scsi, i, &lu); i++) {
		json_array_append_new(list, control_lu_json(req->control, &lu));
	}
	control_answer(req, json_pack("{s:o}", "lus", list));
}
