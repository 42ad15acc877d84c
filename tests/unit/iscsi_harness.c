/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/iscsi_harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "yoke/crc32c.h"

struct harness harness;

/* conf.c is not linked: the harness makes its configuration itself. */
const struct conf_controller *conf_controller_by_id(const struct conf *conf, uint8_t id)
{
	return conf->controllers[0].id == id ? &conf->controllers[0] : NULL;
}

static void harness_conf(void)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&harness.portal.addr;

	sin->sin_family = AF_INET;
	sin->sin_port = htons(3260);
	harness.portal.length = sizeof(*sin);
	snprintf(harness.portal.text, sizeof(harness.portal.text), "192.0.2.1:3260");
	harness.controller = (struct conf_controller){
		.name = "a", .id = 1, .portals = &harness.portal, .portal_count = 1};
	harness.target =
		(struct conf_target){.name = HARNESS_TARGET, .luns = &harness.lun, .lun_count = 1};
	harness.conf = (struct conf){
		.buffer_bytes = 4 << 20,
		.iscsi = {.max_recv_data_segment_bytes = 65536,
			.max_burst_bytes = 65536,
			.first_burst_bytes = 16384,
			.max_outstanding_r2t = 2,
			.command_window = HARNESS_WINDOW,
			.max_connections = 4,
			.immediate_data = true,
			.header_digest = true,
			.data_digest = true,
			.nop_interval_s = 5,
			.nop_timeout_s = 5,
			.login_timeout_s = 15,
			.connections_max = 16},
		.controllers = &harness.controller,
		.controller_count = 1,
		.extents = &harness.extent,
		.extent_count = 1,
		.targets = &harness.target,
		.target_count = 1,
	};
}

int harness_setup(void **state)
{
	struct iscsi_setup setup;
	char error[256];

	(void)state;
	memset(&harness, 0, sizeof(harness));
	fake_reset();
	harness_conf();
	assert_int_equal(mailbox_open(&harness.control), 0);
	for (unsigned i = 0; i < HARNESS_REACTORS; i++) {
		struct reactor_config config = {
			.index = i, .buffer_bytes = harness.conf.buffer_bytes};

		harness.reactors[i] = reactor_new(&config);
		assert_non_null(harness.reactors[i]);
	}
	setup = (struct iscsi_setup){.conf = &harness.conf,
		.controller = 1,
		.control = &harness.control,
		.reactors = harness.reactors,
		.reactor_count = HARNESS_REACTORS};
	harness.iscsi = iscsi_new(&setup, error, sizeof(error));
	assert_non_null(harness.iscsi);
	return 0;
}

void harness_stopped(void *arg)
{
	*(bool *)arg = true;
}

int harness_teardown(void **state)
{
	bool stopped = false;

	(void)state;
	fake_release();
	if (!harness.iscsi->stopping) {
		iscsi_stop(harness.iscsi, harness_stopped, &stopped);
		for (int i = 0; i < 100 && !stopped; i++) {
			harness_pass();
		}
		assert_true(stopped);
	}
	harness_settle();
	assert_int_equal(atomic_load(&harness.iscsi->connections), 0);
	assert_int_equal(fake.nexuses, 0);
	assert_int_equal(fake.alive, 0);
	for (unsigned i = 0; i < HARNESS_REACTORS; i++) {
		struct iscsi_reactor *home = &harness.iscsi->reactors[i];

		assert_int_equal(home->cmds.used, 0);
		assert_int_equal(home->tmfs.used, 0);
		assert_int_equal(home->txs.used, 0);
		assert_int_equal(buf_pool_used(reactor_buffers(harness.reactors[i])), 0);
	}
	iscsi_free(harness.iscsi);
	for (unsigned i = 0; i < HARNESS_REACTORS; i++) {
		reactor_free(harness.reactors[i]);
	}
	mailbox_close(&harness.control);
	return 0;
}

void harness_pass(void)
{
	for (unsigned i = 0; i < HARNESS_REACTORS; i++) {
		reactor_run_once(harness.reactors[i], 0);
	}
	mailbox_run(&harness.control);
}

void harness_settle(void)
{
	for (int i = 0; i < 8; i++) {
		harness_pass();
	}
}

struct client client_connect(unsigned reactor)
{
	struct sockaddr_storage peer = {.ss_family = AF_INET};
	struct client c = {.cmdsn = 0xfffffffd, .isid = 1, .cid = 1};
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	c.fd = fds[1];
	iscsi_conn_new(&harness.iscsi->reactors[reactor], &harness.iscsi->listeners[0], fds[0],
		&peer, sizeof(struct sockaddr_in));
	harness_pass();
	return c;
}

