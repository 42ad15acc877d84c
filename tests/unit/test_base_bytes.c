// SPDX-License-Identifier: BSD-3-Clause
/* The bounded cursor, CRC32C and the buffer pool. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "yoke/buf.h"
#include "yoke/crc32c.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

/* ----- cursor ----------------------------------------------------------------------------------
 */

static void test_cursor_fields(void **state)
{
	uint8_t bytes[32];
	struct cursor c = cursor_over(bytes, sizeof(bytes));
	static const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
		17, 18, 'x', 'y', 0, 0, 0, 2, 'o', 'k'};
	char text[3];
	uint8_t pair[2];

	cursor_put_u8(&c, 0x01);
	cursor_put_u16(&c, 0x0203);
	cursor_put_u24(&c, 0x040506);
	cursor_put_u32(&c, 0x0708090a);
	cursor_put_u64(&c, 0x0b0c0d0e0f101112);
	cursor_put_bytes(&c, "xy", 2);
	cursor_put_zeros(&c, 2);
	cursor_put_string(&c, "ok");
	assert_true(cursor_ok(&c));
	assert_int_equal(c.pos, sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));

	c = cursor_reader(bytes, sizeof(expected));
	assert_int_equal(cursor_get_u8(&c), 0x01);
	assert_int_equal(cursor_get_u16(&c), 0x0203);
	assert_int_equal(cursor_get_u24(&c), 0x040506);
	assert_int_equal(cursor_get_u32(&c), 0x0708090a);
	assert_int_equal(cursor_get_u64(&c), 0x0b0c0d0e0f101112);
	cursor_get_bytes(&c, pair, 2);
	assert_memory_equal(pair, "xy", 2);
	assert_int_equal(cursor_get_u16(&c), 0);
	cursor_get_string(&c, text, sizeof(text));
	assert_string_equal(text, "ok");
	assert_true(cursor_ok(&c));
	assert_int_equal(cursor_left(&c), 0);
}

/* A field that does not fit reads as zero, moves nothing, and makes all that follow fail. */
static void test_cursor_error_is_sticky(void **state)
{
	for (size_t size = 0; size < 8; size++) {
		uint8_t bytes[9];
		struct cursor c = cursor_over(bytes, size);

		memset(bytes, 0xee, sizeof(bytes));
		assert_int_equal(cursor_get_u64(&c), 0);
		assert_false(cursor_ok(&c));
		assert_int_equal(cursor_left(&c), 0);
		assert_int_equal(cursor_get_u8(&c), 0);
		cursor_put_u8(&c, 1);
		cursor_put_zeros(&c, 100);
		for (size_t i = 0; i < sizeof(bytes); i++) {
			assert_int_equal(bytes[i], 0xee);
		}
	}
}

static void test_cursor_huge_lengths(void **state)
{
	uint8_t bytes[4] = {0xff, 0xff, 'a', 'b'}, out[4] = {1, 1, 1, 1};
	struct cursor c = cursor_over(bytes, sizeof(bytes));
	char text[8] = "before";

	cursor_get_u16(&c);
	assert_null(cursor_take(&c, SIZE_MAX));
	c = cursor_over(bytes, sizeof(bytes));
	cursor_get_string(&c, text, sizeof(text));
	assert_false(cursor_ok(&c));
	assert_string_equal(text, "");
	c = cursor_over(bytes, 0);
	cursor_get_bytes(&c, out, 4);
	assert_memory_equal(out, "\0\0\0\0", 4);
}

static void test_cursor_strings(void **state)
{
	static const struct {
		const char *bytes;
		size_t n, room;
		bool ok;
	} rows[] = {
		{"\0\3abc", 5, 4, true},
		{"\0\3abc", 5, 3, false}, /* no room for the NUL */
		{"\0\3ab", 4, 8, false}, /* cut */
		{"\0\3a\0c", 5, 8, false}, /* a NUL inside */
		{"\0\0", 2, 1, true},
		{"\0", 1, 8, false},
	};
	uint8_t bytes[65540];
	char *text = malloc(65537);
	struct cursor c;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		char to[8] = "zzzzzzz";

		c = cursor_reader(rows[i].bytes, rows[i].n);
		cursor_get_string(&c, to, rows[i].room);
		assert_int_equal(cursor_ok(&c), rows[i].ok);
		assert_string_equal(to, rows[i].ok && rows[i].n > 2 ? "abc" : "");
	}
	memset(text, 'x', 65536);
	text[65536] = '\0';
	c = cursor_over(bytes, sizeof(bytes));
	cursor_put_string(&c, text);
	assert_false(cursor_ok(&c));
	text[65535] = '\0';
	c = cursor_over(bytes, sizeof(bytes));
	cursor_put_string(&c, text);
	assert_true(cursor_ok(&c));
	free(text);
}

