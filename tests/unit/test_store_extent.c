// SPDX-License-Identifier: BSD-3-Clause
/* Extents on real files and in memory, with a real reactor that runs on the test's own thread. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "../../daemon/store/extent.h"

#define MIB (1u << 20)

static struct reactor *reactor;
static char directory[] = "store-test-XXXXXX";
static char error[512];

static int group_setup(void **state)
{
	struct reactor_config config = {.buffer_bytes = 64 * MIB};

	signal(SIGXFSZ, SIG_IGN);
	reactor = reactor_new(&config);
	return reactor && mkdtemp(directory) ? 0 : -1;
}

static int group_teardown(void **state)
{
	reactor_free(reactor);
	return rmdir(directory);
}

/* ----- helpers ---------------------------------------------------------------------------------
 */

struct file {
	char path[64];
};

static struct file file_name(const char *name)
{
	struct file file;

	snprintf(file.path, sizeof(file.path), "%s/%s", directory, name);
	return file;
}

static struct file file_make(const char *name, off_t size)
{
	struct file file = file_name(name);
	int fd = open(file.path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
	return file;
}

static struct extent_config file_config(const struct file *file)
{
	return (struct extent_config){
		.name = "disk", .type = EXTENT_FILE, .path = file->path, .block_size = 512};
}

static struct extent *open_ok(const struct extent_config *config)
{
	struct extent *extent;

	error[0] = '\0';
	extent = extent_open(config, error, sizeof(error));
	if (!extent) {
		fail_msg("%s", error);
	}
	return extent;
}

/* A clustered extent; skips the test where the file system has no direct I/O. */
static struct extent *open_direct(const struct file *file, uint32_t block_size)
{
	struct extent_config config = file_config(file);
	struct extent *extent;

	config.clustered = true;
	config.block_size = block_size;
	extent = extent_open(&config, error, sizeof(error));
	if (!extent || !extent_info(extent)->direct) {
		print_message(
			"SKIP: no direct I/O here: %s\n", extent ? "O_DIRECT refused" : error);
		extent_close(extent);
		unlink(file->path);
		skip();
	}
	return extent;
}

static void assert_refused(const struct extent_config *config, const char *text)
{
	struct extent *extent = extent_open(config, error, sizeof(error));

	assert_null(extent);
	if (!strstr(error, text)) {
		fail_msg("\"%s\" lacks \"%s\"", error, text);
	}
}

struct run {
	struct extent_io io;
	bool done;
	int res;
};

static void run_done(struct extent_io *io, int res)
{
	struct run *run = container_of(io, struct run, io);

	assert_false(run->done);
	run->done = true;
	run->res = res;
}

static int run_io(struct extent *extent, struct extent_io io)
{
	struct run run = {.io = io};

	run.io.done = run_done;
	extent_submit(extent, reactor, &run.io);
	for (unsigned i = 0; i < 10000 && !run.done; i++) {
		reactor_run_once(reactor, 1000);
	}
	assert_true(run.done);
	return run.res;
}

/* Asks what there is at an offset; the bytes that it goes on for, negative for a hole. */
static int64_t run_map(struct extent *extent, uint64_t offset)
{
	uint64_t left = extent_info(extent)->size_bytes - offset;
	struct run run = {.io = {.op = EXTENT_MAP, .offset_bytes = offset, .length_bytes = left}};

	run.io.done = run_done;
	extent_submit(extent, reactor, &run.io);
	for (unsigned i = 0; i < 10000 && !run.done; i++) {
		reactor_run_once(reactor, 1000);
	}
	assert_true(run.done);
	assert_int_equal(run.res, 0);
	left = run.io.run_bytes < left ? run.io.run_bytes : left;
	return run.io.mapped ? (int64_t)left : -(int64_t)left;
}

static int run_op(struct extent *extent, enum extent_op op, uint64_t offset, uint64_t length)
{
	return run_io(extent,
		(struct extent_io){.op = op, .offset_bytes = offset, .length_bytes = length});
}

/* In two pieces, the first of one block. */
static int run_rw(
	struct extent *extent, enum extent_op op, uint64_t offset, unsigned char *data, size_t n)
{
	size_t first = n > extent->config.block_size ? extent->config.block_size : n;
	struct iovec iov[2] = {{data, first}, {data + first, n - first}};

