// SPDX-License-Identifier: BSD-3-Clause
/* What extents show of themselves in memory, for the kernel to read or to be copied. */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../daemon/store/extent.h"
#include "yoke/crc32c.h"

#define MIB (1u << 20)

static char path[] = "store-peek-XXXXXX";
static char memory_path[32]; /* of a file on tmpfs; "" = `path` is used */
static int fd;
static unsigned char pattern[MIB], back[MIB];

static int setup(void **state)
{
	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	fd = mkstemp(path);
	for (size_t i = 0; i < sizeof(pattern); i++) {
		pattern[i] = (unsigned char)(1 + i * 7 + i / 512);
	}
	return fd >= 0 && !ftruncate(fd, 4 * MIB) ? 0 : -1;
}

static int setup_memory(void **state)
{
	int res = setup(state);
	int memory = memfd_create("peek", MFD_CLOEXEC);

	close(fd);
	fd = memory;
	snprintf(memory_path, sizeof(memory_path), "/proc/self/fd/%d", fd);
	return res || fd < 0 || ftruncate(fd, 4 * MIB);
}

static int teardown(void **state)
{
	close(fd);
	memory_path[0] = '\0';
	return unlink(path);
}

static struct extent *extent_new(struct extent_config config)
{
	char error[512] = "";
	struct extent *extent;

	config.name = "disk";
	config.block_size = 512;
	config.path = config.type != EXTENT_FILE ? NULL : memory_path[0] ? memory_path : path;
	extent = extent_open(&config, error, sizeof(error));
	if (!extent) {
		print_message("SKIP: %s\n", error);
		skip();
	}
	return extent;
}

/* Through the kernel, as sendmsg() does: a pipe's worth at a time. Negative errno when it cannot.
 */
static int kernel_reads(const uint8_t *from, size_t bytes)
{
	int ends[2], err = 0;

	assert_int_equal(pipe(ends), 0);
	for (size_t at = 0; at < bytes && !err; at += 512) {
		if (write(ends[1], from + at, 512) != 512) {
			err = -errno;
		} else {
			assert_int_equal(read(ends[0], back + at, 512), 512);
		}
	}
	close(ends[0]);
	close(ends[1]);
	return err;
}

static void assert_shows(struct extent *extent, uint64_t offset, const void *bytes, size_t n)
{
	const uint8_t *at = extent_peek(extent, offset, n);
	uint32_t crc = 7;

	assert_non_null(at);
	assert_int_equal(kernel_reads(at, n), 0);
	assert_memory_equal(back, bytes, n);
	memset(back, 0, n);
	assert_int_equal(extent_peek_copy(extent, offset, n, back, NULL), 0);
	assert_memory_equal(back, bytes, n);
	memset(back, 0, n);
	assert_int_equal(extent_peek_copy(extent, offset, n, back, &crc), 0);
	assert_memory_equal(back, bytes, n);
	assert_int_equal(crc, crc32c_add(7, bytes, n));
}

static void a_file_shows_what_is_in_the_page_cache(void **state)
{
	struct extent *extent = extent_new((struct extent_config){.type = EXTENT_FILE});

	assert_int_equal(pwrite(fd, pattern, MIB, MIB), MIB);
	assert_shows(extent, MIB, pattern, MIB);
	assert_shows(extent, MIB + 512, pattern + 512, 4096);
	/* a write is seen, through what was shown before, too */
	assert_int_equal(pwrite(fd, "new", 3, MIB), 3);
	memcpy(pattern, "new", 3);
	assert_shows(extent, MIB, pattern, 8192);
	/* the end, and what is beyond */
	assert_int_equal(pwrite(fd, pattern, 4096, 4 * MIB - 4096), 4096);
	assert_shows(extent, 4 * MIB - 4096, pattern, 4096);
	assert_null(extent_peek(extent, 4 * MIB - 4096, 8192));
	assert_null(extent_peek(extent, 4 * MIB, 512));
	assert_null(extent_peek(extent, UINT64_MAX - 511, 512));
	assert_null(extent_peek(extent, MIB, 0));
	/* a hint, whatever is there */
	extent_expect(extent, MIB, 8192);
	extent_expect(extent, 2 * MIB, 4096);
	extent_expect(extent, 4 * MIB - 512, 512);
	extent_expect(extent, UINT64_MAX - 511, 512);
	assert_shows(extent, MIB, pattern, 8192);
	extent_close(extent);
}

