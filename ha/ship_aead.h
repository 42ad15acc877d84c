/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-128-GCM (NIST SP 800-38D) for the records of the interconnect: by OpenSSL, or by Intel's
 * IPsec-MB, where Yoke was built with it and the processor has the instructions. The bytes are the
 * same.
 */
#ifndef YOKE_HA_SHIP_AEAD_H
#define YOKE_HA_SHIP_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHIP_AEAD_KEY_BYTES   16u
#define SHIP_AEAD_NONCE_BYTES 12u
#define SHIP_AEAD_TAG_BYTES   16u

/* What does it; read-only once made, any thread may use it. */
struct ship_aead_engine;

/*
 * The fastest there is, or OpenSSL's if `portable`. NULL when there is no memory, or OpenSSL, which
 * must have the cipher in any case, does not have it.
 */
struct ship_aead_engine *ship_aead_engine_new(bool portable);
void ship_aead_engine_free(struct ship_aead_engine *engine);
const char *ship_aead_engine_name(const struct ship_aead_engine *engine);

/* One key in one direction; one thread at a time. */
struct ship_aead;

/* The engine must outlive it. NULL: no memory. */
struct ship_aead *ship_aead_new(
	const struct ship_aead_engine *engine, bool seals, const uint8_t key[SHIP_AEAD_KEY_BYTES]);
void ship_aead_free(struct ship_aead *aead); /* wipes the key */

/* What is encrypted together: `size` bytes, and one more, as TLS 1.3 has its records (RFC 8446
 * 5.2). */
struct ship_aead_job {
	const uint8_t *nonce; /* SHIP_AEAD_NONCE_BYTES */
	const uint8_t *covered; /* what the tag covers besides */
	size_t covered_size;
	const uint8_t *from;
	uint8_t *to; /* may be `from` */
	size_t size;
};

/* Writes size + 1 bytes of ciphertext and the tag to job->to. False: the library failed. */
bool ship_aead_seal(struct ship_aead *aead, const struct ship_aead_job *job, uint8_t last);

/*
 * Reads size + 1 bytes of ciphertext and the tag from job->from; `size` bytes go to job->to, the
 * last one to *last. False: not what was sealed, and then nobody may look at what has been written.
 */
bool ship_aead_open(struct ship_aead *aead, const struct ship_aead_job *job, uint8_t *last);

#endif
