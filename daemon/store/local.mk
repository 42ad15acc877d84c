# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokestore.a
libyokestore_a_SOURCES = \
	daemon/store/ask.c \
	daemon/store/block.c \
	daemon/store/extent.c daemon/store/extent.h \
	daemon/store/fd.c \
	daemon/store/fd_io.c \
	daemon/store/peek.c \
	daemon/store/ram.c \
	daemon/store/write_key.c daemon/store/write_key.h
libyokestore_a_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_store_extent tests/unit/test_store_fdio tests/unit/test_store_peek tests/unit/test_store_write_key
tests_unit_test_store_extent_SOURCES = tests/unit/test_store_extent.c
tests_unit_test_store_extent_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_extent_LDADD = libyokestore.a libyokebase.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS)
tests_unit_test_store_peek_SOURCES = tests/unit/test_store_peek.c
tests_unit_test_store_peek_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_peek_LDADD = libyokestore.a libyokebase.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS)
tests_unit_test_store_write_key_SOURCES = tests/unit/test_store_write_key.c
tests_unit_test_store_write_key_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_write_key_LDADD = libyokestore.a libyokebase.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS)
# Has a ring of its own: no libyokebase.a.
tests_unit_test_store_fdio_SOURCES = tests/unit/test_store_fdio.c daemon/base/crc32c.c daemon/base/pages.c
tests_unit_test_store_fdio_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_fdio_LDADD = libyokestore.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS)
endif
