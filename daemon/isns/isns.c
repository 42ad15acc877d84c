/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/isns.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/isns/line.h"
#include "yoke/child.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define RESTART_FIRST_MS 1000u /* after the program has ended by itself; doubled each time */
#define RESTART_LAST_MS	 60000u
#define STOP_LIMIT_MS	 3000u
#define REQUEST_MAX	 (1u << 20) /* bytes of what a program is told */
#define WENT_MAX	 256u /* names that are kept for servers that do not answer */

/* The name of a target that servers may have, because they did not answer when it went. */
struct isns_went {
	struct isns_went *next;
	char name[];
};

struct isns_server {
	struct isns *isns;
	const struct conf_address *address;
	enum isns_state state;
	uint64_t since_unix_s;
	char problem[ISNS_LINE_MAX];
	uint32_t period_s, esi_interval_s;
	uint64_t inquiries, registrations;
	pid_t pid; /* 0 = no program runs */
	int pid_fd, to_fd, from_fd;
	struct isns_line line;
	uint32_t pause_ms;
	qb_loop_timer_handle restart;
	bool restart_set;
	bool ending; /* it was told to stop, and the daemon goes on */
};

struct isns {
	struct isns_setup setup; /* conf: the one that counts */
	const struct conf_controller *controller;
	char *entity; /* its identifier; NULL: there is nothing to register */
	char *head; /* what every program is told at its start: all but the targets, */
	char *targets; /* and these, up to "start" */
	struct isns_went *went; /* targets that were there once, newest first */
	bool started, stopping;
	unsigned running;
	void (*stopped)(void *arg);
	void *stopped_arg;
	qb_loop_timer_handle limit;
	bool limit_set;
	unsigned server_count;
	struct isns_server servers[];
};

static const char *const state_names[ISNS_STATES] = {
	[ISNS_IDLE] = "idle",
	[ISNS_REGISTERING] = "registering",
	[ISNS_REGISTERED] = "registered",
	[ISNS_FAILED] = "failed",
	[ISNS_STOPPING] = "stopping",
};

const char *isns_state_name(enum isns_state state)
{
	return (unsigned)state < ISNS_STATES ? state_names[state] : "unknown";
}

static void state_set(struct isns_server *server, enum isns_state state)
{
	if (server->state != state) {
		server->state = state;
		server->since_unix_s = (uint64_t)time(NULL);
	}
}

/* A server that is down stays a matter of the log's and the status's: once for each change. */
static void server_fail(struct isns_server *server, const char *problem)
{
	if (server->state != ISNS_FAILED || strcmp(server->problem, problem) != 0) {
		log_warning(
			"iSNS server %s: %s; it is tried again", server->address->text, problem);
	}
	snprintf(server->problem, sizeof(server->problem), "%s", problem);
	server->period_s = 0;
	server->esi_interval_s = 0;
	state_set(server, ISNS_FAILED);
}

/* ----- what the program says ------------------------------------------------------------------ */

static void said_registered(struct isns_server *server, const struct isns_said *said)
{
	if (server->state != ISNS_REGISTERED) {
		log_notice("iSNS server %s: registered", server->address->text);
	}
	server->period_s = said->period_s;
	server->esi_interval_s = said->esi_interval_s;
	server->registrations++;
	server->problem[0] = '\0';
	server->pause_ms = RESTART_FIRST_MS;
	state_set(server, ISNS_REGISTERED);
}

static void line_heard(struct isns_server *server)
{
	struct isns_said said;

	if (isns_line_read(server->line.text, &said) < 0) {
		log_warning("iSNS server %s: the program says \"%s %s\"", server->address->text,
			server->line.text, said.rest);
		return;
	}
	switch (said.word) {
	case ISNS_WORD_REGISTERED:
		said_registered(server, &said);
		break;
	case ISNS_WORD_INQUIRY:
		server->inquiries++;
		break;
	case ISNS_WORD_FAILED:
		server_fail(server, said.rest);
		break;
	case ISNS_WORD_GONE:
		log_notice("iSNS server %s: deregistered", server->address->text);
		break;
	case ISNS_WORD_UNKNOWN:
		log_debug("iSNS server %s: the program says \"%s\"", server->address->text,
			server->line.text);
		break;
	}
}