/* A page fault would fill a hole of a tmpfs file with memory, and wait for a disk elsewhere. */
static void what_is_not_there_is_not_shown(void **state)
{
	struct extent *extent = extent_new((struct extent_config){.type = EXTENT_FILE});

	assert_int_equal(pwrite(fd, pattern, 8192, 0), 8192);
	assert_null(extent_peek(extent, 2 * MIB, 4096));
	assert_null(extent_peek(extent, 4096, 8192)); /* a part of it is */
	assert_shows(extent, 4096, pattern + 4096, 4096);
	extent_close(extent);
}

/* What is not there any more is not shown any more, however often it was; its neighbours are. */
static void storage_that_is_given_back_is_forgotten(void **state)
{
	static const uint64_t lengths[] = {4096, 4096 * 3, 3 * MIB};
	struct extent *extent = extent_new((struct extent_config){.type = EXTENT_FILE});

	assert_true(extent->in_memory);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint64_t offset = MIB - 8192, end = offset + lengths[i];

		for (uint64_t at = 0; at < 4 * MIB; at += MIB) {
			assert_int_equal(pwrite(fd, pattern, MIB, (off_t)at), MIB);
			assert_shows(extent, at, pattern, MIB);
		}
		assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					 (off_t)offset, (off_t)lengths[i]),
			0);
		extent_fd_forget(extent, offset, lengths[i]);
		for (uint64_t at = offset; at < end; at += 4096) {
			assert_null(extent_peek(extent, at, 4096));
		}
		assert_int_not_equal(extent->seen[offset / 4096 - 1], 0);
		assert_int_not_equal(extent->seen[end / 4096], 0);
		assert_shows(extent, offset - 4096, pattern + offset - 4096, 4096);
		assert_shows(extent, end, pattern + end % MIB, 4096);
	}
	extent_fd_forget(extent, 0, UINT64_MAX / 2);
	assert_int_equal(extent->seen[0], 0);
	extent_close(extent);
}

/* What is remembered of a large file is in pages of its own, which are given back as a whole. */
static void a_large_file_is_forgotten_by_pages(void **state)
{
	struct extent *extent;

	assert_int_equal(ftruncate(fd, 24 * MIB), 0);
	extent = extent_new((struct extent_config){.type = EXTENT_FILE});
	for (uint64_t at = 0; at < 24 * MIB; at += MIB) {
		assert_int_equal(pwrite(fd, pattern, MIB, (off_t)at), MIB);
		extent_fd_seen(extent, at, MIB);
	}
	extent_fd_forget(extent, 0, 17 * MIB);
	for (unsigned page = 0; page < 24 * MIB / 4096; page++) {
		assert_int_equal(extent->seen[page] != 0, page >= 17 * MIB / 4096);
	}
	extent_close(extent);
}

/* mincore() is asked again after two seconds, but for files that are nowhere but in memory. */
static void what_was_there_is_believed_for_a_while(void **state)
{
	struct extent *extent = extent_new((struct extent_config){.type = EXTENT_FILE});
	bool in_memory = extent->in_memory;

	assert_int_equal(pwrite(fd, pattern, 4096, MIB), 4096);
	assert_shows(extent, MIB, pattern, 4096);
	assert_int_not_equal(extent->seen[MIB / 4096], 0);
	assert_int_equal(extent->seen[MIB / 4096 + 1], 0);
	/* as if it had been seen at the end of the 16 bits, or half of them ago */
	extent->in_memory = false;
	extent->seen[MIB / 4096 + 1] = (uint16_t)(extent->seen[MIB / 4096] + 0x8000);
	assert_null(extent_peek(extent, MIB + 4096, 4096));
	extent->in_memory = true;
	assert_non_null(extent_peek(extent, MIB + 4096, 4096));
	extent->in_memory = in_memory;
	extent_close(extent);
}

