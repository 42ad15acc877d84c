/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The right to write, for all extents of a group: taken on the control thread, which has no timer
 * of its own here, so reactor 0 keeps the time between attempts. It also carries the flushes.
 */
#include <errno.h>
#include <time.h>
#include <string.h>

#include "daemon/scsi/group.h"
#include "daemon/scsi/intent.h"
#include "daemon/scsi/lu.h"
#include "yoke/log.h"
#include "yoke/util.h"

struct scsi_claim {
	struct scsi *scsi;
	uint16_t group;
	uint64_t epoch;
	uint64_t deadline_ms;
	void (*done)(void *arg, int err);
	void *arg;
	struct mailbox_msg msg;
	struct reactor_timer timer;
	unsigned pauses;
	bool added; /* one LU of a group whose right to write is here already */
	unsigned count;
	struct {
		uint16_t lu; /* index */
		bool claimed;
	} lus[]; /* those of the group when it began */
};

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void extents_release(struct scsi *scsi, const struct scsi_group *group)
{
	for (unsigned i = 0; i < group->lu_count; i++) {
		extent_release(scsi->lus[group->lus[i]].extent);
	}
}

static void claim_end(struct scsi_claim *claim, int err)
{
	struct scsi_group *group = &claim->scsi->groups[claim->group];
	void (*done)(void *arg, int err) = claim->done;
	void *arg = claim->arg;

	if (err && claim->added) {
		if (!scsi_lu_is_gone(&claim->scsi->lus[claim->lus[0].lu])) {
			extent_release(claim->scsi->lus[claim->lus[0].lu].extent);
		}
	} else if (err) {
		/* Those too that have begun to be claimed. */
		extents_release(claim->scsi, group);
		group->claimed = false;
	}
	free(claim);
	if (done) {
		done(arg, err);
	}
}

/*
 * Claims one LU; 0, -EAGAIN or another negative errno. One that was well when it was last looked at
 * is not looked at again: hosts wait, and there may be thousands.
 */
static int claim_one(struct scsi_claim *claim, struct scsi_lu *lu)
{
	int err = extent_claim(lu->extent, claim->scsi->controller, claim->epoch);

	if (err == 0 && lu->sick) {
		err = extent_check(lu->extent);
		if (err) {
			extent_release(lu->extent);
		}
	}
	return err;
}

static void claim_pause(struct mailbox_msg *msg);

static void claim_failed(struct scsi_claim *claim, const struct scsi_lu *lu, int err)
{
	log_err("extent %s: cannot be claimed for group %s under epoch %llu: %s; %s",
		lu->conf->name, claim->scsi->conf->groups[claim->group].name,
		(unsigned long long)claim->epoch, strerror(-err),
		err == -EAGAIN ? "another process holds it (see which with lslocks), or the disk "
				 "does not answer"
			       : "check the path and the device");
	claim_end(claim, err == -EAGAIN ? -ETIMEDOUT : err);
}

/* Nothing is half written any more. */
static void claim_settled(void *arg, int err)
{
	claim_end(arg, err);
}

/* All that are missing are asked in each pass: the disks work on their keys at the same time. */
static void claim_step(struct scsi_claim *claim)
{
	const struct scsi_group *group = &claim->scsi->groups[claim->group];
	const struct scsi_lu *missing = NULL;

	if (claim->added && (!group->claimed || group->claim_epoch != claim->epoch)) {
		claim_end(claim, -ECANCELED); /* the group has moved on */
		return;
	}
	for (unsigned i = 0; i < claim->count; i++) {
		struct scsi_lu *lu = &claim->scsi->lus[claim->lus[i].lu];
		int err = claim->lus[i].claimed || scsi_lu_is_gone(lu) ? 0 : claim_one(claim, lu);

		if (err == -EAGAIN) {
			missing = lu;
		} else if (err) {
			claim_failed(claim, lu, err);
			return;
		} else {
			claim->lus[i].claimed = true;
		}
	}
	if (!missing && claim->added) {
		claim_end(claim, 0);
	} else if (!missing) {
		scsi_intents_settle(claim->scsi, claim->group, claim->epoch, claim_settled, claim);
	} else if (monotonic_ms() < claim->deadline_ms) {
		claim->msg.fn = claim_pause;
		reactor_post(claim->scsi->cores[0].reactor, &claim->msg);
	} else {
		claim_failed(claim, missing, -EAGAIN);
	}
}

