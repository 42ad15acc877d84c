// SPDX-License-Identifier: BSD-3-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema.h"

/* How the two forms of the page differ. */
struct page {
	FILE *out;
	bool troff;
};

/* Text for troff: a backslash, a hyphen and a dot or quote at the start of a line mean something.
 */
static void page_text(struct page *p, const char *text)
{
	if (p->troff && (*text == '.' || *text == '\'')) {
		fputs("\\&", p->out);
	}
	for (; *text; text++) {
		if (p->troff && *text == '\\') {
			fputs("\\e", p->out);
		} else if (p->troff && *text == '-') {
			fputs("\\-", p->out);
		} else if (!p->troff && *text == '|') {
			fputs("\\|", p->out);
		} else {
			fputc(*text, p->out);
		}
	}
}

static void page_heading(struct page *p, const struct conf_section *section)
{
	if (p->troff) {
		fprintf(p->out, ".SS ");
		page_text(p, section->name);
		fputs("\n", p->out);
		page_text(p, section->help);
		fputs("\n", p->out);
	} else {
		fprintf(p->out, "\n## %s\n\n%s\n\n", section->name, section->help);
		fputs("| key | value | default | meaning |\n|---|---|---|---|\n", p->out);
	}
}

static void key_default(const struct conf_key *key, char *out, size_t size)
{
	const char *value = key->initial_help ? key->initial_help : key->initial;

	if (key->flags & CONF_REQUIRED) {
		snprintf(out, size, "required");
	} else if (key->flags & CONF_CLUSTER_REQUIRED) {
		snprintf(out, size, "required with a cluster%s%s", value ? ", else " : "",
			value ? value : "");
	} else {
		snprintf(out, size, "%s", value ? value : "none");
	}
}

static void key_value(const struct conf_key *key, char *out, size_t size)
{
	char allowed[256];

	conf_schema_allowed(key, allowed, sizeof(allowed));
	if (key->flags & CONF_SCALARS) {
		snprintf(out, size, "list of %u to %u; each: %s", key->items_min, key->items_max,
			allowed);
	} else if (key->type == CONF_TYPE_LIST) {
		snprintf(out, size, "list of at most %u, see %s", key->items_max,
			key->section->name);
	} else if (key->type == CONF_TYPE_MAP) {
		snprintf(out, size, "keys, see %s", key->section->name);
	} else {
		snprintf(out, size, "%s", allowed);
	}
}

/* What becomes of a change while the daemon runs; nothing is said where a restart is due. */
static const char *key_online(const struct conf_key *key)
{
	return key->flags & CONF_ONLINE	 ? " A reload changes it."
	       : key->flags & CONF_RENEW ? " A reload changes it by removing the object first."
					 : "";
}

static void page_key(struct page *p, const struct conf_key *key)
{
	char value[384], initial[256];

	key_value(key, value, sizeof(value));
	key_default(key, initial, sizeof(initial));
	if (p->troff) {
		fprintf(p->out, ".TP\n\\fB%s\\fR\n", key->name);
		page_text(p, key->help);
		page_text(p, key_online(key));
		fputs("\nAllowed: ", p->out);
		page_text(p, value);
		fputs(".\nDefault: ", p->out);
		page_text(p, initial);
		fputs(".\n", p->out);
		return;
	}
	fprintf(p->out, "| `%s` | ", key->name);
	page_text(p, value);
	fputs(" | ", p->out);
	page_text(p, initial);
	fputs(" | ", p->out);
	page_text(p, key->help);
	page_text(p, key_online(key));
	fputs(" |\n", p->out);
}

/* The sections below come after the section itself. */
static void page_section(struct page *p, const struct conf_section *section)
{
	page_heading(p, section);
	for (unsigned k = 0; k < section->key_count; k++) {
		page_key(p, &section->keys[k]);
	}
	for (unsigned k = 0; k < section->key_count; k++) {
		if (section->keys[k].section) {
			page_section(p, section->keys[k].section);
		}
	}
}

char *conf_reference(bool troff)
{
	struct page p = {.troff = troff};
	char *text = NULL;
	size_t size;

	p.out = open_memstream(&text, &size);
	if (!p.out) {
		return NULL;
	}
	page_section(&p, &conf_schema);
	page_section(&p, &conf_secrets_schema);
	if (ferror(p.out) | fclose(p.out)) {
		free(text);
		return NULL;
	}
	return text;
}
