# SPDX-License-Identifier: BSD-3-Clause
"""libiscsi's suite at the build with sanitizers: the same results, and no report."""

import alone
import ways

SETTINGS = {"cluster": False}


def test_suite(lab):
    """The complete iscsi-test-cu."""
    with alone.Sanitized(lab):
        note = ways.suite(lab, alone.PORTALS, "ram", alone.PLAIN,
                          lambda: alone.sanitize_at(lab, alone.SLOW))
        alone.sanitize_at(lab, alone.FAST)
        return note


def test_lu_reset_on_the_wire(lab):
    """Resets and aborted writes, where a use after the end would show."""
    with alone.Sanitized(lab):
        return ways.reset_answers(lab, alone.PORTALS[0], 1)
