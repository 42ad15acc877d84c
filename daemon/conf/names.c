// SPDX-License-Identifier: BSD-3-Clause
#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "names.h"

static bool ascii_is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
	if (ascii_is_digit(c)) {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

const char *conf_name_problem(const char *text)
{
	size_t length = strlen(text);

	if (!length) {
		return "is empty";
	}
	if (length > CONF_NAME_MAX) {
		return "is too long";
	}
	if (!ascii_is_alnum(text[0])) {
		return "does not start with a letter or digit";
	}
	for (size_t i = 0; i < length; i++) {
		if (!ascii_is_alnum(text[i]) && !strchr("._-", text[i])) {
			return "has a character that names cannot have";
		}
	}
	return NULL;
}

/* iqn.YYYY-MM.naming-authority[:anything] */
static const char *iqn_problem(const char *text)
{
	static const char form[] = "dddd-dd."; /* d = digit */
	const char *date = text + 4;

	for (size_t i = 0; form[i]; i++) {
		if (form[i] == 'd' ? !ascii_is_digit(date[i]) : date[i] != form[i]) {
			return "has no date (YYYY-MM.) after \"iqn.\"";
		}
	}
	if (date[5] > '1' || (date[5] == '1' && date[6] > '2') ||
		(date[5] == '0' && date[6] == '0')) {
		return "has a month that does not exist";
	}
	if (!ascii_is_alnum(date[8])) {
		return "has no naming authority (a reversed domain name) after the date";
	}
	for (const char *p = date; *p; p++) {
		if (!ascii_is_alnum(*p) && !strchr(".-:", *p)) {
			return "has a character that iSCSI names cannot have";
		}
	}
	return NULL;
}

const char *conf_iscsi_name_problem(const char *text)
{
	size_t length = strlen(text);
	bool hex = length > 4;

	if (length > CONF_ISCSI_NAME_MAX) {
		return "is too long";
	}
	if (!strncasecmp(text, "iqn.", 4)) {
		return iqn_problem(text);
	}
	for (size_t i = 4; i < length; i++) {
		hex = hex && hex_digit(text[i]) >= 0;
	}
	if (!strncasecmp(text, "eui.", 4)) {
		return hex && length == 4 + 16 ? NULL : "is not \"eui.\" and 16 hexadecimal digits";
	}
	if (!strncasecmp(text, "naa.", 4)) {
		return hex && (length == 4 + 16 || length == 4 + 32)
			       ? NULL
			       : "is not \"naa.\" and 16 or 32 hexadecimal digits";
	}
	return "is no iSCSI name";
}

/* Cuts "host", "host:port", "[host]" or "[host]:port" in two; a bare IPv6 address has no port. */
static const char *address_split(const char *text, char host[static 64], const char **port)
{
	const char *begin = text, *end;

	*port = NULL;
	if (*text == '[') {
		begin = text + 1;
		end = strchr(begin, ']');
		if (!end) {
			return "has no closing bracket";
		}
		if (end[1] == ':') {
			*port = end + 2;
		} else if (end[1]) {
			return "has something behind the closing bracket that is no port";
		}
	} else {
		end = strchr(begin, ':');
		if (end && strchr(end + 1, ':')) {
			end = NULL;
		}
		if (end) {
			*port = end + 1;
		} else {
			end = begin + strlen(begin);
		}
	}
	if ((size_t)(end - begin) >= 64) {
		return "is too long";
	}
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	return strchr(host, '%') ? "has a zone (%), which is not supported" : NULL;
}

static bool port_parse(const char *text, uint16_t *port)
{
	unsigned value = 0;

	for (size_t i = 0; text[i]; i++) {
		if (!ascii_is_digit(text[i]) || i >= 5) {
			return false;
		}
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*port = (uint16_t)value;
	return value > 0 && value <= 65535;
}

static const char *address_v4(const struct in_addr *in, uint16_t port, struct conf_address *address)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&address->addr;
	uint32_t host = ntohl(in->s_addr);
	char text[INET_ADDRSTRLEN];

	if (host >> 24 == 0 || host >= 0xe0000000u) {
		return "is a wildcard, multicast or reserved address; initiators could not be told "
		       "of it";
	}
	sin->sin_family = AF_INET;
	sin->sin_addr = *in;
	sin->sin_port = htons(port);
	address->length = sizeof(*sin);
	inet_ntop(AF_INET, in, text, sizeof(text));
	snprintf(address->text, sizeof(address->text), "%s:%u", text, port);
	return NULL;
}

static const char *address_v6(
	const struct in6_addr *in, uint16_t port, struct conf_address *address)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)(void *)&address->addr;
	char text[INET6_ADDRSTRLEN];

	if (IN6_IS_ADDR_UNSPECIFIED(in) || IN6_IS_ADDR_MULTICAST(in)) {
		return "is a wildcard or multicast address; initiators could not be told of it";
	}
	if (IN6_IS_ADDR_LINKLOCAL(in) || IN6_IS_ADDR_V4MAPPED(in)) {
		return "is a link-local or IPv4-mapped address, which is not supported";
	}
	sin6->sin6_family = AF_INET6;
	sin6->sin6_addr = *in;
	sin6->sin6_port = htons(port);
	address->length = sizeof(*sin6);
	inet_ntop(AF_INET6, in, text, sizeof(text));
	snprintf(address->text, sizeof(address->text), "[%s]:%u", text, port);
	return NULL;
}

