/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The work of a sanitize operation, at the owner: piece by piece, each counted in its group like a
 * command, so that a move waits for one piece and no more. It begins when every command that came
 * before has left the store; the gate lets no other in meanwhile. Overwriting writes each block in
 * every pass, past any cache. Erasing writes zeros where the extent has storage (so that they, and
 * not the old data, are in what is given back), then gives all storage back.
 *
 * The control thread starts it and makes its entries; all else happens on one reactor.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/scsi/group.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/sanitize.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define PIECE_BYTES	(1u << 20) /* written at a time */
#define ERASE_BYTES	(64u << 20) /* looked at, or given back, at a time */
#define PAUSE_MS	5 /* until something that passes is looked at again */
#define REPORT_MS	2000 /* from one entry about the progress to the next */
#define REPORT_PAUSE_MS 500 /* until an entry is tried again */
#define ENTRY_BYTES	1024

enum wipe_step {
	WIPE_DRAINING, /* waits for older commands */
	WIPE_READY, /* for the next piece */
	WIPE_BUSY, /* with one */
	WIPE_REPORTING,
};

struct scsi_wipe {
	struct qb_list_head link; /* scsi->wipes */
	struct scsi *scsi;
	struct scsi_lu *lu;
	struct scsi_core *core;
	uint64_t epoch;
	struct scsi_sanitize what; /* pass and bytes: where the work is */
	struct mailbox_msg msg; /* between the control thread and the reactor */
	struct reactor_timer timer;
	struct reactor_defer defer;
	struct extent_io io;
	struct iovec iov;
	struct buf *buf;
	int filled; /* the pass whose pattern is in buf; -1 = none */
	uint8_t step;
	uint8_t says; /* enum scsi_wiped, when it reports */
	uint8_t outcome; /* enum ledger_outcome of the report */
	bool flushed;
	int res; /* of the piece */
	uint64_t began_ms; /* the piece */
	uint64_t reported_ms;
};

/* ----- its end -------------------------------------------------------------------------------- */

/* On the control thread. Whoever owns the LU now goes on. */
static void ended(struct mailbox_msg *msg)
{
	struct scsi_wipe *wipe = container_of(msg, struct scsi_wipe, msg);
	struct scsi *scsi = wipe->scsi;
	struct scsi_lu *lu = wipe->lu;

	qb_list_del(&wipe->link);
	free(wipe);
	if (!scsi_lu_is_gone(lu)) {
		scsi_wipe_check(scsi, lu);
	}
	scsi_lu_unpin(lu);
}

static void wipe_end(struct scsi_wipe *wipe)
{
	buf_put(reactor_buffers(wipe->core->reactor), wipe->buf);
	wipe->buf = NULL;
	wipe->msg.fn = ended;
	mailbox_post(wipe->scsi->control, &wipe->msg);
}

/* Looks again after a while. */
static void wipe_pause(struct scsi_wipe *wipe, uint64_t ms)
{
	if (reactor_timer_set(wipe->core->reactor, &wipe->timer, ms)) {
		reactor_defer(wipe->core->reactor, &wipe->defer);
	}
}

/* ----- reports -------------------------------------------------------------------------------- */

static void reported(struct mailbox_msg *msg)
{
	struct scsi_wipe *wipe = container_of(msg, struct scsi_wipe, msg);

	wipe->reported_ms = reactor_now_ms(wipe->core->reactor);
	if (wipe->says == SCSI_WIPED_SO_FAR) {
		wipe->step = WIPE_READY; /* if it did not get through: the next one will */
		reactor_defer(wipe->core->reactor, &wipe->defer);
	} else if (wipe->outcome == LEDGER_DONE) {
		wipe_end(wipe);
	} else {
		wipe_pause(wipe, REPORT_PAUSE_MS);
	}
}

static void report_done(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	struct scsi_wipe *wipe = arg;

	wipe->outcome = (uint8_t)outcome;
	wipe->msg.fn = reported;
	reactor_post(wipe->core->reactor, &wipe->msg);
}

