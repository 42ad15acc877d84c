// SPDX-License-Identifier: BSD-3-Clause
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "loader.h"
#include "suggest.h"
#include "value.h"

#define LOAD_KEYS_MAX 32u /* keys of one section; conf_schema has fewer */

void conf_complain(struct conf_loader *l, unsigned line, const char *fmt, ...)
{
	struct conf_complaint *complaint;
	struct conf_error **at = &l->errors;
	char what[400], place[24] = "";
	va_list args;

	if (l->error_count++ >= CONF_ERRORS_MAX) {
		return;
	}
	complaint = calloc(1, sizeof(*complaint));
	if (!complaint) {
		l->out_of_memory = true;
		return;
	}
	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	if (line) {
		snprintf(place, sizeof(place), "%u: ", line);
	}
	/* The parts are bounded before, so that a long path or name leaves room for the reason. */
	snprintf(complaint->error.text, sizeof(complaint->error.text), "%.120s:%s%s%.140s%s%.220s",
		l->file, line ? "" : " ", place, l->where, l->where[0] ? ": " : "", what);
	complaint->line = line;
	while (*at && ((struct conf_complaint *)*at)->line <= line) {
		at = &(*at)->next;
	}
	complaint->error.next = *at;
	*at = &complaint->error;
}

size_t conf_where_key(struct conf_loader *l, const char *name)
{
	size_t length = strlen(l->where);

	snprintf(l->where + length, sizeof(l->where) - length, "%s%.64s", length ? "." : "", name);
	return length;
}

size_t conf_where_item(struct conf_loader *l, const char *name)
{
	size_t length = strlen(l->where);

	snprintf(l->where + length, sizeof(l->where) - length, "[%.64s]", name);
	return length;
}

void conf_where_back(struct conf_loader *l, size_t length)
{
	l->where[length] = '\0';
}

void *conf_loader_get(struct conf_loader *l, size_t bytes)
{
	void *memory = conf_arena_get(l->arena, bytes);

	if (!memory) {
		l->out_of_memory = true;
	}
	return memory;
}

struct conf_quoted conf_quote(const char *text)
{
	struct conf_quoted quoted;
	size_t used = 0, limit = sizeof(quoted.text) - 6;

	quoted.text[used++] = '"';
	for (; *text && used < limit; text++) {
		quoted.text[used++] = *text >= 0x20 && *text < 0x7f ? *text : '?';
	}
	if (*text) {
		memcpy(quoted.text + used, "...", 3);
		used += 3;
	}
	quoted.text[used++] = '"';
	quoted.text[used] = '\0';
	return quoted;
}

static void complain_value(
	struct conf_loader *l, const struct conf_key *key, struct conf_node *node, const char *why)
{
	char allowed[256];

	conf_schema_allowed(key, allowed, sizeof(allowed));
	conf_complain(l, node->line, "%s %s; allowed: %s",
		key->type == CONF_TYPE_SECRET ? "the secret"
		: l->quiet		      ? "the value"
					      : conf_quote(node->text).text,
		why, allowed);
}

static void load_scalar(
	struct conf_loader *l, const struct conf_key *key, struct conf_node *node, void *field)
{
	char allowed[256], why[128];

	if (node->type != CONF_NODE_SCALAR) {
		conf_schema_allowed(key, allowed, sizeof(allowed));
		conf_complain(l, node->line, "is a %s, not a single value; allowed: %s",
			node->type == CONF_NODE_LIST ? "list" : "mapping", allowed);
		node->bad = true;
		return;
	}
	if (!conf_value_parse(l, key, node->text, field, why, sizeof(why))) {
		complain_value(l, key, node, why);
		node->bad = true;
	}
}

/* Is the number of items within the limits of the key? */
static bool load_items_check(
	struct conf_loader *l, const struct conf_key *key, struct conf_node *node)
{
	if (node->type == CONF_NODE_LIST && node->count >= key->items_min &&
		node->count <= key->items_max) {
		return true;
	}
	if (node->type == CONF_NODE_LIST) {
		conf_complain(l, node->line, "has %u items; allowed: %u to %u", node->count,
			key->items_min, key->items_max);
	} else if (key->flags & CONF_SCALARS) {
		conf_complain(l, node->line,
			"is not a list; allowed: [a, b] or items that start with \"- \"");
	} else {
		conf_complain(
			l, node->line, "is not a list; allowed: items that start with \"- \"");
	}
	return false;
}

static void load_scalars(
	struct conf_loader *l, const struct conf_key *key, struct conf_node *node, void *object)
{
	struct conf_node *item;
	struct conf_key one = *key;
	unsigned i = 0;
	char *items;

	if (!load_items_check(l, key, node)) {
		return;
	}
	one.flags &= ~(unsigned)CONF_SCALARS;
	items = conf_loader_get(l, node->count * key->size);
	if (!items) {
		return;
	}
	for (item = node->first; item; item = item->next, i++) {
		load_scalar(l, &one, item, items + i * key->size);
	}
	*(void **)((char *)object + key->offset) = items;
	*(unsigned *)((char *)object + key->count) = node->count;
}

/* How an item of a list is called in messages: by its name where it has one. */
static void item_label(const struct conf_section *section, struct conf_node *item, unsigned i,
	char *out, size_t size)
{
	const struct conf_node *name = section->label ? conf_node_get(item, section->label) : NULL;

	if (name && name->type == CONF_NODE_SCALAR && name->text[0]) {
		struct conf_quoted quoted = conf_quote(name->text);

		snprintf(out, size, "%.*s", (int)strlen(quoted.text) - 2, quoted.text + 1);
	} else {
		snprintf(out, size, "#%u", i + 1);
	}
}

