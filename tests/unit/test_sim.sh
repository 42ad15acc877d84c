#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The simulator: some hundred moves, and planted bugs are found. tests/check sim runs more of both.
set -eu

sim=${top_builddir:?}/tests/sim/yoke-sim
"$sim" --moves 200
for bug in no-key no-drain early-good ua-dropped; do
	if ! "$sim" --moves 2000 --bug "$bug"; then
		echo "the planted bug $bug was not found"
		exit 1
	fi
done
