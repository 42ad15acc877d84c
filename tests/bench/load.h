/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The load generator: an iSCSI initiator that asks as fast as it can and does as little as it can.
 * Threads share nothing but the options and `load_stop`; every session belongs to one thread.
 */
#ifndef YOKE_BENCH_LOAD_H
#define YOKE_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "daemon/iscsi/pdu.h"
#include "tests/bench/histogram.h"

#define LOAD_IOVS	   1024u
#define LOAD_RX_BYTES	   (1u << 20)
#define LOAD_TEXT_BYTES	   4096u
#define LOAD_TRIES	   100u /* of a command that gets a unit attention or BUSY */
#define LOAD_TARGETS	   4
#define LOAD_SESSIONS_MAX  20000u
#define LOAD_DEPTH_MAX	   1024u
#define LOAD_SEGMENT_BYTES (1u << 20) /* MaxRecvDataSegmentLength that we declare */

enum load_kind {
	LOAD_RANDREAD,
	LOAD_RANDWRITE,
	LOAD_RANDRW, /* 70 % reads */
	LOAD_READ,
	LOAD_WRITE,
	LOAD_LOGIN, /* log in, log out, again */
	LOAD_IDLE, /* log in and stay */
	LOAD_KINDS
};
const char *load_kind_name(enum load_kind kind);

struct load_options {
	struct sockaddr_in portal;
	const char *target;
	unsigned lun, luns; /* first and how many; a command takes one by turn */
	unsigned sessions, depth, threads;
	unsigned
		first; /* number in name and ISID of the first session: two runs at a time differ */
	unsigned block_bytes; /* of one command */
	unsigned lba_bytes; /* of a logical block of the LU */
	uint64_t span_bytes; /* of each LU, from its start */
	double seconds, warmup_s;
	enum load_kind kind;
	bool header_digest, data_digest;
	bool spin;
	bool verify;
	int target_pids[LOAD_TARGETS]; /* what is measured of them is added up */
	unsigned targets;
};

/* Set when the measurement begins and when it is over. */
extern atomic_bool load_counting, load_stop;

struct load_thread;

/* A command in flight. */
struct load_slot {
	uint64_t started_ns;
	uint64_t block; /* in units of block_bytes, over all LUs */
	uint32_t moved_bytes; /* data-in received */
	uint32_t version; /* verify: of what is being written */
	uint16_t tries;
	bool busy, writes;
	uint32_t ttt, out_at, out_end; /* of the R2T under way */
	uint8_t *data; /* block_bytes */
};

enum load_state {
	LOAD_CLOSED,
	LOAD_CONNECTING,
	LOAD_LOGGING_IN,
	LOAD_FULL,
	LOAD_LOGGING_OUT
};

struct load_session {
	struct load_thread *thread;
	int fd;
	unsigned number;
	enum load_state state;
	uint64_t began_ns; /* connect() */
	uint32_t cmdsn, expstatsn, maxcmdsn;
	bool header_digest, data_digest, immediate_data, initial_r2t;
	uint32_t segment_bytes, first_burst_bytes, max_burst_bytes;
	uint64_t next; /* sequential position, in commands */

	struct load_slot *slots; /* depth */
	uint32_t *free_slots;
	unsigned free_count;
	unsigned r2ts; /* slots with an R2T that is not all sent */

	/* Verify: a slice of all blocks is this session's own; what version each of them holds. */
	uint64_t slice_first, slice_count, filled, fill_next;
	uint32_t *versions;

	/* Sending: pieces in order; headers of Data-Out and others come from a ring of their own.
	 */
	struct iovec iovs[LOAD_IOVS];
	unsigned iov_first, iov_count;
	uint8_t (*room)[ISCSI_BHS_BYTES + ISCSI_DIGEST_BYTES + ISCSI_DIGEST_BYTES];
	unsigned room_next;
	uint8_t text[ISCSI_BHS_BYTES + LOAD_TEXT_BYTES];
	bool wants_out; /* EPOLLOUT is set */

	/* Receiving. */
	uint8_t header[ISCSI_BHS_BYTES + ISCSI_DIGEST_BYTES];
	unsigned header_have;
	uint32_t segment_left; /* data of the PDU under way that has not come yet */
	unsigned tail_left; /* padding and digest behind it */
	uint8_t tail[8];
	unsigned tail_have, tail_size;
	uint32_t crc;
	uint8_t small[LOAD_TEXT_BYTES]; /* data of PDUs that are not Data-In */
	uint32_t small_have;
};

struct load_result {
	uint64_t commands, bytes, logins, unit_attentions, errors, mismatches, verified;
	struct histogram latency;
};

struct load_thread {
	const struct load_options *options;
	unsigned number;
	int epoll;
	struct load_session *sessions;
	unsigned session_count;
	unsigned ready; /* sessions in full feature phase */
	uint64_t seed;
	uint8_t *rx;
	bool counting;
	struct load_result result;
	char error[256]; /* why the thread gave up; empty = it did not */
};

/* ----- session.c: the wire -------------------------------------------------------------------- */

/* Starts connecting. False with thread->error. */
bool load_session_open(struct load_session *s);
void load_session_close(struct load_session *s);
/* What came in, what can go out. False with thread->error: the run is over. */
bool load_session_input(struct load_session *s);
bool load_session_flush(struct load_session *s);
void load_session_logout(struct load_session *s);
/* A 48-byte header with digest room; good until its bytes are out. */
uint8_t *load_session_room(struct load_session *s);
/* Queues a header from load_session_room() and its data (a multiple of 4); adds the digests. */
void load_session_put(struct load_session *s, uint8_t *header, const uint8_t *data, uint32_t bytes);
bool load_session_has_room(const struct load_session *s, unsigned pdus);
bool load_fail(struct load_thread *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ----- work.c: the commands ------------------------------------------------------------------- */

bool load_work_init(struct load_session *s);
void load_work_free(struct load_session *s);
/* Issues commands until the depth, the window or the room for them is used up. */
void load_work_issue(struct load_session *s);
/* Data of a Data-In as it comes. */
void load_work_data(struct load_session *s, const uint8_t *bytes, uint32_t count);
/* A whole PDU is there (its data has gone by). */
bool load_work_pdu(struct load_session *s);
/* Verify: writes all blocks of the session's slice once; true when that is done. */
bool load_work_filled(const struct load_session *s);

#endif
