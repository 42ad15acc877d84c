/* SPDX-License-Identifier: BSD-3-Clause */
/* yokectl itself, run against the management interface with the parts behind it faked. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "control_rig.h"
#include "daemon/cli/cli.h"

#define OUTPUT_MAX 65536

static struct rig rig;
static char out[OUTPUT_MAX]; /* standard output of the last run */
static char err[OUTPUT_MAX];

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

/* ----- running yokectl ----------------------------------------------------------------------- */

struct child {
	pid_t pid;
	int status;
};

static bool child_ended(void *arg)
{
	struct child *child = arg;

	return waitpid(child->pid, &child->status, WNOHANG) == child->pid;
}

static void read_back(FILE *file, char *to)
{
	size_t n;

	rewind(file);
	n = fread(to, 1, OUTPUT_MAX - 1, file);
	to[n] = '\0';
	fclose(file);
}

/* The exit code; its words come from one line, split at blanks. NULL: YOKE_SOCKET as it is. */
static int run_at(const char *socket, const char *line)
{
	const char *build = getenv("top_builddir");
	FILE *out_file = tmpfile(), *err_file = tmpfile();
	char program[512], words[512], *argv[32] = {program}, *rest = words;
	struct child child;
	int argc = 1;

	assert_true(out_file && err_file);
	snprintf(program, sizeof(program), "%s/yokectl", build ? build : ".");
	snprintf(words, sizeof(words), "%s", line);
	for (char *word; argc < 31 && (word = strsep(&rest, " "));) {
		if (*word != '\0') {
			argv[argc++] = word;
		}
	}
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		dup2(fileno(out_file), STDOUT_FILENO);
		dup2(fileno(err_file), STDERR_FILENO);
		setenv("YOKE_SOCKET", socket, 1);
		execv(program, argv);
		_exit(127);
	}
	rig_run(&rig, child_ended, &child);
	read_back(out_file, out);
	read_back(err_file, err);
	assert_true(WIFEXITED(child.status));
	return WEXITSTATUS(child.status);
}

static int run(const char *line)
{
	return run_at(rig.socket, line);
}

static void expect(const char *line, int code, const char *out_part, const char *err_part)
{
	int got = run(line);

	if (got != code || (out_part && !strstr(out, out_part)) ||
		(err_part && !strstr(err, err_part))) {
		fail_msg("yokectl %s: exit code %d, expected %d with `%s` and `%s`\n%s%s", line,
			got, code, out_part ? out_part : "", err_part ? err_part : "", out, err);
	}
	/* Errors go to standard error, and only errors. */
	assert_int_equal(err[0] != '\0', err_part != NULL);
}

/* Tables are for terminals of 100 columns. */
static void assert_narrow(void)
{
	for (const char *line = out; *line != '\0';) {
		size_t n = strcspn(line, "\n");

		assert_true(n <= 100);
		line += n + (line[n] == '\n');
	}
}

/* ----- tests --------------------------------------------------------------------------------- */

