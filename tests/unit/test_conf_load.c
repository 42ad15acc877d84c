// SPDX-License-Identifier: BSD-3-Clause
/* Whole files: the example, the texts of the complaints, dump and back, derived values, hostile
 * input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "yoke/conf.h"
#include "yoke/util.h"

/* ----- helpers ---------------------------------------------------------------------------------
 */

static struct conf *parse_ok(const char *text)
{
	struct conf_error *errors;
	struct conf *conf = conf_parse(text, strlen(text), "t", &errors);

	if (!conf) {
		fail_msg("%s\n%s", errors->text, text);
	}
	assert_null(errors);
	return conf;
}

/* All complaints, one on each line; malloc'd. */
static char *complaints_of(const char *text, size_t length)
{
	struct conf_error *errors;
	struct conf *conf = conf_parse(text, length, "t", &errors);
	char *all = NULL;
	size_t size;
	FILE *f = open_memstream(&all, &size);

	assert_null(conf);
	assert_non_null(errors);
	for (const struct conf_error *e = errors; e; e = e->next) {
		fprintf(f, "%s\n", e->text);
	}
	conf_errors_free(errors);
	fclose(f);
	return all;
}

static void assert_complaints(const char *text, const char *expected)
{
	cleanup_free char *all = complaints_of(text, strlen(text));

	assert_string_equal(all, expected);
}

static void assert_same(const struct conf *a, const struct conf *b)
{
	cleanup_free char *dump_a = conf_dump(a);
	cleanup_free char *dump_b = conf_dump(b);

	assert_string_equal(dump_a, dump_b);
	assert_memory_equal(a->digest, b->digest, sizeof(a->digest));
}

static void assert_round_trip(const struct conf *conf)
{
	cleanup_free char *dump = conf_dump(conf);
	struct conf *again = parse_ok(dump);

	assert_same(conf, again);
	conf_free(again);
}

#define SINGLE            \
	"yoke: 1\n"       \
	"cluster: none\n" \
	"controllers:\n"  \
	"  - portals: [10.0.0.1]\n" /* 4 lines */

#define CLUSTER                                                               \
	"yoke: 1\n"                                                           \
	"cluster: lab\n"                                                      \
	"controllers:\n"                                                      \
	"  - {name: a, id: 1, portals: [10.0.0.1], interconnect: 10.1.0.1}\n" \
	"  - {name: b, id: 2, portals: [10.0.0.2], interconnect: 10.1.0.2}\n" /* 5 lines */

#define GROUPS "groups: [{name: g1, home: a}, {name: g2, home: b}]\n" /* 1 line */

/* ----- what loads ------------------------------------------------------------------------------
 */

static void test_example_file(void **state)
{
	const char *top = getenv("top_srcdir");
	struct conf_error *errors;
	struct conf *conf;
	char path[512];

	if (!top) {
		print_message("SKIP: top_srcdir is not set\n");
		skip();
	}
	snprintf(path, sizeof(path), "%s/docs/yoke.yaml.example", top);
	conf = conf_load(path, &errors);
	if (!conf) {
		fail_msg("%s", errors->text);
	}
	assert_string_equal(conf->path, path);
	assert_string_equal(conf->cluster, "lab");
	assert_int_equal(conf->controller_count, 2);
	assert_string_equal(conf->controllers[0].portals[1].text, "10.77.2.1:3260");
	assert_string_equal(conf->controllers[1].interconnect.text, "10.78.0.2:3261");
	assert_int_equal(conf->group_count, 2);
	assert_int_equal(conf->groups[0].home, 1);
	assert_int_equal(conf->groups[0].failback_delay_s, 60);
	assert_int_equal(conf->groups[1].home, 2);
	assert_int_equal(conf->extent_count, 2);
	assert_int_equal(conf->extents[1].size_bytes, UINT64_C(10) << 30);
	assert_int_equal(conf->extents[1].block_size, 4096);
	assert_int_equal(conf->extents[1].group, 1);
	assert_int_equal(conf->target_count, 1);
	assert_int_equal(conf->targets[0].lun_count, 2);
	assert_int_equal(conf->targets[0].initiator_group_count, 1);
	assert_int_equal(conf->hold_limit_ms, 1500);
	assert_int_equal(conf->iscsi.max_burst_bytes, 8 << 20);
	assert_int_equal(conf->log_level, LOG_INFO);
	assert_ptr_equal(conf_controller_by_id(conf, 2), &conf->controllers[1]);
	assert_ptr_equal(conf_controller_by_name(conf, "a"), &conf->controllers[0]);
	assert_ptr_equal(conf_group_by_name(conf, "g2"), &conf->groups[1]);
	assert_null(conf_controller_by_id(conf, 3));
	assert_null(conf_controller_by_name(conf, "c"));
	assert_null(conf_group_by_name(conf, "g3"));
	assert_round_trip(conf);
	conf_free(conf);
}