static void what_is_shared_or_direct_is_not_shown(void **state)
{
	static const struct extent_config configs[] = {
		{.type = EXTENT_FILE, .clustered = true}, {.type = EXTENT_FILE, .direct = true}};

	for (unsigned i = 0; i < ARRAY_SIZE(configs); i++) {
		struct extent *extent = extent_new(configs[i]);

		assert_int_equal(pwrite(fd, pattern, 8192, 0), 8192);
		assert_null(extent_peek(extent, 0, 4096));
		extent_close(extent);
	}
}

static void what_has_grown_is_read_the_ordinary_way(void **state)
{
	struct extent *extent = extent_new((struct extent_config){.type = EXTENT_FILE});
	char error[256];

	assert_int_equal(extent_extend(extent, 5 * MIB, error, sizeof(error)), 0);
	extent_extended(extent, 5 * MIB);
	assert_int_equal(pwrite(fd, pattern, 8192, 4 * MIB - 4096), 8192);
	assert_null(extent_peek(extent, 4 * MIB, 4096));
	assert_null(extent_peek(extent, 4 * MIB - 4096, 8192));
	assert_shows(extent, 4 * MIB - 4096, pattern, 4096);
	extent_close(extent);
}

/* The kernel says so; nobody is killed. */
static void a_file_that_is_cut(void **state)
{
	struct extent *extent = extent_new((struct extent_config){.type = EXTENT_FILE});
	const uint8_t *at;

	assert_int_equal(pwrite(fd, pattern, 8192, MIB), 8192);
	at = extent_peek(extent, MIB, 8192);
	assert_non_null(at);
	assert_int_equal(ftruncate(fd, MIB + 4096), 0);
	assert_int_equal(kernel_reads(at, 8192), -EFAULT);
	assert_int_equal(extent_peek_copy(extent, MIB, 8192, back, NULL), -EIO);
	/* a large page of the cache may reach beyond the new end: mincore() does not tell, we do */
	assert_null(extent_peek(extent, MIB, 8192));
	assert_null(extent_peek(extent, MIB, 4096));
	extent_close(extent);
}

/* Touched for a digest it ends the process no more than that, and the rest has its digest. */
static void a_file_that_is_cut_before_its_digest(void **state)
{
	struct extent *extent = extent_new((struct extent_config){.type = EXTENT_FILE});
	uint32_t crc = 7;

	assert_int_equal(pwrite(fd, pattern, 16384, MIB), 16384);
	assert_non_null(extent_peek(extent, MIB, 16384));
	assert_int_equal(ftruncate(fd, MIB + 8192), 0);
	assert_int_equal(extent_peek_copy(extent, MIB, 16384, back, &crc), -EIO);
	assert_true(extent->map_bad);
	assert_int_equal(crc, 7);
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&extent->map_bad, i == 0);
		memset(back, 0, 8192);
		crc = 7;
		assert_int_equal(extent_peek_copy(extent, MIB, 8192, back, &crc), 0);
		assert_memory_equal(back, pattern, 8192);
		assert_int_equal(crc, crc32c_add(7, pattern, 8192));
	}
	extent_close(extent);
}

/* Touched by ourselves it is no end of the process either, and the rest is still read. */
static void a_file_that_is_cut_while_it_is_copied(void **state)
{
	struct extent *extent = extent_new((struct extent_config){.type = EXTENT_FILE});

	assert_int_equal(pwrite(fd, pattern, MIB, MIB), MIB);
	/* where mincore() has been asked, or a read has told, or on tmpfs */
	assert_int_equal(extent_fd_peek_read(extent, MIB + 512, 8192, back), extent->in_memory);
	extent_fd_seen(extent, MIB, 12288);
	assert_true(extent_fd_peek_read(extent, MIB + 512, 8192, back));
	assert_memory_equal(back, pattern + 512, 8192);
	assert_false(extent_fd_peek_read(extent, 3 * MIB, 4096, back)); /* a hole */
	assert_int_equal(ftruncate(fd, MIB + 4096), 0);
	assert_false(extent_fd_peek_read(extent, MIB, 8192, back));
	assert_true(extent->map_bad);
	assert_false(extent_fd_peek_read(extent, MIB, 4096, back));
	extent_close(extent);
}

