/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "ha/ship_key.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define SHIP_WIRE_IN_BYTES  (128u << 10)
#define SHIP_WIRE_OUT_BYTES (256u << 10)
/* Receive calls in one pass: what lies beyond waits in the socket, other connections get their
 * turn. */
#define SHIP_WIRE_RECEIVES 16u
/* AES-GCM may protect 2^24.5 records under one key (RFC 8446 5.5); change it long before. */
#define SHIP_WIRE_REKEY_RECORDS (1u << 22)

/* TLS_AES_128_GCM_SHA256 as it stands on the wire. */
static const unsigned char ship_cipher_id[2] = {0x13, 0x01};

/* With SSL_VERIFY_PEER a server takes a session, which a key is to OpenSSL, only with this set. */
static const unsigned char ship_context_id[] = {'y', 'o', 'k', 'e'};

struct ship_tls {
	SSL_CTX *dial;
	SSL_CTX *accept;
	BIO_METHOD *bio;
	struct ship_aead_engine *engine;
	uint8_t psk[SHIP_PSK_BYTES];
	char own_identity[SHIP_IDENTITY_TEXT_MAX];
	char peer_identity[SHIP_IDENTITY_TEXT_MAX];
};

/* ----- the key in the handshake ----------------------------------------------------------------
 */

static SSL_SESSION *ship_tls_session(SSL *ssl, const struct ship_tls *tls)
{
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, ship_cipher_id);
	SSL_SESSION *session = SSL_SESSION_new();

	if (!cipher || !session ||
		!SSL_SESSION_set1_master_key(session, tls->psk, SHIP_PSK_BYTES) ||
		!SSL_SESSION_set1_id_context(session, ship_context_id, sizeof(ship_context_id)) ||
		!SSL_SESSION_set_cipher(session, cipher) ||
		!SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION)) {
		SSL_SESSION_free(session);
		return NULL;
	}
	return session;
}

static struct ship_tls *ship_tls_of(SSL *ssl)
{
	return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static int ship_tls_use_psk(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_length,
	SSL_SESSION **session)
{
	struct ship_tls *tls = ship_tls_of(ssl);

	*session = NULL;
	if (md && !EVP_MD_is_a(md, "SHA256")) {
		return 1; /* asked for another hash: this key is not for it */
	}
	*session = ship_tls_session(ssl, tls);
	*id = (const unsigned char *)tls->own_identity;
	*id_length = strlen(tls->own_identity);
	return *session != NULL;
}

static int ship_tls_find_psk(
	SSL *ssl, const unsigned char *id, size_t id_length, SSL_SESSION **session)
{
	struct ship_tls *tls = ship_tls_of(ssl);

	*session = NULL;
	/* The other controller only: our own hello, reflected, does not get in. */
	if (id_length != strlen(tls->peer_identity) ||
		CRYPTO_memcmp(id, tls->peer_identity, id_length) != 0) {
		return 1; /* no such key: the handshake fails for want of a certificate */
	}
	*session = ship_tls_session(ssl, tls);
	return *session != NULL;
}

/*
 * OpenSSL hands the secrets of the records over as lines of a key log: label, the hello's random,
 * secret, the latter two in hexadecimal. It wipes the line itself.
 */
static void ship_tls_secret(const SSL *ssl, const char *line)
{
	static const char *const labels[] = {
		"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};
	const char *text = strrchr(line, ' ');
	struct ship_wire *wire = SSL_get_app_data(ssl);
	uint8_t secret[SHIP_SECRET_BYTES];
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		bool ours = (i == 0) == wire->dialler;

		if (strncmp(line, labels[i], strlen(labels[i])) == 0 && text &&
			OPENSSL_hexstr2buf_ex(secret, sizeof(secret), &size, text + 1, '\0') &&
			size == sizeof(secret)) {
			ship_keys_set(
				ours ? &wire->tx : &wire->rx, wire->tls->engine, ours, secret);
		}
	}
	OPENSSL_cleanse(secret, sizeof(secret));
}

static SSL_CTX *ship_tls_context(struct ship_tls *tls, const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx) {
		return NULL;
	}
	SSL_CTX_set_app_data(ctx, tls);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* No certificate can pass: there is no authority. Only the key lets anybody in. */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_keylog_callback(ctx, ship_tls_secret);
	SSL_CTX_set_psk_use_session_callback(ctx, ship_tls_use_psk);
	SSL_CTX_set_psk_find_session_callback(ctx, ship_tls_find_psk);
	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
		!SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
		!SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") ||
		!SSL_CTX_set_num_tickets(ctx, 0) ||
		!SSL_CTX_set_session_id_context(ctx, ship_context_id, sizeof(ship_context_id))) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* ----- the socket as a BIO ---------------------------------------------------------------------
 */

