/* SPDX-License-Identifier: BSD-3-Clause */
/* config check and config show. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "yoke/conf.h"

static void cli_config_check_json(const struct conf *conf, const struct conf_error *errors)
{
	json_t *list = json_array();
	json_t *answer;

	for (const struct conf_error *e = errors; e; e = e->next) {
		json_array_append_new(list, json_string(e->text));
	}
	answer = json_pack("{s:b, s:o}", "valid", (int)(conf != NULL), "errors", list);
	if (answer) {
		cli_print_json(answer);
	}
	json_decref(answer);
}

/*
 * The file with the secrets, if there is one: its errors. Only the daemon's user may read it: to
 * others it is a remark that it was not looked at.
 */
static struct conf *cli_secrets_check(struct conf *conf, struct conf_error **errors)
{
	struct conf_secrets *secrets;

	if (!conf || !conf->secrets_path) {
		return conf;
	}
	if (access(conf->secrets_path, R_OK) < 0 && errno == EACCES) {
		fprintf(stderr, "%s: not checked: %s\n", conf->secrets_path, strerror(errno));
		return conf;
	}
	secrets = conf_secrets_load(conf, errors);
	if (!secrets) {
		conf_free(conf);
		return NULL;
	}
	conf_secrets_free(secrets);
	return conf;
}

enum cli_exit cli_config_check(struct cli *cli)
{
	struct conf_error *errors = NULL;
	struct conf *conf = cli_secrets_check(conf_load(cli->args[0], &errors), &errors);
	enum cli_exit ret = conf ? CLI_OK : CLI_FAILED;
	unsigned count = 0;

	if (cli->json) {
		cli_config_check_json(conf, errors);
	} else if (conf) {
		printf("%s: no errors (%u controller%s, %u group%s, %u extent%s, %u target%s)\n",
			cli->args[0], conf->controller_count,
			conf->controller_count == 1 ? "" : "s", conf->group_count,
			conf->group_count == 1 ? "" : "s", conf->extent_count,
			conf->extent_count == 1 ? "" : "s", conf->target_count,
			conf->target_count == 1 ? "" : "s");
	} else {
		for (const struct conf_error *e = errors; e; e = e->next) {
			cli_print_clean(stderr, e->text);
			fputc('\n', stderr);
			count++;
		}
		fprintf(stderr, "%u error%s\n", count, count == 1 ? "" : "s");
	}
	conf_errors_free(errors);
	conf_free(conf);
	return ret;
}

enum cli_exit cli_config_show(struct cli *cli)
{
	json_t *answer;
	enum cli_exit ret = cli_request(
		cli, "GET", "/v1/config", NULL, cli->timeout_ms ? cli->timeout_ms : 10000, &answer);

	if (ret != CLI_OK) {
		return ret;
	}
	if (cli->json) {
		cli_print_json(answer);
	} else {
		fputs(cli_get_text(answer, "yaml"), stdout);
	}
	json_decref(answer);
	return CLI_OK;
}
