# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokeha.a
libyokeha_a_SOURCES =
libyokeha_a_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(OPENSSL_CFLAGS)
include ha/ship.mk
