/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/round.h"
#include "yoke/log.h"
#include "yoke/util.h"

static void round_ended(struct mailbox_msg *msg)
{
	struct scsi_round *round = container_of(msg, struct scsi_round, msg);

	if (round->spoilt) {
		round->spoilt = false;
		atomic_store_explicit(&round->left, round->scsi->core_count, memory_order_relaxed);
		scsi_round_start(round);
		return;
	}
	qb_list_del(&round->link);
	if (round->done) {
		round->done(round->arg);
	}
	free(round);
}

void scsi_round_part_done(struct scsi_round_part *part)
{
	struct scsi_round *round = part->round;

	if (atomic_fetch_sub_explicit(&round->left, 1, memory_order_acq_rel) == 1) {
		round->msg.fn = round_ended;
		mailbox_post(round->scsi->control, &round->msg);
	}
}

struct scsi_round *scsi_round_new(
	struct scsi *scsi, void (*fn)(struct mailbox_msg *msg), void (*done)(void *arg), void *arg)
{
	struct scsi_round *round =
		calloc(1, sizeof(*round) + scsi->core_count * sizeof(round->parts[0]));

	if (!round) {
		/*
		 * A reactor that is not told to stop serving could write after its time, one that
		 * does not know a reservation against it. Better to end here.
		 */
		log_err("out of memory: cannot tell the reactors about a change; the daemon ends "
			"so "
			"that the other controller can take over");
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

void scsi_round_start(struct scsi_round *round)
{
	struct scsi *scsi = round->scsi;
	unsigned count = scsi->core_count;

	/* The last part may free the round. */
	for (unsigned i = 0; i < count; i++) {
		struct scsi_round_part *part = &round->parts[i];

		reactor_post(part->core->reactor, &part->msg);
	}
}
