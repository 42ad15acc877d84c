/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two whole controllers in one process, under one clock that stands still while they work: the
 * device server (daemon/scsi), the cluster layer (ha) and the interconnect's protocol as they are,
 * around them a world whose every choice is drawn from one seed. The world is what a controller
 * stands on: threads, time, sockets (virtual.c, wire.c), the shared disk (disk.c), state directory
 * (stable.c), Corosync and Pacemaker (cluster.c, pacemaker.c), hosts (host.c).
 */
#ifndef YOKE_TEST_SIM_H
#define YOKE_TEST_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "ha/state.h"
#include "tests/checker/history.h"
#include "yoke/conf.h"
#include "yoke/ha.h"
#include "yoke/journal.h"
#include "yoke/scsi.h"

#define SIM_REACTORS 2
#define SIM_GROUPS   2
#define SIM_LUS	     2 /* LU i is in group i; the second has a volatile cache */
#define SIM_LUNS     3 /* the last is LU 0 once more, in every other configuration */
#define SIM_SECTORS  4 /* that hosts use, of each LU */
#define SIM_HOSTS    3
#define SIM_BLOCK    512
#define SIM_BLOCKS   256

#define US	     1000ull
#define MS	     1000000ull

/* What is planted: see bugs.c. */
enum sim_bug {
	BUG_NONE,
	BUG_NO_KEY,
	BUG_NO_FENCE_WAIT,
	BUG_EARLY_GOOD,
	BUG_NO_BARRIER,
	BUG_NO_FLUSH,
	BUG_UA_DROPPED,
	BUG_UA_TWICE,
	BUG_NO_SERIAL,
	BUG_NO_LEASE,
	BUG_NO_DRAIN,
	BUG_NO_RERUN,
	BUG_NOT_DURABLE,
	BUG_STATE_NOT_SAVED,
	BUG_NO_CLAIM,
	BUG_NO_ABORT,
	BUG_MODE_UNSAVED,
	BUG_RESET_HERE,
	BUG_ABORT_HERE,
	BUG_COUNT,
};

struct node;
struct sim;
struct session;

typedef void sim_fn(void *arg);

struct stable_group {
	uint64_t epoch, top;
	uint8_t owner, preferred;
};

/* The state directory of a controller, which outlives its daemon. */
struct stable {
	struct stable_group groups[SIM_GROUPS];
	bool written; /* groups.state exists */
	uint8_t *journal; /* the bytes of ledger.journal */
	size_t journal_length;
	uint64_t hangs_until_ns; /* no write is over before */
};

/* One controller. */
struct node {
	struct sim *sim;
	uint8_t id;
	bool up; /* the machine, with Corosync and Pacemaker */
	bool alive; /* its daemon */
	bool frozen; /* the daemon does not run (SIGSTOP) */
	unsigned freezes; /* so many times */
	bool stopped; /* neither does anything else of the machine */
	uint64_t life; /* of the daemon: what was meant for a former one never comes */
	bool lied_about; /* believed to be fenced, and is not: the disk's keys must do */
	bool lied_back; /* and a member again */
	uint32_t pid;
	bool ready; /* portals are open */
	uint64_t lease_until_ns; /* the reactors may serve without another word */
	struct stable stable;
	struct conf conf;
	struct conf_controller controllers[2];
	struct conf_address portals[2];
	struct conf_group groups[SIM_GROUPS];
	struct conf_extent extents[SIM_LUS];
	struct conf_target target;
	struct conf_lun luns[SIM_LUS];
	/* change.c: the file on its disk, and what its daemon runs. */
	uint64_t file;
	struct sim_conf *running, *next, *former;
	struct scsi_change *change; /* prepared */
	bool changing; /* the former configuration is still in use */
	bool wanted_due;
	uint8_t wanted[32]; /* the digest of what the other controller runs */
	struct mailbox control;
	struct reactor *reactors[SIM_REACTORS];
	struct scsi *scsi;
	struct ship *ship;
	struct ha *ha;
	struct ledger ledger; /* what scsi submits to: ha's, watched */
	struct group_serve serve; /* what ha drives scsi by: scsi's, watched */
	struct ledger_serve ledger_serve;
	struct group_ship ship_ops; /* what scsi ships by: the interconnect's, watched */
	/* Watched: */
	struct group_view view[SIM_GROUPS]; /* published last */
	uint32_t applied_table[SIM_GROUPS]; /* every reactor has it */
	uint64_t applied_epoch[SIM_GROUPS];
	struct entry *entries; /* submitted here; for a planted bug */
	struct pacemaker *pacemaker;
	struct journal *journal;
	struct state_writer *writer;
	struct ship_listener *listener;
	struct parked *parked; /* what happened while it was frozen */
	unsigned parked_count, parked_room;
};

