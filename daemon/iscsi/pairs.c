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

static bool hex_parse(
	const char *digits, size_t length, uint8_t *binary, size_t size, size_t *bytes)
{
	size_t odd = length % 2;

	*bytes = (length + 1) / 2;
	if (length == 0 || *bytes > size) {
		return false;
	}
	memset(binary, 0, *bytes);
	for (size_t i = 0; i < length; i++) {
		int digit = digit_value(digits[i]);

		if (digit > 15) {
			return false;
		}
		binary[(i + odd) / 2] = (uint8_t)(binary[(i + odd) / 2] << 4 | digit);
	}
	return true;
}

static int base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static bool base64_parse(
	const char *text, size_t length, uint8_t *binary, size_t size, size_t *bytes)
{
	uint32_t bits = 0;
	unsigned held = 0, padding = 0;

	if (length == 0 || length % 4) {
		return false;
	}
	while (padding < 2 && text[length - 1 - padding] == '=') {
		padding++;
	}
	*bytes = 0;
	for (size_t i = 0; i < length - padding; i++) {
		int digit = base64_value(text[i]);

		if (digit < 0) {
			return false;
		}
		bits = (bits << 6 | (uint32_t)digit) & 0xffff;
		held += 6;
		if (held >= 8) {
			held -= 8;
			if (*bytes == size) {
				return false;
			}
			binary[(*bytes)++] = (uint8_t)(bits >> held);
		}
	}
	/* What is left over of the last digit is zero: one value has one form. */
	return (bits & ((1u << held) - 1)) == 0;
}

bool iscsi_binary_parse(
	const char *text, size_t length, uint8_t *binary, size_t size, size_t *bytes)
{
	*bytes = 0;
	if (length < 3 || text[0] != '0') {
		return false;
	}
	if (text[1] == 'x' || text[1] == 'X') {
		return hex_parse(text + 2, length - 2, binary, size, bytes);
	}
	return (text[1] == 'b' || text[1] == 'B') &&
	       base64_parse(text + 2, length - 2, binary, size, bytes);
}

bool iscsi_pair_put_binary(struct cursor *out, const char *key, const uint8_t *binary, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	char value[ISCSI_VALUE_MAX + 1] = "0x";

	if (bytes > (sizeof(value) - 3) / 2) {
		return false;
	}
	for (size_t i = 0; i < bytes; i++) {
		value[2 + 2 * i] = digits[binary[i] >> 4];
		value[3 + 2 * i] = digits[binary[i] & 15];
	}
	value[2 + 2 * bytes] = '\0';
	return iscsi_pair_put(out, key, strlen(key), value);
}
