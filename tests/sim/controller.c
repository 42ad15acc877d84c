/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A controller: daemon/scsi, the interconnect and ha wired as daemon/daemon.c does it, with an
 * observer at each of the vtables between them. It looks whether the invariants hold, and it is
 * where most bugs are planted, so that the daemon has no code for that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/core.h"
#include "daemon/scsi/nexus.h"
#include "ha/ship_cmd.h"
#include "ha/ship_private.h"
#include "tests/sim/sim.h"
#include "yoke/util.h"

static struct node *node_of_serve(void *ctx)
{
	return ctx;
}

/* ----- views ---------------------------------------------------------------------------------- */

struct publishing {
	struct node *node;
	struct group_view view;
	void (*applied)(void *arg);
	void *arg;
};

static void itls_seen_set(struct node *node, unsigned group, bool all)
{
	for (unsigned c = 0; c < node->scsi->core_count; c++) {
		struct scsi_core *core = &node->scsi->cores[c];
		struct scsi_itl *itl;

		qb_list_for_each_entry (itl, &core->lus[group].itls, link) {
			itl->seen = all ? core->changes : 0;
		}
	}
}

static void ua_again(void *arg)
{
	struct publishing *p = arg;

	itls_seen_set(p->node, p->view.group, false);
}

static bool owns_any(const struct node *node)
{
	for (unsigned g = 0; g < SIM_GROUPS; g++) {
		if (node->view[g].access == GROUP_LOCAL) {
			return true;
		}
	}
	return false;
}

static void published(void *arg)
{
	struct publishing *p = arg;
	struct node *node = p->node;

	node->applied_epoch[p->view.group] = p->view.epoch;
	node->applied_table[p->view.group] = p->view.table;
	/* It knows now, on every reactor, and has the states of the LUs that count. */
	if (node->lied_back && p->view.access == GROUP_REMOTE && !owns_any(node)) {
		node->lied_about = node->lied_back = false;
	}
	if (node->sim->bug == BUG_UA_DROPPED) {
		itls_seen_set(node, p->view.group, true);
	} else if (node->sim->bug == BUG_UA_TWICE) {
		sim_at(node->sim, node, 30 * MS, ua_again, p);
	}
	p->applied(p->arg);
}

static void owner_check(struct node *node, const struct group_view *view)
{
	struct sim *sim = node->sim;
	const struct node *peer = sim_other(node);
	unsigned g = view->group;

	if (peer->alive && peer->view[g].access == GROUP_LOCAL && !peer->lied_about &&
		!node->lied_about) {
		sim_wrong(sim, "I1: controllers 1 and 2 both own group %u", g);
	}
	if (node->stable.groups[g].epoch != view->epoch ||
		node->stable.groups[g].owner != node->id) {
		sim_wrong(sim,
			"I2: controller %u owns group %u under an epoch that it has not saved",
			node->id, g);
	}
	if (view->tpg[node->id] != ALUA_OPTIMIZED || view->owner != node->id) {
		sim_wrong(sim, "I6: the owner's table says something else");
	}
	if (view->epoch < sim->owner_epoch[g] && node->lied_about) {
		return; /* a woken owner that does not know better: the disk knows */
	}
	if (view->epoch < sim->owner_epoch[g] ||
		(view->epoch == sim->owner_epoch[g] && sim->owner[g] != node->id)) {
		sim_wrong(sim, "I2: epoch %llu of group %u has had another owner, or a newer one",
			(unsigned long long)view->epoch, g);
	}
	if (sim->owner[g] != node->id || sim->owner_epoch[g] != view->epoch) {
		sim->totals->moves += sim->owner[g] != 0;
		sim->totals->handovers += sim->owner[g] != 0 && peer->alive && cluster_sees(node);
		sim_trace(sim, "group %u: owner %u, epoch %llu", g, node->id,
			(unsigned long long)view->epoch);
	}
	sim->owner[g] = node->id;
	sim->owner_epoch[g] = view->epoch;
}

