/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "tests/bench/load.h"
#include "tests/io/clock.h"
#include "yoke/crc32c.h"

#define SOCKET_BYTES (4 << 20)
#define ROOMS	     LOAD_IOVS

bool load_fail(struct load_thread *t, const char *format, ...)
{
	va_list args;

	if (t->error[0] == '\0') {
		va_start(args, format);
		vsnprintf(t->error, sizeof(t->error), format, args);
		va_end(args);
	}
	atomic_store(&load_stop, true);
	return false;
}

/* ----- sending -------------------------------------------------------------------------------- */

uint8_t *load_session_room(struct load_session *s)
{
	uint8_t *header = s->room[s->room_next];

	s->room_next = (s->room_next + 1) % ROOMS;
	memset(header, 0, ISCSI_BHS_BYTES);
	return header;
}

/* Each PDU takes at most three pieces. */
bool load_session_has_room(const struct load_session *s, unsigned pdus)
{
	return s->iov_count + 3 * pdus <= LOAD_IOVS;
}

static void piece(struct load_session *s, const void *bytes, size_t count)
{
	s->iovs[s->iov_count++] =
		(struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
}

void load_session_put(struct load_session *s, uint8_t *header, const uint8_t *data, uint32_t bytes)
{
	size_t head = ISCSI_BHS_BYTES;

	header[5] = (uint8_t)(bytes >> 16);
	header[6] = (uint8_t)(bytes >> 8);
	header[7] = (uint8_t)bytes;
	if (s->header_digest) {
		crc32c_put(header + ISCSI_BHS_BYTES, crc32c(header, ISCSI_BHS_BYTES));
		head += ISCSI_DIGEST_BYTES;
	}
	piece(s, header, head);
	if (!bytes) {
		return;
	}
	piece(s, data, bytes);
	if (s->data_digest) {
		uint8_t *digest = header + ISCSI_BHS_BYTES + ISCSI_DIGEST_BYTES;

		crc32c_put(digest, crc32c(data, bytes));
		piece(s, digest, ISCSI_DIGEST_BYTES);
	}
}

static bool watch(struct load_session *s, bool out)
{
	struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = s};

	s->wants_out = out;
	if (epoll_ctl(s->thread->epoll, EPOLL_CTL_MOD, s->fd, &event) < 0) {
		return load_fail(s->thread, "epoll_ctl: %s", strerror(errno));
	}
	return true;
}

bool load_session_flush(struct load_session *s)
{
	while (s->iov_first < s->iov_count) {
		struct msghdr msg = {.msg_iov = s->iovs + s->iov_first,
			.msg_iovlen = s->iov_count - s->iov_first};
		ssize_t n = sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			return s->wants_out || watch(s, true);
		}
		if (n < 0) {
			return load_fail(
				s->thread, "session %u: send: %s", s->number, strerror(errno));
		}
		while (n > 0) {
			struct iovec *iov = &s->iovs[s->iov_first];
			size_t part = (size_t)n < iov->iov_len ? (size_t)n : iov->iov_len;

			iov->iov_base = (uint8_t *)iov->iov_base + part;
			iov->iov_len -= part;
			n -= (ssize_t)part;
			s->iov_first += iov->iov_len == 0;
		}
	}
	s->iov_first = 0;
	s->iov_count = 0;
	return !s->wants_out || watch(s, false);
}

/* ----- login ---------------------------------------------------------------------------------- */

static size_t text_add(char *text, size_t at, const char *key, const char *value)
{
	int n = snprintf(text + at, LOAD_TEXT_BYTES - at, "%s=%s", key, value);

	return n < 0 || at + (size_t)n + 1 > LOAD_TEXT_BYTES ? at : at + (size_t)n + 1;
}

