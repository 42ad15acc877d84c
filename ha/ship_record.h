/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records of TLS 1.3 under TLS_AES_128_GCM_SHA256, from the application traffic secrets on
 * (RFC 8446 5.2, 7.2, 7.3): what OpenSSL does after its handshake, without its copies. No sockets
 * and no state beyond the keys.
 */
#ifndef YOKE_HA_SHIP_RECORD_H
#define YOKE_HA_SHIP_RECORD_H

#include "ha/ship_aead.h"

#define SHIP_SECRET_BYTES	 32u
#define SHIP_RECORD_HEADER_BYTES 5u
#define SHIP_RECORD_BYTES	 16384u /* most data in one */
/* What sealing adds: header, content type, tag. */
#define SHIP_RECORD_MORE_BYTES (SHIP_RECORD_HEADER_BYTES + 1u + SHIP_AEAD_TAG_BYTES)
/* Most that one may have between header and end: 256 for padding, type and tag. */
#define SHIP_RECORD_BODY_BYTES (SHIP_RECORD_BYTES + 256u)

/* Content types (RFC 8446 appendix B.1). */
enum ship_record_type {
	SHIP_RECORD_ALERT = 21,
	SHIP_RECORD_HANDSHAKE = 22,
	SHIP_RECORD_DATA = 23,
};

/* One direction. All zero before it is set and after it is cleared. */
struct ship_keys {
	const struct ship_aead_engine *engine;
	struct ship_aead *aead;
	bool seals;
	uint8_t secret[SHIP_SECRET_BYTES];
	uint8_t iv[SHIP_AEAD_NONCE_BYTES];
	uint64_t number; /* of the next record: how many there were under this key */
};

/* From a traffic secret, or on to the next one (KeyUpdate). False: no memory. */
bool ship_keys_set(struct ship_keys *keys, const struct ship_aead_engine *engine, bool seals,
	const uint8_t secret[SHIP_SECRET_BYTES]);
bool ship_keys_update(struct ship_keys *keys);
void ship_keys_clear(struct ship_keys *keys);

/*
 * Writes a record with `size` bytes, at most SHIP_RECORD_BYTES, and SHIP_RECORD_MORE_BYTES besides.
 * False: the library failed.
 */
bool ship_record_seal(struct ship_keys *keys, enum ship_record_type type, const void *from,
	size_t size, uint8_t *to);

enum ship_record_result {
	SHIP_RECORD_OK,
	SHIP_RECORD_SHORT, /* more bytes are needed */
	SHIP_RECORD_BAD, /* none that we take */
};

/* A record that has come in. */
struct ship_record {
	const uint8_t *bytes;
	size_t wire_size; /* of all of it */
	size_t room; /* what it may hold: opening it writes so many bytes */
	/* Known when it is open. */
	size_t size;
	uint8_t type; /* not 0 */
};

/* Is there a whole one at `bytes`? It stays there. */
enum ship_record_result ship_record_find(
	const uint8_t *bytes, size_t available, struct ship_record *record);

/*
 * Decrypts it: record->room bytes of `to` are written, of which record->size count. `to` may be the
 * place of the ciphertext (record->bytes + SHIP_RECORD_HEADER_BYTES). False: forged, or not well
 * formed.
 */
bool ship_record_open(struct ship_keys *keys, struct ship_record *record, uint8_t *to);

#endif
