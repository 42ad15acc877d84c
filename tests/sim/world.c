/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORLD_GROUP    0 /* the hosts' LU is in it */
#define WORLD_UNIT     0
#define WORLD_SLEPT_MS 3000
#define WORLD_LATE     500

static uint32_t below(struct world *w, uint32_t limit)
{
	uint64_t x = w->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)((x ^ x >> 31) % limit);
}

static struct sim_node *node(struct world *w, uint8_t id)
{
	return &w->sim->node[id];
}

static uint8_t other(uint8_t id)
{
	return id == 1 ? 2 : 1;
}

bool world_runs(const struct world *world, uint8_t id)
{
	return world->sim->node[id].alive && !world->frozen[id];
}

static const struct group_view *view_of(struct world *w, uint8_t id)
{
	return &node(w, id)->view[WORLD_GROUP];
}

/* ----- what the machines ask for -----------------------------------------------------------------
 */

/* A drain ends when nothing of the controller is in the disk. */
static bool may(struct sim_node *n, const struct sim_job *job)
{
	struct world *w = n->sim->world;

	for (unsigned i = 0; job->work == WORK_DRAIN && i < WORLD_TASKS; i++) {
		const struct world_task *t = &w->tasks[i];

		if ((t->place == WORLD_DISK || t->place == WORLD_LANDED) && t->at == n->id &&
			t->at_life == n->pid) {
			return false;
		}
	}
	return true;
}

static void claimed(struct sim_node *n, uint16_t group)
{
	if (group == WORLD_GROUP) {
		n->sim->world->key = n->id;
	}
}

static void released(struct sim_node *n, uint16_t group)
{
	struct world *w = n->sim->world;

	if (group == WORLD_GROUP && w->key == n->id) {
		w->key = 0;
	}
}

static const struct sim_hooks hooks = {.may = may, .claimed = claimed, .released = released};

struct world *world_new(uint64_t seed, uint8_t owner)
{
	struct world *w = calloc(1, sizeof(*w));

	w->random = seed;
	w->clock = 1;
	w->sim = sim_pair(seed, owner);
	w->sim->hooks = &hooks;
	w->sim->world = w;
	w->key = owner;
	w->lease[1] = w->lease[2] = true;
	for (uint8_t i = 1; i <= 2; i++) {
		w->conns[i] = 1;
		w->seen_downs[i] = node(w, i)->peer_downs;
	}
	return w;
}

void world_free(struct world *world)
{
	history_free(&world->history);
	sim_free(world->sim);
	free(world);
}

/* ----- hosts
 * -------------------------------------------------------------------------------------- */

static void record(struct world *w, struct world_host *host, enum history_outcome outcome)
{
	host->op.outcome = (uint8_t)outcome;
	host->op.returned_ns = ++w->clock;
	host->busy = false;
	assert_true(history_add(&w->history, &host->op));
}

static struct world_task *task_new(struct world *w)
{
	for (unsigned i = 0; i < WORLD_TASKS; i++) {
		if (w->tasks[i].place == WORLD_FREE) {
			return &w->tasks[i];
		}
	}
	return NULL;
}

static bool task_send(struct world *w, unsigned h)
{
	struct world_host *host = &w->hosts[h];
	struct world_task *t = task_new(w);

	if (!t) {
		return false;
	}
	*t = (struct world_task){.place = WORLD_HELD,
		.host = h,
		.id = host->op.id,
		.ingress = host->path,
		.at = host->path,
		.ingress_life = node(w, host->path)->pid};
	return true;
}

/* Does a life of the host's command go on at a controller that runs? */
static bool lives(struct world *w, const struct world_host *host)
{
	for (unsigned i = 0; i < WORLD_TASKS; i++) {
		const struct world_task *t = &w->tasks[i];

		if (t->place != WORLD_FREE && t->id == host->op.id && world_runs(w, t->at)) {
			return true;
		}
	}
	return false;
}

