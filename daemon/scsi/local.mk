# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokescsi.a
libyokescsi_a_SOURCES = \
	daemon/scsi/alua.c \
	daemon/scsi/apply.c daemon/scsi/apply.h \
	daemon/scsi/atomic.c \
	daemon/scsi/capacity.c \
	daemon/scsi/change.c \
	daemon/scsi/claim.c \
	daemon/scsi/commands.h \
	daemon/scsi/copy.c daemon/scsi/copy.h \
	daemon/scsi/copy_list.c daemon/scsi/copy_list.h \
	daemon/scsi/copy_results.c \
	daemon/scsi/copy_rows.c \
	daemon/scsi/copy_vpd.c \
	daemon/scsi/core.h \
	daemon/scsi/expect.c \
	daemon/scsi/entry.c daemon/scsi/entry.h \
	daemon/scsi/diagnostic.c \
	daemon/scsi/extended_copy.c \
	daemon/scsi/gate.c daemon/scsi/gate.h \
	daemon/scsi/group.c daemon/scsi/group.h \
	daemon/scsi/guard.c daemon/scsi/guard.h \
	daemon/scsi/hold.c daemon/scsi/hold.h \
	daemon/scsi/identify.c \
	daemon/scsi/inquiry.c \
	daemon/scsi/intent.c daemon/scsi/intent.h \
	daemon/scsi/intent_apply.c \
	daemon/scsi/intent_settle.c \
	daemon/scsi/lba_status.c \
	daemon/scsi/ledger.c daemon/scsi/ledger.h \
	daemon/scsi/log_page.h daemon/scsi/log_select.c daemon/scsi/log_sense.c \
	daemon/scsi/lu.c daemon/scsi/lu.h \
	daemon/scsi/map.c \
	daemon/scsi/mode.c daemon/scsi/mode.h \
	daemon/scsi/mode_select.c \
	daemon/scsi/nexus.c daemon/scsi/nexus.h \
	daemon/scsi/odx.c \
	daemon/scsi/odx_list.c daemon/scsi/odx_list.h \
	daemon/scsi/opcodes.c daemon/scsi/opcodes.h \
	daemon/scsi/probe.c daemon/scsi/probe.h \
	daemon/scsi/order.c \
	daemon/scsi/parameter.c \
	daemon/scsi/place.c daemon/scsi/place.h \
	daemon/scsi/pr_apply.c \
	daemon/scsi/pr_in.c \
	daemon/scsi/pr_out.c \
	daemon/scsi/pr_rows.c \
	daemon/scsi/report_luns.c \
	daemon/scsi/reserve.c \
	daemon/scsi/round.c daemon/scsi/round.h \
	daemon/scsi/rsoc.c \
	daemon/scsi/rw.c \
	daemon/scsi/sanitize.c daemon/scsi/sanitize.h \
	daemon/scsi/sanitize_apply.c \
	daemon/scsi/scsi.c \
	daemon/scsi/sense.c daemon/scsi/sense.h \
	daemon/scsi/serve.c \
	daemon/scsi/snapshot.c daemon/scsi/snapshot.h \
	daemon/scsi/state.c daemon/scsi/state.h \
	daemon/scsi/stpg.c daemon/scsi/stpg.h \
	daemon/scsi/sync.c \
	daemon/scsi/task.c daemon/scsi/tasks.h \
	daemon/scsi/threshold.c daemon/scsi/threshold.h \
	daemon/scsi/tmf.c \
	daemon/scsi/token.c daemon/scsi/token.h \
	daemon/scsi/transport_id.c daemon/scsi/transport_id.h \
	daemon/scsi/unmap.c \
	daemon/scsi/verify.c \
	daemon/scsi/vpd.c \
	daemon/scsi/watch.c daemon/scsi/watch.h \
	daemon/scsi/wipe.c \
	daemon/scsi/write_same.c
libyokescsi_a_CFLAGS = $(AM_CFLAGS)

if HAVE_CMOCKA
scsi_rig_sources = tests/unit/scsi_rig.c tests/unit/scsi_rig.h
scsi_pair_sources = tests/unit/scsi_pair.c tests/unit/scsi_pair.h $(scsi_rig_sources)
scsi_rig_libs = libyokescsi.a libyokeconf.a libyokebase.a $(UNIT_LIBS) $(URING_LIBS) $(ISAL_LIBS)

