/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The disk as a file system: one FUSE session for each controller, so that each has a super block,
 * a page cache and locks of its own, as two machines would have. One thread, the caller's loop.
 */
#ifndef YOKE_TEST_SERVE_H
#define YOKE_TEST_SERVE_H

#include <stdbool.h>

#include "tests/faultdisk/disk.h"

struct serve_link;

/*
 * Serves the connection `fd` of a mounted /dev/fuse (which is taken over, also when it fails) for
 * a nexus. NULL: no memory.
 */
struct serve_link *serve_attach(struct disk *disk, int nexus, int fd);

/* Mounts at a directory and serves; NULL when that does not work. Unmounted by serve_detach(). */
struct serve_link *serve_mount(struct disk *disk, int nexus, const char *directory);

/* To be polled for reading; then serve_ready(). */
int serve_fd(const struct serve_link *link);
/* Takes requests; false when the file system has been unmounted: detach. */
bool serve_ready(struct serve_link *link);

/*
 * The controller is gone: the kernel ends all its requests. What is held stays held, as bytes that
 * are on their way to a disk are not called back by the death of their sender. The link is freed
 * with the last of them.
 */
void serve_detach(struct serve_link *link);

#endif
