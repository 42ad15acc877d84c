// SPDX-License-Identifier: BSD-3-Clause
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

#define ARENA_CHUNK_BYTES 16384u

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	size_t used;
	alignas(max_align_t) unsigned char bytes[];
};

struct conf_arena {
	struct arena_chunk *chunks;
};

struct conf_arena *conf_arena_new(void)
{
	return calloc(1, sizeof(struct conf_arena));
}

void conf_arena_free(struct conf_arena *arena)
{
	struct arena_chunk *chunk, *next;

	if (!arena) {
		return;
	}
	for (chunk = arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(arena);
}

static struct arena_chunk *arena_chunk_new(struct conf_arena *arena, size_t bytes)
{
	size_t size = bytes > ARENA_CHUNK_BYTES ? bytes : ARENA_CHUNK_BYTES;
	struct arena_chunk *chunk = calloc(1, sizeof(*chunk) + size);

	if (chunk) {
		chunk->size = size;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
	}
	return chunk;
}

void *conf_arena_get(struct conf_arena *arena, size_t bytes)
{
	struct arena_chunk *chunk = arena->chunks;
	size_t need;

	if (bytes > SIZE_MAX / 2) {
		return NULL;
	}
	need = (bytes + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
	if (!chunk || need > chunk->size - chunk->used) {
		chunk = arena_chunk_new(arena, need);
		if (!chunk) {
			return NULL;
		}
	}
	chunk->used += need;
	return chunk->bytes + chunk->used - need;
}

char *conf_arena_copy(struct conf_arena *arena, const char *text, size_t length)
{
	char *copy = conf_arena_get(arena, length + 1);

	if (copy && length) {
		memcpy(copy, text, length);
	}
	return copy;
}
