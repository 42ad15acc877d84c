/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EXTENDED COPY and RECEIVE COPY RESULTS. The rig's LUs: 0 and 1 of group g1 (blocks of 512 and
 * 4096 bytes), 2 of group g2, read-only. A small pool of buffers makes pieces of 64 KiB.
 */
#include <errno.h>

#include "copy_lists.h"
#include "scsi_rig.h"

#define PIECE	    (64u << 10)
#define COPY_FAILED 0x0a0d01
#define UNREACHABLE 0x0a0d02
#define BAD_FIELD   0x052600
#define LIST_LENGTH 0x051a00
#define ALWAYS	    0xffff /* CSCD index: the LU that got the command */

static struct rig *rig;
static struct rig_task t, r;
static struct copy_bytes list;

static void lists_clear(void)
{
	memset(&list, 0, sizeof(list));
}

static int setup(void **state)
{
	rig = rig_new(1, 1 << 20);
	rig_serve(rig);
	memset(&t, 0, sizeof(t));
	lists_clear();
	for (unsigned d = 0; d < RIG_EXTENTS; d++) {
		for (uint32_t i = 0; i < RIG_BYTES; i += 4) {
			be32_put(rig_store.data[d] + i, i * 2654435761u + d);
		}
	}
	return 0;
}

static int teardown(void **state)
{
	rig_free(rig);
	return 0;
}

static const uint8_t *naa(unsigned lu)
{
	return rig->scsi->lus[lu].naa;
}

static void cscd(unsigned lu)
{
	cscd_add(&list, naa(lu), lu == 1 ? 4096 : 512, 0xe4);
}

static void command_set(unsigned lun, uint8_t action)
{
	uint8_t cdb[16] = {0x83, action};

	be32_put(cdb + 10, (uint32_t)list.size);
	rig_task_set(&t, rig->nexus[0], lun, cdb, 16);
}

static void copy_go(unsigned lun, uint8_t action)
{
	command_set(lun, action);
	rig_task_go(&t, list.all, (uint32_t)list.size);
}

/* Runs the rig until the command has ended. */
static uint32_t copy_wait(void)
{
	for (int i = 0; i < 100 && t.dones == 0; i++) {
		rig_run(rig);
	}
	assert_int_equal(t.dones, 1);
	if (t.status != SCSI_CHECK_CONDITION) {
		return t.status;
	}
	return (uint32_t)t.sense[2] << 16 | (uint32_t)t.sense[12] << 8 | t.sense[13];
}

static uint32_t copy_do(unsigned lun)
{
	lid1_make(&list, 1, 0);
	copy_go(lun, 0);
	return copy_wait();
}

/* Some steps, not to the end: `pieces` reads have been submitted. */
static void copy_until_reads(unsigned reads)
{
	for (int i = 0; i < 100 && rig_store.reads < reads; i++) {
		reactor_run_once(rig->reactors[0], 0);
	}
	assert_int_equal(rig_store.reads, reads);
}

static uint32_t ask(uint8_t action, uint32_t id)
{
	uint8_t cdb[16] = {0x84, action};

	if (action == 5) {
		be32_put(cdb + 2, id);
	} else {
		cdb[2] = (uint8_t)id;
	}
	cdb[13] = 200;
	return rig_do(rig, &r, rig->nexus[0], 0, cdb, 16, NULL, 0);
}

/* ----- data ---------------------------------------------------------------------------------- */

static uint8_t before[RIG_EXTENTS][RIG_BYTES];

static void expect_copied(
	unsigned from, uint32_t from_byte, unsigned to, uint32_t to_byte, uint32_t bytes)
{
	uint8_t *want = malloc(RIG_BYTES);

	assert_non_null(want);
	memcpy(want, before[to], RIG_BYTES);
	memcpy(want + to_byte, before[from] + from_byte, bytes);
	assert_memory_equal(rig_store.data[to], want, RIG_BYTES);
	for (unsigned d = 0; d < RIG_EXTENTS; d++) {
		if (d != to) {
			assert_memory_equal(rig_store.data[d], before[d], RIG_BYTES);
		}
	}
	free(want);
}

static void remember(void)
{
	memcpy(before, rig_store.data, sizeof(before));
}

static void blocks_of_the_source_count(void **state)
{
	remember();
	cscd(0);
	cscd(1);
	segment_add(&list, 0, 0, 1, 800, 8, 10); /* 400 KiB: seven pieces */
	assert_int_equal(copy_do(0), SCSI_GOOD);
	expect_copied(0, 8 * 512, 1, 10 * 4096, 800 * 512);
	assert_int_equal(rig_store.reads, 7);
	assert_int_equal(rig_store.writes, 7);
}

static void blocks_of_the_destination_count_with_dc(void **state)
{
	remember();
	cscd(0);
	cscd(1);
	segment_add(&list, 0x02, 0, 1, 20, 16, 3);
	assert_int_equal(copy_do(1), SCSI_GOOD); /* whichever LU gets the command */
	expect_copied(0, 16 * 512, 1, 3 * 4096, 20 * 4096);
}

