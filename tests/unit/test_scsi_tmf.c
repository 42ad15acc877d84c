/* SPDX-License-Identifier: BSD-3-Clause */
/* Task management, the order of tasks, and the end of a nexus with tasks in every state. */
#include "scsi_rig.h"

static struct rig *rig;
static struct rig_task t[8];

static int setup(void **state)
{
	rig = rig_new(1, 16 << 20);
	rig_serve(rig);
	memset(t, 0, sizeof(t));
	return 0;
}

static int teardown(void **state)
{
	rig_free(rig);
	return 0;
}

#define TUR   RIG_CDB(0, 0, 0, 0, 0, 0)
#define READ1 RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0)

struct rig_tmf {
	struct scsi_tmf tmf;
	unsigned dones;
};

static void tmf_done(struct scsi_tmf *tmf)
{
	container_of(tmf, struct rig_tmf, tmf)->dones++;
}

static void tmf_go(struct rig_tmf *f, unsigned reactor, enum scsi_tmf_function function,
	uint8_t lun, uint64_t tag)
{
	memset(f, 0, sizeof(*f));
	f->tmf.nexus = rig->nexus[reactor];
	f->tmf.reactor = rig->reactors[reactor];
	f->tmf.function = (uint8_t)function;
	f->tmf.lun[1] = lun;
	f->tmf.ref_tag = tag;
	f->tmf.done = tmf_done;
	scsi_tmf_run(&f->tmf);
	rig_run(rig);
}

static void read_go(
	struct rig_task *task, unsigned reactor, unsigned lun, enum scsi_attribute attribute)
{
	rig_task_set(task, rig->nexus[reactor], lun, READ1);
	task->task.attribute = (uint8_t)attribute;
	rig_task_go(task, NULL, 0);
	rig_run(rig);
}

static void abort_task_waits_for_the_store(void **state)
{
	struct rig_tmf f;

	rig_store.wait = true;
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[1], 0, 0, SCSI_ATTR_SIMPLE);
	tmf_go(&f, 0, SCSI_TMF_ABORT_TASK, 0, t[0].task.tag);
	assert_int_equal(f.dones, 0);
	rig_store_run();
	rig_run(rig);
	assert_int_equal(f.dones, 1);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	assert_true(t[0].aborted);
	assert_int_not_equal(t[0].status, SCSI_GOOD);
	assert_false(t[1].aborted);
	assert_int_equal(t[1].status, SCSI_GOOD);
	/* answered already: no such task */
	tmf_go(&f, 0, SCSI_TMF_ABORT_TASK, 0, t[0].task.tag);
	assert_int_equal(f.tmf.response, SCSI_TMF_NO_TASK);
}

static void abort_task_looks_at_its_own_nexus_and_unit_only(void **state)
{
	struct rig_tmf f;

	rig_store.wait = true;
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	tmf_go(&f, 1, SCSI_TMF_ABORT_TASK, 0, t[0].task.tag);
	assert_int_equal(f.tmf.response, SCSI_TMF_NO_TASK);
	tmf_go(&f, 0, SCSI_TMF_ABORT_TASK, 1, t[0].task.tag);
	assert_int_equal(f.tmf.response, SCSI_TMF_NO_TASK);
	tmf_go(&f, 0, SCSI_TMF_ABORT_TASK, 99, t[0].task.tag);
	assert_int_equal(f.tmf.response, SCSI_TMF_NO_LUN);
	rig_store_run();
	assert_false(t[0].aborted);
	assert_int_equal(t[0].dones, 1);
}

static void abort_of_a_held_task_is_immediate(void **state)
{
	struct rig_tmf f;

	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	tmf_go(&f, 0, SCSI_TMF_ABORT_TASK, 0, t[0].task.tag);
	assert_int_equal(f.dones, 1);
	assert_true(t[0].aborted);
	assert_int_equal(t[0].dones, 1);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	assert_int_equal(rig_store.reads, 0);
}

