/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The actions of the agent and the administrator: each waits in its group until the state says
 * that it is done, has failed, or is too late.
 */
#include <inttypes.h>

#include "ledger.h"
#include "yoke/log.h"

#define RESTLESS_LEAST_MS  10000 /* the shortest wait of a group that has moved more than once */
#define RESTLESS_HEALTH_MS 300000

static const char *name_of(const struct machine *m, const struct ha_group *g)
{
	return m->conf->groups[g->index].name;
}

/* ----- waiting -------------------------------------------------------------------------------- */

bool group_has_request(const struct ha_group *g, enum ha_request_kind kind)
{
	for (unsigned i = 0; i < g->request_count; i++) {
		if (g->requests[i].kind == kind) {
			return true;
		}
	}
	return false;
}

static bool request_add(struct ha_group *g, const struct ha_request *request)
{
	if (g->request_count == HA_REQUESTS_MAX) {
		request->done(request->arg, HA_BUSY, "too many actions wait for this group");
		return false;
	}
	g->requests[g->request_count++] = *request;
	return true;
}

static void request_end(struct ha_group *g, unsigned i, enum ha_result result, const char *message)
{
	struct ha_request request = g->requests[i];

	/* Gone before done() runs, which may start the next one. */
	g->requests[i] = g->requests[--g->request_count];
	request.done(request.arg, result, message);
}

void group_requests_end(
	struct ha_group *g, enum ha_request_kind kind, enum ha_result result, const char *message)
{
	for (unsigned n = g->request_count; n > 0; n--) {
		for (unsigned i = 0; i < g->request_count; i++) {
			if (g->requests[i].kind == kind) {
				request_end(g, i, result, message);
				break;
			}
		}
	}
}

/* ----- promote -------------------------------------------------------------------------------- */

/* May the group be taken, as far as the peer goes? Asks for proof when that is what is missing. */
static bool take_is_safe(struct machine *m, struct ha_group *g)
{
	switch (m->peer) {
	case PEER_MEMBER:
		/* Out of sync, it never had anything in this life of it. */
		return !m->syncing;
	case PEER_DEAD:
	case PEER_PROVEN:
		return true;
	case PEER_UNSEEN:
	case PEER_UNPROVEN:
		break;
	}
	if (!g->proofless) {
		g->proofless = true;
		m->prove_at_ms =
			0; /* the promote waits for the answer, and fencing for the promote */
		log_notice("group %s: controller %u is out of reach; asking Pacemaker whether it "
			   "has been fenced before its group is taken",
			name_of(m, g), m->other);
	}
	return false;
}

/* Served here under an epoch that is not the newest (I2): taken once more, under a newer one. */
static bool is_outdated(const struct machine *m, const struct ha_group *g)
{
	return g->phase == PHASE_SERVING && g->owner == m->self && g->epoch < g->past;
}

static bool wants_prepare(const struct machine *m, const struct ha_group *g)
{
	if (is_outdated(m, g)) {
		return !g->sent_prepare && !g->retiring && m->quorate && !m->suspect;
	}
	return g->wanted && !g->sent_prepare && !g->retiring && m->quorate && !m->suspect &&
	       (g->phase == PHASE_IDLE || g->phase == PHASE_LOST ||
		       (g->phase == PHASE_SERVING && g->owner != m->self));
}

static void promote_step(struct machine *m, struct ha_group *g)
{
	uint64_t newest = g->top > g->past ? g->top : g->past;

	if (g->owner == m->self && g->phase == PHASE_SERVING && !g->retiring &&
		!is_outdated(m, g)) {
		g->wanted = false;
		g->proofless = false;
		group_requests_end(g, REQUEST_PROMOTE, HA_OK, "owner");
		return;
	}
	if (!wants_prepare(m, g) || group_has_request(g, REQUEST_STOP)) {
		return;
	}
	if (!take_is_safe(m, g)) {
		if (!m->prove_pending && m->ops->now_ms(m->ctx) >= m->prove_at_ms) {
			m->prove_pending = true;
			m->ops->prove(m->ctx);
		}
		return;
	}
	g->sent_prepare = newest + (m->unsure ? HA_EPOCH_JUMP : 1);
	group_send(m, g, MESSAGE_PREPARE, g->sent_prepare);
}

