# SPDX-License-Identifier: BSD-3-Clause
"""A shared disk that goes wrong, with a super block for each controller and persistent reservations.

The disk's own log says what was applied, by whom, under which key; it is the judge.
"""

import os
import time

import config
import faultdisk
from lab import wait_for
from layout import NODES
from load import Load
from questions import clean, group, home, move, owner, wait_whole
from runner import check

SETTINGS = {"fault_disk": True, "extent_settings": {"write_key": "required"}}

MOVE_MS = 1500
LIE_MS = 8000
HANG_S = 12
REST_S = 2.0
RATE = ("--depth", "8", "--iops", "300")


def files(lab, name):
    """The files of a group's LUs."""
    return [f"{extent[0]}.img" for extent in config.extents(lab.settings) if extent[1] == name]


def holders(disk, lab, name):
    return {disk.holder(file) for file in files(lab, name)}


def judge(lab):
    """The disk's log has nothing that was applied without the right to."""
    records = lab.disk_log()
    complaints = faultdisk.check_log(records)
    check(not complaints, f"{len(complaints)} writes were applied without a key: {complaints[:3]}")
    return records


def begin(lab, what):
    """Everything at home, the I/O program at work, its first interval called `what`."""
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
    wait_whole(lab)
    total = load.stop()
    check(total["exit"] == 0 and total["failed"] == 0 and total["wrong"] == 0, f"in all: {total}")
    judge(lab)


def test_write_key(lab):
    """The owner's key is on the disk; it moves with the group; yokectl tells."""
    disk = lab.disk()
    with begin(lab, "move") as load:
        for name, where in lab.settings["groups"].items():
            check(holders(disk, lab, name) == {where}, f"{name}: held by {holders(disk, lab, name)}")
        keys = {lu["extent"]: lu["write_key"] for lu in lab["a"].yokectl("lu", "list")["lus"]}
        for name, where in lab.settings["groups"].items():
            told = {keys[file.removesuffix(".img")] for file in files(lab, name)}
            check(told == {"held" if where == "a" else "free"}, f"yokectl at a about {name}: {told}")
        check(lab["a"].yokectl("status")["write_keys"]["keyed"] == lab.settings["lus"],
              "yokectl status does not count every LU as protected")
        move(lab, "g1", "b")
        check(holders(disk, lab, "g1") == {"b"}, f"after the move: {holders(disk, lab, 'g1')}")
        move(lab, "g1", "a")
        time.sleep(REST_S)
        clean(load.mark("end"), MOVE_MS, "moves with write keys")
        end(load, lab)
    revoked = [r for r in lab.disk_log() if r["op"] == "revoke"]
    check(not revoked, f"a planned move revoked keys: {revoked}")
    disk.close()


def test_power_lost(lab):
    """A controller without power: its keys are revoked, what it had sent is refused when it arrives."""
    disk = lab.disk()
    with begin(lab, "cut") as load:
        rule = disk.rule("hold", nexus="a")
        wait_for(lambda: disk.waiting("a") > 0, 10, "writes of a are on their way")
        lab["a"].power_off()
        lab.wait_owner("g1", "b", 15)
        check(holders(disk, lab, "g1") == {"b"}, f"after it: {holders(disk, lab, 'g1')}")
        time.sleep(REST_S)
        refused, late = disk.status()["refused"], disk.waiting("a")
        check(late > 0, "nothing was on its way any more")
        disk.unrule(rule)
        check(disk.status()["refused"] == refused + late,
              f"{late} late writes, {disk.status()['refused'] - refused} of them refused")
        clean(load.mark("return"), LIE_MS, "loss of the owner's power")
        lab["a"].power_on()
        end(load, lab)
    disk.close()


def test_late_write(lab):
    """Fencing lies, the frozen owner wakes after the takeover: the disk refuses what it had sent.

    YOKE_FREEZES=n in the environment: so many times.
    """
    for _ in range(int(os.environ.get("YOKE_FREEZES", "1"))):
        late_write(lab)


def late_write(lab):
    disk = lab.disk()
    with begin(lab, "freeze") as load:
        rule = disk.rule("hold", nexus="a")
        wait_for(lambda: disk.waiting("a") > 0, 10, "writes of a are on their way")
        for via in ("ipmi", "fast"):
            lab["a"].fence_fault(via, "lie")
        lab["a"].freeze()
        wait_for(lambda: holders(disk, lab, "g1") == {"b"}, 30, "b has the write keys of g1")
        check(lab["a"].is_on(), "a is off: fencing did not lie")
        time.sleep(REST_S)
        refused, late = disk.status()["refused"], disk.waiting("a")
        check(late > 0, "nothing was on its way any more")
        lab["a"].thaw()
        disk.unrule(rule)
        wait_for(lambda: disk.status()["refused"] >= refused + late, 10, "the late writes arrive")
        time.sleep(REST_S)
        judge(lab)
        waited = [r for r in lab.disk_log() if r.get("result") == "refused" and r["waited"]]
        check(len(waited) >= late, f"{late} late writes, refused in the log: {len(waited)}")
        check(all(r["from"] == "a" for r in waited), f"b was refused: {waited[:3]}")
        report = load.mark("return")
        check(report["failed"] == 0 and report["wrong"] == 0, f"a lying fence: {report}")
        for via in ("ipmi", "fast"):
            lab["a"].fence_fault(via, "none")
        lab["a"].power_off()
        # Else the fencing that this calls for strikes it after it has been switched on again.
        wait_for(lambda: lab["b"].crm()["nodes"].get("a") == "offline", 20, "a has been fenced")
        lab["a"].power_on()
        end(load, lab)
    disk.close()


