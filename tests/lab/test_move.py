# SPDX-License-Identifier: BSD-3-Clause
"""Planned moves: nothing fails, nothing is wrong, hosts hear of it once, nothing is left behind."""

import time

from questions import (INQUIRY, RTPG, agent, agree, clean, constraints, group, home, lun_range,
                    monitor_codes, move, other, owner, probe, wait_whole)
from lab import LabError, TARGET, wait_for
from layout import NODES
from load import Load
from runner import check

PAUSE_MS = 1000
REST_S = 2.0
RATE = ("--depth", "8", "--iops", "300")


def test_serves(lab):
    """Both daemons are in sync, own their groups, and list all portals at each."""
    wait_whole(lab)
    for name, where in lab.settings["groups"].items():
        check(owner(lab, name) == where, f"{name} is owned by {owner(lab, name)}, not {where}")
    for node in NODES:
        listed = lab.host_run(["iscsi-ls", f"iscsi://{lab[node].portals()[0]}"]).stdout
        for portal in lab.portals():
            check(portal in listed and TARGET in listed,
                  f"{node} does not list {TARGET} at {portal}:\n{listed}")


def test_same_bytes(lab):
    """RTPG in both formats, INQUIRY and VPD are the same bytes at every port, before and after."""
    def everywhere(lun):
        return [probe(lab, portal, lun, *RTPG, *INQUIRY.values()) for portal in lab.portals()]
    for _ in range(2):
        for lun in range(lab.settings["lus"]):
            answers = everywhere(lun)
            check(all(line.startswith("00") for line in answers[0]), f"not GOOD: {answers[0]}")
            for portal, answer in zip(lab.portals(), answers):
                check(answer == answers[0],
                      f"LUN {lun}: {lab.portals()[0]} says {answers[0]}, {portal} says {answer}")
        move(lab, "g1", other(owner(lab, "g1")))
    home(lab, "g1")


def test_handover_under_load(lab):
    """Three moves there and back while a host writes and verifies."""
    before = constraints(lab)
    with Load(lab, options=RATE) as load:
        load.ready()
        time.sleep(1)
        load.mark("start")
        for _ in range(3):
            for to in ("b", "a"):
                epoch = group(lab, "g1")["epoch"]
                move(lab, "g1", to)
                time.sleep(REST_S)
                clean(load.mark(f"to {to}"), PAUSE_MS, f"handover to {to}")
                check(group(lab, "g1")["epoch"] > epoch, "the epoch did not grow with the owner")
        total = load.stop()
        check(total["exit"] == 0, f"the I/O program ended with {total['exit']}: {total}")
    check(constraints(lab) == before, f"constraints left behind: {constraints(lab)}, were {before}")


def test_one_attention(lab):
    """A move raises exactly one 2A/06 for each nexus and LU of its group, none for another's."""
    with Load(lab, luns=lun_range(lab, "g1"), options=RATE) as mine, \
            Load(lab, luns=lun_range(lab, "g2"), name="host2", options=RATE) as others:
        for load in (mine, others):
            load.ready()
            load.mark("move")
        move(lab, "g1", "b")
        time.sleep(7)  # every path is used or checked within five seconds
        report, quiet = mine.mark("end"), others.mark("end")
        check((report["ua_2a06_least"], report["ua_2a06_most"]) == (1, 1),
              f"2A/06 for a nexus and LU of g1: {report}")
        check(quiet["ua_2a06"] == 0, f"2A/06 for LUs of g2, which did not move: {quiet}")
        mine.stop()
        others.stop()
    home(lab, "g1")


def test_move_is_idempotent(lab):
    """A move to where the group is already changes nothing; to nobody is an error."""
    before = group(lab, "g1")
    for _ in range(3):
        move(lab, "g1", before["owner"], at=other(before["owner"]))
    after = group(lab, "g1")
    check(after["epoch"] == before["epoch"], f"the epoch grew from {before} to {after}")
    for words in (("g1", "nobody"), ("nothing", "a")):
        done = lab["a"].run(["yokectl", "group", "move", *words], check=False)
        check(done.returncode == 4, f"move {words}: exit code {done.returncode}: {done.stderr}")
        check(words[0] in done.stderr or words[1] in done.stderr, f"no name in {done.stderr!r}")
    check(owner(lab, "g1") == before["owner"], "a refused move moved the group")