/* Puts what has arrived behind what is left; false when nothing came, also for want of a turn. */
static bool ship_wire_receive(struct ship_wire *wire)
{
	struct ship_pipe *in = &wire->in;
	ssize_t n;

	if (wire->receives == 0 || wire->eof || wire->error) {
		return false;
	}
	wire->receives--;
	memmove(in->bytes, in->bytes + in->start, in->end - in->start);
	in->end -= in->start;
	in->start = 0;
	n = recv(wire->fd, in->bytes + in->end, in->size - in->end, 0);
	if (n <= 0) {
		wire->eof = n == 0;
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			wire->error = errno;
		}
		return false;
	}
	in->end += (size_t)n;
	/* There was no more: what comes now makes the socket readable again. */
	if (in->end < in->size) {
		wire->receives = 0;
	}
	return true;
}

static int ship_bio_read(BIO *bio, char *to, size_t size, size_t *got)
{
	struct ship_wire *wire = BIO_get_data(bio);
	struct ship_pipe *in = &wire->in;
	size_t n;

	BIO_clear_retry_flags(bio);
	if (in->start == in->end && !ship_wire_receive(wire)) {
		if (!wire->eof && !wire->error) {
			BIO_set_retry_read(bio);
		}
		return 0;
	}
	n = in->end - in->start < size ? in->end - in->start : size;
	memcpy(to, in->bytes + in->start, n);
	in->start += n;
	*got = n;
	return 1;
}

static int ship_bio_write(BIO *bio, const char *from, size_t size, size_t *put)
{
	struct ship_wire *wire = BIO_get_data(bio);
	struct ship_pipe *out = &wire->out;
	size_t n;

	BIO_clear_retry_flags(bio);
	if (out->size - out->end < size) {
		ship_wire_send(wire);
	}
	n = out->size - out->end < size ? out->size - out->end : size;
	if (n == 0) {
		BIO_set_retry_write(bio);
		return 0;
	}
	memcpy(out->bytes + out->end, from, n);
	out->end += n;
	*put = n;
	return 1;
}

static long ship_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static BIO_METHOD *ship_bio_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "yoke wire");

	if (method) {
		BIO_meth_set_read_ex(method, ship_bio_read);
		BIO_meth_set_write_ex(method, ship_bio_write);
		BIO_meth_set_ctrl(method, ship_bio_ctrl);
	}
	return method;
}

/* ----- set up ----------------------------------------------------------------------------------
 */

struct ship_tls *ship_tls_new(
	const struct conf *conf, uint8_t controller, char *error, size_t error_size)
{
	struct ship_tls *tls = calloc(1, sizeof(*tls));

	if (!tls) {
		snprintf(error, error_size, "interconnect: out of memory");
		return NULL;
	}
	if (ship_key_load(conf->interconnect_key_path, conf->cluster, tls->psk, error, error_size) <
		0) {
		goto fail;
	}
	snprintf(tls->own_identity, sizeof(tls->own_identity), "yoke:%s:%u", conf->cluster,
		controller);
	snprintf(tls->peer_identity, sizeof(tls->peer_identity), "yoke:%s:%u", conf->cluster,
		YOKE_CONTROLLERS + 1 - controller);
	tls->dial = ship_tls_context(tls, TLS_client_method());
	tls->accept = ship_tls_context(tls, TLS_server_method());
	tls->bio = ship_bio_method();
	tls->engine = ship_aead_engine_new(false);
	if (!tls->dial || !tls->accept || !tls->bio || !tls->engine) {
		snprintf(error, error_size,
			"interconnect: OpenSSL offers no TLS 1.3 with TLS_AES_128_GCM_SHA256: %s; "
			"check the system's openssl.cnf",
			ERR_reason_error_string(ERR_peek_error()));
		ERR_clear_error();
		goto fail;
	}
	log_info("interconnect: AES-128-GCM by %s", ship_aead_engine_name(tls->engine));
	return tls;

fail:
	ship_tls_free(tls);
	return NULL;
}

