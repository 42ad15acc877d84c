// SPDX-License-Identifier: BSD-3-Clause
/* The write key against a disk that is played: two controllers, one reservation, SPC-4 5.13. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pr.h>
#include <poll.h>
#include <pthread.h>
#include <scsi/sg.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/store/extent.h"
#include "daemon/store/write_key.h"

#define CLUSTER 0xabcdefu

/* The disk: a registration for each of two I_T nexuses, one reservation. */
static struct disk {
	pthread_mutex_t lock;
	pthread_cond_t go;
	bool hang;
	unsigned sleepers;
	bool no_pr, no_read_ioctl, attention;
	int error; /* of every ioctl */
	uint64_t keys[3]; /* by controller */
	uint8_t holder; /* 0 = none */
	unsigned preempts, registers, reserves;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER};

static int conflict(void)
{
	return 0x18;
}

static int disk_register(uint8_t nexus, const struct pr_registration *reg)
{
	disk.registers++;
	if (!(reg->flags & PR_FL_IGNORE_KEY) && reg->old_key != disk.keys[nexus]) {
		return conflict();
	}
	disk.keys[nexus] = reg->new_key;
	if (!reg->new_key && disk.holder == nexus) {
		disk.holder = 0;
	}
	return 0;
}

static int disk_reserve(uint8_t nexus, const struct pr_reservation *r)
{
	assert_int_equal(r->type, PR_WRITE_EXCLUSIVE_REG_ONLY);
	disk.reserves++;
	if (disk.keys[nexus] != r->key || (disk.holder && disk.holder != nexus)) {
		return conflict();
	}
	disk.holder = nexus;
	return 0;
}

static int disk_preempt(uint8_t nexus, const struct pr_preempt *p)
{
	uint8_t other = nexus == 1 ? 2 : 1;

	assert_int_equal(p->type, PR_WRITE_EXCLUSIVE_REG_ONLY);
	disk.preempts++;
	if (disk.keys[nexus] != p->new_key || disk.keys[other] != p->old_key) {
		return conflict();
	}
	disk.keys[other] = 0;
	if (disk.holder == other || !disk.holder) {
		disk.holder = nexus;
	}
	return 0;
}

static int disk_sg(struct sg_io_hdr *hdr)
{
	static const uint8_t attention[] = {0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 3};
	uint8_t *data = hdr->dxferp;

	assert_int_equal(hdr->cmdp[0], 0x5e);
	assert_int_equal(hdr->cmdp[1], 1);
	if (disk.attention) {
		disk.attention = false;
		hdr->status = 2;
		hdr->driver_status = 8;
		memcpy(hdr->sbp, attention, sizeof(attention));
		hdr->sb_len_wr = sizeof(attention);
		return 0;
	}
	data[7] = disk.holder ? 16 : 0;
	hdr->resid = disk.holder ? 8 : 24;
	for (int i = 0; disk.holder && i < 8; i++) {
		data[8 + i] = (uint8_t)(disk.keys[disk.holder] >> (56 - 8 * i));
	}
	return 0;
}

static int disk_do(uint8_t nexus, unsigned long request, void *arg)
{
	if (disk.error) {
		errno = disk.error;
		return -1;
	}
	if (disk.no_pr || (disk.no_read_ioctl && request == WRITE_KEY_READ_RESERVATION)) {
		errno = ENOTTY;
		return -1;
	}
	switch (request) {
	case IOC_PR_REGISTER:
		return disk_register(nexus, arg);
	case IOC_PR_RESERVE:
		return disk_reserve(nexus, arg);
	case IOC_PR_PREEMPT_ABORT:
		return disk_preempt(nexus, arg);
	case WRITE_KEY_READ_RESERVATION:
		*(struct write_key_reservation *)arg = (struct write_key_reservation){
			.key = disk.holder ? disk.keys[disk.holder] : 0,
			.type = disk.holder ? PR_WRITE_EXCLUSIVE_REG_ONLY : 0,
		};
		return 0;
	case SG_IO:
		return disk_sg(arg);
	}
	errno = ENOTTY;
	return -1;
}