static void from_a_read_only_lu_of_another_group(void **state)
{
	remember();
	cscd(2);
	cscd(0);
	segment_add(&list, 0, 0, 1, 256, 1024, 0);
	assert_int_equal(copy_do(0), SCSI_GOOD);
	expect_copied(2, 1024 * 512, 0, 0, 256 * 512);
}

static void overlapping_forwards_and_backwards(void **state)
{
	cscd(0);
	remember();
	segment_add(&list, 0, 0, 0, 1000, 0, 100); /* the destination lies ahead */
	assert_int_equal(copy_do(0), SCSI_GOOD);
	expect_copied(0, 0, 0, 100 * 512, 1000 * 512);
	remember();
	list.segment_bytes = 0;
	segment_add(&list, 0, 0, 0, 1000, 100, 3); /* and behind */
	assert_int_equal(copy_do(0), SCSI_GOOD);
	expect_copied(0, 100 * 512, 0, 3 * 512, 1000 * 512);
	remember();
	list.segment_bytes = 0;
	segment_add(&list, 0, 0, 0, 1000, 7, 7); /* onto itself */
	assert_int_equal(copy_do(0), SCSI_GOOD);
	expect_copied(0, 0, 0, 0, 0);
}

static void many_segments_run_in_their_order(void **state)
{
	remember();
	cscd(0);
	segment_add(&list, 0, 0, 0, 8, 0, 100);
	segment_add(&list, 0, 0, 0, 8, 100, 200); /* what the first has written */
	segment_add(&list, 0, 0, 0, 0, 1, 2); /* nothing */
	verify_segment_add(&list, 0, 1);
	verify_segment_add(&list, 0, 0);
	segment_add(&list, 0, ALWAYS, ALWAYS, 8, 200, 300);
	assert_int_equal(copy_do(0), SCSI_GOOD);
	for (unsigned lba = 100; lba <= 300; lba += 100) {
		assert_memory_equal(rig_store.data[0] + lba * 512, before[0], 8 * 512);
	}
	assert_int_equal(ask(0, 1), SCSI_GOOD);
	rig_assert_hex(r.in, r.in_length, "00 00 00 08 01 00 06 00 00 00 30 00");
	/* Told once. */
	assert_int_equal(ask(0, 1), 0x052400);
	assert_int_equal(be16_get(r.sense + 16), 2);
}

static void byte_offsets_that_are_whole_blocks(void **state)
{
	remember();
	cscd(0);
	cscd(1);
	offset_segment_add(&list, 0, 1, 128 << 10, 0, 1, 1024, 4096);
	assert_int_equal(copy_do(0), SCSI_GOOD);
	expect_copied(0, 1024, 1, 2 * 4096, 128 << 10);
	list.segment_bytes = 0;
	offset_segment_add(&list, 0, 1, 8192, 0, 1, 1024, 512); /* half a block at LU 1 */
	assert_int_equal(copy_do(0), 0x0a260a);
	list.segment_bytes = 0;
	segment_add(&list, 0, 0, 1, 9, 0, 0); /* a block of LU 1 and a bit */
	assert_int_equal(copy_do(0), 0x0a260a);
	expect_copied(0, 1024, 1, 2 * 4096, 128 << 10);
}

static void t10_names_are_names_too(void **state)
{
	remember();
	cscd(0);
	cscd(0);
	memset(list.cscds + 32 + 4, 0, 24);
	memcpy(list.cscds + 32 + 4, "\x02\x01\x00\x0fYOKE    serial1", 19);
	be24_put(list.cscds + 32 + 29, 4096);
	segment_add(&list, 0x02, 0, 1, 1, 0, 0);
	assert_int_equal(copy_do(0), SCSI_GOOD);
	expect_copied(0, 0, 1, 0, 4096);
}

/* ----- lists that lie ------------------------------------------------------------------------ */

/* The list as it stands, and the field pointer that comes with the refusal (-1: none). */
static void expect_refused(uint32_t sense, int byte)
{
	copy_go(0, 0);
	assert_int_equal(copy_wait(), sense);
	assert_int_equal(t.sense[15] & 0x80, byte < 0 ? 0 : 0x80);
	if (byte >= 0) {
		assert_int_equal(be16_get(t.sense + 16), byte);
	}
	assert_int_equal(rig_store.writes, 0);
}

