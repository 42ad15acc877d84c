/* SPDX-License-Identifier: BSD-3-Clause */
/* The journal's file, and the thread that writes it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "yoke/journal.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define JOURNAL_TEMPORARY JOURNAL_FILE ".new"
#define JOURNAL_BYTES_MAX (1u << 30)
#define PROBE_S		  1 /* how often an idle journal looks whether it could write */

/* What the thread is to do next, in order. */
struct segment {
	struct segment *next;
	struct journal_bytes bytes; /* records; of a replacement: the states */
	uint64_t index; /* durable when it is written */
	bool replaces;
	bool bridges; /* a replacement of what was left out before it: it must not fail */
	uint64_t number; /* of a replacement, or of the last mark */
	bool alone; /* of a replacement */
};

struct journal {
	struct journal_setup setup;
	char *owner;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t wake;

	/* The control thread's. */
	size_t grown; /* bytes of entries since the last snapshot */
	size_t base; /* bytes of that snapshot */
	bool alone; /* as marked last */
	uint64_t seen_turn, seen_ms; /* by journal_watch() */

	/* Under the lock. */
	struct segment *head, **tail;
	bool ending, posted;
	uint64_t turn; /* of the thread: odd while it is with the disk */
	bool hangs; /* it has been there for too long */
	bool lost; /* a record was left out for want of memory: nothing more until a replacement */
	struct journal_status status;
	struct mailbox_msg msg;

	/* The thread's. */
	int dir_fd, fd;
	struct journal_end end;
	uint64_t reserved; /* space of the file up to here is the file system's promise */
	int broken; /* a write has failed: only a replacement helps */
};

/* ----- telling the control thread --------------------------------------------------------------
 */

static void journal_tell(struct mailbox_msg *msg)
{
	struct journal *j = container_of(msg, struct journal, msg);
	bool ending;

	pthread_mutex_lock(&j->lock);
	j->posted = false;
	ending = j->ending;
	pthread_mutex_unlock(&j->lock);
	if (!ending) {
		j->setup.changed(j->setup.arg);
	}
}

/* With the lock held. */
static void journal_note(struct journal *j, int err, bool always)
{
	err = j->lost ? -ENOMEM : j->hangs ? JOURNAL_HANGS : err;
	always = always || err != j->status.err;
	j->status.err = err;
	if (always && !j->posted && !j->ending) {
		j->posted = true;
		mailbox_post(j->setup.control, &j->msg);
	}
}

void journal_status(struct journal *j, struct journal_status *status)
{
	pthread_mutex_lock(&j->lock);
	*status = j->status;
	pthread_mutex_unlock(&j->lock);
	status->alone = j->alone;
}

void journal_watch(struct journal *j, uint64_t now_ms)
{
	pthread_mutex_lock(&j->lock);
	if (j->turn != j->seen_turn) {
		j->seen_turn = j->turn;
		j->seen_ms = now_ms;
	} else if (j->turn & 1 && !j->hangs && now_ms - j->seen_ms >= JOURNAL_HANGS_MS) {
		j->hangs = true;
		journal_note(j, j->status.err, false);
	}
	pthread_mutex_unlock(&j->lock);
}

/* The thread goes to the disk, and comes back. The lock is held before the one, after the other. */
static void disk_enter(struct journal *j)
{
	j->turn++;
	pthread_mutex_unlock(&j->lock);
}

static void disk_leave(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	j->turn++;
	j->hangs = false;
}

/* ----- the file, on the thread ------------------------------------------------------------------
 */

