# SPDX-License-Identifier: BSD-3-Clause
checker_sources = tests/checker/check.c tests/checker/check.h tests/checker/history.c tests/checker/history.h
noinst_PROGRAMS += tests/checker/yoke-checker
tests_checker_yoke_checker_SOURCES = tests/checker/main.c $(checker_sources)

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_checker
tests_unit_test_checker_SOURCES = tests/unit/test_checker.c tests/checker/generate.c tests/checker/mutate.c tests/checker/mutate.h \
	$(checker_sources)
tests_unit_test_checker_LDADD = $(UNIT_LIBS)
endif
