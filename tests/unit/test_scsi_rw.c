/* SPDX-License-Identifier: BSD-3-Clause */
/* READ, WRITE, SYNCHRONIZE CACHE, VERIFY, WRITE SAME, UNMAP, READ CAPACITY. */
#include <errno.h>

#include "scsi_rig.h"

#define OUT_OF_RANGE  0x052100
#define INVALID_FIELD 0x052400

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

static void every_size_reads_what_it_wrote(void **state)
{
	uint8_t block[512];

	memset(block, 0xa1, sizeof(block));
	assert_int_equal(DO(0, block, 512, 0x0a, 0, 0, 1, 1, 0), SCSI_GOOD);
	memset(block, 0xa2, sizeof(block));
	assert_int_equal(DO(0, block, 512, 0x2a, 0, 0, 0, 0, 2, 0, 0, 1, 0), SCSI_GOOD);
	memset(block, 0xa3, sizeof(block));
	assert_int_equal(DO(0, block, 512, 0xaa, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0), SCSI_GOOD);
	memset(block, 0xa4, sizeof(block));
	assert_int_equal(
		DO(0, block, 512, 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0), SCSI_GOOD);
	for (unsigned i = 1; i <= 4; i++) {
		assert_int_equal(rig_store.data[0][i * 512], 0xa0 + i);
		assert_int_equal(rig_store.data[0][i * 512 + 511], 0xa0 + i);
	}
	assert_int_equal(rig_store.data[0][511], 0);
	assert_int_equal(rig_store.data[0][5 * 512], 0);
	assert_int_equal(DO(0, NULL, 0, 0x08, 0, 0, 1, 4, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 2048);
	assert_int_equal(t.in[0], 0xa1);
	assert_int_equal(t.in[2047], 0xa4);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 0, 2, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(t.in[0], 0xa2);
	assert_int_equal(DO(0, NULL, 0, 0xa8, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in[0], 0xa3);
	assert_int_equal(
		DO(0, NULL, 0, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in[0], 0xa4);
	assert_int_equal(t.in_length, 512);
}

static void length_of_zero(void **state)
{
	rig_store.reads = 0;
	assert_int_equal(DO(0, NULL, 0, 0x08, 0, 0, 0, 0, 0), SCSI_GOOD); /* 256 blocks */
	assert_int_equal(t.in_length, 256 * 512);
	assert_int_equal(rig_store.reads, 1);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 0, 2, 0, 0, 0, 0), SCSI_GOOD); /* none */
	assert_int_equal(t.in_length, 0);
	assert_int_equal(DO(0, NULL, 0, 0x2a, 0, 0, 0, 0, 2, 0, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(rig_store.reads, 1);
	assert_int_equal(rig_store.writes, 0);
}

static void ranges_that_end_beyond_the_medium(void **state)
{
	rig_store.reads = 0;
	/* 2048 blocks: 0x000 to 0x7ff */
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 7, 0xff, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 8, 0, 0, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(rig_store.reads, 1);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 7, 0xff, 0, 0, 2, 0), OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 8, 0, 0, 0, 1, 0), OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 8, 1, 0, 0, 0, 0), OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0), OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x08, 0x1f, 0xff, 0xff, 1, 0), OUT_OF_RANGE);
	/* LBA plus length wraps round 2^64; LBA times block size too */
	assert_int_equal(DO(0, NULL, 0, 0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,
				 0, 0, 2, 0, 0),
		OUT_OF_RANGE);
	assert_int_equal(
		DO(0, NULL, 0, 0x8a, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0), OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x8a, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,
				 0, 0, 0, 0, 0),
		OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x91, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				 0xff, 0xff, 0xff, 0xff, 0, 0),
		OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x8f, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,
				 0, 0, 2, 0, 0),
		OUT_OF_RANGE);
	assert_int_equal(DO(0, NULL, 0, 0x93, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,
				 0, 0, 2, 0, 0),
		OUT_OF_RANGE);
	assert_int_equal(rig_store.reads, 1);
	assert_int_equal(rig_store.writes + rig_store.zeroes, 0);
}

