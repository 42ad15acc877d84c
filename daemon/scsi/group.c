/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/group.h"
#include "daemon/scsi/hold.h"
#include "yoke/log.h"
#include "yoke/util.h"

/*
 * A word to every reactor and back: made by the control thread, one message for each reactor, and
 * one to the control thread from the reactor that is the last to be done with it.
 */
struct round_part {
	struct mailbox_msg msg;
	struct scsi_round *round;
	struct scsi_core *core;
	struct qb_list_head link; /* core_group->drains */
};

struct scsi_round {
	struct qb_list_head link; /* scsi->rounds */
	struct scsi *scsi;
	struct group_view view; /* publish */
	uint16_t group; /* drain */
	void (*done)(void *arg);
	void *arg;
	atomic_uint left;
	struct mailbox_msg msg;
	struct round_part parts[];
};

static void round_ended(struct mailbox_msg *msg)
{
	struct scsi_round *round = container_of(msg, struct scsi_round, msg);

	qb_list_del(&round->link);
	if (round->done) {
		round->done(round->arg);
	}
	free(round);
}

static void round_part_done(struct round_part *part)
{
	struct scsi_round *round = part->round;

	if (atomic_fetch_sub_explicit(&round->left, 1, memory_order_acq_rel) == 1) {
		round->msg.fn = round_ended;
		mailbox_post(round->scsi->control, &round->msg);
	}
}

static struct scsi_round *round_new(
	struct scsi *scsi, void (*fn)(struct mailbox_msg *msg), void (*done)(void *arg), void *arg)
{
	struct scsi_round *round =
		calloc(1, sizeof(*round) + scsi->core_count * sizeof(round->parts[0]));

	if (!round) {
		/*
		 * A reactor that is not told to stop serving could write after its time. Better to
		 * end here, so that the other controller takes over.
		 */
		log_err("out of memory: cannot tell the reactors about a group; the daemon ends so "
			"that "
			"the other controller can take over");
		abort();
	}
	round->scsi = scsi;
	qb_list_add_tail(&round->link, &scsi->rounds);
	round->done = done;
	round->arg = arg;
	atomic_init(&round->left, scsi->core_count);
	for (unsigned i = 0; i < scsi->core_count; i++) {
		round->parts[i].round = round;
		round->parts[i].core = &scsi->cores[i];
		round->parts[i].msg.fn = fn;
	}
	return round;
}

/* What is under way when the daemon ends: no reactor and no control thread will look at it again.
 */
void scsi_rounds_free(struct scsi *scsi)
{
	while (!qb_list_empty(&scsi->rounds)) {
		struct scsi_round *round =
			qb_list_first_entry(&scsi->rounds, struct scsi_round, link);

		qb_list_del(&round->link);
		free(round);
	}
}

static void round_start(struct scsi_round *round)
{
	struct scsi *scsi = round->scsi;
	unsigned count = scsi->core_count;

	/* The last part may free the round. */
	for (unsigned i = 0; i < count; i++) {
		struct round_part *part = &round->parts[i];

		reactor_post(part->core->reactor, &part->msg);
	}
}

/* ----- publish -------------------------------------------------------------------------------- */

static void view_arrived(struct mailbox_msg *msg)
{
	struct round_part *part = container_of(msg, struct round_part, msg);
	struct scsi_core *core = part->core;
	const struct group_view *view = &part->round->view;
	struct scsi_core_group *group = &core->groups[view->group];

	if (group->published && group->view.table != view->table) {
		group->changed = ++core->changes;
	}
	group->view = *view;
	group->published = true;
	round_part_done(part); /* the view is taken; `part` may be gone */
	scsi_drains_check(group);
	scsi_hold_release(core, group);
}

void scsi_publish(void *ctx, const struct group_view *view, void (*applied)(void *arg), void *arg)
{
	struct scsi *scsi = ctx;
	struct scsi_round *round = round_new(scsi, view_arrived, applied, arg);

	log_debug("group %s: epoch %llu, owner %u, table %u, %s",
		scsi->conf->groups[view->group].name, (unsigned long long)view->epoch, view->owner,
		view->table, group_access_name(view->access));
	round->view = *view;
	round_start(round);
}

/* ----- drain ---------------------------------------------------------------------------------- */

void scsi_drains_check(struct scsi_core_group *group)
{
	if (group->in_store || group->view.access != GROUP_HELD) {
		return;
	}
	while (!qb_list_empty(&group->drains)) {
		struct round_part *part =
			qb_list_first_entry(&group->drains, struct round_part, link);

		qb_list_del(&part->link);
		round_part_done(part);
	}
}

static void drain_arrived(struct mailbox_msg *msg)
{
	struct round_part *part = container_of(msg, struct round_part, msg);
	struct scsi_core_group *group = &part->core->groups[part->round->group];

	qb_list_add_tail(&part->link, &group->drains);
	scsi_drains_check(group);
}

void scsi_drain(void *ctx, uint16_t group, void (*drained)(void *arg), void *arg)
{
	struct scsi_round *round = round_new(ctx, drain_arrived, drained, arg);

	round->group = group;
	round_start(round);
}
