/* SPDX-License-Identifier: BSD-3-Clause */
/* What breaks: drawn one at a time, at any moment, on top of what is broken already. */
#include "tests/sim/faults.h"

#include <string.h>

#include "yoke/util.h"

static struct node *owner_of(struct sim *sim, unsigned group)
{
	for (uint8_t i = 1; i <= 2; i++) {
		if (sim->node[i].alive && sim->node[i].view[group].access == GROUP_LOCAL) {
			return &sim->node[i];
		}
	}
	return NULL;
}

bool faults_all_served(struct sim *sim)
{
	for (unsigned g = 0; g < SIM_GROUPS; g++) {
		struct node *owner = owner_of(sim, g);

		if (!owner || !owner->ready || sim_other(owner)->view[g].access != GROUP_REMOTE ||
			!sim_other(owner)->ready) {
			return false;
		}
	}
	return true;
}

/*
 * While fencing has lied, the keys of the disk keep data safe, but reservations are only at the
 * survivor: nothing may happen to that one until the other knows.
 */
static bool lied(struct sim *sim)
{
	if (sim->lie_open && !sim->lies && !sim->node[1].lied_about && !sim->node[2].lied_about &&
		faults_all_served(sim)) {
		sim->lie_open = false;
	}
	return sim->lie_open;
}

/* One that lives, the owner of a group more often than not. */
static struct node *victim(struct sim *sim)
{
	struct node *node = owner_of(sim, sim_below(sim, SIM_GROUPS));

	if (lied(sim)) {
		return NULL;
	}
	if (!node || sim_once_in(sim, 3)) {
		node = &sim->node[1 + sim_below(sim, 2)];
	}
	return node->alive && !node->frozen ? node : NULL;
}

static void ignored(void *arg, enum ha_result result, const char *message)
{
	(void)arg;
	(void)result;
	(void)message;
}

struct move {
	struct node *node;
	unsigned group;
	const char *to;
};

static void move_do(void *arg)
{
	const struct move *move = arg;

	ha_group_move(move->node->ha, move->node->conf.groups[move->group].name, move->to, 10000,
		ignored, NULL);
}

static void move_event(void *arg)
{
	sim_control_do(((struct move *)arg)->node, move_do, arg);
}

static void fault_move(struct sim *sim)
{
	struct move *move = sim_memory(sim, sizeof(*move));
	struct node *owner;

	move->group = sim_below(sim, SIM_GROUPS);
	owner = owner_of(sim, move->group);
	move->node = victim(sim);
	if (owner && move->node) {
		move->to = owner->id == 1 ? "b" : "a";
		sim_at(sim, move->node, 1 * MS, move_event, move);
	}
}

static void fault_kill(struct sim *sim)
{
	struct node *node = victim(sim);

	if (node) {
		node_kill(node);
		pacemaker_tick(sim);
	}
}

static void fault_power(struct sim *sim)
{
	struct node *node = victim(sim);

	if (node) {
		pacemaker_power_off(node);
	}
}

static void fault_power_both(struct sim *sim)
{
	for (uint8_t i = 1; i <= 2 && !lied(sim); i++) {
		if (sim->node[i].up) {
			pacemaker_power_off(&sim->node[i]);
		}
	}
}

static void fault_split(struct sim *sim)
{
	if (!lied(sim)) {
		wires_cut(sim, sim_once_in(sim, 2));
		cluster_split(sim, true);
	}
}

static void fault_wire_cut(struct sim *sim)
{
	wires_cut(sim, true);
}

static void fault_wire_reset(struct sim *sim)
{
	wires_reset(sim);
}

struct frozen {
	struct node *node;
	uint64_t life;
	unsigned
		number; /* of the freeze: it may be awake, and frozen anew, before an event comes */
};

static bool frozen_still(const struct frozen *frozen)
{
	return frozen->node->frozen && frozen->node->life == frozen->life &&
	       frozen->node->freezes == frozen->number;
}

static void given_up(void *arg)
{
	const struct frozen *frozen = arg;

	if (frozen_still(frozen)) {
		hosts_node_silent(frozen->node);
	}
}

static void wake(void *arg)
{
	const struct frozen *frozen = arg;

	if (frozen_still(frozen)) {
		node_wake(frozen->node);
	}
}

static void freeze(struct node *node, bool whole, uint64_t for_ns)
{
	struct sim *sim = node->sim;
	struct frozen *frozen = sim_memory(sim, sizeof(*frozen));

	*frozen = (struct frozen){node, node->life, ++node->freezes};
	node_freeze(node, whole);
	sim_at(sim, NULL, for_ns, wake, frozen);
	sim_at(sim, NULL, (3000 + sim_below(sim, 1500)) * MS, given_up, frozen);
}

