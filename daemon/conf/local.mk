# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokeconf.a
libyokeconf_a_SOURCES = \
	daemon/conf/arena.c daemon/conf/arena.h \
	daemon/conf/check.c \
	daemon/conf/conf.c \
	daemon/conf/dump.c daemon/conf/dump.h \
	daemon/conf/load.c daemon/conf/loader.h \
	daemon/conf/names.c daemon/conf/names.h \
	daemon/conf/node.c daemon/conf/node.h \
	daemon/conf/reference.c \
	daemon/conf/schema.c daemon/conf/schema.h \
	daemon/conf/suggest.c daemon/conf/suggest.h \
	daemon/conf/value.c daemon/conf/value.h
libyokeconf_a_CFLAGS = $(AM_CFLAGS) $(YAML_CFLAGS) $(OPENSSL_CFLAGS) $(URING_CFLAGS)

# What links libyokeconf.a links these, too.
CONF_LIBS = $(YAML_LIBS) $(OPENSSL_LIBS)