def test_disk_slow(lab):
    """A disk that takes its time at one controller is no reason to fail anything."""
    disk = lab.disk()
    with begin(lab, "slow") as load:
        rule = disk.rule("slow", nexus="a", op="all", ms=200)
        time.sleep(4)
        disk.unrule(rule)
        clean(load.mark("end"), MOVE_MS, "a slow disk")
        check(owner(lab, "g1") == "a", "g1 moved because its disk was slow")
        end(load, lab)
    disk.close()


def test_disk_hangs(lab):
    """The disk hangs at the owner: its score goes down, no command fails, nothing is lost."""
    disk = lab.disk()
    with begin(lab, "hang") as load:
        before = group(lab, "g1", at="a")["score"]
        rules = [disk.rule("hold", nexus="a", op="all", file=file) for file in files(lab, "g1")]
        wait_for(lambda: not group(lab, "g1", at="a")["healthy"], 15, "a knows that its disk hangs")
        wait_for(lambda: group(lab, "g1", at="a")["score"] < before, 5, "the score of a is lower")
        check(group(lab, "g1", at="b")["healthy"], "b thinks that its disk hangs")
        time.sleep(HANG_S)
        for rule in rules:
            disk.unrule(rule)
        wait_for(lambda: group(lab, "g1", at="a")["healthy"], 15, "a knows that its disk is well")
        wait_whole(lab)
        time.sleep(REST_S)
        report = load.mark("end")
        check(report["failed"] == 0 and report["wrong"] == 0, f"a hung disk: {report}")
        end(load, lab)
    disk.close()


def spoiled(lab, action, verdict):
    """Three writes that the disk fails; `verdict` looks at the report and the failed commands."""
    disk = lab.disk()
    with begin(lab, action) as load:
        rule = disk.rule(action, nexus="a", count=3)
        wait_for(lambda: any(r["id"] == int(rule) and r["hits"] >= 3
                             for r in disk.status()["rules"]), 10, "three writes have failed")
        time.sleep(REST_S)
        disk.unrule(rule)
        report = load.mark("end")
        failed = [e for e in load.events if e["type"] == "failed"]
        check(verdict(report, [e["sense"] for e in failed]), f"{action}: {failed}, {report}")
        check(report["wrong"] == 0, f"{action}: wrong sectors: {report}")
        check(owner(lab, "g1") == "a", f"{action}: g1 moved")
        wait_whole(lab)
        total = load.stop()
        check(total["wrong"] == 0, f"{action}: {total}")
    judge(lab)
    disk.close()


def test_disk_error(lab):
    """EIO: MEDIUM ERROR, WRITE ERROR, which Linux tries five times: these have gone after one."""
    spoiled(lab, "eio", lambda report, senses: report["retries"] >= 3 and not senses)


def test_disk_full(lab):
    """ENOSPC: DATA PROTECT, SPACE ALLOCATION FAILED WRITE PROTECT."""
    spoiled(lab, "enospc", lambda report, senses: senses and set(senses) == {"7/27/07"})


def test_refused_owner(lab):
    """Somebody clears the owner's key: it lets go by itself, and no host sees an error."""
    disk = lab.disk()
    with begin(lab, "lose") as load:
        epoch = group(lab, "g1")["epoch"]
        # As a controller would that took over in spite of everything: under b's name, newer epoch.
        lab["b"].run(["python3", "-c", STEAL, *(f"/srv/yoke/{f}" for f in files(lab, "g1"))])
        wait_for(lambda: group(lab, "g1")["epoch"] > epoch and owner(lab, "g1") in NODES, 40,
                 "g1 has an owner under a new epoch")
        wait_whole(lab)
        time.sleep(REST_S)
        report = load.mark("end")
        check(report["failed"] == 0 and report["wrong"] == 0, f"a stolen key: {report}")
        end(load, lab)
    disk.close()


# Reads the holder's key and preempts it with one of the other controller, one epoch newer.
STEAL = """
import fcntl, os, struct, sys
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDWR)
    held = bytearray(16)
    fcntl.ioctl(fd, 0x801070cf, held, True)
    key = struct.unpack("Q", held[:8])[0]
    mine = key & ~(0xff << 32) | 2 << 32
    fcntl.ioctl(fd, 0x401870c8, struct.pack("QQII", 0, mine, 1, 0))
    fcntl.ioctl(fd, 0x401870cc, struct.pack("QQII", key, mine, 3, 0))
"""
