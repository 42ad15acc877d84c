// SPDX-License-Identifier: BSD-3-Clause
/*
 * I/O through the ring, against a script instead of the kernel: what is submitted, and what comes
 * of short transfers, interruptions, the end of the file and operations that are not supported.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../daemon/store/extent.h"

/* The ring: one entry, kept until the test answers it. */
static struct {
	struct io_uring_sqe sqe;
	struct reactor_io *io;
	unsigned submitted;
	bool broken;
} ring;

struct io_uring_sqe *reactor_io_sqe(struct reactor *r)
{
	return ring.broken ? NULL : &ring.sqe;
}

void reactor_io_submit(struct reactor *r, struct io_uring_sqe *sqe, struct reactor_io *io)
{
	assert_null(ring.io);
	ring.io = io;
	ring.submitted++;
}

static void answer(int res)
{
	struct reactor_io *io = ring.io;

	assert_non_null(io);
	ring.io = NULL;
	io->done(io, res);
}

static int pin_number = -1; /* what the ring knows of a buffer */

int buf_pin(struct buf *buf)
{
	return pin_number;
}

static struct {
	unsigned calls;
	int res;
} ended;

static void io_done(struct extent_io *io, int res)
{
	ended.calls++;
	ended.res = res;
}

static void assert_ended(int res)
{
	assert_null(ring.io);
	assert_int_equal(ended.calls, 1);
	assert_int_equal(ended.res, res);
}

#define EXPECT_SQE(op, at, length)                      \
	do {                                            \
		assert_non_null(ring.io);               \
		assert_int_equal(ring.sqe.opcode, op);  \
		assert_int_equal(ring.sqe.fd, 77);      \
		assert_int_equal(ring.sqe.off, at);     \
		assert_int_equal(ring.sqe.len, length); \
	} while (0)

static unsigned char memory[8192];
static struct iovec iov[2];

/* A clustered file of 1 MiB, direct and write-through, that does not exist. */
static struct extent extent_make(void)
{
	return (struct extent){
		.ops = &extent_fd_ops,
		.config = {.name = "x",
			.type = EXTENT_FILE,
			.path = "/x",
			.block_size = 512,
			.clustered = true},
		.limit_bytes = 1 << 20,
		.info = {.size_bytes = 1 << 20,
			.direct = true,
			.unmap = true,
			.unmap_granularity_bytes = 4096},
		.fd = 77,
	};
}

static struct extent_io io_make(enum extent_op op, uint64_t offset, uint64_t length)
{
	ring.io = NULL;
	ring.submitted = 0;
	ring.broken = false;
	ended.calls = 0;
	memset(&ring.sqe, 0, sizeof(ring.sqe));
	iov[0] = (struct iovec){memory, 4096};
	iov[1] = (struct iovec){memory + 4096, 4096};
	return (struct extent_io){.op = op,
		.offset_bytes = offset,
		.length_bytes = length,
		.iov = iov,
		.iov_count = 2,
		.done = io_done};
}

static void test_short_transfers_continue(void **state)
{
	static const struct {
		enum extent_op op;
		int opcode;
	} rows[] = {{EXTENT_READ, IORING_OP_READV}, {EXTENT_WRITE, IORING_OP_WRITEV}};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct extent extent = extent_make();
		struct extent_io io = io_make(rows[i].op, 65536, 8192);

		extent_submit(&extent, NULL, &io);
		EXPECT_SQE(rows[i].opcode, 65536, 2);
		answer(512);
		EXPECT_SQE(rows[i].opcode, 65536 + 512, 2);
		assert_ptr_equal(io.iov[0].iov_base, memory + 512);
		answer(4096); /* over the seam of the two pieces */
		EXPECT_SQE(rows[i].opcode, 65536 + 4608, 1);
		assert_ptr_equal(io.iov[0].iov_base, memory + 4608);
		assert_int_equal(io.iov[0].iov_len, 8192 - 4608);
		answer(8192 - 4608);
		assert_ended(0);
	}
}

