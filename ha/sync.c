/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Membership and agreement. After every join each member multicasts STATE: what it knew at the
 * place of the membership change in the order, and CURRENT when that has come back. When all of
 * these are delivered everybody makes the same choice, group by group, and a joiner applies what
 * was delivered since the membership change on top of it.
 */
#include <inttypes.h>
#include <string.h>

#include "ledger.h"
#include "yoke/log.h"

bool machine_in_sync(const struct machine *m)
{
	return m->sync & HA_BIT(m->self);
}

bool machine_has_peer(const struct machine *m)
{
	return machine_in_sync(m) && m->sync & HA_BIT(m->other);
}

bool machine_link_up(const struct machine *m)
{
	return machine_has_peer(m) && m->said[1]->link && m->said[2]->link;
}

/* ----- what this controller says ----------------------------------------------------------------
 */

static uint8_t group_flags(struct machine *m, const struct ha_group *g)
{
	return (uint8_t)((g->started ? MESSAGE_STARTED : 0) |
			 (m->ops->healthy(m->ctx, g->index) ? MESSAGE_HEALTHY : 0));
}

static struct message_group group_said(struct machine *m, const struct ha_group *g)
{
	uint8_t lost = g->was_lost ? MESSAGE_WAS_LOST : 0;

	return (struct message_group){.epoch = g->epoch,
		.top = g->top,
		.owner = g->owner,
		.preferred = g->preferred,
		.phase = (uint8_t)g->phase,
		.target = g->target,
		.waiting = g->waiting,
		.flags = (uint8_t)(group_flags(m, g) | lost),
		.table = g->view.table};
}

static void said_fill(struct machine *m)
{
	struct message_state *s = m->sending;

	memcpy(s->digest, m->conf->digest, sizeof(s->digest));
	memcpy(s->pids, m->pids, sizeof(s->pids));
	s->in_sync = machine_in_sync(m);
	s->link = m->link;
	s->sessions = m->ops->sessions(m->ctx);
	s->group_count = (uint16_t)m->group_count;
	for (unsigned i = 0; i < m->group_count; i++) {
		s->groups[i] = group_said(m, &m->groups[i]);
		m->status_sent_flags[i] =
			s->groups[i].flags & (uint8_t)(MESSAGE_STARTED | MESSAGE_HEALTHY);
	}
	m->status_sent_link = s->link;
	m->status_sent_sessions = s->sessions;
}

void sync_state_send(struct machine *m)
{
	struct message msg = {.type = MESSAGE_STATE, .op = ++m->op, .state = m->sending};

	m->state_op = msg.op;
	ledger_facts_send(m, msg.op);
	said_fill(m);
	m->ops->send(m->ctx, &msg);
}

/* Sends STATUS when anything in it has changed; sessions count as none or some. */
void sync_status_step(struct machine *m)
{
	struct message msg = {.type = MESSAGE_STATUS, .state = m->sending};
	bool some = m->ops->sessions(m->ctx) > 0;
	bool changed = m->link != m->status_sent_link || some != (m->status_sent_sessions > 0);

	if (!m->joined || m->dead) {
		return;
	}
	for (unsigned i = 0; i < m->group_count && !changed; i++) {
		changed = group_flags(m, &m->groups[i]) != m->status_sent_flags[i];
	}
	if (changed) {
		msg.op = ++m->op;
		said_fill(m);
		m->ops->send(m->ctx, &msg);
	}
}

/* ----- a round ends ------------------------------------------------------------------------------
 */

/*
 * The epoch of group i at controller c as it is now. Who was about to take the group when it spoke
 * may have committed since: then there is only forward, whoever is back meanwhile (I2).
 */
