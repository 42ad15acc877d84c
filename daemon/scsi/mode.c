/* SPDX-License-Identifier: BSD-3-Clause */
/* MODE SENSE 6 and 10 (SPC-4 6.11, 6.12, 7.5). */
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/mode.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/snapshot.h"
#include "daemon/scsi/tasks.h"
#include "daemon/scsi/threshold.h"
#include "yoke/util.h"

#define MODE_MOST     256
#define DBD	      0x08
#define LLBAA	      0x10
#define PAGE_ALL      0x3f
#define SUBPAGE_ALL   0xff
#define HEADER_WP     0x80
#define HEADER_DPOFUA 0x10

#define PAGE_PS	      0x80 /* can be saved */

static void caching_put(const struct scsi_lu *lu, uint8_t page[])
{
	/*
	 * WCE. Not changeable: without it every kind of write, UNMAP and WRITE SAME too, would have
	 * to be flushed before its GOOD.
	 */
	page[0] = lu->info.volatile_cache ? 0x04 : 0x00;
}

static void control_put(const struct scsi_lu *lu, uint8_t page[])
{
	page[0] = 0x20; /* TST 001b: a task set for each I_T nexus */
	page[1] = 0x10; /* unrestricted reordering of SIMPLE tasks */
}

static const struct scsi_mode_field control_fields[] = {
	{0, 0x04, SCSI_MODE_D_SENSE},
	{2, 0x08, SCSI_MODE_SWP},
	{3, 0x40, SCSI_MODE_TAS},
};

static void exceptions_put(const struct scsi_lu *lu, uint8_t page[])
{
	page[0] = 0x08; /* DEXCPT: none are reported */
}

static bool has_thresholds(const struct scsi_lu *lu)
{
	return scsi_threshold_available(lu, SCSI_THRESHOLD_USED);
}

static void recovery_put(const struct scsi_lu *lu, uint8_t page[])
{
	page[0] = 0xc0; /* AWRE, ARRE: what lies below replaces bad blocks by itself */
	for (unsigned i = 0; i < SCSI_THRESHOLDS; i++) {
		if (atomic_load_explicit(&lu->thresholds[i], memory_order_relaxed)) {
			page[5] = 0x80; /* LBPERE: thresholds are told */
		}
	}
}

/* By code and subpage. */
const struct scsi_mode_page scsi_mode_pages[] = {
	{0x01, 0, 0x0a, NULL, recovery_put, NULL, 0},
	{0x08, 0, 0x12, NULL, caching_put, NULL, 0},
	{0x0a, 0, 0x0a, NULL, control_put, control_fields, ARRAY_SIZE(control_fields)},
	{0x1c, 0, 0x0a, NULL, exceptions_put, NULL, 0},
	{0x1c, 2, SCSI_THRESHOLD_PAGE_BYTES, has_thresholds, scsi_threshold_page_put, NULL, 0},
};
const unsigned scsi_mode_page_count = ARRAY_SIZE(scsi_mode_pages);

static bool page_exists(const struct scsi_lu *lu, const struct scsi_mode_page *page)
{
	return !page->available || page->available(lu);
}

const struct scsi_mode_page *scsi_mode_page_find(
	const struct scsi_lu *lu, uint8_t code, uint8_t subpage)
{
	for (unsigned i = 0; i < scsi_mode_page_count; i++) {
		const struct scsi_mode_page *page = &scsi_mode_pages[i];

		if (page->code == code && page->subpage == subpage && page_exists(lu, page)) {
			return page;
		}
	}
	return NULL;
}

static void fields_put(const struct scsi_mode_page *page, uint8_t mode, uint8_t to[])
{
	for (unsigned i = 0; i < page->field_count; i++) {
		if (mode & page->fields[i].mode) {
			to[page->fields[i].byte] |= page->fields[i].bit;
		}
	}
}

void scsi_mode_page_put(const struct scsi_mode_page *page, const struct scsi_lu *lu, uint8_t mode,
	uint8_t to[SCSI_MODE_PAGE_MOST])
{
	memset(to, 0, page->length);
	page->put(lu, to);
	fields_put(page, mode, to);
}