static void lists_with_wrong_lengths(void **state)
{
	cscd(0);
	segment_add(&list, 0, 0, 0, 8, 0, 100);
	lid1_make(&list, 1, 0);
	for (size_t size = list.size - 1; size > 0; size--) {
		list.size = size;
		expect_refused(LIST_LENGTH, -1);
	}
	lid1_make(&list, 1, 0);
	be16_put(list.all + 2, 31);
	expect_refused(BAD_FIELD, 2);
	lid1_make(&list, 1, 0);
	be32_put(list.all + 8, 0xffffffff);
	expect_refused(LIST_LENGTH, -1);
	lid1_make(&list, 1, 0);
	be32_put(list.all + 8, 27); /* the segment ends outside of its list */
	expect_refused(LIST_LENGTH, -1);
	be32_put(list.all + 8, 2);
	expect_refused(LIST_LENGTH, -1);
	lid1_make(&list, 1, 0);
	be32_put(list.all + 12, 4);
	list.size += 4;
	expect_refused(0x05260b, 12);
	/* Less data than the CDB says. */
	lid1_make(&list, 1, 0);
	command_set(0, 0);
	rig_task_go(&t, list.all, (uint32_t)list.size - 1);
	assert_int_equal(copy_wait(), LIST_LENGTH);
	/* None at all is no error. */
	list.size = 0;
	copy_go(0, 0);
	assert_int_equal(copy_wait(), SCSI_GOOD);
}

static void lists_with_wrong_descriptors(void **state)
{
	cscd(0);
	segment_add(&list, 0, 0, 0, 8, 0, 100);
	lid1_make(&list, 1, 0);
	list.all[16] = 0xe0;
	expect_refused(0x052607, 16);
	list.all[16] = 0xe4;
	list.all[17] = 0x01; /* a tape */
	expect_refused(BAD_FIELD, 17);
	list.all[17] = 0xc0; /* LU ID TYPE is ignored */
	list.all[23] = 21;
	expect_refused(BAD_FIELD, 23);
	lid1_make(&list, 1, 0);
	list.all[48] = 0x03;
	expect_refused(0x052609, 48);
	list.all[48] = 0x02;
	list.all[51] = 0x19;
	expect_refused(BAD_FIELD, 50);
	lid1_make(&list, 1, 0);
	be24_put(list.all + 16 + 29, 4096); /* blocks of LU 0 are of 512 */
	expect_refused(BAD_FIELD, 16 + 29);
	lid1_make(&list, 1, 1);
	expect_refused(BAD_FIELD, 1);
	lid1_make(&list, 1, 3); /* no list identifier, and there is one */
	expect_refused(BAD_FIELD, 0);
	list.segment_bytes = 0;
	offset_segment_add(&list, 0, 0, (256u << 20) + 512, 0, 0, 0, 0);
	lid1_make(&list, 1, 0);
	expect_refused(BAD_FIELD, 56);
}

static void more_descriptors_than_there_may_be(void **state)
{
	for (unsigned i = 0; i < 17; i++) {
		cscd(0);
	}
	segment_add(&list, 0, 0, 0, 8, 0, 100);
	lid1_make(&list, 1, 0);
	expect_refused(0x052606, 2);
	lists_clear();
	cscd(0);
	for (unsigned i = 0; i < 65; i++) {
		segment_add(&list, 0, 0, 0, 8, 0, 100);
	}
	lid1_make(&list, 1, 0);
	expect_refused(0x052608, 8);
	for (unsigned i = 0; i < 30; i++) {
		segment_add(&list, 0, 0, 0, 8, 0, 100);
	}
	lid1_make(&list, 1, 0);
	expect_refused(LIST_LENGTH, -1);
}

static void segments_that_point_elsewhere(void **state)
{
	cscd(0);
	segment_add(&list, 0, 0, 0, 8, 0, 100);
	segment_add(&list, 0, 0, 1, 8, 0, 200);
	assert_int_equal(copy_do(0), 0x0a0804);
	assert_int_equal(be16_get(t.sense + 10), 1); /* the second segment */
	assert_int_equal(t.sense[15], 0xa0); /* a field of it */
	assert_int_equal(be16_get(t.sense + 16), 6);
	assert_int_equal(rig_store.writes, 1); /* the first was done */
	list.segment_bytes = 0;
	segment_add(&list, 0, 0, 0, 2, 0, 2047);
	assert_int_equal(copy_do(0), 0x0a0000);
	assert_int_equal(be16_get(t.sense + 16), 20);
	list.segment_bytes = 0;
	segment_add(&list, 0, 0, 0, 2, UINT64_MAX, 0);
	assert_int_equal(copy_do(0), 0x0a0000);
	assert_int_equal(be16_get(t.sense + 16), 12);
	list.segment_bytes = 0;
	segment_add(&list, 0, 0, 0, 2, 0, UINT64_MAX >> 9);
	assert_int_equal(copy_do(0), 0x0a0000);
	assert_int_equal(rig_store.writes, 1);
}

static void lid4_headers_that_lie(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
	} lies[] = {{0, 2}, {3, 0x21}, {16, 0xfe}, {15, 0x01}};

	cscd(0);
	segment_add(&list, 0, 0, 0, 8, 0, 100);
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		lid4_make(&list, 1, 0);
		list.all[lies[i].at] = lies[i].value;
		copy_go(0, 1);
		assert_int_equal(copy_wait(), BAD_FIELD);
		assert_int_equal(be16_get(t.sense + 16),
			lies[i].at & ~1u ? lies[i].at == 3 ? 2 : lies[i].at : 0);
	}
	for (size_t size = 1; size < 48; size++) {
		list.size = size;
		copy_go(0, 1);
		assert_int_equal(copy_wait(), LIST_LENGTH);
	}
	assert_int_equal(rig_store.writes, 0);
}

