// SPDX-License-Identifier: BSD-3-Clause
#include <stdio.h>
#include <string.h>

#include "suggest.h"
#include "yoke/util.h"

#define SUGGEST_MAX 32u /* longer words have no suggestion */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* Edit distance (insert, delete, replace, swap of neighbours) of two words of at most SUGGEST_MAX.
 */
static unsigned word_distance(const char *a, const char *b)
{
	unsigned rows[3][SUGGEST_MAX + 1];
	unsigned *before = rows[0], *previous = rows[1], *row = rows[2];
	size_t b_length = strlen(b);

	for (unsigned j = 0; j <= b_length; j++) {
		before[j] = previous[j] = j;
	}
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned *next = before;

		row[0] = i;
		for (unsigned j = 1; j <= b_length; j++) {
			row[j] = min3(previous[j] + 1, row[j - 1] + 1,
				previous[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				before[j - 2] + 1 < row[j]) {
				row[j] = before[j - 2] + 1;
			}
		}
		before = previous;
		previous = row;
		row = next;
	}
	return previous[b_length];
}

void conf_suggest_key(
	const struct conf_section *section, const char *unknown, char *out, size_t size)
{
	const struct conf_key *best = NULL;
	unsigned least = 3;
	size_t used;

	for (unsigned k = 0; strlen(unknown) <= SUGGEST_MAX && k < section->key_count; k++) {
		unsigned distance = word_distance(unknown, section->keys[k].name);

		/* Half of a short word may not be replaced. */
		if (distance < least && distance * 2 < strlen(unknown)) {
			least = distance;
			best = &section->keys[k];
		}
	}
	if (best) {
		snprintf(out, size, "did you mean \"%s\"?", best->name);
		return;
	}
	used = (size_t)snprintf(out, size, "allowed:");
	for (unsigned k = 0; k < section->key_count && used < size; k++) {
		used += (size_t)snprintf(
			out + used, size - used, "%s %s", k ? "," : "", section->keys[k].name);
	}
}
