/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TLS 1.3 with the external pre-shared key of the cluster (RFC 8446 2.2, psk_dhe_ke), and the
 * socket under it: a BIO that gathers the records of one pass into one send() and takes what has
 * arrived in one recv(). No certificates, tickets or early data.
 */
#ifndef YOKE_HA_SHIP_TLS_H
#define YOKE_HA_SHIP_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/conf.h"

/* The key and everything derived from it; read-only once made, any thread may use it. */
struct ship_tls;

/*
 * Reads conf->interconnect_key_path, derives the key of this cluster and makes the TLS contexts.
 * The file holds at least 32 bytes as hexadecimal or base64 text; it must be a regular file of
 * root or of the daemon's own user that nobody else can read. NULL with a message. Control thread.
 */
struct ship_tls *ship_tls_new(
	const struct conf *conf, uint8_t controller, char *error, size_t error_size);
void ship_tls_free(struct ship_tls *tls);

/* One direction of buffered ciphertext. */
struct ship_pipe {
	uint8_t *bytes;
	size_t size;
	size_t start; /* first byte not taken yet */
	size_t end;
};

/* What lies between the TLS engine and the socket. */
struct ship_wire {
	SSL *ssl;
	int fd;
	struct ship_pipe in;
	struct ship_pipe out;
	unsigned receives; /* recv() calls left in this pass */
	bool eof;
	int error; /* errno of the socket, 0 = none */
	uint64_t records; /* sent under the present key, about */
};

/* A TLS endpoint over `fd`, which stays the caller's. 0 or a negative errno. */
int ship_wire_open(struct ship_wire *wire, struct ship_tls *tls, int fd, bool dialler);
/* Gives memory back; the descriptor stays open. */
void ship_wire_close(struct ship_wire *wire);

enum ship_wire_result {
	SHIP_WIRE_OK,
	SHIP_WIRE_WAIT, /* for the socket: readable, or writable when ship_wire_pending() */
	SHIP_WIRE_CLOSED, /* by the peer */
	SHIP_WIRE_FAILED, /* see ship_wire_why() */
};

/* A new pass: so many recv() calls may be made until the next one. */
void ship_wire_pass(struct ship_wire *wire);

/* Goes on with the handshake; OK only when the peer has proved that it has the key. */
enum ship_wire_result ship_wire_handshake(struct ship_wire *wire);
/* Reads up to `size` bytes; *got is set when OK. */
enum ship_wire_result ship_wire_read(struct ship_wire *wire, void *to, size_t size, size_t *got);
/* Encrypts up to `size` bytes; *put is set when OK. WAIT: the same bytes (or more) again later. */
enum ship_wire_result ship_wire_write(
	struct ship_wire *wire, const void *from, size_t size, size_t *put);
/* Sends what is encrypted; OK when all has gone. */
enum ship_wire_result ship_wire_send(struct ship_wire *wire);
/* Encrypted bytes that have not been sent. */
bool ship_wire_pending(const struct ship_wire *wire);
/* Why the last call failed, for the log; empties OpenSSL's error queue. */
void ship_wire_why(struct ship_wire *wire, char *why, size_t size);

#endif
