/* SPDX-License-Identifier: BSD-3-Clause */
/* Text for people: aligned tables, sizes, ages. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct cli_table {
	const char *const *head;
	unsigned columns;
	unsigned cells; /* columns * rows */
	unsigned room;
	char **cell;
};

static char cli_clean_char(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f ? '?' : c;
}

void cli_print_clean(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		/* Of several reasons each has a line. */
		fputc(*text == '\n' ? '\n' : cli_clean_char(*text), out);
	}
}

static void cli_oom(void)
{
	cli_complain("out of memory");
	exit(CLI_FAILED);
}

struct cli_table *cli_table_new(const char *const *head)
{
	struct cli_table *table = calloc(1, sizeof(*table));

	if (!table) {
		cli_oom();
		return NULL;
	}
	table->head = head;
	while (head[table->columns]) {
		table->columns++;
	}
	return table;
}

static void cli_table_cell_add(struct cli_table *table, const char *text)
{
	char *copy = strdup(text);

	if (table->cells == table->room) {
		table->room = table->room * 2 + 64;
		table->cell = reallocarray(table->cell, table->room, sizeof(*table->cell));
	}
	if (!copy || !table->cell) {
		cli_oom();
		return;
	}
	for (char *p = copy; *p != '\0'; p++) {
		*p = cli_clean_char(*p);
	}
	table->cell[table->cells++] = copy;
}

void cli_table_add(struct cli_table *table, ...)
{
	va_list ap;

	va_start(ap, table);
	for (unsigned i = 0; i < table->columns; i++) {
		cli_table_cell_add(table, va_arg(ap, const char *));
	}
	va_end(ap);
}

static void cli_table_line(
	const struct cli_table *table, FILE *out, const char *const *cell, const size_t *width)
{
	for (unsigned c = 0; c < table->columns; c++) {
		bool right = table->head[c][0] == '>';
		const char *text = cell[c] + (cell == table->head && right);
		int pad = (int)(width[c] - strlen(text));

		if (right) {
			fprintf(out, "%*s", pad, "");
		}
		fputs(text, out);
		if (c + 1 < table->columns) {
			fprintf(out, "%*s", right ? 2 : pad + 2, "");
		}
	}
	fputc('\n', out);
}

void cli_table_print(struct cli_table *table, FILE *out, const char *empty)
{
	size_t *width = calloc(table->columns, sizeof(*width));

	if (!width) {
		cli_oom();
		return;
	}
	for (unsigned c = 0; c < table->columns; c++) {
		width[c] = strlen(table->head[c]) - (table->head[c][0] == '>');
	}
	for (unsigned i = 0; i < table->cells; i++) {
		size_t length = strlen(table->cell[i]);

		if (length > width[i % table->columns]) {
			width[i % table->columns] = length;
		}
	}
	if (table->cells == 0) {
		fprintf(out, "%s\n", empty);
	} else {
		cli_table_line(table, out, table->head, width);
	}
	for (unsigned i = 0; i < table->cells; i += table->columns) {
		cli_table_line(table, out, (const char *const *)(table->cell + i), width);
	}
	for (unsigned i = 0; i < table->cells; i++) {
		free(table->cell[i]);
	}
	free(table->cell);
	free(table);
	free(width);
}

const char *cli_bytes_text(json_int_t bytes, char *to, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	if (value == (double)(json_int_t)value) {
		snprintf(to, size, "%.0f %s", value, units[unit]);
	} else {
		snprintf(to, size, "%.1f %s", value, units[unit]);
	}
	return to;
}

const char *cli_age_text(json_int_t seconds, char *to, size_t size)
{
	long long s = seconds > 0 ? seconds : 0;

	if (s < 60) {
		snprintf(to, size, "%lld s", s);
	} else if (s < 3600) {
		snprintf(to, size, "%lld min %lld s", s / 60, s % 60);
	} else if (s < 86400) {
		snprintf(to, size, "%lld h %lld min", s / 3600, s / 60 % 60);
	} else {
		snprintf(to, size, "%lld d %lld h", s / 86400, s / 3600 % 24);
	}
	return to;
}

const char *cli_get_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "-";
}

json_int_t cli_get_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

bool cli_get_bool(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

void cli_print_json(const json_t *answer)
{
	json_dumpf(answer, stdout, JSON_INDENT(2));
	putchar('\n');
}
