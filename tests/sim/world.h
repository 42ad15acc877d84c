/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hosts, commands and a shared disk around the two simulated machines of tests/unit/ha_sim: what
 * reactors, device server and interconnect do with the views that a machine publishes, reduced to
 * what decides whether data are safe. Everything happens step by step, chosen by one seed. The
 * machines are ha/ itself; gate, hold, lease, interconnect and write key are modelled here after
 * daemon/scsi and ha/ship_*.c, which do not run in it.
 */
#ifndef YOKE_TEST_WORLD_H
#define YOKE_TEST_WORLD_H

#include "tests/checker/history.h"
#include "tests/unit/ha_sim.h"

#define WORLD_HOSTS   3
#define WORLD_SECTORS 3
#define WORLD_TASKS   64

enum world_place {
	WORLD_FREE,
	WORLD_HELD, /* at its ingress */
	WORLD_FRAME, /* shipped, at the owner, not begun */
	WORLD_DISK, /* given to the disk */
	WORLD_LANDED, /* done, not acknowledged yet */
};

struct world_host {
	bool busy;
	uint8_t path; /* controller it uses */
	struct history_op op;
};

/* One life of a host's command at a controller. */
struct world_task {
	enum world_place place;
	unsigned host;
	uint64_t id; /* of the operation */
	uint8_t ingress, at;
	uint64_t ingress_life, at_life; /* pid of the daemons: a new one knows nothing of it */
	uint64_t ingress_conn, at_conn; /* connections that it travelled by */
	uint64_t epoch;
	uint64_t value; /* what it read, or the refusal of a swap */
	bool refused;
};

struct world {
	struct sim *sim;
	uint64_t random;
	struct world_host hosts[WORLD_HOSTS];
	struct world_task tasks[WORLD_TASKS];
	uint64_t disk[WORLD_SECTORS];
	uint8_t key; /* controller whose key holds the reservation, 0 = none */
	bool frozen[3], lease[3];
	uint64_t conns[3]; /* grow with each loss of the peer */
	unsigned seen_downs[3];
	struct history history;
	uint64_t ids, clock;
	bool draining; /* hosts begin nothing new */
	/* How much has happened. */
	uint64_t refusals, ships, reruns;
	bool no_key, no_epoch; /* planted bugs: the disk has no keys; frames are not looked at */
};

struct world *world_new(uint64_t seed, uint8_t owner);
void world_free(struct world *world);

/* Something happens: in the world or at a machine. */
void world_step(struct world *world);
void world_steps(struct world *world, unsigned count);
/* Time passes at all that run, with steps in between. */
void world_pass(struct world *world, unsigned ms);

bool world_runs(const struct world *world, uint8_t id);
/* A daemon dies alone (what it has in the kernel lands first), or its node with all it had. */
void world_kill(struct world *world, uint8_t id, enum machine_left how);
/* Its daemon starts, on a node that has to boot if it was lost. */
void world_boot(struct world *world, uint8_t id);
/* Stops in mid-step, and is out of the cluster; the other end believes that it has been fenced. */
void world_freeze(struct world *world, uint8_t id);
void world_wake(struct world *world, uint8_t id);

/* No command is open. */
bool world_is_idle(const struct world *world);

#endif
