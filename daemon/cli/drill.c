/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drills: something happens to a live array, and how long hosts wait is measured. One process of
 * this program makes it happen, while this one asks the daemon to read a block of one LU of the
 * group after the other, each as a command that comes in at this controller: through its gate,
 * held, shipped to the owner or run. The longest wait for an answer is the pause.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define DRILL_TIMEOUT_MS 60000
#define DRILL_BASE_MS	 1000 /* measured before, */
#define DRILL_REST_MS	 1500 /* and after it is through */
#define DRILL_LOOK_MS	 200 /* between two looks at who owns the group */
#define DRILL_FREEZE_S	 5
#define DRILL_RETRY_MS	 10 /* as a host after BUSY */
#define DRILL_LUS_MAX	 64
#define DRILL_OUTPUT_MAX 4096

struct drill {
	struct cli *cli;
	const struct drill_kind *kind;
	const char *group;
	char self[64], peer[64], owner[64], home[64], target[64];
	char after[64]; /* the owner at the end */
	const char *lus[DRILL_LUS_MAX]; /* names of extents of the group */
	unsigned lu_count, next;
	json_t *listed; /* what lus points into */
	unsigned probes, retries;
	double pause_ms, base_ms;
};

struct drill_kind {
	const char *name;
	bool destructive;
	bool moves; /* the group has to end at drill->target */
	const char *what; /* will happen */
	enum cli_exit (*act)(struct drill *drill); /* in a process of its own */
};

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

/* ----- programs of Pacemaker ----------------------------------------------------------------- */

/* Runs a program; its exit code, or -1, and what it has printed. */
static int drill_program(const char *const *argv, char *output, size_t size)
{
	size_t length = 0;
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe(pipes) < 0) {
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDIN_FILENO);
		dup2(pipes[1], STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close(pipes[0]);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(pipes[1]);
	while (pid > 0 && (n = read(pipes[0], output + length, size - 1 - length)) > 0) {
		length += (size_t)n;
	}
	close(pipes[0]);
	output[length] = '\0';
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status)) {
		return -1;
	}
	return WEXITSTATUS(status);
}

/* ----- what happens -------------------------------------------------------------------------- */

static enum cli_exit drill_move(struct drill *drill)
{
	char *path = cli_path("/v1/groups/", drill->group, "/move");
	json_t *answer;

	return path ? cli_request(drill->cli, "POST", path,
			      json_pack("{s:s, s:i}", "to", drill->target, "timeout_ms", 20000),
			      25000, &answer)
		    : CLI_FAILED;
}

static enum cli_exit drill_fault(struct drill *drill)
{
	json_t *answer;

	return cli_request(drill->cli, "POST", "/v1/drill",
		json_pack("{s:s, s:i}", "fault", drill->kind->name, "seconds", DRILL_FREEZE_S),
		10000, &answer);
}

static enum cli_exit drill_freeze(struct drill *drill)
{
	enum cli_exit ret = drill_fault(drill);

	if (ret == CLI_OK) {
		pause_ms(DRILL_FREEZE_S * 1000);
	}
	return ret;
}

static enum cli_exit drill_power(struct drill *drill)
{
	const char *argv[] = {"stonith_admin", "--reboot", drill->peer, NULL};
	char output[DRILL_OUTPUT_MAX];

	if (drill_program(argv, output, sizeof(output)) != 0) {
		cli_complain("Pacemaker could not fence %s; see stonith_admin --history %s",
			drill->peer, drill->peer);
		return CLI_FAILED;
	}
	return CLI_OK;
}

static const struct drill_kind drill_kinds[] = {
	{"handover", false, true, "the group moves to its other controller", drill_move},
	{"failback", false, true, "the group moves home", drill_move},
	{"kill", true, true, "the owner's daemon is killed, and this controller takes over",
		drill_fault},
	{"freeze", true, false, "the owner's daemon does not run for 5 s, and goes on",
		drill_freeze},
	{"power", true, true,
		"Pacemaker fences the owner (off and on again), and this controller takes over",
		drill_power},
};

