# SPDX-License-Identifier: BSD-3-Clause
if HAVE_FUSE3
noinst_PROGRAMS += tests/faultdisk/yoke-faultdisk
endif
tests_faultdisk_yoke_faultdisk_SOURCES = tests/faultdisk/main.c tests/faultdisk/serve.c tests/faultdisk/serve.h \
	tests/faultdisk/disk.c tests/faultdisk/disk.h
tests_faultdisk_yoke_faultdisk_CFLAGS = $(AM_CFLAGS) $(FUSE3_CFLAGS)
tests_faultdisk_yoke_faultdisk_LDADD = libyokebase.a $(FUSE3_LIBS) $(ISAL_LIBS)
EXTRA_DIST += tests/faultdisk/try_mount.py

if HAVE_CMOCKA
UNIT_TESTS += tests/unit/test_faultdisk
tests_unit_test_faultdisk_SOURCES = tests/unit/test_faultdisk.c tests/faultdisk/disk.c tests/faultdisk/disk.h
tests_unit_test_faultdisk_LDADD = libyokebase.a $(UNIT_LIBS) $(ISAL_LIBS)
endif
if HAVE_FUSE3
TESTS += tests/unit/test_faultdisk_mount.sh
endif
EXTRA_DIST += tests/unit/test_faultdisk_mount.sh
