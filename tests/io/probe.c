/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * yoke-probe: one login, then SCSI commands given as hex, each answered by one line:
 * "status [key/asc/ascq] in-bytes hex". For tests that look at bytes.
 */
#include <ctype.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "yoke/util.h"

static const char probe_usage[] =
	"Usage: yoke-probe [--initiator IQN] [--isid N] [--keep-ua] --portal ADDR[:PORT] --target "
	"IQN --lun N CDB[:INBYTES|=DATA]|@MS...\n"
	"CDB and DATA (out) are hex; a unit attention left from the login is taken off first "
	"unless "
	"--keep-ua. @MS waits for so many milliseconds.\nWithout --isid every login is another "
	"initiator port.\n";

#define PROBE_IN_MAX  65536

#define PROBE_OUT_MAX 4096

struct probe_command {
	unsigned char cdb[16];
	int length;
	long in_bytes;
	unsigned char out[PROBE_OUT_MAX];
	int out_bytes;
};

/* Hex digits into at most `size` bytes; how many. */
static int probe_hex(const char **text, unsigned char *to, int size)
{
	int n = 0;

	while (isxdigit((unsigned char)(*text)[0]) && isxdigit((unsigned char)(*text)[1]) &&
		n < size) {
		char pair[3] = {(*text)[0], (*text)[1], '\0'};

		to[n++] = (unsigned char)strtoul(pair, NULL, 16);
		*text += 2;
	}
	return n;
}

static bool probe_parse(const char *text, struct probe_command *c)
{
	*c = (struct probe_command){0};
	c->length = probe_hex(&text, c->cdb, sizeof(c->cdb));
	if (*text == ':') {
		char *end;

		c->in_bytes = strtol(text + 1, &end, 0);
		text = end;
	} else if (*text == '=') {
		text++;
		c->out_bytes = probe_hex(&text, c->out, sizeof(c->out));
	}
	return c->length >= 6 && *text == '\0' && c->in_bytes >= 0 && c->in_bytes <= PROBE_IN_MAX;
}

static struct scsi_task *probe_task(struct iscsi_context *iscsi, int lun, struct probe_command *c)
{
	struct iscsi_data data = {.data = c->out, .size = (size_t)c->out_bytes};
	struct scsi_task *task = scsi_create_task(c->length, c->cdb,
		c->out_bytes  ? SCSI_XFER_WRITE
		: c->in_bytes ? SCSI_XFER_READ
			      : SCSI_XFER_NONE,
		c->out_bytes ? c->out_bytes : (int)c->in_bytes);

	return task ? iscsi_scsi_command_sync(iscsi, lun, task, c->out_bytes ? &data : NULL) : NULL;
}

static int probe_run(struct iscsi_context *iscsi, int lun, const char *text)
{
	struct probe_command command;
	struct scsi_task *done;

	if (text[0] == '@') {
		fflush(stdout);
		poll(NULL, 0, (int)strtol(text + 1, NULL, 10));
		return 0;
	}
	if (!probe_parse(text, &command)) {
		fprintf(stderr, "yoke-probe: not a CDB: %s\n%s", text, probe_usage);
		return 2;
	}
	done = probe_task(iscsi, lun, &command);
	if (!done) {
		fprintf(stderr, "yoke-probe: %s: %s\n", text, iscsi_get_error(iscsi));
		return 1;
	}
	printf("%02x", done->status & 0xff);
	if (done->status == SCSI_STATUS_CHECK_CONDITION) {
		printf(" %x/%02x/%02x", (unsigned)done->sense.key, (unsigned)done->sense.ascq >> 8,
			(unsigned)done->sense.ascq & 0xff);
	}
	if (done->status == SCSI_STATUS_GOOD && command.in_bytes) {
		printf(" %d ", done->datain.size);
		for (int i = 0; i < done->datain.size; i++) {
			printf("%02x", done->datain.data[i]);
		}
	}
	putchar('\n');
	scsi_free_scsi_task(done);
	return 0;
}

static void probe_ua_take(struct iscsi_context *iscsi, int lun)
{
	for (int i = 0; i < 8; i++) {
		struct scsi_task *task = iscsi_testunitready_sync(iscsi, lun);
		bool ua = task && task->status == SCSI_STATUS_CHECK_CONDITION &&
			  task->sense.key == SCSI_SENSE_UNIT_ATTENTION;

		if (task) {
			scsi_free_scsi_task(task);
		}
		if (!ua) {
			return;
		}
	}
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"initiator", required_argument, NULL, 'i'},
		{"portal", required_argument, NULL, 'p'},
		{"target", required_argument, NULL, 't'},
		{"lun", required_argument, NULL, 'l'},
		{"isid", required_argument, NULL, 's'},
		{"keep-ua", no_argument, NULL, 'k'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *initiator = "iqn.2026-01.org.example:probe", *portal = NULL, *target = NULL;
	struct iscsi_context *iscsi;
	bool keep_ua = false;
	int option, lun = 0, status = 0;
	long isid = -1;

	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (option) {
		case 'i':
			initiator = optarg;
			break;
		case 'p':
			portal = optarg;
			break;
		case 't':
			target = optarg;
			break;
		case 'l':
			lun = (int)strtol(optarg, NULL, 0);
			break;
		case 's':
			isid = strtol(optarg, NULL, 0);
			break;
		case 'k':
			keep_ua = true;
			break;
		case 'h':
			fputs(probe_usage, stdout);
			return 0;
		default:
			fputs(probe_usage, stderr);
			return 2;
		}
	}
	if (!portal || !target || optind == argc) {
		fputs(probe_usage, stderr);
		return 2;
	}
	iscsi = iscsi_create_context(initiator);
	if (!iscsi) {
		return 1;
	}
	iscsi_set_targetname(iscsi, target);
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	if (isid >= 0) {
		iscsi_set_isid_random(iscsi, (uint32_t)isid, 0);
	}
	iscsi_set_noautoreconnect(iscsi, 1);
	iscsi_set_timeout(iscsi, 20);
	if (iscsi_connect_sync(iscsi, portal) < 0 || iscsi_login_sync(iscsi) < 0) {
		fprintf(stderr, "yoke-probe: %s: %s\n", portal, iscsi_get_error(iscsi));
		iscsi_destroy_context(iscsi);
		return 1;
	}
	if (!keep_ua) {
		probe_ua_take(iscsi, lun);
	}
	for (int i = optind; i < argc && status == 0; i++) {
		status = probe_run(iscsi, lun, argv[i]);
	}
	iscsi_logout_sync(iscsi);
	iscsi_destroy_context(iscsi);
	return status;
}
