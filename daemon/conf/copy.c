// SPDX-License-Identifier: BSD-3-Clause
/* A copy of an object that outlives its configuration: what is a string, the schema tells. */
#include <stdlib.h>
#include <string.h>

#include "schema.h"

static bool key_is_string(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_TYPE_CLUSTER:
	case CONF_TYPE_NAME:
	case CONF_TYPE_TEXT:
	case CONF_TYPE_PATH:
	case CONF_TYPE_ISCSI_NAME:
		return true;
	default:
		return false;
	}
}

/* The object and its strings in one piece of memory. The section must have no lists. */
static void *section_copy(const struct conf_section *section, const void *object, size_t size)
{
	size_t total = size;
	char *copy, *at;

	for (unsigned k = 0; k < section->key_count; k++) {
		const struct conf_key *key = &section->keys[k];

		if (key_is_string(key)) {
			const char *text;

			memcpy(&text, (const char *)object + key->offset, sizeof(text));
			total += text ? strlen(text) + 1 : 0;
		}
	}
	copy = malloc(total);
	if (!copy) {
		return NULL;
	}
	memcpy(copy, object, size);
	at = copy + size;
	for (unsigned k = 0; k < section->key_count; k++) {
		const struct conf_key *key = &section->keys[k];
		const char *text;

		if (!key_is_string(key)) {
			continue;
		}
		memcpy(&text, (const char *)object + key->offset, sizeof(text));
		if (text) {
			size_t length = strlen(text) + 1;

			memcpy(at, text, length);
			memcpy(copy + key->offset, &at, sizeof(at));
			at += length;
		}
	}
	return copy;
}

struct conf_extent *conf_extent_copy(const struct conf_extent *extent)
{
	return section_copy(
		conf_schema_key(&conf_schema, "extents")->section, extent, sizeof(*extent));
}

void conf_extent_free(struct conf_extent *extent)
{
	free(extent);
}
