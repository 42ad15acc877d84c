/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The glue between the group state machine and the world: Corosync, the disk, the device server,
 * the interconnect, Pacemaker and the clock. Nothing is decided here.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "glue.h"
#include "spawn.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define CONTROLLER_TEXT_BYTES (STATE_NAME_BYTES_MAX + 32)
#define POLL_MS		      250 /* health, sessions, and the check that this process runs */
#define SLEPT_MS	      1000 /* a gap between two polls that may hide a change of membership */
#define LEASE_MS	      2000 /* what the reactors may do without a word from this thread */

/* ----- the clock ------------------------------------------------------------------------------ */

/* Runs while the machine sleeps, too; only differences count. */
static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t op_now_ms(void *ctx)
{
	return clock_ms();
}

static uint64_t op_unix_s(void *ctx)
{
	return (uint64_t)time(NULL);
}

static void on_due(void *arg);

/*
 * Invariant I9: the reactors serve only while this thread runs and knows who is a member. It must
 * have been awake all the time: whoever has slept looks at the membership first.
 */
static void lease_renew(struct ha *ha, uint64_t now)
{
	if (machine_is_sure(ha->machine) && now - ha->polled_ms <= SLEPT_MS) {
		ha->setup.serve->renew(ha->setup.serve->ctx, LEASE_MS);
	}
}

void ha_settled(struct ha *ha)
{
	uint64_t next = machine_next_ms(ha->machine), now = clock_ms();
	uint64_t wait_ms = next > now ? next - now : 1;

	lease_renew(ha, now);

	if (ha->due_armed && ha->due_ms != next) {
		qb_loop_timer_del(ha->setup.loop, ha->due_timer);
		ha->due_armed = false;
	}
	if (!ha->due_armed && next) {
		ha->due_ms = next;
		ha->due_armed =
			qb_loop_timer_add(ha->setup.loop, QB_LOOP_HIGH,
				wait_ms * QB_TIME_NS_IN_MSEC, ha, on_due, &ha->due_timer) == 0;
	}
}

static void on_due(void *arg)
{
	struct ha *ha = arg;

	ha->due_armed = false;
	machine_tick(ha->machine);
	ha_settled(ha);
}

/* Invariant I9: whoever wakes up from a long sleep holds first and asks afterwards. */
static void awake_check(struct ha *ha)
{
	uint64_t now = clock_ms(), gap = now - ha->polled_ms;

	ha->polled_ms = now;
	if (gap > SLEPT_MS) {
		machine_slept(ha->machine, gap);
	}
}

static void world_look(struct ha *ha)
{
	ha->sessions = ha->setup.sessions(ha->setup.arg);
	for (unsigned i = 0; i < ha->setup.conf->group_count; i++) {
		ha->slots[i].healthy = ha->setup.serve->healthy(ha->setup.serve->ctx, (uint16_t)i);
		if (ha->setup.serve->key_lost(ha->setup.serve->ctx, (uint16_t)i)) {
			machine_key_lost(ha->machine, (uint16_t)i);
		}
	}
}

static void on_poll(void *arg)
{
	struct ha *ha = arg;

	ha->poll_armed = qb_loop_timer_add(ha->setup.loop, QB_LOOP_HIGH,
				 POLL_MS * QB_TIME_NS_IN_MSEC, ha, on_poll, &ha->poll_timer) == 0;
	awake_check(ha);
	world_look(ha);
	journal_watch(ha->journal, clock_ms());
	machine_tick(ha->machine);
	ha_settled(ha);
}

/* ----- the cluster ---------------------------------------------------------------------------- */

static void op_send(void *ctx, const struct message *msg)
{
	struct ha *ha = ctx;
	struct message copy = *msg;
	int length;

	copy.sender = ha->setup.controller;
	copy.incarnation = ha->incarnation;
	length = message_encode(&copy, ha->bytes, MESSAGE_BYTES_MAX);
	if (length > 0 && ha->transport) {
		transport_send(ha->transport, ha->bytes, (size_t)length);
	}
}

static void on_before(void *arg)
{
	awake_check(arg);
}