	return run_io(extent, (struct extent_io){.op = op,
				      .offset_bytes = offset,
				      .length_bytes = n,
				      .iov = iov,
				      .iov_count = n > first ? 2 : 1});
}

static unsigned char *pattern_new(size_t n, unsigned seed)
{
	unsigned char *data = aligned_alloc(BUF_ALIGN, (n + BUF_ALIGN - 1) / BUF_ALIGN * BUF_ALIGN);

	assert_non_null(data);
	for (size_t i = 0; i < n; i++) {
		data[i] = (unsigned char)(seed + i * 7 + i / 512);
	}
	return data;
}

static bool all_zero(const unsigned char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i]) {
			return false;
		}
	}
	return true;
}

/* Writes, reads back, zeroes and unmaps at several places and lengths; the neighbours stay. */
static void exercise(struct extent *extent)
{
	static const struct {
		uint64_t offset;
		size_t length;
	} rows[] = {{0, 4096}, {8192, 65536}, {4096, 4096}, {MIB, 3 * MIB}, {7 * MIB, MIB}};
	size_t size = extent_info(extent)->size_bytes;
	unsigned char *model = calloc(1, size), *back = aligned_alloc(BUF_ALIGN, size);

	assert_int_equal(size, 8 * MIB);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned char *data = pattern_new(rows[i].length, i);

		memcpy(model + rows[i].offset, data, rows[i].length);
		assert_int_equal(
			run_rw(extent, EXTENT_WRITE, rows[i].offset, data, rows[i].length), 0);
		free(data);
	}
	assert_int_equal(run_op(extent, EXTENT_FLUSH, 0, 0), 0);
	assert_int_equal(run_op(extent, EXTENT_WRITE_ZEROES, 2 * MIB + 4096, 12288), 0);
	memset(model + 2 * MIB + 4096, 0, 12288);
	if (extent_info(extent)->unmap) {
		assert_int_equal(run_op(extent, EXTENT_UNMAP, 3 * MIB, 65536), 0);
		memset(model + 3 * MIB, 0, 65536);
	} else {
		assert_int_equal(run_op(extent, EXTENT_UNMAP, 3 * MIB, 65536), -EOPNOTSUPP);
	}
	assert_int_equal(run_rw(extent, EXTENT_READ, 0, back, size), 0);
	assert_memory_equal(back, model, size);
	free(model);
	free(back);
}

/* ----- tests -----------------------------------------------------------------------------------
 */

static void test_names(void **state)
{
	assert_string_equal(extent_type_name(EXTENT_FILE), "file");
	assert_string_equal(extent_type_name(EXTENT_BLOCK), "block");
	assert_string_equal(extent_type_name(EXTENT_RAM), "ram");
	assert_string_equal(extent_type_name((enum extent_type)99), "unknown");
	for (enum extent_op op = EXTENT_READ; op <= EXTENT_WRITE_ZEROES; op++) {
		assert_string_not_equal(extent_op_name(op), "unknown");
	}
	assert_string_equal(extent_op_name((enum extent_op)99), "unknown");
}

static void test_ram(void **state)
{
	struct extent_config config = {
		.name = "mem", .type = EXTENT_RAM, .size_bytes = 8 * MIB, .block_size = 512};
	unsigned char block[1024];
	struct extent *extent = open_ok(&config);

	assert_false(extent_info(extent)->volatile_cache);
	exercise(extent);
	/* a range that is no whole page */
	memset(block, 0xaa, sizeof(block));
	assert_int_equal(run_rw(extent, EXTENT_WRITE, 4096 - 512, block, 1024), 0);
	assert_int_equal(run_op(extent, EXTENT_UNMAP, 4096, 512), 0);
	assert_int_equal(run_rw(extent, EXTENT_READ, 4096 - 512, block, 1024), 0);
	assert_int_equal(block[511], 0xaa);
	assert_true(all_zero(block + 512, 512));
	/* ends and begins in the middle of pages: the edges are zeroed, the pages given back */
	assert_int_equal(run_op(extent, EXTENT_WRITE_ZEROES, 512, 16384), 0);
	assert_int_equal(run_rw(extent, EXTENT_READ, 0, block, 1024), 0);
	assert_true(all_zero(block + 512, 512));
	assert_false(all_zero(block, 512));
	assert_int_equal(run_rw(extent, EXTENT_READ, 8 * MIB, block, 512), -EINVAL);
	assert_int_equal(extent_claim(extent, 1, 1), 0);
	assert_int_equal(extent_check(extent), 0);
	extent_release(extent);
	extent_close(extent);
	config.size_bytes = 0;
	assert_refused(&config, "extent mem: a ram extent needs a size");
}

