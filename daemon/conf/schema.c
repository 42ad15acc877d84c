// SPDX-License-Identifier: BSD-3-Clause
#include <string.h>
#include <syslog.h>

#include "schema.h"
#include "yoke/buf.h"
#include "yoke/util.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

#define FIELD(object, member) \
	.offset = offsetof(struct object, member), .size = sizeof(((struct object *)0)->member)

#define ITEMS(object, member, number)                                                             \
	.offset = offsetof(struct object, member), .size = sizeof(*((struct object *)0)->member), \
	.count = offsetof(struct object, number)

#define CHOICES(table) .choices = table, .choice_count = ARRAY_SIZE(table)

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
};

static const struct conf_choice choices_hold_answer[] = {
	{"busy", CONF_HOLD_BUSY},
	{"transitioning", CONF_HOLD_TRANSITIONING},
};

static const struct conf_choice choices_auth[] = {
	{"none", CONF_AUTH_NONE},
	{"chap", CONF_AUTH_CHAP},
	{"mutual", CONF_AUTH_MUTUAL},
};

static const struct conf_choice choices_chap_algorithm[] = {
	{"sha3-256", CONF_CHAP_SHA3_256},
	{"sha256", CONF_CHAP_SHA256},
	{"sha1", CONF_CHAP_SHA1},
	{"md5", CONF_CHAP_MD5},
};