/* Memory that the ring has pinned: by its number, with the flags of a write, in pieces too. */
static void test_pinned_memory_goes_by_its_number(void **state)
{
	struct extent extent = extent_make();
	struct buf buf = {.data = memory, .size = sizeof(memory)};
	struct extent_io io = io_make(EXTENT_WRITE, 65536, 4096);

	extent.info.volatile_cache = true;
	pin_number = 5;
	io.buf = &buf;
	io.iov_count = 1;
	io.fua = true;
	extent_submit(&extent, NULL, &io);
	EXPECT_SQE(IORING_OP_WRITE_FIXED, 65536, 4096);
	assert_int_equal(ring.sqe.buf_index, 5);
	assert_int_equal(ring.sqe.addr, (uintptr_t)memory);
	assert_int_equal(ring.sqe.rw_flags, RWF_DSYNC);
	answer(512);
	EXPECT_SQE(IORING_OP_WRITE_FIXED, 65536 + 512, 4096 - 512);
	assert_int_equal(ring.sqe.addr, (uintptr_t)memory + 512);
	answer(4096 - 512);
	assert_ended(0);

	io = io_make(EXTENT_READ, 0, 4096);
	io.buf = &buf;
	io.iov_count = 1;
	extent_submit(&extent, NULL, &io);
	EXPECT_SQE(IORING_OP_READ_FIXED, 0, 4096);
	answer(4096);
	assert_ended(0);

	/* Through the page cache there is nothing to pin. */
	extent.info.direct = false;
	io = io_make(EXTENT_READ, 0, 4096);
	io.buf = &buf;
	io.iov_count = 1;
	extent_submit(&extent, NULL, &io);
	EXPECT_SQE(IORING_OP_READV, 0, 1);
	answer(4096);
	assert_ended(0);
	pin_number = -1;
}

static void test_interruptions_are_retried_and_bounded(void **state)
{
	struct extent extent = extent_make();
	struct extent_io io = io_make(EXTENT_READ, 0, 8192);

	extent_submit(&extent, NULL, &io);
	answer(-EINTR);
	answer(-EAGAIN);
	EXPECT_SQE(IORING_OP_READV, 0, 2);
	answer(8192);
	assert_ended(0);

	io = io_make(EXTENT_READ, 0, 8192);
	extent_submit(&extent, NULL, &io);
	for (unsigned i = 0; i < 1000 && ring.io; i++) {
		answer(-EAGAIN);
	}
	assert_ended(-EAGAIN);
	assert_in_range(ring.submitted, 10, 200);
}

static void test_end_of_file_is_an_error(void **state)
{
	struct extent extent = extent_make();
	struct extent_io io = io_make(EXTENT_READ, 0, 8192);

	extent_submit(&extent, NULL, &io);
	answer(4096);
	answer(0);
	assert_ended(-EIO);
}

static void test_failures_reach_the_caller(void **state)
{
	static const enum extent_op ops[] = {
		EXTENT_READ, EXTENT_WRITE, EXTENT_FLUSH, EXTENT_UNMAP, EXTENT_WRITE_ZEROES};
	static const int errors[] = {-EIO, -ENOSPC, -ENODEV};

	for (unsigned o = 0; o < ARRAY_SIZE(ops); o++) {
		for (unsigned e = 0; e < ARRAY_SIZE(errors); e++) {
			struct extent extent = extent_make();
			struct extent_io io = io_make(ops[o], 4096, 8192);

			extent_submit(&extent, NULL, &io);
			answer(errors[e]);
			assert_ended(errors[e]);
		}
	}
}

static void test_a_broken_ring_fails_the_io(void **state)
{
	static const enum extent_op ops[] = {
		EXTENT_READ, EXTENT_WRITE, EXTENT_FLUSH, EXTENT_UNMAP, EXTENT_WRITE_ZEROES};

	for (unsigned o = 0; o < ARRAY_SIZE(ops); o++) {
		struct extent extent = extent_make();
		struct extent_io io = io_make(ops[o], 4096, 8192);

		ring.broken = true;
		extent_submit(&extent, NULL, &io);
		assert_ended(-EIO);
	}
}

static void test_fua_where_there_is_a_cache(void **state)
{
	struct extent extent = extent_make();
	struct extent_io io = io_make(EXTENT_WRITE, 0, 8192);

	io.fua = true;
	extent_submit(&extent, NULL, &io);
	assert_int_equal(ring.sqe.rw_flags, 0); /* opened with O_DSYNC: every write is */

	extent.info.volatile_cache = true;
	io = io_make(EXTENT_WRITE, 0, 8192);
	io.fua = true;
	extent_submit(&extent, NULL, &io);
	assert_int_equal(ring.sqe.rw_flags, RWF_DSYNC);
	answer(4096);
	assert_int_equal(ring.sqe.rw_flags, RWF_DSYNC);

	io = io_make(EXTENT_WRITE, 0, 8192);
	extent_submit(&extent, NULL, &io);
	assert_int_equal(ring.sqe.rw_flags, 0);
}

static void test_flush_is_fdatasync(void **state)
{
	struct extent extent = extent_make();
	struct extent_io io = io_make(EXTENT_FLUSH, 0, 0);

	extent_submit(&extent, NULL, &io);
	EXPECT_SQE(IORING_OP_FSYNC, 0, 0);
	assert_int_equal(ring.sqe.fsync_flags, IORING_FSYNC_DATASYNC);
	assert_int_equal(ended.calls, 0);
	answer(0);
	assert_ended(0);
}

