/* SPDX-License-Identifier: BSD-3-Clause */
/* MODE SENSE 6 and 10 (SPC-4 6.11, 6.12, 7.5). Nothing can be changed or saved. */
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define MODE_MOST     256
#define DBD	      0x08
#define LLBAA	      0x10
#define PAGE_ALL      0x3f
#define SUBPAGE_ALL   0xff
#define HEADER_WP     0x80
#define HEADER_DPOFUA 0x10

enum {
	PC_CURRENT = 0,
	PC_CHANGEABLE = 1,
	PC_DEFAULT = 2,
	PC_SAVED = 3
};

/* A page's parameters behind its code and length, current values. */
static void caching_put(const struct scsi_lu *lu, uint8_t page[])
{
	page[0] = lu->info.volatile_cache ? 0x04 : 0x00; /* WCE */
}

static void control_put(const struct scsi_lu *lu, uint8_t page[])
{
	page[0] = 0x20; /* TST 001b: a task set for each I_T nexus; fixed format sense */
	page[1] = 0x10; /* unrestricted reordering of SIMPLE tasks */
}

static void exceptions_put(const struct scsi_lu *lu, uint8_t page[])
{
	page[0] = 0x08; /* DEXCPT: none are reported */
}

static const struct mode_page {
	uint8_t code;
	uint8_t length;
	void (*put)(const struct scsi_lu *lu, uint8_t page[]);
} pages[] = {
	{0x08, 0x12, caching_put},
	{0x0a, 0x0a, control_put},
	{0x1c, 0x0a, exceptions_put},
};

static bool page_exists(uint8_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		if (pages[i].code == code) {
			return true;
		}
	}
	return code == PAGE_ALL;
}

bool scsi_mode_sense_decode(struct scsi_task *task)
{
	const uint8_t *cdb = task->cdb;
	uint8_t subpage = cdb[3];

	if (!page_exists(cdb[2] & 0x3f)) {
		scsi_set_cdb_field(task, 2, 5);
		return false;
	}
	if (subpage != 0 && subpage != SUBPAGE_ALL) {
		scsi_set_cdb_field(task, 3, -1);
		return false;
	}
	if (cdb[2] >> 6 == PC_SAVED) {
		scsi_set_sense(task, SENSE_SAVING_NOT_SUPPORTED);
		return false;
	}
	return scsi_parameter_decode(
		task, task->row->cdb_length == 6 ? cdb[4] : be16_get(cdb + 7), MODE_MOST);
}

static void block_descriptor_put(const struct scsi_task *task, struct cursor *c, bool is_long)
{
	const struct scsi_lu *lu = task->lu;

	if (is_long) {
		cursor_put_u64(c, lu->blocks);
		cursor_put_u32(c, 0);
		cursor_put_u32(c, lu->block_size);
	} else {
		cursor_put_u32(c, lu->blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)lu->blocks);
		cursor_put_u32(c, lu->block_size); /* the top byte is reserved: it is 0 */
	}
}

static void pages_put(const struct scsi_task *task, struct cursor *c)
{
	uint8_t code = task->cdb[2] & 0x3f;
	bool changeable = task->cdb[2] >> 6 == PC_CHANGEABLE;

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		uint8_t *parameters;

		if (code != PAGE_ALL && code != pages[i].code) {
			continue;
		}
		cursor_put_u8(c, pages[i].code);
		cursor_put_u8(c, pages[i].length);
		parameters = cursor_take(c, pages[i].length);
		if (parameters) {
			memset(parameters, 0, pages[i].length);
			if (!changeable) {
				pages[i].put(task->lu, parameters);
			}
		}
	}
}

void scsi_mode_sense_run(struct scsi_task *task)
{
	bool ten = task->row->cdb_length == 10;
	bool is_long = ten && task->cdb[1] & LLBAA;
	unsigned descriptor = task->cdb[1] & DBD ? 0 : is_long ? 16 : 8;
	uint8_t device = (uint8_t)(HEADER_DPOFUA | (task->lu->conf->read_only ? HEADER_WP : 0));
	struct cursor c = scsi_parameter_begin(task);

	if (ten) {
		cursor_put_u16(&c, 0);
		cursor_put_u8(&c, 0); /* medium type */
		cursor_put_u8(&c, device);
		cursor_put_u8(&c, is_long && descriptor ? 1 : 0);
		cursor_put_u8(&c, 0);
		cursor_put_u16(&c, (uint16_t)descriptor);
	} else {
		cursor_put_u8(&c, 0);
		cursor_put_u8(&c, 0);
		cursor_put_u8(&c, device);
		cursor_put_u8(&c, (uint8_t)descriptor);
	}
	if (descriptor) {
		block_descriptor_put(task, &c, is_long);
	}
	pages_put(task, &c);
	/* The mode data length does not count itself. */
	if (cursor_ok(&c) && ten) {
		be16_put(c.base, (uint16_t)(c.pos - 2));
	} else if (cursor_ok(&c)) {
		c.base[0] = (uint8_t)(c.pos - 1);
	}
	scsi_parameter_end(task, &c);
}
