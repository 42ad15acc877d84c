/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the owner has answered and may have to answer once more.
 *
 * An answer that is lost with its connection makes the ingress send the command again, while the
 * owner lives and has done it. Doing it twice would be wrong where others have written in between:
 * a write would come back over theirs, a COMPARE AND WRITE that has won would miscompare. Answers
 * arrive in order and no more than SHIP_WINDOW_COMMANDS commands are under way, so that the last so
 * many answers of a reactor have all that can be asked for. Reads are done anew, their data is not
 * kept.
 */
#ifndef YOKE_HA_SHIP_KEPT_H
#define YOKE_HA_SHIP_KEPT_H

#include <stdbool.h>

#include "yoke/task.h"

struct ship_kept_row {
	uint64_t serial; /* of the command; 0 = none */
	uint8_t status;
	uint8_t sense_length;
	uint8_t sense[SCSI_SENSE_MAX];
};

/* One for each reactor, which alone uses it. */
struct ship_kept {
	struct ship_kept_row
		*rows; /* SHIP_WINDOW_COMMANDS, the oldest is overwritten; NULL until the first */
	unsigned next;
};

/* Keeps the answer of a command that has ended and has no data-in. Without memory: nothing. */
void ship_kept_put(struct ship_kept *kept, const struct scsi_task *task);

/* Gives a command that came again the answer of its first run; false when that is not known. */
bool ship_kept_get(const struct ship_kept *kept, struct scsi_task *task);

void ship_kept_free(struct ship_kept *kept);

#endif
