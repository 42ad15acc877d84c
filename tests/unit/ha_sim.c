/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>

static struct sim_node *other_of(struct sim_node *n)
{
	return &n->sim->node[n->id == 1 ? 2 : 1];
}

uint32_t sim_random(struct sim *sim, uint32_t below)
{
	sim->rng = sim->rng * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(sim->rng >> 33) % below;
}

/* ----- the operations of a machine ----------------------------------------------------------- */

static struct sim_job *job_add(
	struct sim_node *n, enum sim_work work, uint16_t group, uint64_t value)
{
	struct sim_job *job = &n->jobs[n->job_count];

	assert_true(n->job_count < sizeof(n->jobs) / sizeof(n->jobs[0]));
	n->job_count++;
	*job = (struct sim_job){.work = work, .group = group, .value = value};
	return job;
}

static uint64_t op_now(void *ctx)
{
	return ((struct sim_node *)ctx)->sim->now_ms;
}

static void op_send(void *ctx, const struct message *msg)
{
	struct sim_node *n = ctx;
	struct sim_entry *e = &n->outbox[n->outbox_count];
	struct message copy = *msg;

	assert_true(n->outbox_count < SIM_QUEUE_MAX);
	if (n->old && msg->type >= MESSAGE_LEDGER) {
		return;
	}
	copy.sender = n->id;
	copy.incarnation = n->pid;
	*e = (struct sim_entry){.bytes = malloc(MESSAGE_BYTES_MAX)};
	e->length = message_encode(&copy, e->bytes, MESSAGE_BYTES_MAX);
	assert_true(e->length > 0);
	n->outbox_count++;
}

/* I1, I2, I8 at every publication. */
static void op_publish(void *ctx, const struct group_view *view, uint64_t seq)
{
	struct sim_node *n = ctx;
	struct sim *sim = n->sim;
	const struct group_view *old = &n->view[view->group];
	uint16_t g = view->group;
	bool changed = memcmp(old->tpg, view->tpg, sizeof(view->tpg)) != 0 ||
		       old->preferred != view->preferred;

	if (n->viewed[g]) {
		assert_int_equal(view->table, old->table + (changed ? 1 : 0));
		assert_true(view->epoch >= old->epoch);
	}
	n->viewed[g] = n->readies > 0; /* before that no portal is open */
	n->tables += changed;
	n->view[g] = *view;
	job_add(n, WORK_APPLIED, g, seq);
	if (view->access == GROUP_LOCAL) {
		struct sim_node *peer = other_of(n);

		assert_true(n->claimed[g]);
		assert_false(peer->alive && peer->claimed[g] && !sim->lied);
		assert_int_equal(view->tpg[n->id], ALUA_OPTIMIZED);
		assert_int_equal(view->owner, n->id);
		assert_true(n->m->quorate);
		assert_int_equal(n->disk[g].epoch, view->epoch);
		assert_int_equal(n->disk[g].owner, n->id);
		if (sim->lied && view->epoch < sim->local_epoch[g]) {
			return; /* a woken owner that does not know better: the disk knows */
		}
		if (sim->local_owner[g] == n->id) {
			assert_true(view->epoch >= sim->local_epoch[g]);
		} else {
			assert_true(view->epoch > sim->local_epoch[g]);
		}
		sim->local_epoch[g] = view->epoch;
		sim->local_owner[g] = n->id;
	}
}

static void op_drain(void *ctx, uint16_t group)
{
	struct sim_node *n = ctx;

	assert_int_equal(n->view[group].access, GROUP_HELD);
	job_add(n, WORK_DRAIN, group, 0);
}

/* Ahead of the claim, when the former owner has let go. */
static void op_lock(void *ctx, uint16_t group)
{
	struct sim_node *n = ctx;
	const struct ha_group *g = &n->m->groups[group];

	assert_false(n->locked[group]);
	assert_false(n->claimed[group]);
	assert_int_equal(g->owner, n->id);
	assert_int_equal(g->phase, PHASE_COMMITTING);
	assert_false(other_of(n)->alive && other_of(n)->claimed[group] && !n->sim->lied);
	n->locked[group] = true;
}

