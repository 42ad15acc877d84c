/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's side of iSNS, against programs that only pretend (fake_isns.sh). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "yoke/isns.h"
#include "yoke/util.h"

static qb_loop_t *loop;
static struct isns *isns;
static char program[4096], log_path[64];
static struct conf_address portals[] = {{.text = "10.77.1.1:3260"}, {.text = "[fd00::1]:3260"}};
static struct conf_controller controllers[] = {
	{.name = "a", .id = 1},
	{.name = "b", .id = 2, .portals = portals, .portal_count = 2},
};
static struct conf_target targets[] = {
	{.name = "iqn.2026-01.org.example:array1"},
	{.name = "iqn.2026-01.org.example:array2", .alias = "the second one"},
};
static struct conf_address servers[5];
static struct conf conf;

static int setup(void **state)
{
	const char *top = getenv("top_srcdir");
	int fd;

	snprintf(program, sizeof(program), "%s/tests/unit/fake_isns.sh", top ? top : ".");
	snprintf(log_path, sizeof(log_path), "/tmp/test_isns.XXXXXX");
	fd = mkstemp(log_path);
	assert_true(fd >= 0);
	close(fd);
	setenv("FAKE_ISNS_LOG", log_path, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(servers); i++) {
		snprintf(servers[i].text, sizeof(servers[i].text), "10.0.0.9:%u", 1001 + i);
	}
	conf = (struct conf){.controllers = controllers,
		.controller_count = 2,
		.targets = targets,
		.target_count = 2,
		.isns = {.servers = servers,
			.server_count = ARRAY_SIZE(servers),
			.period_s = 600,
			.esi_interval_s = 60}};
	loop = qb_loop_create();
	assert_non_null(loop);
	return 0;
}

static int teardown(void **state)
{
	isns_free(isns);
	isns = NULL;
	qb_loop_destroy(loop);
	unlink(log_path);
	return 0;
}

static void make(void)
{
	struct isns_setup isns_setup = {
		.conf = &conf, .controller = 2, .loop = loop, .program = program};

	isns = isns_new(&isns_setup);
	assert_non_null(isns);
}

/* Runs the loop until `until` holds, at most ten seconds. */
static bool (*run_until)(void);
static unsigned run_steps;

static void run_step(void *arg)
{
	qb_loop_timer_handle handle;

	if (run_until() || ++run_steps > 1000) {
		qb_loop_stop(loop);
		return;
	}
	qb_loop_timer_add(loop, QB_LOOP_LOW, 10 * QB_TIME_NS_IN_MSEC, NULL, run_step, &handle);
}

static void run(bool (*until)(void))
{
	run_until = until;
	run_steps = 0;
	run_step(NULL);
	if (!until()) {
		qb_loop_run(loop);
	}
	assert_true(until());
}

static struct isns_info info(unsigned index)
{
	struct isns_info answer;

	assert_true(isns_info(isns, index, &answer));
	return answer;
}

/* Everything in the log, a line each. */
static const char *told(void)
{
	static char text[65536];
	int fd = open(log_path, O_RDONLY);
	ssize_t count = read(fd, text, sizeof(text) - 1);

	close(fd);
	assert_true(count >= 0);
	text[count] = '\0';
	return text;
}

static bool all_have_spoken(void)
{
	return info(0).inquiries == 2 && info(1).state == ISNS_FAILED &&
	       info(2).state == ISNS_FAILED && info(3).state == ISNS_FAILED &&
	       info(4).state == ISNS_REGISTERED;
}

static void every_server_has_its_own_fate(void **state)
{
	struct isns_info answer;

	make();
	for (unsigned i = 0; i < ARRAY_SIZE(servers); i++) {
		assert_int_equal(info(i).state, ISNS_IDLE);
		assert_string_equal(info(i).server, servers[i].text);
	}
	assert_false(isns_info(isns, ARRAY_SIZE(servers), &answer));
	isns_start(isns);
	run(all_have_spoken);
	answer = info(0);
	assert_int_equal(answer.state, ISNS_REGISTERED);
	assert_int_equal(answer.period_s, 600);
	assert_int_equal(answer.esi_interval_s, 60);
	assert_int_equal(answer.registrations, 1);
	assert_string_equal(answer.problem, "");
	assert_true(answer.since_unix_s > 0);
	assert_string_equal(info(1).problem, "not registered: nobody there");
	assert_string_equal(info(2).problem, "the program has ended with status 3");
	assert_string_equal(info(3).problem, "the program has ended with signal 9");
	/* Rubbish and a line without end do no harm. */
	assert_int_equal(info(4).period_s, 30);
	assert_int_equal(info(4).inquiries, 1);
	assert_int_equal(info(4).registrations, 1);
}

static bool first_is_registered(void)
{
	return info(0).state == ISNS_REGISTERED;
}

