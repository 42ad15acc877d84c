# SPDX-License-Identifier: BSD-3-Clause
sbin_PROGRAMS += yokectl
yokectl_SOURCES = \
	daemon/cli/act.c \
	daemon/cli/cli.h \
	daemon/cli/client.c \
	daemon/cli/commands.c \
	daemon/cli/config.c \
	daemon/cli/main.c \
	daemon/cli/pacemaker.c \
	daemon/cli/show.c \
	daemon/cli/text.c
yokectl_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS) $(JANSSON_CFLAGS) $(URING_CFLAGS)
yokectl_LDADD = libyokeconf.a libyokebase.a $(CURL_LIBS) $(JANSSON_LIBS) $(CONF_LIBS) $(QB_LIBS)
