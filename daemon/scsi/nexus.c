/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "daemon/scsi/copy.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

static const struct {
	const char *name;
	enum scsi_sense sense;
	uint32_t covers; /* told with it: these need not be told any more */
} uas[SCSI_UA_COUNT] = {
	[SCSI_UA_POWER_ON] = {"power on", SENSE_UA_POWER_ON_OR_RESET,
		1u << SCSI_UA_LU_RESET | 1u << SCSI_UA_COMMANDS_CLEARED |
			1u << SCSI_UA_COMMANDS_LOST | 1u << SCSI_UA_MODE_CHANGED |
			1u << SCSI_UA_ALUA_CHANGED | 1u << SCSI_UA_CAPACITY_CHANGED},
	[SCSI_UA_LU_RESET] = {"LU reset", SENSE_UA_LU_RESET,
		1u << SCSI_UA_COMMANDS_CLEARED | 1u << SCSI_UA_COMMANDS_LOST},
	[SCSI_UA_COMMANDS_CLEARED] = {"commands cleared", SENSE_UA_COMMANDS_CLEARED, 0},
	[SCSI_UA_COMMANDS_LOST] = {"commands lost", SENSE_UA_COMMANDS_LOST, 0},
	[SCSI_UA_RESERVATIONS_PREEMPTED] = {"reservations preempted",
		SENSE_UA_RESERVATIONS_PREEMPTED, 0},
	[SCSI_UA_RESERVATIONS_RELEASED] = {"reservations released", SENSE_UA_RESERVATIONS_RELEASED,
		0},
	[SCSI_UA_REGISTRATIONS_PREEMPTED] = {"registrations preempted",
		SENSE_UA_REGISTRATIONS_PREEMPTED, 0},
	[SCSI_UA_MODE_CHANGED] = {"mode parameters changed", SENSE_UA_MODE_CHANGED, 0},
	[SCSI_UA_LOG_CHANGED] = {"log parameters changed", SENSE_UA_LOG_CHANGED, 0},
	[SCSI_UA_IDENTIFIER_CHANGED] = {"device identifier changed", SENSE_UA_IDENTIFIER_CHANGED,
		0},
	[SCSI_UA_ALUA_CHANGED] = {"ALUA state changed", SENSE_UA_ALUA_CHANGED, 0},
	[SCSI_UA_CAPACITY_CHANGED] = {"capacity changed", SENSE_UA_CAPACITY_CHANGED, 0},
	[SCSI_UA_THRESHOLD_REACHED] = {"soft threshold reached", SENSE_UA_THRESHOLD_REACHED, 0},
	[SCSI_UA_LUNS_CHANGED] = {"reported LUNs changed", SENSE_UA_LUNS_CHANGED, 0},
};

const char *scsi_ua_name(enum scsi_ua ua)
{
	return (unsigned)ua < SCSI_UA_COUNT ? uas[ua].name : "unknown";
}

static uint32_t ua_pending(const struct scsi_nexus *nexus, const struct scsi_itl *itl)
{
	uint32_t pending = itl->pending;

	if (nexus->core->groups[itl->lu->group].changed > itl->seen) {
		pending |= 1u << SCSI_UA_ALUA_CHANGED;
	}
	if (nexus->luns_changed) {
		pending |= 1u << SCSI_UA_LUNS_CHANGED;
	}
	return pending;
}

bool scsi_ua_is_pending(const struct scsi_nexus *nexus, const struct scsi_itl *itl)
{
	return ua_pending(nexus, itl) != 0;
}

enum scsi_sense scsi_ua_take(struct scsi_nexus *nexus, struct scsi_itl *itl)
{
	uint32_t pending = ua_pending(nexus, itl);
	enum scsi_ua ua;

	if (!pending) {
		return SENSE_NONE;
	}
	/*
	 * Two unit attentions in a row make Linux's RTPG wait for 2 s. 29/00 makes it read the
	 * table as 2A/06 does, so a reset and a changed table are told together as 29/00. Not so
	 * what became of reservations: no other unit attention says that.
	 */
	if (pending & 1u << SCSI_UA_ALUA_CHANGED &&
		pending & uas[SCSI_UA_POWER_ON].covers & ~(1u << SCSI_UA_ALUA_CHANGED)) {
		pending |= 1u << SCSI_UA_POWER_ON;
	}
	ua = (enum scsi_ua)__builtin_ctz(pending);
	pending &= ~(uas[ua].covers | 1u << ua);
	if (!(pending & 1u << SCSI_UA_ALUA_CHANGED)) {
		itl->seen = nexus->core->changes;
	}
	nexus->luns_changed = pending & 1u << SCSI_UA_LUNS_CHANGED;
	itl->pending = pending & ~(1u << SCSI_UA_ALUA_CHANGED | 1u << SCSI_UA_LUNS_CHANGED);
	return uas[ua].sense;
}

