/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * yoke-mpio: hosts with dm-multipath and ALUA, played by one program. It writes stamped sectors
 * through every path as a Linux host would, verifies all it reads, and reports how long commands
 * took. Lines on standard input: "mark NAME" ends an interval and reports it, "stop" ends the run.
 * One JSON object a line on standard output. Exit 0 only if no command failed and nothing was
 * wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/io/clock.h"
#include "tests/io/engine.h"
#include "yoke/util.h"

#define MAIN_WAIT_MS	  2
#define MAIN_STOP_LIMIT_S 90

static volatile sig_atomic_t main_signalled;

static void main_signal(int number)
{
	(void)number;
	main_signalled = 1;
}

struct main_state {
	struct engine *engine;
	struct engine_counts total;
	uint64_t interval_ns; /* when it began */
	uint64_t begin_ns;
	uint64_t seconds_ns; /* --seconds; 0 = until told */
	bool ready;
	bool stop;
	char line[256];
	size_t line_length;
};

static const char main_usage[] =
	"Usage: yoke-mpio --portal ADDR[:PORT]... --target IQN [OPTIONS]\n"
	"  --luns A-B            logical unit numbers (0-0)\n"
	"  --hosts N             hosts, each with sessions and a region of its own (1)\n"
	"  --initiator IQN       name of the first host; others get -2, -3... appended\n"
	"  --depth N             commands in flight for each host and LU (8)\n"
	"  --host-depth N        commands in flight for each host, over all LUs (no limit)\n"
	"  --iops N              at most so many a second for each host and LU (no limit)\n"
	"  --block-bytes N       of each command (4096)\n"
	"  --span BYTES          used at the beginning of each LU (16777216)\n"
	"  --read-percent N      (50)\n"
	"  --seconds N           end after that time (until \"stop\" or the end of standard "
	"input)\n"
	"  --nop-interval MS, --nop-timeout MS, --connect-timeout MS, --reconnect MS  (1000, 1000, "
	"2000, 2000)\n"
	"  --plain-close         of lost connections: the network may still deliver what was sent\n"
	"  --checker MS, --reread MS  path checker, REPORT TARGET PORT GROUPS (1000, 5000)\n"
	"  --no-path-retry MS    how long a command waits for a path (60000)\n"
	"  --seed N              of the choice of blocks (1)\n"
	"  --history FILE        of all commands, for yoke-checker\n"
	"  --everywhere          all paths alike, optimized or not\n"
	"  --shared              all hosts write everywhere; the checker tells what is right\n"
	"  --swap-percent N      of reads: followed by COMPARE AND WRITE of what was read (0)\n";

enum main_option {
	OPT_PORTAL = 256,
	OPT_TARGET,
	OPT_LUNS,
	OPT_INITIATOR,
	OPT_HOSTS,
	OPT_DEPTH,
	OPT_HOST_DEPTH,
	OPT_IOPS,
	OPT_BLOCK,
	OPT_SPAN,
	OPT_READ,
	OPT_SECONDS,
	OPT_NOP_INTERVAL,
	OPT_NOP_TIMEOUT,
	OPT_CONNECT,
	OPT_RECONNECT,
	OPT_CHECKER,
	OPT_REREAD,
	OPT_NO_PATH,
	OPT_SEED,
	OPT_HISTORY,
	OPT_SHARED,
	OPT_EVERYWHERE,
	OPT_SWAP,
	OPT_PLAIN_CLOSE,
};

static const struct option main_longs[] = {
	{"portal", required_argument, NULL, OPT_PORTAL},
	{"target", required_argument, NULL, OPT_TARGET},
	{"luns", required_argument, NULL, OPT_LUNS},
	{"initiator", required_argument, NULL, OPT_INITIATOR},
	{"hosts", required_argument, NULL, OPT_HOSTS},
	{"depth", required_argument, NULL, OPT_DEPTH},
	{"host-depth", required_argument, NULL, OPT_HOST_DEPTH},
	{"iops", required_argument, NULL, OPT_IOPS},
	{"block-bytes", required_argument, NULL, OPT_BLOCK},
	{"span", required_argument, NULL, OPT_SPAN},
	{"read-percent", required_argument, NULL, OPT_READ},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"nop-interval", required_argument, NULL, OPT_NOP_INTERVAL},
	{"nop-timeout", required_argument, NULL, OPT_NOP_TIMEOUT},
	{"connect-timeout", required_argument, NULL, OPT_CONNECT},
	{"reconnect", required_argument, NULL, OPT_RECONNECT},
	{"checker", required_argument, NULL, OPT_CHECKER},
	{"reread", required_argument, NULL, OPT_REREAD},
	{"no-path-retry", required_argument, NULL, OPT_NO_PATH},
	{"seed", required_argument, NULL, OPT_SEED},
	{"history", required_argument, NULL, OPT_HISTORY},
	{"shared", no_argument, NULL, OPT_SHARED},
	{"everywhere", no_argument, NULL, OPT_EVERYWHERE},
	{"swap-percent", required_argument, NULL, OPT_SWAP},
	{"plain-close", no_argument, NULL, OPT_PLAIN_CLOSE},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void main_usage_error(const char *what, const char *value)
{
	fprintf(stderr, "yoke-mpio: %s: %s\n%s", what, value, main_usage);
	exit(2);
}

