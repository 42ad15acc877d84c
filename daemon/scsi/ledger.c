/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "daemon/scsi/ledger.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/round.h"
#include "daemon/scsi/sanitize.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/snapshot.h"
#include "yoke/log.h"
#include "yoke/util.h"

/* The control thread's part of an LU that an entry has touched. */
struct scsi_book {
	struct qb_list_head link; /* scsi->touched */
	const struct scsi_lu *lu;
	struct scsi_state state;
	struct scsi_snapshot *snapshot; /* the last one on its way to the reactors */
	bool orphan; /* reserved by a nexus of ours that ended with this daemon's former life */
};

static const struct scsi_state untouched = {.holder = SCSI_NO_REGISTRANT};

static struct scsi_book *book_get(struct scsi *scsi, const struct scsi_lu *lu)
{
	struct scsi_book *book = scsi->books[lu->index];

	if (!book) {
		book = calloc(1, sizeof(*book));
		if (!book) {
			/* The other controllers apply this entry: this one must not differ. */
			log_err("out of memory for the reservations of LU %s; the daemon ends so "
				"that the other controller can take over",
				lu->conf->name);
			abort();
		}
		book->lu = lu;
		scsi_state_clear(&book->state);
		qb_list_add_tail(&book->link, &scsi->touched);
		scsi->books[lu->index] = book;
	}
	return book;
}

const struct scsi_state *scsi_ledger_state(const struct scsi *scsi, unsigned lu)
{
	return scsi->books[lu] ? &scsi->books[lu]->state : &untouched;
}

static void book_free(struct scsi_book *book)
{
	qb_list_del(&book->link);
	scsi_state_clear(&book->state);
	scsi_snapshot_free(book->snapshot);
	free(book);
}

void scsi_ledger_forget(struct scsi_lu *lu)
{
	struct scsi_book **books = lu->scsi->books;

	if (books && books[lu->index]) {
		book_free(books[lu->index]);
		books[lu->index] = NULL;
	}
}

static const struct scsi_state *state_of(const struct scsi_lu *lu)
{
	return scsi_ledger_state(lu->scsi, lu->index);
}

static uint64_t epoch_of(const struct scsi_lu *lu)
{
	return lu->scsi->groups[lu->group].epoch;
}

/* ----- the task's way ------------------------------------------------------------------------- */

struct scsi_entry scsi_ledger_entry(const struct scsi_task *task, uint8_t kind)
{
	return (struct scsi_entry){.kind = kind, .serial = task->serial, .who = task->nexus->who};
}

struct cursor scsi_ledger_begin(struct scsi_task *task, size_t bytes)
{
	task->work = buf_get(reactor_buffers(task->reactor), bytes);
	if (!task->work) {
		task->status = SCSI_BUSY;
		return cursor_over(NULL, 0);
	}
	return cursor_over(task->work->data, bytes);
}

/* What scsi_apply() came to, as the command's outcome. */
static void result_set(struct scsi_task *task, enum scsi_result result)
{
	switch (result) {
	case SCSI_RESULT_GOOD:
		return;
	case SCSI_RESULT_CONFLICT:
		task->status = SCSI_RESERVATION_CONFLICT;
		return;
	case SCSI_RESULT_NO_ROOM:
		scsi_set_sense(task, SENSE_REGISTRATION_RESOURCES);
		return;
	case SCSI_RESULT_RELEASE_TYPE:
		scsi_set_sense(task, SENSE_INVALID_RELEASE);
		return;
	case SCSI_RESULT_SPEC_I_PT:
		scsi_set_list_field(task, 20, 3);
		return;
	case SCSI_RESULT_KEY_ZERO:
		scsi_set_list_field(task, 8, -1);
		return;
	case SCSI_RESULT_MOVE_TO_SELF:
		scsi_set_list_field(task, 24, -1);
		return;
	case SCSI_RESULT_NOTHING_TO_MOVE:
		scsi_set_cdb_field(task, 1, 4);
		return;
	case SCSI_RESULT_WRITE_PROTECTED:
		scsi_set_sense(task, SENSE_WRITE_PROTECTED);
		return;
	case SCSI_RESULT_SANITIZING:
	case SCSI_RESULT_SANITIZE_FAILED:
		scsi_sanitize_refuse(task, NULL);
		return;
	case SCSI_RESULT_RESTRICTED:
		scsi_set_cdb_field(task, 1, 5);
		return;
	case SCSI_RESULT_BUSY:
		task->status = SCSI_BUSY;
		return;
	case SCSI_RESULT_MALFORMED:
	case SCSI_RESULT_COUNT:
		break;
	}
	scsi_set_sense(task, SENSE_TARGET_FAILURE);
}

