/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POPULATE TOKEN and WRITE USING TOKEN: what a token stands for, and when it ends. The rig's LUs: 0
 * (512-byte blocks, thin) and 1 (4096) of group g1, 2 of g2, read-only. Pieces are of 64 KiB.
 */
#include "daemon/scsi/token.h"
#include "scsi_rig.h"

#define PIECE	    (64u << 10)
#define UNKNOWN	    0x052304
#define REVOKED	    0x052306
#define BAD_FIELD   0x052600
#define LIST_LENGTH 0x051a00

static struct rig *rig;
static struct rig_task t, r, w;
static uint8_t token[ODX_TOKEN_BYTES];
static uint8_t before[RIG_EXTENTS][RIG_BYTES];

static int setup(void **state)
{
	rig = rig_new(1, 1 << 20);
	rig_serve(rig);
	memset(&t, 0, sizeof(t));
	for (unsigned d = 0; d < RIG_EXTENTS; d++) {
		for (uint32_t i = 0; i < RIG_BYTES; i += 4) {
			be32_put(rig_store.data[d] + i, i * 2654435761u + d);
		}
	}
	memcpy(before, rig_store.data, sizeof(before));
	return 0;
}

static int teardown(void **state)
{
	rig_free(rig);
	return 0;
}

struct range {
	uint64_t lba;
	uint32_t blocks;
};

static void ranges_put(struct cursor *c, const struct range *ranges, unsigned count)
{
	cursor_put_u16(c, (uint16_t)(count * 16));
	for (unsigned i = 0; i < count; i++) {
		cursor_put_u64(c, ranges[i].lba);
		cursor_put_u32(c, ranges[i].blocks);
		cursor_put_u32(c, 0);
	}
	be16_put(c->base, (uint16_t)(c->pos - 2));
}

static uint8_t list[2048];
static size_t list_size;

static void populate_list(
	uint8_t flags, uint32_t timeout, uint32_t type, const struct range *ranges, unsigned count)
{
	struct cursor c = cursor_over(list, sizeof(list));

	cursor_put_u16(&c, 0);
	cursor_put_u8(&c, flags);
	cursor_put_u8(&c, 0);
	cursor_put_u32(&c, timeout);
	cursor_put_u32(&c, type);
	cursor_put_u16(&c, 0);
	ranges_put(&c, ranges, count);
	list_size = c.pos;
}

static void write_list(uint8_t flags, uint64_t offset, const struct range *ranges, unsigned count)
{
	struct cursor c = cursor_over(list, sizeof(list));

	cursor_put_u16(&c, 0);
	cursor_put_u8(&c, flags);
	cursor_put_zeros(&c, 5);
	cursor_put_u64(&c, offset);
	cursor_put_bytes(&c, token, sizeof(token));
	cursor_put_zeros(&c, 6);
	ranges_put(&c, ranges, count);
	list_size = c.pos;
}

#define RANGES(...)                          \
	(const struct range[]){__VA_ARGS__}, \
		sizeof((const struct range[]){__VA_ARGS__}) / sizeof(struct range)

static void list_go(unsigned lun, uint8_t action)
{
	uint8_t cdb[16] = {0x83, action, [9] = 9};

	be32_put(cdb + 10, (uint32_t)list_size);
	rig_task_set(&t, rig->nexus[0], lun, cdb, 16);
	rig_task_go(&t, list, (uint32_t)list_size);
}

static uint32_t list_wait(void)
{
	for (int i = 0; i < 200 && t.dones == 0; i++) {
		rig_run(rig);
		reactor_run_once(rig->reactors[0], 1);
		reactor_run_once(rig->reactors[1], 1);
	}
	assert_int_equal(t.dones, 1);
	return rig_outcome(&t);
}

static uint32_t list_do(unsigned lun, uint8_t action)
{
	list_go(lun, action);
	return list_wait();
}

static uint32_t information(unsigned lun)
{
	uint8_t cdb[16] = {0x84, 0x07, [5] = 9, [12] = 4};

	return rig_do(rig, &r, rig->nexus[0], lun, cdb, 16, NULL, 0);
}

/* Makes a token of LU `lun` and fetches it. */
static void token_take(unsigned lun, const struct range *ranges, unsigned count)
{
	populate_list(0, 0, 0, ranges, count);
	assert_int_equal(list_do(lun, 0x10), SCSI_GOOD);
	assert_int_equal(information(lun), SCSI_GOOD);
	assert_int_equal(r.in_length, 32 + 4 + 2 + 512);
	memcpy(token, r.in + 38, sizeof(token));
}

