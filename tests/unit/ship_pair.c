/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/ship_pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "yoke/log.h"
#include "yoke/util.h"

#define PAIR_PASSES 60000u

struct scsi_nexus {
	struct qb_list_head link;
	struct scsi_identity who;
};

/* What hangs on a task in the fake device server. */
#define PAIR_READ  0x28
#define PAIR_WRITE 0x2a

/* ----- the fake device server ------------------------------------------------------------------
 */

static struct scsi_nexus *fake_nexus_get(
	void *ctx, struct reactor *r, const struct scsi_identity *who)
{
	struct pair_side *side = ctx;
	struct scsi_nexus *nexus = calloc(1, sizeof(*nexus));

	(void)r;
	nexus->who = *who;
	qb_list_add_tail(&nexus->link, &side->nexus_list);
	side->nexuses++;
	return nexus;
}

static void fake_nexus_put(void *ctx, struct scsi_nexus *nexus)
{
	struct pair_side *side = ctx;

	side->nexuses--;
	qb_list_del(&nexus->link);
	free(nexus);
}

static void fake_finish(struct pair_side *side, struct scsi_task *task)
{
	uint32_t offset = be32_get(task->cdb + 2);
	uint32_t bytes = be32_get(task->cdb + 6);

	if (side->answer_again) {
		task->again = true;
	} else if (!task->aborted && task->cdb[0] == PAIR_WRITE) {
		assert_int_equal(task->out_length, bytes);
		memcpy(side->disk + offset, task->buf->data, bytes);
		if (task->tag < sizeof(side->done)) {
			side->done_twice += side->done[task->tag]++ > 0;
		}
	} else if (!task->aborted && task->cdb[0] == PAIR_READ) {
		task->buf = buf_get(reactor_buffers(task->reactor), bytes);
		assert_non_null(task->buf);
		memcpy(task->buf->data, side->disk + offset, bytes);
		task->in_length = bytes;
	} else if (!task->aborted) {
		task->status = SCSI_CHECK_CONDITION;
		task->sense_length = 18;
		memset(task->sense, 0x5a, 18);
	}
	task->done(task);
}

static enum ship_outcome fake_task_run(
	void *ctx, struct scsi_task *task, const uint8_t lu[16], uint64_t epoch)
{
	struct pair_side *side = ctx;
	struct scsi_task *other;

	assert_int_equal(lu[0], 0xa5);
	assert_true(task->shipped_in);
	assert_int_equal(task->serial, task->tag + PAIR_SERIAL);
	side->reruns += task->rerun;
	if (epoch < side->epoch) {
		return SHIP_AGAIN;
	}
	side->runs++;
	if (side->mode == PAIR_RUN) {
		fake_finish(side, task);
		return SHIP_DONE;
	}
	qb_list_for_each_entry (other, &side->held, wait_link) {
		/* The former run of the same task must have ended (the barrier). */
		side->double_runs += other->tag == task->tag;
	}
	qb_list_add_tail(&task->wait_link, &side->held);
	side->held_count++;
	return SHIP_DONE;
}

static void fake_task_end(void *ctx, struct scsi_task *task)
{
	(void)ctx;
	buf_put(reactor_buffers(task->reactor), task->buf);
	task->buf = NULL;
}

static bool fake_task_abort(void *ctx, struct scsi_task *task)
{
	struct pair_side *side = ctx;

	side->aborts++;
	task->aborted = true;
	if (side->mode == PAIR_HOLD) {
		qb_list_del(&task->wait_link);
		side->held_count--;
		task->done(task);
	}
	return side->recording;
}

static void fake_task_shipped(void *ctx, struct scsi_task *task, enum ship_outcome outcome)
{
	struct pair_task *t = container_of(task, struct pair_task, task);

	(void)ctx;
	t->back++;
	t->outcome = outcome;
	if (outcome == SHIP_AGAIN) {
		t->again++;
		if (t->resend) {
			t->back--;
			pair_task_ship(t);
		}
	}
}

static void fake_tmf_peer(void *ctx, struct reactor *r, enum scsi_tmf_function function,
	const uint8_t lu[16], const struct scsi_identity *who, void (*done)(void *arg), void *arg)
{
	struct pair_side *side = ctx;

	(void)r;
	side->tmfs++;
	side->tmf.function = (uint8_t)function;
	side->tmf.who = *who;
	memcpy(side->tmf.lu, lu, 16);
	if (side->tmf_hold) {
		side->tmf_done = done;
		side->tmf_arg = arg;
	} else {
		done(arg);
	}
}

