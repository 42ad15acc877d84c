/* SPDX-License-Identifier: BSD-3-Clause */
/* Going into the background: the caller returns only when the daemon works or has failed. */
#ifndef YOKE_BACKGROUND_H
#define YOKE_BACKGROUND_H

/*
 * Forks. In the parent it never returns: the parent waits until the child calls background_done()
 * and exits with that status, having printed what the child wrote to standard error until then.
 * In the child: a descriptor for background_done(), or a negative errno.
 */
int background_start(void);

/* Child: lets the parent exit with `status` and detaches from the terminal; fd < 0: nothing to do.
 */
void background_done(int fd, int status);

#endif
