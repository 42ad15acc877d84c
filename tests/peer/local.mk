# SPDX-License-Identifier: BSD-3-Clause
# The suites of others: nothing to compile.
EXTRA_DIST += tests/peer/cu.py tests/peer/expected tests/peer/raw.py tests/peer/resets.py \
	tests/peer/test_alone.py tests/peer/test_pair.py tests/peer/test_sanitized.py tests/peer/ways.py \
	tests/peer/wire.py
