/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_key.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "yoke/util.h"

#define SHIP_KEY_TEXT_MAX 4096u
#define SHIP_KEY_REMEDY \
	"make one with: (umask 077; openssl rand -hex 32 > FILE), the same on both controllers"

static int ship_key_digit_base64(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int ship_key_digit_hex(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

/* Gathers digits of `bits` bits each into bytes; -1 for a character that is no digit, or no room.
 */
static int ship_key_gather(
	const char *text, size_t length, unsigned bits, uint8_t *key, size_t key_size)
{
	uint32_t acc = 0;
	unsigned held = 0;
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		int digit =
			bits == 4 ? ship_key_digit_hex(text[i]) : ship_key_digit_base64(text[i]);

		if (digit < 0) {
			return -1;
		}
		acc = acc << bits | (uint32_t)digit;
		held += bits;
		if (held >= 8) {
			if (n == key_size) {
				return -1;
			}
			held -= 8;
			key[n++] = (uint8_t)(acc >> held);
			acc &= (1u << held) - 1;
		}
	}
	/* Half a byte, or base64 bits that should be zero: cut off. */
	return held == bits || acc != 0 ? -1 : (int)n;
}

int ship_key_decode(const char *text, size_t length, uint8_t *key, size_t key_size)
{
	char digits[SHIP_KEY_TEXT_MAX] = {0};
	size_t n = 0;
	int bytes;

	for (size_t i = 0; i < length; i++) {
		if (isspace((unsigned char)text[i])) {
			continue;
		}
		if (n == sizeof(digits)) {
			return -1;
		}
		digits[n++] = text[i];
	}
	bytes = ship_key_gather(digits, n, 4, key, key_size);
	if (bytes < 0) {
		for (int pad = 0; pad < 2 && n > 0 && digits[n - 1] == '='; pad++) {
			n--;
		}
		bytes = ship_key_gather(digits, n, 6, key, key_size);
	}
	OPENSSL_cleanse(digits, sizeof(digits));
	return bytes;
}

/* The file as text; its length, or a negative errno with a message. */
static ssize_t ship_key_read(
	const char *path, char *text, size_t size, char *error, size_t error_size)
{
	int fd cleanup_close = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	ssize_t length;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int err = errno;

		snprintf(error, error_size, "interconnect key %s: %s; " SHIP_KEY_REMEDY, path,
			strerror(err));
		return -err;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(error, error_size,
			"interconnect key %s: not a regular file; " SHIP_KEY_REMEDY, path);
		return -EINVAL;
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		snprintf(error, error_size,
			"interconnect key %s: belongs to user %u; it must belong to root: chown "
			"root %s",
			path, (unsigned)st.st_uid, path);
		return -EPERM;
	}
	if (st.st_mode & (S_IRWXG | S_IRWXO)) {
		snprintf(error, error_size,
			"interconnect key %s: others than its owner have access (mode %04o); "
			"chmod 600 %s, and change the key if it may have been read",
			path, (unsigned)(st.st_mode & 07777), path);
		return -EPERM;
	}
	length = read(fd, text, size);
	if (length < 0 || (size_t)length == size) {
		int err = length < 0 ? errno : EFBIG;

		snprintf(error, error_size, "interconnect key %s: %s; " SHIP_KEY_REMEDY, path,
			strerror(err));
		return -err;
	}
	return length;
}

int ship_key_load(const char *path, const char *cluster, uint8_t psk[SHIP_PSK_BYTES], char *error,
	size_t error_size)
{
	char text[SHIP_KEY_TEXT_MAX];
	char label[SHIP_IDENTITY_TEXT_MAX];
	uint8_t key[SHIP_KEY_MAX_BYTES];
	ssize_t length;
	int bytes, err = 0;

	if (!path) {
		snprintf(error, error_size, "interconnect key: none configured; " SHIP_KEY_REMEDY);
		return -ENOENT;
	}
	length = ship_key_read(path, text, sizeof(text), error, error_size);
	if (length < 0) {
		return (int)length;
	}
	bytes = ship_key_decode(text, (size_t)length, key, sizeof(key));
	OPENSSL_cleanse(text, sizeof(text));
	if (bytes < (int)SHIP_KEY_MIN_BYTES) {
		snprintf(error, error_size, "interconnect key %s: %s; " SHIP_KEY_REMEDY, path,
			bytes < 0 ? "neither hexadecimal nor base64 text of at most 1024 bytes"
				  : "holds fewer than 32 bytes");
		err = -EINVAL;
	} else {
		/* Another cluster with the same file has another key. */
		snprintf(label, sizeof(label), "yoke interconnect 1 %s", cluster);
		if (!HMAC(EVP_sha256(), key, bytes, (const uint8_t *)label, strlen(label), psk,
			    NULL)) {
			snprintf(error, error_size,
				"interconnect key %s: OpenSSL refuses HMAC-SHA256; check the "
				"system's openssl.cnf",
				path);
			err = -EIO;
		}
	}
	OPENSSL_cleanse(key, sizeof(key));
	return err;
}
