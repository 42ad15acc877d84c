/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: what the other controller says about the connections of its hosts. It is believed
 * whole or not at all, and whoever is then reset is a host at a portal that the other has.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/drive.h"
#include "yoke/portal.h"

static struct conf_address portals[2][2] = {
	{{.text = "10.77.1.1:3260", .addr.ss_family = AF_INET},
		{.text = "[fd00::1]:3260", .addr.ss_family = AF_INET6}},
	{{.text = "10.77.1.2:3260", .addr.ss_family = AF_INET},
		{.text = "[fd00::2]:3261", .addr.ss_family = AF_INET6}},
};
static struct conf_controller controllers[2] = {
	{.name = "a", .id = 1, .portals = portals[0], .portal_count = 2},
	{.name = "b", .id = 2, .portals = portals[1], .portal_count = 2},
};
static const struct conf conf = {.controllers = controllers, .controller_count = 2};

static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

static int count_provoked(
	void *ctx, const struct conf_address *from, const struct sockaddr_storage *to)
{
	expect(from == &portals[1][0] || from == &portals[1][1]);
	expect(from->addr.ss_family == to->ss_family);
	++*(unsigned *)ctx;
	return 0;
}

static const struct portal_ops ops = {.provoke = count_provoked};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A list of one, so that a refusal is seen to leave it. */
	static const uint8_t before[] = {1, 0, 0, 1, 1, 4, 0x80, 0, 10, 77, 1, 9};
	unsigned provoked = 0, count;
	struct portal *portal = portal_new(&conf, 1, &ops, &provoked);

	expect(portal && portal_hosts_set(portal, before, sizeof(before)) == 0);
	if (portal_hosts_set(portal, data, size) == 0) {
		count = portal_hosts_count(portal);
		expect(count <= PORTAL_HOSTS_MAX && count * 8u + 4u <= size);
	} else {
		count = 1;
	}
	expect(portal_hosts_count(portal) == count);
	portal_hosts_reset(portal);
	expect(provoked == count);
	portal_free(portal);
	return 0;
}

const struct fuzz_target fuzz_target = {
	.corpus = "portal_hosts", .every_cut = true, .every_bit = true, .mutations = 2000};