def test_agents_are_idempotent(lab):
    """Every action of the group agent, repeated at both controllers, leaves all as it is."""
    wait_whole(lab)
    home(lab, "g1")
    epoch = group(lab, "g1")["epoch"]
    check(monitor_codes(lab, "g1") == {"a": 8, "b": 0}, f"monitor: {monitor_codes(lab, 'g1')}")
    for _ in range(2):
        for node, action in (("a", "start"), ("a", "promote"), ("b", "start"), ("b", "demote"),
                             ("a", "validate-all"), ("b", "validate-all")):
            code = agent(lab, node, action, "g1")
            check(code == 0, f"{action} at {node}: exit code {code}")
    check(monitor_codes(lab, "g1") == {"a": 8, "b": 0}, f"monitor: {monitor_codes(lab, 'g1')}")
    check(group(lab, "g1")["epoch"] == epoch, "repeated actions changed the epoch")
    check(agent(lab, "a", "monitor", "nothing") == 7, "a group that does not exist runs")


def test_standby(lab):
    """The owner goes to standby and comes back: the same as a move."""
    with Load(lab, options=RATE) as load:
        load.ready()
        load.mark("standby")
        lab["a"].run(["crm_standby", "--node", "a", "-v", "on"])
        lab.wait_owner("g1", "b")
        time.sleep(REST_S)
        clean(load.mark("unstandby"), PAUSE_MS, "standby of the owner")
        lab["a"].run(["crm_standby", "--node", "a", "-D"])
        wait_whole(lab)
        time.sleep(REST_S)
        clean(load.mark("end"), PAUSE_MS, "return from standby")
        load.stop()
    home(lab, "g1")


def test_clean_shutdown(lab):
    """Pacemaker is stopped in good order at the owner, then started: no pause that hosts notice."""
    with Load(lab, options=RATE) as load:
        load.ready()
        load.mark("shutdown")
        lab["a"].stop_cluster()
        lab.wait_owner("g1", "b")
        time.sleep(REST_S)
        clean(load.mark("return"), PAUSE_MS, "shutdown of the owner")
        check(lab["a"].is_on(), "a controller that left in good order was fenced")
        lab["a"].power_off()
        lab["a"].power_on()
        wait_whole(lab)
        time.sleep(REST_S)
        clean(load.mark("end"), PAUSE_MS, "return after a shutdown")
        load.stop()
    home(lab, "g1")


def test_both_at_once(lab):
    """Both groups change places at the same time, again and again."""
    with Load(lab, options=RATE) as load:
        load.ready()
        load.mark("swap")
        for turn in range(3):
            places = {"g1": "b", "g2": "a"} if turn % 2 == 0 else {"g1": "a", "g2": "b"}
            processes = [lab[to].start(["yokectl", "group", "move", name, to])
                         for name, to in places.items()]
            for process in processes:
                check(process.wait(20) == 0, f"a move ended with {process.returncode}")
            for name, to in places.items():
                lab.wait_owner(name, to)
        wait_for(lambda: agree(lab), 10, "both daemons agree")
        time.sleep(REST_S)
        clean(load.mark("end"), PAUSE_MS, "swapping both groups")
        load.stop()
    for name in lab.settings["groups"]:
        home(lab, name)


def test_unreachable_peer(lab):
    """A move to a controller whose daemon is not there is refused in time; the owner serves on."""
    lab["b"].run(["crm_standby", "--node", "b", "-v", "on"])
    lab.wait_owner("g2", "a")
    wait_for(lambda: not lab["b"].pids("yoked"), 20, "the daemon at b has ended")
    started = time.monotonic()
    done = lab["a"].run(["yokectl", "group", "move", "g1", "b", "--timeout", "3s"], check=False)
    check(done.returncode != 0, "a move to a controller that is not there succeeded")
    check(time.monotonic() - started < 6, "the refusal took longer than its time-out")
    check(owner(lab, "g1") == "a" and lab.promoted("g1") == ["a"], "the owner lost the group")
    lab["a"].run(["crm_standby", "--node", "b", "-D"])
    wait_whole(lab)
    time.sleep(1)
    try:
        move(lab, "g1", "a")
    except LabError as error:
        raise AssertionError(f"the refused move left something behind: {error}") from error
    for name in lab.settings["groups"]:
        home(lab, name)
