/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/ledger_local.h"

#include <qb/qblist.h>
#include <qb/qbutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/log.h"
#include "yoke/util.h"

#define TICK_MS 1000

/* An entry that has been applied and is not done. They end in their order. */
struct local_entry {
	struct qb_list_head link;
	struct ledger_local *l;
	uint64_t index;
	uint32_t result;
	bool published;
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result);
	void *arg;
};

struct ledger_local {
	const struct conf *conf;
	uint8_t controller;
	const struct ledger_serve *serve;
	struct ledger ops;
	struct journal *journal;
	uint64_t index;
	qb_loop_t *loop;
	qb_loop_timer_handle timer;
	bool timer_armed;
	struct journal_status status;
	struct qb_list_head entries;
	unsigned count;
};

static void local_tick_arm(struct ledger_local *l);

static void local_settle(struct ledger_local *l)
{
	while (!qb_list_empty(&l->entries)) {
		struct local_entry *e = qb_list_first_entry(&l->entries, struct local_entry, link);

		if (!e->published || e->index > l->status.durable) {
			return;
		}
		qb_list_del(&e->link);
		l->count--;
		e->done(e->arg, LEDGER_DONE, e->result);
		free(e);
	}
}

static void local_applied(void *arg)
{
	struct local_entry *e = arg;

	e->published = true;
	local_settle(e->l);
}

/*
 * While something is to be made durable: does the disk answer? And the way back after a failed
 * write: everything as it is, in a new file.
 */
static void local_tick(void *arg)
{
	struct ledger_local *l = arg;

	l->timer_armed = false;
	journal_watch(l->journal, qb_util_nano_current_get() / QB_TIME_NS_IN_MSEC);
	if (l->status.err) {
		journal_replace(l->journal, l->index, 0);
	}
	if (l->status.err || l->count) {
		local_tick_arm(l);
	}
}

static void local_tick_arm(struct ledger_local *l)
{
	if (!l->timer_armed) {
		l->timer_armed =
			qb_loop_timer_add(l->loop, QB_LOOP_MED, TICK_MS * QB_TIME_NS_IN_MSEC, l,
				local_tick, &l->timer) == 0;
	}
}

static void local_changed(void *arg)
{
	struct ledger_local *l = arg;
	int was = l->status.err;

	journal_status(l->journal, &l->status);
	if (l->status.err && l->status.err != was) {
		log_err("%s/%s cannot be written: %s; registrations, reservations and mode pages "
			"cannot be changed until that is repaired",
			l->conf->state_dir, JOURNAL_FILE, journal_error_text(l->status.err));
	} else if (was && !l->status.err) {
		log_notice("%s/%s can be written again", l->conf->state_dir, JOURNAL_FILE);
	}
	if (l->status.err) {
		local_tick_arm(l);
	}
	local_settle(l);
}

static void local_submit(void *ctx, const struct ledger_entry *entry,
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg)
{
	struct ledger_local *l = ctx;
	struct local_entry *e = l->status.err ? NULL : calloc(1, sizeof(*e));

	if (!e) {
		done(arg, LEDGER_FAILED, 0);
		return;
	}
	*e = (struct local_entry){.l = l, .index = ++l->index, .done = done, .arg = arg};
	qb_list_add_tail(&e->link, &l->entries);
	l->count++;
	local_tick_arm(l);
	e->result = l->serve->apply(l->serve->ctx, entry, e->index, local_applied, e);
	journal_append(l->journal, e->index, entry);
}

struct ledger_local *ledger_local_new(
	const struct ledger_local_setup *setup, char *error, size_t error_size)
{
	struct ledger_local *l = calloc(1, sizeof(*l));
	char owner[64];
	struct journal_setup journal = {.dir = setup->conf->state_dir,
		.owner = owner,
		.control = setup->control,
		.serve = setup->serve,
		.changed = local_changed,
		.arg = l};
	int err;

	if (!l) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	snprintf(owner, sizeof(owner), "a target without a cluster, controller %u",
		setup->controller);
	l->conf = setup->conf;
	l->controller = setup->controller;
	l->serve = setup->serve;
	l->loop = setup->loop;
	l->ops = (struct ledger){.ctx = l, .submit = local_submit};
	qb_list_init(&l->entries);
	l->journal = journal_open(&journal, &l->index, error, error_size);
	if (!l->journal) {
		ledger_local_free(l);
		return NULL;
	}
	err = ledger_states_cold(l->serve);
	if (err) {
		snprintf(error, error_size, "the states of the LUs cannot be brought back: %s",
			strerror(-err));
		ledger_local_free(l);
		return NULL;
	}
	/* What comes next happens to these states and not to those before the loss. */
	journal_replace(l->journal, l->index, 0);
	local_changed(l);
	return l;
}

void ledger_local_free(struct ledger_local *l)
{
	if (!l) {
		return;
	}
	if (l->timer_armed) {
		qb_loop_timer_del(l->loop, l->timer);
	}
	journal_free(l->journal);
	while (!qb_list_empty(&l->entries)) {
		struct local_entry *e = qb_list_first_entry(&l->entries, struct local_entry, link);

		qb_list_del(&e->link);
		free(e);
	}
	free(l);
}

const struct ledger *ledger_local_ops(struct ledger_local *l)
{
	return &l->ops;
}

void ledger_local_status(struct ledger_local *l, struct ledger_status *status)
{
	*status = (struct ledger_status){.index = l->index,
		.pending = l->count,
		.journal_bytes = l->status.bytes,
		.journal_error = l->status.err};
	status->acknowledged[l->controller] =
		l->status.durable < l->index ? l->status.durable : l->index;
}
