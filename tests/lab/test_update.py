# SPDX-License-Identifier: BSD-3-Clause
"""Another version of the package at one controller after the other, under verified I/O: what
docs/quickstart.md tells under "Updating"."""

from pathlib import Path

from lab import wait_for
from questions import agree, move, other, owner, wait_whole
from runner import check
from test_more import PAUSE_MS, Trial, standby

SETTINGS = {"lus": 4, "lu_mib": 16}
DAEMON = "/usr/sbin/yoked"


def version(lab, node):
    return lab[node].yokectl("status")["version"]


def next_of(old):
    """The version after it, of the same length."""
    head, _, last = old.rpartition(".")
    check(last.isdigit(), f"no version: {old}")
    return f"{head}.{(int(last) + 1) % 10}"


def replace(lab, node, old, new):
    """Puts a yoked that calls itself `new` in the place of the other, as a package does: another
    file under the same name."""
    place = lab.layout.node(node) / "yoke" / "yoked.new"
    whole = Path(lab.settings["stage"] + DAEMON).read_bytes()
    check(old.encode() + b"\0" in whole, f"{DAEMON} does not contain its version {old}")
    place.write_bytes(whole.replace(old.encode() + b"\0", new.encode() + b"\0"))
    place.chmod(0o755)
    lab[node].run(["mount", "--bind", "/etc/yoke/yoked.new", DAEMON])


def test_one_after_the_other(lab):
    """Standby, the new version, back, and the same at the other: no command fails, no long pause,
    also while the two have different versions."""
    wait_whole(lab)
    old = version(lab, "a")
    new = next_of(old)
    with Trial(lab) as trial:
        for node in ("b", "a"):
            there = other(node)
            standby(lab, node, True)
            wait_for(lambda n=there: all(owner(lab, g) == n for g in lab.settings["groups"]), 20,
                     f"{there} owns every group")
            replace(lab, node, old, new)
            trial.rest(PAUSE_MS, f"{node} is away")
            standby(lab, node, False)
            wait_whole(lab)
            check(version(lab, node) == new, f"{node} runs {version(lab, node)}")
            check(agree(lab), "the controllers do not agree")
            trial.rest(PAUSE_MS, f"{node} is back")
            for name, where in lab.settings["groups"].items():
                move(lab, name, where if node == "a" else node)
            trial.rest(PAUSE_MS, f"moves beside {version(lab, there)}")
        trial.end(most=12)
    return f"{old} became {new} at both"
