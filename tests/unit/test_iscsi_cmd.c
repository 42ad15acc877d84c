/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on the wire: data both ways, residuals, CmdSN, errors of the initiator. */
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/iscsi_harness.h"

#define FAST	"InitialR2T=No\nImmediateData=Yes"
#define DIGESTS "HeaderDigest=CRC32C\nDataDigest=CRC32C\n"

static uint8_t pattern[1 << 17];
static struct pdu pdu;

static void fill(uint8_t seed)
{
	for (size_t i = 0; i < sizeof(pattern); i++) {
		pattern[i] = (uint8_t)(i * 7 + seed + (i >> 9));
	}
}

static void expect_status(struct client *c, uint32_t itt, uint8_t flags, uint32_t residual)
{
	client_expect(c, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), itt);
	assert_int_equal(pdu.bhs[ISCSI_RESPONSE_RESPONSE], 0);
	assert_int_equal(pdu.bhs[ISCSI_RESPONSE_STATUS], SCSI_GOOD);
	assert_int_equal(pdu.bhs[1], F | flags);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_RESPONSE_RESIDUAL), residual);
}

static void expect_reject(struct client *c, enum iscsi_reject_reason reason, const uint8_t *bad)
{
	client_expect(c, &pdu, ISCSI_OP_REJECT);
	assert_int_equal(pdu.bhs[ISCSI_REJECT_REASON], reason);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), ISCSI_TAG_NONE);
	assert_true(pdu.data_bytes >= ISCSI_BHS_BYTES);
	assert_int_equal(pdu.data[0], bad[0]);
	assert_memory_equal(pdu.data + 8, bad + 8, ISCSI_BHS_BYTES - 8);
}

static void test_write_immediate_then_read(void **state)
{
	static const char *const keys[] = {
		FAST, DIGESTS FAST, "HeaderDigest=CRC32C\n" FAST, "DataDigest=CRC32C\n" FAST};
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct client c = client_login(i % HARNESS_REACTORS, keys[i]);

		fill((uint8_t)i);
		client_command(&c, bhs, F | W, 0x2a, 3, 2, 1024);
		client_pdu(&c, bhs, pattern, 1024);
		expect_status(&c, c.itt, 0, 0);
		client_read(&c, 3, 2, &pdu);
		assert_memory_equal(pdu.data, pattern, 1024);
		client_close(&c);
	}
}

/* Unsolicited Data-Out up to FirstBurstLength, then R2Ts of MaxBurstLength, two at a time. */
static void test_write_every_way(void **state)
{
	struct client c = client_login(
		0, FAST "\nFirstBurstLength=4096\nMaxBurstLength=8192\nMaxOutstandingR2T=4");
	uint8_t bhs[ISCSI_BHS_BYTES], r2t[2][ISCSI_BHS_BYTES];
	const uint32_t total = 4096 + 8192 + 8192 + 512;

	(void)state;
	fill(1);
	client_command(&c, bhs, W, 0x2a, 10, total / 512, total);
	client_pdu(&c, bhs, pattern, 1000);
	client_data_out(bhs, c.itt, ISCSI_TAG_NONE, 0, 1000, false);
	client_pdu(&c, bhs, pattern + 1000, 2001);
	client_data_out(bhs, c.itt, ISCSI_TAG_NONE, 1, 3001, true);
	client_pdu(&c, bhs, pattern + 3001, 1095);
	for (unsigned i = 0; i < 2; i++) {
		client_expect(&c, &pdu, ISCSI_OP_R2T);
		memcpy(r2t[i], pdu.bhs, ISCSI_BHS_BYTES);
		assert_int_equal(iscsi_bhs_itt(pdu.bhs), c.itt);
		assert_int_equal(be32_get(pdu.bhs + ISCSI_R2T_R2TSN), i);
		assert_int_equal(be32_get(pdu.bhs + ISCSI_R2T_OFFSET), 4096 + i * 8192);
		assert_int_equal(be32_get(pdu.bhs + ISCSI_R2T_LENGTH), 8192);
		assert_int_not_equal(iscsi_bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
	}
	client_expect_silence(&c);
	for (unsigned i = 0; i < 2; i++) {
		client_data_out(bhs, c.itt, iscsi_bhs_ttt(r2t[i]), 0, 4096 + i * 8192, false);
		client_pdu(&c, bhs, pattern + 4096 + i * 8192, 8000);
		client_data_out(bhs, c.itt, iscsi_bhs_ttt(r2t[i]), 1, 4096 + i * 8192 + 8000, true);
		client_pdu(&c, bhs, pattern + 4096 + i * 8192 + 8000, 192);
	}
	client_expect(&c, &pdu, ISCSI_OP_R2T);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_R2T_R2TSN), 2);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_R2T_LENGTH), 512);
	client_data_out(bhs, c.itt, iscsi_bhs_ttt(pdu.bhs), 0, total - 512, true);
	client_pdu(&c, bhs, pattern + total - 512, 512);
	expect_status(&c, c.itt, 0, 0);
	assert_memory_equal(fake.disk + 10 * 512, pattern, total);
	client_close(&c);
}

