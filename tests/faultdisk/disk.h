/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk with faults: files, persistent reservations, rules that hold or spoil operations, and a
 * log of what was applied. Pure but for the files: no FUSE, no clock, no thread. Who asks is known
 * by a number, his I_T nexus; it keeps its registrations while he is away.
 */
#ifndef YOKE_TEST_DISK_H
#define YOKE_TEST_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define DISK_FILES_MAX	  2048
#define DISK_NEXUSES_MAX  8
#define DISK_RULES_MAX	  64
#define DISK_NAME_MAX	  64
#define DISK_SECTOR_BYTES 512u
#define DISK_IOCTL_BYTES  32 /* no IOC_PR_* has more */
#define DISK_CONFLICT	  0x18 /* what IOC_PR_* answer for a reservation conflict */
#define DISK_ANY	  -1

enum disk_kind {
	DISK_READ,
	DISK_WRITE,
	DISK_ZERO, /* and punching holes */
	DISK_SYNC,
	DISK_IOCTL,
};
#define DISK_KINDS 5
const char *disk_kind_name(enum disk_kind kind);

enum disk_action {
	DISK_HOLD, /* until the rule is removed */
	DISK_SLOW, /* for rule.delay_ms */
	DISK_LATE, /* done at once; the answer waits until the rule is removed */
	DISK_EIO,
	DISK_ENOSPC,
	DISK_TORN, /* a write: half of its sectors are applied, then -EIO */
	DISK_LOST, /* a write: answered, not applied */
};
const char *disk_action_name(enum disk_action action);
/* False when there is no action of that name. */
bool disk_action_find(const char *name, enum disk_action *action);

struct disk_rule {
	unsigned id; /* 0 = free place */
	enum disk_action action;
	int nexus, file; /* DISK_ANY */
	unsigned kinds; /* bits by enum disk_kind */
	uint64_t first_byte, last_byte; /* of operations that have a range */
	unsigned left; /* operations it is still for; 0 = no limit */
	unsigned delay_ms;
	unsigned hits;
};

/* One operation. The maker keeps it until done(), which may free it. */
struct disk_op {
	enum disk_kind kind;
	int nexus, file;
	uint64_t offset_bytes, length_bytes;
	uint8_t *data; /* length_bytes: written, or room for what is read */
	unsigned long request; /* DISK_IOCTL */
	uint8_t argument[DISK_IOCTL_BYTES]; /* in and out */
	/* res: 0, bytes read, an ioctl's own answer, or a negative errno */
	void (*done)(struct disk_op *op, long res);
	void *maker;
	/* private */
	struct disk_op *next;
	unsigned rule;
	uint64_t due_ms; /* DISK_SLOW */
	bool done_already; /* DISK_LATE: only the answer waits, */
	long result; /* ... this one */
};

struct disk_reservation {
	uint64_t keys[DISK_NEXUSES_MAX]; /* 0 = not registered */
	int holder; /* DISK_ANY = none */
	uint32_t type, generation;
};

struct disk_file {
	char name[DISK_NAME_MAX];
	int fd;
	uint64_t size_bytes;
	struct disk_reservation pr;
};

struct disk {
	struct disk_file files[DISK_FILES_MAX];
	int file_count;
	char nexuses[DISK_NEXUSES_MAX][DISK_NAME_MAX];
	int nexus_count;
	struct disk_rule rules[DISK_RULES_MAX];
	unsigned rule_id;
	struct disk_op *waiting; /* held or slow, oldest first */
	FILE *log; /* may be NULL */
	uint64_t now_ms; /* the caller's clock, set before each call */
	uint64_t sequence, applied, refused;
};

/* Opens all regular files in a directory; 0 or a negative errno. */
int disk_open(struct disk *disk, const char *directory);
void disk_close(struct disk *disk);

int disk_file_find(const struct disk *disk, const char *name); /* DISK_ANY = none */
int disk_nexus_find(const struct disk *disk, const char *name);
int disk_nexus_get(struct disk *disk, const char *name); /* a new one when there is none */

/* Adds a rule (its id is filled in); the first that matches counts. False when there are too many.
 */
bool disk_rule_add(struct disk *disk, struct disk_rule *rule);
/* Removes a rule and goes on with what it held; false when there is none. */
bool disk_rule_remove(struct disk *disk, unsigned id);
void disk_rules_clear(struct disk *disk);

void disk_submit(struct disk *disk, struct disk_op *op);
/* Goes on with slow operations that are due; when the next one is due, 0 = none. */
uint64_t disk_tick(struct disk *disk);
unsigned disk_waiting(const struct disk *disk, int nexus);

#endif