static void watch_publish(
	void *ctx, const struct group_view *view, void (*applied)(void *arg), void *arg)
{
	struct node *node = node_of_serve(ctx);
	struct group_view *old = &node->view[view->group];
	const struct group_serve *serve = scsi_serve(node->scsi);
	struct publishing *p = sim_memory(node->sim, sizeof(*p));
	bool changed = memcmp(old->tpg, view->tpg, sizeof(view->tpg)) != 0 ||
		       old->preferred != view->preferred;

	if (node->ready && view->table != old->table + changed) {
		sim_wrong(node->sim, "I8: controller %u: the table's number went from %u to %u",
			node->id, old->table, view->table);
	}
	if (view->epoch < old->epoch) {
		sim_wrong(node->sim, "I2: controller %u: the epoch of group %u went back", node->id,
			view->group);
	}
	*old = *view;
	if (view->access == GROUP_LOCAL) {
		owner_check(node, view);
		if (view->tpg[3 - node->id] == ALUA_UNAVAILABLE) {
			hosts_node_unseen(sim_other(node));
		}
	}
	*p = (struct publishing){node, *view, applied, arg};
	serve->publish(serve->ctx, view, published, p);
}

/* ----- moves ---------------------------------------------------------------------------------- */

static void watch_drain(void *ctx, uint16_t group, void (*drained)(void *arg), void *arg)
{
	struct node *node = node_of_serve(ctx);
	const struct group_serve *serve = scsi_serve(node->scsi);

	if (node->sim->bug == BUG_NO_DRAIN) {
		sim_at(node->sim, node, 10 * US, drained, arg);
	} else {
		serve->drain(serve->ctx, group, drained, arg);
	}
}

static void watch_lock(void *ctx, uint16_t group)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	serve->lock(serve->ctx, group);
}

static void watch_unlock(void *ctx, uint16_t group)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	serve->unlock(serve->ctx, group);
}

static void watch_claim(void *ctx, uint16_t group, uint64_t epoch, unsigned timeout_ms,
	void (*done)(void *arg, int err), void *arg)
{
	struct node *node = node_of_serve(ctx);
	const struct group_serve *serve = scsi_serve(node->scsi);

	if (node->sim->bug == BUG_NO_CLAIM) {
		done(arg, 0);
		return;
	}
	serve->claim(serve->ctx, group, epoch, timeout_ms, done, arg);
}

static void watch_release(void *ctx, uint16_t group, void (*done)(void *arg, int err), void *arg)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	if (node_of_serve(ctx)->view[group].access != GROUP_HELD) {
		sim_wrong(node_of_serve(ctx)->sim, "I1: a group is let go while it is served");
	}
	serve->release(serve->ctx, group, done, arg);
}

static bool watch_healthy(void *ctx, uint16_t group)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	return serve->healthy(serve->ctx, group);
}

static bool watch_key_lost(void *ctx, uint16_t group)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	return serve->key_lost(serve->ctx, group);
}

static void watch_renew(void *ctx, unsigned ms)
{
	struct node *node = node_of_serve(ctx);
	const struct group_serve *serve = scsi_serve(node->scsi);

	node->lease_until_ns = node->sim->now_ns + (ms + 2) * MS;
	if (node->sim->bug != BUG_NO_LEASE) {
		serve->renew(serve->ctx, ms);
	}
}

/* ----- shipped commands (the interconnect calls) ------------------------------------------------
 */

static struct scsi_nexus *watch_nexus_get(
	void *ctx, struct reactor *r, const struct scsi_identity *who)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	return serve->nexus_get(serve->ctx, r, who);
}

static void watch_nexus_put(void *ctx, struct scsi_nexus *nexus)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	serve->nexus_put(serve->ctx, nexus);
}

static enum ship_outcome watch_task_run(
	void *ctx, struct scsi_task *task, const uint8_t lu[16], uint64_t epoch)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	node_of_serve(ctx)->sim->totals->shipped++;
	return serve->task_run(serve->ctx, task, lu, epoch);
}

static void watch_task_end(void *ctx, struct scsi_task *task)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	serve->task_end(serve->ctx, task);
}

static bool watch_task_abort(void *ctx, struct scsi_task *task)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	return serve->task_abort(serve->ctx, task);
}

static void watch_task_shipped(void *ctx, struct scsi_task *task, enum ship_outcome outcome)
{
	struct node *node = node_of_serve(ctx);
	const struct group_serve *serve = scsi_serve(node->scsi);

	if (!task->done) {
		return; /* of a planted bug, see ghost_leave() */
	}
	node->sim->totals->reruns += outcome == SHIP_AGAIN && task->rerun;
	if (node->sim->bug == BUG_NO_RERUN) {
		task->rerun = false;
	}
	serve->task_shipped(serve->ctx, task, outcome);
}