const char *conf_address_parse(const char *text, uint16_t port, struct conf_address *address)
{
	struct in_addr in4;
	struct in6_addr in6;
	const char *port_text, *problem;
	char host[64];

	*address = (struct conf_address){0};
	problem = address_split(text, host, &port_text);
	if (problem) {
		return problem;
	}
	if (port_text && !port_parse(port_text, &port)) {
		return "has a port that is not 1 to 65535";
	}
	if (*text != '[' && inet_pton(AF_INET, host, &in4) == 1) {
		return address_v4(&in4, port, address);
	}
	if (inet_pton(AF_INET6, host, &in6) == 1) {
		return address_v6(&in6, port, address);
	}
	return "is no literal address";
}

/* The prefix length behind the slash: at most `most`; false when it is none. */
static bool prefix_parse(const char *text, unsigned most, unsigned *bits)
{
	*bits = 0;
	for (size_t i = 0; text[i]; i++) {
		if (!ascii_is_digit(text[i]) || i >= 3) {
			return false;
		}
		*bits = *bits * 10 + (unsigned)(text[i] - '0');
	}
	return text[0] && *bits <= most;
}

static bool network_host_bits(const struct conf_network *network)
{
	for (unsigned bit = network->prefix; bit < 128; bit++) {
		if (network->address[bit / 8] & 0x80u >> bit % 8) {
			return true;
		}
	}
	return false;
}

const char *conf_network_parse(const char *text, struct conf_network *network)
{
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	char host[INET6_ADDRSTRLEN];
	struct in6_addr in6;
	struct in_addr in4;
	unsigned bits, base = 0;

	if (length >= sizeof(host)) {
		return "is too long";
	}
	memcpy(host, text, length);
	host[length] = '\0';
	memset(network, 0, sizeof(*network));
	if (inet_pton(AF_INET, host, &in4) == 1) {
		base = 96;
		memset(network->address + 10, 0xff, 2);
		memcpy(network->address + 12, &in4, 4);
	} else if (inet_pton(AF_INET6, host, &in6) == 1) {
		memcpy(network->address, &in6, 16);
	} else {
		return "is neither an IPv4 nor an IPv6 network";
	}
	bits = 128 - base;
	if (slash && !prefix_parse(slash + 1, bits, &bits)) {
		return base ? "has no prefix length from 0 to 32 behind the slash"
			    : "has no prefix length from 0 to 128 behind the slash";
	}
	network->prefix = (uint8_t)(base + bits);
	if (network_host_bits(network)) {
		return "has bits set behind its prefix";
	}
	inet_ntop(base ? AF_INET : AF_INET6, base ? (const void *)&in4 : (const void *)&in6, host,
		sizeof(host));
	snprintf(network->text, sizeof(network->text), "%s/%u", host, bits);
	return NULL;
}

bool conf_address_equal(const struct conf_address *a, const struct conf_address *b)
{
	return !strcmp(a->text, b->text);
}

bool conf_uuid_parse(const char *text, uint8_t uuid[16])
{
	bool hyphens = strlen(text) == 36;
	unsigned digits = 0;
	uint8_t all = 0;

	memset(uuid, 0, 16);
	for (size_t i = 0; text[i]; i++) {
		int value = hex_digit(text[i]);

		if (hyphens && (i == 8 || i == 13 || i == 18 || i == 23)) {
			if (text[i] != '-') {
				return false;
			}
			continue;
		}
		if (value < 0 || digits == 32) {
			return false;
		}
		uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | value);
		digits++;
	}
	for (unsigned i = 0; i < 16; i++) {
		all |= uuid[i];
	}
	return digits == 32 && all;
}

uint8_t conf_naa_parse(const char *text, uint8_t naa[16])
{
	unsigned n = 0;

	if (!strncmp(text, "naa.", 4)) {
		text += 4;
	} else if (!strncmp(text, "0x", 2)) {
		text += 2;
	}
	memset(naa, 0, 16);
	for (; *text; text++, n++) {
		int digit = hex_digit(*text);

		if (digit < 0 || n == 32) {
			return 0;
		}
		naa[n / 2] = (uint8_t)(naa[n / 2] << 4 | digit);
	}
	switch (naa[0] >> 4) {
	case 2:
	case 3:
	case 5:
		return n == 16 ? 8 : 0;
	case 6:
		return n == 32 ? 16 : 0;
	}
	return 0;
}

void conf_uuid_format(const uint8_t uuid[16], char out[static 37])
{
	static const char digits[] = "0123456789abcdef";
	char *p = out;

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10) {
			*p++ = '-';
		}
		*p++ = digits[uuid[i] >> 4];
		*p++ = digits[uuid[i] & 15];
	}
	*p = '\0';
}

bool conf_uuid_derive(const char *scope, const char *name, uint8_t uuid[16])
{
	/* Yoke's name space: a random UUID, fixed for ever; hosts' disk identities depend on it. */
	static const uint8_t space[16] = {0x6e, 0x1d, 0xc0, 0xa4, 0x93, 0x57, 0x4b, 0x0e, 0x8f,
		0x2a, 0x35, 0xd9, 0x71, 0xe6, 0x0b, 0xc8};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE];
	bool ok;

	ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) &&
	     EVP_DigestUpdate(ctx, space, sizeof(space)) &&
	     EVP_DigestUpdate(ctx, scope, strlen(scope)) && EVP_DigestUpdate(ctx, "/", 1) &&
	     EVP_DigestUpdate(ctx, name, strlen(name)) && EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	if (ok) {
		memcpy(uuid, digest, 16);
		uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x50);
		uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	}
	return ok;
}
