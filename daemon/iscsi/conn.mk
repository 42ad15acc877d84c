# SPDX-License-Identifier: BSD-3-Clause
# Sockets, sessions and data transfer; local.mk has the login phase.
libyokeiscsi_a_SOURCES += \
	daemon/iscsi/adopt.c daemon/iscsi/adopt.h \
	daemon/iscsi/async.c \
	daemon/iscsi/cmd.c daemon/iscsi/cmd.h \
	daemon/iscsi/conn.c daemon/iscsi/conn.h \
	daemon/iscsi/data.c \
	daemon/iscsi/dispatch.c daemon/iscsi/dispatch.h \
	daemon/iscsi/further.c \
	daemon/iscsi/listener.c daemon/iscsi/listener.h \
	daemon/iscsi/login_phase.c \
	daemon/iscsi/nop.c \
	daemon/iscsi/pool.c daemon/iscsi/pool.h \
	daemon/iscsi/registry.c daemon/iscsi/registry.h \
	daemon/iscsi/reload.c \
	daemon/iscsi/response.c \
	daemon/iscsi/rx.c daemon/iscsi/rx.h \
	daemon/iscsi/server.c daemon/iscsi/server.h \
	daemon/iscsi/session.c daemon/iscsi/session.h \
	daemon/iscsi/tmf.c daemon/iscsi/tmf.h \
	daemon/iscsi/tx.c daemon/iscsi/tx.h \
	daemon/iscsi/window.c daemon/iscsi/window.h

if HAVE_CMOCKA
UNIT_TESTS += \
	tests/unit/test_iscsi_access \
	tests/unit/test_iscsi_cmd \
	tests/unit/test_iscsi_multi \
	tests/unit/test_iscsi_place \
	tests/unit/test_iscsi_quiet \
	tests/unit/test_iscsi_reload \
	tests/unit/test_iscsi_session \
	tests/unit/test_iscsi_tmf \
	tests/unit/test_iscsi_window
iscsi_unit_libs = libyokeiscsi.a libyokebase.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS) $(OPENSSL_LIBS)
iscsi_unit_harness = \
	tests/unit/fake_scsi.c tests/unit/fake_scsi.h \
	tests/unit/iscsi_harness.c tests/unit/iscsi_harness.h
tests_unit_test_iscsi_access_SOURCES = tests/unit/test_iscsi_access.c $(iscsi_unit_harness)
tests_unit_test_iscsi_access_LDADD = $(iscsi_unit_libs)
tests_unit_test_iscsi_cmd_SOURCES = tests/unit/test_iscsi_cmd.c $(iscsi_unit_harness)
tests_unit_test_iscsi_cmd_LDADD = $(iscsi_unit_libs)
tests_unit_test_iscsi_place_SOURCES = tests/unit/test_iscsi_place.c $(iscsi_unit_harness)
tests_unit_test_iscsi_place_LDADD = $(iscsi_unit_libs)
tests_unit_test_iscsi_quiet_SOURCES = tests/unit/test_iscsi_quiet.c $(iscsi_unit_harness)
tests_unit_test_iscsi_quiet_LDADD = $(iscsi_unit_libs)
tests_unit_test_iscsi_reload_SOURCES = tests/unit/test_iscsi_reload.c $(iscsi_unit_harness)
tests_unit_test_iscsi_reload_LDADD = $(iscsi_unit_libs)
tests_unit_test_iscsi_reload_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc,--wrap=malloc
tests_unit_test_iscsi_multi_SOURCES = tests/unit/test_iscsi_multi.c $(iscsi_unit_harness)
tests_unit_test_iscsi_multi_LDADD = $(iscsi_unit_libs)
tests_unit_test_iscsi_session_SOURCES = tests/unit/test_iscsi_session.c $(iscsi_unit_harness)
tests_unit_test_iscsi_session_LDADD = $(iscsi_unit_libs)
tests_unit_test_iscsi_tmf_SOURCES = tests/unit/test_iscsi_tmf.c $(iscsi_unit_harness)
tests_unit_test_iscsi_tmf_LDADD = $(iscsi_unit_libs)
tests_unit_test_iscsi_window_SOURCES = tests/unit/test_iscsi_window.c
tests_unit_test_iscsi_window_LDADD = $(iscsi_unit_libs)
endif

# The fuzz target of the PDU stream as a plain program that runs its corpus.
check_PROGRAMS += tests/fuzz/fuzz_iscsi_pdu
TESTS += tests/fuzz/fuzz_iscsi_pdu
tests_fuzz_fuzz_iscsi_pdu_SOURCES = tests/fuzz/fuzz_iscsi_pdu.c $(fuzz_drive) \
	tests/unit/fake_scsi.c tests/unit/fake_scsi.h
tests_fuzz_fuzz_iscsi_pdu_LDADD = \
	libyokeiscsi.a libyokebase.a $(QB_LIBS) $(URING_LIBS) $(ISAL_LIBS) $(OPENSSL_LIBS)
EXTRA_DIST += \
	tests/fuzz/corpus/iscsi_pdu/errors \
	tests/fuzz/corpus/iscsi_pdu/hold-abort \
	tests/fuzz/corpus/iscsi_pdu/logout \
	tests/fuzz/corpus/iscsi_pdu/logout-other \
	tests/fuzz/corpus/iscsi_pdu/lu-reset \
	tests/fuzz/corpus/iscsi_pdu/many-writes \
	tests/fuzz/corpus/iscsi_pdu/nop-text \
	tests/fuzz/corpus/iscsi_pdu/quiet \
	tests/fuzz/corpus/iscsi_pdu/r2t \
	tests/fuzz/corpus/iscsi_pdu/raw-login \
	tests/fuzz/corpus/iscsi_pdu/read-write \
	tests/fuzz/corpus/iscsi_pdu/reinstate-connection \
	tests/fuzz/corpus/iscsi_pdu/two-connections \
	tests/fuzz/corpus/iscsi_pdu/unsolicited
