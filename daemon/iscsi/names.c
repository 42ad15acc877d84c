/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/names.h"

#include <stdint.h>
#include <string.h>

#include "yoke/util.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool all_hex(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!is_hex(text[i])) {
			return false;
		}
	}
	return true;
}

/* Bytes of the UTF-8 sequence at `s`, 0 when it is malformed (RFC 3629 4). */
static size_t utf8_sequence(const uint8_t *s, size_t left)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80) {
		return s[0] ? 1 : 0;
	}
	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		n = 2;
	} else if (s[0] >= 0xe0 && s[0] <= 0xef) {
		n = 3;
		low = s[0] == 0xe0 ? 0xa0 : 0x80;
		high = s[0] == 0xed ? 0x9f : 0xbf;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		n = 4;
		low = s[0] == 0xf0 ? 0x90 : 0x80;
		high = s[0] == 0xf4 ? 0x8f : 0xbf;
	} else {
		return 0;
	}
	if (left < n || s[1] < low || s[1] > high) {
		return 0;
	}
	for (size_t i = 2; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return n;
}

bool iscsi_utf8_valid(const char *text, size_t length)
{
	const uint8_t *s = (const uint8_t *)text;

	for (size_t i = 0; i < length;) {
		size_t n = utf8_sequence(s + i, length - i);

		if (n == 0) {
			return false;
		}
		i += n;
	}
	return true;
}

/* RFC 7143 4.2.7.4, after "iqn.": yyyy-mm.reversed.domain[:string] */
static const char *iqn_check(const char *s, size_t length)
{
	static const char date[] = "dddd-dd.";
	size_t i;
	unsigned month;

	if (length < sizeof(date)) {
		return "iqn. needs a date and a reversed domain name: iqn.2001-04.com.example:name";
	}
	for (i = 0; i < sizeof(date) - 1; i++) {
		if (date[i] == 'd' ? !is_digit(s[i]) : s[i] != date[i]) {
			return "the date behind iqn. is not yyyy-mm and a dot";
		}
	}
	month = (unsigned)(s[5] - '0') * 10 + (unsigned)(s[6] - '0');
	if (month < 1 || month > 12) {
		return "the month behind iqn. is not 01 to 12";
	}
	for (; i < length && s[i] != ':'; i++) {
		if (s[i] == '.' && (s[i - 1] == '.' || i + 1 == length || s[i + 1] == ':')) {
			return "the domain name behind iqn. has an empty label";
		}
		if (!is_lower(s[i]) && !is_digit(s[i]) && s[i] != '-' && s[i] != '.') {
			return "the domain name behind iqn. holds something else than letters, "
			       "digits, "
			       "hyphens and dots";
		}
	}
	if (i == sizeof(date) - 1) {
		return "iqn. needs a reversed domain name behind the date";
	}
	for (; i < length; i++) {
		if (!is_lower(s[i]) && !is_digit(s[i]) && !strchr("-.:", s[i]) &&
			!((uint8_t)s[i] & 0x80)) {
			return "an iqn. name holds letters, digits, hyphens, dots and colons only";
		}
	}
	return NULL;
}

/* RFC 7143 4.2.7.5 */
static const char *eui_check(const char *s, size_t length)
{
	return length == 16 && all_hex(s, length) ? NULL : "eui. needs 16 hexadecimal digits";
}

/* RFC 7143 4.2.7.6 */
static const char *naa_check(const char *s, size_t length)
{
	return (length == 16 || length == 32) && all_hex(s, length)
		       ? NULL
		       : "naa. needs 16 or 32 hexadecimal digits";
}

static const struct {
	char prefix[5];
	const char *(*check)(const char *rest, size_t length);
} name_types[] = {
	{"iqn.", iqn_check},
	{"eui.", eui_check},
	{"naa.", naa_check},
};

static const char *name_check(const char *name, size_t length)
{
	if (!iscsi_utf8_valid(name, length)) {
		return "an iSCSI name is UTF-8 without NUL";
	}
	for (size_t i = 0; i < ARRAY_SIZE(name_types); i++) {
		if (length >= 4 && memcmp(name, name_types[i].prefix, 4) == 0) {
			return name_types[i].check(name + 4, length - 4);
		}
	}
	return "an iSCSI name begins with iqn., eui. or naa.";
}

bool iscsi_name_normalize(
	const char *text, size_t length, char name[SCSI_NAME_MAX], const char **why)
{
	const char *wrong = "an iSCSI name has at most 223 bytes";

	if (length < SCSI_NAME_MAX) {
		for (size_t i = 0; i < length; i++) {
			name[i] = text[i];
			if (text[i] >= 'A' && text[i] <= 'Z') {
				name[i] = (char)(text[i] - 'A' + 'a');
			}
		}
		name[length] = '\0';
		wrong = name_check(name, length);
	}
	if (wrong) {
		name[0] = '\0';
	}
	if (why) {
		*why = wrong;
	}
	return !wrong;
}
