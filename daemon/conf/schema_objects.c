// SPDX-License-Identifier: BSD-3-Clause
/* The sections of objects: controllers, groups, extents, initiator groups, targets. */
#include "schema_parts.h"

static const struct conf_choice choices_extent_type[] = {
	{"file", EXTENT_FILE},
	{"block", EXTENT_BLOCK},
	{"ram", EXTENT_RAM},
};

static const struct conf_choice choices_write_key[] = {
	{"auto", EXTENT_WRITE_KEY_AUTO},
	{"off", EXTENT_WRITE_KEY_OFF},
	{"required", EXTENT_WRITE_KEY_REQUIRED},
};

static const struct conf_choice choices_block_size[] = {
	{"512", 512},
	{"4096", 4096},
};

static const struct conf_choice choices_failback[] = {
	{"manual", CONF_FAILBACK_MANUAL},
	{"auto", CONF_FAILBACK_AUTO},
	{"immediate", CONF_FAILBACK_IMMEDIATE},
};

const struct conf_choice conf_choices_auth[] = {
	{"none", CONF_AUTH_NONE},
	{"chap", CONF_AUTH_CHAP},
	{"mutual", CONF_AUTH_MUTUAL},
};

static const struct conf_key keys_interface[] = {
	{
		.name = "name",
		.type = CONF_TYPE_NAME,
		FIELD(conf_interface, name),
		.flags = CONF_REQUIRED | CONF_UNIQUE,
		.help = "The interface, as `ip link` names it.",
	},
	{
		.name = "network",
		.type = CONF_TYPE_NETWORK,
		FIELD(conf_interface, network),
		.flags = CONF_REQUIRED,
		.help = "The network of the portals that it carries; its prefix length is given to "
			"their addresses.",
	},
};

static const struct conf_section section_interface = {
	.name = "controllers: interfaces",
	.keys = keys_interface,
	.key_count = ARRAY_SIZE(keys_interface),
	.label = "name",
	.help = "With `portal_adoption`: which interface of this controller carries which portals. "
		"Both controllers need one for every portal of both.",
};

static const struct conf_key keys_controller[] = {
	{
		.name = "name",
		.type = CONF_TYPE_NAME,
		FIELD(conf_controller, name),
		.flags = CONF_CLUSTER_REQUIRED | CONF_UNIQUE,
		.initial = "local",
		.help = "The node's name in Corosync and Pacemaker.",
	},
	{
		.name = "id",
		.type = CONF_TYPE_UINT,
		FIELD(conf_controller, id),
		.flags = CONF_CLUSTER_REQUIRED | CONF_UNIQUE,
		.min = 1,
		.max = YOKE_CONTROLLERS,
		.initial = "1",
		.help = "The Corosync node id. It is also the target port group and the portal "
			"group tag, so it never changes once hosts have logged in.",
	},
	{
		.name = "portals",
		.type = CONF_TYPE_ADDRESS,
		ITEMS(conf_controller, portals, portal_count),
		.flags = CONF_REQUIRED | CONF_SCALARS,
		.items_min = 1,
		.items_max = 255,
		.port = CONF_PORT_ISCSI,
		.help = "Addresses that initiators log in at. The place in the list gives the "
			"relative target port identifier (id * 256 + place, from 1): append new "
			"portals, do not reorder them.",
	},
	{
		.name = "interconnect",
		.type = CONF_TYPE_ADDRESS,
		FIELD(conf_controller, interconnect),
		.flags = CONF_CLUSTER_REQUIRED,
		.port = CONF_PORT_INTERCONNECT,
		.help = "Address on the private link between the controllers. Only with a cluster.",
	},
	{
		.name = "interfaces",
		.type = CONF_TYPE_LIST,
		ITEMS(conf_controller, interfaces, interface_count),
		.section = &section_interface,
		.items_max = 255,
		.help = "Network interfaces for the portals; needed by `portal_adoption`.",
	},
};

const struct conf_section conf_section_controller = {
	.name = "controllers",
	.keys = keys_controller,
	.key_count = ARRAY_SIZE(keys_controller),
	.label = "name",
	.help = "The controllers: two with a cluster, one without.",
};