static void test_plain_file(void **state)
{
	struct file file = file_make("plain", 8 * MIB);
	struct extent_config config = file_config(&file);
	struct extent *extent = open_ok(&config);
	const struct extent_info *info = extent_info(extent);
	unsigned char *data = pattern_new(512, 3), back[512];

	assert_false(info->direct);
	assert_true(info->volatile_cache);
	assert_int_equal(info->io_align_bytes, 1);
	exercise(extent);
	/* a part of a page, and durable at once */
	assert_int_equal(run_io(extent, (struct extent_io){.op = EXTENT_WRITE,
						.fua = true,
						.offset_bytes = 512,
						.length_bytes = 512,
						.iov = &(struct iovec){data, 512},
						.iov_count = 1}),
		0);
	assert_int_equal(run_rw(extent, EXTENT_READ, 512, back, 512), 0);
	assert_memory_equal(back, data, 512);
	free(data);
	extent_close(extent);
	unlink(file.path);
}

/* The file system that knows no RWF_NOWAIT and no ZERO_RANGE. */
static void test_plain_file_of_few_talents(void **state)
{
	struct file file = file_make("few", 8 * MIB);
	struct extent_config config = file_config(&file);
	struct extent *extent = open_ok(&config);
	unsigned char block[512] = {1}, back[512];

	extent->no_nowait_read = true;
	extent->no_nowait_write = true;
	extent->no_zero_range = true;
	exercise(extent);
	assert_int_equal(run_rw(extent, EXTENT_WRITE, 1536, block, 512), 0);
	assert_int_equal(run_rw(extent, EXTENT_READ, 1536, back, 512), 0);
	assert_memory_equal(back, block, 512);
	extent_close(extent);
	unlink(file.path);
}

/* Invariant I3: no cache of this controller between GOOD and the disk. */
static void test_clustered_file_is_direct_and_write_through(void **state)
{
	struct file file = file_make("direct", 8 * MIB);
	struct extent *extent = open_direct(&file, 4096);
	int flags = fcntl(extent->fd, F_GETFL);

	assert_true(flags & O_DIRECT);
	assert_int_equal(flags & O_DSYNC, O_DSYNC);
	assert_false(extent_info(extent)->volatile_cache);
	assert_true(extent->sync_unmap);
	assert_in_range(extent_info(extent)->io_align_bytes, 1, 4096);
	exercise(extent);
	extent_close(extent);
	unlink(file.path);
}

/* The same through buffers of the pool, whose memory the ring knows after the first time. */
static void exercise_pinned(struct extent *extent)
{
	struct buf_pool *pool = reactor_buffers(reactor);
	struct buf *from = buf_get(pool, 65536), *to = buf_get(pool, 65536);
	struct iovec iov;

	for (unsigned i = 0; i < from->size; i++) {
		from->data[i] = (uint8_t)(i * 7 + (i >> 8));
	}
	for (unsigned round = 0; round < 2; round++) {
		/* A part of the buffer only: 4096 to 20479. */
		struct extent_io io = {.op = EXTENT_WRITE,
			.fua = round == 1,
			.offset_bytes = 2 * MIB,
			.length_bytes = 16384,
			.iov = &iov,
			.iov_count = 1,
			.buf = from};

		iov = (struct iovec){from->data + 4096, 16384};
		assert_int_equal(run_io(extent, io), 0);
		memset(to->data, 0, to->size);
		iov = (struct iovec){to->data + 8192, 16384};
		io.op = EXTENT_READ;
		io.buf = to;
		assert_int_equal(run_io(extent, io), 0);
		assert_memory_equal(to->data + 8192, from->data + 4096, 16384);
		assert_int_equal(to->data[8191], 0);
		assert_int_equal(to->data[8192 + 16384], 0);
	}
	assert_int_equal(buf_pin(from) >= 0, buf_pin(to) >= 0); /* or the kernel has no table */
	buf_put(pool, from);
	buf_put(pool, to);
}