/* faults: EXTENDED COPY to LUs that the nexus may not see */
static void what_the_nexus_may_not_see_is_not_there(void **state)
{
	uint8_t nobody[16] = {0x60}, hidden[SCSI_SENSE_MAX];
	uint8_t hidden_length;

	rig->scsi->map->targets[0].unit_count = 2; /* LU 2 exists, and this target has it not */
	cscd(2);
	cscd(0);
	segment_add(&list, 0, 0, 1, 8, 0, 100);
	assert_int_equal(copy_do(0), UNREACHABLE);
	memcpy(hidden, t.sense, sizeof(hidden));
	hidden_length = t.sense_length;
	lists_clear();
	cscd_add(&list, nobody, 512, 0xe4);
	cscd(0);
	segment_add(&list, 0, 0, 1, 8, 0, 100);
	assert_int_equal(copy_do(0), UNREACHABLE);
	assert_int_equal(t.sense_length, hidden_length);
	assert_memory_equal(t.sense, hidden, hidden_length);
	/* Not by the size of its blocks either. */
	lists_clear();
	cscd_add(&list, naa(2), 4096, 0xe4);
	cscd(0);
	segment_add(&list, 0, 1, 0, 8, 0, 100);
	assert_int_equal(copy_do(0), UNREACHABLE);
	assert_int_equal(rig_store.reads + rig_store.writes, 0);
	rig->scsi->map->targets[0].unit_count = ARRAY_SIZE(rig->luns);
}

/* ----- what the LUs answer ------------------------------------------------------------------- */

static void sense_of_the_side_that_failed(void **state)
{
	cscd(0);
	cscd(2);
	segment_add(&list, 0, 0, 1, 8, 0, 100); /* LU 2 is read-only */
	assert_int_equal(copy_do(0), COPY_FAILED);
	assert_int_equal(t.sense_length, 18 + 1 + 18);
	assert_int_equal(t.sense[7], 18 + 1 + 18 - 8);
	assert_int_equal(t.sense[8], 0);
	assert_int_equal(t.sense[9], 18); /* the destination's answer begins there */
	rig_assert_hex(
		t.sense + 18, 19, "02 70 00 07 00 00 00 00 0a 00 00 00 00 27 00 00 00 00 00");
	rig_store.error = -EIO;
	list.segment_bytes = 0;
	segment_add(&list, 0, 1, 0, 8, 0, 100);
	assert_int_equal(copy_do(0), COPY_FAILED);
	assert_int_equal(t.sense[8], 18);
	assert_int_equal(t.sense[9], 0);
	rig_assert_hex(t.sense + 18, 5, "02 70 00 03 00");
	/* And again by FAILED SEGMENT DETAILS. */
	assert_int_equal(ask(4, 1), SCSI_GOOD);
	assert_int_equal(be32_get(r.in), 56 + 37);
	assert_int_equal(r.in_length, 60 + 37);
	assert_int_equal(r.in[56], SCSI_CHECK_CONDITION);
	assert_int_equal(be16_get(r.in + 58), 37);
	assert_memory_equal(r.in + 60, t.sense, 37);
}

static void details_of_what_did_not_fail(void **state)
{
	cscd(0);
	segment_add(&list, 0, 0, 0, 8, 0, 100);
	assert_int_equal(copy_do(0), SCSI_GOOD);
	assert_int_equal(ask(4, 1), SCSI_GOOD);
	rig_assert_hex(r.in, r.in_length, "00 00 00 00");
	assert_int_equal(ask(4, 2), 0x052400);
	assert_int_equal(ask(0, 1), SCSI_GOOD); /* it is still known */
}

static void status_with_four_bytes(void **state)
{
	cscd(0);
	segment_add(&list, 0, 0, 0, 8, 0, 100);
	lid4_make(&list, 0x12345678, 0);
	copy_go(0, 1);
	assert_int_equal(copy_wait(), SCSI_GOOD);
	assert_int_equal(ask(5, 0x12345677), 0x052400);
	assert_int_equal(ask(5, 0x12345678), SCSI_GOOD);
	rig_assert_hex(r.in, r.in_length,
		"00 00 00 1c 01 01 00 02 ff ff ff ff 00 00 00 00 00 00 00 00 00 00 10 00 00 01 00 "
		"00 00 "
		"00 00 00");
	assert_int_equal(ask(5, 0x12345678), 0x052400);
}

static void nothing_is_kept_when_nobody_may_ask(void **state)
{
	cscd(0);
	segment_add(&list, 0, 0, 0, 8, 0, 100);
	lid1_make(&list, 0, 3);
	copy_go(0, 0);
	assert_int_equal(copy_wait(), SCSI_GOOD);
	assert_int_equal(ask(0, 0), 0x052400);
	assert_true(qb_list_empty(&rig->nexus[0]->core->copy_records));
}

