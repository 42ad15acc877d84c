/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Corosync, in place of ha/cpg.c and ha/quorum.c: one total order of messages and memberships among
 * machines that reach each other. While a machine has just been lost nothing is delivered, until
 * the token time is over. Delivery is "agreed": what the lost one has delivered may be missing
 * at the other (invariant I4).
 */
#include <stdlib.h>
#include <string.h>

#include "ha/cpg.h"
#include "ha/quorum.h"
#include "tests/sim/sim.h"

#define TOKEN_LOW_NS  (300 * MS)
#define TOKEN_HIGH_NS (1300 * MS)

/* A message, or (bytes NULL) a membership. */
struct delivery {
	struct delivery *next;
	const uint8_t *bytes;
	size_t size;
	uint32_t from, pid;
	struct transport_member members[2], left;
	size_t count, left_count;
	bool node_down;
};

struct queue {
	struct delivery *head, **tail;
};

struct transport {
	struct node *node;
	struct transport_setup setup;
};

struct quorum {
	struct node *node;
	struct quorum_setup setup;
	bool due;
};

struct corosync {
	struct transport *transport; /* of the daemon that runs */
	struct quorum *quorum;
	bool joined; /* the daemon is in the group */
	uint32_t pid;
	uint32_t has; /* the other one's daemon, as the last membership here has it; 0 = none */
	bool sees; /* the other machine is in the membership */
	bool seen; /* since it came up (wait_for_all) */
	struct queue out, in;
};

struct cluster {
	struct corosync corosync[3];
	bool split;
	bool look_due; /* at the membership */
};

static struct corosync *corosync_of(struct node *node)
{
	return &node->sim->cluster->corosync[node->id];
}

static void queue_clear(struct queue *queue)
{
	queue->head = NULL;
	queue->tail = &queue->head;
}

static void queue_put(struct queue *queue, struct delivery *delivery)
{
	*queue->tail = delivery;
	queue->tail = &delivery->next;
}

static struct delivery *queue_take(struct queue *queue)
{
	struct delivery *first = queue->head;

	if (first) {
		queue->head = first->next;
		if (!queue->head) {
			queue->tail = &queue->head;
		}
		first->next = NULL;
	}
	return first;
}

struct cluster *cluster_new(struct sim *sim)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));

	(void)sim;
	for (unsigned i = 1; i <= 2; i++) {
		queue_clear(&cluster->corosync[i].out);
		queue_clear(&cluster->corosync[i].in);
	}
	return cluster;
}

void cluster_free(struct cluster *cluster)
{
	free(cluster);
}

static bool runs(const struct node *node)
{
	return node->up && !node->stopped;
}

static bool connected(struct node *node)
{
	return runs(node) && runs(sim_other(node)) && !node->sim->cluster->split;
}

bool cluster_sees(struct node *node)
{
	return corosync_of(node)->sees;
}

bool cluster_has_joined(struct node *node)
{
	return corosync_of(node)->joined;
}

/* ----- delivery ------------------------------------------------------------------------------- */

static void deliver(void *arg)
{
	struct node *node = arg;
	struct transport *t = corosync_of(node)->transport;
	struct delivery *d = queue_take(&corosync_of(node)->in);

	if (!d || !t) {
		return;
	}
	t->setup.before(t->setup.arg);
	if (d->bytes) {
		t->setup.deliver(t->setup.arg, d->from, d->pid, d->bytes, d->size);
	} else {
		t->setup.members(
			t->setup.arg, d->members, d->count, &d->left, d->left_count, d->node_down);
	}
	t->setup.after(t->setup.arg);
}

static void deliver_event(void *arg)
{
	sim_control_do(arg, deliver, arg);
}

static void in_put(struct node *node, struct delivery *d)
{
	struct sim *sim = node->sim;

	queue_put(&corosync_of(node)->in, d);
	sim_at(sim, node, sim_delay(sim, 20 * US, 4 * MS), deliver_event, node);
}

/* May this machine's messages get their place now? */
static bool ring_stands(struct node *node)
{
	return corosync_of(node)->sees == connected(node) &&
	       (!connected(node) || corosync_of(sim_other(node))->sees);
}

static void order(struct node *node)
{
	struct delivery *d;

	while (ring_stands(node) && (d = queue_take(&corosync_of(node)->out))) {
		for (uint8_t i = 1; i <= 2; i++) {
			struct node *to = &node->sim->node[i];

			if (corosync_of(to)->joined && to->alive &&
				(to == node || connected(node))) {
				struct delivery *copy = sim_memory(node->sim, sizeof(*copy));

				*copy = *d;
				in_put(to, copy);
			}
		}
	}
}

