// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every row of the schema: its limits load, what is outside or of another type is refused with
 * the line, the key's path and what is allowed, and the row can be documented.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../daemon/conf/value.h"

/* A single target with every section; each line can be replaced or added to. */
static const struct line {
	const char *section; /* as in struct conf_section; "" in front of a top-level key */
	const char *key;
	const char *value;
} lines[] = {
	{"file", "yoke", "1"},
	{"file", "cluster", "none"},
	{"controllers", "portals", "[10.0.0.1]"},
	{"controllers: interfaces", "name", "san0"},
	{"controllers: interfaces", "network", "10.0.0.0/24"},
	{"groups", "name", "g"},
	{"groups", "home", "local"},
	{"extents", "name", "e"},
	{"extents", "type", "file"},
	{"extents", "path", "/x"},
	{"initiator_groups", "name", "i"},
	{"initiator_groups", "auth", "chap"},
	{"initiator_groups", "users", "[u]"},
	{"targets", "name", "iqn.2026-01.org.example:t"},
	{"targets: luns", "lun", "0"},
	{"targets: luns", "extent", "e"},
	{"settings", "reactors", "1"},
	{"settings", "secrets", "/s"},
	{"iscsi", "first_burst", "512B"},
	{"iscsi", "discovery_auth", "chap"},
	{"iscsi", "discovery_users", "[u]"},
};

/* The text that opens a section and the indentation of its keys. */
static const struct {
	const char *section;
	const char *open;
	const char *indent;
} sections[] = {
	{"file", "", ""},
	{"controllers", "controllers:\n  -\n", "    "},
	{"controllers: interfaces", "    interfaces:\n      -\n", "        "},
	{"groups", "groups:\n  -\n", "    "},
	{"extents", "extents:\n  -\n", "    "},
	{"initiator_groups", "initiator_groups:\n  -\n", "    "},
	{"targets", "targets:\n  -\n", "    "},
	{"targets: luns", "    luns:\n      -\n", "        "},
	{"settings", "settings:\n", "  "},
	{"iscsi", "iscsi:\n", "  "},
	{"isns", "isns:\n", "  "},
};

/* The base text with `section`'s `key` set to `value`; gives the line that it stands in. */
static char *text_with(const char *section, const char *key, const char *value, unsigned *line)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	unsigned at = 0;

	assert_non_null(f);
	*line = 0;
	for (unsigned s = 0; s < ARRAY_SIZE(sections); s++) {
		bool here = !strcmp(sections[s].section, section), given = false;

		fputs(sections[s].open, f);
		for (const char *p = sections[s].open; *p; p++) {
			at += *p == '\n';
		}
		for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
			bool replaced = here && !strcmp(lines[i].key, key);

			if (strcmp(lines[i].section, sections[s].section)) {
				continue;
			}
			at++;
			if (replaced) {
				given = true;
				*line = at;
			}
			fprintf(f, "%s%s: %s\n", sections[s].indent, lines[i].key,
				replaced ? value : lines[i].value);
		}
		if (here && !given) {
			*line = ++at;
			fprintf(f, "%s%s: %s\n", sections[s].indent, key, value);
		}
	}
	fclose(f);
	return text;
}

static void assert_loads(const char *section, const char *key, const char *value)
{
	struct conf_error *errors;
	unsigned line;
	cleanup_free char *text = text_with(section, key, value, &line);
	struct conf *conf = conf_parse(text, strlen(text), "t", &errors);

	if (!conf) {
		fail_msg("%s: %s: %s: %s\n%s", section, key, value, errors->text, text);
	}
	conf_free(conf);
}

/* The first complaint must be about this line and this key. */
static void assert_refused(const char *section, const struct conf_key *key, const char *value)
{
	struct conf_error *errors;
	unsigned line;
	cleanup_free char *text = text_with(section, key->name, value, &line);
	struct conf *conf = conf_parse(text, strlen(text), "t", &errors);
	char place[32];
	bool found = false;

	if (conf) {
		fail_msg("%s: %s: %s was accepted", section, key->name, value);
	}
	snprintf(place, sizeof(place), "t:%u: ", line);
	for (const struct conf_error *e = errors; e; e = e->next) {
		found |= !strncmp(e->text, place, strlen(place)) && strstr(e->text, key->name) &&
			 strstr(e->text, "; ");
	}
	if (!found) {
		fail_msg("%s: %s: %s: no complaint about %s with what is allowed, but: %s", section,
			key->name, value, place, errors->text);
	}
	conf_errors_free(errors);
}