static void test_smallest_single_target(void **state)
{
	struct conf *conf = parse_ok(SINGLE);

	assert_null(conf->cluster);
	assert_string_equal(conf->controllers[0].name, "local");
	assert_int_equal(conf->controllers[0].id, 1);
	assert_string_equal(conf->controllers[0].portals[0].text, "10.0.0.1:3260");
	assert_int_equal(conf->controllers[0].interconnect.length, 0);
	assert_int_equal(conf->group_count, 1);
	assert_string_equal(conf->groups[0].name, "local");
	assert_int_equal(conf->groups[0].home, 1);
	assert_round_trip(conf);
	conf_free(conf);
}

/* Every key away from its default, awkward texts, both address families, out of order. */
static void test_dump_of_everything(void **state)
{
	struct conf *conf = parse_ok(
		"iscsi: {max_recv_data_segment: 64KiB, max_burst: 1MiB, first_burst: 512KiB,\n"
		"  max_outstanding_r2t: 4, command_window: 32, initial_r2t: on, immediate_data: "
		"off,\n"
		"  header_digest: false, data_digest: no, nop_interval: 0, nop_timeout: 2min,\n"
		"  login_timeout: 5s, connections_max: 10}\n"
		"settings: {reactors: 3, spin: 50us, buffers: 64MiB, state_dir: \"/a b: #c\",\n"
		"  socket: \"/x/\\\"y\\\\z\", interconnect_key: /k, log_level: debug, hold_limit: "
		"2s,\n"
		"  hold_answer: transitioning, handover_timeout: 2500ms, vendor: \"A: #[]\", "
		"product: \"- p\"}\n"
		"targets:\n"
		"  - name: IQN.2026-01.ORG.example:B\n"
		"    alias: \"'yes': {no}\"\n"
		"    luns: [{lun: 7, extent: e2}, {lun: 3, extent: e1}]\n"
		"    initiator_groups: [h1, h2]\n"
		"  - name: eui.0123456789ABCDEF\n"
		"initiator_groups:\n"
		"  - name: h1\n"
		"    initiators: [iqn.2026-01.org.example:1, iqn.2026-01.org.example:2, "
		"naa.0123456789abcdef,\n"
		"      iqn.2026-01.org.example:4, iqn.2026-01.org.example:5]\n"
		"  - name: h2\n"
		"extents:\n"
		"  - {name: e1, type: file, path: \"/srv/\\u00e4 b\", size: 3MiB, block_size: "
		"4096,\n"
		"     physical_block_size: 8192, read_only: yes, rotation_rpm: 7200, serial: \"S "
		"1\", group: g2,\n"
		"     thin: no, lowest_aligned_lba: 1, comment: \"no: note\",\n"
		"     naa: naa.600140512345678901234567890ABCDE, direct: yes}\n"
		"  - {name: e2, type: block, path: /dev/x, uuid: "
		"01234567-89AB-cdef-0123-456789abcdef, group: g1}\n"
		"groups:\n"
		"  - {name: g1, home: b, failback: auto, failback_delay: 90s}\n"
		"  - {name: g2, home: a}\n"
		"controllers:\n"
		"  - {name: b, id: 2, portals: [\"fd00::2\", \"[fd00::2]:3261\", 10.0.0.2], "
		"interconnect: \"fd01::2\"}\n"
		"  - {name: a, id: 1, portals: [\"[FD00:0::1]\"], interconnect: "
		"\"[fd01::1]:5000\"}\n"
		"cluster: lab-2\n"
		"yoke: 1\n");

	assert_round_trip(conf);
	assert_string_equal(conf->controllers[1].portals[0].text, "[fd00::1]:3260");
	assert_int_equal(conf->groups[0].home, 2);
	assert_string_equal(conf->targets[0].name, "iqn.2026-01.org.example:b");
	assert_string_equal(conf->targets[1].name, "eui.0123456789abcdef");
	assert_int_equal(conf->targets[0].luns[0].lun, 3);
	assert_int_equal(conf->targets[0].luns[0].extent, 0);
	assert_int_equal(conf->targets[0].luns[1].lun, 7);
	assert_string_equal(conf->extents[0].path, "/srv/\xc3\xa4 b");
	assert_int_equal(conf->extents[0].rotation_rpm, 7200);
	assert_true(conf->extents[0].rotational_known);
	assert_false(conf->extents[1].rotational_known);
	assert_int_equal(conf->extents[1].uuid[3], 0x67);
	assert_string_equal(conf->extents[1].serial, "0123456789abcdef0123456789abcdef");
	assert_string_equal(conf->socket_path, "/x/\"y\\z");
	assert_int_equal(conf->spin_us, 50);
	assert_int_equal(conf->hold_answer, CONF_HOLD_TRANSITIONING);
	assert_int_equal(conf->handover_timeout_ms, 2500);
	assert_int_equal(conf->iscsi.nop_timeout_s, 120);
	assert_false(conf->iscsi.immediate_data);
	assert_true(conf->iscsi.initial_r2t);
	conf_free(conf);
}

