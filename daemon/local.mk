# SPDX-License-Identifier: BSD-3-Clause
sbin_PROGRAMS += yoked
yoked_SOURCES = \
	daemon/adoption.c daemon/adoption.h \
	daemon/background.c daemon/background.h \
	daemon/daemon.c daemon/daemon.h daemon/reload.c \
	daemon/ledger_local.c daemon/ledger_local.h \
	daemon/main.c \
	daemon/pidfile.c daemon/pidfile.h
yoked_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMAP_CFLAGS)
# Dependencies point one way: see docs/architecture.md.
yoked_LDADD = libyokecontrol.a libyokeisns.a libyokeha.a libyokeportal.a libyokeiscsi.a libyokescsi.a libyokestore.a \
	libyokeconf.a libyokebase.a $(MHD_LIBS) $(JANSSON_LIBS) $(CONF_LIBS) $(QUORUM_LIBS) \
	$(CPG_LIBS) $(CMAP_LIBS) $(OPENSSL_LIBS) $(URING_LIBS) $(ISAL_LIBS) $(QB_LIBS) $(NL_LIBS)

TESTS += tests/unit/test_yoked_options.sh
EXTRA_DIST += tests/unit/test_yoked_options.sh

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_ledger_local
tests_unit_test_ledger_local_SOURCES = tests/unit/test_ledger_local.c daemon/ledger_local.c daemon/ledger_local.h \
	tests/unit/fake_ledger.c tests/unit/fake_ledger.h
tests_unit_test_ledger_local_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ledger_local_LDFLAGS = \
	$(AM_LDFLAGS) -Wl,--wrap=fallocate,--wrap=fdatasync,--wrap=qb_util_nano_current_get
tests_unit_test_ledger_local_LDADD = libyokebase.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS)
endif
