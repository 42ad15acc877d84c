/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prints the complete Pacemaker configuration for a Yoke configuration, as pcs and as crm commands.
 * What both print comes from the same tables. Fencing stays a blank: only the administrator knows
 * the power switches.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "yoke/conf.h"

#define CLI_CONTROLLER "yoke-controller"

struct cli_op {
	const char *name, *interval, *timeout, *role;
};

/* Two recurring monitors of one resource must differ in their interval. */
static const struct cli_op controller_ops[] = {
	{"start", "0s", "60s", NULL},
	{"stop", "0s", "60s", NULL},
	{"monitor", "10s", "20s", NULL},
};

static const struct cli_op group_ops[] = {
	{"start", "0s", "30s", NULL},
	{"stop", "0s", "60s", NULL},
	{"promote", "0s", "60s", NULL},
	{"demote", "0s", "30s", NULL},
	{"monitor", "9s", "20s", "Promoted"},
	{"monitor", "10s", "20s", "Unpromoted"},
};

struct cli_option_pair {
	const char *name, *value;
};

/*
 * A daemon that dies is started again where it was, three times before its controller is given
 * up for ten minutes. A group's instance that fails is given up at once, for no more than seconds:
 * it cannot start before its daemon is back, a failed start counts as a million failures, and two
 * daemons that die one after the other must not leave the group without a place.
 */
static const struct cli_option_pair controller_meta[] = {
	{"migration-threshold", "3"},
	{"failure-timeout", "10min"},
};

static const struct cli_option_pair group_meta[] = {
	{"migration-threshold", "1"},
	{"failure-timeout", "5s"},
};

static const struct cli_option_pair controller_clone_meta[] = {
	{"interleave", "true"},
};

static const struct cli_option_pair group_clone_meta[] = {
	{"promoted-max", "1"},
	{"notify", "false"},
	{"interleave", "true"},
};

static const struct cli_option_pair properties[] = {
	{"stonith-enabled", "true"},
	{"no-quorum-policy", "stop"},
	{"cluster-recheck-interval", "5min"},
};

/* ----- pieces -------------------------------------------------------------------------------- */

/* Quotes for sh where needed. */
static void cli_sh_print(const char *text)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,";

	if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
		fputs(text, stdout);
		return;
	}
	putchar('\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'') {
			fputs("'\\''", stdout);
		} else {
			putchar(*text);
		}
	}
	putchar('\'');
}

static void cli_pairs_print(const struct cli_option_pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		printf(" %s=%s", pairs[i].name, pairs[i].value);
	}
}

static void cli_op_print(const struct cli_op *op, const char *between)
{
	printf("%s%s interval=%s timeout=%s", between, op->name, op->interval, op->timeout);
	if (op->role) {
		printf(" role=%s", op->role);
	}
}

static void cli_socket_param_print(const struct conf *conf)
{
	if (strcmp(conf->socket_path, YOKE_RUNDIR "/yoked.sock") != 0) {
		fputs(" socket=", stdout);
		cli_sh_print(conf->socket_path);
	}
}

static void cli_head_print(const struct conf *conf, const char *path)
{
	printf("# Pacemaker for Yoke, cluster %s: controllers", conf->cluster);
	for (unsigned i = 0; i < conf->controller_count; i++) {
		printf("%s %s", i > 0 ? " and" : "", conf->controllers[i].name);
	}
	printf("; configuration %s, the same file on both.\n", path);
	puts("#\n"
	     "# In corosync.conf, on both controllers:\n"
	     "#   totem {  token: 1000    finds a lost controller in about 2.5 s; the default of "
	     "3000 takes 7 s\n"
	     "#            crypto_cipher: aes256    crypto_hash: sha256    transport: knet }\n"
	     "#   quorum { provider: corosync_votequorum    two_node: 1 }    leaves wait_for_all "
	     "on: keep it\n"
	     "# Node names and node ids there are the names and ids of the controllers in the Yoke "
	     "configuration.");
}

static void cli_fencing_head_print(void)
{
	puts("\n# >>>>>>>>>>>>>>>>>>>> FENCING: FILL IN BEFORE USE <<<<<<<<<<<<<<<<<<<<\n"
	     "# Without working fencing Pacemaker starts no resource, and a takeover would not be "
	     "safe.\n"
	     "# One device for each controller; the delay on one of them keeps them from shooting "
	     "each other.\n"
	     "# Test each: pcs stonith fence CONTROLLER, or: crm node fence CONTROLLER");
}