struct job {
	struct mailbox_msg msg;
	struct extent *extent;
	struct reactor *r;
	struct extent_io io;
	struct iovec iov;
	int res;
	sem_t over;
};

static void job_done(struct extent_io *io, int res)
{
	struct job *job = container_of(io, struct job, io);

	job->res = res;
	sem_post(&job->over);
}

static void job_run(struct mailbox_msg *msg)
{
	struct job *job = container_of(msg, struct job, msg);

	extent_submit(job->extent, job->r, &job->io);
}

static int job_do(
	struct job *job, enum extent_op op, uint64_t offset, uint32_t length, unsigned char *memory)
{
	job->iov = (struct iovec){.iov_base = memory, .iov_len = length};
	job->io = (struct extent_io){.op = op,
		.offset_bytes = offset,
		.length_bytes = length,
		.iov = &job->iov,
		.iov_count = 1,
		.done = job_done};
	job->msg.fn = job_run;
	reactor_post(job->r, &job->msg);
	sem_wait(&job->over);
	return job->res;
}

static int job_read(struct job *job, uint64_t offset, uint32_t length)
{
	return job_do(job, EXTENT_READ, offset, length, back);
}

/* From `pattern`, one byte further than where reads expect it. */
static int job_write(struct job *job, uint64_t offset, uint32_t length)
{
	return job_do(job, EXTENT_WRITE, offset, length, pattern + 1);
}

/* A reactor's thread blocks signals, but not this one. */
static void a_reactor_reads_a_file_that_is_cut(void **state)
{
	struct reactor_config config = {.buffer_bytes = MIB};
	struct job job = {.r = reactor_new(&config)};

	assert_non_null(job.r);
	assert_int_equal(sem_init(&job.over, 0, 0), 0);
	job.extent = extent_new((struct extent_config){.type = EXTENT_FILE});
	assert_int_equal(pwrite(fd, pattern, MIB, MIB), MIB);
	assert_int_equal(reactor_start(job.r), 0);
	assert_int_equal(job_read(&job, MIB, 8192), 0);
	assert_memory_equal(back, pattern, 8192);
	assert_int_not_equal(job.extent->seen[MIB / 4096 + 1], 0); /* the next is copied */
	assert_int_equal(ftruncate(fd, MIB + 4096), 0);
	assert_int_equal(job_read(&job, MIB, 8192), -EIO);
	assert_true(job.extent->map_bad);
	memset(back, 0, 4096);
	assert_int_equal(job_read(&job, MIB, 4096), 0);
	assert_memory_equal(back, pattern, 4096);
	reactor_stop(job.r);
	reactor_free(job.r);
	extent_close(job.extent);
	sem_destroy(&job.over);
}

static void what_is_in_memory_is_written_in_place(void **state)
{
	struct extent *extent = extent_new((struct extent_config){.type = EXTENT_FILE});
	struct iovec iov[2] = {{pattern, 512}, {pattern + 4096, 8192}};

	/* a hole may find no storage, and is left to the kernel */
	assert_false(extent_fd_peek_write(extent, MIB, iov, 2));
	assert_int_equal(pwrite(fd, pattern, 16384, MIB), 16384);
	assert_false(extent_fd_peek_write(extent, MIB + 1024, iov, 2)); /* not known yet */
	extent_fd_seen(extent, MIB, 16384);
	/* a file system with a disk has to know what is changed */
	assert_int_equal(extent_fd_peek_write(extent, MIB + 1024, iov, 2), extent->in_memory);
	if (extent->in_memory) {
		assert_int_equal(pread(fd, back, 16384, MIB), 16384);
		assert_memory_equal(back, pattern, 1024);
		assert_memory_equal(back + 1024, pattern, 512);
		assert_memory_equal(back + 1536, pattern + 4096, 8192);
		assert_memory_equal(back + 9728, pattern + 9728, 16384 - 9728);
	}
	assert_false(extent_fd_peek_write(extent, MIB + 8192, iov, 2)); /* one page too far */
	extent_fd_forget(extent, MIB, 4096);
	assert_false(extent_fd_peek_write(extent, MIB + 1024, iov, 2));
	extent_close(extent);
}

