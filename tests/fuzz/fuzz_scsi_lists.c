/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: parameter lists of PERSISTENT RESERVE OUT and MODE SELECT, through the whole device
 * server to the ledger and back. The first ten bytes are the CDB (its length field is set to what
 * follows), the rest is the list. Built with -DYOKE_FUZZER it is a libFuzzer target; otherwise a
 * program that runs its corpus (files given as arguments, or tests/fuzz/corpus/scsi_lists), each
 * whole, cut short at every byte and with every byte changed.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "scsi_rig.h"
#include "daemon/scsi/ledger.h"

#define CDB_BYTES 10

/* Whatever came in, the command has ended, once, and the state is sound. */
static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static struct rig *rig;

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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < CDB_BYTES) {
		return 0;
	}
	if (!rig) {
		rig = rig_new(1, 16 << 20);
		rig_serve(rig);
	}
	fuzz_command(bytes, bytes + CDB_BYTES, (uint32_t)(size - CDB_BYTES));
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

	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/scsi_lists", top ? top : ".");
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.') {
			continue;
		}
		snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/scsi_lists/%s", top ? top : ".",
			entry->d_name);
		failed |= fuzz_file(path);
		files++;
	}
	if (dir) {
		closedir(dir);
	}
	if (files == 0) {
		fprintf(stderr, "no corpus in tests/fuzz/corpus/scsi_lists below %s\n",
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