/* A write of one block by any command; `out` is its data-out. */
static uint32_t write_by(unsigned reactor, unsigned lun, const uint8_t *cdb, unsigned length,
	const void *out, uint32_t out_length)
{
	return rig_do(rig, &w, rig->nexus[reactor], lun, cdb, length, out, out_length);
}

static const uint8_t block[4096] = {0xee}, zeros[512];

#define WRITE10(lba) RIG_CDB(0x2a, 0, 0, 0, (lba) >> 8, (lba)&0xff, 0, 0, 1, 0)

/* ----- what it stands for --------------------------------------------------------------------- */

static void a_token_carries_its_ranges(void **state)
{
	token_take(0, RANGES({100, 300}, {500, 100}));
	assert_int_equal(be32_get(r.in), 546);
	assert_int_equal(r.in[4], 0x10);
	assert_int_equal(r.in[5], 1); /* completed */
	assert_int_equal(r.in[15], 0xf1); /* in blocks */
	assert_int_equal(be64_get(r.in + 16), 400);
	assert_int_equal(be32_get(r.in + 32), 514);
	assert_int_equal(be32_get(token), 0x00800000);
	assert_int_equal(be16_get(token + 6), 0x01f8);
	assert_memory_equal(token + 24, rig->scsi->lus[0].naa, 16);
	assert_int_equal(be64_get(token + 56), 400 * 512);
	/* Told once. */
	assert_int_equal(information(0), 0x052400);
	write_list(0, 0, RANGES({1000, 50}, {1200, 350}));
	assert_int_equal(list_do(0, 0x11), SCSI_GOOD);
	assert_memory_equal(rig_store.data[0] + 1000 * 512, before[0] + 100 * 512, 50 * 512);
	assert_memory_equal(rig_store.data[0] + 1200 * 512, before[0] + 150 * 512, 250 * 512);
	assert_memory_equal(rig_store.data[0] + 1450 * 512, before[0] + 500 * 512, 100 * 512);
	assert_memory_equal(rig_store.data[0], before[0], 1000 * 512);
	assert_memory_equal(rig_store.data[0] + 1050 * 512, before[0] + 1050 * 512, 150 * 512);
	assert_memory_equal(rig_store.data[0] + 1550 * 512, before[0] + 1550 * 512, 498 * 512);
	assert_int_equal(information(0), SCSI_GOOD);
	assert_int_equal(r.in[4], 0x11);
	assert_int_equal(be64_get(r.in + 16), 400);
	assert_int_equal(be32_get(r.in + 32), 0);
	/* Again, and a part of it. */
	write_list(0, 300, RANGES({1600, 4}));
	assert_int_equal(list_do(0, 0x11), SCSI_GOOD);
	assert_memory_equal(rig_store.data[0] + 1600 * 512, before[0] + 500 * 512, 4 * 512);
}

static void to_an_lu_with_other_blocks(void **state)
{
	token_take(0, RANGES({64, 64}, {0, 8}));
	write_list(0, 1, RANGES({10, 3}, {20, 5}));
	assert_int_equal(list_do(1, 0x11), SCSI_GOOD);
	assert_memory_equal(rig_store.data[1] + 10 * 4096, before[0] + 72 * 512, 3 * 4096);
	assert_memory_equal(rig_store.data[1] + 20 * 4096, before[0] + 96 * 512, 4 * 4096);
	assert_memory_equal(rig_store.data[1] + 24 * 4096, before[0], 4096);
	/* Half blocks are nobody's. */
	token_take(0, RANGES({64, 7}, {0, 9}));
	write_list(0, 0, RANGES({10, 2}));
	assert_int_equal(list_do(1, 0x11), 0x052300);
	token_take(1, RANGES({0, 4}));
	write_list(0, 0, RANGES({100, 7}));
	assert_int_equal(list_do(0, 0x11), 0x052300);
	write_list(0, 3, RANGES({100, 8}));
	assert_int_equal(list_do(0, 0x11), 0x052300);
	write_list(0, 8, RANGES({100, 8}));
	assert_int_equal(list_do(0, 0x11), SCSI_GOOD);
	assert_memory_equal(rig_store.data[0] + 100 * 512, before[1] + 4096, 4096);
}

