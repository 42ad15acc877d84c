/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/iscsi/server.h"
#include "daemon/iscsi/session.h"
#include "yoke/reactor.h"

#define ISCSI_TSIHS 65536u

const char *iscsi_join_result_name(enum iscsi_join_result result)
{
	switch (result) {
	case ISCSI_JOIN_DONE:
		return "done";
	case ISCSI_JOIN_WAIT:
		return "wait";
	case ISCSI_JOIN_FULL:
		return "out of TSIHs";
	}
	return "?";
}

int iscsi_registry_init(struct iscsi_registry *registry)
{
	memset(registry, 0, sizeof(*registry));
	registry->by_tsih = calloc(ISCSI_TSIHS, sizeof(struct iscsi_session *));
	if (!registry->by_tsih) {
		return -ENOMEM;
	}
	pthread_mutex_init(&registry->lock, NULL);
	return 0;
}

void iscsi_registry_clear(struct iscsi_registry *registry)
{
	if (registry->by_tsih) {
		pthread_mutex_destroy(&registry->lock);
		free(registry->by_tsih);
		registry->by_tsih = NULL;
	}
}

/* FNV-1a over what makes a session unique. */
static struct iscsi_session **iscsi_registry_bucket(
	struct iscsi_registry *registry, const struct iscsi_session *session)
{
	uint32_t hash = 2166136261u;

	for (const char *p = session->initiator; *p; p++) {
		hash = (hash ^ (uint8_t)*p) * 16777619u;
	}
	for (size_t i = 0; i < sizeof(session->isid); i++) {
		hash = (hash ^ session->isid[i]) * 16777619u;
	}
	for (const char *p = session->target; *p; p++) {
		hash = (hash ^ (uint8_t)*p) * 16777619u;
	}
	return &registry->buckets[(hash ^ hash >> 16) % ISCSI_REGISTRY_BUCKETS];
}

static bool iscsi_registry_same(const struct iscsi_session *a, const struct iscsi_session *b)
{
	return memcmp(a->isid, b->isid, sizeof(a->isid)) == 0 && a->discovery == b->discovery &&
	       a->controller == b->controller && strcmp(a->initiator, b->initiator) == 0 &&
	       strcmp(a->target, b->target) == 0;
}

static struct iscsi_session *iscsi_registry_like(
	struct iscsi_registry *registry, const struct iscsi_session *like)
{
	struct iscsi_session *session = *iscsi_registry_bucket(registry, like);

	while (session && !iscsi_registry_same(session, like)) {
		session = session->next;
	}
	return session;
}

/* A TSIH that is free: 1 to 65535, in turn so that an old one is not met again soon; 0 = none. */
static uint16_t iscsi_registry_tsih(struct iscsi_registry *registry)
{
	for (uint32_t i = 0; i < ISCSI_TSIHS; i++) {
		uint16_t tsih = ++registry->next_tsih;

		if (tsih != 0 && !registry->by_tsih[tsih]) {
			return tsih;
		}
	}
	return 0;
}

static enum iscsi_join_result iscsi_registry_add(
	struct iscsi_registry *registry, struct iscsi_session *session)
{
	struct iscsi_session **bucket = iscsi_registry_bucket(registry, session);
	uint16_t tsih = iscsi_registry_tsih(registry);

	if (tsih == 0) {
		return ISCSI_JOIN_FULL;
	}
	session->tsih = tsih;
	session->next = *bucket;
	*bucket = session;
	registry->by_tsih[tsih] = session;
	registry->sessions++;
	registry->normal += !session->discovery;
	session->registered = true;
	return ISCSI_JOIN_DONE;
}

/* RFC 7143 6.3.1: an ISID that is known ends the session that has it. */
static enum iscsi_join_result iscsi_registry_join_locked(
	struct iscsi_registry *registry, struct iscsi_session *session, struct iscsi_join *join)
{
	struct iscsi_session *old = iscsi_registry_like(registry, session);

	if (!old) {
		return iscsi_registry_add(registry, session);
	}
	join->state = ISCSI_JOIN_LISTED;
	qb_list_add_tail(&join->link, &old->joins);
	if (!old->close_posted) {
		old->close_posted = true;
		reactor_post(old->home->reactor, &old->close_msg);
	}
	return ISCSI_JOIN_WAIT;
}

