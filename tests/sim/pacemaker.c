/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pacemaker, in place of ha/pacemaker.c: starts daemons, promotes where the score is highest,
 * fences who is lost before it acts on what that one had, and does all of it late.
 */
#include "ha/pacemaker.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

struct pacemaker {
	struct node *node;
	void (*proved)(void *arg, bool proven);
	void *arg;
	uint64_t life; /* of the daemon that set it up */
	int score[SIM_GROUPS];
	bool started[SIM_GROUPS];
	bool restart_due;
	bool fence_due;
	bool fenced; /* the other one is believed to be down */
	bool gone_together; /* promoted before that, as can happen */
	uint8_t master[SIM_GROUPS]; /* as this machine believes */
	uint64_t acting_until_ns[SIM_GROUPS];
	enum fencing fencing; /* of the cluster; kept at the first */
	bool tick_due;
};

static struct pacemaker *pacemaker_of(struct node *node)
{
	if (!node->pacemaker) {
		node->pacemaker = sim_memory(node->sim, sizeof(*node->pacemaker));
		node->pacemaker->node = node;
	}
	return node->pacemaker;
}

static bool runs(const struct node *node)
{
	return node->up && !node->stopped;
}

static void tick_event(void *arg)
{
	struct sim *sim = arg;

	pacemaker_of(&sim->node[1])->tick_due = false;
	pacemaker_tick(sim);
}

static void tick_soon(struct sim *sim)
{
	struct pacemaker *p = pacemaker_of(&sim->node[1]);

	if (!p->tick_due) {
		p->tick_due = true;
		sim_at(sim, NULL, sim_delay(sim, 1 * MS, 60 * MS), tick_event, sim);
	}
}

/* ----- fencing -------------------------------------------------------------------------------- */

void pacemaker_fencing(struct sim *sim, enum fencing how)
{
	pacemaker_of(&sim->node[1])->fencing = how;
}

bool pacemaker_has_fenced(struct node *by)
{
	return pacemaker_of(by)->fenced;
}

static void boot(void *arg)
{
	struct node *node = arg;

	if (!node->up) {
		node->up = true;
		node->stopped = false;
		cluster_node_up(node);
		tick_soon(node->sim);
	}
}

void pacemaker_power_off(struct node *node)
{
	struct sim *sim = node->sim;

	node->up = false;
	node_kill(node); /* with the rest of the machine: see there */
	sim_at(sim, NULL, (1000 + sim_below(sim, 2000)) * MS, boot, node);
}

static void fence(void *arg)
{
	struct node *by = arg;
	struct node *target = sim_other(by);
	struct pacemaker *p = pacemaker_of(by);

	p->fence_due = false;
	/* Whoever was declared dead while it lived has no say in who is fenced. */
	if (!runs(by) || cluster_sees(by) || p->fenced || by->lied_about) {
		return;
	}
	if (pacemaker_of(&by->sim->node[1])->fencing == FENCING_LIES) {
		sim_trace(by->sim, "pacemaker %u: fencing of %u lies", by->id, target->id);
		target->lied_about = target->alive;
	} else if (target->up) {
		sim_trace(by->sim, "pacemaker %u: controller %u is fenced", by->id, target->id);
		pacemaker_power_off(target);
	}
	p->fenced = true;
	tick_soon(by->sim);
}

void pacemaker_node_lost(struct node *by)
{
	struct sim *sim = by->sim;
	struct pacemaker *p = pacemaker_of(by);
	bool slow = pacemaker_of(&sim->node[1])->fencing == FENCING_SLOW;

	if (!p->fence_due) {
		p->fence_due = true;
		sim_at(sim, NULL,
			(slow ? 2000 + sim_below(sim, 3000) : 20 + sim_below(sim, 500)) * MS, fence,
			by);
	}
	/* On its way when the links broke. */
	if (sim_once_in(sim, 4)) {
		p->gone_together = true;
		tick_soon(sim);
	}
}

void pacemaker_node_seen(struct node *by)
{
	pacemaker_of(by)->fenced = false;
	pacemaker_of(by)->gone_together = false;
	tick_soon(by->sim);
}

/* ----- actions -------------------------------------------------------------------------------- */

struct action {
	struct node *node;
	uint16_t group;
};