/* Two files that say the same in other words have one digest; any change has another. */
static void test_digest(void **state)
{
	struct conf *a = parse_ok(SINGLE "settings:\n  hold_limit: 1500ms\n");
	struct conf *b =
		parse_ok("# other words\n" SINGLE "settings: {hold_answer: busy}\ntargets:\n");
	struct conf *c = parse_ok(SINGLE "settings:\n  hold_limit: 1501ms\n");

	assert_same(a, b);
	assert_memory_not_equal(a->digest, c->digest, sizeof(a->digest));
	conf_free(a);
	conf_free(b);
	conf_free(c);
}

#define E1 "extents: [{name: disk1, type: file, path: /x}]\n"

/*
 * The identity of a disk is fixed for ever: these are RFC 4122 version 5 UUIDs, computed
 * elsewhere. Without a cluster two targets with an extent of the same name are not one disk.
 */
static void test_identity(void **state)
{
	static const uint8_t lab[16] = {0x08, 0x57, 0xac, 0x6a, 0xdb, 0xc2, 0x50, 0x58, 0x99, 0xb0,
		0xc0, 0xcf, 0x60, 0xe8, 0x3a, 0xd8};
	static const uint8_t one[16] = {0xea, 0x29, 0xd9, 0x5d, 0xa4, 0x18, 0x55, 0x99, 0x91, 0x1d,
		0x59, 0x04, 0x9e, 0xe9, 0x8b, 0xfa};
	struct conf *a = parse_ok(CLUSTER "groups: [{name: g, home: a}]\n" E1);
	struct conf *b = parse_ok(SINGLE
		"extents: [{name: d, type: file, path: /x}]\n"
		"targets: [{name: iqn.2026-01.org.example:one, luns: [{lun: 0, extent: d}]}]\n");
	struct conf *c = parse_ok(SINGLE
		"extents: [{name: d, type: file, path: /x}]\n"
		"targets: [{name: iqn.2026-01.org.example:two, luns: [{lun: 0, extent: d}]}]\n");

	assert_memory_equal(a->extents[0].uuid, lab, 16);
	assert_string_equal(a->extents[0].serial, "0857ac6adbc2505899b0c0cf60e83ad8");
	assert_memory_equal(b->extents[0].uuid, one, 16);
	assert_memory_not_equal(c->extents[0].uuid, one, 16);
	conf_free(a);
	conf_free(b);
	conf_free(c);
}

/* 1,024 LUNs: quick, also under the sanitizers. */
#define LUNS_MAX CONF_EXTENTS_MAX

