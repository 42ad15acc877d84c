/* SPDX-License-Identifier: BSD-3-Clause */
/* The journal of the ledger on real files: what a crash leaves, damage, growth, a full disk. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_ledger.h"
#include "yoke/cursor.h"
#include "yoke/journal.h"
#include "yoke/util.h"

#define OWNER "lab/1"

static char dir[] = "/tmp/yoke-journal-XXXXXX";
static char path[64], path_new[64];
static struct mailbox control;

/* A journal with a device server behind it. */
struct rig {
	struct fake_ledger scsi;
	struct journal *j;
	uint64_t index;
	unsigned changes;
	char error[1024];
};

static void rig_changed(void *arg)
{
	((struct rig *)arg)->changes++;
}

static bool rig_open(struct rig *rig, const char *owner)
{
	struct journal_setup setup = {.dir = dir,
		.owner = owner,
		.control = &control,
		.serve = &rig->scsi.serve,
		.changed = rig_changed,
		.arg = rig};
	unsigned pad = rig->scsi.pad;

	fake_ledger_init(&rig->scsi);
	rig->scsi.pad = pad;
	rig->j = journal_open(&setup, &rig->index, rig->error, sizeof(rig->error));
	return rig->j != NULL;
}

static void rig_close(struct rig *rig)
{
	journal_free(rig->j);
	rig->j = NULL;
}

/* Until everything up to `index` is durable, or (err) nothing can be. No clock: the mail comes. */
static struct journal_status rig_wait(struct rig *rig, uint64_t index, bool err)
{
	struct journal_status status;

	for (;;) {
		struct pollfd pfd = {.fd = control.fd, .events = POLLIN};

		journal_status(rig->j, &status);
		if (err ? status.err != 0 : status.durable >= index && !status.err) {
			return status;
		}
		if (mailbox_sleep(&control)) {
			assert_int_equal(poll(&pfd, 1, 60000), 1);
		}
		mailbox_awake(&control);
		mailbox_run(&control);
	}
}

/* Until what has been asked for is durable, or nothing can be. */
static struct journal_status rig_settle(struct rig *rig)
{
	struct journal_status status;

	for (;;) {
		struct pollfd pfd = {.fd = control.fd, .events = POLLIN};

		journal_status(rig->j, &status);
		if (status.err || status.durable >= rig->index) {
			return status;
		}
		if (mailbox_sleep(&control)) {
			assert_int_equal(poll(&pfd, 1, 60000), 1);
		}
		mailbox_awake(&control);
		mailbox_run(&control);
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

static void rig_apply(struct rig *rig, unsigned lu, const void *bytes, size_t length)
{
	struct ledger_entry entry = {.group = 1, .epoch = 7, .bytes = bytes, .length = length};

	memcpy(entry.lu, fake_ledger_lu(lu), 16);
	rig->scsi.serve.apply(rig->scsi.serve.ctx, &entry, ++rig->index, nothing, NULL);
	journal_append(rig->j, rig->index, &entry);
}

static size_t file_get(uint8_t *to, size_t size)
{
	cleanup_close int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, to, size);

	assert_true(n >= 0);
	return (size_t)n;
}

static void file_put(const char *name, const uint8_t *bytes, size_t size)
{
	cleanup_close int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, bytes, size), size);
}

static int clean(void **state)
{
	(void)state;
	unlink(path);
	unlink(path_new);
	return 0;
}

/* ----- the bytes ------------------------------------------------------------------------------ */

