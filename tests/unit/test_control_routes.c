/* SPDX-License-Identifier: BSD-3-Clause */
/* Every resource of the management interface, with and without a cluster, and every refusal. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>
#include <cmocka.h>

#include "control_rig.h"
#include "daemon/control/control_private.h"
#include "yoke/journal.h"

static struct rig rig;

static int open_clustered(void **state)
{
	rig_open(&rig, true);
	return 0;
}

static int open_alone(void **state)
{
	rig_open(&rig, false);
	return 0;
}

static int close_rig(void **state)
{
	rig_close(&rig);
	return 0;
}

/* Asks, expects 200 and an object. */
static json_t *ask(const char *method, const char *path, const char *body)
{
	struct rig_answer answer = rig_ask(&rig, method, path, body);

	assert_int_equal(answer.status, 200);
	assert_true(json_is_object(answer.json));
	return answer.json;
}

static const char *text(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

static json_int_t number(const json_t *json, const char *name)
{
	assert_true(json_is_integer(json_object_get(json, name)));
	return json_integer_value(json_object_get(json, name));
}

static void expect_problem(const json_t *status, const char *part)
{
	json_t *problem;
	size_t i;

	json_array_foreach (json_object_get(status, "problems"), i, problem) {
		if (strstr(json_string_value(problem), part)) {
			return;
		}
	}
	fail_msg("no problem tells: %s", part);
}

/* ----- table --------------------------------------------------------------------------------- */

static void test_table(void **state)
{
	json_t *json = ask("GET", "/v1", NULL);
	json_t *list = json_object_get(json, "resources");
	size_t count = 0;

	for (const struct control_route *r = control_routes; r->method; r++, count++) {
		bool known;
		char name[CONTROL_NAME_MAX];

		assert_non_null(r->handler);
		assert_true(strlen(r->help) > 5);
		assert_string_equal(text(json_array_get(list, count), "path"), r->path);
		/* No row hides a later one. */
		assert_ptr_equal(control_route_find(r->method, r->path, name, &known), r);
		assert_true(known);
		assert_true(strcmp(r->method, "GET") == 0 || strcmp(r->method, "POST") == 0);
	}
	assert_int_equal(json_array_size(list), count);
	json_decref(json);
}

/* Every row answers a right request; every row refuses the other method and a longer path. */
static void test_every_row(void **state)
{
	static const struct {
		const char *path, *body;
	} bodies[] = {
		{"/v1/groups/{name}/move", "{\"to\": \"b\"}"},
		{"/v1/sessions/{name}/logout", "{\"within_s\": 5}"},
		{"/v1/lus/{name}/resize", "{\"size\": \"1GiB\"}"},
		{"/v1/log", "{\"level\": \"info\"}"},
		{"/v1/drill", "{\"fault\": \"kill\"}"},
		{"/v1/blackbox", "{\"path\": \"/var/tmp/x\"}"},
		{"/v1/agent/groups/{name}/start", "{\"resource\": \"yoke-g1\"}"},
	};

	for (const struct control_route *r = control_routes; r->method; r++) {
		const char *wildcard = strstr(r->path, "{name}");
		const char *name = strstr(r->path, "sessions") ? "1"
				   : strstr(r->path, "lus")    ? "disk1"
							       : "g1";
		const char *body = NULL;
		char path[256], longer[300];

		for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
			body = strcmp(bodies[i].path, r->path) == 0 ? bodies[i].body : body;
		}
		snprintf(path, sizeof(path), "%.*s%s%s", wildcard ? (int)(wildcard - r->path) : 200,
			r->path, wildcard ? name : "", wildcard ? wildcard + 6 : "");
		snprintf(longer, sizeof(longer), "%s/nothing/here", path);
		json_decref(ask(r->method, path, body));
		rig_refused(&rig, strcmp(r->method, "GET") == 0 ? "DELETE" : "PUT", path, body, 405,
			"wrong-method");
		rig_refused(&rig, r->method, longer, body, 404, "no-such-resource");
		if (r->fields) {
			rig_refused(&rig, r->method, path, "{}", 400, "bad-request");
		}
		rig_refused(&rig, r->method, path, "{\"no_such_argument\": 1}", 400, "bad-request");
	}
	assert_int_equal(rig.stops, 1);
}

