/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration that changes while commands run: LUNs that come and go, LUs that grow, what hosts
 * are told of it, and what becomes of the commands that are under way.
 */
#include "daemon/scsi/lu.h"
#include "scsi_rig.h"

static struct rig *rig;
static struct rig_task t;

/* The next configuration: a copy of the rig's that a test changes. */
static struct next {
	struct conf conf;
	struct conf_extent extents[RIG_EXTENTS + 1];
	struct conf_target targets[2];
	struct conf_lun luns[RIG_EXTENTS + 2];
} next;

static int setup(void **state)
{
	rig = rig_new(1, 16 << 20);
	rig_serve(rig);
	next.conf = rig->conf;
	memcpy(next.extents, rig->extents, sizeof(rig->extents));
	memcpy(next.luns, rig->luns, sizeof(rig->luns));
	memcpy(next.targets, rig->targets, sizeof(rig->targets));
	next.targets[0].luns = next.luns;
	next.conf.extents = next.extents;
	next.conf.targets = next.targets;
	next.extents[RIG_EXTENTS] = (struct conf_extent){.name = "disk3",
		.type = EXTENT_RAM,
		.block_size = 512,
		.physical_block_size = 4096,
		.serial = "serial3",
		.group = 0};
	memset(next.extents[RIG_EXTENTS].uuid, 0x33, 16);
	return 0;
}

static int teardown(void **state)
{
	rig_free(rig);
	return 0;
}

static void count_done(void *arg)
{
	++*(unsigned *)arg;
}

static struct scsi_change *change_ok(void)
{
	char error[256] = "";
	struct scsi_change *change = scsi_change_new(rig->scsi, &next.conf, error, sizeof(error));

	if (!change) {
		fail_msg("%s", error);
	}
	return change;
}

static void change_fails(const char *what)
{
	char error[256] = "";
	unsigned opens = rig_store.opens, closes = rig_store.closes;

	assert_null(scsi_change_new(rig->scsi, &next.conf, error, sizeof(error)));
	if (!strstr(error, what)) {
		fail_msg("\"%s\" lacks \"%s\"", error, what);
	}
	/* What was opened for it is closed again. */
	assert_int_equal(rig_store.opens - opens, rig_store.closes - closes);
}

/* Puts the next configuration in place; how often done() has run when nothing moves any more. */
static unsigned apply(void)
{
	static unsigned done;

	done = 0;
	scsi_change_apply(change_ok(), count_done, &done);
	rig_run(rig);
	return done;
}

static void add_disk3(uint16_t lun)
{
	next.conf.extent_count = RIG_EXTENTS + 1;
	next.luns[RIG_EXTENTS + 1] = (struct conf_lun){.lun = lun, .extent = RIG_EXTENTS};
	next.targets[0].lun_count = RIG_EXTENTS + 2;
}

/* Takes LUN 1 and its extent out: LUNs 0, 2 and 300 stay. */
static void remove_disk1(void)
{
	next.extents[1] = next.extents[2];
	next.conf.extent_count = 2;
	next.luns[1] = (struct conf_lun){.lun = 2, .extent = 1};
	next.luns[2] = (struct conf_lun){.lun = 300, .extent = 0};
	next.targets[0].lun_count = 3;
}

#define TUR	  RIG_CDB(0, 0, 0, 0, 0, 0)
#define READ10(n) RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, n, 0)

static uint32_t tur(unsigned i, unsigned lun)
{
	return rig_do(rig, &t, rig->nexus[i], lun, TUR, NULL, 0);
}

static void claimed(void *arg, int err)
{
	assert_int_equal(err, 0);
}

/* An LU whose size the configuration does not give. */
static void an_lu_grows_with_its_store(void **state)
{
	char error[256] = "";
	unsigned done = 0;
	struct scsi_change *change;
	uint64_t now, store;

	rig->scsi->lus[0].blocks = 1024; /* as if the store had been smaller at the start */
	assert_true(scsi_lu_measure(rig->scsi, "disk0", &now, &store));
	assert_int_equal(now, 1024 * 512);
	assert_int_equal(store, RIG_BYTES);
	assert_false(scsi_lu_measure(rig->scsi, "disk9", &now, &store));
	change = change_ok();
	assert_false(scsi_change_grow(change, "disk9", RIG_BYTES, error, sizeof(error)));
	assert_non_null(strstr(error, "no extent disk9"));
	assert_false(scsi_change_grow(change, "disk0", 512, error, sizeof(error)));
	assert_non_null(strstr(error, "can only grow"));
	assert_false(scsi_change_grow(change, "disk0", 2ull * RIG_BYTES, error, sizeof(error)));
	assert_true(scsi_change_grow(change, "disk0", RIG_BYTES, error, sizeof(error)));
	scsi_change_apply(change, count_done, &done);
	rig_run(rig);
	assert_int_equal(done, 1);
	assert_int_equal(tur(1, 0), 0x062a09);
	assert_int_equal(tur(1, 0), SCSI_GOOD);
	assert_int_equal(
		rig_do(rig, &t, rig->nexus[0], 1, RIG_CDB(0, 0, 0, 0, 0, 0), NULL, 0), SCSI_GOOD);
	assert_int_equal(rig->scsi->lus[0].blocks, RIG_BYTES / 512);
}

