/* SPDX-License-Identifier: BSD-3-Clause */
/* The connection side: who may ask, garbage, sizes, held requests, clients that vanish, the socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "control_rig.h"
#include "daemon/control/control_private.h"

static struct rig rig;
static struct rig_client client;

static int open_rig(void **state)
{
	rig_open(&rig, true);
	return 0;
}

static int close_rig(void **state)
{
	if (rig.control) {
		rig_close(&rig);
	}
	return 0;
}

static void send_raw(const char *bytes, size_t length, struct rig_answer *answer)
{
	rig_client_open(&rig, &client, bytes, length);
	rig_client_finish(&client, answer);
}

/* The server still answers others. */
static void assert_alive(void)
{
	struct rig_answer answer = rig_ask(&rig, "GET", "/v1/status", NULL);

	assert_int_equal(answer.status, 200);
	json_decref(answer.json);
}

/* ----- who ----------------------------------------------------------------------------------- */

static int peer_stranger(int fd, uid_t *uid)
{
	*uid = 4711;
	return 0;
}

static int peer_unknown(int fd, uid_t *uid)
{
	return -ENOTCONN;
}

static int peer_root(int fd, uid_t *uid)
{
	*uid = 0;
	return 0;
}

static void test_peer(void **state)
{
	rig.control->peer_uid = peer_stranger;
	rig_refused(&rig, "GET", "/v1/status", NULL, 403, "denied");
	rig_refused(&rig, "POST", "/v1/stop", NULL, 403, "denied");
	/* A stranger does not learn what exists. */
	rig_refused(&rig, "GET", "/v1/nothing", NULL, 403, "denied");
	rig.control->peer_uid = peer_unknown;
	rig_refused(&rig, "GET", "/v1/status", NULL, 403, "denied");
	assert_int_equal(rig.stops, 0);
	rig.control->peer_uid = peer_root;
	assert_alive();
	rig.control->peer_uid = control_peer_uid;
	assert_alive();
}

struct stranger {
	pid_t pid;
	int status;
};

static bool stranger_done(void *arg)
{
	struct stranger *s = arg;

	return waitpid(s->pid, &s->status, WNOHANG) == s->pid;
}

/* With a real stranger, where we may make one: the socket's mode is opened for him on purpose. */
static void test_peer_real(void **state)
{
	static const char request[] =
		"GET /v1/status HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n";
	struct stranger s;

	if (geteuid() != 0) {
		skip();
	}
	assert_int_equal(chmod(rig.dir, 0755), 0);
	assert_int_equal(chmod(rig.socket, 0666), 0);
	s.pid = fork();
	assert_true(s.pid >= 0);
	if (s.pid == 0) {
		struct sockaddr_un addr = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		char in[64] = "";

		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", rig.socket);
		if (setuid(65534) < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
			write(fd, request, sizeof(request) - 1) < 0 ||
			read(fd, in, sizeof(in) - 1) <= 0) {
			_exit(2);
		}
		_exit(strncmp(in, "HTTP/1.1 403 ", 13) == 0 ? 0 : 1);
	}
	rig_run(&rig, stranger_done, &s);
	assert_true(WIFEXITED(s.status));
	assert_int_equal(WEXITSTATUS(s.status), 0);
}

/* ----- what ---------------------------------------------------------------------------------- */

static void test_garbage(void **state)
{
	static const struct {
		const char *bytes;
		int status; /* 0: cut, or any refusal; -1: anything */
	} cases[] = {
		{"\r\n\r\n\r\n\r\n", 0},
		{"\x16\x03\x01\x02\xfc\x03\x03 and so on\r\n\r\n", 400},
		{"GET\r\n\r\n", 0},
		{"GET /v1/status\r\n\r\n", -1},
		{"GET /v1/status HTTP/9.9\r\nHost: y\r\n\r\n", 505},
		{"GET /v1/groups/%00 HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n", 404},
		{"GET /v1/groups/%ff%fe HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n", 404},
		{"GET /v1/groups/../../etc/passwd HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n",
			404},
		{"GET //v1/status HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n", 404},
		{"GET /v1/groups/ HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n", 404},
		{"HEAD /v1/status HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n", 405},
		{"POST /v1/stop HTTP/1.1\r\nHost: y\r\nContent-Length: -5\r\nConnection: "
		 "close\r\n\r\n",
			400},
		{"POST /v1/stop HTTP/1.1\r\nHost: y\r\nContent-Length: zz\r\nConnection: "
		 "close\r\n\r\n",
			400},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig_answer answer;

		rig_client_open(&rig, &client, cases[i].bytes, strlen(cases[i].bytes));
		/* What waits for more bytes gets no more: half a close is the end of the request.
		 */
		if (cases[i].status <= 0) {
			shutdown(client.fd, SHUT_WR);
		}
		rig_client_finish(&client, &answer);
		if (cases[i].status > 0 && answer.status != cases[i].status) {
			fail_msg("case %zu: %d instead of %d", i, answer.status, cases[i].status);
		}
		if (cases[i].status == 0) {
			assert_true(answer.status == 0 || answer.status >= 400);
		}
		json_decref(answer.json);
		assert_int_equal(rig.stops, 0);
		assert_alive();
	}
}

