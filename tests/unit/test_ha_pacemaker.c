/* SPDX-License-Identifier: BSD-3-Clause */
/* What counts as proof of fencing in the output of cibadmin, and names of resources. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ha/pacemaker.h"
#include "ha/spawn.h"

#define STATE(name, crmd, expected)                                             \
	"<node_state id=\"1\" uname=\"" name "\" in_ccm=\"false\" crmd=\"" crmd \
	"\" crm-debug-origin=\"post_cache_update\" join=\"down\" expected=\"" expected "\"/>\n"

static void test_proof(void **state)
{
	static const struct {
		const char *xml;
		bool down;
	} rows[] = {
		{STATE("a", "offline", "down"), true},
		{"<xpath-query>\n" STATE("b", "online", "member")
				STATE("a", "offline", "down") "</xpath-query>",
			true},
		{STATE("a", "offline", "member"), false}, /* lost, not fenced yet */
		{STATE("a", "online", "down"), false}, /* on its way */
		{STATE("b", "offline", "down"), false}, /* another one */
		{STATE("aa", "offline", "down") STATE("a", "offline", "member"), false},
		{STATE("a", "offline", "downhill"), false},
		{"", false},
		{"<node_state ", false},
		{"<node_state uname=\"a\" expected=\"down", false},
		{"<node_state uname=\"a\" not-expected=\"down\" crmd=\"offline\">", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pacemaker_state_is_down(rows[i].xml, "a"), rows[i].down);
	}
}

static void test_resource(void **state)
{
	struct conf conf = {.group_count = 1};
	qb_loop_t *loop = qb_loop_create();
	struct pacemaker *p = pacemaker_new(loop, &conf, "b", NULL, NULL);
	char long_name[200];

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(pacemaker_resource_set(p, 0, "g1"), 0);
	assert_int_equal(pacemaker_resource_set(p, 0, "g1:0"), 0);
	assert_int_equal(pacemaker_resource_set(p, 0, ""), -EINVAL);
	assert_int_equal(pacemaker_resource_set(p, 0, ":0"), -EINVAL);
	assert_int_equal(pacemaker_resource_set(p, 0, "-D"), -EINVAL);
	assert_int_equal(pacemaker_resource_set(p, 0, long_name), -EINVAL);
	assert_int_equal(pacemaker_controller_set(p, NULL), -ENOENT);
	assert_int_equal(pacemaker_controller_set(p, "yoke-controller:1"), 0);
	assert_int_equal(pacemaker_controller_set(p, "--help"), -EINVAL);
	pacemaker_free(p);
	qb_loop_destroy(loop);
}

struct run {
	qb_loop_t *loop;
	int status;
	size_t length;
	char head[16];
};

static void ended(void *arg, int status, const char *output, size_t length)
{
	struct run *run = arg;

	run->status = status;
	run->length = length;
	snprintf(run->head, sizeof(run->head), "%.15s", output);
	qb_loop_stop(run->loop);
}

static void run_it(struct run *run, const char *script, unsigned timeout_ms)
{
	const char *argv[] = {"sh", "-c", script, NULL};

	*run = (struct run){.loop = qb_loop_create(), .status = -1000};
	assert_non_null(spawn_run(run->loop, argv, timeout_ms, ended, run));
	qb_loop_run(run->loop);
	qb_loop_destroy(run->loop);
}

static void test_spawn(void **state)
{
	struct run run;
	const char *missing[] = {"/nonexistent/program", NULL};
	qb_loop_t *loop = qb_loop_create();

	run_it(&run, "echo hello; echo no >&2; exit 7", 5000);
	assert_int_equal(run.status, 7);
	assert_string_equal(run.head, "hello\n");
	run_it(&run, "head -c 1000000 /dev/zero | tr '\\0' x", 5000); /* more than is kept */
	assert_int_equal(run.status, 0);
	assert_true(run.length > 100000 && run.length <= SPAWN_OUTPUT_MAX * 2);
	run_it(&run, "exec tail -f /dev/null", 50);
	assert_int_equal(run.status, -ETIME);
	assert_null(spawn_run(loop, missing, 1000, ended, &run));
	qb_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_resource),
		cmocka_unit_test(test_spawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