/* On the control thread. */
static void report_submit(struct mailbox_msg *msg)
{
	struct scsi_wipe *wipe = container_of(msg, struct scsi_wipe, msg);
	struct scsi_entry entry = {.kind = SCSI_ENTRY_WIPED,
		.action = wipe->says,
		.sanitize = {.id = wipe->what.id,
			.pass = wipe->what.pass,
			.bytes = wipe->what.bytes},
		.who = {.controller = wipe->scsi->controller,
			.rtpi = (uint16_t)(wipe->scsi->controller << 8),
			.initiator = "sanitize",
			.target = "sanitize"}};
	uint8_t bytes[ENTRY_BYTES];
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	scsi_entry_put(&c, &entry);
	scsi_ledger_submit(wipe->lu, wipe->epoch, bytes, c.pos, report_done, wipe);
}

static void report(struct scsi_wipe *wipe, enum scsi_wiped says)
{
	wipe->step = WIPE_REPORTING;
	wipe->says = (uint8_t)says;
	wipe->msg.fn = report_submit;
	mailbox_post(wipe->scsi->control, &wipe->msg);
}

/* ----- pieces --------------------------------------------------------------------------------- */

static struct scsi_core_group *group_of(const struct scsi_wipe *wipe)
{
	return &wipe->core->groups[wipe->lu->group];
}

static void piece_done(struct extent_io *io, int res)
{
	struct scsi_wipe *wipe = container_of(io, struct scsi_wipe, io);
	struct scsi_core_group *group = group_of(wipe);

	/* An error while the group moves is the move's, not the medium's (invariant I7). */
	wipe->res = res < 0 && group->view.access != GROUP_LOCAL ? -EAGAIN : res;
	group->in_store--;
	scsi_count(&wipe->core->lus[wipe->lu->index].left, 1);
	scsi_drains_check(group);
	/* At the end of the pass: others get their turn, and nothing calls itself. */
	reactor_defer(wipe->core->reactor, &wipe->defer);
}

static void piece_submit(
	struct scsi_wipe *wipe, enum extent_op op, uint8_t *data, uint64_t length_bytes)
{
	wipe->step = WIPE_BUSY;
	wipe->began_ms = reactor_now_ms(wipe->core->reactor);
	wipe->iov = (struct iovec){.iov_base = data, .iov_len = data ? length_bytes : 0};
	wipe->io.op = op;
	wipe->io.fua = op == EXTENT_WRITE || op == EXTENT_UNMAP;
	wipe->io.offset_bytes = wipe->what.bytes;
	wipe->io.length_bytes = length_bytes;
	wipe->io.iov = &wipe->iov;
	wipe->io.iov_count = data ? 1 : 0;
	wipe->io.done = piece_done;
	group_of(wipe)->in_store++;
	scsi_count(&wipe->core->lus[wipe->lu->index].entered, 1);
	extent_submit(wipe->lu->extent, wipe->core->reactor, &wipe->io);
}

/* Fills the buffer with what this pass writes: the last one writes the pattern as it is. */
static void pattern_fill(struct scsi_wipe *wipe)
{
	const struct scsi_sanitize *what = &wipe->what;
	uint8_t flip = what->invert && (what->passes - what->pass) % 2 == 0 ? 0xff : 0;
	uint8_t *to = wipe->buf->data;

	if (wipe->filled == what->pass) {
		return;
	}
	wipe->filled = what->pass;
	if (!what->pattern_length) {
		memset(to, 0, PIECE_BYTES);
		return;
	}
	for (uint32_t at = 0; at < PIECE_BYTES; at++) {
		/* Each block begins with the pattern's first byte. */
		to[at] = what->pattern[at % wipe->lu->block_size % what->pattern_length] ^ flip;
	}
}

static uint64_t size_of(const struct scsi_wipe *wipe)
{
	return wipe->lu->blocks << wipe->lu->block_shift;
}

static void piece_write(struct scsi_wipe *wipe, uint64_t most)
{
	if (!wipe->buf) {
		wipe->buf = buf_get(reactor_buffers(wipe->core->reactor), PIECE_BYTES);
		if (!wipe->buf) {
			wipe_pause(wipe, PAUSE_MS);
			return;
		}
	}
	pattern_fill(wipe);
	piece_submit(wipe, EXTENT_WRITE, wipe->buf->data, most < PIECE_BYTES ? most : PIECE_BYTES);
}