/* On the task's reactor again. */
static void task_back(struct mailbox_msg *msg)
{
	struct scsi_task *task = container_of(msg, struct scsi_task, msg);

	task->in_ledger = false;
	if (task->abort_wanted) {
		scsi_task_finish(task);
		return;
	}
	switch ((enum ledger_outcome)task->ledger_outcome) {
	case LEDGER_DONE:
		log_info("LU %s: %s by %s at port 0x%04x: %s", task->lu->conf->name,
			task->row->name, task->nexus->who.initiator, task->nexus->who.rtpi,
			scsi_result_name((enum scsi_result)task->ledger_result));
		result_set(task, (enum scsi_result)task->ledger_result);
		if (task->row->recorded && task->status == SCSI_GOOD) {
			task->row->recorded(task);
		} else {
			scsi_task_finish(task);
		}
		return;
	case LEDGER_AGAIN:
		scsi_task_requeue_later(task);
		return;
	case LEDGER_FAILED:
		if (task->rerun) {
			scsi_task_requeue_later(
				task); /* its first run may have changed something */
			return;
		}
		task->status = SCSI_BUSY; /* to be tried again: nothing has changed */
		scsi_task_finish(task);
		return;
	}
}

/* Whether changes can be made durable: said when it changes, not for every command. */
static void failing_set(struct scsi *scsi, bool failing)
{
	if (failing && !scsi->ledger_failing) {
		log_err("changes of reservations and mode parameters cannot be made durable in %s: "
			"such commands are answered BUSY until that works",
			scsi->conf->state_dir ? scsi->conf->state_dir : "the state directory");
	} else if (!failing && scsi->ledger_failing) {
		log_notice("changes of reservations and mode parameters can be made durable again");
	}
	scsi->ledger_failing = failing;
}

static void task_done(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	struct scsi_task *task = arg;

	if (outcome != LEDGER_AGAIN) {
		failing_set(task->lu->scsi, outcome == LEDGER_FAILED);
	}
	task->ledger_outcome = (uint8_t)outcome;
	task->ledger_result = result;
	task->msg.fn = task_back;
	reactor_post(task->reactor, &task->msg);
}

void scsi_ledger_submit(const struct scsi_lu *lu, uint64_t epoch, const uint8_t *bytes,
	size_t length, void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result),
	void *arg)
{
	const struct ledger *ledger = lu->scsi->ledger;
	struct ledger_entry entry = {
		.group = lu->group, .epoch = epoch, .bytes = bytes, .length = length};

	if (!ledger) {
		done(arg, LEDGER_FAILED, 0);
		return;
	}
	memcpy(entry.lu, lu->conf->uuid, sizeof(entry.lu));
	ledger->submit(ledger->ctx, &entry, done, arg);
}

/* On the control thread. The task cannot go away: it is running. */
static void task_arrived(struct mailbox_msg *msg)
{
	struct scsi_task *task = container_of(msg, struct scsi_task, msg);

	scsi_ledger_submit(
		task->lu, task->epoch, task->work->data, task->ledger_bytes, task_done, task);
}

void scsi_ledger_send(struct scsi_task *task, const struct cursor *entry)
{
	if (!cursor_ok(entry) || entry->pos > LEDGER_ENTRY_BYTES_MAX) {
		log_err("LU %s: %s from %s needs a larger entry of the ledger than there is",
			task->lu->conf->name, task->row->name, task->nexus->who.initiator);
		scsi_set_sense(task, SENSE_TARGET_FAILURE);
		scsi_task_finish(task);
		return;
	}
	task->ledger_bytes = (uint32_t)entry->pos;
	task->in_ledger = true;
	task->msg.fn = task_arrived;
	mailbox_post(task->nexus->core->scsi->control, &task->msg);
}