void client_close(struct client *c)
{
	close(c->fd);
	c->fd = -1;
	harness_settle();
}

void client_send(struct client *c, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n) {
		ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);

		if (sent < 0) {
			assert_int_equal(errno, EAGAIN);
			sent = 0;
		}
		p += sent;
		n -= (size_t)sent;
		harness_pass();
	}
}

size_t client_build(
	struct client *c, uint8_t *out, const uint8_t *bhs, const void *data, uint32_t n)
{
	uint32_t ahs = iscsi_bhs_ahs_bytes(bhs);
	size_t at = ISCSI_BHS_BYTES + ahs;
	uint32_t padded = iscsi_padded_bytes(n);

	memcpy(out, bhs, at);
	iscsi_bhs_set_data_bytes(out, n);
	if (c->header_digest) {
		crc32c_put(out + at, crc32c(out, at));
		at += ISCSI_DIGEST_BYTES;
	}
	if (n) {
		memset(out + at, 0, padded);
		memcpy(out + at, data, n);
		if (c->data_digest) {
			crc32c_put(out + at + padded, crc32c(out + at, padded));
			at += ISCSI_DIGEST_BYTES;
		}
		at += padded;
	}
	return at;
}

void client_pdu(struct client *c, const uint8_t *bhs, const void *data, uint32_t n)
{
	static uint8_t out[1 << 18];

	client_send(c, out, client_build(c, out, bhs, data, n));
}

