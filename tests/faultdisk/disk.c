// SPDX-License-Identifier: BSD-3-Clause
#include "tests/faultdisk/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <linux/falloc.h>
#include <linux/pr.h>
#include <unistd.h>

#include "yoke/crc32c.h"
#include "yoke/util.h"

/* Of Linux 7.0; the headers here are older. */
struct disk_read_reservation {
	uint64_t key;
	uint32_t generation;
	uint32_t type;
};
#define DISK_IOC_READ_RESERVATION _IOR('p', 207, struct disk_read_reservation)

static const char *const kind_names[DISK_KINDS] = {
	[DISK_READ] = "read",
	[DISK_WRITE] = "write",
	[DISK_ZERO] = "zero",
	[DISK_SYNC] = "sync",
	[DISK_IOCTL] = "ioctl",
};

static const char *const action_names[] = {
	[DISK_HOLD] = "hold",
	[DISK_SLOW] = "slow",
	[DISK_LATE] = "late",
	[DISK_EIO] = "eio",
	[DISK_ENOSPC] = "enospc",
	[DISK_TORN] = "torn",
	[DISK_LOST] = "lost",
};

const char *disk_kind_name(enum disk_kind kind)
{
	return (unsigned)kind < DISK_KINDS ? kind_names[kind] : "unknown";
}

const char *disk_action_name(enum disk_action action)
{
	return (unsigned)action < ARRAY_SIZE(action_names) ? action_names[action] : "unknown";
}

bool disk_action_find(const char *name, enum disk_action *action)
{
	for (unsigned i = 0; i < ARRAY_SIZE(action_names); i++) {
		if (strcmp(name, action_names[i]) == 0) {
			*action = (enum disk_action)i;
			return true;
		}
	}
	return false;
}

/* ----- files and nexuses ---------------------------------------------------------------------- */

static int file_open(struct disk *disk, int directory, const char *name)
{
	struct disk_file *file = &disk->files[disk->file_count];
	struct stat st;

	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) {
		return 0;
	}
	if (disk->file_count == DISK_FILES_MAX || strlen(name) >= DISK_NAME_MAX) {
		return -ENAMETOOLONG;
	}
	file->fd = openat(directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (file->fd < 0) {
		return -errno;
	}
	memcpy(file->name, name, strlen(name) + 1);
	file->size_bytes = (uint64_t)st.st_size;
	file->pr.holder = DISK_ANY;
	disk->file_count++;
	return 0;
}

int disk_open(struct disk *disk, const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int err = 0;

	memset(disk, 0, sizeof(*disk));
	if (!dir) {
		return -errno;
	}
	while (!err && (entry = readdir(dir))) {
		err = file_open(disk, dirfd(dir), entry->d_name);
	}
	closedir(dir);
	return err;
}

void disk_close(struct disk *disk)
{
	for (int i = 0; i < disk->file_count; i++) {
		close(disk->files[i].fd);
	}
	disk->file_count = 0;
}

int disk_file_find(const struct disk *disk, const char *name)
{
	for (int i = 0; i < disk->file_count; i++) {
		if (strcmp(disk->files[i].name, name) == 0) {
			return i;
		}
	}
	return DISK_ANY;
}

int disk_nexus_find(const struct disk *disk, const char *name)
{
	for (int i = 0; i < disk->nexus_count; i++) {
		if (strcmp(disk->nexuses[i], name) == 0) {
			return i;
		}
	}
	return DISK_ANY;
}

int disk_nexus_get(struct disk *disk, const char *name)
{
	int found = disk_nexus_find(disk, name);

	if (found != DISK_ANY || disk->nexus_count == DISK_NEXUSES_MAX ||
		strlen(name) >= DISK_NAME_MAX) {
		return found;
	}
	memcpy(disk->nexuses[disk->nexus_count], name, strlen(name) + 1);
	return disk->nexus_count++;
}

/* ----- the log -------------------------------------------------------------------------------- */

/* One JSON object a line, in the order in which things took effect. */
static void log_op(struct disk *disk, const struct disk_op *op, const char *result)
{
	const struct disk_file *file = &disk->files[op->file];

	if (!disk->log) {
		return;
	}
	fprintf(disk->log,
		"{\"n\":%" PRIu64 ",\"ms\":%" PRIu64
		",\"from\":\"%s\",\"file\":\"%s\",\"op\":\"%s\",\"key\":\"%016" PRIx64
		"\",\"offset\":%" PRIu64 ",\"length\":%" PRIu64 ",\"crc32c\":\"%08x\","
		"\"waited\":%s,\"result\":\"%s\"}\n",
		++disk->sequence, disk->now_ms, disk->nexuses[op->nexus], file->name,
		disk_kind_name(op->kind), file->pr.keys[op->nexus], op->offset_bytes,
		op->length_bytes,
		op->kind == DISK_WRITE ? crc32c(op->data, (size_t)op->length_bytes) : 0,
		op->rule ? "true" : "false", result);
	fflush(disk->log);
}

