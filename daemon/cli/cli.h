/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of yokectl share. One thread, one command for each run. */
#ifndef YOKE_CLI_H
#define YOKE_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "yoke/util.h"

/* Exit codes: part of the interface, yokectl(8) lists them. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_UNREACHABLE = 3, /* no daemon listens on the socket */
	CLI_NOT_FOUND = 4, /* no such group, controller, LU */
	CLI_REFUSED = 5, /* not permitted, or not possible in this state */
	CLI_TIMEOUT = 6, /* no answer in time, or not done in time */
	/* `agent group-monitor` only: the OCF codes of the role; unpromoted is 0. */
	CLI_STOPPED = 7,
	CLI_PROMOTED = 8,
	CLI_PROMOTED_FAILED = 9,
};

/* Options, and which of them a command takes. */
enum cli_option {
	CLI_OPT_SOCKET = 1 << 0,
	CLI_OPT_JSON = 1 << 1,
	CLI_OPT_TIMEOUT = 1 << 2,
	CLI_OPT_WAIT = 1 << 3,
	CLI_OPT_CONFIG = 1 << 4,
	CLI_OPT_FORMAT = 1 << 5,
	CLI_OPT_RESCAN = 1 << 6,
	CLI_OPT_YES = 1 << 7,
};

struct cli {
	const char *socket;
	bool json;
	bool wait;
	bool rescan;
	bool yes;
	bool quiet; /* cli_request() keeps its errors to itself */
	long timeout_ms; /* 0 = not given */
	const char *config;
	const char *format;
	char **args; /* after the command's words */
	int arg_count;
};

struct cli_command {
	const char *words; /* "group move" */
	const char *usage; /* what follows the words */
	int args_min, args_max;
	unsigned options; /* enum cli_option */
	enum cli_exit (*run)(struct cli *cli);
	const char *help;
};

extern const struct cli_command cli_commands[]; /* ended by a row without words */

/* "10", "10s", "1500ms" to milliseconds; false when it is nothing of the kind or over an hour. */
bool cli_duration_parse(const char *text, long *ms);

void YOKE_PRINTF(1, 2) cli_complain(const char *fmt, ...);

/* ----- client.c ------------------------------------------------------------------------------ */

/*
 * One request. `path` is a format for the resource; `body` is taken over (NULL: no body).
 * timeout_ms bounds the whole exchange. CLI_OK with an object in *answer (a new reference), or
 * another exit code with the cause on standard error.
 */
enum cli_exit cli_request(const struct cli *cli, const char *method, const char *path, json_t *body,
	long timeout_ms, json_t **answer);

/* "/v1/groups/" + name, escaped, + tail; malloc'd, NULL when out of memory. */
char *cli_path(const char *head, const char *name, const char *tail);

/* The exit code that belongs to an HTTP status. */
enum cli_exit cli_exit_of_status(long status);

/* ----- text.c -------------------------------------------------------------------------------- */

struct cli_table;

/* `head` is a NULL-terminated list; a heading that begins with '>' is aligned to the right. */
struct cli_table *cli_table_new(const char *const *head);
/* Adds a row: as many strings as there are headings; they are copied, control characters replaced.
 */
void cli_table_add(struct cli_table *table, ...);
/* Prints and frees; `empty` is printed when there is no row. */
void cli_table_print(struct cli_table *table, FILE *out, const char *empty);

/* "10 GiB", "512 B"; "2 d 3 h": into to[size]. Both return `to`. */
const char *cli_bytes_text(json_int_t bytes, char *to, size_t size);
const char *cli_age_text(json_int_t seconds, char *to, size_t size);

/* Prints text with control characters replaced: what comes from a host must not drive a terminal.
 */
void cli_print_clean(FILE *out, const char *text);

/* Members of an answer; "-" (0, false) when absent or null. */
const char *cli_get_text(const json_t *object, const char *name);
json_int_t cli_get_number(const json_t *object, const char *name);
bool cli_get_bool(const json_t *object, const char *name);

/* Prints the answer as JSON, indented. */
void cli_print_json(const json_t *answer);

/* ----- commands ------------------------------------------------------------------------------ */

enum cli_exit cli_status(struct cli *cli);
enum cli_exit cli_group_list(struct cli *cli);
enum cli_exit cli_group_show(struct cli *cli);
enum cli_exit cli_group_move(struct cli *cli);
enum cli_exit cli_session_list(struct cli *cli);
enum cli_exit cli_session_logout(struct cli *cli);
enum cli_exit cli_lu_list(struct cli *cli);
enum cli_exit cli_lu_show(struct cli *cli);
enum cli_exit cli_lu_resize(struct cli *cli);
enum cli_exit cli_config_check(struct cli *cli);
enum cli_exit cli_config_diff(struct cli *cli);
enum cli_exit cli_config_reload(struct cli *cli);
enum cli_exit cli_config_show(struct cli *cli);
enum cli_exit cli_log(struct cli *cli);
enum cli_exit cli_blackbox(struct cli *cli);
enum cli_exit cli_stop(struct cli *cli);
enum cli_exit cli_pacemaker(struct cli *cli);
enum cli_exit cli_drill(struct cli *cli);
enum cli_exit cli_agent_start(struct cli *cli);
enum cli_exit cli_agent_stop(struct cli *cli);
enum cli_exit cli_agent_promote(struct cli *cli);
enum cli_exit cli_agent_demote(struct cli *cli);
enum cli_exit cli_agent_monitor(struct cli *cli);
enum cli_exit cli_version(struct cli *cli);
enum cli_exit cli_help(struct cli *cli);

#endif
