/* SPDX-License-Identifier: BSD-3-Clause */
/* Entries: from submission to the last acknowledgement. */
#include "ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/log.h"
#include "yoke/util.h"

struct ha_ledger *ha_ledger_new(void)
{
	struct ha_ledger *l = calloc(1, sizeof(*l));

	if (l) {
		qb_list_init(&l->ops);
		qb_list_init(&l->items);
		qb_list_init(&l->held);
	}
	return l;
}

static void op_free(struct ha_ledger *l, struct ledger_op *op)
{
	qb_list_del(&op->link);
	l->pending--;
	if (op->state != LEDGER_WAITING) {
		l->flight--;
		l->flight_bytes -= op->entry.length;
	}
	free(op);
}

static void list_free(struct qb_list_head *list, size_t link)
{
	while (!qb_list_empty(list)) {
		struct qb_list_head *first = list->next;

		qb_list_del(first);
		free((char *)first - link);
	}
}

void ha_ledger_free(struct ha_ledger *l)
{
	if (!l) {
		return;
	}
	list_free(&l->ops, offsetof(struct ledger_op, link));
	list_free(&l->items, offsetof(struct ledger_item, link));
	list_free(&l->held, offsetof(struct ledger_held, link));
	journal_bytes_free(&l->out);
	journal_bytes_free(&l->in);
	free(l);
}

void machine_ledger_set(
	struct machine *m, const struct ledger_serve *serve, uint64_t index, bool alone, int err)
{
	struct ha_ledger *l = m->ledger;

	l->serve = serve;
	l->index = l->durable = index;
	l->alone = alone;
	l->err = err;
	l->failed = err != 0;
	l->digest = ledger_states_digest(serve);
}

/* ----- this controller's part of an entry -------------------------------------------------------
 */

bool ledger_is_kept(const struct ha_ledger *l)
{
	return !l->err && l->replaced == l->replacing;
}

bool ledger_is_settled(const struct ha_ledger *l)
{
	return l->err || l->replaced == l->replacing;
}

bool ledger_is_marked(const struct ha_ledger *l)
{
	return (l->err && l->err != JOURNAL_HANGS) || l->replaced == l->replacing;
}

bool ledger_keeps_out(const struct machine *m)
{
	return m->current_op && m->syncing && !m->dead && m->pids[m->other] &&
	       m->ledger->err == JOURNAL_HANGS && !ledger_is_marked(m->ledger);
}

static uint64_t published(const struct ha_ledger *l)
{
	struct ledger_item *item;

	qb_list_for_each_entry (item, &l->items, link) {
		if (item->index) {
			return item->index - 1;
		}
	}
	return l->index;
}

static uint64_t durable(const struct ha_ledger *l)
{
	return l->replaced == l->replacing ? l->durable : 0;
}

uint64_t ledger_here(const struct ha_ledger *l)
{
	uint64_t here = published(l);

	return l->err || durable(l) > here ? here : durable(l);
}

static void item_applied(void *arg)
{
	struct ledger_item *item = arg, *first;
	struct machine *m = item->m;
	struct ha_ledger *l = m->ledger;

	item->published = true;
	/* What was published after it counts only with it. */
	while (!qb_list_empty(&l->items)) {
		first = qb_list_first_entry(&l->items, struct ledger_item, link);
		if (!first->published) {
			break;
		}
		qb_list_del(&first->link);
		free(first);
	}
	if (!l->applying) {
		machine_settle(m);
	}
}

void ledger_past_add(struct ha_ledger *l, const uint8_t lu[16])
{
	unsigned i = l->past_next++ % HA_LEDGER_DIGESTS;

	l->past[i].index = l->index;
	l->past[i].digest = l->digest;
	memcpy(l->past[i].lu, lu, 16);
}

void ledger_conf_changed(struct machine *m)
{
	struct ha_ledger *l = m->ledger;

	l->digest = ledger_states_digest(l->serve);
	/* What was said under the former configuration counts other LUs. */
	for (unsigned i = 0; i < HA_LEDGER_DIGESTS; i++) {
		l->past[i].index = 0;
	}
}