static void claim_resume(struct mailbox_msg *msg)
{
	claim_step(container_of(msg, struct scsi_claim, msg));
}

static void claim_timer_fired(struct reactor_timer *timer)
{
	struct scsi_claim *claim = container_of(timer, struct scsi_claim, timer);

	claim->msg.fn = claim_resume;
	mailbox_post(claim->scsi->control, &claim->msg);
}

/* On reactor 0. */
static void claim_pause(struct mailbox_msg *msg)
{
	struct scsi_claim *claim = container_of(msg, struct scsi_claim, msg);
	unsigned ms;

	/* What another is just letting go, or a disk answers at once, is worth a look soon. */
	ms = claim->pauses++ < SCSI_CLAIM_QUICK ? 1 : SCSI_CLAIM_PAUSE_MS;
	claim->timer.fired = claim_timer_fired;
	if (reactor_timer_set(claim->scsi->cores[0].reactor, &claim->timer, ms)) {
		claim_timer_fired(&claim->timer);
	}
}

static struct scsi_claim *claim_new(
	struct scsi *scsi, uint16_t group, uint64_t epoch, unsigned count, unsigned timeout_ms)
{
	struct scsi_claim *claim = calloc(1, sizeof(*claim) + count * sizeof(claim->lus[0]));

	if (claim) {
		claim->scsi = scsi;
		claim->group = group;
		claim->epoch = epoch;
		claim->count = count;
		claim->deadline_ms = monotonic_ms() + timeout_ms;
	}
	return claim;
}

void scsi_claim(void *ctx, uint16_t group, uint64_t epoch, unsigned timeout_ms,
	void (*done)(void *arg, int err), void *arg)
{
	struct scsi *scsi = ctx;
	struct scsi_group *g = &scsi->groups[group];
	struct scsi_claim *claim = claim_new(scsi, group, epoch, g->lu_count, timeout_ms);

	if (!claim) {
		done(arg, -ENOMEM);
		return;
	}
	for (unsigned i = 0; i < claim->count; i++) {
		claim->lus[i].lu = g->lus[i];
	}
	g->claimed = true;
	g->claim_epoch = epoch;
	claim->done = done;
	claim->arg = arg;
	claim_step(claim);
}

void scsi_lock(void *ctx, uint16_t group)
{
	struct scsi *scsi = ctx;
	const struct scsi_group *g = &scsi->groups[group];

	/* What cannot be locked now is found out, and told, by the claim. */
	for (unsigned i = 0; i < g->lu_count; i++) {
		(void)extent_lock(scsi->lus[g->lus[i]].extent);
	}
}

void scsi_unlock(void *ctx, uint16_t group)
{
	struct scsi *scsi = ctx;

	if (!scsi->groups[group].claimed) {
		extents_release(scsi, &scsi->groups[group]);
	}
}

void scsi_claim_added(struct scsi *scsi, uint16_t lu)
{
	const struct scsi_group *group = &scsi->groups[scsi->lus[lu].group];
	struct scsi_claim *claim =
		claim_new(scsi, scsi->lus[lu].group, group->claim_epoch, 1, SCSI_CLAIM_ADDED_MS);

	if (!claim) {
		log_err("extent %s: out of memory to claim it", scsi->lus[lu].conf->name);
		return;
	}
	claim->added = true;
	claim->lus[0].lu = lu;
	claim_step(claim);
}

/* Commands are in the store, and none has come out for a while. */
static bool lu_hangs(struct scsi *scsi, struct scsi_lu *lu)
{
	struct scsi_progress *progress = &lu->progress;
	uint64_t left, entered, now_ms = monotonic_ms();
	bool hangs;

	scsi_store_count(lu, &entered, &left);
	if (entered == left || left != progress->left) {
		progress->left = left;
		progress->since_ms = now_ms;
	}
	hangs = now_ms - progress->since_ms >= SCSI_HANGS_MS;
	if (hangs != progress->hangs) {
		progress->hangs = hangs;
		if (hangs) {
			log_err("extent %s: its store has completed nothing for %d s, with %llu "
				"commands in it: it hangs at this controller; check the disk and "
				"the way to it",
				lu->conf->name, SCSI_HANGS_MS / 1000,
				(unsigned long long)(entered - left));
		} else {
			log_notice("extent %s: its store completes commands again", lu->conf->name);
		}
	}
	return hangs;
}

