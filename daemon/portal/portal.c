/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/portal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/cursor.h"
#include "yoke/log.h"

#define HOSTS_VERSION 1

struct portal {
	const struct conf *conf;
	uint8_t controller;
	const struct portal_ops *ops;
	void *ctx;
	struct portal_host *hosts; /* of the other controller */
	unsigned host_count;
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
	err = p->ops->announce(p->ctx, interface->name, address);
	if (err < 0) {
		log_warning(
			"portal %s: cannot be announced on interface %s: %s; neighbours find it "
			"when they ask again",
			address->text, interface->name, strerror(-err));
	}
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
	return 0;
}

void portal_give(struct portal *portal, uint8_t controller)
{
	const struct conf_controller *c = conf_controller_by_id(portal->conf, controller);

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