UNIT_TESTS += tests/unit/test_scsi_table
tests_unit_test_scsi_table_SOURCES = tests/unit/test_scsi_table.c $(scsi_rig_sources)
tests_unit_test_scsi_table_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_rw
tests_unit_test_scsi_rw_SOURCES = tests/unit/test_scsi_rw.c $(scsi_rig_sources)
tests_unit_test_scsi_rw_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_copy
tests_unit_test_scsi_copy_SOURCES = tests/unit/test_scsi_copy.c tests/unit/copy_lists.h $(scsi_rig_sources)
tests_unit_test_scsi_copy_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_threshold
tests_unit_test_scsi_threshold_SOURCES = tests/unit/test_scsi_threshold.c $(scsi_pair_sources)
tests_unit_test_scsi_threshold_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_stpg
tests_unit_test_scsi_stpg_SOURCES = tests/unit/test_scsi_stpg.c $(scsi_rig_sources)
tests_unit_test_scsi_stpg_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_log_select
tests_unit_test_scsi_log_select_SOURCES = tests/unit/test_scsi_log_select.c $(scsi_pair_sources)
tests_unit_test_scsi_log_select_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_guard
tests_unit_test_scsi_guard_SOURCES = tests/unit/test_scsi_guard.c $(scsi_pair_sources)
tests_unit_test_scsi_guard_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_place
tests_unit_test_scsi_place_SOURCES = tests/unit/test_scsi_place.c $(scsi_rig_sources)
tests_unit_test_scsi_place_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_odx
tests_unit_test_scsi_odx_SOURCES = tests/unit/test_scsi_odx.c $(scsi_rig_sources)
tests_unit_test_scsi_odx_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_probe
tests_unit_test_scsi_probe_SOURCES = tests/unit/test_scsi_probe.c $(scsi_rig_sources)
tests_unit_test_scsi_probe_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_hold
tests_unit_test_scsi_hold_SOURCES = tests/unit/test_scsi_hold.c $(scsi_rig_sources)
tests_unit_test_scsi_hold_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_inquiry
tests_unit_test_scsi_inquiry_SOURCES = tests/unit/test_scsi_inquiry.c $(scsi_rig_sources)
tests_unit_test_scsi_inquiry_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_alua
tests_unit_test_scsi_alua_SOURCES = tests/unit/test_scsi_alua.c $(scsi_rig_sources)
tests_unit_test_scsi_alua_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_ua
tests_unit_test_scsi_ua_SOURCES = tests/unit/test_scsi_ua.c $(scsi_rig_sources)
tests_unit_test_scsi_ua_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_tmf
tests_unit_test_scsi_tmf_SOURCES = tests/unit/test_scsi_tmf.c $(scsi_rig_sources)
tests_unit_test_scsi_tmf_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_pr_state
tests_unit_test_scsi_pr_state_SOURCES = tests/unit/test_scsi_pr_state.c tests/unit/state_fixture.h \
	$(scsi_rig_sources)
tests_unit_test_scsi_pr_state_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_state
tests_unit_test_scsi_state_SOURCES = tests/unit/test_scsi_state.c tests/unit/state_fixture.h \
	$(scsi_rig_sources)
tests_unit_test_scsi_state_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_maintain
tests_unit_test_scsi_maintain_SOURCES = tests/unit/test_scsi_maintain.c $(scsi_rig_sources)
tests_unit_test_scsi_maintain_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_pr
tests_unit_test_scsi_pr_SOURCES = tests/unit/test_scsi_pr.c $(scsi_pair_sources)
tests_unit_test_scsi_pr_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_walk
tests_unit_test_scsi_walk_SOURCES = tests/unit/test_scsi_walk.c $(scsi_pair_sources)
tests_unit_test_scsi_walk_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_reserve
tests_unit_test_scsi_reserve_SOURCES = tests/unit/test_scsi_reserve.c $(scsi_pair_sources)
tests_unit_test_scsi_reserve_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_sanitize
tests_unit_test_scsi_sanitize_SOURCES = tests/unit/test_scsi_sanitize.c $(scsi_pair_sources)
tests_unit_test_scsi_sanitize_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_intent
tests_unit_test_scsi_intent_SOURCES = tests/unit/test_scsi_intent.c $(scsi_pair_sources)
tests_unit_test_scsi_intent_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_identify
tests_unit_test_scsi_identify_SOURCES = tests/unit/test_scsi_identify.c $(scsi_pair_sources)
tests_unit_test_scsi_identify_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_mode_select
tests_unit_test_scsi_mode_select_SOURCES = tests/unit/test_scsi_mode_select.c $(scsi_pair_sources)
tests_unit_test_scsi_mode_select_LDADD = $(scsi_rig_libs)
check_PROGRAMS += tests/fuzz/fuzz_scsi_lists
TESTS += tests/fuzz/fuzz_scsi_lists
tests_fuzz_fuzz_scsi_lists_SOURCES = tests/fuzz/fuzz_scsi_lists.c $(fuzz_drive) $(scsi_rig_sources)
tests_fuzz_fuzz_scsi_lists_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_fuzz_fuzz_scsi_lists_LDADD = $(scsi_rig_libs)
EXTRA_DIST += \
	tests/fuzz/corpus/scsi_lists/ignore.bin \
	tests/fuzz/corpus/scsi_lists/mode-select-10.bin \
	tests/fuzz/corpus/scsi_lists/mode-select-6.bin \
	tests/fuzz/corpus/scsi_lists/move.bin \
	tests/fuzz/corpus/scsi_lists/preempt-and-abort.bin \
	tests/fuzz/corpus/scsi_lists/register.bin \
	tests/fuzz/corpus/scsi_lists/reserve.bin
