// SPDX-License-Identifier: BSD-3-Clause
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "node.h"
#include "yoke/util.h"

struct builder {
	struct conf_arena *arena;
	struct conf_node_error *error;
	struct conf_node *root;
	struct conf_node *stack[CONF_DEPTH_MAX];
	unsigned depth;
	unsigned nodes;
	unsigned documents;
	bool done;
	/* of a mapping whose value comes next */
	const char *key[CONF_DEPTH_MAX];
	unsigned key_line[CONF_DEPTH_MAX];
};

YOKE_PRINTF(3, 4)
static bool builder_fail(struct builder *b, unsigned line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(b->error->text, sizeof(b->error->text), fmt, args);
	va_end(args);
	b->error->line = line;
	return false;
}

static struct conf_node *builder_node(struct builder *b, enum conf_node_type type, unsigned line)
{
	struct conf_node *node;

	if (b->nodes == CONF_NODES_MAX) {
		builder_fail(b, line, "too many values; at most %u are allowed", CONF_NODES_MAX);
		return NULL;
	}
	node = conf_arena_get(b->arena, sizeof(*node));
	if (!node) {
		builder_fail(b, line, "out of memory");
		return NULL;
	}
	b->nodes++;
	node->type = type;
	node->line = line;
	return node;
}

/* Puts a node where the document is: as the root, a list's item or a mapping's value. */
static void builder_attach(struct builder *b, struct conf_node *node)
{
	struct conf_node *parent = b->depth ? b->stack[b->depth - 1] : NULL;

	if (!parent) {
		b->root = node;
		return;
	}
	if (parent->type == CONF_NODE_MAP) {
		node->key = b->key[b->depth - 1];
		node->key_line = b->key_line[b->depth - 1];
		b->key[b->depth - 1] = NULL;
	}
	if (parent->last) {
		parent->last->next = node;
	} else {
		parent->first = node;
	}
	parent->last = node;
	parent->count++;
}

static bool builder_wants_key(const struct builder *b)
{
	return b->depth && b->stack[b->depth - 1]->type == CONF_NODE_MAP && !b->key[b->depth - 1];
}

static bool builder_plain_check(
	struct builder *b, unsigned line, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor) {
		return builder_fail(b, line,
			"has an anchor (&); anchors and aliases are not accepted, "
			"write the value out");
	}
	if (tag) {
		return builder_fail(b, line, "has a type tag (!); tags are not accepted");
	}
	return true;
}

static bool builder_scalar(struct builder *b, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;
	unsigned line = (unsigned)event->start_mark.line + 1;
	struct conf_node *node;
	char *text;

	if (!builder_plain_check(b, line, event->data.scalar.anchor, event->data.scalar.tag)) {
		return false;
	}
	if (strlen(value) != length) {
		return builder_fail(b, line, "contains a NUL byte; text without NUL is allowed");
	}
	text = conf_arena_copy(b->arena, value, length);
	if (!text) {
		return builder_fail(b, line, "out of memory");
	}
	if (builder_wants_key(b)) {
		b->key[b->depth - 1] = text;
		b->key_line[b->depth - 1] = line;
		return true;
	}
	node = builder_node(b, CONF_NODE_SCALAR, line);
	if (!node) {
		return false;
	}
	node->text = text;
	if (event->end_mark.line == event->start_mark.line) {
		node->column = (unsigned)event->start_mark.column;
		node->end_column = (unsigned)event->end_mark.column;
	}
	node->empty = !length && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	builder_attach(b, node);
	return true;
}

static bool builder_open(struct builder *b, const yaml_event_t *event, enum conf_node_type type,
	const yaml_char_t *anchor, const yaml_char_t *tag)
{
	unsigned line = (unsigned)event->start_mark.line + 1;
	struct conf_node *node;

	if (!builder_plain_check(b, line, anchor, tag)) {
		return false;
	}
	if (builder_wants_key(b)) {
		return builder_fail(b, line,
			"a list or mapping stands where a key is expected; "
			"keys are plain words");
	}
	if (b->depth == CONF_DEPTH_MAX) {
		return builder_fail(b, line, "is nested too deeply; at most %u levels are allowed",
			CONF_DEPTH_MAX);
	}
	node = builder_node(b, type, line);
	if (!node) {
		return false;
	}
	builder_attach(b, node);
	b->key[b->depth] = NULL;
	b->stack[b->depth++] = node;
	return true;
}

static bool builder_event(struct builder *b, const yaml_event_t *event)
{
	unsigned line = (unsigned)event->start_mark.line + 1;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->documents++) {
			return builder_fail(b, line, "a second document (---); one is allowed");
		}
		return true;
	case YAML_ALIAS_EVENT:
		return builder_fail(b, line,
			"is an alias (*); anchors and aliases are not accepted, "
			"write the value out");
	case YAML_SCALAR_EVENT:
		return builder_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return builder_open(b, event, CONF_NODE_LIST, event->data.sequence_start.anchor,
			event->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return builder_open(b, event, CONF_NODE_MAP, event->data.mapping_start.anchor,
			event->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return true;
	case YAML_STREAM_END_EVENT:
		b->done = true;
		return true;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return true;
	}
	return true;
}

static bool builder_problem(struct builder *b, const yaml_parser_t *parser)
{
	const char *problem = parser->problem ? parser->problem : "unknown problem";

	switch (parser->error) {
	case YAML_MEMORY_ERROR:
		return builder_fail(b, 0, "out of memory");
	case YAML_READER_ERROR:
		return builder_fail(b, (unsigned)parser->mark.line + 1,
			"is not clean UTF-8: %s at byte %zu; save the file as UTF-8 text", problem,
			parser->problem_offset);
	default:
		return builder_fail(b, (unsigned)parser->problem_mark.line + 1,
			"is not valid YAML: %s (column %zu)%s%s; check indentation, colons and "
			"quotes",
			problem, parser->problem_mark.column + 1, parser->context ? ", " : "",
			parser->context ? parser->context : "");
	}
}

struct conf_node *conf_node_parse(
	struct conf_arena *arena, const char *text, size_t length, struct conf_node_error *error)
{
	struct builder b = {.arena = arena, .error = error};
	yaml_parser_t parser;
	bool ok = true;

	*error = (struct conf_node_error){0};
	if (length > CONF_BYTES_MAX) {
		builder_fail(
			&b, 0, "is larger than %u MiB, which is the limit", CONF_BYTES_MAX >> 20);
		return NULL;
	}
	if (!yaml_parser_initialize(&parser)) {
		builder_fail(&b, 0, "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	while (ok && !b.done) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parser, &event)) {
			ok = builder_problem(&b, &parser);
			break;
		}
		ok = builder_event(&b, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (ok && !b.root) {
		ok = builder_fail(&b, 1, "is empty; start with \"yoke: 1\"");
	}
	return ok ? b.root : NULL;
}

const struct conf_node *conf_node_get(const struct conf_node *map, const char *key)
{
	if (map->type != CONF_NODE_MAP) {
		return NULL;
	}
	for (const struct conf_node *node = map->first; node; node = node->next) {
		if (!strcmp(node->key, key)) {
			return node;
		}
	}
	return NULL;
}
