/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: what the program that talks to a name server says to yoked. Whatever comes, lines
 * have an end and can be printed, and numbers are those that were said.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/isns/line.h"
#include "tests/fuzz/drive.h"

static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void line_check(char *text)
{
	size_t length = strlen(text);
	struct isns_said said;

	expect(length < ISNS_LINE_MAX);
	for (size_t i = 0; i < length; i++) {
		expect(text[i] >= ' ' && text[i] < 0x7f);
	}
	if (isns_line_read(text, &said) < 0) {
		return;
	}
	expect(said.rest[0] == '\0' || (said.rest > text && said.rest < text + length));
	if (said.word == ISNS_WORD_REGISTERED) {
		const char *rest = said.rest;
		unsigned long long period = strtoull(rest, (char **)&rest, 10);

		expect(period == said.period_s && *rest == ' ');
		expect(strtoull(rest, NULL, 10) == said.esi_interval_s);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct isns_line line = {.length = 0};

	for (size_t i = 0; i < size; i++) {
		if (isns_line_take(&line, (char)data[i])) {
			line_check(line.text);
		}
	}
	return 0;
}

static const char *const words[] = {"registered ", "inquiry", "failed ", "gone", "\n", "4294967296",
	"0", "99999999999999999999999", " ", "\r", "\x1b[2J", NULL};

const struct fuzz_target fuzz_target = {
	.corpus = "isns", .every_cut = true, .mutations = 4000, .words = words};