static void bytes_heard(struct isns_server *server, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (isns_line_take(&server->line, bytes[i])) {
			line_heard(server);
		}
	}
}

static void from_close(struct isns_server *server)
{
	if (server->from_fd >= 0) {
		qb_loop_poll_del(server->isns->setup.loop, server->from_fd);
		close(server->from_fd);
		server->from_fd = -1;
	}
}

static int from_ready(int32_t fd, int32_t revents, void *arg)
{
	struct isns_server *server = arg;
	char bytes[512];
	ssize_t count = read(fd, bytes, sizeof(bytes));

	if (count > 0) {
		bytes_heard(server, bytes, (size_t)count);
	} else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
		from_close(server);
	}
	return 0;
}

/* ----- the program's life --------------------------------------------------------------------- */

static void server_run(struct isns_server *server);

static void restart_now(void *arg)
{
	struct isns_server *server = arg;

	server->restart_set = false;
	server_run(server);
}

static void restart_later(struct isns_server *server)
{
	qb_loop_timer_add(server->isns->setup.loop, QB_LOOP_LOW,
		(uint64_t)server->pause_ms * QB_TIME_NS_IN_MSEC, server, restart_now,
		&server->restart);
	server->restart_set = true;
	server->pause_ms =
		server->pause_ms * 2 < RESTART_LAST_MS ? server->pause_ms * 2 : RESTART_LAST_MS;
}

static void to_close(struct isns_server *server)
{
	if (server->to_fd >= 0) {
		close(server->to_fd);
		server->to_fd = -1;
	}
}

/* All programs are gone, or it has taken too long. */
static void stop_end(struct isns *isns)
{
	void (*stopped)(void *arg) = isns->stopped;

	if (isns->limit_set) {
		qb_loop_timer_del(isns->setup.loop, isns->limit);
		isns->limit_set = false;
	}
	isns->stopped = NULL;
	if (stopped) {
		stopped(isns->stopped_arg);
	}
}

static void server_forget(struct isns_server *server)
{
	qb_loop_poll_del(server->isns->setup.loop, server->pid_fd);
	close(server->pid_fd);
	server->pid_fd = -1;
	server->pid = 0;
	to_close(server);
	from_close(server);
	server->isns->running--;
}

