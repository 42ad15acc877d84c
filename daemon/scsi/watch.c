/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread chooses and judges; it has no timer here and cannot wait for a file system, so
 * reactor 0 keeps the time and carries the questions (EXTENT_SPACE, which the store answers from a
 * thread of its own), many at a time: a thread for each LU would keep a daemon busy that has
 * nothing to do. An LU that is asked about is pinned. A question that hangs keeps its batch's
 * place: the others go on in what is left of them.
 */
#include "daemon/scsi/watch.h"
#include "daemon/scsi/commands.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/threshold.h"
#include "yoke/log.h"
#include "yoke/util.h"

struct watch_question {
	struct watch_ask *ask;
	struct scsi_lu *lu;
	struct extent_io io;
	int res;
	struct mailbox_msg msg;
	uint8_t before, reached; /* what was told, what is being told */
};

struct watch_ask {
	struct scsi_watch *watch;
	struct mailbox_msg msg;
	unsigned count; /* of questions; they are the reactor's from here to their answers */
	unsigned open; /* those that are not over; 0 = free */
	struct watch_question questions[SCSI_WATCH_BATCH];
};

struct scsi_watch {
	struct scsi *scsi;
	struct reactor_timer timer; /* reactor 0's */
	struct mailbox_msg msg; /* from the timer and back to it */
	unsigned next; /* place in the map's order */
	unsigned left; /* of this period */
	struct watch_ask *asks[SCSI_WATCH_ASKS];
};

/* ----- control thread ------------------------------------------------------------------------- */

static void watch_go(struct scsi_watch *watch);

static void question_end(struct watch_question *question)
{
	struct watch_ask *ask = question->ask;

	question->lu->space.asked = false;
	scsi_lu_unpin(question->lu);
	if (--ask->open == 0) {
		watch_go(ask->watch);
	}
}

static void thresholds_log(const struct scsi_lu *lu, uint8_t before, uint8_t now)
{
	for (unsigned i = 0; i < SCSI_THRESHOLDS; i++) {
		const char *name = scsi_threshold_name((enum scsi_threshold)i);

		if (now & ~before & 1u << i) {
			log_warning(
				"extent %s: the threshold %s is reached: %llu bytes are %s; free "
				"or add storage",
				lu->conf->name, name,
				(unsigned long long)(i == SCSI_THRESHOLD_USED
							     ? lu->space.used_bytes
							     : lu->space.free_bytes),
				i == SCSI_THRESHOLD_USED ? "used" : "left");
		} else if (before & ~now & 1u << i) {
			log_notice("extent %s: the threshold %s is not reached any more",
				lu->conf->name, name);
		}
	}
}

static void thresholds_told(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	struct watch_question *question = arg;

	/* What could not be told is found again in the next period. */
	if (outcome == LEDGER_DONE) {
		thresholds_log(question->lu, question->before, question->reached);
	}
	question_end(question);
}

static void thresholds_check(struct watch_question *question)
{
	struct scsi_lu *lu = question->lu;

	question->before = scsi_ledger_state(lu->scsi, lu->index)->reached;
	question->reached = scsi_thresholds_judge(lu, &lu->space, question->before);
	if (question->reached == question->before || scsi_lu_is_gone(lu) ||
		!lu->scsi->groups[lu->group].claimed) {
		question_end(question);
		return;
	}
	scsi_ledger_thresholds(lu, question->reached, thresholds_told, question);
}

static void question_told(struct mailbox_msg *msg)
{
	struct watch_question *question = container_of(msg, struct watch_question, msg);
	struct scsi_space *space = &question->lu->space;

	if (question->res < 0) {
		question_end(question);
		return;
	}
	space->used_bytes = question->io.used_bytes;
	space->free_bytes = question->io.free_bytes;
	space->total_bytes = question->io.total_bytes;
	thresholds_check(question);
}

/* ----- reactor 0 ------------------------------------------------------------------------------ */

static void question_done(struct extent_io *io, int res)
{
	struct watch_question *question = container_of(io, struct watch_question, io);

	question->res = res;
	question->msg.fn = question_told;
	mailbox_post(question->ask->watch->scsi->control, &question->msg);
}