static void order_event(void *arg)
{
	struct node *node = arg;

	if (runs(node)) {
		order(node);
	}
}

void transport_send(struct transport *t, const void *bytes, size_t size)
{
	struct sim *sim = t->node->sim;
	struct delivery *d = sim_memory(sim, sizeof(*d));
	uint8_t *copy = sim_memory(sim, size);

	memcpy(copy, bytes, size);
	*d = (struct delivery){
		.bytes = copy, .size = size, .from = t->node->id, .pid = t->node->pid};
	queue_put(&corosync_of(t->node)->out, d);
	sim_at(sim, NULL, sim_delay(sim, 20 * US, 3 * MS), order_event, t->node);
}

/* ----- memberships ---------------------------------------------------------------------------- */

static void members_put(struct node *node, struct node *left, bool node_down)
{
	struct delivery *d = sim_memory(node->sim, sizeof(*d));

	if (!corosync_of(node)->joined || !node->alive) {
		return;
	}
	for (uint8_t i = 1; i <= 2; i++) {
		const struct corosync *c = &node->sim->cluster->corosync[i];

		if (c->joined && (i == node->id || corosync_of(node)->sees)) {
			d->members[d->count++] = (struct transport_member){i, c->pid};
		}
	}
	if (left) {
		d->left = (struct transport_member){left->id, corosync_of(node)->has};
		d->left_count = 1;
		d->node_down = node_down;
	}
	corosync_of(node)->has = d->count > 1 ? corosync_of(sim_other(node))->pid : 0;
	in_put(node, d);
}

static void quorum_tell(void *arg)
{
	struct node *node = arg;
	const struct corosync *c = corosync_of(node);
	struct quorum *q = c->quorum;

	if (!q) {
		return;
	}
	q->due = false;
	q->setup.before(q->setup.arg);
	q->setup.changed(
		q->setup.arg, c->seen, 1u << node->id | (c->sees ? 1u << (3 - node->id) : 0));
	q->setup.after(q->setup.arg);
}

static void quorum_event(void *arg)
{
	sim_control_do(arg, quorum_tell, arg);
}

static void quorum_put(struct node *node)
{
	struct sim *sim = node->sim;
	struct quorum *q = corosync_of(node)->quorum;

	if (q && !q->due) {
		q->due = true;
		sim_at(sim, node, sim_delay(sim, 10 * US, 5 * MS), quorum_event, node);
	}
}

/* What had come from the lost one, and was not delivered here yet, may never be. */
static void in_tear(struct node *node, const struct node *lost)
{
	struct queue *in = &corosync_of(node)->in;
	struct delivery *d;
	struct queue kept;
	bool torn = false;

	if (sim_once_in(node->sim, 2)) {
		return;
	}
	queue_clear(&kept);
	while ((d = queue_take(in))) {
		torn = torn || (d->bytes && d->from == lost->id && sim_once_in(node->sim, 2));
		if (!torn || !d->bytes || d->from != lost->id) {
			queue_put(&kept, d);
		}
	}
	*in = kept;
	if (!in->head) {
		in->tail = &in->head;
	}
}

static void look(void *arg);

static void look_soon(struct sim *sim, uint64_t low_ns, uint64_t high_ns)
{
	if (!sim->cluster->look_due) {
		sim->cluster->look_due = true;
		sim_at(sim, NULL, low_ns + sim_random(sim) % (high_ns - low_ns), look, sim);
	}
}

static void lose(struct node *node)
{
	struct node *lost = sim_other(node);

	sim_trace(node->sim, "corosync %u: controller %u is lost", node->id, lost->id);
	corosync_of(node)->sees = false;
	in_tear(node, lost);
	if (corosync_of(node)->has) { /* it may have died before, out of reach */
		members_put(node, lost, true);
	}
	quorum_put(node);
	order(node);
	pacemaker_node_lost(node);
}

static void merge(struct sim *sim)
{
	sim_trace(sim, "corosync: both are members");
	for (uint8_t i = 1; i <= 2; i++) {
		sim->cluster->corosync[i].sees = sim->cluster->corosync[i].seen = true;
	}
	for (uint8_t i = 1; i <= 2; i++) {
		if (sim->cluster->corosync[1].joined && sim->cluster->corosync[2].joined) {
			members_put(&sim->node[i], NULL, false);
		}
		sim->node[i].lied_back = sim->node[i].lied_about;
		quorum_put(&sim->node[i]);
		pacemaker_node_seen(&sim->node[i]);
	}
	order(&sim->node[1]);
	order(&sim->node[2]);
}

