/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Agreement of the ledgers after a change of the membership: who has the states of the LUs that
 * count, and their way to the other as a snapshot at a place in the order. docs/ha.md.
 */
#include "ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/crc32c.h"
#include "yoke/log.h"
#include "yoke/util.h"

static void held_clear(struct ha_ledger *l)
{
	while (!qb_list_empty(&l->held)) {
		struct ledger_held *held = qb_list_first_entry(&l->held, struct ledger_held, link);

		qb_list_del(&held->link);
		free(held);
	}
	l->held_bytes = 0;
}

static void round_clear(struct ha_ledger *l)
{
	held_clear(l);
	journal_bytes_free(&l->out);
	journal_bytes_free(&l->in);
	l->open = 0;
	l->loaded = l->loaded_here = l->loaded_sent = l->sending = false;
	l->out_op = l->in_op = 0;
	l->in_part = l->out_part = 0;
	l->out_sent = 0;
}

void ledger_round_start(struct machine *m)
{
	round_clear(m->ledger);
	m->ledger->behind = false;
	m->ledger->wait_until_ms = 0;
	memset(m->ledger->facts, 0, sizeof(m->ledger->facts));
	/*
	 * From the end of the round on the other may acknowledge what is not here, should this one
	 * be lost: CURRENT, without which nothing ends, goes out when the next start will know
	 * that.
	 */
	if (m->pids[m->other] && m->ledger->alone) {
		m->ledger->was_alone = true;
		ledger_mark(m, false);
	}
}

void ledger_facts_send(struct machine *m, uint64_t op)
{
	const struct ha_ledger *l = m->ledger;
	struct message msg = {.type = MESSAGE_LEDGER,
		.op = op,
		.ledger = {.index = l->index, .applied = l->common, .digest = l->digest}};

	m->ops->send(m->ctx, &msg);
}

/* ----- who has what counts -----------------------------------------------------------------------
 */

static bool facts_are_known(const struct machine *m, uint8_t c)
{
	return m->said_op[c] && m->ledger->facts[c].op == m->said_op[c];
}

uint8_t ledger_counts(const struct machine *m)
{
	const struct ledger_facts *f = m->ledger->facts;

	if (!facts_are_known(m, 1) || !facts_are_known(m, 2) ||
		(f[1].index == f[2].index && f[1].digest == f[2].digest)) {
		return 0;
	}
	if (m->said[1]->in_sync != m->said[2]->in_sync) {
		return m->said[1]->in_sync ? 1 : 2;
	}
	return f[1].index >= f[2].index ? 1 : 2;
}

/* Whose states the other takes; 0 = nobody's: not with another configuration either. */
static uint8_t donor_of(const struct machine *m)
{
	if (memcmp(m->said[1]->digest, m->said[2]->digest, sizeof(m->said[1]->digest)) != 0) {
		return 0;
	}
	return ledger_counts(m);
}

static void snapshot_start(struct machine *m);

/*
 * Whose states count, also at a joiner whose own STATE has not come back yet: it knows what it has
 * said there.
 */
static uint8_t counts_for_joiner(const struct machine *m)
{
	const struct ha_ledger *l = m->ledger;
	const struct ledger_facts *f = &l->facts[m->other];
	const struct message_state *said = m->said[m->other];

	if (facts_are_known(m, m->self)) {
		return ledger_counts(m);
	}
	if (!facts_are_known(m, m->other) || (f->index == l->index && f->digest == l->digest)) {
		return 0;
	}
	return said->in_sync || f->index > l->index ? m->other : m->self;
}

void ledger_joiner_lost(struct machine *m, enum machine_left left)
{
	struct ha_ledger *l = m->ledger;
	uint8_t counts = counts_for_joiner(m);
	bool known = facts_are_known(m, 1) && facts_are_known(m, 2);

	/*
	 * A daemon that has ended has acknowledged nothing that is not here with its snapshot. A
	 * node out of reach may go on, and what it said is not all.
	 */
	l->behind = left == LEFT_PROCESS ? counts == m->other && !l->loaded_here
					 : !known || counts == m->other;
	if (l->behind) {
		log_err("controller %u has gone before the registrations and reservations that it "
			"knows were here: waiting for it; if it does not come back, restart this "
			"yoked, which then goes on with what it knows itself",
			m->other);
	} else if (left == LEFT_PROCESS && l->was_alone && !m->differs) {
		ledger_mark(m, true); /* the round has ended nowhere */
	}
	l->was_alone = false;
}

/*
 * The array starts and the other controller is not there (yet). When this one was not alone in its
 * former life the other may have gone on without it: its daemon gets time to come up.
 */
static bool waits(struct machine *m)
{
	struct ha_ledger *l = m->ledger;
	uint64_t now = m->ops->now_ms(m->ctx);

	if (m->pids[m->other] || l->alone) {
		return false;
	}
	if (!l->wait_until_ms) {
		l->wait_until_ms = now + HA_LEDGER_WAIT_MS;
		log_warning("controller %u may know newer registrations and reservations: waiting "
			    "up to %u s for its daemon before beginning without it",
			m->other, HA_LEDGER_WAIT_MS / 1000);
	}
	return now < l->wait_until_ms;
}