static void transfers_beyond_the_limit_are_refused_with_a_field_pointer(void **state)
{
	/* 8 MiB are 0x4000 blocks; the medium is smaller, so one more must fail by its length. */
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 0, 0, 0, 0x40, 1, 0), INVALID_FIELD);
	assert_int_equal(t.sense[15], 0xc0);
	assert_int_equal(be16_get(t.sense + 16), 7);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 0, 0, 0, 0x40, 0, 0), OUT_OF_RANGE);
	assert_int_equal(
		DO(0, NULL, 0, 0xaa, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 6);
	assert_int_equal(DO(0, NULL, 0, 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0),
		INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 10);
	assert_int_equal(DO(1, NULL, 0, 0x28, 0, 0, 0, 0, 0, 0, 8, 1, 0), INVALID_FIELD);
}

static void a_short_write_writes_whole_blocks_only(void **state)
{
	uint8_t data[2048];

	memset(data, 0x5a, sizeof(data));
	memset(rig_store.data[0], 0xff, 4096);
	rig_task_set(&t, rig->nexus[0], 0, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 4, 0));
	assert_int_equal(rig_task_go(&t, data, 1300), SCSI_START_OUT);
	assert_int_equal(t.status, SCSI_GOOD);
	assert_int_equal(rig_store.data[0][1023], 0x5a);
	assert_int_equal(rig_store.data[0][1024], 0xff);
	assert_int_equal(DO(0, data, 511, 0x2a, 0, 0, 0, 0, 8, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(rig_store.writes, 1);
}

static void fua_is_passed_on(void **state)
{
	uint8_t block[4096] = {0};

	assert_int_equal(DO(1, block, 4096, 0x2a, 0x00, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(rig_store.fuas, 0);
	assert_int_equal(DO(1, block, 4096, 0x2a, 0x18, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(rig_store.fuas, 1);
	/* a task that is used again does not keep the bit */
	assert_int_equal(DO(1, block, 4096, 0x2a, 0x10, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(rig_store.fuas, 1);
	/* A read with FUA flushes what is volatile first. */
	assert_int_equal(DO(1, NULL, 0, 0x28, 0x08, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(rig_store.flushes, 1);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0x08, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(rig_store.flushes, 1);
}

static void synchronize_cache_flushes_what_is_volatile(void **state)
{
	assert_int_equal(DO(1, NULL, 0, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(rig_store.flushes, 1);
	assert_int_equal(
		DO(1, NULL, 0, 0x91, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(rig_store.flushes, 2);
	assert_int_equal(DO(0, NULL, 0, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(rig_store.flushes, 2);
	rig_store.error = -EIO;
	assert_int_equal(DO(1, NULL, 0, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0x030c00);
}

static void errors_of_the_store(void **state)
{
	static const struct {
		int err;
		uint32_t read, write;
	} rows[] = {
		{-EIO, 0x031100, 0x030c00},
		{-EREMOTEIO, 0x031100, 0x030c00},
		{-ENOSPC, 0x072707, 0x072707},
		{-EROFS, 0x072700, 0x072700},
		{-ENOMEM, SCSI_BUSY, SCSI_BUSY},
		{-EAGAIN, SCSI_BUSY, SCSI_BUSY},
		{-EOPNOTSUPP, 0x044400, 0x044400},
	};
	uint8_t block[512] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rig_store.error = rows[i].err;
		assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), rows[i].read);
		assert_int_equal(t.in_length, 0);
		assert_int_equal(DO(0, block, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), rows[i].write);
	}
}

static void a_read_only_unit_refuses_writes_before_data_moves(void **state)
{
	uint8_t block[512] = {0};

	assert_int_equal(DO(2, block, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0x072700);
	assert_int_equal(DO(2, block, 512, 0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0x072700);
	/* nor is it the field's fault that nothing can be unmapped */
	assert_int_equal(DO(2, block, 512, 0x41, 8, 0, 0, 0, 0, 0, 0, 1, 0), 0x072700);
	rig_task_set(&t, rig->nexus[0], 2, RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0));
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_DONE);
	assert_int_equal(DO(2, NULL, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(rig_store.writes, 0);
}

/* WSNZ: no blocks are an error and not the rest of the LU. ANC_SUP=0: nothing can be anchored. */
static void write_same_of_nothing_and_anchors(void **state)
{
	uint8_t block[512] = {0};

	assert_int_equal(DO(0, block, 512, 0x41, 0, 0, 0, 7, 0xf0, 0, 0, 0, 0), INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 7);
	assert_int_equal(DO(0, block, 512, 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		INVALID_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 10);
	assert_int_equal(DO(0, block, 512, 0x93, 0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0),
		INVALID_FIELD);
	assert_int_equal(DO(0, block, 512, 0x93, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0),
		INVALID_FIELD);
	assert_int_equal(DO(0, NULL, 0, 0x42, 1, 0, 0, 0, 0, 0, 0, 24, 0), INVALID_FIELD);
}

/* GROUP NUMBER asks for statistics that nobody need keep (SBC-3 4.23): it is no error. */
static void a_group_number_is_accepted(void **state)
{
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 0, 0, 3, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(
		DO(0, NULL, 0, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 31, 0), SCSI_GOOD);
	assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 0, 0, 0x20, 0, 1, 0), INVALID_FIELD);
}

static void verify_compares(void **state)
{
	static uint8_t data[3 * 512];

	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i * 7);
	}
	memcpy(rig_store.data[0] + 512, data, sizeof(data));
	assert_int_equal(DO(0, NULL, 0, 0x2f, 0, 0, 0, 0, 1, 0, 0, 3, 0), SCSI_GOOD);
	assert_int_equal(rig_store.reads, 1);
	assert_int_equal(DO(0, data, sizeof(data), 0x2f, 2, 0, 0, 0, 1, 0, 0, 3, 0), SCSI_GOOD);
	assert_int_equal(
		DO(0, data, sizeof(data), 0xaf, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0), SCSI_GOOD);
	rig_store.data[0][512 + 1000] ^= 1;
	assert_int_equal(
		DO(0, data, sizeof(data), 0x8f, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0),
		0x0e1d00);
	assert_int_equal(t.sense[0], 0xf0); /* VALID */
	assert_int_equal(be32_get(t.sense + 3), 1000);
	assert_int_equal(DO(0, data, 512, 0x2f, 4, 0, 0, 0, 1, 0, 0, 1, 0), INVALID_FIELD);
	rig_store.error = -EIO;
	assert_int_equal(DO(0, NULL, 0, 0x2f, 0, 0, 0, 0, 1, 0, 0, 3, 0), 0x031100);
}

/* BYTCHK 11b: one block of data-out for all of them. */
static void verify_compares_every_block_with_one(void **state)
{
	static uint8_t data[512];

	memset(data, 0x5c, sizeof(data));
	memset(rig_store.data[0] + 512, 0x5c, RIG_BYTES - 512);
	assert_int_equal(DO(0, data, 512, 0x2f, 6, 0, 0, 0, 1, 0, 7, 0xff, 0), SCSI_GOOD);
	assert_int_equal(DO(0, data, 512, 0x2f, 6, 0, 0, 0, 0, 0, 0, 2, 0), 0x0e1d00);
	rig_store.data[0][512 + 5000] ^= 1;
	assert_int_equal(
		DO(0, data, 512, 0x8f, 6, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0), 0x0e1d00);
	assert_int_equal(be32_get(t.sense + 3), 5000);
	assert_int_equal(DO(0, data, 100, 0x2f, 6, 0, 0, 0, 1, 0, 0, 2, 0), 0x0b0c0d);
	assert_int_equal(DO(0, NULL, 0, 0x2f, 6, 0, 0, 0, 1, 0, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(DO(0, NULL, 0, 0x2f, 6, 0, 0, 8, 0, 0, 0, 1, 0), OUT_OF_RANGE);
}

static void prefetch(void **state)
{
	/* the extents of the rig have no cache to fetch into: only checked */
	assert_int_equal(DO(0, NULL, 0, 0x34, 0, 0, 0, 0, 1, 0, 0, 8, 0), SCSI_GOOD);
	assert_int_equal(rig_store.reads, 0);
	((struct scsi_lu *)&rig->scsi->lus[0])->info.direct = false;
	assert_int_equal(DO(0, NULL, 0, 0x34, 0, 0, 0, 0, 1, 0, 0, 8, 0), SCSI_CONDITION_MET);
	assert_int_equal(DO(0, NULL, 0, 0x34, 2, 0, 0, 0, 1, 0, 0, 8, 0), SCSI_CONDITION_MET);
	assert_int_equal(rig_store.reads, 2);
	/* to the end */
	assert_int_equal(DO(0, NULL, 0, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		SCSI_CONDITION_MET);
	assert_int_equal(rig_store.reads, 3);
	assert_int_equal(DO(0, NULL, 0, 0x34, 0, 0, 0, 8, 0, 0, 0, 1, 0), OUT_OF_RANGE);
	rig_store.error = -EIO;
	assert_int_equal(DO(0, NULL, 0, 0x34, 0, 0, 0, 0, 1, 0, 0, 8, 0), 0x031100);
}

static void write_same_fills(void **state)
{
	uint8_t block[512];

	memset(block, 0x77, sizeof(block));
	memset(rig_store.data[0], 0xff, RIG_BYTES);
	assert_int_equal(
		DO(0, block, 512, 0x41, 0, 0, 0, 0, 1, 0, 7, 0xfe, 0), SCSI_GOOD); /* 2046 */
	assert_int_equal(rig_store.data[0][511], 0xff);
	assert_int_equal(rig_store.data[0][512], 0x77);
	assert_int_equal(rig_store.data[0][RIG_BYTES - 513], 0x77);
	assert_int_equal(rig_store.data[0][RIG_BYTES - 512], 0xff);
	/* zeros go by the store's own means; NDOB brings none */
	memset(block, 0, sizeof(block));
	assert_int_equal(DO(0, block, 512, 0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(rig_store.zeroes, 1);
	assert_int_equal(rig_store.data[0][511], 0);
	rig_task_set(
		&t, rig->nexus[0], 0, RIG_CDB(0x93, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0));
	assert_int_equal(rig_task_go(&t, NULL, 0), SCSI_START_READY);
	assert_int_equal(t.status, SCSI_GOOD);
	assert_int_equal(rig_store.zeroes, 2);
	assert_int_equal(
		DO(0, block, 512, 0x93, 8, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0), SCSI_GOOD);
	assert_int_equal(rig_store.unmaps, 1);
	/* no block, too little of it, or UNMAP on a unit that is not thin */
	assert_int_equal(DO(0, block, 100, 0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0x0b0c0d);
	assert_int_equal(DO(1, block, 512, 0x41, 8, 0, 0, 0, 0, 0, 0, 1, 0), INVALID_FIELD);
	assert_int_equal(t.sense[15], 0xcb);
	/* the initiator announces less or more than a block */
	for (uint32_t bytes = 256; bytes <= 1024; bytes += 256) {
		rig_task_set(&t, rig->nexus[0], 0,
			RIG_CDB(0x93, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0));
		t.task.expected_out_bytes = bytes;
		assert_int_equal(rig_task_go(&t, block, 512),
			bytes == 512 ? SCSI_START_OUT : SCSI_START_DONE);
		assert_int_equal(t.status, bytes == 512 ? SCSI_GOOD : SCSI_CHECK_CONDITION);
	}
}

static uint32_t unmap(const uint8_t *list, uint16_t length, uint32_t sent)
{
	return DO(
		0, list, sent, 0x42, 0, 0, 0, 0, 0, 0, (uint8_t)(length >> 8), (uint8_t)length, 0);
}

static void unmap_list_make(uint8_t list[40], uint64_t lba, uint32_t blocks)
{
	memset(list, 0, 40);
	be16_put(list, 38);
	be16_put(list + 2, 32);
	be64_put(list + 8, 4);
	be32_put(list + 16, 2);
	be64_put(list + 24, lba);
	be32_put(list + 32, blocks);
}

static void unmap_checks_all_before_it_does_one(void **state)
{
	uint8_t list[40];

	memset(rig_store.data[0], 0xff, RIG_BYTES);
	unmap_list_make(list, 100, 8);
	assert_int_equal(unmap(list, 40, 40), SCSI_GOOD);
	assert_int_equal(rig_store.unmaps, 2);
	assert_int_equal(rig_store.data[0][4 * 512], 0);
	assert_int_equal(rig_store.data[0][6 * 512], 0xff);
	assert_int_equal(rig_store.data[0][107 * 512], 0);
	unmap_list_make(list, 2048, 1);
	assert_int_equal(unmap(list, 40, 40), OUT_OF_RANGE);
	unmap_list_make(list, UINT64_MAX, 2);
	assert_int_equal(unmap(list, 40, 40), OUT_OF_RANGE);
	unmap_list_make(list, 0, UINT32_MAX);
	assert_int_equal(unmap(list, 40, 40), OUT_OF_RANGE);
	assert_int_equal(rig_store.unmaps, 2);
	unmap_list_make(list, 100, 0); /* no blocks: no error */
	assert_int_equal(unmap(list, 40, 40), SCSI_GOOD);
	assert_int_equal(rig_store.unmaps, 3);
	assert_int_equal(unmap(list, 0, 0), SCSI_GOOD);
}

static void unmap_lists_that_lie(void **state)
{
	uint8_t list[40];

	unmap_list_make(list, 100, 8);
	assert_int_equal(unmap(list, 40, 0), 0x051a00);
	assert_int_equal(unmap(list, 40, 39), 0x051a00);
	assert_int_equal(unmap(list, 7, 7), 0x051a00);
	be16_put(list + 2, 48); /* says more ranges than came */
	assert_int_equal(unmap(list, 40, 40), 0x051a00);
	be16_put(list + 2, 32);
	be16_put(list, 0xffff);
	assert_int_equal(unmap(list, 40, 40), 0x051a00);
	be16_put(list, 20); /* the ranges do not fit into what it says itself */
	assert_int_equal(unmap(list, 40, 40), 0x051a00);
	assert_int_equal(unmap(list, 8 + 16 * 257, 40), INVALID_FIELD);
	assert_int_equal(rig_store.unmaps, 0);
	/* and a unit that is not thin does not know the command */
	assert_int_equal(DO(1, NULL, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0x052000);
}

static void capacity(void **state)
{
	assert_int_equal(DO(0, NULL, 0, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 00 07 ff 00 00 02 00");
	assert_int_equal(
		DO(0, NULL, 0, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length,
		"00 00 00 00 00 00 07 ff 00 00 02 00 00 03 c0 00 "
		"00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
	assert_int_equal(
		DO(1, NULL, 0, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0), SCSI_GOOD);
	rig_assert_hex(t.in, t.in_length, "00 00 00 00 00 00 00 ff 00 00 10 00 00 00 00");
	assert_int_equal(
		DO(1, NULL, 0, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), SCSI_GOOD);
	assert_int_equal(t.in_length, 0);
}

static void counters(void **state)
{
	uint8_t block[512] = {0};
	struct scsi_lu_info info;

	assert_int_equal(DO(0, block, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(rig_do(rig, &t, rig->nexus[1], 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 3, 0),
				 NULL, 0),
		SCSI_GOOD);
	assert_true(scsi_lu_info(rig->scsi, 0, &info));
	assert_int_equal(info.writes, 1);
	assert_int_equal(info.written_bytes, 512);
	assert_int_equal(info.reads, 1);
	assert_int_equal(info.read_bytes, 1536);
	assert_string_equal(info.naa, "602594bdefeda3a58293a4b5c6d7e800");
	assert_false(scsi_lu_info(rig->scsi, RIG_EXTENTS, &info));
}

/* What is said of a command before it is started; nothing is said of where a write goes. */
static unsigned expects(unsigned lun, const uint8_t *cdb, size_t bytes)
{
	uint8_t wire[8] = {0}, all[16] = {0};

	wire[1] = (uint8_t)lun;
	memcpy(all, cdb, bytes);
	rig_store.expects = 0;
	rig_store.expect_offset = 0;
	scsi_expect(rig->nexus[0], wire, all);
	assert_true(rig_store.expects == 0 || rig_store.expect_extent == lun);
	return rig_store.expects;
}

static void a_read_is_expected_where_it_will_be(void **state)
{
	static const uint8_t no_lun[8] = {0x80}, cdb[16] = {0x28};

	for (unsigned used = 0; used < 2; used++) { /* without an I_T_L nexus, and with one */
		assert_int_equal(expects(0, RIG_CDB(0x08, 0, 0, 7, 1, 0)), 1);
		assert_int_equal(rig_store.expect_offset, 7 * 512);
		assert_int_equal(rig_store.expect_length, 512);
		assert_int_equal(expects(1, RIG_CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 1, 0)), 1);
		assert_int_equal(rig_store.expect_offset, 7 * 4096);
		assert_int_equal(rig_store.expect_length, 4096);
		assert_int_equal(expects(0, RIG_CDB(0xa8, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0)), 1);
		assert_int_equal(rig_store.expect_offset, 8 * 512);
		assert_int_equal(
			expects(0, RIG_CDB(0x88, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1)), 1);
		assert_int_equal(rig_store.expect_offset, 9 * 512);
		assert_int_equal(expects(0, RIG_CDB(0x2a, 0, 0, 0, 0, 7, 0, 0, 1, 0)), 0);
		assert_int_equal(expects(0, RIG_CDB(0x7f, 0, 0, 0, 0, 0, 0, 24, 0, 9)), 0);
		assert_int_equal(expects(0, RIG_CDB(0xff)), 0);
		assert_int_equal(expects(99, cdb, sizeof(cdb)), 0);
		assert_int_equal(DO(0, NULL, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
		assert_int_equal(DO(1, NULL, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GOOD);
	}
	rig_store.expects = 0;
	scsi_expect(rig->nexus[0], no_lun, cdb);
	rig->scsi->lus[0].gone = true; /* its extent may be closed soon */
	assert_int_equal(expects(0, cdb, sizeof(cdb)), 0);
	rig->scsi->lus[0].gone = false;
}

static void start_stop(void **state)
{
	assert_int_equal(DO(0, NULL, 0, 0x1b, 0, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(DO(0, NULL, 0, 0x1b, 0, 0, 0, 0, 0), INVALID_FIELD);
	assert_int_equal(t.sense[15], 0xc8);
	assert_int_equal(be16_get(t.sense + 16), 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_size_reads_what_it_wrote),
		TEST(length_of_zero),
		TEST(ranges_that_end_beyond_the_medium),
		TEST(transfers_beyond_the_limit_are_refused_with_a_field_pointer),
		TEST(a_short_write_writes_whole_blocks_only),
		TEST(fua_is_passed_on),
		TEST(synchronize_cache_flushes_what_is_volatile),
		TEST(errors_of_the_store),
		TEST(a_read_only_unit_refuses_writes_before_data_moves),
		TEST(write_same_of_nothing_and_anchors),
		TEST(a_group_number_is_accepted),
		TEST(verify_compares),
		TEST(verify_compares_every_block_with_one),
		TEST(prefetch),
		TEST(write_same_fills),
		TEST(unmap_checks_all_before_it_does_one),
		TEST(unmap_lists_that_lie),
		TEST(capacity),
		TEST(counters),
		TEST(a_read_is_expected_where_it_will_be),
		TEST(start_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
