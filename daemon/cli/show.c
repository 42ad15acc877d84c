/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that show: status, groups, sessions, logical units. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

#define CLI_ASK_TIMEOUT_MS  10000
#define CLI_WAIT_TIMEOUT_MS 60000
#define CLI_WAIT_STEP_MS    50

static enum cli_exit cli_get(const struct cli *cli, const char *path, json_t **answer)
{
	return cli_request(cli, "GET", path, NULL,
		cli->timeout_ms ? cli->timeout_ms : CLI_ASK_TIMEOUT_MS, answer);
}

static long cli_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* ----- groups -------------------------------------------------------------------------------- */

/* The state of each controller's ports in one cell, short: "a optimized, b non-optimized". */
static void cli_alua_text(const json_t *group, char *to, size_t size)
{
	size_t i, used = 0;
	json_t *row;

	to[0] = '\0';
	json_array_foreach (json_object_get(group, "alua"), i, row) {
		const char *state = cli_get_text(row, "state");
		int n = snprintf(to + used, size - used, "%s%s %s", i > 0 ? ", " : "",
			cli_get_text(row, "controller"),
			state + (strncmp(state, "active/", 7) == 0 ? 7 : 0));

		if (n < 0 || (size_t)n >= size - used) {
			return;
		}
		used += (size_t)n;
	}
}

/* The policy, or when: as soon as home is ready for it. */
static void cli_failback_text(const json_t *group, char *to, size_t size)
{
	const json_t *in = json_object_get(group, "failback_in_s");

	if (json_is_integer(in)) {
		snprintf(to, size, "in %llds", (long long)json_integer_value(in));
	} else {
		snprintf(to, size, "%s", cli_get_text(group, "failback"));
	}
}

static void cli_groups_print(const json_t *answer)
{
	static const char *const head[] = {"GROUP", "OWNER", "HOME", "PHASE", "HERE", ">EPOCH",
		">SCORE", "ALUA", ">MV/h", "FAILBACK", NULL};
	struct cli_table *table = cli_table_new(head);
	json_t *group;
	size_t i;

	json_array_foreach (json_object_get(answer, "groups"), i, group) {
		const json_t *score = json_object_get(group, "score");
		char epoch[24], score_text[24] = "-", alua[128], moves[24], failback[48];

		snprintf(epoch, sizeof(epoch), "%lld", (long long)cli_get_number(group, "epoch"));
		if (json_is_integer(score)) {
			snprintf(score_text, sizeof(score_text), "%lld",
				(long long)json_integer_value(score));
		}
		cli_alua_text(group, alua, sizeof(alua));
		snprintf(moves, sizeof(moves), "%lld",
			(long long)cli_get_number(group, "moves_last_hour"));
		cli_failback_text(group, failback, sizeof(failback));
		cli_table_add(table, cli_get_text(group, "name"), cli_get_text(group, "owner"),
			cli_get_text(group, "home"), cli_get_text(group, "phase"),
			cli_get_text(group, "role"), epoch, score_text, alua, moves, failback);
	}
	cli_table_print(table, stdout, "no groups");
}

enum cli_exit cli_group_list(struct cli *cli)
{
	json_t *answer;
	enum cli_exit ret = cli_get(cli, "/v1/groups", &answer);

	if (ret != CLI_OK) {
		return ret;
	}
	if (cli->json) {
		cli_print_json(answer);
	} else {
		cli_groups_print(answer);
	}
	json_decref(answer);
	return CLI_OK;
}

static void cli_last_move_print(const json_t *group)
{
	const json_t *move = json_object_get(group, "last_move");
	json_int_t at = cli_get_number(move, "unix_s");
	char age[32];

	if (!json_is_object(move)) {
		printf("%-14s-\n", "last move");
		return;
	}
	printf("%-14s%s, %s ago, commands held for %lld ms\n", "last move",
		cli_get_text(move, "kind"),
		cli_age_text((json_int_t)time(NULL) - at, age, sizeof(age)),
		(long long)cli_get_number(move, "held_ms"));
}