static void outcomes_are_the_nexus_s_own(void **state)
{
	uint8_t cdb[16] = {0x84, 0, 1, [13] = 200};
	struct scsi_nexus *other = rig_nexus(rig, 0, "host7", 0x101);

	rig_calm(rig, other);
	cscd(0);
	segment_add(&list, 0, 0, 0, 8, 0, 100);
	assert_int_equal(copy_do(0), SCSI_GOOD);
	assert_int_equal(rig_do(rig, &r, other, 0, cdb, 16, NULL, 0), 0x052400);
	assert_int_equal(rig_do(rig, &r, rig->nexus[0], 1, cdb, 16, NULL, 0), 0x052400);
	scsi_nexus_close(other, NULL, NULL);
	assert_int_equal(ask(0, 1), SCSI_GOOD);
	/* They end with the nexus. */
	assert_int_equal(copy_do(0), SCSI_GOOD);
	scsi_nexus_close(rig->nexus[0], NULL, NULL);
	assert_true(qb_list_empty(&rig->scsi->cores[0].copy_records));
	rig->nexus[0] = NULL;
}

static void records_are_bounded(void **state)
{
	cscd(0);
	segment_add(&list, 0, 0, 0, 1, 0, 100);
	for (uint32_t id = 0; id < 200; id++) {
		lid4_make(&list, id, 0);
		copy_go(0, 1);
		assert_int_equal(copy_wait(), SCSI_GOOD);
	}
	assert_int_equal(rig->scsi->cores[0].copy_record_count, 128);
	assert_int_equal(ask(5, 71), 0x052400);
	assert_int_equal(ask(5, 72), SCSI_GOOD);
	assert_int_equal(ask(5, 199), SCSI_GOOD);
}

static void operating_parameters(void **state)
{
	assert_int_equal(ask(3, 0), SCSI_GOOD);
	rig_assert_hex(r.in, r.in_length,
		"00 00 00 2c 01 00 00 00 00 10 00 40 00 00 0a 00 10 00 00 00 00 00 00 00 00 00 00 "
		"00 00 "
		"00 00 00 00 00 00 08 08 09 00 00 00 00 00 04 02 07 0a e4");
}

static void vpd_page_and_inquiry_bit(void **state)
{
	assert_int_equal(rig_do(rig, &r, rig->nexus[0], 0, RIG_CDB(0x12, 0, 0, 0, 96, 0), NULL, 0),
		SCSI_GOOD);
	assert_int_equal(r.in[5] & 0x08, 0x08);
	assert_int_equal(
		rig_do(rig, &r, rig->nexus[0], 0, RIG_CDB(0x12, 1, 0x8f, 2, 0, 0), NULL, 0),
		SCSI_GOOD);
	assert_int_equal(r.in_length, be16_get(r.in + 2) + 4);
	for (unsigned at = 4; at < r.in_length; at += 4u + be16_get(r.in + at + 2)) {
		assert_int_equal(be16_get(r.in + at + 2) % 4, 0);
		assert_true(at + 4 + be16_get(r.in + at + 2) <= r.in_length);
	}
}

/* ----- reservations: host2 holds them, host1 copies --------------------------------------------
 */

static void reserve(unsigned lun, uint8_t type)
{
	uint8_t keys[24] = {[15] = 0x22};

	assert_int_equal(rig_do(rig, &r, rig->nexus[1], lun,
				 RIG_CDB(0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0), keys, 24),
		SCSI_GOOD);
	keys[7] = 0x22;
	assert_int_equal(rig_do(rig, &r, rig->nexus[1], lun,
				 RIG_CDB(0x5f, 1, type, 0, 0, 0, 0, 0, 24, 0), keys, 24),
		SCSI_GOOD);
}

static void reservations_count_on_both_sides(void **state)
{
	cscd(0);
	cscd(1);
	segment_add(&list, 0, 0, 1, 8, 0, 0);
	reserve(0, 1); /* write exclusive: the source may be read */
	assert_int_equal(copy_do(0), SCSI_RESERVATION_CONFLICT); /* but the command not be sent */
	assert_int_equal(copy_do(1), SCSI_GOOD);
	reserve(1, 1);
	assert_int_equal(copy_do(2), COPY_FAILED);
	assert_int_equal(t.sense[8], 0);
	assert_int_equal(t.sense[9], 18);
	assert_int_equal(t.sense_length, 19);
	assert_int_equal(t.sense[18], SCSI_RESERVATION_CONFLICT);
	assert_int_equal(rig_store.writes, 1);
}

static void exclusive_access_keeps_the_source_from_being_read(void **state)
{
	cscd(0);
	cscd(1);
	segment_add(&list, 0, 0, 1, 8, 0, 0);
	reserve(0, 3);
	assert_int_equal(copy_do(1), COPY_FAILED);
	assert_int_equal(t.sense[8], 18);
	assert_int_equal(t.sense[18], SCSI_RESERVATION_CONFLICT);
	assert_int_equal(rig_store.reads + rig_store.writes, 0);
}

