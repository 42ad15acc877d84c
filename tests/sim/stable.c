/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state directory of each controller, in place of ha/state.c, ha/state_writer.c and
 * daemon/base/journal.c: writes take time; what was under way when the power went is there, not
 * there, or (the journal) torn. The journal's bytes are those of daemon/base/journal_format.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"
#include "yoke/util.h"

/* How long a write takes. */
static uint64_t write_delay(struct node *node, uint64_t least_ns)
{
	uint64_t delay = sim_delay(node->sim, least_ns, 30 * MS);
	uint64_t until = node->stable.hangs_until_ns;

	return until > node->sim->now_ns ? until - node->sim->now_ns + delay : delay;
}

/* ----- groups.state --------------------------------------------------------------------------- */

struct state_writer {
	struct node *node;
	void (*saved)(void *arg, uint64_t seq, int err);
	void *arg;
	struct stable_group wanted[SIM_GROUPS], writing[SIM_GROUPS];
	uint64_t wanted_seq, writing_seq, told_seq;
	bool due, busy;
	struct mailbox_msg msg;
};

int state_load(const char *dir, const char *cluster, uint8_t controller, struct state *state,
	char *error, size_t error_size)
{
	const struct node *node = &the_sim->node[controller];

	(void)dir;
	(void)error;
	(void)error_size;
	snprintf(state->cluster, sizeof(state->cluster), "%s", cluster);
	state->controller = controller;
	state->group_count = node->stable.written ? SIM_GROUPS : 0;
	for (unsigned i = 0; i < state->group_count; i++) {
		snprintf(state->groups[i].name, sizeof(state->groups[i].name), "%s",
			node->conf.groups[i].name);
		state->groups[i].epoch = node->stable.groups[i].epoch;
		state->groups[i].top = node->stable.groups[i].top;
		state->groups[i].owner = node->stable.groups[i].owner;
		state->groups[i].preferred = node->stable.groups[i].preferred;
	}
	return 0;
}

struct state_writer *state_writer_new(const char *dir, struct mailbox *control,
	void (*saved)(void *arg, uint64_t seq, int err), void *arg)
{
	struct node *node = container_of(control, struct node, control);
	struct state_writer *writer = sim_memory(node->sim, sizeof(*writer));

	(void)dir;
	writer->node = node;
	writer->saved = saved;
	writer->arg = arg;
	node->writer = writer;
	return writer;
}

static void state_put(struct node *node, const struct stable_group *groups)
{
	for (unsigned i = 0; i < SIM_GROUPS; i++) {
		if (groups[i].top < node->stable.groups[i].top) {
			sim_wrong(node->sim, "I2: controller %u forgets an epoch of group %u",
				node->id, i);
		}
	}
	memcpy(node->stable.groups, groups, sizeof(node->stable.groups));
	node->stable.written = true;
}

static void state_tell(struct mailbox_msg *msg)
{
	struct state_writer *writer = container_of(msg, struct state_writer, msg);

	writer->saved(writer->arg, writer->told_seq, 0);
}

static void state_begin(struct state_writer *writer);

static void state_written(void *arg)
{
	struct state_writer *writer = arg;

	if (writer->node->sim->bug != BUG_STATE_NOT_SAVED) {
		state_put(writer->node, writer->writing);
	}
	writer->busy = false;
	writer->told_seq = writer->writing_seq;
	writer->msg.fn = state_tell;
	mailbox_post(&writer->node->control, &writer->msg);
	if (writer->due) {
		state_begin(writer);
	}
}

static void state_begin(struct state_writer *writer)
{
	struct sim *sim = writer->node->sim;

	writer->due = false;
	writer->busy = true;
	memcpy(writer->writing, writer->wanted, sizeof(writer->writing));
	writer->writing_seq = writer->wanted_seq;
	/* Longer than it takes to hear of the former one: its message is free again. */
	sim_at(sim, writer->node, 500 * US + write_delay(writer->node, 0), state_written, writer);
}

void state_writer_put(struct state_writer *writer, const struct state *state, uint64_t seq)
{
	for (unsigned i = 0; i < SIM_GROUPS && i < state->group_count; i++) {
		writer->wanted[i] = (struct stable_group){.epoch = state->groups[i].epoch,
			.top = state->groups[i].top,
			.owner = state->groups[i].owner,
			.preferred = state->groups[i].preferred};
	}
	writer->wanted_seq = seq;
	writer->due = true;
	if (!writer->busy) {
		state_begin(writer);
	}
}