static void cli_group_print(const json_t *group)
{
	static const char *const texts[] = {
		"name", "owner", "preferred", "home", "role", "phase", "access"};
	const json_t *score = json_object_get(group, "score");
	json_t *row;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		printf("%-14s%s\n", texts[i], cli_get_text(group, texts[i]));
	}
	printf("%-14s%lld\n", "epoch", (long long)cli_get_number(group, "epoch"));
	if (json_is_integer(score)) {
		printf("%-14s%lld\n", "score", (long long)json_integer_value(score));
	} else if (strcmp(cli_get_text(group, "phase"), "standalone") != 0) {
		printf("%-14snone: may not be promoted here\n", "score");
	}
	printf("%-14s%s", "failback", cli_get_text(group, "failback"));
	if (strcmp(cli_get_text(group, "failback"), "auto") == 0) {
		printf(", after %lld s", (long long)cli_get_number(group, "failback_delay_s"));
	}
	printf("\n%-14s%lld, extents %s\n", "LUs", (long long)cli_get_number(group, "lus"),
		cli_get_bool(group, "healthy") ? "healthy" : "NOT healthy here");
	cli_last_move_print(group);
	json_array_foreach (json_object_get(group, "alua"), i, row) {
		printf("%-14s%s: target port group %lld %s\n", i == 0 ? "ALUA" : "",
			cli_get_text(row, "controller"), (long long)cli_get_number(row, "tpg"),
			cli_get_text(row, "state"));
	}
}

enum cli_exit cli_group_show(struct cli *cli)
{
	cleanup_free char *path = cli_path("/v1/groups/", cli->args[0], "");
	json_t *answer;
	enum cli_exit ret = path ? cli_get(cli, path, &answer) : CLI_FAILED;

	if (ret != CLI_OK) {
		return ret;
	}
	if (cli->json) {
		cli_print_json(answer);
	} else {
		cli_group_print(answer);
	}
	json_decref(answer);
	return CLI_OK;
}

/* ----- status -------------------------------------------------------------------------------- */

static void cli_status_cluster_print(const json_t *answer)
{
	const json_t *peer = json_object_get(answer, "peer");
	const json_t *link = json_object_get(answer, "interconnect");
	const json_t *keys = json_object_get(answer, "write_keys");

	if (!json_is_object(peer)) {
		printf("%-14snone, this controller serves alone\n", "cluster");
		return;
	}
	printf("%-14s%s\n", "cluster", cli_get_text(answer, "cluster"));
	printf("%-14s%s\n", "quorum", cli_get_bool(answer, "quorate") ? "yes" : "NO");
	printf("%-14s%s\n", "in sync",
		cli_get_bool(answer, "in_sync")		 ? "yes"
		: cli_get_bool(answer, "waits_for_peer") ? "NO, waits for the other's daemon"
							 : "NO");
	printf("%-14s%s, %s%s\n", "peer", cli_get_text(peer, "name"),
		cli_get_bool(peer, "member") ? "member" : "NOT a member",
		cli_get_bool(peer, "portals_here") ? ", its portals are served here" : "");
	printf("%-14s%s, commands shipped out %lld, in %lld\n", "interconnect",
		cli_get_bool(link, "up") ? "up" : "DOWN",
		(long long)cli_get_number(link, "commands_out"),
		(long long)cli_get_number(link, "commands_in"));
	printf("%-14s%lld LUs by the disk itself, %lld by fencing alone\n", "write key",
		(long long)cli_get_number(keys, "keyed"),
		(long long)cli_get_number(keys, "fencing_alone"));
}

static void cli_status_isns_print(const json_t *answer)
{
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(answer, "isns"), i, row) {
		const char *problem = json_string_value(json_object_get(row, "problem"));

		printf("%-14s%s: %s%s%s, status inquiries answered %lld\n", i ? "" : "iSNS",
			cli_get_text(row, "server"), cli_get_text(row, "state"),
			problem ? ": " : "", problem ? problem : "",
			(long long)cli_get_number(row, "inquiries"));
	}
}

