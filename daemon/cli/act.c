/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that change something: move, log, blackbox, stop, and the agents' calls. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define CLI_ACT_TIMEOUT_MS     10000
#define CLI_MOVE_TIMEOUT_MS    10000
#define CLI_AGENT_TIMEOUT_MS   120000
#define CLI_RESIZE_TIMEOUT_MS  60000
#define CLI_MONITOR_TIMEOUT_MS 10000
#define CLI_LOGOUT_WITHIN_S    10
/* The daemon keeps the limit of a move; the connection waits a little longer for its verdict. */
#define CLI_GRACE_MS 5000

static long cli_timeout_or(const struct cli *cli, long otherwise_ms)
{
	return cli->timeout_ms ? cli->timeout_ms : otherwise_ms;
}

static enum cli_exit cli_post(
	const struct cli *cli, const char *path, json_t *body, long timeout_ms, json_t **answer)
{
	return cli_request(cli, "POST", path, body, timeout_ms, answer);
}

enum cli_exit cli_group_move(struct cli *cli)
{
	cleanup_free char *path = cli_path("/v1/groups/", cli->args[0], "/move");
	long timeout_ms = cli_timeout_or(cli, CLI_MOVE_TIMEOUT_MS);
	json_t *body =
		json_pack("{s:s, s:I}", "to", cli->args[1], "timeout_ms", (json_int_t)timeout_ms);
	json_t *answer;
	enum cli_exit ret;

	if (!path || !body) {
		json_decref(body);
		cli_complain("the name of a controller must be UTF-8");
		return CLI_USAGE;
	}
	ret = cli_post(cli, path, body, timeout_ms + CLI_GRACE_MS, &answer);
	if (ret != CLI_OK) {
		return ret;
	}
	if (cli->json) {
		cli_print_json(answer);
	} else {
		const json_t *move = json_object_get(answer, "last_move");

		printf("group %s is owned by %s", cli_get_text(answer, "name"),
			cli_get_text(answer, "owner"));
		if (json_is_object(move)) {
			printf(" (last move: %s, commands held for %lld ms here)",
				cli_get_text(move, "kind"),
				(long long)cli_get_number(move, "held_ms"));
		}
		putchar('\n');
	}
	json_decref(answer);
	return CLI_OK;
}

/* POST with one string, answered by an object that is printed only as JSON. */
static enum cli_exit cli_post_string(
	struct cli *cli, const char *path, const char *name, const char *value)
{
	json_t *body = name ? json_pack("{s:s}", name, value) : json_object();
	json_t *answer;
	enum cli_exit ret;

	if (!body) {
		cli_complain("the argument must be UTF-8");
		return CLI_USAGE;
	}
	ret = cli_post(cli, path, body, cli_timeout_or(cli, CLI_ACT_TIMEOUT_MS), &answer);
	if (ret == CLI_OK) {
		if (cli->json) {
			cli_print_json(answer);
		}
		json_decref(answer);
	}
	return ret;
}

enum cli_exit cli_session_logout(struct cli *cli)
{
	cleanup_free char *path = cli_path("/v1/sessions/", cli->args[0], "/logout");
	long seconds = CLI_LOGOUT_WITHIN_S;
	json_t *body, *answer;
	enum cli_exit ret;

	if (cli->arg_count > 1) {
		char *end;

		seconds = strtol(cli->args[1], &end, 10);

		if (*end != '\0' || cli->args[1][0] == '\0') {
			cli_complain("%s is no number of seconds", cli->args[1]);
			return CLI_USAGE;
		}
	}
	body = json_pack("{s:I}", "within_s", (json_int_t)seconds);
	if (!path || !body) {
		json_decref(body);
		cli_complain("the argument must be UTF-8");
		return CLI_USAGE;
	}
	ret = cli_post(cli, path, body, cli_timeout_or(cli, CLI_ACT_TIMEOUT_MS), &answer);
	if (ret != CLI_OK) {
		return ret;
	}
	if (cli->json) {
		cli_print_json(answer);
	} else {
		printf("%lld asked to log out\n", (long long)cli_get_number(answer, "sessions"));
	}
	json_decref(answer);
	return CLI_OK;
}