static void host_begin(struct world *w, unsigned h)
{
	static const uint8_t kinds[] = {
		HISTORY_READ, HISTORY_READ, HISTORY_WRITE, HISTORY_WRITE, HISTORY_SWAP};
	struct world_host *host = &w->hosts[h];

	host->path = (uint8_t)(1 + below(w, 2));
	if (w->draining || !world_runs(w, host->path)) {
		return;
	}
	host->busy = true;
	host->op = (struct history_op){.id = ++w->ids,
		.client = h,
		.unit = WORLD_UNIT,
		.sector = below(w, WORLD_SECTORS),
		.kind = kinds[below(w, sizeof(kinds))],
		.invoked_ns = ++w->clock,
		.attempts = 1};
	if (host->op.kind != HISTORY_READ) {
		host->op.value = host->op.id;
	}
	if (host->op.kind == HISTORY_SWAP) {
		/* A guess that is often right: what is there now. */
		host->op.expected = w->disk[host->op.sector];
	}
	if (!task_send(w, h)) {
		host->busy = false;
	}
}

/*
 * A path is given up when its controller does not run or is another one by now. By then a living
 * owner has ended what came by it (docs/model/README.md, "Assumptions").
 */
static void host_step(struct world *w, unsigned h)
{
	struct world_host *host = &w->hosts[h];

	if (!host->busy) {
		host_begin(w, h);
	} else if (!lives(w, host)) {
		uint8_t path = (uint8_t)(1 + below(w, 2));

		if (world_runs(w, path)) {
			host->path = path;
			host->op.attempts = 2;
			w->reruns++;
			task_send(w, h);
		}
	}
}

/* ----- commands
 * ----------------------------------------------------------------------------------- */

static bool conn_is_old(struct world *w, const struct world_task *t)
{
	return t->ingress != t->at &&
	       (t->ingress_conn != w->conns[t->ingress] || t->at_conn != w->conns[t->at]);
}

/* The interconnect is up between members; a new one waits until the tasks of the old have ended. */
static bool connected(struct world *w, uint8_t from)
{
	for (unsigned i = 0; i < WORLD_TASKS; i++) {
		const struct world_task *t = &w->tasks[i];

		if (t->place != WORLD_FREE && t->at == other(from) && t->ingress == from &&
			t->at_life == node(w, t->at)->pid && conn_is_old(w, t)) {
			return false;
		}
	}
	return world_runs(w, from) && world_runs(w, other(from)) && node(w, from)->m->peer_linked &&
	       node(w, other(from))->m->peer_linked;
}

static void task_held(struct world *w, struct world_task *t)
{
	const struct world_host *host = &w->hosts[t->host];
	const struct group_view *view = view_of(w, t->at);

	if (!host->busy || host->op.id != t->id || host->path != t->ingress) {
		t->place = WORLD_FREE; /* the host has closed the session: aborted */
	} else if (view->access == GROUP_LOCAL && w->lease[t->at]) {
		t->place = WORLD_DISK;
		t->epoch = view->epoch;
		t->at_life = node(w, t->at)->pid;
	} else if (view->access == GROUP_REMOTE && connected(w, t->ingress)) {
		t->place = WORLD_FRAME;
		t->epoch = view->epoch;
		t->at = other(t->ingress);
		t->at_life = node(w, t->at)->pid;
		t->ingress_conn = w->conns[t->ingress];
		t->at_conn = w->conns[t->at];
		w->ships++;
	}
}

static void task_back(struct world *w, struct world_task *t)
{
	if (conn_is_old(w, t) || !node(w, t->ingress)->alive) {
		t->place = WORLD_FREE;
	} else {
		t->place = WORLD_HELD;
		t->at = t->ingress;
	}
}

static void task_frame(struct world *w, struct world_task *t)
{
	const struct group_view *view = view_of(w, t->at);
	bool fits = w->no_epoch || t->epoch == view->epoch;

	if (!w->no_epoch && conn_is_old(w, t)) {
		t->place = WORLD_FREE; /* what did not begin on a broken connection never does */
	} else if ((view->access == GROUP_REMOTE &&
			   (!w->no_epoch || below(w, WORLD_LATE * 10) == 0)) ||
		   (t->epoch < view->epoch && !w->no_epoch)) {
		task_back(w, t);
	} else if (view->access == GROUP_LOCAL && fits && w->lease[t->at]) {
		t->place = WORLD_DISK;
		t->epoch = view->epoch;
	}
}

