# SPDX-License-Identifier: BSD-3-Clause
"""Several hosts at both controllers write the same few blocks, with COMPARE AND WRITE among it.

Nothing but the history of all that was asked and answered can tell whether that was right: there
must be one order of events for each sector that explains every answer (tests/checker).
"""

import time

from lab import wait_for
from load import Load, lives
from questions import home, in_sync, move, wait_whole
from runner import check

SETTINGS = {"fault_disk": True, "lus": 4}

REST_S = 2.0
# 64 blocks of 512 bytes for three hosts: they meet all the time. LUs 0 to 2 have such blocks.
SHARED = ("--hosts", "3", "--shared", "--swap-percent", "40", "--block-bytes", "512", "--span", "32768",
          "--depth", "4", "--iops", "100")
# Whole pages: a reader may see half of one.
PAGES = ("--hosts", "3", "--shared", "--swap-percent", "20", "--block-bytes", "4096", "--span", "262144",
         "--depth", "4", "--iops", "80")


def under_load(lab, fault, options=SHARED):
    """Runs a fault under the load; returns the totals."""
    wait_whole(lab)
    for name in lab.settings["groups"]:
        home(lab, name)
    with Load(lab, luns="0-2", options=options) as load:
        load.ready()
        time.sleep(REST_S / 2)
        began, before = time.monotonic_ns(), lives(lab)
        fault()
        time.sleep(REST_S)
        wait_whole(lab)
        if lives(lab) != before:
            load.losses.append((began, time.monotonic_ns()))
        total = load.stop()
    check(total["exit"] == 0 and total["failed"] == 0 and total["wrong"] == 0, f"in all: {total}")
    check(total["swaps"] > 100, f"too few COMPARE AND WRITE: {total}")
    check(total["history"]["ops"] > 1000, f"too short a history: {total}")
    return total


def test_moves(lab):
    """Planned moves there and back."""
    def fault():
        for _ in range(2):
            move(lab, "g1", "b")
            move(lab, "g1", "a")
    total = under_load(lab, fault)
    check(total["miscompares"] > 0, f"no two hosts ever met: {total}")


def test_daemon_killed(lab):
    """The owner's daemon is killed with swaps under way."""
    def fault():
        lab["a"].kill_daemon("yoked")
        lab.wait_owner("g1", "b", 10)
        wait_for(lambda: in_sync(lab, "a"), 30, "the daemon at a is back and in sync")
    under_load(lab, fault)


def test_power_lost(lab):
    """The owner's controller loses its power."""
    def fault():
        lab["a"].power_off()
        lab.wait_owner("g1", "b", 15)
        time.sleep(REST_S)
        lab["a"].power_on()
    under_load(lab, fault, PAGES)


def test_interconnect_cut(lab):
    """The interconnect's network is cut and comes back: what was shipped is run once or again."""
    def fault():
        lab["a"].link("ic0", False)
        time.sleep(4)
        lab["a"].link("ic0", True)
    under_load(lab, fault)
