// SPDX-License-Identifier: BSD-3-Clause
/*
 * One value of the configuration file changed in place: everything else in it, comments too, stays
 * as its author wrote it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader.h"
#include "schema_parts.h"
#include "value.h"

bool conf_size_parse(const char *text, uint64_t *bytes, char *why, size_t why_size)
{
	const struct conf_key *key = conf_schema_key(&conf_section_extent, "size");

	return conf_value_parse(NULL, key, text, bytes, why, why_size);
}

/* The extent of that name in the tree; NULL. */
static const struct conf_node *extent_node(const struct conf_node *root, const char *extent)
{
	const struct conf_node *list = conf_node_get(root, "extents");
	const struct conf_node *item = list && list->type == CONF_NODE_LIST ? list->first : NULL;

	for (; item; item = item->next) {
		const struct conf_node *name =
			item->type == CONF_NODE_MAP ? conf_node_get(item, "name") : NULL;

		if (name && name->text && strcmp(name->text, extent) == 0) {
			return item;
		}
	}
	return NULL;
}

/* Where a column of a line is in the text: columns count characters, the text is UTF-8. */
static const char *place(const char *text, unsigned line, unsigned column)
{
	while (--line > 0) {
		text = strchr(text, '\n');
		if (!text) {
			return NULL;
		}
		text++;
	}
	while (column > 0 && *text && *text != '\n') {
		do {
			text++;
		} while (((unsigned char)*text & 0xc0) == 0x80);
		column--;
	}
	return column ? NULL : text;
}

char *conf_text_resize(const char *text, const char *extent, uint64_t bytes)
{
	const struct conf_key *key = conf_schema_key(&conf_section_extent, "size");
	struct conf_arena *arena = conf_arena_new();
	struct conf_node_error problem;
	const struct conf_node *root =
		arena ? conf_node_parse(arena, text, strlen(text), &problem) : NULL;
	const struct conf_node *item =
		root && root->type == CONF_NODE_MAP ? extent_node(root, extent) : NULL;
	const struct conf_node *size = item ? conf_node_get(item, "size") : NULL;
	const char *begin = NULL, *end = NULL;
	char value[CONF_VALUE_MAX], *edited = NULL;

	if (size && size->type == CONF_NODE_SCALAR && size->end_column > size->column) {
		begin = place(text, size->line, size->column);
		end = place(text, size->line, size->end_column);
	}
	if (begin && end && conf_value_format(NULL, key, &bytes, value) &&
		asprintf(&edited, "%.*s%s%s", (int)(begin - text), text, value, end) < 0) {
		edited = NULL;
	}
	conf_arena_free(arena);
	return edited;
}

/* ----- the file ------------------------------------------------------------------------------- */

/* Beside the file that `path` leads to; both into buffers of PATH_MAX. 0 or a negative errno. */
static int staged_path(const char *path, char *real, char *staged)
{
	if (!realpath(path, real)) {
		return -errno;
	}
	return snprintf(staged, PATH_MAX, "%s.new", real) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int staged_write(int fd, const char *text, const struct stat *like)
{
	size_t length = strlen(text), done = 0;

	while (done < length) {
		ssize_t n = write(fd, text + done, length - done);

		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	return fchown(fd, like->st_uid, like->st_gid) < 0 ||
			       fchmod(fd, like->st_mode & 07777) < 0 || fsync(fd) < 0
		       ? -errno
		       : 0;
}

int conf_file_stage(const char *path, const char *text)
{
	char real[PATH_MAX], staged[PATH_MAX];
	int err = staged_path(path, real, staged), fd;
	struct stat st;

	if (err) {
		return err;
	}
	if (stat(real, &st) < 0) {
		return -errno;
	}
	fd = open(staged, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return -errno;
	}
	err = staged_write(fd, text, &st);
	close(fd);
	if (err) {
		unlink(staged);
	}
	return err;
}

int conf_file_commit(const char *path)
{
	char real[PATH_MAX], staged[PATH_MAX];
	int err = staged_path(path, real, staged), dir;
	char *slash;

	if (err) {
		return err;
	}
	if (rename(staged, real) < 0) {
		return -errno;
	}
	slash = strrchr(real, '/');
	slash[slash == real] = '\0';
	dir = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		return -errno;
	}
	err = fsync(dir) < 0 ? -errno : 0;
	close(dir);
	return err;
}

void conf_file_unstage(const char *path)
{
	char real[PATH_MAX], staged[PATH_MAX];

	if (staged_path(path, real, staged) == 0) {
		unlink(staged);
	}
}
