/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef YOKE_TEST_CLOCK_H
#define YOKE_TEST_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_MS 1000000ull
#define CLOCK_S	 1000000000ull

static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_S + (uint64_t)ts.tv_nsec;
}

#endif
