// SPDX-License-Identifier: BSD-3-Clause
/*
 * The secrets file: its keys, its rules, what it must have to do with the configuration, and that
 * secrets stand neither in a message nor in memory that a core file would hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../daemon/conf/schema.h"
#include "yoke/conf.h"
#include "yoke/util.h"

#define USER  "yoke: 1\nusers:\n  - name: host1\n    secret: twelve-chars\n"
#define PEER  "    peer_name: array\n    peer_secret: other-secret\n"
#define USER2 "  - name: host2\n    secret: another-secret\n"

static const char conf_text[] = "yoke: 1\n"
				"cluster: none\n"
				"controllers:\n  - portals: [10.0.0.1]\n"
				"initiator_groups:\n"
				"  - {name: plain, auth: chap, users: [host1, host2]}\n"
				"  - {name: both, auth: mutual, users: [host1]}\n"
				"iscsi:\n"
				"  discovery_auth: chap\n"
				"  discovery_users: [host2]\n"
				"settings:\n"
				"  secrets: %s\n";

static struct conf *conf_make(const char *path)
{
	struct conf_error *errors;
	char text[1024];
	struct conf *conf;

	snprintf(text, sizeof(text), conf_text, path);
	conf = conf_parse(text, strlen(text), "t", &errors);
	if (!conf) {
		fail_msg("%s", errors->text);
	}
	return conf;
}

/* All complaints about a file, in one text; "" when it loads. */
static char *complaints(const char *text, const char *config)
{
	struct conf_error *errors;
	struct conf *conf =
		config ? conf_parse(config, strlen(config), "t", &errors) : conf_make("/s");
	struct conf_secrets *secrets;
	char *all = NULL;
	size_t size;
	FILE *f = open_memstream(&all, &size);

	assert_non_null(conf);
	secrets = conf_secrets_parse(conf, text, strlen(text), "s", &errors);
	assert_true(!secrets == !!errors);
	for (const struct conf_error *e = errors; e; e = e->next) {
		fprintf(f, "%s\n", e->text);
	}
	fclose(f);
	conf_errors_free(errors);
	conf_secrets_free(secrets);
	conf_free(conf);
	return all;
}

static void test_good(void **state)
{
	struct conf *conf = conf_make("/s");
	struct conf_error *errors;
	struct conf_secrets *secrets =
		conf_secrets_parse(conf, USER PEER USER2, strlen(USER PEER USER2), "s", &errors);

	(void)state;
	assert_non_null(secrets);
	assert_int_equal(secrets->user_count, 2);
	assert_string_equal(secrets->users[0].name, "host1");
	assert_string_equal(secrets->users[0].secret, "twelve-chars");
	assert_string_equal(secrets->users[0].peer_name, "array");
	assert_string_equal(secrets->users[0].peer_secret, "other-secret");
	assert_null(secrets->users[1].peer_secret);
	conf_secrets_free(secrets);
	conf_free(conf);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *complaint;
	} rows[] = {
		{USER PEER USER2, ""},
		{"", "s:1: is empty; start with \"yoke: 1\"\n"},
		{USER PEER, "s: has no user \"host2\", whom discovery_users names; add it under "
			    "users\ns: has no user \"host2\", whom initiator group plain names; "
			    "add it under users\n"},
		{USER USER2,
			"s: user \"host1\" has no peer_secret, which the mutual authentication "
			"of initiator group both needs\n"},
		{USER "    peer_name: array\n" USER2,
			"s:3: [\"host1\"]: peer_name and peer_secret go together; give both or "
			"none\n"},
		{USER "    peer_secret: other-secret\n" USER2,
			"s:3: [\"host1\"]: peer_name and peer_secret go together; give both or "
			"none\n"},
		{USER "    peer_name: a\n    peer_secret: twelve-chars\n" USER2,
			"s:3: [\"host1\"]: peer_secret is the secret of a user, too; allowed: one "
			"that is used nowhere else\n"},
		{USER "    peer_name: a\n    peer_secret: another-secret\n" USER2,
			"s:3: [\"host1\"]: peer_secret is the secret of a user, too; allowed: one "
			"that is used nowhere else\n"},
		{USER PEER USER2 "  - name: host1\n    secret: third-secret-x\n",
			"s:9: users: the name \"host1\" is used twice, before in line 3; "
			"allowed: once in the list\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *all = complaints(rows[i].text, NULL);

		assert_string_equal(all, rows[i].complaint);
	}
}

