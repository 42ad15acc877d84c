/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects of one size that a reactor uses again and again: no allocation once it is warm. */
#ifndef YOKE_ISCSI_POOL_H
#define YOKE_ISCSI_POOL_H

#include <stddef.h>

struct iscsi_pool_item {
	struct iscsi_pool_item *next;
};

struct iscsi_pool {
	size_t object_bytes; /* at least a pointer */
	struct iscsi_pool_item *free;
	unsigned used; /* handed out */
};

void iscsi_pool_init(struct iscsi_pool *pool, size_t object_bytes);

/* An object with undefined contents; NULL when out of memory. */
void *iscsi_pool_get(struct iscsi_pool *pool);
void iscsi_pool_put(struct iscsi_pool *pool, void *object);

/* Frees what lies in the pool; every object must have come back. */
void iscsi_pool_clear(struct iscsi_pool *pool);

#endif