static void cli_status_print(const json_t *answer)
{
	const json_t *controller = json_object_get(answer, "controller");
	const json_t *counts = json_object_get(answer, "counts");
	const json_t *ledger = json_object_get(answer, "ledger");
	char age[32];
	json_t *row;
	size_t i;

	printf("%-14s%s (%lld), yoked %s, pid %lld, up %s\n", "controller",
		cli_get_text(controller, "name"), (long long)cli_get_number(controller, "id"),
		cli_get_text(answer, "version"), (long long)cli_get_number(answer, "pid"),
		cli_age_text(cli_get_number(answer, "uptime_s"), age, sizeof(age)));
	printf("%-14s%s\n", "health", cli_get_text(answer, "health"));
	json_array_foreach (json_object_get(answer, "problems"), i, row) {
		printf("%-14s- %s\n", "", json_string_value(row));
	}
	cli_status_cluster_print(answer);
	printf("%-14sentry %lld, %lld pending\n", "ledger",
		(long long)cli_get_number(ledger, "index"),
		(long long)cli_get_number(ledger, "pending"));
	printf("%-14ssessions %lld, targets %lld, LUs %lld, groups %lld (%lld owned here)\n",
		"counts", (long long)cli_get_number(counts, "sessions"),
		(long long)cli_get_number(counts, "targets"),
		(long long)cli_get_number(counts, "lus"),
		(long long)cli_get_number(counts, "groups"),
		(long long)cli_get_number(counts, "groups_owned"));
	cli_status_isns_print(answer);
}

/*
 * In sync, or without a cluster and so with nothing to wait for. Nor does anybody wait for a daemon
 * that itself gives the other controller's time to come up: Pacemaker, which starts both, does
 * nothing about the other as long as the start of this one has not ended.
 */
static bool cli_status_settled(const json_t *answer)
{
	return !json_is_object(json_object_get(answer, "peer")) ||
	       cli_get_bool(answer, "in_sync") || cli_get_bool(answer, "waits_for_peer");
}

/* Asks again and again until the daemon answers and is in sync. */
static enum cli_exit cli_status_wait(struct cli *cli, json_t **answer)
{
	const struct timespec step = {.tv_nsec = CLI_WAIT_STEP_MS * 1000000l};
	long end = cli_now_ms() + (cli->timeout_ms ? cli->timeout_ms : CLI_WAIT_TIMEOUT_MS);
	bool answered = false;

	cli->quiet = true;
	for (;;) {
		long left = end - cli_now_ms();

		if (left <= 0) {
			break;
		}
		if (cli_request(cli, "GET", "/v1/status", NULL, left, answer) == CLI_OK) {
			answered = true;
			if (cli_status_settled(*answer)) {
				return CLI_OK;
			}
			json_decref(*answer);
		}
		nanosleep(&step, NULL);
	}
	cli_complain("%s: %s in time", cli->socket,
		answered ? "the daemon has not learned the cluster's state" : "no daemon answered");
	return CLI_TIMEOUT;
}

enum cli_exit cli_status(struct cli *cli)
{
	json_t *answer;
	enum cli_exit ret =
		cli->wait ? cli_status_wait(cli, &answer) : cli_get(cli, "/v1/status", &answer);

	if (ret != CLI_OK) {
		return ret;
	}
	if (cli->json) {
		cli_print_json(answer);
	} else {
		cli_status_print(answer);
	}
	json_decref(answer);
	return CLI_OK;
}

/* ----- sessions ------------------------------------------------------------------------------ */

