/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: parameter lists of PERSISTENT RESERVE OUT and MODE SELECT, through the whole device
 * server to the ledger and back. The first ten bytes are the CDB (its length field is set to what
 * follows), the rest is the list.
 */
#include <stdio.h>
#include <stdlib.h>

#include "scsi_rig.h"
#include "daemon/scsi/ledger.h"
#include "tests/fuzz/drive.h"

#define CDB_BYTES 10

/* Whatever came in, the command has ended, once, and the state is sound. */
static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static struct rig *rig;

static void over(void)
{
	rig_free(rig);
}

static void fuzz_command(const uint8_t *cdb, const uint8_t *list, uint32_t length)
{
	static const uint8_t opcodes[] = {0x5f, 0x5f, 0x15, 0x55};
	static uint8_t saved[LEDGER_STATE_BYTES_MAX];
	struct scsi_state copy = {.holder = SCSI_NO_REGISTRANT};
	uint8_t bytes[CDB_BYTES];
	struct rig_task t;
	int saved_length;

	memcpy(bytes, cdb, CDB_BYTES);
	bytes[0] = opcodes[cdb[0] & 3];
	if (bytes[0] == 0x5f) {
		be32_put(bytes + 5, length);
	} else if (bytes[0] == 0x55) {
		be16_put(bytes + 7, (uint16_t)length);
	} else {
		bytes[4] = (uint8_t)length;
	}
	rig_task_set(&t, rig->nexus[0], 0, bytes, CDB_BYTES);
	rig_task_go(&t, list, length);
	rig_run(rig);
	expect(t.dones == 1);
	expect(t.status == SCSI_GOOD || t.status == SCSI_CHECK_CONDITION ||
		t.status == SCSI_RESERVATION_CONFLICT);
	saved_length = scsi_state_put(scsi_ledger_state(rig->scsi, 0), saved, sizeof(saved));
	expect(saved_length >= 0);
	expect(scsi_state_get(&copy, saved, (size_t)saved_length) == 0);
	scsi_state_clear(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < CDB_BYTES) {
		return 0;
	}
	if (!rig) {
		rig = rig_new(1, 16 << 20);
		rig_serve(rig);
		atexit(over);
	}
	fuzz_command(bytes, bytes + CDB_BYTES, (uint32_t)(size - CDB_BYTES));
	return 0;
}

const struct fuzz_target fuzz_target = {
	.corpus = "scsi_lists", .every_cut = true, .every_bit = true};
