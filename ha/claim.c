/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The local part of a group: the hold on its extents, which follows the phase, and the view that
 * reactors and initiators see, which follows from both.
 */
#include <inttypes.h>
#include <string.h>

#include "machine.h"
#include "yoke/log.h"

/*
 * What RTPG gives as implicit transition time. A takeover waits for fencing, so it is not the
 * limit for holding; Linux gives a path up for good when it has expired, and takes 60 s itself.
 */
#define TRANSITION_TIME_S 60

static const char *name_of(const struct machine *m, const struct ha_group *g)
{
	return m->conf->groups[g->index].name;
}

/* ----- the extents ---------------------------------------------------------------------------- */

/* Does the phase say that this controller holds the extents? */
static bool claim_is_due(const struct machine *m, const struct ha_group *g)
{
	if (g->owner != m->self || g->retiring || m->dead) {
		return false;
	}
	return g->phase == PHASE_SERVING || g->phase == PHASE_TAKING || group_takes_time(m, g);
}

static void claim_start(struct machine *m, struct ha_group *g)
{
	g->claim = CLAIM_TAKING;
	g->claim_epoch = g->epoch;
	g->release_failed = false;
	m->ops->claim(m->ctx, g->index, g->epoch);
}

static void drain_start(struct machine *m, struct ha_group *g)
{
	/* Every reactor must hold the group before the count of its tasks means anything. */
	if (g->view.access != GROUP_HELD || g->applied_seq != g->publish_seq) {
		return;
	}
	g->claim = CLAIM_DRAINING;
	if (!g->drain_pending) {
		g->drain_pending = true;
		m->ops->drain(m->ctx, g->index);
	}
}

static void released_send(struct machine *m, struct ha_group *g)
{
	if (g->owner == m->self && g->sent_released != g->epoch &&
		(g->phase == PHASE_SERVING || g->phase == PHASE_COMMITTING ||
			g->phase == PHASE_TAKING)) {
		g->sent_released = g->epoch;
		group_send(m, g, MESSAGE_RELEASED, g->epoch);
	}
	if (g->claim_failed) {
		g->wanted = false;
		g->asked = false;
		group_requests_end(g, REQUEST_PROMOTE, HA_FAILED,
			"the extents cannot be opened here, or the state directory cannot be "
			"written; see the log");
	}
}

/*
 * Between COMMIT and the last SAVED the new owner waits for the disks of both controllers. The
 * former one has let the extents go, and from COMMIT on nobody else can become the owner without a
 * proof that this controller does not write: so their locks can be taken now, and with many LUs the
 * claim does not begin with that while hosts wait. The write key tells of the epoch: it is left to
 * the claim, since a COMMIT that the other one has not seen may still come to nothing.
 */
static void lock_step(struct machine *m, struct ha_group *g)
{
	bool due = g->owner == m->self && g->phase == PHASE_COMMITTING && g->claim == CLAIM_NONE &&
		   !g->claim_failed && !g->retiring && !m->dead && m->quorate && !m->suspect;

	if (due && !g->locked) {
		g->locked = true;
		m->ops->lock(m->ctx, g->index);
	} else if (!due && g->locked) {
		g->locked = false;
		if (g->claim == CLAIM_NONE) {
			m->ops->unlock(m->ctx, g->index);
		} /* else they belong to the claim */
	}
}

void group_claim_step(struct machine *m, struct ha_group *g)
{
	bool keep = claim_is_due(m, g) && !g->claim_failed;

	if (!machine_in_sync(m)) {
		return;
	}
	switch (g->claim) {
	case CLAIM_NONE:
		/*
		 * Serving without them: rolled back after they were let go. The same epoch is
		 * safe, since the proposed one can never become active any more.
		 */
		if (keep && m->quorate && !m->suspect) {
			claim_start(m, g);
		} else if (g->retiring || g->claim_failed) {
			released_send(m, g);
		}
		break;
	case CLAIM_HAVE:
		if (!keep || g->claim_epoch != g->epoch) {
			drain_start(m, g);
		}
		break;
	case CLAIM_DRAINING:
		if (keep && g->claim_epoch == g->epoch) {
			g->claim = CLAIM_HAVE; /* rolled back in time */
		}
		break;
	case CLAIM_TAKING:
	case CLAIM_RELEASING:
		break;
	}
	lock_step(m, g);
	if (g->owner != m->self) {
		g->claim_failed = false;
		g->retiring = false;
	}
}

void machine_drained(struct machine *m, uint16_t group)
{
	struct ha_group *g = &m->groups[group];

	g->drain_pending = false;
	if (g->claim == CLAIM_DRAINING) {
		if (g->view.access == GROUP_HELD && g->applied_seq == g->publish_seq) {
			g->claim = CLAIM_RELEASING;
			m->ops->release(m->ctx, group);
		} else { /* an answer from before; ask again when it is held */
			g->claim = CLAIM_HAVE;
		}
	}
	machine_settle(m);
}

