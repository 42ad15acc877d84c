/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/drive.h"

#ifndef YOKE_FUZZER

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1u << 20)

/* The input in memory of just its size: a sanitizer sees every step over its ends. */
static void run_exactly(const uint8_t *bytes, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);

	if (!exact) {
		abort();
	}
	memcpy(exact, bytes, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

static void run_bits(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint8_t kept = bytes[i];

		for (unsigned bit = 0; bit < 8; bit++) {
			bytes[i] = kept ^ (uint8_t)(1u << bit);
			run_exactly(bytes, size);
		}
		bytes[i] = 0xff;
		run_exactly(bytes, size);
		bytes[i] = kept;
	}
}

static uint32_t random_below(uint32_t limit)
{
	static uint32_t seed = 20260101;

	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % limit;
}

/* Puts `length` bytes in at `at`; the new size. The buffer has FILE_MAX bytes. */
static size_t insert(uint8_t *bytes, size_t size, size_t at, const void *what, size_t length)
{
	if (size + length > FILE_MAX) {
		return size;
	}
	memmove(bytes + at + length, bytes + at, size - at);
	memmove(bytes + at, what, length);
	return size + length;
}

static size_t mutate(uint8_t *bytes, size_t size)
{
	const char *const *words = fuzz_target.words;
	unsigned count = 0;

	while (words && words[count]) {
		count++;
	}
	for (unsigned n = 1 + random_below(4); n && size; n--) {
		size_t at = random_below((uint32_t)size), some = 1 + random_below(8);
		const char *word = count ? words[random_below(count)] : "";
		uint8_t copy[8] = {0};

		some = some < size - at ? some : size - at;
		switch (random_below(6)) {
		case 0:
			bytes[at] = (uint8_t)random_below(256);
			break;
		case 1:
			bytes[at] ^= (uint8_t)(1u << random_below(8));
			break;
		case 2: /* what enumerations and counts look like */
			bytes[at] = (uint8_t)random_below(32);
			break;
		case 3:
			memmove(bytes + at, bytes + at + some, size - at - some);
			size -= some;
			break;
		case 4:
			memcpy(copy, bytes + at, some);
			size = insert(bytes, size, at, copy, some);
			break;
		default:
			size = insert(bytes, size, at, word, strlen(word));
			break;
		}
	}
	return size;
}

static void run_file(const char *path)
{
	uint8_t *bytes = malloc(FILE_MAX), *copy = malloc(FILE_MAX);
	FILE *file = fopen(path, "re");
	size_t size;

	if (!file || !bytes || !copy) {
		perror(path);
		abort();
	}
	size = fread(bytes, 1, FILE_MAX, file);
	fclose(file);
	run_exactly(bytes, size);
	for (size_t cut = 0; fuzz_target.every_cut && cut < size; cut++) {
		run_exactly(bytes, cut);
	}
	if (fuzz_target.every_bit) {
		run_bits(bytes, size);
	}
	for (unsigned i = 0; i < fuzz_target.mutations; i++) {
		memcpy(copy, bytes, size);
		run_exactly(copy, mutate(copy, size));
	}
	free(bytes);
	free(copy);
}

static unsigned run_corpus(void)
{
	const char *top = getenv("top_srcdir");
	char folder[2048], path[4096];
	struct dirent *entry;
	unsigned files = 0;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s", top ? top : ".",
		fuzz_target.corpus);
	dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
			run_file(path);
			files++;
		}
	}
	if (dir) {
		closedir(dir);
	}
	if (files == 0) {
		fprintf(stderr, "no corpus in %s; set top_srcdir or name files\n", folder);
	} else {
		printf("%u files of the corpus\n", files);
	}
	return files;
}

int main(int argc, char **argv)
{
	bool ran = argc > 1 || run_corpus() > 0;

	for (int i = 1; i < argc; i++) {
		run_file(argv[i]);
	}
	if (argc < 2 && fuzz_target.more) {
		fuzz_target.more();
	}
	if (fuzz_target.end) {
		fuzz_target.end();
	}
	return ran ? 0 : 1;
}

#endif
