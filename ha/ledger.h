/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The replicated ledger: a part of the machine, and as pure. docs/ha.md has its protocol. The
 * place of an entry in the order is its delivery; every member in sync gives it the next index,
 * applies it and writes it to its journal; it is done when everybody who counts has said so.
 */
#ifndef YOKE_HA_LEDGER_H
#define YOKE_HA_LEDGER_H

#include <qb/qblist.h>

#include "machine.h"
#include "yoke/journal.h"

/*
 * Who goes on without the other leaves out so many indexes before its next entry is done, so that
 * its journal counts for more than one that holds entries nobody acknowledged. More than there can
 * be under way.
 */
#define HA_LEDGER_JUMP	       65536
#define HA_LEDGER_FLIGHT_MAX   64 /* entries under way from one controller */
#define HA_LEDGER_FLIGHT_BYTES (256u << 10)
#define HA_LEDGER_CHUNK_BYTES  (32u << 10)
#define HA_LEDGER_CHUNKS       4 /* of a snapshot under way */
#define HA_LEDGER_HELD_BYTES                                                 \
	(64u << 20) /* entries that a joiner keeps until it has the snapshot \
		     */
#define HA_LEDGER_WAIT_MS  30000 /* for a controller that may know newer entries */
#define HA_LEDGER_RETRY_MS 1000
#define HA_LEDGER_DIGESTS  64

enum ledger_op_state {
	LEDGER_WAITING, /* not multicast yet */
	LEDGER_SENT,
	LEDGER_APPLIED,
};

/* An entry submitted here. */
struct ledger_op {
	struct qb_list_head link;
	enum ledger_op_state state;
	uint64_t op;
	uint64_t index;
	uint64_t need; /* what has to be durable somewhere: the index, or a jump after it */
	uint8_t owing; /* bits of the others whose acknowledgement counts */
	uint32_t result;
	struct ledger_entry entry;
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result);
	void *arg;
	uint8_t bytes[];
};

/* An entry applied here, until every reactor works by it. */
struct ledger_item {
	struct qb_list_head link;
	struct machine *m;
	uint64_t index; /* 0: a snapshot has taken its place */
	bool published;
};

/* An entry delivered to a joiner that has no snapshot yet. */
struct ledger_held {
	struct qb_list_head link;
	unsigned place; /* group messages of the round that were delivered before it */
	bool accepted;
	struct message msg;
	uint8_t bytes[];
};

/* What a controller said about its ledger at the last change of the membership. */
struct ledger_facts {
	uint64_t op; /* of its STATE */
	uint64_t index;
	uint64_t common; /* index when it last lost the other: up to there both have the same */
	uint32_t digest;
};

struct ha_ledger {
	const struct ledger_serve *serve;
	uint64_t index; /* of the last entry applied, or a jump */
	uint32_t digest; /* of all LUs */
	struct {
		uint64_t index;
		uint32_t digest;
		uint8_t lu[16];
	} past[HA_LEDGER_DIGESTS];
	unsigned past_next;

	/* This controller's journal. */
	uint64_t durable;
	/* Of replacements and marks: what is durable counts when the two are the same. */
	uint64_t replacing, replaced;
	int err;
	bool failed; /* has failed, and not everything that counts has been made good since */
	uint64_t retry_ms;

	/* Acknowledgements. */
	uint64_t acked[YOKE_CONTROLLERS + 1]; /* by controller, as delivered */
	uint64_t kept[YOKE_CONTROLLERS + 1]; /* and on its disk */
	uint64_t theirs; /* last entry of the other controller: owes it an ACK */
	uint64_t said; /* index of the last ACK sent */
	bool say; /* send one in any case */

	struct qb_list_head ops; /* of this controller, in the order of submission */
	struct qb_list_head items;
	unsigned flight; /* ops that are not waiting */
	size_t flight_bytes;
	unsigned pending;
	bool applying;

	/* The other controller. */
	bool absent; /* out of reach without proof: it may have been acknowledging */
	bool jump_due;
	bool alone; /* nobody can know newer entries: so the journal is marked */
	bool was_alone; /* until the other came, in the round under way */
	uint64_t wait_until_ms; /* before beginning alone with a journal that is not; 0 = not yet */
	bool behind; /* it has gone before its states were here, and they may be newer */
	uint64_t common; /* the index when it was lost */
	bool old; /* its yoked has no ledger */