static void a_lun_is_added(void **state)
{
	rig->serve->claim(rig->serve->ctx, 0, 1, 1000, claimed, NULL);
	assert_int_equal(rig_store.claims, 2);
	assert_int_equal(tur(0, 301), 0x052500);
	add_disk3(301);
	assert_int_equal(apply(), 1);
	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		/* Told once for the whole nexus, whichever unit is asked first. */
		assert_int_equal(tur(i, i ? 0 : 2), 0x063f0e);
		assert_int_equal(tur(i, 0), SCSI_GOOD);
		assert_int_equal(tur(i, 2), SCSI_GOOD);
		assert_int_equal(tur(i, 301), 0x062900); /* new to this nexus */
		assert_int_equal(tur(i, 301), SCSI_GOOD);
	}
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0,
				 RIG_CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), NULL, 0),
		SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"00 00 00 28 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 02 00 "
		"00 00 00 00 00 41 2c 00 00 00 00 00 00 41 2d 00 00 00 00 00 00");
	assert_int_equal(rig_do(rig, &t, rig->nexus[1], 301, READ10(1), NULL, 0), SCSI_GOOD);
	/* The owner has claimed what it opened. */
	assert_int_equal(rig_store.claims, 3);
}

/* The LUs that stay are the same objects: nothing that runs on them notices. */
static void untouched_commands_go_on(void **state)
{
	struct scsi_lu *before = scsi_lu_by_uuid(rig->scsi, rig->extents[0].uuid);

	rig_store.wait = true;
	rig_task_set(&t, rig->nexus[0], 0, READ10(1));
	rig_task_go(&t, NULL, 0);
	remove_disk1();
	assert_int_equal(apply(), 1);
	assert_ptr_equal(scsi_lu_by_uuid(rig->scsi, rig->extents[0].uuid), before);
	assert_int_equal(t.dones, 0);
	rig_store_run();
	rig_run(rig);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	rig_store.wait = false;
}

static void a_removed_lu_ends_its_commands(void **state)
{
	struct rig_task running, started, held, blocked;
	static const uint8_t data[4096];

	rig_store.wait = true;
	rig_task_set(&running, rig->nexus[0], 1, READ10(1));
	rig_task_go(&running, NULL, 0);
	rig_task_set(&blocked, rig->nexus[0], 1, READ10(1));
	blocked.task.attribute = SCSI_ATTR_ORDERED;
	rig_task_go(&blocked, NULL, 0);
	rig_task_set(&started, rig->nexus[0], 1, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0));
	started.task.expected_out_bytes = 4096;
	assert_int_equal(scsi_task_start(&started.task), SCSI_START_OUT);
	rig_publish(rig, 0, GROUP_HELD, 0, 1, 1);
	rig_task_set(&held, rig->nexus[1], 1, READ10(1));
	rig_task_go(&held, NULL, 0);
	rig_run(rig);
	assert_int_equal(held.dones + blocked.dones + running.dones, 0);

	remove_disk1();
	assert_int_equal(apply(), 1); /* lookups are over; the LU itself is still in use */
	assert_int_equal(rig_outcome(&held), 0x052500);
	assert_int_equal(rig_outcome(&blocked), 0x052500);
	assert_int_equal(running.dones, 0);
	assert_int_equal(rig_store.closes, 0);
	assert_int_equal(rig_do(rig, &t, rig->nexus[1], 1, TUR, NULL, 0), 0x052500);
	assert_int_equal(rig_do(rig, &t, rig->nexus[1], 1, RIG_CDB(0x12, 0, 0, 0, 96, 0), NULL, 0),
		SCSI_GOOD);
	assert_int_equal(t.in[0], 0x7f);

	/* Its group is held; what was in the store ends as the store says. */
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	rig_store_run();
	rig_run(rig);
	assert_int_equal(rig_outcome(&running), SCSI_GOOD);
	assert_int_equal(rig_store.closes, 0);
	/* The last one: its data come now, and go nowhere. */
	started.task.buf = buf_get(reactor_buffers(rig->reactors[0]), 4096);
	memcpy(started.task.buf->data, data, sizeof(data));
	started.task.out_length = 4096;
	scsi_task_run(&started.task);
	assert_int_equal(rig_outcome(&started), 0x052500);
	assert_int_equal(rig_store.writes, 0);
	rig_run(rig);
	assert_int_equal(rig_store.closes, 1);
	rig_store.wait = false;
	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		assert_int_equal(tur(i, 0), 0x063f0e);
		assert_int_equal(tur(i, 0), SCSI_GOOD);
	}
}