void scsi_ledger_record(struct scsi_task *task, const struct scsi_entry *entry, size_t most_bytes)
{
	struct cursor c = scsi_ledger_begin(task, most_bytes);

	if (c.size == 0) {
		scsi_task_finish(task);
		return;
	}
	scsi_entry_put(&c, entry);
	scsi_ledger_send(task, &c);
}

void scsi_ledger_thresholds(const struct scsi_lu *lu, uint8_t reached,
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg)
{
	/* Not a nexus's word but the array's; no nexus can have these names. */
	struct scsi_entry entry = {.kind = SCSI_ENTRY_THRESHOLDS,
		.values = reached,
		.who = {.initiator = "(array)",
			.target = "(array)",
			.controller = lu->scsi->controller,
			.rtpi = (uint16_t)(lu->scsi->controller * 256u)}};
	uint8_t bytes[128];
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	scsi_entry_put(&c, &entry);
	scsi_ledger_submit(lu, epoch_of(lu), bytes, c.pos, done, arg);
}

/* ----- publishing a state --------------------------------------------------------------------- */

struct publication {
	struct qb_list_head link; /* scsi->publications */
	const struct scsi_lu *lu;
	struct scsi_snapshot *snapshot; /* the new one; NULL = as if no entry had touched it */
	struct scsi_snapshot *old; /* nobody uses it any more when all have the new one */
	struct scsi_effects effects;
	bool aborts;
	void (*applied)(void *arg);
	void *arg;
};

static void publication_free(struct publication *publication)
{
	qb_list_del(&publication->link);
	scsi_snapshot_free(publication->old);
	scsi_effects_clear(&publication->effects);
	free(publication);
}

static void published(void *arg)
{
	struct publication *publication = arg;
	const struct scsi_lu *lu = publication->lu;
	void (*applied)(void *arg) = publication->applied;
	void *applied_arg = publication->arg;

	publication_free(publication);
	if (applied) {
		applied(applied_arg);
	}
	scsi_wipe_check(lu->scsi, lu);
}

static void effects_tell(
	struct scsi_core *core, const struct scsi_lu *lu, const struct scsi_effects *effects)
{
	for (unsigned i = 0; i < SCSI_UA_COUNT; i++) {
		if (effects->others_uas & 1u << i) {
			scsi_ua_raise(core, lu, (enum scsi_ua)i, &effects->by);
		}
	}
	for (unsigned i = 0; i < effects->count; i++) {
		scsi_ua_raise_one(core, lu, effects->list[i].uas, &effects->list[i].who);
	}
}

static void publication_swept(struct scsi_sweep *sweep)
{
	scsi_round_part_done(container_of(sweep, struct scsi_round_part, sweep));
}

static void publication_arrived(struct mailbox_msg *msg)
{
	struct scsi_round_part *part = container_of(msg, struct scsi_round_part, msg);
	const struct publication *publication = part->round->what;
	struct scsi_core *core = part->core;
	struct scsi_core_lu *lu = &core->lus[publication->lu->index];

	core->reserved -= lu->snapshot && lu->snapshot->state.reserved;
	core->reserved += publication->snapshot && publication->snapshot->state.reserved;
	lu->snapshot = publication->snapshot;
	scsi_sanitize_check(core);
	effects_tell(core, publication->lu, &publication->effects);
	if (!publication->aborts) {
		scsi_round_part_done(part);
		return;
	}
	part->sweep = (struct scsi_sweep){.core = core,
		.match = {.lu = publication->lu,
			.preempted = &publication->effects,
			.by = &publication->effects.by},
		.done = publication_swept};
	scsi_sweep_start(&part->sweep);
}

/* Takes the effects over. */
static void publish(struct scsi *scsi, const struct scsi_lu *lu, struct scsi_effects *effects,
	void (*applied)(void *arg), void *arg)
{
	struct scsi_book *book = book_get(scsi, lu);
	struct publication *publication = calloc(1, sizeof(*publication));
	struct scsi_round *round;

	if (!publication) {
		log_err("out of memory: cannot tell the reactors about a reservation; the daemon "
			"ends so that the other controller can take over");
		abort();
	}
	publication->lu = lu;
	publication->old = book->snapshot;
	publication->snapshot = scsi_snapshot_new(&book->state, ++scsi->snapshots);
	publication->effects = *effects;
	publication->applied = applied;
	publication->arg = arg;
	*effects = (struct scsi_effects){0};
	for (unsigned i = 0; i < publication->effects.count; i++) {
		publication->aborts |= publication->effects.list[i].abort;
	}
	book->snapshot = publication->snapshot;
	qb_list_add_tail(&publication->link, &scsi->publications);
	round = scsi_round_new(scsi, publication_arrived, published, publication);
	round->what = publication;
	scsi_round_start(round);
}

