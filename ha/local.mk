# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokeha.a
libyokeha_a_SOURCES = \
	ha/api.c \
	ha/claim.c \
	ha/cpg.c ha/cpg.h \
	ha/glue.h \
	ha/group.c \
	ha/ha.c \
	ha/machine.c ha/machine.h \
	ha/message.c ha/message.h \
	ha/pacemaker.c ha/pacemaker.h \
	ha/quorum.c ha/quorum.h \
	ha/request.c \
	ha/spawn.c ha/spawn.h \
	ha/state.c ha/state.h ha/state_writer.c \
	ha/sync.c
libyokeha_a_CFLAGS = $(AM_CFLAGS) $(CPG_CFLAGS) $(QUORUM_CFLAGS) $(URING_CFLAGS) $(OPENSSL_CFLAGS)
include ha/ship.mk

if HAVE_CMOCKA
HA_UNIT_LIBS = libyokeha.a libyokebase.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS)

UNIT_TESTS += tests/unit/test_ha_sim
tests_unit_test_ha_sim_SOURCES = tests/unit/test_ha_sim.c tests/unit/ha_sim.c tests/unit/ha_sim.h
tests_unit_test_ha_sim_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_test_ha_sim_LDADD = $(HA_UNIT_LIBS)
endif
