/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS (SPC-4 6.42, 6.31), READ BUFFER and WRITE BUFFER
 * (6.18, 6.49). A self-test reads the first and the last block. The buffers belong to the I_T
 * nexus, so nobody else's data can be in them.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

/* ----- SEND DIAGNOSTIC -------------------------------------------------------------------------
 */

#define DIAGNOSTIC_PF	    0x10
#define DIAGNOSTIC_SELFTEST 0x04
#define PAGE_SUPPORTED	    0x00
#define PAGE_BYTES	    4u

bool scsi_send_diagnostic_decode(struct scsi_task *task)
{
	uint16_t length = be16_get(task->cdb + 3);

	if (task->cdb[1] & DIAGNOSTIC_SELFTEST && length) {
		scsi_set_cdb_field(task, 3, -1);
		return false;
	}
	if (length && (length != PAGE_BYTES || !(task->cdb[1] & DIAGNOSTIC_PF))) {
		scsi_set_cdb_field(task, 3, -1);
		return false;
	}
	task->out_bytes = length;
	return true;
}

static void self_test_done(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (!scsi_io_stands(task, res)) {
		return;
	}
	if (res < 0) {
		scsi_set_sense(task, SENSE_SELF_TEST_FAILED);
		scsi_task_finish(task);
	} else if (task->step++ == 0) {
		scsi_io_submit(task, EXTENT_READ, task->work->data,
			(task->lu->blocks - 1) << task->lu->block_shift, task->lu->block_size,
			self_test_done);
	} else {
		scsi_task_finish(task);
	}
}

static void self_test(struct scsi_task *task)
{
	task->work = buf_get(reactor_buffers(task->reactor), task->lu->block_size);
	if (!task->work) {
		task->status = SCSI_BUSY;
		scsi_task_finish(task);
		return;
	}
	scsi_io_submit(
		task, EXTENT_READ, task->work->data, 0, task->lu->block_size, self_test_done);
}

void scsi_send_diagnostic_run(struct scsi_task *task)
{
	struct cursor c;

	if (task->cdb[1] & DIAGNOSTIC_SELFTEST) {
		self_test(task);
		return;
	}
	if (task->out_bytes) {
		/* The one page that there is: the next RECEIVE DIAGNOSTIC RESULTS brings it. */
		c = cursor_reader(task->out_length ? task->buf->data : NULL, task->out_length);
		if (cursor_get_u8(&c) != PAGE_SUPPORTED) {
			scsi_set_list_field(task, 0, -1);
		} else if (cursor_get_u8(&c), cursor_get_u16(&c) != 0) {
			scsi_set_list_field(task, 2, -1);
		}
		if (!cursor_ok(&c)) {
			scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		}
	}
	scsi_task_finish(task);
}

#define RECEIVE_PCV 0x01

bool scsi_receive_diagnostic_decode(struct scsi_task *task)
{
	if (task->cdb[1] & RECEIVE_PCV && task->cdb[2] != PAGE_SUPPORTED) {
		scsi_set_cdb_field(task, 2, -1);
		return false;
	}
	return scsi_parameter_decode(task, be16_get(task->cdb + 3), PAGE_BYTES + 1);
}

void scsi_receive_diagnostic_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u16(&c, PAGE_SUPPORTED << 8);
	cursor_put_u16(&c, 1);
	cursor_put_u8(&c, PAGE_SUPPORTED);
	scsi_parameter_end(task, &c);
}

/* ----- READ BUFFER, WRITE BUFFER ---------------------------------------------------------------
 */

#define MODE_MASK	     0x1f
#define MODE_DATA	     0x02
#define MODE_DESCRIPTOR	     0x03
#define MODE_ECHO	     0x0a
#define MODE_ECHO_DESCRIPTOR 0x0b
#define ECHO_EBOS	     0x01 /* nobody else can overwrite it */
#define OFFSET_ANY	     0x00 /* offset boundary: 2^0 */

static uint8_t *buffer_get(struct scsi_nexus *nexus)
{
	if (!nexus->buffers) {
		nexus->buffers = calloc(1, sizeof(*nexus->buffers));
	}
	return nexus->buffers ? nexus->buffers->data : NULL;
}