static void acted(void *arg, enum ha_result result, const char *message)
{
	struct action *action = arg;
	struct pacemaker *p = pacemaker_of(action->node);

	(void)message;
	p->acting_until_ns[action->group] = 0;
	if (result != HA_OK) {
		sim_trace(action->node->sim, "pacemaker: promote of group %u at %u: %s",
			action->group, action->node->id, ha_result_name(result));
		for (uint8_t i = 1; i <= 2; i++) {
			struct pacemaker *q = pacemaker_of(&action->node->sim->node[i]);

			if (q->master[action->group] == action->node->id) {
				q->master[action->group] = 0;
			}
		}
	}
	tick_soon(action->node->sim);
}

static void ignored(void *arg, enum ha_result result, const char *message)
{
	(void)arg;
	(void)result;
	(void)message;
}

static void promote(void *arg)
{
	struct action *action = arg;

	ha_group_promote(
		action->node->ha, action->node->conf.groups[action->group].name, acted, action);
}

static void demote(void *arg)
{
	struct action *action = arg;

	ha_group_demote(
		action->node->ha, action->node->conf.groups[action->group].name, ignored, action);
}

static void start(void *arg)
{
	struct action *action = arg;
	const char *name = action->node->conf.groups[action->group].name;

	ha_group_start(action->node->ha, name, name, ignored, action);
}

static void promote_event(void *arg)
{
	sim_control_do(((struct action *)arg)->node, promote, arg);
}

static void demote_event(void *arg)
{
	sim_control_do(((struct action *)arg)->node, demote, arg);
}

static void start_event(void *arg)
{
	sim_control_do(((struct action *)arg)->node, start, arg);
}

static void act(struct node *node, uint16_t group, sim_fn *fn)
{
	struct action *action = sim_memory(node->sim, sizeof(*action));

	*action = (struct action){node, group};
	sim_at(node->sim, node, sim_delay(node->sim, 2 * MS, 100 * MS), fn, action);
}

/* ----- decisions ------------------------------------------------------------------------------ */

static void restart(void *arg)
{
	struct node *node = arg;

	pacemaker_of(node)->restart_due = false;
	if (runs(node) && !node->alive) {
		node_start(node);
	}
}

static bool can(struct node *node, unsigned group)
{
	const struct pacemaker *p = pacemaker_of(node);

	return runs(node) && node->alive && node->ready && p->life == node->life &&
	       p->started[group] && p->score[group] >= 0;
}

static void group_decide(struct node *dc, unsigned group, bool both)
{
	struct sim *sim = dc->sim;
	struct pacemaker *p = pacemaker_of(dc);
	uint8_t best = 0, master = p->master[group];

	for (uint8_t i = 1; i <= 2; i++) {
		struct node *node = &sim->node[i];
		int margin = i == master;

		if ((both || i == dc->id) && can(node, group) &&
			(!best || pacemaker_of(node)->score[group] + margin >
					  pacemaker_of(&sim->node[best])->score[group] +
						  (best == master))) {
			best = i;
		}
	}
	if (!best || sim->now_ns < pacemaker_of(&sim->node[best])->acting_until_ns[group]) {
		return;
	}
	if (best == master && can(&sim->node[master], group)) {
		return;
	}
	if (master && master != best && both && can(&sim->node[master], group)) {
		act(&sim->node[master], (uint16_t)group, demote_event);
	}
	sim_trace(sim, "pacemaker %u: group %u is promoted at %u", dc->id, group, best);
	for (uint8_t i = 1; i <= 2; i++) {
		if (both || i == dc->id) {
			pacemaker_of(&sim->node[i])->master[group] = best;
		}
	}
	pacemaker_of(&sim->node[best])->acting_until_ns[group] = sim->now_ns + 20000 * MS;
	act(&sim->node[best], (uint16_t)group, promote_event);
}

void pacemaker_tick(struct sim *sim)
{
	for (uint8_t i = 1; i <= 2; i++) {
		struct node *dc = &sim->node[i];
		struct pacemaker *p = pacemaker_of(dc);
		bool both = cluster_sees(dc) && cluster_sees(sim_other(dc));

		if (!runs(dc)) {
			continue;
		}
		if (!dc->alive && !p->restart_due) {
			p->restart_due = true;
			sim_at(sim, NULL, (20 + sim_below(sim, 600)) * MS, restart, dc);
		}
		if ((both && i == 2 && runs(&sim->node[1])) ||
			(!both && !p->fenced && !p->gone_together)) {
			continue;
		}
		for (unsigned g = 0; g < SIM_GROUPS; g++) {
			if (!both && p->master[g] != dc->id) {
				p->master[g] = 0;
			}
			group_decide(dc, g, both);
		}
	}
}

