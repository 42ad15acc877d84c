# SPDX-License-Identifier: BSD-3-Clause
"""`yokectl drill` on a live array under I/O: what it refuses, what it does, what it reports."""

import json
import time

from lab import wait_for
from load import Load
from questions import agree, home, in_sync, owner, wait_whole
from runner import check

RATE = ("--depth", "8", "--iops", "300")
PAUSES_MS = {"handover": 1000, "failback": 1000, "kill": 3000, "freeze": 7000, "power": 6000}


def drill(lab, node, *words, code=0):
    """A drill at a controller; its report."""
    done = lab[node].run(["yokectl", "--json", "drill", *words], check=False, timeout=90)
    check(done.returncode == code, f"drill {words}: exit code {done.returncode}: {done.stderr}")
    return json.loads(done.stdout) if code == 0 else done.stderr


def told(lab, node, kind, to, *words):
    """A drill under I/O: nothing fails, and it tells what hosts have seen."""
    with Load(lab, options=RATE) as load:
        load.ready()
        load.mark(kind)
        report = drill(lab, node, kind, "g1", *words)
        seen = load.mark("end")
        print(f"   {kind}: drill {report['pause_ms']:.0f} ms, hosts {seen['longest_pause_ms']:.0f} ms")
        check(seen["failed"] == 0 and seen["wrong"] == 0, f"{kind}: {seen}")
        check(report["owner_after"] == to, f"{kind}: {report}")
        check(report["reads"] > 20, f"{kind}: only {report['reads']} reads: {report}")
        check(report["pause_ms"] <= PAUSES_MS[kind], f"{kind}: {report}")
        wait_whole(lab)
        load.stop()
    return report


def test_moves(lab):
    """Handover and failback."""
    wait_whole(lab)
    home(lab, "g1")
    told(lab, "a", "handover", "b")
    told(lab, "a", "failback", "a")
    text = lab["b"].run(["yokectl", "drill", "handover", "g1"]).stdout
    check("PAUSE ms" in text and "handover" in text, f"no table: {text}")
    home(lab, "g1")


def test_refused(lab):
    """What makes no sense, or would hurt, is not begun."""
    wait_whole(lab)
    home(lab, "g1")
    check("say --yes" in drill(lab, "b", "kill", "g1", code=5), "a kill without --yes")
    check("other one" in drill(lab, "a", "kill", "g1", "--yes", code=5), "a kill at the owner")
    check("there already" in drill(lab, "a", "failback", "g1", code=5), "a failback at home")
    drill(lab, "a", "handover", "nothing", code=4)
    drill(lab, "a", "nothing", "g1", code=2)
    lab["a"].run(["crm_attribute", "--type", "crm_config", "--name", "stonith-enabled", "--update",
                  "false"])
    check("fencing" in drill(lab, "a", "handover", "g1", code=5), "a drill without fencing")
    lab["a"].run(["crm_attribute", "--type", "crm_config", "--name", "stonith-enabled", "--update",
                  "true"])
    lab["b"].run(["crm_standby", "--node", "b", "-v", "on"])
    wait_for(lambda: not lab["b"].pids("yoked"), 20, "the daemon at b has ended")
    check("no member" in drill(lab, "a", "handover", "g1", code=5), "a drill without the other")
    lab["b"].run(["crm_standby", "--node", "b", "-D"])
    wait_whole(lab)
    check(owner(lab, "g1") == "a" and agree(lab), "a refused drill has moved the group")


def test_kill(lab):
    """The owner's daemon dies."""
    wait_whole(lab)
    home(lab, "g1")
    pid = lab["a"].pids("yoked")
    told(lab, "b", "kill", "b", "--yes")
    wait_for(lambda: in_sync(lab, "a"), 30, "the daemon is back")
    check(lab["a"].pids("yoked") != pid, "the daemon at a did not die")
    home(lab, "g1")


def test_freeze(lab):
    """The owner's daemon stops for five seconds, less than Pacemaker's patience."""
    wait_whole(lab)
    home(lab, "g1")
    report = told(lab, "b", "freeze", "a", "--yes")
    check(report["pause_ms"] > 3000, f"a daemon that was stopped for 5 s answered: {report}")


def test_power(lab):
    """The owner is fenced."""
    wait_whole(lab)
    home(lab, "g1")
    with Load(lab, options=RATE) as load:
        load.ready()
        load.mark("power")
        report = drill(lab, "b", "power", "g1", "--yes")
        time.sleep(1)
        seen = load.mark("end")
        print(f"   power: drill {report['pause_ms']:.0f} ms, hosts {seen['longest_pause_ms']:.0f} ms")
        check(seen["failed"] == 0 and seen["wrong"] == 0, f"power: {seen}")
        check(report["owner_after"] == "b" and report["pause_ms"] <= PAUSES_MS["power"], f"{report}")
        lab["a"].power_on()
        wait_whole(lab)
        load.stop()
    home(lab, "g1")
