/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/adoption.h"

#include <stdlib.h>
#include <string.h>

#include "yoke/log.h"
#include "yoke/portal.h"

#define TELL_MS	   500 /* how old the other's knowledge of our hosts may be */
#define TELL_AGAIN 10 /* rounds after which it is told the same again */

/* Tells neighbours and hosts again where the portals of a controller are now. */
struct again {
	struct adoption *adoption;
	uint8_t controller;
	qb_loop_timer_handle timer;
	bool armed;
};

struct adoption {
	const struct conf *conf;
	uint8_t controller, other;
	qb_loop_t *loop;
	qb_loop_timer_handle timer;
	bool timer_armed;
	struct iscsi *iscsi;
	struct ha *ha;
	struct portal *portal;
	struct portal_host hosts[PORTAL_HOSTS_MAX];
	unsigned host_count;
	uint8_t told[PORTAL_HOSTS_BYTES_MAX], bytes[PORTAL_HOSTS_BYTES_MAX];
	size_t told_size;
	unsigned rounds;
	struct again again[YOKE_CONTROLLERS + 1];
};

struct adoption *adoption_new(
	const struct conf *conf, uint8_t controller, qb_loop_t *loop, struct iscsi *iscsi)
{
	struct adoption *a = calloc(1, sizeof(*a));

	if (!a) {
		return NULL;
	}
	a->conf = conf;
	a->controller = controller;
	a->other = controller == 1 ? 2 : 1;
	a->loop = loop;
	a->iscsi = iscsi;
	a->portal = portal_new(conf, controller, &portal_ops_system, NULL);
	if (!a->portal) {
		free(a);
		return NULL;
	}
	for (uint8_t c = 1; c <= YOKE_CONTROLLERS; c++) {
		a->again[c] = (struct again){.adoption = a, .controller = c};
	}
	portal_give(a->portal, a->other);
	return a;
}

static void again_stop(struct again *again)
{
	if (again->armed) {
		qb_loop_timer_del(again->adoption->loop, again->timer);
		again->armed = false;
	}
}

static void again_fired(void *arg);

static void again_start(struct again *again)
{
	unsigned ms = portal_again_ms(again->adoption->portal, again->controller);

	again_stop(again);
	if (ms) {
		again->armed =
			qb_loop_timer_add(again->adoption->loop, QB_LOOP_LOW,
				ms * QB_TIME_NS_IN_MSEC, again, again_fired, &again->timer) == 0;
	}
}

static void again_fired(void *arg)
{
	struct again *again = arg;

	again->armed = false;
	portal_again(again->adoption->portal, again->controller);
	again_start(again);
}

void adoption_free(struct adoption *adoption)
{
	if (!adoption) {
		return;
	}
	if (adoption->timer_armed) {
		qb_loop_timer_del(adoption->loop, adoption->timer);
	}
	for (uint8_t c = 1; c <= YOKE_CONTROLLERS; c++) {
		again_stop(&adoption->again[c]);
	}
	portal_give(adoption->portal, adoption->other);
	portal_give(adoption->portal, adoption->controller);
	portal_free(adoption->portal);
	free(adoption);
}

int adoption_open(struct adoption *adoption, char *error, size_t error_size)
{
	int err = portal_take(adoption->portal, adoption->controller, error, error_size);

	again_start(&adoption->again[adoption->controller]);
	return err;
}

/* ----- hosts ---------------------------------------------------------------------------------- */

static void host_note(void *arg, uint16_t rtpi, const struct sockaddr_storage *peer)
{
	struct adoption *a = arg;

	if (a->host_count < PORTAL_HOSTS_MAX) {
		a->hosts[a->host_count++] =
			(struct portal_host){.portal = (uint8_t)(rtpi & 0xff), .peer = *peer};
	}
}

static void tell(void *arg)
{
	struct adoption *a = arg;
	struct ha_status status;
	size_t size;

	a->timer_armed = qb_loop_timer_add(a->loop, QB_LOOP_LOW, TELL_MS * QB_TIME_NS_IN_MSEC, a,
				 tell, &a->timer) == 0;
	ha_status(a->ha, &status);
	if (!status.peer_member || !status.in_sync) {
		a->rounds = TELL_AGAIN; /* at once, when it is back */
		return;
	}
	a->host_count = 0;
	iscsi_hosts(a->iscsi, host_note, a);
	size = portal_hosts_encode(a->hosts, a->host_count, a->bytes, sizeof(a->bytes));
	if (++a->rounds > TELL_AGAIN || size != a->told_size ||
		memcmp(a->bytes, a->told, size) != 0) {
		a->rounds = 0;
		a->told_size = size;
		memcpy(a->told, a->bytes, size);
		ha_hosts_send(a->ha, a->told, size);
	}
}

void adoption_start(struct adoption *adoption, struct ha *ha)
{
	adoption->ha = ha;
	tell(adoption);
}

void adoption_peer_hosts(struct adoption *adoption, const void *bytes, size_t size)
{
	if (portal_hosts_set(adoption->portal, bytes, size) < 0) {
		log_warning(
			"portals: what controller %u says about its hosts cannot be read, dropped",
			adoption->other);
	}
}

/* ----- the portals of the other -----------------------------------------------------------------
 */

int adoption_take(struct adoption *adoption)
{
	char error[512] = "";
	int err = portal_take(adoption->portal, adoption->other, error, sizeof(error));

	if (!err) {
		err = iscsi_adopt(adoption->iscsi, error, sizeof(error));
		if (err) {
			portal_give(adoption->portal, adoption->other);
		}
	}
	if (err) {
		log_err("the portals of controller %u cannot be adopted: %s", adoption->other,
			error);
		return err;
	}
	log_notice("portals of controller %u adopted; connections of hosts to be reset: %u",
		adoption->other, portal_hosts_count(adoption->portal));
	portal_hosts_reset(adoption->portal);
	again_start(&adoption->again[adoption->other]);
	return 0;
}

static void given_back(void *arg)
{
	struct adoption *a = arg;

	portal_give(a->portal, a->other);
	ha_given_back(a->ha);
}

void adoption_give_back(struct adoption *adoption)
{
	again_stop(&adoption->again[adoption->other]);
	iscsi_give_back(adoption->iscsi, given_back, adoption);
}
