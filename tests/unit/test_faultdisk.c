/* SPDX-License-Identifier: BSD-3-Clause */
/* The fault disk without FUSE: reservations as SPC-4 5.13 has them, rules, and the log. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pr.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/faultdisk/disk.h"

#define BYTES 4096

static char directory[] = "faultdisk-test-XXXXXX";
static char path[64];
static struct disk disk;
static int a, b;

static struct disk_op ops[8];
static uint8_t data[8][BYTES];
static long results[8];
static unsigned dones;

static void done(struct disk_op *op, long res)
{
	results[op - ops] = res;
	dones++;
}

static int setup(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "%s/disk", directory);
	fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 65536), 0);
	close(fd);
	assert_int_equal(disk_open(&disk, directory), 0);
	disk.log = tmpfile();
	a = disk_nexus_get(&disk, "a");
	b = disk_nexus_get(&disk, "b");
	dones = 0;
	return 0;
}

static int teardown(void **state)
{
	disk_rules_clear(&disk);
	fclose(disk.log);
	disk_close(&disk);
	unlink(path);
	return 0;
}

/* Operation n: a write of a block of bytes `fill`. */
static void write_go(unsigned n, int nexus, uint64_t offset, uint8_t fill)
{
	memset(data[n], fill, BYTES);
	ops[n] = (struct disk_op){.kind = DISK_WRITE,
		.nexus = nexus,
		.offset_bytes = offset,
		.length_bytes = BYTES,
		.data = data[n],
		.done = done};
	disk_submit(&disk, &ops[n]);
}

static long ioctl_go(int nexus, unsigned long request, const void *argument, size_t size)
{
	ops[7] = (struct disk_op){
		.kind = DISK_IOCTL, .nexus = nexus, .request = request, .done = done};
	memcpy(ops[7].argument, argument, size);
	disk_submit(&disk, &ops[7]);
	return results[7];
}

static long reg(int nexus, uint64_t old, uint64_t new, uint32_t flags)
{
	struct pr_registration r = {.old_key = old, .new_key = new, .flags = flags};

	return ioctl_go(nexus, IOC_PR_REGISTER, &r, sizeof(r));
}

static long reserve(int nexus, uint64_t key, uint32_t type)
{
	struct pr_reservation r = {.key = key, .type = type};

	return ioctl_go(nexus, IOC_PR_RESERVE, &r, sizeof(r));
}

static long release(int nexus, uint64_t key)
{
	struct pr_reservation r = {.key = key, .type = PR_WRITE_EXCLUSIVE_REG_ONLY};

	return ioctl_go(nexus, IOC_PR_RELEASE, &r, sizeof(r));
}

static long preempt(int nexus, uint64_t old, uint64_t new)
{
	struct pr_preempt p = {.old_key = old, .new_key = new, .type = PR_WRITE_EXCLUSIVE_REG_ONLY};

	return ioctl_go(nexus, IOC_PR_PREEMPT, &p, sizeof(p));
}

static long clear(int nexus, uint64_t key)
{
	struct pr_clear c = {.key = key};

	return ioctl_go(nexus, IOC_PR_CLEAR, &c, sizeof(c));
}

static uint8_t byte_at(uint64_t offset)
{
	uint8_t byte;

	assert_int_equal(pread(disk.files[0].fd, &byte, 1, (off_t)offset), 1);
	return byte;
}

static void test_registering(void **state)
{
	assert_int_equal(reg(a, 0x99, 1, 0), DISK_CONFLICT); /* was not registered with that */
	assert_int_equal(reg(a, 0, 1, 0), 0);
	assert_int_equal(reg(a, 0, 2, 0), DISK_CONFLICT);
	assert_int_equal(reg(a, 1, 2, 0), 0);
	assert_int_equal(reg(a, 77, 3, PR_FL_IGNORE_KEY), 0);
	assert_int_equal(disk.files[0].pr.keys[a], 3);
}

