/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state machine of the groups, without a cluster, a clock, a disk or a thread of its own: it
 * is told what happens (functions below) and acts through struct machine_ops. Two machines that
 * see the same order of messages and membership changes hold the same ordered state.
 *
 * All functions run on one thread. An operation may call back at once or later. docs/ha.md has
 * the protocol, the phases and what happens when something fails at each step.
 */
#ifndef YOKE_HA_MACHINE_H
#define YOKE_HA_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"
#include "yoke/ha.h"

#define HA_BIT(controller) (1u << (controller))
#define HA_ALL_CONTROLLERS (HA_BIT(1) | HA_BIT(2))
#define HA_REQUESTS_MAX	   16 /* waiting actions per group */
#define HA_REPLAY_MAX	   4096 /* messages that a joiner remembers until it is in sync */
/*
 * A daemon that began alone does not know what the absent controller did after its own last record:
 * the first epoch that it takes leaves so many out.
 */
#define HA_EPOCH_JUMP	    65536
#define HA_PROOF_RETRY_MS   250
#define HA_MOVES_MAX	    16
#define HA_MOVES_WINDOW_MS  3600000 /* moves within that make a group restless */
#define HA_CLAIM_TIMEOUT_MS 10000

/* What both controllers agree on; the numbers travel in STATE. */
enum ha_phase {
	PHASE_UNKNOWN = 0, /* not in sync */
	PHASE_IDLE = 1, /* no owner */
	PHASE_SERVING = 2, /* the owner serves, or is about to again */
	PHASE_LOST = 3, /* the recorded owner is no member any more */
	PHASE_PREPARING = 4, /* `target` wants it under `top`: held, the owner lets go */
	PHASE_COMMITTING = 5, /* the new owner is decided and being made durable */
	PHASE_TAKING = 6, /* the new owner opens the extents */
};
#define PHASE_COUNT 7
const char *ha_phase_name(enum ha_phase phase);

/* This controller's hold on the extents of a group. */
enum ha_claim {
	CLAIM_NONE,
	CLAIM_TAKING,
	CLAIM_HAVE,
	CLAIM_DRAINING,
	CLAIM_RELEASING
};

/* What is known about a peer that is not a member. */
enum ha_peer {
	PEER_UNSEEN, /* never seen by this daemon: may be alive */
	PEER_MEMBER, /* in the CPG group */
	PEER_DEAD, /* its process has ended, so Corosync on its own node said */
	PEER_UNPROVEN, /* its node is out of reach: it may be alive until it is fenced */
	PEER_PROVEN, /* Pacemaker says that it has been fenced, or shut down cleanly */
};

enum ha_request_kind {
	REQUEST_PROMOTE,
	REQUEST_STOP,
	REQUEST_MOVE
};

struct ha_request {
	enum ha_request_kind kind;
	uint8_t controller; /* REQUEST_MOVE */
	uint64_t deadline_ms; /* 0 = none */
	ha_done_fn *done;
	void *arg;
};

struct ha_group {
	uint16_t index;

	/* Ordered: the same at every controller in sync after the same message. */
	enum ha_phase phase;
	uint64_t epoch; /* of the owner */
	uint64_t top; /* highest ever proposed; while preparing, the proposal */
	uint64_t past; /* highest that was found on record, and that nobody in sync knew of */
	uint8_t owner; /* 0 = none */
	uint8_t preferred; /* 0 = never decided: home */
	uint8_t target; /* who prepares */
	uint8_t waiting; /* bits of controllers whose DRAINED or SAVED is outstanding */
	bool was_lost; /* the move under way began in phase lost */
	bool was_serving; /* ... in phase serving at another controller */

