/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Portal adoption: the addresses of the portals belong to yoked, which puts them on an interface
 * when it serves there and takes them away when it does not. So the survivor can serve a lost
 * controller's portals: it takes their addresses, tells the network where they are now, and has the
 * hosts' old connections reset at once instead of after their time-outs.
 *
 * Control thread only. Calls are short system calls; none waits for a network.
 */
#ifndef YOKE_PORTAL_H
#define YOKE_PORTAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "yoke/conf.h"

#define PORTAL_HOSTS_MAX       2048u
#define PORTAL_HOST_BYTES_MAX  22u
#define PORTAL_HOSTS_BYTES_MAX (4u + PORTAL_HOSTS_MAX * PORTAL_HOST_BYTES_MAX)

/* One connection of a host to a controller. */
struct portal_host {
	uint8_t portal; /* place in the controller's list of portals, from 1 */
	struct sockaddr_storage peer; /* the host's address and port */
};

/* What of the machine the portals need; a test has its own. All return 0 or a negative errno. */
struct portal_ops {
	/* Puts the address on the interface, or takes it away. Having (not having) it already is 0.
	 */
	int (*address)(void *ctx, bool add, const char *interface,
		const struct conf_address *address, uint8_t prefix);
	/* Tells the neighbours that the address is here now (gratuitous ARP, unsolicited NA). */
	int (*announce)(void *ctx, const char *interface, const struct conf_address *address);
	/*
	 * Sends a bare TCP ACK from `from` to `to`: a host that has the connection answers it, and
	 * the answer meets no socket here, so that this kernel resets it (RFC 9293 3.10.7.4).
	 */
	int (*provoke)(
		void *ctx, const struct conf_address *from, const struct sockaddr_storage *to);
};
/* Those of this machine; they need CAP_NET_ADMIN and CAP_NET_RAW. */
extern const struct portal_ops portal_ops_system;

struct portal;

/* `conf` and `ops` outlive it. NULL = out of memory. */
struct portal *portal_new(
	const struct conf *conf, uint8_t controller, const struct portal_ops *ops, void *ctx);
/* Leaves the addresses as they are. */
void portal_free(struct portal *portal);

/*
 * Puts the addresses of the portals of `controller` (this one's, or the other's: adoption) on this
 * controller's interfaces and announces them. The first failure ends it and is undone: 0, or a
 * negative errno with address, interface, cause and remedy in `error`.
 */
int portal_take(struct portal *portal, uint8_t controller, char *error, size_t error_size);
/* Takes them away again; what fails is logged. Idempotent. */
void portal_give(struct portal *portal, uint8_t controller);

/* The connections of hosts to this controller, for the other: the length, at most `size`. Hosts
 * beyond PORTAL_HOSTS_MAX are left out. */
size_t portal_hosts_encode(
	const struct portal_host *hosts, unsigned count, uint8_t *bytes, size_t size);
/*
 * Remembers what the other controller said about its hosts; bytes from outside. 0, or -EBADMSG:
 * nothing changed.
 */
int portal_hosts_set(struct portal *portal, const uint8_t *bytes, size_t size);
/* How many it knows. */
unsigned portal_hosts_count(const struct portal *portal);
/* Provokes the reset of every connection that hosts had to the other controller's portals. */
void portal_hosts_reset(struct portal *portal);

/*
 * Packets get lost, and who misses one finds out by its own time-outs. So what portal_take() told
 * the neighbours about the addresses of `controller`, and portal_hosts_reset() its hosts, is told
 * again: portal_again_ms() says after how many ms from the last time, 0 = that was often enough, or
 * the addresses have been given back. Told too often it harms nobody: a connection that is not
 * there any more is not made by an ACK.
 */
unsigned portal_again_ms(const struct portal *portal, uint8_t controller);
void portal_again(struct portal *portal, uint8_t controller);

#endif
