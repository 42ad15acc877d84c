/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/isns/line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[ISNS_WORD_UNKNOWN] = {
	[ISNS_WORD_REGISTERED] = ISNS_SAYS_REGISTERED,
	[ISNS_WORD_INQUIRY] = ISNS_SAYS_INQUIRY,
	[ISNS_WORD_FAILED] = ISNS_SAYS_FAILED,
	[ISNS_WORD_GONE] = ISNS_SAYS_GONE,
};

bool isns_line_take(struct isns_line *line, char byte)
{
	bool whole;

	if (byte != '\n') {
		if (line->length + 1 < sizeof(line->text)) {
			bool prints = (unsigned char)byte >= ' ' && (unsigned char)byte < 0x7f;

			line->text[line->length++] = prints ? byte : '?';
		} else {
			line->too_long = true;
		}
		return false;
	}
	whole = !line->too_long;
	line->text[line->length] = '\0';
	line->length = 0;
	line->too_long = false;
	return whole;
}

/* Decimal digits and what may follow them. */
static bool number_read(const char **at, char after, uint32_t *number)
{
	uint64_t value = 0;
	const char *p = *at;

	if (*p < '0' || *p > '9') {
		return false;
	}
	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX) {
			return false;
		}
	}
	if (*p != after) {
		return false;
	}
	*at = p + (after != '\0');
	*number = (uint32_t)value;
	return true;
}

int isns_line_read(char *text, struct isns_said *said)
{
	char *space = strchr(text, ' ');
	const char *at;

	*said = (struct isns_said){.word = ISNS_WORD_UNKNOWN, .rest = ""};
	if (space) {
		*space = '\0';
		said->rest = space + 1;
	}
	for (unsigned i = 0; i < ISNS_WORD_UNKNOWN; i++) {
		if (strcmp(text, words[i]) == 0) {
			said->word = (enum isns_word)i;
		}
	}
	if (said->word != ISNS_WORD_REGISTERED) {
		return 0;
	}
	at = said->rest;
	return number_read(&at, ' ', &said->period_s) &&
			       number_read(&at, '\0', &said->esi_interval_s)
		       ? 0
		       : -EBADMSG;
}