bool scsi_ledger_is_publishing(const struct scsi *scsi, const struct scsi_lu *lu)
{
	const struct publication *publication;

	qb_list_for_each_entry (publication, &scsi->publications, link) {
		if (publication->lu == lu) {
			return true;
		}
	}
	return false;
}

/* ----- the ledger's functions ----------------------------------------------------------------- */

/* As long as no session has been here, what is reserved by one of ours was so in a former life. */
static void orphan_note(struct scsi_book *book)
{
	const struct scsi *scsi = book->lu->scsi;

	if (!atomic_load_explicit(&scsi->had_nexus, memory_order_relaxed)) {
		book->orphan =
			book->state.reserved && book->state.reserver.controller == scsi->controller;
	}
	book->orphan = book->orphan && book->state.reserved;
}

static uint32_t ledger_apply(void *ctx, const struct ledger_entry *entry, uint64_t index,
	void (*applied)(void *arg), void *arg)
{
	struct scsi *scsi = ctx;
	struct scsi_lu *lu = scsi_lu_by_uuid(scsi, entry->lu);
	struct scsi_effects effects = {0};
	enum scsi_result result;

	if (!lu) {
		applied(arg);
		return 0;
	}
	result = scsi_apply(&book_get(scsi, lu)->state, entry->bytes, entry->length, &effects);
	orphan_note(book_get(scsi, lu));
	if (result == SCSI_RESULT_MALFORMED) {
		log_err("LU %s: entry %llu of the ledger (%zu bytes) cannot be read: is the other "
			"controller's version newer?",
			lu->conf->name, (unsigned long long)index, entry->length);
	}
	log_debug("LU %s: entry %llu of the ledger: %s%s", lu->conf->name,
		(unsigned long long)index, scsi_result_name(result),
		effects.changed ? ", changed" : "");
	if (effects.changed) {
		publish(scsi, lu, &effects, applied, arg);
	} else {
		applied(arg);
	}
	scsi_effects_clear(&effects);
	return result;
}

static int ledger_save(void *ctx, const uint8_t lu[16], uint8_t *bytes, size_t size)
{
	const struct scsi *scsi = ctx;
	const struct scsi_lu *unit = scsi_lu_by_uuid(scsi, lu);

	return unit ? scsi_state_put(state_of(unit), bytes, size) : 0;
}

/*
 * The other controller's history counts, and what it did while this one was out of reach is not
 * known one by one: whoever is not registered any more may have been preempted, with abort.
 */
static void registrations_lost(
	const struct scsi_state *was, const struct scsi_state *now, struct scsi_effects *effects)
{
	for (unsigned i = 0; i < was->count; i++) {
		if (scsi_state_find(now, &was->registrants[i].who) == SCSI_NO_REGISTRANT) {
			scsi_effects_add(effects, &was->registrants[i].who,
				1u << SCSI_UA_REGISTRATIONS_PREEMPTED, true);
		}
	}
}

static int ledger_load(
	void *ctx, const uint8_t lu[16], const uint8_t *bytes, size_t length, bool cold)
{
	struct scsi *scsi = ctx;
	const struct scsi_lu *unit = scsi_lu_by_uuid(scsi, lu);
	struct scsi_state state = {.holder = SCSI_NO_REGISTRANT};
	struct scsi_effects effects = {0};
	int err = scsi_state_get(&state, bytes, length);

	if (err < 0 || !unit) {
		scsi_state_clear(&state);
		return err;
	}
	if (cold) {
		scsi_state_cool(&state);
	}
	if (!scsi->books[unit->index] && scsi_state_is_clear(&state)) {
		scsi_state_clear(&state);
		return 0; /* as it is */
	}
	if (!cold) {
		registrations_lost(&book_get(scsi, unit)->state, &state, &effects);
	}
	scsi_state_clear(&book_get(scsi, unit)->state);
	book_get(scsi, unit)->state = state;
	orphan_note(book_get(scsi, unit));
	publish(scsi, unit, &effects, NULL, NULL);
	return 0;
}