void state_writer_free(struct state_writer *writer)
{
	if (writer && writer->node->writer == writer) {
		writer->node->writer = NULL;
	}
}

/* ----- ledger.journal ------------------------------------------------------------------------- */

struct segment {
	struct segment *next;
	struct journal_bytes bytes;
	uint64_t index;
	bool replaces;
	uint64_t number;
	bool alone;
};

struct journal {
	struct node *node;
	struct journal_setup setup;
	char owner[64];
	bool alone;
	struct segment *head, **tail;
	struct segment *writing;
	uint64_t began_ms; /* with it */
	struct journal_bytes frame; /* what is being written */
	bool posted;
	struct journal_status status;
	struct journal_end end;
	struct mailbox_msg msg;
};

static void file_append(struct stable *stable, const uint8_t *bytes, size_t length)
{
	stable->journal = realloc(stable->journal, stable->journal_length + length + 1);
	memcpy(stable->journal + stable->journal_length, bytes, length);
	stable->journal_length += length;
}

static void journal_tell(struct mailbox_msg *msg)
{
	struct journal *j = container_of(msg, struct journal, msg);

	j->posted = false;
	j->setup.changed(j->setup.arg);
}

static void journal_note(struct journal *j)
{
	if (!j->posted) {
		j->posted = true;
		j->msg.fn = journal_tell;
		mailbox_post(&j->node->control, &j->msg);
	}
}

static uint32_t frame_make(struct journal *j, struct segment *s)
{
	uint32_t mark = (uint32_t)sim_random(j->node->sim);

	j->frame.length = 0;
	if (s->replaces) {
		(void)journal_begin_put(&j->frame, j->owner, mark, s->index, s->alone,
			s->bytes.base, s->bytes.length);
		return mark;
	}
	journal_frame_put(journal_bytes_add(&j->frame, JOURNAL_FRAME_BYTES), j->end.mark,
		j->end.number, s->bytes.base, s->bytes.length);
	memcpy(journal_bytes_add(&j->frame, s->bytes.length), s->bytes.base, s->bytes.length);
	return j->end.mark;
}

static void frame_put(struct node *node, struct journal *j)
{
	struct stable *stable = &node->stable;
	bool forgets = node->sim->bug == BUG_NOT_DURABLE && !j->writing->replaces;

	if (j->writing->replaces) {
		stable->journal_length = 0;
	}
	if (!forgets) {
		file_append(stable, j->frame.base, j->frame.length);
	}
}

static void segment_begin(struct journal *j);

static void segment_written(void *arg)
{
	struct journal *j = arg;
	struct segment *s = j->writing;

	frame_put(j->node, j);
	if (s->replaces) {
		j->end.number = 0;
	}
	j->end.number += j->node->sim->bug != BUG_NOT_DURABLE || s->replaces;
	j->end.index = s->index;
	j->end.good = j->node->stable.journal_length;
	j->status.bytes = j->end.good;
	if (s->replaces || s->index > j->status.durable) {
		j->status.durable = s->index;
	}
	if (s->number > j->status.replaced) {
		j->status.replaced = s->number;
	}
	j->status.err = 0;
	journal_bytes_free(&s->bytes);
	j->writing = NULL;
	journal_note(j);
	segment_begin(j);
}

static void segment_begin(struct journal *j)
{
	struct sim *sim = j->node->sim;

	if (j->writing || !j->head) {
		return;
	}
	j->writing = j->head;
	j->head = j->head->next;
	if (!j->head) {
		j->tail = &j->head;
	}
	j->end.mark = frame_make(j, j->writing);
	j->began_ms = sim->now_ns / MS;
	sim_at(sim, j->node, write_delay(j->node, 200 * US), segment_written, j);
}

static struct segment *segment_last(struct journal *j, bool replaces)
{
	struct segment *s = j->head ? container_of(j->tail, struct segment, next) : NULL;

	if (s && !s->replaces && !replaces) {
		return s;
	}
	s = sim_memory(j->node->sim, sizeof(*s));
	s->replaces = replaces;
	*j->tail = s;
	j->tail = &s->next;
	return s;
}

