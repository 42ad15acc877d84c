/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * yoke-sim [--seed N] [--first N] [--moves N] [--bug NAME] [--bugs] [--history FILE] [--trace]
 *
 * Moves of groups by faults of every kind in virtual time, under commands of several hosts, each
 * run from one seed. First whatever breaks breaks (safety); then all is mended, and every command
 * must be answered (liveness). --seed runs one, --trace tells what happens in it; --bug plants one,
 * which must be found. Exit 0: nothing wrong (with --bug: it was found).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/checker/check.h"
#include "tests/sim/faults.h"
#include "yoke/util.h"

#define FAULTS_EACH   5
#define LIVENESS_STEP (500 * MS)
#define LIVENESS_MAX  240 /* steps: two minutes */

const char *const sim_bug_names[BUG_COUNT] = {
	[BUG_NONE] = "",
	[BUG_NO_KEY] = "no-key",
	[BUG_NO_FENCE_WAIT] = "no-fence-wait",
	[BUG_EARLY_GOOD] = "early-good",
	[BUG_NO_BARRIER] = "no-barrier",
	[BUG_NO_FLUSH] = "no-flush",
	[BUG_UA_DROPPED] = "ua-dropped",
	[BUG_UA_TWICE] = "ua-twice",
	[BUG_NO_SERIAL] = "no-serial",
	[BUG_NO_LEASE] = "no-lease",
	[BUG_NO_DRAIN] = "no-drain",
	[BUG_NO_RERUN] = "no-rerun",
	[BUG_NOT_DURABLE] = "not-durable",
	[BUG_STATE_NOT_SAVED] = "state-not-saved",
	[BUG_NO_CLAIM] = "no-claim",
	[BUG_NO_ABORT] = "no-abort",
	[BUG_MODE_UNSAVED] = "mode-unsaved",
	[BUG_RESET_HERE] = "reset-here",
	[BUG_ABORT_HERE] = "abort-here",
};

static volatile sig_atomic_t stopped; /* asked to end: after this seed, with what there is */
static uint64_t running_seed;
static bool finished;

static void stop(int number)
{
	(void)number;
	stopped = true;
}

/* A daemon that is killed frees nothing, and neither does the kernel here. */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
	return 1;
}

/* An assertion of the daemon ends the process at once. */
static void tell_seed(void)
{
	if (!finished) {
		fprintf(stderr, "yoke-sim: the process ends; replay with --seed %" PRIu64 "\n",
			running_seed);
	}
}

struct sim *sim_new(uint64_t seed, enum sim_bug bug, struct totals *totals)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	the_sim = sim;
	sim->seed = sim->random = seed;
	sim->now_ns = 1000000 * MS;
	sim->bug = bug;
	sim->totals = totals;
	sim->disk = disk_new(sim);
	sim->wires = wires_new(sim);
	sim->cluster = cluster_new(sim);
	node_init(sim, 1);
	node_init(sim, 2);
	return sim;
}

void sim_free(struct sim *sim)
{
	for (uint8_t i = 1; i <= 2; i++) {
		node_end(&sim->node[i]);
	}
	hosts_free(sim->hosts);
	cluster_free(sim->cluster);
	wires_free(sim->wires);
	disk_free(sim->disk);
	history_free(&sim->history);
	sim_memory_free(sim);
	free(sim->events);
	free(sim);
	the_sim = NULL;
}

/* Until `done`, in steps, or too long. */
static bool until(struct sim *sim, bool (*done)(struct sim *sim))
{
	for (unsigned i = 0; i < LIVENESS_MAX && !sim->wrong[0]; i++) {
		if (done(sim)) {
			return true;
		}
		sim_run(sim, LIVENESS_STEP);
	}
	return false;
}

static void judge(struct sim *sim, FILE *to)
{
	struct check_result result = check_history(&sim->history);

	for (size_t i = 0; to && i < sim->history.count; i++) {
		history_print(to, &sim->history.ops[i], 1);
	}
	sim->totals->operations += result.ops;
	if (result.gave_up) {
		sim->totals->unjudged++; /* too many commands whose end nobody knows */
	} else if (!result.linearizable) {
		sim_wrong(sim,
			"operation %" PRIu64 " (%c of sector %" PRId64 " of LU %" PRIu64
			" by client %" PRIu32 ", value %" PRIu64 ") is not explained",
			result.op.id, history_kinds[result.op.kind], (int64_t)result.op.sector,
			result.op.unit, result.op.client, result.op.value);
	}
}

static void safety(struct sim *sim)
{
	for (unsigned i = 0; i < FAULTS_EACH && !sim->wrong[0]; i++) {
		sim_run(sim, (50 + sim_below(sim, 500)) * MS);
		hosts_busy(sim);
		sim_run(sim, sim_delay(sim, 1 * MS, 60 * MS));
		if (sim_once_in(sim, 3)) {
			faults_change(sim);
			sim_run(sim, sim_delay(sim, 1 * MS, 100 * MS));
		}
		faults_strike(sim);
		/* Now and then the next one strikes in the midst of it. */
		if (sim_once_in(sim, 3)) {
			sim_run(sim, sim_delay(sim, 100 * US, 400 * MS));
			faults_strike(sim);
		}
		sim_run(sim, (200 + sim_below(sim, 3000)) * MS);
		if (!sim_once_in(sim, 4)) {
			faults_mend(sim);
		}
	}
}

/* Under the same configuration. */
static bool all_is_well(struct sim *sim)
{
	if (!change_is_over(&sim->node[1]) || !change_is_over(&sim->node[2]) ||
		sim->node[1].file != sim->node[2].file) {
		change_mend(sim, ++sim->mends % 20 == 0);
		return false;
	}
	return faults_all_served(sim);
}

