/* SPDX-License-Identifier: BSD-3-Clause */
/* "Did you mean": the key nearest to an unknown one. */
#ifndef CONF_SUGGEST_H
#define CONF_SUGGEST_H

#include "schema.h"

/* "did you mean size?", or the list of allowed keys when nothing is near. */
void conf_suggest_key(
	const struct conf_section *section, const char *unknown, char *out, size_t size);

#endif