static void test_write_solicited_only(void **state)
{
	struct client c = client_login(1, DIGESTS "InitialR2T=Yes\nImmediateData=No");
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	fill(2);
	client_command(&c, bhs, F | W, 0x2a, 0, 64, 32768);
	client_pdu(&c, bhs, NULL, 0);
	client_expect(&c, &pdu, ISCSI_OP_R2T);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_R2T_LENGTH), 32768);
	client_data_out(bhs, c.itt, iscsi_bhs_ttt(pdu.bhs), 0, 0, true);
	client_pdu(&c, bhs, pattern, 32768);
	expect_status(&c, c.itt, 0, 0);
	assert_memory_equal(fake.disk, pattern, 32768);
	client_close(&c);
}

/* Split by the initiator's segment size and by MaxBurstLength; status in the last one. */
static void test_data_in_is_split(void **state)
{
	struct client c = client_login(0, "MaxRecvDataSegmentLength=1000\nMaxBurstLength=2500");
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint32_t at = 0, datasn = 0;

	(void)state;
	fill(3);
	memcpy(fake.disk, pattern, 5120);
	client_command(&c, bhs, F | R, 0x28, 0, 10, 5120);
	client_pdu(&c, bhs, NULL, 0);
	while (at < 5120) {
		uint32_t in_burst = at % 2500;
		uint32_t bytes = 2500 - in_burst < 1000 ? 2500 - in_burst : 1000;
		bool last;

		bytes = bytes < 5120 - at ? bytes : 5120 - at;
		last = at + bytes == 5120;
		client_expect(&c, &pdu, ISCSI_OP_DATA_IN);
		assert_int_equal(pdu.data_bytes, bytes);
		assert_memory_equal(pdu.data, pattern + at, bytes);
		assert_int_equal(be32_get(pdu.bhs + ISCSI_DATA_OFFSET), at);
		assert_int_equal(be32_get(pdu.bhs + ISCSI_DATA_DATASN), datasn++);
		assert_int_equal(iscsi_bhs_ttt(pdu.bhs), ISCSI_TAG_NONE);
		at += bytes;
		assert_int_equal(pdu.bhs[1] & F, last || at % 2500 == 0 ? F : 0);
		assert_int_equal(pdu.bhs[1] & ISCSI_DATA_IN_STATUS, last);
		assert_int_equal(pdu.bhs[1] & ISCSI_DATA_IN_ACK, 0);
	}
	client_expect_alive(&c);
	client_close(&c);
}

/* RFC 7143 11.4.5; the second column is what the CDB moves. */
static void test_residuals(void **state)
{
	static const struct {
		uint8_t flags, opcode;
		uint16_t blocks;
		uint32_t edtl;
		uint8_t residual_flag;
		uint32_t residual;
	} rows[] = {
		{R, 0x28, 1, 0, ISCSI_RESPONSE_OVERFLOW, 512},
		{R, 0x28, 1, 200, ISCSI_RESPONSE_OVERFLOW, 312},
		{R, 0x28, 1, 512, 0, 0},
		{R, 0x28, 1, 10000, ISCSI_RESPONSE_UNDERFLOW, 9488},
		{R, 0x28, 0, 512, ISCSI_RESPONSE_UNDERFLOW, 512},
		{0, 0x28, 1, 0, ISCSI_RESPONSE_OVERFLOW, 512},
		{R, FAKE_OP_TUR, 0, 100, ISCSI_RESPONSE_UNDERFLOW, 100},
		{0, FAKE_OP_TUR, 0, 0, 0, 0},
		{W, 0x2a, 1, 0, ISCSI_RESPONSE_OVERFLOW, 512},
		{W, 0x2a, 1, 200, ISCSI_RESPONSE_OVERFLOW, 312},
		{W, 0x2a, 2, 512, ISCSI_RESPONSE_OVERFLOW, 512},
		{W, 0x2a, 2, 1024, 0, 0},
		{W, 0x2a, 1, 1024, ISCSI_RESPONSE_UNDERFLOW, 512},
		{W, 0x2a, 1, 10000, ISCSI_RESPONSE_UNDERFLOW, 9488},
		{W, 0x28, 1, 512, ISCSI_RESPONSE_UNDERFLOW, 512},
		{0, 0x2a, 1, 0, ISCSI_RESPONSE_OVERFLOW, 512},
	};
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	fill(4);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t in =
			rows[i].opcode == 0x28 && rows[i].flags & R ? rows[i].blocks * 512u : 0;

		memset(fake.disk, 'a', 2048);
		client_command(&c, bhs, F | rows[i].flags, rows[i].opcode, 0, rows[i].blocks,
			rows[i].edtl);
		client_pdu(&c, bhs, pattern, rows[i].flags & W ? rows[i].edtl : 0);
		in = in < rows[i].edtl ? in : rows[i].edtl;
		if (in) {
			client_expect(&c, &pdu, ISCSI_OP_DATA_IN);
			assert_int_equal(pdu.data_bytes, in);
			assert_int_equal(
				pdu.bhs[1], F | ISCSI_DATA_IN_STATUS | rows[i].residual_flag);
			assert_int_equal(be32_get(pdu.bhs + ISCSI_DATA_RESIDUAL), rows[i].residual);
		} else {
			expect_status(&c, c.itt, rows[i].residual_flag, rows[i].residual);
		}
		if (rows[i].opcode == 0x2a) {
			uint32_t n = rows[i].blocks * 512u < rows[i].edtl ? rows[i].blocks * 512u
									  : rows[i].edtl;

			n = rows[i].flags & W ? n / 512 * 512 : 0;
			assert_memory_equal(fake.disk, pattern, n);
			assert_int_equal(fake.disk[n], 'a');
		}
	}
	client_close(&c);
}

