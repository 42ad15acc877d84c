# SPDX-License-Identifier: BSD-3-Clause
# The interconnect; included from ha/local.mk.
libyokeha_a_SOURCES += \
	ha/ship.c ha/ship_private.h \
	ha/ship_cmd.c ha/ship_cmd.h ha/ship_kept.c ha/ship_kept.h \
	ha/ship_conn.c ha/ship_conn.h \
	ha/ship_frame.c ha/ship_frame.h \
	ha/ship_in.c ha/ship_in.h \
	ha/ship_job.c ha/ship_job.h \
	ha/ship_key.c ha/ship_key.h \
	ha/ship_listen.c \
	ha/ship_nexus.c ha/ship_nexus.h \
	ha/ship_out.c ha/ship_out.h \
	ha/ship_tls.c ha/ship_tls.h

# What the interconnect's tests link besides themselves: two of them in one process.
SHIP_TEST_LIBS = libyokeha.a libyokebase.a $(UNIT_LIBS) $(OPENSSL_LIBS) $(URING_LIBS) $(ISAL_LIBS)

if HAVE_CMOCKA
noinst_HEADERS += tests/unit/ship_pair.h
UNIT_TESTS += tests/unit/test_ship_conn
tests_unit_test_ship_conn_SOURCES = tests/unit/test_ship_conn.c tests/unit/ship_pair.c
tests_unit_test_ship_conn_LDADD = $(SHIP_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ship_flow
tests_unit_test_ship_flow_SOURCES = tests/unit/test_ship_flow.c tests/unit/ship_pair.c
tests_unit_test_ship_flow_LDADD = $(SHIP_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ship_peer
tests_unit_test_ship_peer_SOURCES = tests/unit/test_ship_peer.c tests/unit/ship_pair.c
tests_unit_test_ship_peer_LDADD = $(SHIP_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ship_frame
tests_unit_test_ship_frame_SOURCES = tests/unit/test_ship_frame.c
tests_unit_test_ship_frame_LDADD = $(SHIP_TEST_LIBS)
endif

# The fuzz target as a plain program that runs its corpus.
check_PROGRAMS += tests/fuzz/fuzz_ship_frame
TESTS += tests/fuzz/fuzz_ship_frame
tests_fuzz_fuzz_ship_frame_SOURCES = tests/fuzz/fuzz_ship_frame.c $(fuzz_drive)
tests_fuzz_fuzz_ship_frame_LDADD = libyokeha.a libyokebase.a
EXTRA_DIST += \
	tests/fuzz/corpus/ship_frame/greeting \
	tests/fuzz/corpus/ship_frame/newer \
	tests/fuzz/corpus/ship_frame/read \
	tests/fuzz/corpus/ship_frame/sense \
	tests/fuzz/corpus/ship_frame/small \
	tests/fuzz/corpus/ship_frame/tmf \
	tests/fuzz/corpus/ship_frame/write
