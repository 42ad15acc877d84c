/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LOG SENSE (SPC-4 6.8): what the owner has counted since its daemon started, or since LOG SELECT
 * (log_select.c). Nothing is saved.
 */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/log_page.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "daemon/scsi/threshold.h"
#include "yoke/util.h"

#define LOG_MOST      512u
#define PC_SHIFT      6
#define PC_CUMULATIVE 1
#define DS	      0x80 /* byte 0: not saved */
#define FORMAT_LIST   0x03 /* a binary list */

enum {
	ERRORS_BYTES = 0x0005,
	ERRORS_UNCORRECTED = 0x0006,
	SPACE_AVAILABLE = 0x0001,
	SPACE_USED = 0x0002,
	SPACE_AVAILABLE_PERCENT = 0x0003,
};

#define SCOPE_LU     0x01 /* dedicated to this LU */
#define SCOPE_SHARED 0x02
#define NO_READING   0xff

static void page_00(struct scsi_task *task, struct cursor *c);

/* A counter of 8 bytes; those below the parameter pointer are left out. */
static void counter_put(struct scsi_task *task, struct cursor *c, uint16_t code, uint64_t value)
{
	if (code < be16_get(task->cdb + 5)) {
		return;
	}
	cursor_put_u16(c, code);
	cursor_put_u8(c, SCSI_LOG_COUNTER_FORMAT);
	cursor_put_u8(c, 8);
	cursor_put_u64(c, value);
}

static const struct {
	uint8_t page;
	uint16_t parameter;
} counters[SCSI_LOG_COUNTERS] = {
	[SCSI_LOG_BYTES_WRITTEN] = {0x02, ERRORS_BYTES},
	[SCSI_LOG_WRITE_ERRORS] = {0x02, ERRORS_UNCORRECTED},
	[SCSI_LOG_BYTES_READ] = {0x03, ERRORS_BYTES},
	[SCSI_LOG_READ_ERRORS] = {0x03, ERRORS_UNCORRECTED},
};

bool scsi_log_counter_find(uint8_t page, uint16_t parameter, enum scsi_log_counter *counter)
{
	for (unsigned i = 0; i < SCSI_LOG_COUNTERS; i++) {
		if (counters[i].page == page && counters[i].parameter == parameter) {
			*counter = (enum scsi_log_counter)i;
			return true;
		}
	}
	return false;
}

uint8_t scsi_log_counter_page(enum scsi_log_counter counter)
{
	return counters[counter].page;
}

static uint64_t counter_total(const struct scsi_lu *lu, enum scsi_log_counter counter)
{
	struct scsi_totals totals;

	scsi_totals_get(lu, &totals);
	switch (counter) {
	case SCSI_LOG_BYTES_WRITTEN:
		return totals.written_bytes;
	case SCSI_LOG_WRITE_ERRORS:
		return totals.write_errors;
	case SCSI_LOG_BYTES_READ:
		return totals.read_bytes;
	case SCSI_LOG_READ_ERRORS:
		return totals.read_errors;
	case SCSI_LOG_COUNTERS:
		break;
	}
	return 0;
}

uint64_t scsi_log_counter_get(const struct scsi_lu *lu, enum scsi_log_counter counter)
{
	return counter_total(lu, counter) -
	       atomic_load_explicit(&lu->log_base[counter], memory_order_relaxed);
}

void scsi_log_counter_set(struct scsi_lu *lu, enum scsi_log_counter counter, uint64_t value)
{
	/* Of a total below the value the difference wraps, and so does the sum above. */
	atomic_store_explicit(
		&lu->log_base[counter], counter_total(lu, counter) - value, memory_order_relaxed);
}

/* The page's counters, in the order of their codes. */
static void counters_put(struct scsi_task *task, struct cursor *c)
{
	for (unsigned i = 0; i < SCSI_LOG_COUNTERS; i++) {
		if (counters[i].page == (task->cdb[2] & SCSI_LOG_PAGE_MASK)) {
			counter_put(task, c, counters[i].parameter,
				scsi_log_counter_get(task->lu, (enum scsi_log_counter)i));
		}
	}
}

/* A resource count, in units of a threshold set (SBC-3 6.4.5.2). */
static void resource_put(
	struct scsi_task *task, struct cursor *c, uint16_t code, uint64_t bytes, uint8_t scope)
{
	uint64_t sets = bytes >> task->lu->block_shift >> scsi_threshold_exponent(task->lu);

	if (bytes == EXTENT_UNKNOWN || code < be16_get(task->cdb + 5)) {
		return;
	}
	cursor_put_u16(c, code);
	cursor_put_u8(c, FORMAT_LIST);
	cursor_put_u8(c, 8);
	cursor_put_u32(c, sets > UINT32_MAX ? UINT32_MAX : (uint32_t)sets);
	cursor_put_u8(c, scope);
	cursor_put_zeros(c, 3);
}

