/* SPDX-License-Identifier: BSD-3-Clause */
/* The judge is judged: valid histories pass, every mutated one is caught, by name and seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/checker/check.h"
#include "tests/checker/mutate.h"

#define MUTATED_EACH 20
#define SEEDS_MAX    2000

static struct generate_options options_of(uint64_t seed)
{
	return (struct generate_options){.seed = seed,
		.ops = 300,
		.clients = 2 + (unsigned)(seed % 5),
		.sectors = 1 + (unsigned)(seed % 4),
		.maybe_percent = seed % 3 ? 3 : 0,
		.again_percent = seed % 2 ? 10 : 0};
}

static void test_valid_histories_pass(void **state)
{
	for (uint64_t seed = 1; seed <= 500; seed++) {
		struct generate_options options = options_of(seed);
		struct history history = {0};
		struct check_result result;

		generate(&history, &options);
		result = check_history(&history);
		if (!result.linearizable || result.gave_up) {
			fail_msg("seed %llu: %s at op %llu of kind %c", (unsigned long long)seed,
				result.gave_up ? "gave up" : "not linearizable",
				(unsigned long long)result.op.id, history_kinds[result.op.kind]);
		}
		assert_int_equal(result.ops, 300);
		history_free(&history);
	}
}

static void test_mutated_histories_are_caught(void **state)
{
	unsigned total = 0;

	for (unsigned i = 0; i < mutator_count; i++) {
		unsigned made = 0;

		for (uint64_t seed = 1; seed <= SEEDS_MAX && made < MUTATED_EACH; seed++) {
			struct generate_options options = options_of(seed);
			struct history history = {0};
			uint64_t random = seed * 1000 + i;

			generate(&history, &options);
			if (mutators[i].run(&history, &random)) {
				struct check_result result = check_history(&history);

				made++;
				if (result.linearizable) {
					fail_msg("%s (%s), seed %llu: not caught", mutators[i].name,
						mutators[i].what, (unsigned long long)seed);
				}
			}
			history_free(&history);
		}
		if (made < MUTATED_EACH) {
			fail_msg("%s: only %u of %u histories could be made", mutators[i].name,
				made, MUTATED_EACH);
		}
		total += made;
	}
	assert_true(total >= 100);
	print_message("%u mutated histories, all caught\n", total);
}

/* ----- by hand ----------------------------------------------------------------------------------
 */

static bool judge(const char *text)
{
	struct history history = {0};
	FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct check_result result;

	assert_int_equal(history_read(&history, file), 0);
	fclose(file);
	result = check_history(&history);
	assert_false(result.gave_up);
	history_free(&history);
	return result.linearizable;
}

