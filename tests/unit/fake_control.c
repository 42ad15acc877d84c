/* SPDX-License-Identifier: BSD-3-Clause */
/* Fakes of ha, scsi, iscsi and log: they answer what the test has put into `fake`. */
#include "fake_control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "yoke/log.h"

struct fake fake;

static struct conf_controller fake_controllers[] = {{.name = "a", .id = 1}, {.name = "b", .id = 2}};
static struct conf_group fake_groups[FAKE_GROUPS] = {
	{.name = "g1", .home = 1},
	{.name = "g2", .home = 2, .failback = CONF_FAILBACK_AUTO, .failback_delay_s = 60},
};
static struct conf_extent fake_extents[] = {
	{.name = "disk1",
		.type = EXTENT_FILE,
		.path = "/srv/disk1",
		.block_size = 512,
		.serial = "S1"},
	{.name = "disk2",
		.type = EXTENT_RAM,
		.block_size = 4096,
		.serial = "S2",
		.group = 1,
		.thin = true,
		.threshold_used = {.percent = 80}},
};
static struct conf_lun fake_luns[] = {{.lun = 0, .extent = 0}, {.lun = 5, .extent = 1}};
static struct conf_target fake_targets[] = {
	{.name = "iqn.2026-01.org.example:array1", .luns = fake_luns, .lun_count = 2},
};

const struct conf *fake_conf(const char *socket_path, bool clustered)
{
	static struct conf conf;

	conf = (struct conf){
		.path = "/etc/yoke/yoke.yaml",
		.cluster = clustered ? "lab" : NULL,
		.socket_path = socket_path,
		.controllers = fake_controllers,
		.controller_count = clustered ? 2 : 1,
		.groups = fake_groups,
		.group_count = FAKE_GROUPS,
		.extents = fake_extents,
		.extent_count = 2,
		.targets = fake_targets,
		.target_count = 1,
		.digest = {0xab, 0xcd},
	};
	return &conf;
}

void fake_reset(void)
{
	fake = (struct fake){
		.status = {.quorate = true,
			.in_sync = true,
			.peer_member = true,
			.link_up = true,
			.incarnation = 7},
		.healthy = true,
		.sessions = 2,
		.lus = 2,
		.result = HA_OK,
		.message = "",
		.log_level = -1,
	};
	for (unsigned i = 0; i < FAKE_GROUPS; i++) {
		fake.groups[i] = (struct ha_group_info){
			.conf = &fake_groups[i],
			.role = i == 0 ? HA_ROLE_PROMOTED : HA_ROLE_UNPROMOTED,
			.owner = (uint8_t)(i + 1),
			.preferred = (uint8_t)(i + 1),
			.epoch = 10 + i,
			.phase = "serving",
			.access = i == 0 ? GROUP_LOCAL : GROUP_REMOTE,
			.score = i == 0 ? 1000 : 500,
			.moves = i,
			.failback_in_s = i == 0 ? -1 : 45,
			.table = 3,
		};
		fake.groups[i].tpg[1] = i == 0 ? ALUA_OPTIMIZED : ALUA_NON_OPTIMIZED;
		fake.groups[i].tpg[2] = i == 0 ? ALUA_NON_OPTIMIZED : ALUA_OPTIMIZED;
	}
	fake.groups[0].last_move_kind = "handover";
	fake.groups[0].last_move_unix_s = 1700000000;
	fake.groups[0].last_move_held_ms = 12;
}

/* ----- ha ------------------------------------------------------------------------------------ */

const char *ha_result_name(enum ha_result result)
{
	static const char *const names[] = {"ok", "failed", "not-in-sync", "no-quorum", "timeout",
		"no-peer", "busy", "unknown"};

	return names[result];
}

const char *ha_role_name(enum ha_role role)
{
	static const char *const names[] = {"stopped", "unpromoted", "promoted", "failed"};

	return names[role];
}

