/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A changed configuration while commands run. It is prepared beside what runs (extents opened,
 * files extended, a new map made) and then put in place at once:
 *
 *  1 scsi->conf and scsi->map are the new ones, removed LUs are `gone`, grown ones have their size.
 *    Whoever looks something up from here on finds the new.
 *  2 A round to every reactor: nexuses get their target in the new map, unit attentions are raised,
 *    what waited for a removed LUN is answered. When it is back nobody uses the old map and the old
 *    configuration any more: no reactor keeps a pointer to them beyond the message or pass that it
 *    looked them up in, except for the nexuses, which have been moved.
 *  3 For each removed LU a round that every reactor answers when the last task that names it has
 *    left; then an empty one, so that messages about it between reactors have come in, too. Then
 *    its extent is closed. The slot and the LU's names stay as they are until the slot is used
 *    again, which is as late as possible: a copy or a token that still names it finds it `gone`.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/scsi/group.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/place.h"
#include "daemon/scsi/round.h"
#include "daemon/scsi/tasks.h"
#include "daemon/scsi/threshold.h"
#include "yoke/log.h"
#include "yoke/util.h"

struct change_grown {
	uint16_t lu;
	uint64_t bytes;
};

struct scsi_change {
	struct scsi *scsi;
	const struct conf *conf;
	struct scsi_map *map; /* the new one; after it is in place, the old one */
	uint16_t *slot_of; /* by extent of conf */
	uint16_t *added, *removed;
	unsigned added_count, removed_count;
	struct change_grown *grown;
	unsigned grown_count;
	uint16_t *moded; /* LUs whose mode parameters are others */
	unsigned moded_count;
	void (*done)(void *arg);
	void *arg;
};

/* ----- preparing ------------------------------------------------------------------------------ */

static struct scsi_lu *slot_take(struct scsi *scsi)
{
	for (unsigned i = 0; i < CONF_EXTENTS_MAX; i++) {
		struct scsi_lu *lu = &scsi->lus[(scsi->next_slot + i) % CONF_EXTENTS_MAX];

		if (!lu->extent) {
			scsi->next_slot = (unsigned)(lu - scsi->lus) + 1;
			return lu;
		}
	}
	return NULL;
}

/* An LU that stays: only its size may change, and only grow. */
static int change_keep(struct scsi_change *change, struct scsi_lu *lu,
	const struct conf_extent *conf, char *error, size_t error_size)
{
	uint64_t bytes = conf->size_bytes, now = lu->blocks << lu->block_shift;

	if (!bytes || bytes == now) {
		return 0;
	}
	if (bytes < now) {
		snprintf(error, error_size,
			"extent %s: size %llu is less than the %llu bytes that hosts see; an "
			"extent can only grow",
			conf->name, (unsigned long long)bytes, (unsigned long long)now);
		return -EINVAL;
	}
	if (extent_extend(lu->extent, bytes, error, error_size) < 0) {
		return -EINVAL;
	}
	change->grown[change->grown_count++] = (struct change_grown){lu->index, bytes};
	return 0;
}

bool scsi_change_grow(struct scsi_change *change, const char *extent, uint64_t bytes, char *error,
	size_t error_size)
{
	for (unsigned i = 0; i < change->conf->extent_count; i++) {
		struct scsi_lu *lu = &change->scsi->lus[change->slot_of[i]];
		struct conf_extent to = change->conf->extents[i];

		if (strcmp(to.name, extent) == 0) {
			to.size_bytes = bytes;
			return change_keep(change, lu, &to, error, error_size) == 0;
		}
	}
	snprintf(error, error_size, "there is no extent %s", extent);
	return false;
}

static int change_add(struct scsi_change *change, const struct conf_extent *conf, uint16_t *slot,
	char *error, size_t error_size)
{
	struct scsi_lu *lu = slot_take(change->scsi);

	if (!lu) {
		snprintf(error, error_size,
			"extent %s: there is no room for it until removed ones are closed; wait "
			"for their last commands and try again",
			conf->name);
		return -ENOSPC;
	}
	*slot = (uint16_t)(lu - change->scsi->lus);
	change->added[change->added_count++] = *slot;
	return scsi_lu_open(change->scsi, lu, conf, error, error_size);
}

static int change_extents(struct scsi_change *change, char *error, size_t error_size)
{
	struct scsi *scsi = change->scsi;
	const struct conf *conf = change->conf;
	int err = 0;

	for (unsigned i = 0; !err && i < conf->extent_count; i++) {
		const struct conf_extent *extent = &conf->extents[i];
		struct scsi_lu *lu = scsi_lu_by_uuid(scsi, extent->uuid);

		if (lu && strcmp(lu->conf->name, extent->name) == 0) {
			change->slot_of[i] = lu->index;
			err = change_keep(change, lu, extent, error, error_size);
		} else if (lu) {
			snprintf(error, error_size,
				"extent %s: has the uuid of extent %s; to rename an extent, "
				"remove it with one reload and add it with the next",
				extent->name, lu->conf->name);
			err = -EEXIST;
		} else {
			err = change_add(change, extent, &change->slot_of[i], error, error_size);
		}
	}
	return err;
}

