/* SPDX-License-Identifier: BSD-3-Clause */
/* Latencies in buckets whose width is 1/32 of their value: quantiles within 3 %. One thread. */
#ifndef YOKE_BENCH_HISTOGRAM_H
#define YOKE_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB	  32u /* buckets for each power of two */
#define HISTOGRAM_BUCKETS (64u * HISTOGRAM_SUB)

struct histogram {
	uint64_t count;
	uint64_t max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The latency that `quantile` (0 to 1) of all lie at or below; 0 when there is none. */
uint64_t histogram_quantile_ns(const struct histogram *h, double quantile);

#endif
