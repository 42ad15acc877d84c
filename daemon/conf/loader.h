/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the loader share: where it is, what it found wrong. */
#ifndef CONF_LOADER_H
#define CONF_LOADER_H

#include "arena.h"
#include "node.h"
#include "schema.h"
#include "yoke/conf.h"
#include "yoke/util.h"

#define CONF_ERRORS_MAX 100u

/* A complaint with the line that it is sorted by. */
struct conf_complaint {
	struct conf_error error; /* first: conf_errors_free() gets this */
	unsigned line;
};

/* Where the objects of a kind are found by name; made at the first reference to one. */
struct conf_ref_index {
	uint32_t *slots; /* open hash: index plus 1 */
	uint32_t mask;
	unsigned count; /* objects in it */
};

struct conf_loader {
	struct conf *conf;
	struct conf_arena *arena;
	const char *file;
	bool clustered;
	bool quiet; /* a slip of the pen may have put a secret anywhere: quote nothing */
	char where[256]; /* path of the key at hand: "extents[disk1].size" */
	struct conf_error *errors; /* sorted by line */
	unsigned error_count;
	bool out_of_memory;
	struct conf_ref_index refs[CONF_REFS];
};

/* Adds "FILE:LINE: WHERE: what; what is allowed", the message without FILE, LINE and WHERE. */
void conf_complain(struct conf_loader *l, unsigned line, const char *fmt, ...) YOKE_PRINTF(3, 4);

/* Extends `where` by ".name" or "[name]"; gives the length to cut it back to. */
size_t conf_where_key(struct conf_loader *l, const char *name);
size_t conf_where_item(struct conf_loader *l, const char *name);
void conf_where_back(struct conf_loader *l, size_t length);

/* Memory of the configuration; NULL has been complained about. */
void *conf_loader_get(struct conf_loader *l, size_t bytes);

/* A value from outside for a message: cut, in quotes, without control characters. */
struct conf_quoted {
	char text[72];
};
struct conf_quoted conf_quote(const char *text);

/* Loads every key of a section from a mapping into its object (load.c). */
void conf_load_section(struct conf_loader *l, const struct conf_section *section,
	struct conf_node *node, void *object);

/* Rules that one key alone cannot tell (check.c). Fills in what is derived, too. */
void conf_check(struct conf_loader *l, const struct conf_node *root);

/* Complains about objects of a list that share the value of a CONF_UNIQUE key (check.c). */
void conf_check_unique(struct conf_loader *l, const struct conf_key *list,
	const struct conf_key *key, const struct conf_node *node, const void *items,
	unsigned count);

#endif
