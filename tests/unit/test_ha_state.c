/* SPDX-License-Identifier: BSD-3-Clause */
/* The durable state: golden bytes, every torn or changed byte refused, foreign files, the writer.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ha/state.h"
#include "yoke/crc32c.h"
#include "yoke/cursor.h"

static struct state a, b;
static uint8_t bytes[STATE_BYTES_MAX];
static char dir[64], error[512];

static void sample(void)
{
	memset(&a, 0, sizeof(a));
	snprintf(a.cluster, sizeof(a.cluster), "lab");
	a.controller = 2;
	a.group_count = 2;
	a.groups[0] = (struct state_group){
		.name = "g1", .epoch = 5, .top = 6, .owner = 1, .preferred = 2};
	a.groups[1] = (struct state_group){.name = "a group", .top = 65537};
}

static void test_golden(void **state)
{
	static const uint8_t golden[] = {
		/* clang-format off */
		'Y', 'K', 'S', 'T', 0, 1, 0, 1, 0, 3, 'l', 'a', 'b', 2, 0, 2,
		0, 2, 'g', '1', 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 1, 2,
		0, 7, 'a', ' ', 'g', 'r', 'o', 'u', 'p',
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0,
		/* clang-format on */
	};
	int length;

	sample();
	length = state_encode(&a, bytes, sizeof(bytes));
	assert_int_equal(length, sizeof(golden) + 4);
	assert_memory_equal(bytes, golden, sizeof(golden));
	assert_int_equal(crc32c_get(bytes + sizeof(golden)), crc32c(golden, sizeof(golden)));
	assert_int_equal(state_decode(bytes, (size_t)length, &b, error, sizeof(error)), 0);
	assert_memory_equal(&a, &b, sizeof(a));
}

static void test_torn(void **state)
{
	int length;

	sample();
	length = state_encode(&a, bytes, sizeof(bytes));
	for (int n = 0; n < length; n++) {
		assert_int_equal(
			state_decode(bytes, (size_t)n, &b, error, sizeof(error)), -EBADMSG);
		assert_int_equal(state_encode(&a, bytes, (size_t)n), -EMSGSIZE);
		state_encode(&a, bytes, sizeof(bytes));
	}
	for (int n = 0; n < length; n++) {
		bytes[n] ^= 0x10;
		assert_int_equal(
			state_decode(bytes, (size_t)length, &b, error, sizeof(error)), -EBADMSG);
		bytes[n] ^= 0x10;
	}
}

/* A good checksum over bad contents. */
static void refused(int length, size_t at, uint8_t value)
{
	bytes[at] = value;
	crc32c_put(bytes + length - 4, crc32c(bytes, (size_t)length - 4));
	assert_int_equal(state_decode(bytes, (size_t)length, &b, error, sizeof(error)), -EBADMSG);
	assert_true(strlen(error) > 10);
	state_encode(&a, bytes, sizeof(bytes));
}

static void test_malformed(void **state)
{
	int length;

	sample();
	length = state_encode(&a, bytes, sizeof(bytes));
	refused(length, 7, 2); /* a format of the future */
	assert_non_null(strstr(error, "newer"));
	refused(length, 14, 0xff); /* too many groups */
	refused(length, 15, 1); /* bytes left over */
	refused(length, 36, 3); /* owner */
	refused(length, 37, 3); /* preferred */
	refused(length, 20, 1); /* epoch above top */
	refused(length, 16, 0xff); /* a name that is too long */
	refused(length, 18, 0); /* a NUL in it */
}

static void test_file(void **state)
{
	char path[128];
	int length;

	sample();
	assert_int_equal(state_load(dir, "lab", 2, &b, error, sizeof(error)), 0);
	assert_int_equal(b.group_count, 0); /* none yet */
	length = state_encode(&a, bytes, sizeof(bytes));
	assert_int_equal(state_store(dir, bytes, (size_t)length), 0);
	assert_int_equal(state_load(dir, "lab", 2, &b, error, sizeof(error)), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(state_load(dir, "lab", 1, &b, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "controller 2"));
	assert_int_equal(state_load(dir, "other", 2, &b, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "\"lab\""));
	assert_int_equal(state_store(dir, bytes, (size_t)length - 1), 0); /* torn */
	assert_int_equal(state_load(dir, "lab", 2, &b, error, sizeof(error)), -EBADMSG);
	assert_non_null(strstr(error, "checksum"));
	assert_int_equal(state_store("/nonexistent", bytes, (size_t)length), -ENOENT);
	snprintf(path, sizeof(path), "%s/groups.state", dir);
	unlink(path);
}

static uint64_t told;
static int told_err;

static void saved(void *arg, uint64_t seq, int err)
{
	assert_ptr_equal(arg, &told);
	told = seq;
	told_err = err;
}

/* Waits for mail, at most 5 s; the writer's answer comes through the mailbox and nowhere else. */
static void wait_for(struct mailbox *mb, uint64_t seq)
{
	while (told < seq) {
		struct pollfd fd = {.fd = mb->fd, .events = POLLIN};

		if (mailbox_sleep(mb)) {
			assert_int_equal(poll(&fd, 1, 5000), 1);
		}
		mailbox_awake(mb);
		mailbox_run(mb);
	}
}

static void test_writer(void **state)
{
	struct mailbox mb;
	struct state_writer *w;
	char path[128];

	assert_int_equal(mailbox_open(&mb), 0);
	w = state_writer_new(dir, &mb, saved, &told);
	assert_non_null(w);
	sample();
	for (uint64_t seq = 1; seq <= 50; seq++) {
		a.groups[0].top = 100 + seq;
		state_writer_put(w, &a, seq);
	}
	wait_for(&mb, 50);
	assert_int_equal(told_err, 0);
	assert_int_equal(state_load(dir, "lab", 2, &b, error, sizeof(error)), 0);
	assert_int_equal(b.groups[0].top, 150);
	/* The directory goes away: an error, and later ones are told as well. */
	snprintf(path, sizeof(path), "%s/groups.state", dir);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	state_writer_put(w, &a, 51);
	wait_for(&mb, 51);
	assert_int_equal(told_err, -ENOENT);
	assert_int_equal(mkdir(dir, 0700), 0);
	state_writer_put(w, &a, 52);
	wait_for(&mb, 52);
	assert_int_equal(told_err, 0);
	state_writer_put(w, &a, 53); /* written before the end, told to nobody */
	state_writer_free(w);
	assert_int_equal(told, 52);
	assert_int_equal(state_load(dir, "lab", 2, &b, error, sizeof(error)), 0);
	mailbox_close(&mb);
	unlink(path);
}

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/yoke-state-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_writer),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
