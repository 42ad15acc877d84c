/* SPDX-License-Identifier: BSD-3-Clause */
/* iSCSI names, network addresses and UUIDs: text from outside, checked. Any thread. */
#ifndef CONF_NAMES_H
#define CONF_NAMES_H

#include "yoke/conf.h"

#define CONF_NAME_MAX	    63u /* our own names */
#define CONF_ISCSI_NAME_MAX 223u /* RFC 7143 4.2.7.1 */

/* NULL when the text is a valid name of one of our objects, else what is wrong with it. */
const char *conf_name_problem(const char *text);

/* The same for an iSCSI name (RFC 7143 4.2.7, RFC 3722), which may still be in upper case. */
const char *conf_iscsi_name_problem(const char *text);

/* Reads an address with an optional port; NULL, or what is wrong. */
const char *conf_address_parse(const char *text, uint16_t port, struct conf_address *address);

/* Reads an address with an optional prefix length behind a slash; NULL, or what is wrong. */
const char *conf_network_parse(const char *text, struct conf_network *network);

/* Same address and port. */
bool conf_address_equal(const struct conf_address *a, const struct conf_address *b);

/* 32 hexadecimal digits, hyphens in the usual places or nowhere; false when it is no UUID or all
 * zero. */
bool conf_uuid_parse(const char *text, uint8_t uuid[16]);
/*
 * An NAA identifier of type 2, 3, 5 (16 hexadecimal digits) or 6 (32), with or without "naa." or
 * "0x" before it: its length in bytes, 0 = not one. SPC-4 7.8.6.6.
 */
uint8_t conf_naa_parse(const char *text, uint8_t naa[16]);
void conf_uuid_format(const uint8_t uuid[16], char out[static 37]);

/* RFC 4122 4.3: the version-5 UUID of "scope/name" in Yoke's name space. False: no SHA-1. */
bool conf_uuid_derive(const char *scope, const char *name, uint8_t uuid[16]);

#endif
