/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every session of this controller, by TSIH and by who it is between (RFC 7143 6.3.1): initiator
 * name, ISID and target name; the portal group is the controller. Guarded by a mutex that only
 * login, logout and listing take. Any thread.
 */
#ifndef YOKE_ISCSI_REGISTRY_H
#define YOKE_ISCSI_REGISTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <qb/qblist.h>

#include "yoke/mailbox.h"

struct iscsi_login;
struct iscsi_reactor;
struct iscsi_session;
struct reactor;

#define ISCSI_REGISTRY_BUCKETS 4096u

struct iscsi_registry {
	pthread_mutex_t lock;
	struct iscsi_session *buckets[ISCSI_REGISTRY_BUCKETS]; /* by name, ISID, target */
	struct iscsi_session **by_tsih; /* 65,536 of them */
	uint16_t next_tsih;
	unsigned sessions; /* all */
	unsigned normal; /* without discovery sessions */
};

/* A login that waits for the session it replaces to end; embedded in the connection. */
struct iscsi_join {
	struct qb_list_head link;
	struct reactor *reactor;
	struct mailbox_msg
		msg; /* fn set by the owner: runs on its reactor when the old one is gone */
	enum {
		ISCSI_JOIN_IDLE,
		ISCSI_JOIN_LISTED,
		ISCSI_JOIN_POSTED
	} state;
};

enum iscsi_join_result {
	ISCSI_JOIN_DONE, /* registered, TSIH set */
	ISCSI_JOIN_WAIT, /* the old session was told to end; join->msg will come: try again */
	ISCSI_JOIN_FULL, /* no TSIH is free: 0302 */
};
const char *iscsi_join_result_name(enum iscsi_join_result result);

int iscsi_registry_init(struct iscsi_registry *registry); /* 0 or -ENOMEM */
void iscsi_registry_clear(struct iscsi_registry *registry);

/* A login with TSIH 0: registers its session, or asks the one that it replaces to end first. */
enum iscsi_join_result iscsi_registry_join(
	struct iscsi_registry *registry, struct iscsi_session *session, struct iscsi_join *join);

/*
 * A login with the TSIH of a session, which has to be this initiator's and target's: the reactor
 * that the session lives on, or NULL when there is none. *session is valid as long as the caller
 * runs on that reactor, and meaningless anywhere else.
 */
struct iscsi_reactor *iscsi_registry_find(struct iscsi_registry *registry,
	const struct iscsi_login *login, struct iscsi_session **session);

/*
 * The login that waited is over. True: nothing of it is left in the registry. False: join->msg is
 * on its way and the owner must stay until it has come.
 */
bool iscsi_registry_join_cancel(struct iscsi_registry *registry, struct iscsi_join *join);

/* join->msg has come. */
void iscsi_registry_join_ran(struct iscsi_registry *registry, struct iscsi_join *join);

/* The session has ended: forgets it and wakes those that waited for that. */
void iscsi_registry_leave(struct iscsi_registry *registry, struct iscsi_session *session);

/* Is the message that asks the session to end still under way? Then it cannot be freed. */
bool iscsi_registry_close_pending(struct iscsi_registry *registry, struct iscsi_session *session);
void iscsi_registry_close_ran(struct iscsi_registry *registry, struct iscsi_session *session);

void iscsi_registry_each(struct iscsi_registry *registry,
	void (*each)(const struct iscsi_session *session, void *arg), void *arg);
unsigned iscsi_registry_normal(struct iscsi_registry *registry);

#endif