static void on_after(void *arg)
{
	ha_settled(arg);
}

static void drill_woken(void *arg, int status, const char *output, size_t length)
{
	log_notice("drill: this daemon goes on");
}

/* `yokectl drill` at the other controller wants this daemon to die, or to stop for a while. */
static void drill_deliver(struct ha *ha, const struct message *msg)
{
	char wake[64];
	const char *argv[] = {"sh", "-c", wake, NULL};

	if (msg->controller != ha->setup.controller || msg->sender == msg->controller) {
		return;
	}
	log_warning("drill asked for at controller %u: this daemon %s", msg->sender,
		msg->seconds ? "stops for a while" : "dies");
	if (!msg->seconds) {
		raise(SIGKILL);
	}
	snprintf(wake, sizeof(wake), "sleep %u; kill -CONT %d", msg->seconds, (int)getpid());
	/* Nobody to wake it: then it does not stop. */
	if (spawn_run(ha->setup.loop, argv, (MESSAGE_DRILL_S_MAX + 10) * 1000, drill_woken, ha)) {
		raise(SIGSTOP);
	}
}

/* Peers are outside, too: a bad message is dropped and counted, and changes nothing. */
static void on_deliver(void *arg, uint32_t node, uint32_t pid, const void *bytes, size_t size)
{
	struct ha *ha = arg;
	struct message msg;
	int err = message_decode(bytes, size, &msg, ha->room);

	if (!err && msg.sender != node) {
		err = -EPERM;
	}
	if (!err && node <= YOKE_CONTROLLERS && ha->machine->pids[node] != pid) {
		return; /* another process of that node; see on_members() */
	}
	if (err) {
		if (ha->refused++ % 1000 == 0) {
			log_warning("CPG: message of %zu bytes from node %u process %u refused: %s "
				    "(%u so far)",
				size, node, pid,
				err == -ENOTSUP ? "its version or type is not known here; run the "
						  "same yoked on both controllers"
						: "malformed or not from who it says",
				ha->refused);
		}
		return;
	}
	if (msg.type == MESSAGE_HOSTS) {
		if (msg.sender == ha->other->id) {
			ha->setup.peer_hosts(ha->setup.arg, msg.blob, msg.blob_length);
		}
		return;
	}
	if (msg.type == MESSAGE_DRILL) {
		drill_deliver(ha, &msg);
		return;
	}
	machine_deliver(ha->machine, &msg);
}

static void on_members(void *arg, const struct transport_member *members, size_t count,
	const struct transport_member *left, size_t left_count, bool node_down)
{
	struct ha *ha = arg;
	struct machine_member now[YOKE_CONTROLLERS];
	uint32_t pids[YOKE_CONTROLLERS + 1] = {0};
	bool other_left = false;
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t node = members[i].node;

		if (node < 1 || node > YOKE_CONTROLLERS) {
			log_warning("CPG: node %u is no controller, ignored", node);
			continue;
		}
		/* A second process of a node: whoever was there stays, and the newcomer ends. */
		if (!pids[node] || members[i].pid == ha->machine->pids[node]) {
			pids[node] = members[i].pid;
		}
	}
	if (pids[ha->setup.controller] && !ha->machine->joined &&
		pids[ha->setup.controller] != (uint32_t)getpid() && left_count == 0) {
		for (size_t i = 0; i < count; i++) {
			if (members[i].node == ha->setup.controller &&
				members[i].pid == (uint32_t)getpid()) {
				machine_dead(ha->machine,
					"another yoked of this controller is running already");
				return;
			}
		}
	}
	for (uint8_t c = 1; c <= YOKE_CONTROLLERS; c++) {
		if (pids[c]) {
			now[n++] = (struct machine_member){c, pids[c]};
		}
	}
	for (size_t i = 0; i < left_count; i++) {
		other_left = other_left || left[i].node == ha->other->id;
	}
	if (pids[ha->other->id]) {
		reach_joined(&ha->reach);
	} else if (other_left && node_down) {
		reach_lost(&ha->reach);
	}
	machine_confchg(ha->machine, now, n, other_left, node_down ? LEFT_NODE : LEFT_PROCESS);
}

