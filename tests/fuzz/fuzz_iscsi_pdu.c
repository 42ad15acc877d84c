/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session from a hostile initiator: the real server on one reactor over the fake device server
 * of the unit tests. The input begins with a byte of negotiation, then come steps (see `steps`):
 * bytes as they are, PDUs that the target has put lengths, digests and numbers into, answers taken
 * in, tasks released, timers fired. After the last step nothing may be left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/iscsi/cmd.h"
#include "daemon/iscsi/tmf.h"
#include "tests/fuzz/drive.h"
#include "tests/unit/fake_scsi.h"
#include "yoke/crc32c.h"
#include "yoke/util.h"

#define TARGET	    "iqn.2026-01.org.example:t"
#define DATA_MAX    70000u /* a little over what is declared */
#define PASSES_END  64u
#define BUFFER_SIZE (1u << 20)
#define CONNECTIONS 3u
#define PIECES_MAX  512u /* that bytes are sent in: a pass for each takes its time */

static struct conf_address portal = {.addr.ss_family = AF_INET, .text = "192.0.2.1:3260"};
static struct conf_controller controller = {
	.name = "a", .id = 1, .portals = &portal, .portal_count = 1};
static struct conf_target target = {.name = TARGET};
static const struct conf conf = {
	.iscsi = {.max_recv_data_segment_bytes = 65536,
		.max_burst_bytes = 65536,
		.first_burst_bytes = 16384,
		.max_outstanding_r2t = 4,
		.command_window = 16,
		.max_connections = CONNECTIONS,
		.immediate_data = true,
		.header_digest = true,
		.data_digest = true,
		.nop_interval_s = 5,
		.nop_timeout_s = 5,
		.login_timeout_s = 15,
		.connections_max = 16},
	.controllers = &controller,
	.controller_count = 1,
	.targets = &target,
	.target_count = 1,
};

static struct {
	struct mailbox control;
	struct reactor *reactor;
	struct iscsi *iscsi;
	struct iscsi_reactor *home;
} server;

/* The initiator's ends of a session, and the one that the steps are about. */
static struct client {
	int fd; /* 0: not connected */
	bool header_digest, data_digest;
	uint32_t ttt; /* of the last PDU that had one */
	uint8_t answer[ISCSI_BHS_BYTES]; /* header at hand */
	size_t have;
	size_t skip; /* bytes of its data and digests */
} clients[CONNECTIONS], *now = clients;
static uint32_t cmdsn; /* of the session */

const struct conf_controller *conf_controller_by_id(const struct conf *c, uint8_t id)
{
	(void)c;
	return id == controller.id ? &controller : NULL;
}

/* What must hold whatever came in. */
static void check(bool good)
{
	if (!good) {
		abort();
	}
}

static void server_start(void)
{
	struct reactor_config config = {.buffer_bytes = BUFFER_SIZE};
	struct iscsi_setup setup = {.conf = &conf, .controller = 1, .reactor_count = 1};
	char error[256];

	check(mailbox_open(&server.control) == 0);
	fake_reset();
	server.reactor = reactor_new(&config);
	setup.control = &server.control;
	setup.reactors = &server.reactor;
	server.iscsi = iscsi_new(&setup, error, sizeof(error));
	check(server.iscsi != NULL);
	server.home = &server.iscsi->reactors[0];
}

static void pass(void)
{
	reactor_run_once(server.reactor, 0);
	mailbox_run(&server.control);
}

static struct iscsi_conn *conn_get(void)
{
	return qb_list_empty(&server.home->conns)
		       ? NULL
		       : qb_list_first_entry(&server.home->conns, struct iscsi_conn, link);
}

/* Follows the headers of the answers, to know the transfer tags of R2Ts and pings. */
static void answers_parse(const uint8_t *bytes, size_t n)
{
	while (n) {
		size_t take = now->skip ? now->skip : ISCSI_BHS_BYTES - now->have;

		take = take < n ? take : n;
		if (now->skip) {
			now->skip -= take;
		} else {
			memcpy(now->answer + now->have, bytes, take);
			now->have += take;
		}
		bytes += take;
		n -= take;
		if (now->have == ISCSI_BHS_BYTES && !now->skip) {
			uint32_t data = iscsi_bhs_data_bytes(now->answer);

			now->have = 0;
			now->skip = iscsi_padded_bytes(data);
			now->skip += now->header_digest ? ISCSI_DIGEST_BYTES : 0;
			now->skip += now->data_digest && data ? ISCSI_DIGEST_BYTES : 0;
			check(now->answer[0] >= 0x20 && data <= 65536);
			if (iscsi_bhs_ttt(now->answer) != ISCSI_TAG_NONE) {
				now->ttt = iscsi_bhs_ttt(now->answer);
			}
		}
	}
}

static void answers_take(void)
{
	static uint8_t bytes[1u << 16];
	ssize_t n;

	while (now->fd && (n = recv(now->fd, bytes, sizeof(bytes), 0)) > 0) {
		answers_parse(bytes, (size_t)n);
	}
}

