/* SPDX-License-Identifier: BSD-3-Clause */
/* yoked: options, configuration, background, pid file; daemon.c does the rest. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <corosync/cmap.h>

#include "config.h"
#include "daemon/background.h"
#include "daemon/daemon.h"
#include "daemon/pidfile.h"
#include "yoke/conf.h"
#include "yoke/log.h"
#include "yoke/util.h"

/* Exit statuses: yoked(8) lists them. */
enum main_status {
	MAIN_OK = 0,
	MAIN_FAILED = 1,
	MAIN_USAGE = 2,
	MAIN_CONFIG = 3,
};

struct options {
	const char *config;
	const char *controller;
	const char *pidfile;
	bool foreground;
	bool check;
};

static const struct {
	struct option option;
	const char *help;
} main_options[] = {
	{{"config", required_argument, NULL, 'c'},
		"configuration [" YOKE_SYSCONFDIR "/yoke/yoke.yaml]"},
	{{"controller", required_argument, NULL, 'n'},
		"which controller this is [the cluster node's name]"},
	{{"foreground", no_argument, NULL, 'f'},
		"stays in the foreground and logs to standard error"},
	{{"pidfile", required_argument, NULL, 'p'}, "process id file [" YOKE_RUNDIR "/yoked.pid]"},
	{{"check", no_argument, NULL, 'k'}, "checks the configuration and ends"},
	{{"version", no_argument, NULL, 'V'}, "prints the version"},
	{{"help", no_argument, NULL, 'h'}, "prints this"},
};

static void main_usage(FILE *out)
{
	fputs("usage: yoked [OPTION...]\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(main_options); i++) {
		char line[40];

		snprintf(line, sizeof(line), "--%s%s", main_options[i].option.name,
			main_options[i].option.has_arg ? " VALUE" : "");
		fprintf(out, "  %-20s %s\n", line, main_options[i].help);
	}
	fputs("-c, -f and -h are short for --config, --foreground and --help\n", out);
}

/* False: *code is the exit code. */
static bool main_options_read(struct options *options, int argc, char **argv, int *code)
{
	struct option list[ARRAY_SIZE(main_options) + 1] = {{0}};
	int c;

	for (size_t i = 0; i < ARRAY_SIZE(main_options); i++) {
		list[i] = main_options[i].option;
	}
	*code = MAIN_OK;
	while ((c = getopt_long(argc, argv, "c:fh", list, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->config = optarg;
			break;
		case 'n':
			options->controller = optarg;
			break;
		case 'f':
			options->foreground = true;
			break;
		case 'p':
			options->pidfile = optarg;
			break;
		case 'k':
			options->check = true;
			break;
		case 'V':
			puts("yoked " PACKAGE_VERSION);
			return false;
		case 'h':
			main_usage(stdout);
			return false;
		default:
			*code = MAIN_USAGE;
			return false;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "yoked: %s: not an option; see yoked --help\n", argv[optind]);
		*code = MAIN_USAGE;
		return false;
	}
	return true;
}

static struct conf *main_conf_load(const char *path)
{
	/* The name is shown and handed on: it must not depend on the working directory. */
	cleanup_free char *absolute = realpath(path, NULL);
	struct conf_error *errors = NULL;
	struct conf *conf = conf_load(absolute ? absolute : path, &errors);

	for (const struct conf_error *e = errors; e; e = e->next) {
		fprintf(stderr, "%s\n", e->text);
	}
	conf_errors_free(errors);
	return conf;
}

/* Every error of the secrets file, before anything starts; the daemon reads it again. */
static bool main_secrets_check(const struct conf *conf)
{
	struct conf_error *errors = NULL;
	struct conf_secrets *secrets;
	bool good = !conf->secrets_path;

	if (!good) {
		secrets = conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, &errors);
		good = secrets != NULL;
		conf_secrets_free(secrets);
	}
	for (const struct conf_error *e = errors; e; e = e->next) {
		fprintf(stderr, "%s\n", e->text);
	}
	conf_errors_free(errors);
	return good;
}

/* ----- which controller ---------------------------------------------------------------------- */

/* Corosync's name for this node, malloc'd; NULL when Corosync does not run or knows no name. */
static char *main_corosync_name(void)
{
	char key[CMAP_KEYNAME_MAXLEN + 1], *name = NULL;
	cmap_iter_handle_t iter;
	cmap_handle_t cmap;
	uint32_t here, id;
	unsigned position;

	if (cmap_initialize(&cmap) != CS_OK) {
		return NULL;
	}
	if (cmap_get_uint32(cmap, "runtime.votequorum.this_node_id", &here) == CS_OK &&
		cmap_iter_init(cmap, "nodelist.node.", &iter) == CS_OK) {
		while (!name && cmap_iter_next(cmap, iter, key, NULL, NULL) == CS_OK) {
			if (sscanf(key, "nodelist.node.%u.nodeid", &position) != 1 ||
				!strstr(key, ".nodeid") ||
				cmap_get_uint32(cmap, key, &id) != CS_OK || id != here) {
				continue;
			}
			snprintf(key, sizeof(key), "nodelist.node.%u.name", position);
			if (cmap_get_string(cmap, key, &name) != CS_OK) {
				name = NULL;
			}
		}
		cmap_iter_finalize(cmap, iter);
	}
	cmap_finalize(cmap);
	return name;
}

