/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The right to write, for all extents of a group: taken on the control thread, which has no timer
 * of its own here, so reactor 0 keeps the time between attempts. It also carries the flushes.
 */
#include <errno.h>
#include <time.h>
#include <string.h>

#include "daemon/scsi/group.h"
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
	bool claimed[]; /* by position in the group's LUs */
};

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void claim_end(struct scsi_claim *claim, int err)
{
	const struct scsi_group *group = &claim->scsi->groups[claim->group];
	void (*done)(void *arg, int err) = claim->done;
	void *arg = claim->arg;

	/* Those too that have begun to be claimed. */
	for (unsigned i = 0; err && i < group->lu_count; i++) {
		extent_release(claim->scsi->lus[group->lus[i]].extent);
	}
	free(claim);
	done(arg, err);
}

/* Claims one LU; 0, -EAGAIN or another negative errno. */
static int claim_one(struct scsi_claim *claim, struct scsi_lu *lu)
{
	int err = extent_claim(lu->extent, claim->scsi->controller, claim->epoch);

	if (err == 0) {
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

/* All that are missing are asked in each pass: the disks work on their keys at the same time. */
static void claim_step(struct scsi_claim *claim)
{
	const struct scsi_group *group = &claim->scsi->groups[claim->group];
	const struct scsi_lu *missing = NULL;

	for (unsigned i = 0; i < group->lu_count; i++) {
		struct scsi_lu *lu = &claim->scsi->lus[group->lus[i]];
		int err = claim->claimed[i] ? 0 : claim_one(claim, lu);

		if (err == -EAGAIN) {
			missing = lu;
		} else if (err) {
			claim_failed(claim, lu, err);
			return;
		} else {
			claim->claimed[i] = true;
		}
	}
	if (!missing) {
		claim_end(claim, 0);
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

	claim->timer.fired = claim_timer_fired;
	if (reactor_timer_set(claim->scsi->cores[0].reactor, &claim->timer, SCSI_CLAIM_PAUSE_MS)) {
		claim_timer_fired(&claim->timer);
	}
}

void scsi_claim(void *ctx, uint16_t group, uint64_t epoch, unsigned timeout_ms,
	void (*done)(void *arg, int err), void *arg)
{
	struct scsi *scsi = ctx;
	struct scsi_claim *claim = calloc(
		1, sizeof(*claim) + scsi->groups[group].lu_count * sizeof(claim->claimed[0]));

	if (!claim) {
		done(arg, -ENOMEM);
		return;
	}
	claim->scsi = scsi;
	claim->group = group;
	claim->epoch = epoch;
	claim->deadline_ms = monotonic_ms() + timeout_ms;
	claim->done = done;
	claim->arg = arg;
	claim_step(claim);
}

/* Commands are in the store, and none has come out for a while. */
static bool lu_hangs(struct scsi *scsi, struct scsi_lu *lu)
{
	struct scsi_progress *progress = &lu->progress;
	uint64_t left = 0, entered = 0, now_ms = monotonic_ms();
	bool hangs;

	for (unsigned i = 0; i < scsi->core_count; i++) {
		left += atomic_load_explicit(
			&scsi->cores[i].lus[lu->index].left, memory_order_acquire);
	}
	for (unsigned i = 0; i < scsi->core_count; i++) {
		entered += atomic_load_explicit(
			&scsi->cores[i].lus[lu->index].entered, memory_order_relaxed);
	}
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

bool scsi_healthy(void *ctx, uint16_t group)
{
	struct scsi *scsi = ctx;
	const struct scsi_group *g = &scsi->groups[group];
	bool healthy = true;

	for (unsigned i = 0; i < g->lu_count; i++) {
		struct scsi_lu *lu = &scsi->lus[g->lus[i]];

		if (lu_hangs(scsi, lu) || extent_check(lu->extent)) {
			healthy = false;
		}
	}
	return healthy;
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
	const struct scsi_lu *lu;
};

struct scsi_release {
	struct scsi *scsi;
	uint16_t group;
	unsigned left;
	int err;
	void (*done)(void *arg, int err);
	void *arg;
	struct mailbox_msg msg;
	struct release_flush flushes[];
};

/* On the control thread. */
static void release_end(struct mailbox_msg *msg)
{
	struct scsi_release *release = container_of(msg, struct scsi_release, msg);
	const struct scsi_group *group = &release->scsi->groups[release->group];

	for (unsigned i = 0; i < group->lu_count; i++) {
		extent_release(release->scsi->lus[group->lus[i]].extent);
	}
	release->done(release->arg, release->err);
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
	struct scsi *scsi = release->scsi;
	const struct scsi_group *group = &scsi->groups[release->group];

	release->left = 1;
	for (unsigned i = 0; i < group->lu_count; i++) {
		struct scsi_lu *lu = &scsi->lus[group->lus[i]];
		struct release_flush *flush = &release->flushes[i];

		if (!lu->info.volatile_cache || lu->conf->read_only) {
			continue;
		}
		flush->release = release;
		flush->lu = lu;
		flush->io.op = EXTENT_FLUSH;
		flush->io.done = flushed;
		release->left++;
		extent_submit(lu->extent, scsi->cores[0].reactor, &flush->io);
	}
	release_left_lower(release);
}

void scsi_release(void *ctx, uint16_t group, void (*done)(void *arg, int err), void *arg)
{
	struct scsi *scsi = ctx;
	unsigned count = scsi->groups[group].lu_count;
	struct scsi_release *release =
		calloc(1, sizeof(*release) + count * sizeof(release->flushes[0]));

	if (!release) {
		done(arg, -ENOMEM);
		return;
	}
	release->scsi = scsi;
	release->group = group;
	release->done = done;
	release->arg = arg;
	release->msg.fn = release_flush_all;
	reactor_post(scsi->cores[0].reactor, &release->msg);
}
