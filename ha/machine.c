/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frame of the group state machine: events of this controller, and the settling of everything
 * that follows from an event. Settling is driven by the state, not by the event: each step looks
 * at how things are and does what is missing, so that no order of events can be forgotten.
 */
#include "ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/log.h"

#define SAVE_RETRY_MS 1000

#define LINK_GRACE_MS 1000

enum ha_score {
	SCORE_NONE = -1,
	SCORE_DEGRADED = 100,
	SCORE_IN_SYNC = 500,
	SCORE_PREFERRED = 1000,
};
#define SCORE_NOT_SET -2

struct machine *machine_new(const struct conf *conf, uint8_t self, uint64_t incarnation,
	const struct machine_ops *ops, void *ctx)
{
	struct machine *m = calloc(1, sizeof(*m));
	bool good;

	if (!m) {
		return NULL;
	}
	m->conf = conf;
	m->self = self;
	m->other = self == 1 ? 2 : 1;
	m->incarnation = incarnation;
	m->ops = ops;
	m->ctx = ctx;
	m->group_count = conf->group_count;
	m->groups = calloc(conf->group_count ? conf->group_count : 1, sizeof(*m->groups));
	m->replay = calloc(HA_REPLAY_MAX, sizeof(*m->replay));
	m->sending = calloc(1, sizeof(*m->sending));
	m->status_sent_flags = calloc(conf->group_count ? conf->group_count : 1, 1);
	m->ledger = ha_ledger_new();
	good = m->groups && m->replay && m->sending && m->status_sent_flags && m->ledger;
	for (unsigned i = 0; i <= YOKE_CONTROLLERS; i++) {
		m->said[i] = calloc(1, sizeof(*m->said[i]));
		good = good && m->said[i];
	}
	if (!good) {
		machine_free(m);
		return NULL;
	}
	for (unsigned i = 0; i < m->group_count; i++) {
		struct ha_group *g = &m->groups[i];

		g->index = (uint16_t)i;
		g->score = SCORE_NOT_SET;
		g->view.group = g->index;
		g->view.table = 1;
		g->view.access = GROUP_HELD;
		g->view.tpg[1] = ALUA_TRANSITIONING;
		g->view.tpg[2] = ALUA_TRANSITIONING;
	}
	return m;
}

void machine_free(struct machine *m)
{
	if (!m) {
		return;
	}
	for (unsigned i = 0; i <= YOKE_CONTROLLERS; i++) {
		free(m->said[i]);
	}
	ha_ledger_free(m->ledger);
	free(m->status_sent_flags);
	free(m->sending);
	free(m->replay);
	free(m->groups);
	free(m);
}

void machine_start(struct machine *m)
{
	machine_settle(m);
}

uint64_t machine_save(struct machine *m)
{
	m->ops->save(m->ctx, ++m->save_seq);
	return m->save_seq;
}

/* ----- the promotion score -----------------------------------------------------------------------
 */

/*
 * A link that is down while its other end is a member counts against this controller, but not at
 * once: it is also down for a moment when the other's daemon dies or has just joined, and scores
 * that go down and up again make Pacemaker begin its work anew each time.
 */
static bool link_missing(struct machine *m)
{
	uint64_t now_ms = m->ops->now_ms(m->ctx);

	if (!machine_has_peer(m) || machine_link_up(m)) {
		m->link_missing_ms = 0;
		return false;
	}
	if (m->link_missing_ms == 0) {
		m->link_missing_ms = now_ms ? now_ms : 1;
	}
	return now_ms - m->link_missing_ms >= LINK_GRACE_MS;
}

/* Extents that come and go must not make the group come and go. */
static bool is_well(struct machine *m, struct ha_group *g)
{
	uint64_t now_ms = m->ops->now_ms(m->ctx);

	if (!m->ops->healthy(m->ctx, g->index)) {
		g->well_ms = now_ms + group_health_wait_ms(m, g);
		return false;
	}
	return now_ms >= g->well_ms;
}

static int score_of(struct machine *m, struct ha_group *g)
{
	bool owner = g->owner == m->self;

	if (!g->started || m->dead || !machine_in_sync(m)) {
		return SCORE_NONE;
	}
	/* Who cannot write its state directory cannot take over either. */
	if (!is_well(m, g) || (!owner && (link_missing(m) || m->ledger->err))) {
		return SCORE_DEGRADED;
	}
	return g->preferred == m->self ? SCORE_PREFERRED : SCORE_IN_SYNC;
}

static void score_step(struct machine *m, struct ha_group *g)
{
	int score = score_of(m, g);

	if (score == g->score || (score == SCORE_NONE && g->score == SCORE_NOT_SET)) {
		return;
	}
	g->score = score;
	m->ops->score(m->ctx, g->index, score);
}

/* ----- settling ----------------------------------------------------------------------------------
 */

