/* SPDX-License-Identifier: BSD-3-Clause */
/* The log on its way to syslog: complete, in order, and never in anybody's way. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "daemon/base/log_gather.h"
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

/* ----- standard error ------------------------------------------------------------------------- */

static int stderr_before, packets[2]; /* each write is one read there */

static int stderr_setup(void **state)
{
	(void)state;
	stderr_before = dup(STDERR_FILENO);
	assert_int_equal(pipe2(packets, O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
	dup2(packets[1], STDERR_FILENO);
	yoke_log_open("test", LOG_INFO, 1);
	return 0;
}

static int stderr_teardown(void **state)
{
	(void)state;
	yoke_log_close();
	dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
	close(packets[0]);
	close(packets[1]);
	return 0;
}

/* What one write brought: of each line the part behind the time; "" when there was none. */
static const char *written(void)
{
	static char text[4096];
	char raw[4096], *line, *rest = raw;
	ssize_t n = read(packets[0], raw, sizeof(raw) - 1);
	size_t at = 0;

	raw[n > 0 ? n : 0] = '\0';
	text[0] = '\0';
	while ((line = strsep(&rest, "\n")) && *line) {
		const char *level = strstr(line, "info");

		level = level ? level : strstr(line, "error");
		assert_non_null(level);
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\n", level);
	}
	return text;
}

static void a_pass_is_one_write(void **state)
{
	(void)state;
	log_info("alone");
	assert_string_equal(written(), "info    alone\n");
	assert_false(yoke_log_gather(true));
	log_info("one");
	log_debug("not this one");
	log_info("two");
	assert_string_equal(written(), "");
	assert_true(yoke_log_gather(true)); /* a pass within a pass ends with the outer one */
	assert_true(yoke_log_gather(true));
	assert_string_equal(written(), "");
	assert_true(yoke_log_gather(false));
	assert_string_equal(written(), "info    one\ninfo    two\n");
	assert_false(yoke_log_gather(false));
	assert_string_equal(written(), "");
}

static void an_error_does_not_wait(void **state)
{
	(void)state;
	yoke_log_gather(true);
	log_info("before");
	log_err("now");
	assert_string_equal(written(), "info    before\nerror   now\n");
	log_info("after");
	yoke_log_gather(false);
	assert_string_equal(written(), "info    after\n");
}

static void *log_from_elsewhere(void *arg)
{
	(void)arg;
	log_info("another thread");
	return NULL;
}

/* It writes what the other one keeps as well: the order is that of the log. */
static void threads_do_not_pass_each_other(void **state)
{
	pthread_t thread;

	(void)state;
	yoke_log_gather(true);
	log_info("kept");
	assert_int_equal(pthread_create(&thread, NULL, log_from_elsewhere, NULL), 0);
	pthread_join(thread, NULL);
	assert_string_equal(written(), "info    kept\ninfo    another thread\n");
	yoke_log_gather(false);
	assert_string_equal(written(), "");
}

static void more_than_fits_is_written_before(void **state)
{
	unsigned lines_read = 0;
	char raw[LOG_GATHER_BYTES];
	ssize_t n;

	(void)state;
	yoke_log_gather(true);
	for (unsigned i = 0; i < 350; i++) {
		log_info("%0100u", i);
	}
	yoke_log_gather(false);
	while ((n = read(packets[0], raw, sizeof(raw))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			lines_read += raw[i] == '\n';
		}
	}
	assert_int_equal(lines_read, 350);
}

/* How the child ends, with a line that is kept. */
static void end_by_exit(void)
{
	exit(0);
}

static void end_by_abort(void)
{
	abort();
}

static void end_by_signal(void)
{
	raise(SIGSEGV);
}

static void end_by_fault(void)
{
	__builtin_trap();
}

static void no_end_loses_a_line(void **state)
{
	static const struct end_row {
		void (*end)(void);
		int number; /* of the signal that the parent is told */
	} ends[] = {{end_by_exit, 0}, {end_by_abort, SIGABRT}, {end_by_signal, SIGSEGV},
		{end_by_fault, SIGILL}};

	(void)state;
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		int status;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			struct rlimit none = {0};

			setrlimit(RLIMIT_CORE, &none);
			yoke_log_close();
			for (int number = 1; number < SIGRTMIN; number++) {
				signal(number, SIG_DFL); /* cmocka's are not what yoked has */
			}
			yoke_log_open("test", LOG_INFO, 1);
			yoke_log_gather(true);
			log_info("the last line");
			ends[i].end();
			_exit(1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : 0, ends[i].number);
		assert_string_equal(written(), "info    the last line\n");
	}
}

/* In the queue, too: the thread is woken for all of them at once. */
static void the_queue_is_woken_at_the_end(void **state)
{
	(void)state;
	log_info("line 0");
	while (taken < 1) {
		sched_yield();
	}
	yoke_log_gather(true);
	for (unsigned i = 1; i < 100; i++) {
		log_info("line %u", i);
	}
	yoke_log_gather(false);
	while (taken < 100) {
		sched_yield();
	}
	assert_line(99, LOG_INFO, "[info] line 99");
	yoke_log_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lines_come_in_order_and_by_level, setup),
		cmocka_unit_test_setup(a_syslog_that_hangs_holds_nobody_up, setup),
		cmocka_unit_test_setup(the_queue_is_woken_at_the_end, setup),
		cmocka_unit_test_setup_teardown(a_pass_is_one_write, stderr_setup, stderr_teardown),
		cmocka_unit_test_setup_teardown(
			an_error_does_not_wait, stderr_setup, stderr_teardown),
		cmocka_unit_test_setup_teardown(
			threads_do_not_pass_each_other, stderr_setup, stderr_teardown),
		cmocka_unit_test_setup_teardown(
			more_than_fits_is_written_before, stderr_setup, stderr_teardown),
		cmocka_unit_test_setup_teardown(no_end_loses_a_line, stderr_setup, stderr_teardown),
		cmocka_unit_test_setup(nor_does_it_keep_the_process, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
