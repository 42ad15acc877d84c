/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/portal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/cursor.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define HOSTS_VERSION 1

/* About 0.2 s and 1 s after the first time. */
static const unsigned again_ms[] = {200, 800};

struct portal {
	const struct conf *conf;
	uint8_t controller;
	const struct portal_ops *ops;
	void *ctx;
	struct portal_host *hosts; /* of the other controller */
	unsigned host_count;
	struct {
		bool here; /* its addresses are on this controller's interfaces */
		bool reset; /* its hosts' connections were to be reset */
		unsigned told; /* again, so many times */
	} of[YOKE_CONTROLLERS + 1];
};

struct portal *portal_new(
	const struct conf *conf, uint8_t controller, const struct portal_ops *ops, void *ctx)
{
	struct portal *p = calloc(1, sizeof(*p));

	if (p) {
		p->conf = conf;
		p->controller = controller;
		p->ops = ops;
		p->ctx = ctx;
	}
	return p;
}

void portal_free(struct portal *portal)
{
	if (portal) {
		free(portal->hosts);
		free(portal);
	}
}

/* ----- addresses ------------------------------------------------------------------------------ */

/* This controller's interface whose network has the address; NULL: none (the schema refuses it). */
static const struct conf_interface *interface_of(
	const struct portal *p, const struct conf_address *address)
{
	const struct conf_controller *self = conf_controller_by_id(p->conf, p->controller);

	for (unsigned i = 0; self && i < self->interface_count; i++) {
		if (conf_network_has(&self->interfaces[i].network, &address->addr)) {
			return &self->interfaces[i];
		}
	}
	return NULL;
}

/* Prefix length as the address family counts it. */
static uint8_t prefix_of(const struct conf_interface *interface, const struct conf_address *address)
{
	uint8_t prefix = interface->network.prefix;

	return address->addr.ss_family == AF_INET ? (uint8_t)(prefix - 96) : prefix;
}

static void address_announce(struct portal *p, const struct conf_interface *interface,
	const struct conf_address *address)
{
	int err = p->ops->announce(p->ctx, interface->name, address);

	if (err < 0) {
		log_warning(
			"portal %s: cannot be announced on interface %s: %s; neighbours find it "
			"when they ask again",
			address->text, interface->name, strerror(-err));
	}
}

static int address_take(
	struct portal *p, const struct conf_address *address, char *error, size_t error_size)
{
	const struct conf_interface *interface = interface_of(p, address);
	int err;

	if (!interface) {
		snprintf(error, error_size,
			"portal %s: no interface of this controller is in its network; add one "
			"under "
			"controllers, interfaces",
			address->text);
		return -EADDRNOTAVAIL;
	}
	err = p->ops->address(
		p->ctx, true, interface->name, address, prefix_of(interface, address));
	if (err < 0) {
		snprintf(error, error_size,
			"portal %s: cannot be put on interface %s: %s; the interface must exist, "
			"and "
			"yoked needs CAP_NET_ADMIN",
			address->text, interface->name, strerror(-err));
		return err;
	}
	address_announce(p, interface, address);
	return 0;
}

static void address_give(struct portal *p, const struct conf_address *address)
{
	const struct conf_interface *interface = interface_of(p, address);
	int err = interface ? p->ops->address(p->ctx, false, interface->name, address,
				      prefix_of(interface, address))
			    : 0;

	if (err < 0) {
		log_err("portal %s: cannot be taken from interface %s: %s; while it stays there "
			"its "
			"other holder is not reached reliably",
			address->text, interface->name, strerror(-err));
	}
}

int portal_take(struct portal *portal, uint8_t controller, char *error, size_t error_size)
{
	const struct conf_controller *c = conf_controller_by_id(portal->conf, controller);

	for (unsigned i = 0; c && i < c->portal_count; i++) {
		int err = address_take(portal, &c->portals[i], error, error_size);

		if (err < 0) {
			while (i-- > 0) {
				address_give(portal, &c->portals[i]);
			}
			return err;
		}
	}
	if (c) {
		portal->of[controller].here = true;
		portal->of[controller].reset = false;
		portal->of[controller].told = 0;
	}
	return 0;
}

void portal_give(struct portal *portal, uint8_t controller)
{
	const struct conf_controller *c = conf_controller_by_id(portal->conf, controller);

	if (c) {
		portal->of[controller].here = false;
	}
	for (unsigned i = 0; c && i < c->portal_count; i++) {
		address_give(portal, &c->portals[i]);
	}
}

/* ----- hosts ---------------------------------------------------------------------------------- */

