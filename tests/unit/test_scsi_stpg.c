/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SET TARGET PORT GROUPS: what a list may ask for, what becomes of the command, and who is told.
 * Controller 1 is the owner; what the cluster layer makes of a request the test decides.
 */
#include <stdlib.h>

#include "daemon/scsi/hold.h"
#include "scsi_rig.h"

static struct rig *rig;
static struct rig_task t, u;

static int setup(void **state)
{
	rig = rig_new(1, 16 << 20);
	rig->conf.explicit_alua = true;
	rig_serve(rig);
	return 0;
}

static int teardown(void **state)
{
	rig_free(rig);
	return 0;
}

#define STPG(length) RIG_CDB(0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, length, 0, 0)

static void go(
	struct rig_task *task, unsigned nexus, unsigned lun, const void *list, uint8_t length)
{
	rig_task_set(task, rig->nexus[nexus], lun, STPG(length));
	rig_task_go(task, list, length);
	rig_run(rig);
}

/* One descriptor: the outcome, when nothing was asked of the cluster layer. */
static uint32_t one(uint8_t state, uint16_t tpg)
{
	uint8_t list[8] = {0, 0, 0, 0, state, 0, (uint8_t)(tpg >> 8), (uint8_t)tpg};
	unsigned asked = rig->move.asked;

	go(&t, 0, 0, list, sizeof(list));
	assert_int_equal(rig->move.asked, asked);
	assert_int_equal(t.dones, 1);
	return rig_outcome(&t);
}

/* The cluster layer has done it: controller `to` is the owner. */
static void moved(uint8_t to, uint64_t epoch)
{
	void (*done)(void *arg, enum scsi_move_result result) = rig->move.done;

	for (uint16_t group = 0; group < 2; group++) {
		rig_publish(rig, group, to == 1 ? GROUP_LOCAL : GROUP_REMOTE, to, epoch,
			(uint32_t)epoch);
	}
	done(rig->move.arg, SCSI_MOVED);
	rig_run(rig);
}

static uint32_t tur(unsigned nexus, unsigned lun)
{
	struct rig_task task;

	return rig_do(rig, &task, rig->nexus[nexus], lun, RIG_CDB(0, 0, 0, 0, 0, 0), NULL, 0);
}

/* ----- on and off ----------------------------------------------------------------------------- */

static uint32_t inquiry_byte_5(void)
{
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RIG_CDB(0x12, 0, 0, 0, 96, 0), NULL, 0),
		SCSI_GOOD);
	return t.in[5];
}

static uint32_t rsoc(void)
{
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0,
				 RIG_CDB(0xa3, 0x0c, 3, 0xa4, 0, 0x0a, 0, 0, 0, 64, 0, 0), NULL, 0),
		SCSI_GOOD);
	return t.in[1] & 7;
}

static uint32_t rtpg_status(void)
{
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0,
				 RIG_CDB(0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), NULL, 0),
		SCSI_GOOD);
	return t.in[9];
}

static void only_when_it_is_allowed(void **state)
{
	assert_int_equal(inquiry_byte_5(), 0x38);
	assert_int_equal(rsoc(), 3);
	assert_int_equal(rtpg_status(), 0);
	rig->conf.explicit_alua = false;
	assert_int_equal(inquiry_byte_5(), 0x18);
	assert_int_equal(rsoc(), 1);
	assert_int_equal(rtpg_status(), 2);
	assert_int_equal(one(0, 2), 0x052000);
	/* nor with one controller */
	rig->conf.explicit_alua = true;
	rig->conf.controller_count = 1;
	assert_int_equal(inquiry_byte_5(), 0x18);
	assert_int_equal(one(0, 2), 0x052000);
	rig->conf.controller_count = 2;
}

/* ----- the list ------------------------------------------------------------------------------- */

static void what_is_so_already_is_good(void **state)
{
	assert_int_equal(one(0, 1), SCSI_GOOD);
	assert_int_equal(one(1, 2), SCSI_GOOD);
	go(&t, 0, 0, NULL, 0);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	go(&t, 0, 0, (const uint8_t[4]){0}, 4); /* no descriptor */
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	assert_int_equal(rig->move.asked, 0);
}

