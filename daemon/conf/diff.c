// SPDX-License-Identifier: BSD-3-Clause
/*
 * What differs between two configurations, along the schema table: objects of a list are paired by
 * the key that names them, everything else by its key. Whether a change may be made while the
 * daemon runs stands in the key's row.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema.h"
#include "value.h"
#include "yoke/util.h"

struct diff {
	const struct conf *from, *to;
	char where[CONF_CHANGE_WHERE];
	struct conf_change **end;
	bool out_of_memory;
};

/* Why not online, and what to do instead. */
static const char *key_remedy(const struct conf_key *key)
{
	if (key->flags & CONF_ONLINE) {
		return NULL;
	}
	return key->flags & CONF_RENEW
		       ? "hosts have seen the disk as it is: remove its LUNs and the extent with "
			 "one "
			 "reload, and add them again with the next"
		       : "stop yoked at every controller and start it with the new file";
}

/* Extends `where` by the name of a key; gives the length to cut it back to. */
static size_t where_key(struct diff *d, const char *name)
{
	size_t length = strlen(d->where);

	snprintf(d->where + length, sizeof(d->where) - length, "%s%s", length ? "." : "", name);
	return length;
}

static size_t where_item(struct diff *d, const char *name)
{
	size_t length = strlen(d->where);

	snprintf(d->where + length, sizeof(d->where) - length, "[%s]", name);
	return length;
}

static void diff_add(struct diff *d, enum conf_change_kind kind, const char *remedy,
	const char *from, const char *to)
{
	struct conf_change *change = calloc(1, sizeof(*change));

	if (!change) {
		d->out_of_memory = true;
		return;
	}
	change->kind = kind;
	change->online = !remedy;
	change->remedy = remedy;
	snprintf(change->where, sizeof(change->where), "%s", d->where);
	snprintf(change->from, sizeof(change->from), "%s", from);
	snprintf(change->to, sizeof(change->to), "%s", to);
	*d->end = change;
	d->end = &change->next;
}

static const void *list_items(const struct conf_key *key, const void *object, unsigned *count)
{
	const void *items;

	memcpy(&items, (const char *)object + key->offset, sizeof(items));
	memcpy(count, (const char *)object + key->count, sizeof(*count));
	return items;
}

/* ----- single values -------------------------------------------------------------------------- */

/* The whole value as text (malloc'd), "" when there is none. A list: its values with commas. */
static char *value_text(const struct conf *conf, const struct conf_key *key, const void *object)
{
	struct conf_key one = *key;
	char value[CONF_VALUE_MAX];
	const char *items = (const char *)object + key->offset;
	unsigned count = 1;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f) {
		return NULL;
	}
	if (key->flags & CONF_SCALARS) {
		one.flags &= ~(unsigned)CONF_SCALARS;
		items = list_items(key, object, &count);
	}
	for (unsigned i = 0; i < count; i++) {
		if (conf_value_format(conf, &one, items + i * key->size, value)) {
			fprintf(f, "%s%s", i ? ", " : "", value);
		}
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

static void diff_value(struct diff *d, const struct conf_key *key, const void *from, const void *to)
{
	cleanup_free char *a = value_text(d->from, key, from), *b = value_text(d->to, key, to);
	size_t back;

	if (!a || !b) {
		d->out_of_memory = true;
	} else if (strcmp(a, b) != 0) {
		back = where_key(d, key->name);
		diff_add(d, CONF_CHANGED, key_remedy(key), a, b);
		d->where[back] = '\0';
	}
}

/* ----- lists of objects ----------------------------------------------------------------------- */

static void diff_section(
	struct diff *d, const struct conf_section *section, const void *from, const void *to);

struct named {
	char *name;
	const void *object;
};

static int named_compare(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static void named_free(struct named *all, unsigned count)
{
	for (unsigned i = 0; all && i < count; i++) {
		free(all[i].name);
	}
	free(all);
}

/* The objects of a list, sorted by name; NULL when out of memory. */
static struct named *named_sort(
	const struct conf *conf, const struct conf_key *key, const char *items, unsigned count)
{
	const struct conf_key *label = conf_schema_key(key->section, key->section->label);
	struct named *all = calloc(count + 1u, sizeof(*all));

	for (unsigned i = 0; all && i < count; i++) {
		all[i].object = items + i * key->size;
		all[i].name = value_text(conf, label, all[i].object);
		if (!all[i].name) {
			named_free(all, i);
			return NULL;
		}
	}
	if (all && count) {
		qsort(all, count, sizeof(*all), named_compare);
	}
	return all;
}

static void diff_pair(
	struct diff *d, const struct conf_key *key, const struct named *a, const struct named *b)
{
	size_t back = where_item(d, a ? a->name : b->name);

	if (a && b) {
		diff_section(d, key->section, a->object, b->object);
	} else {
		diff_add(d, a ? CONF_REMOVED : CONF_ADDED, key_remedy(key), "", "");
	}
	d->where[back] = '\0';
}

static void diff_list(struct diff *d, const struct conf_key *key, const void *from, const void *to)
{
	unsigned i = 0, j = 0, n, m;
	const void *items = list_items(key, from, &n);
	struct named *a = named_sort(d->from, key, items, n), *b;
	size_t back = where_key(d, key->name);

	items = list_items(key, to, &m);
	b = named_sort(d->to, key, items, m);
	d->out_of_memory |= !a || !b;
	while (a && b && (i < n || j < m)) {
		int order = i == n ? 1 : j == m ? -1 : strcmp(a[i].name, b[j].name);

		diff_pair(d, key, order <= 0 ? &a[i] : NULL, order >= 0 ? &b[j] : NULL);
		i += order <= 0;
		j += order >= 0;
	}
	named_free(a, n);
	named_free(b, m);
	d->where[back] = '\0';
}

static void diff_section(
	struct diff *d, const struct conf_section *section, const void *from, const void *to)
{
	for (unsigned k = 0; k < section->key_count; k++) {
		const struct conf_key *key = &section->keys[k];

		if (key->type == CONF_TYPE_LIST) {
			diff_list(d, key, from, to);
		} else if (key->type == CONF_TYPE_MAP) {
			size_t back = where_key(d, key->name);

			diff_section(d, key->section, (const char *)from + key->offset,
				(const char *)to + key->offset);
			d->where[back] = '\0';
		} else {
			diff_value(d, key, from, to);
		}
	}
}

int conf_diff(const struct conf *from, const struct conf *to, struct conf_change **changes)
{
	struct diff d = {.from = from, .to = to, .end = changes};

	*changes = NULL;
	diff_section(&d, &conf_schema, from, to);
	if (d.out_of_memory) {
		conf_changes_free(*changes);
		*changes = NULL;
		return -1;
	}
	return 0;
}

void conf_changes_free(struct conf_change *changes)
{
	while (changes) {
		struct conf_change *next = changes->next;

		free(changes);
		changes = next;
	}
}

const char *conf_change_kind_name(enum conf_change_kind kind)
{
	static const char *const names[] = {
		[CONF_ADDED] = "added",
		[CONF_REMOVED] = "removed",
		[CONF_CHANGED] = "changed",
	};

	return names[kind];
}