static void op_unlock(void *ctx, uint16_t group)
{
	struct sim_node *n = ctx;

	assert_true(n->locked[group]);
	assert_false(n->claimed[group]);
	n->locked[group] = false;
}

static void op_claim(void *ctx, uint16_t group, uint64_t epoch)
{
	struct sim_node *n = ctx;

	n->locked[group] = false; /* they belong to it now */
	assert_false(n->claimed[group]);
	/* Nobody takes what another living controller holds. */
	assert_false(other_of(n)->alive && other_of(n)->claimed[group] && !n->sim->lied);
	job_add(n, WORK_CLAIM, group, epoch);
}

static void op_release(void *ctx, uint16_t group)
{
	struct sim_node *n = ctx;

	assert_int_equal(n->view[group].access, GROUP_HELD);
	assert_true(n->claimed[group]);
	job_add(n, WORK_RELEASE, group, 0);
}

static void op_save(void *ctx, uint64_t seq)
{
	struct sim_node *n = ctx;
	struct sim_job *job = job_add(n, WORK_SAVE, 0, seq);

	for (unsigned i = 0; i < SIM_GROUPS; i++) {
		const struct ha_group *g = &n->m->groups[i];

		assert_true(g->epoch <= g->top);
		job->groups[i].epoch = g->epoch;
		job->groups[i].top = g->top;
		job->groups[i].owner = g->owner;
		job->groups[i].preferred = g->preferred;
	}
}

static void op_journal_append(void *ctx, uint64_t index, const struct ledger_entry *entry)
{
	struct sim_node *n = ctx;
	struct sim_job *job = job_add(n, WORK_JOURNAL, 0, index);

	job->alone = n->m->ledger->alone;
	memcpy(job->lus, n->scsi.lus, sizeof(job->lus));
	n->journal.told = index;
}

static void op_journal_replace(void *ctx, uint64_t index, uint64_t number)
{
	op_journal_append(ctx, index, NULL);
	((struct sim_node *)ctx)->jobs[((struct sim_node *)ctx)->job_count - 1].replaces = true;
	((struct sim_node *)ctx)->jobs[((struct sim_node *)ctx)->job_count - 1].number = number;
}

static void op_journal_mark(void *ctx, uint64_t index, bool alone, uint64_t number)
{
	/* Or the next start takes it for damage, should nothing more be written. */
	assert_int_equal(index, ((struct sim_node *)ctx)->journal.told);
	op_journal_append(ctx, index, NULL);
	((struct sim_node *)ctx)->jobs[((struct sim_node *)ctx)->job_count - 1].number = number;
}

static void op_score(void *ctx, uint16_t group, int score)
{
	((struct sim_node *)ctx)->score[group] = score;
}

static bool op_healthy(void *ctx, uint16_t group)
{
	return !((struct sim_node *)ctx)->unhealthy;
}

static unsigned op_sessions(void *ctx)
{
	return ((struct sim_node *)ctx)->sessions;
}

static void op_peer_up(void *ctx, uint64_t incarnation)
{
	struct sim_node *n = ctx;

	n->peer_ups++;
	assert_true(incarnation && incarnation <= other_of(n)->pid);
}

static void op_peer_down(void *ctx)
{
	((struct sim_node *)ctx)->peer_downs++;
}

static void op_peer_gone(void *ctx)
{
	struct sim_node *n = ctx;

	n->peer_gones++;
}

static bool op_peer_awaited(void *ctx)
{
	return ((struct sim_node *)ctx)->awaits;
}

static void op_notice(void *ctx, uint16_t group)
{
	((struct sim_node *)ctx)->notices++;
}

static void op_died(void *ctx)
{
	((struct sim_node *)ctx)->deaths++;
}

