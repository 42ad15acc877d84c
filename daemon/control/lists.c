/* SPDX-License-Identifier: BSD-3-Clause */
/* The lists: sessions and logical units. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_private.h"
#include "yoke/log.h"

static void control_session_add(const struct iscsi_session_info *info, void *arg)
{
	json_t *list = arg;
	char isid[13];

	snprintf(isid, sizeof(isid), "%02x%02x%02x%02x%02x%02x", info->isid[0], info->isid[1],
		info->isid[2], info->isid[3], info->isid[4], info->isid[5]);
	json_array_append_new(list,
		json_pack("{s:i, s:o, s:o, s:s, s:o, s:o, s:i, s:o, s:o, s:i, s:I}", "tsih",
			(int)info->tsih, "initiator", control_json_text(info->initiator), "alias",
			control_json_text(info->alias), "isid", isid, "user",
			control_json_text(info->user[0] ? info->user : NULL), "target",
			control_json_text(info->target), "connections", (int)info->connections,
			"initiator_address", control_json_text(info->initiator_address), "portal",
			control_json_text(info->portal), "reactor", (int)info->reactor,
			"since_unix_s", (json_int_t)info->since_unix_s));
}

void control_get_sessions(struct control_request *req)
{
	json_t *list = json_array();

	iscsi_sessions(req->control->setup.iscsi, control_session_add, list);
	control_answer(req, json_pack("{s:o}", "sessions", list));
}

void control_logout_session(struct control_request *req)
{
	json_int_t within_s = control_arg_integer(req, "within_s", 0);
	unsigned long tsih = 0;
	unsigned found;
	char *end;

	if (strcmp(req->name, "all") != 0) {
		tsih = strtoul(req->name, &end, 10);
		if (req->name[0] < '0' || req->name[0] > '9' || *end != '\0' || tsih == 0 ||
			tsih > UINT16_MAX) {
			control_refuse(req, CONTROL_BAD_REQUEST,
				"%s is no session; give a TSIH as `session list` shows it, or all",
				req->name);
			return;
		}
	}
	found = iscsi_session_logout(req->control->setup.iscsi, (uint16_t)tsih, (uint16_t)within_s);
	if (tsih && !found) {
		control_refuse(req, CONTROL_NO_SUCH_RESOURCE,
			"there is no session %lu at this controller", tsih);
		return;
	}
	log_notice("%u session%s asked to log out within %u s", found, found == 1 ? "" : "s",
		(unsigned)within_s);
	control_answer(req, json_pack("{s:i}", "sessions", (int)found));
}

/*
 * Under which targets and numbers hosts see each extent: a list for each, made in one walk over the
 * targets. NULL when out of memory.
 */
static json_t **control_luns(const struct conf *conf)
{
	json_t **luns = calloc(conf->extent_count + 1u, sizeof(*luns));

	for (unsigned i = 0; luns && i < conf->extent_count; i++) {
		luns[i] = json_array();
	}
	for (unsigned t = 0; luns && t < conf->target_count; t++) {
		const struct conf_target *target = &conf->targets[t];

		for (unsigned i = 0; i < target->lun_count; i++) {
			json_array_append_new(luns[target->luns[i].extent],
				json_pack("{s:o, s:i}", "target", control_json_text(target->name),
					"lun", (int)target->luns[i].lun));
		}
	}
	return luns;
}

/* `luns` is taken. */
/* An I_T nexus, as reservations name it. */
static json_t *control_nexus_json(const struct scsi_identity *who)
{
	char isid[13];

	for (unsigned i = 0; i < sizeof(who->isid); i++) {
		snprintf(isid + 2 * i, 3, "%02x", who->isid[i]);
	}
	return json_pack("{s:o, s:s, s:o, s:i}", "initiator", control_json_text(who->initiator),
		"isid", isid, "target", control_json_text(who->target), "target_port",
		(int)who->rtpi);
}

/* Who has registered and who holds what: for `yokectl lu show`. */
static json_t *control_reservations_json(
	const struct control *control, unsigned index, const struct scsi_lu_info *lu)
{
	json_t *list = json_array();
	struct scsi_lu_registrant registrant;

	for (unsigned i = 0; scsi_lu_registrant(control->setup.scsi, index, i, &registrant); i++) {
		json_t *row = control_nexus_json(registrant.who);
		char key[19];

		/* A key is a number of 64 bits, which JSON readers may not have. */
		snprintf(key, sizeof(key), "0x%016llx", (unsigned long long)registrant.key);
		json_object_set_new(row, "key", json_string(key));
		json_object_set_new(row, "holds", json_boolean(registrant.holds));
		json_array_append_new(list, row);
	}
	return json_pack("{s:i, s:I, s:b, s:s?, s:o, s:o}", "registrations", (int)lu->registrations,
		"generation", (json_int_t)lu->pr_generation, "aptpl", (int)lu->aptpl, "type",
		lu->pr_type, "registrants", list, "spc2_holder",
		lu->reserver ? control_nexus_json(lu->reserver) : json_null());
}