/* `direct` without a cluster: past the page cache, but with a cache below that must be flushed. */
static void test_direct_file_alone(void **state)
{
	struct file file = file_make("alone", 8 * MIB);
	struct extent_config config = file_config(&file);
	struct extent *extent;

	config.direct = true;
	config.block_size = 4096;
	extent = extent_open(&config, error, sizeof(error));
	if (!extent && strstr(error, "cannot be opened")) {
		unlink(file.path);
		skip(); /* no direct I/O in the directory that the tests run in */
	}
	assert_non_null(extent);
	assert_true(fcntl(extent->fd, F_GETFL) & O_DIRECT);
	assert_true(extent_info(extent)->direct);
	assert_true(extent_info(extent)->volatile_cache);
	exercise(extent);
	exercise_pinned(extent);
	extent_close(extent);
	unlink(file.path);
}

static void note_inline(struct extent_io *io, int res)
{
	assert_int_equal(res, 0);
	io->op = EXTENT_FLUSH; /* done */
}

/* A file of tmpfs is read at once and not by a thread of the kernel, though it has no RWF_NOWAIT.
 */
/* What was known to be in memory goes with its storage. */
static void forgets_what_is_unmapped(struct extent *extent)
{
	unsigned char *data = pattern_new(8192, 1);

	assert_int_equal(run_rw(extent, EXTENT_WRITE, MIB, data, 8192), 0);
	assert_non_null(extent_peek(extent, MIB, 8192));
	assert_int_equal(run_op(extent, EXTENT_UNMAP, MIB, 4096), 0);
	assert_null(extent_peek(extent, MIB, 4096));
	assert_non_null(extent_peek(extent, MIB + 4096, 4096));
	free(data);
}

static void test_file_in_memory_is_read_inline(void **state)
{
	char path[] = "/dev/shm/yoke-store-test-XXXXXX";
	int fd = mkstemp(path);
	struct file file;
	struct extent_config config;
	struct extent *extent;
	unsigned char back[512];
	struct iovec iov = {back, sizeof(back)};
	struct extent_io io = {.op = EXTENT_READ,
		.length_bytes = sizeof(back),
		.iov = &iov,
		.iov_count = 1,
		.done = note_inline};

	if (fd < 0) {
		skip(); /* no tmpfs there */
	}
	assert_int_equal(ftruncate(fd, 8 * MIB), 0);
	close(fd);
	snprintf(file.path, sizeof(file.path), "%s", path);
	config = file_config(&file);
	extent = open_ok(&config);
	if (extent->in_memory) {
		extent_submit(extent, reactor, &io);
		assert_int_equal(io.op, EXTENT_FLUSH);
		exercise(extent);
		forgets_what_is_unmapped(extent);
	}
	extent_close(extent);
	unlink(path);
}

static void test_file_is_created_and_extended(void **state)
{
	struct file file = file_name("created");
	struct extent_config config = file_config(&file);
	struct extent *extent;
	struct stat st;

	config.size_bytes = MIB;
	extent_close(open_ok(&config));
	assert_int_equal(stat(file.path, &st), 0);
	assert_int_equal(st.st_size, MIB);
	assert_int_equal(st.st_mode & 0777, 0600);
	config.size_bytes = 2 * MIB;
	extent_close(open_ok(&config));
	assert_int_equal(stat(file.path, &st), 0);
	assert_int_equal(st.st_size, 2 * MIB);
	/* never cut: what is behind the size stays where it is */
	config.size_bytes = MIB;
	extent = open_ok(&config);
	assert_int_equal(extent_info(extent)->size_bytes, MIB);
	extent_close(extent);
	assert_int_equal(stat(file.path, &st), 0);
	assert_int_equal(st.st_size, 2 * MIB);
	unlink(file.path);
}