void ledger_jump(struct machine *m)
{
	struct ha_ledger *l = m->ledger;

	l->jump_due = false;
	l->index += HA_LEDGER_JUMP;
	m->ops->journal_append(m->ctx, l->index, NULL);
}

void ledger_mark(struct machine *m, bool alone)
{
	if (m->ledger->alone != alone) {
		m->ledger->alone = alone;
		m->ledger->replacing++;
		m->ops->journal_mark(m->ctx, m->ledger->index, alone, m->ledger->replacing);
	}
}

void ledger_replace(struct machine *m)
{
	struct ha_ledger *l = m->ledger;

	l->replacing++;
	m->ops->journal_replace(m->ctx, l->index, l->replacing);
}

uint32_t ledger_apply(struct machine *m, uint8_t sender, const struct ledger_entry *entry)
{
	struct ha_ledger *l = m->ledger;
	struct ledger_item *item = calloc(1, sizeof(*item));
	uint32_t result;

	if (!item) {
		machine_dead(m, "out of memory for an entry of the ledger");
		return 0;
	}
	if (l->jump_due) {
		ledger_jump(m);
	}
	item->m = m;
	item->index = ++l->index;
	qb_list_add_tail(&item->link, &l->items);
	if (sender != m->self) {
		l->theirs = l->index;
	}
	l->digest ^= ledger_state_digest(l->serve, entry->lu);
	l->applying = true;
	result = l->serve->apply(l->serve->ctx, entry, l->index, item_applied, item);
	l->applying = false;
	l->digest ^= ledger_state_digest(l->serve, entry->lu);
	ledger_past_add(l, entry->lu);
	m->ops->journal_append(m->ctx, l->index, entry);
	return result;
}

void machine_journaled(struct machine *m, uint64_t durable_index, uint64_t replaced, int err)
{
	struct ha_ledger *l = m->ledger;

	if (err && err != l->err) {
		log_err("%s/%s cannot be written: %s; registrations, reservations and mode pages "
			"cannot be changed through this controller until that is repaired",
			m->conf->state_dir, JOURNAL_FILE, journal_error_text(err));
		l->retry_ms = m->ops->now_ms(m->ctx) + HA_LEDGER_RETRY_MS;
	} else if (l->err && !err) {
		log_notice("%s/%s can be written again", m->conf->state_dir, JOURNAL_FILE);
	}
	if (err == JOURNAL_HANGS && !ledger_is_marked(l) && m->syncing && m->pids[m->other]) {
		log_err("controller %u cannot join before the disk of %s answers: what it would "
			"acknowledge then might be missed at the next start here. Repair that "
			"disk; what is served here goes on meanwhile",
			m->other, m->conf->state_dir);
	}
	l->say = l->say || !err != !l->err;
	l->durable = durable_index;
	l->replaced = replaced;
	l->err = err;
	/* Entries may go well again where a replacement has failed: that has to come once more. */
	l->failed = err || (l->failed && replaced != l->replacing);
	machine_settle(m);
}

/* ----- submission --------------------------------------------------------------------------------
 */

static void op_end(
	struct machine *m, struct ledger_op *op, enum ledger_outcome outcome, uint32_t result)
{
	void (*done)(void *arg, enum ledger_outcome, uint32_t) = op->done;
	void *arg = op->arg;

	op_free(m->ledger, op);
	m->again = true;
	done(arg, outcome, result);
}

void machine_submit(struct machine *m, const struct ledger_entry *entry,
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg)
{
	struct ha_ledger *l = m->ledger;
	struct ledger_op *op;

	if (m->dead || !machine_in_sync(m)) {
		done(arg, LEDGER_AGAIN, 0);
		return;
	}
	op = l->err || (l->old && m->pids[m->other]) || entry->length > LEDGER_ENTRY_BYTES_MAX
		     ? NULL
		     : calloc(1, sizeof(*op) + entry->length);
	if (!op) {
		done(arg, LEDGER_FAILED, 0);
		return;
	}
	op->entry = *entry;
	op->entry.bytes = op->bytes;
	memcpy(op->bytes, entry->bytes, entry->length);
	op->done = done;
	op->arg = arg;
	qb_list_add_tail(&op->link, &l->ops);
	l->pending++;
	machine_settle(m);
}