/* The second time it is there; where it is gone meanwhile, the kernel is asked again. */
static void a_reactor_writes_a_file_that_is_cut(void **state)
{
	struct reactor_config config = {.buffer_bytes = MIB};
	struct job job = {.r = reactor_new(&config)};

	assert_non_null(job.r);
	assert_int_equal(sem_init(&job.over, 0, 0), 0);
	job.extent = extent_new((struct extent_config){.type = EXTENT_FILE});
	assert_int_equal(reactor_start(job.r), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(job_write(&job, MIB, 8192), 0);
		assert_int_equal(!job.extent->seen[MIB / 4096 + 1], !job.extent->in_memory);
		assert_int_equal(pread(fd, back, 8192, MIB), 8192);
		assert_memory_equal(back, pattern + 1, 8192);
		pattern[1 + i]++;
	}
	assert_int_equal(ftruncate(fd, MIB + 4096), 0);
	assert_int_equal(job_write(&job, MIB, 8192), 0);
	assert_int_equal(job.extent->map_bad, job.extent->in_memory);
	assert_int_equal(pread(fd, back, 8192, MIB), 8192);
	assert_memory_equal(back, pattern + 1, 8192);
	reactor_stop(job.r);
	reactor_free(job.r);
	extent_close(job.extent);
	sem_destroy(&job.over);
}

static void memory_shows_itself(void **state)
{
	struct extent *extent =
		extent_new((struct extent_config){.type = EXTENT_RAM, .size_bytes = MIB});

	memset(pattern, 0, 4096);
	assert_shows(extent, 4096, pattern, 4096);
	memset(extent->memory + 4096 + 512, 0x5a, 512);
	memset(pattern + 512, 0x5a, 512);
	assert_shows(extent, 4096, pattern, 4096);
	assert_null(extent_peek(extent, MIB - 512, 1024));
	extent_close(extent);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_shows_what_is_in_the_page_cache),
		TEST(what_is_not_there_is_not_shown),
		cmocka_unit_test_setup_teardown(
			storage_that_is_given_back_is_forgotten, setup_memory, teardown),
		cmocka_unit_test_setup_teardown(
			a_large_file_is_forgotten_by_pages, setup_memory, teardown),
		cmocka_unit_test_setup_teardown(
			a_file_shows_what_is_in_the_page_cache, setup_memory, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_not_there_is_not_shown, setup_memory, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_is_cut, setup_memory, teardown),
		TEST(what_was_there_is_believed_for_a_while),
		TEST(what_is_shared_or_direct_is_not_shown),
		TEST(what_has_grown_is_read_the_ordinary_way),
		TEST(a_file_that_is_cut),
		TEST(a_file_that_is_cut_before_its_digest),
		cmocka_unit_test_setup_teardown(
			a_file_that_is_cut_before_its_digest, setup_memory, teardown),
		TEST(a_file_that_is_cut_while_it_is_copied),
		cmocka_unit_test_setup_teardown(
			a_file_that_is_cut_while_it_is_copied, setup_memory, teardown),
		TEST(a_reactor_reads_a_file_that_is_cut),
		TEST(what_is_in_memory_is_written_in_place),
		TEST(a_reactor_writes_a_file_that_is_cut),
		cmocka_unit_test_setup_teardown(
			what_is_in_memory_is_written_in_place, setup_memory, teardown),
		cmocka_unit_test_setup_teardown(
			a_reactor_writes_a_file_that_is_cut, setup_memory, teardown),
		TEST(memory_shows_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