static void abort_of_a_shipped_task_goes_to_the_owner(void **state)
{
	struct rig_tmf f;

	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[1], 0, 0, SCSI_ATTR_SIMPLE);
	tmf_go(&f, 0, SCSI_TMF_ABORT_TASK, 0, t[0].task.tag);
	assert_int_equal(rig->ship.aborts, 1);
	assert_ptr_equal(rig->ship.aborted, &t[0].task);
	assert_int_equal(f.dones, 0);
	/* lost on its way: it must not be shipped again */
	rig->serve->task_shipped(rig->serve->ctx, &t[0].task, SHIP_AGAIN);
	assert_int_equal(f.dones, 1);
	assert_true(t[0].aborted);
	assert_int_equal(rig->ship.tasks, 2);
	rig->serve->task_shipped(rig->serve->ctx, &t[1].task, SHIP_DONE);
	assert_false(t[1].aborted);
}

/* Its owner is lost, and nobody knows yet whether it still writes: the interconnect will. */
static void abort_waits_for_an_owner_that_is_lost(void **state)
{
	struct rig_tmf f;

	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[1], 0, 0, SCSI_ATTR_SIMPLE);
	rig->ship.tmf_waits = true;
	rig_publish(rig, 0, GROUP_HELD, 2, 2, 1);
	/* one that is still on its way, and one that has come back and is held */
	tmf_go(&f, 0, SCSI_TMF_ABORT_TASK, 0, t[0].task.tag);
	assert_int_equal(rig->ship.tmfs, 0); /* behind the abort of the task itself */
	for (unsigned i = 0; i < 2; i++) {
		t[i].task.rerun = true;
		rig->serve->task_shipped(rig->serve->ctx, &t[i].task, SHIP_AGAIN);
	}
	assert_true(t[0].aborted);
	assert_int_equal(rig->ship.tmfs, 1);
	assert_int_equal(f.dones, 0);
	rig->ship.tmf_done(rig->ship.tmf_arg);
	assert_int_equal(f.dones, 1);
	tmf_go(&f, 0, SCSI_TMF_CLEAR_TASK_SET, 0, 0);
	assert_true(t[1].aborted);
	assert_int_equal(rig->ship.tmfs, 2);
	assert_int_equal(f.dones, 0);
	rig->ship.tmf_done(rig->ship.tmf_arg);
	assert_int_equal(f.dones, 1);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
}

/* What runs again here has ended there. */
static void abort_of_a_task_taken_over_is_local(void **state)
{
	struct rig_tmf f;

	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	rig_store.wait = true;
	rig_publish(rig, 0, GROUP_LOCAL, 1, 3, 2);
	t[0].task.rerun = true;
	rig->serve->task_shipped(rig->serve->ctx, &t[0].task, SHIP_AGAIN);
	tmf_go(&f, 0, SCSI_TMF_ABORT_TASK, 0, t[0].task.tag);
	assert_int_equal(f.dones, 0);
	rig_store_run();
	rig_run(rig);
	assert_int_equal(f.dones, 1);
	assert_true(t[0].aborted);
	assert_int_equal(rig->ship.tmfs, 0);
}

static void abort_task_set_is_the_nexus_own(enum scsi_tmf_function function)
{
	struct rig_tmf f;

	rig_store.wait = true;
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[1], 0, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[2], 0, 1, SCSI_ATTR_SIMPLE); /* another unit */
	read_go(&t[3], 1, 0, SCSI_ATTR_SIMPLE); /* another nexus */
	tmf_go(&f, 0, function, 0, 0);
	assert_int_equal(f.dones, 0);
	rig_store_run();
	rig_run(rig);
	assert_int_equal(f.dones, 1);
	assert_true(t[0].aborted && t[1].aborted);
	assert_false(t[2].aborted || t[3].aborted);
	/* nobody else was touched, so nobody else is told */
	rig_store.wait = false;
	assert_int_equal(rig_do(rig, &t[4], rig->nexus[1], 0, TUR, NULL, 0), SCSI_GOOD);
}

static void abort_task_set(void **state)
{
	abort_task_set_is_the_nexus_own(SCSI_TMF_ABORT_TASK_SET);
}

static void clear_task_set(void **state)
{
	abort_task_set_is_the_nexus_own(SCSI_TMF_CLEAR_TASK_SET);
}

