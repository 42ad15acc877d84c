/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/pool.h"

#include <stdlib.h>

void iscsi_pool_init(struct iscsi_pool *pool, size_t object_bytes)
{
	*pool = (struct iscsi_pool){.object_bytes = object_bytes};
}

void *iscsi_pool_get(struct iscsi_pool *pool)
{
	struct iscsi_pool_item *item = pool->free;

	if (item) {
		pool->free = item->next;
	} else {
		item = malloc(pool->object_bytes);
	}
	pool->used += item != NULL;
	return item;
}

void iscsi_pool_put(struct iscsi_pool *pool, void *object)
{
	struct iscsi_pool_item *item = object;

	item->next = pool->free;
	pool->free = item;
	pool->used--;
}

void iscsi_pool_clear(struct iscsi_pool *pool)
{
	while (pool->free) {
		struct iscsi_pool_item *item = pool->free;

		pool->free = item->next;
		free(item);
	}
}
