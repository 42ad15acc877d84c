/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/cursor.h"

void cursor_get_string(struct cursor *c, char *to, size_t size)
{
	size_t n = cursor_get_u16(c);
	const uint8_t *p;

	to[0] = '\0';
	if (n >= size) {
		c->bad = true;
		return;
	}
	p = cursor_take(c, n);
	if (!p) {
		return;
	}
	if (memchr(p, '\0', n)) {
		c->bad = true;
		return;
	}
	memcpy(to, p, n);
	to[n] = '\0';
}

void cursor_put_string(struct cursor *c, const char *s)
{
	size_t n = strlen(s);

	if (n > UINT16_MAX) {
		c->bad = true;
		return;
	}
	cursor_put_u16(c, (uint16_t)n);
	cursor_put_bytes(c, s, n);
}
