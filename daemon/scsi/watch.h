/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much storage thin LUs use, asked of their stores every few seconds: for `yokectl lu list` at
 * every controller, and by the owner for the thresholds (threshold.h).
 */
#ifndef YOKE_SCSI_WATCH_H
#define YOKE_SCSI_WATCH_H

#include "daemon/scsi/core.h"

#define SCSI_WATCH_PERIOD_MS 5000u
#define SCSI_WATCH_LUS	     256u /* asked about in one period; more than that take turns */
#define SCSI_WATCH_BATCH     64u /* of them asked about together */
#define SCSI_WATCH_ASKS	     4u /* batches under way at a time */

/* Before the reactors start. NULL when out of memory. */
struct scsi_watch *scsi_watch_new(struct scsi *scsi);
/* After the reactors have stopped. */
void scsi_watch_free(struct scsi_watch *watch);

/* Asks about the next SCSI_WATCH_LUS LUs; runs by itself in every period. Control thread. */
void scsi_watch_pass(struct scsi_watch *watch);

#endif
