/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONF_DUMP_H
#define CONF_DUMP_H

#include "yoke/conf.h"

/* SHA-256 of conf_dump(); false when out of memory. */
bool conf_digest(const struct conf *conf, uint8_t digest[32]);

#endif