/* Rules over several keys forbid these values in the base text; test_conf_load.c has them. */
static bool is_combined(const struct conf_key *key, const char *value)
{
	static const struct {
		const char *key, *value;
	} rows[] = {{"type", "block"}, {"type", "ram"}, {"interconnect", "10.0.0.1"},
		{"auth", "none"}, {"discovery_auth", "none"}, {"lowest_aligned_lba", "127"}};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!strcmp(key->name, rows[i].key) &&
			(!rows[i].value || !strcmp(value, rows[i].value))) {
			return true;
		}
	}
	return false;
}

static void number_text(const struct conf_key *key, uint64_t number, char *out)
{
	struct conf_key wide = *key;

	wide.size = sizeof(number);
	wide.flags = 0;
	assert_true(conf_value_format(NULL, &wide, &number, out));
}

static void walk_number(const struct conf_section *section, const struct conf_key *key)
{
	uint64_t step = key->step ? key->step : 1;
	char text[CONF_VALUE_MAX];

	number_text(key, key->min, text);
	assert_loads(section->name, key->name, text);
	number_text(key, key->max, text);
	if (!is_combined(key, text)) {
		assert_loads(section->name, key->name, text);
	}
	number_text(key, key->max + step, text);
	assert_refused(section->name, key, text);
	if (key->min >= step && key->min > 0) {
		number_text(key, key->min - step, text);
		assert_refused(section->name, key, text);
	}
	if (key->step > 1) {
		snprintf(text, sizeof(text), "%" PRIu64 "%s", key->min + 1,
			key->type == CONF_TYPE_SIZE ? "B" : "");
		assert_refused(section->name, key, text);
	}
}

static void walk_text(const struct conf_section *section, const struct conf_key *key)
{
	bool list = key->flags & CONF_SCALARS;
	char text[CONF_VALUE_MAX], value[CONF_VALUE_MAX + 2];

	memset(text, 'x', sizeof(text));
	text[key->max] = '\0';
	snprintf(value, sizeof(value), list ? "[%s]" : "%s", text);
	assert_loads(section->name, key->name, value);
	text[key->max] = 'x';
	text[key->max + 1] = '\0';
	snprintf(value, sizeof(value), list ? "[%s]" : "%s", text);
	assert_refused(section->name, key, value);
}

/* By type: values that are good for every key of the type, and values that are never good. */
static const struct {
	const char *good[4];
	const char *bad[12];
} samples[CONF_TYPES] = {
	[CONF_TYPE_VERSION] = {{"1"}, {"0", "2", "one", "1.0", "-1"}},
	[CONF_TYPE_CLUSTER] = {{"none"}, {"\"\"", "a b", "-x", "a/b", "\"\\u00e4\""}},
	[CONF_TYPE_NAME] = {{"a", "A-1_b.c", "9"},
		{"\"\"", "a b", ".a", "a/b", "\"a\\nb\"", "\"\\u00e4\"",
			"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg"}},
	[CONF_TYPE_TEXT] = {{"a", "\"A b!\""},
		{"\"\"", "\" a\"", "\"a \"", "\"a\\nb\"", "\"\\u00e4\"", "\"a\\tb\""}},
	[CONF_TYPE_PATH] = {{"/a", "/a b/\"c\""}, {"\"\"", "a", "./a", "\"/a\\nb\""}},
	[CONF_TYPE_ISCSI_NAME] = {{"iqn.2026-01.org.example:t", "IQN.2026-12.Org",
					  "eui.0123456789ABCdef",
					  "naa.0123456789abcdef0123456789abcdef"},
		{"\"\"", "t", "iqn.2026-13.org", "iqn.2026-00.org", "iqn.2026-01", "iqn.2026-01.",
			"iqn.2026-01.org:a_b", "iqn.2026-01.org:a b", "eui.0123",
			"eui.0123456789abcdeg", "naa.0123456789abcdef01", "iqn.26-01.org.example"}},
	[CONF_TYPE_UINT] = {{NULL}, {"\"\"", "x", "-1", "1.5", "0x10", "1 2", "+1",
					    "18446744073709551616", "99999999999999999999999999"}},
	[CONF_TYPE_SIZE] = {{NULL}, {"\"\"", "x", "-1MiB", "1.5MiB", "1MB", "1M", "1048576", "MiB",
					    "18446744073709551615TiB", "18446744073709551616B"}},
	[CONF_TYPE_AMOUNT] = {{"1%", "99%", "1MiB", "10TiB"},
		{"\"\"", "x", "0%", "100%", "1.5%", "\"%\"", "1B", "8193TiB", "10", "1 %", "-1%"}},
	[CONF_TYPE_DURATION] = {{NULL},
		{"\"\"", "x", "-1s", "1.5s", "10", "1h", "s", "18446744073709551615min", "1ns"}},
	[CONF_TYPE_BOOL] = {{"yes", "no", "true", "off"}, {"\"\"", "1", "0", "YES!", "maybe", "y"}},
	[CONF_TYPE_CHOICE] = {{NULL}, {"\"\"", "x", "Manual", "511"}},
	[CONF_TYPE_ADDRESS] = {{"10.0.0.1", "\"10.0.0.1:1\"", "\"fd00::1\"", "\"[fd00::1]:65535\""},
		{"\"\"", "x", "10.0.0", "0.0.0.0", "224.0.0.1", "\"10.0.0.1:0\"",
			"\"10.0.0.1:65536\"", "\"[::]:3260\"", "\"[fd00::1\"", "\"[fd00::1]x\"",
			"\"fe80::1%eth0\"", "\"10.0.0.1:\""}},
	[CONF_TYPE_NETWORK] = {{"10.0.0.0/8", "10.0.0.1", "\"fd00::/64\"", "\"::/0\""},
		{"\"\"", "x", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0/24",
			"\"fd00::1/64\"", "\"fd00::/129\"", "\"fd00::/0064\"", "/24",
			"\"[fd00::]/64\""}},
	[CONF_TYPE_UUID] = {{"01234567-89ab-cdef-0123-456789abcdef",
				    "0123456789ABCDEF0123456789abcdef"},
		{"\"\"", "x", "00000000-0000-0000-0000-000000000000",
			"0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0",
			"01234567-89ab-cdef-0123-456789abcdeg",
			"0123456-789ab-cdef-0123-456789abcdef"}},
	[CONF_TYPE_NAA] = {{"5000c500a1b2c3d4", "naa.60014051234567890123456789ABCDEF",
				   "0x3001405123456789", "6001405aaaaaaaaaaaaaaaaaaaaaaaaa"},
		{"\"\"", "x", "naa.", "5000c500a1b2c3d", "5000c500a1b2c3d45", "6001405123456789",
			"5001405aaaaaaaaaaaaaaaaaaaaaaaaa", "4000c500a1b2c3d4", "5000c500a1b2c3dg",
			"60014051234567890123456789abcdef0"}},
	[CONF_TYPE_REF] = {{NULL}, {"\"\"", "nobody"}},
};