static void cli_sessions_print(const json_t *answer)
{
	static const char *const head[] = {
		">TSIH", "INITIATOR", "FROM", "PORTAL", ">REACTOR", ">AGE", NULL};
	struct cli_table *table = cli_table_new(head);
	json_t *session;
	size_t i;

	json_array_foreach (json_object_get(answer, "sessions"), i, session) {
		char tsih[16], reactor[16], age[32];

		snprintf(tsih, sizeof(tsih), "%lld", (long long)cli_get_number(session, "tsih"));
		snprintf(reactor, sizeof(reactor), "%lld",
			(long long)cli_get_number(session, "reactor"));
		cli_age_text((json_int_t)time(NULL) - cli_get_number(session, "since_unix_s"), age,
			sizeof(age));
		cli_table_add(table, tsih, cli_get_text(session, "initiator"),
			cli_get_text(session, "initiator_address"),
			json_is_null(json_object_get(session, "target"))
				? "(discovery)"
				: cli_get_text(session, "portal"),
			reactor, age);
	}
	cli_table_print(table, stdout, "no sessions");
}

enum cli_exit cli_session_list(struct cli *cli)
{
	json_t *answer;
	enum cli_exit ret = cli_get(cli, "/v1/sessions", &answer);

	if (ret != CLI_OK) {
		return ret;
	}
	if (cli->json) {
		cli_print_json(answer);
	} else {
		cli_sessions_print(answer);
	}
	json_decref(answer);
	return CLI_OK;
}

/* ----- logical units ------------------------------------------------------------------------- */

static void cli_lun_text(const json_t *lu, char *to, size_t size)
{
	size_t i, used = 0;
	json_t *row;

	snprintf(to, size, "-");
	json_array_foreach (json_object_get(lu, "luns"), i, row) {
		int n = snprintf(to + used, size - used, "%s%lld", i > 0 ? "," : "",
			(long long)cli_get_number(row, "lun"));

		if (n < 0 || (size_t)n >= size - used) {
			return;
		}
		used += (size_t)n;
	}
}

/* Storage that the store has given it; with a mark when a threshold is reached. */
static void cli_lu_used_text(const json_t *lu, char *to, size_t size)
{
	const json_t *space = json_object_get(lu, "space");
	const json_t *used = json_object_get(space, "used_bytes");
	char bytes[32];

	snprintf(to, size, "%s%s",
		json_is_integer(used)
			? cli_bytes_text(json_integer_value(used), bytes, sizeof(bytes))
			: "-",
		cli_get_bool(space, "threshold_reached") ? "!" : "");
}

static const char *cli_threshold_text(const json_t *threshold, char *to, size_t size)
{
	if (json_is_integer(json_object_get(threshold, "percent"))) {
		snprintf(to, size, "%lld %%", (long long)cli_get_number(threshold, "percent"));
		return to;
	}
	return json_is_object(threshold)
		       ? cli_bytes_text(cli_get_number(threshold, "bytes"), to, size)
		       : "none";
}

static void cli_lu_space_print(const json_t *lu)
{
	static const struct {
		const char *head, *bytes, *threshold;
	} rows[] = {
		{"used", "used_bytes", "threshold_used"},
		{"available", "available_bytes", "threshold_available"},
	};
	const json_t *space = json_object_get(lu, "space");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const json_t *bytes = json_object_get(space, rows[i].bytes);
		char text[32], limit[32];

		printf("%-14s%s, threshold %s\n", rows[i].head,
			json_is_integer(bytes)
				? cli_bytes_text(json_integer_value(bytes), text, sizeof(text))
				: "not told",
			cli_threshold_text(
				json_object_get(space, rows[i].threshold), limit, sizeof(limit)));
	}
	if (cli_get_bool(space, "threshold_reached")) {
		printf("%-14sa threshold is REACHED: free or add storage\n", "");
	}
}

/* "sanitize (overwrite, pass 2 of 3): 41 %", behind `head`; nothing when there is none. */
static void cli_lu_sanitize_print(const char *head, const json_t *lu)
{
	const json_t *sanitize = json_object_get(lu, "sanitize");

	if (!json_is_object(sanitize)) {
		return;
	}
	if (cli_get_bool(sanitize, "failed")) {
		printf("%sSANITIZE HAS FAILED (%s): no other command runs until one has worked\n",
			head, cli_get_text(sanitize, "method"));
		return;
	}
	printf("%ssanitize (%s, pass %lld of %lld): %d %%, hosts wait\n", head,
		cli_get_text(sanitize, "method"), (long long)cli_get_number(sanitize, "pass"),
		(long long)cli_get_number(sanitize, "passes"),
		(int)json_number_value(json_object_get(sanitize, "percent")));
}