/* ----- may it be done? ----------------------------------------------------------------------- */

static enum cli_exit drill_refuse(const struct drill *drill, const char *why)
{
	cli_complain("drill %s: refused: %s", drill->kind->name, why);
	return CLI_REFUSED;
}

static enum cli_exit drill_get(const struct drill *drill, const char *path, json_t **answer)
{
	return cli_request(drill->cli, "GET", path, NULL, 10000, answer);
}

static void drill_name(char to[64], const json_t *object, const char *member)
{
	snprintf(to, 64, "%s", cli_get_text(object, member));
}

static enum cli_exit drill_check_array(struct drill *drill)
{
	json_t *status, *problem;
	size_t i;
	enum cli_exit ret = drill_get(drill, "/v1/status", &status);

	if (ret != CLI_OK) {
		return ret;
	}
	drill_name(drill->self, json_object_get(status, "controller"), "name");
	drill_name(drill->peer, json_object_get(status, "peer"), "name");
	if (strcmp(cli_get_text(status, "health"), "ok") != 0) {
		json_array_foreach (json_object_get(status, "problems"), i, problem) {
			drill_refuse(drill, json_string_value(problem));
		}
		ret = CLI_REFUSED;
	} else if (!json_is_object(json_object_get(status, "peer"))) {
		ret = drill_refuse(drill, "this target has no cluster");
	} else if (cli_get_number(json_object_get(status, "ledger"), "pending") > 64) {
		ret = drill_refuse(drill, "changes of reservations are waiting");
	}
	json_decref(status);
	return ret;
}

/* Every group serves; finds ours. */
static enum cli_exit drill_check_groups(struct drill *drill)
{
	json_t *groups, *group;
	size_t i;
	enum cli_exit ret = drill_get(drill, "/v1/groups", &groups);

	if (ret != CLI_OK) {
		return ret;
	}
	json_array_foreach (json_object_get(groups, "groups"), i, group) {
		if (strcmp(cli_get_text(group, "phase"), "serving") != 0) {
			ret = drill_refuse(drill, "a group is moving, or has no owner");
		}
		if (strcmp(cli_get_text(group, "name"), drill->group) == 0) {
			drill_name(drill->owner, group, "owner");
			drill_name(drill->home, group, "home");
		}
	}
	json_decref(groups);
	if (ret == CLI_OK && !drill->owner[0]) {
		cli_complain("there is no group %s; yokectl group list", drill->group);
		ret = CLI_NOT_FOUND;
	}
	return ret;
}

static enum cli_exit drill_check_fencing(struct drill *drill)
{
	const char *enabled[] = {"crm_attribute", "--type", "crm_config", "--name",
		"stonith-enabled", "--query", "--quiet", NULL};
	const char *devices[] = {"stonith_admin", "--quiet", "--list", drill->peer, NULL};
	char output[DRILL_OUTPUT_MAX];
	int code = drill_program(enabled, output, sizeof(output));

	if (code == 127) {
		return drill_refuse(drill, "Pacemaker's tools are not installed here");
	}
	if (code == 0 && strncmp(output, "true", 4) != 0 && strncmp(output, "1", 1) != 0) {
		return drill_refuse(drill, "fencing is not enabled (property stonith-enabled)");
	}
	if (drill_program(devices, output, sizeof(output)) != 0 || strlen(output) < 2) {
		return drill_refuse(
			drill, "Pacemaker has no device that could fence the other controller");
	}
	return CLI_OK;
}

static enum cli_exit drill_check_place(struct drill *drill)
{
	bool back = strcmp(drill->kind->name, "failback") == 0;

