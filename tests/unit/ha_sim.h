/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two group state machines in one process, over a simulated totally ordered network, disks, a
 * clock and a store. Every asynchronous answer waits until the test lets it happen, so that a test
 * can choose any order, and every step checks the invariants that must hold whatever happens.
 */
#ifndef TEST_HA_SIM_H
#define TEST_HA_SIM_H

#include "fake_ledger.h"
#include "ha/ledger.h"

#define SIM_GROUPS    2
#define SIM_QUEUE_MAX 4096

enum sim_work {
	WORK_APPLIED,
	WORK_DRAIN,
	WORK_CLAIM,
	WORK_RELEASE,
	WORK_SAVE,
	WORK_PROVE,
	WORK_JOURNAL,
	WORK_GIVE_BACK
};

struct sim_job {
	enum sim_work work;
	uint16_t group;
	uint64_t value; /* seq or epoch */
	struct {
		uint64_t epoch, top;
		uint8_t owner, preferred;
	} groups[SIM_GROUPS]; /* WORK_SAVE */
	/* WORK_JOURNAL: what the journal leads to once it is written. */
	struct fake_ledger_lu lus[FAKE_LEDGER_LUS];
	bool replaces, alone;
	uint64_t number;
};

/* One entry of a node's delivery queue: a message, or a membership. */
struct sim_entry {
	uint8_t *bytes; /* NULL for a membership */
	int length;
	struct machine_member members[2];
	unsigned member_count;
	bool peer_left;
	enum machine_left left;
};

struct sim_durable {
	uint64_t epoch, top;
	uint8_t owner, preferred;
};

struct sim_node {
	struct sim *sim;
	uint8_t id;
	bool alive; /* its daemon */
	bool up; /* the node, with Corosync and Pacemaker */
	bool seen; /* wait_for_all: the other since the node came up */
	uint32_t pid;
	struct conf conf; /* as it was when the daemon started */
	struct machine *m;
	struct sim_durable disk[SIM_GROUPS];
	struct sim_entry *inbox, *outbox;
	unsigned inbox_count, outbox_count;
	struct sim_job jobs[512];
	unsigned job_count;
	struct fake_ledger scsi;
	struct {
		struct fake_ledger_lu lus[FAKE_LEDGER_LUS];
		uint64_t index, replaced;
		bool broken; /* until it is replaced */
		bool paired; /* the mark: not alone */
		uint64_t told; /* the index of the last record that it was given */
	} journal;
	struct group_view view[SIM_GROUPS];
	bool viewed[SIM_GROUPS];
	bool claimed[SIM_GROUPS];
	bool locked[SIM_GROUPS]; /* ahead of a claim */
	bool adopted; /* serves the other's portals */
	bool open; /* its own portals */
	bool addressed; /* their addresses are on its node, which may outlive the daemon */
	int score[SIM_GROUPS];
	/* What a test may set. */
	bool unhealthy;
	unsigned sessions;
	int save_err, claim_err, release_err, journal_err, adopt_err;
	bool old; /* a yoked that has no ledger */
	unsigned notices, deaths, readies, peer_ups, peer_downs, peer_gones, tables;
	bool awaits; /* a TMF waits for the other to be gone */
	bool fatal;
	bool conf_refuses, conf_prepared, conf_slow;
	char conf_edit[100]; /* of the last attempt */
	unsigned conf_prepares, conf_activates, conf_drops, conf_wanted;
};

/* What became of an entry that a test submitted. */
#define SIM_ENTRIES 64
struct sim_submitted {
	struct sim *sim;
	uint8_t at, lu;
	bool used;
	int outcome; /* -1 = none yet */
	uint32_t result;
};

/* What a larger simulation adds; each may be NULL. */
struct sim_hooks {
	bool (*may)(struct sim_node *n, const struct sim_job *job); /* happen now? */
	void (*claimed)(struct sim_node *n, uint16_t group);
	void (*released)(struct sim_node *n, uint16_t group);
};

struct world;

struct sim {
	const struct sim_hooks *hooks; /* NULL = none */
	struct world *world; /* for the hooks */
	bool frozen[3]; /* by controller: nothing happens there */
	bool lied; /* fencing has claimed what it did not do: only the disk's keys help now */
	struct conf conf;
	struct conf_group groups[SIM_GROUPS];
	struct sim_node node[3]; /* by controller */
	bool split;
	uint64_t now_ms;
	uint64_t rng;
	uint64_t local_epoch[SIM_GROUPS]; /* highest ever served */
	uint8_t local_owner[SIM_GROUPS];
	uint32_t pid;
	struct message_state room;
	struct sim_submitted entries[SIM_ENTRIES];
	unsigned entry_count;
	bool may_repeat; /* entries may be AGAIN and yet there: see sim_check_entries() */
	unsigned repeated; /* so many are */
};

struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *sim);
uint32_t sim_random(struct sim *sim, uint32_t below);

/* A daemon starts (with the state on its disk), dies alone, or its node dies or is cut off. */
void sim_boot(struct sim *sim, uint8_t id);
void sim_kill(struct sim *sim, uint8_t id, enum machine_left how);
void sim_split(struct sim *sim);
void sim_heal(struct sim *sim);
void sim_link(struct sim *sim, bool up);

/* One thing that can happen, chosen at random; false when nothing is left to happen. */
bool sim_step(struct sim *sim);
/* Until nothing is left to happen, without the clock. */
void sim_run(struct sim *sim);
/* The same, but for one kind of work, which a disk, a store or a reactor does not end. */
void sim_run_without(struct sim *sim, enum sim_work stuck);
/* The same, but for the writing of node `late`'s journal, or (late - 2) its publications. */
void sim_run_late(struct sim *sim, uint8_t late);
/* Time passes, deadlines included. */
void sim_pass(struct sim *sim, uint64_t ms);
void sim_job_do(struct sim_node *node, unsigned i);
void sim_deliver(struct sim_node *node);
void sim_order(struct sim_node *node);

/* Actions whose result lands in *result (-1 until then). */
void sim_promote(struct sim *sim, uint8_t id, uint16_t group, int *result);
void sim_demote(struct sim *sim, uint8_t id, uint16_t group);
void sim_start(struct sim *sim, uint8_t id, uint16_t group);
void sim_stop(struct sim *sim, uint8_t id, uint16_t group, int *result);
void sim_move(struct sim *sim, uint8_t id, uint16_t group, uint8_t to, unsigned ms, int *result);

/*
 * Submits an entry for the LU of the group at controller `id`, under the group's epoch there. NULL
 * when SIM_ENTRIES have been. It is checked when it is done: everybody who has to has it.
 */
struct sim_submitted *sim_submit(struct sim *sim, uint8_t id, uint16_t group);
/* At rest, all in sync: the states are the same, all that was done is in them, nothing else. */
void sim_check_entries(struct sim *sim);

/* Bytes that the state of an LU has more than it needs. */
#define SIM_PAD 40000

/* Portal adoption on or off, at both, from now on. */
void sim_adoption(struct sim *sim, bool on);

/* Both booted, in sync, linked, started; group g owned by `owner` (0: nobody). */
struct sim *sim_pair(uint64_t seed, uint8_t owner);
void sim_done(void *arg, enum ha_result result, const char *message);
struct ha_group *sim_group(struct sim *sim, uint8_t id, uint16_t group);
enum group_access sim_access(struct sim *sim, uint8_t id, uint16_t group);

#endif