static void test_golden(void **state)
{
	static const uint8_t golden[] = {
		/* clang-format off */
		'Y', 'K', 'L', 'J', 0, 1, 0, 1, 0xde, 0xad, 0xbe, 0xef, 0, 5, 'l', 'a', 'b', '/', '1',
		0x43, 0xf5, 0x27, 0x6b,
		0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 41, 0, 0, 0, 0, 0, 0, 0, 0, 0xca, 0xce, 0x77, 0xb5,
		1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9, 1,
		2, 0, 0, 0, 22, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0, 2, 'h', 'i',
		0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 69, 0, 0, 0, 0, 0, 0, 0, 1, 0x79, 0x5c, 0x17, 0xf3,
		3, 0, 0, 0, 37, 0, 0, 0, 0, 0, 0, 0, 10, 0, 2, 0, 0, 0, 0, 0, 0, 0, 77,
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 'a', 'b', 'c',
		4, 0, 0, 0, 8, 0, 0, 0, 0, 0, 1, 0, 10,
		5, 0, 0, 0, 9, 0, 0, 0, 0, 0, 1, 0, 10, 0,
		/* clang-format on */
	};
	static const uint8_t states[] = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0, 2, 'h', 'i'};
	struct ledger_entry entry = {.lu = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		.group = 2,
		.epoch = 77,
		.bytes = (const uint8_t *)"abc",
		.length = 3};
	struct journal_bytes file = {0}, records = {0};
	uint8_t head[JOURNAL_FRAME_BYTES];

	(void)state;
	assert_int_equal(
		journal_begin_put(&file, OWNER, 0xdeadbeef, 9, true, states, sizeof(states)), 0);
	assert_int_equal(journal_record_put(&records, 10, &entry), 0);
	assert_int_equal(journal_record_put(&records, 0x1000a, NULL), 0);
	assert_int_equal(journal_mark_put(&records, 0x1000a, false), 0);
	journal_frame_put(head, 0xdeadbeef, 1, records.base, records.length);
	memcpy(journal_bytes_add(&file, sizeof(head)), head, sizeof(head));
	memcpy(journal_bytes_add(&file, records.length), records.base, records.length);
	assert_int_equal(file.length, sizeof(golden));
	assert_memory_equal(file.base, golden, sizeof(golden));
	journal_bytes_free(&file);
	journal_bytes_free(&records);
}

/* ----- the life of a file --------------------------------------------------------------------- */

static void test_again(void **state)
{
	struct rig rig = {0}, back = {0};

	(void)state;
	assert_true(rig_open(&rig, OWNER));
	assert_int_equal(rig.index, 0);
	rig_apply(&rig, 0, "one", 3);
	rig_apply(&rig, 1, "two", 3);
	rig_apply(&rig, 0, "volatile", 8);
	rig.index += 65536;
	journal_append(rig.j, rig.index, NULL);
	rig_apply(&rig, 2, "", 0);
	assert_true(rig_wait(&rig, rig.index, false).bytes > 100);
	assert_true(rig.changes > 0);
	rig_close(&rig);

	assert_true(rig_open(&back, OWNER));
	assert_int_equal(back.index, rig.index);
	assert_true(fake_ledger_same(&rig.scsi, &back.scsi));
	assert_int_equal(
		ledger_states_digest(&rig.scsi.serve), ledger_states_digest(&back.scsi.serve));
	/* After the loss of all controllers only what lasts is left. */
	assert_int_equal(back.scsi.lus[0].volatile_count, 1);
	assert_int_equal(ledger_states_cold(&back.scsi.serve), 0);
	assert_int_equal(back.scsi.lus[0].volatile_count, 0);
	assert_int_equal(back.scsi.lus[0].count, 1);
	rig_close(&back);
}

/* Who went on alone knows it in its next life, and who was joined meanwhile as well. */
static void test_alone(void **state)
{
	struct journal_status status;
	struct rig rig = {0};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		bool alone = i % 2;

		assert_true(rig_open(&rig, OWNER));
		journal_status(rig.j, &status);
		assert_int_equal(status.alone, !alone); /* a new one is */
		assert_int_equal(status.replaced, 0);
		journal_mark(rig.j, rig.index, alone, 7);
		if (i & 2) {
			journal_replace(rig.j, rig.index, 0);
		}
		rig_apply(&rig, 0, "x", 1);
		rig_wait(&rig, rig.index, false);
		journal_status(rig.j, &status);
		assert_int_equal(status.replaced, 7); /* the mark is on the disk, too */
		rig_close(&rig);
	}
}

/* The digest tells a difference, and which LU. */
static void test_digest(void **state)
{
	struct fake_ledger a, b;
	uint32_t whole = 0;

	(void)state;
	fake_ledger_init(&a);
	fake_ledger_init(&b);
	assert_int_equal(ledger_states_digest(&a.serve), 0);
	a.lus[1] = b.lus[1] = (struct fake_ledger_lu){.count = 3, .hash = 4, .last = 5};
	a.lus[2] = b.lus[2] = (struct fake_ledger_lu){.count = 3, .hash = 4, .last = 5};
	assert_int_not_equal(ledger_states_digest(&a.serve), 0); /* the UUID counts */
	assert_int_equal(ledger_states_digest(&a.serve), ledger_states_digest(&b.serve));
	b.lus[2].hash++;
	assert_int_not_equal(ledger_states_digest(&a.serve), ledger_states_digest(&b.serve));
	for (unsigned i = 0; i < FAKE_LEDGER_LUS; i++) {
		uint32_t one = ledger_state_digest(&b.serve, fake_ledger_lu(i));

		assert_int_equal(one == ledger_state_digest(&a.serve, fake_ledger_lu(i)), i != 2);
		whole ^= one;
	}
	assert_int_equal(whole, ledger_states_digest(&b.serve));
}

