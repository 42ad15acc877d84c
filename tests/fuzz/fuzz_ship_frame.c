/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: a stream of interconnect frames, header and body, as the decoder sees them. Built
 * with -DYOKE_FUZZER it is a libFuzzer target; otherwise a program that runs its corpus (files
 * given as arguments, or tests/fuzz/corpus/ship_frame), each whole, cut short at every byte and
 * with every byte changed.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "ha/ship_frame.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

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

#ifndef YOKE_FUZZER

#define FUZZ_FILE_MAX 65536u

static void fuzz_variants(const uint8_t *bytes, size_t size)
{
	LLVMFuzzerTestOneInput(bytes, size);
	for (size_t i = 0; i < size; i++) {
		uint8_t *copy = malloc(size);

		expect(copy != NULL);
		memcpy(copy, bytes, i); /* the sanitizer sees a read behind the end */
		LLVMFuzzerTestOneInput(copy, i);
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(copy, bytes, size);
			copy[i] ^= (uint8_t)(1u << bit);
			LLVMFuzzerTestOneInput(copy, size);
		}
		copy[i] = 0xff;
		LLVMFuzzerTestOneInput(copy, size);
		free(copy);
	}
}

static int fuzz_file(const char *path)
{
	static uint8_t bytes[FUZZ_FILE_MAX];
	FILE *file = fopen(path, "re");
	size_t size;

	if (!file) {
		perror(path);
		return 1;
	}
	size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	fuzz_variants(bytes, size);
	return 0;
}

static int fuzz_corpus(void)
{
	const char *top = getenv("top_srcdir");
	char path[4096];
	struct dirent *entry;
	int files = 0, failed = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/ship_frame", top ? top : ".");
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.') {
			continue;
		}
		snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/ship_frame/%s", top ? top : ".",
			entry->d_name);
		failed |= fuzz_file(path);
		files++;
	}
	if (dir) {
		closedir(dir);
	}
	if (files == 0) {
		fprintf(stderr, "no corpus in tests/fuzz/corpus/ship_frame below %s\n",
			top ? top : ".");
		return 1;
	}
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc < 2) {
		return fuzz_corpus();
	}
	for (int i = 1; i < argc; i++) {
		failed |= fuzz_file(argv[i]);
	}
	return failed;
}

#endif