static void fault_freeze(struct sim *sim)
{
	struct node *node = victim(sim);

	if (node) {
		freeze(node, false,
			sim_once_in(sim, 2) ? (10 + sim_below(sim, 1500)) * MS
					    : (1000 + sim_below(sim, 6000)) * MS);
	}
}

static void fault_hang(struct sim *sim)
{
	struct node *node = victim(sim);

	if (node) {
		freeze(node, true, (200 + sim_below(sim, 5000)) * MS);
	}
}

/* The whole machine hangs, and fencing claims what it has not done. */
static void fault_lie(struct sim *sim)
{
	struct node *node = victim(sim);

	if (node && disk_has_keys(sim) && faults_all_served(sim) && !sim_other(node)->frozen) {
		sim->lies = sim->lie_open = true;
		pacemaker_fencing(sim, FENCING_LIES);
		freeze(node, true, (2500 + sim_below(sim, 4000)) * MS);
	}
}

static void fault_slow_fencing(struct sim *sim)
{
	struct node *node = victim(sim);

	if (node) {
		pacemaker_fencing(sim, FENCING_SLOW);
		pacemaker_power_off(node);
	}
}

static void fault_slow_disk(struct sim *sim)
{
	disk_slow(sim, (uint8_t)(1 + sim_below(sim, 2)), true);
}

/* The disk of a state directory: long enough for others to go on without it, more often than not.
 */
static void fault_state_hangs(struct sim *sim)
{
	struct node *node = &sim->node[1 + sim_below(sim, 2)];

	uint64_t until = sim->now_ns + (1000 + sim_below(sim, 7000)) * MS;

	/* It ends by itself, for both files at once: they are on one disk. */
	if (until > node->stable.hangs_until_ns) {
		node->stable.hangs_until_ns = until;
	}
}

static void reset_event(void *arg)
{
	wires_reset(arg);
}

/* Commands come a second time whose first run is still on its way to the disk. */
static void fault_slow_reset(struct sim *sim)
{
	fault_slow_disk(sim);
	for (unsigned i = 1 + sim_below(sim, 3); i > 0; i--) {
		sim_at(sim, NULL, sim_delay(sim, 1 * MS, 300 * MS), reset_event, sim);
	}
}

static void fault_connection(struct sim *sim)
{
	hosts_connection_lost(sim);
}

/* The administrator changes something. */
void faults_change(struct sim *sim)
{
	if (!lied(sim)) {
		change_files(sim, !sim_once_in(sim, 4));
		change_reload(&sim->node[1 + sim_below(sim, 2)]);
	}
}

static const struct {
	const char *name;
	void (*run)(struct sim *sim);
	unsigned weight;
} faults[] = {
	{"move", fault_move, 8},
	{"daemon killed", fault_kill, 6},
	{"power lost", fault_power, 5},
	{"power of both lost", fault_power_both, 2},
	{"split", fault_split, 4},
	{"interconnect cut", fault_wire_cut, 2},
	{"interconnect reset", fault_wire_reset, 6},
	{"daemon frozen", fault_freeze, 3},
	{"machine hangs", fault_hang, 3},
	{"machine hangs, fencing lies", fault_lie, 4},
	{"power lost, slow fencing", fault_slow_fencing, 1},
	{"slow disk", fault_slow_disk, 3},
	{"disk of a state directory hangs", fault_state_hangs, 1},
	{"interconnect reset beside a slow disk", fault_slow_reset, 4},
	{"a host loses a connection", fault_connection, 2},
};

void faults_strike(struct sim *sim)
{
	unsigned total = 0, pick;

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		total += faults[i].weight;
	}
	pick = sim_below(sim, total);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		if (pick < faults[i].weight) {
			sim_trace(sim, "FAULT: %s", faults[i].name);
			sim->totals->faults++;
			faults[i].run(sim);
			return;
		}
		pick -= faults[i].weight;
	}
}

/* Whatever is slow, cut or asleep is mended; what is off has been switched on by Pacemaker. */
void faults_mend(struct sim *sim)
{
	sim_trace(sim, "MENDED");
	wires_cut(sim, false);
	cluster_split(sim, false);
	pacemaker_fencing(sim, FENCING_HONEST);
	sim->lies = false;
	for (uint8_t i = 1; i <= 2; i++) {
		disk_slow(sim, i, false);
		node_wake(&sim->node[i]);
	}
}