/* While the members compare what they know, an entry would have to wait; so it waits here. */
static bool may_send(const struct machine *m, const struct ledger_op *op)
{
	const struct ha_ledger *l = m->ledger;

	return !m->dead && machine_in_sync(m) && (!m->syncing || l->open == m->self) &&
	       l->flight < HA_LEDGER_FLIGHT_MAX &&
	       (l->flight == 0 || l->flight_bytes + op->entry.length <= HA_LEDGER_FLIGHT_BYTES);
}

static void op_send(struct machine *m, struct ledger_op *op)
{
	struct ha_ledger *l = m->ledger;
	struct message msg = {.type = MESSAGE_ENTRY,
		.group = op->entry.group,
		.epoch = op->entry.epoch,
		.op = ++m->op,
		.ledger = {.bytes = op->bytes, .length = op->entry.length}};

	memcpy(msg.ledger.lu, op->entry.lu, sizeof(msg.ledger.lu));
	op->op = msg.op;
	op->state = LEDGER_SENT;
	l->flight++;
	l->flight_bytes += op->entry.length;
	m->ops->send(m->ctx, &msg);
}

static void queue_step(struct machine *m)
{
	struct ledger_op *op;

	qb_list_for_each_entry (op, &m->ledger->ops, link) {
		if (op->state == LEDGER_WAITING) {
			if (!may_send(m, op)) {
				return;
			}
			op_send(m, op);
		}
	}
}

/* ----- delivery ----------------------------------------------------------------------------------
 */

struct ledger_entry ledger_entry_of(const struct message *msg)
{
	struct ledger_entry entry = {.group = msg->group,
		.epoch = msg->epoch,
		.bytes = msg->ledger.bytes,
		.length = msg->ledger.length};

	memcpy(entry.lu, msg->ledger.lu, sizeof(entry.lu));
	return entry;
}

static struct ledger_op *op_find(struct ha_ledger *l, uint64_t id)
{
	struct ledger_op *op;

	qb_list_for_each_entry (op, &l->ops, link) {
		if (op->state == LEDGER_SENT && op->op == id) {
			return op;
		}
	}
	return NULL;
}

/*
 * The same answer at every member in sync. During a round only who is the only one in sync goes
 * on, from the place on where all know that it is.
 */
static bool is_accepted(const struct machine *m, const struct message *msg)
{
	const struct ha_ledger *l = m->ledger;
	bool heard = m->syncing ? l->open == msg->sender : (m->sync & HA_BIT(msg->sender)) != 0;

	return heard && machine_in_sync(m) && m->groups[msg->group].epoch == msg->epoch;
}

static void entry_deliver(struct machine *m, const struct message *msg)
{
	struct ha_ledger *l = m->ledger;
	struct ledger_op *op = msg->sender == m->self ? op_find(l, msg->op) : NULL;
	struct ledger_entry entry = ledger_entry_of(msg);
	uint32_t result;

	if (msg->group >= m->group_count || (msg->sender == m->self && !op)) {
		m->dropped++;
		return;
	}
	if (m->syncing && l->open && l->open != m->self && l->open == msg->sender) {
		ledger_hold(m, msg);
		return;
	}
	if (!is_accepted(m, msg)) {
		if (op) {
			op_end(m, op, LEDGER_AGAIN, 0);
		}
		return;
	}
	result = ledger_apply(m, msg->sender, &entry);
	if (op) {
		op->state = LEDGER_APPLIED;
		op->index = op->need = l->index;
		op->result = result;
		op->owing = (uint8_t)((m->sync & ~HA_BIT(m->self)) |
				      (l->absent ? HA_BIT(m->other) : 0));
	}
}

