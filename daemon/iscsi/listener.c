/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/iscsi/conn.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define ISCSI_LISTEN_BACKLOG	4096
#define ISCSI_SOCKET_BUFFER	(4 << 20)
#define ISCSI_ACCEPT_BATCH	64u
#define ISCSI_ACCEPT_RETRY_MS	100u
#define ISCSI_KEEPALIVE_IDLE_S	30
#define ISCSI_KEEPALIVE_EVERY_S 10
#define ISCSI_KEEPALIVE_PROBES	3

/*
 * Set on the listening socket: what it accepts inherits it, and the window scale fits. Without
 * the right to go beyond the system's limit its own tuning does better than a fixed size.
 */
static void iscsi_listener_buffers(int fd)
{
	int bytes = ISCSI_SOCKET_BUFFER;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
}

/* Inherited as well: five system calls less for each login. */
static void iscsi_listener_options(int fd)
{
	int on = 1, idle = ISCSI_KEEPALIVE_IDLE_S, every = ISCSI_KEEPALIVE_EVERY_S,
	    probes = ISCSI_KEEPALIVE_PROBES;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static const char *iscsi_listener_remedy(int err)
{
	switch (err) {
	case EADDRINUSE:
		return "another program listens there: stop it or change the portal's port";
	case EADDRNOTAVAIL:
		return "no interface of this controller has the address: bring it up or correct it "
		       "under controllers, portals";
	case EACCES:
		return "a port below 1024 needs CAP_NET_BIND_SERVICE";
	default:
		return "check the address under controllers, portals";
	}
}

int iscsi_listener_open(struct iscsi_listener *listener, char *error, size_t error_size)
{
	const struct conf_address *portal = listener->portal;
	int on = 1, err;
	int fd cleanup_close =
		socket(portal->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		err = errno;
		snprintf(
			error, error_size, "portal %s: no socket: %s", portal->text, strerror(err));
		return -err;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (portal->addr.ss_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	}
	iscsi_listener_buffers(fd);
	iscsi_listener_options(fd);
	if (bind(fd, (const struct sockaddr *)&portal->addr, portal->length) < 0 ||
		listen(fd, ISCSI_LISTEN_BACKLOG) < 0) {
		err = errno;
		snprintf(error, error_size, "portal %s: cannot listen: %s; %s", portal->text,
			strerror(err), iscsi_listener_remedy(err));
		return -err;
	}
	listener->rfd.fd = fd;
	fd = -1;
	return 0;
}

/* Out of descriptors or memory: the backlog keeps the others until there is room. */
static void iscsi_listener_hold(struct iscsi_listener *listener, int err)
{
	struct reactor *r = listener->iscsi->reactors[0].reactor;

	if (!listener->held) {
		log_err("iscsi: portal %s: cannot accept: %s; raise LimitNOFILE if that is what "
			"ran out",
			listener->portal->text, strerror(err));
	}
	listener->held = true;
	reactor_fd_mod(r, &listener->rfd, 0);
	reactor_timer_set(r, &listener->retry, ISCSI_ACCEPT_RETRY_MS);
}

static void iscsi_listener_retry(struct reactor_timer *timer)
{
	struct iscsi_listener *listener = container_of(timer, struct iscsi_listener, retry);

	reactor_fd_mod(listener->iscsi->reactors[0].reactor, &listener->rfd, EPOLLIN);
}

/*
 * How many connections wait: one at least, it was ready. An accept that finds none makes a socket
 * and a file only to throw them away, which costs several times as much as this question.
 */
static unsigned iscsi_listener_waiting(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);
	unsigned waiting = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0) {
		waiting = info.tcpi_unacked; /* of a listening socket: its queue */
	}
	waiting = waiting > 0 ? waiting : 1;
	return waiting < ISCSI_ACCEPT_BATCH ? waiting : ISCSI_ACCEPT_BATCH;
}

static void iscsi_listener_ready(struct reactor_fd *rfd, uint32_t events)
{
	struct iscsi_listener *listener = container_of(rfd, struct iscsi_listener, rfd);

	(void)events;
	for (unsigned left = iscsi_listener_waiting(rfd->fd); left > 0; left--) {
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		int fd = accept4(
			rfd->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
				errno == ENOMEM) {
				iscsi_listener_hold(listener, errno);
			}
			return; /* EAGAIN, or a connection that is gone already */
		}
		listener->held = false;
		iscsi_conn_new(iscsi_reactor_pick(listener->iscsi), listener, fd, &peer, length);
	}
}

void iscsi_listener_start(struct iscsi_listener *listener)
{
	struct reactor *r = listener->iscsi->reactors[0].reactor;
	int err;

	listener->rfd.ready = iscsi_listener_ready;
	listener->retry.fired = iscsi_listener_retry;
	err = reactor_fd_add(r, &listener->rfd, EPOLLIN);
	if (err < 0) {
		log_err("iscsi: portal %s: epoll refuses it: %s", listener->portal->text,
			strerror(-err));
		return;
	}
	log_notice("iscsi: portal %s is open", listener->portal->text);
}

void iscsi_listener_close(struct iscsi_listener *listener)
{
	struct reactor *r = listener->iscsi->reactors[0].reactor;

	if (listener->rfd.fd < 0) {
		return;
	}
	if (listener->rfd.ready) {
		reactor_timer_cancel(r, &listener->retry);
		reactor_fd_del(r, &listener->rfd);
	}
	close(listener->rfd.fd);
	listener->rfd.fd = -1;
}