static void test_bad_files_are_refused(void **state)
{
	struct file missing = file_name("missing"), odd = file_make("odd", 4096 + 100);
	struct file empty = file_make("empty", 0), small = file_make("small", 4096);
	struct file dir = {.path = "/"}, null = {.path = "/dev/null"};
	struct extent_config config = file_config(&missing);

	assert_refused(&config,
		"missing: cannot be opened: No such file or directory; create it, or give a size");
	config.read_only = true;
	config.size_bytes = 4096;
	assert_refused(&config, "No such file");
	config = file_config(&odd);
	assert_refused(&config, "has 4196 bytes, which is not a multiple of the block size 512");
	config = file_config(&empty);
	assert_refused(&config, "is empty; give a size");
	config = file_config(&small);
	config.size_bytes = 8192;
	config.read_only = true;
	assert_refused(&config, "is smaller (4096 bytes)");
	config = file_config(&small);
	config.size_bytes = 1000;
	assert_refused(&config, "size 1000 is not a multiple of the block size 512");
	config = file_config(&small);
	config.block_size = 1024;
	assert_refused(&config, "block size 1024 is not supported; use 512 or 4096");
	config = file_config(&dir);
	assert_refused(&config, "is no regular file");
	config.type = EXTENT_BLOCK;
	assert_refused(&config, "is no block device");
	config = file_config(&null);
	assert_refused(&config, "is no regular file");
	config = file_config(&small);
	config.path = NULL;
	assert_refused(&config, "a file extent needs a path");
	unlink(odd.path);
	unlink(empty.path);
	unlink(small.path);
}

static void test_claims_exclude_each_other(void **state)
{
	struct file file = file_make("claim", MIB);
	struct extent_config config = file_config(&file);
	struct extent *a, *b;

	config.clustered = true;
	config.write_key = EXTENT_WRITE_KEY_OFF;
	a = open_ok(&config);
	b = open_ok(&config);
	assert_int_equal(extent_claim(a, 1, 1), 0);
	assert_int_equal(extent_claim(a, 1, 2), 0); /* again: a later epoch */
	assert_int_equal(extent_claim(b, 2, 3), -EAGAIN);
	extent_release(b); /* has none: takes none away */
	assert_int_equal(extent_claim(b, 2, 3), -EAGAIN);
	extent_release(a);
	extent_release(a);
	assert_int_equal(extent_claim(b, 2, 3), 0);
	assert_int_equal(extent_claim(a, 1, 4), -EAGAIN);
	extent_close(b); /* a close gives it up as well */
	assert_int_equal(extent_claim(a, 1, 4), 0);
	extent_close(a);
	unlink(file.path);
}

/* A lock keeps others out, is none of a reader's business, and becomes part of the claim. */
static void test_lock_ahead_of_a_claim(void **state)
{
	struct file file = file_make("lock", MIB);
	struct extent_config config = file_config(&file);
	struct extent *a, *b;

	config.clustered = true;
	config.write_key = EXTENT_WRITE_KEY_OFF;
	a = open_ok(&config);
	b = open_ok(&config);
	assert_int_equal(extent_claim(a, 1, 1), 0);
	assert_int_equal(extent_lock(b), -EAGAIN);
	extent_release(a);
	assert_int_equal(extent_lock(b), 0);
	assert_int_equal(extent_lock(b), 0);
	assert_int_equal(extent_claim(a, 1, 2), -EAGAIN);
	extent_release(b); /* without a claim */
	assert_int_equal(extent_claim(a, 1, 2), 0);
	extent_release(a);
	assert_int_equal(extent_lock(b), 0);
	assert_int_equal(extent_claim(b, 2, 3), 0);
	assert_int_equal(extent_lock(a), -EAGAIN);
	extent_close(a);
	config.read_only = true;
	a = open_ok(&config);
	assert_int_equal(extent_lock(a), 0);
	extent_close(a);
	extent_close(b);
	unlink(file.path);
}

static void test_check_sees_a_cut_and_a_deleted_file(void **state)
{
	struct file file = file_make("check", MIB);
	struct extent_config config = file_config(&file);
	struct extent *extent = open_ok(&config);
	unsigned char block[512];

	assert_int_equal(extent_check(extent), 0);
	assert_int_equal(truncate(file.path, 2 * MIB), 0);
	assert_int_equal(extent_check(extent), 0);
	assert_int_equal(truncate(file.path, MIB / 2), 0);
	assert_int_equal(extent_check(extent), -ENOSPC);
	assert_int_equal(run_rw(extent, EXTENT_READ, MIB - 512, block, 512), -EIO);
	assert_int_equal(truncate(file.path, MIB), 0);
	unlink(file.path);
	assert_int_equal(extent_check(extent), -ENOENT);
	extent_close(extent);
}

