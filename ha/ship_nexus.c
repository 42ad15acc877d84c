/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_nexus.h"

#include <stdlib.h>
#include <string.h>

#include "yoke/util.h"

static struct ship_nexus **ship_nexus_bucket(struct ship_nexuses *table, const void *key)
{
	uint64_t hash = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;

	return &table->buckets[hash >> 32 & (SHIP_NEXUS_BUCKETS - 1)];
}

static bool ship_identity_is(const struct scsi_identity *a, const struct scsi_identity *b)
{
	return a->rtpi == b->rtpi && memcmp(a->isid, b->isid, sizeof(a->isid)) == 0 &&
	       strcmp(a->initiator, b->initiator) == 0 && strcmp(a->target, b->target) == 0;
}

void ship_nexuses_init(struct ship_nexuses *table)
{
	qb_list_init(&table->used);
}

void ship_nexuses_free(struct ship_nexuses *table)
{
	for (uint32_t i = 0; i < table->count; i++) {
		free(table->by_id[i]);
	}
}

/* Its number is free from here on. */
static void ship_nexus_delete(struct ship_nexus *nexus)
{
	struct ship_nexuses *table = nexus->table;

	table->by_id[nexus->id] = NULL;
	table->free_ids[table->free_count++] = nexus->id;
	free(nexus);
}

static bool ship_nexus_fill_gone(struct ship_conn *conn, struct ship_tx *tx)
{
	struct ship_nexus *nexus = container_of(tx, struct ship_nexus, tx);
	struct cursor c = ship_frame_begin(conn);

	ship_frame_end(conn, &c, SHIP_NEXUS_GONE, 0, nexus->id);
	ship_nexus_delete(nexus);
	return false;
}

/* Nobody finds it any more; its number is free once the peer has been told. */
static void ship_nexus_end(struct ship_nexus *nexus, struct ship_conn *conn)
{
	struct ship_nexus **at = ship_nexus_bucket(nexus->table, nexus->key);

	while (*at && *at != nexus) {
		at = &(*at)->next;
	}
	if (*at) {
		*at = nexus->next;
	}
	qb_list_del(&nexus->use_link);
	qb_list_init(&nexus->use_link);
	if (nexus->told && conn->state == SHIP_OPEN) {
		ship_conn_send(conn, &nexus->tx);
	} else {
		ship_nexus_delete(nexus);
	}
}

static void ship_nexus_mark_gone(struct ship_nexus *nexus, struct ship_conn *conn)
{
	nexus->gone = true;
	if (nexus->users == 0) {
		ship_nexus_end(nexus, conn);
	}
}

static struct ship_nexus *ship_nexus_new(
	struct ship_nexuses *table, const void *key, const struct scsi_identity *who)
{
	struct ship_nexus **bucket = ship_nexus_bucket(table, key);
	struct ship_nexus *nexus;

	if (table->free_count == 0 && table->count == SHIP_NEXUSES) {
		return NULL;
	}
	nexus = calloc(1, sizeof(*nexus));
	if (!nexus) {
		return NULL;
	}
	nexus->id = table->free_count > 0 ? table->free_ids[--table->free_count] : table->count++;
	nexus->tx.fill = ship_nexus_fill_gone;
	nexus->table = table;
	nexus->key = key;
	nexus->who = *who;
	nexus->next = *bucket;
	*bucket = nexus;
	table->by_id[nexus->id] = nexus;
	qb_list_add_tail(&nexus->use_link, &table->used);
	return nexus;
}

/* Makes room: the one that has been idle longest goes. */
static void ship_nexus_evict(struct ship_nexuses *table, struct ship_conn *conn)
{
	struct ship_nexus *nexus;

	qb_list_for_each_entry (nexus, &table->used, use_link) {
		if (nexus->users == 0) {
			ship_nexus_mark_gone(nexus, conn);
			return;
		}
	}
}

struct ship_nexus *ship_nexus_get(struct ship_nexuses *table, struct ship_conn *conn,
	const void *key, const struct scsi_identity *who)
{
	struct ship_nexus *nexus = *ship_nexus_bucket(table, key);

	while (nexus && (nexus->key != key || nexus->gone)) {
		nexus = nexus->next;
	}
	if (nexus && !ship_identity_is(&nexus->who, who)) {
		ship_nexus_mark_gone(nexus, conn); /* the address belongs to another one now */
		nexus = NULL;
	}
	if (!nexus) {
		if (table->free_count == 0 && table->count == SHIP_NEXUSES) {
			ship_nexus_evict(table, conn);
		}
		nexus = ship_nexus_new(table, key, who);
		if (!nexus) {
			return NULL;
		}
	}
	qb_list_del(&nexus->use_link);
	qb_list_add_tail(&nexus->use_link, &table->used);
	nexus->users++;
	return nexus;
}

void ship_nexus_put(struct ship_nexus *nexus, struct ship_conn *conn)
{
	nexus->users--;
	if (nexus->users == 0 && nexus->gone) {
		ship_nexus_end(nexus, conn);
	}
}

void ship_nexus_tell(struct ship_nexus *nexus, struct ship_conn *conn)
{
	struct cursor c;

	if (nexus->told) {
		return;
	}
	c = ship_frame_begin(conn);
	ship_identity_put(&c, &nexus->who);
	ship_frame_end(conn, &c, SHIP_NEXUS, 0, nexus->id);
	nexus->told = true;
}

void ship_nexus_drop(
	struct ship_nexuses *table, struct ship_conn *conn, const struct scsi_identity *who)
{
	for (uint32_t i = 0; i < table->count; i++) {
		struct ship_nexus *nexus = table->by_id[i];

		if (nexus && !nexus->gone && ship_identity_is(&nexus->who, who)) {
			ship_nexus_mark_gone(nexus, conn);
		}
	}
}

void ship_nexuses_forget(struct ship_nexuses *table)
{
	for (uint32_t i = 0; i < table->count; i++) {
		struct ship_nexus *nexus = table->by_id[i];

		if (!nexus) {
			continue;
		}
		nexus->told = false;
		if (nexus->gone && nexus->users == 0) {
			ship_nexus_delete(nexus); /* its NEXUS_GONE went down with the connection */
		}
	}
}