static void lu_reset_reaches_every_reactor_and_the_other_controller(void **state)
{
	struct scsi_identity who = rig_identity("host9", 0x201);
	struct scsi_nexus *peer;
	struct rig_tmf f;

	rig_store.wait = true;
	rig->ship.tmf_waits = true;
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[1], 1, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[2], 1, 1, SCSI_ATTR_SIMPLE);
	tmf_go(&f, 0, SCSI_TMF_LU_RESET, 0, 0);
	assert_int_equal(rig->ship.tmfs, 1);
	assert_int_equal(f.dones, 0);
	rig_store_run();
	rig_run(rig);
	assert_true(t[0].aborted && t[1].aborted);
	assert_false(t[2].aborted);
	assert_int_equal(f.dones, 0); /* the other controller has not said so yet */
	/* It has shipped another one, and is lost. */
	peer = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[1], &who);
	rig_task_set(&t[3], peer, 0, READ1);
	t[3].task.shipped_in = true;
	rig->serve->task_run(rig->serve->ctx, &t[3].task, rig->extents[0].uuid, 1);
	rig->ship.tmf_done(rig->ship.tmf_arg);
	rig_run(rig);
	assert_int_equal(f.dones, 0);
	rig_store_run();
	rig_run(rig);
	assert_true(t[3].aborted);
	assert_int_equal(f.dones, 1);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	rig->serve->task_end(rig->serve->ctx, &t[3].task);
	rig->serve->nexus_put(rig->serve->ctx, peer);
	rig_store.wait = false;
	for (unsigned i = 0; i < 2; i++) { /* the nexus that asked is no exception */
		assert_int_equal(rig_do(rig, &t[4], rig->nexus[i], 0, TUR, NULL, 0), 0x062903);
		assert_int_equal(rig_do(rig, &t[4], rig->nexus[i], 0, TUR, NULL, 0), SCSI_GOOD);
		assert_int_equal(rig_do(rig, &t[4], rig->nexus[i], 1, TUR, NULL, 0), SCSI_GOOD);
	}
}

static void lu_reset_does_not_wait_for_data_that_may_never_come(void **state)
{
	struct rig_tmf f;
	uint8_t block[512] = {0};

	rig_task_set(&t[0], rig->nexus[1], 0, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0));
	assert_int_equal(scsi_task_start(&t[0].task), SCSI_START_OUT);
	tmf_go(&f, 0, SCSI_TMF_LU_RESET, 0, 0);
	assert_int_equal(f.dones, 1);
	/* and when the data is there all the same, it is not written */
	t[0].task.buf = buf_get(reactor_buffers(rig->reactors[1]), 512);
	memcpy(t[0].task.buf->data, block, 512);
	t[0].task.out_length = 512;
	scsi_task_run(&t[0].task);
	assert_int_equal(t[0].dones, 1);
	assert_true(t[0].aborted);
	assert_int_equal(rig_store.writes, 0);
}

static void target_warm_reset_resets_every_unit(void **state)
{
	struct rig_tmf f;

	tmf_go(&f, 0, SCSI_TMF_TARGET_WARM_RESET, 0, 0);
	assert_int_equal(f.dones, 1);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	assert_int_equal(rig->ship.tmfs, RIG_EXTENTS + 1); /* one unit has two LUNs */
	for (unsigned lun = 0; lun < RIG_EXTENTS; lun++) {
		assert_int_equal(rig_do(rig, &t[4], rig->nexus[1], lun, TUR, NULL, 0), 0x062903);
	}
}

static void count_end(void *arg)
{
	++*(unsigned *)arg;
}

/* As after power on: besides, every session of the target ends, at both controllers. */
static void target_cold_reset_ends_sessions_too(void **state)
{
	unsigned ends[RIG_REACTORS] = {0}, dones = 0;
	struct scsi_identity who = rig_identity("elsewhere", 0x201);
	struct rig_tmf f;

	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		scsi_nexus_on_reset(rig->nexus[i], count_end, &ends[i]);
	}
	tmf_go(&f, 0, SCSI_TMF_TARGET_COLD_RESET, 0, 0);
	assert_int_equal(f.dones, 1);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	assert_int_equal(rig->ship.tmfs, RIG_EXTENTS + 2); /* and the other one's sessions */
	assert_int_equal(ends[0], 0); /* its own ends behind the answer */
	assert_int_equal(ends[1], 1);
	assert_int_equal(rig_do(rig, &t[4], rig->nexus[1], 0, TUR, NULL, 0), 0x062903);
	/* asked for at the other controller */
	rig->serve->tmf_peer(rig->serve->ctx, rig->reactors[0], SCSI_TMF_TARGET_COLD_RESET,
		(const uint8_t[16]){0}, &who, count_end, &dones);
	rig_run(rig);
	assert_int_equal(dones, 1);
	assert_int_equal(ends[0], 1);
	assert_int_equal(ends[1], 2);
	/* of another target */
	who.target[0] = 'x';
	rig->serve->tmf_peer(rig->serve->ctx, rig->reactors[0], SCSI_TMF_TARGET_COLD_RESET,
		(const uint8_t[16]){0}, &who, count_end, &dones);
	rig_run(rig);
	assert_int_equal(dones, 2);
	assert_int_equal(ends[0], 1);
}

