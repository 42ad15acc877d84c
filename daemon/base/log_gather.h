// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lines on their way to standard error. What a thread logs while it does many small things in a
 * row, a reactor in a pass, is kept and written by one call at its end.
 *
 * Nothing is lost when the process ends by exit(), abort() or a fault of its own: SIGABRT, SIGBUS,
 * SIGFPE, SIGILL and SIGSEGV write what is kept, then what was there before has the signal. Only
 * kill -9 and a stack that overflows take the lines of a pass with them.
 */
#ifndef BASE_LOG_GATHER_H
#define BASE_LOG_GATHER_H

#include <stdbool.h>

#define LOG_GATHER_BYTES (32u << 10) /* more is written before the end */

/* Main thread, before the first line. */
void log_gather_open(void);

/*
 * One line, without its end. It stays behind all that came before it, of whatever thread.
 * `keep`: log_gather_write() comes soon; else it is written at once with what is kept.
 * Any thread; waits for whoever reads standard error.
 */
void log_gather_push(const char *line, bool keep);

/* Writes what is kept. Any thread; as cheap as a look when there is nothing. */
void log_gather_write(void);

/* Writes what is kept and gives the signals back. Main thread; nobody may push any more. */
void log_gather_close(void);

#endif
