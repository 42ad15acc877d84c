#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The simulator: a few hundred failovers, and the planted bugs are found. tests/check sim runs more.
set -eu

sim=${top_builddir:?}/tests/sim/yoke-sim
"$sim" --failovers 400
for bug in no-key no-epoch; do
	if ! "$sim" --failovers 8000 --bug "$bug"; then
		echo "the planted bug $bug was not found"
		exit 1
	fi
done
