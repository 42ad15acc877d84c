// SPDX-License-Identifier: BSD-3-Clause
/*
 * Prints yoke.yaml(5) or docs/configuration.md. The build runs it: the text of every key comes
 * from the schema, what stands around it from here, the example from docs/yoke.yaml.example.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/conf.h"
#include "yoke/util.h"

static const char man_head[] =
	".\\\" SPDX-License-Identifier: BSD-3-Clause\n"
	".\\\" Made from the schema of the configuration: do not edit.\n"
	".TH YOKE.YAML 5 \"\" \"Yoke\" \"File formats\"\n"
	".SH NAME\n"
	"yoke.yaml \\- configuration of the Yoke iSCSI target\n"
	".SH SYNOPSIS\n"
	".I " YOKE_SYSCONFDIR "/yoke/yoke.yaml\n"
	".SH DESCRIPTION\n"
	".ad l\n"
	"One YAML file, the same on both controllers; which of them it is read on is told by the\n"
	"name of the cluster node. Unknown keys, values out of range and names that nothing has\n"
	"are errors, told with file, line and key.\n"
	".B yokectl config check\n"
	".I FILE\n"
	"reports all of them at once,\n"
	".B yokectl config show\n"
	"prints what the daemon runs with, defaults filled in. A changed file takes effect when\n"
	".BR yoked (8)\n"
	"starts again. Two daemons with different configurations do not work together: the one "
	"that\n"
	"comes later stays out of sync until its file is the same.\n"
	".SS Values\n"
	"A size is a number with\n"
	".BR B ,\\~ KiB ,\\~ MiB ,\\~ GiB \\~or\\~ TiB ;\n"
	"a time is a number with\n"
	".BR us ,\\~ ms ,\\~ s \\~or\\~ min ;\n"
	"an address is a literal IPv4 or IPv6 address, with or without a port, as in\n"
	".BR 10.77.1.1 ,\\~ 10.77.1.1:3260 \\~or\\~ [fd00::1]:3260 .\n"
	".SH KEYS\n";

static const char man_tail[] = ".SH FILES\n"
			       ".TP\n"
			       ".I " YOKE_SYSCONFDIR "/yoke/yoke.yaml\n"
			       "Configuration.\n"
			       ".TP\n"
			       ".I " YOKE_SYSCONFDIR "/yoke/yoke.yaml.example\n"
			       "The example above.\n"
			       ".TP\n"
			       ".I " YOKE_SYSCONFDIR "/yoke/interconnect.key\n"
			       "The secret that both controllers share.\n"
			       ".TP\n"
			       ".I " YOKE_SYSCONFDIR "/yoke/secrets.yaml\n"
			       "CHAP names and secrets, where `secrets` names it.\n"
			       ".SH SEE ALSO\n"
			       ".BR yoked (8),\n"
			       ".BR yokectl (8),\n"
			       ".BR ocf_yoke_controller (7),\n"
			       ".BR ocf_yoke_group (7)\n";

static const char markdown_head[] =
	"<!-- SPDX-License-Identifier: BSD-3-Clause -->\n"
	"<!-- Made from the schema of the configuration: do not edit. -->\n"
	"# Configuration reference\n"
	"\n"
	"Every key of `" YOKE_SYSCONFDIR "/yoke/yoke.yaml`; yoke.yaml(5) says the same. "
	"`yoke.yaml.example` is a complete file.\n";

/* As it stands, in a form that troff leaves alone. */
static void example_print(FILE *in)
{
	bool line_start = true;
	int c;

	fputs(".SH EXAMPLE\n.EX\n", stdout);
	while ((c = getc(in)) != EOF) {
		if (line_start && (c == '.' || c == '\'')) {
			fputs("\\&", stdout);
		}
		if (c == '\\') {
			fputs("\\e", stdout);
		} else if (c == '-') {
			fputs("\\-", stdout);
		} else {
			putchar(c);
		}
		line_start = c == '\n';
	}
	fputs(".EE\n", stdout);
}

static int man_print(const char *example)
{
	cleanup_free char *keys = conf_reference(true);
	FILE *in = fopen(example, "r");
	int error;

	if (!keys || !in) {
		fprintf(stderr, "conf_reference: %s: %s\n", example,
			keys ? "cannot be read" : "out of memory");
		if (in) {
			fclose(in);
		}
		return 1;
	}
	fputs(man_head, stdout);
	fputs(keys, stdout);
	example_print(in);
	error = ferror(in);
	fclose(in);
	fputs(man_tail, stdout);
	return error ? 1 : 0;
}

static int markdown_print(void)
{
	cleanup_free char *keys = conf_reference(false);

	if (!keys) {
		fputs("conf_reference: out of memory\n", stderr);
		return 1;
	}
	fputs(markdown_head, stdout);
	fputs(keys, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	int status = 2;

	if (argc == 3 && !strcmp(argv[1], "man")) {
		status = man_print(argv[2]);
	} else if (argc == 2 && !strcmp(argv[1], "markdown")) {
		status = markdown_print();
	} else {
		fputs("usage: conf_reference man EXAMPLE | markdown\n", stderr);
	}
	/* A full disk must not leave half a page that make takes for a whole one. */
	return fflush(stdout) || ferror(stdout) ? 1 : status;
}