static void test_write_exclusive_registrants_only(void **state)
{
	assert_int_equal(reserve(a, 1, PR_WRITE_EXCLUSIVE_REG_ONLY), DISK_CONFLICT);
	reg(a, 0, 1, 0);
	assert_int_equal(reserve(a, 1, PR_WRITE_EXCLUSIVE_ALL_REGS), -EOPNOTSUPP);
	assert_int_equal(reserve(a, 1, PR_WRITE_EXCLUSIVE_REG_ONLY), 0);
	assert_int_equal(reserve(a, 1, PR_WRITE_EXCLUSIVE_REG_ONLY), 0); /* again does no harm */
	write_go(0, b, 0, 1);
	assert_int_equal(results[0], -EBADE);
	assert_int_equal(byte_at(0), 0);
	reg(b, 0, 2, 0);
	assert_int_equal(reserve(b, 2, PR_WRITE_EXCLUSIVE_REG_ONLY), DISK_CONFLICT);
	write_go(0, b, 0, 1);
	assert_int_equal(results[0], 0);
	assert_int_equal(byte_at(0), 1);
	assert_int_equal(release(b, 2), 0); /* not the holder: nothing happens */
	assert_int_equal(disk.files[0].pr.holder, a);
	assert_int_equal(release(a, 2), DISK_CONFLICT);
	assert_int_equal(release(a, 1), 0);
	assert_int_equal(disk.files[0].pr.holder, DISK_ANY);
}

static void test_the_holder_unregisters(void **state)
{
	reg(a, 0, 1, 0);
	reserve(a, 1, PR_WRITE_EXCLUSIVE_REG_ONLY);
	assert_int_equal(reg(a, 1, 0, 0), 0);
	assert_int_equal(disk.files[0].pr.holder, DISK_ANY);
	write_go(0, b, 0, 1);
	assert_int_equal(results[0], 0);
}

static void test_preempting(void **state)
{
	reg(a, 0, 1, 0);
	reserve(a, 1, PR_WRITE_EXCLUSIVE_REG_ONLY);
	assert_int_equal(preempt(b, 1, 2), DISK_CONFLICT); /* not registered */
	reg(b, 0, 2, 0);
	assert_int_equal(preempt(b, 9, 2), DISK_CONFLICT); /* nobody has that key */
	assert_int_equal(preempt(b, 1, 2), 0);
	assert_int_equal(disk.files[0].pr.holder, b);
	assert_int_equal(disk.files[0].pr.keys[a], 0);
	write_go(0, a, 0, 1);
	assert_int_equal(results[0], -EBADE);
	assert_int_equal(clear(a, 1), DISK_CONFLICT);
	assert_int_equal(clear(b, 2), 0);
	write_go(0, a, 0, 1);
	assert_int_equal(results[0], 0);
	assert_int_equal(ioctl_go(a, 0x1234, "", 0), -ENOTTY);
}

/* The reason why this disk exists. */
static void test_a_held_write_meets_a_revoked_key(void **state)
{
	struct disk_rule hold = {.action = DISK_HOLD,
		.nexus = a,
		.file = DISK_ANY,
		.kinds = 1u << DISK_WRITE,
		.last_byte = UINT64_MAX};

	reg(a, 0, 1, 0);
	reserve(a, 1, PR_WRITE_EXCLUSIVE_REG_ONLY);
	assert_true(disk_rule_add(&disk, &hold));
	dones = 0;
	write_go(0, a, 0, 1);
	assert_int_equal(dones, 0);
	assert_int_equal(disk_waiting(&disk, a), 1);
	reg(b, 0, 2, 0);
	preempt(b, 1, 2);
	write_go(1, b, 0, 2);
	assert_int_equal(results[1], 0);
	assert_true(disk_rule_remove(&disk, hold.id));
	assert_int_equal(results[0], -EBADE);
	assert_int_equal(byte_at(0), 2);
	assert_int_equal(disk.refused, 1);
	assert_false(disk_rule_remove(&disk, hold.id));
}

