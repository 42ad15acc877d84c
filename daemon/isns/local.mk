# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokeisns.a
libyokeisns_a_SOURCES = daemon/isns/isns.c daemon/isns/line.c daemon/isns/line.h daemon/isns/words.h
libyokeisns_a_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)

pkglibexec_PROGRAMS += yoke-isns
yoke_isns_SOURCES = daemon/isns/agent.c daemon/isns/registration.c daemon/isns/registration.h
yoke_isns_LDADD = $(ISNS_LIBS)

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_isns
tests_unit_test_isns_SOURCES = tests/unit/test_isns.c
tests_unit_test_isns_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
tests_unit_test_isns_LDADD = libyokeisns.a libyokebase.a $(UNIT_LIBS)
EXTRA_DIST += tests/unit/fake_isns.sh
endif

EXTRA_DIST += tests/fuzz/corpus/isns
check_PROGRAMS += tests/fuzz/fuzz_isns
TESTS += tests/fuzz/fuzz_isns
tests_fuzz_fuzz_isns_SOURCES = tests/fuzz/fuzz_isns.c $(fuzz_drive)
tests_fuzz_fuzz_isns_LDADD = libyokeisns.a libyokebase.a $(QB_LIBS)
