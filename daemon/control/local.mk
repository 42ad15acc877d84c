# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokecontrol.a
libyokecontrol_a_SOURCES = \
	daemon/control/admin.c \
	daemon/control/args.c \
	daemon/control/control.c \
	daemon/control/control_private.h \
	daemon/control/drill.c \
	daemon/control/groups.c \
	daemon/control/http.c \
	daemon/control/json.c \
	daemon/control/lists.c \
	daemon/control/routes.c \
	daemon/control/status.c
libyokecontrol_a_CFLAGS = $(AM_CFLAGS) $(MHD_CFLAGS) $(JANSSON_CFLAGS) $(URING_CFLAGS)

if HAVE_CMOCKA
CONTROL_TEST_SOURCES = \
	tests/unit/control_rig.c tests/unit/control_rig.h \
	tests/unit/fake_control.c tests/unit/fake_control.h
CONTROL_TEST_LIBS = libyokecontrol.a libyokebase.a $(UNIT_LIBS) $(MHD_LIBS) $(JANSSON_LIBS) \
	$(URING_LIBS) $(ISAL_LIBS)

UNIT_TESTS += tests/unit/test_control_routes tests/unit/test_control_http
tests_unit_test_control_routes_SOURCES = tests/unit/test_control_routes.c $(CONTROL_TEST_SOURCES)
tests_unit_test_control_routes_CFLAGS = $(libyokecontrol_a_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_control_routes_LDADD = $(CONTROL_TEST_LIBS)
tests_unit_test_control_http_SOURCES = tests/unit/test_control_http.c $(CONTROL_TEST_SOURCES)
tests_unit_test_control_http_CFLAGS = $(libyokecontrol_a_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_control_http_LDADD = $(CONTROL_TEST_LIBS)

EXTRA_DIST += tests/fuzz/corpus/control
check_PROGRAMS += tests/fuzz/fuzz_control
TESTS += tests/fuzz/fuzz_control
tests_fuzz_fuzz_control_SOURCES = tests/fuzz/fuzz_control.c $(fuzz_drive) $(CONTROL_TEST_SOURCES)
tests_fuzz_fuzz_control_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_fuzz_fuzz_control_CFLAGS = $(libyokecontrol_a_CFLAGS) $(CMOCKA_CFLAGS)
tests_fuzz_fuzz_control_LDADD = $(CONTROL_TEST_LIBS)
endif