static void ask_submit(struct mailbox_msg *msg)
{
	struct watch_ask *ask = container_of(msg, struct watch_ask, msg);
	struct reactor *r = ask->watch->scsi->cores[0].reactor;
	struct extent *extents[SCSI_WATCH_BATCH];
	struct extent_io *ios[SCSI_WATCH_BATCH];
	unsigned count = ask->count;

	for (unsigned i = 0; i < count; i++) {
		struct watch_question *question = &ask->questions[i];

		question->io = (struct extent_io){.op = EXTENT_SPACE, .done = question_done};
		extents[i] = question->lu->extent;
		ios[i] = &question->io;
	}
	/* With the last answer the whole is the control thread's again. */
	extent_ask(extents, ios, count, r);
}

/* ----- control thread: a period --------------------------------------------------------------- */

/* The next LU whose store can tell; NULL when there is none in this period. */
static struct scsi_lu *lu_next(struct scsi_watch *watch)
{
	const struct scsi_map *map = watch->scsi->map;

	while (watch->left && map->lu_count) {
		struct scsi_lu *lu;

		watch->left--;
		lu = &watch->scsi->lus[map->order[watch->next++ % map->lu_count]];
		if (scsi_threshold_available(lu, SCSI_THRESHOLD_USED) && !scsi_lu_is_gone(lu) &&
			!lu->space.asked) {
			return lu;
		}
	}
	return NULL;
}

static void ask_fill(struct watch_ask *ask)
{
	struct scsi_lu *lu;

	ask->count = 0;
	while (ask->count < SCSI_WATCH_BATCH && (lu = lu_next(ask->watch))) {
		struct watch_question *question = &ask->questions[ask->count++];

		lu->pins++;
		lu->space.asked = true;
		question->ask = ask;
		question->lu = lu;
	}
	ask->open = ask->count;
}

static void watch_go(struct scsi_watch *watch)
{
	for (unsigned i = 0; i < SCSI_WATCH_ASKS; i++) {
		struct watch_ask *ask = watch->asks[i];

		if (ask->open) {
			continue;
		}
		ask_fill(ask);
		if (ask->count) {
			ask->msg.fn = ask_submit;
			reactor_post(watch->scsi->cores[0].reactor, &ask->msg);
		}
	}
}

void scsi_watch_pass(struct scsi_watch *watch)
{
	unsigned count = watch->scsi->map->lu_count;

	watch->left = count < SCSI_WATCH_LUS ? count : SCSI_WATCH_LUS;
	watch_go(watch);
}

static void watch_fired(struct reactor_timer *timer);

static void watch_wind(struct mailbox_msg *msg)
{
	struct scsi_watch *watch = container_of(msg, struct scsi_watch, msg);

	if (reactor_timer_set(watch->scsi->cores[0].reactor, &watch->timer, SCSI_WATCH_PERIOD_MS) <
		0) {
		log_err("out of memory: the storage that thin LUs use is not watched any more");
	}
}

static void watch_period(struct mailbox_msg *msg)
{
	struct scsi_watch *watch = container_of(msg, struct scsi_watch, msg);

	scsi_watch_pass(watch);
	watch->msg.fn = watch_wind;
	reactor_post(watch->scsi->cores[0].reactor, &watch->msg);
}

static void watch_fired(struct reactor_timer *timer)
{
	struct scsi_watch *watch = container_of(timer, struct scsi_watch, timer);

	watch->msg.fn = watch_period;
	mailbox_post(watch->scsi->control, &watch->msg);
}

/* ----- making and ending ---------------------------------------------------------------------- */

struct scsi_watch *scsi_watch_new(struct scsi *scsi)
{
	struct scsi_watch *watch = calloc(1, sizeof(*watch));

	if (!watch) {
		return NULL;
	}
	watch->scsi = scsi;
	watch->timer.fired = watch_fired;
	for (unsigned i = 0; i < SCSI_WATCH_ASKS; i++) {
		watch->asks[i] = calloc(1, sizeof(*watch->asks[i]));
		if (!watch->asks[i]) {
			scsi_watch_free(watch);
			return NULL;
		}
		watch->asks[i]->watch = watch;
	}
	watch_wind(&watch->msg);
	return watch;
}

void scsi_watch_free(struct scsi_watch *watch)
{
	if (!watch) {
		return;
	}
	reactor_timer_cancel(watch->scsi->cores[0].reactor, &watch->timer);
	for (unsigned i = 0; i < SCSI_WATCH_ASKS; i++) {
		/* The store's thread may still write to one that hangs: that one is left to it. */
		if (watch->asks[i] && !watch->asks[i]->open) {
			free(watch->asks[i]);
		}
	}
	free(watch);
}
