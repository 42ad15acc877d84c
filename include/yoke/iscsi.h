/* SPDX-License-Identifier: BSD-3-Clause */
/* The iSCSI target server: portals, login, sessions, connections (RFC 7143). */
#ifndef YOKE_ISCSI_H
#define YOKE_ISCSI_H

#include "yoke/conf.h"
#include "yoke/mailbox.h"
#include "yoke/scsi.h"

/* iSCSIProtocolLevel that we offer (RFC 7144): it also makes INQUIRY's version descriptor. */
#define ISCSI_PROTOCOL_LEVEL 2u

struct iscsi;

struct iscsi_setup {
	const struct conf *conf; /* outlives the server, or the next change */
	const struct conf_secrets *secrets; /* as `conf`; NULL where there are none */
	uint8_t controller; /* which one this daemon is */
	struct scsi *scsi;
	struct mailbox *control;
	struct reactor **reactors;
	unsigned reactor_count;
};

/* NULL with a message in error. Control thread, before the reactors start. Opens no socket. */
struct iscsi *iscsi_new(const struct iscsi_setup *setup, char *error, size_t error_size);
void iscsi_free(struct iscsi *iscsi); /* after the reactors have stopped */

/*
 * Opens this controller's portals. 0 or a negative errno with a message that names the address.
 * Control thread, any time; a second call does nothing.
 */
int iscsi_listen(struct iscsi *iscsi, char *error, size_t error_size);

/*
 * Goes over to a changed configuration and to the secrets that go with it (NULL: none): logins from
 * now on follow them, sessions whose target is gone or admits them no more are closed; who has
 * proved himself before is not asked again. done(arg) runs on the control thread when nothing uses
 * the former ones any more, which may take as long as a login may. It cannot fail. One at a time:
 * the next one from inside done() on. Control thread.
 */
void iscsi_conf_set(struct iscsi *iscsi, const struct conf *conf,
	const struct conf_secrets *secrets, void (*done)(void *arg), void *arg);

/*
 * Closes the portals and drops every connection (asynchronous message 2 or 3 first, RFC 7143
 * 11.9, so that initiators look for the other path at once), then stopped(arg) on the control
 * thread.
 */
void iscsi_stop(struct iscsi *iscsi, void (*stopped)(void *arg), void *arg);

/*
 * Asks the initiator of a session, or with TSIH 0 of every normal session, to log out (asynchronous
 * message 1, RFC 7143 11.9.1); what it keeps longer than that is dropped. How many sessions were
 * found. Control thread; goes on by itself.
 */
unsigned iscsi_session_logout(struct iscsi *iscsi, uint16_t tsih, uint16_t within_s);

/*
 * Portal adoption: opens the other controller's portals here, whose addresses must be on this
 * machine. Sessions there have that controller's portal group tag, port identifiers and access
 * state. 0 or a negative errno with a message. Control thread.
 */
int iscsi_adopt(struct iscsi *iscsi, char *error, size_t error_size);
/*
 * The way back: closes them, drops their connections, then done(arg) once on the control thread.
 * One at a time.
 */
void iscsi_give_back(struct iscsi *iscsi, void (*done)(void *arg), void *arg);

/* Calls each() for the first connection of every session at this controller's own portals. */
void iscsi_hosts(struct iscsi *iscsi,
	void (*each)(void *arg, uint16_t rtpi, const struct sockaddr_storage *peer), void *arg);

/* One session, as the control thread knows it. Strings belong to the server. */
struct iscsi_session_info {
	uint16_t tsih;
	const char *initiator;
	const char *alias;
	const char *target; /* NULL: discovery */
	const char *user; /* CHAP name that was proved; "" for none */
	uint8_t isid[6];
	unsigned connections;
	const char *initiator_address; /* of the first connection */
	const char *portal;
	unsigned reactor;
	uint64_t since_unix_s;
};
/* Calls each() for every session. Control thread. */
void iscsi_sessions(struct iscsi *iscsi,
	void (*each)(const struct iscsi_session_info *info, void *arg), void *arg);
unsigned iscsi_session_count(struct iscsi *iscsi); /* normal sessions; control thread */

#endif
