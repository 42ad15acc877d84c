/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon as a whole: status with a verdict on its health, and the running configuration. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "control_private.h"
#include "yoke/journal.h"

/* How bad it is, worst last; the verdict is the worst problem's. */
enum control_health {
	CONTROL_HEALTH_OK,
	CONTROL_HEALTH_DEGRADED,
	CONTROL_HEALTH_FAILED
};

static const char *control_health_name(enum control_health health)
{
	switch (health) {
	case CONTROL_HEALTH_OK:
		return "ok";
	case CONTROL_HEALTH_DEGRADED:
		return "degraded";
	case CONTROL_HEALTH_FAILED:
		return "failed";
	}
	return "unknown";
}

static void control_health_worsen(enum control_health *health, enum control_health at_least)
{
	if (*health < at_least) {
		*health = at_least;
	}
}

static void control_health_cluster(
	const struct control *control, json_t *problems, enum control_health *health)
{
	struct ha_status status;

	ha_status(control->setup.ha, &status);
	if (!status.quorate) {
		control_json_append(problems,
			"no quorum: commands are held; bring the peer or the cluster "
			"network back");
		control_health_worsen(health, CONTROL_HEALTH_FAILED);
	}
	if (status.config_differs) {
		control_json_append(problems,
			"the configurations of the two controllers differ, so that %s is kept out: "
			"make %s the same on both and restart its yoked",
			status.in_sync ? "the other one" : "this one", control->setup.conf->path);
		control_health_worsen(health, CONTROL_HEALTH_DEGRADED);
	}
	if (!status.in_sync) {
		control_json_append(problems,
			status.waits_for_peer
				? "the other controller's daemon may know newer reservations: "
				  "it is given time to come up before this one begins without it"
				: "the cluster's state is not known here yet");
		control_health_worsen(health, CONTROL_HEALTH_FAILED);
	}
	if (!status.peer_member) {
		control_json_append(
			problems, "the other controller is no member: nobody could take over");
		control_health_worsen(health, CONTROL_HEALTH_DEGRADED);
	} else if (!status.link_up) {
		control_json_append(problems,
			"the interconnect is down: the controller that is not the owner "
			"cannot serve; check the interconnect network and key");
		control_health_worsen(health, CONTROL_HEALTH_DEGRADED);
	}
}

static void control_health_groups(const struct control *control, json_t *problems,
	enum control_health *health, unsigned *owned)
{
	const struct group_serve *serve = scsi_serve(control->setup.scsi);
	struct ha_group_info info;

	*owned = 0;
	for (unsigned i = 0; control_group_info(control, i, &info); i++) {
		*owned += info.owner == control->setup.controller;
		if (!serve->healthy(serve->ctx, (uint16_t)i)) {
			control_json_append(problems,
				"group %s: an extent is missing or does not answer here",
				info.conf->name);
			control_health_worsen(health, CONTROL_HEALTH_DEGRADED);
		}
		if (info.owner == 0) {
			control_json_append(problems,
				"group %s: has no owner, its commands are held", info.conf->name);
			control_health_worsen(health, CONTROL_HEALTH_FAILED);
		} else if (info.access == GROUP_HELD) {
			control_json_append(problems, "group %s: its commands are held here (%s)",
				info.conf->name, info.phase ? info.phase : "unknown");
			control_health_worsen(health, CONTROL_HEALTH_DEGRADED);
		}
		if (info.role == HA_ROLE_FAILED) {
			control_json_append(problems, "group %s: has failed here", info.conf->name);
			control_health_worsen(health, CONTROL_HEALTH_DEGRADED);
		}
	}
}

static json_t *control_status_controller(const struct control *control, uint8_t id)
{
	return json_pack("{s:o, s:i}", "name", control_json_controller(control, id), "id", (int)id);
}