static void piece_next(struct scsi_wipe *wipe)
{
	struct scsi_sanitize *what = &wipe->what;
	uint64_t left = what->bytes < size_of(wipe) ? size_of(wipe) - what->bytes : 0;
	uint64_t most = left < ERASE_BYTES ? left : ERASE_BYTES;

	if (left == 0 && what->pass + 1 < what->passes) {
		what->pass++;
		what->bytes = 0;
		reactor_defer(wipe->core->reactor, &wipe->defer);
	} else if (left == 0 && !wipe->flushed) {
		piece_submit(wipe, EXTENT_FLUSH, NULL, 0);
	} else if (left == 0) {
		report(wipe, SCSI_WIPED_ALL);
	} else if (reactor_now_ms(wipe->core->reactor) - wipe->reported_ms >= REPORT_MS) {
		report(wipe, SCSI_WIPED_SO_FAR);
	} else if (what->method == SCSI_SANITIZE_OVERWRITE) {
		piece_write(wipe, left);
	} else if (what->pass == 0) {
		piece_submit(wipe, EXTENT_MAP, NULL, most);
	} else {
		piece_submit(wipe, EXTENT_UNMAP, NULL, most);
	}
}

/* The store was asked what the range has: skips what it has not, writes zeros to what it has. */
static void piece_mapped(struct scsi_wipe *wipe)
{
	uint64_t run = wipe->io.run_bytes & ~(uint64_t)(wipe->lu->block_size - 1);

	if (wipe->res < 0 || wipe->io.mapped || run == 0) {
		run = wipe->io.mapped && wipe->res == 0 ? run + wipe->lu->block_size : PIECE_BYTES;
		piece_write(wipe, run < wipe->io.length_bytes ? run : wipe->io.length_bytes);
		return;
	}
	wipe->what.bytes += run < wipe->io.length_bytes ? run : wipe->io.length_bytes;
	reactor_defer(wipe->core->reactor, &wipe->defer);
}

/* How long until the next piece, so that sanitize_rate is kept. */
static uint64_t rest_ms(const struct scsi_wipe *wipe)
{
	const struct conf *conf = wipe->scsi->conf;
	uint64_t spent = reactor_now_ms(wipe->core->reactor) - wipe->began_ms;
	uint64_t due;

	if (wipe->io.op != EXTENT_WRITE || conf->sanitize_bytes == 0) {
		return 0;
	}
	due = wipe->io.length_bytes * 1000 / conf->sanitize_bytes;
	return due > spent ? due - spent : 0;
}

/* A piece has come back, and this controller is still the owner. */
static void piece_judge(struct scsi_wipe *wipe)
{
	struct scsi_core_group *group = group_of(wipe);
	int res = wipe->res;

	wipe->step = WIPE_READY;
	if (wipe->io.op == EXTENT_MAP) {
		piece_mapped(wipe);
		return;
	}
	if (res == -EBADE) {
		group->lost_epoch = group->view.epoch; /* not the owner any more, the disk says */
	}
	if (res == -EBADE || res == -ENOMEM || res == -EAGAIN) {
		wipe_pause(wipe, PAUSE_MS);
		return;
	}
	if (res < 0) {
		log_err("LU %s: sanitize failed at byte %llu of pass %u: %s; it answers no command "
			"until it has been sanitized%s",
			wipe->lu->conf->name, (unsigned long long)wipe->what.bytes,
			wipe->what.pass + 1u, strerror(-res),
			wipe->what.unrestricted ? " or SANITIZE with EXIT FAILURE MODE has come"
						: "");
		report(wipe, SCSI_WIPED_FAILED);
		return;
	}
	if (wipe->io.op == EXTENT_FLUSH) {
		wipe->flushed = true;
	} else {
		wipe->what.bytes += wipe->io.length_bytes;
	}
	if (rest_ms(wipe)) {
		wipe_pause(wipe, rest_ms(wipe));
	} else {
		reactor_defer(wipe->core->reactor, &wipe->defer);
	}
}

/* ----- steps ---------------------------------------------------------------------------------- */