	/* The round under way. */
	struct ledger_facts facts[YOKE_CONTROLLERS + 1];
	uint8_t open; /* the only controller in sync: its entries count during the round */
	bool loaded; /* LOADED has been delivered */
	bool loaded_here;
	bool loaded_sent;
	struct journal_bytes out; /* donor */
	bool sending;
	uint64_t out_op, out_index;
	uint32_t out_part, out_crc;
	size_t out_sent;
	struct journal_bytes in; /* joiner */
	uint64_t in_op;
	uint32_t in_part;
	struct qb_list_head held;
	size_t held_bytes;
};

struct ha_ledger *ha_ledger_new(void);
void ha_ledger_free(struct ha_ledger *l);

/* ----- from the machine's other files -----------------------------------------------------------
 */

void ledger_deliver(struct machine *m, const struct message *msg);
/* What follows from the state: acknowledgements, outcomes, the queue. */
void ledger_step(struct machine *m);
/* LUs have come or gone, at the same place of the order at every member: counts states anew. */
void ledger_conf_changed(struct machine *m);
void ledger_tick(struct machine *m);
uint64_t ledger_next_ms(const struct machine *m);
/* Needs to know that the lost controller is dead. */
bool ledger_wants_proof(const struct machine *m);
/* The peer was a member and is not any more; before m->sync and m->peer say so. */
void ledger_peer_lost(struct machine *m, enum machine_left left);
/* The lost controller is certainly dead. */
void ledger_peer_gone(struct machine *m);

/* ----- a round, ledger_sync.c -------------------------------------------------------------------
 */

void ledger_round_start(struct machine *m);
/* This controller's facts, with the op id of the STATE that follows. */
void ledger_facts_send(struct machine *m, uint64_t op);
/* Whose states count, by what both have said in this round; 0 = they are the same, or not known. */
uint8_t ledger_counts(const struct machine *m);
/* The peer is lost while this controller is not in sync: may it begin with what it knows? */
void ledger_joiner_lost(struct machine *m, enum machine_left left);
/* All have spoken: do their ledgers agree, too? Else the snapshot is on its way. */
bool ledger_agreed(struct machine *m, bool known);
/* Is it time to begin without the other? */
void ledger_wait_tick(struct machine *m);
/* Verdicts on what a joiner holds: entries of the group behind `place` messages of the round. */
void ledger_replay(struct machine *m, const struct ha_group *g, unsigned place);
/* The round is over; `known` = somebody was in sync before. */
void ledger_finish(struct machine *m, bool known);
void ledger_sync_deliver(struct machine *m, const struct message *msg);
/* A joiner keeps an entry. */
void ledger_hold(struct machine *m, const struct message *msg);
void ledger_loaded_step(struct machine *m);

/* ----- between the two files --------------------------------------------------------------------
 */

uint32_t ledger_apply(struct machine *m, uint8_t sender, const struct ledger_entry *entry);
void ledger_jump(struct machine *m);
/* Notes the digest as of now, to compare; `lu`: of the entry that led to it. */
void ledger_past_add(struct ha_ledger *l, const uint8_t lu[16]);
void ledger_replace(struct machine *m);
void ledger_mark(struct machine *m, bool alone);
/* What the journal holds counts, or cannot be changed at present. */
bool ledger_is_settled(const struct ha_ledger *l);
/*
 * Whether this controller was alone stands on the disk, or the disk is out of order. One that
 * hangs may be well at the next start, and hold what was true before.
 */
bool ledger_is_marked(const struct ha_ledger *l);
/* Its journal's disk hangs, and keeps the other controller from joining. */
bool ledger_keeps_out(const struct machine *m);
/* Everything up to it is published here, and durable unless the journal fails. */
uint64_t ledger_here(const struct ha_ledger *l);
bool ledger_is_kept(const struct ha_ledger *l);
struct ledger_entry ledger_entry_of(const struct message *msg);
/* Ops applied above `common`: their entries are lost with the states that they went into. */
void ledger_ops_again(struct machine *m, uint64_t common);

#endif