static bool ledger_lu(void *ctx, unsigned i, uint8_t uuid[16])
{
	const struct scsi *scsi = ctx;
	const struct scsi_map *map = scsi->map;

	if (i >= map->lu_count) {
		return false;
	}
	memcpy(uuid, scsi->lus[map->order[i]].conf->uuid, 16);
	return true;
}

static bool ledger_awaits_peer(void *ctx)
{
	const struct scsi *scsi = ctx;

	for (unsigned i = 0; i < scsi->group_count; i++) {
		if (scsi->groups[i].awaits_peer) {
			return true;
		}
	}
	return false;
}

const struct ledger_serve *scsi_ledger_serve(struct scsi *scsi)
{
	return &scsi->ledger_serve;
}

/* ----- resets and lost nexuses ---------------------------------------------------------------- */

struct unreserve {
	struct qb_list_head link; /* scsi->unreserves, from when it is on the control thread */
	struct mailbox_msg msg;
	struct scsi_core *core; /* where done() runs */
	const struct scsi_lu *lu;
	struct scsi_identity who; /* of a lost nexus */
	bool reset;
	bool tell;
	bool waits; /* for a view */
	uint64_t epoch; /* under which it was submitted */
	void (*done)(void *arg);
	void *arg;
};

static void unreserve_back(struct mailbox_msg *msg)
{
	struct unreserve *un = container_of(msg, struct unreserve, msg);

	un->done(un->arg);
	free(un);
}

static void unreserve_end(struct unreserve *un)
{
	qb_list_del(&un->link);
	if (un->done) {
		un->msg.fn = unreserve_back;
		reactor_post(un->core->reactor, &un->msg);
	} else {
		free(un);
	}
}

static void unreserve_submit(struct unreserve *un);

static void unreserve_done(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	struct unreserve *un = arg;

	switch (outcome) {
	case LEDGER_DONE:
		unreserve_end(un);
		return;
	case LEDGER_AGAIN:
		/* The next view decides, if it has not come already. */
		un->waits = true;
		if (epoch_of(un->lu) != un->epoch) {
			unreserve_submit(un);
		}
		return;
	case LEDGER_FAILED:
		log_warning("LU %s: its reservation by %s was to end and stays: it cannot be made "
			    "durable",
			un->lu->conf->name, state_of(un->lu)->reserver.initiator);
		unreserve_end(un);
		return;
	}
}

static void unreserve_submit(struct unreserve *un)
{
	const struct scsi_state *state = state_of(un->lu);
	struct scsi_entry entry = {.kind = SCSI_ENTRY_UNRESERVE,
		.flags = (uint8_t)((un->reset ? SCSI_ENTRY_ANYONE : 0) |
				   (un->tell ? SCSI_ENTRY_TELL : 0)),
		.who = un->who};
	uint8_t bytes[1024];
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	un->waits = false;
	if (un->reset ? !state->reserved && state->mode == state->saved_mode
		      : !state->reserved || !scsi_identity_equal(&state->reserver, &un->who)) {
		unreserve_end(un); /* nothing to do */
		return;
	}
	scsi_entry_put(&c, &entry);
	un->epoch = epoch_of(un->lu);
	scsi_ledger_submit(un->lu, un->epoch, bytes, c.pos, unreserve_done, un);
}

static void unreserve_start(struct unreserve *un)
{
	qb_list_add_tail(&un->link, &un->lu->scsi->unreserves);
	unreserve_submit(un);
}

static void unreserve_arrived(struct mailbox_msg *msg)
{
	unreserve_start(container_of(msg, struct unreserve, msg));
}

static struct unreserve *unreserve_new(const struct scsi_lu *lu, const struct scsi_identity *who)
{
	struct unreserve *un = calloc(1, sizeof(*un));

	if (un) {
		qb_list_init(&un->link);
		un->lu = lu;
		un->who = *who;
	}
	return un;
}

bool scsi_unreserve(struct scsi_core *core, const struct scsi_lu *lu,
	const struct scsi_identity *who, bool reset, void (*done)(void *arg), void *arg)
{
	struct unreserve *un = unreserve_new(lu, who);

	if (!un) {
		return false;
	}
	un->core = core;
	un->reset = reset;
	un->done = done;
	un->arg = arg;
	un->msg.fn = unreserve_arrived;
	mailbox_post(core->scsi->control, &un->msg);
	return true;
}