/* ----- what is told -------------------------------------------------------------------------- */

static void test_status(void **state)
{
	json_t *json = ask("GET", "/v1/status", NULL);
	json_t *counts = json_object_get(json, "counts");
	json_t *isns;

	assert_string_equal(text(json, "health"), "ok");
	assert_int_equal(json_array_size(json_object_get(json, "problems")), 0);
	assert_string_equal(text(json, "cluster"), "lab");
	assert_string_equal(text(json_object_get(json, "controller"), "name"), "a");
	assert_int_equal(number(json, "pid"), getpid());
	assert_string_equal(text(json_object_get(json, "peer"), "name"), "b");
	assert_true(json_is_true(json_object_get(json_object_get(json, "peer"), "member")));
	assert_true(json_is_false(json_object_get(json_object_get(json, "peer"), "portals_here")));
	assert_true(json_is_true(json_object_get(json, "in_sync")));
	assert_int_equal(number(json_object_get(json, "interconnect"), "commands_out"), 11);
	assert_int_equal(number(counts, "sessions"), 2);
	assert_int_equal(number(counts, "groups_owned"), 1);
	assert_true(number(json, "uptime_s") > 0);
	isns = json_object_get(json, "isns");
	assert_int_equal(json_array_size(isns), 2);
	assert_string_equal(text(json_array_get(isns, 0), "state"), "registered");
	assert_true(json_is_null(json_object_get(json_array_get(isns, 0), "problem")));
	assert_int_equal(number(json_array_get(isns, 0), "inquiries"), 7);
	assert_string_equal(text(json_array_get(isns, 1), "problem"), "not registered");
	json_decref(json);
}

static void test_status_ledger(void **state)
{
	json_t *json, *ledger, *row;

	fake.ledger = (struct ledger_status){.index = 70000,
		.acknowledged = {0, 70000, 69999},
		.pending = 2,
		.journal_bytes = 4096};
	json = ask("GET", "/v1/status", NULL);
	ledger = json_object_get(json, "ledger");
	assert_int_equal(number(ledger, "index"), 70000);
	assert_int_equal(number(ledger, "pending"), 2);
	assert_int_equal(number(ledger, "journal_bytes"), 4096);
	assert_true(json_is_null(json_object_get(ledger, "journal_error")));
	row = json_array_get(json_object_get(ledger, "acknowledged"), 1);
	assert_string_equal(text(row, "controller"), "b");
	assert_int_equal(number(row, "index"), 69999);
	assert_string_equal(text(json, "health"), "ok");
	json_decref(json);

	fake.ledger.journal_error = -ENOSPC;
	fake.ledger.waits_for_fence = true;
	json = ask("GET", "/v1/status", NULL);
	assert_string_equal(
		text(json_object_get(json, "ledger"), "journal_error"), "No space left on device");
	assert_string_equal(text(json, "health"), "degraded");
	expect_problem(json, "journal in the state directory cannot be written: No space");
	expect_problem(json, "wait until the lost controller has been fenced");
	json_decref(json);

	/* It hangs: strerror() would speak of a connection. */
	fake.ledger.journal_error = JOURNAL_HANGS;
	json = ask("GET", "/v1/status", NULL);
	expect_problem(json, "cannot be written: the disk does not answer: reservations");
	assert_true(
		json_is_false(json_object_get(json_object_get(json, "ledger"), "keeps_other_out")));
	json_decref(json);
	fake.ledger.keeps_out = true;
	json = ask("GET", "/v1/status", NULL);
	expect_problem(json, "the other controller cannot join until the disk");
	assert_true(
		json_is_true(json_object_get(json_object_get(json, "ledger"), "keeps_other_out")));
	json_decref(json);
}

