/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * yoke-sim [--seed N] [--failovers N] [--bug NAME] [--history FILE]: failovers of every kind in
 * virtual time, under commands of several hosts, each from one seed; after every four the hosts
 * must be served to the end (liveness) and their history must be linearizable. --seed replays one;
 * --bug plants one, which must be found. Exit 0: nothing wrong (with --bug: it was found).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "tests/checker/check.h"
#include "tests/sim/world.h"
#include "yoke/util.h"

#define FAILOVERS_EACH 4 /* by one seed */
#define SETTLE_ROUNDS  60
#define SETTLE_MS      500

static uint64_t running_seed;
static bool finished;

/* An assertion of the simulated machines ends the process at once. */
static void tell_seed(void)
{
	if (!finished) {
		fprintf(stderr, "yoke-sim: an invariant broke; replay with --seed %" PRIu64 "\n",
			running_seed);
	}
}

static uint8_t other(uint8_t id)
{
	return id == 1 ? 2 : 1;
}

static uint8_t owner_of(struct world *w)
{
	for (uint8_t i = 1; i <= 2; i++) {
		if (world_runs(w, i) && w->sim->node[i].view[0].access == GROUP_LOCAL) {
			return i;
		}
	}
	return 0;
}

/* ----- the faults
 * --------------------------------------------------------------------------------- */

static void fault_handover(struct world *w, uint8_t owner)
{
	sim_demote(w->sim, owner, 0);
	sim_promote(w->sim, other(owner), 0, NULL);
}

static void fault_daemon(struct world *w, uint8_t owner)
{
	world_kill(w, owner, LEFT_PROCESS);
}

static void fault_power(struct world *w, uint8_t owner)
{
	world_kill(w, owner, LEFT_NODE);
}

/* The links are cut, then the owner is fenced. */
static void fault_split(struct world *w, uint8_t owner)
{
	sim_split(w->sim);
	world_steps(w, w->random % 60);
	world_kill(w, owner, LEFT_NODE);
}

/* It freezes, fencing lies, the other takes over. */
static void fault_freeze(struct world *w, uint8_t owner)
{
	world_freeze(w, owner);
}

/* A handover, and in the midst of it one of the two is lost. */
static void fault_during_handover(struct world *w, uint8_t owner)
{
	fault_handover(w, owner);
	world_steps(w, w->random % 150);
	world_kill(w, w->random & 64 ? owner : other(owner),
		w->random & 128 ? LEFT_NODE : LEFT_PROCESS);
}

static const struct {
	const char *name;
	void (*run)(struct world *w, uint8_t owner);
} faults[] = {
	{"handover", fault_handover},
	{"daemon killed", fault_daemon},
	{"power lost", fault_power},
	{"split, fenced", fault_split},
	{"frozen, fencing lies", fault_freeze},
	{"loss during a handover", fault_during_handover},
};

/* ----- one failover
 * ------------------------------------------------------------------------------- */

/* Pacemaker asks who lives until somebody serves; false when nobody does. */
static bool promote_somebody(struct world *w, uint8_t wanted)
{
	for (unsigned i = 0; i < SETTLE_ROUNDS; i++) {
		uint8_t at = world_runs(w, wanted) ? wanted : other(wanted);

		if (owner_of(w) && (owner_of(w) == at || i > 2)) {
			return true;
		}
		if (world_runs(w, at)) {
			sim_promote(w->sim, at, 0, NULL);
		}
		world_pass(w, SETTLE_MS);
	}
	return false;
}

/* Everything is put right: woken, healed, booted, linked. */
static void repair(struct world *w)
{
	for (uint8_t i = 1; i <= 2; i++) {
		if (w->frozen[i]) {
			world_wake(w, i);
			world_steps(w, 200); /* what it does before it knows */
		}
	}
	sim_heal(w->sim);
	world_pass(w, SETTLE_MS);
	for (uint8_t i = 1; i <= 2; i++) {
		if (!w->sim->node[i].alive) {
			world_boot(w, i);
		}
	}
	world_pass(w, SETTLE_MS);
	w->sim->lied = false;
	sim_link(w->sim, true);
	sim_start(w->sim, 1, 0);
	sim_start(w->sim, 2, 0);
	world_pass(w, SETTLE_MS);
}

