# SPDX-License-Identifier: BSD-3-Clause
# The suites of others: nothing to compile but what shortens their naps.
noinst_PROGRAMS += tests/peer/nap.so
tests_peer_nap_so_SOURCES = tests/peer/nap.c
tests_peer_nap_so_CFLAGS = -std=gnu11 $(WARN_CFLAGS) -fPIC
tests_peer_nap_so_LDFLAGS = -shared
EXTRA_DIST += tests/peer/cu.py tests/peer/expected tests/peer/raw.py tests/peer/resets.py \
	tests/peer/test_alone.py tests/peer/test_pair.py tests/peer/test_sanitized.py tests/peer/ways.py \
	tests/peer/wire.py