static void op_prove(void *ctx)
{
	job_add(ctx, WORK_PROVE, 0, 0);
}

static void op_ready(void *ctx)
{
	struct sim_node *n = ctx;

	n->readies++;
	n->open = true;
	n->addressed = true;
	assert_false(other_of(n)->alive && other_of(n)->adopted);
}

static void op_fatal(void *ctx, const char *reason)
{
	((struct sim_node *)ctx)->fatal = true;
}

static bool op_peer_in_reach(void *ctx)
{
	struct sim_node *n = ctx;

	return other_of(n)->up && !n->sim->split;
}

/* A portal answers at one place: nobody takes one from a controller that may be alive. */
static int op_adopt(void *ctx)
{
	struct sim_node *n = ctx;

	assert_false(other_of(n)->addressed);
	assert_false(n->adopted);
	for (unsigned g = 0; g < SIM_GROUPS; g++) {
		bool served = n->view[g].access == GROUP_LOCAL;

		assert_true(served || n->m->groups[g].phase == PHASE_IDLE);
		assert_true(!served || n->view[g].tpg[other_of(n)->id] == ALUA_OPTIMIZED);
	}
	n->adopted = n->adopt_err == 0;
	return n->adopt_err;
}

static void op_give_back(void *ctx)
{
	struct sim_node *n = ctx;

	assert_true(n->adopted);
	job_add(n, WORK_GIVE_BACK, 0, 0);
}

static bool op_conf_prepare(
	void *ctx, const uint8_t digest[32], const char *edit, char *why, size_t size)
{
	struct sim_node *node = ctx;

	node->conf_prepares++;
	snprintf(node->conf_edit, sizeof(node->conf_edit), "%s", edit);
	if (node->conf_refuses) {
		snprintf(why, size, "the file is another one here");
		return false;
	}
	node->conf_prepared = true;
	return true;
}

static void op_conf_activate(void *ctx)
{
	struct sim_node *node = ctx;

	node->conf_prepared = false;
	node->conf_activates++;
	if (!node->conf_slow) {
		machine_conf_done(node->m);
	}
}

static void op_conf_drop(void *ctx)
{
	struct sim_node *node = ctx;

	node->conf_prepared = false;
	node->conf_drops++;
}

static void op_conf_wanted(void *ctx, const uint8_t digest[32])
{
	((struct sim_node *)ctx)->conf_wanted++;
}

static const struct machine_ops ops = {
	.conf_prepare = op_conf_prepare,
	.conf_activate = op_conf_activate,
	.conf_drop = op_conf_drop,
	.conf_wanted = op_conf_wanted,
	.now_ms = op_now,
	.unix_s = op_now,
	.send = op_send,
	.publish = op_publish,
	.drain = op_drain,
	.lock = op_lock,
	.unlock = op_unlock,
	.claim = op_claim,
	.release = op_release,
	.save = op_save,
	.journal_append = op_journal_append,
	.journal_replace = op_journal_replace,
	.journal_mark = op_journal_mark,
	.score = op_score,
	.healthy = op_healthy,
	.sessions = op_sessions,
	.peer_up = op_peer_up,
	.peer_down = op_peer_down,
	.peer_gone = op_peer_gone,
	.peer_awaited = op_peer_awaited,
	.notice = op_notice,
	.died = op_died,
	.prove = op_prove,
	.peer_in_reach = op_peer_in_reach,
	.adopt = op_adopt,
	.give_back = op_give_back,
	.ready = op_ready,
	.fatal = op_fatal,
};

/* ----- the world -------------------------------------------------------------------------------
 */

