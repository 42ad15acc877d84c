/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * yoke-lock: one host that fights with others for a persistent reservation (Write Exclusive) of an
 * LU, over one portal, and writes what it asked and heard as a history for yoke-checker, which
 * knows reservations as locks. It registers, reserves, writes, releases and preempts by lot, until
 * its time is over or its standard input ends. Exit 0 unless it heard an answer that it should not.
 */
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "tests/checker/history.h"
#include "tests/io/clock.h"
#include "yoke/util.h"

#define BLOCK_MAX	4096
#define TIMEOUT_S	30
#define DEAD_MS		3000
#define PAUSE_NS	10000000L
#define KEY_BASE	0x1000
#define WRITE_EXCLUSIVE 1

static const char lock_usage[] =
	"Usage: yoke-lock --client N --clients N --portal ADDR[:PORT] --target IQN --lun N "
	"--history FILE [--seed N]\n";

struct lock {
	const char *portal, *target;
	int lun;
	uint32_t client, clients;
	uint32_t block_size;
	struct iscsi_context *iscsi;
	FILE *history;
	uint64_t random, ops, maybes, conflicts, errors;
	uint8_t block[BLOCK_MAX];
};

/* By how often each is drawn, of 100. */
static const struct {
	enum history_kind kind;
	uint8_t percent;
} draws[] = {
	{HISTORY_REGISTER, 15},
	{HISTORY_ACQUIRE, 30},
	{HISTORY_USE, 25},
	{HISTORY_RELEASE, 22},
	{HISTORY_PREEMPT, 8},
};