/* The agents' monitors: is it promoted where it should be, and nowhere else? */
static void monitor(void *arg)
{
	struct sim *sim = arg;

	for (uint8_t i = 1; i <= 2; i++) {
		struct node *node = &sim->node[i];
		struct pacemaker *p = pacemaker_of(node);

		for (unsigned g = 0; g < SIM_GROUPS && can(node, g) && !node->frozen; g++) {
			struct ha_group_info info;
			bool promoted =
				ha_group_info(node->ha, g, &info) && info.role == HA_ROLE_PROMOTED;

			if (sim->now_ns < p->acting_until_ns[g]) {
				continue;
			}
			if (p->master[g] == i && !promoted) {
				p->master[g] = 0;
				pacemaker_of(sim_other(node))->master[g] = 0;
			} else if (p->master[g] != i && promoted) {
				act(node, (uint16_t)g, demote_event);
			}
		}
	}
	tick_soon(sim);
	sim_at(sim, NULL, (800 + sim_below(sim, 400)) * MS, monitor, sim);
}

void pacemaker_begin(struct sim *sim)
{
	sim_at(sim, NULL, 1000 * MS, monitor, sim);
}

/* The daemon runs on a node: what its resources know of it is new. */
void pacemaker_daemon_ready(struct node *node)
{
	struct pacemaker *p = pacemaker_of(node);

	for (unsigned g = 0; g < SIM_GROUPS; g++) {
		p->started[g] = true;
		act(node, (uint16_t)g, start_event);
	}
	tick_soon(node->sim);
}

/* ----- for ha --------------------------------------------------------------------------------- */

struct pacemaker *pacemaker_new(qb_loop_t *loop, const struct conf *conf, const char *other,
	void (*proved)(void *arg, bool proven), void *arg)
{
	struct node *node = (struct node *)(void *)loop;
	struct pacemaker *p = pacemaker_of(node);

	(void)conf;
	(void)other;
	p->proved = proved;
	p->arg = arg;
	p->life = node->life;
	for (unsigned g = 0; g < SIM_GROUPS; g++) {
		p->score[g] = -1;
		p->started[g] = false;
		p->acting_until_ns[g] = 0;
		for (uint8_t i = 1; i <= 2; i++) {
			struct pacemaker *q = pacemaker_of(&node->sim->node[i]);

			if (q->master[g] == node->id) {
				q->master[g] = 0; /* a new daemon is promoted nowhere */
			}
		}
	}
	return p;
}

void pacemaker_free(struct pacemaker *p)
{
	(void)p;
}

void pacemaker_conf_set(struct pacemaker *p, const struct conf *conf)
{
	(void)p;
	(void)conf;
}

int pacemaker_resource_set(struct pacemaker *p, unsigned group, const char *resource)
{
	(void)p;
	(void)group;
	(void)resource;
	return 0;
}

int pacemaker_controller_set(struct pacemaker *p, const char *resource)
{
	(void)p;
	(void)resource;
	return 0;
}

void pacemaker_score_set(struct pacemaker *p, unsigned group, int score)
{
	p->score[group] = score;
	tick_soon(p->node->sim);
}

void pacemaker_fail_other(struct pacemaker *p, unsigned group)
{
	struct pacemaker *other = pacemaker_of(sim_other(p->node));

	other->score[group] = -1;
	if (p->master[group] == sim_other(p->node)->id) {
		p->master[group] = other->master[group] = 0;
	}
	tick_soon(p->node->sim);
}

void pacemaker_fail_controller(struct pacemaker *p)
{
	tick_soon(p->node->sim);
}

void pacemaker_other_back(struct pacemaker *p)
{
	tick_soon(p->node->sim);
}

static void prove(void *arg)
{
	struct pacemaker *p = arg;

	p->proved(p->arg, p->fenced || p->node->sim->bug == BUG_NO_FENCE_WAIT);
}

static void prove_event(void *arg)
{
	struct pacemaker *p = arg;

	sim_control_do(p->node, prove, p);
}

void pacemaker_prove(struct pacemaker *p)
{
	struct sim *sim = p->node->sim;

	sim_at(sim, p->node, sim_delay(sim, 5 * MS, 100 * MS), prove_event, p);
}
