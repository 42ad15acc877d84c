# SPDX-License-Identifier: BSD-3-Clause
"""A handover takes as long with 1,024 LUs as with one: two groups in one lab, by turns."""

import statistics

from questions import group, move, other, owner, probe, wait_whole
from runner import check

MANY = 1024
SETTINGS = {"lus": MANY + 1, "first_lus": 1, "lu_mib": 1}
TURNS = 15
RATIO_MOST = 1.5
# Holds are told in whole milliseconds, of which a move takes a few.
ROUNDING_MS = 2


def held_ms(lab, name):
    """Moves a group to its other controller; how long commands were held, where it was longer."""
    move(lab, name, other(owner(lab, name)))
    return max(group(lab, name, at=node)["last_move"]["held_ms"] for node in ("a", "b"))


def test_handover(lab):
    """Fifteen handovers of each, one after the other, so that both see the same machine."""
    wait_whole(lab)
    check(group(lab, "g1")["lus"] == 1 and group(lab, "g2")["lus"] == MANY, "not 1 and 1024 LUs")
    held = {"g1": [], "g2": []}
    for _ in range(TURNS):
        for name, times in held.items():
            times.append(held_ms(lab, name))
    one, many = (statistics.median(times) for times in held.values())
    last = probe(lab, lab.portals()[0], MANY, "28000000000000000100:4096")
    check(last[0].startswith("00"), f"a read of the last LUN: {last}")
    check(many <= RATIO_MOST * one + ROUNDING_MS, f"held {one} ms with 1 LU, {many} ms with {MANY}: {held}")
    return f"held {one} ms with 1 LU, {many} ms with {MANY} (medians of {TURNS})"
