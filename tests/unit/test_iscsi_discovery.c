/* SPDX-License-Identifier: BSD-3-Clause */
/* Which targets are listed, and the list cut at every length. */
#include "daemon/iscsi/discovery.h"

#include <arpa/inet.h>

#include "tests/unit/iscsi_fixture.h"

#define ALL_OF_HOST1                                                                   \
	ARRAY1_LIST "TargetName=" OPEN1 "\0"                                           \
		    "TargetAddress=10.77.1.1:3260,1\0TargetAddress=[fd00::1]:3260,1\0" \
		    "TargetAddress=10.77.1.2:3260,2\0"                                 \
		    "TargetName=" ANY1 "\0"                                            \
		    "TargetAddress=10.77.1.1:3260,1\0TargetAddress=[fd00::1]:3260,1\0" \
		    "TargetAddress=10.77.1.2:3260,2\0"

/* Takes a whole list in pieces of `room` bytes. */
static size_t collect(struct fixture *f, const struct conf_target *only, const char *initiator,
	size_t room, char *text, size_t size)
{
	const struct iscsi_visitor visitor = {.initiator = initiator};
	struct iscsi_discovery list;
	size_t n = 0;

	iscsi_discovery_start(&list, &f->conf, only);
	while (list.active) {
		struct cursor out = cursor_over(text + n, room < size - n ? room : size - n);

		iscsi_discovery_next(&list, &f->conf, &visitor, &out);
		assert_true(cursor_ok(&out));
		assert_true(out.pos > 0 || !list.active);
		n += out.pos;
	}
	return n;
}

static void every_room(void **state)
{
	static char text[4096];
	struct fixture f;

	fixture_init(&f);
	for (size_t room = 60; room < 1000; room++) {
		size_t n = collect(&f, NULL, HOST1, room, text, sizeof(text));

		assert_int_equal(n, sizeof(ALL_OF_HOST1) - 1);
		assert_memory_equal(text, ALL_OF_HOST1, n);
	}
}

static void one_target(void **state)
{
	static char text[4096];
	struct fixture f;
	size_t n;

	fixture_init(&f);
	n = collect(&f, &f.targets[0], HOST1, sizeof(text), text, sizeof(text));
	assert_int_equal(n, sizeof(ARRAY1_LIST) - 1);
	assert_memory_equal(text, ARRAY1_LIST, n);
	/* not visible: nothing, not even its name */
	assert_int_equal(collect(&f, &f.targets[2], HOST1, sizeof(text), text, sizeof(text)), 0);
}

static void no_target(void **state)
{
	static char text[64];
	struct fixture f;

	fixture_init(&f);
	f.conf.target_count = 0;
	assert_int_equal(collect(&f, NULL, HOST1, sizeof(text), text, sizeof(text)), 0);
}

static void who_may(void **state)
{
	static const struct {
		const char *initiator;
		bool array1, open1, other1, any1;
	} rows[] = {
		{HOST1, true, true, false, true},
		{"iqn.1991-05.com.microsoft:win-host", true, true, false, true},
		{"iqn.1993-08.org.debian:01:other", false, true, true, true},
		{"iqn.1993-08.org.debian:01:host", false, true, false, true},
		{"iqn.1993-08.org.debian:01:host11", false, true, false, true},
	};
	struct fixture f;

	fixture_init(&f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct iscsi_visitor who = {.initiator = rows[i].initiator};

		assert_int_equal(
			iscsi_target_allows(&f.conf, &f.targets[0], &who, NULL), rows[i].array1);
		assert_int_equal(
			iscsi_target_allows(&f.conf, &f.targets[1], &who, NULL), rows[i].open1);
		assert_int_equal(
			iscsi_target_allows(&f.conf, &f.targets[2], &who, NULL), rows[i].other1);
		assert_int_equal(
			iscsi_target_allows(&f.conf, &f.targets[3], &who, NULL), rows[i].any1);
	}
}

/* Name and address both have to fit; the first group that does is the one. */
static void networks(void **state)
{
	static struct conf_network nets[] = {
		{.address = {[10] = 0xff, [11] = 0xff, 10, 1, 2}, .prefix = 96 + 23},
		{.address = {0xfd, 0, 0, 1}, .prefix = 30},
		{.address = {0x20, 0x01, [15] = 1}, .prefix = 128},
	};
	static const struct {
		const char *from;
		bool inside;
	} rows[] = {
		{"10.1.2.0", true},
		{"10.1.3.255", true},
		{"10.1.4.0", false},
		{"10.1.1.255", false},
		{"::ffff:10.1.2.9", true},
		{"fd00:1::1", true},
		{"fd00:3:ffff::1", true},
		{"fd00:4::1", false},
		{"2001::1", true},
		{"2001::2", false},
		{"::10.1.2.1", false},
	};
	struct fixture f;

	fixture_init(&f);
	f.groups[0].networks = nets;
	f.groups[0].network_count = ARRAY_SIZE(nets);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct conf_initiator_group *group = &f.groups[2];
		struct sockaddr_storage from = {.ss_family = AF_INET};
		struct iscsi_visitor who = {.initiator = HOST1, .address = &from};

		if (strchr(rows[i].from, ':')) {
			from.ss_family = AF_INET6;
			assert_int_equal(
				inet_pton(AF_INET6, rows[i].from,
					&((struct sockaddr_in6 *)(void *)&from)->sin6_addr),
				1);
		} else {
			assert_int_equal(inet_pton(AF_INET, rows[i].from,
						 &((struct sockaddr_in *)(void *)&from)->sin_addr),
				1);
		}
		assert_int_equal(
			iscsi_target_allows(&f.conf, &f.targets[0], &who, &group), rows[i].inside);
		assert_ptr_equal(group, rows[i].inside ? &f.groups[0] : NULL);
		who.initiator = "iqn.1993-08.org.debian:01:other";
		assert_false(iscsi_target_allows(&f.conf, &f.targets[0], &who, NULL));
		/* A prefix of 0 holds every address of its kind. */
		nets[1].prefix = 0;
		who.initiator = HOST1;
		assert_true(iscsi_target_allows(&f.conf, &f.targets[0], &who, NULL));
		nets[1].prefix = 30;
		from.ss_family = AF_UNIX;
		assert_false(iscsi_target_allows(&f.conf, &f.targets[0], &who, NULL));
	}
}

static void find(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_ptr_equal(iscsi_target_find(&f.conf, OPEN1), &f.targets[1]);
	assert_ptr_equal(
		iscsi_target_find(&f.conf, "IQN.2026-01.org.example:OPEN1"), &f.targets[1]);
	assert_null(iscsi_target_find(&f.conf, "iqn.2026-01.org.example:open"));
	assert_null(iscsi_target_find(&f.conf, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_room),
		cmocka_unit_test(one_target),
		cmocka_unit_test(no_target),
		cmocka_unit_test(who_may),
		cmocka_unit_test(networks),
		cmocka_unit_test(find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
