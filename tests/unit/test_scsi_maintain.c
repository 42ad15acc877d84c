/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LOG SENSE, GET LBA STATUS, SEND and RECEIVE DIAGNOSTIC, READ and WRITE BUFFER, READ DEFECT DATA,
 * REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.
 */
#include <errno.h>

#include "scsi_rig.h"

#define INVALID_FIELD 0x052400
#define OUT_OF_RANGE  0x052100

static struct rig *rig;
static struct rig_task t;

static int setup(void **state)
{
	rig = rig_new(1, 16 << 20);
	rig_serve(rig);
	return 0;
}

static int teardown(void **state)
{
	rig_free(rig);
	return 0;
}

#define DO(lun, out, n, ...) rig_do(rig, &t, rig->nexus[0], lun, RIG_CDB(__VA_ARGS__), out, n)
#define LOG(lun, page, sub)  DO(lun, NULL, 0, 0x4d, 0, page, sub, 0, 0, 0, 2, 0, 0)
#define ANSWER(hex)	     rig_assert_hex(t.in, t.in_length, hex)

/* ----- LOG SENSE -------------------------------------------------------------------------------
 */

static void log_lists_its_pages(void **state)
{
	assert_int_equal(LOG(0, 0x40, 0), SCSI_GOOD);
	ANSWER("00 00 00 05 00 02 03 0c 2f");
	assert_int_equal(LOG(0, 0x00, 0), SCSI_GOOD);
	ANSWER("00 00 00 05 00 02 03 0c 2f");
	assert_int_equal(LOG(0, 0x40, 0xff), SCSI_GOOD);
	ANSWER("40 ff 00 0c 00 00 00 ff 02 00 03 00 0c 00 2f 00");
	assert_int_equal(LOG(1, 0x40, 0), SCSI_GOOD); /* not thin */
	ANSWER("00 00 00 04 00 02 03 2f");
	/* every page of the list answers, and no other; cut at the allocation length */
	for (unsigned page = 0; page < 64; page++) {
		bool listed = page == 0 || page == 2 || page == 3 || page == 0x0c || page == 0x2f;

		assert_int_equal(
			LOG(0, (uint8_t)(0x40 | page), 0), listed ? SCSI_GOOD : INVALID_FIELD);
		if (listed) {
			assert_int_equal(t.in[0] & 0x3f, page);
			assert_int_equal(be16_get(t.in + 2), t.in_length - 4);
		}
	}
	assert_int_equal(DO(0, NULL, 0, 0x4d, 0, 0x40, 0, 0, 0, 0, 0, 6, 0), SCSI_GOOD);
	ANSWER("00 00 00 05 00 02");
}

static void log_refuses_what_it_has_not(void **state)
{
	assert_int_equal(LOG(0, 0x42, 1), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 3);
	assert_int_equal(LOG(0, 0x02, 0), INVALID_FIELD); /* thresholds */
	assert_int_equal(t.sense[15], 0xcf);
	assert_int_equal(LOG(0, 0xc2, 0), INVALID_FIELD); /* defaults */
	assert_int_equal(LOG(1, 0x4c, 0), INVALID_FIELD);
	assert_int_equal(
		DO(0, NULL, 0, 0x4d, 1, 0x42, 0, 0, 0, 0, 2, 0, 0), INVALID_FIELD); /* SP */
	/* a parameter pointer beyond the last parameter */
	assert_int_equal(DO(0, NULL, 0, 0x4d, 0, 0x42, 0, 0, 0, 7, 2, 0, 0), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 5);
}