/* Its session goes while it waits. (Its end looked at a nexus that was not there any more.) */
static void target_cold_reset_outlives_its_session(void **state)
{
	unsigned closed = 0, ends = 0;
	struct rig_tmf f;

	scsi_nexus_on_reset(rig->nexus[1], count_end, &ends);
	rig_store.wait = true;
	read_go(&t[0], 1, 0, SCSI_ATTR_SIMPLE);
	tmf_go(&f, 0, SCSI_TMF_TARGET_COLD_RESET, 0, 0);
	scsi_nexus_close(rig->nexus[0], count_end, &closed);
	rig->nexus[0] = NULL;
	rig_run(rig);
	assert_int_equal(f.dones, 0);
	assert_int_equal(closed, 0);
	rig_store.wait = false;
	rig_store_run();
	rig_run(rig);
	assert_int_equal(f.dones, 1);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	assert_int_equal(ends, 1);
	assert_int_equal(closed, 1);
}

static void what_is_not_supported(void **state)
{
	static const uint8_t functions[] = {
		SCSI_TMF_CLEAR_ACA, SCSI_TMF_TASK_REASSIGN, SCSI_TMF_I_T_NEXUS_RESET, 0, 13, 255};
	struct rig_tmf f;

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		tmf_go(&f, 0, (enum scsi_tmf_function)functions[i], 0, 0);
		assert_int_equal(f.dones, 1);
		assert_int_equal(f.tmf.response, SCSI_TMF_NOT_SUPPORTED);
	}
}

/* RFC 7144 6: succeeded is yes, complete is no. Of its own nexus and LU only. */
static void queries(void **state)
{
	struct scsi_nexus *nexus = rig->nexus[0];
	struct scsi_itl *itl = scsi_itl_get(nexus, 0);
	struct rig_tmf f;

	rig_store.wait = true;
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	tmf_go(&f, 0, SCSI_TMF_QUERY_TASK, 0, t[0].task.tag);
	assert_int_equal(f.tmf.response, SCSI_TMF_SUCCEEDED);
	tmf_go(&f, 0, SCSI_TMF_QUERY_TASK, 0, t[0].task.tag + 99);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	tmf_go(&f, 0, SCSI_TMF_QUERY_TASK, 1, t[0].task.tag);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	tmf_go(&f, 1, SCSI_TMF_QUERY_TASK, 0, t[0].task.tag);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	tmf_go(&f, 0, SCSI_TMF_QUERY_TASK_SET, 0, 0);
	assert_int_equal(f.tmf.response, SCSI_TMF_SUCCEEDED);
	tmf_go(&f, 0, SCSI_TMF_QUERY_TASK_SET, 1, 0);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	rig_store_run();
	tmf_go(&f, 0, SCSI_TMF_QUERY_TASK_SET, 0, 0);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	for (unsigned function = SCSI_TMF_QUERY_TASK; function <= SCSI_TMF_QUERY_ASYNC_EVENT;
		function++) {
		if (function != SCSI_TMF_I_T_NEXUS_RESET) {
			tmf_go(&f, 0, (enum scsi_tmf_function)function, 99, 0);
			assert_int_equal(f.tmf.response, SCSI_TMF_NO_LUN);
		}
	}
	/* Unit attentions are told of, not told. */
	tmf_go(&f, 0, SCSI_TMF_QUERY_ASYNC_EVENT, 0, 0);
	assert_int_equal(f.tmf.response, SCSI_TMF_COMPLETE);
	assert_memory_equal(f.tmf.info, "\0\0", 3);
	scsi_ua_raise(nexus->core, itl->lu, SCSI_UA_MODE_CHANGED, NULL);
	tmf_go(&f, 0, SCSI_TMF_QUERY_ASYNC_EVENT, 0, 0);
	assert_int_equal(f.tmf.response, SCSI_TMF_SUCCEEDED);
	assert_memory_equal(f.tmf.info, "\x16\x2a\x01", 3); /* one */
	scsi_ua_raise(nexus->core, itl->lu, SCSI_UA_RESERVATIONS_RELEASED, NULL);
	tmf_go(&f, 0, SCSI_TMF_QUERY_ASYNC_EVENT, 0, 0);
	assert_memory_equal(f.tmf.info, "\x26\x2a\x04", 3); /* more than one */
	rig_store.wait = false;
	assert_int_equal(rig_do(rig, &t[4], nexus, 0, TUR, NULL, 0), 0x062a04);
	assert_int_equal(rig_do(rig, &t[4], nexus, 0, TUR, NULL, 0), 0x062a01);
	assert_int_equal(rig_do(rig, &t[4], nexus, 0, TUR, NULL, 0), SCSI_GOOD);
}