/* Reaches the disk, whoever is alive. */
static void task_land(struct world *w, struct world_task *t)
{
	struct world_host *host = &w->hosts[t->host];
	const struct history_op *op = NULL;
	bool changes;

	for (size_t i = w->history.count; !op && i-- > 0;) {
		op = w->history.ops[i].id == t->id ? &w->history.ops[i] : NULL;
	}
	op = host->op.id == t->id ? &host->op : op;
	assert_non_null(op);
	changes = op->kind != HISTORY_READ;
	t->place = WORLD_LANDED;
	t->refused = changes && w->key != t->at && !w->no_key;
	t->value = w->disk[op->sector];
	if (t->refused) {
		w->refusals++;
	} else if (op->kind == HISTORY_WRITE) {
		w->disk[op->sector] = op->value;
	} else if (op->kind == HISTORY_SWAP && t->value == op->expected) {
		w->disk[op->sector] = op->value;
	}
	/* Nobody is there to hear of it. */
	if (!node(w, t->at)->alive || node(w, t->at)->pid != t->at_life) {
		t->place = WORLD_FREE;
	}
}

static void task_answer(struct world *w, struct world_task *t)
{
	struct world_host *host = &w->hosts[t->host];
	enum history_outcome outcome = HISTORY_OK;

	/* The host hears only who it talks to. */
	if (!host->busy || host->op.id != t->id || host->path != t->ingress ||
		!world_runs(w, t->ingress) || t->ingress_life != node(w, t->ingress)->pid ||
		conn_is_old(w, t)) {
		t->place = WORLD_FREE;
		return;
	}
	if (host->op.kind == HISTORY_READ) {
		host->op.value = t->value;
	} else if (host->op.kind == HISTORY_SWAP && t->value != host->op.expected) {
		outcome = HISTORY_NO;
	}
	t->place = WORLD_FREE;
	record(w, host, outcome);
}

static void task_landed(struct world *w, struct world_task *t)
{
	const struct group_view *view = view_of(w, t->at);

	if (!w->lease[t->at]) {
		return; /* unsure: until it is renewed, or the view says otherwise */
	}
	if (t->refused) {
		machine_key_lost(node(w, t->at)->m, WORLD_GROUP);
	}
	if (t->refused || view->epoch != t->epoch || view->access == GROUP_REMOTE) {
		/* Must not be acknowledged: through the gate again. */
		w->hosts[t->host].op.attempts =
			w->hosts[t->host].op.id == t->id ? 2 : w->hosts[t->host].op.attempts;
		if (t->ingress == t->at) {
			t->place = WORLD_HELD;
		} else {
			task_back(w, t);
		}
		return;
	}
	task_answer(w, t);
}

static void task_step(struct world *w, struct world_task *t)
{
	switch (t->place) {
	case WORLD_FREE:
		return;
	case WORLD_DISK:
		/* What a frozen controller had sent may be long on its way. */
		if (!w->frozen[t->at] || below(w, WORLD_LATE) == 0) {
			task_land(w, t);
		}
		return;
	case WORLD_HELD:
	case WORLD_FRAME:
	case WORLD_LANDED:
		break;
	}
	if (!node(w, t->at)->alive ||
		(t->place == WORLD_HELD ? t->ingress_life != node(w, t->ingress)->pid
					: t->at_life != node(w, t->at)->pid)) {
		t->place = WORLD_FREE;
	} else if (w->frozen[t->at]) {
		return;
	} else if (t->place == WORLD_HELD) {
		task_held(w, t);
	} else if (t->place == WORLD_FRAME) {
		task_frame(w, t);
	} else {
		task_landed(w, t);
	}
}

/* ----- steps
 * -------------------------------------------------------------------------------------- */