static uint64_t epoch_now(const struct machine *m, unsigned i, uint8_t c)
{
	const struct message_group *s = &m->said[c]->groups[i];
	bool takes = m->said[c]->in_sync && s->phase == PHASE_PREPARING && s->target == c;

	for (unsigned k = 0; k < m->replay_count && takes && !s->waiting; k++) {
		const struct message *msg = &m->replay[k];

		if (msg->sender != c || msg->group != i || msg->epoch != s->top) {
			continue;
		}
		if (msg->type == MESSAGE_COMMIT) {
			return s->top;
		}
		takes = msg->type != MESSAGE_ROLLBACK;
	}
	return s->epoch;
}

/*
 * How much the word of controller c counts for group i: who is in sync comes before who is not,
 * then the epoch, then the owner itself, then who has not lost the owner from sight, then who is
 * about to take the group.
 */
static bool is_better(const struct machine *m, unsigned i, uint8_t c, uint8_t than)
{
	const struct message_state *a = m->said[c], *b = m->said[than];
	const struct message_group *ga = &a->groups[i], *gb = &b->groups[i];
	uint64_t epoch_a = epoch_now(m, i, c), epoch_b = epoch_now(m, i, than);

	if (a->in_sync != b->in_sync) {
		return a->in_sync;
	}
	if (epoch_a != epoch_b) {
		return epoch_a > epoch_b;
	}
	if ((ga->owner == c) != (gb->owner == than)) {
		return ga->owner == c;
	}
	if ((ga->phase == PHASE_LOST) != (gb->phase == PHASE_LOST)) {
		return gb->phase == PHASE_LOST;
	}
	/* Its COMMIT may be on the way. */
	return ga->phase == PHASE_PREPARING && ga->target == c;
}

static uint8_t best_of(const struct machine *m, unsigned i)
{
	uint8_t best = 0;

	for (uint8_t c = 1; c <= YOKE_CONTROLLERS; c++) {
		if (m->got[c] && (!best || is_better(m, i, c, best))) {
			best = c;
		}
	}
	return best;
}

static void replay(struct machine *m, struct ha_group *g, uint8_t sync_then)
{
	uint8_t sync = m->sync;

	m->sync = sync_then;
	for (unsigned i = 0; i < m->replay_count; i++) {
		const struct message *msg = &m->replay[i];

		ledger_replay(m, g, i);
		if (msg->group == g->index && sync_then & HA_BIT(msg->sender)) {
			group_deliver(m, g, msg);
		}
	}
	ledger_replay(m, g, m->replay_count);
	m->sync = sync;
}

static void adopt(struct machine *m, struct ha_group *g, uint8_t from)
{
	const struct message_group *s = &m->said[from]->groups[g->index];

	g->epoch = s->epoch;
	g->top = s->top; /* it may name a move; a higher one of ours is put back by choose() */
	g->owner = s->owner;
	g->preferred = s->preferred;
	g->phase = (enum ha_phase)s->phase;
	g->target = s->target;
	g->waiting = s->waiting & (uint8_t)~HA_BIT(m->self);
	g->was_lost = s->flags & MESSAGE_WAS_LOST;
	g->was_serving = false;
	g->deadline_ms = g->phase == PHASE_PREPARING || g->phase == PHASE_COMMITTING
				 ? m->ops->now_ms(m->ctx) + m->conf->handover_timeout_ms
				 : 0;
	g->save_seq = 0;
	replay(m, g, HA_BIT(from));
}

/* Nobody was in sync: what is on the disks is all there is, and nobody serves. */
static void begin_anew(struct machine *m, struct ha_group *g, uint8_t best)
{
	const struct message_group *s = &m->said[best]->groups[g->index];

	m->unsure = m->unsure || !m->got[m->other];
	g->epoch = s->epoch;
	g->preferred = s->preferred ? s->preferred : m->conf->groups[g->index].home;
	/* Our own record does not count: that was another life. The absent one's does. */
	g->owner = s->owner == m->other && !m->pids[m->other] ? m->other : 0;
	g->phase = g->owner ? PHASE_LOST : PHASE_IDLE;
	g->waiting = 0;
}