static void watch_tmf_peer(void *ctx, struct reactor *r, enum scsi_tmf_function function,
	const uint8_t lu[16], const struct scsi_identity *who, void (*done)(void *arg), void *arg)
{
	const struct group_serve *serve = scsi_serve(node_of_serve(ctx)->scsi);

	serve->tmf_peer(serve->ctx, r, function, lu, who, done, arg);
}

/* ----- shipping (scsi calls) ------------------------------------------------------------------ */

static void watch_ship_task(void *ctx, struct scsi_task *task, const struct group_view *view,
	const uint8_t lu[16], const struct scsi_identity *who)
{
	struct node *node = ctx;
	const struct group_ship *ship = ship_ops(node->ship);

	if (node->sim->bug == BUG_NO_SERIAL) {
		task->serial = 0;
	}
	ship->task(ship->ctx, task, view, lu, who);
}

/*
 * Planted: the owner does not hear of the abort. The task ends here, and the interconnect goes on
 * with a copy that nobody waits for. False when the command is not whole at the owner.
 */
static bool ghost_leave(struct node *node, struct scsi_task *task)
{
	const struct group_serve *serve = scsi_serve(node->scsi);
	struct ship_cmd *cmd = task->ship_conn;
	struct scsi_task *ghost;

	if (!cmd || cmd->state != SHIP_CMD_ACTIVE || !cmd->was_sent || cmd->took_buffer ||
		cmd->out_sent < task->out_length) {
		return false;
	}
	ghost = sim_memory(node->sim, sizeof(*ghost));
	*ghost = *task;
	ghost->buf = NULL;
	ghost->done = NULL;
	cmd->task = ghost;
	task->ship_conn = NULL;
	serve->task_shipped(serve->ctx, task, SHIP_AGAIN);
	return true;
}

static void watch_ship_abort(void *ctx, struct scsi_task *task)
{
	struct node *node = ctx;
	const struct group_ship *ship = ship_ops(node->ship);

	if (node->sim->bug != BUG_ABORT_HERE || !ghost_leave(node, task)) {
		ship->abort(ship->ctx, task);
	}
}

static void watch_ship_tmf(void *ctx, struct reactor *r, enum scsi_tmf_function function,
	const uint8_t lu[16], const struct scsi_identity *who, void (*done)(void *arg), void *arg)
{
	const struct group_ship *ship = ship_ops(((struct node *)ctx)->ship);
	bool reset = function == SCSI_TMF_LU_RESET || function == SCSI_TMF_TARGET_COLD_RESET;

	if (reset && ((struct node *)ctx)->sim->bug == BUG_RESET_HERE) {
		done(arg);
		return;
	}
	ship->tmf(ship->ctx, r, function, lu, who, done, arg);
}

static void watch_nexus_gone(void *ctx, struct reactor *r, const struct scsi_identity *who)
{
	const struct group_ship *ship = ship_ops(((struct node *)ctx)->ship);

	ship->nexus_gone(ship->ctx, r, who);
}

/* A connection that comes while tasks of the former one run is greeted at once. */
void node_barrier_drop(struct node *node)
{
	for (unsigned i = 0; i < SIM_REACTORS; i++) {
		struct ship_in *in;

		qb_list_for_each_entry (in, &node->ship->ports[i].ins, link) {
			in->hello.reactor = UINT16_MAX;
		}
	}
}

/* ----- the ledger ----------------------------------------------------------------------------- */

struct entry {
	struct entry *next;
	struct node *node;
	uint64_t life;
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result);
	void *arg;
	bool told;
	size_t length;
	uint8_t *bytes;
};

static void entry_done(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	struct entry *entry = arg;

	if (outcome == LEDGER_DONE) {
		entry->node->sim->totals->entries++;
	}
	if (!entry->told) {
		entry->told = true;
		entry->done(entry->arg, outcome, result);
	}
}

