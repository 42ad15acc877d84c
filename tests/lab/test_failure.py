# SPDX-License-Identifier: BSD-3-Clause
"""Daemons die, controllers lose power, links are cut, fencing fails: all under verified I/O."""

import signal
import time

from lab import LabError, wait_for
from layout import NODES
from load import Load
from questions import (agree, clean, group, home, in_sync, links_settle, move, other, owner,
                       wait_whole)
from runner import check

DAEMON_MS = 3000
POWER_MS = 6000
RETURN_MS = 1000
REST_S = 2.0
RATE = ("--depth", "8", "--iops", "300")


def loaded(lab, what):
    """An I/O program at work, its first interval called `what`."""
    wait_whole(lab)
    for name in lab.settings["groups"]:
        home(lab, name)
    load = Load(lab, options=RATE)
    try:
        load.ready()
        load.mark(what)
    except BaseException:
        load.__exit__()
        raise
    return load


def end(load, lab):
    """The end of a test: everything is whole, and a last scan finds nothing wrong."""
    wait_whole(lab)
    total = load.stop()
    check(total["exit"] == 0 and total["failed"] == 0 and total["wrong"] == 0, f"in all: {total}")


def test_daemon_killed(lab):
    """SIGKILL of yoked at the owner: the other takes over; the daemon comes back and is in sync."""
    with loaded(lab, "kill") as load:
        lab["a"].kill_daemon("yoked")
        lab.wait_owner("g1", "b", 10)
        time.sleep(REST_S)
        clean(load.mark("return"), DAEMON_MS, "death of the owner's daemon")
        check(lab["a"].is_on(), "a controller was fenced because its daemon died")
        wait_for(lambda: in_sync(lab, "a"), 30, "the daemon at a is back and in sync")
        time.sleep(REST_S)
        clean(load.mark("end"), RETURN_MS, "return of the daemon")
        end(load, lab)


def test_other_daemon_killed(lab):
    """SIGKILL of yoked at the controller that owns nothing: its commands go elsewhere."""
    with loaded(lab, "settle") as load:
        move(lab, "g2", "a")
        time.sleep(1)
        load.mark("kill")
        lab["b"].kill_daemon("yoked")
        time.sleep(4)
        clean(load.mark("return"), RETURN_MS, "death of the daemon that owned nothing")
        check(lab.promoted("g1") == ["a"] and lab.promoted("g2") == ["a"], "a group left its owner")
        end(load, lab)


def test_daemon_frozen(lab):
    """yoked is stopped for three seconds and goes on: it finds out before it acknowledges."""
    with loaded(lab, "freeze") as load:
        lab["a"].send_signal("yoked", signal.SIGSTOP)
        time.sleep(3)
        lab["a"].send_signal("yoked", signal.SIGCONT)
        time.sleep(REST_S)
        wait_whole(lab)
        report = load.mark("end")
        check(report["failed"] == 0 and report["wrong"] == 0, f"frozen daemon: {report}")
        end(load, lab)


def test_power_lost(lab):
    """The owner's controller loses its power and comes back."""
    with loaded(lab, "cut") as load:
        epoch = group(lab, "g1")["epoch"]
        lab["a"].power_off()
        lab.wait_owner("g1", "b", 15)
        time.sleep(REST_S)
        clean(load.mark("return"), POWER_MS, "loss of the owner's power")
        lab["a"].power_on()
        wait_whole(lab)
        time.sleep(REST_S)
        clean(load.mark("end"), RETURN_MS, "return of the controller")
        check(owner(lab, "g1") == "b", "the group went home although failback is manual")
        check(group(lab, "g1", at="a")["epoch"] == group(lab, "g1", at="b")["epoch"] > epoch,
              "the epoch is not the same at both, or did not grow")
        end(load, lab)


def test_frozen_controller(lab):
    """The whole controller hangs: it is fenced before the other takes over, and then returns."""
    with loaded(lab, "freeze") as load:
        lab["a"].freeze()
        lab.wait_owner("g1", "b", 15)
        check(not lab["a"].is_on(), "g1 moved while a had power")
        time.sleep(REST_S)
        clean(load.mark("end"), POWER_MS, "a hanging controller")
        lab["a"].power_on()
        end(load, lab)


def test_dead_bmc(lab):
    """Power and BMC are lost together: the second fencing level does it, later."""
    with loaded(lab, "cut") as load:
        lab["a"].power_off(bmc=False)
        lab.wait_owner("g1", "b", 30)
        time.sleep(REST_S)
        clean(load.mark("end"), 20000, "loss of power and BMC")
        lab["a"].power_on()
        end(load, lab)