static void test_shows(void **state)
{
	expect("status", CLI_OK, "health        ok", NULL);
	assert_narrow();
	assert_non_null(strstr(out, "peer          b, member"));
	expect("status --wait --timeout 1s", CLI_OK, "in sync       yes", NULL);
	expect("group list", CLI_OK, "g2     b      b     serving  unpromoted     11    500", NULL);
	assert_narrow();
	assert_non_null(strstr(out, "a optimized, b non-optimized     0  manual"));
	assert_non_null(strstr(out, "a non-optimized, b optimized     1  in 45s"));
	expect("group show g1", CLI_OK, "last move     handover, ", NULL);
	assert_narrow();
	assert_non_null(strstr(out, "b: target port group 2 active/non-optimized"));
	expect("session list", CLI_OK,
		"iqn.1993-08.org.debian:01:host1  10.77.1.9:40000  10.77.1.1:3260", NULL);
	assert_narrow();
	assert_non_null(strstr(out, "(discovery)"));
	expect("lu list", CLI_OK, "disk2     5  g2     b      ram   8 GiB  3 GiB!   4096", NULL);
	assert_narrow();
	assert_non_null(
		strstr(out, "\ndisk2: sanitize (overwrite, pass 2 of 3): 41 %, hosts wait\n"));
	assert_null(strstr(out, "disk1: "));
	expect("lu show disk2", CLI_OK, "\nwork          sanitize (overwrite, pass 2 of 3): 41 %",
		NULL);
	fake.sanitize_failed = true;
	expect("lu list", CLI_OK, "\ndisk2: SANITIZE HAS FAILED (overwrite)", NULL);
	fake.sanitize_failed = false;
	expect("lu show disk1", CLI_OK, "LUN           0 at iqn.2026-01.org.example:array1", NULL);
	expect("lu show disk2", CLI_OK, "used          3 GiB, threshold 80 %", NULL);
	expect("lu show disk2", CLI_OK, "available     not told, threshold none", NULL);
	expect("lu show disk2", CLI_OK, "a threshold is REACHED", NULL);
	expect("lu show disk1", CLI_OK, "reservation   none", NULL);
	expect("lu show disk2", CLI_OK, "reservation   write exclusive", NULL);
	expect("lu show disk2", CLI_OK, "registrations 2, generation 7, kept without power (APTPL)",
		NULL);
	expect("lu show disk2", CLI_OK,
		"              0xfedcba9876543210 "
		"iqn.1993-08.org.debian:01:host1,i,0x80123456789a\n"
		"                at port 0x0201 of iqn.2026-01.org.example:array1\n"
		"              0xfedcba9876543211 "
		"iqn.1993-08.org.debian:01:host1,i,0x80123456789a\n"
		"                at port 0x0201 of iqn.2026-01.org.example:array1, holder\n",
		NULL);
	assert_narrow();
	assert_non_null(strstr(out, "write key     held here"));
	expect("config show", CLI_OK, "yoke: 1\ncluster: lab\n", NULL);
	expect("config reload", CLI_OK, "in place at both controllers\n", NULL);
	rig.reload_result = HA_FAILED;
	expect("config reload", CLI_FAILED, NULL, "y:1: first reason\ny:2: second reason");
	assert_int_equal(rig.reloads, 2);
	fake.sessions = 0;
	expect("session list", CLI_OK, "no sessions", NULL);
}

static void test_json(void **state)
{
	static const char *const lines[] = {"status --json", "--json group list",
		"group show g1 --json", "session list --json", "lu list --json",
		"lu show disk1 --json", "config show --json", "group move g1 b --json",
		"log info --json"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		json_t *json;

		expect(lines[i], CLI_OK, "{", NULL);
		json = json_loads(out, 0, NULL);
		assert_true(json_is_object(json));
		json_decref(json);
	}
}

static void test_problems_shown(void **state)
{
	fake.status.quorate = false;
	expect("status", CLI_OK, "health        failed\n              - no quorum", NULL);
	assert_non_null(strstr(out, "quorum        NO"));
	fake.groups[0].owner = 0;
	fake.groups[0].score = -1;
	expect("group show g1", CLI_OK, "score         none", NULL);
	assert_non_null(strstr(out, "owner         -"));
}

static void test_acts(void **state)
{
	expect("group move g1 b --timeout 1500ms", CLI_OK,
		"group g1 is owned by a (last move: handover", NULL);
	assert_string_equal(fake.action, "move");
	assert_string_equal(fake.argument, "b");
	assert_int_equal(fake.timeout_ms, 1500);
	expect("session logout 1 20", CLI_OK, "1 asked to log out", NULL);
	assert_int_equal(fake.logout_tsih, 1);
	assert_int_equal(fake.logout_within_s, 20);
	expect("session logout all", CLI_OK, "2 asked to log out", NULL);
	assert_int_equal(fake.logout_tsih, 0);
	assert_int_equal(fake.logout_within_s, 10);
	expect("log debug", CLI_OK, "", NULL);
	assert_int_equal(fake.log_level, 7);
	expect("blackbox /var/tmp/box", CLI_OK, "", NULL);
	assert_string_equal(fake.blackbox, "/var/tmp/box");
	/* A relative name is the caller's, not the daemon's. */
	expect("blackbox box", CLI_OK, "", NULL);
	assert_int_equal(fake.blackbox[0], '/');
	assert_non_null(strstr(fake.blackbox, "/box"));
	expect("stop", CLI_OK, "", NULL);
	assert_int_equal(rig.stops, 1);
}