static void kept_by_its_maker(struct scsi_task *task)
{
}

/* What a READ shows while it is being sent is not the memory of an extent that is closed. */
static void a_removed_lu_leaves_nothing_in_place(void **state)
{
	struct rig_task read;

	rig_store.in_memory = true;
	rig_task_set(&read, rig->nexus[0], 1, READ10(1));
	read.task.done = kept_by_its_maker;
	read.task.in_place_ok = true;
	rig_task_go(&read, NULL, 0);
	assert_non_null(read.task.in_place);
	remove_disk1();
	assert_int_equal(apply(), 1);
	assert_int_equal(rig_store.closes, 1);
	assert_null(read.task.in_place);
	scsi_task_end(&read.task);
	rig_store.in_memory = false;
}

/* A data-out that never comes is dropped by the transport: then the LU goes. */
static void a_dropped_command_lets_the_lu_go(void **state)
{
	rig_task_set(&t, rig->nexus[0], 1, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0));
	t.task.expected_out_bytes = 4096;
	assert_int_equal(scsi_task_start(&t.task), SCSI_START_OUT);
	remove_disk1();
	assert_int_equal(apply(), 1);
	assert_int_equal(rig_store.closes, 0);
	scsi_task_drop(&t.task);
	rig_run(rig);
	assert_int_equal(rig_store.closes, 1);
}

/* A command of the other controller for an LU that is gone here goes back to it. */
static void shipped_in_for_a_removed_lu(void **state)
{
	struct scsi_identity who = rig_identity("host3", 0x201);
	struct scsi_nexus *peer = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[0], &who);

	remove_disk1();
	rig_task_set(&t, peer, 1, READ10(1));
	t.task.shipped_in = true;
	assert_int_equal(
		rig->serve->task_run(rig->serve->ctx, &t.task, rig->extents[1].uuid, 1), SHIP_DONE);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	assert_int_equal(apply(), 1);
	rig_task_set(&t, peer, 1, READ10(1));
	t.task.shipped_in = true;
	assert_int_equal(rig->serve->task_run(rig->serve->ctx, &t.task, rig->extents[1].uuid, 1),
		SHIP_AGAIN);
	rig->serve->nexus_put(rig->serve->ctx, peer);
}

/* Shipped, and the LU goes meanwhile: the owner's answer counts; AGAIN means that it is gone. */
static void shipped_out_for_a_removed_lu(void **state)
{
	struct rig_task first, second;

	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 2);
	rig_calm(rig, rig->nexus[0]);
	rig_task_set(&first, rig->nexus[0], 1, READ10(1));
	rig_task_go(&first, NULL, 0);
	rig_task_set(&second, rig->nexus[0], 1, READ10(1));
	rig_task_go(&second, NULL, 0);
	remove_disk1();
	assert_int_equal(apply(), 1);
	assert_int_equal(first.dones + second.dones, 0);
	first.task.status = SCSI_BUSY;
	rig->serve->task_shipped(rig->serve->ctx, &first.task, SHIP_DONE);
	assert_int_equal(rig_outcome(&first), SCSI_BUSY);
	rig_run(rig);
	assert_int_equal(rig_store.closes, 0);
	rig->serve->task_shipped(rig->serve->ctx, &second.task, SHIP_AGAIN);
	for (unsigned i = 0; i < 200 && !second.dones; i++) {
		reactor_run_once(rig->reactors[0], 10); /* the pause before another attempt */
	}
	assert_int_equal(rig_outcome(&second), 0x052500);
	rig_run(rig);
	assert_int_equal(rig_store.closes, 1);
}

/* LUN 1 names another LU from one change to the next: what waited for the old one ends. */
static void a_lun_that_names_another_lu(void **state)
{
	struct rig_task held;

	rig_publish(rig, 0, GROUP_HELD, 0, 1, 1);
	rig_task_set(&held, rig->nexus[0], 1, READ10(1));
	rig_task_go(&held, NULL, 0);
	add_disk3(301);
	next.luns[1].extent = RIG_EXTENTS;
	next.luns[RIG_EXTENTS + 1].extent = 1;
	assert_int_equal(apply(), 1);
	assert_int_equal(rig_outcome(&held), 0x052500);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1);
	assert_int_equal(tur(0, 1), 0x062900);
	assert_int_equal(
		rig_do(rig, &t, rig->nexus[0], 1, RIG_CDB(0x12, 1, 0x80, 0, 64, 0), NULL, 0),
		SCSI_GOOD);
	assert_int_equal(t.in[10], '3');
	assert_int_equal(rig_store.closes, 0);
}

