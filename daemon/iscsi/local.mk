# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokeiscsi.a
libyokeiscsi_a_SOURCES = \
	daemon/iscsi/discovery.h \
	daemon/iscsi/login.h \
	daemon/iscsi/pdu.c daemon/iscsi/pdu.h \
	daemon/iscsi/text.h
libyokeiscsi_a_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(ISAL_CFLAGS)

include daemon/iscsi/conn.mk
