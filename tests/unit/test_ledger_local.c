/* SPDX-License-Identifier: BSD-3-Clause */
/* The ledger of a target without a cluster, on a real directory and in a real loop. */
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/ledger_local.h"
#include "fake_ledger.h"

#define LIMIT_NS (60 * QB_TIME_NS_IN_SEC) /* only a hang takes that long */

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);
static int no_space;

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
	(void)fd;
	(void)mode;
	(void)offset;
	(void)length;
	errno = no_space;
	return no_space ? -1 : 0;
}

/* The disk hangs until somebody lets it go. */
static atomic_bool hangs;
static sem_t go_on;
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
	if (hangs) {
		sem_wait(&go_on);
	}
	return __real_fdatasync(fd);
}

/* The ledger's clock goes faster than that of the loop. */
uint64_t __wrap_qb_util_nano_current_get(void);

uint64_t __wrap_qb_util_nano_current_get(void)
{
	static uint64_t now_ms;

	now_ms += JOURNAL_HANGS_MS;
	return now_ms * QB_TIME_NS_IN_MSEC;
}

static char dir[] = "/tmp/yoke-ledger-XXXXXX";

struct rig {
	struct conf conf;
	struct fake_ledger scsi;
	struct mailbox control;
	qb_loop_t *loop;
	struct ledger_local *l;
	const struct ledger *ops;
	unsigned done, failed;
	uint32_t result;
	bool (*until)(struct rig *rig);
};

static int on_mail(int32_t fd, int32_t revents, void *data)
{
	struct rig *rig = data;

	(void)fd;
	(void)revents;
	do {
		mailbox_awake(&rig->control);
		mailbox_run(&rig->control);
	} while (!mailbox_sleep(&rig->control));
	if (rig->until && rig->until(rig)) {
		qb_loop_stop(rig->loop);
	}
	return 0;
}

static void on_limit(void *data)
{
	fail_msg("nothing came");
}

static void rig_run(struct rig *rig, bool (*until)(struct rig *rig))
{
	qb_loop_timer_handle limit;

	rig->until = until;
	qb_loop_timer_add(rig->loop, QB_LOOP_LOW, LIMIT_NS, rig, on_limit, &limit);
	on_mail(0, 0, rig);
	if (!until(rig)) {
		qb_loop_run(rig->loop);
	}
	qb_loop_timer_del(rig->loop, limit);
}

static void rig_open(struct rig *rig)
{
	struct ledger_local_setup setup;
	char error[512];

	*rig = (struct rig){.conf = {.state_dir = dir}};
	fake_ledger_init(&rig->scsi);
	assert_int_equal(mailbox_open(&rig->control), 0);
	rig->loop = qb_loop_create();
	qb_loop_poll_add(rig->loop, QB_LOOP_HIGH, rig->control.fd, POLLIN, rig, on_mail);
	setup = (struct ledger_local_setup){.conf = &rig->conf,
		.controller = 1,
		.control = &rig->control,
		.loop = rig->loop,
		.serve = &rig->scsi.serve};
	rig->l = ledger_local_new(&setup, error, sizeof(error));
	assert_non_null(rig->l);
	rig->ops = ledger_local_ops(rig->l);
}

static void rig_close(struct rig *rig)
{
	ledger_local_free(rig->l);
	qb_loop_poll_del(rig->loop, rig->control.fd);
	mailbox_close(&rig->control);
	qb_loop_destroy(rig->loop);
}

static void on_done(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	struct rig *rig = arg;

	rig->done += outcome == LEDGER_DONE;
	rig->failed += outcome == LEDGER_FAILED;
	rig->result = result;
}

static void submit(struct rig *rig, const char *text)
{
	struct ledger_entry entry = {
		.epoch = 1, .bytes = (const uint8_t *)text, .length = strlen(text)};

	memcpy(entry.lu, fake_ledger_lu(0), 16);
	rig->ops->submit(rig->ops->ctx, &entry, on_done, rig);
}

static bool all_is_done(struct rig *rig)
{
	struct ledger_status status;

	ledger_local_status(rig->l, &status);
	return status.pending == 0;
}

