# SPDX-License-Identifier: BSD-3-Clause
# The cluster lab, the demo, tests/check: nothing to compile.
EXTRA_DIST += tests/lab/atomic_writer.py tests/lab/test_intent.py tests/lab/test_sanitize.py
EXTRA_DIST += tests/lab/test_drill.py tests/lab/many
EXTRA_DIST += tests/check tests/demo tests/functions.sh tests/packages \
	tests/lab/alone.py tests/lab/bmc.py tests/lab/cgroups.py tests/lab/chassis tests/lab/cluster.py tests/lab/config.py \
	tests/lab/demo.py tests/lab/faultdisk.py tests/lab/fence_lab tests/lab/lab tests/lab/lab.py tests/lab/layout.py \
	tests/lab/load.py tests/lab/net.py tests/lab/node.py tests/lab/node_init.py tests/lab/pauses tests/lab/power.py \
	tests/lab/proc.py tests/lab/questions.py tests/lab/runner.py tests/lab/test_adoption.py tests/lab/test_atomic.py tests/lab/test_config.py tests/lab/test_copy.py \
	tests/lab/test_failure.py tests/lab/test_faultdisk.py tests/lab/test_history.py tests/lab/test_isns.py tests/lab/test_late.py tests/lab/test_lab.py \
	tests/lab/test_more.py tests/lab/test_move.py tests/lab/test_reservations.py tests/lab/test_scale.py tests/lab/test_single.py tests/lab/test_update.py \
	tests/suite/build.py tests/suite/check.py tests/suite/model.py tests/suite/report.py tests/suite/style.py
EXTRA_DIST += tests/lab/test_failback.py tests/lab/test_full.py tests/lab/test_online.py tests/lab/test_resize.py tests/lab/test_secrets.py tests/lab/test_start.py tests/lab/test_stpg.py tests/lab/test_thin.py
EXTRA_DIST += tests/lab/matrix tests/lab/cell.py tests/lab/cells.py tests/lab/faults.py tests/lab/states.py \
	tests/lab/dataout.py tests/lab/nft.py tests/lab/replay.py tests/lab/test_matrix.py
EXTRA_DIST += tests/lab/hostile.py tests/lab/test_bad.py tests/lab/quiet_host.py tests/lab/test_quiet.py
