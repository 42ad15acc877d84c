/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a command will look at, before it is started. The lookups here depend on each other within a
 * command and not between commands, so the processor waits for those of several at the same time.
 */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "yoke/util.h"

/* It will be written to as well. */
static void expect_object(const void *object, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += YOKE_CACHE_LINE) {
		__builtin_prefetch((const char *)object + at, 1);
	}
}

void scsi_expect(const struct scsi_nexus *nexus, const uint8_t lun[8], const uint8_t cdb[16])
{
	const struct scsi_core *core = nexus->core;
	const struct scsi_row *row = &scsi_rows[cdb[0]];
	int unit = scsi_target_unit(nexus->target, scsi_lun_decode(lun));
	const struct scsi_itl *itl;
	const struct scsi_lu *lu;
	uint64_t lba = 0, blocks = 0;

	if (unit < 0) {
		return;
	}
	itl = scsi_itl_find(nexus, nexus->target->units[unit].lun);
	if (itl) {
		expect_object(itl, sizeof(*itl));
	}
	lu = &core->scsi->lus[nexus->target->units[unit].lu];
	expect_object(&core->lus[lu->index], SCSI_CORE_LU_HOT);
	if (scsi_lu_is_gone(lu)) {
		return;
	}
	__builtin_prefetch(lu->extent);
	if (row->decode == scsi_read_decode) {
		/* Not all of it: whether it is so large, and lies on the LU, is not known yet. */
		scsi_range_get(cdb, row->cdb_length, &lba, &blocks);
		extent_expect(lu->extent, lba << lu->block_shift, lu->block_size);
	}
}