static void it_is_told_what_to_register(void **state)
{
	conf.isns.server_count = 1;
	make();
	isns_start(isns);
	run(first_is_registered);
	assert_string_equal(told(),
		"10.0.0.9:1001 entity iqn.2026-01.org.example:array1\n"
		"10.0.0.9:1001 period 600\n"
		"10.0.0.9:1001 esi 60\n"
		"10.0.0.9:1001 tag 2\n"
		"10.0.0.9:1001 portal 10.77.1.1:3260\n"
		"10.0.0.9:1001 portal [fd00::1]:3260\n"
		"10.0.0.9:1001 target iqn.2026-01.org.example:array1\n"
		"10.0.0.9:1001 target iqn.2026-01.org.example:array2 the second one\n"
		"10.0.0.9:1001 start\n");
}

static bool third_was_tried_twice(void)
{
	const char *first = strstr(told(), "10.0.0.9:1003 start\n");

	return first && strstr(first + 1, "10.0.0.9:1003 start\n");
}

static void a_program_that_ends_is_started_again(void **state)
{
	conf.isns.servers = &servers[2];
	conf.isns.server_count = 1;
	make();
	isns_start(isns);
	run(third_was_tried_twice);
	conf.isns.servers = servers;
}

static unsigned stopped;

static void count_stopped(void *arg)
{
	assert_ptr_equal(arg, &stopped);
	stopped++;
}

static bool has_stopped(void)
{
	return stopped > 0;
}

static void a_stop_deregisters(void **state)
{
	conf.isns.server_count = 1;
	make();
	isns_start(isns);
	run(first_is_registered);
	stopped = 0;
	isns_stop(isns, count_stopped, &stopped);
	assert_int_equal(info(0).state, ISNS_STOPPING);
	run(has_stopped);
	assert_int_equal(stopped, 1);
	assert_int_equal(info(0).state, ISNS_IDLE);
	assert_non_null(strstr(told(), "10.0.0.9:1001 stop\n"));
}

/* ----- targets that come and go --------------------------------------------------------------- */

static bool first_has_failed(void)
{
	return info(0).state == ISNS_FAILED;
}

static const char *awaited; /* what the log must hold in the end */

static bool it_is_told(void)
{
	return strstr(told(), awaited) != NULL;
}

/* What the program has been told since the last time; the log's beginning is forgotten. */
static void expect_told(const char *text)
{
	awaited = text;
	run(it_is_told);
	assert_string_equal(told(), text);
	assert_int_equal(truncate(log_path, 0), 0);
}

static struct conf_target changed_targets[3];
static struct conf changed;

/* The first server's program runs; `changed` is as `conf`, to be changed. */
static void begin_change(void)
{
	conf.isns.server_count = 1;
	make();
	isns_start(isns);
	run(first_is_registered);
	assert_int_equal(truncate(log_path, 0), 0);
	changed = conf;
	memcpy(changed_targets, targets, sizeof(targets));
	changed.targets = changed_targets;
}

static bool registered_again(void)
{
	return first_is_registered() && info(0).registrations == 2;
}

static void a_target_comes_and_goes(void **state)
{
	begin_change();
	changed_targets[2] = (struct conf_target){.name = "iqn.2026-01.org.example:new"};
	changed.target_count = 3;
	isns_conf_set(isns, &changed);
	assert_int_equal(info(0).state, ISNS_REGISTERING);
	expect_told("10.0.0.9:1001 change\n"
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array1\n"
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array2 the second one\n"
		    "10.0.0.9:1001 target iqn.2026-01.org.example:new\n"
		    "10.0.0.9:1001 start\n");
	run(registered_again);
	isns_conf_set(isns, &conf);
	expect_told("10.0.0.9:1001 change\n"
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array1\n"
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array2 the second one\n"
		    "10.0.0.9:1001 went iqn.2026-01.org.example:new\n"
		    "10.0.0.9:1001 start\n");
}

static void an_alias_changes(void **state)
{
	begin_change();
	changed_targets[1].alias = NULL;
	isns_conf_set(isns, &changed);
	expect_told("10.0.0.9:1001 change\n"
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array1\n"
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array2\n"
		    "10.0.0.9:1001 start\n");
}

static void what_does_not_concern_it_is_not_told(void **state)
{
	begin_change();
	changed.hold_limit_ms = 7;
	isns_conf_set(isns, &changed);
	assert_int_equal(info(0).state, ISNS_REGISTERED);
	/* The next that does is the first it hears of. */
	conf.targets[1].alias = "another one";
	isns_conf_set(isns, &conf);
	conf.targets[1].alias = "the second one";
	expect_told("10.0.0.9:1001 change\n"
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array1\n"
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array2 another one\n"
		    "10.0.0.9:1001 start\n");
}

#define ANEW                                    \
	"10.0.0.9:1001 period 600\n"            \
	"10.0.0.9:1001 esi 60\n"                \
	"10.0.0.9:1001 tag 2\n"                 \
	"10.0.0.9:1001 portal 10.77.1.1:3260\n" \
	"10.0.0.9:1001 portal [fd00::1]:3260\n"

