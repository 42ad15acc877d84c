/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a connection to a handler and back. The order of checks: peer, path, method, size, cluster,
 * body, then the handler. A handler answers at once, or starts an action of the cluster layer: the
 * connection is then suspended until the action's done(), and costs nothing meanwhile.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control_private.h"
#include "yoke/log.h"

/* After this much body beyond the limit the connection is cut without an answer. */
#define CONTROL_EXTRA_MAX (1u << 20)

/* ----- answers ------------------------------------------------------------------------------- */

/* Lets a held request go on: MHD calls control_http_request() again. */
static void control_request_wake(struct control_request *req)
{
	if (req->suspended) {
		req->suspended = false;
		MHD_resume_connection(req->connection);
		control_kick(req->control);
	}
}

static void control_answer_set(struct control_request *req, unsigned status, json_t *answer)
{
	json_decref(req->answer);
	req->answer = answer;
	req->status = status;
	control_request_wake(req);
}

void control_answer(struct control_request *req, json_t *answer)
{
	if (!answer) {
		control_refuse(req, CONTROL_FAILED, "out of memory");
		return;
	}
	control_answer_set(req, MHD_HTTP_OK, answer);
}

void control_refuse(struct control_request *req, enum control_error error, const char *fmt, ...)
{
	char message[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	control_answer_set(req, control_error_status(error),
		json_pack("{s:{s:s, s:o}}", "error", "code", control_error_code(error), "message",
			control_json_text(message)));
}

/* Queues the answer; MHD_NO cuts the connection. */
static enum MHD_Result control_answer_send(struct control_request *req)
{
	static const char oom[] =
		"{\"error\": {\"code\": \"failed\", \"message\": \"out of memory\"}}";
	char *text = req->answer ? json_dumps(req->answer, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	struct MHD_Response *response;
	enum MHD_Result ret;

	if (text) {
		response =
			MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
		if (!response) {
			free(text);
		}
	} else {
		req->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
		response = MHD_create_response_from_buffer(
			sizeof(oom) - 1, (void *)(uintptr_t)oom, MHD_RESPMEM_PERSISTENT);
	}
	if (!response) {
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	if (req->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, POST");
	}
	ret = MHD_queue_response(req->connection, req->status, response);
	MHD_destroy_response(response);
	return ret;
}

/* ----- actions of the cluster layer ---------------------------------------------------------- */

struct control_action *control_action_new(struct control_request *req,
	void (*finish)(struct control_request *req, enum ha_result result, const char *message))
{
	struct control_action *action = calloc(1, sizeof(*action));

	if (!action) {
		control_refuse(req, CONTROL_FAILED, "out of memory");
		return NULL;
	}
	action->request = req;
	action->finish = finish;
	req->action = action;
	return action;
}

void control_action_done(void *arg, enum ha_result result, const char *message)
{
	struct control_action *action = arg;
	struct control_request *req = action->request;

	if (req) {
		req->action = NULL;
		action->finish(req, result, message);
	}
	free(action);
}

/* ----- requests ------------------------------------------------------------------------------ */

int control_peer_uid(int fd, uid_t *uid)
{
	struct ucred cred;
	socklen_t length = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0) {
		return -errno;
	}
	*uid = cred.uid;
	return 0;
}

static bool control_peer_allowed(struct control_request *req)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	uid_t uid;

	if (!info || req->control->peer_uid(info->connect_fd, &uid) < 0) {
		control_refuse(req, CONTROL_DENIED,
			"cannot find out who asks; ask through the unix socket");
		return false;
	}
	if (uid != 0 && uid != geteuid()) {
		log_warning("management: refused a request of user id %u", (unsigned)uid);
		control_refuse(req, CONTROL_DENIED,
			"user id %u may not manage this daemon; ask as root or as the daemon's own "
			"user",
			(unsigned)uid);
		return false;
	}
	return true;
}

static bool control_body_announced_too_big(struct control_request *req)
{
	const char *text = MHD_lookup_connection_value(
		req->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return text && strtoull(text, NULL, 10) > CONTROL_BODY_MAX;
}

/* What can be said before the body is here; an answer set here ends the request. */
static void control_request_begin(struct control_request *req, const char *method, const char *path)
{
	bool path_known;

	if (!control_peer_allowed(req)) {
		return;
	}
	req->route = control_route_find(method, path, req->name, &path_known);
	if (!req->route && path_known) {
		control_refuse(req, CONTROL_WRONG_METHOD,
			"%.16s is no method of %.128s; GET /v1 lists them", method, path);
	} else if (!req->route) {
		control_refuse(req, CONTROL_NO_SUCH_RESOURCE,
			"there is no %.128s; GET /v1 lists what there is", path);
	} else if (control_body_announced_too_big(req)) {
		control_refuse(
			req, CONTROL_BODY_TOO_BIG, "the body may have %u bytes", CONTROL_BODY_MAX);
	}
}

/* False: the connection is to be cut. */
static bool control_body_add(struct control_request *req, const char *bytes, size_t n)
{
	char *body;

	if (req->extra_bytes > 0 || n > CONTROL_BODY_MAX - req->body_bytes) {
		req->extra_bytes += n;
		return req->extra_bytes <= CONTROL_EXTRA_MAX;
	}
	body = realloc(req->body, req->body_bytes + n);
	if (!body) {
		return false;
	}
	memcpy(body + req->body_bytes, bytes, n);
	req->body = body;
	req->body_bytes += n;
	return true;
}

/* The body is complete: run the handler. */
static void control_request_run(struct control_request *req)
{
	if (req->extra_bytes > 0) {
		control_refuse(
			req, CONTROL_BODY_TOO_BIG, "the body may have %u bytes", CONTROL_BODY_MAX);
		return;
	}
	if (req->route->needs_cluster && !req->control->setup.ha) {
		control_refuse(req, CONTROL_NO_CLUSTER,
			"this daemon runs without a cluster (`cluster: none`); its groups do not "
			"move");
		return;
	}
	if (!control_args_parse(req)) {
		return;
	}
	req->route->handler(req);
	if (req->status != 0) {
		return;
	}
	if (req->action) {
		MHD_suspend_connection(req->connection);
		req->suspended = true;
	} else {
		control_refuse(req, CONTROL_FAILED, "no answer from %s", req->route->path);
	}
}

static struct control_request *control_request_new(
	struct control *control, struct MHD_Connection *connection)
{
	struct control_request *req = calloc(1, sizeof(*req));

	if (!req) {
		return NULL;
	}
	req->control = control;
	req->connection = connection;
	qb_list_add_tail(&req->link, &control->requests);
	return req;
}

enum MHD_Result control_http_request(void *cls, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_bytes,
	void **con_cls)
{
	struct control_request *req = *con_cls;

	if (!req) {
		req = control_request_new(cls, connection);
		if (!req) {
			return MHD_NO;
		}
		*con_cls = req;
		control_request_begin(req, method, url);
		return req->status != 0 ? control_answer_send(req) : MHD_YES;
	}
	if (*upload_bytes > 0) {
		bool go_on = control_body_add(req, upload, *upload_bytes);

		*upload_bytes = 0;
		return go_on ? MHD_YES : MHD_NO;
	}
	if (req->status == 0) {
		control_request_run(req);
	}
	return req->suspended ? MHD_YES : control_answer_send(req);
}

void control_http_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
	enum MHD_RequestTerminationCode why)
{
	struct control_request *req = *con_cls;
	struct control *control = cls;
	bool stop;

	if (!req) {
		return;
	}
	stop = req->stop_after;
	if (req->action) {
		req->action->request = NULL;
	}
	qb_list_del(&req->link);
	json_decref(req->args);
	json_decref(req->answer);
	free(req->body);
	free(req);
	*con_cls = NULL;
	if (stop) {
		control->setup.stop(control->setup.arg);
	}
}