	/* Local. */
	bool started; /* by the agent */
	bool asked; /* promoted by the agent and not demoted since */
	bool wanted; /* should become owner here as soon as that is possible */
	bool proofless; /* the promote was answered before the proof of fencing came */
	bool retiring; /* stop without a peer: let go, then RELEASED */
	enum ha_claim claim;
	uint64_t claim_epoch;
	bool drain_pending;
	bool locked; /* the extents' locks have been taken ahead of the claim */
	bool claim_failed, release_failed;
	uint64_t save_seq; /* the save that makes the current step durable */
	uint64_t deadline_ms; /* of the phase; 0 = none */
	uint64_t offer_until_ms; /* of a stop that offers; 0 = none */
	uint64_t home_since_ms; /* home could have it back since; 0 = cannot */
	bool unplanned; /* nobody asked for the move under way */
	uint64_t moved_ms[HA_MOVES_MAX]; /* the last such moves; 0 = none */
	unsigned moved_next;
	uint64_t well_ms; /* extents that were not healthy count as such until then */
	/* Epochs under which a message went out already, so that it goes out once. */
	uint64_t sent_prepare, sent_drained, sent_commit, sent_saved, sent_ready;
	uint64_t sent_rollback, sent_released;
	bool sent_move;
	bool move_undo; /* the target of a move that was asked for here has been lost */
	int score; /* -1 = none, -2 = not known yet */

	struct group_view view; /* last published */
	uint64_t publish_seq, applied_seq;
	uint64_t held_since_ms; /* 0 = not held */
	uint32_t last_held_ms;
	uint64_t last_move_unix_s;
	const char *last_move_kind;

	struct ha_request requests[HA_REQUESTS_MAX];
	unsigned request_count;
};

/* The portals of the other controller; see adoption.c. */
enum ha_adoption {
	ADOPTION_NONE,
	ADOPTION_TOLD, /* the views say that they are here, not every reactor has them yet */
	ADOPTION_HELD, /* served here */
	ADOPTION_GIVING /* on their way back */
};

/* A change of the configuration under way. */
struct ha_config {
	/* Ordered. */
	bool active;
	uint8_t proposer;
	uint64_t op;
	uint8_t digest[32];
	uint8_t ready; /* bits of members that have said READY */
	/* Local. */
	bool prepared;
	uint64_t placed_op; /* put in place here, the last command with the old one still runs */
	uint8_t placed_proposer;
	uint64_t own_op; /* of our own proposal that has not ended; 0 = none */
	uint64_t deadline_ms; /* of it; 0 = cancelled, or decided */
	uint64_t answer_ms; /* it is decided: when the answer goes out at the latest; 0 = it is not
			     */
	uint8_t done_by; /* bits of members that have said DONE to it */
	ha_done_fn *done;
	void *arg;
};

struct machine;