static void count(void *arg)
{
	++*(unsigned *)arg;
}

static void a_reset_at_the_other_controller(void **state)
{
	struct scsi_identity who = rig_identity("host9", 0x201);
	struct scsi_nexus *peer = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[1], &who);
	static const uint8_t nobody[16] = {1};
	unsigned done = 0;

	rig_store.wait = true;
	rig_task_set(&t[0], peer, 0, READ1);
	t[0].task.shipped_in = true;
	assert_int_equal(rig->serve->task_run(rig->serve->ctx, &t[0].task, rig->extents[0].uuid, 1),
		SHIP_DONE);
	read_go(&t[1], 0, 0, SCSI_ATTR_SIMPLE);
	rig->serve->tmf_peer(rig->serve->ctx, rig->reactors[0], SCSI_TMF_LU_RESET,
		rig->extents[0].uuid, &who, count, &done);
	rig_run(rig);
	assert_int_equal(done, 0);
	rig_store_run();
	rig_run(rig);
	assert_int_equal(done, 1);
	assert_true(t[0].aborted && t[1].aborted);
	assert_int_equal(t[0].status, SCSI_TASK_ABORTED);
	assert_int_equal(rig->ship.tmfs, 0); /* it does not come back to where it came from */
	rig_store.wait = false;
	assert_int_equal(rig_do(rig, &t[4], rig->nexus[0], 0, TUR, NULL, 0), 0x062903);
	rig->serve->tmf_peer(
		rig->serve->ctx, rig->reactors[0], SCSI_TMF_LU_RESET, nobody, &who, count, &done);
	assert_int_equal(done, 2);
	rig->serve->nexus_put(rig->serve->ctx, peer);
}

/* The tasks that it means are aborted one by one; those that came behind them go on. */
static void an_abort_at_the_other_controller(void **state)
{
	struct scsi_identity who = rig_identity("host9", 0x201);
	struct scsi_nexus *peer = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[0], &who);
	unsigned done = 0;

	rig_store.wait = true;
	for (unsigned i = 0; i < 2; i++) {
		rig_task_set(&t[i], peer, 0, READ1);
		t[i].task.shipped_in = true;
		rig->serve->task_run(rig->serve->ctx, &t[i].task, rig->extents[0].uuid, 1);
	}
	rig->serve->task_abort(rig->serve->ctx, &t[0].task);
	for (unsigned i = 0; i < 2; i++) { /* of this nexus, and of one that has aborted nothing */
		rig->serve->tmf_peer(rig->serve->ctx, rig->reactors[0], SCSI_TMF_ABORT_TASK,
			rig->extents[0].uuid, &who, count, &done);
		assert_int_equal(done, i);
		who.rtpi++;
	}
	rig_store_run();
	rig_run(rig);
	assert_int_equal(done, 2);
	assert_true(t[0].aborted);
	assert_int_equal(t[1].dones, 1);
	assert_false(t[1].aborted);
	rig->serve->nexus_put(rig->serve->ctx, peer);
}

static void aborted_at_the_owner_by_another_nexus(void **state)
{
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 1);
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	t[0].task.status = SCSI_TASK_ABORTED;
	rig->serve->task_shipped(rig->serve->ctx, &t[0].task, SHIP_DONE);
	assert_true(t[0].aborted);
	assert_int_equal(rig_do(rig, &t[4], rig->nexus[0], 0, TUR, NULL, 0), 0x062f00);
}

