/* SPDX-License-Identifier: BSD-3-Clause */
/* Persistent reservations as changes of an LU's state: every rule, by hosts at both controllers. */
#include "state_fixture.h"

/* ----- registering ---------------------------------------------------------------------------- */

static void register_keeps_to_its_table(void **unused)
{
	/* not registered: the key must be 0; a new key of 0 does nothing */
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 7, 1, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 0, 0, 0), SCSI_RESULT_GOOD);
	assert_false(effects.changed);
	assert_int_equal(state.generation, 0);
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 0, 1, 0), SCSI_RESULT_GOOD);
	assert_true(effects.changed);
	assert_int_equal(state.generation, 1);
	/* registered: the key must be its own */
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 2, 3, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 0, 3, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(state.generation, 1);
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 1, 3, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.registrants[0].key, 3);
	assert_int_equal(state.generation, 2);
	/* any key with "ignore" */
	assert_int_equal(pr(A, SCSI_PR_REGISTER_AND_IGNORE, 0, 99, 4, 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(B, SCSI_PR_REGISTER_AND_IGNORE, 0, 99, 5, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, 2);
	assert_int_equal(state.generation, 4);
	assert_int_equal(pr(C, SCSI_PR_REGISTER_AND_IGNORE, 0, 99, 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.generation, 4);
	/* and out again */
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 4, 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(B, SCSI_PR_REGISTER_AND_IGNORE, 0, 0, 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, 0);
	assert_int_equal(state.generation, 6);
}

static void aptpl_is_what_the_last_register_said(void **unused)
{
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 0, 1, SCSI_ENTRY_APTPL), SCSI_RESULT_GOOD);
	assert_true(state.aptpl);
	assert_int_equal(pr(B, SCSI_PR_RESERVE, 1, 0, 0, 0), SCSI_RESULT_CONFLICT);
	assert_true(state.aptpl);
	assert_int_equal(pr(B, SCSI_PR_REGISTER, 0, 0, 2, 0), SCSI_RESULT_GOOD);
	assert_false(state.aptpl);
}

static enum scsi_result everywhere(
	unsigned host, enum scsi_pr_action action, uint64_t key, uint64_t new_key)
{
	return apply(&(struct scsi_entry){.kind = SCSI_ENTRY_PR_OUT,
		.who = hosts[host],
		.action = (uint8_t)action,
		.key = key,
		.new_key = new_key,
		.flags = SCSI_ENTRY_ALL_TG_PT,
		.port_count = 3,
		.ports = cursor_reader(all_ports, sizeof(all_ports))});
}