static uint64_t main_number(const char *text, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || *end || n < least || n > most) {
		main_usage_error("not a number in range", text);
	}
	return n;
}

static void main_luns(struct engine_options *options, const char *text)
{
	unsigned first, last;
	char rest;

	if (sscanf(text, "%u-%u%c", &first, &last, &rest) != 2) {
		if (sscanf(text, "%u%c", &first, &rest) != 1) {
			main_usage_error("not a range of LUNs", text);
		}
		last = first;
	}
	if (last < first || last - first >= ENGINE_LUNS_MAX) {
		main_usage_error("not a range of LUNs", text);
	}
	options->lun_first = first;
	options->lun_count = last - first + 1;
}

static void main_option_take(
	struct engine_options *o, struct main_state *state, int option, const char *arg)
{
	switch ((enum main_option)option) {
	case OPT_PORTAL:
		if (o->portal_count == MPATH_PATHS_MAX) {
			main_usage_error("too many portals", arg);
		}
		o->portals[o->portal_count++] = arg;
		break;
	case OPT_TARGET:
		o->session.target = arg;
		break;
	case OPT_LUNS:
		main_luns(o, arg);
		break;
	case OPT_INITIATOR:
		o->initiator = arg;
		break;
	case OPT_HOSTS:
		o->hosts = (unsigned)main_number(arg, 1, ENGINE_HOSTS_MAX);
		break;
	case OPT_DEPTH:
		o->depth = (unsigned)main_number(arg, 1, 1024);
		break;
	case OPT_HOST_DEPTH:
		o->host_depth = (unsigned)main_number(arg, 0, 65536);
		break;
	case OPT_IOPS:
		o->iops = (unsigned)main_number(arg, 0, 1000000);
		break;
	case OPT_BLOCK:
		o->block_bytes = (uint32_t)main_number(arg, 512, 1u << 20) / 512 * 512;
		break;
	case OPT_SPAN:
		o->span_bytes = main_number(arg, 512, UINT64_MAX);
		break;
	case OPT_READ:
		o->read_percent = (unsigned)main_number(arg, 0, 100);
		break;
	case OPT_SECONDS:
		state->seconds_ns = main_number(arg, 1, 1000000) * CLOCK_S;
		break;
	case OPT_NOP_INTERVAL:
		o->session.nop_interval_ns = main_number(arg, 10, 3600000) * CLOCK_MS;
		break;
	case OPT_NOP_TIMEOUT:
		o->session.nop_timeout_ns = main_number(arg, 10, 3600000) * CLOCK_MS;
		break;
	case OPT_CONNECT:
		o->session.connect_timeout_ns = main_number(arg, 10, 3600000) * CLOCK_MS;
		break;
	case OPT_RECONNECT:
		o->session.reconnect_ns = main_number(arg, 1, 3600000) * CLOCK_MS;
		break;
	case OPT_PLAIN_CLOSE:
		o->session.plain_close = true;
		break;
	case OPT_CHECKER:
		o->checker_ns = main_number(arg, 10, 3600000) * CLOCK_MS;
		break;
	case OPT_REREAD:
		o->reread_ns = main_number(arg, 10, 3600000) * CLOCK_MS;
		break;
	case OPT_NO_PATH:
		o->no_path_retry_ns = main_number(arg, 0, 3600000) * CLOCK_MS;
		break;
	case OPT_SEED:
		o->seed = main_number(arg, 0, UINT64_MAX / 4);
		break;
	case OPT_HISTORY:
		o->history = fopen(arg, "we");
		if (!o->history) {
			main_usage_error("cannot be written", arg);
		}
		break;
	case OPT_SHARED:
		o->shared = true;
		break;
	case OPT_EVERYWHERE:
		o->everywhere = true;
		break;
	case OPT_SWAP:
		o->swap_percent = (unsigned)main_number(arg, 0, 100);
		break;
	}
}

