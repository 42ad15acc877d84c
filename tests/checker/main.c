/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * yoke-checker FILE...: are these histories, together, linearizable? Exit 0 yes, 1 no, 2 it could
 * not be told. One JSON object on standard output.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/checker/check.h"

static int print_result(const struct check_result *result)
{
	printf("{\"linearizable\":%s,\"ops\":%zu,\"objects\":%zu,\"most_states\":%u",
		result->linearizable && !result->gave_up ? "true" : "false", result->ops,
		result->objects, result->most_states);
	if (result->gave_up || !result->linearizable) {
		const struct history_op *op = &result->op;

		printf(",\"%s\":{\"kind\":\"%c\",\"id\":%" PRIu64 ",\"client\":%" PRIu32
		       ",\"unit\":%" PRIu64 ",\"sector\":%" PRIu64 ",\"value\":%" PRIu64
		       ",\"invoked_ns\":%" PRIu64 ",\"returned_ns\":%" PRIu64
		       ",\"outcome\":\"%s\"},\"could_be\":[",
			result->gave_up ? "gave_up_at" : "unexplained", history_kinds[op->kind],
			op->id, op->client, op->unit, op->sector, op->value, op->invoked_ns,
			op->returned_ns, history_outcome_name((enum history_outcome)op->outcome));
		for (unsigned i = 0; i < result->could_be_count; i++) {
			printf("%s%" PRIu64, i ? "," : "", result->could_be[i]);
		}
		printf("]");
	}
	printf("}\n");
	return result->gave_up ? 2 : result->linearizable ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct history history = {0};
	struct check_result result;
	int ret;

	if (argc < 2) {
		fputs("Usage: yoke-checker FILE...\n", stderr);
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "re");
		unsigned long line;

		if (!file) {
			fprintf(stderr, "yoke-checker: %s: %s\n", argv[i], strerror(errno));
			return 2;
		}
		line = history_read(&history, file);
		fclose(file);
		if (line) {
			fprintf(stderr, "yoke-checker: %s:%lu: not a line of a history\n", argv[i],
				line);
			return 2;
		}
	}
	result = check_history(&history);
	ret = print_result(&result);
	history_free(&history);
	return ret;
}