static void on_quorum(void *arg, bool quorate, uint32_t nodes)
{
	struct ha *ha = arg;

	ha->nodes = nodes;
	reach_quorum(&ha->reach, nodes & 1u << ha->other->id, clock_ms());
	machine_quorum(ha->machine, quorate);
}

static void on_lost(void *arg, const char *reason)
{
	struct ha *ha = arg;

	machine_dead(ha->machine, reason);
}

static void op_fatal(void *ctx, const char *reason)
{
	struct ha *ha = ctx;

	ha->setup.lost(ha->setup.arg, reason);
}

static bool op_peer_in_reach(void *ctx)
{
	struct ha *ha = ctx;

	return !reach_is_out(&ha->reach);
}

static int op_adopt(void *ctx)
{
	struct ha *ha = ctx;

	return ha->setup.adopt(ha->setup.arg);
}

static void op_give_back(void *ctx)
{
	struct ha *ha = ctx;

	ha->setup.give_back(ha->setup.arg);
}

static void op_ready(void *ctx)
{
	struct ha *ha = ctx;

	ha->setup.ready(ha->setup.arg);
}

/* ----- the configuration ---------------------------------------------------------------------- */

static bool op_conf_prepare(
	void *ctx, const uint8_t digest[32], const char *edit, char *why, size_t size)
{
	const struct ha_setup *setup = &((struct ha *)ctx)->setup;

	return setup->conf_ops->prepare(setup->conf_arg, digest, edit, why, size);
}

static void op_conf_activate(void *ctx)
{
	const struct ha_setup *setup = &((struct ha *)ctx)->setup;

	setup->conf_ops->activate(setup->conf_arg);
}

static void op_conf_drop(void *ctx)
{
	const struct ha_setup *setup = &((struct ha *)ctx)->setup;

	setup->conf_ops->drop(setup->conf_arg);
}

static void op_conf_wanted(void *ctx, const uint8_t digest[32])
{
	const struct ha_setup *setup = &((struct ha *)ctx)->setup;

	setup->conf_ops->wanted(setup->conf_arg, digest);
}

/* ----- the disk ------------------------------------------------------------------------------- */

static struct state_group *record_of(struct state *state, const char *name)
{
	for (unsigned i = 0; i < state->group_count; i++) {
		if (strcmp(state->groups[i].name, name) == 0) {
			return &state->groups[i];
		}
	}
	return NULL;
}

/* Records of groups that are not configured are kept: an epoch must survive its group's absence. */
static void op_save(void *ctx, uint64_t seq)
{
	struct ha *ha = ctx;

	for (unsigned i = 0; i < ha->machine->group_count; i++) {
		const struct ha_group *g = &ha->machine->groups[i];
		const char *name = ha->setup.conf->groups[i].name;
		struct state_group *r = record_of(ha->writing, name);

		if (!r) {
			r = &ha->writing->groups[ha->writing->group_count++];
			snprintf(r->name, sizeof(r->name), "%s", name);
		}
		r->epoch = g->epoch;
		r->top = g->top;
		r->owner = g->owner;
		r->preferred = g->preferred;
	}
	state_writer_put(ha->writer, ha->writing, seq);
}

static void on_saved(void *arg, uint64_t seq, int err)
{
	struct ha *ha = arg;

	machine_saved(ha->machine, seq, err);
	ha_settled(ha);
}

static void op_journal_append(void *ctx, uint64_t index, const struct ledger_entry *entry)
{
	journal_append(((struct ha *)ctx)->journal, index, entry);
}

static void op_journal_replace(void *ctx, uint64_t index, uint64_t number)
{
	journal_replace(((struct ha *)ctx)->journal, index, number);
}

static void op_journal_mark(void *ctx, uint64_t index, bool alone, uint64_t number)
{
	journal_mark(((struct ha *)ctx)->journal, index, alone, number);
}

static void on_journal(void *arg)
{
	struct ha *ha = arg;
	struct journal_status status;

	journal_status(ha->journal, &status);
	machine_journaled(ha->machine, status.durable, status.replaced, status.err);
	ha_settled(ha);
}