/* version, zero, count; then for each: portal, family (4 or 6), port, address */
size_t portal_hosts_encode(
	const struct portal_host *hosts, unsigned count, uint8_t *bytes, size_t size)
{
	struct cursor c = cursor_over(bytes, size);

	count = count < PORTAL_HOSTS_MAX ? count : PORTAL_HOSTS_MAX;
	cursor_put_u8(&c, HOSTS_VERSION);
	cursor_put_u8(&c, 0);
	cursor_put_u16(&c, (uint16_t)count);
	for (unsigned i = 0; i < count; i++) {
		const struct sockaddr_in *in4 = (const struct sockaddr_in *)&hosts[i].peer;
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&hosts[i].peer;
		bool four = hosts[i].peer.ss_family == AF_INET;

		cursor_put_u8(&c, hosts[i].portal);
		cursor_put_u8(&c, four ? 4 : 6);
		cursor_put_u16(&c, ntohs(four ? in4->sin_port : in6->sin6_port));
		if (four) {
			cursor_put_bytes(&c, &in4->sin_addr, 4);
		} else {
			cursor_put_bytes(&c, &in6->sin6_addr, 16);
		}
	}
	return cursor_ok(&c) ? c.pos : 0;
}

static bool host_get(
	struct cursor *c, const struct conf_controller *other, struct portal_host *host)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)&host->peer;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&host->peer;
	uint8_t family;
	uint16_t port;

	memset(host, 0, sizeof(*host));
	host->portal = cursor_get_u8(c);
	family = cursor_get_u8(c);
	port = cursor_get_u16(c);
	if (family == 4) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		cursor_get_bytes(c, &in4->sin_addr, 4);
	} else {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		cursor_get_bytes(c, &in6->sin6_addr, 16);
	}
	return cursor_ok(c) && (family == 4 || family == 6) && port && host->portal >= 1 &&
	       host->portal <= other->portal_count &&
	       other->portals[host->portal - 1].addr.ss_family == host->peer.ss_family;
}

static const struct conf_controller *other_of(const struct portal *p)
{
	return conf_controller_by_id(p->conf, p->controller == 1 ? 2 : 1);
}

int portal_hosts_set(struct portal *portal, const uint8_t *bytes, size_t size)
{
	const struct conf_controller *other = other_of(portal);
	struct cursor c = cursor_reader(bytes, size);
	uint8_t version = cursor_get_u8(&c);
	struct portal_host *hosts;
	uint16_t count;

	cursor_get_u8(&c);
	count = cursor_get_u16(&c);
	if (!cursor_ok(&c) || version != HOSTS_VERSION || !other || count > PORTAL_HOSTS_MAX) {
		return -EBADMSG;
	}
	hosts = calloc(count ? count : 1, sizeof(*hosts));
	if (!hosts) {
		return -ENOMEM;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!host_get(&c, other, &hosts[i])) {
			free(hosts);
			return -EBADMSG;
		}
	}
	if (cursor_left(&c)) {
		free(hosts);
		return -EBADMSG;
	}
	free(portal->hosts);
	portal->hosts = hosts;
	portal->host_count = count;
	return 0;
}

unsigned portal_hosts_count(const struct portal *portal)
{
	return portal->host_count;
}

void portal_hosts_reset(struct portal *portal)
{
	const struct conf_controller *other = other_of(portal);
	unsigned failed = 0;
	int last = 0;

	if (other) {
		portal->of[other->id].reset = true;
	}
	for (unsigned i = 0; other && i < portal->host_count; i++) {
		const struct portal_host *host = &portal->hosts[i];
		int err = portal->ops->provoke(
			portal->ctx, &other->portals[host->portal - 1], &host->peer);

		failed += err < 0;
		last = err < 0 ? err : last;
	}
	if (failed) {
		log_warning("portals: %u of %u connections of hosts could not be reset: %s; those "
			    "hosts find out by their own time-outs",
			failed, portal->host_count, strerror(-last));
	}
}

/* ----- again ---------------------------------------------------------------------------------- */

unsigned portal_again_ms(const struct portal *portal, uint8_t controller)
{
	const struct conf_controller *c = conf_controller_by_id(portal->conf, controller);
	unsigned told = c ? portal->of[controller].told : 0;

	return c && portal->of[controller].here && told < ARRAY_SIZE(again_ms) ? again_ms[told] : 0;
}

void portal_again(struct portal *portal, uint8_t controller)
{
	const struct conf_controller *c = conf_controller_by_id(portal->conf, controller);

	if (!portal_again_ms(portal, controller)) {
		return;
	}
	portal->of[controller].told++;
	for (unsigned i = 0; i < c->portal_count; i++) {
		const struct conf_interface *interface = interface_of(portal, &c->portals[i]);

		if (interface) {
			address_announce(portal, interface, &c->portals[i]);
		}
	}
	if (portal->of[controller].reset) {
		portal_hosts_reset(portal);
	}
}