static void cli_fencing_foot_print(void)
{
	puts("# >>>>>>>>>>>>>>>>>>>> END OF FENCING <<<<<<<<<<<<<<<<<<<<");
}

/* ----- pcs ----------------------------------------------------------------------------------- */

static void cli_pcs_print(const struct conf *conf, const char *path)
{
	puts("\n# ---- pcs: run once, on one controller, as root ----");
	fputs("pcs property set", stdout);
	cli_pairs_print(properties, ARRAY_SIZE(properties));
	putchar('\n');

	cli_fencing_head_print();
	for (unsigned i = 0; i < conf->controller_count; i++) {
		printf("# pcs stonith create fence-%s fence_ipmilan ip='<BMC OF %s>' "
		       "username='<USER>' "
		       "\\\n"
		       "#     password_script='<SCRIPT>' lanplus=1 pcmk_host_list=%s%s\n",
			conf->controllers[i].name, conf->controllers[i].name,
			conf->controllers[i].name, i == 0 ? " pcmk_delay_base=2s" : "");
	}
	cli_fencing_foot_print();

	fputs("\npcs resource create " CLI_CONTROLLER " ocf:yoke:controller config=", stdout);
	cli_sh_print(path);
	cli_socket_param_print(conf);
	for (size_t i = 0; i < ARRAY_SIZE(controller_ops); i++) {
		cli_op_print(&controller_ops[i], i == 0 ? " \\\n    op " : " \\\n       ");
	}
	fputs(" \\\n    meta", stdout);
	cli_pairs_print(controller_meta, ARRAY_SIZE(controller_meta));
	fputs(" \\\n    clone " CLI_CONTROLLER "-clone", stdout);
	cli_pairs_print(controller_clone_meta, ARRAY_SIZE(controller_clone_meta));
	putchar('\n');

	for (unsigned g = 0; g < conf->group_count; g++) {
		const char *name = conf->groups[g].name;

		printf("\npcs resource create yoke-%s ocf:yoke:group group=%s", name, name);
		cli_socket_param_print(conf);
		for (size_t i = 0; i < ARRAY_SIZE(group_ops); i++) {
			cli_op_print(&group_ops[i], i == 0 ? " \\\n    op " : " \\\n       ");
		}
		fputs(" \\\n    meta", stdout);
		cli_pairs_print(group_meta, ARRAY_SIZE(group_meta));
		printf(" \\\n    promotable yoke-%s-clone", name);
		cli_pairs_print(group_clone_meta, ARRAY_SIZE(group_clone_meta));
		printf("\npcs constraint order start " CLI_CONTROLLER
		       "-clone then start yoke-%s-clone\n",
			name);
		printf("pcs constraint colocation add yoke-%s-clone with " CLI_CONTROLLER
		       "-clone INFINITY\n",
			name);
	}
}

/* ----- crm ----------------------------------------------------------------------------------- */

static void cli_crm_primitive_end(const struct cli_op *ops, size_t op_count,
	const struct cli_option_pair *meta, size_t meta_count)
{
	for (size_t i = 0; i < op_count; i++) {
		cli_op_print(&ops[i], " \\\n    op ");
	}
	fputs(" \\\n    meta", stdout);
	cli_pairs_print(meta, meta_count);
	putchar('\n');
}

