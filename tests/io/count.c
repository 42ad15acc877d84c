/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * yoke-count: one host that counts up in a block by COMPARE AND WRITE, over one portal. Several of
 * them, at both controllers, share the block: a write that another one's read did not see loses a
 * count. At the end one line says how often it has won, and how often it cannot know, because the
 * answer was lost with a connection. With --seconds 0 it only looks.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "yoke/cursor.h"

#define BLOCK_MAX  4096
#define TIMEOUT_S  20
#define PAUSE_NS   20000000L
#define COUNT_AT   0 /* in the block: the count, */
#define WRITER_AT  8 /* who wrote it, */
#define ATTEMPT_AT 40 /* and its attempt: no two blocks are ever the same */

static const char count_usage[] =
	"Usage: yoke-count --host NAME --portal ADDR[:PORT] --target IQN --lun N --lba N "
	"--seconds N\n";

struct count {
	const char *host, *portal, *target;
	int lun;
	uint32_t lba;
	uint32_t block_size;
	struct iscsi_context *iscsi;
	uint64_t won, lost, unsure, attempts, reconnects, errors;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

static void disconnect(struct count *count)
{
	if (count->iscsi) {
		iscsi_destroy_context(count->iscsi);
		count->iscsi = NULL;
	}
}

static bool block_size_get(struct count *count)
{
	struct scsi_task *task = iscsi_readcapacity16_sync(count->iscsi, count->lun);
	struct scsi_readcapacity16 *capacity =
		task && task->status == SCSI_STATUS_GOOD ? scsi_datain_unmarshall(task) : NULL;

	if (capacity) {
		count->block_size = capacity->block_length;
	}
	if (task) {
		scsi_free_scsi_task(task);
	}
	return capacity && count->block_size >= 512 && count->block_size <= BLOCK_MAX;
}

static bool connect_portal(struct count *count)
{
	char name[128];

	snprintf(name, sizeof(name), "iqn.2026-01.org.example:%s", count->host);
	count->iscsi = iscsi_create_context(name);
	if (!count->iscsi) {
		return false;
	}
	iscsi_set_targetname(count->iscsi, count->target);
	iscsi_set_session_type(count->iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_noautoreconnect(count->iscsi, 1);
	iscsi_set_timeout(count->iscsi, TIMEOUT_S);
	if (iscsi_full_connect_sync(count->iscsi, count->portal, count->lun) < 0 ||
		!block_size_get(count)) {
		disconnect(count);
		return false;
	}
	return true;
}

/* Is this an answer after which one simply tries again? */
static bool is_transient(const struct scsi_task *task)
{
	return task->status == SCSI_STATUS_BUSY || task->status == SCSI_STATUS_TASK_SET_FULL ||
	       (task->status == SCSI_STATUS_CHECK_CONDITION &&
		       (task->sense.key == SCSI_SENSE_UNIT_ATTENTION ||
			       task->sense.key == SCSI_SENSE_NOT_READY));
}

static void complain(struct count *count, const char *what, const struct scsi_task *task)
{
	count->errors++;
	fprintf(stderr, "yoke-count: %s: %s: status %02x, sense %x/%04x\n", count->portal, what,
		(unsigned)task->status & 0xff, (unsigned)task->sense.key,
		(unsigned)task->sense.ascq & 0xffff);
}

/* Reads the block; false when it did not work out this time. */
static bool block_read(struct count *count, uint8_t *block)
{
	struct scsi_task *task = iscsi_read16_sync(count->iscsi, count->lun, count->lba,
		count->block_size, (int)count->block_size, 0, 0, 0, 0, 0);
	bool good = task && task->status == SCSI_STATUS_GOOD &&
		    task->datain.size == (int)count->block_size;

	if (good) {
		memcpy(block, task->datain.data, count->block_size);
	} else if (!task || task->status == SCSI_STATUS_ERROR ||
		   task->status == SCSI_STATUS_CANCELLED || task->status == SCSI_STATUS_TIMEOUT) {
		count->reconnects++;
		disconnect(count);
	} else if (!is_transient(task)) {
		complain(count, "READ", task);
	}
	if (task) {
		scsi_free_scsi_task(task);
	}
	return good;
}

static void outcome_take(struct count *count, const struct scsi_task *task)
{
	if (!task || task->status == SCSI_STATUS_ERROR || task->status == SCSI_STATUS_CANCELLED ||
		task->status == SCSI_STATUS_TIMEOUT) {
		count->unsure++;
		count->reconnects++;
		disconnect(count);
	} else if (task->status == SCSI_STATUS_GOOD) {
		count->won++;
	} else if (task->status == SCSI_STATUS_CHECK_CONDITION &&
		   task->sense.key == SCSI_SENSE_MISCOMPARE) {
		count->lost++;
	} else if (is_transient(task)) {
		rest();
	} else {
		complain(count, "COMPARE AND WRITE", task);
	}
}

static void count_once(struct count *count)
{
	uint8_t data[2 * BLOCK_MAX] = {0};
	uint8_t *next = data + count->block_size;
	struct scsi_task *task;

	if (!block_read(count, data)) {
		rest();
		return;
	}
	be64_put(next + COUNT_AT, be64_get(data + COUNT_AT) + 1);
	memcpy(next + WRITER_AT, count->host, strnlen(count->host, ATTEMPT_AT - WRITER_AT - 1));
	be64_put(next + ATTEMPT_AT, ++count->attempts);
	task = iscsi_compareandwrite_sync(count->iscsi, count->lun, count->lba, data,
		2 * count->block_size, (int)count->block_size, 0, 0, 0, 0, 0);
	outcome_take(count, task);
	if (task) {
		scsi_free_scsi_task(task);
	}
}

static void count_for(struct count *count, uint64_t ms)
{
	uint64_t end = now_ms() + ms;
	uint8_t block[BLOCK_MAX];
	bool read = false;

	while (now_ms() < end) {
		if (count->iscsi || connect_portal(count)) {
			count_once(count);
		} else {
			rest();
		}
	}
	for (unsigned i = 0; i < 500 && !read; i++) {
		read = (count->iscsi || connect_portal(count)) && block_read(count, block);
		if (!read) {
			rest();
		}
	}
	if (!read) {
		fprintf(stderr, "yoke-count: %s does not answer at the end\n", count->portal);
		count->errors++;
		return;
	}
	printf("won %" PRIu64 " lost %" PRIu64 " unsure %" PRIu64 " reconnects %" PRIu64
	       " errors %" PRIu64 " count %" PRIu64 "\n",
		count->won, count->lost, count->unsure, count->reconnects, count->errors,
		be64_get(block + COUNT_AT));
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"host", required_argument, NULL, 'h'},
		{"portal", required_argument, NULL, 'p'},
		{"target", required_argument, NULL, 't'},
		{"lun", required_argument, NULL, 'l'},
		{"lba", required_argument, NULL, 'b'},
		{"seconds", required_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	struct count count = {0};
	uint64_t seconds = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'h':
			count.host = optarg;
			break;
		case 'p':
			count.portal = optarg;
			break;
		case 't':
			count.target = optarg;
			break;
		case 'l':
			count.lun = (int)strtol(optarg, NULL, 0);
			break;
		case 'b':
			count.lba = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 's':
			seconds = strtoul(optarg, NULL, 0);
			break;
		default:
			fputs(count_usage, stderr);
			return 2;
		}
	}
	if (!count.host || !count.portal || !count.target) {
		fputs(count_usage, stderr);
		return 2;
	}
	count_for(&count, seconds * 1000);
	disconnect(&count);
	return count.errors ? 1 : 0;
}