/* States that are cut short, too long or of a kind that the device server refuses. */
static void test_states_bad(void **state)
{
	struct journal_bytes states = {0};
	struct fake_ledger a, b;
	uint8_t lu[16];

	(void)state;
	fake_ledger_init(&a);
	fake_ledger_init(&b);
	a.lus[0].count = a.lus[2].count = 1;
	assert_int_equal(ledger_states_save(&a.serve, &states), 0);
	for (size_t cut = 1; cut < states.length; cut++) {
		int err = ledger_states_load(&b.serve, states.base, cut, false, lu);

		assert_int_equal(err, cut == states.length / 2 ? 0 : -EBADMSG);
	}
	states.base[20] = 99;
	assert_int_equal(
		ledger_states_load(&b.serve, states.base, states.length, false, lu), -EBADMSG);
	assert_memory_equal(lu, fake_ledger_lu(0), 16);
	journal_bytes_free(&states);
}

/* ----- what a crash leaves ----------------------------------------------------------------------
 */

#define IMAGE_FRAMES 6

/* A journal whose frame i ends at ends[i] and leads to the state was[i]. */
struct image {
	uint8_t bytes[8192];
	size_t size;
	size_t ends[IMAGE_FRAMES];
	struct fake_ledger was[IMAGE_FRAMES];
	uint64_t index[IMAGE_FRAMES];
};

static struct image *image_make(void)
{
	struct image *image = calloc(1, sizeof(*image));
	struct rig rig = {0};

	clean(NULL);
	assert_true(rig_open(&rig, OWNER));
	for (unsigned i = 0; i < IMAGE_FRAMES; i++) {
		char text[16];

		if (i > 0) {
			snprintf(text, sizeof(text), "entry %u", i);
			rig_apply(&rig, i % 3, text, strlen(text));
		}
		image->ends[i] = rig_wait(&rig, rig.index, false).bytes;
		image->was[i] = rig.scsi;
		image->was[i].serve.ctx = &image->was[i];
		image->index[i] = rig.index;
	}
	rig_close(&rig);
	image->size = file_get(image->bytes, sizeof(image->bytes));
	assert_int_equal(image->size, image->ends[IMAGE_FRAMES - 1]);
	return image;
}

/* A power loss at every byte of the file's growth. */
static void test_torn(void **state)
{
	struct image *image = image_make();
	unsigned frame = 0;

	(void)state;
	for (size_t cut = image->ends[0]; cut <= image->size; cut++) {
		struct rig rig = {0};

		while (frame + 1 < IMAGE_FRAMES && cut >= image->ends[frame + 1]) {
			frame++;
		}
		file_put(path, image->bytes, cut);
		assert_true(rig_open(&rig, OWNER));
		assert_int_equal(rig.index, image->index[frame]);
		assert_true(fake_ledger_same(&rig.scsi, &image->was[frame]));
		/* It goes on from there. */
		rig_apply(&rig, 1, "after", 5);
		rig_wait(&rig, rig.index, false);
		rig_close(&rig);
		assert_true(rig_open(&rig, OWNER));
		assert_int_equal(rig.index, image->index[frame] + 1);
		rig_close(&rig);
	}
	/* What was made as a whole cannot be torn: that is damage. */
	for (size_t cut = 0; cut < image->ends[0]; cut++) {
		struct rig rig = {0};

		file_put(path, image->bytes, cut);
		assert_false(rig_open(&rig, OWNER));
		assert_non_null(strstr(rig.error, path));
		assert_non_null(strstr(rig.error, "offset"));
	}
	free(image);
}