static void log_counts_at_every_reactor(void **state)
{
	uint8_t block[512] = {0};

	assert_int_equal(DO(0, block, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(rig_do(rig, &t, rig->nexus[1], 0, RIG_CDB(0x2a, 0, 0, 0, 0, 1, 0, 0, 1, 0),
				 block, 512),
		SCSI_GOOD);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 3, 0), SCSI_GOOD);
	rig_store.error = -EIO;
	assert_int_equal(DO(0, block, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0x030c00);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 3, 0), 0x031100);
	rig_store.error = -ENOSPC; /* no fault of the medium */
	assert_int_equal(DO(0, block, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0x072707);
	rig_store.error = 0;
	assert_int_equal(LOG(0, 0x42, 0), SCSI_GOOD);
	ANSWER("82 00 00 18 00 05 02 08 00 00 00 00 00 00 04 00 "
	       "00 06 02 08 00 00 00 00 00 00 00 01");
	assert_int_equal(LOG(0, 0x43, 0), SCSI_GOOD);
	ANSWER("83 00 00 18 00 05 02 08 00 00 00 00 00 00 06 00 "
	       "00 06 02 08 00 00 00 00 00 00 00 01");
	/* each unit has its own */
	assert_int_equal(LOG(1, 0x42, 0), SCSI_GOOD);
	ANSWER("82 00 00 18 00 05 02 08 00 00 00 00 00 00 00 00 "
	       "00 06 02 08 00 00 00 00 00 00 00 00");
	/* from a parameter on */
	assert_int_equal(DO(0, NULL, 0, 0x4d, 0, 0x43, 0, 0, 0, 6, 2, 0, 0), SCSI_GOOD);
	ANSWER("83 00 00 0c 00 06 02 08 00 00 00 00 00 00 00 01");
	assert_int_equal(LOG(0, 0x6f, 0), SCSI_GOOD);
	ANSWER("af 00 00 08 00 00 03 04 00 00 ff 00");
}

static void log_tells_what_the_store_says_of_space(void **state)
{
	rig_store.free_bytes = 10ull << 30; /* in units of 2048 blocks: 1 MiB */
	rig_store.used_bytes = (3 << 20) + 4096;
	rig_store.total_bytes = 40ull << 30;
	assert_int_equal(LOG(0, 0x4c, 0), SCSI_GOOD);
	ANSWER("8c 00 00 24 00 01 03 08 00 00 28 00 02 00 00 00 00 02 03 08 00 00 00 03 01 00 00 "
	       "00 00 03 03 08 00 19 00 00 02 00 00 00");
	rig_store.free_bytes = EXTENT_UNKNOWN;
	assert_int_equal(LOG(0, 0x4c, 0), SCSI_GOOD);
	ANSWER("8c 00 00 0c 00 02 03 08 00 00 00 03 01 00 00 00");
}

/* ----- GET LBA STATUS --------------------------------------------------------------------------
 */

#define STATUS(lba, n)                                                                       \
	DO(0, NULL, 0, 0x9e, 0x12, 0, 0, 0, 0, 0, 0, (lba) >> 8, (lba)&0xff, 0, 0, (n) >> 8, \
		(n)&0xff, 0, 0)

