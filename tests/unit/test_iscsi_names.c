/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/iscsi/names.h"
#include "yoke/util.h"

static void good_names(void **state)
{
	static const struct {
		const char *text, *normal;
	} rows[] = {
		{"iqn.2001-04.com.example", "iqn.2001-04.com.example"},
		{"iqn.2001-04.com.example:storage.tape1-1",
			"iqn.2001-04.com.example:storage.tape1-1"},
		{"IQN.1991-05.COM.Microsoft:Win-HOST", "iqn.1991-05.com.microsoft:win-host"},
		{"iqn.1993-08.org.debian:01:abcdef", "iqn.1993-08.org.debian:01:abcdef"},
		{"iqn.2026-12.a:", "iqn.2026-12.a:"},
		{"iqn.2026-01.de.b\xc3\xbc"
		 "cher",
			NULL}, /* the naming authority is ASCII */
		{"iqn.2026-01.de.x:b\xc3\xbc"
		 "cher",
			"iqn.2026-01.de.x:b\xc3\xbc"
			"cher"},
		{"eui.02004567A425678D", "eui.02004567a425678d"},
		{"naa.52004567BA64678D", "naa.52004567ba64678d"},
		{"naa.62004567BA64678D0123456789ABCDEF", "naa.62004567ba64678d0123456789abcdef"},
		{"", NULL},
		{"iqn.", NULL},
		{"iqn.2001-04.", NULL},
		{"iqn.2001-04", NULL},
		{"iqn.2001-00.com", NULL},
		{"iqn.2001-13.com", NULL},
		{"iqn.200a-04.com", NULL},
		{"iqn.2001_04.com", NULL},
		{"iqn.2001-04.com..example", NULL},
		{"iqn.2001-04..com", NULL},
		{"iqn.2001-04.com.", NULL},
		{"iqn.2001-04.com.:x", NULL},
		{"iqn.2001-04.:x", NULL},
		{"iqn.2001-04.com.exa_mple", NULL},
		{"iqn.2001-04.com.example:a b", NULL},
		{"iqn.2001-04.com.example:a/b", NULL},
		{"iqn.2001-04.com.example:\xff", NULL},
		{"eui.02004567A425678", NULL},
		{"eui.02004567A425678DD", NULL},
		{"eui.02004567A425678G", NULL},
		{"naa.52004567BA64678", NULL},
		{"naa.52004567BA64678D0", NULL},
		{"naa.62004567BA64678D0123456789ABCDEX", NULL},
		{"wwn.52004567BA64678D", NULL},
		{"host1", NULL},
	};
	char name[SCSI_NAME_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why = "unset";
		bool good = iscsi_name_normalize(rows[i].text, strlen(rows[i].text), name, &why);

		print_message("%s\n", rows[i].text);
		assert_int_equal(good, rows[i].normal != NULL);
		assert_string_equal(name, good ? rows[i].normal : "");
		assert_int_equal(why == NULL, good);
		assert_int_equal(
			iscsi_name_normalize(rows[i].text, strlen(rows[i].text), name, NULL), good);
	}
}

static void length_limit(void **state)
{
	char text[256], name[SCSI_NAME_MAX];

	memset(text, 'a', sizeof(text));
	memcpy(text, "iqn.2001-04.com.example:", 24);
	assert_true(iscsi_name_normalize(text, 223, name, NULL));
	assert_int_equal(strlen(name), 223);
	assert_false(iscsi_name_normalize(text, 224, name, NULL));
	text[100] = '\0';
	assert_false(iscsi_name_normalize(text, 223, name, NULL));
}

static void utf8(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} rows[] = {
		{"plain", true},
		{"\xc2\x80 \xdf\xbf", true},
		{"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", true},
		{"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true},
		{"\x80", false},
		{"\xc0\x80", false}, /* overlong */
		{"\xc1\xbf", false},
		{"\xe0\x9f\xbf", false},
		{"\xed\xa0\x80", false}, /* surrogate */
		{"\xf0\x8f\xbf\xbf", false},
		{"\xf4\x90\x80\x80", false}, /* past 10FFFF */
		{"\xf5\x80\x80\x80", false},
		{"\xc3", false}, /* cut off */
		{"\xe2\x82", false},
		{"\xf0\x90\x80", false},
		{"\xe2\x82z", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = strlen(rows[i].text);
		char *exact = malloc(n); /* a sanitizer sees a read past the end */

		assert_non_null(exact);
		memcpy(exact, rows[i].text, n);
		assert_int_equal(iscsi_utf8_valid(exact, n), rows[i].valid);
		free(exact);
	}
	assert_false(iscsi_utf8_valid("a\0b", 3));
	assert_true(iscsi_utf8_valid("", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_names),
		cmocka_unit_test(length_limit),
		cmocka_unit_test(utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
