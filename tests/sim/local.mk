# SPDX-License-Identifier: BSD-3-Clause
if HAVE_CMOCKA
noinst_PROGRAMS += tests/sim/yoke-sim
tests_sim_yoke_sim_SOURCES = tests/sim/main.c tests/sim/world.c tests/sim/world.h $(HA_SIM) $(checker_sources)
tests_sim_yoke_sim_CPPFLAGS = $(HA_TEST_CPPFLAGS)
tests_sim_yoke_sim_LDADD = $(HA_TEST_LIBS)
TESTS += tests/unit/test_sim.sh
endif
EXTRA_DIST += tests/unit/test_sim.sh