/* Lengths of a secret, and that no message shows one. */
static void test_lengths(void **state)
{
	static const struct {
		size_t length;
		bool good;
	} rows[] = {{0, false}, {11, false}, {12, true}, {16, true}, {255, true}, {256, false},
		{400, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char secret[512], text[1024];
		cleanup_free char *all = NULL;

		memset(secret, 'q', rows[i].length);
		secret[rows[i].length] = '\0';
		snprintf(text, sizeof(text),
			"yoke: 1\nusers:\n  - name: host2\n    secret: \"%s\"\n"
			"  - name: host1\n    secret: some-secret-x\n" PEER,
			secret);
		all = complaints(text, NULL);
		assert_true((all[0] == '\0') == rows[i].good);
		if (!rows[i].good) {
			assert_non_null(strstr(all, "users[host2].secret: the secret is"));
			assert_null(strstr(all, "qqq"));
		}
	}
}

static void test_never_shown(void **state)
{
	static const char *const texts[] = {
		"yoke: 1\nusers:\n  - name: host1\n    secret: \"topsecret\\nvalue\"\n",
		"yoke: 1\nusers:\n  - name: host1\n    secret: [topsecretvalue]\n",
		"yoke: 1\nusers:\n  - name: host1\n    secret: {topsecretvalue: 1}\n",
		"yoke: 1\nusers:\n  - name: host1\n    secret: &topsecretvalue x\n",
		"yoke: 1\nusers:\n  - name: host1\n    secret: \" topsecretvalue\"\n",
		"yoke: 1\nusers:\n  - name: host1\n    secret: \"topsecretvalue\n",
		"yoke: 1\nusers:\n  - name: host1\n    secret: topsecretvalue\n    peer_secret: "
		"topsecretvalue\n    peer_name: x\n",
		"yoke: 1\nusers:\n  - name: host1\n    secret: topsecretvalue\n    secret: x\n",
		"yoke: 2\nusers:\n  - name: host1\n    secret: topsecretvalue\n",
		"yoke: 1\nusers:\n  - name: host1\n    secret:topsecretvalue\n",
		"yoke: 1\nusers:\n  - name: host1\n    secret:topsecretvalue: x\n",
		"yoke: 1\nusers:\n  - name: host1\n    topsecretvalue: secret\n",
		"yoke: topsecretvalue\n",
		"topsecretvalue: 1\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		cleanup_free char *all = complaints(texts[i], NULL);

		assert_string_not_equal(all, "");
		if (strstr(all, "topsecret")) {
			fail_msg("a message shows a secret: %s", all);
		}
	}
}

/* A configuration that wants nothing takes any file. */
static void test_nobody_named(void **state)
{
	cleanup_free char *all = complaints(
		"yoke: 1\n", "yoke: 1\ncluster: none\ncontrollers:\n  - portals: [10.0.0.1]\n");

	(void)state;
	assert_string_equal(all, "");
}

/* What the configuration itself has to say. */
static void test_policies(void **state)
{
	static const struct {
		const char *group, *rest, *complaint;
	} rows[] = {
		{"auth: chap", "settings:\n  secrets: /s\n",
			"t:6: initiator_groups[g].users: is missing; name the users that may "
			"authenticate"},
		{"auth: mutual, users: []", "settings:\n  secrets: /s\n",
			"t:6: initiator_groups[g].users: is missing; name the users that may "
			"authenticate"},
		{"users: [u]", "",
			"t:6: initiator_groups[g].users: is given, but nobody has to authenticate; "
			"set auth to chap or mutual, or remove it"},
		{"auth: chap, users: [u]", "",
			"t:6: initiator_groups[g].auth: needs a file with secrets; name it with "
			"`secrets` under `settings`"},
		{"initiators: []", "iscsi:\n  discovery_auth: chap\nsettings:\n  secrets: /s\n",
			"t:8: iscsi.discovery_users: is missing; name the users that may "
			"authenticate"},
		{"initiators: []", "iscsi:\n  discovery_users: [u]\n",
			"t:8: iscsi.discovery_users: is given, but nobody has to authenticate; set "
			"discovery_auth to chap or mutual, or remove it"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf_error *errors;
		char text[1024];

		snprintf(text, sizeof(text),
			"yoke: 1\ncluster: none\ncontrollers:\n  - portals: [10.0.0.1]\n"
			"initiator_groups:\n  - {name: g, %s}\n%s",
			rows[i].group, rows[i].rest);
		assert_null(conf_parse(text, strlen(text), "t", &errors));
		assert_string_equal(errors->text, rows[i].complaint);
		conf_errors_free(errors);
	}
}

/* --- files --- */

static char path[256];

static void file_write(const char *text, mode_t mode)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(path, sizeof(path), "%s/yoke-secrets-XXXXXX", dir ? dir : "/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* The flags that /proc/self/smaps has for the mapping at `at`. */
static void mapping_flags(const void *at, char *flags, size_t size)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	bool here = false;
	char line[512];

	flags[0] = '\0';
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
			here = (uintptr_t)at >= from && (uintptr_t)at < to;
		} else if (here && !strncmp(line, "VmFlags:", 8)) {
			snprintf(flags, size, "%s", line + 8);
		}
	}
	fclose(maps);
}

