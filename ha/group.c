/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ordered part of a group's state machine: what a delivered message, or the loss of a member,
 * does in each phase. Every controller in sync does the same at the same place of the order.
 */
#include <inttypes.h>

#include "machine.h"
#include "yoke/log.h"
#include "yoke/util.h"

static const char *name_of(const struct machine *m, const struct ha_group *g)
{
	return m->conf->groups[g->index].name;
}

const char *ha_phase_name(enum ha_phase phase)
{
	static const char *const names[PHASE_COUNT] = {
		[PHASE_UNKNOWN] = "unknown",
		[PHASE_IDLE] = "idle",
		[PHASE_SERVING] = "serving",
		[PHASE_LOST] = "lost",
		[PHASE_PREPARING] = "preparing",
		[PHASE_COMMITTING] = "committing",
		[PHASE_TAKING] = "taking",
	};

	return (unsigned)phase < PHASE_COUNT ? names[phase] : "(none)";
}

enum ha_phase group_resting(const struct machine *m, const struct ha_group *g)
{
	if (g->owner == 0) {
		return PHASE_IDLE;
	}
	return m->sync & HA_BIT(g->owner) ? PHASE_SERVING : PHASE_LOST;
}

void group_send(struct machine *m, struct ha_group *g, enum message_type type, uint64_t epoch)
{
	struct message msg = {.type = type, .group = g->index, .epoch = epoch, .op = ++m->op};

	log_debug("group %s: send %s epoch %" PRIu64 " op %" PRIu64, name_of(m, g),
		message_type_name(type), epoch, msg.op);
	m->ops->send(m->ctx, &msg);
}

void group_rollback_send(struct machine *m, struct ha_group *g, enum message_reason reason)
{
	struct message msg = {.type = MESSAGE_ROLLBACK,
		.group = g->index,
		.epoch = g->top,
		.op = ++m->op,
		.reason = reason};

	if (g->phase != PHASE_PREPARING || g->sent_rollback == g->top) {
		return;
	}
	g->sent_rollback = g->top;
	log_warning("group %s: the move to epoch %" PRIu64 " is rolled back: %s", name_of(m, g),
		g->top, message_reason_name(reason));
	m->ops->send(m->ctx, &msg);
}

/* ----- actions ------------------------------------------------------------------------------- */

static bool is_stale(const struct machine *m, const struct ha_group *g, const struct message *msg,
	uint64_t epoch)
{
	if (msg->epoch == epoch) {
		return false;
	}
	log_info("group %s: %s of controller %u for epoch %" PRIu64 " in %s at epoch %" PRIu64
		 " comes too late",
		name_of(m, g), message_type_name(msg->type), msg->sender, msg->epoch,
		ha_phase_name(g->phase), epoch);
	return true;
}

/*
 * A PREPARE sent to a member and delivered after its loss: that member may be alive and serve, or
 * take an idle group as well. Only the sender is left to see it, so nobody disagrees. While a
 * joiner is not in sync yet nobody begins a move: what it says may change who the owner is.
 */
static bool is_unproven(const struct machine *m, enum ha_phase phase)
{
	return (phase == PHASE_LOST || phase == PHASE_IDLE) &&
	       (m->peer == PEER_UNPROVEN || m->peer == PEER_UNSEEN);
}

static void do_prepare(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (msg->sender == m->self) {
		g->sent_prepare = 0;
	}
	if (msg->epoch <= g->top) { /* invariant I2; its sender asks again with a newer one */
		log_info("group %s: PREPARE of controller %u for epoch %" PRIu64
			 " refused, %" PRIu64 " is taken",
			name_of(m, g), msg->sender, msg->epoch, g->top);
		return;
	}
	if (m->syncing || is_unproven(m, g->phase)) {
		log_notice("group %s: PREPARE of controller %u for epoch %" PRIu64
			   " comes after a change of the membership, refused",
			name_of(m, g), msg->sender, msg->epoch);
		return;
	}
	g->was_lost = g->phase == PHASE_LOST;
	g->was_serving = g->phase == PHASE_SERVING && g->owner != msg->sender;
	g->top = msg->epoch;
	g->target = msg->sender;
	g->phase = PHASE_PREPARING;
	g->waiting = (uint8_t)(m->sync & ~HA_BIT(msg->sender));
	g->deadline_ms = m->ops->now_ms(m->ctx) + m->conf->handover_timeout_ms;
	if (g->waiting & HA_BIT(m->self)) {
		g->save_seq = machine_save(m);
	}
	log_notice("group %s: epoch %" PRIu64 " op %" PRIu64
		   ": controller %u prepares to take over from %u, held",
		name_of(m, g), g->top, msg->op, g->target, g->owner);
}