	if (drill->kind->destructive) {
		snprintf(drill->target, sizeof(drill->target), "%s",
			drill->kind->moves ? drill->self : drill->owner);
		return strcmp(drill->owner, drill->peer) == 0
			       ? CLI_OK
			       : drill_refuse(drill,
					 "this controller owns the group: run it at the other one");
	}
	snprintf(drill->target, sizeof(drill->target), "%s",
		back					 ? drill->home
		: strcmp(drill->owner, drill->self) == 0 ? drill->peer
							 : drill->self);
	return strcmp(drill->owner, drill->target) == 0
		       ? drill_refuse(drill, "the group is there already")
		       : CLI_OK;
}

static enum cli_exit drill_check_lus(struct drill *drill)
{
	json_t *lu;
	size_t i;
	enum cli_exit ret = drill_get(drill, "/v1/lus", &drill->listed);

	json_array_foreach (json_object_get(drill->listed, "lus"), i, lu) {
		if (strcmp(cli_get_text(lu, "group"), drill->group) == 0 &&
			drill->lu_count < DRILL_LUS_MAX) {
			drill->lus[drill->lu_count++] = cli_get_text(lu, "extent");
		}
	}
	if (ret == CLI_OK && !drill->lu_count) {
		ret = drill_refuse(drill, "the group has no LU that could be read");
	}
	return ret;
}

static enum cli_exit drill_check(struct drill *drill)
{
	static enum cli_exit (*const checks[])(struct drill * drill) = {drill_check_array,
		drill_check_groups, drill_check_place, drill_check_fencing, drill_check_lus};
	enum cli_exit ret = CLI_OK;

	for (size_t i = 0; i < ARRAY_SIZE(checks) && ret == CLI_OK; i++) {
		ret = checks[i](drill);
	}
	return ret;
}

/* ----- asking -------------------------------------------------------------------------------- */

