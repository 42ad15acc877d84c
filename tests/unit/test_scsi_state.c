/* SPDX-License-Identifier: BSD-3-Clause */
/* The rest of an LU's state, what it lets through, its bytes, and histories of entries. */
#include "state_fixture.h"

/* ----- SPC-2 reservations --------------------------------------------------------------------- */

static void reserve_and_release_as_in_spc2(void **unused)
{
	assert_int_equal(simple(A, SCSI_ENTRY_RELEASE, 0), SCSI_RESULT_GOOD);
	assert_false(effects.changed);
	assert_int_equal(simple(A, SCSI_ENTRY_RESERVE, 0), SCSI_RESULT_GOOD);
	assert_true(effects.changed);
	assert_int_equal(simple(A, SCSI_ENTRY_RESERVE, 0), SCSI_RESULT_GOOD);
	assert_int_equal(simple(B, SCSI_ENTRY_RESERVE, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(simple(B, SCSI_ENTRY_RELEASE, 0), SCSI_RESULT_GOOD);
	assert_true(state.reserved);
	/* PERSISTENT RESERVE conflicts with it, for its holder too */
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 0, 1, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(pr(B, SCSI_PR_REGISTER, 0, 0, 1, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(simple(A, SCSI_ENTRY_RELEASE, 0), SCSI_RESULT_GOOD);
	assert_false(state.reserved);
	/* nexus loss of somebody else's; its own; a reset */
	assert_int_equal(simple(A, SCSI_ENTRY_RESERVE, 0), SCSI_RESULT_GOOD);
	assert_int_equal(simple(B, SCSI_ENTRY_UNRESERVE, 0), SCSI_RESULT_GOOD);
	assert_true(state.reserved);
	assert_int_equal(simple(A, SCSI_ENTRY_UNRESERVE, 0), SCSI_RESULT_GOOD);
	assert_false(state.reserved);
	assert_int_equal(simple(A, SCSI_ENTRY_RESERVE, 0), SCSI_RESULT_GOOD);
	assert_int_equal(simple(B, SCSI_ENTRY_UNRESERVE, SCSI_ENTRY_ANYONE), SCSI_RESULT_GOOD);
	assert_false(state.reserved);
	assert_true(scsi_state_is_clear(&state));
}

/* Compatible reservation handling: RESERVE and RELEASE where registrations exist. */
static void reserve_beside_registrations(void **unused)
{
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 0, keys[A], 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(B, SCSI_PR_REGISTER, 0, 0, keys[B], 0), SCSI_RESULT_GOOD);
	for (unsigned host = 0; host < HOSTS; host++) { /* no reservation yet */
		assert_int_equal(simple(host, SCSI_ENTRY_RESERVE, 0), SCSI_RESULT_CONFLICT);
		assert_int_equal(simple(host, SCSI_ENTRY_RELEASE, 0), SCSI_RESULT_CONFLICT);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(all_types); i++) {
		enum scsi_result other = scsi_pr_type_is_shared(all_types[i])
						 ? SCSI_RESULT_GOOD
						 : SCSI_RESULT_CONFLICT;

		assert_int_equal(
			pr(A, SCSI_PR_RESERVE, all_types[i], keys[A], 0, 0), SCSI_RESULT_GOOD);
		assert_int_equal(simple(A, SCSI_ENTRY_RESERVE, 0), SCSI_RESULT_GOOD);
		assert_int_equal(simple(A, SCSI_ENTRY_RELEASE, 0), SCSI_RESULT_GOOD);
		assert_int_equal(simple(B, SCSI_ENTRY_RESERVE, 0), other);
		assert_int_equal(simple(B, SCSI_ENTRY_RELEASE, 0), other);
		assert_int_equal(simple(C, SCSI_ENTRY_RESERVE, 0), SCSI_RESULT_CONFLICT);
		assert_false(state.reserved);
		assert_int_equal(state.type, all_types[i]);
		assert_int_equal(
			pr(A, SCSI_PR_RELEASE, all_types[i], keys[A], 0, 0), SCSI_RESULT_GOOD);
	}
}

/* ----- mode parameters ------------------------------------------------------------------------ */

static enum scsi_result mode(unsigned host, uint8_t mask, uint8_t values, uint8_t flags)
{
	return apply(&(struct scsi_entry){.kind = SCSI_ENTRY_MODE,
		.who = hosts[host],
		.mask = mask,
		.values = values,
		.flags = flags});
}

static void mode_parameters_change_and_tell(void **unused)
{
	assert_int_equal(mode(A, SCSI_MODE_ALL, SCSI_MODE_TAS, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.mode, SCSI_MODE_TAS);
	assert_int_equal(state.saved_mode, 0);
	assert_int_equal(effects.others_uas, TELL(SCSI_UA_MODE_CHANGED));
	assert_true(scsi_identity_equal(&effects.by, &hosts[A]));
	/* nothing changes: nobody is told */
	assert_int_equal(mode(B, SCSI_MODE_ALL, SCSI_MODE_TAS, 0), SCSI_RESULT_GOOD);
	assert_int_equal(effects.others_uas, 0);
	assert_false(effects.changed);
	assert_int_equal(mode(B, SCSI_MODE_TAS, SCSI_MODE_TAS, SCSI_ENTRY_SAVE), SCSI_RESULT_GOOD);
	assert_int_equal(effects.others_uas, 0);
	assert_true(effects.changed);
	assert_int_equal(state.saved_mode, SCSI_MODE_TAS);
	/* a reservation of another nexus forbids it */
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 0, 1, 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(A, SCSI_PR_RESERVE, 1, 1, 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(mode(B, SCSI_MODE_ALL, 0, 0), SCSI_RESULT_CONFLICT);
	assert_int_equal(mode(A, SCSI_MODE_ALL, SCSI_MODE_SWP, 0), SCSI_RESULT_GOOD);
	assert_int_equal(state.mode, SCSI_MODE_SWP);
}

/* ----- what a reservation lets through -------------------------------------------------------- */

static void every_type_for_every_class_of_command(void **unused)
{
	/* letters: holder, registered, other; upper case = allowed */
	static const struct {
		uint8_t type;
		const char *allowed, *reads, *writes;
	} rows[] = {
		{0, "HRO", "HRO", "HRO"},
		{1, "HRO", "HRO", "Hro"},
		{3, "HRO", "Hro", "Hro"},
		{5, "HRO", "HRO", "HRo"},
		{6, "HRO", "HRo", "HRo"},
		{7, "HRO", "HRO", "HRo"},
		{8, "HRO", "HRo", "HRo"},
	};
	static const char who[] = "HRO";

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *const classes[] = {
			[SCSI_RESERVED_ALLOWED] = rows[i].allowed,
			[SCSI_RESERVED_READS] = rows[i].reads,
			[SCSI_RESERVED_CONFLICT] = rows[i].writes,
		};

		scsi_state_clear(&state);
		pr(A, SCSI_PR_REGISTER, 0, 0, 1, 0);
		pr(B, SCSI_PR_REGISTER, 0, 0, 2, 0);
		if (rows[i].type) {
			assert_int_equal(
				pr(A, SCSI_PR_RESERVE, rows[i].type, 1, 0, 0), SCSI_RESULT_GOOD);
		}
		for (unsigned class = 0; class < 3; class ++) {
			for (unsigned host = 0; host < HOSTS; host++) {
				uint8_t standing = scsi_state_standing(&state, &hosts[host]);

				assert_int_equal(scsi_state_permits(
							 &state, standing, (uint8_t) class, false),
					classes[class][host] == who[host]);
			}
		}
	}
}

static void an_spc2_reservation_lets_little_through(void **unused)
{
	assert_int_equal(simple(A, SCSI_ENTRY_RESERVE, 0), SCSI_RESULT_GOOD);
	for (unsigned class = 0; class < 3; class ++) {
		uint8_t a = scsi_state_standing(&state, &hosts[A]);
		uint8_t b = scsi_state_standing(&state, &hosts[B]);

		assert_true(scsi_state_permits(&state, a, (uint8_t) class, false));
		assert_false(scsi_state_permits(&state, b, (uint8_t) class, false));
		assert_true(scsi_state_permits(&state, b, (uint8_t) class, true));
	}
}

/* ----- the second time ------------------------------------------------------------------------ */

static void a_command_that_was_applied_is_not_applied_again(void **unused)
{
	struct scsi_entry entry = {.kind = SCSI_ENTRY_PR_OUT,
		.who = hosts[A],
		.action = SCSI_PR_REGISTER,
		.new_key = 1,
		.serial = 4711};

	assert_int_equal(apply(&entry), SCSI_RESULT_GOOD);
	/* REGISTER with key 0 of a registered nexus would conflict */
	assert_int_equal(apply(&entry), SCSI_RESULT_GOOD);
	assert_false(effects.changed);
	assert_int_equal(state.generation, 1);
	entry.serial = 4712;
	assert_int_equal(apply(&entry), SCSI_RESULT_CONFLICT);
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 1, 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(apply(&entry), SCSI_RESULT_CONFLICT); /* as it was told */
	/* the memory is bounded: the oldest goes first */
	for (unsigned i = 0; i < SCSI_DONE_MAX - 1; i++) {
		entry.serial = 10000 + i;
		apply(&entry);
	}
	assert_int_equal(state.done_count, SCSI_DONE_MAX);
	entry.serial = 4712;
	assert_int_equal(apply(&entry), SCSI_RESULT_CONFLICT);
	entry.serial = 4711;
	assert_int_equal(apply(&entry), SCSI_RESULT_CONFLICT); /* forgotten: registered by now */
}

/* ----- bytes ---------------------------------------------------------------------------------- */

/* Hex digits; spaces where they help the reader. */
static void assert_bytes(const uint8_t *got, size_t length, const char *expected)
{
	char spaced[1024], *to = spaced;
	unsigned digits = 0;

	for (; *expected; expected++) {
		if (*expected == ' ') {
			continue;
		}
		assert_true((size_t)(to - spaced) < sizeof(spaced) - 2);
		if (digits && digits % 2 == 0) {
			*to++ = ' ';
		}
		*to++ = *expected;
		digits++;
	}
	*to = '\0';
	rig_assert_hex(got, length, spaced);
}

static void golden_bytes_of_a_state(void **unused)
{
	uint8_t bytes[512];
	struct scsi_entry reserve = {.kind = SCSI_ENTRY_PR_OUT,
		.who = hosts[B],
		.action = SCSI_PR_RESERVE,
		.type = 5,
		.key = 0xb2,
		.serial = 0x1122334455667788};
	int length;

	assert_int_equal(scsi_state_put(&state, bytes, sizeof(bytes)), 0);
	assert_int_equal(
		pr(A, SCSI_PR_REGISTER, 0, 0, keys[A], SCSI_ENTRY_APTPL), SCSI_RESULT_GOOD);
	assert_int_equal(
		pr(B, SCSI_PR_REGISTER, 0, 0, keys[B], SCSI_ENTRY_APTPL), SCSI_RESULT_GOOD);
	assert_int_equal(apply(&reserve), SCSI_RESULT_GOOD);
	assert_int_equal(mode(B, SCSI_MODE_ALL, SCSI_MODE_D_SENSE, 0), SCSI_RESULT_GOOD);
	length = scsi_state_put(&state, bytes, sizeof(bytes));
	assert_bytes(bytes, (size_t)length,
		"01 01 00000002 01 01 00 05 0001 0002 "
		"00000000000000a1 0101 800000000001 0007 69716e2e783a61 0005 69716e2e74 "
		"00000000000000b2 0201 800000000001 0007 69716e2e783a62 0005 69716e2e74 "
		"01 1122334455667788 00000000");
}

static void golden_bytes_of_entries(void **unused)
{
	static const uint8_t ports[] = {0x01, 0x01, 0x02, 0x01};
	uint8_t bytes[512], others[64];
	struct cursor o = cursor_over(others, sizeof(others));
	struct cursor c = cursor_over(bytes, sizeof(bytes));
	struct scsi_entry entry = {.kind = SCSI_ENTRY_PR_OUT,
		.who = hosts[A],
		.serial = 0x0102,
		.flags = SCSI_ENTRY_APTPL | SCSI_ENTRY_ALL_TG_PT | SCSI_ENTRY_SPEC_I_PT,
		.action = SCSI_PR_REGISTER,
		.new_key = 0xa1,
		.port_count = 2,
		.ports = cursor_reader(ports, sizeof(ports)),
		.other_count = 1};

	scsi_entry_other_put(&o, &hosts[C]);
	entry.others = cursor_reader(others, o.pos);
	scsi_entry_put(&c, &entry);
	assert_bytes(bytes, c.pos,
		"01 01 01 07 0000000000000102 "
		"0101 800000000001 0007 69716e2e783a61 0005 69716e2e74 "
		"00 00 0000000000000000 00000000000000a1 0002 0101 0201 "
		"0001 800000000001 0007 69716e2e783a63");
	c = cursor_over(bytes, sizeof(bytes));
	entry = (struct scsi_entry){.kind = SCSI_ENTRY_MODE,
		.who = hosts[B],
		.flags = SCSI_ENTRY_SAVE,
		.mask = 7,
		.values = 2};
	scsi_entry_put(&c, &entry);
	assert_bytes(bytes, c.pos,
		"01 01 05 10 0000000000000000 "
		"0201 800000000001 0007 69716e2e783a62 0005 69716e2e74 07 02");
}

static void bytes_that_are_no_state_are_refused(void **unused)
{
	uint8_t bytes[512], bad[512];
	struct scsi_state got = {.holder = SCSI_NO_REGISTRANT};
	int length;

	all_register();
	assert_int_equal(pr(B, SCSI_PR_RESERVE, 5, keys[B], 0, 0), SCSI_RESULT_GOOD);
	length = scsi_state_put(&state, bytes, sizeof(bytes));
	assert_int_equal(scsi_state_get(&got, bytes, (size_t)length), 0);
	assert_int_equal(got.holder, 1);
	for (int cut = 1; cut < length; cut++) {
		assert_int_equal(scsi_state_get(&got, bytes, (size_t)cut), -EBADMSG);
		assert_true(scsi_state_is_clear(&got));
	}
	bytes[length] = 0;
	assert_int_equal(scsi_state_get(&got, bytes, (size_t)length + 1), -EBADMSG);
	static const struct {
		unsigned at;
		uint8_t value;
	} changes[] = {
		{1, 2}, /* for a newer reader */
		{6, 0x04}, /* flags */
		{7, 0x08}, /* mode */
		{8, 0x80}, /* saved mode */
		{9, 2}, /* no such type */
		{9, 0}, /* a holder of nothing */
		{9, 7}, /* a holder of everybody's */
		{11, 3}, /* a holder that is not registered */
		{21, 0}, /* key 0 */
		{22, 3}, /* a port of no controller */
	};
	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		memcpy(bad, bytes, sizeof(bad));
		bad[changes[i].at] = changes[i].value;
		assert_int_equal(scsi_state_get(&got, bad, (size_t)length), -EBADMSG);
	}
	scsi_state_clear(&got);
}

static void an_entry_that_is_malformed_changes_nothing(void **unused)
{
	uint8_t bytes[512];
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	scsi_entry_put(&c, &(struct scsi_entry){.kind = SCSI_ENTRY_PR_OUT,
				   .who = hosts[A],
				   .action = SCSI_PR_REGISTER,
				   .new_key = 1,
				   .serial = 5});
	for (size_t cut = 0; cut < c.pos; cut++) {
		assert_int_equal(scsi_apply(&state, bytes, cut, &effects), SCSI_RESULT_MALFORMED);
	}
	bytes[2] = 9; /* an unknown kind */
	assert_int_equal(scsi_apply(&state, bytes, c.pos, &effects), SCSI_RESULT_MALFORMED);
	assert_true(scsi_state_is_clear(&state));
	/* a RESERVE of a type that there is not */
	assert_int_equal(pr(A, SCSI_PR_RESERVE, 4, 0, 0, 0), SCSI_RESULT_MALFORMED);
}

static uint32_t random_seed;

static uint32_t random_below(uint32_t limit)
{
	random_seed = random_seed * 1664525 + 1013904223;
	return (random_seed >> 8) % limit;
}

static size_t random_entry(uint8_t *bytes, size_t size)
{
	static const uint8_t kinds[] = {1, 1, 1, 1, 1, 1, 2, 3, 4, 5};
	static const uint8_t types[] = {1, 3, 5, 6, 7, 8};
	struct cursor c = cursor_over(bytes, size);
	struct scsi_entry entry = {.kind = kinds[random_below(sizeof(kinds))],
		.who = hosts[random_below(HOSTS)],
		.flags = (uint8_t)(random_below(2) ? SCSI_ENTRY_APTPL : 0),
		.serial = random_below(1000),
		.action = (uint8_t)random_below(SCSI_PR_ACTION_COUNT),
		.key = random_below(3),
		.new_key = random_below(3),
		.destination = hosts[random_below(HOSTS)],
		.mask = 7,
		.values = (uint8_t)random_below(8)};

	if (entry.action == SCSI_PR_RESERVE || entry.action == SCSI_PR_RELEASE ||
		entry.action == SCSI_PR_PREEMPT || entry.action == SCSI_PR_PREEMPT_AND_ABORT) {
		entry.type = types[random_below(sizeof(types))];
	}
	if (entry.action == SCSI_PR_REGISTER_AND_IGNORE && random_below(2)) {
		entry.flags |= SCSI_ENTRY_ALL_TG_PT;
		entry.port_count = 3;
		entry.ports = cursor_reader(all_ports, sizeof(all_ports));
	}
	scsi_entry_put(&c, &entry);
	assert_true(cursor_ok(&c));
	return c.pos;
}

/* What must hold of every state, whatever the history. */
static void state_is_sound(const struct scsi_state *s)
{
	if (s->type == 0 || scsi_pr_type_is_all(s->type)) {
		assert_int_equal(s->holder, SCSI_NO_REGISTRANT);
	} else {
		assert_true(s->holder < s->count);
	}
	assert_true(s->type == 0 || s->count > 0);
	assert_false(s->reserved && s->count);
}

/* Two controllers, one of which joins anew (saves and loads) now and then. */
static void histories_give_the_same_bytes_everywhere(void **unused)
{
	static uint8_t entry[1024], one[65536], two[65536];
	struct scsi_state other = {.holder = SCSI_NO_REGISTRANT};
	unsigned good = 0;

	for (uint32_t seed = 1; seed <= 200; seed++) {
		scsi_state_clear(&state);
		scsi_state_clear(&other);
		random_seed = seed;
		for (unsigned step = 0; step < 200; step++) {
			size_t length = random_entry(entry, sizeof(entry));
			struct scsi_effects more = {0};
			enum scsi_result result;
			int n;

			scsi_effects_clear(&effects);
			result = scsi_apply(&state, entry, length, &effects);
			assert_int_equal(scsi_apply(&other, entry, length, &more), result);
			assert_int_equal(more.count, effects.count);
			scsi_effects_clear(&more);
			good += result == SCSI_RESULT_GOOD && effects.changed;
			state_is_sound(&state);
			n = scsi_state_put(&state, one, sizeof(one));
			assert_int_equal(scsi_state_put(&other, two, sizeof(two)), n);
			assert_memory_equal(one, two, (size_t)n);
			if (random_below(16) == 0) {
				assert_int_equal(scsi_state_get(&other, two, (size_t)n), 0);
			}
		}
	}
	assert_true(good > 2000); /* the histories are not all conflicts */
	scsi_state_clear(&other);
}

static void without_power_only_aptpl_and_saved_pages_stay(void **unused)
{
	assert_int_equal(pr(A, SCSI_PR_REGISTER, 0, 0, keys[A], 0), SCSI_RESULT_GOOD);
	assert_int_equal(pr(A, SCSI_PR_RESERVE, 5, keys[A], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(mode(A, SCSI_MODE_ALL, SCSI_MODE_SWP, 0), SCSI_RESULT_GOOD);
	scsi_state_cool(&state);
	assert_true(scsi_state_is_clear(&state));

	assert_int_equal(
		pr(A, SCSI_PR_REGISTER, 0, 0, keys[A], SCSI_ENTRY_APTPL), SCSI_RESULT_GOOD);
	assert_int_equal(pr(A, SCSI_PR_RESERVE, 5, keys[A], 0, 0), SCSI_RESULT_GOOD);
	assert_int_equal(mode(A, SCSI_MODE_ALL, SCSI_MODE_TAS, SCSI_ENTRY_SAVE), SCSI_RESULT_GOOD);
	assert_int_equal(mode(A, SCSI_MODE_ALL, SCSI_MODE_SWP, 0), SCSI_RESULT_GOOD);
	scsi_state_cool(&state);
	assert_int_equal(state.generation, 0);
	assert_true(holds(A));
	assert_int_equal(state.mode, SCSI_MODE_TAS);
	scsi_state_clear(&state);
	assert_int_equal(simple(A, SCSI_ENTRY_RESERVE, 0), SCSI_RESULT_GOOD);
	scsi_state_cool(&state);
	assert_true(scsi_state_is_clear(&state));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(reserve_and_release_as_in_spc2),
		TEST(reserve_beside_registrations),
		TEST(mode_parameters_change_and_tell),
		TEST(every_type_for_every_class_of_command),
		TEST(an_spc2_reservation_lets_little_through),
		TEST(a_command_that_was_applied_is_not_applied_again),
		TEST(golden_bytes_of_a_state),
		TEST(golden_bytes_of_entries),
		TEST(bytes_that_are_no_state_are_refused),
		TEST(an_entry_that_is_malformed_changes_nothing),
		TEST(histories_give_the_same_bytes_everywhere),
		TEST(without_power_only_aptpl_and_saved_pages_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