/* Which LUs the disk itself protects from a lost controller, and which rely on fencing alone. */
static json_t *control_status_keys(const struct control *control)
{
	int keyed = 0, fencing = 0, unknown = 0;
	struct scsi_lu_info lu;

	for (unsigned i = 0; scsi_lu_info(control->setup.scsi, i, &lu); i++) {
		switch (lu.write_key) {
		case EXTENT_WRITE_KEY_FREE:
		case EXTENT_WRITE_KEY_HELD:
		case EXTENT_WRITE_KEY_LOST:
			keyed++;
			break;
		case EXTENT_WRITE_KEY_UNUSED:
		case EXTENT_WRITE_KEY_NONE:
			fencing++;
			break;
		case EXTENT_WRITE_KEY_UNKNOWN:
			unknown++;
			break;
		}
	}
	return json_pack(
		"{s:i, s:i, s:i}", "keyed", keyed, "fencing_alone", fencing, "unknown", unknown);
}

/* Adds what only a daemon in a cluster has; null elsewhere. */
static void control_status_cluster(const struct control *control, json_t *answer)
{
	struct ha_status status;
	struct ship_stats ship;
	char incarnation[17];
	json_t *peer;

	if (!control->setup.ha) {
		json_object_set_new(answer, "peer", json_null());
		json_object_set_new(answer, "interconnect", json_null());
		json_object_set_new(answer, "quorate", json_null());
		json_object_set_new(answer, "in_sync", json_null());
		json_object_set_new(answer, "waits_for_peer", json_null());
		json_object_set_new(answer, "incarnation", json_null());
		json_object_set_new(answer, "write_keys", json_null());
		return;
	}
	ha_status(control->setup.ha, &status);
	ship_stats(control->setup.ship, &ship);
	snprintf(incarnation, sizeof(incarnation), "%016" PRIx64, status.incarnation);
	peer = control_status_controller(
		control, (uint8_t)(YOKE_CONTROLLERS + 1 - control->setup.controller));
	json_object_set_new(peer, "member", json_boolean(status.peer_member));
	json_object_set_new(peer, "portals_here", json_boolean(status.adopted));
	json_object_set_new(answer, "peer", peer);
	json_object_set_new(answer, "interconnect",
		json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "up", (int)status.link_up,
			"commands_out", (json_int_t)ship.commands_out, "commands_in",
			(json_int_t)ship.commands_in, "bytes_out", (json_int_t)ship.bytes_out,
			"bytes_in", (json_int_t)ship.bytes_in, "reconnects",
			(json_int_t)ship.reconnects, "refused_frames",
			(json_int_t)ship.refused_frames, "stale_frames",
			(json_int_t)ship.stale_frames));
	json_object_set_new(answer, "quorate", json_boolean(status.quorate));
	json_object_set_new(answer, "in_sync", json_boolean(status.in_sync));
	json_object_set_new(answer, "waits_for_peer", json_boolean(status.waits_for_peer));
	json_object_set_new(answer, "incarnation", json_string(incarnation));
	json_object_set_new(answer, "write_keys", control_status_keys(control));
}

static json_t *control_status_isns(const struct control *control)
{
	json_t *servers = json_array();
	struct isns_info info;

	for (unsigned i = 0; isns_info(control->setup.isns, i, &info); i++) {
		json_array_append_new(servers,
			json_pack("{s:s, s:s, s:o, s:i, s:i, s:I, s:I, s:I}", "server", info.server,
				"state", isns_state_name(info.state), "problem",
				control_json_text(info.problem[0] ? info.problem : NULL),
				"period_s", (int)info.period_s, "status_inquiry_s",
				(int)info.esi_interval_s, "inquiries", (json_int_t)info.inquiries,
				"registrations", (json_int_t)info.registrations, "since_unix_s",
				(json_int_t)info.since_unix_s));
	}
	return servers;
}