static const struct conf_choice choices_log_level[] = {
	{"err", LOG_ERR},
	{"warning", LOG_WARNING},
	{"notice", LOG_NOTICE},
	{"info", LOG_INFO},
	{"debug", LOG_DEBUG},
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

static const struct conf_section section_controller = {
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
		.help = "Whether the group returns to its home by itself (auto) or waits for "
			"\"yokectl group move\" (manual).",
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

static const struct conf_section section_group = {
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

static const struct conf_section section_extent = {
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
		FIELD(conf_initiator_group, auth),
		CHOICES(choices_auth),
		.initial = "none",
		.help = "How members authenticate at a login: not at all, with CHAP, or with "
			"mutual CHAP, where the target proves itself, too. Of several groups of a "
			"target the first that an initiator is a member of decides.",
	},
	{
		.name = "users",
		.type = CONF_TYPE_TEXT,
		ITEMS(conf_initiator_group, users, user_count),
		.flags = CONF_SCALARS,
		.items_max = 1024,
		.min = 1,
		.max = 255,
		.help = "CHAP names that members may authenticate with, from the secrets file. "
			"Required with auth chap and mutual.",
	},
};

static const struct conf_section section_initiator_group = {
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

static const struct conf_section section_target = {
	.name = "targets",
	.keys = keys_target,
	.key_count = ARRAY_SIZE(keys_target),
	.label = "name",
	.help = "The iSCSI targets.",
};

static const struct conf_key keys_settings[] = {
	{
		.name = "reactors",
		.type = CONF_TYPE_UINT,
		FIELD(conf, reactors),
		.max = 256,
		.initial = "0",
		.help = "Threads that serve connections; 0 means one for each core.",
	},
	{
		.name = "spin",
		.type = CONF_TYPE_DURATION,
		FIELD(conf, spin_us),
		.unit = "us",
		.max = 1000000,
		.initial = "0",
		.help = "How long a reactor stays awake after its last work before it sleeps: less "
			"latency for more processor time.",
	},
	{
		.name = "buffers",
		.type = CONF_TYPE_SIZE,
		FIELD(conf, buffer_bytes),
		.min = 4 * (uint64_t)BUF_MAX_BYTES,
		.max = 64 * GIB,
		.step = MIB,
		.initial = "256MiB",
		.help = "Limit of the data buffers of each reactor. Commands wait for buffers "
			"beyond it.",
	},
	{
		.name = "state_dir",
		.type = CONF_TYPE_PATH,
		FIELD(conf, state_dir),
		.initial = YOKE_STATEDIR,
		.help = "Directory for epochs and other state that survives a restart.",
	},
	{
		.name = "socket",
		.type = CONF_TYPE_PATH,
		FIELD(conf, socket_path),
		.max = 107,
		.initial = YOKE_RUNDIR "/yoked.sock",
		.help = "The management socket.",
	},
	{
		.name = "interconnect_key",
		.type = CONF_TYPE_PATH,
		FIELD(conf, interconnect_key_path),
		.initial = YOKE_SYSCONFDIR "/yoke/interconnect.key",
		.help = "File with the key that the controllers share, readable by the daemon "
			"only.",
	},
	{
		.name = "secrets",
		.type = CONF_TYPE_PATH,
		FIELD(conf, secrets_path),
		.help = "File with the CHAP names and secrets, such as " YOKE_SYSCONFDIR
			"/yoke/secrets.yaml, mode 0600, the same at both controllers. Required as "
			"soon as anybody has to authenticate.",
	},
	{
		.name = "log_level",
		.type = CONF_TYPE_CHOICE,
		.flags = CONF_ONLINE,
		FIELD(conf, log_level),
		CHOICES(choices_log_level),
		.initial = "info",
		.help = "Least severe message that is logged.",
	},
	{
		.name = "hold_limit",
		.type = CONF_TYPE_DURATION,
		.flags = CONF_ONLINE,
		FIELD(conf, hold_limit_ms),
		.unit = "ms",
		.min = 100,
		.max = 60000,
		.initial = "1500ms",
		.help = "How long a command is held while its group has no owner; then "
			"hold_answer.",
	},
	{
		.name = "hold_answer",
		.type = CONF_TYPE_CHOICE,
		.flags = CONF_ONLINE,
		FIELD(conf, hold_answer),
		CHOICES(choices_hold_answer),
		.initial = "busy",
		.help = "What a command gets past hold_limit: the status BUSY, or the sense "
			"\"asymmetric access state transition\", at which old hosts fail the path.",
	},
	{
		.name = "portal_adoption",
		.type = CONF_TYPE_BOOL,
		FIELD(conf, portal_adoption),
		.initial = "no",
		.help = "With a cluster: yoked itself puts the addresses of its portals on this "
			"controller's interfaces, and takes those of the other controller when "
			"that has been fenced or shut down, so that hosts find their portals again "
			"within seconds. Nothing else on the machines may configure these "
			"addresses.",
	},
	{
		.name = "handover_timeout",
		.type = CONF_TYPE_DURATION,
		.flags = CONF_ONLINE,
		FIELD(conf, handover_timeout_ms),
		.unit = "ms",
		.min = 500,
		.max = 120000,
		.initial = "10s",
		.help = "A planned move that has not been committed after this time is rolled "
			"back.",
	},
	{
		.name = "vendor",
		.type = CONF_TYPE_TEXT,
		FIELD(conf, vendor),
		.min = 1,
		.max = 8,
		.initial = "YOKE",
		.help = "T10 vendor identification in INQUIRY data. Hosts' settings depend on it.",
	},
	{
		.name = "product",
		.type = CONF_TYPE_TEXT,
		FIELD(conf, product),
		.min = 1,
		.max = 16,
		.initial = "VIRTUAL-DISK",
		.help = "Product identification in INQUIRY data.",
	},
};

static const struct conf_section section_settings = {
	.name = "settings",
	.keys = keys_settings,
	.key_count = ARRAY_SIZE(keys_settings),
	.help = "Settings of the daemon.",
};

static const struct conf_key keys_iscsi[] = {
	{
		.name = "max_recv_data_segment",
		.type = CONF_TYPE_SIZE,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, max_recv_data_segment_bytes),
		.min = 8 * KIB,
		.max = BUF_MAX_BYTES,
		.step = 512,
		.initial = "1MiB",
		.help = "MaxRecvDataSegmentLength that we declare.",
	},
	{
		.name = "max_burst",
		.type = CONF_TYPE_SIZE,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, max_burst_bytes),
		.min = 8 * KIB,
		.max = BUF_MAX_BYTES,
		.step = 512,
		.initial = "8MiB",
		.help = "MaxBurstLength: our side of the smaller of two.",
	},
	{
		.name = "first_burst",
		.type = CONF_TYPE_SIZE,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, first_burst_bytes),
		.min = 512,
		.max = BUF_MAX_BYTES,
		.step = 512,
		.initial = "256KiB",
		.help = "FirstBurstLength, at most max_burst: unsolicited data of one command.",
	},
	{
		.name = "max_outstanding_r2t",
		.type = CONF_TYPE_UINT,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, max_outstanding_r2t),
		.min = 1,
		.max = 64,
		.initial = "1",
		.help = "MaxOutstandingR2T: our side of the smaller of two.",
	},
	{
		.name = "command_window",
		.type = CONF_TYPE_UINT,
		FIELD(conf_iscsi, command_window),
		.min = 1,
		.max = 1024,
		.initial = "128",
		.help = "Commands in flight in each session.",
	},
	{
		.name = "max_connections",
		.type = CONF_TYPE_UINT,
		FIELD(conf_iscsi, max_connections),
		.min = 1,
		.max = 32,
		.initial = "4",
		.help = "MaxConnections: connections in each session. Linux and ESXi use one and "
			"several sessions.",
	},
	{
		.name = "initial_r2t",
		.type = CONF_TYPE_BOOL,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, initial_r2t),
		.initial = "no",
		.help = "InitialR2T: yes forbids unsolicited Data-Out.",
	},
	{
		.name = "immediate_data",
		.type = CONF_TYPE_BOOL,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, immediate_data),
		.initial = "yes",
		.help = "ImmediateData: accept data that come with the command.",
	},
	{
		.name = "header_digest",
		.type = CONF_TYPE_BOOL,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, header_digest),
		.initial = "yes",
		.help = "Agree to CRC32C header digests when the initiator offers them.",
	},
	{
		.name = "data_digest",
		.type = CONF_TYPE_BOOL,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, data_digest),
		.initial = "yes",
		.help = "Agree to CRC32C data digests when the initiator offers them.",
	},
	{
		.name = "nop_interval",
		.type = CONF_TYPE_DURATION,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, nop_interval_s),
		.unit = "s",
		.max = 3600,
		.initial = "10s",
		.help = "An idle connection is probed with a NOP-In after this time; 0 means "
			"never.",
	},
	{
		.name = "nop_timeout",
		.type = CONF_TYPE_DURATION,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, nop_timeout_s),
		.unit = "s",
		.min = 1,
		.max = 3600,
		.initial = "10s",
		.help = "A connection whose initiator does not answer the probe for this time is "
			"closed.",
	},
	{
		.name = "login_timeout",
		.type = CONF_TYPE_DURATION,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, login_timeout_s),
		.unit = "s",
		.min = 1,
		.max = 300,
		.initial = "15s",
		.help = "A connection that has not finished its login after this time is closed.",
	},
	{
		.name = "connections_max",
		.type = CONF_TYPE_UINT,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, connections_max),
		.min = 1,
		.max = 65535,
		.initial = "4096",
		.help = "Connections that a controller accepts, over all portals.",
	},
	{
		.name = "discovery_auth",
		.type = CONF_TYPE_CHOICE,
		FIELD(conf_iscsi, discovery_auth),
		CHOICES(choices_auth),
		.initial = "none",
		.help = "How initiators authenticate in discovery sessions.",
	},
	{
		.name = "discovery_users",
		.type = CONF_TYPE_TEXT,
		ITEMS(conf_iscsi, discovery_users, discovery_user_count),
		.flags = CONF_SCALARS,
		.items_max = 1024,
		.min = 1,
		.max = 255,
		.help = "CHAP names that may discover, from the secrets file. Required with "
			"discovery_auth chap and mutual.",
	},
	{
		.name = "chap_algorithms",
		.type = CONF_TYPE_CHOICE,
		ITEMS(conf_iscsi, chap_algorithms, chap_algorithm_count),
		CHOICES(choices_chap_algorithm),
		.flags = CONF_SCALARS,
		.items_max = 4,
		.initial_help = "all of them",
		.help = "CHAP algorithms that are accepted; of those the initiator's order "
			"decides. Leave md5 and sha1 out when every host can do better.",
	},
};

