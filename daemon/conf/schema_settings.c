// SPDX-License-Identifier: BSD-3-Clause
/* The sections of settings: the daemon's, the iSCSI layer's, name servers. */
#include <syslog.h>

#include "schema_parts.h"
#include "yoke/buf.h"

static const struct conf_choice choices_hold_answer[] = {
	{"busy", CONF_HOLD_BUSY},
	{"transitioning", CONF_HOLD_TRANSITIONING},
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
		.flags = CONF_ONLINE,
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
			"hold_answer. One that changes something and may have been done at an "
			"owner that was lost is held until that is known.",
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
		.name = "explicit_alua",
		.type = CONF_TYPE_BOOL,
		FIELD(conf, explicit_alua),
		.initial = "no",
		.help = "With a cluster: hosts may move a group to the other controller by SET "
			"TARGET "
			"PORT GROUPS (explicit ALUA), as \"yokectl group move\" does. One host "
			"with a bad "
			"path then moves the disks of all hosts.",
	},
	{
		.name = "long_cdbs",
		.type = CONF_TYPE_BOOL,
		FIELD(conf, long_cdbs),
		.initial = "no",
		.help = "Offers commands with CDBs of 32 bytes (GET LBA STATUS(32)). Initiators "
			"whose library holds 16 bytes, such as libiscsi up to 1.19, cannot read "
			"the answer of REPORT SUPPORTED OPERATION CODES about them.",
	},
	{
		.name = "sanitize_rate",
		.type = CONF_TYPE_SIZE,
		.flags = CONF_ONLINE,
		FIELD(conf, sanitize_bytes),
		.max = 1024 * GIB,
		.initial = "0",
		.help = "How much of an LU a SANITIZE command writes in a second at most, so that "
			"the other LUs of its disk stay quick; 0 means no limit.",
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

const struct conf_section conf_section_settings = {
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
		.initial = "3s",
		.help = "A connection with a command under way is probed with a NOP-In after so "
			"long a silence; 0 means that none ever is. One without is probed less and "
			"less often, once a minute in the end (or after this time, if that is "
			"longer).",
	},
	{
		.name = "nop_timeout",
		.type = CONF_TYPE_DURATION,
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, nop_timeout_s),
		.unit = "s",
		.min = 1,
		.max = 3600,
		.initial = "3s",
		.help = "A connection whose initiator does not answer the probe for this time is "
			"closed. Both together should be shorter than the time after which hosts "
			"send commands again by another path (Linux with docs/multipath.conf: 9 "
			"s): what TCP delivers after a longer silence is carried out only when the "
			"initiator then answers a probe, so that a write that was given up does "
			"not come late.",
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
		.flags = CONF_ONLINE,
		FIELD(conf_iscsi, discovery_auth),
		CHOICES(conf_choices_auth),
		.initial = "none",
		.help = "How initiators authenticate in discovery sessions.",
	},
	{
		.name = "discovery_users",
		.type = CONF_TYPE_TEXT,
		ITEMS(conf_iscsi, discovery_users, discovery_user_count),
		.flags = CONF_SCALARS | CONF_ONLINE,
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
		.flags = CONF_SCALARS | CONF_ONLINE,
		.items_max = 4,
		.initial_help = "all of them",
		.help = "CHAP algorithms that are accepted; of those the initiator's order "
			"decides. Leave md5 and sha1 out when every host can do better.",
	},
};

const struct conf_section conf_section_iscsi = {
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

const struct conf_section conf_section_isns = {
	.name = "isns",
	.keys = keys_isns,
	.key_count = ARRAY_SIZE(keys_isns),
	.help = "Registration with iSNS name servers.",
};
