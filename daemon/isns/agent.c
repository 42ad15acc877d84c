/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * yoke-isns: the program that talks to one iSNS server for yoked, which starts it, tells it on
 * standard input what to register (words.h) and hears on standard output what has become of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/isns/registration.h"
#include "daemon/isns/words.h"
#include "yoke/util.h"

#define SLICE_MS      500 /* how long a word from yoked may have to wait */
#define CHECK_LAST_S  30
#define RETRY_FIRST_S 1
#define RETRY_LAST_S  60
#define GOODBYE_S     10 /* to deregister, whatever happens */

struct agent {
	struct registration *reg;
	struct registration_granted granted;
	char line[ISNS_LINE_MAX];
	size_t length;
	bool started, stop, gone; /* told to start, to stop; yoked is gone */
	bool registered;
	time_t next; /* when to register or to check */
	unsigned retry_s;
};

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec;
}

/* ----- what yoked tells ----------------------------------------------------------------------- */

static bool told_entity(struct agent *agent, char *rest)
{
	return registration_entity(agent->reg, rest);
}

static bool told_period(struct agent *agent, char *rest)
{
	registration_period(agent->reg, (uint32_t)strtoul(rest, NULL, 10));
	return true;
}

static bool told_esi(struct agent *agent, char *rest)
{
	registration_esi(agent->reg, (uint32_t)strtoul(rest, NULL, 10));
	return true;
}

static bool told_tag(struct agent *agent, char *rest)
{
	registration_tag(agent->reg, (uint32_t)strtoul(rest, NULL, 10));
	return true;
}

static bool told_portal(struct agent *agent, char *rest)
{
	return registration_portal(agent->reg, rest);
}

static bool told_target(struct agent *agent, char *rest)
{
	char *alias = strchr(rest, ' ');

	if (alias) {
		*alias++ = '\0';
	}
	return registration_target(agent->reg, rest, alias);
}

static bool told_went(struct agent *agent, char *rest)
{
	return registration_went(agent->reg, rest);
}

static bool told_change(struct agent *agent, char *rest)
{
	registration_change(agent->reg);
	return true;
}

/* For the first time, or after a change: then everything is registered again at once. */
static bool told_start(struct agent *agent, char *rest)
{
	agent->started = registration_ready(agent->reg);
	agent->registered = false;
	agent->next = 0;
	return agent->started;
}

static bool told_stop(struct agent *agent, char *rest)
{
	agent->stop = true;
	return true;
}

static const struct {
	const char *word;
	bool (*told)(struct agent *agent, char *rest);
} words[] = {
	{ISNS_TOLD_ENTITY, told_entity},
	{ISNS_TOLD_PERIOD, told_period},
	{ISNS_TOLD_ESI, told_esi},
	{ISNS_TOLD_TAG, told_tag},
	{ISNS_TOLD_PORTAL, told_portal},
	{ISNS_TOLD_TARGET, told_target},
	{ISNS_TOLD_WENT, told_went},
	{ISNS_TOLD_CHANGE, told_change},
	{ISNS_TOLD_START, told_start},
	{ISNS_TOLD_STOP, told_stop},
};

static void line_take(struct agent *agent)
{
	char *rest = strchr(agent->line, ' ');

	if (rest) {
		*rest++ = '\0';
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(agent->line, words[i].word) != 0) {
			continue;
		}
		if (!words[i].told(agent, rest ? rest : agent->line + strlen(agent->line))) {
			say(ISNS_SAYS_FAILED " %s %s cannot be registered", agent->line,
				rest ? rest : "");
		}
		return;
	}
}

static void bytes_take(struct agent *agent, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n') {
			agent->line[agent->length] = '\0';
			agent->length = 0;
			line_take(agent);
		} else if (agent->length + 1 < sizeof(agent->line)) {
			agent->line[agent->length++] = bytes[i];
		}
	}
}

/* Takes what is there. */
static void input_take(struct agent *agent)
{
	char bytes[4096];
	ssize_t count;

	while ((count = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0) {
		bytes_take(agent, bytes, (size_t)count);
	}
	if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
		agent->gone = true;
	}
}

/* ----- what is done --------------------------------------------------------------------------- */

static void retry_later(struct agent *agent)
{
	agent->next = now_s() + agent->retry_s;
	agent->retry_s = agent->retry_s * 2 < RETRY_LAST_S ? agent->retry_s * 2 : RETRY_LAST_S;
}

static void check_later(struct agent *agent)
{
	unsigned pause = agent->granted.period_s / 3;

	if (pause == 0 || pause > CHECK_LAST_S) {
		pause = agent->granted.period_s && pause == 0 ? 1 : CHECK_LAST_S;
	}
	agent->next = now_s() + pause;
	agent->retry_s = RETRY_FIRST_S;
}

static void agent_register(struct agent *agent)
{
	const char *why = registration_send(agent->reg, &agent->granted);

	agent->registered = !why;
	if (why) {
		say(ISNS_SAYS_FAILED " not registered: %s", why);
		retry_later(agent);
		return;
	}
	say(ISNS_SAYS_REGISTERED " %u %u", agent->granted.period_s, agent->granted.esi_interval_s);
	check_later(agent);
}

static void agent_check(struct agent *agent)
{
	bool there;
	const char *why = registration_check(agent->reg, &there);

	if (!why && there) {
		check_later(agent);
		return;
	}
	agent->registered = false;
	if (why) {
		say(ISNS_SAYS_FAILED " does not answer: %s", why);
		retry_later(agent);
	} else {
		agent_register(agent); /* it was restarted, or has dropped us */
	}
}

static void agent_end(struct agent *agent)
{
	const char *why;

	alarm(GOODBYE_S);
	why = agent->started ? registration_withdraw(agent->reg) : NULL;
	if (why) {
		say(ISNS_SAYS_FAILED " not deregistered: %s", why);
	} else {
		say(ISNS_SAYS_GONE);
	}
}

int main(int argc, char **argv)
{
	struct agent agent = {.retry_s = RETRY_FIRST_S};

	if (argc != 2) {
		fprintf(stderr, "yoke-isns is started by yoked: it is no command\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	agent.reg = registration_new(argv[1]);
	if (!agent.reg || fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) < 0) {
		return 1;
	}
	for (;;) {
		input_take(&agent);
		if (agent.stop) {
			agent_end(&agent);
			break;
		}
		if (agent.gone) {
			break;
		}
		if (agent.started && now_s() >= agent.next) {
			if (agent.registered) {
				agent_check(&agent);
			} else {
				agent_register(&agent);
			}
		}
		for (unsigned n = registration_listen(agent.reg, SLICE_MS); n > 0; n--) {
			say(ISNS_SAYS_INQUIRY);
		}
	}
	registration_free(agent.reg);
	return 0;
}