static void cli_crm_print(const struct conf *conf, const char *path)
{
	puts("\n# ---- crm: run once, on one controller, as root ----");
	/* Outside of what crm reads: it would keep the comments in the configuration. */
	cli_fencing_head_print();
	for (unsigned i = 0; i < conf->controller_count; i++) {
		printf("# crm configure primitive fence-%s stonith:fence_ipmilan params ip='<BMC "
		       "OF %s>' \\\n"
		       "#     username='<USER>' password_script='<SCRIPT>' lanplus=1 "
		       "pcmk_host_list=%s%s\n",
			conf->controllers[i].name, conf->controllers[i].name,
			conf->controllers[i].name, i == 0 ? " pcmk_delay_base=2s" : "");
	}
	cli_fencing_foot_print();

	fputs("\ncrm configure load update - <<'END'\nproperty", stdout);
	cli_pairs_print(properties, ARRAY_SIZE(properties));
	putchar('\n');

	fputs("\nprimitive " CLI_CONTROLLER " ocf:yoke:controller \\\n    params config=", stdout);
	cli_sh_print(path);
	cli_socket_param_print(conf);
	cli_crm_primitive_end(controller_ops, ARRAY_SIZE(controller_ops), controller_meta,
		ARRAY_SIZE(controller_meta));
	fputs("clone " CLI_CONTROLLER "-clone " CLI_CONTROLLER " meta", stdout);
	cli_pairs_print(controller_clone_meta, ARRAY_SIZE(controller_clone_meta));
	putchar('\n');

	for (unsigned g = 0; g < conf->group_count; g++) {
		const char *name = conf->groups[g].name;

		printf("\nprimitive yoke-%s ocf:yoke:group \\\n    params group=%s", name, name);
		cli_socket_param_print(conf);
		cli_crm_primitive_end(
			group_ops, ARRAY_SIZE(group_ops), group_meta, ARRAY_SIZE(group_meta));
		printf("clone yoke-%s-clone yoke-%s meta promotable=true", name, name);
		cli_pairs_print(group_clone_meta, ARRAY_SIZE(group_clone_meta));
		printf("\norder order-yoke-%s Mandatory: " CLI_CONTROLLER
		       "-clone:start yoke-%s-clone:start\n",
			name, name);
		printf("colocation with-controller-yoke-%s inf: yoke-%s-clone " CLI_CONTROLLER
		       "-clone\n",
			name, name);
	}
	puts("END");
}

/* ----- the command --------------------------------------------------------------------------- */

static void cli_conf_errors_print(struct conf_error *errors)
{
	for (const struct conf_error *e = errors; e; e = e->next) {
		cli_print_clean(stderr, e->text);
		fputc('\n', stderr);
	}
	conf_errors_free(errors);
}

/* The running configuration; *path becomes a copy of the name of its file. */
static enum cli_exit cli_conf_running(const struct cli *cli, struct conf **conf, char **path)
{
	struct conf_error *errors = NULL;
	const char *yaml;
	json_t *answer;
	enum cli_exit ret = cli_request(
		cli, "GET", "/v1/config", NULL, cli->timeout_ms ? cli->timeout_ms : 10000, &answer);

	if (ret != CLI_OK) {
		cli_complain("to print it without the daemon, use --config FILE");
		return ret;
	}
	yaml = cli_get_text(answer, "yaml");
	*conf = conf_parse(yaml, strlen(yaml), "running configuration", &errors);
	*path = strdup(cli_get_text(answer, "path"));
	cli_conf_errors_print(errors);
	json_decref(answer);
	return *conf && *path ? CLI_OK : CLI_FAILED;
}

static enum cli_exit cli_conf_get(const struct cli *cli, struct conf **conf, char **path)
{
	struct conf_error *errors = NULL;

	if (!cli->config) {
		return cli_conf_running(cli, conf, path);
	}
	*conf = conf_load(cli->config, &errors);
	*path = realpath(cli->config, NULL);
	cli_conf_errors_print(errors);
	return *conf && *path ? CLI_OK : CLI_FAILED;
}

enum cli_exit cli_pacemaker(struct cli *cli)
{
	bool pcs = !cli->format || strcmp(cli->format, "pcs") == 0;
	bool crm = !cli->format || strcmp(cli->format, "crm") == 0;
	cleanup_free char *path = NULL;
	struct conf *conf = NULL;
	enum cli_exit ret;

	if (!pcs && !crm) {
		cli_complain("--format %s: must be pcs or crm", cli->format);
		return CLI_USAGE;
	}
	ret = cli_conf_get(cli, &conf, &path);
	if (ret == CLI_OK && !conf->cluster) {
		cli_complain("%s: `cluster: none` needs no Pacemaker; start it with: systemctl "
			     "enable --now yoked",
			path);
		ret = CLI_FAILED;
	}
	if (ret == CLI_OK) {
		cli_head_print(conf, path);
		if (pcs) {
			cli_pcs_print(conf, path);
		}
		if (crm) {
			cli_crm_print(conf, path);
		}
	}
	conf_free(conf);
	return ret;
}