static const struct conf_key keys_group[] = {
	{
		.name = "name",
		.type = CONF_TYPE_NAME,
		FIELD(conf_group, name),
		.flags = CONF_REQUIRED | CONF_UNIQUE,
		.help = "The group's name; its Pacemaker resource refers to it.",
	},
	{
		.name = "home",
		.type = CONF_TYPE_REF,
		FIELD(conf_group, home),
		.ref = CONF_REF_CONTROLLER,
		.flags = CONF_REQUIRED,
		.help = "The controller that owns the group when all is well.",
	},
	{
		.name = "failback",
		.type = CONF_TYPE_CHOICE,
		.flags = CONF_ONLINE,
		FIELD(conf_group, failback),
		CHOICES(choices_failback),
		.initial = "manual",
		.help = "Whether the group returns to its home by itself: with auto when hosts "
			"have been "
			"logged in there for failback_delay, with immediate as soon as home is in "
			"sync; "
			"with manual it waits for \"yokectl group move\". After the first move "
			"within an "
			"hour that nobody asked for, each further one doubles the time before the "
			"next "
			"return, up to an hour.",
	},
	{
		.name = "failback_delay",
		.type = CONF_TYPE_DURATION,
		.flags = CONF_ONLINE,
		FIELD(conf_group, failback_delay_s),
		.unit = "s",
		.max = 86400,
		.initial = "60s",
		.help = "With failback auto: home has been in sync and had hosts logged in for "
			"that long before the group returns.",
	},
};

const struct conf_section conf_section_group = {
	.name = "groups",
	.keys = keys_group,
	.key_count = ARRAY_SIZE(keys_group),
	.label = "name",
	.help = "Groups of logical units that move together from one controller to the other. "
		"Without a cluster they may be left out: everything is then in one group, local.",
};

