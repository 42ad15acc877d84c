/* SPDX-License-Identifier: BSD-3-Clause */
/* Making and ending the device server. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/scsi/copy.h"
#include "daemon/scsi/group.h"
#include "daemon/scsi/guard.h"
#include "daemon/scsi/hold.h"
#include "daemon/scsi/intent.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/probe.h"
#include "daemon/scsi/round.h"
#include "daemon/scsi/sanitize.h"
#include "daemon/scsi/token.h"
#include "daemon/scsi/watch.h"
#include "yoke/log.h"
#include "yoke/pages.h"
#include "yoke/util.h"

void scsi_core_lu_init(struct scsi_core *core, uint16_t index)
{
	struct scsi_core_lu *lu = &core->lus[index];

	memset(lu, 0, sizeof(*lu));
	qb_list_init(&lu->tasks);
	qb_list_init(&lu->itls);
	scsi_guard_init(lu);
}

/* Half of it may be missing when it fails: core_end() copes. */
static int core_init(struct scsi *scsi, struct scsi_core *core, struct reactor *r)
{
	core->scsi = scsi;
	core->reactor = r;
	qb_list_init(&core->nexuses);
	qb_list_init(&core->sweeps);
	qb_list_init(&core->placed);
	qb_list_init(&core->sanitizing);
	qb_list_init(&core->intents);
	for (unsigned i = 0; i < SCSI_PEER_BUCKETS; i++) {
		qb_list_init(&core->peers[i]);
	}
	scsi_hold_init(core);
	scsi_copies_init(core);
	core->groups = calloc(scsi->group_count + 1u, sizeof(*core->groups));
	core->lus = pages_new(CONF_EXTENTS_MAX * sizeof(*core->lus));
	for (unsigned i = 0; core->lus && i < scsi->map->lu_count; i++) {
		scsi_core_lu_init(core, scsi->map->order[i]);
	}
	for (unsigned i = 0; core->groups && i < scsi->group_count; i++) {
		struct scsi_core_group *group = &core->groups[i];

		qb_list_init(&group->held);
		qb_list_init(&group->drains);
		group->view.group = (uint16_t)i;
		group->view.access = GROUP_HELD;
		for (unsigned c = 1; c <= YOKE_CONTROLLERS; c++) {
			group->view.tpg[c] = ALUA_TRANSITIONING;
		}
	}
	reactor_slot_set(r, REACTOR_SLOT_SCSI, core);
	if (!core->groups || !core->lus) {
		return -ENOMEM;
	}
	/* Serials of this reactor, of others, of the other controller and of a former life differ.
	 */
	return getrandom(&core->serial, sizeof(core->serial), 0) == sizeof(core->serial) ? 0 : -EIO;
}

static void nexuses_free(struct qb_list_head *list)
{
	while (!qb_list_empty(list)) {
		scsi_nexus_destroy(qb_list_first_entry(list, struct scsi_nexus, link));
	}
}

static void core_end(struct scsi_core *core)
{
	scsi_hold_stop(core);
	scsi_copies_free(core);
	nexuses_free(&core->nexuses);
	for (unsigned i = 0; i < SCSI_PEER_BUCKETS; i++) {
		nexuses_free(&core->peers[i]);
	}
	reactor_slot_set(core->reactor, REACTOR_SLOT_SCSI, NULL);
	free(core->groups);
	pages_free(core->lus, CONF_EXTENTS_MAX * sizeof(*core->lus));
}

static int cores_make(struct scsi *scsi, const struct scsi_setup *setup)
{
	scsi->cores = calloc(setup->reactor_count, sizeof(*scsi->cores));
	if (!scsi->cores) {
		return -ENOMEM;
	}
	for (unsigned i = 0; i < setup->reactor_count; i++) {
		int err = core_init(scsi, &scsi->cores[i], setup->reactors[i]);

		scsi->core_count = i + 1;
		if (err) {
			return err;
		}
	}
	return 0;
}

struct scsi *scsi_new(const struct scsi_setup *setup, char *error, size_t error_size)
{
	struct scsi *scsi = calloc(1, sizeof(*scsi));

	if (!scsi) {
		snprintf(error, error_size, "out of memory for the device server");
		return NULL;
	}
	scsi->conf = setup->conf;
	scsi->controller = setup->controller;
	scsi->control = setup->control;
	scsi->ship = setup->ship;
	scsi->ledger = setup->ledger;
	scsi->move = setup->move;
	scsi->move_arg = setup->move_arg;
	atomic_init(&scsi->lease_ms, UINT64_MAX);
	qb_list_init(&scsi->wipes);
	qb_list_init(&scsi->intents);
	qb_list_init(&scsi->rounds);
	qb_list_init(&scsi->touched);
	qb_list_init(&scsi->publications);
	qb_list_init(&scsi->unreserves);
	qb_list_init(&scsi->probes);
	if (scsi_units_make(scsi, error, error_size)) {
		scsi_free(scsi);
		return NULL;
	}
	scsi->tokens = scsi_tokens_new();
	if (scsi->tokens && !scsi_ledger_init(scsi) && !cores_make(scsi, setup)) {
		scsi->watch = scsi_watch_new(scsi);
	}
	if (!scsi->watch) {
		snprintf(error, error_size, "out of memory for the device server");
		scsi_free(scsi);
		return NULL;
	}
	scsi_serve_init(scsi);
	return scsi;
}