/* Every byte of the file wrong: refused by name and offset, or, in the last frame, as torn. */
static void test_damage(void **state)
{
	struct image *image = image_make();

	(void)state;
	for (size_t at = 0; at < image->size; at++) {
		unsigned frame = 0;
		struct rig rig = {0};
		char where[32];

		while (at >= image->ends[frame]) {
			frame++;
		}
		image->bytes[at] ^= 0x40;
		file_put(path, image->bytes, image->size);
		if (frame == IMAGE_FRAMES - 1) {
			assert_true(rig_open(&rig, OWNER));
			assert_int_equal(rig.index, image->index[frame - 1]);
			assert_true(fake_ledger_same(&rig.scsi, &image->was[frame - 1]));
			rig_close(&rig);
		} else {
			assert_false(rig_open(&rig, OWNER));
			assert_non_null(strstr(rig.error, path));
			assert_non_null(strstr(rig.error, "remove it when the other controller"));
		}
		if (frame > 0 && frame < IMAGE_FRAMES - 1) {
			snprintf(where, sizeof(where), "offset %zu:", image->ends[frame - 1]);
			assert_non_null(strstr(rig.error, where));
		}
		image->bytes[at] ^= 0x40;
	}
	free(image);
}

static void test_foreign(void **state)
{
	struct image *image = image_make();
	struct rig rig = {0};

	(void)state;
	assert_false(rig_open(&rig, "lab/2"));
	assert_non_null(strstr(rig.error, "belongs to lab/1"));
	image->bytes[7] = 9; /* the lowest version that can read it */
	file_put(path, image->bytes, image->size);
	assert_false(rig_open(&rig, OWNER));
	assert_non_null(strstr(rig.error, "newer yoked"));
	free(image);
}

/* Frames whose checksum is good and whose contents are not: the device server never sees them. */
static void test_lies(void **state)
{
	static const uint8_t bad[][24] = {
		{3, 0, 0, 0, 4, 0, 0, 0, 9}, /* an entry too short */
		{4, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9}, /* the index does not grow */
		{4, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 99, 1}, /* too long */
		{1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 99, 0}, /* a second base */
		{5, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9, 2}, /* a mark of no version */
		{5, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 10, 0}, /* ... that comes too early */
		{7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 99}, /* no such record */
		{4, 0xff, 0xff, 0xff, 0xff}, /* longer than its frame */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct journal_bytes file = {0};
		uint8_t *at;
		size_t size = bad[i][4] == 0xff ? 5 : 5u + bad[i][4];
		struct rig rig = {0};

		assert_int_equal(journal_begin_put(&file, OWNER, 5, 9, false, NULL, 0), 0);
		at = journal_bytes_add(&file, JOURNAL_FRAME_BYTES + size);
		memcpy(at + JOURNAL_FRAME_BYTES, bad[i], size);
		journal_frame_put(at, 5, 1, at + JOURNAL_FRAME_BYTES, size);
		file_put(path, file.base, file.length);
		assert_false(rig_open(&rig, OWNER));
		assert_non_null(strstr(rig.error, "bad contents"));
		assert_int_equal(rig.scsi.index, 0);
		journal_bytes_free(&file);
	}
}

/* ----- growth ------------------------------------------------------------------------------------
 */

/* It stays bounded however many entries come, and loses none. */
static void test_compaction(void **state)
{
	static uint8_t big[LEDGER_ENTRY_BYTES_MAX];
	struct rig rig = {0}, back = {0};
	uint64_t largest = 0;

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_true(rig_open(&rig, OWNER));
	for (unsigned i = 0; i < 150; i++) {
		struct journal_status status;

		rig_apply(&rig, i % 3, big, sizeof(big));
		status = rig_wait(&rig, i % 8 ? 0 : rig.index, false);
		largest = status.bytes > largest ? status.bytes : largest;
	}
	rig_wait(&rig, rig.index, false);
	rig_close(&rig);
	assert_true(largest > JOURNAL_ENTRIES_BYTES / 2);
	assert_true(largest < JOURNAL_ENTRIES_BYTES + (1u << 20));
	assert_true(rig_open(&back, OWNER));
	assert_int_equal(back.index, 150);
	assert_true(fake_ledger_same(&rig.scsi, &back.scsi));
	rig_close(&back);
}