static void test_many_luns(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	struct timespec from, to;
	struct conf *conf;

	fputs(CLUSTER GROUPS "extents:\n", f);
	for (unsigned i = 0; i < LUNS_MAX; i++) {
		fprintf(f, "  - {name: e%u, type: file, path: /srv/%u, group: g%u}\n", i, i,
			i % 2 + 1);
	}
	fputs("targets:\n  - name: iqn.2026-01.org.example:t\n    luns:\n", f);
	for (unsigned i = 0; i < LUNS_MAX; i++) {
		fprintf(f, "      - {lun: %u, extent: e%u}\n", LUNS_MAX - 1 - i, i);
	}
	fclose(f);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	conf = parse_ok(text);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	assert_int_equal(conf->targets[0].lun_count, LUNS_MAX);
	for (unsigned i = 0; i < LUNS_MAX; i++) {
		assert_int_equal(conf->targets[0].luns[i].lun, i);
		assert_int_equal(conf->targets[0].luns[i].extent, LUNS_MAX - 1 - i);
	}
	assert_true((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9 <
		    2.0);
	assert_round_trip(conf);
	conf_free(conf);
	free(text);
}

/* ----- what does not ----------------------------------------------------------------------------
 */

static const struct {
	const char *text;
	const char *complaints;
} golden[] = {
	{"yoke: 1\n", "t:1: cluster: is missing; allowed: none, or a name of 1 to 63 letters, "
		      "digits, dots, hyphens and underscores\n"
		      "t:1: controllers: is missing; allowed: a list of mappings, each starting "
		      "with \"- \"\n"},
	{SINGLE "setings: {}\n", "t:5: unknown key \"setings\"; did you mean \"settings\"?\n"},
	{SINGLE "settings: {hodl_limit: 1s}\n",
		"t:5: settings: unknown key \"hodl_limit\"; did you mean \"hold_limit\"?\n"},
	{SINGLE "initiator_groups: [{name: i, xyz: 1}]\n",
		"t:5: initiator_groups[i]: unknown key \"xyz\"; allowed: name, initiators, "
		"networks, auth, users\n"},
	{SINGLE "settings:\n  hold_limit: 5\n", "t:6: settings.hold_limit: \"5\" has no unit; "
						"allowed: 100ms to 60s (us, ms, s, min)\n"},
	{SINGLE "settings:\n  hold_limit: 1s\n  hold_limit: 1s\n",
		"t:7: settings: the key hold_limit is given twice, first in line 6; allowed: "
		"once\n"},
	{SINGLE "extents:\n  - name: d\n    type: blok\n",
		"t:7: extents[d].type: \"blok\" is not one of the allowed values; allowed: file, "
		"block or ram\n"},
	{SINGLE "extents:\n  - name: d\n    type: file\n",
		"t:6: extents[d].path: is missing; type file needs it\n"},
	{SINGLE "extents:\n  - {name: d, type: block}\n",
		"t:6: extents[d].path: is missing; type block needs it\n"},
	{SINGLE "extents:\n  - {name: d, type: ram}\n",
		"t:6: extents[d].size: is missing; type ram needs it\n"},
	{SINGLE "extents:\n  - {name: d, type: ram, size: 1MiB, path: /x}\n",
		"t:6: extents[d].path: is of no use to type ram; remove it\n"},
	{SINGLE "extents:\n  - {name: d, type: block, path: /x, size: 1MiB}\n",
		"t:6: extents[d].size: is of no use to type block; remove it\n"},
	{SINGLE "extents:\n  - {name: d, type: file, path: /x, block_size: 4096, size: 66048B}\n",
		"t:6: extents[d].size: is not a multiple of block_size; allowed: multiples of "
		"4096\n"},
	{SINGLE "extents:\n  - {name: d, type: file, path: /x, block_size: 4096, "
		"physical_block_size: 512}\n",
		"t:6: extents[d].physical_block_size: 512 is no power of two or less than "
		"block_size; allowed: "
		"powers of two from 4096 to 65536\n"},
	{SINGLE "extents:\n  - {name: d, type: file, path: /x, physical_block_size: 1536}\n",
		"t:6: extents[d].physical_block_size: 1536 is no power of two or less than "
		"block_size; allowed: "
		"powers of two from 512 to 65536\n"},
	{SINGLE "extents:\n  - {name: d, type: file, path: /x, lowest_aligned_lba: 8}\n",
		"t:6: extents[d].lowest_aligned_lba: 8 is not inside the first physical block; "
		"allowed: 0 to 7\n"},
	{SINGLE "extents:\n  - {name: d, type: file, path: /x, naa: 7001405123456789}\n",
		"t:6: extents[d].naa: \"7001405123456789\" is no NAA identifier; allowed: 16 "
		"hexadecimal digits that begin with 2, 3 or 5, or 32 that begin with 6\n"},
	{SINGLE "extents:\n  - {name: d, type: file, path: /x, rotation_rpm: 1024}\n",
		"t:6: extents[d].rotation_rpm: 1024 has no meaning; allowed: 0, 1, 1025 to "
		"65534\n"},
	{SINGLE "extents:\n  - {name: d, type: file, path: /x}\n  - {name: d, type: file, path: "
		"/y}\n",
		"t:7: extents: the name \"d\" is used twice, before in line 6; allowed: once in "
		"the list\n"},
	{SINGLE "extents:\n  - {name: d, type: file, path: /x}\n  - {name: e, type: file, path: "
		"/x}\n",
		"t:7: extents: the path \"/x\" is used twice, before in line 6; allowed: once in "
		"the list\n"},
	{SINGLE "extents:\n  - {name: d, type: file, path: /x, serial: s}\n  - {name: e, type: "
		"file, path: /y, serial: s}\n",
		"t:7: extents: the serial \"s\" is used twice, before in line 6; allowed: once in "
		"the list\n"},
	{SINGLE "extents:\n  - {name: d, type: file, path: /x, uuid: "
		"0123456789abcdef0123456789abcdef}\n"
		"  - {name: e, type: file, path: /y, uuid: 01234567-89AB-CDEF-0123-456789abcdef}\n",
		"t:7: extents: the uuid \"01234567-89ab-cdef-0123-456789abcdef\" is used twice, "
		"before in line 6; "
		"allowed: once in the list\n"},
	{SINGLE E1 "targets:\n  - name: iqn.2026-01.org.example:t\n    luns: [{lun: 0, extent: "
		   "disk2}]\n",
		"t:8: targets[iqn.2026-01.org.example:t].luns[0].extent: \"disk2\" does not exist; "
		"allowed: a name "
		"from extents\n"},
	{SINGLE E1 "targets:\n  - name: iqn.2026-01.org.example:t\n    luns: [{lun: 0, extent: "
		   "disk1}, {lun: 1, extent: disk1}]\n",
		"t:8: targets[iqn.2026-01.org.example:t].luns: the extent \"disk1\" is used twice, "
		"before in line 8; "
		"allowed: once in the list\n"},
	{SINGLE "extents: [{name: d, type: file, path: /x}, {name: e, type: file, path: /y}]\n"
		"targets:\n  - name: iqn.2026-01.org.example:t\n    luns: [{lun: 5, extent: d}, "
		"{lun: 5, extent: e}]\n",
		"t:8: targets[iqn.2026-01.org.example:t].luns: the lun \"5\" is used twice, before "
		"in line 8; "
		"allowed: once in the list\n"},
	{SINGLE "targets: [{name: iqn.2026-01.org.example:t}, {name: IQN.2026-01.org.example:T}]\n",
		"t:5: targets: the name \"iqn.2026-01.org.example:t\" is used twice, before in "
		"line 5; allowed: "
		"once in the list\n"},
	{SINGLE "targets:\n  - name: iqn.2026-01.org.example:t\n    initiator_groups: [hosts]\n",
		"t:7: targets[iqn.2026-01.org.example:t].initiator_groups: \"hosts\" does not "
		"exist; allowed: a "
		"name from initiator_groups\n"},
	{SINGLE "iscsi: {first_burst: 2MiB, max_burst: 1MiB}\n",
		"t:5: iscsi.first_burst: is larger than max_burst; allowed: at most 1048576 "
		"bytes\n"},
	{"yoke: 1\ncluster: none\ncontrollers:\n  - portals: [10.0.0.1]\n    interconnect: "
	 "10.1.0.1\n",
		"t:5: controllers[local].interconnect: is given without a cluster; remove it, or "
		"name the cluster\n"},
	{"yoke: 1\ncluster: none\ncontrollers:\n  - portals: [10.0.0.1, \"10.0.0.1:3260\"]\n",
		"t:4: controllers[local].portals: 10.0.0.1:3260 is used twice; allowed: an address "
		"and port once\n"},
	{"yoke: 1\ncluster: none\ncontrollers:\n  - portals: []\n",
		"t:4: controllers[#1].portals: has 0 items; allowed: 1 to 255\n"},
	{"yoke: 1\ncluster: none\ncontrollers: [{portals: [10.0.0.1]}, {id: 2, name: b, portals: "
	 "[10.0.0.2]}]\n",
		"t:3: controllers: has 2 items; allowed: exactly 1 without a cluster\n"},
	{"yoke: 1\ncluster: lab\ncontrollers:\n"
	 "  - {name: a, id: 1, portals: [10.0.0.1], interconnect: 10.1.0.1}\ngroups: [{name: g, "
	 "home: a}]\n",
		"t:4: controllers: has 1 items; allowed: exactly 2 with a cluster (or cluster: "
		"none)\n"},
	{"yoke: 1\ncluster: lab\ncontrollers:\n"
	 "  - {name: a, id: 1, portals: [10.0.0.1], interconnect: 10.1.0.1}\n"
	 "  - {name: a, id: 1, portals: [10.0.0.1], interconnect: \"10.0.0.1:3260\"}\n"
	 "groups: [{name: g, home: a}]\n",
		"t:4: controllers[a].portals: 10.0.0.1:3260 is an interconnect address, too; "
		"allowed: another address or port\n"
		"t:5: controllers: the name \"a\" is used twice, before in line 4; allowed: once "
		"in the list\n"
		"t:5: controllers: the id \"1\" is used twice, before in line 4; allowed: once in "
		"the list\n"
		"t:5: controllers[a].portals: 10.0.0.1:3260 is used twice; allowed: an address and "
		"port once\n"
		"t:5: controllers[a].portals: 10.0.0.1:3260 is an interconnect address, too; "
		"allowed: another address or port\n"},
	{"yoke: 1\ncluster: lab\ncontrollers:\n"
	 "  - {name: a, id: 1, portals: [10.0.0.1], interconnect: 10.1.0.1}\n"
	 "  - {name: b, id: 2, portals: [10.0.0.2], interconnect: 10.1.0.1}\ngroups: [{name: g, "
	 "home: a}]\n",
		"t:5: controllers[b].interconnect: 10.1.0.1:3261 is the other controller's, too; "
		"allowed: an address of its own\n"},
	{"yoke: 1\ncluster: lab\ncontrollers:\n"
	 "  - {name: a, id: 1, portals: [10.0.0.1], interconnect: 10.1.0.1}\n"
	 "  - {name: b, id: 2, portals: [10.0.0.2], interconnect: \"fd00::1\"}\ngroups: [{name: g, "
	 "home: a}]\n",
		"t:5: controllers[b].interconnect: 10.1.0.1:3261 and [fd00::1]:3261 are not of one "
		"family; allowed: "
		"both IPv4 or both IPv6\n"},
	{"yoke: 1\ncluster: lab\ncontrollers:\n  - portals: [10.0.0.1]\n"
	 "  - {name: b, id: 2, portals: [10.0.0.2], interconnect: 10.1.0.1}\ngroups: [{name: g, "
	 "home: b}]\n",
		"t:4: controllers[#1].name: is missing; allowed: 1 to 63 letters, digits, dots, "
		"hyphens and underscores\n"
		"t:4: controllers[#1].id: is missing; allowed: 1 to 2\n"
		"t:4: controllers[#1].interconnect: is missing; allowed: a literal address such as "
		"10.0.0.1, "
		"10.0.0.1:3260, fd00::1 or \"[fd00::1]:3260\"\n"},
	{CLUSTER, "t:1: groups: is missing; allowed: a list of mappings, each starting with \"- "
		  "\"\n"},
	{CLUSTER "groups: []\n", "t:6: groups: has no items; allowed: 1 to 256 with a cluster\n"},
	{CLUSTER "groups: [{name: g, home: c}]\n",
		"t:6: groups[g].home: \"c\" does not exist; allowed: a name from controllers\n"},
	{CLUSTER GROUPS E1,
		"t:7: extents[disk1].group: is missing; there are several groups, name one\n"},
	{CLUSTER GROUPS "extents: [{name: d, type: ram, size: 1MiB, group: g1}]\n",
		"t:7: extents[d].type: ram is at one controller only; allowed with a cluster: file "
		"or block\n"},
	{CLUSTER GROUPS "extents: [{name: d, type: file, path: /x, group: g3}]\n",
		"t:7: extents[d].group: \"g3\" does not exist; allowed: a name from groups\n"},
	/* what is no YAML, or more than we take */
	{"", "t:1: is empty; start with \"yoke: 1\"\n"},
	{"# nothing\n", "t:1: is empty; start with \"yoke: 1\"\n"},
	{"[yoke]\n", "t:1: is not a mapping; allowed: lines of \"key: value\"\n"},
	{"yoke\n", "t:1: is not a mapping; allowed: lines of \"key: value\"\n"},
	{"yoke: 1\n---\nyoke: 1\n", "t:2: a second document (---); one is allowed\n"},
	{"yoke: &a 1\n", "t:1: has an anchor (&); anchors and aliases are not accepted, write the "
			 "value out\n"},
	{"yoke: *a\n", "t:1: is an alias (*); anchors and aliases are not accepted, write the "
		       "value out\n"},
	{"yoke: !!int 1\n", "t:1: has a type tag (!); tags are not accepted\n"},
	{"yoke: \"a\\0b\"\n", "t:1: contains a NUL byte; text without NUL is allowed\n"},
	{"? [a]\n: b\n",
		"t:1: a list or mapping stands where a key is expected; keys are plain words\n"},
	{"yoke: 1\ncluster\n",
		"t:3: is not valid YAML: could not find expected ':' (column 1), while scanning a "
		"simple key; check indentation, colons and quotes\n"},
};

static void test_golden_complaints(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(golden); i++) {
		assert_complaints(golden[i].text, golden[i].complaints);
	}
}

