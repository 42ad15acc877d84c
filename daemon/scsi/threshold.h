/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Thresholds of logical block provisioning (SBC-4 4.7.3.8): the administrator sets them, hosts read
 * them in mode page 1Ch, subpage 02h, and are told by a unit attention when one is reached. A
 * threshold is the middle of a range: it is reached at the range's far end and armed again at its
 * near end. The range is one threshold set, or one percent.
 */
#ifndef YOKE_SCSI_THRESHOLD_H
#define YOKE_SCSI_THRESHOLD_H

#include "daemon/scsi/core.h"

/* What VPD page B2 says: the range of a percentage, in tenths of a percent. */
#define SCSI_THRESHOLD_TENTHS 10u

/* "soft threshold for the space that is left (percent)" and the like. */
const char *scsi_threshold_name(enum scsi_threshold threshold);

/* The LU's threshold set is 2^n blocks: the smallest n that is allowed, but at least 11. */
unsigned scsi_threshold_exponent(const struct scsi_lu *lu);

/* Can the LU have that threshold: does its store tell what it is about? */
bool scsi_threshold_available(const struct scsi_lu *lu, enum scsi_threshold threshold);

/*
 * Makes the thresholds that `conf` sets those of the LU, for its size as it is now: counts of
 * threshold sets or percent, 0 = none. True when they differ from what they were. Control thread.
 */
bool scsi_thresholds_set(struct scsi_lu *lu, const struct conf_extent *conf);

/* Which thresholds (bits 1 << enum scsi_threshold) are reached, when `reached` were until now. */
uint8_t scsi_thresholds_judge(
	const struct scsi_lu *lu, const struct scsi_space *space, uint8_t reached);

/* What is left, in tenths of a percent; 1000 when the store does not tell. */
unsigned scsi_space_tenths(uint64_t free_bytes, uint64_t total_bytes);

/* Behind length and subpage code of mode page 1Ch/02h. */
#define SCSI_THRESHOLD_PAGE_BYTES (12u + 8u * SCSI_THRESHOLDS)
void scsi_threshold_page_put(const struct scsi_lu *lu, uint8_t page[]);

#endif