static void ledger_submit(void *ctx, const struct ledger_entry *entry,
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg)
{
	struct ha *ha = ctx;

	machine_submit(ha->machine, entry, done, arg);
	ha_settled(ha);
}

const struct ledger *ha_ledger(struct ha *ha)
{
	return &ha->ledger;
}

/* ----- the device server ------------------------------------------------------------------------
 */

static void on_applied(void *arg)
{
	struct ha_group_slot *slot = arg;

	machine_applied(slot->ha->machine, slot->index, ++slot->applied);
	ha_settled(slot->ha);
}

static void op_publish(void *ctx, const struct group_view *view, uint64_t seq)
{
	struct ha *ha = ctx;

	ha->setup.serve->publish(ha->setup.serve->ctx, view, on_applied, &ha->slots[view->group]);
}

static void on_drained(void *arg)
{
	struct ha_group_slot *slot = arg;

	machine_drained(slot->ha->machine, slot->index);
	ha_settled(slot->ha);
}

static void op_drain(void *ctx, uint16_t group)
{
	struct ha *ha = ctx;

	ha->setup.serve->drain(ha->setup.serve->ctx, group, on_drained, &ha->slots[group]);
}

static void on_claimed(void *arg, int err)
{
	struct ha_group_slot *slot = arg;

	slot->healthy = err == 0;
	machine_claimed(slot->ha->machine, slot->index, err);
	ha_settled(slot->ha);
}

static void op_lock(void *ctx, uint16_t group)
{
	struct ha *ha = ctx;

	ha->setup.serve->lock(ha->setup.serve->ctx, group);
}

static void op_unlock(void *ctx, uint16_t group)
{
	struct ha *ha = ctx;

	ha->setup.serve->unlock(ha->setup.serve->ctx, group);
}

static void op_claim(void *ctx, uint16_t group, uint64_t epoch)
{
	struct ha *ha = ctx;

	ha->setup.serve->claim(ha->setup.serve->ctx, group, epoch, HA_CLAIM_TIMEOUT_MS, on_claimed,
		&ha->slots[group]);
}

static void on_released(void *arg, int err)
{
	struct ha_group_slot *slot = arg;

	machine_released(slot->ha->machine, slot->index, err);
	ha_settled(slot->ha);
}

static void op_release(void *ctx, uint16_t group)
{
	struct ha *ha = ctx;

	ha->setup.serve->release(ha->setup.serve->ctx, group, on_released, &ha->slots[group]);
}

static bool op_healthy(void *ctx, uint16_t group)
{
	return ((struct ha *)ctx)->slots[group].healthy;
}

static unsigned op_sessions(void *ctx)
{
	return ((struct ha *)ctx)->sessions;
}

/* ----- the interconnect -------------------------------------------------------------------------
 */

static void op_peer_up(void *ctx, uint64_t incarnation)
{
	struct ha *ha = ctx;

	if (ha->setup.ship) {
		ship_peer_up(ha->setup.ship, incarnation);
	}
	pacemaker_other_back(ha->pacemaker);
}

static void op_peer_down(void *ctx)
{
	struct ha *ha = ctx;

	if (ha->setup.ship) {
		ship_peer_down(ha->setup.ship);
	}
}

static void op_peer_gone(void *ctx)
{
	struct ha *ha = ctx;

	if (ha->setup.ship) {
		ship_peer_gone(ha->setup.ship);
	}
}

static bool op_peer_awaited(void *ctx)
{
	struct ha *ha = ctx;

	const struct ledger_serve *serve = ha->setup.ledger;

	return (ha->setup.ship && ship_awaits_peer(ha->setup.ship)) ||
	       (serve && serve->awaits_peer && serve->awaits_peer(serve->ctx));
}

static void on_link(void *arg, bool up)
{
	struct ha *ha = arg;

	machine_link(ha->machine, up);
	ha_settled(ha);
}

/* ----- Pacemaker -------------------------------------------------------------------------------
 */

static void op_score(void *ctx, uint16_t group, int score)
{
	pacemaker_score_set(((struct ha *)ctx)->pacemaker, group, score);
}

