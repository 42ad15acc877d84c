/* SPDX-License-Identifier: BSD-3-Clause */
/* yokectl: finds the command in the table, reads the options that it takes, runs it. */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "config.h"
#include "yoke/conf.h"

static const struct {
	struct option option; /* val is a bit of enum cli_option, or a letter */
	const char *help;
} cli_options[] = {
	{{"socket", required_argument, NULL, CLI_OPT_SOCKET},
		"the daemon's socket; also YOKE_SOCKET [" YOKE_RUNDIR "/yoked.sock]"},
	{{"json", no_argument, NULL, CLI_OPT_JSON}, "prints JSON"},
	{{"timeout", required_argument, NULL, CLI_OPT_TIMEOUT}, "longest wait: 10, 10s or 1500ms"},
	{{"wait", no_argument, NULL, CLI_OPT_WAIT}, "waits until the daemon is up and in sync"},
	{{"config", required_argument, NULL, CLI_OPT_CONFIG},
		"takes this file, not the daemon's configuration"},
	{{"rescan", no_argument, NULL, CLI_OPT_RESCAN}, "takes the size that the store has now"},
	{{"yes", no_argument, NULL, CLI_OPT_YES},
		"does not ask before a drill that breaks something"},
	{{"format", required_argument, NULL, CLI_OPT_FORMAT}, "pcs or crm; without it, both"},
};

void cli_complain(const char *fmt, ...)
{
	va_list ap;

	fputs("yokectl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

bool cli_duration_parse(const char *text, long *ms)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || end == text || n < 1 || n > 3600000) {
		return false;
	}
	if (strcmp(end, "ms") == 0) {
		*ms = n;
		return true;
	}
	*ms = n * 1000;
	return (*end == '\0' || strcmp(end, "s") == 0) && n <= 3600;
}

/* ----- help ---------------------------------------------------------------------------------- */

static void cli_usage_print(FILE *out)
{
	fputs("usage: yokectl COMMAND [ARGUMENT...] [OPTION...]\n\ncommands:\n", out);
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		char line[80];

		snprintf(line, sizeof(line), "%s%s%s", c->words, c->usage ? " " : "",
			c->usage ? c->usage : "");
		fprintf(out, "  %-34s%s%s\n", line,
			strlen(line) > 33 ? "\n                                    " : "", c->help);
	}
	fputs("\noptions (a command takes those that make sense for it):\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(cli_options); i++) {
		char line[40];

		snprintf(line, sizeof(line), "--%s%s", cli_options[i].option.name,
			cli_options[i].option.has_arg ? " VALUE" : "");
		fprintf(out, "  %-34s%s\n", line, cli_options[i].help);
	}
	fputs("\nexit codes: 0 done, 1 failed, 2 wrong usage, 3 daemon not running, 4 not found,\n"
	      "5 refused, 6 timed out; `agent group-monitor`: 0 unpromoted, 7 stopped, 8 promoted, "
	      "9 failed\n",
		out);
}

enum cli_exit cli_help(struct cli *cli)
{
	cli_usage_print(stdout);
	return CLI_OK;
}

enum cli_exit cli_version(struct cli *cli)
{
	puts("yokectl " PACKAGE_VERSION);
	return CLI_OK;
}

/* ----- command line -------------------------------------------------------------------------- */

/* How many of the words of `c` lead args[]; 0 when not all do. */
static int cli_words_match(const struct cli_command *c, char **args, int count)
{
	const char *words = c->words;
	int n = 0;

	while (*words != '\0') {
		size_t length = strcspn(words, " ");

		if (n == count || strlen(args[n]) != length ||
			strncmp(args[n], words, length) != 0) {
			return 0;
		}
		n++;
		words += length;
		words += *words == ' ';
	}
	return n;
}

static const struct cli_command *cli_command_find(struct cli *cli)
{
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		int n = cli_words_match(c, cli->args, cli->arg_count);

		if (n > 0) {
			cli->args += n;
			cli->arg_count -= n;
			return c;
		}
	}
	return NULL;
}