/* Applied, and nobody is told: what a connection or a controller takes with it at its end. */
static void test_a_late_answer(void **state)
{
	struct disk_rule late = {.action = DISK_LATE,
		.nexus = a,
		.file = DISK_ANY,
		.kinds = 1u << DISK_WRITE,
		.last_byte = UINT64_MAX};

	assert_true(disk_rule_add(&disk, &late));
	dones = 0;
	write_go(0, a, 0, 1);
	assert_int_equal(byte_at(0), 1);
	assert_int_equal(dones, 0);
	assert_int_equal(disk_waiting(&disk, a), 1);
	write_go(1, b, 0, 2);
	assert_int_equal(dones, 1);
	assert_true(disk_rule_remove(&disk, late.id));
	assert_int_equal(dones, 2);
	assert_int_equal(results[0], 0);
	assert_int_equal(byte_at(0), 2); /* not applied again */
	assert_int_equal(disk.applied, 2);
}

static void test_rules(void **state)
{
	struct disk_rule rule = {.action = DISK_TORN,
		.nexus = DISK_ANY,
		.file = 0,
		.kinds = 1u << DISK_WRITE,
		.first_byte = 8192,
		.last_byte = 12287,
		.left = 1};

	assert_true(disk_rule_add(&disk, &rule));
	write_go(0, a, 4096, 1);
	assert_int_equal(results[0], 0);
	write_go(0, a, 8192, 1);
	assert_int_equal(results[0], -EIO);
	assert_int_equal(byte_at(8192), 1);
	assert_int_equal(byte_at(8192 + 2048), 0);
	write_go(0, a, 8192, 3);
	assert_int_equal(results[0], 0);
	rule.action = DISK_LOST;
	assert_true(disk_rule_add(&disk, &rule));
	write_go(0, a, 8192, 4);
	assert_int_equal(results[0], 0);
	assert_int_equal(byte_at(8192), 3);
	write_go(0, a, 65536, 1);
	assert_int_equal(results[0], -ENOSPC); /* behind the end */
	for (unsigned i = 0; i < DISK_RULES_MAX; i++) {
		disk_rule_add(&disk, &rule);
	}
	assert_false(disk_rule_add(&disk, &rule));
}

/* Slow ones come in the order of their time, and only then. */
static void test_slow(void **state)
{
	struct disk_rule slow = {.action = DISK_SLOW,
		.nexus = a,
		.file = DISK_ANY,
		.kinds = 1u << DISK_WRITE,
		.last_byte = UINT64_MAX,
		.delay_ms = 50};

	assert_true(disk_rule_add(&disk, &slow));
	disk.now_ms = 1000;
	dones = 0;
	write_go(0, a, 0, 1);
	disk.now_ms = 1020;
	write_go(1, a, 0, 2);
	assert_int_equal(disk_tick(&disk), 1050);
	assert_int_equal(dones, 0);
	disk.now_ms = 1050;
	assert_int_equal(disk_tick(&disk), 1070);
	assert_int_equal(dones, 1);
	assert_int_equal(byte_at(0), 1);
	disk.now_ms = 1070;
	assert_int_equal(disk_tick(&disk), 0);
	assert_int_equal(byte_at(0), 2);
}

static void test_the_log(void **state)
{
	char line[512];

	reg(a, 0, 0x1234, 0);
	write_go(0, a, 4096, 0x5a);
	rewind(disk.log);
	assert_non_null(fgets(line, sizeof(line), disk.log));
	assert_string_equal(line,
		"{\"n\":1,\"ms\":0,\"from\":\"a\",\"file\":\"disk\",\"op\":\"register\","
		"\"old\":\"0000000000000000\",\"key\":\"0000000000001234\"}\n");
	assert_non_null(fgets(line, sizeof(line), disk.log));
	assert_non_null(
		strstr(line, "\"op\":\"write\",\"key\":\"0000000000001234\",\"offset\":4096,"
			     "\"length\":4096,\"crc32c\":\""));
	assert_non_null(strstr(line, "\"waited\":false,\"result\":\"applied\"}\n"));
	assert_null(fgets(line, sizeof(line), disk.log));
}

static int group_setup(void **state)
{
	return mkdtemp(directory) ? 0 : -1;
}

static int group_teardown(void **state)
{
	return rmdir(directory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_registering),
		TEST(test_write_exclusive_registrants_only),
		TEST(test_the_holder_unregisters),
		TEST(test_preempting),
		TEST(test_a_held_write_meets_a_revoked_key),
		TEST(test_a_late_answer),
		TEST(test_rules),
		TEST(test_slow),
		TEST(test_the_log),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
