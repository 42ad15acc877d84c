/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: a stream of interconnect frames, header and body, as the decoder sees them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ha/ship_frame.h"
#include "tests/fuzz/drive.h"

/* What was accepted must be within its limits, or the decoder has a hole. */
static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void fuzz_body(unsigned type, struct cursor *c)
{
	struct ship_hello hello;
	struct scsi_identity who;
	struct ship_command command;
	struct ship_result result;
	struct ship_tmf tmf;

	switch (type) {
	case SHIP_HELLO:
	case SHIP_HELLO_ACK:
		if (ship_hello_get(c, &hello)) {
			expect(strlen(hello.cluster) < sizeof(hello.cluster));
		}
		break;
	case SHIP_NEXUS:
		if (ship_identity_get(c, &who)) {
			expect(strlen(who.initiator) < SCSI_NAME_MAX &&
				strlen(who.target) < SCSI_NAME_MAX);
		}
		break;
	case SHIP_COMMAND:
		if (ship_command_get(c, &command)) {
			expect(command.cdb_length <= SCSI_CDB_MAX &&
				command.out_bytes <= BUF_MAX_BYTES);
		}
		break;
	case SHIP_RESULT:
		if (ship_result_get(c, &result)) {
			expect(result.sense_length <= SCSI_SENSE_MAX);
		}
		break;
	case SHIP_TMF:
		ship_tmf_get(c, &tmf);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct cursor c = cursor_reader(bytes, size);
	struct ship_frame frame;

	while (ship_frame_get(&c, &frame) == SHIP_FRAME_OK) {
		struct cursor body;
		uint8_t *payload;

		expect(frame.payload_bytes <= SHIP_CHUNK_BYTES + SHIP_DATA_BODY_BYTES);
		cursor_take(&c, frame.header_bytes - SHIP_HEADER_BYTES);
		payload = cursor_take(&c, frame.payload_bytes);
		if (!payload) {
			break;
		}
		body = cursor_reader(payload, frame.payload_bytes);
		fuzz_body(frame.type, &body);
	}
	return 0;
}

const struct fuzz_target fuzz_target = {
	.corpus = "ship_frame", .every_cut = true, .every_bit = true};