static const struct conf_section section_iscsi = {
	.name = "iscsi",
	.keys = keys_iscsi,
	.key_count = ARRAY_SIZE(keys_iscsi),
	.help = "What we offer in iSCSI negotiation, and its timers.",
};

static const struct conf_key keys_isns[] = {
	{
		.name = "servers",
		.type = CONF_TYPE_ADDRESS,
		ITEMS(conf_isns, servers, server_count),
		.flags = CONF_SCALARS,
		.items_max = 8,
		.port = CONF_PORT_ISNS,
		.help = "The iSNS servers; each is told everything. Without this key there are "
			"none.",
	},
	{
		.name = "entity",
		.type = CONF_TYPE_TEXT,
		FIELD(conf_isns, entity),
		.min = 1,
		.max = 223,
		.initial_help = "the first target's name",
		.help = "Entity identifier: what the servers call this array, both controllers "
			"together.",
	},
	{
		.name = "registration_period",
		.type = CONF_TYPE_DURATION,
		FIELD(conf_isns, period_s),
		.unit = "s",
		.min = 10,
		.max = 86400,
		.initial = "10min",
		.help = "How long a registration is to last when nothing renews it. The server "
			"decides; it is renewed long before.",
	},
	{
		.name = "status_inquiry",
		.type = CONF_TYPE_DURATION,
		FIELD(conf_isns, esi_interval_s),
		.unit = "s",
		.max = 3600,
		.initial = "60s",
		.help = "How often a server is to ask whether the portals are still there (ESI), "
			"so that those of a dead controller vanish; 0 means never. The server "
			"decides.",
	},
};