static void login_send(struct load_session *s, bool first)
{
	const struct load_options *o = s->thread->options;
	char *text = (char *)s->text + ISCSI_BHS_BYTES;
	uint32_t known_as = o->first + s->number;
	char name[128], number[32];
	size_t size = 0;

	memset(s->text, 0, ISCSI_BHS_BYTES);
	if (first) {
		snprintf(name, sizeof(name), "iqn.2026-01.org.example:load%u", known_as);
		snprintf(number, sizeof(number), "%u", LOAD_SEGMENT_BYTES);
		size = text_add(text, size, "InitiatorName", name);
		size = text_add(text, size, "TargetName", o->target);
		size = text_add(text, size, "SessionType", "Normal");
		size = text_add(text, size, "HeaderDigest", o->header_digest ? "CRC32C" : "None");
		size = text_add(text, size, "DataDigest", o->data_digest ? "CRC32C" : "None");
		size = text_add(text, size, "InitialR2T", "No");
		size = text_add(text, size, "ImmediateData", "Yes");
		size = text_add(text, size, "MaxRecvDataSegmentLength", number);
		size = text_add(text, size, "MaxBurstLength", "16776192");
		size = text_add(text, size, "FirstBurstLength", "262144");
		size = text_add(text, size, "MaxOutstandingR2T", "1");
		size = text_add(text, size, "ErrorRecoveryLevel", "0");
	}
	memset(text + size, 0, 4);
	s->text[0] = ISCSI_OP_LOGIN_REQUEST | ISCSI_OPCODE_IMMEDIATE;
	s->text[1] = 0x87; /* T, from operational negotiation to full feature phase */
	s->text[5] = (uint8_t)(size >> 16);
	s->text[6] = (uint8_t)(size >> 8);
	s->text[7] = (uint8_t)size;
	s->text[8] = 0x80; /* ISID of the random format */
	s->text[9] = (uint8_t)(known_as >> 16);
	s->text[10] = (uint8_t)(known_as >> 8);
	s->text[11] = (uint8_t)known_as;
	be32_put(s->text + ISCSI_BHS_ITT, 0x10000u);
	be32_put(s->text + ISCSI_BHS_CMDSN, s->cmdsn);
	be32_put(s->text + ISCSI_BHS_EXPSTATSN, s->expstatsn);
	piece(s, s->text, ISCSI_BHS_BYTES + ((size + 3) & ~(size_t)3));
}

bool load_session_open(struct load_session *s)
{
	struct load_thread *t = s->thread;
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = s};
	int one = 1, size = SOCKET_BYTES;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		return load_fail(t, "session %u: socket: %s", s->number, strerror(errno));
	}
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (t->options->kind != LOAD_IDLE && t->options->kind != LOAD_LOGIN) {
		setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	s->began_ns = clock_ns();
	s->state = LOAD_CONNECTING;
	s->header_digest = s->data_digest = false;
	s->immediate_data = s->initial_r2t = true;
	s->segment_bytes = ISCSI_DATA_SEGMENT_DEFAULT;
	s->first_burst_bytes = 65536;
	s->max_burst_bytes = 262144;
	s->cmdsn = 1;
	s->expstatsn = 0;
	s->iov_first = s->iov_count = 0;
	s->header_have = s->tail_have = s->tail_left = 0;
	s->segment_left = s->small_have = 0;
	s->wants_out = true;
	if (connect(s->fd, (const struct sockaddr *)&t->options->portal,
		    sizeof(t->options->portal)) < 0 &&
		errno != EINPROGRESS) {
		return load_fail(t, "session %u: connect: %s", s->number, strerror(errno));
	}
	if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, s->fd, &event) < 0) {
		return load_fail(t, "epoll_ctl: %s", strerror(errno));
	}
	return true;
}

void load_session_close(struct load_session *s)
{
	if (s->fd >= 0) {
		close(s->fd);
		s->fd = -1;
	}
	if (s->state == LOAD_FULL) {
		s->thread->ready--;
	}
	s->state = LOAD_CLOSED;
}

void load_session_logout(struct load_session *s)
{
	uint8_t *header = load_session_room(s);

	header[0] = ISCSI_OP_LOGOUT_REQUEST | ISCSI_OPCODE_IMMEDIATE;
	header[1] = 0x80; /* closes the session */
	be32_put(header + ISCSI_BHS_ITT, 0x10001u);
	be32_put(header + ISCSI_BHS_CMDSN, s->cmdsn);
	be32_put(header + ISCSI_BHS_EXPSTATSN, s->expstatsn);
	load_session_put(s, header, NULL, 0);
	s->thread->ready--;
	s->state = LOAD_LOGGING_OUT;
}

