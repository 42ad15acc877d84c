/* SPDX-License-Identifier: BSD-3-Clause */
/* Small helpers that every component may use. */
#ifndef YOKE_UTIL_H
#define YOKE_UTIL_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define YOKE_PRINTF(fmt, first)		__attribute__((format(printf, fmt, first)))
#define YOKE_MUST_CHECK			__attribute__((warn_unused_result))

/* Of the processor's cache; a guess that costs nothing but time where it is wrong. */
#define YOKE_CACHE_LINE	  64
#define YOKE_LINE_ALIGNED __attribute__((aligned(YOKE_CACHE_LINE)))

/* A local that owns heap memory: char *p __attribute__((cleanup)) = ...; */
static inline void yoke_cleanup_free(void *p)
{
	free(*(void **)p);
}
#define cleanup_free __attribute__((cleanup(yoke_cleanup_free)))

/* A local that owns a file descriptor; negative means none. */
static inline void yoke_cleanup_close(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
	}
}
#define cleanup_close __attribute__((cleanup(yoke_cleanup_close)))

#endif