static void test_check_condition(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	client_command(&c, bhs, F | R, FAKE_OP_BAD, 0, 0, 512);
	client_pdu(&c, bhs, NULL, 0);
	client_expect_sense(&c, c.itt, 5, 0x20, 0);
	/* Data-in, then a status that cannot go with it. */
	client_command(&c, bhs, F | R, FAKE_OP_READ_ERROR, 0, 0, 512);
	client_pdu(&c, bhs, NULL, 0);
	client_expect(&c, &pdu, ISCSI_OP_DATA_IN);
	assert_int_equal(pdu.bhs[1], F);
	client_expect(&c, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(pdu.bhs[ISCSI_RESPONSE_STATUS], SCSI_CHECK_CONDITION);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_RESPONSE_EXPDATASN), 1);
	/* Refused before its data: all of that is taken in before the answer. */
	client_command(&c, bhs, W, FAKE_OP_BAD, 0, 0, 4096);
	client_pdu(&c, bhs, pattern, 512);
	client_expect_silence(&c);
	client_data_out(bhs, c.itt, ISCSI_TAG_NONE, 0, 512, false);
	client_pdu(&c, bhs, pattern, 1024);
	client_expect_silence(&c);
	client_data_out(bhs, c.itt, ISCSI_TAG_NONE, 1, 1536, true);
	client_pdu(&c, bhs, pattern, 2560);
	client_expect_sense(&c, c.itt, 5, 0x20, 0);
	client_expect_alive(&c);
	client_close(&c);
}

/* Unsolicited data that was not allowed, too much or too little: B/0C/xx after its end. */
static void test_unsolicited_errors(void **state)
{
	static const struct {
		const char *keys;
		uint32_t immediate, second; /* bytes; second 0 = F in the command */
		uint32_t datasn, offset;
		uint8_t asc, ascq;
	} rows[] = {
		{"InitialR2T=No\nImmediateData=No", 512, 0, 0, 0, 0x0c, 0x0c},
		{"InitialR2T=Yes\nImmediateData=Yes", 512, 512, 0, 512, 0x0c, 0x0c},
		{FAST "\nFirstBurstLength=1024", 1536, 0, 0, 0, 0x0c, 0x0d},
		{FAST "\nFirstBurstLength=1024", 512, 1024, 0, 512, 0x0c, 0x0d},
		{FAST "\nFirstBurstLength=1024", 512, 256, 0, 512, 0x0c, 0x0d},
		{FAST "\nFirstBurstLength=1024", 512, 512, 0, 0, 0x0c, 0x0d},
		{FAST "\nFirstBurstLength=1024", 512, 512, 0, 0xfffffe00u, 0x0c, 0x0d},
		{FAST "\nFirstBurstLength=1024", 512, 512, 1, 512, 0x47, 0x05},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client c = client_login(0, rows[i].keys);
		uint8_t bhs[ISCSI_BHS_BYTES];

		memset(fake.disk, 'a', 4096);
		client_command(&c, bhs, W | (rows[i].second ? 0 : F), 0x2a, 0, 4, 2048);
		client_pdu(&c, bhs, pattern, rows[i].immediate);
		if (rows[i].second) {
			client_expect_silence(&c);
			client_data_out(
				bhs, c.itt, ISCSI_TAG_NONE, rows[i].datasn, rows[i].offset, true);
			client_pdu(&c, bhs, pattern, rows[i].second);
		}
		client_expect_sense(&c, c.itt, 0xb, rows[i].asc, rows[i].ascq);
		assert_int_equal(fake.disk[0], 'a');
		client_expect_alive(&c);
		client_close(&c);
	}
}