static void watch_submit(void *ctx, const struct ledger_entry *entry,
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg)
{
	struct node *node = ctx;
	struct entry *watched = sim_memory(node->sim, sizeof(*watched));

	*watched = (struct entry){.next = node->entries,
		.node = node,
		.life = node->life,
		.done = done,
		.arg = arg,
		.length = entry->length};
	if (node->sim->bug == BUG_EARLY_GOOD) {
		watched->bytes = sim_memory(node->sim, entry->length);
		memcpy(watched->bytes, entry->bytes, entry->length);
		node->entries = watched;
	}
	ha_ledger(node->ha)->submit(ha_ledger(node->ha)->ctx, entry, entry_done, watched);
}

static uint32_t watch_apply(void *ctx, const struct ledger_entry *entry, uint64_t index,
	void (*applied)(void *arg), void *arg)
{
	struct node *node = ctx;
	const struct ledger_serve *serve = scsi_ledger_serve(node->scsi);
	uint32_t result;

	hosts_entry_check(node->sim, entry->bytes, entry->length);
	result = serve->apply(serve->ctx, entry, index, applied, arg);
	for (struct entry *e = node->entries; e; e = e->next) {
		if (!e->told && e->life == node->life && e->length == entry->length &&
			memcmp(e->bytes, entry->bytes, e->length) == 0) {
			e->told = true;
			e->done(e->arg, LEDGER_DONE, result);
		}
	}
	return result;
}

static int watch_save(void *ctx, const uint8_t lu[16], uint8_t *bytes, size_t size)
{
	const struct ledger_serve *serve = scsi_ledger_serve(((struct node *)ctx)->scsi);

	return serve->save(serve->ctx, lu, bytes, size);
}

static int watch_load(
	void *ctx, const uint8_t lu[16], const uint8_t *bytes, size_t length, bool cold)
{
	const struct ledger_serve *serve = scsi_ledger_serve(((struct node *)ctx)->scsi);

	return serve->load(serve->ctx, lu, bytes, length, cold);
}

static bool watch_lu(void *ctx, unsigned i, uint8_t uuid[16])
{
	const struct ledger_serve *serve = scsi_ledger_serve(((struct node *)ctx)->scsi);

	return serve->lu(serve->ctx, i, uuid);
}

static bool watch_awaits_peer(void *ctx)
{
	const struct ledger_serve *serve = scsi_ledger_serve(((struct node *)ctx)->scsi);

	return serve->awaits_peer(serve->ctx);
}

/* ----- its daemon ----------------------------------------------------------------------------- */

static void on_ready(void *arg)
{
	struct node *node = arg;

	node->ready = true;
	sim_trace(node->sim, "controller %u: ready", node->id);
	pacemaker_daemon_ready(node);
}

struct ending {
	struct node *node;
	uint64_t life;
};

static void daemon_ends(void *arg)
{
	const struct ending *ending = arg;

	if (ending->node->alive && ending->node->life == ending->life) {
		node_kill(ending->node);
		pacemaker_tick(ending->node->sim);
	}
}

static void on_lost(void *arg, const char *reason)
{
	struct node *node = arg;
	struct ending *ending = sim_memory(node->sim, sizeof(*ending));

	sim_trace(node->sim, "controller %u: its daemon ends: %s", node->id, reason);
	*ending = (struct ending){node, node->life};
	sim_at(node->sim, NULL, 1 * MS, daemon_ends, ending);
}

static unsigned on_sessions(void *arg)
{
	(void)arg;
	return SIM_HOSTS;
}

static void vtables_fill(struct node *node)
{
	node->serve = (struct group_serve){.ctx = node,
		.publish = watch_publish,
		.drain = watch_drain,
		.lock = watch_lock,
		.unlock = watch_unlock,
		.claim = watch_claim,
		.release = watch_release,
		.healthy = watch_healthy,
		.key_lost = watch_key_lost,
		.renew = watch_renew,
		.nexus_get = watch_nexus_get,
		.nexus_put = watch_nexus_put,
		.task_run = watch_task_run,
		.task_end = watch_task_end,
		.task_abort = watch_task_abort,
		.task_shipped = watch_task_shipped,
		.tmf_peer = watch_tmf_peer};
	node->ship_ops = (struct group_ship){.ctx = node,
		.task = watch_ship_task,
		.abort = watch_ship_abort,
		.tmf = watch_ship_tmf,
		.nexus_gone = watch_nexus_gone};
	node->ledger = (struct ledger){.ctx = node, .submit = watch_submit};
	node->ledger_serve = (struct ledger_serve){.ctx = node,
		.apply = watch_apply,
		.save = watch_save,
		.load = watch_load,
		.lu = watch_lu,
		.awaits_peer = watch_awaits_peer};
}