static void from_a_read_only_lu_and_not_to_one(void **state)
{
	token_take(2, RANGES({64, 64}));
	write_list(0, 0, RANGES({0, 64}));
	assert_int_equal(list_do(0, 0x11), SCSI_GOOD);
	assert_memory_equal(rig_store.data[0], before[2] + 64 * 512, 64 * 512);
	assert_int_equal(list_do(2, 0x11), 0x072700);
}

static void zeros_need_no_token_of_ours(void **state)
{
	memset(token, 0, sizeof(token));
	be32_put(token, 0xffff0001);
	be16_put(token + 6, 0x01f8);
	write_list(0, 77, RANGES({10, 100}, {500, 1}));
	assert_int_equal(list_do(0, 0x11), SCSI_GOOD);
	memset(before[0] + 10 * 512, 0, 100 * 512);
	memset(before[0] + 500 * 512, 0, 512);
	assert_memory_equal(rig_store.data[0], before[0], RIG_BYTES);
	assert_int_equal(rig_store.zeroes, 2);
	assert_int_equal(information(0), SCSI_GOOD);
	assert_int_equal(be64_get(r.in + 16), 101);
}

/* ----- when it ends --------------------------------------------------------------------------- */

static void expect_write(uint32_t outcome)
{
	write_list(0, 0, RANGES({1500, 8}));
	assert_int_equal(list_do(0, 0x11), outcome);
}

static void a_write_to_its_ranges_ends_it(void **state)
{
	static const struct {
		uint8_t cdb[16];
		uint32_t out;
	} writes[] = {
		{{0x0a, 0, 0, 101, 1}, 512},
		{{0x2a, 0, 0, 0, 0, 101, 0, 0, 1}, 512},
		{{0xaa, 0, 0, 0, 0, 101, 0, 0, 0, 1}, 512},
		{{0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 101, 0, 0, 0, 1}, 512},
		{{0x41, 0, 0, 0, 0, 90, 0, 0, 20}, 512},
		{{0x93, 1, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 2}, 0},
		{{0x93, 8, 0, 0, 0, 0, 0, 0, 0, 107, 0, 0, 0, 2}, 512},
		{{0x2e, 0, 0, 0, 0, 101, 0, 0, 1}, 512},
		{{0x8b, 0, 0, 0, 0, 0, 0, 0, 0, 101, 0, 0, 0, 1}, 512},
	};
	uint8_t unmap[24] = {0, 22, 0, 16, [15] = 104, [19] = 1};

	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
		for (unsigned reactor = 0; reactor < 2; reactor++) {
			token_take(0, RANGES({100, 8}));
			expect_write(SCSI_GOOD);
			assert_int_equal(write_by(reactor, 0, writes[i].cdb, 16,
						 i < 4 ? block : zeros, writes[i].out),
				SCSI_GOOD);
			expect_write(REVOKED);
		}
	}
	token_take(0, RANGES({100, 8}));
	assert_int_equal(
		write_by(1, 0, RIG_CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), unmap, 24), SCSI_GOOD);
	expect_write(REVOKED);
}

static void a_write_elsewhere_does_not(void **state)
{
	uint8_t unmap[24] = {0, 22, 0, 16, [15] = 108, [19] = 20};

	token_take(0, RANGES({100, 8}, {200, 8}));
	for (unsigned reactor = 0; reactor < 2; reactor++) {
		assert_int_equal(write_by(reactor, 0, WRITE10(99), block, 512), SCSI_GOOD);
		assert_int_equal(write_by(reactor, 0, WRITE10(108), block, 512), SCSI_GOOD);
		assert_int_equal(write_by(reactor, 0, WRITE10(208), block, 512), SCSI_GOOD);
		assert_int_equal(write_by(reactor, 1, WRITE10(100), block, 4096), SCSI_GOOD);
		assert_int_equal(
			write_by(reactor, 0, RIG_CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), unmap, 24),
			SCSI_GOOD);
	}
	expect_write(SCSI_GOOD);
	assert_memory_equal(rig_store.data[0] + 1500 * 512, before[0] + 100 * 512, 8 * 512);
}

