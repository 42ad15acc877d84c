/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parameter lists of POPULATE TOKEN (SBC-3 5.8) and WRITE USING TOKEN (SBC-3 5.47), as bytes.
 * Pure functions, any thread.
 */
#ifndef YOKE_SCSI_ODX_LIST_H
#define YOKE_SCSI_ODX_LIST_H

#include "daemon/scsi/copy_list.h"

#define ODX_RANGES_MAX	       64u
#define ODX_TOKEN_BYTES	       512u
#define ODX_POPULATE_LIST_MAX  (16u + 16u * ODX_RANGES_MAX)
#define ODX_WRITE_LIST_MAX     (536u + 16u * ODX_RANGES_MAX)
#define ODX_TRANSFER_BYTES_MAX (256u << 20) /* of one token, and of one WRITE USING TOKEN */
#define ODX_TRANSFER_OPTIMAL   (64u << 20)
#define ODX_TIMEOUT_DEFAULT_S  60u
#define ODX_TIMEOUT_MAX_S      600u

/* ROD types */
#define ODX_TYPE_POINT_IN_TIME 0x00800000u
#define ODX_TYPE_ZERO	       0xffff0001u

struct odx_range {
	uint64_t lba;
	uint32_t blocks;
};

struct odx_populate {
	uint32_t timeout_s; /* 1 to ODX_TIMEOUT_MAX_S */
	uint16_t range_count; /* at least 1 */
	uint64_t blocks; /* all together */
	struct odx_range ranges[ODX_RANGES_MAX];
};

struct odx_write {
	bool delete_token;
	uint64_t offset; /* into the token's data, in blocks */
	uint8_t token[ODX_TOKEN_BYTES];
	uint32_t type; /* of the token: one of ODX_TYPE_* */
	uint16_t range_count;
	uint64_t blocks;
	struct odx_range ranges[ODX_RANGES_MAX];
};

/*
 * Both check the ranges against an LU of `blocks` blocks of 1 << `shift` bytes, and against each
 * other. False with the reason; the structures need not be initialised.
 */
bool odx_populate_parse(const uint8_t *bytes, size_t size, uint64_t blocks, unsigned shift,
	struct odx_populate *list, struct copy_error *error);
bool odx_write_parse(const uint8_t *bytes, size_t size, uint64_t blocks, unsigned shift,
	struct odx_write *list, struct copy_error *error);

#endif
