/* SPDX-License-Identifier: BSD-3-Clause */
/* Single values: text in the file to field, and back. */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "loader.h"

#define CONF_VALUE_MAX 512u /* longest formatted value, with its NUL; paths are shorter */

/*
 * Stores the value of a scalar key (or of one item of a list) at `field`. False with a short
 * reason in why[why_size] ("is not a number"), without what is allowed: conf_schema_allowed().
 */
bool conf_value_parse(struct conf_loader *l, const struct conf_key *key, const char *text,
	void *field, char *why, size_t why_size);

/* The text that parses to what is at `field`; false when it is absent. */
bool conf_value_format(const struct conf *conf, const struct conf_key *key, const void *field,
	char out[static CONF_VALUE_MAX]);

#endif
