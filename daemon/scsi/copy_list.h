/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parameter lists of third-party copy, as bytes: EXTENDED COPY with one and four bytes of list
 * identifier (SPC-4 6.4, 6.5). No LU is looked at here. Pure functions, any thread.
 */
#ifndef YOKE_SCSI_COPY_LIST_H
#define YOKE_SCSI_COPY_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/scsi/sense.h"

#define COPY_CSCDS_MAX		 16u
#define COPY_SEGMENTS_MAX	 64u
#define COPY_DESCRIPTORS_MAX	 2560u /* bytes of CSCD and segment descriptors together */
#define COPY_SEGMENT_BYTES_MAX	 (256u << 20)
#define COPY_DESIGNATOR_MAX	 20u

#define COPY_CSCD_IDENTIFICATION 0xe4 /* the one CSCD descriptor type that there is */
#define COPY_CSCD_THIS_LU	 0xffff /* in a segment: the LU that got the command */

/* Segment descriptor types. */
enum {
	COPY_BLOCK_TO_BLOCK = 0x02,
	COPY_VERIFY_CSCD = 0x07,
	COPY_BLOCK_TO_BLOCK_OFFSET = 0x0a,
};

/* LIST ID USAGE */
enum {
	COPY_ID_HOLD = 0,
	COPY_ID_DISCARD = 2,
	COPY_ID_NONE = 3,
};

struct copy_cscd {
	uint8_t code_set;
	uint8_t kind; /* association and designator type, as in VPD page 83 */
	uint8_t length;
	uint8_t designator[COPY_DESIGNATOR_MAX];
	uint32_t block_bytes; /* what the application client believes; 0 = not said */
};

struct copy_segment {
	uint8_t type;
	bool by_destination; /* DC: blocks are the destination's */
	bool test; /* COPY_VERIFY_CSCD: TUR */
	uint16_t source, destination; /* CSCD indexes */
	uint32_t count; /* blocks; COPY_BLOCK_TO_BLOCK_OFFSET: bytes */
	uint64_t source_lba, destination_lba;
	uint16_t source_offset, destination_offset; /* bytes within that block */
};

struct copy_list {
	uint32_t id;
	uint8_t id_usage; /* COPY_ID_* */
	uint16_t cscd_count;
	uint16_t segment_count;
	uint32_t cscds_at; /* byte of the list where they begin, for field pointers */
	struct copy_cscd cscds[COPY_CSCDS_MAX];
	struct copy_segment segments[COPY_SEGMENTS_MAX];
};

/* Why a list is refused. */
struct copy_error {
	enum scsi_sense sense;
	int byte; /* field pointer into the list; -1 = none */
	int bit; /* its highest bad bit; -1 = the whole field */
};

/*
 * Reads a list; false with the reason. `lid4` tells which of the two forms it has. `list` need not
 * be initialised.
 */
bool copy_list_parse(const uint8_t *bytes, size_t size, bool lid4, struct copy_list *list,
	struct copy_error *error);

#endif
