// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reading secrets so that they stand in one place of this process only. A parser leaves copies on
 * its heap: so this program is started a second time to read and check the file. Through a pipe it
 * says what it found, and what comes is read straight into memory that no core file and no child
 * contains. Starting a program, unlike fork(), is allowed to a process that has threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "secrets.h"
#include "yoke/child.h"
#include "yoke/cursor.h"

#define READER_OPTION	 "--read-secrets"
#define SECRETS_FILE_MAX (CONF_BYTES_MAX + 1) /* one more than is accepted */
#define SECRETS_SPACE	 (16u << 20) /* address space of the result; only what is used counts */
#define SECRETS_REMEDY	 "make it with: install -m 600 /dev/null FILE"

/*
 * What the reader says: one of these, then texts with a NUL behind each (of a user four: name,
 * secret, peer_name, peer_secret, "" for none; or a complaint each), then SAID_END. Without the
 * end it has been cut off.
 */
#define SAID_USERS  'u'
#define SAID_ERRORS 'e'
#define SAID_END    '.'
#define USER_TEXTS  4u

/* ----- the reader, a process of its own ------------------------------------------------------- */

/* The whole file; a negative errno with a message. */
static ssize_t secrets_read(const char *path, char *text, size_t size, char *why, size_t why_size)
{
	int fd cleanup_close = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t used = 0;
	struct stat st;
	ssize_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0) {
		snprintf(why, why_size, "cannot be read: %s; " SECRETS_REMEDY, strerror(errno));
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(why, why_size, "is not a regular file; " SECRETS_REMEDY);
		return -1;
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		snprintf(why, why_size,
			"belongs to user %u; it must belong to root: chown root %.120s",
			(unsigned)st.st_uid, path);
		return -1;
	}
	if (st.st_mode & (S_IRWXG | S_IRWXO)) {
		snprintf(why, why_size,
			"others than its owner have access (mode %04o); chmod 600 %.120s, and "
			"change the secrets if they may have been read",
			(unsigned)(st.st_mode & 07777), path);
		return -1;
	}
	while (used < size && (n = read(fd, text + used, size - used)) != 0) {
		if (n < 0 && errno != EINTR) {
			snprintf(why, why_size, "cannot be read: %s", strerror(errno));
			return -1;
		}
		used += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)used;
}

static void said_text(FILE *to, const char *text)
{
	fputs(text ? text : "", to);
	fputc('\0', to);
}

static void reader_say(
	FILE *to, const struct conf_secrets *secrets, const struct conf_error *errors)
{
	fputc(secrets ? SAID_USERS : SAID_ERRORS, to);
	for (unsigned i = 0; secrets && i < secrets->user_count; i++) {
		said_text(to, secrets->users[i].name);
		said_text(to, secrets->users[i].secret);
		said_text(to, secrets->users[i].peer_name);
		said_text(to, secrets->users[i].peer_secret);
	}
	for (; errors; errors = errors->next) {
		said_text(to, errors->text);
	}
	fputc(SAID_END, to);
	fflush(to);
}

