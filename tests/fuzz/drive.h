/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all fuzz targets share. Each has LLVMFuzzerTestOneInput(), which aborts when something does
 * not hold, and says of itself what stands here. As `make check` builds it a target is a program
 * that runs the files named on its command line, or its corpus, with variants of each file; with
 * -DYOKE_FUZZER it is a libFuzzer target instead (tests/fuzz/run).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuzz_target {
	const char *corpus; /* its folder in tests/fuzz/corpus */
	/* Variants that are run of each file of the corpus, besides the file itself: */
	bool every_cut; /* every shorter one */
	bool every_bit; /* each bit changed, and each byte FF */
	unsigned mutations; /* a few bytes changed, doubled or dropped; the same in every run */
	const char *const *words; /* what mutations put in as well, up to NULL */
	void (*more)(void); /* NULL, or further inputs, after the corpus */
	void (*end)(void); /* NULL, or frees what is kept between inputs */
};

extern const struct fuzz_target fuzz_target;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
