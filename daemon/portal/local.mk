# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokeportal.a
libyokeportal_a_SOURCES = \
	daemon/portal/packet.c daemon/portal/packet.h \
	daemon/portal/portal.c \
	daemon/portal/system.c
libyokeportal_a_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(NL_CFLAGS)

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_portal
tests_unit_test_portal_SOURCES = tests/unit/test_portal.c
tests_unit_test_portal_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_portal_LDADD = libyokeportal.a libyokeconf.a libyokebase.a $(UNIT_LIBS) $(CONF_LIBS) $(ISAL_LIBS)
endif

EXTRA_DIST += tests/fuzz/corpus/portal_hosts
check_PROGRAMS += tests/fuzz/fuzz_portal_hosts
TESTS += tests/fuzz/fuzz_portal_hosts
tests_fuzz_fuzz_portal_hosts_SOURCES = tests/fuzz/fuzz_portal_hosts.c $(fuzz_drive)
tests_fuzz_fuzz_portal_hosts_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
tests_fuzz_fuzz_portal_hosts_LDADD = libyokeportal.a libyokeconf.a libyokebase.a $(CONF_LIBS) $(QB_LIBS) $(ISAL_LIBS)