void ship_tls_free(struct ship_tls *tls)
{
	if (!tls) {
		return;
	}
	SSL_CTX_free(tls->dial);
	SSL_CTX_free(tls->accept);
	BIO_meth_free(tls->bio);
	ship_aead_engine_free(tls->engine);
	OPENSSL_cleanse(tls, sizeof(*tls));
	free(tls);
}

int ship_wire_open(struct ship_wire *wire, struct ship_tls *tls, int fd, bool dialler)
{
	BIO *bio = NULL;

	*wire = (struct ship_wire){
		.tls = tls, .dialler = dialler, .fd = fd, .rekey_after = SHIP_WIRE_REKEY_RECORDS};
	wire->in =
		(struct ship_pipe){.bytes = malloc(SHIP_WIRE_IN_BYTES), .size = SHIP_WIRE_IN_BYTES};
	wire->out = (struct ship_pipe){
		.bytes = malloc(SHIP_WIRE_OUT_BYTES), .size = SHIP_WIRE_OUT_BYTES};
	wire->ssl = SSL_new(dialler ? tls->dial : tls->accept);
	bio = BIO_new(tls->bio);
	if (!wire->in.bytes || !wire->out.bytes || !wire->ssl || !bio) {
		BIO_free(bio);
		ship_wire_close(wire);
		ERR_clear_error();
		return -ENOMEM;
	}
	BIO_set_data(bio, wire);
	BIO_set_init(bio, 1);
	SSL_set_bio(wire->ssl, bio, bio);
	SSL_set_app_data(wire->ssl, wire);
	if (dialler) {
		SSL_set_connect_state(wire->ssl);
	} else {
		SSL_set_accept_state(wire->ssl);
	}
	return 0;
}

void ship_wire_close(struct ship_wire *wire)
{
	SSL_free(wire->ssl);
	ship_keys_clear(&wire->rx);
	ship_keys_clear(&wire->tx);
	free(wire->in.bytes);
	free(wire->out.bytes);
	*wire = (struct ship_wire){.fd = -1};
}

/* ----- bytes -----------------------------------------------------------------------------------
 */

static enum ship_wire_result ship_wire_result_of(struct ship_wire *wire, int rc)
{
	int error = SSL_get_error(wire->ssl, rc);

	if (wire->error) {
		return SHIP_WIRE_FAILED;
	}
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		return wire->eof ? SHIP_WIRE_CLOSED : SHIP_WIRE_WAIT;
	}
	return wire->eof || error == SSL_ERROR_ZERO_RETURN ? SHIP_WIRE_CLOSED : SHIP_WIRE_FAILED;
}

/* The handshake is over: from here on the records are ours. */
static enum ship_wire_result ship_wire_take_over(struct ship_wire *wire)
{
	if (!SSL_session_reused(wire->ssl)) {
		return SHIP_WIRE_FAILED; /* finished without the key: must not happen */
	}
	/* OpenSSL reads one record at a time: what follows the handshake is still in our pipe. */
	if (!wire->rx.aead || !wire->tx.aead || SSL_has_pending(wire->ssl)) {
		wire->why = "no keys from the handshake";
		return SHIP_WIRE_FAILED;
	}
	SSL_free(wire->ssl);
	wire->ssl = NULL;
	return SHIP_WIRE_OK;
}

