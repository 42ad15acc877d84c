# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokebase.a
libyokebase_a_SOURCES = \
	daemon/base/buf.c \
	daemon/base/crc32c.c \
	daemon/base/cursor.c \
	daemon/base/log.c \
	daemon/base/mailbox.c \
	daemon/base/names.c \
	daemon/base/reactor.c \
	daemon/base/timer.c daemon/base/timer.h
libyokebase_a_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(ISAL_CFLAGS)