static void all_tg_pt_registers_at_every_port_of_both_controllers(void **unused)
{
	struct scsi_identity a = hosts[A];

	assert_int_equal(everywhere(A, SCSI_PR_REGISTER, 0, 1), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, 3);
	assert_int_equal(state.generation, 1);
	a.rtpi = 0x201;
	a.controller = 2;
	assert_int_not_equal(scsi_state_find(&state, &a), SCSI_NO_REGISTRANT);
	/* another key at one port: all or nothing */
	state.registrants[scsi_state_find(&state, &a)].key = 9;
	assert_int_equal(everywhere(A, SCSI_PR_REGISTER, 1, 2), SCSI_RESULT_CONFLICT);
	assert_int_equal(everywhere(A, SCSI_PR_REGISTER, 1, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(state.count, 3);
	assert_int_equal(everywhere(A, SCSI_PR_REGISTER_AND_IGNORE, 0, 2), SCSI_RESULT_GOOD);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(state.registrants[i].key, 2);
	}
	/* without the bit only the one nexus goes */
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 2, 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, 2);
	assert_int_equal(everywhere(A, SCSI_PR_REGISTER_AND_IGNORE, 0, 2), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, 3);
	assert_int_equal(everywhere(A, SCSI_PR_REGISTER, 2, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, 0);
}

/* A registers for itself and for `count` more initiator ports. */
static enum scsi_result with_others(unsigned host, unsigned count, uint64_t key, uint64_t new_key)
{
	static uint8_t bytes[32768];
	struct cursor c = cursor_over(bytes, sizeof(bytes));
	struct scsi_identity other = hosts[A];

	for (unsigned i = 0; i < count; i++) {
		snprintf(other.initiator, sizeof(other.initiator), "iqn.more:%u", i);
		scsi_entry_other_put(&c, &other);
	}
	assert_true(cursor_ok(&c));
	return apply(&(struct scsi_entry){.kind = SCSI_ENTRY_PR_OUT,
		.who = hosts[host],
		.action = SCSI_PR_REGISTER,
		.key = key,
		.new_key = new_key,
		.flags = SCSI_ENTRY_SPEC_I_PT,
		.other_count = (uint16_t)count,
		.others = cursor_reader(bytes, c.pos)});
}

static void spec_i_pt_registers_others_and_all_or_none(void **unused)
{
	struct scsi_identity other = hosts[A];

	assert_int_equal(with_others(A, 2, 0, 1), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, 3);
	assert_int_equal(state.generation, 1);
	snprintf(other.initiator, sizeof(other.initiator), "iqn.more:1");
	assert_int_not_equal(scsi_state_find(&state, &other), SCSI_NO_REGISTRANT);
	/* for a new registration only */
	assert_int_equal(with_others(A, 2, 1, 1), SCSI_RESULT_SPEC_I_PT);
	/* one of them is registered already */
	hosts[B].rtpi = hosts[A].rtpi;
	hosts[B].controller = hosts[A].controller;
	assert_int_equal(with_others(B, 3, 0, 1), SCSI_RESULT_CONFLICT);
	assert_int_equal(state.count, 3);
	assert_int_equal(state.generation, 1);
}

static void registrations_are_limited(void **unused)
{
	assert_int_equal(with_others(A, 256, 0, 1), SCSI_RESULT_NO_ROOM);
	assert_int_equal(state.count, 0);
	assert_int_equal(with_others(A, 255, 0, 1), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, SCSI_REGISTRANTS_MAX);
	assert_int_equal(pr(B, SCSI_PR_REGISTER, 0, 0, 2, 0), SCSI_RESULT_NO_ROOM);
	assert_int_equal(pr(A, SCSI_PR_RESERVE, 1, 1, 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(apply(&(struct scsi_entry){.kind = SCSI_ENTRY_PR_OUT,
				 .who = hosts[A],
				 .action = SCSI_PR_REGISTER_AND_MOVE,
				 .key = 1,
				 .new_key = 5,
				 .destination = hosts[B]}),
		SCSI_RESULT_NO_ROOM);
	/* the largest state fits into what the ledger keeps */
	{
		static uint8_t bytes[LEDGER_STATE_BYTES_MAX];

		for (unsigned i = 0; i < state.count; i++) {
			memset(state.registrants[i].who.initiator, 'x', SCSI_NAME_MAX - 1);
			memset(state.registrants[i].who.target, 'y', SCSI_NAME_MAX - 1);
		}
		assert_true(scsi_state_put(&state, bytes, sizeof(bytes)) > 100000);
		assert_int_equal(scsi_state_put(&state, bytes, 1000), -EMSGSIZE);
	}
}

static void unregistering_the_holder_ends_the_reservation(void **unused)
{
	static const struct {
		uint8_t type;
		uint32_t others;
		bool stays;
	} rows[] = {
		{1, 0, false},
		{3, 0, false},
		{5, TELL(SCSI_UA_RESERVATIONS_RELEASED), false},
		{6, TELL(SCSI_UA_RESERVATIONS_RELEASED), false},
		{7, 0, true},
		{8, 0, true},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		scsi_state_clear(&state);
		all_register();
		assert_int_equal(
			pr(B, SCSI_PR_RESERVE, rows[i].type, keys[B], 0, 0), SCSI_RESULT_GOOD);
		assert_int_equal(state.generation, 3);
		/* somebody else's does not */
		assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, keys[A], 0, 0), SCSI_RESULT_GOOD);
		assert_int_equal(state.type, rows[i].type);
		assert_true(holds(B));
		assert_int_equal(pr(B, SCSI_PR_REGISTER, 0, keys[B], 0, 0), SCSI_RESULT_GOOD);
		assert_int_equal(state.generation, 5);
		assert_int_equal(told(C), rows[i].others);
		assert_int_equal(state.type, rows[i].stays ? rows[i].type : 0);
		/* an "all registrants" one ends with the last */
		assert_int_equal(pr(C, SCSI_PR_REGISTER, 0, keys[C], 0, 0), SCSI_RESULT_GOOD);
		assert_int_equal(state.type, 0);
		assert_int_equal(effects.count, 0);
	}
}

/* ----- reserving and releasing ---------------------------------------------------------------- */

static void reserve_needs_a_registration_and_its_key(void **unused)
{
	assert_int_equal(pr(A, SCSI_PR_RESERVE, 1, 0, 0, 0), SCSI_RESULT_CONFLICT);
	all_register();
	assert_int_equal(pr(A, SCSI_PR_RESERVE, 1, keys[B], 0, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(state.type, 0);
	assert_int_equal(pr(A, SCSI_PR_RESERVE, 1, keys[A], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.generation, 3); /* RESERVE does not count */
}

static void reserve_again_by_the_holder_is_good(void **unused)
{
	for (unsigned i = 0; i < ARRAY_SIZE(all_types); i++) {
		uint8_t type = all_types[i];
		bool all = scsi_pr_type_is_all(type);

		scsi_state_clear(&state);
		all_register();
		assert_int_equal(pr(A, SCSI_PR_RESERVE, type, keys[A], 0, 0), SCSI_RESULT_GOOD);
		assert_true(holds(A));
		assert_int_equal(holds(B), all);
		assert_int_equal(pr(A, SCSI_PR_RESERVE, type, keys[A], 0, 0), SCSI_RESULT_GOOD);
		assert_false(effects.changed);
		for (unsigned k = 0; k < ARRAY_SIZE(all_types); k++) {
			if (k != i) {
				assert_int_equal(
					pr(A, SCSI_PR_RESERVE, all_types[k], keys[A], 0, 0),
					SCSI_RESULT_CONFLICT);
			}
		}
		assert_int_equal(pr(B, SCSI_PR_RESERVE, type, keys[B], 0, 0),
			all ? SCSI_RESULT_GOOD : SCSI_RESULT_CONFLICT);
		assert_int_equal(state.type, type);
	}
}

static void release_tells_those_who_shared_it(void **unused)
{
	for (unsigned i = 0; i < ARRAY_SIZE(all_types); i++) {
		uint8_t type = all_types[i];
		uint32_t ua =
			scsi_pr_type_is_shared(type) ? TELL(SCSI_UA_RESERVATIONS_RELEASED) : 0;

		scsi_state_clear(&state);
		all_register();
		assert_int_equal(pr(A, SCSI_PR_RELEASE, type, keys[A], 0, 0), SCSI_RESULT_GOOD);
		assert_int_equal(pr(A, SCSI_PR_RESERVE, type, keys[A], 0, 0), SCSI_RESULT_GOOD);
		assert_int_equal(pr(A, SCSI_PR_RELEASE, type, 77, 0, 0), SCSI_RESULT_CONFLICT);
		assert_int_equal(pr(A, SCSI_PR_RELEASE, type == 1 ? 3 : 1, keys[A], 0, 0),
			SCSI_RESULT_RELEASE_TYPE);
		if (!scsi_pr_type_is_all(type)) {
			/* not its own: nothing happens */
			assert_int_equal(
				pr(B, SCSI_PR_RELEASE, type, keys[B], 0, 0), SCSI_RESULT_GOOD);
		}
		assert_int_equal(state.type, type);
		assert_int_equal(pr(A, SCSI_PR_RELEASE, type, keys[A], 0, 0), SCSI_RESULT_GOOD);
		assert_int_equal(state.type, 0);
		assert_int_equal(told(A), 0);
		assert_int_equal(told(B), ua);
		assert_int_equal(told(C), ua);
		assert_int_equal(state.count, 3);
		assert_int_equal(state.generation, 3);
	}
}

static void clear_takes_everything(void **unused)
{
	all_register();
	assert_int_equal(pr(B, SCSI_PR_RESERVE, 5, keys[B], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(A, SCSI_PR_CLEAR, 0, keys[B], 0, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(pr(A, SCSI_PR_CLEAR, 0, keys[A], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, 0);
	assert_int_equal(state.type, 0);
	assert_int_equal(state.generation, 4);
	assert_int_equal(told(A), 0);
	assert_int_equal(told(B), TELL(SCSI_UA_RESERVATIONS_PREEMPTED));
	assert_int_equal(told(C), TELL(SCSI_UA_RESERVATIONS_PREEMPTED));
	assert_int_equal(pr(A, SCSI_PR_CLEAR, 0, keys[A], 0, 0), SCSI_RESULT_CONFLICT);
}

/* ----- preempting ----------------------------------------------------------------------------- */

static void preempt_takes_the_reservation_over(void **unused)
{
	/* B holds; A preempts B's key with another type, C stays registered */
	for (unsigned i = 0; i < 4; i++) {
		uint8_t type = all_types[i];

		for (unsigned k = 0; k < ARRAY_SIZE(all_types); k++) {
			uint8_t to = all_types[k];

			scsi_state_clear(&state);
			all_register();
			assert_int_equal(
				pr(B, SCSI_PR_RESERVE, type, keys[B], 0, 0), SCSI_RESULT_GOOD);
			assert_int_equal(
				pr(A, SCSI_PR_PREEMPT, to, keys[A], keys[B], 0), SCSI_RESULT_GOOD);
			assert_int_equal(state.generation, 4);
			assert_false(registered(B));
			assert_true(holds(A));
			assert_int_equal(state.type, to);
			assert_int_equal(told(A), 0);
			assert_int_equal(told(B), TELL(SCSI_UA_REGISTRATIONS_PREEMPTED));
			assert_int_equal(
				told(C), to == type ? 0 : TELL(SCSI_UA_RESERVATIONS_RELEASED));
			assert_false(aborts(B));
		}
	}
}

static void preempt_of_another_key_takes_registrations_only(void **unused)
{
	all_register();
	assert_int_equal(pr(B, SCSI_PR_RESERVE, 5, keys[B], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(A, SCSI_PR_PREEMPT, 1, keys[A], keys[C], 0), SCSI_RESULT_GOOD);
	assert_false(registered(C));
	assert_true(holds(B));
	assert_int_equal(state.type, 5);
	assert_int_equal(told(C), TELL(SCSI_UA_REGISTRATIONS_PREEMPTED));
	assert_int_equal(told(B), 0);
	assert_int_equal(state.generation, 4);
	/* an unknown key, none, and a sender that is not registered */
	assert_int_equal(pr(A, SCSI_PR_PREEMPT, 1, keys[A], 0x99, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(pr(A, SCSI_PR_PREEMPT, 1, keys[A], 0, 0), SCSI_RESULT_KEY_ZERO);
	assert_int_equal(pr(C, SCSI_PR_PREEMPT, 1, keys[C], keys[B], 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(state.generation, 4);
}

/* fence_mpath drops stale nexuses of its own key and registers anew */
static void preempt_of_its_own_key_drops_its_own_registration_too(void **unused)
{
	all_register();
	assert_int_equal(pr(C, SCSI_PR_REGISTER, 0, keys[C], keys[A], 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(B, SCSI_PR_RESERVE, 5, keys[B], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(
		pr(A, SCSI_PR_PREEMPT_AND_ABORT, 5, keys[A], keys[A], 0), SCSI_RESULT_GOOD);
	assert_false(registered(A));
	assert_false(registered(C));
	assert_true(holds(B));
	assert_int_equal(told(A), 0);
	assert_true(aborts(A));
	assert_int_equal(told(C), TELL(SCSI_UA_REGISTRATIONS_PREEMPTED));
	assert_true(aborts(C));
	assert_false(aborts(B));
}

static void the_holder_may_preempt_its_own_key(void **unused)
{
	all_register();
	assert_int_equal(pr(C, SCSI_PR_REGISTER, 0, keys[C], keys[A], 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(A, SCSI_PR_RESERVE, 1, keys[A], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(A, SCSI_PR_PREEMPT, 3, keys[A], keys[A], 0), SCSI_RESULT_GOOD);
	assert_true(holds(A));
	assert_int_equal(state.type, 3);
	assert_false(registered(C));
	assert_int_equal(told(C), TELL(SCSI_UA_REGISTRATIONS_PREEMPTED));
	assert_int_equal(told(B), TELL(SCSI_UA_RESERVATIONS_RELEASED));
}

static void preempt_without_a_reservation_takes_registrations(void **unused)
{
	all_register();
	assert_int_equal(pr(A, SCSI_PR_PREEMPT, 1, keys[A], 0, 0), SCSI_RESULT_KEY_ZERO);
	assert_int_equal(pr(A, SCSI_PR_PREEMPT, 1, keys[A], keys[B], 0), SCSI_RESULT_GOOD);
	assert_false(registered(B));
	assert_int_equal(state.type, 0);
	assert_int_equal(state.generation, 4);
}

static void preempt_of_all_registrants(void **unused)
{
	/* key 0: everybody else goes, the reservation is the sender's */
	all_register();
	assert_int_equal(pr(B, SCSI_PR_RESERVE, 7, keys[B], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(A, SCSI_PR_PREEMPT_AND_ABORT, 3, keys[A], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, 1);
	assert_true(holds(A));
	assert_int_equal(state.type, 3);
	assert_false(aborts(A));
	assert_true(aborts(B));
	assert_true(aborts(C));
	assert_int_equal(told(B), TELL(SCSI_UA_REGISTRATIONS_PREEMPTED));
	/* a key: those of it only, the reservation stays as it is */
	scsi_state_clear(&state);
	all_register();
	assert_int_equal(pr(B, SCSI_PR_RESERVE, 8, keys[B], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(A, SCSI_PR_PREEMPT, 3, keys[A], keys[B], 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.type, 8);
	assert_int_equal(state.count, 2);
	assert_int_equal(told(C), 0);
	/* nobody is left to hold it */
	assert_int_equal(pr(C, SCSI_PR_REGISTER, 0, keys[C], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(A, SCSI_PR_PREEMPT, 3, keys[A], keys[A], 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.count, 0);
	assert_int_equal(state.type, 0);
}

/* ----- moving --------------------------------------------------------------------------------- */

static enum scsi_result move(unsigned host, uint64_t key, uint64_t new_key, unsigned to, bool unreg)
{
	return apply(&(struct scsi_entry){.kind = SCSI_ENTRY_PR_OUT,
		.who = hosts[host],
		.action = SCSI_PR_REGISTER_AND_MOVE,
		.key = key,
		.new_key = new_key,
		.flags = unreg ? SCSI_ENTRY_UNREG : 0,
		.destination = hosts[to]});
}

static void move_gives_the_reservation_away(void **unused)
{
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 0, 1, 0), SCSI_RESULT_GOOD);
	assert_int_equal(move(B, 0, 2, A, false), SCSI_RESULT_CONFLICT);
	assert_int_equal(move(A, 1, 2, B, false), SCSI_RESULT_NOTHING_TO_MOVE);
	assert_int_equal(pr(A, SCSI_PR_RESERVE, 5, 1, 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(move(A, 1, 0, B, false), SCSI_RESULT_KEY_ZERO);
	assert_int_equal(move(A, 1, 2, A, false), SCSI_RESULT_MOVE_TO_SELF);
	assert_int_equal(move(A, 9, 2, B, false), SCSI_RESULT_CONFLICT);
	assert_int_equal(state.generation, 1);
	/* to a nexus that is not registered */
	assert_int_equal(move(A, 1, 2, B, false), SCSI_RESULT_GOOD);
	assert_int_equal(state.generation, 2);
	assert_true(holds(B));
	assert_true(registered(A));
	assert_int_equal(state.type, 5);
	/* only the holder can */
	assert_int_equal(move(A, 1, 2, C, false), SCSI_RESULT_CONFLICT);
	/* to a registered one, which gets the key; the sender leaves */
	assert_int_equal(move(B, 2, 3, A, true), SCSI_RESULT_GOOD);
	assert_int_equal(state.generation, 3);
	assert_false(registered(B));
	assert_true(holds(A));
	assert_int_equal(state.registrants[0].key, 3);
	/* not of an "all registrants" type */
	assert_int_equal(pr(A, SCSI_PR_PREEMPT, 7, 3, 3, 0), SCSI_RESULT_GOOD);
	assert_int_equal(move(A, 3, 4, B, false), SCSI_RESULT_CONFLICT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(register_keeps_to_its_table),
		TEST(aptpl_is_what_the_last_register_said),
		TEST(all_tg_pt_registers_at_every_port_of_both_controllers),
		TEST(spec_i_pt_registers_others_and_all_or_none),
		TEST(registrations_are_limited),
		TEST(unregistering_the_holder_ends_the_reservation),
		TEST(reserve_needs_a_registration_and_its_key),
		TEST(reserve_again_by_the_holder_is_good),
		TEST(release_tells_those_who_shared_it),
		TEST(clear_takes_everything),
		TEST(preempt_takes_the_reservation_over),
		TEST(preempt_of_another_key_takes_registrations_only),
		TEST(preempt_of_its_own_key_drops_its_own_registration_too),
		TEST(the_holder_may_preempt_its_own_key),
		TEST(preempt_without_a_reservation_takes_registrations),
		TEST(preempt_of_all_registrants),
		TEST(move_gives_the_reservation_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