static int change_removed(struct scsi_change *change, char *error, size_t error_size)
{
	const struct scsi *scsi = change->scsi;
	const struct scsi_map *map = scsi->map;
	bool *kept = calloc(CONF_EXTENTS_MAX, sizeof(*kept));

	if (!kept) {
		snprintf(error, error_size, "out of memory for the change");
		return -ENOMEM;
	}
	for (unsigned i = 0; i < change->conf->extent_count; i++) {
		kept[change->slot_of[i]] = true;
	}
	for (unsigned i = 0; i < map->lu_count; i++) {
		if (!kept[map->order[i]]) {
			change->removed[change->removed_count++] = map->order[i];
		}
	}
	free(kept);
	for (unsigned i = 0; i < change->added_count; i++) {
		const struct conf_extent *added = scsi->lus[change->added[i]].conf;

		for (unsigned k = 0; added->path && k < change->removed_count; k++) {
			const struct conf_extent *old = scsi->lus[change->removed[k]].conf;

			if (old->path && strcmp(old->path, added->path) == 0) {
				snprintf(error, error_size,
					"extent %s: %s is that of extent %s, which goes; remove it "
					"with one reload and add this one with the next",
					added->name, added->path, old->name);
				return -EEXIST;
			}
		}
	}
	return 0;
}

static void change_free(struct scsi_change *change)
{
	free(change->slot_of);
	free(change->added);
	free(change->removed);
	free(change->grown);
	free(change->moded);
	free(change);
}

struct scsi_change *scsi_change_new(
	struct scsi *scsi, const struct conf *conf, char *error, size_t error_size)
{
	struct scsi_change *change = calloc(1, sizeof(*change));
	unsigned room = conf->extent_count + 2u; /* and one that scsi_change_grow() adds */

	snprintf(error, error_size, "out of memory for the change");
	if (!change) {
		return NULL;
	}
	change->scsi = scsi;
	change->conf = conf;
	change->slot_of = calloc(room, sizeof(*change->slot_of));
	change->added = calloc(room, sizeof(*change->added));
	change->grown = calloc(room, sizeof(*change->grown));
	change->moded = calloc(room, sizeof(*change->moded));
	change->removed = calloc(CONF_EXTENTS_MAX, sizeof(*change->removed));
	if (change->slot_of && change->added && change->grown && change->moded && change->removed &&
		change_extents(change, error, error_size) == 0 &&
		change_removed(change, error, error_size) == 0) {
		change->map = scsi_map_new(scsi, conf, change->slot_of, error, error_size);
	}
	if (!change->map) {
		scsi_change_drop(change);
		return NULL;
	}
	return change;
}

void scsi_change_drop(struct scsi_change *change)
{
	if (!change) {
		return;
	}
	for (unsigned i = 0; change->added && i < change->added_count; i++) {
		scsi_lu_close(&change->scsi->lus[change->added[i]]);
	}
	scsi_map_free(change->map);
	change_free(change);
}

void scsi_change_forget(struct scsi *scsi)
{
	if (scsi->change) {
		scsi_map_free(scsi->change->map);
		change_free(scsi->change);
		scsi->change = NULL;
	}
}

/* ----- step 3: removed LUs -------------------------------------------------------------------- */

/* The names stay for those who still have its index. */
static void lu_left(void *arg)
{
	scsi_ledger_forget(arg);
	scsi_lu_shut(arg);
}

static void nothing_arrived(struct mailbox_msg *msg)
{
	scsi_round_part_done(container_of(msg, struct scsi_round_part, msg));
}

static void lu_is_unused(void *arg)
{
	const struct scsi_lu *lu = arg;

	scsi_round_start(scsi_round_new(lu->scsi, nothing_arrived, lu_left, arg));
}

void scsi_lu_leave_check(struct scsi_core *core, const struct scsi_lu *lu)
{
	struct scsi_core_lu *own = &core->lus[lu->index];
	struct scsi_round_part *part = own->leaving;

	if (part && qb_list_empty(&own->tasks) && qb_list_empty(&own->guards)) {
		own->leaving = NULL;
		scsi_round_part_done(part);
	}
}

static void leaving_arrived(struct mailbox_msg *msg)
{
	struct scsi_round_part *part = container_of(msg, struct scsi_round_part, msg);
	const struct scsi_lu *lu = part->round->what;

	scsi_place_settle(part->core);
	part->core->lus[lu->index].leaving = part;
	scsi_lu_leave_check(part->core, lu);
}

static void lu_leave(struct scsi *scsi, uint16_t lu)
{
	struct scsi_round *round =
		scsi_round_new(scsi, leaving_arrived, lu_is_unused, &scsi->lus[lu]);

	round->what = &scsi->lus[lu];
	scsi_round_start(round);
}

