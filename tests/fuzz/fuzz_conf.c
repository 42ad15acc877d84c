// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz entry of the configuration loader: what loads must dump, and load again to the same. With
 * libFuzzer (clang -fsanitize=fuzzer -DFUZZ_ENGINE) or, as `make check` builds it, as a program
 * that runs the corpus and a fixed number of mutations of every file.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/conf.h"
#include "yoke/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_conf: %s\n", what);
		abort();
	}
}

/* The same bytes as a secrets file: accepted or complained about. */
static void secrets_parse(const char *text, size_t size)
{
	static const struct conf nobody;
	struct conf_error *errors;
	struct conf_secrets *secrets = conf_secrets_parse(&nobody, text, size, "fuzz", &errors);

	require(!secrets == !!errors, "neither secrets nor an error");
	conf_errors_free(errors);
	conf_secrets_free(secrets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_error *errors;
	struct conf *conf = conf_parse((const char *)data, size, "fuzz", &errors);

	require(!conf == !!errors, "neither a configuration nor an error");
	if (conf) {
		cleanup_free char *dump = conf_dump(conf);
		struct conf *again = conf_parse(dump, strlen(dump), "dump", &errors);

		require(again, errors ? errors->text : "the dump does not load");
		require(!memcmp(conf->digest, again->digest, sizeof(conf->digest)),
			"the dump has another digest");
		conf_free(again);
	}
	conf_free(conf);
	conf_errors_free(errors);
	secrets_parse((const char *)data, size);
	return 0;
}

#ifndef FUZZ_ENGINE

#include <dirent.h>

#define FILE_MAX  65536u
#define MUTATIONS 400u

static uint32_t seed = 20260101;

static uint32_t random_below(uint32_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % limit;
}

/* Changes, doubles or drops a few bytes; a word of the format goes in now and then. */
static size_t mutate(uint8_t *data, size_t size)
{
	static const char *const words[] = {": ", "- ", "\n  ", "{", "[", "]", "&a", "*a", "!t",
		"\"", "none", "0", "99999999999999999999", "TiB", "ms", "#", "\xff"};

	for (unsigned n = 1 + random_below(4); n && size; n--) {
		size_t at = random_below((uint32_t)size);
		const char *word = words[random_below(ARRAY_SIZE(words))];
		size_t length = strlen(word);

		switch (random_below(3)) {
		case 0:
			data[at] = (uint8_t)random_below(256);
			break;
		case 1:
			memmove(data + at, data + at + 1, size - at - 1);
			size--;
			break;
		case 2:
			if (size + length <= FILE_MAX) {
				memmove(data + at + length, data + at, size - at);
				memcpy(data + at, word, length);
				size += length;
			}
			break;
		}
	}
	return size;
}

static void run_file(const char *path)
{
	cleanup_free uint8_t *data = malloc(FILE_MAX);
	cleanup_free uint8_t *copy = malloc(FILE_MAX);
	FILE *f = fopen(path, "rb");
	size_t size;

	require(f && data && copy, "cannot read a file of the corpus");
	size = fread(data, 1, FILE_MAX, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		memcpy(copy, data, size);
		LLVMFuzzerTestOneInput(copy, mutate(copy, size));
	}
}

static unsigned run_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned count = 0;

	require(dir, "cannot read the corpus; set top_srcdir or name a directory");
	while ((entry = readdir(dir))) {
		char file[2048];

		if (entry->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
			run_file(file);
			count++;
		}
	}
	closedir(dir);
	return count;
}

/* With files: runs these. Without: the corpus in the source tree. */
int main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir");
	char path[1024];
	unsigned count;

	for (int i = 1; i < argc; i++) {
		run_file(argv[i]);
	}
	if (argc > 1) {
		return 0;
	}
	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/conf", top ? top : ".");
	count = run_directory(path);
	printf("%u files, %u mutations of each, seed 20260101\n", count, MUTATIONS);
	return count ? 0 : 1;
}

#endif