static void test_status_problems(void **state)
{
	json_t *json;

	fake.status.link_up = false;
	fake.healthy = false;
	json = ask("GET", "/v1/status", NULL);
	assert_string_equal(text(json, "health"), "degraded");
	expect_problem(json, "interconnect is down");
	expect_problem(json, "group g2: an extent is missing");
	json_decref(json);

	fake.status.config_differs = true;
	json = ask("GET", "/v1/status", NULL);
	expect_problem(json, "configurations of the two controllers differ");
	json_decref(json);
	fake.status.config_differs = false;

	fake.healthy = true;
	fake.status.peer_member = false;
	fake.groups[1].access = GROUP_HELD;
	json = ask("GET", "/v1/status", NULL);
	assert_string_equal(text(json, "health"), "degraded");
	expect_problem(json, "nobody could take over");
	expect_problem(json, "group g2: its commands are held");
	json_decref(json);

	fake.status.quorate = false;
	fake.status.in_sync = false;
	fake.groups[0].owner = 0;
	fake.groups[0].role = HA_ROLE_FAILED;
	json = ask("GET", "/v1/status", NULL);
	assert_string_equal(text(json, "health"), "failed");
	expect_problem(json, "no quorum");
	expect_problem(json, "state is not known");
	assert_true(json_is_false(json_object_get(json, "waits_for_peer")));
	expect_problem(json, "group g1: has no owner");
	expect_problem(json, "group g1: has failed");
	json_decref(json);

	fake.status.waits_for_peer = true;
	json = ask("GET", "/v1/status", NULL);
	expect_problem(json, "given time to come up");
	assert_true(json_is_true(json_object_get(json, "waits_for_peer")));
	json_decref(json);
}

static void test_groups(void **state)
{
	json_t *json = ask("GET", "/v1/groups", NULL);
	json_t *g2 = json_array_get(json_object_get(json, "groups"), 1);
	json_t *alua = json_object_get(g2, "alua");

	assert_int_equal(json_array_size(json_object_get(json, "groups")), 2);
	assert_string_equal(text(g2, "name"), "g2");
	assert_string_equal(text(g2, "role"), "unpromoted");
	assert_string_equal(text(g2, "owner"), "b");
	assert_string_equal(text(g2, "access"), "remote");
	assert_string_equal(text(g2, "failback"), "auto");
	assert_int_equal(number(g2, "epoch"), 11);
	assert_int_equal(number(g2, "lus"), 1);
	assert_int_equal(number(g2, "score"), 500);
	assert_true(json_is_null(json_object_get(g2, "last_move")));
	assert_string_equal(text(json_array_get(alua, 0), "state"), "active/non-optimized");
	assert_string_equal(text(json_array_get(alua, 1), "controller"), "b");
	json_decref(json);

	fake.groups[0].score = -1;
	fake.groups[0].owner = 0;
	json = ask("GET", "/v1/groups/g1", NULL);
	assert_true(json_is_null(json_object_get(json, "score")));
	assert_true(json_is_null(json_object_get(json, "owner")));
	assert_int_equal(number(json_object_get(json, "last_move"), "held_ms"), 12);
	json_decref(json);
	rig_refused(&rig, "GET", "/v1/groups/nope", NULL, 404, "no-such-group");
}