static int disk_ioctl(uint8_t nexus, unsigned long request, void *arg)
{
	int ret, err;

	pthread_mutex_lock(&disk.lock);
	disk.sleepers++;
	pthread_cond_broadcast(&disk.go);
	while (disk.hang) {
		pthread_cond_wait(&disk.go, &disk.lock);
	}
	disk.sleepers--;
	ret = disk_do(nexus, request, arg);
	err = errno;
	pthread_cond_broadcast(&disk.go);
	pthread_mutex_unlock(&disk.lock);
	errno = err;
	return ret;
}

static int ioctl_a(int fd, unsigned long request, void *arg)
{
	return disk_ioctl(1, request, arg);
}

static int ioctl_b(int fd, unsigned long request, void *arg)
{
	return disk_ioctl(2, request, arg);
}

static struct write_key *a, *b;
static int null_fd;

static void keys_new(enum extent_write_key_mode mode)
{
	a = write_key_new("disk", null_fd, CLUSTER, mode, ioctl_a);
	b = write_key_new("disk", null_fd, CLUSTER, mode, ioctl_b);
	assert_non_null(a);
	assert_non_null(b);
}

static int setup(void **state)
{
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	disk = (struct disk){.lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER};
	return 0;
}

static int teardown(void **state)
{
	write_key_free(a);
	write_key_free(b);
	a = b = NULL;
	close(null_fd);
	return 0;
}

/* Asks until there is an answer. */
static int take(struct write_key *key, uint8_t controller, uint64_t epoch)
{
	int err;

	while ((err = write_key_take(key, controller, epoch)) == -EAGAIN) {
		poll(NULL, 0, 1);
	}
	return err;
}

static void give(struct write_key *key, uint8_t controller)
{
	write_key_give(key);
	for (;;) {
		pthread_mutex_lock(&disk.lock);
		bool done = !disk.keys[controller];

		pthread_mutex_unlock(&disk.lock);
		if (done) {
			return;
		}
		poll(NULL, 0, 1);
	}
}

static enum extent_write_key settled(struct write_key *key)
{
	enum extent_write_key state;

	while ((state = write_key_state(key)) == EXTENT_WRITE_KEY_UNKNOWN) {
		poll(NULL, 0, 1);
	}
	return state;
}

static void test_the_key_is_cluster_controller_epoch(void **state)
{
	assert_int_equal(write_key_make(0x123456, 2, 0x789), 0x1234560200000789ull);
	assert_int_equal(write_key_make(0xff123456, 1, 0x5ffffffffull), 0x12345601ffffffffull);
	assert_int_not_equal(write_key_make(0, 1, 0), 0);
}

static void test_handover(void **state)
{
	keys_new(EXTENT_WRITE_KEY_AUTO);
	assert_int_equal(settled(a), EXTENT_WRITE_KEY_FREE);
	assert_int_equal(take(a, 1, 5), 0);
	assert_int_equal(disk.holder, 1);
	assert_int_equal(disk.keys[1], write_key_make(CLUSTER, 1, 5));
	assert_int_equal(write_key_state(a), EXTENT_WRITE_KEY_HELD);
	give(a, 1);
	assert_int_equal(disk.holder, 0);
	assert_int_equal(take(b, 2, 6), 0);
	assert_int_equal(disk.holder, 2);
	assert_int_equal(disk.keys[1], 0);
	assert_int_equal(disk.preempts, 0);
}

static void test_takeover_revokes(void **state)
{
	bool first;

	keys_new(EXTENT_WRITE_KEY_AUTO);
	assert_int_equal(take(a, 1, 5), 0);
	assert_int_equal(take(b, 2, 6), 0);
	assert_int_equal(disk.holder, 2);
	assert_int_equal(disk.keys[1], 0);
	assert_int_equal(disk.preempts, 1);
	/* A writes and is refused: it hears that once, and then is not the owner. */
	assert_true(write_key_lose(a, &first));
	assert_true(first);
	assert_true(write_key_lose(a, &first));
	assert_false(first);
	assert_true(write_key_is_lost(a));
	assert_int_equal(write_key_state(a), EXTENT_WRITE_KEY_LOST);
	give(a, 1);
	assert_false(write_key_is_lost(a));
	assert_int_equal(disk.holder, 2); /* what A gives up is not B's */
}

