/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/control.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <qb/qbdefs.h>
#include <qb/qbloop.h>

#include "control_private.h"
#include "yoke/log.h"

/* ----- the socket ---------------------------------------------------------------------------- */

/* The directory of the socket, one level: /run is empty after a boot. */
static int control_dir_make(const char *path, char *error, size_t error_size)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *dir;

	snprintf(copy, sizeof(copy), "%s", path);
	dir = dirname(copy);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
		int err = -errno;

		snprintf(error, error_size,
			"control socket %s: cannot make directory %s: %s; create it or change "
			"`socket`",
			path, dir, strerror(-err));
		return err;
	}
	return 0;
}

/* Removes a socket that nobody listens on; -EADDRINUSE when somebody does. */
static int control_socket_clear(const struct sockaddr_un *addr, char *error, size_t error_size)
{
	cleanup_close int fd = -1;
	struct stat st;

	if (lstat(addr->sun_path, &st) < 0) {
		return 0;
	}
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(error, error_size,
			"control socket %s: there is something else than a socket; remove it or "
			"change `socket`",
			addr->sun_path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ||
		(errno != ECONNREFUSED && errno != ENOENT)) {
		snprintf(error, error_size,
			"control socket %s: another daemon listens there; stop it, or give this "
			"one another "
			"`socket`",
			addr->sun_path);
		return -EADDRINUSE;
	}
	unlink(addr->sun_path);
	return 0;
}

/* The listening descriptor, or a negative errno with a message. */
static int control_socket_open(struct control *control, char *error, size_t error_size)
{
	const char *path = control->setup.conf->socket_path;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	cleanup_close int fd = -1;
	struct stat st;
	int err, ret;

	error[0] = '\0';
	if (strlen(path) >= sizeof(addr.sun_path)) {
		snprintf(error, error_size,
			"control socket %s: longer than the %zu bytes that a socket may have", path,
			sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	err = control_dir_make(path, error, error_size);
	if (err == 0) {
		err = control_socket_clear(&addr, error, error_size);
	}
	if (err < 0) {
		goto fail;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* On Linux the mode of the descriptor becomes that of the file: there is never an open
	 * moment. */
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
		bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || chmod(path, 0600) < 0 ||
		listen(fd, CONTROL_CONNECTIONS_MAX) < 0 || lstat(path, &st) < 0) {
		err = -errno;
		goto fail;
	}
	control->socket_dev = st.st_dev;
	control->socket_ino = st.st_ino;
	ret = fd;
	fd = -1;
	return ret;

fail:
	if (error[0] == '\0') {
		snprintf(error, error_size, "control socket %s: %s", path, strerror(-err));
	}
	return err;
}

static void control_socket_remove(const struct control *control)
{
	const char *path = control->setup.conf->socket_path;
	struct stat st;

	if (control->socket_ino != 0 && lstat(path, &st) == 0 && st.st_dev == control->socket_dev &&
		st.st_ino == control->socket_ino) {
		unlink(path);
	}
}

/* ----- libmicrohttpd in the loop ------------------------------------------------------------- */

static void control_run(struct control *control);

static void control_timer_fired(void *data)
{
	struct control *control = data;

	control->timer_set = false;
	control_run(control);
}

static int32_t control_readable(int32_t fd, int32_t revents, void *data)
{
	control_run(data);
	return 0;
}

static int32_t control_kicked(int32_t fd, int32_t revents, void *data)
{
	eventfd_t count;

	eventfd_read(fd, &count);
	control_run(data);
	return 0;
}

/* Not a job of the loop: libqb lets those wait for up to 50 ms when nothing else happens. */
void control_kick(struct control *control)
{
	eventfd_write(control->kick_fd, 1);
}

static void control_run(struct control *control)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(control->http);
	if (control->timer_set) {
		qb_loop_timer_del(control->setup.loop, control->timer);
		control->timer_set = false;
	}
	if (MHD_get_timeout(control->http, &ms) != MHD_YES) {
		return;
	}
	if (ms == 0) {
		control_kick(control);
	} else {
		control->timer_set =
			qb_loop_timer_add(control->setup.loop, QB_LOOP_MED, ms * QB_TIME_NS_IN_MSEC,
				control, control_timer_fired, &control->timer) == 0;
	}
}

static void YOKE_PRINTF(2, 0) control_http_log(void *arg, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("management: %s", text);
}

/*
 * At its limit of connections MHD stops to listen, and looks whether it may listen again only when
 * it is run: without this a full house would stay closed after everybody has gone.
 */
static void control_connection_notify(void *arg, struct MHD_Connection *connection,
	void **socket_context, enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		control_kick(arg);
	}
}