/* ----- step 2: every reactor ------------------------------------------------------------------ */

static void nexuses_retarget(struct scsi_core *core, const struct scsi_map *map)
{
	struct qb_list_head *pos, *next;
	struct scsi_nexus *nexus;

	qb_list_for_each_safe (pos, next, &core->nexuses) {
		nexus = qb_list_entry(pos, struct scsi_nexus, link);
		nexus->pins++;
		scsi_nexus_retarget(nexus, map);
		nexus->pins--;
		scsi_nexus_task_gone(nexus);
	}
	for (unsigned i = 0; i < SCSI_PEER_BUCKETS; i++) {
		qb_list_for_each_entry (nexus, &core->peers[i], link) {
			scsi_nexus_retarget(nexus, map);
		}
	}
}

static void change_arrived(struct mailbox_msg *msg)
{
	struct scsi_round_part *part = container_of(msg, struct scsi_round_part, msg);
	const struct scsi_change *change = part->round->what;
	struct scsi_core *core = part->core;
	struct scsi *scsi = core->scsi;

	nexuses_retarget(core, atomic_load_explicit(&scsi->map, memory_order_acquire));
	for (unsigned i = 0; i < change->grown_count; i++) {
		scsi_ua_raise(
			core, &scsi->lus[change->grown[i].lu], SCSI_UA_CAPACITY_CHANGED, NULL);
	}
	for (unsigned i = 0; i < change->moded_count; i++) {
		scsi_ua_raise(core, &scsi->lus[change->moded[i]], SCSI_UA_MODE_CHANGED, NULL);
	}
	for (unsigned i = 0; i < change->removed_count; i++) {
		scsi_tasks_refuse(core, &(struct scsi_match){.lu = &scsi->lus[change->removed[i]]});
	}
	scsi_round_part_done(part);
}

static void change_taken(void *arg)
{
	struct scsi_change *change = arg;

	change->scsi->change = NULL;
	for (unsigned i = 0; i < change->removed_count; i++) {
		lu_leave(change->scsi, change->removed[i]);
	}
	scsi_map_free(change->map);
	change->done(change->arg);
	change_free(change);
}

/* ----- step 1 --------------------------------------------------------------------------------- */

/* Only the owner writes: what it has opened just now it claims. */
static void change_claim(struct scsi_change *change)
{
	struct scsi *scsi = change->scsi;

	for (unsigned i = 0; i < change->added_count; i++) {
		const struct scsi_lu *lu = &scsi->lus[change->added[i]];

		if (scsi->groups[lu->group].claimed) {
			scsi_claim_added(scsi, lu->index);
		}
	}
}

static void change_sizes(struct scsi_change *change)
{
	for (unsigned i = 0; i < change->grown_count; i++) {
		const struct change_grown *grown = &change->grown[i];
		struct scsi_lu *lu = &change->scsi->lus[grown->lu];

		extent_extended(lu->extent, grown->bytes);
		lu->info.size_bytes = grown->bytes;
		atomic_store_explicit(
			&lu->blocks, grown->bytes >> lu->block_shift, memory_order_relaxed);
		log_notice("extent %s: has grown to %llu bytes", lu->conf->name,
			(unsigned long long)grown->bytes);
	}
}

/* Thresholds are mode parameters (page 1Ch/02h), and a percentage is one of the size. */
static void change_thresholds(struct scsi_change *change)
{
	for (unsigned i = 0; i < change->conf->extent_count; i++) {
		struct scsi_lu *lu = &change->scsi->lus[change->slot_of[i]];

		if (scsi_thresholds_set(lu, &change->conf->extents[i])) {
			change->moded[change->moded_count++] = lu->index;
		}
	}
}

void scsi_change_apply(struct scsi_change *change, void (*done)(void *arg), void *arg)
{
	struct scsi *scsi = change->scsi;
	struct scsi_map *old = atomic_load_explicit(&scsi->map, memory_order_relaxed);
	struct scsi_round *round;

	scsi->change = change;
	change->done = done;
	change->arg = arg;
	for (unsigned i = 0; i < change->added_count; i++) {
		for (unsigned k = 0; k < scsi->core_count; k++) {
			/* Nobody knows the slot yet; the round below makes it known. */
			scsi_core_lu_init(&scsi->cores[k], change->added[i]);
		}
	}
	for (unsigned i = 0; i < change->removed_count; i++) {
		atomic_store_explicit(
			&scsi->lus[change->removed[i]].gone, true, memory_order_relaxed);
	}
	change_sizes(change);
	change_thresholds(change);
	atomic_store_explicit(&scsi->conf, change->conf, memory_order_release);
	atomic_store_explicit(&scsi->map, change->map, memory_order_release);
	change->map = old;
	scsi_groups_fill(scsi);
	change_claim(change);
	round = scsi_round_new(scsi, change_arrived, change_taken, change);
	round->what = change;
	scsi_round_start(round);
}