static void test_by_hand(void **state)
{
	/* A read beside a write may see either; two in a row not the new one first. */
	assert_true(judge("W 1 0 0 0 1 7 0 10 50 ok 1\nR 2 1 0 0 1 0 0 20 30 ok 1\n"));
	assert_true(judge("W 1 0 0 0 1 7 0 10 50 ok 1\nR 2 1 0 0 1 7 0 20 30 ok 1\n"));
	assert_false(judge("W 1 0 0 0 1 7 0 10 50 ok 1\nR 2 1 0 0 1 7 0 20 30 ok 1\n"
			   "R 3 2 0 0 1 0 0 31 40 ok 1\n"));
	/* No answer: it may come later or never, but not twice. */
	assert_true(judge("W 1 0 0 0 1 7 0 10 0 maybe 1\nR 2 1 0 0 1 0 0 20 30 ok 1\n"));
	assert_true(judge("W 1 0 0 0 1 7 0 10 0 maybe 1\nR 2 1 0 0 1 0 0 20 30 ok 1\n"
			  "R 3 1 0 0 1 7 0 40 50 ok 1\n"));
	assert_false(judge("W 1 0 0 0 1 7 0 10 0 maybe 1\nW 2 1 0 0 1 8 0 11 12 ok 1\n"
			   "R 3 1 0 0 1 7 0 20 30 ok 1\nW 4 1 0 0 1 9 0 31 32 ok 1\n"
			   "R 5 1 0 0 1 7 0 40 50 ok 1\n"));
	/* Sent twice it may take effect twice, until its answer and no longer. */
	assert_true(judge("W 1 0 0 0 1 7 0 10 60 ok 2\nR 2 1 0 0 1 7 0 20 21 ok 1\n"
			  "W 3 1 0 0 1 8 0 22 23 ok 1\nR 4 1 0 0 1 8 0 24 25 ok 1\n"
			  "R 5 1 0 0 1 7 0 30 40 ok 1\n"));
	assert_false(judge("W 1 0 0 0 1 7 0 10 60 ok 1\nR 2 1 0 0 1 7 0 20 21 ok 1\n"
			   "W 3 1 0 0 1 8 0 22 23 ok 1\nR 4 1 0 0 1 8 0 24 25 ok 1\n"
			   "R 5 1 0 0 1 7 0 30 40 ok 1\n"));
	assert_false(judge("W 1 0 0 0 1 7 0 10 26 ok 2\nW 3 1 0 0 1 8 0 27 28 ok 1\n"
			   "R 5 1 0 0 1 7 0 30 40 ok 1\n"));
	/* COMPARE AND WRITE: one of two wins. Sent twice, it may lose against itself. */
	assert_true(judge("C 1 0 0 0 1 7 0 10 50 ok 1\nC 2 1 0 0 1 8 0 10 50 no 1\n"));
	assert_false(judge("C 1 0 0 0 1 7 0 10 50 ok 1\nC 2 1 0 0 1 8 0 10 50 ok 1\n"));
	assert_false(judge("C 1 0 0 0 1 7 0 10 50 no 1\n"));
	assert_true(judge("C 1 0 0 0 1 7 0 10 50 no 2\nR 2 1 0 0 1 7 0 60 70 ok 1\n"));
	/* Several sectors in one line, each an object of its own. */
	assert_false(judge("W 1 0 0 0 8 7 0 10 20 ok 1\nR 2 1 0 0 7 7 0 30 40 ok 1\n"
			   "R 2 1 0 7 1 0 0 30 40 ok 1\n"));
	assert_true(judge("# nothing\n\nW 1 0 0 0 8 7 0 10 20 ok 1\nR 2 1 1 0 8 0 0 30 40 ok 1\n"));
	/* Locks. */
	assert_true(judge("G 8 0 0 18446744073709551615 1 0 0 1 2 ok 1\n"
			  "G 9 1 0 18446744073709551615 1 0 0 3 4 ok 1\n"
			  "L 1 0 0 18446744073709551615 1 0 0 10 20 ok 1\n"
			  "L 2 1 0 18446744073709551615 1 0 0 30 40 no 1\n"
			  "P 3 1 0 18446744073709551615 1 0 0 50 60 ok 1\n"
			  "U 4 0 0 18446744073709551615 1 0 0 70 80 no 1\n"));
	assert_false(judge("L 1 0 0 18446744073709551615 1 0 0 10 20 ok 1\n"));
	assert_false(judge("G 8 0 0 18446744073709551615 1 0 0 1 2 ok 1\n"
			   "G 9 1 0 18446744073709551615 1 0 0 3 4 ok 1\n"
			   "L 1 0 0 18446744073709551615 1 0 0 10 20 ok 1\n"
			   "P 3 1 0 18446744073709551615 1 0 0 50 60 ok 1\n"
			   "U 4 0 0 18446744073709551615 1 0 0 70 80 ok 1\n"));
}