/* Percent that are left, in whole ones (SBC-4 6.4.5.4). */
static void percent_put(struct scsi_task *task, struct cursor *c, uint16_t code, uint8_t scope)
{
	const struct extent_io *io = &task->io;

	if (io->free_bytes == EXTENT_UNKNOWN || io->total_bytes == EXTENT_UNKNOWN ||
		code < be16_get(task->cdb + 5)) {
		return;
	}
	cursor_put_u16(c, code);
	cursor_put_u8(c, FORMAT_LIST);
	cursor_put_u8(c, 8);
	cursor_put_u16(c, (uint16_t)(scsi_space_tenths(io->free_bytes, io->total_bytes) / 10));
	cursor_put_u16(c, 0);
	cursor_put_u8(c, scope);
	cursor_put_zeros(c, 3);
}

static void provisioning_put(struct scsi_task *task, struct cursor *c)
{
	resource_put(task, c, SPACE_AVAILABLE, task->io.free_bytes, SCOPE_SHARED);
	resource_put(task, c, SPACE_USED, task->io.used_bytes, SCOPE_LU);
	percent_put(task, c, SPACE_AVAILABLE_PERCENT, SCOPE_SHARED);
}

/* Informational exceptions: none, and no thermometer. */
static void exceptions_put(struct scsi_task *task, struct cursor *c)
{
	cursor_put_u16(c, 0);
	cursor_put_u8(c, FORMAT_LIST);
	cursor_put_u8(c, 4);
	cursor_put_u16(c, 0); /* ASC, ASCQ */
	cursor_put_u8(c, NO_READING);
	cursor_put_u8(c, 0);
}

/* A page without any parameter would be an odd one. */
static bool tells_space(const struct scsi_lu *lu)
{
	return scsi_threshold_available(lu, SCSI_THRESHOLD_USED);
}

static const struct log_page {
	void (*put)(struct scsi_task *task, struct cursor *c);
	bool (*available)(const struct scsi_lu *lu); /* NULL: every LU has it */
	uint16_t last; /* the largest parameter code */
	bool space; /* the store is asked first how much there is */
} pages[SCSI_LOG_PAGE_MASK + 1] = {
	[0x00] = {page_00, NULL, 0, false},
	[0x02] = {counters_put, NULL, ERRORS_UNCORRECTED, false},
	[0x03] = {counters_put, NULL, ERRORS_UNCORRECTED, false},
	[0x0c] = {provisioning_put, tells_space, SPACE_AVAILABLE_PERCENT, true},
	[0x2f] = {exceptions_put, NULL, 0, false},
};

bool scsi_log_page_exists(const struct scsi_lu *lu, uint8_t code)
{
	return pages[code].put && (!pages[code].available || pages[code].available(lu));
}

static void page_00(struct scsi_task *task, struct cursor *c)
{
	bool subpages = task->cdb[3] == SCSI_LOG_SUBPAGE_ALL;

	for (uint8_t code = 0; code < ARRAY_SIZE(pages); code++) {
		if (scsi_log_page_exists(task->lu, code)) {
			cursor_put_u8(c, code);
			cursor_put_zeros(c, subpages ? 1 : 0);
		}
		if (code == 0 && subpages) {
			cursor_put_u16(c, SCSI_LOG_SUBPAGE_ALL); /* this list */
		}
	}
}

bool scsi_log_sense_decode(struct scsi_task *task)
{
	uint8_t code = task->cdb[2] & SCSI_LOG_PAGE_MASK;

	if (!scsi_log_page_exists(task->lu, code)) {
		scsi_set_cdb_field(task, 2, 5);
		return false;
	}
	if (task->cdb[3] && (code || task->cdb[3] != SCSI_LOG_SUBPAGE_ALL)) {
		scsi_set_cdb_field(task, 3, -1);
		return false;
	}
	if (be16_get(task->cdb + 5) > pages[code].last) {
		scsi_set_cdb_field(task, 5, -1);
		return false;
	}
	/* There are no thresholds and no defaults to tell. */
	if (code && task->cdb[2] >> PC_SHIFT != PC_CUMULATIVE) {
		scsi_set_cdb_field(task, 2, 7);
		return false;
	}
	return scsi_parameter_decode(task, be16_get(task->cdb + 7), LOG_MOST);
}

static void page_put(struct scsi_task *task)
{
	uint8_t code = task->cdb[2] & SCSI_LOG_PAGE_MASK;
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u8(&c, (uint8_t)(code | (task->cdb[3] ? SCSI_LOG_SPF : 0) | (code ? DS : 0)));
	cursor_put_u8(&c, task->cdb[3]);
	cursor_put_u16(&c, 0);
	pages[code].put(task, &c);
	if (cursor_ok(&c)) {
		be16_put(c.base + 2, (uint16_t)(c.pos - 4));
	}
	scsi_parameter_end(task, &c);
}

static void space_told(struct extent_io *io, int res)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	if (scsi_io_check(task, res, false)) {
		page_put(task);
	}
}

void scsi_log_sense_run(struct scsi_task *task)
{
	if (pages[task->cdb[2] & SCSI_LOG_PAGE_MASK].space) {
		scsi_io_submit(task, EXTENT_SPACE, NULL, 0, 0, space_told);
	} else {
		page_put(task);
	}
}