/* All NULL-free. */
struct machine_ops {
	uint64_t (*now_ms)(void *ctx);
	uint64_t (*unix_s)(void *ctx);
	/* To every member including this one; sender and incarnation are filled in. */
	void (*send)(void *ctx, const struct message *msg);
	/* Then machine_applied(group, seq). */
	void (*publish)(void *ctx, const struct group_view *view, uint64_t seq);
	void (*drain)(void *ctx, uint16_t group); /* machine_drained() */
	/* The locks of the extents ahead of the claim, and back when there is none. */
	void (*lock)(void *ctx, uint16_t group);
	void (*unlock)(void *ctx, uint16_t group);
	void (*claim)(void *ctx, uint16_t group, uint64_t epoch); /* machine_claimed() */
	void (*release)(void *ctx, uint16_t group); /* machine_released() */
	/* Makes the groups durable as they are at the call; machine_saved(seq). */
	void (*save)(void *ctx, uint64_t seq);
	/* This controller's promotion score; -1 = none. */
	void (*score)(void *ctx, uint16_t group, int score);
	/*
	 * The journal of the ledger; then machine_journaled(). `entry` NULL: a jump. A replacement
	 * holds the states of all LUs as they are at the call.
	 */
	void (*journal_append)(void *ctx, uint64_t index, const struct ledger_entry *entry);
	void (*journal_replace)(void *ctx, uint64_t index, uint64_t number);
	void (*journal_mark)(void *ctx, uint64_t index, bool alone, uint64_t number);
	bool (*healthy)(void *ctx, uint16_t group);
	unsigned (*sessions)(void *ctx);
	void (*peer_up)(void *ctx, uint64_t incarnation);
	void (*peer_down)(void *ctx);
	/* It has ended: its process, or its node has been fenced. */
	void (*peer_gone)(void *ctx);
	/* Does anything but the machine itself wait for that? */
	bool (*peer_awaited)(void *ctx);
	/* The owner of the group died alone, its node lives: Pacemaker should know now. */
	void (*notice)(void *ctx, uint16_t group);
	/* A daemon that owned nothing died alone: Pacemaker should start it again now. */
	void (*died)(void *ctx);
	/* Has the peer been fenced? machine_proof(). */
	void (*prove)(void *ctx);
	/* Is its node in reach of Corosync? */
	bool (*peer_in_reach)(void *ctx);
	/* Serves the portals of the other controller here, too: 0, or a negative errno, logged. */
	int (*adopt)(void *ctx);
	/* The way back; then machine_given_back(). */
	void (*give_back)(void *ctx);
	/* The configuration: see struct ha_conf_ops. */
	bool (*conf_prepare)(
		void *ctx, const uint8_t digest[32], const char *edit, char *why, size_t size);
	void (*conf_activate)(void *ctx);
	void (*conf_drop)(void *ctx);
	void (*conf_wanted)(void *ctx, const uint8_t digest[32]);
	void (*ready)(void *ctx);
	void (*fatal)(void *ctx, const char *reason);
};

struct machine {
	const struct conf *conf;
	const struct machine_ops *ops;
	void *ctx;
	uint8_t self, other;
	uint64_t incarnation;

	bool joined; /* the first membership has been seen */
	bool syncing; /* a round of STATE messages is under way */
	uint8_t sync; /* bits of members in sync */
	bool quorate;
	bool suspect; /* slept too long: hold until our ALIVE has come back */
	uint64_t alive_op;
	bool ready;
	bool ready_due; /* in sync for the first time; the portals may still be with the other */
	struct {
		enum ha_adoption phase;
		bool proven; /* its node is down, so Pacemaker says, and has not been seen since */
		bool own_free; /* nobody else serves the portals of this controller: they may open
				*/
		uint64_t retry_ms; /* after a failure */
	} adoption;
	bool dead; /* contact with the cluster is lost */
	bool unsure; /* began alone: the absent controller may have gone on since our last record */
	bool differs; /* the peer's configuration is another one */
	bool apart; /* the last round ended with that */
	enum ha_peer peer;
	bool peer_linked; /* peer_up() has been called */
	uint32_t pids[YOKE_CONTROLLERS + 1];
	uint64_t incarnations[YOKE_CONTROLLERS + 1];
	bool link; /* this end, as the interconnect says */
	uint64_t link_missing_ms; /* since when it has been down beside a member; 0 = it is not */
	bool prove_pending;
	uint64_t prove_at_ms;
	uint64_t op; /* last op id used */
	uint64_t save_seq, saved_seq, failed_seq;
	uint64_t save_retry_ms;
	uint64_t dropped; /* messages refused */

	/* As delivered: facts about each controller, and what was said in the round. */
	struct message_state *said[YOKE_CONTROLLERS + 1];
	uint64_t said_op[YOKE_CONTROLLERS + 1];
	bool got[YOKE_CONTROLLERS + 1]; /* and it is CURRENT */
	uint64_t state_op; /* of our own STATE of this round */
	uint64_t current_op; /* it has come back, and CURRENT has not gone out; 0 = nothing due */
	struct message_state *sending; /* scratch for STATE and STATUS */
	bool status_sent_link;
	uint32_t status_sent_sessions;
	uint8_t *status_sent_flags; /* by group */
	struct message *replay;
	unsigned replay_count;

