/* SPDX-License-Identifier: BSD-3-Clause */
/* portal_ops of this machine: addresses by libnl, announcements and ACKs by raw sockets. */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/portal/packet.h"
#include "yoke/portal.h"
#include "yoke/util.h"

/* libnl's own numbers as errno. */
static int nl_errno(int err)
{
	switch (-err) {
	case NLE_EXIST:
		return -EEXIST;
	case NLE_NOADDR:
		return -EADDRNOTAVAIL;
	case NLE_NODEV:
		return -ENODEV;
	case NLE_PERM:
		return -EPERM;
	case NLE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int system_address(void *ctx, bool add, const char *interface,
	const struct conf_address *address, uint8_t prefix)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->addr;
	bool four = address->addr.ss_family == AF_INET;
	struct nl_sock *socket = nl_socket_alloc();
	struct rtnl_addr *entry = rtnl_addr_alloc();
	struct nl_addr *local = nl_addr_build(address->addr.ss_family,
		four ? (const void *)&in4->sin_addr : (const void *)&in6->sin6_addr, four ? 4 : 16);
	unsigned index = if_nametoindex(interface);
	int err = -ENOMEM;

	if (!index) {
		err = -ENODEV;
	} else if (socket && entry && local) {
		nl_addr_set_prefixlen(local, prefix);
		rtnl_addr_set_ifindex(entry, (int)index);
		rtnl_addr_set_local(entry, local);
		if (!four) {
			/* Nobody else can have it: its holder has been fenced, or is us. */
			rtnl_addr_set_flags(entry, IFA_F_NODAD);
		}
		err = nl_connect(socket, NETLINK_ROUTE);
		err = err   ? err
		      : add ? rtnl_addr_add(socket, entry, 0)
			    : rtnl_addr_delete(socket, entry, 0);
		err = err ? nl_errno(err) : 0;
	}
	nl_addr_put(local);
	rtnl_addr_put(entry);
	nl_socket_free(socket);
	return err == (add ? -EEXIST : -EADDRNOTAVAIL) ? 0 : err;
}

static int system_announce(void *ctx, const char *interface, const struct conf_address *address)
{
	bool four = address->addr.ss_family == AF_INET;
	int fd cleanup_close = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6};
	uint8_t bytes[PACKET_NA_BYTES];
	struct ifreq request = {0};
	const uint8_t *mac = (const uint8_t *)request.ifr_hwaddr.sa_data;

	if (fd < 0) {
		return -errno;
	}
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	to.sll_ifindex = (int)if_nametoindex(interface);
	if (!to.sll_ifindex || ioctl(fd, SIOCGIFHWADDR, &request) < 0) {
		return -errno;
	}
	if (four) {
		packet_arp(bytes, mac, &((const struct sockaddr_in *)&address->addr)->sin_addr);
	} else {
		packet_na(bytes, mac, &((const struct sockaddr_in6 *)&address->addr)->sin6_addr);
	}
	memset(to.sll_addr, 0xff, 6);
	return sendto(fd, bytes, four ? PACKET_ARP_BYTES : PACKET_NA_BYTES, MSG_DONTWAIT,
		       (const struct sockaddr *)&to, sizeof(to)) < 0
		       ? -errno
		       : 0;
}

static int system_provoke(
	void *ctx, const struct conf_address *from, const struct sockaddr_storage *to)
{
	bool four = to->ss_family == AF_INET;
	int fd cleanup_close = socket(to->ss_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);
	struct sockaddr_storage source = from->addr, target = *to;
	uint8_t bytes[PACKET_TCP_BYTES];
	socklen_t size = four ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	if (fd < 0) {
		return -errno;
	}
	if (four) {
		packet_ack4(bytes, (struct sockaddr_in *)&source, (struct sockaddr_in *)&target);
		((struct sockaddr_in *)&source)->sin_port = 0;
		((struct sockaddr_in *)&target)->sin_port = 0;
	} else {
		packet_ack6(bytes, (struct sockaddr_in6 *)&source, (struct sockaddr_in6 *)&target);
		((struct sockaddr_in6 *)&source)->sin6_port = 0;
		((struct sockaddr_in6 *)&target)->sin6_port = 0;
	}
	if (bind(fd, (struct sockaddr *)&source, size) < 0) {
		return -errno;
	}
	return sendto(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&target, size) < 0
		       ? -errno
		       : 0;
}

const struct portal_ops portal_ops_system = {
	.address = system_address,
	.announce = system_announce,
	.provoke = system_provoke,
};