static void states_and_groups_that_do_not_exist(void **state)
{
	for (unsigned i = 2; i < 16; i++) {
		assert_int_equal(one((uint8_t)i, 2), 0x052600);
		assert_int_equal(t.sense[15], 0x8b);
		assert_int_equal(be16_get(t.sense + 16), 4);
	}
	assert_int_equal(one(0, 0), 0x052600);
	assert_int_equal(t.sense[15], 0x80);
	assert_int_equal(be16_get(t.sense + 16), 6);
	assert_int_equal(one(0, 3), 0x052600);
	assert_int_equal(one(0, 0x0101), 0x052600);
	/* a good one in front does not help; one group twice; both the same */
	go(&t, 0, 0, (const uint8_t[12]){0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 9}, 12);
	assert_int_equal(rig_outcome(&t), 0x052600);
	assert_int_equal(be16_get(t.sense + 16), 10);
	go(&t, 0, 0, (const uint8_t[12]){0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 2}, 12);
	assert_int_equal(rig_outcome(&t), 0x052600);
	for (uint8_t i = 0; i < 2; i++) {
		go(&t, 0, 0, (const uint8_t[12]){0, 0, 0, 0, i, 0, 0, 2, i, 0, 0, 1}, 12);
		assert_int_equal(rig_outcome(&t), 0x052600);
		assert_int_equal(be16_get(t.sense + 16), 8);
	}
	assert_int_equal(rig->move.asked, 0);
}

static void lengths_that_cut_something_off(void **state)
{
	static const uint8_t lengths[] = {1, 3, 5, 6, 7, 9};
	uint8_t list[16] = {0};

	for (unsigned i = 0; i < sizeof(lengths); i++) {
		go(&t, 0, 0, list, lengths[i]);
		assert_int_equal(rig_outcome(&t), 0x051a00);
	}
	/* less data than the CDB says */
	rig_task_set(&t, rig->nexus[0], 0, STPG(8));
	rig_task_go(&t, list, 4);
	rig_run(rig);
	assert_int_equal(rig_outcome(&t), 0x051a00);
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0xa4, 0x0a, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0));
	rig_task_go(&t, NULL, 0);
	assert_int_equal(rig_outcome(&t), 0x051a00);
}

/* ----- moves ---------------------------------------------------------------------------------- */

static const uint8_t to_2[8] = {[7] = 2}, away_from_1[8] = {[4] = 1, [7] = 1};
static const uint8_t both[12] = {[4] = 1, [7] = 1, [8] = 0, [11] = 2};

static void three_ways_to_ask(void **state)
{
	static const struct {
		const uint8_t *list;
		uint8_t length;
	} ways[] = {{to_2, 8}, {away_from_1, 8}, {both, 12}};

	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		go(&t, 0, 0, ways[i].list, ways[i].length);
		assert_int_equal(t.dones, 0);
		assert_int_equal(rig->move.asked, i + 1);
		assert_int_equal(rig->move.group, 0);
		assert_int_equal(rig->move.to, 2);
		rig->move.done(rig->move.arg, SCSI_MOVE_FAILED);
		rig_run(rig);
		assert_int_equal(rig_outcome(&t), 0x04670a);
	}
	go(&t, 0, 0, to_2, 8);
	rig->move.done(rig->move.arg, SCSI_MOVE_BUSY);
	rig_run(rig);
	assert_int_equal(rig_outcome(&t), SCSI_BUSY);
}

/* All are told of the change but who has asked for it, at that LU. */
static void who_is_told(void **state)
{
	go(&t, 0, 0, to_2, 8);
	moved(2, 2);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	assert_int_equal(tur(0, 0), SCSI_GOOD);
	assert_int_equal(tur(0, 1), 0x062a06);
	assert_int_equal(tur(1, 0), 0x062a06);
	assert_int_equal(tur(1, 0), SCSI_GOOD);
	/* and back, at the controller that is not the owner */
	go(&t, 1, 0, (const uint8_t[8]){[7] = 1}, 8);
	assert_int_equal(rig->move.to, 1);
	moved(1, 3);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	assert_int_equal(tur(1, 0), SCSI_GOOD);
	assert_int_equal(tur(0, 0), 0x062a06);
}

