/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Portal adoption: a controller that serves alone serves the portals of the other one as well, once
 * that has been fenced or shut down; it gives them back as soon as the other's daemon is a member
 * again, which opens its portals only then. Both say in PORTALS whether they hold the other's.
 */
#include "machine.h"
#include "yoke/log.h"

#define ADOPTION_RETRY_MS 5000

static bool holds(const struct machine *m)
{
	return m->adoption.phase == ADOPTION_HELD || m->adoption.phase == ADOPTION_GIVING;
}

void adoption_say(struct machine *m)
{
	struct message msg = {.type = MESSAGE_PORTALS, .op = ++m->op, .controller = m->self};

	if (m->conf->portal_adoption && !m->dead) {
		msg.controller = holds(m) ? m->other : m->self;
		m->ops->send(m->ctx, &msg);
	}
}

bool adoption_serves(const struct machine *m, uint8_t controller)
{
	return controller == m->other && (m->adoption.phase == ADOPTION_TOLD || holds(m)) &&
	       !m->pids[m->other];
}

/* Nobody else answers at its portals, and all that hosts can ask for there can be served here. */
static bool is_due(const struct machine *m)
{
	if (m->dead || !machine_in_sync(m) || !m->quorate || m->suspect || m->pids[m->other] ||
		!m->adoption.proven) {
		return false;
	}
	for (unsigned i = 0; i < m->group_count; i++) {
		const struct ha_group *g = &m->groups[i];

		/* A group that nobody owns is out of service at every port alike. */
		if (g->phase != PHASE_IDLE && (g->owner != m->self || g->phase != PHASE_SERVING)) {
			return false;
		}
	}
	return true;
}

/* Has every reactor the views that say so? */
static bool is_told(const struct machine *m)
{
	for (unsigned i = 0; i < m->group_count; i++) {
		const struct ha_group *g = &m->groups[i];

		if (g->applied_seq != g->publish_seq ||
			(g->phase == PHASE_SERVING && g->view.access != GROUP_LOCAL)) {
			return false;
		}
	}
	return true;
}

static void take(struct machine *m)
{
	uint64_t now = m->ops->now_ms(m->ctx);

	if (now < m->adoption.retry_ms) {
		return;
	}
	if (m->ops->adopt(m->ctx) < 0) {
		m->adoption.retry_ms = now + ADOPTION_RETRY_MS;
		return;
	}
	m->adoption.phase = ADOPTION_HELD;
	log_notice("the portals of controller %u are served here", m->other);
}

static void give(struct machine *m)
{
	m->adoption.phase = ADOPTION_GIVING;
	log_notice("the portals of controller %u go back to it", m->other);
	m->ops->give_back(m->ctx);
}

bool adoption_wants_proof(const struct machine *m)
{
	return m->conf->portal_adoption && machine_in_sync(m) && !m->dead && !m->pids[m->other] &&
	       (!(m->ready || m->adoption.own_free) ||
		       (!m->adoption.proven && !m->ops->peer_in_reach(m->ctx)));
}

void adoption_proof(struct machine *m, bool proven)
{
	if (proven && !m->pids[m->other]) {
		m->adoption.own_free = true;
		/* A node that is back in reach, without a daemon, may have kept its addresses. */
		m->adoption.proven = m->adoption.proven || !m->ops->peer_in_reach(m->ctx);
	}
}

void adoption_peer_joined(struct machine *m)
{
	m->adoption.proven = false;
	m->adoption.own_free = false; /* until it says so */
	m->adoption.retry_ms = 0;
}

void adoption_peer_lost(struct machine *m, enum machine_left left)
{
	/* One that is out of sight may go on answering at our portals until it is fenced. */
	m->adoption.own_free = m->adoption.own_free || left == LEFT_PROCESS;
}

void adoption_deliver(struct machine *m, const struct message *msg)
{
	if (msg->sender == m->other) {
		m->adoption.own_free = msg->controller == m->other;
	}
}

void adoption_step(struct machine *m)
{
	switch (m->adoption.phase) {
	case ADOPTION_NONE:
		if (m->conf->portal_adoption && is_due(m)) {
			m->adoption.phase = ADOPTION_TOLD;
			m->again = true;
		}
		break;
	case ADOPTION_TOLD:
		if (!is_due(m)) {
			m->adoption.phase = ADOPTION_NONE;
			m->again = true;
		} else if (is_told(m)) {
			take(m);
		}
		break;
	case ADOPTION_HELD:
		if (m->pids[m->other]) {
			give(m);
		}
		break;
	case ADOPTION_GIVING:
		break;
	}
	if (m->ready_due && !m->ready && (m->adoption.own_free || !m->conf->portal_adoption)) {
		m->ready = true;
		m->ops->ready(m->ctx);
	}
}

void machine_given_back(struct machine *m)
{
	m->adoption.phase = ADOPTION_NONE;
	adoption_say(m);
	machine_settle(m);
}
