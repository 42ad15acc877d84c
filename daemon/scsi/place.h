/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * READs whose data stays where the store has it in memory (extent_peek()) until the transport has
 * sent it: one copy instead of two, and no call into the kernel of their own.
 *
 * A READ must show its host what was there while it ran, so the data is copied into the task's
 * buffer ("settled") before anything that is to come after the READ can change it:
 *
 * - before a command other than READ runs at this reactor: an ORDERED write of the same nexus;
 * - before another reactor's COMPARE AND WRITE or its kind gets its blocks here (guard.h): no other
 *   command may see those half done;
 * - before this reactor says that it has done with an LU that is removed: its memory goes;
 * - at the end of the transport's flush, when not everything went into the socket. So nothing stays
 *   for longer than a pass, and pages that leave the memory meanwhile are no concern.
 *
 * What else may change it is a command of another reactor that is not ordered behind the READ: both
 * are under way, each block of the READ is from before or after it, and a block may even be torn.
 * The same is true of a copy out of the page cache that meets a write of another thread.
 *
 * The socket has a copy: what is sent does not change.
 */
#ifndef YOKE_SCSI_PLACE_H
#define YOKE_SCSI_PLACE_H

#include "daemon/scsi/core.h"

/* May the data of this READ stay in place? Then it does: it has been read. */
bool scsi_place_take(struct scsi_task *task);

/* It is over, or runs once more. */
void scsi_place_leave(struct scsi_task *task);

/* Something at this reactor is about to change blocks. */
void scsi_place_settle(struct scsi_core *core);

#endif