/* In pieces of `split` bytes; what does not fit is lost, like the rest of a dead connection. */
static void send_split(const uint8_t *bytes, size_t n, size_t split)
{
	if (split && n / split > PIECES_MAX) {
		split = n / PIECES_MAX;
	}
	while (n && now->fd) {
		size_t piece = split && split < n ? split : n;
		ssize_t sent = send(now->fd, bytes, piece, MSG_NOSIGNAL);

		if (sent <= 0) {
			return;
		}
		bytes += sent;
		n -= (size_t)sent;
		pass();
	}
}

static void pdu_send(const uint8_t *bhs, const uint8_t *data, uint32_t n, size_t split)
{
	static uint8_t out[ISCSI_BHS_BYTES + 1024 + DATA_MAX + 16];
	size_t at = ISCSI_BHS_BYTES + iscsi_bhs_ahs_bytes(bhs);

	memset(out, 0, at);
	memcpy(out, bhs, ISCSI_BHS_BYTES);
	iscsi_bhs_set_data_bytes(out, n);
	if (now->header_digest) {
		crc32c_put(out + at, crc32c(out, at));
		at += ISCSI_DIGEST_BYTES;
	}
	if (n) {
		uint32_t padded = iscsi_padded_bytes(n);

		memset(out + at, 0, padded);
		memcpy(out + at, data, n);
		at += padded;
		if (now->data_digest) {
			crc32c_put(out + at, crc32c(out + at - padded, padded));
			at += ISCSI_DIGEST_BYTES;
		}
	}
	send_split(out, at, split);
}

/* Straight to full feature phase; `how` chooses what is negotiated. */
static void login(uint8_t how)
{
	static const char *const digests[] = {"None", "CRC32C"};
	uint8_t bhs[ISCSI_BHS_BYTES];
	char text[512];
	int n;

	n = snprintf(text, sizeof(text),
		"InitiatorName=iqn.2026-01.org.example:i%c%s=%s%cHeaderDigest=%s%c"
		"DataDigest=%s%cInitialR2T=%s%cImmediateData=%s%cMaxRecvDataSegmentLength=%u%c"
		"FirstBurstLength=%u%cMaxBurstLength=16384%cMaxOutstandingR2T=4%c"
		"MaxConnections=%u%c",
		0, how & 0x80 ? "SessionType" : "TargetName", how & 0x80 ? "Discovery" : TARGET, 0,
		digests[how & 1], 0, digests[how >> 1 & 1], 0, how & 4 ? "Yes" : "No", 0,
		how & 8 ? "No" : "Yes", 0, how & 16 ? 512u : 8192u, 0, how & 32 ? 16384u : 1024u, 0,
		0, 0, CONNECTIONS, 0);
	iscsi_bhs_init(bhs, ISCSI_OP_LOGIN_REQUEST, ISCSI_LOGIN_TRANSIT | 1 << 2 | 3, 0);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	bhs[ISCSI_LOGIN_ISID] = 0x80;
	be16_put(bhs + ISCSI_LOGIN_CID, 1);
	be32_put(bhs + ISCSI_BHS_CMDSN, cmdsn);
	pdu_send(bhs, (const uint8_t *)text, (uint32_t)n, 0);
	pass();
	answers_take();
	check(conn_get() && conn_get()->state == ISCSI_CONN_FULL);
	now->header_digest = how & 1;
	now->data_digest = how & 2;
}

/* --- steps --- */

#define FIX_CMDSN 0x10
#define FIX_TTT	  0x20
#define FIX_SPLIT 0x40 /* an odd size of pieces follows */

static void step_raw(struct cursor *in, uint8_t bits)
{
	size_t n = cursor_get_u8(in);
	const uint8_t *bytes;

	n = n < cursor_left(in) ? n : cursor_left(in);
	bytes = cursor_take(in, n);
	if (bytes && n) {
		send_split(bytes, n, bits >> 4);
	}
}

/* Opcode, flags, LUN's second byte, ITT, 24 bits of EDTL or offset, CDB or fields, data length. */
static void step_pdu(struct cursor *in, uint8_t bits)
{
	static uint8_t data[DATA_MAX];
	uint8_t bhs[ISCSI_BHS_BYTES] = {0};
	size_t split = 0;
	uint32_t n;

	bhs[0] = cursor_get_u8(in);
	bhs[1] = cursor_get_u8(in);
	bhs[ISCSI_BHS_AHS_LENGTH] = cursor_get_u8(in);
	bhs[ISCSI_BHS_LUN + 1] = cursor_get_u8(in);
	bhs[ISCSI_BHS_ITT + 3] = cursor_get_u8(in);
	cursor_get_bytes(in, bhs + 20, 28);
	n = cursor_get_u24(in) % DATA_MAX;
	if (bits & FIX_SPLIT) {
		split = cursor_get_u8(in) * 257u + 1;
	}
	if (!cursor_ok(in)) {
		return;
	}
	if (bits & FIX_TTT) {
		be32_put(bhs + ISCSI_BHS_TTT, now->ttt);
	}
	if (bits & FIX_CMDSN) {
		be32_put(bhs + ISCSI_BHS_CMDSN, cmdsn);
		cmdsn += !(bhs[0] & ISCSI_OPCODE_IMMEDIATE);
	}
	if ((bhs[0] & ISCSI_OPCODE_MASK) == ISCSI_OP_SCSI_COMMAND) {
		/* The fake disk looks at neither address nor length. */
		be32_put(bhs + ISCSI_COMMAND_CDB + 2, bhs[ISCSI_COMMAND_CDB + 5] % 16);
		be16_put(bhs + ISCSI_COMMAND_CDB + 7, bhs[ISCSI_COMMAND_CDB + 8] * 3u);
	}
	memset(data, (int)n, n);
	pdu_send(bhs, data, n, split);
}

