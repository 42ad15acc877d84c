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

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_base_bytes tests/unit/test_base_reactor
tests_unit_test_base_bytes_SOURCES = tests/unit/test_base_bytes.c
tests_unit_test_base_bytes_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_base_bytes_LDADD = libyokebase.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS)
tests_unit_test_base_reactor_SOURCES = tests/unit/test_base_reactor.c
tests_unit_test_base_reactor_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_base_reactor_LDADD = libyokebase.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS)
endif