static void test_an_older_epoch_takes_nothing(void **state)
{
	keys_new(EXTENT_WRITE_KEY_AUTO);
	assert_int_equal(take(b, 2, 6), 0);
	assert_int_equal(take(a, 1, 5), -ESTALE);
	assert_int_equal(take(a, 1, 6), -ESTALE);
	assert_int_equal(disk.holder, 2);
	assert_int_equal(disk.keys[1], 0); /* not even registered: it could write */
	assert_int_equal(disk.preempts, 0);
	assert_int_equal(take(a, 1, 7), 0);
	assert_int_equal(disk.holder, 1);
}

static void test_epochs_wrap(void **state)
{
	bool first;

	keys_new(EXTENT_WRITE_KEY_AUTO);
	assert_int_equal(take(a, 1, 0xffffffffull), 0);
	assert_int_equal(take(b, 2, 0x100000002ull), 0);
	assert_int_equal(disk.holder, 2);
	assert_true(write_key_lose(a, &first));
	assert_int_equal(take(a, 1, 0xffffffffull), -ESTALE);
}

static void test_a_new_life_takes_its_own(void **state)
{
	keys_new(EXTENT_WRITE_KEY_AUTO);
	assert_int_equal(take(a, 1, 5), 0);
	write_key_free(a);
	a = write_key_new("disk", null_fd, CLUSTER, EXTENT_WRITE_KEY_AUTO, ioctl_a);
	assert_int_equal(take(a, 1, 3), 0); /* the same nexus: the epoch need not have grown */
	assert_int_equal(disk.holder, 1);
	assert_int_equal(disk.keys[1], write_key_make(CLUSTER, 1, 3));
}

static void test_strangers_are_left_alone(void **state)
{
	keys_new(EXTENT_WRITE_KEY_AUTO);
	disk.keys[2] = 0x1234;
	disk.holder = 2;
	assert_int_equal(take(a, 1, 5), -EBUSY);
	assert_int_equal(disk.holder, 2);
	assert_int_equal(disk.keys[1], 0);
}

static void test_without_reservations(void **state)
{
	bool first;

	disk.no_pr = true;
	keys_new(EXTENT_WRITE_KEY_AUTO);
	assert_int_equal(settled(a), EXTENT_WRITE_KEY_NONE);
	assert_int_equal(take(a, 1, 5), 0);
	assert_int_equal(write_key_state(a), EXTENT_WRITE_KEY_NONE);
	assert_false(write_key_lose(a, &first)); /* somebody else's conflict */
	write_key_give(a);
	write_key_free(a);
	a = write_key_new("disk", null_fd, CLUSTER, EXTENT_WRITE_KEY_REQUIRED, ioctl_a);
	assert_int_equal(take(a, 1, 5), -EOPNOTSUPP);
}

/* Kernels before 7.0: the holder is read with PERSISTENT RESERVE IN. */
static void test_scsi_without_the_ioctl(void **state)
{
	disk.no_read_ioctl = true;
	keys_new(EXTENT_WRITE_KEY_AUTO);
	disk.attention = true;
	assert_int_equal(take(a, 1, 5), 0);
	assert_int_equal(take(b, 2, 6), 0);
	assert_int_equal(disk.holder, 2);
	assert_int_equal(disk.preempts, 1);
	assert_int_equal(take(a, 1, 4), -ESTALE);
}

static void test_an_error_is_told_and_tried_again(void **state)
{
	keys_new(EXTENT_WRITE_KEY_AUTO);
	settled(a);
	disk.error = EIO;
	assert_int_equal(take(a, 1, 5), -EIO);
	disk.error = 0;
	assert_int_equal(take(a, 1, 5), 0);
}