/* The first target gives the entity its name: with another one it is another entity. */
static void another_entity(void **state)
{
	begin_change();
	changed.targets = changed_targets + 1;
	changed.target_count = 1;
	isns_conf_set(isns, &changed);
	assert_int_equal(info(0).state, ISNS_STOPPING);
	expect_told("10.0.0.9:1001 stop\n"
		    "10.0.0.9:1001 entity iqn.2026-01.org.example:array2\n" ANEW
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array2 the second one\n"
		    "10.0.0.9:1001 went iqn.2026-01.org.example:array1\n"
		    "10.0.0.9:1001 start\n");
	run(registered_again);
}

static bool first_is_idle(void)
{
	return info(0).state == ISNS_IDLE;
}

static void the_last_target_goes_and_the_first_comes(void **state)
{
	begin_change();
	changed.target_count = 0;
	isns_conf_set(isns, &changed);
	expect_told("10.0.0.9:1001 stop\n");
	run(first_is_idle);
	isns_conf_set(isns, &conf);
	expect_told("10.0.0.9:1001 entity iqn.2026-01.org.example:array1\n" ANEW
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array1\n"
		    "10.0.0.9:1001 target iqn.2026-01.org.example:array2 the second one\n"
		    "10.0.0.9:1001 start\n");
	run(registered_again);
}

/* A program that ended by itself is told of the change with everything else. */
static bool third_knows(void)
{
	return strstr(told(), "10.0.0.9:1003 went iqn.2026-01.org.example:array2\n"
			      "10.0.0.9:1003 start\n") != NULL;
}

static void a_change_while_no_program_runs(void **state)
{
	conf.isns.servers = &servers[2];
	conf.isns.server_count = 1;
	make();
	isns_start(isns);
	run(first_has_failed);
	changed = conf;
	changed.target_count = 1;
	isns_conf_set(isns, &changed);
	run(third_knows);
	conf.isns.servers = servers;
}

/* A stop in the middle of a new beginning ends as any other. */
static void a_stop_while_it_begins_anew(void **state)
{
	begin_change();
	changed.targets = changed_targets + 1;
	changed.target_count = 1;
	isns_conf_set(isns, &changed);
	stopped = 0;
	isns_stop(isns, count_stopped, &stopped);
	run(has_stopped);
	assert_int_equal(stopped, 1);
	assert_int_equal(info(0).state, ISNS_IDLE);
	assert_string_equal(told(), "10.0.0.9:1001 stop\n");
	isns_conf_set(isns, &conf); /* and nothing is begun any more */
	assert_int_equal(info(0).state, ISNS_IDLE);
}

static bool second_has_failed(void)
{
	return info(1).state == ISNS_FAILED;
}

static void a_stop_does_not_wait_for_ever(void **state)
{
	struct timespec begin, end;

	conf.isns.server_count = 2;
	make();
	isns_start(isns);
	run(second_has_failed);
	stopped = 0;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	isns_stop(isns, count_stopped, &stopped);
	run(has_stopped);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_int_equal(stopped, 1);
	assert_true(end.tv_sec - begin.tv_sec >= 2);
}

static void stops_without_anything_to_stop(void **state)
{
	conf.isns.server_count = 0;
	make();
	isns_start(isns);
	stopped = 0;
	isns_stop(isns, count_stopped, &stopped);
	assert_int_equal(stopped, 1);
	isns_free(isns);
	/* Not started yet. */
	conf.isns.server_count = 2;
	make();
	isns_stop(isns, count_stopped, &stopped);
	assert_int_equal(stopped, 2);
	isns_free(isns);
	/* Nothing to say. */
	conf.target_count = 0;
	make();
	isns_start(isns);
	isns_stop(isns, count_stopped, &stopped);
	assert_int_equal(stopped, 3);
}

static void a_program_that_is_not_there(void **state)
{
	snprintf(program, sizeof(program), "/nonexistent/yoke-isns");
	conf.isns.server_count = 1;
	make();
	isns_start(isns);
	run(first_has_failed);
	assert_string_equal(info(0).problem,
		"/nonexistent/yoke-isns cannot be started: No such file or directory");
}

static void names_are_complete(void **state)
{
	for (unsigned i = 0; i < ISNS_STATES; i++) {
		assert_string_not_equal(isns_state_name((enum isns_state)i), "unknown");
	}
	assert_string_equal(isns_state_name(ISNS_STATES), "unknown");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_server_has_its_own_fate),
		TEST(it_is_told_what_to_register),
		TEST(a_program_that_ends_is_started_again),
		TEST(a_stop_deregisters),
		TEST(a_target_comes_and_goes),
		TEST(an_alias_changes),
		TEST(what_does_not_concern_it_is_not_told),
		TEST(another_entity),
		TEST(the_last_target_goes_and_the_first_comes),
		TEST(a_change_while_no_program_runs),
		TEST(a_stop_while_it_begins_anew),
		TEST(a_stop_does_not_wait_for_ever),
		TEST(stops_without_anything_to_stop),
		TEST(a_program_that_is_not_there),
		TEST(names_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
