# SPDX-License-Identifier: BSD-3-Clause
# The interconnect; included from ha/local.mk.
libyokeha_a_SOURCES += \
	ha/ship.c ha/ship_private.h \
	ha/ship_cmd.c ha/ship_cmd.h \
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
endif