/*
 * The lost owner does not write any more, and nobody else is left: Pacemaker can promote only here,
 * as it will when it gets to it. Hosts need not wait for that; its promote finds it done. Not for a
 * group that Pacemaker has not started here, or whose disks are better reached from elsewhere.
 */
void group_take_over(struct machine *m, struct ha_group *g)
{
	if (g->phase == PHASE_LOST && g->started && m->quorate && !m->dead &&
		(m->peer == PEER_DEAD || m->peer == PEER_PROVEN) &&
		m->ops->healthy(m->ctx, g->index)) {
		g->wanted = true;
	}
}

/* Who joins may know more of the group than its loss: from here on Pacemaker decides again. */
void group_take_over_end(struct ha_group *g)
{
	g->wanted = g->wanted && (g->asked || g->phase != PHASE_LOST);
}

static bool take_over_wants_proof(const struct machine *m)
{
	if (m->peer != PEER_UNPROVEN || m->dead || !machine_in_sync(m) || !m->quorate) {
		return false;
	}
	if (m->ops->peer_awaited(m->ctx)) {
		return true;
	}
	for (unsigned i = 0; i < m->group_count; i++) {
		if (m->groups[i].phase == PHASE_LOST && m->groups[i].started) {
			return true;
		}
	}
	return false;
}

bool machine_wants_proof(const struct machine *m)
{
	return !m->prove_pending && (adoption_wants_proof(m) || take_over_wants_proof(m));
}

void machine_proof_step(struct machine *m)
{
	if (machine_wants_proof(m) && m->ops->now_ms(m->ctx) >= m->prove_at_ms) {
		m->prove_pending = true;
		m->ops->prove(m->ctx);
	}
}

void machine_proof(struct machine *m, bool proven)
{
	m->prove_pending = false;
	m->prove_at_ms = m->ops->now_ms(m->ctx) + HA_PROOF_RETRY_MS;
	if (proven && (m->peer == PEER_UNPROVEN || m->peer == PEER_UNSEEN)) {
		log_notice("controller %u has been fenced or is down cleanly, so Pacemaker says",
			m->other);
		m->peer = PEER_PROVEN;
		m->ops->peer_gone(m->ctx);
		ledger_peer_gone(m);
	}
	adoption_proof(m, proven);
	for (unsigned i = 0; i < m->group_count && proven; i++) {
		group_take_over(m, &m->groups[i]);
	}
	for (unsigned i = 0; i < m->group_count && !proven; i++) {
		/*
		 * Pacemaker fences only when no action of its own is under way, so the promote
		 * must end for the proof to come; the group is taken as soon as it is there.
		 */
		if (m->groups[i].proofless) {
			group_requests_end(&m->groups[i], REQUEST_PROMOTE, HA_OK,
				"chosen; serves as soon as the other controller has been fenced");
		}
	}
	machine_settle(m);
}

void machine_group_promote(struct machine *m, uint16_t group, ha_done_fn *done, void *arg)
{
	struct ha_group *g = &m->groups[group];
	struct ha_request request = {.kind = REQUEST_PROMOTE, .done = done, .arg = arg};

	if (m->dead || !machine_in_sync(m)) {
		done(arg, HA_NOT_IN_SYNC, "this controller has not got the cluster's state yet");
		return;
	}
	if (!m->quorate) {
		done(arg, HA_NO_QUORUM, "this controller has no quorum");
		return;
	}
	if (g->owner != m->self && machine_has_peer(m) && !m->ops->healthy(m->ctx, group)) {
		done(arg, HA_FAILED, "an extent of the group cannot be reached from here");
		return;
	}
	if (request_add(g, &request)) {
		log_notice("group %s: promote asked, %s at epoch %" PRIu64 ", owner %u",
			name_of(m, g), ha_phase_name(g->phase), g->epoch, g->owner);
		g->asked = true;
		g->wanted = true;
		g->proofless = false;
		machine_settle(m);
	}
}