static void test_lists(void **state)
{
	json_t *json = ask("GET", "/v1/sessions", NULL);
	json_t *row = json_array_get(json_object_get(json, "sessions"), 1);

	assert_int_equal(number(row, "tsih"), 2);
	assert_true(json_is_null(json_object_get(row, "user")));
	assert_int_equal(number(row, "connections"), 2);
	assert_string_equal(text(row, "isid"), "00023d000001");
	assert_true(json_is_null(json_object_get(row, "target")));
	/* What is not UTF-8 does not spoil the answer. */
	assert_string_equal(text(row, "alias"), "not ? UTF-8");
	json_decref(json);

	json = ask("GET", "/v1/lus", NULL);
	row = json_array_get(json_object_get(json, "lus"), 1);
	assert_string_equal(text(row, "extent"), "disk2");
	assert_string_equal(text(row, "type"), "ram");
	assert_string_equal(text(row, "owner"), "b");
	assert_int_equal(number(row, "size_bytes"), 1ll << 33);
	assert_int_equal(number(json_array_get(json_object_get(row, "luns"), 0), "lun"), 5);
	assert_true(json_is_true(json_object_get(row, "unmap")));
	assert_string_equal(text(row, "write_key"), "held");
	assert_true(json_is_false(json_object_get(row, "write_protected")));
	assert_int_equal(number(json_object_get(row, "space"), "used_bytes"), 3ll << 30);
	assert_true(
		json_is_null(json_object_get(json_object_get(row, "space"), "available_bytes")));
	assert_true(
		json_is_true(json_object_get(json_object_get(row, "space"), "threshold_reached")));
	assert_int_equal(
		number(json_object_get(json_object_get(row, "space"), "threshold_used"), "percent"),
		80);
	assert_string_equal(text(json_object_get(row, "sanitize"), "method"), "overwrite");
	assert_int_equal(number(json_object_get(row, "sanitize"), "pass"), 2);
	assert_int_equal(number(json_object_get(row, "sanitize"), "passes"), 3);
	assert_true(json_is_false(json_object_get(json_object_get(row, "sanitize"), "failed")));
	assert_true(
		json_real_value(json_object_get(json_object_get(row, "sanitize"), "percent")) > 41);
	assert_true(json_is_null(
		json_object_get(json_array_get(json_object_get(json, "lus"), 0), "sanitize")));
	row = json_object_get(row, "reservations");
	assert_int_equal(number(row, "registrations"), 2);
	assert_int_equal(number(row, "generation"), 7);
	assert_string_equal(text(row, "type"), "write exclusive");
	assert_true(json_is_null(json_object_get(row, "spc2_holder")));
	assert_int_equal(json_array_size(json_object_get(row, "registrants")), 2);
	row = json_array_get(json_object_get(row, "registrants"), 1);
	assert_string_equal(text(row, "key"), "0xfedcba9876543211");
	assert_string_equal(text(row, "initiator"), "iqn.1993-08.org.debian:01:host1");
	assert_string_equal(text(row, "isid"), "80123456789a");
	assert_int_equal(number(row, "target_port"), 0x201);
	assert_true(json_is_true(json_object_get(row, "holds")));
	json_decref(json);
	fake.lus = 3;
	json = ask("GET", "/v1/lus", NULL);
	row = json_array_get(json_object_get(json, "lus"), 2);
	assert_true(json_is_true(json_object_get(row, "write_protected")));
	row = json_object_get(row, "reservations");
	assert_true(json_is_null(json_object_get(row, "type")));
	assert_string_equal(text(json_object_get(row, "spc2_holder"), "target"),
		"iqn.2026-01.org.example:array1");
	json_decref(json);
}

static void test_session_logout(void **state)
{
	json_t *json = ask("POST", "/v1/sessions/2/logout", "{\"within_s\": 7}");

	assert_int_equal(number(json, "sessions"), 1);
	assert_int_equal(fake.logout_tsih, 2);
	assert_int_equal(fake.logout_within_s, 7);
	json_decref(json);
	rig_refused(&rig, "POST", "/v1/sessions/9/logout", "{\"within_s\": 7}", 404,
		"no-such-resource");
	rig_refused(&rig, "POST", "/v1/sessions/0/logout", "{\"within_s\": 7}", 400, "bad-request");
	rig_refused(
		&rig, "POST", "/v1/sessions/65536/logout", "{\"within_s\": 7}", 400, "bad-request");
	rig_refused(
		&rig, "POST", "/v1/sessions/2x/logout", "{\"within_s\": 7}", 400, "bad-request");
	rig_refused(
		&rig, "POST", "/v1/sessions/-1/logout", "{\"within_s\": 7}", 400, "bad-request");
	rig_refused(&rig, "POST", "/v1/sessions/1/logout", "{\"within_s\": 0}", 400, "bad-request");
}

static void test_many_lus(void **state)
{
	json_t *json;

	fake.lus = 300;
	fake.sessions = 0;
	json = ask("GET", "/v1/lus", NULL);
	assert_int_equal(json_array_size(json_object_get(json, "lus")), 300);
	json_decref(json);
	json = ask("GET", "/v1/sessions", NULL);
	assert_int_equal(json_array_size(json_object_get(json, "sessions")), 0);
	json_decref(json);
}

