# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokeha.a
libyokeha_a_SOURCES = \
	ha/api.c \
	ha/claim.c \
	ha/cpg.c ha/cpg.h \
	ha/glue.h \
	ha/group.c \
	ha/ha.c \
	ha/ledger.c ha/ledger.h ha/ledger_sync.c \
	ha/machine.c ha/machine.h \
	ha/adoption.c \
	ha/message.c ha/message.h \
	ha/pacemaker.c ha/pacemaker.h \
	ha/quorum.c ha/quorum.h \
	ha/reach.c ha/reach.h \
	ha/config.c \
	ha/request.c \
	ha/spawn.c ha/spawn.h \
	ha/state.c ha/state.h ha/state_writer.c \
	ha/sync.c
libyokeha_a_CFLAGS = $(AM_CFLAGS) $(CPG_CFLAGS) $(QUORUM_CFLAGS) $(URING_CFLAGS) $(OPENSSL_CFLAGS)
include ha/ship.mk
EXTRA_DIST += tests/lab/test_ledger.py tests/lab/test_more.py

HA_TEST_LIBS = libyokeha.a libyokebase.a $(CMOCKA_LIBS) $(QB_LIBS) $(CPG_LIBS) $(QUORUM_LIBS) \
	$(URING_LIBS) $(ISAL_LIBS)
HA_TEST_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
HA_SIM = tests/unit/ha_sim.c tests/unit/ha_sim.h tests/unit/fake_ledger.c tests/unit/fake_ledger.h

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_ha_adoption
tests_unit_test_ha_adoption_SOURCES = tests/unit/test_ha_adoption.c $(HA_SIM)
tests_unit_test_ha_adoption_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_adoption_LDADD = $(HA_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ha_group
tests_unit_test_ha_group_SOURCES = tests/unit/test_ha_group.c $(HA_SIM)
tests_unit_test_ha_group_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_group_LDADD = $(HA_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ha_journal
tests_unit_test_ha_journal_SOURCES = tests/unit/test_ha_journal.c $(HA_SIM)
tests_unit_test_ha_journal_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_journal_LDADD = $(HA_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ha_ledger
tests_unit_test_ha_ledger_SOURCES = tests/unit/test_ha_ledger.c $(HA_SIM)
tests_unit_test_ha_ledger_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_ledger_LDADD = $(HA_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ha_message
tests_unit_test_ha_message_SOURCES = tests/unit/test_ha_message.c
tests_unit_test_ha_message_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_message_LDADD = $(HA_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ha_pacemaker
tests_unit_test_ha_pacemaker_SOURCES = tests/unit/test_ha_pacemaker.c
tests_unit_test_ha_pacemaker_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_pacemaker_LDADD = $(HA_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ha_config
tests_unit_test_ha_config_SOURCES = tests/unit/test_ha_config.c $(HA_SIM)
tests_unit_test_ha_config_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_config_LDADD = $(HA_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ha_reach
tests_unit_test_ha_reach_SOURCES = tests/unit/test_ha_reach.c
tests_unit_test_ha_reach_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_reach_LDADD = $(HA_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ha_request
tests_unit_test_ha_request_SOURCES = tests/unit/test_ha_request.c $(HA_SIM)
tests_unit_test_ha_request_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_request_LDADD = $(HA_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ha_sim
tests_unit_test_ha_sim_SOURCES = tests/unit/test_ha_sim.c $(HA_SIM)
tests_unit_test_ha_sim_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_sim_LDADD = $(HA_TEST_LIBS)
UNIT_TESTS += tests/unit/test_ha_state
tests_unit_test_ha_state_SOURCES = tests/unit/test_ha_state.c
tests_unit_test_ha_state_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_unit_test_ha_state_LDADD = $(HA_TEST_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_ha_message
TESTS += tests/fuzz/fuzz_ha_message
tests_fuzz_fuzz_ha_message_SOURCES = tests/fuzz/fuzz_ha_message.c $(fuzz_drive) tests/unit/fake_ledger.c tests/unit/fake_ledger.h
tests_fuzz_fuzz_ha_message_CPPFLAGS = $(HA_TEST_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_fuzz_fuzz_ha_message_LDADD = libyokeha.a libyokebase.a $(QB_LIBS) $(ISAL_LIBS)
check_PROGRAMS += tests/fuzz/fuzz_ha_state
TESTS += tests/fuzz/fuzz_ha_state
EXTRA_DIST += tests/fuzz/corpus/ha_state
tests_fuzz_fuzz_ha_state_SOURCES = tests/fuzz/fuzz_ha_state.c $(fuzz_drive)
tests_fuzz_fuzz_ha_state_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_fuzz_fuzz_ha_state_LDADD = libyokeha.a libyokebase.a $(QB_LIBS) $(ISAL_LIBS)
EXTRA_DIST += \
	tests/fuzz/corpus/ha/ack.bin \
	tests/fuzz/corpus/ha/alive.bin \
	tests/fuzz/corpus/ha/commit.bin \
	tests/fuzz/corpus/ha/current.bin \
	tests/fuzz/corpus/ha/drained.bin \
	tests/fuzz/corpus/ha/entry.bin \
	tests/fuzz/corpus/ha/ledger.bin \
	tests/fuzz/corpus/ha/loaded.bin \
	tests/fuzz/corpus/ha/move.bin \
	tests/fuzz/corpus/ha/offer.bin \
	tests/fuzz/corpus/ha/prepare.bin \
	tests/fuzz/corpus/ha/ready.bin \
	tests/fuzz/corpus/ha/released.bin \
	tests/fuzz/corpus/ha/resync.bin \
	tests/fuzz/corpus/ha/rollback.bin \
	tests/fuzz/corpus/ha/saved.bin \
	tests/fuzz/corpus/ha/snapshot.bin \
	tests/fuzz/corpus/ha/state.bin \
	tests/fuzz/corpus/ha/status.bin
