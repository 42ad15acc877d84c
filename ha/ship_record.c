/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_record.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "yoke/cursor.h"

#define SHIP_RECORD_VERSION 0x0303 /* whatever was agreed on (RFC 8446 5.2) */
#define SHIP_LABEL_MAX	    32u

/*
 * HKDF-Expand-Label with an empty context (RFC 8446 7.1), for at most one block of SHA-256, which
 * is all that these keys need.
 */
static bool ship_expand(
	const uint8_t secret[SHIP_SECRET_BYTES], const char *label, uint8_t *to, size_t size)
{
	static const char prefix[] = "tls13 ";
	uint8_t block[EVP_MAX_MD_SIZE], info[2 + 1 + 6 + SHIP_LABEL_MAX + 1 + 1];
	struct cursor c = cursor_over(info, sizeof(info));
	bool good;

	cursor_put_u16(&c, (uint16_t)size);
	cursor_put_u8(&c, (uint8_t)(strlen(prefix) + strlen(label)));
	cursor_put_bytes(&c, prefix, strlen(prefix));
	cursor_put_bytes(&c, label, strlen(label));
	cursor_put_u8(&c, 0); /* context */
	cursor_put_u8(&c, 1); /* the first block (RFC 5869 2.3) */
	good = cursor_ok(&c) &&
	       HMAC(EVP_sha256(), secret, SHIP_SECRET_BYTES, info, c.pos, block, NULL);
	if (good) {
		memcpy(to, block, size);
	}
	OPENSSL_cleanse(block, sizeof(block));
	return good;
}

/* Key and IV of the secret (RFC 8446 7.3). */
static bool ship_keys_derive(struct ship_keys *keys)
{
	uint8_t key[SHIP_AEAD_KEY_BYTES];

	ship_aead_free(keys->aead);
	keys->aead = NULL;
	keys->number = 0;
	if (ship_expand(keys->secret, "key", key, sizeof(key)) &&
		ship_expand(keys->secret, "iv", keys->iv, sizeof(keys->iv))) {
		keys->aead = ship_aead_new(keys->engine, keys->seals, key);
	}
	OPENSSL_cleanse(key, sizeof(key));
	return keys->aead;
}

bool ship_keys_set(struct ship_keys *keys, const struct ship_aead_engine *engine, bool seals,
	const uint8_t secret[SHIP_SECRET_BYTES])
{
	keys->engine = engine;
	keys->seals = seals;
	memcpy(keys->secret, secret, sizeof(keys->secret));
	return ship_keys_derive(keys);
}

bool ship_keys_update(struct ship_keys *keys)
{
	uint8_t next[SHIP_SECRET_BYTES];
	bool good = ship_expand(keys->secret, "traffic upd", next, sizeof(next));

	if (good) {
		memcpy(keys->secret, next, sizeof(next));
		good = ship_keys_derive(keys);
	}
	OPENSSL_cleanse(next, sizeof(next));
	return good;
}

void ship_keys_clear(struct ship_keys *keys)
{
	ship_aead_free(keys->aead);
	OPENSSL_cleanse(keys, sizeof(*keys));
}

/* The IV with the record's number (RFC 8446 5.3); no number comes twice under a key. */
static void ship_keys_nonce(struct ship_keys *keys, uint8_t nonce[SHIP_AEAD_NONCE_BYTES])
{
	uint64_t number = keys->number++;

	memcpy(nonce, keys->iv, SHIP_AEAD_NONCE_BYTES);
	for (unsigned i = SHIP_AEAD_NONCE_BYTES; number > 0; number >>= 8) {
		nonce[--i] ^= (uint8_t)number;
	}
}

bool ship_record_seal(struct ship_keys *keys, enum ship_record_type type, const void *from,
	size_t size, uint8_t *to)
{
	struct cursor c = cursor_over(to, SHIP_RECORD_HEADER_BYTES);
	uint8_t nonce[SHIP_AEAD_NONCE_BYTES];
	const struct ship_aead_job job = {
		.nonce = nonce,
		.covered = to,
		.covered_size = SHIP_RECORD_HEADER_BYTES,
		.from = from,
		.to = to + SHIP_RECORD_HEADER_BYTES,
		.size = size,
	};

	cursor_put_u8(&c, SHIP_RECORD_DATA); /* what it is stands inside */
	cursor_put_u16(&c, SHIP_RECORD_VERSION);
	cursor_put_u16(&c, (uint16_t)(size + 1 + SHIP_AEAD_TAG_BYTES));
	ship_keys_nonce(keys, nonce);
	return ship_aead_seal(keys->aead, &job, (uint8_t)type);
}

enum ship_record_result ship_record_find(
	const uint8_t *bytes, size_t available, struct ship_record *record)
{
	struct cursor c = cursor_reader(bytes, available);
	uint8_t type = cursor_get_u8(&c);
	uint16_t version = cursor_get_u16(&c);
	uint16_t body = cursor_get_u16(&c);

	if (!cursor_ok(&c)) {
		return SHIP_RECORD_SHORT;
	}
	if (type != SHIP_RECORD_DATA || version != SHIP_RECORD_VERSION ||
		body < 1 + SHIP_AEAD_TAG_BYTES || body > SHIP_RECORD_BODY_BYTES) {
		return SHIP_RECORD_BAD;
	}
	*record = (struct ship_record){
		.bytes = bytes,
		.wire_size = SHIP_RECORD_HEADER_BYTES + body,
		.room = body - 1 - SHIP_AEAD_TAG_BYTES,
	};
	return available < record->wire_size ? SHIP_RECORD_SHORT : SHIP_RECORD_OK;
}

bool ship_record_open(struct ship_keys *keys, struct ship_record *record, uint8_t *to)
{
	uint8_t nonce[SHIP_AEAD_NONCE_BYTES];
	const struct ship_aead_job job = {
		.nonce = nonce,
		.covered = record->bytes,
		.covered_size = SHIP_RECORD_HEADER_BYTES,
		.from = record->bytes + SHIP_RECORD_HEADER_BYTES,
		.to = to,
		.size = record->room,
	};

	ship_keys_nonce(keys, nonce);
	record->size = record->room;
	if (!ship_aead_open(keys->aead, &job, &record->type)) {
		return false;
	}
	/* Zeros after the type are padding (RFC 8446 5.4). */
	while (record->type == 0 && record->size > 0) {
		record->type = to[--record->size];
	}
	return record->type != 0 && record->size <= SHIP_RECORD_BYTES;
}