static void load_list(
	struct conf_loader *l, const struct conf_key *key, struct conf_node *node, void *object)
{
	const struct conf_section *section = key->section;
	struct conf_node *item;
	unsigned i = 0;
	char *items;

	if (!load_items_check(l, key, node)) {
		return;
	}
	items = conf_loader_get(l, node->count * key->size);
	if (!items) {
		return;
	}
	*(void **)((char *)object + key->offset) = items;
	*(unsigned *)((char *)object + key->count) = node->count;
	for (item = node->first; item; item = item->next, i++) {
		char label[80];
		size_t back;

		item_label(section, item, i, label, sizeof(label));
		back = conf_where_item(l, label);
		conf_load_section(l, section, item, items + i * key->size);
		conf_where_back(l, back);
	}
	for (unsigned k = 0; k < section->key_count; k++) {
		if (section->keys[k].flags & CONF_UNIQUE) {
			conf_check_unique(l, key, &section->keys[k], node, items, node->count);
		}
	}
}

static bool key_is_required(const struct conf_loader *l, const struct conf_key *key)
{
	return (key->flags & CONF_REQUIRED) ||
	       ((key->flags & CONF_CLUSTER_REQUIRED) && l->clustered);
}

static void load_missing(
	struct conf_loader *l, const struct conf_key *key, struct conf_node *section, void *object)
{
	char text[256];

	if (key_is_required(l, key)) {
		conf_schema_allowed(key, text, sizeof(text));
		conf_complain(l, section ? section->line : 1, "is missing; allowed: %s", text);
	} else if (key->type == CONF_TYPE_MAP) {
		conf_load_section(l, key->section, NULL, (char *)object + key->offset);
	} else if (key->initial) {
		char why[128];

		if (!conf_value_parse(
			    l, key, key->initial, (char *)object + key->offset, why, sizeof(why))) {
			conf_complain(
				l, 0, "the default \"%s\" %s; give a value", key->initial, why);
		}
	}
}

static void load_key(struct conf_loader *l, const struct conf_key *key, struct conf_node *value,
	struct conf_node *section, void *object)
{
	bool container = key->type == CONF_TYPE_MAP || key->type == CONF_TYPE_LIST;
	size_t back = conf_where_key(l, key->name);

	/* "targets:" with nothing below it (all lines commented out) is no targets. */
	if (!value || (value->empty && container)) {
		load_missing(l, key, section, object);
	} else if (key->type == CONF_TYPE_MAP) {
		conf_load_section(l, key->section, value, (char *)object + key->offset);
	} else if (key->type == CONF_TYPE_LIST) {
		load_list(l, key, value, object);
	} else if (key->flags & CONF_SCALARS) {
		load_scalars(l, key, value, object);
	} else {
		load_scalar(l, key, value, (char *)object + key->offset);
	}
	conf_where_back(l, back);
}

/* Sorts a mapping's values by the keys of the section; complains about unknown and repeated keys.
 */
static void section_values(struct conf_loader *l, const struct conf_section *section,
	struct conf_node *node, struct conf_node *values[LOAD_KEYS_MAX])
{
	for (struct conf_node *value = node->first; value; value = value->next) {
		const struct conf_key *key = conf_schema_key(section, value->key);
		char allowed[256];

		if (!key) {
			if (l->error_count < CONF_ERRORS_MAX) {
				conf_suggest_key(section, value->key, allowed, sizeof(allowed));
			}
			conf_complain(l, value->key_line, "unknown key%s%s; %s",
				l->quiet ? "" : " ", l->quiet ? "" : conf_quote(value->key).text,
				allowed);
			continue;
		}
		if (values[key - section->keys]) {
			conf_complain(l, value->key_line,
				"the key %s is given twice, first in line %u; "
				"allowed: once",
				key->name, values[key - section->keys]->key_line);
			continue;
		}
		values[key - section->keys] = value;
	}
}

/* What depends on whether there is a cluster is asked for from here on. */
static void load_cluster_known(struct conf_loader *l, struct conf_node *root)
{
	const struct conf_node *cluster = conf_node_get(root, "cluster");
	const struct conf_node *controllers = conf_node_get(root, "controllers");

	if (cluster && cluster->type == CONF_NODE_SCALAR && cluster->text[0]) {
		l->clustered = strcmp(cluster->text, "none") != 0;
	} else {
		l->clustered = controllers && controllers->count > 1;
	}
}

void conf_load_section(struct conf_loader *l, const struct conf_section *section,
	struct conf_node *node, void *object)
{
	struct conf_node *values[LOAD_KEYS_MAX] = {0};

	if (node && node->type != CONF_NODE_MAP) {
		conf_complain(l, node->line, "is not a mapping; allowed: lines of \"key: value\"");
		return;
	}
	if (section->key_count > LOAD_KEYS_MAX) {
		conf_complain(l, 0, "the schema has too many keys here; report this as a bug");
		return;
	}
	if (node) {
		section_values(l, section, node, values);
	}
	if (section == &conf_schema) {
		load_cluster_known(l, node);
	}
	for (unsigned k = 0; k < section->key_count; k++) {
		load_key(l, &section->keys[k], values[k], node, object);
	}
}