/* io_uring has the length of fallocate() in addr and its mode in len. */
static void test_unmap_is_durable_where_writes_are(void **state)
{
	struct extent extent = extent_make();
	struct extent_io io = io_make(EXTENT_UNMAP, 4096, 8192);

	extent.sync_unmap = true;
	extent_submit(&extent, NULL, &io);
	EXPECT_SQE(IORING_OP_FALLOCATE, 4096, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	assert_int_equal(ring.sqe.addr, 8192);
	answer(0);
	assert_int_equal(ended.calls, 0);
	EXPECT_SQE(IORING_OP_FSYNC, 0, 0);
	answer(0);
	assert_ended(0);

	extent.sync_unmap = false;
	io = io_make(EXTENT_UNMAP, 4096, 8192);
	extent_submit(&extent, NULL, &io);
	answer(0);
	assert_ended(0);

	extent.info.unmap = false;
	io = io_make(EXTENT_UNMAP, 4096, 8192);
	extent_submit(&extent, NULL, &io);
	assert_int_equal(ring.submitted, 0);
	assert_ended(-EOPNOTSUPP);
}

static void test_write_zeroes_falls_back_to_writing(void **state)
{
	uint64_t length = (1 << 20) - 65536 + 512, at = 512;
	struct extent extent = extent_make();
	struct extent_io io = io_make(EXTENT_WRITE_ZEROES, at, length);

	extent_submit(&extent, NULL, &io);
	EXPECT_SQE(IORING_OP_FALLOCATE, at, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	answer(-EOPNOTSUPP);
	EXPECT_SQE(IORING_OP_WRITEV, at, 15);
	answer(65536); /* short */
	EXPECT_SQE(IORING_OP_WRITEV, at + 65536, 14);
	answer(14 * 65536);
	EXPECT_SQE(IORING_OP_WRITE, at + 15 * 65536, 512);
	answer(512);
	assert_ended(0);

	/* It is not asked for again. */
	io = io_make(EXTENT_WRITE_ZEROES, at, 512);
	extent_submit(&extent, NULL, &io);
	EXPECT_SQE(IORING_OP_WRITE, at, 512);
	answer(0);
	assert_ended(-EIO);
}

static void test_nothing_leaves_the_extent(void **state)
{
	static const struct {
		uint64_t offset, length;
	} rows[] = {{1 << 20, 512}, {(1 << 20) - 512, 1024}, {UINT64_MAX - 511, 512},
		{512, UINT64_MAX}};
	static const enum extent_op ops[] = {
		EXTENT_READ, EXTENT_WRITE, EXTENT_UNMAP, EXTENT_WRITE_ZEROES};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned o = 0; o < ARRAY_SIZE(ops); o++) {
			struct extent extent = extent_make();
			struct extent_io io = io_make(ops[o], rows[i].offset, rows[i].length);

			extent_submit(&extent, NULL, &io);
			assert_int_equal(ring.submitted, 0);
			assert_ended(-EINVAL);
		}
	}
}

static void test_read_only_refuses_changes(void **state)
{
	static const struct {
		enum extent_op op;
		bool refused;
	} rows[] = {{EXTENT_READ, false}, {EXTENT_FLUSH, false}, {EXTENT_WRITE, true},
		{EXTENT_UNMAP, true}, {EXTENT_WRITE_ZEROES, true}};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct extent extent = extent_make();
		struct extent_io io = io_make(rows[i].op, 0, 8192);

		extent.config.read_only = true;
		extent_submit(&extent, NULL, &io);
		if (rows[i].refused) {
			assert_ended(-EROFS);
		} else if (rows[i].op == EXTENT_READ) {
			answer(8192);
			assert_ended(0);
		} else {
			assert_ended(0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short_transfers_continue),
		cmocka_unit_test(test_pinned_memory_goes_by_its_number),
		cmocka_unit_test(test_interruptions_are_retried_and_bounded),
		cmocka_unit_test(test_end_of_file_is_an_error),
		cmocka_unit_test(test_failures_reach_the_caller),
		cmocka_unit_test(test_a_broken_ring_fails_the_io),
		cmocka_unit_test(test_fua_where_there_is_a_cache),
		cmocka_unit_test(test_flush_is_fdatasync),
		cmocka_unit_test(test_unmap_is_durable_where_writes_are),
		cmocka_unit_test(test_write_zeroes_falls_back_to_writing),
		cmocka_unit_test(test_nothing_leaves_the_extent),
		cmocka_unit_test(test_read_only_refuses_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
