/* SPDX-License-Identifier: BSD-3-Clause */
/* The interconnect's sockets: listener, dialling, options. */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "ha/ship_private.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define SHIP_BACKLOG	    64
#define SHIP_COMPLAIN_MS    60000u
#define SHIP_ACCEPT_REST_MS 100u /* out of descriptors: leave the listener alone for a while */

struct ship_listener {
	struct ship *ship;
	struct reactor_fd rfd;
	struct reactor_timer rest;
	struct mailbox_msg msg;
	struct qb_list_head half_open; /* of struct ship_in */
	unsigned half_open_count;
	uint64_t quiet_until_ms; /* for complaints */
};

const char *ship_peer_address(const struct ship *ship)
{
	return ship->peer_address->text;
}

int ship_socket_prepare(const struct ship *ship, int fd)
{
	unsigned timeout_ms = ship->timing.silence_ms;
	int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms)) <
			0) {
		return -errno;
	}
	return 0;
}

/* The same address with another port. */
static void ship_port_set(struct sockaddr_storage *addr, uint16_t port)
{
	if (addr->ss_family == AF_INET6) {
		((struct sockaddr_in6 *)addr)->sin6_port = htons(port);
	} else {
		((struct sockaddr_in *)addr)->sin_port = htons(port);
	}
}

int ship_socket_dial(const struct ship *ship)
{
	const struct conf_address *own = ship->own_address;
	const struct conf_address *peer = ship->peer_address;
	struct sockaddr_storage from = own->addr;
	int on = 1, err = 0;
	int fd = socket(peer->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -errno;
	}
	/* From the interconnect's own address, so that it takes the interconnect's own wire. */
	ship_port_set(&from, 0);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (own->addr.ss_family == peer->addr.ss_family &&
		bind(fd, (struct sockaddr *)&from, own->length) < 0) {
		err = -errno;
	} else {
		err = ship_socket_prepare(ship, fd);
	}
	if (!err && connect(fd, (const struct sockaddr *)&peer->addr, peer->length) < 0 &&
		errno != EINPROGRESS) {
		err = -errno;
	}
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* ----- accepting -------------------------------------------------------------------------------
 */

void ship_listener_greeted(struct ship *ship)
{
	ship->listener->half_open_count--;
}

void ship_listener_complain(struct ship *ship, const char *address, const char *why)
{
	struct ship_listener *listener = ship->listener;
	uint64_t now_ms = reactor_now_ms(ship->ports[0].reactor);

	SHIP_COUNT(&ship->ports[0], refused_frames, 1);
	if (now_ms < listener->quiet_until_ms) {
		log_debug("interconnect: connection from %s ended before its greeting: %s", address,
			why);
		return;
	}
	listener->quiet_until_ms = now_ms + SHIP_COMPLAIN_MS;
	log_warning("interconnect: connection from %s ended before its greeting: %s; if it is the "
		    "other controller, compare the key files and versions, if not, keep it away "
		    "from this network",
		address, why);
}

static void ship_listener_take(struct ship_listener *listener, int fd,
	const struct sockaddr_storage *addr, socklen_t length)
{
	struct ship *ship = listener->ship;
	char host[48] = "?";
	int err = 0;

	getnameinfo(
		(const struct sockaddr *)addr, length, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	if (listener->half_open_count >= SHIP_HALF_OPEN) {
		SHIP_COUNT(&ship->ports[0], refused_frames, 1);
		log_debug("interconnect: connection from %s refused: %u others wait for their "
			  "greeting",
			host, listener->half_open_count);
		close(fd);
		return;
	}
	err = ship_socket_prepare(ship, fd);
	if (err < 0) {
		close(fd);
	} else {
		err = ship_in_accept(ship, fd, host, &listener->half_open);
	}
	if (err < 0) {
		log_warning(
			"interconnect: connection from %s not accepted: %s", host, strerror(-err));
		return;
	}
	listener->half_open_count++;
}

static void ship_listener_ready(struct reactor_fd *rfd, uint32_t events)
{
	struct ship_listener *listener = container_of(rfd, struct ship_listener, rfd);
	struct reactor *r = listener->ship->ports[0].reactor;

	for (unsigned i = 0; i < SHIP_BACKLOG; i++) {
		struct sockaddr_storage addr;
		socklen_t length = sizeof(addr);
		int fd = accept4(
			rfd->fd, (struct sockaddr *)&addr, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			ship_listener_take(listener, fd, &addr, length);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			log_warning("interconnect: cannot accept connections: %s; raise the limit "
				    "of open files (LimitNOFILE)",
				strerror(errno));
			reactor_fd_mod(r, rfd, 0);
			reactor_timer_set(r, &listener->rest, SHIP_ACCEPT_REST_MS);
			return;
		}
	}
}

static void ship_listener_rested(struct reactor_timer *timer)
{
	struct ship_listener *listener = container_of(timer, struct ship_listener, rest);

	reactor_fd_mod(listener->ship->ports[0].reactor, &listener->rfd, EPOLLIN);
}

static void ship_listener_start(struct mailbox_msg *msg)
{
	struct ship_listener *listener = container_of(msg, struct ship_listener, msg);
	int err = reactor_fd_add(listener->ship->ports[0].reactor, &listener->rfd, EPOLLIN);

	if (err < 0) {
		log_err("interconnect: the listener cannot be watched: %s; the peer's commands "
			"will not get through",
			strerror(-err));
	}
}

static int ship_listener_bind(const struct conf_address *own)
{
	int fd = socket(own->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, err;

	if (fd < 0) {
		return -errno;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (own->addr.ss_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	}
	if (bind(fd, (const struct sockaddr *)&own->addr, own->length) < 0 ||
		listen(fd, SHIP_BACKLOG) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int ship_listener_open(struct ship *ship, char *error, size_t error_size)
{
	const struct conf_address *own = ship->own_address;
	struct ship_listener *listener;
	int fd;

	if (ship->listener) {
		return 0;
	}
	fd = ship_listener_bind(own);
	if (fd < 0) {
		snprintf(error, error_size,
			"interconnect: cannot listen on %s: %s; check controllers[].interconnect "
			"and "
			"that no other daemon uses it",
			own->text, strerror(-fd));
		return fd;
	}
	listener = calloc(1, sizeof(*listener));
	if (!listener) {
		close(fd);
		snprintf(error, error_size, "interconnect: out of memory");
		return -ENOMEM;
	}
	listener->ship = ship;
	listener->rfd = (struct reactor_fd){.fd = fd, .ready = ship_listener_ready};
	listener->rest.fired = ship_listener_rested;
	listener->msg.fn = ship_listener_start;
	qb_list_init(&listener->half_open);
	ship->listener = listener;
	reactor_post(ship->ports[0].reactor, &listener->msg);
	return 0;
}

void ship_listener_close(struct ship *ship)
{
	struct ship_listener *listener = ship->listener;

	if (!listener) {
		return;
	}
	ship_in_free_all(&listener->half_open);
	reactor_timer_cancel(ship->ports[0].reactor, &listener->rest);
	reactor_fd_del(ship->ports[0].reactor, &listener->rfd);
	close(listener->rfd.fd);
	free(listener);
	ship->listener = NULL;
}
