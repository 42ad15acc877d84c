# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokecontrol.a
libyokecontrol_a_SOURCES = \
	daemon/control/admin.c \
	daemon/control/args.c \
	daemon/control/control.c \
	daemon/control/control_private.h \
	daemon/control/groups.c \
	daemon/control/http.c \
	daemon/control/json.c \
	daemon/control/lists.c \
	daemon/control/routes.c \
	daemon/control/status.c
libyokecontrol_a_CFLAGS = $(AM_CFLAGS) $(MHD_CFLAGS) $(JANSSON_CFLAGS) $(URING_CFLAGS)
