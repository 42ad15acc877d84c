# SPDX-License-Identifier: BSD-3-Clause
# The daemon's own code, but for what wire.c, stable.c, disk.c, cluster.c, pacemaker.c and virtual.c
# stand in for.
sim_wraps = -Wl,--wrap=clock_gettime,--wrap=time,--wrap=getrandom,--wrap=close,--wrap=getsockopt \
	-Wl,--wrap=qb_loop_timer_add,--wrap=qb_loop_timer_del
noinst_PROGRAMS += tests/sim/yoke-sim
tests_sim_yoke_sim_SOURCES = tests/sim/main.c tests/sim/sim.h tests/sim/virtual.c tests/sim/wire.c tests/sim/wire.h \
	tests/sim/cluster.c tests/sim/pacemaker.c tests/sim/stable.c tests/sim/disk.c tests/sim/controller.c \
	tests/sim/host.c tests/sim/host.h tests/sim/command.c tests/sim/manage.c \
	tests/sim/faults.c tests/sim/faults.h tests/sim/change.c $(checker_sources)
tests_sim_yoke_sim_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_sim_yoke_sim_LDFLAGS = $(sim_wraps)
tests_sim_yoke_sim_LDADD = libyokeha.a libyokescsi.a libyokeconf.a libyokebase.a $(QB_LIBS) $(URING_LIBS) $(ISAL_LIBS) \
	$(CONF_LIBS)
TESTS += tests/unit/test_sim.sh
EXTRA_DIST += tests/unit/test_sim.sh
