/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/io/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "tests/io/clock.h"

struct session_request {
	struct session *session;
	struct scsi_task *task;
	struct iscsi_data out;
	void (*done)(void *arg, const struct session_result *result);
	void *arg;
};

static void session_lose(struct session *session, const char *why)
{
	if (!session->lost) {
		session->lost = true;
		session->why = why;
	}
}

static void session_command_done(struct iscsi_context *iscsi, int status, void *data, void *arg)
{
	struct session_request *request = arg;
	struct session_result result = {.status = status};
	struct scsi_task *task = request->task;

	(void)iscsi;
	(void)data;
	if (status == SCSI_STATUS_CANCELLED || status == SCSI_STATUS_ERROR ||
		status == SCSI_STATUS_TIMEOUT) {
		result.status = SESSION_STATUS_LOST;
		session_lose(request->session, "connection lost");
	} else if (status == SCSI_STATUS_CHECK_CONDITION) {
		result.key = (uint8_t)task->sense.key;
		result.asc = (uint8_t)(task->sense.ascq >> 8);
		result.ascq = (uint8_t)task->sense.ascq;
	} else if (task->xfer_dir == SCSI_XFER_READ) {
		result.in_length = (uint32_t)task->expxferlen;
		if (task->residual_status == SCSI_RESIDUAL_UNDERFLOW &&
			task->residual <= result.in_length) {
			result.in_length -= (uint32_t)task->residual;
		}
	}
	request->done(request->arg, &result);
	scsi_free_scsi_task(task);
	free(request);
}

int session_command(struct session *session, unsigned lun, const uint8_t *cdb, unsigned cdb_length,
	enum session_direction direction, void *data, uint32_t length,
	void (*done)(void *arg, const struct session_result *result), void *arg)
{
	static const int directions[] = {
		[SESSION_NONE] = SCSI_XFER_NONE,
		[SESSION_READ] = SCSI_XFER_READ,
		[SESSION_WRITE] = SCSI_XFER_WRITE,
	};
	struct session_request *request;

	if (session->state != SESSION_UP || session->lost) {
		return -1;
	}
	request = calloc(1, sizeof(*request));
	if (!request) {
		return -1;
	}
	*request = (struct session_request){.session = session, .done = done, .arg = arg};
	request->task = scsi_create_task((int)cdb_length, (unsigned char *)(uintptr_t)cdb,
		directions[direction], (int)length);
	if (!request->task) {
		free(request);
		return -1;
	}
	if (direction == SESSION_READ && length) {
		scsi_task_add_data_in_buffer(request->task, (int)length, data);
	}
	request->out = (struct iscsi_data){.size = length, .data = data};
	if (iscsi_scsi_command_async(session->iscsi, (int)lun, request->task, session_command_done,
		    direction == SESSION_WRITE ? &request->out : NULL, request) < 0) {
		scsi_free_scsi_task(request->task);
		free(request);
		session_lose(session, "command not taken");
		return -1;
	}
	return 0;
}

static void session_logged_in(struct iscsi_context *iscsi, int status, void *data, void *arg)
{
	struct session *session = arg;

	(void)iscsi;
	(void)data;
	if (status != SCSI_STATUS_GOOD) {
		session_lose(session, "login refused");
		return;
	}
	session->state = SESSION_UP;
	session->ever_up = true;
	session->nop_sent_ns = 0;
	session->nop_due_ns = clock_ns() + session->options->nop_interval_ns;
	session->changed(session);
}

static void session_connected(struct iscsi_context *iscsi, int status, void *data, void *arg)
{
	struct session *session = arg;

	(void)data;
	if (status != SCSI_STATUS_GOOD) {
		session_lose(session, "connection refused");
		return;
	}
	if (iscsi_login_async(iscsi, session_logged_in, session) < 0) {
		session_lose(session, "login not sent");
	}
}