void scsi_nexus_unreserve(struct scsi_nexus *nexus)
{
	const struct scsi_target *target = nexus->target;

	for (unsigned i = 0; nexus->core->reserved && i < target->unit_count; i++) {
		const struct scsi_lu *lu = &nexus->core->scsi->lus[target->units[i].lu];
		const struct scsi_snapshot *snapshot = nexus->core->lus[lu->index].snapshot;

		if (snapshot && snapshot->state.reserved &&
			scsi_identity_equal(&snapshot->state.reserver, &nexus->who) &&
			!scsi_unreserve(nexus->core, lu, &nexus->who, false, NULL, NULL)) {
			log_err("LU %s: out of memory; the reservation by %s stays although its "
				"session has ended",
				lu->conf->name, nexus->who.initiator);
		}
	}
}

/*
 * The owner ends what nexuses of a controller that is gone had reserved. One that is only out of
 * reach may live and win: then its nexus would go on as the holder, and not be told that others had
 * been let in meanwhile. So it keeps it until it has been fenced. One that is back before anybody
 * has taken its groups over ends itself what its nexuses had.
 */
static void lost_unreserve(struct scsi_book *book, const struct group_view *view)
{
	const struct scsi_state *state = &book->state;
	const struct scsi_lu *lu = book->lu;
	bool gone = view->access == GROUP_LOCAL && state->reserved &&
		    view->tpg[state->reserver.controller] == ALUA_UNAVAILABLE;
	struct unreserve *un;

	if (gone && view->unproven) {
		lu->scsi->groups[view->group].awaits_peer = true;
		gone = false;
	}
	gone = gone || (view->access != GROUP_HELD && book->orphan);
	if (!state->reserved || !gone) {
		return;
	}
	un = unreserve_new(lu, &state->reserver);
	if (un) {
		log_notice("LU %s: reserved by %s, whose session ended with its controller: the "
			   "reservation ends",
			lu->conf->name, state->reserver.initiator);
		book->orphan = false;
		un->tell = true; /* should the controller only be cut off */
		unreserve_start(un);
	}
}

void scsi_ledger_view(struct scsi *scsi, const struct group_view *view)
{
	struct qb_list_head *at, *next;

	scsi->groups[view->group].epoch = view->epoch;
	scsi->groups[view->group].local = view->access == GROUP_LOCAL;
	scsi->groups[view->group].awaits_peer = false;
	qb_list_for_each_safe (at, next, &scsi->unreserves) {
		struct unreserve *un = qb_list_entry(at, struct unreserve, link);

		if (un->waits && un->lu->group == view->group) {
			unreserve_submit(un);
		}
	}
	qb_list_for_each_safe (at, next, &scsi->touched) {
		struct scsi_book *book = qb_list_entry(at, struct scsi_book, link);

		if (book->lu->group == view->group) {
			lost_unreserve(book, view);
			scsi_wipe_check(scsi, book->lu);
		}
	}
}

/* ----- making and ending ---------------------------------------------------------------------- */

int scsi_ledger_init(struct scsi *scsi)
{
	scsi->books = calloc(CONF_EXTENTS_MAX, sizeof(struct scsi_book *));
	if (!scsi->books) {
		return -ENOMEM;
	}
	scsi->ledger_serve = (struct ledger_serve){
		.ctx = scsi,
		.apply = ledger_apply,
		.save = ledger_save,
		.load = ledger_load,
		.lu = ledger_lu,
		.awaits_peer = ledger_awaits_peer,
	};
	return 0;
}

void scsi_ledger_end(struct scsi *scsi)
{
	while (!qb_list_empty(&scsi->publications)) {
		publication_free(
			qb_list_first_entry(&scsi->publications, struct publication, link));
	}
	while (!qb_list_empty(&scsi->unreserves)) {
		struct unreserve *un =
			qb_list_first_entry(&scsi->unreserves, struct unreserve, link);

		qb_list_del(&un->link);
		free(un);
	}
	while (!qb_list_empty(&scsi->touched)) {
		book_free(qb_list_first_entry(&scsi->touched, struct scsi_book, link));
	}
	free(scsi->books);
	scsi->books = NULL;
}
