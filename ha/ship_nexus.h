/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nexuses that commands of one reactor come from, and their numbers on the wire. A number is
 * given at the first command, told to the peer before its first use on a connection, and free again
 * when the nexus is gone or has been idle longest while others need its place.
 */
#ifndef YOKE_HA_SHIP_NEXUS_H
#define YOKE_HA_SHIP_NEXUS_H

#include "ha/ship_conn.h"

#define SHIP_NEXUSES	   4096u /* on one connection */
#define SHIP_NEXUS_BUCKETS 1024u

struct ship_nexus {
	struct ship_tx tx; /* NEXUS_GONE */
	struct ship_nexuses *table;
	struct qb_list_head use_link; /* least recently used first */
	struct ship_nexus *next; /* in its bucket */
	const void *key;
	uint32_t id;
	unsigned users; /* commands that name it */
	bool told; /* on the present connection */
	bool gone; /* no command names it any more: ends with its last user */
	struct scsi_identity who;
};

struct ship_nexuses {
	struct ship_nexus *buckets[SHIP_NEXUS_BUCKETS];
	struct ship_nexus *by_id[SHIP_NEXUSES];
	struct qb_list_head used;
	uint32_t count; /* ids below it have been given out at least once */
	uint32_t free_ids[SHIP_NEXUSES];
	uint32_t free_count;
};

void ship_nexuses_init(struct ship_nexuses *table);
void ship_nexuses_free(struct ship_nexuses *table);

/*
 * The nexus of `who`, found by `key` (an address that stands for it while it lives), with one more
 * user. NULL when out of memory or all numbers are in use.
 */
struct ship_nexus *ship_nexus_get(struct ship_nexuses *table, struct ship_conn *conn,
	const void *key, const struct scsi_identity *who);
void ship_nexus_put(struct ship_nexus *nexus, struct ship_conn *conn);

/* Tells the peer who it is, if it does not know yet; from a fill(). */
void ship_nexus_tell(struct ship_nexus *nexus, struct ship_conn *conn);

/* No new command of this identity will come. */
void ship_nexus_drop(
	struct ship_nexuses *table, struct ship_conn *conn, const struct scsi_identity *who);

/* A new connection knows none of them. */
void ship_nexuses_forget(struct ship_nexuses *table);

#endif