enum ship_wire_result ship_wire_handshake(struct ship_wire *wire)
{
	enum ship_wire_result result, sent;
	int rc;

	wire->receives = SHIP_WIRE_RECEIVES;
	rc = SSL_do_handshake(wire->ssl);
	result = rc == 1 ? ship_wire_take_over(wire) : ship_wire_result_of(wire, rc);
	/* An alert must get out as well. */
	sent = ship_wire_send(wire);
	return sent == SHIP_WIRE_FAILED ? sent : result;
}

static enum ship_wire_result ship_wire_wrong(struct ship_wire *wire, const char *why)
{
	wire->why = why;
	return SHIP_WIRE_FAILED;
}

/* A record that is not data: new keys, or the end. `bytes` is what it holds. */
static enum ship_wire_result ship_wire_control(
	struct ship_wire *wire, const struct ship_record *record, const uint8_t *bytes)
{
	static const uint8_t key_update[] = {24, 0, 0, 1}; /* with one byte (RFC 8446 4.6.3) */

	if (record->type == SHIP_RECORD_ALERT && record->size == 2) {
		/* close_notify, or what is wrong with us (RFC 8446 6). */
		return bytes[1] == 0 ? SHIP_WIRE_CLOSED
				     : ship_wire_wrong(wire, "alert of the peer");
	}
	if (record->type != SHIP_RECORD_HANDSHAKE || record->size != sizeof(key_update) + 1 ||
		memcmp(bytes, key_update, sizeof(key_update)) != 0 ||
		bytes[sizeof(key_update)] > 1) {
		return ship_wire_wrong(wire, "a record that does not belong here");
	}
	wire->update_owed = wire->update_owed || bytes[sizeof(key_update)] == 1;
	return ship_keys_update(&wire->rx) ? SHIP_WIRE_OK : ship_wire_wrong(wire, "out of memory");
}

/* A whole record, of the pipe or the socket. */
static enum ship_wire_result ship_wire_record(struct ship_wire *wire, struct ship_record *record)
{
	struct ship_pipe *in = &wire->in;
	enum ship_record_result found;

	do {
		found = ship_record_find(in->bytes + in->start, in->end - in->start, record);
	} while (found == SHIP_RECORD_SHORT && ship_wire_receive(wire));
	if (found == SHIP_RECORD_BAD) {
		return ship_wire_wrong(wire, "not a record");
	}
	if (found == SHIP_RECORD_SHORT) {
		if (wire->error) {
			return SHIP_WIRE_FAILED;
		}
		return wire->eof ? SHIP_WIRE_CLOSED : SHIP_WIRE_WAIT;
	}
	in->start += record->wire_size;
	return SHIP_WIRE_OK;
}

/* Takes bytes of the record that the last caller had not room enough for. */
static size_t ship_wire_take(struct ship_wire *wire, void *to, size_t size)
{
	size_t n = wire->plain_left < size ? wire->plain_left : size;

	memcpy(to, wire->plain, n);
	wire->plain += n;
	wire->plain_left -= n;
	return n;
}

enum ship_wire_result ship_wire_read(struct ship_wire *wire, void *to, size_t size, size_t *got)
{
	enum ship_wire_result result = SHIP_WIRE_OK;
	struct ship_record record;

	*got = 0;
	while (result == SHIP_WIRE_OK && *got == 0) {
		uint8_t *here;

		if (wire->plain_left > 0) {
			*got = ship_wire_take(wire, to, size);
			break;
		}
		result = ship_wire_record(wire, &record);
		if (result != SHIP_WIRE_OK) {
			break;
		}
		here = record.room <= size ? to
					   : wire->in.bytes + wire->in.start - record.wire_size +
						     SHIP_RECORD_HEADER_BYTES;
		if (!ship_record_open(&wire->rx, &record, here)) {
			result = ship_wire_wrong(wire, "a record that the peer has not sent");
		} else if (record.type != SHIP_RECORD_DATA) {
			result = ship_wire_control(wire, &record, here);
		} else if (here == to) {
			*got = record.size;
		} else {
			wire->plain = here;
			wire->plain_left = record.size;
		}
	}
	return result;
}