/*
 * How often `text` stands in memory that a core file of this process would hold: everything that
 * can be read, but for what is marked "dd". `text` itself is given with its bytes inverted.
 */
static unsigned dumped_count(const char *inverted)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	int memory = open("/proc/self/mem", O_RDONLY);
	size_t length = strlen(inverted);
	/* What is read goes where it is not looked for. */
	char *block =
		mmap(NULL, 1 << 17, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t from = 0, to = 0;
	const int step = 1 << 16;
	unsigned count = 0;
	char line[512];

	assert_non_null(maps);
	assert_true(memory >= 0);
	assert_true(block != MAP_FAILED);
	assert_int_equal(madvise(block, 1 << 17, MADV_DONTDUMP), 0);
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t a, b;
		char mode;

		if (sscanf(line, "%lx-%lx %c", &a, &b, &mode) == 3) {
			from = a;
			to = mode == 'r' ? b : a;
		} else if (!strncmp(line, "VmFlags:", 8) && !strstr(line, " dd")) {
			for (uintptr_t at = from; at < to; at += step) {
				ssize_t n = pread(memory, block, step + 64, (off_t)at);

				for (ssize_t i = 0; i + (ssize_t)length <= n &&
						    at + (uintptr_t)i < to && i < step;
					i++) {
					size_t k = 0;

					while (k < length && block[i + k] == (char)~inverted[k]) {
						k++;
					}
					count += k == length;
				}
			}
		}
	}
	munmap(block, 1 << 17);
	close(memory);
	fclose(maps);
	return count;
}