/* Data-Out beyond its burst, with another offset or number, or for nobody. */
static void test_solicited_errors(void **state)
{
	static const struct {
		uint32_t datasn, offset, bytes;
		uint8_t asc, ascq;
	} rows[] = {
		{0, 0, 4096, 0x0c, 0x0d},
		{0, 512, 2048, 0x0c, 0x0d},
		{0, 0xfffff000u, 2048, 0x0c, 0x0d},
		{0, 0, 1024, 0x0c, 0x0d},
		{3, 0, 2048, 0x47, 0x05},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client c = client_login(0, "InitialR2T=Yes\nImmediateData=No");
		uint8_t bhs[ISCSI_BHS_BYTES];
		uint32_t ttt;

		memset(fake.disk, 'a', 4096);
		client_command(&c, bhs, F | W, 0x2a, 0, 4, 2048);
		client_pdu(&c, bhs, NULL, 0);
		client_expect(&c, &pdu, ISCSI_OP_R2T);
		ttt = iscsi_bhs_ttt(pdu.bhs);
		client_data_out(bhs, c.itt, ttt + 77, 0, 0, true);
		client_pdu(&c, bhs, pattern, 512);
		expect_reject(&c, ISCSI_REJECT_FIELD, bhs);
		client_data_out(bhs, c.itt, ISCSI_TAG_NONE, 0, 0, true);
		client_pdu(&c, bhs, pattern, 512);
		expect_reject(&c, ISCSI_REJECT_FIELD, bhs);
		client_data_out(bhs, c.itt + 55, ttt, 0, 0, true);
		client_pdu(&c, bhs, pattern, 512);
		expect_reject(&c, ISCSI_REJECT_FIELD, bhs);
		client_data_out(bhs, c.itt, ttt, rows[i].datasn, rows[i].offset, true);
		client_pdu(&c, bhs, pattern, rows[i].bytes);
		client_expect_sense(&c, c.itt, 0xb, rows[i].asc, rows[i].ascq);
		assert_int_equal(fake.disk[0], 'a');
		client_expect_alive(&c);
		client_close(&c);
	}
}

static void test_data_digest_errors(void **state)
{
	struct client c = client_login(0, DIGESTS FAST);
	uint8_t bhs[ISCSI_BHS_BYTES], out[2048];
	size_t n;

	(void)state;
	/* Immediate data: rejected, and the same CmdSN comes again. */
	client_command(&c, bhs, F | W, 0x2a, 0, 1, 512);
	n = client_build(&c, out, bhs, pattern, 512);
	out[n - 1] ^= 1;
	client_send(&c, out, n);
	expect_reject(&c, ISCSI_REJECT_DATA_DIGEST, bhs);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN), iscsi_bhs_cmdsn(bhs));
	out[n - 1] ^= 1;
	client_send(&c, out, n);
	expect_status(&c, c.itt, 0, 0);
	/* Data-Out: rejected, and the command ends with B/47/05 after F. */
	client_command(&c, bhs, W, 0x2a, 0, 4, 2048);
	client_pdu(&c, bhs, pattern, 512);
	client_data_out(bhs, c.itt, ISCSI_TAG_NONE, 0, 512, false);
	n = client_build(&c, out, bhs, pattern, 512);
	out[60] ^= 0x80;
	client_send(&c, out, n);
	expect_reject(&c, ISCSI_REJECT_DATA_DIGEST, bhs);
	client_data_out(bhs, c.itt, ISCSI_TAG_NONE, 1, 1024, true);
	client_pdu(&c, bhs, pattern, 1024);
	client_expect_sense(&c, c.itt, 0xb, 0x47, 0x05);
	client_expect_alive(&c);
	client_close(&c);
}

static void test_header_digest_error_drops(void **state)
{
	struct client c = client_login(0, DIGESTS FAST);
	uint8_t bhs[ISCSI_BHS_BYTES], out[256];
	size_t n;

	(void)state;
	client_command(&c, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	n = client_build(&c, out, bhs, NULL, 0);
	out[9] ^= 1;
	client_send(&c, out, n);
	client_expect_closed(&c);
	assert_int_equal(fake.nexuses, 0);
	client_close(&c);
}

static void test_cmdsn_twice_and_outside(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint32_t first = c.cmdsn;

	(void)state;
	client_command(&c, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	client_pdu(&c, bhs, NULL, 0);
	expect_status(&c, c.itt, 0, 0);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN), first + 1);
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_MAXCMDSN), first + HARNESS_WINDOW);
	be32_put(bhs + ISCSI_BHS_ITT, ++c.itt);
	client_pdu(&c, bhs, NULL, 0); /* the same CmdSN */
	client_expect_silence(&c);
	be32_put(bhs + ISCSI_BHS_CMDSN, first + HARNESS_WINDOW + 1);
	client_pdu(&c, bhs, NULL, 0);
	client_expect_silence(&c);
	be32_put(bhs + ISCSI_BHS_CMDSN, first - 5);
	client_pdu(&c, bhs, NULL, 0);
	client_expect_silence(&c);
	assert_int_equal(fake.started, 1);
	client_expect_alive(&c);
	client_close(&c);
}

