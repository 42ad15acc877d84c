/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server on two reactors that the test runs pass by pass, and initiators on the other ends of
 * socket pairs. No network, no thread, no waiting.
 */
#ifndef YOKE_ISCSI_HARNESS_H
#define YOKE_ISCSI_HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "daemon/iscsi/cmd.h"
#include "daemon/iscsi/tmf.h"
#include "tests/unit/fake_scsi.h"

#define HARNESS_REACTORS 2
#define HARNESS_WINDOW	 8
#define HARNESS_TARGET	 "iqn.2026-01.org.example:t"
#define HARNESS_NAME	 "iqn.2026-01.org.example:i"

struct harness {
	struct conf conf;
	struct conf_controller controller;
	struct conf_address portal;
	struct conf_target target;
	struct conf_lun lun;
	struct conf_extent extent;
	struct mailbox control;
	struct reactor *reactors[HARNESS_REACTORS];
	struct iscsi *iscsi;
};
extern struct harness harness;

int harness_setup(void **state); /* cmocka: server with defaults */
int harness_teardown(void **state); /* checks that nothing is left */
/* For iscsi_stop(): sets the bool that `arg` points to. */
void harness_stopped(void *arg);
/* A pass on each reactor and the control thread. */
void harness_pass(void);
/* Passes until nothing moves. */
void harness_settle(void);

/* One PDU as it came from the target. */
struct pdu {
	uint8_t bhs[ISCSI_BHS_BYTES];
	uint8_t data[1 << 16];
	uint32_t data_bytes;
};

struct client {
	int fd;
	uint32_t itt;
	uint32_t cmdsn;
	bool header_digest, data_digest;
	const char *keys; /* more login keys, pairs separated by '\n' */
	uint8_t isid;
	uint16_t tsih, cid;
};

/* Connects on a reactor; not logged in. */
struct client client_connect(unsigned reactor);
/* Connects and logs in to full feature phase in one step, keys from `keys`. */
struct client client_login(unsigned reactor, const char *keys);
/* Sends the one Login Request that asks for full feature phase. */
void client_send_login(struct client *c, bool discovery);
void client_close(struct client *c);

/* Sends bytes as they are. */
void client_send(struct client *c, const void *bytes, size_t n);
/* Builds a PDU with digests as negotiated; returns its length. */
size_t client_build(
	struct client *c, uint8_t *out, const uint8_t *bhs, const void *data, uint32_t n);
/* Builds and sends. */
void client_pdu(struct client *c, const uint8_t *bhs, const void *data, uint32_t n);

/* The next PDU from the target; fails the test when none comes. */
void client_expect(struct client *c, struct pdu *pdu, enum iscsi_opcode opcode);
void client_expect_any(struct client *c, struct pdu *pdu);
/* True when the target has something to say. */
bool client_pending(struct client *c);
/* Fails the test unless the target has closed and said nothing before. */
void client_expect_closed(struct client *c);
void client_expect_silence(struct client *c);

/* A SCSI Command header; CmdSN used up unless immediate. Flags without F: as given. */
void client_command(struct client *c, uint8_t *bhs, uint8_t flags, uint8_t opcode, uint32_t lba,
	uint16_t blocks, uint32_t edtl);
void client_data_out(
	uint8_t *bhs, uint32_t itt, uint32_t ttt, uint32_t datasn, uint32_t offset, bool final);
/* Sends a command without data and takes its answer. */
void client_read(struct client *c, uint32_t lba, uint16_t blocks, struct pdu *pdu);
/* A ping that must be answered: the session lives, nothing else was sent before. */
void client_expect_alive(struct client *c);
/* SCSI Response with sense key, ASC and ASCQ. */
void client_expect_sense(struct client *c, uint32_t itt, uint8_t key, uint8_t asc, uint8_t ascq);

#define F ISCSI_FLAG_FINAL
#define R ISCSI_COMMAND_READ
#define W ISCSI_COMMAND_WRITE

#endif