/* Buffer 0 alone, and only inside of it; false with the outcome set. */
static bool buffer_check(struct scsi_task *task, uint32_t length)
{
	uint32_t offset = be24_get(task->cdb + 3);

	if (task->cdb[2] != 0) {
		scsi_set_cdb_field(task, 2, -1);
		return false;
	}
	if (offset > SCSI_BUFFER_BYTES) {
		scsi_set_cdb_field(task, 3, -1);
		return false;
	}
	if (length > SCSI_BUFFER_BYTES - offset) {
		scsi_set_cdb_field(task, 6, -1);
		return false;
	}
	return true;
}

bool scsi_write_buffer_decode(struct scsi_task *task)
{
	uint32_t length = be24_get(task->cdb + 6);

	switch (task->cdb[1] & MODE_MASK) {
	case MODE_DATA:
		if (!buffer_check(task, length)) {
			return false;
		}
		break;
	case MODE_ECHO: /* ID and offset are ignored */
		if (length > SCSI_BUFFER_BYTES) {
			scsi_set_cdb_field(task, 6, -1);
			return false;
		}
		break;
	default: /* microcode is not loaded this way */
		scsi_set_cdb_field(task, 1, 4);
		return false;
	}
	task->out_bytes = length;
	return true;
}

void scsi_write_buffer_run(struct scsi_task *task)
{
	struct scsi_nexus *nexus = task->nexus;
	uint8_t *data = buffer_get(nexus);

	if (!data) {
		task->status = SCSI_BUSY;
	} else if ((task->cdb[1] & MODE_MASK) == MODE_ECHO) {
		if (task->out_length) {
			memcpy(nexus->buffers->echo, task->buf->data, task->out_length);
		}
		nexus->buffers->echo_length = task->out_length;
		nexus->buffers->echo_lu = task->lu;
	} else if (task->out_length) {
		memcpy(data + be24_get(task->cdb + 3), task->buf->data, task->out_length);
	}
	scsi_task_finish(task);
}

bool scsi_read_buffer_decode(struct scsi_task *task)
{
	uint32_t allocation = be24_get(task->cdb + 6);

	switch (task->cdb[1] & MODE_MASK) {
	case MODE_DATA:
		if (!buffer_check(task, 0)) {
			return false;
		}
		break;
	case MODE_ECHO:
	case MODE_DESCRIPTOR:
	case MODE_ECHO_DESCRIPTOR:
		break;
	default:
		scsi_set_cdb_field(task, 1, 4);
		return false;
	}
	return scsi_parameter_decode(task, allocation, SCSI_BUFFER_BYTES);
}

void scsi_read_buffer_run(struct scsi_task *task)
{
	struct scsi_nexus *nexus = task->nexus;
	uint8_t *data = buffer_get(nexus);
	struct cursor c = scsi_parameter_begin(task);
	uint32_t offset = be24_get(task->cdb + 3);

	if (!data) {
		task->status = SCSI_BUSY;
		scsi_task_finish(task);
		return;
	}
	switch (task->cdb[1] & MODE_MASK) {
	case MODE_DATA:
		cursor_put_bytes(&c, data + offset, SCSI_BUFFER_BYTES - offset);
		break;
	case MODE_DESCRIPTOR: /* another buffer has no bytes (SPC-4 6.18.5) */
		cursor_put_u8(&c, OFFSET_ANY);
		cursor_put_u24(&c, task->cdb[2] == 0 ? SCSI_BUFFER_BYTES : 0);
		break;
	case MODE_ECHO:
		if (nexus->buffers->echo_lu != task->lu) {
			scsi_set_sense(task, SENSE_COMMAND_SEQUENCE);
			scsi_task_finish(task);
			return;
		}
		cursor_put_bytes(&c, nexus->buffers->echo, nexus->buffers->echo_length);
		break;
	case MODE_ECHO_DESCRIPTOR:
		cursor_put_u8(&c, ECHO_EBOS);
		cursor_put_u8(&c, 0);
		cursor_put_u16(&c, SCSI_BUFFER_BYTES);
		break;
	}
	scsi_parameter_end(task, &c);
}