static void walk_samples(const struct conf_section *section, const struct conf_key *key)
{
	bool list = key->flags & CONF_SCALARS;
	char value[128];

	for (unsigned i = 0; i < ARRAY_SIZE(samples[0].good) && samples[key->type].good[i]; i++) {
		const char *good = samples[key->type].good[i];

		/* The objects that others refer to keep their names. */
		if (is_combined(key, "10.0.0.1") ||
			(key->type == CONF_TYPE_NAME &&
				strcmp(section->name, "initiator_groups"))) {
			continue;
		}
		snprintf(value, sizeof(value), list ? "[%s]" : "%s", good);
		assert_loads(section->name, key->name, value);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(samples[0].bad) && samples[key->type].bad[i]; i++) {
		snprintf(value, sizeof(value), list ? "[%s]" : "%s", samples[key->type].bad[i]);
		assert_refused(section->name, key, value);
	}
}

static void walk_shapes(const struct conf_section *section, const struct conf_key *key)
{
	if (key->type == CONF_TYPE_MAP) {
		assert_refused(section->name, key, "[1]");
		assert_refused(section->name, key, "x");
	} else if (key->type == CONF_TYPE_LIST) {
		assert_refused(section->name, key, "x");
		assert_refused(section->name, key, "{a: b}");
		assert_refused(section->name, key, "[x]");
	} else if (key->flags & CONF_SCALARS) {
		assert_refused(section->name, key, "x");
		assert_refused(section->name, key, "[{a: b}]");
		assert_refused(section->name, key, "[[a]]");
		assert_refused(section->name, key, "{a: b}");
	} else {
		assert_refused(section->name, key, "[1]");
		assert_refused(section->name, key, "{a: b}");
	}
}

static void walk_key(const struct conf_section *section, const struct conf_key *key)
{
	char allowed[256] = "";

	switch (key->type) {
	case CONF_TYPE_UINT:
	case CONF_TYPE_SIZE:
	case CONF_TYPE_DURATION:
		walk_number(section, key);
		break;
	case CONF_TYPE_CHOICE:
		for (unsigned i = 0; i < key->choice_count; i++) {
			char value[64];

			snprintf(value, sizeof(value), key->flags & CONF_SCALARS ? "[%s]" : "%s",
				key->choices[i].name);
			if (!is_combined(key, key->choices[i].name)) {
				assert_loads(section->name, key->name, value);
			}
		}
		break;
	case CONF_TYPE_TEXT:
		walk_text(section, key);
		break;
	default:
		break;
	}
	walk_samples(section, key);
	walk_shapes(section, key);
	conf_schema_allowed(key, allowed, sizeof(allowed));
	assert_true(strlen(allowed) > 0);
	assert_non_null(key->help);
	assert_true(strlen(key->help) > 5);
}