static uint32_t last_lba(unsigned i, unsigned lun)
{
	assert_int_equal(rig_do(rig, &t, rig->nexus[i], lun,
				 RIG_CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), NULL, 0),
		SCSI_GOOD);
	return be32_get(t.in);
}

static void an_lu_grows(void **state)
{
	rig->scsi->lus[0].blocks = 1024; /* as if it had been half as large */
	assert_int_equal(last_lba(0, 0), 1023);
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RIG_CDB(0x28, 0, 0, 0, 4, 0, 0, 0, 1, 0),
				 NULL, 0),
		0x052100);
	next.extents[0].size_bytes = RIG_BYTES;
	assert_int_equal(apply(), 1);
	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		assert_int_equal(tur(i, 0), 0x062a09);
		assert_int_equal(tur(i, 0), SCSI_GOOD);
		assert_int_equal(tur(i, 300), 0x062a09); /* the same LU under its other LUN */
		assert_int_equal(tur(i, 300), SCSI_GOOD);
		assert_int_equal(tur(i, 1), SCSI_GOOD);
		assert_int_equal(last_lba(i, 0), 2047);
	}
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RIG_CDB(0x28, 0, 0, 0, 4, 0, 0, 0, 1, 0),
				 NULL, 0),
		SCSI_GOOD);
	/* Once more the same: nobody is told anything. */
	assert_int_equal(apply(), 1);
	assert_int_equal(tur(0, 0), SCSI_GOOD);
}

static void what_cannot_be_is_refused(void **state)
{
	next.extents[0].size_bytes = RIG_BYTES / 2;
	change_fails("can only grow");
	next.extents[0].size_bytes = 2 * RIG_BYTES;
	change_fails("no room");
	next.extents[0].size_bytes = 0;
	next.extents[1].name = "renamed1";
	change_fails("has the uuid of extent disk1");
	next.extents[1].name = "disk1";
	add_disk3(301);
	next.extents[RIG_EXTENTS].size_bytes = 1; /* the rig's extents refuse that */
	change_fails("cannot be opened");
	next.extents[RIG_EXTENTS].size_bytes = 0;
	next.extents[RIG_EXTENTS].naa = (struct conf_naa){.length = 16};
	scsi_naa_make(rig->extents[0].uuid, next.extents[RIG_EXTENTS].naa.bytes);
	change_fails("same identity");
	/* Nothing of all that has changed anything. */
	assert_int_equal(tur(0, 0), SCSI_GOOD);
	assert_int_equal(tur(0, 301), 0x052500);
	assert_ptr_equal(rig->scsi->conf, &rig->conf);
}

static void what_is_dropped_leaves_nothing(void **state)
{
	add_disk3(301);
	scsi_change_drop(change_ok());
	assert_int_equal(rig_store.closes, 1);
	assert_int_equal(tur(0, 301), 0x052500);
	assert_int_equal(tur(0, 0), SCSI_GOOD);
}

/* Its sessions are about to be closed; until then they have a target without units. */
static void a_target_is_removed(void **state)
{
	next.conf.target_count = 0;
	assert_int_equal(apply(), 1);
	assert_int_equal(tur(0, 0), 0x052500);
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0,
				 RIG_CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), NULL, 0),
		SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 00 00 00 00 00 00 00");
}

/* Added, removed and added again, many times: slots come round, nothing piles up. */
static void again_and_again(void **state)
{
	struct next with, without;

	without = next;
	add_disk3(301);
	with = next;
	for (unsigned i = 0; i < 40; i++) {
		next = i % 2 ? without : with;
		next.conf.extents = next.extents;
		next.conf.targets = next.targets;
		next.targets[0].luns = next.luns;
		assert_int_equal(apply(), 1);
		rig_run(rig);
		assert_int_equal(tur(0, 0), 0x063f0e);
		assert_int_equal(tur(0, 301), i % 2 ? 0x052500 : 0x062900);
	}
	assert_int_equal(rig_store.opens, RIG_EXTENTS + 20);
	assert_int_equal(rig_store.closes, 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_lu_grows_with_its_store),
		TEST(a_lun_is_added),
		TEST(untouched_commands_go_on),
		TEST(a_removed_lu_ends_its_commands),
		TEST(a_removed_lu_leaves_nothing_in_place),
		TEST(a_dropped_command_lets_the_lu_go),
		TEST(shipped_in_for_a_removed_lu),
		TEST(shipped_out_for_a_removed_lu),
		TEST(a_lun_that_names_another_lu),
		TEST(an_lu_grows),
		TEST(what_cannot_be_is_refused),
		TEST(what_is_dropped_leaves_nothing),
		TEST(a_target_is_removed),
		TEST(again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
