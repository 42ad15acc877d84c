# SPDX-License-Identifier: BSD-3-Clause
if HAVE_LIBISCSI
noinst_PROGRAMS += tests/io/yoke-mpio tests/io/yoke-probe tests/io/yoke-count tests/io/yoke-lock
endif
tests_io_yoke_mpio_SOURCES = tests/io/main.c tests/io/engine.c tests/io/engine.h tests/io/device.c tests/io/device.h \
	tests/io/session.c tests/io/session.h tests/io/retry.c tests/io/retry.h tests/io/stamp.c tests/io/stamp.h tests/io/clock.h \
	tests/io/record.c tests/io/record.h tests/checker/history.c tests/checker/history.h
tests_io_yoke_mpio_CFLAGS = $(AM_CFLAGS) $(ISCSI_CFLAGS)
tests_io_yoke_mpio_LDADD = libyokebase.a $(ISCSI_LIBS) $(ISAL_LIBS)
tests_io_yoke_count_SOURCES = tests/io/count.c
tests_io_yoke_count_CFLAGS = $(AM_CFLAGS) $(ISCSI_CFLAGS)
tests_io_yoke_count_LDADD = $(ISCSI_LIBS)
tests_io_yoke_lock_SOURCES = tests/io/lock.c tests/io/clock.h tests/checker/history.c tests/checker/history.h
tests_io_yoke_lock_CFLAGS = $(AM_CFLAGS) $(ISCSI_CFLAGS)
tests_io_yoke_lock_LDADD = $(ISCSI_LIBS)
tests_io_yoke_probe_SOURCES = tests/io/probe.c
tests_io_yoke_probe_CFLAGS = $(AM_CFLAGS) $(ISCSI_CFLAGS)
tests_io_yoke_probe_LDADD = $(ISCSI_LIBS)

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_io_stamp tests/unit/test_io_retry
tests_unit_test_io_stamp_SOURCES = tests/unit/test_io_stamp.c tests/io/stamp.c tests/io/stamp.h
tests_unit_test_io_stamp_LDADD = libyokebase.a $(UNIT_LIBS) $(ISAL_LIBS)
tests_unit_test_io_retry_SOURCES = tests/unit/test_io_retry.c tests/io/retry.c tests/io/retry.h
tests_unit_test_io_retry_LDADD = libyokebase.a $(UNIT_LIBS)
endif