/* A crash at each point of a replacement: until the rename the old file counts. */
static void test_replacement_crash(void **state)
{
	struct image *image = image_make();
	struct journal_bytes next = {0}, states = {0};
	struct rig rig = {0};

	(void)state;
	assert_int_equal(ledger_states_save(&image->was[IMAGE_FRAMES - 1].serve, &states), 0);
	assert_int_equal(
		journal_begin_put(&next, OWNER, 77, 1000, false, states.base, states.length), 0);
	for (size_t written = 0; written <= next.length; written++) {
		file_put(path_new, next.base, written);
		assert_true(rig_open(&rig, OWNER));
		assert_int_equal(rig.index, image->index[IMAGE_FRAMES - 1]);
		rig_close(&rig);
	}
	assert_int_equal(rename(path_new, path), 0);
	assert_true(rig_open(&rig, OWNER));
	assert_int_equal(rig.index, 1000);
	/* The remains of a failed one are in nobody's way. */
	file_put(path_new, next.base, 10);
	journal_replace(rig.j, 1000, 0);
	rig_apply(&rig, 0, "more", 4);
	rig_wait(&rig, 1001, false);
	rig_close(&rig);
	assert_true(rig_open(&rig, OWNER));
	assert_int_equal(rig.index, 1001);
	rig_close(&rig);
	journal_bytes_free(&next);
	journal_bytes_free(&states);
	free(image);
}

/* ----- a disk that is full
 * ------------------------------------------------------------------------ */

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_faccessat(int fd, const char *name, int mode, int flags);
static int no_space, no_writing;

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
	(void)fd;
	(void)mode;
	(void)offset;
	assert_int_equal(length, JOURNAL_RESERVE_BYTES);
	errno = no_space;
	return no_space ? -1 : 0;
}

/* The disk: it hangs until somebody lets it go, or fails. */
static atomic_int hangs; /* where it does */
enum {
	NOWHERE,
	IN_SYNC,
	IN_LOOK
};
static atomic_int sync_error;
static atomic_uint syncs, stuck;
static sem_t inside, go_on;
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

static void hang(int where)
{
	if (hangs == where) {
		stuck++;
		sem_post(&inside);
		sem_wait(&go_on);
		stuck--;
	}
}

int __wrap_fdatasync(int fd)
{
	syncs++;
	hang(IN_SYNC);
	return __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
	syncs++;
	errno = sync_error;
	return errno ? -1 : __real_fsync(fd);
}

static struct journal_status rig_status(struct rig *rig)
{
	struct journal_status status;

	journal_status(rig->j, &status);
	return status;
}

int __wrap_faccessat(int fd, const char *name, int mode, int flags)
{
	(void)fd;
	(void)name;
	(void)mode;
	(void)flags;
	hang(IN_LOOK);
	errno = no_writing;
	return no_writing ? -1 : 0;
}

/* No more space: said while there still is room for the entries under way, before any is lost. */
static void test_full(void **state)
{
	static uint8_t big[LEDGER_ENTRY_BYTES_MAX];
	struct rig rig = {0}, back = {0};
	struct journal_status status;
	unsigned fitted = 0;

	(void)state;
	memset(big, 'y', sizeof(big));
	assert_true(rig_open(&rig, OWNER));
	no_space = ENOSPC;
	do {
		rig_apply(&rig, 0, big, sizeof(big));
		status = rig_settle(&rig);
	} while (!status.err && ++fitted < 100);
	assert_int_equal(status.err, -ENOSPC);
	assert_int_equal(status.durable, rig.index);
	assert_true(fitted > 4 && fitted < 10); /* half of the reserve is left */
	rig_apply(&rig, 1, big, sizeof(big));
	rig_wait(&rig, rig.index, true);
	no_space = 0;
	/* It looks again by itself. */
	status = rig_wait(&rig, rig.index, false);
	assert_int_equal(status.durable, rig.index);
	rig_close(&rig);
	assert_true(rig_open(&back, OWNER));
	assert_true(fake_ledger_same(&rig.scsi, &back.scsi));
	rig_close(&back);
}

/* A file system that has become read-only is noticed without an entry. */
static void test_read_only(void **state)
{
	struct rig rig = {0};

	(void)state;
	assert_true(rig_open(&rig, OWNER));
	no_writing = EROFS;
	assert_int_equal(rig_wait(&rig, 0, true).err, -EROFS);
	no_writing = 0;
	assert_int_equal(rig_wait(&rig, 0, false).err, 0);
	rig_close(&rig);
}