static void fake_action(
	const char *action, const char *group, const char *argument, ha_done_fn *done, void *arg)
{
	fake.actions++;
	fake.action = action;
	snprintf(fake.group, sizeof(fake.group), "%s", group);
	snprintf(fake.argument, sizeof(fake.argument), "%s", argument);
	if (fake.hold_actions) {
		fake.held_done = done;
		fake.held_arg = arg;
	} else {
		done(arg, fake.result, fake.message);
	}
}

void fake_action_end(enum ha_result result, const char *message)
{
	ha_done_fn *done = fake.held_done;

	fake.held_done = NULL;
	done(fake.held_arg, result, message);
}

void ha_group_start(
	struct ha *ha, const char *group, const char *resource, ha_done_fn *done, void *arg)
{
	fake_action("start", group, resource, done, arg);
}

void ha_group_stop(struct ha *ha, const char *group, ha_done_fn *done, void *arg)
{
	fake_action("stop", group, "", done, arg);
}

void ha_group_promote(struct ha *ha, const char *group, ha_done_fn *done, void *arg)
{
	fake_action("promote", group, "", done, arg);
}

void ha_group_demote(struct ha *ha, const char *group, ha_done_fn *done, void *arg)
{
	fake_action("demote", group, "", done, arg);
}

void ha_group_move(struct ha *ha, const char *group, const char *controller, unsigned timeout_ms,
	ha_done_fn *done, void *arg)
{
	fake.timeout_ms = timeout_ms;
	fake_action("move", group, controller, done, arg);
}

void ha_drill(struct ha *ha, unsigned seconds)
{
	fake.drills++;
	fake.drill_seconds = seconds;
}

void scsi_probe(
	struct scsi *scsi, const uint8_t lu[16], void (*done)(void *arg, int result), void *arg)
{
	fake.probes++;
	done(arg, fake.probe_result);
}

bool ha_group_info(struct ha *ha, unsigned index, struct ha_group_info *info)
{
	if (index >= FAKE_GROUPS) {
		return false;
	}
	*info = fake.groups[index];
	return true;
}

void ha_status(struct ha *ha, struct ha_status *status)
{
	*status = fake.status;
}

void ship_stats(struct ship *ship, struct ship_stats *stats)
{
	*stats =
		(struct ship_stats){.commands_out = 11, .commands_in = 22, .bytes_out = 1ull << 40};
}

/* ----- scsi, iscsi --------------------------------------------------------------------------- */

static bool fake_healthy(void *ctx, uint16_t group)
{
	return fake.healthy;
}

const struct group_serve *scsi_serve(struct scsi *scsi)
{
	static const struct group_serve serve = {.healthy = fake_healthy};

	return &serve;
}

static const struct scsi_identity fake_who = {.initiator = "iqn.1993-08.org.debian:01:host1",
	.isid = {0x80, 0x12, 0x34, 0x56, 0x78, 0x9a},
	.target = "iqn.2026-01.org.example:array1",
	.rtpi = 0x201,
	.controller = 2};

bool scsi_lu_info(struct scsi *scsi, unsigned index, struct scsi_lu_info *info)
{
	if (index >= fake.lus) {
		return false;
	}
	*info = (struct scsi_lu_info){
		.extent = &fake_extents[index % 2],
		.store = {.size_bytes = 1ull << 33, .direct = true, .unmap = true},
		.write_key = EXTENT_WRITE_KEY_HELD,
		.naa = "6001405aaaaaaaaaaaaaaaaaaaaaaaaa",
		.used_bytes = index == 1 ? 3ull << 30 : EXTENT_UNKNOWN,
		.free_bytes = EXTENT_UNKNOWN,
		.threshold_reached = index == 1,
		.reads = 1,
		.writes = 2,
		.read_bytes = 512,
		.written_bytes = 1024,
		.registrations = index == 1 ? 2 : 0,
		.pr_generation = index == 1 ? 7 : 0,
		.aptpl = index == 1,
		.pr_type = index == 1 ? "write exclusive" : NULL,
		.reserver = index == 2 ? &fake_who : NULL,
		.write_protected = index == 2,
	};
	if (index == 1) {
		info->sanitize.method = "overwrite";
		info->sanitize.failed = fake.sanitize_failed;
		info->sanitize.pass = 2;
		info->sanitize.passes = 3;
		info->sanitize.percent = 41.9;
	}
	return true;
}