static void test_a_hung_disk_blocks_nobody(void **state)
{
	keys_new(EXTENT_WRITE_KEY_AUTO);
	settled(a);
	settled(b);
	disk.hang = true;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(write_key_take(a, 1, 5), -EAGAIN);
	}
	write_key_give(a); /* the claim is given up while its ioctl hangs */
	pthread_mutex_lock(&disk.lock);
	disk.hang = false;
	pthread_cond_broadcast(&disk.go);
	pthread_mutex_unlock(&disk.lock);
	while (write_key_take(a, 1, 6) == -EAGAIN) {
		poll(NULL, 0, 1);
	}
	assert_int_equal(disk.keys[1], write_key_make(CLUSTER, 1, 6));
	/* Freed while it hangs: the thread frees it, later. Under the sanitizer nothing leaks. */
	disk.hang = true;
	assert_int_equal(write_key_take(b, 2, 7), -EAGAIN);
	pthread_mutex_lock(&disk.lock);
	while (!disk.sleepers) {
		pthread_cond_wait(&disk.go, &disk.lock);
	}
	pthread_mutex_unlock(&disk.lock);
	write_key_free(b);
	b = NULL;
	pthread_mutex_lock(&disk.lock);
	disk.hang = false;
	pthread_cond_broadcast(&disk.go);
	while (disk.holder != 2) {
		pthread_cond_wait(&disk.go, &disk.lock);
	}
	pthread_mutex_unlock(&disk.lock);
}

/* What is given up while it is being taken is not left behind on the disk. */
static void test_given_up_while_taken(void **state)
{
	keys_new(EXTENT_WRITE_KEY_AUTO);
	settled(a);
	disk.hang = true;
	assert_int_equal(write_key_take(a, 1, 5), -EAGAIN);
	write_key_give(a);
	pthread_mutex_lock(&disk.lock);
	disk.hang = false;
	pthread_cond_broadcast(&disk.go);
	while (disk.registers < 2 || disk.keys[1] || disk.holder) {
		pthread_cond_wait(&disk.go, &disk.lock);
	}
	pthread_mutex_unlock(&disk.lock);
	assert_int_equal(take(b, 2, 6), 0);
	assert_int_equal(disk.preempts, 0);
}

/* An extent on a file: no reservations there, and writes that fail for one are plain errors. */
static int io_result;

static void io_done(struct extent_io *io, int res)
{
	io_result = res;
}

static void test_extent(void **state)
{
	char path[] = "write-key-test-XXXXXX", error[256];
	int fd = mkstemp(path);
	struct extent_config config = {.name = "disk",
		.type = EXTENT_FILE,
		.path = path,
		.size_bytes = 1 << 20,
		.block_size = 4096,
		.clustered = true,
		.cluster_id = CLUSTER};
	struct extent *extent = extent_open(&config, error, sizeof(error));
	struct extent_io io = {.extent = extent, .done = io_done};
	int err;

	assert_non_null(extent);
	while ((err = extent_claim(extent, 1, 5)) == -EAGAIN) {
		poll(NULL, 0, 1);
	}
	assert_int_equal(err, 0);
	assert_int_equal(extent_write_key(extent), EXTENT_WRITE_KEY_NONE);
	extent_io_end(&io, -EBADE);
	assert_int_equal(io_result, -EIO);
	assert_int_equal(extent_check(extent), 0);
	/* The same with a disk that has them. */
	write_key_free(extent->key);
	extent->key = write_key_new("disk", extent->fd, CLUSTER, EXTENT_WRITE_KEY_AUTO, ioctl_a);
	while ((err = extent_claim(extent, 1, 5)) == -EAGAIN) {
		poll(NULL, 0, 1);
	}
	assert_int_equal(err, 0);
	assert_int_equal(extent_write_key(extent), EXTENT_WRITE_KEY_HELD);
	extent_io_end(&io, -EBADE);
	assert_int_equal(io_result, -EBADE);
	assert_int_equal(extent_check(extent), -EBADE);
	assert_int_equal(extent_write_key(extent), EXTENT_WRITE_KEY_LOST);
	extent_release(extent);
	assert_int_equal(extent_check(extent), 0);
	extent_close(extent);
	close(fd);
	unlink(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_key_is_cluster_controller_epoch),
		TEST(test_handover),
		TEST(test_takeover_revokes),
		TEST(test_an_older_epoch_takes_nothing),
		TEST(test_epochs_wrap),
		TEST(test_a_new_life_takes_its_own),
		TEST(test_strangers_are_left_alone),
		TEST(test_without_reservations),
		TEST(test_scsi_without_the_ioctl),
		TEST(test_an_error_is_told_and_tried_again),
		TEST(test_a_hung_disk_blocks_nobody),
		TEST(test_given_up_while_taken),
		TEST(test_extent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