/* The token time is over: who reaches whom? */
static void look(void *arg)
{
	struct sim *sim = arg;
	bool again = false;

	sim->cluster->look_due = false;
	for (uint8_t i = 1; i <= 2; i++) {
		struct node *node = &sim->node[i];

		if (runs(node) && corosync_of(node)->sees &&
			(!connected(node) || !corosync_of(sim_other(node))->sees)) {
			lose(node);
			again = true;
		}
	}
	for (uint8_t i = 1; i <= 2; i++) {
		const struct corosync *other = corosync_of(sim_other(&sim->node[i]));
		uint32_t has = sim->cluster->corosync[i].has;

		/* A daemon that has died out of reach, for less than the token time. */
		if (connected(&sim->node[i]) && sim->cluster->corosync[i].sees && other->sees &&
			has && (!other->joined || other->pid != has)) {
			members_put(&sim->node[i], sim_other(&sim->node[i]), false);
		}
	}
	if (again) {
		look_soon(sim, 50 * MS, 400 * MS);
	} else if (connected(&sim->node[1]) && !corosync_of(&sim->node[1])->sees) {
		merge(sim);
	}
	order(&sim->node[1]);
	order(&sim->node[2]);
}

void cluster_node_up(struct node *node)
{
	look_soon(node->sim, 50 * MS, 400 * MS);
}

void cluster_node_down(struct node *node)
{
	struct corosync *c = corosync_of(node);

	if (!node->up) { /* no power: a machine that only hangs remembers */
		c->joined = c->sees = c->seen = false;
		queue_clear(&c->in);
		queue_clear(&c->out);
	}
	look_soon(node->sim, TOKEN_LOW_NS, TOKEN_HIGH_NS);
}

void cluster_split(struct sim *sim, bool split)
{
	if (sim->cluster->split != split) {
		sim->cluster->split = split;
		look_soon(sim, split ? TOKEN_LOW_NS : 50 * MS, split ? TOKEN_HIGH_NS : 400 * MS);
	}
}

static void daemon_left(void *arg)
{
	struct node *node = arg;
	struct node *other = sim_other(node);

	if (corosync_of(node)->joined && !node->alive) {
		corosync_of(node)->joined = false;
		if (corosync_of(other)->sees && connected(node)) {
			members_put(other, node, false);
		}
	}
}

void cluster_daemon_dead(struct node *node)
{
	struct corosync *c = corosync_of(node);

	queue_clear(&c->in);
	c->transport = NULL;
	c->quorum = NULL;
	if (node->up) {
		/* What it had multicast before may still go out. */
		if (sim_once_in(node->sim, 2)) {
			queue_clear(&c->out);
		}
		sim_at(node->sim, NULL, sim_delay(node->sim, 100 * US, 3 * MS), daemon_left, node);
	}
}

/* ----- for ha --------------------------------------------------------------------------------- */

static void join(void *arg)
{
	struct node *node = arg;
	struct node *other = sim_other(node);

	corosync_of(node)->joined = true;
	corosync_of(node)->pid = node->pid;
	members_put(node, NULL, false);
	if (corosync_of(node)->sees && corosync_of(other)->sees) {
		members_put(other, NULL, false);
	}
}

struct transport *transport_new(const struct transport_setup *setup, char *error, size_t error_size)
{
	struct node *node = &the_sim->node[setup->node];
	struct transport *t = sim_memory(node->sim, sizeof(*t));

	(void)error;
	(void)error_size;
	corosync_of(node)->joined = false; /* its former life: the other has heard of its end */
	corosync_of(node)->has = 0;
	t->node = node;
	t->setup = *setup;
	corosync_of(node)->transport = t;
	sim_at(node->sim, node, sim_delay(node->sim, 1 * MS, 20 * MS), join, node);
	return t;
}

void transport_free(struct transport *t)
{
	(void)t; /* cluster_daemon_dead() */
}

struct quorum *quorum_new(const struct quorum_setup *setup, char *error, size_t error_size)
{
	struct node *node = (struct node *)(void *)setup->loop;
	struct quorum *q = sim_memory(node->sim, sizeof(*q));

	(void)error;
	(void)error_size;
	q->node = node;
	q->setup = *setup;
	corosync_of(node)->quorum = q;
	quorum_put(node);
	return q;
}

void quorum_free(struct quorum *q)
{
	(void)q;
}