static void cli_lus_print(const json_t *answer)
{
	static const char *const head[] = {"EXTENT", ">LUN", "GROUP", "OWNER", "TYPE", ">SIZE",
		">USED", ">BLOCK", "KEY", "NAA", NULL};
	struct cli_table *table = cli_table_new(head);
	json_t *lu;
	size_t i;

	json_array_foreach (json_object_get(answer, "lus"), i, lu) {
		char lun[32], size[32], used[34], block[16];

		cli_lun_text(lu, lun, sizeof(lun));
		cli_lu_used_text(lu, used, sizeof(used));
		cli_bytes_text(cli_get_number(lu, "size_bytes"), size, sizeof(size));
		snprintf(block, sizeof(block), "%lld",
			(long long)cli_get_number(lu, "block_size_bytes"));
		cli_table_add(table, cli_get_text(lu, "extent"), lun, cli_get_text(lu, "group"),
			cli_get_text(lu, "owner"), cli_get_text(lu, "type"), size, used, block,
			cli_get_text(lu, "write_key"), cli_get_text(lu, "naa"));
	}
	cli_table_print(table, stdout, "no logical units");
	json_array_foreach (json_object_get(answer, "lus"), i, lu) {
		char name[80];

		snprintf(name, sizeof(name), "%s: ", cli_get_text(lu, "extent"));
		cli_lu_sanitize_print(name, lu);
	}
}

/* How I/O reaches the store. */
static const char *cli_lu_way(const json_t *lu)
{
	if (strcmp(cli_get_text(lu, "type"), "ram") == 0) {
		return "memory of this controller";
	}
	return cli_get_bool(lu, "direct") ? "direct I/O" : "through the page cache";
}

/* What keeps a controller that has lost the group from writing. */
static const char *cli_lu_key(const json_t *lu)
{
	static const struct {
		const char *state, *text;
	} rows[] = {
		{"unused", "not used: without a cluster, or off in the configuration"},
		{"unknown", "unknown: the store has not answered yet"},
		{"none", "none: the store has no reservations, fencing alone protects it"},
		{"free", "free: the store has reservations, none is held here"},
		{"held", "held here: the disk refuses everybody else's writes"},
		{"lost", "LOST: another controller has taken it"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(cli_get_text(lu, "write_key"), rows[i].state) == 0) {
			return rows[i].text;
		}
	}
	return cli_get_text(lu, "write_key");
}

/* Two lines, for names are long: the initiator port, and where it is registered or logged in. */
static void cli_nexus_print(
	const char *head, const char *key, const json_t *nexus, const char *tail)
{
	printf("%-14s%s%s,i,0x%s\n", head, key, cli_get_text(nexus, "initiator"),
		cli_get_text(nexus, "isid"));
	printf("%-16sat port 0x%04llx of %s%s\n", "",
		(long long)cli_get_number(nexus, "target_port"), cli_get_text(nexus, "target"),
		tail);
}

static void cli_lu_reservations_print(const json_t *reservations)
{
	const json_t *spc2 = json_object_get(reservations, "spc2_holder");
	bool reserved = json_is_string(json_object_get(reservations, "type"));
	json_t *row;
	size_t i;

	if (json_is_object(spc2)) {
		cli_nexus_print("reservation", "RESERVE by ", spc2, "");
	} else {
		printf("%-14s%s\n", "reservation",
			reserved ? cli_get_text(reservations, "type") : "none");
	}
	if (cli_get_number(reservations, "registrations") == 0) {
		return;
	}
	printf("%-14s%lld, generation %lld, %s\n", "registrations",
		(long long)cli_get_number(reservations, "registrations"),
		(long long)cli_get_number(reservations, "generation"),
		cli_get_bool(reservations, "aptpl") ? "kept without power (APTPL)"
						    : "until power is lost");
	json_array_foreach (json_object_get(reservations, "registrants"), i, row) {
		char key[32];

		snprintf(key, sizeof(key), "%s ", cli_get_text(row, "key"));
		cli_nexus_print("", key, row, cli_get_bool(row, "holds") ? ", holder" : "");
	}
}

