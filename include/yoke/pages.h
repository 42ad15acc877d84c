/* SPDX-License-Identifier: BSD-3-Clause */
/* Large arrays of which only a part may ever be used. */
#ifndef YOKE_PAGES_H
#define YOKE_PAGES_H

#include <stddef.h>

/* Zeros, in pages that take memory when they are first touched. NULL when out of memory. */
void *pages_new(size_t bytes);

/* `bytes` as it was asked for; NULL is allowed. */
void pages_free(void *pages, size_t bytes);

#endif
