// SPDX-License-Identifier: BSD-3-Clause
/* The size of an extent changed in the text of the file, and the file replaced by another. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "yoke/conf.h"
#include "yoke/util.h"

#define GIB (1ull << 30)

static void resized(const char *text, const char *extent, uint64_t bytes, const char *expected)
{
	cleanup_free char *edited = conf_text_resize(text, extent, bytes);

	if (!edited || !expected) {
		assert_ptr_equal(edited, expected);
		return;
	}
	assert_string_equal(edited, expected);
}

static void only_the_size_changes(void **state)
{
	resized("# a comment\nextents:\n  - name: e1\n    size: 10GiB  # of disk 1\n    path: /x\n"
		"  - name: e2\n    size: 10GiB\n",
		"e1", 20 * GIB,
		"# a comment\nextents:\n  - name: e1\n    size: 20GiB  # of disk 1\n    path: /x\n"
		"  - name: e2\n    size: 10GiB\n");
	resized("extents:\n  - size: '10GiB'\n    name: e1\n  - {name: e2, size: 1GiB, type: file}",
		"e2", 1536ull << 20,
		"extents:\n  - size: '10GiB'\n    name: e1\n  - {name: e2, size: 1536MiB, type: "
		"file}");
	resized("extents:\n  - size: '10GiB'\n    name: e1\n", "e1", GIB + 512,
		"extents:\n  - size: 1073742336B\n    name: e1\n");
	/* columns are characters, not bytes */
	resized("extents: [{comment: \"\u00e4\u20ac\U0001f4be\", name: e1, size: 1GiB}] # \u00e4\n",
		"e1", 2 * GIB,
		"extents: [{comment: \"\u00e4\u20ac\U0001f4be\", name: e1, size: 2GiB}] # "
		"\u00e4\n");
	resized("extents:\r\n  - name: e1\r\n    size: 1GiB\r\n", "e1", 2 * GIB,
		"extents:\r\n  - name: e1\r\n    size: 2GiB\r\n");
}

static void what_is_not_there_is_not_made(void **state)
{
	resized("extents:\n  - name: e1\n    path: /x\n", "e1", GIB, NULL);
	resized("extents:\n  - name: e1\n    size: 1GiB\n", "e", GIB, NULL);
	resized("extents:\n  - name: e1\n    size:\n", "e1", GIB, NULL);
	resized("extents:\n  - name: e1\n    size: [1GiB]\n", "e1", GIB, NULL);
	resized("extents:\n  - name: e1\n    size: >\n      1GiB\n", "e1", GIB, NULL);
	resized("extents: x\n", "e1", GIB, NULL);
	resized("[]", "e1", GIB, NULL);
	resized("", "e1", GIB, NULL);
	resized("extents: [", "e1", GIB, NULL);
}

static void sizes_as_text(void **state)
{
	uint64_t bytes;
	char why[128];

	assert_true(conf_size_parse("20GiB", &bytes, why, sizeof(why)));
	assert_true(bytes == 20 * GIB);
	assert_false(conf_size_parse("20GB", &bytes, why, sizeof(why)));
	assert_false(conf_size_parse("1000B", &bytes, why, sizeof(why)));
	assert_false(conf_size_parse("", &bytes, why, sizeof(why)));
}

static char *file_make(char dir[], const char *name, const char *text)
{
	char *path;
	FILE *file;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return path;
}

static void assert_file(const char *path, const char *expected)
{
	cleanup_free char *text = conf_file_text(path);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

/* Through a link, which stays one; the mode stays, too. */
static void the_file_is_replaced_as_a_whole(void **state)
{
	char dir[] = "/tmp/test_conf_edit.XXXXXX";
	cleanup_free char *path = NULL, *link = NULL, *staged = NULL;
	struct stat st;

	assert_non_null(mkdtemp(dir));
	path = file_make(dir, "yoke.yaml", "old\n");
	assert_true(asprintf(&link, "%s/link.yaml", dir) > 0);
	assert_true(asprintf(&staged, "%s.new", path) > 0);
	assert_int_equal(symlink("yoke.yaml", link), 0);
	assert_int_equal(chmod(path, 0640), 0);

	assert_int_equal(conf_file_stage(link, "new\n"), 0);
	assert_file(path, "old\n");
	conf_file_unstage(link);
	assert_int_equal(access(staged, F_OK), -1);
	assert_int_equal(conf_file_commit(link), -ENOENT);
	assert_file(path, "old\n");

	assert_int_equal(conf_file_stage(link, "new\n"), 0);
	assert_int_equal(conf_file_commit(link), 0);
	assert_file(link, "new\n");
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(access(staged, F_OK), -1);

	unlink(link);
	unlink(path);
	assert_int_equal(conf_file_stage(path, "x"), -ENOENT);
	assert_null(conf_file_text(path));
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_size_changes),
		cmocka_unit_test(what_is_not_there_is_not_made),
		cmocka_unit_test(sizes_as_text),
		cmocka_unit_test(the_file_is_replaced_as_a_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