/* The file is written by another process, so that this one never had the secret. */
static void test_no_copy_is_left(void **state)
{
	static const char secret[] = "never-in-a-core-0815";
	char inverted[sizeof(secret)], command[600], found[sizeof(secret)];
	struct conf_error *errors;
	struct conf_secrets *secrets;
	struct conf *conf;

	(void)state;
	file_write("", 0600);
	snprintf(command, sizeof(command),
		"printf 'yoke: 1\nusers:\n  - {name: host1, secret: never-in-%%s, peer_name: p, "
		"peer_secret: other-%%s}\n  - {name: host2, secret: another-%%s}\n' a-core-0815 "
		"secret secret >%s",
		path);
	assert_int_equal(system(command), 0);
	for (size_t i = 0; i < sizeof(secret); i++) {
		inverted[i] = (char)(secret[i] ? ~secret[i] : 0);
	}
	assert_int_equal(dumped_count(inverted), 1); /* `secret` above: they are found */
	conf = conf_make(path);
	secrets = conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, &errors);
	assert_non_null(secrets);
	assert_string_equal(secrets->users[0].secret, secret);
	assert_int_equal(dumped_count(inverted), 1);
	conf_secrets_free(secrets);
	assert_int_equal(dumped_count(inverted), 1);
	/* A copy on the heap would be noticed. */
	memcpy(found, secret, sizeof(found));
	assert_int_equal(dumped_count(inverted), 2);
	explicit_bzero(found, sizeof(found));
	unlink(path);
	conf_free(conf);
}

/* Threads may run meanwhile, and what is loaded twice is equal until the file changes. */
static void *spin(void *arg)
{
	while (!atomic_load((atomic_bool *)arg)) {
		free(malloc(100));
	}
	return NULL;
}

static void test_again_beside_threads(void **state)
{
	struct conf_error *errors;
	struct conf_secrets *first, *again, *changed;
	struct conf *conf;
	atomic_bool end = false;
	pthread_t thread;

	(void)state;
	file_write(USER PEER USER2, 0600);
	conf = conf_make(path);
	assert_int_equal(pthread_create(&thread, NULL, spin, &end), 0);
	first = conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, &errors);
	again = conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, &errors);
	assert_true(first && again);
	assert_true(conf_secrets_equal(first, again));
	assert_true(conf_secrets_equal(NULL, NULL));
	assert_false(conf_secrets_equal(first, NULL));
	assert_false(conf_secrets_equal(NULL, first));
	unlink(path);
	file_write("yoke: 1\nusers:\n  - {name: host1, secret: twelve-chars, peer_name: array, "
		   "peer_secret: other-secreT}\n" USER2,
		0600);
	conf_free(conf);
	conf = conf_make(path);
	changed = conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, &errors);
	assert_non_null(changed);
	assert_false(conf_secrets_equal(first, changed));
	atomic_store(&end, true);
	pthread_join(thread, NULL);
	unlink(path);
	conf_secrets_free(first);
	conf_secrets_free(again);
	conf_secrets_free(changed);
	conf_free(conf);
}

/* No descriptor and no process stays behind, whatever the file is like. */
static void test_nothing_stays(void **state)
{
	static const char *const texts[] = {USER PEER USER2, "x", USER};
	int before, after;

	(void)state;
	before = open("/dev/null", O_RDONLY);
	close(before);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct conf_error *errors;
		struct conf *conf;

		file_write(texts[i], 0600);
		conf = conf_make(path);
		conf_secrets_free(conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, &errors));
		conf_errors_free(errors);
		conf_free(conf);
		unlink(path);
	}
	after = open("/dev/null", O_RDONLY);
	close(after);
	assert_int_equal(before, after);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_load(void **state)
{
	struct conf_error *errors;
	struct conf_secrets *secrets;
	struct conf *conf;
	char flags[512];

	(void)state;
	file_write(USER PEER USER2, 0600);
	conf = conf_make(path);
	secrets = conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, &errors);
	unlink(path);
	assert_non_null(secrets);
	assert_null(errors);
	assert_int_equal(secrets->user_count, 2);
	assert_string_equal(secrets->users[0].secret, "twelve-chars");
	assert_string_equal(secrets->users[1].name, "host2");
	/* In no core file ("dd") and in no child ("dc"). */
	mapping_flags(secrets->users[0].secret, flags, sizeof(flags));
	assert_non_null(strstr(flags, " dd "));
	assert_non_null(strstr(flags, " dc "));
	conf_secrets_free(secrets);
	conf_free(conf);
}