struct sim *sim_new(uint64_t seed)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	sim->rng = seed * 2654435761u + 1;
	sim->now_ms = 1000;
	sim->conf.cluster = "sim";
	sim->conf.state_dir = "(simulated)";
	sim->conf.path = "(simulated)";
	sim->conf.handover_timeout_ms = 2000;
	sim->conf.hold_limit_ms = 1500;
	sim->conf.groups = sim->groups;
	sim->conf.group_count = SIM_GROUPS;
	sim->groups[0] = (struct conf_group){.name = "g1", .home = 1};
	sim->groups[1] = (struct conf_group){
		.name = "g2", .home = 2, .failback = CONF_FAILBACK_AUTO, .failback_delay_s = 60};
	for (uint8_t i = 1; i <= 2; i++) {
		sim->node[i].sim = sim;
		sim->node[i].id = i;
		sim->node[i].inbox = calloc(SIM_QUEUE_MAX, sizeof(struct sim_entry));
		sim->node[i].outbox = calloc(SIM_QUEUE_MAX, sizeof(struct sim_entry));
	}
	return sim;
}

static void queue_clear(struct sim_entry *queue, unsigned *count)
{
	for (unsigned i = 0; i < *count; i++) {
		free(queue[i].bytes);
	}
	*count = 0;
}

static struct sim_entry queue_take(struct sim_entry *queue, unsigned *count)
{
	struct sim_entry e = queue[0];

	memmove(queue, queue + 1, --*count * sizeof(*queue));
	return e;
}

static void node_clear(struct sim_node *n)
{
	queue_clear(n->inbox, &n->inbox_count);
	queue_clear(n->outbox, &n->outbox_count);
	n->job_count = 0;
	n->scsi.held_count = 0;
	memset(n->claimed, 0, sizeof(n->claimed));
	memset(n->locked, 0, sizeof(n->locked));
	n->adopted = false; /* a daemon that starts again takes them away before anything else */
	n->open = false;
	n->alive = false;
}

void sim_free(struct sim *sim)
{
	for (uint8_t i = 1; i <= 2; i++) {
		node_clear(&sim->node[i]);
		machine_free(sim->node[i].m);
		free(sim->node[i].inbox);
		free(sim->node[i].outbox);
	}
	free(sim);
}

/* The membership as node n sees it from now on. */
static void member_entry(struct sim_node *n, bool peer_left, enum machine_left left)
{
	struct sim_entry *e = &n->inbox[n->inbox_count++];
	struct sim *sim = n->sim;

	assert_true(n->inbox_count < SIM_QUEUE_MAX);
	*e = (struct sim_entry){.peer_left = peer_left, .left = left};
	for (uint8_t i = 1; i <= 2; i++) {
		if (sim->node[i].alive && (i == n->id || !sim->split)) {
			e->members[e->member_count++] =
				(struct machine_member){i, sim->node[i].pid};
		}
	}
}

/* Corosync's wait_for_all: a node that comes up has no quorum before it has seen the other. */
static void see(struct sim *sim)
{
	if (!sim->node[1].up || !sim->node[2].up || sim->split) {
		return;
	}
	for (uint8_t i = 1; i <= 2; i++) {
		bool new = !sim->node[i].seen;

		sim->node[i].seen = true;
		if (new && sim->node[i].alive) {
			machine_quorum(sim->node[i].m, true);
		}
	}
}

void sim_boot(struct sim *sim, uint8_t id)
{
	struct sim_node *n = &sim->node[id];

	assert_false(n->alive);
	n->alive = true;
	n->pid = ++sim->pid;
	machine_free(n->m);
	n->m = NULL;
	n->readies = 0;
	memset(n->viewed, 0, sizeof(n->viewed));
	n->fatal = false;
	memset(n->view, 0, sizeof(n->view));
	n->conf = sim->conf;
	n->m = machine_new(&n->conf, id, n->pid, &ops, n);
	for (unsigned i = 0; i < SIM_GROUPS; i++) {
		n->m->groups[i].epoch = n->disk[i].epoch;
		n->m->groups[i].top = n->disk[i].top;
		n->m->groups[i].owner = n->disk[i].owner;
		n->m->groups[i].preferred = n->disk[i].preferred;
	}
	fake_ledger_init(&n->scsi);
	n->scsi.hold = true;
	n->scsi.pad = SIM_PAD; /* a snapshot takes several parts */
	memcpy(n->scsi.lus, n->journal.lus, sizeof(n->scsi.lus));
	n->journal.told = n->journal.index;
	n->journal.replaced = 0;
	n->journal.broken = false;
	machine_ledger_set(n->m, &n->scsi.serve, n->journal.index, !n->journal.paired, 0);
	machine_start(n->m);
	n->up = true;
	see(sim);
	machine_quorum(n->m, n->seen);
	member_entry(n, false, LEFT_NODE);
	if (other_of(n)->alive && !sim->split) {
		member_entry(other_of(n), false, LEFT_NODE);
	}
}