/* ----- ends in the middle --------------------------------------------------------------------- */

static void long_copy_go(void)
{
	remember();
	cscd(0);
	cscd(1);
	segment_add(&list, 0, 0, 1, 1024, 0, 0); /* eight pieces */
	lid4_make(&list, 7, 0);
	copy_go(0, 1);
}

static void expect_pieces(unsigned pieces)
{
	expect_copied(0, 0, 1, 0, pieces * PIECE);
}

static void tmf_done(struct scsi_tmf *tmf)
{
	tmf->pending = 77;
}

static void tmf_go(struct scsi_tmf *tmf, struct scsi_nexus *nexus, enum scsi_tmf_function function,
	uint8_t lun)
{
	*tmf = (struct scsi_tmf){.nexus = nexus,
		.reactor = nexus->core->reactor,
		.function = (uint8_t)function,
		.lun = {0, lun},
		.ref_tag = t.task.tag,
		.done = tmf_done};
	scsi_tmf_run(tmf);
}

static void an_aborted_copy_stops_and_the_abort_waits_for_it(void **state)
{
	struct scsi_tmf tmf;

	long_copy_go();
	copy_until_reads(2);
	rig_store.wait = true;
	rig_run(rig); /* and the second write waits in the store */
	tmf_go(&tmf, rig->nexus[0], SCSI_TMF_ABORT_TASK, 0);
	rig_run(rig);
	assert_int_equal(tmf.pending, 0);
	assert_int_equal(t.dones, 0);
	rig_store.wait = false;
	rig_store_run();
	rig_run(rig);
	assert_int_equal(tmf.pending, 77);
	assert_int_equal(t.dones, 1);
	assert_true(t.aborted);
	assert_int_equal(rig_store.writes, 2);
	expect_pieces(2);
	assert_int_equal(ask(5, 7), SCSI_GOOD);
	assert_int_equal(r.in[5], 0x60); /* aborted */
	assert_int_equal(be64_get(r.in + 16), 2 * PIECE); /* and how far it came */
}

static void a_lost_nexus_ends_its_copies(void **state)
{
	long_copy_go();
	copy_until_reads(3);
	scsi_nexus_close(rig->nexus[0], NULL, NULL);
	rig->nexus[0] = NULL;
	rig_run(rig);
	assert_int_equal(t.dones, 1);
	assert_true(t.aborted);
	assert_true(rig_store.writes <= 3);
	expect_pieces(rig_store.writes);
	assert_true(qb_list_empty(&rig->scsi->cores[0].copies));
	assert_true(qb_list_empty(&rig->scsi->cores[0].nexuses));
}

static void copy_operation_abort(void **state)
{
	uint8_t cdb[16] = {0x83, 0x1c, 0, 0, 0, 8};

	long_copy_go();
	copy_until_reads(2);
	assert_int_equal(ask(5, 7), SCSI_GOOD);
	assert_int_equal(t.dones, 0);
	assert_int_equal(r.in[5], 0x11);
	rig_store.wait = true;
	rig_do(rig, &r, rig->nexus[0], 0, cdb, 16, NULL, 0);
	assert_int_equal(rig_outcome(&r), 0x052400); /* no such operation */
	cdb[5] = 7;
	assert_int_equal(rig_do(rig, &r, rig->nexus[0], 0, cdb, 16, NULL, 0), SCSI_GOOD);
	rig_store.wait = false;
	rig_store_run();
	assert_int_equal(copy_wait(), SCSI_TASK_ABORTED);
	assert_false(t.aborted); /* the initiator is told so */
	expect_pieces(rig_store.writes);
	assert_true(rig_store.writes < 8);
	assert_int_equal(ask(5, 7), SCSI_GOOD);
	assert_int_equal(r.in[5], 0x60);
}

static void reset_of_the_destination(void **state)
{
	struct scsi_tmf tmf;

	long_copy_go();
	copy_until_reads(2);
	rig_store.wait = true;
	while (rig_store.writes < 2) {
		reactor_run_once(rig->reactors[0], 0);
	}
	tmf_go(&tmf, rig->nexus[1], SCSI_TMF_LU_RESET, 1);
	rig_run(rig);
	assert_int_equal(tmf.pending != 77, true); /* the write is in the store */
	rig_store.wait = false;
	rig_store_run();
	assert_int_equal(copy_wait(), COPY_FAILED);
	assert_int_equal(t.sense[9], 18);
	assert_int_equal(t.sense[18], SCSI_TASK_ABORTED);
	assert_int_equal(tmf.pending, 77);
}