static void shipped_in_tasks_are_aborted_one_by_one(void **state)
{
	struct scsi_identity who = rig_identity("host9", 0x201);
	struct scsi_nexus *peer = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[1], &who);

	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	for (unsigned i = 0; i < 2; i++) {
		rig_task_set(&t[i], peer, 0, READ1);
		t[i].task.shipped_in = true;
		rig->serve->task_run(rig->serve->ctx, &t[i].task, rig->extents[0].uuid, 1);
	}
	rig->serve->task_abort(rig->serve->ctx, &t[0].task);
	assert_int_equal(t[0].dones, 1);
	assert_true(t[0].aborted);
	assert_int_equal(t[1].dones, 0);
	/* the last one goes with its nexus */
	rig->serve->nexus_put(rig->serve->ctx, peer);
	assert_true(t[1].aborted);
}

/* ----- order ---------------------------------------------------------------------------------- */

static void ordered_waits_for_older_and_holds_younger(void **state)
{
	rig_store.wait = true;
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[1], 0, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[2], 0, 0, SCSI_ATTR_ORDERED);
	read_go(&t[3], 0, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[4], 0, 0, SCSI_ATTR_HEAD); /* passes */
	read_go(&t[5], 1, 0, SCSI_ATTR_SIMPLE); /* another task set */
	read_go(&t[6], 0, 1, SCSI_ATTR_SIMPLE); /* another unit */
	assert_int_equal(t[2].task.state, SCSI_TASK_BLOCKED);
	assert_int_equal(t[3].task.state, SCSI_TASK_BLOCKED);
	assert_int_equal(rig_store_run(), 5);
	assert_int_equal(t[2].dones, 0);
	assert_int_equal(rig_store_run(), 1); /* the ordered one, alone */
	assert_int_equal(t[2].dones, 1);
	assert_int_equal(t[3].dones, 0);
	assert_int_equal(rig_store_run(), 1);
	assert_int_equal(t[3].dones, 1);
}

static void commands_that_touch_no_medium_pass_an_ordered_one(void **state)
{
	rig_store.wait = true;
	read_go(&t[0], 0, 0, SCSI_ATTR_ORDERED);
	assert_int_equal(
		rig_do(rig, &t[1], rig->nexus[0], 0, RIG_CDB(0x12, 0, 0, 0, 96, 0), NULL, 0),
		SCSI_GOOD);
	rig_store_run();
	assert_int_equal(t[0].dones, 1);
}

static void aborting_an_ordered_task_lets_the_others_go(void **state)
{
	struct rig_tmf f;

	rig_store.wait = true;
	read_go(&t[0], 0, 0, SCSI_ATTR_SIMPLE);
	read_go(&t[1], 0, 0, SCSI_ATTR_ORDERED);
	read_go(&t[2], 0, 0, SCSI_ATTR_SIMPLE);
	tmf_go(&f, 0, SCSI_TMF_ABORT_TASK, 0, t[1].task.tag);
	assert_int_equal(f.dones, 1);
	assert_int_equal(t[2].task.state, SCSI_TASK_RUNNING);
	rig_store_run();
	assert_int_equal(t[2].dones, 1);
}

/* ----- the end of a nexus --------------------------------------------------------------------- */

static void a_nexus_closes_when_its_last_task_has_left(void **state)
{
	struct scsi_nexus *nexus = rig_nexus(rig, 0, "gone", 0x101);
	unsigned closed = 0;

	rig_calm(rig, nexus);
	rig_store.wait = true;
	rig_task_set(&t[0], nexus, 0, READ1); /* in the store */
	rig_task_go(&t[0], NULL, 0);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig_task_set(&t[1], nexus, 0, READ1); /* held */
	rig_task_go(&t[1], NULL, 0);
	rig_task_set(
		&t[2], nexus, 0, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0)); /* its data comes */
	assert_int_equal(scsi_task_start(&t[2].task), SCSI_START_OUT);
	scsi_nexus_close(nexus, count, &closed);
	assert_true(t[1].aborted);
	assert_int_equal(closed, 0);
	scsi_task_drop(&t[2].task);
	assert_int_equal(t[2].dones, 0);
	assert_int_equal(closed, 0);
	rig_store_run();
	assert_true(t[0].aborted);
	assert_int_equal(closed, 1);
}

