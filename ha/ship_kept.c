/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_kept.h"

#include <stdlib.h>
#include <string.h>

#include "ha/ship_in.h"

void ship_kept_put(struct ship_kept *kept, const struct scsi_task *task)
{
	struct ship_kept_row *row;

	if (!kept->rows) {
		kept->rows = calloc(SHIP_WINDOW_COMMANDS, sizeof(*kept->rows));
	}
	if (!kept->rows || !task->serial) {
		return;
	}
	row = &kept->rows[kept->next];
	kept->next = (kept->next + 1) % SHIP_WINDOW_COMMANDS;
	row->serial = task->serial;
	row->status = (uint8_t)task->status;
	row->sense_length = task->sense_length;
	memcpy(row->sense, task->sense, sizeof(row->sense));
}

bool ship_kept_get(const struct ship_kept *kept, struct scsi_task *task)
{
	for (unsigned i = 0; kept->rows && task->serial && i < SHIP_WINDOW_COMMANDS; i++) {
		const struct ship_kept_row *row = &kept->rows[i];

		if (row->serial == task->serial) {
			task->status = row->status;
			task->sense_length = row->sense_length;
			memcpy(task->sense, row->sense, sizeof(task->sense));
			return true;
		}
	}
	return false;
}

void ship_kept_free(struct ship_kept *kept)
{
	free(kept->rows);
	kept->rows = NULL;
}
