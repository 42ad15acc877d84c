/* SPDX-License-Identifier: BSD-3-Clause */
#include "pacemaker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "spawn.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define RESOURCE_BYTES_MAX 128
#define TIMEOUT_MS	   10000
#define RETRY_NS	   (1000ull * QB_TIME_NS_IN_MSEC)
#define SCORE_UNSET	   -2 /* nothing was ever asked for */

struct pacemaker_group {
	struct pacemaker *pacemaker;
	char resource[RESOURCE_BYTES_MAX];
	int wanted, set, setting;
	struct spawn *score; /* sets the score */
	struct spawn *withdraw; /* takes the other's score away */
	struct spawn *fail;
	struct spawn *cleanup;
	bool failed; /* Pacemaker was told, and has failures on its books */
};

struct pacemaker {
	qb_loop_t *loop;
	const struct conf *conf;
	const char *other;
	void (*proved)(void *arg, bool proven);
	void *arg;
	struct spawn *prove;
	struct spawn *fail; /* of the controller's resource */
	char controller[RESOURCE_BYTES_MAX]; /* "" = unknown: not started by Pacemaker */
	bool warned;
	qb_loop_timer_handle timer;
	bool timer_armed;
	struct pacemaker_group *groups;
};

struct pacemaker *pacemaker_new(qb_loop_t *loop, const struct conf *conf, const char *other,
	void (*proved)(void *arg, bool proven), void *arg)
{
	struct pacemaker *p = calloc(1, sizeof(*p));

	if (!p || !(p->groups = calloc(conf->group_count + 1, sizeof(*p->groups)))) {
		free(p);
		return NULL;
	}
	p->loop = loop;
	p->conf = conf;
	p->other = other;
	p->proved = proved;
	p->arg = arg;
	for (unsigned i = 0; i < conf->group_count; i++) {
		p->groups[i].pacemaker = p;
		p->groups[i].wanted = p->groups[i].set = SCORE_UNSET;
	}
	return p;
}

void pacemaker_conf_set(struct pacemaker *p, const struct conf *conf)
{
	p->conf = conf;
}

void pacemaker_free(struct pacemaker *p)
{
	if (!p) {
		return;
	}
	for (unsigned i = 0; i < p->conf->group_count; i++) {
		struct spawn *running[] = {p->groups[i].score, p->groups[i].withdraw,
			p->groups[i].fail, p->groups[i].cleanup};

		for (unsigned k = 0; k < ARRAY_SIZE(running); k++) {
			if (running[k]) {
				spawn_cancel(running[k]);
			}
		}
	}
	if (p->prove) {
		spawn_cancel(p->prove);
	}
	if (p->fail) {
		spawn_cancel(p->fail);
	}
	if (p->timer_armed) {
		qb_loop_timer_del(p->loop, p->timer);
	}
	free(p->groups);
	free(p);
}

/* The primitive's name: an instance of a clone may carry a number behind a colon. */
static int resource_copy(char to[RESOURCE_BYTES_MAX], const char *resource)
{
	size_t length = strcspn(resource, ":");

	if (length == 0 || length >= RESOURCE_BYTES_MAX || resource[0] == '-') {
		return -EINVAL;
	}
	memcpy(to, resource, length);
	to[length] = '\0';
	return 0;
}

int pacemaker_resource_set(struct pacemaker *p, unsigned group, const char *resource)
{
	return resource_copy(p->groups[group].resource, resource);
}

int pacemaker_controller_set(struct pacemaker *p, const char *resource)
{
	return resource ? resource_copy(p->controller, resource) : -ENOENT;
}

/* ----- scores -------------------------------------------------------------------------------- */

static void score_run(struct pacemaker_group *g);

static void on_retry(void *arg)
{
	struct pacemaker *p = arg;

	p->timer_armed = false;
	for (unsigned i = 0; i < p->conf->group_count; i++) {
		score_run(&p->groups[i]);
	}
}

static void retry_later(struct pacemaker *p, const char *what)
{
	if (!p->warned) {
		log_warning("%s; tried again every second. Is Pacemaker running here?", what);
	}
	p->warned = true;
	if (!p->timer_armed) {
		p->timer_armed = qb_loop_timer_add(p->loop, QB_LOOP_LOW, RETRY_NS, p, on_retry,
					 &p->timer) == 0;
	}
}

static void on_score(void *arg, int status, const char *output, size_t length)
{
	struct pacemaker_group *g = arg;

	g->score = NULL;
	if (status != 0) {
		retry_later(g->pacemaker, "the promotion score cannot be set with attrd_updater");
		return;
	}
	g->pacemaker->warned = false;
	g->set = g->setting;
	log_notice("resource %s: promotion score here is %d", g->resource, g->set);
	score_run(g);
}

/* One attrd_updater per group at a time; what was asked for meanwhile comes after it. */
static void score_run(struct pacemaker_group *g)
{
	char name[RESOURCE_BYTES_MAX + 16], value[16];
	const char *set[] = {"attrd_updater", "-n", name, "-U", value, NULL};
	const char *delete[] = {"attrd_updater", "-n", name, "-D", NULL};

	if (g->score || g->wanted == g->set || !g->resource[0]) {
		return;
	}
	snprintf(name, sizeof(name), "master-%s", g->resource);
	snprintf(value, sizeof(value), "%d", g->wanted);
	g->setting = g->wanted;
	g->score = spawn_run(
		g->pacemaker->loop, g->wanted < 0 ? delete : set, TIMEOUT_MS, on_score, g);
	if (!g->score) {
		retry_later(g->pacemaker, "attrd_updater cannot be run");
	}
}

