# SPDX-License-Identifier: BSD-3-Clause
"""Portal adoption: the survivor serves the portals of a controller that has lost its power."""

import struct
import subprocess
import time

from lab import wait_for
from layout import HOST_NETWORKS, TARGET, address, portals
from load import Load, program
from questions import RTPG, clean, group, home, move, owner, probe, wait_whole
from runner import check

SETTINGS = {"adoption": True}
POWER_MS = 6000
# From the loss of power to the reset of a host's old connection: detection, fencing, takeover.
RESET_S = 8

def holders(lab, addr):
    """The controllers that have the address on an interface."""
    return [name for name in ("a", "b") if lab[name].is_on()
            and f" {addr}/" in lab[name].run(["ip", "-4", "-o", "addr"]).stdout]


def rtpi(lab, portal):
    """Relative target port identifier and target port group in VPD 83 of LUN 0 at a portal."""
    line = probe(lab, portal, 0, "120183040000:1024")[0]
    page = bytes.fromhex(line.split()[-1])
    found, at = {}, 4
    while at + 4 <= len(page):
        kind, size = page[at + 1] & 0x0f, page[at + 3]
        if kind in (4, 5):
            found[kind] = struct.unpack(">H", page[at + 6:at + 8])[0]
        at += 4 + size
    return found[4], found[5]


def states(lab, portal, lun=0):
    """{target port group: state} by REPORT TARGET PORT GROUPS at a portal."""
    data = bytes.fromhex(probe(lab, portal, lun, RTPG[0])[0].split()[-1])
    found, at = {}, 4
    while at + 8 <= len(data):
        found[struct.unpack(">H", data[at + 2:at + 4])[0]] = data[at] & 0x0f
        at += 8 + 4 * data[at + 7]
    return found


def test_own_addresses(lab):
    """Each daemon has put its own portals' addresses in place, and only those."""
    wait_whole(lab)
    for net in HOST_NETWORKS:
        check(holders(lab, address(net, 1)) == ["a"], f"{address(net, 1)} is at {holders(lab, address(net, 1))}")
        check(holders(lab, address(net, 2)) == ["b"], f"{address(net, 2)} is at {holders(lab, address(net, 2))}")
    check(rtpi(lab, portals("b")[0]) == (513, 2), f"portal of b: {rtpi(lab, portals('b')[0])}")


def test_power_loss(lab):
    """The owner loses power: its portals live on at the survivor, as the same ports, optimized."""
    wait_whole(lab)
    home(lab, "g1")
    before = rtpi(lab, portals("a")[0])
    with Load(lab, options=("--depth", "8", "--iops", "400")) as load:
        load.ready()
        load.mark("cut")
        lab["a"].power_off()
        lab.wait_owner("g1", "b", 15)
        wait_for(lambda: holders(lab, address("san0", 1)) == ["b"], 10, "b has taken a's address", 0.05)
        check(rtpi(lab, portals("a")[0]) == before, f"the adopted port is another one: {rtpi(lab, portals('a')[0])}")
        check(states(lab, portals("a")[0]) == {1: 0, 2: 0}, f"access states: {states(lab, portals('a')[0])}")
        wait_for(load.paths_up, 20, "the host has all its paths, though one controller is gone", 0.1)
        clean(load.mark("back"), POWER_MS, "power loss with adoption")
        lab["a"].power_on()
        wait_whole(lab)
        wait_for(lambda: holders(lab, address("san0", 1)) == ["a"], 10, "a has its address again", 0.1)
        wait_for(load.paths_up, 30, "the host is back at a's own portals", 0.1)
        report = load.mark("end")
        check(report["failed"] == 0 and report["wrong"] == 0, f"the way back: {report}")
        check(states(lab, portals("a")[0])[2] == 0 and states(lab, portals("a")[0])[1] == 1,
              f"access states after the return: {states(lab, portals('a')[0])}")
        total = load.stop()
        check(total["exit"] == 0 and total["failed"] == 0 and total["wrong"] == 0, f"in all: {total}")


def test_connections_are_reset(lab):
    """An idle host, which sends nothing by itself, learns at once that its session is gone."""
    wait_whole(lab)
    words = [program("yoke-load", "tests/bench"), "--portal", portals("b")[0], "--target", TARGET, "--rw", "idle",
             "--seconds", "60"]
    with lab.host_start([str(w) for w in words], stdout=subprocess.PIPE, text=True) as idle:
        wait_for(lambda: len(lab["b"].yokectl("session", "list")["sessions"]) == 1, 5, "the host is logged in")
        time.sleep(1.5)  # until the other controller has heard of its connection
        started = time.monotonic()
        lab["b"].power_off()
        said = idle.stdout.read()
        took = time.monotonic() - started
        check("closed the connection" in said, f"the idle host ended otherwise: {said}")
        check(took < RESET_S, f"its connection was reset after {took:.1f} s only (limit {RESET_S} s)")
        wait_for(lambda: holders(lab, address("san0", 2)) == ["a"], 15, "a has taken b's address", 0.05)
    lab["b"].power_on()
    wait_whole(lab)


def test_daemon_death_moves_nothing(lab):
    """The daemon dies, its node lives: the address stays, the node itself resets connections."""
    wait_whole(lab)
    where = owner(lab, "g1")
    lab[where].kill_daemon("yoked")
    time.sleep(2)
    check(holders(lab, address("san0", 1 if where == "a" else 2)) == [where], "the address has moved")
    wait_whole(lab)
    check(all(holders(lab, address(net, ident)) == [name] for net in HOST_NETWORKS
              for name, ident in (("a", 1), ("b", 2))), "the addresses are not where they belong")


def test_clean_stop_takes_addresses_away(lab):
    """A controller that is shut down in good order leaves no address behind; the other adopts."""
    wait_whole(lab)
    lab["b"].stop_cluster()
    wait_for(lambda: holders(lab, address("san1", 2)) in (["a"], []), 10, "b has given its address up", 0.1)
    lab["b"].power_off()
    wait_for(lambda: holders(lab, address("san1", 2)) == ["a"], 20, "a has adopted b's portals", 0.1)
    check(group(lab, "g2", at="a")["owner"] == "a", "a does not own g2")
    lab["b"].power_on()
    wait_whole(lab)
    wait_for(lambda: holders(lab, address("san1", 2)) == ["b"], 20, "b has its address again", 0.1)
    move(lab, "g2", "b")