bool conf_secrets_reader(int argc, char **argv)
{
	struct conf_error *errors = NULL, whole = {0};
	struct conf_secrets *secrets = NULL;
	char why[400] = "out of memory";
	ssize_t length = -1;
	char *text;

	if (argc != 3 || strcmp(argv[1], READER_OPTION) != 0) {
		return false;
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	text = malloc(SECRETS_FILE_MAX);
	if (text) {
		length = secrets_read(argv[2], text, SECRETS_FILE_MAX, why, sizeof(why));
	}
	if (length >= 0) {
		secrets = conf_secrets_parse(NULL, text, (size_t)length, argv[2], &errors);
		reader_say(stdout, secrets, errors);
	} else {
		snprintf(whole.text, sizeof(whole.text), "%.120s: %.380s", argv[2], why);
		reader_say(stdout, NULL, &whole);
	}
	conf_secrets_free(secrets);
	conf_errors_free(errors);
	free(text);
	return true;
}

/* ----- who has it read ------------------------------------------------------------------------ */

struct secrets_space {
	struct conf_secrets secrets;
	size_t used; /* of bytes */
	uint8_t bytes[];
};
#define SPACE_BYTES (SECRETS_SPACE - sizeof(struct secrets_space))

static struct secrets_space *space_new(void)
{
	struct secrets_space *space = mmap(NULL, SECRETS_SPACE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (space == MAP_FAILED) {
		return NULL;
	}
	space->secrets.memory = space;
	space->secrets.memory_bytes = SECRETS_SPACE;
	if (madvise(space, SECRETS_SPACE, MADV_DONTDUMP) < 0 ||
		madvise(space, SECRETS_SPACE, MADV_DONTFORK) < 0) {
		munmap(space, SECRETS_SPACE);
		return NULL;
	}
	return space;
}

static int reader_start(const char *path, int out, pid_t *pid)
{
	const char *const argv[] = {"yoke-secrets", READER_OPTION, path, NULL};

	return child_start("/proc/self/exe", argv, -1, out, pid);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* All that it says, up to its end; 0 or a negative errno. */
static int reader_hear(struct secrets_space *space, int fd, unsigned limit_ms)
{
	int64_t until = now_ms() + limit_ms;

	while (space->used < SPACE_BYTES) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int64_t left = until - now_ms();
		ssize_t n;

		if (left <= 0) {
			return -ETIME;
		}
		if (poll(&ready, 1, (int)left) <= 0) {
			continue;
		}
		n = read(fd, space->bytes + space->used, SPACE_BYTES - space->used);
		if (n == 0) {
			return 0;
		}
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		space->used += n > 0 ? (size_t)n : 0;
	}
	return -E2BIG;
}

static int reader_run(struct secrets_space *space, const char *path, unsigned limit_ms)
{
	int in cleanup_close = -1, out cleanup_close = -1;
	pid_t pid = 0;
	int fds[2], err;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	in = fds[0];
	out = fds[1];
	err = reader_start(path, out, &pid);
	if (err) {
		return err;
	}
	close(out);
	out = -1;
	err = reader_hear(space, in, limit_ms);
	if (err) {
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
	return err;
}

/* The next text; NULL at the end, or where it is cut off. */
static const char *said_next(struct cursor *c)
{
	const char *text = (const char *)c->base + c->pos;
	size_t left = cursor_left(c);
	const char *end = left ? memchr(text, '\0', left) : NULL;

	if (!end) {
		return NULL;
	}
	cursor_take(c, (size_t)(end - text) + 1);
	return text;
}

static const char *said_or_none(const char *text)
{
	return text[0] ? text : NULL;
}

/* The users stand behind the texts that they point to. */
static bool said_users(struct secrets_space *space, struct cursor *c)
{
	size_t at =
		(space->used + _Alignof(struct conf_user) - 1) & ~(_Alignof(struct conf_user) - 1);
	size_t room = at < SPACE_BYTES ? (SPACE_BYTES - at) / sizeof(struct conf_user) : 0;
	const char *texts[USER_TEXTS];

	space->secrets.users = (struct conf_user *)(void *)(space->bytes + at);
	while ((texts[0] = said_next(c)) != NULL) {
		struct conf_user *user = &space->secrets.users[space->secrets.user_count];

		for (unsigned i = 1; i < USER_TEXTS; i++) {
			texts[i] = said_next(c);
			if (!texts[i]) {
				return false;
			}
		}
		if (space->secrets.user_count == room) {
			return false;
		}
		*user = (struct conf_user){
			texts[0], texts[1], said_or_none(texts[2]), said_or_none(texts[3])};
		space->secrets.user_count++;
	}
	return true;
}

static void said_errors(struct conf_loader *l, struct cursor *c)
{
	const char *text;

	while ((text = said_next(c)) != NULL) {
		struct conf_complaint *complaint = calloc(1, sizeof(*complaint));
		struct conf_error **at = &l->errors;

		while (*at) {
			at = &(*at)->next;
		}
		l->error_count++;
		if (complaint) {
			snprintf(complaint->error.text, sizeof(complaint->error.text), "%s", text);
			*at = &complaint->error;
		}
	}
}

/* Is it whole? What was wrong with the file is complained about. */
static bool said_take(struct secrets_space *space, struct conf_loader *l)
{
	struct cursor c = cursor_reader(space->bytes, space->used);
	uint8_t kind = cursor_get_u8(&c);

	if (!cursor_left(&c) || space->bytes[space->used - 1] != SAID_END) {
		return false;
	}
	c.size--;
	if (kind == SAID_ERRORS) {
		said_errors(l, &c);
		return l->error_count > 0;
	}
	return kind == SAID_USERS && said_users(space, &c) && !cursor_left(&c);
}

struct conf_secrets *conf_secrets_load(
	const struct conf *conf, unsigned limit_ms, struct conf_error **errors)
{
	struct conf_loader l = {.file = conf->secrets_path};
	struct secrets_space *space = space_new();
	int err = space ? reader_run(space, conf->secrets_path, limit_ms) : -ENOMEM;

	if (err) {
		conf_complain(&l, 0, "cannot be read: %s; try again",
			err == -ETIME ? "it takes too long" : strerror(-err));
	} else if (!said_take(space, &l)) {
		conf_complain(&l, 0,
			"cannot be read: the process that reads it was ended, or out of memory; "
			"try again");
	} else if (!l.error_count) {
		conf_secrets_suit(&l, &space->secrets, conf);
	}
	*errors = l.errors;
	if (!l.error_count) {
		mprotect(space, SECRETS_SPACE, PROT_READ);
		return &space->secrets;
	}
	conf_secrets_free(space ? &space->secrets : NULL);
	return NULL;
}

void conf_secrets_free(struct conf_secrets *secrets)
{
	struct secrets_space *space;

	if (!secrets) {
		return;
	}
	if (!secrets->memory_bytes) {
		conf_arena_free(secrets->memory);
		return;
	}
	space = secrets->memory;
	mprotect(space, SECRETS_SPACE, PROT_READ | PROT_WRITE);
	explicit_bzero(space->bytes, space->used);
	munmap(space, SECRETS_SPACE);
}
