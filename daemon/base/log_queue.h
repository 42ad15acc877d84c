/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines on their way to syslog. syslog() waits when the other end does not take them, for as long
 * as the disk that it writes to hangs; reactors and the control thread must not. So a thread of its
 * own calls it, and what does not fit into the queue meanwhile is counted and given up.
 */
#ifndef BASE_LOG_QUEUE_H
#define BASE_LOG_QUEUE_H

#include <stdbool.h>

#define LOG_QUEUE_LINES 1024u
#define LOG_QUEUE_TEXT	512u /* bytes of a line, with its end */

/* Starts the thread; `name` goes before each line. 0 or a negative errno. Main thread, once. */
int log_queue_open(const char *name);

/*
 * One line, copied and cut to LOG_QUEUE_TEXT. `keep`: log_queue_wake() comes soon, and the thread
 * is not woken for this one alone. Any thread; does not wait for syslog.
 */
void log_queue_push(int priority, const char *text, bool keep);

/* Wakes the thread if it sleeps and lines are there. Any thread. */
void log_queue_wake(void);

/*
 * Ends the thread when all lines are written, or after a second without: then what is left is lost.
 * Main thread; nobody may push any more.
 */
void log_queue_close(void);

#endif