static void test_file_refused(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *complaint;
	} rows[] = {
		{USER PEER USER2, 0640, "others than its owner have access (mode 0640); chmod 600"},
		{USER PEER USER2, 0604, "others than its owner have access (mode 0604); chmod 600"},
		{USER PEER USER2, 0620, "others than its owner have access (mode 0620); chmod 600"},
		{USER, 0600, "has no user \"host2\", whom discovery_users names"},
		{"x", 0600, "is not a mapping"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf_error *errors;
		struct conf *conf;

		file_write(rows[i].text, rows[i].mode);
		conf = conf_make(path);
		assert_null(conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, &errors));
		unlink(path);
		assert_non_null(errors);
		assert_non_null(strstr(errors->text, path));
		assert_non_null(strstr(errors->text, rows[i].complaint));
		conf_errors_free(errors);
		conf_free(conf);
	}
}

static void test_no_file(void **state)
{
	static const struct {
		const char *path, *complaint;
	} rows[] = {
		{"/nowhere/secrets.yaml", "cannot be read: No such file or directory; make it"},
		{"/dev/null", "is not a regular file"},
		{"/", "is not a regular file"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf *conf = conf_make(rows[i].path);
		struct conf_error *errors;

		assert_null(conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, &errors));
		assert_non_null(errors);
		assert_non_null(strstr(errors->text, rows[i].complaint));
		conf_errors_free(errors);
		conf_free(conf);
	}
}

/* As many users as the schema allows, with the longest values. */
static void test_many_users(void **state)
{
	struct conf_error *errors;
	struct conf_secrets *secrets;
	struct conf *conf;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	fputs(USER PEER USER2, f);
	for (unsigned i = 2; i < 3600; i++) {
		fprintf(f,
			"  - {name: user%0251u, secret: %0255u, peer_name: %0255u, peer_secret: "
			"x%0254u}\n",
			i, i, i, i);
	}
	fclose(f);
	file_write(text, 0600);
	conf = conf_make(path);
	secrets = conf_secrets_load(conf, CONF_SECRETS_PATIENT_MS, &errors);
	unlink(path);
	if (!secrets) {
		fail_msg("%s", errors->text);
	}
	assert_int_equal(secrets->user_count, 3600);
	assert_int_equal(strlen(secrets->users[3599].secret), 255);
	conf_secrets_free(secrets);
	conf_free(conf);
	free(text);
}

/* Who has no time to wait is told so, and nothing stays behind. */
static void test_too_long(void **state)
{
	struct conf_error *errors;
	struct conf *conf;

	(void)state;
	file_write(USER PEER USER2, 0600);
	conf = conf_make(path);
	assert_null(conf_secrets_load(conf, 0, &errors));
	assert_non_null(strstr(errors->text, "it takes too long"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	conf_errors_free(errors);
	conf_free(conf);
	unlink(path);
}

static void test_every_key_is_documented(void **state)
{
	cleanup_free char *page = conf_reference(true);

	(void)state;
	for (unsigned k = 0; k < conf_secrets_schema.key_count; k++) {
		const struct conf_section *section = conf_secrets_schema.keys[k].section;

		for (unsigned i = 0; section && i < section->key_count; i++) {
			char entry[80];

			snprintf(entry, sizeof(entry), "\\fB%s\\fR", section->keys[i].name);
			assert_non_null(strstr(page, entry));
		}
	}
	assert_non_null(strstr(page, ".SS secrets file"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_never_shown),
		cmocka_unit_test(test_nobody_named),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_no_copy_is_left),
		cmocka_unit_test(test_again_beside_threads),
		cmocka_unit_test(test_nothing_stays),
		cmocka_unit_test(test_file_refused),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_many_users),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_every_key_is_documented),
	};

	if (conf_secrets_reader(argc, argv)) {
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