static void connect_client(void)
{
	struct sockaddr_storage peer = {.ss_family = AF_INET};
	int fds[2];

	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	memset(now, 0, sizeof(*now));
	now->fd = fds[1];
	iscsi_conn_new(server.home, &server.iscsi->listeners[0], fds[0], &peer,
		sizeof(struct sockaddr_in));
	pass();
}

static void close_client(struct client *client)
{
	if (client->fd) {
		close(client->fd);
		client->fd = 0;
	}
}

/* A further connection of the session, or one that takes the place of an earlier. */
static void login_further(unsigned cid)
{
	static const char text[] =
		"InitiatorName=iqn.2026-01.org.example:i\0TargetName=" TARGET "\0";
	const struct iscsi_conn *conn = conn_get();
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint16_t tsih;

	if (!conn || !conn->session) {
		return;
	}
	tsih = conn->session->tsih;
	connect_client();
	iscsi_bhs_init(bhs, ISCSI_OP_LOGIN_REQUEST, ISCSI_LOGIN_TRANSIT | 1 << 2 | 3, 0);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	bhs[ISCSI_LOGIN_ISID] = 0x80;
	be16_put(bhs + ISCSI_LOGIN_TSIH, tsih);
	be16_put(bhs + ISCSI_LOGIN_CID, (uint16_t)cid);
	be32_put(bhs + ISCSI_BHS_CMDSN, cmdsn);
	pdu_send(bhs, (const uint8_t *)text, sizeof(text) - 1, 0);
	pass();
}

/* Answers are taken in. Then, by the upper bits: on with another connection, or without this one.
 */
static void step_answers(struct cursor *in, uint8_t bits)
{
	(void)in;
	pass();
	answers_take();
	pass();
	if (bits & 0x80) {
		close_client(now);
	}
	if (bits & 0x30) {
		now = &clients[(bits >> 4 & 3) - 1];
		if (bits & 0x40 || !now->fd) {
			close_client(now);
			login_further((bits >> 2 & 3) ? bits >> 2 & 3 : 1);
		}
	}
}

static void step_server(struct cursor *in, uint8_t bits)
{
	struct iscsi_conn *conn = conn_get();

	(void)in;
	fake.hold_all = bits & 0x10;
	fake.hold_close = bits & 0x80;
	if (bits & 0x20) {
		fake_release();
	}
	if (bits & 0x40 && conn && conn->state == ISCSI_CONN_FULL) {
		conn->rx.last_ms -= 6000;
		conn->tx.last_ms -= 6000;
		conn->ping_ms -= 3000;
		conn->timer.fired(&conn->timer);
	}
}

static void (*const steps[4])(struct cursor *in, uint8_t bits) = {
	step_raw,
	step_pdu,
	step_answers,
	step_server,
};

static void check_nothing_is_left(void)
{
	for (unsigned i = 0; i < PASSES_END && conn_get(); i++) {
		fake.hold_all = false;
		fake.hold_close = false;
		fake_release();
		pass();
	}
	check(!conn_get() && atomic_load(&server.iscsi->connections) == 0);
	check(fake.nexuses == 0 && fake.alive == 0);
	check(server.home->cmds.used == 0 && server.home->tmfs.used == 0);
	check(server.home->txs.used == 0 && server.home->early_bytes == 0);
	check(buf_pool_used(reactor_buffers(server.reactor)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = cursor_reader(data, size);
	uint8_t how = cursor_get_u8(&in);

	if (!server.iscsi) {
		server_start();
	}
	now = clients;
	cmdsn = 0xfffffff8;
	connect_client();
	if (!(how & 0x40)) { /* else the steps are the login phase's */
		login(how);
	}
	while (cursor_left(&in)) {
		uint8_t bits = cursor_get_u8(&in);

		steps[bits & 3](&in, bits);
	}
	pass();
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		close_client(&clients[i]);
	}
	check_nothing_is_left();
	return 0;
}

static void world_free(void)
{
	if (server.iscsi) {
		iscsi_free(server.iscsi);
		reactor_free(server.reactor);
		mailbox_close(&server.control);
	}
}

const struct fuzz_target fuzz_target = {
	.corpus = "iscsi_pdu", .every_cut = true, .mutations = 100, .end = world_free};
