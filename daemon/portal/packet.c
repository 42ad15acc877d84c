/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/portal/packet.h"

#include <string.h>

#include "yoke/cursor.h"

#define ETHERTYPE_ARP_NUMBER  0x0806
#define ETHERTYPE_IPV6_NUMBER 0x86dd
#define NA_OVERRIDE	      0x20000000u
#define TCP_FLAG_ACK	      0x10

/* The one's complement sum of RFC 1071, unfolded; `n` is even but for the last piece. */
static uint32_t sum_add(uint32_t sum, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i + 1 < n; i += 2) {
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	}
	return n & 1 ? sum + ((uint32_t)p[n - 1] << 8) : sum;
}

static uint16_t sum_end(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void ethernet(struct cursor *c, const uint8_t to[6], const uint8_t from[6], uint16_t type)
{
	cursor_put_bytes(c, to, 6);
	cursor_put_bytes(c, from, 6);
	cursor_put_u16(c, type);
}

void packet_arp(uint8_t out[PACKET_ARP_BYTES], const uint8_t mac[6], const struct in_addr *address)
{
	static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t nobody[6];
	struct cursor c = cursor_over(out, PACKET_ARP_BYTES);

	ethernet(&c, everybody, mac, ETHERTYPE_ARP_NUMBER);
	cursor_put_u16(&c, 1); /* Ethernet */
	cursor_put_u16(&c, 0x0800); /* IPv4 */
	cursor_put_u8(&c, 6);
	cursor_put_u8(&c, 4);
	cursor_put_u16(&c, 1); /* request */
	cursor_put_bytes(&c, mac, 6);
	cursor_put_bytes(&c, address, 4);
	cursor_put_bytes(&c, nobody, 6);
	cursor_put_bytes(&c, address, 4);
}

void packet_na(uint8_t out[PACKET_NA_BYTES], const uint8_t mac[6], const struct in6_addr *address)
{
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
	struct cursor c = cursor_over(out, PACKET_NA_BYTES);
	uint8_t *icmp = out + 54;
	uint8_t pseudo[8] = {0, 0, 0, 32, 0, 0, 0, IPPROTO_ICMPV6};
	uint32_t sum;

	ethernet(&c, all_nodes_mac, mac, ETHERTYPE_IPV6_NUMBER);
	cursor_put_u32(&c, 6u << 28);
	cursor_put_u16(&c, 32);
	cursor_put_u8(&c, IPPROTO_ICMPV6);
	cursor_put_u8(&c, 255); /* hop limit: nothing else is believed */
	cursor_put_bytes(&c, address, 16);
	cursor_put_bytes(&c, all_nodes, 16);
	cursor_put_u8(&c, 136); /* neighbour advertisement */
	cursor_put_u8(&c, 0);
	cursor_put_u16(&c, 0);
	cursor_put_u32(&c, NA_OVERRIDE);
	cursor_put_bytes(&c, address, 16);
	cursor_put_u8(&c, 2); /* target link-layer address, one unit of 8 bytes */
	cursor_put_u8(&c, 1);
	cursor_put_bytes(&c, mac, 6);
	sum = sum_add(0, address, 16);
	sum = sum_add(sum, all_nodes, 16);
	sum = sum_add(sum, pseudo, 8);
	be16_put(icmp + 2, sum_end(sum_add(sum, icmp, 32)));
}

static void tcp_header(uint8_t out[PACKET_TCP_BYTES], uint16_t from, uint16_t to)
{
	struct cursor c = cursor_over(out, PACKET_TCP_BYTES);

	cursor_put_u16(&c, from);
	cursor_put_u16(&c, to);
	cursor_put_u32(
		&c, 1); /* numbers that the connection hardly uses: it answers with its own */
	cursor_put_u32(&c, 1);
	cursor_put_u8(&c, 5 << 4);
	cursor_put_u8(&c, TCP_FLAG_ACK);
	cursor_put_u16(&c, 0);
	cursor_put_u32(&c, 0);
}

static void tcp_sum(uint8_t out[PACKET_TCP_BYTES], uint32_t addresses)
{
	uint8_t pseudo[4] = {0, IPPROTO_TCP, 0, PACKET_TCP_BYTES};

	be16_put(out + 16, sum_end(sum_add(sum_add(addresses, pseudo, 4), out, PACKET_TCP_BYTES)));
}

void packet_ack4(
	uint8_t out[PACKET_TCP_BYTES], const struct sockaddr_in *from, const struct sockaddr_in *to)
{
	tcp_header(out, ntohs(from->sin_port), ntohs(to->sin_port));
	tcp_sum(out, sum_add(sum_add(0, &from->sin_addr, 4), &to->sin_addr, 4));
}

void packet_ack6(uint8_t out[PACKET_TCP_BYTES], const struct sockaddr_in6 *from,
	const struct sockaddr_in6 *to)
{
	tcp_header(out, ntohs(from->sin6_port), ntohs(to->sin6_port));
	tcp_sum(out, sum_add(sum_add(0, &from->sin6_addr, 16), &to->sin6_addr, 16));
}