static void test_commands_run_in_cmdsn_order(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[3][ISCSI_BHS_BYTES];
	uint8_t block[512];

	(void)state;
	for (int i = 0; i < 3; i++) {
		client_command(&c, bhs[i], F | W, 0x2a, 0, 1, 512);
	}
	for (int i = 2; i >= 0; i--) {
		memset(block, '0' + i, sizeof(block));
		client_pdu(&c, bhs[i], block, sizeof(block));
		if (i) {
			client_expect_silence(&c);
			assert_int_equal(fake.ran, 0);
		}
	}
	for (int i = 0; i < 3; i++) {
		expect_status(&c, iscsi_bhs_itt(bhs[i]), 0, 0);
	}
	assert_int_equal(fake.disk[0], '2');
	client_close(&c);
}

static void test_task_tag_twice(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint32_t tag;

	(void)state;
	client_command(&c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
	client_pdu(&c, bhs, NULL, 0);
	tag = c.itt;
	be32_put(bhs + ISCSI_BHS_CMDSN, c.cmdsn);
	client_pdu(&c, bhs, NULL, 0);
	expect_reject(&c, ISCSI_REJECT_TASK_IN_PROGRESS, bhs);
	client_expect_alive(&c);
	fake_release();
	expect_status(&c, tag, 0, 0);
	client_pdu(&c, bhs, NULL, 0); /* free again */
	harness_settle();
	fake_release();
	expect_status(&c, tag, 0, 0);
	client_close(&c);
}

/* The window closes while commands run, and their answers open it. */
static void test_window_closes(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint32_t first = c.itt + 1;

	(void)state;
	for (unsigned i = 0; i < HARNESS_WINDOW; i++) {
		client_command(&c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
		client_pdu(&c, bhs, NULL, 0);
	}
	client_command(&c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
	client_pdu(&c, bhs, NULL, 0); /* one too many */
	client_expect_silence(&c);
	assert_int_equal(fake.started, HARNESS_WINDOW);
	client_expect_alive(&c); /* NOP-Out is answered all the same */
	fake_release();
	for (unsigned i = 0; i < HARNESS_WINDOW; i++) {
		expect_status(&c, first + i, 0, 0);
	}
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_MAXCMDSN),
		be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN) + HARNESS_WINDOW - 1);
	client_pdu(&c, bhs, NULL, 0);
	harness_settle();
	fake_release();
	expect_status(&c, iscsi_bhs_itt(bhs), 0, 0);
	client_close(&c);
}