/* What has happened, summed up. */
struct totals {
	uint64_t seeds, faults, moves, handovers, takeovers, commands, operations, shipped, reruns,
		refused_by_key, entries, crashes, uas, retries, aborts, changes, events, unjudged,
		gap_writes;
};

struct sim {
	uint64_t seed, random;
	uint64_t now_ns;
	uint64_t order; /* of events at one time */
	struct event *events; /* a heap */
	unsigned event_count, event_room;
	uint64_t steps;
	struct chunk *memory;
	struct node node[3]; /* by controller */
	struct node *running; /* whose code runs; NULL = the world's */
	uint32_t pids;
	enum sim_bug bug;
	bool lies; /* fencing does, now */
	bool lie_open; /* it did, and not everybody knows yet */
	bool calm; /* liveness: nothing breaks any more */
	unsigned mends; /* of the configuration, then */
	bool trace;
	char wrong[256]; /* the first violation; "" = none */
	struct totals *totals;
	struct disk *disk;
	struct cluster *cluster;
	struct wires *wires;
	struct hosts *hosts;
	struct history history;
	/* Owner of record: who was published LOCAL under the highest epoch. */
	uint64_t owner_epoch[SIM_GROUPS];
	uint8_t owner[SIM_GROUPS];
	uint64_t owner_since_ns[SIM_GROUPS];
};

extern struct sim *the_sim; /* for what is called without a context: clocks, sockets */

struct sim *sim_new(uint64_t seed, enum sim_bug bug, struct totals *totals);
void sim_free(struct sim *sim);

/* ----- chance, time, events (virtual.c) ------------------------------------------------------- */