static bool cli_option_take(struct cli *cli, int option, const char *value)
{
	switch ((enum cli_option)option) {
	case CLI_OPT_SOCKET:
		cli->socket = value;
		return true;
	case CLI_OPT_JSON:
		cli->json = true;
		return true;
	case CLI_OPT_WAIT:
		cli->wait = true;
		return true;
	case CLI_OPT_RESCAN:
		cli->rescan = true;
		return true;
	case CLI_OPT_YES:
		cli->yes = true;
		return true;
	case CLI_OPT_CONFIG:
		cli->config = value;
		return true;
	case CLI_OPT_FORMAT:
		cli->format = value;
		return true;
	case CLI_OPT_TIMEOUT:
		if (!cli_duration_parse(value, &cli->timeout_ms)) {
			cli_complain(
				"--timeout %s: must be 1ms to 3600s, such as 10, 10s or 1500ms",
				value);
			return false;
		}
		return true;
	}
	return false;
}

/* Reads the options; the bits of those given, or -1. */
static int cli_options_read(struct cli *cli, int argc, char **argv, bool *help)
{
	struct option options[ARRAY_SIZE(cli_options) + 3] = {{0}};
	int given = 0, c;

	for (size_t i = 0; i < ARRAY_SIZE(cli_options); i++) {
		options[i] = cli_options[i].option;
	}
	options[ARRAY_SIZE(cli_options)] = (struct option){"help", no_argument, NULL, 'h'};
	options[ARRAY_SIZE(cli_options) + 1] = (struct option){"version", no_argument, NULL, 'V'};
	while ((c = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
		if (c == 'h') {
			*help = true;
		} else if (c == 'V') {
			exit(cli_version(cli));
		} else if (c == '?' || !cli_option_take(cli, c, optarg)) {
			return -1;
		} else {
			given |= c;
		}
	}
	return given;
}

static enum cli_exit cli_run(struct cli *cli, int given)
{
	const struct cli_command *command = cli_command_find(cli);
	unsigned foreign;

	if (!command) {
		cli_complain("there is no command `%s%s%s`; see yokectl help", cli->args[0],
			cli->arg_count > 1 ? " " : "", cli->arg_count > 1 ? cli->args[1] : "");
		return CLI_USAGE;
	}
	if (cli->arg_count < command->args_min || cli->arg_count > command->args_max) {
		cli_complain("usage: yokectl %s %s", command->words,
			command->usage ? command->usage : "");
		return CLI_USAGE;
	}
	foreign = (unsigned)given & ~command->options;
	for (size_t i = 0; i < ARRAY_SIZE(cli_options); i++) {
		/* --socket is harmless everywhere: scripts set it for all their calls. */
		if (foreign & (unsigned)cli_options[i].option.val & ~(unsigned)CLI_OPT_SOCKET) {
			cli_complain(
				"`%s` takes no --%s", command->words, cli_options[i].option.name);
			return CLI_USAGE;
		}
	}
	return command->run(cli);
}

int main(int argc, char **argv)
{
	struct cli cli = {.socket = getenv("YOKE_SOCKET")};
	bool help = false;
	int given, code;

	if (conf_secrets_reader(argc, argv)) {
		return CLI_OK;
	}
	if (!cli.socket || cli.socket[0] == '\0') {
		cli.socket = YOKE_RUNDIR "/yoked.sock";
	}
	given = cli_options_read(&cli, argc, argv, &help);
	if (given < 0) {
		return CLI_USAGE;
	}
	cli.args = argv + optind;
	cli.arg_count = argc - optind;
	if (help) {
		return cli_help(&cli);
	}
	if (cli.arg_count == 0) {
		cli_usage_print(stderr);
		return CLI_USAGE;
	}
	curl_global_init(CURL_GLOBAL_NOTHING);
	code = cli_run(&cli, given);
	curl_global_cleanup();
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_complain("cannot write the output: %s", strerror(errno));
		return code == CLI_OK ? CLI_FAILED : code;
	}
	return code;
}
