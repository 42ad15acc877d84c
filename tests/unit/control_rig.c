/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_rig.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <qb/qbdefs.h>
#include <qb/qbloop.h>

#define RIG_LIMIT_NS (10 * QB_TIME_NS_IN_SEC)

/* ----- the server ---------------------------------------------------------------------------- */

static void rig_stop(void *arg)
{
	struct rig *rig = arg;

	rig->stops++;
}

static void rig_ledger(void *arg, struct ledger_status *status)
{
	*status = fake.ledger;
}

static void rig_reload(void *arg, ha_done_fn *done, void *done_arg)
{
	struct rig *rig = arg;

	rig->reloads++;
	done(done_arg, rig->reload_result,
		rig->reload_result == HA_OK ? "in place at both controllers"
					    : "y:1: first reason\ny:2: second reason");
}

static void rig_resize(
	void *arg, const char *extent, const char *size, ha_done_fn *done, void *done_arg)
{
	struct rig *rig = arg;

	snprintf(rig->resized, sizeof(rig->resized), "%s %s", extent, size ? size : "as it is");
	rig_reload(arg, done, done_arg);
}

void rig_open(struct rig *rig, bool clustered)
{
	struct control_setup setup = {
		.controller = 1,
		.scsi = (struct scsi *)rig, /* never looked into */
		.iscsi = (struct iscsi *)rig,
		.ha = clustered ? (struct ha *)rig : NULL,
		.ship = clustered ? (struct ship *)rig : NULL,
		.stop = rig_stop,
		.ledger = rig_ledger,
		.reload = rig_reload,
		.resize = rig_resize,
		.arg = rig,
		.started_unix_s = 1700000000,
	};
	char error[512];

	memset(rig, 0, sizeof(*rig));
	fake_reset();
	snprintf(rig->dir, sizeof(rig->dir), "/tmp/yoke-control-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->socket, sizeof(rig->socket), "%s/yoked.sock", rig->dir);
	rig->loop = qb_loop_create();
	assert_non_null(rig->loop);
	setup.loop = rig->loop;
	setup.conf = fake_conf(rig->socket, clustered);
	rig->control = control_new(&setup, error, sizeof(error));
	if (!rig->control) {
		fail_msg("%s", error);
	}
}

void rig_close(struct rig *rig)
{
	control_free(rig->control);
	assert_int_equal(access(rig->socket, F_OK), -1);
	qb_loop_destroy(rig->loop);
	assert_int_equal(rmdir(rig->dir), 0);
}

struct rig_wait {
	struct rig *rig;
	bool (*done)(void *arg);
	void *arg;
};

static void rig_tick(void *data)
{
	struct rig_wait *wait = data;
	qb_loop_timer_handle timer;

	if (wait->done(wait->arg)) {
		qb_loop_stop(wait->rig->loop);
		return;
	}
	qb_loop_timer_add(wait->rig->loop, QB_LOOP_MED, QB_TIME_NS_IN_MSEC, wait, rig_tick, &timer);
}

static void rig_expire(void *data)
{
	struct rig *rig = data;

	rig->expired = true;
	qb_loop_stop(rig->loop);
}

void rig_run(struct rig *rig, bool (*done)(void *arg), void *arg)
{
	struct rig_wait wait = {.rig = rig, .done = done, .arg = arg};
	qb_loop_timer_handle limit, tick;

	qb_loop_timer_add(rig->loop, QB_LOOP_MED, RIG_LIMIT_NS, rig, rig_expire, &limit);
	qb_loop_timer_add(rig->loop, QB_LOOP_MED, 1, &wait, rig_tick, &tick);
	qb_loop_run(rig->loop);
	assert_false(rig->expired);
	qb_loop_timer_del(rig->loop, limit);
}

/* ----- clients ------------------------------------------------------------------------------- */

static void rig_client_send(struct rig_client *client)
{
	ssize_t n = send(client->fd, client->out, client->out_left, MSG_NOSIGNAL);

	if (n > 0) {
		client->out += n;
		client->out_left -= (size_t)n;
	} else if (n < 0 && errno != EAGAIN) {
		client->out_left =
			0; /* the server does not listen any more; its answer may be there */
	}
}

static int32_t rig_client_ready(int32_t fd, int32_t revents, void *data)
{
	struct rig_client *client = data;
	ssize_t n;

	if (client->out_left > 0 && (revents & POLLOUT)) {
		rig_client_send(client);
		if (client->out_left == 0) {
			qb_loop_poll_mod(client->rig->loop, QB_LOOP_MED, fd, POLLIN, client,
				rig_client_ready);
		}
	}
	if (!(revents & (POLLIN | POLLHUP | POLLERR))) {
		return 0;
	}
	n = recv(fd, client->in + client->in_bytes, sizeof(client->in) - 1 - client->in_bytes, 0);
	if (n > 0) {
		client->in_bytes += (size_t)n;
		client->in[client->in_bytes] = '\0';
		return 0;
	}
	if (n < 0 && errno == EAGAIN) {
		return 0;
	}
	client->closed = true;
	client->polled = false;
	qb_loop_poll_del(client->rig->loop, fd);
	return 0;
}

void rig_client_open(struct rig *rig, struct rig_client *client, const char *bytes, size_t length)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	client->rig = rig;
	client->out = bytes;
	client->out_left = length;
	client->in_bytes = 0;
	client->in[0] = '\0';
	client->closed = false;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", rig->socket);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(client->fd >= 0);
	assert_int_equal(connect(client->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(qb_loop_poll_add(rig->loop, QB_LOOP_MED, client->fd,
				 length > 0 ? POLLIN | POLLOUT : POLLIN, client, rig_client_ready),
		0);
	client->polled = true;
}

void rig_client_close(struct rig_client *client)
{
	if (client->polled) {
		qb_loop_poll_del(client->rig->loop, client->fd);
		client->polled = false;
	}
	close(client->fd);
}

static bool rig_client_closed(void *arg)
{
	struct rig_client *client = arg;

	return client->closed;
}

void rig_client_finish(struct rig_client *client, struct rig_answer *answer)
{
	const char *body;

	rig_run(client->rig, rig_client_closed, client);
	rig_client_close(client);
	*answer = (struct rig_answer){0};
	if (sscanf(client->in, "HTTP/1.1 %d ", &answer->status) != 1) {
		return;
	}
	body = strstr(client->in, "\r\n\r\n");
	assert_non_null(body);
	answer->json = json_loads(body + 4, 0, NULL);
}

struct rig_answer rig_ask(struct rig *rig, const char *method, const char *path, const char *body)
{
	struct rig_client *client = malloc(sizeof(*client));
	struct rig_answer answer;
	char *request = NULL;
	int length;

	assert_non_null(client);
	length = asprintf(&request,
		"%s %s HTTP/1.1\r\nHost: y\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		method, path, body ? strlen(body) : 0, body ? body : "");
	assert_true(length > 0);
	rig_client_open(rig, client, request, (size_t)length);
	rig_client_finish(client, &answer);
	free(request);
	free(client);
	return answer;
}

void rig_refused(struct rig *rig, const char *method, const char *path, const char *body,
	int status, const char *code)
{
	struct rig_answer answer = rig_ask(rig, method, path, body);
	const json_t *error = json_object_get(answer.json, "error");

	assert_int_equal(answer.status, status);
	assert_non_null(error);
	assert_string_equal(json_string_value(json_object_get(error, "code")), code);
	/* A message for people, never empty. */
	assert_true(json_string_length(json_object_get(error, "message")) > 5);
	json_decref(answer.json);
}