static int write_at(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
	while (size) {
		ssize_t n = pwrite(fd, bytes, size, (off_t)offset);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		bytes += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

/* Could an entry be written? Keeps room for those that are under way when the answer turns no. */
static int journal_room(struct journal *j)
{
	uint64_t want = j->end.good + JOURNAL_RESERVE_BYTES;

	if (j->broken) {
		return j->broken;
	}
	if (faccessat(j->dir_fd, ".", W_OK, AT_EACCESS) != 0) {
		return -errno;
	}
	if (j->reserved >= j->end.good + JOURNAL_RESERVE_BYTES / 2) {
		return 0;
	}
	if (fallocate(j->fd, FALLOC_FL_KEEP_SIZE, (off_t)j->end.good, JOURNAL_RESERVE_BYTES) != 0 &&
		errno != EOPNOTSUPP && errno != ENOSYS) {
		return -errno;
	}
	j->reserved = want;
	return 0;
}

/* One frame, durable. */
static int journal_write(struct journal *j, const struct journal_bytes *records, uint64_t index)
{
	uint8_t head[JOURNAL_FRAME_BYTES];
	int err;

	if (j->broken) {
		return j->broken;
	}
	if (records->length == 0) {
		return 0; /* its record was lost */
	}
	journal_frame_put(head, j->end.mark, j->end.number, records->base, records->length);
	err = write_at(j->fd, head, sizeof(head), j->end.good);
	if (!err) {
		err = write_at(j->fd, records->base, records->length, j->end.good + sizeof(head));
	}
	if (!err && fdatasync(j->fd) != 0) {
		err = -errno;
	}
	if (err) {
		/* What the file holds now nobody knows. */
		j->broken = err;
		return err;
	}
	j->end.good += sizeof(head) + records->length;
	j->end.number++;
	j->end.index = index;
	return 0;
}

static int replacement_put(struct journal *j, int fd, const struct journal_bytes *file)
{
	int err = write_at(fd, file->base, file->length, 0);

	if (!err && fsync(fd) != 0) {
		err = -errno;
	}
	if (!err && renameat(j->dir_fd, JOURNAL_TEMPORARY, j->dir_fd, JOURNAL_FILE) != 0) {
		err = -errno;
	}
	if (!err && fsync(j->dir_fd) != 0) {
		err = -errno;
	}
	return err;
}

/* A new file with a snapshot takes the place of the old one; when that fails the old one stays. */
static int journal_swap(
	struct journal *j, const struct journal_bytes *states, uint64_t index, bool alone)
{
	struct journal_bytes file = {0};
	uint32_t mark;
	int fd, err;

	if (j->dir_fd < 0) {
		return j->broken; /* until the next start */
	}
	if (getrandom(&mark, sizeof(mark), 0) != sizeof(mark) ||
		journal_begin_put(
			&file, j->owner, mark, index, alone, states->base, states->length)) {
		return -ENOMEM;
	}
	fd = openat(j->dir_fd, JOURNAL_TEMPORARY, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	err = fd < 0 ? -errno : replacement_put(j, fd, &file);
	if (err) {
		if (fd >= 0) {
			close(fd);
			unlinkat(j->dir_fd, JOURNAL_TEMPORARY, 0);
		}
	} else {
		if (j->fd >= 0) {
			close(j->fd);
		}
		j->fd = fd;
		j->end = (struct journal_end){.mark = mark,
			.number = 1,
			.good = file.length,
			.index = index,
			.alone = alone};
		j->reserved = 0;
		j->broken = 0;
	}
	journal_bytes_free(&file);
	return err;
}

static void segment_free(struct segment *s)
{
	journal_bytes_free(&s->bytes);
	free(s);
}

/* With the lock held, which it gives back meanwhile. */
static void segment_do(struct journal *j, struct segment *s)
{
	struct journal_status *status = &j->status;
	bool done;
	int err;

	disk_enter(j);
	err = s->replaces ? journal_swap(j, &s->bytes, s->index, s->alone)
			  : journal_write(j, &s->bytes, s->index);
	done = err == 0;
	if (err && s->bridges) {
		j->broken = err;
	}
	err = err ? err : journal_room(j);
	disk_leave(j);
	status->bytes = j->end.good;
	if (done && (s->replaces || s->index > status->durable)) {
		status->durable = s->index; /* lower where another history takes its place */
	}
	if (done && s->number > status->replaced) {
		status->replaced = s->number;
	}
	journal_note(j, err, true);
}

/* Until there is work; false at the end. With the lock held. */
static bool journal_wait(struct journal *j)
{
	while (!j->head && !j->ending) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += PROBE_S;
		if (pthread_cond_timedwait(&j->wake, &j->lock, &until) == ETIMEDOUT && !j->head) {
			int err;

			disk_enter(j);
			err = journal_room(j);
			disk_leave(j);
			journal_note(j, err, false);
		}
	}
	return j->head != NULL;
}

static void *journal_run(void *arg)
{
	struct journal *j = arg;

	pthread_mutex_lock(&j->lock);
	while (journal_wait(j)) {
		struct segment *s = j->head;

		j->head = s->next;
		if (!j->head) {
			j->tail = &j->head;
		}
		segment_do(j, s);
		segment_free(s);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

/* ----- the control thread ----------------------------------------------------------------------
 */

/* The last segment if more records may go into it, or a new one. With the lock held. */
static struct segment *segment_last(struct journal *j, bool replaces)
{
	struct segment *s = j->head ? container_of(j->tail, struct segment, next) : NULL;

	if (s && !s->replaces && !replaces) {
		return s;
	}
	s = calloc(1, sizeof(*s));
	if (s) {
		s->replaces = replaces;
		*j->tail = s;
		j->tail = &s->next;
	}
	return s;
}

/* An entry left out would be a lie. With the lock held. */
static void journal_lose(struct journal *j)
{
	log_err("%s/%s: out of memory", j->setup.dir, JOURNAL_FILE);
	j->lost = true;
	journal_note(j, -ENOMEM, false);
}

void journal_append(struct journal *j, uint64_t index, const struct ledger_entry *entry)
{
	size_t size = 64 + (entry ? entry->length : 0);
	struct segment *s;
	int err = -ENOMEM;

	j->grown += size;
	if (j->grown > JOURNAL_ENTRIES_BYTES && j->grown > j->base) {
		journal_replace(j, index, 0);
		return;
	}
	pthread_mutex_lock(&j->lock);
	s = j->lost ? NULL : segment_last(j, false);
	if (s) {
		err = journal_record_put(&s->bytes, index, entry);
		s->index = err ? s->index : index;
	}
	if (err) {
		journal_lose(j);
	}
	pthread_cond_signal(&j->wake);
	pthread_mutex_unlock(&j->lock);
}

void journal_mark(struct journal *j, uint64_t index, bool alone, uint64_t number)
{
	struct segment *s;
	int err = -ENOMEM;

	j->alone = alone;
	pthread_mutex_lock(&j->lock);
	s = j->lost ? NULL : segment_last(j, false);
	if (s) {
		err = journal_mark_put(&s->bytes, index, alone);
		s->index = err ? s->index : index;
		s->number = err ? s->number : number;
	}
	if (err) {
		journal_lose(j);
	}
	pthread_cond_signal(&j->wake);
	pthread_mutex_unlock(&j->lock);
}

/*
 * The disk hangs: what waits for it is left out, as the replacement that comes has it all. With the
 * lock held; the highest number that is left out with it.
 */
static uint64_t queue_drop(struct journal *j)
{
	uint64_t number = 0;

	while (j->head) {
		struct segment *s = j->head;

		j->head = s->next;
		number = s->number > number ? s->number : number;
		segment_free(s);
	}
	j->tail = &j->head;
	return number;
}

void journal_replace(struct journal *j, uint64_t index, uint64_t number)
{
	struct journal_bytes states = {0};
	struct segment *s = NULL;
	uint64_t dropped = 0;
	int err = ledger_states_save(j->setup.serve, &states);

	j->grown = 0;
	j->base = states.length;
	pthread_mutex_lock(&j->lock);
	if (!err) {
		dropped = j->hangs ? queue_drop(j) : 0;
		s = segment_last(j, true);
	}
	if (s) {
		s->bytes = states;
		s->index = index;
		s->number = number > dropped ? number : dropped;
		s->bridges = j->hangs;
		s->alone = j->alone;
		j->lost = false;
	} else {
		journal_bytes_free(&states);
		journal_lose(j);
	}
	pthread_cond_signal(&j->wake);
	pthread_mutex_unlock(&j->lock);
}

/* ----- the start and the end ---------------------------------------------------------------------
 */

static void replay_applied(void *arg)
{
	(void)arg; /* reactors take mail in order: this before any view that lets commands run */
}

static int replay_base(void *ctx, uint64_t index, const uint8_t *states, size_t size)
{
	struct journal *j = ctx;
	uint8_t lu[16];
	int err = ledger_states_load(j->setup.serve, states, size, false, lu);

	if (err) {
		log_err("%s/%s: the state of LU %02x%02x%02x%02x... cannot be used", j->setup.dir,
			JOURNAL_FILE, lu[0], lu[1], lu[2], lu[3]);
	}
	j->base = size;
	return err;
}

static int replay_entry(void *ctx, const struct ledger_entry *entry, uint64_t index)
{
	struct journal *j = ctx;

	j->setup.serve->apply(j->setup.serve->ctx, entry, index, replay_applied, j);
	j->grown += 64 + entry->length;
	return 0;
}

static void replay_jump(void *ctx, uint64_t index)
{
	(void)ctx;
	(void)index;
}

static int file_read(int fd, struct journal_bytes *to)
{
	struct stat st;
	uint8_t *at;

	if (fstat(fd, &st) != 0) {
		return -errno;
	}
	if (st.st_size > JOURNAL_BYTES_MAX) {
		return -EFBIG;
	}
	at = journal_bytes_add(to, (size_t)st.st_size + 1);
	if (!at) {
		return -ENOMEM;
	}
	to->length = 0;
	while (to->length < (size_t)st.st_size) {
		ssize_t n = pread(
			fd, at + to->length, (size_t)st.st_size - to->length, (off_t)to->length);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -EIO;
		}
		to->length += (size_t)n;
	}
	return 0;
}

/* Reads the file, and cuts off what a power loss has torn. */
static int journal_take(struct journal *j, char *error, size_t error_size)
{
	const struct journal_reader reader = {
		.ctx = j, .base = replay_base, .entry = replay_entry, .jump = replay_jump};
	struct journal_bytes file = {0};
	char why[800];
	int err = file_read(j->fd, &file);

	if (err) {
		snprintf(error, error_size, "%s/%s cannot be read: %s", j->setup.dir, JOURNAL_FILE,
			strerror(-err));
	} else {
		err = journal_decode(
			file.base, file.length, j->owner, &reader, &j->end, why, sizeof(why));
		if (err) {
			snprintf(error, error_size,
				"%s/%s is refused: %s. It holds registrations and reservations; "
				"restore it, or remove it when the other controller is running "
				"and in sync, which then supplies them",
				j->setup.dir, JOURNAL_FILE, why);
		}
	}
	if (!err && j->end.good < file.length) {
		log_warning("%s/%s: %zu bytes at its end, torn when the power failed, are cut off",
			j->setup.dir, JOURNAL_FILE, file.length - j->end.good);
		if (ftruncate(j->fd, (off_t)j->end.good) != 0 || fsync(j->fd) != 0) {
			j->broken = -errno; /* the next replacement mends it */
		}
	}
	journal_bytes_free(&file);
	return err;
}

/* No journal: one without entries. It need not be possible: then the status says why. */
static void journal_create(struct journal *j)
{
	struct journal_bytes none = {0};
	int err = journal_swap(j, &none, 0, true);

	if (err) {
		j->broken = err;
	}
}

/* The directory, for this daemon alone. Without it nothing can be changed, but I/O goes on. */
static bool journal_dir_take(struct journal *j)
{
	const char *dir = j->setup.dir;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		j->broken = -errno;
	} else {
		j->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		j->broken = j->dir_fd < 0 ? -errno : 0;
	}
	if (!j->broken && flock(j->dir_fd, LOCK_EX | LOCK_NB) != 0) {
		close(j->dir_fd);
		j->dir_fd = -1;
		j->broken = -EBUSY;
	}
	if (j->broken) {
		log_err("%s: %s; give this daemon a state_dir of its own and start it again", dir,
			j->broken == -EBUSY ? "another yoked uses it" : strerror(-j->broken));
	}
	return !j->broken;
}

static int journal_files_open(struct journal *j, char *error, size_t error_size)
{
	if (!journal_dir_take(j)) {
		return 0;
	}
	j->fd = openat(j->dir_fd, JOURNAL_FILE, O_RDWR | O_CLOEXEC);
	if (j->fd < 0 && errno == EROFS) {
		j->fd = openat(j->dir_fd, JOURNAL_FILE, O_RDONLY | O_CLOEXEC);
		j->broken = -EROFS;
	}
	if (j->fd >= 0) {
		return journal_take(j, error, error_size);
	}
	if (errno != ENOENT) {
		snprintf(error, error_size, "%s/%s cannot be opened: %s", j->setup.dir,
			JOURNAL_FILE, strerror(errno));
		return -errno;
	}
	journal_create(j);
	return 0;
}

static int journal_thread_start(struct journal *j)
{
	pthread_condattr_t attr;
	int err;

	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->wake, &attr);
	pthread_condattr_destroy(&attr);
	err = pthread_create(&j->thread, NULL, journal_run, j);
	j->started = err == 0;
	return -err;
}

struct journal *journal_open(
	const struct journal_setup *setup, uint64_t *index, char *error, size_t error_size)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	j->setup = *setup;
	j->owner = strdup(setup->owner);
	j->fd = j->dir_fd = -1;
	j->tail = &j->head;
	j->msg.fn = journal_tell;
	if (!j->owner || journal_files_open(j, error, error_size) != 0) {
		journal_free(j);
		return NULL;
	}
	j->status.err = journal_room(j);
	j->status.durable = j->end.index;
	j->status.bytes = j->end.good;
	j->alone = j->end.number == 0 || j->end.alone;
	*index = j->end.index;
	if (journal_thread_start(j) != 0) {
		snprintf(error, error_size, "out of threads");
		journal_free(j);
		return NULL;
	}
	return j;
}

void journal_free(struct journal *j)
{
	if (!j) {
		return;
	}
	if (j->started) {
		pthread_mutex_lock(&j->lock);
		j->ending = true;
		pthread_cond_signal(&j->wake);
		pthread_mutex_unlock(&j->lock);
		pthread_join(j->thread, NULL);
		while (j->posted) {
			mailbox_run(j->setup.control);
		}
		pthread_cond_destroy(&j->wake);
		pthread_mutex_destroy(&j->lock);
	}
	if (j->fd >= 0) {
		close(j->fd);
	}
	if (j->dir_fd >= 0) {
		close(j->dir_fd);
	}
	free(j->owner);
	free(j);
}