static void test_config(void **state)
{
	json_t *json = ask("GET", "/v1/config", NULL);

	assert_string_equal(text(json, "yaml"), "yoke: 1\ncluster: lab\n");
	assert_string_equal(text(json, "path"), "/etc/yoke/yoke.yaml");
	assert_int_equal(strlen(text(json, "digest")), 64);
	assert_memory_equal(text(json, "digest"), "abcd00", 6);
	json_decref(json);
}

static void test_config_reload(void **state)
{
	json_t *json = ask("POST", "/v1/config/reload", NULL);

	assert_string_equal(text(json, "message"), "in place at both controllers");
	assert_int_equal(rig.reloads, 1);
	json_decref(json);
	json = ask("POST", "/v1/lus/disk1/resize", "{\"size\": \"20GiB\"}");
	assert_string_equal(text(json, "message"), "in place at both controllers");
	json_decref(json);
	assert_string_equal(rig.resized, "disk1 20GiB");
	json_decref(ask("POST", "/v1/lus/disk2/resize", "{\"size\": \"store\"}"));
	assert_string_equal(rig.resized, "disk2 as it is");
	rig_refused(&rig, "POST", "/v1/lus/disk2/resize", "{\"size\": 5}", 400, "bad-request");
	rig.reloads = 1;
	rig.reload_result = HA_BUSY;
	rig_refused(&rig, "POST", "/v1/config/reload", NULL, 409, "busy");
	rig.reload_result = HA_FAILED;
	rig_refused(&rig, "POST", "/v1/config/reload", NULL, 500, "failed");
	assert_int_equal(rig.reloads, 3);
}

/* ----- what is done -------------------------------------------------------------------------- */

static void test_log_and_blackbox(void **state)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {{"err", LOG_ERR}, {"warning", LOG_WARNING}, {"notice", LOG_NOTICE},
		{"info", LOG_INFO}, {"debug", LOG_DEBUG}};

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		char body[64];

		snprintf(body, sizeof(body), "{\"level\": \"%s\"}", levels[i].name);
		json_decref(ask("POST", "/v1/log", body));
		assert_int_equal(fake.log_level, levels[i].level);
	}
	rig_refused(&rig, "POST", "/v1/log", "{\"level\": \"loud\"}", 400, "bad-request");
	rig_refused(&rig, "POST", "/v1/log", "{\"level\": 7}", 400, "bad-request");

	json_decref(ask("POST", "/v1/blackbox", "{\"path\": \"/var/tmp/box\"}"));
	assert_string_equal(fake.blackbox, "/var/tmp/box");
	rig_refused(&rig, "POST", "/v1/blackbox", "{\"path\": \"relative\"}", 400, "bad-request");
	rig_refused(&rig, "POST", "/v1/blackbox", "{\"path\": \"/a\\u0000b\"}", 400, "bad-request");
	fake.blackbox_err = -28;
	rig_refused(&rig, "POST", "/v1/blackbox", "{\"path\": \"/var/tmp/box\"}", 500, "failed");
}

static void test_stop(void **state)
{
	json_decref(ask("POST", "/v1/stop", NULL));
	assert_int_equal(rig.stops, 1);
}