enum cli_exit cli_lu_resize(struct cli *cli)
{
	cleanup_free char *path = cli_path("/v1/lus/", cli->args[0], "/resize");
	json_t *body, *answer;
	enum cli_exit ret;

	if (cli->rescan == (cli->arg_count > 1)) {
		cli_complain("give the new size, or --rescan for the size that the store has now");
		return CLI_USAGE;
	}
	body = json_pack("{s:s}", "size", cli->rescan ? "store" : cli->args[1]);
	if (!path || !body) {
		json_decref(body);
		cli_complain("the arguments must be UTF-8");
		return CLI_USAGE;
	}
	ret = cli_post(cli, path, body, cli_timeout_or(cli, CLI_RESIZE_TIMEOUT_MS), &answer);
	if (ret != CLI_OK) {
		return ret;
	}
	if (cli->json) {
		cli_print_json(answer);
	} else {
		printf("%s\n", cli_get_text(answer, "message"));
	}
	json_decref(answer);
	return CLI_OK;
}

enum cli_exit cli_log(struct cli *cli)
{
	return cli_post_string(cli, "/v1/log", "level", cli->args[0]);
}

enum cli_exit cli_blackbox(struct cli *cli)
{
	char cwd[PATH_MAX];
	cleanup_free char *path = NULL;

	/* The daemon's working directory is not ours. */
	if (cli->args[0][0] == '/') {
		return cli_post_string(cli, "/v1/blackbox", "path", cli->args[0]);
	}
	if (!getcwd(cwd, sizeof(cwd)) || asprintf(&path, "%s/%s", cwd, cli->args[0]) < 0) {
		path = NULL;
		cli_complain("cannot find the current directory: %s", strerror(errno));
		return CLI_FAILED;
	}
	return cli_post_string(cli, "/v1/blackbox", "path", path);
}

enum cli_exit cli_stop(struct cli *cli)
{
	return cli_post_string(cli, "/v1/stop", NULL, NULL);
}

/* ----- the agents ---------------------------------------------------------------------------- */

static enum cli_exit cli_agent(struct cli *cli, const char *verb, json_t *body)
{
	cleanup_free char *path = cli_path("/v1/agent/groups/", cli->args[0], verb);
	json_t *answer;
	enum cli_exit ret;

	if (!path || !body) {
		json_decref(body);
		cli_complain("names must be UTF-8");
		return CLI_USAGE;
	}
	ret = cli_post(cli, path, body, cli_timeout_or(cli, CLI_AGENT_TIMEOUT_MS), &answer);
	json_decref(answer);
	return ret;
}

enum cli_exit cli_agent_start(struct cli *cli)
{
	return cli_agent(cli, "/start", json_pack("{s:s}", "resource", cli->args[1]));
}

enum cli_exit cli_agent_stop(struct cli *cli)
{
	return cli_agent(cli, "/stop", json_object());
}

enum cli_exit cli_agent_promote(struct cli *cli)
{
	return cli_agent(cli, "/promote", json_object());
}

enum cli_exit cli_agent_demote(struct cli *cli)
{
	return cli_agent(cli, "/demote", json_object());
}

static const struct {
	const char *role;
	enum cli_exit code;
} cli_roles[] = {
	{"stopped", CLI_STOPPED},
	{"unpromoted", CLI_OK},
	{"promoted", CLI_PROMOTED},
	{"failed", CLI_PROMOTED_FAILED},
};

enum cli_exit cli_agent_monitor(struct cli *cli)
{
	cleanup_free char *path = cli_path("/v1/agent/groups/", cli->args[0], "");
	enum cli_exit ret = CLI_FAILED;
	const char *role;
	json_t *answer;

	if (!path) {
		return CLI_FAILED;
	}
	ret = cli_request(
		cli, "GET", path, NULL, cli_timeout_or(cli, CLI_MONITOR_TIMEOUT_MS), &answer);
	if (ret != CLI_OK) {
		return ret;
	}
	role = cli_get_text(answer, "role");
	ret = CLI_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(cli_roles); i++) {
		if (strcmp(cli_roles[i].role, role) == 0) {
			ret = cli_roles[i].code;
		}
	}
	if (ret == CLI_FAILED) {
		cli_complain("group %s: the daemon tells an unknown role: %s", cli->args[0], role);
	} else {
		puts(role);
	}
	json_decref(answer);
	return ret;
}
