/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hosts with multipath devices that write and verify stamped blocks. One thread; the caller runs
 * the loop. A device is one LU as one host sees it, with one path for each portal. Each host has
 * its own region of every LU.
 */
#ifndef YOKE_TEST_ENGINE_H
#define YOKE_TEST_ENGINE_H

#include <stdio.h>

#include "tests/io/retry.h"
#include "tests/io/session.h"
#include "tests/io/stamp.h"

#define ENGINE_LUNS_MAX	 1024
#define ENGINE_HOSTS_MAX 64

struct engine_options {
	struct session_options session;
	const char *portals[MPATH_PATHS_MAX];
	unsigned portal_count;
	const char *initiator; /* host number is appended from the second host on */
	unsigned hosts;
	unsigned lun_first, lun_count;
	unsigned depth; /* commands in flight per device */
	unsigned host_depth; /* ... per host, over all its devices; 0 = no limit */
	uint32_t block_bytes;
	uint64_t span_bytes; /* of each LU, shared out among the hosts */
	unsigned read_percent;
	unsigned iops; /* limit for each device; 0 = none */
	uint64_t no_path_retry_ns;
	uint64_t retry_budget_ns;
	uint64_t checker_ns; /* path checker (TEST UNIT READY) */
	uint64_t reread_ns; /* RTPG even without a reason */
	uint64_t seed;
	FILE *history; /* NULL = none */
	bool shared; /* all hosts write everywhere: only a history can tell what is right */
	bool everywhere; /* commands go round all usable paths, optimized or not */
	unsigned swap_percent; /* of reads: followed by a COMPARE AND WRITE of what was read */
};

#define ENGINE_SENSES_MAX 32

/* An answer that was not GOOD: status, and sense when that is CHECK CONDITION. */
struct engine_sense {
	uint8_t status, key, asc, ascq;
	uint64_t count;
};

struct engine_counts {
	uint64_t commands, reads, writes, retries, failed;
	uint64_t swaps, miscompares;
	uint64_t verified, wrong, unknown; /* sectors */
	uint64_t longest_ns; /* first submission to success */
	uint64_t longest_gap_ns; /* between two completions of one device */
	uint64_t ua_2a06;
	uint64_t ua_2a06_least, ua_2a06_most; /* over the I_T_L nexuses that lived all the time */
	uint64_t latency[64]; /* histogram: [i] = below 2^i us */
};

struct engine;

struct engine *engine_new(const struct engine_options *options);
void engine_free(struct engine *engine);

/* One turn: sessions, retries, new commands, then wait for at most wait_ms. `stdin_fd` is polled
 * too (-1: none). */
void engine_turn(struct engine *engine, int wait_ms, int stdin_fd, bool *stdin_ready);

/* Every path of every device is up and has brought an answer. */
bool engine_ready(const struct engine *engine);

/* Counts since the last call. */
void engine_counts_take(struct engine *engine, struct engine_counts *counts);

/* At the end: what still waits for an answer is in the history, too. */
void engine_history_end(struct engine *engine);

/* What was answered other than GOOD since the beginning, kind by kind; *count of them. The last
 * place is for all that found no room. */
const struct engine_sense *engine_senses(const struct engine *engine, unsigned *count);

/* No new commands; engine_idle() becomes true when the last has ended. */
void engine_stop(struct engine *engine);
bool engine_idle(const struct engine *engine);

/* After engine_idle(): reads every block that was ever written; idle again when done. */
void engine_scan(struct engine *engine);

/* Quantile 0..1 of counts->latency in microseconds (upper bound of the bucket). */
uint64_t engine_latency_us(const struct engine_counts *counts, double quantile);

#endif