def test_fencing_fails(lab):
    """Until something proves that a is off, b serves nothing of it; commands wait, none fails."""
    with loaded(lab, "cut") as load:
        for via in ("ipmi", "fast"):
            lab["a"].fence_fault(via, "fail")
        lab["a"].freeze()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            check("b" not in lab.promoted("g1"), "b was promoted without proof that a is off")
            told = group(lab, "g1", at="b")
            check(told["owner"] != "b", f"the daemon at b took the group over by itself: {told}")
            time.sleep(0.25)
        for via in ("ipmi", "fast"):
            lab["a"].fence_fault(via, "none")
        lab.wait_owner("g1", "b", 60)
        time.sleep(REST_S)
        report = load.mark("end")
        check(report["failed"] == 0 and report["wrong"] == 0, f"fencing failed for 10 s: {report}")
        lab["a"].power_on()
        end(load, lab)


def test_one_cluster_link(lab):
    """The network of the interconnect is cut at one controller, the other cluster link stays."""
    wait_whole(lab)
    links_settle()
    with loaded(lab, "cut") as load:
        lab["a"].link("ic0", False)
        time.sleep(8)
        check(all(lab[node].is_on() for node in NODES), "a controller was fenced for one lost link")
        report = load.mark("heal")
        check(report["failed"] == 0 and report["wrong"] == 0, f"one link cut: {report}")
        lab["a"].link("ic0", True)
        end(load, lab)


def test_all_cluster_links(lab):
    """All cluster links are cut: exactly one controller lives, and nothing is lost."""
    with loaded(lab, "cut") as load:
        for network in ("ic0", "ic1"):
            lab["b"].link(network, False)
        lab.wait_owner("g2", "a", 20)
        time.sleep(REST_S)
        check([node for node in NODES if lab[node].is_on()] == ["a"], "not exactly a survived")
        clean(load.mark("heal"), POWER_MS, "a split")
        lab["b"].power_on()  # with all its links
        end(load, lab)


def test_portal_network(lab):
    """One of the two host networks fails at the owner and comes back: the other path carries on."""
    with loaded(lab, "cut") as load:
        lab["a"].link("san0", False)
        time.sleep(6)
        clean(load.mark("heal"), POWER_MS, "loss of one portal network")
        check(owner(lab, "g1") == "a", "the group moved because of one host network")
        lab["a"].link("san0", True)
        time.sleep(4)
        end(load, lab)


def test_cluster_stack_killed(lab):
    """Corosync dies at the owner: never two owners, and the array is whole again."""
    with loaded(lab, "kill") as load:
        lab["a"].kill_daemon("corosync")
        until = time.monotonic() + 10
        while time.monotonic() < until:
            promoted = lab.promoted("g1")
            check(len(promoted) <= 1, f"g1 is promoted at {promoted}")
            if promoted == ["b"]:
                break
            time.sleep(0.1)
        lab.wait_owner("g1", "b", 20)
        time.sleep(REST_S)
        clean(load.mark("end"), POWER_MS, "death of Corosync at the owner")
        lab["a"].power_off()
        lab["a"].power_on()
        end(load, lab)


def test_stale_controller_returns(lab):
    """A controller that missed moves comes back: it learns the newer epoch before it may own."""
    wait_whole(lab)
    home(lab, "g1")
    lab["b"].power_off()
    lab.wait_owner("g2", "a", 15)
    before = group(lab, "g2", at="a")["epoch"]
    lab["b"].power_on()
    seen = set()

    def whole():
        try:
            told = group(lab, "g2", at="b")
            seen.add((told["epoch"], told["owner"], told["role"]))
        except (LabError, ValueError):
            pass
        return lab.settled() and agree(lab)
    wait_for(whole, 60, "b is back and agrees", 0.05)
    wrong = [s for s in seen if s[1] == "b" or s[2] == "promoted" or s[0] > before]
    check(not wrong, f"b claimed what it does not own while it returned: {wrong}")
    check(owner(lab, "g2") == "a", "b took its group back by itself")
    move(lab, "g2", "b")
    check(group(lab, "g2")["epoch"] > before, "the epoch did not grow")


def test_both_lose_power(lab):
    """Both controllers lose power; they come up again and everything written before is there."""
    with loaded(lab, "cut") as load:
        time.sleep(1)
        for node in NODES:
            lab[node].power_off()
        for node in NODES:
            lab[node].power_on()
        wait_whole(lab, 60)
        time.sleep(4)
        report = load.mark("end")
        check(report["failed"] == 0 and report["wrong"] == 0, f"loss of all power: {report}")
        end(load, lab)


def test_second_death_during_takeover(lab):
    """The heir's daemon dies while it takes over: the group is served again in the end, unharmed."""
    with loaded(lab, "kill") as load:
        lab["a"].kill_daemon("yoked")
        time.sleep(0.15)
        lab[other("a")].kill_daemon("yoked")
        wait_whole(lab, 60)
        time.sleep(4)
        report = load.mark("end")
        check(report["failed"] == 0 and report["wrong"] == 0, f"two deaths: {report}")
        end(load, lab)