/* The controller that this daemon is; NULL (said) when none fits. */
static const struct conf_controller *main_controller_find(
	const struct conf *conf, const char *wanted)
{
	cleanup_free char *node = NULL;
	const struct conf_controller *controller;
	struct utsname uts;

	if (!conf->cluster && !wanted && conf->controller_count == 1) {
		return &conf->controllers[0];
	}
	if (!wanted && conf->cluster) {
		node = main_corosync_name();
	}
	if (!wanted && !node && uname(&uts) == 0) {
		node = strdup(uts.nodename);
	}
	wanted = wanted ? wanted : node ? node : "";
	controller = conf_controller_by_name(conf, wanted);
	if (!controller) {
		fprintf(stderr,
			"yoked: %s: there is no controller %s in `controllers`; name this one with "
			"--controller, or after its cluster node\n",
			conf->path, wanted[0] != '\0' ? wanted : "(node name unknown)");
	}
	return controller;
}

/* ----- run ----------------------------------------------------------------------------------- */

/* As many open descriptors as the hard limit allows. */
static void main_limits_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* From the made daemon to its end; `waiter` is told as soon as it works. */
static int main_serve(const struct conf *conf, const struct conf_controller *controller, int waiter)
{
	char error[512] = "";
	struct daemon *daemon = daemon_new(conf, controller, error, sizeof(error));
	int status;

	if (!daemon) {
		log_err("%s", error);
		if (waiter >= 0) {
			fprintf(stderr, "yoked: %s\n", error);
		}
		return MAIN_FAILED;
	}
	log_notice("yoked %s: controller %s (%u), cluster %s", PACKAGE_VERSION, controller->name,
		controller->id, conf->cluster ? conf->cluster : "none");
	/* The control socket listens; it is answered as soon as the loop runs. */
	background_done(waiter, MAIN_OK);
	status = daemon_run(daemon);
	daemon_free(daemon);
	log_notice("yoked has ended");
	return status;
}

static int main_run(const struct options *options, const struct conf *conf)
{
	const struct conf_controller *controller;
	int waiter = -1, pidfile, status;

	if (!options->foreground) {
		waiter = background_start();
		if (waiter < 0) {
			fprintf(stderr, "yoked: cannot go to the background: %s\n",
				strerror(-waiter));
			return MAIN_FAILED;
		}
	}
	pidfile = pidfile_open(options->pidfile);
	if (pidfile < 0) {
		fprintf(stderr, "yoked: %s: %s\n", options->pidfile,
			pidfile == -EWOULDBLOCK ? "another yoked runs; end it with yokectl stop"
						: strerror(-pidfile));
		return MAIN_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	main_limits_raise();
	/* Before the first call to Corosync: its libraries log through libqb too, and after them
	 * syslog stays silent. */
	yoke_log_open("yoked", conf->log_level, options->foreground);
	controller = main_controller_find(conf, options->controller);
	if (controller) {
		status = main_serve(conf, controller, waiter);
	} else {
		status = MAIN_CONFIG;
		background_done(waiter, status);
	}
	yoke_log_close();
	pidfile_close(pidfile);
	return status;
}

int main(int argc, char **argv)
{
	struct options options = {
		.config = YOKE_SYSCONFDIR "/yoke/yoke.yaml",
		.pidfile = YOKE_RUNDIR "/yoked.pid",
	};
	struct conf *conf;
	int code;

	if (conf_secrets_reader(argc, argv)) {
		return MAIN_OK;
	}
	if (!main_options_read(&options, argc, argv, &code)) {
		return code;
	}
	if (options.pidfile[0] != '/') {
		fprintf(stderr, "yoked: --pidfile %s: must be an absolute path\n", options.pidfile);
		return MAIN_USAGE;
	}
	conf = main_conf_load(options.config);
	if (!conf || !main_secrets_check(conf)) {
		conf_free(conf);
		return MAIN_CONFIG;
	}
	if (options.check) {
		printf("%s: no errors\n", options.config);
		conf_free(conf);
		return MAIN_OK;
	}
	code = main_run(&options, conf);
	conf_free(conf);
	return code;
}