void machine_group_demote(struct machine *m, uint16_t group, ha_done_fn *done, void *arg)
{
	struct ha_group *g = &m->groups[group];

	if (g->asked) {
		log_notice("group %s: demoted; %s", name_of(m, g),
			g->owner == m->self ? "serves on until its successor takes it"
					    : "not owner");
	}
	g->asked = false;
	g->wanted = false;
	group_requests_end(g, REQUEST_PROMOTE, HA_FAILED, "demoted meanwhile");
	done(arg, HA_OK, g->owner == m->self ? "offered" : "not owner");
	machine_settle(m);
}

/* ----- start and stop ---------------------------------------------------------------------------
 */

void machine_group_start(struct machine *m, uint16_t group, ha_done_fn *done, void *arg)
{
	struct ha_group *g = &m->groups[group];

	if (m->dead || !machine_in_sync(m)) {
		done(arg, HA_NOT_IN_SYNC, "this controller has not got the cluster's state yet");
		return;
	}
	g->started = true;
	done(arg, HA_OK, "started");
	machine_settle(m);
}

static void offer_send(struct machine *m, struct ha_group *g)
{
	struct message msg = {.type = MESSAGE_OFFER,
		.group = g->index,
		.epoch = g->epoch,
		.op = ++m->op,
		.controller = m->other};

	g->offer_until_ms = m->ops->now_ms(m->ctx) + 2ull * m->conf->handover_timeout_ms;
	log_notice("group %s: epoch %" PRIu64 ": stopped here, offered to controller %u",
		name_of(m, g), g->epoch, m->other);
	m->ops->send(m->ctx, &msg);
}

static bool peer_can_take(const struct machine *m, const struct ha_group *g)
{
	const uint8_t needed = MESSAGE_STARTED | MESSAGE_HEALTHY;

	return machine_has_peer(m) &&
	       (m->said[m->other]->groups[g->index].flags & needed) == needed;
}

static bool is_mine(const struct machine *m, const struct ha_group *g)
{
	return g->owner == m->self || (g->phase == PHASE_PREPARING && g->target == m->self) ||
	       g->claim != CLAIM_NONE || g->sent_prepare;
}

static void stop_step(struct machine *m, struct ha_group *g)
{
	if (!group_has_request(g, REQUEST_STOP)) {
		return;
	}
	if (m->dead || !machine_in_sync(m)) {
		if (g->claim == CLAIM_NONE) {
			group_requests_end(g, REQUEST_STOP, HA_OK, "stopped");
		}
		return;
	}
	if (!is_mine(m, g)) {
		g->offer_until_ms = 0;
		if (g->phase != PHASE_IDLE || m->saved_seq >= g->save_seq ||
			m->failed_seq >= g->save_seq) {
			group_requests_end(g, REQUEST_STOP, HA_OK, "stopped");
		}
		return;
	}
	if (g->phase != PHASE_SERVING || g->owner != m->self || g->retiring) {
		return; /* a move is under way */
	}
	if (!g->offer_until_ms && peer_can_take(m, g)) {
		offer_send(m, g);
	} else if (!g->offer_until_ms || m->ops->now_ms(m->ctx) >= g->offer_until_ms ||
		   !peer_can_take(m, g)) {
		log_notice("group %s: epoch %" PRIu64 ": stopped here, nobody to take it",
			name_of(m, g), g->epoch);
		g->retiring = true;
		machine_settle(m);
	}
}

void machine_group_stop(struct machine *m, uint16_t group, ha_done_fn *done, void *arg)
{
	struct ha_group *g = &m->groups[group];
	struct ha_request request = {.kind = REQUEST_STOP, .done = done, .arg = arg};

	g->started = false;
	g->asked = false;
	g->wanted = false;
	group_requests_end(g, REQUEST_PROMOTE, HA_FAILED, "stopped meanwhile");
	if (request_add(g, &request)) {
		machine_settle(m);
	}
}

