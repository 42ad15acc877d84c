/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/log.h"

#include <errno.h>
#include <stdbool.h>

#include "daemon/base/log_gather.h"
#include "daemon/base/log_queue.h"

#define LOG_BLACKBOX_BYTES (512 * 1024)

/* The targets that bring lines there. */
static int32_t log_syslog = QB_LOG_SYSLOG;
static int32_t log_stderr = QB_LOG_STDERR;

static __thread bool log_gathers;

static void log_push(
	int32_t target, struct qb_log_callsite *cs, struct timespec *timestamp, const char *msg)
{
	char line[QB_LOG_MAX_LEN];

	qb_log_target_format(target, cs, timestamp, msg, line);
	log_queue_push(cs->priority, line, log_gathers && cs->priority >= LOG_INFO);
}

static void log_write(
	int32_t target, struct qb_log_callsite *cs, struct timespec *timestamp, const char *msg)
{
	char line[QB_LOG_MAX_LEN];

	qb_log_target_format(target, cs, timestamp, msg, line);
	log_gather_push(line, log_gathers && cs->priority >= LOG_INFO);
}

bool yoke_log_gather(bool on)
{
	bool before = log_gathers;

	log_gathers = on;
	if (before && !on) {
		log_gather_write();
		log_queue_wake();
	}
	return before;
}

/* Through a queue; without the memory for it, as libqb does it. */
static void log_syslog_open(const char *name, int level)
{
	int32_t target = qb_log_custom_open(log_push, NULL, NULL, NULL);

	if (target >= 0 && log_queue_open(name) == 0) {
		qb_log_filter_ctl(
			target, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*", (uint8_t)level);
		qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_ENABLED, QB_FALSE);
		log_syslog = target;
	} else if (target >= 0) {
		qb_log_custom_close(target);
	}
	qb_log_ctl(log_syslog, QB_LOG_CONF_ENABLED, QB_TRUE);
}

static void log_stderr_open(int level)
{
	int32_t target = qb_log_custom_open(log_write, NULL, NULL, NULL);

	if (target >= 0) {
		log_gather_open();
		log_stderr = target;
	}
	qb_log_format_set(log_stderr, "%t %7p %b");
	qb_log_filter_ctl(log_stderr, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*", (uint8_t)level);
	qb_log_ctl(log_stderr, QB_LOG_CONF_ENABLED, QB_TRUE);
}

void yoke_log_open(const char *name, int level, int foreground)
{
	qb_log_init(name, LOG_DAEMON, (uint8_t)level);
	qb_log_ctl(QB_LOG_STDERR, QB_LOG_CONF_ENABLED, QB_FALSE);
	if (foreground) {
		qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_ENABLED, QB_FALSE);
		log_stderr_open(level);
	} else {
		log_syslog_open(name, level);
	}
	qb_log_filter_ctl(QB_LOG_BLACKBOX, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*", LOG_DEBUG);
	qb_log_ctl(QB_LOG_BLACKBOX, QB_LOG_CONF_SIZE, LOG_BLACKBOX_BYTES);
	/* The recorder's shared memory is per process: two daemons on one machine do not meet. */
	qb_log_ctl(QB_LOG_BLACKBOX, QB_LOG_CONF_ENABLED, QB_TRUE);
}

static void log_target_level_set(int32_t target, int level)
{
	qb_log_filter_ctl(target, QB_LOG_FILTER_CLEAR_ALL, QB_LOG_FILTER_FILE, "*", LOG_TRACE);
	qb_log_filter_ctl(target, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*", (uint8_t)level);
}

void yoke_log_level_set(int level)
{
	log_target_level_set(log_syslog, level);
	log_target_level_set(log_stderr, level);
}

int yoke_log_blackbox_write(const char *path)
{
	ssize_t n = qb_log_blackbox_write_to_file(path);

	return n < 0 ? (int)n : 0;
}

void yoke_log_close(void)
{
	qb_log_fini();
	if (log_stderr != QB_LOG_STDERR) {
		log_gather_close();
		log_stderr = QB_LOG_STDERR;
	}
	if (log_syslog != QB_LOG_SYSLOG) {
		log_queue_close();
		log_syslog = QB_LOG_SYSLOG;
	}
}