void pacemaker_score_set(struct pacemaker *p, unsigned group, int score)
{
	p->groups[group].wanted = score;
	score_run(&p->groups[group]);
}

/* ----- the other's daemon is dead ------------------------------------------------------------- */

static void on_withdrawn(void *arg, int status, const char *output, size_t length)
{
	struct pacemaker_group *g = arg;

	g->withdraw = NULL;
	if (status != 0) {
		log_warning("resource %s: the promotion score of node %s cannot be deleted (%d)",
			g->resource, g->pacemaker->other, status);
	}
}

static void on_failed(void *arg, int status, const char *output, size_t length)
{
	struct pacemaker_group *g = arg;

	g->fail = NULL;
	if (status == 0) {
		log_notice("resource %s: Pacemaker knows that it has failed at node %s",
			g->resource, g->pacemaker->other);
	} else {
		log_warning("resource %s: Pacemaker could not be told that it has failed at node "
			    "%s (%d); its next monitor will find out",
			g->resource, g->pacemaker->other, status);
	}
}

void pacemaker_fail_other(struct pacemaker *p, unsigned group)
{
	struct pacemaker_group *g = &p->groups[group];
	char name[RESOURCE_BYTES_MAX + 16];
	const char *withdraw[] = {"attrd_updater", "-n", name, "-N", p->other, "-D", NULL};
	const char *fail[] = {
		"crm_resource", "--fail", "--resource", g->resource, "--node", p->other, NULL};

	if (!g->resource[0]) {
		return;
	}
	g->failed = true;
	snprintf(name, sizeof(name), "master-%s", g->resource);
	if (!g->withdraw) {
		g->withdraw = spawn_run(p->loop, withdraw, TIMEOUT_MS, on_withdrawn, g);
	}
	if (!g->fail) {
		g->fail = spawn_run(p->loop, fail, TIMEOUT_MS, on_failed, g);
	}
}

static void on_controller_failed(void *arg, int status, const char *output, size_t length)
{
	struct pacemaker *p = arg;

	p->fail = NULL;
	if (status == 0) {
		log_notice("resource %s: Pacemaker knows that the daemon of node %s has died",
			p->controller, p->other);
	} else {
		log_warning("resource %s: Pacemaker could not be told that the daemon of node %s "
			    "has died (%d); its next monitor will find out",
			p->controller, p->other, status);
	}
}

void pacemaker_fail_controller(struct pacemaker *p)
{
	const char *fail[] = {
		"crm_resource", "--fail", "--resource", p->controller, "--node", p->other, NULL};

	if (p->controller[0] && !p->fail) {
		p->fail = spawn_run(p->loop, fail, TIMEOUT_MS, on_controller_failed, p);
	}
}

static void on_cleaned(void *arg, int status, const char *output, size_t length)
{
	struct pacemaker_group *g = arg;

	g->cleanup = NULL;
	if (status == 0) {
		log_notice("resource %s: failures at node %s forgotten, its daemon is back",
			g->resource, g->pacemaker->other);
	} else {
		log_warning("resource %s: failures at node %s cannot be cleaned up (%d); run "
			    "\"crm_resource --cleanup --resource %s --node %s\"",
			g->resource, g->pacemaker->other, status, g->resource, g->pacemaker->other);
	}
}

void pacemaker_other_back(struct pacemaker *p)
{
	for (unsigned i = 0; i < p->conf->group_count; i++) {
		struct pacemaker_group *g = &p->groups[i];
		const char *cleanup[] = {"crm_resource", "--cleanup", "--resource", g->resource,
			"--node", p->other, NULL};

		if (g->failed && !g->cleanup) {
			g->failed = false;
			g->cleanup = spawn_run(p->loop, cleanup, TIMEOUT_MS, on_cleaned, g);
		}
	}
}

/* ----- proof of fencing ------------------------------------------------------------------------
 */

/* The value of an attribute inside one start tag; compares, copies nothing. */
static bool attribute_is(const char *tag, size_t length, const char *name, const char *value)
{
	size_t name_length = strlen(name), value_length = strlen(value);

	for (size_t i = 0; i + name_length + value_length + 4 <= length; i++) {
		if (tag[i] == ' ' && memcmp(tag + i + 1, name, name_length) == 0 &&
			memcmp(tag + i + 1 + name_length, "=\"", 2) == 0) {
			const char *v = tag + i + name_length + 3;

			return memcmp(v, value, value_length) == 0 && v[value_length] == '"';
		}
	}
	return false;
}

/* After fencing, or a clean shutdown, Pacemaker expects the node to be down. */
bool pacemaker_state_is_down(const char *xml, const char *node)
{
	for (const char *tag = strstr(xml, "<node_state "); tag;
		tag = strstr(tag + 1, "<node_state ")) {
		size_t length = strcspn(tag, ">");

		if (attribute_is(tag, length, "uname", node)) {
			return attribute_is(tag, length, "expected", "down") &&
			       !attribute_is(tag, length, "crmd", "online");
		}
	}
	return false;
}

static void on_proof(void *arg, int status, const char *output, size_t length)
{
	struct pacemaker *p = arg;

	p->prove = NULL;
	p->proved(p->arg, status == 0 && pacemaker_state_is_down(output, p->other));
}

void pacemaker_prove(struct pacemaker *p)
{
	static const char *const argv[] = {
		"cibadmin", "--query", "--local", "--no-children", "--xpath", "//node_state", NULL};

	if (!p->prove) {
		p->prove = spawn_run(p->loop, argv, TIMEOUT_MS, on_proof, p);
		if (!p->prove) {
			p->proved(p->arg, false);
		}
	}
}