void pair_release(struct pair_side *side)
{
	enum pair_mode mode = side->mode;

	side->mode = PAIR_RUN;
	while (!qb_list_empty(&side->held)) {
		struct scsi_task *task =
			qb_list_first_entry(&side->held, struct scsi_task, wait_link);

		qb_list_del(&task->wait_link);
		side->held_count--;
		fake_finish(side, task);
	}
	side->mode = mode;
}

/* ----- the relay -------------------------------------------------------------------------------
 */

static int loop_socket(bool listening, uint16_t *port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(*port)};
	socklen_t length = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (listening) {
		assert_int_equal(bind(fd, (struct sockaddr *)&addr, length), 0);
		assert_int_equal(listen(fd, 16), 0);
		assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &length), 0);
		*port = ntohs(addr.sin_port);
	} else {
		assert_int_equal(connect(fd, (struct sockaddr *)&addr, length), 0);
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void proxy_drop(struct pair_proxy *proxy, unsigned i)
{
	close(proxy->fds[i][0]);
	close(proxy->fds[i][1]);
	proxy->count--;
	memcpy(proxy->fds[i], proxy->fds[proxy->count], sizeof(proxy->fds[i]));
}

/* Moves what one end of a relayed connection has said; false when it has ended. */
static bool proxy_move(struct pair_proxy *proxy, int from, int to)
{
	uint8_t bytes[32768];
	size_t want = sizeof(bytes);
	ssize_t n, put;

	if (proxy->cut_after > 0 && proxy->cut_after - proxy->passed < want) {
		want = proxy->cut_after - proxy->passed;
	}
	n = recv(from, bytes, want, 0);
	if (n <= 0) {
		return n < 0 && errno == EAGAIN;
	}
	for (ssize_t done = 0; done<n; done += put> 0 ? put : 0) {
		put = send(to, bytes + done, (size_t)(n - done), MSG_NOSIGNAL);
		if (put < 0 && errno != EAGAIN) {
			return false;
		}
		if (put < 0) {
			return false; /* the relay has no buffer: as good as a cut */
		}
	}
	proxy->passed += (uint64_t)n;
	if (proxy->cut_after > 0 && proxy->passed == proxy->cut_after) {
		proxy->cut_after = 0;
		proxy->cuts++;
		return false;
	}
	return true;
}

static void proxy_pass(struct pair_proxy *proxy)
{
	int fd = proxy->count < PAIR_PROXIES ? accept(proxy->listener, NULL, NULL) : -1;

	if (fd >= 0) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		proxy->fds[proxy->count][0] = fd;
		proxy->fds[proxy->count][1] = loop_socket(false, &proxy->to_port);
		proxy->count++;
	}
	for (unsigned i = 0; i < proxy->count; i++) {
		if (!proxy_move(proxy, proxy->fds[i][0], proxy->fds[i][1]) ||
			!proxy_move(proxy, proxy->fds[i][1], proxy->fds[i][0])) {
			proxy_drop(proxy, i--);
		}
	}
}

/* ----- set up ----------------------------------------------------------------------------------
 */

static void side_link(void *arg, bool up)
{
	struct pair_side *side = arg;

	side->link = up;
	side->link_changes++;
}

static void address_set(struct conf_address *address, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&address->addr;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = htons(port);
	address->length = sizeof(*in);
	snprintf(address->text, sizeof(address->text), "127.0.0.1:%u", port);
}

static void side_prepare(struct pair *pair, unsigned i, const uint16_t ports[2])
{
	struct pair_side *side = &pair->side[i];
	FILE *file;

	side->pair = pair;
	side->id = (uint8_t)(i + 1);
	snprintf(side->key_path, sizeof(side->key_path), "%s/key%u", pair->dir, i + 1);
	file = fopen(side->key_path, "we");
	assert_non_null(file);
	for (unsigned n = 0; n < 32; n++) {
		fprintf(file, "%02x", n * 7 + 1);
	}
	fprintf(file, "\n");
	fclose(file);
	assert_int_equal(chmod(side->key_path, 0600), 0);
	side->conf.cluster = "pair";
	side->conf.interconnect_key_path = side->key_path;
	side->conf.controllers = side->controllers;
	side->conf.controller_count = 2;
	memset(side->conf.digest, 0x11, sizeof(side->conf.digest));
	for (unsigned n = 0; n < 2; n++) {
		side->controllers[n].id = (uint8_t)(n + 1);
		side->controllers[n].name = n ? "b" : "a";
		address_set(&side->controllers[n].interconnect, ports[n]);
	}
	qb_list_init(&side->held);
	qb_list_init(&side->nexus_list);
	side->disk = calloc(1, PAIR_DISK_BYTES);
	assert_non_null(side->disk);
	side->epoch = 1;
	side->serve = (struct group_serve){
		.ctx = side,
		.nexus_get = fake_nexus_get,
		.nexus_put = fake_nexus_put,
		.task_run = fake_task_run,
		.task_end = fake_task_end,
		.task_abort = fake_task_abort,
		.task_shipped = fake_task_shipped,
		.tmf_peer = fake_tmf_peer,
	};
}