static void an_identifier_in_use(void **state)
{
	struct rig_task first;

	rig_store.wait = true;
	long_copy_go();
	rig_run(rig);
	first = t; /* still the same task to scsi: it is not looked at before it has ended */
	rig_task_set(&r, rig->nexus[0], 0, t.task.cdb, 16);
	rig_task_go(&r, list.all, (uint32_t)list.size);
	rig_run(rig);
	assert_int_equal(rig_outcome(&r), 0x050016);
	assert_int_equal(first.dones, 0);
	rig_store.wait = false;
	rig_store_run();
	assert_int_equal(copy_wait(), SCSI_GOOD);
	expect_pieces(8);
}

static void copies_at_a_time_are_bounded(void **state)
{
	static struct rig_task many[10];
	unsigned busy = 0, good = 0;

	rig_store.wait = true;
	long_copy_go();
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++) {
		lid4_make(&list, 100 + i, 0);
		rig_task_set(&many[i], rig->nexus[0], 0, t.task.cdb, 16);
		rig_task_go(&many[i], list.all, (uint32_t)list.size);
	}
	rig_run(rig);
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++) {
		busy += many[i].dones && many[i].status == SCSI_BUSY;
	}
	assert_int_equal(busy, 3);
	rig_store.wait = false;
	rig_store_run();
	assert_int_equal(copy_wait(), SCSI_GOOD);
	for (int i = 0; i < 20; i++) {
		rig_run(rig);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++) {
		good += many[i].dones && many[i].status == SCSI_GOOD;
	}
	assert_int_equal(good, 7);
	expect_pieces(8);
}

/* ----- two controllers ------------------------------------------------------------------------ */

static void count(void *arg)
{
	++*(unsigned *)arg;
}

static void a_handover_in_the_middle_holds_and_goes_on(void **state)
{
	unsigned drained = 0;

	long_copy_go();
	copy_until_reads(2);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	/* The copy is under way, and the group drains all the same. */
	rig->serve->drain(rig->serve->ctx, 0, count, &drained);
	rig_run(rig);
	assert_int_equal(drained, 1);
	assert_int_equal(t.dones, 0);
	assert_true(rig_store.writes < 8);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	assert_int_equal(copy_wait(), SCSI_GOOD);
	expect_pieces(8);
}

/* The other controller's part: runs what was shipped on the extent there. */
static void other_runs(struct scsi_task *task, unsigned lu)
{
	uint32_t shift = lu == 1 ? 12 : 9;
	uint64_t at = be64_get(task->cdb + 2) << shift;
	uint32_t bytes = be32_get(task->cdb + 10) << shift;

	if (task->cdb[0] == 0x88) {
		assert_int_equal(task->expected_in_bytes, bytes);
		assert_null(task->buf);
		task->buf = buf_get(reactor_buffers(task->reactor), bytes);
		assert_non_null(task->buf);
		memcpy(task->buf->data, rig_store.data[lu] + at, bytes);
		task->in_length = bytes;
	} else {
		assert_int_equal(task->cdb[0], 0x8a);
		assert_int_equal(task->out_length, bytes);
		memcpy(rig_store.data[lu] + at, task->buf->data, bytes);
	}
	task->status = SCSI_GOOD;
	rig->serve->task_shipped(rig->serve->ctx, task, SHIP_DONE);
}

static uint32_t copy_wait_with_other(unsigned lu)
{
	unsigned seen = rig->ship.tasks;

	for (int i = 0; i < 200 && t.dones == 0; i++) {
		reactor_run_once(rig->reactors[0], 0);
		if (rig->ship.tasks > seen) {
			seen = rig->ship.tasks;
			assert_memory_equal(rig->ship.last_lu, rig->extents[lu].uuid, 16);
			assert_string_equal(rig->ship.last->nexus->who.initiator,
				"iqn.1993-08.org.debian:01:host1");
			other_runs(rig->ship.last, lu);
		}
	}
	return copy_wait();
}

static void the_other_owner_s_lu_is_read_and_written_there(void **state)
{
	remember();
	rig_publish(rig, 1, GROUP_REMOTE, 2, 2, 2);
	rig_calm(rig, rig->nexus[0]);
	cscd(2);
	cscd(0);
	segment_add(&list, 0, 0, 1, 512, 0, 8);
	lid1_make(&list, 1, 0);
	copy_go(0, 0);
	assert_int_equal(copy_wait_with_other(2), SCSI_GOOD);
	expect_copied(2, 0, 0, 8 * 512, 512 * 512);
	assert_int_equal(rig->ship.tasks, 4);
	assert_int_equal(rig_store.reads, 0);
}

static void the_group_moves_to_the_other_in_the_middle(void **state)
{
	long_copy_go(); /* both LUs are of group g1 */
	copy_until_reads(2);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig_run(rig);
	assert_int_equal(t.dones, 0);
	rig_publish(rig, 0, GROUP_REMOTE, 2, 2, 2);
	for (int i = 0; i < 200 && t.dones == 0; i++) {
		struct scsi_task *task = rig->ship.last;

		rig->ship.last = NULL;
		if (task) {
			other_runs(task, task->lu->index);
		}
		reactor_run_once(rig->reactors[0], 0);
	}
	assert_int_equal(copy_wait(), SCSI_GOOD);
	expect_pieces(8);
}

