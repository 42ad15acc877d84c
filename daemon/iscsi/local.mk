# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokeiscsi.a
libyokeiscsi_a_SOURCES = \
	daemon/iscsi/discovery.c daemon/iscsi/discovery.h \
	daemon/iscsi/keys.c daemon/iscsi/keys.h \
	daemon/iscsi/login.c daemon/iscsi/login.h \
	daemon/iscsi/names.c daemon/iscsi/names.h \
	daemon/iscsi/negotiate.c daemon/iscsi/negotiate.h \
	daemon/iscsi/pairs.c daemon/iscsi/pairs.h \
	daemon/iscsi/pdu.c daemon/iscsi/pdu.h \
	daemon/iscsi/text.c daemon/iscsi/text.h
libyokeiscsi_a_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(ISAL_CFLAGS)

include daemon/iscsi/conn.mk