void machine_released(struct machine *m, uint16_t group, int err)
{
	struct ha_group *g = &m->groups[group];

	if (err) {
		log_err("group %s: epoch %" PRIu64 ": extents could not be flushed or let go: %s; "
			"check the extents' disks",
			name_of(m, g), g->claim_epoch, strerror(-err));
	}
	g->release_failed = err != 0;
	g->claim = CLAIM_NONE;
	machine_settle(m);
}

void machine_claimed(struct machine *m, uint16_t group, int err)
{
	struct ha_group *g = &m->groups[group];

	g->claim = err ? CLAIM_NONE : CLAIM_HAVE;
	if (err) {
		g->claim_failed = true;
		log_err("group %s: epoch %" PRIu64 ": extents cannot be taken: %s; check that "
			"this controller reaches their disks",
			name_of(m, g), g->claim_epoch, strerror(-err));
	}
	machine_settle(m);
}

void machine_key_lost(struct machine *m, uint16_t group)
{
	struct ha_group *g = &m->groups[group];

	if (g->claim != CLAIM_HAVE || g->claim_failed) {
		return;
	}
	g->claim_failed = true;
	log_err("group %s: epoch %" PRIu64 ": the write key of its disks is another controller's "
		"now: held here and let go; see why the two did not agree",
		name_of(m, g), g->claim_epoch);
	machine_settle(m);
}

void machine_applied(struct machine *m, uint16_t group, uint64_t seq)
{
	struct ha_group *g = &m->groups[group];

	if (seq > g->applied_seq) {
		g->applied_seq = seq;
	}
	machine_settle(m);
}

/* ----- the view ------------------------------------------------------------------------------- */

/* Who can be reached how, as long as somebody serves; during a move the table stays as it was. */
static void view_table(const struct machine *m, const struct ha_group *g, struct group_view *view)
{
	if (g->phase == PHASE_IDLE) {
		view->tpg[1] = ALUA_TRANSITIONING;
		view->tpg[2] = ALUA_TRANSITIONING;
		view->preferred = 0;
	}
	if (g->phase != PHASE_SERVING) {
		return;
	}
	for (uint8_t c = 1; c <= YOKE_CONTROLLERS; c++) {
		view->tpg[c] = m->sync & HA_BIT(c) && machine_link_up(m) ? ALUA_NON_OPTIMIZED
									 : ALUA_UNAVAILABLE;
	}
	view->tpg[g->owner] = ALUA_OPTIMIZED;
	if (g->owner == m->self && adoption_serves(m, m->other)) {
		view->tpg[m->other] = ALUA_OPTIMIZED;
	}
	view->preferred = g->owner;
}

static enum group_access view_access(
	const struct machine *m, const struct ha_group *g, const struct group_view *view)
{
	if (!machine_in_sync(m) || !m->quorate || m->suspect || m->dead ||
		g->phase != PHASE_SERVING) {
		return GROUP_HELD;
	}
	if (g->owner == m->self) {
		bool mine = g->claim == CLAIM_HAVE && g->claim_epoch == g->epoch && !g->retiring &&
			    !g->claim_failed;

		return mine ? GROUP_LOCAL : GROUP_HELD;
	}
	if (g->claim != CLAIM_NONE || view->tpg[m->self] != ALUA_NON_OPTIMIZED) {
		return GROUP_HELD;
	}
	return GROUP_REMOTE;
}

static void held_note(struct machine *m, struct ha_group *g, enum group_access access)
{
	uint64_t now = m->ops->now_ms(m->ctx);

	if (access == GROUP_HELD && g->view.access != GROUP_HELD) {
		g->held_since_ms = now ? now : 1;
	} else if (access != GROUP_HELD && g->held_since_ms) {
		g->last_held_ms = (uint32_t)(now - g->held_since_ms);
		g->held_since_ms = 0;
	}
}

void group_refresh(struct machine *m, struct ha_group *g)
{
	struct group_view view = g->view;
	bool table;

	if (machine_in_sync(m)) {
		view.owner = g->owner;
		view.epoch = g->epoch;
		view_table(m, g, &view);
	}
	view.hold_limit_s = TRANSITION_TIME_S;
	view.access = view_access(m, g, &view);
	view.unproven = m->peer == PEER_UNPROVEN;
	table = memcmp(view.tpg, g->view.tpg, sizeof(view.tpg)) != 0 ||
		view.preferred != g->view.preferred;
	if (!table && g->publish_seq && view.access == g->view.access &&
		view.owner == g->view.owner && view.epoch == g->view.epoch &&
		view.unproven == g->view.unproven) {
		return;
	}
	if (table) {
		view.table++;
	}
	held_note(m, g, view.access);
	g->view = view;
	g->publish_seq++;
	log_info("group %s: epoch %" PRIu64 " owner %u, %s here, table %u: tpg1 %s, tpg2 %s",
		name_of(m, g), view.epoch, view.owner, group_access_name(view.access), view.table,
		alua_state_name((enum alua_state)view.tpg[1]),
		alua_state_name((enum alua_state)view.tpg[2]));
	m->ops->publish(m->ctx, &g->view, g->publish_seq);
}