/* What a reactor and the interconnect do when the machine has lost its peer, or is sure again. */
static void node_step(struct world *w, uint8_t id)
{
	struct sim_node *n = node(w, id);

	if (!world_runs(w, id)) {
		return;
	}
	if (n->peer_downs != w->seen_downs[id]) {
		w->seen_downs[id] = n->peer_downs;
		w->conns[id]++;
	}
	if (!w->lease[id] && machine_is_sure(n->m) && n->inbox_count == 0) {
		w->lease[id] = true;
	}
	/* Shipped and not answered when the connection ended: the gate decides anew. */
	for (unsigned i = 0; i < WORLD_TASKS; i++) {
		struct world_task *t = &w->tasks[i];

		if (t->place != WORLD_FREE && t->ingress == id && t->at != id &&
			t->ingress_life == n->pid && t->ingress_conn != w->conns[id] &&
			w->hosts[t->host].busy && w->hosts[t->host].op.id == t->id &&
			w->hosts[t->host].path == id && !lives(w, &w->hosts[t->host])) {
			w->hosts[t->host].op.attempts = 2;
			w->reruns++;
			task_send(w, t->host);
		}
	}
}

void world_step(struct world *world)
{
	uint32_t pick = below(world, 10);

	if (pick < 5) {
		sim_step(world->sim);
	} else if (pick < 8) {
		task_step(world, &world->tasks[below(world, WORLD_TASKS)]);
		for (unsigned i = 0; i < WORLD_TASKS; i++) {
			if (below(world, 4) == 0) {
				task_step(world, &world->tasks[i]);
			}
		}
	} else if (pick < 9) {
		host_step(world, below(world, WORLD_HOSTS));
	}
	node_step(world, 1);
	node_step(world, 2);
}

void world_steps(struct world *world, unsigned count)
{
	while (count-- > 0) {
		world_step(world);
	}
}

void world_pass(struct world *world, unsigned ms)
{
	for (unsigned t = 0; t < ms; t += 50) {
		world->sim->now_ms += 50;
		for (uint8_t i = 1; i <= 2; i++) {
			if (world_runs(world, i)) {
				machine_tick(world->sim->node[i].m);
			}
		}
		world_steps(world, 40);
	}
}

/* ----- faults
 * ------------------------------------------------------------------------------------- */

void world_kill(struct world *world, uint8_t id, enum machine_left how)
{
	for (unsigned i = 0; i < WORLD_TASKS; i++) {
		struct world_task *t = &world->tasks[i];

		/* The kernel lets a process go when its I/O has ended: one way or the other. */
		if (how == LEFT_PROCESS && t->place == WORLD_DISK && t->at == id) {
			if (below(world, 2)) {
				task_land(world, t);
			}
			t->place = WORLD_FREE;
		}
	}
	sim_kill(world->sim, id, how);
}

void world_boot(struct world *world, uint8_t id)
{
	/* Booting takes longer than anything lives on the way to a disk. */
	for (unsigned i = 0; i < WORLD_TASKS; i++) {
		if (world->tasks[i].place == WORLD_DISK && world->tasks[i].at == id) {
			task_land(world, &world->tasks[i]);
		}
	}
	sim_boot(world->sim, id);
	world->lease[id] = true;
	world->seen_downs[id] = world->sim->node[id].peer_downs;
	world->conns[id]++;
}

void world_freeze(struct world *world, uint8_t id)
{
	world->frozen[id] = true;
	world->lease[id] = false;
	world->sim->frozen[id] = true;
	world->sim->lied = true;
	sim_split(world->sim);
}

void world_wake(struct world *world, uint8_t id)
{
	world->frozen[id] = false;
	world->sim->frozen[id] = false;
	machine_slept(world->sim->node[id].m, WORLD_SLEPT_MS);
}

bool world_is_idle(const struct world *world)
{
	for (unsigned h = 0; h < WORLD_HOSTS; h++) {
		if (world->hosts[h].busy) {
			return false;
		}
	}
	return true;
}
