# SPDX-License-Identifier: BSD-3-Clause
"""Thin provisioning with two controllers: a threshold that is reached is told once at both, and its
state is one for the array."""

import subprocess

from lab import wait_for
from layout import NODES, TARGET, portals
from load import program
from questions import home, move, probe, wait_whole
from runner import check

SETTINGS = {"lus": 2, "lu_mib": 16, "extent_settings": {"threshold_used": "4MiB"},
            "iscsi": {"nop_interval": "60s"}}  # the listening hosts sleep, and answer nothing
TUR = "000000000000"
PAUSE = "@12000"  # longer than two periods in which stores are asked
MIB_OF = "4100{lba:08x}00080000"  # WRITE SAME(10), 2048 blocks
BLOCK = "a5" * 512
REACHED = "02 6/38/07"


def listener(lab, portal):
    """A host that asks before and after the pause; its session stays."""
    words = [program("yoke-probe"), "--portal", portal, "--target", TARGET, "--lun", "0", TUR, PAUSE,
             TUR, TUR]
    return lab.host_start(words, stdout=subprocess.PIPE, text=True)


def write(lab, portal, first_mib, mib):
    for i in range(first_mib, first_mib + mib):
        answer = probe(lab, portal, 0, MIB_OF.format(lba=i * 2048) + "=" + BLOCK)[0]
        check(answer == "00", f"a write at {i} MiB: {answer}")


def unmap(lab, portal):
    answer = probe(lab, portal, 0, "42000000000000001800=" + "00160010000000000000000000000000"
                   + "0000800000000000")[0]
    check(answer == "00", f"UNMAP: {answer}")


def space(lab, node):
    return next(lu for lu in lab[node].yokectl("lu", "list")["lus"] if lu["extent"] == "disk0")["space"]


def reached(lab):
    return [space(lab, node)["threshold_reached"] for node in NODES]


def heard(lab, change):
    """What hosts at both controllers are told while `change` happens."""
    hosts = [listener(lab, portals(node)[0]) for node in NODES]
    change()
    lines = []
    for host in hosts:
        out, _ = host.communicate(timeout=40)
        lines.append(out.splitlines())
        check(lines[-1][0] == "00" and host.returncode == 0, f"before: {lines}")
    return [line[1:] for line in lines]


def test_threshold_is_told_at_both(lab):
    """Written through the controller that is not the owner; told once at each; armed by UNMAP."""
    wait_whole(lab)
    other = portals("b")[0]
    told = heard(lab, lambda: write(lab, other, 0, 6))
    check(told == [[REACHED, "00"]] * 2, f"told: {told}")
    wait_for(lambda: all(reached(lab)), 12, "both say that it is reached")
    used = [space(lab, node)["used_bytes"] for node in NODES]
    check(all(bytes_ >= 6 << 20 for bytes_ in used), f"used: {used}")
    # Not told anew by the next owner.
    told = heard(lab, lambda: move(lab, "g1", "b"))
    check([line[-1] for line in told] == ["00", "00"] and REACHED not in str(told), f"after a move: {told}")
    check(all(reached(lab)), "a move has changed it")
    unmap(lab, other)
    wait_for(lambda: not any(reached(lab)), 12, "both say that it is not reached any more")
    told = heard(lab, lambda: write(lab, other, 0, 6))
    check(told == [[REACHED, "00"]] * 2, f"told again: {told}")
    unmap(lab, other)
    home(lab, "g1")