bool scsi_mode_sense_decode(struct scsi_task *task)
{
	const uint8_t *cdb = task->cdb;
	uint8_t code = cdb[2] & 0x3f, subpage = cdb[3];

	if (code != PAGE_ALL && !scsi_mode_page_find(task->lu, code, 0)) {
		scsi_set_cdb_field(task, 2, 5);
		return false;
	}
	if (subpage != 0 && subpage != SUBPAGE_ALL &&
		(code == PAGE_ALL || !scsi_mode_page_find(task->lu, code, subpage))) {
		scsi_set_cdb_field(task, 3, -1);
		return false;
	}
	return scsi_parameter_decode(
		task, task->row->cdb_length == 6 ? cdb[4] : be16_get(cdb + 7), MODE_MOST);
}

/* SBC-4 4.11.2 c: these pages one by one, and none of their subpages. */
bool scsi_mode_sense_beside_sanitize(const struct scsi_task *task)
{
	static const uint8_t codes[] = {0x08, 0x0a, 0x18, 0x19, 0x1c};

	return task->cdb[3] == 0 && memchr(codes, task->cdb[2] & PAGE_ALL, sizeof(codes)) != NULL;
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

/* The values of the fields that PAGE CONTROL asks for. */
static uint8_t mode_asked(const struct scsi_task *task)
{
	const struct scsi_snapshot *snapshot = scsi_snapshot_of(task);

	switch ((enum scsi_mode_control)(task->cdb[2] >> 6)) {
	case SCSI_MODE_CURRENT:
		return snapshot ? snapshot->state.mode : 0;
	case SCSI_MODE_CHANGEABLE:
		return SCSI_MODE_ALL;
	case SCSI_MODE_DEFAULT:
		break;
	case SCSI_MODE_SAVED:
		return snapshot ? snapshot->state.saved_mode : 0;
	}
	return 0;
}

/* Is it asked for? */
static bool page_fits(const struct scsi_task *task, const struct scsi_mode_page *page)
{
	uint8_t code = task->cdb[2] & 0x3f, subpage = task->cdb[3];

	return (code == PAGE_ALL || code == page->code) &&
	       (subpage == SUBPAGE_ALL || subpage == page->subpage) && page_exists(task->lu, page);
}

static void pages_put(const struct scsi_task *task, struct cursor *c)
{
	bool changeable = task->cdb[2] >> 6 == SCSI_MODE_CHANGEABLE;

	for (unsigned i = 0; i < scsi_mode_page_count; i++) {
		const struct scsi_mode_page *page = &scsi_mode_pages[i];
		uint8_t *parameters;

		if (!page_fits(task, page)) {
			continue;
		}
		cursor_put_u8(c, (uint8_t)(page->code | (page->field_count ? PAGE_PS : 0) |
					   (page->subpage ? SCSI_MODE_SPF : 0)));
		if (page->subpage) {
			cursor_put_u8(c, page->subpage);
			cursor_put_u8(c, 0);
		}
		cursor_put_u8(c, page->length);
		parameters = cursor_take(c, page->length);
		if (parameters && changeable) {
			memset(parameters, 0, page->length);
			fields_put(page, SCSI_MODE_ALL, parameters);
		} else if (parameters) {
			scsi_mode_page_put(page, task->lu, mode_asked(task), parameters);
		}
	}
}

static bool is_protected(const struct scsi_task *task)
{
	return task->lu->conf->read_only || scsi_mode_of(task) & SCSI_MODE_SWP;
}

void scsi_mode_sense_run(struct scsi_task *task)
{
	bool ten = task->row->cdb_length == 10;
	bool is_long = ten && task->cdb[1] & LLBAA;
	unsigned descriptor = task->cdb[1] & DBD ? 0 : is_long ? 16 : 8;
	uint8_t device = (uint8_t)(HEADER_DPOFUA | (is_protected(task) ? HEADER_WP : 0));
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