bool client_pending(struct client *c)
{
	int bytes = 0;

	harness_settle();
	return ioctl(c->fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

static void client_receive(struct client *c, void *to, size_t n)
{
	uint8_t *p = to;

	for (int i = 0; n && i < 200; i++) {
		ssize_t got = recv(c->fd, p, n, 0);

		if (got > 0) {
			p += got;
			n -= (size_t)got;
			i = 0;
			continue;
		}
		if (got == 0) {
			fail_msg("the target has closed the connection");
		}
		harness_pass();
	}
	if (n) {
		fail_msg("no PDU from the target: %zu bytes are missing", n);
	}
}

void client_expect_any(struct client *c, struct pdu *pdu)
{
	uint8_t digest[4], padded[sizeof(pdu->data) + 4];
	uint32_t n;

	client_receive(c, pdu->bhs, ISCSI_BHS_BYTES);
	if (c->header_digest) {
		client_receive(c, digest, 4);
		assert_int_equal(crc32c_get(digest), crc32c(pdu->bhs, ISCSI_BHS_BYTES));
	}
	n = pdu->data_bytes = iscsi_bhs_data_bytes(pdu->bhs);
	assert_true(n <= sizeof(pdu->data));
	if (n) {
		client_receive(c, padded, iscsi_padded_bytes(n));
		memcpy(pdu->data, padded, n);
		if (c->data_digest) {
			client_receive(c, digest, 4);
			assert_int_equal(crc32c_get(digest), crc32c(padded, iscsi_padded_bytes(n)));
		}
	}
}

void client_expect(struct client *c, struct pdu *pdu, enum iscsi_opcode opcode)
{
	client_expect_any(c, pdu);
	if (pdu->bhs[0] != opcode) {
		fail_msg("%s came, not %s", iscsi_opcode_name((enum iscsi_opcode)pdu->bhs[0]),
			iscsi_opcode_name(opcode));
	}
}

void client_expect_closed(struct client *c)
{
	uint8_t byte;

	harness_settle();
	assert_int_equal(recv(c->fd, &byte, 1, 0), 0);
}

void client_expect_silence(struct client *c)
{
	uint8_t byte;

	harness_settle();
	assert_int_equal(recv(c->fd, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static uint32_t client_text(char *out, const char *line)
{
	uint32_t n = (uint32_t)strlen(line) + 1;

	memcpy(out, line, n);
	for (uint32_t i = 0; i < n; i++) {
		out[i] = out[i] == '\n' ? '\0' : out[i];
	}
	return n;
}

void client_send_login(struct client *c, bool discovery)
{
	uint8_t bhs[ISCSI_BHS_BYTES];
	char text[1024];
	uint32_t n;

	/* Straight to full feature phase from the operational stage. */
	iscsi_bhs_init(bhs, ISCSI_OP_LOGIN_REQUEST, ISCSI_LOGIN_TRANSIT | 1 << 2 | 3, 7);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	bhs[ISCSI_LOGIN_ISID] = 0x80;
	bhs[ISCSI_LOGIN_ISID + 5] = c->isid;
	be16_put(bhs + ISCSI_LOGIN_TSIH, c->tsih);
	be16_put(bhs + ISCSI_LOGIN_CID, c->cid);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn);
	n = client_text(text, "InitiatorName=" HARNESS_NAME);
	if (discovery) {
		n += client_text(text + n, "SessionType=Discovery");
	} else {
		n += client_text(text + n, "TargetName=" HARNESS_TARGET);
	}
	if (c->keys) {
		n += client_text(text + n, c->keys);
	}
	client_pdu(c, bhs, text, n);
}

static bool client_keys_have(const char *keys, const char *key)
{
	return keys && strstr(keys, key);
}

struct client client_login(unsigned reactor, const char *keys)
{
	struct client c = client_connect(reactor);
	struct pdu pdu;

	c.keys = keys;
	client_send_login(&c, false);
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS), 0);
	assert_int_equal(pdu.bhs[1], ISCSI_LOGIN_TRANSIT | 1 << 2 | 3);
	c.tsih = be16_get(pdu.bhs + ISCSI_LOGIN_TSIH);
	assert_int_not_equal(c.tsih, 0);
	c.header_digest = client_keys_have(keys, "HeaderDigest=CRC32C");
	c.data_digest = client_keys_have(keys, "DataDigest=CRC32C");
	return c;
}

void client_command(struct client *c, uint8_t *bhs, uint8_t flags, uint8_t opcode, uint32_t lba,
	uint16_t blocks, uint32_t edtl)
{
	iscsi_bhs_init(bhs, ISCSI_OP_SCSI_COMMAND, flags | ISCSI_ATTR_SIMPLE, ++c->itt);
	be32_put(bhs + ISCSI_COMMAND_EDTL, edtl);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn++);
	bhs[ISCSI_COMMAND_CDB] = opcode;
	be32_put(bhs + ISCSI_COMMAND_CDB + 2, lba);
	be16_put(bhs + ISCSI_COMMAND_CDB + 7, blocks);
}

void client_data_out(
	uint8_t *bhs, uint32_t itt, uint32_t ttt, uint32_t datasn, uint32_t offset, bool final)
{
	iscsi_bhs_init(bhs, ISCSI_OP_DATA_OUT, final ? ISCSI_FLAG_FINAL : 0, itt);
	be32_put(bhs + ISCSI_BHS_TTT, ttt);
	be32_put(bhs + ISCSI_DATA_DATASN, datasn);
	be32_put(bhs + ISCSI_DATA_OFFSET, offset);
}

void client_read(struct client *c, uint32_t lba, uint16_t blocks, struct pdu *pdu)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	client_command(c, bhs, F | R, 0x28, lba, blocks, blocks * FAKE_BLOCK);
	client_pdu(c, bhs, NULL, 0);
	client_expect(c, pdu, ISCSI_OP_DATA_IN);
	assert_int_equal(pdu->bhs[1], F | ISCSI_DATA_IN_STATUS);
	assert_int_equal(pdu->data_bytes, blocks * FAKE_BLOCK);
}

void client_expect_alive(struct client *c)
{
	uint8_t bhs[ISCSI_BHS_BYTES];
	struct pdu pdu;

	iscsi_bhs_init(bhs, ISCSI_OP_NOP_OUT, F, 0x70000000u + ++c->itt);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	be32_put(bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn);
	client_pdu(c, bhs, "ping", 4);
	client_expect(c, &pdu, ISCSI_OP_NOP_IN);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), iscsi_bhs_itt(bhs));
	assert_int_equal(pdu.data_bytes, 4);
	assert_memory_equal(pdu.data, "ping", 4);
}

void client_expect_sense(struct client *c, uint32_t itt, uint8_t key, uint8_t asc, uint8_t ascq)
{
	struct pdu pdu;

	client_expect(c, &pdu, ISCSI_OP_SCSI_RESPONSE);
	assert_int_equal(iscsi_bhs_itt(pdu.bhs), itt);
	assert_int_equal(pdu.bhs[ISCSI_RESPONSE_STATUS], SCSI_CHECK_CONDITION);
	assert_int_equal(pdu.data_bytes, 20);
	assert_int_equal(be16_get(pdu.data), 18);
	assert_int_equal(pdu.data[2 + 2], key);
	assert_int_equal(pdu.data[2 + 12], asc);
	assert_int_equal(pdu.data[2 + 13], ascq);
}