static void test_big_endian(void **state)
{
	uint8_t b[8];

	be16_put(b, 0xf1f2);
	assert_int_equal(be16_get(b), 0xf1f2);
	be24_put(b, 0xf1f2f3);
	assert_int_equal(be24_get(b), 0xf1f2f3);
	be32_put(b, 0xf1f2f3f4);
	assert_int_equal(b[0], 0xf1);
	assert_int_equal(be32_get(b), 0xf1f2f3f4);
	be64_put(b, 0xf1f2f3f4f5f6f7f8);
	assert_int_equal(b[7], 0xf8);
	assert_true(be64_get(b) == 0xf1f2f3f4f5f6f7f8);
}

/* ----- CRC32C: RFC 7143 A.4 (the vectors of RFC 3720 B.4) ----------------------------------------
 */

static void test_crc32c_copy(void **state)
{
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 12288, 20001};
	static uint8_t from[20001], to[sizeof(from) + 1];

	for (size_t i = 0; i < sizeof(from); i++) {
		from[i] = (uint8_t)(i * 31 + (i >> 8));
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(to, 0xee, sizeof(to));
		assert_int_equal(crc32c_copy(5, to, from, sizes[i]), crc32c_add(5, from, sizes[i]));
		assert_memory_equal(to, from, sizes[i]);
		assert_int_equal(to[sizes[i]], 0xee);
	}
}

struct scribbled {
	atomic_bool over;
	volatile uint8_t bytes[16384];
};

static void *scribble(void *arg)
{
	struct scribbled *s = arg;

	for (unsigned i = 0; !atomic_load(&s->over); i++) {
		s->bytes[i * 64 % sizeof(s->bytes)]++;
	}
	return NULL;
}