static void control_health_ledger(
	const struct ledger_status *ledger, json_t *problems, enum control_health *health)
{
	if (ledger->journal_error) {
		control_json_append(problems,
			"the journal in the state directory cannot be written: %s: reservations "
			"and mode pages cannot be changed through this controller",
			journal_error_text(ledger->journal_error));
		control_health_worsen(health, CONTROL_HEALTH_DEGRADED);
	}
	if (ledger->keeps_out) {
		control_json_append(problems,
			"the other controller cannot join until the disk of the state directory "
			"answers: repair it");
		control_health_worsen(health, CONTROL_HEALTH_DEGRADED);
	}
	if (ledger->waits_for_fence) {
		control_json_append(problems,
			"changes of reservations wait until the lost controller has been fenced");
		control_health_worsen(health, CONTROL_HEALTH_DEGRADED);
	}
}

static json_t *control_status_ledger(
	const struct control *control, const struct ledger_status *ledger)
{
	json_t *acknowledged = json_array();

	for (uint8_t c = 1; c <= YOKE_CONTROLLERS; c++) {
		json_t *name = control_json_controller(control, c);

		if (json_is_null(name)) {
			continue;
		}
		json_array_append_new(
			acknowledged, json_pack("{s:o, s:I}", "controller", name, "index",
					      (json_int_t)ledger->acknowledged[c]));
	}
	return json_pack("{s:I, s:o, s:i, s:I, s:o, s:b, s:b}", "index", (json_int_t)ledger->index,
		"acknowledged", acknowledged, "pending", (int)ledger->pending, "journal_bytes",
		(json_int_t)ledger->journal_bytes, "journal_error",
		ledger->journal_error ? json_string(journal_error_text(ledger->journal_error))
				      : json_null(),
		"waits_for_fence", (int)ledger->waits_for_fence, "keeps_other_out",
		(int)ledger->keeps_out);
}

void control_get_status(struct control_request *req)
{
	const struct control *control = req->control;
	const struct conf *conf = control->setup.conf;
	enum control_health health = CONTROL_HEALTH_OK;
	json_t *problems = json_array();
	time_t now = time(NULL);
	json_int_t started = (json_int_t)control->setup.started_unix_s;
	struct ledger_status ledger;
	unsigned owned;
	json_t *answer;

	control->setup.ledger(control->setup.arg, &ledger);
	if (control->setup.ha) {
		control_health_cluster(control, problems, &health);
	}
	control_health_groups(control, problems, &health, &owned);
	control_health_ledger(&ledger, problems, &health);
	answer = json_pack("{s:s, s:o, s:o, s:i, s:I, s:I, s:{s:i, s:i, s:i, s:i, s:i}, s:s, s:o}",
		"version", PACKAGE_VERSION, "controller",
		control_status_controller(control, control->setup.controller), "cluster",
		control_json_text(conf->cluster), "pid", (int)getpid(), "started_unix_s", started,
		"uptime_s", (json_int_t)now > started ? (json_int_t)now - started : 0, "counts",
		"targets", (int)conf->target_count, "lus", (int)conf->extent_count, "groups",
		(int)conf->group_count, "groups_owned", (int)owned, "sessions",
		(int)iscsi_session_count(control->setup.iscsi), "health",
		control_health_name(health), "problems", problems);
	if (answer) {
		json_object_set_new(answer, "ledger", control_status_ledger(control, &ledger));
		control_status_cluster(control, answer);
		json_object_set_new(answer, "isns", control_status_isns(control));
	}
	control_answer(req, answer);
}

void control_get_config(struct control_request *req)
{
	const struct conf *conf = req->control->setup.conf;
	cleanup_free char *yaml = conf_dump(conf);
	char digest[sizeof(conf->digest) * 2 + 1];

	if (!yaml) {
		control_refuse(req, CONTROL_FAILED, "out of memory");
		return;
	}
	for (size_t i = 0; i < sizeof(conf->digest); i++) {
		snprintf(digest + 2 * i, 3, "%02x", conf->digest[i]);
	}
	control_answer(req, json_pack("{s:o, s:s, s:o}", "path", control_json_text(conf->path),
				    "digest", digest, "yaml", control_json_text(yaml)));
}
