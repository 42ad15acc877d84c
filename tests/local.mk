# SPDX-License-Identifier: BSD-3-Clause
include tests/bench/local.mk
include tests/io/local.mk
include tests/lab/local.mk