void sim_adoption(struct sim *sim, bool on)
{
	sim->conf.portal_adoption = on;
	for (uint8_t i = 1; i <= 2; i++) {
		sim->node[i].conf.portal_adoption = on;
	}
}

void sim_kill(struct sim *sim, uint8_t id, enum machine_left how)
{
	struct sim_node *n = &sim->node[id];

	assert_true(n->alive);
	node_clear(n);
	if (how == LEFT_NODE) {
		n->up = false;
		n->addressed = false;
		n->seen = false;
	}
	if (other_of(n)->alive && !sim->split) {
		member_entry(other_of(n), true, how);
	}
}

void sim_split(struct sim *sim)
{
	if (sim->split) {
		return;
	}
	sim->split = true;
	if (sim->node[1].alive && sim->node[2].alive) {
		member_entry(&sim->node[1], true, LEFT_NODE);
		member_entry(&sim->node[2], true, LEFT_NODE);
	}
}

void sim_heal(struct sim *sim)
{
	if (!sim->split) {
		return;
	}
	sim->split = false;
	see(sim);
	if (sim->node[1].alive && sim->node[2].alive) {
		member_entry(&sim->node[1], false, LEFT_NODE);
		member_entry(&sim->node[2], false, LEFT_NODE);
	}
}

void sim_link(struct sim *sim, bool up)
{
	for (uint8_t i = 1; i <= 2; i++) {
		if (sim->node[i].alive) {
			machine_link(sim->node[i].m, up);
		}
	}
}

/* ----- what can happen
 * ----------------------------------------------------------------------------- */

static void journal_do(struct sim_node *n, const struct sim_job *job)
{
	int err = n->journal_err;

	if (!err && n->journal.broken && !job->replaces) {
		err = -5;
	}
	n->journal.broken = err && (n->journal.broken || !job->replaces);
	if (!err) {
		n->journal.broken = false;
		memcpy(n->journal.lus, job->lus, sizeof(job->lus));
		n->journal.index = job->value;
		n->journal.paired = !job->alone;
		n->journal.replaced =
			job->number > n->journal.replaced ? job->number : n->journal.replaced;
	}
	machine_journaled(n->m, n->journal.index, n->journal.replaced, err);
}

void sim_job_do(struct sim_node *n, unsigned i)
{
	struct sim_job job = n->jobs[i];
	uint16_t g = job.group;
	bool fenced = !other_of(n)->up || n->sim->lied;
	const struct sim_hooks *hooks = n->sim->hooks;

	memmove(&n->jobs[i], &n->jobs[i + 1], (--n->job_count - i) * sizeof(job));
	switch (job.work) {
	case WORK_APPLIED:
		machine_applied(n->m, g, job.value);
		break;
	case WORK_DRAIN:
		machine_drained(n->m, g);
		break;
	case WORK_CLAIM:
		assert_false(other_of(n)->alive && other_of(n)->claimed[g] && !n->sim->lied);
		n->claimed[g] = !n->claim_err;
		if (hooks && !n->claim_err) {
			hooks->claimed(n, g);
		}
		machine_claimed(n->m, g, n->claim_err);
		break;
	case WORK_RELEASE:
		n->claimed[g] = false;
		if (hooks) {
			hooks->released(n, g);
		}
		machine_released(n->m, g, n->release_err);
		break;
	case WORK_SAVE:
		for (unsigned k = 0; k < SIM_GROUPS && !n->save_err; k++) {
			assert_true(job.groups[k].top >= n->disk[k].top);
			n->disk[k] = (struct sim_durable){job.groups[k].epoch, job.groups[k].top,
				job.groups[k].owner, job.groups[k].preferred};
		}
		machine_saved(n->m, job.value, n->save_err);
		break;
	case WORK_PROVE:
		machine_proof(n->m, fenced);
		break;
	case WORK_JOURNAL:
		journal_do(n, &job);
		break;
	case WORK_GIVE_BACK:
		n->adopted = false;
		machine_given_back(n->m);
		break;
	}
}