static void lus_without_tokens_do_not_ask(void **state)
{
	const struct scsi_core *core = rig->nexus[0]->core;

	assert_false(core->lus[0].tokens);
	token_take(0, RANGES({100, 8}));
	assert_true(core->lus[0].tokens);
	assert_true(rig->nexus[1]->core->lus[0].tokens);
	assert_false(core->lus[1].tokens);
	assert_int_equal(write_by(0, 0, WRITE10(99), block, 512), SCSI_GOOD);
	assert_true(core->lus[0].tokens);
	assert_int_equal(write_by(0, 0, WRITE10(100), block, 512), SCSI_GOOD);
	assert_false(core->lus[0].tokens); /* the last one has ended */
	assert_true(rig->nexus[1]->core->lus[0].tokens);
	assert_int_equal(write_by(1, 0, WRITE10(3), block, 512), SCSI_GOOD);
	assert_false(rig->nexus[1]->core->lus[0].tokens);
}

static void it_is_not_made_before_older_writes_have_ended(void **state)
{
	rig_store.wait = true;
	rig_task_set(&w, rig->nexus[1], 0, WRITE10(101));
	rig_task_go(&w, block, 512);
	populate_list(0, 0, 0, RANGES({100, 8}));
	list_go(0, 0x10);
	for (int i = 0; i < 10; i++) {
		rig_run(rig);
		reactor_run_once(rig->reactors[1], 1);
	}
	assert_int_equal(t.dones, 0);
	rig_store.wait = false;
	rig_store_run();
	assert_int_equal(list_wait(), SCSI_GOOD);
	assert_int_equal(w.status, SCSI_GOOD);
	assert_int_equal(information(0), SCSI_GOOD);
	memcpy(token, r.in + 38, sizeof(token));
	expect_write(SCSI_GOOD);
	assert_memory_equal(rig_store.data[0] + 1501 * 512, block, 512);
}

static void it_does_not_wait_for_writes_elsewhere(void **state)
{
	rig_store.wait = true;
	rig_task_set(&w, rig->nexus[1], 0, WRITE10(99));
	rig_task_go(&w, block, 512);
	populate_list(0, 0, 0, RANGES({100, 8}));
	list_go(0, 0x10);
	assert_int_equal(list_wait(), SCSI_GOOD);
	rig_store.wait = false;
	rig_store_run();
}

static void a_younger_write_ends_it_while_it_is_made(void **state)
{
	static struct rig_task younger;

	rig_store.wait = true;
	rig_task_set(&w, rig->nexus[1], 0, WRITE10(101)); /* keeps it in the making */
	rig_task_go(&w, block, 512);
	populate_list(0, 0, 0, RANGES({100, 8}));
	list_go(0, 0x10);
	rig_run(rig);
	rig_task_set(&younger, rig->nexus[0], 0, WRITE10(102));
	rig_task_go(&younger, block, 512);
	assert_int_equal(list_wait(), REVOKED);
	rig_store.wait = false;
	rig_store_run();
	assert_int_equal(information(0), SCSI_GOOD);
	assert_int_equal(r.in[5], 2); /* completed with an error, and no token */
	assert_int_equal(be32_get(r.in + 32 + r.in[13]), 0);
}

/* The write comes between the read of a piece and its being written. */
static void nothing_newer_than_the_token_is_copied(void **state)
{
	token_take(0, RANGES({0, 256})); /* two pieces */
	write_list(0, 0, RANGES({1024, 256}));
	rig_store.writes = 0;
	rig_store.reads = 0;
	list_go(0, 0x11);
	while (rig_store.writes < 1) {
		reactor_run_once(rig->reactors[0], 0);
	}
	rig_store.wait = true;
	while (rig_store.reads < 2) {
		reactor_run_once(rig->reactors[0], 0);
	}
	rig_store.wait = false;
	assert_int_equal(write_by(1, 0, WRITE10(200), block, 512), SCSI_GOOD);
	rig_store_run(); /* the read sees the new block */
	assert_int_equal(list_wait(), REVOKED);
	assert_memory_equal(rig_store.data[0] + 1024 * 512, before[0], PIECE);
	assert_memory_equal(
		rig_store.data[0] + 1024 * 512 + PIECE, before[0] + 1024 * 512 + PIECE, PIECE);
	assert_int_equal(information(0), SCSI_GOOD);
	assert_int_equal(r.in[5], 2);
	assert_int_equal(be64_get(r.in + 16), 128); /* one piece was written */
}

