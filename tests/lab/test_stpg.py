# SPDX-License-Identifier: BSD-3-Clause
"""Explicit ALUA: a host moves the group by SET TARGET PORT GROUPS, through either controller, while
others write; Pacemaker follows and does not move it back."""

import time

from lab import wait_for
from layout import NODES, portals
from load import Load
from questions import agree, clean, constraints, group, home, owner, probe, wait_whole
from runner import check

SETTINGS = {"lus": 4, "lu_mib": 16, "yoke_settings": {"explicit_alua": "yes"}}
PAUSE_MS = 1500
RATE = ("--depth", "8", "--iops", "300")


def stpg(lab, portal, state, node):
    """One descriptor; the answer."""
    return probe(lab, portal, 0, f"a40a00000000000000080000=00000000{state:02x}0000{NODES[node]:02x}")[0]


def moved(lab, load, name, to):
    """The group is there, stays there, and nobody's command has failed."""
    check(owner(lab, "g1") == to, f"{name}: the owner is {owner(lab, 'g1')}, not {to}")
    lab.wait_owner("g1", to)
    time.sleep(4)  # Pacemaker has had the time to think again
    check(owner(lab, "g1") == to and lab.promoted("g1") == [to], f"{name}: it was moved back")
    clean(load.mark(name.replace(",", "").replace(" ", "-")), PAUSE_MS, name)


def test_hosts_move_groups(lab):
    """To the other controller, asked there; back, asked at the former owner; by state 1, too."""
    wait_whole(lab)
    home(lab, "g1")
    a, b = portals("a")[0], portals("b")[1]
    for portal in (a, b):
        byte = probe(lab, portal, 0, "120000006000:96")[0].split()[-1][10:12]
        check(byte == "38", f"INQUIRY byte 5 at {portal}: {byte}")
    with Load(lab, luns="0-1", options=RATE) as load:
        load.ready()
        load.mark("start")
        for name, portal, state, node, to in (("to b, asked at b", b, 0, "b", "b"),
                                              ("to a, asked at b", b, 0, "a", "a"),
                                              ("away from a, asked at a", a, 1, "a", "b"),
                                              ("to a, asked at a", a, 0, "a", "a")):
            answer = stpg(lab, portal, state, node)
            check(answer == "00", f"{name}: {answer}")
            moved(lab, load, name, to)
        total = load.stop()
        check(total["exit"] == 0, f"the I/O program ended with {total['exit']}: {total}")
    check(stpg(lab, b, 0, "a") == "00", "what is so already is not good")
    check(stpg(lab, b, 3, "a") == "02 5/26/00", "unavailable can be asked for")
    check(not any("cli-" in c for c in constraints(lab)), f"constraints: {constraints(lab)}")
    check(agree(lab), "the controllers do not agree")


def test_cannot(lab):
    """The other controller is not there: 4/67/0A as soon as that is known, and the group stays."""
    wait_whole(lab)
    home(lab, "g1")
    lab["b"].power_off()
    before = time.monotonic()
    answer = stpg(lab, portals("a")[0], 0, "b")
    check(answer == "02 4/67/0a", f"to a controller that has just lost its power: {answer}")
    check(time.monotonic() - before < 7, "it waited for the limit of 8 s")
    wait_for(lambda: not lab["a"].yokectl("status")["peer"]["member"], 20, "a knows that b is gone")
    before = time.monotonic()
    answer = stpg(lab, portals("a")[0], 0, "b")
    check(answer == "02 4/67/0a", f"to a controller that is off: {answer}")
    check(time.monotonic() - before < 6, "it took long to say so")
    check(group(lab, "g1", at="a")["preferred"] == "a", "it would go to b when b is back")
    check(owner(lab, "g1") == "a", "the owner has changed")
    lab.wait_owner("g2", "a", 20)  # else the fencing that is under way meets b when it is up again
    lab["b"].power_on()
