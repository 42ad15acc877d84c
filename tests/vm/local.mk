# SPDX-License-Identifier: BSD-3-Clause
# A Linux guest: nothing to compile.
EXTRA_DIST += tests/vm/guest-init tests/vm/guest.py tests/vm/image.py tests/vm/test_changes.py \
	tests/vm/test_guest.py tests/vm/test_logins.py tests/vm/test_multipath.py tests/vm/writer.py
