/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * INQUIRY (SPC-4 6.6), TEST UNIT READY and REQUEST SENSE. The bytes are the same at every port of
 * both controllers, but for the port's own designators in VPD page 83 (invariant I6).
 */
#include <stdio.h>
#include <string.h>

#include "daemon/scsi/commands.h"
#include "config.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sanitize.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/stpg.h"
#include "daemon/scsi/tasks.h"
#include "yoke/iscsi.h"

#define INQUIRY_BYTES	   96
#define INQUIRY_EVPD	   0x01
#define NO_UNIT		   0x7f /* qualifier 3, type 1F */
#define VERSION_SPC4	   0x06
#define FORMAT_AND_HISUP   0x12
#define TPGS_IMPLICIT	   0x10
#define TPGS_EXPLICIT	   0x20
#define THIRD_PARTY_COPY   0x08
#define MULTIP		   0x10
#define CMDQUE		   0x02
#define REQUEST_SENSE_DESC 0x01

static const uint16_t versions[] = {
	0x00a0, /* SAM-5 */
	0x0460, /* SPC-4 */
	0x04c0, /* SBC-3 */
	0x0960 + ISCSI_PROTOCOL_LEVEL, /* iSCSI */
};

bool scsi_inquiry_decode(struct scsi_task *task)
{
	const uint8_t *cdb = task->cdb;
	uint32_t most = INQUIRY_BYTES;

	if (cdb[1] & INQUIRY_EVPD) {
		if (!task->lu || !scsi_vpd_has(cdb[2])) {
			scsi_set_cdb_field(task, 2, -1);
			return false;
		}
		most = scsi_vpd_most(task);
	} else if (cdb[2]) {
		scsi_set_cdb_field(task, 2, -1);
		return false;
	}
	return scsi_parameter_decode(task, be16_get(cdb + 3), most);
}

/* `text`, padded with spaces to `n` bytes. */
static void put_padded(struct cursor *c, const char *text, size_t n)
{
	size_t length = strnlen(text, n);

	cursor_put_bytes(c, text, length);
	while (length++ < n) {
		cursor_put_u8(c, ' ');
	}
}

static void standard_put(const struct scsi_task *task, struct cursor *c)
{
	const struct conf *conf = task->nexus->core->scsi->conf;

	cursor_put_u8(c, task->lu ? 0 : NO_UNIT);
	cursor_put_u8(c, 0); /* not removable */
	cursor_put_u8(c, VERSION_SPC4);
	cursor_put_u8(c, FORMAT_AND_HISUP);
	cursor_put_u8(c, INQUIRY_BYTES - 5);
	cursor_put_u8(
		c, (uint8_t)(TPGS_IMPLICIT | THIRD_PARTY_COPY |
			     (scsi_stpg_allowed(task->nexus->core->scsi) ? TPGS_EXPLICIT : 0)));
	cursor_put_u8(c, MULTIP);
	cursor_put_u8(c, CMDQUE);
	put_padded(c, conf->vendor, 8);
	put_padded(c, conf->product, 16);
	/* PRODUCT REVISION LEVEL has room for "0.1" or "1.10", not for a dot at its end. */
	put_padded(c, PACKAGE_VERSION, PACKAGE_VERSION[3] == '.' ? 3 : 4);
	cursor_put_bytes(c, " ", PACKAGE_VERSION[3] == '.' ? 1 : 0);
	cursor_put_zeros(c, 58 - 36);
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		cursor_put_u16(c, versions[i]);
	}
	cursor_put_zeros(c, INQUIRY_BYTES - c->pos);
}

void scsi_inquiry_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);

	if (task->cdb[1] & INQUIRY_EVPD) {
		scsi_vpd_put(task, &c);
	} else {
		standard_put(task, &c);
	}
	scsi_parameter_end(task, &c);
}

void scsi_test_unit_ready_run(struct scsi_task *task)
{
	scsi_task_finish(task);
}

bool scsi_request_sense_decode(struct scsi_task *task)
{
	return scsi_parameter_decode(task, task->cdb[4], SCSI_SENSE_FIXED_BYTES);
}

void scsi_request_sense_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);
	uint8_t sense[SCSI_SENSE_FIXED_BYTES];
	bool descriptor = task->cdb[1] & REQUEST_SENSE_DESC;
	enum scsi_sense what = SENSE_NO_SUCH_LU;
	size_t length;

	if (task->itl) {
		/* A pending unit attention is told here as well as anywhere (SPC-4 6.39). */
		what = scsi_ua_take(task->nexus, task->itl);
		descriptor = descriptor && !scsi_sense_is_fixed(what);
	}
	length = scsi_sense_build(sense, what, descriptor);
	if (what == SENSE_NONE) {
		length = scsi_sanitize_sense(task, sense, descriptor);
	}
	cursor_put_bytes(&c, sense, length);
	scsi_parameter_end(task, &c);
}