enum iscsi_join_result iscsi_registry_join(
	struct iscsi_registry *registry, struct iscsi_session *session, struct iscsi_join *join)
{
	enum iscsi_join_result result;

	pthread_mutex_lock(&registry->lock);
	join->state = ISCSI_JOIN_IDLE;
	result = iscsi_registry_join_locked(registry, session, join);
	pthread_mutex_unlock(&registry->lock);
	return result;
}

struct iscsi_reactor *iscsi_registry_find(struct iscsi_registry *registry,
	const struct iscsi_login *login, struct iscsi_session **session)
{
	struct iscsi_reactor *home = NULL;
	struct iscsi_session *found;

	pthread_mutex_lock(&registry->lock);
	found = registry->by_tsih[login->tsih];
	if (found && memcmp(found->isid, login->isid, sizeof(found->isid)) == 0 &&
		found->discovery == login->params.discovery &&
		strcmp(found->initiator, login->initiator) == 0 &&
		strcmp(found->target, login->target) == 0) {
		*session = found;
		home = found->home;
	}
	pthread_mutex_unlock(&registry->lock);
	return home;
}

bool iscsi_registry_join_cancel(struct iscsi_registry *registry, struct iscsi_join *join)
{
	bool idle;

	pthread_mutex_lock(&registry->lock);
	if (join->state == ISCSI_JOIN_LISTED) {
		qb_list_del(&join->link);
		join->state = ISCSI_JOIN_IDLE;
	}
	idle = join->state == ISCSI_JOIN_IDLE;
	pthread_mutex_unlock(&registry->lock);
	return idle;
}

void iscsi_registry_join_ran(struct iscsi_registry *registry, struct iscsi_join *join)
{
	pthread_mutex_lock(&registry->lock);
	join->state = ISCSI_JOIN_IDLE;
	pthread_mutex_unlock(&registry->lock);
}

void iscsi_registry_leave(struct iscsi_registry *registry, struct iscsi_session *session)
{
	struct iscsi_session **p;

	pthread_mutex_lock(&registry->lock);
	if (session->registered) {
		for (p = iscsi_registry_bucket(registry, session); *p != session;) {
			p = &(*p)->next;
		}
		*p = session->next;
		registry->by_tsih[session->tsih] = NULL;
		registry->sessions--;
		registry->normal -= !session->discovery;
		session->registered = false;
	}
	while (!qb_list_empty(&session->joins)) {
		struct iscsi_join *join =
			qb_list_first_entry(&session->joins, struct iscsi_join, link);

		qb_list_del(&join->link);
		join->state = ISCSI_JOIN_POSTED;
		reactor_post(join->reactor, &join->msg);
	}
	pthread_mutex_unlock(&registry->lock);
}

bool iscsi_registry_close_pending(struct iscsi_registry *registry, struct iscsi_session *session)
{
	bool pending;

	pthread_mutex_lock(&registry->lock);
	pending = session->close_posted && !session->close_ran;
	pthread_mutex_unlock(&registry->lock);
	return pending;
}

void iscsi_registry_close_ran(struct iscsi_registry *registry, struct iscsi_session *session)
{
	pthread_mutex_lock(&registry->lock);
	session->close_ran = true;
	pthread_mutex_unlock(&registry->lock);
}

void iscsi_registry_each(struct iscsi_registry *registry,
	void (*each)(const struct iscsi_session *session, void *arg), void *arg)
{
	pthread_mutex_lock(&registry->lock);
	for (uint32_t tsih = 1; tsih < ISCSI_TSIHS; tsih++) {
		if (registry->by_tsih[tsih]) {
			each(registry->by_tsih[tsih], arg);
		}
	}
	pthread_mutex_unlock(&registry->lock);
}

unsigned iscsi_registry_normal(struct iscsi_registry *registry)
{
	unsigned n;

	pthread_mutex_lock(&registry->lock);
	n = registry->normal;
	pthread_mutex_unlock(&registry->lock);
	return n;
}
