/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A command of the daemon's own that goes the way of every command that comes in here: `yokectl
 * drill` measures by it how long hosts wait. It comes from a nexus that nobody has registered and
 * that ends with it; what reservations refuse is an answer, too.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/scsi/lu.h"
#include "daemon/scsi/probe.h"
#include "daemon/scsi/tasks.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

#define PROBE_INITIATOR "yoke-drill"

struct scsi_probe {
	struct qb_list_head link; /* scsi->probes; control thread */
	struct scsi *scsi;
	uint8_t lu[16];
	int result; /* SCSI status, or a negative errno */
	void (*done)(void *arg, int result);
	void *arg;
	struct scsi_nexus *nexus;
	struct scsi_task task;
	struct reactor_defer defer;
	struct mailbox_msg msg;
};

static void probe_end(struct scsi_probe *probe)
{
	qb_list_del(&probe->link);
	probe->done(probe->arg, probe->result);
	free(probe);
}

/* On the control thread. */
static void probe_back(struct mailbox_msg *msg)
{
	probe_end(container_of(msg, struct scsi_probe, msg));
}

static void probe_closed(void *arg)
{
	struct scsi_probe *probe = arg;

	probe->msg.fn = probe_back;
	mailbox_post(probe->scsi->control, &probe->msg);
}

/* At the end of the pass: the nexus is not closed inside its own task. */
static void probe_over(struct reactor_defer *defer)
{
	struct scsi_probe *probe = container_of(defer, struct scsi_probe, defer);

	probe->result = probe->task.aborted ? SCSI_TASK_ABORTED : probe->task.status;
	scsi_task_end(&probe->task);
	scsi_nexus_close(probe->nexus, probe_closed, probe);
}

static void probe_done(struct scsi_task *task)
{
	struct scsi_probe *probe = container_of(task, struct scsi_probe, task);

	reactor_defer(task->reactor, &probe->defer);
}

/* On the reactor. */
static void probe_arrived(struct mailbox_msg *msg)
{
	struct scsi_probe *probe = container_of(msg, struct scsi_probe, msg);
	struct scsi *scsi = probe->scsi;
	const struct conf *conf = atomic_load_explicit(&scsi->conf, memory_order_acquire);
	struct scsi_lu *lu = scsi_lu_by_uuid(scsi, probe->lu);
	struct scsi_identity who = {
		.controller = scsi->controller, .rtpi = (uint16_t)(scsi->controller << 8 | 1)};

	snprintf(who.initiator, sizeof(who.initiator), "%s", PROBE_INITIATOR);
	if (lu && conf->target_count) {
		snprintf(who.target, sizeof(who.target), "%s", conf->targets[0].name);
		probe->nexus = scsi_nexus_new(scsi, scsi->cores[0].reactor, &who);
	}
	if (!probe->nexus) {
		probe->result = lu && conf->target_count ? -ENOMEM : -ENOENT;
		probe_closed(probe);
		return;
	}
	probe->defer.fn = probe_over;
	probe->task.nexus = probe->nexus;
	probe->task.reactor = scsi->cores[0].reactor;
	probe->task.attribute = SCSI_ATTR_SIMPLE;
	probe->task.cdb[0] = 0x88; /* READ(16) of the first block */
	be32_put(probe->task.cdb + 10, 1);
	probe->task.cdb_length = 16;
	probe->task.expected_in_bytes = lu->block_size;
	probe->task.done = probe_done;
	scsi_task_run_own(&probe->task, lu);
}

void scsi_probe(
	struct scsi *scsi, const uint8_t lu[16], void (*done)(void *arg, int result), void *arg)
{
	struct scsi_probe *probe = calloc(1, sizeof(*probe));

	if (!probe) {
		done(arg, -ENOMEM);
		return;
	}
	probe->scsi = scsi;
	memcpy(probe->lu, lu, sizeof(probe->lu));
	probe->done = done;
	probe->arg = arg;
	qb_list_add_tail(&probe->link, &scsi->probes);
	probe->msg.fn = probe_arrived;
	reactor_post(scsi->cores[0].reactor, &probe->msg);
}

void scsi_probes_stop(struct scsi *scsi)
{
	struct scsi_probe *probe;

	qb_list_for_each_entry (probe, &scsi->probes, link) {
		if (probe->nexus) {
			reactor_defer_cancel(probe->task.reactor, &probe->defer);
			scsi_task_end(&probe->task);
		}
	}
}

void scsi_probes_free(struct scsi *scsi)
{
	while (!qb_list_empty(&scsi->probes)) {
		struct scsi_probe *probe =
			qb_list_first_entry(&scsi->probes, struct scsi_probe, link);

		probe->result = -ECANCELED;
		probe_end(probe);
	}
}
