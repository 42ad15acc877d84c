/* SPDX-License-Identifier: BSD-3-Clause */
/* The one place that decides whether a command may run now. */
#ifndef YOKE_SCSI_GATE_H
#define YOKE_SCSI_GATE_H

#include "daemon/scsi/core.h"

enum scsi_verdict {
	SCSI_VERDICT_RUN,
	SCSI_VERDICT_HOLD, /* in its group's queue */
	SCSI_VERDICT_SHIP, /* to the owner */
	SCSI_VERDICT_REFUSED, /* its outcome is set */
	SCSI_VERDICT_AGAIN, /* shipped in, and not ours: back to the ingress */
};
const char *scsi_verdict_name(enum scsi_verdict verdict);

/* Checks 1 and 2 of the gate only: what can be refused before any data has moved. */
enum scsi_verdict scsi_gate_early(struct scsi_task *task);
/* All checks; again after every wait. */
enum scsi_verdict scsi_gate(struct scsi_task *task);

#endif