void ledger_ops_again(struct machine *m, uint64_t common)
{
	struct ledger_op *op, *next;

	qb_list_for_each_entry_safe (op, next, &m->ledger->ops, link) {
		if (op->state == LEDGER_APPLIED && op->index > common) {
			op_end(m, op, LEDGER_AGAIN, 0);
		}
	}
}

/* ----- acknowledgements --------------------------------------------------------------------------
 */

/* Who takes the states of the other anew: the one with fewer groups, the same at both. */
static uint8_t lower_standing(const struct machine *m)
{
	unsigned owned[YOKE_CONTROLLERS + 1] = {0};

	for (unsigned i = 0; i < m->group_count; i++) {
		owned[m->groups[i].owner]++;
	}
	return owned[1] < owned[2] ? 1 : 2;
}

static void digest_check(struct machine *m, const struct message *msg)
{
	struct ha_ledger *l = m->ledger;
	struct message resync = {.type = MESSAGE_RESYNC, .controller = lower_standing(m)};
	uint8_t *lu;

	for (unsigned i = 0; i < HA_LEDGER_DIGESTS; i++) {
		if (l->past[i].index != msg->ledger.applied || !l->past[i].index ||
			l->past[i].digest == msg->ledger.digest) {
			continue;
		}
		lu = l->past[i].lu;
		log_err("the states of the LUs differ between the controllers after entry %" PRIu64
			" for LU %02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
			"%02x%02x%02x%02x%02x%02x: controller %u takes those of the other anew",
			l->past[i].index, lu[0], lu[1], lu[2], lu[3], lu[4], lu[5], lu[6], lu[7],
			lu[8], lu[9], lu[10], lu[11], lu[12], lu[13], lu[14], lu[15],
			resync.controller);
		memset(l->past, 0, sizeof(l->past)); /* said once */
		resync.op = ++m->op;
		m->ops->send(m->ctx, &resync);
	}
}

static void ack_deliver(struct machine *m, const struct message *msg)
{
	struct ha_ledger *l = m->ledger;

	if (msg->sender == m->self || m->syncing || !machine_in_sync(m) ||
		!(m->sync & HA_BIT(msg->sender))) {
		return;
	}
	l->acked[msg->sender] = msg->ledger.index;
	if (msg->ledger.flags & MESSAGE_KEPT) {
		l->kept[msg->sender] = msg->ledger.index;
	}
	digest_check(m, msg);
}

static void ack_step(struct machine *m)
{
	struct ha_ledger *l = m->ledger;
	uint64_t here = ledger_here(l);
	struct message msg = {.type = MESSAGE_ACK,
		.ledger = {.index = here,
			.applied = l->index,
			.digest = l->digest,
			.flags = ledger_is_kept(l) ? MESSAGE_KEPT : 0}};

	if (m->syncing || !machine_has_peer(m) || m->dead ||
		(!l->say && (here <= l->said || l->theirs <= l->said))) {
		return;
	}
	l->say = false;
	l->said = here;
	msg.op = ++m->op;
	m->ops->send(m->ctx, &msg);
}

static bool is_done(const struct machine *m, const struct ledger_op *op)
{
	const struct ha_ledger *l = m->ledger;
	uint64_t kept = durable(l) > l->kept[m->other] ? durable(l) : l->kept[m->other];

	return published(l) >= op->index && (l->err || durable(l) >= op->need) &&
	       kept >= op->need &&
	       (!(op->owing & HA_BIT(m->other)) || l->acked[m->other] >= op->index);
}

static void done_step(struct machine *m)
{
	struct ledger_op *op, *next;

	qb_list_for_each_entry_safe (op, next, &m->ledger->ops, link) {
		if (op->state != LEDGER_APPLIED || !is_done(m, op)) {
			return; /* they end in their order */
		}
		op_end(m, op, LEDGER_DONE, op->result);
	}
}

void ledger_step(struct machine *m)
{
	ledger_loaded_step(m);
	ack_step(m);
	if (!m->syncing || m->ledger->open == m->self) {
		done_step(m);
	}
	queue_step(m);
	if (ledger_wants_proof(m) && !m->prove_pending &&
		m->ops->now_ms(m->ctx) >= m->prove_at_ms) {
		m->prove_pending = true;
		m->ops->prove(m->ctx);
	}
}

