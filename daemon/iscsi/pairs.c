/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/pairs.h"

#include <stdarg.h>
#include <stdio.h>

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/*
 * RFC 7143 6.1 wants a capital letter first, and 13.24 defines iSCSIProtocolLevel: so any letter.
 */
static bool key_name_ok(const char *key, size_t length)
{
	if (length == 0 || length > ISCSI_KEY_MAX || !is_letter(key[0])) {
		return false;
	}
	for (size_t i = 1; i < length; i++) {
		if (!is_letter(key[i]) && !(key[i] >= '0' && key[i] <= '9') &&
			!(key[i] && strchr(".-+@_#", key[i]))) {
			return false;
		}
	}
	return true;
}

enum iscsi_pair_result iscsi_pair_next(
	struct cursor *text, struct iscsi_pair *pair, const char **why)
{
	const char *start, *end, *equals;

	while (cursor_left(text) && text->base[text->pos] == 0) {
		text->pos++;
	}
	if (cursor_left(text) == 0) {
		return ISCSI_PAIR_END;
	}
	start = (const char *)text->base + text->pos;
	end = memchr(start, 0, cursor_left(text));
	if (!end) {
		*why = "the text does not end with a NUL";
		return ISCSI_PAIR_BAD;
	}
	equals = memchr(start, '=', (size_t)(end - start));
	if (!equals) {
		*why = "a key has no '=' and value";
		return ISCSI_PAIR_BAD;
	}
	if (!key_name_ok(start, (size_t)(equals - start))) {
		*why = "a key's name is not 1 to 63 letters, digits and .-+@_# after a letter";
		return ISCSI_PAIR_BAD;
	}
	*pair = (struct iscsi_pair){
		.key = start,
		.key_length = (size_t)(equals - start),
		.value = equals + 1,
		.value_length = (size_t)(end - equals) - 1,
	};
	text->pos += (size_t)(end - start) + 1;
	return ISCSI_PAIR_FOUND;
}

bool iscsi_pair_value_is(const struct iscsi_pair *pair, const char *value)
{
	return pair->value_length == strlen(value) &&
	       memcmp(pair->value, value, pair->value_length) == 0;
}

bool iscsi_pair_put(struct cursor *out, const char *key, size_t key_length, const char *value)
{
	size_t value_length = strlen(value);

	if (cursor_left(out) < key_length + value_length + 2) {
		return false;
	}
	cursor_put_bytes(out, key, key_length);
	cursor_put_u8(out, '=');
	cursor_put_bytes(out, value, value_length + 1);
	return true;
}

bool iscsi_pair_putf(struct cursor *out, const char *key, const char *format, ...)
{
	char value[ISCSI_VALUE_MAX + 1];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(value, sizeof(value), format, ap);
	va_end(ap);
	return n >= 0 && (size_t)n < sizeof(value) && iscsi_pair_put(out, key, strlen(key), value);
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

bool iscsi_number_parse(const char *text, size_t length, uint32_t *number)
{
	bool hex = length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	int base = hex ? 16 : 10;
	uint64_t v = 0;

	if (length == 0 || (!hex && length > 1 && text[0] == '0')) {
		return false;
	}
	for (size_t i = hex ? 2 : 0; i < length; i++) {
		int digit = digit_value(text[i]);

		if (digit >= base) {
			return false;
		}
		v = v * (unsigned)base + (unsigned)digit;
		if (v > UINT32_MAX) {
			return false;
		}
	}
	*number = (uint32_t)v;
	return true;
}
