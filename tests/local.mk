# SPDX-License-Identifier: BSD-3-Clause
EXTRA_DIST += tests/mutants/run tests/mutants/bugs.py
include tests/fuzz/local.mk
include tests/bench/local.mk
include tests/io/local.mk
include tests/lab/local.mk
include tests/faultdisk/local.mk
include tests/peer/local.mk
include tests/vm/local.mk
include tests/checker/local.mk
include tests/sim/local.mk