static void test_agent(void **state)
{
	static const struct {
		enum ha_role role;
		const char *name;
		int code;
	} roles[] = {
		{HA_ROLE_STOPPED, "stopped\n", 7},
		{HA_ROLE_UNPROMOTED, "unpromoted\n", 0},
		{HA_ROLE_PROMOTED, "promoted\n", 8},
		{HA_ROLE_FAILED, "failed\n", 9},
	};

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		fake.groups[0].role = roles[i].role;
		expect("agent group-monitor g1", roles[i].code, roles[i].name, NULL);
	}
	expect("agent group-start g1 yoke-g1", CLI_OK, "", NULL);
	assert_string_equal(fake.argument, "yoke-g1");
	expect("agent group-promote g2", CLI_OK, "", NULL);
	assert_string_equal(fake.action, "promote");
	assert_string_equal(fake.group, "g2");
	expect("agent group-demote g2", CLI_OK, "", NULL);
	assert_string_equal(fake.action, "demote");
	expect("agent group-stop g2", CLI_OK, "", NULL);
	assert_string_equal(fake.action, "stop");
}

/* Every result of the cluster layer as an exit code. */
static void test_results(void **state)
{
	static const struct {
		enum ha_result result;
		int code;
	} results[] = {
		{HA_FAILED, CLI_FAILED},
		{HA_NOT_IN_SYNC, CLI_REFUSED},
		{HA_NO_QUORUM, CLI_REFUSED},
		{HA_TIMEOUT, CLI_TIMEOUT},
		{HA_NO_PEER, CLI_REFUSED},
		{HA_BUSY, CLI_REFUSED},
		{HA_UNKNOWN, CLI_NOT_FOUND},
	};

	fake.message = "for a reason\x1b[31m";
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		fake.result = results[i].result;
		/* The reason is passed on, what would drive a terminal is not. */
		expect("group move g1 b", results[i].code, "", "group g1: for a reason?[31m");
		expect("agent group-promote g1", results[i].code, "", "for a reason");
	}
}

static void test_refusals(void **state)
{
	expect("group show nope", CLI_NOT_FOUND, "", "no group nope");
	expect("group show a/b?c#d%41", CLI_NOT_FOUND, "", "no ");
	expect("group move nope b", CLI_NOT_FOUND, "", "no group nope");
	expect("group move g1 nobody", CLI_NOT_FOUND, "", "no controller nobody");
	expect("lu resize disk1 20GiB", CLI_OK, "in place at both controllers", NULL);
	expect("lu resize disk1 --rescan", CLI_OK, "in place at both controllers", NULL);
	expect("lu resize disk1", CLI_USAGE, "", "--rescan");
	expect("lu resize disk1 20GiB --rescan", CLI_USAGE, "", "--rescan");
	expect("lu show nope", CLI_NOT_FOUND, "", "no extent nope");
	expect("agent group-monitor nope", CLI_NOT_FOUND, "", "no group nope");
	expect("log loud", CLI_FAILED, "", "no log level");
	fake.blackbox_err = -13;
	expect("blackbox /x", CLI_FAILED, "", "Permission denied");
}

static void test_usage(void **state)
{
	static const char *const lines[] = {"", "dance", "group", "group dance", "group show",
		"group show g1 g2", "group move g1", "status now", "log", "log info --wait",
		"status --format pcs", "status --timeout", "status --timeout 0",
		"status --timeout -1", "status --timeout 1h", "status --timeout 4000s",
		"status --timeout 5msx", "status --nonsense", "pacemaker --format xml",
		"config check", "agent group-start g1", "version 2"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(run(lines[i]), CLI_USAGE);
		assert_true(strlen(err) > 5);
		assert_string_equal(out, "");
	}
	assert_int_equal(fake.actions, 0);
	expect("help", CLI_OK, "group move GROUP CONTROLLER", NULL);
	expect("--help", CLI_OK, "exit codes:", NULL);
	expect("version", CLI_OK, "yokectl ", NULL);
}

/* Nobody there, somebody who does not answer, somebody who answers nonsense. */
static void test_unreachable(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char longpath[200];
	int fd;

	assert_int_equal(run_at("/nonexistent/yoked.sock", "status"), CLI_UNREACHABLE);
	assert_non_null(strstr(err, "/nonexistent/yoked.sock"));
	assert_int_equal(
		run_at("/nonexistent/yoked.sock", "agent group-monitor g1"), CLI_UNREACHABLE);
	assert_int_equal(
		run_at("/nonexistent/yoked.sock", "status --wait --timeout 100ms"), CLI_TIMEOUT);
	memset(longpath, 'x', sizeof(longpath) - 1);
	longpath[0] = '/';
	longpath[sizeof(longpath) - 1] = '\0';
	assert_int_equal(run_at(longpath, "status"), CLI_USAGE);

	/* It listens and never answers: a stopped daemon. */
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/hung", rig.dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(run_at(addr.sun_path, "status --timeout 100ms"), CLI_TIMEOUT);
	assert_int_equal(
		run_at(addr.sun_path, "agent group-monitor g1 --timeout 100ms"), CLI_TIMEOUT);
	close(fd);
	/* Its socket without a listener. */
	assert_int_equal(run_at(addr.sun_path, "status"), CLI_UNREACHABLE);
	assert_int_equal(unlink(addr.sun_path), 0);
}