void journal_append(struct journal *j, uint64_t index, const struct ledger_entry *entry)
{
	struct segment *s = segment_last(j, false);

	(void)journal_record_put(&s->bytes, index, entry);
	s->index = index;
	segment_begin(j);
}

void journal_mark(struct journal *j, uint64_t index, bool alone, uint64_t number)
{
	struct segment *s;

	j->alone = alone;
	s = segment_last(j, false);
	(void)journal_mark_put(&s->bytes, index, alone);
	s->index = index;
	s->number = number;
	segment_begin(j);
}

void journal_replace(struct journal *j, uint64_t index, uint64_t number)
{
	struct segment *s = segment_last(j, true);

	(void)ledger_states_save(j->setup.serve, &s->bytes);
	s->index = index;
	s->number = number;
	s->alone = j->alone;
	segment_begin(j);
}

void journal_watch(struct journal *j, uint64_t now_ms)
{
	if (j->writing && !j->status.err && now_ms - j->began_ms >= JOURNAL_HANGS_MS) {
		j->status.err = JOURNAL_HANGS;
		journal_note(j);
	}
}

void journal_status(struct journal *j, struct journal_status *status)
{
	*status = j->status;
	status->alone = j->alone;
}

/* ----- the start ------------------------------------------------------------------------------ */

static void replay_applied(void *arg)
{
	(void)arg;
}

static int replay_base(void *ctx, uint64_t index, const uint8_t *states, size_t size)
{
	const struct journal *j = ctx;
	uint8_t lu[16];

	(void)index;
	return ledger_states_load(j->setup.serve, states, size, false, lu);
}

static int replay_entry(void *ctx, const struct ledger_entry *entry, uint64_t index)
{
	struct journal *j = ctx;

	j->setup.serve->apply(j->setup.serve->ctx, entry, index, replay_applied, j);
	return 0;
}

static void replay_jump(void *ctx, uint64_t index)
{
	(void)ctx;
	(void)index;
}

struct journal *journal_open(
	const struct journal_setup *setup, uint64_t *index, char *error, size_t error_size)
{
	struct node *node = container_of(setup->control, struct node, control);
	struct journal *j = sim_memory(node->sim, sizeof(*j));
	struct stable *stable = &node->stable;
	const struct journal_reader reader = {
		.ctx = j, .base = replay_base, .entry = replay_entry, .jump = replay_jump};

	j->node = node;
	j->setup = *setup;
	snprintf(j->owner, sizeof(j->owner), "%s", setup->owner);
	j->tail = &j->head;
	if (!stable->journal_length) {
		struct journal_bytes file = {0};

		j->end.mark = (uint32_t)sim_random(node->sim);
		(void)journal_begin_put(&file, j->owner, j->end.mark, 0, true, NULL, 0);
		file_append(stable, file.base, file.length);
		journal_bytes_free(&file);
	}
	if (journal_decode(stable->journal, stable->journal_length, j->owner, &reader, &j->end,
		    error, error_size)) {
		sim_wrong(node->sim, "controller %u refuses its journal: %s", node->id, error);
		return NULL;
	}
	stable->journal_length = j->end.good; /* what is torn is cut off */
	j->status.durable = j->end.index;
	j->status.bytes = j->end.good;
	j->alone = j->end.alone;
	*index = j->end.index;
	node->journal = j;
	return j;
}

void journal_free(struct journal *j)
{
	if (!j) {
		return;
	}
	if (j->writing) {
		journal_bytes_free(&j->writing->bytes);
	}
	for (struct segment *s = j->head; s; s = s->next) {
		journal_bytes_free(&s->bytes);
	}
	journal_bytes_free(&j->frame);
	if (j->node->journal == j) {
		j->node->journal = NULL;
	}
}

void stable_lost(struct node *node, bool power)
{
	struct sim *sim = node->sim;
	struct journal *j = node->journal;

	if (node->writer && node->writer->busy && sim_once_in(sim, 2) &&
		sim->bug != BUG_STATE_NOT_SAVED) {
		state_put(node, node->writer->writing);
	}
	if (!j || !j->writing || sim_once_in(sim, 2)) {
		return;
	}
	if (power && !j->writing->replaces) {
		file_append(&node->stable, j->frame.base,
			sim_below(sim, (uint32_t)j->frame.length + 1));
	} else {
		frame_put(node, j);
	}
}