static void size_limit(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Ten entries, of which the disk takes only some. */
static struct journal_status rig_overfill(struct rig *rig)
{
	struct journal_status status = {0};

	assert_true(rig_open(rig, OWNER));
	rig_apply(rig, 0, "good", 4);
	rig_wait(rig, 1, false);
	size_limit(300);
	for (unsigned i = 0; i < 10; i++) {
		rig_apply(rig, 0, "01234567890123456789", 20);
		status = rig_settle(rig);
	}
	assert_int_equal(status.err, -EFBIG);
	assert_true(status.durable >= 1 && status.durable < rig->index);
	/* The disk is well again, but what was left out is missing. */
	size_limit(RLIM_INFINITY);
	rig_apply(rig, 1, "behind", 6);
	assert_int_equal(rig_settle(rig).err, -EFBIG);
	return status;
}

/* A write fails: nothing behind it is durable either, until a replacement has come. */
static void test_write_fails(void **state)
{
	struct rig rig = {0}, back = {0};
	struct journal_status status = rig_overfill(&rig);

	/* A crash here: what was said to be durable is there. */
	rig_close(&rig);
	assert_true(rig_open(&back, OWNER));
	assert_int_equal(back.index, status.durable);
	rig_close(&back);

	clean(state);
	rig_overfill(&rig);
	journal_replace(rig.j, rig.index, 0);
	rig_wait(&rig, rig.index, false);
	rig_close(&rig);
	assert_true(rig_open(&back, OWNER));
	assert_int_equal(back.index, rig.index);
	assert_true(fake_ledger_same(&rig.scsi, &back.scsi));
	rig_close(&back);
}

/* One directory, two daemons: the second goes without, and the first does not notice. */
/* ----- a disk that hangs
 * -------------------------------------------------------------------------- */

/* Everything up to `index` and no more is in the file. */
static void expect_file(const struct rig *rig, uint64_t index)
{
	struct rig back = {0};
	bool opened = rig_open(&back, OWNER);

	rig_close(&back);
	assert_true(opened);
	assert_int_equal(back.index, index);
	assert_true(!rig || fake_ledger_same(&rig->scsi, &back.scsi));
}

/* The disk does not come back from the first entry's write, which is found out. */
static void rig_hang(struct rig *rig)
{
	assert_true(rig_open(rig, OWNER));
	rig_apply(rig, 0, "good", 4);
	rig_wait(rig, 1, false);
	syncs = 0;
	hangs = IN_SYNC;
	rig_apply(rig, 0, "hangs", 5);
	sem_wait(&inside);
	journal_watch(rig->j, 1000);
	journal_watch(rig->j, 1000 + JOURNAL_HANGS_MS - 1);
	assert_int_equal(rig_status(rig).err, 0);
	rig->changes = 0;
	journal_watch(rig->j, 1000 + JOURNAL_HANGS_MS);
	mailbox_run(&control);
	assert_int_equal(rig->changes, 1);
	assert_int_equal(rig_status(rig).err, JOURNAL_HANGS);
	journal_watch(rig->j, 1000 + 2 * JOURNAL_HANGS_MS);
	mailbox_run(&control);
	assert_int_equal(rig->changes, 1);
}

static void let_go(void)
{
	hangs = NOWHERE;
	sem_post(&go_on);
}

static struct rig hung;

/* Also after a test that has failed: nobody is left behind for the next one. */
static int unhang(void **state)
{
	(void)state;
	hangs = NOWHERE;
	sync_error = 0;
	for (unsigned n = stuck; n > 0; n--) {
		sem_post(&go_on);
	}
	while (stuck) {
		sched_yield();
	}
	rig_close(&hung);
	sem_destroy(&inside);
	sem_destroy(&go_on);
	sem_init(&inside, 0, 0);
	sem_init(&go_on, 0, 0);
	return 0;
}

/*
 * A disk that hangs is an error, too, and it ends by itself. (There was none: every host that had
 * asked for a change, at either controller, waited as long as the disk did.)
 */
static void test_hangs(void **state)
{
	struct rig *rig = &hung;
	struct journal_status status;

	(void)state;
	rig_hang(rig);
	assert_int_equal(rig_status(rig).durable, 1);
	let_go();
	status = rig_wait(rig, rig->index, false);
	assert_int_equal(status.err, 0);
	/* The next one begins from the start. */
	journal_watch(rig->j, 1000 + 3 * JOURNAL_HANGS_MS);
	assert_int_equal(rig_status(rig).err, 0);
	rig_close(rig);
	expect_file(rig, rig->index);
}

/* Also when there is nothing to write: the look at the directory hangs. */
static void test_hangs_idle(void **state)
{
	struct rig *rig = &hung;

	(void)state;
	assert_true(rig_open(rig, OWNER));
	hangs = IN_LOOK;
	sem_wait(&inside);
	journal_watch(rig->j, 0);
	journal_watch(rig->j, JOURNAL_HANGS_MS);
	assert_int_equal(rig_status(rig).err, JOURNAL_HANGS);
	let_go();
	assert_int_equal(rig_wait(rig, 0, false).err, 0);
	rig_close(rig);
}

/* Whoever tries again every second does not fill the memory: only the last attempt is left. */
static void test_hangs_long(void **state)
{
	struct rig *rig = &hung;
	struct journal_status status;

	(void)state;
	rig_hang(rig);
	journal_mark(rig->j, rig->index, false, 9);
	for (unsigned i = 0; i < 100; i++) {
		rig_apply(rig, i & 1, "more", 4);
		journal_replace(rig->j, rig->index, i < 50 ? 8 : 0);
	}
	rig_apply(rig, 1, "last", 4);
	let_go();
	status = rig_wait(rig, rig->index, false);
	assert_int_equal(status.replaced, 9);
	assert_false(status.alone);
	assert_int_equal(syncs, 4); /* what hung; a new file and its name; what came last */
	rig_close(rig);
	expect_file(rig, rig->index);
}

/* What was left out is nowhere when the replacement fails: nothing is written behind the gap. */
static void test_hangs_and_fails(void **state)
{
	struct rig *rig = &hung;

	(void)state;
	rig_hang(rig);
	rig_apply(rig, 1, "left out", 8);
	journal_replace(rig->j, rig->index, 0);
	sync_error = EIO;
	let_go();
	do {
		rig_wait(rig, 0, true);
	} while (rig_status(rig).err != -EIO); /* for a moment it is well, before it is made anew */
	sync_error = 0;
	rig_apply(rig, 1, "behind", 6);
	assert_int_equal(rig_settle(rig).err, -EIO);
	rig_close(rig);
	expect_file(NULL, 2);
}

static void test_two_daemons(void **state)
{
	struct rig rig = {0}, second = {0};
	struct journal_status status;

	(void)state;
	assert_true(rig_open(&rig, OWNER));
	rig_apply(&rig, 0, "one", 3);
	rig_wait(&rig, 1, false);
	assert_true(rig_open(&second, OWNER));
	journal_status(second.j, &status);
	assert_int_equal(status.err, -EBUSY);
	journal_replace(second.j, 0, 0);
	rig_close(&second);
	rig_apply(&rig, 0, "two", 3);
	rig_wait(&rig, 2, false);
	rig_close(&rig);
	assert_true(rig_open(&rig, OWNER));
	assert_int_equal(rig.index, 2);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_golden, clean),
		cmocka_unit_test_setup(test_again, clean),
		cmocka_unit_test_setup(test_alone, clean),
		cmocka_unit_test_setup(test_digest, clean),
		cmocka_unit_test_setup(test_states_bad, clean),
		cmocka_unit_test_setup(test_torn, clean),
		cmocka_unit_test_setup(test_damage, clean),
		cmocka_unit_test_setup(test_foreign, clean),
		cmocka_unit_test_setup(test_lies, clean),
		cmocka_unit_test_setup(test_compaction, clean),
		cmocka_unit_test_setup(test_replacement_crash, clean),
		cmocka_unit_test_setup(test_full, clean),
		cmocka_unit_test_setup(test_read_only, clean),
		cmocka_unit_test_setup(test_write_fails, clean),
		cmocka_unit_test_setup_teardown(test_hangs, clean, unhang),
		cmocka_unit_test_setup_teardown(test_hangs_idle, clean, unhang),
		cmocka_unit_test_setup_teardown(test_hangs_long, clean, unhang),
		cmocka_unit_test_setup_teardown(test_hangs_and_fails, clean, unhang),
		cmocka_unit_test_setup(test_two_daemons, clean),
	};
	int failed;

	signal(SIGXFSZ, SIG_IGN);
	sem_init(&inside, 0, 0);
	sem_init(&go_on, 0, 0);
	if (!mkdtemp(dir) || mailbox_open(&control) < 0) {
		return 1;
	}
	snprintf(path, sizeof(path), "%s/%s", dir, JOURNAL_FILE);
	snprintf(path_new, sizeof(path_new), "%s/%s.new", dir, JOURNAL_FILE);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	clean(NULL);
	rmdir(dir);
	mailbox_close(&control);
	return failed;
}