static void walk_section(const struct conf_section *section)
{
	assert_in_range(section->key_count, 1, 32);
	for (unsigned k = 0; k < section->key_count; k++) {
		const struct conf_key *key = &section->keys[k];

		assert_ptr_equal(conf_schema_key(section, key->name), key); /* no name twice */
		if (key->section) {
			walk_section(key->section);
		}
		/* luns are rewritten as a whole only by their own section */
		if (strcmp(key->name, "luns") && section != &conf_schema) {
			walk_key(section, key);
		}
	}
}

static void test_every_row(void **state)
{
	walk_section(&conf_schema);
	assert_null(conf_schema_key(&conf_schema, "no-such-key"));
}

static void test_every_required_key_is_missed(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		struct conf_error *errors;
		char missing[32];
		unsigned line;
		char *text, *at;
		bool found = false;

		if (!strcmp(lines[i].section, "settings") || !strcmp(lines[i].section, "iscsi") ||
			!strcmp(lines[i].key, "auth")) {
			continue;
		}
		/* Rename the key to one that does not exist: unknown, and missing. */
		text = text_with(lines[i].section, lines[i].key, lines[i].value, &line);
		at = text;
		for (unsigned n = 1; n < line; n++) {
			at = strchr(at, '\n') + 1;
		}
		at = strstr(at, lines[i].key);
		memset(at, 'z', strlen(lines[i].key));
		assert_null(conf_parse(text, strlen(text), "t", &errors));
		snprintf(missing, sizeof(missing), "%s: is missing; ", lines[i].key);
		for (const struct conf_error *e = errors; e; e = e->next) {
			found |= strstr(e->text, missing) != NULL;
		}
		if (!found) {
			fail_msg("%s: %s: %s", lines[i].section, lines[i].key, errors->text);
		}
		conf_errors_free(errors);
		free(text);
	}
}

static void test_top_level_keys(void **state)
{
	for (unsigned k = 0; k < conf_schema.key_count; k++) {
		const struct conf_key *key = &conf_schema.keys[k];
		char text[256];
		struct conf_error *errors;

		if (key->type != CONF_TYPE_LIST && key->type != CONF_TYPE_MAP) {
			walk_key(&conf_schema, key);
			continue;
		}
		/* A scalar where a section is expected. */
		snprintf(text, sizeof(text), "yoke: 1\ncluster: none\n%s: 5\n", key->name);
		assert_null(conf_parse(text, strlen(text), "t", &errors));
		snprintf(text, sizeof(text), "t:3: %s: is not a %s; allowed: ", key->name,
			key->type == CONF_TYPE_LIST ? "list" : "mapping");
		for (const struct conf_error *e = errors; e; e = e->next) {
			if (!strncmp(e->text, text, strlen(text))) {
				text[0] = '\0';
			}
		}
		assert_string_equal(text, "");
		conf_errors_free(errors);
	}
}

static void test_every_type_has_a_name(void **state)
{
	for (enum conf_type type = 0; type < CONF_TYPES; type++) {
		assert_string_not_equal(conf_type_name(type), "unknown");
	}
	assert_string_equal(conf_type_name(CONF_TYPES), "unknown");
}

/* Every section and key is in the reference page, in both forms; no line of troff is a stray
 * request. */
static void test_reference(void **state)
{
	for (int troff = 0; troff < 2; troff++) {
		cleanup_free char *page = conf_reference(troff);
		char entry[80];

		assert_non_null(page);
		for (unsigned s = 0; s < conf_schema.key_count; s++) {
			const struct conf_section *section = conf_schema.keys[s].section;

			for (unsigned k = 0; section && k < section->key_count; k++) {
				snprintf(entry, sizeof(entry), troff ? "\\fB%s\\fR" : "| `%s` |",
					section->keys[k].name);
				if (!strstr(page, entry)) {
					fail_msg("%s is not in the reference", entry);
				}
			}
		}
		for (const char *line = page; troff && *line; line = strchr(line, '\n') + 1) {
			if (*line == '.' && strncmp(line, ".SS ", 4) && strncmp(line, ".TP\n", 4)) {
				fail_msg("stray request: %.40s", line);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_every_required_key_is_missed),
		cmocka_unit_test(test_top_level_keys),
		cmocka_unit_test(test_every_type_has_a_name),
		cmocka_unit_test(test_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
