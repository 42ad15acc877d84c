/* SPDX-License-Identifier: BSD-3-Clause */
/* What LOG SENSE and LOG SELECT have in common: which pages there are, and their counters. */
#ifndef YOKE_SCSI_LOG_PAGE_H
#define YOKE_SCSI_LOG_PAGE_H

#include "daemon/scsi/core.h"

#define SCSI_LOG_PAGE_MASK	0x3f
#define SCSI_LOG_SPF		0x40 /* byte 0 of a page: there is a subpage code */
#define SCSI_LOG_SUBPAGE_ALL	0xff
#define SCSI_LOG_COUNTER_FORMAT 0x02 /* parameter control byte: an unbounded counter */

bool scsi_log_page_exists(const struct scsi_lu *lu, uint8_t code);

/* The counter of a page's parameter; false when it has none of that code. */
bool scsi_log_counter_find(uint8_t page, uint16_t parameter, enum scsi_log_counter *counter);
uint8_t scsi_log_counter_page(enum scsi_log_counter counter);

/* What it has counted since it was set, or since the daemon started. Any thread. */
uint64_t scsi_log_counter_get(const struct scsi_lu *lu, enum scsi_log_counter counter);
/* Makes it count on from `value`. Any thread. */
void scsi_log_counter_set(struct scsi_lu *lu, enum scsi_log_counter counter, uint64_t value);

#endif