static void log_pr(
	struct disk *disk, const struct disk_op *op, const char *what, uint64_t old, uint64_t new)
{
	if (!disk->log) {
		return;
	}
	fprintf(disk->log,
		"{\"n\":%" PRIu64 ",\"ms\":%" PRIu64
		",\"from\":\"%s\",\"file\":\"%s\",\"op\":\"%s\",\"old\":\"%016" PRIx64
		"\",\"key\":\"%016" PRIx64 "\"}\n",
		++disk->sequence, disk->now_ms, disk->nexuses[op->nexus],
		disk->files[op->file].name, what, old, new);
	fflush(disk->log);
}

/* ----- persistent reservations ---------------------------------------------------------------- */

static bool is_registrants_only(uint32_t type)
{
	return type == PR_WRITE_EXCLUSIVE_REG_ONLY || type == PR_EXCLUSIVE_ACCESS_REG_ONLY;
}

static bool is_exclusive_access(uint32_t type)
{
	return type == PR_EXCLUSIVE_ACCESS || type == PR_EXCLUSIVE_ACCESS_REG_ONLY;
}

/* SPC-4 table 62, for the types that name a holder. */
static bool pr_allows(const struct disk_reservation *pr, int nexus, bool write)
{
	if (pr->holder == DISK_ANY || pr->holder == nexus) {
		return true;
	}
	if (is_registrants_only(pr->type) && pr->keys[nexus]) {
		return true;
	}
	return !write && !is_exclusive_access(pr->type);
}

static long pr_register(struct disk *disk, struct disk_op *op, struct disk_reservation *pr)
{
	struct pr_registration reg;
	uint64_t old = pr->keys[op->nexus];

	memcpy(&reg, op->argument, sizeof(reg));
	if (!(reg.flags & PR_FL_IGNORE_KEY) && reg.old_key != old) {
		return DISK_CONFLICT;
	}
	pr->keys[op->nexus] = reg.new_key;
	if (!reg.new_key && pr->holder == op->nexus) {
		pr->holder = DISK_ANY;
	}
	pr->generation++;
	log_pr(disk, op, reg.new_key ? "register" : "unregister", old, reg.new_key);
	return 0;
}

static long pr_reserve(struct disk *disk, struct disk_op *op, struct disk_reservation *pr)
{
	struct pr_reservation r;

	memcpy(&r, op->argument, sizeof(r));
	if (r.type < PR_WRITE_EXCLUSIVE || r.type > PR_EXCLUSIVE_ACCESS_REG_ONLY) {
		return -EOPNOTSUPP;
	}
	if (!r.key || pr->keys[op->nexus] != r.key ||
		(pr->holder != DISK_ANY && (pr->holder != op->nexus || pr->type != r.type))) {
		return DISK_CONFLICT;
	}
	pr->holder = op->nexus;
	pr->type = r.type;
	log_pr(disk, op, "reserve", 0, r.key);
	return 0;
}

static long pr_release(struct disk *disk, struct disk_op *op, struct disk_reservation *pr)
{
	struct pr_reservation r;

	memcpy(&r, op->argument, sizeof(r));
	if (!r.key || pr->keys[op->nexus] != r.key) {
		return DISK_CONFLICT;
	}
	if (pr->holder == op->nexus) {
		pr->holder = DISK_ANY;
		log_pr(disk, op, "release", r.key, r.key);
	}
	return 0;
}

/*
 * Held operations of the preempted nexus stay where they are: they are on their way to the disk,
 * where no abort reaches them, and are refused when they arrive.
 */
static long pr_preempt(struct disk *disk, struct disk_op *op, struct disk_reservation *pr)
{
	struct pr_preempt p;
	bool found = false, holds = false;

	memcpy(&p, op->argument, sizeof(p));
	if (p.type < PR_WRITE_EXCLUSIVE || p.type > PR_EXCLUSIVE_ACCESS_REG_ONLY) {
		return -EOPNOTSUPP;
	}
	if (!p.new_key || pr->keys[op->nexus] != p.new_key) {
		return DISK_CONFLICT;
	}
	for (int i = 0; i < disk->nexus_count; i++) {
		if (i != op->nexus && pr->keys[i] == p.old_key && p.old_key) {
			found = true;
			holds = holds || pr->holder == i;
			pr->keys[i] = 0;
		}
	}
	if (!found) {
		return DISK_CONFLICT;
	}
	if (holds) {
		pr->holder = op->nexus;
		pr->type = p.type;
	}
	pr->generation++;
	log_pr(disk, op, "revoke", p.old_key, p.new_key);
	return 0;
}

