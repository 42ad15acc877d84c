# SPDX-License-Identifier: BSD-3-Clause
noinst_PROGRAMS += tests/bench/yoke-load
tests_bench_yoke_load_SOURCES = tests/bench/main.c tests/bench/session.c tests/bench/work.c tests/bench/load.h \
	tests/bench/histogram.c tests/bench/histogram.h tests/io/clock.h
tests_bench_yoke_load_CFLAGS = $(AM_CFLAGS)
tests_bench_yoke_load_LDADD = libyokebase.a $(ISAL_LIBS) -lpthread
EXTRA_DIST += tests/bench/run tests/bench/bench.py tests/bench/cells.py tests/bench/measure.py \
	tests/bench/pair.py tests/bench/report.py tests/bench/servers.py tests/bench/special.py