static void key_take(struct load_session *s, const char *key, const char *value)
{
	bool yes = strcmp(value, "Yes") == 0;
	uint32_t number = (uint32_t)strtoul(value, NULL, 0);

	if (strcmp(key, "HeaderDigest") == 0) {
		s->header_digest = strcmp(value, "CRC32C") == 0;
	} else if (strcmp(key, "DataDigest") == 0) {
		s->data_digest = strcmp(value, "CRC32C") == 0;
	} else if (strcmp(key, "ImmediateData") == 0) {
		s->immediate_data = yes;
	} else if (strcmp(key, "InitialR2T") == 0) {
		s->initial_r2t = yes;
	} else if (strcmp(key, "MaxRecvDataSegmentLength") == 0) {
		s->segment_bytes = number;
	} else if (strcmp(key, "FirstBurstLength") == 0) {
		s->first_burst_bytes = number;
	} else if (strcmp(key, "MaxBurstLength") == 0) {
		s->max_burst_bytes = number;
	}
}

static void keys_take(struct load_session *s)
{
	char *at = (char *)s->small, *end = at + s->small_have;

	while (at < end) {
		char *stop = memchr(at, 0, (size_t)(end - at));
		char *equals = stop ? strchr(at, '=') : NULL;

		if (!equals) {
			return;
		}
		*equals = '\0';
		key_take(s, at, equals + 1);
		at = stop + 1;
	}
}

static bool logged_in(struct load_session *s)
{
	const struct load_options *o = s->thread->options;

	keys_take(s);
	if (s->header[36] || s->header[37]) {
		return load_fail(s->thread, "session %u: login refused with status %02x%02x",
			s->number, s->header[36], s->header[37]);
	}
	s->expstatsn = be32_get(s->header + ISCSI_BHS_STATSN) + 1;
	if (!(s->header[1] & 0x80)) {
		login_send(s, false);
		return load_session_flush(s);
	}
	if (s->header_digest != o->header_digest || s->data_digest != o->data_digest) {
		return load_fail(
			s->thread, "session %u: the target does not take these digests", s->number);
	}
	s->state = LOAD_FULL;
	s->maxcmdsn = be32_get(s->header + ISCSI_BHS_MAXCMDSN);
	s->thread->ready++;
	if (o->kind == LOAD_IDLE || (o->kind == LOAD_LOGIN && s->thread->counting)) {
		s->thread->result.logins++;
		histogram_add(&s->thread->result.latency, clock_ns() - s->began_ns);
	}
	if (o->kind == LOAD_LOGIN) {
		load_session_logout(s);
		return load_session_flush(s);
	}
	return true;
}

static bool logged_out(struct load_session *s)
{
	load_session_close(s);
	return atomic_load(&load_stop) || load_session_open(s);
}

/* ----- receiving ------------------------------------------------------------------------------ */

static bool nop_in(struct load_session *s)
{
	uint8_t *header;

	if (be32_get(s->header + ISCSI_BHS_TTT) == ISCSI_TAG_NONE) {
		return true;
	}
	header = load_session_room(s);
	header[0] = ISCSI_OP_NOP_OUT | ISCSI_OPCODE_IMMEDIATE;
	header[1] = 0x80;
	memcpy(header + ISCSI_BHS_LUN, s->header + ISCSI_BHS_LUN, 8);
	be32_put(header + ISCSI_BHS_ITT, ISCSI_TAG_NONE);
	memcpy(header + ISCSI_BHS_TTT, s->header + ISCSI_BHS_TTT, 4);
	be32_put(header + ISCSI_BHS_CMDSN, s->cmdsn);
	be32_put(header + ISCSI_BHS_EXPSTATSN, s->expstatsn);
	load_session_put(s, header, NULL, 0);
	return load_session_flush(s);
}

static bool pdu(struct load_session *s)
{
	uint8_t opcode = s->header[0] & ISCSI_OPCODE_MASK;

	switch (opcode) {
	case ISCSI_OP_LOGIN_RESPONSE:
		return logged_in(s);
	case ISCSI_OP_LOGOUT_RESPONSE:
		return logged_out(s);
	case ISCSI_OP_NOP_IN:
		s->maxcmdsn = be32_get(s->header + ISCSI_BHS_MAXCMDSN);
		return nop_in(s);
	case ISCSI_OP_SCSI_RESPONSE:
	case ISCSI_OP_DATA_IN:
	case ISCSI_OP_R2T:
		s->maxcmdsn = be32_get(s->header + ISCSI_BHS_MAXCMDSN);
		return load_work_pdu(s);
	default:
		return load_fail(s->thread, "session %u: unexpected PDU %02x", s->number, opcode);
	}
}

