/* SPDX-License-Identifier: BSD-3-Clause */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "yoke/crc32c.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

#define STATE_MAGIC	0x594b5354u /* "YKST" */
#define STATE_FILE	"groups.state"
#define STATE_TEMPORARY "groups.state.new"

/* ----- the bytes ----------------------------------------------------------------------------- */

int state_encode(const struct state *state, void *bytes, size_t size)
{
	struct cursor c = cursor_over(bytes, size);
	uint8_t *crc;

	cursor_put_u32(&c, STATE_MAGIC);
	cursor_put_u16(&c, STATE_VERSION);
	cursor_put_u16(&c, STATE_VERSION);
	cursor_put_string(&c, state->cluster);
	cursor_put_u8(&c, state->controller);
	cursor_put_u16(&c, (uint16_t)state->group_count);
	for (unsigned i = 0; i < state->group_count; i++) {
		const struct state_group *g = &state->groups[i];

		cursor_put_string(&c, g->name);
		cursor_put_u64(&c, g->epoch);
		cursor_put_u64(&c, g->top);
		cursor_put_u8(&c, g->owner);
		cursor_put_u8(&c, g->preferred);
	}
	crc = cursor_take(&c, 4);
	if (!crc) {
		return -EMSGSIZE;
	}
	crc32c_put(crc, crc32c(bytes, c.pos - 4));
	return (int)c.pos;
}

static bool group_get(struct cursor *c, struct state_group *g)
{
	cursor_get_string(c, g->name, sizeof(g->name));
	g->epoch = cursor_get_u64(c);
	g->top = cursor_get_u64(c);
	g->owner = cursor_get_u8(c);
	g->preferred = cursor_get_u8(c);
	return cursor_ok(c) && g->epoch <= g->top && g->owner <= YOKE_CONTROLLERS &&
	       g->preferred <= YOKE_CONTROLLERS;
}

static bool body_get(struct cursor *c, struct state *state)
{
	cursor_get_string(c, state->cluster, sizeof(state->cluster));
	state->controller = cursor_get_u8(c);
	state->group_count = cursor_get_u16(c);
	if (!cursor_ok(c) || state->group_count > MESSAGE_GROUPS_MAX) {
		return false;
	}
	for (unsigned i = 0; i < state->group_count; i++) {
		if (!group_get(c, &state->groups[i])) {
			return false;
		}
	}
	return cursor_left(c) == 0;
}

int state_decode(
	const void *bytes, size_t size, struct state *state, char *error, size_t error_size)
{
	struct cursor c = cursor_reader(bytes, size > 4 ? size - 4 : 0);
	uint16_t version, lowest;
	const char *wrong = NULL;

	memset(state, 0, sizeof(*state));
	if (cursor_get_u32(&c) != STATE_MAGIC) {
		wrong = "it is not a state file of yoked";
	}
	version = cursor_get_u16(&c);
	lowest = cursor_get_u16(&c);
	if (!wrong && lowest > STATE_VERSION) {
		snprintf(error, error_size,
			"it was written by a newer yoked (format %u, at least %u)", version,
			lowest);
		return -EBADMSG;
	}
	if (!wrong && crc32c(bytes, size - 4) != crc32c_get((const uint8_t *)bytes + size - 4)) {
		wrong = "its checksum does not match: it is torn or damaged";
	}
	if (!wrong && !body_get(&c, state)) {
		wrong = "its contents are malformed";
	}
	if (wrong) {
		snprintf(error, error_size, "%s", wrong);
		return -EBADMSG;
	}
	return 0;
}

/* ----- the file ------------------------------------------------------------------------------ */

static int read_all(int fd, uint8_t *bytes, size_t size, size_t *got)
{
	*got = 0;
	while (*got < size) {
		ssize_t n = read(fd, bytes + *got, size - *got);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if (n == 0) {
			break;
		}
		*got += (size_t)n;
	}
	return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

static int state_check(const struct state *state, const char *cluster, uint8_t controller,
	const char *path, char *error, size_t error_size)
{
	if (strcmp(state->cluster, cluster) != 0) {
		snprintf(error, error_size,
			"%s belongs to cluster \"%s\", not to \"%s\"; set state_dir to another "
			"directory or remove the file if that cluster is gone",
			path, state->cluster, cluster);
		return -EINVAL;
	}
	if (state->controller != controller) {
		snprintf(error, error_size,
			"%s belongs to controller %u, this is controller %u; each controller needs "
			"a "
			"state_dir of its own, not a shared or copied one",
			path, state->controller, controller);
		return -EINVAL;
	}
	return 0;
}

int state_load(const char *dir, const char *cluster, uint8_t controller, struct state *state,
	char *error, size_t error_size)
{
	cleanup_free uint8_t *bytes = malloc(STATE_BYTES_MAX + 1);
	cleanup_close int fd = -1;
	char path[4096], why[256];
	size_t size = 0;
	int err;

	snprintf(path, sizeof(path), "%s/%s", dir, STATE_FILE);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		memset(state, 0, sizeof(*state));
		snprintf(state->cluster, sizeof(state->cluster), "%s", cluster);
		state->controller = controller;
		return 0;
	}
	err = !bytes ? -ENOMEM : fd < 0 ? -errno : read_all(fd, bytes, STATE_BYTES_MAX + 1, &size);
	if (err) {
		snprintf(error, error_size, "%s cannot be read: %s", path, strerror(-err));
		return err;
	}
	err = size > STATE_BYTES_MAX ? -EBADMSG : 0;
	snprintf(why, sizeof(why), "it is too long");
	if (!err) {
		err = state_decode(bytes, size, state, why, sizeof(why));
	}
	if (err) {
		snprintf(error, error_size,
			"%s is refused: %s. It holds the epochs of the groups; restore it, or "
			"remove it "
			"when the other controller is running and in sync, which then supplies "
			"them",
			path, why);
		return err;
	}
	return state_check(state, cluster, controller, path, error, error_size);
}

int state_store(const char *dir, const void *bytes, size_t size)
{
	cleanup_close int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int fd = -1;
	int err;

	if (dir_fd < 0) {
		return -errno;
	}
	fd = openat(dir_fd, STATE_TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		return -errno;
	}
	err = write_all(fd, bytes, size);
	if (!err && fsync(fd) != 0) {
		err = -errno;
	}
	if (!err && renameat(dir_fd, STATE_TEMPORARY, dir_fd, STATE_FILE) != 0) {
		err = -errno;
	}
	if (!err && fsync(dir_fd) != 0) {
		err = -errno;
	}
	return err;
}
