/* SPDX-License-Identifier: BSD-3-Clause */
/* The log on its way to syslog: complete, in order, and never in anybody's way. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/base/log_queue.h"
#include "yoke/log.h"

#define LINES (3 * LOG_QUEUE_LINES)

/* ----- what stands in syslog's place ---------------------------------------------------------- */

static char lines[2 * LINES][LOG_QUEUE_TEXT];
static int priorities[2 * LINES];
static atomic_uint taken;
static atomic_bool hangs;
static sem_t entered, go_on;

static void take(int priority, const char *fmt, va_list args)
{
	if (atomic_load(&hangs)) {
		sem_post(&entered);
		sem_wait(&go_on);
	}
	vsnprintf(lines[taken], sizeof(lines[0]), fmt, args);
	priorities[taken] = priority;
	atomic_fetch_add(&taken, 1);
}

void __wrap_syslog(int priority, const char *fmt, ...);
void __wrap_syslog(int priority, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	take(priority, fmt, args);
	va_end(args);
}

static int setup(void **state)
{
	(void)state;
	taken = 0;
	hangs = false;
	sem_init(&entered, 0, 0);
	sem_init(&go_on, 0, 0);
	yoke_log_open("test", LOG_INFO, 0);
	return 0;
}

static void resume(void)
{
	atomic_store(&hangs, false);
	sem_post(&go_on);
}

static void assert_line(unsigned at, int priority, const char *text)
{
	assert_true(at < taken);
	assert_int_equal(priorities[at], priority);
	assert_string_equal(lines[at], text);
}

/* ----- the tests ------------------------------------------------------------------------------ */

static void lines_come_in_order_and_by_level(void **state)
{
	char text[64];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		log_info("line %u", i);
		log_debug("not this one");
	}
	yoke_log_level_set(LOG_DEBUG);
	log_debug("but this");
	yoke_log_level_set(LOG_ERR);
	log_warning("not this one either");
	log_err("and this");
	yoke_log_close();
	assert_int_equal(taken, 102);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "[info] line %u", i);
		assert_line(i, LOG_INFO, text);
	}
	assert_line(100, LOG_DEBUG, "[debug] but this");
	assert_line(101, LOG_ERR, "[error] and this");
}

/* It returns from the log; what did not fit is counted, where it would have been. */
static void a_syslog_that_hangs_holds_nobody_up(void **state)
{
	char text[64];
	unsigned lost = 0;

	(void)state;
	atomic_store(&hangs, true);
	log_info("line 0");
	sem_wait(&entered);
	for (unsigned i = 1; i < LINES; i++) {
		log_info("line %u", i);
	}
	assert_int_equal(taken, 0);
	resume();
	/* One is written: there is room for those that come now, behind what is lost. */
	while (taken < LOG_QUEUE_LINES / 2) {
		sched_yield();
	}
	log_info("line %u", LINES);
	yoke_log_close();
	for (unsigned i = 0; i < LOG_QUEUE_LINES; i++) {
		snprintf(text, sizeof(text), "[info] line %u", i);
		assert_line(i, LOG_INFO, text);
	}
	assert_int_equal(
		sscanf(lines[LOG_QUEUE_LINES], "[warning] %u lines of the log are lost", &lost), 1);
	assert_int_equal(lost, LINES - LOG_QUEUE_LINES);
	assert_int_equal(priorities[LOG_QUEUE_LINES], LOG_WARNING);
	snprintf(text, sizeof(text), "[info] line %u", LINES);
	assert_line(LOG_QUEUE_LINES + 1, LOG_INFO, text);
	assert_int_equal(taken, LOG_QUEUE_LINES + 2);
}

/* The last test: the thread that hangs is left to itself. */
static void nor_does_it_keep_the_process(void **state)
{
	(void)state;
	atomic_store(&hangs, true);
	log_info("never written");
	sem_wait(&entered);
	yoke_log_close();
	assert_int_equal(taken, 0);
	resume();
	while (taken < 1) {
		sched_yield();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lines_come_in_order_and_by_level, setup),
		cmocka_unit_test_setup(a_syslog_that_hangs_holds_nobody_up, setup),
		cmocka_unit_test_setup(nor_does_it_keep_the_process, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