UNIT_TESTS += tests/unit/test_scsi_mode
tests_unit_test_scsi_mode_SOURCES = tests/unit/test_scsi_mode.c $(scsi_rig_sources)
tests_unit_test_scsi_mode_LDADD = $(scsi_rig_libs)
UNIT_TESTS += tests/unit/test_scsi_change
tests_unit_test_scsi_change_SOURCES = tests/unit/test_scsi_change.c $(scsi_rig_sources)
tests_unit_test_scsi_change_LDADD = $(scsi_rig_libs)

UNIT_TESTS += tests/unit/test_scsi_lu
tests_unit_test_scsi_lu_SOURCES = tests/unit/test_scsi_lu.c $(scsi_rig_sources)
tests_unit_test_scsi_lu_LDADD = $(scsi_rig_libs)
endif

check_PROGRAMS += tests/fuzz/fuzz_scsi_state
TESTS += tests/fuzz/fuzz_scsi_state
tests_fuzz_fuzz_scsi_state_SOURCES = tests/fuzz/fuzz_scsi_state.c $(fuzz_drive)
tests_fuzz_fuzz_scsi_state_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
tests_fuzz_fuzz_scsi_state_LDADD = libyokescsi.a libyokeconf.a libyokebase.a $(QB_LIBS) \
	$(URING_LIBS) $(ISAL_LIBS)
EXTRA_DIST += \
	tests/fuzz/corpus/scsi_state/entry-intent-end.bin \
	tests/fuzz/corpus/scsi_state/entry-intent.bin \
	tests/fuzz/corpus/scsi_state/entry-mode.bin \
	tests/fuzz/corpus/scsi_state/entry-move.bin \
	tests/fuzz/corpus/scsi_state/entry-preempt.bin \
	tests/fuzz/corpus/scsi_state/entry-register.bin \
	tests/fuzz/corpus/scsi_state/entry-reserve.bin \
	tests/fuzz/corpus/scsi_state/entry-sanitize-exit.bin \
	tests/fuzz/corpus/scsi_state/entry-sanitize.bin \
	tests/fuzz/corpus/scsi_state/entry-unreserve.bin \
	tests/fuzz/corpus/scsi_state/entry-wiped.bin \
	tests/fuzz/corpus/scsi_state/state-reserved.bin \
	tests/fuzz/corpus/scsi_state/state-sanitize.bin \
	tests/fuzz/corpus/scsi_state/state-spc2.bin \
	tests/fuzz/corpus/scsi_state/transport-ids.bin

check_PROGRAMS += tests/fuzz/fuzz_scsi_copy
TESTS += tests/fuzz/fuzz_scsi_copy
tests_fuzz_fuzz_scsi_copy_SOURCES = tests/fuzz/fuzz_scsi_copy.c $(fuzz_drive)
tests_fuzz_fuzz_scsi_copy_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
tests_fuzz_fuzz_scsi_copy_LDADD = libyokescsi.a libyokebase.a
EXTRA_DIST += \
	tests/fuzz/corpus/scsi_copy/lid1.bin \
	tests/fuzz/corpus/scsi_copy/lid1-mixed.bin \
	tests/fuzz/corpus/scsi_copy/lid1-tape.bin \
	tests/fuzz/corpus/scsi_copy/lid4.bin \
	tests/fuzz/corpus/scsi_copy/populate.bin \
	tests/fuzz/corpus/scsi_copy/write-token.bin \
	tests/fuzz/corpus/scsi_copy/write-zero.bin
EXTRA_DIST += tests/unit/scsi_rows.golden

check_PROGRAMS += tests/fuzz/fuzz_scsi_cdb
TESTS += tests/fuzz/fuzz_scsi_cdb
tests_fuzz_fuzz_scsi_cdb_SOURCES = tests/fuzz/fuzz_scsi_cdb.c $(fuzz_drive)
tests_fuzz_fuzz_scsi_cdb_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
tests_fuzz_fuzz_scsi_cdb_LDADD = libyokescsi.a libyokestore.a libyokeconf.a libyokebase.a $(CONF_LIBS) \
	$(QB_LIBS) $(URING_LIBS) $(ISAL_LIBS)
EXTRA_DIST += \
	tests/fuzz/corpus/scsi_cdb/buffers.bin \
	tests/fuzz/corpus/scsi_cdb/compare.bin \
	tests/fuzz/corpus/scsi_cdb/copy.bin \
	tests/fuzz/corpus/scsi_cdb/describe.bin \
	tests/fuzz/corpus/scsi_cdb/log.bin \
	tests/fuzz/corpus/scsi_cdb/mode.bin \
	tests/fuzz/corpus/scsi_cdb/orwrite.bin \
	tests/fuzz/corpus/scsi_cdb/populate.bin \
	tests/fuzz/corpus/scsi_cdb/read-write.bin \
	tests/fuzz/corpus/scsi_cdb/reserve.bin \
	tests/fuzz/corpus/scsi_cdb/same.bin \
	tests/fuzz/corpus/scsi_cdb/unmap.bin \
	tests/fuzz/corpus/scsi_cdb/variable.bin \
	tests/fuzz/corpus/scsi_cdb/verify.bin
