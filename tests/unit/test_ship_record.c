/* SPDX-License-Identifier: BSD-3-Clause */
/* Records of TLS 1.3: the published example, both engines, every size, what is forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ha/ship_record.h"
#include "yoke/util.h"

/* RFC 8448, section 3: the client's secret, and the record with which it sends 0 to 49. */
static const uint8_t example_secret[SHIP_SECRET_BYTES] = {0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f,
	0x9d, 0xc0, 0x5a, 0xf8, 0x88, 0x9b, 0xce, 0x65, 0x52, 0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf,
	0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5};
static const uint8_t example_record[] = {0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6,
	0x2c, 0x94, 0xd0, 0xaf, 0xfa, 0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42,
	0xf9, 0x14, 0xaa, 0x66, 0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39,
	0x5b, 0xd5, 0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92,
	0xa2, 0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49,
	0x15, 0xe4};
#define EXAMPLE_BYTES 50u

#define WIRE_BYTES    (SHIP_RECORD_BYTES + SHIP_RECORD_MORE_BYTES)

/* A sender and a receiver, each with an engine of its own. */
struct ends {
	struct ship_aead_engine *engine[2];
	struct ship_keys tx, rx;
	uint8_t plain[SHIP_RECORD_BYTES];
	uint8_t wire[WIRE_BYTES];
	uint8_t out[WIRE_BYTES];
};

static struct ends *ends_new(bool tx_portable, bool rx_portable)
{
	struct ends *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->engine[0] = ship_aead_engine_new(tx_portable);
	e->engine[1] = ship_aead_engine_new(rx_portable);
	assert_true(ship_keys_set(&e->tx, e->engine[0], true, example_secret));
	assert_true(ship_keys_set(&e->rx, e->engine[1], false, example_secret));
	for (size_t i = 0; i < sizeof(e->plain); i++) {
		e->plain[i] = (uint8_t)(i ^ i >> 8);
	}
	return e;
}

static void ends_free(struct ends *e)
{
	ship_keys_clear(&e->tx);
	ship_keys_clear(&e->rx);
	ship_aead_engine_free(e->engine[0]);
	ship_aead_engine_free(e->engine[1]);
	free(e);
}

/* Seals so many bytes and finds the record again. */
static struct ship_record seal(struct ends *e, uint8_t type, size_t size)
{
	struct ship_record record;
	size_t all = size + SHIP_RECORD_MORE_BYTES;

	assert_true(ship_record_seal(&e->tx, type, e->plain, size, e->wire));
	for (size_t n = 0; n < all; n += n < 8 ? 1 : all - n < 8 ? 1 : 997) {
		assert_int_equal(ship_record_find(e->wire, n, &record), SHIP_RECORD_SHORT);
	}
	assert_int_equal(ship_record_find(e->wire, all, &record), SHIP_RECORD_OK);
	assert_int_equal(record.wire_size, all);
	assert_int_equal(record.room, size);
	return record;
}

static void pass(struct ends *e, size_t size)
{
	struct ship_record record = seal(e, SHIP_RECORD_DATA, size);

	assert_true(ship_record_open(&e->rx, &record, e->out));
	assert_int_equal(record.type, SHIP_RECORD_DATA);
	assert_int_equal(record.size, size);
	assert_memory_equal(e->out, e->plain, size);
}

static void test_example(void **state)
{
	(void)state;
	for (unsigned portable = 0; portable < 2; portable++) {
		struct ends *e = ends_new(portable, portable);
		struct ship_record record;

		for (size_t i = 0; i < EXAMPLE_BYTES; i++) {
			e->plain[i] = (uint8_t)i;
		}
		assert_true(ship_record_seal(
			&e->tx, SHIP_RECORD_DATA, e->plain, EXAMPLE_BYTES, e->wire));
		assert_memory_equal(e->wire, example_record, sizeof(example_record));
		assert_int_equal(ship_record_find(example_record, sizeof(example_record), &record),
			SHIP_RECORD_OK);
		assert_true(ship_record_open(&e->rx, &record, e->out));
		assert_int_equal(record.size, EXAMPLE_BYTES);
		assert_memory_equal(e->out, e->plain, EXAMPLE_BYTES);
		ends_free(e);
	}
}

static void test_every_size_and_engine(void **state)
{
	static const size_t sizes[] = {0, 1, 15, 16, 17, 31, 36, 255, 256, 4095, 4096, 4097,
		SHIP_RECORD_BYTES - 1, SHIP_RECORD_BYTES};

	(void)state;
	for (unsigned engines = 0; engines < 4; engines++) {
		struct ends *e = ends_new(engines & 1, engines & 2);

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			pass(e, sizes[i]);
		}
		for (size_t size = 0; size < 300; size++) {
			pass(e, size);
		}
		ends_free(e);
	}
}

/* The numbers of records make nonces that cross a byte's end. */
static void test_many(void **state)
{
	struct ends *e = ends_new(false, true);

	(void)state;
	for (unsigned i = 0; i < 0x10100; i++) {
		pass(e, 16);
	}
	assert_int_equal(e->tx.number, 0x10100);
	ends_free(e);
}