/* Another move came first. */
static void do_refuse(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (msg->sender != m->self) {
		return;
	}
	g->sent_prepare = 0;
	g->wanted = false;
	g->asked = false;
	group_requests_end(g, REQUEST_PROMOTE, HA_BUSY, "another move of the group came first");
}

static void do_drained(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (!is_stale(m, g, msg, g->top)) {
		g->waiting &= (uint8_t)~HA_BIT(msg->sender);
	}
}

static void do_commit(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (is_stale(m, g, msg, g->top)) {
		return;
	}
	if (msg->sender != g->target || g->waiting) {
		log_warning("group %s: COMMIT of controller %u for epoch %" PRIu64
			    " refused: not its move, or not everyone has let go",
			name_of(m, g), msg->sender, msg->epoch);
		return;
	}
	g->owner = msg->sender;
	g->epoch = g->top;
	g->phase = PHASE_COMMITTING;
	g->unplanned = g->was_lost || (g->was_serving && g->preferred != g->owner);
	if (g->was_lost || g->was_serving) {
		g->preferred = g->owner; /* failback is a decision of its own */
	}
	g->waiting = m->sync;
	g->deadline_ms = m->ops->now_ms(m->ctx) + m->conf->handover_timeout_ms;
	g->save_seq = machine_save(m);
	log_notice("group %s: epoch %" PRIu64 " op %" PRIu64 ": owner is controller %u",
		name_of(m, g), g->epoch, msg->op, g->owner);
}

static void do_saved(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (is_stale(m, g, msg, g->epoch)) {
		return;
	}
	g->waiting &= (uint8_t)~HA_BIT(msg->sender);
	if (!g->waiting) {
		g->phase = PHASE_TAKING;
	}
}

static void do_ready(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (is_stale(m, g, msg, g->epoch) || msg->sender != g->owner) {
		return;
	}
	g->phase = PHASE_SERVING;
	g->waiting = 0;
	g->deadline_ms = 0;
	if (g->was_lost || g->was_serving) {
		g->last_move_kind = g->was_lost ? "takeover" : "handover";
		g->last_move_unix_s = m->ops->unix_s(m->ctx);
		group_moved(m, g);
	}
	if (g->owner != m->self) {
		g->asked = false;
	}
	log_notice("group %s: epoch %" PRIu64 " op %" PRIu64 ": controller %u serves",
		name_of(m, g), g->epoch, msg->op, g->owner);
}

static void roll_back(struct machine *m, struct ha_group *g, enum ha_result result, const char *why)
{
	uint8_t target = g->target;

	g->phase = group_resting(m, g);
	g->waiting = 0;
	g->deadline_ms = 0;
	log_warning("group %s: the move to epoch %" PRIu64
		    " is off (%s); owner is controller %u at epoch %" PRIu64 ", %s",
		name_of(m, g), g->top, why, g->owner, g->epoch, ha_phase_name(g->phase));
	if (target == m->self && g->owner != m->self) {
		g->wanted = false;
		g->asked = false;
		group_requests_end(g, REQUEST_PROMOTE, result, why);
	}
}

static void do_rollback(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (!is_stale(m, g, msg, g->top)) {
		roll_back(m, g, msg->reason == REASON_TIMEOUT ? HA_TIMEOUT : HA_FAILED,
			message_reason_name(msg->reason));
	}
}

static void do_released(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (is_stale(m, g, msg, g->epoch) || msg->sender != g->owner) {
		return;
	}
	g->owner = 0;
	g->phase = PHASE_IDLE;
	g->waiting = 0;
	g->deadline_ms = 0;
	g->save_seq = machine_save(m);
	log_notice("group %s: epoch %" PRIu64 " op %" PRIu64 ": controller %u has let go, no owner",
		name_of(m, g), g->epoch, msg->op, msg->sender);
}

static void do_offer(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (is_stale(m, g, msg, g->epoch) || msg->sender != g->owner ||
		msg->controller != m->self || msg->sender == m->self) {
		return;
	}
	log_notice("group %s: epoch %" PRIu64 " op %" PRIu64 ": controller %u offers the group",
		name_of(m, g), g->epoch, msg->op, msg->sender);
	g->wanted = g->started;
}

static void do_move(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (msg->sender == m->self) {
		g->sent_move = false;
	}
	if (g->preferred == msg->controller) {
		return;
	}
	g->preferred = msg->controller;
	machine_save(m);
	log_notice("group %s: op %" PRIu64 ": controller %u is preferred now", name_of(m, g),
		msg->op, msg->controller);
}

