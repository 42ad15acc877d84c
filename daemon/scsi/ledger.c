/* SPDX-License-Identifier: BSD-3-Clause */
/* What the ledger asks of the device server: applying entries, and the state of LUs as bytes. */
#include "daemon/scsi/group.h"
#include "daemon/scsi/lu.h"

#include <errno.h>
#include <string.h>

/* No command makes entries yet, so no LU has a state of that kind. */
static uint32_t ledger_apply(void *ctx, const struct ledger_entry *entry, uint64_t index,
	void (*applied)(void *arg), void *arg)
{
	applied(arg);
	return 0;
}

static int ledger_save(void *ctx, const uint8_t lu[16], uint8_t *bytes, size_t size)
{
	return 0;
}

static int ledger_load(
	void *ctx, const uint8_t lu[16], const uint8_t *bytes, size_t length, bool cold)
{
	return length == 0 ? 0 : -EBADMSG;
}

static bool ledger_lu(void *ctx, unsigned i, uint8_t uuid[16])
{
	const struct scsi *scsi = ctx;
	const struct scsi_map *map = scsi->map;

	if (i >= map->lu_count) {
		return false;
	}
	memcpy(uuid, scsi->lus[map->order[i]].conf->uuid, 16);
	return true;
}

void scsi_ledger_init(struct scsi *scsi)
{
	scsi->ledger_serve = (struct ledger_serve){
		.ctx = scsi,
		.apply = ledger_apply,
		.save = ledger_save,
		.load = ledger_load,
		.lu = ledger_lu,
	};
}

const struct ledger_serve *scsi_ledger_serve(struct scsi *scsi)
{
	return &scsi->ledger_serve;
}