/* A daemon in a new life owns nothing, whatever is recorded about its former one. */
static bool disowns(const struct machine *m, const struct ha_group *g, uint8_t c, uint8_t best)
{
	const struct message_group *own = &m->said[c]->groups[g->index];
	const struct message_group *record = &m->said[best]->groups[g->index];

	return !m->said[c]->in_sync || (record->owner == c && g->epoch == record->epoch &&
					       (own->owner != c || own->epoch != record->epoch));
}

/* Also who is kept out: its epochs have been used. */
static bool is_heard(const struct machine *m, uint8_t c)
{
	return m->got[c] || (m->differs && m->pids[c]);
}

/*
 * A controller has on record an epoch that who counts has not even seen proposed: the two went on
 * alone in turn. Nobody owns the group: then that epoch counts (I2). Else the owner takes the group
 * once more under a newer one, see promote_step().
 */
static void past_regard(struct machine *m, struct ha_group *g, uint8_t best)
{
	for (uint8_t c = 1; c <= YOKE_CONTROLLERS; c++) {
		uint64_t epoch = is_heard(m, c) ? m->said[c]->groups[g->index].epoch : 0;

		if (epoch > m->said[best]->groups[g->index].top && epoch > g->past) {
			g->past = epoch;
		}
	}
	if (g->epoch >= g->past) {
		return;
	}
	log_warning("group %s: both controllers went on alone in turn; epoch %" PRIu64
		    " of controller %u counts, a newer one than %" PRIu64 " follows",
		m->conf->groups[g->index].name, g->epoch, best, g->past);
	if (g->phase == PHASE_IDLE) {
		g->epoch = g->past;
	}
}

static void choose(struct machine *m, struct ha_group *g)
{
	uint8_t best = best_of(m, g->index);
	bool known = m->said[best]->in_sync;
	uint64_t top = g->top;

	if (!known) {
		begin_anew(m, g, best);
	} else if (best != m->self) {
		if (!machine_in_sync(m)) { /* no nexus has seen another number */
			g->view.table = m->said[best]->groups[g->index].table;
		} else if (machine_in_sync(m) &&
			   g->owner != m->said[best]->groups[g->index].owner) {
			log_warning("group %s: both controllers went on alone; epoch %" PRIu64
				    " of controller %u counts",
				m->conf->groups[g->index].name,
				m->said[best]->groups[g->index].epoch, best);
		}
		adopt(m, g, best);
	}
	for (uint8_t c = 1; c <= YOKE_CONTROLLERS; c++) {
		const struct message_group *s = &m->said[c]->groups[g->index];

		if (!is_heard(m, c)) {
			continue;
		}
		top = s->top > top ? s->top : top;
		if (m->got[c] && known && g->owner == c && disowns(m, g, c, best)) {
			g->owner = 0;
			g->phase = g->phase == PHASE_PREPARING ? PHASE_PREPARING : PHASE_IDLE;
		}
	}
	if (g->phase != PHASE_PREPARING && top > g->top) {
		g->top = top;
	}
	past_regard(m, g, best);
}

static bool digest_differs(const struct machine *m)
{
	return m->got[m->other] &&
	       memcmp(m->said[m->other]->digest, m->conf->digest, sizeof(m->conf->digest)) != 0;
}

/* Who has taken a group under an epoch that the other does not know; 0 = nobody. */
static uint8_t ahead(const struct machine *m)
{
	bool same = m->said[1]->group_count == m->said[2]->group_count;

	for (unsigned i = 0; i < m->group_count && same; i++) {
		uint64_t first = epoch_now(m, i, 1), second = epoch_now(m, i, 2);

		if (first != second) {
			return first > second ? 1 : 2;
		}
	}
	return 0;
}

/*
 * With two different configurations one controller has to stay out: the later, or the one that does
 * not know the newest owners, or not all that was acknowledged, or the second. (A yoked without a
 * ledger goes by the number alone, and both have to come to the same end.)
 */