struct pair *pair_prepare(bool proxied)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	uint16_t ports[2] = {0, 0};
	int fds[2];

	assert_non_null(pair);
	if (getenv("YOKE_TEST_LOG")) {
		yoke_log_open("test_ship", LOG_DEBUG, 1);
	}
	snprintf(pair->dir, sizeof(pair->dir), "/tmp/test_ship.XXXXXX");
	assert_non_null(mkdtemp(pair->dir));
	for (unsigned i = 0; i < 2; i++) {
		fds[i] = loop_socket(true, &ports[i]);
	}
	close(fds[0]);
	close(fds[1]);
	pair->proxied = proxied;
	pair->proxy.listener = -1;
	side_prepare(pair, 0, ports);
	side_prepare(pair, 1, ports);
	if (proxied) {
		uint16_t port = 0;

		pair->proxy.listener = loop_socket(true, &port);
		pair->proxy.to_port = ports[1];
		address_set(&pair->side[0].controllers[1].interconnect, port);
	}
	return pair;
}

static void side_create(struct pair_side *side)
{
	struct ship_setup setup = {.conf = &side->conf,
		.controller = side->id,
		.control = &side->control,
		.reactors = side->reactors,
		.reactor_count = PAIR_REACTORS,
		.link = side_link,
		.arg = side};
	char error[512] = "";

	assert_int_equal(mailbox_open(&side->control), 0);
	for (unsigned i = 0; i < PAIR_REACTORS; i++) {
		struct reactor_config config = {.index = i, .buffer_bytes = 64u << 20};

		side->reactors[i] = reactor_new(&config);
		assert_non_null(side->reactors[i]);
	}
	side->ship = ship_new(&setup, error, sizeof(error));
	if (!side->ship) {
		fail_msg("%s", error);
	}
	ship_serve_set(side->ship, &side->serve);
	side->ship->timing = (struct ship_timing){.ping_ms = 50,
		.silence_ms = 1000,
		.greeting_ms = 2000,
		.backoff_min_ms = 1,
		.backoff_max_ms = 8,
		.park_ms = 5};
	if (ship_listen(side->ship, error, sizeof(error)) < 0) {
		fail_msg("%s", error);
	}
}

void pair_create(struct pair *pair)
{
	side_create(&pair->side[0]);
	side_create(&pair->side[1]);
}

struct pair *pair_new(bool proxied)
{
	struct pair *pair = pair_prepare(proxied);

	pair_create(pair);
	return pair;
}

void pair_free(struct pair *pair)
{
	for (unsigned i = 0; i < 2; i++) {
		struct pair_side *side = &pair->side[i];

		if (side->ship) {
			/* What is in the mail arrives, as when reactors are stopped one by one. */
			for (unsigned n = 0; n < PAIR_REACTORS; n++) {
				reactor_run_once(side->reactors[n], 0);
			}
			ship_free(side->ship);
			for (unsigned n = 0; n < PAIR_REACTORS; n++) {
				reactor_free(side->reactors[n]);
			}
			mailbox_close(&side->control);
		}
		while (!qb_list_empty(&side->nexus_list)) {
			/* As the device server would at its end. */
			fake_nexus_put(side,
				qb_list_first_entry(&side->nexus_list, struct scsi_nexus, link));
		}
		free(side->disk);
		unlink(side->key_path);
	}
	while (pair->proxy.count > 0) {
		proxy_drop(&pair->proxy, 0);
	}
	if (pair->proxy.listener >= 0) {
		close(pair->proxy.listener);
	}
	rmdir(pair->dir);
	free(pair);
}

void pair_meet(struct pair *pair)
{
	ship_peer_up(pair->side[0].ship, ship_incarnation(pair->side[1].ship));
	ship_peer_up(pair->side[1].ship, ship_incarnation(pair->side[0].ship));
}