void node_init(struct sim *sim, uint8_t id)
{
	struct node *node = &sim->node[id];

	node->sim = sim;
	node->id = id;
	node->up = true;
	node->life = 1;
	conf_fill(node);
	vtables_fill(node);
}

void node_start(struct node *node)
{
	const struct conf *conf = change_start(node);
	struct ship_setup ship = {.conf = conf,
		.controller = node->id,
		.control = &node->control,
		.reactors = node->reactors,
		.reactor_count = SIM_REACTORS};
	struct scsi_setup scsi = {.conf = conf,
		.controller = node->id,
		.control = &node->control,
		.reactors = node->reactors,
		.reactor_count = SIM_REACTORS,
		.ship = &node->ship_ops,
		.ledger = &node->ledger};
	struct ha_setup ha = {.conf = conf,
		.controller = node->id,
		.control = &node->control,
		.loop = (qb_loop_t *)(void *)node,
		.serve = &node->serve,
		.ledger = &node->ledger_serve,
		.ready = on_ready,
		.lost = on_lost,
		.sessions = on_sessions,
		.conf_ops = &change_ops,
		.conf_arg = node,
		.arg = node};
	char error[512] = "";

	node->alive = true;
	node->life++;
	node->pid = ++node->sim->pids;
	sim_trace(node->sim, "controller %u: its daemon starts", node->id);
	memset(node->view, 0, sizeof(node->view));
	memset(node->applied_table, 0, sizeof(node->applied_table));
	node->entries = NULL;
	node->lease_until_ns = UINT64_MAX;
	sim_reactors_new(node);
	node->ship = ship_new(&ship, error, sizeof(error));
	node->scsi = node->ship ? scsi_new(&scsi, error, sizeof(error)) : NULL;
	if (!node->scsi) {
		fprintf(stderr, "yoke-sim: %s\n", error);
		abort();
	}
	ship_serve_set(node->ship, &node->serve);
	ship_listen(node->ship, error, sizeof(error));
	ha.ship = node->ship;
	node->ha = ha_new(&ha, error, sizeof(error));
	if (!node->ha) {
		sim_wrong(node->sim, "controller %u does not start: %s", node->id, error);
	}
}

/* Its daemon ends, at once; with `up` false the machine has lost its power. */
void node_kill(struct node *node)
{
	bool power = !node->up;

	node->frozen = node->stopped = false;
	node->lied_about = node->lied_back = false;
	node->parked_count = 0;
	if (node->alive) {
		sim_trace(node->sim, "controller %u: %s", node->id, power ? "no power" : "killed");
		node->sim->totals->crashes++;
		stable_lost(node, power);
		disk_node_lost(node, power);
		wires_node_lost(node, power);
		hosts_node_dead(node);
		ha_free(node->ha);
		scsi_free(node->scsi);
		ship_free(node->ship);
		sim_reactors_free(node);
		node->ha = NULL;
		node->scsi = NULL;
		node->ship = NULL;
		node->alive = node->ready = false;
		node->life++;
		cluster_daemon_dead(node);
	}
	if (power) {
		cluster_node_down(node);
	}
}

void node_freeze(struct node *node, bool whole)
{
	sim_trace(
		node->sim, "controller %u: frozen%s", node->id, whole ? ", the whole machine" : "");
	node->frozen = true;
	node->stopped = whole;
	if (whole) {
		cluster_node_down(node);
	}
}

void node_wake(struct node *node)
{
	if (!node->frozen) {
		return;
	}
	sim_trace(node->sim, "controller %u: awake", node->id);
	node->frozen = false;
	if (node->stopped) {
		node->stopped = false;
		cluster_node_up(node);
	}
	sim_parked_release(node);
}

void node_end(struct node *node)
{
	if (node->alive) {
		hosts_node_dead(node);
		ha_free(node->ha);
		scsi_free(node->scsi);
		ship_free(node->ship);
		sim_reactors_free(node);
	}
	free(node->stable.journal);
	free(node->parked);
}