static void onto_its_own_ranges_it_ends_itself(void **state)
{
	token_take(0, RANGES({0, 256}));
	write_list(0, 0, RANGES({64, 256}));
	assert_int_equal(list_do(0, 0x11), REVOKED);
	assert_memory_equal(rig_store.data[0] + 64 * 512, before[0], PIECE);
	assert_int_equal(information(0), SCSI_GOOD);
	assert_int_equal(be64_get(r.in + 16), 128);
}

static void a_move_of_its_group_ends_it(void **state)
{
	token_take(0, RANGES({100, 8}));
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 1, 1); /* it did not move after all */
	expect_write(SCSI_GOOD);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 3, 1); /* away and back */
	expect_write(REVOKED);
	/* Made at the other owner's, or here before it left: unknown or revoked, never data. */
	token_take(2, RANGES({100, 8}));
	rig_publish(rig, 1, GROUP_REMOTE, 2, 2, 1);
	expect_write(REVOKED);
	assert_int_equal(rig->ship.tasks, 0);
	token[500] ^= 1;
	expect_write(UNKNOWN);
}

static void a_move_in_the_middle_of_its_use(void **state)
{
	token_take(0, RANGES({0, 256}));
	write_list(0, 0, RANGES({10, 32}));
	list_go(1, 0x11);
	rig_publish(rig, 0, GROUP_HELD, 1, 1, 1);
	rig_publish(rig, 0, GROUP_LOCAL, 1, 2, 1);
	assert_int_equal(list_wait(), REVOKED);
	assert_memory_equal(rig_store.data[1] + 26 * 4096, before[1] + 26 * 4096, PIECE);
}

static void it_expires_when_nobody_uses_it(void **state)
{
	uint64_t now = reactor_now_ms(rig->reactors[0]);

	token_take(0, RANGES({100, 8}));
	scsi_tokens_expire(rig->scsi->tokens, now + 50000);
	expect_write(SCSI_GOOD);
	scsi_tokens_expire(rig->scsi->tokens, now + 70000);
	expect_write(0x052307);
	populate_list(0, 200, 0, RANGES({100, 8}));
	assert_int_equal(list_do(0, 0x10), SCSI_GOOD);
	assert_int_equal(information(0), SCSI_GOOD);
	memcpy(token, r.in + 38, sizeof(token));
	scsi_tokens_expire(rig->scsi->tokens, now + 190000);
	expect_write(SCSI_GOOD);
	/* Not while it is in use. */
	rig_store.wait = true;
	write_list(0, 0, RANGES({1500, 8}));
	list_go(0, 0x11);
	rig_run(rig);
	scsi_tokens_expire(rig->scsi->tokens, now + 900000);
	rig_store.wait = false;
	rig_store_run();
	assert_int_equal(list_wait(), SCSI_GOOD);
}

static void it_is_deleted_on_request(void **state)
{
	token_take(0, RANGES({100, 8}));
	write_list(2, 9, RANGES({1500, 8}));
	assert_int_equal(list_do(0, 0x11), BAD_FIELD); /* behind its end: and it stays */
	write_list(2, 0, RANGES({1500, 8}));
	assert_int_equal(list_do(0, 0x11), SCSI_GOOD);
	expect_write(0x052309);
}

static void tokens_are_bounded(void **state)
{
	for (unsigned i = 0; i < 64; i++) {
		token_take(0, RANGES({i, 1}));
	}
	populate_list(0, 0, 0, RANGES({64, 1}));
	assert_int_equal(list_do(0, 0x10), 0x05550d);
	assert_int_equal(write_by(0, 0, WRITE10(5), block, 512), SCSI_GOOD);
	token_take(0, RANGES({64, 1})); /* the one that ended made room */
	assert_int_equal(list_do(0, 0x10), 0x05550d);
}

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

static void release(unsigned lun, uint8_t type)
{
	uint8_t keys[24] = {[7] = 0x22};

	assert_int_equal(rig_do(rig, &r, rig->nexus[1], lun,
				 RIG_CDB(0x5f, 2, type, 0, 0, 0, 0, 0, 24, 0), keys, 24),
		SCSI_GOOD);
}

