# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokeconf.a
libyokeconf_a_SOURCES = \
	daemon/conf/arena.c daemon/conf/arena.h \
	daemon/conf/check.c \
	daemon/conf/conf.c \
	daemon/conf/copy.c \
	daemon/conf/diff.c \
	daemon/conf/dump.c daemon/conf/dump.h \
	daemon/conf/edit.c \
	daemon/conf/load.c daemon/conf/loader.h \
	daemon/conf/names.c daemon/conf/names.h \
	daemon/conf/node.c daemon/conf/node.h \
	daemon/conf/reference.c \
	daemon/conf/schema.c daemon/conf/schema.h \
	daemon/conf/schema_objects.c daemon/conf/schema_parts.h \
	daemon/conf/schema_settings.c \
	daemon/conf/secrets.c daemon/conf/secrets.h daemon/conf/secrets_load.c \
	daemon/conf/suggest.c daemon/conf/suggest.h \
	daemon/conf/value.c daemon/conf/value.h
libyokeconf_a_CFLAGS = $(AM_CFLAGS) $(YAML_CFLAGS) $(OPENSSL_CFLAGS) $(URING_CFLAGS)

# What links libyokeconf.a links these, too.
CONF_LIBS = $(YAML_LIBS) $(OPENSSL_LIBS)

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_conf_schema tests/unit/test_conf_edit tests/unit/test_conf_load tests/unit/test_conf_secrets
tests_unit_test_conf_schema_SOURCES = tests/unit/test_conf_schema.c
tests_unit_test_conf_schema_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_conf_schema_LDADD = libyokeconf.a libyokebase.a $(UNIT_LIBS) $(CONF_LIBS)
tests_unit_test_conf_edit_SOURCES = tests/unit/test_conf_edit.c
tests_unit_test_conf_edit_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_conf_edit_LDADD = libyokeconf.a libyokebase.a $(UNIT_LIBS) $(CONF_LIBS)
tests_unit_test_conf_load_SOURCES = tests/unit/test_conf_load.c
tests_unit_test_conf_load_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_conf_load_LDADD = libyokeconf.a libyokebase.a $(UNIT_LIBS) $(CONF_LIBS)
tests_unit_test_conf_secrets_SOURCES = tests/unit/test_conf_secrets.c
tests_unit_test_conf_secrets_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_conf_secrets_LDADD = libyokeconf.a libyokebase.a $(UNIT_LIBS) $(CONF_LIBS)
endif

EXTRA_DIST += tests/fuzz/corpus/conf/example.yaml tests/fuzz/corpus/conf/mistakes.yaml \
	tests/fuzz/corpus/conf/secrets.yaml tests/fuzz/corpus/conf/single.yaml
check_PROGRAMS += tests/fuzz/fuzz_conf
TESTS += tests/fuzz/fuzz_conf
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c $(fuzz_drive)
tests_fuzz_fuzz_conf_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
tests_fuzz_fuzz_conf_LDADD = libyokeconf.a libyokebase.a $(CONF_LIBS)
