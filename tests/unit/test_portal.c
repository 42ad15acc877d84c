/* SPDX-License-Identifier: BSD-3-Clause */
/* Portal adoption: addresses taken and given, the packets byte by byte, what the peer says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>

#include "daemon/portal/packet.h"
#include "yoke/cursor.h"
#include "yoke/portal.h"

static const char yaml[] =
	"yoke: 1\n"
	"cluster: lab\n"
	"controllers:\n"
	"  - name: a\n"
	"    id: 1\n"
	"    portals: [10.77.1.1, \"[fd00::1]\"]\n"
	"    interconnect: 10.78.0.1\n"
	"    interfaces: [{name: san0, network: 10.77.1.0/24}, {name: san1, network: "
	"\"fd00::/64\"}]\n"
	"  - name: b\n"
	"    id: 2\n"
	"    portals: [10.77.1.2, \"[fd00::2]:3261\"]\n"
	"    interconnect: 10.78.0.2\n"
	"    interfaces: [{name: eth5, network: 10.77.1.0/24}, {name: eth6, network: "
	"\"fd00::/64\"}]\n"
	"groups: [{name: g, home: a}]\n"
	"extents: [{name: d, type: file, path: /x, group: g}]\n"
	"targets: [{name: iqn.2026-01.org.example:t, luns: [{lun: 0, extent: d}]}]\n"
	"settings: {portal_adoption: yes}\n";

/* ----- a machine that writes down what is asked of it ------------------------------------------
 */

struct fake {
	char log[2048];
	const char *fails; /* address that cannot be added */
};

static void note(struct fake *fake, const char *format, ...)
{
	size_t at = strlen(fake->log);
	va_list args;

	va_start(args, format);
	vsnprintf(fake->log + at, sizeof(fake->log) - at, format, args);
	va_end(args);
}

static int fake_address(void *ctx, bool add, const char *interface,
	const struct conf_address *address, uint8_t prefix)
{
	struct fake *fake = ctx;

	if (add && fake->fails && strstr(address->text, fake->fails)) {
		return -ENODEV;
	}
	note(fake, "%s %s/%u %s; ", add ? "add" : "del", address->text, prefix, interface);
	return 0;
}

static int fake_announce(void *ctx, const char *interface, const struct conf_address *address)
{
	note(ctx, "say %s %s; ", address->text, interface);
	return 0;
}

static int fake_provoke(
	void *ctx, const struct conf_address *from, const struct sockaddr_storage *to)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)to;

	if (to->ss_family == AF_INET) {
		note(ctx, "ack %s %08x:%u; ", from->text, ntohl(in4->sin_addr.s_addr),
			ntohs(in4->sin_port));
	} else {
		note(ctx, "ack6 %s; ", from->text);
	}
	return 0;
}

static const struct portal_ops fake_ops = {fake_address, fake_announce, fake_provoke};

struct fixture {
	struct conf *conf;
	struct portal *portal;
	struct fake fake;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct conf_error *errors = NULL;

	f->conf = conf_parse(yaml, sizeof(yaml) - 1, "t", &errors);
	if (!f->conf) {
		fail_msg("%s", errors ? errors->text : "no memory");
	}
	f->portal = portal_new(f->conf, 1, &fake_ops, &f->fake);
	*state = f;
	return f->portal ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	portal_free(f->portal);
	conf_free(f->conf);
	free(f);
	return 0;
}

/* ----- addresses ------------------------------------------------------------------------------ */

static void test_own_portals(void **state)
{
	struct fixture *f = *state;
	char error[256];

	assert_int_equal(portal_take(f->portal, 1, error, sizeof(error)), 0);
	assert_string_equal(f->fake.log, "add 10.77.1.1:3260/24 san0; say 10.77.1.1:3260 san0; "
					 "add [fd00::1]:3260/64 san1; say [fd00::1]:3260 san1; ");
	f->fake.log[0] = '\0';
	portal_give(f->portal, 1);
	assert_string_equal(
		f->fake.log, "del 10.77.1.1:3260/24 san0; del [fd00::1]:3260/64 san1; ");
}

/* The other's addresses come on this controller's interfaces, not on those that it had. */
static void test_adopted_portals(void **state)
{
	struct fixture *f = *state;
	char error[256];

	assert_int_equal(portal_take(f->portal, 2, error, sizeof(error)), 0);
	assert_string_equal(f->fake.log, "add 10.77.1.2:3260/24 san0; say 10.77.1.2:3260 san0; "
					 "add [fd00::2]:3261/64 san1; say [fd00::2]:3261 san1; ");
}

/* Half of the portals is no adoption: what was taken is given back, and the error says why. */
static void test_failure_is_undone(void **state)
{
	struct fixture *f = *state;
	char error[256];

	f->fake.fails = "fd00::2";
	assert_int_equal(portal_take(f->portal, 2, error, sizeof(error)), -ENODEV);
	assert_string_equal(f->fake.log, "add 10.77.1.2:3260/24 san0; say 10.77.1.2:3260 san0; del "
					 "10.77.1.2:3260/24 san0; ");
	assert_non_null(strstr(error, "[fd00::2]:3261"));
	assert_non_null(strstr(error, "san1"));
	assert_non_null(strstr(error, "CAP_NET_ADMIN"));
}