void scsi_free(struct scsi *scsi)
{
	if (!scsi) {
		return;
	}
	scsi_wipes_free(scsi);
	scsi_intents_free(scsi);
	scsi_watch_free(scsi->watch);
	scsi_probes_stop(scsi);
	for (unsigned i = 0; i < scsi->core_count; i++) {
		core_end(&scsi->cores[i]);
	}
	free(scsi->cores);
	scsi_probes_free(scsi);
	scsi_change_forget(scsi);
	scsi_rounds_free(scsi);
	scsi_ledger_end(scsi);
	scsi_tokens_free(scsi->tokens);
	scsi_units_free(scsi);
	free(scsi);
}

const struct group_serve *scsi_serve(struct scsi *scsi)
{
	return &scsi->serve;
}

static uint64_t counter_get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void scsi_totals_get(const struct scsi_lu *lu, struct scsi_totals *totals)
{
	const struct scsi *scsi = lu->scsi;

	*totals = (struct scsi_totals){0};
	for (unsigned i = 0; i < scsi->core_count; i++) {
		struct scsi_counters *count = &scsi->cores[i].lus[lu->index].count;

		totals->reads += counter_get(&count->reads);
		totals->writes += counter_get(&count->writes);
		totals->read_bytes += counter_get(&count->read_bytes);
		totals->written_bytes += counter_get(&count->written_bytes);
		totals->read_errors += counter_get(&count->read_errors);
		totals->write_errors += counter_get(&count->write_errors);
	}
}

/* `left` first: what has left by then has entered before. */
void scsi_store_count(const struct scsi_lu *lu, uint64_t *entered, uint64_t *left)
{
	const struct scsi *scsi = lu->scsi;

	*entered = 0;
	*left = 0;
	for (unsigned i = 0; i < scsi->core_count; i++) {
		*left += atomic_load_explicit(
			&scsi->cores[i].lus[lu->index].left, memory_order_acquire);
	}
	for (unsigned i = 0; i < scsi->core_count; i++) {
		*entered += counter_get(&scsi->cores[i].lus[lu->index].entered);
	}
}

bool scsi_lu_info(struct scsi *scsi, unsigned index, struct scsi_lu_info *info)
{
	struct scsi_totals totals;
	const struct scsi_map *map = scsi->map;
	const struct scsi_state *state;
	const struct scsi_lu *lu;

	if (index >= map->lu_count) {
		return false;
	}
	lu = &scsi->lus[map->order[index]];
	*info = (struct scsi_lu_info){.extent = &atomic_load(&scsi->conf)->extents[index],
		.store = lu->info,
		.write_key = extent_write_key(lu->extent),
		.naa = lu->naa_text};
	info->used_bytes = lu->space.used_bytes;
	info->free_bytes = lu->space.free_bytes;
	scsi_totals_get(lu, &totals);
	info->reads = totals.reads;
	info->writes = totals.writes;
	info->read_bytes = totals.read_bytes;
	info->written_bytes = totals.written_bytes;
	info->read_errors = totals.read_errors;
	info->write_errors = totals.write_errors;
	state = scsi_ledger_state(scsi, lu->index);
	info->registrations = state->count;
	info->pr_generation = state->generation;
	info->aptpl = state->aptpl;
	info->pr_type = state->type ? scsi_pr_type_name(state->type) : NULL;
	info->reserver = state->reserved ? &state->reserver : NULL;
	info->threshold_reached = state->reached != 0;
	info->write_protected = state->mode & SCSI_MODE_SWP;
	if (state->sanitize) {
		const struct scsi_sanitize *sanitize = state->sanitize;

		info->sanitize.method =
			scsi_sanitize_method_name((enum scsi_sanitize_method)sanitize->method);
		info->sanitize.failed = sanitize->phase == SCSI_SANITIZE_FAILED;
		info->sanitize.pass = sanitize->pass + 1u;
		info->sanitize.passes = sanitize->passes;
		info->sanitize.percent = scsi_sanitize_progress(sanitize, lu) * 100.0 / 65536;
	}
	return true;
}

bool scsi_lu_measure(
	struct scsi *scsi, const char *extent, uint64_t *lu_bytes, uint64_t *store_bytes)
{
	const struct scsi_map *map = scsi->map;

	for (unsigned i = 0; i < map->lu_count; i++) {
		const struct scsi_lu *lu = &scsi->lus[map->order[i]];

		if (strcmp(lu->conf->name, extent) == 0) {
			*lu_bytes = lu->blocks << lu->block_shift;
			*store_bytes = extent_measure(lu->extent);
			return true;
		}
	}
	return false;
}

bool scsi_lu_registrant(
	struct scsi *scsi, unsigned index, unsigned n, struct scsi_lu_registrant *registrant)
{
	const struct scsi_map *map = scsi->map;
	const struct scsi_state *state;

	if (index >= map->lu_count) {
		return false;
	}
	state = scsi_ledger_state(scsi, map->order[index]);
	if (n >= state->count) {
		return false;
	}
	*registrant = (struct scsi_lu_registrant){.key = state->registrants[n].key,
		.who = &state->registrants[n].who,
		.holds = scsi_state_holds(state, (uint16_t)n)};
	return true;
}