	struct ha_ledger *ledger; /* see ledger.h */
	struct ha_config config;

	bool settling, again;
	unsigned group_count;
	struct ha_group *groups;
};

/*
 * A machine with the durable state filled in by the caller afterwards (epoch, top, owner,
 * preferred of each group), before the first event. NULL = out of memory.
 */
struct machine *machine_new(const struct conf *conf, uint8_t self, uint64_t incarnation,
	const struct machine_ops *ops, void *ctx);
void machine_free(struct machine *m);
/* The LUs' states, brought up to entry `index`, and what the journal says. Before the first event.
 */
void machine_ledger_set(
	struct machine *m, const struct ledger_serve *serve, uint64_t index, bool alone, int err);
/* Publishes the first views (held, transitioning). */
void machine_start(struct machine *m);

/* ----- events from the cluster, in the one total order -----------------------------------------
 */

enum machine_left {
	LEFT_NODE,
	LEFT_PROCESS
};

struct machine_member {
	uint8_t controller;
	uint32_t pid;
};

/* `members` after the change; `left` says how the peer went, when it did. */
void machine_confchg(struct machine *m, const struct machine_member *members, size_t count,
	bool peer_left, enum machine_left left);
/* A decoded message; msg->state is copied. */
void machine_deliver(struct machine *m, const struct message *msg);

/* ----- events of this controller ----------------------------------------------------------------
 */

void machine_quorum(struct machine *m, bool quorate);
void machine_link(struct machine *m, bool up);
void machine_applied(struct machine *m, uint16_t group, uint64_t seq);
void machine_drained(struct machine *m, uint16_t group);
void machine_claimed(struct machine *m, uint16_t group, int err);
void machine_released(struct machine *m, uint16_t group, int err);
/* The disk refuses our writes: another controller has taken the write key. Lets the group go. */
void machine_key_lost(struct machine *m, uint16_t group);
void machine_saved(struct machine *m, uint64_t seq, int err);
/* What has become of the journal, see struct journal_status. */
void machine_journaled(struct machine *m, uint64_t durable, uint64_t replaced, int err);
/* struct ledger's submit(). */
void machine_submit(struct machine *m, const struct ledger_entry *entry,
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg);
void machine_ledger_status(const struct machine *m, struct ledger_status *status);
void machine_proof(struct machine *m, bool proven);
/* The portals of the other controller are not served here any more. */
void machine_given_back(struct machine *m);
/* Time has passed: deadlines, health, sessions, failback. */
void machine_tick(struct machine *m);
/* This process did not run for so long that the membership may be old. */
void machine_slept(struct machine *m, uint64_t gap_ms);
/* Is what it knows of the membership current, so that what it publishes may be acted on? */
bool machine_is_sure(const struct machine *m);
/* Contact with Corosync is lost: hold everything for good. */
void machine_dead(struct machine *m, const char *reason);
/* When machine_tick() is due; 0 = no deadline. */
uint64_t machine_next_ms(const struct machine *m);

/* Proposes the file with that digest at every member; done() when all use it, or why not. */
void machine_conf_propose(
	struct machine *m, const uint8_t digest[32], const char *edit, ha_done_fn *done, void *arg);
/* What conf_activate() has put in place is in use, and the one before it no more. */
void machine_conf_done(struct machine *m);
/* Another configuration counts here from now on; groups and controllers are the same in it. */
void machine_conf_changed(struct machine *m, const struct conf *conf);

/* ----- the agent's actions; see yoke/ha.h -------------------------------------------------------
 */

void machine_group_start(struct machine *m, uint16_t group, ha_done_fn *done, void *arg);
void machine_group_stop(struct machine *m, uint16_t group, ha_done_fn *done, void *arg);
void machine_group_promote(struct machine *m, uint16_t group, ha_done_fn *done, void *arg);
void machine_group_demote(struct machine *m, uint16_t group, ha_done_fn *done, void *arg);
void machine_group_move(struct machine *m, uint16_t group, uint8_t controller, unsigned timeout_ms,
	ha_done_fn *done, void *arg);