/*
 * Asked four times a second: a group of thousands is looked at in turns, so that the control thread
 * has time for a move. A sick one is known within a second for each thousand.
 */
bool scsi_healthy(void *ctx, uint16_t group)
{
	struct scsi *scsi = ctx;
	struct scsi_group *g = &scsi->groups[group];

	for (unsigned i = 0; i < g->lu_count && i < SCSI_LOOKS; i++) {
		struct scsi_lu *lu = &scsi->lus[g->lus[g->next_look++ % g->lu_count]];
		bool sick = lu_hangs(scsi, lu) || extent_check(lu->extent);

		if (sick != lu->sick) {
			lu->sick = sick;
			g->sick += sick ? 1 : -1u;
		}
	}
	return g->sick == 0;
}

bool scsi_key_lost(void *ctx, uint16_t group)
{
	const struct scsi *scsi = ctx;
	const struct scsi_group *g = &scsi->groups[group];

	for (unsigned i = 0; i < g->lu_count; i++) {
		if (extent_write_key(scsi->lus[g->lus[i]].extent) == EXTENT_WRITE_KEY_LOST) {
			return true;
		}
	}
	return false;
}

/* ----- release ------------------------------------------------------------------------------- */

struct release_flush {
	struct extent_io io;
	struct scsi_release *release;
	struct scsi_lu *lu;
};

struct scsi_release {
	struct scsi *scsi;
	uint16_t group;
	unsigned left;
	int err;
	void (*done)(void *arg, int err);
	void *arg;
	struct mailbox_msg msg;
	unsigned count;
	struct release_flush flushes[]; /* of the LUs that the group has had at the start */
};

/*
 * On the control thread. Whoever waits is told before the locks are let go, since he needs longer
 * to come for the first than it takes to let the last of thousands go.
 */
static void release_end(struct mailbox_msg *msg)
{
	struct scsi_release *release = container_of(msg, struct scsi_release, msg);
	const struct scsi_group *group = &release->scsi->groups[release->group];

	for (unsigned i = 0; i < release->count; i++) {
		scsi_lu_unpin(release->flushes[i].lu);
	}
	release->done(release->arg, release->err);
	if (!group->claimed) { /* again, by done() */
		extents_release(release->scsi, group);
	}
	free(release);
}

static void release_left_lower(struct scsi_release *release)
{
	if (--release->left == 0) {
		release->msg.fn = release_end;
		mailbox_post(release->scsi->control, &release->msg);
	}
}

static void flushed(struct extent_io *io, int res)
{
	struct release_flush *flush = container_of(io, struct release_flush, io);

	if (res < 0) {
		log_err("extent %s: flush before giving up group %s failed: %s; writes that were "
			"acknowledged may be lost",
			flush->lu->conf->name,
			flush->release->scsi->conf->groups[flush->release->group].name,
			strerror(-res));
		flush->release->err = res;
	}
	release_left_lower(flush->release);
}

/* On reactor 0. */
static void release_flush_all(struct mailbox_msg *msg)
{
	struct scsi_release *release = container_of(msg, struct scsi_release, msg);

	release->left = 1;
	for (unsigned i = 0; i < release->count; i++) {
		struct release_flush *flush = &release->flushes[i];

		flush->release = release;
		flush->io.op = EXTENT_FLUSH;
		flush->io.done = flushed;
		release->left++;
		extent_submit(flush->lu->extent, release->scsi->cores[0].reactor, &flush->io);
	}
	release_left_lower(release);
}

void scsi_release(void *ctx, uint16_t group, void (*done)(void *arg, int err), void *arg)
{
	struct scsi *scsi = ctx;
	struct scsi_group *g = &scsi->groups[group];
	struct scsi_release *release =
		calloc(1, sizeof(*release) + g->lu_count * sizeof(release->flushes[0]));

	if (!release) {
		done(arg, -ENOMEM);
		return;
	}
	for (unsigned i = 0; i < g->lu_count; i++) {
		struct scsi_lu *lu = &scsi->lus[g->lus[i]];

		if (lu->info.volatile_cache && !lu->conf->read_only) {
			lu->pins++;
			release->flushes[release->count++].lu = lu;
		}
	}
	g->claimed = false;
	release->scsi = scsi;
	release->group = group;
	release->done = done;
	release->arg = arg;
	release->msg.fn = release_flush_all;
	reactor_post(scsi->cores[0].reactor, &release->msg);
}