static void lba_status(void **state)
{
	/* blocks 16 to 23 and 32 to 47 hold something */
	rig_store.data[0][16 * 512] = 1;
	rig_store.data[0][32 * 512 + 77] = 1;
	rig_store.data[0][47 * 512] = 1;
	assert_int_equal(STATUS(0, 512), SCSI_GOOD);
	ANSWER("00 00 00 54 00 00 00 07 "
	       "00 00 00 00 00 00 00 00 00 00 00 10 01 00 00 00 "
	       "00 00 00 00 00 00 00 10 00 00 00 08 00 00 00 00 "
	       "00 00 00 00 00 00 00 18 00 00 00 08 01 00 00 00 "
	       "00 00 00 00 00 00 00 20 00 00 00 10 00 00 00 00 "
	       "00 00 00 00 00 00 00 30 00 00 07 d0 01 00 00 00");
	/* from the middle of a run; as many as there is room for */
	assert_int_equal(STATUS(18, 24), SCSI_GOOD);
	ANSWER("00 00 00 14 00 00 00 03 00 00 00 00 00 00 00 12 00 00 00 06 00 00 00 00");
	assert_int_equal(STATUS(18, 40), SCSI_GOOD);
	ANSWER("00 00 00 24 00 00 00 03 00 00 00 00 00 00 00 12 00 00 00 06 00 00 00 00 "
	       "00 00 00 00 00 00 00 18 00 00 00 08 01 00 00 00");
	assert_int_equal(STATUS(2047, 64), SCSI_GOOD);
	ANSWER("00 00 00 14 00 00 00 07 00 00 00 00 00 00 07 ff 00 00 00 01 01 00 00 00");
	assert_int_equal(STATUS(0, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 0);
	assert_int_equal(STATUS(0, 4), SCSI_GOOD);
	ANSWER("00 00 00 14");
	/* an UNMAP shows */
	memset(rig_store.data[0], 0xaa, RIG_BYTES);
	assert_int_equal(
		DO(0, NULL, 0, 0x93, 9, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0), SCSI_GOOD);
	assert_int_equal(STATUS(8, 24), SCSI_GOOD);
	ANSWER("00 00 00 14 00 00 00 03 00 00 00 00 00 00 00 08 00 00 00 08 01 00 00 00");
}

/* The CDB of 32 bytes: a report type and a scan length besides. */
#define STATUS32(type, lba, scan, element, n)                                                   \
	DO(0, NULL, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0x18, 0, 0x12, type, 0, 0, 0, 0, 0, 0, 0,        \
		(lba) >> 8, (lba)&0xff, 0, 0, (scan) >> 8, (scan)&0xff, 0, 0, 0, element, 0, 0, \
		(n) >> 8, (n)&0xff)

static void lba_status_of_a_type(void **state)
{
	rig->conf.long_cdbs = true;
	/* blocks 16 to 23 and 32 to 47 hold something */
	rig_store.data[0][16 * 512] = 1;
	rig_store.data[0][32 * 512 + 77] = 1;
	rig_store.data[0][47 * 512] = 1;
	/* all, as many as there is room for, and as far as it may look */
	assert_int_equal(STATUS32(0, 18, 0, 0, 24), SCSI_GOOD);
	ANSWER("00 00 00 14 00 00 00 03 00 00 00 00 00 00 00 12 00 00 00 06 00 00 00 00");
	assert_int_equal(STATUS32(0, 18, 10, 0, 512), SCSI_GOOD);
	ANSWER("00 00 00 24 00 00 00 05 "
	       "00 00 00 00 00 00 00 12 00 00 00 06 00 00 00 00 "
	       "00 00 00 00 00 00 00 18 00 00 00 04 01 00 00 00");
	/* mapped ones; the first is not where it starts to look */
	assert_int_equal(STATUS32(2, 0, 0, 0, 512), SCSI_GOOD);
	ANSWER("00 00 00 24 00 00 00 07 "
	       "00 00 00 00 00 00 00 10 00 00 00 08 00 00 00 00 "
	       "00 00 00 00 00 00 00 20 00 00 00 10 00 00 00 00");
	assert_int_equal(STATUS32(2, 0, 20, 0, 512), SCSI_GOOD);
	ANSWER("00 00 00 14 00 00 00 05 00 00 00 00 00 00 00 10 00 00 00 04 00 00 00 00");
	assert_int_equal(STATUS32(2, 0, 16, 0, 512), SCSI_GOOD);
	ANSWER("00 00 00 04 00 00 00 05");
	/* deallocated ones, also as those that are not mapped; and anchored ones: there are none */
	for (uint8_t type = 1; type <= 3; type += 2) {
		assert_int_equal(STATUS32(type, 20, 20, 0, 512), SCSI_GOOD);
		ANSWER("00 00 00 14 00 00 00 05 00 00 00 00 00 00 00 18 00 00 00 08 01 00 00 00");
	}
	assert_int_equal(STATUS32(4, 0, 0, 0, 512), SCSI_GOOD);
	ANSWER("00 00 00 04 00 00 00 07");
	/* the shorter CDB has a report type too */
	assert_int_equal(
		DO(0, NULL, 0, 0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 2, 0, 2, 0), SCSI_GOOD);
	ANSWER("00 00 00 14 00 00 00 07 00 00 00 00 00 00 00 20 00 00 00 10 00 00 00 00");
}

static void lba_status_32_refuses(void **state)
{
	assert_int_equal(STATUS32(0, 0, 0, 0, 24), 0x052000); /* unless it is configured */
	rig->conf.long_cdbs = true;
	assert_int_equal(STATUS32(0, 2048, 0, 0, 24), OUT_OF_RANGE);
	assert_int_equal(STATUS32(5, 0, 0, 0, 24), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 10);
	assert_int_equal(STATUS32(16, 0, 0, 0, 24), INVALID_FIELD); /* errors are not known ahead */
	assert_int_equal(STATUS32(0, 0, 0, 1, 24), INVALID_FIELD); /* no storage elements */
	assert_int_equal(be16_get(t.sense + 16), 27);
}

static void lba_status_refuses(void **state)
{
	assert_int_equal(STATUS(2048, 24), OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x9e, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				 0, 0, 0, 24, 0, 0),
		OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 5, 0),
		INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 14);
	rig_store.error = -EIO;
	assert_int_equal(STATUS(0, 24), 0x031100);
	rig_store.error = -EAGAIN; /* too many ask at a time */
	assert_int_equal(STATUS(0, 24), SCSI_BUSY);
}

