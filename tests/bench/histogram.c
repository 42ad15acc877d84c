/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/histogram.h"

static unsigned bucket_of(uint64_t ns)
{
	unsigned shift;

	if (ns < HISTOGRAM_SUB) {
		return (unsigned)ns;
	}
	shift = 63u - (unsigned)__builtin_clzll(ns) - 5u;
	return (shift + 1u) * HISTOGRAM_SUB + (unsigned)(ns >> shift) - HISTOGRAM_SUB;
}

/* The upper end of a bucket. */
static uint64_t bucket_end_ns(unsigned bucket)
{
	unsigned shift;

	if (bucket < HISTOGRAM_SUB) {
		return bucket;
	}
	shift = bucket / HISTOGRAM_SUB - 1u;
	return (((uint64_t)(bucket % HISTOGRAM_SUB) + HISTOGRAM_SUB + 1u) << shift) - 1u;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
	h->buckets[bucket_of(ns)]++;
	h->count++;
	if (ns > h->max_ns) {
		h->max_ns = ns;
	}
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		into->buckets[i] += from->buckets[i];
	}
	into->count += from->count;
	if (from->max_ns > into->max_ns) {
		into->max_ns = from->max_ns;
	}
}

uint64_t histogram_quantile_ns(const struct histogram *h, double quantile)
{
	uint64_t want = (uint64_t)(quantile * (double)h->count + 0.5), seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->count; i++) {
		seen += h->buckets[i];
		if (h->buckets[i] && seen >= want) {
			return bucket_end_ns(i) < h->max_ns ? bucket_end_ns(i) : h->max_ns;
		}
	}
	return h->max_ns;
}
