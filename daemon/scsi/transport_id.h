/* SPDX-License-Identifier: BSD-3-Clause */
/* iSCSI TransportIDs (SPC-4 7.6.4.6): how parameter data names an initiator port. */
#ifndef YOKE_SCSI_TRANSPORT_ID_H
#define YOKE_SCSI_TRANSPORT_ID_H

#include "yoke/cursor.h"
#include "yoke/task.h"

/* The longest: header, name, ",i,0x", twelve digits, NUL, padding. */
#define SCSI_TRANSPORT_ID_MOST 248u

/* The initiator port of `who`; format 01b. */
void scsi_transport_id_put(struct cursor *c, const struct scsi_identity *who);

/*
 * Reads one TransportID into initiator and isid of `who`; false when it is none of a port: a form
 * without ISID, another protocol, a bad length or name. Then the cursor stands anywhere.
 */
bool scsi_transport_id_get(struct cursor *c, struct scsi_identity *who);

#endif
