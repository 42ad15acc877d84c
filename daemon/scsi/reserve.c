/* SPDX-License-Identifier: BSD-3-Clause */
/* RESERVE and RELEASE, 6 and 10 (SPC-2 7.21, 7.22, 7.17, 7.18), of whole LUs only. */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/opcodes.h"

#define ENTRY_BYTES 1024

static void entry_send(struct scsi_task *task, enum scsi_entry_kind kind)
{
	struct scsi_entry entry = scsi_ledger_entry(task, (uint8_t)kind);

	scsi_ledger_record(task, &entry, ENTRY_BYTES);
}

void scsi_reserve_run(struct scsi_task *task)
{
	entry_send(task, SCSI_ENTRY_RESERVE);
}

void scsi_release_run(struct scsi_task *task)
{
	entry_send(task, SCSI_ENTRY_RELEASE);
}
