#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The fault disk through the kernel. Needs root, /dev/fuse and mount namespaces.
set -eu

program=${top_builddir:?}/tests/faultdisk/yoke-faultdisk
if ! [ -c /dev/fuse ] || [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
	echo "skipped: needs root, /dev/fuse and mount namespaces"
	exit 77
fi
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
unshare -m timeout 120 python3 -B "${top_srcdir:?}/tests/faultdisk/try_mount.py" "$program" "$directory"