static void reservations_of_another_host(void **state)
{
	token_take(0, RANGES({100, 8}));
	reserve(1, 1); /* write exclusive */
	populate_list(0, 0, 0, RANGES({0, 8}));
	assert_int_equal(list_do(1, 0x10), SCSI_GOOD); /* which is a read */
	write_list(0, 0, RANGES({0, 1}));
	assert_int_equal(list_do(1, 0x11), SCSI_RESERVATION_CONFLICT);
	reserve(0, 3); /* exclusive access */
	populate_list(0, 0, 0, RANGES({0, 8}));
	assert_int_equal(list_do(0, 0x10), SCSI_RESERVATION_CONFLICT);
	/* Whoever could not read the source gets nothing by its token either. */
	release(1, 1);
	write_list(0, 0, RANGES({0, 1}));
	rig_store.writes = 0;
	assert_int_equal(list_do(1, 0x11), SCSI_RESERVATION_CONFLICT);
	assert_int_equal(rig_store.writes, 0);
	release(0, 3);
	assert_int_equal(list_do(1, 0x11), SCSI_GOOD);
}

/* ----- lists, and who may see what ------------------------------------------------------------ */

static void tokens_that_are_none(void **state)
{
	token_take(0, RANGES({100, 8}));
	for (unsigned i = 8; i < sizeof(token); i += 61) {
		token[i] ^= 0x40;
		expect_write(UNKNOWN);
		token[i] ^= 0x40;
	}
	token[1] ^= 1;
	expect_write(0x052301);
	token[1] ^= 1;
	token[7] = 0xf0;
	expect_write(0x05230a);
	token[7] = 0xf8;
	expect_write(SCSI_GOOD);
}

static void expect_populate(uint32_t sense, int byte)
{
	assert_int_equal(list_do(0, 0x10), sense);
	assert_int_equal(t.sense[15] & 0x80, byte < 0 ? 0 : 0x80);
	if (byte >= 0) {
		assert_int_equal(be16_get(t.sense + 16), byte);
	}
}

static void lists_of_populate_that_lie(void **state)
{
	static struct range many[65];

	populate_list(0, 0, 0, RANGES({0, 1}, {5, 2}));
	list[15] = 15;
	expect_populate(BAD_FIELD, 14);
	list[15] = 48;
	expect_populate(LIST_LENGTH, -1);
	list[15] = 0;
	expect_populate(BAD_FIELD, 14);
	populate_list(0, 0, 0, RANGES({0, 1}, {5, 2}));
	list[1]--; /* the list says that it ends within its last range */
	expect_populate(LIST_LENGTH, -1);
	populate_list(0, 0, 0, RANGES({0, 1}));
	for (size_t size = list_size - 1; size > 0; size--) {
		list_size = size;
		expect_populate(LIST_LENGTH, -1);
	}
	populate_list(1, 0, 0, RANGES({0, 1}));
	expect_populate(BAD_FIELD, 2);
	populate_list(0, 601, 0, RANGES({0, 1}));
	expect_populate(BAD_FIELD, 4);
	populate_list(2, 0, 0x00010000, RANGES({0, 1}));
	expect_populate(BAD_FIELD, 8);
	populate_list(2, 0, 0x00800000, RANGES({0, 1}));
	assert_int_equal(list_do(0, 0x10), SCSI_GOOD);
	populate_list(0, 0, 0, RANGES({0, 5}, {4, 2}));
	expect_populate(BAD_FIELD, 32);
	populate_list(0, 0, 0, RANGES({2047, 2}));
	expect_populate(0x052100, -1);
	populate_list(0, 0, 0, RANGES({UINT64_MAX, 2}));
	expect_populate(0x052100, -1);
	populate_list(0, 0, 0, many, 65);
	list_size = 16 + 65 * 16;
	expect_populate(0x052400, 10); /* longer than any list */
	list_size = 0;
	assert_int_equal(list_do(0, 0x10), SCSI_GOOD);
}

static void lists_of_write_that_lie(void **state)
{
	token_take(0, RANGES({100, 8}));
	rig_store.writes = 0;
	write_list(0, 0, RANGES({1500, 9}));
	assert_int_equal(list_do(0, 0x11), BAD_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 534);
	write_list(0, UINT64_MAX, RANGES({1500, 1}));
	assert_int_equal(list_do(0, 0x11), BAD_FIELD);
	assert_int_equal(be16_get(t.sense + 16), 8);
	write_list(1, 0, RANGES({1500, 1}));
	assert_int_equal(list_do(0, 0x11), BAD_FIELD);
	write_list(0, 0, RANGES({2040, 9}));
	assert_int_equal(list_do(0, 0x11), 0x052100);
	write_list(0, 0, RANGES({1500, 8}));
	for (size_t size = list_size - 1; size > 0; size -= size > 40 ? 17 : 1) {
		list_size = size;
		assert_int_equal(list_do(0, 0x11), LIST_LENGTH);
	}
	assert_int_equal(rig_store.writes, 0);
}

