/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device server for tests of the transport: one RAM disk of 512-byte blocks, the functions of
 * yoke/scsi.h, and switches to hold tasks and to look at what happened. One thread.
 */
#ifndef YOKE_FAKE_SCSI_H
#define YOKE_FAKE_SCSI_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/scsi.h"

#define FAKE_BLOCK	   512u
#define FAKE_BLOCKS	   8192u
#define FAKE_OP_TUR	   0x00 /* GOOD */
#define FAKE_OP_BAD	   0xc0 /* CHECK CONDITION at start */
#define FAKE_OP_HELD	   0xc1 /* runs until fake_release() */
#define FAKE_OP_READ_ERROR 0xc2 /* one block of data-in, then CHECK CONDITION */
#define FAKE_OP_HELD_TMF   0x40 /* a TMF that waits for fake_release() */

struct fake {
	uint8_t disk[FAKE_BLOCK * FAKE_BLOCKS];
	unsigned nexuses, nexuses_made;
	unsigned alive; /* started and not ended */
	unsigned started, ran, dropped, aborted, lost;
	unsigned expected; /* commands that were announced, */
	unsigned expected_started; /* how many were started when the last of them was, */
	uint32_t expected_lba[4]; /* and the blocks of the first */
	unsigned tmfs; /* functions that came down */
	uint8_t last_tmf;
	bool hold_all; /* every task waits */
	bool hold_tmfs; /* every function waits */
	bool linger; /* an aborted task ends only at fake_release() */
	bool hold_close; /* nexuses close only at fake_release() */
	bool fail_nexus;
	bool in_memory; /* data-in stays on the disk until it is sent, where the transport allows it
			 */
	const uint8_t *bad_memory; /* or lies here */
	bool cut; /* and then it is gone */
	bool overwrite; /* what has been copied from there is overwritten at once */
	unsigned copied; /* so many pieces were copied for their digest */
	unsigned placed; /* so often it stayed there */
	unsigned settled; /* and so often it was copied in the end */
	struct scsi_identity who; /* of the last nexus */
	void (*end)(void *arg); /* how its session is ended by a reset */
	void *end_arg;
};
extern struct fake fake;

void fake_reset(void);
/* Counts from here: nexuses made, tasks lost. */
void fake_reset_counts(void);
/* Ends everything that is held. */
void fake_release(void);

#endif
