// SPDX-License-Identifier: BSD-3-Clause
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "dump.h"
#include "value.h"

#define DUMP_FLOW_MAX 4u /* longer lists of values get a line for each */

struct dump {
	FILE *out;
	const struct conf *conf;
};

static bool text_is_plain(const char *text)
{
	static const char safe[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-";

	return text[0] && text[0] != '-' && text[strspn(text, safe)] == '\0';
}

static void dump_text(struct dump *d, const char *text)
{
	if (text_is_plain(text)) {
		fputs(text, d->out);
		return;
	}
	fputc('"', d->out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\') {
			fputc('\\', d->out);
		}
		fputc(*text, d->out);
	}
	fputc('"', d->out);
}

static void dump_scalars(struct dump *d, const struct conf_key *key, const char *items,
	unsigned count, unsigned indent)
{
	bool flow = count <= DUMP_FLOW_MAX;
	struct conf_key one = *key;
	char text[CONF_VALUE_MAX];

	one.flags &= ~(unsigned)CONF_SCALARS;
	fputs(flow ? " [" : "\n", d->out);
	for (unsigned i = 0; i < count; i++) {
		if (!conf_value_format(d->conf, &one, items + i * key->size, text)) {
			continue;
		}
		if (flow) {
			fputs(i ? ", " : "", d->out);
			dump_text(d, text);
		} else {
			fprintf(d->out, "%*s- ", (int)indent + 2, "");
			dump_text(d, text);
			fputc('\n', d->out);
		}
	}
	fputs(flow ? "]\n" : "", d->out);
}

static void dump_section(struct dump *d, const struct conf_section *section, const void *object,
	unsigned indent, bool item);

static void dump_key(
	struct dump *d, const struct conf_key *key, const char *object, unsigned indent)
{
	const char *items = *(const char *const *)(const void *)(object + key->offset);
	unsigned count = *(const unsigned *)(const void *)(object + key->count);

	fprintf(d->out, "%s:", key->name);
	if (key->flags & CONF_SCALARS) {
		dump_scalars(d, key, items, count, indent);
		return;
	}
	fputc('\n', d->out);
	for (unsigned i = 0; i < count; i++) {
		fprintf(d->out, "%*s- ", (int)indent + 2, "");
		dump_section(d, key->section, items + i * key->size, indent + 4, true);
	}
}

/* `item`: the first line stands behind "- " already. Every section has a key that is always there.
 */
static void dump_section(struct dump *d, const struct conf_section *section, const void *object,
	unsigned indent, bool item)
{
	char text[CONF_VALUE_MAX];

	for (unsigned k = 0; k < section->key_count; k++) {
		const struct conf_key *key = &section->keys[k];
		const char *field = (const char *)object + key->offset;
		bool list = key->type == CONF_TYPE_LIST || (key->flags & CONF_SCALARS);

		if (list && !*(const unsigned *)(const void *)((const char *)object + key->count)) {
			continue;
		}
		if (!list && key->type != CONF_TYPE_MAP &&
			!conf_value_format(d->conf, key, field, text)) {
			continue;
		}
		fprintf(d->out, "%*s", item ? 0 : (int)indent, "");
		item = false;
		if (list) {
			dump_key(d, key, object, indent);
		} else if (key->type == CONF_TYPE_MAP) {
			fprintf(d->out, "%s:\n", key->name);
			dump_section(d, key->section, field, indent + 2, false);
		} else {
			fprintf(d->out, "%s: ", key->name);
			dump_text(d, text);
			fputc('\n', d->out);
		}
	}
}

char *conf_dump(const struct conf *conf)
{
	struct dump d = {.conf = conf};
	char *text = NULL;
	size_t size;

	d.out = open_memstream(&text, &size);
	if (!d.out) {
		return NULL;
	}
	dump_section(&d, &conf_schema, conf, 0, false);
	if (ferror(d.out) | fclose(d.out)) {
		free(text);
		return NULL;
	}
	return text;
}

bool conf_digest(const struct conf *conf, uint8_t digest[32])
{
	cleanup_free char *text = conf_dump(conf);

	return text && EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL);
}