static int program_ended(int32_t fd, int32_t revents, void *arg)
{
	struct isns_server *server = arg;
	struct isns *isns = server->isns;
	siginfo_t info = {0};
	char problem[64];

	while (server->from_fd >= 0) { /* its last words */
		struct pollfd ready = {.fd = server->from_fd, .events = POLLIN};

		if (poll(&ready, 1, 0) <= 0) {
			break;
		}
		from_ready(server->from_fd, POLLIN, server);
	}
	waitid(P_PIDFD, (id_t)server->pid_fd, &info, WEXITED);
	server_forget(server);
	if (isns->stopping) {
		state_set(server, ISNS_IDLE);
		if (isns->running == 0) {
			stop_end(isns);
		}
		return 0;
	}
	if (server->ending) {
		server->ending = false;
		state_set(server, ISNS_IDLE);
		if (isns->entity) {
			server_run(server); /* with what is to be told now */
		}
		return 0;
	}
	snprintf(problem, sizeof(problem), "the program has ended with %s %d",
		info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
	server_fail(server, problem);
	restart_later(server);
	return 0;
}

static int program_spawn(struct isns_server *server, int in, int out)
{
	const char *program = server->isns->setup.program;
	const char *const argv[] = {program, server->address->text, NULL};

	return child_start(program, argv, in, out, &server->pid);
}

/* The program runs: what it says and its end are heard. */
static int program_watch(struct isns_server *server)
{
	qb_loop_t *loop = server->isns->setup.loop;

	server->pid_fd = pidfd_open(server->pid, 0);
	if (server->pid_fd < 0) {
		return -errno;
	}
	fcntl(server->pid_fd, F_SETFD, FD_CLOEXEC);
	fcntl(server->from_fd, F_SETFL, O_NONBLOCK);
	if (qb_loop_poll_add(loop, QB_LOOP_LOW, server->from_fd, POLLIN, server, from_ready) < 0) {
		return -ENOMEM;
	}
	return qb_loop_poll_add(loop, QB_LOOP_LOW, server->pid_fd, POLLIN, server, program_ended);
}

/*
 * What a program is told fits into its pipe, so that it cannot keep the control thread waiting: the
 * pipe is made large enough first. 0 or a negative errno.
 */
static int program_tell(struct isns_server *server, const char *first, const char *then)
{
	const struct iovec parts[] = {
		{(char *)(uintptr_t)first, strlen(first)}, {(char *)(uintptr_t)then, strlen(then)}};
	size_t length = parts[0].iov_len + parts[1].iov_len;
	int unread = 0;

	ioctl(server->to_fd, FIONREAD, &unread);
	/* Each write begins a page of its own. */
	if (fcntl(server->to_fd, F_SETPIPE_SZ, unread + (int)length + 2 * 4096) < 0) {
		return -errno;
	}
	return writev(server->to_fd, parts, 2) == (ssize_t)length ? 0 : -EAGAIN;
}

static int server_try(struct isns_server *server)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	int err = 0;

	if (pipe2(in, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(out, O_CLOEXEC) < 0) {
		err = -errno;
	}
	if (!err) {
		fcntl(in[0], F_SETFL, 0);
		server->to_fd = in[1];
		server->from_fd = out[0];
		err = program_tell(server, server->isns->head, server->isns->targets);
	}
	if (!err) {
		err = program_spawn(server, in[0], out[1]);
	}
	for (int i = 0; i < 2; i++) {
		int fd = i ? out[1] : in[0];

		if (fd >= 0) {
			close(fd);
		}
	}
	return err;
}

static void server_run(struct isns_server *server)
{
	char problem[128];
	int err = server_try(server);

	if (!err) {
		server->isns->running++;
		err = program_watch(server);
		if (!err) {
			if (server->state != ISNS_FAILED) {
				state_set(server, ISNS_REGISTERING);
			}
			return;
		}
		kill(server->pid, SIGKILL);
		waitpid(server->pid, NULL, 0);
		server->pid = 0;
		server->isns->running--;
	}
	to_close(server);
	if (server->from_fd >= 0) {
		close(server->from_fd);
		server->from_fd = -1;
	}
	snprintf(problem, sizeof(problem), "%s cannot be started: %s", server->isns->setup.program,
		strerror(-err));
	server_fail(server, problem);
	restart_later(server);
}

/* ----- what it is told ------------------------------------------------------------------------ */

static void portals_write(const struct isns *isns, FILE *to)
{
	for (unsigned i = 0; i < isns->controller->portal_count; i++) {
		fprintf(to, "%s %s\n", ISNS_TOLD_PORTAL, isns->controller->portals[i].text);
	}
}

static const char *entity_of(const struct conf *conf)
{
	return conf->target_count == 0 ? NULL
	       : conf->isns.entity     ? conf->isns.entity
				       : conf->targets[0].name;
}

/* Text from a stream, malloc'd; NULL: out of memory, or more than any pipe takes. */
static char *stream_text(FILE *to, char **text, const size_t *length)
{
	bool ok = to && fclose(to) == 0 && *length < REQUEST_MAX;

	if (!ok) {
		free(*text);
		*text = NULL;
	}
	return *text;
}

static char *head_make(const struct isns *isns, const char *entity)
{
	const struct conf *conf = isns->setup.conf;
	char *text = NULL;
	size_t length = 0;
	FILE *to = open_memstream(&text, &length);

	if (to) {
		fprintf(to, "%s %s\n", ISNS_TOLD_ENTITY, entity);
		fprintf(to, "%s %u\n", ISNS_TOLD_PERIOD, conf->isns.period_s);
		fprintf(to, "%s %u\n", ISNS_TOLD_ESI, conf->isns.esi_interval_s);
		fprintf(to, "%s %u\n", ISNS_TOLD_TAG, isns->setup.controller);
		portals_write(isns, to);
	}
	return stream_text(to, &text, &length);
}

static char *targets_make(const struct conf *conf, const struct isns_went *went)
{
	char *text = NULL;
	size_t length = 0;
	FILE *to = open_memstream(&text, &length);

	for (unsigned i = 0; to && i < conf->target_count; i++) {
		const struct conf_target *target = &conf->targets[i];

		fprintf(to, "%s %s%s%s\n", ISNS_TOLD_TARGET, target->name, target->alias ? " " : "",
			target->alias ? target->alias : "");
	}
	for (; to && went; went = went->next) {
		fprintf(to, "%s %s\n", ISNS_TOLD_WENT, went->name);
	}
	if (to) {
		fprintf(to, "%s\n", ISNS_TOLD_START);
	}
	return stream_text(to, &text, &length);
}

/* ----- targets that come and go --------------------------------------------------------------- */

static bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool targets_equal(const struct conf *a, const struct conf *b)
{
	bool equal = a->target_count == b->target_count;

	for (unsigned i = 0; equal && i < a->target_count; i++) {
		equal = text_equal(a->targets[i].name, b->targets[i].name) &&
			text_equal(a->targets[i].alias, b->targets[i].alias);
	}
	return equal;
}

static bool target_is_in(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->target_count; i++) {
		if (strcmp(conf->targets[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* Every server has confirmed a registration since the last change: nobody has them any more. */
static bool all_registered(const struct isns *isns)
{
	for (unsigned i = 0; i < isns->server_count; i++) {
		if (isns->servers[i].state != ISNS_REGISTERED) {
			return false;
		}
	}
	return true;
}

/* Names beyond `keep`, and with `conf` those that are back in it, are forgotten. */
static void went_forget(struct isns *isns, unsigned keep, const struct conf *conf)
{
	struct isns_went **at = &isns->went;

	for (unsigned kept = 0; *at;) {
		struct isns_went *went = *at;

		if (kept >= keep || (conf && target_is_in(conf, went->name))) {
			*at = went->next;
			free(went);
		} else {
			kept++;
			at = &went->next;
		}
	}
}

static void went_note(struct isns *isns, const struct conf *to)
{
	const struct conf *from = isns->setup.conf;

	if (all_registered(isns)) {
		went_forget(isns, 0, NULL);
	}
	for (unsigned i = 0; i < from->target_count; i++) {
		size_t size = strlen(from->targets[i].name) + 1;
		struct isns_went *went;

		if (target_is_in(to, from->targets[i].name)) {
			continue;
		}
		went = malloc(sizeof(*went) + size);
		if (went) {
			memcpy(went->name, from->targets[i].name, size);
			went->next = isns->went;
			isns->went = went;
		}
	}
	went_forget(isns, WENT_MAX, to);
}

/* It takes this controller out, ends, and is started anew if there is anything to register. */
static void server_end(struct isns_server *server)
{
	server->ending = true;
	state_set(server, ISNS_STOPPING);
	if (write(server->to_fd, ISNS_TOLD_STOP "\n", sizeof(ISNS_TOLD_STOP)) < 0) {
		kill(server->pid, SIGKILL); /* it does not listen: its portals are found dead */
	}
	to_close(server);
}

/* One server hears of a change; `whole`: of more than its targets. */
static void server_change(struct isns_server *server, bool whole)
{
	if (!server->pid) {
		if (server->isns->entity && !server->restart_set) {
			server_run(server);
		}
		return; /* otherwise it is told everything when it is started */
	}
	if (server->ending) {
		return;
	}
	if (whole) {
		server_end(server);
	} else if (program_tell(server, ISNS_TOLD_CHANGE "\n", server->isns->targets) < 0) {
		kill(server->pid, SIGKILL); /* it does not listen: another one will */
	} else if (server->state == ISNS_REGISTERED) {
		state_set(server, ISNS_REGISTERING);
	}
}

/* What programs are told from now on; false: out of memory, and it is as before. */
static bool request_make(struct isns *isns, const struct conf *conf)
{
	const char *name = entity_of(conf);
	char *entity = name ? strdup(name) : NULL;
	char *head = name ? head_make(isns, name) : NULL;
	char *targets = name ? targets_make(conf, isns->went) : NULL;

	if (name && (!entity || !head || !targets)) {
		free(entity);
		free(head);
		free(targets);
		return false;
	}
	free(isns->entity);
	free(isns->head);
	free(isns->targets);
	isns->entity = entity;
	isns->head = head;
	isns->targets = targets;
	return true;
}

/* ----- public --------------------------------------------------------------------------------- */

struct isns *isns_new(const struct isns_setup *setup)
{
	const struct conf *conf = setup->conf;
	unsigned count = conf->isns.server_count;
	struct isns *isns = calloc(1, sizeof(*isns) + count * sizeof(isns->servers[0]));

	if (!isns) {
		return NULL;
	}
	isns->setup = *setup;
	for (unsigned i = 0; i < conf->controller_count; i++) {
		if (conf->controllers[i].id == setup->controller) {
			isns->controller = &conf->controllers[i];
		}
	}
	isns->server_count = count;
	for (unsigned i = 0; i < count; i++) {
		isns->servers[i] = (struct isns_server){.isns = isns,
			.address = &conf->isns.servers[i],
			.pid_fd = -1,
			.to_fd = -1,
			.from_fd = -1,
			.pause_ms = RESTART_FIRST_MS};
	}
	if (count && !request_make(isns, conf)) {
		isns_free(isns);
		return NULL;
	}
	return isns;
}

void isns_start(struct isns *isns)
{
	isns->started = true;
	for (unsigned i = 0; isns->entity && i < isns->server_count; i++) {
		server_run(&isns->servers[i]);
	}
}

void isns_conf_set(struct isns *isns, const struct conf *conf)
{
	bool whole = !text_equal(entity_of(isns->setup.conf), entity_of(conf));

	if (isns->server_count == 0 || targets_equal(isns->setup.conf, conf)) {
		isns->setup.conf = conf;
		return;
	}
	went_note(isns, conf);
	if (!request_make(isns, conf)) {
		log_err("iSNS: out of memory: the servers are not told of the change; restart "
			"yoked");
	}
	isns->setup.conf = conf;
	for (unsigned i = 0; isns->started && !isns->stopping && i < isns->server_count; i++) {
		server_change(&isns->servers[i], whole);
	}
}

static void stop_late(void *arg)
{
	struct isns *isns = arg;

	isns->limit_set = false;
	for (unsigned i = 0; i < isns->server_count; i++) {
		if (isns->servers[i].pid) {
			log_warning("iSNS server %s: does not answer; it will find out by itself "
				    "that this controller has gone",
				isns->servers[i].address->text);
		}
	}
	stop_end(isns);
}

void isns_stop(struct isns *isns, void (*done)(void *arg), void *arg)
{
	isns->stopping = true;
	isns->stopped = done;
	isns->stopped_arg = arg;
	for (unsigned i = 0; i < isns->server_count; i++) {
		struct isns_server *server = &isns->servers[i];

		if (server->restart_set) {
			qb_loop_timer_del(isns->setup.loop, server->restart);
			server->restart_set = false;
		}
		if (!server->pid) {
			state_set(server, ISNS_IDLE);
			continue;
		}
		state_set(server, ISNS_STOPPING);
		if (!server->ending &&
			write(server->to_fd, ISNS_TOLD_STOP "\n", sizeof(ISNS_TOLD_STOP)) < 0) {
			log_debug("iSNS server %s: the program does not listen",
				server->address->text);
		}
		to_close(server);
	}
	if (isns->running == 0) {
		stop_end(isns);
		return;
	}
	qb_loop_timer_add(isns->setup.loop, QB_LOOP_LOW,
		(uint64_t)STOP_LIMIT_MS * QB_TIME_NS_IN_MSEC, isns, stop_late, &isns->limit);
	isns->limit_set = true;
}

void isns_free(struct isns *isns)
{
	if (!isns) {
		return;
	}
	if (isns->limit_set) {
		qb_loop_timer_del(isns->setup.loop, isns->limit);
	}
	for (unsigned i = 0; i < isns->server_count; i++) {
		struct isns_server *server = &isns->servers[i];

		if (server->restart_set) {
			qb_loop_timer_del(isns->setup.loop, server->restart);
		}
		if (server->pid) {
			kill(server->pid, SIGKILL);
			waitpid(server->pid, NULL, 0);
			server_forget(server);
		}
	}
	went_forget(isns, 0, NULL);
	free(isns->entity);
	free(isns->head);
	free(isns->targets);
	free(isns);
}

bool isns_info(const struct isns *isns, unsigned index, struct isns_info *info)
{
	const struct isns_server *server;

	if (!isns || index >= isns->server_count) {
		return false;
	}
	server = &isns->servers[index];
	*info = (struct isns_info){.server = server->address->text,
		.state = server->state,
		.problem = server->problem,
		.period_s = server->period_s,
		.esi_interval_s = server->esi_interval_s,
		.inquiries = server->inquiries,
		.registrations = server->registrations,
		.since_unix_s = server->since_unix_s};
	return true;
}
