/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands of the daemon's own for `yokectl drill`; scsi_probe() is in yoke/scsi.h. */
#ifndef YOKE_SCSI_PROBE_H
#define YOKE_SCSI_PROBE_H

#include "daemon/scsi/core.h"

/* When the reactors have stopped: first the tasks let go of what is the reactors', */
void scsi_probes_stop(struct scsi *scsi);
/* then all that were under way end with -ECANCELED. */
void scsi_probes_free(struct scsi *scsi);

#endif