void sim_order(struct sim_node *n)
{
	struct sim_entry e = queue_take(n->outbox, &n->outbox_count);

	for (uint8_t i = 1; i <= 2; i++) {
		struct sim_node *to = &n->sim->node[i];

		if (to->alive && (to == n || !n->sim->split)) {
			assert_true(to->inbox_count < SIM_QUEUE_MAX);
			to->inbox[to->inbox_count] = e;
			to->inbox[to->inbox_count].bytes = malloc((size_t)e.length);
			memcpy(to->inbox[to->inbox_count++].bytes, e.bytes, (size_t)e.length);
		}
	}
	free(e.bytes);
}

void sim_deliver(struct sim_node *n)
{
	struct sim_entry e = queue_take(n->inbox, &n->inbox_count);
	struct message msg;

	if (!e.bytes) {
		machine_confchg(n->m, e.members, e.member_count, e.peer_left, e.left);
		return;
	}
	assert_int_equal(message_decode(e.bytes, (size_t)e.length, &msg, &n->sim->room), 0);
	if (!n->old || msg.type < MESSAGE_LEDGER) {
		machine_deliver(n->m, &msg);
	}
	free(e.bytes);
}

/* Saves and answers of one kind come in their order; everything else in any. */
static bool job_is_first(const struct sim_node *n, unsigned i)
{
	for (unsigned k = 0; k < i; k++) {
		if (n->jobs[k].work == n->jobs[i].work &&
			(n->jobs[i].work == WORK_SAVE || n->jobs[i].work == WORK_JOURNAL ||
				n->jobs[k].group == n->jobs[i].group)) {
			return false;
		}
	}
	return true;
}

bool sim_step(struct sim *sim)
{
	unsigned pick, total = 0;

	for (uint8_t i = 1; i <= 2; i++) {
		const struct sim_node *n = &sim->node[i];

		total += n->alive && !sim->frozen[i]
				 ? (n->inbox_count > 0) + (n->outbox_count > 0) + n->job_count +
					   (n->scsi.held_count > 0)
				 : 0;
	}
	if (!total) {
		return false;
	}
	pick = sim_random(sim, total);
	for (uint8_t i = 1; i <= 2; i++) {
		struct sim_node *n = &sim->node[i];
		unsigned in = n->inbox_count > 0, out = n->outbox_count > 0;

		if (!n->alive || sim->frozen[i]) {
			continue;
		}
		if (pick < in) {
			sim_deliver(n);
			return true;
		}
		pick -= in;
		if (pick < out) {
			sim_order(n);
			return true;
		}
		pick -= out;
		if (pick < n->job_count) {
			while (!job_is_first(n, pick)) {
				pick--;
			}
			if (!sim->hooks || sim->hooks->may(n, &n->jobs[pick])) {
				sim_job_do(n, pick);
			}
			return true;
		}
		pick -= n->job_count;
		if (pick < (n->scsi.held_count > 0)) {
			fake_ledger_publish(&n->scsi);
			return true;
		}
		pick -= n->scsi.held_count > 0;
	}
	return true;
}

