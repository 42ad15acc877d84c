/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: what comes in on a connection of the interconnect after the handshake. The input is
 * a row of pieces: a byte that says what kind, one with a length, the bytes. Kind 0 goes onto the
 * wire as it is, as anybody may write it; any other is the content type of a record that the peer
 * has sealed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ha/ship_tls.h"
#include "tests/fuzz/drive.h"
#include "yoke/cursor.h"

#define FUZZ_WIRE_BYTES (64u << 10)
#define FUZZ_READ_BYTES 100u

static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void fuzz_put(int fd, const uint8_t *bytes, size_t size)
{
	expect(send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
}

/* What the peer's end writes. */
static void fuzz_pieces(const uint8_t *bytes, size_t size, struct ship_keys *keys, int fd)
{
	struct cursor c = cursor_reader(bytes, size);
	uint8_t record[UINT8_MAX + SHIP_RECORD_MORE_BYTES];

	while (cursor_left(&c) >= 2) {
		uint8_t kind = cursor_get_u8(&c);
		uint8_t length = cursor_get_u8(&c);
		const uint8_t *from = cursor_take(&c, length);

		if (!from) {
			break;
		}
		if (kind == 0) {
			fuzz_put(fd, from, length);
		} else {
			/* 255 stands for no type at all: zeros only are padding. */
			uint8_t type = kind == UINT8_MAX ? 0 : kind;

			expect(ship_record_seal(keys, type, from, length, record));
			fuzz_put(fd, record, length + SHIP_RECORD_MORE_BYTES);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const uint8_t secret[SHIP_SECRET_BYTES] = {1};
	struct ship_aead_engine *engine = ship_aead_engine_new(true);
	struct ship_keys peer = {0};
	struct ship_wire wire = {0};
	uint8_t to[FUZZ_READ_BYTES];
	char why[160];
	int fds[2];
	size_t got;

	if (size > FUZZ_WIRE_BYTES / 32) {
		ship_aead_engine_free(engine);
		return 0; /* it has to fit into the socket */
	}
	expect(engine && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	expect(ship_keys_set(&peer, engine, true, secret) &&
		ship_keys_set(&wire.rx, engine, false, secret));
	wire.fd = fds[0];
	wire.in = (struct ship_pipe){.bytes = malloc(FUZZ_WIRE_BYTES), .size = FUZZ_WIRE_BYTES};
	fuzz_pieces(bytes, size, &peer, fds[1]);
	close(fds[1]);
	ship_wire_pass(&wire);
	while (ship_wire_read(&wire, to, sizeof(to), &got) == SHIP_WIRE_OK) {
		expect(got > 0 && got <= sizeof(to));
	}
	ship_wire_why(&wire, why, sizeof(why));
	ship_keys_clear(&peer);
	ship_wire_close(&wire);
	ship_aead_engine_free(engine);
	close(fds[0]);
	return 0;
}

const struct fuzz_target fuzz_target = {
	.corpus = "ship_record", .every_cut = true, .every_bit = true};
