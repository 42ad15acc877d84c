/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Logging through libqb: any thread, never blocks on the network, never a secret.
 *
 * Levels: err = service or data affected; warning = refused or recovered; notice = role,
 * membership, configuration; info = sessions come and go; debug = commands. The layer that knows
 * the object logs, once, and names it (nexus, target, LU, group, epoch).
 */
#ifndef YOKE_LOG_H
#define YOKE_LOG_H

#include <stdbool.h>
#include <syslog.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>

#define log_err(fmt, ...)     qb_log(LOG_ERR, fmt, ##__VA_ARGS__)
#define log_warning(fmt, ...) qb_log(LOG_WARNING, fmt, ##__VA_ARGS__)
#define log_notice(fmt, ...)  qb_log(LOG_NOTICE, fmt, ##__VA_ARGS__)
#define log_info(fmt, ...)    qb_log(LOG_INFO, fmt, ##__VA_ARGS__)
#define log_debug(fmt, ...)   qb_log(LOG_DEBUG, fmt, ##__VA_ARGS__)

/*
 * Opens the log. `foreground` sends it to standard error, else it goes to syslog, by a thread of
 * its own: a syslog that hangs holds nobody up (daemon/base/log_queue.h). A flight recorder (libqb
 * blackbox, debug level, 512 KiB) is always on; yoke_log_blackbox_write() saves it. Main thread,
 * before any other thread exists.
 */
void yoke_log_open(const char *name, int level, int foreground);

/*
 * What the calling thread logs at info and below is on its way only when it turns this off again:
 * many lines, one write. A thread that waits has it off. Returns what it was. Lines keep their
 * order, and are not lost when the process ends (daemon/base/log_gather.h).
 */
bool yoke_log_gather(bool on);

/* Changes the level of standard error and syslog. Any thread. */
void yoke_log_level_set(int level);

/* Writes the flight recorder to `path`; 0 or a negative errno. Control thread. */
int yoke_log_blackbox_write(const char *path);

/* Writes what is left, for a second at most. Main thread; no other may log any more. */
void yoke_log_close(void);

#endif
