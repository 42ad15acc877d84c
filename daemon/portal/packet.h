/* SPDX-License-Identifier: BSD-3-Clause */
/* The packets that move an address: their bytes, and nothing else. Any thread. */
#ifndef YOKE_PORTAL_PACKET_H
#define YOKE_PORTAL_PACKET_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_ARP_BYTES 42u /* Ethernet header and ARP */
#define PACKET_NA_BYTES	 86u /* Ethernet, IPv6, neighbour advertisement, target's link address */
#define PACKET_TCP_BYTES 20u

/* An ARP announcement (RFC 5227 2.3) of an IPv4 address at the link address `mac`. */
void packet_arp(uint8_t out[PACKET_ARP_BYTES], const uint8_t mac[6], const struct in_addr *address);

/* An unsolicited neighbour advertisement with the override flag (RFC 4861 7.2.6). */
void packet_na(uint8_t out[PACKET_NA_BYTES], const uint8_t mac[6], const struct in6_addr *address);

/* A TCP segment of only a header: ACK set, the checksum over the pseudo header (RFC 9293 3.1). */
void packet_ack4(uint8_t out[PACKET_TCP_BYTES], const struct sockaddr_in *from,
	const struct sockaddr_in *to);
void packet_ack6(uint8_t out[PACKET_TCP_BYTES], const struct sockaddr_in6 *from,
	const struct sockaddr_in6 *to);

#endif
