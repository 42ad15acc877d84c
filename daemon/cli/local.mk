# SPDX-License-Identifier: BSD-3-Clause
sbin_PROGRAMS += yokectl
yokectl_SOURCES = \
	daemon/cli/act.c \
	daemon/cli/cli.h \
	daemon/cli/client.c \
	daemon/cli/commands.c \
	daemon/cli/config.c \
	daemon/cli/drill.c \
	daemon/cli/main.c \
	daemon/cli/pacemaker.c \
	daemon/cli/show.c \
	daemon/cli/text.c
yokectl_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS) $(JANSSON_CFLAGS) $(URING_CFLAGS)
yokectl_LDADD = libyokeconf.a libyokebase.a $(CURL_LIBS) $(JANSSON_LIBS) $(CONF_LIBS) $(QB_LIBS)

bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = daemon/cli/yokectl.bash

man_MANS += docs/yokectl.8 docs/ocf_yoke_group.7 docs/ocf_yoke_controller.7
EXTRA_DIST += docs/yokectl.8 docs/ocf_yoke_group.7 docs/ocf_yoke_controller.7

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_cli_commands
tests_unit_test_cli_commands_SOURCES = tests/unit/test_cli_commands.c \
	$(CONTROL_TEST_SOURCES)
tests_unit_test_cli_commands_CFLAGS = $(libyokecontrol_a_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_cli_commands_LDADD = $(CONTROL_TEST_LIBS)
endif