static void test_bad_bodies(void **state)
{
	static const char *const bodies[] = {
		"not json",
		"[]",
		"[\"to\", \"b\"]",
		"null",
		"\"to\"",
		"{\"to\": \"b\"",
		"{\"to\": \"b\"} trailing",
		"{\"to\": \"b\", \"to\": \"a\"}",
		"{\"to\": [\"b\"]}",
		"{\"to\": {\"to\": \"b\"}}",
		"{\"to\": null}",
		"{\"to\": \"b\", \"timeout_ms\": 1e3}",
		"{\"to\": \"b\", \"timeout_ms\": 99999999999999999999}",
		"{\"to\": \"b\", \"timeout_ms\": -1}",
		"{\"to\": \"\xff\xfe\"}",
		"{\"to\": \"b\\u0000c\"}",
		"{\"\": 1}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		rig_refused(&rig, "POST", "/v1/groups/g1/move", bodies[i], 400, "bad-request");
	}
	assert_int_equal(fake.actions, 0);
}

static void test_deep_body(void **state)
{
	char body[8001];

	memset(body, '[', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	rig_refused(&rig, "POST", "/v1/groups/g1/move", body, 400, "bad-request");
}

/* "POST /v1/log" with a body of `bytes` bytes, announced by length or in chunks; malloc'd. */
static char *big_request(size_t bytes, bool chunked, size_t *length)
{
	char *request = malloc(bytes + 512);
	int head;

	assert_non_null(request);
	if (chunked) {
		head = snprintf(request, 512,
			"POST /v1/log HTTP/1.1\r\nHost: y\r\nConnection: "
			"close\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
			bytes);
	} else {
		head = snprintf(request, 512,
			"POST /v1/log HTTP/1.1\r\nHost: y\r\nConnection: close\r\nContent-Length: "
			"%zu\r\n\r\n",
			bytes);
	}
	memset(request + head, ' ', bytes);
	memcpy(request + head, "{\"level\":\"info\"}", 16);
	*length = (size_t)head + bytes;
	if (chunked) {
		memcpy(request + *length, "\r\n0\r\n\r\n", 7);
		*length += 7;
	}
	return request;
}

static void test_body_limit(void **state)
{
	static const struct {
		size_t bytes;
		bool chunked;
		int status; /* 0: cut */
	} cases[] = {
		{CONTROL_BODY_MAX, false, 200},
		{CONTROL_BODY_MAX + 1, false, 413},
		{8u << 20, false, 413},
		{CONTROL_BODY_MAX, true, 200},
		{CONTROL_BODY_MAX + 1, true, 413},
		{8u << 20, true, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig_answer answer;
		size_t length;
		char *request = big_request(cases[i].bytes, cases[i].chunked, &length);

		send_raw(request, length, &answer);
		assert_int_equal(answer.status, cases[i].status);
		json_decref(answer.json);
		free(request);
		assert_alive();
	}
}

static void test_long_head(void **state)
{
	size_t length = 200000;
	char *request = malloc(length);
	struct rig_answer answer;

	assert_non_null(request);
	memset(request, 'a', length);
	memcpy(request, "GET /v1/", 8);
	send_raw(request, length, &answer);
	assert_true(answer.status == 414 || answer.status == 431 || answer.status == 400 ||
		    answer.status == 0);
	memcpy(request, "GET /v1/status HTTP/1.1\r\nX: ", 28);
	send_raw(request, length, &answer);
	assert_true(answer.status == 431 || answer.status == 413 || answer.status == 0);
	json_decref(answer.json);
	free(request);
	assert_alive();
}

/* ----- held requests ------------------------------------------------------------------------- */

static const char promote[] = "POST /v1/agent/groups/g1/promote HTTP/1.1\r\nHost: y\r\nConnection: "
			      "close\r\nContent-Length: 0\r\n\r\n";

static bool action_held(void *arg)
{
	return fake.held_done != NULL;
}

static void hold_promote(void)
{
	fake.hold_actions = true;
	rig_client_open(&rig, &client, promote, sizeof(promote) - 1);
	rig_run(&rig, action_held, NULL);
}

static void test_held(void **state)
{
	struct rig_answer answer;

	hold_promote();
	/* Others are served meanwhile. */
	assert_alive();
	assert_int_equal(client.in_bytes, 0);
	fake_action_end(HA_OK, "");
	rig_client_finish(&client, &answer);
	assert_int_equal(answer.status, 200);
	json_decref(answer.json);

	hold_promote();
	fake_action_end(HA_NO_QUORUM, "no quorum here");
	rig_client_finish(&client, &answer);
	assert_int_equal(answer.status, 503);
	json_decref(answer.json);
}

/* The client is gone before the promote has ended: the promote ends all the same, nobody is told.
 */
static void test_client_vanishes(void **state)
{
	hold_promote();
	rig_client_close(&client);
	assert_alive();
	fake_action_end(HA_OK, "");
	assert_alive();
	assert_alive();
	assert_true(qb_list_empty(&rig.control->requests));
}

/* The daemon ends while a promote is held whose client is gone: its late end is safe. */
static void test_stop_while_held(void **state)
{
	hold_promote();
	rig_client_close(&client);
	control_free(rig.control);
	rig.control = NULL;
	fake_action_end(HA_FAILED, "the daemon is ending");
	qb_loop_destroy(rig.loop);
	assert_int_equal(rmdir(rig.dir), 0);
}

/* The same with a client that waits: it is told. */
static void test_told_at_stop(void **state)
{
	struct rig_answer answer;

	hold_promote();
	control_free(rig.control);
	rig.control = NULL;
	rig_client_finish(&client, &answer);
	assert_int_equal(answer.status, 503);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(answer.json, "error"), "code")),
		"stopping");
	json_decref(answer.json);
	fake_action_end(HA_FAILED, "too late for anybody");
	qb_loop_destroy(rig.loop);
	assert_int_equal(rmdir(rig.dir), 0);
}

