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

#endif