static void test_wait(void **state)
{
	fake.status.in_sync = false;
	expect("status --wait --timeout 200ms", CLI_TIMEOUT, "", "has not learned");
	expect("status", CLI_OK, "in sync       NO\n", NULL);
	/* Pacemaker starts the other one only when this one's start has ended. */
	fake.status.waits_for_peer = true;
	expect("status --wait --timeout 200ms", CLI_OK, "in sync       NO, waits", NULL);
}

static void test_alone(void **state)
{
	expect("status", CLI_OK, "none, this controller serves alone", NULL);
	expect("status --wait --timeout 1s", CLI_OK, "health        ok", NULL);
	expect("group list", CLI_OK, "standalone", NULL);
	expect("group move g1 a", CLI_REFUSED, "", "without a cluster");
	expect("agent group-promote g1", CLI_REFUSED, "", "without a cluster");
}

/* ----- without a daemon ---------------------------------------------------------------------- */

static void test_config_check(void **state)
{
	const char *source = getenv("top_srcdir");
	char line[300], path[200];
	FILE *file;

	snprintf(line, sizeof(line), "config check %s/docs/yoke.yaml.example",
		source ? source : ".");
	expect(line, CLI_OK, "no errors (2 controllers, 2 groups", NULL);
	snprintf(path, sizeof(path), "%s/bad.yaml", rig.dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("yoke: 1\nclustr: lab\nextents: 7\n", file);
	fclose(file);
	snprintf(line, sizeof(line), "config check %s", path);
	assert_int_equal(run(line), CLI_FAILED);
	assert_non_null(strstr(err, "bad.yaml:2: unknown key \"clustr\""));
	assert_non_null(strstr(err, "errors\n"));
	snprintf(line, sizeof(line), "config check %s --json", path);
	assert_int_equal(run(line), CLI_FAILED);
	assert_non_null(strstr(out, "\"valid\": false"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(run("config check /nonexistent.yaml"), CLI_FAILED);
	assert_non_null(strstr(err, "/nonexistent.yaml"));
}

static void test_pacemaker(void **state)
{
	const char *source = getenv("top_srcdir");
	char line[300];

	snprintf(line, sizeof(line), "pacemaker --config %s/docs/yoke.yaml.example",
		source ? source : ".");
	expect(line, CLI_OK, "FENCING: FILL IN BEFORE USE", NULL);
	assert_non_null(
		strstr(out, "pcs resource create yoke-controller ocf:yoke:controller config="));
	assert_non_null(
		strstr(out, "clone yoke-g2-clone yoke-g2 meta promotable=true promoted-max=1"));
	assert_non_null(strstr(out,
		"pcs constraint colocation add yoke-g1-clone with yoke-controller-clone INFINITY"));
	assert_non_null(strstr(out,
		"order order-yoke-g2 Mandatory: yoke-controller-clone:start yoke-g2-clone:start"));
	/* Nothing of fencing is more than a comment. */
	for (const char *p = out; (p = strstr(p, "stonith")); p++) {
		const char *start = p;

		while (start > out && start[-1] != '\n') {
			start--;
		}
		assert_true(*start == '#' || strstr(start, "stonith-enabled=true") == p);
	}
	snprintf(line + strlen(line), sizeof(line) - strlen(line), " --format crm");
	expect(line, CLI_OK, "crm configure load update", NULL);
	assert_null(strstr(out, "pcs resource"));
	assert_int_equal(run("pacemaker --config /nonexistent.yaml"), CLI_FAILED);
	assert_int_equal(run_at("/nonexistent/yoked.sock", "pacemaker"), CLI_UNREACHABLE);
	assert_non_null(strstr(err, "--config FILE"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shows, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_json, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_problems_shown, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_acts, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_agent, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_results, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_refusals, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_usage, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_unreachable, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_wait, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_alone, open_alone, close_rig),
		cmocka_unit_test_setup_teardown(test_config_check, open_clustered, close_rig),
		cmocka_unit_test_setup_teardown(test_pacemaker, open_clustered, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