static bool drill_confirmed(const struct drill *drill)
{
	char line[16] = "";

	fprintf(stderr, "drill %s: group %s, owned by %s: %s.\n", drill->kind->name, drill->group,
		drill->owner, drill->kind->what);
	if (!drill->kind->destructive || drill->cli->yes) {
		return true;
	}
	if (!isatty(STDIN_FILENO)) {
		cli_complain("drill %s: say --yes to have it done", drill->kind->name);
		return false;
	}
	fprintf(stderr, "Hosts should see a pause and no error. Go on? [y/N] ");
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

/* ----- measuring ----------------------------------------------------------------------------- */

/* One read, repeated as a host would until it is answered; what that took. False: never. */
static bool drill_probe(struct drill *drill, double until_ms, double *took_ms)
{
	cleanup_free char *path =
		cli_path("/v1/lus/", drill->lus[drill->next++ % drill->lu_count], "/probe");
	double began = now_ms();

	for (;;) {
		double left_ms = until_ms - now_ms();
		json_t *answer = NULL;
		enum cli_exit ret = left_ms < 1 || !path
					    ? CLI_TIMEOUT
					    : cli_request(drill->cli, "POST", path, json_object(),
						      (long)left_ms, &answer);

		json_decref(answer);
		*took_ms = now_ms() - began;
		if (ret == CLI_OK) {
			drill->probes++;
			return true;
		}
		if (ret != CLI_REFUSED) {
			return false;
		}
		drill->retries++;
		pause_ms(DRILL_RETRY_MS);
	}
}

static bool drill_is_through(struct drill *drill)
{
	cleanup_free char *path = cli_path("/v1/groups/", drill->group, "");
	json_t *group = NULL;
	bool through;

	if (!path || drill_get(drill, path, &group) != CLI_OK) {
		return false;
	}
	drill_name(drill->after, group, "owner");
	through = strcmp(cli_get_text(group, "phase"), "serving") == 0 &&
		  (!drill->kind->moves || strcmp(drill->after, drill->target) == 0);
	json_decref(group);
	return through;
}

/* Probes until the child has ended, the group is where it belongs, and a while longer. */
static enum cli_exit drill_watch(struct drill *drill, pid_t child)
{
	double until_ms = now_ms() + (double)(drill->cli->timeout_ms ? drill->cli->timeout_ms
								     : DRILL_TIMEOUT_MS);
	double looked_ms = 0, end_ms = 0, took_ms;
	int status = 0;

	while (!end_ms || now_ms() < end_ms) {
		if (!drill_probe(drill, until_ms, &took_ms)) {
			cli_complain("drill %s: no answer within the time: hosts wait still",
				drill->kind->name);
			return CLI_TIMEOUT;
		}
		drill->pause_ms = took_ms > drill->pause_ms ? took_ms : drill->pause_ms;
		if (child && waitpid(child, &status, WNOHANG) == child) {
			child = 0;
			if (!WIFEXITED(status) || WEXITSTATUS(status) != CLI_OK) {
				return WIFEXITED(status) ? (enum cli_exit)WEXITSTATUS(status)
							 : CLI_FAILED;
			}
		}
		if (!child && !end_ms && now_ms() - looked_ms >= DRILL_LOOK_MS) {
			looked_ms = now_ms();
			end_ms = drill_is_through(drill) ? now_ms() + DRILL_REST_MS : 0;
		}
	}
	return CLI_OK;
}

static enum cli_exit drill_run(struct drill *drill)
{
	double until_ms = now_ms() + DRILL_BASE_MS, took_ms;
	pid_t child;

	drill->cli->quiet = true;
	while (now_ms() < until_ms) {
		if (!drill_probe(drill, until_ms + DRILL_TIMEOUT_MS, &took_ms)) {
			return drill_refuse(drill, "the group's LUs cannot be read before it");
		}
		drill->base_ms = took_ms > drill->base_ms ? took_ms : drill->base_ms;
	}
	fflush(NULL);
	child = fork();
	if (child < 0) {
		cli_complain("%s", strerror(errno));
		return CLI_FAILED;
	}
	if (child == 0) {
		drill->cli->quiet = false;
		_exit(drill->kind->act(drill));
	}
	return drill_watch(drill, child);
}

static void drill_print(const struct drill *drill)
{
	static const char *const head[] = {"DRILL", "GROUP", "OWNER BEFORE", "OWNER AFTER",
		">PAUSE ms", ">BEFORE IT ms", ">READS", ">RETRIED", NULL};
	struct cli_table *table;
	char pause[32], base[32], probes[32], retries[32];

	if (drill->cli->json) {
		json_t *answer = json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:i, s:i}", "drill",
			drill->kind->name, "group", drill->group, "owner_before", drill->owner,
			"owner_after", drill->after, "pause_ms", drill->pause_ms, "before_ms",
			drill->base_ms, "reads", (int)drill->probes, "retried",
			(int)drill->retries);

		cli_print_json(answer);
		json_decref(answer);
		return;
	}
	snprintf(pause, sizeof(pause), "%.1f", drill->pause_ms);
	snprintf(base, sizeof(base), "%.1f", drill->base_ms);
	snprintf(probes, sizeof(probes), "%u", drill->probes);
	snprintf(retries, sizeof(retries), "%u", drill->retries);
	table = cli_table_new(head);
	cli_table_add(table, drill->kind->name, drill->group, drill->owner, drill->after, pause,
		base, probes, retries);
	cli_table_print(table, stdout, "");
}

enum cli_exit cli_drill(struct cli *cli)
{
	struct drill drill = {.cli = cli, .group = cli->args[1]};
	enum cli_exit ret;

	for (size_t i = 0; i < ARRAY_SIZE(drill_kinds); i++) {
		if (strcmp(drill_kinds[i].name, cli->args[0]) == 0) {
			drill.kind = &drill_kinds[i];
		}
	}
	if (!drill.kind) {
		cli_complain("there is no drill %s: handover, failback, kill, freeze, power",
			cli->args[0]);
		return CLI_USAGE;
	}
	ret = drill_check(&drill);
	if (ret == CLI_OK && !drill_confirmed(&drill)) {
		ret = CLI_REFUSED;
	}
	if (ret == CLI_OK) {
		ret = drill_run(&drill);
	}
	if (ret == CLI_OK) {
		drill_print(&drill);
	}
	json_decref(drill.listed);
	return ret;
}