static void session_open(struct session *session, uint64_t now_ns)
{
	session->next_ns = now_ns + session->options->reconnect_ns;
	session->iscsi = iscsi_create_context(session->initiator);
	if (!session->iscsi) {
		return;
	}
	session->lost = false;
	session->state = SESSION_CONNECTING;
	session->deadline_ns = now_ns + session->options->connect_timeout_ns;
	iscsi_set_targetname(session->iscsi, session->options->target);
	iscsi_set_session_type(session->iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(session->iscsi, ISCSI_HEADER_DIGEST_NONE_CRC32C);
	iscsi_set_noautoreconnect(session->iscsi, 1);
	/* As open-iscsi does: the same ISID at every login of this host through this portal. */
	iscsi_set_isid_oui(session->iscsi, 0x00023d, session->host * 256 + session->path);
	if (iscsi_connect_async(session->iscsi, session->portal, session_connected, session) < 0) {
		session_lose(session, "connection not opened");
	}
}

/*
 * What was sent over a lost connection is sent again elsewhere, and must not come late when a
 * network is back: takes it out of TCP, as NVMe over TCP does. A plain close, as iSCSI's hosts do
 * it, leaves that to the target.
 */
static void session_abandon(struct session *session)
{
	const struct linger none = {.l_onoff = 1};

	if (session->lost && !session->options->plain_close) {
		setsockopt(
			iscsi_get_fd(session->iscsi), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	}
}

void session_close(struct session *session)
{
	struct iscsi_context *iscsi = session->iscsi;
	bool was_up = session->state == SESSION_UP;

	if (iscsi) {
		session_abandon(session);
	}
	session->state = SESSION_DOWN;
	session->iscsi = NULL;
	session->lost = true;
	if (iscsi) {
		iscsi_destroy_context(iscsi); /* ends every command with SESSION_STATUS_LOST */
	}
	if (was_up) {
		session->changed(session);
	}
}

static void session_pong(struct iscsi_context *iscsi, int status, void *data, void *arg)
{
	struct session *session = arg;

	(void)iscsi;
	(void)data;
	if (status != SCSI_STATUS_GOOD) {
		session_lose(session, "ping lost");
		return;
	}
	session->nop_sent_ns = 0;
}

static void session_ping(struct session *session, uint64_t now_ns)
{
	if (session->nop_sent_ns) {
		if (now_ns - session->nop_sent_ns > session->options->nop_timeout_ns) {
			session_lose(session, "no answer to NOP-Out");
		}
		return;
	}
	if (now_ns >= session->nop_due_ns) {
		session->nop_due_ns = now_ns + session->options->nop_interval_ns;
		session->nop_sent_ns = now_ns;
		if (iscsi_nop_out_async(session->iscsi, session_pong, NULL, 0, session) < 0) {
			session_lose(session, "ping not sent");
		}
	}
}

void session_turn(struct session *session, uint64_t now_ns)
{
	if (session->iscsi && session->lost) {
		session_close(session);
		session->next_ns = now_ns + session->options->reconnect_ns;
	}
	switch (session->state) {
	case SESSION_DOWN:
		if (now_ns >= session->next_ns) {
			session_open(session, now_ns);
		}
		break;
	case SESSION_CONNECTING:
		if (now_ns > session->deadline_ns) {
			session_lose(session, "login timed out");
		}
		break;
	case SESSION_UP:
		session_ping(session, now_ns);
		break;
	}
}

bool session_poll(const struct session *session, struct pollfd *pfd)
{
	if (!session->iscsi || session->lost) {
		return false;
	}
	pfd->fd = iscsi_get_fd(session->iscsi);
	pfd->events = (short)iscsi_which_events(session->iscsi);
	pfd->revents = 0;
	return pfd->fd >= 0;
}

void session_ready(struct session *session, short revents)
{
	char byte;

	if (!session->iscsi || session->lost) {
		return;
	}
	/* libiscsi keeps a loss to itself when it must not reconnect: look before it does. */
	if (session->state == SESSION_UP && (revents & (POLLIN | POLLHUP | POLLERR))) {
		ssize_t n = recv(iscsi_get_fd(session->iscsi), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			session_lose(session,
				n == 0 ? "connection closed by the target" : strerror(errno));
			return;
		}
	}
	if (iscsi_service(session->iscsi, revents) < 0) {
		session_lose(session, "connection failed");
	}
}