static long pr_clear(struct disk *disk, struct disk_op *op, struct disk_reservation *pr)
{
	struct pr_clear c;

	memcpy(&c, op->argument, sizeof(c));
	if (!c.key || pr->keys[op->nexus] != c.key) {
		return DISK_CONFLICT;
	}
	memset(pr->keys, 0, sizeof(pr->keys));
	pr->holder = DISK_ANY;
	pr->generation++;
	log_pr(disk, op, "clear", c.key, 0);
	return 0;
}

static long pr_read(struct disk *disk, struct disk_op *op, struct disk_reservation *pr)
{
	struct disk_read_reservation r = {.generation = pr->generation};

	if (pr->holder != DISK_ANY) {
		r.key = pr->keys[pr->holder];
		r.type = pr->type;
	}
	memcpy(op->argument, &r, sizeof(r));
	return 0;
}

static const struct {
	unsigned long request;
	long (*run)(struct disk *disk, struct disk_op *op, struct disk_reservation *pr);
} ioctls[] = {
	{IOC_PR_REGISTER, pr_register},
	{IOC_PR_RESERVE, pr_reserve},
	{IOC_PR_RELEASE, pr_release},
	{IOC_PR_PREEMPT, pr_preempt},
	{IOC_PR_PREEMPT_ABORT, pr_preempt},
	{IOC_PR_CLEAR, pr_clear},
	{DISK_IOC_READ_RESERVATION, pr_read},
};

/* ----- taking effect -------------------------------------------------------------------------- */

static long bytes_write(const struct disk_file *file, const struct disk_op *op, uint64_t length)
{
	uint64_t done = 0;

	while (done < length) {
		ssize_t n = pwrite(file->fd, op->data + done, (size_t)(length - done),
			(off_t)(op->offset_bytes + done));

		if (n <= 0) {
			return n < 0 ? -errno : -EIO;
		}
		done += (uint64_t)n;
	}
	return 0;
}

static long bytes_zero(const struct disk_file *file, const struct disk_op *op)
{
	return fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		       (off_t)op->offset_bytes, (off_t)op->length_bytes) < 0
		       ? -errno
		       : 0;
}

static long op_read(struct disk *disk, struct disk_op *op)
{
	struct disk_file *file = &disk->files[op->file];
	ssize_t n;

	if (!pr_allows(&file->pr, op->nexus, false)) {
		return -EBADE;
	}
	n = pread(file->fd, op->data, (size_t)op->length_bytes, (off_t)op->offset_bytes);
	return n < 0 ? -errno : n;
}

/* As a write of half its sectors that lost its power, or a whole one. */
static long op_change(struct disk *disk, struct disk_op *op, bool torn)
{
	struct disk_file *file = &disk->files[op->file];
	uint64_t half = op->length_bytes / 2 / DISK_SECTOR_BYTES * DISK_SECTOR_BYTES;
	long res;

	if (!pr_allows(&file->pr, op->nexus, true)) {
		disk->refused++;
		log_op(disk, op, "refused");
		return -EBADE;
	}
	if (op->offset_bytes > file->size_bytes ||
		op->length_bytes > file->size_bytes - op->offset_bytes) {
		return -ENOSPC;
	}
	if (op->kind == DISK_ZERO) {
		res = torn ? 0 : bytes_zero(file, op);
	} else {
		res = bytes_write(file, op, torn ? half : op->length_bytes);
	}
	disk->applied += res == 0;
	log_op(disk, op, res ? "failed" : torn ? "torn" : "applied");
	return res ? res : torn ? -EIO : 0;
}

static long op_ioctl(struct disk *disk, struct disk_op *op)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ioctls); i++) {
		if (ioctls[i].request == op->request) {
			return ioctls[i].run(disk, op, &disk->files[op->file].pr);
		}
	}
	return -ENOTTY;
}

static long op_run(struct disk *disk, struct disk_op *op)
{
	switch (op->kind) {
	case DISK_READ:
		return op_read(disk, op);
	case DISK_WRITE:
	case DISK_ZERO:
		return op_change(disk, op, false);
	case DISK_SYNC: /* what was applied is there: the backing file is the medium */
		return 0;
	case DISK_IOCTL:
		return op_ioctl(disk, op);
	}
	return -EINVAL;
}

static void op_apply(struct disk *disk, struct disk_op *op)
{
	op->done(op, op->done_already ? op->result : op_run(disk, op));
}

/* ----- rules ---------------------------------------------------------------------------------- */