static void main_options(
	struct engine_options *options, struct main_state *state, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "h", main_longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(main_usage, stdout);
			exit(0);
		}
		if (option < OPT_PORTAL) {
			exit(2);
		}
		main_option_take(options, state, option, optarg);
	}
	if (optind < argc) {
		main_usage_error("unexpected argument", argv[optind]);
	}
	if (!options->portal_count || !options->session.target) {
		main_usage_error("missing", "--portal and --target");
	}
}

static void main_add(struct engine_counts *total, const struct engine_counts *c)
{
	total->commands += c->commands;
	total->reads += c->reads;
	total->writes += c->writes;
	total->retries += c->retries;
	total->failed += c->failed;
	total->verified += c->verified;
	total->swaps += c->swaps;
	total->miscompares += c->miscompares;
	total->wrong += c->wrong;
	total->unknown += c->unknown;
	total->ua_2a06 += c->ua_2a06;
	if (c->longest_ns > total->longest_ns) {
		total->longest_ns = c->longest_ns;
	}
	if (c->longest_gap_ns > total->longest_gap_ns) {
		total->longest_gap_ns = c->longest_gap_ns;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(c->latency); i++) {
		total->latency[i] += c->latency[i];
	}
}

static void main_print(
	const char *type, const char *name, const struct engine_counts *c, uint64_t took_ns)
{
	printf("{\"type\":\"%s\",\"name\":\"%s\",\"seconds\":%.3f,\"longest_pause_ms\":%.1f,"
	       "\"longest_gap_ms\":%.1f,"
	       "\"swaps\":%llu,\"miscompares\":%llu,"
	       "\"commands\":%llu,\"reads\":%llu,\"writes\":%llu,\"retries\":%llu,\"failed\":%llu,"
	       "\"verified\":%llu,"
	       "\"unwritten\":%llu,\"wrong\":%llu,\"ua_2a06\":%llu,\"ua_2a06_least\":%llu,\"ua_"
	       "2a06_most\":%llu,"
	       "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
		type, name, (double)took_ns / (double)CLOCK_S,
		(double)c->longest_ns / (double)CLOCK_MS,
		(double)c->longest_gap_ns / (double)CLOCK_MS, (unsigned long long)c->swaps,
		(unsigned long long)c->miscompares, (unsigned long long)c->commands,
		(unsigned long long)c->reads, (unsigned long long)c->writes,
		(unsigned long long)c->retries, (unsigned long long)c->failed,
		(unsigned long long)c->verified, (unsigned long long)c->unknown,
		(unsigned long long)c->wrong, (unsigned long long)c->ua_2a06,
		(unsigned long long)c->ua_2a06_least, (unsigned long long)c->ua_2a06_most,
		(double)engine_latency_us(c, 0.5) / 1000.0,
		(double)engine_latency_us(c, 0.99) / 1000.0);
	fflush(stdout);
}

/* {"6/2a/06":3,"status 08":1} */
static void main_senses_print(const struct engine *engine)
{
	unsigned count;
	const struct engine_sense *s = engine_senses(engine, &count);

	printf("{\"type\":\"senses\",\"senses\":{");
	for (unsigned i = 0; i < count; i++) {
		if (s[i].key || s[i].asc) {
			printf("%s\"%x/%02x/%02x\":%llu", i ? "," : "", s[i].key, s[i].asc,
				s[i].ascq, (unsigned long long)s[i].count);
		} else {
			printf("%s\"status %02x\":%llu", i ? "," : "", s[i].status,
				(unsigned long long)s[i].count);
		}
	}
	printf("}}\n");
}

static void main_mark(struct main_state *state, const char *name)
{
	struct engine_counts counts;
	uint64_t now_ns = clock_ns();

	engine_counts_take(state->engine, &counts);
	main_print("interval", name, &counts, now_ns - state->interval_ns);
	main_add(&state->total, &counts);
	state->interval_ns = now_ns;
}

/* Names go into JSON as they are: letters, digits and a few signs. */
static bool main_name_ok(const char *name)
{
	return *name &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. ") ==
		       strlen(name);
}