/* ----- move and failback ------------------------------------------------------------------------
 */

static void move_send(struct machine *m, struct ha_group *g, uint8_t to)
{
	struct message msg = {.type = MESSAGE_MOVE,
		.group = g->index,
		.epoch = g->epoch,
		.op = ++m->op,
		.controller = to};

	g->sent_move = true;
	m->ops->send(m->ctx, &msg);
}

/*
 * The target of a move was lost: who asked is told so, and must not find the group there later,
 * when the target is back. The MOVE itself may still be under way.
 */
static void move_undo_step(struct machine *m, struct ha_group *g)
{
	if (!g->move_undo || g->sent_move) {
		return;
	}
	g->move_undo = false;
	if (g->owner == m->self && g->preferred == m->other && !machine_has_peer(m)) {
		move_send(m, g, m->self);
	}
}

static void move_step(struct machine *m, struct ha_group *g)
{
	uint64_t now = m->ops->now_ms(m->ctx);

	for (unsigned i = 0; i < g->request_count; i++) {
		const struct ha_request *r = &g->requests[i];

		if (r->kind != REQUEST_MOVE) {
			continue;
		}
		if (g->phase == PHASE_SERVING && g->owner == r->controller) {
			request_end(g, i--, HA_OK, "moved");
		} else if (r->controller == m->other && !machine_has_peer(m)) {
			g->move_undo = true;
			request_end(g, i--, HA_NO_PEER,
				"the other controller was lost before the group had moved");
		} else if (r->deadline_ms && now >= r->deadline_ms) {
			request_end(g, i--, HA_TIMEOUT,
				"the group has not moved in time; Pacemaker moves it by its scores "
				"and may still do so: is there a constraint in the way (crm_mon "
				"-1rA), or a resource that is not managed?");
		}
	}
	move_undo_step(m, g);
}

/* Why the group cannot go there now, as its promotion score would be a poor one; NULL = it can. */
static const char *move_obstacle(const struct machine *m, const struct ha_group *g, uint8_t to)
{
	if (g->owner == to || (g->owner == 0 && to == m->self)) {
		return NULL;
	}
	if (!machine_has_peer(m)) {
		return to == m->self ? NULL : "the other controller is not in sync";
	}
	if (!machine_link_up(m)) {
		return "the interconnect is down, so that hosts could not be served by both "
		       "controllers; repair it first, or put the node in standby";
	}
	if (!(m->said[to]->groups[g->index].flags & MESSAGE_HEALTHY)) {
		return "an extent of the group cannot be reached there";
	}
	return NULL;
}

void machine_group_move(struct machine *m, uint16_t group, uint8_t controller, unsigned timeout_ms,
	ha_done_fn *done, void *arg)
{
	struct ha_group *g = &m->groups[group];
	struct ha_request request = {.kind = REQUEST_MOVE,
		.controller = controller,
		.deadline_ms = m->ops->now_ms(m->ctx) + timeout_ms,
		.done = done,
		.arg = arg};

	if (m->dead || !machine_in_sync(m)) {
		done(arg, HA_NOT_IN_SYNC, "this controller has not got the cluster's state yet");
		return;
	}
	if (!m->quorate) {
		done(arg, HA_NO_QUORUM, "this controller has no quorum");
		return;
	}
	if (move_obstacle(m, g, controller)) {
		done(arg, HA_NO_PEER, move_obstacle(m, g, controller));
		return;
	}
	if (request_add(g, &request)) {
		if (g->preferred != controller) {
			move_send(m, g, controller);
		}
		machine_settle(m);
	}
}

void group_moved(struct machine *m, struct ha_group *g)
{
	uint64_t now = m->ops->now_ms(m->ctx);

	if (g->unplanned) {
		g->moved_ms[g->moved_next++ % HA_MOVES_MAX] = now ? now : 1;
		if (group_moves(m, g) > 1) {
			log_warning("group %s: has moved %u times within an hour and nobody asked "
				    "for it: what is wrong with a controller or its disks? It "
				    "returns home no sooner than %" PRIu64 " s after that could be",
				name_of(m, g), group_moves(m, g),
				group_failback_wait_ms(m, g) / 1000);
		}
	}
}