bool pair_linked(void *arg)
{
	struct pair *pair = arg;

	return pair->side[0].link && pair->side[1].link;
}

/* ----- driving ---------------------------------------------------------------------------------
 */

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void pair_pass(struct pair *pair, unsigned passes)
{
	for (unsigned pass = 0; pass < passes; pass++) {
		for (unsigned i = 0; i < 2; i++) {
			for (unsigned n = 0; n < PAIR_REACTORS; n++) {
				reactor_run_once(pair->side[i].reactors[n], 0);
			}
			mailbox_run(&pair->side[i].control);
		}
		if (pair->proxied) {
			proxy_pass(&pair->proxy);
		}
	}
}

bool pair_drive(struct pair *pair, bool (*condition)(void *arg), void *arg)
{
	uint64_t end = clock_ms() + 20000;

	for (unsigned pass = 0; pass < PAIR_PASSES || clock_ms() < end; pass++) {
		if (condition(arg)) {
			return true;
		}
		pair_pass(pair, 1);
		if (pass % 16 == 15) {
			/* Nothing may be left but timers: let them come due without burning the
			 * CPU. */
			reactor_run_once(pair->side[0].reactors[0], 1);
		}
	}
	return condition(arg);
}

void pair_linger(struct pair *pair, unsigned ms)
{
	uint64_t end = clock_ms() + ms;

	do {
		pair_pass(pair, 1);
		reactor_run_once(pair->side[0].reactors[0], 1);
	} while (clock_ms() < end);
}

/* ----- tasks -----------------------------------------------------------------------------------
 */

void pair_pattern(uint8_t *to, uint32_t bytes, uint64_t tag)
{
	for (uint32_t i = 0; i < bytes; i++) {
		to[i] = (uint8_t)(tag * 131 + i + (i >> 8) * 7 + (i >> 16));
	}
}

bool pair_pattern_is(const uint8_t *from, uint32_t bytes, uint64_t tag)
{
	for (uint32_t i = 0; i < bytes; i++) {
		if (from[i] != (uint8_t)(tag * 131 + i + (i >> 8) * 7 + (i >> 16))) {
			return false;
		}
	}
	return true;
}

struct pair_task *pair_task_new(struct pair_side *side, unsigned reactor, bool write,
	uint32_t offset, uint32_t bytes, uint64_t tag)
{
	struct pair_task *t = calloc(1, sizeof(*t));
	struct scsi_task *task = &t->task;

	assert_non_null(t);
	t->side = side;
	t->epoch = 1;
	t->resend = true;
	snprintf(t->who.initiator, sizeof(t->who.initiator), "iqn.2026-01.org.example:host%u",
		reactor);
	snprintf(t->who.target, sizeof(t->who.target), "iqn.2026-01.org.example:array");
	t->who.controller = side->id;
	t->who.rtpi = (uint16_t)(side->id * 256 + 1);
	task->nexus = (struct scsi_nexus *)&side->serve; /* stands for a nexus, never looked into */
	task->reactor = side->reactors[reactor];
	task->tag = tag;
	task->serial = tag + PAIR_SERIAL;
	task->cdb[0] = write ? PAIR_WRITE : PAIR_READ;
	task->cdb_length = 10;
	be32_put(task->cdb + 2, offset);
	be32_put(task->cdb + 6, bytes);
	if (write) {
		task->expected_out_bytes = task->out_bytes = task->out_length = bytes;
		task->buf = buf_get(reactor_buffers(task->reactor), bytes);
		assert_non_null(task->buf);
		pair_pattern(task->buf->data, bytes, tag);
	} else {
		task->expected_in_bytes = task->in_bytes = bytes;
	}
	return t;
}

void pair_task_free(struct pair_task *t)
{
	buf_put(reactor_buffers(t->task.reactor), t->task.buf);
	free(t);
}

void pair_task_ship(struct pair_task *t)
{
	const struct group_ship *ops = ship_ops(t->side->ship);
	struct group_view view = {.epoch = t->epoch, .owner = (uint8_t)(3 - t->side->id)};
	uint8_t lu[16];

	memset(lu, 0xa5, sizeof(lu));
	ops->task(ops->ctx, &t->task, &view, lu, &t->who);
}

bool pair_task_is_back(void *arg)
{
	return ((struct pair_task *)arg)->back > 0;
}

void pair_check_buffers(struct pair *pair)
{
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned n = 0; n < PAIR_REACTORS; n++) {
			assert_int_equal(
				buf_pool_used(reactor_buffers(pair->side[i].reactors[n])), 0);
		}
	}
}
