/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/scsi/threshold.h"
#include "daemon/scsi/commands.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

#define ENABLED		 0x80
#define TYPE_COUNT	 0x00
#define TYPE_PERCENT	 0x08
#define ARMED_DECREASING 0x00
#define ARMED_INCREASING 0x01

/* One row for each: how the mode page describes it, in the order of the page. */
static const struct {
	const char *name;
	uint8_t kind; /* type and arming */
	uint8_t resource; /* parameter code of log page 0C */
} rows[SCSI_THRESHOLDS] = {
	[SCSI_THRESHOLD_AVAILABLE] = {"for the space that is left", TYPE_COUNT | ARMED_DECREASING,
		0x01},
	[SCSI_THRESHOLD_USED] = {"for the space that is used", TYPE_COUNT | ARMED_INCREASING, 0x02},
	[SCSI_THRESHOLD_PERCENT] = {"for the percentage that is left",
		TYPE_PERCENT | ARMED_DECREASING, 0x03},
};

const char *scsi_threshold_name(enum scsi_threshold threshold)
{
	return (unsigned)threshold < SCSI_THRESHOLDS ? rows[threshold].name : "unknown";
}

unsigned scsi_threshold_exponent(const struct scsi_lu *lu)
{
	unsigned exponent = SCSI_THRESHOLD_EXPONENT;

	while (lu->blocks >> exponent > UINT32_MAX) {
		exponent++;
	}
	return exponent;
}

bool scsi_threshold_available(const struct scsi_lu *lu, enum scsi_threshold threshold)
{
	switch (lu->conf->type) {
	case EXTENT_FILE:
		return scsi_unmap_available(lu);
	case EXTENT_RAM:
		return scsi_unmap_available(lu) && threshold == SCSI_THRESHOLD_USED;
	case EXTENT_BLOCK:
		break; /* whoever allocates below it tells nobody */
	}
	return false;
}

/* In threshold sets, at least one. */
static uint32_t sets_of(const struct scsi_lu *lu, uint64_t bytes)
{
	uint64_t sets = bytes >> lu->block_shift >> scsi_threshold_exponent(lu);

	return sets > UINT32_MAX ? UINT32_MAX : sets ? (uint32_t)sets : 1;
}

bool scsi_thresholds_set(struct scsi_lu *lu, const struct conf_extent *conf)
{
	uint32_t counts[SCSI_THRESHOLDS];
	bool changed = false;
	const struct conf_amount *used = &conf->threshold_used;
	const struct conf_amount *left = &conf->threshold_available;
	uint64_t bytes = lu->blocks << lu->block_shift;

	counts[SCSI_THRESHOLD_AVAILABLE] = left->bytes ? sets_of(lu, left->bytes) : 0;
	counts[SCSI_THRESHOLD_PERCENT] = left->percent;
	counts[SCSI_THRESHOLD_USED] = used->bytes     ? sets_of(lu, used->bytes)
				      : used->percent ? sets_of(lu, bytes / 100 * used->percent)
						      : 0;
	for (unsigned i = 0; i < SCSI_THRESHOLDS; i++) {
		if (!scsi_threshold_available(lu, (enum scsi_threshold)i)) {
			counts[i] = 0;
		}
		changed |= counts[i] != lu->thresholds[i];
		atomic_store_explicit(&lu->thresholds[i], counts[i], memory_order_relaxed);
	}
	return changed;
}

unsigned scsi_space_tenths(uint64_t free_bytes, uint64_t total_bytes)
{
	uint64_t unit = total_bytes / 1000;

	if (free_bytes == EXTENT_UNKNOWN || total_bytes == EXTENT_UNKNOWN || !unit) {
		return 1000;
	}
	return free_bytes / unit > 1000 ? 1000 : (unsigned)(free_bytes / unit);
}

/* The value has passed the far end of the range, or come back over the near one; else as it was. */
static bool judge(bool increasing, uint64_t value, uint64_t middle, uint64_t range, bool reached)
{
	uint64_t low = middle - range / 2, high = middle + range / 2;

	if (value >= high) {
		return increasing;
	}
	return value <= low ? !increasing : reached;
}

uint8_t scsi_thresholds_judge(
	const struct scsi_lu *lu, const struct scsi_space *space, uint8_t reached)
{
	uint64_t set = (uint64_t)lu->block_size << scsi_threshold_exponent(lu);
	const uint64_t values[SCSI_THRESHOLDS] = {
		[SCSI_THRESHOLD_AVAILABLE] = space->free_bytes,
		[SCSI_THRESHOLD_USED] = space->used_bytes,
		[SCSI_THRESHOLD_PERCENT] =
			space->free_bytes == EXTENT_UNKNOWN
				? EXTENT_UNKNOWN
				: scsi_space_tenths(space->free_bytes, space->total_bytes),
	};
	uint8_t now = 0;

	for (unsigned i = 0; i < SCSI_THRESHOLDS; i++) {
		uint64_t count = atomic_load_explicit(&lu->thresholds[i], memory_order_relaxed);
		bool is = reached & 1u << i;

		if (count && values[i] != EXTENT_UNKNOWN) {
			is = i == SCSI_THRESHOLD_PERCENT ? judge(false, values[i], count * 10,
								   SCSI_THRESHOLD_TENTHS, is)
							 : judge(i == SCSI_THRESHOLD_USED,
								   values[i], count * set, set, is);
		}
		now |= (uint8_t)((count && is) << i);
	}
	return now;
}

void scsi_threshold_page_put(const struct scsi_lu *lu, uint8_t page[])
{
	uint8_t *at = page + 12; /* SITUA 0: every I_T nexus is told */

	for (unsigned i = 0; i < SCSI_THRESHOLDS; i++, at += 8) {
		uint32_t count = atomic_load_explicit(&lu->thresholds[i], memory_order_relaxed);

		at[0] = (uint8_t)((count ? ENABLED : 0) | rows[i].kind);
		at[1] = rows[i].resource;
		be32_put(at + 4, count);
	}
}