static bool yields(const struct machine *m)
{
	uint8_t counts = ledger_counts(m), newer = ahead(m);
	bool serving = m->said[m->self]->in_sync;

	if (serving != m->said[m->other]->in_sync) {
		return m->said[m->other]->in_sync;
	}
	/* With both in sync an owner may not know that it is none; else an epoch is only a number.
	 */
	counts = newer && (serving || !counts) ? newer : counts;
	return counts && !m->ledger->old ? counts != m->self : m->self == 2;
}

static uint8_t members(const struct machine *m)
{
	return (uint8_t)((m->pids[1] ? HA_BIT(1) : 0) | (m->pids[2] ? HA_BIT(2) : 0));
}

/*
 * This one has served, and the other one goes on without it: what it knows of the LUs and their
 * owners gets old from here on, and it still holds its extents. The end of its process tells the
 * other, and all hosts, that this is over; in its new life it waits for the same file.
 */
static void end_kept_out(struct machine *m)
{
	log_err("the configuration files of the two controllers differ, and what controller %u "
		"knows counts: this yoked ends, and takes part again when %s is the same on both",
		m->other, m->conf->path);
	machine_dead(m, "kept out by another configuration");
}

static void differ(struct machine *m)
{
	bool here = yields(m);

	if (here && machine_in_sync(m)) {
		end_kept_out(m);
		return;
	}
	if (!m->differs) {
		log_err("the configuration files of the two controllers differ: controller %u is "
			"kept out; make %s the same on both and restart its yoked",
			here ? m->self : m->other, m->conf->path);
	}
	m->differs = true;
	m->apart = true;
	m->syncing = here;
	m->sync = here ? 0 : (uint8_t)HA_BIT(m->self);
	if (!here && m->said[m->other]->in_sync) {
		m->peer = PEER_UNPROVEN; /* until it has ended, see end_kept_out() */
	}
	m->ops->conf_wanted(m->ctx, m->said[m->other]->digest);
}

static void finish(struct machine *m, bool known)
{
	uint8_t old = m->sync;

	if (digest_differs(m) && m->pids[m->other]) {
		differ(m);
		if (m->syncing || m->dead) {
			return;
		}
		m->got[m->other] = false;
	} else {
		m->differs = false;
	}
	m->unsure = m->unsure && !m->got[m->other];
	for (unsigned i = 0; i < m->group_count; i++) {
		choose(m, &m->groups[i]);
	}
	m->syncing = false;
	m->replay_count = 0;
	m->sync = m->differs ? (uint8_t)HA_BIT(m->self) : members(m);
	for (unsigned i = 0; i < m->group_count; i++) {
		struct ha_group *g = &m->groups[i];

		/* Its STATE came, then it left before the round was over. */
		if (g->phase == PHASE_PREPARING ? !(m->sync & HA_BIT(g->target))
						: g->owner && !(m->sync & HA_BIT(g->owner))) {
			g->phase = group_resting(m, g);
			g->waiting = 0;
			g->deadline_ms = 0;
		}
	}
	ledger_finish(m, known);
	machine_save(m);
	log_notice("in sync: members%s%s, %u groups", m->sync & HA_BIT(1) ? " 1" : "",
		m->sync & HA_BIT(2) ? " 2" : "", m->group_count);
	if (m->sync & ~old & HA_BIT(m->other) && !m->peer_linked) {
		m->peer_linked = true;
		m->ops->peer_up(m->ctx, m->incarnations[m->other]);
	}
	m->ready_due = true; /* settling goes on */
}

/* Ends the round if every member has spoken, and one of them knows or quorum lets us begin. */
void sync_check(struct machine *m)
{
	bool known = false;

	if (!m->joined || !m->syncing) {
		return;
	}
	for (uint8_t c = 1; c <= YOKE_CONTROLLERS; c++) {
		if (m->pids[c] && !m->got[c]) {
			return;
		}
		known = known || (m->got[c] && m->said[c]->in_sync);
	}
	if ((known || m->quorate) && ledger_agreed(m, known)) {
		finish(m, known);
	}
}

/* ----- membership
 * ---------------------------------------------------------------------------------- */