static void test_immediate_commands_are_bounded(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	for (unsigned i = 0; i <= ISCSI_IMMEDIATE_MAX; i++) {
		client_command(&c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
		bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
		be32_put(bhs + ISCSI_BHS_CMDSN, --c.cmdsn);
		client_pdu(&c, bhs, NULL, 0);
	}
	expect_reject(&c, ISCSI_REJECT_IMMEDIATE, bhs);
	assert_int_equal(fake.started, ISCSI_IMMEDIATE_MAX);
	fake_release();
	for (unsigned i = 0; i < ISCSI_IMMEDIATE_MAX; i++) {
		client_expect(&c, &pdu, ISCSI_OP_SCSI_RESPONSE);
	}
	client_expect_alive(&c);
	client_close(&c);
}

static void test_bidirectional_and_long_cdb(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t pdu_bytes[ISCSI_BHS_BYTES + 64] = {0};

	(void)state;
	client_command(&c, pdu_bytes, F | R | W, FAKE_OP_TUR, 0, 0, 512);
	client_pdu(&c, pdu_bytes, pattern, 512);
	client_expect(&c, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(pdu.bhs[ISCSI_RESPONSE_RESPONSE], ISCSI_RESPONSE_TARGET_FAILURE);
	assert_int_equal(pdu.data_bytes, 0);
	assert_int_equal(fake.started, 0);
	/* A 32-byte CDB in an AHS is taken. */
	client_command(&c, pdu_bytes, F, FAKE_OP_TUR, 0, 0, 0);
	pdu_bytes[ISCSI_BHS_AHS_LENGTH] = 5;
	be16_put(pdu_bytes + ISCSI_BHS_BYTES, 17);
	pdu_bytes[ISCSI_BHS_BYTES + 2] = ISCSI_AHS_EXTENDED_CDB;
	client_pdu(&c, pdu_bytes, NULL, 0);
	expect_status(&c, c.itt, 0, 0);
	/* One whose length goes past the end is nonsense. */
	client_command(&c, pdu_bytes, F, FAKE_OP_TUR, 0, 0, 0);
	pdu_bytes[ISCSI_BHS_AHS_LENGTH] = 5;
	be16_put(pdu_bytes + ISCSI_BHS_BYTES, 40);
	client_pdu(&c, pdu_bytes, NULL, 0);
	client_expect_closed(&c);
	client_close(&c);
}

static void test_nonsense_drops(void **state)
{
	(void)state;
	for (int row = 0; row < 6; row++) {
		struct client c = client_login(0, FAST);
		uint8_t bhs[ISCSI_BHS_BYTES];
		uint32_t n = 0;

		client_command(&c, bhs, F, FAKE_OP_TUR, 0, 0, 0);
		switch (row) {
		case 0: /* neither F nor W */
			bhs[1] = ISCSI_ATTR_SIMPLE;
			break;
		case 1: /* the reserved tag */
			be32_put(bhs + ISCSI_BHS_ITT, ISCSI_TAG_NONE);
			break;
		case 2: /* a reserved attribute */
			bhs[1] |= 7;
			break;
		case 3: /* data without W */
			n = 4;
			break;
		case 4: /* longer than we declared */
			bhs[1] |= W;
			n = 65540;
			break;
		case 5: /* more AHS than anything needs */
			bhs[ISCSI_BHS_AHS_LENGTH] = 255;
			break;
		}
		if (row == 5) {
			client_send(&c, bhs, sizeof(bhs));
		} else {
			uint8_t out[ISCSI_BHS_BYTES + 8] = {0};

			memcpy(out, bhs, sizeof(bhs));
			iscsi_bhs_set_data_bytes(out, n);
			client_send(&c, out, sizeof(out));
		}
		client_expect_closed(&c);
		client_close(&c);
		assert_int_equal(fake.nexuses, 0);
	}
}

/* Without buffers commands wait, in order, and go on when there are some again. */
static void test_writes_wait_for_buffers(void **state)
{
	struct client c = client_login(0, FAST);
	struct buf_pool *pool = reactor_buffers(harness.reactors[0]);
	struct buf *taken[2] = {buf_get(pool, 2 << 20), buf_get(pool, 2 << 20)};
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	assert_non_null(taken[1]);
	fill(9);
	/* R2T only: it waits, and the connection goes on reading. */
	client_command(&c, bhs, F | W, 0x2a, 0, 1, 512);
	client_pdu(&c, bhs, NULL, 0);
	client_expect_alive(&c);
	/* Immediate data: nothing more is read. */
	client_command(&c, bhs, F | W, 0x2a, 1, 1, 512);
	client_pdu(&c, bhs, pattern, 512);
	client_command(&c, bhs, F | W, 0x2a, 2, 1, 512);
	client_pdu(&c, bhs, pattern + 512, 512);
	client_expect_silence(&c);
	buf_put(pool, taken[0]);
	buf_put(pool, taken[1]);
	iscsi_starved_wake(&harness.iscsi->reactors[0]);
	client_expect(&c, &pdu, ISCSI_OP_R2T);
	expect_status(&c, c.itt - 1, 0, 0);
	expect_status(&c, c.itt, 0, 0);
	assert_memory_equal(fake.disk + 512, pattern, 1024);
	client_data_out(bhs, 2 + c.itt - 5, iscsi_bhs_ttt(pdu.bhs), 0, 0, true);
	client_close(&c);
}

/* Answers every R2T until `responses` commands have ended; their statuses. */
static void serve_r2ts(struct client *c, unsigned responses, uint8_t *statuses)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	for (unsigned n = 0; n < responses;) {
		client_expect_any(c, &pdu);
		if (pdu.bhs[0] == ISCSI_OP_SCSI_RESPONSE) {
			statuses[iscsi_bhs_itt(pdu.bhs)] = pdu.bhs[ISCSI_RESPONSE_STATUS];
			n++;
			continue;
		}
		assert_int_equal(pdu.bhs[0], ISCSI_OP_R2T);
		client_data_out(bhs, iscsi_bhs_itt(pdu.bhs), iscsi_bhs_ttt(pdu.bhs), 0,
			be32_get(pdu.bhs + ISCSI_R2T_OFFSET), true);
		client_pdu(c, bhs, pattern, be32_get(pdu.bhs + ISCSI_R2T_LENGTH));
	}
}

/*
 * Two writes have the connection's share of buffers and wait for data that stands behind a third
 * one's immediate data: to stop reading there would hang the connection for ever.
 */
static void test_immediate_data_behind_full_buffers(void **state)
{
	struct client c = client_login(0, FAST "\nFirstBurstLength=16384\nMaxBurstLength=65536");
	struct iscsi_reactor *home = &harness.iscsi->reactors[0];
	uint8_t bhs[ISCSI_BHS_BYTES], statuses[8] = {[3] = 0xff};

	(void)state;
	fill(10);
	for (unsigned i = 0; i < 2; i++) {
		client_command(&c, bhs, F | W, 0x2a, 0, 2048, 1 << 20);
		client_pdu(&c, bhs, NULL, 0);
	}
	client_command(&c, bhs, W, 0x2a, 4096, 64, 32768);
	client_pdu(&c, bhs, pattern, 1024);
	client_data_out(bhs, c.itt, ISCSI_TAG_NONE, 0, 1024, true);
	client_pdu(&c, bhs, pattern + 1024, 16384 - 1024);
	assert_int_equal(home->early_bytes, 16384);
	serve_r2ts(&c, 3, statuses);
	assert_int_equal(statuses[3], SCSI_GOOD);
	assert_memory_equal(fake.disk + 4096 * 512, pattern, 16384);
	assert_memory_equal(fake.disk + 4096 * 512 + 16384, pattern, 16384);
	assert_int_equal(home->early_bytes, 0);
	client_close(&c);
}

/* The memory for that is bounded too: beyond it TASK SET FULL, after all the data. */
static void test_immediate_data_beyond_bounds(void **state)
{
	struct client c = client_login(0, FAST "\nFirstBurstLength=16384\nMaxBurstLength=65536");
	struct iscsi_reactor *home = &harness.iscsi->reactors[0];
	uint8_t bhs[ISCSI_BHS_BYTES], statuses[8] = {0};

	(void)state;
	fill(11);
	fake.disk[4096 * 512] = 'a';
	home->early_limit = 512;
	for (unsigned i = 0; i < 2; i++) {
		client_command(&c, bhs, F | W, 0x2a, 0, 2048, 1 << 20);
		client_pdu(&c, bhs, NULL, 0);
	}
	client_command(&c, bhs, W, 0x2a, 4096, 32, 16384);
	client_pdu(&c, bhs, pattern, 1024);
	client_data_out(bhs, c.itt, ISCSI_TAG_NONE, 0, 1024, true);
	client_pdu(&c, bhs, pattern + 1024, 16384 - 1024);
	serve_r2ts(&c, 3, statuses);
	assert_int_equal(statuses[1], SCSI_GOOD);
	assert_int_equal(statuses[2], SCSI_GOOD);
	assert_int_equal(statuses[3], SCSI_TASK_SET_FULL);
	assert_int_equal(fake.disk[4096 * 512], 'a');
	client_expect_alive(&c);
	client_close(&c);
}

/* What has an answer is out of the window; who does not take the answers gets no further. */
static void test_answers_not_taken_are_bounded(void **state)
{
	struct client c = client_login(0, FAST);
	struct iscsi_reactor *home = &harness.iscsi->reactors[0];
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		client_command(&c, bhs, F, FAKE_OP_TUR, 0, 0, 0);
		bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
		c.cmdsn--;
		if (send(c.fd, bhs, sizeof(bhs), MSG_NOSIGNAL) < 0) {
			break;
		}
		if (i % 8 == 7) {
			harness_pass();
		}
	}
	harness_settle();
	assert_true(home->cmds.used > ISCSI_TX_HIGH);
	assert_true(home->cmds.used < 2 * ISCSI_TX_HIGH + 16);
	/* All that came in is answered once the initiator listens again. */
	while (home->cmds.used) {
		client_expect(&c, &pdu, ISCSI_OP_SCSI_RESPONSE);
	}
	client_close(&c);
}

