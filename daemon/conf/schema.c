// SPDX-License-Identifier: BSD-3-Clause
#include <string.h>

#include "schema_parts.h"

/* Loaded in this order: what is referred to comes before what refers to it. */
static const struct conf_key keys_file[] = {
	{
		.name = "yoke",
		.type = CONF_TYPE_VERSION,
		.flags = CONF_REQUIRED,
		.min = 1,
		.max = 1,
		.help = "Version of this format.",
	},
	{
		.name = "cluster",
		.type = CONF_TYPE_CLUSTER,
		FIELD(conf, cluster),
		.flags = CONF_REQUIRED,
		.help = "Name of the cluster, or none for a single target without Corosync. The "
			"identity of the disks is derived from it.",
	},
	{
		.name = "controllers",
		.type = CONF_TYPE_LIST,
		ITEMS(conf, controllers, controller_count),
		.section = &conf_section_controller,
		.flags = CONF_REQUIRED,
		.items_min = 1,
		.items_max = YOKE_CONTROLLERS,
		.help = "The controllers.",
	},
	{
		.name = "groups",
		.type = CONF_TYPE_LIST,
		ITEMS(conf, groups, group_count),
		.section = &conf_section_group,
		.flags = CONF_CLUSTER_REQUIRED,
		.items_max = YOKE_GROUPS_MAX,
		.help = "The groups.",
	},
	{
		.name = "extents",
		.type = CONF_TYPE_LIST,
		.flags = CONF_ONLINE,
		ITEMS(conf, extents, extent_count),
		.section = &conf_section_extent,
		.items_max = CONF_EXTENTS_MAX,
		.help = "The extents.",
	},
	{
		.name = "initiator_groups",
		.type = CONF_TYPE_LIST,
		.flags = CONF_ONLINE,
		ITEMS(conf, initiator_groups, initiator_group_count),
		.section = &conf_section_initiator_group,
		.items_max = 1024,
		.help = "The initiator groups.",
	},
	{
		.name = "targets",
		.type = CONF_TYPE_LIST,
		.flags = CONF_ONLINE,
		ITEMS(conf, targets, target_count),
		.section = &conf_section_target,
		.items_max = 1024,
		.help = "The targets.",
	},
	{
		.name = "settings",
		.type = CONF_TYPE_MAP,
		.section = &conf_section_settings,
		.help = "Settings of the daemon.",
	},
	{
		.name = "iscsi",
		.type = CONF_TYPE_MAP,
		FIELD(conf, iscsi),
		.section = &conf_section_iscsi,
		.help = "Settings of the iSCSI layer.",
	},
	{
		.name = "isns",
		.type = CONF_TYPE_MAP,
		FIELD(conf, isns),
		.section = &conf_section_isns,
		.help = "Registration with iSNS name servers.",
	},
};

const struct conf_section conf_schema = {
	.name = "file",
	.keys = keys_file,
	.key_count = ARRAY_SIZE(keys_file),
	.help = "The file.",
};

const struct conf_key *conf_schema_key(const struct conf_section *section, const char *name)
{
	for (unsigned i = 0; i < section->key_count; i++) {
		if (!strcmp(section->keys[i].name, name)) {
			return &section->keys[i];
		}
	}
	return NULL;
}
