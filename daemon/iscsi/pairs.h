/* SPDX-License-Identifier: BSD-3-Clause */
/* key=value pairs, each ended by a NUL (RFC 7143 6.1): taking them apart, putting them down. */
#ifndef YOKE_ISCSI_PAIRS_H
#define YOKE_ISCSI_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/cursor.h"
#include "yoke/util.h"

#define ISCSI_KEY_MAX	63u /* bytes of a key's name, RFC 7143 6.1 */
#define ISCSI_VALUE_MAX 255u /* bytes of a value that is no binary, RFC 7143 6.1 */

/* A binary value of a CHAP key has at most 1,024 bytes (RFC 7143 12.1.3); as text 0x and digits. */
#define ISCSI_BINARY_MAX      1024u
#define ISCSI_BINARY_TEXT_MAX (2u + 2u * ISCSI_BINARY_MAX)

/* One pair inside the text it was found in; value[value_length] is its NUL. */
struct iscsi_pair {
	const char *key;
	size_t key_length;
	const char *value;
	size_t value_length;
};

enum iscsi_pair_result {
	ISCSI_PAIR_FOUND,
	ISCSI_PAIR_END,
	ISCSI_PAIR_BAD
};

/*
 * The next pair of complete text. NULs between pairs are skipped: some initiators count their
 * padding in. After BAD, *why says what is wrong.
 */
enum iscsi_pair_result iscsi_pair_next(
	struct cursor *text, struct iscsi_pair *pair, const char **why);

bool iscsi_pair_value_is(const struct iscsi_pair *pair, const char *value);

/* Writes one whole pair with its NUL, or nothing: false when it does not fit. */
bool iscsi_pair_put(struct cursor *out, const char *key, size_t key_length, const char *value);
bool iscsi_pair_putf(struct cursor *out, const char *key, const char *format, ...)
	YOKE_PRINTF(3, 4);

/* A number, decimal without leading zeros or 0x with hexadecimal digits (RFC 7143 6.1), below 2^32.
 */
bool iscsi_number_parse(const char *text, size_t length, uint32_t *number);

/*
 * A binary value (RFC 7143 6.1): 0x and hexadecimal digits, an odd number of them for a first byte
 * below 16, or 0b and base64 with its padding (RFC 4648 4). *bytes is set to its length. False when
 * it is none, or longer than `size`.
 */
bool iscsi_binary_parse(
	const char *text, size_t length, uint8_t *binary, size_t size, size_t *bytes);

/* Writes key=0x... or nothing: false when it does not fit. At most 126 bytes. */
bool iscsi_pair_put_binary(
	struct cursor *out, const char *key, const uint8_t *binary, size_t bytes);

#endif