/*
 * The owner's daemon has died and may be back within half a second: this controller takes over,
 * Pacemaker is told, and this controller is preferred from now on, so that the returned one does
 * not take the group from hosts that have just moved here. Home is a decision of its own
 * (failback).
 */
static void owner_dead(struct machine *m, struct ha_group *g)
{
	if (m->peer != PEER_DEAD) {
		return;
	}
	if (g->started) {
		g->preferred = m->self;
	}
	group_take_over(m, g);
	m->ops->notice(m->ctx, g->index);
}

static void do_lost_serving(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (g->owner == msg->sender) {
		g->phase = PHASE_LOST;
		g->wanted = g->wanted && g->asked; /* an offer ends with the one who made it */
		log_warning("group %s: epoch %" PRIu64 ": the owner, controller %u, is lost, held",
			name_of(m, g), g->epoch, g->owner);
		owner_dead(m, g);
	}
}

/* Its node was out of reach, now its daemon has ended. */
static void do_lost_again(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (g->owner == msg->sender) {
		owner_dead(m, g);
	}
}

/* Before COMMIT: a lost taker means rollback, a lost owner a takeover from the start. */
static void do_lost_preparing(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (g->target == msg->sender) {
		roll_back(m, g, HA_FAILED, "the taker is lost");
	} else if (g->owner == msg->sender && !g->was_lost) {
		g->phase = PHASE_LOST;
		g->wanted = g->wanted && g->asked;
		g->waiting = 0;
		g->deadline_ms = 0;
		log_warning("group %s: epoch %" PRIu64
			    ": the owner, controller %u, was lost before COMMIT, held",
			name_of(m, g), g->epoch, g->owner);
		owner_dead(m, g);
	} else if (is_unproven(m, group_resting(m, g))) {
		/*
		 * Nobody served it, and the lost one did not say that it knows of this epoch: it
		 * may have been cut off before, and could take the group under the same one
		 * (invariant I2). The taker asks again, with a newer one, once there is proof.
		 */
		g->phase = group_resting(m, g);
		g->waiting = 0;
		g->deadline_ms = 0;
		log_warning("group %s: epoch %" PRIu64
			    ": controller %u was lost before COMMIT, held",
			name_of(m, g), g->epoch, msg->sender);
	} else {
		g->waiting &= (uint8_t)~HA_BIT(msg->sender);
	}
}

/* After COMMIT: only forward. */
static void do_lost_forward(struct machine *m, struct ha_group *g, const struct message *msg)
{
	if (g->owner == msg->sender) {
		g->deadline_ms = 0;
		g->waiting = 0;
		do_lost_serving(m, g, msg);
	} else {
		g->waiting &= (uint8_t)~HA_BIT(msg->sender);
		if (g->phase == PHASE_COMMITTING && !g->waiting) {
			g->phase = PHASE_TAKING;
		}
	}
}

/* ----- the table ------------------------------------------------------------------------------ */

typedef void action_fn(struct machine *m, struct ha_group *g, const struct message *msg);

/* An empty place refuses the message. MESSAGE_NONE stands for the loss of a member. */
static action_fn *const actions[PHASE_COUNT][MESSAGE_TYPES] = {
	/* clang-format off */
	[PHASE_UNKNOWN] = {
		[MESSAGE_PREPARE] = do_refuse,
	},
	[PHASE_IDLE] = {
		[MESSAGE_PREPARE] = do_prepare,
		[MESSAGE_MOVE] = do_move,
	},
	[PHASE_SERVING] = {
		[MESSAGE_NONE] = do_lost_serving,
		[MESSAGE_PREPARE] = do_prepare,
		[MESSAGE_RELEASED] = do_released,
		[MESSAGE_OFFER] = do_offer,
		[MESSAGE_MOVE] = do_move,
	},
	[PHASE_LOST] = {
		[MESSAGE_NONE] = do_lost_again,
		[MESSAGE_PREPARE] = do_prepare,
		[MESSAGE_MOVE] = do_move,
	},
	[PHASE_PREPARING] = {
		[MESSAGE_NONE] = do_lost_preparing,
		[MESSAGE_PREPARE] = do_refuse,
		[MESSAGE_DRAINED] = do_drained,
		[MESSAGE_COMMIT] = do_commit,
		[MESSAGE_ROLLBACK] = do_rollback,
		[MESSAGE_MOVE] = do_move,
	},
	[PHASE_COMMITTING] = {
		[MESSAGE_NONE] = do_lost_forward,
		[MESSAGE_PREPARE] = do_refuse,
		[MESSAGE_SAVED] = do_saved,
		[MESSAGE_READY] = do_ready, /* without the SAVED of a member that hangs */
		[MESSAGE_RELEASED] = do_released,
		[MESSAGE_MOVE] = do_move,
	},
	[PHASE_TAKING] = {
		[MESSAGE_NONE] = do_lost_forward,
		[MESSAGE_PREPARE] = do_refuse,
		[MESSAGE_READY] = do_ready,
		[MESSAGE_RELEASED] = do_released,
		[MESSAGE_MOVE] = do_move,
	},
	/* clang-format on */
};