static void liveness(struct sim *sim)
{
	faults_mend(sim);
	sim->calm = true;
	if (!until(sim, all_is_well)) {
		sim_wrong(sim, "not everything is served although nothing is broken");
	}
	hosts_drain(sim);
	if (!until(sim, hosts_idle)) {
		sim_wrong(sim, "a command is not answered although nothing is broken");
	}
	hosts_final(sim);
	if (!until(sim, hosts_final_done)) {
		sim_wrong(sim, "a last read is not answered");
	}
}

struct options {
	enum sim_bug bug;
	bool trace;
	FILE *history;
};

/* True when nothing is wrong. */
static bool seed_run(uint64_t seed, const struct options *options, struct totals *totals,
	char *wrong, size_t size)
{
	struct sim *sim = sim_new(seed, options->bug, totals);
	bool right;

	running_seed = seed;
	sim->trace = options->trace;
	pacemaker_begin(sim);
	cluster_node_up(&sim->node[1]);
	cluster_node_up(&sim->node[2]);
	node_start(&sim->node[1]);
	node_start(&sim->node[2]);
	sim->hosts = hosts_new(sim);
	hosts_begin(sim);
	if (!until(sim, faults_all_served)) {
		sim_wrong(sim, "not everything is served at first");
	}
	safety(sim);
	liveness(sim);
	if (!sim->wrong[0]) {
		judge(sim, options->history);
	}
	right = !sim->wrong[0];
	snprintf(wrong, size, "%s", sim->wrong);
	totals->seeds++;
	totals->events += sim->steps;
	sim_free(sim);
	return right;
}

/* ----- the command line ------------------------------------------------------------------------
 */

/* The real one: the C library's belongs to the simulation. */
static double now_s(void)
{
	struct timespec now;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
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

static void tell_bugs(FILE *to)
{
	for (unsigned i = 1; i < BUG_COUNT; i++) {
		fprintf(to, "%s\n", sim_bug_names[i]);
	}
}

static enum sim_bug bug_of(const char *name)
{
	for (unsigned i = 1; i < BUG_COUNT; i++) {
		if (strcmp(name, sim_bug_names[i]) == 0) {
			return (enum sim_bug)i;
		}
	}
	fprintf(stderr, "yoke-sim: no bug %s; there are:\n", name);
	tell_bugs(stderr);
	exit(2);
}

static void tell_totals(const struct totals *t, double took_s)
{
	printf("{\"moves\":%" PRIu64 ",\"handovers\":%" PRIu64 ",\"seeds\":%" PRIu64
	       ",\"faults\":%" PRIu64 ",\"crashes\":%" PRIu64 ",\"commands\":%" PRIu64
	       ",\"operations\":%" PRIu64 ",\"shipped\":%" PRIu64 ",\"run_again\":%" PRIu64
	       ",\"entries\":%" PRIu64 ",\"refused_by_key\":%" PRIu64 ",\"uas\":%" PRIu64
	       ",\"retries\":%" PRIu64 ",\"aborts\":%" PRIu64 ",\"changes\":%" PRIu64
	       ",\"events\":%" PRIu64 ",\"unjudged\":%" PRIu64 ",\"gap_writes\":%" PRIu64
	       ",\"moves_per_s\":%.0f}\n",
		t->moves, t->handovers, t->seeds, t->faults, t->crashes, t->commands, t->operations,
		t->shipped, t->reruns, t->entries, t->refused_by_key, t->uas, t->retries, t->aborts,
		t->changes, t->events, t->unjudged, t->gap_writes, (double)t->moves / took_s);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"seed", required_argument, NULL, 's'},
		{"first", required_argument, NULL, 'f'},
		{"moves", required_argument, NULL, 'm'},
		{"bug", required_argument, NULL, 'b'},
		{"history", required_argument, NULL, 'h'},
		{"trace", no_argument, NULL, 't'},
		{"bugs", no_argument, NULL, 'B'},
		{NULL, 0, NULL, 0},
	};
	struct options options = {0};
	uint64_t first = 1, wanted = 100, seed;
	struct totals totals = {0};
	char wrong[256] = "";
	double began = now_s();
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 's':
			first = number(optarg);
			wanted = 1;
			break;
		case 'f':
			first = number(optarg);
			break;
		case 'm':
			wanted = number(optarg);
			break;
		case 'b':
			options.bug = bug_of(optarg);
			break;
		case 'h':
			options.history = fopen(optarg, "we");
			break;
		case 't':
			options.trace = true;
			break;
		case 'B':
			tell_bugs(stdout);
			finished = true;
			return 0;
		default:
			fputs("Usage: yoke-sim [--seed N] [--first N] [--moves N] [--bug NAME] "
			      "[--bugs] "
			      "[--history FILE] [--trace]\n",
				stderr);
			return 2;
		}
	}
	atexit(tell_seed);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	/* Tables for 16,384 LUs come and go with each daemon: the kernel need not hear of it. */
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	for (seed = first; !wrong[0] && !stopped && totals.moves < wanted; seed++) {
		seed_run(seed, &options, &totals, wrong, sizeof(wrong));
	}
	finished = true;
	if (!wrong[0] && totals.unjudged > 1 + totals.seeds / 10000) {
		snprintf(wrong, sizeof(wrong), "too many histories could not be judged");
	}
	if (options.history) {
		fclose(options.history);
	}
	tell_totals(&totals, now_s() - began);
	if (wrong[0]) {
		fprintf(stderr, "yoke-sim: %s; replay with --seed %" PRIu64 "\n", wrong, seed - 1);
	}
	return (wrong[0] != '\0') == (options.bug != BUG_NONE) ? 0 : 1;
}