/* One connection of a session is gone: its tasks end, the nexus is told once (47/7F). */
static void tasks_lost_with_their_connection(void **state)
{
	struct scsi_nexus *nexus = rig_nexus(rig, 0, "several", 0x101);

	rig_calm(rig, nexus);
	rig_store.wait = true;
	for (unsigned i = 0; i < 3; i++) {
		rig_task_set(&t[i], nexus, 0, READ1);
	}
	rig_task_go(&t[0], NULL, 0); /* in the store */
	rig_task_go(&t[1], NULL, 0); /* in the store, of the connection that stays */
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig_task_go(&t[2], NULL, 0); /* held */
	scsi_task_lost(&t[2].task);
	assert_true(t[2].aborted);
	scsi_task_lost(&t[0].task);
	assert_int_equal(t[0].dones, 0); /* until the store is done with it */
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	rig_store_run();
	rig_run(rig);
	assert_true(t[0].aborted);
	assert_false(t[1].aborted);
	assert_int_equal(t[1].status, SCSI_GOOD);
	rig_store.wait = false;
	for (unsigned i = 3; i < 5; i++) {
		rig_task_set(&t[i], nexus, 0, TUR);
		rig_task_go(&t[i], NULL, 0);
		rig_run(rig);
	}
	assert_int_equal(rig_outcome(&t[3]), 0x06477f);
	assert_int_equal(t[4].status, SCSI_GOOD);
	/* Only of the LU that it had tasks at. */
	rig_task_set(&t[5], nexus, 1, TUR);
	rig_task_go(&t[5], NULL, 0);
	rig_run(rig);
	assert_int_equal(t[5].status, SCSI_GOOD);
	scsi_nexus_close(nexus, NULL, NULL);
}

static void an_idle_nexus_closes_at_once(void **state)
{
	struct scsi_nexus *nexus = rig_nexus(rig, 0, "gone", 0x101);
	unsigned closed = 0;

	scsi_nexus_close(nexus, count, &closed);
	assert_int_equal(closed, 1);
}

static struct scsi_nexus *closing;
static unsigned closing_closed;

static void done_that_closes(struct scsi_task *task)
{
	scsi_task_end(task);
	scsi_nexus_close(closing, count, &closing_closed);
	assert_int_equal(closing_closed, 0); /* its caller still needs it */
}

static void a_nexus_closed_by_the_end_of_its_last_task(void **state)
{
	closing = rig_nexus(rig, 0, "gone", 0x101);
	closing_closed = 0;
	rig_calm(rig, closing);
	rig_task_set(&t[0], closing, 0, READ1);
	t[0].task.done = done_that_closes;
	rig_task_go(&t[0], NULL, 0);
	assert_int_equal(closing_closed, 1);
}

static void a_target_that_does_not_exist(void **state)
{
	struct scsi_identity who = rig_identity("host1", 0x101);

	who.target[5]++;
	assert_null(scsi_nexus_new(rig->scsi, rig->reactors[0], &who));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(abort_task_waits_for_the_store),
		TEST(abort_task_looks_at_its_own_nexus_and_unit_only),
		TEST(abort_of_a_held_task_is_immediate),
		TEST(abort_of_a_shipped_task_goes_to_the_owner),
		TEST(abort_waits_for_an_owner_that_is_lost),
		TEST(abort_of_a_task_taken_over_is_local),
		TEST(abort_task_set),
		TEST(clear_task_set),
		TEST(lu_reset_reaches_every_reactor_and_the_other_controller),
		TEST(lu_reset_does_not_wait_for_data_that_may_never_come),
		TEST(target_warm_reset_resets_every_unit),
		TEST(target_cold_reset_ends_sessions_too),
		TEST(target_cold_reset_outlives_its_session),
		TEST(what_is_not_supported),
		TEST(queries),
		TEST(a_reset_at_the_other_controller),
		TEST(an_abort_at_the_other_controller),
		TEST(aborted_at_the_owner_by_another_nexus),
		TEST(shipped_in_tasks_are_aborted_one_by_one),
		TEST(ordered_waits_for_older_and_holds_younger),
		TEST(commands_that_touch_no_medium_pass_an_ordered_one),
		TEST(aborting_an_ordered_task_lets_the_others_go),
		TEST(a_nexus_closes_when_its_last_task_has_left),
		TEST(tasks_lost_with_their_connection),
		TEST(an_idle_nexus_closes_at_once),
		TEST(a_nexus_closed_by_the_end_of_its_last_task),
		TEST(a_target_that_does_not_exist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