static bool is_durable(struct rig *rig)
{
	struct ledger_status status;

	ledger_local_status(rig->l, &status);
	return status.acknowledged[1] == status.index;
}

static bool is_failing(struct rig *rig)
{
	struct ledger_status status;

	ledger_local_status(rig->l, &status);
	return status.journal_error != 0;
}

static bool is_well(struct rig *rig)
{
	return !is_failing(rig);
}

/* Done when it is published and on the disk; the next life has what lasts. */
static void test_done(void **state)
{
	struct rig rig, next;

	rig_open(&rig);
	rig.scsi.hold = true;
	submit(&rig, "one");
	submit(&rig, "volatile");
	rig_run(&rig, is_durable);
	assert_int_equal(rig.done, 0);
	assert_true(fake_ledger_publish(&rig.scsi));
	assert_int_equal(rig.done, 1);
	assert_int_equal(rig.result, 1);
	assert_true(fake_ledger_publish(&rig.scsi));
	rig_run(&rig, all_is_done);
	assert_int_equal(rig.done, 2);
	rig_close(&rig);

	rig_open(&next);
	assert_int_equal(next.scsi.lus[0].count, 1);
	assert_int_equal(next.scsi.lus[0].volatile_count, 0);
	submit(&next, "two");
	rig_run(&next, all_is_done);
	rig_close(&next);
	rig_open(&rig); /* what came after that start happened to what was left then */
	assert_int_equal(rig.scsi.lus[0].count, 2);
	assert_int_equal(rig.scsi.lus[0].hash, next.scsi.lus[0].hash);
	rig_close(&rig);
}

/* No space: refused at once, nothing is applied; by itself it is well again. */
static void test_full(void **state)
{
	static char big[LEDGER_ENTRY_BYTES_MAX];
	struct rig rig;
	unsigned count = 0;

	memset(big, 'x', sizeof(big) - 1);
	rig_open(&rig);
	rig_run(&rig, is_durable);
	no_space = ENOSPC;
	while (!is_failing(&rig)) {
		submit(&rig, big);
		count++;
		rig_run(&rig, all_is_done);
		assert_true(count < 20);
	}
	assert_int_equal(rig.done, count); /* those under way had their room */
	submit(&rig, "refused");
	assert_int_equal(rig.failed, 1);
	assert_int_equal(rig.scsi.lus[0].last, 'x');
	no_space = 0;
	rig_run(&rig, is_well);
	submit(&rig, "taken");
	rig_run(&rig, all_is_done);
	assert_int_equal(rig.done, count + 1);
	rig_close(&rig);
}

/* A disk that hangs: what is under way waits, what comes is refused; it ends by itself. */
static void test_hangs(void **state)
{
	struct ledger_status status;
	struct rig rig, next;

	rig_open(&rig);
	rig_run(&rig, is_durable);
	hangs = true;
	submit(&rig, "under way");
	rig_run(&rig, is_failing);
	ledger_local_status(rig.l, &status);
	assert_int_equal(status.journal_error, JOURNAL_HANGS);
	assert_int_equal(rig.done, 0);
	submit(&rig, "refused");
	assert_int_equal(rig.failed, 1);
	hangs = false;
	sem_post(&go_on);
	rig_run(&rig, is_well);
	rig_run(&rig, all_is_done);
	assert_int_equal(rig.done, 1);
	rig_close(&rig);
	rig_open(&next);
	assert_int_equal(next.scsi.lus[0].count, 1);
	rig_close(&next);
}

static int clean(void **state)
{
	char path[128];

	no_space = 0;
	snprintf(path, sizeof(path), "%s/%s", dir, JOURNAL_FILE);
	unlink(path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_done, clean, clean),
		cmocka_unit_test_setup_teardown(test_full, clean, clean),
		cmocka_unit_test_setup_teardown(test_hangs, clean, clean),
	};
	int failed;

	sem_init(&go_on, 0, 0);
	if (!mkdtemp(dir)) {
		return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
