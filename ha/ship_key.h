/* SPDX-License-Identifier: BSD-3-Clause */
/* The interconnect's key file. Control thread. */
#ifndef YOKE_HA_SHIP_KEY_H
#define YOKE_HA_SHIP_KEY_H

#include <stddef.h>
#include <stdint.h>

#define SHIP_KEY_MIN_BYTES     32u
#define SHIP_KEY_MAX_BYTES     1024u
#define SHIP_PSK_BYTES	       32u
#define SHIP_IDENTITY_TEXT_MAX 288u

/*
 * The text of a key file as key bytes: hexadecimal or base64 digits, white space allowed. Returns
 * their number, at most key_size, or -1 when it is neither or too long.
 */
int ship_key_decode(const char *text, size_t length, uint8_t *key, size_t key_size);

/*
 * Reads the key file and derives the pre-shared key of this cluster from it. The file must be
 * regular, belong to root or to the daemon's user, be closed to group and others, and hold at
 * least SHIP_KEY_MIN_BYTES bytes. 0 or a negative errno with a message; never logs key material.
 */
int ship_key_load(const char *path, const char *cluster, uint8_t psk[SHIP_PSK_BYTES], char *error,
	size_t error_size);

#endif