/* ----- hosts ---------------------------------------------------------------------------------- */

static struct portal_host host4(uint8_t portal, const char *address, uint16_t port)
{
	struct portal_host host = {.portal = portal};
	struct sockaddr_in *in4 = (struct sockaddr_in *)&host.peer;

	in4->sin_family = AF_INET;
	in4->sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, address, &in4->sin_addr), 1);
	return host;
}

static struct portal_host host6(uint8_t portal, const char *address, uint16_t port)
{
	struct portal_host host = {.portal = portal};
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&host.peer;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	assert_int_equal(inet_pton(AF_INET6, address, &in6->sin6_addr), 1);
	return host;
}

static void test_hosts_are_reset(void **state)
{
	struct fixture *f = *state;
	struct portal_host hosts[] = {host4(1, "10.77.1.10", 40000), host6(2, "fd00::10", 40001)};
	uint8_t bytes[256];
	static const uint8_t golden[] = {1, 0, 0, 2, 1, 4, 0x9c, 0x40, 10, 77, 1, 10, 2, 6, 0x9c,
		0x41, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};
	size_t size = portal_hosts_encode(hosts, 2, bytes, sizeof(bytes));

	assert_int_equal(size, sizeof(golden));
	assert_memory_equal(bytes, golden, size);
	assert_int_equal(portal_hosts_set(f->portal, bytes, size), 0);
	assert_int_equal(portal_hosts_count(f->portal), 2);
	portal_hosts_reset(f->portal);
	assert_string_equal(
		f->fake.log, "ack 10.77.1.2:3260 0a4d010a:40000; ack6 [fd00::2]:3261; ");
	/* None any more. */
	size = portal_hosts_encode(hosts, 0, bytes, sizeof(bytes));
	assert_int_equal(portal_hosts_set(f->portal, bytes, size), 0);
	assert_int_equal(portal_hosts_count(f->portal), 0);
}

/* A packet that is lost is sent again, twice, by itself; not once the addresses are gone. */
static void test_told_again(void **state)
{
	struct fixture *f = *state;
	struct portal_host host = host4(1, "10.77.1.10", 40000);
	static const char again[] = "say 10.77.1.2:3260 san0; say [fd00::2]:3261 san1; ack "
				    "10.77.1.2:3260 0a4d010a:40000; ";
	uint8_t bytes[64];
	size_t size = portal_hosts_encode(&host, 1, bytes, sizeof(bytes));
	char error[256];

	assert_int_equal(portal_again_ms(f->portal, 2), 0);
	assert_int_equal(portal_hosts_set(f->portal, bytes, size), 0);
	for (int life = 0; life < 2; life++) {
		assert_int_equal(portal_take(f->portal, 2, error, sizeof(error)), 0);
		portal_hosts_reset(f->portal);
		assert_int_equal(portal_again_ms(f->portal, 2), 200);
		f->fake.log[0] = '\0';
		portal_again(f->portal, 2);
		assert_string_equal(f->fake.log, again);
		assert_int_equal(portal_again_ms(f->portal, 2), 800);
		f->fake.log[0] = '\0';
		portal_again(f->portal, 2);
		assert_string_equal(f->fake.log, again);
		assert_int_equal(portal_again_ms(f->portal, 2), 0);
		f->fake.log[0] = '\0';
		portal_again(f->portal, 2);
		assert_string_equal(f->fake.log, "");
		portal_give(f->portal, 2);
	}
	/* Given back in between. */
	assert_int_equal(portal_take(f->portal, 2, error, sizeof(error)), 0);
	portal_hosts_reset(f->portal);
	portal_again(f->portal, 2);
	portal_give(f->portal, 2);
	f->fake.log[0] = '\0';
	assert_int_equal(portal_again_ms(f->portal, 2), 0);
	portal_again(f->portal, 2);
	assert_string_equal(f->fake.log, "");
}

/* Its own portals move as well, when it returns; no host of theirs is reset by that. */
static void test_own_told_again(void **state)
{
	struct fixture *f = *state;
	struct portal_host host = host4(1, "10.77.1.10", 40000);
	uint8_t bytes[64];
	size_t size = portal_hosts_encode(&host, 1, bytes, sizeof(bytes));
	char error[256];

	assert_int_equal(portal_hosts_set(f->portal, bytes, size), 0);
	assert_int_equal(portal_take(f->portal, 1, error, sizeof(error)), 0);
	assert_int_equal(portal_again_ms(f->portal, 1), 200);
	assert_int_equal(portal_again_ms(f->portal, 2), 0);
	f->fake.log[0] = '\0';
	portal_again(f->portal, 1);
	assert_string_equal(f->fake.log, "say 10.77.1.1:3260 san0; say [fd00::1]:3260 san1; ");
	/* What could not be taken is not told of. */
	f->fake.fails = "fd00::2";
	assert_int_equal(portal_take(f->portal, 2, error, sizeof(error)), -ENODEV);
	assert_int_equal(portal_again_ms(f->portal, 2), 0);
}

