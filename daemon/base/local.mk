# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokebase.a
libyokebase_a_SOURCES = \
	daemon/base/buf.c \
	daemon/base/child.c \
	daemon/base/crc32c.c \
	daemon/base/cursor.c \
	daemon/base/journal.c daemon/base/journal_format.c \
	daemon/base/ledger_states.c \
	daemon/base/log.c daemon/base/log_gather.c daemon/base/log_gather.h daemon/base/log_queue.c daemon/base/log_queue.h \
	daemon/base/mailbox.c \
	daemon/base/names.c \
	daemon/base/pages.c \
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
UNIT_TESTS += tests/unit/test_base_log
tests_unit_test_base_log_SOURCES = tests/unit/test_base_log.c
tests_unit_test_base_log_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_base_log_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=syslog
tests_unit_test_base_log_LDADD = libyokebase.a $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_base_journal
tests_unit_test_base_journal_SOURCES = tests/unit/test_base_journal.c tests/unit/fake_ledger.c tests/unit/fake_ledger.h
tests_unit_test_base_journal_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_base_journal_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fallocate,--wrap=faccessat,--wrap=fdatasync,--wrap=fsync
tests_unit_test_base_journal_LDADD = libyokebase.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_journal
TESTS += tests/fuzz/fuzz_journal
tests_fuzz_fuzz_journal_SOURCES = tests/fuzz/fuzz_journal.c $(fuzz_drive)
tests_fuzz_fuzz_journal_LDADD = libyokebase.a $(ISAL_LIBS) $(QB_LIBS)
EXTRA_DIST += tests/fuzz/corpus/journal/empty.bin tests/fuzz/corpus/journal/entries.bin \
	tests/fuzz/corpus/journal/states.bin tests/fuzz/corpus/journal/torn.bin