static void op_notice(void *ctx, uint16_t group)
{
	pacemaker_fail_other(((struct ha *)ctx)->pacemaker, group);
}

static void op_died(void *ctx)
{
	pacemaker_fail_controller(((struct ha *)ctx)->pacemaker);
}

static void on_proved(void *arg, bool proven)
{
	struct ha *ha = arg;

	machine_proof(ha->machine, proven);
	ha_settled(ha);
}

static void op_prove(void *ctx)
{
	struct ha *ha = ctx;

	/*
	 * Its node is one of ours again and has been for a while, but no daemon of it is in the
	 * group: then there is none. Else Pacemaker has to say so.
	 */
	if (reach_is_settled(&ha->reach, clock_ms())) {
		on_proved(ha, true);
	} else {
		pacemaker_prove(ha->pacemaker);
	}
}

static const struct machine_ops ops = {
	.now_ms = op_now_ms,
	.unix_s = op_unix_s,
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
	.conf_prepare = op_conf_prepare,
	.conf_activate = op_conf_activate,
	.conf_drop = op_conf_drop,
	.conf_wanted = op_conf_wanted,
	.ready = op_ready,
	.fatal = op_fatal,
};

/* ----- the start and the end
 * ---------------------------------------------------------------------- */

static bool groups_fit(const struct ha *ha, char *error, size_t error_size)
{
	const struct conf *conf = ha->setup.conf;
	unsigned others = ha->loaded->group_count;

	if (conf->group_count > MESSAGE_GROUPS_MAX) {
		snprintf(error, error_size, "%u groups are configured, %u are possible",
			conf->group_count, MESSAGE_GROUPS_MAX);
		return false;
	}
	for (unsigned i = 0; i < conf->group_count; i++) {
		if (strlen(conf->groups[i].name) > STATE_NAME_BYTES_MAX) {
			snprintf(error, error_size, "group %s: its name is longer than %u bytes",
				conf->groups[i].name, STATE_NAME_BYTES_MAX);
			return false;
		}
		others -= record_of(ha->loaded, conf->groups[i].name) != NULL;
	}
	if (others + conf->group_count > MESSAGE_GROUPS_MAX) {
		snprintf(error, error_size,
			"%s/groups.state remembers %u groups that are not configured any more; "
			"remove the file while the other controller is in sync",
			conf->state_dir, others);
		return false;
	}
	return true;
}

static bool state_take(struct ha *ha, char *error, size_t error_size)
{
	const struct conf *conf = ha->setup.conf;

	if (state_load(conf->state_dir, conf->cluster, ha->setup.controller, ha->loaded, error,
		    error_size) != 0 ||
		!groups_fit(ha, error, error_size)) {
		return false;
	}
	for (unsigned i = 0; i < conf->group_count; i++) {
		const struct state_group *r = record_of(ha->loaded, conf->groups[i].name);
		struct ha_group *g = &ha->machine->groups[i];

		if (r) {
			g->epoch = r->epoch;
			g->top = r->top;
			g->owner = r->owner;
			g->preferred = r->preferred;
		}
	}
	*ha->writing = *ha->loaded;
	return true;
}

static bool ledger_take(struct ha *ha, char *error, size_t error_size)
{
	const struct conf *conf = ha->setup.conf;
	char owner[CONTROLLER_TEXT_BYTES];
	struct journal_setup setup = {.dir = conf->state_dir,
		.owner = owner,
		.control = ha->setup.control,
		.serve = ha->setup.ledger,
		.changed = on_journal,
		.arg = ha};
	struct journal_status status;
	uint64_t index;

	snprintf(owner, sizeof(owner), "cluster %s, controller %u", conf->cluster,
		ha->setup.controller);
	ha->journal = journal_open(&setup, &index, error, error_size);
	if (!ha->journal) {
		return false;
	}
	journal_status(ha->journal, &status);
	machine_ledger_set(ha->machine, ha->setup.ledger, index, status.alone, status.err);
	ha->ledger = (struct ledger){.ctx = ha, .submit = ledger_submit};
	return true;
}