static uint64_t lock_random(struct lock *lock)
{
	uint64_t x = lock->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Standard input has ended: so shall we. */
static bool is_over(void)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

static void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

static void disconnect(struct lock *lock)
{
	if (lock->iscsi) {
		iscsi_destroy_context(lock->iscsi);
		lock->iscsi = NULL;
	}
}

static bool block_size_get(struct lock *lock)
{
	struct scsi_task *task = iscsi_readcapacity16_sync(lock->iscsi, lock->lun);
	struct scsi_readcapacity16 *capacity =
		task && task->status == SCSI_STATUS_GOOD ? scsi_datain_unmarshall(task) : NULL;

	if (capacity) {
		lock->block_size = capacity->block_length;
	}
	if (task) {
		scsi_free_scsi_task(task);
	}
	return capacity && lock->block_size >= 512 && lock->block_size <= BLOCK_MAX;
}

/* The same initiator port each time, or a registration would be somebody else's. */
static bool connect_portal(struct lock *lock)
{
	char name[128];

	snprintf(name, sizeof(name), "iqn.2026-01.org.example:lock%" PRIu32, lock->client);
	lock->iscsi = iscsi_create_context(name);
	if (!lock->iscsi) {
		return false;
	}
	iscsi_set_isid_random(lock->iscsi, lock->client + 1, 0);
	iscsi_set_targetname(lock->iscsi, lock->target);
	iscsi_set_session_type(lock->iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_noautoreconnect(lock->iscsi, 1);
	iscsi_set_timeout(lock->iscsi, TIMEOUT_S);
	/* A controller without power is noticed within seconds, as by NOP-Out. */
	iscsi_set_tcp_user_timeout(lock->iscsi, DEAD_MS);
	iscsi_set_tcp_keepidle(lock->iscsi, 1);
	iscsi_set_tcp_keepintvl(lock->iscsi, 1);
	iscsi_set_tcp_keepcnt(lock->iscsi, 3);
	iscsi_set_tcp_syncnt(lock->iscsi, 1);
	if (iscsi_full_connect_sync(lock->iscsi, lock->portal, lock->lun) < 0 ||
		!block_size_get(lock)) {
		disconnect(lock);
		return false;
	}
	return true;
}

static struct scsi_task *out(
	struct lock *lock, enum scsi_persistent_out_sa action, uint64_t key, uint64_t service_key)
{
	/* It outlives the loss of both daemons, which SPC calls a loss of power. */
	bool aptpl = action == SCSI_PERSISTENT_RESERVE_REGISTER_AND_IGNORE_EXISTING_KEY;
	struct scsi_persistent_reserve_out_basic list = {.reservation_key = key,
		.service_action_reservation_key = service_key,
		.aptpl = aptpl};

	return iscsi_persistent_reserve_out_sync(
		lock->iscsi, lock->lun, action, 0, WRITE_EXCLUSIVE, &list);
}

static struct scsi_task *send_op(struct lock *lock, const struct history_op *op)
{
	uint64_t key = KEY_BASE + lock->client;

	switch ((enum history_kind)op->kind) {
	case HISTORY_REGISTER:
		return out(lock, SCSI_PERSISTENT_RESERVE_REGISTER_AND_IGNORE_EXISTING_KEY, 0, key);
	case HISTORY_ACQUIRE:
		return out(lock, SCSI_PERSISTENT_RESERVE_RESERVE, key, 0);
	case HISTORY_RELEASE:
		return out(lock, SCSI_PERSISTENT_RESERVE_RELEASE, key, 0);
	case HISTORY_PREEMPT:
		return out(lock, SCSI_PERSISTENT_RESERVE_PREEMPT, key, KEY_BASE + op->expected);
	case HISTORY_USE:
		return iscsi_write16_sync(lock->iscsi, lock->lun, lock->client, lock->block,
			lock->block_size, (int)lock->block_size, 0, 0, 0, 0, 0);
	case HISTORY_READ:
	case HISTORY_WRITE:
	case HISTORY_SWAP:
		break;
	}
	return NULL;
}

enum heard {
	HEARD_ANSWER, /* the operation has its outcome */
	HEARD_AGAIN, /* it was not done: a unit attention, busy, not ready */
	HEARD_NOTHING, /* the connection is gone */
	HEARD_NONSENSE,
};

static enum heard listen_to(const struct scsi_task *task, struct history_op *op)
{
	if (!task) {
		return HEARD_NOTHING;
	}
	switch (task->status) {
	case SCSI_STATUS_GOOD:
		op->outcome = HISTORY_OK;
		return HEARD_ANSWER;
	case SCSI_STATUS_RESERVATION_CONFLICT:
		op->outcome = HISTORY_NO;
		return HEARD_ANSWER;
	case SCSI_STATUS_BUSY:
	case SCSI_STATUS_TASK_SET_FULL:
		return HEARD_AGAIN;
	case SCSI_STATUS_CHECK_CONDITION:
		return task->sense.key == SCSI_SENSE_UNIT_ATTENTION ||
				       task->sense.key == SCSI_SENSE_NOT_READY
			       ? HEARD_AGAIN
			       : HEARD_NONSENSE;
	case SCSI_STATUS_ERROR:
	case SCSI_STATUS_CANCELLED:
	case SCSI_STATUS_TIMEOUT:
		return HEARD_NOTHING;
	default:
		return HEARD_NONSENSE;
	}
}

static void complain(struct lock *lock, const struct history_op *op, const struct scsi_task *task)
{
	lock->errors++;
	fprintf(stderr, "yoke-lock: %s: operation %c: status %02x, sense %x/%04x\n", lock->portal,
		history_kinds[op->kind], (unsigned)task->status & 0xff, (unsigned)task->sense.key,
		(unsigned)task->sense.ascq & 0xffff);
}

/* One operation to its outcome. */
static void operate(struct lock *lock, struct history_op *op)
{
	enum heard heard = HEARD_AGAIN;

	op->invoked_ns = clock_ns();
	op->outcome = HISTORY_MAYBE;
	while (heard == HEARD_AGAIN) {
		struct scsi_task *task = send_op(lock, op);

		heard = listen_to(task, op);
		if (heard == HEARD_NONSENSE) {
			complain(lock, op, task);
		}
		if (task) {
			scsi_free_scsi_task(task);
		}
		if (heard == HEARD_AGAIN) {
			rest();
		}
	}
	op->returned_ns = clock_ns();
	lock->ops++;
	lock->maybes += op->outcome == HISTORY_MAYBE;
	lock->conflicts += op->outcome == HISTORY_NO;
	history_print(lock->history, op, 1);
	if (heard == HEARD_NOTHING) {
		disconnect(lock);
	}
}

static void turn(struct lock *lock)
{
	struct history_op op = {.id = lock->ops * lock->clients + lock->client + 1,
		.client = lock->client,
		.unit = (uint64_t)lock->lun,
		.sector = HISTORY_LOCK,
		.attempts = 1};
	unsigned percent = (unsigned)(lock_random(lock) % 100), i = 0;

	while (i + 1 < ARRAY_SIZE(draws) && percent >= draws[i].percent) {
		percent -= draws[i++].percent;
	}
	op.kind = (uint8_t)draws[i].kind;
	if (op.kind == HISTORY_PREEMPT) {
		op.expected = (lock->client + 1 + lock_random(lock) % (lock->clients - 1)) %
			      lock->clients;
	}
	operate(lock, &op);
}

static void lock_options(struct lock *lock, int argc, char **argv)
{
	static const struct option longs[] = {
		{"client", required_argument, NULL, 'c'},
		{"clients", required_argument, NULL, 'n'},
		{"portal", required_argument, NULL, 'p'},
		{"target", required_argument, NULL, 't'},
		{"lun", required_argument, NULL, 'l'},
		{"history", required_argument, NULL, 'h'},
		{"seed", required_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	uint64_t seed = 1;
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			lock->client = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'n':
			lock->clients = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'p':
			lock->portal = optarg;
			break;
		case 't':
			lock->target = optarg;
			break;
		case 'l':
			lock->lun = (int)strtol(optarg, NULL, 0);
			break;
		case 'h':
			lock->history = fopen(optarg, "we");
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			fputs(lock_usage, stderr);
			exit(2);
		}
	}
	lock->random = seed * HISTORY_CLIENTS_MAX + lock->client;
}

int main(int argc, char **argv)
{
	struct lock lock = {0};

	lock_options(&lock, argc, argv);
	if (!lock.portal || !lock.target || !lock.history || lock.clients < 2 ||
		lock.clients > HISTORY_CLIENTS_MAX || lock.client >= lock.clients) {
		fputs(lock_usage, stderr);
		return 2;
	}
	while (!is_over() && !lock.errors) {
		if (lock.iscsi || connect_portal(&lock)) {
			turn(&lock);
		}
		rest();
	}
	disconnect(&lock);
	if (fclose(lock.history) != 0) {
		fputs("yoke-lock: the history could not be written\n", stderr);
		return 1;
	}
	printf("{\"ops\":%" PRIu64 ",\"maybe\":%" PRIu64 ",\"conflicts\":%" PRIu64
	       ",\"errors\":%" PRIu64 "}\n",
		lock.ops, lock.maybes, lock.conflicts, lock.errors);
	return lock.errors ? 1 : 0;
}