/* Room for a record with so much in it; sends what is there when there is none. */
static bool ship_wire_has_room(struct ship_wire *wire, size_t size)
{
	struct ship_pipe *out = &wire->out;

	if (out->size - out->end < size + SHIP_RECORD_MORE_BYTES) {
		ship_wire_send(wire);
	}
	return out->size - out->end >= size + SHIP_RECORD_MORE_BYTES;
}

static bool ship_wire_seal(
	struct ship_wire *wire, enum ship_record_type type, const void *from, size_t size)
{
	struct ship_pipe *out = &wire->out;

	if (!ship_record_seal(&wire->tx, type, from, size, out->bytes + out->end)) {
		wire->why = "a record cannot be encrypted";
		return false;
	}
	out->end += size + SHIP_RECORD_MORE_BYTES;
	return true;
}

/* Tells the peer that another key follows, and takes it (RFC 8446 4.6.3). */
static enum ship_wire_result ship_wire_rekey(struct ship_wire *wire)
{
	static const uint8_t message[] = {24, 0, 0, 1, 0}; /* update_not_requested */

	if (!ship_wire_has_room(wire, sizeof(message))) {
		return wire->error ? SHIP_WIRE_FAILED : SHIP_WIRE_WAIT;
	}
	if (!ship_wire_seal(wire, SHIP_RECORD_HANDSHAKE, message, sizeof(message))) {
		return SHIP_WIRE_FAILED;
	}
	wire->update_owed = false;
	return ship_keys_update(&wire->tx) ? SHIP_WIRE_OK : ship_wire_wrong(wire, "out of memory");
}

enum ship_wire_result ship_wire_write(
	struct ship_wire *wire, const void *from, size_t size, size_t *put)
{
	enum ship_wire_result result = SHIP_WIRE_OK;
	size_t n = size < SHIP_RECORD_BYTES ? size : SHIP_RECORD_BYTES;

	if (wire->update_owed || wire->tx.number >= wire->rekey_after) {
		result = ship_wire_rekey(wire);
	}
	if (result != SHIP_WIRE_OK) {
		return result;
	}
	if (!ship_wire_has_room(wire, n)) {
		return wire->error ? SHIP_WIRE_FAILED : SHIP_WIRE_WAIT;
	}
	if (!ship_wire_seal(wire, SHIP_RECORD_DATA, from, n)) {
		return SHIP_WIRE_FAILED;
	}
	*put = n;
	return SHIP_WIRE_OK;
}

enum ship_wire_result ship_wire_send(struct ship_wire *wire)
{
	struct ship_pipe *out = &wire->out;

	while (out->start < out->end) {
		ssize_t n = send(wire->fd, out->bytes + out->start, out->end - out->start,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && errno == EAGAIN) {
			break;
		}
		if (n < 0) {
			wire->error = errno;
			return SHIP_WIRE_FAILED;
		}
		out->start += (size_t)n;
	}
	if (out->start == out->end) {
		out->start = out->end = 0;
		return SHIP_WIRE_OK;
	}
	/* Room at the end again, when moving the rest costs little. */
	if (out->start > out->size / 2) {
		memmove(out->bytes, out->bytes + out->start, out->end - out->start);
		out->end -= out->start;
		out->start = 0;
	}
	return SHIP_WIRE_WAIT;
}

bool ship_wire_pending(const struct ship_wire *wire)
{
	return wire->out.start < wire->out.end;
}

void ship_wire_pass(struct ship_wire *wire)
{
	wire->receives = SHIP_WIRE_RECEIVES;
}

void ship_wire_why(struct ship_wire *wire, char *why, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	if (wire->error) {
		snprintf(why, size, "%s", strerror(wire->error));
	} else if (wire->why) {
		snprintf(why, size, "TLS: %s", wire->why);
	} else if (reason) {
		snprintf(why, size, "TLS: %s", reason);
	} else {
		snprintf(why, size, "TLS: the peer has not proved that it has the key");
	}
	ERR_clear_error();
}