static bool memory_take(struct ha *ha)
{
	const struct conf *conf = ha->setup.conf;

	ha->loaded = calloc(1, sizeof(*ha->loaded));
	ha->writing = calloc(1, sizeof(*ha->writing));
	ha->room = calloc(1, sizeof(*ha->room));
	ha->bytes = malloc(MESSAGE_BYTES_MAX);
	ha->slots = calloc(conf->group_count + 1, sizeof(*ha->slots));
	ha->machine = machine_new(conf, ha->setup.controller, ha->incarnation, &ops, ha);
	ha->pacemaker = pacemaker_new(ha->setup.loop, conf, ha->other->name, on_proved, ha);
	if (ha->pacemaker) {
		/* Set when Pacemaker has started this daemon; the other's has the same name. */
		pacemaker_controller_set(ha->pacemaker, getenv("OCF_RESOURCE_INSTANCE"));
	}
	ha->writer = state_writer_new(conf->state_dir, ha->setup.control, on_saved, ha);
	for (unsigned i = 0; ha->slots && i < conf->group_count; i++) {
		ha->slots[i].ha = ha;
		ha->slots[i].index = (uint16_t)i;
	}
	return ha->loaded && ha->writing && ha->room && ha->bytes && ha->slots && ha->machine &&
	       ha->pacemaker && ha->writer;
}

static bool cluster_join(struct ha *ha, char *error, size_t error_size)
{
	struct quorum_setup quorum = {.loop = ha->setup.loop,
		.changed = on_quorum,
		.lost = on_lost,
		.before = on_before,
		.after = on_after,
		.arg = ha};
	struct transport_setup transport = {.loop = ha->setup.loop,
		.cluster = ha->setup.conf->cluster,
		.node = ha->setup.controller,
		.deliver = on_deliver,
		.members = on_members,
		.lost = on_lost,
		.before = on_before,
		.after = on_after,
		.arg = ha};

	ha->quorum = quorum_new(&quorum, error, error_size);
	if (!ha->quorum) {
		return false;
	}
	ha->transport = transport_new(&transport, error, error_size);
	return ha->transport != NULL;
}

static bool incarnation_take(struct ha *ha)
{
	if (ha->setup.ship) {
		ha->incarnation = ship_incarnation(ha->setup.ship);
		return true;
	}
	return getrandom(&ha->incarnation, sizeof(ha->incarnation), 0) == sizeof(ha->incarnation);
}

struct ha *ha_new(const struct ha_setup *setup, char *error, size_t error_size)
{
	struct ha *ha = calloc(1, sizeof(*ha));

	if (!ha) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	ha->setup = *setup;
	ha->polled_ms = clock_ms();
	for (unsigned i = 0; i < setup->conf->controller_count; i++) {
		if (setup->conf->controllers[i].id != setup->controller) {
			ha->other = &setup->conf->controllers[i];
		}
	}
	snprintf(error, error_size, "out of memory, or no second controller is configured");
	if (!ha->other || !incarnation_take(ha) || !memory_take(ha)) {
		ha_free(ha);
		return NULL;
	}
	if (!state_take(ha, error, error_size) || !ledger_take(ha, error, error_size)) {
		ha_free(ha);
		return NULL;
	}
	if (setup->ship) {
		ship_link_set(setup->ship, on_link, ha);
	}
	world_look(ha);
	machine_start(ha->machine);
	if (!cluster_join(ha, error, error_size)) {
		ha_free(ha);
		return NULL;
	}
	on_poll(ha);
	return ha;
}

void ha_free(struct ha *ha)
{
	if (!ha) {
		return;
	}
	if (ha->poll_armed) {
		qb_loop_timer_del(ha->setup.loop, ha->poll_timer);
	}
	if (ha->due_armed) {
		qb_loop_timer_del(ha->setup.loop, ha->due_timer);
	}
	transport_free(ha->transport);
	quorum_free(ha->quorum);
	pacemaker_free(ha->pacemaker);
	state_writer_free(ha->writer);
	journal_free(ha->journal);
	machine_free(ha->machine);
	free(ha->slots);
	free(ha->bytes);
	free(ha->room);
	free(ha->writing);
	free(ha->loaded);
	free(ha);
}