static const struct conf_key keys_extent[] = {
	{
		.name = "name",
		.type = CONF_TYPE_NAME,
		FIELD(conf_extent, name),
		.flags = CONF_REQUIRED | CONF_UNIQUE,
		.help = "The extent's name. The identity that hosts see is derived from it unless "
			"uuid is given: renaming an extent makes it another disk.",
	},
	{
		.name = "type",
		.type = CONF_TYPE_CHOICE,
		FIELD(conf_extent, type),
		CHOICES(choices_extent_type),
		.flags = CONF_REQUIRED | CONF_RENEW,
		.help = "What stores the data. ram is lost at a restart and not allowed with a "
			"cluster.",
	},
	{
		.name = "path",
		.type = CONF_TYPE_PATH,
		FIELD(conf_extent, path),
		.flags = CONF_UNIQUE | CONF_RENEW,
		.help = "The file or the block device, the same at both controllers: use a "
			"/dev/disk/by-id name for a device. Required but for ram.",
	},
	{
		.name = "size",
		.type = CONF_TYPE_SIZE,
		FIELD(conf_extent, size_bytes),
		.flags = CONF_ZERO_ABSENT | CONF_ONLINE,
		.min = 64 * KIB,
		.max = 8192 * TIB,
		.step = 512,
		.initial_help = "as large as the file is",
		.help = "Size of a file, which is created or extended to it, or of ram (required). "
			"Not for block devices.",
	},
	{
		.name = "block_size",
		.type = CONF_TYPE_CHOICE,
		.flags = CONF_RENEW,
		FIELD(conf_extent, block_size),
		CHOICES(choices_block_size),
		.initial = "512",
		.help = "Logical block size in bytes. It never changes once there are data.",
	},
	{
		.name = "physical_block_size",
		.type = CONF_TYPE_UINT,
		.flags = CONF_RENEW,
		FIELD(conf_extent, physical_block_size),
		.min = 512,
		.max = 65536,
		.step = 512,
		.initial_help = "4096",
		.help = "Physical block size in bytes that hosts are told: a power of two, at "
			"least block_size.",
	},
	{
		.name = "lowest_aligned_lba",
		.type = CONF_TYPE_UINT,
		.flags = CONF_RENEW,
		FIELD(conf_extent, lowest_aligned_lba),
		.max = 127,
		.initial = "0",
		.help = "The first logical block that begins a physical one, for a store that is "
			"not aligned itself; less than physical_block_size / block_size.",
	},
	{
		.name = "read_only",
		.type = CONF_TYPE_BOOL,
		.flags = CONF_RENEW,
		FIELD(conf_extent, read_only),
		.initial = "no",
		.help = "Refuse writes; the store is opened for reading only.",
	},
	{
		.name = "rotation_rpm",
		.type = CONF_TYPE_UINT,
		.flags = CONF_RENEW,
		FIELD(conf_extent, rotation_rpm),
		.max = 65534,
		.initial = "0",
		.help = "Medium rotation rate that hosts are told: 0 not reported, 1 solid state, "
			"1025 to 65534 revolutions a minute.",
	},
	{
		.name = "uuid",
		.type = CONF_TYPE_UUID,
		FIELD(conf_extent, uuid),
		.flags = CONF_UNIQUE | CONF_RENEW,
		.initial_help =
			"derived from the name of the cluster (without one: of the first target "
			"that has the extent) and the extent's name",
		.help = "Identity of the disk: the NAA designator and the default serial number "
			"follow from it.",
	},
	{
		.name = "naa",
		.type = CONF_TYPE_NAA,
		FIELD(conf_extent, naa),
		.flags = CONF_UNIQUE | CONF_RENEW,
		.initial_help = "made of uuid",
		.help = "Device identification designator (VPD page 83h) in place of the one made "
			"of uuid, for a disk that comes from another array: hosts keep its name.",
	},
	{
		.name = "serial",
		.type = CONF_TYPE_TEXT,
		FIELD(conf_extent, serial),
		.flags = CONF_UNIQUE | CONF_RENEW,
		.min = 1,
		.max = 64,
		.initial_help = "the 32 hexadecimal digits of uuid",
		.help = "Unit serial number (VPD page 80h).",
	},
	{
		.name = "group",
		.type = CONF_TYPE_REF,
		.flags = CONF_RENEW,
		FIELD(conf_extent, group),
		.ref = CONF_REF_GROUP,
		.initial_help = "the only group",
		.help = "The group that the extent belongs to. Required when there are several.",
	},
	{
		.name = "thin",
		.type = CONF_TYPE_BOOL,
		.flags = CONF_RENEW,
		FIELD(conf_extent, thin),
		.initial = "yes",
		.help = "Offer UNMAP where the store can do it.",
	},
	{
		.name = "threshold_used",
		.type = CONF_TYPE_AMOUNT,
		.flags = CONF_ONLINE,
		FIELD(conf_extent, threshold_used),
		.min = MIB,
		.max = 8192 * TIB,
		.help = "Warn hosts (unit attention 38h/07h) and the log when a thin extent uses "
			"so "
			"much storage, or so many percent of its size. Not for block devices.",
	},
	{
		.name = "threshold_available",
		.type = CONF_TYPE_AMOUNT,
		.flags = CONF_ONLINE,
		FIELD(conf_extent, threshold_available),
		.min = MIB,
		.max = 8192 * TIB,
		.help = "The same when no more than that is left in the file system below a thin "
			"extent of type file: its writes fail when nothing is left.",
	},
	{
		.name = "write_key",
		.type = CONF_TYPE_CHOICE,
		.flags = CONF_RENEW,
		FIELD(conf_extent, write_key),
		CHOICES(choices_write_key),
		.initial = "auto",
		.help = "With a cluster: a persistent reservation of the owner on the disk itself, "
			"which refuses the writes of a controller that has lost the group. auto "
			"uses it where the disk can do it, off relies on fencing alone, required "
			"does not serve the extent without it. Off for disks that other software "
			"reserves.",
	},
	{
		.name = "direct",
		.type = CONF_TYPE_BOOL,
		.flags = CONF_RENEW,
		FIELD(conf_extent, direct),
		.initial = "no",
		.help = "Without a cluster: go past the page cache (O_DIRECT); a file or device "
			"that cannot is refused. With a cluster every extent does, where it can.",
	},
	{
		.name = "comment",
		.type = CONF_TYPE_TEXT,
		.flags = CONF_ONLINE,
		FIELD(conf_extent, comment),
		.min = 1,
		.max = 255,
		.help = "A note for people, shown by \"yokectl lu list\". Hosts do not see it.",
	},
};

const struct conf_section conf_section_extent = {
	.name = "extents",
	.keys = keys_extent,
	.key_count = ARRAY_SIZE(keys_extent),
	.label = "name",
	.help = "The stores behind the logical units.",
};

