/* SPDX-License-Identifier: BSD-3-Clause */
#include "scsi_pair.h"
#include "daemon/scsi/ledger.h"

static const struct {
	unsigned rig, reactor;
	uint16_t rtpi;
	const char *name;
} hosts[HOSTS] = {
	[A] = {0, 0, 0x101, "a"},
	[B] = {1, 0, 0x201, "b"},
	[C] = {0, 1, 0x102, "c"},
};

struct pair *pair_new(void)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	for (unsigned i = 0; i < 2; i++) {
		pair->rigs[i] = rig_new((uint8_t)(i + 1), 16 << 20);
		pair->rigs[i]->conf.long_cdbs = true;
	}
	rig_ledger_join(pair->rigs[0], pair->rigs[1]);
	for (uint16_t group = 0; group < 2; group++) {
		rig_publish(pair->rigs[0], group, GROUP_LOCAL, 1, 1, 1);
		rig_publish(pair->rigs[1], group, GROUP_REMOTE, 1, 1, 1);
	}
	for (unsigned i = 0; i < HOSTS; i++) {
		struct rig *rig = pair->rigs[hosts[i].rig];

		pair->nexus[i] = rig_nexus(rig, hosts[i].reactor, hosts[i].name, hosts[i].rtpi);
		rig_calm(rig, pair->nexus[i]);
	}
	return pair;
}

void pair_free(struct pair *pair)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		if (pair->nexus[i]) {
			scsi_nexus_close(pair->nexus[i], NULL, NULL);
		}
	}
	pair_run(pair);
	rig_free(pair->rigs[1]);
	rig_free(pair->rigs[0]);
	free(pair);
}

struct rig *pair_rig(struct pair *pair, unsigned host)
{
	return pair->rigs[hosts[host].rig];
}

/* ----- between the two ------------------------------------------------------------------------ */

static void at_owner_done(struct scsi_task *task)
{
	container_of(task, struct rig_task, task)->dones++;
}

static void carry_in(struct pair *pair, struct scsi_task *origin)
{
	struct rig *owner = pair->rigs[0];
	struct pair_carried *carried = pair->carried;
	struct scsi_task *task;

	while (carried->origin) {
		carried++;
		assert_true(carried < pair->carried + PAIR_CARRIED);
	}
	memset(carried, 0, sizeof(*carried));
	carried->origin = origin;
	carried->stand_in =
		owner->serve->nexus_get(owner->serve->ctx, owner->reactors[0], &origin->nexus->who);
	task = &carried->at_owner.task;
	task->nexus = carried->stand_in;
	task->reactor = owner->reactors[0];
	task->tag = origin->tag;
	memcpy(task->cdb, origin->cdb, sizeof(task->cdb));
	task->cdb_length = origin->cdb_length;
	task->attribute = origin->attribute;
	task->serial = origin->serial;
	task->rerun = origin->rerun;
	task->shipped_in = true;
	task->done = at_owner_done;
	if (origin->out_length) {
		task->buf = buf_get(reactor_buffers(task->reactor), origin->out_length);
		task->out_length = origin->out_length;
		memcpy(task->buf->data, origin->buf->data, origin->out_length);
	}
	if (owner->serve->task_run(
		    owner->serve->ctx, task, origin->lu->conf->uuid, origin->epoch) == SHIP_AGAIN) {
		task->again = true;
		carried->at_owner.dones = 1;
	}
}

static void carry_back(struct pair *pair, struct pair_carried *carried)
{
	struct rig *owner = pair->rigs[0], *ingress = pair->rigs[1];
	struct scsi_task *task = &carried->at_owner.task, *origin = carried->origin;
	bool again = task->again;

	origin->status = task->status;
	origin->sense_length = task->sense_length;
	memcpy(origin->sense, task->sense, sizeof(origin->sense));
	origin->in_length = task->in_length;
	if (task->in_length && !again) {
		origin->buf = buf_get(reactor_buffers(origin->reactor), task->in_length);
		memcpy(origin->buf->data, task->buf->data, task->in_length);
	}
	owner->serve->task_end(owner->serve->ctx, task);
	owner->serve->nexus_put(owner->serve->ctx, carried->stand_in);
	carried->origin = NULL;
	ingress->serve->task_shipped(ingress->serve->ctx, origin, again ? SHIP_AGAIN : SHIP_DONE);
}

static void carry(struct pair *pair)
{
	struct rig *owner = pair->rigs[0], *ingress = pair->rigs[1];

	if (ingress->ship.last) {
		struct scsi_task *task = ingress->ship.last;

		ingress->ship.last = NULL;
		carry_in(pair, task);
	}
	for (unsigned i = 0; i < PAIR_CARRIED; i++) {
		struct pair_carried *carried = &pair->carried[i];

		if (carried->origin && carried->origin == ingress->ship.aborted &&
			!carried->at_owner.dones) {
			ingress->ship.aborted = NULL;
			owner->serve->task_abort(owner->serve->ctx, &carried->at_owner.task);
		}
		if (carried->origin && carried->at_owner.dones && !carried->keep) {
			carry_back(pair, carried);
		}
	}
}

void pair_run(struct pair *pair)
{
	for (int pass = 0; pass < 6; pass++) {
		rig_run(pair->rigs[0]);
		rig_run(pair->rigs[1]);
		if (!pair->cut) {
			carry(pair);
		}
	}
}

/* ----- commands ------------------------------------------------------------------------------- */

void pair_start(struct pair *pair, struct rig_task *t, unsigned host, unsigned lun,
	const uint8_t *cdb, unsigned length, const void *out, uint32_t out_length)
{
	rig_task_set(t, pair->nexus[host], lun, cdb, length);
	rig_task_go(t, out, out_length);
}

uint32_t pair_do(struct pair *pair, struct rig_task *t, unsigned host, unsigned lun,
	const uint8_t *cdb, unsigned length, const void *out, uint32_t out_length)
{
	pair_start(pair, t, host, lun, cdb, length, out, out_length);
	pair_run(pair);
	assert_int_equal(t->dones, 1);
	return rig_outcome(t);
}

uint32_t pair_ua(struct pair *pair, unsigned host)
{
	struct rig_task t;

	return pair_do(pair, &t, host, 0, RIG_CDB(0, 0, 0, 0, 0, 0), NULL, 0);
}

void pair_calm(struct pair *pair)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		while (pair_ua(pair, i)) {
		}
	}
}

uint32_t pair_pr(struct pair *pair, unsigned host, uint8_t action, uint8_t type, uint64_t key,
	uint64_t new_key, uint8_t flags)
{
	uint8_t list[24] = {0};
	struct rig_task t;

	be64_put(list, key);
	be64_put(list + 8, new_key);
	list[20] = flags;
	return pair_do(
		pair, &t, host, 0, RIG_CDB(0x5f, action, type, 0, 0, 0, 0, 0, 24, 0), list, 24);
}

const struct scsi_state *pair_state(struct pair *pair)
{
	static uint8_t bytes[2][LEDGER_STATE_BYTES_MAX];
	int length[2];

	for (unsigned i = 0; i < 2; i++) {
		const struct ledger_serve *serve = scsi_ledger_serve(pair->rigs[i]->scsi);

		length[i] = serve->save(
			serve->ctx, pair->rigs[i]->extents[0].uuid, bytes[i], sizeof(bytes[i]));
	}
	assert_true(length[0] >= 0);
	assert_int_equal(length[0], length[1]);
	assert_memory_equal(bytes[0], bytes[1], (size_t)length[0]);
	return scsi_ledger_state(pair->rigs[0]->scsi, 0);
}