static void test_move(void **state)
{
	json_t *json;

	json = ask("POST", "/v1/groups/g1/move", "{\"to\": \"b\", \"timeout_ms\": 1234}");
	assert_string_equal(fake.action, "move");
	assert_string_equal(fake.group, "g1");
	assert_string_equal(fake.argument, "b");
	assert_int_equal(fake.timeout_ms, 1234);
	assert_string_equal(text(json, "name"), "g1");
	json_decref(json);

	json_decref(ask("POST", "/v1/groups/g2/move", "{\"to\": \"a\"}"));
	assert_int_equal(fake.timeout_ms, 10000);
	assert_int_equal(fake.actions, 2);

	/* Refused before the cluster layer hears of it. */
	rig_refused(&rig, "POST", "/v1/groups/nope/move", "{\"to\": \"b\"}", 404, "no-such-group");
	rig_refused(
		&rig, "POST", "/v1/groups/g1/move", "{\"to\": \"c\"}", 404, "no-such-controller");
	rig_refused(&rig, "POST", "/v1/groups/g1/move", "{\"to\": \"b\", \"timeout_ms\": 0}", 400,
		"bad-request");
	rig_refused(&rig, "POST", "/v1/groups/g1/move", "{\"to\": \"b\", \"timeout_ms\": 3600001}",
		400, "bad-request");
	rig_refused(&rig, "POST", "/v1/groups/g1/move", "{\"to\": \"b\", \"timeout_ms\": \"1\"}",
		400, "bad-request");
	rig_refused(&rig, "POST", "/v1/groups/g1/move", "{\"to\": \"\"}", 400, "bad-request");
	rig_refused(&rig, "POST", "/v1/groups/g1/move", "{\"timeout_ms\": 1}", 400, "bad-request");
	assert_int_equal(fake.actions, 2);
}

static void test_probe(void **state)
{
	json_t *json = ask("POST", "/v1/lus/disk1/probe", NULL);

	assert_string_equal(text(json, "result"), "good");
	json_decref(json);
	fake.probe_result = SCSI_RESERVATION_CONFLICT; /* an answer of the owner, too */
	json = ask("POST", "/v1/lus/disk2/probe", "{}");
	assert_string_equal(text(json, "result"), "reservation-conflict");
	json_decref(json);
	assert_int_equal(fake.probes, 2);
	rig_refused(&rig, "POST", "/v1/lus/nope/probe", NULL, 404, "no-such-resource");
	assert_int_equal(fake.probes, 2);
	fake.probe_result = SCSI_BUSY;
	rig_refused(&rig, "POST", "/v1/lus/disk1/probe", NULL, 409, "busy");
	fake.probe_result = -ENOENT;
	rig_refused(&rig, "POST", "/v1/lus/disk1/probe", NULL, 404, "no-such-resource");
}

static void test_drill(void **state)
{
	json_decref(ask("POST", "/v1/drill", "{\"fault\": \"kill\", \"seconds\": 9}"));
	assert_int_equal(fake.drills, 1);
	assert_int_equal(fake.drill_seconds, 0);
	json_decref(ask("POST", "/v1/drill", "{\"fault\": \"freeze\", \"seconds\": 9}"));
	assert_int_equal(fake.drills, 2);
	assert_int_equal(fake.drill_seconds, 9);
	rig_refused(&rig, "POST", "/v1/drill", "{\"fault\": \"fire\"}", 400, "bad-request");
	rig_refused(&rig, "POST", "/v1/drill", "{\"fault\": \"freeze\", \"seconds\": 61}", 400,
		"bad-request");
	rig_refused(&rig, "POST", "/v1/drill", "{}", 400, "bad-request");
	/* Without the other there is nobody to take over. */
	fake.status.peer_member = false;
	rig_refused(&rig, "POST", "/v1/drill", "{\"fault\": \"kill\"}", 409, "no-peer");
	fake.status.peer_member = true;
	fake.status.link_up = false;
	rig_refused(&rig, "POST", "/v1/drill", "{\"fault\": \"kill\"}", 409, "no-peer");
	fake.status.in_sync = false;
	rig_refused(&rig, "POST", "/v1/drill", "{\"fault\": \"kill\"}", 409, "no-peer");
	assert_int_equal(fake.drills, 2);
}