bool scsi_lu_registrant(
	struct scsi *scsi, unsigned index, unsigned n, struct scsi_lu_registrant *registrant)
{
	*registrant = (struct scsi_lu_registrant){
		.key = 0xfedcba9876543210ull + n, .who = &fake_who, .holds = n == 1};
	return index == 1 && n < 2;
}

void iscsi_sessions(struct iscsi *iscsi,
	void (*each)(const struct iscsi_session_info *info, void *arg), void *arg)
{
	for (unsigned i = 0; i < fake.sessions; i++) {
		const struct iscsi_session_info info = {
			.tsih = (uint16_t)(i + 1),
			.initiator = "iqn.1993-08.org.debian:01:host1",
			.alias = "not \xff UTF-8",
			.target = i == 0 ? "iqn.2026-01.org.example:array1" : NULL,
			.isid = {0x00, 0x02, 0x3d, 0x00, 0x00, (uint8_t)i},
			.connections = i + 1,
			.user = i == 0 ? "host1" : "",
			.initiator_address = "10.77.1.9:40000",
			.portal = "10.77.1.1:3260",
			.since_unix_s = 1700000000,
		};

		each(&info, arg);
	}
}

unsigned iscsi_session_logout(struct iscsi *iscsi, uint16_t tsih, uint16_t within_s)
{
	fake.logout_tsih = tsih;
	fake.logout_within_s = within_s;
	return tsih == 0 ? fake.sessions : tsih <= fake.sessions;
}

unsigned iscsi_session_count(struct iscsi *iscsi)
{
	return fake.sessions;
}

/* ----- conf, store, log ---------------------------------------------------------------------- */

char *conf_dump(const struct conf *conf)
{
	return strdup("yoke: 1\ncluster: lab\n");
}

const struct conf_controller *conf_controller_by_id(const struct conf *conf, uint8_t id)
{
	return id >= 1 && id <= conf->controller_count ? &conf->controllers[id - 1] : NULL;
}

const struct conf_controller *conf_controller_by_name(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->controller_count; i++) {
		if (strcmp(conf->controllers[i].name, name) == 0) {
			return &conf->controllers[i];
		}
	}
	return NULL;
}

const char *extent_write_key_name(enum extent_write_key state)
{
	return state == EXTENT_WRITE_KEY_HELD ? "held" : "none";
}

const char *extent_type_name(enum extent_type type)
{
	static const char *const names[] = {"file", "block", "ram"};

	return names[type];
}

void yoke_log_level_set(int level)
{
	fake.log_level = level;
}

int yoke_log_blackbox_write(const char *path)
{
	snprintf(fake.blackbox, sizeof(fake.blackbox), "%s", path);
	return fake.blackbox_err;
}

/* ----- iSNS ----------------------------------------------------------------------------------- */

const char *isns_state_name(enum isns_state state)
{
	return state == ISNS_FAILED ? "failed" : "registered";
}

bool isns_info(const struct isns *isns, unsigned index, struct isns_info *info)
{
	static const struct isns_info servers[] = {
		{"10.0.0.8:3205", ISNS_REGISTERED, "", 600, 60, 7, 1, 1700000000},
		{"10.0.0.9:3205", ISNS_FAILED, "not registered", 0, 0, 0, 0, 1700000001},
	};

	if (index >= sizeof(servers) / sizeof(servers[0])) {
		return false;
	}
	*info = servers[index];
	return true;
}
