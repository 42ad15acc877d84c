# SPDX-License-Identifier: BSD-3-Clause
fuzz_drive = tests/fuzz/drive.c tests/fuzz/drive.h
EXTRA_DIST += tests/fuzz/run
