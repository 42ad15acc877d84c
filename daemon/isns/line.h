/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What yoke-isns says to yoked, as bytes of a pipe: taken apart into lines, and these into words.
 * The program talks to name servers, so what it says is from outside.
 */
#ifndef YOKE_ISNS_LINE_H
#define YOKE_ISNS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/isns/words.h"

/* All zero: nothing has come yet. */
struct isns_line {
	char text[ISNS_LINE_MAX];
	size_t length;
	bool too_long;
};

/*
 * Takes one byte. True when it ended a line, which then is in line->text with a NUL until the next
 * byte. A line that is too long is left out. What cannot be printed becomes '?': lines go into the
 * log.
 */
bool isns_line_take(struct isns_line *line, char byte);

enum isns_word {
	ISNS_WORD_REGISTERED,
	ISNS_WORD_INQUIRY,
	ISNS_WORD_FAILED,
	ISNS_WORD_GONE,
	ISNS_WORD_UNKNOWN, /* from a newer program; left alone */
};

struct isns_said {
	enum isns_word word;
	const char *rest; /* behind the word, in the line; "" when there is nothing */
	uint32_t period_s, esi_interval_s; /* of REGISTERED */
};

/* Takes a line apart; changes it. -EBADMSG: a word that is known with values that cannot be. */
int isns_line_read(char *text, struct isns_said *said);

#endif