static int control_http_start(struct control *control, int listen_fd)
{
	const union MHD_DaemonInfo *info;

	control->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->kick_fd < 0 ||
		qb_loop_poll_add(control->setup.loop, QB_LOOP_MED, control->kick_fd, POLLIN,
			control, control_kicked) < 0) {
		return -EIO;
	}
	control->http =
		MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
			NULL, NULL, control_http_request, control, MHD_OPTION_EXTERNAL_LOGGER,
			control_http_log, control, MHD_OPTION_LISTEN_SOCKET, listen_fd,
			MHD_OPTION_NOTIFY_COMPLETED, control_http_completed, control,
			MHD_OPTION_NOTIFY_CONNECTION, control_connection_notify, control,
			MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONTROL_CONNECTIONS_MAX,
			MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONTROL_IDLE_S, MHD_OPTION_END);
	if (!control->http) {
		return -EIO;
	}
	info = MHD_get_daemon_info(control->http, MHD_DAEMON_INFO_EPOLL_FD);
	control->http_epoll_fd = info ? info->epoll_fd : -1;
	if (control->http_epoll_fd < 0) {
		return -EIO;
	}
	return qb_loop_poll_add(control->setup.loop, QB_LOOP_MED, control->http_epoll_fd, POLLIN,
		control, control_readable);
}

struct control *control_new(const struct control_setup *setup, char *error, size_t error_size)
{
	struct control *control = calloc(1, sizeof(*control));
	int fd;

	if (!control) {
		snprintf(error, error_size, "management interface: out of memory");
		return NULL;
	}
	control->setup = *setup;
	control->http_epoll_fd = -1;
	control->kick_fd = -1;
	control->peer_uid = control_peer_uid;
	qb_list_init(&control->requests);
	fd = control_socket_open(control, error, error_size);
	if (fd < 0) {
		free(control);
		return NULL;
	}
	if (control_http_start(control, fd) < 0) {
		snprintf(error, error_size,
			"control socket %s: cannot start the HTTP server (out of descriptors "
			"or memory?)",
			setup->conf->socket_path);
		if (!control->http) {
			close(fd); /* otherwise the HTTP server closes it */
		}
		control_free(control);
		return NULL;
	}
	return control;
}

/* Held requests get an answer that says why; one pass over the sockets sends what fits at once. */
static void control_requests_end(struct control *control)
{
	struct control_request *req, *next;

	qb_list_for_each_entry_safe (req, next, &control->requests, link) {
		if (req->suspended) {
			control_refuse(req, CONTROL_STOPPING,
				"the daemon is ending; ask again when it is back");
		}
	}
	MHD_run(control->http);
	MHD_run(control->http);
}

void control_conf_set(struct control *control, const struct conf *conf)
{
	control->setup.conf = conf;
}

void control_free(struct control *control)
{
	if (!control) {
		return;
	}
	if (control->timer_set) {
		qb_loop_timer_del(control->setup.loop, control->timer);
	}
	if (control->http) {
		if (control->http_epoll_fd >= 0) {
			qb_loop_poll_del(control->setup.loop, control->http_epoll_fd);
		}
		control_requests_end(control);
		control_socket_remove(control);
		MHD_stop_daemon(control->http);
	} else {
		control_socket_remove(control);
	}
	if (control->kick_fd >= 0) {
		qb_loop_poll_del(control->setup.loop, control->kick_fd);
		close(control->kick_fd);
	}
	free(control);
}
