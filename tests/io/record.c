/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/io/record.h"

#include "tests/checker/history.h"

#define RECORD_WRITER_SHIFT 40

uint64_t record_value(uint32_t writer, uint64_t sequence)
{
	return (uint64_t)(writer + 1) << RECORD_WRITER_SHIFT | sequence;
}

uint64_t record_sector_value(uint64_t run, const uint8_t sector[STAMP_SECTOR_BYTES])
{
	struct stamp stamp;

	if (stamp_read(sector, &stamp) != STAMP_GOOD || stamp.run != run) {
		return 0;
	}
	return record_value(stamp.writer, stamp.sequence);
}

static const uint8_t outcomes[] = {
	[RECORD_OK] = HISTORY_OK,
	[RECORD_NO] = HISTORY_NO,
	[RECORD_MAYBE] = HISTORY_MAYBE,
};

void record_slot(FILE *history, uint64_t run, uint64_t sector, const struct slot *slot,
	enum record_outcome outcome, uint64_t now_ns)
{
	const struct device *device = slot->device;
	uint32_t count = engine_options_get(device->engine)->block_bytes / STAMP_SECTOR_BYTES;
	struct history_op op = {
		.id = slot->id,
		.client = device->host,
		.unit = device->lun,
		.sector = sector,
		.kind = slot->swap    ? HISTORY_SWAP
			: slot->write ? HISTORY_WRITE
				      : HISTORY_READ,
		.invoked_ns = slot->first_ns,
		.returned_ns = now_ns,
		.outcome = outcomes[outcome],
		.attempts = (uint16_t)(slot->flights > 1 ? 2 : 1),
	};

	/*
	 * Refused for one sector out of several: of which one is not known. Sent twice, it may have
	 * won all the same.
	 */
	if (outcome == RECORD_NO && count > 1 && slot->flights == 1) {
		return;
	}
	if (slot->write) {
		op.value = record_value(device->host, slot->sequence);
		op.expected = slot->expected;
		history_print(history, &op, count);
		return;
	}
	for (uint32_t from = 0, to; from < count; from = to) {
		op.value = record_sector_value(run, slot->data + from * STAMP_SECTOR_BYTES);
		to = from + 1;
		while (to < count && record_sector_value(run,
					     slot->data + to * STAMP_SECTOR_BYTES) == op.value) {
			to++;
		}
		op.sector = sector + from;
		history_print(history, &op, to - from);
	}
}
