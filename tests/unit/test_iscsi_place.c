/* SPDX-License-Identifier: BSD-3-Clause */
/* Data-in that is sent from where the store has it, and what becomes of it when it cannot be. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/iscsi_harness.h"

#define LARGE_BLOCKS 2000u /* more than a socket takes at once */

static struct pdu pdu;

static void fill(uint8_t seed)
{
	for (size_t i = 0; i < sizeof(fake.disk); i++) {
		fake.disk[i] = (uint8_t)(i * 7 + seed + (i >> 9));
	}
}

static uint8_t byte_of(size_t i, uint8_t seed)
{
	return (uint8_t)(i * 7 + seed + (i >> 9));
}

static void send_read(struct client *c, uint32_t lba, uint16_t blocks)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	client_command(c, bhs, F | R, 0x28, lba, blocks, blocks * FAKE_BLOCK);
	client_pdu(c, bhs, NULL, 0);
}

/* All of a READ of `bytes` from the start of the disk, as it was filled from the seed. */
static void expect_data(struct client *c, uint32_t bytes, uint8_t seed)
{
	for (uint32_t at = 0; at < bytes; at += pdu.data_bytes) {
		client_expect(c, &pdu, ISCSI_OP_DATA_IN);
		assert_int_equal(be32_get(pdu.bhs + ISCSI_DATA_OFFSET), at);
		for (uint32_t i = 0; i < pdu.data_bytes; i++) {
			assert_int_equal(pdu.data[i], byte_of(at + i, seed));
		}
	}
	assert_true(pdu.bhs[ISCSI_BHS_FLAGS] & ISCSI_DATA_IN_STATUS);
	assert_int_equal(pdu.bhs[ISCSI_DATA_STATUS], SCSI_GOOD);
}

static void what_goes_at_once_is_never_copied(void **state)
{
	static const char *const keys[] = {"MaxRecvDataSegmentLength=1000", "HeaderDigest=CRC32C"};

	fake.in_memory = true;
	fill(3);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct client c = client_login(i % HARNESS_REACTORS, keys[i]);

		send_read(&c, 0, 10);
		expect_data(&c, 5120, 3);
		client_close(&c);
	}
	assert_int_equal(fake.placed, 2);
	assert_int_equal(fake.settled, 0);
}

/* A digest is computed by the process itself, and what is sent must be what it is of. */
static void with_a_data_digest_little_is_copied_when_it_is_read(void **state)
{
	struct client c = client_login(0, "DataDigest=CRC32C");

	fake.in_memory = true;
	fill(4);
	send_read(&c, 0, 10);
	expect_data(&c, 5120, 4);
	assert_int_equal(fake.placed, 0);
	client_close(&c);
}

/* Each piece is of the moment when its digest was computed, whoever writes to it afterwards. */
static void with_a_data_digest_much_is_copied_when_it_is_sent(void **state)
{
	static const char *const keys[] = {"DataDigest=CRC32C\nMaxRecvDataSegmentLength=16384",
		"DataDigest=CRC32C\nHeaderDigest=CRC32C\nMaxRecvDataSegmentLength=10001"};

	fake.in_memory = true;
	fake.overwrite = true;
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		struct client c = client_login(i % HARNESS_REACTORS, keys[i]);

		fill(8);
		send_read(&c, 0, 128);
		expect_data(&c, 65536, 8);
		assert_int_equal(fake.disk[65535], 0xee);
		client_close(&c);
	}
	assert_int_equal(fake.placed, 2);
	assert_int_equal(fake.copied, 4 + 7);
	assert_int_equal(fake.settled, 0);
}

