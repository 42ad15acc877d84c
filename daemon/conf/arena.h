/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is freed all at once: a configuration's strings and arrays. One thread at a time. */
#ifndef CONF_ARENA_H
#define CONF_ARENA_H

#include <stddef.h>

struct conf_arena;

/* NULL when out of memory. */
struct conf_arena *conf_arena_new(void);

/* Frees everything that came from it; NULL is allowed. */
void conf_arena_free(struct conf_arena *arena);

/* Zeroed memory, aligned for any type; NULL when out of memory. 0 bytes are allowed. */
void *conf_arena_get(struct conf_arena *arena, size_t bytes);

/* A NUL-terminated copy of `length` bytes; NULL when out of memory. */
char *conf_arena_copy(struct conf_arena *arena, const char *text, size_t length);

#endif