/* One pass finds them all, sorted by line. */
static void test_all_errors_in_one_pass(void **state)
{
	assert_complaints("settings: {reactors: -1}\n"
			  "grups: []\n"
			  "yoke: 2\n"
			  "cluster: none\n"
			  "targets:\n"
			  "  - name: iqn.2026-01.org.example:t\n"
			  "    luns: [{lun: 99999, extent: d}]\n"
			  "controllers: [{portals: [x]}]\n"
			  "extents: [{name: d, type: file, path: x}]\n",
		"t:1: settings.reactors: \"-1\" is not a whole number; allowed: 0 to 256\n"
		"t:2: unknown key \"grups\"; did you mean \"groups\"?\n"
		"t:3: yoke: \"2\" is too large; allowed: 1\n"
		"t:7: targets[iqn.2026-01.org.example:t].luns[99999].lun: \"99999\" is too large; "
		"allowed: 0 to 16383\n"
		"t:8: controllers[#1].portals: \"x\" is no literal address; allowed: a literal "
		"address such as 10.0.0.1, "
		"10.0.0.1:3260, fd00::1 or \"[fd00::1]:3260\"\n"
		"t:9: extents[d].path: \"x\" is not an absolute path; allowed: an absolute path\n");
}

/* No input grows the list of complaints, or one of them, without bound. */
static void test_complaints_are_bounded(void **state)
{
	char *text = NULL, *all;
	unsigned count = 0;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	fputs(SINGLE, f);
	for (unsigned i = 0; i < 5000; i++) {
		fprintf(f, "zz%u: 1\n", i);
	}
	fclose(f);
	all = complaints_of(text, size);
	for (const char *p = all; *p; p++) {
		count += *p == '\n';
	}
	assert_int_equal(count, 101);
	assert_non_null(strstr(all, "4900 more errors are not shown"));
	free(all);
	free(text);

	text = malloc(100100);
	memcpy(text, "yoke: \"", 7);
	memset(text + 7, 'x', 100000);
	memcpy(text + 100007, "\"\n", 3);
	all = complaints_of(text, strlen(text));
	assert_non_null(strstr(all, "xxx...\" is not a whole number; allowed: 1\n"));
	free(all);
	free(text);
}