static void a_piece_that_a_reset_there_has_got(void **state)
{
	remember();
	rig_publish(rig, 1, GROUP_REMOTE, 2, 2, 2);
	rig_calm(rig, rig->nexus[0]);
	cscd(2);
	cscd(0);
	segment_add(&list, 0, 0, 1, 512, 0, 8);
	lid1_make(&list, 1, 0);
	copy_go(0, 0);
	while (!rig->ship.last) {
		reactor_run_once(rig->reactors[0], 0);
	}
	rig->ship.last->status = SCSI_TASK_ABORTED;
	rig->serve->task_shipped(rig->serve->ctx, rig->ship.last, SHIP_DONE);
	assert_int_equal(copy_wait(), COPY_FAILED);
	assert_int_equal(t.sense[8], 18);
	assert_int_equal(t.sense[18], SCSI_TASK_ABORTED);
}

static void a_command_from_the_other_controller(void **state)
{
	struct scsi_identity who = rig_identity("host9", 0x201);
	struct scsi_nexus *peer = rig->serve->nexus_get(rig->serve->ctx, rig->reactors[1], &who);
	uint8_t status[16] = {0x84, 0, 1, [13] = 200};

	remember();
	cscd(0);
	cscd(1);
	segment_add(&list, 0, 0, 1, 1024, 0, 0);
	lid1_make(&list, 1, 0);
	command_set(0, 0);
	t.task.nexus = peer;
	t.task.reactor = rig->reactors[1];
	t.task.shipped_in = true;
	t.task.buf = buf_get(reactor_buffers(rig->reactors[1]), list.size);
	memcpy(t.task.buf->data, list.all, list.size);
	t.task.out_length = (uint32_t)list.size;
	assert_int_equal(
		rig->serve->task_run(rig->serve->ctx, &t.task, rig->extents[0].uuid, 1), SHIP_DONE);
	assert_int_equal(copy_wait(), SCSI_GOOD);
	expect_pieces(8);
	rig_task_set(&r, peer, 0, status, 16);
	r.task.shipped_in = true;
	assert_int_equal(
		rig->serve->task_run(rig->serve->ctx, &r.task, rig->extents[0].uuid, 1), SHIP_DONE);
	rig_run(rig);
	assert_int_equal(rig_outcome(&r), SCSI_GOOD);
	assert_int_equal(r.in[4], 1);
	rig->serve->nexus_put(rig->serve->ctx, peer);
}

static void a_group_that_is_held_for_long_is_waited_for(void **state)
{
	rig->conf.hold_limit_ms = 1;
	long_copy_go();
	copy_until_reads(2);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	for (int i = 0; i < 40; i++) {
		reactor_run_once(rig->reactors[0], 2); /* pieces are told BUSY, over and over */
	}
	assert_int_equal(t.dones, 0);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 2);
	for (int i = 0; i < 200 && t.dones == 0; i++) {
		reactor_run_once(rig->reactors[0], 2);
	}
	assert_int_equal(copy_wait(), SCSI_GOOD);
	expect_pieces(8);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blocks_of_the_source_count),
		TEST(blocks_of_the_destination_count_with_dc),
		TEST(from_a_read_only_lu_of_another_group),
		TEST(overlapping_forwards_and_backwards),
		TEST(many_segments_run_in_their_order),
		TEST(byte_offsets_that_are_whole_blocks),
		TEST(t10_names_are_names_too),
		TEST(lists_with_wrong_lengths),
		TEST(lists_with_wrong_descriptors),
		TEST(more_descriptors_than_there_may_be),
		TEST(segments_that_point_elsewhere),
		TEST(lid4_headers_that_lie),
		TEST(what_the_nexus_may_not_see_is_not_there),
		TEST(sense_of_the_side_that_failed),
		TEST(details_of_what_did_not_fail),
		TEST(status_with_four_bytes),
		TEST(nothing_is_kept_when_nobody_may_ask),
		TEST(outcomes_are_the_nexus_s_own),
		TEST(records_are_bounded),
		TEST(operating_parameters),
		TEST(vpd_page_and_inquiry_bit),
		TEST(reservations_count_on_both_sides),
		TEST(exclusive_access_keeps_the_source_from_being_read),
		TEST(an_aborted_copy_stops_and_the_abort_waits_for_it),
		TEST(a_lost_nexus_ends_its_copies),
		TEST(copy_operation_abort),
		TEST(reset_of_the_destination),
		TEST(an_identifier_in_use),
		TEST(copies_at_a_time_are_bounded),
		TEST(a_handover_in_the_middle_holds_and_goes_on),
		TEST(the_other_owner_s_lu_is_read_and_written_there),
		TEST(the_group_moves_to_the_other_in_the_middle),
		TEST(a_piece_that_a_reset_there_has_got),
		TEST(a_command_from_the_other_controller),
		TEST(a_group_that_is_held_for_long_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