/* ----- connections --------------------------------------------------------------------------- */

static bool passes_done(void *arg)
{
	unsigned *left = arg;

	return (*left)-- == 0;
}

/* Lets the server see what has happened to its connections. */
static void run_passes(unsigned passes)
{
	rig_run(&rig, passes_done, &passes);
}

/* More silent connections than there may be: those inside the limit go on being served. */
static void test_silent_connections(void **state)
{
	int fds[CONTROL_CONNECTIONS_MAX + 20];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	assert_alive();
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", rig.socket);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(fds[i] >= 0);
		/* EAGAIN: the queue is full, which is what is meant. */
		if (connect(fds[i], (struct sockaddr *)&addr, sizeof(addr)) < 0) {
			assert_int_equal(errno, EAGAIN);
		}
	}
	run_passes(10);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		close(fds[i]);
	}
	run_passes(10);
	assert_alive();
}

static void test_two_requests_one_connection(void **state)
{
	static const char request[] =
		"GET /v1/groups/g1 HTTP/1.1\r\nHost: y\r\n\r\n"
		"GET /v1/groups/nope HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n";
	const char *first, *second;
	struct rig_answer answer;

	send_raw(request, sizeof(request) - 1, &answer);
	assert_int_equal(answer.status, 200);
	first = strstr(client.in, "HTTP/1.1 200");
	second = strstr(client.in, "HTTP/1.1 404");
	assert_true(first && second && first < second);
	json_decref(answer.json);
}

/* ----- the socket ---------------------------------------------------------------------------- */

static struct control *try_new(const char *path, char *error, size_t error_size)
{
	struct control_setup setup = {.controller = 1, .loop = rig.loop};

	setup.conf = fake_conf(path, true);
	return control_new(&setup, error, error_size);
}

static void test_socket(void **state)
{
	char error[512], path[108], longpath[200];
	struct control *other;
	struct stat st;
	int fd;

	assert_int_equal(stat(rig.socket, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);

	/* A second daemon on the same socket. */
	assert_null(try_new(rig.socket, error, sizeof(error)));
	assert_non_null(strstr(error, "another daemon"));
	assert_non_null(strstr(error, rig.socket));
	fake_conf(rig.socket, true);
	assert_alive();

	/* A file that is no socket is not touched. */
	snprintf(path, sizeof(path), "%s/file", rig.dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_null(try_new(path, error, sizeof(error)));
	assert_non_null(strstr(error, "something else"));
	assert_int_equal(unlink(path), 0);

	/* A socket whose daemon is dead is replaced; a missing directory is made. */
	snprintf(path, sizeof(path), "%s/run/old.sock", rig.dir);
	other = try_new(path, error, sizeof(error));
	assert_non_null(other);
	control_free(other);
	{
		struct sockaddr_un addr = {.sun_family = AF_UNIX};

		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
		close(fd);
	}
	other = try_new(path, error, sizeof(error));
	assert_non_null(other);
	/* Somebody took the place: it is not ours to remove. */
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	control_free(other);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/run", rig.dir);
	assert_int_equal(rmdir(path), 0);

	memset(longpath, 'x', sizeof(longpath) - 1);
	longpath[0] = '/';
	longpath[sizeof(longpath) - 1] = '\0';
	assert_null(try_new(longpath, error, sizeof(error)));
	assert_non_null(strstr(error, "longer than"));
	assert_null(try_new("/proc/no/such/dir/y.sock", error, sizeof(error)));
	assert_non_null(strstr(error, "cannot make directory"));
	fake_conf(rig.socket, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_peer, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_peer_real, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_garbage, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_bad_bodies, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_deep_body, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_body_limit, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_long_head, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_held, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_client_vanishes, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_stop_while_held, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_told_at_stop, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_silent_connections, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(
			test_two_requests_one_connection, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_socket, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
