/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <stdio.h>

#include "daemon/scsi/transport_id.h"

#define FORMAT_PORT_ISCSI 0x45 /* format 01b, protocol 5h */
#define HEADER_BYTES	  4
#define TEXT_LEAST	  20
#define ISID_DIGITS	  12

static const char separator[] = ",i,0x";

void scsi_transport_id_put(struct cursor *c, const struct scsi_identity *who)
{
	const uint8_t *isid = who->isid;
	char text[SCSI_NAME_MAX + sizeof(separator) + ISID_DIGITS];
	int length = snprintf(text, sizeof(text), "%s%s%02x%02x%02x%02x%02x%02x", who->initiator,
		separator, isid[0], isid[1], isid[2], isid[3], isid[4], isid[5]);
	size_t padded = ((size_t)length + 1 + 3) & ~(size_t)3;

	if (padded < TEXT_LEAST) {
		padded = TEXT_LEAST;
	}
	cursor_put_u8(c, FORMAT_PORT_ISCSI);
	cursor_put_u8(c, 0);
	cursor_put_u16(c, (uint16_t)padded);
	cursor_put_bytes(c, text, (size_t)length);
	cursor_put_zeros(c, padded - (size_t)length);
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A number of up to twelve digits; some leave zeros out in front. */
static bool isid_get(const char *text, size_t length, uint8_t isid[6])
{
	uint64_t value = 0;

	if (length < 1 || length > ISID_DIGITS) {
		return false;
	}
	for (size_t i = 0; i < length; i++) {
		int digit = digit_value(text[i]);

		if (digit < 0) {
			return false;
		}
		value = value << 4 | (unsigned)digit;
	}
	for (int i = 5; i >= 0; i--) {
		isid[i] = (uint8_t)value;
		value >>= 8;
	}
	return true;
}

/* Names are compared as login has normalized them: in lower case. */
static bool name_get(const char *text, size_t length, char to[SCSI_NAME_MAX])
{
	if (length < 1 || length >= SCSI_NAME_MAX) {
		return false;
	}
	memset(to, 0, SCSI_NAME_MAX);
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] <= ' ') {
			return false;
		}
		to[i] = (char)tolower((unsigned char)text[i]);
	}
	return true;
}

bool scsi_transport_id_get(struct cursor *c, struct scsi_identity *who)
{
	uint8_t format = cursor_get_u8(c);
	size_t bytes, length, at;
	const char *text;

	cursor_get_u8(c);
	bytes = cursor_get_u16(c);
	text = (const char *)cursor_take(c, bytes);
	if (!text || format != FORMAT_PORT_ISCSI || bytes < TEXT_LEAST || bytes % 4) {
		return false;
	}
	length = strnlen(text, bytes);
	if (length == bytes) {
		return false; /* no NUL */
	}
	for (at = length; at > 0; at--) {
		if (length - at >= sizeof(separator) - 1 &&
			memcmp(text + at, separator, sizeof(separator) - 1) == 0) {
			size_t isid = at + sizeof(separator) - 1;

			return name_get(text, at, who->initiator) &&
			       isid_get(text + isid, length - isid, who->isid);
		}
	}
	return false;
}