static void all_tokens_without_their_secrets(void **state)
{
	uint8_t cdb[16] = {0x84, 0x08, [12] = 0x10};

	token_take(2, RANGES({0, 8}));
	token_take(0, RANGES({0, 8}));
	assert_int_equal(rig_do(rig, &r, rig->nexus[1], 0, cdb, 16, NULL, 0), SCSI_GOOD);
	assert_int_equal(r.in_length, 8 + 2 * 96);
	assert_int_equal(be32_get(r.in), 4 + 2 * 96);
	assert_memory_equal(r.in + 8 + 96, token, 96);
	rig->scsi->map->targets[0].unit_count = 2; /* LU 2 is not this target's any more */
	assert_int_equal(rig_do(rig, &r, rig->nexus[1], 0, cdb, 16, NULL, 0), SCSI_GOOD);
	assert_int_equal(r.in_length, 8 + 96);
	assert_memory_equal(r.in + 8, token, 96);
	rig->scsi->map->targets[0].unit_count = ARRAY_SIZE(rig->luns);
	/* What was shown is not the token. */
	memset(token + 96, 0, sizeof(token) - 96);
	expect_write(UNKNOWN);
}

static void aborts_leave_nothing_behind(void **state)
{
	rig_store.wait = true;
	rig_task_set(&w, rig->nexus[1], 0, WRITE10(101));
	rig_task_go(&w, block, 512);
	populate_list(0, 0, 0, RANGES({100, 8}));
	list_go(0, 0x10);
	rig_run(rig);
	scsi_nexus_close(rig->nexus[0], NULL, NULL);
	rig_store.wait = false;
	rig_store_run();
	for (int i = 0; i < 50 && t.dones == 0; i++) {
		rig_run(rig);
		reactor_run_once(rig->reactors[1], 1);
	}
	assert_int_equal(t.dones, 1);
	assert_true(t.aborted);
	rig->nexus[0] = rig_nexus(rig, 0, "host3", 0x101);
	rig_calm(rig, rig->nexus[0]);
	/* A nexus that is lost while it writes gives the token back. */
	token_take(0, RANGES({0, 512}));
	write_list(2, 0, RANGES({1024, 512}));
	list_go(0, 0x11);
	reactor_run_once(rig->reactors[0], 0);
	scsi_nexus_close(rig->nexus[0], NULL, NULL);
	rig_run(rig);
	assert_int_equal(t.dones, 1);
	assert_true(t.aborted);
	rig->nexus[0] = rig_nexus(rig, 0, "host3", 0x101);
	rig_calm(rig, rig->nexus[0]);
	expect_write(0x052309);
}

static void names_are_complete(void **state)
{
	for (unsigned i = 0; i < SCSI_TOKEN_STATE_COUNT; i++) {
		assert_string_not_equal(scsi_token_state_name((enum scsi_token_state)i), "unknown");
	}
	assert_string_equal(scsi_token_state_name(SCSI_TOKEN_STATE_COUNT), "unknown");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_token_carries_its_ranges),
		TEST(to_an_lu_with_other_blocks),
		TEST(from_a_read_only_lu_and_not_to_one),
		TEST(zeros_need_no_token_of_ours),
		TEST(a_write_to_its_ranges_ends_it),
		TEST(a_write_elsewhere_does_not),
		TEST(lus_without_tokens_do_not_ask),
		TEST(it_is_not_made_before_older_writes_have_ended),
		TEST(it_does_not_wait_for_writes_elsewhere),
		TEST(a_younger_write_ends_it_while_it_is_made),
		TEST(nothing_newer_than_the_token_is_copied),
		TEST(onto_its_own_ranges_it_ends_itself),
		TEST(a_move_of_its_group_ends_it),
		TEST(a_move_in_the_middle_of_its_use),
		TEST(it_expires_when_nobody_uses_it),
		TEST(it_is_deleted_on_request),
		TEST(tokens_are_bounded),
		TEST(reservations_of_another_host),
		TEST(tokens_that_are_none),
		TEST(lists_of_populate_that_lie),
		TEST(lists_of_write_that_lie),
		TEST(all_tokens_without_their_secrets),
		TEST(aborts_leave_nothing_behind),
		TEST(names_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
