# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokeiscsi.a
libyokeiscsi_a_SOURCES = \
	daemon/iscsi/chap.c daemon/iscsi/chap.h \
	daemon/iscsi/discovery.c daemon/iscsi/discovery.h \
	daemon/iscsi/keys.c daemon/iscsi/keys.h \
	daemon/iscsi/login.c daemon/iscsi/login.h \
	daemon/iscsi/names.c daemon/iscsi/names.h \
	daemon/iscsi/negotiate.c daemon/iscsi/negotiate.h \
	daemon/iscsi/pairs.c daemon/iscsi/pairs.h \
	daemon/iscsi/pdu.c daemon/iscsi/pdu.h \
	daemon/iscsi/text.c daemon/iscsi/text.h
libyokeiscsi_a_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(ISAL_CFLAGS) $(OPENSSL_CFLAGS)

include daemon/iscsi/conn.mk

if HAVE_CMOCKA
noinst_HEADERS += tests/unit/iscsi_fixture.h
UNIT_TESTS += \
	tests/unit/test_iscsi_auth \
	tests/unit/test_iscsi_chap \
	tests/unit/test_iscsi_discovery \
	tests/unit/test_iscsi_keys \
	tests/unit/test_iscsi_login \
	tests/unit/test_iscsi_names \
	tests/unit/test_iscsi_text
tests_unit_test_iscsi_auth_SOURCES = tests/unit/test_iscsi_auth.c
tests_unit_test_iscsi_auth_LDADD = libyokeiscsi.a libyokebase.a $(UNIT_LIBS) $(OPENSSL_LIBS)
tests_unit_test_iscsi_chap_SOURCES = tests/unit/test_iscsi_chap.c
tests_unit_test_iscsi_chap_LDADD = libyokeiscsi.a libyokebase.a $(UNIT_LIBS) $(OPENSSL_LIBS)
tests_unit_test_iscsi_discovery_SOURCES = tests/unit/test_iscsi_discovery.c
tests_unit_test_iscsi_discovery_LDADD = libyokeiscsi.a libyokebase.a $(UNIT_LIBS) $(OPENSSL_LIBS)
tests_unit_test_iscsi_keys_SOURCES = tests/unit/test_iscsi_keys.c
tests_unit_test_iscsi_keys_LDADD = libyokeiscsi.a libyokebase.a $(UNIT_LIBS) $(OPENSSL_LIBS)
tests_unit_test_iscsi_login_SOURCES = tests/unit/test_iscsi_login.c
tests_unit_test_iscsi_login_LDADD = libyokeiscsi.a libyokebase.a $(UNIT_LIBS) $(OPENSSL_LIBS)
tests_unit_test_iscsi_names_SOURCES = tests/unit/test_iscsi_names.c
tests_unit_test_iscsi_names_LDADD = libyokeiscsi.a libyokebase.a $(UNIT_LIBS) $(OPENSSL_LIBS)
tests_unit_test_iscsi_text_SOURCES = tests/unit/test_iscsi_text.c
tests_unit_test_iscsi_text_LDADD = libyokeiscsi.a libyokebase.a $(UNIT_LIBS) $(OPENSSL_LIBS)
endif

# The fuzz target as a plain program that runs its corpus.
check_PROGRAMS += tests/fuzz/fuzz_iscsi_login
TESTS += tests/fuzz/fuzz_iscsi_login
tests_fuzz_fuzz_iscsi_login_SOURCES = tests/fuzz/fuzz_iscsi_login.c $(fuzz_drive)
tests_fuzz_fuzz_iscsi_login_LDADD = libyokeiscsi.a libyokebase.a $(OPENSSL_LIBS)
EXTRA_DIST += \
	tests/fuzz/corpus/iscsi_login/chap-mutual \
	tests/fuzz/corpus/iscsi_login/chap-wrong \
	tests/fuzz/corpus/iscsi_login/discovery \
	tests/fuzz/corpus/iscsi_login/further-connection \
	tests/fuzz/corpus/iscsi_login/many-keys \
	tests/fuzz/corpus/iscsi_login/no-nul \
	tests/fuzz/corpus/iscsi_login/normal \
	tests/fuzz/corpus/iscsi_login/not-login \
	tests/fuzz/corpus/iscsi_login/split \
	tests/fuzz/corpus/iscsi_login/stages \
	tests/fuzz/corpus/iscsi_login/text-errors

EXTRA_DIST += tests/fuzz/corpus/iscsi_chap
check_PROGRAMS += tests/fuzz/fuzz_iscsi_chap
TESTS += tests/fuzz/fuzz_iscsi_chap
tests_fuzz_fuzz_iscsi_chap_SOURCES = tests/fuzz/fuzz_iscsi_chap.c $(fuzz_drive)
tests_fuzz_fuzz_iscsi_chap_LDADD = libyokeiscsi.a libyokebase.a $(OPENSSL_LIBS)