/* A full file system, as far as one can be had without root: the limit on the size of files. */
static void test_no_space(void **state)
{
	struct file file = file_make("full", 8 * MIB), bigger = file_name("bigger");
	struct extent_config config = file_config(&file);
	struct extent *extent = open_ok(&config);
	unsigned char *data = pattern_new(2 * MIB, 1), back[4096];
	struct rlimit old, limit;

	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 4 * MIB;
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(run_rw(extent, EXTENT_WRITE, 5 * MIB, data, 4096), -EFBIG);
	/* the part before the limit is written, the rest fails: not GOOD */
	assert_int_equal(run_rw(extent, EXTENT_WRITE, 3 * MIB, data, 2 * MIB), -EFBIG);
	assert_int_equal(run_rw(extent, EXTENT_READ, 3 * MIB, back, 4096), 0);
	assert_memory_equal(back, data, 4096);
	config.path = bigger.path;
	config.size_bytes = 8 * MIB;
	assert_refused(&config, "cannot be extended to 8388608 bytes: File too large");
	setrlimit(RLIMIT_FSIZE, &old);
	free(data);
	extent_close(extent);
	unlink(file.path);
	unlink(bigger.path);
}

static void test_read_only_file(void **state)
{
	struct file file = file_make("ro", MIB);
	struct extent_config config = file_config(&file);
	struct extent *extent;
	unsigned char block[512] = {1};

	config.read_only = true;
	extent = open_ok(&config);
	assert_int_equal(fcntl(extent->fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_false(extent_info(extent)->unmap);
	assert_int_equal(run_rw(extent, EXTENT_WRITE, 0, block, 512), -EROFS);
	assert_int_equal(run_rw(extent, EXTENT_READ, 0, block, 512), 0);
	assert_int_equal(block[0], 0);
	assert_int_equal(run_op(extent, EXTENT_FLUSH, 0, 0), 0);
	assert_int_equal(extent_claim(extent, 1, 1), 0);
	extent_close(extent);
	unlink(file.path);
}

/* ----- block devices: what sysfs says -----------------------------------------------------------
 */

/* What is written has storage, what is unmapped has none. */
static void exercise_map(struct extent *extent, unsigned char *data)
{
	assert_int_equal(run_map(extent, 0), -8 * (int64_t)MIB);
	assert_int_equal(run_rw(extent, EXTENT_WRITE, MIB, data, MIB), 0);
	assert_int_equal(run_map(extent, 0), -(int64_t)MIB);
	assert_int_equal(run_map(extent, MIB), MIB);
	assert_int_equal(run_map(extent, MIB + 512 * 1024), 512 * 1024);
	assert_int_equal(run_map(extent, 2 * MIB), -6 * (int64_t)MIB);
	assert_int_equal(run_op(extent, EXTENT_UNMAP, MIB + 65536, 65536), 0);
	assert_int_equal(run_map(extent, MIB), 65536);
	assert_int_equal(run_map(extent, MIB + 65536), -65536);
	assert_int_equal(run_map(extent, MIB + 2 * 65536), MIB - 2 * 65536);
}

static uint64_t used_bytes(struct extent *extent, uint64_t *free_bytes)
{
	struct run run = {.io = {.op = EXTENT_SPACE}};

	run.io.done = run_done;
	extent_submit(extent, reactor, &run.io);
	for (unsigned i = 0; i < 10000 && !run.done; i++) {
		reactor_run_once(reactor, 1000);
	}
	assert_true(run.done);
	assert_int_equal(run.res, 0);
	*free_bytes = run.io.free_bytes;
	return run.io.used_bytes;
}

static void test_map_and_space_of_ram(void **state)
{
	struct extent_config config = {
		.name = "ram", .type = EXTENT_RAM, .size_bytes = 8 * MIB, .block_size = 512};
	struct extent *extent = open_ok(&config);
	unsigned char *data = pattern_new(MIB, 1);
	uint64_t free_bytes;

	exercise_map(extent, data);
	assert_int_equal(used_bytes(extent, &free_bytes), MIB - 65536);
	assert_true(free_bytes == EXTENT_UNKNOWN);
	/* a unit that is unmapped in part keeps its storage */
	assert_int_equal(run_op(extent, EXTENT_UNMAP, MIB + 512, 4096), 0);
	assert_int_equal(used_bytes(extent, &free_bytes), MIB - 65536);
	assert_int_equal(run_op(extent, EXTENT_WRITE_ZEROES, 0, 512), 0);
	assert_int_equal(used_bytes(extent, &free_bytes), MIB - 65536 + 4096);
	free(data);
	extent_close(extent);
}

static void test_map_and_space_of_a_file(void **state)
{
	struct file file = file_make("map", 8 * MIB);
	struct extent_config config = file_config(&file);
	struct extent *extent = open_ok(&config);
	unsigned char *data = pattern_new(MIB, 1);
	struct run runs[5] = {0};
	unsigned busy = 0;
	uint64_t free_bytes, used;

	if (extent_info(extent)->unmap) {
		exercise_map(extent, data);
		assert_int_equal(run_op(extent, EXTENT_FLUSH, 0, 0), 0);
		used = used_bytes(extent, &free_bytes);
		assert_true(used >= MIB - 65536 && used <= 2 * MIB);
		assert_true(free_bytes != EXTENT_UNKNOWN);
	}
	/* only so many at a time, and none is forgotten */
	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
		runs[i].io = (struct extent_io){.op = EXTENT_SPACE, .done = run_done};
		extent_submit(extent, reactor, &runs[i].io);
	}
	assert_true(runs[4].done);
	assert_int_equal(runs[4].res, -EAGAIN);
	for (unsigned i = 0; i < 10000 && busy < 5; i++) {
		reactor_run_once(reactor, 1000);
		busy = 0;
		for (unsigned k = 0; k < ARRAY_SIZE(runs); k++) {
			busy += runs[k].done;
		}
	}
	assert_int_equal(busy, 5);
	assert_int_equal(runs[3].res, 0);
	free(data);
	extent_close(extent);
	unlink(file.path);
}

/* Files that follow each other share a thread, whatever else is asked about between others. */
static void test_space_of_several(void **state)
{
	struct extent_config ram = {
		.name = "ram", .type = EXTENT_RAM, .size_bytes = 8 * MIB, .block_size = 512};
	struct file files[5];
	struct extent *extents[6];
	struct run runs[6] = {0}, busy[4] = {0};
	struct extent_io *ios[6];
	unsigned char *data = pattern_new(MIB, 1);
	unsigned done = 0;

	for (unsigned i = 0; i < 6; i++) {
		if (i == 3) {
			extents[i] = open_ok(&ram);
		} else {
			unsigned at = i < 3 ? i : i - 1;
			char name[16];
			struct extent_config config;

			snprintf(name, sizeof(name), "several%u", at);
			files[at] = file_make(name, 8 * MIB);
			config = file_config(&files[at]);
			extents[i] = open_ok(&config);
		}
		runs[i].io = (struct extent_io){.op = EXTENT_SPACE, .done = run_done};
		ios[i] = &runs[i].io;
	}
	assert_int_equal(run_rw(extents[1], EXTENT_WRITE, 0, data, MIB), 0);
	assert_int_equal(run_op(extents[1], EXTENT_FLUSH, 0, 0), 0);
	/* one of them is asked too much already */
	for (unsigned i = 0; i < ARRAY_SIZE(busy); i++) {
		busy[i].io = (struct extent_io){.op = EXTENT_SPACE, .done = run_done};
		extent_submit(extents[4], reactor, &busy[i].io);
	}
	assert_int_equal(reactor_io_inflight(reactor), 4);
	extent_ask(extents, ios, 6, reactor);
	assert_int_equal(reactor_io_inflight(reactor), 4 + 2);
	assert_true(runs[3].done && runs[4].done);
	assert_int_equal(runs[4].res, -EAGAIN);
	for (unsigned i = 0; i < 10000 && done < 10; i++) {
		reactor_run_once(reactor, 1000);
		done = 0;
		for (unsigned k = 0; k < 6; k++) {
			done += runs[k].done + (k < 4 && busy[k].done);
		}
	}
	assert_int_equal(done, 10);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(runs[i].res, i == 4 ? -EAGAIN : 0);
	}
	assert_true(runs[1].io.used_bytes >= MIB && runs[1].io.used_bytes <= 2 * MIB);
	assert_true(runs[5].io.used_bytes < MIB && runs[0].io.used_bytes < MIB);
	assert_true(runs[0].io.free_bytes != EXTENT_UNKNOWN);
	assert_true(runs[3].io.free_bytes == EXTENT_UNKNOWN);
	/* and what it took has been given back */
	runs[4] = (struct run){.io = {.op = EXTENT_SPACE, .done = run_done}};
	extent_submit(extents[4], reactor, &runs[4].io);
	for (unsigned i = 0; i < 10000 && !runs[4].done; i++) {
		reactor_run_once(reactor, 1000);
	}
	assert_int_equal(runs[4].res, 0);
	for (unsigned i = 0; i < 6; i++) {
		extent_close(extents[i]);
	}
	for (unsigned i = 0; i < 5; i++) {
		unlink(files[i].path);
	}
	free(data);
}

