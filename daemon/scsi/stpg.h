/* SPDX-License-Identifier: BSD-3-Clause */
/* SET TARGET PORT GROUPS: moves that hosts ask for. */
#ifndef YOKE_SCSI_STPG_H
#define YOKE_SCSI_STPG_H

#include "daemon/scsi/core.h"

/* May hosts move groups (settings.explicit_alua)? Any thread. */
bool scsi_stpg_allowed(const struct scsi *scsi);

/* Requests that will never be answered. After the reactors have stopped. */
void scsi_stpg_forget(struct scsi_group *group);

#endif