unsigned scsi_ua_peek(struct scsi_nexus *nexus, const struct scsi_itl *itl, enum scsi_sense *sense)
{
	struct scsi_itl copy = *itl;
	enum scsi_sense next;
	unsigned n = 0;

	while ((next = scsi_ua_take(nexus, &copy)) != SENSE_NONE) {
		if (n++ == 0) {
			*sense = next;
		}
	}
	return n;
}

void scsi_ua_raise(struct scsi_core *core, const struct scsi_lu *lu, enum scsi_ua ua,
	const struct scsi_identity *but)
{
	struct scsi_itl *itl;

	/* An I_T_L nexus that is not made yet begins with "power on", which covers the rest. */
	qb_list_for_each_entry (itl, &core->lus[lu->index].itls, link) {
		if (!but || !scsi_identity_equal(&itl->nexus->who, but)) {
			itl->pending |= 1u << ua;
		}
	}
}

void scsi_ua_raise_one(struct scsi_core *core, const struct scsi_lu *lu, uint32_t bits,
	const struct scsi_identity *who)
{
	struct scsi_itl *itl;

	/* Its port may be the other controller's, adopted: who->controller does not tell where it
	 * is. */
	if (!bits) {
		return;
	}
	qb_list_for_each_entry (itl, &core->lus[lu->index].itls, link) {
		if (scsi_identity_equal(&itl->nexus->who, who)) {
			itl->pending |= bits;
		}
	}
}

struct scsi_itl *scsi_itl_find(const struct scsi_nexus *nexus, unsigned lun)
{
	const struct scsi_itl_chunk *chunk = nexus->itls[lun / SCSI_ITL_CHUNK];

	return chunk ? chunk->itls[lun % SCSI_ITL_CHUNK] : NULL;
}

struct scsi_itl *scsi_itl_get(struct scsi_nexus *nexus, unsigned unit)
{
	const struct scsi_unit *u = &nexus->target->units[unit];
	struct scsi_itl_chunk **chunk = &nexus->itls[u->lun / SCSI_ITL_CHUNK];
	struct scsi_itl *itl = scsi_itl_find(nexus, u->lun);

	if (itl) {
		return itl;
	}
	if (!*chunk) {
		*chunk = calloc(1, sizeof(**chunk));
	}
	itl = calloc(1, sizeof(*itl));
	if (!itl || !*chunk) {
		free(itl);
		return NULL;
	}
	itl->nexus = nexus;
	itl->lu = &nexus->core->scsi->lus[u->lu];
	itl->lun = u->lun;
	itl->pending = 1u << SCSI_UA_POWER_ON;
	itl->seen = nexus->born;
	qb_list_init(&itl->blocked);
	qb_list_add_tail(&itl->link, &nexus->core->lus[u->lu].itls);
	(*chunk)->itls[u->lun % SCSI_ITL_CHUNK] = itl;
	return itl;
}

void scsi_itl_put(struct scsi_itl *itl)
{
	if (--itl->users == 0 && itl->gone) {
		free(itl);
	}
}

/* Its LUN names another LU now, or none. */
static void itl_detach(struct scsi_nexus *nexus, struct scsi_itl **at)
{
	struct scsi_itl *itl = *at;

	*at = NULL;
	qb_list_del(&itl->link);
	itl->gone = true;
	itl->users++;
	scsi_tasks_refuse(nexus->core, &(struct scsi_match){.nexus = nexus, .itl = itl});
	scsi_itl_put(itl);
}

static bool units_equal(const struct scsi_target *a, const struct scsi_target *b)
{
	return a->unit_count == b->unit_count &&
	       memcmp(a->units, b->units, a->unit_count * sizeof(a->units[0])) == 0;
}

void scsi_nexus_retarget(struct scsi_nexus *nexus, const struct scsi_map *map)
{
	static const struct scsi_target none; /* removed: the session is about to be closed */
	const struct scsi_target *old = nexus->target;

	nexus->target = scsi_target_find(map, nexus->who.target);
	if (!nexus->itls) {
		return;
	}
	if (!nexus->target) {
		nexus->target = &none;
	}
	if (units_equal(old, nexus->target)) {
		return;
	}
	nexus->luns_changed = true;
	for (unsigned c = 0; c < SCSI_ITL_CHUNKS; c++) {
		struct scsi_itl_chunk *chunk = nexus->itls[c];

		for (unsigned i = 0; chunk && i < SCSI_ITL_CHUNK; i++) {
			struct scsi_itl *itl = chunk->itls[i];
			int unit = itl ? scsi_target_unit(nexus->target, itl->lun) : -1;

			if (itl && (unit < 0 || nexus->target->units[unit].lu != itl->lu->index)) {
				itl_detach(nexus, &chunk->itls[i]);
			}
		}
	}
}