bool machine_waits_for_peer(const struct machine *m)
{
	return m->syncing && m->ledger->wait_until_ms != 0;
}

void ledger_wait_tick(struct machine *m)
{
	struct ha_ledger *l = m->ledger;

	if (m->syncing && l->wait_until_ms && m->ops->now_ms(m->ctx) >= l->wait_until_ms) {
		sync_check(m);
	}
}

bool ledger_agreed(struct machine *m, bool known)
{
	struct ha_ledger *l = m->ledger;
	uint8_t donor = donor_of(m);
	uint8_t taker = donor == m->self ? m->other : m->self;

	l->old = m->got[m->other] && !facts_are_known(m, m->other);
	if (l->behind || (!known && waits(m))) {
		return false;
	}
	if (!donor || l->loaded) {
		return true;
	}
	if (!m->pids[m->other]) {
		return true;
	}
	l->open = m->said[donor]->in_sync && !m->said[taker]->in_sync ? donor : 0;
	if (donor == m->self && !l->sending) {
		snapshot_start(m);
	}
	return false;
}

/* ----- the snapshot, at who has it ---------------------------------------------------------------
 */

static void chunk_send(struct machine *m)
{
	struct ha_ledger *l = m->ledger;
	size_t left = l->out.length - l->out_sent;
	size_t size = left < HA_LEDGER_CHUNK_BYTES ? left : HA_LEDGER_CHUNK_BYTES;
	struct message msg = {.type = MESSAGE_SNAPSHOT,
		.op = l->out_op,
		.ledger = {.index = l->out_index,
			.digest = l->out_crc,
			.part = l->out_part,
			.flags = size == left ? MESSAGE_LAST : 0,
			.bytes = l->out.base + l->out_sent,
			.length = size}};

	l->out_part++;
	l->out_sent += size;
	m->ops->send(m->ctx, &msg);
	if (size == left) {
		journal_bytes_free(&l->out);
		l->out_op = 0;
	}
}

static void snapshot_start(struct machine *m)
{
	struct ha_ledger *l = m->ledger;
	int err;

	if (l->jump_due) {
		ledger_jump(m);
	}
	l->sending = true;
	err = ledger_states_save(l->serve, &l->out);
	if (!err && !l->out.base) {
		err = journal_bytes_add(&l->out, 1) ? 0 : -1;
		l->out.length = 0;
	}
	if (err) {
		machine_dead(m, "out of memory for the states of the LUs");
		return;
	}
	l->out_op = ++m->op;
	l->out_index = l->index;
	l->out_crc = crc32c(l->out.base, l->out.length);
	l->out_part = 0;
	l->out_sent = 0;
	log_notice("controller %u gets the states of the LUs as of entry %" PRIu64 ", %zu bytes",
		m->other, l->index, l->out.length);
	for (unsigned i = 0; i < HA_LEDGER_CHUNKS && l->out_op; i++) {
		chunk_send(m);
	}
}

/* ----- the snapshot, at who takes it -------------------------------------------------------------
 */

static size_t snapshot_limit(const struct ledger_serve *serve)
{
	uint8_t lu[16];
	size_t n = 0;

	while (serve->lu(serve->ctx, (unsigned)n, lu)) {
		n++;
	}
	return n * (LEDGER_STATE_BYTES_MAX + 20u);
}

static void snapshot_take(struct machine *m, const struct message *msg)
{
	struct ha_ledger *l = m->ledger;
	struct ledger_item *item;
	uint8_t lu[16];

	if (crc32c(l->in.base, l->in.length) != msg->ledger.digest) {
		machine_dead(m, "the states of the LUs came with a wrong checksum");
		return;
	}
	if (ledger_states_load(l->serve, l->in.base, l->in.length, false, lu) != 0) {
		log_err("the state of LU %02x%02x%02x%02x... from controller %u cannot be used",
			lu[0], lu[1], lu[2], lu[3], msg->sender);
		machine_dead(m, "the states of the LUs cannot be used; run the same yoked on both "
				"controllers");
		return;
	}
	qb_list_for_each_entry (item, &l->items, link) {
		item->index = 0;
	}
	ledger_mark(m, false);
	l->index = msg->ledger.index;
	l->digest = ledger_states_digest(l->serve);
	memset(l->past, 0, sizeof(l->past));
	l->theirs = 0;
	l->jump_due = l->absent = false;
	l->loaded_here = true;
	log_notice("the states of the LUs as of entry %" PRIu64 " are here, %zu bytes", l->index,
		l->in.length);
	journal_bytes_free(&l->in);
	ledger_replace(m);
}