void machine_settle(struct machine *m)
{
	m->again = true;
	if (m->settling) {
		return; /* an operation called back at once: the loop below sees it */
	}
	m->settling = true;
	while (m->again) {
		m->again = false;
		for (unsigned i = 0; i < m->group_count; i++) {
			struct ha_group *g = &m->groups[i];

			group_step(m, g);
			group_refresh(m, g);
			group_claim_step(m, g);
			group_requests_step(m, g);
			group_failback_step(m, g);
			group_refresh(m, g);
			score_step(m, g);
		}
		ledger_step(m);
		sync_current_step(m);
		sync_status_step(m);
		machine_proof_step(m);
		adoption_step(m);
	}
	m->settling = false;
}

/* ----- events
 * ------------------------------------------------------------------------------------- */

void machine_quorum(struct machine *m, bool quorate)
{
	if (m->quorate == quorate) {
		return;
	}
	m->quorate = quorate;
	if (quorate) {
		log_notice("quorum gained");
	} else {
		log_err("quorum lost: nothing is served until it is back");
	}
	for (unsigned i = 0; i < m->group_count && !quorate; i++) {
		struct ha_group *g = &m->groups[i];

		g->wanted = false;
		group_requests_end(g, REQUEST_PROMOTE, HA_NO_QUORUM, "quorum was lost meanwhile");
	}
	sync_check(m);
	machine_settle(m);
}

void machine_link(struct machine *m, bool up)
{
	m->link = up;
	log_notice("interconnect to controller %u is %s", m->other, up ? "up" : "down");
	machine_settle(m);
}

void machine_saved(struct machine *m, uint64_t seq, int err)
{
	if (err) {
		log_err("the state of the groups cannot be written to %s: %s; free or repair it",
			m->conf->state_dir, strerror(-err));
		m->failed_seq = seq > m->failed_seq ? seq : m->failed_seq;
	} else {
		m->saved_seq = seq > m->saved_seq ? seq : m->saved_seq;
	}
	machine_settle(m);
}

void machine_slept(struct machine *m, uint64_t gap_ms)
{
	struct message msg = {.type = MESSAGE_ALIVE};

	if (!m->joined || m->dead) {
		return;
	}
	log_warning("this process did not run for %" PRIu64 " ms: holding until the membership "
		    "is known to be current",
		gap_ms);
	m->suspect = true;
	machine_settle(m);
	m->alive_op = ++m->op;
	msg.op = m->alive_op;
	m->ops->send(m->ctx, &msg);
}

bool machine_is_sure(const struct machine *m)
{
	return !m->suspect && !m->dead;
}

void machine_dead(struct machine *m, const char *reason)
{
	static const enum ha_request_kind kinds[] = {REQUEST_PROMOTE, REQUEST_MOVE};

	if (m->dead) {
		return;
	}
	m->dead = true;
	log_err("contact with the cluster is lost (%s): nothing is served any more", reason);
	machine_settle(m);
	for (unsigned i = 0; i < m->group_count; i++) {
		for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			group_requests_end(&m->groups[i], kinds[k], HA_FAILED, reason);
		}
	}
	if (m->peer_linked) {
		m->peer_linked = false;
		m->ops->peer_down(m->ctx);
	}
	m->ops->fatal(m->ctx, reason);
}

void machine_tick(struct machine *m)
{
	if (m->failed_seq == m->save_seq && m->failed_seq > m->saved_seq &&
		m->ops->now_ms(m->ctx) >= m->save_retry_ms) {
		m->save_retry_ms = m->ops->now_ms(m->ctx) + SAVE_RETRY_MS;
		machine_save(m);
	}
	ledger_tick(m);
	config_tick(m);
	machine_settle(m);
}

static void earlier(uint64_t *next, uint64_t at)
{
	if (at && (!*next || at < *next)) {
		*next = at;
	}
}

uint64_t machine_next_ms(const struct machine *m)
{
	uint64_t next = 0;

	for (unsigned i = 0; i < m->group_count; i++) {
		const struct ha_group *g = &m->groups[i];

		if (g->phase == PHASE_PREPARING && g->sent_rollback != g->top) {
			earlier(&next, g->deadline_ms);
		} else if (g->phase == PHASE_COMMITTING && g->claim == CLAIM_NONE) {
			earlier(&next, g->deadline_ms);
		}
		if (group_has_request(g, REQUEST_STOP) && !g->retiring &&
			g->phase == PHASE_SERVING) {
			earlier(&next, g->offer_until_ms);
		}
		if (g->wanted && g->proofless && !m->prove_pending) {
			earlier(&next, m->prove_at_ms);
		}
		for (unsigned k = 0; k < g->request_count; k++) {
			earlier(&next, g->requests[k].deadline_ms);
		}
		if (g->home_since_ms && !g->sent_move) {
			earlier(&next, g->home_since_ms + group_failback_wait_ms(m, g));
		}
	}
	if (m->config.own_op) {
		earlier(&next, m->config.deadline_ms);
		earlier(&next, m->config.answer_ms);
	}
	if (m->failed_seq == m->save_seq && m->failed_seq > m->saved_seq) {
		earlier(&next, m->save_retry_ms ? m->save_retry_ms : 1);
	}
	earlier(&next, ledger_next_ms(m));
	if (machine_wants_proof(m)) {
		earlier(&next, m->prove_at_ms);
	}
	if (m->adoption.phase == ADOPTION_TOLD) {
		earlier(&next, m->adoption.retry_ms);
	}
	return next;
}