static void many_ask_for_the_same(void **state)
{
	struct rig_task other;

	go(&t, 0, 0, to_2, 8);
	go(&u, 1, 1, to_2, 8);
	assert_int_equal(rig->move.asked, 1);
	assert_int_equal(u.dones, 0);
	/* another group moves by itself */
	go(&other, 0, 2, to_2, 8);
	assert_int_equal(rig->move.asked, 2);
	assert_int_equal(rig->move.group, 1);
	rig->move.done(rig->move.arg, SCSI_MOVE_FAILED);
	rig_run(rig);
	assert_int_equal(rig_outcome(&other), 0x04670a);
	assert_int_equal(t.dones + u.dones, 0);
	rig->move.done(&rig->scsi->groups[0], SCSI_MOVED); /* the first one's */
	rig_run(rig);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	assert_int_equal(rig_outcome(&u), SCSI_GOOD);
	/* the next one begins anew */
	go(&t, 0, 0, to_2, 8);
	assert_int_equal(rig->move.asked, 3);
	rig->move.done(rig->move.arg, SCSI_MOVED);
	rig_run(rig);
}

static void who_wants_it_elsewhere_is_busy(void **state)
{
	void (*done)(void *arg, enum scsi_move_result result);
	void *arg;

	go(&t, 0, 0, to_2, 8);
	done = rig->move.done;
	arg = rig->move.arg;
	for (uint16_t group = 0; group < 2; group++) {
		rig_publish(rig, group, GROUP_REMOTE, 2, 2, 2); /* it has moved, and */
	}
	tur(1, 0);
	go(&u, 1, 0, (const uint8_t[8]){[7] = 1}, 8); /* is wanted back before that was said */
	assert_int_equal(rig_outcome(&u), SCSI_BUSY);
	done(arg, SCSI_MOVED);
	rig_run(rig);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
}

static void an_abort_ends_with_the_move(void **state)
{
	struct scsi_nexus *nexus = rig->nexus[1];

	go(&t, 1, 0, to_2, 8);
	rig->nexus[1] = NULL;
	scsi_nexus_close(nexus, NULL, NULL);
	rig_run(rig);
	assert_int_equal(t.dones, 0);
	rig->move.done(rig->move.arg, SCSI_MOVED);
	rig_run(rig);
	assert_int_equal(t.dones, 1);
	assert_true(t.aborted);
}

/* The daemon ends while a move is under way. */
static void a_request_without_end_is_forgotten(void **state)
{
	go(&t, 0, 0, to_2, 8);
	assert_int_equal(rig->move.asked, 1);
	moved(2, 2); /* or rig_free() would wait for the task */
	assert_int_equal(t.dones, 1);
}

/* It is let through where other commands are not, but not past a reservation. */
static void states_and_reservations(void **state)
{
	uint8_t key[24] = {[15] = 1};
	struct rig_task task;

	assert_int_equal(rig_do(rig, &task, rig->nexus[0], 0,
				 RIG_CDB(0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0), key, 24),
		SCSI_GOOD);
	key[7] = 1;
	assert_int_equal(rig_do(rig, &task, rig->nexus[0], 0,
				 RIG_CDB(0x5f, 1, 1, 0, 0, 0, 0, 0, 24, 0), key, 24),
		SCSI_GOOD);
	go(&t, 1, 0, to_2, 8);
	assert_int_equal(rig_outcome(&t), SCSI_RESERVATION_CONFLICT);
	go(&t, 0, 0, to_2, 8);
	assert_int_equal(rig->move.asked, 1);
	moved(2, 2);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_when_it_is_allowed),
		TEST(what_is_so_already_is_good),
		TEST(states_and_groups_that_do_not_exist),
		TEST(lengths_that_cut_something_off),
		TEST(three_ways_to_ask),
		TEST(who_is_told),
		TEST(many_ask_for_the_same),
		TEST(who_wants_it_elsewhere_is_busy),
		TEST(an_abort_ends_with_the_move),
		TEST(a_request_without_end_is_forgotten),
		TEST(states_and_reservations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