static void segment(struct load_session *s, const uint8_t *bytes, uint32_t count)
{
	if (s->data_digest && s->state == LOAD_FULL) {
		s->crc = crc32c_add(s->crc, bytes, count);
	}
	if ((s->header[0] & ISCSI_OPCODE_MASK) == ISCSI_OP_DATA_IN) {
		load_work_data(s, bytes, count);
	} else {
		uint32_t room = LOAD_TEXT_BYTES - s->small_have;

		count = count < room ? count : room;
		memcpy(s->small + s->small_have, bytes, count);
		s->small_have += count;
	}
}

static bool header_begin(struct load_session *s)
{
	uint32_t length = (uint32_t)s->header[5] << 16 | (uint32_t)s->header[6] << 8 | s->header[7];
	bool full = s->state == LOAD_FULL || s->state == LOAD_LOGGING_OUT;

	if (full && s->header_digest &&
		crc32c_get(s->header + ISCSI_BHS_BYTES) != crc32c(s->header, ISCSI_BHS_BYTES)) {
		return load_fail(s->thread, "session %u: header digest is wrong", s->number);
	}
	s->segment_left = length;
	s->tail_size = length ? -length % 4 + (full && s->data_digest ? ISCSI_DIGEST_BYTES : 0) : 0;
	s->tail_have = 0;
	s->tail_left = s->tail_size;
	s->crc = CRC32C_INIT;
	s->small_have = 0;
	return true;
}

static bool tail_end(struct load_session *s)
{
	bool digest = s->tail_size >= ISCSI_DIGEST_BYTES;

	if (digest && crc32c_get(s->tail + s->tail_size - ISCSI_DIGEST_BYTES) !=
			      crc32c_end(crc32c_add(
				      s->crc, s->tail, s->tail_size - ISCSI_DIGEST_BYTES))) {
		return load_fail(s->thread, "session %u: data digest is wrong", s->number);
	}
	return true;
}

static bool stream(struct load_session *s, const uint8_t *bytes, size_t count)
{
	while (count) {
		bool full = s->state == LOAD_FULL || s->state == LOAD_LOGGING_OUT;
		unsigned header_bytes =
			ISCSI_BHS_BYTES + (full && s->header_digest ? ISCSI_DIGEST_BYTES : 0);
		size_t part;

		if (s->header_have < header_bytes) {
			part = header_bytes - s->header_have;
			part = part < count ? part : count;
			memcpy(s->header + s->header_have, bytes, part);
			s->header_have += (unsigned)part;
			bytes += part;
			count -= part;
			if (s->header_have < header_bytes) {
				return true;
			}
			if (!header_begin(s)) {
				return false;
			}
		}
		part = s->segment_left < count ? s->segment_left : count;
		if (part) {
			segment(s, bytes, (uint32_t)part);
			s->segment_left -= (uint32_t)part;
		}
		bytes += part;
		count -= part;
		part = s->tail_left < count ? s->tail_left : count;
		if (!s->segment_left && part) {
			memcpy(s->tail + s->tail_have, bytes, part);
			s->tail_have += (unsigned)part;
			s->tail_left -= (unsigned)part;
			bytes += part;
			count -= part;
		}
		if (s->segment_left || s->tail_left) {
			return true;
		}
		s->header_have = 0;
		if (!tail_end(s) || !pdu(s)) {
			return false;
		}
		if (s->state == LOAD_CLOSED || s->state == LOAD_CONNECTING) {
			return true; /* logged out; what follows belongs to nobody */
		}
	}
	return true;
}

static bool connected(struct load_session *s)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) {
		return load_fail(s->thread, "session %u: connect: %s", s->number, strerror(error));
	}
	s->state = LOAD_LOGGING_IN;
	login_send(s, true);
	return load_session_flush(s);
}

bool load_session_input(struct load_session *s)
{
	struct load_thread *t = s->thread;
	ssize_t n;

	if (s->state == LOAD_CONNECTING) {
		return connected(s);
	}
	if (s->wants_out && !load_session_flush(s)) {
		return false;
	}
	n = recv(s->fd, t->rx, LOAD_RX_BYTES, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN) {
		return true;
	}
	if (n <= 0) {
		return load_fail(t, "session %u: the target closed the connection%s%s", s->number,
			n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
	}
	return stream(s, t->rx, (size_t)n);
}
