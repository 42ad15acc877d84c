/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A YAML document as a small tree with line numbers. Bounded: size, depth and number of nodes; no
 * anchors, aliases, tags or second documents, so a short file cannot stand for a huge tree.
 */
#ifndef CONF_NODE_H
#define CONF_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"

#define CONF_BYTES_MAX (16u << 20)
#define CONF_NODES_MAX (1u << 20)
#define CONF_DEPTH_MAX 16u

enum conf_node_type {
	CONF_NODE_SCALAR,
	CONF_NODE_LIST,
	CONF_NODE_MAP
};

struct conf_node {
	enum conf_node_type type;
	unsigned line; /* of the value, from 1 */
	const char *key; /* in a mapping: its key */
	unsigned key_line;
	const char *text; /* scalar */
	/* A scalar within one line: its first column and the one behind it, in characters; else 0.
	 */
	unsigned column, end_column;
	bool empty; /* a scalar that is not there: "key:" */
	bool bad; /* refused by the loader: later checks pass over it */
	struct conf_node *first; /* list or mapping */
	struct conf_node *last;
	unsigned count;
	struct conf_node *next;
};

struct conf_node_error {
	unsigned line; /* 0: none */
	char text[256];
};

/* NULL with an error when it is no such document. The tree belongs to the arena. */
struct conf_node *conf_node_parse(
	struct conf_arena *arena, const char *text, size_t length, struct conf_node_error *error);

/* The value of a mapping's key, the first if there are two; NULL when there is none. */
const struct conf_node *conf_node_get(const struct conf_node *map, const char *key);

#endif