static void snapshot_deliver(struct machine *m, const struct message *msg)
{
	struct ha_ledger *l = m->ledger;
	uint8_t *at;

	if (msg->sender == m->self) {
		if (msg->op == l->out_op && m->syncing) {
			chunk_send(m);
		}
		return;
	}
	if (!m->syncing || l->loaded_here || donor_of(m) != msg->sender) {
		return;
	}
	if (msg->ledger.part == 0) {
		l->in.length = 0;
		l->in_op = msg->op;
		l->in_part = 0;
	}
	if (msg->op != l->in_op || msg->ledger.part != l->in_part) {
		m->dropped++;
		return;
	}
	l->in_part++;
	at = l->in.length + msg->ledger.length > snapshot_limit(l->serve)
		     ? NULL
		     : journal_bytes_add(&l->in, msg->ledger.length + 1);
	if (!at) {
		machine_dead(m, "the states of the LUs take too much memory");
		return;
	}
	memcpy(at, msg->ledger.bytes, msg->ledger.length);
	l->in.length--;
	if (msg->ledger.flags & MESSAGE_LAST) {
		snapshot_take(m, msg);
	}
}

/* Loaded and on the disk (or the disk is known to be out of order): says so, once. */
void ledger_loaded_step(struct machine *m)
{
	struct ha_ledger *l = m->ledger;
	struct message msg = {.type = MESSAGE_LOADED, .op = l->in_op};
	uint64_t common = l->facts[m->other].common;

	if (m->syncing && l->loaded_here && !l->loaded_sent && !m->dead && ledger_is_settled(l)) {
		l->loaded_sent = true;
		m->ops->send(m->ctx, &msg);
		/* What they did is neither in the states nor on the disk. */
		ledger_ops_again(m, common < l->common ? common : l->common);
	}
}

void ledger_hold(struct machine *m, const struct message *msg)
{
	struct ha_ledger *l = m->ledger;
	struct ledger_held *held = NULL;

	if (l->held_bytes + sizeof(*held) + msg->ledger.length <= HA_LEDGER_HELD_BYTES) {
		held = calloc(1, sizeof(*held) + msg->ledger.length);
	}
	if (!held) {
		machine_dead(m, "too many entries while joining; restart this daemon");
		return;
	}
	held->place = m->replay_count;
	held->msg = *msg;
	held->msg.ledger.bytes = held->bytes;
	memcpy(held->bytes, msg->ledger.bytes, msg->ledger.length);
	qb_list_add_tail(&held->link, &l->held);
	l->held_bytes += sizeof(*held) + msg->ledger.length;
}

void ledger_replay(struct machine *m, const struct ha_group *g, unsigned place)
{
	struct ledger_held *held;

	qb_list_for_each_entry (held, &m->ledger->held, link) {
		if (held->place == place && held->msg.group == g->index) {
			held->accepted = held->msg.epoch == g->epoch;
		}
	}
}

/* ----- the end of a round ------------------------------------------------------------------------
 */

/* Nobody has kept the states alive: what does not outlive that is dropped, at both. */
static void begin_cold(struct machine *m)
{
	struct ha_ledger *l = m->ledger;

	if (ledger_states_cold(l->serve) != 0) {
		machine_dead(m, "the states of the LUs cannot be brought back");
		return;
	}
	l->digest = ledger_states_digest(l->serve);
	memset(l->past, 0, sizeof(l->past));
	if (!(m->sync & HA_BIT(m->other))) {
		ledger_mark(m, true);
		l->index += HA_LEDGER_JUMP; /* the absent one may have gone on */
	}
	ledger_replace(m);
}

void ledger_finish(struct machine *m, bool known)
{
	struct ha_ledger *l = m->ledger;
	struct ledger_held *held;

	if (!known) {
		begin_cold(m);
	}
	qb_list_for_each_entry (held, &l->held, link) {
		if (held->accepted) {
			struct ledger_entry entry = ledger_entry_of(&held->msg);

			ledger_apply(m, held->msg.sender, &entry);
		}
	}
	if (m->sync & HA_BIT(m->other)) {
		l->absent = l->jump_due = false;
		ledger_mark(m, false);
	} else if (m->pids[m->other] && !m->said[m->other]->in_sync) {
		ledger_peer_gone(m); /* another life of it, with another configuration */
	}
	ledger_past_add(l, (const uint8_t[16]){0});
	memset(l->acked, 0, sizeof(l->acked));
	memset(l->kept, 0, sizeof(l->kept));
	l->said = 0;
	l->say = true;
	l->was_alone = false;
	round_clear(l);
}

void ledger_sync_deliver(struct machine *m, const struct message *msg)
{
	struct ha_ledger *l = m->ledger;

	if (msg->type == MESSAGE_LEDGER && m->syncing) {
		l->facts[msg->sender] = (struct ledger_facts){.op = msg->op,
			.index = msg->ledger.index,
			.common = msg->ledger.applied,
			.digest = msg->ledger.digest};
	} else if (msg->type == MESSAGE_SNAPSHOT) {
		snapshot_deliver(m, msg);
	} else if (msg->type == MESSAGE_LOADED && m->syncing && donor_of(m) &&
		   donor_of(m) != msg->sender) {
		l->loaded = true;
		sync_check(m);
	}
}