/* Sends `count` commands at once, takes the answers; how many it had when it gave the first. */
static uint32_t answered_after(struct client *c, unsigned count)
{
	static uint8_t bytes[64 * ISCSI_BHS_BYTES];
	uint32_t first_itt = c->itt + 1, first_cmdsn = c->cmdsn, known = 0;

	for (unsigned i = 0; i < count; i++) {
		client_command(c, bytes + (size_t)i * ISCSI_BHS_BYTES, F, FAKE_OP_TUR, 0, 0, 0);
	}
	client_send(c, bytes, (size_t)count * ISCSI_BHS_BYTES);
	for (unsigned i = 0; i < count; i++) {
		expect_status(c, first_itt + i, 0, 0);
		known = i ? known : be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN) - first_cmdsn;
	}
	assert_int_equal(be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN) - first_cmdsn, count);
	return known;
}

/* So that the initiator does not do nothing while we work; with others there is work for all. */
static void test_answers_go_out_while_commands_are_left(void **state)
{
	struct client c, other;
	uint8_t bhs[ISCSI_BHS_BYTES];

	(void)state;
	harness.conf.iscsi.command_window = 64;
	c = client_login(0, FAST);
	other = client_connect(0);
	other.keys = FAST;
	other.isid = 2;
	client_send_login(&other, false);
	client_expect(&other, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(answered_after(&c, 40), 16);
	assert_int_equal(answered_after(&c, 15), 15);
	client_command(&other, bhs, F, FAKE_OP_TUR, 0, 0, 0);
	assert_int_equal(send(other.fd, bhs, sizeof(bhs), MSG_NOSIGNAL), sizeof(bhs));
	assert_int_equal(answered_after(&c, 40), 40);
	expect_status(&other, iscsi_bhs_itt(bhs), 0, 0);
	client_close(&c);
	client_close(&other);
}

/* All of a receive, however long their PDUs are, before the first of them is carried out. */
static void test_commands_are_announced(void **state)
{
	static const char *const keys[] = {
		FAST, DIGESTS FAST, "HeaderDigest=CRC32C\n" FAST, "DataDigest=CRC32C\n" FAST};
	uint8_t bhs[ISCSI_BHS_BYTES], out[2048];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct client c = client_login(0, keys[i]);
		unsigned first = fake.started;
		size_t n;

		fake.expected = 0;
		client_command(&c, bhs, F | W, 0x2a, 70, 1, 512);
		n = client_build(&c, out, bhs, pattern, 512);
		iscsi_bhs_init(bhs, ISCSI_OP_NOP_OUT, F, ISCSI_TAG_NONE);
		bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
		be32_put(bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
		be32_put(bhs + ISCSI_BHS_CMDSN, c.cmdsn);
		n += client_build(&c, out + n, bhs, "padded", 6);
		client_command(&c, bhs, F | W, 0x2a, 71, 1, 512);
		n += client_build(&c, out + n, bhs, pattern, 512);
		client_command(&c, bhs, F, FAKE_OP_TUR, 72, 0, 0);
		n += client_build(&c, out + n, bhs, NULL, 0);
		client_send(&c, out, n);
		assert_int_equal(fake.expected, 3);
		assert_int_equal(fake.expected_started, first);
		for (unsigned k = 0; k < 3; k++) {
			assert_int_equal(fake.expected_lba[k], 70 + k);
			expect_status(&c, c.itt - 2 + k, 0, 0);
		}
		client_close(&c);
	}
}

/* Nothing is looked at beyond what has come, nor too far ahead. */
static void test_commands_are_announced_within_bounds(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES], out[80 * ISCSI_BHS_BYTES];
	size_t n = 0;

	(void)state;
	client_command(&c, bhs, F | W, 0x2a, 1, 1, 512);
	n = client_build(&c, out, bhs, pattern, 512);
	client_send(&c, out, 20); /* part of a header: gathered first */
	client_send(&c, out + 20, n - 20);
	expect_status(&c, c.itt, 0, 0);
	assert_int_equal(fake.expected, 0);
	client_command(&c, bhs, F | W, 0x2a, 2, 1, 512);
	n = client_build(&c, out, bhs, pattern, 512);
	client_send(&c, out, 100); /* the data follows: it is no header */
	client_send(&c, out + 100, n - 100);
	expect_status(&c, c.itt, 0, 0);
	assert_int_equal(fake.expected, 1);
	for (n = 0; n < sizeof(out); n += ISCSI_BHS_BYTES) {
		client_command(&c, out + n, F, FAKE_OP_TUR, 0, 0, 0);
		be32_put(out + n + ISCSI_BHS_CMDSN, 1u << 30); /* outside the window */
	}
	client_send(&c, out, sizeof(out));
	assert_int_equal(fake.expected, 1 + 64);
	assert_int_equal(fake.started, 2);
	client_close(&c);
}

