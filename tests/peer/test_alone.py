# SPDX-License-Identifier: BSD-3-Clause
"""libiscsi's suite at one yoked alone: two portals of the same controller are its two paths."""

import re

import alone
import cu
import ways
from runner import Skip, check

SETTINGS = {"cluster": False}


def test_suite(lab):
    """The complete iscsi-test-cu, in one life of the daemon."""
    alone.serve(lab)
    pid = lab["a"].pids("yoked")
    note = ways.suite(lab, alone.PORTALS, "ram", alone.PLAIN, lambda: alone.sanitize_at(lab, alone.SLOW))
    alone.sanitize_at(lab, alone.FAST)
    check(lab["a"].pids("yoked") == pid, "the daemon died under iscsi-test-cu")
    return note


def test_read_only(lab):
    """The test that the complete run skips, at an LU that is read-only."""
    alone.serve(lab)
    found = cu.run(lab, [ways.url(alone.PORTALS[0], alone.READ_ONLY)], ["ReadOnly.*"])
    check(set(found) == {"ReadOnly.ReadOnlySBC"}, f"ran {sorted(found)}")
    outcome, text = found["ReadOnly.ReadOnlySBC"]
    check(outcome in ("pass", "skip"), f"{outcome}:\n{text}")
    # There is no UNMAP where nothing can be written.
    lacking = set(re.findall(r"\[SKIPPED\] (\w+) is not implemented", text)) - {"UNMAP"}
    if lacking:
        raise Skip(f"{', '.join(sorted(lacking))}: not there yet")


def test_known_failure_on_the_wire(lab):
    """Why iSCSITMF.LUNResetSimpleAsync fails."""
    alone.serve(lab)
    ways.suite_reset_traced(lab, alone.PORTALS[0])


def test_lu_reset_on_the_wire(lab):
    """What Yoke answers when somebody listens."""
    alone.serve(lab)
    return ways.reset_answers(lab, alone.PORTALS[0], 1)