static const char *failover(struct world *w)
{
	uint8_t owner = owner_of(w);
	uint64_t epoch;
	unsigned kind;

	if (!owner) {
		return "nobody serves before the fault";
	}
	epoch = w->sim->node[owner].view[0].epoch;
	world_steps(w, 50 + w->random % 200);
	kind = (unsigned)((w->random >> 8) % ARRAY_SIZE(faults));
	faults[kind].run(w, owner);
	world_steps(w, w->random % 100);
	if (!promote_somebody(w, other(owner))) {
		return faults[kind].name;
	}
	repair(w);
	if (!promote_somebody(w, other(owner))) {
		return faults[kind].name;
	}
	if (w->sim->node[owner_of(w)].view[0].epoch <= epoch && owner_of(w) != owner) {
		return "another owner without a newer epoch";
	}
	return NULL;
}

/* ----- one seed
 * ----------------------------------------------------------------------------------- */

struct totals {
	uint64_t failovers, ops, refusals, ships, reruns;
};

/* Nothing breaks any more: every command must be served. */
static const char *drain(struct world *w)
{
	w->draining = true;
	for (unsigned i = 0; i < SETTLE_ROUNDS && !world_is_idle(w); i++) {
		world_pass(w, SETTLE_MS);
	}
	return world_is_idle(w) ? NULL : "a command is not served although nothing is broken";
}

static const char *judge(struct world *w, struct totals *totals, FILE *to)
{
	struct check_result result = check_history(&w->history);

	for (size_t i = 0; to && i < w->history.count; i++) {
		history_print(to, &w->history.ops[i], 1);
	}
	totals->ops += result.ops;
	if (result.gave_up) {
		return "the history could not be judged";
	}
	if (!result.linearizable) {
		fprintf(stderr,
			"operation %" PRIu64 " (%c of sector %" PRIu64 " by host %" PRIu32
			", value %" PRIu64 ") is not explained\n",
			result.op.id, history_kinds[result.op.kind], result.op.sector,
			result.op.client, result.op.value);
		return "the history is not linearizable";
	}
	return NULL;
}

static const char *seed_run(uint64_t seed, const char *bug, struct totals *totals, FILE *to)
{
	struct world *w = world_new(seed, (uint8_t)(1 + seed % 2));
	const char *wrong = NULL;

	running_seed = seed;
	w->no_key = bug && strcmp(bug, "no-key") == 0;
	w->no_epoch = bug && strcmp(bug, "no-epoch") == 0;
	for (unsigned i = 0; i < FAILOVERS_EACH && !wrong; i++) {
		wrong = failover(w);
		totals->failovers += !wrong;
	}
	wrong = wrong ? wrong : drain(w);
	wrong = wrong ? wrong : judge(w, totals, to);
	totals->refusals += w->refusals;
	totals->ships += w->ships;
	totals->reruns += w->reruns;
	world_free(w);
	return wrong;
}

/* ----- the command line
 * --------------------------------------------------------------------------- */

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (end == text || *end) {
		fprintf(stderr, "yoke-sim: not a number: %s\n", text);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"seed", required_argument, NULL, 's'},
		{"failovers", required_argument, NULL, 'f'},
		{"bug", required_argument, NULL, 'b'},
		{"history", required_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	uint64_t first = 1, wanted = 100, seed;
	const char *bug = NULL, *wrong = NULL;
	FILE *to = NULL;
	struct totals totals = {0};
	double began = now_s();
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == 's') {
			first = number(optarg);
			wanted = 1;
		} else if (option == 'f') {
			wanted = number(optarg);
		} else if (option == 'b') {
			bug = optarg;
		} else if (option == 'h') {
			to = fopen(optarg, "we");
		} else {
			fputs("Usage: yoke-sim [--seed N] [--failovers N] [--bug "
			      "no-key|no-epoch]\n",
				stderr);
			return 2;
		}
	}
	atexit(tell_seed);
	for (seed = first; !wrong && totals.failovers < wanted; seed++) {
		wrong = seed_run(seed, bug, &totals, to);
	}
	finished = true;
	if (to) {
		fclose(to);
	}
	printf("{\"failovers\":%" PRIu64 ",\"seeds\":%" PRIu64 ",\"operations\":%" PRIu64
	       ",\"shipped\":%" PRIu64 ",\"run_again\":%" PRIu64 ",\"refused_by_key\":%" PRIu64
	       ",\"failovers_per_s\":%.0f}\n",
		totals.failovers, seed - first, totals.ops, totals.ships, totals.reruns,
		totals.refusals, (double)totals.failovers / (now_s() - began));
	if (wrong) {
		fprintf(stderr, "yoke-sim: %s; replay with --seed %" PRIu64 "\n", wrong, seed - 1);
	}
	return (wrong != NULL) == (bug != NULL) ? 0 : 1;
}