static void itl_chunk_free(struct scsi_itl_chunk *chunk)
{
	for (unsigned i = 0; chunk && i < SCSI_ITL_CHUNK; i++) {
		if (chunk->itls[i]) {
			qb_list_del(&chunk->itls[i]->link);
			free(chunk->itls[i]);
		}
	}
	free(chunk);
}

static struct scsi_nexus *nexus_make(struct scsi_core *core, const struct scsi_identity *who)
{
	struct scsi_nexus *nexus = calloc(1, sizeof(*nexus));

	if (!nexus) {
		return NULL;
	}
	nexus->core = core;
	nexus->who = *who;
	nexus->born = core->changes;
	qb_list_init(&nexus->link);
	qb_list_init(&nexus->tasks);
	nexus->target = scsi_target_find(
		atomic_load_explicit(&core->scsi->map, memory_order_acquire), who->target);
	return nexus;
}

void scsi_nexus_destroy(struct scsi_nexus *nexus)
{
	for (unsigned i = 0; nexus->itls && i < SCSI_ITL_CHUNKS; i++) {
		if (nexus->itls[i]) {
			itl_chunk_free(nexus->itls[i]);
		}
	}
	free(nexus->buffers);
	free(nexus->itls);
	scsi_copy_nexus_gone(nexus->core, nexus);
	qb_list_del(&nexus->link);
	free(nexus);
}

struct scsi_nexus *scsi_nexus_new(
	struct scsi *scsi, struct reactor *r, const struct scsi_identity *who)
{
	struct scsi_core *core = scsi_core_of(r);
	struct scsi_nexus *nexus = nexus_make(core, who);

	if (!nexus || !nexus->target) {
		free(nexus);
		return NULL;
	}
	nexus->itls = calloc(SCSI_ITL_CHUNKS, sizeof(*nexus->itls));
	if (!nexus->itls) {
		free(nexus);
		return NULL;
	}
	qb_list_add_tail(&nexus->link, &core->nexuses);
	atomic_store_explicit(&scsi->had_nexus, true, memory_order_relaxed);
	return nexus;
}

void scsi_nexus_task_gone(struct scsi_nexus *nexus)
{
	const struct group_ship *ship = nexus->core->scsi->ship;
	void (*closed)(void *arg) = nexus->closed;
	void *arg = nexus->closed_arg;

	if (!nexus->closing || nexus->pins || !qb_list_empty(&nexus->tasks)) {
		return;
	}
	if (!nexus->remote) {
		scsi_nexus_unreserve(nexus);
	}
	if (nexus->itls && ship && ship->nexus_gone) { /* one of our own sessions */
		ship->nexus_gone(ship->ctx, nexus->core->reactor, &nexus->who);
	}
	scsi_nexus_destroy(nexus);
	if (closed) {
		closed(arg);
	}
}

void scsi_nexus_on_reset(struct scsi_nexus *nexus, void (*end)(void *arg), void *arg)
{
	nexus->end = end;
	nexus->end_arg = arg;
}

void scsi_nexus_close(struct scsi_nexus *nexus, void (*closed)(void *arg), void *arg)
{
	nexus->closing = true;
	nexus->closed = closed;
	nexus->closed_arg = arg;
	nexus->pins++;
	scsi_tasks_untold(nexus);
	scsi_tasks_abort(nexus->core, &(struct scsi_match){.nexus = nexus});
	nexus->pins--;
	scsi_nexus_task_gone(nexus);
}

static struct qb_list_head *peer_bucket(struct scsi_core *core, const struct scsi_identity *who)
{
	uint32_t hash = who->rtpi;

	for (const char *p = who->initiator; *p; p++) {
		hash = hash * 31 + (uint8_t)*p;
	}
	for (int i = 0; i < 6; i++) {
		hash = hash * 31 + who->isid[i];
	}
	return &core->peers[hash % SCSI_PEER_BUCKETS];
}

struct scsi_nexus *scsi_nexus_get(void *ctx, struct reactor *r, const struct scsi_identity *who)
{
	struct scsi_core *core = scsi_core_of(r);
	struct qb_list_head *bucket = peer_bucket(core, who);
	struct scsi_nexus *nexus;

	qb_list_for_each_entry (nexus, bucket, link) {
		if (!nexus->closing && scsi_identity_equal(&nexus->who, who)) {
			nexus->refs++;
			return nexus;
		}
	}
	nexus = nexus_make(core, who);
	if (nexus) {
		nexus->remote = true;
		nexus->refs = 1;
		qb_list_add_tail(&nexus->link, bucket);
	}
	return nexus;
}

void scsi_nexus_put(void *ctx, struct scsi_nexus *nexus)
{
	if (--nexus->refs == 0) {
		scsi_nexus_close(nexus, NULL, NULL);
	}
}
