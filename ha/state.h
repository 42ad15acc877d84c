/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The durable state of the groups: one small file per daemon, STATE_DIR/groups.state, replaced as a
 * whole (temporary file, fsync, rename, fsync of the directory). Version, cluster, controller and
 * a CRC32C are checked; a file that is torn, foreign or too new is refused, never guessed at.
 */
#ifndef YOKE_HA_STATE_H
#define YOKE_HA_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "message.h"
#include "yoke/mailbox.h"

#define STATE_VERSION	     1
#define STATE_NAME_BYTES_MAX 255
#define STATE_BYTES_MAX	     (512 + MESSAGE_GROUPS_MAX * (STATE_NAME_BYTES_MAX + 20))

struct state_group {
	char name[STATE_NAME_BYTES_MAX + 1];
	uint64_t epoch; /* of the last owner */
	uint64_t top; /* highest ever proposed */
	uint8_t owner; /* 0 = none */
	uint8_t preferred; /* 0 = not decided yet */
};

struct state {
	char cluster[STATE_NAME_BYTES_MAX + 1];
	uint8_t controller;
	unsigned group_count;
	struct state_group groups[MESSAGE_GROUPS_MAX];
};

/* Writes `state` into bytes; the length, or -EMSGSIZE. */
int state_encode(const struct state *state, void *bytes, size_t size);
/* 0, or -EBADMSG with what is wrong with the bytes in `error`. */
int state_decode(
	const void *bytes, size_t size, struct state *state, char *error, size_t error_size);

/*
 * Reads dir/groups.state. No file: an empty state of `cluster` and `controller`. 0, or a negative
 * errno with object, cause and remedy in `error`. Blocks; at the start only.
 */
int state_load(const char *dir, const char *cluster, uint8_t controller, struct state *state,
	char *error, size_t error_size);
/* Replaces dir/groups.state durably. 0 or a negative errno. Blocks. */
int state_store(const char *dir, const void *bytes, size_t size);

/*
 * A thread that stores, so that the control thread does not wait for a disk. Several requests
 * made while it writes become one write of the newest.
 */
struct state_writer;

/*
 * saved(arg, seq, err) runs on the thread of `control`: everything up to seq is durable, or (err,
 * a negative errno) could not be made so. NULL = out of memory or threads. `dir` is kept.
 */
struct state_writer *state_writer_new(const char *dir, struct mailbox *control,
	void (*saved)(void *arg, uint64_t seq, int err), void *arg);
/* Takes a copy of `state`. Control thread. */
void state_writer_put(struct state_writer *writer, const struct state *state, uint64_t seq);
/* Writes what is pending and ends the thread; saved() is not called any more. */
void state_writer_free(struct state_writer *writer);

#endif