/* An amount of storage that the store may not tell. */
static json_t *control_amount_json(uint64_t bytes)
{
	return bytes == EXTENT_UNKNOWN ? json_null() : json_integer((json_int_t)bytes);
}

/* A threshold as the configuration has it: {"percent": 80} or {"bytes": ...}; null: none. */
static json_t *control_threshold_json(const struct conf_amount *amount)
{
	if (amount->percent) {
		return json_pack("{s:i}", "percent", (int)amount->percent);
	}
	return amount->bytes ? json_pack("{s:I}", "bytes", (json_int_t)amount->bytes) : json_null();
}

/* What the extent uses and what is left for it. */
static json_t *control_space_json(const struct scsi_lu_info *lu)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:b}", "used_bytes",
		control_amount_json(lu->used_bytes), "available_bytes",
		control_amount_json(lu->free_bytes), "threshold_used",
		control_threshold_json(&lu->extent->threshold_used), "threshold_available",
		control_threshold_json(&lu->extent->threshold_available), "threshold_reached",
		(int)lu->threshold_reached);
}

/* A sanitize operation; null: none. */
static json_t *control_sanitize_json(const struct scsi_lu_info *lu)
{
	if (!lu->sanitize.method) {
		return json_null();
	}
	return json_pack("{s:s, s:b, s:i, s:i, s:f}", "method", lu->sanitize.method, "failed",
		(int)lu->sanitize.failed, "pass", (int)lu->sanitize.pass, "passes",
		(int)lu->sanitize.passes, "percent", lu->sanitize.percent);
}

static json_t *control_lu_json(
	const struct control *control, unsigned index, const struct scsi_lu_info *lu, json_t *luns)
{
	const struct conf *conf = control->setup.conf;
	const struct conf_extent *extent = lu->extent;
	struct ha_group_info group;
	bool known = control_group_info(control, extent->group, &group);

	return json_pack(
		"{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:i, s:b, s:b, s:b,"
		" s:s, s:o, s:I, s:I, s:I, s:I, s:s, s:b, s:o, s:o, s:o}",
		"extent", control_json_text(extent->name), "comment",
		control_json_text(extent->comment), "luns", luns, "type",
		extent_type_name(extent->type), "path", control_json_text(extent->path), "group",
		control_json_text(conf->groups[extent->group].name), "owner",
		control_json_controller(control, known ? group.owner : 0), "size_bytes",
		(json_int_t)lu->store.size_bytes, "block_size_bytes",
		(json_int_t)extent->block_size, "physical_block_size_bytes",
		(json_int_t)extent->physical_block_size, "lowest_aligned_lba",
		(json_int_t)extent->lowest_aligned_lba, "read_only", (int)extent->read_only,
		"rotation_rpm", (int)extent->rotation_rpm, "direct", (int)lu->store.direct,
		"volatile_cache", (int)lu->store.volatile_cache, "unmap",
		(int)(lu->store.unmap && extent->thin), "naa", lu->naa, "serial",
		control_json_text(extent->serial), "reads", (json_int_t)lu->reads, "writes",
		(json_int_t)lu->writes, "read_bytes", (json_int_t)lu->read_bytes, "written_bytes",
		(json_int_t)lu->written_bytes, "write_key", extent_write_key_name(lu->write_key),
		"write_protected", (int)lu->write_protected, "reservations",
		control_reservations_json(control, index, lu), "space", control_space_json(lu),
		"sanitize", control_sanitize_json(lu));
}

/* LUs stand in the order of the configuration. */
void control_get_lus(struct control_request *req)
{
	struct control *control = req->control;
	json_t **luns = control_luns(control->setup.conf);
	json_t *list = json_array();
	struct scsi_lu_info lu;
	unsigned count = control->setup.conf->extent_count;
	unsigned i = 0;

	for (; luns && scsi_lu_info(control->setup.scsi, i, &lu); i++) {
		json_array_append_new(
			list, control_lu_json(control, i, &lu, i < count ? luns[i] : json_array()));
	}
	for (; luns && i < count; i++) {
		json_decref(luns[i]);
	}
	free(luns);
	control_answer(req, json_pack("{s:o}", "lus", list));
}
