// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "dump.h"
#include "loader.h"

static struct conf *loader_new(struct conf_loader *l, const char *name)
{
	l->arena = conf_arena_new();
	l->file = name;
	l->conf = l->arena ? conf_loader_get(l, sizeof(*l->conf)) : NULL;
	if (l->conf) {
		l->conf->arena = l->arena;
		l->conf->path = conf_arena_copy(l->arena, name, strlen(name));
	}
	if (!l->conf || !l->conf->path) {
		l->out_of_memory = true;
	}
	return l->conf;
}

/* The last word on a load: NULL when anything was wrong. */
static struct conf *loader_finish(struct conf_loader *l, struct conf_error **errors)
{
	if (l->out_of_memory) {
		l->where[0] = '\0';
		conf_complain(l, 0, "out of memory; free some and try again");
	}
	if (l->error_count > CONF_ERRORS_MAX) {
		unsigned more = l->error_count - CONF_ERRORS_MAX;

		l->error_count = 0;
		l->where[0] = '\0';
		conf_complain(l, ~0u, "%u more errors are not shown; correct these first", more);
	}
	if (!l->error_count) {
		return l->conf;
	}
	*errors = l->errors;
	conf_arena_free(l->arena);
	return NULL;
}

struct conf *conf_parse(
	const char *text, size_t length, const char *name, struct conf_error **errors)
{
	struct conf_arena *nodes = conf_arena_new();
	struct conf_loader l = {0};
	struct conf_node_error problem;
	struct conf_node *root;

	*errors = NULL;
	if (!loader_new(&l, name) || !nodes) {
		l.out_of_memory = true;
	} else {
		root = conf_node_parse(nodes, text, length, &problem);
		if (root) {
			conf_load_section(&l, &conf_schema, root, l.conf);
			conf_check(&l, root);
		} else {
			conf_complain(&l, problem.line, "%s", problem.text);
		}
	}
	conf_arena_free(nodes);
	if (!l.error_count && !l.out_of_memory && !conf_digest(l.conf, l.conf->digest)) {
		conf_complain(&l, 0,
			"the digest of the configuration cannot be computed: out of memory or "
			"SHA-256 is not available");
	}
	return loader_finish(&l, errors);
}

/* The whole file, at most one byte more than is allowed; negative errno. */
static ssize_t file_read(const char *path, char *text, size_t size)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t used = 0;

	if (fd < 0) {
		return -errno;
	}
	while (used < size) {
		ssize_t n = read(fd, text + used, size - used);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if (n == 0) {
			break;
		}
		used += (size_t)n;
	}
	return (ssize_t)used;
}

char *conf_file_text(const char *path)
{
	char *text = malloc(CONF_BYTES_MAX + 2);
	ssize_t length = text ? file_read(path, text, CONF_BYTES_MAX + 1) : -ENOMEM;

	if (length < 0) {
		free(text);
		errno = (int)-length;
		return NULL;
	}
	text[length] = '\0';
	return text;
}

struct conf *conf_load(const char *path, struct conf_error **errors)
{
	cleanup_free char *text = malloc(CONF_BYTES_MAX + 1);
	struct conf_loader l = {.file = path};
	ssize_t length;

	*errors = NULL;
	length = text ? file_read(path, text, CONF_BYTES_MAX + 1) : -ENOMEM;
	if (length >= 0) {
		return conf_parse(text, (size_t)length, path, errors);
	}
	conf_complain(&l, 0, "cannot be read: %s; check the path and its permissions",
		strerror((int)-length));
	*errors = l.errors;
	return NULL;
}

void conf_errors_free(struct conf_error *errors)
{
	while (errors) {
		struct conf_error *next = errors->next;

		free(errors);
		errors = next;
	}
}

void conf_free(struct conf *conf)
{
	if (conf) {
		conf_arena_free(conf->arena);
	}
}

const struct conf_controller *conf_controller_by_id(const struct conf *conf, uint8_t id)
{
	for (unsigned i = 0; i < conf->controller_count; i++) {
		if (conf->controllers[i].id == id) {
			return &conf->controllers[i];
		}
	}
	return NULL;
}

const struct conf_controller *conf_controller_by_name(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->controller_count; i++) {
		if (!strcmp(conf->controllers[i].name, name)) {
			return &conf->controllers[i];
		}
	}
	return NULL;
}

const struct conf_group *conf_group_by_name(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->group_count; i++) {
		if (!strcmp(conf->groups[i].name, name)) {
			return &conf->groups[i];
		}
	}
	return NULL;
}