static void test_lines(void **state)
{
	static const char *const bad[] = {
		"X 1 0 0 0 1 7 0 10 50 ok 1\n",
		"W 1 0 0 0 1 7 0 10 50 good 1\n",
		"W 1 0 0 0 0 7 0 10 50 ok 1\n",
		"W 1 0 0 0 99999999 7 0 10 50 ok 1\n",
		"W 1 0 0 0 1 7 0 10 50 ok\n",
		"W 1 0 0 0 1 7 0 10 50 ok 1 1\n",
		"W\n",
		"G 1 48 0 18446744073709551615 1 0 0 10 20 ok 1\n",
	};
	struct history_op op = {.id = 5,
		.client = 2,
		.unit = 3,
		.sector = 4,
		.value = 6,
		.expected = 7,
		.invoked_ns = 8,
		.returned_ns = 9,
		.attempts = 1,
		.kind = HISTORY_SWAP,
		.outcome = HISTORY_NO};
	struct history history = {0};
	char line[256];
	FILE *file;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		file = fmemopen((void *)(uintptr_t)bad[i], strlen(bad[i]), "r");
		assert_int_equal(history_read(&history, file), 1);
		fclose(file);
	}
	file = fmemopen(line, sizeof(line), "w+");
	history_print(file, &op, 2);
	rewind(file);
	assert_int_equal(history_read(&history, file), 0);
	fclose(file);
	assert_string_equal(line, "C 5 2 3 4 2 6 7 8 9 no 1\n");
	assert_int_equal(history.count, 2);
	assert_memory_equal(&history.ops[0], &op, sizeof(op));
	assert_int_equal(history.ops[1].sector, 5);
	history_free(&history);
}

/* Many sectors, few at once, as the I/O program makes them. */
static void test_large(void **state)
{
	struct generate_options options = {
		.seed = 1, .ops = 200000, .clients = 16, .sectors = 5000, .maybe_percent = 1};
	struct history history = {0};
	struct check_result result;

	generate(&history, &options);
	for (size_t i = 0; i < history.count; i++) {
		/* The two locks are for the small histories. */
		if (history.ops[i].sector == HISTORY_LOCK) {
			history.ops[i--] = history.ops[--history.count];
		}
	}
	result = check_history(&history);
	assert_true(result.linearizable);
	assert_false(result.gave_up);
	history_free(&history);
}

/*
 * Sixty writes that were never answered and are seen late, in another order: any of them may or may
 * not have been done before each of these reads. What is left to remember is only which can still
 * come; with every subset by itself it could not be judged.
 */
static void test_many_unanswered(void **state)
{
	for (unsigned twice = 0; twice <= 1; twice++) {
		struct history history = {0};
		struct check_result result;
		struct history_op op = {.attempts = 1, .kind = HISTORY_WRITE};

		for (op.id = 1; op.id <= 60; op.id++) {
			op.client = (uint32_t)op.id;
			op.outcome = HISTORY_MAYBE;
			op.value = op.id;
			op.invoked_ns = op.id;
			assert_true(history_add(&history, &op));
		}
		op.kind = HISTORY_READ;
		op.client = 0;
		op.outcome = HISTORY_OK;
		for (unsigned i = 0; i < 60; i++, op.id++) {
			op.value = 1 + i * 7 % 60;
			op.invoked_ns = 1000 + 10 * i;
			op.returned_ns = op.invoked_ns + 5;
			assert_true(history_add(&history, &op));
		}
		/* Once more what was seen, and overwritten, before: only what was sent twice can.
		 */
		history.ops[0].attempts = (uint16_t)(1 + twice);
		op.value = 1;
		op.invoked_ns = 5000;
		op.returned_ns = 5001;
		assert_true(history_add(&history, &op));
		result = check_history(&history);
		assert_false(result.gave_up);
		assert_int_equal(result.linearizable, twice);
		assert_in_range(result.most_states, 2, 200);
		history_free(&history);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_valid_histories_pass),
		cmocka_unit_test(test_mutated_histories_are_caught),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_many_unanswered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