/* The value is that of the copy, although somebody writes to the source all the time. */
static void test_crc32c_copy_of_what_changes(void **state)
{
	static struct scribbled s;
	static uint8_t to[sizeof(s.bytes)];
	pthread_t thread;

	atomic_init(&s.over, false);
	assert_int_equal(pthread_create(&thread, NULL, scribble, &s), 0);
	for (unsigned i = 0; i < 2000; i++) {
		uint32_t crc =
			crc32c_copy(CRC32C_INIT, to, (const void *)(uintptr_t)s.bytes, sizeof(to));

		if (crc != crc32c_add(CRC32C_INIT, to, sizeof(to))) {
			atomic_store(&s.over, true);
			fail_msg("copy %u has the digest of something else", i);
		}
	}
	atomic_store(&s.over, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_crc32c_vectors(void **state)
{
	uint8_t bytes[32], wire[4];
	static const uint8_t zeros[4] = {0xaa, 0x36, 0x91, 0x8a},
			     ones[4] = {0x43, 0xab, 0xa8, 0x62}, up[4] = {0x4e, 0x79, 0xdd, 0x46},
			     down[4] = {0x5c, 0xdb, 0x3f, 0x11};

	memset(bytes, 0, 32);
	crc32c_put(wire, crc32c(bytes, 32));
	assert_memory_equal(wire, zeros, 4);
	memset(bytes, 0xff, 32);
	crc32c_put(wire, crc32c(bytes, 32));
	assert_memory_equal(wire, ones, 4);
	for (unsigned i = 0; i < 32; i++) {
		bytes[i] = (uint8_t)i;
	}
	crc32c_put(wire, crc32c(bytes, 32));
	assert_memory_equal(wire, up, 4);
	assert_int_equal(crc32c_get(wire), crc32c(bytes, 32));
	for (unsigned i = 0; i < 32; i++) {
		bytes[i] = (uint8_t)(31 - i);
	}
	crc32c_put(wire, crc32c(bytes, 32));
	assert_memory_equal(wire, down, 4);
	assert_int_equal(crc32c("123456789", 9), 0xe3069283);
}

static void test_crc32c_in_pieces(void **state)
{
	uint8_t bytes[1024];

	for (unsigned i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(i * 31 + (i >> 8));
	}
	for (size_t cut = 0; cut <= sizeof(bytes); cut += 13) {
		uint32_t running = crc32c_add(CRC32C_INIT, bytes, cut);

		running = crc32c_add(running, bytes + cut, sizeof(bytes) - cut);
		assert_int_equal(crc32c_end(running), crc32c(bytes, sizeof(bytes)));
	}
}

/* ----- buffers -----------------------------------------------------------------------------------
 */

static void test_buffers_fit_and_are_aligned(void **state)
{
	static const size_t sizes[] = {1, 512, 4096, 4097, 65536, 65537, (1 << 20) - 1, 1 << 20,
		(1 << 20) + 1, (4 << 20) + 1, BUF_MAX_BYTES};
	struct buf_pool *pool = buf_pool_new(64u << 20);

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct buf *buf = buf_get(pool, sizes[i]);

		assert_non_null(buf);
		assert_true(buf->size >= sizes[i]);
		assert_int_equal((uintptr_t)buf->data % BUF_ALIGN, 0);
		memset(buf->data, 0x5a, buf->size); /* all of it is ours */
		assert_int_equal(buf_pool_used(pool), buf->size);
		buf_put(pool, buf);
		assert_int_equal(buf_pool_used(pool), 0);
	}
	assert_null(buf_get(pool, BUF_MAX_BYTES + 1u));
	assert_null(buf_get(pool, SIZE_MAX));
	buf_put(pool, NULL);
	buf_pool_free(pool);
	buf_pool_free(NULL);
}

static void test_buffers_are_limited(void **state)
{
	struct buf_pool *pool = buf_pool_new(3 * 4096);
	struct buf *a = buf_get(pool, 4096), *b = buf_get(pool, 4096), *c = buf_get(pool, 1);

	assert_int_equal(buf_pool_limit(pool), 3 * 4096);
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	assert_null(buf_get(pool, 1));
	buf_put(pool, b);
	assert_null(buf_get(pool, 4097)); /* the next class does not fit */
	b = buf_get(pool, 4096);
	assert_non_null(b);
	buf_put(pool, a);
	buf_put(pool, b);
	buf_put(pool, c);
	buf_pool_free(pool);
}

static void test_buffers_are_reused(void **state)
{
	struct buf_pool *pool = buf_pool_new(64u << 20);
	struct buf *a = buf_get(pool, 65536), *b;

	buf_put(pool, a);
	b = buf_get(pool, 60000);
	assert_ptr_equal(a, b);
	assert_null(b->next);
	buf_put(pool, b);
	buf_pool_free(pool);
}

struct pinned {
	unsigned added, removed, limit;
	void *last;
};

static int pinned_add(void *arg, void *data, size_t bytes)
{
	struct pinned *p = arg;

	assert_true(bytes >= 4096);
	p->last = data;
	return p->added < p->limit ? (int)p->added++ : -1;
}

static void pinned_remove(void *arg, int number)
{
	struct pinned *p = arg;

	assert_in_range(number, 0, p->added - 1);
	p->removed++;
}

/* A buffer is pinned when that is first asked for, stays so, and is not when it cannot be. */
static void test_buffers_are_pinned(void **state)
{
	struct buf_pool *pool = buf_pool_new(64u << 20);
	struct pinned p = {.limit = 2};
	struct buf_pins pins = {.add = pinned_add, .remove = pinned_remove, .arg = &p};
	struct buf *bufs[3], *large = buf_get(pool, 2u << 20);

	bufs[0] = buf_get(pool, 1);
	assert_int_equal(buf_pin(bufs[0]), -1); /* no ring */
	buf_pool_pins_set(pool, &pins);
	assert_int_equal(p.added, 0);
	assert_int_equal(buf_pin(bufs[0]), 0);
	assert_ptr_equal(p.last, bufs[0]->data);
	assert_int_equal(buf_pin(bufs[0]), 0);
	buf_put(pool, bufs[0]);
	bufs[0] = buf_get(pool, 1);
	assert_int_equal(buf_pin(bufs[0]), 0);
	assert_int_equal(p.added, 1);
	assert_int_equal(buf_pin(large), -1);
	for (unsigned i = 1; i < 3; i++) {
		bufs[i] = buf_get(pool, 65536);
		assert_int_equal(buf_pin(bufs[i]), i < 2 ? 1 : -1); /* the table is full */
	}
	for (unsigned i = 0; i < 3; i++) {
		buf_put(pool, bufs[i]);
	}
	buf_put(pool, large);
	buf_pool_free(pool);
	assert_int_equal(p.removed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cursor_fields),
		cmocka_unit_test(test_cursor_error_is_sticky),
		cmocka_unit_test(test_cursor_huge_lengths),
		cmocka_unit_test(test_cursor_strings),
		cmocka_unit_test(test_big_endian),
		cmocka_unit_test(test_crc32c_vectors),
		cmocka_unit_test(test_crc32c_copy),
		cmocka_unit_test(test_crc32c_copy_of_what_changes),
		cmocka_unit_test(test_crc32c_in_pieces),
		cmocka_unit_test(test_buffers_fit_and_are_aligned),
		cmocka_unit_test(test_buffers_are_limited),
		cmocka_unit_test(test_buffers_are_reused),
		cmocka_unit_test(test_buffers_are_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
