/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LOG SELECT (SPC-4 6.7): counters are set back, or to what the list says. They are the owner's;
 * what it has counted goes on for `yokectl lu show`, a counter of a log page begins anew. Nothing
 * is saved. Every other nexus of the LU, at both controllers, is told by way of the ledger.
 */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/log_page.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "yoke/util.h"

#define PCR		  0x02
#define PC_SHIFT	  6
#define PC_CUMULATIVE	  1
#define PC_DEFAULTS	  3 /* of the cumulative values */
#define LIST_BYTES_MOST	  512u
#define PAGE_HEADER_BYTES 4u
#define PARAMETER_BYTES	  12u /* of a counter, all in all */
#define SETS_MOST	  (LIST_BYTES_MOST / PARAMETER_BYTES)
#define ENTRY_BYTES	  1024

/* What a list sets. */
struct log_set {
	enum scsi_log_counter counter;
	uint64_t value;
};

bool scsi_log_select_decode(struct scsi_task *task)
{
	const uint8_t *cdb = task->cdb;
	uint32_t length = be16_get(cdb + 7);
	uint8_t code = cdb[2] & SCSI_LOG_PAGE_MASK, subpage = cdb[3], control = cdb[2] >> PC_SHIFT;

	if (length == 0) {
		if (!scsi_log_page_exists(task->lu, code)) {
			scsi_set_cdb_field(task, 2, 5);
			return false;
		}
		if (subpage && subpage != SCSI_LOG_SUBPAGE_ALL) {
			scsi_set_cdb_field(task, 3, -1);
			return false;
		}
		return true;
	}
	/* Each page of a list has its code, and its values are given: nothing is reset. */
	if (code || subpage) {
		scsi_set_cdb_field(task, code ? 2 : 3, code ? 5 : -1);
		return false;
	}
	if (cdb[1] & PCR) {
		scsi_set_cdb_field(task, 1, 1);
		return false;
	}
	if (control !=
		PC_CUMULATIVE) { /* there are no thresholds, and defaults are what they are */
		scsi_set_cdb_field(task, 2, 7);
		return false;
	}
	if (length > LIST_BYTES_MOST) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	task->out_bytes = length;
	return true;
}

/* One parameter of page `code`; `last`: the code of the one before it, or -1. */
static bool parameter_read(
	struct scsi_task *task, struct cursor *c, uint8_t code, int *last, struct log_set *set)
{
	unsigned begin = (unsigned)c->pos;
	uint16_t parameter = cursor_get_u16(c);
	uint8_t control = cursor_get_u8(c), length = cursor_get_u8(c);

	set->value = cursor_get_u64(c);
	if (!cursor_ok(c)) {
		scsi_set_list_field(task, begin, -1); /* cut off by the page's length */
		return false;
	}
	if (parameter <= *last || !scsi_log_counter_find(code, parameter, &set->counter)) {
		scsi_set_list_field(task, begin, -1);
		return false;
	}
	if (control != SCSI_LOG_COUNTER_FORMAT || length != sizeof(set->value)) {
		scsi_set_list_field(task, begin + (control != SCSI_LOG_COUNTER_FORMAT ? 2 : 3), -1);
		return false;
	}
	*last = parameter;
	return true;
}

/* Reads the whole list; how many counters it sets, -1 with the outcome set. */
static int list_read(struct scsi_task *task, struct log_set sets[SETS_MOST])
{
	struct cursor c = cursor_reader(task->buf->data, task->out_length);
	int count = 0;

	if (task->out_length < task->out_bytes) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return -1;
	}
	while (cursor_left(&c)) {
		unsigned begin = (unsigned)c.pos;
		uint8_t code = cursor_get_u8(&c), subpage = cursor_get_u8(&c);
		uint16_t length = cursor_get_u16(&c);
		struct cursor page;
		int last = -1;

		if (!cursor_ok(&c) || length > cursor_left(&c)) {
			scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
			return -1;
		}
		if (code & SCSI_LOG_SPF || subpage) {
			scsi_set_list_field(task, begin + (code & SCSI_LOG_SPF ? 0 : 1), -1);
			return -1;
		}
		if (!scsi_log_page_exists(task->lu, code & SCSI_LOG_PAGE_MASK)) {
			scsi_set_list_field(task, begin, 5);
			return -1;
		}
		page = cursor_reader(c.base, c.pos + length);
		page.pos = c.pos;
		while (cursor_left(&page)) {
			if (!parameter_read(
				    task, &page, code & SCSI_LOG_PAGE_MASK, &last, &sets[count])) {
				return -1;
			}
			count++;
		}
		cursor_take(&c, length);
	}
	return count;
}

/* Every nexus but the one of the task is told, then the task ends. */
static void others_tell(struct scsi_task *task)
{
	struct scsi_entry entry = scsi_ledger_entry(task, SCSI_ENTRY_LOG);

	scsi_ledger_record(task, &entry, ENTRY_BYTES);
}

void scsi_log_select_run(struct scsi_task *task)
{
	uint8_t code = task->cdb[2] & SCSI_LOG_PAGE_MASK;
	struct log_set sets[SETS_MOST];
	int count = 0;

	if (task->out_bytes) {
		count = list_read(task, sets);
		for (int i = 0; i < count; i++) {
			scsi_log_counter_set(task->lu, sets[i].counter, sets[i].value);
		}
	} else if (task->cdb[1] & PCR || task->cdb[2] >> PC_SHIFT == PC_DEFAULTS) {
		for (unsigned i = 0; i < SCSI_LOG_COUNTERS; i++) {
			if (!code || scsi_log_counter_page((enum scsi_log_counter)i) == code) {
				scsi_log_counter_set(task->lu, (enum scsi_log_counter)i, 0);
				count++;
			}
		}
	}
	if (count > 0) {
		others_tell(task);
	} else {
		scsi_task_finish(task); /* refused, or nothing to do */
	}
}
