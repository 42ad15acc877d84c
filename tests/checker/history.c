// SPDX-License-Identifier: BSD-3-Clause
#include "tests/checker/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/util.h"

#define HISTORY_LINE_MAX    512
#define HISTORY_SECTORS_MAX 65536

const char history_kinds[HISTORY_KINDS] = {
	[HISTORY_READ] = 'R',
	[HISTORY_WRITE] = 'W',
	[HISTORY_SWAP] = 'C',
	[HISTORY_ACQUIRE] = 'L',
	[HISTORY_RELEASE] = 'F',
	[HISTORY_PREEMPT] = 'P',
	[HISTORY_USE] = 'U',
	[HISTORY_REGISTER] = 'G',
};

static const char *const outcomes[] = {
	[HISTORY_OK] = "ok",
	[HISTORY_NO] = "no",
	[HISTORY_MAYBE] = "maybe",
};

const char *history_outcome_name(enum history_outcome outcome)
{
	return (unsigned)outcome < ARRAY_SIZE(outcomes) ? outcomes[outcome] : "unknown";
}

bool history_add(struct history *history, const struct history_op *op)
{
	if (history->count == history->room) {
		size_t room = history->room ? history->room * 2 : 1024;
		struct history_op *ops = realloc(history->ops, room * sizeof(*ops));

		if (!ops) {
			return false;
		}
		history->ops = ops;
		history->room = room;
	}
	history->ops[history->count++] = *op;
	return true;
}

void history_free(struct history *history)
{
	free(history->ops);
	*history = (struct history){0};
}

void history_print(FILE *to, const struct history_op *op, uint64_t count)
{
	fprintf(to,
		"%c %" PRIu64 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		" %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %u\n",
		history_kinds[op->kind], op->id, op->client, op->unit, op->sector, count, op->value,
		op->expected, op->invoked_ns, op->returned_ns,
		history_outcome_name((enum history_outcome)op->outcome), op->attempts);
}

/* The next number of a line; false when there is none. */
static bool number(char **at, uint64_t *n)
{
	char *end;

	*n = strtoull(*at, &end, 10);
	if (end == *at) {
		return false;
	}
	*at = end;
	return true;
}

static bool outcome_parse(char **at, struct history_op *op)
{
	*at += strspn(*at, " ");
	for (unsigned i = 0; i < ARRAY_SIZE(outcomes); i++) {
		size_t length = strlen(outcomes[i]);

		if (strncmp(*at, outcomes[i], length) == 0 && (*at)[length] == ' ') {
			op->outcome = (uint8_t)i;
			*at += length;
			return true;
		}
	}
	return false;
}

static bool line_parse(char *line, struct history_op *op, uint64_t *count)
{
	const char *kind = memchr(history_kinds, line[0], HISTORY_KINDS);
	uint64_t client, attempts;
	char *at = line + 1;

	if (!kind || !line[0] || !number(&at, &op->id) || !number(&at, &client) ||
		!number(&at, &op->unit) || !number(&at, &op->sector) || !number(&at, count) ||
		!number(&at, &op->value) || !number(&at, &op->expected) ||
		!number(&at, &op->invoked_ns) || !number(&at, &op->returned_ns) ||
		!outcome_parse(&at, op) || !number(&at, &attempts)) {
		return false;
	}
	op->kind = (uint8_t)(kind - history_kinds);
	op->client = (uint32_t)client;
	op->attempts = attempts > 2 ? 2 : (uint16_t)attempts;
	if (op->sector == HISTORY_LOCK &&
		(client >= HISTORY_CLIENTS_MAX || op->expected >= HISTORY_CLIENTS_MAX)) {
		return false;
	}
	return *count >= 1 && *count <= HISTORY_SECTORS_MAX && (*at == '\n' || *at == '\0');
}

unsigned long history_read(struct history *history, FILE *from)
{
	char line[HISTORY_LINE_MAX];
	unsigned long number_of_line = 0;

	while (fgets(line, sizeof(line), from)) {
		struct history_op op = {0};
		uint64_t count;

		number_of_line++;
		if (line[0] == '#' || line[0] == '\n') {
			continue;
		}
		if (!line_parse(line, &op, &count)) {
			return number_of_line;
		}
		for (uint64_t i = 0; i < count; i++) {
			if (!history_add(history, &op)) {
				return number_of_line;
			}
			op.sector++;
		}
	}
	return 0;
}