unsigned group_moves(const struct machine *m, const struct ha_group *g)
{
	uint64_t now = m->ops->now_ms(m->ctx);
	unsigned count = 0;

	for (unsigned i = 0; i < HA_MOVES_MAX; i++) {
		count += g->moved_ms[i] && now - g->moved_ms[i] < HA_MOVES_WINDOW_MS;
	}
	return count;
}

/* `base` for the first move, then twice as long for each; at least ten seconds then. */
static uint64_t doubled(uint64_t base_ms, unsigned moves, uint64_t most_ms)
{
	uint64_t ms = base_ms;

	if (moves > 1) {
		ms = base_ms > RESTLESS_LEAST_MS ? base_ms : RESTLESS_LEAST_MS;
		for (unsigned i = 1; i < moves && ms < most_ms; i++) {
			ms *= 2;
		}
		ms = ms > most_ms && most_ms > base_ms ? most_ms : ms;
	}
	return ms;
}

uint64_t group_failback_wait_ms(const struct machine *m, const struct ha_group *g)
{
	const struct conf_group *conf = &m->conf->groups[g->index];
	uint64_t base = conf->failback == CONF_FAILBACK_AUTO ? conf->failback_delay_s * 1000ull : 0;

	return doubled(base, group_moves(m, g), HA_MOVES_WINDOW_MS);
}

int group_failback_in_s(const struct machine *m, const struct ha_group *g)
{
	uint64_t due = g->home_since_ms + group_failback_wait_ms(m, g);
	uint64_t now = m->ops->now_ms(m->ctx);

	if (!g->home_since_ms) {
		return -1;
	}
	return due > now ? (int)((due - now + 999) / 1000) : 0;
}

uint64_t group_health_wait_ms(const struct machine *m, const struct ha_group *g)
{
	return doubled(0, group_moves(m, g), RESTLESS_HEALTH_MS);
}

/*
 * Policy: back home once home has been in sync, and for `auto` had hosts, for the dwell time.
 */
void group_failback_step(struct machine *m, struct ha_group *g)
{
	const struct conf_group *conf = &m->conf->groups[g->index];
	uint64_t now = m->ops->now_ms(m->ctx);
	bool can = conf->failback != CONF_FAILBACK_MANUAL && g->phase == PHASE_SERVING &&
		   g->owner == m->self && g->owner != conf->home && g->preferred != conf->home &&
		   machine_has_peer(m) && machine_link_up(m) && m->quorate &&
		   (conf->failback == CONF_FAILBACK_IMMEDIATE || m->said[conf->home]->sessions > 0);

	if (!can) {
		g->home_since_ms = 0;
		return;
	}
	if (!g->home_since_ms) {
		g->home_since_ms = now ? now : 1;
	}
	if (!g->sent_move && now - g->home_since_ms >= group_failback_wait_ms(m, g)) {
		log_notice("group %s: home, controller %u, has been ready for %" PRIu64
			   " s: failback",
			name_of(m, g), conf->home, (now - g->home_since_ms) / 1000);
		move_send(m, g, conf->home);
	}
}

void group_requests_step(struct machine *m, struct ha_group *g)
{
	promote_step(m, g);
	stop_step(m, g);
	move_step(m, g);
}

/* ----- what the agent's monitor is told
 * ----------------------------------------------------------- */

enum ha_role machine_group_role(const struct machine *m, const struct ha_group *g)
{
	if (!g->started) {
		return HA_ROLE_STOPPED;
	}
	if (m->dead) {
		return HA_ROLE_FAILED;
	}
	if (g->asked && (g->owner == m->self || g->proofless)) {
		return HA_ROLE_PROMOTED;
	}
	return HA_ROLE_UNPROMOTED;
}
