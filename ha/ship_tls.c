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
#include "yoke/util.h"

#define SHIP_WIRE_IN_BYTES  (128u << 10)
#define SHIP_WIRE_OUT_BYTES (256u << 10)
/* Receive calls in one pass: what lies beyond waits in the socket, other connections get their
 * turn. */
#define SHIP_WIRE_RECEIVES 16u
/* AES-GCM may protect 2^24.5 records under one key (RFC 8446 5.5); change it long before. */
#define SHIP_WIRE_REKEY_RECORDS (1u << 22)
#define SHIP_RECORD_BYTES	16384u

/* TLS_AES_128_GCM_SHA256 as it stands on the wire. */
static const unsigned char ship_cipher_id[2] = {0x13, 0x01};

/* With SSL_VERIFY_PEER a server takes a session, which a key is to OpenSSL, only with this set. */
static const unsigned char ship_context_id[] = {'y', 'o', 'k', 'e'};

struct ship_tls {
	SSL_CTX *dial;
	SSL_CTX *accept;
	BIO_METHOD *bio;
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

static int ship_bio_read(BIO *bio, char *to, size_t size, size_t *got)
{
	struct ship_wire *wire = BIO_get_data(bio);
	struct ship_pipe *in = &wire->in;
	size_t n;

	BIO_clear_retry_flags(bio);
	if (in->start == in->end) {
		ssize_t received = -1;

		in->start = in->end = 0;
		errno = EAGAIN;
		if (wire->receives > 0) {
			wire->receives--;
			received = recv(wire->fd, in->bytes, in->size, 0);
		}
		if (received == 0) {
			wire->eof = true;
			return 0;
		}
		if (received < 0) {
			if (errno != EAGAIN && errno != EINTR) {
				wire->error = errno;
				return 0;
			}
			BIO_set_retry_read(bio);
			return 0;
		}
		in->end = (size_t)received;
		/* There was no more: what comes now makes the socket readable again. */
		if (in->end < in->size) {
			wire->receives = 0;
		}
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
	if (!tls->dial || !tls->accept || !tls->bio) {
		snprintf(error, error_size,
			"interconnect: OpenSSL offers no TLS 1.3 with TLS_AES_128_GCM_SHA256: %s; "
			"check the system's openssl.cnf",
			ERR_reason_error_string(ERR_peek_error()));
		ERR_clear_error();
		goto fail;
	}
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
	OPENSSL_cleanse(tls, sizeof(*tls));
	free(tls);
}

int ship_wire_open(struct ship_wire *wire, struct ship_tls *tls, int fd, bool dialler)
{
	BIO *bio = NULL;

	*wire = (struct ship_wire){.fd = fd};
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

enum ship_wire_result ship_wire_handshake(struct ship_wire *wire)
{
	enum ship_wire_result result = SHIP_WIRE_OK;
	int rc;

	wire->receives = SHIP_WIRE_RECEIVES;
	rc = SSL_do_handshake(wire->ssl);
	if (rc != 1) {
		result = ship_wire_result_of(wire, rc);
	} else if (!SSL_session_reused(wire->ssl)) {
		result = SHIP_WIRE_FAILED; /* finished without the key: must not happen */
	}
	/* An alert must get out as well. */
	if (ship_wire_send(wire) == SHIP_WIRE_FAILED) {
		return SHIP_WIRE_FAILED;
	}
	return result;
}

enum ship_wire_result ship_wire_read(struct ship_wire *wire, void *to, size_t size, size_t *got)
{
	int rc = SSL_read_ex(wire->ssl, to, size, got);

	return rc == 1 ? SHIP_WIRE_OK : ship_wire_result_of(wire, rc);
}

enum ship_wire_result ship_wire_write(
	struct ship_wire *wire, const void *from, size_t size, size_t *put)
{
	int rc;

	if (wire->records > SHIP_WIRE_REKEY_RECORDS) {
		if (SSL_key_update(wire->ssl, SSL_KEY_UPDATE_NOT_REQUESTED)) {
			wire->records = 0;
		} else {
			ERR_clear_error(); /* a write is half done: next time */
		}
	}
	rc = SSL_write_ex(wire->ssl, from, size, put);
	if (rc != 1) {
		return ship_wire_result_of(wire, rc);
	}
	wire->records += 1 + *put / SHIP_RECORD_BYTES;
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
	} else if (reason) {
		snprintf(why, size, "TLS: %s", reason);
	} else {
		snprintf(why, size, "TLS: the peer has not proved that it has the key");
	}
	ERR_clear_error();
}