void group_deliver(struct machine *m, struct ha_group *g, const struct message *msg)
{
	action_fn *action = actions[g->phase][msg->type];

	if (msg->type == MESSAGE_RELEASED && msg->sender == m->self) {
		g->sent_released = 0; /* without effect during a move; said again after it */
	}
	if (action) {
		action(m, g, msg);
	} else if (msg->type != MESSAGE_NONE) {
		log_info("group %s: %s of controller %u for epoch %" PRIu64 " has no effect in %s",
			name_of(m, g), message_type_name(msg->type), msg->sender, msg->epoch,
			ha_phase_name(g->phase));
	}
}

/* ----- what follows from the phase at this controller --------------------------------------------
 */

static void step_preparing(struct machine *m, struct ha_group *g)
{
	bool mine = g->target == m->self;

	if (g->waiting & HA_BIT(m->self) && g->sent_drained != g->top) {
		if (m->failed_seq >= g->save_seq && m->saved_seq < g->save_seq) {
			group_rollback_send(m, g, REASON_STATE);
		} else if (g->claim == CLAIM_NONE && g->owner == m->self && g->release_failed) {
			group_rollback_send(m, g, REASON_RELEASE);
		} else if (g->claim == CLAIM_NONE && m->saved_seq >= g->save_seq) {
			g->sent_drained = g->top;
			group_send(m, g, MESSAGE_DRAINED, g->top);
		}
	}
	if (mine && group_has_request(g, REQUEST_STOP) && g->sent_commit != g->top) {
		group_rollback_send(m, g, REASON_STOP);
	}
	if (mine && !g->waiting && m->quorate && !m->suspect && g->claim == CLAIM_NONE &&
		g->sent_commit != g->top && g->sent_rollback != g->top) {
		g->sent_commit = g->top;
		group_send(m, g, MESSAGE_COMMIT, g->top);
	}
}

static void step_committing(struct machine *m, struct ha_group *g)
{
	bool failed = m->failed_seq >= g->save_seq && m->saved_seq < g->save_seq;

	if (!(g->waiting & HA_BIT(m->self)) || g->sent_saved == g->epoch) {
		return;
	}
	if (failed && g->owner == m->self) {
		g->claim_failed = true; /* the claim step gives the group up */
	} else if (failed || m->saved_seq >= g->save_seq) {
		/* Not the taker: what DRAINED promised is durable, and that is enough. */
		g->sent_saved = g->epoch;
		group_send(m, g, MESSAGE_SAVED, g->epoch);
	}
}

static void step_taking(struct machine *m, struct ha_group *g)
{
	if (g->owner == m->self && g->claim == CLAIM_HAVE && g->claim_epoch == g->epoch &&
		g->sent_ready != g->epoch && m->quorate && !m->suspect) {
		g->sent_ready = g->epoch;
		group_send(m, g, MESSAGE_READY, g->epoch);
	}
}

typedef void step_fn(struct machine *m, struct ha_group *g);

static void step_committing_or_forward(struct machine *m, struct ha_group *g)
{
	step_committing(m, g);
	if (group_takes_time(m, g)) {
		step_taking(m, g);
	}
}

static step_fn *const steps[PHASE_COUNT] = {
	[PHASE_PREPARING] = step_preparing,
	[PHASE_COMMITTING] = step_committing_or_forward,
	[PHASE_TAKING] = step_taking,
};

/* May the owner open the extents before the phase is TAKING? When a member hangs with its SAVED. */
bool group_takes_time(const struct machine *m, const struct ha_group *g)
{
	return g->phase == PHASE_COMMITTING && g->owner == m->self &&
	       !(g->waiting & HA_BIT(m->self)) && g->deadline_ms &&
	       m->ops->now_ms(m->ctx) >= g->deadline_ms;
}

void group_step(struct machine *m, struct ha_group *g)
{
	if (!machine_in_sync(m)) {
		return;
	}
	if (g->phase == PHASE_PREPARING && g->deadline_ms &&
		m->ops->now_ms(m->ctx) >= g->deadline_ms) {
		group_rollback_send(m, g, REASON_TIMEOUT);
	}
	if (steps[g->phase]) {
		steps[g->phase](m, g);
	}
}