/* Values from outside appear in messages without their control characters. */
static void test_complaints_are_printable(void **state)
{
	cleanup_free char *all = complaints_of("\"yo\\e[31mke\\n\": 1\n", 17);

	for (const char *p = all; *p; p++) {
		assert_true(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
	}
}

static void assert_complains(const char *text, size_t length, const char *part)
{
	cleanup_free char *all = complaints_of(text, length);

	if (!strstr(all, part)) {
		fail_msg("\"%s\" lacks \"%s\"", all, part);
	}
}

static void test_hostile_files(void **state)
{
	size_t size = (16u << 20) + 1;
	char *big = malloc(size);

	memset(big, '[', size);
	assert_complains(big, size, "t: is larger than 16 MiB");
	assert_complains(big, size - 1, "t:1: is nested too deeply; at most 16 levels are allowed");
	memset(big, '{', size);
	assert_complains(big, size - 1, "t:1: ");
	for (size_t i = 0; i + 1 < size; i += 2) {
		big[i] = i ? ',' : '[';
		big[i + 1] = 'a';
	}
	assert_complains(big, size - 1, "t:1: too many values; at most 1048576 are allowed");
	memset(big, ' ', size);
	assert_complains(big, size - 1, "is empty");
	memset(big, '-', size);
	assert_complains(big, size - 1, "t:1: ");
	free(big);
	assert_complains("yoke: \xff\xfe\n", 9, "is not clean UTF-8");
	assert_complains("y\0o\0k\0e\0", 8, "is not clean UTF-8");
	assert_complains("yoke: \xed\xa0\x80\n", 10, "is not clean UTF-8");
	/* a key that is longer than any suggestion */
	assert_complains(
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1\n", 75,
		"unknown key \"aaaaaaaa");
}

/* Every prefix of a good file, and the file with every byte changed, ends in a word, not in a
 * crash. */
static void test_mutilated_files(void **state)
{
	static const char text[] =
		CLUSTER GROUPS "extents: [{name: d, type: file, path: /x, group: g1}]\n"
			       "targets:\n  - name: iqn.2026-01.org.example:t\n    luns:\n"
			       "      - lun: 0\n        extent: d\nsettings: {spin: 5us}\n";
	static const char bytes[] = {'\0', '\n', ':', '-', '"', '&', '{', '\x80', ' '};
	char copy[sizeof(text)];

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		struct conf_error *errors;
		struct conf *conf = conf_parse(text, cut, "t", &errors);

		assert_true(!conf == !!errors);
		conf_free(conf);
		conf_errors_free(errors);
	}
	for (size_t at = 0; at + 1 < sizeof(text); at++) {
		for (unsigned b = 0; b < sizeof(bytes); b++) {
			struct conf_error *errors;
			struct conf *conf;

			memcpy(copy, text, sizeof(text));
			copy[at] = bytes[b];
			conf = conf_parse(copy, sizeof(text) - 1, "t", &errors);
			assert_true(!conf == !!errors);
			conf_free(conf);
			conf_errors_free(errors);
		}
	}
}

