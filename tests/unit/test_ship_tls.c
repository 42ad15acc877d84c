/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection whose one end is OpenSSL from the first byte to the last, as it was in both ends of
 * Yoke up to 0.1: handshake, data, new keys and the end, in either role.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ha/ship_key.h"
#include "ha/ship_tls.h"
#include "yoke/util.h"

#define BYTES 300000u

struct rig {
	char key_path[64];
	struct conf conf;
	struct ship_tls *tls;
	struct ship_wire wire;
	bool wire_done;
	uint8_t psk[SHIP_PSK_BYTES];
	int fds[2]; /* ours, the peer's */
	SSL_CTX *ctx;
	SSL *peer;
	uint8_t *plain, *got;
};

static SSL_SESSION *peer_session(SSL *ssl)
{
	static const unsigned char cipher[2] = {0x13, 0x01};
	struct rig *rig = SSL_get_app_data(ssl);
	SSL_SESSION *session = SSL_SESSION_new();

	assert_int_equal(SSL_SESSION_set1_master_key(session, rig->psk, sizeof(rig->psk)), 1);
	SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, cipher));
	SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION);
	return session;
}

static int peer_use(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_size,
	SSL_SESSION **session)
{
	(void)md;
	*id = (const unsigned char *)"yoke:test:2";
	*id_size = strlen("yoke:test:2");
	*session = peer_session(ssl);
	return 1;
}

static int peer_find(SSL *ssl, const unsigned char *id, size_t id_size, SSL_SESSION **session)
{
	assert_int_equal(id_size, strlen("yoke:test:1"));
	assert_memory_equal(id, "yoke:test:1", id_size);
	*session = peer_session(ssl);
	return 1;
}

static void rig_key(struct rig *rig)
{
	char error[256];
	int fd;

	snprintf(rig->key_path, sizeof(rig->key_path), "/tmp/yoke-test-XXXXXX");
	fd = mkstemp(rig->key_path);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < SHIP_KEY_MIN_BYTES; i++) {
		assert_int_equal(write(fd, "5a", 2), 2);
	}
	close(fd);
	rig->conf.cluster = "test";
	rig->conf.interconnect_key_path = rig->key_path;
	assert_int_equal(ship_key_load(rig->key_path, "test", rig->psk, error, sizeof(error)), 0);
	rig->tls = ship_tls_new(&rig->conf, 1, error, sizeof(error));
	assert_non_null(rig->tls);
}

/* Both ends in turn until both are through. */
static void rig_shake(struct rig *rig)
{
	bool peer_done = false;

	for (unsigned i = 0; i < 100 && !(rig->wire_done && peer_done); i++) {
		if (!rig->wire_done) {
			enum ship_wire_result result = ship_wire_handshake(&rig->wire);

			rig->wire_done = result == SHIP_WIRE_OK;
			assert_true(rig->wire_done || result == SHIP_WIRE_WAIT);
		}
		peer_done = peer_done || SSL_do_handshake(rig->peer) == 1;
	}
	assert_true(rig->wire_done && peer_done);
}

static struct rig *rig_new(bool dialler)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig_key(rig);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, rig->fds), 0);
	assert_int_equal(ship_wire_open(&rig->wire, rig->tls, rig->fds[0], dialler), 0);
	rig->ctx = SSL_CTX_new(dialler ? TLS_server_method() : TLS_client_method());
	SSL_CTX_set_min_proto_version(rig->ctx, TLS1_3_VERSION);
	SSL_CTX_set_num_tickets(rig->ctx, 0);
	SSL_CTX_set_mode(
		rig->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	assert_int_equal(SSL_CTX_set_ciphersuites(rig->ctx, "TLS_AES_128_GCM_SHA256"), 1);
	SSL_CTX_set_psk_use_session_callback(rig->ctx, peer_use);
	SSL_CTX_set_psk_find_session_callback(rig->ctx, peer_find);
	rig->peer = SSL_new(rig->ctx);
	SSL_set_app_data(rig->peer, rig);
	SSL_set_fd(rig->peer, rig->fds[1]);
	if (dialler) {
		SSL_set_accept_state(rig->peer);
	} else {
		SSL_set_connect_state(rig->peer);
	}
	rig->plain = malloc(BYTES);
	rig->got = malloc(BYTES);
	for (size_t i = 0; i < BYTES; i++) {
		rig->plain[i] = (uint8_t)(i * 7 + (i >> 11));
	}
	rig_shake(rig);
	return rig;
}

static void rig_free(struct rig *rig)
{
	ship_wire_close(&rig->wire);
	ship_tls_free(rig->tls);
	SSL_free(rig->peer);
	SSL_CTX_free(rig->ctx);
	close(rig->fds[0]);
	close(rig->fds[1]);
	unlink(rig->key_path);
	free(rig->plain);
	free(rig->got);
	free(rig);
}