/* Every step begins here. */
static void wipe_step(struct scsi_wipe *wipe)
{
	const struct scsi_core_group *group = group_of(wipe);
	uint64_t entered, left;

	if (group->view.epoch != wipe->epoch || group->view.access == GROUP_REMOTE ||
		scsi_lu_is_gone(wipe->lu)) {
		wipe_end(wipe); /* what the last piece did does not count */
		return;
	}
	if (group->view.access == GROUP_HELD || !scsi_lease_holds(wipe->core) ||
		group->lost_epoch == wipe->epoch) {
		wipe_pause(wipe, PAUSE_MS);
		return;
	}
	switch ((enum wipe_step)wipe->step) {
	case WIPE_DRAINING:
		scsi_store_count(wipe->lu, &entered, &left);
		if (entered != left) {
			wipe_pause(wipe, PAUSE_MS);
			return;
		}
		wipe->step = WIPE_READY;
		piece_next(wipe);
		return;
	case WIPE_READY:
		piece_next(wipe);
		return;
	case WIPE_BUSY:
		piece_judge(wipe);
		return;
	case WIPE_REPORTING:
		report(wipe, (enum scsi_wiped)wipe->says);
		return;
	}
}

static void wipe_deferred(struct reactor_defer *defer)
{
	wipe_step(container_of(defer, struct scsi_wipe, defer));
}

static void wipe_timer_fired(struct reactor_timer *timer)
{
	wipe_step(container_of(timer, struct scsi_wipe, timer));
}

static void wipe_arrived(struct mailbox_msg *msg)
{
	struct scsi_wipe *wipe = container_of(msg, struct scsi_wipe, msg);

	wipe->reported_ms = reactor_now_ms(wipe->core->reactor);
	wipe_step(wipe);
}

/* ----- control thread ------------------------------------------------------------------------- */

static bool is_wiped(const struct scsi *scsi, const struct scsi_lu *lu)
{
	const struct scsi_wipe *wipe;

	qb_list_for_each_entry (wipe, &scsi->wipes, link) {
		if (wipe->lu == lu) {
			return true;
		}
	}
	return false;
}

void scsi_wipe_check(struct scsi *scsi, const struct scsi_lu *lu)
{
	const struct scsi_sanitize *what = scsi_ledger_state(scsi, lu->index)->sanitize;
	struct scsi_wipe *wipe;

	/* Until every reactor knows the state, commands may still begin. */
	if (!what || what->phase != SCSI_SANITIZE_RUNNING || !scsi->groups[lu->group].local ||
		scsi_lu_is_gone(lu) || scsi_ledger_is_publishing(scsi, lu) || is_wiped(scsi, lu)) {
		return;
	}
	wipe = calloc(1, sizeof(*wipe));
	if (!wipe) {
		log_err("LU %s: out of memory to sanitize it; that goes on when its group moves or "
			"the daemon is started again",
			lu->conf->name);
		return;
	}
	log_notice("LU %s: sanitize (%s) goes on here from byte %llu of pass %u of %u",
		lu->conf->name, what->method == SCSI_SANITIZE_OVERWRITE ? "overwrite" : "erase",
		(unsigned long long)what->bytes, what->pass + 1u, what->passes);
	wipe->scsi = scsi;
	wipe->lu = &scsi->lus[lu->index];
	wipe->lu->pins++;
	wipe->core = &scsi->cores[lu->index % scsi->core_count];
	wipe->epoch = scsi->groups[lu->group].epoch;
	wipe->what = *what;
	wipe->filled = -1;
	wipe->step = WIPE_DRAINING;
	wipe->timer.fired = wipe_timer_fired;
	wipe->defer.fn = wipe_deferred;
	qb_list_add_tail(&wipe->link, &scsi->wipes);
	wipe->msg.fn = wipe_arrived;
	reactor_post(wipe->core->reactor, &wipe->msg);
}

void scsi_wipes_free(struct scsi *scsi)
{
	while (!qb_list_empty(&scsi->wipes)) {
		struct scsi_wipe *wipe = qb_list_first_entry(&scsi->wipes, struct scsi_wipe, link);

		qb_list_del(&wipe->link);
		reactor_timer_cancel(wipe->core->reactor, &wipe->timer);
		reactor_defer_cancel(wipe->core->reactor, &wipe->defer);
		buf_put(reactor_buffers(wipe->core->reactor), wipe->buf);
		free(wipe);
	}
}