/* Bytes from outside: whatever is wrong with them, what was known stays. */
static void test_hosts_refused(void **state)
{
	struct fixture *f = *state;
	struct portal_host host = host4(1, "10.77.1.10", 40000);
	uint8_t good[64], bytes[64];
	size_t size = portal_hosts_encode(&host, 1, good, sizeof(good));
	static const struct {
		size_t at;
		uint8_t value;
	} rows[] = {{0, 2}, {3, 2}, {2, 0xff}, {4, 0}, {4, 3}, {4, 2}, {5, 6}, {5, 5}};

	assert_int_equal(portal_hosts_set(f->portal, good, size), 0);
	for (size_t cut = 0; cut < size; cut++) {
		assert_int_equal(portal_hosts_set(f->portal, good, cut), -EBADMSG);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(bytes, good, size);
		bytes[rows[i].at] = rows[i].value;
		assert_int_equal(portal_hosts_set(f->portal, bytes, size), -EBADMSG);
	}
	memcpy(bytes, good, size);
	memset(bytes + 6, 0, 2); /* port 0 */
	assert_int_equal(portal_hosts_set(f->portal, bytes, size), -EBADMSG);
	assert_int_equal(portal_hosts_set(f->portal, good, size + 1), -EBADMSG);
	assert_int_equal(portal_hosts_count(f->portal), 1);
}

/* ----- packets -------------------------------------------------------------------------------- */

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x2a};

static void test_arp(void **state)
{
	static const uint8_t golden[PACKET_ARP_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0,
		0, 0, 0, 0x2a, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0x2a, 10, 77, 1, 2, 0,
		0, 0, 0, 0, 0, 10, 77, 1, 2};
	uint8_t out[PACKET_ARP_BYTES];
	struct in_addr address;

	inet_pton(AF_INET, "10.77.1.2", &address);
	packet_arp(out, mac, &address);
	assert_memory_equal(out, golden, sizeof(golden));
}

/* The sum over pseudo header and segment, checksum included, is all ones (RFC 1071). */
static uint16_t folded(
	const uint8_t *addresses, size_t n, uint8_t protocol, const uint8_t *bytes, size_t length)
{
	uint32_t sum = protocol + (uint32_t)length;

	for (size_t i = 0; i < n; i += 2) {
		sum += be16_get(addresses + i);
	}
	for (size_t i = 0; i < length; i += 2) {
		sum += be16_get(bytes + i);
	}
	while (sum >> 16) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static void test_na(void **state)
{
	uint8_t out[PACKET_NA_BYTES];
	struct in6_addr address;

	inet_pton(AF_INET6, "fd00::2", &address);
	packet_na(out, mac, &address);
	assert_int_equal(be16_get(out + 12), 0x86dd);
	assert_int_equal(out[20], 58);
	assert_int_equal(out[21], 255);
	assert_memory_equal(out + 22, &address, 16);
	assert_int_equal(out[54], 136);
	assert_int_equal(out[58], 0x20); /* override, not solicited */
	assert_memory_equal(out + 62, &address, 16);
	assert_int_equal(out[78], 2);
	assert_memory_equal(out + 80, mac, 6);
	assert_int_equal(folded(out + 22, 32, 58, out + 54, 32), 0xffff);
}

static void test_acks(void **state)
{
	uint8_t out[PACKET_TCP_BYTES], addresses[32];
	struct sockaddr_in from = {.sin_port = htons(3260)}, to = {.sin_port = htons(40000)};
	struct sockaddr_in6 from6 = {.sin6_port = htons(3261)}, to6 = {.sin6_port = htons(40001)};

	inet_pton(AF_INET, "10.77.1.2", &from.sin_addr);
	inet_pton(AF_INET, "10.77.1.10", &to.sin_addr);
	packet_ack4(out, &from, &to);
	assert_int_equal(be16_get(out), 3260);
	assert_int_equal(be16_get(out + 2), 40000);
	assert_int_equal(out[12], 0x50);
	assert_int_equal(out[13], 0x10); /* ACK and nothing else */
	memcpy(addresses, &from.sin_addr, 4);
	memcpy(addresses + 4, &to.sin_addr, 4);
	assert_int_equal(folded(addresses, 8, 6, out, sizeof(out)), 0xffff);
	inet_pton(AF_INET6, "fd00::2", &from6.sin6_addr);
	inet_pton(AF_INET6, "fd00::10", &to6.sin6_addr);
	packet_ack6(out, &from6, &to6);
	assert_int_equal(be16_get(out + 2), 40001);
	memcpy(addresses, &from6.sin6_addr, 16);
	memcpy(addresses + 16, &to6.sin6_addr, 16);
	assert_int_equal(folded(addresses, 32, 6, out, sizeof(out)), 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own_portals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopted_portals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_is_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hosts_are_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_told_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hosts_refused, setup, teardown),
		cmocka_unit_test(test_arp),
		cmocka_unit_test(test_na),
		cmocka_unit_test(test_acks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