/* ----- READ DEFECT DATA ------------------------------------------------------------------------
 */

static void defects(void **state)
{
	assert_int_equal(DO(0, NULL, 0, 0x37, 0, 0x1d, 0, 0, 0, 0, 0, 64, 0), SCSI_GOOD);
	ANSWER("00 1d 00 00");
	assert_int_equal(DO(0, NULL, 0, 0xb7, 0x08, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	ANSWER("00 08 00 00 00 00 00 00");
	assert_int_equal(DO(0, NULL, 0, 0xb7, 0x08, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0), SCSI_GOOD);
	ANSWER("00 08");
}

/* ----- diagnostics -----------------------------------------------------------------------------
 */

static void diagnostics(void **state)
{
	static const uint8_t page[4] = {0, 0, 0, 0};
	static const uint8_t other[4] = {0x40, 0, 0, 0};
	static const uint8_t longer[4] = {0, 0, 0, 4};

	/* the default self-test reads both ends of the medium */
	assert_int_equal(DO(0, NULL, 0, 0x1d, 0x04, 0, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(rig_store.reads, 2);
	rig_store.error = -EIO;
	assert_int_equal(DO(0, NULL, 0, 0x1d, 0x04, 0, 0, 0, 0), 0x043e03);
	rig_store.error = 0;
	assert_int_equal(DO(0, NULL, 0, 0x1d, 0, 0, 0, 0, 0), SCSI_GOOD);
	/* self-tests in the background, and those that take the unit away */
	assert_int_equal(DO(0, NULL, 0, 0x1d, 0x20, 0, 0, 0, 0), INVALID_FIELD);
	assert_int_equal(DO(0, NULL, 0, 0x1d, 0x05, 0, 0, 0, 0), INVALID_FIELD);
	assert_int_equal(DO(0, NULL, 0, 0x1d, 0x04, 0, 0, 4, 0), INVALID_FIELD);
	assert_int_equal(DO(0, page, 4, 0x1d, 0x10, 0, 0, 4, 0), SCSI_GOOD);
	assert_int_equal(DO(0, other, 4, 0x1d, 0x10, 0, 0, 4, 0), 0x052600);
	assert_int_equal(DO(0, longer, 4, 0x1d, 0x10, 0, 0, 4, 0), 0x052600);
	assert_int_equal(be16_get(t.sense + 16), 2);
	assert_int_equal(DO(0, page, 2, 0x1d, 0x10, 0, 0, 4, 0), 0x051a00);
	assert_int_equal(DO(0, NULL, 0, 0x1d, 0x10, 0, 0, 5, 0), INVALID_FIELD);
	assert_int_equal(DO(0, NULL, 0, 0x1c, 0, 0, 1, 0, 0), SCSI_GOOD);
	ANSWER("00 00 00 01 00");
	assert_int_equal(DO(0, NULL, 0, 0x1c, 1, 0, 1, 0, 0), SCSI_GOOD);
	ANSWER("00 00 00 01 00");
	assert_int_equal(DO(0, NULL, 0, 0x1c, 1, 0x40, 1, 0, 0), INVALID_FIELD);
}

/* ----- buffers ---------------------------------------------------------------------------------
 */

static void echo(void **state)
{
	static uint8_t out[4096];

	for (size_t i = 0; i < sizeof(out); i++) {
		out[i] = (uint8_t)(i * 3);
	}
	assert_int_equal(DO(0, NULL, 0, 0x3c, 0x0b, 0, 0, 0, 0, 0, 0, 4, 0), SCSI_GOOD);
	ANSWER("01 00 10 00"); /* EBOS, 4096 bytes */
	assert_int_equal(DO(0, NULL, 0, 0x3c, 0x0a, 0, 0, 0, 0, 0, 16, 0, 0), 0x052c00);
	assert_int_equal(DO(0, out, 4096, 0x3b, 0x0a, 0, 0, 0, 0, 0, 16, 0, 0), SCSI_GOOD);
	assert_int_equal(DO(0, NULL, 0, 0x3c, 0x0a, 0, 0, 0, 0, 0, 16, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 4096);
	assert_memory_equal(t.in, out, 4096);
	/* what was written last, and no more; not another unit's, not another nexus's */
	assert_int_equal(DO(0, out + 5, 100, 0x3b, 0x0a, 0, 0, 0, 0, 0, 0, 100, 0), SCSI_GOOD);
	assert_int_equal(DO(0, NULL, 0, 0x3c, 0x0a, 0, 0, 0, 0, 0, 16, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 100);
	assert_memory_equal(t.in, out + 5, 100);
	assert_int_equal(DO(1, NULL, 0, 0x3c, 0x0a, 0, 0, 0, 0, 0, 16, 0, 0), 0x052c00);
	assert_int_equal(rig_do(rig, &t, rig->nexus[1], 0,
				 RIG_CDB(0x3c, 0x0a, 0, 0, 0, 0, 0, 16, 0, 0), NULL, 0),
		0x052c00);
	assert_int_equal(DO(0, NULL, 0, 0x3b, 0x0a, 0, 0, 0, 0, 0, 16, 1, 0), INVALID_FIELD);
}

static void data_buffer(void **state)
{
	uint8_t out[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	assert_int_equal(DO(0, NULL, 0, 0x3c, 0x03, 0, 0, 0, 0, 0, 0, 4, 0), SCSI_GOOD);
	ANSWER("00 00 10 00");
	assert_int_equal(DO(0, NULL, 0, 0x3c, 0x03, 1, 0, 0, 0, 0, 0, 4, 0), SCSI_GOOD);
	ANSWER("00 00 00 00"); /* no second one */
	assert_int_equal(DO(0, out, 8, 0x3b, 0x02, 0, 0, 0x0f, 0xf8, 0, 0, 8, 0), SCSI_GOOD);
	assert_int_equal(DO(0, NULL, 0, 0x3c, 0x02, 0, 0, 0x0f, 0xf6, 0, 0, 16, 0), SCSI_GOOD);
	ANSWER("00 00 01 02 03 04 05 06 07 08");
	/* past its end, in a second one, in modes that there are not */
	assert_int_equal(DO(0, NULL, 0, 0x3b, 0x02, 0, 0, 0x0f, 0xf9, 0, 0, 8, 0), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 6);
	assert_int_equal(
		DO(0, NULL, 0, 0x3b, 0x02, 0, 0xff, 0xff, 0xff, 0, 0, 8, 0), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 3);
	assert_int_equal(DO(0, NULL, 0, 0x3b, 0x02, 1, 0, 0, 0, 0, 0, 8, 0), INVALID_FIELD);
	assert_int_equal(DO(0, NULL, 0, 0x3c, 0x02, 0, 0, 0x10, 1, 0, 0, 8, 0), INVALID_FIELD);
	for (uint8_t mode = 0; mode < 32; mode++) {
		bool reads = mode == 2 || mode == 3 || mode == 0x0a || mode == 0x0b;
		bool writes = mode == 2 || mode == 0x0a;

		if (!reads) {
			assert_int_equal(
				DO(0, NULL, 0, 0x3c, mode, 0, 0, 0, 0, 0, 0, 4, 0), INVALID_FIELD);
		}
		if (!writes) {
			assert_int_equal(
				DO(0, NULL, 0, 0x3b, mode, 0, 0, 0, 0, 0, 0, 4, 0), INVALID_FIELD);
		}
	}
}

/* ----- task management functions ---------------------------------------------------------------
 */

static void task_management_functions(void **state)
{
	uint8_t bits[2] = {0, 0};

	assert_int_equal(DO(0, NULL, 0, 0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 4);
	memcpy(bits, t.in, 2);
	/* ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LU RESET; never CLEAR ACA */
	assert_int_equal(bits[0] & 0xf8, 0xd8);
	assert_int_equal(!!(bits[0] & 0x04), scsi_tmf_is_supported(SCSI_TMF_QUERY_TASK));
	assert_int_equal(t.in[3], 0);
	assert_int_equal(DO(0, NULL, 0, 0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 64, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 16);
	assert_memory_equal(t.in, bits, 2);
	assert_int_equal(t.in[3], 12);
	assert_int_equal(DO(0, NULL, 0, 0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(log_lists_its_pages),
		TEST(log_refuses_what_it_has_not),
		TEST(log_counts_at_every_reactor),
		TEST(log_tells_what_the_store_says_of_space),
		TEST(lba_status),
		TEST(lba_status_of_a_type),
		TEST(lba_status_32_refuses),
		TEST(lba_status_refuses),
		TEST(defects),
		TEST(diagnostics),
		TEST(echo),
		TEST(data_buffer),
		TEST(task_management_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