uint64_t sim_random(struct sim *sim);
uint32_t sim_below(struct sim *sim, uint32_t limit);
/* Once in n. */
bool sim_once_in(struct sim *sim, uint32_t n);
/* Mostly near `low`, at times much more, never above `high`. */
uint64_t sim_delay(struct sim *sim, uint64_t low_ns, uint64_t high_ns);
/* fn(arg) later: on the node if it lives on till then (and after its sleep), or in the world. */
void sim_at(struct sim *sim, struct node *node, uint64_t delay_ns, sim_fn *fn, void *arg);
/* The next event; false when there is none. */
bool sim_step(struct sim *sim);
void sim_run(struct sim *sim, uint64_t for_ns);
void sim_parked_release(struct node *node);
/* Zeroed memory that lives as long as the simulation. */
void *sim_memory(struct sim *sim, size_t size);
void sim_memory_free(struct sim *sim);
/* An invariant does not hold; the first one counts. */
void sim_wrong(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* fn(arg) as an event of the control thread, or of a reactor, in a pass of its own. */
void sim_control_do(struct node *node, sim_fn *fn, void *arg);
void sim_reactor_do(struct reactor *r, sim_fn *fn, void *arg);
void sim_reactors_new(struct node *node);
void sim_reactors_free(struct node *node);

static inline struct node *sim_other(struct node *node)
{
	return &node->sim->node[3 - node->id];
}

/* ----- the parts ------------------------------------------------------------------------------ */

/* controller.c */
void node_init(struct sim *sim, uint8_t id);
void node_end(struct node *node);
void node_start(struct node *node); /* its daemon */
void node_kill(struct node *node); /* its daemon, at once */
void node_freeze(struct node *node, bool whole);
void node_wake(struct node *node);
void node_barrier_drop(struct node *node); /* a planted bug */

/* change.c */
void conf_fill(struct node *node);
extern const struct ha_conf_ops change_ops;
/* Its daemon starts: with what the file says. */
const struct conf *change_start(struct node *node);
/* The administrator writes a new file; asks a controller to put its file in place. */
void change_files(struct sim *sim, bool both);
void change_reload(struct node *node);
/* He sees to it that both have the same file, and run it; `restart`: if nothing else helps. */
void change_mend(struct sim *sim, bool restart);
bool change_is_over(const struct node *node);
/* Does the last LUN exist there, by what runs? */
bool change_has_lun(const struct node *node);

/* disk.c */
struct disk *disk_new(struct sim *sim);
void disk_free(struct disk *disk);
bool disk_has_keys(struct sim *sim);
void disk_slow(struct sim *sim, uint8_t node, bool slow);
/* The machine has lost its power, or its daemon has died. */
void disk_node_lost(struct node *node, bool power);
bool disk_is_slow(struct sim *sim);
uint64_t disk_value(struct sim *sim, unsigned lu, unsigned sector);

/* stable.c */
/* Its daemon dies, or its power goes, while it writes. */
void stable_lost(struct node *node, bool power);

/* wire.c */
struct wires *wires_new(struct sim *sim);
void wires_free(struct wires *wires);
void wires_cut(struct sim *sim, bool cut);
void wires_reset(struct sim *sim);
void wires_node_lost(struct node *node, bool power);

/* cluster.c */
struct cluster *cluster_new(struct sim *sim);
void cluster_free(struct cluster *cluster);
void cluster_node_up(struct node *node); /* the machine has booted */
void cluster_node_down(struct node *node); /* it is off, or hangs; noticed after the token time */
void cluster_daemon_dead(struct node *node);
void cluster_split(struct sim *sim, bool split);
bool cluster_sees(struct node *node); /* the other machine is in its membership */
bool cluster_has_joined(struct node *node);

/* pacemaker.c */
void pacemaker_begin(struct sim *sim);
void pacemaker_tick(struct sim *sim); /* looks at everything now */
void pacemaker_node_lost(struct node *by);
void pacemaker_daemon_ready(struct node *node);
enum fencing {
	FENCING_HONEST,
	FENCING_SLOW,
	FENCING_LIES
};
void pacemaker_fencing(struct sim *sim, enum fencing how);
void pacemaker_power_off(struct node *node); /* for a second or three */
bool pacemaker_has_fenced(struct node *by);
void pacemaker_node_seen(struct node *by);

/* host.c */
struct hosts *hosts_new(struct sim *sim);
void hosts_free(struct hosts *hosts);
void hosts_begin(struct sim *sim);
void hosts_drain(struct sim *sim);
bool hosts_idle(struct sim *sim);
void hosts_busy(struct sim *sim); /* hurry: something is about to happen */
void hosts_node_dead(struct node *node); /* its connections */
void hosts_node_silent(struct node *node); /* for so long that hosts give it up */
void hosts_node_unseen(struct node *node);
void hosts_connection_lost(struct sim *sim);
/* manage.c: a write of a nexus is applied, its task has that number */
void hosts_write_check(struct sim *sim, unsigned lu, unsigned nexus, uint64_t number);
/* manage.c: an entry of the ledger is applied by a controller */
void hosts_entry_check(struct sim *sim, const uint8_t *bytes, size_t length);
void hosts_final(struct sim *sim);
bool hosts_final_done(struct sim *sim);

/* bugs.c */
extern const char *const sim_bug_names[BUG_COUNT];

#endif