/* A dead connection with a command in every stage leaves nothing behind (see the teardown). */
static void test_drop_in_every_stage(void **state)
{
	struct client c = client_login(0, FAST);
	uint8_t bhs[ISCSI_BHS_BYTES], out[2048];

	(void)state;
	client_command(&c, bhs, F, FAKE_OP_HELD, 0, 0, 0);
	client_pdu(&c, bhs, NULL, 0); /* running */
	client_command(&c, bhs, W, 0x2a, 0, 4, 2048);
	client_pdu(&c, bhs, pattern, 512); /* waits for unsolicited data */
	client_command(&c, bhs, F | W, 0x2a, 0, 4, 2048);
	client_pdu(&c, bhs, NULL, 0); /* R2T */
	c.cmdsn++;
	client_command(&c, bhs, F | W, 0x2a, 0, 4, 2048);
	client_pdu(&c, bhs, NULL, 0); /* ordering */
	client_command(&c, bhs, F | W, 0x2a, 0, 2, 1024);
	client_send(&c, out, client_build(&c, out, bhs, pattern, 1024) - 100); /* receiving */
	client_close(&c);
	assert_int_equal(fake.nexuses, 0);
	assert_int_equal(fake.aborted, 1);
	assert_int_equal(fake.dropped, 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_write_immediate_then_read),
		TEST(test_write_every_way),
		TEST(test_write_solicited_only),
		TEST(test_data_in_is_split),
		TEST(test_residuals),
		TEST(test_check_condition),
		TEST(test_unsolicited_errors),
		TEST(test_solicited_errors),
		TEST(test_data_digest_errors),
		TEST(test_header_digest_error_drops),
		TEST(test_cmdsn_twice_and_outside),
		TEST(test_commands_run_in_cmdsn_order),
		TEST(test_task_tag_twice),
		TEST(test_window_closes),
		TEST(test_immediate_commands_are_bounded),
		TEST(test_bidirectional_and_long_cdb),
		TEST(test_nonsense_drops),
		TEST(test_writes_wait_for_buffers),
		TEST(test_immediate_data_behind_full_buffers),
		TEST(test_immediate_data_beyond_bounds),
		TEST(test_answers_not_taken_are_bounded),
		TEST(test_answers_go_out_while_commands_are_left),
		TEST(test_commands_are_announced),
		TEST(test_commands_are_announced_within_bounds),
		TEST(test_drop_in_every_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