void sim_run_late(struct sim *sim, uint8_t late)
{
	bool some = true;

	while (some) {
		some = false;
		for (uint8_t i = 1; i <= 2; i++) {
			struct sim_node *n = &sim->node[i];

			while (n->alive && n->outbox_count) {
				sim_order(n);
				some = true;
			}
			while (n->alive && n->inbox_count) {
				sim_deliver(n);
				some = true;
			}
			while (late != i + 2 && n->alive && fake_ledger_publish(&n->scsi)) {
				some = true;
			}
			for (unsigned k = 0; k < n->job_count; k++) {
				if (late != i || n->jobs[k].work != WORK_JOURNAL) {
					sim_job_do(n, k);
					some = true;
					break;
				}
			}
		}
	}
}

void sim_run_without(struct sim *sim, enum sim_work stuck)
{
	bool any = true;

	while (any) {
		any = false;
		for (uint8_t id = 1; id <= 2; id++) {
			struct sim_node *n = &sim->node[id];

			if (n->inbox_count) {
				sim_deliver(n);
				any = true;
			}
			if (n->outbox_count) {
				sim_order(n);
				any = true;
			}
			for (unsigned i = 0; i < n->job_count; i++) {
				if (n->jobs[i].work != stuck) {
					sim_job_do(n, i);
					any = true;
					break;
				}
			}
		}
	}
}

/* Locks that were taken ahead of a claim do not outlive the reason for it. */
static void locks_check(const struct sim *sim)
{
	for (uint8_t i = 1; i <= 2; i++) {
		const struct sim_node *n = &sim->node[i];

		for (uint16_t g = 0; g < SIM_GROUPS && n->alive; g++) {
			const struct ha_group *group = &n->m->groups[g];

			assert_int_equal(n->locked[g], group->locked);
			assert_true(!n->locked[g] || !machine_in_sync(n->m) ||
				    (group->owner == n->id && group->phase == PHASE_COMMITTING));
		}
	}
}

void sim_run(struct sim *sim)
{
	unsigned steps = 0;

	while (sim_step(sim)) {
		assert_true(++steps < 20000); /* or it goes round in circles */
	}
	locks_check(sim);
}

void sim_pass(struct sim *sim, uint64_t ms)
{
	uint64_t end = sim->now_ms + ms;

	sim_run(sim);
	while (sim->now_ms < end) {
		sim->now_ms += 50;
		for (uint8_t i = 1; i <= 2; i++) {
			if (sim->node[i].alive) {
				machine_tick(sim->node[i].m);
			}
		}
		sim_run(sim);
	}
}

/* ----- actions
 * ------------------------------------------------------------------------------------- */

void sim_done(void *arg, enum ha_result result, const char *message)
{
	int *to = arg;

	assert_non_null(message);
	if (to) {
		assert_int_equal(*to, -1); /* exactly once */
		*to = (int)result;
	}
}

void sim_promote(struct sim *sim, uint8_t id, uint16_t group, int *result)
{
	if (result) {
		*result = -1;
	}
	machine_group_promote(sim->node[id].m, group, sim_done, result);
}

void sim_demote(struct sim *sim, uint8_t id, uint16_t group)
{
	machine_group_demote(sim->node[id].m, group, sim_done, NULL);
}

void sim_start(struct sim *sim, uint8_t id, uint16_t group)
{
	machine_group_start(sim->node[id].m, group, sim_done, NULL);
}

void sim_stop(struct sim *sim, uint8_t id, uint16_t group, int *result)
{
	if (result) {
		*result = -1;
	}
	machine_group_stop(sim->node[id].m, group, sim_done, result);
}

void sim_move(struct sim *sim, uint8_t id, uint16_t group, uint8_t to, unsigned ms, int *result)
{
	*result = -1;
	machine_group_move(sim->node[id].m, group, to, ms, sim_done, result);
}

