/* SPDX-License-Identifier: BSD-3-Clause */
/* config check, diff, reload and show. */
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
	secrets = conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, errors);
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

/* The running configuration, from the daemon; NULL with the exit code in *ret. */
static struct conf *cli_config_running(struct cli *cli, enum cli_exit *ret)
{
	struct conf_error *errors;
	struct conf *conf = NULL;
	json_t *answer;

	*ret = cli_request(
		cli, "GET", "/v1/config", NULL, cli->timeout_ms ? cli->timeout_ms : 10000, &answer);
	if (*ret == CLI_OK) {
		const char *yaml = cli_get_text(answer, "yaml");

		conf = conf_parse(yaml, strlen(yaml), "the running configuration", &errors);
		if (!conf) {
			cli_complain("%s", errors->text);
			conf_errors_free(errors);
			*ret = CLI_FAILED;
		}
		json_decref(answer);
	}
	return conf;
}

static void cli_changes_json(const struct conf_change *changes, bool online)
{
	json_t *list = json_array(), *answer;

	for (const struct conf_change *c = changes; c; c = c->next) {
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s, s:s, s:b, s:s?}", "kind",
				conf_change_kind_name(c->kind), "key", c->where, "from", c->from,
				"to", c->to, "online", (int)c->online, "remedy", c->remedy));
	}
	answer = json_pack("{s:b, s:o}", "online", (int)online, "changes", list);
	if (answer) {
		cli_print_json(answer);
	}
	json_decref(answer);
}

static void cli_changes_print(const struct conf_change *changes)
{
	for (const struct conf_change *c = changes; c; c = c->next) {
		if (c->kind == CONF_CHANGED) {
			printf("%-8s %s: \"%s\" -> \"%s\"\n", conf_change_kind_name(c->kind),
				c->where, c->from, c->to);
		} else {
			printf("%-8s %s\n", conf_change_kind_name(c->kind), c->where);
		}
		if (!c->online) {
			printf("%-8s not by a reload: %s\n", "", c->remedy);
		}
	}
	if (!changes) {
		printf("no changes\n");
	}
}

enum cli_exit cli_config_diff(struct cli *cli)
{
	struct conf_error *errors;
	struct conf_change *changes = NULL;
	struct conf *to = conf_load(cli->args[0], &errors), *from;
	enum cli_exit ret = CLI_FAILED;
	bool online = true;

	if (!to) {
		for (const struct conf_error *e = errors; e; e = e->next) {
			cli_print_clean(stderr, e->text);
			fputc('\n', stderr);
		}
		conf_errors_free(errors);
		return CLI_FAILED;
	}
	from = cli_config_running(cli, &ret);
	if (from && conf_diff(from, to, &changes) < 0) {
		cli_complain("out of memory");
		ret = CLI_FAILED;
	} else if (from) {
		for (const struct conf_change *c = changes; c; c = c->next) {
			online = online && c->online;
		}
		if (cli->json) {
			cli_changes_json(changes, online);
		} else {
			cli_changes_print(changes);
		}
		ret = online ? CLI_OK : CLI_FAILED;
	}
	conf_changes_free(changes);
	conf_free(from);
	conf_free(to);
	return ret;
}

enum cli_exit cli_config_reload(struct cli *cli)
{
	json_t *answer;
	enum cli_exit ret = cli_request(cli, "POST", "/v1/config/reload", NULL,
		cli->timeout_ms ? cli->timeout_ms : 60000, &answer);

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