static void test_in_place(void **state)
{
	(void)state;
	for (unsigned portable = 0; portable < 2; portable++) {
		struct ends *e = ends_new(false, portable);
		struct ship_record record = seal(e, SHIP_RECORD_DATA, 5000);
		uint8_t *here = e->wire + SHIP_RECORD_HEADER_BYTES;

		assert_true(ship_record_open(&e->rx, &record, here));
		assert_memory_equal(here, e->plain, 5000);
		ends_free(e);
	}
}

static void test_new_keys(void **state)
{
	struct ends *e = ends_new(false, true);
	struct ship_record record;

	(void)state;
	pass(e, 100);
	assert_true(ship_keys_update(&e->tx));
	assert_int_equal(e->tx.number, 0);
	record = seal(e, SHIP_RECORD_DATA, 100);
	assert_false(ship_record_open(&e->rx, &record, e->out));
	assert_true(ship_keys_update(&e->rx));
	assert_true(ship_record_open(&e->rx, &record, e->out));
	assert_memory_equal(e->out, e->plain, 100);
	pass(e, 100);
	ends_free(e);
}

/* A bit of the header, the data, the type or the tag; a record twice; a record left out. */
static void test_forged(void **state)
{
	(void)state;
	for (unsigned portable = 0; portable < 2; portable++) {
		for (size_t bit = 0; bit < 8 * (40 + SHIP_RECORD_MORE_BYTES); bit++) {
			struct ends *e = ends_new(false, portable);
			struct ship_record record = seal(e, SHIP_RECORD_DATA, 40);

			e->wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_false(ship_record_open(&e->rx, &record, e->out));
			ends_free(e);
		}
		struct ends *e = ends_new(false, portable);
		struct ship_record record = seal(e, SHIP_RECORD_DATA, 40);

		assert_true(ship_record_open(&e->rx, &record, e->out));
		assert_false(ship_record_open(&e->rx, &record, e->out));
		ends_free(e);
		e = ends_new(false, portable);
		seal(e, SHIP_RECORD_DATA, 40);
		record = seal(e, SHIP_RECORD_DATA, 40);
		assert_false(ship_record_open(&e->rx, &record, e->out));
		ends_free(e);
	}
}

static void test_padding(void **state)
{
	struct ends *e = ends_new(false, false);
	struct ship_record record;

	(void)state;
	/* Data, its type, and zeros, of which the last takes the place of the type. */
	e->plain[10] = SHIP_RECORD_ALERT;
	memset(e->plain + 11, 0, 20);
	record = seal(e, 0, 31);
	assert_true(ship_record_open(&e->rx, &record, e->out));
	assert_int_equal(record.type, SHIP_RECORD_ALERT);
	assert_int_equal(record.size, 10);
	/* Nothing but zeros: no type at all (RFC 8446 5.4). */
	memset(e->plain, 0, sizeof(e->plain));
	record = seal(e, 0, 31);
	assert_false(ship_record_open(&e->rx, &record, e->out));
	record = seal(e, 0, 0);
	assert_false(ship_record_open(&e->rx, &record, e->out));
	ends_free(e);
}

static void test_headers(void **state)
{
	static const struct {
		uint8_t header[SHIP_RECORD_HEADER_BYTES];
		enum ship_record_result result;
	} rows[] = {
		{{23, 3, 3, 0, 17}, SHIP_RECORD_SHORT},
		{{23, 3, 3, 0, 16}, SHIP_RECORD_BAD}, /* no room for type and tag */
		{{23, 3, 3, 0, 0}, SHIP_RECORD_BAD},
		{{23, 3, 3, 0x41, 0x00}, SHIP_RECORD_SHORT},
		{{23, 3, 3, 0x41, 0x01}, SHIP_RECORD_BAD}, /* longer than any may be */
		{{23, 3, 1, 0, 17}, SHIP_RECORD_BAD},
		{{20, 3, 3, 0, 1}, SHIP_RECORD_BAD}, /* change_cipher_spec after the handshake */
		{{21, 3, 3, 0, 2}, SHIP_RECORD_BAD}, /* an alert in the clear */
		{{22, 3, 3, 0, 40}, SHIP_RECORD_BAD},
		{"GET /", SHIP_RECORD_BAD},
	};
	struct ship_record record;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ship_record_find(rows[i].header, sizeof(rows[i].header), &record),
			rows[i].result);
	}
}

/* More data than a record may have, which 256 bytes of room for padding would let through. */
static void test_too_long(void **state)
{
	struct ends *e = ends_new(false, false);
	uint8_t *plain = calloc(1, SHIP_RECORD_BYTES + 1);
	uint8_t *wire = malloc(WIRE_BYTES + 1), *out = malloc(WIRE_BYTES + 1);
	struct ship_record record;

	(void)state;
	assert_true(ship_record_seal(&e->tx, SHIP_RECORD_DATA, plain, SHIP_RECORD_BYTES + 1, wire));
	assert_int_equal(ship_record_find(wire, WIRE_BYTES + 1, &record), SHIP_RECORD_OK);
	assert_false(ship_record_open(&e->rx, &record, out));
	free(plain);
	free(wire);
	free(out);
	ends_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_every_size_and_engine),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_new_keys),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
