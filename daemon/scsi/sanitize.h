/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SANITIZE (SBC-4 4.11, 5.34). The command makes an entry of the ledger; from then on the operation
 * belongs to the LU's state: both controllers refuse other commands, resets and logouts leave it
 * alone, and whoever owns the LU does the work (wipe.c), a new owner from where the old one last
 * said it was, a restarted array too.
 */
#ifndef YOKE_SCSI_SANITIZE_H
#define YOKE_SCSI_SANITIZE_H

#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"

const char *scsi_sanitize_method_name(enum scsi_sanitize_method method);

/* How much of all passes is done for certain, in 65536ths. */
uint16_t scsi_sanitize_progress(const struct scsi_sanitize *sanitize, const struct scsi_lu *lu);

/* Is it one of the commands that are allowed while an operation goes on, or has failed? (4.11.2) */
bool scsi_sanitize_passes(const struct scsi_task *task);

/*
 * Ends a command that may not run beside the operation: 2/04/1B with its progress, or 3/31/03.
 * NULL: that of this reactor's copy of the state.
 */
void scsi_sanitize_refuse(struct scsi_task *task, const struct scsi_sanitize *sanitize);

/* A command whose fields are wrong: that the LU is not ready is said first. */
void scsi_sanitize_override(struct scsi_task *task);

/* What REQUEST SENSE says when nothing else is pending, in that format; the length. */
size_t scsi_sanitize_sense(
	const struct scsi_task *task, uint8_t sense[SCSI_SENSE_FIXED_BYTES], bool descriptor);

/* A state or a view has changed: looks at the commands that wait for their end. Its reactor. */
void scsi_sanitize_check(struct scsi_core *core);

/* ----- wipe.c: the work ----------------------------------------------------------------------- */

/* The LU's state or the owner of its group may have changed: begins the work if there is some to
 * do here. Control thread. */
void scsi_wipe_check(struct scsi *scsi, const struct scsi_lu *lu);
/* After the reactors have stopped. */
void scsi_wipes_free(struct scsi *scsi);

#endif
