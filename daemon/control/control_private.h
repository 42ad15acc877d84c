/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of daemon/control share. Control thread only. */
#ifndef YOKE_CONTROL_PRIVATE_H
#define YOKE_CONTROL_PRIVATE_H

#include <jansson.h>
#include <microhttpd.h>
#include <qb/qblist.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "yoke/control.h"
#include "yoke/util.h"

#define CONTROL_BODY_MAX	(64u << 10) /* bytes of a request's body */
#define CONTROL_NAME_MAX	128 /* a {name} in a path, with its NUL */
#define CONTROL_CONNECTIONS_MAX 64
#define CONTROL_IDLE_S		30 /* a connection that says nothing; held actions do not count */

struct control_request;

/* ----- errors: {"error": {"code": ..., "message": ...}} -------------------------------------- */

enum control_error {
	CONTROL_BAD_REQUEST,
	CONTROL_DENIED,
	CONTROL_NO_SUCH_RESOURCE,
	CONTROL_NO_SUCH_GROUP,
	CONTROL_NO_SUCH_CONTROLLER,
	CONTROL_WRONG_METHOD,
	CONTROL_BODY_TOO_BIG,
	CONTROL_NO_CLUSTER,
	CONTROL_NOT_IN_SYNC,
	CONTROL_NO_QUORUM,
	CONTROL_NO_PEER,
	CONTROL_BUSY,
	CONTROL_TIMEOUT,
	CONTROL_FAILED,
	CONTROL_STOPPING,
	CONTROL_ERRORS /* how many there are */
};

/* HTTP status and the code that programs test. */
unsigned control_error_status(enum control_error error);
const char *control_error_code(enum control_error error);

/* The error that an action of the cluster layer ended with; HA_OK is none of them. */
enum control_error control_error_of_result(enum ha_result result);

/* ----- requests ------------------------------------------------------------------------------ */

/* A member of a request's JSON body; anything not listed is refused. */
struct control_field {
	const char *name; /* NULL ends the list */
	json_type type; /* JSON_STRING or JSON_INTEGER */
	bool required;
	json_int_t min, max; /* of an integer; of a string its bytes */
};

/*
 * One resource. `path` is compared part by part, "{name}" stands for any one part. A route that
 * needs the cluster is refused (no-cluster) where there is none.
 */
struct control_route {
	const char *method;
	const char *path;
	void (*handler)(struct control_request *req);
	const struct control_field *fields; /* NULL: no body */
	bool needs_cluster;
	const char *help;
};

/* The table, ended by a row without a method. */
extern const struct control_route control_routes[];

/*
 * The row for method and path; copies the {name} part to name[CONTROL_NAME_MAX]. NULL when there
 * is none: *path_known then tells whether another method would have been right.
 */
const struct control_route *control_route_find(
	const char *method, const char *path, char *name, bool *path_known);

/* An action of the cluster layer under way; outlives the request when the client goes away. */
struct control_action {
	struct control_request *request; /* NULL: nobody waits for the answer any more */
	void (*finish)(struct control_request *req, enum ha_result result, const char *message);
};

struct control_request {
	struct qb_list_head link; /* control->requests */
	struct control *control;
	struct MHD_Connection *connection;
	const struct control_route *route;
	char name[CONTROL_NAME_MAX]; /* the {name} part of the path, or "" */
	char *body;
	size_t body_bytes; /* collected */
	size_t extra_bytes; /* thrown away after the limit */
	json_t *args; /* the body, checked against route->fields; or NULL */
	unsigned status; /* of the answer, 0 = none yet */
	json_t *answer;
	struct control_action *action;
	bool suspended;
	bool stop_after; /* the daemon ends when this answer is out */
};

/* Appends a formatted text to a JSON array. */
void control_json_append(json_t *array, const char *fmt, ...) YOKE_PRINTF(2, 3);

/* Sets the answer; takes `answer` over (NULL, out of memory, becomes an error). Wakes a held
 * request. */
void control_answer(struct control_request *req, json_t *answer);
void control_refuse(struct control_request *req, enum control_error error, const char *fmt, ...)
	YOKE_PRINTF(3, 4);

/*
 * Makes the done() argument for an action of the cluster layer; the request is held until the
 * action has ended in control_action_done(). NULL (answered) when out of memory.
 */
struct control_action *control_action_new(struct control_request *req,
	void (*finish)(struct control_request *req, enum ha_result result, const char *message));
ha_done_fn control_action_done;

/* Members of the checked body. */
const char *control_arg_string(const struct control_request *req, const char *name);
json_int_t control_arg_integer(
	const struct control_request *req, const char *name, json_int_t otherwise);

/* Reads and checks the body; false with an answer when it is wrong. */
bool control_args_parse(struct control_request *req);

/* ----- the server ---------------------------------------------------------------------------- */

struct control {
	struct control_setup setup;
	struct MHD_Daemon *http;
	int http_epoll_fd;
	qb_loop_timer_handle timer;
	bool timer_set;
	int kick_fd; /* eventfd of control_kick() */
	dev_t socket_dev; /* what we bound, so that we do not remove another daemon's socket */
	ino_t socket_ino;
	struct qb_list_head requests;
	/* Who is at the other end: 0 or a negative errno. A test can put another in its place. */
	int (*peer_uid)(int fd, uid_t *uid);
};

/* MHD has work that no descriptor tells of (a resumed connection): it runs in the loop's next pass.
 */
void control_kick(struct control *control);

/* http.c: MHD's entry points. */
enum MHD_Result control_http_request(void *cls, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_bytes,
	void **con_cls);
void control_http_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
	enum MHD_RequestTerminationCode why);
int control_peer_uid(int fd, uid_t *uid);

/* ----- handlers ------------------------------------------------------------------------------ */

void control_get_index(struct control_request *req);
void control_get_status(struct control_request *req);
void control_get_config(struct control_request *req);
void control_reload_config(struct control_request *req);
void control_resize_lu(struct control_request *req);
void control_get_sessions(struct control_request *req);
void control_logout_session(struct control_request *req);
void control_get_lus(struct control_request *req);
void control_probe_lu(struct control_request *req);
void control_drill(struct control_request *req);
void control_get_groups(struct control_request *req);
void control_get_group(struct control_request *req);
void control_move_group(struct control_request *req);
void control_agent_monitor(struct control_request *req);
void control_agent_start(struct control_request *req);
void control_agent_stop(struct control_request *req);
void control_agent_promote(struct control_request *req);
void control_agent_demote(struct control_request *req);
void control_set_log(struct control_request *req);
void control_write_blackbox(struct control_request *req);
void control_stop(struct control_request *req);

/* A JSON string from text of any origin: what is not UTF-8 becomes '?'; null for NULL. New
 * reference. */
json_t *control_json_text(const char *text);

/* The controller's name, or JSON null for 0 and unknown ids. New reference. */
json_t *control_json_controller(const struct control *control, uint8_t id);

/*
 * What is known of group `index` (in the configuration): from the cluster layer, or made up for
 * a daemon without a cluster, where this controller owns everything. False past the end.
 */
bool control_group_info(const struct control *control, unsigned index, struct ha_group_info *info);

#endif