static void main_line(struct main_state *state, const char *line)
{
	if (strcmp(line, "stop") == 0) {
		state->stop = true;
	} else if (strncmp(line, "mark ", 5) == 0 && main_name_ok(line + 5)) {
		main_mark(state, line + 5);
	} else if (*line) {
		fprintf(stderr, "yoke-mpio: unknown line: %s\n", line);
	}
}

static void main_stdin(struct main_state *state)
{
	ssize_t n = read(STDIN_FILENO, state->line + state->line_length,
		sizeof(state->line) - 1 - state->line_length);
	char *end;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		state->stop = true;
		return;
	}
	state->line_length += n > 0 ? (size_t)n : 0;
	state->line[state->line_length] = '\0';
	while ((end = memchr(state->line, '\n', state->line_length))) {
		size_t used = (size_t)(end - state->line) + 1;

		*end = '\0';
		main_line(state, state->line);
		memmove(state->line, state->line + used, state->line_length - used + 1);
		state->line_length -= used;
	}
	if (state->line_length == sizeof(state->line) - 1) {
		state->line_length = 0; /* no sensible line is that long */
	}
}

static void main_turn(struct main_state *state, bool with_stdin)
{
	bool stdin_ready;

	engine_turn(state->engine, MAIN_WAIT_MS, with_stdin ? STDIN_FILENO : -1, &stdin_ready);
	if (stdin_ready && with_stdin) {
		main_stdin(state);
	}
	if (!state->ready && engine_ready(state->engine)) {
		state->ready = true;
		printf("{\"type\":\"ready\",\"seconds\":%.3f}\n",
			(double)(clock_ns() - state->begin_ns) / (double)CLOCK_S);
		fflush(stdout);
	}
}

/* Waits until nothing is in flight; false when it takes too long. */
static bool main_settle(struct main_state *state)
{
	uint64_t limit_ns = clock_ns() + MAIN_STOP_LIMIT_S * CLOCK_S;

	while (!engine_idle(state->engine)) {
		if (clock_ns() > limit_ns) {
			fprintf(stderr, "yoke-mpio: commands are still waiting after %d s\n",
				MAIN_STOP_LIMIT_S);
			return false;
		}
		main_turn(state, false);
	}
	return true;
}

int main(int argc, char **argv)
{
	struct main_state state = {0};
	struct engine_options options = {
		.session =
			{
				.nop_interval_ns = CLOCK_S,
				.nop_timeout_ns = CLOCK_S,
				.connect_timeout_ns = 2 * CLOCK_S,
				.reconnect_ns = 2 * CLOCK_S,
			},
		.initiator = "iqn.2026-01.org.example:host",
		.hosts = 1,
		.lun_count = 1,
		.depth = 8,
		.block_bytes = 4096,
		.span_bytes = 16u << 20,
		.read_percent = 50,
		.no_path_retry_ns = 60 * CLOCK_S,
		.retry_budget_ns = 30 * CLOCK_S,
		.checker_ns = CLOCK_S,
		.reread_ns = 5 * CLOCK_S,
		.seed = 1,
	};
	bool settled;

	main_options(&options, &state, argc, argv);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, main_signal);
	signal(SIGINT, main_signal);
	state.engine = engine_new(&options);
	if (!state.engine) {
		fprintf(stderr, "yoke-mpio: out of memory\n");
		return 1;
	}
	state.begin_ns = state.interval_ns = clock_ns();
	while (!state.stop && !main_signalled &&
		(!state.seconds_ns || clock_ns() - state.begin_ns < state.seconds_ns)) {
		main_turn(&state, !state.seconds_ns);
	}
	engine_stop(state.engine);
	settled = main_settle(&state);
	main_mark(&state, "end");
	if (settled) {
		engine_scan(state.engine);
		settled = main_settle(&state);
		main_mark(&state, "scan");
	}
	main_senses_print(state.engine);
	main_print("total", "total", &state.total, clock_ns() - state.begin_ns);
	engine_history_end(state.engine);
	engine_free(state.engine);
	if (options.history && fclose(options.history) != 0) {
		fprintf(stderr, "yoke-mpio: the history could not be written\n");
		return 1;
	}
	if (!state.ready) {
		fprintf(stderr, "yoke-mpio: not every path of every LU ever came up\n");
	}
	return settled && state.ready && state.total.failed == 0 && state.total.wrong == 0 ? 0 : 1;
}