static const struct conf_key keys_initiator_group[] = {
	{
		.name = "name",
		.type = CONF_TYPE_NAME,
		FIELD(conf_initiator_group, name),
		.flags = CONF_REQUIRED | CONF_UNIQUE,
		.help = "The initiator group's name.",
	},
	{
		.name = "initiators",
		.type = CONF_TYPE_ISCSI_NAME,
		ITEMS(conf_initiator_group, initiators, initiator_count),
		.flags = CONF_SCALARS | CONF_ONLINE,
		.items_max = 4096,
		.help = "iSCSI names of the initiators; none means every name.",
	},
	{
		.name = "networks",
		.type = CONF_TYPE_NETWORK,
		ITEMS(conf_initiator_group, networks, network_count),
		.flags = CONF_SCALARS | CONF_ONLINE,
		.items_max = 256,
		.help = "Networks that the initiators log in from; none means every address. A "
			"member's name and address both have to fit.",
	},
	{
		.name = "auth",
		.type = CONF_TYPE_CHOICE,
		.flags = CONF_ONLINE,
		FIELD(conf_initiator_group, auth),
		CHOICES(conf_choices_auth),
		.initial = "none",
		.help = "How members authenticate at a login: not at all, with CHAP, or with "
			"mutual CHAP, where the target proves itself, too. Of several groups of a "
			"target the first that an initiator is a member of decides.",
	},
	{
		.name = "users",
		.type = CONF_TYPE_TEXT,
		ITEMS(conf_initiator_group, users, user_count),
		.flags = CONF_SCALARS | CONF_ONLINE,
		.items_max = 1024,
		.min = 1,
		.max = 255,
		.help = "CHAP names that members may authenticate with, from the secrets file. "
			"Required with auth chap and mutual.",
	},
};

const struct conf_section conf_section_initiator_group = {
	.name = "initiator_groups",
	.keys = keys_initiator_group,
	.key_count = ARRAY_SIZE(keys_initiator_group),
	.label = "name",
	.help = "Sets of initiators that targets admit.",
};

static const struct conf_key keys_lun[] = {
	{
		.name = "lun",
		.type = CONF_TYPE_UINT,
		FIELD(conf_lun, lun),
		.flags = CONF_REQUIRED | CONF_UNIQUE,
		.max = 16383,
		.help = "The logical unit number.",
	},
	{
		.name = "extent",
		.type = CONF_TYPE_REF,
		FIELD(conf_lun, extent),
		.ref = CONF_REF_EXTENT,
		.flags = CONF_REQUIRED | CONF_UNIQUE | CONF_RENEW,
		.help = "The extent behind it.",
	},
};

static const struct conf_section section_lun = {
	.name = "targets: luns",
	.keys = keys_lun,
	.key_count = ARRAY_SIZE(keys_lun),
	.label = "lun",
	.help = "The logical units of a target.",
};

static const struct conf_key keys_target[] = {
	{
		.name = "name",
		.type = CONF_TYPE_ISCSI_NAME,
		FIELD(conf_target, name),
		.flags = CONF_REQUIRED | CONF_UNIQUE,
		.help = "The target's iSCSI name, the same at both controllers. Kept in lower case "
			"(RFC 3722).",
	},
	{
		.name = "alias",
		.type = CONF_TYPE_TEXT,
		.flags = CONF_ONLINE,
		FIELD(conf_target, alias),
		.min = 1,
		.max = 255,
		.help = "A name for people (TargetAlias).",
	},
	{
		.name = "luns",
		.type = CONF_TYPE_LIST,
		.flags = CONF_ONLINE,
		ITEMS(conf_target, luns, lun_count),
		.section = &section_lun,
		.items_max = 16384,
		.help = "The logical units.",
	},
	{
		.name = "initiator_groups",
		.type = CONF_TYPE_REF,
		ITEMS(conf_target, initiator_groups, initiator_group_count),
		.ref = CONF_REF_INITIATOR_GROUP,
		.flags = CONF_SCALARS | CONF_ONLINE,
		.items_max = 1024,
		.help = "Who may log in; without this key every initiator may.",
	},
	{
		.name = "redirect",
		.type = CONF_TYPE_ADDRESS,
		FIELD(conf_target, redirect),
		.port = CONF_PORT_ISCSI,
		.help = "The target has moved: initiators that log in here are sent to the portal "
			"of this address.",
	},
	{
		.name = "redirect_permanent",
		.type = CONF_TYPE_BOOL,
		FIELD(conf_target, redirect_permanent),
		.initial = "no",
		.help = "With redirect: initiators may remember the new address for good.",
	},
};

const struct conf_section conf_section_target = {
	.name = "targets",
	.keys = keys_target,
	.key_count = ARRAY_SIZE(keys_target),
	.label = "name",
	.help = "The iSCSI targets.",
};