enum ha_role machine_group_role(const struct machine *m, const struct ha_group *g);

/* ----- between the files of the machine ----------------------------------------------------------
 */

/* config.c */
void config_deliver(struct machine *m, const struct message *msg);
void config_members_changed(struct machine *m);
void config_tick(struct machine *m);

/* Brings everything that follows from the state up to date: sends, claims, publishes, answers. */
void machine_settle(struct machine *m);
uint64_t machine_save(struct machine *m);
bool machine_has_peer(const struct machine *m); /* the peer is a member in sync */
bool machine_in_sync(const struct machine *m);
/* Gives the other controller's daemon time to come up before this one begins without it. */
bool machine_waits_for_peer(const struct machine *m);
bool machine_link_up(const struct machine *m); /* at both ends, as delivered */

/* Sends a message about `g`; the fields beyond group and epoch are for the types that have them. */
void group_send(struct machine *m, struct ha_group *g, enum message_type type, uint64_t epoch);
void group_rollback_send(struct machine *m, struct ha_group *g, enum message_reason reason);
/* A delivered message, or the loss of a member (type MESSAGE_NONE, sender = who is lost). */
void group_deliver(struct machine *m, struct ha_group *g, const struct message *msg);
/* The phase in which a group rests whose owner is as recorded. */
enum ha_phase group_resting(const struct machine *m, const struct ha_group *g);
/*
 * The guard against thrashing: how often the group has moved within the last hour though nobody had
 * asked for it; how long it then waits before it returns home, and how long extents that were not
 * healthy have to be well before they count.
 */
void group_moved(struct machine *m, struct ha_group *g);
unsigned group_moves(const struct machine *m, const struct ha_group *g);
uint64_t group_failback_wait_ms(const struct machine *m, const struct ha_group *g);
/* Seconds until it returns home by itself; -1 = it does not. */
int group_failback_in_s(const struct machine *m, const struct ha_group *g);
uint64_t group_health_wait_ms(const struct machine *m, const struct ha_group *g);

/* Takes a lost owner's group without a promote, where that is safe; and the end of such a wish. */
void group_take_over(struct machine *m, struct ha_group *g);
void group_take_over_end(struct ha_group *g);
/* Should Pacemaker be asked whether the lost peer has been fenced? Asks when it is time to. */
bool machine_wants_proof(const struct machine *m);
void machine_proof_step(struct machine *m);
/* One step of what follows from the state. */
void group_step(struct machine *m, struct ha_group *g);
void group_claim_step(struct machine *m, struct ha_group *g);
void group_refresh(struct machine *m, struct ha_group *g);
void group_requests_step(struct machine *m, struct ha_group *g);
void group_failback_step(struct machine *m, struct ha_group *g);
/* Ends every waiting request of a kind. */
void group_requests_end(
	struct ha_group *g, enum ha_request_kind kind, enum ha_result result, const char *message);
bool group_has_request(const struct ha_group *g, enum ha_request_kind kind);
bool group_takes_time(const struct machine *m, const struct ha_group *g);
/* Says in PORTALS whether this controller holds the other's portals. */
void adoption_say(struct machine *m);
void adoption_deliver(struct machine *m, const struct message *msg);
void adoption_step(struct machine *m);
/* Are ports of `controller`, which is not a member, served here? */
bool adoption_serves(const struct machine *m, uint8_t controller);
bool adoption_wants_proof(const struct machine *m);
void adoption_proof(struct machine *m, bool proven);
void adoption_peer_joined(struct machine *m);
void adoption_peer_lost(struct machine *m, enum machine_left left);
void sync_state_send(struct machine *m);
void sync_status_step(struct machine *m);
void sync_current_step(struct machine *m);
void sync_check(struct machine *m);

#endif