static const struct conf_section section_isns = {
	.name = "isns",
	.keys = keys_isns,
	.key_count = ARRAY_SIZE(keys_isns),
	.help = "Registration with iSNS name servers.",
};

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
		.section = &section_controller,
		.flags = CONF_REQUIRED,
		.items_min = 1,
		.items_max = YOKE_CONTROLLERS,
		.help = "The controllers.",
	},
	{
		.name = "groups",
		.type = CONF_TYPE_LIST,
		ITEMS(conf, groups, group_count),
		.section = &section_group,
		.flags = CONF_CLUSTER_REQUIRED,
		.items_max = YOKE_GROUPS_MAX,
		.help = "The groups.",
	},
	{
		.name = "extents",
		.type = CONF_TYPE_LIST,
		.flags = CONF_ONLINE,
		ITEMS(conf, extents, extent_count),
		.section = &section_extent,
		.items_max = CONF_EXTENTS_MAX,
		.help = "The extents.",
	},
	{
		.name = "initiator_groups",
		.type = CONF_TYPE_LIST,
		.flags = CONF_ONLINE,
		ITEMS(conf, initiator_groups, initiator_group_count),
		.section = &section_initiator_group,
		.items_max = 1024,
		.help = "The initiator groups.",
	},
	{
		.name = "targets",
		.type = CONF_TYPE_LIST,
		.flags = CONF_ONLINE,
		ITEMS(conf, targets, target_count),
		.section = &section_target,
		.items_max = 1024,
		.help = "The targets.",
	},
	{
		.name = "settings",
		.type = CONF_TYPE_MAP,
		.section = &section_settings,
		.help = "Settings of the daemon.",
	},
	{
		.name = "iscsi",
		.type = CONF_TYPE_MAP,
		FIELD(conf, iscsi),
		.section = &section_iscsi,
		.help = "Settings of the iSCSI layer.",
	},
	{
		.name = "isns",
		.type = CONF_TYPE_MAP,
		FIELD(conf, isns),
		.section = &section_isns,
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