static void test_unreadable_files(void **state)
{
	static const struct {
		const char *path, *text;
	} rows[] = {
		{"/no/such/file", "/no/such/file: cannot be read: No such file or directory; check "
				  "the path and its permissions"},
		{"/", "/: cannot be read: Is a directory; check the path and its permissions"},
		{"/dev/null", "/dev/null:1: is empty; start with \"yoke: 1\""},
		{"/dev/zero", "/dev/zero: is larger than 16 MiB, which is the limit"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf_error *errors;

		assert_null(conf_load(rows[i].path, &errors));
		assert_string_equal(errors->text, rows[i].text);
		assert_null(errors->next);
		conf_errors_free(errors);
	}
	conf_errors_free(NULL);
	conf_free(NULL);
}

/* Each change as "kind where from>to online" in a line. */
static void assert_changes(const char *from, const char *to, const char *expected)
{
	struct conf *a = parse_ok(from), *b = parse_ok(to);
	struct conf_change *changes;
	char *all = NULL;
	size_t size;
	FILE *f = open_memstream(&all, &size);

	assert_int_equal(conf_diff(a, b, &changes), 0);
	for (const struct conf_change *c = changes; c; c = c->next) {
		fprintf(f, "%s %s", conf_change_kind_name(c->kind), c->where);
		if (c->kind == CONF_CHANGED) {
			fprintf(f, " %s>%s", c->from, c->to);
		}
		fprintf(f, " %s\n", c->online ? "online" : "no");
		assert_int_equal(!c->remedy, c->online);
	}
	fclose(f);
	assert_string_equal(all, expected);
	free(all);
	conf_changes_free(changes);
	conf_free(a);
	conf_free(b);
}

#define T1 "iqn.2026-01.org.example:t1"

static void test_diff(void **state)
{
	static const char base[] = CLUSTER GROUPS
		"extents:\n"
		"  - {name: e1, type: file, path: /a, size: 1MiB, group: g1}\n"
		"  - {name: e2, type: file, path: /b, size: 1MiB, group: g2}\n"
		"initiator_groups: [{name: i, initiators: [iqn.2026-01.org.example:h1]}]\n"
		"targets:\n"
		"  - name: " T1 "\n"
		"    luns: [{lun: 0, extent: e1}, {lun: 1, extent: e2}]\n";

	assert_changes(base, base, "");
	/* The order of lists means nothing. */
	assert_changes(base,
		CLUSTER GROUPS
		"targets:\n"
		"  - name: " T1 "\n"
		"    luns: [{lun: 1, extent: e2}, {lun: 0, extent: e1}]\n"
		"initiator_groups: [{name: i, initiators: [iqn.2026-01.org.example:h1]}]\n"
		"extents:\n"
		"  - {name: e2, type: file, path: /b, size: 1MiB, group: g2}\n"
		"  - {name: e1, type: file, path: /a, size: 1MiB, group: g1}\n",
		"");
	assert_changes(base,
		CLUSTER GROUPS
		"extents:\n"
		"  - {name: e1, type: file, path: /a, size: 2MiB, group: g1, comment: x}\n"
		"  - {name: e3, type: file, path: /c, size: 1MiB, group: g2}\n"
		"targets:\n"
		"  - name: " T1 "\n"
		"    alias: new\n"
		"    luns: [{lun: 0, extent: e1}, {lun: 2, extent: e3}]\n"
		"settings: {log_level: debug, hold_limit: 2s}\n"
		"iscsi: {nop_interval: 7s}\n",
		"changed extents[e1].size 1MiB>2MiB online\n"
		"changed extents[e1].comment >x online\n"
		"removed extents[e2] online\n"
		"added extents[e3] online\n"
		"removed initiator_groups[i] online\n"
		"changed targets[" T1 "].alias >new online\n"
		"removed targets[" T1 "].luns[1] online\n"
		"added targets[" T1 "].luns[2] online\n"
		"changed settings.log_level info>debug online\n"
		"changed settings.hold_limit 1500ms>2s online\n"
		"changed iscsi.nop_interval 3s>7s online\n");
	assert_changes(base,
		CLUSTER "groups: [{name: g1, home: b, failback: auto}, {name: g2, home: b}]\n"
			"extents:\n"
			"  - {name: e1, type: file, path: /z, size: 1MiB, group: g1, serial: s}\n"
			"  - {name: e2, type: file, path: /b, size: 1MiB, group: g1}\n"
			"initiator_groups: [{name: i, initiators: [iqn.2026-01.org.example:h1, "
			"iqn.2026-01.org.example:h2]}]\n"
			"targets:\n"
			"  - name: " T1 "\n"
			"    luns: [{lun: 0, extent: e2}, {lun: 1, extent: e1}]\n"
			"settings: {reactors: 2}\n",
		"changed groups[g1].home a>b no\n"
		"changed groups[g1].failback manual>auto online\n"
		"changed extents[e1].path /a>/z no\n"
		"changed extents[e1].serial "
		"05a8b8dea9735ab7a321c1730c25bcc0>s no\n"
		"changed extents[e2].group g2>g1 no\n"
		"changed initiator_groups[i].initiators iqn.2026-01.org.example:h1>"
		"iqn.2026-01.org.example:h1, iqn.2026-01.org.example:h2 online\n"
		"changed targets[" T1 "].luns[0].extent e1>e2 no\n"
		"changed targets[" T1 "].luns[1].extent e2>e1 no\n"
		"changed settings.reactors 0>2 no\n");
}

/* A copy of an extent stands alone. */
static void test_copy(void **state)
{
	struct conf *conf = parse_ok(
		SINGLE "extents: [{name: e, type: file, path: /srv/e, comment: a note, naa: "
		       "5000c500a1b2c3d4}]\n");
	struct conf_extent *copy = conf_extent_copy(&conf->extents[0]);

	assert_non_null(copy);
	assert_ptr_not_equal(copy->name, conf->extents[0].name);
	assert_memory_equal(copy->uuid, conf->extents[0].uuid, 16);
	conf_free(conf);
	assert_string_equal(copy->name, "e");
	assert_string_equal(copy->path, "/srv/e");
	assert_string_equal(copy->comment, "a note");
	assert_int_equal(strlen(copy->serial), 32);
	assert_int_equal(copy->naa.length, 8);
	assert_int_equal(copy->naa.bytes[7], 0xd4);
	conf_extent_free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example_file),
		cmocka_unit_test(test_smallest_single_target),
		cmocka_unit_test(test_dump_of_everything),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_many_luns),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_golden_complaints),
		cmocka_unit_test(test_all_errors_in_one_pass),
		cmocka_unit_test(test_complaints_are_bounded),
		cmocka_unit_test(test_complaints_are_printable),
		cmocka_unit_test(test_hostile_files),
		cmocka_unit_test(test_mutilated_files),
		cmocka_unit_test(test_unreadable_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