/* Invariant I4 at the moment of GOOD. */
static void submitted_done(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	struct sim_submitted *e = arg;
	uint64_t bit = 1ull << (e - e->sim->entries);
	unsigned kept = 0;

	assert_int_equal(e->outcome, -1); /* exactly once */
	e->outcome = (int)outcome;
	e->result = result;
	for (uint8_t i = 1; i <= 2 && outcome == LEDGER_DONE; i++) {
		const struct sim_node *n = &e->sim->node[i];
		bool durable = n->journal.lus[e->lu].seen & bit;

		kept += durable;
		/* Whoever lives and has been counted has it; so has its disk, unless that fails. */
		if (n->alive && machine_in_sync(n->m) && !n->m->syncing) {
			assert_true(n->scsi.lus[e->lu].seen & bit);
			assert_true(durable || n->m->ledger->err || i != e->at);
		}
	}
	assert_true(outcome != LEDGER_DONE || kept > 0);
}

struct sim_submitted *sim_submit(struct sim *sim, uint8_t id, uint16_t group)
{
	struct sim_submitted *e = &sim->entries[sim->entry_count];
	uint8_t bytes[2] = {'e', (uint8_t)sim->entry_count};
	struct ledger_entry entry = {.group = group, .bytes = bytes, .length = sizeof(bytes)};

	if (sim->entry_count == SIM_ENTRIES) {
		return NULL;
	}
	sim->entry_count++;
	*e = (struct sim_submitted){
		.sim = sim, .at = id, .lu = (uint8_t)group, .used = true, .outcome = -1};
	memcpy(entry.lu, fake_ledger_lu(group), 16);
	entry.epoch = sim_group(sim, id, group)->epoch;
	machine_submit(sim->node[id].m, &entry, submitted_done, e);
	return e;
}

void sim_check_entries(struct sim *sim)
{
	const struct sim_node *a = &sim->node[1], *b = &sim->node[2];

	assert_true(machine_has_peer(a->m) && machine_has_peer(b->m));
	assert_true(fake_ledger_same(&a->scsi, &b->scsi));
	assert_int_equal(a->m->ledger->index, b->m->ledger->index);
	assert_int_equal(a->m->ledger->digest, b->m->ledger->digest);
	for (unsigned i = 0; i < sim->entry_count; i++) {
		const struct sim_submitted *e = &sim->entries[i];
		bool there = a->scsi.lus[e->lu].seen & 1ull << i;

		if (e->outcome == LEDGER_DONE) {
			assert_true(there);
		} else if (e->outcome >= 0) {
			/*
			 * Cut off once more between the snapshot and the end of the round: the one
			 * that sent it cannot tell that it was taken. The command runs again, and
			 * the device server knows it by its serial.
			 */
			assert_true(sim->may_repeat || !there);
			sim->repeated += there;
		}
	}
	for (uint8_t i = 1; i <= 2; i++) {
		assert_memory_equal(sim->node[i].journal.lus, a->scsi.lus, sizeof(a->scsi.lus));
		assert_int_equal(sim->node[i].journal.index, a->m->ledger->index);
	}
}

struct ha_group *sim_group(struct sim *sim, uint8_t id, uint16_t group)
{
	return &sim->node[id].m->groups[group];
}

enum group_access sim_access(struct sim *sim, uint8_t id, uint16_t group)
{
	return sim->node[id].view[group].access;
}

struct sim *sim_pair(uint64_t seed, uint8_t owner)
{
	struct sim *sim = sim_new(seed);
	int result;

	sim_boot(sim, 1);
	sim_boot(sim, 2);
	sim_run(sim);
	sim_link(sim, true);
	for (uint8_t i = 1; i <= 2; i++) {
		for (uint16_t g = 0; g < SIM_GROUPS; g++) {
			sim_start(sim, i, g);
		}
	}
	sim_run(sim);
	if (owner) {
		sim_promote(sim, owner, 0, &result);
		sim_run(sim);
		assert_int_equal(result, HA_OK);
	}
	return sim;
}