/* From us to OpenSSL, in pieces of `piece`. */
static void send_all(struct rig *rig, size_t piece)
{
	size_t sent = 0, got = 0, n;

	while (got < BYTES) {
		size_t want = BYTES - sent < piece ? BYTES - sent : piece;

		n = 0;
		if (want > 0) {
			enum ship_wire_result result =
				ship_wire_write(&rig->wire, rig->plain + sent, want, &n);

			assert_true(result == SHIP_WIRE_OK || result == SHIP_WIRE_WAIT);
			sent += result == SHIP_WIRE_OK ? n : 0;
		}
		assert_int_not_equal(ship_wire_send(&rig->wire), SHIP_WIRE_FAILED);
		while (got < BYTES &&
			SSL_read_ex(rig->peer, rig->got + got, BYTES - got, &n) == 1) {
			got += n;
		}
	}
	assert_memory_equal(rig->got, rig->plain, BYTES);
	assert_false(ship_wire_pending(&rig->wire));
}

/* From OpenSSL to us, which read at most `piece` at a time. */
static void receive_all(struct rig *rig, size_t piece)
{
	size_t sent = 0, got = 0, n;

	while (got < BYTES) {
		enum ship_wire_result result = SHIP_WIRE_OK;

		if (sent < BYTES &&
			SSL_write_ex(rig->peer, rig->plain + sent, BYTES - sent, &n) == 1) {
			sent += n;
		}
		ship_wire_pass(&rig->wire);
		while (got < BYTES && result == SHIP_WIRE_OK) {
			size_t room = BYTES - got < piece ? BYTES - got : piece;

			result = ship_wire_read(&rig->wire, rig->got + got, room, &n);
			assert_true(result == SHIP_WIRE_OK || result == SHIP_WIRE_WAIT);
			got += result == SHIP_WIRE_OK ? n : 0;
		}
	}
	assert_memory_equal(rig->got, rig->plain, BYTES);
}

static void test_data(void **state)
{
	static const size_t pieces[] = {100, 4096, 16384, 16385, BYTES};

	(void)state;
	for (unsigned dialler = 0; dialler < 2; dialler++) {
		struct rig *rig = rig_new(dialler);

		for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
			send_all(rig, pieces[i]);
			receive_all(rig, pieces[i]);
		}
		rig_free(rig);
	}
}

/* OpenSSL changes its key, and wants us to change ours. */
static void test_peer_rekeys(void **state)
{
	(void)state;
	for (unsigned dialler = 0; dialler < 2; dialler++) {
		struct rig *rig = rig_new(dialler);

		receive_all(rig, 1000);
		assert_int_equal(SSL_key_update(rig->peer, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		receive_all(rig, 100000);
		assert_false(rig->wire.update_owed);
		assert_int_equal(SSL_key_update(rig->peer, SSL_KEY_UPDATE_REQUESTED), 1);
		receive_all(rig, 100000);
		assert_true(rig->wire.update_owed);
		send_all(rig, 5000);
		assert_false(rig->wire.update_owed);
		assert_true(rig->wire.tx.number < 100);
		send_all(rig, 5000);
		rig_free(rig);
	}
}

/* Long before a key is worn out (RFC 8446 5.5: 2^24.5 records) others follow, unasked. */
static void test_we_rekey(void **state)
{
	(void)state;
	for (unsigned dialler = 0; dialler < 2; dialler++) {
		struct rig *rig = rig_new(dialler);

		assert_true(rig->wire.rekey_after > 1000 && rig->wire.rekey_after <= 1u << 24);
		rig->wire.rekey_after = 5;
		send_all(rig, 1000);
		assert_true(rig->wire.tx.number <= 5);
		receive_all(rig, BYTES);
		send_all(rig, BYTES);
		rig_free(rig);
	}
}

static void expect_end(struct rig *rig, enum ship_wire_result wanted)
{
	char why[160];
	size_t n;

	ship_wire_pass(&rig->wire);
	assert_int_equal(ship_wire_read(&rig->wire, rig->got, BYTES, &n), wanted);
	if (wanted == SHIP_WIRE_FAILED) {
		ship_wire_why(&rig->wire, why, sizeof(why));
		assert_non_null(strstr(why, "TLS: a"));
	}
}

static void test_close(void **state)
{
	struct rig *rig = rig_new(false);

	(void)state;
	receive_all(rig, BYTES);
	SSL_shutdown(rig->peer); /* close_notify */
	expect_end(rig, SHIP_WIRE_CLOSED);
	rig_free(rig);

	rig = rig_new(false);
	receive_all(rig, BYTES);
	shutdown(rig->fds[1], SHUT_WR);
	expect_end(rig, SHIP_WIRE_CLOSED);
	rig_free(rig);
}

/* A record that somebody else has put between: both ends notice, and OpenSSL tells us. */
static void test_forged(void **state)
{
	static const uint8_t forged[SHIP_RECORD_HEADER_BYTES + 40] = {23, 3, 3, 0, 40};
	struct rig *rig = rig_new(false);
	size_t n;

	(void)state;
	assert_int_equal(write(rig->fds[0], forged, sizeof(forged)), sizeof(forged));
	assert_int_equal(SSL_read_ex(rig->peer, rig->got, BYTES, &n), 0);
	expect_end(rig, SHIP_WIRE_FAILED);
	assert_string_equal(rig->wire.why, "alert of the peer");
	rig_free(rig);

	rig = rig_new(true);
	assert_int_equal(write(rig->fds[1], forged, sizeof(forged)), sizeof(forged));
	expect_end(rig, SHIP_WIRE_FAILED);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_peer_rekeys),
		cmocka_unit_test(test_we_rekey),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