static void sysfs_put(const char *dir, const char *name, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!value) {
		unlink(path);
		return;
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "%s\n", value);
	fclose(f);
}

static const char *const sysfs_names[] = {
	"write_cache", "discard_granularity", "discard_max_bytes", "write_zeroes_max_bytes"};

static void test_block_queue(void **state)
{
	static const struct {
		const char *values[4];
		uint32_t logical;
		bool clustered, read_only;
		bool cache, unmap;
		uint32_t granularity;
	} rows[] = {
		{{"write back", "4096", "1048576", "1048576"}, 512, true, false, true, true, 4096},
		{{"write through", "512", "1048576", "1048576"}, 512, true, false, false, true,
			512},
		{{NULL, "512", "1048576", "1048576"}, 512, true, false, true, true, 512},
		{{"write through", "512", "1048576", "1048576"}, 512, false, false, true, true,
			512},
		{{"write back", "512", "1048576", "1048576"}, 512, true, true, false, false, 0},
		{{"write through", "0", "0", "1048576"}, 512, true, false, false, false, 0},
		{{"write through", "512", "0", "1048576"}, 512, true, false, false, false, 0},
		{{"write through", "512", "1048576", "0"}, 512, true, false, false, false, 0},
		{{"write through", "3000", "1048576", "1048576"}, 512, true, false, false, false,
			0},
		{{"write through", "4096", "1048576", "1048576"}, 4096, true, false, false, false,
			0},
		{{"write through", "junk", "junk", "junk"}, 512, true, false, false, false, 0},
	};
	char disk[64], queue[96], partition[96];

	snprintf(disk, sizeof(disk), "%s/sda", directory);
	snprintf(queue, sizeof(queue), "%s/queue", disk);
	snprintf(partition, sizeof(partition), "%s/sda1", disk);
	assert_int_equal(mkdir(disk, 0700) | mkdir(queue, 0700) | mkdir(partition, 0700), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned n = 0; n < ARRAY_SIZE(sysfs_names); n++) {
			sysfs_put(queue, sysfs_names[n], rows[i].values[n]);
		}
		for (unsigned part = 0; part < 2; part++) {
			struct extent extent = {.config = {.type = EXTENT_BLOCK,
							.block_size = 512,
							.clustered = rows[i].clustered,
							.read_only = rows[i].read_only}};

			extent_block_queue_probe(&extent, part ? partition : disk, rows[i].logical);
			assert_int_equal(extent.info.volatile_cache, rows[i].cache);
			assert_int_equal(extent.info.unmap, rows[i].unmap);
			assert_int_equal(extent.info.unmap_granularity_bytes, rows[i].granularity);
		}
	}
	for (unsigned n = 0; n < ARRAY_SIZE(sysfs_names); n++) {
		sysfs_put(queue, sysfs_names[n], NULL);
	}
	rmdir(partition);
	rmdir(queue);
	rmdir(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_ram),
		cmocka_unit_test(test_plain_file),
		cmocka_unit_test(test_plain_file_of_few_talents),
		cmocka_unit_test(test_clustered_file_is_direct_and_write_through),
		cmocka_unit_test(test_direct_file_alone),
		cmocka_unit_test(test_file_in_memory_is_read_inline),
		cmocka_unit_test(test_file_is_created_and_extended),
		cmocka_unit_test(test_bad_files_are_refused),
		cmocka_unit_test(test_claims_exclude_each_other),
		cmocka_unit_test(test_lock_ahead_of_a_claim),
		cmocka_unit_test(test_check_sees_a_cut_and_a_deleted_file),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_read_only_file),
		cmocka_unit_test(test_map_and_space_of_ram),
		cmocka_unit_test(test_map_and_space_of_a_file),
		cmocka_unit_test(test_space_of_several),
		cmocka_unit_test(test_block_queue),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
