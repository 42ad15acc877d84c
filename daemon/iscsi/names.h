/* SPDX-License-Identifier: BSD-3-Clause */
/* iSCSI names (RFC 7143 4.2.7, RFC 3722) and UTF-8. Pure; any thread. */
#ifndef YOKE_ISCSI_NAMES_H
#define YOKE_ISCSI_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "yoke/task.h"

/*
 * Checks an iqn., eui. or naa. name of `length` bytes and writes it normalized (ASCII letters in
 * lower case) with its NUL into `name`. False when it is none; then name is "" and *why, if given,
 * says what is wrong and what is right, in words that hold nothing from outside.
 */
bool iscsi_name_normalize(
	const char *text, size_t length, char name[SCSI_NAME_MAX], const char **why);

/* Well-formed UTF-8 without NUL, overlong forms and surrogates (RFC 3629). */
bool iscsi_utf8_valid(const char *text, size_t length);

#endif
