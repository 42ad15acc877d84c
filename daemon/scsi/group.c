/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/group.h"
#include "daemon/scsi/hold.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/round.h"
#include "daemon/scsi/sanitize.h"
#include "yoke/log.h"
#include "yoke/util.h"

/* ----- publish -------------------------------------------------------------------------------- */

static void view_arrived(struct mailbox_msg *msg)
{
	struct scsi_round_part *part = container_of(msg, struct scsi_round_part, msg);
	struct scsi_core *core = part->core;
	const struct group_view *view = &part->round->view;
	struct scsi_core_group *group = &core->groups[view->group];

	if (group->published && group->view.table != view->table) {
		group->changed = ++core->changes;
	}
	group->view = *view;
	group->published = true;
	group->views++;
	scsi_round_part_done(part); /* the view is taken; `part` may be gone */
	scsi_drains_check(group);
	scsi_sanitize_check(core);
	scsi_hold_release(core, group);
}

/*
 * The group is served again while a drain is under way (the move was rolled back). What reactors
 * have answered so far is not true any more once the next view holds it again.
 */
static void drains_spoil(struct scsi *scsi, uint16_t group)
{
	struct scsi_round *round;

	qb_list_for_each_entry (round, &scsi->rounds, link) {
		if (round->drain && round->group == group) {
			round->spoilt = true;
		}
	}
}

void scsi_publish(void *ctx, const struct group_view *view, void (*applied)(void *arg), void *arg)
{
	struct scsi *scsi = ctx;
	struct scsi_round *round = scsi_round_new(scsi, view_arrived, applied, arg);

	log_debug("group %s: epoch %llu, owner %u, table %u, %s",
		scsi->conf->groups[view->group].name, (unsigned long long)view->epoch, view->owner,
		view->table, group_access_name(view->access));
	round->view = *view;
	if (view->access != GROUP_HELD) {
		drains_spoil(scsi, view->group);
	}
	scsi_round_start(round);
	scsi_ledger_view(scsi, view);
}

/*
 * Reactors compare with the time of their pass, which is read after their sleep: whoever wakes up
 * from a long one sees that it was long before the first command.
 */
void scsi_renew(void *ctx, unsigned ms)
{
	struct scsi *scsi = ctx;

	atomic_store_explicit(
		&scsi->lease_ms, reactor_clock_ns() / 1000000u + ms, memory_order_relaxed);
}

/* ----- drain ---------------------------------------------------------------------------------- */

void scsi_drains_check(struct scsi_core_group *group)
{
	if (group->in_store || group->view.access != GROUP_HELD) {
		return;
	}
	while (!qb_list_empty(&group->drains)) {
		struct scsi_round_part *part =
			qb_list_first_entry(&group->drains, struct scsi_round_part, link);

		qb_list_del(&part->link);
		scsi_round_part_done(part);
	}
}

static void drain_arrived(struct mailbox_msg *msg)
{
	struct scsi_round_part *part = container_of(msg, struct scsi_round_part, msg);
	struct scsi_core_group *group = &part->core->groups[part->round->group];

	qb_list_add_tail(&part->link, &group->drains);
	scsi_drains_check(group);
}

void scsi_drain(void *ctx, uint16_t group, void (*drained)(void *arg), void *arg)
{
	struct scsi_round *round = scsi_round_new(ctx, drain_arrived, drained, arg);

	round->group = group;
	round->drain = true;
	scsi_round_start(round);
}