static void test_agent_actions(void **state)
{
	static const struct {
		const char *verb, *body, *argument;
	} verbs[] = {
		{"start", "{\"resource\": \"yoke-g1\"}", "yoke-g1"},
		{"stop", NULL, ""},
		{"promote", "{}", ""},
		{"demote", NULL, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		char path[128], unknown[128];
		json_t *json;

		snprintf(path, sizeof(path), "/v1/agent/groups/g2/%s", verbs[i].verb);
		snprintf(unknown, sizeof(unknown), "/v1/agent/groups/g3/%s", verbs[i].verb);
		json = ask("POST", path, verbs[i].body);
		assert_string_equal(text(json, "result"), "ok");
		assert_string_equal(fake.action, verbs[i].verb);
		assert_string_equal(fake.group, "g2");
		assert_string_equal(fake.argument, verbs[i].argument);
		json_decref(json);
		rig_refused(&rig, "POST", unknown, verbs[i].body, 404, "no-such-group");
		assert_int_equal(fake.actions, i + 1);
	}
}

/* Every result of the cluster layer has its own status and code, and is passed on by name. */
static void test_results(void **state)
{
	static const struct {
		enum ha_result result;
		int status;
		const char *code;
	} results[] = {
		{HA_FAILED, 500, "failed"},
		{HA_NOT_IN_SYNC, 503, "not-in-sync"},
		{HA_NO_QUORUM, 503, "no-quorum"},
		{HA_TIMEOUT, 504, "timeout"},
		{HA_NO_PEER, 409, "no-peer"},
		{HA_BUSY, 409, "busy"},
		{HA_UNKNOWN, 404, "no-such-group"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		struct rig_answer answer;

		fake.result = results[i].result;
		fake.message = i % 2 ? "because \xff of that" : "";
		rig_refused(&rig, "POST", "/v1/groups/g1/move", "{\"to\": \"b\"}",
			results[i].status, results[i].code);
		rig_refused(&rig, "POST", "/v1/agent/groups/g1/promote", NULL, results[i].status,
			results[i].code);
		answer = rig_ask(&rig, "POST", "/v1/agent/groups/g1/demote", NULL);
		assert_string_equal(text(answer.json, "result"), ha_result_name(results[i].result));
		json_decref(answer.json);
	}
}

static void test_agent_monitor(void **state)
{
	static const enum ha_role roles[] = {
		HA_ROLE_STOPPED, HA_ROLE_UNPROMOTED, HA_ROLE_PROMOTED, HA_ROLE_FAILED};
	static const char *const names[] = {"stopped", "unpromoted", "promoted", "failed"};

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		json_t *json;

		fake.groups[0].role = roles[i];
		fake.status.in_sync = i % 2;
		json = ask("GET", "/v1/agent/groups/g1", NULL);
		assert_string_equal(text(json, "role"), names[i]);
		assert_int_equal(json_is_true(json_object_get(json, "in_sync")), i % 2);
		json_decref(json);
	}
	rig_refused(&rig, "GET", "/v1/agent/groups/nope", NULL, 404, "no-such-group");
	/* Monitoring changes nothing. */
	assert_int_equal(fake.actions, 0);
}

/* ----- without a cluster --------------------------------------------------------------------- */

static void test_alone(void **state)
{
	json_t *json = ask("GET", "/v1/status", NULL);

	assert_true(json_is_null(json_object_get(json, "cluster")));
	assert_true(json_is_null(json_object_get(json, "peer")));
	assert_true(json_is_null(json_object_get(json, "in_sync")));
	assert_string_equal(text(json, "health"), "ok");
	json_decref(json);

	json = ask("GET", "/v1/groups/g2", NULL);
	assert_string_equal(text(json, "owner"), "a");
	assert_string_equal(text(json, "phase"), "standalone");
	assert_int_equal(json_array_size(json_object_get(json, "alua")), 1);
	json_decref(json);
	json_decref(ask("GET", "/v1/lus", NULL));
	for (const struct control_route *r = control_routes; r->method; r++) {
		const char *wildcard = strstr(r->path, "{name}");
		char path[256];

		if (r->needs_cluster) {
			snprintf(path, sizeof(path), "%.*s%s%s",
				wildcard ? (int)(wildcard - r->path) : 200, r->path,
				wildcard ? "g1" : "", wildcard ? wildcard + 6 : "");
			rig_refused(&rig, r->method, path, NULL, 409, "no-cluster");
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_table, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_every_row, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_status, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_status_ledger, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_status_problems, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_groups, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_lists, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_session_logout, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_many_lus, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_config, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_config_reload, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_log_and_blackbox, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_stop, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_move, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_probe, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_drill, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_agent_actions, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_results, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_agent_monitor, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_alone, open_alone, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
