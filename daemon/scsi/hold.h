/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that wait: for their group (held) or for a buffer (starved). On their reactor. */
#ifndef YOKE_SCSI_HOLD_H
#define YOKE_SCSI_HOLD_H

#include "daemon/scsi/core.h"

void scsi_hold_init(struct scsi_core *core);
/* When the reactor has stopped: no timer of ours is left. */
void scsi_hold_stop(struct scsi_core *core);

/*
 * Holds the task until its group's view lets it run. Past conf->hold_limit_ms since it was first
 * held it is answered BUSY or 02/04/0A (conf->hold_answer), a shipped-in one by the owner. Not so
 * one that changes something and may have been done (`unsure`, `rerun`): it waits until that is
 * known, or its initiator gives it up.
 */
void scsi_hold(struct scsi_task *task);

/* The group's view has changed: the held tasks go to the gate again, in their order. */
void scsi_hold_release(struct scsi_core *core, struct scsi_core_group *group);

/* Waits for a data-in buffer; first come, first served. */
void scsi_starve(struct scsi_task *task);
/* Buffers may have come back: serves those that wait at the end of this pass. */
void scsi_feed(struct scsi_core *core);

#endif
