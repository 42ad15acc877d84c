# SPDX-License-Identifier: BSD-3-Clause
"""The first start of an array, one controller later than the other: nobody has moved a group, so all go home."""

import time

from lab import LabError, wait_for
from questions import agree, group, wait_whole
from runner import check

# By hand: no failback would bring a group home that had moved.
SETTINGS = {"lus": 4, "lu_mib": 16, "failback": "manual", "standby": "b"}
STARTS_S = 60
STAYS_S = 3


def serves(lab, name):
    try:
        state = group(lab, name, at="a")
    except (LabError, ValueError):
        return False  # its daemon does not answer yet
    return state["owner"] == "a" and state["phase"] == "serving"


def while_settling(lab):
    """b may start as soon as a serves its group in its place."""
    wait_for(lambda: serves(lab, "g2"), STARTS_S, "a serves g2, whose home does not run yet", 0.1)
    lab["b"].run(["crm_standby", "--node", "b", "-D"])


def test_late_controller(lab):
    """a alone has taken the group of b; when b comes it gets its group, and keeps it."""
    wait_whole(lab)
    first = group(lab, "g2")["epoch"]
    check(first > 1, f"a has not served g2 before b came: epoch {first}")
    time.sleep(STAYS_S)
    check(agree(lab), "the two do not agree")
    for name, where in lab.settings["groups"].items():
        check(group(lab, name)["owner"] == where, f"{name} is not at {where}: {group(lab, name)}")
    check(group(lab, "g2")["epoch"] == first, f"g2 moved again: {group(lab, 'g2')}")