static void cli_lu_print(const json_t *lu)
{
	static const char *const texts[] = {
		"extent", "type", "path", "group", "owner", "naa", "serial"};
	char size[32], read[32], written[32];
	json_t *row;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		printf("%-14s%s\n", texts[i], cli_get_text(lu, texts[i]));
	}
	if (json_is_string(json_object_get(lu, "comment"))) {
		printf("%-14s%s\n", "comment", cli_get_text(lu, "comment"));
	}
	json_array_foreach (json_object_get(lu, "luns"), i, row) {
		printf("%-14s%lld at %s\n", i == 0 ? "LUN" : "",
			(long long)cli_get_number(row, "lun"), cli_get_text(row, "target"));
	}
	printf("%-14s%s, blocks of %lld B (physical %lld B)%s\n", "size",
		cli_bytes_text(cli_get_number(lu, "size_bytes"), size, sizeof(size)),
		(long long)cli_get_number(lu, "block_size_bytes"),
		(long long)cli_get_number(lu, "physical_block_size_bytes"),
		cli_get_bool(lu, "read_only") ? ", read-only" : "");
	printf("%-14s%s, %s, UNMAP %s\n", "store", cli_lu_way(lu),
		cli_get_bool(lu, "volatile_cache") ? "volatile write cache (WCE=1)"
						   : "no volatile write cache (WCE=0)",
		cli_get_bool(lu, "unmap") ? "yes" : "no");
	cli_lu_space_print(lu);
	printf("%-14s%s\n", "write key", cli_lu_key(lu));
	if (cli_get_bool(lu, "write_protected")) {
		printf("%-14sby a host (SWP, MODE SELECT)\n", "protected");
	}
	cli_lu_sanitize_print("work          ", lu);
	cli_lu_reservations_print(json_object_get(lu, "reservations"));
	printf("%-14sreads %lld (%s), writes %lld (%s)\n", "counters",
		(long long)cli_get_number(lu, "reads"),
		cli_bytes_text(cli_get_number(lu, "read_bytes"), read, sizeof(read)),
		(long long)cli_get_number(lu, "writes"),
		cli_bytes_text(cli_get_number(lu, "written_bytes"), written, sizeof(written)));
}

enum cli_exit cli_lu_list(struct cli *cli)
{
	json_t *answer;
	enum cli_exit ret = cli_get(cli, "/v1/lus", &answer);

	if (ret != CLI_OK) {
		return ret;
	}
	if (cli->json) {
		cli_print_json(answer);
	} else {
		cli_lus_print(answer);
	}
	json_decref(answer);
	return CLI_OK;
}

enum cli_exit cli_lu_show(struct cli *cli)
{
	json_t *answer, *lu;
	enum cli_exit ret = cli_get(cli, "/v1/lus", &answer);
	size_t i;

	if (ret != CLI_OK) {
		return ret;
	}
	ret = CLI_NOT_FOUND;
	json_array_foreach (json_object_get(answer, "lus"), i, lu) {
		if (strcmp(cli_get_text(lu, "extent"), cli->args[0]) != 0) {
			continue;
		}
		ret = CLI_OK;
		if (cli->json) {
			cli_print_json(lu);
		} else {
			cli_lu_print(lu);
		}
	}
	if (ret == CLI_NOT_FOUND) {
		cli_complain("there is no extent %s; yokectl lu list names them", cli->args[0]);
	}
	json_decref(answer);
	return ret;
}