static bool rule_matches(const struct disk_rule *rule, const struct disk_op *op)
{
	bool ranged = op->kind != DISK_SYNC && op->kind != DISK_IOCTL;

	if (!rule->id || !(rule->kinds & 1u << op->kind) ||
		(rule->nexus != DISK_ANY && rule->nexus != op->nexus) ||
		(rule->file != DISK_ANY && rule->file != op->file)) {
		return false;
	}
	return !ranged || (op->offset_bytes <= rule->last_byte &&
				  op->offset_bytes + op->length_bytes > rule->first_byte);
}

static struct disk_rule *rule_for(struct disk *disk, const struct disk_op *op)
{
	for (unsigned i = 0; i < DISK_RULES_MAX; i++) {
		if (rule_matches(&disk->rules[i], op)) {
			return &disk->rules[i];
		}
	}
	return NULL;
}

static void op_wait(struct disk *disk, struct disk_op *op, const struct disk_rule *rule)
{
	struct disk_op **at = &disk->waiting;

	op->rule = rule->id;
	op->due_ms = rule->action == DISK_SLOW ? disk->now_ms + rule->delay_ms : 0;
	op->next = NULL;
	while (*at) {
		at = &(*at)->next;
	}
	*at = op;
}

static void op_spoil(struct disk *disk, struct disk_op *op, enum disk_action action)
{
	bool changes = op->kind == DISK_WRITE || op->kind == DISK_ZERO;

	switch (action) {
	case DISK_HOLD:
	case DISK_SLOW:
	case DISK_LATE:
		break;
	case DISK_EIO:
	case DISK_ENOSPC:
		log_op(disk, op, disk_action_name(action));
		op->done(op, action == DISK_EIO ? -EIO : -ENOSPC);
		return;
	case DISK_TORN:
		if (changes) {
			op->done(op, op_change(disk, op, true));
			return;
		}
		break;
	case DISK_LOST:
		if (changes) {
			log_op(disk, op, "lost");
			op->done(op, 0);
			return;
		}
		break;
	}
	op_apply(disk, op);
}

static bool waits(enum disk_action action)
{
	return action == DISK_HOLD || action == DISK_SLOW || action == DISK_LATE;
}

void disk_submit(struct disk *disk, struct disk_op *op)
{
	struct disk_rule *rule = rule_for(disk, op);
	struct disk_rule copy;

	op->rule = 0;
	op->done_already = false;
	if (!rule) {
		op_apply(disk, op);
		return;
	}
	copy = *rule;
	rule->hits++;
	if (copy.action == DISK_LATE) {
		op->result = op_run(disk, op);
		op->done_already = true;
	}
	if (waits(copy.action)) {
		op_wait(disk, op, &copy);
	}
	if (rule->left && --rule->left == 0) {
		rule->kinds = 0; /* for no more; it keeps what it holds */
	}
	if (!waits(copy.action)) {
		op_spoil(disk, op, copy.action);
	}
}

bool disk_rule_add(struct disk *disk, struct disk_rule *rule)
{
	for (unsigned i = 0; i < DISK_RULES_MAX; i++) {
		if (!disk->rules[i].id) {
			rule->id = ++disk->rule_id;
			rule->hits = 0;
			disk->rules[i] = *rule;
			return true;
		}
	}
	return false;
}

/* Takes the first waiting operation that a rule holds, or that is due. */
static struct disk_op *waiting_take(struct disk *disk, unsigned rule)
{
	for (struct disk_op **at = &disk->waiting; *at; at = &(*at)->next) {
		struct disk_op *op = *at;

		if (rule ? op->rule == rule : op->due_ms && op->due_ms <= disk->now_ms) {
			*at = op->next;
			return op;
		}
	}
	return NULL;
}

bool disk_rule_remove(struct disk *disk, unsigned id)
{
	struct disk_op *op;
	bool found = false;

	for (unsigned i = 0; i < DISK_RULES_MAX; i++) {
		if (id && disk->rules[i].id == id) {
			disk->rules[i].id = 0;
			found = true;
		}
	}
	while (found && (op = waiting_take(disk, id))) {
		op_apply(disk, op);
	}
	return found;
}

void disk_rules_clear(struct disk *disk)
{
	for (unsigned i = 0; i < DISK_RULES_MAX; i++) {
		(void)disk_rule_remove(disk, disk->rules[i].id);
	}
}

uint64_t disk_tick(struct disk *disk)
{
	uint64_t next = 0;
	struct disk_op *op;

	while ((op = waiting_take(disk, 0))) {
		op_apply(disk, op);
	}
	for (op = disk->waiting; op; op = op->next) {
		if (op->due_ms && (!next || op->due_ms < next)) {
			next = op->due_ms;
		}
	}
	return next;
}

unsigned disk_waiting(const struct disk *disk, int nexus)
{
	unsigned count = 0;

	for (const struct disk_op *op = disk->waiting; op; op = op->next) {
		count += nexus == DISK_ANY || op->nexus == nexus;
	}
	return count;
}
