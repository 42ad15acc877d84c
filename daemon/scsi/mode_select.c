/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MODE SELECT 6 and 10 (SPC-4 6.9, 6.10). The list is checked as a whole before anything changes:
 * what cannot be changed must be as it is. What is to change goes through the ledger.
 */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/mode.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/snapshot.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define PF		0x10
#define SP		0x01
#define PAGE_CODE_MASK	0x3f
#define LONGLBA		0x01
#define LIST_BYTES_MOST 512u
#define ENTRY_BYTES	1024

bool scsi_mode_select_decode(struct scsi_task *task)
{
	bool ten = task->row->cdb_length == 10;
	uint32_t length = ten ? be16_get(task->cdb + 7) : task->cdb[4];

	if (length && !(task->cdb[1] & PF)) {
		scsi_set_cdb_field(task, 1, 4); /* pages of a vendor's own format */
		return false;
	}
	if (length > LIST_BYTES_MOST) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	task->out_bytes = length;
	return true;
}

/* The block descriptor may say only what is true; 0 blocks means "as it is". */
static bool descriptor_check(struct scsi_task *task, struct cursor *c, size_t bytes, bool is_long)
{
	const struct scsi_lu *lu = task->lu;
	size_t begin = c->pos;
	uint64_t blocks, shown = lu->blocks;
	uint32_t block_size;

	if (bytes == 0) {
		return true;
	}
	if (bytes != (is_long ? 16 : 8)) {
		scsi_set_list_field(task, task->row->cdb_length == 10 ? 6 : 3, -1);
		return false;
	}
	if (is_long) {
		blocks = cursor_get_u64(c);
		cursor_get_u32(c);
		block_size = cursor_get_u32(c);
	} else {
		blocks = cursor_get_u32(c);
		block_size = cursor_get_u32(c) & 0xffffff;
		shown = shown > UINT32_MAX ? UINT32_MAX : shown;
	}
	if (!cursor_ok(c)) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	if (blocks && blocks != shown) {
		scsi_set_list_field(task, (unsigned)begin, -1);
		return false;
	}
	if (block_size != lu->block_size) {
		scsi_set_list_field(task, (unsigned)begin + (is_long ? 12 : 5), -1);
		return false;
	}
	return true;
}

/* Header and block descriptor; the cursor stands at the first page then. */
static bool header_check(struct scsi_task *task, struct cursor *c)
{
	bool ten = task->row->cdb_length == 10;
	bool is_long = false;
	uint8_t medium;
	size_t bytes;

	cursor_take(c, ten ? 2 : 1); /* mode data length: reserved here */
	medium = cursor_get_u8(c);
	cursor_get_u8(c); /* device-specific: nothing of it can be set */
	if (ten) {
		is_long = cursor_get_u8(c) & LONGLBA;
		cursor_get_u8(c);
		bytes = cursor_get_u16(c);
	} else {
		bytes = cursor_get_u8(c);
	}
	if (!cursor_ok(c)) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	if (medium) {
		scsi_set_list_field(task, ten ? 2 : 1, -1);
		return false;
	}
	return descriptor_check(task, c, bytes, is_long);
}

/* Reads one page: its fields into the entry, anything else must be as it is. */
static bool page_check(struct scsi_task *task, struct cursor *c, struct scsi_entry *entry)
{
	size_t begin = c->pos;
	uint8_t code = cursor_get_u8(c); /* PS is reserved here: not looked at */
	bool sub = code & SCSI_MODE_SPF;
	uint8_t subpage = sub ? cursor_get_u8(c) : 0;
	unsigned length_at = (unsigned)c->pos;
	uint16_t length = sub ? cursor_get_u16(c) : cursor_get_u8(c);
	const struct scsi_mode_page *page =
		sub && !subpage ? NULL
				: scsi_mode_page_find(task->lu, code & PAGE_CODE_MASK, subpage);
	uint8_t now[SCSI_MODE_PAGE_MOST];
	const uint8_t *got;

	if (!cursor_ok(c)) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	if (!page) {
		scsi_set_list_field(task, (unsigned)begin, sub ? 6 : 5);
		return false;
	}
	if (length != page->length) {
		scsi_set_list_field(task, length_at, -1);
		return false;
	}
	got = cursor_take(c, length);
	if (!got) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	scsi_mode_page_put(page, task->lu, 0, now);
	for (unsigned i = 0; i < page->field_count; i++) {
		const struct scsi_mode_field *field = &page->fields[i];

		entry->mask |= field->mode;
		entry->values &= (uint8_t)~field->mode;
		if (got[field->byte] & field->bit) {
			entry->values |= field->mode;
			now[field->byte] |= field->bit;
		}
	}
	for (unsigned i = 0; i < length; i++) {
		if (got[i] != now[i]) {
			scsi_set_list_field(task, (unsigned)(c->pos - length) + i,
				31 - __builtin_clz((unsigned)(got[i] ^ now[i])));
			return false;
		}
	}
	return true;
}

static bool list_check(struct scsi_task *task, struct scsi_entry *entry)
{
	struct cursor c = cursor_reader(task->buf->data, task->out_length);

	if (task->out_length != task->out_bytes) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	if (!header_check(task, &c)) {
		return false;
	}
	while (cursor_left(&c)) {
		if (!page_check(task, &c, entry)) {
			return false;
		}
	}
	return true;
}

void scsi_mode_select_run(struct scsi_task *task)
{
	struct scsi_entry entry = scsi_ledger_entry(task, SCSI_ENTRY_MODE);
	const struct scsi_snapshot *snapshot = scsi_snapshot_of(task);

	/* A conflict goes before what is wrong with the list; not so for what may have been done.
	 */
	if (!task->rerun && snapshot && snapshot->restricts &&
		scsi_snapshot_refuses(task, snapshot)) {
		scsi_task_finish(task);
		return;
	}
	if (task->out_bytes && !list_check(task, &entry)) {
		scsi_task_finish(task);
		return;
	}
	if (!entry.mask) {
		scsi_task_finish(task); /* no page with anything to change */
		return;
	}
	entry.flags = task->cdb[1] & SP ? SCSI_ENTRY_SAVE : 0;
	scsi_ledger_record(task, &entry, ENTRY_BYTES);
}