void ledger_tick(struct machine *m)
{
	struct ha_ledger *l = m->ledger;

	if (l->failed && m->ops->now_ms(m->ctx) >= l->retry_ms) {
		l->retry_ms = m->ops->now_ms(m->ctx) + HA_LEDGER_RETRY_MS;
		m->ops->journal_replace(m->ctx, l->index, l->replacing);
	}
	ledger_wait_tick(m);
}

uint64_t ledger_next_ms(const struct machine *m)
{
	const struct ha_ledger *l = m->ledger;
	uint64_t next = l->failed ? l->retry_ms : 0;

	if (ledger_wants_proof(m) && !m->prove_pending && (!next || m->prove_at_ms < next)) {
		next = m->prove_at_ms ? m->prove_at_ms : 1;
	}
	if (m->syncing && l->wait_until_ms && (!next || l->wait_until_ms < next)) {
		next = l->wait_until_ms;
	}
	return next;
}

/* ----- the loss of the other controller ---------------------------------------------------------
 */

bool ledger_wants_proof(const struct machine *m)
{
	return m->ledger->absent && m->ledger->pending > 0 && m->peer == PEER_UNPROVEN &&
	       !m->dead && m->quorate;
}

void ledger_peer_lost(struct machine *m, enum machine_left left)
{
	struct ha_ledger *l = m->ledger;

	if (!machine_in_sync(m)) {
		ledger_joiner_lost(m, left);
		return;
	}
	/*
	 * Also when it was only joining: it may have seen the end of the round that is lost here,
	 * and count itself in. Two losses in a row: the first tells what both have.
	 */
	if (!l->absent) {
		l->absent = true;
		l->common = l->index;
	}
	if (left == LEFT_PROCESS) {
		ledger_peer_gone(m);
	}
}

void ledger_peer_gone(struct machine *m)
{
	struct ha_ledger *l = m->ledger;
	struct ledger_op *op;
	bool owed = false;

	if (!l->absent) {
		return;
	}
	l->absent = false;
	l->jump_due = true;
	l->was_alone = false;
	ledger_mark(m, true);
	qb_list_for_each_entry (op, &l->ops, link) {
		owed = owed || (op->state == LEDGER_APPLIED && op->owing);
	}
	if (!owed) {
		return;
	}
	/*
	 * Its journal may hold entries that nobody has acknowledged. Ours has to count for more
	 * before anything is acknowledged without it.
	 */
	ledger_jump(m);
	qb_list_for_each_entry (op, &l->ops, link) {
		if (op->state == LEDGER_APPLIED && op->owing) {
			op->owing = 0;
			op->need = l->index;
		}
	}
}

/* ----- the messages ------------------------------------------------------------------------------
 */

void ledger_deliver(struct machine *m, const struct message *msg)
{
	if (msg->type == MESSAGE_ENTRY) {
		entry_deliver(m, msg);
	} else if (msg->type == MESSAGE_ACK) {
		ack_deliver(m, msg);
	} else if (msg->type == MESSAGE_RESYNC) {
		if (msg->controller == m->self && machine_has_peer(m) && !m->syncing) {
			machine_dead(m, "the states of the LUs here are not those of the other "
					"controller");
		}
	} else {
		ledger_sync_deliver(m, msg);
	}
}

void machine_ledger_status(const struct machine *m, struct ledger_status *status)
{
	const struct ha_ledger *l = m->ledger;

	*status = (struct ledger_status){.index = l->index,
		.pending = l->pending,
		.journal_error = l->err,
		.waits_for_fence = ledger_wants_proof(m),
		.keeps_out = ledger_keeps_out(m)};
	status->acknowledged[m->self] = ledger_is_kept(l) ? ledger_here(l) : 0;
	status->acknowledged[m->other] = machine_has_peer(m) ? l->kept[m->other] : 0;
}