/*
 * Did the peer's daemon die with work to do? One that ends in good order has stopped its groups
 * before. The loss of an owner is told group by group.
 */
static bool peer_died_idle(const struct machine *m, enum machine_left left)
{
	bool started = false;

	for (unsigned i = 0; i < m->group_count; i++) {
		if (m->groups[i].owner == m->other) {
			return false;
		}
		started = started || m->said[m->other]->groups[i].flags & MESSAGE_STARTED;
	}
	return left == LEFT_PROCESS && started && machine_has_peer(m);
}

static void peer_lost(struct machine *m, enum machine_left left)
{
	struct message lost = {.sender = m->other};
	bool idle = peer_died_idle(m, left);

	ledger_peer_lost(m, left);
	m->pids[m->other] = 0;
	adoption_peer_lost(m, left);
	m->sync &= (uint8_t)~HA_BIT(m->other);
	m->peer = left == LEFT_PROCESS ? PEER_DEAD : PEER_UNPROVEN;
	log_warning("controller %u has left: %s", m->other,
		left == LEFT_PROCESS ? "its daemon has ended" : "its node is out of reach");
	if (m->peer_linked) {
		m->peer_linked = false;
		m->ops->peer_down(m->ctx);
	}
	if (m->peer == PEER_DEAD) {
		m->ops->peer_gone(m->ctx);
	}
	if (!machine_in_sync(m)) {
		return;
	}
	for (unsigned i = 0; i < m->group_count; i++) {
		group_deliver(m, &m->groups[i], &lost);
	}
	if (idle) {
		m->ops->died(m->ctx);
	}
}

static void round_start(struct machine *m)
{
	m->syncing = true;
	m->apart = false;
	m->replay_count = 0;
	memset(m->got, 0, sizeof(m->got));
	memset(m->said_op, 0, sizeof(m->said_op));
	m->current_op = 0;
	ledger_round_start(m);
	sync_state_send(m);
	adoption_say(m); /* everybody has it before the STATE is CURRENT */
}

void machine_confchg(struct machine *m, const struct machine_member *list, size_t count,
	bool peer_left, enum machine_left left)
{
	uint32_t pids[YOKE_CONTROLLERS + 1] = {0};
	bool round = !m->joined, lost = false;

	for (size_t i = 0; i < count; i++) {
		if (list[i].controller >= 1 && list[i].controller <= YOKE_CONTROLLERS) {
			pids[list[i].controller] = list[i].pid;
		}
	}
	if (!pids[m->self]) {
		machine_dead(m, "Corosync has put this daemon out of the group");
		return;
	}
	m->pids[m->self] = pids[m->self];
	if (m->pids[m->other] && pids[m->other] != m->pids[m->other]) {
		lost = true;
		peer_lost(m, peer_left ? left : LEFT_PROCESS);
	}
	if (pids[m->other] && !m->pids[m->other]) {
		log_notice("controller %u has joined", m->other);
		m->pids[m->other] = pids[m->other];
		m->peer = PEER_MEMBER;
		for (unsigned i = 0; i < m->group_count; i++) {
			group_take_over_end(&m->groups[i]);
		}
		adoption_peer_joined(m);
		m->incarnations[m->other] = 0;
		round = true;
	} else if (!pids[m->other] && m->joined && m->differs && !machine_in_sync(m)) {
		round = true; /* alone again: our own configuration counts */
	}
	m->joined = true;
	config_members_changed(m);
	if (round) {
		round_start(m);
	} else if (lost && m->syncing && !m->said_op[m->self]) {
		sync_state_send(m); /* what is under way names the lost one as a member */
	}
	sync_check(m);
	machine_settle(m);
}

