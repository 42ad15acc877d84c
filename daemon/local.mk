# SPDX-License-Identifier: BSD-3-Clause
sbin_PROGRAMS += yoked
yoked_SOURCES = \
	daemon/instance.c daemon/instance.h \
	daemon/main.c \
	daemon/process.c daemon/process.h
yoked_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMAP_CFLAGS)
# Dependencies point one way: see docs/architecture.md.
yoked_LDADD = libyokecontrol.a libyokeha.a libyokeiscsi.a libyokescsi.a libyokestore.a \
	libyokeconf.a libyokebase.a $(MHD_LIBS) $(JANSSON_LIBS) $(CONF_LIBS) $(QUORUM_LIBS) \
	$(CPG_LIBS) $(CMAP_LIBS) $(OPENSSL_LIBS) $(URING_LIBS) $(ISAL_LIBS) $(QB_LIBS)
