# SPDX-License-Identifier: BSD-3-Clause
"""A group goes home by itself: at once when the policy says so, and later each time that it has had to leave."""

import time

from lab import wait_for
from load import Load
from questions import clean, group, home, in_sync, wait_whole
from runner import check

SETTINGS = {"lus": 4, "lu_mib": 16, "failback": "immediate"}
DAEMON_MS = 3000
RATE = ("--depth", "8", "--iops", "300")
AT_ONCE_S = 15  # the longest: Pacemaker starts the daemon again, hosts are not waited for
RESTLESS_S = 20  # twice the shortest wait of a group that has had to move more than once


def seen(lab):
    """What b, which takes over, knows of the group."""
    return group(lab, "g1", at="b")


def leave(lab):
    """The daemon at a dies, and the group is at b."""
    before = seen(lab)["moves_last_hour"]
    lab["a"].kill_daemon("yoked")
    wait_for(lambda: seen(lab)["owner"] == "b" and seen(lab)["phase"] == "serving", 10, "b serves g1")
    check(seen(lab)["moves_last_hour"] == before + 1, f"a takeover is not counted: {seen(lab)}")


def is_home(lab):
    return seen(lab)["owner"] == "a" and seen(lab)["phase"] == "serving"


def test_immediate(lab):
    """The owner's daemon dies; when it is back the group goes home without a word, and nothing fails."""
    wait_whole(lab)
    home(lab, "g1")
    with Load(lab, options=RATE) as load:
        load.ready()
        load.mark("death")
        leave(lab)
        wait_for(lambda: is_home(lab), AT_ONCE_S, "the group is home again")
        check(seen(lab)["failback_in_s"] is None, f"it is home and waits to go home: {seen(lab)}")
        lab.wait_owner("g1", "a")
        time.sleep(1)
        clean(load.mark("end"), DAEMON_MS, "takeover and failback")
        load.stop()


def test_thrash_guard(lab):
    """With the second death within the hour it waits 20 s, says so, and goes then."""
    wait_whole(lab)
    while seen(lab)["moves_last_hour"] < 1:
        leave(lab)
        wait_for(lambda: is_home(lab), AT_ONCE_S, "the group is home again")
    lab.wait_owner("g1", "a")
    leave(lab)
    wait_for(lambda: in_sync(lab, "a") and seen(lab)["failback_in_s"] is not None, 20, "the daemon at a is back")
    back, told = time.monotonic(), seen(lab)["failback_in_s"]
    check(RESTLESS_S - 5 <= told <= RESTLESS_S, f"it says that it goes home in {told} s: {seen(lab)}")
    while time.monotonic() < back + told - 4:
        check(seen(lab)["owner"] == "b", f"home after {time.monotonic() - back:.1f} s of {told}")
        time.sleep(0.5)
    wait_for(lambda: is_home(lab), 20, "the group is home again")
    lab.wait_owner("g1", "a")
    check(seen(lab)["moves_last_hour"] == 2, f"what was asked for counts as well: {seen(lab)}")