static void state_deliver(struct machine *m, const struct message *msg)
{
	const struct message_state *former = m->said[msg->sender];
	bool went_over;

	if (msg->state->pids[1] != m->pids[1] || msg->state->pids[2] != m->pids[2] ||
		(msg->state->group_count != m->group_count &&
			memcmp(msg->state->digest, m->conf->digest, sizeof(m->conf->digest)) ==
				0)) {
		return; /* said before the last change of the membership, or not to be believed */
	}
	/* In the midst of a round, which may have ended at its sender, and not here. */
	went_over = m->said_op[msg->sender] &&
		    memcmp(former->digest, msg->state->digest, sizeof(former->digest)) != 0;
	*m->said[msg->sender] = *msg->state;
	m->incarnations[msg->sender] = msg->incarnation;
	m->said_op[msg->sender] = msg->op;
	if ((m->apart || went_over) && m->pids[m->other] &&
		memcmp(m->said[1]->digest, m->said[2]->digest, sizeof(msg->state->digest)) == 0) {
		/* One has gone over to the other's configuration: a round for both, from here. */
		round_start(m);
		return;
	}
	if (msg->sender == m->self && msg->op == m->state_op && m->syncing) {
		m->current_op = msg->op;
	}
}

/* What was said is heard by all, and the disk knows that the other is here: then it counts. */
void sync_current_step(struct machine *m)
{
	struct message current = {.type = MESSAGE_CURRENT, .op = m->current_op};

	if (m->current_op && m->syncing && !m->dead && ledger_is_marked(m->ledger)) {
		m->current_op = 0;
		m->ops->send(m->ctx, &current);
	}
}

/*
 * A STATE from before a split may be delivered after the merge, to the same members as before.
 * Only its sender can tell, and does when it has come back: then everybody has it.
 */
static void current_deliver(struct machine *m, const struct message *msg)
{
	if (m->syncing && m->said_op[msg->sender] == msg->op) {
		m->got[msg->sender] = true;
		sync_check(m);
	}
}

static void status_deliver(struct machine *m, const struct message *msg)
{
	struct message_state *said = m->said[msg->sender];

	if (msg->state->group_count != m->group_count) {
		return;
	}
	said->link = msg->state->link;
	said->sessions = msg->state->sessions;
	for (unsigned i = 0; i < m->group_count; i++) {
		said->groups[i].flags = msg->state->groups[i].flags;
	}
}

static void group_message_deliver(struct machine *m, const struct message *msg)
{
	if (msg->group >= m->group_count) {
		m->dropped++;
		return;
	}
	if (m->syncing) {
		if (m->replay_count == HA_REPLAY_MAX) {
			machine_dead(m, "too many messages while joining; restart this daemon");
			return;
		}
		m->replay[m->replay_count++] = *msg;
	}
	if (machine_in_sync(m) && m->sync & HA_BIT(msg->sender)) {
		group_deliver(m, &m->groups[msg->group], msg);
	}
}

void machine_deliver(struct machine *m, const struct message *msg)
{
	uint64_t known = m->incarnations[msg->sender];
	bool told = msg->type == MESSAGE_STATE || known == msg->incarnation ||
		    (known == 0 && m->syncing);

	if (m->dead || !m->joined || !m->pids[msg->sender] || !told) {
		m->dropped++;
		return;
	}
	if (msg->type == MESSAGE_STATE) {
		state_deliver(m, msg);
	} else if (msg->type == MESSAGE_STATUS) {
		status_deliver(m, msg);
	} else if (msg->type == MESSAGE_CURRENT) {
		current_deliver(m, msg);
	} else if (msg->type == MESSAGE_PORTALS) {
		adoption_deliver(m, msg);
	} else if (msg->type == MESSAGE_ALIVE) {
		if (msg->sender == m->self && msg->op == m->alive_op) {
			m->suspect = false;
			log_notice("membership is current again, going on");
		}
	} else if ((msg->type >= MESSAGE_CONF_PROPOSE && msg->type <= MESSAGE_CONF_CANCEL) ||
		   msg->type == MESSAGE_CONF_DONE) {
		config_deliver(m, msg);
	} else if (msg->type >= MESSAGE_LEDGER) {
		ledger_deliver(m, msg);
	} else {
		group_message_deliver(m, msg);
	}
	machine_settle(m);
}
