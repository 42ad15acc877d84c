# SPDX-License-Identifier: BSD-3-Clause
"""The bugs: where, what text is replaced by what, which invariant it breaks, which tests look."""

from dataclasses import dataclass


@dataclass
class Bug:
    """`old` stands exactly once in `file`."""

    name: str
    what: str
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple


BUGS = [
    Bug("shipped-epoch", "the epoch of a shipped command is not checked", "I1, I2", "daemon/scsi/gate.c",
        "	if (task->epoch < view->epoch) {\n		return SCSI_VERDICT_AGAIN;\n	}\n", "",
        ("test_scsi_hold",)),
    Bug("late-result", "what an I/O did under an older epoch is acknowledged", "I1", "daemon/scsi/parameter.c",
        "	if (view->epoch != task->epoch || view->access == GROUP_REMOTE ||", "	if (",
        ("test_scsi_hold",)),
    Bug("lease-admits", "commands run on an expired lease", "I9", "daemon/scsi/gate.c",
        "	return scsi_lease_holds(core) && !lost ?", "	return !lost ?", ("test_scsi_hold",)),
    Bug("lease-acknowledges", "an I/O that ends on an expired lease is acknowledged", "I9",
        "daemon/scsi/parameter.c", "	if (view->epoch == task->epoch && !scsi_lease_holds(core)) {",
        "	if (false) {", ("test_scsi_hold",)),
    Bug("ua-dropped", "no unit attention after a change of the ALUA table", "I8", "daemon/scsi/group.c",
        "		group->changed = ++core->changes;", "		;", ("test_scsi_ua", "test_scsi_hold")),
    Bug("good-before-written", "GOOD goes out before the extent has written", "I3", "daemon/scsi/rw.c",
        "	task->io.fua = has_fua(task);\n	scsi_io_submit(",
        "	task->io.fua = has_fua(task);\n	scsi_task_finish(task);\n	if (false) scsi_io_submit(",
        ("test_scsi_rw",)),
    Bug("fua-ignored", "FUA is not passed on", "I3", "daemon/scsi/rw.c",
        "	task->io.fua = has_fua(task);", "	task->io.fua = false;", ("test_scsi_rw",)),
    Bug("flush-skipped", "the old owner lets go without a flush", "I3", "daemon/scsi/claim.c",
        "EXTENT_FLUSH", "EXTENT_READ", ("test_scsi_hold",)),
    Bug("drain-early", "a drain does not wait for what is in the store", "I1", "daemon/scsi/group.c",
        "	if (group->in_store || group->view.access != GROUP_HELD) {",
        "	if (group->view.access != GROUP_HELD) {", ("test_scsi_hold",)),
    Bug("cached-direct", "a shared file goes through this controller's page cache", "I3", "daemon/store/fd.c",
        "	extent->fd = fd_open_flags(extent, O_DIRECT | sync);",
        "	extent->fd = fd_open_flags(extent, sync);", ("test_store_extent",)),
    Bug("write-cache-hidden", "a file behind the page cache says it has no volatile cache", "I3",
        "daemon/store/fd.c",
        "	extent->info.volatile_cache = !extent->config.clustered && !extent->config.read_only;",
        "	extent->info.volatile_cache = false;", ("test_store_extent",)),
    Bug("claim-forgotten", "the lock on an extent is not taken", "I1", "daemon/store/fd.c",
        "LOCK_EX | LOCK_NB", "LOCK_SH | LOCK_NB", ("test_store_extent",)),
    Bug("old-prepare", "a PREPARE for an epoch that is taken counts", "I2", "ha/group.c",
        "	if (msg->epoch <= g->top) {", "	if (false) {", ("test_ha_group",)),
    Bug("stranger-commits", "COMMIT of somebody who has not prepared counts", "I1", "ha/group.c",
        "	if (msg->sender != g->target || g->waiting) {", "	if (false) {",
        ("test_ha_group",)),
    Bug("unproven-take", "a group is taken without proof that its owner is dead", "I1", "ha/group.c",
        "	if (m->syncing || is_unproven(m, g)) {", "	if (m->syncing) {", ("test_ha_sim", "test_ha_request",)),
    Bug("drained-early", "DRAINED is said before the epoch is durable", "I2", "ha/group.c",
        "		} else if (g->claim == CLAIM_NONE && m->saved_seq >= g->save_seq) {",
        "		} else if (g->claim == CLAIM_NONE) {", ("test_ha_group",)),
    Bug("saved-early", "SAVED is said before the owner is durable", "I4", "ha/group.c",
        "	} else if (failed || m->saved_seq >= g->save_seq) {", "	} else {",
        ("test_ha_sim", "test_ha_group")),
    Bug("no-drain", "the old owner lets go without a drain", "I1", "ha/claim.c",
        "		m->ops->drain(m->ctx, g->index);", "		machine_drained(m, g->index);", ("test_ha_group",)),
    Bug("serves-unclaimed", "an owner serves before it has the extents", "I1, I6", "ha/claim.c",
        "		bool mine = g->claim == CLAIM_HAVE &&", "		bool mine =", ("test_ha_sim", "test_ha_group")),
    Bug("serves-without-quorum", "an owner without quorum goes on", "I9", "ha/claim.c",
        "	if (!machine_in_sync(m) || !m->quorate || m->suspect ||", "	if (!machine_in_sync(m) || m->suspect ||",
        ("test_ha_request", "test_ha_sim")),
    Bug("sleeper-serves", "a daemon that slept goes on without asking", "I9", "ha/claim.c",
        "	if (!machine_in_sync(m) || !m->quorate || m->suspect ||", "	if (!machine_in_sync(m) || !m->quorate ||",
        ("test_ha_request",)),
    Bug("pref-at-home", "PREF is set for the controller that is not the owner", "I6", "ha/claim.c",
        "	view->preferred = g->owner;", "	view->preferred = m->other;", ("test_ha_sim", "test_ha_group")),
    Bug("torn-state", "a torn state file is believed", "I2", "ha/state.c",
        "	if (!wrong && crc32c(bytes, size - 4) != crc32c_get((const uint8_t *)bytes + size - 4)) {",
        "	if (false) {", ("test_ha_state",)),
    Bug("twice-received", "a command that comes twice runs twice", "RFC 7143 4.2.2.1",
        "daemon/iscsi/window.c",
        "		!iscsi_sn_not_after(cmdsn, window->max_cmdsn) || iscsi_window_has(window, cmdsn)) {",
        "		!iscsi_sn_not_after(cmdsn, window->max_cmdsn)) {", ("test_iscsi_window",)),
    Bug("digest-unchecked", "a wrong data digest is not noticed", "RFC 7143 7.8", "daemon/iscsi/rx.c",
        "	bool digest_bad = rx->digest_have && crc32c_end(rx->crc) != crc32c_get(rx->digest);",
        "	bool digest_bad = false;", ("test_iscsi_session", "test_iscsi_cmd")),
    Bug("abort-acknowledged", "an aborted task is answered", "RFC 7143 11.5", "daemon/scsi/task.c",
        "		task->aborted = true;\n		task->again = false;", "		task->again = false;",
        ("test_scsi_tmf",)),
]