/* Some PDUs are made, and have their digests, and what is left is copied after them. */
static void with_a_data_digest_it_waits_for_the_socket(void **state)
{
	struct client c = client_login(0, "DataDigest=CRC32C\nMaxRecvDataSegmentLength=4096");

	fake.in_memory = true;
	fake.overwrite = true;
	fill(9);
	send_read(&c, 0, LARGE_BLOCKS);
	harness_settle();
	assert_int_equal(fake.placed, 1);
	assert_int_equal(fake.settled, 1);
	assert_in_range(fake.copied, 1, LARGE_BLOCKS / 8 - 1);
	fill(77);
	expect_data(&c, LARGE_BLOCKS * FAKE_BLOCK, 9);
	client_expect_alive(&c);
	client_close(&c);
}

/* Its header may be out: no digest makes up for data that is not there. */
static void with_a_data_digest_what_is_gone_ends_the_connection(void **state)
{
	struct client c = client_login(0, "DataDigest=CRC32C\nMaxRecvDataSegmentLength=16384");

	fake.in_memory = true;
	fake.cut = true;
	send_read(&c, 0, 128);
	harness_settle();
	assert_int_equal(fake.copied, 1);
	client_expect_closed(&c);
	client_close(&c);
	assert_int_equal(fake.alive, 0);
}

static void what_waits_for_the_socket_does_not_change_any_more(void **state)
{
	struct client c = client_login(0, "MaxRecvDataSegmentLength=16384");

	fake.in_memory = true;
	fill(5);
	send_read(&c, 0, LARGE_BLOCKS);
	harness_settle();
	assert_int_equal(fake.placed, 1);
	assert_int_equal(fake.settled, 1);
	/* Behind it nothing goes at once, so the next one is not left in place at all. */
	send_read(&c, 0, 8);
	harness_settle();
	assert_int_equal(fake.placed, 1);
	fill(77);
	expect_data(&c, LARGE_BLOCKS * FAKE_BLOCK, 5);
	expect_data(&c, 8 * FAKE_BLOCK, 5);
	/* and when it has gone */
	send_read(&c, 0, 8);
	expect_data(&c, 8 * FAKE_BLOCK, 77);
	assert_int_equal(fake.placed, 2);
	client_close(&c);
}

/* In the middle of a PDU that is partly out: its connection ends while more of it waits. */
static void a_connection_may_end_while_it_waits(void **state)
{
	struct client c = client_login(0, "MaxRecvDataSegmentLength=16384");

	fake.in_memory = true;
	send_read(&c, 0, LARGE_BLOCKS);
	harness_settle();
	client_close(&c);
	harness_settle();
	assert_int_equal(fake.alive, 0);
}

/* Memory that the kernel cannot read: a page of a file that has been cut. */
static void what_cannot_be_sent_from_there_is_read_again(void **state)
{
	struct client c = client_login(0, "");
	void *bad = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(bad != MAP_FAILED);
	fake.in_memory = true;
	fake.bad_memory = bad;
	fill(6);
	send_read(&c, 0, 10);
	expect_data(&c, 5120, 6);
	assert_int_equal(fake.placed, 1);
	assert_int_equal(fake.settled, 1);
	client_expect_alive(&c);
	/* It is gone: the header that promised it may be out, so the connection ends. */
	fake.cut = true;
	send_read(&c, 0, 10);
	harness_settle();
	while (client_pending(&c)) {
		char rest[256];

		if (read(c.fd, rest, sizeof(rest)) <= 0) {
			break;
		}
	}
	client_expect_closed(&c);
	client_close(&c);
	/* No more than that: the host logs in again. */
	fake.in_memory = false;
	c = client_login(0, "");
	send_read(&c, 0, 10);
	expect_data(&c, 5120, 6);
	client_close(&c);
	munmap(bad, 1 << 20);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_goes_at_once_is_never_copied),
		TEST(with_a_data_digest_little_is_copied_when_it_is_read),
		TEST(with_a_data_digest_much_is_copied_when_it_is_sent),
		TEST(with_a_data_digest_it_waits_for_the_socket),
		TEST(with_a_data_digest_what_is_gone_ends_the_connection),
		TEST(what_waits_for_the_socket_does_not_change_any_more),
		TEST(a_connection_may_end_while_it_waits),
		TEST(what_cannot_be_sent_from_there_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
